/* Kernels over channels-last maps of float32 (SW_CHANNELS_LAST), and of halves where elements are moved or chosen;
 * row-major tensors may stand where one pixel or one element is all there is. nhwc.inc lists them: SW_KERNEL(op id,
 * function). Convolutions are apart: kernels/conv/conv.h. */
#ifndef SLIPWAY_KERNELS_NHWC_NHWC_H
#define SLIPWAY_KERNELS_NHWC_NHWC_H

#include "kernels/kernel.h"
#include "ops/shape.h"

/* NULL when the operator has no such kernel. */
sw_kernel_fn sw_kernel_nhwc(sw_op op);

/* Whether the operator only moves or chooses elements of maps: all of one type, halves too. */
bool sw_nhwc_moves(sw_op op);

/* A map by its four extents. */
typedef struct sw_nhwc {
    float *data; /* halves where `bytes` is 2 */
    int64_t batch, height, width, channels, pitch;
    int64_t bytes; /* of an element */
    sw_dtype type;
} sw_nhwc;

static inline sw_nhwc sw_nhwc_of(const sw_tensor *t) {
    int64_t pitch = t->layout == SW_CHANNELS_LAST ? t->pitch : t->dims[1];
    int64_t bytes = (int64_t)sw_dtype_size(t->dtype);
    return (sw_nhwc){t->data, t->dims[0], t->dims[2], t->dims[3], t->dims[1], pitch, bytes, t->dtype};
}

/* Where a channel of a pixel lies, whatever its type. */
static inline char *sw_nhwc_at(const sw_nhwc *m, int64_t pixel, int64_t channel) {
    return (char *)m->data + (pixel * m->pitch + channel) * m->bytes;
}

/* Floats from channel to channel of a row-major result of Relayout: its pitch where it is part of a wider join. */
static inline int64_t sw_nhwc_plane(const sw_tensor *t) {
    return t->pitch ? t->pitch : t->dims[2] * t->dims[3];
}

/* Taps of a pool's window along an axis: those first <= k < end lie in the map, tap 0 at `begin`; those below `padded` in
 * the map or the padding around it. Kernels may be far larger than maps. */
typedef struct sw_taps {
    int64_t begin, first, end, padded;
} sw_taps;

static inline int64_t sw_taps_below(int64_t begin, int64_t step, int64_t limit, int64_t n) {
    int64_t some = begin >= limit ? 0 : (limit - begin + step - 1) / step;
    return some < n ? some : n;
}

static inline sw_taps sw_taps_of(const sw_window *w, int axis, int64_t out) {
    int64_t begin = out * w->stride[axis] - w->pad_begin[axis], step = w->dilation[axis], n = w->kernel[axis];
    return (sw_taps){begin, sw_taps_below(begin, step, 0, n), sw_taps_below(begin, step, w->in[axis], n),
                     sw_taps_below(begin, step, w->in[axis] + w->pad_end[axis], n)};
}

/* Of a map of float32. */
static inline float *sw_nhwc_pixel(const sw_nhwc *m, int64_t n, int64_t y, int64_t x) {
    return m->data + ((n * m->height + y) * m->width + x) * m->pitch;
}

#endif
