/* Activations at the end of a convolution, by name and element by element: the reference for all epilogues. */
#ifndef SLIPWAY_KERNELS_CONV_ACT_H
#define SLIPWAY_KERNELS_CONV_ACT_H

#include "kernels/conv/conv.h"
#include "ops/op.h"

/* SW_ACT_COUNT for an unknown name. */
sw_act sw_act_find(const char *name);
const char *sw_act_name(sw_act act);
/* The activation of a fused step, by its attributes, and the map that is added (input 3) but for its pitch. */
SW_MUST_USE sw_status sw_call_epilogue(const sw_call *call, sw_conv *conv);
float sw_act_apply(sw_act act, float a, float b, float s);

#endif
