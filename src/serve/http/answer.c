#include <zlib.h>

#include "base/str.h"
#include "serve/http/http.h"

enum { GZIP_WINDOW = 15 + 16, ZLIB_WINDOW = 15, ANY_WINDOW = 15 + 32, INFLATE_STEP = 64 * 1024 };

static const char *reason_of(int status) {
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {{200, "OK"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {415, "Unsupported Media Type"},
                   {417, "Expectation Failed"},
                   {431, "Request Header Fields Too Large"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {503, "Service Unavailable"},
                   {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status) return reasons[i].reason;
    return "";
}

static void append_number(sw_buf *out, uint64_t value) {
    char digits[24];
    sw_buf_append(out, digits, (size_t)sw_str_from_u64(digits, value));
}

void sw_http_answer_head(sw_buf *out, const sw_http_answer *a, size_t size) {
    sw_buf_append_text(out, "HTTP/1.1 ");
    append_number(out, (uint64_t)a->status);
    sw_buf_append_byte(out, ' ');
    sw_buf_append_text(out, reason_of(a->status));
    if (a->type) {
        sw_buf_append_text(out, "\r\nContent-Type: ");
        sw_buf_append_text(out, a->type);
    }
    if (a->json_size >= 0) {
        sw_buf_append_text(out, "\r\nInference-Header-Content-Length: ");
        append_number(out, (uint64_t)a->json_size);
    }
    if (a->coding != SW_HTTP_IDENTITY) {
        sw_buf_append_text(out, "\r\nContent-Encoding: ");
        sw_buf_append_text(out, a->coding == SW_HTTP_GZIP ? "gzip" : "deflate");
    }
    sw_buf_append_text(out, "\r\nContent-Length: ");
    append_number(out, size);
    sw_buf_append_text(out, "\r\n");
    if (a->close) sw_buf_append_text(out, "Connection: close\r\n");
    if (a->more) sw_buf_append_text(out, a->more);
    sw_buf_append_text(out, "\r\n");
}

sw_status sw_http_encode(sw_http_coding coding, const void *data, size_t size, sw_buf *out) {
    z_stream z = {0};
    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, coding == SW_HTTP_GZIP ? GZIP_WINDOW : ZLIB_WINDOW, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return SW_E_NOMEM;
    size_t room = deflateBound(&z, (uLong)size), before = out->size;
    uint8_t *to = room <= UINT32_MAX && size <= UINT32_MAX ? sw_buf_extend(out, room) : NULL;
    sw_status status = out->status != SW_OK ? out->status : to ? SW_OK : SW_E_LIMIT;
    if (status == SW_OK) {
        z.next_in = (Bytef *)data;
        z.avail_in = (uInt)size;
        z.next_out = to;
        z.avail_out = (uInt)room;
        if (deflate(&z, Z_FINISH) != Z_STREAM_END) status = SW_E_INTERNAL;
        out->size = before + (size_t)z.total_out;
    }
    deflateEnd(&z);
    return status;
}

sw_status sw_http_inflate(const void *data, size_t size, size_t most, sw_buf *out) {
    z_stream z = {.next_in = (Bytef *)data, .avail_in = (uInt)size};
    if (size > UINT32_MAX) return SW_E_LIMIT;
    if (inflateInit2(&z, ANY_WINDOW) != Z_OK) return SW_E_NOMEM;
    sw_status status = SW_OK;
    for (int end = Z_OK; status == SW_OK && end != Z_STREAM_END;) {
        size_t room = most - (size_t)z.total_out;
        if (room > INFLATE_STEP) room = INFLATE_STEP;
        /* One byte beyond the limit tells an end from an excess. */
        uint8_t *to = sw_buf_extend(out, room + 1);
        if (!to) {
            status = out->status;
            break;
        }
        z.next_out = to;
        z.avail_out = (uInt)room + 1;
        end = inflate(&z, Z_NO_FLUSH);
        out->size -= z.avail_out;
        if (z.total_out > most)
            status = SW_E_LIMIT;
        else if (end != Z_STREAM_END && (end != Z_OK || (!z.avail_in && z.avail_out)))
            status = end == Z_MEM_ERROR ? SW_E_NOMEM : SW_E_INPUT;
    }
    if (status == SW_OK && z.avail_in) status = SW_E_INPUT;
    inflateEnd(&z);
    return status;
}
