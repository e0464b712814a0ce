/* Convolutions, pools, matrix products, resizing: what works on channels-first maps or on matrices. */
#include <string.h>

#include "import/tflite/model.h"

static int64_t at_least(int64_t v, int64_t least) {
    return v > least ? v : least;
}

/* ---- Windows ------------------------------------------------------------------------------------------------------- */

/* Strides, dilations and paddings over height and width, as ONNX has them. */
typedef struct window {
    int64_t stride[2], dilation[2], kernel[2], pads[4];
} window;

/* TensorFlow's SAME: the output is the input over the stride, rounded up; odd padding goes behind. */
static void pad_same(window *w, const int64_t *extent) {
    for (int i = 0; i < 2; i++) {
        int64_t out = (extent[i] + w->stride[i] - 1) / w->stride[i];
        int64_t span = (w->kernel[i] - 1) * w->dilation[i] + 1;
        int64_t total = at_least((out - 1) * w->stride[i] + span - extent[i], 0);
        w->pads[i] = total / 2;
        w->pads[i + 2] = total - total / 2;
    }
}

/* Reads what all of them share: padding in slot 0, strides in 1 and 2. False with an error when it makes no sense. */
static bool read_window(sw_tfl_node *n, int dilation_slot, window *w) {
    w->stride[0] = sw_fb_i32(&n->options, 2, 0);
    w->stride[1] = sw_fb_i32(&n->options, 1, 0);
    w->dilation[0] = dilation_slot ? sw_fb_i32(&n->options, dilation_slot + 1, 1) : 1;
    w->dilation[1] = dilation_slot ? sw_fb_i32(&n->options, dilation_slot, 1) : 1;
    const int64_t most = 1 << 20;
    for (int i = 0; i < 2; i++)
        if (w->stride[i] < 1 || w->dilation[i] < 1 || w->kernel[i] < 1 || w->stride[i] > most ||
            w->dilation[i] > most || w->kernel[i] > most) {
            sw__tfl_refuse(n, SW_E_MODEL, "strides, dilations and kernels must be 1 to %d", (int)most);
            return false;
        }
    return n->m->status == SW_OK;
}

static bool is_map(sw_tfl_node *n, int i) {
    if (n->m->status != SW_OK) return false;
    if (i < n->n_in && n->in[i] && n->in[i]->like.rank == 4) return true;
    return sw__tfl_refuse(n, SW_E_UNSUPPORTED, "input %d is missing or not of four axes", i + 1);
}

/* A padding with zeros that stands before a convolution without padding becomes the convolution's. */
static sw_tfl_tensor *take_padding(sw_tfl_tensor *x, window *w) {
    if (!x->unpadded || x->pads[0][0] || x->pads[0][1] || x->pads[3][0] || x->pads[3][1]) return x;
    for (int i = 0; i < 2; i++) {
        w->pads[i] = x->pads[i + 1][0];
        w->pads[i + 2] = x->pads[i + 1][1];
    }
    return x->unpadded;
}

static void set_window(sw_tfl_node *n, sw_value *y, const window *w) {
    sw__tfl_set_ints(n->m, y, "kernel_shape", w->kernel, 2);
    sw__tfl_set_ints(n->m, y, "strides", w->stride, 2);
    sw__tfl_set_ints(n->m, y, "pads", w->pads, 4);
}

/* ---- Convolutions -------------------------------------------------------------------------------------------------- */

static bool is_byte(const sw_tfl_tensor *t) {
    return sw__tfl_quantised(t) && t->like.dtype != SW_I16;
}

/* Integers in, integers out: QLinearConv. Weights in the order `form`, their output channels on axis `channels`. */
static sw_value *integer_conv(sw_tfl_node *n, sw_value *x, sw_value *w, int channels) {
    const sw_tfl_tensor *weights = n->in[1];
    sw_value *in[9] = {x, NULL, NULL, w};
    if (weights->scales.n > 1 && weights->scale_axis != channels)
        return sw__tfl_refuse(n, SW_E_UNSUPPORTED, "the weights have scales along axis %d", weights->scale_axis);
    sw__tfl_scales(n->m, n->in[0], &in[1], &in[2]);
    sw__tfl_scales(n->m, weights, &in[4], &in[5]);
    sw__tfl_scales(n->m, n->out[0], &in[6], &in[7]);
    bool biased = n->n_in > 2 && n->in[2];
    if (biased) in[8] = sw__tfl_plain(n, 2);
    return sw__tfl_apply(n->m, SW_OP_QLinearConv, n->out[0]->name, biased ? 9 : 8, in);
}

