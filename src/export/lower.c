/* Slipway's own and young operators in terms of older ones. */
#include <string.h>

#include "export/export.h"

/* The nodes that take the place of one. Values between them are named after its first output. */
typedef struct lowering {
    sw_graph *graph;
    sw_node *node, *next; /* the one that goes; what stands behind it */
    sw_value *const *in;  /* its inputs */
    const char *name;
    bool memory; /* false: there was not enough */
} lowering;

/* `suffix` NULL: the node's own output. */
static sw_value *step(lowering *l, sw_op op, const char *suffix, int n_in, sw_value *const *in) {
    sw_value *out = l->node->out[0];
    for (int i = 0; i < n_in; i++)
        if (!in[i]) l->memory = false;
    if (!l->memory) return NULL;
    if (suffix) {
        const char *value = sw_arena_printf(l->graph->arena, "%s_%s", l->node->out[0]->name, suffix);
        const sw_tensor *like = &l->node->out[0]->type;
        out = value ? sw_graph_add_value(l->graph, value, like->dtype, like->rank, like->dims) : NULL;
    }
    const char *name = !suffix || !*l->name ? l->name : sw_arena_printf(l->graph->arena, "%s_%s", l->name, suffix);
    if (!out || !name || !sw_graph_add_node(l->graph, l->next, op, name, n_in, in, 1, &out)) l->memory = false;
    return l->memory ? out : NULL;
}

/* Element `i` of a constant of any floating type. */
static void store(const sw_tensor *t, int64_t i, double v) {
    if (t->dtype == SW_F16)
        ((uint16_t *)t->data)[i] = sw_f32_to_f16((float)v);
    else if (t->dtype == SW_BF16)
        ((uint16_t *)t->data)[i] = sw_f32_to_bf16((float)v);
    else if (t->dtype == SW_F64)
        ((double *)t->data)[i] = v;
    else
        ((float *)t->data)[i] = (float)v;
}

/* A constant of one element in the type of the output. */
static sw_value *number(lowering *l, const char *suffix, double v) {
    const char *name = sw_arena_printf(l->graph->arena, "%s_%s", l->node->out[0]->name, suffix);
    sw_dtype dtype = l->node->out[0]->type.dtype;
    sw_value *value = name ? sw_graph_new_const(l->graph, name, dtype, 0, NULL) : NULL;
    if (!value) {
        l->memory = false;
        return NULL;
    }
    store(&value->type, 0, v);
    return value;
}

static sw_value *ints(lowering *l, const char *suffix, const int64_t *v, int n) {
    const char *name = sw_arena_printf(l->graph->arena, "%s_%s", l->node->out[0]->name, suffix);
    sw_value *value = name ? sw_graph_const_ints(l->graph, name, v, n) : NULL;
    if (!value) l->memory = false;
    return value;
}

