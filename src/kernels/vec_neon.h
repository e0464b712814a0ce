/* Vectors of eight floats, each two registers, for the *_neon.c files, as kernels/vec_avx2.h has them: six rows by two vectors
 * take 24 of the 32 registers. Not measured on a machine: costs are counted for two pipes of four floats. */
#ifndef SLIPWAY_KERNELS_VEC_NEON_H
#define SLIPWAY_KERNELS_VEC_NEON_H

#include <arm_neon.h>
#include <stdint.h>

#include "kernels/vec.h"

typedef struct vf {
    float32x4_t lo, hi;
} vf;
enum { VF = 8, VF_ROWS = 6 };
#define VF_STEP_2    12.6
#define VF_STEP_1    6.9
#define VF_TRANSFORM 2.0
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
#define VF_STEP_BF16 1.0
#else
#define VF_STEP_BF16 3.0
#endif

SW_INLINE vf vf_all(float x) {
    return (vf){vdupq_n_f32(x), vdupq_n_f32(x)};
}
SW_INLINE vf vf_load(const float *p) {
    return (vf){vld1q_f32(p), vld1q_f32(p + 4)};
}
SW_INLINE void vf_store(float *p, vf x) {
    vst1q_f32(p, x.lo);
    vst1q_f32(p + 4, x.hi);
}
SW_INLINE vf vf_add(vf a, vf b) {
    return (vf){vaddq_f32(a.lo, b.lo), vaddq_f32(a.hi, b.hi)};
}
SW_INLINE vf vf_sub(vf a, vf b) {
    return (vf){vsubq_f32(a.lo, b.lo), vsubq_f32(a.hi, b.hi)};
}
SW_INLINE vf vf_mul(vf a, vf b) {
    return (vf){vmulq_f32(a.lo, b.lo), vmulq_f32(a.hi, b.hi)};
}
SW_INLINE vf vf_div(vf a, vf b) {
    return (vf){vdivq_f32(a.lo, b.lo), vdivq_f32(a.hi, b.hi)};
}

/* Bits of `yes` where those of `mask` are set, else of `no`. */
typedef struct vf__mask {
    uint32x4_t lo, hi;
} vf__mask;
SW_INLINE vf vf__select(vf__mask mask, vf yes, vf no) {
    return (vf){vbslq_f32(mask.lo, yes.lo, no.lo), vbslq_f32(mask.hi, yes.hi, no.hi)};
}
SW_INLINE vf__mask vf__below(vf a, vf b) {
    return (vf__mask){vcltq_f32(a.lo, b.lo), vcltq_f32(a.hi, b.hi)};
}

/* The second operand where one is NaN, as on other instruction sets. */
SW_INLINE vf vf_max(vf a, vf b) {
    return vf__select(vf__below(b, a), a, b);
}
SW_INLINE vf vf_min(vf a, vf b) {
    return vf__select(vf__below(a, b), a, b);
}
/* a * b + c */
SW_INLINE vf vf_fma(vf a, vf b, vf c) {
    return (vf){vfmaq_f32(c.lo, a.lo, b.lo), vfmaq_f32(c.hi, a.hi, b.hi)};
}
/* a * b - c */
SW_INLINE vf vf_fms(vf a, vf b, vf c) {
    return (vf){vfmaq_f32(vnegq_f32(c.lo), a.lo, b.lo), vfmaq_f32(vnegq_f32(c.hi), a.hi, b.hi)};
}
/* c - a * b */
SW_INLINE vf vf_fnma(vf a, vf b, vf c) {
    return (vf){vfmsq_f32(c.lo, a.lo, b.lo), vfmsq_f32(c.hi, a.hi, b.hi)};
}

