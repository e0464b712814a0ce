#include <string.h>

#include "ops/shape.h"

/* Attributes above this are no geometry of a picture; below it, sums and products of two of them fit into 64
 * bits. */
static const int64_t attr_max = INT32_MAX;
static const int64_t extent_max = (int64_t)1 << 62;

static long long ll(int64_t v) {
    return (long long)v;
}

/* Overwrites v[0..n) by an attribute, when the node gives it. */
static sw_status read_ints(const sw_call *c, const char *name, int n, int64_t lowest, int64_t *v) {
    const sw_attr *a = sw_call_attr(c, name, SW_ATTR_INTS);
    if (!a->set) return SW_OK;
    if (a->ints.n != n) return sw_call_fail(c, "attribute %s has %d entries, expected %d", name, a->ints.n, n);
    for (int i = 0; i < n; i++) {
        v[i] = a->ints.v[i];
        if (v[i] < lowest || v[i] > attr_max)
            return sw_call_fail(c, "attribute %s is %lld at entry %d, expected %lld to %lld", name, ll(v[i]), i,
                                ll(lowest), ll(attr_max));
    }
    return SW_OK;
}

typedef enum auto_pad { PAD_GIVEN, PAD_VALID, PAD_SAME_UPPER, PAD_SAME_LOWER } auto_pad;

static sw_status read_auto_pad(const sw_call *c, auto_pad *pad) {
    static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    const char *text = sw_call_string(c, "auto_pad");
    for (int i = 0; i < 4; i++) {
        *pad = (auto_pad)i;
        if (strcmp(text, names[i]) == 0) return SW_OK;
    }
    return sw_call_fail(c, "attribute auto_pad is '%s', expected NOTSET, VALID, SAME_UPPER or SAME_LOWER", text);
}

/* Everything but `out` and automatic pads. Pads are read even where auto_pad overrides them, so that nonsense
 * is told. */
static sw_status read_window(const sw_call *c, const sw_tensor *x, const int64_t *kernel, sw_window *w, auto_pad *pad) {
    if (x->rank < 3)
        return sw_call_fail(c, "the input has rank %d, expected at least 3 (batch, channels, spatial axes)", x->rank);
    *w = (sw_window){.n = x->rank - 2};
    int64_t pads[2 * SW_MAX_RANK] = {0};
    for (int i = 0; i < w->n; i++) {
        w->stride[i] = w->dilation[i] = 1;
        w->kernel[i] = kernel ? kernel[i] : SW_DIM_UNKNOWN;
        w->in[i] = x->dims[2 + i];
        if (w->in[i] > extent_max) return sw_call_fail(c, "input extent %lld is too large", ll(w->in[i]));
    }
    if (!kernel && !sw_call_attr(c, "kernel_shape", SW_ATTR_INTS)->set)
        return sw_call_fail(c, "attribute kernel_shape is missing");
    SW_TRY(read_ints(c, "kernel_shape", w->n, 1, w->kernel));
    SW_TRY(read_ints(c, "strides", w->n, 1, w->stride));
    SW_TRY(read_ints(c, "dilations", w->n, 1, w->dilation));
    SW_TRY(read_ints(c, "pads", 2 * w->n, 0, pads));
    *pad = PAD_GIVEN;
    if (c->op != SW_OP_DeformConv) SW_TRY(read_auto_pad(c, pad));
    for (int i = 0; i < w->n; i++) {
        w->pad_begin[i] = *pad == PAD_GIVEN ? pads[i] : 0;
        w->pad_end[i] = *pad == PAD_GIVEN ? pads[w->n + i] : 0;
        if (kernel && sw_dim_known(kernel[i]) && kernel[i] != w->kernel[i])
            return sw_call_fail(c, "attribute kernel_shape says %lld on spatial axis %d, but the weights have %lld",
                                ll(w->kernel[i]), i, ll(kernel[i]));
        if (sw_dim_known(w->kernel[i]) && (w->kernel[i] < 1 || w->kernel[i] > attr_max))
            return sw_call_fail(c, "the kernel has extent %lld on spatial axis %d, expected 1 to %lld",
                                ll(w->kernel[i]), i, ll(attr_max));
    }
    return SW_OK;
}

/* Splits pixels of padding; the odd one goes to the end (SAME_UPPER) or to the begin (all else). */
static void split_pad(sw_window *w, int i, int64_t total, bool odd_to_end) {
    if (total < 0) total = 0;
    w->pad_begin[i] = odd_to_end ? total / 2 : total - total / 2;
    w->pad_end[i] = total - w->pad_begin[i];
}

