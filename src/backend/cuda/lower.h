/* Between the files that make launches of steps; private to backend/cuda. */
#ifndef SLIPWAY_CUDA_LOWER_H
#define SLIPWAY_CUDA_LOWER_H

#include "backend/cuda/ops.h"
#include "ops/shape.h"

enum { SW__CUDA_THREADS = 256 };
static inline int sw__cuda_blocks(int64_t items) {
    return (int)((items + SW__CUDA_THREADS - 1) / SW__CUDA_THREADS);
}

/* Strides of `t` in elements, and those of `t` read as if it had the shape of `y`: 0 along what is broadcast. */
void sw__cuda_row_strides(const sw_tensor *t, long long *strides);
void sw__cuda_broadcast(const sw_tensor *t, const sw_tensor *y, long long *strides);
/* Copies the box `dims` between places of two arrays of one type. */
void sw__cuda_copy_box(const sw_tensor *in, long long in_at, const long long *in_stride, const sw_tensor *out,
                       long long out_at, const long long *out_stride, const int64_t *dims, int rank, sw_cuda_launch *l);

/* Arguments of pools and shuffles: of maps, or of planes. */
void sw__cuda_describe_pool(const sw_call *c, const sw_window *w, sw_cuda_launch *l);
void sw__cuda_describe_shuffle(const sw_call *c, sw_cuda_launch *l);
/* Steps on float32 planes (planes.c); tf32: products may round their factors. */
const char *sw__cuda_lower_planes(const sw_call *c, bool tf32, sw_cuda_launch *l, bool *taken);
/* Steps on rows: by order and by places (picks.c), of other types (typed.c), between pixels and in time (samples.c). As
 * sw_cuda_lower, for one launch; `taken` says whether the operator is theirs. */
const char *sw__cuda_lower_pick(const sw_call *c, sw_cuda_launch *l, bool *taken);
const char *sw__cuda_lower_typed(const sw_call *c, sw_cuda_launch *l, bool *taken);
const char *sw__cuda_lower_sample(const sw_call *c, sw_cuda_launch *l, bool *taken);

#endif
