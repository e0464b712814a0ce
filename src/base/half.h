/* float16 (IEEE binary16) and bfloat16 as uint16_t: exact widening, narrowing to nearest with ties to even. */
#ifndef SLIPWAY_BASE_HALF_H
#define SLIPWAY_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float sw__bits_to_f32(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t sw__f32_to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float sw_bf16_to_f32(uint16_t half) { return sw__bits_to_f32((uint32_t)half << 16); }

static inline uint16_t sw_f32_to_bf16(float value) {
    uint32_t bits = sw__f32_to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u); /* NaN stays NaN */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float sw_f16_to_f32(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31u, mantissa = half & 0x3ffu;
    if (exponent == 31u) return sw__bits_to_f32(sign | 0x7f800000u | mantissa << 13);
    if (exponent) return sw__bits_to_f32(sign | (exponent + 112u) << 23 | mantissa << 13);
    float value = (float)mantissa * 0x1p-24f; /* subnormal or zero */
    return sign ? -value : value;
}

static inline uint16_t sw_f32_to_f16(float value) {
    uint32_t bits = sw__f32_to_bits(value), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds above 65504 */
    if (rest < 0x38800000u) {                                  /* below the smallest normal: let the FPU round */
        float scaled = sw__bits_to_f32(rest) + 0.5f;           /* one ulp of 0.5f is 2^-24 */
        return (uint16_t)(sign | (sw__f32_to_bits(scaled) - 0x3f000000u));
    }
    return (uint16_t)(sign | ((rest + 0xfffu + (rest >> 13 & 1u) - 0x38000000u) >> 13));
}

#endif
