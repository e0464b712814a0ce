#include "cli/cost.h"

/* A dim as a number: 1 for an unknown batch, -1 for what else is not known. */
static double dim(const sw_tensor *t, int axis) {
    if (t->dims[axis] >= 0) return (double)t->dims[axis];
    return axis == 0 ? 1 : -1;
}

/* Product of the dims from `first` on; -1 when one is not known. */
static double product(const sw_tensor *t, int first) {
    if (t->rank < 0) return -1;
    double result = 1;
    for (int i = first; i < t->rank; i++) {
        double d = dim(t, i);
        if (d < 0) return -1;
        result *= d;
    }
    return result;
}

static double multiply(double a, double b) {
    return a < 0 || b < 0 ? -1 : 2 * a * b;
}

double sw_node_flops(const sw_node *node) {
    if (node->n_in < 2 || !node->in[0] || !node->in[1] || !node->n_out || !node->out[0]) return 0;
    const sw_tensor *a = &node->in[0]->type, *b = &node->in[1]->type, *y = &node->out[0]->type;
    switch (node->op) {
    case SW_OP_Conv:
        return b->rank < 2 ? -1 : multiply(product(y, 0), product(b, 1));
    case SW_OP_ConvTranspose:
        return b->rank < 2 ? -1 : multiply(product(a, 0), product(b, 1));
    case SW_OP_Gemm:
        return a->rank != 2 ? -1 : multiply(product(y, 0), dim(a, sw_node_int(node, "transA") ? 0 : 1));
    case SW_OP_MatMul:
        return a->rank < 1 ? -1 : multiply(product(y, 0), dim(a, a->rank - 1));
    default:
        return 0;
    }
}

sw_weight sw_value_weight(const sw_value *value) {
    if (!sw_value_is_const(value)) return (sw_weight){0};
    switch (value->type.dtype) {
    case SW_F32:
    case SW_F64:
    case SW_F16:
    case SW_BF16:
    case SW_I8:
    case SW_U8:
        return (sw_weight){sw_tensor_count(&value->type), sw_tensor_bytes(&value->type)};
    default:
        return (sw_weight){0};
    }
}

sw_weight sw_node_weight(const sw_node *node) {
    sw_weight sum = {0};
    for (int i = 0; i < node->n_in; i++) {
        if (!node->in[i]) continue;
        sw_weight w = sw_value_weight(node->in[i]);
        sum.elements += w.elements;
        sum.bytes += w.bytes;
    }
    return sum;
}

sw_weight sw_graph_weight(const sw_graph *graph) {
    sw_weight sum = {0};
    for (size_t i = 0; i < graph->n_values; i++) {
        if (!graph->values[i]->uses) continue;
        sw_weight w = sw_value_weight(graph->values[i]);
        sum.elements += w.elements;
        sum.bytes += w.bytes;
    }
    return sum;
}
