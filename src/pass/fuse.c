/* Convolution, activation and residual addition become one node. Float32 only: that is what fused kernels compute. */
#include <string.h>

#include "pass/pass.h"

sw_node *sw__only_reader(const sw_graph *graph, const sw_node *node) {
    sw_value *value = node->out[0];
    if (value->uses != 1 || sw_graph_is_output(graph, value)) return NULL;
    int ahead = 0; /* readers are near; a file made to be slow shall not be */
    for (sw_node *reader = node->next; reader && ahead < 4096; reader = reader->next, ahead++)
        for (int i = 0; i < reader->n_in; i++)
            if (reader->in[i] == value) return reader;
    return NULL;
}

/* Bounds of Clip that are constant; absent ones are the type's. */
static bool clip_bounds(const sw_node *node, sw_activation *act) {
    double v[2] = {-3.4028234663852886e38, 3.4028234663852886e38};
    for (int i = 1; i < node->n_in; i++)
        if (node->in[i] && !sw__const_scalar(node->in[i], &v[i - 1])) return false;
    act->a = (float)v[0];
    act->b = (float)v[1];
    return true;
}

bool sw__match_activation(const sw_node *node, sw_activation *act) {
    *act = (sw_activation){0};
    switch (node->op) {
    case SW_OP_Relu:
        act->name = "relu";
        return true;
    case SW_OP_Sigmoid:
        act->name = "sigmoid";
        return true;
    case SW_OP_HardSwish:
        act->name = "hardswish";
        return true;
    case SW_OP_Swish:
        act->name = "silu";
        return sw_node_float(node, "alpha") == 1;
    case SW_OP_Clip:
        act->name = "clip";
        return clip_bounds(node, act);
    case SW_OP_LeakyRelu:
        *act = (sw_activation){"leaky", sw_node_float(node, "alpha"), 0};
        return true;
    case SW_OP_HardSigmoid:
        *act = (sw_activation){"hardsigmoid", sw_node_float(node, "alpha"), sw_node_float(node, "beta")};
        return true;
    default:
        return false;
    }
}

sw_value *sw__match_residual(const sw_node *add, const sw_value *value) {
    if (add->op != SW_OP_Add || add->in[0] == add->in[1]) return NULL;
    sw_value *other = add->in[add->in[0] == value ? 1 : 0];
    const sw_tensor *a = &value->type, *b = &other->type;
    if (a->dtype != b->dtype || a->rank != b->rank || a->rank < 0) return NULL;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] == SW_DIM_UNKNOWN || a->dims[i] != b->dims[i]) return NULL;
    return other;
}

/* A convolution and what is taken from behind it. */
typedef struct chain {
    sw_node *nodes[3]; /* the convolution first */
    int n;
    sw_activation act;
    sw_value *residual;
    bool before; /* the residual comes before the activation */
} chain;

/* Takes an activation and a residual, in either order. */
static chain collect(const sw_graph *graph, sw_node *conv) {
    chain c = {.nodes = {conv}, .n = 1, .act = {"none", 0, 0}};
    bool activated = false;
    while (c.n < 3) {
        sw_node *last = c.nodes[c.n - 1], *reader = sw__only_reader(graph, last);
        sw_activation found;
        sw_value *other;
        if (reader && !activated && sw__match_activation(reader, &found)) {
            c.act = found;
            c.before = c.residual != NULL;
            activated = true;
        } else if (reader && !c.residual && (other = sw__match_residual(reader, last->out[0]))) {
            c.residual = other;
        } else {
            break;
        }
        c.nodes[c.n++] = reader;
    }
    return c;
}

/* The node stands where the last of the chain stood: the residual is made by then. */
static sw_status fuse(sw_graph *graph, sw_node *conv) {
    chain c = collect(graph, conv);
    sw_node *last = c.nodes[c.n - 1], *before = last->next;
    sw_value *in[4] = {conv->in[0], conv->in[1], conv->n_in > 2 ? conv->in[2] : NULL, c.residual}, *out = last->out[0];
    for (int i = 0; i < c.n; i++) sw_graph_remove_node(graph, c.nodes[i]);
    sw_node *fused = sw_graph_add_node(graph, before, SW_OP_FusedConv, conv->name,
                                       c.residual ? 4
                                       : in[2]    ? 3
                                                  : 2,
                                       in, 1, &out);
    if (!fused) return SW_E_NOMEM;
    memcpy(fused->attrs, conv->attrs, (size_t)sw_op_get(SW_OP_Conv)->n_attrs * sizeof *conv->attrs);
    SW_TRY(sw_node_set_string(graph, fused, "activation", c.act.name));
    sw_node_set_float(fused, "act_a", c.act.a);
    sw_node_set_float(fused, "act_b", c.act.b);
    sw_node_set_int(fused, "residual_before_act", c.before);
    return SW_OK;
}

sw_status sw__pass_fuse(sw_graph *graph, const sw_diag *diag) {
    (void)diag;
    for (sw_node *node = graph->first, *next; node; node = next) {
        sw_node *prev = node->prev;
        next = node->next;
        if (node->op != SW_OP_Conv || node->out[0]->type.dtype != SW_F32) continue;
        SW_TRY(fuse(graph, node));
        next = prev ? prev->next : graph->first; /* what followed may be part of the chain */
        if (next && next->op == SW_OP_FusedConv) next = next->next;
    }
    return SW_OK;
}
