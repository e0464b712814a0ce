/* Layer types that become several nodes: normalisations, attention, shuffles, GRU and RNN, regions. */
#include <math.h>
#include <string.h>

#include "import/openvino/model.h"

#define APPLY(op, out, ...)                                                                                            \
    SW_TRY(sw__ovin_apply(im, SW_OP_##op, false, (int)(sizeof((sw_value *[]){__VA_ARGS__}) / sizeof(sw_value *)),      \
                          (sw_value *[]){__VA_ARGS__}, (out)))
#define FINISH(op, ...)                                                                                                \
    sw__ovin_apply(im, SW_OP_##op, true, (int)(sizeof((sw_value *[]){__VA_ARGS__}) / sizeof(sw_value *)),              \
                   (sw_value *[]){__VA_ARGS__}, NULL)

/* A node of one output whose attributes are set before its shape rule runs; `last`: it makes the layer's output. */
static sw_status begin(sw_ovin_import *im, sw_op op, bool last, int n_in, sw_value *const *in, sw_node **node) {
    sw_value *out =
        last ? sw__ovin_output(im, 0) : sw_graph_add_value(im->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
    *node = out ? sw_graph_add_node(im->graph, NULL, op, im->layer->name, n_in, in, 1, &out) : NULL;
    return *node ? SW_OK : sw__ovin_nomem(im);
}

static sw_status with_int(sw_ovin_import *im, sw_op op, bool last, int n_in, sw_value *const *in, const char *name,
                          int64_t value, sw_value **out) {
    sw_node *node;
    SW_TRY(begin(im, op, last, n_in, in, &node));
    sw_node_set_int(node, name, value);
    if (out) *out = node->out[0];
    return sw__ovin_settle(im, node);
}

static sw_status transpose(sw_ovin_import *im, sw_value *x, const int64_t *perm, int n, bool last, sw_value **out) {
    sw_node *node;
    SW_TRY(begin(im, SW_OP_Transpose, last, 1, &x, &node));
    if (sw_node_set_ints(im->graph, node, "perm", perm, n) != SW_OK) return sw__ovin_nomem(im);
    if (out) *out = node->out[0];
    return sw__ovin_settle(im, node);
}

static sw_status reshape(sw_ovin_import *im, sw_value *x, const int64_t *dims, int n, sw_value **out) {
    sw_value *shape;
    SW_TRY(sw__ovin_ints(im, dims, n, &shape));
    return sw__ovin_apply(im, SW_OP_Reshape, false, 2, (sw_value *[]){x, shape}, out);
}

/* ---- Elements ------------------------------------------------------------------------------------------------------ */

static sw_status read_squared_difference(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_value *d;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    APPLY(Sub, &d, in[0], in[1]);
    return FINISH(Mul, d, d);
}

static sw_status read_not_equal(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_value *same;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    APPLY(Equal, &same, in[0], in[1]);
    return FINISH(Not, same);
}

static sw_status read_logical_reduce(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    sw_value *numbers, *reduced, *axes;
    int64_t v[SW_MAX_RANK];
    int n;
    sw_op op = !strcmp(l->type, "ReduceLogicalAnd") ? SW_OP_ReduceMin : SW_OP_ReduceMax;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    SW_TRY(sw__ovin_known(im, in[1], "axes", v, SW_MAX_RANK, &n));
    SW_TRY(sw__ovin_ints(im, v, n, &axes));
    SW_TRY(with_int(im, SW_OP_Cast, false, 1, in, "to", sw_dtype_onnx(SW_I32), &numbers));
    SW_TRY(with_int(im, op, false, 2, (sw_value *[]){numbers, axes}, "keepdims",
                    sw__ovin_attr_true(l, "keep_dims", false), &reduced));
    return with_int(im, SW_OP_Cast, true, 1, &reduced, "to", sw_dtype_onnx(SW_BOOL), NULL);
}

/* ---- Normalisations ------------------------------------------------------------------------------------------------ */

/* x / sqrt(sum of squares + eps), or of their maximum. */
static sw_status read_normalize_l2(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    int64_t v[SW_MAX_RANK];
    int n;
    float epsilon;
    sw_value *axes, *tiny, *squares, *sum;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    SW_TRY(sw__ovin_known(im, in[1], "axes", v, SW_MAX_RANK, &n));
    SW_TRY(sw__ovin_attr_float(im, "eps", 0, &epsilon));
    SW_TRY(sw__ovin_ints(im, v, n, &axes));
    SW_TRY(sw__ovin_floats(im, &epsilon, -1, &tiny));
    APPLY(Mul, &squares, in[0], in[0]);
    APPLY(ReduceSum, &sum, squares, axes);
    if (!strcmp(sw__ovin_attr(l, "eps_mode", "add"), "max"))
        APPLY(Max, &sum, sum, tiny);
    else
        APPLY(Add, &sum, sum, tiny);
    APPLY(Sqrt, &sum, sum);
    return FINISH(Div, in[0], sum);
}

static sw_status read_lrn(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    int64_t axis = 0, size;
    int n;
    float alpha, beta, bias;
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    SW_TRY(sw__ovin_known(im, in[1], "axes", &axis, 1, &n));
    if (n != 1 || axis != 1) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "only axis 1 is supported");
    SW_TRY(sw__ovin_attr_float(im, "alpha", 0, &alpha));
    SW_TRY(sw__ovin_attr_float(im, "beta", 0, &beta));
    SW_TRY(sw__ovin_attr_float(im, "bias", 1, &bias));
    SW_TRY(sw__ovin_attr_int(im, "size", 1, &size));
    SW_TRY(begin(im, SW_OP_LRN, true, 1, in, &node));
    sw_node_set_float(node, "alpha", alpha);
    sw_node_set_float(node, "beta", beta);
    sw_node_set_float(node, "bias", bias);
    sw_node_set_int(node, "size", size);
    return sw__ovin_settle(im, node);
}

