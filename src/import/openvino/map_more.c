/* Layers with windows, quantised numbers, norms, recurrent cells. */
#include <math.h>
#include <string.h>

#include "import/openvino/model.h"

/* ---- Windows ------------------------------------------------------------------------------------------------------- */

static sw_status set_ints(sw_ovin_import *im, sw_node *node, const char *attr, const char *name, int missing) {
    int64_t v[SW_MAX_RANK];
    int n = SW_MAX_RANK;
    SW_TRY(sw__ovin_attr_ints(im, name, v, &n));
    if (!n && missing < 0) return SW_OK;
    return n ? sw_node_set_ints(im->graph, node, attr, v, n) : SW_OK;
}

/* Strides, dilations, pads, auto_pad. */
static sw_status set_window(sw_ovin_import *im, const sw_ovin_layer *l, sw_node *node, bool dilations) {
    int64_t pads[2 * SW_MAX_RANK];
    int n = SW_MAX_RANK, m = SW_MAX_RANK;
    const char *mode = sw__ovin_attr(l, "auto_pad", "explicit");
    SW_TRY(set_ints(im, node, "strides", "strides", 0));
    if (dilations) SW_TRY(set_ints(im, node, "dilations", "dilations", 0));
    if (strcmp(mode, "explicit") != 0 && strcmp(mode, "notset") != 0) {
        const char *onnx = !strcmp(mode, "same_upper")   ? "SAME_UPPER"
                           : !strcmp(mode, "same_lower") ? "SAME_LOWER"
                           : !strcmp(mode, "valid")      ? "VALID"
                                                         : NULL;
        if (!onnx) return sw__ovin_fail(im, SW_E_MODEL, "auto_pad=\"%.40s\" is not known", mode);
        return sw_node_set_string(im->graph, node, "auto_pad", onnx);
    }
    SW_TRY(sw__ovin_attr_ints(im, "pads_begin", pads, &n));
    SW_TRY(sw__ovin_attr_ints(im, "pads_end", pads + n, &m));
    if (n != m) return sw__ovin_fail(im, SW_E_MODEL, "pads_begin and pads_end are not of one length");
    return n ? sw_node_set_ints(im->graph, node, "pads", pads, n + m) : SW_OK;
}

/* Weights of groups have an axis for them in front, which ONNX joins with the next. */
static sw_status join_groups(sw_ovin_import *im, sw_value **weights, int64_t *group) {
    const sw_tensor *w = &(*weights)->type;
    int64_t dims[SW_MAX_RANK];
    if (w->rank < 4 || !sw_tensor_is_concrete(w))
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "the shape of its weights is not known");
    *group = w->dims[0];
    dims[0] = w->dims[0] * w->dims[1];
    for (int k = 2; k < w->rank; k++) dims[k - 1] = w->dims[k];
    if (sw_value_is_const(*weights)) {
        sw_tensor joined = *w;
        joined.rank = w->rank - 1;
        memcpy(joined.dims, dims, sizeof *dims * (size_t)joined.rank);
        *weights = sw_graph_add_const(im->graph, (*weights)->name, &joined);
        return *weights ? SW_OK : sw__ovin_nomem(im);
    }
    sw_value *in[2] = {*weights};
    SW_TRY(sw__ovin_ints(im, dims, w->rank - 1, &in[1]));
    return sw__ovin_apply(im, SW_OP_Reshape, false, 2, in, weights);
}

sw_status sw__ovin_read_conv(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    bool grouped = !strncmp(l->type, "Group", 5), backward = strstr(l->type, "Backprop") != NULL;
    int64_t group = 1;
    SW_TRY(sw__ovin_expect(im, 2, 3));
    if (l->n_in == 3) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "an output shape as input is not supported");
    if (grouped) SW_TRY(join_groups(im, &in[1], &group));
    sw_value *out = sw__ovin_output(im, 0);
    sw_op op = backward ? SW_OP_ConvTranspose : SW_OP_Conv;
    sw_node *node = out ? sw_graph_add_node(im->graph, NULL, op, l->name, 2, in, 1, &out) : NULL;
    if (!node) return sw__ovin_nomem(im);
    sw_node_set_int(node, "group", group);
    SW_TRY(set_window(im, l, node, true));
    if (backward) SW_TRY(set_ints(im, node, "output_padding", "output_padding", -1));
    return sw__ovin_settle(im, node);
}

