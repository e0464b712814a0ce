/* The loops of the probe, for one instruction set each. */
#ifndef SLIPWAY_KERNELS_PROBE_ISA_H
#define SLIPWAY_KERNELS_PROBE_ISA_H

#include <stddef.h>
#include <stdint.h>

typedef struct sw__probe_isa {
    uint32_t features;        /* SW_CPU_* that it needs */
    double (*fma)(int64_t n); /* n times as many multiply-adds as the CPU can do side by side; gives their operations */
    void (*read)(const float *data, size_t n); /* n: a multiple of 64; data aligned to 64; NULL: none */
} sw__probe_isa;

extern const sw__probe_isa sw__probe_plain, sw__probe_avx2, sw__probe_avx512, sw__probe_neon, sw__probe_avx512bf16;

/* Keeps a compiler from leaving out what computes `x`. */
#define SW_PROBE_USE(x) __asm__ volatile("" : : "m"(x) : "memory")

#endif
