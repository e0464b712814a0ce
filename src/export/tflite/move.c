/* What moves elements and changes shapes. */
#include <string.h>

#include "export/tflite/model.h"
#include "ops/shape.h"

/* Reshape and its like: the dims of the output are known, and the data moves only where the order of axes must change. */
static void reshape(sw_tfw *w, const sw_node *node, int arg) {
    const sw_value *x = node->in[0], *y = node->out[0];
    sw_axes axes, result;
    sw__tfw_any(w, x, &axes);
    if (!sw_axes_reshaped(&axes, x->type.dims, y->type.rank, y->type.dims, &result)) {
        axes = sw_axes_plain(x->type.rank);
        result = sw_axes_plain(y->type.rank);
    }
    int32_t from = sw__tfw_as(w, x, axes);
    sw__tfw_reshape(w, from, sw__tfw_out(w, y, result));
}

static void transpose(sw_tfw *w, const sw_node *node, int arg) {
    const sw_attr *perm = sw_node_attr(node, "perm", SW_ATTR_INTS);
    int rank = node->in[0]->type.rank;
    int64_t order[SW_MAX_RANK];
    sw_axes axes;
    for (int i = 0; i < rank; i++) order[i] = perm->set ? perm->ints.v[i] : rank - 1 - i;
    int32_t x = sw__tfw_any(w, node->in[0], &axes);
    axes = sw_axes_transposed(&axes, order);
    sw__tfw_holds(w, node->out[0], x, &axes);
}

static void identity(sw_tfw *w, const sw_node *node, int arg) {
    sw_axes axes;
    int32_t x = sw__tfw_any(w, node->in[0], &axes);
    sw__tfw_holds(w, node->out[0], x, &axes);
}

static void concat(sw_tfw *w, const sw_node *node, int arg) {
    sw_axes axes = sw__tfw_common(w);
    int axis = sw_axis(sw_node_int(node, "axis"), axes.n), n = 0;
    int32_t *in = SW_ARENA_ARRAY(w->scratch, int32_t, node->n_in);
    if (!in) {
        sw__tfw_nomem(w);
        return;
    }
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] && sw_tensor_count(&node->in[i]->type) > 0) in[n++] = sw__tfw_as(w, node->in[i], axes);
    int32_t out = sw__tfw_out(w, node->out[0], axes);
    SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_CONCATENATION, 1, n, in, 1, &out), 10, SW_FB_I32(0, sw_axes_find(&axes, axis)),
                   SW_FB_I8(1, SW_TFL_ACT_NONE)); /* runtimes ignore another */
}

static void split(sw_tfw *w, const sw_node *node, int arg) {
    sw_axes axes;
    int axis = sw_axis(sw_node_int(node, "axis"), node->in[0]->type.rank), n = node->n_out;
    int32_t x = sw__tfw_any(w, node->in[0], &axes), *out = SW_ARENA_ARRAY(w->scratch, int32_t, n);
    int64_t *lengths = SW_ARENA_ARRAY(w->scratch, int64_t, n);
    bool even = true;
    if (!out || !lengths) {
        sw__tfw_nomem(w);
        return;
    }
    for (int i = 0; i < n; i++) {
        lengths[i] = node->out[i]->type.dims[axis];
        even = even && lengths[i] == lengths[0];
        out[i] = sw__tfw_out(w, node->out[i], axes);
    }
    int32_t at = sw__tfw_int(w, sw_axes_find(&axes, axis));
    if (even)
        SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_SPLIT, 1, 2, (int32_t[]){at, x}, n, out), 35, SW_FB_I32(0, n));
    else
        SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_SPLIT_V, 1, 3, (int32_t[]){x, sw__tfw_ints(w, lengths, n), at}, n, out),
                       79, SW_FB_I32(0, n));
}

static void slice(sw_tfw *w, const sw_node *node, int arg) {
    const sw_tensor *in[5];
    sw_tensor *outs[1];
    sw_slice s;
    sw_axes axes;
    int64_t begin[SW_MAX_RANK], end[SW_MAX_RANK], step[SW_MAX_RANK], size[SW_MAX_RANK];
    bool ones = true;
    int32_t to_the_end = 0; /* axes that run backwards beyond the first element */
    for (int i = 1; i < node->n_in; i++)
        if (node->in[i] && !sw_value_is_const(node->in[i])) {
            sw__tfw_refuse(w, "only constant bounds can be written");
            return;
        }
    int32_t x = sw__tfw_any(w, node->in[0], &axes), out = sw__tfw_out(w, node->out[0], axes);
    sw_call call = sw_node_call(node, in, outs, w->diag);
    if (w->status == SW_OK) w->status = sw__slice_resolve(&call, &s);
    if (w->status != SW_OK) return;
    sw_axes_apply(&axes, s.first, begin);
    sw_axes_apply(&axes, s.step, step);
    sw_axes_apply(&axes, s.count, size);
    for (int i = 0; i < axes.n; i++) {
        ones = ones && step[i] == 1;
        end[i] = begin[i] + size[i] * step[i];
        if (end[i] < 0) to_the_end |= 1 << i;
    }
    int32_t from = sw__tfw_ints(w, begin, axes.n);
    if (ones)
        SW_TFW_ADD(w, SLICE, axes.n > 4 ? 5 : 1, out, x, from, sw__tfw_ints(w, size, axes.n));
    else
        SW_TFW_OPTIONS(SW_TFW_ADD(w, STRIDED_SLICE, axes.n > 4 ? 4 : 1, out, x, from, sw__tfw_ints(w, end, axes.n),
                                  sw__tfw_ints(w, step, axes.n)),
                       32, SW_FB_I32(0, 0), SW_FB_I32(1, to_the_end));
}