sw_status sw__ovin_read_pool(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    bool max = !strcmp(l->type, "MaxPool");
    SW_TRY(sw__ovin_expect(im, 1, 1));
    sw_value *out = sw__ovin_output(im, 0);
    sw_node *node =
        out ? sw_graph_add_node(im->graph, NULL, max ? SW_OP_MaxPool : SW_OP_AveragePool, l->name, 1, in, 1, &out)
            : NULL;
    if (!node) return sw__ovin_nomem(im);
    sw_node_set_int(node, "ceil_mode", !strncmp(sw__ovin_attr(l, "rounding_type", "floor"), "ceil", 4));
    if (!max) sw_node_set_int(node, "count_include_pad", !sw__ovin_attr_true(l, "exclude-pad", true));
    SW_TRY(set_ints(im, node, "kernel_shape", "kernel", 0));
    SW_TRY(set_window(im, l, node, max));
    return sw__ovin_settle(im, node);
}

/* ---- Interpolate ---------------------------------------------------------------------------------------------------- */

static bool has_padding(sw_ovin_import *im, const char *name) {
    int64_t v[SW_MAX_RANK];
    int n = SW_MAX_RANK;
    if (sw__ovin_attr_ints(im, name, v, &n) != SW_OK) return true;
    for (int i = 0; i < n; i++)
        if (v[i]) return true;
    return false;
}

static sw_status set_resize_modes(sw_ovin_import *im, const sw_ovin_layer *l, sw_node *node) {
    const char *mode = sw__ovin_attr(l, "mode", "nearest");
    bool linear = !strcmp(mode, "linear") || !strcmp(mode, "linear_onnx");
    if (!linear && strcmp(mode, "nearest") != 0 && strcmp(mode, "cubic") != 0)
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "mode %.40s is not supported", mode);
    float a;
    SW_TRY(sw__ovin_attr_float(im, "cube_coeff", -0.75, &a));
    sw_node_set_float(node, "cubic_coeff_a", a);
    sw_node_set_int(node, "antialias", sw__ovin_attr_true(l, "antialias", false));
    SW_TRY(sw_node_set_string(im->graph, node, "mode", linear ? "linear" : mode));
    SW_TRY(sw_node_set_string(im->graph, node, "nearest_mode", sw__ovin_attr(l, "nearest_mode", "round_prefer_floor")));
    return sw_node_set_string(im->graph, node, "coordinate_transformation_mode",
                              sw__ovin_attr(l, "coordinate_transformation_mode", "half_pixel"));
}

/* Sizes or scales of all axes, where those of some are known: opsets below 18 have no attribute for the axes. */
static sw_status for_all_axes(sw_ovin_import *im, const sw_tensor *x, const int64_t *axes, int n_axes,
                              sw_value **factors, bool *done) {
    const sw_tensor *t = &(*factors)->type;
    bool scales = t->dtype == SW_F32;
    float all_scales[SW_MAX_RANK];
    int64_t all_sizes[SW_MAX_RANK];
    *done = sw_value_is_const(*factors) && x->rank > 0 && sw_tensor_count(t) == n_axes &&
            (scales || !sw__ovin_is_float(t->dtype));
    for (int k = 0; *done && k < x->rank; k++) {
        all_scales[k] = 1;
        all_sizes[k] = x->dims[k];
    }
    for (int i = 0; *done && i < n_axes; i++) {
        int64_t k = axes[i] + (axes[i] < 0 ? x->rank : 0);
        if (k < 0 || k >= x->rank) return sw__ovin_fail(im, SW_E_MODEL, "it has no axis %lld", (long long)axes[i]);
        if (scales)
            all_scales[k] = (float)sw_tensor_float_at(t, i);
        else
            all_sizes[k] = sw_tensor_int_at(t, i);
    }
    for (int k = 0; *done && !scales && k < x->rank; k++) *done = all_sizes[k] >= 0;
    if (!*done) return SW_OK;
    return scales ? sw__ovin_floats(im, all_scales, x->rank, factors) : sw__ovin_ints(im, all_sizes, x->rank, factors);
}

