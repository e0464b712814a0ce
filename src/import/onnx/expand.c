/* Operators of ONNX that become several nodes. */
#include <string.h>

#include "import/onnx/model.h"

/* ---- Building blocks ------------------------------------------------------------------------------------- */

static const char *made_name(sw__draft *d, const char *suffix) {
    const sw__onnx_node *proto = d->proto;
    const char *stem = *proto->name ? proto->name : proto->n_out && *proto->out[0] ? proto->out[0] : proto->op;
    if (*d->scope->prefix) stem = sw_arena_printf(d->im->arena, "%.100s/%.100s", d->scope->prefix, stem);
    return stem ? sw__onnx_free_name(d->im, stem, suffix) : NULL;
}

sw_status sw__onnx_new_value(sw__draft *d, const char *suffix, sw_value **value) {
    const char *name = made_name(d, suffix);
    *value = name ? sw_graph_add_value(d->im->graph, name, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL) : NULL;
    return *value ? SW_OK : sw__onnx_nomem(d->im);
}

sw_status sw__onnx_start(sw__draft *d, sw_op op, const char *suffix, int n_in, sw_value *const *in, sw_node **node) {
    sw_value *out;
    SW_TRY(suffix ? sw__onnx_new_value(d, suffix, &out) : sw__onnx_output(d, 0, &out));
    if (!out) return sw__onnx_nomem(d->im);
    const char *name = *d->scope->prefix ? out->name : d->proto->name;
    *node = sw_graph_add_node(d->im->graph, NULL, op, name, n_in, in, 1, &out);
    return *node ? SW_OK : sw__onnx_nomem(d->im);
}

sw_status sw__onnx_step(sw__draft *d, sw_op op, const char *suffix, int n_in, sw_value *const *in, sw_value **out) {
    sw_node *node;
    SW_TRY(sw__onnx_start(d, op, suffix, n_in, in, &node));
    *out = node->out[0];
    return sw__onnx_settle(d->im, node);
}

sw_status sw__onnx_new_ints(sw__draft *d, const char *suffix, const int64_t *v, int n, sw_value **value) {
    const char *name = made_name(d, suffix);
    *value = name ? sw_graph_const_ints(d->im->graph, name, v, n) : NULL;
    return *value ? SW_OK : sw__onnx_nomem(d->im);
}

/* Stores a number as one element; false for types that are no floats. */
static bool store_float(sw_dtype dtype, float v, void *to) {
    switch (dtype) {
    case SW_F32:
        *(float *)to = v;
        return true;
    case SW_F64:
        *(double *)to = (double)v;
        return true;
    case SW_F16:
        *(uint16_t *)to = sw_f32_to_f16(v);
        return true;
    case SW_BF16:
        *(uint16_t *)to = sw_f32_to_bf16(v);
        return true;
    default:
        return false;
    }
}

sw_status sw__onnx_new_float(sw__draft *d, const char *suffix, float v, sw_value *like, sw_value **value) {
    sw_dtype dtype = like->type.dtype;
    bool known = dtype == SW_F32 || dtype == SW_F64 || dtype == SW_F16 || dtype == SW_BF16;
    const char *name = made_name(d, suffix);
    *value = name ? sw_graph_new_const(d->im->graph, name, known ? dtype : SW_F32, 0, NULL) : NULL;
    if (!*value) return sw__onnx_nomem(d->im);
    store_float((*value)->type.dtype, v, (*value)->type.data);
    if (known) return SW_OK;
    return sw__onnx_step(d, SW_OP_CastLike, suffix, 2, (sw_value *[]){*value, like}, value);
}

sw_status sw__onnx_split(sw__draft *d, const char *suffix, sw_value *x, int64_t axis, const int64_t *lengths, int n,
                         sw_value **parts) {
    sw_value *in[2] = {x};
    if (lengths) SW_TRY(sw__onnx_new_ints(d, "lengths", lengths, n, &in[1]));
    for (int i = 0; i < n; i++) SW_TRY(sw__onnx_new_value(d, suffix, &parts[i]));
    const char *name = *d->scope->prefix ? parts[0]->name : d->proto->name;
    sw_node *node = sw_graph_add_node(d->im->graph, NULL, SW_OP_Split, name, lengths ? 2 : 1, in, n, parts);
    if (!node) return sw__onnx_nomem(d->im);
    sw_node_set_int(node, "axis", axis);
    if (!lengths) sw_node_set_int(node, "num_outputs", n);
    return sw__onnx_settle(d->im, node);
}

