/* Steps that move elements of rows: by their order, by places that the data gives, by repeating them. */
#include "backend/cuda/lower.h"
#include "ops/shape.h"

static void split_at(const sw_tensor *t, int64_t axis, int64_t *outer, int64_t *inner) {
    *outer = *inner = 1;
    for (int i = 0; i < t->rank; i++)
        if (i != axis) *(i < axis ? outer : inner) *= t->dims[i];
}

static const char *topk(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *values = sw_call_out(c, 0), *places = sw_call_out(c, 1);
    int64_t outer, inner, axis = sw_call_int(c, "axis");
    if (x->dtype != SW_F32) return "it is not float32";
    if (axis < 0) axis += x->rank;
    split_at(x, axis, &outer, &inner);
    if (outer * inner > 65535) return "it has too many lanes";
    l->kernel = SW_CUDA_TOPK;
    l->args.topk = (sw_cuda_topk){.in = x->data,
                                  .values = values ? values->data : NULL,
                                  .places = places ? places->data : NULL,
                                  .outer = (int)outer,
                                  .length = (int)x->dims[axis],
                                  .inner = (int)inner,
                                  .k = (int)(values ? values : places)->dims[axis],
                                  .smallest = !sw_call_int(c, "largest")};
    l->grid_x = sw__cuda_blocks(x->dims[axis]);
    l->grid_y = (int)(outer * inner);
    l->shared_bytes = 1024 * 4;
    /* That compares each element with each other. */
    if (x->dims[axis] > 512 && x->dims[axis] < 1 << 24 && l->args.topk.k <= 1024 && l->args.topk.k > 0) {
        l->kernel = SW_CUDA_SELECT;
        l->grid_x = 1;
        l->shared_bytes = 256 + 2 * 1024 * 4;
    }
    return NULL;
}

static const char *arg_most(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0];
    int64_t outer, inner, axis = sw_call_int(c, "axis");
    if (x->dtype != SW_F32) return "it is not float32";
    if (axis < 0) axis += x->rank;
    split_at(x, axis, &outer, &inner);
    l->kernel = SW_CUDA_ARG_MOST;
    l->args.topk = (sw_cuda_topk){.in = x->data,
                                  .places = c->out[0]->data,
                                  .outer = (int)outer,
                                  .length = (int)x->dims[axis],
                                  .inner = (int)inner,
                                  .smallest = c->op == SW_OP_ArgMin,
                                  .last = sw_call_int(c, "select_last_index") != 0};
    l->grid_x = sw__cuda_blocks(outer * inner);
    return NULL;
}

/* By places on the GPU: GatherElements has one for each element of the output, Gather one for each row of it. */
static const char *pick(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *at = c->in[1], *y = c->out[0];
    int64_t axis = sw_call_int(c, "axis");
    bool elements = c->op == SW_OP_GatherElements;
    size_t bytes = sw_dtype_size(x->dtype);
    long long in[SW_MAX_RANK], places[SW_MAX_RANK];
    if (axis < 0) axis += x->rank;
    if (at->dtype != SW_I64 && at->dtype != SW_I32) return "its places are not int64 or int32";
    if (x->dims[axis] < 1) return "its axis is empty";
    l->kernel = bytes == 8 ? SW_CUDA_PICK_8 : bytes == 1 ? SW_CUDA_PICK_1 : SW_CUDA_PICK;
    sw_cuda_pick *p = &l->args.pick;
    sw__cuda_row_strides(x, in);
    sw__cuda_row_strides(at, places);
    *p = (sw_cuda_pick){.in = x->data,
                        .places = at->data,
                        .out = y->data,
                        .count = sw_tensor_count(y),
                        .axis_stride = in[axis],
                        .rank = y->rank,
                        .narrow = at->dtype == SW_I32,
                        .extent = (int)x->dims[axis]};
    for (int i = 0; i < y->rank; i++) {
        p->dims[i] = (int)y->dims[i];
        int after = i - (at->rank - 1); /* of Gather: the axis of x behind the places */
        bool of_place = elements || (i >= axis && i < axis + at->rank);
        p->place_stride[i] = elements ? places[i] : of_place ? places[i - axis] : 0;
        p->in_stride[i] = elements ? (i == axis ? 0 : in[i]) : of_place ? 0 : i < axis ? in[i] : in[after];
    }
    l->grid_x = sw__cuda_blocks(p->count);
    return NULL;
}

static const char *expand(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    long long from[SW_MAX_RANK], to[SW_MAX_RANK];
    sw__cuda_broadcast(x, y, from);
    sw__cuda_row_strides(y, to);
    sw__cuda_copy_box(x, 0, from, y, 0, to, y->dims, y->rank, l);
    return NULL;
}

/* An axis that is repeated becomes two: how often, and what. */
static const char *tile(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    long long in[SW_MAX_RANK], out[SW_MAX_RANK], from[CUDA_MAX_RANK], to[CUDA_MAX_RANK];
    int64_t dims[CUDA_MAX_RANK];
    int rank = 0;
    sw__cuda_row_strides(x, in);
    sw__cuda_row_strides(y, out);
    for (int i = 0; i < y->rank; i++) {
        bool repeats = y->dims[i] != x->dims[i];
        if (rank + repeats >= CUDA_MAX_RANK) return "it repeats too many axes";
        if (repeats) dims[rank] = y->dims[i] / x->dims[i], from[rank] = 0, to[rank++] = out[i] * x->dims[i];
        dims[rank] = x->dims[i], from[rank] = in[i], to[rank++] = out[i];
    }
    sw__cuda_copy_box(x, 0, from, y, 0, to, dims, rank, l);
    return NULL;
}

const char *sw__cuda_lower_pick(const sw_call *c, sw_cuda_launch *l, bool *taken) {
    *taken = true;
    switch (c->op) {
    case SW_OP_TopK:
        return topk(c, l);
    case SW_OP_ArgMax:
    case SW_OP_ArgMin:
        return arg_most(c, l);
    case SW_OP_Gather:
    case SW_OP_GatherElements:
        return pick(c, l);
    case SW_OP_Expand:
        return expand(c, l);
    case SW_OP_Tile:
        return tile(c, l);
    default:
        *taken = false;
        return NULL;
    }
}
