#include "ops/shape.h"

#include <assert.h>
#include <string.h>

void sw__set_unknown(sw_tensor *t, sw_dtype dtype, int rank) {
    assert(rank <= SW_MAX_RANK);
    t->dtype = dtype;
    t->rank = rank;
    for (int i = 0; i < rank; i++) t->dims[i] = SW_DIM_UNKNOWN;
}

void sw__set_like(sw_tensor *t, const sw_tensor *like) {
    t->dtype = like->dtype;
    t->rank = like->rank;
    memcpy(t->dims, like->dims, sizeof t->dims);
}

sw_status sw__broadcast_dim(const sw_call *c, int64_t a, int64_t b, int64_t *out) {
    if (a == b || b == 1) {
        *out = a;
    } else if (a == 1) {
        *out = b;
    } else if (sw_dim_known(a) && sw_dim_known(b)) {
        return sw_call_fail(c, "extents %lld and %lld do not broadcast", (long long)a, (long long)b);
    } else if (sw_dim_known(a)) {
        *out = a;
    } else {
        *out = sw_dim_known(b) ? b : SW_DIM_UNKNOWN;
    }
    return SW_OK;
}

sw_status sw__broadcast(const sw_call *c, const sw_tensor *a, const sw_tensor *b, sw_tensor *out) {
    if (a->rank < 0 || b->rank < 0) {
        out->rank = SW_RANK_UNKNOWN;
        return SW_OK;
    }
    int rank = a->rank > b->rank ? a->rank : b->rank;
    int64_t dims[SW_MAX_RANK]; /* apart, because `out` may be `a` */
    for (int i = 0; i < rank; i++) {
        int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
        SW_TRY(sw__broadcast_dim(c, ia < 0 ? 1 : a->dims[ia], ib < 0 ? 1 : b->dims[ib], &dims[i]));
    }
    out->rank = rank;
    memcpy(out->dims, dims, sizeof dims[0] * (size_t)rank);
    return SW_OK;
}

bool sw__dtype_is_integer(sw_dtype dtype) {
    return dtype != SW_DTYPE_NONE && dtype != SW_F32 && dtype != SW_F64 && dtype != SW_F16 && dtype != SW_BF16;
}

int sw__read_ints(const sw_tensor *t, int64_t *v, int max, int64_t *known_len) {
    if (known_len) *known_len = -1;
    if (!t) return -1;
    if (t->rank > 1 || (t->dtype != SW_DTYPE_NONE && !sw__dtype_is_integer(t->dtype))) return -2;
    int64_t n = t->rank == 0 ? 1 : t->rank < 0 || !sw_dim_known(t->dims[0]) ? -1 : t->dims[0];
    if (n > max) return -2;
    if (known_len) *known_len = n;
    if (!t->data || n < 0 || t->dtype == SW_DTYPE_NONE) return -1;
    for (int64_t i = 0; i < n; i++) v[i] = sw_tensor_int_at(t, i);
    return (int)n;
}

sw_status sw__input_ints(const sw_call *c, int i, const char *what, int64_t *v, int max, int *n, int64_t *known_len) {
    const sw_tensor *t = sw_call_in(c, i);
    *n = sw__read_ints(t, v, max, known_len);
    if (*n >= -1) return SW_OK;
    return sw_call_fail(c, "'%s' (input %d) must be at most %d integers in rank 0 or 1, found %s of rank %d", what,
                        i + 1, max, sw_dtype_name(t->dtype), t->rank);
}

sw_status sw__input_int(const sw_call *c, int i, const char *what, int64_t *v, bool *known) {
    int n;
    int64_t length;
    SW_TRY(sw__input_ints(c, i, what, v, 1, &n, &length));
    *known = n == 1;
    if (length == 0) return sw_call_fail(c, "'%s' (input %d) must be one integer, found none", what, i + 1);
    return SW_OK;
}

sw_status sw__require_axis(const sw_call *c, int64_t axis, int rank, int *out) {
    *out = sw_axis(axis, rank);
    if (*out >= 0) return SW_OK;
    return sw_call_fail(c, "axis %lld lies outside of the %d axes", (long long)axis, rank);
}

sw_status sw__require_rank(const sw_call *c, int64_t rank) {
    if (rank <= SW_MAX_RANK) return SW_OK;
    return sw_call_unsupported(c, "the output would have %lld axes; Slipway has at most %d", (long long)rank,
                               SW_MAX_RANK);
}

sw_status sw__same_dtype(const sw_call *c, const sw_tensor *a, const sw_tensor *b, sw_dtype *out) {
    *out = a->dtype != SW_DTYPE_NONE ? a->dtype : b->dtype;
    if (a->dtype == b->dtype || a->dtype == SW_DTYPE_NONE || b->dtype == SW_DTYPE_NONE) return SW_OK;
    return sw_call_fail(c, "inputs must have one type, found %s and %s", sw_dtype_name(a->dtype),
                        sw_dtype_name(b->dtype));
}

sw_status sw__dim_mul(const sw_call *c, int64_t a, int64_t b, int64_t *out) {
    if (a == 0 || b == 0)
        *out = 0;
    else if (a == 1 || b == 1)
        *out = a == 1 ? b : a;
    else if (a < 0 || b < 0)
        *out = SW_DIM_UNKNOWN;
    else if (__builtin_mul_overflow(a, b, out))
        return sw_call_fail(c, "the extent %lld * %lld does not fit into 64 bits", (long long)a, (long long)b);
    return SW_OK;
}

sw_status sw__dim_add(const sw_call *c, int64_t a, int64_t b, int64_t *out) {
    if (a == 0 || b == 0)
        *out = a == 0 ? b : a;
    else if (a < 0 || b < 0)
        *out = SW_DIM_UNKNOWN;
    else if (__builtin_add_overflow(a, b, out))
        return sw_call_fail(c, "the extent %lld + %lld does not fit into 64 bits", (long long)a, (long long)b);
    return SW_OK;
}

sw_status sw__agree(const sw_call *c, const char *what, int64_t a, int64_t b, int64_t *out) {
    *out = sw_dim_known(a) ? a : b;
    if (!sw_dim_known(a) || !sw_dim_known(b) || a == b) return SW_OK;
    return sw_call_fail(c, "%s is %lld in one input and %lld in another", what, (long long)a, (long long)b);
}

sw_status sw__shape_like_first(const sw_call *c) {
    sw_tensor *out = sw_call_out(c, 0);
    if (out) sw__set_like(out, c->in[0]);
    return SW_OK;
}
