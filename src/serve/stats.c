#include "serve/stats.h"

#include <string.h>

#include "serve/internal.h"

/* Upper bounds of the buckets: times in ns, rows. */
const int64_t sw__stats_time_bounds[SW__BOUNDS] = {
    100000,    250000,    500000,    1000000,    2500000,    5000000,    10000000,   25000000,    50000000,
    100000000, 250000000, 500000000, 1000000000, 2000000000, 2500000000, 5000000000, 10000000000, 30000000000};
const int64_t sw__stats_batch_bounds[SW__BATCH_BOUNDS] = {1, 2, 4, 8, 16, 32, 64, 128, 256};

static void count(sw_serve_duration *duration, int64_t ns) {
    duration->count++;
    duration->ns += ns > 0 ? (uint64_t)ns : 0;
}

static void observe(sw__histogram *histogram, const int64_t *bounds, int n, int64_t value) {
    int at = 0;
    while (at < n && value > bounds[at]) at++;
    histogram->buckets[at]++;
    histogram->sum += value > 0 ? (uint64_t)value : 0;
}

void sw__stats_success(sw__stats *s, const sw_serve_times *t) {
    count(&s->success, t->done - t->queued);
    count(&s->queue, t->started - t->queued);
    count(&s->input, t->computing - t->started);
    count(&s->infer, t->computed - t->computing);
    count(&s->output, t->done - t->computed);
    observe(&s->request, sw__stats_time_bounds, SW__BOUNDS, t->done - t->queued);
    observe(&s->waited, sw__stats_time_bounds, SW__BOUNDS, t->started - t->queued);
    observe(&s->computed, sw__stats_time_bounds, SW__BOUNDS, t->computed - t->computing);
    if (!s->summaries) return;
    const int64_t times[SW__SUMMARIES] = {t->done - t->queued, t->started - t->queued, t->computing - t->started,
                                          t->computed - t->computing, t->done - t->computed};
    for (int i = 0; i < SW__SUMMARIES; i++) sw__summary_add(&s->summaries[i], times[i], t->done);
}

void sw__stats_failure(sw__stats *s, sw__failure why, int64_t ns) {
    count(&s->fail, ns);
    s->failures[why]++;
}

/* The counters of a batch size; NULL when out of memory. */
static sw_serve_batch_stats *find_batch(sw__stats *s, uint64_t rows) {
    int at = 0;
    while (at < s->n_batches && s->batches[at].batch_size < rows) at++;
    if (at < s->n_batches && s->batches[at].batch_size == rows) return &s->batches[at];
    size_t cap = (size_t)s->cap_batches;
    if (sw_grow(NULL, (void **)&s->batches, &cap, (size_t)s->n_batches + 1, sizeof *s->batches, SIZE_MAX) != SW_OK)
        return NULL;
    s->cap_batches = (int)cap;
    memmove(&s->batches[at + 1], &s->batches[at], (size_t)(s->n_batches - at) * sizeof *s->batches);
    s->batches[at] = (sw_serve_batch_stats){.batch_size = rows};
    s->n_batches++;
    return &s->batches[at];
}

void sw__stats_execution(sw__stats *s, uint64_t rows, uint64_t input_ns, uint64_t infer_ns, uint64_t output_ns) {
    s->executions++;
    s->inferences += rows;
    s->last_ms = (uint64_t)sw_wall_ms();
    observe(&s->batch, sw__stats_batch_bounds, SW__BATCH_BOUNDS, (int64_t)rows);
    sw_serve_batch_stats *batch = find_batch(s, rows);
    if (!batch) return;
    count(&batch->compute_input, (int64_t)input_ns);
    count(&batch->compute_infer, (int64_t)infer_ns);
    count(&batch->compute_output, (int64_t)output_ns);
}

void sw__stats_free(sw__stats *s) {
    sw_free(NULL, s->batches);
    sw_free(NULL, s->summaries);
}
