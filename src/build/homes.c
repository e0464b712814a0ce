/* Homes (design 2): each map has exactly one. The parts of a split are channels of what is split; the inputs of a
 * join become channels of its result, so that their producers write there. An input stays where it is (and is
 * copied) when it already is part of another join, when a part of it belongs elsewhere, or when it comes twice. */
#include "build/build.h"

static bool is_last(const sw_value *v) {
    return v && v->type.layout == SW_CHANNELS_LAST && !v->type.data;
}

const sw_value *sw_home_root(const sw_home *homes, const sw_value *value, int64_t *channel) {
    *channel = 0;
    while (homes[value->id].parent) {
        *channel += homes[value->id].channel;
        value = homes[value->id].parent;
    }
    return value;
}

static void place_split(const sw_node *split, sw_home *homes) {
    int64_t channel = 0;
    for (int i = 0; i < split->n_out; i++) {
        homes[split->out[i]->id] = (sw_home){split->in[0], channel};
        channel += split->out[i]->type.dims[1];
    }
}

/* Inputs first .. of the join, which together are all channels of `root` in order; returns the number of them, 0
 * when they are not. */
static int covers(const sw_node *join, const sw_home *homes, int first, const sw_value *root) {
    int64_t done = 0;
    for (int i = first; i < join->n_in; i++) {
        int64_t channel;
        if (sw_home_root(homes, join->in[i], &channel) != root || channel != done) return 0;
        done += join->in[i]->type.dims[1];
        if (done == root->type.dims[1]) return i - first + 1;
    }
    return 0;
}

static void place_join(const sw_node *join, sw_home *homes) {
    int64_t channel = 0;
    for (int i = 0, n; i < join->n_in; i += n) {
        int64_t inner, width = 0;
        const sw_value *root = sw_home_root(homes, join->in[i], &inner);
        n = covers(join, homes, i, root);
        bool free_root = n > 0 && root != join->out[0] && root->producer && is_last(root);
        if (free_root) homes[root->id] = (sw_home){join->out[0], channel};
        if (n == 0) n = 1;
        for (int k = i; k < i + n; k++) width += join->in[k]->type.dims[1];
        channel += width;
    }
}

void sw_homes_find(const sw_graph *graph, sw_home *homes) {
    for (const sw_node *node = graph->first; node; node = node->next) {
        if (!node->out[0] || !is_last(node->out[0])) continue;
        if (node->op == SW_OP_Split) place_split(node, homes);
        if (node->op == SW_OP_Concat) place_join(node, homes);
    }
}