/* Nodes that are replaced must have these inputs and one output. */
static sw_status check_ports(sw__draft *d, int n_in, int max_out) {
    bool good = d->n_in >= n_in && d->proto->n_out >= 1 && d->proto->n_out <= max_out && *d->proto->out[0];
    for (int i = 0; good && i < n_in; i++) good = d->in[i] != NULL;
    if (good) return SW_OK;
    return sw__draft_fail(d, SW_E_MODEL, "it has %d inputs and %d outputs; expected: %d and %d", d->n_in,
                          d->proto->n_out, n_in, max_out);
}

/* ---- GroupNormalization ---------------------------------------------------------------------------------- */

/* Until opset 20 scale and bias are given per group and InstanceNormalization applies them; from 21 on per channel. */
static sw_status scale_channels(sw__draft *d, sw_value *x, sw_value **y) {
    const int64_t copy_batch = 0, rest = -1, one = 1;
    sw_value *zero, *minus, *axis, *channels, *dims, *flat, *scale, *bias, *scaled;
    SW_TRY(sw__onnx_new_ints(d, "zero", &copy_batch, 1, &zero));
    SW_TRY(sw__onnx_new_ints(d, "rest", &rest, 1, &minus));
    SW_TRY(sw__onnx_new_ints(d, "axis", &one, 1, &axis));
    SW_TRY(sw__onnx_step(d, SW_OP_Shape, "channels", 1, &d->in[1], &channels));
    SW_TRY(sw__onnx_step(d, SW_OP_Concat, "dims", 3, (sw_value *[]){zero, channels, minus}, &dims));
    if (dims->producer) sw_node_set_int(dims->producer, "axis", 0); /* else its value is known already */
    SW_TRY(sw__onnx_step(d, SW_OP_Reshape, "flat", 2, (sw_value *[]){x, dims}, &flat));
    SW_TRY(sw__onnx_step(d, SW_OP_Unsqueeze, "scale", 2, (sw_value *[]){d->in[1], axis}, &scale));
    SW_TRY(sw__onnx_step(d, SW_OP_Unsqueeze, "bias", 2, (sw_value *[]){d->in[2], axis}, &bias));
    SW_TRY(sw__onnx_step(d, SW_OP_Mul, "scaled", 2, (sw_value *[]){flat, scale}, &scaled));
    return sw__onnx_step(d, SW_OP_Add, "shifted", 2, (sw_value *[]){scaled, bias}, y);
}

/* `n` times the number v, as InstanceNormalization wants its scale and bias. */
static sw_status repeat(sw__draft *d, const char *suffix, float v, int64_t n, sw_value **value) {
    sw_value *single, *length;
    SW_TRY(sw__onnx_new_float(d, suffix, v, d->in[0], &single));
    SW_TRY(sw__onnx_new_ints(d, "groups", &n, 1, &length));
    return sw__onnx_step(d, SW_OP_Expand, suffix, 2, (sw_value *[]){single, length}, value);
}

sw_status sw__onnx_group_norm(sw__draft *d) {
    SW_TRY(check_ports(d, 3, 1));
    const sw__onnx_attr *groups, *epsilon, *precision;
    SW_TRY(sw__onnx_take(d, "num_groups", SW__ATTR_INT, &groups));
    SW_TRY(sw__onnx_take(d, "epsilon", SW__ATTR_FLOAT, &epsilon));
    SW_TRY(sw__onnx_take(d, "stash_type", SW__ATTR_INT, &precision)); /* kernels compute in float at least */
    if (!groups || groups->i < 1) return sw__draft_fail(d, SW_E_MODEL, "num_groups is missing or below 1");
    bool per_channel = d->opset >= 21;
    const int64_t split[] = {0, groups->i, -1};
    sw_value *dims, *x, *scale = d->in[1], *bias = d->in[2], *shape, *y;
    SW_TRY(sw__onnx_new_ints(d, "split", split, 3, &dims));
    SW_TRY(sw__onnx_step(d, SW_OP_Reshape, "grouped", 2, (sw_value *[]){d->in[0], dims}, &x));
    if (per_channel) SW_TRY(repeat(d, "ones", 1, groups->i, &scale));
    if (per_channel) SW_TRY(repeat(d, "zeros", 0, groups->i, &bias));
    SW_TRY(sw__onnx_step(d, SW_OP_InstanceNormalization, "normal", 3, (sw_value *[]){x, scale, bias}, &y));
    if (epsilon) sw_node_set_float(y->producer, "epsilon", epsilon->f);
    if (per_channel) SW_TRY(scale_channels(d, y, &y));
    SW_TRY(sw__onnx_step(d, SW_OP_Shape, "shape", 1, d->in, &shape));
    d->op = SW_OP_Reshape;
    d->done = true;
    return sw__onnx_step(d, SW_OP_Reshape, NULL, 2, (sw_value *[]){y, shape}, &y);
}

