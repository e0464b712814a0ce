/* The operators that ONNX Runtime's optimiser, quantiser and transformer tools put into models of vision, in terms of
 * ONNX's own (ONNX Runtime, docs/ContribOperators.md; its kernels where that is silent). */
#include <string.h>

#include "import/onnx/model.h"

/* ---- Nodes ----------------------------------------------------------------------------------------------- */

/* After the first failure all makers do nothing and give NULL. */
typedef struct maker {
    sw__draft *d;
    sw_status status;
} maker;

#define IN(...)                                                                                                        \
    (int)(sizeof((sw_value *[]){__VA_ARGS__}) / sizeof(sw_value *)), (sw_value *[]) {                                  \
        __VA_ARGS__                                                                                                    \
    }

/* A node whose attributes are still to be set; its value is given by settle(). `suffix` NULL: the draft's output. */
static sw_node *start(maker *m, sw_op op, const char *suffix, int n_in, sw_value *const *in) {
    sw_node *node = NULL;
    if (m->status == SW_OK) m->status = sw__onnx_start(m->d, op, suffix, n_in, in, &node);
    return node;
}

static sw_value *settle(maker *m, sw_node *node) {
    if (m->status != SW_OK) return NULL;
    sw_value *made = node->out[0];
    m->status = sw__onnx_settle(m->d->im, node);
    return made;
}

static sw_value *make(maker *m, sw_op op, const char *suffix, int n_in, sw_value *const *in) {
    return settle(m, start(m, op, suffix, n_in, in));
}

/* A node with the attributes of the draft that nothing took. */
static sw_value *make_alike(maker *m, sw_op op, const char *suffix, int n_in, sw_value *const *in) {
    sw_node *node = start(m, op, suffix, n_in, in);
    if (m->status == SW_OK) m->status = sw__onnx_set_attrs(m->d, node);
    for (int i = 0; i < m->d->n_attrs; i++) m->d->taken[i] = true;
    return settle(m, node);
}

static sw_value *make_ints(maker *m, const char *suffix, const int64_t *v, int n) {
    sw_value *value = NULL;
    if (m->status == SW_OK) m->status = sw__onnx_new_ints(m->d, suffix, v, n, &value);
    return value;
}

static sw_value *times(maker *m, const char *suffix, sw_value *x, float factor) {
    sw_value *value = NULL;
    if (m->status == SW_OK) m->status = sw__onnx_new_float(m->d, "factor", factor, x, &value);
    return make(m, SW_OP_Mul, suffix, IN(x, value));
}

/* `x` with an addend that may be absent. */
static sw_value *plus(maker *m, const char *suffix, sw_value *x, sw_value *addend) {
    return addend ? make(m, SW_OP_Add, suffix, IN(x, addend)) : x;
}

static sw_value *refuse(maker *m, const char *what) {
    if (m->status == SW_OK) m->status = sw__draft_fail(m->d, SW_E_UNSUPPORTED, "%s is not supported", what);
    return NULL;
}

/* ---- Attributes and inputs ------------------------------------------------------------------------------- */

static int64_t take_int(maker *m, const char *name, int64_t missing) {
    const sw__onnx_attr *attr = NULL;
    if (m->status == SW_OK) m->status = sw__onnx_take(m->d, name, SW__ATTR_INT, &attr);
    return attr ? attr->i : missing;
}

static float take_float(maker *m, const char *name, float missing) {
    const sw__onnx_attr *attr = NULL;
    if (m->status == SW_OK) m->status = sw__onnx_take(m->d, name, SW__ATTR_FLOAT, &attr);
    return attr ? attr->f : missing;
}

static const char *take_string(maker *m, const char *name, const char *missing) {
    const sw__onnx_attr *attr = NULL;
    const char *text = missing;
    if (m->status == SW_OK) m->status = sw__onnx_take(m->d, name, SW__ATTR_STRING, &attr);
    if (attr && m->status == SW_OK) m->status = sw__onnx_string(m->d->im, attr, m->d->proto->op, &text);
    return text;
}

