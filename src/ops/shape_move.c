/* Shape rules of operators that move elements or change dims. */
#include <string.h>

#include "ops/shape.h"

sw_status sw__shape_shape(const sw_call *c) {
    int64_t start = 0, end = 0, length = SW_DIM_UNKNOWN;
    if (c->in[0]->rank >= 0) {
        sw__shape_range_axes(c, &start, &end);
        length = end > start ? end - start : 0;
    }
    sw_tensor *out = sw_call_out(c, 0);
    if (!out) return SW_OK;
    sw__set_unknown(out, SW_I64, 1);
    out->dims[0] = length;
    return SW_OK;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi) {
    return v < lo ? lo : v > hi ? hi : v;
}

void sw__shape_range_axes(const sw_call *c, int64_t *start, int64_t *end) {
    int rank = c->in[0]->rank;
    const sw_attr *last = sw_call_attr(c, "end", SW_ATTR_INT);
    int64_t first = sw_call_int(c, "start"), stop = last->set ? last->i : rank;
    *start = clamp(first < 0 ? first + rank : first, 0, rank);
    *end = clamp(stop < 0 ? stop + rank : stop, 0, rank);
}

sw_status sw__shape_size(const sw_call *c) {
    if (sw_call_out(c, 0)) sw__set_unknown(c->out[0], SW_I64, 0);
    return SW_OK;
}

/* Fits the new dims `v[0..n)` of a Reshape to the input and fills the one at `hole`, if there is one. Dims that were
 * copied by a 0, named in the mask `copied`, are on both sides and cancel, known or not. */
static sw_status reshape_solve(const sw_call *c, const sw_tensor *in, int64_t *v, int n, unsigned copied, int hole) {
    int64_t from = 1, to = 1, symbol = SW_DIM_UNKNOWN;
    int left = 0; /* dims of the input that are not known and did not cancel */
    bool may_be_empty = false;
    if (in->rank < 0) return SW_OK;
    for (int i = 0; i < n; i++)
        if (i != hole && !(copied >> i & 1u)) SW_TRY(sw__dim_mul(c, to, v[i], &to));
    for (int i = 0; i < in->rank; i++) {
        if (copied >> i & 1u) {
            may_be_empty |= in->dims[i] <= 0;
        } else if (sw_dim_known(in->dims[i])) {
            SW_TRY(sw__dim_mul(c, from, in->dims[i], &from));
        } else {
            left++;
            symbol = in->dims[i];
        }
    }
    if (hole < 0) {
        if (left > 0 || from == to || may_be_empty) return SW_OK;
        return sw_call_fail(c, "%lld elements do not fit into a shape of %lld", (long long)from, (long long)to);
    }
    if (left == 0 && from % to != 0)
        return sw_call_fail(c, "%lld elements do not divide by the %lld of the other axes", (long long)from,
                            (long long)to);
    if (left == 0)
        v[hole] = from / to;
    else
        v[hole] = left == 1 && from == to ? symbol : SW_DIM_UNKNOWN;
    return SW_OK;
}

sw_status sw__shape_reshape(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0);
    int64_t v[SW_MAX_RANK], length;
    int n, hole = -1;
    bool allow_zero = sw_call_int(c, "allowzero") != 0, has_zero = false;
    unsigned copied = 0;
    SW_TRY(sw__input_ints(c, 1, "shape", v, SW_MAX_RANK, &n, &length));
    if (n < 0) {
        if (!out) return SW_OK;
        sw__set_unknown(out, in->dtype, length < 0 ? SW_RANK_UNKNOWN : (int)length);
        if (length == 1 && sw_tensor_count(in) >= 0) out->dims[0] = sw_tensor_count(in);
        return SW_OK;
    }
    for (int i = 0; i < n; i++) {
        if (v[i] < -1) return sw_call_fail(c, "the new extent %lld is negative", (long long)v[i]);
        if (v[i] == -1) {
            if (hole >= 0) return sw_call_fail(c, "the new shape holds -1 more than once");
            hole = i;
        } else if (v[i] == 0 && !allow_zero) {
            if (in->rank >= 0 && i >= in->rank)
                return sw_call_fail(c, "the new shape copies axis %d of an input of rank %d", i, in->rank);
            v[i] = in->rank >= 0 ? in->dims[i] : SW_DIM_UNKNOWN;
            copied |= 1u << i;
        } else if (v[i] == 0) {
            has_zero = true;
        }
    }
    if (has_zero && hole >= 0) return sw_call_fail(c, "with allowzero the new shape must not hold both 0 and -1");
    SW_TRY(reshape_solve(c, in, v, n, copied, hole));
    if (!out) return SW_OK;
    sw__set_unknown(out, in->dtype, n);
    memcpy(out->dims, v, sizeof v[0] * (size_t)n);
    return SW_OK;
}