/* Groups of channels are the channels of an InstanceNormalization without scale; then each channel has its own. */
static sw_status read_group_norm(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    int64_t groups, dims[SW_MAX_RANK] = {-1};
    float epsilon;
    sw_value *x, *shape, *ones, *zeros, *of_channel[2];
    sw_node *node;
    int rank = 0;
    SW_TRY(sw__ovin_expect(im, 3, 3));
    SW_TRY(sw__ovin_attr_int(im, "num_groups", 1, &groups));
    SW_TRY(sw__ovin_attr_float(im, "epsilon", 1e-5, &epsilon));
    rank = in[0]->type.rank;
    if (rank < 3 || groups < 1 || groups > 1 << 20)
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "groups of a tensor of %d axes are not supported", rank);
    ones = sw_graph_new_const(im->graph, NULL, SW_F32, 1, &groups);
    zeros = sw_graph_new_const(im->graph, NULL, SW_F32, 1, &groups);
    if (!ones || !zeros) return sw__ovin_nomem(im);
    for (int64_t i = 0; i < groups; i++) ((float *)ones->type.data)[i] = 1;
    APPLY(Shape, &shape, in[0]);
    SW_TRY(reshape(im, in[0], (int64_t[]){0, groups, -1}, 3, &x));
    SW_TRY(begin(im, SW_OP_InstanceNormalization, false, 3, (sw_value *[]){x, ones, zeros}, &node));
    sw_node_set_float(node, "epsilon", epsilon);
    x = node->out[0];
    SW_TRY(sw__ovin_settle(im, node));
    APPLY(Reshape, &x, x, shape);
    for (int i = 1; i < rank; i++) dims[i] = 1;
    for (int i = 0; i < 2; i++) SW_TRY(reshape(im, in[1 + i], dims, rank - 1, &of_channel[i]));
    APPLY(Mul, &x, x, of_channel[0]);
    return FINISH(Add, x, of_channel[1]);
}

