/* Convolutions, matrix products, pools, norms, resampling, recurrent cells, quantised numbers. */
#include <string.h>

#include "export/openvino/map.h"

#define NUMPY "auto_broadcast=\"numpy\""

/* ---- Convolutions -------------------------------------------------------------------------------------------------- */

static const char *auto_pad(const sw_ov_node *n) {
    const char *mode = sw_node_string(n->node, "auto_pad");
    return !strcmp(mode, "SAME_UPPER")   ? "same_upper"
           : !strcmp(mode, "SAME_LOWER") ? "same_lower"
           : !strcmp(mode, "VALID")      ? "valid"
                                         : "explicit";
}

static int spatial(const sw_ov_node *n) {
    return n->node->in[0]->type.rank - 2;
}

static const char *window(sw_ov_node *n) {
    int k = spatial(n);
    return sw__ov_text(n, "strides=\"%s\" dilations=\"%s\" pads_begin=\"%s\" pads_end=\"%s\" auto_pad=\"%s\"",
                       sw__ov_attr_list(n, "strides", k, 1, 0), sw__ov_attr_list(n, "dilations", k, 1, 0),
                       sw__ov_attr_list(n, "pads", k, 0, 0), sw__ov_attr_list(n, "pads", k, 0, k), auto_pad(n));
}

/* Adds input `i`, one number a channel (axis 1). */
static sw_status finish_bias(sw_ov_node *n, sw_ov_ref y, int i) {
    int64_t dims[SW_MAX_RANK];
    int rank = n->node->in[0]->type.rank;
    for (int k = 0; k < rank; k++) dims[k] = k == 1 ? -1 : 1;
    if (sw__ov_known(n, i)) dims[1] = sw__ov_known(n, i)->dims[0];
    return sw__ov_finish(n, "Add", 1, NUMPY, 2, (sw_ov_ref[]){y, sw__ov_reshaped(n, i, rank, dims)});
}

/* Such a bias would be a layer of its own. */
static bool is_zero(const sw_tensor *t) {
    for (int64_t i = 0; i < sw_tensor_count(t); i++)
        if (sw_tensor_float_at(t, i) != 0) return false;
    return true;
}

static sw_status finish_conv(sw_ov_node *n, const char *type, const char *data, sw_ov_ref weights) {
    sw_ov_ref in[] = {sw__ov_in(n, 0), weights};
    const sw_tensor *bias = sw__ov_known(n, 2);
    if (!sw__ov_has(n, 2) || (bias && is_zero(bias))) return sw__ov_finish(n, type, 1, data, 2, in);
    return finish_bias(n, sw__ov_step(n, type, 1, data, 2, in, n->node->out[0]->type), 2);
}

/* Weights with an axis for the groups in front: `first` of their axes is divided by it. */
static sw_ov_ref grouped(sw_ov_node *n, int64_t group) {
    const sw_tensor *w = &n->node->in[1]->type;
    int64_t dims[SW_MAX_RANK + 1] = {group, w->dims[0] / group};
    for (int k = 1; k < w->rank; k++) dims[k + 1] = w->dims[k];
    return sw__ov_reshaped(n, 1, w->rank + 1, dims);
}

static sw_status check_conv(const sw_ov_node *n) {
    const sw_tensor *x = &n->node->in[0]->type, *w = &n->node->in[1]->type;
    if (x->rank < 3 || x->rank > 5 || !sw_tensor_is_concrete(w))
        return sw__ov_refuse(n,
                             "its rank, or the size of its weights, is not known or not supported in OpenVINO files");
    return SW_OK;
}

sw_status sw__ov_conv(sw_ov_node *n) {
    SW_TRY(check_conv(n));
    int64_t group = sw_node_int(n->node, "group");
    if (group > 1) return finish_conv(n, "GroupConvolution", window(n), grouped(n, group));
    return finish_conv(n, "Convolution", window(n), sw__ov_in(n, 1));
}