sw_status sw_call_window(const sw_call *c, const sw_tensor *x, const int64_t *kernel, sw_window *w) {
    auto_pad pad;
    SW_TRY(read_window(c, x, kernel, w, &pad));
    bool pool = c->op == SW_OP_MaxPool || c->op == SW_OP_AveragePool || c->op == SW_OP_LpPool;
    bool ceil_mode = pool && sw_call_int(c, "ceil_mode") != 0;
    for (int i = 0; i < w->n; i++) {
        int64_t in = w->in[i], stride = w->stride[i];
        w->out[i] = SW_DIM_UNKNOWN;
        if (pad == PAD_SAME_UPPER || pad == PAD_SAME_LOWER) {
            if (sw_dim_known(in))
                w->out[i] = in / stride + (in % stride != 0);
            else if (stride == 1)
                w->out[i] = in;
        }
        if (!sw_dim_known(w->kernel[i])) continue;
        int64_t extent = w->dilation[i] * (w->kernel[i] - 1) + 1;
        if (pad == PAD_SAME_UPPER || pad == PAD_SAME_LOWER) {
            if (sw_dim_known(in))
                split_pad(w, i, in ? (w->out[i] - 1) * stride + extent - in : 0, pad == PAD_SAME_UPPER);
            continue;
        }
        int64_t grow = w->pad_begin[i] + w->pad_end[i] - extent; /* beyond `in`, less one window */
        if (!sw_dim_known(in)) {
            if (stride == 1 && grow == -1) w->out[i] = in;
            continue;
        }
        int64_t room = in + grow;
        if (room < 0 && in > 0)
            return sw_call_fail(c, "the kernel covers %lld pixels on spatial axis %d, but the padded input has %lld",
                                ll(extent), i, ll(room + extent));
        w->out[i] = room < 0 ? 0 : room / stride + 1;
        /* ceil_mode adds the last window that is cut off, unless it would start in the padding at the end. */
        if (ceil_mode && room >= 0 && room % stride != 0 && w->out[i] * stride < in + w->pad_begin[i]) w->out[i]++;
    }
    return SW_OK;
}

sw_status sw_call_window_transposed(const sw_call *c, const sw_tensor *x, const int64_t *kernel, sw_window *w) {
    auto_pad pad;
    SW_TRY(read_window(c, x, kernel, w, &pad));
    const sw_attr *shape = sw_call_attr(c, "output_shape", SW_ATTR_INTS);
    int64_t extra[SW_MAX_RANK] = {0}, wanted[SW_MAX_RANK] = {0};
    SW_TRY(read_ints(c, "output_padding", w->n, 0, extra));
    /* Some exporters give batch and channels too. */
    if (shape->set && shape->ints.n == w->n + 2)
        memcpy(wanted, shape->ints.v + 2, sizeof wanted[0] * (size_t)w->n);
    else
        SW_TRY(read_ints(c, "output_shape", w->n, 0, wanted));
    for (int i = 0; i < w->n; i++) {
        int64_t in = w->in[i], stride = w->stride[i], natural = 0;
        bool same = pad == PAD_SAME_UPPER || pad == PAD_SAME_LOWER,
             known = sw_dim_known(in) && sw_dim_known(w->kernel[i]);
        if (wanted[i] < 0 || wanted[i] > attr_max)
            return sw_call_fail(c, "attribute output_shape is %lld at entry %d, expected 0 to %lld", ll(wanted[i]), i,
                                ll(attr_max));
        w->out[i] = shape->set ? wanted[i] : SW_DIM_UNKNOWN;
        if (!shape->set && same && sw_dim_known(in) && __builtin_mul_overflow(in, stride, &w->out[i]))
            return sw_call_fail(c, "the output extent %lld * %lld does not fit into 64 bits", ll(in), ll(stride));
        if (!known) continue;
        int64_t extent = w->dilation[i] * (w->kernel[i] - 1) + 1;
        if (in > 0 && (__builtin_mul_overflow(stride, in - 1, &natural) ||
                       __builtin_add_overflow(natural, extent + extra[i], &natural) || natural > extent_max))
            return sw_call_fail(c, "the output extent on spatial axis %d is too large", i);
        if (shape->set || same) {
            if (shape->set && w->out[i] - natural >= stride)
                return sw_call_fail(c, "output_shape asks for %lld pixels on spatial axis %d, but the input gives %lld",
                                    ll(w->out[i]), i, ll(natural));
            split_pad(w, i, natural - w->out[i], pad == PAD_SAME_UPPER);
            continue;
        }
        w->out[i] = natural - w->pad_begin[i] - w->pad_end[i];
        if (w->out[i] < 0 && in > 0)
            return sw_call_fail(c, "pads %lld and %lld on spatial axis %d leave nothing of %lld pixels",
                                ll(w->pad_begin[i]), ll(w->pad_end[i]), i, ll(natural));
        if (w->out[i] < 0) w->out[i] = 0;
    }
    return SW_OK;
}

