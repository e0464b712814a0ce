/* Shape rules of operators that pick by index, fill, or rearrange pixels. */
#include <math.h>
#include <string.h>

#include "ops/shape.h"

sw_status sw__require_index_type(const sw_call *c, const sw_tensor *indices) {
    if (indices->dtype == SW_I64 || indices->dtype == SW_I32 || indices->dtype == SW_DTYPE_NONE) return SW_OK;
    return sw_call_fail(c, "indices must be int32 or int64, found %s", sw_dtype_name(indices->dtype));
}

sw_status sw__shape_gather(const sw_call *c) {
    const sw_tensor *data = c->in[0], *indices = c->in[1];
    sw_tensor *out = sw_call_out(c, 0);
    int axis = 0;
    SW_TRY(sw__require_index_type(c, indices));
    if (data->rank >= 0) SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), data->rank, &axis));
    int rank = data->rank < 0 || indices->rank < 0 ? SW_RANK_UNKNOWN : data->rank + indices->rank - 1;
    SW_TRY(sw__require_rank(c, rank));
    if (!out) return SW_OK;
    sw__set_unknown(out, data->dtype, rank);
    if (rank < 0) return SW_OK;
    int n = 0;
    for (int i = 0; i < axis; i++) out->dims[n++] = data->dims[i];
    for (int i = 0; i < indices->rank; i++) out->dims[n++] = indices->dims[i];
    for (int i = axis + 1; i < data->rank; i++) out->dims[n++] = data->dims[i];
    return SW_OK;
}

sw_status sw__shape_gather_elements(const sw_call *c) {
    const sw_tensor *data = c->in[0], *indices = c->in[1];
    sw_tensor *out = sw_call_out(c, 0);
    int axis;
    SW_TRY(sw__require_index_type(c, indices));
    if (data->rank >= 0) SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), data->rank, &axis));
    if (data->rank >= 0 && indices->rank >= 0) {
        if (data->rank != indices->rank)
            return sw_call_fail(c, "data has %d axes, indices have %d", data->rank, indices->rank);
        for (int i = 0; i < data->rank; i++)
            if (i != axis && sw_dim_known(data->dims[i]) && indices->dims[i] > data->dims[i])
                return sw_call_fail(c, "axis %d has %lld indices for an extent of %lld", i, (long long)indices->dims[i],
                                    (long long)data->dims[i]);
    }
    if (!out) return SW_OK;
    sw__set_like(out, indices);
    out->dtype = data->dtype;
    if (indices->rank < 0) sw__set_unknown(out, data->dtype, data->rank);
    return SW_OK;
}

sw_status sw__shape_gather_nd(const sw_call *c) {
    const sw_tensor *data = c->in[0], *indices = c->in[1];
    sw_tensor *out = sw_call_out(c, 0);
    int64_t batch = sw_call_int(c, "batch_dims");
    SW_TRY(sw__require_index_type(c, indices));
    if (data->rank < 0 || indices->rank < 0) {
        if (out) sw__set_unknown(out, data->dtype, SW_RANK_UNKNOWN);
        return SW_OK;
    }
    if (batch < 0 || batch >= data->rank || batch >= indices->rank)
        return sw_call_fail(c, "%lld batch axes do not fit data of rank %d and indices of rank %d", (long long)batch,
                            data->rank, indices->rank);
    int64_t tuple = indices->dims[indices->rank - 1];
    if (sw_dim_known(tuple) && (tuple < 1 || tuple > data->rank - batch))
        return sw_call_fail(c, "index tuples of %lld do not fit data of rank %d with %lld batch axes", (long long)tuple,
                            data->rank, (long long)batch);
    for (int i = 0; i < batch; i++)
        if (sw_dim_known(data->dims[i]) && sw_dim_known(indices->dims[i]) && data->dims[i] != indices->dims[i])
            return sw_call_fail(c, "batch axis %d is %lld in data and %lld in indices", i, (long long)data->dims[i],
                                (long long)indices->dims[i]);
    int first = (int)batch + (int)tuple; /* of the data's axes that stay */
    int rank = sw_dim_known(tuple) ? indices->rank - 1 + data->rank - first : SW_RANK_UNKNOWN;
    SW_TRY(sw__require_rank(c, rank));
    if (!out) return SW_OK;
    sw__set_unknown(out, data->dtype, rank);
    if (rank < 0) return SW_OK;
    int n = 0;
    for (int i = 0; i < indices->rank - 1; i++) out->dims[n++] = indices->dims[i];
    for (int i = first; i < data->rank; i++) out->dims[n++] = data->dims[i];
    return SW_OK;
}

