/* DeformConv: each tap of the kernel reads where its offset leads, between pixels, weighted by the mask. */
#include <math.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

typedef struct deform_run {
    const sw_call *call;
    sw_window w;
    int64_t channels, depth, group, offset_group;
} deform_run;

/* Bilinear; pixels outside are 0. */
static double pixel_between(const sw_tensor *x, int64_t plane, double y, double at) {
    int64_t height = x->dims[2], width = x->dims[3];
    if (!(y > -1 && y < (double)height && at > -1 && at < (double)width)) return 0;
    int64_t y0 = (int64_t)floor(y), x0 = (int64_t)floor(at);
    double fy = y - (double)y0, fx = at - (double)x0, sum = 0;
    for (int k = 0; k < 4; k++) {
        int64_t py = y0 + k / 2, px = x0 + k % 2;
        double weight = (k / 2 ? fy : 1 - fy) * (k % 2 ? fx : 1 - fx);
        if (weight != 0 && py >= 0 && py < height && px >= 0 && px < width)
            sum += weight * sw_tensor_float_at(x, (plane * height + py) * width + px);
    }
    return sum;
}

/* Sum over one input channel for output pixel (i, j). */
static double sum_channel(const deform_run *r, int64_t b, int64_t m, int64_t ch, int64_t i, int64_t j) {
    const sw_call *c = r->call;
    const sw_tensor *x = c->in[0], *weights = c->in[1], *offset = c->in[2], *mask = sw_call_in(c, 4);
    const sw_window *w = &r->w;
    int64_t channel = m / (r->channels / r->group) * r->depth + ch, taps = w->kernel[0] * w->kernel[1];
    int64_t og = channel / (x->dims[1] / r->offset_group), plane = w->out[0] * w->out[1], at = i * w->out[1] + j;
    double sum = 0;
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t point = (b * r->offset_group + og) * taps + tap;
        double dy = sw_tensor_float_at(offset, 2 * point * plane + at);
        double dx = sw_tensor_float_at(offset, (2 * point + 1) * plane + at);
        double y = (double)(i * w->stride[0] - w->pad_begin[0] + tap / w->kernel[1] * w->dilation[0]) + dy;
        double px = (double)(j * w->stride[1] - w->pad_begin[1] + tap % w->kernel[1] * w->dilation[1]) + dx;
        double v = pixel_between(x, b * x->dims[1] + channel, y, px);
        if (mask) v *= sw_tensor_float_at(mask, point * plane + at);
        sum += v * sw_tensor_float_at(weights, (m * r->depth + ch) * taps + tap);
    }
    return sum;
}

static void run_pixels(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const deform_run *r = ctx;
    const sw_tensor *bias = sw_call_in(r->call, 3), *y = r->call->out[0];
    for (int64_t item = begin; item < end; item++) {
        int64_t j = item % r->w.out[1], rest = item / r->w.out[1], i = rest % r->w.out[0];
        int64_t m = rest / r->w.out[0] % r->channels, b = rest / r->w.out[0] / r->channels;
        double sum = bias ? sw_tensor_float_at(bias, m) : 0;
        for (int64_t ch = 0; ch < r->depth; ch++) sum += sum_channel(r, b, m, ch, i, j);
        sw__put(y, item, sum);
    }
}

sw_status sw__deform_conv_ref(const sw_call *c) {
    const sw_tensor *y = sw_call_out(c, 0);
    deform_run r = {.call = c, .group = sw_call_int(c, "group"), .offset_group = sw_call_int(c, "offset_group")};
    if (!sw__dtype_is_float(c->in[0]->dtype)) return sw__refuse_dtype(c, c->in[0]->dtype);
    SW_TRY(sw_call_window(c, c->in[0], c->in[1]->dims + 2, &r.w));
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    r.channels = y->dims[1];
    r.depth = c->in[1]->dims[1];
    sw_pool_for(c->pool, sw_tensor_count(y), 16, run_pixels, &r);
    return SW_OK;
}