sw_status sw_call_window_3d(const sw_call *c, sw_window *w) {
    enum { AXES = 3 };
    sw_window from = *w;
    if (from.n > AXES) return sw_call_unsupported(c, "%d spatial axes; at most %d are supported", from.n, AXES);
    *w = (sw_window){.n = AXES};
    for (int i = 0; i < AXES; i++) {
        int j = i - (AXES - from.n);
        w->kernel[i] = j < 0 ? 1 : from.kernel[j];
        w->stride[i] = j < 0 ? 1 : from.stride[j];
        w->dilation[i] = j < 0 ? 1 : from.dilation[j];
        w->pad_begin[i] = j < 0 ? 0 : from.pad_begin[j];
        w->pad_end[i] = j < 0 ? 0 : from.pad_end[j];
        w->in[i] = j < 0 ? 1 : from.in[j];
        w->out[i] = j < 0 ? 1 : from.out[j];
    }
    return SW_OK;
}

/* Checks what Conv and ConvTranspose share: types, ranks, group, bias of `channels` (may be unknown). */
static sw_status check_weights(const sw_call *c, int64_t channels) {
    const sw_tensor *x = c->in[0], *w = c->in[1], *b = sw_call_in(c, 2);
    if (x->rank >= 0 && w->rank >= 0 && x->rank != w->rank)
        return sw_call_fail(c, "input of rank %d and weights of rank %d, expected equal ranks", x->rank, w->rank);
    if (b && b->rank >= 0 && b->rank != 1) return sw_call_fail(c, "the bias has rank %d, expected 1", b->rank);
    if (b && b->rank == 1 && sw_dim_known(b->dims[0]) && sw_dim_known(channels) && b->dims[0] != channels)
        return sw_call_fail(c, "the bias has %lld entries, expected %lld", ll(b->dims[0]), ll(channels));
    sw_dtype dtype;
    return b ? sw__same_dtype(c, x, b, &dtype) : SW_OK;
}

static sw_status read_group(const sw_call *c, int64_t *group) {
    *group = sw_call_int(c, "group");
    if (*group < 1 || *group > attr_max)
        return sw_call_fail(c, "attribute group is %lld, expected at least 1", ll(*group));
    return SW_OK;
}

/* Output of N `channels` spatial...; a rank that is not known stays so. */
static sw_status conv_output(const sw_call *c, int64_t channels, sw_dtype dtype) {
    const sw_tensor *x = c->in[0], *weights = c->in[1];
    sw_tensor *y = sw_call_out(c, 0);
    if (!y) return SW_OK;
    sw__set_unknown(y, dtype, x->rank >= 0 ? x->rank : weights->rank);
    if (y->rank >= 2) y->dims[1] = channels;
    if (x->rank < 0) return SW_OK;
    int64_t unknown[SW_MAX_RANK];
    for (int i = 0; i < SW_MAX_RANK; i++) unknown[i] = SW_DIM_UNKNOWN;
    const int64_t *kernel = weights->rank >= 2 ? weights->dims + 2 : unknown;
    sw_window w;
    SW_TRY(c->op == SW_OP_ConvTranspose ? sw_call_window_transposed(c, x, kernel, &w)
                                        : sw_call_window(c, x, kernel, &w));
    y->dims[0] = x->dims[0];
    memcpy(y->dims + 2, w.out, sizeof w.out[0] * (size_t)w.n);
    return SW_OK;
}

sw_status sw__shape_conv(const sw_call *c) {
    const sw_tensor *x = c->in[0], *w = c->in[1];
    int64_t group, out_channels = w->rank >= 2 ? w->dims[0] : SW_DIM_UNKNOWN;
    sw_dtype dtype;
    SW_TRY(sw__same_dtype(c, x, w, &dtype));
    SW_TRY(check_weights(c, out_channels));
    SW_TRY(read_group(c, &group));
    if (sw_dim_known(out_channels) && out_channels % group != 0)
        return sw_call_fail(c, "%lld output channels do not divide into %lld groups", ll(out_channels), ll(group));
    if (x->rank >= 2 && w->rank >= 2 && sw_dim_known(x->dims[1]) && sw_dim_known(w->dims[1]) &&
        (x->dims[1] % group != 0 || x->dims[1] / group != w->dims[1]))
        return sw_call_fail(
            c, "the input has %lld channels; weights for %lld channels in %lld groups expect another number",
            ll(x->dims[1]), ll(w->dims[1]), ll(group));
    return conv_output(c, out_channels, dtype);
}

