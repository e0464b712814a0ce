#include "kernels/vec_avx512.h"

#define PRODUCTS_F16
#include "base/cpu.h"
#include "kernels/conv/direct.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_direct_avx512fp16 = {
    "direct-avx512fp16", SW_CPU_AVX512FP16 | SW_CPU_AVX512, refuse, packed_bytes, pack, scratch_bytes, run, cost, 0.5,
};