sw_status sw__shape_flatten(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0);
    int64_t rows = 1, columns = 1, axis = sw_call_int(c, "axis");
    if (in->rank < 0) {
        rows = axis == 0 ? 1 : SW_DIM_UNKNOWN;
        columns = SW_DIM_UNKNOWN;
    } else {
        if (axis < -in->rank || axis > in->rank)
            return sw_call_fail(c, "axis %lld lies outside of the %d axes", (long long)axis, in->rank);
        if (axis < 0) axis += in->rank;
        for (int i = 0; i < in->rank; i++) {
            int64_t *side = i < axis ? &rows : &columns;
            SW_TRY(sw__dim_mul(c, *side, in->dims[i], side));
        }
    }
    if (!out) return SW_OK;
    sw__set_unknown(out, in->dtype, 2);
    out->dims[0] = rows;
    out->dims[1] = columns;
    return SW_OK;
}

/* Axes of an input as a bit mask over `rank` axes; reports axes outside and double ones. */
static sw_status axes_mask(const sw_call *c, const int64_t *axes, int n, int rank, unsigned *mask) {
    *mask = 0;
    for (int i = 0; i < n; i++) {
        int axis;
        SW_TRY(sw__require_axis(c, axes[i], rank, &axis));
        if (*mask >> axis & 1u) return sw_call_fail(c, "axis %lld is given twice", (long long)axes[i]);
        *mask |= 1u << axis;
    }
    return SW_OK;
}

/* Without axes all extents of 1 go, which needs all of them known. */
static bool squeeze_ones(const sw_tensor *in, unsigned *mask) {
    for (int i = 0; i < in->rank; i++) {
        if (!sw_dim_known(in->dims[i])) return false;
        if (in->dims[i] == 1) *mask |= 1u << i;
    }
    return true;
}

sw_status sw__shape_squeeze(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0);
    int64_t axes[SW_MAX_RANK], length;
    int n;
    unsigned mask = 0;
    SW_TRY(sw__input_ints(c, 1, "axes", axes, SW_MAX_RANK, &n, &length));
    bool given = sw_call_in(c, 1) != NULL && length != 0; /* no axes at all count as none given */
    bool known = in->rank >= 0 && (given ? n >= 0 : squeeze_ones(in, &mask));
    if (!known) {
        if (given && in->rank >= 0 && length > in->rank) return sw_call_fail(c, "more axes than the input has");
        int rank = given && in->rank >= 0 && length >= 0 ? in->rank - (int)length : SW_RANK_UNKNOWN;
        if (out) sw__set_unknown(out, in->dtype, rank);
        return SW_OK;
    }
    if (given) SW_TRY(axes_mask(c, axes, n, in->rank, &mask));
    int64_t dims[SW_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < in->rank; i++) {
        if (!(mask >> i & 1u))
            dims[rank++] = in->dims[i];
        else if (sw_dim_known(in->dims[i]) && in->dims[i] != 1)
            return sw_call_fail(c, "axis %d has the extent %lld, not 1", i, (long long)in->dims[i]);
    }
    if (!out) return SW_OK;
    sw__set_unknown(out, in->dtype, rank);
    memcpy(out->dims, dims, sizeof dims[0] * (size_t)rank);
    return SW_OK;
}

