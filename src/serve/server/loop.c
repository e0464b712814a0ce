#include <string.h>

#include "serve/server/internal.h"

enum { TICK_MS = 1000, MAX_EVENTS = 128, MAX_FREE_CALLS = 256, KEEP_OUT = 256 * 1024, MAX_UNSENT = 256 * 1024 };
/* Who sends a request more slowly than this, beyond the time that every request has, is cut off. */
enum { SLOWEST_BYTES_PER_S = 16 * 1024 };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum { PREFACE = sizeof preface - 1 };

/* -- Connections --------------------------------------------------------------------------------------------------- */

static void unlink_conn(sw__conn *c) {
    if (c->before) c->before->next = c->next;
    if (c->next) c->next->before = c->before;
    if (c->loop->conns == c) c->loop->conns = c->next;
    c->loop->n_conns--;
}

static void give_http(sw__conn *c) {
    sw__loop *loop = c->loop;
    if (!c->http) return;
    if (loop->n_free_http < (int)(sizeof loop->free_http / sizeof *loop->free_http)) {
        sw_http_next(c->http);
        loop->free_http[loop->n_free_http++] = c->http;
    } else {
        sw_http_free(c->http);
        sw_free(NULL, c->http);
    }
    c->http = NULL;
}

static bool need_http(sw__conn *c) {
    sw__loop *loop = c->loop;
    if (c->http) return true;
    if (loop->n_free_http) {
        c->http = loop->free_http[--loop->n_free_http];
        return true;
    }
    c->http = sw_alloc(NULL, sizeof *c->http);
    if (c->http) sw_http_init(c->http, NULL, loop->server->options.max_body);
    return c->http != NULL;
}

/* Frees a closed connection once no call refers to it. */
static void bury(sw__conn *c) {
    if (c->calls) return;
    give_http(c);
    sw__h2_destroy(c->h2);
    sw_buf_free(&c->out);
    sw_buf_free(&c->rest);
    unlink_conn(c);
    sw_free(NULL, c);
}

/* The object lives on until the sweep, since callers hold it. */
static void close_conn(sw__conn *c) {
    if (c->closed) return;
    c->closed = true;
    if (c->tls) sw__tls_shutdown_write(c->tls);
    sw__tls_free(c->tls);
    c->tls = NULL;
    sw_poller_remove(&c->loop->poller, c->fd);
    sw_net_close(c->fd);
    sw_buf_clear(&c->loop->out);
    for (sw__call *call = c->calls; call; call = call->after) sw__call_cancel(call);
}

sw_buf *sw__conn_out(sw__conn *c) {
    return c->out.size ? &c->out : &c->loop->out;
}

static int64_t write_bytes(sw__conn *c, const void *first, size_t n_first, const void *second, size_t n_second) {
    return c->tls ? sw__tls_write(c->tls, first, n_first, second, n_second)
                  : sw_net_write(c->fd, first, n_first, second, n_second);
}

static int64_t read_bytes(sw__conn *c, void *data, size_t size) {
    return c->tls ? sw__tls_read(c->tls, data, size) : sw_net_read(c->fd, data, size);
}

/* Writes what is pending, then `body`; what the socket does not take is kept in c->out. */
static void write_out(sw__conn *c, const void *body, size_t size) {
    sw_buf *out = sw__conn_out(c);
    const uint8_t *head = out->data ? out->data + c->sent : NULL;
    size_t n_head = out->size - c->sent;
    if (c->closed || !(n_head + size)) return;
    int64_t n = out->status == SW_OK ? write_bytes(c, head, n_head, body, size) : SW_NET_ERROR;
    if (n == SW_NET_ERROR) {
        sw_buf_clear(out);
        c->sent = 0;
        close_conn(c);
        return;
    }
    size_t done = n > 0 ? (size_t)n : 0;
    if (done) c->since_ns = c->loop->now_ns;
    if (out == &c->out && done < n_head) {
        c->sent += done;
        sw_buf_append(out, body, size);
        return;
    }
    if (done == n_head + size) { /* as nearly always */
        sw_buf_clear(out);
        c->sent = 0;
        if (out == &c->out) sw_buf_free(out);
        return;
    }
    size_t of_body = done > n_head ? done - n_head : 0, of_head = done - of_body;
    if (out == &c->loop->out) {
        sw_buf_append(&c->out, head ? (const void *)(head + of_head) : "", n_head - of_head);
        sw_buf_clear(out);
    } else {
        sw_buf_clear(out);
        c->sent = 0;
    }
    sw_buf_append(&c->out, (const uint8_t *)body + of_body, size - of_body);
}

