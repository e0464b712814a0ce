/* Statistics as the protocol tells them, and metrics in Prometheus' text format with Triton's names. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "serve/internal.h"

/* -- Statistics ------------------------------------------------------------------------------------------------------ */

/* Adds a model, and for the whole server the built-in steps that are part of it. */
static void add(sw_serve_model *model, bool steps, sw_serve_model **models, int *n) {
    sw_serve_keep(model);
    models[(*n)++] = model;
    for (int i = 0; steps && model->ensemble && sw__ensemble_own(model->ensemble, i); i++)
        add(sw__ensemble_own(model->ensemble, i), false, models, n);
}

/* One reference each to the ready versions of a model, or of all; in `arena`. False when out of memory. */
static bool collect(sw_serve *core, const char *name, int64_t version, sw_arena *arena, sw_serve_model ***result,
                    int *n) {
    size_t cap = 0;
    *n = 0;
    pthread_mutex_lock(&core->lock);
    for (size_t i = 0; i < core->cap_entries; i++)
        for (int k = 0; core->entries[i] && k < core->entries[i]->n_versions; k++) {
            const sw_serve_model *model = core->entries[i]->versions[k].model;
            cap++;
            for (int o = 0; model && model->ensemble && sw__ensemble_own(model->ensemble, o); o++) cap++;
        }
    sw_serve_model **models = SW_ARENA_ARRAY(arena, sw_serve_model *, cap + 1);
    for (size_t i = 0; models && i < core->cap_entries; i++) {
        const sw__entry *entry = core->entries[i];
        if (!entry || (name && strcmp(entry->name, name) != 0)) continue;
        for (int k = 0; k < entry->n_versions; k++) {
            if (!entry->versions[k].model || (version >= 0 && version != entry->versions[k].number)) continue;
            add(entry->versions[k].model, !name, models, n);
        }
    }
    pthread_mutex_unlock(&core->lock);
    *result = models;
    return models != NULL;
}

static bool tell(sw_serve_model *model, sw_arena *arena, sw_serve_stats *to) {
    *to = (sw_serve_stats){.name = sw_arena_strdup(arena, model->info.name), .version = model->info.version};
    sw_serve_memory_usage *memory = SW_ARENA_NEW(arena, sw_serve_memory_usage);
    pthread_mutex_lock(&model->tally->lock);
    const sw__stats *s = &model->tally->stats;
    to->last_inference_ms = s->last_ms;
    to->inference_count = s->inferences;
    to->execution_count = s->executions;
    to->success = s->success;
    to->fail = s->fail;
    to->queue = s->queue;
    to->compute_input = s->input;
    to->compute_infer = s->infer;
    to->compute_output = s->output;
    to->n_batches = s->n_batches;
    to->batches = sw_arena_copy(arena, s->batches, (size_t)s->n_batches * sizeof *s->batches);
    pthread_mutex_unlock(&model->tally->lock);
    if (memory && model->bytes > 0) {
        *memory = (sw_serve_memory_usage){"CPU", 0, (uint64_t)model->bytes};
        to->memory = memory;
        to->n_memory = 1;
    }
    return to->name && memory && (to->batches || !to->n_batches);
}

sw_serve_code sw_serve_statistics(sw_serve *core, const char *name, int64_t version, sw_arena *arena,
                                  const sw_serve_stats **stats, int *n, sw_serve_error *error) {
    sw_serve_model **models;
    if (!collect(core, name, version, arena, &models, n)) return sw__serve_no_memory(error);
    sw_serve_stats *made = SW_ARENA_ARRAY(arena, sw_serve_stats, *n + 1);
    bool good = made != NULL;
    for (int i = 0; i < *n; i++) {
        good = good && tell(models[i], arena, &made[i]);
        sw_serve_drop(models[i]);
    }
    *stats = made;
    if (!good) return sw__serve_no_memory(error);
    if (*n || !name) return SW_SERVE_OK;
    if (version < 0)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "requested model '%.200s' is not available", name);
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                         "requested model version %lld is not available for model '%.200s'", (long long)version, name);
}

/* -- Metrics --------------------------------------------------------------------------------------------------------- */

/* A snapshot of a model's counters. */
typedef struct sample {
    const sw_serve_model *model;
    sw__stats stats;
    int64_t pending;
    double quantiles[SW__SUMMARIES][SW_SERVE_MAX_QUANTILES]; /* in us, where summaries are asked for */
    bool plan; /* it runs on one */
    sw_serve_plan_kind plan_kind;
} sample;

