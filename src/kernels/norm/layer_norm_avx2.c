#include "kernels/vec_avx2.h"

/* The sum of x[i] - mean, or of the squares, over n floats, a multiple of eight. */
static double total8(const float *x, int64_t n, double mean, bool squares) {
    __m256d sum[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()}, middle = _mm256_set1_pd(mean);
    for (int64_t i = 0; i < n; i += 8) {
        SW_UNROLL
        for (int k = 0; k < 2; k++) {
            __m256d v = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(x + i + 4 * k)), middle);
            sum[k] = squares ? _mm256_fmadd_pd(v, v, sum[k]) : _mm256_add_pd(sum[k], v);
        }
    }
    double part[4];
    _mm256_storeu_pd(part, _mm256_add_pd(sum[0], sum[1]));
    return part[0] + part[1] + (part[2] + part[3]);
}

#include "kernels/norm/layer_norm.inc"

bool sw__layer_norm_avx2(const sw_call *c) {
    return layer_norm(c);
}
