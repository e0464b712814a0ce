#include "ops/op.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/minifloat.h"
#include "ops/shape.h"

#define SW_A_NONE
#define SW_A_INT(n, v)    {.name = n, .type = SW_ATTR_INT, .has_default = true, .i = v},
#define SW_A_FLOAT(n, v)  {.name = n, .type = SW_ATTR_FLOAT, .has_default = true, .f = v},
#define SW_A_STR(n, v)    {.name = n, .type = SW_ATTR_STRING, .has_default = true, .s = v},
#define SW_A_INT_OPT(n)   {.name = n, .type = SW_ATTR_INT},
#define SW_A_INT_REQ(n)   {.name = n, .type = SW_ATTR_INT, .required = true},
#define SW_A_FLOAT_OPT(n) {.name = n, .type = SW_ATTR_FLOAT},
#define SW_A_STR_OPT(n)   {.name = n, .type = SW_ATTR_STRING},
#define SW_A_INTS(n)      {.name = n, .type = SW_ATTR_INTS},
#define SW_A_FLOATS(n)    {.name = n, .type = SW_ATTR_FLOATS},
#define SW_A_TENSOR(n)    {.name = n, .type = SW_ATTR_TENSOR},
#define SW_A_BODY(n)      {.name = n, .type = SW_ATTR_BODY, .required = true},
#define SW_OP(id, name, domain, min_in, max_in, min_out, max_out, rule, tolerance, doc, attrs)                     \
    static const sw_attr_def attrs_##id[] = {attrs{0}};
#include "ops/ops.def"
#undef SW_OP

