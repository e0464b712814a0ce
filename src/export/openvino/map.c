/* The table of operators and those that are one layer, or nearly. */
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/minifloat.h"
#include "base/str.h"
#include "export/openvino/map.h"

/* ---- Building blocks ----------------------------------------------------------------------------------------------- */

const char *sw__ov_text(sw_ov_node *n, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    char *copy = sw_arena_strdup(n->ov->graph->arena, text);
    if (!copy) n->ov->status = SW_E_NOMEM;
    return copy ? copy : "";
}

static const char *step_name(sw_ov_node *n) {
    const sw_node *node = n->node;
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i]) return sw__ov_text(n, "%.400s/%d", node->out[i]->name, n->steps++);
    return "";
}

bool sw__ov_has(const sw_ov_node *n, int i) {
    return i < n->node->n_in && n->node->in[i];
}
sw_ov_ref sw__ov_in(sw_ov_node *n, int i) {
    return sw__ov_value(n->ov, sw__ov_has(n, i) ? n->node->in[i] : NULL);
}
const sw_tensor *sw__ov_known(const sw_ov_node *n, int i) {
    return sw__ov_has(n, i) && sw_value_is_const(n->node->in[i]) ? &n->node->in[i]->type : NULL;
}

sw_ov_ref sw__ov_step(sw_ov_node *n, const char *type, int opset, const char *data, int n_in, const sw_ov_ref *in,
                      sw_tensor out) {
    sw_ov_ref ref = {.type = out};
    sw__ov_layer(n->ov, step_name(n), type, opset, data, n_in, in, 1, &ref);
    return ref;
}

sw_status sw__ov_finish(sw_ov_node *n, const char *type, int opset, const char *data, int n_in, const sw_ov_ref *in) {
    const sw_node *node = n->node;
    sw_ov_ref *out = SW_ARENA_ARRAY(n->ov->graph->arena, sw_ov_ref, node->n_out);
    const char *name = NULL;
    if (!out) return SW_E_NOMEM;
    for (int i = node->n_out - 1; i >= 0; i--) {
        out[i].type = node->out[i] ? node->out[i]->type : sw__ov_any(SW_DTYPE_NONE);
        if (node->out[i]) name = node->out[i]->name;
    }
    if (!name) return SW_OK;
    if (node->n_out > 1)
        name = sw__ov_text(n, "%.400s/outputs", name); /* that of an output would be one's of several */
    sw__ov_layer(n->ov, name, type, opset, data, n_in, in, node->n_out, out);
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i]) n->ov->of[node->out[i]->id] = out[i];
    return SW_OK;
}

sw_status sw__ov_alias(sw_ov_node *n, sw_ov_ref ref) {
    n->ov->of[n->node->out[0]->id] = ref;
    return SW_OK;
}

sw_ov_ref sw__ov_list(sw_ov_node *n, const int64_t *v, int count) {
    return sw__ov_ints(n->ov, step_name(n), v, count);
}

sw_ov_ref sw__ov_number(sw_ov_node *n, float v, sw_dtype dtype) {
    sw_tensor t = {.dtype = dtype, .data = sw_arena_alloc(n->ov->graph->arena, 1, sizeof(double))};
    if (!t.data)
        n->ov->status = SW_E_NOMEM;
    else if (dtype == SW_F16)
        *(uint16_t *)t.data = sw_f32_to_f16(v);
    else if (dtype == SW_BF16)
        *(uint16_t *)t.data = sw_f32_to_bf16(v);
    else if (dtype == SW_F64)
        *(double *)t.data = (double)v;
    else
        *(float *)t.data = v;
    return t.data ? sw__ov_const(n->ov, step_name(n), &t) : (sw_ov_ref){.type = t};
}

sw_status sw__ov_refuse(const sw_ov_node *n, const char *why) {
    return sw_export_refuse(n->node, "openvino", why, n->ov->diag);
}

sw_ov_ref sw__ov_reshaped(sw_ov_node *n, int i, int rank, const int64_t *dims) {
    const sw_tensor *known = sw__ov_known(n, i);
    sw_tensor t = known ? *known : sw__ov_any(n->node->in[i]->type.dtype);
    if (known) {
        t.rank = rank;
        for (int k = 0; k < rank; k++) t.dims[k] = dims[k];
        return sw__ov_const(n->ov, step_name(n), &t);
    }
    sw_ov_ref in[] = {sw__ov_in(n, i), sw__ov_list(n, dims, rank)};
    return sw__ov_step(n, "Reshape", 1, "special_zero=\"false\"", 2, in, t);
}

#define NUMPY "auto_broadcast=\"numpy\""

