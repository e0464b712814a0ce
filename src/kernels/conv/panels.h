/* Weights as panels of output channels: the packed form of the convolutions that multiply them directly. */
#ifndef SLIPWAY_KERNELS_CONV_PANELS_H
#define SLIPWAY_KERNELS_CONV_PANELS_H

#include "kernels/conv/conv.h"
#include "kernels/wide.h"

/* Panels have `most` channels; the last of a group has only as many vectors of `vector` channels as it needs. */
typedef struct sw__panels {
    int64_t most, vector;
    int64_t per_unit; /* channels of the input that lie together: 1 float, or 2 halves ... */
    sw_dtype type;    /* ... of this type */
} sw__panels;

/* Panels of one group. */
static inline int64_t sw__panels_of(const sw_conv *c, sw__panels p) {
    return sw__ceil_div(c->out_channels / c->groups, p.most);
}
/* Channels of one group, padding included. */
static inline int64_t sw__panels_width(const sw_conv *c, sw__panels p) {
    return sw__ceil_div(c->out_channels / c->groups, p.vector) * p.vector;
}
/* Channels of a panel that begins with `channel` of its group, padding included. */
static inline int64_t sw__panel_width(const sw_conv *c, sw__panels p, int64_t channel) {
    return sw__min64(p.most, sw__panels_width(c, p) - channel);
}
/* Units of four bytes of the weights of one output channel. */
static inline int64_t sw__panel_units(const sw_conv *c, sw__panels p) {
    return c->kernel_h * c->kernel_w * sw__ceil_div(c->in_channels / c->groups, p.per_unit);
}

/* Cycles to read weights `times` times, as far as the second level cache does not hold them. */
static inline double sw__weight_cycles(size_t bytes, int64_t times) {
    return bytes > 768 << 10 ? (double)bytes * (double)times / 8 : 0;
}

/* By group and panel: biases (float), then for every tap (kernel row, column, unit of input channels) one unit of weights
 * a channel; missing channels are 0. */
size_t sw__panels_bytes(const sw_conv *c, sw__panels p);
void sw__panels_pack(const sw_conv *c, sw__panels p, const float *weights, const float *bias, void *packed);

#endif
