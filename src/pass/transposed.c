/* A transposed convolution of stride s is s * s convolutions, one for each pixel of a block of the output: one convolution
 * with so many times the channels, whose channels then are shuffled to their pixels. Along one axis, with t = ceil(k / s)
 * taps and phase f,
 *
 *     y[q * s + f - pad] = sum over i < t of x[q - i] * w[f + i * s]
 *
 * which a convolution with t - 1 pixels of padding computes for all q. */
#include <string.h>

#include "ops/shape.h"
#include "pass/pass.h"

/* Taps that do not fill whole strides are zeros: no more than so many times the products. */
enum { MOST_GROWTH = 4 };

typedef struct form {
    int64_t kernel[2], stride[2], taps[2];
    int64_t pads[4], crops[4]; /* begin y, begin x, end y, end x */
} form;

static bool is_plain(const sw_node *node) {
    const sw_value *x = node->in[0], *w = node->in[1], *bias = node->n_in > 2 ? node->in[2] : NULL;
    return node->op == SW_OP_ConvTranspose && x->type.rank == 4 && x->type.dtype == SW_F32 && !x->type.data &&
           sw_value_is_const(w) && w->type.dtype == SW_F32 && w->type.rank == 4 && sw_tensor_count(&w->type) > 0 &&
           (!bias || sw_value_is_const(bias)) && sw_node_int(node, "group") == 1;
}

/* Whether padding follows from the attributes alone. */
static bool has_fixed_pads(const sw_node *node) {
    const char *automatic = sw_node_string(node, "auto_pad");
    bool shape = sw_node_attr(node, "output_shape", SW_ATTR_INTS)->set;
    return !shape && (!strcmp(automatic, "NOTSET") || !strcmp(automatic, "VALID"));
}

/* Moves what is cut off in whole strides from the crop to the padding; false where there is not so much padding. */
static bool trim(form *f, int side, int axis) {
    int64_t whole = f->crops[side] / f->stride[axis];
    f->pads[side] = f->taps[axis] - 1 - whole;
    f->crops[side] %= f->stride[axis];
    return f->pads[side] >= 0;
}

static bool find_form(const sw_node *node, form *f) {
    const sw_tensor *in[3];
    sw_tensor *out[1];
    sw_window w;
    bool fixed = has_fixed_pads(node);
    if (node->n_in > 3 || (!fixed && !sw_tensor_is_concrete(&node->in[0]->type))) return false;
    sw_call call = sw_node_call(node, in, out, NULL);
    const sw_attr *extra = sw_node_attr(node, "output_padding", SW_ATTR_INTS);
    if (sw_call_window_transposed(&call, in[0], node->in[1]->type.dims + 2, &w) != SW_OK) return false;
    int64_t products = 1, least = 1;
    for (int i = 0; i < 2; i++) {
        if (w.dilation[i] != 1 || w.pad_begin[i] < 0) return false;
        f->kernel[i] = w.kernel[i], f->stride[i] = w.stride[i];
        f->taps[i] = (w.kernel[i] + w.stride[i] - 1) / w.stride[i];
        int64_t padding = fixed && extra->set ? extra->ints.v[i] : 0;
        f->crops[i] = w.pad_begin[i];
        f->crops[2 + i] = w.stride[i] * f->taps[i] - w.kernel[i] - padding + w.pad_end[i];
        if (f->crops[2 + i] < 0 || !trim(f, i, i) || !trim(f, 2 + i, i)) return false;
        products *= f->taps[i] * f->stride[i], least *= f->kernel[i];
    }
    return products <= MOST_GROWTH * least;
}

/* Weights I O ky kx as (phase y, phase x, O) I tap y, tap x. */
static sw_value *weights_of(sw_graph *graph, const sw_value *old, const form *f) {
    const float *w = old->type.data;
    int64_t in = old->type.dims[0], out = old->type.dims[1], phases = f->stride[0] * f->stride[1];
    int64_t dims[4] = {phases * out, in, f->taps[0], f->taps[1]};
    sw_value *fresh = sw_graph_new_const(graph, old->name, SW_F32, 4, dims);
    if (!fresh) return NULL;
    float *to = fresh->type.data;
    for (int64_t m = 0; m < phases * out; m++)
        for (int64_t i = 0; i < in; i++)
            for (int64_t ty = f->taps[0]; ty-- > 0;)
                for (int64_t tx = f->taps[1]; tx-- > 0; to++) {
                    int64_t y = m / out / f->stride[1] + ty * f->stride[0],
                            x = m / out % f->stride[1] + tx * f->stride[1];
                    if (y < f->kernel[0] && x < f->kernel[1])
                        *to = w[((i * out + m % out) * f->kernel[0] + y) * f->kernel[1] + x];
                }
    return fresh;
}

