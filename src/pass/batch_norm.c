/* y = (x - mean) / sqrt(var + eps) * scale + bias after a linear step is a scale per output channel on its weights
 * and a new bias. Computed in double, so that folding loses nothing against running both. */
#include <math.h>
#include <string.h>

#include "pass/pass.h"

/* A linear node whose weights can take the scale, and where its output channels lie in them. */
typedef struct target {
    sw_node *node;
    int64_t channels;             /* output channels */
    int64_t outer, groups, inner; /* weights as [outer][groups' channels][inner]: see weight_channel */
} target;

static bool is_f32_const(const sw_value *value) {
    return sw_value_is_const(value) && value->type.dtype == SW_F32;
}

static bool match_conv(sw_node *node, target *t) {
    const sw_tensor *w = &node->in[1]->type;
    t->channels = w->dims[0];
    t->outer = w->dims[0];
    t->groups = 1;
    t->inner = w->dims[0] ? sw_tensor_count(w) / w->dims[0] : 0;
    return true;
}

/* Weights C M/group kernel...: output channel g * M/group + m for input channels of group g. */
static bool match_transposed(sw_node *node, target *t) {
    const sw_tensor *w = &node->in[1]->type;
    t->groups = sw_node_int(node, "group");
    if (w->rank < 2 || t->groups < 1 || w->dims[0] % t->groups || !sw_tensor_count(w)) return false;
    t->channels = w->dims[1] * t->groups;
    t->outer = w->dims[0];
    t->inner = sw_tensor_count(w) / (w->dims[0] * w->dims[1]);
    return true;
}

static bool match_linear(const sw_node *bn, target *t) {
    sw_node *node = bn->in[0]->producer;
    if (!node || bn->in[0]->uses != 1 || node->out[0] != bn->in[0] ||
        (node->op != SW_OP_Conv && node->op != SW_OP_ConvTranspose))
        return false;
    if (!is_f32_const(node->in[1]) || node->in[1]->type.rank < 3) return false;
    if (node->n_in > 2 && node->in[2] && !is_f32_const(node->in[2])) return false;
    t->node = node;
    if (!(node->op == SW_OP_Conv ? match_conv(node, t) : match_transposed(node, t))) return false;
    for (int i = 1; i < 5; i++)
        if (!is_f32_const(bn->in[i]) || sw_tensor_count(&bn->in[i]->type) != t->channels) return false;
    return node->n_in < 3 || !node->in[2] || sw_tensor_count(&node->in[2]->type) == t->channels;
}

static const float *floats(const sw_value *value) {
    return value->type.data;
}

/* Scale and bias of the normalisation, per channel. */
static double bn_scale(const sw_node *bn, int64_t c) {
    return (double)floats(bn->in[1])[c] / sqrt((double)floats(bn->in[4])[c] + (double)sw_node_float(bn, "epsilon"));
}

static void scale_weights(const sw_node *bn, const target *t, const float *from, float *to) {
    if (t->node->op == SW_OP_Conv) {
        for (int64_t c = 0; c < t->channels; c++) {
            double scale = bn_scale(bn, c);
            for (int64_t i = 0; i < t->inner; i++) to[c * t->inner + i] = (float)(from[c * t->inner + i] * scale);
        }
        return;
    }
    int64_t per_group = t->channels / t->groups, in_per_group = t->outer / t->groups;
    for (int64_t c = 0; c < t->outer; c++)
        for (int64_t m = 0; m < per_group; m++) {
            double scale = bn_scale(bn, c / in_per_group * per_group + m);
            int64_t row = (c * per_group + m) * t->inner;
            for (int64_t i = 0; i < t->inner; i++) to[row + i] = (float)(from[row + i] * scale);
        }
}

