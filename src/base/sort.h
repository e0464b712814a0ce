/* Orders for qsort and bsearch. */
#ifndef SLIPWAY_BASE_SORT_H
#define SLIPWAY_BASE_SORT_H

#include <stdint.h>

static inline int sw_by_i64(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* NaN equals everything: there should be none. */
static inline int sw_by_f64(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#endif