void sw__conn_send(sw__conn *c, const void *body, size_t size) {
    write_out(c, body, size);
}

void sw__conn_flush(sw__conn *c) {
    write_out(c, "", 0);
    if (c->closing && !c->busy && !c->out.size && !c->closed) {
        if (c->draining && !c->ended) {
            if (c->tls) sw__tls_shutdown_write(c->tls);
            sw_net_shutdown_write(c->fd);
        } else
            close_conn(c);
    }
    if (c->loop->out.cap > KEEP_OUT) sw_buf_free(&c->loop->out);
}

/* -- Reading ------------------------------------------------------------------------------------------------------- */

/* Tells HTTP/2 from HTTP/1 by the first bytes. True when it is known; bytes that are too few stay in c->rest. */
static bool sniff(sw__conn *c, const uint8_t *data, size_t size) {
    size_t n = size < PREFACE ? size : PREFACE;
    bool same = !memcmp(data, preface, n) && c->speaks & SW_SERVER_GRPC;
    if (same && n < PREFACE) return false;
    c->sniffed = true;
    if (same && sw__h2_create(c) != SW_OK) close_conn(c);
    return true;
}

/* Takes bytes as far as possible now; what is left is kept. */
static void take(sw__conn *c, const uint8_t *data, size_t size) {
    size_t at = 0;
    if (!c->sniffed && size && !sniff(c, data, size)) {
        sw_buf_append(&c->rest, data, size);
        return;
    }
    while (at < size && !c->closed && !c->closing && !c->busy) {
        if (c->h2) {
            if (!sw__h2_take(c, data + at, size - at)) c->closing = true;
            return;
        }
        if (!need_http(c)) {
            close_conn(c);
            return;
        }
        at += sw__http_take(c, data + at, size - at);
    }
    if (c->closed || c->closing) return;
    if (at < size) sw_buf_append(&c->rest, data + at, size - at);
    if (c->rest.status != SW_OK) close_conn(c);
}

static void take_rest(sw__conn *c) {
    sw_buf rest = c->rest;
    c->rest = sw_buf_make(NULL, 0);
    take(c, rest.data, rest.size);
    sw_buf_free(&rest);
}

/* One read; false when there is nothing more to read now. */
static bool read_some(sw__conn *c) {
    size_t room = SW__SCRATCH_BYTES;
    uint8_t *space = c->http ? sw_http_space(c->http, &room) : NULL;
    int64_t n = read_bytes(c, space ? space : c->loop->scratch, room);
    if (n == SW_NET_AGAIN) {
        c->readable = false;
        return false;
    }
    if (n <= 0) {
        c->readable = false;
        /* HTTP/1 allows a client that has said all to wait for its answer; whoever left midway, or from HTTP/2, is gone. */
        if (n == SW_NET_END && sw__conn_out(c)->size && !c->h2)
            c->closing = true;
        else
            close_conn(c);
        return false;
    }
    c->read_ns = sw_clock_ns();
    if (!c->http || !sw_http_is_midway(c->http)) {
        c->since_ns = c->loop->now_ns;
        c->received = 0;
    }
    c->received += (uint64_t)n;
    if (space) {
        sw_http_filled(c->http, (size_t)n);
        sw__http_take(c, NULL, 0);
    } else if (c->rest.size) {
        sw_buf_append(&c->rest, c->loop->scratch, (size_t)n);
        take_rest(c);
    } else
        take(c, c->loop->scratch, (size_t)n);
    if ((size_t)n < room && !c->ended && !c->tls) c->readable = false; /* TLS gives a record at a time */
    return c->readable;
}

