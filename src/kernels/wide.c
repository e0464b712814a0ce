#include "kernels/wide.h"

#include <assert.h>
#include <string.h>

void sw__widen(sw_dtype dtype, const void *data, int64_t first, int64_t step, int64_t n, double *to) {
    switch (dtype) {
#define WIDEN(dtype, id, type, calc)                                                                                   \
    case dtype:                                                                                                        \
        for (int64_t i = 0; i < n; i++) to[i] = (double)sw__load_##id(((const type *)data)[first + i * step]);         \
        break;
        SW_FLOAT_TYPES(WIDEN)
#undef WIDEN
    default:
        assert(!"not a floating type");
    }
}

void sw__narrow(sw_dtype dtype, const double *from, int64_t n, void *data, int64_t first, int64_t step) {
    switch (dtype) {
#define NARROW(dtype, id, type, calc)                                                                                  \
    case dtype:                                                                                                        \
        for (int64_t i = 0; i < n; i++) ((type *)data)[first + i * step] = sw__store_##id((calc)from[i]);              \
        break;
        SW_FLOAT_TYPES(NARROW)
#undef NARROW
    default:
        assert(!"not a floating type");
    }
}

void sw__widen_integer(sw_dtype dtype, const void *data, int64_t first, int64_t step, int64_t n, uint64_t *to) {
    switch (dtype) {
#define WIDEN(dtype, id, type, calc)                                                                                   \
    case dtype:                                                                                                        \
        for (int64_t i = 0; i < n; i++) to[i] = (uint64_t)sw__load_##id(((const type *)data)[first + i * step]);       \
        break;
        SW_INTEGER_TYPES(WIDEN)
        SW_BOOL_TYPES(WIDEN)
#undef WIDEN
    default:
        assert(!"not an integer type");
    }
}

void sw__narrow_integer(sw_dtype dtype, const uint64_t *from, int64_t n, void *data, int64_t first, int64_t step) {
    switch (dtype) {
#define NARROW(dtype, id, type, calc)                                                                                  \
    case dtype:                                                                                                        \
        for (int64_t i = 0; i < n; i++) ((type *)data)[first + i * step] = sw__store_##id((calc)from[i]);              \
        break;
        SW_INTEGER_TYPES(NARROW)
        SW_BOOL_TYPES(NARROW)
#undef NARROW
    default:
        assert(!"not an integer type");
    }
}

/* The bits of positive floats order as integers do, those of negative ones in reverse. */
static uint64_t float_key(double v) {
    uint64_t bits;
    const uint64_t sign = (uint64_t)1 << 63;
    if (v != v) return UINT64_MAX;
    if (v == 0) v = 0; /* drops the sign of -0 */
    memcpy(&bits, &v, sizeof bits);
    return bits & sign ? ~bits : bits | sign;
}

uint64_t sw__order_key(sw_dtype dtype, const void *data, int64_t i) {
    switch (dtype) {
#define KEY(dtype, id, type, calc)                                                                                     \
    case dtype:                                                                                                        \
        return float_key((double)sw__load_##id(((const type *)data)[i]));
        SW_FLOAT_TYPES(KEY)
#undef KEY
#define KEY(dtype, id, type, calc)                                                                                     \
    case dtype:                                                                                                        \
        return (uint64_t)(int64_t)((const type *)data)[i] ^ (uint64_t)1 << 63;
        SW_SIGNED_TYPES(KEY)
#undef KEY
#define KEY(dtype, id, type, calc)                                                                                     \
    case dtype:                                                                                                        \
        return sw__load_##id(((const type *)data)[i]);
        SW_UNSIGNED_TYPES(KEY)
        SW_BOOL_TYPES(KEY)
#undef KEY
    default:
        assert(!"not a type");
        return 0;
    }
}

sw_status sw__refuse_dtype(const sw_call *c, sw_dtype dtype) {
    return sw_call_unsupported(c, "%s does not take elements of type %s", sw_op_get(c->op)->name, sw_dtype_name(dtype));
}

/* Products wrap around when they do not fit, which only tensors without elements can bring about. */
static int64_t product(const sw_tensor *t, int begin, int end) {
    int64_t n = 1;
    for (int i = begin; i < end; i++) (void)__builtin_mul_overflow(n, t->dims[i], &n);
    return n;
}

sw_lanes sw__lanes(const sw_tensor *t, int begin, int end) {
    return (sw_lanes){product(t, 0, begin), product(t, begin, end), product(t, end, t->rank)};
}
