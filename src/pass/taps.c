/* Taps of kernels that see nothing but padding (dilated ones that reach beyond small maps) are cut off. */
#include <string.h>

#include "pass/pass.h"

static bool is_map(const sw_value *v) {
    return v && v->type.rank == 4 && v->type.dtype == SW_F32 && !v->type.data && sw_tensor_is_concrete(&v->type) &&
           sw_tensor_count(&v->type) > 0;
}

static bool is_constant(const sw_value *v, int rank) {
    return sw_value_is_const(v) && v->type.dtype == SW_F32 && v->type.rank == rank && sw_tensor_count(&v->type) > 0;
}

static bool has_plain_attributes(const sw_node *node) {
    return strcmp(sw_node_string(node, "auto_pad"), "NOTSET") == 0 && is_map(node->in[0]) && is_map(node->out[0]) &&
           is_constant(node->in[1], 4) && (node->n_in < 3 || !node->in[2] || is_constant(node->in[2], 1));
}

/* Taps of an axis that see the map somewhere, and the pads that are left. */
typedef struct taps {
    int64_t first, count, pad_begin, pad_end;
} taps;

static taps taps_of(const sw_node *conv, int axis) {
    int64_t in = conv->in[0]->type.dims[2 + axis], out = conv->out[0]->type.dims[2 + axis];
    int64_t kernel = conv->in[1]->type.dims[2 + axis], dilation = sw__node_ints_or(conv, "dilations", axis, 1);
    int64_t begin = sw__node_ints_or(conv, "pads", axis, 0), end = sw__node_ints_or(conv, "pads", 2 + axis, 0);
    int64_t last_begin = (out - 1) * sw__node_ints_or(conv, "strides", axis, 1) - begin; /* of the last output's window */
    int64_t first = 0, after = kernel;
    while (first < kernel - 1 && last_begin + first * dilation < 0 && begin >= dilation * (first + 1)) first++;
    while (after > first + 1 && (after - 1) * dilation - begin >= in && end >= dilation * (kernel - after + 1)) after--;
    return (taps){first, after - first, begin - first * dilation, end - (kernel - after) * dilation};
}

static sw_status cut_taps(sw_graph *graph, sw_node *conv) {
    taps y = taps_of(conv, 0), x = taps_of(conv, 1);
    const sw_tensor *w = &conv->in[1]->type;
    if (y.count == w->dims[2] && x.count == w->dims[3]) return SW_OK;
    int64_t dims[4] = {w->dims[0], w->dims[1], y.count, x.count};
    sw_value *fewer = sw_graph_new_const(graph, conv->in[1]->name, SW_F32, 4, dims);
    if (!fewer) return SW_E_NOMEM;
    const float *from = w->data;
    float *to = fewer->type.data;
    for (int64_t i = 0; i < dims[0] * dims[1]; i++, from += w->dims[2] * w->dims[3])
        for (int64_t k = y.first; k < y.first + y.count; k++, to += x.count)
            memcpy(to, from + k * w->dims[3] + x.first, (size_t)x.count * sizeof *to);
    sw_node_set_input(conv, 1, fewer);
    if (sw_node_attr(conv, "kernel_shape", SW_ATTR_INTS)->set)
        SW_TRY(sw_node_set_ints(graph, conv, "kernel_shape", dims + 2, 2));
    int64_t pads[4] = {y.pad_begin, x.pad_begin, y.pad_end, x.pad_end};
    return sw_node_set_ints(graph, conv, "pads", pads, 4);
}

sw_status sw__pass_taps(sw_graph *graph, const sw_diag *diag) {
    (void)diag;
    for (sw_node *node = graph->first; node; node = node->next)
        if (node->op == SW_OP_Conv && has_plain_attributes(node)) SW_TRY(cut_taps(graph, node));
    return SW_OK;
}
