/* Folding: one walk that infers types, computes what is constant and drops nodes that change nothing. */
#include <string.h>

#include "kernels/kernel.h"
#include "pass/pass.h"

/* A result may be folded when it is small, or not much larger than the constants that it is made of (a Cast of
 * weights). All results together stay below a bound too: a file of a few kilobytes may not fill the memory. */
enum { SMALL_BYTES = 1 << 20, GROWTH = 4 };
#define TOTAL_BYTES ((int64_t)1 << 30)

typedef struct folder {
    sw_graph *graph;
    const sw_diag *diag;
    const sw_tensor **in;
    sw_tensor **out;
    sw_value **instead; /* by value id: what readers further on read instead */
    bool *is_output;    /* by value id */
    int64_t folded_bytes;
} folder;

/* ---- Nodes that change nothing ------------------------------------------------------------------------------------- */

static bool same_type(const sw_tensor *a, const sw_tensor *b) {
    if (a->dtype != b->dtype || a->rank != b->rank || !sw_tensor_is_concrete(a) || !sw_tensor_is_concrete(b))
        return false;
    return memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) == 0;
}

static bool is_identity_permutation(const sw_node *node) {
    const sw_attr *perm = sw_node_attr(node, "perm", SW_ATTR_INTS);
    if (!perm->set) return node->in[0]->type.rank == 0 || node->in[0]->type.rank == 1;
    for (int i = 0; i < perm->ints.n; i++)
        if (perm->ints.v[i] != i) return false;
    return true;
}

/* Whether all of a constant's integers are the same one; of an input that is absent, too. */
static bool all_are(const sw_node *node, int input, int64_t want) {
    const sw_value *v = input < node->n_in ? node->in[input] : NULL;
    if (!v) return true;
    if (!sw_value_is_const(v)) return false;
    for (int64_t i = 0; i < sw_tensor_count(&v->type); i++)
        if (sw_tensor_int_at(&v->type, i) != want) return false;
    return true;
}

static bool changes_nothing(const sw_node *node) {
    const sw_tensor *in = &node->in[0]->type, *out = &node->out[0]->type;
    switch (node->op) {
    case SW_OP_Identity:
        return true;
    case SW_OP_Concat:
    case SW_OP_Sum:
    case SW_OP_Mean:
    case SW_OP_Max:
    case SW_OP_Min:
        return node->n_in == 1;
    case SW_OP_Cast:
    case SW_OP_CastLike:
        return in->dtype != SW_DTYPE_NONE && in->dtype == out->dtype;
    case SW_OP_Transpose:
        return is_identity_permutation(node);
    case SW_OP_Reshape:
    case SW_OP_Flatten:
    case SW_OP_Expand:
    case SW_OP_Tile:
    case SW_OP_Squeeze:
    case SW_OP_Unsqueeze:
        return same_type(in, out);
    case SW_OP_Slice: /* forwards, and all that there is */
        return all_are(node, 4, 1) && same_type(in, out);
    case SW_OP_Pad:
        return all_are(node, 1, 0);
    default:
        return false;
    }
}

/* Lets readers of the output read the input: those behind the walk by `instead`, outputs of the graph at once.
 * Where such an output cannot be renamed, the node stays. */
static bool bypass(folder *f, sw_node *node) {
    if (node->n_out != 1 || !node->in[0] || !node->out[0] || !changes_nothing(node)) return false;
    if (f->is_output[node->out[0]->id]) {
        if (!sw_graph_replace(f->graph, node->out[0], node->in[0])) return false;
        f->is_output[node->in[0]->id] = true;
    }
    f->instead[node->out[0]->id] = node->in[0];
    sw_graph_remove_node(f->graph, node);
    return true;
}

/* ---- Constants ----------------------------------------------------------------------------------------------------- */

/* Operators that can take far longer than the bytes that they read and write tell: a small file may not keep us busy. */
static bool takes_long(sw_op op) {
    return op == SW_OP_Einsum || op == SW_OP_DFT || op == SW_OP_STFT || op == SW_OP_RoiAlign || op == SW_OP_Attention;
}

