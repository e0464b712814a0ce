/* Gemm and MatMul: pieces of output rows, inner loop along the row. f32 and halves accumulate in float, f64 in double,
 * integers modulo 2^64, which narrows to what arithmetic of their own width gives. */
#include "kernels/dtype.h"
#include "kernels/gemm/batch.h"
#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

enum { PIECE = 512 };

/* One product of m x k by k x n with free strides (in elements), and what is added to it. */
typedef struct product {
    const sw_call *call;
    int64_t m, k, n, pieces;
    int64_t a_row, a_col, b_row, b_col; /* strides */
    int64_t bias_row, bias_col;         /* strides in input C; 0 where it broadcasts */
    double alpha, beta;
    int rank; /* of the batch */
    int64_t batch[SW_MAX_RANK], a_batch[SW_MAX_RANK], b_batch[SW_MAX_RANK];
} product;

#define PRODUCT_ROW(type, id, acc_type, load)                                                                          \
    static void sum_row_##id(const product *p, const type *a, const type *b, acc_type *acc, int64_t n) {               \
        for (int64_t i = 0; i < n; i++) acc[i] = 0;                                                                    \
        for (int64_t k = 0; k < p->k; k++, a += p->a_col, b += p->b_row) {                                             \
            acc_type factor = load(*a);                                                                                \
            if (p->b_col == 1)                                                                                         \
                for (int64_t i = 0; i < n; i++) acc[i] += factor * load(b[i]);                                         \
            else                                                                                                       \
                for (int64_t i = 0; i < n; i++) acc[i] += factor * load(b[i * p->b_col]);                              \
        }                                                                                                              \
    }
#define FLOAT_ROW(dtype, id, type, calc)                                                                               \
    PRODUCT_ROW(type, id, calc, sw__load_##id)                                                                         \
    static void row_##id(const product *p, int64_t a, int64_t b, int64_t bias, int64_t out, int64_t n) {               \
        const sw_call *c = p->call;                                                                                    \
        const type *add = sw_call_in(c, 2) ? (const type *)c->in[2]->data + bias : NULL;                               \
        type *y = (type *)c->out[0]->data + out;                                                                       \
        calc acc[PIECE], alpha = (calc)p->alpha, beta = (calc)p->beta;                                                 \
        sum_row_##id(p, (const type *)c->in[0]->data + a, (const type *)c->in[1]->data + b, acc, n);                   \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            calc value = alpha * acc[i];                                                                               \
            if (add) value += beta * sw__load_##id(add[i * p->bias_col]);                                              \
            y[i] = sw__store_##id(value);                                                                              \
        }                                                                                                              \
    }
SW_FLOAT_TYPES(FLOAT_ROW)
#undef FLOAT_ROW

/* alpha and beta are floats by definition: other values than whole numbers scale in double and cut off. */
static uint64_t scaled(double factor, uint64_t value, bool is_signed) {
    if (factor == 1) return value;
    double v = factor * (is_signed ? (double)(int64_t)value : (double)value);
    if (!(v > -0x1p63)) return (uint64_t)INT64_MIN;
    if (v >= 0x1p64) return UINT64_MAX;
    return v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
}

#define INTEGER_ROW(type, id, is_signed)                                                                               \
    PRODUCT_ROW(type, id, uint64_t, (uint64_t))                                                                        \
    static void row_##id(const product *p, int64_t a, int64_t b, int64_t bias, int64_t out, int64_t n) {               \
        const sw_call *c = p->call;                                                                                    \
        const type *add = sw_call_in(c, 2) ? (const type *)c->in[2]->data + bias : NULL;                               \
        type *y = (type *)c->out[0]->data + out;                                                                       \
        uint64_t acc[PIECE];                                                                                           \
        sum_row_##id(p, (const type *)c->in[0]->data + a, (const type *)c->in[1]->data + b, acc, n);                   \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            uint64_t value = scaled(p->alpha, acc[i], is_signed);                                                      \
            if (add) value += scaled(p->beta, (uint64_t)add[i * p->bias_col], is_signed);                              \
            y[i] = (type)value;                                                                                        \
        }                                                                                                              \
    }
