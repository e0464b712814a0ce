#include <string.h>

#include "base/str.h"
#include "serve/server/internal.h"

enum { MAX_FREE_CALLS = 256, KEEP_BODY = 64 * 1024 };

/* The call that this thread is handing to the core; what ends at once needs no queue. */
static _Thread_local sw__call *submitting;

sw__call *sw__call_begin(sw__conn *conn) {
    sw__loop *loop = conn->loop;
    sw__call *call = loop->free_calls;
    if (call) {
        loop->free_calls = call->next;
        loop->n_free_calls--;
    } else {
        call = sw_calloc(NULL, 1, sizeof *call);
        if (!call) return NULL;
        call->body = sw_buf_make(NULL, 0);
    }
    call->conn = conn;
    call->loop = loop;
    call->read_ns = conn->read_ns;
    call->k.max_bytes = loop->server->options.max_body;
    call->k.regions = loop->server->regions;
    call->before = NULL;
    call->after = conn->calls;
    if (call->after) call->after->before = call;
    conn->calls = call;
    return call;
}

void sw__call_end(sw__call *call) {
    sw__loop *loop = call->loop;
    sw__conn *conn = call->conn;
    if (call->before)
        call->before->after = call->after;
    else
        conn->calls = call->after;
    if (call->after) call->after->before = call->before;
    sw_serve_drop(call->k.request.model);
    sw_kserve_clear(&call->k);
    if (call->body.cap > KEEP_BODY)
        sw_buf_free(&call->body);
    else
        sw_buf_clear(&call->body);
    if (loop->n_free_calls == MAX_FREE_CALLS) {
        sw_kserve_free(&call->k);
        sw_buf_free(&call->body);
        sw_buf_free(&call->message);
        sw_free(NULL, call);
        return;
    }
    sw_buf_free(&call->message);
    *call = (sw__call){.k = call->k, .body = call->body, .next = loop->free_calls};
    loop->free_calls = call;
    loop->n_free_calls++;
}

void sw__no_cuda_regions(const sw_server *server, const char *name, sw_serve_error *error) {
    if (!server->regions)
        sw_serve_fail(error, SW_SERVE_INVALID_ARG, "Client shared memory is disabled");
    else
        sw_serve_fail(
            error, SW_SERVE_INVALID_ARG,
            "failed to register CUDA shared memory region: '%.200s', GPUs not supported; system shared memory "
            "is",
            name);
}

/* Digits only. */
bool sw__parse_version(const char *text, int64_t *version) {
    *version = -1;
    if (!text || !*text) return true;
    return strspn(text, "0123456789") == strlen(text) && sw_str_to_i64(text, strlen(text), version);
}

sw_serve_code sw__call_find(sw__call *call, const char *name, const char *version, const sw_serve_hint *hint) {
    int64_t number;
    if (!sw__parse_version(version, &number))
        return sw_serve_fail(
            &call->error, SW_SERVE_INVALID_ARG,
            "failed to get model version from specified version string '%.40s' (details: no whole number)", version);
    return sw_serve_find(call->loop->server->core, name, number, hint, &call->k.request.model, &call->error);
}

/* The queue is a stack that the loop turns round; it is woken by the first that comes. */
void sw__call_return(sw__call *call) {
    sw__loop *loop = call->loop;
    if (call == submitting) {
        call->finished = true;
        return;
    }
    atomic_fetch_add(&loop->returning, 1);
    sw__call *top = atomic_load_explicit(&loop->returned, memory_order_relaxed);
    do call->next = top;
    while (!atomic_compare_exchange_weak_explicit(&loop->returned, &top, call, memory_order_release,
                                                  memory_order_relaxed));
    if (!top) sw_poller_wake(&loop->poller);
    atomic_fetch_sub(&loop->returning, 1);
}

static void on_done(sw_serve_request *request) {
    sw__call *call = request->user;
    if (call != submitting) {
        pthread_mutex_lock(&call->loop->lock);
        call->at_core = false;
        pthread_mutex_unlock(&call->loop->lock);
    }
    call->error = request->error;
    call->encode(call);
    sw__call_return(call);
}

void sw__call_submit(sw__call *call) {
    sw__call *outer = submitting;
    call->k.request.user = call;
    call->k.request.done = on_done;
    call->k.request.at_once = true;
    call->at_core = true;
    submitting = call;
    sw_serve_submit(call->loop->server->core, &call->k.request);
    submitting = outer;
    if (!call->finished) return;
    call->at_core = false;
    call->finish(call);
}

void sw__call_note(const sw__call *call, sw__protocol protocol) {
    const sw_serve_times *t = &call->k.request.times;
    if (call->error.code != SW_SERVE_OK || !t->computed) return;
    sw__overhead_note(&call->loop->overhead[protocol], sw_clock_ns() - call->read_ns - (t->computed - t->computing));
}

void sw__call_cancel(sw__call *call) {
    if (call->cancel) {
        call->cancel(call);
        return;
    }
    pthread_mutex_lock(&call->loop->lock);
    if (call->at_core) sw_serve_cancel(call->loop->server->core, &call->k.request);
    pthread_mutex_unlock(&call->loop->lock);
}

/* -- Loading and unloading ----------------------------------------------------------------------------------------- */

static void on_loaded(void *ctx, const sw_serve_error *error) {
    sw__call *call = ctx;
    call->error = *error;
    call->encode(call);
    sw__call_return(call);
}

void sw__call_load(sw__call *call, const char *name, const sw_kserve_load *load, bool unload) {
    sw_serve *core = call->loop->server->core;
    sw__call *outer = submitting;
    submitting = call;
    if (unload)
        sw_serve_unload(core, name, load->unload_dependents, on_loaded, call);
    else
        sw_serve_load(core, name, load->config, load->files, (int)load->n_files, on_loaded, call);
    submitting = outer;
    if (call->finished) call->finish(call);
}
