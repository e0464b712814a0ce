/* Arithmetic on shapes, done while the graph is built.
 *
 * Exporters write as nodes what the shape of a value decides: Shape, Gather, Equal. Where the shape is fixed, the
 * node becomes a constant at once, so that later shape rules, translations and `If` know its value. */
#include "import/compute.h"

enum { MAX_BYTES = 4096, MAX_PORTS = 16 };

/* What exporters use on shapes. All are deterministic and take time in proportion to the bytes that they read and
 * write. */
static bool is_shape_arithmetic(sw_op op) {
    switch (op) {
    case SW_OP_Shape:
    case SW_OP_Size:
    case SW_OP_Identity:
    case SW_OP_Cast:
    case SW_OP_CastLike:
    case SW_OP_Gather:
    case SW_OP_GatherElements:
    case SW_OP_ScatterElements:
    case SW_OP_ScatterND:
    case SW_OP_Slice:
    case SW_OP_Split:
    case SW_OP_Concat:
    case SW_OP_Squeeze:
    case SW_OP_Unsqueeze:
    case SW_OP_Reshape:
    case SW_OP_Flatten:
    case SW_OP_Transpose:
    case SW_OP_Expand:
    case SW_OP_Tile:
    case SW_OP_ConstantOfShape:
    case SW_OP_Range:
    case SW_OP_Add:
    case SW_OP_Sub:
    case SW_OP_Mul:
    case SW_OP_Div:
    case SW_OP_Mod:
    case SW_OP_Pow:
    case SW_OP_Neg:
    case SW_OP_Abs:
    case SW_OP_Sign:
    case SW_OP_Floor:
    case SW_OP_Ceil:
    case SW_OP_Round:
    case SW_OP_Sqrt:
    case SW_OP_Min:
    case SW_OP_Max:
    case SW_OP_Clip:
    case SW_OP_ReduceProd:
    case SW_OP_ReduceSum:
    case SW_OP_ReduceMin:
    case SW_OP_ReduceMax:
    case SW_OP_Equal:
    case SW_OP_Less:
    case SW_OP_LessOrEqual:
    case SW_OP_Greater:
    case SW_OP_GreaterOrEqual:
    case SW_OP_Not:
    case SW_OP_And:
    case SW_OP_Or:
    case SW_OP_Xor:
    case SW_OP_Where:
        return true;
    default:
        return false;
    }
}

/* The dims that Gather(Shape(x), i) asks for, although others may be free: a batch that is not fixed does not keep
 * the rest from being known. `dims` holds SW_MAX_RANK; false where it asks for a free one. */
static bool fixed_dims(const sw_node *gather, int64_t *dims, sw_tensor *list) {
    const sw_node *shape = gather->op == SW_OP_Gather ? gather->in[0]->producer : NULL;
    if (!shape || shape->op != SW_OP_Shape) return false;
    const sw_tensor *x = &shape->in[0]->type, *index = &gather->in[1]->type;
    *list = gather->in[0]->type;
    if (x->rank < 0 || !index->data || list->rank != 1 || list->dims[0] < 0) return false;
    int64_t start = sw_node_int(shape, "start"), n = list->dims[0];
    if (start < 0) start = start + x->rank > 0 ? start + x->rank : 0;
    for (int64_t i = 0; i < n; i++) dims[i] = x->dims[start + i];
    for (int64_t i = 0; i < sw_tensor_count(index); i++) {
        int64_t at = sw_tensor_int_at(index, i);
        if (at < 0) at += n;
        if (at < 0 || at >= n || dims[at] < 0) return false;
    }
    list->data = dims;
    return true;
}

/* Adds the bytes of a tensor; false where there are too many. */
static bool count_bytes(const sw_tensor *t, int64_t *total) {
    int64_t bytes = sw_tensor_bytes(t);
    if (bytes < 0 || bytes > MAX_BYTES) return false;
    *total += bytes;
    return true;
}

/* What one node is computed with. */
typedef struct work {
    const sw_tensor *in[MAX_PORTS];
    sw_tensor results[MAX_PORTS], *out[MAX_PORTS], list;
    int64_t dims[SW_MAX_RANK], bytes;
} work;

static bool is_known(work *w, const sw_node *node) {
    if (node->n_in > MAX_PORTS || node->n_out > MAX_PORTS) return false;
    bool shape_only = node->op == SW_OP_Shape || node->op == SW_OP_Size;
    for (int i = 0; i < node->n_in; i++) {
        w->in[i] = node->in[i] ? &node->in[i]->type : NULL;
        if (!w->in[i]) continue;
        if (shape_only) {
            if (sw_tensor_count(w->in[i]) < 0) return false;
            continue;
        }
        if (i == 0 && !w->in[i]->data && fixed_dims(node, w->dims, &w->list)) w->in[i] = &w->list;
        if (!w->in[i]->data || !count_bytes(w->in[i], &w->bytes)) return false;
    }
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] && !count_bytes(&node->out[i]->type, &w->bytes)) return false;
    return true;
}

static sw_status compute(const sw_computer *c, sw_graph *graph, sw_node *node, work *w) {
    for (int i = 0; i < node->n_out; i++) {
        if (!node->out[i]) continue;
        w->results[i] = node->out[i]->type;
        w->results[i].data = sw_arena_alloc(graph->arena, (size_t)sw_tensor_bytes(&w->results[i]) + 1, 1);
        if (!w->results[i].data) return SW_E_NOMEM;
        w->out[i] = &w->results[i];
    }
    sw_call call = {.op = node->op,
                    .attrs = node->attrs,
                    .n_in = node->n_in,
                    .n_out = node->n_out,
                    .in = w->in,
                    .out = w->out,
                    .name = node->name,
                    .allocator = graph->allocator};
    sw_status status = c->evaluate(&call);
    if (status == SW_E_NOMEM) return SW_E_NOMEM;
    if (status != SW_OK) return SW_OK; /* who runs the node will say why */
    sw_graph_remove_node(graph, node);
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i]) node->out[i]->type = w->results[i];
    return SW_OK;
}

sw_status sw_compute_known(sw_computer *c, sw_graph *graph, sw_node *node) {
    if (!c->evaluate || !is_shape_arithmetic(node->op)) return SW_OK;
    work w = {0};
    if (!is_known(&w, node) || w.bytes > c->left) return SW_OK;
    c->left -= w.bytes;
    return compute(c, graph, node, &w);
}
