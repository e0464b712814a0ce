/* Constant nodes. */
#include <string.h>

#include "import/onnx/model.h"

static sw_status const_of(sw__draft *d, sw_dtype dtype, int rank, int64_t n, const void *v) {
    sw_tensor t = {.dtype = dtype, .rank = rank, .dims = {n}, .data = (void *)(uintptr_t)v};
    const char *name = sw__onnx_name(d->im, d->scope, d->proto->out[0]);
    sw_value *value = name ? sw_graph_add_const(d->im->graph, name, &t) : NULL;
    return value ? sw__onnx_bind(d->im, d->scope, d->proto->out[0], value) : sw__onnx_nomem(d->im);
}

static sw_status single(sw__draft *d, sw_dtype dtype, const void *v) {
    void *copy = sw_arena_copy(d->im->graph->arena, v, sw_dtype_size(dtype));
    return copy ? const_of(d, dtype, 0, 0, copy) : sw__onnx_nomem(d->im);
}

static sw_status tensor(sw__draft *d, const sw__onnx_attr *attr) {
    sw_tensor t;
    SW_TRY(sw__onnx_tensor(d->im, attr->t, d->proto->out[0], &t, NULL));
    const char *name = sw__onnx_name(d->im, d->scope, d->proto->out[0]);
    sw_value *value = name ? sw_graph_add_const(d->im->graph, name, &t) : NULL;
    return value ? sw__onnx_bind(d->im, d->scope, d->proto->out[0], value) : sw__onnx_nomem(d->im);
}

static sw_status value_of(sw__draft *d, const sw__onnx_attr *attr) {
    int n;
    const int64_t *ints;
    const float *floats;
    switch (attr->kind) {
    case SW__ATTR_TENSOR:
        return tensor(d, attr);
    case SW__ATTR_FLOAT:
        return single(d, SW_F32, &attr->f);
    case SW__ATTR_INT:
        return single(d, SW_I64, &attr->i);
    case SW__ATTR_FLOATS:
        SW_TRY(sw__onnx_floats(d->im, attr, &floats, &n));
        return const_of(d, SW_F32, 1, n, floats);
    case SW__ATTR_INTS:
        SW_TRY(sw__onnx_ints(d->im, attr, &ints, &n));
        return const_of(d, SW_I64, 1, n, ints);
    default:
        return sw__draft_fail(d, SW_E_UNSUPPORTED, "a constant given as '%s' is not supported", attr->name);
    }
}

sw_status sw__onnx_constant(sw__draft *d) {
    static const struct {
        const char *name;
        sw__attr_kind kind;
    } forms[] = {{"value", SW__ATTR_TENSOR},          {"value_float", SW__ATTR_FLOAT},
                 {"value_floats", SW__ATTR_FLOATS},   {"value_int", SW__ATTR_INT},
                 {"value_ints", SW__ATTR_INTS},       {"value_string", SW__ATTR_STRING},
                 {"value_strings", SW__ATTR_STRINGS}, {"sparse_value", SW__ATTR_SPARSE}};
    if (d->proto->n_in || d->proto->n_out != 1 || !*d->proto->out[0] || d->n_attrs != 1)
        return sw__draft_fail(d, SW_E_MODEL, "a Constant has no input, one output and one value; found: %d, %d and %d",
                              d->proto->n_in, d->proto->n_out, d->n_attrs);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(forms[i].name, d->attrs->name) != 0) continue;
        if (forms[i].kind == d->attrs->kind) return value_of(d, d->attrs);
        return sw__draft_fail(d, SW_E_MODEL, "the attribute '%s' is of type %s; expected: %s", forms[i].name,
                              sw__onnx_attr_kind_name(d->attrs->kind), sw__onnx_attr_kind_name(forms[i].kind));
    }
    return sw__draft_fail(d, SW_E_UNSUPPORTED, "the attribute '%.160s' is not supported", d->attrs->name);
}
