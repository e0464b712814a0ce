#include "import/pt/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *sw_net_fail(sw_net *net, sw_status status, const char *hint, const char *fmt, ...) {
    if (net->status != SW_OK) return NULL;
    char text[512], where[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(where, sizeof where, "%.300s%s%s", net->label, *net->scope ? ": " : "", net->scope);
    net->status = sw_fail(net->diag, status, where, hint, "%s", text);
    return NULL;
}

/* ---- Records ------------------------------------------------------------------------------------------------------- */

const char *sw_net_class(const sw_pickle *module) {
    if (!module || module->type != SW_PICKLE_OBJECT) return "";
    const char *dot = strrchr(module->text, '.');
    return dot ? dot + 1 : module->text;
}

const sw_pickle *sw_net_child(const sw_pickle *module, const char *name) {
    const sw_pickle *child = sw_pickle_get(sw_pickle_get(module, "_modules"), name);
    return child && child->type == SW_PICKLE_OBJECT ? child : NULL;
}

const sw_pickle *sw_net_item(const sw_pickle *module, size_t i) {
    const sw_pickle *modules = sw_pickle_get(module, "_modules");
    return modules && i < modules->n_pairs / 2 ? modules->pairs[2 * i + 1] : NULL;
}

size_t sw_net_count(const sw_pickle *module) {
    const sw_pickle *modules = sw_pickle_get(module, "_modules");
    return modules ? modules->n_pairs / 2 : 0;
}

static bool is_int(const sw_pickle *p) {
    return p && (p->type == SW_PICKLE_INT || p->type == SW_PICKLE_BOOL);
}

int64_t sw_net_int(const sw_pickle *module, const char *name, int64_t fallback) {
    const sw_pickle *p = sw_pickle_get(module, name);
    return is_int(p) ? p->number : fallback;
}

double sw_net_float(const sw_pickle *module, const char *name, double fallback) {
    const sw_pickle *p = sw_pickle_get(module, name);
    return p && p->type == SW_PICKLE_FLOAT ? p->real : is_int(p) ? (double)p->number : fallback;
}

bool sw_net_ints(const sw_pickle *module, const char *name, int64_t *v, int n) {
    const sw_pickle *p = sw_pickle_get(module, name);
    bool spread = is_int(p);
    if (!spread && (!p || (p->type != SW_PICKLE_TUPLE && p->type != SW_PICKLE_LIST) || p->n_items != (size_t)n))
        return false;
    for (int i = 0; i < n; i++) {
        const sw_pickle *item = spread ? p : p->items[i];
        if (!is_int(item)) return false;
        v[i] = item->number;
    }
    return true;
}

/* ---- Constants ----------------------------------------------------------------------------------------------------- */

sw_value *sw_net_param(sw_net *net, const sw_pickle *module, const char *name) {
    const sw_pickle *record = sw_pickle_get(sw_pickle_get(module, "_parameters"), name);
    if (!record) record = sw_pickle_get(sw_pickle_get(module, "_buffers"), name);
    char full[320];
    snprintf(full, sizeof full, "%s.%s", net->scope, name);
    return sw_net_tensor(net, record, full);
}

sw_value *sw_net_floats(sw_net *net, const char *name, const float *v, int rank, const int64_t *dims) {
    if (!sw_net_ok(net)) return NULL;
    sw_value *value = sw_graph_new_const(net->graph, name, SW_F32, rank, dims);
    if (!value) return sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
    memcpy(value->type.data, v, (size_t)sw_tensor_bytes(&value->type));
    return value;
}

sw_value *sw_net_scalar(sw_net *net, float v) {
    return sw_net_floats(net, "scalar", &v, 0, NULL);
}

sw_value *sw_net_dims(sw_net *net, const int64_t *v, int n) {
    if (!sw_net_ok(net)) return NULL;
    sw_value *value = sw_graph_const_ints(net->graph, "dims", v, n);
    return value ? value : sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
}

/* ---- Nodes --------------------------------------------------------------------------------------------------------- */

sw_value *sw_net_apply(sw_net *net, sw_op op, int n, sw_value *const *in) {
    if (!sw_net_ok(net)) return NULL;
    for (int i = 0; i < n; i++)
        if (!in[i]) return sw_net_fail(net, SW_E_MODEL, NULL, "a part of the module is missing");
    sw_value *out = sw_graph_apply(net->graph, NULL, op, net->scope, n, in);
    return out ? out : sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
}

