/* Convolutions, pools, matrix products, resizing. */
#include <math.h>
#include <string.h>

#include "export/tflite/model.h"
#include "ops/shape.h"

/* The window of a node on two spatial axes; false, with a refusal, for others. */
static bool read_window(sw_tfw *w, const sw_node *node, const int64_t *kernel, sw_window *win) {
    const sw_tensor *in[16];
    sw_tensor *out[4];
    if (node->in[0]->type.rank != 4) return sw__tfw_refuse(w, "only maps of two spatial axes can be written"), false;
    sw_call call = sw_node_call(node, in, out, w->diag);
    w->status = sw_call_window(&call, in[0], kernel, win);
    return w->status == SW_OK;
}

bool sw__tfw_is_same(const sw_window *win) {
    for (int i = 0; i < 2; i++) {
        int64_t out = (win->in[i] + win->stride[i] - 1) / win->stride[i];
        int64_t total = (out - 1) * win->stride[i] + (win->kernel[i] - 1) * win->dilation[i] + 1 - win->in[i];
        total = total > 0 ? total : 0;
        if (out != win->out[i] || win->pad_begin[i] != total / 2 || win->pad_end[i] != total - total / 2) return false;
    }
    return true;
}

/* Which padding the operator gets; where it is neither, x is padded before. What a window reaches beyond the paddings when the
 * output is rounded up is padded, too. */
static int pad_for(sw_tfw *w, const sw_window *win, double value, bool may_be_same,
                   int32_t *x) { /* SAME leaves paddings out of means */
    if (may_be_same && sw__tfw_is_same(win)) return SW_TFL_SAME;
    int64_t pads[8] = {0}, dims[4];
    bool any = false;
    memcpy(dims, w->tensors[*x < 0 ? 0 : *x].type.dims, sizeof dims);
    for (int i = 0; i < 2; i++) {
        int64_t need = (win->out[i] - 1) * win->stride[i] + (win->kernel[i] - 1) * win->dilation[i] + 1;
        int64_t behind = need - win->in[i] - win->pad_begin[i];
        pads[2 + 2 * i] = win->pad_begin[i];
        pads[3 + 2 * i] = behind > 0 ? behind : 0;
        dims[1 + i] += pads[2 + 2 * i] + pads[3 + 2 * i];
        any = any || pads[2 + 2 * i] || pads[3 + 2 * i];
    }
    if (!any || *x < 0) return SW_TFL_VALID;
    int32_t list = sw__tfw_ints(w, pads, 8), out = sw__tfw_temp(w, SW_F32, 4, dims);
    if (list >= 0) {
        w->tensors[list].type.rank = 2;
        memcpy(w->tensors[list].type.dims, (int64_t[]){4, 2}, 2 * sizeof(int64_t));
    }
    if (value == 0)
        SW_TFW_ADD(w, PAD, 1, out, *x, list);
    else
        SW_TFW_ADD(w, PADV2, 1, out, *x, list, sw__tfw_float(w, value));
    *x = out;
    return SW_TFL_VALID;
}

