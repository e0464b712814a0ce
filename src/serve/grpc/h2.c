/* The HTTP/2 session of a connection: nghttp2's callbacks. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "serve/grpc/h2.h"

enum {
    MAX_STREAMS = 1024,
    STREAM_WINDOW = 4 << 20,
    CONNECTION_WINDOW = 16 << 20,
    MAX_HEADERS = 32 * 1024,
    MAX_IN_FLIGHT = 64,
    MAX_UNSENT = 1 << 20
};

/* -- Streams ------------------------------------------------------------------------------------------------------- */

void sw__stream_bury(sw__stream *s) {
    sw__h2 *h2 = s->h2;
    if (!s->closed || s->calls || s->running) return;
    if (s->before)
        s->before->next = s->next;
    else if (h2->streams == s)
        h2->streams = s->next;
    if (s->next) s->next->before = s->before;
    h2->buffered -= s->in.size;
    sw_buf_free(&s->in);
    sw_buf_free(&s->out);
    sw_buf_free(&s->headers);
    sw_free(NULL, s);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx) {
    sw__h2 *h2 = ctx;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    sw__stream *s = sw_calloc(NULL, 1, sizeof *s);
    if (!s) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t max = h2->conn->loop->server->options.max_body;
    s->h2 = h2;
    s->id = frame->hd.stream_id;
    s->since_ns = h2->conn->loop->now_ns;
    s->in = sw_buf_make(NULL, max + 1024);
    s->out = sw_buf_make(NULL, 0);
    s->headers = sw_buf_make(NULL, MAX_HEADERS);
    s->next = h2->streams;
    if (s->next) s->next->before = s;
    h2->streams = s;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    return 0;
}

static bool named(const uint8_t *name, size_t n, const char *wanted) {
    return n == strlen(wanted) && !memcmp(name, wanted, n);
}

static void keep(char *to, size_t size, const uint8_t *value, size_t n) {
    snprintf(to, size, "%.*s", n < size ? (int)n : (int)size - 1, (const char *)value);
}

/* "100m": at most eight digits and a unit. */
static int64_t parse_timeout(const uint8_t *value, size_t n) {
    static const struct {
        char unit;
        int64_t ns;
    } units[] = {{'H', 3600000000000}, {'M', 60000000000}, {'S', 1000000000}, {'m', 1000000}, {'u', 1000}, {'n', 1}};
    int64_t count;
    if (n < 2 || n > 9 || !sw_str_to_i64((const char *)value, n - 1, &count) || count < 0) return 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if ((char)value[n - 1] == units[i].unit) return count * units[i].ns;
    return 0;
}

static sw_http_coding coding_named(const uint8_t *value, size_t n) {
    if (named(value, n, "gzip")) return SW_HTTP_GZIP;
    if (named(value, n, "deflate")) return SW_HTTP_DEFLATE;
    return named(value, n, "identity") ? SW_HTTP_IDENTITY : SW_HTTP_CODING_OTHER;
}

static bool has_word(const uint8_t *list, size_t n, const char *word) {
    return memmem(list, n, word, strlen(word)) != NULL;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t n_name,
                     const uint8_t *value, size_t n, uint8_t flags, void *ctx) {
    const sw__h2 *h2 = ctx;
    sw__stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    static const char restricted[] = "triton-grpc-protocol-";
    if (!s || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    if (named(name, n_name, ":path"))
        keep(s->path, sizeof s->path, value, n);
    else if (named(name, n_name, "content-type"))
        keep(s->content_type, sizeof s->content_type, value, n);
    else if (named(name, n_name, "grpc-encoding"))
        s->coding = coding_named(value, n);
    else if (named(name, n_name, "grpc-accept-encoding"))
        s->accepts =
            (has_word(value, n, "gzip") ? SW_HTTP_GZIP : 0) | (has_word(value, n, "deflate") ? SW_HTTP_DEFLATE : 0);
    else if (named(name, n_name, "grpc-timeout")) {
        int64_t timeout = parse_timeout(value, n);
        if (timeout) s->deadline_ns = sw_clock_ns() + timeout;
    } else if (n_name > sizeof restricted - 1 && !memcmp(name, restricted, sizeof restricted - 1)) {
        keep(s->key_header, sizeof s->key_header, name, n_name);
        keep(s->key_value, sizeof s->key_value, value, n);
    } else if (sw_serve_routes_by_header(h2->conn->loop->server->core) && *name != ':') {
        const uint8_t end = 0;
        sw_buf_append(&s->headers, name, n_name);
        sw_buf_append(&s->headers, &end, 1);
        sw_buf_append(&s->headers, value, n);
        sw_buf_append(&s->headers, &end, 1);
    }
    return 0;
}

/* Compares in a time that does not tell how much is right. */
static bool same_secret(const char *a, const char *b) {
    size_t n = strlen(b);
    unsigned different = strlen(a) != n;
    for (size_t i = 0; i < n && !(i >= strlen(a)); i++) different |= (unsigned char)(a[i] ^ b[i]);
    return !different;
}

/* The headers are whole: which method is it, and may it be called? */
static void begin_stream(sw__stream *s) {
    const sw_server_options *o = &s->h2->conn->loop->server->options;
    if (strncmp(s->content_type, "application/grpc", 16) != 0) {
        static const nghttp2_nv nv = {(uint8_t *)":status", (uint8_t *)"415", 7, 3, NGHTTP2_NV_FLAG_NONE};
        s->began = s->ended = true;
        nghttp2_submit_response(s->h2->session, s->id, &nv, 1, NULL);
        return;
    }
    s->rpc = sw__rpc_find(s->path);
    if (!s->rpc) {
        sw__stream_end(s, SW__GRPC_UNIMPLEMENTED, "");
        return;
    }
    const sw_server_key *key = &o->grpc_keys[s->rpc->group];
    char text[128];
    if (key->header && (strcmp(s->key_header, key->header) != 0 || !same_secret(s->key_value, key->value))) {
        snprintf(text, sizeof text, "This protocol is restricted, expecting header '%s'", key->header);
        sw__stream_end(s, SW__GRPC_UNAVAILABLE, text);
    } else if (atomic_load(&s->h2->conn->loop->server->stopping))
        sw__stream_end(s, SW__GRPC_UNAVAILABLE, "the server is stopping");
}

/* Opens the window for what was received, unless too much waits. */
static void open_window(sw__stream *s) {
    if (s->rpc && s->rpc->streaming && (s->calls >= MAX_IN_FLIGHT || s->out.size - s->sent > MAX_UNSENT)) return;
    if (s->held) nghttp2_session_consume(s->h2->session, s->id, s->held);
    s->held = 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t size, void *ctx) {
    sw__h2 *h2 = ctx;
    sw__stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s || s->ended) {
        nghttp2_session_consume(session, id, size);
        return 0;
    }
    size_t max = h2->conn->loop->server->options.max_body;
    s->held += size;
    h2->buffered += size;
    sw_buf_append(&s->in, data, size);
    if (s->in.status != SW_OK || h2->buffered > 4 * max) {
        h2->buffered -= s->in.status != SW_OK ? size : 0;
        sw__stream_end(s, SW__GRPC_RESOURCE_EXHAUSTED, "the message exceeds the maximum allowed size" SW_HTTP_RAISE);
        return 0;
    }
    if (s->rpc && s->rpc->streaming) sw__stream_run(s);
    open_window(s);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx) {
    sw__stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    bool headers = frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (!s || (!headers && frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)) return 0;
    if (headers) begin_stream(s);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        s->finished = true;
        if (!s->ended) sw__stream_run(s);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *ctx) {
    sw__stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s) return 0;
    s->closed = true;
    if (s->calls)
        for (sw__call *call = s->h2->conn->calls; call; call = call->after)
            if (call->owner == s) sw__call_cancel(call);
    sw__stream_bury(s);
    return 0;
}

