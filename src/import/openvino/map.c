/* The table of layer types, and those that are one node, or nearly. */
#include <float.h>
#include <string.h>

#include "import/openvino/model.h"

/* ---- One node ------------------------------------------------------------------------------------------------------ */

/* Same inputs, no attributes. */
static const struct plain {
    const char *type;
    sw_op op;
} plain[] = {
    {"Abs", SW_OP_Abs},
    {"Negative", SW_OP_Neg},
    {"Sign", SW_OP_Sign},
    {"Exp", SW_OP_Exp},
    {"Log", SW_OP_Log},
    {"Sqrt", SW_OP_Sqrt},
    {"Floor", SW_OP_Floor},
    {"Ceiling", SW_OP_Ceil},
    {"Sin", SW_OP_Sin},
    {"Cos", SW_OP_Cos},
    {"Tan", SW_OP_Tan},
    {"Asin", SW_OP_Asin},
    {"Acos", SW_OP_Acos},
    {"Atan", SW_OP_Atan},
    {"Sinh", SW_OP_Sinh},
    {"Cosh", SW_OP_Cosh},
    {"Tanh", SW_OP_Tanh},
    {"Asinh", SW_OP_Asinh},
    {"Acosh", SW_OP_Acosh},
    {"Atanh", SW_OP_Atanh},
    {"Erf", SW_OP_Erf},
    {"Sigmoid", SW_OP_Sigmoid},
    {"ReLU", SW_OP_Relu},
    {"SoftPlus", SW_OP_Softplus},
    {"SoftSign", SW_OP_Softsign},
    {"HSwish", SW_OP_HardSwish},
    {"Mish", SW_OP_Mish},
    {"LogicalNot", SW_OP_Not},
    {"IsNaN", SW_OP_IsNaN},
    {"BitwiseNot", SW_OP_BitwiseNot},
    {"Add", SW_OP_Add},
    {"Subtract", SW_OP_Sub},
    {"Divide", SW_OP_Div},
    {"Power", SW_OP_Pow},
    {"Minimum", SW_OP_Min},
    {"Maximum", SW_OP_Max},
    {"LogicalAnd", SW_OP_And},
    {"LogicalOr", SW_OP_Or},
    {"LogicalXor", SW_OP_Xor},
    {"Equal", SW_OP_Equal},
    {"Less", SW_OP_Less},
    {"LessEqual", SW_OP_LessOrEqual},
    {"Greater", SW_OP_Greater},
    {"GreaterEqual", SW_OP_GreaterOrEqual},
    {"BitwiseAnd", SW_OP_BitwiseAnd},
    {"BitwiseOr", SW_OP_BitwiseOr},
    {"BitwiseXor", SW_OP_BitwiseXor},
    {"Select", SW_OP_Where},
    {"PRelu", SW_OP_PRelu},
    {"Broadcast", SW_OP_Expand},
    {"NonZero", SW_OP_NonZero},
    {"ConvertLike", SW_OP_CastLike},
    {"Tile", SW_OP_Tile},
    {"Squeeze", SW_OP_Squeeze},
    {"Unsqueeze", SW_OP_Unsqueeze},
};

static sw_status read_plain(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(plain[i].type, l->type) != 0) continue;
        const sw_op_info *info = sw_op_get(plain[i].op);
        bool rounds = plain[i].op == SW_OP_Floor || plain[i].op == SW_OP_Ceil;
        if (rounds && l->n_in == 1 && in[0] && in[0]->type.dtype != SW_DTYPE_NONE &&
            !sw__ovin_is_float(in[0]->type.dtype))
            return sw__ovin_apply(im, SW_OP_Identity, true, 1, in, NULL); /* whole numbers are round */
        int most = info->max_in == SW_VARIADIC ? 2 : info->max_in;
        SW_TRY(sw__ovin_expect(im, info->min_in, most));
        return sw__ovin_apply(im, plain[i].op, true, l->n_in, in, NULL);
    }
    return SW_E_INTERNAL;
}

/* ---- Element by element -------------------------------------------------------------------------------------------- */