static bool all_bytes(const sw_tfl_node *n) {
    return is_byte(n->in[0]) && is_byte(n->in[1]) && is_byte(n->out[0]) &&
           (n->n_in < 3 || !n->in[2] || n->in[2]->like.dtype == SW_I32) && n->in[0]->scales.n == 1 &&
           n->out[0]->scales.n == 1;
}

static sw_value *float_product(sw_tfl_node *n, sw_op op, sw_value *x, sw_value *w) {
    bool biased = n->n_in > 2 && n->in[2];
    sw_value *in[3] = {x, w, biased ? sw__tfl_plain(n, 2) : NULL};
    return sw__tfl_apply(n->m, op, n->out[0]->name, biased ? 3 : 2, in);
}

/* CONV_2D: weights O height width I; DEPTHWISE_CONV_2D: weights 1 height width C (arg 1). */
static void conv(sw_tfl_node *n) {
    bool depthwise = n->arg;
    window w = {{0}};
    if (!is_map(n, 0) || !is_map(n, 1)) return;
    const int64_t *dims = n->in[1]->like.dims;
    memcpy(w.kernel, dims + 1, sizeof w.kernel);
    if (!read_window(n, depthwise ? 5 : 4, &w)) return;
    int64_t x_dims[SW_MAX_RANK], activation = sw_fb_i8(&n->options, depthwise ? 4 : 3, 0);
    int rank;
    if (!sw__tfl_dims(n, n->in[0], x_dims, &rank)) return;
    if (sw_fb_i8(&n->options, 0, SW_TFL_SAME) == SW_TFL_SAME)
        pad_same(&w, x_dims + 1);
    else
        n->in[0] = take_padding(n->in[0], &w);
    int64_t depth = depthwise ? 1 : dims[3];
    if (depth < 1 || x_dims[3] % depth) {
        sw__tfl_refuse(n, SW_E_MODEL, "%lld channels do not divide into weights for %lld", (long long)x_dims[3],
                       (long long)depth);
        return;
    }
    bool whole = all_bytes(n);
    if (!whole) sw__tfl_all_real(n);
    sw_axes last_first = {4, {3, 0, 1, 2}};
    sw_value *x = sw__tfl_as(n, 0, sw_axes_channels_first(4));
    sw_value *weights = sw__tfl_as(n, 1, depthwise ? last_first : sw_axes_channels_first(4));
    sw_value *y = whole ? integer_conv(n, x, weights, depthwise ? 3 : 0) : float_product(n, SW_OP_Conv, x, weights);
    set_window(n, y, &w);
    sw__tfl_set_ints(n->m, y, "dilations", w.dilation, 2);
    sw__tfl_set_int(y, "group", x_dims[3] / depth);
    sw__tfl_out_act(n, y, sw_axes_channels_first(4), activation, !whole);
}