/* Input `i`, NULL where it is absent. */
static sw_value *in(const maker *m, int i) {
    return i < m->d->n_in ? m->d->in[i] : NULL;
}

/* The axes of `x` in another order: the last two exchanged; the first one before the last; channels from last to second
 * and back. */
typedef enum order { SWAP, FIRST_TO_ROWS, TO_CHANNELS_FIRST, TO_CHANNELS_LAST } order;

static sw_value *transpose(maker *m, const char *suffix, sw_value *x, order to) {
    if (m->status != SW_OK) return NULL;
    int rank = x->type.rank;
    if (rank < 2) return refuse(m, "an input of unknown rank, or of rank below 2,");
    int64_t perm[SW_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        if (to == SWAP) perm[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
        if (to == FIRST_TO_ROWS) perm[i] = i < rank - 2 ? i + 1 : i == rank - 2 ? 0 : i;
        if (to == TO_CHANNELS_FIRST) perm[i] = i == 0 ? 0 : i == 1 ? rank - 1 : i - 1;
        if (to == TO_CHANNELS_LAST) perm[i] = i == 0 ? 0 : i == rank - 1 ? 1 : i + 1;
    }
    sw_node *node = start(m, SW_OP_Transpose, suffix, IN(x));
    if (m->status == SW_OK) m->status = sw_node_set_ints(m->d->im->graph, node, "perm", perm, rank);
    return settle(m, node);
}

/* Inputs i, i + 1, i + 2: integers, their scale, their zero point or nothing. */
static sw_value *dequantized(maker *m, const char *suffix, int i) {
    return make(m, SW_OP_DequantizeLinear, suffix, IN(in(m, i), in(m, i + 1), in(m, i + 2)));
}

/* The draft's output: `x` by the scale and zero point of inputs i and i + 1. */
static sw_value *quantized(maker *m, sw_value *x, int i) {
    return make(m, SW_OP_QuantizeLinear, NULL, IN(x, in(m, i), in(m, i + 1)));
}

/* ---- Fused operators ------------------------------------------------------------------------------------- */

/* An activation by ONNX's name with its parameters; NULL (or "") passes `x` on under the draft's name. */
static sw_value *activated(maker *m, sw_value *x, const char *name, const float *v, int n) {
    static const struct kind {
        const char *name, *parameters[2];
        sw_op op;
    } kinds[] = {{"", {0}, SW_OP_Identity},
                 {"Relu", {0}, SW_OP_Relu},
                 {"Tanh", {0}, SW_OP_Tanh},
                 {"Sigmoid", {0}, SW_OP_Sigmoid},
                 {"HardSwish", {0}, SW_OP_HardSwish},
                 {"LeakyRelu", {"alpha"}, SW_OP_LeakyRelu},
                 {"HardSigmoid", {"alpha", "beta"}, SW_OP_HardSigmoid}};
    if (m->status != SW_OK) return NULL;
    if (strcmp(name, "Clip") == 0 && n == 2) {
        sw_value *low = NULL, *high = NULL;
        m->status = sw__onnx_new_float(m->d, "low", v[0], x, &low);
        if (m->status == SW_OK) m->status = sw__onnx_new_float(m->d, "high", v[1], x, &high);
        return make(m, SW_OP_Clip, NULL, IN(x, low, high));
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) != 0) continue;
        sw_node *node = start(m, kinds[i].op, NULL, IN(x));
        for (int k = 0; node && k < n && k < 2 && kinds[i].parameters[k]; k++)
            sw_node_set_float(node, kinds[i].parameters[k], v[k]);
        return settle(m, node);
    }
    m->status = sw__draft_fail(m->d, SW_E_UNSUPPORTED, "the activation '%.40s' is not supported", name);
    return NULL;
}

