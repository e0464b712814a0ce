/* Passes: rewrites of the graph, one file each, run in the order of the list in pass.c (design 2). */
#ifndef SLIPWAY_PASS_PASS_H
#define SLIPWAY_PASS_PASS_H

#include "ir/graph.h"

/* Runs the passes in order up to and including `last`; NULL: all; "none": none. SW_E_USAGE for an unknown name, with a
 * sentence that lists them. On failure the graph may only be destroyed. */
SW_MUST_USE sw_status sw_passes_run(sw_graph *graph, const char *last, const sw_diag *diag);

sw_status sw__pass_fold(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_activations(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_batch_norm(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_scale(sw_graph *graph, const sw_diag *diag);
SW_MUST_USE sw_status sw__pass_parallel(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_dfl(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_half(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_rephrase(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_taps(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_upsample(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_transposed(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_channels(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_fuse(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_layout(sw_graph *graph, const sw_diag *diag);
sw_status sw__pass_dead_code(sw_graph *graph, const sw_diag *diag);

/* A float16 model, whose types are known, becomes float32 altogether, ports too, where that pass would widen it inside. */
SW_MUST_USE sw_status sw_pass_float32(sw_graph *graph, bool *was_half);
/* After all passes, where the builder wants it: maps become SW_BF16 or SW_F16 (precision.c). SW_E_NOMEM. */
SW_MUST_USE sw_status sw_pass_halves(sw_graph *graph, sw_dtype type);

/* After all passes, where the plan is for a CPU: turns, attention, products; these may round their factors to bfloat16 where
 * `rough`, but for those that make an output. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_passes_for_cpu(sw_graph *graph, bool rough);
/* The same where it is for a GPU that has maps: patches, turns, attention where heads lie in eights, moves, products.
 * SW_E_NOMEM. */
SW_MUST_USE sw_status sw_passes_for_gpu(sw_graph *graph);
SW_MUST_USE sw_status sw__pass_moves(sw_graph *graph);
SW_MUST_USE sw_status sw__pass_patches(sw_graph *graph);
SW_MUST_USE sw_status sw__pass_turns(sw_graph *graph);
SW_MUST_USE sw_status sw__pass_attention(sw_graph *graph, bool eights);
SW_MUST_USE sw_status sw__pass_products(sw_graph *graph, bool rough);

/* N C H W to N H W C, and back, of float32. */
bool sw__is_turn_to_rows(const sw_node *node);
bool sw__is_turn_to_map(const sw_node *node);

/* An activation as fused steps have it. */
typedef struct sw_activation {
    const char *name;
    float a, b;
} sw_activation;
/* False: the node is none. */
bool sw__match_activation(const sw_node *node, sw_activation *act);
/* What is added to `value` by `add`, when both certainly have one shape; else NULL. */
sw_value *sw__match_residual(const sw_node *add, const sw_value *value);
/* The only reader of a node's result; NULL when there are more, or when it is an output of the graph. */
sw_node *sw__only_reader(const sw_graph *graph, const sw_node *node);

/* Element `i` of an attribute of integers that may be absent, or shorter. */
int64_t sw__node_ints_or(const sw_node *node, const char *name, int i, int64_t otherwise);

/* Constant of one element: true and its value. */
bool sw__const_scalar(const sw_value *value, double *scalar);

#endif
