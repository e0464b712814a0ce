/* What an application of an operator costs, from its shapes: for reports, not for choices. Pure; any thread. */
#ifndef SLIPWAY_OPS_COST_H
#define SLIPWAY_OPS_COST_H

#include "ops/op.h"

/* Multiply-adds of convolutions and matrix products, as papers count them; 0 for all other operators. -1 when a shape is not
 * known; an unknown leading dim (the batch) counts as 1. */
double sw_call_macs(const sw_call *c);

/* Floating point operations: two for a multiply-add, else one for each element that a function, a comparison or a sum
 * takes, whatever it costs (an exponential is one; a softmax, which takes a maximum, a difference, an exponential, a sum and
 * a quotient, is five). 0 for what only moves data. -1 where shapes are not known or where it depends on data or is not in the
 * table of cost.c. */
double sw_call_flops(const sw_call *c);

/* Bytes that must be read and written: each input and each output once; of inputs that are picked from, what is picked.
 * -1 when a shape is not known. */
double sw_call_bytes(const sw_call *c);

#endif
