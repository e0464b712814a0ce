#include "pass/pass.h"

sw_status sw__pass_dead_code(sw_graph *graph, const sw_diag *diag) {
    (void)diag;
    for (sw_node *node = graph->last, *prev; node; node = prev) {
        prev = node->prev;
        bool used = false;
        for (int i = 0; i < node->n_out; i++) used |= node->out[i] && node->out[i]->uses > 0;
        if (!used) sw_graph_remove_node(graph, node);
    }
    return SW_OK;
}
