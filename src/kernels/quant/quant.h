/* Quantised numbers: int8, uint8, int16 or uint16 with a scale and a zero point. */
#ifndef SLIPWAY_KERNELS_QUANT_QUANT_H
#define SLIPWAY_KERNELS_QUANT_QUANT_H

#include "ops/op.h"

void sw__quant_range(sw_dtype dtype, double *lowest, double *highest);
/* Element `i` becomes v rounded (halves to even) plus `zero`, within the range of the type. */
void sw__quant_store(const sw_tensor *y, int64_t i, double v, int64_t zero);

#endif
