#include <string.h>

#include "ir/graph.h"

/* What the verifier knows of each value while it walks the nodes in order. */
typedef struct check {
    const sw_graph *graph;
    const sw_diag *diag;
    bool *made; /* by value id: usable from here on */
    int *uses;  /* by value id: counted afresh */
} check;

static sw_status bad_node(const check *c, const sw_node *node, const char *what, const char *name) {
    char where[256];
    snprintf(where, sizeof where, "node '%.160s' (%s)", node->name, sw_op_get(node->op)->name);
    return sw_fail(c->diag, SW_E_MODEL, where, NULL, what, name);
}

static sw_status check_arity(const check *c, const sw_node *node) {
    const sw_op_info *info = sw_op_get(node->op);
    char text[96];
    if (node->n_in < info->min_in || (info->max_in != SW_VARIADIC && node->n_in > info->max_in)) {
        snprintf(text, sizeof text, "it has %d inputs, but takes %d to %d", node->n_in, info->min_in, info->max_in);
        return bad_node(c, node, "%s", text);
    }
    if (node->n_out < info->min_out || (info->max_out != SW_VARIADIC && node->n_out > info->max_out)) {
        snprintf(text, sizeof text, "it has %d outputs, but gives %d to %d", node->n_out, info->min_out,
                 info->max_out);
        return bad_node(c, node, "%s", text);
    }
    for (int i = 0; i < info->min_in; i++)
        if (!node->in[i]) return bad_node(c, node, "%s", "a required input is absent");
    for (int i = 0; i < info->n_attrs; i++)
        if (info->attrs[i].required && !node->attrs[i].set)
            return bad_node(c, node, "the required attribute '%s' is missing", info->attrs[i].name);
    return SW_OK;
}

static sw_status check_node(const check *c, const sw_node *node) {
    SW_TRY(check_arity(c, node));
    for (int i = 0; i < node->n_in; i++) {
        const sw_value *value = node->in[i];
        if (!value) continue;
        if (!c->made[value->id]) return bad_node(c, node, "input '%s' is used before it is made", value->name);
        c->uses[value->id]++;
    }
    for (int i = 0; i < node->n_out; i++) {
        const sw_value *value = node->out[i];
        if (!value) continue;
        if (c->made[value->id]) return bad_node(c, node, "output '%s' is made twice", value->name);
        if (value->producer != node) return bad_node(c, node, "output '%s' has another producer", value->name);
        c->made[value->id] = true;
    }
    return SW_OK;
}

static sw_status check_values(const check *c) {
    const sw_graph *graph = c->graph;
    for (int i = 0; i < graph->n_inputs; i++) {
        const sw_value *input = graph->inputs[i];
        if (input->producer || input->type.data || c->made[input->id])
            return sw_fail(c->diag, SW_E_MODEL, NULL, NULL, "graph input '%s' is given twice", input->name);
        c->made[input->id] = true;
    }
    for (size_t i = 0; i < graph->n_values; i++) {
        const sw_value *value = graph->values[i];
        if (!value->type.data) continue;
        if (value->producer || sw_tensor_bytes(&value->type) < 0)
            return sw_fail(c->diag, SW_E_MODEL, NULL, NULL, "constant '%s' has no fixed type or a producer",
                           value->name);
        c->made[value->id] = true;
    }
    return SW_OK;
}

static sw_status check_all(const check *c) {
    const sw_graph *graph = c->graph;
    SW_TRY(check_values(c));
    int nodes = 0;
    for (const sw_node *node = graph->first; node; node = node->next, nodes++) SW_TRY(check_node(c, node));
    for (int i = 0; i < graph->n_outputs; i++) {
        if (!c->made[graph->outputs[i]->id])
            return sw_fail(c->diag, SW_E_MODEL, NULL, NULL, "graph output '%s' is never made",
                           graph->outputs[i]->name);
        c->uses[graph->outputs[i]->id]++;
    }
    for (size_t i = 0; i < graph->n_values; i++)
        if (c->uses[i] != graph->values[i]->uses)
            return sw_fail(c->diag, SW_E_INTERNAL, NULL, NULL, "value '%s' counts %d uses, but has %d",
                           graph->values[i]->name, graph->values[i]->uses, c->uses[i]);
    if (nodes != graph->n_nodes) return sw_fail(c->diag, SW_E_INTERNAL, NULL, NULL, "the node count is wrong");
    return SW_OK;
}

sw_status sw_graph_verify(const sw_graph *graph, const sw_diag *diag) {
    check c = {.graph = graph, .diag = diag};
    c.made = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *c.made);
    c.uses = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *c.uses);
    sw_status status = c.made && c.uses ? check_all(&c) : sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    sw_free(graph->allocator, c.made);
    sw_free(graph->allocator, c.uses);
    return status;
}
