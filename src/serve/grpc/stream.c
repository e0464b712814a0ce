/* Messages on a stream, both ways, and how it ends. */
#include <stdio.h>
#include <string.h>

#include "serve/grpc/h2.h"

enum { PREFIX = 5, LEAST_TO_COMPRESS = 256, MAX_IN_FLIGHT = 64 };

/* -- Answers ------------------------------------------------------------------------------------------------------- */

static nghttp2_nv header(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* grpc-message: percent signs for what is no plain ASCII. */
static void escape_message(const char *text, char *out, size_t size) {
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0;
    for (; *text && at + 4 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= ' ' && c <= '~' && c != '%')
            out[at++] = (char)c;
        else {
            out[at++] = '%';
            out[at++] = digits[c >> 4];
            out[at++] = digits[c & 15];
        }
    }
    out[at] = 0;
}

/* Trailers, or all the headers of an answer without messages. */
static size_t ending(const sw__stream *s, char *code, size_t size, nghttp2_nv *nv) {
    size_t n = 0;
    snprintf(code, size, "%d", (int)s->status);
    nv[n++] = header("grpc-status", code);
    if (*s->message) nv[n++] = header("grpc-message", s->message);
    if (s->try_again) nv[n++] = header("grpc-retry-pushback-ms", "1000"); /* HTTP's Retry-After */
    return n;
}

/* nghttp2 asks for bytes to send. */
static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *to, size_t size, uint32_t *flags,
                        nghttp2_data_source *source, void *ctx) {
    sw__stream *s = source->ptr;
    size_t left = s->out.size - s->sent, n = left < size ? left : size;
    if (!left && !s->ended) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n) memcpy(to, s->out.data + s->sent, n);
    s->sent += n;
    if (s->sent == s->out.size) {
        sw_buf_clear(&s->out);
        s->sent = 0;
        if (s->ended) {
            char code[16];
            nghttp2_nv nv[3];
            size_t n_nv = ending(s, code, sizeof code, nv);
            *flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(session, id, nv, n_nv);
        }
    }
    return (ssize_t)n;
}

static void begin_answer(sw__stream *s) {
    nghttp2_nv nv[4] = {header(":status", "200"), header("content-type", "application/grpc"),
                        header("grpc-accept-encoding", "identity, deflate, gzip")};
    size_t n = 3;
    sw_http_coding coding = sw__stream_coding(s);
    if (coding != SW_HTTP_IDENTITY) nv[n++] = header("grpc-encoding", coding == SW_HTTP_GZIP ? "gzip" : "deflate");
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = read_out};
    s->began = true;
    nghttp2_submit_response(s->h2->session, s->id, nv, n, &provider);
}

static void wake(sw__stream *s) {
    if (!s->deferred) return;
    s->deferred = false;
    nghttp2_session_resume_data(s->h2->session, s->id);
}

void sw__stream_send(sw__stream *s, const void *frames, size_t size) {
    if (s->closed || s->ended) return;
    sw_buf_append(&s->out, frames, size);
    if (!s->began) begin_answer(s);
    wake(s);
}

void sw__stream_end(sw__stream *s, sw__grpc_status status, const char *message) {
    if (s->closed || s->ended) return;
    s->ended = true;
    s->status = s->out.status == SW_OK ? status : SW__GRPC_RESOURCE_EXHAUSTED;
    escape_message(message, s->message, sizeof s->message);
    if (s->began) {
        wake(s);
        return;
    }
    char code[16];
    nghttp2_nv nv[5] = {header(":status", "200"), header("content-type", "application/grpc")};
    size_t n = 2 + ending(s, code, sizeof code, nv + 2);
    s->began = true;
    nghttp2_submit_response(s->h2->session, s->id, nv, n, NULL);
}

sw_http_coding sw__stream_coding(const sw__stream *s) {
    return s->coding & s->accepts ? s->coding : SW_HTTP_IDENTITY;
}

