#include <math.h>

#include "pass/pass.h"

/* One of the two inputs of `node` is made by `op` from the other: returns that maker. */
static sw_node *maker_from_other_input(const sw_node *node, sw_op op) {
    for (int i = 0; i < 2; i++) {
        sw_value *value = node->in[i];
        if (value && value->producer && value->producer->op == op && value->producer->in[0] == node->in[1 - i])
            return value->producer;
    }
    return NULL;
}

static bool is_hard_swish(const sw_node *hard_sigmoid) {
    return fabsf(sw_node_float(hard_sigmoid, "alpha") - 1.0f / 6) < 1e-6f &&
           sw_node_float(hard_sigmoid, "beta") == 0.5f;
}

/* The operator that computes `mul`'s result in one step; SW_OP_COUNT when there is none. */
static sw_op match(const sw_node *mul, sw_value **x) {
    const sw_node *maker = maker_from_other_input(mul, SW_OP_Sigmoid);
    sw_op op = SW_OP_Swish;
    if (!maker) {
        maker = maker_from_other_input(mul, SW_OP_HardSigmoid);
        op = SW_OP_HardSwish;
        if (!maker || !is_hard_swish(maker)) return SW_OP_COUNT;
    }
    *x = maker->in[0];
    return op;
}

sw_status sw__pass_activations(sw_graph *graph, const sw_diag *diag) {
    (void)diag;
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        sw_value *x;
        sw_op op = node->op == SW_OP_Mul ? match(node, &x) : SW_OP_COUNT;
        if (op == SW_OP_COUNT) continue;
        sw_value *result = node->out[0];
        const char *name = node->name;
        sw_graph_remove_node(graph, node);
        if (!sw_graph_add_node(graph, next, op, name, 1, &x, 1, &result)) return SW_E_NOMEM;
    }
    return sw__pass_dead_code(graph, NULL);
}
