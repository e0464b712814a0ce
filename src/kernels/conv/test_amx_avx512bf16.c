/* The tactic of AMX on emulated tiles, for test_tactics.c. */
#include "kernels/vec_avx512.h"

#define PRODUCTS_BF16
#define PRODUCTS_AMX
#define SW_TILES_EMULATED
#include "base/cpu.h"
#include "kernels/conv/direct.inc"
#include "kernels/conv/test_emulated.h"

const sw_conv_tactic sw__conv_direct_amx_emulated = {
    "direct-amx-emulated", SW_CPU_AVX512BF16, refuse, packed_bytes, pack, scratch_bytes, run, cost, 0.5,
};