#define STEP(op, suffix, ...)                                                                                          \
    step(l, SW_OP_##op, suffix, sizeof((sw_value *[]){__VA_ARGS__}) / sizeof(sw_value *), (sw_value *[]){__VA_ARGS__})

/* ---- One function an operator -------------------------------------------------------------------------------------- */

static void lower_swish(lowering *l) {
    sw_value *x = l->in[0], *scaled = x;
    float alpha = sw_node_float(l->node, "alpha");
    if (alpha != 1) scaled = STEP(Mul, "scaled", x, number(l, "alpha", (double)alpha));
    STEP(Mul, NULL, x, STEP(Sigmoid, "sigmoid", scaled));
}

static void lower_hard_swish(lowering *l) {
    sw_value *gate = STEP(HardSigmoid, "gate", l->in[0]);
    if (gate) sw_node_set_float(gate->producer, "alpha", 1.0f / 6);
    STEP(Mul, NULL, l->in[0], gate);
}

static void lower_mish(lowering *l) {
    STEP(Mul, NULL, l->in[0], STEP(Tanh, "tanh", STEP(Softplus, "softplus", l->in[0])));
}

static void lower_gelu(lowering *l) {
    sw_value *x = l->in[0], *half = number(l, "half", 0.5), *one = number(l, "one", 1), *inside;
    if (!strcmp(sw_node_string(l->node, "approximate"), "tanh")) {
        sw_value *cube = STEP(Mul, "cube", STEP(Mul, "square", x, x), x);
        sw_value *sum = STEP(Add, "sum", x, STEP(Mul, "part", cube, number(l, "cubic", 0.044715)));
        inside = STEP(Tanh, "tanh", STEP(Mul, "scaled", sum, number(l, "factor", 0.79788456080286535588)));
    } else
        inside = STEP(Erf, "erf", STEP(Div, "scaled", x, number(l, "root", 1.41421356237309504880)));
    STEP(Mul, NULL, STEP(Mul, "product", x, STEP(Add, "gate", inside, one)), half);
}

/* Softmax over all axes from `axis` on: over one, of the flattened input. */
static void lower_softmax(lowering *l) {
    int64_t axis = sw_node_int(l->node, "axis");
    sw_value *flat = STEP(Flatten, "flat", l->in[0]);
    sw_value *out = step(l, l->node->op, "flat_result", 1, &flat);
    if (!out) return;
    sw_node_set_int(flat->producer, "axis", axis);
    sw_node_set_int(out->producer, "axis", 1);
    STEP(Reshape, NULL, out, STEP(Shape, "shape", l->in[0]));
}

static void lower_dfl(lowering *l) {
    int64_t bins = sw_node_int(l->node, "bins");
    const int64_t split[] = {0, 4, bins, -1}, join[] = {0, 4, -1}, dims[] = {1, bins, 1, 1}, perm[] = {0, 2, 1, 3};
    sw_value *sides = STEP(Reshape, "sides", l->in[0], ints(l, "split", split, 4));
    sw_value *turned = STEP(Transpose, "turned", sides), *soft = STEP(Softmax, "softmax", turned);
    const char *name = sw_arena_printf(l->graph->arena, "%s_bins", l->node->out[0]->name);
    sw_dtype dtype = l->node->out[0]->type.dtype;
    sw_value *weights = name ? sw_graph_new_const(l->graph, name, dtype, 4, dims) : NULL;
    sw_value *mean = STEP(Conv, "mean", soft, weights);
    STEP(Reshape, NULL, mean, ints(l, "join", join, 3));
    if (!l->memory) return;
    for (int64_t i = 0; i < bins; i++) store(&weights->type, i, (double)i);
    sw_node_set_int(soft->producer, "axis", 1);
    l->memory = sw_node_set_ints(l->graph, turned->producer, "perm", perm, 4) == SW_OK;
}

/* Shape of some axes: a part of all. */
static void lower_shape(lowering *l) {
    const sw_attr *end = sw_node_attr(l->node, "end", SW_ATTR_INT);
    const int64_t from = sw_node_int(l->node, "start"), to = end->set ? end->i : INT64_MAX;
    sw_value *shape = STEP(Shape, "all", l->in[0]);
    if (shape) shape->type.rank = SW_RANK_UNKNOWN;
    STEP(Slice, NULL, shape, ints(l, "start", &from, 1), ints(l, "end", &to, 1));
}

static bool is_part(const sw_node *node) {
    return sw_node_int(node, "start") != 0 || sw_node_attr(node, "end", SW_ATTR_INT)->set;
}

static void lower_cast_like(lowering *l) {
    sw_value *out = STEP(Cast, NULL, l->in[0]);
    if (out) sw_node_set_int(out->producer, "to", sw_dtype_onnx(out->type.dtype));
}

static bool knows_type(const sw_node *node) {
    return node->out[0]->type.dtype != SW_DTYPE_NONE;
}

/* (x - mean) / sqrt(mean of squares + epsilon), scaled and shifted. */
static void lower_layer_norm(lowering *l) {
    int64_t axis = sw_node_int(l->node, "axis"), axes[SW_MAX_RANK], n = 0;
    int rank = l->in[0]->type.rank;
    for (int64_t k = axis < 0 ? axis + rank : axis; k < rank; k++) axes[n++] = k - rank;
    sw_value *over = ints(l, "axes", axes, (int)n), *x = l->in[0];
    sw_value *centred = STEP(Sub, "centred", x, STEP(ReduceMean, "mean", x, over));
    sw_value *variance = STEP(ReduceMean, "variance", STEP(Mul, "squares", centred, centred), over);
    sw_value *epsilon = number(l, "epsilon", (double)sw_node_float(l->node, "epsilon"));
    sw_value *deviation = STEP(Sqrt, "deviation", STEP(Add, "sum", variance, epsilon));
    sw_value *normal = STEP(Div, "normal", centred, deviation);
    bool shifted = l->node->n_in > 2 && l->in[2];
    sw_value *scaled = STEP(Mul, shifted ? "scaled" : NULL, normal, l->in[1]);
    if (shifted) STEP(Add, NULL, scaled, l->in[2]);
}

static bool is_plain_norm(const sw_node *node) {
    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] && node->out[i]->uses) return false;
    return node->in[0]->type.rank != SW_RANK_UNKNOWN;
}