sw_status sw__ov_conv_transpose(sw_ov_node *n) {
    SW_TRY(check_conv(n));
    if (sw_node_attr(n->node, "output_shape", SW_ATTR_INTS)->set)
        return sw__ov_refuse(n, "its attribute output_shape is not supported in OpenVINO files");
    int64_t group = sw_node_int(n->node, "group");
    const char *data =
        sw__ov_text(n, "%s output_padding=\"%s\"", window(n), sw__ov_attr_list(n, "output_padding", spatial(n), 0, 0));
    if (group > 1) return finish_conv(n, "GroupConvolutionBackpropData", data, grouped(n, group));
    return finish_conv(n, "ConvolutionBackpropData", data, sw__ov_in(n, 1));
}

/* ---- Matrix products ----------------------------------------------------------------------------------------------- */

sw_status sw__ov_gemm(sw_ov_node *n) {
    const sw_node *node = n->node;
    sw_tensor out = node->out[0]->type;
    float alpha = sw_node_float(node, "alpha"), beta = sw_node_float(node, "beta");
    const char *data =
        sw__ov_text(n, "transpose_a=\"%s\" transpose_b=\"%s\"", sw_node_int(node, "transA") ? "true" : "false",
                    sw_node_int(node, "transB") ? "true" : "false");
    sw_ov_ref in[] = {sw__ov_in(n, 0), sw__ov_in(n, 1)};
    bool bias = sw__ov_has(n, 2) && beta != 0, scaled = alpha != 1;
    if (!bias && !scaled) return sw__ov_finish(n, "MatMul", 1, data, 2, in);
    sw_ov_ref y = sw__ov_step(n, "MatMul", 1, data, 2, in, out);
    sw_ov_ref by_alpha[] = {y, scaled ? sw__ov_number(n, alpha, out.dtype) : y};
    if (!bias) return sw__ov_finish(n, "Multiply", 1, NUMPY, 2, by_alpha);
    if (scaled) y = sw__ov_binary(n, "Multiply", by_alpha[0], by_alpha[1], out);
    sw_ov_ref c = sw__ov_in(n, 2);
    if (beta != 1) c = sw__ov_binary(n, "Multiply", c, sw__ov_number(n, beta, out.dtype), c.type);
    return sw__ov_finish(n, "Add", 1, NUMPY, 2, (sw_ov_ref[]){y, c});
}

/* ---- Pools --------------------------------------------------------------------------------------------------------- */

sw_status sw__ov_pool(sw_ov_node *n) {
    int k = spatial(n);
    const sw_node *node = n->node;
    if (k < 1 || k > 3) return sw__ov_refuse(n, "its rank is not known or not supported in OpenVINO files");
    bool max = node->op == SW_OP_MaxPool, ceil = sw_node_int(node, "ceil_mode") != 0;
    if (max && sw_node_int(node, "storage_order") && node->n_out > 1 && node->out[1])
        return sw__ov_refuse(n, "indices in columns are not supported in OpenVINO files");
    const char *data = sw__ov_text(
        n,
        "strides=\"%s\" dilations=\"%s\" pads_begin=\"%s\" pads_end=\"%s\" kernel=\"%s\" rounding_type=\"%s\" "
        "auto_pad=\"%s\"",
        sw__ov_attr_list(n, "strides", k, 1, 0), sw__ov_attr_list(n, "dilations", k, 1, 0),
        sw__ov_attr_list(n, "pads", k, 0, 0), sw__ov_attr_list(n, "pads", k, 0, k),
        sw__ov_attr_list(n, "kernel_shape", k, 1, 0), ceil ? "ceil_torch" : "floor", auto_pad(n));
    sw_ov_ref in = sw__ov_in(n, 0);
    if (!max && ceil && sw_node_int(node, "count_include_pad"))
        return sw__ov_refuse(n, "ceil_mode with count_include_pad is not supported in OpenVINO files");
    if (!max) {
        const sw_attr *dilations = sw_node_attr(node, "dilations", SW_ATTR_INTS);
        for (int i = 0; i < dilations->ints.n; i++)
            if (dilations->ints.v[i] != 1) return sw__ov_refuse(n, "dilated means are not supported in OpenVINO files");
        data = sw__ov_text(n, "%s exclude-pad=\"%s\"", data, sw_node_int(node, "count_include_pad") ? "false" : "true");
        return sw__ov_finish(n, "AvgPool", ceil ? 14 : 1, data, 1, &in);
    }
    data = sw__ov_text(n, "%s index_element_type=\"i64\" axis=\"0\"", data);
    sw_ov_ref out[2] = {{.type = node->out[0]->type}, {.type = node->out[0]->type}};
    out[1].type.dtype = SW_I64;
    sw__ov_layer(n->ov, sw__ov_text(n, "%.400s/pool", node->out[0]->name), "MaxPool", ceil ? 14 : 8, data, 1, &in, 2,
                 out);
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i]) n->ov->of[node->out[i]->id] = out[i];
    return SW_OK;
}

