/* What Letterbox and ResizeCrop share: from bytes to what the network gets. */
#ifndef SLIPWAY_KERNELS_LETTERBOX_VALUES_H
#define SLIPWAY_KERNELS_LETTERBOX_VALUES_H

#include "ops/op.h"

/* What each byte of each channel becomes, by the attributes divisor, mean and std of the call. */
void sw__pixel_values(const sw_call *c, float value[3][256]);

#endif
