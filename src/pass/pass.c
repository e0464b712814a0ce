#include "pass/pass.h"

#include <string.h>

static const struct {
    const char *name, *doc;
    sw_status (*run)(sw_graph *graph, const sw_diag *diag);
} passes[] = {
    {"fold", "infer types and shapes; compute what is constant; drop nodes that change nothing", sw__pass_fold},
    {"activations", "recognise activations written as several nodes: x * sigmoid(x) is Swish", sw__pass_activations},
    {"batch-norm", "fold batch normalisation into the convolution before it; of rows: a factor and an addend",
     sw__pass_batch_norm},
    {"scale", "a factor per column behind a product into its weights", sw__pass_scale},
    {"parallel", "two convolutions of one map that are added become one", sw__pass_parallel},
    {"dfl", "decode box distributions in one node", sw__pass_dfl},
    {"dead-code", "drop nodes whose results nobody reads", sw__pass_dead_code},
    {"half", "float16 becomes float32 inside; inputs and outputs stay", sw__pass_half},
    {"rephrase",
     "what has no fast kernels in terms of what has: Einsum, Attention, means, normalisations, deep convolutions",
     sw__pass_rephrase},
    {"taps", "cut taps of convolutions that see nothing but padding", sw__pass_taps},
    {"upsample", "convolve an enlarged map before it is enlarged, where a 1x1 convolution of a join reads it",
     sw__pass_upsample},
    {"transposed", "a transposed convolution is a convolution that gives a block of pixels for each",
     sw__pass_transposed},
    {"channels",
     "slices that share out channels become one Split; channels shuffled by reshapes and a turn: ChannelShuffle",
     sw__pass_channels},
    {"fuse", "activation and residual addition into the convolution before them", sw__pass_fuse},
    {"layout", "channels-last maps where convolutions, pools and resizing work; relayouts at the borders",
     sw__pass_layout},
};

enum { PASS_COUNT = sizeof passes / sizeof passes[0] };

static int find_last(const char *last, const sw_diag *diag) {
    if (!last) return PASS_COUNT - 1;
    if (strcmp(last, "none") == 0) return -1;
    char names[256] = "none";
    for (int i = 0; i < PASS_COUNT; i++) {
        if (strcmp(passes[i].name, last) == 0) return i;
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, ", %s", passes[i].name);
    }
    sw_fail(diag, SW_E_USAGE, NULL, NULL, "there is no pass '%s'; the passes are %s", last, names);
    return PASS_COUNT;
}

/* The graphs within a node. */
static sw_status run_bodies(const sw_node *node, const char *last, const sw_diag *diag) {
    for (int i = 0; i < sw_op_bodies(node->op); i++) SW_TRY(sw_passes_run(node->attrs[i].body->code, last, diag));
    return SW_OK;
}

sw_status sw_passes_run(sw_graph *graph, const char *last, const sw_diag *diag) {
    int stop = find_last(last, diag);
    if (stop == PASS_COUNT) return SW_E_USAGE;
    SW_TRY(sw_graph_verify(graph, diag));
    for (int i = 0; i <= stop; i++) {
        sw_status status = passes[i].run(graph, diag);
        if (status == SW_E_NOMEM)
            return sw_fail(diag, status, NULL, NULL, "out of memory in pass '%s'", passes[i].name);
        SW_TRY(status);
#ifndef NDEBUG
        SW_TRY(sw_graph_verify(graph, diag));
#endif
    }
    for (const sw_node *node = graph->first; node; node = node->next) SW_TRY(run_bodies(node, last, diag));
    return SW_OK;
}

sw_status sw_passes_for_cpu(sw_graph *graph, bool rough) {
    SW_TRY(sw__pass_turns(graph));
    SW_TRY(sw__pass_attention(graph, false));
    return sw__pass_products(graph, rough);
}

sw_status sw_passes_for_gpu(sw_graph *graph) {
    SW_TRY(sw__pass_patches(graph));
    SW_TRY(sw__pass_turns(graph));
    SW_TRY(sw__pass_attention(graph, true));
    SW_TRY(sw__pass_moves(graph));
    return sw__pass_products(graph, false);
}

int64_t sw__node_ints_or(const sw_node *node, const char *name, int i, int64_t otherwise) {
    const sw_attr *a = sw_node_attr(node, name, SW_ATTR_INTS);
    return a->set && i < a->ints.n ? a->ints.v[i] : otherwise;
}

bool sw__const_scalar(const sw_value *value, double *scalar) {
    if (!sw_value_is_const(value) || sw_tensor_count(&value->type) != 1) return false;
    *scalar = sw_tensor_float_at(&value->type, 0);
    return true;
}
