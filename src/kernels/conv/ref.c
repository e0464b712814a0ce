/* Convolution and transposed convolution. Work is cut into pieces of output rows that fit the stack; the inner loop runs along
 * such a piece, over all input channels for one position of the kernel, so that borders are ranges and not questions. f32
 * and halves accumulate in float, f64 in double. */
#include "kernels/dtype.h"
#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

enum { PIECE = 512, AXES = 3 };

typedef struct conv {
    const sw_call *call;
    sw_window w; /* always three spatial axes; missing ones in front have extent 1 */
    int64_t in_channels, out_channels, group;
    int64_t in_plane, taps; /* elements of an input channel; positions of the kernel */
    int64_t pieces;         /* of an output row */
} conv;

/* a / b rounded up; b > 0. */

/* acc[i] += sum over c < n_channels of weight[c * weight_step] * in[c * plane + i * stride], four channels at a time. */
#define CONV_TAP(dtype, id, type, calc)                                                                                \
    static inline void tap_strided_##id(calc *restrict acc, const type *restrict in, int64_t plane,                    \
                                        int64_t n_channels, int64_t stride, const type *weight, int64_t weight_step,   \
                                        int64_t n) {                                                                   \
        int64_t ch = 0;                                                                                                \
        for (; ch + 4 <= n_channels; ch += 4, in += 4 * plane, weight += 4 * weight_step) {                            \
            calc w0 = sw__load_##id(weight[0]), w1 = sw__load_##id(weight[weight_step]);                               \
            calc w2 = sw__load_##id(weight[2 * weight_step]), w3 = sw__load_##id(weight[3 * weight_step]);             \
            for (int64_t i = 0; i < n; i++)                                                                            \
                acc[i] += w0 * sw__load_##id(in[i * stride]) + w1 * sw__load_##id(in[i * stride + plane]) +            \
                          w2 * sw__load_##id(in[i * stride + 2 * plane]) +                                             \
                          w3 * sw__load_##id(in[i * stride + 3 * plane]);                                              \
        }                                                                                                              \
        for (; ch < n_channels; ch++, in += plane, weight += weight_step) {                                            \
            calc w0 = sw__load_##id(*weight);                                                                          \
            for (int64_t i = 0; i < n; i++) acc[i] += w0 * sw__load_##id(in[i * stride]);                              \
        }                                                                                                              \
    }                                                                                                                  \
    static void tap_##id(calc *acc, const type *in, int64_t plane, int64_t n_channels, int64_t stride,                 \
                         const type *weight, int64_t weight_step, int64_t n) {                                         \
        if (stride == 1)                                                                                               \
            tap_strided_##id(acc, in, plane, n_channels, 1, weight, weight_step, n); /* vectorises */                  \
        else if (stride == 2)                                                                                          \
            tap_strided_##id(acc, in, plane, n_channels, 2, weight, weight_step, n);                                   \
        else                                                                                                           \
            tap_strided_##id(acc, in, plane, n_channels, stride, weight, weight_step, n);                              \
    }
SW_FLOAT_TYPES(CONV_TAP)
#undef CONV_TAP

