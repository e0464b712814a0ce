/* Vectors of eight floats for the *_avx2.c files: partial loads and stores, exp, sigmoid. Sums and products that
 * may be fused are written as fused ones, so that all compilers give the same bits. */
#ifndef SLIPWAY_KERNELS_VEC_AVX2_H
#define SLIPWAY_KERNELS_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>

typedef __m256 v8;

#ifdef __clang__
#define SW_UNROLL _Pragma("unroll")
#else
#define SW_UNROLL _Pragma("GCC unroll 16") /* of loops of constant length */
#endif
#define SW_INLINE static inline __attribute__((always_inline))

/* What was stored before is read from memory after: keeps compilers from holding more vectors in registers than
 * there are. */
#define SW_SPILL __asm__ volatile("" ::: "memory")

SW_INLINE v8 v8_all(float x) {
    return _mm256_set1_ps(x);
}
SW_INLINE v8 v8_load(const float *p) {
    return _mm256_loadu_ps(p);
}
SW_INLINE void v8_store(float *p, v8 x) {
    _mm256_storeu_ps(p, x);
}
SW_INLINE v8 v8_add(v8 a, v8 b) {
    return _mm256_add_ps(a, b);
}
SW_INLINE v8 v8_sub(v8 a, v8 b) {
    return _mm256_sub_ps(a, b);
}
SW_INLINE v8 v8_mul(v8 a, v8 b) {
    return _mm256_mul_ps(a, b);
}
SW_INLINE v8 v8_div(v8 a, v8 b) {
    return _mm256_div_ps(a, b);
}
/* The second operand where one is NaN, as the instruction has it. */
SW_INLINE v8 v8_max(v8 a, v8 b) {
    return _mm256_max_ps(a, b);
}
SW_INLINE v8 v8_min(v8 a, v8 b) {
    return _mm256_min_ps(a, b);
}
/* a * b + c */
SW_INLINE v8 v8_fma(v8 a, v8 b, v8 c) {
    return _mm256_fmadd_ps(a, b, c);
}
/* c - a * b */
SW_INLINE v8 v8_fnma(v8 a, v8 b, v8 c) {
    return _mm256_fnmadd_ps(a, b, c);
}

static const int32_t v8_mask_row[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

/* The first n floats, 0 <= n <= 8, others 0; memory behind them is not touched. */
SW_INLINE v8 v8_load_n(const float *p, int64_t n) {
    return _mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(v8_mask_row + 8 - n)));
}

/* Masked stores are slow on AMD before Zen 4: halves and quarters instead. */
SW_INLINE void v8_store_n(float *p, v8 x, int64_t n) {
    if (n >= 8) {
        v8_store(p, x);
        return;
    }
    __m128 part = _mm256_castps256_ps128(x);
    if (n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(x, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, part);
}

SW_INLINE void v8_copy(float *to, const float *from, int64_t n) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) v8_store(to + i, v8_load(from + i));
    for (; i < n; i++) to[i] = from[i];
}

/* 2^(n + f) by a polynomial of degree 5 in f, |f| <= 1/2 (minimax of the relative error: 7.5e-8), for `count`
 * vectors in lockstep: that hides the latency of the chain. x is multiplied by `scale`; |scale * x| <= 126 must
 * hold. */
