#include "kernels/vec_avx512.h"

#define WINOGRAD_ROWS 13
#define PRODUCTS_BF16
#include "base/cpu.h"
#include "kernels/conv/tactics.h"
#include "kernels/conv/winograd.inc"

const sw_conv_tactic sw__conv_winograd_f43_avx512bf16 = {
    "winograd-f43-avx512bf16", SW_CPU_AVX512BF16, refuse_s1, packed_bytes, pack, scratch_bytes, run, cost, 18.0 / 144,
};
const sw_conv_tactic sw__conv_winograd_s2_avx512bf16 = {
    "winograd-s2-avx512bf16", SW_CPU_AVX512BF16, refuse_s2, packed_bytes, pack, scratch_bytes, run, cost, 40.5 / 144,
};