#define SIGNED_ROW(dtype, id, type, calc)   INTEGER_ROW(type, id, true)
#define UNSIGNED_ROW(dtype, id, type, calc) INTEGER_ROW(type, id, false)
SW_SIGNED_TYPES(SIGNED_ROW)
SW_UNSIGNED_TYPES(UNSIGNED_ROW)
#undef SIGNED_ROW
#undef UNSIGNED_ROW
#undef INTEGER_ROW
#undef PRODUCT_ROW

static void run_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const product *p = ctx;
    for (int64_t item = begin; item < end; item++) {
        int64_t col = item % p->pieces * PIECE, row = item / p->pieces % p->m, batch = item / p->pieces / p->m;
        int64_t n = sw__min64(PIECE, p->n - col), a = row * p->a_row, b = col * p->b_col, rest = batch;
        for (int i = p->rank - 1; i >= 0; i--) {
            a += rest % p->batch[i] * p->a_batch[i];
            b += rest % p->batch[i] * p->b_batch[i];
            rest /= p->batch[i];
        }
        int64_t bias = row * p->bias_row + col * p->bias_col, out = (batch * p->m + row) * p->n + col;
        switch (p->call->in[0]->dtype) {
#define RUN(dtype, id, type, calc)                                                                                     \
    case dtype:                                                                                                        \
        row_##id(p, a, b, bias, out, n);                                                                               \
        break;
            SW_NUMBER_TYPES(RUN)
#undef RUN
        default:
            break;
        }
    }
}

static sw_status run(product *p) {
    const sw_call *c = p->call;
    sw_dtype dtype = c->in[0]->dtype;
    if (dtype == SW_DTYPE_NONE || dtype == SW_BOOL) return sw__refuse_dtype(c, dtype);
    int64_t count = sw_call_out(c, 0) ? sw_tensor_count(c->out[0]) : 0;
    if (count == 0) return SW_OK;
    p->pieces = (p->n + PIECE - 1) / PIECE;
    int64_t work = (p->k + 1) * sw__min64(PIECE, p->n);
    sw_pool_for(c->pool, count / p->n * p->pieces, 1 + (1 << 16) / work, run_rows, p);
    return SW_OK;
}

sw_status sw__gemm_ref(const sw_call *c) {
    const sw_tensor *a = c->in[0], *b = c->in[1], *bias = sw_call_in(c, 2);
    bool trans_a = sw_call_int(c, "transA") != 0, trans_b = sw_call_int(c, "transB") != 0;
    product p = {.call = c, .m = a->dims[trans_a], .k = a->dims[!trans_a], .n = b->dims[!trans_b]};
    p.alpha = (double)sw_call_float(c, "alpha");
    p.beta = (double)sw_call_float(c, "beta");
    p.a_row = trans_a ? 1 : p.k;
    p.a_col = trans_a ? p.m : 1;
    p.b_row = trans_b ? 1 : p.n;
    p.b_col = trans_b ? p.k : 1;
    if (bias && bias->rank >= 1) p.bias_col = bias->dims[bias->rank - 1] != 1;
    if (bias && bias->rank == 2 && bias->dims[0] != 1) p.bias_row = bias->dims[1];
    return run(&p);
}

sw_status sw__matmul_ref(const sw_call *c) {
    const sw_tensor *a = c->in[0], *b = c->in[1], *y = sw_call_out(c, 0);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    product p = {.call = c, .alpha = 1, .k = a->dims[a->rank - 1]};
    p.m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
    p.n = b->rank > 1 ? b->dims[b->rank - 1] : 1;
    p.a_row = p.k;
    p.a_col = 1;
    p.b_row = p.n;
    p.b_col = 1;
    p.rank = y->rank - (a->rank > 1) - (b->rank > 1);
    for (int i = 0; i < p.rank; i++) p.batch[i] = y->dims[i];
    sw__batch_strides(p.rank, a, p.m * p.k, p.a_batch);
    sw__batch_strides(p.rank, b, p.k * p.n, p.b_batch);
    return run(&p);
}
