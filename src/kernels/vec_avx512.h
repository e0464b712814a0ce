/* Vectors of sixteen floats for the *_avx512.c files, as kernels/vec_avx2.h has them of eight. */
#ifndef SLIPWAY_KERNELS_VEC_AVX512_H
#define SLIPWAY_KERNELS_VEC_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/vec.h"

typedef __m512 vf;
enum { VF = 16, VF_ROWS = 12 };
/* Measured on Zen 4, which does one 512-bit multiply-add and one load a cycle. */
#define VF_STEP_2    24.6
#define VF_STEP_1    13.6
#define VF_TRANSFORM 1.6
#define VF_STEP_BF16 1.0

SW_INLINE vf vf_all(float x) {
    return _mm512_set1_ps(x);
}
SW_INLINE vf vf_load(const float *p) {
    return _mm512_loadu_ps(p);
}
SW_INLINE void vf_store(float *p, vf x) {
    _mm512_storeu_ps(p, x);
}
SW_INLINE vf vf_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
SW_INLINE vf vf_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
SW_INLINE vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
SW_INLINE vf vf_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
/* The second operand where one is NaN, as the instruction has it. */
SW_INLINE vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
SW_INLINE vf vf_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
/* a * b + c */
SW_INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
/* a * b - c */
SW_INLINE vf vf_fms(vf a, vf b, vf c) {
    return _mm512_fmsub_ps(a, b, c);
}
/* c - a * b */
SW_INLINE vf vf_fnma(vf a, vf b, vf c) {
    return _mm512_fnmadd_ps(a, b, c);
}
/* `yes` where a < b, else `no` (and where one is NaN). */
SW_INLINE vf vf_less(vf a, vf b, vf yes, vf no) {
    return _mm512_mask_mov_ps(no, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), yes);
}
/* `yes` where x has its sign bit set, else `no`. */
SW_INLINE vf vf_signed(vf x, vf yes, vf no) {
    return _mm512_mask_mov_ps(no, _mm512_movepi32_mask(_mm512_castps_si512(x)), yes);
}
SW_INLINE vf vf_abs(vf x) {
    return _mm512_abs_ps(x);
}
/* |size| with the sign of `sign`. */
SW_INLINE vf vf_copysign(vf size, vf sign) {
    return _mm512_or_ps(vf_abs(size), _mm512_and_ps(vf_all(-0.0f), sign));
}
/* y, but NaN where x is. */
SW_INLINE vf vf_or_nan(vf y, vf x) {
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}
/* y * 2^n for the integer n in the low bits of `bits`; the result must be a normal number. */
SW_INLINE vf vf_times_power(vf y, vf bits) {
    __m512i power = _mm512_slli_epi32(_mm512_castps_si512(bits), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(y), power));
}

/* The first n floats, 0 <= n <= 16, others 0; memory behind them is not touched. */
SW_INLINE vf vf_load_n(const float *p, int64_t n) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
/* The first n floats, others `fill`. */
SW_INLINE vf vf_load_or(const float *p, int64_t n, float fill) {
    return _mm512_mask_loadu_ps(vf_all(fill), (__mmask16)((1u << n) - 1), p);
}
SW_INLINE void vf_store_n(float *p, vf x, int64_t n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x);
}

/* Sixteen bytes as numbers. */
SW_INLINE vf vf_load_u8(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
/* Four pixels of three bytes, each with a fourth of 0; sixteen bytes are read. */
SW_INLINE vf vf_load_u8_3(const uint8_t *p) {
    const __m128i four = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
    __m128i bytes = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)p), four);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

/* Sixteen bfloat16. */
SW_INLINE vf vf_load_bf16(const uint16_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
SW_INLINE vf vf_load_bf16_n(const uint16_t *p, int64_t n) {
    __m256i part = _mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(part), 16));
}
/* To the nearest, ties to even; NaN becomes the quiet one. (The instruction takes denormals for 0.) */
SW_INLINE __m256i vf_to_bf16(vf x) {
#ifdef __AVX512BF16__
    return (__m256i)_mm512_cvtneps_pbh(x);
#else
    __m512i bits = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    bits = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    bits = _mm512_mask_mov_epi32(bits, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), _mm512_set1_epi32(0x7fc00000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16));
