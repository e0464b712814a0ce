#include "serve/client/wire.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#include "base/net.h"
#include "base/os.h"
#include "base/str.h"

enum { READ_BYTES = 256 * 1024, MAX_ANSWER = 1 << 30 };

struct sw__wire {
    const sw_client_options *options;
    int fd;
    sw_buf in, out; /* HTTP: the answer so far; what could not be written at once */
    size_t sent;
    uint8_t *scratch;
    char failure[256];
    /* HTTP */
    size_t head; /* bytes of the head; 0: not whole */
    size_t length;
    int status;
    /* gRPC */
    nghttp2_session *session;
    size_t asked; /* bytes of the request that HTTP/2 has taken */
    int grpc_status;
    bool ended;
};

/* -- HTTP/2 -------------------------------------------------------------------------------------------------------- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t n_name,
                     const uint8_t *value, size_t n, uint8_t flags, void *ctx) {
    sw__wire *w = ctx;
    int64_t code;
    if (n_name == 11 && !memcmp(name, "grpc-status", 11) && sw_str_to_i64((const char *)value, n, &code))
        w->grpc_status = (int)code;
    if (n_name == 12 && !memcmp(name, "grpc-message", 12))
        snprintf(w->failure, sizeof w->failure, "%.*s", n < 250 ? (int)n : 250, (const char *)value);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *ctx) {
    sw__wire *w = ctx;
    w->ended = true;
    return 0;
}

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *to, size_t size, uint32_t *flags,
                            nghttp2_data_source *source, void *ctx) {
    sw__wire *w = ctx;
    size_t left = w->options->size - w->asked, n = left < size ? left : size;
    memcpy(to, (const uint8_t *)w->options->request + w->asked, n);
    w->asked += n;
    if (w->asked == w->options->size) *flags = NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static sw_status make_session(sw__wire *w) {
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks)) return SW_E_NOMEM;
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    int failed = nghttp2_session_client_new(&w->session, callbacks, w);
    nghttp2_session_callbacks_del(callbacks);
    if (failed) return SW_E_NOMEM;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30},
                                         {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    nghttp2_submit_settings(w->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(w->session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    return SW_OK;
}

static nghttp2_nv header(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static sw_status ask_grpc(sw__wire *w) {
    const nghttp2_nv nv[] = {header(":method", "POST"),         header(":scheme", "http"),
                             header(":path", w->options->path), header(":authority", w->options->host),
                             header("te", "trailers"),          header("content-type", "application/grpc")};
    nghttp2_data_provider provider = {.read_callback = read_request};
    w->asked = 0;
    w->ended = false;
    w->grpc_status = -1;
    w->failure[0] = 0;
    return nghttp2_submit_request(w->session, NULL, nv, sizeof nv / sizeof *nv, &provider, w) < 0 ? SW_E_NOMEM : SW_OK;
}

/* -- Both ---------------------------------------------------------------------------------------------------------- */

sw_status sw__wire_open(const sw_client_options *options, sw__wire **wire) {
    sw__wire *w = sw_calloc(NULL, 1, sizeof *w);
    if (!w) return SW_E_NOMEM;
    w->options = options;
    w->fd = -1;
    w->in = sw_buf_make(NULL, MAX_ANSWER);
    w->out = sw_buf_make(NULL, 0);
    w->scratch = sw_alloc(NULL, READ_BYTES);
    sw_status status = w->scratch ? sw_net_connect(options->host, options->port, options->diag, &w->fd) : SW_E_NOMEM;
    if (status == SW_OK && options->grpc) status = make_session(w);
    if (status == SW_OK)
        *wire = w;
    else
        sw__wire_close(w);
    return status;
}

void sw__wire_close(sw__wire *w) {
    if (!w) return;
    if (w->session) nghttp2_session_del(w->session);
    sw_net_close(w->fd);
    sw_buf_free(&w->in);
    sw_buf_free(&w->out);
    sw_free(NULL, w->scratch);
    sw_free(NULL, w);
}