static void pad(sw_tfw *w, const sw_node *node, int arg) {
    const sw_tensor *in[4];
    sw_tensor *outs[1];
    sw_pads p;
    sw_axes axes;
    int64_t list[2 * SW_MAX_RANK];
    const char *mode = sw_node_string(node, "mode");
    bool mirror = !strcmp(mode, "reflect"), valued = node->n_in > 2 && node->in[2];
    if (!sw_value_is_const(node->in[1]) || (valued && !sw_value_is_const(node->in[2]))) {
        sw__tfw_refuse(w, "only constant paddings can be written");
        return;
    }
    int32_t x = sw__tfw_any(w, node->in[0], &axes), out = sw__tfw_out(w, node->out[0], axes);
    sw_call call = sw_node_call(node, in, outs, w->diag);
    if (w->status == SW_OK) w->status = sw__pad_resolve(&call, &p);
    if (w->status != SW_OK) return;
    for (int i = 0; i < axes.n; i++) {
        list[2 * i] = p.begin[axes.at[i]];
        list[2 * i + 1] = p.end[axes.at[i]];
        if (list[2 * i] < 0 || list[2 * i + 1] < 0) sw__tfw_refuse(w, "negative paddings cannot be written");
    }
    int32_t pads = sw__tfw_ints(w, list, 2 * axes.n);
    if (pads < 0) return;
    w->tensors[pads].type.rank = 2;
    w->tensors[pads].type.dims[0] = axes.n;
    w->tensors[pads].type.dims[1] = 2;
    double value = valued ? sw_tensor_float_at(&node->in[2]->type, 0) : 0;
    if (mirror)
        SW_TFW_OPTIONS(SW_TFW_ADD(w, MIRROR_PAD, 1, out, x, pads), 77, SW_FB_I8(0, 0));
    else if (value == 0)
        SW_TFW_ADD(w, PAD, 1, out, x, pads);
    else
        SW_TFW_ADD(w, PADV2, 1, out, x, pads, sw__tfw_float(w, value));
}

static void expand(sw_tfw *w, const sw_node *node, int arg) {
    sw_axes axes = sw_axes_plain(node->out[0]->type.rank);
    int32_t x = sw__tfw_operand(w, node->in[0], &axes), out = sw__tfw_out(w, node->out[0], axes);
    SW_TFW_ADD(w, BROADCAST_TO, 2, out, x, sw__tfw_ints(w, node->out[0]->type.dims, axes.n));
}

static void tile(sw_tfw *w, const sw_node *node, int arg) {
    sw_axes axes;
    int64_t repeats[SW_MAX_RANK], stored[SW_MAX_RANK];
    int32_t x = sw__tfw_any(w, node->in[0], &axes), out = sw__tfw_out(w, node->out[0], axes);
    for (int i = 0; i < axes.n; i++) {
        int64_t side = node->in[0]->type.dims[i];
        repeats[i] = side ? node->out[0]->type.dims[i] / side : 1;
    }
    sw_axes_apply(&axes, repeats, stored);
    SW_TFW_ADD(w, TILE, 1, out, x, sw__tfw_ints(w, stored, axes.n));
}

/* In the order of channels that both formats have: the places within a block outside, channels inside. */
static void blocks(sw_tfw *w, const sw_node *node, int code) {
    const sw_axes last = sw_axes_channels_last(4);
    int32_t x = sw__tfw_as(w, node->in[0], last), out = sw__tfw_out(w, node->out[0], last);
    SW_TFW_OPTIONS(sw__tfw_add(w, code, 1, 1, &x, 1, &out), code == SW_TFL_DEPTH_TO_SPACE ? 94 : 19,
                   SW_FB_I32(0, (int32_t)sw_node_int(node, "blocksize")));
}

const sw_tfw_row sw__tfw_move[] = {
    {SW_OP_Reshape, reshape, 0},
    {SW_OP_Flatten, reshape, 0},
    {SW_OP_Squeeze, reshape, 0},
    {SW_OP_Unsqueeze, reshape, 0},
    {SW_OP_Transpose, transpose, 0},
    {SW_OP_Identity, identity, 0},
    {SW_OP_Concat, concat, 0},
    {SW_OP_Split, split, 0},
    {SW_OP_Slice, slice, 0},
    {SW_OP_Pad, pad, 0},
    {SW_OP_Expand, expand, 0},
    {SW_OP_Tile, tile, 0},
    {SW_OP_DepthToSpace, blocks, SW_TFL_DEPTH_TO_SPACE},
    {SW_OP_SpaceToDepth, blocks, SW_TFL_SPACE_TO_DEPTH},
    {0, NULL, 0},
};