#endif
}
SW_INLINE void vf_store_bf16(uint16_t *p, vf x) {
    _mm256_storeu_si256((__m256i *)p, vf_to_bf16(x));
}
SW_INLINE void vf_store_bf16_n(uint16_t *p, vf x, int64_t n) {
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), vf_to_bf16(x));
}
/* Two vectors, one behind the other. */
SW_INLINE void vf_store_bf16_2(uint16_t *p, vf a, vf b) {
#ifdef __AVX512BF16__
    _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh(b, a));
#else
    vf_store_bf16(p, a);
    vf_store_bf16(p + VF, b);
#endif
}
/* Sixteen float16; to the nearest, ties to even. */
SW_INLINE vf vf_load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
SW_INLINE vf vf_load_f16_n(const uint16_t *p, int64_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p));
}
SW_INLINE void vf_store_f16(uint16_t *p, vf x) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
SW_INLINE void vf_store_f16_n(uint16_t *p, vf x, int64_t n) {
    __m256i half = _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), half);
}
#ifdef __AVX512BF16__
/* sum + a0 * b0 + a1 * b1 of the pairs of bfloat16 in a and b. */
SW_INLINE vf vf_dot_bf16(vf a, vf b, vf sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
#endif

/* VF pixels of three planes to floats in turn: float i of vector v is channel (16 v + i) % 3 of pixel (16 v + i) / 3. */
SW_INLINE void vf_interleave_3(const float *a, const float *b, const float *c, float *to) {
    static const __mmask16 third[3] = {0x4924, 0x2492, 0x9249}; /* floats of the third channel */
    const __m512i number = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    vf x = vf_load(a), y = vf_load(b), z = vf_load(c);
    SW_UNROLL
    for (int v = 0; v < 3; v++) {
        __m512i at = _mm512_add_epi32(number, _mm512_set1_epi32(16 * v));
        __m512i pixel = _mm512_srli_epi32(_mm512_mullo_epi32(at, _mm512_set1_epi32(0x5556)), 16); /* at / 3 */
        __m512i channel = _mm512_sub_epi32(at, _mm512_mullo_epi32(pixel, _mm512_set1_epi32(3)));
        vf xy = _mm512_permutex2var_ps(x, _mm512_add_epi32(pixel, _mm512_slli_epi32(channel, 4)), y);
        vf_store(to + 16 * v, _mm512_mask_permutexvar_ps(xy, third[v], pixel, z));
    }
}
/* The same to bfloat16, with a fourth of 0. */
SW_INLINE void vf_interleave_3_bf16(const float *a, const float *b, const float *c, uint16_t *to) {
    __m512i x = _mm512_cvtepu16_epi32(vf_to_bf16(vf_load(a))), y = _mm512_cvtepu16_epi32(vf_to_bf16(vf_load(b)));
    __m512i xy = _mm512_or_si512(x, _mm512_slli_epi32(y, 16)), z = _mm512_cvtepu16_epi32(vf_to_bf16(vf_load(c)));
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    _mm512_storeu_si512(to, _mm512_permutex2var_epi32(xy, low, z));
    _mm512_storeu_si512(to + 2 * VF, _mm512_permutex2var_epi32(xy, high, z));
}

SW_INLINE float vf_sum(vf x) {
    return _mm512_reduce_add_ps(x);
}
SW_INLINE float vf_largest(vf x) {
    return _mm512_reduce_max_ps(x);
}

/* rows[i][j] becomes rows[j][i]. */
SW_INLINE void vf_transpose(vf *r) {
    vf a[16], b[16];
    SW_UNROLL
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    SW_UNROLL
    for (int i = 0; i < 16; i += 4) {
        b[i] = _mm512_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm512_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    SW_UNROLL
    for (int i = 0; i < 4; i++) { /* quarters: of rows 0-3 and 4-7, 8-11 and 12-15; then of these two */
        a[i] = _mm512_shuffle_f32x4(b[i], b[i + 4], 0x88);
        a[i + 4] = _mm512_shuffle_f32x4(b[i], b[i + 4], 0xdd);
        a[i + 8] = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0x88);
        a[i + 12] = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0xdd);
    }
    SW_UNROLL
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0x88);
        r[i + 4] = _mm512_shuffle_f32x4(a[i + 4], a[i + 12], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0xdd);
        r[i + 12] = _mm512_shuffle_f32x4(a[i + 4], a[i + 12], 0xdd);
    }
}

