/* Attributes of nodes: from the model's form to that of the table. */
#include <string.h>

#include "base/str.h"
#include "import/onnx/model.h"

const char *sw__onnx_attr_kind_name(sw__attr_kind kind) {
    static const char *const names[SW__ATTR_KINDS] = {"attribute without value",
                                                      "FLOAT",
                                                      "INT",
                                                      "STRING",
                                                      "TENSOR",
                                                      "GRAPH",
                                                      "FLOATS",
                                                      "INTS",
                                                      "STRINGS",
                                                      "TENSORS",
                                                      "GRAPHS",
                                                      "SPARSE_TENSOR",
                                                      "SPARSE_TENSORS",
                                                      "TYPE_PROTO",
                                                      "TYPE_PROTOS"};
    return names[kind];
}

/* Elements of a repeated field of the attribute, at most; the exact number comes with reading. */
static sw_status count_list(sw__onnx *im, const sw__onnx_attr *attr, uint32_t number, sw_pb_wire wire, size_t *bound) {
    SW_TRY(sw__onnx_charge(im, attr->message.size));
    sw_pb r = sw_pb_make(attr->message.data, attr->message.size, im->label, im->diag);
    r.offset = attr->message.offset;
    sw_pb_field f, value;
    *bound = 0;
    while (sw_pb_next(&r, &f)) {
        if (f.number != number) continue;
        sw_pb_values values = sw_pb_repeated(&r, &f, wire);
        while (sw_pb_value(&values, &value)) ++*bound;
    }
    if (r.status != SW_OK) return r.status;
    if (*bound > SW__ONNX_MAX_LIST)
        return sw__onnx_fail(im, SW_E_LIMIT, "attribute '%.160s' has %zu elements; %d are allowed", attr->name, *bound,
                             SW__ONNX_MAX_LIST);
    return SW_OK;
}

sw_status sw__onnx_ints(sw__onnx *im, const sw__onnx_attr *attr, const int64_t **v, int *n) {
    size_t count, at = 0;
    SW_TRY(count_list(im, attr, 8, SW_PB_VARINT, &count));
    SW_TRY(sw__onnx_charge(im, count * sizeof(int64_t)));
    int64_t *list = SW_ARENA_ARRAY(im->graph->arena, int64_t, count);
    if (!list) return sw__onnx_nomem(im);
    sw_pb r = sw_pb_make(attr->message.data, attr->message.size, im->label, im->diag);
    sw_pb_field f, value;
    while (sw_pb_next(&r, &f)) {
        if (f.number != 8) continue;
        sw_pb_values values = sw_pb_repeated(&r, &f, SW_PB_VARINT);
        while (sw_pb_value(&values, &value)) list[at++] = sw_pb_int(&value);
    }
    *v = list;
    *n = (int)at;
    return SW_OK;
}

sw_status sw__onnx_floats(sw__onnx *im, const sw__onnx_attr *attr, const float **v, int *n) {
    size_t count, at = 0;
    SW_TRY(count_list(im, attr, 7, SW_PB_FIXED32, &count));
    SW_TRY(sw__onnx_charge(im, count * sizeof(float)));
    float *list = SW_ARENA_ARRAY(im->graph->arena, float, count);
    if (!list) return sw__onnx_nomem(im);
    sw_pb r = sw_pb_make(attr->message.data, attr->message.size, im->label, im->diag);
    sw_pb_field f, value;
    while (sw_pb_next(&r, &f)) {
        if (f.number != 7) continue;
        sw_pb_values values = sw_pb_repeated(&r, &f, SW_PB_FIXED32);
        while (sw_pb_value(&values, &value)) list[at++] = sw_pb_float(&value);
    }
    *v = list;
    *n = (int)at;
    return SW_OK;
}

sw_status sw__onnx_string(sw__onnx *im, const sw__onnx_attr *attr, const char *where, const char **text) {
    const char *bytes = (const char *)attr->s.data;
    if (memchr(attr->s.size ? bytes : "", 0, attr->s.size) || !sw_str_is_utf8(bytes, attr->s.size))
        return sw__onnx_fail(im, SW_E_MODEL, "%s: the attribute '%.160s' is no text", where, attr->name);
    SW_TRY(sw__onnx_charge(im, attr->s.size));
    *text = attr->s.size ? sw_arena_strndup(im->graph->arena, bytes, attr->s.size) : "";
    return *text ? SW_OK : sw__onnx_nomem(im);
}

sw_status sw__onnx_joined(sw__onnx *im, const sw__onnx_attr *attr, const char **text) {
    size_t size = 0;
    SW_TRY(sw__onnx_charge(im, attr->message.size));
    char *joined = SW_ARENA_ARRAY(im->graph->arena, char, attr->message.size + 1);
    if (!joined) return sw__onnx_nomem(im);
    sw_pb r = sw_pb_make(attr->message.data, attr->message.size, im->label, im->diag);
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        if (f.number != 9) continue;
        if (!sw_pb_text(&r, &f)) return r.status;
        if (size) joined[size++] = ','; /* no longer than the field's own head */
        if (f.size) memcpy(joined + size, f.data, f.size);
        size += f.size;
    }
    joined[size] = 0;
    *text = joined;
    return r.status;
}

