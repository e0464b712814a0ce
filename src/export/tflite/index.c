/* Picking by index, rankings. */
#include <string.h>

#include "export/tflite/model.h"
#include "ops/shape.h"

/* Indices as the format wants them, from 0 on: constant ones that count from the end (of `sides`: one for each of the last axis
 * of the indices) are turned. Computed ones come from rankings, which do not. */
static int32_t indices(sw_tfw *w, const sw_value *v, const int64_t *sides, int64_t n_sides) {
    const sw_tensor *t = &v->type;
    if (!t->data || (t->dtype != SW_I64 && t->dtype != SW_I32)) return sw__tfw_plain(w, v);
    int64_t n = sw_tensor_count(t);
    sw_tensor made = *t;
    int32_t *data = SW_ARENA_ARRAY(w->scratch, int32_t, n + 1);
    if (!data) return sw__tfw_nomem(w);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = t->dtype == SW_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
        data[i] = (int32_t)(at < 0 ? at + sides[i % n_sides] : at);
    }
    made.dtype = SW_I32;
    made.data = data;
    return sw__tfw_const(w, sw_arena_printf(w->scratch, "%s/%zu", v->name, w->n_tensors), &made);
}

/* A list of indices leaves the axes where they are; others are put in the axis's place. */
static void gather(sw_tfw *w, const sw_node *node, int arg) {
    const sw_value *x = node->in[0], *at = node->in[1];
    int axis = sw_axis(sw_node_int(node, "axis"), x->type.rank);
    sw_axes axes = sw_axes_plain(x->type.rank), made = sw_axes_plain(node->out[0]->type.rank);
    int32_t in[2] = {-1, indices(w, at, &x->type.dims[axis], 1)};
    in[0] = at->type.rank == 1 ? sw__tfw_any(w, x, &axes) : sw__tfw_plain(w, x);
    int32_t out = sw__tfw_out(w, node->out[0], at->type.rank == 1 ? axes : made);
    SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_GATHER, 1, 2, in, 1, &out), 23, SW_FB_I32(0, sw_axes_find(&axes, axis)));
}

static void gather_nd(sw_tfw *w, const sw_node *node, int arg) {
    const sw_value *x = node->in[0], *at = node->in[1];
    if (sw_node_int(node, "batch_dims") || at->type.rank < 1) {
        sw__tfw_refuse(w, "batches of indices cannot be written");
        return;
    }
    int64_t n = at->type.dims[at->type.rank - 1];
    int32_t in[2] = {sw__tfw_plain(w, x), indices(w, at, x->type.dims, n > 0 ? n : 1)};
    int32_t out = sw__tfw_out(w, node->out[0], sw_axes_plain(node->out[0]->type.rank));
    sw__tfw_add(w, SW_TFL_GATHER_ND, 1, 2, in, 1, &out);
}

static void running_sum(sw_tfw *w, const sw_node *node, int arg) {
    sw_axes axes;
    if (!sw_value_is_const(node->in[1]) || sw_tensor_count(&node->in[1]->type) != 1) {
        sw__tfw_refuse(w, "only a constant axis can be written");
        return;
    }
    int axis = sw_axis((int64_t)sw_tensor_float_at(&node->in[1]->type, 0), node->in[0]->type.rank);
    int32_t x = sw__tfw_any(w, node->in[0], &axes), out = sw__tfw_out(w, node->out[0], axes);
    SW_TFW_OPTIONS(SW_TFW_ADD(w, CUMSUM, 1, out, x, sw__tfw_int(w, sw_axes_find(&axes, axis))), 102,
                   SW_FB_I8(0, sw_node_int(node, "exclusive") != 0), SW_FB_I8(1, sw_node_int(node, "reverse") != 0));
}

/* Coordinate `axis` of every element of a tensor of these dims. */
static int32_t coordinates(sw_tfw *w, const sw_tensor *like, int axis) {
    int64_t n = sw_tensor_count(like), inner = 1;
    int32_t *data = SW_ARENA_ARRAY(w->scratch, int32_t, n + 1);
    if (!data) return sw__tfw_nomem(w);
    for (int i = axis + 1; i < like->rank; i++) inner *= like->dims[i];
    for (int64_t i = 0; i < n; i++) data[i] = (int32_t)(i / inner % like->dims[axis]);
    sw_tensor type = *like;
    type.dtype = SW_I32;
    type.data = data;
    return sw__tfw_const(w, sw_arena_printf(w->scratch, "coordinates/%zu", w->n_tensors), &type);
}

