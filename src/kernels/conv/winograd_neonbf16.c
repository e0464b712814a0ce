#include "kernels/vec_neon.h"

#define PRODUCTS_BF16
#include "base/cpu.h"
#include "kernels/conv/tactics.h"
#include "kernels/conv/winograd.inc"

const sw_conv_tactic sw__conv_winograd_f43_neonbf16 = {
    "winograd-f43-neonbf16", SW_CPU_BF16, refuse_s1, packed_bytes, pack, scratch_bytes, run, cost, 18.0 / 144,
};
const sw_conv_tactic sw__conv_winograd_s2_neonbf16 = {
    "winograd-s2-neonbf16", SW_CPU_BF16, refuse_s2, packed_bytes, pack, scratch_bytes, run, cost, 40.5 / 144,
};
