/* What Letterbox and ResizeCrop share: from bytes to what the network gets. */
#ifndef SLIPWAY_KERNELS_LETTERBOX_VALUES_H
#define SLIPWAY_KERNELS_LETTERBOX_VALUES_H

#include "ops/op.h"

/* Where a scaled row or column comes from: two source indices and their weights, which add up to about 2048. */
typedef struct sw__tap {
    int32_t at, next;
    int32_t weight_at, weight_next;
} sw__tap;

/* Of place `i` of `scaled` over a side of `side`; `clamp`: as columns are treated at the edges, else as rows. */
sw__tap sw__letterbox_tap(int64_t i, int64_t scaled, int64_t side, bool clamp);

/* What each byte of each channel becomes, by the attributes divisor, mean and std of the call. */
void sw__pixel_values(const sw_call *c, float value[3][256]);

#endif