static void conv(sw_tfw *w, const sw_node *node, int arg) {
    const sw_value *x = node->in[0], *weights = node->in[1], *bias = node->n_in > 2 ? node->in[2] : NULL;
    const sw_value *y = node->out[0];
    sw_window win;
    if (!sw_value_is_const(weights)) {
        sw__tfw_refuse(w, "the weights must be constant");
        return;
    }
    if (!read_window(w, node, weights->type.dims + 2, &win)) return;
    int64_t group = sw_node_int(node, "group"), channels = x->type.dims[1];
    bool depthwise = group == channels && weights->type.dims[1] == 1 && group > 1;
    const sw_axes last = sw_axes_channels_last(4), deep = {4, {1, 2, 3, 0}};
    int32_t in[3] = {sw__tfw_as(w, x, last), sw__tfw_as(w, weights, depthwise ? deep : last), -1};
    int padding = pad_for(w, &win, 0, true, &in[0]), activation = sw__tfw_fuse(w, &y);
    int64_t outputs = weights->type.dims[0];
    float *zeros = bias ? NULL : sw_arena_alloc(w->scratch, (size_t)outputs + 1, sizeof *zeros);
    if (bias)
        in[2] = sw__tfw_plain(w, bias);
    else
        in[2] = zeros ? sw__tfw_const(w, "no_bias",
                                      &(sw_tensor){.dtype = SW_F32, .rank = 1, .dims = {outputs}, .data = zeros})
                      : sw__tfw_nomem(w);
    int32_t out = sw__tfw_out(w, y, last);
    bool dilated = win.dilation[0] != 1 || win.dilation[1] != 1;
    if (depthwise)
        SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_DEPTHWISE_CONV_2D, dilated ? 2 : 1, 3, in, 1, &out), 2,
                       SW_FB_I8(0, padding), SW_FB_I32(1, win.stride[1]), SW_FB_I32(2, win.stride[0]),
                       SW_FB_I32(3, outputs / channels), SW_FB_I8(4, activation), SW_FB_I32(5, win.dilation[1]),
                       SW_FB_I32(6, win.dilation[0]));
    else
        SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_CONV_2D, group > 1 ? 6 : 1, 3, in, 1, &out), 1, SW_FB_I8(0, padding),
                       SW_FB_I32(1, win.stride[1]), SW_FB_I32(2, win.stride[0]), SW_FB_I8(3, activation),
                       SW_FB_I32(4, win.dilation[1]), SW_FB_I32(5, win.dilation[0]));
}

/* Without padding, then cut to size. */
static void transposed_conv(sw_tfw *w, const sw_node *node, int arg) {
    const sw_value *weights = node->in[1], *bias = node->n_in > 2 ? node->in[2] : NULL, *y = node->out[0];
    const sw_tensor *in[4];
    sw_tensor *outs[1];
    sw_window win;
    if (y->type.rank != 4 || sw_node_int(node, "group") != 1 || !sw_value_is_const(weights)) {
        sw__tfw_refuse(w, "only ungrouped ones on two spatial axes with constant weights can be written");
        return;
    }
    sw_call call = sw_node_call(node, in, outs, w->diag);
    w->status = sw_call_window_transposed(&call, in[0], weights->type.dims + 2, &win);
    if (w->status != SW_OK) return;
    const sw_axes last = sw_axes_channels_last(4), by_output = {4, {1, 2, 3, 0}};
    int64_t full[4] = {y->type.dims[0], 0, 0, y->type.dims[1]}, begin[4] = {0}, size[4];
    bool cut = false;
    for (int i = 0; i < 2; i++) {
        full[1 + i] = (win.in[i] - 1) * win.stride[i] + win.kernel[i];
        begin[1 + i] = win.pad_begin[i];
        if (win.dilation[i] != 1 || begin[1 + i] + y->type.dims[2 + i] > full[1 + i]) {
            sw__tfw_refuse(w, "dilations and output paddings cannot be written");
            return;
        }
        cut = cut || full[1 + i] != y->type.dims[2 + i];
    }
    sw_axes_apply(&last, y->type.dims, size);
    int32_t ports[4] = {sw__tfw_ints(w, full, 4), sw__tfw_as(w, weights, by_output), sw__tfw_as(w, node->in[0], last),
                        bias ? sw__tfw_plain(w, bias) : -1};
    int32_t out = sw__tfw_out(w, y, last), whole = cut ? sw__tfw_temp(w, SW_F32, 4, full) : out;
    SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_TRANSPOSE_CONV, bias ? 3 : 1, bias ? 4 : 3, ports, 1, &whole), 49,
                   SW_FB_I8(0, SW_TFL_VALID), SW_FB_I32(1, win.stride[1]), SW_FB_I32(2, win.stride[0]));
    if (cut) SW_TFW_ADD(w, SLICE, 1, out, whole, sw__tfw_ints(w, begin, 4), sw__tfw_ints(w, size, 4));
}

