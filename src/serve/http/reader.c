#include <stdio.h>
#include <string.h>

#include "serve/http/head.h"

enum { KEEP_BYTES = 4096, MAX_CHUNK_LINE = 1024, MAX_TRAILER = 8192 };
/* Where a chunked body is: at a size line, within the data, at the line break behind it, in the trailer. */
enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };

void sw_http_init(sw_http *h, const sw_allocator *allocator, size_t max_body) {
    *h = (sw_http){.max_body = max_body};
    h->head = sw_buf_make(allocator, SW_HTTP_MAX_HEAD);
    h->body = sw_buf_make(allocator, max_body + SW_ALIGN);
    h->line = sw_buf_make(allocator, MAX_TRAILER);
}

void sw_http_free(sw_http *h) {
    sw_buf_free(&h->head);
    sw_buf_free(&h->body);
    sw_buf_free(&h->line);
}

static void forget(sw_buf *buf) {
    if (buf->cap > KEEP_BYTES)
        sw_buf_free(buf);
    else
        sw_buf_clear(buf);
}

void sw_http_next(sw_http *h) {
    forget(&h->head);
    forget(&h->body);
    forget(&h->line);
    h->state = SW_HTTP_HEAD;
    h->scanned = h->offset = h->missing = 0;
    h->chunks = h->chunk_state = 0;
    h->chunked = h->wants_continue = false;
}

bool sw_http_is_midway(const sw_http *h) {
    return h->state == SW_HTTP_BODY || (h->state == SW_HTTP_HEAD && h->head.size);
}

static void fail(sw_http *h, int status, const char *why) {
    h->state = SW_HTTP_BROKEN;
    h->failure = status;
    h->why = why;
}

static void fail_size(sw_http *h, const char *what, uint64_t size) {
    snprintf(h->problem, sizeof h->problem,
             "%s of %llu bytes exceeds the maximum allowed value of %zu bytes" SW_HTTP_RAISE, what,
             (unsigned long long)size, h->max_body);
    fail(h, 400, h->problem); /* as Triton, which knows no 413 */
}

static void finish(sw_http *h) {
    h->request.body = h->body.data ? h->body.data + h->offset : (const uint8_t *)"";
    h->request.body_size = h->body.size - h->offset;
    h->state = SW_HTTP_READY;
}

/* Begins the body. The first tensor of a binary request, behind the JSON, shall be aligned. */
static void begin_body(sw_http *h, const sw__http_framing *f) {
    int64_t json = h->request.json_size;
    h->chunked = f->chunked;
    if (f->length > 0 && (uint64_t)f->length > h->max_body) {
        fail_size(h, "request body", (uint64_t)f->length);
        return;
    }
    if (!f->chunked && f->length <= 0) {
        finish(h);
        return;
    }
    h->offset = json > 0 ? (SW_ALIGN - (size_t)(json % SW_ALIGN)) % SW_ALIGN : 0;
    sw_buf_fill(&h->body, 0, h->offset);
    h->missing = f->chunked ? 0 : (size_t)f->length;
    h->wants_continue = f->expects_continue;
    h->state = SW_HTTP_BODY;
    /* Room for all of it, so that it never moves. Pages that are not filled cost nothing. */
    if (h->missing && sw_buf_extend(&h->body, h->missing)) h->body.size -= h->missing;
    if (h->body.status != SW_OK) fail(h, 503, "no memory for the body of the request");
}

/* The end of a head that ends within text[from..size): the position behind the empty line; 0: none. */
static size_t end_of_head(const uint8_t *text, size_t from, size_t size) {
    from = from < 3 ? 0 : from - 3;
    const uint8_t *end = size > from ? memmem(text + from, size - from, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - text) + 4 : 0;
}

/* What tells before its end that this will be no head: else whoever cannot know better waits until time is over. */
static void check_start(sw_http *h, size_t from) {
    const uint8_t *text = h->head.data;
    if (text[0] == 0x16) fail(h, 400, "this is TLS, which is not spoken on this port"); /* a handshake record */
    for (size_t i = from; i < h->head.size; i++)
        if (text[i] == '\n' && (!i || text[i - 1] != '\r')) fail(h, 400, "a line that does not end with CR LF");
}