/* A client that is still sending what was refused would not see the answer if the connection were just closed. */
static void discard(sw__conn *c) {
    while (c->readable && !c->closed) {
        int64_t n = read_bytes(c, c->loop->scratch, SW__SCRATCH_BYTES);
        if (n == SW_NET_AGAIN) c->readable = false;
        if (n == SW_NET_END || n == SW_NET_ERROR) close_conn(c);
    }
}

/* Reads and answers until there is nothing to read, an answer is awaited, or the client does not take its answers. */
static void serve(sw__conn *c) {
    bool more = true;
    while (more && !c->closed && !c->busy && !c->closing && c->out.size - c->sent < MAX_UNSENT) {
        if (c->rest.size && c->sniffed)
            take_rest(c);
        else
            more = c->readable && read_some(c);
    }
    if (c->h2 && !c->closed) sw__h2_pump(c);
    if (!c->closed) sw__conn_flush(c);
    if (c->http && !c->busy && !sw_http_is_midway(c->http)) give_http(c);
}

static void on_event(sw__conn *c, int what) {
    if (c->closed) return;
    if (what & SW_POLL_BROKEN) {
        close_conn(c);
        return;
    }
    if (what & SW_POLL_ENDED) c->ended = true;
    if (what & (SW_POLL_READ | SW_POLL_ENDED) || c->tls) c->readable = true; /* TLS may have waited to write first */
    if (c->out.size) sw__conn_flush(c);
    serve(c);
    if (c->draining) discard(c);
}

/* -- Listening ----------------------------------------------------------------------------------------------------- */

static void add_conn(sw__loop *loop, const sw__listener *listener, int fd) {
    sw__conn *c = sw_calloc(NULL, 1, sizeof *c);
    if (!c) {
        sw_net_close(fd);
        return;
    }
    *c = (sw__conn){.tag = SW__TAG_CONN, .fd = fd, .speaks = listener->speaks, .loop = loop, .since_ns = loop->now_ns};
    c->out = c->rest = sw_buf_make(NULL, 0);
    c->next = loop->conns;
    if (c->next) c->next->before = c;
    loop->conns = c;
    loop->n_conns++;
    if (listener->tls) c->tls = sw__tls_accept(listener->tls, fd);
    if ((listener->tls && !c->tls) || sw_poller_add(&loop->poller, fd, c) != SW_OK) close_conn(c);
}

static void listen_again(sw__loop *loop) {
    sw_server *server = loop->server;
    for (int i = 0; i < server->n_listeners; i++)
        if (sw_poller_add_listener(&loop->poller, server->listeners[i].fd, &server->listeners[i]) != SW_OK)
            loop->paused = true;
}

static void stop_listening(sw__loop *loop) {
    for (int i = 0; i < loop->server->n_listeners; i++) sw_poller_remove(&loop->poller, loop->server->listeners[i].fd);
}

static void on_listener(sw__loop *loop, const sw__listener *listener) {
    for (int i = 0; i < MAX_EVENTS; i++) {
        int fd = sw_net_accept(listener->fd);
        if (fd == SW_NET_FULL && !loop->paused) { /* else it would be told again and again */
            loop->paused = true;
            stop_listening(loop);
        }
        if (fd < 0) return;
        add_conn(loop, listener, fd);
    }
}

/* -- The loop ------------------------------------------------------------------------------------------------------ */

bool sw__conn_is_slow(const sw__conn *c, int64_t since_ns, uint64_t received) {
    int64_t seconds = c->loop->server->options.request_seconds + (int64_t)(received / SLOWEST_BYTES_PER_S);
    return c->loop->now_ns - since_ns > seconds * 1000000000;
}

static bool is_late(const sw__conn *c) {
    const sw_server_options *o = &c->loop->server->options;
    int64_t age = c->loop->now_ns - c->since_ns, second = 1000000000;
    if (c->busy || (c->calls && !c->out.size)) return false;
    if (c->tls && !sw__tls_is_open(c->tls)) return age > o->request_seconds * second;
    if (c->http && sw_http_is_midway(c->http)) return sw__conn_is_slow(c, c->since_ns, c->received);
    if (c->out.size || c->closing || (c->rest.size && !c->sniffed)) return age > o->request_seconds * second;
    return age > o->idle_seconds * second;
}