/* X, W, bias, addend; the addend comes before the activation. */
static void fused_conv(maker *m) {
    const sw__onnx_attr *given = NULL;
    const float *v = NULL;
    int n = 0;
    const char *name = take_string(m, "activation", "");
    if (m->status == SW_OK) m->status = sw__onnx_take(m->d, "activation_params", SW__ATTR_FLOATS, &given);
    if (given && m->status == SW_OK) m->status = sw__onnx_floats(m->d->im, given, &v, &n);
    sw_value *made = make_alike(m, SW_OP_Conv, "conv", in(m, 2) ? 3 : 2, m->d->in);
    activated(m, plus(m, "sum", made, in(m, 3)), name, v, n);
}

static void fused_gemm(maker *m) {
    const char *name = take_string(m, "activation", "");
    float v[2] = {take_float(m, "activation_alpha", 0.01f), take_float(m, "activation_beta", 0)};
    activated(m, make_alike(m, SW_OP_Gemm, "product", in(m, 2) ? 3 : 2, m->d->in), name, v, 2);
}

static void fused_matmul(maker *m) {
    static const struct {
        const char *batch, *turn, *suffix;
    } names[2] = {{"transBatchA", "transA", "a"}, {"transBatchB", "transB", "b"}};
    float alpha = take_float(m, "alpha", 1);
    sw_value *factors[2] = {in(m, 0), in(m, 1)};
    for (int i = 0; i < 2; i++) {
        bool batch = take_int(m, names[i].batch, 0), turn = take_int(m, names[i].turn, 0);
        if (batch) factors[i] = transpose(m, names[i].suffix, factors[i], FIRST_TO_ROWS);
        if (turn) factors[i] = transpose(m, names[i].suffix, factors[i], SWAP);
    }
    sw_value *made = make(m, SW_OP_MatMul, alpha == 1 ? NULL : "product", 2, factors);
    if (alpha != 1) times(m, NULL, made, alpha);
}

static void gelu(maker *m) {
    make(m, SW_OP_Gelu, NULL, IN(plus(m, "biased", in(m, 0), in(m, 1))));
}

static void fast_gelu(maker *m) {
    sw_node *node = start(m, SW_OP_Gelu, NULL, IN(plus(m, "biased", in(m, 0), in(m, 1))));
    if (m->status == SW_OK) m->status = sw_node_set_string(m->d->im->graph, node, "approximate", "tanh");
    settle(m, node);
}

static void quick_gelu(maker *m) {
    float alpha = take_float(m, "alpha", 1.702f);
    sw_node *node = start(m, SW_OP_Swish, NULL, IN(in(m, 0)));
    if (node) sw_node_set_float(node, "alpha", alpha);
    settle(m, node);
}

/* The sum of input, skip and bias, which may be output 4, in the order of the inputs `skip`, then `bias`. */
static sw_value *skipped(maker *m, int bias) {
    sw_value *sum = plus(m, "sum", make(m, SW_OP_Add, "skip", IN(in(m, 0), in(m, 1))), in(m, bias)), *out = NULL;
    const sw__onnx_node *proto = m->d->proto;
    for (int i = 1; i < 3 && i < proto->n_out; i++)
        if (*proto->out[i]) refuse(m, "an output with statistics");
    if (proto->n_out < 4 || !*proto->out[3] || m->status != SW_OK) return sum;
    m->status = sw__onnx_output(m->d, 3, &out);
    if (m->status != SW_OK || !out) return sum;
    sw_node *node = sw_graph_add_node(m->d->im->graph, NULL, SW_OP_Identity, proto->name, 1, &sum, 1, &out);
    m->status = node ? sw__onnx_settle(m->d->im, node) : sw__onnx_nomem(m->d->im);
    return sum;
}

/* input, skip, scale, shift, bias */
static void skip_layer_norm(maker *m) {
    float epsilon = take_float(m, "epsilon", 1e-12f);
    sw_value *all[] = {skipped(m, 4), in(m, 2), in(m, 3)};
    sw_node *node = start(m, SW_OP_LayerNormalization, NULL, all[2] ? 3 : 2, all);
    if (node) sw_node_set_float(node, "epsilon", epsilon);
    settle(m, node);
}

/* input, skip, scale, bias */
static void skip_rms_norm(maker *m) {
    float epsilon = take_float(m, "epsilon", 1e-12f);
    sw_node *node = start(m, SW_OP_RMSNormalization, NULL, IN(skipped(m, 3), in(m, 2)));
    if (node) sw_node_set_float(node, "epsilon", epsilon);
    settle(m, node);
}

