#include "kernels/vec_neon.h"

#include "base/cpu.h"
#include "kernels/conv/direct.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_direct_neon = {
    "direct-neon", SW_CPU_NEON, refuse, packed_bytes, pack, scratch_bytes, run, cost,
};
