#include "kernels/vec_avx2.h"

#include "base/cpu.h"
#include "kernels/conv/direct.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_direct_avx2 = {
    "direct-avx2", SW_CPU_AVX2, refuse, packed_bytes, pack, scratch_bytes, run, cost,
};
