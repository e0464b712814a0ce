#include "kernels/vec_avx2.h"

#include "base/cpu.h"
#include "kernels/conv/depthwise.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_depthwise_avx2 = {
    "depthwise-avx2", SW_CPU_AVX2, refuse, packed_bytes, pack, scratch_bytes, run, cost,
};