/* ---- Pools --------------------------------------------------------------------------------------------------------- */

/* Row `o` has the share of each of `side` pixels in output `o` of `out`; the other way round for a factor on the right. */
static sw_status shares(sw_ovin_import *im, int64_t side, int64_t out, bool right, sw_value **matrix) {
    const int64_t dims[] = {right ? side : out, right ? out : side};
    *matrix = sw_graph_new_const(im->graph, NULL, SW_F32, 2, dims);
    if (!*matrix) return sw__ovin_nomem(im);
    float *v = (*matrix)->type.data;
    for (int64_t o = 0; o < out; o++) {
        int64_t from = o * side / out, to = ((o + 1) * side + out - 1) / out;
        for (int64_t i = from; i < to; i++) v[right ? i * out + o : o * side + i] = 1 / (float)(to - from);
    }
    return SW_OK;
}

/* Windows that differ in size, of maps of two sides: products with what each pixel gives to each mean. */
static sw_status pool_unevenly(sw_ovin_import *im, sw_value *x, const int64_t *out) {
    enum { MOST = 4096 };
    const int64_t *side = x->type.dims + 2;
    sw_value *rows, *columns;
    for (int i = 0; i < 2; i++)
        if (side[i] < 1 || side[i] > MOST || out[i] < 1 || out[i] > MOST)
            return sw__ovin_fail(im, SW_E_UNSUPPORTED, "sides that are not known, or above %d, are not supported",
                                 MOST);
    SW_TRY(shares(im, side[0], out[0], false, &rows));
    SW_TRY(shares(im, side[1], out[1], true, &columns));
    APPLY(MatMul, &x, rows, x);
    return FINISH(MatMul, x, columns);
}

/* Where the map divides evenly: a plain pool. */
static sw_status read_adaptive_pool(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    int64_t out[SW_MAX_RANK], window[SW_MAX_RANK];
    int n, rank;
    bool one = true, even;
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 2, 2));
    SW_TRY(sw__ovin_known(im, in[1], "sizes", out, SW_MAX_RANK, &n));
    rank = in[0]->type.rank;
    even = n > 0 && rank == n + 2;
    for (int i = 0; i < n; i++) one = one && out[i] == 1;
    if (even && one) return FINISH(GlobalAveragePool, in[0]);
    for (int i = 0; even && i < n; i++) {
        int64_t side = in[0]->type.dims[2 + i];
        even = side > 0 && out[i] > 0 && side % out[i] == 0;
        window[i] = even ? side / out[i] : 1;
    }
    if (!even && n == 2 && rank == 4) return pool_unevenly(im, in[0], out);
    if (!even) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "sizes that do not divide the map are not supported");
    SW_TRY(begin(im, SW_OP_AveragePool, true, 1, in, &node));
    if (sw_node_set_ints(im->graph, node, "kernel_shape", window, n) != SW_OK ||
        sw_node_set_ints(im->graph, node, "strides", window, n) != SW_OK)
        return sw__ovin_nomem(im);
    return sw__ovin_settle(im, node);
}

static sw_status read_roi_align(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    int64_t height, width, ratio;
    float scale;
    sw_value *batch;
    sw_node *node;
    SW_TRY(sw__ovin_expect(im, 3, 3));
    SW_TRY(sw__ovin_attr_int(im, "pooled_h", 1, &height));
    SW_TRY(sw__ovin_attr_int(im, "pooled_w", 1, &width));
    SW_TRY(sw__ovin_attr_int(im, "sampling_ratio", 0, &ratio));
    SW_TRY(sw__ovin_attr_float(im, "spatial_scale", 1, &scale));
    SW_TRY(with_int(im, SW_OP_Cast, false, 1, &in[2], "to", sw_dtype_onnx(SW_I64), &batch));
    SW_TRY(begin(im, SW_OP_RoiAlign, true, 3, (sw_value *[]){in[0], in[1], batch}, &node));
    sw_node_set_int(node, "output_height", height);
    sw_node_set_int(node, "output_width", width);
    sw_node_set_int(node, "sampling_ratio", ratio);
    sw_node_set_float(node, "spatial_scale", scale);
    const char *aligned = sw__ovin_attr(l, "aligned_mode", "asymmetric");
    bool half = !strcmp(aligned, "half_pixel_for_nn"); /* what frontends write for ONNX's half_pixel */
    if (!half && strcmp(aligned, "asymmetric"))
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "aligned_mode '%.40s' is not supported", aligned);
    SW_TRY(sw_node_set_string(im->graph, node, "coordinate_transformation_mode",
                              half ? "half_pixel" : "output_half_pixel"));
    SW_TRY(sw_node_set_string(im->graph, node, "mode", sw__ovin_attr(l, "mode", "avg")));
    return sw__ovin_settle(im, node);
}