static sw_status read_convert(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_dtype to;
    sw_value *out;
    SW_TRY(sw__ovin_expect(im, 1, 1));
    SW_TRY(sw__ovin_dtype(im, sw__ovin_attr(l, "destination_type", ""), &to));
    if (in[0]->type.dtype == to && l->out_names[0]) return sw__ovin_apply(im, SW_OP_Identity, true, 1, in, NULL);
    if (in[0]->type.dtype == to) { /* half precision that was widened */
        l->out[0] = in[0];
        return SW_OK;
    }
    out = sw__ovin_output(im, 0);
    sw_node *node = out ? sw_graph_add_node(im->graph, NULL, SW_OP_Cast, l->name, 1, in, 1, &out) : NULL;
    if (node) sw_node_set_int(node, "to", sw_dtype_onnx(to));
    sw_dtype from = in[0]->type.dtype;
    bool weights =
        sw_value_is_const(in[0]) && (from == SW_I8 || from == SW_U8); /* what multiplies them wants to know */
    return weights && node ? sw_node_infer(im->graph, node, im->diag) : sw__ovin_settle(im, node);
}

/* A node of one output and the layer's inputs whose attributes are set before its shape rule runs. */
static sw_status begin_node(sw_ovin_import *im, sw_op op, int n_in, sw_value **in, int n_out, sw_node **node) {
    sw_value *out[2] = {sw__ovin_output(im, 0), n_out > 1 ? sw__ovin_output(im, 1) : NULL};
    if (!out[0] || (n_out > 1 && !out[1])) return sw__ovin_nomem(im);
    *node = sw_graph_add_node(im->graph, NULL, op, im->layer->name, n_in, in, n_out, out);
    return *node ? SW_OK : sw__ovin_nomem(im);
}

static sw_status read_swish(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 1, 2));
    bool known =
        l->n_in == 1 || (sw_value_is_const(in[1]) && in[1]->type.dtype == SW_F32 && sw_tensor_count(&in[1]->type) == 1);
    if (!known) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "its factor must be constant");
    SW_TRY(begin_node(im, SW_OP_Swish, 1, in, 1, &node));
    if (l->n_in == 2) sw_node_set_float(node, "alpha", *(const float *)in[1]->type.data);
    return sw__ovin_settle(im, node);
}

static sw_status read_gelu(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 1, 1));
    SW_TRY(begin_node(im, SW_OP_Gelu, 1, in, 1, &node));
    bool tanh = !strcmp(sw__ovin_attr(l, "approximation_mode", "ERF"), "TANH");
    if (tanh) SW_TRY(sw_node_set_string(im->graph, node, "approximate", "tanh"));
    return sw__ovin_settle(im, node);
}

static sw_status read_elu(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    float alpha;
    SW_TRY(sw__ovin_expect(im, 1, 1));
    SW_TRY(sw__ovin_attr_float(im, "alpha", 1, &alpha));
    SW_TRY(begin_node(im, SW_OP_Elu, 1, in, 1, &node));
    sw_node_set_float(node, "alpha", alpha);
    return sw__ovin_settle(im, node);
}

/* Two constant inputs become attributes. */
static sw_status read_two_numbers(sw_ovin_import *im, sw_op op, const char *first, const char *second, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 3, 3));
    for (int i = 1; i < 3; i++)
        if (!sw_value_is_const(in[i]) || in[i]->type.dtype != SW_F32 || sw_tensor_count(&in[i]->type) != 1)
            return sw__ovin_fail(im, SW_E_UNSUPPORTED, "its numbers must be constant");
    SW_TRY(begin_node(im, op, 1, in, 1, &node));
    sw_node_set_float(node, first, *(const float *)in[1]->type.data);
    sw_node_set_float(node, second, *(const float *)in[2]->type.data);
    return sw__ovin_settle(im, node);
}
static sw_status read_hard_sigmoid(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    return read_two_numbers(im, SW_OP_HardSigmoid, "alpha", "beta", in);
}
static sw_status read_selu(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    return read_two_numbers(im, SW_OP_Selu, "alpha", "gamma", in);
}

