/* Older opsets in newest semantics: one row an operator, one small function a case.
 *
 * A row holds for opsets below `below`. Rows of one operator stand from old to new; the first that holds is taken.
 * Operators without a row mean today what they always meant (as far as opset 7), or differ in what they allow only. */
#include <float.h>
#include <string.h>

#include "import/onnx/model.h"

enum { EVER = 1 << 30 };

/* ---- Helpers --------------------------------------------------------------------------------------------- */

static sw_status take_int(sw__draft *d, const char *name, int64_t missing, int64_t *value) {
    const sw__onnx_attr *attr;
    SW_TRY(sw__onnx_take(d, name, SW__ATTR_INT, &attr));
    *value = attr ? attr->i : missing;
    return SW_OK;
}

static sw_status take_string(sw__draft *d, const char *name, const char *missing, const char **value) {
    const sw__onnx_attr *attr;
    SW_TRY(sw__onnx_take(d, name, SW__ATTR_STRING, &attr));
    *value = missing;
    return attr ? sw__onnx_string(d->im, attr, d->proto->op, value) : SW_OK;
}

static void set_int(sw__draft *d, const char *name, int64_t value) {
    d->set[d->n_set].name = name;
    d->set[d->n_set++].i = value;
}

static void set_string(sw__draft *d, const char *name, const char *value) {
    d->set[d->n_set].name = name;
    d->set[d->n_set++].s = value;
}

/* Puts a value at input `at` (at most SW__DRAFT_EXTRA behind those of the model); those between become absent. */
static void put_input(sw__draft *d, int at, sw_value *value) {
    while (d->n_in <= at) d->in[d->n_in++] = NULL;
    d->in[at] = value;
}

/* Inputs that an older opset did not have, where a translation wants to put attributes. */
static sw_status expect_inputs(sw__draft *d, int n) {
    if (d->n_in <= n) return SW_OK;
    return sw__draft_fail(d, SW_E_MODEL, "it has %d inputs; in opset %lld it takes %d", d->n_in, (long long)d->opset,
                          n);
}

/* An attribute with integers becomes constant input `at`. */
static sw_status ints_to_input(sw__draft *d, const char *name, int at) {
    const sw__onnx_attr *attr;
    SW_TRY(sw__onnx_take(d, name, SW__ATTR_INTS, &attr));
    if (!attr) return SW_OK;
    const int64_t *v;
    int n;
    sw_value *value;
    SW_TRY(expect_inputs(d, at));
    SW_TRY(sw__onnx_ints(d->im, attr, &v, &n));
    SW_TRY(sw__onnx_new_ints(d, name, v, n, &value));
    put_input(d, at, value);
    return SW_OK;
}

/* An attribute with a number becomes constant input `at`, in the type of the first input. */
static sw_status float_to_input(sw__draft *d, const char *name, int at) {
    const sw__onnx_attr *attr;
    SW_TRY(sw__onnx_take(d, name, SW__ATTR_FLOAT, &attr));
    if (!attr || !d->n_in || !d->in[0]) return SW_OK;
    sw_value *value;
    SW_TRY(expect_inputs(d, at));
    SW_TRY(sw__onnx_new_float(d, name, attr->f, d->in[0], &value));
    put_input(d, at, value);
    return SW_OK;
}

/* ---- Cases ----------------------------------------------------------------------------------------------- */

/* Squeeze, Unsqueeze, ReduceSum until 12, other reductions until 17: attribute axes. */
static sw_status axes_attr(sw__draft *d) {
    return ints_to_input(d, "axes", 1);
}

/* Softmax, LogSoftmax, Hardmax until 12: over all axes from `axis` (default 1) on. */
static sw_status softmax_12(sw__draft *d) {
    int64_t axis;
    SW_TRY(take_int(d, "axis", 1, &axis));
    int rank = d->n_in && d->in[0] ? d->in[0]->type.rank : SW_RANK_UNKNOWN;
    bool last = axis == -1 || (rank > 0 && axis == rank - 1);
    set_int(d, "axis", last ? -1 : axis);
    set_int(d, "to_end", !last);
    return SW_OK;
}

