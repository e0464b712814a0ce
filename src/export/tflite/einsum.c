/* Einsum of two inputs as one product of matrices between transposes, which mostly are changes of order only. */
#include <string.h>

#include "export/tflite/compose.h"
#include "ops/einsum.h"

/* Axes of one input, in the order in which the product wants them. */
typedef struct order {
    int n;
    int64_t perm[SW_MAX_RANK];
    uint8_t label[SW_MAX_RANK];
} order;

static int axis_of(const uint8_t *labels, int n, int label) {
    for (int i = 0; i < n; i++)
        if (labels[i] == label) return i;
    return -1;
}

static void append(order *o, int axis, int label) {
    o->perm[o->n] = axis;
    o->label[o->n++] = (uint8_t)label;
}

/* The input's axes become rows of matrices: x [groups, first, second]. */
static sw_value *matrices(sw_tfc *c, sw_value *x, const order *o, int64_t groups, int64_t first, int64_t second) {
    return SW_TFC_APPLY(Reshape, sw__tfc_transposed(c, x, o->perm, o->n),
                        sw__tfc_ints(c, (int64_t[]){groups, first, second}, 3));
}

/* Each label once an input, its extent that of both, and summed only where both have it. */
static bool is_product(const sw_node *node, const sw_einsum *e) {
    for (int i = 0; i < 2; i++) {
        const sw_tensor *t = &node->in[i]->type;
        for (int k = 0; k < t->rank; k++) {
            int label = e->axis[i][k];
            bool other = axis_of(e->axis[1 - i], node->in[1 - i]->type.rank, label) >= 0;
            if (axis_of(e->axis[i], t->rank, label) != k || t->dims[k] != e->extent[label] ||
                (!other && axis_of(e->out, e->n_out, label) < 0))
                return false;
        }
    }
    return true;
}

/* left: groups, rows, sums; right: groups, sums, columns; made: groups, rows, columns. */
static void multiply(sw_tfc *c, const sw_einsum *e) {
    sw_node *node = c->node;
    int rank[2] = {node->in[0]->type.rank, node->in[1]->type.rank};
    order left = {0}, right = {0}, made = {0};
    int64_t groups = 1, rows = 1, columns = 1, sums = 1, dims[SW_MAX_RANK], perm[SW_MAX_RANK];
    for (int part = 0; part < 3; part++) /* labels of both inputs, of the first, of the second */
        for (int i = 0; i < e->n_out; i++) {
            int label = e->out[i], a = axis_of(e->axis[0], rank[0], label), b = axis_of(e->axis[1], rank[1], label);
            if (part != (a < 0 ? 2 : b < 0 ? 1 : 0)) continue;
            *(part == 0 ? &groups : part == 1 ? &rows : &columns) *= e->extent[label];
            if (part < 2) append(&left, a, label);
            if (part == 0) append(&right, b, label);
            append(&made, i, label);
        }
    for (int k = 0; k < rank[0]; k++) {
        int label = e->axis[0][k];
        if (axis_of(e->out, e->n_out, label) >= 0) continue;
        append(&left, k, label);
        append(&right, axis_of(e->axis[1], rank[1], label), label);
        sums *= e->extent[label];
    }
    for (int i = 0; i < e->n_out; i++)
        if (axis_of(e->axis[0], rank[0], e->out[i]) < 0)
            append(&right, axis_of(e->axis[1], rank[1], e->out[i]), e->out[i]);
    for (int i = 0; i < made.n; i++) {
        dims[i] = e->extent[made.label[i]];
        perm[made.perm[i]] = i;
    }
    sw_value *y = SW_TFC_APPLY(MatMul, matrices(c, node->in[0], &left, groups, rows, sums),
                               matrices(c, node->in[1], &right, groups, sums, columns));
    y = SW_TFC_APPLY(Reshape, y, sw__tfc_ints(c, dims, made.n));
    sw__tfc_hand_over(c, 0, sw__tfc_transposed(c, y, perm, made.n));
}

static void einsum(sw_tfc *c) {
    const sw_node *node = c->node;
    const sw_tensor *in[2];
    sw_tensor *out[1];
    sw_einsum e;
    bool known = node->n_in == 2 && node->in[0]->type.dtype == SW_F32;
    for (int i = 0; known && i < 2; i++)
        known = sw_tensor_is_concrete(&node->in[i]->type) && node->in[i]->type.rank > 0;
    if (known) {
        sw_call call = sw_node_call(node, in, out, c->diag);
        c->status = sw_call_einsum(&call, &e);
    }
    if (c->status != SW_OK) return;
    if (known && is_product(node, &e))
        multiply(c, &e);
    else
        sw__tfc_refuse(c, "only products of two inputs of known size, summed over what both have, can be written");
}

const sw_tfc_row sw__tfc_einsum[] = {
    {SW_OP_Einsum, NULL, einsum},
    {0, NULL, NULL},
};
