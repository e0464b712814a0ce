/* Two convolutions of one map that are added are one: the smaller window lies within the larger (RepVGG's blocks in training
 * form: 3x3 + 1x1). Weights are added in double. */
#include <string.h>

#include "ops/shape.h"
#include "pass/pass.h"

typedef struct branch {
    const sw_node *node;
    sw_window win;
} branch;

static bool is_f32_const(const sw_value *value) {
    return sw_value_is_const(value) && value->type.dtype == SW_F32;
}

/* The convolution that makes an operand of the addition, for it alone. */
static bool match(const sw_value *value, branch *b) {
    const sw_node *node = value ? value->producer : NULL;
    const sw_tensor *in[3];
    sw_tensor *out[1];
    if (!node || node->op != SW_OP_Conv || value->uses != 1 || !is_f32_const(node->in[1]) ||
        !sw_tensor_is_concrete(&value->type))
        return false;
    if (node->n_in > 2 && node->in[2] && !is_f32_const(node->in[2])) return false;
    b->node = node;
    sw_call call = sw_node_call(node, in, out, NULL);
    return sw_tensor_is_concrete(in[0]) && sw_call_window(&call, in[0], in[1]->dims + 2, &b->win) == SW_OK;
}

/* Where the small window begins in the large one; false where it does not lie within. */
static bool lies_within(const branch *small, const branch *large, int64_t *offset) {
    const sw_tensor *a = &small->node->in[1]->type, *b = &large->node->in[1]->type;
    if (small->node->in[0] != large->node->in[0] || a->dims[0] != b->dims[0] || a->dims[1] != b->dims[1] ||
        sw_node_int(small->node, "group") != sw_node_int(large->node, "group"))
        return false;
    for (int i = 0; i < small->win.n; i++) {
        offset[i] = large->win.pad_begin[i] - small->win.pad_begin[i];
        if (small->win.stride[i] != large->win.stride[i] || small->win.dilation[i] != 1 ||
            large->win.dilation[i] != 1 || small->win.out[i] != large->win.out[i] || offset[i] < 0 ||
            offset[i] + small->win.kernel[i] > large->win.kernel[i])
            return false;
    }
    return true;
}

/* The small kernels at their place in the large ones. */
static void add_weights(const branch *small, const branch *large, const int64_t *offset, float *to) {
    const sw_tensor *from = &small->node->in[1]->type, *all = &large->node->in[1]->type;
    int64_t n = sw_tensor_count(from), rank = from->rank;
    memcpy(to, all->data, (size_t)sw_tensor_bytes(all));
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0, step = 1, rest = i;
        for (int64_t k = rank - 1; k >= 0; k--) {
            at += (rest % from->dims[k] + (k >= 2 ? offset[k - 2] : 0)) * step;
            rest /= from->dims[k];
            step *= all->dims[k];
        }
        to[at] = (float)((double)to[at] + (double)((const float *)from->data)[i]);
    }
}

static double bias_of(const sw_node *node, int64_t i) {
    return node->n_in > 2 && node->in[2] ? sw_tensor_float_at(&node->in[2]->type, i) : 0;
}

static sw_status join(sw_graph *graph, sw_node *add, const branch *small, const branch *large, const int64_t *offset) {
    const sw_node *node = large->node;
    const sw_tensor *w = &node->in[1]->type;
    int64_t pads[2 * SW_MAX_RANK];
    sw_value *weights = sw_graph_new_const(graph, node->in[1]->name, SW_F32, w->rank, w->dims);
    sw_value *bias = sw_graph_new_const(graph, node->name, SW_F32, 1, w->dims);
    if (!weights || !bias) return SW_E_NOMEM;
    add_weights(small, large, offset, weights->type.data);
    for (int64_t i = 0; i < w->dims[0]; i++)
        ((float *)bias->type.data)[i] = (float)(bias_of(small->node, i) + bias_of(node, i));
    for (int i = 0; i < large->win.n; i++) {
        pads[i] = large->win.pad_begin[i];
        pads[large->win.n + i] = large->win.pad_end[i];
    }
    sw_value *out = add->out[0];
    sw_node *next = add->next, *gone[2] = {small->node->out[0]->producer, node->out[0]->producer};
    sw_graph_remove_node(graph, add);
    sw_node *both =
        sw_graph_add_node(graph, next, SW_OP_Conv, node->name, 3, (sw_value *[]){node->in[0], weights, bias}, 1, &out);
    if (!both) return SW_E_NOMEM;
    memcpy(both->attrs, node->attrs, (size_t)sw_op_get(node->op)->n_attrs * sizeof *node->attrs);
    SW_TRY(sw_node_set_string(graph, both, "auto_pad", "NOTSET"));
    SW_TRY(sw_node_set_ints(graph, both, "pads", pads, 2 * large->win.n));
    for (int i = 0; i < 2; i++) sw_graph_remove_node(graph, gone[i]);
    return SW_OK;
}

sw_status sw__pass_parallel(sw_graph *graph, const sw_diag *diag) {
    (void)diag;
    for (sw_node *node = graph->first, *next; node; node = next) {
        branch a, b;
        int64_t offset[SW_MAX_RANK];
        next = node->next;
        if (node->op != SW_OP_Add || node->in[0] == node->in[1] || !match(node->in[0], &a) || !match(node->in[1], &b))
            continue;
        if (lies_within(&b, &a, offset))
            SW_TRY(join(graph, node, &b, &a, offset));
        else if (lies_within(&a, &b, offset))
            SW_TRY(join(graph, node, &a, &b, offset));
    }
    return SW_OK;
}