/* ---- Moves --------------------------------------------------------------------------------------------------------- */

static sw_status read_shuffle(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    static const int64_t swap[] = {0, 2, 1, 3};
    int64_t axis, group, channels;
    sw_value *x, *shape;
    SW_TRY(sw__ovin_expect(im, 1, 1));
    SW_TRY(sw__ovin_attr_int(im, "axis", 1, &axis));
    SW_TRY(sw__ovin_attr_int(im, "group", 1, &group));
    if (axis < 0) axis += in[0]->type.rank;
    channels = in[0]->type.rank >= 2 ? in[0]->type.dims[1] : -1;
    if (axis != 1 || group < 1 || channels < 1 || channels % group)
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "only channels of a known number on axis 1 are supported");
    APPLY(Shape, &shape, in[0]);
    SW_TRY(reshape(im, in[0], (int64_t[]){0, group, channels / group, -1}, 4, &x));
    SW_TRY(transpose(im, x, swap, 4, false, &x));
    return FINISH(Reshape, x, shape);
}

/* Elements `from` to `to` of an axis. */
static sw_status part(sw_ovin_import *im, sw_value *x, int64_t from, int64_t to, int64_t axis, sw_value **out) {
    sw_value *bounds[3];
    const int64_t v[] = {from, to, axis};
    for (int i = 0; i < 3; i++) SW_TRY(sw__ovin_ints(im, &v[i], 1, &bounds[i]));
    return sw__ovin_apply(im, SW_OP_Slice, false, 4, (sw_value *[]){x, bounds[0], bounds[1], bounds[2]}, out);
}

/* Axis after axis: the last elements come to the front. */
static sw_status read_roll(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    int64_t shifts[SW_MAX_RANK], axes[SW_MAX_RANK];
    int n, n_axes;
    sw_value *x = in[0], *parts[2];
    SW_TRY(sw__ovin_expect(im, 3, 3));
    SW_TRY(sw__ovin_known(im, in[1], "shift", shifts, SW_MAX_RANK, &n));
    SW_TRY(sw__ovin_known(im, in[2], "axes", axes, SW_MAX_RANK, &n_axes));
    if (n != n_axes && n != 1) return sw__ovin_fail(im, SW_E_MODEL, "there are %d shifts for %d axes", n, n_axes);
    for (int i = 0; i < n_axes; i++) {
        int rank = x->type.rank;
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i], shift = shifts[n == 1 ? 0 : i];
        if (axis < 0 || axis >= rank || x->type.dims[axis] < 1)
            return sw__ovin_fail(im, SW_E_UNSUPPORTED, "only axes of known length are supported");
        int64_t side = x->type.dims[axis], at = ((side - shift % side) % side + side) % side;
        if (!at) continue;
        SW_TRY(part(im, x, at, side, axis, &parts[0]));
        SW_TRY(part(im, x, 0, at, axis, &parts[1]));
        SW_TRY(with_int(im, SW_OP_Concat, false, 2, parts, "axis", axis, &x));
    }
    return FINISH(Identity, x);
}

/* ---- Attention ----------------------------------------------------------------------------------------------------- */