/* HSigmoid: min(max(x + 3, 0), 6) / 6. */
static sw_status read_hsigmoid(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 1, 1));
    SW_TRY(begin_node(im, SW_OP_HardSigmoid, 1, in, 1, &node));
    sw_node_set_float(node, "alpha", 1.0f / 6);
    return sw__ovin_settle(im, node);
}

static sw_status read_round(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    SW_TRY(sw__ovin_expect(im, 1, 1));
    if (strcmp(sw__ovin_attr(l, "mode", "half_to_even"), "half_to_even") != 0)
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "halves away from zero are not supported");
    return sw__ovin_apply(im, SW_OP_Round, true, 1, in, NULL);
}

static sw_status read_clamp(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    float least, most;
    sw_value *all[3] = {in[0]};
    SW_TRY(sw__ovin_expect(im, 1, 1));
    if (in[0]->type.dtype != SW_F32) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "it is supported in float32 only");
    SW_TRY(sw__ovin_attr_float(im, "min", -FLT_MAX, &least));
    SW_TRY(sw__ovin_attr_float(im, "max", FLT_MAX, &most));
    SW_TRY(sw__ovin_floats(im, &least, -1, &all[1]));
    SW_TRY(sw__ovin_floats(im, &most, -1, &all[2]));
    return sw__ovin_apply(im, SW_OP_Clip, true, 3, all, NULL);
}

static sw_status read_mod(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    SW_TRY(begin_node(im, SW_OP_Mod, 2, in, 1, &node));
    bool floats = in[0]->type.dtype == SW_F32 || in[0]->type.dtype == SW_F16;
    if (!strcmp(l->type, "FloorMod") && floats)
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "it is supported for whole numbers only");
    sw_node_set_int(node, "fmod", !strcmp(l->type, "Mod"));
    return sw__ovin_settle(im, node);
}

/* ---- Matrix products, norms ---------------------------------------------------------------------------------------- */

/* The last two axes exchanged. */
static sw_status turn(sw_ovin_import *im, sw_value **value) {
    int rank = (*value)->type.rank;
    int64_t perm[SW_MAX_RANK];
    if (rank < 2) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "a factor of rank %d cannot be transposed", rank);
    for (int k = 0; k < rank; k++) perm[k] = k;
    perm[rank - 1] = rank - 2;
    perm[rank - 2] = rank - 1;
    sw_value *out = sw_graph_add_value(im->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
    sw_node *node =
        out ? sw_graph_add_node(im->graph, NULL, SW_OP_Transpose, im->layer->name, 1, value, 1, &out) : NULL;
    if (!node || sw_node_set_ints(im->graph, node, "perm", perm, rank) != SW_OK) return sw__ovin_nomem(im);
    *value = out;
    return sw__ovin_settle(im, node);
}

static sw_status read_matmul(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    bool a = sw__ovin_attr_true(l, "transpose_a", false), b = sw__ovin_attr_true(l, "transpose_b", false);
    if ((a || b) && in[0]->type.rank == 2 && in[1]->type.rank == 2) {
        SW_TRY(begin_node(im, SW_OP_Gemm, 2, in, 1, &node));
        sw_node_set_int(node, "transA", a);
        sw_node_set_int(node, "transB", b);
        return sw__ovin_settle(im, node);
    }
    if (a) SW_TRY(turn(im, &in[0]));
    if (b) SW_TRY(turn(im, &in[1]));
    return sw__ovin_apply(im, SW_OP_MatMul, true, 2, in, NULL);
}

static sw_status read_softmax(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    int64_t axis;
    SW_TRY(sw__ovin_expect(im, 1, 1));
    SW_TRY(sw__ovin_attr_int(im, "axis", 1, &axis));
    SW_TRY(begin_node(im, !strcmp(l->type, "SoftMax") ? SW_OP_Softmax : SW_OP_LogSoftmax, 1, in, 1, &node));
    sw_node_set_int(node, "axis", axis);
    return sw__ovin_settle(im, node);
}

