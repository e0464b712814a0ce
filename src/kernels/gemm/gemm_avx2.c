/* Gemm and MatMul of float32 on AVX2 and FMA: tiles of 6 rows x 16 columns, over panels of 16 columns of B that are
 * packed first. Products with few rows are bound by reading B once and do not pack it. */
#include <string.h>

#include "kernels/fast.h"
#include "kernels/gemm/batch.h"
#include "kernels/vec_avx2.h"
#include "kernels/wide.h"

enum { ROWS = 6, LANES = 16, FEW_ROWS = 4, ROW_BLOCK = 96 };

/* m x k by k x n, batched. The rows of A are contiguous; B is k rows of n, or (b_transposed) n rows of k. */
typedef struct product {
    const float *a, *b, *bias;
    float *y;
    int64_t m, k, n, panels, row_blocks, block; /* block: rows of A at a time */
    bool b_transposed;
    int64_t bias_row, bias_col; /* strides; 0 where it broadcasts */
    float alpha, beta;
    int rank; /* of the batch */
    int64_t batch[SW_MAX_RANK], a_batch[SW_MAX_RANK], b_batch[SW_MAX_RANK];
    float *scratch; /* a panel for each thread */
} product;

/* ---- Packing ----------------------------------------------------------------------------------------------------- */

/* packed[k][LANES] from `lanes` columns. */
static void pack_rows(const float *b, int64_t step, int64_t k, int64_t lanes, float *packed) {
    for (int64_t i = 0; i < k; i++, b += step, packed += LANES) {
        vf lo = lanes >= 8 ? vf_load(b) : vf_load_n(b, lanes), hi = _mm256_setzero_ps();
        if (lanes == LANES)
            hi = vf_load(b + 8);
        else if (lanes > 8)
            hi = vf_load_n(b + 8, lanes - 8);
        vf_store(packed, lo);
        vf_store(packed + 8, hi);
    }
}

/* The same where the columns are rows of k floats. */
static void pack_columns(const float *b, int64_t k, int64_t lanes, float *packed) {
    if (lanes < LANES) memset(packed, 0, (size_t)(k * LANES) * sizeof *packed);
    for (int64_t lane = 0; lane < lanes; lane += 8) {
        int64_t i = 0, some = lanes - lane < 8 ? lanes - lane : 8;
        for (; some == 8 && i + 8 <= k; i += 8) {
            vf r[8];
            SW_UNROLL
            for (int j = 0; j < 8; j++) r[j] = vf_load(b + (lane + j) * k + i);
            vf_transpose(r);
            SW_UNROLL
            for (int j = 0; j < 8; j++) vf_store(packed + (i + j) * LANES + lane, r[j]);
        }
        for (; i < k; i++)
            for (int64_t j = 0; j < some; j++) packed[i * LANES + lane + j] = b[(lane + j) * k + i];
    }
}

/* ---- Tiles ------------------------------------------------------------------------------------------------------- */

/* sum[rows][LANES], rows of it sum_step apart; rows of b lie `step` apart. */
SW_INLINE void multiply(const float *const *a, const float *b, int64_t step, int64_t k, float *sum, int64_t sum_step,
                        int rows) {
    vf acc[ROWS][2];
    const float *from[ROWS];
    SW_UNROLL
    for (int i = 0; i < rows; i++) {
        from[i] = a[i];
        acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    }
    for (int64_t j = 0; j < k; j++, b += step) {
        vf lo = vf_load(b), hi = vf_load(b + 8);
        SW_UNROLL
        for (int i = 0; i < rows; i++) {
            vf x = _mm256_broadcast_ss(from[i] + j);
            acc[i][0] = vf_fma(x, lo, acc[i][0]);
            acc[i][1] = vf_fma(x, hi, acc[i][1]);
        }
    }
    SW_UNROLL
    for (int i = 0; i < rows; i++) {
        vf_store(sum + i * sum_step, acc[i][0]);
        vf_store(sum + i * sum_step + 8, acc[i][1]);
    }
}

typedef void (*multiply_fn)(const float *const *a, const float *b, int64_t step, int64_t k, float *sum,
                            int64_t sum_step);

#define MULTIPLY(name, rows)                                                                                           \
    static void name(const float *const *a, const float *b, int64_t step, int64_t k, float *sum, int64_t sum_step) {   \
        multiply(a, b, step, k, sum, sum_step, rows);                                                                  \
    }