static sw_value *bias_of(sw_graph *graph, const sw_value *old, const form *f) {
    int64_t n = sw_tensor_count(&old->type), phases = f->stride[0] * f->stride[1];
    sw_value *fresh = sw_graph_new_const(graph, old->name, SW_F32, 1, (int64_t[]){n * phases});
    for (int64_t i = 0; fresh && i < n * phases; i++)
        ((float *)fresh->type.data)[i] = ((const float *)old->type.data)[i % n];
    return fresh;
}

static sw_status set_conv(sw_graph *graph, sw_node *conv, const form *f) {
    SW_TRY(sw_node_set_ints(graph, conv, "kernel_shape", f->taps, 2));
    return sw_node_set_ints(graph, conv, "pads", f->pads, 4);
}

static sw_status set_shuffle(sw_graph *graph, sw_node *shuffle, const form *f) {
    SW_TRY(sw_node_set_ints(graph, shuffle, "strides", f->stride, 2));
    return sw_node_set_ints(graph, shuffle, "crops", f->crops, 4);
}

/* The activation that alone reads the node's result: it may as well come before the shuffle, where `fuse` takes it. */
static sw_node *activation_of(const sw_graph *graph, const sw_node *node) {
    sw_node *next = node->next;
    bool alone =
        node->out[0]->uses == 1 && !sw_graph_is_output(graph, node->out[0]) && next && next->in[0] == node->out[0];
    if (!alone) return NULL;
    switch (next->op) {
    case SW_OP_Relu:
    case SW_OP_LeakyRelu:
    case SW_OP_Sigmoid:
    case SW_OP_Swish:
    case SW_OP_HardSwish:
    case SW_OP_HardSigmoid:
        return next;
    default:
        return NULL;
    }
}

/* `next`: the node behind all that was rewritten. */
static sw_status rewrite(sw_graph *graph, sw_node *node, const form *f, const sw_diag *diag, sw_node **next) {
    sw_value *bias = node->n_in > 2 && node->in[2] ? bias_of(graph, node->in[2], f) : NULL;
    sw_value *in[3] = {node->in[0], weights_of(graph, node->in[1], f), bias};
    if (!in[1] || (node->n_in > 2 && node->in[2] && !bias)) return SW_E_NOMEM;
    sw_value *deep = sw_graph_apply(graph, node, SW_OP_Conv, node->name, bias ? 3 : 2, in);
    if (!deep) return SW_E_NOMEM;
    SW_TRY(set_conv(graph, deep->producer, f));
    SW_TRY(sw_node_infer(graph, deep->producer, diag));
    sw_node *act = activation_of(graph, node), *last = act ? act : node;
    *next = last->next;
    if (act) {
        sw_value *active = sw_graph_apply(graph, node, act->op, act->name, 1, &deep);
        if (!active) return SW_E_NOMEM;
        memcpy(active->producer->attrs, act->attrs, (size_t)sw_op_get(act->op)->n_attrs * sizeof *act->attrs);
        SW_TRY(sw_node_infer(graph, active->producer, diag));
        deep = active;
    }
    sw_value *out = last->out[0];
    const char *name = node->name;
    if (act) sw_graph_remove_node(graph, act);
    sw_graph_remove_node(graph, node);
    sw_node *shuffle = sw_graph_add_node(graph, *next, SW_OP_PixelShuffle, name, 1, &deep, 1, &out);
    return shuffle ? set_shuffle(graph, shuffle, f) : SW_E_NOMEM;
}

sw_status sw__pass_transposed(sw_graph *graph, const sw_diag *diag) {
    for (sw_node *node = graph->first, *next; node; node = next) {
        form f;
        next = node->next;
        if (is_plain(node) && find_form(node, &f)) SW_TRY(rewrite(graph, node, &f, diag, &next));
    }
    return SW_OK;
}
