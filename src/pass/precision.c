/* Precision: maps of the channels-last region become halves, of half the bytes of float32; convolutions change from one to the
 * other where they read and write, and add in float32. What leaves the region stays float32, and so do the convolutions that
 * write it: the last ones of a head, with all that decodes them. */
#include "kernels/nhwc/nhwc.h"
#include "pass/pass.h"

/* Values that must have one type form a class, named by one of them (union-find). */
typedef struct classes {
    uint32_t *parent; /* by value id */
    bool *is_float;   /* of the class: it stays float32 */
} classes;

static bool is_map(const sw_value *v) {
    return v && v->type.layout == SW_CHANNELS_LAST && v->type.dtype == SW_F32;
}

static uint32_t class_of(const classes *k, uint32_t id) {
    while (k->parent[id] != id) id = k->parent[id] = k->parent[k->parent[id]];
    return id;
}

static void join(classes *k, const sw_value *a, const sw_value *b) {
    if (!is_map(a) || !is_map(b)) return;
    uint32_t x = class_of(k, a->id), y = class_of(k, b->id);
    k->parent[x] = y;
    k->is_float[y] |= k->is_float[x];
}

static void keep_float(classes *k, const sw_value *v) {
    if (is_map(v)) k->is_float[class_of(k, v->id)] = true;
}

static void look(classes *k, const sw_node *node) {
    if (node->op == SW_OP_FusedConv) { /* reads one type and writes another; what it adds has the type of its output */
        if (node->n_in > 3) join(k, node->in[3], node->out[0]);
    } else if (sw_nhwc_moves(node->op)) {
        for (int i = 0; i < node->n_in; i++) join(k, node->in[i], node->out[0]);
        for (int i = 1; i < node->n_out; i++) join(k, node->out[i], node->out[0]);
    } else {
        for (int i = 0; i < node->n_in; i++) keep_float(k, node->in[i]);
        for (int i = 0; i < node->n_out; i++) keep_float(k, node->out[i]);
    }
}

static sw_status set_types(sw_graph *graph, const classes *k, sw_dtype type) {
    for (size_t i = 0; i < graph->n_values; i++) {
        sw_value *v = graph->values[i];
        if (is_map(v) && !v->type.data && !k->is_float[class_of(k, v->id)]) v->type.dtype = type;
    }
    for (sw_node *node = graph->first; node; node = node->next)
        if (node->op == SW_OP_FusedConv && node->out[0]->type.dtype != node->in[0]->type.dtype)
            SW_TRY(sw_node_set_string(graph, node, "out_type", sw_dtype_name(node->out[0]->type.dtype)));
    return SW_OK;
}

sw_status sw_pass_halves(sw_graph *graph, sw_dtype type) {
    sw_status status = SW_E_NOMEM;
    classes k = {.parent = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *k.parent),
                 .is_float = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *k.is_float)};
    if (!k.parent || !k.is_float) goto out;
    for (size_t i = 0; i < graph->n_values; i++) k.parent[i] = (uint32_t)i;
    for (const sw_node *node = graph->first; node; node = node->next) look(&k, node);
    for (int i = 0; i < graph->n_inputs; i++) keep_float(&k, graph->inputs[i]);
    for (int i = 0; i < graph->n_outputs; i++) keep_float(&k, graph->outputs[i]);
    status = set_types(graph, &k, type);
out:
    sw_free(graph->allocator, k.parent);
    sw_free(graph->allocator, k.is_float);
    return status;
}
