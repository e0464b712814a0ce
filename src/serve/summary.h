/* Quantiles of what happened within the last minute, as of Prometheus' summaries. Private to serve/.
 *
 * Times are counted in buckets of 3 % (whole microseconds below 32 us, up to 19 hours), in two halves of which the older is
 * dropped every 30 s. Under the caller's lock. */
#ifndef SLIPWAY_SERVE_SUMMARY_H
#define SLIPWAY_SERVE_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

enum { SW__SUMMARY_BUCKETS = 1024 };

/* Zeroed: nothing yet. */
typedef struct sw__summary {
    uint32_t counts[2][SW__SUMMARY_BUCKETS];
    int64_t since_ns; /* of the newer half */
    int newer;
} sw__summary;

void sw__summary_add(sw__summary *summary, int64_t duration_ns, int64_t now_ns);
/* us[i]: the quantile quantiles[i] in microseconds, NaN when nothing happened. */
void sw__summary_ask(const sw__summary *summary, int64_t now_ns, const double *quantiles, int n, double *us);

#endif