/* Opset 4: sizes, scales, axes; opset 11: one of them, axes. */
sw_status sw__ovin_read_interpolate(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    bool old = !strcmp(l->version, "opset4"),
         scales = !strcmp(sw__ovin_attr(l, "shape_calculation_mode", ""), "scales");
    int64_t axes[SW_MAX_RANK];
    int n_axes = 0, most = old ? 4 : 3;
    SW_TRY(sw__ovin_expect(im, old ? 3 : 2, most));
    if (!strcmp(l->version, "opset1") || has_padding(im, "pads_begin") || has_padding(im, "pads_end"))
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "opsets 4 and 11 of it are supported, without padding");
    if (l->n_in == most) SW_TRY(sw__ovin_known(im, in[most - 1], "axes", axes, SW_MAX_RANK, &n_axes));
    sw_value *factors = in[old && scales ? 2 : 1];
    bool whole = false;
    if (n_axes) SW_TRY(for_all_axes(im, &in[0]->type, axes, n_axes, &factors, &whole));
    sw_value *all[4] = {in[0], NULL, scales ? factors : NULL, scales ? NULL : factors};
    sw_value *out = sw__ovin_output(im, 0);
    sw_node *node =
        out ? sw_graph_add_node(im->graph, NULL, SW_OP_Resize, l->name, scales ? 3 : 4, all, 1, &out) : NULL;
    if (!node) return sw__ovin_nomem(im);
    if (n_axes && !whole) SW_TRY(sw_node_set_ints(im->graph, node, "axes", axes, n_axes));
    SW_TRY(set_resize_modes(im, l, node));
    return sw__ovin_settle(im, node);
}

/* ---- Quantised numbers --------------------------------------------------------------------------------------------- */

/* Numbers that differ along one axis at most: that axis (0 for one number), or -1. */
static int one_axis(const sw_tensor *t, int rank) {
    int axis = 0, found = 0;
    for (int k = 0; k < t->rank; k++) {
        if (t->dims[k] == 1) continue;
        axis = k + rank - t->rank;
        found++;
    }
    return found > 1 ? -1 : axis;
}

typedef struct range {
    const float *low, *high;
    int64_t n; /* numbers */
    int axis;
    float *scale;  /* of neighbouring steps */
    int64_t *zero; /* the step that stands for 0, from 0 on */
} range;

/* Scales and zero points of `levels` steps between the ends; false when 0 lies between two steps, or levels are not 256. */
static bool find_steps(sw_ovin_import *im, const sw_value *low, const sw_value *high, int rank, range *r) {
    if (!sw_value_is_const(low) || !sw_value_is_const(high) || low->type.dtype != SW_F32 || high->type.dtype != SW_F32)
        return false;
    r->n = sw_tensor_count(&low->type);
    r->axis = one_axis(&low->type, rank);
    if (r->n < 1 || sw_tensor_count(&high->type) != r->n || r->axis < 0 || low->type.rank > rank) return false;
    r->low = low->type.data;
    r->high = high->type.data;
    r->scale = SW_ARENA_ARRAY(im->arena, float, r->n);
    r->zero = SW_ARENA_ARRAY(im->arena, int64_t, r->n);
    if (!r->scale || !r->zero) return false;
    for (int64_t i = 0; i < r->n; i++) {
        double step = ((double)r->high[i] - (double)r->low[i]) / 255, zero = -(double)r->low[i] / step;
        r->scale[i] = (float)step;
        if (!(step > 0) || !(fabs(zero - round(zero)) < 0.01) || zero < -0.5 || zero > 255.5) return false;
        r->zero[i] = (int64_t)round(zero);
    }
    return true;
}

static sw_status add_steps(sw_ovin_import *im, const range *r, sw_value **scale, sw_value **zero) {
    const int64_t dim = r->n;
    SW_TRY(sw__ovin_floats(im, r->scale, r->n == 1 ? -1 : (int)r->n, scale));
    *zero = sw_graph_new_const(im->graph, NULL, SW_U8, r->n > 1, &dim);
    if (!*zero) return sw__ovin_nomem(im);
    for (int64_t i = 0; i < r->n; i++) ((uint8_t *)(*zero)->type.data)[i] = (uint8_t)r->zero[i];
    return SW_OK;
}

