#include "cli/cost.h"

#include "ops/cost.h"

double sw_node_flops(const sw_node *node) {
    enum { PORTS = 8 }; /* more than any such operator has */
    const sw_tensor *in[PORTS] = {0};
    sw_tensor *out[1] = {node->n_out && node->out[0] ? &node->out[0]->type : NULL};
    sw_call c = {.op = node->op, .attrs = node->attrs, .n_in = node->n_in, .n_out = 1, .in = in, .out = out};
    if (c.n_in > PORTS) return 0;
    for (int i = 0; i < c.n_in; i++) in[i] = node->in[i] ? &node->in[i]->type : NULL;
    double macs = sw_call_macs(&c);
    return macs < 0 ? -1 : 2 * macs;
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