static void pool(sw_tfw *w, const sw_node *node, int code) {
    sw_window win;
    bool mean = code == SW_TFL_AVERAGE_POOL_2D;
    if (!read_window(w, node, NULL, &win)) return;
    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] && node->out[i]->uses) sw__tfw_refuse(w, "the places of maxima cannot be written");
    for (int i = 0; i < 2; i++)
        if (win.dilation[i] != 1) sw__tfw_refuse(w, "dilated pools cannot be written");
    bool padded = win.pad_begin[0] || win.pad_begin[1] || win.pad_end[0] || win.pad_end[1];
    bool counts = mean && sw_node_int(node, "count_include_pad") && padded, same = sw__tfw_is_same(&win);
    if (mean && (sw_node_int(node, "ceil_mode") || (padded && !counts)) && !same)
        sw__tfw_refuse(w, "means over windows that reach into such a padding cannot be written");
    const sw_axes last = sw_axes_channels_last(4);
    int32_t x = sw__tfw_as(w, node->in[0], last);
    int padding = pad_for(w, &win, mean ? 0 : -3.4028234663852886e38, !counts, &x);
    const sw_value *y = node->out[0];
    int activation = sw__tfw_fuse(w, &y);
    int32_t out = sw__tfw_out(w, y, last);
    SW_TFW_OPTIONS(sw__tfw_add(w, code, 1, 1, &x, 1, &out), 5, SW_FB_I8(0, padding), SW_FB_I32(1, win.stride[1]),
                   SW_FB_I32(2, win.stride[0]), SW_FB_I32(3, win.kernel[1]), SW_FB_I32(4, win.kernel[0]),
                   SW_FB_I8(5, activation));
}

static void global_pool(sw_tfw *w, const sw_node *node, int code) {
    int rank = node->in[0]->type.rank;
    sw_axes last = sw_axes_channels_last(rank);
    int64_t over[SW_MAX_RANK];
    for (int i = 0; i + 2 < rank; i++) over[i] = i + 1;
    int32_t x = sw__tfw_as(w, node->in[0], last), out = sw__tfw_out(w, node->out[0], last);
    SW_TFW_OPTIONS(sw__tfw_add(w, code, 1, 2, (int32_t[]){x, sw__tfw_ints(w, over, rank - 2)}, 1, &out), 27,
                   SW_FB_I8(0, 1));
}

/* ---- Matrices ------------------------------------------------------------------------------------------------------ */

static void fully_connected(sw_tfw *w, int32_t x, int32_t weights, int32_t bias, const sw_value *y) {
    int activation = sw__tfw_fuse(w, &y), rank = y->type.rank;
    int32_t out = sw__tfw_out(w, y, sw_axes_plain(rank)), in[3] = {x, weights, bias};
    SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_FULLY_CONNECTED, rank > 2 ? 5 : 1, 3, in, 1, &out), 8, SW_FB_I8(0, activation),
                   SW_FB_I8(1, 0), SW_FB_I8(2, rank > 2));
}

static void gemm(sw_tfw *w, const sw_node *node, int arg) {
    const sw_value *weights = node->in[1], *bias = node->n_in > 2 ? node->in[2] : NULL;
    bool plain = sw_value_is_const(weights) && !sw_node_int(node, "transA") && sw_node_float(node, "alpha") == 1 &&
                 (!bias || (sw_value_is_const(bias) && sw_node_float(node, "beta") == 1 &&
                            sw_tensor_count(&bias->type) == node->out[0]->type.dims[1]));
    if (!plain) {
        sw__tfw_refuse(w, "only x * constant + constant vector can be written");
        return;
    }
    sw_axes axes = sw_node_int(node, "transB") ? sw_axes_plain(2) : (sw_axes){2, {1, 0}};
    int32_t b = bias ? sw__tfw_plain(w, bias) : SW_TFW_ABSENT;
    if (b >= 0 && w->tensors[b].type.rank != 1) {
        sw_tensor flat = bias->type;
        flat.rank = 1;
        flat.dims[0] = node->out[0]->type.dims[1];
        b = sw__tfw_const(w, "bias", &flat);
    }
    fully_connected(w, sw__tfw_plain(w, node->in[0]), sw__tfw_as(w, weights, axes), b, node->out[0]);
}

