#include <immintrin.h>

#include "base/cpu.h"
#include "kernels/probe/isa.h"
#include "kernels/vec_avx512.h"

enum { CHAINS = 12, LANES = 16 };

static double fma_chains(int64_t n) {
    __m512 sums[CHAINS], a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1.0f);
    for (int i = 0; i < CHAINS; i++) sums[i] = _mm512_set1_ps((float)i);
    for (int64_t k = 0; k < n; k++) SW_UNROLL
    for (int i = 0; i < CHAINS; i++) sums[i] = _mm512_fmadd_ps(sums[i], a, b);
    SW_PROBE_USE(sums);
    return 2.0 * LANES * CHAINS * (double)n;
}

static void read_all(const float *data, size_t n) {
    __m512 sums[4];
    for (int i = 0; i < 4; i++) sums[i] = _mm512_setzero_ps();
    for (size_t k = 0; k < n; k += 64) SW_UNROLL
    for (size_t i = 0; i < 4; i++) sums[i] = _mm512_xor_ps(sums[i], _mm512_load_ps(data + k + 16 * i));
    SW_PROBE_USE(sums);
}

const sw__probe_isa sw__probe_avx512 = {SW_CPU_AVX512, fma_chains, read_all};
