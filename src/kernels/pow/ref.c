/* Pow: the result has the type of the base; the exponent may have any other.
 *
 * Floating bases compute in their type (halves in float). Integer bases with integer exponents are exact and wrap
 * around; negative exponents give 1 over that, cut to an integer, and 0 for the base 0. With floating exponents
 * they compute in double and are cut. */
#include <tgmath.h>

#include "kernels/dtype.h"
#include "kernels/kernel.h"
#include "kernels/nd.h"
#include "kernels/wide.h"

/* Exponents of a piece of a row, widened. */
typedef struct exponents {
    bool integer;
    double f[SW_WIDE];
    int64_t i[SW_WIDE];
} exponents;

static void load_exponents(const sw_tensor *t, int64_t first, int64_t step, int64_t n, exponents *e) {
    e->integer = !sw__dtype_is_float(t->dtype);
    if (!e->integer) {
        sw__widen(t->dtype, t->data, first, step, n, e->f);
        return;
    }
    for (int64_t k = 0; k < n; k++) {
        e->i[k] = sw_tensor_int_at(t, first + k * step);
        e->f[k] = (double)e->i[k];
    }
}

/* 1 and, among signed numbers, -1 are the only integers whose inverse is not cut to 0. */
static uint64_t power(uint64_t base, int64_t exponent, bool has_minus_one) {
    uint64_t result = 1;
    if (exponent < 0 && base != 1) {
        if (!has_minus_one || base != UINT64_MAX) return 0;
        return exponent % 2 ? UINT64_MAX : 1;
    }
    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1) result *= base;
    return result;
}

typedef void (*pow_row)(const void *base, int64_t step, const exponents *e, void *out, int64_t n);

#define POW_FLOAT(dtype, s, T, C)                                                                                      \
    static void pow_##s(const void *base, int64_t step, const exponents *e, void *out, int64_t n) {                    \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            C x = sw__load_##s(((const T *)base)[i * step]), y = (C)e->f[i];                                           \
            ((T *)out)[i] = sw__store_##s(y == 2 ? x * x : pow(x, y));                                                 \
        }                                                                                                              \
    }
#define POW_INTEGER(s, T, is_signed)                                                                                   \
    static void pow_##s(const void *base, int64_t step, const exponents *e, void *out, int64_t n) {                    \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            T x = ((const T *)base)[i * step];                                                                         \
            int64_t y = e->integer ? (int64_t)power((uint64_t)x, e->i[i], is_signed)                                   \
                                   : sw__f64_to_i64(pow((double)x, e->f[i]));                                          \
            ((T *)out)[i] = (T)y;                                                                                      \
        }                                                                                                              \
    }
#define POW_SIGNED(dtype, s, T, C)   POW_INTEGER(s, T, true)
#define POW_UNSIGNED(dtype, s, T, C) POW_INTEGER(s, T, false)
SW_FLOAT_TYPES(POW_FLOAT)
SW_SIGNED_TYPES(POW_SIGNED)
SW_UNSIGNED_TYPES(POW_UNSIGNED)

#define POW_ENTRY(dtype, s, T, C) [dtype] = pow_##s,
static const pow_row rows[SW_DTYPE_COUNT] = {SW_NUMBER_TYPES(POW_ENTRY)};

typedef struct pow_run {
    pow_row row;
    const sw_nd *nd;
    const char *base;
    const sw_tensor *exponent;
    char *out;
    int64_t size;
} pow_run;

static void run_row(void *ctx, const int64_t *offset, int64_t n) {
    const pow_run *r = ctx;
    int last = r->nd->rank - 1;
    int64_t step = r->nd->stride[1][last], step_e = r->nd->stride[2][last];
    exponents e;
    for (int64_t i = 0; i < n; i += SW_WIDE) {
        int64_t m = n - i < SW_WIDE ? n - i : SW_WIDE;
        load_exponents(r->exponent, offset[2] + i * step_e, step_e, m, &e);
        r->row(r->base + (offset[1] + i * step) * r->size, step, &e, r->out + (offset[0] + i) * r->size, m);
    }
}

sw_status sw__pow_ref(const sw_call *c) {
    const sw_tensor *base = c->in[0], *exponent = c->in[1], *out = c->out[0];
    if (!rows[base->dtype]) return sw__refuse_dtype(c, base->dtype);
    if (!rows[exponent->dtype]) return sw__refuse_dtype(c, exponent->dtype);
    sw_nd nd;
    sw__nd_broadcast(&nd, out, c->in, 2);
    sw__nd_collapse(&nd);
    pow_run r = {rows[base->dtype], &nd, base->data, exponent, out->data, (int64_t)sw_dtype_size(base->dtype)};
    sw__nd_for(c->pool, &nd, run_row, &r);
    return SW_OK;
}
