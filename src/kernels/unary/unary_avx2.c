/* Functions of one array on AVX2: float32, row-major or channels-last. Errors stay at a few units in the last
 * place. */
#include <string.h>

#include "kernels/fast.h"
#include "kernels/nhwc/nhwc.h"
#include "kernels/vec_avx2.h"

enum { GRAIN = 4096 };

SW_INLINE vf vf_abs(vf x) {
    return _mm256_andnot_ps(vf_all(-0.0f), x);
}
SW_INLINE vf vf_copysign(vf size, vf sign) {
    return _mm256_or_ps(vf_abs(size), _mm256_and_ps(vf_all(-0.0f), sign));
}
SW_INLINE vf vf_choose(vf mask, vf yes, vf no) {
    return _mm256_blendv_ps(no, yes, mask);
}

SW_INLINE vf exp_of(vf x, vf a) {
    return (void)a, vf_exp(x);
}

SW_INLINE vf sigmoid_of(vf x, vf a) {
    (void)a;
    return vf_div(vf_all(1.0f), vf_add(vf_all(1.0f), vf_exp(vf_sub(_mm256_setzero_ps(), x))));
}

SW_INLINE vf swish_of(vf x, vf a) {
    return vf_div(x, vf_add(vf_all(1.0f), vf_exp(vf_fnma(a, x, _mm256_setzero_ps()))));
}

SW_INLINE vf hardswish_of(vf x, vf a) {
    (void)a;
    vf t = vf_fma(x, vf_all(1.0f / 6), vf_all(0.5f));
    return vf_mul(x, vf_min(vf_max(t, _mm256_setzero_ps()), vf_all(1.0f)));
}

/* Near 0 an odd polynomial (minimax of tanh(x) / x, 4e-9), else 1 - 2 / (1 + exp(2 |x|)). */
SW_INLINE vf tanh_of(vf x, vf a) {
    (void)a;
    vf s = vf_mul(x, x), size = vf_abs(x);
    vf near = vf_fma(vf_all(-0.00567257417f), s, vf_all(0.0206032806f));
    near = vf_fma(near, s, vf_all(-0.0537252719f));
    near = vf_fma(near, s, vf_all(0.133311863f));
    near = vf_fma(near, s, vf_all(-0.333332634f));
    near = vf_fma(vf_mul(near, s), x, x);
    vf far = vf_sub(vf_all(1.0f), vf_div(vf_all(2.0f), vf_add(vf_all(1.0f), vf_exp(vf_add(size, size)))));
    return vf_choose(_mm256_cmp_ps(size, vf_all(0.625f), _CMP_LT_OQ), near, vf_copysign(far, x));
}

/* Near 0 an odd polynomial (minimax of erf(x) / x, 2e-8), else 1 - exp(p(|x|)) with p near to log(erfc) up to 4. */
SW_INLINE vf erf_of(vf x, vf a) {
    (void)a;
    vf s = vf_mul(x, x), size = vf_abs(x), t = vf_min(vf_all(4.0f), size);
    vf near = vf_fma(vf_all(-0.000596579762f), s, vf_all(0.00498830641f));
    near = vf_fma(near, s, vf_all(-0.0267633294f));
    near = vf_fma(near, s, vf_all(0.112817267f));
    near = vf_fma(near, s, vf_all(-0.376124853f));
    near = vf_fma(near, s, vf_all(0.128379148f));
    near = vf_fma(near, x, x);
    vf far = vf_fma(vf_all(-2.11619229e-05f), t, vf_all(0.000435219066f));
    far = vf_fma(far, t, vf_all(-0.00417464385f));
    far = vf_fma(far, t, vf_all(0.0251286266f));
    far = vf_fma(far, t, vf_all(-0.10829395f));
    far = vf_fma(far, t, vf_all(-0.63333465f));
    far = vf_fma(far, t, vf_all(-1.12952082f));
    far = vf_fma(far, t, vf_all(0.000175874802f));
    far = vf_sub(vf_all(1.0f), vf_exp(far));
    return vf_choose(_mm256_cmp_ps(size, vf_all(0.925f), _CMP_LT_OQ), near, vf_copysign(far, x));
}

