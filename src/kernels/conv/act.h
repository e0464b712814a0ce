/* Activations at the end of a convolution, by name and element by element: the reference for all epilogues. */
#ifndef SLIPWAY_KERNELS_CONV_ACT_H
#define SLIPWAY_KERNELS_CONV_ACT_H

#include "kernels/conv/conv.h"

/* SW_ACT_COUNT for an unknown name. */
sw_act sw_act_find(const char *name);
const char *sw_act_name(sw_act act);
float sw_act_apply(sw_act act, float a, float b, float s);

#endif