sw_status sw__ov_global_pool(sw_ov_node *n) {
    int64_t axes[SW_MAX_RANK];
    int k = spatial(n);
    if (k < 1) return sw__ov_refuse(n, "its rank is not known");
    for (int i = 0; i < k; i++) axes[i] = i + 2;
    bool mean = n->node->op == SW_OP_GlobalAveragePool;
    sw_ov_ref in[] = {sw__ov_in(n, 0), sw__ov_list(n, axes, k)};
    return sw__ov_finish(n, mean ? "ReduceMean" : "ReduceMax", 1, "keep_dims=\"true\"", 2, in);
}

/* ---- Norms --------------------------------------------------------------------------------------------------------- */

sw_status sw__ov_batch_norm(sw_ov_node *n) {
    sw_ov_ref in[5];
    for (int i = 0; i < 5; i++) in[i] = sw__ov_in(n, i);
    const char *data = sw__ov_text(n, "epsilon=\"%.9g\"", (double)sw_node_float(n->node, "epsilon"));
    return sw__ov_finish(n, "BatchNormInference", 5, data, 5, in);
}

/* Mean and variance over axes; then scaled and shifted by inputs 1 and 2, which are there already in shape. */
static sw_status normalised(sw_ov_node *n, const int64_t *axes, int n_axes, sw_ov_ref scale, sw_ov_ref shift) {
    sw_tensor out = n->node->out[0]->type;
    const char *data = sw__ov_text(n, "eps=\"%.9g\" normalize_variance=\"true\" eps_mode=\"INSIDE_SQRT\"",
                                   (double)sw_node_float(n->node, "epsilon"));
    sw_ov_ref in[] = {sw__ov_in(n, 0), sw__ov_list(n, axes, n_axes)};
    sw_ov_ref y = sw__ov_step(n, "MVN", 6, data, 2, in, out);
    if (shift.layer < 0) return sw__ov_finish(n, "Multiply", 1, NUMPY, 2, (sw_ov_ref[]){y, scale});
    y = sw__ov_binary(n, "Multiply", y, scale, out);
    return sw__ov_finish(n, "Add", 1, NUMPY, 2, (sw_ov_ref[]){y, shift});
}

sw_status sw__ov_layer_norm(sw_ov_node *n) {
    const sw_node *node = n->node;
    int64_t axes[SW_MAX_RANK], axis = sw_node_int(node, "axis"), rank = node->in[0]->type.rank;
    int n_axes = 0;
    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] && node->out[i]->uses)
            return sw__ov_refuse(n, "its mean and deviation as outputs are not supported");
    if (rank == SW_RANK_UNKNOWN) return sw__ov_refuse(n, "its rank is not known");
    for (int64_t k = axis < 0 ? axis + rank : axis; k < rank; k++) axes[n_axes++] = k;
    return normalised(n, axes, n_axes, sw__ov_in(n, 1), sw__ov_in(n, 2));
}