sw_ov_ref sw__ov_binary(sw_ov_node *n, const char *type, sw_ov_ref a, sw_ov_ref b, sw_tensor out) {
    return sw__ov_step(n, type, 1, NUMPY, 2, (sw_ov_ref[]){a, b}, out);
}

const char *sw__ov_attr_list(sw_ov_node *n, const char *name, int count, int64_t missing, int from) {
    const sw_attr *attr = sw_node_attr(n->node, name, SW_ATTR_INTS);
    char text[256] = "";
    for (int i = 0; i < count; i++) {
        size_t used = strlen(text);
        int64_t v = attr->set && from + i < attr->ints.n ? attr->ints.v[from + i] : missing;
        snprintf(text + used, sizeof text - used, "%s%lld", i ? ", " : "", (long long)v);
    }
    return sw__ov_text(n, "%s", text);
}

/* ---- Element by element -------------------------------------------------------------------------------------------- */

static const char *number_text(sw_ov_node *n, float v) {
    char text[SW_FLOAT_TEXT];
    sw_str_from_f32(text, v);
    return sw__ov_text(n, "%s", text);
}

static sw_status map_identity(sw_ov_node *n) {
    return sw__ov_alias(n, sw__ov_in(n, 0));
}

static sw_status map_reciprocal(sw_ov_node *n) {
    sw_ov_ref x = sw__ov_in(n, 0);
    return sw__ov_finish(n, "Power", 1, NUMPY, 2, (sw_ov_ref[]){x, sw__ov_number(n, -1, x.type.dtype)});
}

static sw_status map_gelu(sw_ov_node *n) {
    bool tanh = !strcmp(sw_node_string(n->node, "approximate"), "tanh");
    sw_ov_ref x = sw__ov_in(n, 0);
    return sw__ov_finish(n, "Gelu", 7, tanh ? "approximation_mode=\"TANH\"" : "approximation_mode=\"ERF\"", 1, &x);
}

static sw_status map_swish(sw_ov_node *n) {
    float alpha = sw_node_float(n->node, "alpha");
    sw_ov_ref in[2] = {sw__ov_in(n, 0)};
    if (alpha != 1) in[1] = sw__ov_number(n, alpha, in[0].type.dtype);
    return sw__ov_finish(n, "Swish", 4, "", alpha != 1 ? 2 : 1, in);
}

static sw_status map_elu(sw_ov_node *n) {
    sw_ov_ref x = sw__ov_in(n, 0);
    return sw__ov_finish(n, "Elu", 1, sw__ov_text(n, "alpha=\"%s\"", number_text(n, sw_node_float(n->node, "alpha"))),
                         1, &x);
}

static sw_status map_leaky_relu(sw_ov_node *n) {
    sw_ov_ref x = sw__ov_in(n, 0);
    sw_ov_ref in[] = {x, sw__ov_number(n, sw_node_float(n->node, "alpha"), x.type.dtype)};
    return sw__ov_finish(n, "PRelu", 1, "", 2, in);
}

static sw_status map_prelu(sw_ov_node *n) {
    const sw_tensor *slope = &n->node->in[1]->type, *x = &n->node->in[0]->type;
    bool scalar = sw_tensor_is_concrete(slope) && sw_tensor_count(slope) == 1;
    if (slope->rank == 1 && x->rank != 1 && !scalar) /* OpenVINO would take it for one slope a channel */
        return sw__ov_refuse(n, "slopes along the last axis are not supported in OpenVINO files");
    return sw__ov_finish(n, "PRelu", 1, "", 2, (sw_ov_ref[]){sw__ov_in(n, 0), sw__ov_in(n, 1)});
}

static sw_status map_two_numbers(sw_ov_node *n, const char *type, const char *first, const char *second) {
    sw_ov_ref x = sw__ov_in(n, 0);
    sw_ov_ref in[] = {x, sw__ov_number(n, sw_node_float(n->node, first), x.type.dtype),
                      sw__ov_number(n, sw_node_float(n->node, second), x.type.dtype)};
    return sw__ov_finish(n, type, 1, "", 3, in);
}
static sw_status map_hard_sigmoid(sw_ov_node *n) {
    return map_two_numbers(n, "HardSigmoid", "alpha", "beta");
}
static sw_status map_selu(sw_ov_node *n) {
    return map_two_numbers(n, "Selu", "alpha", "gamma");
}

static sw_status map_mod(sw_ov_node *n) {
    sw_ov_ref in[] = {sw__ov_in(n, 0), sw__ov_in(n, 1)};
    return sw__ov_finish(n, sw_node_int(n->node, "fmod") ? "Mod" : "FloorMod", 1, NUMPY, 2, in);
}