sw_status sw__shape_unsqueeze(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0);
    int64_t axes[SW_MAX_RANK], length;
    int n;
    unsigned mask;
    SW_TRY(sw__input_ints(c, 1, "axes", axes, SW_MAX_RANK, &n, &length));
    int rank = in->rank < 0 || length < 0 ? SW_RANK_UNKNOWN : in->rank + (int)length;
    SW_TRY(sw__require_rank(c, rank));
    if (n >= 0 && rank >= 0) SW_TRY(axes_mask(c, axes, n, rank, &mask));
    if (!out) return SW_OK;
    sw__set_unknown(out, in->dtype, rank);
    if (n < 0 || rank < 0) return SW_OK;
    for (int i = 0, k = 0; i < rank; i++) out->dims[i] = mask >> i & 1u ? 1 : in->dims[k++];
    return SW_OK;
}

sw_status sw__permutation(const sw_call *c, int rank, int *perm) {
    const sw_attr *given = sw_call_attr(c, "perm", SW_ATTR_INTS);
    if (given->set && given->ints.n != rank)
        return sw_call_fail(c, "'perm' has %d entries for %d axes", given->ints.n, rank);
    unsigned seen = 0;
    for (int i = 0; i < rank; i++) {
        int64_t axis = given->set ? given->ints.v[i] : rank - 1 - i;
        if (axis < 0 || axis >= rank || (seen >> axis & 1u))
            return sw_call_fail(c, "'perm' is no permutation of %d axes", rank);
        seen |= 1u << axis;
        perm[i] = (int)axis;
    }
    return SW_OK;
}

sw_status sw__shape_transpose(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0);
    int perm[SW_MAX_RANK], rank = in->rank;
    const sw_attr *given = sw_call_attr(c, "perm", SW_ATTR_INTS);
    if (rank < 0 && given->set) rank = given->ints.n;
    SW_TRY(sw__require_rank(c, rank));
    if (rank >= 0) SW_TRY(sw__permutation(c, rank, perm));
    if (!out) return SW_OK;
    sw__set_unknown(out, in->dtype, rank);
    for (int i = 0; i < in->rank; i++) out->dims[i] = in->dims[perm[i]];
    return SW_OK;
}

/* Two dims that must be equal. */
static sw_status merge_dim(const sw_call *c, int axis, int64_t a, int64_t b, int64_t *out) {
    if (sw_dim_known(a) && sw_dim_known(b) && a != b)
        return sw_call_fail(c, "extents %lld and %lld of axis %d must be equal", (long long)a, (long long)b, axis);
    *out = sw_dim_known(a) || (a != SW_DIM_UNKNOWN && !sw_dim_known(b)) ? a : b;
    return SW_OK;
}

static sw_status concat_add(const sw_call *c, const sw_tensor *in, sw_tensor *sum) {
    int axis;
    SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), sum->rank, &axis));
    if (in->rank != sum->rank)
        return sw_call_fail(c, "inputs must have one rank, found %d and %d", sum->rank, in->rank);
    for (int i = 0; i < in->rank; i++) {
        if (i == axis)
            SW_TRY(sw__dim_add(c, sum->dims[i], in->dims[i], &sum->dims[i]));
        else
            SW_TRY(merge_dim(c, i, sum->dims[i], in->dims[i], &sum->dims[i]));
    }
    return SW_OK;
}

sw_status sw__shape_concat(const sw_call *c) {
    sw_tensor sum = {.rank = SW_RANK_UNKNOWN};
    bool all_ranks = true;
    for (int i = 0; i < c->n_in; i++) {
        const sw_tensor *in = c->in[i];
        if (!in) return sw_call_fail(c, "input %d is missing", i + 1);
        SW_TRY(sw__same_dtype(c, &sum, in, &sum.dtype));
        if (in->rank < 0) {
            all_ranks = false;
            continue;
        }
        if (sum.rank < 0) {
            int axis;
            sw__set_unknown(&sum, sum.dtype, in->rank);
            SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), in->rank, &axis));
            sum.dims[axis] = 0;
        }
        SW_TRY(concat_add(c, in, &sum));
    }
    if (sum.rank >= 0 && !all_ranks) sum.dims[sw_axis(sw_call_int(c, "axis"), sum.rank)] = SW_DIM_UNKNOWN;
    if (sw_call_out(c, 0)) sw__set_like(c->out[0], &sum);
    return SW_OK;
}