static sw_status read_batch_norm(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    float epsilon;
    SW_TRY(sw__ovin_expect(im, 5, 5));
    if (!strcmp(l->version, "opset1")) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "opset5 of it is supported");
    SW_TRY(sw__ovin_attr_float(im, "epsilon", 1e-5, &epsilon));
    SW_TRY(begin_node(im, SW_OP_BatchNormalization, 5, in, 1, &node));
    sw_node_set_float(node, "epsilon", epsilon);
    return sw__ovin_settle(im, node);
}

/* ---- Shapes and movement ------------------------------------------------------------------------------------------- */

static sw_status read_shape_of(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    SW_TRY(sw__ovin_expect(im, 1, 1));
    if (strcmp(sw__ovin_attr(l, "output_type", "i64"), "i32") != 0)
        return sw__ovin_apply(im, SW_OP_Shape, true, 1, in, NULL);
    sw_value *wide;
    sw_node *node;
    SW_TRY(sw__ovin_apply(im, SW_OP_Shape, false, 1, in, &wide));
    SW_TRY(begin_node(im, SW_OP_Cast, 1, &wide, 1, &node));
    sw_node_set_int(node, "to", sw_dtype_onnx(SW_I32));
    return sw__ovin_settle(im, node);
}

/* Operators of ONNX want shapes, axes and counts in int64. */
static sw_status widen(sw_ovin_import *im, sw_value **value) {
    if ((*value)->type.dtype == SW_I64) return SW_OK;
    if (sw__ovin_is_float((*value)->type.dtype))
        return sw__ovin_fail(im, SW_E_MODEL, "an input of whole numbers has type %s",
                             sw_dtype_name((*value)->type.dtype));
    sw_value *out = sw_graph_add_value(im->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
    if (!out) return sw__ovin_nomem(im);
    if (sw_value_is_const(*value)) { /* at once: other layers ask for the numbers */
        int64_t count = sw_tensor_count(&(*value)->type);
        sw_value *known = sw_graph_new_const(im->graph, NULL, SW_I64, (*value)->type.rank, (*value)->type.dims);
        if (!known) return sw__ovin_nomem(im);
        for (int64_t i = 0; i < count; i++) ((int64_t *)known->type.data)[i] = sw_tensor_int_at(&(*value)->type, i);
        *value = known;
        return SW_OK;
    }
    sw_node *node = sw_graph_add_node(im->graph, NULL, SW_OP_Cast, im->layer->name, 1, value, 1, &out);
    if (node) sw_node_set_int(node, "to", sw_dtype_onnx(SW_I64));
    *value = out;
    return sw__ovin_settle(im, node);
}

static sw_status read_reshape(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    SW_TRY(widen(im, &in[1]));
    SW_TRY(begin_node(im, SW_OP_Reshape, 2, in, 1, &node));
    sw_node_set_int(node, "allowzero", !sw__ovin_attr_true(l, "special_zero", false));
    return sw__ovin_settle(im, node);
}

/* Squeeze, Unsqueeze, Broadcast, Tile: the second input in int64. */
static sw_status read_with_ints(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    SW_TRY(sw__ovin_expect(im, 1, 2));
    if (l->n_in == 2) SW_TRY(widen(im, &in[1]));
    if (l->n_in == 2 && in[1]->type.rank == 0) { /* a scalar is a list of one */
        const int64_t one = 1;
        sw_value *list[2] = {in[1]};
        SW_TRY(sw__ovin_ints(im, &one, 1, &list[1]));
        SW_TRY(sw__ovin_apply(im, SW_OP_Reshape, false, 2, list, &in[1]));
    }
    return read_plain(im, l, in);
}

static sw_status read_transpose(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    int64_t perm[SW_MAX_RANK];
    int n;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    SW_TRY(sw__ovin_known(im, in[1], "axes", perm, SW_MAX_RANK, &n));
    SW_TRY(begin_node(im, SW_OP_Transpose, 1, in, 1, &node));
    if (n && sw_node_set_ints(im->graph, node, "perm", perm, n) != SW_OK) return sw__ovin_nomem(im);
    return sw__ovin_settle(im, node);
}

static sw_status read_concat(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    int64_t axis;
    SW_TRY(sw__ovin_expect(im, 1, SW_OVIN_MAX_PORTS));
    SW_TRY(sw__ovin_attr_int(im, "axis", 0, &axis));
    SW_TRY(begin_node(im, SW_OP_Concat, l->n_in, in, 1, &node));
    sw_node_set_int(node, "axis", axis);
    return sw__ovin_settle(im, node);
}

/* Lengths may hold one -1: the rest. */
static sw_status complete_lengths(sw_ovin_import *im, const sw_value *x, int64_t axis, sw_value **lengths) {
    int64_t v[1024], sum = 0;
    int n, open = -1;
    if (!sw_value_is_const(*lengths)) return SW_OK;
    SW_TRY(sw__ovin_known(im, *lengths, "lengths", v, 1024, &n));
    for (int i = 0; i < n; i++) {
        if (v[i] < 0) open = i;
        sum += v[i] < 0 || v[i] > INT32_MAX ? 0 : v[i];
    }
    if (open < 0) return SW_OK;
    int rank = x->type.rank;
    axis += axis < 0 ? rank : 0;
    if (rank == SW_RANK_UNKNOWN || axis < 0 || axis >= rank || x->type.dims[axis] < sum)
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "the length that is left open (-1) cannot be computed");
    v[open] = x->type.dims[axis] - sum;
    return sw__ovin_ints(im, v, n, lengths);
}

