/* Kernels over channels-last maps of float32 (SW_CHANNELS_LAST), and of bfloat16 where elements are moved or chosen;
 * row-major tensors may stand where one pixel or one element is all there is. nhwc.inc lists them: SW_KERNEL(op id,
 * function). Convolutions are apart: kernels/conv/conv.h. */
#ifndef SLIPWAY_KERNELS_NHWC_NHWC_H
#define SLIPWAY_KERNELS_NHWC_NHWC_H

#include "kernels/kernel.h"

/* NULL when the operator has no such kernel. */
sw_kernel_fn sw_kernel_nhwc(sw_op op);

/* A map by its four extents. */
typedef struct sw_nhwc {
    float *data; /* bfloat16 where `bytes` is 2 */
    int64_t batch, height, width, channels, pitch;
    int64_t bytes; /* of an element */
} sw_nhwc;

static inline sw_nhwc sw_nhwc_of(const sw_tensor *t) {
    int64_t pitch = t->layout == SW_CHANNELS_LAST ? t->pitch : t->dims[1];
    return (sw_nhwc){t->data, t->dims[0], t->dims[2], t->dims[3], t->dims[1], pitch, (int64_t)sw_dtype_size(t->dtype)};
}

/* Where a channel of a pixel lies, whatever its type. */
static inline char *sw_nhwc_at(const sw_nhwc *m, int64_t pixel, int64_t channel) {
    return (char *)m->data + (pixel * m->pitch + channel) * m->bytes;
}

/* Floats from channel to channel of a row-major result of Relayout: its pitch where it is part of a wider join. */
static inline int64_t sw_nhwc_plane(const sw_tensor *t) {
    return t->pitch ? t->pitch : t->dims[2] * t->dims[3];
}

/* Of a map of float32. */
static inline float *sw_nhwc_pixel(const sw_nhwc *m, int64_t n, int64_t y, int64_t x) {
    return m->data + ((n * m->height + y) * m->width + x) * m->pitch;
}

#endif