/* Clip until 10: attributes min and max. */
static sw_status clip_10(sw__draft *d) {
    SW_TRY(float_to_input(d, "min", 1));
    const sw__onnx_attr *max;
    SW_TRY(sw__onnx_take(d, "max", SW__ATTR_FLOAT, &max));
    if (!max || !d->n_in || !d->in[0]) return SW_OK;
    sw_value *value;
    SW_TRY(sw__onnx_new_float(d, "max", max->f, d->in[0], &value));
    put_input(d, 2, value);
    return SW_OK;
}

/* Slice until 9: attributes starts, ends, axes. */
static sw_status slice_9(sw__draft *d) {
    SW_TRY(ints_to_input(d, "starts", 1));
    SW_TRY(ints_to_input(d, "ends", 2));
    return ints_to_input(d, "axes", 3);
}

/* Pad until 10: attributes pads and value. */
static sw_status pad_10(sw__draft *d) {
    SW_TRY(ints_to_input(d, "pads", 1));
    return float_to_input(d, "value", 2);
}

/* Split until 12: attribute split. Until 17: without lengths, one even part for each output. */
static sw_status split_17(sw__draft *d) {
    if (d->opset < 13) SW_TRY(ints_to_input(d, "split", 1));
    if (d->n_in == 1) set_int(d, "num_outputs", d->proto->n_out);
    return SW_OK;
}

/* TopK until 9: attribute k. */
static sw_status topk_9(sw__draft *d) {
    const sw__onnx_attr *k;
    SW_TRY(sw__onnx_take(d, "k", SW__ATTR_INT, &k));
    if (!k) return SW_OK;
    sw_value *value;
    SW_TRY(expect_inputs(d, 1));
    SW_TRY(sw__onnx_new_ints(d, "k", &k->i, 1, &value));
    put_input(d, 1, value);
    return SW_OK;
}

/* BatchNormalization until 13 may name outputs that only training makes; until 8 it has `spatial`. From 14 on the
 * attribute training_mode says which it is. */
static sw_status batch_norm(sw__draft *d) {
    int64_t spatial = 1, training;
    if (d->opset < 9) SW_TRY(take_int(d, "spatial", 1, &spatial));
    if (!spatial) return sw__draft_fail(d, SW_E_UNSUPPORTED, "spatial=0 is not supported");
    SW_TRY(take_int(d, "training_mode", 0, &training));
    if (training) return sw__onnx_batch_norm_training(d);
    if (d->n_out > 1) d->n_out = 1;
    return SW_OK;
}

/* RNN, GRU, LSTM: the table has the list of activations as one text. */
static sw_status recurrent(sw__draft *d) {
    const sw__onnx_attr *names;
    const char *text;
    SW_TRY(sw__onnx_take(d, "activations", SW__ATTR_STRINGS, &names));
    if (!names) return SW_OK;
    SW_TRY(sw__onnx_joined(d->im, names, &text));
    set_string(d, "activations", text);
    return SW_OK;
}

/* DFT until 19: attribute axis. */
static sw_status dft_19(sw__draft *d) {
    int64_t axis;
    sw_value *value;
    SW_TRY(expect_inputs(d, 2));
    SW_TRY(take_int(d, "axis", 1, &axis));
    SW_TRY(sw__onnx_new_ints(d, "axis", &axis, 1, &value));
    put_input(d, 2, value);
    return SW_OK;
}

/* RoiAlign until 15: pixels begin at whole numbers. */
static sw_status roi_align_15(sw__draft *d) {
    const char *mode;
    SW_TRY(take_string(d, "coordinate_transformation_mode", "output_half_pixel", &mode));
    set_string(d, "coordinate_transformation_mode", mode);
    return SW_OK;
}

/* Scatter was renamed in 11. */
static sw_status scatter(sw__draft *d) {
    d->op = SW_OP_ScatterElements;
    return SW_OK;
}

/* What ONNX Runtime's optimiser calls it, in ONNX's own domain. */
static sw_status rms_norm(sw__draft *d) {
    d->op = SW_OP_RMSNormalization;
    return SW_OK;
}

/* Types are numbers of TensorProto.DataType, of which Slipway has some. */
static sw_status check_type(sw__draft *d, const char *name) {
    for (int i = 0; i < d->n_attrs; i++) {
        sw_dtype dtype;
        if (strcmp(d->attrs[i].name, name) != 0 || d->attrs[i].kind != SW__ATTR_INT) continue;
        char what[200];
        snprintf(what, sizeof what, "the output of node '%.100s' (%.40s)", d->proto->name, d->proto->op);
        SW_TRY(sw__onnx_dtype(d->im, d->attrs[i].i, what, &dtype));
    }
    return SW_OK;
}

