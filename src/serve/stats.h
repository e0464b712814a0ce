/* Counting what a model's requests cost. Private to serve/. */
#ifndef SLIPWAY_SERVE_STATS_H
#define SLIPWAY_SERVE_STATS_H

#include "serve/core.h"
#include "serve/summary.h"

/* Why a request failed, as the label `reason` of nv_inference_request_failure. */
typedef enum sw__failure { SW__REJECTED, SW__CANCELED, SW__BACKEND, SW__OTHER, SW__FAILURES } sw__failure;

/* Histograms have a bucket per bound, and one for what is above all. */
enum { SW__BOUNDS = 18, SW__BATCH_BOUNDS = 9 };

extern const int64_t sw__stats_time_bounds[SW__BOUNDS], sw__stats_batch_bounds[SW__BATCH_BOUNDS];

typedef struct sw__histogram {
    uint64_t buckets[SW__BOUNDS + 1], sum; /* sum: ns, or rows */
} sw__histogram;

typedef struct sw__stats {
    uint64_t last_ms, inferences, executions, failures[SW__FAILURES];
    sw_serve_duration success, fail, queue, input, infer, output;
    sw_serve_batch_stats *batches; /* by size */
    int n_batches, cap_batches;
    sw__histogram request, waited, computed, batch;
    sw__summary *summaries; /* SW__SUMMARIES of them, or NULL: not asked for */
} sw__stats;

/* In their order in sw__stats.summaries. */
enum { SW__SUM_REQUEST, SW__SUM_QUEUE, SW__SUM_INPUT, SW__SUM_INFER, SW__SUM_OUTPUT, SW__SUMMARIES };

/* Each under the caller's lock. */
void sw__stats_success(sw__stats *stats, const sw_serve_times *times);
void sw__stats_failure(sw__stats *stats, sw__failure why, int64_t ns);
/* One execution of a batch; times of gathering, computing, handing out. */
void sw__stats_execution(sw__stats *stats, uint64_t rows, uint64_t input_ns, uint64_t infer_ns, uint64_t output_ns);
void sw__stats_free(sw__stats *stats);

#endif