sw_status sw__ov_instance_norm(sw_ov_node *n) {
    int64_t axes[SW_MAX_RANK], dims[SW_MAX_RANK];
    int rank = n->node->in[0]->type.rank;
    if (rank < 3) return sw__ov_refuse(n, "its rank is not known");
    for (int k = 0; k < rank; k++) dims[k] = k == 1 ? -1 : 1;
    for (int k = 2; k < rank; k++) axes[k - 2] = k;
    if (sw__ov_known(n, 1)) dims[1] = sw__ov_known(n, 1)->dims[0];
    return normalised(n, axes, rank - 2, sw__ov_reshaped(n, 1, rank, dims), sw__ov_reshaped(n, 2, rank, dims));
}

/* ---- Resampling ---------------------------------------------------------------------------------------------------- */

/* Axes whose size changes, and by what: scales, or the sizes that are known. False: they are computed. */
static bool resized(sw_ov_node *n, int64_t axes[], float scales[], int64_t sizes[], int *count, bool *by_scales) {
    const sw_tensor *x = &n->node->in[0]->type, *y = &n->node->out[0]->type, *factors = sw__ov_known(n, 2);
    const sw_attr *some = sw_node_attr(n->node, "axes", SW_ATTR_INTS);
    if (x->rank == SW_RANK_UNKNOWN) return false;
    *by_scales = factors != NULL;
    *count = 0;
    for (int i = 0, n_axes = some->set ? some->ints.n : x->rank; i < n_axes; i++) {
        int64_t k = some->set ? some->ints.v[i] : i;
        double scale = factors ? sw_tensor_float_at(factors, i) : 0;
        k += k < 0 ? x->rank : 0;
        if (factors ? scale == 1 && k < 2 : k < 2 && x->dims[k] == y->dims[k]) continue;
        if (!factors && y->dims[k] < 0) return false;
        axes[*count] = k;
        scales[*count] = (float)scale;
        sizes[(*count)++] = y->dims[k];
    }
    return true;
}

static sw_status check_resize(const sw_ov_node *n) {
    const sw_node *node = n->node;
    const char *mode = sw_node_string(node, "coordinate_transformation_mode");
    if (sw_node_int(node, "exclude_outside") || !strcmp(mode, "tf_crop_and_resize") ||
        !strcmp(mode, "half_pixel_symmetric"))
        return sw__ov_refuse(n, "exclude_outside and tf_crop_and_resize are not supported in OpenVINO files");
    if (strcmp(sw_node_string(node, "keep_aspect_ratio_policy"), "stretch") != 0)
        return sw__ov_refuse(n, "keep_aspect_ratio_policy is not supported in OpenVINO files");
    return SW_OK;
}

sw_status sw__ov_resize(sw_ov_node *n) {
    const sw_node *node = n->node;
    int64_t axes[SW_MAX_RANK], sizes[SW_MAX_RANK];
    float scales[SW_MAX_RANK];
    int count;
    bool by_scales;
    SW_TRY(check_resize(n));
    if (!resized(n, axes, scales, sizes, &count, &by_scales))
        return sw__ov_refuse(n, "sizes that are computed are not supported in OpenVINO files");
    const char *mode = sw_node_string(node, "mode");
    mode = !strcmp(mode, "linear") ? "linear_onnx" : mode;
    const char *zeros = "0, 0, 0, 0, 0, 0, 0, 0";
    int length = 3 * node->in[0]->type.rank - 2; /* as many as the rank */
    const char *data = sw__ov_text(
        n,
        "mode=\"%s\" shape_calculation_mode=\"%s\" coordinate_transformation_mode=\"%s\" nearest_mode=\"%s\" "
        "antialias=\"%s\" pads_begin=\"%.*s\" pads_end=\"%.*s\" cube_coeff=\"%.9g\"",
        mode, by_scales ? "scales" : "sizes", sw_node_string(node, "coordinate_transformation_mode"),
        sw_node_string(node, "nearest_mode"), sw_node_int(node, "antialias") ? "true" : "false", length, zeros, length,
        zeros, (double)sw_node_float(node, "cubic_coeff_a"));
    sw_tensor t = {.dtype = SW_F32, .rank = 1, .dims = {count}};
    t.data = sw_arena_copy(n->ov->graph->arena, scales, (size_t)count * sizeof *scales + 4);
    if (!t.data) return SW_E_NOMEM;
    char *name = sw_arena_printf(n->ov->graph->arena, "%s/scales", node->out[0]->name);
    if (!name) return SW_E_NOMEM;
    sw_ov_ref in[] = {sw__ov_in(n, 0), by_scales ? sw__ov_const(n->ov, name, &t) : sw__ov_list(n, sizes, count),
                      sw__ov_list(n, axes, count)};
    return sw__ov_finish(n, "Interpolate", 11, data, 3, in);
}