static sw_status read_split(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    bool lengths = !strcmp(l->type, "VariadicSplit");
    int64_t axis;
    int n;
    SW_TRY(sw__ovin_expect(im, lengths ? 3 : 2, lengths ? 3 : 2));
    SW_TRY(sw__ovin_known(im, in[1], "axes", &axis, 1, &n));
    if (n != 1) return sw__ovin_fail(im, SW_E_MODEL, "it has no axis");
    sw_value *ins[2] = {in[0], lengths ? in[2] : NULL};
    if (lengths) {
        SW_TRY(widen(im, &ins[1]));
        SW_TRY(complete_lengths(im, in[0], axis, &ins[1]));
    }
    sw_value **outs = SW_ARENA_ARRAY(im->arena, sw_value *, l->n_out);
    for (int i = 0; outs && i < l->n_out; i++)
        if (!(outs[i] = sw__ovin_output(im, i))) outs = NULL;
    sw_node *node =
        outs ? sw_graph_add_node(im->graph, NULL, SW_OP_Split, l->name, lengths ? 2 : 1, ins, l->n_out, outs) : NULL;
    if (!node) return sw__ovin_nomem(im);
    sw_node_set_int(node, "axis", axis);
    if (!lengths) sw_node_set_int(node, "num_outputs", l->n_out);
    return sw__ovin_settle(im, node);
}

/* Slice: start, stop, step, axes. */
static sw_status read_slice(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    SW_TRY(sw__ovin_expect(im, 4, 5));
    for (int i = 1; i < l->n_in; i++) SW_TRY(widen(im, &in[i]));
    sw_value *all[5] = {in[0], in[1], in[2], l->n_in > 4 ? in[4] : NULL, in[3]};
    return sw__ovin_apply(im, SW_OP_Slice, true, 5, all, NULL);
}

static sw_status read_gather(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    int64_t axis = 0, batch;
    int n = 1;
    bool elements = !strcmp(l->type, "GatherElements"), nd = !strcmp(l->type, "GatherND");
    SW_TRY(sw__ovin_expect(im, 2, 3));
    SW_TRY(sw__ovin_attr_int(im, "batch_dims", 0, &batch));
    if (elements) SW_TRY(sw__ovin_attr_int(im, "axis", 0, &axis));
    if (!elements && !nd && l->n_in == 3) SW_TRY(sw__ovin_known(im, in[2], "axes", &axis, 1, &n));
    if (n != 1 || (batch && !nd)) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "batch_dims is not supported");
    SW_TRY(begin_node(im, elements ? SW_OP_GatherElements : nd ? SW_OP_GatherND : SW_OP_Gather, 2, in, 1, &node));
    sw_node_set_int(node, nd ? "batch_dims" : "axis", nd ? batch : axis);
    return sw__ovin_settle(im, node);
}

