/* Indices that come as tensors. */
#ifndef SLIPWAY_KERNELS_INDEX_H
#define SLIPWAY_KERNELS_INDEX_H

#include "ops/op.h"

/* Index `i` of an int32 or int64 tensor. */
static inline int64_t sw__index_at(const sw_tensor *t, int64_t i) {
    return t->dtype == SW_I32 ? ((const int32_t *)t->data)[i] : ((const int64_t *)t->data)[i];
}

/* Negative ones count from the end. */
static inline int64_t sw__index_wrap(int64_t index, int64_t extent) {
    return index < 0 ? index + extent : index;
}

/* Reports the first index of a tensor that lies outside of an axis. */
SW_MUST_USE sw_status sw__index_check(const sw_call *c, const sw_tensor *indices, int64_t extent);
/* The same for tensors of index tuples: the last axis holds `n` of them, one for each of `extents`. */
SW_MUST_USE sw_status sw__index_check_tuples(const sw_call *c, const sw_tensor *indices, int n, const int64_t *extents);

/* Product of dims[begin] .. dims[end - 1] of a concrete tensor; one that does not fit wraps around, which only tensors
 * without elements can bring about. */
int64_t sw__extent(const sw_tensor *t, int begin, int end);

#endif