/* ---- Attention ------------------------------------------------------------------------------------------- */

static sw_value *attended(maker *m, sw_value *q, sw_value *k, sw_value *v, sw_value *mask) {
    int64_t heads = take_int(m, "num_heads", 0), causal = take_int(m, "unidirectional", 0);
    float scale = take_float(m, "scale", 0);
    take_float(m, "mask_filter_value", 0); /* of masks by key, which are refused */
    for (int i = 1; i < m->d->proto->n_out; i++)
        if (*m->d->proto->out[i]) refuse(m, "an output with keys, values or scores");
    if (m->status == SW_OK && heads < 1)
        m->status = sw__draft_fail(m->d, SW_E_MODEL, "num_heads is missing or below 1");
    sw_value *all[] = {q, k, v, mask};
    sw_node *node = start(m, SW_OP_Attention, NULL, mask ? 4 : 3, all);
    if (!node) return NULL;
    sw_node_set_int(node, "q_num_heads", heads);
    sw_node_set_int(node, "kv_num_heads", heads);
    sw_node_set_int(node, "is_causal", causal);
    if (scale > 0) sw_node_set_float(node, "scale", scale);
    return settle(m, node);
}

/* Cuts the last axis of `x` in three, by `lengths` or evenly. */
static void split_in_three(maker *m, const char *suffix, sw_value *x, const int64_t *lengths, sw_value **parts) {
    if (m->status == SW_OK) m->status = sw__onnx_split(m->d, suffix, x, -1, lengths, 3, parts);
}

/* input, weights and bias of query, key and value side by side, mask, past, addend of the scores */
static void attention(maker *m) {
    const sw__onnx_attr *sizes = NULL;
    const int64_t *lengths = NULL;
    int n = 0;
    sw_value *parts[3] = {0};
    if (in(m, 3)) refuse(m, "a mask by key");
    if (in(m, 4) || m->d->n_in > 6) refuse(m, "a cache of keys and values");
    if (m->status == SW_OK) m->status = sw__onnx_take(m->d, "qkv_hidden_sizes", SW__ATTR_INTS, &sizes);
    if (sizes && m->status == SW_OK) m->status = sw__onnx_ints(m->d->im, sizes, &lengths, &n);
    if (sizes && m->status == SW_OK && n != 3)
        m->status = sw__draft_fail(m->d, SW_E_MODEL, "qkv_hidden_sizes has %d numbers; expected: 3", n);
    sw_value *all = plus(m, "biased", make(m, SW_OP_MatMul, "product", IN(in(m, 0), in(m, 1))), in(m, 2));
    split_in_three(m, "part", all, lengths, parts);
    attended(m, parts[0], parts[1], parts[2], in(m, 5));
}

/* query, key, value, one bias for all three, mask by key, addend of the scores */
static void multi_head_attention(maker *m) {
    sw_value *parts[] = {in(m, 0), in(m, 1), in(m, 2)}, *bias[3] = {0};
    if (!parts[1] || !parts[2]) refuse(m, "one tensor for query, key and value");
    if (in(m, 4)) refuse(m, "a mask by key");
    if (m->d->n_in > 6) refuse(m, "a cache of keys and values");
    for (int i = 0; i < 3 && m->status == SW_OK; i++)
        if (parts[i]->type.rank != 3) refuse(m, "an input whose rank is not 3");
    if (in(m, 3) && m->status == SW_OK) {
        int64_t lengths[3];
        for (int i = 0; i < 3; i++) lengths[i] = parts[i]->type.dims[2];
        if (lengths[0] < 0 || lengths[1] < 0 || lengths[2] < 0) refuse(m, "a bias to vectors of unknown length");
        split_in_three(m, "bias", in(m, 3), lengths, bias);
        for (int i = 0; i < 3; i++) parts[i] = make(m, SW_OP_Add, "biased", IN(parts[i], bias[i]));
    }
    attended(m, parts[0], parts[1], parts[2], in(m, 5));
}

