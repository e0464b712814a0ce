/* What the kernels of Letterbox and ResizeCrop share. */
#ifndef SLIPWAY_KERNELS_LETTERBOX_VALUES_H
#define SLIPWAY_KERNELS_LETTERBOX_VALUES_H

#include "ops/letterbox.h"

/* Where a scaled row or column comes from: two source indices and their weights, which add up to about 2048. */
typedef struct sw__tap {
    int32_t at, next;
    int32_t weight_at, weight_next;
} sw__tap;

/* Of place `i` of `scaled` over a side of `side`; `clamp`: as columns are treated at the edges, else as rows. */
sw__tap sw__letterbox_tap(int64_t i, int64_t scaled, int64_t side, bool clamp);

/* What each byte of each channel becomes, by the attributes divisor, mean and std of the call. */
void sw__pixel_values(const sw_call *c, float value[3][256]);

/* Of all scaled columns, whose indices count bytes, then of all scaled rows. */
void sw__letterbox_taps(const sw_letterbox_fit *fit, int64_t height, int64_t width, sw__tap *taps);
/* The scaled picture is exactly half in both directions: it is the mean of four pixels then. */
bool sw__letterbox_halves(const sw_letterbox_fit *fit, int64_t height, int64_t width);

#endif