/* 2^(j / 32), its bits less j << 18. */
static const uint32_t sw__exp2_table[32] = {
    0x3f800000, 0x3f7ecd87, 0x3f7daac3, 0x3f7c980f, 0x3f7b95c2, 0x3f7aa43a, 0x3f79c3d3, 0x3f78f4f0,
    0x3f7837f0, 0x3f778d3a, 0x3f76f532, 0x3f767043, 0x3f75fed7, 0x3f75a15b, 0x3f75583f, 0x3f7523f6,
    0x3f7504f3, 0x3f74fbaf, 0x3f7508a4, 0x3f752c4d, 0x3f75672a, 0x3f75b9be, 0x3f76248c, 0x3f76a81e,
    0x3f7744fd, 0x3f77fbb8, 0x3f78ccdf, 0x3f79b907, 0x3f7ac0c7, 0x3f7be4ba, 0x3f7d257d, 0x3f7e83b3,
};

/* 2^(scale x) as *power times what it returns. scale x is n 32nds and f, |f| <= 1/64: a table has 2^(n / 32), a polynomial 2^f
 * (minimax of the relative error with 2^0 exact, 5.3e-8). */
SW_INLINE vf vf__exp2(vf x, vf scale, __m512i *power) {
    const vf magic = vf_all(393216.0f); /* 1.5 * 2^18: adding it rounds to 32nds in the low bits */
    vf low = vf_load((const float *)sw__exp2_table), high = vf_load((const float *)sw__exp2_table + 16);
    vf n = vf_fma(x, scale, magic), f = vf_fms(x, scale, vf_sub(n, magic));
    __m512i index = _mm512_castps_si512(n), part = _mm512_castps_si512(_mm512_permutex2var_ps(low, index, high));
    *power = _mm512_add_epi32(part, _mm512_slli_epi32(index, 18));
    return vf_fma(vf_fma(f, vf_all(0.240226507f), vf_all(0.69315734f)), f, vf_all(1.0f));
}

/* y = 1 + exp(-x), for sigmoid and SiLU: relative error 3e-7 for |x| <= 10, 2e-6 at most; x beyond +-87 as 87. */
SW_INLINE void vf_one_plus_exp_minus(const vf *x, vf *y, int count) {
    SW_UNROLL
    for (int i = 0; i < count; i++) {
        __m512i power;
        vf t = _mm512_range_ps(x[i], vf_all(87.0f), 2); /* the lesser in size, with the sign of x */
        vf q = vf__exp2(t, vf_all(-1.44269504f), &power);
        y[i] = vf_fma(_mm512_castsi512_ps(power), q, vf_all(1.0f));
    }
}

/* exp(x) for x <= 0, as softmax needs it: relative error 3e-7 from -10 on, 2e-6 at most; 0 below normal numbers; NaN stays. */
SW_INLINE vf vf_exp_negative(vf x) {
    __m512i power;
    vf q = vf__exp2(vf_max(vf_all(-104.0f), x), vf_all(1.44269504f), &power);
    return vf_mul(_mm512_castsi512_ps(_mm512_max_epi32(power, _mm512_setzero_si512())), q);
}

#include "kernels/vec_math.inc"

/* SiLU to 2^-11 of its value, for results that are rounded to bfloat16: exp by a polynomial of degree 3 (minimax of the
 * relative error on [0, 1]: 1e-4), the reciprocal by its estimate. */
SW_INLINE void vf_silu_rough(vf *x, int count) {
    vf t[4], p[4];
    SW_UNROLL
    for (int i = 0; i < count; i++) t[i] = vf_mul(x[i], vf_all(-1.44269504f));
    SW_UNROLL
    for (int i = 0; i < count; i++) p[i] = _mm512_reduce_ps(t[i], 1); /* t - floor(t) */
    SW_UNROLL
    for (int i = 0; i < count; i++) {
        vf f = p[i];
        p[i] = vf_fma(vf_fma(vf_fma(vf_all(0.0780246109f), f, vf_all(0.226067305f)), f, vf_all(0.695833325f)), f,
                      vf_all(0.999925256f));
    }
    SW_UNROLL
    for (int i = 0; i < count; i++) p[i] = vf_add(_mm512_scalef_ps(p[i], t[i]), vf_all(1)); /* by 2^floor(t) */
    SW_UNROLL
    for (int i = 0; i < count; i++) x[i] = vf_mul(x[i], _mm512_rcp14_ps(p[i]));
}

#endif