static void matmul(sw_tfw *w, const sw_node *node, int arg) {
    const sw_value *a = node->in[0], *b = node->in[1], *y = node->out[0];
    if (a->type.rank < 2 || b->type.rank < 2 || y->type.rank > 5) {
        sw__tfw_refuse(w, "only matrices with at most three axes before can be written");
        return;
    }
    if (sw_value_is_const(b) && b->type.rank == 2 && a->type.dtype == SW_F32) {
        const sw_node *add = w->readers[y->id];
        const sw_value *bias = NULL;
        for (int i = 0; add && add->op == SW_OP_Add && i < 2; i++) /* a constant vector is the bias */
            if (add->in[1 - i] == y && sw_value_is_const(add->in[i]) && add->in[i]->type.rank == 1 &&
                add->in[i]->type.dims[0] == y->type.dims[y->type.rank - 1])
                bias = add->in[i];
        if (bias) {
            y = add->out[0];
            w->fused[y->id] = true;
        }
        fully_connected(w, sw__tfw_plain(w, a), sw__tfw_as(w, b, (sw_axes){2, {1, 0}}),
                        bias ? sw__tfw_plain(w, bias) : SW_TFW_ABSENT, y);
        return;
    }
    sw_axes axes, turned = sw_axes_plain(b->type.rank);
    turned.at[turned.n - 1] = (uint8_t)(turned.n - 2);
    turned.at[turned.n - 2] = (uint8_t)(turned.n - 1);
    sw__tfw_any(w, b, &axes);
    /* Where the rows of b already lie along the sum, it is read turned. */
    bool adjoint = sw_axes_find(&axes, turned.n - 2) > sw_axes_find(&axes, turned.n - 1);
    int32_t in[2] = {sw__tfw_plain(w, a), sw__tfw_as(w, b, adjoint ? turned : sw_axes_plain(turned.n))};
    int32_t out = sw__tfw_out(w, y, sw_axes_plain(y->type.rank));
    SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_BATCH_MATMUL, 1, 2, in, 1, &out), 101, SW_FB_I8(0, 0), SW_FB_I8(1, adjoint));
}

/* ---- Resizing ------------------------------------------------------------------------------------------------------ */

static void resize(sw_tfw *w, const sw_node *node, int arg) {
    const sw_value *x = node->in[0], *y = node->out[0];
    const char *mode = sw_node_string(node, "mode"), *at = sw_node_string(node, "coordinate_transformation_mode");
    bool nearest = !strcmp(mode, "nearest"), corners = !strcmp(at, "align_corners"), whole = true;
    bool half = !strcmp(at, "half_pixel") || !strcmp(at, "pytorch_half_pixel");
    if (x->type.rank != 4 || x->type.dims[0] != y->type.dims[0] || x->type.dims[1] != y->type.dims[1]) {
        sw__tfw_refuse(w, "only height and width of maps can be resized");
        return;
    }
    for (int i = 2; i < 4; i++) whole = whole && y->type.dims[i] % x->type.dims[i] == 0;
    bool floor = !strcmp(sw_node_string(node, "nearest_mode"), "floor") && !strcmp(at, "asymmetric");
    if ((nearest && !floor && (!whole || corners)) || (!nearest && strcmp(mode, "linear")) ||
        (!half && !corners && strcmp(at, "asymmetric")) || sw_node_int(node, "antialias")) {
        sw__tfw_refuse(w, "this way of resizing cannot be written");
        return;
    }
    const sw_axes last = sw_axes_channels_last(4);
    int32_t in[2] = {sw__tfw_as(w, x, last), sw__tfw_ints(w, y->type.dims + 2, 2)}, out = sw__tfw_out(w, y, last);
    if (nearest)
        SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_RESIZE_NEAREST_NEIGHBOR, 1, 2, in, 1, &out), 74, SW_FB_I8(0, 0),
                       SW_FB_I8(1, 0));
    else
        SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_RESIZE_BILINEAR, half ? 3 : 1, 2, in, 1, &out), 15, SW_FB_I8(2, corners),
                       SW_FB_I8(3, half));
}

const sw_tfw_row sw__tfw_spatial[] = {
    {SW_OP_Conv, conv, 0},
    {SW_OP_ConvTranspose, transposed_conv, 0},
    {SW_OP_MaxPool, pool, SW_TFL_MAX_POOL_2D},
    {SW_OP_AveragePool, pool, SW_TFL_AVERAGE_POOL_2D},
    {SW_OP_GlobalAveragePool, global_pool, SW_TFL_MEAN},
    {SW_OP_GlobalMaxPool, global_pool, SW_TFL_REDUCE_MAX},
    {SW_OP_Gemm, gemm, 0},
    {SW_OP_MatMul, matmul, 0},
    {SW_OP_Resize, resize, 0},
    {0, NULL, 0},
};
