#include "kernels/vec_avx512.h"

#define WINOGRAD_ROWS 13
#include "base/cpu.h"
#include "kernels/conv/tactics.h"
#include "kernels/conv/winograd.inc"

const sw_conv_tactic sw__conv_winograd_f43_avx512 = {
    "winograd-f43-avx512", SW_CPU_AVX512, refuse_s1, packed_bytes, pack, scratch_bytes, run, cost, 36.0 / 144,
};
const sw_conv_tactic sw__conv_winograd_s2_avx512 = {
    "winograd-s2-avx512", SW_CPU_AVX512, refuse_s2, packed_bytes, pack, scratch_bytes, run, cost, 81.0 / 144,
};