sw_status sw__ov_grid_sample(sw_ov_node *n) {
    const char *mode = sw_node_string(n->node, "mode");
    mode = !strcmp(mode, "linear") ? "bilinear" : !strcmp(mode, "cubic") ? "bicubic" : mode;
    const char *data = sw__ov_text(n, "align_corners=\"%s\" mode=\"%s\" padding_mode=\"%s\"",
                                   sw_node_int(n->node, "align_corners") ? "true" : "false", mode,
                                   sw_node_string(n->node, "padding_mode"));
    return sw__ov_finish(n, "GridSample", 9, data, 2, (sw_ov_ref[]){sw__ov_in(n, 0), sw__ov_in(n, 1)});
}

/* ---- LSTM ---------------------------------------------------------------------------------------------------------- */

/* ONNX has gates i o f c, OpenVINO f i c o. `blocks`: 4, of rows x columns numbers each, for each direction. */
static const float *gates(sw_ov_node *n, const float *from, int64_t directions, int64_t block) {
    static const int order[] = {2, 0, 3, 1};
    float *to = sw_arena_alloc(n->ov->graph->arena, (size_t)(directions * 4 * block), sizeof *to);
    for (int64_t d = 0; to && d < directions; d++)
        for (int g = 0; g < 4; g++)
            memcpy(to + (d * 4 + g) * block, from + (d * 4 + order[g]) * block, (size_t)block * sizeof *to);
    return to;
}

/* Both biases of ONNX added; zeros when there are none. */
static const float *lstm_bias(sw_ov_node *n, int64_t directions, int64_t hidden) {
    const sw_tensor *b = sw__ov_known(n, 3);
    float *sum = sw_arena_alloc(n->ov->graph->arena, (size_t)(directions * 4 * hidden), sizeof *sum);
    const float *v = b ? b->data : NULL;
    for (int64_t d = 0; sum && b && d < directions; d++)
        for (int64_t i = 0; i < 4 * hidden; i++)
            sum[d * 4 * hidden + i] = v[d * 8 * hidden + i] + v[d * 8 * hidden + 4 * hidden + i];
    return sum ? gates(n, sum, directions, hidden) : NULL;
}

static sw_ov_ref turned(sw_ov_node *n, sw_ov_ref x, const int64_t *perm, int rank) {
    sw_tensor t = x.type;
    for (int k = 0; k < rank && x.type.rank == rank; k++) t.dims[k] = x.type.dims[perm[k]];
    return sw__ov_step(n, "Transpose", 1, "", 2, (sw_ov_ref[]){x, sw__ov_list(n, perm, rank)}, t);
}