/* TRANSPOSE_CONV: inputs the output's shape, weights O height width I, x, bias. */
static void transposed_conv(sw_tfl_node *n) {
    window w = {{0}};
    if (!is_map(n, 2) || !is_map(n, 1)) return;
    const int64_t *dims = n->in[1]->like.dims;
    int64_t x_dims[SW_MAX_RANK], out[2 * SW_MAX_RANK], extra[2] = {0, 0};
    int rank, count = 4;
    memcpy(w.kernel, dims + 1, sizeof w.kernel);
    if (!read_window(n, 0, &w) || !sw__tfl_dims(n, n->in[2], x_dims, &rank)) return;
    if (!sw__tfl_ints(n, 0, out, &count)) memcpy(out, n->out[0]->like.dims, sizeof n->out[0]->like.dims);
    if (n->m->status != SW_OK) return;
    if (count != 4) {
        sw__tfl_refuse(n, SW_E_MODEL, "the shape of the output has %d axes, expected 4", count);
        return;
    }
    if (sw_fb_i8(&n->options, 0, SW_TFL_SAME) == SW_TFL_SAME) pad_same(&w, out + 1);
    for (int i = 0; i < 2; i++) { /* what the sizes leave over is cut off behind, or added */
        w.pads[i + 2] = w.stride[i] * (x_dims[i + 1] - 1) + w.kernel[i] - w.pads[i] - out[i + 1];
        extra[i] = at_least(-w.pads[i + 2], 0);
        w.pads[i + 2] = at_least(w.pads[i + 2], 0);
    }
    sw__tfl_all_real(n);
    sw_axes by_input = {4, {3, 0, 1, 2}};
    bool biased = n->n_in > 3 && n->in[3];
    sw_value *in[3] = {sw__tfl_as(n, 2, sw_axes_channels_first(4)), sw__tfl_as(n, 1, by_input),
                       biased ? sw__tfl_plain(n, 3) : NULL};
    sw_value *y = sw__tfl_apply(n->m, SW_OP_ConvTranspose, n->out[0]->name, biased ? 3 : 2, in);
    set_window(n, y, &w);
    sw__tfl_set_ints(n->m, y, "output_padding", extra, 2);
    sw__tfl_out_act(n, y, sw_axes_channels_first(4), sw_fb_i8(&n->options, 3, 0), true);
}

/* ---- Pools --------------------------------------------------------------------------------------------------------- */

static void pool(sw_tfl_node *n) {
    window w = {{0}};
    int64_t x_dims[SW_MAX_RANK];
    int rank;
    if (!is_map(n, 0)) return;
    w.kernel[0] = sw_fb_i32(&n->options, 4, 0);
    w.kernel[1] = sw_fb_i32(&n->options, 3, 0);
    if (!read_window(n, 0, &w) || !sw__tfl_dims(n, n->in[0], x_dims, &rank)) return;
    if (sw_fb_i8(&n->options, 0, SW_TFL_SAME) == SW_TFL_SAME) pad_same(&w, x_dims + 1);
    bool whole = n->arg == SW_OP_MaxPool && sw__tfl_same_scale(n->in[0], n->out[0]) && sw__tfl_quantised(n->in[0]);
    if (!whole) sw__tfl_all_real(n);
    sw_value *x = sw__tfl_as(n, 0, sw_axes_channels_first(4));
    bool squares = n->arg == SW_OP_LpPool; /* the root of the mean square, not of the sum */
    if (squares) x = SW_TFL_APPLY(n, SW_OP_Mul, x, x);
    sw_value *y = SW_TFL_APPLY(n, squares ? SW_OP_AveragePool : (sw_op)n->arg, x);
    set_window(n, y, &w);
    if (squares) y = SW_TFL_APPLY(n, SW_OP_Sqrt, y);
    sw__tfl_out_act(n, y, sw_axes_channels_first(4), sw_fb_i8(&n->options, 5, 0), !whole);
}

/* ---- Matrices ------------------------------------------------------------------------------------------------------ */

/* x of any rank as rows of the weights' depth; weights O K. */
static void fully_connected(sw_tfl_node *n) {
    int64_t dims[SW_MAX_RANK], count = 1;
    int rank;
    if (n->n_in < 2 || !n->in[0] || !n->in[1] || n->in[1]->like.rank != 2) {
        sw__tfl_refuse(n, SW_E_MODEL, "an input is missing, or the weights are no matrix");
        return;
    }
    if (sw_fb_i8(&n->options, 1, 0) != 0) {
        sw__tfl_refuse(n, SW_E_UNSUPPORTED, "the weights are shuffled");
        return;
    }
    int64_t outputs = n->in[1]->like.dims[0], depth = n->in[1]->like.dims[1];
    if (!sw__tfl_dims(n, n->in[0], dims, &rank)) return;
    for (int i = 0; i < rank; i++) count *= dims[i];
    if (depth < 1 || count % depth) {
        sw__tfl_refuse(n, SW_E_MODEL, "%lld elements do not divide into rows of %lld", (long long)count,
                       (long long)depth);
        return;
    }
    bool keep = sw_fb_u8(&n->options, 2, 0) != 0 && rank > 0 && dims[rank - 1] == depth, whole = all_bytes(n);
    int64_t rows[4] = {count / depth, depth, 1, 1}, flat[2] = {count / depth, outputs};
    if (!whole) sw__tfl_all_real(n);
    sw_value *x = sw__tfl_plain(n, 0), *w = sw__tfl_plain(n, 1);
    if (whole || rank != 2) x = sw__tfl_reshape(n->m, n->out[0]->name, x, rows, whole ? 4 : 2);
    sw_value *y;
    if (whole) { /* as a convolution of one pixel, because that has a bias */
        w = sw__tfl_reshape(n->m, n->in[1]->name, w, (int64_t[]){outputs, depth, 1, 1}, 4);
        y = integer_conv(n, x, w, 0);
    } else {
        y = float_product(n, SW_OP_Gemm, x, w);
        sw__tfl_set_int(y, "transB", 1);
    }
    dims[rank - 1 < 0 ? 0 : rank - 1] = outputs;
    if (keep)
        y = sw__tfl_reshape(n->m, n->out[0]->name, y, dims, rank);
    else if (whole)
        y = sw__tfl_reshape(n->m, n->out[0]->name, y, flat, 2);
    sw__tfl_out_act(n, y, sw_axes_plain(keep ? rank : 2), sw_fb_i8(&n->options, 0, 0), !whole);
}

