/* The list of convolution tactics as declarations. */
#ifndef SLIPWAY_KERNELS_CONV_TACTICS_H
#define SLIPWAY_KERNELS_CONV_TACTICS_H

#include "kernels/conv/conv.h"

#define SW_CONV_TACTIC(id) extern const sw_conv_tactic sw__conv_##id;
#include "kernels/conv/tactics.inc"
#undef SW_CONV_TACTIC

#endif
