/* What exporters write about channels of maps as several nodes: slices that share them out without a rest are one Split, and
 * Reshape, Transpose, Reshape over groups of them a ChannelShuffle. Both work on channels-last maps. */
#include "ops/shape.h"
#include "pass/pass.h"

enum { MOST_PARTS = 16, MOST_AHEAD = 1000 }; /* nodes behind the first slice */

typedef struct part {
    sw_node *node;
    int64_t from, to;
} part;

static bool is_map(const sw_value *v) {
    return v && v->type.rank == 4 && v->type.dtype == SW_F32 && sw_dim_known(v->type.dims[1]);
}

/* One number of an input that may be absent. */
static bool number(const sw_node *node, int input, int64_t otherwise, int64_t *v) {
    const sw_value *value = input < node->n_in ? node->in[input] : NULL;
    *v = otherwise;
    if (!value) return true;
    if (!sw_value_is_const(value) || sw_tensor_count(&value->type) != 1) return false;
    *v = sw_tensor_int_at(&value->type, 0);
    return true;
}

static int64_t clamp(int64_t at, int64_t channels) {
    if (at < 0) at += channels;
    return at < 0 ? 0 : at > channels ? channels : at;
}

/* A slice of some neighbouring channels. */
static bool match_slice(sw_node *node, part *p) {
    int64_t axis, step, channels;
    if (node->op != SW_OP_Slice || !is_map(node->in[0]) || !node->out[0]) return false;
    if (!number(node, 1, 0, &p->from) || !number(node, 2, 0, &p->to) || !number(node, 3, 0, &axis) ||
        !number(node, 4, 1, &step) || (axis != 1 && axis != -3) || step != 1)
        return false;
    channels = node->in[0]->type.dims[1];
    p->node = node, p->from = clamp(p->from, channels), p->to = clamp(p->to, channels);
    return p->from < p->to;
}

/* All slices of the value, which are behind its first one, in the order of channels; 0: they leave a rest, or overlap. */
static int find_parts(sw_node *first, part parts[MOST_PARTS]) {
    int n = 0, ahead = 0;
    for (sw_node *node = first; node && n < first->in[0]->uses && ahead < MOST_AHEAD; node = node->next, ahead++) {
        part p;
        if (node->op != SW_OP_Slice || node->in[0] != first->in[0]) continue;
        if (n == MOST_PARTS || !match_slice(node, &p)) return 0;
        int at = n++;
        for (; at > 0 && parts[at - 1].from > p.from; at--) parts[at] = parts[at - 1];
        parts[at] = p;
    }
    for (int i = 0; i < n; i++)
        if (parts[i].from != (i ? parts[i - 1].to : 0)) return 0;
    return n > 1 && parts[n - 1].to == first->in[0]->type.dims[1] ? n : 0;
}

/* `next`: the node behind all that was rewritten. */
static sw_status split(sw_graph *graph, sw_node *first, const sw_diag *diag, sw_node **next) {
    part parts[MOST_PARTS];
    int64_t lengths[MOST_PARTS];
    sw_value *outs[MOST_PARTS], *x = first->in[0];
    int n = find_parts(first, parts);
    const char *name = first->name;
    if (n == 0) return SW_OK;
    for (int i = 0; i < n; i++) lengths[i] = parts[i].to - parts[i].from, outs[i] = parts[i].node->out[0];
    sw_value *sizes = sw_graph_const_ints(graph, name, lengths, n);
    if (!sizes) return SW_E_NOMEM;
    for (int i = 0; i < n; i++) {
        if (parts[i].node == *next) *next = (*next)->next;
        sw_graph_remove_node(graph, parts[i].node);
    }
    sw_node *after = x->producer ? x->producer->next : graph->first;
    sw_node *node = sw_graph_add_node(graph, after, SW_OP_Split, name, 2, (sw_value *[]){x, sizes}, n, outs);
    if (!node) return SW_E_NOMEM;
    sw_node_set_int(node, "axis", 1);
    return sw_node_infer(graph, node, diag);
}

static bool same_dims(const int64_t *a, const int64_t *b, int n) {
    for (int i = 0; i < n; i++)
        if (a[i] != b[i] || a[i] == SW_DIM_UNKNOWN) return false;
    return true;
}

/* Groups of channels that the three nodes which end in this Reshape shuffle; 0: they do something else. */
static int64_t match_shuffle(const sw_graph *graph, const sw_node *last, sw_value **x) {
    static const int64_t swapped[] = {0, 2, 1, 3, 4};
    const sw_node *turn = last->in[0] ? last->in[0]->producer : NULL;
    if (!turn || turn->op != SW_OP_Transpose || sw__only_reader(graph, turn) != last || !is_map(last->out[0])) return 0;
    const sw_attr *perm = sw_node_attr(turn, "perm", SW_ATTR_INTS);
    const sw_node *first = turn->in[0] ? turn->in[0]->producer : NULL;
    if (perm->ints.n != 5 || !same_dims(perm->ints.v, swapped, 5)) return 0;
    if (!first || first->op != SW_OP_Reshape || sw__only_reader(graph, first) != turn || !is_map(first->in[0])) return 0;
    *x = first->in[0];
    const int64_t *in = (*x)->type.dims, *split = first->out[0]->type.dims, *out = last->out[0]->type.dims;
    bool same = same_dims(in, out, 4) && in[0] == split[0] && same_dims(in + 2, split + 3, 2) && split[1] > 1 &&
                split[2] > 0 && split[1] * split[2] == in[1];
    return same ? split[1] : 0;
}

sw_status sw__pass_channels(sw_graph *graph, const sw_diag *diag) {
    for (sw_node *node = graph->first, *next; node; node = next) {
        part p;
        sw_value *x;
        next = node->next;
        if (match_slice(node, &p)) {
            SW_TRY(split(graph, node, diag, &next));
            continue;
        }
        int64_t groups = node->op == SW_OP_Reshape ? match_shuffle(graph, node, &x) : 0;
        if (!groups) continue;
        sw_value *out = node->out[0];
        const char *name = node->name;
        sw_graph_remove_node(graph, node);
        sw_node *shuffle = sw_graph_add_node(graph, next, SW_OP_ChannelShuffle, name, 1, &x, 1, &out);
        if (!shuffle) return SW_E_NOMEM;
        sw_node_set_int(shuffle, "groups", groups);
    }
    return sw__pass_dead_code(graph, diag);
}