int sw__wire_fd(const sw__wire *w) {
    return w->fd;
}

static sw_status gone(const sw__wire *w) {
    return sw_fail(w->options->diag, SW_E_IO, w->options->host, NULL, "the server ended the connection");
}

static sw_status flush(sw__wire *w) {
    while (w->sent < w->out.size) {
        int64_t n = sw_net_write(w->fd, w->out.data + w->sent, w->out.size - w->sent, "", 0);
        if (n == SW_NET_AGAIN) return SW_OK;
        if (n < 0) return gone(w);
        w->sent += (size_t)n;
    }
    sw_buf_clear(&w->out);
    w->sent = 0;
    return SW_OK;
}

/* Writes all that HTTP/2 has to say. */
static sw_status pump(sw__wire *w) {
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(w->session, &data)) > 0) sw_buf_append(&w->out, data, (size_t)n);
    return w->out.status != SW_OK ? w->out.status : flush(w);
}

sw_status sw__wire_ask(sw__wire *w) {
    if (w->options->grpc) {
        SW_TRY(ask_grpc(w));
        return pump(w);
    }
    sw_buf_clear(&w->in);
    w->head = w->length = 0;
    sw_buf_append(&w->out, w->options->request, w->options->size);
    return w->out.status != SW_OK ? w->out.status : flush(w);
}

static void read_head(sw__wire *w) {
    const char *text = (const char *)w->in.data;
    const char *end = memmem(text, w->in.size, "\r\n\r\n", 4);
    if (!end) return;
    w->head = (size_t)(end - text) + 4;
    int64_t length = 0, status = 0;
    /* From the line's begin: Inference-Header-Content-Length ends in the same word. */
    static const char name[] = "\r\nContent-Length: ";
    const char *field = memmem(text, w->head, name, sizeof name - 1);
    if (field) sw_str_to_i64(field + sizeof name - 1, strcspn(field + sizeof name - 1, "\r"), &length);
    if (w->head > 12) sw_str_to_i64(text + 9, 3, &status);
    w->length = length > 0 ? (size_t)length : 0;
    w->status = (int)status;
}

const sw_buf *sw__wire_body(const sw__wire *w, size_t *from, int *status) {
    *from = w->head;
    *status = w->status;
    return &w->in;
}

static sw_status take_http(sw__wire *w, const uint8_t *data, size_t size, bool *done) {
    sw_buf_append(&w->in, data, size);
    if (w->in.status != SW_OK) return w->in.status;
    if (!w->head) read_head(w);
    *done = w->head && w->in.size - w->head >= w->length;
    w->failure[0] = 0;
    if (*done && w->status != 200)
        snprintf(w->failure, sizeof w->failure, "%d %.*s", w->status, w->length < 240 ? (int)w->length : 240,
                 (const char *)w->in.data + w->head);
    return SW_OK;
}

static sw_status take_grpc(sw__wire *w, const uint8_t *data, size_t size, bool *done) {
    if (nghttp2_session_mem_recv(w->session, data, size) < 0) return gone(w);
    *done = w->ended;
    if (*done && w->grpc_status == 0) w->failure[0] = 0;
    if (*done && w->grpc_status != 0 && !w->failure[0])
        snprintf(w->failure, sizeof w->failure, "gRPC status %d", w->grpc_status);
    return pump(w);
}

sw_status sw__wire_read(sw__wire *w, bool *done, const char **failure) {
    *done = false;
    *failure = w->failure;
    SW_TRY(flush(w));
    for (;;) {
        int64_t n = sw_net_read(w->fd, w->scratch, READ_BYTES);
        if (n == SW_NET_AGAIN) return SW_OK;
        if (n <= 0) return gone(w);
        SW_TRY(w->options->grpc ? take_grpc(w, w->scratch, (size_t)n, done)
                                : take_http(w, w->scratch, (size_t)n, done));
        if (*done || n < READ_BYTES) return SW_OK;
    }
}
