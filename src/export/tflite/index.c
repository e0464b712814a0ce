/* Picking by index, rankings. */
#include <string.h>

#include "export/tflite/model.h"
#include "ops/shape.h"

static void gather(sw_tfw *w, const sw_node *node, int arg) {
    int axis = sw_axis(sw_node_int(node, "axis"), node->in[0]->type.rank);
    int32_t in[2] = {sw__tfw_plain(w, node->in[0]), sw__tfw_plain(w, node->in[1])};
    int32_t out = sw__tfw_out(w, node->out[0], sw_axes_plain(node->out[0]->type.rank));
    SW_TFW_OPTIONS(sw__tfw_add(w, SW_TFL_GATHER, 1, 2, in, 1, &out), 23, SW_FB_I32(0, axis));
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
    for (int i = 0; i < rank; i++) parts[i] = i == axis ? sw__tfw_plain(w, node->in[1]) : coordinates(w, index, i);
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
    {SW_OP_TopK, top_k, 0},
    {SW_OP_ArgMax, arg_max, SW_TFL_ARG_MAX},
    {SW_OP_ArgMin, arg_max, SW_TFL_ARG_MIN},
    {0, NULL, 0},
};
