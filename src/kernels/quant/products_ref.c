/* MatMulInteger, QLinearMatMul, ConvInteger, QLinearConv: sums of products of small integers, exact in 64 bits. */
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/quant/quant.h"
#include "kernels/wide.h"
#include "ops/shape.h"

/* Inputs of the operators by their meaning; NULL where an operator has none. */
typedef struct product_run {
    const sw_call *call;
    const sw_tensor *a, *b, *a_zero, *b_zero, *a_scale, *b_scale, *y_scale, *y_zero, *bias;
    sw_window w; /* convolutions */
    int64_t channels, depth, group, taps;
    int64_t m, n, k; /* matrices */
} product_run;

/* An element of a scale or zero point that holds one value or several. */
static int64_t pick(const sw_tensor *t, int64_t i) {
    return sw_tensor_count(t) == 1 ? 0 : i;
}

static int64_t zero_at(const sw_tensor *t, int64_t i) {
    return t ? sw_tensor_int_at(t, pick(t, i)) : 0;
}

/* Writes a sum: as int32, which may wrap around, or scaled. `left`, `right`: which scale of a and b. */
static void store(const product_run *r, int64_t i, int64_t sum, int64_t left, int64_t right) {
    const sw_tensor *y = r->call->out[0];
    if (!r->y_scale) {
        ((int32_t *)y->data)[i] = (int32_t)(uint32_t)(uint64_t)sum;
        return;
    }
    double scale = sw_tensor_float_at(r->a_scale, pick(r->a_scale, left)) *
                   sw_tensor_float_at(r->b_scale, pick(r->b_scale, right)) / sw_tensor_float_at(r->y_scale, 0);
    sw__quant_store(y, i, (double)sum * scale, sw_tensor_int_at(r->y_zero, 0));
}

static void name_inputs(product_run *r) {
    const sw_call *c = r->call;
    bool scaled = c->op == SW_OP_QLinearConv || c->op == SW_OP_QLinearMatMul;
    r->a = c->in[0];
    r->b = c->in[scaled ? 3 : 1];
    r->a_zero = sw_call_in(c, 2);
    r->b_zero = sw_call_in(c, scaled ? 5 : 3);
    if (!scaled) return;
    r->a_scale = c->in[1];
    r->b_scale = c->in[4];
    r->y_scale = c->in[6];
    r->y_zero = c->in[7];
    r->bias = sw_call_in(c, 8);
}

/* ---- Matrices ------------------------------------------------------------------------------------------------------ */

/* Which scale or zero point row `row` (or column) of matrix `at` has: rank 1 ones are shared by all matrices. */
static int64_t line_of(const sw_tensor *t, int64_t at, int64_t lines, int64_t row) {
    return t && t->rank > 1 ? at * lines + row : row;
}

/* Which matrix of `t` belongs to matrix `i` of the output. */
static int64_t matrix_of(const sw_tensor *t, const sw_tensor *y, int y_batch, int64_t i) {
    int64_t at = 0, step = 1;
    for (int axis = y_batch - 1, k = t->rank - 3; axis >= 0; i /= y->dims[axis], axis--, k--) {
        if (k < 0) continue;
        if (t->dims[k] != 1) at += i % y->dims[axis] * step;
        step *= t->dims[k];
    }
    return at;
}

static void run_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const product_run *r = ctx;
    const sw_tensor *y = r->call->out[0];
    int y_batch = y->rank - (r->a->rank > 1) - (r->b->rank > 1);
    for (int64_t item = begin; item < end; item++) {
        int64_t row = item % r->m, matrix = item / r->m;
        int64_t in_a = r->a->rank > 2 ? matrix_of(r->a, y, y_batch, matrix) : 0;
        int64_t in_b = r->b->rank > 2 ? matrix_of(r->b, y, y_batch, matrix) : 0;
        int64_t left = line_of(r->a_zero, in_a, r->m, row), a_zero = zero_at(r->a_zero, left);
        for (int64_t col = 0; col < r->n; col++) {
            int64_t right = line_of(r->b_zero, in_b, r->n, col), b_zero = zero_at(r->b_zero, right), sum = 0;
            for (int64_t k = 0; k < r->k; k++)
                sum += (sw_tensor_int_at(r->a, (in_a * r->m + row) * r->k + k) - a_zero) *
                       (sw_tensor_int_at(r->b, (in_b * r->k + k) * r->n + col) - b_zero);
            store(r, item * r->n + col, sum, line_of(r->a_scale, in_a, r->m, row),
                  line_of(r->b_scale, in_b, r->n, col));
        }
    }
}