/* Once a second, and when the server stops: ends connections that are late, buries those that have ended. */
static void sweep(sw__loop *loop) {
    bool stopping = atomic_load(&loop->server->stopping);
    loop->swept_ns = loop->now_ns;
    sw__detectors_sweep(loop->server->detectors, loop->now_ns);
    for (sw__conn *c = loop->conns, *next; c; c = next) {
        next = c->next;
        if (c->h2 && !c->closed) sw__h2_sweep(c);
        if (stopping && c->h2 && !c->closed) sw__h2_stop(c);
        bool idle =
            !c->calls && !c->out.size && !(c->http && sw_http_is_midway(c->http)) && (!c->h2 || sw__h2_is_idle(c));
        if (!c->closed && ((stopping && idle) || is_late(c))) close_conn(c);
        if (c->closed) bury(c);
    }
    if (loop->paused && !stopping) {
        loop->paused = false;
        listen_again(loop);
    }
}

/* Calls that came back, in the order in which they did. */
static void take_returned(sw__loop *loop) {
    sw__call *list = atomic_exchange(&loop->returned, NULL), *ordered = NULL;
    while (list) {
        sw__call *next = list->next;
        list->next = ordered;
        ordered = list;
        list = next;
    }
    while (ordered) {
        sw__call *call = ordered;
        sw__conn *c = call->conn;
        ordered = call->next;
        call->finish(call);
        if (!c->closed) serve(c);
    }
}

static void *run_loop(void *ctx) {
    sw__loop *loop = ctx;
    sw_poll_event events[MAX_EVENTS];
    bool stopped = false;
    while (!atomic_load(&loop->server->leaving) || loop->conns) {
        int n = sw_poller_wait(&loop->poller, TICK_MS, events, MAX_EVENTS);
        loop->now_ns = sw_clock_ns();
        take_returned(loop);
        for (int i = 0; i < n; i++) {
            sw__tag *tag = events[i].tag;
            if (tag && *tag == SW__TAG_CONN) on_event((sw__conn *)tag, events[i].what);
            if (tag && *tag == SW__TAG_LISTENER) on_listener(loop, (sw__listener *)tag);
        }
        bool stopping = atomic_load(&loop->server->stopping);
        if (stopping && !stopped) stop_listening(loop);
        if (stopping != stopped || loop->now_ns - loop->swept_ns > TICK_MS * 1000000LL || stopping) sweep(loop);
        stopped = stopping;
        if (atomic_load(&loop->server->leaving))
            for (sw__conn *c = loop->conns; c; c = c->next) close_conn(c);
    }
    return NULL;
}

sw_status sw__loop_start(sw__loop *loop, sw_server *server) {
    *loop = (sw__loop){.server = server, .poller = {-1, -1}, .now_ns = sw_clock_ns()};
    loop->out = loop->body = sw_buf_make(NULL, 0);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&loop->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    loop->scratch = sw_alloc(NULL, SW__SCRATCH_BYTES);
    if (!loop->scratch) return SW_E_NOMEM;
    SW_TRY(sw_poller_open(server->options.diag, &loop->poller));
    listen_again(loop);
    return sw_thread_start(&loop->thread, run_loop, loop);
}

void sw__loop_join(sw__loop *loop) {
    if (loop->thread.handle) sw_thread_join(&loop->thread);
    while (atomic_load(&loop->returning))
        sw_sleep_ms(1); /* its calls are done, but who returned the last may be about to wake it */
    for (sw__call *call = loop->free_calls, *next; call; call = next) {
        next = call->next;
        sw_kserve_free(&call->k);
        sw_buf_free(&call->body);
        sw_free(NULL, call);
    }
    while (loop->n_free_http) {
        sw_http_free(loop->free_http[--loop->n_free_http]);
        sw_free(NULL, loop->free_http[loop->n_free_http]);
    }
    sw_buf_free(&loop->out);
    sw_buf_free(&loop->body);
    sw_free(NULL, loop->scratch);
    sw_poller_close(&loop->poller);
    pthread_mutex_destroy(&loop->lock);
}