static void batch_matmul(sw_tfl_node *n) {
    sw_value *in[2] = {NULL, NULL};
    sw__tfl_all_real(n);
    int most = 0;
    for (int i = 0; i < 2; i++) {
        sw_axes axes;
        if (!sw__tfl_any(n, i, &axes)) return;
        if (axes.n < 2) {
            sw__tfl_refuse(n, SW_E_MODEL, "input %d is no matrix", i + 1);
            return;
        }
        most = axes.n > most ? axes.n : most;
        axes = sw_axes_plain(axes.n);
        if (sw_fb_u8(&n->options, i, 0)) {
            axes.at[axes.n - 2] = (uint8_t)(axes.n - 1);
            axes.at[axes.n - 1] = (uint8_t)(axes.n - 2);
        }
        in[i] = sw__tfl_as(n, i, axes);
    }
    sw__tfl_out_real(n, 0, SW_TFL_APPLY(n, SW_OP_MatMul, in[0], in[1]), sw_axes_plain(most));
}

/* ---- Others on maps ------------------------------------------------------------------------------------------------ */

/* Nearest pixels by a whole factor are the same under all rules but aligned corners: the form with fast kernels. */
static bool whole_factor(const int64_t *from, const int64_t *to, float *factors) {
    for (int i = 0; i < 2; i++) {
        if (from[i] < 1 || to[i] % from[i]) return false;
        factors[i + 2] = (float)(to[i] / from[i]);
    }
    return true;
}

static sw_value *resize_factors(sw_tfl_node *n, sw_value *x, const float *factors) {
    int64_t four = 4;
    sw_value *scales = n->m->status == SW_OK ? sw_graph_new_const(n->m->graph, "scales", SW_F32, 1, &four) : NULL;
    if (!scales) return sw__tfl_nomem(n->m);
    memcpy(scales->type.data, factors, 4 * sizeof *factors);
    sw_value *y = sw__tfl_apply(n->m, SW_OP_Resize, n->out[0]->name, 3, (sw_value *[]){x, NULL, scales});
    sw__tfl_set_string(n->m, y, "coordinate_transformation_mode", "asymmetric");
    sw__tfl_set_string(n->m, y, "nearest_mode", "floor");
    return y;
}