void sw__metrics_label(sw_buf *buf, const char *text) {
    for (; *text; text++) {
        if (*text == '\\' || *text == '"') sw_buf_append_byte(buf, '\\');
        if (*text == '\n')
            sw_buf_append_text(buf, "\\n");
        else
            sw_buf_append_byte(buf, (uint8_t)*text);
    }
}

/* name{model="m",version="1"  without the closing brace. */
static void begin(sw_buf *buf, const char *name, const sample *s) {
    sw_buf_printf(buf, "%s{model=\"", name);
    sw__metrics_label(buf, s->model->info.name);
    sw_buf_printf(buf, "\",version=\"%" PRId64 "\"", s->model->info.version);
}

void sw__metrics_head(sw_buf *buf, const char *name, const char *kind, const char *help) {
    sw_buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static const struct counter {
    const char *name, *help;
    size_t offset; /* of a uint64_t of sw__stats */
    uint64_t unit; /* divided by it */
} counters[] = {{"nv_inference_request_success", "Number of successful inference requests, all batch sizes",
                 offsetof(sw__stats, success.count), 1},
                {"nv_inference_count", "Number of inferences performed (does not include cached requests)",
                 offsetof(sw__stats, inferences), 1},
                {"nv_inference_exec_count", "Number of model executions performed (does not include cached requests)",
                 offsetof(sw__stats, executions), 1},
                {"nv_inference_request_duration_us",
                 "Cumulative inference request duration in microseconds (includes cached requests)",
                 offsetof(sw__stats, success.ns), 1000},
                {"nv_inference_queue_duration_us",
                 "Cumulative inference queuing duration in microseconds (includes cached requests)",
                 offsetof(sw__stats, queue.ns), 1000},
                {"nv_inference_compute_input_duration_us",
                 "Cumulative compute input duration in microseconds (does not include cached requests)",
                 offsetof(sw__stats, input.ns), 1000},
                {"nv_inference_compute_infer_duration_us",
                 "Cumulative compute inference duration in microseconds (does not include cached requests)",
                 offsetof(sw__stats, infer.ns), 1000},
                {"nv_inference_compute_output_duration_us",
                 "Cumulative inference compute output duration in microseconds (does not include cached requests)",
                 offsetof(sw__stats, output.ns), 1000}};

static void write_counters(sw_buf *buf, const sample *samples, int n, bool latencies) {
    for (size_t c = 0; c < sizeof counters / sizeof *counters; c++) {
        if (counters[c].unit != 1 && !latencies) continue;
        sw__metrics_head(buf, counters[c].name, "counter", counters[c].help);
        for (int i = 0; i < n; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&samples[i].stats + counters[c].offset, sizeof value);
            begin(buf, counters[c].name, &samples[i]);
            sw_buf_printf(buf, "} %" PRIu64 "\n", value / counters[c].unit);
        }
    }
}

static void write_failures(sw_buf *buf, const sample *samples, int n) {
    static const char *const reasons[SW__FAILURES] = {"REJECTED", "CANCELED", "BACKEND", "OTHER"};
    const char *name = "nv_inference_request_failure";
    sw__metrics_head(buf, name, "counter", "Number of failed inference requests, all batch sizes");
    for (int i = 0; i < n; i++)
        for (int k = 0; k < SW__FAILURES; k++) {
            begin(buf, name, &samples[i]);
            sw_buf_printf(buf, ",reason=\"%s\"} %" PRIu64 "\n", reasons[k], samples[i].stats.failures[k]);
        }
}

static void write_pending(sw_buf *buf, const sample *samples, int n) {
    const char *name = "nv_inference_pending_request_count";
    sw__metrics_head(buf, name, "gauge", "Instantaneous number of pending requests awaiting execution per-model.");
    for (int i = 0; i < n; i++) {
        begin(buf, name, &samples[i]);
        sw_buf_printf(buf, "} %" PRId64 "\n", samples[i].pending);
    }
}

/* What kind of plan a version runs on. */
static void write_plans(sw_buf *buf, const sample *samples, int n) {
    static const char *const kinds[] = {"given", "default", "tuned"};
    const char *name = "slipway_plan";
    sw__metrics_head(buf, name, "gauge", "1: the version runs on a plan of this kind");
    for (int i = 0; i < n; i++) {
        if (!samples[i].plan) continue;
        begin(buf, name, &samples[i]);
        sw_buf_printf(buf, ",kind=\"%s\"} 1\n", kinds[samples[i].plan_kind]);
    }
}