static const sw_op_info ops[SW_OP_COUNT] = {
#define SW_OP(id, op_name, op_domain, in_lo, in_hi, out_lo, out_hi, op_rule, op_tolerance, op_doc, op_attrs)       \
    [SW_OP_##id] = {.name = op_name,                                                                               \
                    .domain = op_domain,                                                                           \
                    .min_in = in_lo,                                                                               \
                    .max_in = in_hi,                                                                               \
                    .min_out = out_lo,                                                                             \
                    .max_out = out_hi,                                                                             \
                    .rule = sw__shape_##op_rule,                                                                   \
                    .tolerance = op_tolerance,                                                                     \
                    .doc = op_doc,                                                                                 \
                    .attrs = attrs_##id,                                                                           \
                    .n_attrs = (int)(sizeof attrs_##id / sizeof attrs_##id[0]) - 1},
#include "ops/ops.def"
#undef SW_OP
};

const sw_op_info *sw_op_get(sw_op op) {
    assert(op < SW_OP_COUNT);
    return &ops[op];
}

sw_op sw_op_find(const char *domain, const char *name) {
    if (strcmp(domain, "ai.onnx") == 0) domain = "";
    for (int i = 0; i < SW_OP_COUNT; i++)
        if (strcmp(ops[i].name, name) == 0 && strcmp(ops[i].domain, domain) == 0) return (sw_op)i;
    return SW_OP_COUNT;
}

void sw_op_default_attrs(sw_op op, sw_attr *attrs) {
    const sw_op_info *info = sw_op_get(op);
    for (int i = 0; i < info->n_attrs; i++) {
        const sw_attr_def *def = &info->attrs[i];
        memset(&attrs[i], 0, sizeof attrs[i]);
        attrs[i].set = def->has_default;
        if (def->type == SW_ATTR_INT) attrs[i].i = def->i;
        if (def->type == SW_ATTR_FLOAT) attrs[i].f = def->f;
        if (def->type == SW_ATTR_STRING) attrs[i].s = def->s;
    }
}

const sw_attr *sw_call_attr(const sw_call *c, const char *name, sw_attr_type type) {
    const sw_op_info *info = sw_op_get(c->op);
    for (int i = 0; i < info->n_attrs; i++) {
        if (strcmp(info->attrs[i].name, name) != 0) continue;
        assert(info->attrs[i].type == type);
        return &c->attrs[i];
    }
    assert(!"the operator has no such attribute");
    return NULL;
}

static sw_status call_report(const sw_call *c, sw_status status, const char *fmt, va_list args) {
    char text[512], where[256];
    vsnprintf(text, sizeof text, fmt, args);
    const char *kind = sw_op_get(c->op)->name;
    if (c->name && *c->name) snprintf(where, sizeof where, "node '%.160s' (%s)", c->name, kind);
    else snprintf(where, sizeof where, "a node %s", kind);
    return sw_fail(c->diag, status, where, NULL, "%s", text);
}

sw_status sw_call_fail(const sw_call *c, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    sw_status status = call_report(c, SW_E_MODEL, fmt, args);
    va_end(args);
    return status;
}

sw_status sw_call_unsupported(const sw_call *c, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    sw_status status = call_report(c, SW_E_UNSUPPORTED, fmt, args);
    va_end(args);
    return status;
}

int64_t sw_tensor_int_at(const sw_tensor *t, int64_t i) {
    switch (t->dtype) {
    case SW_U8:
    case SW_U4:
        return ((const uint8_t *)t->data)[i];
    case SW_BOOL: return ((const uint8_t *)t->data)[i] != 0;
    case SW_I8:
    case SW_I4:
        return ((const int8_t *)t->data)[i];
    case SW_U16: return ((const uint16_t *)t->data)[i];
    case SW_I16: return ((const int16_t *)t->data)[i];
    case SW_I32: return ((const int32_t *)t->data)[i];
    case SW_U32: return ((const uint32_t *)t->data)[i];
    case SW_I64: return ((const int64_t *)t->data)[i];
    case SW_U64: return (int64_t)((const uint64_t *)t->data)[i];
    default: assert(!"not an integer tensor"); return 0;
    }
}

double sw_tensor_float_at(const sw_tensor *t, int64_t i) {
    switch (t->dtype) {
    case SW_F32: return (double)((const float *)t->data)[i];
    case SW_F64: return ((const double *)t->data)[i];
    case SW_F16: return (double)sw_f16_to_f32(((const uint16_t *)t->data)[i]);
    case SW_BF16: return (double)sw_bf16_to_f32(((const uint16_t *)t->data)[i]);
    default:
        break;
    }
    if (sw_dtype_is_minifloat(t->dtype)) return sw_minifloat_to_f64(t->dtype, ((const uint8_t *)t->data)[i]);
    return (double)sw_tensor_int_at(t, i);
}

int sw_dtype_onnx(sw_dtype dtype) {
    static const uint8_t numbers[SW_DTYPE_COUNT] = {
#define NUMBER(name, bytes, text, onnx) [name] = onnx,
        SW_DTYPE_LIST(NUMBER)
#undef NUMBER
    };
    return numbers[dtype];
}

sw_dtype sw_dtype_from_onnx(int64_t number) {
    switch (number) {
#define CASE(name, bytes, text, onnx)                                                                                  \
    case onnx:                                                                                                         \
        return name;
        SW_DTYPE_LIST(CASE)
#undef CASE
    default:
        return SW_DTYPE_NONE;
    }
}

/* What takes types of less than 8 bits, and floats of 8: operators that only move elements, and those that convert. */
static bool takes_narrow(sw_op op) {
    static const sw_op those[] = {
        SW_OP_Cast,      SW_OP_CastLike, SW_OP_BitCast, SW_OP_QuantizeLinear, SW_OP_DequantizeLinear,
        SW_OP_Identity,  SW_OP_Reshape,  SW_OP_Flatten, SW_OP_Transpose,      SW_OP_Squeeze,
        SW_OP_Unsqueeze, SW_OP_Concat,   SW_OP_Slice,   SW_OP_Split,          SW_OP_Gather,
        SW_OP_Expand,    SW_OP_Tile,     SW_OP_Shape,   SW_OP_Size,           SW_OP_If,
        SW_OP_Loop};
    for (size_t i = 0; i < sizeof those / sizeof *those; i++)
        if (those[i] == op) return true;
    return false;
}

sw_status sw_op_infer(const sw_call *c) {
    const sw_op_info *info = sw_op_get(c->op);
    for (int i = 0; i < info->min_in; i++)
        if (!sw_call_in(c, i)) return sw_call_fail(c, "required input %d is absent", i + 1);
    for (int i = 0; i < c->n_in && !takes_narrow(c->op); i++) {
        sw_dtype dtype = c->in[i] ? c->in[i]->dtype : SW_DTYPE_NONE;
        if (sw_dtype_is_minifloat(dtype) || dtype == SW_U4 || dtype == SW_I4)
            return sw_call_unsupported(c, "%s; cast it before", sw_dtype_name(dtype));
    }
    return info->rule(c);
}
