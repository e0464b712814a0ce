#include "kernels/vec_avx512.h"

#include "base/cpu.h"
#include "kernels/probe/isa.h"

enum { CHAINS = 12, PAIRS = 16 };

/* Products of bfloat16: two multiply-adds a lane. */
static double dot_chains(int64_t n) {
    __m512 sums[CHAINS];
    const __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f003f00), b = (__m512bh)_mm512_set1_epi32(0x3f803f80); /* 0.5, 1 */
    for (int i = 0; i < CHAINS; i++) sums[i] = _mm512_set1_ps((float)i);
    for (int64_t k = 0; k < n; k++) SW_UNROLL
    for (int i = 0; i < CHAINS; i++) sums[i] = _mm512_dpbf16_ps(sums[i], a, b);
    SW_PROBE_USE(sums);
    return 4.0 * PAIRS * CHAINS * (double)n;
}

const sw__probe_isa sw__probe_avx512bf16 = {SW_CPU_AVX512BF16, dot_chains, NULL};
