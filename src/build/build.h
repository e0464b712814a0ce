/* The builder: model file -> graph -> passes -> plan. The public entry is sw_plan_build in slipway/build.h. */
#ifndef SLIPWAY_BUILD_BUILD_H
#define SLIPWAY_BUILD_BUILD_H

#include "engine/plan.h"
#include "ir/graph.h"
#include "slipway/build.h"

/* Reads a model of any known kind, told by its content. */
SW_MUST_USE sw_status sw_graph_load(const char *path, const sw_diag *diag, sw_graph **graph);

/* Whether the options ask for a GPU, or (auto) for one where there is one, and there is. */
bool sw_build_is_for_gpu(const sw_build_options *options);
/* The fastest of float32 and the halves that the CPU multiplies, timed here; float32 where it multiplies none. */
SW_MUST_USE sw_status sw_plan_build_best(const char *path, const sw_build_options *options, const sw_diag *diag,
                                         sw_plan **plan);

/* Profiles that the options ask for: n_profiles x inputs x SW_MAX_RANK extents in the graph's arena. */
typedef struct sw_shapes {
    sw_extent *extents;
    int n_profiles;
} sw_shapes;
/* Fixes dims of the graph's inputs, before the passes. SW_E_USAGE for what does not fit. */
SW_MUST_USE sw_status sw_shapes_apply(sw_graph *graph, const sw_build_options *options, const sw_diag *diag,
                                      sw_shapes *shapes);

/* The options that would give a plan its profiles and precision; ranges in an arena. */
SW_MUST_USE sw_status sw_plan_shapes(const sw_plan *plan, sw_arena *arena, sw_build_options *options);

/* Lowers a graph that all passes have run over. On success the plan owns the graph (its constants lie there); on
 * failure the caller still does. */
SW_MUST_USE sw_status sw_plan_lower(sw_graph *graph, const sw_diag *diag, sw_plan **plan);

/* Where each value of a graph lies that the layout pass has run over: itself, or channels of another map, so that
 * joins and splits need no copies. By value id. */
typedef struct sw_home {
    const sw_value *parent; /* NULL: memory of its own */
    int64_t channel;        /* of the parent */
} sw_home;
/* `homes`: room for graph->n_values, zeroed. */
void sw_homes_find(const sw_graph *graph, sw_home *homes);
/* Follows parents up to the value with memory of its own. */
const sw_value *sw_home_root(const sw_home *homes, const sw_value *value, int64_t *channel);

#endif
