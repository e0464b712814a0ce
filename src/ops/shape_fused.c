/* Shape rules of what passes make. */
#include <inttypes.h>
#include <string.h>

#include "ops/shape.h"

/* Conv's rule; an input of halves counts as float32, which its weights are. */
static sw_status infer_conv(const sw_call *c) {
    sw_tensor x = *c->in[0];
    const sw_tensor *in[4];
    sw_call conv = *c;
    if ((x.dtype == SW_BF16 || x.dtype == SW_F16) && c->in[1]->dtype == SW_F32) x.dtype = SW_F32;
    for (int i = 0; i < c->n_in; i++) in[i] = i == 0 ? &x : c->in[i];
    conv.in = in;
    return sw__shape_conv(&conv);
}

/* What is added to a result has its shape. */
static sw_status check_residual(const sw_call *c) {
    const sw_tensor *residual = sw_call_in(c, 3), *y = sw_call_out(c, 0);
    if (!residual || !y || !sw_tensor_is_concrete(residual) || !sw_tensor_is_concrete(y)) return SW_OK;
    if (residual->rank != y->rank || memcmp(residual->dims, y->dims, (size_t)y->rank * sizeof y->dims[0]) != 0)
        return sw_call_fail(c, "what is added has another shape than the result");
    return SW_OK;
}

sw_status sw__shape_fused_conv(const sw_call *c) {
    const char *out_type = sw_call_string(c, "out_type");
    sw_tensor *y = sw_call_out(c, 0);
    SW_TRY(infer_conv(c));
    if (y) y->dtype = c->in[0]->dtype;
    if (out_type[0]) {
        static const sw_dtype types[] = {SW_F32, SW_BF16, SW_F16};
        int i = 0;
        while (i < 3 && strcmp(out_type, sw_dtype_name(types[i])) != 0) i++;
        if (i == 3)
            return sw_call_fail(c, "attribute out_type is '%.32s', expected float32, bfloat16 or float16", out_type);
        if (y) y->dtype = types[i];
    }
    return check_residual(c);
}

sw_status sw__shape_fused_product(const sw_call *c) {
    const sw_tensor *x = c->in[0], *w = c->in[1], *bias = sw_call_in(c, 2);
    sw_tensor *y = sw_call_out(c, 0);
    bool transposed = sw_call_int(c, "transposed");
    if (x->dtype != SW_F32 || w->dtype != SW_F32)
        return sw_call_unsupported(c, "types other than float32 are not supported");
    if (w->rank != 2) return sw_call_fail(c, "its weights have %d axes, expected 2", w->rank);
    int64_t depth, n = w->dims[!transposed];
    if (bias && (bias->rank != 1 || bias->dtype != SW_F32)) return sw_call_fail(c, "its bias is no float32 vector");
    if (bias) SW_TRY(sw__agree(c, "the number of columns", n, bias->dims[0], &n));
    if (y) y->dtype = SW_F32;
    if (x->rank < 0) return SW_OK;
    if (x->rank < 2) return sw_call_fail(c, "its first factor has %d axes, expected at least 2", x->rank);
    SW_TRY(sw__agree(c, "the depth", x->dims[x->rank - 1], w->dims[transposed], &depth));
    if (!y) return SW_OK;
    y->rank = x->rank;
    memcpy(y->dims, x->dims, (size_t)x->rank * sizeof y->dims[0]);
    y->dims[y->rank - 1] = n;
    return check_residual(c);
}

/* Rows or columns after the shuffle. */
static sw_status shuffled(const sw_call *c, int64_t in, int64_t stride, int64_t begin, int64_t end, int64_t *out) {
    SW_TRY(sw__dim_mul(c, in, stride, out));
    if (!sw_dim_known(*out)) {
        if (begin || end || stride != 1) *out = SW_DIM_UNKNOWN;
        return SW_OK;
    }
    if (begin > *out || end > *out - begin)
        return sw_call_fail(c, "its crops leave nothing of %" PRId64 " pixels", *out);
    *out -= begin + end;
    return SW_OK;
}

sw_status sw__shape_pixel_shuffle(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    const sw_attr *strides = sw_call_attr(c, "strides", SW_ATTR_INTS), *crops = sw_call_attr(c, "crops", SW_ATTR_INTS);
    bool good = strides->set && strides->ints.n == 2 && crops->set && crops->ints.n == 4;
    for (int i = 0; good && i < 2; i++) good = strides->ints.v[i] >= 1 && strides->ints.v[i] <= INT16_MAX;
    for (int i = 0; good && i < 4; i++) good = crops->ints.v[i] >= 0;
    if (!good) return sw_call_fail(c, "it needs two strides of at least 1 and four crops of at least 0");
    if (x->rank >= 0 && x->rank != 4) return sw_call_fail(c, "the input has rank %d, expected 4", x->rank);
    sw_tensor shape;
    sw__set_unknown(&shape, x->dtype, 4);
    if (x->rank == 4) {
        int64_t area = strides->ints.v[0] * strides->ints.v[1];
        shape.dims[0] = x->dims[0];
        if (sw_dim_known(x->dims[1]) && x->dims[1] % area)
            return sw_call_fail(c, "%" PRId64 " channels do not divide into blocks of %" PRId64, x->dims[1], area);
        if (sw_dim_known(x->dims[1])) shape.dims[1] = x->dims[1] / area;
        for (int i = 0; i < 2; i++)
            SW_TRY(shuffled(c, x->dims[2 + i], strides->ints.v[i], crops->ints.v[i], crops->ints.v[2 + i],
                            &shape.dims[2 + i]));
    }
    if (sw_call_out(c, 0)) sw__set_like(c->out[0], &shape);
    return SW_OK;
}

sw_status sw__shape_channel_shuffle(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    int64_t groups = sw_call_int(c, "groups");
    if (groups < 1 || groups > INT32_MAX) return sw_call_fail(c, "it has %" PRId64 " groups", groups);
    if (x->rank >= 0 && x->rank != 4) return sw_call_fail(c, "the input has rank %d, expected 4", x->rank);
    if (x->rank == 4 && sw_dim_known(x->dims[1]) && x->dims[1] % groups)
        return sw_call_fail(c, "%" PRId64 " channels do not divide into %" PRId64 " groups", x->dims[1], groups);
    if (sw_call_out(c, 0)) sw__set_like(c->out[0], x);
    return SW_OK;
}

sw_status sw__shape_dfl(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0);
    int64_t bins = sw_call_int(c, "bins");
    if (!y) return SW_OK;
    if (bins < 1 || bins > INT32_MAX)
        return sw_call_fail(c, "attribute bins is %" PRId64 ", expected at least 1", bins);
    if (x->rank >= 0 && x->rank != 3) return sw_call_fail(c, "the input has rank %d, expected 3", x->rank);
    sw__set_unknown(y, x->dtype, 3);
    y->dims[1] = 4;
    if (x->rank < 0) return SW_OK;
    if (sw_dim_known(x->dims[1]) && x->dims[1] != 4 * bins)
        return sw_call_fail(c, "the input has %" PRId64 " channels, expected 4 times %" PRId64 " bins", x->dims[1],
                            bins);
    y->dims[0] = x->dims[0];
    y->dims[2] = x->dims[2];
    return SW_OK;
}
