#include "ops/shape.h"

static long long ll(int64_t v) {
    return (long long)v;
}

/* Which axes input 2 names. Without it, or when it is empty, all of them unless noop_with_empty_axes says none.
 * *known is false when only the run tells; then *n is how many there will be, or -1. */
static sw_status reduced_axes(const sw_call *c, int rank, bool *reduced, bool *known, int64_t *n) {
    int64_t axes[SW_MAX_RANK];
    int count = 0;
    *n = 0;
    *known = true;
    for (int i = 0; i < rank; i++) reduced[i] = false;
    if (sw_call_in(c, 1)) SW_TRY(sw__input_ints(c, 1, "axes", axes, SW_MAX_RANK, &count, n));
    if (*n == 0) {
        bool all = sw_call_int(c, "noop_with_empty_axes") == 0;
        for (int i = 0; i < rank; i++) reduced[i] = all;
        *n = all ? rank : 0;
        return SW_OK;
    }
    if (count < 0) *known = false;
    for (int i = 0; i < count; i++) {
        int axis;
        SW_TRY(sw__require_axis(c, axes[i], rank, &axis));
        if (reduced[axis]) return sw_call_fail(c, "axis %d is named twice", axis);
        reduced[axis] = true;
    }
    return SW_OK;
}

sw_status sw_call_reduced_axes(const sw_call *c, bool reduced[SW_MAX_RANK]) {
    bool known;
    int64_t n;
    return reduced_axes(c, c->in[0]->rank, reduced, &known, &n);
}

sw_status sw__shape_reduce(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0);
    bool keep = sw_call_int(c, "keepdims") != 0, known, reduced[SW_MAX_RANK];
    int64_t n;
    if (!y) return SW_OK;
    sw__set_unknown(y, x->dtype, SW_RANK_UNKNOWN);
    if (x->rank < 0) return SW_OK;
    SW_TRY(reduced_axes(c, x->rank, reduced, &known, &n));
    if (n > x->rank) return sw_call_fail(c, "%lld axes are named, but the input has %d", ll(n), x->rank);
    if (!known) {
        int rank = keep ? x->rank : n >= 0 ? x->rank - (int)n : SW_RANK_UNKNOWN;
        sw__set_unknown(y, x->dtype, rank);
        return SW_OK;
    }
    y->rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (keep || !reduced[i]) y->dims[y->rank++] = reduced[i] ? 1 : x->dims[i];
    return SW_OK;
}

sw_status sw__shape_arg_reduce(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0);
    int axis;
    if (y) sw__set_unknown(y, SW_I64, SW_RANK_UNKNOWN);
    if (x->rank < 0) return SW_OK;
    SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), x->rank, &axis));
    if (x->dims[axis] == 0) return sw_call_fail(c, "axis %d has no elements, so none is the largest or smallest", axis);
    if (!y) return SW_OK;
    y->rank = 0;
    for (int i = 0; i < x->rank; i++) {
        if (i != axis)
            y->dims[y->rank++] = x->dims[i];
        else if (sw_call_int(c, "keepdims") != 0)
            y->dims[y->rank++] = 1;
    }
    return SW_OK;
}

sw_status sw__shape_topk(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    int64_t k;
    bool k_known;
    int axis = -1;
    SW_TRY(sw__input_int(c, 1, "k", &k, &k_known));
    if (x->rank >= 0) SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), x->rank, &axis));
    if (k_known && k < 0) return sw_call_fail(c, "k is %lld, expected at least 0", ll(k));
    if (k_known && axis >= 0 && sw_dim_known(x->dims[axis]) && k > x->dims[axis])
        return sw_call_fail(c, "k is %lld, but axis %d has only %lld elements", ll(k), axis, ll(x->dims[axis]));
    for (int i = 0; i < 2; i++) {
        sw_tensor *y = sw_call_out(c, i);
        if (!y) continue;
        sw__set_like(y, x);
        if (i == 1) y->dtype = SW_I64;
        if (axis >= 0) y->dims[axis] = k_known ? k : SW_DIM_UNKNOWN;
    }
    return SW_OK;
}

sw_status sw__shape_softmax(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    int axis;
    /* Axis 0 and -1 of a scalar are one lane of one element. */
    if (x->rank > 0) SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), x->rank, &axis));
    if (sw_call_out(c, 0)) sw__set_like(c->out[0], x);
    return SW_OK;
}

sw_status sw__shape_batch_norm(const sw_call *c) {
    static const char *const names[] = {"X", "scale", "B", "mean", "var"};
    const sw_tensor *x = c->in[0];
    if (sw_call_int(c, "training_mode") != 0)
        return sw_call_unsupported(c, "training_mode is on; export the model in evaluation mode");
    if (x->rank == 0) return sw_call_fail(c, "the input is a scalar, expected at least a batch axis");
    int64_t channels = x->rank < 0 ? SW_DIM_UNKNOWN : x->rank == 1 ? 1 : x->dims[1];
    for (int i = 1; i < c->n_in; i++) {
        const sw_tensor *t = c->in[i];
        if (t->rank >= 0 && t->rank != 1) return sw_call_fail(c, "input %s has rank %d, expected 1", names[i], t->rank);
        if (t->rank == 1 && sw_dim_known(t->dims[0]) && sw_dim_known(channels) && t->dims[0] != channels)
            return sw_call_fail(c, "input %s has %lld entries, but the input has %lld channels", names[i],
                                ll(t->dims[0]), ll(channels));
    }
    if (sw_call_out(c, 0)) sw__set_like(c->out[0], x);
    return SW_OK;
}

/* Scale and bias broadcast to x, never the other way round. */
static sw_status check_broadcast_to(const sw_call *c, const char *what, const sw_tensor *t, const sw_tensor *x) {
    if (!t || t->rank < 0) return SW_OK;
    if (t->rank > x->rank) return sw_call_fail(c, "%s has rank %d, expected at most %d", what, t->rank, x->rank);
    for (int i = 0; i < t->rank; i++) {
        int64_t from = t->dims[i], to = x->dims[i + x->rank - t->rank];
        if (sw_dim_known(from) && sw_dim_known(to) && from != to && from != 1)
            return sw_call_fail(c, "%s has extent %lld where the input has %lld; expected that or 1", what, ll(from),
                                ll(to));
    }
    return SW_OK;
}

sw_status sw__shape_layer_norm(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    int axis = 0;
    if (x->rank >= 0) {
        SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), x->rank, &axis));
        SW_TRY(check_broadcast_to(c, "the scale", c->in[1], x));
        SW_TRY(check_broadcast_to(c, "the bias", sw_call_in(c, 2), x));
    }
    for (int i = 0; i < 3; i++) {
        sw_tensor *y = sw_call_out(c, i);
        if (!y) continue;
        sw__set_like(y, x);
        if (i == 0) continue;
        /* Statistics have the type of stash_type (1: float32), unless x is wider. */
        int64_t stash = sw_call_int(c, "stash_type");
        if (stash != 1 && stash != 16 && stash != 10 && stash != 11)
            return sw_call_fail(c, "attribute stash_type is %lld, expected 1, 10, 11 or 16", ll(stash));
        y->dtype = stash == 1 ? SW_F32 : stash == 10 ? SW_F16 : stash == 11 ? SW_F64 : SW_BF16;
        for (int k = axis; k < y->rank; k++) y->dims[k] = 1;
    }
    return SW_OK;
}