static size_t feed_head(sw_http *h, const uint8_t *data, size_t size) {
    size_t before = h->head.size, skipped = 0;
    while (!before && skipped < size && (data[skipped] == '\r' || data[skipped] == '\n')) skipped++; /* RFC 9112, 2.2 */
    size_t room = SW_HTTP_MAX_HEAD - before, take = size - skipped < room ? size - skipped : room;
    sw_buf_append(&h->head, data + skipped, take);
    if (h->head.status != SW_OK) {
        fail(h, 503, "no memory for the head of the request");
        return skipped;
    }
    size_t end = end_of_head(h->head.data, before, h->head.size);
    if (!end) {
        if (h->head.size == SW_HTTP_MAX_HEAD) fail(h, 431, "the head of the request is too long");
        if (h->head.size) check_start(h, before);
        return skipped + take;
    }
    h->head.size = end;
    sw__http_framing framing;
    const char *why = NULL;
    int status = sw__http_parse_head((char *)h->head.data, end, &h->request, &framing, &why);
    if (status)
        fail(h, status, why);
    else
        begin_body(h, &framing);
    return skipped + end - before;
}

/* -- Bodies -------------------------------------------------------------------------------------------------------- */

static size_t take_missing(sw_http *h, const uint8_t *data, size_t size) {
    size_t n = size < h->missing ? size : h->missing;
    sw_buf_append(&h->body, data, n);
    if (h->body.status != SW_OK) fail(h, 503, "no memory for the body of the request");
    h->missing -= n;
    return n;
}