/* An initial state, directions first; zeros when there is none. */
static sw_ov_ref lstm_state(sw_ov_node *n, int i, int64_t batch, int64_t directions, int64_t hidden) {
    static const int64_t perm[] = {1, 0, 2};
    if (sw__ov_has(n, i)) return turned(n, sw__ov_in(n, i), perm, 3);
    sw_tensor t = {.dtype = SW_F32, .rank = 3, .dims = {batch, directions, hidden}};
    t.data = sw_arena_alloc(n->ov->graph->arena, (size_t)sw_tensor_count(&t), sizeof(float));
    if (!t.data) n->ov->status = SW_E_NOMEM;
    const char *stem = n->node->out[0] ? n->node->out[0]->name : n->node->name;
    return t.data ? sw__ov_const(n->ov, sw__ov_text(n, "%.300s/state%d", stem, i), &t) : (sw_ov_ref){.type = t};
}

static sw_status check_lstm(const sw_ov_node *n) {
    const sw_node *node = n->node;
    const sw_tensor *x = &node->in[0]->type, *w = sw__ov_known(n, 1), *r = sw__ov_known(n, 2);
    bool usual = !sw_node_attr(node, "activations", SW_ATTR_STRING)->set && !sw_node_int(node, "layout") &&
                 !sw_node_int(node, "input_forget") && !sw_node_attr(node, "clip", SW_ATTR_FLOAT)->set &&
                 !sw__ov_has(n, 7);
    bool known = w && r && w->dtype == SW_F32 && r->dtype == SW_F32 && (!sw__ov_has(n, 3) || sw__ov_known(n, 3));
    if (!usual || !known || x->rank != 3 || x->dims[0] < 0 || x->dims[1] < 0)
        return sw__ov_refuse(
            n, "only the usual cell, with constant weights and a fixed size, is supported in OpenVINO files");
    return SW_OK;
}

sw_status sw__ov_lstm(sw_ov_node *n) {
    SW_TRY(check_lstm(n));
    const sw_node *node = n->node;
    sw_arena *arena = n->ov->graph->arena;
    sw_tensor w = *sw__ov_known(n, 1), r = *sw__ov_known(n, 2), x = node->in[0]->type;
    int64_t directions = w.dims[0], hidden = r.dims[2], lengths[1024], batch = x.dims[1];
    sw_tensor b = {.dtype = SW_F32, .rank = 2, .dims = {directions, 4 * hidden}};
    static const int64_t swap[] = {1, 0, 2}, back[] = {2, 1, 0, 3};
    w.data = (void *)(uintptr_t)gates(n, w.data, directions, hidden * w.dims[2]);
    r.data = (void *)(uintptr_t)gates(n, r.data, directions, hidden * hidden);
    b.data = (void *)(uintptr_t)lstm_bias(n, directions, hidden);
    const char *stem = node->out[0] ? node->out[0]->name : node->name;
    char *names[3] = {sw_arena_printf(arena, "%s/W", stem), sw_arena_printf(arena, "%s/R", stem),
                      sw_arena_printf(arena, "%s/B", stem)};
    if (!w.data || !r.data || !b.data || !names[0] || !names[1] || !names[2]) return SW_E_NOMEM;
    if (batch > 1024) return sw__ov_refuse(n, "batches above 1024 are not supported");
    for (int64_t i = 0; i < batch; i++) lengths[i] = x.dims[0];
    sw_ov_ref in[] = {turned(n, sw__ov_in(n, 0), swap, 3),
                      lstm_state(n, 5, batch, directions, hidden),
                      lstm_state(n, 6, batch, directions, hidden),
                      sw__ov_has(n, 4) ? sw__ov_in(n, 4) : sw__ov_list(n, lengths, (int)batch),
                      sw__ov_const(n->ov, names[0], &w),
                      sw__ov_const(n->ov, names[1], &r),
                      sw__ov_const(n->ov, names[2], &b)};
    const char *data = sw__ov_text(n,
                                   "direction=\"%s\" hidden_size=\"%lld\" activations=\"sigmoid, tanh, tanh\" "
                                   "activations_alpha=\"\" activations_beta=\"\" clip=\"0\"",
                                   sw_node_string(node, "direction"), (long long)hidden);
    sw_ov_ref out[3] = {{.type = {.dtype = SW_F32, .rank = 4, .dims = {batch, directions, x.dims[0], hidden}}},
                        {.type = {.dtype = SW_F32, .rank = 3, .dims = {batch, directions, hidden}}},
                        {.type = {.dtype = SW_F32, .rank = 3, .dims = {batch, directions, hidden}}}};
    sw__ov_layer(n->ov, sw__ov_text(n, "%.300s/cell", stem), "LSTMSequence", 5, data, 7, in, 3, out);
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i]) n->ov->of[node->out[i]->id] = turned(n, out[i], i ? swap : back, i ? 3 : 4);
    return SW_OK;
}