/* ---- Quantised operators --------------------------------------------------------------------------------- */

static void qlinear_binary(maker *m, sw_op op) {
    sw_value *a = dequantized(m, "a", 0), *b = dequantized(m, "b", 3);
    quantized(m, make(m, op, "float", IN(a, b)), 6);
}
static void qlinear_add(maker *m) {
    qlinear_binary(m, SW_OP_Add);
}
static void qlinear_mul(maker *m) {
    qlinear_binary(m, SW_OP_Mul);
}

static void qlinear_sigmoid(maker *m) {
    quantized(m, make(m, SW_OP_Sigmoid, "float", IN(dequantized(m, "x", 0))), 3);
}

static void qlinear_leaky_relu(maker *m) {
    quantized(m, make_alike(m, SW_OP_LeakyRelu, "float", IN(dequantized(m, "x", 0))), 3);
}

/* In opsets below 13 over all axes from `axis` on. */
static void qlinear_softmax(maker *m) {
    int64_t opset = take_int(m, "opset", 13), axis = take_int(m, "axis", opset < 13 ? 1 : -1);
    sw_node *node = start(m, SW_OP_Softmax, "float", IN(dequantized(m, "x", 0)));
    if (node) sw_node_set_int(node, "axis", axis);
    if (node && opset < 13) sw_node_set_int(node, "to_end", 1);
    quantized(m, settle(m, node), 3);
}

static void qlinear_pool(maker *m, sw_op op) {
    bool last = take_int(m, "channels_last", 0);
    sw_value *x = dequantized(m, "x", 0);
    if (last) x = transpose(m, "first", x, TO_CHANNELS_FIRST);
    x = make_alike(m, op, "float", IN(x));
    quantized(m, last ? transpose(m, "last", x, TO_CHANNELS_LAST) : x, 3);
}
static void qlinear_average_pool(maker *m) {
    qlinear_pool(m, SW_OP_AveragePool);
}
static void qlinear_global_average_pool(maker *m) {
    qlinear_pool(m, SW_OP_GlobalAveragePool);
}

static void nhwc_max_pool(maker *m) {
    sw_value *x = make_alike(m, SW_OP_MaxPool, "pool", IN(transpose(m, "first", in(m, 0), TO_CHANNELS_FIRST)));
    transpose(m, NULL, x, TO_CHANNELS_LAST);
}

/* scale and zero point of the result, then each part with its own */
static void qlinear_concat(maker *m) {
    int n = (m->d->n_in - 2) / 3;
    sw_value **parts = SW_ARENA_ARRAY(m->d->im->arena, sw_value *, n);
    if (!parts && m->status == SW_OK) m->status = sw__onnx_nomem(m->d->im);
    for (int i = 0; i < n && m->status == SW_OK; i++) {
        if (!in(m, 2 + 3 * i) || !in(m, 3 + 3 * i)) refuse(m, "an absent part");
        parts[i] = dequantized(m, "part", 2 + 3 * i);
    }
    quantized(m, make_alike(m, SW_OP_Concat, "float", n, parts), 0);
}

/* condition, then X and Y with scale and zero point, then those of the result */
static void qlinear_where(maker *m) {
    sw_value *x = dequantized(m, "x", 1), *y = dequantized(m, "y", 4);
    quantized(m, make(m, SW_OP_Where, "float", IN(in(m, 0), x, y)), 7);
}

/* The product of integers less zero points as floats in units of 1; `c`: an addend of integers, or NULL. */
static sw_value *product(maker *m, sw_value *a, sw_value *a_zero, sw_value *b, sw_value *b_zero, sw_value *c) {
    sw_value *all[] = {a, b, a_zero, b_zero};
    sw_value *sum = plus(m, "sum", make(m, SW_OP_MatMulInteger, "product", b_zero ? 4 : a_zero ? 3 : 2, all), c);
    sw_node *node = start(m, SW_OP_Cast, "float", IN(sum));
    if (node) sw_node_set_int(node, "to", 1 /* TensorProto.FLOAT */);
    return settle(m, node);
}

