/* Operators by their formulas. */
#include <string.h>

#include "export/tflite/compose.h"
#include "ops/shape.h"

/* ---- Element by element ---------------------------------------------------------------------------------------------- */

/* log(1 + exp(x)) without overflow. */
static sw_value *softplus_of(sw_tfc *c, sw_value *x) {
    sw_value *small = SW_TFC_APPLY(Exp, SW_TFC_APPLY(Neg, SW_TFC_APPLY(Abs, x)));
    return SW_TFC_APPLY(Add, SW_TFC_APPLY(Relu, x), SW_TFC_APPLY(Log, SW_TFC_APPLY(Add, small, sw__tfc_number(c, 1))));
}

static void softplus(sw_tfc *c) {
    sw__tfc_hand_over(c, 0, softplus_of(c, c->node->in[0]));
}

static void mish(sw_tfc *c) {
    sw_value *x = c->node->in[0];
    sw__tfc_hand_over(c, 0, SW_TFC_APPLY(Mul, x, SW_TFC_APPLY(Tanh, softplus_of(c, x))));
}

static void softsign(sw_tfc *c) {
    sw_value *x = c->node->in[0];
    sw__tfc_hand_over(c, 0, SW_TFC_APPLY(Div, x, SW_TFC_APPLY(Add, SW_TFC_APPLY(Abs, x), sw__tfc_number(c, 1))));
}

/* max(x, 0) + alpha * elu(min(x, 0) / alpha), and what Selu multiplies it with; Elu has alpha outside only. */
static void exponential(sw_tfc *c) {
    sw_op op = c->node->op;
    double alpha = (double)sw_node_float(c->node, "alpha"), gamma = 1;
    if (op == SW_OP_Selu) gamma = (double)sw_node_float(c->node, "gamma");
    sw_value *x = c->node->in[0], *low = SW_TFC_APPLY(Min, x, sw__tfc_number(c, 0));
    if (op == SW_OP_Celu) low = SW_TFC_APPLY(Div, low, sw__tfc_number(c, alpha));
    sw_value *left = SW_TFC_APPLY(Mul, SW_TFC_APPLY(Elu, low), sw__tfc_number(c, alpha * gamma));
    sw_value *right = SW_TFC_APPLY(Relu, x);
    if (gamma != 1) right = SW_TFC_APPLY(Mul, right, sw__tfc_number(c, gamma));
    sw__tfc_hand_over(c, 0, SW_TFC_APPLY(Add, right, left));
}

static bool has_alpha(const sw_node *node) {
    return sw_node_float(node, "alpha") != 1;
}

/* ---- Many inputs ----------------------------------------------------------------------------------------------------- */

static bool are_not_two(const sw_node *node) {
    return node->n_in != 2;
}

/* One after the other; means are divided in the end. */
static void fold(sw_tfc *c) {
    const sw_node *node = c->node;
    sw_op op = node->op == SW_OP_Sum || node->op == SW_OP_Mean ? SW_OP_Add : node->op;
    sw_value *x = node->in[0];
    for (int i = 1; i < node->n_in; i++) x = sw__tfc_apply(c, op, 2, (sw_value *[]){x, node->in[i]});
    if (node->op == SW_OP_Mean)
        x = SW_TFC_APPLY(Div, x, sw__tfc_number(c, node->n_in));
    else if (node->n_in == 1)
        x = SW_TFC_APPLY(Identity, x);
    sw__tfc_hand_over(c, 0, x);
}

/* ---- Reductions ------------------------------------------------------------------------------------------------------ */

static sw_value *mean_over(sw_tfc *c, sw_value *x, const int64_t *axes, int n) {
    return SW_TFC_APPLY(ReduceMean, x, sw__tfc_ints(c, axes, n));
}

/* Each channel of each picture: (x - mean) / sqrt(variance + epsilon), scaled and shifted. */
static void instance_norm(sw_tfc *c) {
    const sw_node *node = c->node;
    int rank = node->in[0]->type.rank;
    int64_t axes[SW_MAX_RANK], dims[SW_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        axes[i] = i + 2;
        dims[i] = i == 0 ? -1 : 1;
    }
    sw_value *x = node->in[0], *centred = SW_TFC_APPLY(Sub, x, mean_over(c, x, axes, rank - 2));
    sw_value *variance = mean_over(c, SW_TFC_APPLY(Mul, centred, centred), axes, rank - 2);
    sw_value *epsilon = sw__tfc_number(c, (double)sw_node_float(node, "epsilon"));
    sw_value *y = SW_TFC_APPLY(Div, centred, SW_TFC_APPLY(Sqrt, SW_TFC_APPLY(Add, variance, epsilon)));
    y = SW_TFC_APPLY(Mul, y, SW_TFC_APPLY(Reshape, node->in[1], sw__tfc_ints(c, dims, rank - 1)));
    sw__tfc_hand_over(c, 0, SW_TFC_APPLY(Add, y, SW_TFC_APPLY(Reshape, node->in[2], sw__tfc_ints(c, dims, rank - 1))));
}

static bool has_a_map(const sw_node *node) {
    return node->in[0]->type.rank > 2;
}