static sw_status cast(sw__draft *d) {
    return check_type(d, "to");
}
static sw_status eye_like(sw__draft *d) {
    return check_type(d, "dtype");
}

/* ---- Resize ---------------------------------------------------------------------------------------------- */

typedef enum direction { UNKNOWN, ENLARGE, SHRINK, BOTH } direction;

static direction direction_of(const sw_value *scales) {
    if (!sw_value_is_const(scales) || scales->type.dtype != SW_F32) return UNKNOWN;
    bool up = false, down = false;
    for (int64_t i = 0, n = sw_tensor_count(&scales->type); i < n; i++) {
        double scale = sw_tensor_float_at(&scales->type, i);
        up = up || scale > 1;
        down = down || scale < 1;
    }
    return up && down ? BOTH : down ? SHRINK : ENLARGE;
}

/* The axes that shrink, by a Resize of their own before the node; the node keeps the others. */
static sw_status split_scales(sw__draft *d) {
    const sw_value *scales = d->in[2];
    sw_value *down = sw_graph_new_const(d->im->graph, sw__onnx_free_name(d->im, scales->name, "down"), SW_F32,
                                        scales->type.rank, scales->type.dims);
    sw_value *up = sw_graph_new_const(d->im->graph, sw__onnx_free_name(d->im, scales->name, "up"), SW_F32,
                                      scales->type.rank, scales->type.dims);
    if (!down || !up) return sw__onnx_nomem(d->im);
    const float *all = scales->type.data;
    for (int64_t i = 0, n = sw_tensor_count(&scales->type); i < n; i++) {
        ((float *)down->type.data)[i] = all[i] < 1 ? all[i] : 1;
        ((float *)up->type.data)[i] = all[i] < 1 ? 1 : all[i];
    }
    sw_value *small;
    SW_TRY(sw__onnx_step(d, SW_OP_Resize, "down", 3, (sw_value *[]){d->in[0], NULL, down}, &small));
    SW_TRY(sw_node_set_string(d->im->graph, small->producer, "coordinate_transformation_mode", "asymmetric"));
    SW_TRY(sw_node_set_string(d->im->graph, small->producer, "nearest_mode", "ceil"));
    d->in[0] = small;
    d->in[2] = up;
    return SW_OK;
}

/* Resize 10 and Upsample: output x comes from x / scale. The nearest pixel is the one below when an axis grows and the
 * one above when it shrinks (as ONNX Runtime does it, and as the tests of opset 10 want). */
static sw_status resize_10(sw__draft *d) {
    d->op = SW_OP_Resize;
    SW_TRY(expect_inputs(d, 2));
    if (d->n_in < 2 || !d->in[0]) return SW_OK; /* reported when it is emitted */
    put_input(d, 2, d->in[1]);
    d->in[1] = NULL;
    const char *mode;
    SW_TRY(take_string(d, "mode", "nearest", &mode));
    direction way = direction_of(d->in[2]);
    bool nearest = strcmp(mode, "nearest") == 0;
    if (nearest && way == UNKNOWN)
        sw__draft_warn(d, "the scales are computed: nearest pixels are chosen as for enlarging");
    if (nearest && way == BOTH) SW_TRY(split_scales(d));
    set_string(d, "mode", mode);
    set_string(d, "coordinate_transformation_mode", "asymmetric");
    set_string(d, "nearest_mode", way == SHRINK ? "ceil" : "floor");
    return SW_OK;
}

/* Upsample until 8: attribute scales. */
static sw_status upsample_8(sw__draft *d) {
    const sw__onnx_attr *attr;
    const float *v;
    int n;
    SW_TRY(expect_inputs(d, 1));
    SW_TRY(sw__onnx_take(d, "scales", SW__ATTR_FLOATS, &attr));
    if (!attr) return sw__draft_fail(d, SW_E_MODEL, "the attribute 'scales' is missing");
    SW_TRY(sw__onnx_floats(d->im, attr, &v, &n));
    const char *name = sw__onnx_free_name(d->im, d->proto->n_out ? d->proto->out[0] : "", "scales");
    if (!name) return sw__onnx_nomem(d->im);
    sw_tensor scales = {.dtype = SW_F32, .rank = 1, .dims = {n}, .data = (void *)(uintptr_t)v};
    sw_value *value = sw_graph_add_const(d->im->graph, name, &scales);
    if (!value) return sw__onnx_nomem(d->im);
    put_input(d, 1, value);
    return resize_10(d);
}

