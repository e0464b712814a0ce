#include "kernels/vec_neon.h"

#include "base/cpu.h"
#include "kernels/conv/depthwise.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_depthwise_neon = {
    "depthwise-neon", SW_CPU_NEON, refuse, packed_bytes, pack, scratch_bytes, run, cost,
};
