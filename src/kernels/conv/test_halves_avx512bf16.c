/* The tactic of AVX512-FP16 on emulated halves, for test_tactics.c. */
#include "kernels/vec_avx512.h"

#define PRODUCTS_F16
#define SW_HALVES_EMULATED
#include "base/cpu.h"
#include "kernels/conv/direct.inc"
#include "kernels/conv/test_emulated.h"

const sw_conv_tactic sw__conv_direct_avx512fp16_emulated = {
    "direct-avx512fp16-emulated", SW_CPU_AVX512BF16, refuse, packed_bytes, pack, scratch_bytes, run, cost, 0.5,
};
