/* Element by element; normalisation, softmax, reductions. */
#include <math.h>
#include <string.h>

#include "export/tflite/model.h"
#include "ops/shape.h"

static int version_of(int rank) {
    return rank > 4 ? 2 : 1;
}

static void unary(sw_tfw *w, const sw_node *node, int code) {
    sw_axes axes;
    int32_t x = sw__tfw_any(w, node->in[0], &axes), out = sw__tfw_out(w, node->out[0], axes);
    sw_tfw_operator *op = sw__tfw_add(w, code, 1, 1, &x, 1, &out);
    if (node->op == SW_OP_LeakyRelu) SW_TFW_OPTIONS(op, 75, sw_fb_field_f32(0, sw_node_float(node, "alpha")));
    if (node->op == SW_OP_Gelu)
        SW_TFW_OPTIONS(op, 116, SW_FB_I8(0, strcmp(sw_node_string(node, "approximate"), "tanh") == 0));
    if (node->op == SW_OP_Elu && sw_node_float(node, "alpha") != 1) sw__tfw_refuse(w, "its alpha must be 1");
}

static void binary(sw_tfw *w, const sw_node *node, int code) {
    static const int kinds[][2] = {{SW_TFL_ADD, 11}, {SW_TFL_SUB, 28}, {SW_TFL_MUL, 21}, {SW_TFL_DIV, 29}};
    sw_axes axes = sw__tfw_common(w);
    const sw_value *y = node->out[0];
    if (node->op == SW_OP_Mod && sw_node_int(node, "fmod")) {
        sw__tfw_refuse(w, "only remainders with the sign of the divisor can be written");
        return;
    }
    int32_t in[2] = {sw__tfw_operand(w, node->in[0], &axes), sw__tfw_operand(w, node->in[1], &axes)};
    int kind = 0, activation = 0;
    for (int i = 0; i < 4; i++)
        if (kinds[i][0] == code) kind = kinds[i][1];
    if (kind) activation = sw__tfw_fuse(w, &y);
    int32_t out = sw__tfw_out(w, y, axes);
    sw_tfw_operator *op = sw__tfw_add(w, code, version_of(axes.n), 2, in, 1, &out);
    if (kind) SW_TFW_OPTIONS(op, kind, SW_FB_I8(0, activation));
}

static void choose(sw_tfw *w, const sw_node *node, int arg) {
    sw_axes axes = sw__tfw_common(w);
    int32_t in[3];
    for (int i = 0; i < 3; i++) in[i] = sw__tfw_operand(w, node->in[i], &axes);
    int32_t out = sw__tfw_out(w, node->out[0], axes);
    sw__tfw_add(w, SW_TFL_SELECT_V2, version_of(axes.n), 3, in, 1, &out);
}

/* One bound after the other, unless a single operator does it. */
static void clip(sw_tfw *w, const sw_node *node, int arg) {
    sw_axes axes;
    int32_t x = sw__tfw_any(w, node->in[0], &axes);
    double bounds[2] = {-INFINITY, INFINITY};
    for (int i = 1; i < node->n_in; i++) {
        if (!node->in[i]) continue;
        if (!sw_value_is_const(node->in[i]) || node->in[0]->type.dtype != SW_F32) {
            sw__tfw_refuse(w, "only constant bounds of floats can be written");
            return;
        }
        bounds[i - 1] = sw_tensor_float_at(&node->in[i]->type, 0);
    }
    int code = bounds[0] != 0 ? 0 : bounds[1] == 6 ? SW_TFL_RELU6 : bounds[1] > 3e38 ? SW_TFL_RELU : 0;
    int32_t out = sw__tfw_out(w, node->out[0], axes);
    if (code) {
        sw__tfw_add(w, code, 1, 1, &x, 1, &out);
        return;
    }
    int32_t between = sw__tfw_like(w, x);
    SW_TFW_ADD(w, MAXIMUM, 1, between, x, sw__tfw_float(w, bounds[0] < -3e38 ? -3.4e38 : bounds[0]));
    SW_TFW_ADD(w, MINIMUM, 1, out, between, sw__tfw_float(w, bounds[1] > 3e38 ? 3.4e38 : bounds[1]));
}

static int32_t scaled(sw_tfw *w, int code, int kind, int32_t a, int32_t b, int activation) {
    int32_t out = sw__tfw_like(w, a), in[2] = {a, b};
    SW_TFW_OPTIONS(sw__tfw_add(w, code, 1, 2, in, 1, &out), kind, SW_FB_I8(0, activation));
    return out;
}

