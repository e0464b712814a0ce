/* Shape rules of operators that work element by element. */
#include "ops/shape.h"

sw_status sw__shape_to_bool(const sw_call *c) {
    sw_tensor *out = sw_call_out(c, 0);
    if (!out) return SW_OK;
    sw__set_like(out, c->in[0]);
    out->dtype = SW_BOOL;
    return SW_OK;
}

/* Names of ONNX element types that are none of Slipway's. */
static const char *foreign_type(int64_t number) {
    static const char *const names[] = {
        [8] = "string", [14] = "complex64", [15] = "complex128", [25] = "uint2", [26] = "int2",
    };
    bool listed = number >= 0 && number < (int64_t)(sizeof names / sizeof names[0]);
    return listed && names[number] ? names[number] : "unknown";
}

sw_status sw__attr_dtype(const sw_call *c, const char *name, sw_dtype *out) {
    int64_t number = sw_call_int(c, name);
    *out = sw_dtype_from_onnx(number);
    if (*out != SW_DTYPE_NONE) return SW_OK;
    return sw_call_unsupported(c, "'%s' asks for the ONNX element type %lld (%s), which Slipway does not have", name,
                               (long long)number, foreign_type(number));
}

sw_status sw__shape_cast(const sw_call *c) {
    sw_dtype dtype;
    SW_TRY(sw__attr_dtype(c, "to", &dtype));
    sw_tensor *out = sw_call_out(c, 0);
    if (!out) return SW_OK;
    sw__set_like(out, c->in[0]);
    out->dtype = dtype;
    return SW_OK;
}

sw_status sw__shape_cast_like(const sw_call *c) {
    sw_tensor *out = sw_call_out(c, 0);
    if (!out) return SW_OK;
    sw__set_like(out, c->in[0]);
    out->dtype = c->in[1]->dtype;
    return SW_OK;
}

/* All inputs broadcast together and have one type. */
static sw_status broadcast_all(const sw_call *c, int first, sw_tensor *out) {
    for (int i = 0; i < c->n_in; i++)
        if (!c->in[i]) return sw_call_fail(c, "input %d is missing", i + 1);
    sw__set_like(out, c->in[first]);
    for (int i = first + 1; i < c->n_in; i++) {
        SW_TRY(sw__same_dtype(c, out, c->in[i], &out->dtype));
        SW_TRY(sw__broadcast(c, out, c->in[i], out));
    }
    return SW_OK;
}

sw_status sw__shape_binary(const sw_call *c) {
    sw_tensor shape;
    SW_TRY(broadcast_all(c, 0, &shape));
    if (sw_call_out(c, 0)) sw__set_like(c->out[0], &shape);
    return SW_OK;
}

sw_status sw__shape_compare(const sw_call *c) {
    sw_tensor shape;
    SW_TRY(broadcast_all(c, 0, &shape));
    bool logic = c->op == SW_OP_And || c->op == SW_OP_Or || c->op == SW_OP_Xor;
    if (logic && shape.dtype != SW_BOOL && shape.dtype != SW_DTYPE_NONE)
        return sw_call_fail(c, "inputs must be bool, found %s", sw_dtype_name(shape.dtype));
    shape.dtype = SW_BOOL;
    if (sw_call_out(c, 0)) sw__set_like(c->out[0], &shape);
    return SW_OK;
}

/* The exponent may be of another type than the base. */
sw_status sw__shape_pow(const sw_call *c) {
    sw_tensor shape;
    sw__set_like(&shape, c->in[0]);
    SW_TRY(sw__broadcast(c, &shape, c->in[1], &shape));
    if (sw_call_out(c, 0)) sw__set_like(c->out[0], &shape);
    return SW_OK;
}

sw_status sw__shape_where(const sw_call *c) {
    sw_dtype condition = c->in[0]->dtype;
    if (condition != SW_BOOL && condition != SW_DTYPE_NONE)
        return sw_call_fail(c, "the condition must be bool, found %s", sw_dtype_name(condition));
    sw_tensor shape;
    SW_TRY(broadcast_all(c, 1, &shape));
    SW_TRY(sw__broadcast(c, &shape, c->in[0], &shape));
    if (sw_call_out(c, 0)) sw__set_like(c->out[0], &shape);
    return SW_OK;
}
