/* Functions of one array on AVX2: float32, row-major or channels-last. Errors stay at a few units in the last
 * place. */
#include <string.h>

#include "kernels/fast.h"
#include "kernels/nhwc/nhwc.h"
#include "kernels/vec_avx2.h"

enum { GRAIN = 4096 };

SW_INLINE v8 v8_abs(v8 x) {
    return _mm256_andnot_ps(v8_all(-0.0f), x);
}
SW_INLINE v8 v8_copysign(v8 size, v8 sign) {
    return _mm256_or_ps(v8_abs(size), _mm256_and_ps(v8_all(-0.0f), sign));
}
SW_INLINE v8 v8_choose(v8 mask, v8 yes, v8 no) {
    return _mm256_blendv_ps(no, yes, mask);
}

SW_INLINE v8 exp_of(v8 x, v8 a) {
    return (void)a, v8_exp(x);
}

SW_INLINE v8 sigmoid_of(v8 x, v8 a) {
    (void)a;
    return v8_div(v8_all(1.0f), v8_add(v8_all(1.0f), v8_exp(v8_sub(_mm256_setzero_ps(), x))));
}

SW_INLINE v8 swish_of(v8 x, v8 a) {
    return v8_div(x, v8_add(v8_all(1.0f), v8_exp(v8_fnma(a, x, _mm256_setzero_ps()))));
}

SW_INLINE v8 hardswish_of(v8 x, v8 a) {
    (void)a;
    v8 t = v8_fma(x, v8_all(1.0f / 6), v8_all(0.5f));
    return v8_mul(x, v8_min(v8_max(t, _mm256_setzero_ps()), v8_all(1.0f)));
}

/* Near 0 an odd polynomial (minimax of tanh(x) / x, 4e-9), else 1 - 2 / (1 + exp(2 |x|)). */
SW_INLINE v8 tanh_of(v8 x, v8 a) {
    (void)a;
    v8 s = v8_mul(x, x), size = v8_abs(x);
    v8 near = v8_fma(v8_all(-0.00567257417f), s, v8_all(0.0206032806f));
    near = v8_fma(near, s, v8_all(-0.0537252719f));
    near = v8_fma(near, s, v8_all(0.133311863f));
    near = v8_fma(near, s, v8_all(-0.333332634f));
    near = v8_fma(v8_mul(near, s), x, x);
    v8 far = v8_sub(v8_all(1.0f), v8_div(v8_all(2.0f), v8_add(v8_all(1.0f), v8_exp(v8_add(size, size)))));
    return v8_choose(_mm256_cmp_ps(size, v8_all(0.625f), _CMP_LT_OQ), near, v8_copysign(far, x));
}

/* Near 0 an odd polynomial (minimax of erf(x) / x, 2e-8), else 1 - exp(p(|x|)) with p near to log(erfc) up to 4. */
SW_INLINE v8 erf_of(v8 x, v8 a) {
    (void)a;
    v8 s = v8_mul(x, x), size = v8_abs(x), t = v8_min(v8_all(4.0f), size);
    v8 near = v8_fma(v8_all(-0.000596579762f), s, v8_all(0.00498830641f));
    near = v8_fma(near, s, v8_all(-0.0267633294f));
    near = v8_fma(near, s, v8_all(0.112817267f));
    near = v8_fma(near, s, v8_all(-0.376124853f));
    near = v8_fma(near, s, v8_all(0.128379148f));
    near = v8_fma(near, x, x);
    v8 far = v8_fma(v8_all(-2.11619229e-05f), t, v8_all(0.000435219066f));
    far = v8_fma(far, t, v8_all(-0.00417464385f));
    far = v8_fma(far, t, v8_all(0.0251286266f));
    far = v8_fma(far, t, v8_all(-0.10829395f));
    far = v8_fma(far, t, v8_all(-0.63333465f));
    far = v8_fma(far, t, v8_all(-1.12952082f));
    far = v8_fma(far, t, v8_all(0.000175874802f));
    far = v8_sub(v8_all(1.0f), v8_exp(far));
    return v8_choose(_mm256_cmp_ps(size, v8_all(0.925f), _CMP_LT_OQ), near, v8_copysign(far, x));
}

SW_INLINE v8 gelu_of(v8 x, v8 a) {
    v8 half = v8_mul(v8_all(0.5f), x);
    return v8_fma(half, erf_of(v8_mul(x, v8_all(0.70710678118f)), a), half);
}

SW_INLINE v8 gelu_tanh_of(v8 x, v8 a) {
    v8 half = v8_mul(v8_all(0.5f), x), cube = v8_mul(v8_mul(x, x), x);
    return v8_fma(half, tanh_of(v8_mul(v8_all(0.79788456080f), v8_fma(cube, v8_all(0.044715f), x)), a), half);
}

typedef void (*row_fn)(const float *from, float *to, int64_t n, float a);

/* Two vectors at a time help to hide the latency of the chains; every element goes through the same operations. */
#define ROW(name, function)                                                                                            \
    static void name(const float *from, float *to, int64_t n, float a) {                                               \
        int64_t i = 0;                                                                                                 \
        for (; i + 16 <= n; i += 16) {                                                                                 \
            v8_store(to + i, function(v8_load(from + i), v8_all(a)));                                                  \
            v8_store(to + i + 8, function(v8_load(from + i + 8), v8_all(a)));                                          \
        }                                                                                                              \
        for (; i < n; i += 8) {                                                                                        \
            int64_t some = n - i < 8 ? n - i : 8;                                                                      \
            v8_store_n(to + i, function(v8_load_n(from + i, some), v8_all(a)), some);                                  \
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