/* Output elements x0 .. x0 + n of row (z, y) in channel m of picture b. */
#define CONV_ROW(dtype, id, type, calc)                                                                                \
    static void conv_row_##id(const conv *v, int64_t b, int64_t m, int64_t z, int64_t y, int64_t x0, int64_t n) {      \
        const sw_window *w = &v->w;                                                                                    \
        int64_t depth = v->in_channels / v->group, g = m / (v->out_channels / v->group);                               \
        const type *in = (const type *)v->call->in[0]->data + (b * v->in_channels + g * depth) * v->in_plane;          \
        const type *weight = (const type *)v->call->in[1]->data + m * depth * v->taps;                                 \
        const sw_tensor *bias = sw_call_in(v->call, 2);                                                                \
        calc acc[PIECE], start = bias ? sw__load_##id(((const type *)bias->data)[m]) : 0;                              \
        for (int64_t i = 0; i < n; i++) acc[i] = start;                                                                \
        for (int64_t tap = 0; tap < v->taps; tap++) {                                                                  \
            int64_t kx = tap % w->kernel[2], ky = tap / w->kernel[2] % w->kernel[1];                                   \
            int64_t kz = tap / w->kernel[2] / w->kernel[1];                                                            \
            int64_t iz = z * w->stride[0] + kz * w->dilation[0] - w->pad_begin[0];                                     \
            int64_t iy = y * w->stride[1] + ky * w->dilation[1] - w->pad_begin[1];                                     \
            if (iz < 0 || iz >= w->in[0] || iy < 0 || iy >= w->in[1]) continue;                                        \
            int64_t shift = kx * w->dilation[2] - w->pad_begin[2], stride = w->stride[2];                              \
            int64_t first = sw__max64(x0, sw__ceil_div(-shift, stride));                                               \
            int64_t end = sw__min64(x0 + n, sw__ceil_div(w->in[2] - shift, stride));                                   \
            if (first >= end) continue;                                                                                \
            tap_##id(acc + (first - x0), in + (iz * w->in[1] + iy) * w->in[2] + first * stride + shift, v->in_plane,   \
                     depth, stride, weight + tap, v->taps, end - first);                                               \
        }                                                                                                              \
        type *out = (type *)v->call->out[0]->data;                                                                     \
        out += (((b * v->out_channels + m) * w->out[0] + z) * w->out[1] + y) * w->out[2] + x0;                         \
        for (int64_t i = 0; i < n; i++) out[i] = sw__store_##id(acc[i]);                                               \
    }
SW_FLOAT_TYPES(CONV_ROW)
#undef CONV_ROW

/* The input position that the tap at `k` brings to output position `o`; -1 when there is none. */
static int64_t transposed_source(const sw_window *w, int axis, int64_t o, int64_t k) {
    int64_t at = o + w->pad_begin[axis] - k * w->dilation[axis];
    if (at < 0 || at % w->stride[axis] != 0) return -1;
    at /= w->stride[axis];
    return at < w->in[axis] ? at : -1;
}

#define TRANSPOSED_ROW(dtype, id, type, calc)                                                                          \
    static void transposed_row_##id(const conv *v, int64_t b, int64_t m, int64_t z, int64_t y, int64_t x0,             \
                                    int64_t n) {                                                                       \
        const sw_window *w = &v->w;                                                                                    \
        int64_t depth = v->in_channels / v->group, width = v->out_channels / v->group, g = m / width;                  \
        const type *in = (const type *)v->call->in[0]->data + (b * v->in_channels + g * depth) * v->in_plane;          \
        const type *weight = (const type *)v->call->in[1]->data + (g * depth * width + m % width) * v->taps;           \
        const sw_tensor *bias = sw_call_in(v->call, 2);                                                                \
        calc acc[PIECE], start = bias ? sw__load_##id(((const type *)bias->data)[m]) : 0;                              \
        for (int64_t i = 0; i < n; i++) acc[i] = start;                                                                \
        for (int64_t tap = 0; tap < v->taps; tap++) {                                                                  \
            int64_t kx = tap % w->kernel[2], ky = tap / w->kernel[2] % w->kernel[1];                                   \
            int64_t iz = transposed_source(w, 0, z, tap / w->kernel[2] / w->kernel[1]);                                \
            int64_t iy = transposed_source(w, 1, y, ky);                                                               \
            if (iz < 0 || iy < 0) continue;                                                                            \
            int64_t shift = kx * w->dilation[2] - w->pad_begin[2], stride = w->stride[2];                              \
            int64_t first = sw__max64(0, sw__ceil_div(x0 - shift, stride));                                            \
            int64_t end = sw__min64(w->in[2], sw__ceil_div(x0 + n - shift, stride));                                   \
            const type *row = in + (iz * w->in[1] + iy) * w->in[2];                                                    \
            for (int64_t ch = 0; ch < depth; ch++, row += v->in_plane) {                                               \
                calc factor = sw__load_##id(weight[ch * width * v->taps + tap]);                                       \
                for (int64_t i = first; i < end; i++) acc[i * stride + shift - x0] += factor * sw__load_##id(row[i]);  \
            }                                                                                                          \
        }                                                                                                              \
        type *out = (type *)v->call->out[0]->data;                                                                     \
        out += (((b * v->out_channels + m) * w->out[0] + z) * w->out[1] + y) * w->out[2] + x0;                         \
        for (int64_t i = 0; i < n; i++) out[i] = sw__store_##id(acc[i]);                                               \
    }