MULTIPLY(multiply_6, 6)
MULTIPLY(multiply_3, 3)
MULTIPLY(multiply_1, 1)

/* y = alpha * sum + beta * bias for one row of up to LANES columns. */
static void finish(const product *p, const float *sum, int64_t row, int64_t col, int64_t lanes, float *y) {
    const float *bias = p->bias ? p->bias + row * p->bias_row + col * p->bias_col : NULL;
    for (int64_t lane = 0; lane < lanes; lane += 8) {
        int64_t n = lanes - lane < 8 ? lanes - lane : 8;
        vf v = vf_mul(vf_load(sum + lane), vf_all(p->alpha));
        if (bias) v = vf_fma(vf_all(p->beta), p->bias_col ? vf_load_n(bias + lane, n) : vf_all(*bias), v);
        vf_store_n(y + lane, v, n);
    }
}

static void tiles(const product *p, const float *a, const float *b, int64_t step, int64_t row, int64_t end, int64_t col,
                  float *y) {
    _Alignas(32) float sum[ROWS * LANES];
    int64_t lanes = p->n - col < LANES ? p->n - col : LANES;
    bool plain = lanes == LANES && !p->bias && p->alpha == 1;
    for (; row < end; row += ROWS) {
        const float *from[ROWS];
        int64_t rows = end - row < ROWS ? end - row : ROWS;
        for (int64_t i = 0; i < ROWS; i++) from[i] = a + (row + (i < rows ? i : 0)) * p->k;
        multiply_fn product_of = rows > 3 ? multiply_6 : rows > 1 ? multiply_3 : multiply_1;
        if (plain && (rows == 6 || rows == 3 || rows == 1)) { /* nothing is left to do with the sums */
            product_of(from, b, step, p->k, y + row * p->n + col, p->n);
            continue;
        }
        product_of(from, b, step, p->k, sum, LANES);
        for (int64_t i = 0; i < rows; i++) finish(p, sum + i * LANES, row + i, col, lanes, y + (row + i) * p->n + col);
    }
}

/* ---- Loops ------------------------------------------------------------------------------------------------------- */

static void locate(const product *p, int64_t batch, const float **a, const float **b, float **y) {
    *y = p->y + batch * p->m * p->n;
    *a = p->a;
    *b = p->b;
    for (int i = p->rank - 1; i >= 0; i--) {
        *a += batch % p->batch[i] * p->a_batch[i];
        *b += batch % p->batch[i] * p->b_batch[i];
        batch /= p->batch[i];
    }
}

/* Items: batch, panel, block of rows. */
static void packed_items(void *ctx, int64_t begin, int64_t end, int thread) {
    const product *p = ctx;
    float *packed = p->scratch + thread * p->k * LANES, *y;
    const float *a, *b;
    int64_t taken = -1;
    for (int64_t item = begin; item < end; item++) {
        int64_t row = item % p->row_blocks * p->block, panel = item / p->row_blocks, col = panel % p->panels * LANES;
        int64_t lanes = sw__min64(LANES, p->n - col);
        locate(p, panel / p->panels, &a, &b, &y);
        if (panel != taken) {
            if (p->b_transposed)
                pack_columns(b + col * p->k, p->k, lanes, packed);
            else
                pack_rows(b + col, p->n, p->k, lanes, packed);
            taken = panel;
        }
        tiles(p, a, packed, LANES, row, sw__min64(p->m, row + p->block), col, y);
    }
}

/* Dot products of one row of A with rows of B. */
static float dot(const float *a, const float *b, int64_t k) {
    vf sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    int64_t i = 0;
    for (; i + 32 <= k; i += 32) {
        SW_UNROLL
        for (int v = 0; v < 4; v++) sum[v] = vf_fma(vf_load(a + i + 8 * v), vf_load(b + i + 8 * v), sum[v]);
    }
    for (; i < k; i += 8) {
        int64_t n = sw__min64(8, k - i);
        sum[0] = vf_fma(vf_load_n(a + i, n), vf_load_n(b + i, n), sum[0]);
    }
    return vf_sum(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])));
}