sw_status sw__shape_conv_transpose(const sw_call *c) {
    const sw_tensor *x = c->in[0], *w = c->in[1];
    int64_t group, out_channels = SW_DIM_UNKNOWN;
    sw_dtype dtype;
    SW_TRY(sw__same_dtype(c, x, w, &dtype));
    SW_TRY(read_group(c, &group));
    if (w->rank >= 2) SW_TRY(sw__dim_mul(c, w->dims[1], group, &out_channels));
    SW_TRY(check_weights(c, out_channels));
    if (w->rank >= 2 && sw_dim_known(w->dims[0]) && w->dims[0] % group != 0)
        return sw_call_fail(c, "%lld input channels do not divide into %lld groups", ll(w->dims[0]), ll(group));
    if (x->rank >= 2 && w->rank >= 2 && sw_dim_known(x->dims[1]) && sw_dim_known(w->dims[0]) &&
        x->dims[1] != w->dims[0])
        return sw_call_fail(c, "the input has %lld channels, the weights expect %lld", ll(x->dims[1]), ll(w->dims[0]));
    return conv_output(c, out_channels, dtype);
}

sw_status sw__shape_pool(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0), *indices = sw_call_out(c, 1);
    sw_window w = {.n = 0};
    if (x->rank >= 0) SW_TRY(sw_call_window(c, x, NULL, &w));
    for (int i = 0; i < 2; i++) {
        sw_tensor *t = i == 0 ? y : indices;
        if (!t) continue;
        sw__set_unknown(t, i == 0 ? x->dtype : SW_I64, x->rank);
        if (x->rank < 0) continue;
        memcpy(t->dims, x->dims, 2 * sizeof t->dims[0]);
        memcpy(t->dims + 2, w.out, sizeof w.out[0] * (size_t)w.n);
    }
    return SW_OK;
}

sw_status sw__shape_global_pool(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0);
    if (x->rank >= 0 && x->rank < 2)
        return sw_call_fail(c, "the input has rank %d, expected at least 2 (batch, channels)", x->rank);
    if (!y) return SW_OK;
    sw__set_like(y, x);
    for (int i = 2; i < y->rank; i++) y->dims[i] = 1;
    return SW_OK;
}

/* ---- Deformable convolution, columns to pictures ------------------------------------------------------------------- */

sw_status sw__shape_deform_conv(const sw_call *c) {
    const sw_tensor *x = c->in[0], *w = c->in[1], *offset = c->in[2], *bias = sw_call_in(c, 3),
                    *mask = sw_call_in(c, 4);
    sw_tensor *y = sw_call_out(c, 0);
    int64_t group, offset_group = sw_call_int(c, "offset_group"), same;
    sw_dtype dtype;
    SW_TRY(read_group(c, &group));
    for (int i = 1; i < c->n_in; i++)
        if (c->in[i]) SW_TRY(sw__same_dtype(c, x, c->in[i], &dtype));
    if (offset_group < 1 || offset_group > attr_max) return sw_call_fail(c, "offset_group is %lld", ll(offset_group));
    if (y) sw__set_unknown(y, x->dtype, x->rank);
    if (x->rank < 0 || w->rank < 0) return SW_OK;
    if (x->rank != 4 || w->rank != 4)
        return sw_call_unsupported(c, "input of rank %d and weights of rank %d; 4 and 4 are supported", x->rank,
                                   w->rank);
    sw_window win;
    SW_TRY(sw_call_window(c, x, w->dims + 2, &win));
    if (sw_dim_known(w->dims[0]) && w->dims[0] % group != 0)
        return sw_call_fail(c, "%lld output channels do not divide into %lld groups", ll(w->dims[0]), ll(group));
    if (sw_dim_known(x->dims[1]) && (x->dims[1] % group != 0 || x->dims[1] % offset_group != 0 ||
                                     (sw_dim_known(w->dims[1]) && x->dims[1] / group != w->dims[1])))
        return sw_call_fail(c, "%lld input channels fit neither weights, group nor offset_group", ll(x->dims[1]));
    int64_t points = SW_DIM_UNKNOWN;
    if (sw_dim_known(w->dims[2]) && sw_dim_known(w->dims[3])) {
        SW_TRY(sw__dim_mul(c, w->dims[2], w->dims[3], &points));
        SW_TRY(sw__dim_mul(c, points, offset_group, &points));
    }
    for (int i = 0; i < 2; i++) {
        const sw_tensor *t = i ? mask : offset;
        if (!t || t->rank < 0) continue;
        if (t->rank != 4) return sw_call_fail(c, "offsets or mask have %d axes, expected 4", t->rank);
        int64_t values = points;
        if (!i) SW_TRY(sw__dim_mul(c, points, 2, &values));
        SW_TRY(sw__agree(c, "the batch", x->dims[0], t->dims[0], &same));
        SW_TRY(sw__agree(c, "the number of offsets or weights of a pixel", values, t->dims[1], &same));
        for (int k = 0; k < 2; k++) SW_TRY(sw__agree(c, "an extent of the output", win.out[k], t->dims[2 + k], &same));
    }
    if (bias && bias->rank >= 0 && bias->rank != 1) return sw_call_fail(c, "the bias has %d axes", bias->rank);
    if (bias && bias->rank == 1) SW_TRY(sw__agree(c, "the number of channels", w->dims[0], bias->dims[0], &same));
    if (!y) return SW_OK;
    y->dims[0] = x->dims[0];
    y->dims[1] = w->dims[0];
    memcpy(y->dims + 2, win.out, 2 * sizeof y->dims[0]);
    return SW_OK;
}

