/* ScatterND and ScatterElements: a copy of the data in which updates replace elements or combine with them. Where an
 * index comes twice, updates take effect in their order. */
#include <string.h>

#include "kernels/index.h"
#include "kernels/kernel.h"
#include "kernels/nd.h"
#include "kernels/rows.h"
#include "kernels/wide.h"
#include "ops/shape.h"

/* The function that combines, NULL to replace. */
static sw_status find_reduction(const sw_call *c, sw_row2 *row) {
    static const struct {
        const char *name;
        sw_op op;
    } known[] = {{"add", SW_OP_Add}, {"mul", SW_OP_Mul}, {"max", SW_OP_Max}, {"min", SW_OP_Min}};
    const char *name = sw_call_string(c, "reduction");
    *row = NULL;
    if (strcmp(name, "none") == 0) return SW_OK;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, name) != 0) continue;
        *row = sw__arithmetic_row(known[i].op, c->in[0]->dtype);
        return *row ? SW_OK : sw__refuse_dtype(c, c->in[0]->dtype);
    }
    return sw_call_fail(c, "unknown reduction '%.32s'", name);
}

static void update(sw_row2 row, size_t size, char *to, const char *from, int64_t n) {
    if (row)
        sw__row2_accumulate(row, size, to, from, 1, n);
    else
        memcpy(to, from, (size_t)n * size);
}

static sw_status start_copy(const sw_call *c) {
    const sw_tensor *data = c->in[0], *updates = c->in[2];
    SW_TRY(sw__require_index_type(c, c->in[1]));
    if (updates->dtype != data->dtype)
        return sw_call_fail(c, "updates are %s, data is %s", sw_dtype_name(updates->dtype), sw_dtype_name(data->dtype));
    int64_t bytes = sw_tensor_bytes(data);
    if (bytes > 0) memcpy(c->out[0]->data, data->data, (size_t)bytes);
    return SW_OK;
}

/* Updates have the indices' dims without the last, then those of a slice of the data. */
static sw_status check_updates(const sw_call *c, int tuple) {
    const sw_tensor *data = c->in[0], *indices = c->in[1], *updates = c->in[2];
    int lead = indices->rank - 1;
    bool fits = updates->rank == lead + data->rank - tuple;
    for (int i = 0; fits && i < updates->rank; i++)
        fits = updates->dims[i] == (i < lead ? indices->dims[i] : data->dims[tuple + i - lead]);
    return fits ? SW_OK : sw_call_fail(c, "the dims of updates do not fit those of data and indices");
}

sw_status sw__scatter_nd_ref(const sw_call *c) {
    const sw_tensor *data = c->in[0], *indices = c->in[1], *updates = c->in[2], *out = c->out[0];
    sw_row2 row;
    SW_TRY(find_reduction(c, &row));
    SW_TRY(start_copy(c));
    if (indices->rank < 1 || indices->dims[indices->rank - 1] < 1 || indices->dims[indices->rank - 1] > data->rank)
        return sw_call_fail(c, "the last axis of indices must hold 1 to %d numbers", data->rank);
    int tuple = (int)indices->dims[indices->rank - 1];
    SW_TRY(check_updates(c, tuple));
    SW_TRY(sw__index_check_tuples(c, indices, tuple, data->dims));
    if (sw_tensor_count(updates) == 0) return SW_OK;
    int64_t step[SW_MAX_RANK], size = (int64_t)sw_dtype_size(data->dtype);
    int64_t slice = sw__extent(data, tuple, data->rank), n = sw__extent(indices, 0, indices->rank - 1);
    sw__nd_strides(tuple, data->dims, step);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        for (int k = 0; k < tuple; k++)
            at += sw__index_wrap(sw__index_at(indices, i * tuple + k), data->dims[k]) * step[k];
        update(row, (size_t)size, (char *)out->data + at * slice * size, (const char *)updates->data + i * slice * size,
               slice);
    }
    return SW_OK;
}

typedef struct elements_run {
    const sw_nd *nd;
    sw_row2 row;
    const sw_tensor *indices, *updates, *out;
    size_t size;
    int64_t extent, axis_step;
} elements_run;

/* Arrays of the walk: output without its step along the axis, indices and updates (alike). */
static void scatter_row(void *ctx, const int64_t *offset, int64_t n) {
    const elements_run *r = ctx;
    int last = r->nd->rank - 1;
    int64_t size = (int64_t)r->size;
    for (int64_t i = 0; i < n; i++) {
        int64_t from = offset[1] + i * r->nd->stride[1][last];
        int64_t to = offset[0] + i * r->nd->stride[0][last] +
                     sw__index_wrap(sw__index_at(r->indices, from), r->extent) * r->axis_step;
        update(r->row, r->size, (char *)r->out->data + to * size, (const char *)r->updates->data + from * size, 1);
    }
}

sw_status sw__scatter_elements_ref(const sw_call *c) {
    const sw_tensor *data = c->in[0], *indices = c->in[1], *updates = c->in[2], *out = c->out[0];
    sw_row2 row;
    int axis;
    SW_TRY(find_reduction(c, &row));
    SW_TRY(start_copy(c));
    SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), data->rank, &axis));
    bool fits = indices->rank == data->rank && updates->rank == data->rank;
    for (int i = 0; fits && i < data->rank; i++)
        fits = indices->dims[i] == updates->dims[i] && (i == axis || indices->dims[i] <= data->dims[i]);
    if (!fits) return sw_call_fail(c, "the dims of indices, updates and data do not fit");
    SW_TRY(sw__index_check(c, indices, data->dims[axis]));
    sw_nd nd = {.rank = data->rank, .arrays = 2};
    memcpy(nd.dims, indices->dims, sizeof indices->dims);
    sw__nd_strides(data->rank, data->dims, nd.stride[0]);
    sw__nd_strides(indices->rank, indices->dims, nd.stride[1]);
    elements_run r = {
        &nd, row, indices, updates, out, sw_dtype_size(data->dtype), data->dims[axis], nd.stride[0][axis]};
    nd.stride[0][axis] = 0;
    sw__nd_collapse(&nd);
    sw__nd_for(NULL, &nd, scatter_row, &r);
    return SW_OK;
}
