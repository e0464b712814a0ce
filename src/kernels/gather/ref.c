/* Gather, GatherElements, GatherND. All indices are checked before anything is read by them. */
#include <string.h>

#include "kernels/index.h"
#include "kernels/kernel.h"
#include "kernels/nd.h"
#include "ops/shape.h"

/* Bytes that are worth a chunk of the pool. */
enum { GRAIN_BYTES = 32768 };

typedef struct gather_run {
    const sw_tensor *indices;
    const char *from;
    char *to;
    int64_t extent, n_indices;                       /* of the axis; indices a block */
    int64_t bytes;                                   /* of a slice */
    int tuple;                                       /* GatherND: indices for one slice ... */
    int64_t step[SW_MAX_RANK], extents[SW_MAX_RANK]; /* ... how far each one leads, in slices, and its axis' extent */
    int64_t batch_step;                              /* slices from one batch to the next */
} gather_run;

static void gather_slices(void *ctx, int64_t begin, int64_t end, int thread) {
    const gather_run *r = ctx;
    for (int64_t i = begin; i < end; i++) {
        int64_t outer = i / r->n_indices;
        int64_t at = outer * r->extent + sw__index_wrap(sw__index_at(r->indices, i % r->n_indices), r->extent);
        memcpy(r->to + i * r->bytes, r->from + at * r->bytes, (size_t)r->bytes);
    }
}

sw_status sw__gather_ref(const sw_call *c) {
    const sw_tensor *data = c->in[0], *indices = c->in[1], *out = c->out[0];
    int axis = sw_axis(sw_call_int(c, "axis"), data->rank);
    SW_TRY(sw__index_check(c, indices, data->dims[axis]));
    if (sw_tensor_count(out) == 0) return SW_OK;
    gather_run r = {.indices = indices, .from = data->data, .to = out->data, .extent = data->dims[axis]};
    r.n_indices = sw_tensor_count(indices);
    r.bytes = sw__extent(data, axis + 1, data->rank) * (int64_t)sw_dtype_size(data->dtype);
    sw_pool_for(c->pool, sw__extent(data, 0, axis) * r.n_indices, 1 + GRAIN_BYTES / r.bytes, gather_slices, &r);
    return SW_OK;
}

static void gather_tuples(void *ctx, int64_t begin, int64_t end, int thread) {
    const gather_run *r = ctx;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i / r->n_indices * r->batch_step;
        for (int k = 0; k < r->tuple; k++)
            at += sw__index_wrap(sw__index_at(r->indices, i * r->tuple + k), r->extents[k]) * r->step[k];
        memcpy(r->to + i * r->bytes, r->from + at * r->bytes, (size_t)r->bytes);
    }
}

sw_status sw__gather_nd_ref(const sw_call *c) {
    const sw_tensor *data = c->in[0], *indices = c->in[1], *out = c->out[0];
    int batch = (int)sw_call_int(c, "batch_dims"), tuple = (int)indices->dims[indices->rank - 1];
    int first = batch + tuple; /* of the axes of a slice */
    SW_TRY(sw__index_check_tuples(c, indices, tuple, data->dims + batch));
    if (sw_tensor_count(out) == 0) return SW_OK;
    gather_run r = {.indices = indices, .from = data->data, .to = out->data, .tuple = tuple};
    r.bytes = sw__extent(data, first, data->rank) * (int64_t)sw_dtype_size(data->dtype);
    r.n_indices = sw__extent(indices, batch, indices->rank - 1);
    r.batch_step = sw__extent(data, batch, first);
    sw__nd_strides(tuple, data->dims + batch, r.step);
    memcpy(r.extents, data->dims + batch, sizeof r.extents[0] * (size_t)tuple);
    sw_pool_for(c->pool, sw__extent(indices, 0, indices->rank - 1), 1 + GRAIN_BYTES / r.bytes, gather_tuples, &r);
    return SW_OK;
}

typedef struct elements_run {
    const sw_nd *nd;
    const sw_tensor *data, *indices, *out;
    size_t size;
    int64_t extent, axis_step;
} elements_run;

/* Arrays of the walk: output and indices (alike), data without its step along the axis. */
static void gather_elements_row(void *ctx, const int64_t *offset, int64_t n) {
    const elements_run *r = ctx;
    int last = r->nd->rank - 1;
    for (int64_t i = 0; i < n; i++) {
        int64_t to = offset[0] + i * r->nd->stride[0][last];
        int64_t from = offset[1] + i * r->nd->stride[1][last] +
                       sw__index_wrap(sw__index_at(r->indices, to), r->extent) * r->axis_step;
        memcpy((char *)r->out->data + to * (int64_t)r->size, (const char *)r->data->data + from * (int64_t)r->size,
               r->size);
    }
}

sw_status sw__gather_elements_ref(const sw_call *c) {
    const sw_tensor *data = c->in[0], *indices = c->in[1], *out = c->out[0];
    int axis = sw_axis(sw_call_int(c, "axis"), data->rank);
    SW_TRY(sw__index_check(c, indices, data->dims[axis]));
    sw_nd nd = {.rank = out->rank, .arrays = 2};
    memcpy(nd.dims, out->dims, sizeof out->dims);
    sw__nd_strides(out->rank, out->dims, nd.stride[0]);
    sw__nd_strides(data->rank, data->dims, nd.stride[1]);
    elements_run r = {&nd, data, indices, out, sw_dtype_size(data->dtype), data->dims[axis], nd.stride[1][axis]};
    nd.stride[1][axis] = 0;
    sw__nd_collapse(&nd);
    sw__nd_for(c->pool, &nd, gather_elements_row, &r);
    return SW_OK;
}
