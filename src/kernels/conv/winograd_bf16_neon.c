/* See direct_bf16_neon.c. */
#include "kernels/vec_neon.h"

#define PRODUCTS_BF16
#include "base/cpu.h"
#include "kernels/conv/tactics.h"
#include "kernels/conv/winograd.inc"

const sw_conv_tactic sw__conv_winograd_f43_bf16_neon = {
    "winograd-f43-bf16-neon", SW_CPU_NEON, refuse_s1, packed_bytes, pack, scratch_bytes, run, cost, 36.0 / 144,
};
const sw_conv_tactic sw__conv_winograd_s2_bf16_neon = {
    "winograd-s2-bf16-neon", SW_CPU_NEON, refuse_s2, packed_bytes, pack, scratch_bytes, run, cost, 81.0 / 144,
};