/* Each index with the coordinates of its place: GATHER_ND. */
static void gather_elements(sw_tfw *w, const sw_node *node, int arg) {
    const sw_tensor *index = &node->in[1]->type;
    int rank = index->rank, axis = sw_axis(sw_node_int(node, "axis"), rank);
    int32_t parts[SW_MAX_RANK];
    int64_t dims[SW_MAX_RANK];
    if (rank >= SW_MAX_RANK || rank > 4) {
        sw__tfw_refuse(w, "only tensors of at most four axes can be written");
        return;
    }
    for (int i = 0; i < rank; i++)
        parts[i] = i == axis ? indices(w, node->in[1], &node->in[0]->type.dims[axis], 1) : coordinates(w, index, i);
    memcpy(dims, index->dims, sizeof dims);
    dims[rank] = rank;
    int32_t packed = sw__tfw_temp(w, SW_I32, rank + 1, dims);
    SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_PACK, 1, rank, parts, 1, &packed), 59, SW_FB_I32(0, rank), SW_FB_I32(1, rank));
    int32_t x = sw__tfw_plain(w, node->in[0]), out = sw__tfw_out(w, node->out[0], sw_axes_plain(rank));
    SW_TFW_ADD(w, GATHER_ND, 1, out, x, packed);
}

static void top_k(sw_tfw *w, const sw_node *node, int arg) {
    int rank = node->in[0]->type.rank, axis = sw_axis(sw_node_int(node, "axis"), rank);
    if (!sw_node_int(node, "largest")) {
        sw__tfw_refuse(w, "only the largest can be written");
        return;
    }
    sw_axes axes = sw_axes_plain(rank);
    memmove(axes.at + axis, axes.at + axis + 1, (size_t)(rank - axis - 1));
    axes.at[rank - 1] = (uint8_t)axis;
    int64_t k = node->out[node->out[0] ? 0 : 1]->type.dims[axis];
    int32_t in[2] = {sw__tfw_as(w, node->in[0], axes), sw__tfw_int(w, k)}, out[2];
    for (int i = 0; i < 2; i++) {
        sw_tensor type = {.dtype = i ? SW_I32 : SW_F32, .rank = rank};
        sw_axes_apply(&axes, node->in[0]->type.dims, type.dims);
        type.dims[rank - 1] = k;
        out[i] = node->out[i] ? sw__tfw_out(w, node->out[i], axes) : sw__tfw_temp(w, type.dtype, rank, type.dims);
    }
    sw__tfw_add(w, SW_TFL_TOPK_V2, 1, 2, in, 2, out);
}

static void arg_max(sw_tfw *w, const sw_node *node, int code) {
    int rank = node->in[0]->type.rank, axis = sw_axis(sw_node_int(node, "axis"), rank);
    int64_t dims[SW_MAX_RANK];
    int n = 0;
    int32_t x = sw__tfw_plain(w, node->in[0]),
            out = sw__tfw_out(w, node->out[0], sw_axes_plain(node->out[0]->type.rank));
    for (int i = 0; i < rank; i++)
        if (i != axis) dims[n++] = node->in[0]->type.dims[i];
    int32_t bare = sw_node_int(node, "keepdims") ? sw__tfw_temp(w, SW_I32, n, dims) : out;
    SW_TFW_OPTIONS(sw__tfw_add(w, code, 1, 2, (int32_t[]){x, sw__tfw_int(w, axis)}, 1, &bare),
                   code == SW_TFL_ARG_MAX ? 40 : 57, SW_FB_I8(0, 2));
    if (bare != out) sw__tfw_reshape(w, bare, out);
}

const sw_tfw_row sw__tfw_index[] = {
    {SW_OP_Gather, gather, 0},
    {SW_OP_GatherElements, gather_elements, 0},
    {SW_OP_GatherND, gather_nd, 0},
    {SW_OP_CumSum, running_sum, 0},
    {SW_OP_TopK, top_k, 0},
    {SW_OP_ArgMax, arg_max, SW_TFL_ARG_MAX},
    {SW_OP_ArgMin, arg_max, SW_TFL_ARG_MIN},
    {0, NULL, 0},
};
