/* Shape rules of quantisation and of products of integers. */
#include <string.h>

#include "base/minifloat.h"
#include "ops/shape.h"

static long long ll(int64_t v) {
    return (long long)v;
}

/* One scale for all (blocks 1), one for each index of `axis`, or one for each block along it. */
sw_status sw_call_scales(const sw_call *c, sw_scales *s) {
    const sw_tensor *x = c->in[0], *scale = c->in[1], *zero = sw_call_in(c, 2);
    int64_t block = sw_call_int(c, "block_size");
    *s = (sw_scales){.axis = 0, .block = 0};
    if (x->rank < 0 || scale->rank < 0) return SW_OK;
    bool alone = sw_tensor_count(scale) == 1 && zero && sw_tensor_count(zero) == 1; /* as scalars or in one axis */
    if (zero && zero->rank >= 0 && !alone) {
        int64_t same;
        if (zero->rank != scale->rank)
            return sw_call_fail(c, "the scale has %d axes, the zero point %d", scale->rank, zero->rank);
        for (int i = 0; i < scale->rank; i++)
            SW_TRY(sw__agree(c, "the shape of scale and zero point", scale->dims[i], zero->dims[i], &same));
    }
    if (block < 0) return sw_call_fail(c, "block_size is %lld", ll(block));
    if (scale->rank == 0 || (scale->rank == 1 && scale->dims[0] == 1 && !block)) return SW_OK;
    SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), x->rank, &s->axis));
    s->block = block ? block : 1;
    if (!block) {
        int64_t same;
        if (scale->rank != 1) return sw_call_fail(c, "the scale has %d axes, expected 0 or 1", scale->rank);
        return sw__agree(c, "the number of scales", scale->dims[0], x->dims[s->axis], &same);
    }
    if (scale->rank != x->rank)
        return sw_call_fail(c, "scales of blocks have %d axes, the input %d", scale->rank, x->rank);
    for (int i = 0; i < x->rank; i++) {
        int64_t has = scale->dims[i], extent = x->dims[i];
        if (!sw_dim_known(has) || !sw_dim_known(extent)) continue;
        int64_t want = i == s->axis ? extent / block + (extent % block != 0) : extent;
        if (has != want) return sw_call_fail(c, "axis %d has %lld scales, expected %lld", i, ll(has), ll(want));
    }
    return SW_OK;
}

static bool is_float(sw_dtype t) {
    return t == SW_F32 || t == SW_F64 || t == SW_F16 || t == SW_BF16;
}

static bool is_quantised(sw_dtype t) {
    return t == SW_U8 || t == SW_I8 || t == SW_U16 || t == SW_I16 || t == SW_U4 || t == SW_I4 ||
           (sw_dtype_is_minifloat(t) && t != SW_F8_E8M0);
}

sw_status sw__shape_quantize(const sw_call *c) {
    const sw_tensor *zero = sw_call_in(c, 2);
    sw_scales s;
    sw_dtype dtype = zero ? zero->dtype : SW_U8;
    if (sw_call_int(c, "output_dtype")) {
        sw_dtype wanted;
        SW_TRY(sw__attr_dtype(c, "output_dtype", &wanted));
        if (zero && zero->dtype && zero->dtype != wanted)
            return sw_call_fail(c, "output_dtype is %s, but the zero point is %s", sw_dtype_name(wanted),
                                sw_dtype_name(zero->dtype));
        dtype = wanted;
    }
    if (dtype != SW_DTYPE_NONE && !is_quantised(dtype))
        return sw_call_unsupported(c, "QuantizeLinear to %s", sw_dtype_name(dtype));
    SW_TRY(sw_call_scales(c, &s));
    SW_TRY(sw__shape_like_first(c));
    if (sw_call_out(c, 0)) c->out[0]->dtype = dtype;
    return SW_OK;
}

