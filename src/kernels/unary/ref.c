/* Functions of one array, element by element. Halves compute in float; NaN is handed on. */
#include <string.h>
#include <tgmath.h>

#include "kernels/dtype.h"
#include "kernels/kernel.h"
#include "kernels/wide.h"

enum { GRAIN = 4096 };

/* Parameters of the functions that have some: alpha, beta or whatever the operator calls them. */
typedef struct unary_params {
    float a, b;
} unary_params;

typedef void (*unary_row)(const void *from, void *to, int64_t n, unary_params p);

typedef struct unary_run {
    unary_row row;
    unary_params params;
    const char *from;
    char *to;
    int64_t size_in, size_out;
} unary_run;

static void run_chunk(void *ctx, int64_t begin, int64_t end, int thread) {
    const unary_run *r = ctx;
    r->row(r->from + begin * r->size_in, r->to + begin * r->size_out, end - begin, r->params);
}

static sw_status run(const sw_call *c, unary_row row, unary_params params) {
    const sw_tensor *in = c->in[0], *out = c->out[0];
    if (!row) return sw__refuse_dtype(c, in->dtype);
    unary_run r = {
        row, params, in->data, out->data, (int64_t)sw_dtype_size(in->dtype), (int64_t)sw_dtype_size(out->dtype)};
    int64_t n = sw_tensor_count(in);
    if (n > 0) sw_pool_for(c->pool, n, GRAIN, run_chunk, &r);
    return SW_OK;
}

/* A function from elements `x` of T, loaded as C, to R; `expr` may use the parameters pa and pb, of type P. */
#define ROW(name, T, C, P, R, load, store, expr)                                                                       \
    static void name(const void *from, void *to, int64_t n, unary_params p) {                                          \
        const T *restrict f = from;                                                                                    \
        R *restrict t = to;                                                                                            \
        const P pa = p.a, pb = p.b;                                                                                    \
        (void)pa, (void)pb;                                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            C x = load(f[i]);                                                                                          \
            t[i] = store(expr);                                                                                        \
        }                                                                                                              \
    }
#define SAME(op, d, s, T, C, expr)    ROW(op##_##s, T, C, C, T, sw__load_##s, sw__store_##s, (C)(expr))
#define INTEGER(op, d, s, T, C, expr) ROW(op##_##s, T, C, double, T, sw__load_##s, sw__store_##s, (C)(expr))
#define TEST(op, d, s, T, C, expr)    ROW(op##_##s, T, C, float, uint8_t, sw__load_##s, sw__store_b8, expr)

