#include "ops/shape.h"

static long long ll(int64_t v) {
    return (long long)v;
}

/* The dim shared by both factors must agree, as far as it is known. */
static sw_status check_inner(const sw_call *c, int64_t a, int64_t b) {
    if (!sw_dim_known(a) || !sw_dim_known(b) || a == b) return SW_OK;
    return sw_call_fail(c, "the left matrix has %lld columns, the right one %lld rows; expected equal", ll(a), ll(b));
}

sw_status sw__shape_matmul(const sw_call *c) {
    const sw_tensor *a = c->in[0], *b = c->in[1];
    sw_tensor *y = sw_call_out(c, 0);
    sw_dtype dtype;
    SW_TRY(sw__same_dtype(c, a, b, &dtype));
    if (a->rank == 0 || b->rank == 0) return sw_call_fail(c, "scalars have no matrix product");
    if (y) sw__set_unknown(y, dtype, SW_RANK_UNKNOWN);
    if (a->rank < 0 || b->rank < 0) return SW_OK;
    /* A vector counts as one row on the left, as one column on the right; that axis is dropped again. */
    SW_TRY(check_inner(c, a->dims[a->rank - 1], b->rank == 1 ? b->dims[0] : b->dims[b->rank - 2]));
    sw_tensor batch_a = *a, batch_b = *b, out = {.dtype = dtype};
    batch_a.rank = a->rank < 2 ? 0 : a->rank - 2;
    batch_b.rank = b->rank < 2 ? 0 : b->rank - 2;
    SW_TRY(sw__broadcast(c, &batch_a, &batch_b, &out));
    if (a->rank > 1) out.dims[out.rank++] = a->dims[a->rank - 2];
    if (b->rank > 1) out.dims[out.rank++] = b->dims[b->rank - 1];
    if (y) sw__set_like(y, &out);
    return SW_OK;
}

sw_status sw__shape_gemm(const sw_call *c) {
    const sw_tensor *a = c->in[0], *b = c->in[1], *bias = sw_call_in(c, 2);
    sw_tensor *y = sw_call_out(c, 0);
    sw_dtype dtype;
    SW_TRY(sw__same_dtype(c, a, b, &dtype));
    if ((a->rank >= 0 && a->rank != 2) || (b->rank >= 0 && b->rank != 2))
        return sw_call_fail(c, "factors of rank %d and %d, expected 2 and 2", a->rank, b->rank);
    int trans_a = sw_call_int(c, "transA") != 0, trans_b = sw_call_int(c, "transB") != 0;
    sw_tensor out = {.dtype = dtype, .rank = 2, .dims = {SW_DIM_UNKNOWN, SW_DIM_UNKNOWN}};
    if (a->rank == 2) out.dims[0] = a->dims[trans_a];
    if (b->rank == 2) out.dims[1] = b->dims[!trans_b];
    if (a->rank == 2 && b->rank == 2) SW_TRY(check_inner(c, a->dims[!trans_a], b->dims[trans_b]));
    if (bias) {
        SW_TRY(sw__same_dtype(c, a, bias, &dtype));
        if (bias->rank > 2) return sw_call_fail(c, "input C has rank %d, expected at most 2", bias->rank);
        for (int i = 0; i < bias->rank; i++) {
            int64_t from = bias->dims[bias->rank - 1 - i], to = out.dims[1 - i];
            if (sw_dim_known(from) && sw_dim_known(to) && from != 1 && from != to)
                return sw_call_fail(c, "input C has extent %lld where the product has %lld; expected that or 1",
                                    ll(from), ll(to));
        }
    }
    if (y) sw__set_like(y, &out);
    return SW_OK;
}