static const struct family {
    const char *name, *help;
    size_t offset; /* of an sw__histogram of sw__stats */
    bool rows;     /* else seconds */
} families[] = {{"slipway_request_duration_seconds", "From arrival to answer", offsetof(sw__stats, request), false},
                {"slipway_queue_duration_seconds", "Waiting in the queue", offsetof(sw__stats, waited), false},
                {"slipway_compute_duration_seconds", "Computing the batch that it was part of",
                 offsetof(sw__stats, computed), false},
                {"slipway_batch_size", "Rows of an execution", offsetof(sw__stats, batch), true}};

static void write_histogram(sw_buf *buf, const struct family *f, const sample *s) {
    sw__histogram h;
    memcpy(&h, (const char *)&s->stats + f->offset, sizeof h);
    int n = f->rows ? SW__BATCH_BOUNDS : SW__BOUNDS;
    uint64_t total = 0;
    for (int i = 0; i <= n; i++) {
        total += h.buckets[i];
        sw_buf_printf(buf, "%s_bucket{model=\"", f->name);
        sw__metrics_label(buf, s->model->info.name);
        sw_buf_printf(buf, "\",version=\"%" PRId64 "\",le=\"", s->model->info.version);
        if (i == n)
            sw_buf_append_text(buf, "+Inf");
        else if (f->rows)
            sw_buf_printf(buf, "%" PRId64, sw__stats_batch_bounds[i]);
        else
            sw_buf_printf(buf, "%g", (double)sw__stats_time_bounds[i] * 1e-9);
        sw_buf_printf(buf, "\"} %" PRIu64 "\n", total);
    }
    static const char *const ends[] = {"_sum", "_count"};
    for (int i = 0; i < 2; i++) {
        sw_buf_printf(buf, "%s%s{model=\"", f->name, ends[i]);
        sw__metrics_label(buf, s->model->info.name);
        sw_buf_printf(buf, "\",version=\"%" PRId64 "\"} ", s->model->info.version);
        if (i == 1 || f->rows)
            sw_buf_printf(buf, "%" PRIu64 "\n", i ? total : h.sum);
        else
            sw_buf_printf(buf, "%.9g\n", (double)h.sum * 1e-9);
    }
}

/* Triton's, in milliseconds, whose bounds are some of ours. */
static void write_first_response(sw_buf *buf, const sample *samples, int n) {
    static const char *const name = "nv_inference_first_response_histogram_ms";
    static const int64_t bounds_ms[] = {100, 500, 2000, 5000};
    sw__metrics_head(buf, name, "histogram", "Histogram of first response latency in milliseconds");
    for (int i = 0; i < n; i++) {
        const sw__histogram *h = &samples[i].stats.request;
        uint64_t total = 0;
        size_t next = 0;
        for (int b = 0; b <= SW__BOUNDS; b++) {
            total += h->buckets[b];
            if (b < SW__BOUNDS && (next == 4 || sw__stats_time_bounds[b] != bounds_ms[next] * 1000000)) continue;
            begin(buf, "nv_inference_first_response_histogram_ms_bucket", &samples[i]);
            if (b == SW__BOUNDS)
                sw_buf_printf(buf, ",le=\"+Inf\"} %" PRIu64 "\n", total);
            else
                sw_buf_printf(buf, ",le=\"%" PRId64 "\"} %" PRIu64 "\n", bounds_ms[next++], total);
        }
        begin(buf, "nv_inference_first_response_histogram_ms_count", &samples[i]);
        sw_buf_printf(buf, "} %" PRIu64 "\n", total);
        begin(buf, "nv_inference_first_response_histogram_ms_sum", &samples[i]);
        sw_buf_printf(buf, "} %" PRIu64 "\n", h->sum / 1000000);
    }
}

