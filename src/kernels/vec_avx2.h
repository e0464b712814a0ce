/* Vectors of eight floats for the *_avx2.c files. Sums and products that may be fused are written as fused ones, so that all
 * compilers give the same bits. */
#ifndef SLIPWAY_KERNELS_VEC_AVX2_H
#define SLIPWAY_KERNELS_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/vec.h"

typedef __m256 vf;
enum { VF = 8, VF_ROWS = 6 };
/* Measured on Zen 3: cycles of one step of a tile (VF_ROWS rows x two vectors, or one), for cost models. */
#define VF_STEP_2 6.3
#define VF_STEP_1 4.6
/* And, of the transforms of a Winograd convolution for one vector of channels, relative to AVX2. */
#define VF_TRANSFORM 1.0
/* And of a step of bfloat16 pairs, relative to one of floats: two products, and six instructions to take pairs apart. */
#define VF_STEP_BF16 3.0

SW_INLINE vf vf_all(float x) {
    return _mm256_set1_ps(x);
}
SW_INLINE vf vf_load(const float *p) {
    return _mm256_loadu_ps(p);
}
SW_INLINE void vf_store(float *p, vf x) {
    _mm256_storeu_ps(p, x);
}
SW_INLINE vf vf_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
SW_INLINE vf vf_sub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
SW_INLINE vf vf_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
SW_INLINE vf vf_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
/* The second operand where one is NaN, as the instruction has it. */
SW_INLINE vf vf_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
SW_INLINE vf vf_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
/* a * b + c */
SW_INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
/* a * b - c */
SW_INLINE vf vf_fms(vf a, vf b, vf c) {
    return _mm256_fmsub_ps(a, b, c);
}
/* c - a * b */
SW_INLINE vf vf_fnma(vf a, vf b, vf c) {
    return _mm256_fnmadd_ps(a, b, c);
}

/* `yes` where a < b, else `no` (and where one is NaN). */
SW_INLINE vf vf_less(vf a, vf b, vf yes, vf no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
/* `yes` where x has its sign bit set, else `no`. */
SW_INLINE vf vf_signed(vf x, vf yes, vf no) {
    return _mm256_blendv_ps(no, yes, x);
}
SW_INLINE vf vf_abs(vf x) {
    return _mm256_andnot_ps(vf_all(-0.0f), x);
}
/* |size| with the sign of `sign`. */
SW_INLINE vf vf_copysign(vf size, vf sign) {
    return _mm256_or_ps(vf_abs(size), _mm256_and_ps(vf_all(-0.0f), sign));
}
/* y, but NaN where x is. */
SW_INLINE vf vf_or_nan(vf y, vf x) {
    return _mm256_or_ps(y, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}
/* y * 2^n for the integer n in the low bits of `bits`; the result must be a normal number. */
SW_INLINE vf vf_times_power(vf y, vf bits) {
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(y), _mm256_slli_epi32(_mm256_castps_si256(bits), 23)));
}

static const int32_t vf_mask_row[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

/* The first n floats, 0 <= n <= 8, others 0; memory behind them is not touched. */
SW_INLINE vf vf_load_n(const float *p, int64_t n) {
    return _mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(vf_mask_row + 8 - n)));
}

/* The first n floats, others `fill`. */
SW_INLINE vf vf_load_or(const float *p, int64_t n, float fill) {
    vf mask = _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(vf_mask_row + 8 - n)));
    return _mm256_blendv_ps(vf_all(fill), vf_load_n(p, n), mask);
}

/* Masked stores are slow on AMD before Zen 4: halves and quarters instead. */
SW_INLINE void vf_store_n(float *p, vf x, int64_t n) {
    if (n >= 8) {
        vf_store(p, x);
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

/* Eight bytes as numbers. */
SW_INLINE vf vf_load_u8(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
/* Two pixels of three bytes, each with a fourth of 0; eight bytes are read. */
SW_INLINE vf vf_load_u8_3(const uint8_t *p) {
    const __m128i four = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    __m128i bytes = _mm_shuffle_epi8(_mm_loadl_epi64((const __m128i *)p), four);
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

/* Eight bfloat16. */
SW_INLINE vf vf_load_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
/* To the nearest, ties to even; NaN becomes the quiet one. */
SW_INLINE void vf_store_bf16(uint16_t *p, vf x) {
    __m256i bits = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    bits = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    vf rounded = _mm256_blendv_ps(_mm256_castsi256_ps(bits), _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)),
                                  _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    bits = _mm256_srli_epi32(_mm256_castps_si256(rounded), 16);
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1)));
}
/* Eight float16; to the nearest, ties to even. */
SW_INLINE vf vf_load_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
SW_INLINE void vf_store_f16(uint16_t *p, vf x) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/* sum + a0 * b0 + a1 * b1 of the pairs of bfloat16 in a and b: vdpbf16ps of AVX512-BF16, of which it differs by rounding. */
SW_INLINE vf vf_dot_bf16(vf a, vf b, vf sum) {
    const vf high = _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000));
    vf a0 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 16));
    vf b0 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(b), 16));
    return vf_fma(a0, b0, vf_fma(_mm256_and_ps(a, high), _mm256_and_ps(b, high), sum));
}

/* VF pixels of three planes to floats in turn: float i of vector v is channel (8 v + i) % 3 of pixel (8 v + i) / 3. */
SW_INLINE void vf_interleave_3(const float *a, const float *b, const float *c, float *to) {
    vf x = vf_load(a), y = vf_load(b), z = vf_load(c);
    SW_UNROLL
    for (int v = 0; v < 3; v++) {
        int k = 8 * v;
        __m256i pixel = _mm256_setr_epi32(k / 3, (k + 1) / 3, (k + 2) / 3, (k + 3) / 3, (k + 4) / 3, (k + 5) / 3,
                                          (k + 6) / 3, (k + 7) / 3);
        vf px = _mm256_permutevar8x32_ps(x, pixel), py = _mm256_permutevar8x32_ps(y, pixel),
           pz = _mm256_permutevar8x32_ps(z, pixel);
        vf out = v == 0   ? _mm256_blend_ps(_mm256_blend_ps(px, py, 0x92), pz, 0x24)
                 : v == 1 ? _mm256_blend_ps(_mm256_blend_ps(px, py, 0x24), pz, 0x49)
                          : _mm256_blend_ps(_mm256_blend_ps(px, py, 0x49), pz, 0x92);
        vf_store(to + 8 * v, out);
    }
}
/* The same to bfloat16, with a fourth of 0. */
SW_INLINE void vf_interleave_3_bf16(const float *a, const float *b, const float *c, uint16_t *to) {
    uint16_t planes[3][VF];
    vf_store_bf16(planes[0], vf_load(a));
    vf_store_bf16(planes[1], vf_load(b));
    vf_store_bf16(planes[2], vf_load(c));
    for (int i = 0; i < VF; i++, to += 4) to[0] = planes[0][i], to[1] = planes[1][i], to[2] = planes[2][i], to[3] = 0;
}

SW_INLINE float vf_sum(vf x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

SW_INLINE float vf_largest(vf x) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* rows[i][j] becomes rows[j][i]. */
SW_INLINE void vf_transpose(vf *r) {
    vf a[8], b[8];
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

#include "kernels/vec_eight.inc"

#endif