/* clip(alpha x + beta, 0, 1) = relu6(6 alpha x + 6 beta) / 6 */
static void hard_sigmoid(sw_tfw *w, const sw_node *node, int arg) {
    sw_axes axes;
    int32_t x = sw__tfw_any(w, node->in[0], &axes);
    double alpha = 6 * (double)sw_node_float(node, "alpha"), beta = 6 * (double)sw_node_float(node, "beta");
    if (fabs(alpha - 1) > 1e-6) x = scaled(w, SW_TFL_MUL, 21, x, sw__tfw_float(w, alpha), 0);
    x = scaled(w, SW_TFL_ADD, 11, x, sw__tfw_float(w, beta), SW_TFL_ACT_RELU6);
    int32_t out = sw__tfw_out(w, node->out[0], axes);
    SW_TFW_OPTIONS(SW_TFW_ADD(w, MUL, 1, out, x, sw__tfw_float(w, 1.0 / 6)), 21, SW_FB_I8(0, 0));
}

static void reciprocal(sw_tfw *w, const sw_node *node, int arg) {
    sw_axes axes;
    int32_t x = sw__tfw_any(w, node->in[0], &axes), out = sw__tfw_out(w, node->out[0], axes);
    SW_TFW_OPTIONS(SW_TFW_ADD(w, DIV, 1, out, sw__tfw_float(w, 1), x), 29, SW_FB_I8(0, 0));
}

/* The wanted axis stored last. */
static sw_axes with_last(const sw_axes *axes, int axis) {
    sw_axes moved = {.n = axes->n};
    int k = 0;
    for (int i = 0; i < axes->n; i++)
        if (axes->at[i] != axis) moved.at[k++] = axes->at[i];
    moved.at[k] = (uint8_t)axis;
    return moved;
}

static void softmax(sw_tfw *w, const sw_node *node, int code) {
    sw_axes axes;
    int axis = sw_axis(sw_node_int(node, "axis"), node->in[0]->type.rank);
    sw__tfw_any(w, node->in[0], &axes);
    axes = with_last(&axes, axis);
    int32_t x = sw__tfw_as(w, node->in[0], axes), out = sw__tfw_out(w, node->out[0], axes);
    sw_tfw_operator *op = sw__tfw_add(w, code, 1, 1, &x, 1, &out);
    if (code == SW_TFL_SOFTMAX) SW_TFW_OPTIONS(op, 9, sw_fb_field_f32(0, 1));
}

static int32_t mean_over(sw_tfw *w, int32_t x, int axes) {
    int64_t list[SW_MAX_RANK], dims[SW_MAX_RANK];
    if (x < 0) return -1;
    int rank = w->tensors[x].type.rank;
    memcpy(dims, w->tensors[x].type.dims, sizeof dims);
    for (int i = 0; i < axes; i++) {
        list[i] = rank - axes + i;
        dims[list[i]] = 1;
    }
    int32_t out = sw__tfw_temp(w, SW_F32, rank, dims);
    SW_TFW_OPTIONS(SW_TFW_ADD(w, MEAN, 1, out, x, sw__tfw_ints(w, list, axes)), 27, SW_FB_I8(0, 1));
    return out;
}

/* Over the last axes: (x - mean) * rsqrt(variance + epsilon), scaled and shifted. */
static void layer_norm(sw_tfw *w, const sw_node *node, int arg) {
    int rank = node->in[0]->type.rank, over = rank - sw_axis(sw_node_int(node, "axis"), rank);
    sw_axes plain = sw_axes_plain(rank);
    int32_t x = sw__tfw_plain(w, node->in[0]), mean = mean_over(w, x, over), centred = sw__tfw_like(w, x);
    SW_TFW_OPTIONS(SW_TFW_ADD(w, SUB, 1, centred, x, mean), 28, SW_FB_I8(0, 0));
    int32_t squares = scaled(w, SW_TFL_MUL, 21, centred, centred, 0), variance = mean_over(w, squares, over);
    variance = scaled(w, SW_TFL_ADD, 11, variance, sw__tfw_float(w, (double)sw_node_float(node, "epsilon")), 0);
    int32_t factor = sw__tfw_like(w, variance);
    SW_TFW_ADD(w, RSQRT, 1, factor, variance);
    int32_t normal = scaled(w, SW_TFL_MUL, 21, centred, factor, 0);
    bool shifted = node->n_in > 2 && node->in[2];
    int32_t out = sw__tfw_out(w, node->out[0], plain), last = shifted ? sw__tfw_like(w, x) : out;
    SW_TFW_OPTIONS(SW_TFW_ADD(w, MUL, 1, last, normal, sw__tfw_plain(w, node->in[1])), 21, SW_FB_I8(0, 0));
    if (shifted) SW_TFW_OPTIONS(SW_TFW_ADD(w, ADD, 1, out, last, sw__tfw_plain(w, node->in[2])), 11, SW_FB_I8(0, 0));
}