static sw_status apply_axis(sw_ovin_import *im, sw_op op, bool last, int64_t axis, sw_value *const *in,
                            sw_value **out) {
    sw_value *value =
        last ? sw__ovin_output(im, 0) : sw_graph_add_value(im->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
    sw_node *node = value ? sw_graph_add_node(im->graph, NULL, op, im->layer->name, 3, in, 1, &value) : NULL;
    if (!node) return sw__ovin_nomem(im);
    sw_node_set_int(node, "axis", axis);
    if (out) *out = value;
    return sw__ovin_settle(im, node);
}

/* In float: round((clip(x, low, high) - low) / (high - low) * (levels - 1)) / (levels - 1) * (high' - low') + low'. */
static sw_status fake_quantize_plain(sw_ovin_import *im, sw_value **in, float steps) {
    sw_value *x, *width, *y, *count, *out_width;
    SW_TRY(sw__ovin_floats(im, &steps, -1, &count));
    SW_TRY(sw__ovin_apply(im, SW_OP_Max, false, 2, (sw_value *[]){in[0], in[1]}, &x));
    SW_TRY(sw__ovin_apply(im, SW_OP_Min, false, 2, (sw_value *[]){x, in[2]}, &x));
    SW_TRY(sw__ovin_apply(im, SW_OP_Sub, false, 2, (sw_value *[]){x, in[1]}, &x));
    SW_TRY(sw__ovin_apply(im, SW_OP_Sub, false, 2, (sw_value *[]){in[2], in[1]}, &width));
    SW_TRY(sw__ovin_apply(im, SW_OP_Div, false, 2, (sw_value *[]){x, width}, &x));
    SW_TRY(sw__ovin_apply(im, SW_OP_Mul, false, 2, (sw_value *[]){x, count}, &x));
    SW_TRY(sw__ovin_apply(im, SW_OP_Round, false, 1, &x, &y));
    SW_TRY(sw__ovin_apply(im, SW_OP_Sub, false, 2, (sw_value *[]){in[4], in[3]}, &out_width));
    SW_TRY(sw__ovin_apply(im, SW_OP_Div, false, 2, (sw_value *[]){y, count}, &y));
    SW_TRY(sw__ovin_apply(im, SW_OP_Mul, false, 2, (sw_value *[]){y, out_width}, &y));
    return sw__ovin_apply(im, SW_OP_Add, true, 2, (sw_value *[]){y, in[3]}, NULL);
}

sw_status sw__ovin_read_fake_quantize(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    int64_t levels;
    range from = {0}, to = {0};
    sw_value *scale, *zero, *q;
    SW_TRY(sw__ovin_expect(im, 5, 5));
    SW_TRY(sw__ovin_attr_int(im, "levels", 256, &levels));
    if (levels < 2 || levels > 65536) return sw__ovin_fail(im, SW_E_MODEL, "levels=\"%lld\"", (long long)levels);
    int rank = in[0]->type.rank;
    bool steps = levels == 256 && rank >= 0 && find_steps(im, in[1], in[2], rank, &from) &&
                 find_steps(im, in[3], in[4], rank, &to);
    if (!steps) return fake_quantize_plain(im, in, (float)(levels - 1));
    SW_TRY(add_steps(im, &from, &scale, &zero));
    SW_TRY(apply_axis(im, SW_OP_QuantizeLinear, false, from.axis, (sw_value *[]){in[0], scale, zero}, &q));
    SW_TRY(add_steps(im, &to, &scale, &zero));
    return apply_axis(im, SW_OP_DequantizeLinear, true, to.axis, (sw_value *[]){q, scale, zero}, NULL);
}

/* The integers that a value is the conversion of; NULL: of none. */
static sw_value *integers_of(const sw_value *value) {
    const sw_node *cast = value->producer;
    if (!cast || cast->op != SW_OP_Cast || value->type.dtype != SW_F32 || !sw_value_is_const(cast->in[0])) return NULL;
    sw_dtype t = cast->in[0]->type.dtype;
    return t == SW_I8 || t == SW_U8 ? cast->in[0] : NULL;
}

/* Zero points as integers of the type of the weights: a conversion of such, or whole floats. NULL: they are not. */
static sw_value *zero_points(sw_ovin_import *im, sw_value *value, sw_dtype dtype, int64_t count) {
    sw_value *whole = integers_of(value);
    const sw_value *from = whole ? whole : value;
    if (!sw_value_is_const(from) || sw_tensor_count(&from->type) != count) return NULL;
    sw_value *made = sw_graph_new_const(im->graph, NULL, dtype, count > 1, &count);
    for (int64_t i = 0; made && i < count; i++) {
        double v = whole                        ? (double)sw_tensor_int_at(&from->type, i)
                   : from->type.dtype == SW_F32 ? sw_tensor_float_at(&from->type, i)
                                                : 0.5;
        if (v != floor(v) || v < (dtype == SW_I8 ? -128 : 0) || v > (dtype == SW_I8 ? 127 : 255)) return NULL;
        if (dtype == SW_I8)
            ((int8_t *)made->type.data)[i] = (int8_t)v;
        else
            ((uint8_t *)made->type.data)[i] = (uint8_t)v;
    }
    return made;
}

/* Integer weights, converted, less zero points, times scales: DequantizeLinear. False: the product is something else. */
static bool find_dequantize(sw_ovin_import *im, sw_value *x, const sw_value *scale, sw_value *in[3], int64_t *axis) {
    const sw_node *sub = x->producer && x->producer->op == SW_OP_Sub ? x->producer : NULL;
    sw_value *whole = integers_of(sub ? sub->in[0] : x);
    if (!whole || !sw_value_is_const(scale) || scale->type.dtype != SW_F32) return false;
    int64_t count = sw_tensor_count(&scale->type);
    int at = one_axis(&scale->type, whole->type.rank);
    if (at < 0 || count < 1 || scale->type.rank > whole->type.rank || (count > 1 && whole->type.dims[at] != count))
        return false;
    *axis = at;
    in[0] = whole;
    in[1] = sw_graph_new_const(im->graph, NULL, SW_F32, count > 1, &count);
    if (!in[1]) return false;
    memcpy(in[1]->type.data, scale->type.data, (size_t)count * sizeof(float));
    in[2] = sub ? zero_points(im, sub->in[1], whole->type.dtype, count) : NULL;
    return !sub || in[2];
}

sw_status sw__ovin_read_multiply(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_value *all[3];
    int64_t axis;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    for (int i = 0; i < 2; i++)
        if (find_dequantize(im, in[i], in[1 - i], all, &axis))
            return apply_axis(im, SW_OP_DequantizeLinear, true, axis, all, NULL);
    return sw__ovin_apply(im, SW_OP_Mul, true, 2, in, NULL);
}

/* ---- Norms --------------------------------------------------------------------------------------------------------- */

sw_status sw__ovin_read_mvn(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    int64_t axes[SW_MAX_RANK];
    int n;
    float epsilon;
    bool variance = sw__ovin_attr_true(l, "normalize_variance", true);
    sw_value *over, *mean, *x, *squares, *tiny, *y;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    SW_TRY(sw__ovin_known(im, in[1], "axes", axes, SW_MAX_RANK, &n));
    SW_TRY(sw__ovin_attr_float(im, "eps", 0, &epsilon));
    if (variance && strcmp(sw__ovin_attr(l, "eps_mode", "INSIDE_SQRT"), "INSIDE_SQRT") && epsilon != 0)
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "eps outside of the root is not supported");
    SW_TRY(sw__ovin_ints(im, axes, n, &over));
    SW_TRY(sw__ovin_apply(im, SW_OP_ReduceMean, false, 2, (sw_value *[]){in[0], over}, &mean));
    SW_TRY(sw__ovin_apply(im, SW_OP_Sub, !variance, 2, (sw_value *[]){in[0], mean}, &x));
    if (!variance) return SW_OK;
    SW_TRY(sw__ovin_apply(im, SW_OP_Mul, false, 2, (sw_value *[]){x, x}, &squares));
    SW_TRY(sw__ovin_apply(im, SW_OP_ReduceMean, false, 2, (sw_value *[]){squares, over}, &y));
    SW_TRY(sw__ovin_floats(im, &epsilon, -1, &tiny));
    SW_TRY(sw__ovin_apply(im, SW_OP_Add, false, 2, (sw_value *[]){y, tiny}, &y));
    SW_TRY(sw__ovin_apply(im, SW_OP_Sqrt, false, 1, &y, &y));
    return sw__ovin_apply(im, SW_OP_Div, true, 2, (sw_value *[]){x, y}, NULL);
}