/* Adds bytes up to a line break to h->line; true when the line is whole, without its CR LF. */
static bool take_line(sw_http *h, const uint8_t *data, size_t size, size_t most, size_t *taken) {
    const uint8_t *end = memchr(data, '\n', size);
    *taken = end ? (size_t)(end - data) + 1 : size;
    sw_buf_append(&h->line, data, *taken);
    if (h->line.status != SW_OK || h->line.size > most) {
        fail(h, 400, "a line of the chunked body is too long");
        return false;
    }
    if (!end) return false;
    const uint8_t *text = h->line.data;
    size_t n = h->line.size;
    bool clean = n >= 2 && text[n - 2] == '\r' && !memchr(text, 0, n) && memchr(text, '\r', n) == text + n - 2;
    if (!clean) fail(h, 400, "a line of the chunked body does not end with CR LF");
    h->line.size = clean ? n - 2 : n;
    h->line.data[h->line.size] = 0;
    return clean;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* "1a" or "1a;name=value". */
static bool parse_chunk_size(const char *line, size_t *size) {
    size_t n = 0;
    for (*size = 0; hex_digit(line[n]) >= 0; n++) {
        if (n == 15) return false;
        *size = *size << 4 | (size_t)hex_digit(line[n]);
    }
    return n && (line[n] == 0 || line[n] == ';' || line[n] == ' ' || line[n] == '\t');
}

static void begin_chunk(sw_http *h) {
    size_t size, have = h->body.size - h->offset;
    if (!parse_chunk_size(sw_buf_text(&h->line), &size)) {
        fail(h, 400, "the size of a chunk is no hexadecimal number");
        return;
    }
    if (size > h->max_body || have + size > h->max_body) {
        fail_size(h, "chunked request body", (uint64_t)have + size);
        return;
    }
    if (++h->chunks > SW_HTTP_MAX_CHUNKS) {
        fail(h, 400, "the request has too many chunks");
        return;
    }
    h->missing = size;
    h->chunk_state = size ? CHUNK_DATA : TRAILER;
    sw_buf_clear(&h->line);
}

static size_t feed_chunked(sw_http *h, const uint8_t *data, size_t size) {
    size_t taken = 0;
    switch (h->chunk_state) {
    case CHUNK_SIZE:
        if (take_line(h, data, size, MAX_CHUNK_LINE, &taken)) begin_chunk(h);
        break;
    case CHUNK_DATA:
        taken = take_missing(h, data, size);
        if (!h->missing) h->chunk_state = CHUNK_END;
        break;
    case CHUNK_END:
        if (take_line(h, data, size, 2, &taken)) {
            if (h->line.size) fail(h, 400, "a chunk is longer than its size");
            h->chunk_state = CHUNK_SIZE;
            sw_buf_clear(&h->line);
        }
        break;
    default: /* trailer fields mean nothing here; their sum is bounded, since the buffer is not cleared */
        if (take_line(h, data, size, MAX_TRAILER, &taken)) {
            const char *text = sw_buf_text(&h->line);
            const char *last = memrchr(text, '\n', h->line.size);
            bool empty = last ? last + 1 == text + h->line.size : h->line.size == 0;
            sw_buf_append_byte(&h->line, '\n');
            if (empty) finish(h);
        }
    }
    return taken;
}

size_t sw_http_feed(sw_http *h, const void *data, size_t size) {
    const uint8_t *bytes = data;
    size_t at = 0;
    while (at < size && (h->state == SW_HTTP_HEAD || h->state == SW_HTTP_BODY)) {
        if (h->state == SW_HTTP_HEAD)
            at += feed_head(h, bytes + at, size - at);
        else if (h->chunked)
            at += feed_chunked(h, bytes + at, size - at);
        else {
            at += take_missing(h, bytes + at, size - at);
            if (!h->missing && h->state == SW_HTTP_BODY) finish(h);
        }
    }
    return at;
}

uint8_t *sw_http_space(sw_http *h, size_t *room) {
    if (h->state != SW_HTTP_BODY || h->chunked) return NULL;
    *room = h->missing;
    return h->body.data + h->body.size;
}

void sw_http_filled(sw_http *h, size_t size) {
    h->body.size += size;
    h->missing -= size;
    if (!h->missing) finish(h);
}

bool sw_http_decode(sw_http *h) {
    sw_http_request *r = &h->request;
    if (r->coding == SW_HTTP_IDENTITY) return true;
    if (r->coding == SW_HTTP_CODING_OTHER) {
        fail(h, 415, "Content-Encoding is none of gzip, deflate, identity");
        return false;
    }
    sw_buf plain = sw_buf_make(h->body.allocator, h->max_body + SW_ALIGN);
    size_t offset = r->json_size > 0 ? (SW_ALIGN - (size_t)(r->json_size % SW_ALIGN)) % SW_ALIGN : 0;
    sw_buf_fill(&plain, 0, offset);
    sw_status status = sw_http_inflate(r->body, r->body_size, h->max_body, &plain);
    if (status != SW_OK) {
        sw_buf_free(&plain);
        if (status == SW_E_LIMIT) {
            snprintf(h->problem, sizeof h->problem,
                     "decompressed request body exceeds the maximum allowed value of %zu bytes" SW_HTTP_RAISE,
                     h->max_body);
            fail(h, 400, h->problem);
        } else
            fail(h, status == SW_E_NOMEM ? 503 : 400,
                 status == SW_E_NOMEM ? "no memory for the body of the request" : "the compressed body is broken");
        return false;
    }
    sw_buf_free(&h->body);
    h->body = plain;
    h->offset = offset;
    r->coding = SW_HTTP_IDENTITY;
    finish(h);
    return true;
}

/* -- Texts of requests --------------------------------------------------------------------------------------------- */

const char *sw_http_header_of(const sw_http_request *request, const char *name) {
    for (int i = 0; i < request->n_headers; i++)
        if (!strcmp(request->headers[i].name, name)) return request->headers[i].value;
    return NULL;
}

bool sw_http_query(const char *query, const char *name, char *value, size_t size) {
    size_t n = strlen(name);
    for (; *query; query += strcspn(query, "&"), query += *query == '&') {
        size_t length = strcspn(query, "&");
        if (length < n || memcmp(query, name, n) || (length > n && query[n] != '=')) continue;
        const char *start = query + n + (length > n);
        size_t rest = length - n - (length > n);
        snprintf(value, size, "%.*s", (int)(rest < size ? rest : size), start);
        return true;
    }
    return false;
}

bool sw_http_unescape(const char *text, size_t n, char *out, size_t size) {
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '%') {
            if (n - i < 3 || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0) return false;
            c = (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
            i += 2;
        }
        if (!c || at + 1 >= size) return false;
        out[at++] = c;
    }
    out[at] = 0;
    return true;
}
