/* What happens to sums on their way to the map, for the AVX2 convolutions: residual, activation, partial stores. */
#ifndef SLIPWAY_KERNELS_CONV_EPILOGUE_AVX2_H
#define SLIPWAY_KERNELS_CONV_EPILOGUE_AVX2_H

#include "kernels/conv/conv.h"
#include "kernels/vec_avx2.h"

SW_INLINE v8 sw__v8_clamp(v8 x, float lo, float hi) {
    return v8_min(v8_max(x, v8_all(lo)), v8_all(hi));
}

/* Activates `count` <= 4 vectors in lockstep. `act` is c->act, as a constant where that helps. */
SW_INLINE void sw__act_v8(const sw_conv *c, sw_act act, v8 *x, int count) {
    switch (act) {
    case SW_ACT_RELU:
        SW_UNROLL
        for (int i = 0; i < count; i++) x[i] = v8_max(x[i], _mm256_setzero_ps());
        break;
    case SW_ACT_LEAKY:
        SW_UNROLL
        for (int i = 0; i < count; i++)
            x[i] = _mm256_blendv_ps(x[i], v8_mul(x[i], v8_all(c->act_a)), x[i]); /* by the sign */
        break;
    case SW_ACT_SILU:
        v8_silu(x, count);
        break;
    case SW_ACT_SIGMOID:
        v8_sigmoid(x, count);
        break;
    case SW_ACT_HARDSWISH:
        SW_UNROLL
        for (int i = 0; i < count; i++)
            x[i] = v8_mul(x[i], sw__v8_clamp(v8_fma(x[i], v8_all(1.0f / 6), v8_all(0.5f)), 0, 1));
        break;
    case SW_ACT_HARDSIGMOID:
        SW_UNROLL
        for (int i = 0; i < count; i++) x[i] = sw__v8_clamp(v8_fma(x[i], v8_all(c->act_a), v8_all(c->act_b)), 0, 1);
        break;
    case SW_ACT_CLIP:
        SW_UNROLL
        for (int i = 0; i < count; i++) x[i] = sw__v8_clamp(x[i], c->act_a, c->act_b);
        break;
    default:
        break;
    }
}

/* Ends `count` <= 4 vectors of sums, each of n <= 8 channels, at to[i]; residual[i] is where theirs lies. */
SW_INLINE void sw__finish_v8(const sw_conv *c, v8 *x, float *const *to, const float *const *residual, int count,
                             int64_t n) {
    v8 r[4];
    if (c->residual) {
        SW_UNROLL
        for (int i = 0; i < count; i++) r[i] = n == 8 ? v8_load(residual[i]) : v8_load_n(residual[i], n);
        if (c->residual_before_act) {
            SW_UNROLL
            for (int i = 0; i < count; i++) x[i] = v8_add(x[i], r[i]);
        }
    }
    sw__act_v8(c, c->act, x, count);
    if (c->residual && !c->residual_before_act) {
        SW_UNROLL
        for (int i = 0; i < count; i++) x[i] = v8_add(x[i], r[i]);
    }
    SW_UNROLL
    for (int i = 0; i < count; i++) {
        if (n == 8)
            v8_store(to[i], x[i]);
        else
            v8_store_n(to[i], x[i], n);
    }
}

#endif