static sw_status fold_into(sw_graph *graph, sw_node *bn, const target *t) {
    sw_node *node = t->node;
    const sw_tensor *w = &node->in[1]->type;
    sw_value *weights = sw_graph_new_const(graph, node->in[1]->name, SW_F32, w->rank, w->dims);
    sw_value *bias = sw_graph_new_const(graph, bn->in[2]->name, SW_F32, 1, &t->channels);
    if (!weights || !bias) return SW_E_NOMEM;
    scale_weights(bn, t, w->data, weights->type.data);
    const float *old_bias = node->n_in > 2 && node->in[2] ? floats(node->in[2]) : NULL;
    for (int64_t c = 0; c < t->channels; c++)
        ((float *)bias->type.data)[c] =
            (float)((double)floats(bn->in[2])[c] +
                    ((old_bias ? (double)old_bias[c] : 0) - (double)floats(bn->in[3])[c]) * bn_scale(bn, c));

    sw_value *in[3] = {node->in[0], weights, bias}, *out = bn->out[0];
    sw_graph_remove_node(graph, bn);
    sw_node *fused = sw_graph_add_node(graph, node, node->op, node->name, 3, in, 1, &out);
    if (!fused) return SW_E_NOMEM;
    memcpy(fused->attrs, node->attrs, (size_t)sw_op_get(node->op)->n_attrs * sizeof *node->attrs);
    sw_graph_remove_node(graph, node);
    return SW_OK;
}

/* ---- Rows ------------------------------------------------------------------------------------------------ */

/* Whether each row of `value` has one number a channel. */
static bool has_columns(const sw_value *value, int64_t channels) {
    return value->type.rank >= 2 && value->type.dims[value->type.rank - 1] == channels && !value->type.data;
}

/* Of rank 2: a factor and an addend a column, which products take (scale.c, products.c); before the reshape that made rows of
 * more axes (LeViT). */
static sw_status by_column(sw_graph *graph, sw_node *bn) {
    int64_t channels = bn->in[0]->type.rank == 2 ? bn->in[0]->type.dims[1] : 0;
    for (int i = 1; i < 5; i++)
        if (!is_f32_const(bn->in[i]) || sw_tensor_count(&bn->in[i]->type) != channels) return SW_OK;
    if (channels < 1 || bn->in[0]->type.dtype != SW_F32) return SW_OK;
    sw_value *factor = sw_graph_new_const(graph, bn->in[1]->name, SW_F32, 1, &channels);
    sw_value *addend = sw_graph_new_const(graph, bn->in[2]->name, SW_F32, 1, &channels);
    if (!factor || !addend) return SW_E_NOMEM;
    for (int64_t c = 0; c < channels; c++) {
        ((float *)factor->type.data)[c] = (float)bn_scale(bn, c);
        ((float *)addend->type.data)[c] =
            (float)((double)floats(bn->in[2])[c] - (double)floats(bn->in[3])[c] * bn_scale(bn, c));
    }
    sw_node *before = bn->in[0]->producer;
    bool turned = before && (before->op == SW_OP_Reshape || before->op == SW_OP_Flatten) && bn->in[0]->uses == 1 &&
                  has_columns(before->in[0], channels);
    sw_value *x = turned ? before->in[0] : bn->in[0];
    sw_value *scaled = sw_graph_apply(graph, turned ? before : bn, SW_OP_Mul, bn->name, 2, (sw_value *[]){x, factor});
    sw_value *y =
        !scaled ? NULL
                : sw_graph_apply(graph, turned ? before : bn, SW_OP_Add, bn->name, 2, (sw_value *[]){scaled, addend});
    if (!y) return SW_E_NOMEM;
    scaled->type = y->type = x->type;
    if (turned) sw_node_set_input(before, 0, y);
    sw_value *made = turned ? bn->in[0] : y;
    if (sw_graph_replace(graph, bn->out[0], made)) sw_graph_remove_node(graph, bn);
    return SW_OK;
}

sw_status sw__pass_batch_norm(sw_graph *graph, const sw_diag *diag) {
    (void)diag;
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        target t;
        if (node->op != SW_OP_BatchNormalization) continue;
        SW_TRY(match_linear(node, &t) ? fold_into(graph, node, &t) : by_column(graph, node));
    }
    return SW_OK;
}