/* Length of part `i` of an even split: all as long as the first, the last takes what is left. */
static sw_status split_even(const sw_call *c, int64_t dim, int64_t parts, int i, int64_t *out) {
    *out = SW_DIM_UNKNOWN;
    if (!sw_dim_known(dim)) return SW_OK;
    int64_t chunk = dim / parts + (dim % parts != 0), last;
    if (__builtin_mul_overflow(chunk, parts - 1, &last) || last > dim)
        return sw_call_fail(c, "an extent of %lld cannot be cut into %lld parts", (long long)dim, (long long)parts);
    *out = i < parts - 1 ? chunk : dim - last;
    return SW_OK;
}

static sw_status split_check(const sw_call *c, const sw_tensor *lengths, int64_t dim) {
    if (lengths->rank > 1 || (lengths->dtype != SW_DTYPE_NONE && !sw__dtype_is_integer(lengths->dtype)))
        return sw_call_fail(c, "the lengths must be integers of rank 1, found %s of rank %d",
                            sw_dtype_name(lengths->dtype), lengths->rank);
    if (lengths->rank == 1 && sw_dim_known(lengths->dims[0]) && lengths->dims[0] != c->n_out)
        return sw_call_fail(c, "%lld lengths for %d outputs", (long long)lengths->dims[0], c->n_out);
    if (!lengths->data) return SW_OK;
    if (lengths->rank != 1) return sw_call_fail(c, "the lengths must be of rank 1, found rank %d", lengths->rank);
    int64_t sum = 0;
    for (int i = 0; i < c->n_out; i++) {
        int64_t length = sw_tensor_int_at(lengths, i);
        if (length < 0 || __builtin_add_overflow(sum, length, &sum))
            return sw_call_fail(c, "the length %lld of output %d makes no sense", (long long)length, i + 1);
    }
    if (sw_dim_known(dim) && sum != dim)
        return sw_call_fail(c, "the lengths sum up to %lld, the axis has %lld", (long long)sum, (long long)dim);
    return SW_OK;
}

sw_status sw__shape_split(const sw_call *c) {
    const sw_tensor *in = c->in[0], *lengths = sw_call_in(c, 1);
    const sw_attr *asked = sw_call_attr(c, "num_outputs", SW_ATTR_INT);
    int axis = 0;
    if (in->rank >= 0) SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), in->rank, &axis));
    int64_t dim = in->rank >= 0 ? in->dims[axis] : SW_DIM_UNKNOWN;
    if (lengths)
        SW_TRY(split_check(c, lengths, dim));
    else if (asked->set && asked->i != c->n_out)
        return sw_call_fail(c, "'num_outputs' is %lld for %d outputs", (long long)asked->i, c->n_out);
    for (int i = 0; i < c->n_out; i++) {
        int64_t length = SW_DIM_UNKNOWN;
        if (!lengths)
            SW_TRY(split_even(c, dim, c->n_out, i, &length));
        else if (lengths->data)
            length = sw_tensor_int_at(lengths, i);
        if (!c->out[i]) continue;
        sw__set_like(c->out[i], in);
        if (in->rank >= 0) c->out[i]->dims[axis] = length;
    }
    return SW_OK;
}

/* One axis of a Slice, as numpy clamps it. */
static void slice_axis(int64_t dim, int64_t start, int64_t end, int64_t step, sw_slice *s, int axis) {
    bool up = step > 0;
    int64_t lo = up ? 0 : -1, hi = up ? dim : dim - 1;
    if (start < 0) start += dim;
    if (end < 0) end += dim;
    start = clamp(start, up ? 0 : -1, hi);
    end = clamp(end, lo, hi);
    uint64_t span = up ? (end > start ? (uint64_t)(end - start) : 0) : (start > end ? (uint64_t)(start - end) : 0);
    uint64_t stride = up ? (uint64_t)step : 0 - (uint64_t)step;
    s->first[axis] = start;
    s->count[axis] = span ? (int64_t)((span - 1) / stride) + 1 : 0;
    s->step[axis] = s->count[axis] > 1 ? step : 1;
}

