/* The decoded distribution of box sides, as exporters write it: Reshape to N 4 bins A, Transpose to N bins 4 A,
 * Softmax over the bins, 1x1 convolution with the weights 0, 1, 2 ..., Reshape to N 4 A. One Dfl instead. */
#include <string.h>

#include "pass/pass.h"

static sw_node *maker(const sw_node *node, sw_op op) {
    sw_node *found = node->in[0] ? node->in[0]->producer : NULL;
    return found && found->op == op && found->out[0] && found->out[0]->uses == 1 ? found : NULL;
}

/* Weights 1, bins, 1, 1 that count up from 0, without bias; returns the bins, 0 for other convolutions. */
static int64_t counting_conv(const sw_node *conv) {
    const sw_value *w = conv->in[1];
    if (!sw_value_is_const(w) || w->type.dtype != SW_F32 || w->type.rank != 4 || w->type.dims[0] != 1) return 0;
    if (w->type.dims[2] != 1 || w->type.dims[3] != 1 || sw_node_int(conv, "group") != 1) return 0;
    const float *v = w->type.data,
                *bias = conv->n_in > 2 && sw_value_is_const(conv->in[2]) ? conv->in[2]->type.data : NULL;
    if ((conv->n_in > 2 && conv->in[2] && !bias) || (bias && *bias != 0)) return 0;
    for (int64_t i = 0; i < w->type.dims[1]; i++)
        if (v[i] != (float)i) return 0;
    return w->type.dims[1];
}

static bool swaps_sides(const sw_node *transpose) {
    const sw_attr *perm = sw_node_attr(transpose, "perm", SW_ATTR_INTS);
    return perm->ints.n == 4 && memcmp(perm->ints.v, (int64_t[]){0, 2, 1, 3}, 4 * sizeof(int64_t)) == 0;
}

/* Reshape's constant dims: batch, 4, then as given; the last may be -1. */
static bool reshapes_to(const sw_node *reshape, int n, int64_t third) {
    const sw_value *dims = reshape->in[1];
    if (!sw_value_is_const(dims) || dims->type.rank != 1 || dims->type.dims[0] != n) return false;
    return sw_tensor_int_at(&dims->type, 1) == 4 && (n == 3 || sw_tensor_int_at(&dims->type, 2) == third);
}

/* The input of the pattern that ends in this Reshape, and its bins; NULL when it is another. */
static sw_value *match(const sw_node *last, int64_t *bins) {
    const sw_node *conv = maker(last, SW_OP_Conv);
    if (!conv || !reshapes_to(last, 3, 0)) return NULL;
    *bins = counting_conv(conv);
    const sw_node *softmax = *bins ? maker(conv, SW_OP_Softmax) : NULL;
    if (!softmax || sw_node_int(softmax, "axis") != 1 || sw_node_int(softmax, "to_end")) return NULL;
    const sw_node *transpose = maker(softmax, SW_OP_Transpose);
    if (!transpose || !swaps_sides(transpose)) return NULL;
    const sw_node *first = maker(transpose, SW_OP_Reshape);
    if (!first || !reshapes_to(first, 4, *bins) || first->in[0]->type.rank != 3 || first->in[0]->type.dtype != SW_F32)
        return NULL;
    return first->in[0]->type.dims[1] == 4 * *bins ? first->in[0] : NULL;
}

sw_status sw__pass_dfl(sw_graph *graph, const sw_diag *diag) {
    (void)diag;
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        int64_t bins;
        sw_value *x = node->op == SW_OP_Reshape ? match(node, &bins) : NULL;
        if (!x) continue;
        sw_value *out = node->out[0];
        const char *name = node->name;
        sw_graph_remove_node(graph, node);
        sw_node *dfl = sw_graph_add_node(graph, next, SW_OP_Dfl, name, 1, &x, 1, &out);
        if (!dfl) return SW_E_NOMEM;
        sw_node_set_int(dfl, "bins", bins);
    }
    return sw__pass_dead_code(graph, diag);
}
