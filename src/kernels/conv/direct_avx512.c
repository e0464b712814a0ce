#include "kernels/vec_avx512.h"

#include "base/cpu.h"
#include "kernels/conv/direct.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_direct_avx512 = {
    "direct-avx512", SW_CPU_AVX512, refuse, packed_bytes, pack, scratch_bytes, run, cost,
};