/* A, B, C of int32 or nothing, each factor with scale and zero point; those of the result, which is float without. */
static void qgemm(maker *m) {
    float alpha = take_float(m, "alpha", 1);
    bool turn_a = take_int(m, "transA", 0), turn_b = take_int(m, "transB", 0);
    sw_value *a = turn_a ? transpose(m, "a", in(m, 0), SWAP) : in(m, 0);
    sw_value *b = turn_b ? transpose(m, "b", in(m, 3), SWAP) : in(m, 3);
    sw_value *scale = make(m, SW_OP_Mul, "scale", IN(in(m, 1), in(m, 4)));
    if (alpha != 1) scale = times(m, "scaled", scale, alpha);
    sw_value *sum = product(m, a, in(m, 2), b, in(m, 5), in(m, 6));
    sw_value *made = make(m, SW_OP_Mul, in(m, 7) ? "result" : NULL, IN(sum, scale));
    if (in(m, 7)) quantized(m, made, 7);
}

/* A, B, scale and zero point of B, bias; A is quantised by its own range */
static void dynamic_quantize_matmul(maker *m) {
    sw_value *parts[3] = {0};
    for (int i = 0; i < 3 && m->status == SW_OK; i++) m->status = sw__onnx_new_value(m->d, "a", &parts[i]);
    if (m->status != SW_OK) return;
    sw_graph *graph = m->d->im->graph;
    sw_node *node = sw_graph_add_node(graph, NULL, SW_OP_DynamicQuantizeLinear, parts[0]->name, 1, m->d->in, 3, parts);
    m->status = node ? sw__onnx_settle(m->d->im, node) : sw__onnx_nomem(m->d->im);
    sw_value *scale = make(m, SW_OP_Mul, "scale", IN(parts[1], in(m, 2)));
    sw_value *sum = product(m, parts[0], parts[2], in(m, 1), in(m, 3), NULL), *bias = in(m, 4);
    sw_value *made = make(m, SW_OP_Mul, bias ? "result" : NULL, IN(sum, scale));
    if (bias) plus(m, NULL, made, bias);
}

/* A, B, their scales, their zero points, bias */
static void matmul_integer_to_float(maker *m) {
    sw_value *scale = make(m, SW_OP_Mul, "scale", IN(in(m, 2), in(m, 3))), *bias = in(m, 6);
    sw_value *sum = product(m, in(m, 0), in(m, 4), in(m, 1), in(m, 5), NULL);
    sw_value *made = make(m, SW_OP_Mul, bias ? "result" : NULL, IN(sum, scale));
    if (bias) plus(m, NULL, made, bias);
}

/* Weights directions x inputs x gates of integers, by one scale a direction or one a gate, as LSTM wants them. */
static sw_value *lstm_weights(maker *m, const char *suffix, sw_value *w, sw_value *scale, sw_value *zero) {
    static const int64_t by_direction[] = {0, 1, -1};
    sw_value *dims = make_ints(m, "dims", by_direction, 3);
    sw_value *numbers = make(m, SW_OP_CastLike, suffix, IN(w, scale));
    sw_value *less = make(m, SW_OP_CastLike, suffix, IN(make(m, SW_OP_Reshape, suffix, IN(zero, dims)), scale));
    sw_value *by = make(m, SW_OP_Reshape, suffix, IN(scale, dims));
    return transpose(m, suffix, make(m, SW_OP_Mul, suffix, IN(make(m, SW_OP_Sub, suffix, IN(numbers, less)), by)),
                     SWAP);
}

/* The inputs of LSTM, then scale and zero point of W and of R. Activations stay float, which is nearer to the model
 * that was quantised. */
static void dynamic_quantize_lstm(maker *m) {
    m->d->in[1] = lstm_weights(m, "w", in(m, 1), in(m, 8), in(m, 9));
    m->d->in[2] = lstm_weights(m, "r", in(m, 2), in(m, 10), in(m, 11));
    m->d->n_in = 8;
    while (!m->d->in[m->d->n_in - 1] && m->status == SW_OK) m->d->n_in--;
}