/* -- The session --------------------------------------------------------------------------------------------------- */

static sw_status make_session(sw__h2 *h2) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    if (nghttp2_session_callbacks_new(&callbacks)) return SW_E_NOMEM;
    if (nghttp2_option_new(&option)) {
        nghttp2_session_callbacks_del(callbacks);
        return SW_E_NOMEM;
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    int failed = nghttp2_session_server_new2(&h2->session, callbacks, h2, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return failed ? SW_E_NOMEM : SW_OK;
}

sw_status sw__h2_create(sw__conn *conn) {
    static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS},
                                                      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
                                                      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, MAX_HEADERS}};
    sw__h2 *h2 = sw_calloc(NULL, 1, sizeof *h2);
    if (!h2) return SW_E_NOMEM;
    h2->conn = conn;
    if (make_session(h2) != SW_OK) {
        sw_free(NULL, h2);
        return SW_E_NOMEM;
    }
    nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings);
    nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
    conn->h2 = h2;
    return SW_OK;
}

void sw__h2_destroy(sw__h2 *h2) {
    if (!h2) return;
    for (sw__stream *s = h2->streams, *next; s; s = next) {
        next = s->next;
        s->closed = true;
        sw__stream_bury(s);
    }
    nghttp2_session_del(h2->session);
    sw_free(NULL, h2);
}

bool sw__h2_take(sw__conn *conn, const uint8_t *data, size_t size) {
    return nghttp2_session_mem_recv(conn->h2->session, data, size) >= 0;
}

void sw__h2_pump(sw__conn *conn) {
    sw__h2 *h2 = conn->h2;
    const uint8_t *data;
    ssize_t n;
    while (conn->out.size - conn->sent < MAX_UNSENT && (n = nghttp2_session_mem_send(h2->session, &data)) > 0) {
        sw_buf_append(sw__conn_out(conn), data, (size_t)n);
        if (sw__conn_out(conn)->size >= MAX_UNSENT) sw__conn_flush(conn);
        if (conn->closed) return;
    }
    for (sw__stream *s = h2->streams; s; s = s->next) open_window(s);
    if (!nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session)) conn->closing = true;
}

void sw__h2_sweep(sw__conn *conn) {
    bool any = false;
    for (sw__stream *s = conn->h2->streams; s; s = s->next) {
        bool sending = !s->finished && (s->ended || !(s->rpc && s->rpc->streaming));
        if (!sending || !sw__conn_is_slow(conn, s->since_ns, s->in.size)) continue;
        if (s->ended) /* it was answered, and goes on */
            nghttp2_submit_rst_stream(conn->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
        else
            sw__stream_end(s, SW__GRPC_DEADLINE_EXCEEDED, "the request took too long to come");
        any = true;
    }
    if (any) sw__h2_pump(conn);
    if (any) sw__conn_flush(conn);
}

void sw__h2_stop(sw__conn *conn) {
    if (conn->h2->stopping) return;
    conn->h2->stopping = true;
    nghttp2_submit_goaway(conn->h2->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(conn->h2->session), NGHTTP2_NO_ERROR, NULL, 0);
    sw__h2_pump(conn);
    sw__conn_flush(conn);
}

bool sw__h2_is_idle(const sw__conn *conn) {
    return !conn->h2->streams;
}
