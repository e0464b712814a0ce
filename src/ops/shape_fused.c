/* Shape rules of what passes make. */
#include <inttypes.h>
#include <string.h>

#include "ops/shape.h"

/* Conv's rule; a bfloat16 input counts as float32, which its weights are. */
static sw_status infer_conv(const sw_call *c) {
    sw_tensor x = *c->in[0];
    const sw_tensor *in[4];
    sw_call conv = *c;
    if (x.dtype == SW_BF16 && c->in[1]->dtype == SW_F32) x.dtype = SW_F32;
    for (int i = 0; i < c->n_in; i++) in[i] = i == 0 ? &x : c->in[i];
    conv.in = in;
    return sw__shape_conv(&conv);
}

sw_status sw__shape_fused_conv(const sw_call *c) {
    const sw_tensor *residual = sw_call_in(c, 3);
    const char *out_type = sw_call_string(c, "out_type");
    sw_tensor *y = sw_call_out(c, 0);
    SW_TRY(infer_conv(c));
    if (y) y->dtype = c->in[0]->dtype;
    if (out_type[0]) {
        bool is_float = !strcmp(out_type, "float32");
        if (!is_float && strcmp(out_type, "bfloat16") != 0)
            return sw_call_fail(c, "attribute out_type is '%.32s', expected float32 or bfloat16", out_type);
        if (y) y->dtype = is_float ? SW_F32 : SW_BF16;
    }
    if (!residual || !y || !sw_tensor_is_concrete(residual) || !sw_tensor_is_concrete(y)) return SW_OK;
    if (residual->rank != y->rank || memcmp(residual->dims, y->dims, (size_t)y->rank * sizeof y->dims[0]) != 0)
        return sw_call_fail(c, "what is added has another shape than the result");
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