SW_INLINE vf gelu_of(vf x, vf a) {
    vf half = vf_mul(vf_all(0.5f), x);
    return vf_fma(half, erf_of(vf_mul(x, vf_all(0.70710678118f)), a), half);
}

SW_INLINE vf gelu_tanh_of(vf x, vf a) {
    vf half = vf_mul(vf_all(0.5f), x), cube = vf_mul(vf_mul(x, x), x);
    return vf_fma(half, tanh_of(vf_mul(vf_all(0.79788456080f), vf_fma(cube, vf_all(0.044715f), x)), a), half);
}

typedef void (*row_fn)(const float *from, float *to, int64_t n, float a);

/* Two vectors at a time help to hide the latency of the chains; every element goes through the same operations. */
#define ROW(name, function)                                                                                            \
    static void name(const float *from, float *to, int64_t n, float a) {                                               \
        int64_t i = 0;                                                                                                 \
        for (; i + 16 <= n; i += 16) {                                                                                 \
            vf_store(to + i, function(vf_load(from + i), vf_all(a)));                                                  \
            vf_store(to + i + 8, function(vf_load(from + i + 8), vf_all(a)));                                          \
        }                                                                                                              \
        for (; i < n; i += 8) {                                                                                        \
            int64_t some = n - i < 8 ? n - i : 8;                                                                      \
            vf_store_n(to + i, function(vf_load_n(from + i, some), vf_all(a)), some);                                  \
        }                                                                                                              \
    }
ROW(exp_row, exp_of)
ROW(sigmoid_row, sigmoid_of)
ROW(swish_row, swish_of)
ROW(hardswish_row, hardswish_of)
ROW(tanh_row, tanh_of)
ROW(erf_row, erf_of)
ROW(gelu_row, gelu_of)
ROW(gelu_tanh_row, gelu_tanh_of)

/* Rows of `length` floats where pixels have gaps between them, else one long row that may be cut anywhere. */
typedef struct work {
    row_fn row;
    float a;
    const float *from;
    float *to;
    int64_t length, from_step, to_step;
} work;

static void run_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    (void)thread;
    for (int64_t i = begin; i < end; i++) w->row(w->from + i * w->from_step, w->to + i * w->to_step, w->length, w->a);
}

static void run_piece(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    (void)thread;
    w->row(w->from + begin, w->to + begin, end - begin, w->a);
}

static row_fn find_row(const sw_call *c) {
    switch (c->op) {
    case SW_OP_Exp:
        return exp_row;
    case SW_OP_Sigmoid:
        return sigmoid_row;
    case SW_OP_Swish:
        return swish_row;
    case SW_OP_HardSwish:
        return hardswish_row;
    case SW_OP_Tanh:
        return tanh_row;
    case SW_OP_Erf:
        return erf_row;
    default:
        break;
    }
    const char *kind = sw_call_string(c, "approximate");
    return !strcmp(kind, "none") ? gelu_row : !strcmp(kind, "tanh") ? gelu_tanh_row : NULL;
}

bool sw__unary_avx2(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    work w = {.row = find_row(c), .from = x->data, .to = y->data};
    if (x->dtype != SW_F32 || !w.row || x->layout != y->layout) return false;
    int64_t n = sw_tensor_count(x);
    if (n == 0) return true;
    if (c->op == SW_OP_Swish) w.a = sw_call_float(c, "alpha");
    if (x->layout == SW_ROW_MAJOR || (x->pitch == x->dims[1] && y->pitch == x->dims[1])) {
        sw_pool_for(c->pool, n, GRAIN, run_piece, &w);
        return true;
    }
    w.length = x->dims[1];
    w.from_step = x->pitch;
    w.to_step = y->pitch;
    sw_pool_for(c->pool, n / w.length, 1 + GRAIN / w.length, run_rows, &w);
    return true;
}
