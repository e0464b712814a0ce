#include "kernels/vec_avx512.h"

#define PRODUCTS_BF16
#define PRODUCTS_AMX
#include "base/cpu.h"
#include "kernels/conv/direct.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_direct_amx = {
    "direct-amx", SW_CPU_AMX | SW_CPU_AVX512BF16, refuse, packed_bytes, pack, scratch_bytes, run, cost, 1.0 / 16,
};
