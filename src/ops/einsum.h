/* Einsum: the equation, understood. */
#ifndef SLIPWAY_OPS_EINSUM_H
#define SLIPWAY_OPS_EINSUM_H

#include "ops/op.h"

/* Labels: 52 letters, then the axes of the ellipsis, counted from the last one. */
enum { SW_EINSUM_LABELS = 52 + SW_MAX_RANK, SW_EINSUM_INPUTS = 16 };

typedef struct sw_einsum {
    int64_t extent[SW_EINSUM_LABELS]; /* may be unknown in shape rules */
    bool used[SW_EINSUM_LABELS];
    uint8_t axis[SW_EINSUM_INPUTS][SW_MAX_RANK]; /* label of each axis of each input */
    uint8_t out[SW_MAX_RANK];                    /* labels of the output */
    int n_out;
} sw_einsum;

/* All ranks must be known. */
SW_MUST_USE sw_status sw_call_einsum(const sw_call *c, sw_einsum *e);

#endif