static const struct summary {
    const char *name, *help;
    size_t offset; /* of an sw_serve_duration of sw__stats */
} summaries[SW__SUMMARIES] = {
    [SW__SUM_REQUEST] = {"nv_inference_request_summary_us",
                         "Summary of inference request duration in microseconds (includes cached requests)",
                         offsetof(sw__stats, success)},
    [SW__SUM_QUEUE] = {"nv_inference_queue_summary_us",
                       "Summary of inference queuing duration in microseconds (includes cached requests)",
                       offsetof(sw__stats, queue)},
    [SW__SUM_INPUT] = {"nv_inference_compute_input_summary_us",
                       "Summary of compute input duration in microseconds (does not include cached requests)",
                       offsetof(sw__stats, input)},
    [SW__SUM_INFER] = {"nv_inference_compute_infer_summary_us",
                       "Summary of compute inference duration in microseconds (does not include cached requests)",
                       offsetof(sw__stats, infer)},
    [SW__SUM_OUTPUT] = {
        "nv_inference_compute_output_summary_us",
        "Summary of inference compute output duration in microseconds (does not include cached requests)",
        offsetof(sw__stats, output)}};

static void write_summary(sw_buf *buf, const sample *s, int which, const sw_serve_metrics_options *o) {
    const char *const ends[] = {"_count", "_sum"};
    char name[80];
    sw_serve_duration total;
    memcpy(&total, (const char *)&s->stats + summaries[which].offset, sizeof total);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s%s", summaries[which].name, ends[i]);
        begin(buf, name, s);
        sw_buf_printf(buf, "} %" PRIu64 "\n", i ? total.ns / 1000 : total.count);
    }
    for (int q = 0; q < o->n_quantiles; q++) {
        double us = s->quantiles[which][q];
        begin(buf, summaries[which].name, s);
        sw_buf_printf(buf, ",quantile=\"%g\"} ", o->quantiles[q]);
        if (us == us)
            sw_buf_printf(buf, "%.10g\n", us);
        else
            sw_buf_append_text(buf, "NaN\n");
    }
}

static void write_summaries(sw_buf *buf, const sample *samples, int n, const sw_serve_metrics_options *o) {
    for (int which = 0; which < SW__SUMMARIES; which++) {
        sw__metrics_head(buf, summaries[which].name, "summary", summaries[which].help);
        for (int i = 0; i < n; i++)
            if (samples[i].stats.summaries) write_summary(buf, &samples[i], which, o);
    }
}

static void write_copied(sw_serve *core, sw_buf *buf) {
    const char *name = "slipway_ensemble_copied_bytes_total";
    sw__metrics_head(buf, name, "counter", "Bytes of results copied between steps of ensembles");
    sw_buf_printf(buf, "%s %llu\n", name, (unsigned long long)atomic_load(&core->copied));
}

void sw_serve_metrics(sw_serve *core, sw_buf *buf) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_serve_model **models;
    const sw_serve_metrics_options *o = &core->options.metrics;
    int64_t now = sw__serve_now(core);
    int n = 0;
    bool good = arena && collect(core, NULL, -1, arena, &models, &n);
    sample *samples = good ? SW_ARENA_ARRAY(arena, sample, n + 1) : NULL;
    for (int i = 0; samples && i < n; i++) {
        samples[i].model = models[i];
        pthread_mutex_lock(&models[i]->tally->lock);
        samples[i].stats = models[i]->tally->stats;
        for (int k = 0; samples[i].stats.summaries && k < SW__SUMMARIES; k++)
            sw__summary_ask(&samples[i].stats.summaries[k], now, o->quantiles, o->n_quantiles, samples[i].quantiles[k]);
        pthread_mutex_unlock(&models[i]->tally->lock);
        pthread_mutex_lock(&models[i]->queue.lock);
        samples[i].pending = models[i]->queue.n;
        samples[i].plan = !models[i]->queue.parked && models[i]->nature.plan;
        if (samples[i].plan) samples[i].plan_kind = models[i]->nature.plan_kind; /* parked: it may change just now */
        pthread_mutex_unlock(&models[i]->queue.lock);
    }
    if (samples) {
        write_counters(buf, samples, n, !o->no_counters);
        write_failures(buf, samples, n);
        write_pending(buf, samples, n);
        write_plans(buf, samples, n);
        for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
            sw__metrics_head(buf, families[f].name, "histogram", families[f].help);
            for (int i = 0; i < n; i++) write_histogram(buf, &families[f], &samples[i]);
        }
        if (o->histogram) write_first_response(buf, samples, n);
        if (o->summaries) write_summaries(buf, samples, n, o);
        write_copied(core, buf);
        sw__shadow_metrics(core, buf);
        sw__machine_metrics(core->machine, buf);
    } else if (buf->status == SW_OK) {
        buf->status = SW_E_NOMEM;
    }
    for (int i = 0; i < n; i++) sw_serve_drop(models[i]);
    sw_arena_destroy(arena);
}