/* x * scale / sqrt(variance + epsilon) + shift, for each channel. */
static void batch_norm(sw_tfw *w, const sw_node *node, int arg) {
    int rank = node->in[0]->type.rank;
    int64_t n = node->in[0]->type.dims[1];
    float *factor = sw_arena_alloc(w->scratch, (size_t)n + 1, sizeof *factor);
    float *shift = sw_arena_alloc(w->scratch, (size_t)n + 1, sizeof *shift);
    for (int i = 1; i < 5; i++)
        if (!sw_value_is_const(node->in[i]) || sw_tensor_count(&node->in[i]->type) != n) {
            sw__tfw_refuse(w, "only constant statistics can be written");
            return;
        }
    if (!factor || !shift) {
        sw__tfw_nomem(w);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        double v[4];
        for (int k = 0; k < 4; k++) v[k] = sw_tensor_float_at(&node->in[k + 1]->type, i);
        double f = v[0] / sqrt(v[3] + (double)sw_node_float(node, "epsilon"));
        factor[i] = (float)f;
        shift[i] = (float)(v[1] - v[2] * f);
    }
    sw_axes axes = sw_axes_channels_last(rank);
    const sw_value *y = node->out[0];
    int activation = sw__tfw_fuse(w, &y);
    sw_tensor type = {.dtype = SW_F32, .rank = 1, .dims = {n}, .data = factor};
    int32_t x = scaled(w, SW_TFL_MUL, 21, sw__tfw_as(w, node->in[0], axes), sw__tfw_const(w, "factor", &type), 0);
    type.data = shift;
    int32_t b = sw__tfw_const(w, "shift", &type), out = sw__tfw_out(w, y, axes);
    SW_TFW_OPTIONS(SW_TFW_ADD(w, ADD, 1, out, x, b), 11, SW_FB_I8(0, activation));
}

static void reduction(sw_tfw *w, const sw_node *node, int code) {
    const sw_tensor *in[2];
    sw_tensor *outs[1];
    bool reduced[SW_MAX_RANK], keep = sw_node_int(node, "keepdims") != 0;
    sw_axes axes, left = {0};
    int64_t over[SW_MAX_RANK];
    int n = 0;
    if (node->n_in > 1 && node->in[1] && !sw_value_is_const(node->in[1])) {
        sw__tfw_refuse(w, "only constant axes can be written");
        return;
    }
    int32_t x = sw__tfw_any(w, node->in[0], &axes);
    sw_call call = sw_node_call(node, in, outs, w->diag);
    if (w->status == SW_OK) w->status = sw_call_reduced_axes(&call, reduced);
    if (w->status != SW_OK) return;
    for (int i = 0; i < axes.n; i++) {
        if (reduced[axes.at[i]]) {
            over[n++] = i;
            continue;
        }
        int before = 0;
        for (int k = 0; k < axes.at[i]; k++) before += reduced[k];
        left.at[left.n++] = (uint8_t)(axes.at[i] - before);
    }
    int32_t out = sw__tfw_out(w, node->out[0], keep ? axes : left);
    SW_TFW_OPTIONS(sw__tfw_add(w, code, 1, 2, (int32_t[]){x, sw__tfw_ints(w, over, n)}, 1, &out), 27,
                   SW_FB_I8(0, keep));
}

static int tfl_type(sw_dtype dtype) {
    switch (dtype) {
    case SW_F32:
        return 0;
    case SW_F16:
        return 1;
    case SW_I32:
    case SW_I64:
        return 2;
    case SW_U8:
        return 3;
    case SW_BOOL:
        return 6;
    case SW_I8:
        return 9;
    default:
        return -1;
    }
}

