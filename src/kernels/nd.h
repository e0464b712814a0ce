/* Walks over several strided arrays at once: broadcasting, transposing, slicing and the like are one walk with the
 * right strides. */
#ifndef SLIPWAY_KERNELS_ND_H
#define SLIPWAY_KERNELS_ND_H

#include "ops/op.h"

enum { SW_ND_RANK = 2 * SW_MAX_RANK, SW_ND_ARRAYS = 4 };

/* Extents of the walk and, for each array, the distance in elements from one position to the next along each axis: 0
 * where an array is broadcast, negative where it is read backwards. */
typedef struct sw_nd {
    int rank, arrays;
    int64_t dims[SW_ND_RANK];
    int64_t stride[SW_ND_ARRAYS][SW_ND_RANK];
} sw_nd;

/* Strides of a row-major array. `stride` may point into a sw_nd. */
void sw__nd_strides(int rank, const int64_t *dims, int64_t *stride);
/* A walk over the shape of `out` (array 0, row-major) and `n` inputs that broadcast to it (arrays 1 to n). */
void sw__nd_broadcast(sw_nd *nd, const sw_tensor *out, const sw_tensor *const *in, int n);
/* Drops axes of extent 1 and joins neighbours that step alike in all arrays. The rank becomes at least 1; the
 * order of the walk stays. */
void sw__nd_collapse(sw_nd *nd);

/* Calls row(ctx, offset, n) for runs of `n` positions along the last axis: offset[k] is where array k starts, in
 * elements from its position 0; its step is nd->stride[k][nd->rank - 1]. Runs are spread over `pool`; with NULL
 * they come in order. */
typedef void (*sw_nd_row)(void *ctx, const int64_t *offset, int64_t n);
void sw__nd_for(sw_pool *pool, const sw_nd *nd, sw_nd_row row, void *ctx);

/* Copies elements of `size` bytes from array 1 to array 0 of a walk, which it collapses. The pointers are those of
 * position 0 of the walk. */
void sw__nd_copy(sw_pool *pool, sw_nd *nd, size_t size, void *to, const void *from);
/* Copies `n` elements with strides (in elements) on both sides. */
void sw__copy_strided(size_t size, char *to, int64_t to_stride, const char *from, int64_t from_stride, int64_t n);
/* `n` elements that all equal `*value`. */
void sw__fill(sw_pool *pool, size_t size, void *to, const void *value, int64_t n);

#endif