/* Items: batch, panel of LANES columns; few rows. */
static void few_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const product *p = ctx;
    (void)thread;
    for (int64_t item = begin; item < end; item++) {
        int64_t col = item % p->panels * LANES, lanes = sw__min64(LANES, p->n - col);
        const float *a, *b;
        float *y, sum[LANES];
        locate(p, item / p->panels, &a, &b, &y);
        if (!p->b_transposed && lanes == LANES) {
            tiles(p, a, b + col, p->n, 0, p->m, col, y);
            continue;
        }
        for (int64_t row = 0; row < p->m; row++) {
            const float *x = a + row * p->k;
            memset(sum, 0, sizeof sum);
            for (int64_t lane = 0; lane < lanes; lane++) {
                if (p->b_transposed)
                    sum[lane] = dot(x, b + (col + lane) * p->k, p->k);
                else
                    for (int64_t i = 0; i < p->k; i++) sum[lane] += x[i] * b[i * p->n + col + lane];
            }
            finish(p, sum, row, col, lanes, y + row * p->n + col);
        }
    }
}

static bool run(product *p, const sw_call *c) {
    int64_t count = sw_tensor_count(c->out[0]), threads = sw_pool_threads(c->pool);
    if (count == 0) return true;
    int64_t batches = count / (p->m * p->n);
    p->y = c->out[0]->data;
    p->panels = (p->n + LANES - 1) / LANES;
    int64_t work = 1 + p->k * LANES * sw__min64(p->m, ROW_BLOCK);
    if (p->m < FEW_ROWS) {
        sw_pool_for(c->pool, batches * p->panels, 1 + (1 << 15) / work, few_rows, p);
        return true;
    }
    /* Rows are cut only where panels alone do not keep the threads busy: each cut may pack a panel again. */
    bool cut = threads > 1 && batches * p->panels < 4 * threads;
    p->block = cut ? ROW_BLOCK : p->m;
    p->row_blocks = (p->m + p->block - 1) / p->block;
    if (p->k > INT64_MAX / 8 / LANES / (int64_t)sizeof(float) / threads) return false;
    p->scratch = sw_alloc(c->allocator, (size_t)(threads * p->k * LANES) * sizeof(float));
    if (!p->scratch) return false;
    sw_pool_for(c->pool, batches * p->panels * p->row_blocks, 1 + (1 << 15) / work, packed_items, p);
    sw_free(c->allocator, p->scratch);
    return true;
}

bool sw__gemm_avx2(const sw_call *c) {
    const sw_tensor *a = c->in[0], *b = c->in[1], *bias = sw_call_in(c, 2);
    if (!sw__is_plain_f32(c) || !c->out[0] || sw_call_int(c, "transA")) return false;
    bool transposed = sw_call_int(c, "transB") != 0;
    product p = {.a = a->data,
                 .b = b->data,
                 .bias = bias ? bias->data : NULL,
                 .m = a->dims[0],
                 .k = a->dims[1],
                 .n = b->dims[!transposed]};
    p.b_transposed = transposed;
    p.alpha = sw_call_float(c, "alpha");
    p.beta = sw_call_float(c, "beta");
    if (bias && bias->rank >= 1) p.bias_col = bias->dims[bias->rank - 1] != 1;
    if (bias && bias->rank == 2 && bias->dims[0] != 1) p.bias_row = bias->dims[1];
    return run(&p, c);
}

bool sw__matmul_avx2(const sw_call *c) {
    const sw_tensor *a = c->in[0], *b = c->in[1], *y = c->out[0];
    if (!sw__is_plain_f32(c) || !y || a->rank < 1 || b->rank < 2) return false;
    product p = {.a = a->data, .b = b->data, .alpha = 1, .k = a->dims[a->rank - 1], .n = b->dims[b->rank - 1]};
    p.m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
    p.rank = y->rank - (a->rank > 1) - 1;
    for (int i = 0; i < p.rank; i++) p.batch[i] = y->dims[i];
    sw__batch_strides(p.rank, a, p.m * p.k, p.a_batch);
    sw__batch_strides(p.rank, b, p.k * p.n, p.b_batch);
    /* A batch of A against one B is one product with all their rows. */
    bool shared = p.rank > 0 && b->rank == 2;
    if (shared) {
        for (int i = 0; i < p.rank; i++) p.m *= p.batch[i];
        p.rank = 0;
    }
    return run(&p, c);
}
