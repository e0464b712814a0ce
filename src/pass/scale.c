/* A factor per column behind a product with constant weights (the layer scale of ConvNeXt and of newer transformers), or behind
 * its bias or a transposition, becomes part of the weights and of the bias. */
#include "pass/pass.h"

static bool is_f32_const(const sw_value *value) {
    return sw_value_is_const(value) && value->type.dtype == SW_F32;
}

/* A chain product, bias (or none), transposition (or none). */
typedef struct target {
    sw_node *product, *bias;
    int64_t columns;
    int axis, rank; /* where the columns lie in what is multiplied */
} target;

static bool find_product(sw_node *node, target *t) {
    if (!node || node->out[0]->uses != 1) return false;
    const sw_tensor *y = &node->out[0]->type;
    if (node->op == SW_OP_Add && !t->bias && y->rank == t->rank)
        for (int i = 0; i < 2; i++)
            if (is_f32_const(node->in[i]) && node->in[1 - i]->producer) {
                t->bias = node;
                return find_product(node->in[1 - i]->producer, t);
            }
    const sw_tensor *w = node->n_in > 1 && node->in[1] ? &node->in[1]->type : NULL;
    if (node->op != SW_OP_MatMul || !is_f32_const(node->in[1]) || w->rank != 2 || y->rank != t->rank) return false;
    t->product = node;
    t->columns = w->dims[1];
    return true;
}

/* The chain that `value` ends; axis and rank are set. */
static bool find_chain(const sw_value *value, target *t) {
    sw_node *node = value->producer;
    *t = (target){.rank = value->type.rank};
    if (!node || t->rank < 2) return false;
    t->axis = t->rank - 1;
    if (node->op == SW_OP_Transpose) {
        const sw_attr *perm = sw_node_attr(node, "perm", SW_ATTR_INTS);
        if (!perm->set || perm->ints.n != t->rank || node->out[0]->uses != 1 || node->in[0]->type.rank != t->rank)
            return false;
        for (int i = 0; i < t->rank; i++)
            if (perm->ints.v[i] == t->rank - 1) t->axis = i;
        node = node->in[0]->producer;
    }
    return find_product(node, t);
}

/* Whether a constant has a factor for each column, and nothing else, when it is broadcast to what the chain ends with. */
static bool is_per_column(const sw_tensor *k, const target *t, int axis) {
    int at = axis - (t->rank - k->rank); /* the axis in the constant */
    return k->rank <= t->rank && at >= 0 && k->dims[at] == t->columns && sw_tensor_count(k) == t->columns;
}

static sw_value *scaled(sw_graph *graph, const sw_value *from, const float *factors, int64_t columns) {
    sw_value *to = sw_graph_new_const(graph, from->name, SW_F32, from->type.rank, from->type.dims);
    const float *x = from->type.data;
    for (int64_t i = 0; to && i < sw_tensor_count(&from->type); i++)
        ((float *)to->type.data)[i] = x[i] * factors[i % columns];
    return to;
}

/* Multiplication by a constant `factors`. */
static sw_status fold(sw_graph *graph, sw_node *mul, sw_value *x, const sw_value *factors) {
    target t;
    if (!is_f32_const(factors) || x->uses != 1 || !find_chain(x, &t) || !is_per_column(&factors->type, &t, t.axis))
        return SW_OK;
    int side = t.bias && is_f32_const(t.bias->in[0]) ? 0 : 1;
    if (t.bias && !is_per_column(&t.bias->in[side]->type, &t, t.rank - 1)) return SW_OK;
    sw_value *weights = scaled(graph, t.product->in[1], factors->type.data, t.columns);
    sw_value *bias = t.bias ? scaled(graph, t.bias->in[side], factors->type.data, t.columns) : NULL;
    if (!weights || (t.bias && !bias)) return SW_E_NOMEM;
    if (!sw_graph_replace(graph, mul->out[0], x)) return SW_OK;
    sw_graph_remove_node(graph, mul);
    sw_node_set_input(t.product, 1, weights);
    if (t.bias) sw_node_set_input(t.bias, side, bias);
    return SW_OK;
}

sw_status sw__pass_scale(sw_graph *graph, const sw_diag *diag) {
    (void)diag;
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (node->op != SW_OP_Mul || node->out[0]->type.dtype != SW_F32) continue;
        for (int i = 0; i < 2; i++)
            if (is_f32_const(node->in[i]) && node->in[1 - i]->producer) {
                SW_TRY(fold(graph, node, node->in[1 - i], node->in[i]));
                break;
            }
    }
    return SW_OK;
}