/* ---- Suppression --------------------------------------------------------------------------------------------------- */

sw_status sw__ov_nms(sw_ov_node *n) {
    sw_ov_ref in[5] = {sw__ov_in(n, 0), sw__ov_in(n, 1)};
    const int64_t none = 0;
    in[2] = sw__ov_has(n, 2) ? sw__ov_in(n, 2) : sw__ov_list(n, &none, -1);
    for (int i = 3; i < 5; i++) in[i] = sw__ov_has(n, i) ? sw__ov_in(n, i) : sw__ov_number(n, 0, SW_F32);
    for (int i = 2; i < 5; i++) { /* ONNX has lists of one number, OpenVINO scalars */
        if (in[i].type.rank == 0) continue;
        in[i] = sw__ov_step(n, "Squeeze", 1, "", 1, &in[i], (sw_tensor){.dtype = in[i].type.dtype});
    }
    const char *data = sw__ov_text(n, "box_encoding=\"%s\" sort_result_descending=\"false\" output_type=\"i64\"",
                                   sw_node_int(n->node, "center_point_box") ? "center" : "corner");
    sw_ov_ref out[3] = {{.type = n->node->out[0]->type}, {.type = sw__ov_any(SW_F32)}, {.type = sw__ov_any(SW_I64)}};
    sw__ov_layer(n->ov, sw__ov_text(n, "%.400s/nms", n->node->out[0]->name), "NonMaxSuppression", 9, data, 5, in, 3,
                 out);
    n->ov->of[n->node->out[0]->id] = out[0];
    return SW_OK;
}

/* ---- Quantised numbers --------------------------------------------------------------------------------------------- */

/* A scale or zero point as float, in a shape that broadcasts along `axis`; NULL data: no memory. */
static sw_tensor along_axis(sw_ov_node *n, const sw_tensor *t, float scale_by, const sw_tensor *factor, float plus) {
    int64_t axis = sw_node_int(n->node, "axis"), count = sw_tensor_count(t);
    int rank = n->node->in[0]->type.rank;
    sw_tensor out = {.dtype = SW_F32, .rank = count == 1 ? 0 : rank};
    for (int k = 0; k < out.rank; k++) out.dims[k] = k == (axis < 0 ? axis + rank : axis) ? count : 1;
    float *v = sw_arena_alloc(n->ov->graph->arena, (size_t)count, sizeof *v);
    bool whole = t->dtype != SW_F32 && t->dtype != SW_F16 && t->dtype != SW_F64 && t->dtype != SW_BF16;
    for (int64_t i = 0; v && i < count; i++) {
        double x = whole ? (double)sw_tensor_int_at(t, i) : sw_tensor_float_at(t, i);
        double f = factor ? sw_tensor_float_at(factor, sw_tensor_count(factor) == 1 ? 0 : i) : 1;
        v[i] = (float)((x * (double)scale_by + (double)plus) * f);
    }
    out.data = v;
    if (!v) n->ov->status = SW_E_NOMEM;
    return out;
}

static sw_ov_ref float_const(sw_ov_node *n, const char *suffix, sw_tensor t) {
    bool half = n->ov->half;
    n->ov->half = false; /* ranges are few and exact */
    sw_ov_ref ref = t.data ? sw__ov_const(n->ov, sw__ov_text(n, "%.300s/%s", n->node->out[0]->name, suffix), &t)
                           : (sw_ov_ref){.type = t};
    n->ov->half = half;
    return ref;
}

