/* Weights as panels of 16 output channels: the packed form of the convolutions that multiply them directly. */
#ifndef SLIPWAY_KERNELS_CONV_PANELS_H
#define SLIPWAY_KERNELS_CONV_PANELS_H

#include "kernels/conv/conv.h"

enum { SW_PANEL_LANES = 16 };

/* Panels of one group. */
static inline int64_t sw__panels_of(const sw_conv *c) {
    return (c->out_channels / c->groups + SW_PANEL_LANES - 1) / SW_PANEL_LANES;
}
/* Weights of one output channel. */
static inline int64_t sw__panel_taps(const sw_conv *c) {
    return c->kernel_h * c->kernel_w * (c->in_channels / c->groups);
}

/* Cycles to read weights `times` times, as far as the second level cache does not hold them. */
static inline double sw__weight_cycles(size_t bytes, int64_t times) {
    return bytes > 512 << 10 ? (double)bytes * (double)times / 4 : 0;
}

/* By group and panel: 16 biases, then for every tap (kernel row, column, input channel) 16 weights; missing
 * channels are 0. */
size_t sw__panels_bytes(const sw_conv *c);
void sw__panels_pack(const sw_conv *c, const float *weights, const float *bias, void *packed);

#endif
