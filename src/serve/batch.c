/* One execution: requests gathered into one batch, computed, and its rows handed back to each. */
#include <string.h>

#include "engine/demand.h"
#include "serve/internal.h"

/* The inner shape of a reshaped port: the n-th -1 of `to` is what stands at the n-th -1 of `from`. */
static void reshape(sw_serve_tensor *t, int batched, int from_rank, const int64_t *from, int to_rank,
                    const int64_t *to) {
    int64_t dims[SW_MAX_RANK];
    int at = 0;
    if (t->rank != from_rank + batched || to_rank + batched > SW_MAX_RANK) return;
    for (int i = 0; i < to_rank; i++) {
        dims[i] = to[i];
        if (to[i] >= 0) continue;
        while (at < from_rank && from[at] >= 0) at++;
        dims[i] = at < from_rank ? t->dims[batched + at++] : 1;
    }
    memcpy(t->dims + batched, dims, (size_t)to_rank * sizeof *dims);
    t->rank = to_rank + batched;
}

/* Bytes of the rows [from, from + n) of a batched tensor, and where they begin; false when the data does not have them. */
static bool rows_of(const sw_serve_tensor *t, int64_t from, int64_t n, size_t *offset, size_t *bytes) {
    if (t->dtype != SW_SERVE_BYTES) {
        size_t row = t->bytes / (size_t)t->dims[0];
        *offset = row * (size_t)from;
        *bytes = row * (size_t)n;
        return true;
    }
    int64_t count = sw__serve_count(t->rank - 1, t->dims + 1);
    int64_t before = sw__serve_texts_bytes(t->data, t->bytes, from * count);
    int64_t inside =
        before < 0 ? -1 : sw__serve_texts_bytes((const char *)t->data + before, t->bytes - (size_t)before, n * count);
    *offset = (size_t)before;
    *bytes = (size_t)inside;
    return inside >= 0;
}

static bool stage(sw__instance *instance, int port, size_t bytes) {
    if (bytes <= instance->cap_staging[port]) return true;
    void *fresh = sw_alloc(NULL, bytes);
    if (!fresh) return false;
    sw_free(NULL, instance->staging[port]);
    instance->staging[port] = fresh;
    instance->cap_staging[port] = bytes;
    return true;
}

/* An input of the backend from that input of all requests. False when out of memory. */
static bool gather(const sw_serve_model *model, sw__instance *instance, sw_serve_request **batch, int n, int port) {
    int at = model->in_at[port];
    sw_serve_tensor *in = &instance->in[port];
    const char *name = in->name;
    const sw_serve_tensor *first = at < 0 ? NULL : ((sw__held *)batch[0]->held)->inputs[at];
    *in = first ? *first : (sw_serve_tensor){0};
    in->name = name;
    if (!first) return true;
    if (n > 1) {
        in->bytes = 0;
        in->dims[0] = 0;
        for (int i = 0; i < n; i++) {
            const sw_serve_tensor *t = ((sw__held *)batch[i]->held)->inputs[at];
            in->bytes += t->bytes;
            in->dims[0] += t->dims[0];
        }
        if (!stage(instance, port, in->bytes)) return false;
        char *to = instance->staging[port];
        for (int i = 0; i < n; i++) {
            const sw_serve_tensor *t = ((sw__held *)batch[i]->held)->inputs[at];
            if (t->bytes) memcpy(to, t->data, t->bytes);
            to += t->bytes;
        }
        in->data = instance->staging[port];
    }
    const sw__io *io = &model->config.inputs[at];
    if (io->reshaped) reshape(in, model->config.max_batch > 0, io->rank, io->dims, io->inner_rank, io->inner);
    return true;
}

/* What is read of the batch by all that it is for; NULL: everything. */
static const sw_demand *demand_of(sw_serve_request **batch, int n, sw_demand *all) {
    for (int i = 0; i < n; i++) {
        const sw_demand *one = batch[i]->demand;
        if (!((sw__held *)batch[i]->held)->partial || (i && !sw_demand_alike(one, all))) return NULL;
        if (i == 0 || one->above < all->above) *all = *one;
    }
    return all;
}

sw_serve_code sw__serve_compute(sw_serve_model *model, sw__instance *instance, sw_serve_request **batch, int n,
                                bool gated, sw_serve_times *times, sw_serve_error *error) {
    times->started = sw__serve_now(model->core);
    for (int i = 0; i < model->n_in; i++)
        if (!gather(model, instance, batch, n, i)) return sw__serve_no_memory(error);
    sw_demand demand;
    if (model->backend->demand) model->backend->demand(instance->handle, demand_of(batch, n, &demand));
    gated &= model->backend->computes;
    if (gated) sw__gate_enter(model->core->gate, &model->share, model->threads);
    times->computing = sw__serve_now(model->core);
    sw_serve_code code = model->backend->run(instance->handle, instance->in, instance->out, error);
    times->computed = sw__serve_now(model->core);
    if (model->backend->bytes && model->backend->bytes(instance->handle) != instance->bytes)
        sw__serve_count_bytes(model, instance);
    if (gated) sw__gate_leave(model->core->gate, &model->share, model->threads, times->computed - times->computing);
    return code;
}

