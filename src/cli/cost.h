/* What a node costs: arithmetic and parameters. */
#ifndef SLIPWAY_CLI_COST_H
#define SLIPWAY_CLI_COST_H

#include "ir/graph.h"

/* Floating point operations of a node: two for each multiply-add of convolutions and products, 0 for all others, as papers
 * count them. -1 when a shape is not known. Unknown leading dims (the batch) count as 1. */
double sw_node_flops(const sw_node *node);

/* Elements and bytes of the constants that a node reads; integers above 8 bits, which are shapes and indices, do not count. */
typedef struct sw_weight {
    int64_t elements, bytes;
} sw_weight;
sw_weight sw_value_weight(const sw_value *value);
sw_weight sw_node_weight(const sw_node *node);
/* All of a graph, each constant once. */
sw_weight sw_graph_weight(const sw_graph *graph);

#endif
