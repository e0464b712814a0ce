#include "kernels/vec_avx512.h"

#include "base/cpu.h"
#include "kernels/conv/depthwise.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_depthwise_avx512 = {
    "depthwise-avx512", SW_CPU_AVX512, refuse, packed_bytes, pack, scratch_bytes, run, cost,
};