static void resize(sw_tfl_node *n) {
    bool nearest = n->arg == SW_TFL_RESIZE_NEAREST_NEIGHBOR;
    int first = nearest ? 0 : 2, rank, count = 0;
    bool corners = sw_fb_u8(&n->options, first, 0), centers = sw_fb_u8(&n->options, first + 1, 0);
    int64_t size[2 * SW_MAX_RANK], dims[SW_MAX_RANK];
    float factors[4] = {1, 1, 1, 1};
    if (!is_map(n, 0) || !sw__tfl_dims(n, n->in[0], dims, &rank)) return;
    if (!sw__tfl_ints(n, 1, size, &count)) {
        count = 2; /* the runtime's own allocation is what the file states */
        memcpy(size, n->out[0]->like.dims + 1, 2 * sizeof *size);
    }
    if (n->m->status != SW_OK) return;
    if (count != 2 || size[0] < 1 || size[1] < 1) {
        sw__tfl_refuse(n, SW_E_MODEL, "the new size is not two positive numbers");
        return;
    }
    if (!nearest) sw__tfl_all_real(n);
    sw_value *x = sw__tfl_as(n, 0, sw_axes_channels_first(4)), *y;
    if (nearest && !corners && whole_factor(dims + 1, size, factors)) {
        y = resize_factors(n, x, factors);
    } else {
        const int64_t all[4] = {dims[0], dims[3], size[0], size[1]};
        sw_value *in[4] = {x, NULL, NULL, sw__tfl_const_ints(n->m, all, 4)};
        y = sw__tfl_apply(n->m, SW_OP_Resize, n->out[0]->name, 4, in);
        sw__tfl_set_string(n->m, y, "mode", nearest ? "nearest" : "linear");
        sw__tfl_set_string(n->m, y, "coordinate_transformation_mode",
                           corners   ? "align_corners"
                           : centers ? "half_pixel"
                                     : "asymmetric");
        /* Aligned corners round; half pixels are floor((x + 0.5) * scale), which is the same. */
        sw__tfl_set_string(n->m, y, "nearest_mode", corners || centers ? "round_prefer_ceil" : "floor");
    }
    if (nearest)
        sw__tfl_out(n, 0, y, sw_axes_channels_first(4));
    else
        sw__tfl_out_real(n, 0, y, sw_axes_channels_first(4));
}

static void blocks(sw_tfl_node *n) {
    if (!is_map(n, 0)) return;
    sw_value *y = SW_TFL_APPLY(n, (sw_op)n->arg, sw__tfl_as(n, 0, sw_axes_channels_first(4)));
    sw__tfl_set_int(y, "blocksize", sw_fb_i32(&n->options, 0, 0));
    sw__tfl_out(n, 0, y, sw_axes_channels_first(4));
}

static void local_response(sw_tfl_node *n) {
    int64_t radius = sw_fb_i32(&n->options, 0, 0), size = 2 * radius + 1;
    if (!is_map(n, 0)) return;
    if (radius < 0 || radius > 1 << 20) {
        sw__tfl_refuse(n, SW_E_MODEL, "the radius is %lld", (long long)radius);
        return;
    }
    sw__tfl_all_real(n);
    sw_value *y = SW_TFL_APPLY(n, SW_OP_LRN, sw__tfl_as(n, 0, sw_axes_channels_first(4)));
    sw__tfl_set_int(y, "size", size);
    sw__tfl_set_float(y, "bias", sw_fb_f32(&n->options, 1, 0));
    sw__tfl_set_float(y, "alpha", sw_fb_f32(&n->options, 2, 0) * (float)size); /* ONNX divides it by the size */
    sw__tfl_set_float(y, "beta", sw_fb_f32(&n->options, 3, 0));
    sw__tfl_out_real(n, 0, y, sw_axes_channels_first(4));
}

const sw_tfl_row sw__tfl_spatial[] = {
    {SW_TFL_CONV_2D, conv, 0},
    {SW_TFL_DEPTHWISE_CONV_2D, conv, 1},
    {SW_TFL_TRANSPOSE_CONV, transposed_conv, 0},
    {SW_TFL_MAX_POOL_2D, pool, SW_OP_MaxPool},
    {SW_TFL_AVERAGE_POOL_2D, pool, SW_OP_AveragePool},
    {SW_TFL_L2_POOL_2D, pool, SW_OP_LpPool},
    {SW_TFL_FULLY_CONNECTED, fully_connected, 0},
    {SW_TFL_BATCH_MATMUL, batch_matmul, 0},
    {SW_TFL_RESIZE_BILINEAR, resize, SW_TFL_RESIZE_BILINEAR},
    {SW_TFL_RESIZE_NEAREST_NEIGHBOR, resize, SW_TFL_RESIZE_NEAREST_NEIGHBOR},
    {SW_TFL_DEPTH_TO_SPACE, blocks, SW_OP_DepthToSpace},
    {SW_TFL_SPACE_TO_DEPTH, blocks, SW_OP_SpaceToDepth},
    {SW_TFL_LOCAL_RESPONSE_NORMALIZATION, local_response, 0},
    {0, NULL, 0},
};
