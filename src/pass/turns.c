/* Transpositions between a channels-last map and its pixels as rows, N C H W and N H W C: where a Relayout stands beside
 * one, the two together move nothing, nor do they where the pixels become one axis. The transposition then reads or writes the
 * map where it lies. Transpositions of axes of one element become Reshape. For CPUs and GPUs. */
#include "pass/pass.h"

static bool has_perm(const sw_node *node, int64_t a, int64_t b, int64_t c, int64_t d) {
    if (!node || node->op != SW_OP_Transpose || node->out[0]->type.dtype != SW_F32) return false;
    const sw_attr *perm = sw_node_attr(node, "perm", SW_ATTR_INTS);
    if (!perm->set || perm->ints.n != 4) return false;
    const int64_t *p = perm->ints.v;
    return p[0] == a && p[1] == b && p[2] == c && p[3] == d;
}

bool sw__is_turn_to_rows(const sw_node *node) {
    return has_perm(node, 0, 2, 3, 1);
}
bool sw__is_turn_to_map(const sw_node *node) {
    return has_perm(node, 0, 3, 1, 2);
}

/* Whether axes of more than one element stay in their order: nothing moves. Dims must be known. */
static bool moves_nothing(const sw_node *node) {
    const sw_tensor *x = &node->in[0]->type;
    const sw_attr *perm = sw_node_attr(node, "perm", SW_ATTR_INTS);
    if (!perm->set || !sw_tensor_is_concrete(x) || sw_tensor_count(x) == 0 || x->layout != node->out[0]->type.layout ||
        perm->ints.n != x->rank)
        return false;
    int64_t last = -1;
    for (int i = 0; i < x->rank; i++) {
        if (x->dims[perm->ints.v[i]] == 1) continue;
        if (perm->ints.v[i] < last) return false;
        last = perm->ints.v[i];
    }
    return true;
}

/* The same as a Reshape, which is a view. */
static sw_status as_reshape(sw_graph *graph, sw_node *node) {
    sw_value *in[2] = {node->in[0]}, *out = node->out[0];
    in[1] = sw_graph_const_ints(graph, "dims", out->type.dims, out->type.rank);
    sw_node *next = node->next;
    const char *name = node->name;
    sw_graph_remove_node(graph, node);
    return in[1] && sw_graph_add_node(graph, next, SW_OP_Reshape, name, 2, in, 1, &out) ? SW_OK : SW_E_NOMEM;
}

/* Relayout, Reshape to [batch, channels, pixels], Transpose to [batch, pixels, channels]: pixels as rows, reshaped. */
static sw_status turn_flat(sw_graph *graph, sw_node *node, bool *done) {
    static const int64_t to_rows[4] = {0, 2, 3, 1};
    const sw_attr *perm = sw_node_attr(node, "perm", SW_ATTR_INTS);
    const sw_node *flat = node->in[0]->producer, *before = flat ? flat->in[0]->producer : NULL;
    *done = false;
    if (!perm->set || perm->ints.n != 3 || perm->ints.v[0] != 0 || perm->ints.v[1] != 2 || !before ||
        (flat->op != SW_OP_Reshape && flat->op != SW_OP_Flatten) || before->op != SW_OP_Relayout ||
        before->out[0]->type.layout != SW_ROW_MAJOR)
        return SW_OK;
    const sw_tensor *map = &before->in[0]->type, *rows = &node->out[0]->type;
    if (map->rank != 4 || !sw_tensor_is_concrete(map) || !sw_tensor_is_concrete(rows) ||
        rows->dims[0] != map->dims[0] || rows->dims[1] != map->dims[2] * map->dims[3] || rows->dims[2] != map->dims[1])
        return SW_OK;
    sw_value *in[2] = {before->in[0]}, *out = node->out[0];
    sw_value *turned = sw_graph_apply(graph, node, SW_OP_Transpose, node->name, 1, in);
    if (!turned) return SW_E_NOMEM;
    SW_TRY(sw_node_set_ints(graph, turned->producer, "perm", to_rows, 4));
    turned->type =
        (sw_tensor){.dtype = map->dtype, .rank = 4, .dims = {map->dims[0], map->dims[2], map->dims[3], map->dims[1]}};
    in[0] = turned;
    in[1] = sw_graph_const_ints(graph, "dims", rows->dims, rows->rank);
    sw_node *next = node->next;
    const char *name = node->name;
    sw_graph_remove_node(graph, node);
    *done = true;
    return in[1] && sw_graph_add_node(graph, next, SW_OP_Reshape, name, 2, in, 1, &out) ? SW_OK : SW_E_NOMEM;
}

sw_status sw__pass_turns(sw_graph *graph) {
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (node->op == SW_OP_Transpose && moves_nothing(node)) {
            SW_TRY(as_reshape(graph, node));
            continue;
        }
        bool done = false;
        if (node->op == SW_OP_Transpose) SW_TRY(turn_flat(graph, node, &done));
        if (done) continue;
        sw_node *before = node->n_in && node->in[0] ? node->in[0]->producer : NULL;
        if (!before) continue;
        if (sw__is_turn_to_rows(node) && before->op == SW_OP_Relayout && before->out[0]->type.layout == SW_ROW_MAJOR) {
            sw_node_set_input(node, 0, before->in[0]);
        } else if (node->op == SW_OP_Relayout && sw__is_turn_to_map(before) &&
                   node->out[0]->type.layout == SW_CHANNELS_LAST) {
            sw_value *map = node->out[0], *rows = before->in[0];
            const sw_attr perm = *sw_node_attr(before, "perm", SW_ATTR_INTS);
            sw_graph_remove_node(graph, node);
            sw_node *turn = sw_graph_add_node(graph, next, SW_OP_Transpose, before->name, 1, &rows, 1, &map);
            if (!turn) return SW_E_NOMEM;
            turn->attrs[0] = perm;
        }
    }
    return sw__pass_dead_code(graph, NULL);
}
