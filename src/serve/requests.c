/* A request's life: checked and queued, its results handed over, its end. */
#include <string.h>

#include "serve/internal.h"

static bool grow(void **block, int *cap, int need, size_t size) {
    if (need <= *cap) return true;
    void *fresh = sw_alloc(NULL, (size_t)need * size);
    if (!fresh) return false;
    sw_free(NULL, *block);
    *block = fresh;
    *cap = need;
    return true;
}

sw__held *sw__serve_hold(sw_serve_request *request, int n_inputs) {
    sw__held *held = request->held;
    if (!held) held = request->held = sw_calloc(NULL, 1, sizeof *held);
    return held && grow((void **)&held->inputs, &held->cap_inputs, n_inputs, sizeof(void *)) ? held : NULL;
}

void sw_serve_request_free(sw_serve_request *request) {
    sw__held *held = request->held;
    if (!held) return;
    sw__ensemble_run_free(held->run);
    sw__serve_release(held);
    sw_free(NULL, held->results);
    sw_free(NULL, held->bytes);
    sw_free(NULL, held->inputs);
    sw_free(NULL, held);
    request->held = NULL;
}

static size_t padded(size_t bytes) {
    return (bytes + SW_ALIGN - 1) / SW_ALIGN * SW_ALIGN;
}

void sw__serve_release(sw__held *held) {
    if (held->memory) held->release(held->memory);
    held->memory = NULL;
}

void sw__serve_keep_results(sw_serve_request *request) {
    sw__held *held = request->held;
    const int n = request->n_results;
    size_t total = 0;
    for (int i = 0; i < n; i++) total += padded(held->results[i].bytes);
    for (int i = 0; i < n && held->depth; i++) atomic_fetch_add(&request->model->core->copied, held->results[i].bytes);
    if (total > held->cap_bytes) {
        void *fresh = sw_alloc(NULL, total);
        if (!fresh) {
            (void)sw__serve_no_memory(&request->error);
            return;
        }
        sw_free(NULL, held->bytes);
        held->bytes = fresh;
        held->cap_bytes = total;
    }
    char *to = held->bytes;
    for (int i = 0; i < n; i++) {
        if (held->results[i].bytes) memcpy(to, held->results[i].data, held->results[i].bytes);
        held->results[i].data = to;
        to += padded(held->results[i].bytes);
    }
}

void sw__serve_hand_over(sw_serve_request *request, const sw_serve_tensor *out, sw__instance *instance) {
    const sw_serve_info *info = &request->model->info;
    sw__held *held = request->held;
    int n = request->n_wanted ? request->n_wanted : info->n_outputs;
    if (!grow((void **)&held->results, &held->cap_results, n, sizeof *held->results)) {
        (void)sw__serve_no_memory(&request->error);
        return;
    }
    for (int i = 0; i < n; i++) {
        int at = i;
        if (request->n_wanted)
            for (at = 0; strcmp(info->outputs[at].name, request->wanted[i]) != 0;) at++;
        held->results[i] = out[at];
        held->results[i].name = info->outputs[at].name;
    }
    request->n_results = n;
    request->results = held->results;
    const sw_serve_backend *backend = request->model->backend;
    if (request->at_once) return;
    sw__serve_release(held);
    if (instance && backend->take_memory) {
        held->memory = backend->take_memory(instance->handle);
        held->release = backend->release;
    }
    if (!held->memory) sw__serve_keep_results(request);
}

static sw__failure reason_of(const sw_serve_request *request) {
    if (request->error.code == SW_SERVE_CANCELLED) return SW__CANCELED;
    if (request->model->ensemble) return SW__OTHER;
    if (request->times.started) return SW__BACKEND;
    return request->error.code == SW_SERVE_UNAVAILABLE ? SW__REJECTED : SW__OTHER;
}

void sw__serve_finish(sw_serve_request *request) {
    sw_serve_model *model = request->model;
    sw_serve *core = model->core;
    request->times.done = sw__serve_now(core);
    if (request->error.code != SW_SERVE_OK) request->n_results = 0;
    pthread_mutex_lock(&model->tally->lock);
    if (request->error.code == SW_SERVE_OK)
        sw__stats_success(&model->tally->stats, &request->times);
    else if (request->error.code != SW_SERVE_INVALID_ARG ||
             request->times.started) /* what does not fit counts for nothing */
        sw__stats_failure(&model->tally->stats, reason_of(request), request->times.done - request->times.queued);
    pthread_mutex_unlock(&model->tally->lock);
    if (core->options.access && !(request->held && ((sw__held *)request->held)->copy))
        core->options.access(core->options.access_ctx, request);
    sw__copy *copies =
        atomic_load_explicit(&core->rules_set, memory_order_relaxed) ? sw__shadow_take(core, request) : NULL;
    request->done(request);
    sw__shadow_send(copies);
    atomic_fetch_sub(&core->inside, 1);
}

void sw__serve_submit(sw_serve *core, sw_serve_request *request, bool inner) {
    sw_serve_model *model = request->model;
    sw_serve_error *error = &request->error;
    sw__held *held = sw__serve_hold(request, model->info.n_inputs);
    error->code = SW_SERVE_OK;
    error->text[0] = 0;
    request->n_results = 0;
    request->times = (sw_serve_times){.queued = sw__serve_now(core)};
    atomic_fetch_add(&core->inside, 1);
    char id[SW__ID_TEXT];
    if (!held)
        (void)sw__serve_no_memory(error);
    else if (!inner && atomic_load(&core->draining))
        (void)sw_serve_fail(error, SW_SERVE_UNAVAILABLE,
                            "%sServer is stopping, scheduler for model has stopped accepting new "
                            "inference requests",
                            sw__serve_id_text(request, id));
    else if (sw__serve_check(request, held, error) == SW_SERVE_OK) {
        held->cancelled = false;
        held->partial = request->demand && model->backend->demand && !atomic_load(&core->shadowed);
        if (model->ensemble)
            sw__ensemble_submit(model, request);
        else
            sw__queue_submit(model, request);
        return;
    }
    sw__serve_finish(request);
}

void sw_serve_submit(sw_serve *core, sw_serve_request *request) {
    sw__serve_submit(core, request, false);
}

void sw_serve_cancel(sw_serve *core, sw_serve_request *request) {
    if (!sw__queue_remove(request->model, request)) return;
    char id[SW__ID_TEXT];
    (void)sw_serve_fail(&request->error, SW_SERVE_CANCELLED, "%sRequest cancelled", sw__serve_id_text(request, id));
    sw__serve_finish(request);
}
