/* What a server's metrics say of its models, between two looks. Pure: bytes in, numbers out. */
#ifndef SLIPWAY_CLI_TOP_H
#define SLIPWAY_CLI_TOP_H

#include "base/arena.h"

enum { SW_TOP_BOUNDS = 64, SW_TOP_ROWS = 4096 };

/* A version of a model; counters since the server started. Texts: in the sample's arena; "" where not known. */
typedef struct sw_top_row {
    const char *model, *version, *state, *plan;
    double successes, failures, inferences, executions, pending;
    /* How long requests took: counts[i] took at most bounds[i] seconds (ascending, the last one infinite). */
    int n_bounds;
    double bounds[SW_TOP_BOUNDS], counts[SW_TOP_BOUNDS];
} sw_top_row;

typedef struct sw_top_sample {
    sw_arena *arena; /* the caller's */
    sw_top_row *rows;
    int n, last; /* last: the row that was found last */
    int64_t at_ns;
} sw_top_sample;

/* Adds what metrics in Prometheus' text format tell of models (nv_inference_*, slipway_*); other lines are left alone.
 * SW_E_LIMIT above SW_TOP_ROWS versions, SW_E_NOMEM. */
SW_MUST_USE sw_status sw_top_metrics(sw_top_sample *sample, const char *text, size_t size);
/* Adds the states of a repository's index (JSON). SW_E_INPUT with a sentence when it is none. */
SW_MUST_USE sw_status sw_top_index(sw_top_sample *sample, const void *text, size_t size, const sw_diag *diag);
/* By model and version. */
void sw_top_sort(sw_top_sample *sample);

/* What went on between two looks; before NULL: since the start. */
typedef struct sw_top_rates {
    double requests, failures, inferences; /* a second */
    double batch;                          /* rows of an execution on average; 0: none */
    double p50_ms, p99_ms;                 /* interpolated in the histogram; -1: no requests, or no histogram */
} sw_top_rates;
sw_top_rates sw_top_compare(const sw_top_row *now, const sw_top_row *before, double seconds);
/* The row of the same version; NULL: none. */
const sw_top_row *sw_top_find(const sw_top_sample *sample, const char *model, const char *version);

#endif