/* ---- LSTM ---------------------------------------------------------------------------------------------------------- */

/* OpenVINO has gates f i c o, ONNX i o f c. */
static sw_value *gates(sw_ovin_import *im, const sw_value *from, int64_t block, bool and_zeros) {
    static const int order[] = {1, 3, 0, 2};
    int64_t dims[SW_MAX_RANK];
    memcpy(dims, from->type.dims, sizeof dims);
    if (and_zeros) dims[1] *= 2; /* biases of the state */
    sw_value *to = sw_graph_new_const(im->graph, NULL, SW_F32, from->type.rank, dims);
    for (int64_t d = 0; to && d < dims[0]; d++)
        for (int g = 0; g < 4; g++)
            memcpy((float *)to->type.data + (d * (and_zeros ? 8 : 4) + g) * block,
                   (const float *)from->type.data + (d * 4 + order[g]) * block, (size_t)block * sizeof(float));
    return to;
}

static sw_status turn(sw_ovin_import *im, sw_value *x, const int64_t *perm, int rank, sw_value *out) {
    sw_node *node = out ? sw_graph_add_node(im->graph, NULL, SW_OP_Transpose, im->layer->name, 1, &x, 1, &out) : NULL;
    if (!node || sw_node_set_ints(im->graph, node, "perm", perm, rank) != SW_OK) return sw__ovin_nomem(im);
    return sw__ovin_settle(im, node);
}