sw_status sw_call_columns(const sw_call *c, sw_window *w, bool *known) {
    int64_t image[SW_MAX_RANK], block[SW_MAX_RANK], length, pads[2 * SW_MAX_RANK] = {0};
    int n, n_block;
    SW_TRY(sw__input_ints(c, 1, "image_shape", image, SW_MAX_RANK - 2, &n, &length));
    SW_TRY(sw__input_ints(c, 2, "block_shape", block, SW_MAX_RANK - 2, &n_block, NULL));
    *known = n >= 0 && n_block >= 0;
    *w = (sw_window){.n = (int)length};
    if (!*known) return SW_OK;
    if (n != n_block || n < 1) return sw_call_fail(c, "%d image and %d block extents", n, n_block);
    for (int i = 0; i < n; i++) w->stride[i] = w->dilation[i] = 1;
    SW_TRY(read_ints(c, "strides", n, 1, w->stride));
    SW_TRY(read_ints(c, "dilations", n, 1, w->dilation));
    SW_TRY(read_ints(c, "pads", 2 * n, 0, pads));
    for (int i = 0; i < n; i++) {
        if (image[i] < 0 || image[i] > attr_max || block[i] < 1 || block[i] > attr_max)
            return sw_call_fail(c, "image extent %lld with block extent %lld makes no sense", ll(image[i]),
                                ll(block[i]));
        w->in[i] = image[i];
        w->kernel[i] = block[i];
        w->pad_begin[i] = pads[i];
        w->pad_end[i] = pads[n + i];
        int64_t room = image[i] + pads[i] + pads[n + i] - (w->dilation[i] * (block[i] - 1) + 1);
        w->out[i] = room < 0 ? 0 : room / w->stride[i] + 1;
    }
    return SW_OK;
}

sw_status sw__shape_col2im(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0);
    sw_window w;
    bool known;
    SW_TRY(sw_call_columns(c, &w, &known));
    if (x->rank >= 0 && x->rank != 3) return sw_call_fail(c, "the input has %d axes, expected 3", x->rank);
    if (y) sw__set_unknown(y, x->dtype, w.n < 0 ? SW_RANK_UNKNOWN : w.n + 2);
    if (!known) return SW_OK;
    int64_t taps = 1, columns = 1, same;
    for (int i = 0; i < w.n; i++) {
        SW_TRY(sw__dim_mul(c, taps, w.kernel[i], &taps));
        SW_TRY(sw__dim_mul(c, columns, w.out[i], &columns));
        if (y) y->dims[2 + i] = w.in[i];
    }
    if (x->rank < 0) return SW_OK;
    SW_TRY(sw__agree(c, "the number of blocks", columns, x->dims[2], &same));
    if (sw_dim_known(x->dims[1]) && x->dims[1] % taps != 0)
        return sw_call_fail(c, "%lld values do not divide into blocks of %lld", ll(x->dims[1]), ll(taps));
    if (y) y->dims[0] = x->dims[0];
    if (y && sw_dim_known(x->dims[1])) y->dims[1] = x->dims[1] / taps;
    return SW_OK;
}