static sw_status check_quantised(const sw_ov_node *n) {
    const sw_tensor *scale = sw__ov_known(n, 1), *x = &n->node->in[0]->type;
    bool good = scale && scale->rank <= 1 && (!sw__ov_has(n, 2) || sw__ov_known(n, 2)) && x->rank != SW_RANK_UNKNOWN;
    if (good && !sw_node_int(n->node, "block_size")) return SW_OK;
    return sw__ov_refuse(n, "only constant scales, one or one along an axis, are supported in OpenVINO files");
}

/* x in steps of the scale: FakeQuantize between the ends of the type, then a conversion. */
sw_status sw__ov_quantize(sw_ov_node *n) {
    SW_TRY(check_quantised(n));
    sw_dtype to = n->node->out[0]->type.dtype;
    if (to != SW_U8 && to != SW_I8) return sw__ov_refuse(n, "only int8 and uint8 are supported in OpenVINO files");
    float least = to == SW_U8 ? 0 : -128, most = to == SW_U8 ? 255 : 127;
    const sw_tensor *scale = sw__ov_known(n, 1), *zero = sw__ov_known(n, 2);
    static const uint8_t none[1];
    sw_tensor no_zero = {.dtype = SW_U8, .data = (void *)(uintptr_t)none};
    if (!zero || (sw_tensor_count(zero) == 1 && sw_tensor_count(scale) > 1 && !sw_tensor_int_at(zero, 0)))
        zero = &no_zero;
    if (sw_tensor_count(zero) != sw_tensor_count(scale) && zero == &no_zero) {
        no_zero.rank = 1;
        no_zero.dims[0] = sw_tensor_count(scale);
        no_zero.data = sw_arena_alloc(n->ov->graph->arena, (size_t)no_zero.dims[0], 1);
        if (!no_zero.data) return SW_E_NOMEM;
    }
    sw_ov_ref in[] = {sw__ov_in(n, 0), float_const(n, "in_low", along_axis(n, zero, -1, scale, least)),
                      float_const(n, "in_high", along_axis(n, zero, -1, scale, most)), sw__ov_number(n, least, SW_F32),
                      sw__ov_number(n, most, SW_F32)};
    sw_ov_ref y = sw__ov_step(n, "FakeQuantize", 1, "levels=\"256\" " NUMPY, 5, in, in[0].type);
    return sw__ov_finish(n, "Convert", 1, to == SW_U8 ? "destination_type=\"u8\"" : "destination_type=\"i8\"", 1, &y);
}

/* (float(x) - zero point) * scale. */
sw_status sw__ov_dequantize(sw_ov_node *n) {
    SW_TRY(check_quantised(n));
    sw_tensor out = n->node->out[0]->type;
    if (out.dtype != SW_F32) return sw__ov_refuse(n, "only float32 results are supported in OpenVINO files");
    sw_ov_ref x = sw__ov_in(n, 0);
    sw_ov_ref y = sw__ov_step(n, "Convert", 1, "destination_type=\"f32\"", 1, &x, out);
    const sw_tensor *scale = sw__ov_known(n, 1), *zero = sw__ov_known(n, 2);
    bool shifted = false;
    for (int64_t i = 0; zero && i < sw_tensor_count(zero); i++) shifted |= sw_tensor_int_at(zero, i) != 0;
    if (shifted) y = sw__ov_binary(n, "Subtract", y, float_const(n, "zero", along_axis(n, zero, 1, NULL, 0)), out);
    sw_ov_ref factor = float_const(n, "scale", along_axis(n, scale, 1, NULL, 0));
    return sw__ov_finish(n, "Multiply", 1, NUMPY, 2, (sw_ov_ref[]){y, factor});
}
