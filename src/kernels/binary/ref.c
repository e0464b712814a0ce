/* Arithmetic of two or more arrays of one type, with numpy broadcasting.
 *
 * What ONNX leaves open is defined here: integers wrap around, x / 0 and x mod 0 are 0 for them, the lowest
 * integer / -1 is itself, shifts by the width or more give 0. Min and Max hand on NaN. Float Mod without fmod has
 * the sign of the divisor, as numpy's. */
#include <string.h>
#include <tgmath.h>

#include "kernels/dtype.h"
#include "kernels/kernel.h"
#include "kernels/nd.h"
#include "kernels/rows.h"
#include "kernels/wide.h"

#define ROW(op, suffix, T, C, expr) SW_ROW2(op##_##suffix, T, C, T, sw__load_##suffix, sw__store_##suffix, (C)(expr))
#define U(v)                        ((uint64_t)(v)) /* arithmetic that may wrap around */

#define FLOAT_ROWS(dtype, s, T, C)                                                                                     \
    ROW(add, s, T, C, x + y)                                                                                           \
    ROW(sub, s, T, C, x - y)                                                                                           \
    ROW(mul, s, T, C, (x) * (y))                                                                                       \
    ROW(div, s, T, C, x / y)                                                                                           \
    ROW(prelu, s, T, C, x < 0 ? x * y : x)                                                                             \
    ROW(min, s, T, C, x < y || x != x ? x : y)                                                                         \
    ROW(max, s, T, C, x > y || x != x ? x : y)                                                                         \
    ROW(fmod, s, T, C, fmod(x, y))                                                                                     \
    static inline C floor_mod_##s(C x, C y) {                                                                          \
        C r = fmod(x, y);                                                                                              \
        return r != 0 && (r < 0) != (y < 0) ? r + y : r;                                                               \
    }                                                                                                                  \
    ROW(mod, s, T, C, floor_mod_##s(x, y))
#define INTEGER_ROWS(s, T)                                                                                             \
    ROW(add, s, T, T, U(x) + U(y))                                                                                     \
    ROW(sub, s, T, T, U(x) - U(y))                                                                                     \
    ROW(mul, s, T, T, U(x) * U(y))                                                                                     \
    ROW(min, s, T, T, x < y ? x : y)                                                                                   \
    ROW(max, s, T, T, x > y ? x : y)                                                                                   \
    ROW(and, s, T, T, (x) & (y))                                                                                       \
    ROW(or, s, T, T, x | y)                                                                                            \
    ROW(xor, s, T, T, x ^ y)
#define SIGNED_ROWS(dtype, s, T, C)                                                                                    \
    INTEGER_ROWS(s, T)                                                                                                 \
    static inline T rest_##s(T x, T y) {                                                                               \
        return y == 0 || y == -1 ? 0 : (T)(x % y);                                                                     \
    }                                                                                                                  \
    static inline T floor_mod_##s(T x, T y) {                                                                          \
        T r = rest_##s(x, y);                                                                                          \
        return r != 0 && (r < 0) != (y < 0) ? (T)(r + y) : r;                                                          \
    }                                                                                                                  \
    ROW(div, s, T, T, y == 0 ? 0 : y == -1 ? (T)(0 - U(x)) : (T)(x / y))                                               \
    ROW(prelu, s, T, T, x < 0 ? (T)(U(x) * U(y)) : x)                                                                  \
    ROW(fmod, s, T, T, rest_##s(x, y))                                                                                 \
    ROW(mod, s, T, T, floor_mod_##s(x, y))
#define UNSIGNED_ROWS(dtype, s, T, C)                                                                                  \
    INTEGER_ROWS(s, T)                                                                                                 \
    ROW(div, s, T, T, y == 0 ? 0 : x / y)                                                                              \
    ROW(prelu, s, T, T, ((void)(y), x))                                                                                \
    ROW(mod, s, T, T, y == 0 ? 0 : x % y)                                                                              \
    ROW(shl, s, T, T, y < 8 * sizeof(T) ? U(x) << y : 0)                                                               \
    ROW(shr, s, T, T, y < 8 * sizeof(T) ? U(x) >> y : 0)
SW_FLOAT_TYPES(FLOAT_ROWS)
SW_SIGNED_TYPES(SIGNED_ROWS)
SW_UNSIGNED_TYPES(UNSIGNED_ROWS)

/* One table an operator: which types it has, and the function for each. */
#define TABLE(name, types)          static const sw_row2 name##_rows[SW_DTYPE_COUNT] = {types(name##_ENTRY)};
#define add_ENTRY(dtype, s, T, C)   [dtype] = add_##s,
#define sub_ENTRY(dtype, s, T, C)   [dtype] = sub_##s,
#define mul_ENTRY(dtype, s, T, C)   [dtype] = mul_##s,
#define div_ENTRY(dtype, s, T, C)   [dtype] = div_##s,
#define prelu_ENTRY(dtype, s, T, C) [dtype] = prelu_##s,
#define min_ENTRY(dtype, s, T, C)   [dtype] = min_##s,
#define max_ENTRY(dtype, s, T, C)   [dtype] = max_##s,
#define mod_ENTRY(dtype, s, T, C)   [dtype] = mod_##s,
#define and_ENTRY(dtype, s, T, C)   [dtype] = and_##s,
#define or_ENTRY(dtype, s, T, C)    [dtype] = or_##s,
#define xor_ENTRY(dtype, s, T, C)   [dtype] = xor_##s,
#define shl_ENTRY(dtype, s, T, C)   [dtype] = shl_##s,
#define shr_ENTRY(dtype, s, T, C)   [dtype] = shr_##s,
#define fmod_ENTRY(dtype, s, T, C)  [dtype] = fmod_##s,
TABLE(add, SW_NUMBER_TYPES)
TABLE(sub, SW_NUMBER_TYPES)
TABLE(mul, SW_NUMBER_TYPES)
TABLE(div, SW_NUMBER_TYPES)
TABLE(prelu, SW_NUMBER_TYPES)
TABLE(min, SW_NUMBER_TYPES)
TABLE(max, SW_NUMBER_TYPES)
TABLE(mod, SW_NUMBER_TYPES)
TABLE(and, SW_INTEGER_TYPES)
TABLE(or, SW_INTEGER_TYPES)
TABLE(xor, SW_INTEGER_TYPES)
TABLE(shl, SW_UNSIGNED_TYPES)
TABLE(shr, SW_UNSIGNED_TYPES)
/* Unsigned remainders are the same either way. */
static const sw_row2 fmod_rows[SW_DTYPE_COUNT] = {SW_FLOAT_TYPES(fmod_ENTRY) SW_SIGNED_TYPES(fmod_ENTRY)
                                                      SW_UNSIGNED_TYPES(mod_ENTRY)};

sw_row2 sw__arithmetic_row(sw_op op, sw_dtype dtype) {
    switch (op) {
    case SW_OP_Add:
    case SW_OP_Sum:
    case SW_OP_Mean:
        return add_rows[dtype];
    case SW_OP_Sub:
        return sub_rows[dtype];
    case SW_OP_Mul:
        return mul_rows[dtype];
    case SW_OP_Div:
        return div_rows[dtype];
    case SW_OP_PRelu:
        return prelu_rows[dtype];
    case SW_OP_Min:
        return min_rows[dtype];
    case SW_OP_Max:
        return max_rows[dtype];
    case SW_OP_Mod:
        return mod_rows[dtype];
    case SW_OP_BitwiseAnd:
        return and_rows[dtype];
    case SW_OP_BitwiseOr:
        return or_rows[dtype];
    case SW_OP_BitwiseXor:
        return xor_rows[dtype];
    default:
        return NULL;
    }
}

static sw_status run(const sw_call *c, sw_row2 row) {
    if (!row) return sw__refuse_dtype(c, c->in[0]->dtype);
    sw__row2_run(c->pool, row, c->in[0], c->in[1], c->out[0]);
    return SW_OK;
}

sw_status sw__binary_ref(const sw_call *c) {
    return run(c, sw__arithmetic_row(c->op, c->in[0]->dtype));
}

sw_status sw__mod_ref(const sw_call *c) {
    return run(c, (sw_call_int(c, "fmod") ? fmod_rows : mod_rows)[c->in[0]->dtype]);
}

sw_status sw__bit_shift_ref(const sw_call *c) {
    const char *direction = sw_call_string(c, "direction");
    bool left = strcmp(direction, "LEFT") == 0;
    if (!left && strcmp(direction, "RIGHT") != 0) return sw_call_fail(c, "unknown direction '%.32s'", direction);
    return run(c, (left ? shl_rows : shr_rows)[c->in[0]->dtype]);
}

/* ---- Any number of inputs ------------------------------------------------------------------------------------------ */

typedef struct accumulation {
    sw_row2 row;
    const sw_nd *nd;
    int64_t size;
    char *acc;
    const char *b;
} accumulation;

static void accumulate_row(void *ctx, const int64_t *offset, int64_t n) {
    const accumulation *s = ctx;
    sw__row2_accumulate(s->row, (size_t)s->size, s->acc + offset[0] * s->size, s->b + offset[1] * s->size,
                        s->nd->stride[1][s->nd->rank - 1], n);
}

static void accumulate(const sw_call *c, sw_row2 row, const sw_tensor *in) {
    sw_nd nd;
    sw__nd_broadcast(&nd, c->out[0], &in, 1);
    sw__nd_collapse(&nd);
    accumulation s = {row, &nd, (int64_t)sw_dtype_size(in->dtype), c->out[0]->data, in->data};
    sw__nd_for(c->pool, &nd, accumulate_row, &s);
}

/* The number of inputs as a scalar of a floating type. */
static void store_count(sw_dtype dtype, int n, void *to) {
    double value = n;
    sw__narrow(dtype, &value, 1, to, 0, 1);
}

sw_status sw__variadic_ref(const sw_call *c) {
    sw_dtype dtype = c->in[0]->dtype;
    bool sums = c->op == SW_OP_Sum || c->op == SW_OP_Mean;
    sw_row2 row = sw__arithmetic_row(c->op, dtype);
    if (!row || (sums && !sw__dtype_is_float(dtype))) return sw__refuse_dtype(c, dtype);
    if (c->n_in == 1) {
        int64_t bytes = sw_tensor_bytes(c->in[0]);
        if (bytes > 0) memcpy(c->out[0]->data, c->in[0]->data, (size_t)bytes);
        return SW_OK;
    }
    /* The first two may be smaller than the output, but row functions read them by stride. */
    sw__row2_run(c->pool, row, c->in[0], c->in[1], c->out[0]);
    for (int i = 2; i < c->n_in; i++) accumulate(c, row, c->in[i]);
    if (c->op == SW_OP_Mean) {
        double count;
        store_count(dtype, c->n_in, &count);
        sw_tensor divisor = {.dtype = dtype, .rank = 0, .data = &count};
        accumulate(c, sw__arithmetic_row(SW_OP_Div, dtype), &divisor);
    }
    return SW_OK;
}