static const char *reduction_of(const sw_ovin_layer *l) {
    const char *text = sw__ovin_attr(l, "reduction", "none");
    return !strcmp(text, "sum") ? "add" : !strcmp(text, "prod") ? "mul" : text;
}

static sw_status read_scatter(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    bool nd = !strcmp(l->type, "ScatterNDUpdate");
    int64_t axis = 0;
    int n;
    SW_TRY(sw__ovin_expect(im, nd ? 3 : 4, nd ? 3 : 4));
    if (!nd) SW_TRY(sw__ovin_known(im, in[3], "axes", &axis, 1, &n));
    SW_TRY(widen(im, &in[1]));
    SW_TRY(begin_node(im, nd ? SW_OP_ScatterND : SW_OP_ScatterElements, 3, in, 1, &node));
    if (!nd) sw_node_set_int(node, "axis", axis);
    SW_TRY(sw_node_set_string(im->graph, node, "reduction", reduction_of(l)));
    return sw__ovin_settle(im, node);
}

static sw_status read_pad(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    const char *mode = sw__ovin_attr(l, "pad_mode", "constant");
    SW_TRY(sw__ovin_expect(im, 3, 4));
    if (!strcmp(mode, "symmetric")) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "mode symmetric is not supported");
    SW_TRY(widen(im, &in[1]));
    SW_TRY(widen(im, &in[2]));
    sw_value *pads;
    if (sw_value_is_const(in[1]) && sw_value_is_const(in[2])) { /* the shape rule asks for the numbers */
        int64_t both[2 * SW_MAX_RANK];
        int n, m;
        SW_TRY(sw__ovin_known(im, in[1], "pads", both, SW_MAX_RANK, &n));
        SW_TRY(sw__ovin_known(im, in[2], "pads", both + n, SW_MAX_RANK, &m));
        SW_TRY(sw__ovin_ints(im, both, n + m, &pads));
    } else {
        pads = sw_graph_add_value(im->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
        node = pads ? sw_graph_add_node(im->graph, NULL, SW_OP_Concat, l->name, 2, in + 1, 1, &pads) : NULL;
        if (node) sw_node_set_int(node, "axis", 0);
        SW_TRY(sw__ovin_settle(im, node));
    }
    SW_TRY(begin_node(im, SW_OP_Pad, l->n_in == 4 ? 3 : 2, (sw_value *[]){in[0], pads, l->n_in == 4 ? in[3] : NULL}, 1,
                      &node));
    SW_TRY(sw_node_set_string(im->graph, node, "mode", mode));
    return sw__ovin_settle(im, node);
}

static sw_status read_depth_space(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    int64_t block;
    bool to_space = !strcmp(l->type, "DepthToSpace"),
         depth_first = !strcmp(sw__ovin_attr(l, "mode", ""), "depth_first");
    SW_TRY(sw__ovin_expect(im, 1, 1));
    SW_TRY(sw__ovin_attr_int(im, "block_size", 1, &block));
    if (!to_space && depth_first) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "mode depth_first is not supported");
    SW_TRY(begin_node(im, to_space ? SW_OP_DepthToSpace : SW_OP_SpaceToDepth, 1, in, 1, &node));
    sw_node_set_int(node, "blocksize", block);
    if (depth_first) SW_TRY(sw_node_set_string(im->graph, node, "mode", "CRD"));
    return sw__ovin_settle(im, node);
}

/* ---- Made values, reductions, rankings ----------------------------------------------------------------------------- */

static sw_status read_range(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_dtype to;
    SW_TRY(sw__ovin_expect(im, 3, 3));
    SW_TRY(sw__ovin_dtype(im, sw__ovin_attr(l, "output_type", "f32"), &to));
    for (int i = 0; i < 3; i++) {
        if (in[i]->type.dtype == to) continue;
        if (to != SW_I64) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "its inputs must have the type of its output");
        SW_TRY(widen(im, &in[i]));
    }
    return sw__ovin_apply(im, SW_OP_Range, true, 3, in, NULL);
}