/* An empty tensor for roi, scales or sizes means that it is absent (opset 11 had no other way to say so). */
static sw_status resize(sw__draft *d) {
    for (int i = 1; i < d->n_in; i++)
        if (sw_value_is_const(d->in[i]) && sw_tensor_count(&d->in[i]->type) == 0) d->in[i] = NULL;
    const char *mode;
    SW_TRY(take_string(d, "coordinate_transformation_mode", "half_pixel", &mode));
    if (d->n_in > 1 && strcmp(mode, "tf_crop_and_resize") != 0) d->in[1] = NULL; /* roi: of no other use */
    while (d->n_in && !d->in[d->n_in - 1]) d->n_in--;
    if (strcmp(mode, "tf_half_pixel_for_nn") != 0) {
        set_string(d, "coordinate_transformation_mode", mode);
        return SW_OK;
    }
    /* Opsets 11 and 12: x = (i + 0.5) / scale. Its floor is half_pixel, which is 0.5 less, rounded with halves up. */
    const char *resample, *nearest;
    SW_TRY(take_string(d, "mode", "nearest", &resample));
    SW_TRY(take_string(d, "nearest_mode", "round_prefer_floor", &nearest));
    if (strcmp(resample, "nearest") != 0 || strcmp(nearest, "floor") != 0)
        return sw__draft_fail(d, SW_E_UNSUPPORTED,
                              "tf_half_pixel_for_nn is supported with mode=nearest, nearest_mode=floor");
    set_string(d, "coordinate_transformation_mode", "half_pixel");
    set_string(d, "nearest_mode", "round_prefer_ceil");
    return SW_OK;
}

/* ---- The table ------------------------------------------------------------------------------------------- */

static const struct row {
    const char *op;
    int below;
    sw_status (*translate)(sw__draft *d);
} rows[] = {
    {"BatchNormalization", EVER, batch_norm},
    {"Cast", EVER, cast},
    {"Clip", 11, clip_10},
    {"DFT", 20, dft_19},
    {"Dropout", EVER, sw__onnx_dropout},
    {"EyeLike", EVER, eye_like},
    {"GRU", EVER, recurrent},
    {"GroupNormalization", EVER, sw__onnx_group_norm},
    {"Hardmax", 13, softmax_12},
    {"LSTM", EVER, recurrent},
    {"LogSoftmax", 13, softmax_12},
    {"MeanVarianceNormalization", EVER, sw__onnx_mean_variance_norm},
    {"Pad", 11, pad_10},
    {"RNN", EVER, recurrent},
    {"ReduceL1", 18, axes_attr},
    {"ReduceL2", 18, axes_attr},
    {"ReduceLogSum", 18, axes_attr},
    {"ReduceLogSumExp", 18, axes_attr},
    {"ReduceMax", 18, axes_attr},
    {"ReduceMean", 18, axes_attr},
    {"ReduceMin", 18, axes_attr},
    {"ReduceProd", 18, axes_attr},
    {"ReduceSum", 13, axes_attr},
    {"ReduceSumSquare", 18, axes_attr},
    {"Resize", 11, resize_10},
    {"Resize", EVER, resize},
    {"RoiAlign", 16, roi_align_15},
    {"Scatter", EVER, scatter},
    {"SimplifiedLayerNormalization", EVER, rms_norm},
    {"Slice", 10, slice_9},
    {"Softmax", 13, softmax_12},
    {"Split", 18, split_17},
    {"Squeeze", 13, axes_attr},
    {"TopK", 10, topk_9},
    {"Unsqueeze", 13, axes_attr},
    {"Upsample", 9, upsample_8},
    {"Upsample", EVER, resize_10},
};

sw_status sw__onnx_translate(sw__draft *d) {
    d->op = sw_op_find(d->proto->domain, d->proto->op);
    if (strcmp(d->proto->domain, "com.microsoft") == 0) return sw__onnx_microsoft(d);
    if (*d->proto->domain) return SW_OK;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (d->opset < rows[i].below && strcmp(rows[i].op, d->proto->op) == 0) {
            SW_TRY(rows[i].translate(d));
            return d->done ? sw__onnx_check_taken(d) : SW_OK;
        }
    return SW_OK;
}
