/* Shape rules of operators that pick, crop or reorder parts. */
#include <string.h>

#include "ops/shape.h"

sw_status sw__shape_compress(const sw_call *c) {
    const sw_tensor *x = c->in[0], *flags = c->in[1];
    sw_tensor *y = sw_call_out(c, 0);
    const sw_attr *given = sw_call_attr(c, "axis", SW_ATTR_INT);
    int axis = -1;
    if (flags->dtype != SW_BOOL && flags->dtype != SW_DTYPE_NONE)
        return sw_call_fail(c, "the condition must be bool, found %s", sw_dtype_name(flags->dtype));
    if (flags->rank >= 0 && flags->rank != 1)
        return sw_call_fail(c, "the condition has %d axes, expected 1", flags->rank);
    if (given->set && x->rank >= 0) SW_TRY(sw__require_axis(c, given->i, x->rank, &axis));
    if (!y) return SW_OK;
    sw__set_like(y, x);
    if (!given->set) sw__set_unknown(y, x->dtype, 1);
    if (axis >= 0) y->dims[axis] = SW_DIM_UNKNOWN; /* depends on the data */
    return SW_OK;
}

sw_status sw__shape_unique(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    const sw_attr *given = sw_call_attr(c, "axis", SW_ATTR_INT);
    sw_tensor *y = sw_call_out(c, 0);
    int axis = -1;
    if (given->set && x->rank >= 0) SW_TRY(sw__require_axis(c, given->i, x->rank, &axis));
    for (int i = 1; i < 4; i++)
        if (sw_call_out(c, i)) sw__set_unknown(c->out[i], SW_I64, 1);
    if (sw_call_out(c, 2) && (axis >= 0 || (!given->set && sw_tensor_is_concrete(x))))
        c->out[2]->dims[0] = axis >= 0 ? x->dims[axis] : sw_tensor_count(x);
    if (!y) return SW_OK;
    sw__set_like(y, x);
    if (!given->set) sw__set_unknown(y, x->dtype, 1);
    if (axis >= 0) y->dims[axis] = SW_DIM_UNKNOWN; /* depends on the data */
    return SW_OK;
}

sw_status sw__shape_reverse_sequence(const sw_call *c) {
    const sw_tensor *x = c->in[0], *lengths = c->in[1];
    int64_t batch = sw_call_int(c, "batch_axis"), time = sw_call_int(c, "time_axis"), same;
    if (!((batch == 0 && time == 1) || (batch == 1 && time == 0)))
        return sw_call_fail(c, "batch_axis %lld and time_axis %lld must be 0 and 1 or 1 and 0", (long long)batch,
                            (long long)time);
    SW_TRY(sw__require_index_type(c, lengths));
    if (x->rank >= 0 && x->rank < 2) return sw_call_fail(c, "the input has %d axes, expected at least 2", x->rank);
    if (lengths->rank >= 0 && lengths->rank != 1)
        return sw_call_fail(c, "sequence_lens have %d axes, expected 1", lengths->rank);
    if (x->rank >= 0 && lengths->rank == 1) SW_TRY(sw__agree(c, "the batch", x->dims[batch], lengths->dims[0], &same));
    return sw__shape_like_first(c);
}

sw_status sw__shape_center_crop_pad(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0);
    const sw_attr *axes = sw_call_attr(c, "axes", SW_ATTR_INTS);
    int64_t v[SW_MAX_RANK], length;
    int n;
    SW_TRY(sw__input_ints(c, 1, "shape", v, SW_MAX_RANK, &n, &length));
    if (x->rank < 0) {
        if (y) sw__set_unknown(y, x->dtype, SW_RANK_UNKNOWN);
        return SW_OK;
    }
    int named = axes->set ? axes->ints.n : x->rank;
    if (length >= 0 && length != named)
        return sw_call_fail(c, "'shape' has %lld entries for %d axes", (long long)length, named);
    if (y) sw__set_like(y, x);
    for (int i = 0; i < named; i++) {
        int axis;
        SW_TRY(sw__require_axis(c, axes->set ? axes->ints.v[i] : i, x->rank, &axis));
        if (n >= 0 && v[i] < 0) return sw_call_fail(c, "the extent %lld is negative", (long long)v[i]);
        if (y) y->dims[axis] = n >= 0 ? v[i] : SW_DIM_UNKNOWN;
    }
    return SW_OK;
}

sw_status sw__shape_bit_cast(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_dtype dtype;
    SW_TRY(sw__attr_dtype(c, "to", &dtype));
    if (x->dtype != SW_DTYPE_NONE && sw_dtype_size(x->dtype) != sw_dtype_size(dtype))
        return sw_call_unsupported(c, "from %s to %s, which are of different size", sw_dtype_name(x->dtype),
                                   sw_dtype_name(dtype));
    SW_TRY(sw__shape_like_first(c));
    if (sw_call_out(c, 0)) c->out[0]->dtype = dtype;
    return SW_OK;
}

sw_status sw__shape_det(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0);
    int64_t same;
    if (x->rank >= 0 && x->rank < 2) return sw_call_fail(c, "the input has %d axes, expected at least 2", x->rank);
    if (x->rank >= 2) SW_TRY(sw__agree(c, "the extent of a matrix", x->dims[x->rank - 2], x->dims[x->rank - 1], &same));
    if (!y) return SW_OK;
    sw__set_like(y, x);
    if (y->rank >= 2) y->rank -= 2;
    return SW_OK;
}