void sw__grpc_frame(const sw_buf *message, sw_http_coding coding, sw_buf *out) {
    size_t start = out->size;
    uint8_t *prefix = sw_buf_extend(out, PREFIX);
    bool coded = coding != SW_HTTP_IDENTITY && message->size >= LEAST_TO_COMPRESS;
    if (!coded)
        sw_buf_append(out, message->data, message->size);
    else if (sw_http_encode(coding, message->data, message->size, out) != SW_OK && out->status == SW_OK)
        out->status = SW_E_NOMEM;
    if (out->status == SW_OK && message->status != SW_OK) out->status = message->status;
    if (!prefix || out->status != SW_OK) return;
    uint32_t size = (uint32_t)(out->size - start - PREFIX);
    prefix = out->data + start;
    prefix[0] = coded;
    for (int i = 0; i < 4; i++) prefix[1 + i] = (uint8_t)(size >> (24 - 8 * i));
}

void sw__stream_reply(sw__stream *s, const sw_buf *message) {
    if (s->closed || s->ended) return;
    sw__grpc_frame(message, sw__stream_coding(s), &s->out);
    if (s->out.status != SW_OK) {
        sw_buf_clear(&s->out);
        s->sent = 0;
        sw__stream_end(s, SW__GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    sw__stream_send(s, "", 0);
}

/* -- Requests ------------------------------------------------------------------------------------------------------ */

/* Hands a message on, decoded. In a stream of requests it is moved out of the way of the next. */
static void handle(sw__stream *s, bool coded, const uint8_t *data, size_t size) {
    size_t max = s->h2->conn->loop->server->options.max_body;
    if (!coded && !s->rpc->streaming) {
        s->rpc->handle(s, data, size, NULL);
        return;
    }
    sw_buf plain = sw_buf_make(NULL, max + 1);
    bool known = !coded || s->coding == SW_HTTP_GZIP || s->coding == SW_HTTP_DEFLATE;
    sw_status status = SW_OK;
    if (!coded) {
        sw_buf_append(&plain, data, size);
        status = plain.status;
    } else if (known)
        status = sw_http_inflate(data, size, max, &plain);
    if (!known)
        sw__stream_end(s, SW__GRPC_UNIMPLEMENTED, "the compression of the message is none of identity, gzip, deflate");
    else if (status == SW_E_INPUT)
        sw__stream_end(s, SW__GRPC_INTERNAL, "the compressed message is broken");
    else if (status != SW_OK)
        sw__stream_end(s, SW__GRPC_RESOURCE_EXHAUSTED,
                       "the decompressed message exceeds the maximum allowed size" SW_HTTP_RAISE);
    else
        s->rpc->handle(s, plain.data ? plain.data : (const uint8_t *)"", plain.size, &plain);
    sw_buf_free(&plain);
}

/* The next whole message of `in`; false when there is none. */
static bool next_message(sw__stream *s, bool *coded, const uint8_t **data, size_t *size) {
    size_t left = s->in.size - s->taken;
    if (left < PREFIX) return false;
    const uint8_t *p = s->in.data + s->taken;
    *size = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (p[0] > 1) {
        sw__stream_end(s, SW__GRPC_INTERNAL, "a message has a flag that is not known");
        return false;
    }
    if (*size > s->h2->conn->loop->server->options.max_body) {
        sw__stream_end(s, SW__GRPC_RESOURCE_EXHAUSTED, "the message exceeds the maximum allowed size" SW_HTTP_RAISE);
        return false;
    }
    if (left - PREFIX < *size) return false;
    *coded = p[0];
    *data = p + PREFIX;
    s->taken += PREFIX + *size;
    return true;
}

static void run_stream(sw__stream *s) {
    bool coded;
    const uint8_t *data;
    size_t size;
    s->running = true;
    while (!s->ended && s->calls < MAX_IN_FLIGHT && next_message(s, &coded, &data, &size)) handle(s, coded, data, size);
    s->running = false;
    if (s->taken == s->in.size || s->taken > 64 * 1024) { /* what was taken makes room */
        size_t left = s->in.size - s->taken;
        if (left) memmove(s->in.data, s->in.data + s->taken, left);
        s->h2->buffered -= s->taken;
        s->in.size = left;
        s->taken = 0;
    }
    if (s->finished && !s->calls && !s->ended) sw__stream_end(s, SW__GRPC_OK, "");
}

void sw__stream_run(sw__stream *s) {
    bool coded;
    const uint8_t *data;
    size_t size;
    if (!s->rpc || s->ended) return;
    if (s->rpc->streaming)
        run_stream(s);
    else if (!next_message(s, &coded, &data, &size))
        sw__stream_end(s, SW__GRPC_INTERNAL, "the request is no whole message");
    else
        handle(s, coded, data, size);
}