sw_status sw__shape_dequantize(const sw_call *c) {
    const sw_tensor *x = c->in[0], *zero = sw_call_in(c, 2);
    sw_scales s;
    sw_dtype dtype = c->in[1]->dtype, same;
    if (sw_call_int(c, "output_dtype")) SW_TRY(sw__attr_dtype(c, "output_dtype", &dtype));
    if (dtype != SW_DTYPE_NONE && !is_float(dtype))
        return sw_call_fail(c, "the scale is %s, expected a floating type", sw_dtype_name(dtype));
    if (x->dtype != SW_DTYPE_NONE && !is_quantised(x->dtype) && x->dtype != SW_I32)
        return sw_call_unsupported(c, "DequantizeLinear from %s", sw_dtype_name(x->dtype));
    if (zero) SW_TRY(sw__same_dtype(c, x, zero, &same));
    SW_TRY(sw_call_scales(c, &s));
    SW_TRY(sw__shape_like_first(c));
    if (sw_call_out(c, 0)) c->out[0]->dtype = dtype;
    return SW_OK;
}

sw_status sw__shape_dynamic_quantize(const sw_call *c) {
    SW_TRY(sw__shape_like_first(c));
    if (sw_call_out(c, 0)) c->out[0]->dtype = SW_U8;
    if (sw_call_out(c, 1)) sw__set_unknown(c->out[1], SW_F32, 0);
    if (sw_call_out(c, 2)) sw__set_unknown(c->out[2], SW_U8, 0);
    return SW_OK;
}

/* Scale or zero point number `i`: one for all, or one for each of `n` channels. */
static sw_status check_channels(const sw_call *c, int i, int64_t n) {
    const sw_tensor *t = sw_call_in(c, i);
    if (!t || t->rank <= 0 || !sw_tensor_is_concrete(t) || sw_tensor_count(t) == 1) return SW_OK;
    if (t->rank == 1 && (!sw_dim_known(n) || t->dims[0] == n)) return SW_OK;
    return sw_call_fail(c, "input %d holds neither one value nor %lld", i + 1, ll(n));
}

/* Scalars, also as one element in rank 1. */
static sw_status check_single(const sw_call *c, int i) {
    const sw_tensor *t = sw_call_in(c, i);
    if (!t || !sw_tensor_is_concrete(t) || sw_tensor_count(t) == 1) return SW_OK;
    return sw_call_fail(c, "input %d must be one value", i + 1);
}

/* One value; one for each row (columns false) or column; or a tensor of matrices with 1 row or column. */
static sw_status check_lines(const sw_call *c, int i, const sw_tensor *m, bool columns) {
    const sw_tensor *t = sw_call_in(c, i);
    if (!t || !sw_tensor_is_concrete(t) || sw_tensor_count(t) == 1 || m->rank < 0) return SW_OK;
    if (m->rank < 2) return sw_call_fail(c, "input %d must be one value for a vector", i + 1);
    int64_t line = m->dims[m->rank - (columns ? 1 : 2)];
    if (t->rank == 1) return check_channels(c, i, line);
    bool good = t->rank == m->rank;
    for (int k = 0; good && k < t->rank; k++) {
        bool folded = k == m->rank - (columns ? 2 : 1);
        good = folded ? t->dims[k] == 1 : !sw_dim_known(m->dims[k]) || t->dims[k] == m->dims[k];
    }
    return good ? SW_OK : sw_call_fail(c, "input %d does not fit the matrices", i + 1);
}

/* The product of inputs a and b, as MatMul's rule gives it. */
static sw_status matmul_output(const sw_call *c, int b, sw_dtype dtype) {
    sw_tensor left = *c->in[0], right = *c->in[b];
    const sw_tensor *in[2] = {&left, &right};
    for (int i = 0; i < 2; i++)
        if (in[i]->dtype != SW_DTYPE_NONE && in[i]->dtype != SW_U8 && in[i]->dtype != SW_I8)
            return sw_call_unsupported(c, "factors of %s; expected int8 or uint8", sw_dtype_name(in[i]->dtype));
    left.dtype = right.dtype = SW_I32;
    sw_call product = *c;
    product.in = in;
    product.n_in = 2;
    SW_TRY(sw__shape_matmul(&product));
    if (sw_call_out(c, 0)) c->out[0]->dtype = dtype;
    return SW_OK;
}

sw_status sw__shape_matmul_integer(const sw_call *c) {
    SW_TRY(check_lines(c, 2, c->in[0], false));
    SW_TRY(check_lines(c, 3, c->in[1], true));
    return matmul_output(c, 1, SW_I32);
}