/* The functions: X(operator, dtype, suffix, storage, compute, expression). */
#define FLOAT_FUNCTIONS(X, d, s, T, C)                                                                                 \
    X(Abs, d, s, T, C, fabs(x))                                                                                        \
    X(Neg, d, s, T, C, -x)                                                                                             \
    X(Sign, d, s, T, C, x > 0 ? 1 : x < 0 ? -1 : x)                                                                    \
    X(Exp, d, s, T, C, exp(x))                                                                                         \
    X(Log, d, s, T, C, log(x))                                                                                         \
    X(Sqrt, d, s, T, C, sqrt(x))                                                                                       \
    X(Reciprocal, d, s, T, C, 1 / x)                                                                                   \
    X(Floor, d, s, T, C, floor(x))                                                                                     \
    X(Ceil, d, s, T, C, ceil(x))                                                                                       \
    X(Round, d, s, T, C, rint(x))                                                                                      \
    X(Sin, d, s, T, C, sin(x))                                                                                         \
    X(Cos, d, s, T, C, cos(x))                                                                                         \
    X(Tan, d, s, T, C, tan(x))                                                                                         \
    X(Asin, d, s, T, C, asin(x))                                                                                       \
    X(Acos, d, s, T, C, acos(x))                                                                                       \
    X(Atan, d, s, T, C, atan(x))                                                                                       \
    X(Sinh, d, s, T, C, sinh(x))                                                                                       \
    X(Cosh, d, s, T, C, cosh(x))                                                                                       \
    X(Tanh, d, s, T, C, tanh(x))                                                                                       \
    X(Asinh, d, s, T, C, asinh(x))                                                                                     \
    X(Acosh, d, s, T, C, acosh(x))                                                                                     \
    X(Atanh, d, s, T, C, atanh(x))                                                                                     \
    X(Erf, d, s, T, C, erf(x))                                                                                         \
    X(Sigmoid, d, s, T, C, sigmoid_##s(x))                                                                             \
    X(Relu, d, s, T, C, x < 0 ? 0 : x)                                                                                 \
    X(Softplus, d, s, T, C, softplus_##s(x))                                                                           \
    X(Softsign, d, s, T, C, x / (1 + fabs(x)))                                                                         \
    X(HardSwish, d, s, T, C, x *unit_##s(x *(C)(1.0 / 6) + (C)0.5))                                                    \
    X(Mish, d, s, T, C, x *tanh(softplus_##s(x)))                                                                      \
    X(LeakyRelu, d, s, T, C, x < 0 ? pa * x : x)                                                                       \
    X(Elu, d, s, T, C, x < 0 ? pa * expm1(x) : x)                                                                      \
    X(Celu, d, s, T, C, x < 0 ? pa * expm1(x / pa) : x)                                                                \
    X(Selu, d, s, T, C, pb *(x > 0 ? x : pa * expm1(x)))                                                               \
    X(ThresholdedRelu, d, s, T, C, x > pa || x != x ? x : 0)                                                           \
    X(HardSigmoid, d, s, T, C, unit_##s(pa *x + pb))                                                                   \
    X(Shrink, d, s, T, C, x<-pb ? x + pa : x> pb ? x - pa : 0)                                                         \
    X(Gelu, d, s, T, C, (C)0.5 * x * (1 + erf(x * (C)0.70710678118654752440)))                                         \
    X(Swish, d, s, T, C, x *sigmoid_##s(pa *x))
#define FLOAT_TESTS(X, d, s, T, C)                                                                                     \
    X(IsNaN, d, s, T, C, x != x)                                                                                       \
    X(IsInf, d, s, T, C, (pa != 0 && x == (C)INFINITY) || (pb != 0 && x == -(C)INFINITY))
/* Integers wrap around: the lowest one is its own negative. */
#define SIGNED_FUNCTIONS(X, d, s, T, C)                                                                                \
    X(Abs, d, s, T, C, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)                                                          \
    X(Neg, d, s, T, C, 0 - (uint64_t)x)                                                                                \
    X(Sign, d, s, T, C, (x > 0) - (x < 0))                                                                             \
    X(Relu, d, s, T, C, x < 0 ? 0 : x)                                                                                 \
    X(BitwiseNot, d, s, T, C, ~x)                                                                                      \
    X(Shrink, d, s, T, C, shrink(x, pa, pb))
#define UNSIGNED_FUNCTIONS(X, d, s, T, C)                                                                              \
    X(Abs, d, s, T, C, x)                                                                                              \
    X(Sign, d, s, T, C, x != 0)                                                                                        \
    X(BitwiseNot, d, s, T, C, ~x)                                                                                      \
    X(Shrink, d, s, T, C, shrink(x, pa, pb))

/* What several functions or long ones need. */
#define FLOAT_HELPERS(d, s, T, C)                                                                                      \
    static inline C sigmoid_##s(C x) {                                                                                 \
        return 1 / (1 + exp(-x));                                                                                      \
    }                                                                                                                  \
    static inline C softplus_##s(C x) {                                                                                \
        return log1p(exp(-fabs(x))) + (x < 0 ? 0 : x);                                                                 \
    }                                                                                                                  \
    static inline C unit_##s(C x) {                                                                                    \
        return x < 0 ? 0 : x > 1 ? 1 : x;                                                                              \
    }
SW_FLOAT_TYPES(FLOAT_HELPERS)

/* Shrink of an integer, calculated in double and cut. */
static inline int64_t shrink(double x, double bias, double lambd) {
    return sw__f64_to_i64(x < -lambd ? x + bias : x > lambd ? x - bias : 0);
}

#define FLOAT_ROWS(d, s, T, C)    FLOAT_FUNCTIONS(SAME, d, s, T, C) FLOAT_TESTS(TEST, d, s, T, C)
#define SIGNED_ROWS(d, s, T, C)   SIGNED_FUNCTIONS(INTEGER, d, s, T, C)
#define UNSIGNED_ROWS(d, s, T, C) UNSIGNED_FUNCTIONS(INTEGER, d, s, T, C)
#define BOOL_ROWS(d, s, T, C)     TEST(Not, d, s, T, C, !x)
SW_FLOAT_TYPES(FLOAT_ROWS)
SW_SIGNED_TYPES(SIGNED_ROWS)
SW_UNSIGNED_TYPES(UNSIGNED_ROWS)
SW_BOOL_TYPES(BOOL_ROWS)

#define ENTRY(op, d, s, T, C, expr)  [SW_OP_##op][d] = op##_##s,
#define FLOAT_ENTRIES(d, s, T, C)    FLOAT_FUNCTIONS(ENTRY, d, s, T, C) FLOAT_TESTS(ENTRY, d, s, T, C)
#define SIGNED_ENTRIES(d, s, T, C)   SIGNED_FUNCTIONS(ENTRY, d, s, T, C)
#define UNSIGNED_ENTRIES(d, s, T, C) UNSIGNED_FUNCTIONS(ENTRY, d, s, T, C)
#define BOOL_ENTRIES(d, s, T, C)     ENTRY(Not, d, s, T, C, )
/* clang-format off */
static const unary_row rows[SW_OP_COUNT][SW_DTYPE_COUNT] = {
    SW_FLOAT_TYPES(FLOAT_ENTRIES)
    SW_SIGNED_TYPES(SIGNED_ENTRIES)
    SW_UNSIGNED_TYPES(UNSIGNED_ENTRIES)
    SW_BOOL_TYPES(BOOL_ENTRIES)
};
/* clang-format on */

#define GELU_TANH(d, s, T, C)                                                                                          \
    SAME(gelu_tanh, d, s, T, C, (C)0.5 * x * (1 + tanh((C)0.79788456080286535588 * (x + (C)0.044715 * x * x * x))))
#define GELU_TANH_ENTRY(d, s, T, C) [d] = gelu_tanh_##s,
SW_FLOAT_TYPES(GELU_TANH)
static const unary_row gelu_tanh_rows[SW_DTYPE_COUNT] = {SW_FLOAT_TYPES(GELU_TANH_ENTRY)};

sw_status sw__unary_ref(const sw_call *c) {
    unary_params p = {0, 0};
    const sw_op op = c->op;
    if (op == SW_OP_LeakyRelu || op == SW_OP_Elu || op == SW_OP_Celu || op == SW_OP_Selu ||
        op == SW_OP_ThresholdedRelu || op == SW_OP_HardSigmoid || op == SW_OP_Swish)
        p.a = sw_call_float(c, "alpha");
    if (op == SW_OP_Selu) p.b = sw_call_float(c, "gamma");
    if (op == SW_OP_HardSigmoid) p.b = sw_call_float(c, "beta");
    if (op == SW_OP_Shrink) p = (unary_params){sw_call_float(c, "bias"), sw_call_float(c, "lambd")};
    if (op == SW_OP_IsInf)
        p = (unary_params){sw_call_int(c, "detect_positive") != 0, sw_call_int(c, "detect_negative") != 0};
    return run(c, rows[op][c->in[0]->dtype], p);
}

sw_status sw__gelu_ref(const sw_call *c) {
    const char *kind = sw_call_string(c, "approximate");
    bool by_tanh = strcmp(kind, "tanh") == 0;
    if (!by_tanh && strcmp(kind, "none") != 0) return sw_call_fail(c, "unknown approximation '%.32s'", kind);
    return run(c, (by_tanh ? gelu_tanh_rows : rows[SW_OP_Gelu])[c->in[0]->dtype], (unary_params){0, 0});
}