static sw_status read_reduce(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    SW_TRY(widen(im, &in[1]));
    SW_TRY(begin_node(im, sw_op_find("", l->type), 2, in, 1, &node));
    sw_node_set_int(node, "keepdims", sw__ovin_attr_true(l, "keep_dims", false));
    return sw__ovin_settle(im, node);
}

static sw_status read_topk(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    int64_t axis;
    const int64_t one = 1;
    sw_value *list[2], *k;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    if (strcmp(sw__ovin_attr(l, "index_element_type", "i32"), "i64") != 0)
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "indices are supported in i64 only");
    SW_TRY(sw__ovin_attr_int(im, "axis", -1, &axis));
    list[0] = in[1];
    SW_TRY(widen(im, &list[0]));
    if (sw_value_is_const(list[0]) && sw_tensor_count(&list[0]->type) == 1)
        SW_TRY(sw__ovin_ints(im, list[0]->type.data, 1, &k));
    else {
        SW_TRY(sw__ovin_ints(im, &one, 1, &list[1]));
        SW_TRY(sw__ovin_apply(im, SW_OP_Reshape, false, 2, list, &k));
    }
    SW_TRY(begin_node(im, SW_OP_TopK, 2, (sw_value *[]){in[0], k}, l->n_out > 1 ? 2 : 1, &node));
    sw_node_set_int(node, "axis", axis);
    sw_node_set_int(node, "largest", !strcmp(sw__ovin_attr(l, "mode", "max"), "max"));
    sw_node_set_int(node, "sorted", strcmp(sw__ovin_attr(l, "sort", "value"), "none") != 0);
    return sw__ovin_settle(im, node);
}

static sw_status read_cum_sum(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    SW_TRY(begin_node(im, SW_OP_CumSum, 2, in, 1, &node));
    sw_node_set_int(node, "exclusive", sw__ovin_attr_true(l, "exclusive", false));
    sw_node_set_int(node, "reverse", sw__ovin_attr_true(l, "reverse", false));
    return sw__ovin_settle(im, node);
}

static sw_status read_einsum(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 1, 8));
    SW_TRY(begin_node(im, SW_OP_Einsum, l->n_in, in, 1, &node));
    SW_TRY(sw_node_set_string(im->graph, node, "equation", sw__ovin_attr(l, "equation", "")));
    return sw__ovin_settle(im, node);
}

/* OneHot: indices, depth, on, off; ONNX has the last two in one list. */
static sw_status read_one_hot(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    int64_t axis;
    const int64_t one = 1;
    sw_value *list, *values[2], *both;
    SW_TRY(sw__ovin_expect(im, 4, 4));
    SW_TRY(sw__ovin_attr_int(im, "axis", -1, &axis));
    SW_TRY(sw__ovin_ints(im, &one, 1, &list));
    for (int i = 0; i < 2; i++)
        SW_TRY(sw__ovin_apply(im, SW_OP_Reshape, false, 2, (sw_value *[]){in[3 - i], list}, &values[i]));
    both = sw_graph_add_value(im->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
    node = both ? sw_graph_add_node(im->graph, NULL, SW_OP_Concat, l->name, 2, values, 1, &both) : NULL;
    if (node) sw_node_set_int(node, "axis", 0);
    SW_TRY(sw__ovin_settle(im, node));
    SW_TRY(begin_node(im, SW_OP_OneHot, 3, (sw_value *[]){in[0], in[1], both}, 1, &node));
    sw_node_set_int(node, "axis", axis);
    return sw__ovin_settle(im, node);
}

static sw_status read_nms(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 2, 5));
    if (sw__ovin_attr_true(l, "sort_result_descending", true) ||
        strcmp(sw__ovin_attr(l, "output_type", "i64"), "i64") != 0)
        return sw__ovin_fail(im, SW_E_UNSUPPORTED,
                             "only sort_result_descending=false with indices in i64 is supported");
    if (l->n_in > 2) SW_TRY(widen(im, &in[2]));
    SW_TRY(begin_node(im, SW_OP_NonMaxSuppression, l->n_in, in, 1, &node));
    sw_node_set_int(node, "center_point_box", !strcmp(sw__ovin_attr(l, "box_encoding", "corner"), "center"));
    return sw__ovin_settle(im, node);
}

