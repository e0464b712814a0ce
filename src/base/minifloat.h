/* Floats of 8 and 4 bits, in one byte each: the types of ONNX, after arXiv:2209.05433 (E4M3FN, E5M2), 2206.02915 (FNUZ) and
 * the OCP Microscaling Formats 1.0 (E2M1, E8M0). Widening is exact; narrowing rounds to nearest, ties to even. */
#ifndef SLIPWAY_BASE_MINIFLOAT_H
#define SLIPWAY_BASE_MINIFLOAT_H

#include <stdbool.h>
#include <stdint.h>

#include "slipway/tensor.h"

static inline bool sw_dtype_is_minifloat(sw_dtype dtype) {
    return (dtype >= SW_F8_E4M3FN && dtype <= SW_F8_E5M2FNUZ) || dtype == SW_F4_E2M1 || dtype == SW_F8_E8M0;
}

/* Types of 4 bits, of which ONNX packs two elements in a byte, the first in its low half; odd counts end in half a byte. */
static inline bool sw_dtype_is_packed(sw_dtype dtype) {
    return dtype == SW_U4 || dtype == SW_I4 || dtype == SW_F4_E2M1;
}

/* `dtype` must be one of the small floats. */
double sw_minifloat_to_f64(sw_dtype dtype, uint8_t bits);

/* What is too large, and infinity, becomes the largest number with `saturate`, else infinity, or NaN where the type has
 * no infinity. E2M1 always saturates, and has 0 for NaN. E8M0 holds a power of two: the sign is dropped, infinity is NaN,
 * and `rounding` is "up", "down" or "nearest" (ties up); the other types ignore it. */
uint8_t sw_minifloat_from_f64(sw_dtype dtype, double value, bool saturate, const char *rounding);

#endif