/* `yes` where a < b, else `no` (and where one is NaN). */
SW_INLINE vf vf_less(vf a, vf b, vf yes, vf no) {
    return vf__select(vf__below(a, b), yes, no);
}
/* `yes` where x has its sign bit set, else `no`. */
SW_INLINE vf vf_signed(vf x, vf yes, vf no) {
    return vf__select((vf__mask){vcltzq_s32(vreinterpretq_s32_f32(x.lo)), vcltzq_s32(vreinterpretq_s32_f32(x.hi))}, yes,
                      no);
}
SW_INLINE vf vf_abs(vf x) {
    return (vf){vabsq_f32(x.lo), vabsq_f32(x.hi)};
}
/* |size| with the sign of `sign`. */
SW_INLINE vf vf_copysign(vf size, vf sign) {
    uint32x4_t bit = vdupq_n_u32(0x80000000u);
    return vf__select((vf__mask){bit, bit}, sign, size);
}
/* y, but NaN where x is. */
SW_INLINE vf vf_or_nan(vf y, vf x) {
    return vf__select((vf__mask){vceqq_f32(x.lo, x.lo), vceqq_f32(x.hi, x.hi)}, y, x);
}
SW_INLINE float32x4_t vf__times_power(float32x4_t y, float32x4_t bits) {
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(y), vshlq_n_s32(vreinterpretq_s32_f32(bits), 23)));
}
/* y * 2^n for the integer n in the low bits of `bits`; the result must be a normal number. */
SW_INLINE vf vf_times_power(vf y, vf bits) {
    return (vf){vf__times_power(y.lo, bits.lo), vf__times_power(y.hi, bits.hi)};
}

/* The first n floats, 0 <= n <= 8, others `fill`; memory behind them is not touched. */
SW_INLINE vf vf_load_or(const float *p, int64_t n, float fill) {
    float part[VF];
    for (int i = 0; i < VF; i++) part[i] = i < n ? p[i] : fill;
    return vf_load(part);
}
/* The first n floats, others 0. */
SW_INLINE vf vf_load_n(const float *p, int64_t n) {
    return n >= VF ? vf_load(p) : vf_load_or(p, n, 0);
}
SW_INLINE void vf_store_n(float *p, vf x, int64_t n) {
    if (n >= VF) {
        vf_store(p, x);
        return;
    }
    float32x4_t part = x.lo;
    if (n & 4) {
        vst1q_f32(p, part);
        part = x.hi;
        p += 4;
    }
    float32x2_t pair = vget_low_f32(part);
    if (n & 2) {
        vst1_f32(p, pair);
        pair = vget_high_f32(part);
        p += 2;
    }
    if (n & 1) vst1_lane_f32(p, pair, 0);
}

/* Eight bytes as numbers. */
SW_INLINE vf vf__from_u8(uint8x8_t bytes) {
    uint16x8_t x = vmovl_u8(bytes);
    return (vf){vcvtq_f32_u32(vmovl_u16(vget_low_u16(x))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(x)))};
}
SW_INLINE vf vf_load_u8(const uint8_t *p) {
    return vf__from_u8(vld1_u8(p));
}
/* Two pixels of three bytes, each with a fourth of 0; eight bytes are read. */
SW_INLINE vf vf_load_u8_3(const uint8_t *p) {
    const uint8_t four[8] = {0, 1, 2, 255, 3, 4, 5, 255}; /* beyond the table: 0 */
    return vf__from_u8(vtbl1_u8(vld1_u8(p), vld1_u8(four)));
}

