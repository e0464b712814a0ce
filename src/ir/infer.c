#include "ir/graph.h"

sw_call sw_node_call(const sw_node *node, const sw_tensor **in, sw_tensor **out, const sw_diag *diag) {
    for (int i = 0; i < node->n_in; i++) in[i] = node->in[i] ? &node->in[i]->type : NULL;
    for (int i = 0; i < node->n_out; i++) out[i] = node->out[i] ? &node->out[i]->type : NULL;
    return (sw_call){.op = node->op,
                     .attrs = node->attrs,
                     .n_in = node->n_in,
                     .n_out = node->n_out,
                     .in = in,
                     .out = out,
                     .name = node->name,
                     .diag = diag};
}

sw_status sw_node_infer(const sw_graph *graph, const sw_node *node, const sw_diag *diag) {
    const sw_tensor *few_in[16], **in = few_in;
    sw_tensor *few_out[16], **out = few_out;
    sw_status status = SW_E_NOMEM;
    if (node->n_in > 16) in = sw_calloc(graph->allocator, (size_t)node->n_in, sizeof *in);
    if (node->n_out > 16) out = sw_calloc(graph->allocator, (size_t)node->n_out, sizeof *out);
    if (in && out) {
        sw_call call = sw_node_call(node, in, out, diag);
        status = sw_op_infer(&call);
    }
    if (in != few_in) sw_free(graph->allocator, in);
    if (out != few_out) sw_free(graph->allocator, out);
    return status == SW_E_NOMEM ? sw_fail(diag, status, NULL, NULL, "out of memory") : status;
}

sw_status sw_graph_infer(sw_graph *graph, const sw_diag *diag) {
    for (const sw_node *node = graph->first; node; node = node->next) SW_TRY(sw_node_infer(graph, node, diag));
    return SW_OK;
}