static bool is_foldable(const folder *f, const sw_node *node, const sw_call *call) {
    bool shape_only = node->op == SW_OP_Shape || node->op == SW_OP_Size;
    int64_t bytes_in = 0, bytes_out = 0;
    if (takes_long(node->op) || (f->graph->keep_integers && node->op == SW_OP_DequantizeLinear)) return false;
    for (int i = 0; i < node->n_in; i++) {
        if (!call->in[i]) continue;
        if (shape_only ? !sw_tensor_is_concrete(call->in[i]) : !call->in[i]->data) return false;
        if (call->in[i]->data) bytes_in += sw_tensor_bytes(call->in[i]);
    }
    for (int i = 0; i < node->n_out; i++) {
        if (!call->out[i]) continue;
        int64_t bytes = sw_tensor_bytes(call->out[i]);
        if (bytes < 0 || __builtin_add_overflow(bytes_out, bytes, &bytes_out)) return false;
    }
    if (bytes_out > SMALL_BYTES && bytes_out > bytes_in * GROWTH) return false;
    return f->folded_bytes + bytes_out <= TOTAL_BYTES && sw_kernel_ref(node->op) != NULL;
}

static sw_status fold_node(folder *f, sw_node *node, sw_call *call) {
    sw_tensor results[8], *outs[8];
    if (node->n_out > 8) return SW_OK;
    for (int i = 0; i < node->n_out; i++) {
        outs[i] = NULL;
        if (!node->out[i]) continue;
        results[i] = *call->out[i];
        int64_t bytes = sw_tensor_bytes(&results[i]);
        results[i].data = sw_arena_alloc(f->graph->arena, (size_t)bytes, 1);
        if (!results[i].data) return SW_E_NOMEM;
        f->folded_bytes += bytes;
        outs[i] = &results[i];
    }
    call->out = outs;
    call->allocator = f->graph->allocator;
    SW_TRY(sw_kernel_ref(node->op)(call));
    sw_graph_remove_node(f->graph, node);
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i]) node->out[i]->type = results[i];
    return SW_OK;
}

/* ---- The walk ------------------------------------------------------------------------------------------------------ */

/* Dims that are not known become symbols: two values of one unknown dim are then known to agree, which fusing asks
 * for. */
static void tell_apart(sw_graph *graph, const sw_node *node) {
    for (int i = 0; i < node->n_out; i++) {
        sw_tensor *type = node->out[i] ? &node->out[i]->type : NULL;
        for (int k = 0; type && k < type->rank; k++)
            if (type->dims[k] == SW_DIM_UNKNOWN) type->dims[k] = sw_graph_fresh_dim(graph);
    }
}

static sw_status walk(folder *f) {
    for (sw_node *node = f->graph->first, *next; node; node = next) {
        next = node->next;
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] && f->instead[node->in[i]->id]) sw_node_set_input(node, i, f->instead[node->in[i]->id]);
        sw_call call = sw_node_call(node, f->in, f->out, f->diag);
        SW_TRY(sw_op_infer(&call));
        tell_apart(f->graph, node);
        if (is_foldable(f, node, &call))
            SW_TRY(fold_node(f, node, &call));
        else
            bypass(f, node);
    }
    return SW_OK;
}

sw_status sw__pass_fold(sw_graph *graph, const sw_diag *diag) {
    int ports = 1;
    for (const sw_node *node = graph->first; node; node = node->next) {
        if (node->n_in > ports) ports = node->n_in;
        if (node->n_out > ports) ports = node->n_out;
    }
    folder f = {.graph = graph, .diag = diag};
    f.in = sw_calloc(graph->allocator, (size_t)ports, sizeof *f.in);
    f.out = sw_calloc(graph->allocator, (size_t)ports, sizeof *f.out);
    f.instead = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *f.instead);
    f.is_output = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *f.is_output);
    bool memory = f.in && f.out && f.instead && f.is_output;
    for (int i = 0; memory && i < graph->n_outputs; i++) f.is_output[graph->outputs[i]->id] = true;
    sw_status status = memory ? walk(&f) : SW_E_NOMEM;
    sw_free(graph->allocator, f.instead);
    sw_free(graph->allocator, f.is_output);
    sw_free(graph->allocator, f.in);
    sw_free(graph->allocator, f.out);
    return status;
}
