/* A convolution whose windows lie side by side over a picture (patches of a vision transformer) is a product of rows: patches
 * with weights. For GPUs, whose first convolutions are made for small windows. */
#include <string.h>

#include "pass/pass.h"

enum { SMALLEST = 8 }; /* windows below this have a kernel of their own */

/* NULL: another convolution. Else the weights as rows of what a patch holds. */
static sw_value *weights_of_patches(sw_graph *graph, const sw_node *conv) {
    const sw_tensor *x = &conv->in[0]->type, *y = &conv->out[0]->type;
    if (x->layout != SW_ROW_MAJOR || x->dtype != SW_F32 || x->rank != 4 || y->rank != 4 || !sw_tensor_is_concrete(x) ||
        !sw_tensor_is_concrete(y) || conv->n_in > 3 || !sw_value_is_const(conv->in[1]))
        return NULL;
    sw_tensor w = conv->in[1]->type;
    if (w.dtype != SW_F32 || w.rank != 4 || w.dims[1] != x->dims[1] || (w.dims[2] < SMALLEST && w.dims[3] < SMALLEST))
        return NULL;
    for (int i = 0; i < 2; i++)
        if (sw__node_ints_or(conv, "strides", i, 1) != w.dims[2 + i] ||
            sw__node_ints_or(conv, "dilations", i, 1) != 1 || y->dims[2 + i] * w.dims[2 + i] != x->dims[2 + i])
            return NULL;
    w.rank = 2, w.dims[1] *= w.dims[2] * w.dims[3];
    return sw_graph_add_const(graph, conv->in[1]->name, &w);
}

static sw_value *reshape(sw_graph *graph, sw_node *before, sw_value *value, const int64_t *dims, int n) {
    sw_value *to = sw_graph_const_ints(graph, "dims", dims, n);
    return value && to ? sw_graph_apply(graph, before, SW_OP_Reshape, before->name, 2, (sw_value *[]){value, to})
                       : NULL;
}

static sw_value *transpose(sw_graph *graph, sw_node *before, sw_value *value, const int64_t *perm, int n) {
    sw_value *out = value ? sw_graph_apply(graph, before, SW_OP_Transpose, before->name, 1, &value) : NULL;
    return out && sw_node_set_ints(graph, out->producer, "perm", perm, n) == SW_OK ? out : NULL;
}

/* Sets the type of what a step gives, which graphs of passes know beforehand. */
static sw_value *typed(sw_value *value, const int64_t *dims, int n) {
    if (!value) return NULL;
    value->type = (sw_tensor){.dtype = SW_F32, .rank = n};
    memcpy(value->type.dims, dims, (size_t)n * sizeof *dims);
    return value;
}

static sw_status replace(sw_graph *graph, sw_node *conv, sw_value *weights) {
    const sw_tensor *x = &conv->in[0]->type, *y = &conv->out[0]->type, *w = &conv->in[1]->type;
    int64_t apart[6] = {x->dims[0], x->dims[1], y->dims[2], w->dims[2], y->dims[3], w->dims[3]},
            turned[6] = {x->dims[0], y->dims[2], y->dims[3], x->dims[1], w->dims[2], w->dims[3]},
            rows[4] = {x->dims[0], y->dims[2], y->dims[3], weights->type.dims[1]},
            out[4] = {x->dims[0], y->dims[2], y->dims[3], y->dims[1]};
    static const int64_t order[6] = {0, 2, 4, 1, 3, 5}, to_map[4] = {0, 3, 1, 2};
    sw_value *v = typed(reshape(graph, conv, conv->in[0], apart, 6), apart, 6);
    v = typed(transpose(graph, conv, v, order, 6), turned, 6);
    v = typed(reshape(graph, conv, v, rows, 4), rows, 4);
    sw_value *in[3] = {v, weights, conv->n_in > 2 ? conv->in[2] : NULL};
    v = v ? typed(sw_graph_apply(graph, conv, SW_OP_FusedProduct, conv->name, in[2] ? 3 : 2, in), out, 4) : NULL;
    if (!v) return SW_E_NOMEM;
    sw_node *product = v->producer;
    SW_TRY(sw_node_set_string(graph, product, "activation", sw_node_string(conv, "activation")));
    sw_node_set_int(product, "transposed", 1);
    sw_node_set_float(product, "act_a", sw_node_float(conv, "act_a"));
    sw_node_set_float(product, "act_b", sw_node_float(conv, "act_b"));
    sw_value *map = conv->out[0];
    sw_node *next = conv->next;
    const char *name = conv->name;
    sw_graph_remove_node(graph, conv);
    sw_node *turn = sw_graph_add_node(graph, next, SW_OP_Transpose, name, 1, &v, 1, &map);
    return turn ? sw_node_set_ints(graph, turn, "perm", to_map, 4) : SW_E_NOMEM;
}

sw_status sw__pass_patches(sw_graph *graph) {
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        sw_value *weights = node->op == SW_OP_FusedConv ? weights_of_patches(graph, node) : NULL;
        if (weights) SW_TRY(replace(graph, node, weights));
    }
    return SW_OK;
}