sw_status sw__matmul_integer_ref(const sw_call *c) {
    product_run r = {.call = c};
    const sw_tensor *y = sw_call_out(c, 0);
    name_inputs(&r);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    r.m = r.a->rank > 1 ? r.a->dims[r.a->rank - 2] : 1;
    r.k = r.a->dims[r.a->rank - 1];
    r.n = r.b->rank > 1 ? r.b->dims[r.b->rank - 1] : 1;
    sw_pool_for(c->pool, sw_tensor_count(y) / r.n, 1 + 4096 / (r.n * r.k + 1), run_rows, &r);
    return SW_OK;
}

/* ---- Convolutions -------------------------------------------------------------------------------------------------- */

static int64_t convolve(const product_run *r, int64_t b, int64_t m, const int64_t *at) {
    const sw_window *w = &r->w;
    int64_t plane = w->in[0] * w->in[1] * w->in[2], first = b * r->a->dims[1] + m / (r->channels / r->group) * r->depth;
    int64_t a_zero = zero_at(r->a_zero, 0), b_zero = zero_at(r->b_zero, m);
    int64_t sum = r->bias ? sw_tensor_int_at(r->bias, m) : 0;
    for (int64_t tap = 0; tap < r->taps; tap++) {
        int64_t k[3] = {tap / w->kernel[2] / w->kernel[1], tap / w->kernel[2] % w->kernel[1], tap % w->kernel[2]};
        int64_t pixel = 0;
        bool inside = true; /* pixels of the padding equal the zero point: they add nothing */
        for (int i = 0; i < 3; i++) {
            int64_t p = at[i] * w->stride[i] + k[i] * w->dilation[i] - w->pad_begin[i];
            inside = inside && p >= 0 && p < w->in[i];
            pixel = pixel * w->in[i] + p;
        }
        for (int64_t ch = 0; inside && ch < r->depth; ch++)
            sum += (sw_tensor_int_at(r->a, (first + ch) * plane + pixel) - a_zero) *
                   (sw_tensor_int_at(r->b, (m * r->depth + ch) * r->taps + tap) - b_zero);
    }
    return sum;
}

static void run_pixels(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const product_run *r = ctx;
    const int64_t *out = r->w.out;
    for (int64_t i = begin; i < end; i++) {
        int64_t at[3] = {i / out[2] / out[1] % out[0], i / out[2] % out[1], i % out[2]};
        int64_t rest = i / out[2] / out[1] / out[0], m = rest % r->channels;
        store(r, i, convolve(r, rest / r->channels, m, at), 0, m);
    }
}

sw_status sw__conv_integer_ref(const sw_call *c) {
    product_run r = {.call = c, .group = sw_call_int(c, "group")};
    const sw_tensor *y = sw_call_out(c, 0);
    name_inputs(&r);
    SW_TRY(sw_call_window(c, r.a, r.b->dims + 2, &r.w));
    SW_TRY(sw_call_window_3d(c, &r.w));
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    r.channels = y->dims[1];
    r.depth = r.b->dims[1];
    r.taps = sw_tensor_count(r.b) > 0 ? r.w.kernel[0] * r.w.kernel[1] * r.w.kernel[2] : 0;
    sw_pool_for(c->pool, sw_tensor_count(y), 1 + 4096 / (r.taps * r.depth + 1), run_pixels, &r);
    return SW_OK;
}
