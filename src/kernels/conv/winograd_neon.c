#include "kernels/vec_neon.h"

#include "base/cpu.h"
#include "kernels/conv/tactics.h"
#include "kernels/conv/winograd.inc"

const sw_conv_tactic sw__conv_winograd_f43_neon = {
    "winograd-f43-neon", SW_CPU_NEON, refuse_s1, packed_bytes, pack, scratch_bytes, run, cost, 36.0 / 144,
};
const sw_conv_tactic sw__conv_winograd_s2_neon = {
    "winograd-s2-neon", SW_CPU_NEON, refuse_s2, packed_bytes, pack, scratch_bytes, run, cost, 81.0 / 144,
};