/* ---- MeanVarianceNormalization --------------------------------------------------------------------------- */

/* (x - mean(x)) / (sqrt(mean(x * x) - mean(x) * mean(x)) + 1e-9), as the operator's function in ONNX. */
sw_status sw__onnx_mean_variance_norm(sw__draft *d) {
    static const int64_t usual[] = {0, 2, 3};
    const int64_t *v = usual;
    int n = 3;
    SW_TRY(check_ports(d, 1, 1));
    const sw__onnx_attr *given;
    SW_TRY(sw__onnx_take(d, "axes", SW__ATTR_INTS, &given));
    if (given) SW_TRY(sw__onnx_ints(d->im, given, &v, &n));
    sw_value *x = d->in[0], *axes, *mean, *mean2, *square, *square_mean, *variance, *deviation, *tiny, *divisor,
             *centred, *y;
    SW_TRY(sw__onnx_new_ints(d, "axes", v, n, &axes));
    SW_TRY(sw__onnx_step(d, SW_OP_ReduceMean, "mean", 2, (sw_value *[]){x, axes}, &mean));
    SW_TRY(sw__onnx_step(d, SW_OP_Mul, "mean2", 2, (sw_value *[]){mean, mean}, &mean2));
    SW_TRY(sw__onnx_step(d, SW_OP_Mul, "square", 2, (sw_value *[]){x, x}, &square));
    SW_TRY(sw__onnx_step(d, SW_OP_ReduceMean, "square_mean", 2, (sw_value *[]){square, axes}, &square_mean));
    SW_TRY(sw__onnx_step(d, SW_OP_Sub, "variance", 2, (sw_value *[]){square_mean, mean2}, &variance));
    SW_TRY(sw__onnx_step(d, SW_OP_Sqrt, "deviation", 1, &variance, &deviation));
    SW_TRY(sw__onnx_new_float(d, "tiny", 1e-9f, x, &tiny));
    SW_TRY(sw__onnx_step(d, SW_OP_Add, "divisor", 2, (sw_value *[]){deviation, tiny}, &divisor));
    SW_TRY(sw__onnx_step(d, SW_OP_Sub, "centred", 2, (sw_value *[]){x, mean}, &centred));
    d->op = SW_OP_Div;
    d->done = true;
    return sw__onnx_step(d, SW_OP_Div, NULL, 2, (sw_value *[]){centred, divisor}, &y);
}

/* ---- BatchNormalization in training ------------------------------------------------------------------------ */

/* Output i of the node: old * momentum + new * (1 - momentum). */
static sw_status running(sw__draft *d, int i, float momentum, sw_value *old, sw_value *new) {
    sw_value *kept, *added, *parts[2], *out;
    if (d->proto->n_out <= i || !*d->proto->out[i]) return SW_OK;
    SW_TRY(sw__onnx_new_float(d, "momentum", momentum, old, &kept));
    SW_TRY(sw__onnx_new_float(d, "rest", 1 - momentum, new, &added));
    SW_TRY(sw__onnx_step(d, SW_OP_Mul, "kept", 2, (sw_value *[]){old, kept}, &parts[0]));
    SW_TRY(sw__onnx_step(d, SW_OP_Mul, "added", 2, (sw_value *[]){new, added}, &parts[1]));
    SW_TRY(sw__onnx_output(d, i, &out));
    sw_node *node = sw_graph_add_node(d->im->graph, NULL, SW_OP_Add, d->proto->name, 2, parts, 1, &out);
    return node ? sw__onnx_settle(d->im, node) : sw__onnx_nomem(d->im);
}