sw_status sw__shape_qlinear_matmul(const sw_call *c) {
    for (int i = 1; i < 3; i++) SW_TRY(check_lines(c, i, c->in[0], false));
    for (int i = 4; i < 6; i++) SW_TRY(check_lines(c, i, c->in[3], true));
    SW_TRY(check_single(c, 6));
    SW_TRY(check_single(c, 7));
    return matmul_output(c, 3, c->in[7]->dtype);
}

/* Weights are input `at`. */
static sw_status conv_output(const sw_call *c, int at, sw_dtype dtype) {
    const sw_tensor *x = c->in[0], *w = c->in[at];
    sw_tensor *y = sw_call_out(c, 0);
    int64_t group = sw_call_int(c, "group"), unknown[SW_MAX_RANK];
    for (int i = 0; i < 2; i++) {
        const sw_tensor *t = i ? w : x;
        if (t->dtype != SW_DTYPE_NONE && t->dtype != SW_U8 && t->dtype != SW_I8)
            return sw_call_unsupported(c, "convolution of %s; expected int8 or uint8", sw_dtype_name(t->dtype));
    }
    if (group < 1 || group > INT32_MAX) return sw_call_fail(c, "group is %lld, expected at least 1", ll(group));
    int rank = x->rank >= 0 ? x->rank : w->rank;
    if (y) sw__set_unknown(y, dtype, rank);
    if (x->rank >= 0 && w->rank >= 0) {
        if (x->rank != w->rank) return sw_call_fail(c, "the input has %d axes, the weights %d", x->rank, w->rank);
        if (rank < 3) return sw_call_fail(c, "the input has %d axes, expected at least 3", rank);
        if (sw_dim_known(w->dims[0]) && w->dims[0] % group != 0)
            return sw_call_fail(c, "%lld output channels do not divide into %lld groups", ll(w->dims[0]), ll(group));
        if (sw_dim_known(x->dims[1]) && sw_dim_known(w->dims[1]) &&
            (x->dims[1] % group != 0 || x->dims[1] / group != w->dims[1]))
            return sw_call_fail(c, "%lld channels in %lld groups do not fit weights for %lld", ll(x->dims[1]),
                                ll(group), ll(w->dims[1]));
    }
    if (x->rank < 0) return SW_OK;
    for (int i = 0; i < SW_MAX_RANK; i++) unknown[i] = SW_DIM_UNKNOWN;
    sw_window win;
    SW_TRY(sw_call_window(c, x, w->rank >= 0 ? w->dims + 2 : unknown, &win));
    if (!y) return SW_OK;
    y->dims[0] = x->dims[0];
    if (w->rank >= 0) y->dims[1] = w->dims[0];
    memcpy(y->dims + 2, win.out, sizeof win.out[0] * (size_t)win.n);
    return SW_OK;
}

sw_status sw__shape_conv_integer(const sw_call *c) {
    SW_TRY(check_single(c, 2));
    SW_TRY(check_channels(c, 3, c->in[1]->rank > 0 ? c->in[1]->dims[0] : SW_DIM_UNKNOWN));
    return conv_output(c, 1, SW_I32);
}

sw_status sw__shape_qlinear_conv(const sw_call *c) {
    static const int singles[] = {1, 2, 6, 7};
    const sw_tensor *w = c->in[3], *bias = sw_call_in(c, 8);
    int64_t channels = w->rank > 0 ? w->dims[0] : SW_DIM_UNKNOWN, same;
    for (int i = 0; i < 4; i++) SW_TRY(check_single(c, singles[i]));
    for (int i = 4; i < 6; i++) SW_TRY(check_channels(c, i, channels));
    if (bias && bias->rank >= 0 && bias->rank != 1) return sw_call_fail(c, "the bias has %d axes", bias->rank);
    if (bias && bias->rank == 1) SW_TRY(sw__agree(c, "the number of channels", channels, bias->dims[0], &same));
    if (bias && bias->dtype != SW_DTYPE_NONE && bias->dtype != SW_I32)
        return sw_call_fail(c, "the bias is %s, expected int32", sw_dtype_name(bias->dtype));
    return conv_output(c, 3, c->in[7]->dtype);
}