/* True when the slice takes everything, however long the axis is. */
static bool slice_takes_all(int64_t start, int64_t end, int64_t step) {
    return start == 0 && step == 1 && end >= INT32_MAX;
}

sw_status sw__slice_resolve(const sw_call *c, sw_slice *s) {
    const sw_tensor *in = c->in[0];
    int64_t start[SW_MAX_RANK], end[SW_MAX_RANK], axes[SW_MAX_RANK], step[SW_MAX_RANK], length, other;
    int n, n_end, n_axes, n_step;
    SW_TRY(sw__input_ints(c, 1, "starts", start, SW_MAX_RANK, &n, &length));
    SW_TRY(sw__input_ints(c, 2, "ends", end, SW_MAX_RANK, &n_end, &other));
    if (length < 0)
        length = other;
    else if (other >= 0 && other != length)
        return sw_call_fail(c, "'starts' and 'ends' differ in length");
    SW_TRY(sw__input_ints(c, 3, "axes", axes, SW_MAX_RANK, &n_axes, &other));
    if (sw_call_in(c, 3) && length < 0) length = other;
    if (other >= 0 && other != length) return sw_call_fail(c, "'starts' and 'axes' differ in length");
    SW_TRY(sw__input_ints(c, 4, "steps", step, SW_MAX_RANK, &n_step, &other));
    if (other >= 0 && length >= 0 && other != length) return sw_call_fail(c, "'starts' and 'steps' differ in length");
    for (int i = 0; i < in->rank; i++) {
        s->first[i] = 0;
        s->step[i] = 1;
        s->count[i] = in->dims[i];
    }
    if ((sw_call_in(c, 3) && n_axes < 0) || length < 0) { /* nobody knows which axes are cut */
        for (int i = 0; i < in->rank; i++) s->count[i] = SW_DIM_UNKNOWN;
        return SW_OK;
    }
    if (!sw_call_in(c, 3))
        for (int64_t i = 0; i < length; i++) axes[i] = i;
    unsigned mask;
    SW_TRY(axes_mask(c, axes, (int)length, in->rank, &mask));
    bool known = n >= 0 && n_end >= 0 && (n_step >= 0 || !sw_call_in(c, 4));
    for (int i = 0; i < (int)length; i++) {
        int axis = sw_axis(axes[i], in->rank);
        int64_t by = n_step >= 0 ? step[i] : 1, dim = in->dims[axis];
        if (by == 0) return sw_call_fail(c, "the step of axis %d is 0", axis);
        if (known && sw_dim_known(dim))
            slice_axis(dim, start[i], end[i], by, s, axis);
        else if (!known || !slice_takes_all(start[i], end[i], by))
            s->count[axis] = SW_DIM_UNKNOWN;
    }
    return SW_OK;
}

sw_status sw__shape_slice(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0);
    sw_slice s;
    if (in->rank >= 0) SW_TRY(sw__slice_resolve(c, &s));
    if (!out) return SW_OK;
    sw__set_unknown(out, in->dtype, in->rank);
    for (int i = 0; i < in->rank; i++) out->dims[i] = s.count[i];
    return SW_OK;
}

sw_status sw__shape_expand(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0), wanted, shape;
    int64_t v[SW_MAX_RANK], length;
    int n;
    SW_TRY(sw__input_ints(c, 1, "shape", v, SW_MAX_RANK, &n, &length));
    sw__set_unknown(&wanted, in->dtype, length < 0 ? SW_RANK_UNKNOWN : (int)length);
    for (int i = 0; i < n; i++) {
        if (v[i] < 0) return sw_call_fail(c, "the new extent %lld is negative", (long long)v[i]);
        wanted.dims[i] = v[i];
    }
    sw__set_like(&shape, in);
    SW_TRY(sw__broadcast(c, &shape, &wanted, &shape));
    if (out) sw__set_like(out, &shape);
    return SW_OK;
}