static bool is_flattening(const sw_node *node) {
    return sw_node_int(node, "to_end") != 0;
}

/* ---- The table ----------------------------------------------------------------------------------------------------- */

static const struct row {
    sw_op op;
    int below; /* replaced in opsets below; 0: in all. (ONNX Runtime 1.32 has no kernel for Swish of opset 24.) */
    bool (*applies)(const sw_node *node);
    void (*lower)(lowering *l);
} rows[] = {
    {SW_OP_Swish, SW_EXPORT_NEWEST, NULL, lower_swish},
    {SW_OP_HardSwish, 14, NULL, lower_hard_swish},
    {SW_OP_Mish, 18, NULL, lower_mish},
    {SW_OP_Gelu, 20, NULL, lower_gelu},
    {SW_OP_LayerNormalization, 17, is_plain_norm, lower_layer_norm},
    {SW_OP_Shape, 15, is_part, lower_shape},
    {SW_OP_CastLike, 15, knows_type, lower_cast_like},
    {SW_OP_Softmax, 0, is_flattening, lower_softmax},
    {SW_OP_LogSoftmax, 0, is_flattening, lower_softmax},
    {SW_OP_Hardmax, 0, is_flattening, lower_softmax},
    {SW_OP_Dfl, 0, NULL, lower_dfl},
};

static const struct row *row_of(const sw_node *node, int opset) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].op == node->op && (!rows[i].below || opset < rows[i].below) &&
            (!rows[i].applies || rows[i].applies(node)))
            return &rows[i];
    return NULL;
}

/* Graph outputs that are constants are made by a node: formats know no others. */
static sw_status name_constants(sw_graph *graph, const sw_diag *diag) {
    for (int i = 0; i < graph->n_outputs; i++) {
        sw_value *value = graph->outputs[i];
        if (!sw_value_is_const(value)) continue;
        const char *name = sw_arena_printf(graph->arena, "%s_constant", value->name);
        sw_value *out =
            name ? sw_graph_add_value(graph, name, value->type.dtype, value->type.rank, value->type.dims) : NULL;
        if (!out || !sw_graph_add_node(graph, NULL, SW_OP_Identity, name, 1, &value, 1, &out))
            return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
        sw_graph_replace_output(graph, value, out);
    }
    return SW_OK;
}

sw_status sw_export_lower(sw_graph *graph, int opset, const sw_diag *diag) {
    sw_graph_forget_unused(graph);
    SW_TRY(name_constants(graph, diag));
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        for (int i = 0; i < sw_op_bodies(node->op); i++)
            SW_TRY(sw_export_lower(node->attrs[i].body->code, opset, diag));
        const struct row *row = row_of(node, opset);
        if (!row) continue;
        lowering l = {.graph = graph, .node = node, .next = next, .in = node->in, .name = node->name, .memory = true};
        sw_graph_remove_node(graph, node);
        row->lower(&l);
        if (!l.memory) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    }
    return SW_OK;
}
