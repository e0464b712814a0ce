#ifndef SLIPWAY_KERNELS_CONV_TEST_AMX_H
#define SLIPWAY_KERNELS_CONV_TEST_AMX_H

#include "kernels/conv/conv.h"

#ifdef SW_ISA_AMX
extern const sw_conv_tactic sw__conv_direct_amx_emulated;
#endif

#endif
