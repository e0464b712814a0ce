/* The one list of element types for kernels: X(dtype, suffix, storage, compute).
 *
 * Kernels read with sw__load_<suffix>, calculate in `compute` and write with sw__store_<suffix>; halves compute in
 * float. A kernel that only moves elements does so by their size instead. Bool is stored as 0 or 1; any non-zero
 * byte reads as true. */
#ifndef SLIPWAY_KERNELS_DTYPE_H
#define SLIPWAY_KERNELS_DTYPE_H

#include "base/half.h"
#include "slipway/tensor.h"

#define SW_FLOAT_TYPES(X)                                                                                              \
    X(SW_F32, f32, float, float)                                                                                       \
    X(SW_F64, f64, double, double)                                                                                     \
    X(SW_F16, f16, uint16_t, float)                                                                                    \
    X(SW_BF16, bf16, uint16_t, float)
#define SW_SIGNED_TYPES(X)                                                                                             \
    X(SW_I8, i8, int8_t, int8_t)                                                                                       \
    X(SW_I16, i16, int16_t, int16_t)                                                                                   \
    X(SW_I32, i32, int32_t, int32_t)                                                                                   \
    X(SW_I64, i64, int64_t, int64_t)
#define SW_UNSIGNED_TYPES(X)                                                                                           \
    X(SW_U8, u8, uint8_t, uint8_t)                                                                                     \
    X(SW_U16, u16, uint16_t, uint16_t)                                                                                 \
    X(SW_U32, u32, uint32_t, uint32_t)                                                                                 \
    X(SW_U64, u64, uint64_t, uint64_t)
#define SW_BOOL_TYPES(X)    X(SW_BOOL, b8, uint8_t, uint8_t)
#define SW_INTEGER_TYPES(X) SW_SIGNED_TYPES(X) SW_UNSIGNED_TYPES(X)
#define SW_NUMBER_TYPES(X)  SW_FLOAT_TYPES(X) SW_INTEGER_TYPES(X)
#define SW_ALL_TYPES(X)     SW_NUMBER_TYPES(X) SW_BOOL_TYPES(X)

#define SW_LOAD_STORE_PLAIN(dtype, suffix, storage, compute)                                                           \
    static inline compute sw__load_##suffix(storage v) {                                                               \
        return v;                                                                                                      \
    }                                                                                                                  \
    static inline storage sw__store_##suffix(compute v) {                                                              \
        return v;                                                                                                      \
    }
SW_INTEGER_TYPES(SW_LOAD_STORE_PLAIN)
SW_LOAD_STORE_PLAIN(SW_F32, f32, float, float)
SW_LOAD_STORE_PLAIN(SW_F64, f64, double, double)
#undef SW_LOAD_STORE_PLAIN

static inline float sw__load_f16(uint16_t v) {
    return sw_f16_to_f32(v);
}
static inline uint16_t sw__store_f16(float v) {
    return sw_f32_to_f16(v);
}
static inline float sw__load_bf16(uint16_t v) {
    return sw_bf16_to_f32(v);
}
static inline uint16_t sw__store_bf16(float v) {
    return sw_f32_to_bf16(v);
}
/* Element i of a map of float32, bfloat16 or float16. */
static inline float sw__map_get(sw_dtype type, const void *map, int64_t i) {
    if (type == SW_F32) return ((const float *)map)[i];
    uint16_t half = ((const uint16_t *)map)[i];
    return type == SW_BF16 ? sw_bf16_to_f32(half) : sw_f16_to_f32(half);
}
static inline void sw__map_set(sw_dtype type, void *map, int64_t i, float x) {
    if (type == SW_F32)
        ((float *)map)[i] = x;
    else
        ((uint16_t *)map)[i] = type == SW_BF16 ? sw_f32_to_bf16(x) : sw_f32_to_f16(x);
}
static inline uint8_t sw__load_b8(uint8_t v) {
    return v != 0;
}
static inline uint8_t sw__store_b8(uint8_t v) {
    return v != 0;
}

/* Towards zero; beyond int64 its nearest end, and its lowest for NaN. */
static inline int64_t sw__f64_to_i64(double v) {
    return v >= 0x1p63 ? INT64_MAX : v > -0x1p63 ? (int64_t)v : INT64_MIN;
}

#endif
