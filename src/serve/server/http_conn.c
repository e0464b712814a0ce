/* HTTP/1 on a connection: requests in turn, each answered before the next is looked at. */
#include <string.h>

#include "serve/server/internal.h"

enum { LEAST_TO_COMPRESS = 256 };

static const char text_json[] = "application/json";

static int status_of(sw_serve_code code) {
    static const int status[] = {
        [SW_SERVE_OK] = 200,          [SW_SERVE_UNKNOWN] = 400,        [SW_SERVE_INTERNAL] = 500,
        [SW_SERVE_NOT_FOUND] = 404,   [SW_SERVE_INVALID_ARG] = 400,    [SW_SERVE_UNAVAILABLE] = 503,
        [SW_SERVE_UNSUPPORTED] = 501, [SW_SERVE_ALREADY_EXISTS] = 400, [SW_SERVE_CANCELLED] = 400,
    };
    return status[code];
}

/* The request has its answer; on with the next one. */
static void finish_request(sw__conn *c, bool close) {
    c->busy = false;
    if (close) c->closing = true;
    sw_http_next(c->http);
}

void sw__http_answer(sw__conn *c, const sw_http_answer *answer, const void *body, size_t size) {
    const sw_http_request *r = &c->http->request;
    sw_http_answer a = *answer;
    bool broken = c->http->state == SW_HTTP_BROKEN;
    a.close |= broken || !r->keep_alive || atomic_load(&c->loop->server->stopping);
    if (!broken && r->minor == 0 && !a.close && !a.more) a.more = "Connection: keep-alive\r\n";
    bool has_body = broken || strcmp(r->method, "HEAD") != 0;
    sw_http_answer_head(sw__conn_out(c), &a, size);
    /* Small answers wait for the others of their turn, so that pipelined requests cost one write. */
    if (has_body && size <= 4096)
        sw_buf_append(sw__conn_out(c), body, size);
    else if (has_body)
        sw__conn_send(c, body, size);
    finish_request(c, a.close);
}

void sw__http_error(sw__conn *c, const sw_serve_error *error) {
    sw_buf *body = &c->loop->body;
    sw_buf_clear(body);
    sw_kserve_write_error(body, error->text);
    sw_http_answer answer = {.status = status_of(error->code), .type = text_json, .json_size = -1};
    if (error->code == SW_SERVE_UNAVAILABLE) answer.more = "Retry-After: 1\r\n";
    sw__http_answer(c, &answer, body->data, body->size);
}

/* A request that cannot be read: its answer, and the end. */
static void answer_broken(sw__conn *c) {
    sw_buf *body = &c->loop->body;
    sw_buf_clear(body);
    sw_kserve_write_error(body, c->http->why);
    sw_http_answer answer = {.status = c->http->failure, .type = text_json, .json_size = -1, .close = true};
    c->draining = true;
    sw__http_answer(c, &answer, body->data, body->size);
}

static void settle(sw__conn *c) {
    sw_http *h = c->http;
    if (h->wants_continue) {
        sw_buf_append_text(sw__conn_out(c), "HTTP/1.1 100 Continue\r\n\r\n");
        h->wants_continue = false;
    }
    if (h->state == SW_HTTP_READY && sw_http_decode(h)) {
        c->busy = true;
        sw__http_dispatch(c);
    }
    if (h->state == SW_HTTP_BROKEN) answer_broken(c);
}

size_t sw__http_take(sw__conn *c, const uint8_t *data, size_t size) {
    size_t taken = size ? sw_http_feed(c->http, data, size) : 0;
    settle(c);
    return taken;
}

/* -- Inference ----------------------------------------------------------------------------------------------------- */

/* On any thread: the body of the answer, compressed if the client takes that. */
static void encode(sw__call *call) {
    sw_buf *body = &call->body;
    sw_serve_code code = call->error.code;
    if (code == SW_SERVE_OK)
        code =
            sw_kserve_write(&call->k, sw_serve_model_info(call->k.request.model), body, &call->json_size, &call->error);
    if (code != SW_SERVE_OK || !call->accepts || body->size < LEAST_TO_COMPRESS) return;
    sw_buf packed = sw_buf_make(NULL, 0);
    sw_http_coding coding = call->accepts & SW_HTTP_GZIP ? SW_HTTP_GZIP : SW_HTTP_DEFLATE;
    if (sw_http_encode(coding, body->data, body->size, &packed) == SW_OK) {
        sw_buf_free(body);
        *body = packed;
        call->coding = coding;
    } else
        sw_buf_free(&packed);
}

static void finish(sw__call *call) {
    sw__conn *c = call->conn;
    sw_http_answer answer = {.status = 200,
                             .type = call->json_size >= 0 ? "application/octet-stream" : text_json,
                             .json_size = call->json_size,
                             .coding = call->coding};
    sw__call_note(call, SW__PROTOCOL_HTTP); /* before it is written: large bodies are written at once */
    if (c->closed)
        c->busy = false;
    else if (call->error.code != SW_SERVE_OK)
        sw__http_error(c, &call->error);
    else
        sw__http_answer(c, &answer, call->body.data, call->body.size);
    sw__call_end(call);
}

static const char *header_of(void *ctx, const char *name) {
    const sw__conn *c = ctx;
    return sw_http_header_of(&c->http->request, name);
}

static const char *parameter_of(void *ctx, const char *name) {
    const sw__conn *c = ctx;
    return sw_kserve_parameter_of(&c->calls->k, name);
}

void sw__http_infer(sw__conn *c, const char *model, const char *version) {
    const sw_http_request *r = &c->http->request;
    sw__call *call = sw__call_begin(c);
    if (!call) {
        sw__http_error(c, &(sw_serve_error){SW_SERVE_UNAVAILABLE, "out of memory"});
        return;
    }
    call->encode = encode;
    call->finish = finish;
    call->accepts = r->accepts;
    call->json_size = -1;
    sw_serve_hint hint = {.path = r->path,
                          .content_type = sw_http_header_of(r, "content-type"),
                          .header = header_of,
                          .parameter = parameter_of,
                          .ctx = c};
    bool raw = r->json_size == 0; /* then the model tells what the bytes are, else the request may tell which model */
    sw_serve_code code =
        raw ? SW_SERVE_OK : sw_kserve_read(&call->k, model, r->body, r->body_size, r->json_size, &call->error);
    if (code == SW_SERVE_OK && raw)
        sw__hint_measure(&hint, c->loop->server, model, r->body, r->body_size);
    else if (code == SW_SERVE_OK)
        sw__hint_measure_input(&hint, c->loop->server, model, &call->k.request);
    if (code == SW_SERVE_OK) code = sw__call_find(call, model, version, &hint);
    if (code == SW_SERVE_OK && raw)
        code = sw_kserve_read_raw(&call->k, sw_serve_model_info(call->k.request.model), r->body, r->body_size,
                                  &call->error);
    if (code == SW_SERVE_OK)
        sw__call_submit(call);
    else
        finish(call);
}
