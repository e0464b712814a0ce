/* Vectors of thirty-two float16: the instructions of AVX512-FP16, or (SW_HALVES_EMULATED defined) the same rounded from
 * float32, for tests on machines that have none. As rounding twice may end on the other side of a tie, results of the two may
 * differ by a unit in the last place. */
#ifndef SLIPWAY_KERNELS_CONV_HALVES_AVX512_H
#define SLIPWAY_KERNELS_CONV_HALVES_AVX512_H

#include "kernels/vec_avx512.h"

typedef __m512i vh;

SW_INLINE vh vh_load(const float *p) {
    return _mm512_loadu_si512(p);
}
SW_INLINE void vh_store(float *p, vh x) {
    _mm512_storeu_si512(p, x);
}
/* The two halves in the bits of `pair`, sixteen times. */
SW_INLINE vh vh_all(float pair) {
    return _mm512_castps_si512(vf_all(pair));
}

/* a * b + c */
SW_INLINE vh vh_fma(vh a, vh b, vh c) {
#ifdef SW_HALVES_EMULATED
    __m256i part[2];
    for (int i = 0; i < 2; i++) {
        vf x = _mm512_cvtph_ps(i ? _mm512_extracti64x4_epi64(a, 1) : _mm512_castsi512_si256(a));
        vf y = _mm512_cvtph_ps(i ? _mm512_extracti64x4_epi64(b, 1) : _mm512_castsi512_si256(b));
        vf z = _mm512_cvtph_ps(i ? _mm512_extracti64x4_epi64(c, 1) : _mm512_castsi512_si256(c));
        part[i] = _mm512_cvtps_ph(vf_fma(x, y, z), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    return _mm512_inserti64x4(_mm512_castsi256_si512(part[0]), part[1], 1);
#else
    return _mm512_castph_si512(_mm512_fmadd_ph(_mm512_castsi512_ph(a), _mm512_castsi512_ph(b), _mm512_castsi512_ph(c)));
#endif
}

/* sum + x0 + x1 of the pairs of halves in x, in float32. */
SW_INLINE vf vh_add_pairs(vh x, vf sum) {
    vf low = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x));
    vf high = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(x, 16)));
    return vf_add(vf_add(sum, low), high);
}

#endif
