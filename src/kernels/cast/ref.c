/* Cast between all types, by way of double or int64.
 *
 * Floats round to nearest even and overflow to infinity; float64 goes to halves by way of float32, as in ONNX
 * Runtime. Floats become integers towards zero. What ONNX leaves open there is what x86 compilers make of C's
 * conversion, so that results agree with ONNX Runtime's: it goes through int32 (int64 for uint32 and 64-bit types)
 * and wraps around from there; what does not fit even that becomes its lowest value. Integers wrap around. To
 * bool: everything but 0 is true. Floats of 8 and 4 bits as base/minifloat.h says; int4 and uint4 wrap around too, but floats
 * are rounded for them, halves away from zero, again as in ONNX Runtime. */
#include <math.h>

#include "base/minifloat.h"
#include "kernels/dtype.h"
#include "kernels/kernel.h"
#include "kernels/wide.h"

enum { GRAIN = 4096 };

/* The type that holds elements of `dtype`. */
static sw_dtype storage_of(sw_dtype dtype) {
    return dtype == SW_I4 ? SW_I8 : dtype == SW_U4 ? SW_U8 : dtype;
}

static void load_ints(sw_dtype dtype, const void *data, int64_t first, int64_t n, int64_t *to) {
    switch (storage_of(dtype)) {
#define LOAD(id, s, T, C)                                                                                              \
    case id:                                                                                                           \
        for (int64_t i = 0; i < n; i++) to[i] = (int64_t)sw__load_##s(((const T *)data)[first + i]);                   \
        break;
        SW_INTEGER_TYPES(LOAD)
        SW_BOOL_TYPES(LOAD)
#undef LOAD
    default:
        break;
    }
}

static void store_ints(sw_dtype dtype, const int64_t *from, int64_t n, void *data, int64_t first) {
    switch (dtype) {
#define STORE(id, s, T, C)                                                                                             \
    case id:                                                                                                           \
        for (int64_t i = 0; i < n; i++) ((T *)data)[first + i] = (T)from[i];                                           \
        break;
        SW_INTEGER_TYPES(STORE)
#undef STORE
    case SW_BOOL:
        for (int64_t i = 0; i < n; i++) ((uint8_t *)data)[first + i] = from[i] != 0;
        break;
    case SW_U4:
        for (int64_t i = 0; i < n; i++) ((uint8_t *)data)[first + i] = from[i] & 15;
        break;
    case SW_I4:
        for (int64_t i = 0; i < n; i++) ((int8_t *)data)[first + i] = (int8_t)(((from[i] & 15) ^ 8) - 8);
        break;
#define STORE(id, s, T, C)                                                                                             \
    case id:                                                                                                           \
        for (int64_t i = 0; i < n; i++) ((T *)data)[first + i] = sw__store_##s((C)from[i]);                            \
        break;
        SW_FLOAT_TYPES(STORE)
#undef STORE
    default:
        break;
    }
}

/* The same from uint64, which differs where floats are the goal. */
static void store_unsigned(sw_dtype dtype, const int64_t *from, int64_t n, void *data, int64_t first) {
    switch (dtype) {
#define STORE(id, s, T, C)                                                                                             \
    case id:                                                                                                           \
        for (int64_t i = 0; i < n; i++) ((T *)data)[first + i] = sw__store_##s((C)(uint64_t)from[i]);                  \
        break;
        SW_FLOAT_TYPES(STORE)
#undef STORE
    default:
        store_ints(dtype, from, n, data, first);
    }
}

static int64_t cut_32(double v) {
    return v > -0x1p31 - 1 && v < 0x1p31 ? (int64_t)v : INT32_MIN;
}
static int64_t cut_64(double v) {
    return v > -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN;
}
static int64_t cut_u64(double v) {
    if (v >= 0x1p64) return 0;
    return v >= 0x1p63 ? (int64_t)(uint64_t)v : cut_64(v);
}

static void cut(sw_dtype to, const double *from, int64_t n, int64_t *v) {
    if (to == SW_BOOL)
        for (int64_t i = 0; i < n; i++) v[i] = from[i] != 0;
    else if (to == SW_U64)
        for (int64_t i = 0; i < n; i++) v[i] = cut_u64(from[i]);
    else if (to == SW_I64 || to == SW_U32)
        for (int64_t i = 0; i < n; i++) v[i] = cut_64(from[i]);
    else if (to == SW_U4 || to == SW_I4)
        for (int64_t i = 0; i < n; i++) v[i] = cut_32(round(from[i]));
    else
        for (int64_t i = 0; i < n; i++) v[i] = cut_32(from[i]);
}

typedef struct cast_run {
    const sw_tensor *in, *out;
    bool saturate;
    const char *rounding;
} cast_run;

/* Where one side is a float of 8 or 4 bits. */
static void run_minifloat(const cast_run *r, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
        double value = sw_tensor_float_at(r->in, i);
        int64_t whole;
        if (sw_dtype_is_minifloat(r->out->dtype))
            ((uint8_t *)r->out->data)[i] = sw_minifloat_from_f64(r->out->dtype, value, r->saturate, r->rounding);
        else if (sw__dtype_is_float(r->out->dtype))
            sw__put(r->out, i, value);
        else {
            cut(r->out->dtype, &value, 1, &whole);
            store_ints(r->out->dtype, &whole, 1, r->out->data, i);
        }
    }
}

static void run_chunk(void *ctx, int64_t begin, int64_t end, int thread) {
    const cast_run *r = ctx;
    const sw_tensor *in = r->in, *out = r->out;
    double floats[SW_WIDE];
    int64_t ints[SW_WIDE];
    if (sw_dtype_is_minifloat(in->dtype) || sw_dtype_is_minifloat(out->dtype)) {
        run_minifloat(r, begin, end);
        return;
    }
    for (int64_t i = begin; i < end; i += SW_WIDE) {
        int64_t n = end - i < SW_WIDE ? end - i : SW_WIDE;
        if (!sw__dtype_is_float(in->dtype)) {
            load_ints(in->dtype, in->data, i, n, ints);
            if (in->dtype == SW_U64)
                store_unsigned(out->dtype, ints, n, out->data, i);
            else
                store_ints(out->dtype, ints, n, out->data, i);
            continue;
        }
        sw__widen(in->dtype, in->data, i, 1, n, floats);
        if (sw__dtype_is_float(out->dtype)) {
            sw__narrow(out->dtype, floats, n, out->data, i, 1);
        } else {
            cut(out->dtype, floats, n, ints);
            store_ints(out->dtype, ints, n, out->data, i);
        }
    }
}

sw_status sw__cast_ref(const sw_call *c) {
    cast_run r = {c->in[0], c->out[0], sw_call_int(c, "saturate") != 0, sw_call_string(c, "round_mode")};
    int64_t n = sw_tensor_count(c->in[0]);
    if (n > 0) sw_pool_for(c->pool, n, GRAIN, run_chunk, &r);
    return SW_OK;
}