SW_FLOAT_TYPES(TRANSPOSED_ROW)
#undef TRANSPOSED_ROW

/* Items are pieces of rows with the output channel innermost: neighbours read the same input rows, which stay cached. */
static void run_pieces(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const conv *v = ctx;
    const sw_window *w = &v->w;
    bool transposed = v->call->op == SW_OP_ConvTranspose;
    for (int64_t item = begin; item < end; item++) {
        int64_t m = item % v->out_channels, rest = item / v->out_channels;
        int64_t x0 = rest % v->pieces * PIECE, y = rest / v->pieces % w->out[1];
        rest = rest / v->pieces / w->out[1];
        int64_t z = rest % w->out[0], b = rest / w->out[0], n = sw__min64(PIECE, w->out[2] - x0);
        switch (v->call->in[0]->dtype) {
#define RUN(dtype, id, type, calc)                                                                                     \
    case dtype:                                                                                                        \
        (transposed ? transposed_row_##id : conv_row_##id)(v, b, m, z, y, x0, n);                                      \
        break;
            SW_FLOAT_TYPES(RUN)
#undef RUN
        default:
            break;
        }
    }
}

/* A kernel of one pixel that moves by one does not see rows: the whole plane is one. */
static void flatten_pointwise(sw_window *w) {
    for (int i = 0; i < AXES; i++)
        if (w->kernel[i] != 1 || w->stride[i] != 1 || w->in[i] != w->out[i] || w->pad_begin[i] != 0) return;
    w->in[2] = w->out[2] = w->in[0] * w->in[1] * w->in[2];
    w->in[0] = w->in[1] = w->out[0] = w->out[1] = 1;
}

static sw_status run(conv *v) {
    const sw_call *c = v->call;
    const sw_tensor *y = sw_call_out(c, 0);
    if (!sw__dtype_is_float(c->in[0]->dtype)) return sw__refuse_dtype(c, c->in[0]->dtype);
    SW_TRY(sw_call_window_3d(c, &v->w));
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    v->group = sw_call_int(c, "group");
    v->in_channels = c->in[0]->dims[1];
    v->out_channels = y->dims[1];
    /* Where there are no elements, the extents that are left may have any product. */
    if (sw_tensor_count(c->in[0]) > 0) v->in_plane = v->w.in[0] * v->w.in[1] * v->w.in[2];
    if (sw_tensor_count(c->in[1]) > 0) v->taps = v->w.kernel[0] * v->w.kernel[1] * v->w.kernel[2];
    flatten_pointwise(&v->w);
    v->pieces = (v->w.out[2] + PIECE - 1) / PIECE;
    int64_t items = y->dims[0] * v->w.out[0] * v->w.out[1] * v->pieces * v->out_channels;
    int64_t work = v->in_channels / v->group * v->taps * sw__min64(PIECE, v->w.out[2]);
    sw_pool_for(c->pool, items, 1 + (1 << 16) / (work + 1), run_pieces, v);
    return SW_OK;
}

sw_status sw__conv_ref(const sw_call *c) {
    conv v = {.call = c};
    SW_TRY(sw_call_window(c, c->in[0], c->in[1]->dims + 2, &v.w));
    return run(&v);
}

sw_status sw__conv_transpose_ref(const sw_call *c) {
    conv v = {.call = c};
    SW_TRY(sw_call_window_transposed(c, c->in[0], c->in[1]->dims + 2, &v.w));
    return run(&v);
}
