/* Layer normalisation of float32 on AVX2: rows whose scale and bias are as long as they. Sums in double, as the
 * reference. */
#include <math.h>

#include "kernels/fast.h"
#include "kernels/vec_avx2.h"
#include "kernels/wide.h"
#include "ops/shape.h"

typedef struct work {
    const float *x, *scale, *bias;
    float *y;
    int64_t length;
    double epsilon;
} work;

static double total(const float *x, int64_t n, double mean, bool squares) {
    __m256d sum[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()}, middle = _mm256_set1_pd(mean);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        SW_UNROLL
        for (int k = 0; k < 2; k++) {
            __m256d v = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(x + i + 4 * k)), middle);
            sum[k] = squares ? _mm256_fmadd_pd(v, v, sum[k]) : _mm256_add_pd(sum[k], v);
        }
    }
    double part[4], all;
    _mm256_storeu_pd(part, _mm256_add_pd(sum[0], sum[1]));
    all = part[0] + part[1] + (part[2] + part[3]);
    for (; i < n; i++) {
        double v = (double)x[i] - mean;
        all += squares ? v * v : v;
    }
    return all;
}

static void rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    (void)thread;
    for (int64_t r = begin; r < end; r++) {
        const float *x = w->x + r * w->length;
        float *y = w->y + r * w->length;
        double mean = total(x, w->length, 0, false) / (double)w->length;
        double variance = total(x, w->length, mean, true) / (double)w->length;
        vf middle = vf_all((float)mean), factor = vf_all((float)(1 / sqrt(variance + w->epsilon)));
        for (int64_t i = 0; i < w->length; i += 8) {
            int64_t n = w->length - i < 8 ? w->length - i : 8;
            vf v = vf_mul(vf_mul(vf_sub(vf_load_n(x + i, n), middle), factor), vf_load_n(w->scale + i, n));
            if (w->bias) v = vf_add(v, vf_load_n(w->bias + i, n));
            vf_store_n(y + i, v, n);
        }
    }
}

bool sw__layer_norm_avx2(const sw_call *c) {
    const sw_tensor *x = c->in[0], *scale = c->in[1], *bias = sw_call_in(c, 2);
    if (!sw__is_plain_f32(c) || !c->out[0] || sw_call_out(c, 1) || sw_call_out(c, 2) || x->rank == 0) return false;
    int axis = sw_axis(sw_call_int(c, "axis"), x->rank);
    int64_t length = sw__lanes(x, axis, x->rank).length, count = sw_tensor_count(x);
    if (count == 0) return true;
    if (sw_tensor_count(scale) != length || (bias && sw_tensor_count(bias) != length)) return false;
    work w = {
        .x = x->data, .scale = scale->data, .bias = bias ? bias->data : NULL, .y = c->out[0]->data, .length = length};
    w.epsilon = (double)sw_call_float(c, "epsilon");
    sw_pool_for(c->pool, count / length, 1 + 4096 / length, rows, &w);
    return true;
}