/* What is added to the scores: a mask of numbers, or 0 and minus infinity for true and false. */
static sw_status masked(sw_ovin_import *im, sw_value *scores, sw_value *mask, sw_value **out) {
    const float numbers[] = {0, -INFINITY};
    sw_value *choice[2];
    if (mask->type.dtype == SW_BOOL) {
        for (int i = 0; i < 2; i++) SW_TRY(sw__ovin_floats(im, &numbers[i], -1, &choice[i]));
        SW_TRY(sw__ovin_apply(im, SW_OP_Where, false, 3, (sw_value *[]){mask, choice[0], choice[1]}, &mask));
    }
    return sw__ovin_apply(im, SW_OP_Add, false, 2, (sw_value *[]){scores, mask}, out);
}

/* softmax(query * key' * scale + mask) * value */
static sw_status read_attention(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    int64_t perm[SW_MAX_RANK];
    sw_value *key, *scores, *scale = l->n_in > 4 ? in[4] : NULL;
    SW_TRY(sw__ovin_expect(im, 3, 5));
    int rank = in[1]->type.rank;
    int64_t width = in[0]->type.rank > 0 ? in[0]->type.dims[in[0]->type.rank - 1] : -1;
    if (sw__ovin_attr_true(l, "causal", false) || rank < 2 || (!scale && width < 1))
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "causal masks, and queries of unknown size, are not supported");
    for (int i = 0; i < rank; i++) perm[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
    if (!scale) {
        float v = 1 / sqrtf((float)width);
        SW_TRY(sw__ovin_floats(im, &v, -1, &scale));
    }
    SW_TRY(transpose(im, in[1], perm, rank, false, &key));
    APPLY(MatMul, &scores, in[0], key);
    APPLY(Mul, &scores, scores, scale);
    if (l->n_in > 3) SW_TRY(masked(im, scores, in[3], &scores));
    SW_TRY(with_int(im, SW_OP_Softmax, false, 1, &scores, "axis", -1, &scores));
    return FINISH(MatMul, scores, in[2]);
}

/* ---- GRU, RNN ------------------------------------------------------------------------------------------------------ */

/* Both biases of ONNX in a row: OpenVINO has added them, but for a GRU's that resets behind the product. */
static sw_value *split_biases(sw_ovin_import *im, const sw_tensor *from, int64_t rows, int64_t hidden) {
    int64_t dims[2] = {from->dims[0], 2 * rows}, given = from->dims[1];
    sw_value *to = sw_graph_new_const(im->graph, NULL, SW_F32, 2, dims);
    for (int64_t d = 0; to && d < dims[0]; d++) {
        const float *b = (const float *)from->data + d * given;
        float *v = (float *)to->type.data + d * dims[1];
        memcpy(v, b, (size_t)rows * sizeof *v);
        if (given > rows) memcpy(v + 2 * rows - hidden, b + rows, (size_t)hidden * sizeof *v);
    }
    return to;
}