/* ONNX takes any number of inputs. */
static sw_status map_variadic(sw_ov_node *n) {
    static const struct {
        sw_op op;
        const char *type;
    } rows[] = {{SW_OP_Min, "Minimum"}, {SW_OP_Max, "Maximum"}};
    const char *type = "Add";
    for (size_t i = 0; i < 2; i++)
        if (rows[i].op == n->node->op) type = rows[i].type;
    sw_ov_ref sum = sw__ov_in(n, 0);
    int n_in = n->node->n_in;
    bool mean = n->node->op == SW_OP_Mean;
    sw_tensor out = n->node->out[0]->type;
    for (int i = 1; i < n_in; i++) {
        sw_ov_ref in[] = {sum, sw__ov_in(n, i)};
        if (i == n_in - 1 && !mean) return sw__ov_finish(n, type, 1, NUMPY, 2, in);
        sum = sw__ov_binary(n, type, in[0], in[1], sw__ov_any(out.dtype));
    }
    if (!mean) return sw__ov_alias(n, sum);
    sw_ov_ref in[] = {sum, sw__ov_number(n, (float)n_in, out.dtype)};
    return sw__ov_finish(n, "Divide", 1, NUMPY, 2, in);
}

static sw_status map_clip(sw_ov_node *n) {
    sw_ov_ref x = sw__ov_in(n, 0);
    const sw_tensor *lo = sw__ov_known(n, 1), *hi = sw__ov_known(n, 2);
    bool known = (lo || !sw__ov_has(n, 1)) && (hi || !sw__ov_has(n, 2));
    if (known && x.type.dtype == SW_F32) {
        const char *least = number_text(n, lo ? (float)sw_tensor_float_at(lo, 0) : -FLT_MAX);
        const char *most = number_text(n, hi ? (float)sw_tensor_float_at(hi, 0) : FLT_MAX);
        return sw__ov_finish(n, "Clamp", 1, sw__ov_text(n, "min=\"%s\" max=\"%s\"", least, most), 1, &x);
    }
    bool has_lo = sw__ov_has(n, 1), has_hi = sw__ov_has(n, 2);
    if (has_lo && has_hi)
        x = sw__ov_binary(n, "Maximum", x, sw__ov_in(n, 1), n->node->out[0]->type);
    else if (has_lo)
        return sw__ov_finish(n, "Maximum", 1, NUMPY, 2, (sw_ov_ref[]){x, sw__ov_in(n, 1)});
    if (!has_hi) return sw__ov_alias(n, x);
    return sw__ov_finish(n, "Minimum", 1, NUMPY, 2, (sw_ov_ref[]){x, sw__ov_in(n, 2)});
}

static const char *element_of(sw_dtype dtype) {
    static const char *const names[SW_DTYPE_COUNT] = {
        [SW_F32] = "f32", [SW_F16] = "f16", [SW_BF16] = "bf16",   [SW_F64] = "f64", [SW_U8] = "u8",
        [SW_I8] = "i8",   [SW_U16] = "u16", [SW_I16] = "i16",     [SW_U32] = "u32", [SW_I32] = "i32",
        [SW_U64] = "u64", [SW_I64] = "i64", [SW_BOOL] = "boolean"};
    return names[dtype] ? names[dtype] : "dynamic";
}

static sw_status map_cast(sw_ov_node *n) {
    sw_ov_ref x = sw__ov_in(n, 0);
    sw_dtype dtype = n->node->out[0]->type.dtype;
    if (sw_dtype_is_minifloat(dtype) || sw_dtype_is_packed(dtype))
        return sw__ov_refuse(n, "numbers of less than 8 bits and floats of 8 are not supported");
    const char *data = sw__ov_text(n, "destination_type=\"%s\"", element_of(dtype));
    return sw__ov_finish(n, "Convert", 1, data, 1, &x);
}

static sw_status map_axis(sw_ov_node *n, const char *type, int opset) {
    sw_ov_ref x = sw__ov_in(n, 0);
    const char *data = sw__ov_text(n, "axis=\"%lld\"", (long long)sw_node_int(n->node, "axis"));
    return sw__ov_finish(n, type, opset, data, 1, &x);
}
static sw_status map_softmax(sw_ov_node *n) {
    return map_axis(n, "SoftMax", 8);
}
static sw_status map_log_softmax(sw_ov_node *n) {
    return map_axis(n, "LogSoftmax", 5);
}