sw_status sw__shape_constant_of_shape(const sw_call *c) {
    const sw_tensor *value = sw_call_attr(c, "value", SW_ATTR_TENSOR)->t;
    sw_tensor *out = sw_call_out(c, 0);
    int64_t v[SW_MAX_RANK], length;
    int n;
    if (value && (sw_tensor_count(value) != 1 || !value->data))
        return sw_call_fail(c, "the attribute 'value' must hold one element");
    SW_TRY(sw__input_ints(c, 0, "shape", v, SW_MAX_RANK, &n, &length));
    for (int i = 0; i < n; i++)
        if (v[i] < 0) return sw_call_fail(c, "the extent %lld is negative", (long long)v[i]);
    if (!out) return SW_OK;
    sw__set_unknown(out, value ? value->dtype : SW_F32, length < 0 ? SW_RANK_UNKNOWN : (int)length);
    for (int i = 0; i < n; i++) out->dims[i] = v[i];
    return SW_OK;
}

/* Numbers from start by delta that lie before limit. */
static sw_status range_count_int(const sw_call *c, int64_t start, int64_t limit, int64_t delta, int64_t *count) {
    uint64_t step = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta;
    uint64_t span = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    if (delta == 0) return sw_call_fail(c, "delta is 0");
    bool none = delta > 0 ? limit <= start : limit >= start;
    uint64_t n = none ? 0 : (span - 1) / step + 1;
    if (n > INT64_MAX) return sw_call_fail(c, "the range is too long");
    *count = (int64_t)n;
    return SW_OK;
}

/* The difference is taken in the tensor's type and the quotient in double, as ONNX Runtime does. */
static sw_status range_count_float(const sw_call *c, double start, double limit, double delta, int64_t *count) {
    double span = c->in[0]->dtype == SW_F64 ? limit - start : (double)((float)limit - (float)start);
    double n = ceil(span / delta);
    if (!(n < 0x1p62)) return sw_call_fail(c, "from %g to %g by %g is no finite range", start, limit, delta);
    *count = n > 0 ? (int64_t)n : 0;
    return SW_OK;
}

sw_status sw__shape_range(const sw_call *c) {
    sw_tensor *out = sw_call_out(c, 0);
    const sw_tensor *start = c->in[0], *limit = c->in[1], *delta = c->in[2];
    sw_dtype dtype = start->dtype;
    int64_t count = SW_DIM_UNKNOWN;
    bool known = true;
    for (int i = 0; i < 3; i++) {
        SW_TRY(sw__same_dtype(c, start, c->in[i], &dtype));
        if (sw_tensor_is_concrete(c->in[i]) && sw_tensor_count(c->in[i]) != 1)
            return sw_call_fail(c, "input %d must be one number", i + 1);
        known = known && c->in[i]->data && sw_tensor_count(c->in[i]) == 1;
    }
    if (dtype == SW_BOOL) return sw_call_fail(c, "there are no ranges of bool");
    if (known && sw__dtype_is_integer(dtype))
        SW_TRY(range_count_int(c, sw_tensor_int_at(start, 0), sw_tensor_int_at(limit, 0), sw_tensor_int_at(delta, 0),
                               &count));
    else if (known)
        SW_TRY(range_count_float(c, sw_tensor_float_at(start, 0), sw_tensor_float_at(limit, 0),
                                 sw_tensor_float_at(delta, 0), &count));
    if (!out) return SW_OK;
    sw__set_unknown(out, dtype, 1);
    out->dims[0] = count;
    return SW_OK;
}

sw_status sw__shape_eye_like(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0);
    sw_dtype dtype = in->dtype;
    if (in->rank >= 0 && in->rank != 2) return sw_call_fail(c, "the input must have 2 axes, found %d", in->rank);
    if (sw_call_attr(c, "dtype", SW_ATTR_INT)->set) SW_TRY(sw__attr_dtype(c, "dtype", &dtype));
    if (!out) return SW_OK;
    sw__set_unknown(out, dtype, 2);
    for (int i = 0; i < in->rank; i++) out->dims[i] = in->dims[i];
    return SW_OK;
}