/* Sums of absolute values or squares; the root of those. */
static void norm(sw_tfc *c) {
    sw_node *node = c->node;
    sw_value *x = node->in[0], *axes = node->n_in > 1 ? node->in[1] : NULL;
    x = node->op == SW_OP_ReduceL1 ? SW_TFC_APPLY(Abs, x) : SW_TFC_APPLY(Mul, x, x);
    sw_value *sum = axes ? SW_TFC_APPLY(ReduceSum, x, axes) : SW_TFC_APPLY(ReduceSum, x);
    sw__tfc_with_int(sum, "keepdims", sw_node_int(node, "keepdims"));
    sw__tfc_with_int(sum, "noop_with_empty_axes", sw_node_int(node, "noop_with_empty_axes"));
    sw__tfc_hand_over(c, 0, node->op == SW_OP_ReduceL2 ? SW_TFC_APPLY(Sqrt, sum) : sum);
}

/* ---- Blocks ---------------------------------------------------------------------------------------------------------- */

static bool is_by_channel(const sw_node *node) {
    return !strcmp(sw_node_string(node, "mode"), "CRD");
}

/* The format's operator has the places within a block outside, the channels inside: channels change places before it. */
static void depth_to_space(sw_tfc *c) {
    int64_t side = sw_node_int(c->node, "blocksize"), all = c->node->in[0]->type.dims[1], blocks = side * side;
    int64_t *at = SW_ARENA_ARRAY(c->graph->arena, int64_t, all);
    if (!at) {
        sw__tfc_nomem(c);
        return;
    }
    for (int64_t i = 0; i < all; i++) at[i] = i % (all / blocks) * blocks + i / (all / blocks);
    sw_value *x = sw__tfc_with_int(SW_TFC_APPLY(Gather, c->node->in[0], sw__tfc_ints(c, at, (int)all)), "axis", 1);
    sw__tfc_hand_over(c, 0, sw__tfc_with_int(SW_TFC_APPLY(DepthToSpace, x), "blocksize", side));
}

/* ---- Means ------------------------------------------------------------------------------------------------------------ */

static sw_status window_of(const sw_node *node, sw_window *win) {
    const sw_tensor *in[1];
    sw_tensor *out[1];
    sw_call call = sw_node_call(node, in, out, NULL);
    return sw_call_window(&call, in[0], NULL, win);
}

/* Means that leave paddings out, over windows that reach into them. */
static bool leaves_out(const sw_node *node) {
    sw_window win;
    bool map = node->in[0]->type.rank == 4 && sw_tensor_is_concrete(&node->in[0]->type);
    if (!map || sw_node_int(node, "count_include_pad") || window_of(node, &win) != SW_OK || sw__tfw_is_same(&win))
        return false;
    for (int i = 0; i < 2; i++)
        if (win.dilation[i] != 1) return false;
    return true;
}

/* Pixels of the map in window `o` of an axis. */
static int64_t inside(const sw_window *win, int axis, int64_t o) {
    int64_t from = o * win->stride[axis] - win->pad_begin[axis], to = from + win->kernel[axis];
    return (to < win->in[axis] ? to : win->in[axis]) - (from > 0 ? from : 0);
}

/* The mean with the zeros of a padding, times what share of the window is no padding. */
static void mean_pool(sw_tfc *c) {
    sw_window win;
    int64_t pads[4];
    c->status = window_of(c->node, &win);
    if (c->status != SW_OK) return;
    for (int i = 0; i < 2; i++) {
        pads[i] = win.pad_begin[i];
        pads[2 + i] = (win.out[i] - 1) * win.stride[i] + win.kernel[i] - win.in[i] - win.pad_begin[i];
        if (pads[2 + i] < 0) pads[2 + i] = 0;
    }
    sw_value *y = SW_TFC_APPLY(AveragePool, c->node->in[0]);
    sw_value *factors = sw__tfc_constant(c, SW_F32, 4, (int64_t[]){1, 1, win.out[0], win.out[1]});
    if (!y || !factors) return;
    sw__tfc_with_int(y, "count_include_pad", 1);
    c->status = sw_node_set_ints(c->graph, y->producer, "pads", pads, 4);
    if (c->status == SW_OK) c->status = sw_node_set_ints(c->graph, y->producer, "strides", win.stride, 2);
    if (c->status == SW_OK) c->status = sw_node_set_ints(c->graph, y->producer, "kernel_shape", win.kernel, 2);
    double area = (double)(win.kernel[0] * win.kernel[1]);
    for (int64_t i = 0; i < win.out[0] * win.out[1]; i++) {
        int64_t n = inside(&win, 0, i / win.out[1]) * inside(&win, 1, i % win.out[1]);
        ((float *)factors->type.data)[i] = n > 0 ? (float)(area / (double)n) : 0;
    }
    sw__tfc_hand_over(c, 0, SW_TFC_APPLY(Mul, y, factors));
}

const sw_tfc_row sw__tfc_formula[] = {
    {SW_OP_AveragePool, leaves_out, mean_pool},
    {SW_OP_Softplus, NULL, softplus},
    {SW_OP_Mish, NULL, mish},
    {SW_OP_Softsign, NULL, softsign},
    {SW_OP_Elu, has_alpha, exponential},
    {SW_OP_Selu, NULL, exponential},
    {SW_OP_Celu, NULL, exponential},
    {SW_OP_Sum, NULL, fold},
    {SW_OP_Mean, NULL, fold},
    {SW_OP_Max, are_not_two, fold},
    {SW_OP_Min, are_not_two, fold},
    {SW_OP_InstanceNormalization, has_a_map, instance_norm},
    {SW_OP_ReduceL1, NULL, norm},
    {SW_OP_ReduceL2, NULL, norm},
    {SW_OP_ReduceSumSquare, NULL, norm},
    {SW_OP_DepthToSpace, is_by_channel, depth_to_space},
    {0, NULL, NULL},
};
