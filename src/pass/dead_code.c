#include "pass/pass.h"

sw_status sw__pass_dead_code(sw_graph *graph, const sw_diag *diag) {
    (void)diag;
    for (sw_node *node = graph->last, *prev; node; node = prev) {
        prev = node->prev;
        if (!sw_node_is_read(node)) sw_graph_remove_node(graph, node);
    }
    return SW_OK;
}