/* Eight bfloat16. */
SW_INLINE vf vf_load_bf16(const uint16_t *p) {
    uint16x8_t x = vld1q_u16(p);
    return (vf){vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(x), 16)),
                vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(x), 16))};
}
SW_INLINE uint16x4_t vf__to_bf16(float32x4_t x) {
    uint32x4_t bits = vreinterpretq_u32_f32(x), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    bits = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), bits, vdupq_n_u32(0x7fc00000)), 16);
}
/* To the nearest, ties to even; NaN becomes the quiet one. */
SW_INLINE void vf_store_bf16(uint16_t *p, vf x) {
    vst1q_u16(p, vcombine_u16(vf__to_bf16(x.lo), vf__to_bf16(x.hi)));
}
/* Eight float16; to the nearest, ties to even. */
SW_INLINE vf vf_load_f16(const uint16_t *p) {
    float16x8_t x = vreinterpretq_f16_u16(vld1q_u16(p));
    return (vf){vcvt_f32_f16(vget_low_f16(x)), vcvt_f32_f16(vget_high_f16(x))};
}
SW_INLINE void vf_store_f16(uint16_t *p, vf x) {
    vst1q_u16(p, vreinterpretq_u16_f16(vcombine_f16(vcvt_f16_f32(x.lo), vcvt_f16_f32(x.hi))));
}
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
SW_INLINE float32x4_t vf__dot_bf16(float32x4_t a, float32x4_t b, float32x4_t sum) {
    return vbfdotq_f32(sum, vreinterpretq_bf16_f32(a), vreinterpretq_bf16_f32(b));
}
#else
SW_INLINE float32x4_t vf__dot_bf16(float32x4_t a, float32x4_t b, float32x4_t sum) {
    uint32x4_t high = vdupq_n_u32(0xffff0000u), x = vreinterpretq_u32_f32(a), y = vreinterpretq_u32_f32(b);
    sum = vfmaq_f32(sum, vreinterpretq_f32_u32(vandq_u32(x, high)), vreinterpretq_f32_u32(vandq_u32(y, high)));
    return vfmaq_f32(sum, vreinterpretq_f32_u32(vshlq_n_u32(x, 16)), vreinterpretq_f32_u32(vshlq_n_u32(y, 16)));
}
#endif
/* sum + a0 * b0 + a1 * b1 of the pairs of bfloat16 in a and b, by BFDOT where the file is compiled for it. */
SW_INLINE vf vf_dot_bf16(vf a, vf b, vf sum) {
    return (vf){vf__dot_bf16(a.lo, b.lo, sum.lo), vf__dot_bf16(a.hi, b.hi, sum.hi)};
}

/* VF pixels of three planes to floats in turn: float i of vector v is channel (8 v + i) % 3 of pixel (8 v + i) / 3. */
SW_INLINE void vf_interleave_3(const float *a, const float *b, const float *c, float *to) {
    vf x = vf_load(a), y = vf_load(b), z = vf_load(c);
    vst3q_f32(to, (float32x4x3_t){{x.lo, y.lo, z.lo}});
    vst3q_f32(to + 12, (float32x4x3_t){{x.hi, y.hi, z.hi}});
}
/* The same to bfloat16, with a fourth of 0. */
SW_INLINE void vf_interleave_3_bf16(const float *a, const float *b, const float *c, uint16_t *to) {
    uint16x8x4_t planes = {{vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0)}};
    const float *from[3] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        vf x = vf_load(from[i]);
        planes.val[i] = vcombine_u16(vf__to_bf16(x.lo), vf__to_bf16(x.hi));
    }
    vst4q_u16(to, planes);
}

SW_INLINE float vf_sum(vf x) {
    return vaddvq_f32(vaddq_f32(x.lo, x.hi));
}

SW_INLINE float vf_largest(vf x) {
    return vmaxvq_f32(vmaxq_f32(x.lo, x.hi));
}

SW_INLINE void vf__transpose_4(float32x4_t *a, float32x4_t *b, float32x4_t *c, float32x4_t *d) {
    float32x4x2_t p = vtrnq_f32(*a, *b), q = vtrnq_f32(*c, *d);
    *a = vcombine_f32(vget_low_f32(p.val[0]), vget_low_f32(q.val[0]));
    *b = vcombine_f32(vget_low_f32(p.val[1]), vget_low_f32(q.val[1]));
    *c = vcombine_f32(vget_high_f32(p.val[0]), vget_high_f32(q.val[0]));
    *d = vcombine_f32(vget_high_f32(p.val[1]), vget_high_f32(q.val[1]));
}
/* rows[i][j] becomes rows[j][i]. */
SW_INLINE void vf_transpose(vf *r) {
    vf__transpose_4(&r[0].lo, &r[1].lo, &r[2].lo, &r[3].lo);
    vf__transpose_4(&r[0].hi, &r[1].hi, &r[2].hi, &r[3].hi);
    vf__transpose_4(&r[4].lo, &r[5].lo, &r[6].lo, &r[7].lo);
    vf__transpose_4(&r[4].hi, &r[5].hi, &r[6].hi, &r[7].hi);
    SW_UNROLL
    for (int i = 0; i < 4; i++) {
        float32x4_t x = r[i].hi;
        r[i].hi = r[i + 4].lo;
        r[i + 4].lo = x;
    }
}

#include "kernels/vec_eight.inc"

#endif