static sw_status map_concat(sw_ov_node *n) {
    int n_in = n->node->n_in;
    sw_ov_ref *in = SW_ARENA_ARRAY(n->ov->graph->arena, sw_ov_ref, n_in);
    if (!in) return SW_E_NOMEM;
    for (int i = 0; i < n_in; i++) in[i] = sw__ov_in(n, i);
    const char *data = sw__ov_text(n, "axis=\"%lld\"", (long long)sw_node_int(n->node, "axis"));
    return sw__ov_finish(n, "Concat", 1, data, n_in, in);
}

static sw_status map_einsum(sw_ov_node *n) {
    int n_in = n->node->n_in, length = 0;
    char equation[256];
    sw_ov_ref in[8];
    if (n_in > 8) return sw__ov_refuse(n, "more than 8 inputs");
    for (int i = 0; i < n_in; i++) in[i] = sw__ov_in(n, i);
    for (const char *at = sw_node_string(n->node, "equation"); *at; at++) { /* ONNX lets spaces stand in it */
        if (length == sizeof equation - 1) return sw__ov_refuse(n, "its equation is too long");
        if (*at != ' ') equation[length++] = *at;
    }
    equation[length] = 0;
    return sw__ov_finish(n, "Einsum", 7, sw__ov_text(n, "equation=\"%s\"", equation), n_in, in);
}

/* ---- The table ----------------------------------------------------------------------------------------------------- */

