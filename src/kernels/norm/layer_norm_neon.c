#include "kernels/vec_neon.h"

/* The sum of x[i] - mean, or of the squares, over n floats, a multiple of eight. */
static double total8(const float *x, int64_t n, double mean, bool squares) {
    float64x2_t sum[4] = {vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0)}, middle = vdupq_n_f64(mean);
    for (int64_t i = 0; i < n; i += 8) {
        SW_UNROLL
        for (int k = 0; k < 4; k++) {
            float64x2_t v = vsubq_f64(vcvt_f64_f32(vld1_f32(x + i + 2 * k)), middle);
            sum[k] = squares ? vfmaq_f64(sum[k], v, v) : vaddq_f64(sum[k], v);
        }
    }
    return vaddvq_f64(vaddq_f64(vaddq_f64(sum[0], sum[1]), vaddq_f64(sum[2], sum[3])));
}

#include "kernels/norm/layer_norm.inc"

bool sw__layer_norm_neon(const sw_call *c) {
    return layer_norm(c);
}
