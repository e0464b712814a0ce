/* The builder: model file -> graph -> passes -> plan. The public entry is sw_plan_build in slipway/build.h. */
#ifndef SLIPWAY_BUILD_BUILD_H
#define SLIPWAY_BUILD_BUILD_H

#include "engine/plan.h"
#include "ir/graph.h"
#include "slipway/build.h"

/* Reads a model of any known kind, told by its content. */
SW_MUST_USE sw_status sw_graph_load(const char *path, const sw_diag *diag, sw_graph **graph);

/* Lowers a graph that all passes have run over. On success the plan owns the graph (its constants lie there); on failure
 * the caller still does. */
SW_MUST_USE sw_status sw_plan_lower(sw_graph *graph, const sw_diag *diag, sw_plan **plan);

#endif