SW_INLINE void v8_exp2_lockstep(const v8 *x, v8 scale, v8 *y, int count) {
    const v8 magic = v8_all(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    v8 n[4], f[4];
    SW_UNROLL
    for (int i = 0; i < count; i++) n[i] = v8_fma(x[i], scale, magic);
    SW_UNROLL
    for (int i = 0; i < count; i++) f[i] = _mm256_fmsub_ps(x[i], scale, v8_sub(n[i], magic));
    SW_UNROLL
    for (int i = 0; i < count; i++) y[i] = v8_fma(v8_all(0.0013276472f), f[i], v8_all(0.00967554133f));
    SW_UNROLL
    for (int i = 0; i < count; i++) y[i] = v8_fma(y[i], f[i], v8_all(0.0555071327f));
    SW_UNROLL
    for (int i = 0; i < count; i++) y[i] = v8_fma(y[i], f[i], v8_all(0.240221197f));
    SW_UNROLL
    for (int i = 0; i < count; i++) y[i] = v8_fma(y[i], f[i], v8_all(0.693146967f));
    SW_UNROLL
    for (int i = 0; i < count; i++) y[i] = v8_fma(y[i], f[i], v8_all(1.00000007f));
    SW_UNROLL
    for (int i = 0; i < count; i++)
        y[i] = _mm256_castsi256_ps(
            _mm256_add_epi32(_mm256_castps_si256(y[i]), _mm256_slli_epi32(_mm256_castps_si256(n[i]), 23)));
}

/* exp(x) to 2 units in the last place; 0 below the normal numbers, infinity above; NaN stays. */
SW_INLINE v8 v8_exp(v8 x) {
    const v8 magic = v8_all(12582912.0f), least = v8_all(-87.3365f), most = v8_all(88.7228f);
    v8 t = v8_min(v8_max(x, least), most);
    v8 n = v8_fma(t, v8_all(1.44269502f), magic);
    v8 f = _mm256_fmsub_ps(t, v8_all(1.44269502f), v8_sub(n, magic));
    f = v8_fma(t, v8_all(1.92596299e-8f), f); /* what log2(e) has beyond its float */
    v8 y = v8_fma(v8_all(0.00015345812f), f, v8_all(0.00133999312f));
    y = v8_fma(y, f, v8_all(0.00961848896f));
    y = v8_fma(y, f, v8_all(0.0555032878f));
    y = v8_fma(y, f, v8_all(0.240226469f));
    y = v8_fma(y, f, v8_all(0.693147206f));
    y = v8_fma(y, f, v8_all(1.0f));
    y = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(y), _mm256_slli_epi32(_mm256_castps_si256(n), 23)));
    y = _mm256_andnot_ps(_mm256_cmp_ps(x, least, _CMP_LT_OQ), y);
    y = _mm256_blendv_ps(y, v8_all(__builtin_inff()), _mm256_cmp_ps(x, most, _CMP_GT_OQ));
    return _mm256_or_ps(y, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

SW_INLINE float v8_sum(v8 x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

SW_INLINE float v8_largest(v8 x) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* rows[i][j] becomes rows[j][i]. */
SW_INLINE void v8_transpose(v8 *r) {
    v8 a[8], b[8];
    SW_UNROLL
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    SW_UNROLL
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    SW_UNROLL
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}

/* y = 1 + exp(-x), for sigmoid and SiLU: absolute error of x / y at most 1e-6, relative 2e-6; x beyond +-87 as 87. */
SW_INLINE void v8_one_plus_exp_minus(const v8 *x, v8 *y, int count) {
    v8 t[4];
    SW_UNROLL
    for (int i = 0; i < count; i++) t[i] = v8_min(v8_max(x[i], v8_all(-87.0f)), v8_all(87.0f));
    v8_exp2_lockstep(t, v8_all(-1.44269504f), y, count);
    SW_UNROLL
    for (int i = 0; i < count; i++) y[i] = v8_add(y[i], v8_all(1.0f));
}

SW_INLINE void v8_silu(v8 *x, int count) {
    v8 y[4];
    v8_one_plus_exp_minus(x, y, count);
    SW_UNROLL
    for (int i = 0; i < count; i++) x[i] = v8_div(x[i], y[i]);
}

SW_INLINE void v8_sigmoid(v8 *x, int count) {
    v8 y[4];
    v8_one_plus_exp_minus(x, y, count);
    SW_UNROLL
    for (int i = 0; i < count; i++) { /* NaN stays NaN */
        v8 nan = _mm256_cmp_ps(x[i], x[i], _CMP_UNORD_Q);
        x[i] = _mm256_or_ps(v8_div(v8_all(1.0f), y[i]), nan);
    }
}

#endif
