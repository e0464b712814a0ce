/* What this CPU can do. Constant after the first call, but for the mask. Any thread. */
#ifndef SLIPWAY_BASE_CPU_H
#define SLIPWAY_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slipway/status.h"

/* X(id, bit, name, what). A feature counts only when CPU and operating system give all that it names; tiers
 * do not imply each other. */
#define SW_CPU_LIST(X)                                                                                       \
    X(SSE2, 0, "sse2", "SSE2")                                                                               \
    X(AVX2, 1, "avx2", "AVX2, FMA, F16C, BMI")                                                               \
    X(AVX512, 2, "avx512", "AVX-512 F, BW, DQ, VL, CD")                                                      \
    X(AVX512VNNI, 3, "avx512vnni", "AVX-512 VNNI")                                                           \
    X(AVX512BF16, 4, "avx512bf16", "AVX-512 BF16")                                                           \
    X(AVX512FP16, 5, "avx512fp16", "AVX-512 FP16")                                                           \
    X(AMX, 6, "amx", "AMX tile, int8, bf16")                                                                 \
    X(AVXVNNI, 7, "avxvnni", "AVX-VNNI")                                                                     \
    X(NEON, 16, "neon", "Advanced SIMD")                                                                     \
    X(NEONDOT, 17, "neondot", "SDOT, UDOT")                                                                  \
    X(I8MM, 18, "i8mm", "Int8 matrix products")                                                              \
    X(BF16, 19, "bf16", "BFloat16 products")                                                                 \
    X(NEONFP16, 20, "neonfp16", "Half precision arithmetic")

enum {
#define SW_CPU_ENUM(id, bit, name, what) SW_CPU_##id = 1 << (bit),
    SW_CPU_LIST(SW_CPU_ENUM)
#undef SW_CPU_ENUM
        SW_CPU_VECTORS = SW_CPU_AVX2 | SW_CPU_NEON, /* with any of these, kernels for channels-last maps are there */
};

/* Features that may be used: those found, less what the mask forbids. */
uint32_t sw_cpu_features(void);
/* Features found, whatever the mask. */
uint32_t sw_cpu_features_found(void);
/* Allows only these features from now on (for sessions prepared after it). Begins as SLIPWAY_CPU_MASK: names
 * or "all" or "none", separated by commas, or a number like 0x3; a mask that cannot be read counts as "all".
 */
void sw_cpu_set_mask(uint32_t mask);
uint32_t sw_cpu_mask(void);
/* Reads the form of SLIPWAY_CPU_MASK; false when a part of it is not known. */
bool sw_cpu_parse(const char *text, uint32_t *mask);
/* Writes "sse2 avx2 ..." ("none"); cut at `size`. */
void sw_cpu_text(uint32_t features, char *text, size_t size);

const char *sw_cpu_model(void); /* "AMD EPYC 9B14"; "unknown" */
/* What the CPU tells of its design, whatever its name: "AuthenticAMD 25.97.2" (vendor, family, model, stepping); "unknown". */
const char *sw_cpu_signature(void);
/* Bytes of a cache that a core sees: level 1 (data), 2 or 3; 0 when not known. */
size_t sw_cpu_cache(int level);
/* CPUs that this process may use: affinity and cgroup quota (rounded up); at least 1. Read anew at each call.
 */
int sw_cpu_allowed(void);

/* The CPUs that a thread may run on. */
typedef struct sw_cpu_set {
    uint64_t bits[16];
} sw_cpu_set;
/* Restricts the calling thread, and what it starts, to the first `n` of its CPUs (all where it has no more); `before` is for
 * sw_cpu_unpin. False when the system does not do that. */
bool sw_cpu_pin(int n, sw_cpu_set *before);
void sw_cpu_unpin(const sw_cpu_set *before);

#endif