sw_value *sw_net_concat(sw_net *net, int axis, int n, sw_value *const *in) {
    sw_value *out = sw_net_apply(net, SW_OP_Concat, n, in);
    if (out) sw_node_set_int(out->producer, "axis", axis);
    return out;
}

sw_value *sw_net_add(sw_net *net, sw_value *a, sw_value *b) {
    return SW_NET_APPLY(net, SW_OP_Add, a, b);
}
sw_value *sw_net_mul(sw_net *net, sw_value *a, sw_value *b) {
    return SW_NET_APPLY(net, SW_OP_Mul, a, b);
}

sw_value *sw_net_reshape(sw_net *net, sw_value *x, const int64_t *dims, int n) {
    return SW_NET_APPLY(net, SW_OP_Reshape, x, sw_net_dims(net, dims, n));
}

sw_value *sw_net_transpose(sw_net *net, sw_value *x, const int64_t *perm, int n) {
    sw_value *out = SW_NET_APPLY(net, SW_OP_Transpose, x);
    if (out && sw_node_set_ints(net->graph, out->producer, "perm", perm, n) != SW_OK)
        return sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
    return out;
}

void sw_net_split(sw_net *net, sw_value *x, int axis, int n, const int64_t *lengths, sw_value **parts) {
    memset(parts, 0, (size_t)n * sizeof *parts);
    sw_value *in[2] = {x, lengths ? sw_net_dims(net, lengths, n) : NULL};
    if (!x || !sw_net_ok(net)) return;
    for (int i = 0; i < n; i++) {
        parts[i] = sw_graph_add_value(net->graph, net->scope, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
        if (!parts[i]) {
            sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
            return;
        }
    }
    sw_node *node = sw_graph_add_node(net->graph, NULL, SW_OP_Split, net->scope, lengths ? 2 : 1, in, n, parts);
    if (!node) {
        sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
        return;
    }
    sw_node_set_int(node, "axis", axis);
    if (!lengths) sw_node_set_int(node, "num_outputs", n);
}

sw_value *sw_net_softmax(sw_net *net, sw_value *x, int axis) {
    sw_value *out = SW_NET_APPLY(net, SW_OP_Softmax, x);
    if (out) sw_node_set_int(out->producer, "axis", axis);
    return out;
}

/* ---- Modules ------------------------------------------------------------------------------------------------------- */

static sw_net_builder find_builder(const char *name) {
    const sw_net_class_row *tables[] = {sw__pt_layers, sw__pt_blocks, sw__pt_attention};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (const sw_net_class_row *row = tables[t]; row->name; row++)
            if (strcmp(row->name, name) == 0) return row->build;
    return NULL;
}

sw_value *sw_net_module(sw_net *net, const sw_pickle *module, const char *name, sw_value *x) {
    if (!sw_net_ok(net) || !x) return NULL;
    size_t length = strlen(net->scope);
    snprintf(net->scope + length, sizeof net->scope - length, "%s%s", length ? "." : "", name);
    sw_net_builder build = find_builder(sw_net_class(module));
    sw_value *out = NULL;
    if (!build)
        sw_net_fail(net, SW_E_UNSUPPORTED, "export the model to ONNX and use that file",
                    "the module is of the unknown class '%.128s'",
                    module && module->type == SW_PICKLE_OBJECT ? module->text : "(none)");
    else if (net->depth >= SW_PT_MAX_DEPTH)
        sw_net_fail(net, SW_E_MODEL, NULL, "the modules nest too deep");
    else {
        net->depth++;
        out = build(net, module, x);
        net->depth--;
        if (!out) sw_net_fail(net, SW_E_MODEL, NULL, "the module lacks a part that its class needs");
    }
    net->scope[length] = 0;
    return out;
}

sw_value *sw_net_sub(sw_net *net, const sw_pickle *module, const char *name, sw_value *x) {
    const sw_pickle *child = sw_net_child(module, name);
    if (!child)
        return sw_net_fail(net, SW_E_MODEL, NULL, "the module %.64s has no part '%s'", sw_net_class(module), name);
    return sw_net_module(net, child, name, x);
}

sw_value *sw_net_sequence(sw_net *net, const sw_pickle *sequence, sw_value *x) {
    for (size_t i = 0; i < sw_net_count(sequence); i++) {
        char name[24];
        snprintf(name, sizeof name, "%zu", i);
        x = sw_net_module(net, sw_net_item(sequence, i), name, x);
    }
    return x;
}
