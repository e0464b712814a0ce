/* Elements of any type as double, as 64-bit integers or as an ordering key, for kernels where that is exact enough. */
#ifndef SLIPWAY_KERNELS_WIDE_H
#define SLIPWAY_KERNELS_WIDE_H

#include "kernels/dtype.h"
#include "ops/op.h"

/* What one widened piece of a row holds: small enough for the stack, long enough to hide the call. */
enum { SW_WIDE = 256 };

static inline int64_t sw__min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t sw__max64(int64_t a, int64_t b) {
    return a > b ? a : b;
}
/* Rounded up; b > 0. */
static inline int64_t sw__ceil_div(int64_t a, int64_t b) {
    return a >= 0 ? (a + b - 1) / b : -(-a / b);
}
static inline bool sw__dtype_is_float(sw_dtype t) {
    return t == SW_F32 || t == SW_F64 || t == SW_F16 || t == SW_BF16;
}

/* Elements first, first + step, ... of floating `data` as double (exact), and back: rounded to float for all but f64,
 * then to the type, as a kernel that computes in float would store. Other types assert. */
void sw__widen(sw_dtype dtype, const void *data, int64_t first, int64_t step, int64_t n, double *to);
void sw__narrow(sw_dtype dtype, const double *from, int64_t n, void *data, int64_t first, int64_t step);

/* Element `i` of a floating tensor. */
static inline void sw__put(const sw_tensor *t, int64_t i, double v) {
    sw__narrow(t->dtype, &v, 1, t->data, i, 1);
}

/* The same for integers and bool: sign- or zero-extended to 64 bits, and the low bits back. */
void sw__widen_integer(sw_dtype dtype, const void *data, int64_t first, int64_t step, int64_t n, uint64_t *to);
void sw__narrow_integer(sw_dtype dtype, const uint64_t *from, int64_t n, void *data, int64_t first, int64_t step);
static inline bool sw__dtype_is_signed(sw_dtype t) {
    return t == SW_I8 || t == SW_I16 || t == SW_I32 || t == SW_I64;
}

/* A number that orders the elements of any one type: a < b exactly when key(a) < key(b). Zeros of both signs are equal;
 * NaN is above everything. */
uint64_t sw__order_key(sw_dtype dtype, const void *data, int64_t i);

/* "<operator> does not take <type>", for types that ONNX or this kernel excludes. */
sw_status sw__refuse_dtype(const sw_call *c, sw_dtype dtype);

/* A tensor seen as outer x axis x inner elements; `end` is one past the last axis that belongs to the middle. */
typedef struct sw_lanes {
    int64_t outer, length, inner;
} sw_lanes;
sw_lanes sw__lanes(const sw_tensor *t, int begin, int end);

#endif