/* One layer with the inputs as they are; `map` where there is more to it. */
static const struct row {
    sw_op op;
    const char *type;
    int opset;
    const char *data;
    sw_ov_mapper map;
} rows[] = {
#define ONE(op, type, opset)                                                                                           \
    { SW_OP_##op, type, opset, "", NULL }
#define BINARY(op, type, opset)                                                                                        \
    { SW_OP_##op, type, opset, NUMPY, NULL }
#define MAP(op, function)                                                                                              \
    { SW_OP_##op, NULL, 0, NULL, function }
    ONE(Abs, "Abs", 1),
    ONE(Neg, "Negative", 1),
    ONE(Sign, "Sign", 1),
    ONE(Exp, "Exp", 1),
    ONE(Log, "Log", 1),
    ONE(Sqrt, "Sqrt", 1),
    ONE(Floor, "Floor", 1),
    ONE(Ceil, "Ceiling", 1),
    ONE(Sin, "Sin", 1),
    ONE(Cos, "Cos", 1),
    ONE(Tan, "Tan", 1),
    ONE(Asin, "Asin", 1),
    ONE(Acos, "Acos", 1),
    ONE(Atan, "Atan", 1),
    ONE(Sinh, "Sinh", 1),
    ONE(Cosh, "Cosh", 1),
    ONE(Tanh, "Tanh", 1),
    ONE(Asinh, "Asinh", 4),
    ONE(Acosh, "Acosh", 4),
    ONE(Atanh, "Atanh", 4),
    ONE(Erf, "Erf", 1),
    ONE(Sigmoid, "Sigmoid", 1),
    ONE(Relu, "ReLU", 1),
    ONE(Softplus, "SoftPlus", 4),
    ONE(Softsign, "SoftSign", 9),
    ONE(HardSwish, "HSwish", 4),
    ONE(Mish, "Mish", 4),
    ONE(Not, "LogicalNot", 1),
    ONE(IsNaN, "IsNaN", 10),
    ONE(BitwiseNot, "BitwiseNot", 13),
    {SW_OP_Round, "Round", 5, "mode=\"half_to_even\"", NULL},
    {SW_OP_MatMul, "MatMul", 1, "transpose_a=\"false\" transpose_b=\"false\"", NULL},
    {SW_OP_Expand, "Broadcast", 3, "mode=\"bidirectional\"", NULL},
    {SW_OP_NonZero, "NonZero", 3, "output_type=\"i64\"", NULL},
    {SW_OP_CastLike, "ConvertLike", 1, "", NULL},
    {SW_OP_Tile, "Tile", 1, "", NULL},
    {SW_OP_Squeeze, "Squeeze", 1, "", NULL},
    {SW_OP_Unsqueeze, "Unsqueeze", 1, "", NULL},
    BINARY(Add, "Add", 1),
    BINARY(Sub, "Subtract", 1),
    BINARY(Mul, "Multiply", 1),
    {SW_OP_Div, "Divide", 1, NUMPY " m_pythondiv=\"false\"", NULL},
    BINARY(Pow, "Power", 1),
    BINARY(And, "LogicalAnd", 1),
    BINARY(Or, "LogicalOr", 1),
    BINARY(Xor, "LogicalXor", 1),
    BINARY(Equal, "Equal", 1),
    BINARY(Less, "Less", 1),
    BINARY(LessOrEqual, "LessEqual", 1),
    BINARY(Greater, "Greater", 1),
    BINARY(GreaterOrEqual, "GreaterEqual", 1),
    BINARY(Where, "Select", 1),
    BINARY(BitwiseAnd, "BitwiseAnd", 13),
    BINARY(BitwiseOr, "BitwiseOr", 13),
    BINARY(BitwiseXor, "BitwiseXor", 13),
    MAP(Identity, map_identity),
    MAP(Reciprocal, map_reciprocal),
    MAP(Gelu, map_gelu),
    MAP(Swish, map_swish),
    MAP(Elu, map_elu),
    MAP(LeakyRelu, map_leaky_relu),
    MAP(PRelu, map_prelu),
    MAP(HardSigmoid, map_hard_sigmoid),
    MAP(Selu, map_selu),
    MAP(Mod, map_mod),
    MAP(Min, map_variadic),
    MAP(Max, map_variadic),
    MAP(Sum, map_variadic),
    MAP(Mean, map_variadic),
    MAP(Clip, map_clip),
    MAP(Cast, map_cast),
    MAP(Softmax, map_softmax),
    MAP(LogSoftmax, map_log_softmax),
    MAP(Concat, map_concat),
    MAP(Einsum, map_einsum),
    MAP(Conv, sw__ov_conv),
    MAP(ConvTranspose, sw__ov_conv_transpose),
    MAP(Gemm, sw__ov_gemm),
    MAP(MaxPool, sw__ov_pool),
    MAP(AveragePool, sw__ov_pool),
    MAP(GlobalAveragePool, sw__ov_global_pool),
    MAP(GlobalMaxPool, sw__ov_global_pool),
    MAP(BatchNormalization, sw__ov_batch_norm),
    MAP(LayerNormalization, sw__ov_layer_norm),
    MAP(InstanceNormalization, sw__ov_instance_norm),
    MAP(Resize, sw__ov_resize),
    MAP(GridSample, sw__ov_grid_sample),
    MAP(LSTM, sw__ov_lstm),
    MAP(NonMaxSuppression, sw__ov_nms),
    MAP(QuantizeLinear, sw__ov_quantize),
    MAP(DequantizeLinear, sw__ov_dequantize),
    MAP(Shape, sw__ov_shape),
    {SW_OP_Reshape, NULL, 0, NULL, sw__ov_flatten},
    MAP(Flatten, sw__ov_flatten),
    MAP(Transpose, sw__ov_transpose),
    MAP(Split, sw__ov_split),
    MAP(Slice, sw__ov_slice),
    MAP(Pad, sw__ov_pad),
    MAP(TopK, sw__ov_topk),
    MAP(ArgMax, sw__ov_arg_reduce),
    MAP(ArgMin, sw__ov_arg_reduce),
    MAP(ReduceSum, sw__ov_reduce),
    MAP(ReduceMean, sw__ov_reduce),
    MAP(ReduceMax, sw__ov_reduce),
    MAP(ReduceMin, sw__ov_reduce),
    MAP(ReduceProd, sw__ov_reduce),
    MAP(ReduceL1, sw__ov_reduce),
    MAP(ReduceL2, sw__ov_reduce),
    MAP(OneHot, sw__ov_one_hot),
    MAP(ConstantOfShape, sw__ov_constant_of_shape),
    MAP(Range, sw__ov_range),
    MAP(Gather, sw__ov_gather),
    MAP(GatherElements, sw__ov_gather),
    MAP(GatherND, sw__ov_gather),
    MAP(ScatterND, sw__ov_gather),
    MAP(ScatterElements, sw__ov_scatter_elements),
    MAP(DepthToSpace, sw__ov_depth_space),
    MAP(SpaceToDepth, sw__ov_depth_space),
    MAP(CumSum, sw__ov_gather),
#undef ONE
#undef BINARY
#undef MAP
};

static const struct row *row_of(sw_op op) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].op == op) return &rows[i];
    return NULL;
}

bool sw_openvino_knows(sw_op op) {
    return op == SW_OP_Dfl || row_of(op);
}

sw_status sw__ov_map(sw_ov *ov, const sw_node *node) {
    sw_ov_node n = {.ov = ov, .node = node};
    const struct row *row = row_of(node->op);
    if (!row) return sw__ov_refuse(&n, NULL);
    if (row->map) return row->map(&n);
    sw_ov_ref in[3];
    int n_in = 0;
    for (int i = 0; i < node->n_in && i < 3; i++)
        if (node->in[i]) in[n_in++] = sw__ov_in(&n, i);
    return sw__ov_finish(&n, row->type, row->opset, row->data, n_in, in);
}
