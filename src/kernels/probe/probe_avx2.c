#include <immintrin.h>

#include "base/cpu.h"
#include "kernels/probe/isa.h"
#include "kernels/vec_avx2.h"

enum { CHAINS = 12, LANES = 8 };

static double fma_chains(int64_t n) {
    __m256 sums[CHAINS], a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1.0f);
    for (int i = 0; i < CHAINS; i++) sums[i] = _mm256_set1_ps((float)i);
    for (int64_t k = 0; k < n; k++) SW_UNROLL
    for (int i = 0; i < CHAINS; i++) sums[i] = _mm256_fmadd_ps(sums[i], a, b);
    SW_PROBE_USE(sums);
    return 2.0 * LANES * CHAINS * (double)n;
}

static void read_all(const float *data, size_t n) {
    __m256 sums[8];
    for (int i = 0; i < 8; i++) sums[i] = _mm256_setzero_ps();
    for (size_t k = 0; k < n; k += 64) SW_UNROLL
    for (size_t i = 0; i < 8; i++) sums[i] = _mm256_xor_ps(sums[i], _mm256_load_ps(data + k + 8 * i));
    SW_PROBE_USE(sums);
}

const sw__probe_isa sw__probe_avx2 = {SW_CPU_AVX2, fma_chains, read_all};