/* Depth may come as any type of number. */
static sw_status one_hot_depth(const sw_call *c, const sw_tensor *depth, int64_t *out) {
    *out = SW_DIM_UNKNOWN;
    if (sw_tensor_is_concrete(depth) && sw_tensor_count(depth) != 1) return sw_call_fail(c, "depth must be one number");
    if (!depth->data || !sw_tensor_is_concrete(depth) || depth->dtype == SW_DTYPE_NONE) return SW_OK;
    double value = sw_tensor_float_at(depth, 0);
    if (!(value >= 0 && value < 0x1p53)) return sw_call_fail(c, "the depth %g makes no sense", value);
    *out = (int64_t)value;
    return SW_OK;
}

sw_status sw__shape_one_hot(const sw_call *c) {
    const sw_tensor *indices = c->in[0], *values = c->in[2];
    sw_tensor *out = sw_call_out(c, 0);
    int64_t depth;
    int axis = 0, rank = indices->rank < 0 ? SW_RANK_UNKNOWN : indices->rank + 1;
    SW_TRY(one_hot_depth(c, c->in[1], &depth));
    SW_TRY(sw__require_rank(c, rank));
    if (rank >= 0) SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), rank, &axis));
    if (sw_tensor_is_concrete(values) && sw_tensor_count(values) != 2)
        return sw_call_fail(c, "'values' must hold the off and the on value");
    if (!out) return SW_OK;
    sw__set_unknown(out, values->dtype, rank);
    for (int i = 0; i < rank; i++) out->dims[i] = i == axis ? depth : indices->dims[i < axis ? i : i - 1];
    return SW_OK;
}

/* Checks rank and blocksize; *area is blocksize squared. */
static sw_status check_blocks(const sw_call *c, int64_t *block, int64_t *area) {
    int rank = c->in[0]->rank;
    *block = sw_call_int(c, "blocksize");
    if (rank >= 0 && rank != 4) return sw_call_fail(c, "the input must have 4 axes, found %d", rank);
    if (*block < 1 || __builtin_mul_overflow(*block, *block, area))
        return sw_call_fail(c, "the blocksize %lld makes no sense", (long long)*block);
    return SW_OK;
}

static sw_status divide(const sw_call *c, int64_t dim, int64_t by, int64_t *out) {
    *out = by == 1 ? dim : SW_DIM_UNKNOWN;
    if (by == 1 || !sw_dim_known(dim)) return SW_OK;
    if (dim % by != 0) return sw_call_fail(c, "the extent %lld does not divide by %lld", (long long)dim, (long long)by);
    *out = dim / by;
    return SW_OK;
}

sw_status sw__shape_depth_to_space(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0), shape;
    const char *mode = sw_call_string(c, "mode");
    int64_t block, area;
    SW_TRY(check_blocks(c, &block, &area));
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0) return sw_call_fail(c, "unknown mode '%.32s'", mode);
    sw__set_unknown(&shape, in->dtype, 4);
    if (in->rank == 4) {
        shape.dims[0] = in->dims[0];
        SW_TRY(divide(c, in->dims[1], area, &shape.dims[1]));
        SW_TRY(sw__dim_mul(c, in->dims[2], block, &shape.dims[2]));
        SW_TRY(sw__dim_mul(c, in->dims[3], block, &shape.dims[3]));
    }
    if (out) sw__set_like(out, &shape);
    return SW_OK;
}

sw_status sw__shape_space_to_depth(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0), shape;
    int64_t block, area;
    SW_TRY(check_blocks(c, &block, &area));
    sw__set_unknown(&shape, in->dtype, 4);
    if (in->rank == 4) {
        shape.dims[0] = in->dims[0];
        SW_TRY(sw__dim_mul(c, in->dims[1], area, &shape.dims[1]));
        SW_TRY(divide(c, in->dims[2], block, &shape.dims[2]));
        SW_TRY(divide(c, in->dims[3], block, &shape.dims[3]));
    }
    if (out) sw__set_like(out, &shape);
    return SW_OK;
}

/* How many there are depends on the data: the kernel tells. A scalar has no axes and so no coordinates. */
sw_status sw__shape_non_zero(const sw_call *c) {
    sw_tensor *out = sw_call_out(c, 0);
    if (!out) return SW_OK;
    sw__set_unknown(out, SW_I64, 2);
    if (c->in[0]->rank >= 0) out->dims[0] = c->in[0]->rank;
    return SW_OK;
}
