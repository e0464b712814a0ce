/* Arithmetic on constants and fixed shapes while a graph is built: what importers share. */
#ifndef SLIPWAY_IMPORT_COMPUTE_H
#define SLIPWAY_IMPORT_COMPUTE_H

#include "ir/graph.h"

/* Computes one operator on small tensors: a kernel. Arithmetic on constants and fixed shapes is done with it at
 * once, so that it can decide an `If`, or say a size. NULL: such nodes stay in the graph, and only constants of the model
 * decide. */
typedef sw_status (*sw_evaluate)(const sw_call *call);

enum { SW_MAX_COMPUTED = 1 << 26 }; /* bytes that are read and written to compute constants; later ones stay nodes */

typedef struct sw_computer {
    sw_evaluate evaluate;
    int64_t left; /* bytes that may still be computed */
} sw_computer;

/* A node that is complete and whose shape rule has run: where all that it needs is known and little, it becomes a constant.
 * SW_E_NOMEM without a message; what a kernel refuses stays a node. */
SW_MUST_USE sw_status sw_compute_known(sw_computer *computer, sw_graph *graph, sw_node *node);

#endif