/* What request i of the batch gets of the outputs. */
static sw_serve_code slice(sw_serve_model *model, sw__instance *instance, int64_t total, int64_t from, int64_t rows,
                           sw_serve_error *error) {
    bool batched = model->config.max_batch > 0;
    for (int i = 0; i < model->info.n_outputs; i++) {
        sw_serve_tensor *t = &instance->given[i];
        *t = instance->out[model->out_at[i]];
        if (batched && (t->rank < 1 || t->dims[0] != total))
            return sw_serve_fail(
                error, SW_SERVE_INTERNAL,
                "model '%s' gave output '%s' for a batch of %lld, expected %lld; set max_batch_size: 0 if its "
                "first dim is no batch",
                model->info.name, model->info.outputs[i].name, t->rank ? (long long)t->dims[0] : 0, (long long)total);
        size_t offset, bytes;
        if (batched && rows != total) {
            if (!rows_of(t, from, rows, &offset, &bytes))
                return sw_serve_fail(error, SW_SERVE_INTERNAL, "model '%s' gave texts for output '%s' that end early",
                                     model->info.name, model->info.outputs[i].name);
            t->data = (const char *)t->data + offset;
            t->bytes = bytes;
            t->dims[0] = rows;
        }
        const sw__io *io = &model->config.outputs[i];
        if (io->reshaped) reshape(t, batched, io->inner_rank, io->inner, io->rank, io->dims);
    }
    return SW_SERVE_OK;
}

/* Averages for deciding what is quick, and for goals. */
static void note_time(sw__queue *q, int64_t rows, int64_t max_batch, int64_t ns) {
    if (ns < 1) ns = 1;
    q->mean_ns = q->mean_ns ? (7 * q->mean_ns + ns) / 8 : ns;
    if (q->batch_ns && rows <= max_batch)
        q->batch_ns[rows] = q->batch_ns[rows] > 0 ? q->batch_ns[rows] * 0.8 + (double)ns * 0.2 : (double)ns;
}

static void wait_for_turn(sw_serve_model *model, uint64_t ticket) {
    sw__queue *q = &model->queue;
    pthread_mutex_lock(&q->lock);
    while (q->delivered != ticket) pthread_cond_wait(&q->order, &q->lock);
    pthread_mutex_unlock(&q->lock);
}

void sw__serve_run_batch(sw_serve_model *model, sw__instance *instance, sw_serve_request **batch, int n,
                         uint64_t ticket, bool gated) {
    sw__queue *q = &model->queue;
    sw_serve_times times = {0};
    sw_serve_error error = {0};
    int64_t total = 0, from = 0;
    sw_serve_keep(model); /* done() may drop the last reference of others */
    for (int i = 0; i < n; i++) total += ((sw__held *)batch[i]->held)->rows;
    sw_serve_code code = sw__serve_compute(model, instance, batch, n, gated, &times, &error);
    if (model->config.batching.preserve_ordering) wait_for_turn(model, ticket);
    if (code == SW_SERVE_OK) {
        pthread_mutex_lock(&model->tally->lock);
        sw__stats_execution(&model->tally->stats, (uint64_t)total, (uint64_t)(times.computing - times.started),
                            (uint64_t)(times.computed - times.computing),
                            (uint64_t)(sw__serve_now(model->core) - times.computed));
        pthread_mutex_unlock(&model->tally->lock);
    }
    for (int i = 0; i < n; i++) {
        sw_serve_request *r = batch[i];
        sw__held *held = r->held;
        char id[SW__ID_TEXT];
        r->times.started = times.started;
        r->times.computing = times.computing;
        r->times.computed = times.computed;
        if (code != SW_SERVE_OK)
            r->error = error;
        else if (held->cancelled)
            (void)sw_serve_fail(&r->error, SW_SERVE_CANCELLED, "%sRequest cancelled", sw__serve_id_text(r, id));
        else if (slice(model, instance, total, from, held->rows, &r->error) == SW_SERVE_OK)
            sw__serve_hand_over(r, instance->given, n == 1 ? instance : NULL);
        from += held->rows;
        sw__serve_finish(r);
    }
    pthread_mutex_lock(&q->lock);
    note_time(q, total, model->config.max_batch, times.computed - times.computing);
    if (model->config.batching.preserve_ordering) {
        q->delivered++;
        pthread_cond_broadcast(&q->order);
    }
    sw__queue_add_instance(q, instance);
    pthread_mutex_unlock(&q->lock);
    sw_serve_drop(model);
}