static void cast(sw_tfw *w, const sw_node *node, int arg) {
    sw_axes axes;
    int32_t x = sw__tfw_any(w, node->in[0], &axes), out = sw__tfw_out(w, node->out[0], axes);
    if (x < 0 || out < 0) return;
    SW_TFW_OPTIONS(SW_TFW_ADD(w, CAST, 1, out, x), 37, SW_FB_I8(0, tfl_type(w->tensors[x].type.dtype)),
                   SW_FB_I8(1, tfl_type(w->tensors[out].type.dtype)));
}

const sw_tfw_row sw__tfw_element[] = {
    {SW_OP_Add, binary, SW_TFL_ADD},
    {SW_OP_Sub, binary, SW_TFL_SUB},
    {SW_OP_Mul, binary, SW_TFL_MUL},
    {SW_OP_Div, binary, SW_TFL_DIV},
    {SW_OP_Min, binary, SW_TFL_MINIMUM},
    {SW_OP_Max, binary, SW_TFL_MAXIMUM},
    {SW_OP_Pow, binary, SW_TFL_POW},
    {SW_OP_Mod, binary, SW_TFL_FLOOR_MOD},
    {SW_OP_PRelu, binary, SW_TFL_PRELU},
    {SW_OP_Equal, binary, SW_TFL_EQUAL},
    {SW_OP_Less, binary, SW_TFL_LESS},
    {SW_OP_LessOrEqual, binary, SW_TFL_LESS_EQUAL},
    {SW_OP_Greater, binary, SW_TFL_GREATER},
    {SW_OP_GreaterOrEqual, binary, SW_TFL_GREATER_EQUAL},
    {SW_OP_And, binary, SW_TFL_LOGICAL_AND},
    {SW_OP_Or, binary, SW_TFL_LOGICAL_OR},
    {SW_OP_Xor, binary, SW_TFL_NOT_EQUAL},
    {SW_OP_Not, unary, SW_TFL_LOGICAL_NOT},
    {SW_OP_Where, choose, 0},
    {SW_OP_Clip, clip, 0},
    {SW_OP_HardSigmoid, hard_sigmoid, 0},
    {SW_OP_Reciprocal, reciprocal, 0},
    {SW_OP_Relu, unary, SW_TFL_RELU},
    {SW_OP_LeakyRelu, unary, SW_TFL_LEAKY_RELU},
    {SW_OP_Elu, unary, SW_TFL_ELU},
    {SW_OP_Gelu, unary, SW_TFL_GELU},
    {SW_OP_HardSwish, unary, SW_TFL_HARD_SWISH},
    {SW_OP_Sigmoid, unary, SW_TFL_LOGISTIC},
    {SW_OP_Tanh, unary, SW_TFL_TANH},
    {SW_OP_Exp, unary, SW_TFL_EXP},
    {SW_OP_Log, unary, SW_TFL_LOG},
    {SW_OP_Sqrt, unary, SW_TFL_SQRT},
    {SW_OP_Sin, unary, SW_TFL_SIN},
    {SW_OP_Cos, unary, SW_TFL_COS},
    {SW_OP_Abs, unary, SW_TFL_ABS},
    {SW_OP_Neg, unary, SW_TFL_NEG},
    {SW_OP_Floor, unary, SW_TFL_FLOOR},
    {SW_OP_Round, unary, SW_TFL_ROUND},
    {SW_OP_Sign, unary, SW_TFL_SIGN},
    {SW_OP_Ceil, unary, SW_TFL_CEIL},
    {SW_OP_Softmax, softmax, SW_TFL_SOFTMAX},
    {SW_OP_LogSoftmax, softmax, SW_TFL_LOG_SOFTMAX},
    {SW_OP_LayerNormalization, layer_norm, 0},
    {SW_OP_BatchNormalization, batch_norm, 0},
    {SW_OP_ReduceMean, reduction, SW_TFL_MEAN},
    {SW_OP_ReduceSum, reduction, SW_TFL_SUM},
    {SW_OP_ReduceMax, reduction, SW_TFL_REDUCE_MAX},
    {SW_OP_ReduceMin, reduction, SW_TFL_REDUCE_MIN},
    {SW_OP_ReduceProd, reduction, SW_TFL_REDUCE_PROD},
    {SW_OP_Cast, cast, 0},
    {0, NULL, 0},
};