static sw_status check_lstm(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in, int64_t *hidden) {
    float clip;
    SW_TRY(sw__ovin_expect(im, 7, 7));
    SW_TRY(sw__ovin_attr_int(im, "hidden_size", 0, hidden));
    SW_TRY(sw__ovin_attr_float(im, "clip", 0, &clip));
    const char *activations = sw__ovin_attr(l, "activations", "sigmoid, tanh, tanh");
    bool usual =
        clip == 0 && (!strcmp(activations, "sigmoid, tanh, tanh") || !strcmp(activations, "sigmoid,tanh,tanh"));
    for (int i = 4; i < 7; i++) usual &= sw_value_is_const(in[i]) && in[i]->type.dtype == SW_F32;
    if (!usual) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "only the usual cell with constant weights is supported");
    const sw_tensor *w = &in[4]->type, *r = &in[5]->type, *b = &in[6]->type;
    int64_t h = *hidden, d = w->dims[0];
    bool good = h > 0 && h < 1 << 20 && w->rank == 3 && r->rank == 3 && b->rank == 2 && d >= 1 && d <= 2 &&
                r->dims[0] == d && b->dims[0] == d && w->dims[1] == 4 * h && r->dims[1] == 4 * h && r->dims[2] == h &&
                b->dims[1] == 4 * h;
    return good ? SW_OK : sw__ovin_fail(im, SW_E_MODEL, "its weights do not fit hidden_size %lld", (long long)h);
}