static sw_status check_cell(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in, bool gru, bool behind,
                            int64_t *hidden) {
    float clip;
    SW_TRY(sw__ovin_expect(im, 6, 6));
    SW_TRY(sw__ovin_attr_int(im, "hidden_size", 0, hidden));
    SW_TRY(sw__ovin_attr_float(im, "clip", 0, &clip));
    const char *act = sw__ovin_attr(l, "activations", gru ? "sigmoid, tanh" : "tanh");
    bool usual =
        clip == 0 && (gru ? !strcmp(act, "sigmoid, tanh") || !strcmp(act, "sigmoid,tanh") : !strcmp(act, "tanh"));
    for (int i = 3; i < 6; i++) usual &= sw_value_is_const(in[i]) && in[i]->type.dtype == SW_F32;
    if (!usual) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "only the usual cell with constant weights is supported");
    const sw_tensor *w = &in[3]->type, *r = &in[4]->type, *b = &in[5]->type;
    int64_t h = *hidden, rows = (gru ? 3 : 1) * h, d = w->dims[0];
    bool good = h > 0 && h < 1 << 20 && w->rank == 3 && r->rank == 3 && b->rank == 2 && d >= 1 && d <= 2 &&
                r->dims[0] == d && b->dims[0] == d && w->dims[1] == rows && r->dims[1] == rows && r->dims[2] == h &&
                b->dims[1] == rows + (behind ? h : 0);
    if (!good) return sw__ovin_fail(im, SW_E_MODEL, "its weights do not fit hidden_size %lld", (long long)h);
    const sw_tensor *lengths = &in[2]->type;
    bool whole = sw_value_is_const(in[2]) && !sw__ovin_is_float(lengths->dtype) && in[0]->type.rank == 3;
    for (int64_t i = 0; whole && i < sw_tensor_count(lengths); i++)
        whole = sw_tensor_int_at(lengths, i) == in[0]->type.dims[1];
    return whole ? SW_OK : sw__ovin_fail(im, SW_E_UNSUPPORTED, "sequences of different lengths are not supported");
}

static sw_status read_cell(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in) {
    static const int64_t swap[] = {1, 0, 2}, back[] = {2, 1, 0, 3};
    bool gru = !strcmp(l->type, "GRUSequence"), behind = gru && sw__ovin_attr_true(l, "linear_before_reset", false);
    int64_t hidden;
    SW_TRY(check_cell(im, l, in, gru, behind, &hidden));
    sw_value *all[6] = {NULL, in[3], in[4], split_biases(im, &in[5]->type, (gru ? 3 : 1) * hidden, hidden), NULL, NULL};
    sw_value *made[2];
    if (!all[3]) return sw__ovin_nomem(im);
    SW_TRY(transpose(im, in[0], swap, 3, false, &all[0]));
    SW_TRY(transpose(im, in[1], swap, 3, false, &all[5]));
    for (int i = 0; i < 2; i++) {
        made[i] = sw_graph_add_value(im->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
        if (!made[i]) return sw__ovin_nomem(im);
    }
    sw_node *node = sw_graph_add_node(im->graph, NULL, gru ? SW_OP_GRU : SW_OP_RNN, l->name, 6, all, 2, made);
    if (!node) return sw__ovin_nomem(im);
    sw_node_set_int(node, "hidden_size", hidden);
    if (gru) sw_node_set_int(node, "linear_before_reset", behind);
    SW_TRY(sw_node_set_string(im->graph, node, "direction", sw__ovin_attr(l, "direction", "forward")));
    SW_TRY(sw__ovin_settle(im, node));
    for (int i = 0; i < 2 && i < l->n_out; i++) {
        sw_value *out = sw__ovin_output(im, i);
        sw_node *turn = out ? sw_graph_add_node(im->graph, NULL, SW_OP_Transpose, l->name, 1, &made[i], 1, &out) : NULL;
        if (!turn || sw_node_set_ints(im->graph, turn, "perm", i ? swap : back, i ? 3 : 4) != SW_OK)
            return sw__ovin_nomem(im);
        SW_TRY(sw__ovin_settle(im, turn));
    }
    return SW_OK;
}

const sw_ovin_row sw__ovin_vision[] = {
    {"SquaredDifference", read_squared_difference},
    {"NotEqual", read_not_equal},
    {"ReduceLogicalAnd", read_logical_reduce},
    {"ReduceLogicalOr", read_logical_reduce},
    {"NormalizeL2", read_normalize_l2},
    {"LRN", read_lrn},
    {"GroupNormalization", read_group_norm},
    {"AdaptiveAvgPool", read_adaptive_pool},
    {"ROIAlign", read_roi_align},
    {"ShuffleChannels", read_shuffle},
    {"Roll", read_roll},
    {"ScaledDotProductAttention", read_attention},
    {"GRUSequence", read_cell},
    {"RNNSequence", read_cell},
    {NULL, NULL},
};