static sw_status read_grid_sample(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    SW_TRY(begin_node(im, SW_OP_GridSample, 2, in, 1, &node));
    sw_node_set_int(node, "align_corners", sw__ovin_attr_true(l, "align_corners", false));
    SW_TRY(sw_node_set_string(im->graph, node, "mode", sw__ovin_attr(l, "mode", "bilinear")));
    SW_TRY(sw_node_set_string(im->graph, node, "padding_mode", sw__ovin_attr(l, "padding_mode", "zeros")));
    return sw__ovin_settle(im, node);
}

/* ---- The table ----------------------------------------------------------------------------------------------------- */

static const sw_ovin_row rows[] = {
    {"Convert", read_convert},
    {"Multiply", sw__ovin_read_multiply},
    {"FakeQuantize", sw__ovin_read_fake_quantize},
    {"Swish", read_swish},
    {"Gelu", read_gelu},
    {"Elu", read_elu},
    {"HardSigmoid", read_hard_sigmoid},
    {"HSigmoid", read_hsigmoid},
    {"Selu", read_selu},
    {"Round", read_round},
    {"Clamp", read_clamp},
    {"Mod", read_mod},
    {"FloorMod", read_mod},
    {"MatMul", read_matmul},
    {"SoftMax", read_softmax},
    {"LogSoftmax", read_softmax},
    {"BatchNormInference", read_batch_norm},
    {"MVN", sw__ovin_read_mvn},
    {"Convolution", sw__ovin_read_conv},
    {"GroupConvolution", sw__ovin_read_conv},
    {"ConvolutionBackpropData", sw__ovin_read_conv},
    {"GroupConvolutionBackpropData", sw__ovin_read_conv},
    {"MaxPool", sw__ovin_read_pool},
    {"AvgPool", sw__ovin_read_pool},
    {"Interpolate", sw__ovin_read_interpolate},
    {"LSTMSequence", sw__ovin_read_lstm},
    {"ShapeOf", read_shape_of},
    {"Reshape", read_reshape},
    {"Squeeze", read_with_ints},
    {"Unsqueeze", read_with_ints},
    {"Broadcast", read_with_ints},
    {"Tile", read_with_ints},
    {"Transpose", read_transpose},
    {"Concat", read_concat},
    {"Split", read_split},
    {"VariadicSplit", read_split},
    {"Slice", read_slice},
    {"StridedSlice", sw__ovin_read_strided_slice},
    {"Gather", read_gather},
    {"GatherElements", read_gather},
    {"GatherND", read_gather},
    {"ScatterNDUpdate", read_scatter},
    {"ScatterElementsUpdate", read_scatter},
    {"Pad", read_pad},
    {"DepthToSpace", read_depth_space},
    {"SpaceToDepth", read_depth_space},
    {"Range", read_range},
    {"ReduceSum", read_reduce},
    {"ReduceMean", read_reduce},
    {"ReduceMax", read_reduce},
    {"ReduceMin", read_reduce},
    {"ReduceProd", read_reduce},
    {"ReduceL1", read_reduce},
    {"ReduceL2", read_reduce},
    {"TopK", read_topk},
    {"GridSample", read_grid_sample},
    {"NonMaxSuppression", read_nms},
    {"CumSum", read_cum_sum},
    {"Einsum", read_einsum},
    {"OneHot", read_one_hot},
};

sw_ovin_reader sw__ovin_reader_of(const char *type) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].type, type)) return rows[i].read;
    for (const sw_ovin_row *row = sw__ovin_vision; row->type; row++)
        if (!strcmp(row->type, type)) return row->read;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (!strcmp(plain[i].type, type)) return read_plain;
    return NULL;
}