/* ---- The table ------------------------------------------------------------------------------------------- */

/* `needs`: one bit an input that must be there. `op`: what the draft itself becomes, with all outputs and attributes;
 * without it `make` makes output 1. */
static const struct row {
    const char *op;
    unsigned needs;
    void (*make)(maker *m);
    sw_op to;
} rows[] = {
    {"Attention", 0x3, attention, SW_OP_COUNT},
    {"BiasGelu", 0x3, gelu, SW_OP_COUNT},
    {"DequantizeLinear", 0x3, NULL, SW_OP_DequantizeLinear},
    {"DynamicQuantizeLSTM", 0xf07, dynamic_quantize_lstm, SW_OP_LSTM},
    {"DynamicQuantizeMatMul", 0x7, dynamic_quantize_matmul, SW_OP_COUNT},
    {"FastGelu", 0x1, fast_gelu, SW_OP_COUNT},
    {"FusedConv", 0x3, fused_conv, SW_OP_COUNT},
    {"FusedGemm", 0x3, fused_gemm, SW_OP_COUNT},
    {"FusedMatMul", 0x3, fused_matmul, SW_OP_COUNT},
    {"Gelu", 0x1, gelu, SW_OP_COUNT},
    {"MatMulIntegerToFloat", 0xf, matmul_integer_to_float, SW_OP_COUNT},
    {"MultiHeadAttention", 0x1, multi_head_attention, SW_OP_COUNT},
    {"NhwcMaxPool", 0x1, nhwc_max_pool, SW_OP_COUNT},
    {"QGemm", 0x1b, qgemm, SW_OP_COUNT},
    {"QLinearAdd", 0xdb, qlinear_add, SW_OP_COUNT},
    {"QLinearAveragePool", 0x1b, qlinear_average_pool, SW_OP_COUNT},
    {"QLinearConcat", 0x1f, qlinear_concat, SW_OP_COUNT},
    {"QLinearGlobalAveragePool", 0x1b, qlinear_global_average_pool, SW_OP_COUNT},
    {"QLinearLeakyRelu", 0x1b, qlinear_leaky_relu, SW_OP_COUNT},
    {"QLinearMul", 0xdb, qlinear_mul, SW_OP_COUNT},
    {"QLinearSigmoid", 0x1b, qlinear_sigmoid, SW_OP_COUNT},
    {"QLinearSoftmax", 0x1b, qlinear_softmax, SW_OP_COUNT},
    {"QLinearWhere", 0x1b7, qlinear_where, SW_OP_COUNT},
    {"QuantizeLinear", 0x7, NULL, SW_OP_QuantizeLinear},
    {"QuickGelu", 0x1, quick_gelu, SW_OP_COUNT},
    {"SkipLayerNormalization", 0x7, skip_layer_norm, SW_OP_COUNT},
    {"SkipSimplifiedLayerNormalization", 0x7, skip_rms_norm, SW_OP_COUNT},
};

static sw_status check_inputs(const sw__draft *d, unsigned needs) {
    for (int i = 0; needs >> i; i++)
        if ((needs >> i & 1) && (i >= d->n_in || !d->in[i]))
            return sw__draft_fail(d, SW_E_MODEL, "input %d is absent; %s needs it", i + 1, d->proto->op);
    if (!d->proto->n_out || !*d->proto->out[0]) return sw__draft_fail(d, SW_E_MODEL, "it has no output");
    return SW_OK;
}

sw_status sw__onnx_microsoft(sw__draft *d) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].op, d->proto->op) != 0) continue;
        SW_TRY(check_inputs(d, rows[i].needs));
        maker m = {d, SW_OK};
        if (rows[i].make) rows[i].make(&m);
        d->op = rows[i].to == SW_OP_COUNT ? SW_OP_Identity : rows[i].to;
        d->done = rows[i].to == SW_OP_COUNT;
        return m.status != SW_OK || !d->done ? m.status : sw__onnx_check_taken(d);
    }
    return SW_OK;
}