sw_status sw__onnx_take(sw__draft *d, const char *name, sw__attr_kind kind, const sw__onnx_attr **attr) {
    *attr = NULL;
    for (int i = 0; i < d->n_attrs; i++) {
        if (strcmp(d->attrs[i].name, name) != 0) continue;
        if (d->attrs[i].kind != kind)
            return sw__draft_fail(d, SW_E_MODEL, "the attribute '%s' is of type %s; expected: %s", name,
                                  sw__onnx_attr_kind_name(d->attrs[i].kind), sw__onnx_attr_kind_name(kind));
        d->taken[i] = true;
        *attr = &d->attrs[i];
    }
    return SW_OK;
}

static sw_status set_tensor(sw__draft *d, sw_attr *to, const sw__onnx_attr *from) {
    sw_tensor *tensor = SW_ARENA_NEW(d->im->graph->arena, sw_tensor);
    if (!tensor) return sw__onnx_nomem(d->im);
    SW_TRY(sw__onnx_tensor(d->im, from->t, from->name, tensor, NULL));
    to->t = tensor;
    return SW_OK;
}

static sw_status set_attr(sw__draft *d, sw_attr *to, const sw_attr_def *def, const sw__onnx_attr *from) {
    static const sw__attr_kind expected[] = {
        [SW_ATTR_INT] = SW__ATTR_INT,   [SW_ATTR_FLOAT] = SW__ATTR_FLOAT,   [SW_ATTR_STRING] = SW__ATTR_STRING,
        [SW_ATTR_INTS] = SW__ATTR_INTS, [SW_ATTR_FLOATS] = SW__ATTR_FLOATS, [SW_ATTR_TENSOR] = SW__ATTR_TENSOR,
        [SW_ATTR_BODY] = SW__ATTR_GRAPH};
    if (from->kind != expected[def->type])
        return sw__draft_fail(d, SW_E_MODEL, "the attribute '%s' is of type %s; expected: %s", def->name,
                              sw__onnx_attr_kind_name(from->kind), sw__onnx_attr_kind_name(expected[def->type]));
    to->set = true;
    switch (def->type) {
    case SW_ATTR_INT:
        to->i = from->i;
        return SW_OK;
    case SW_ATTR_FLOAT:
        to->f = from->f;
        return SW_OK;
    case SW_ATTR_STRING:
        return sw__onnx_string(d->im, from, d->proto->op, &to->s);
    case SW_ATTR_INTS:
        return sw__onnx_ints(d->im, from, &to->ints.v, &to->ints.n);
    case SW_ATTR_FLOATS:
        return sw__onnx_floats(d->im, from, &to->floats.v, &to->floats.n);
    case SW_ATTR_TENSOR:
        return set_tensor(d, to, from);
    case SW_ATTR_BODY: /* built by body.c */
        return SW_OK;
    }
    return SW_E_INTERNAL;
}

/* Attributes that change nothing: leftovers of old opsets and of training, notes of tools. */
static bool is_harmless(const sw__onnx_attr *attr) {
    static const char *const names[] = {"consumed_inputs", "is_test", "seed", "doc_string"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(attr->name, names[i]) == 0) return true;
    return false;
}

sw_status sw__onnx_check_taken(sw__draft *d) {
    for (int i = 0; i < d->n_attrs; i++)
        if (!d->taken[i] && !is_harmless(&d->attrs[i]))
            return sw__draft_fail(d, SW_E_UNSUPPORTED, "the attribute '%.160s' is not supported", d->attrs[i].name);
    return SW_OK;
}

static int find_def(const sw_op_info *info, const char *name) {
    for (int i = 0; i < info->n_attrs; i++)
        if (strcmp(info->attrs[i].name, name) == 0) return i;
    return -1;
}

sw_status sw__onnx_set_attrs(sw__draft *d, sw_node *node) {
    const sw_op_info *info = sw_op_get(node->op);
    for (int i = 0; i < d->n_attrs; i++) {
        if (d->taken[i]) continue;
        int at = find_def(info, d->attrs[i].name);
        if (at >= 0)
            SW_TRY(set_attr(d, &node->attrs[at], &info->attrs[at], &d->attrs[i]));
        else if (!is_harmless(&d->attrs[i]))
            return sw__draft_fail(d, SW_E_UNSUPPORTED, "the attribute '%.160s' is not supported", d->attrs[i].name);
    }
    for (int i = 0; i < d->n_set; i++) {
        sw_attr *to = &node->attrs[find_def(info, d->set[i].name)];
        to->set = true;
        if (d->set[i].s)
            to->s = d->set[i].s;
        else
            to->i = d->set[i].i;
    }
    for (int i = 0; i < info->n_attrs; i++)
        if (info->attrs[i].required && !node->attrs[i].set)
            return sw__draft_fail(d, SW_E_MODEL, "the attribute '%s' is missing", info->attrs[i].name);
    return SW_OK;
}
