/* Tactics of instructions that machines at hand lack, on emulated ones, for test_tactics.c. */
#ifndef SLIPWAY_KERNELS_CONV_TEST_EMULATED_H
#define SLIPWAY_KERNELS_CONV_TEST_EMULATED_H

#include "kernels/conv/conv.h"

#ifdef SW_ISA_AMX
extern const sw_conv_tactic sw__conv_direct_amx_emulated;
#endif
#ifdef SW_ISA_AVX512FP16
extern const sw_conv_tactic sw__conv_direct_avx512fp16_emulated;
#endif

#endif
