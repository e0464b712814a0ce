/* See direct_bf16_avx2.c. */
#include "kernels/vec_avx2.h"

#define PRODUCTS_BF16
#include "base/cpu.h"
#include "kernels/conv/tactics.h"
#include "kernels/conv/winograd.inc"

const sw_conv_tactic sw__conv_winograd_f43_bf16_avx2 = {
    "winograd-f43-bf16-avx2", SW_CPU_AVX2, refuse_s1, packed_bytes, pack, scratch_bytes, run, cost, 36.0 / 144,
};
const sw_conv_tactic sw__conv_winograd_s2_bf16_avx2 = {
    "winograd-s2-bf16-avx2", SW_CPU_AVX2, refuse_s2, packed_bytes, pack, scratch_bytes, run, cost, 81.0 / 144,
};
