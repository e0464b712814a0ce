/* Between the files that make launches of steps; private to backend/cuda. */
#ifndef SLIPWAY_CUDA_LOWER_H
#define SLIPWAY_CUDA_LOWER_H

#include "backend/cuda/ops.h"
#include "ops/shape.h"

enum { SW__CUDA_THREADS = 256 };
static inline int sw__cuda_blocks(int64_t items) {
    return (int)((items + SW__CUDA_THREADS - 1) / SW__CUDA_THREADS);
}

/* An activation as kernels name it, with its parameters; false: the step is none. The code of Add, Sub, Mul, Div, or -1. */
typedef struct sw__activation {
    int act;
    float a, b;
} sw__activation;
bool sw__cuda_find_activation(const sw_call *c, sw__activation *act);
int sw__cuda_binary_op(sw_op op);
/* Arguments of LayerNormalization; returns why there is no kernel for it, or NULL. */
const char *sw__cuda_describe_norm(const sw_call *c, sw_cuda_launch *l);

/* For fast_div of the kernel text. */
static inline unsigned sw__cuda_magic(int64_t d) {
    return d <= 1 ? 0 : (unsigned)((((uint64_t)1 << 32) + (uint64_t)d - 1) / (uint64_t)d);
}

/* Estimated nanoseconds of a kernel that has so many halves to read and write: what those of an H200 do. */
static inline double sw__cuda_through_memory(int64_t halves, const sw_cuda_info *gpu) {
    return 2000 + (double)halves * 2 / (14.4 * gpu->multiprocessors);
}

/* Strides of `t` in elements, and those of `t` read as if it had the shape of `y`: 0 along what is broadcast. */
void sw__cuda_row_strides(const sw_tensor *t, long long *strides);
void sw__cuda_broadcast(const sw_tensor *t, const sw_tensor *y, long long *strides);
/* Copies the box `dims` between places of two arrays of one type. */
void sw__cuda_copy_box(const sw_tensor *in, long long in_at, const long long *in_stride, const sw_tensor *out,
                       long long out_at, const long long *out_stride, const int64_t *dims, int rank, sw_cuda_launch *l);

/* The same where one of both is of halves. */
void sw__cuda_copy_tokens(const sw_tensor *in, long long in_at, const long long *in_stride, const sw_tensor *out,
                          long long out_at, const long long *out_stride, const int64_t *dims, int rank,
                          sw_cuda_launch *l);

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

/* Steps with rows of halves, and between rows and maps (tokens.c). */
const char *sw__cuda_lower_tokens(const sw_call *c, sw_cuda_launch *l, bool *taken);

#endif