sw_status sw__onnx_batch_norm_training(sw__draft *d) {
    const sw__onnx_attr *epsilon, *given;
    SW_TRY(check_ports(d, 5, 3));
    SW_TRY(sw__onnx_take(d, "epsilon", SW__ATTR_FLOAT, &epsilon));
    SW_TRY(sw__onnx_take(d, "momentum", SW__ATTR_FLOAT, &given));
    int64_t others[SW_MAX_RANK], flat = -1;
    int n = 0;
    sw_value *x = d->in[0], *axes, *all, *mean, *centred, *square, *variance, *y;
    if (x->type.rank < 2) return sw__draft_fail(d, SW_E_UNSUPPORTED, "training_mode=1 on an input of unknown rank");
    for (int axis = 0; axis < x->type.rank; axis++)
        if (axis != 1) others[n++] = axis;
    SW_TRY(sw__onnx_new_ints(d, "axes", others, n, &axes));
    SW_TRY(sw__onnx_new_ints(d, "all", &flat, 1, &all));
    SW_TRY(sw__onnx_step(d, SW_OP_ReduceMean, "mean", 2, (sw_value *[]){x, axes}, &mean));
    SW_TRY(sw__onnx_step(d, SW_OP_Sub, "centred", 2, (sw_value *[]){x, mean}, &centred));
    SW_TRY(sw__onnx_step(d, SW_OP_Mul, "square", 2, (sw_value *[]){centred, centred}, &square));
    SW_TRY(sw__onnx_step(d, SW_OP_ReduceMean, "variance", 2, (sw_value *[]){square, axes}, &variance));
    SW_TRY(sw__onnx_step(d, SW_OP_Reshape, "means", 2, (sw_value *[]){mean, all}, &mean));
    SW_TRY(sw__onnx_step(d, SW_OP_Reshape, "variances", 2, (sw_value *[]){variance, all}, &variance));
    SW_TRY(running(d, 1, given ? given->f : 0.9f, d->in[3], mean));
    SW_TRY(running(d, 2, given ? given->f : 0.9f, d->in[4], variance));
    d->op = SW_OP_BatchNormalization;
    d->done = true;
    sw_value *in[5] = {x, d->in[1], d->in[2], mean, variance};
    SW_TRY(sw__onnx_step(d, SW_OP_BatchNormalization, NULL, 5, in, &y));
    if (epsilon && y->producer) sw_node_set_float(y->producer, "epsilon", epsilon->f);
    return SW_OK;
}

/* ---- Dropout --------------------------------------------------------------------------------------------- */

/* The mask of inference, from opset 10 on: all true. Before, it is only made in training. */
static sw_status all_true(sw__draft *d) {
    static const uint8_t yes = 1;
    sw_tensor one = {.dtype = SW_BOOL, .rank = 1, .dims = {1}, .data = (void *)(uintptr_t)&yes};
    sw_value *shape, *mask;
    if (d->opset < 10) return sw__onnx_bind(d->im, d->scope, d->proto->out[1], &d->im->dropped);
    SW_TRY(sw__onnx_step(d, SW_OP_Shape, "shape", 1, d->in, &shape));
    SW_TRY(sw__onnx_output(d, 1, &mask));
    sw_node *node = sw_graph_add_node(d->im->graph, NULL, SW_OP_ConstantOfShape, d->proto->name, 1, &shape, 1, &mask);
    if (!node || sw_node_set_tensor(d->im->graph, node, "value", &one) != SW_OK) return sw__onnx_nomem(d->im);
    return sw__onnx_settle(d->im, node);
}

sw_status sw__onnx_dropout(sw__draft *d) {
    const sw__onnx_attr *ratio;
    SW_TRY(check_ports(d, 1, 2));
    SW_TRY(sw__onnx_take(d, "ratio", SW__ATTR_FLOAT, &ratio)); /* until opset 11; of no use in inference */
    const sw_value *training = d->n_in > 2 ? d->in[2] : NULL;
    if (training && !sw_value_is_const(training))
        return sw__draft_fail(d, SW_E_UNSUPPORTED, "training_mode is computed; it must be a constant");
    if (training && (training->type.dtype != SW_BOOL || sw_tensor_count(&training->type) != 1))
        return sw__draft_fail(d, SW_E_MODEL, "training_mode is no single truth value");
    if (training && sw_tensor_int_at(&training->type, 0))
        return sw__draft_fail(d, SW_E_UNSUPPORTED, "training_mode=1 is not supported");
    if (d->proto->n_out > 1 && *d->proto->out[1]) SW_TRY(all_true(d));
    sw_value *y;
    d->op = SW_OP_Identity;
    d->done = true;
    return sw__onnx_step(d, SW_OP_Identity, NULL, 1, d->in, &y);
}
