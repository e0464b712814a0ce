#include "export/tflite/compose.h"

#include <string.h>

sw_value *sw__tfc_nomem(sw_tfc *c) {
    if (c->status == SW_OK) c->status = sw_fail(c->diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    return NULL;
}

void sw__tfc_refuse(sw_tfc *c, const char *why) {
    if (c->status == SW_OK) c->status = sw_export_refuse(c->node, "tflite", why, c->diag);
}

sw_value *sw__tfc_apply(sw_tfc *c, sw_op op, int n, sw_value *const *in) {
    for (int i = 0; i < n; i++)
        if (!in[i]) return NULL;
    sw_value *out = sw_graph_apply(c->graph, c->next, op, c->node->name, n, in);
    return out ? out : sw__tfc_nomem(c);
}

sw_value *sw__tfc_with_int(sw_value *v, const char *name, int64_t to) {
    if (v) sw_node_set_int(v->producer, name, to);
    return v;
}

sw_value *sw__tfc_constant(sw_tfc *c, sw_dtype dtype, int rank, const int64_t *dims) {
    sw_value *v = sw_graph_new_const(c->graph, NULL, dtype, rank, dims);
    return v ? v : sw__tfc_nomem(c);
}

sw_value *sw__tfc_ints(sw_tfc *c, const int64_t *v, int n) {
    sw_value *value = sw_graph_const_ints(c->graph, NULL, v, n);
    return value ? value : sw__tfc_nomem(c);
}

sw_value *sw__tfc_floats(sw_tfc *c, int n, const float *v) {
    sw_value *value = sw__tfc_constant(c, SW_F32, 1, (int64_t[]){n});
    if (value) memcpy(value->type.data, v, (size_t)n * sizeof *v);
    return value;
}

sw_value *sw__tfc_joined(sw_tfc *c, int n, sw_value *const *x, int axis) {
    return n == 1 ? x[0] : sw__tfc_with_int(sw__tfc_apply(c, SW_OP_Concat, n, x), "axis", axis);
}

void sw__tfc_hand_over(sw_tfc *c, int i, sw_value *fresh) {
    sw_value *old = i < c->node->n_out ? c->node->out[i] : NULL;
    if (old && fresh && c->status == SW_OK) sw_graph_replace(c->graph, old, fresh);
}

sw_value *sw__tfc_transposed(sw_tfc *c, sw_value *x, const int64_t *perm, int n) {
    sw_value *out = SW_TFC_APPLY(Transpose, x);
    return out && sw_node_set_ints(c->graph, out->producer, "perm", perm, n) == SW_OK ? out : sw__tfc_nomem(c);
}

void sw__tfc_split(sw_tfc *c, sw_value *x, int axis, int n, const int64_t *lengths, sw_value **out) {
    sw_value *sizes = sw__tfc_ints(c, lengths, n);
    bool good = x && sizes;
    for (int i = 0; i < n; i++) {
        out[i] = good ? sw_graph_add_value(c->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL) : NULL;
        good = good && out[i];
    }
    sw_node *node = NULL;
    if (good)
        node = sw_graph_add_node(c->graph, c->next, SW_OP_Split, c->node->name, 2, (sw_value *[]){x, sizes}, n, out);
    if (node)
        sw_node_set_int(node, "axis", axis);
    else if (x)
        sw__tfc_nomem(c);
    for (int i = 0; i < n && !node; i++) out[i] = NULL;
}

sw_value *sw__tfc_number(sw_tfc *c, double v) {
    sw_value *value = sw__tfc_constant(c, SW_F32, 0, NULL);
    if (value) *(float *)value->type.data = (float)v;
    return value;
}

static const sw_tfc_row *row_of(sw_op op) {
    const sw_tfc_row *const tables[] = {sw__tfc_unroll, sw__tfc_sample, sw__tfc_formula, sw__tfc_einsum};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const sw_tfc_row *row = tables[i]; row->compose; row++)
            if (row->op == op) return row;
    return NULL;
}

bool sw__tfw_composes(sw_op op) {
    return row_of(op) != NULL;
}

sw_status sw__tfw_compose(sw_graph *graph, const sw_diag *diag) {
    for (sw_node *node = graph->first, *next; node; node = next) {
        const sw_tfc_row *row = row_of(node->op);
        sw_tfc c = {.graph = graph, .node = node, .next = node->next, .diag = diag};
        next = node->next;
        if (!row || (row->applies && !row->applies(node))) continue;
        row->compose(&c);
        SW_TRY(c.status);
        sw_graph_remove_node(graph, node);
    }
    return sw_graph_infer(graph, diag);
}