sw_status sw__shape_tile(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0);
    int64_t v[SW_MAX_RANK], length, dims[SW_MAX_RANK];
    int n, rank = in->rank;
    SW_TRY(sw__input_ints(c, 1, "repeats", v, SW_MAX_RANK, &n, &length));
    if (rank < 0 && length >= 0) rank = (int)length;
    if (rank >= 0 && length >= 0 && length != rank)
        return sw_call_fail(c, "%lld repeats for %d axes", (long long)length, rank);
    for (int i = 0; i < rank; i++) {
        dims[i] = SW_DIM_UNKNOWN;
        if (n >= 0 && v[i] < 0) return sw_call_fail(c, "the repeat %lld is negative", (long long)v[i]);
        if (n >= 0 && in->rank >= 0) SW_TRY(sw__dim_mul(c, in->dims[i], v[i], &dims[i]));
    }
    if (!out) return SW_OK;
    sw__set_unknown(out, in->dtype, rank);
    for (int i = 0; i < rank; i++) out->dims[i] = dims[i];
    return SW_OK;
}

/* Axes that Pad pads, as far as they can be told; *n is -1 when they cannot. */
static sw_status pad_axes(const sw_call *c, int rank, int64_t *axes, int *n) {
    unsigned mask;
    if (!sw_call_in(c, 3)) {
        for (int i = 0; i < rank; i++) axes[i] = i;
        *n = rank;
        return SW_OK;
    }
    SW_TRY(sw__input_ints(c, 3, "axes", axes, SW_MAX_RANK, n, NULL));
    return axes_mask(c, axes, *n, rank, &mask);
}

sw_status sw__pad_resolve(const sw_call *c, sw_pads *p) {
    const sw_tensor *in = c->in[0], *value = sw_call_in(c, 2);
    int64_t v[2 * SW_MAX_RANK], axes[SW_MAX_RANK], length;
    int n, n_axes;
    const char *mode = sw_call_string(c, "mode");
    if (strcmp(mode, "constant") && strcmp(mode, "reflect") && strcmp(mode, "edge") && strcmp(mode, "wrap"))
        return sw_call_fail(c, "unknown mode '%.32s'", mode);
    if (value && value->dtype != in->dtype && value->dtype != SW_DTYPE_NONE && in->dtype != SW_DTYPE_NONE)
        return sw_call_fail(c, "the value is %s, the data %s", sw_dtype_name(value->dtype), sw_dtype_name(in->dtype));
    SW_TRY(sw__input_ints(c, 1, "pads", v, 2 * SW_MAX_RANK, &n, &length));
    SW_TRY(pad_axes(c, in->rank, axes, &n_axes));
    if (length >= 0 && n_axes >= 0 && length != 2 * n_axes)
        return sw_call_fail(c, "%lld pads for %d axes, expected two for each", (long long)length, n_axes);
    for (int i = 0; i < in->rank; i++) {
        p->begin[i] = p->end[i] = 0;
        p->out[i] = n_axes < 0 ? SW_DIM_UNKNOWN : in->dims[i];
    }
    for (int i = 0; i < n_axes; i++) {
        int axis = sw_axis(axes[i], in->rank);
        int64_t dim = in->dims[axis], both;
        p->out[axis] = SW_DIM_UNKNOWN;
        if (n < 0) continue;
        p->begin[axis] = v[i];
        p->end[axis] = v[n_axes + i];
        if (__builtin_add_overflow(v[i], v[n_axes + i], &both) ||
            (sw_dim_known(dim) && (__builtin_add_overflow(both, dim, &p->out[axis]) || p->out[axis] < 0)))
            return sw_call_fail(c, "pads of %lld and %lld do not fit to the extent %lld of axis %d", (long long)v[i],
                                (long long)v[n_axes + i], (long long)dim, axis);
        if (!sw_dim_known(dim) && both == 0) p->out[axis] = dim;
        if (dim == 0 && p->out[axis] > 0 && strcmp(mode, "constant") != 0)
            return sw_call_fail(c, "axis %d is empty: mode '%s' has nothing to repeat", axis, mode);
    }
    return SW_OK;
}

sw_status sw__shape_pad(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    sw_tensor *out = sw_call_out(c, 0);
    sw_pads p;
    if (in->rank >= 0) SW_TRY(sw__pad_resolve(c, &p));
    if (!out) return SW_OK;
    sw__set_unknown(out, in->dtype, in->rank);
    for (int i = 0; i < in->rank; i++) out->dims[i] = p.out[i];
    return SW_OK;
}