sw_status sw__ovin_read_lstm(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    static const int64_t swap[] = {1, 0, 2}, back[] = {2, 1, 0, 3};
    int64_t hidden;
    SW_TRY(check_lstm(im, l, in, &hidden));
    sw_value *mine[3];
    sw_value *all[7] = {NULL,
                        gates(im, in[4], hidden * in[4]->type.dims[2], false),
                        gates(im, in[5], hidden * hidden, false),
                        gates(im, in[6], hidden, true),
                        NULL,
                        NULL,
                        NULL};
    const int from[] = {0, 1, 2}, to[] = {0, 5, 6};
    for (int i = 0; i < 3; i++) {
        all[to[i]] = sw_graph_add_value(im->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
        mine[i] = sw_graph_add_value(im->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
        if (!mine[i]) return sw__ovin_nomem(im);
        SW_TRY(turn(im, in[from[i]], swap, 3, all[to[i]]));
    }
    if (!all[1] || !all[2] || !all[3]) return sw__ovin_nomem(im);
    /* Lengths that are all the whole sequence are none. */
    const sw_tensor *lengths = &in[3]->type;
    bool whole = sw_value_is_const(in[3]) && !sw__ovin_is_float(lengths->dtype) && in[0]->type.rank == 3;
    for (int64_t i = 0; whole && i < sw_tensor_count(lengths); i++)
        whole = sw_tensor_int_at(lengths, i) == in[0]->type.dims[1];
    if (!whole) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "sequences of different lengths are not supported");
    sw_node *node = sw_graph_add_node(im->graph, NULL, SW_OP_LSTM, l->name, 7, all, 3, mine);
    if (!node) return sw__ovin_nomem(im);
    sw_node_set_int(node, "hidden_size", hidden);
    SW_TRY(sw_node_set_string(im->graph, node, "direction", sw__ovin_attr(l, "direction", "forward")));
    SW_TRY(sw__ovin_settle(im, node));
    for (int i = 0; i < 3 && i < l->n_out; i++)
        SW_TRY(turn(im, mine[i], i ? swap : back, i ? 3 : 4, sw__ovin_output(im, i)));
    return SW_OK;
}

/* ---- StridedSlice -------------------------------------------------------------------------------------------------- */

static bool masked(const int64_t *mask, int n, int i) {
    return i < n && mask[i];
}

/* Masks: 1 in begin_mask: from the start; in end_mask: to the end; shrink_axis_mask: the axis goes; new_axis_mask: an axis
 * of 1 comes. */
sw_status sw__ovin_read_strided_slice(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    int64_t v[3][SW_MAX_RANK], masks[5][SW_MAX_RANK], axes[SW_MAX_RANK], fresh[SW_MAX_RANK], gone[SW_MAX_RANK];
    static const char *const names[] = {"begin_mask", "end_mask", "new_axis_mask", "shrink_axis_mask", "ellipsis_mask"};
    int n[3] = {0}, m[5], n_axes = 0, n_fresh = 0, n_gone = 0;
    SW_TRY(sw__ovin_expect(im, 3, 4));
    for (int i = 0; i < l->n_in - 1; i++) SW_TRY(sw__ovin_known(im, in[i + 1], "bounds", v[i], SW_MAX_RANK, &n[i]));
    for (int i = 0; i < 5; i++) {
        m[i] = SW_MAX_RANK;
        SW_TRY(sw__ovin_attr_ints(im, names[i], masks[i], &m[i]));
    }
    for (int i = 0; i < n[0]; i++) {
        if (masked(masks[4], m[4], i) || n[1] != n[0] || (l->n_in == 4 && n[2] != n[0]))
            return sw__ovin_fail(im, SW_E_UNSUPPORTED, "ellipses, or bounds of different length, are not supported");
        if (masked(masks[2], m[2], i)) {
            fresh[n_fresh++] = i - n_gone;
            continue;
        }
        int64_t step = l->n_in == 4 ? v[2][i] : 1, begin = v[0][i];
        bool shrink = masked(masks[3], m[3], i);
        v[0][n_axes] = masked(masks[0], m[0], i) && !shrink ? (step < 0 ? INT64_MAX : 0) : begin;
        v[1][n_axes] = shrink                      ? (begin == -1 ? INT64_MAX : begin + 1)
                       : masked(masks[1], m[1], i) ? (step < 0 ? INT64_MIN : INT64_MAX)
                                                   : v[1][i];
        v[2][n_axes] = shrink ? 1 : step;
        axes[n_axes] = i - n_fresh;
        if (shrink) gone[n_gone++] = axes[n_axes];
        n_axes++;
    }
    sw_value *all[5] = {in[0]}, *y;
    SW_TRY(sw__ovin_ints(im, v[0], n_axes, &all[1]));
    SW_TRY(sw__ovin_ints(im, v[1], n_axes, &all[2]));
    SW_TRY(sw__ovin_ints(im, axes, n_axes, &all[3]));
    SW_TRY(sw__ovin_ints(im, v[2], n_axes, &all[4]));
    SW_TRY(sw__ovin_apply(im, SW_OP_Slice, !n_fresh && !n_gone, 5, all, &y));
    sw_value *more[2] = {y};
    if (n_gone) {
        SW_TRY(sw__ovin_ints(im, gone, n_gone, &more[1]));
        SW_TRY(sw__ovin_apply(im, SW_OP_Squeeze, !n_fresh, 2, more, &more[0]));
    }
    if (!n_fresh) return SW_OK;
    SW_TRY(sw__ovin_ints(im, fresh, n_fresh, &more[1]));
    return sw__ovin_apply(im, SW_OP_Unsqueeze, true, 2, more, NULL);
}
