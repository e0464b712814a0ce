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

static void split(sw_net *net, sw_value *x, int axis, int n, sw_value *lengths, sw_value **parts) {
    memset(parts, 0, (size_t)n * sizeof *parts);
    sw_value *in[2] = {x, lengths};
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

void sw_net_split(sw_net *net, sw_value *x, int axis, int n, const int64_t *lengths, sw_value **parts) {
    split(net, x, axis, n, lengths ? sw_net_dims(net, lengths, n) : NULL, parts);
}

void sw_net_split_at(sw_net *net, sw_value *x, int axis, int n, sw_value *lengths, sw_value **parts) {
    split(net, lengths ? x : NULL, axis, n, lengths, parts);
}

sw_value *sw_net_softmax(sw_net *net, sw_value *x, int axis) {
    sw_value *out = SW_NET_APPLY(net, SW_OP_Softmax, x);
    if (out) sw_node_set_int(out->producer, "axis", axis);
    return out;
}

sw_value *sw_net_slice(sw_net *net, sw_value *x, int axis, int64_t start, int64_t end, int64_t step) {
    return SW_NET_APPLY(net, SW_OP_Slice, x, SW_NET_DIMS(net, start), SW_NET_DIMS(net, end), SW_NET_DIMS(net, axis),
                        SW_NET_DIMS(net, step));
}

sw_value *sw_net_unsqueeze(sw_net *net, sw_value *x, int axis) {
    return SW_NET_APPLY(net, SW_OP_Unsqueeze, x, SW_NET_DIMS(net, axis));
}

sw_value *sw_net_extent(sw_net *net, sw_value *x, int axis) {
    sw_value *out = SW_NET_APPLY(net, SW_OP_Shape, x);
    if (!out) return NULL;
    sw_node_set_int(out->producer, "start", axis);
    sw_node_set_int(out->producer, "end", axis + 1);
    return out;
}

sw_value *sw_net_steps(sw_net *net, sw_value *x, int axis, float offset) {
    sw_value *limit = SW_NET_APPLY(net, SW_OP_Squeeze, sw_net_extent(net, x, axis));
    limit = SW_NET_APPLY(net, SW_OP_Cast, limit);
    if (limit) sw_node_set_int(limit->producer, "to", 1); /* ONNX's number of float32 */
    sw_value *range = SW_NET_APPLY(net, SW_OP_Range, sw_net_scalar(net, 0), limit, sw_net_scalar(net, 1));
    return offset == 0 ? range : sw_net_add(net, range, sw_net_scalar(net, offset));
}

sw_value *sw_net_tokens(sw_net *net, sw_value *x) {
    sw_value *shape =
        sw_net_concat(net, 0, 3, (sw_value *[]){SW_NET_DIMS(net, 0), sw_net_extent(net, x, 1), SW_NET_DIMS(net, -1)});
    return sw_net_transpose(net, SW_NET_APPLY(net, SW_OP_Reshape, x, shape), (int64_t[]){0, 2, 1}, 3);
}

sw_value *sw_net_map(sw_net *net, sw_value *tokens, sw_value *like) {
    sw_value *shape = sw_net_concat(
        net, 0, 3, (sw_value *[]){SW_NET_DIMS(net, 0, -1), sw_net_extent(net, like, 2), sw_net_extent(net, like, 3)});
    return SW_NET_APPLY(net, SW_OP_Reshape, sw_net_transpose(net, tokens, (int64_t[]){0, 2, 1}, 3), shape);
}

sw_value *sw_net_pick(sw_net *net, sw_value *x, sw_value *index, int64_t channels) {
    sw_value *wide = SW_NET_APPLY(net, SW_OP_Expand, sw_net_unsqueeze(net, index, 2), SW_NET_DIMS(net, 1, 1, channels));
    sw_value *out = SW_NET_APPLY(net, SW_OP_GatherElements, x, wide);
    if (out) sw_node_set_int(out->producer, "axis", 1);
    return out;
}

void sw_net_top_k(sw_net *net, sw_value *x, sw_value *k, sw_value **values, sw_value **index) {
    sw_value *in[2] = {x, k}, *out[2] = {NULL, NULL};
    for (int i = 0; i < 2 && sw_net_ok(net) && x && k; i++) {
        out[i] = sw_graph_add_value(net->graph, net->scope, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
        if (!out[i]) sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
    }
    *values = out[0];
    *index = out[1];
    if (!out[0] || !out[1] || !sw_net_ok(net)) return;
    sw_node *node = sw_graph_add_node(net->graph, NULL, SW_OP_TopK, net->scope, 2, in, 2, out);
    if (node)
        sw_node_set_int(node, "axis", 1);
    else
        sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
}

sw_value *sw_net_resize_to(sw_net *net, sw_value *x, sw_value *size) {
    sw_value *in[4] = {x, NULL, NULL, size};
    if (!sw_net_ok(net) || !x || !size) return NULL;
    sw_value *out = sw_graph_apply(net->graph, NULL, SW_OP_Resize, net->scope, 4, in);
    if (!out || sw_node_set_string(net->graph, out->producer, "nearest_mode", "floor") != SW_OK ||
        sw_node_set_string(net->graph, out->producer, "coordinate_transformation_mode", "asymmetric") != SW_OK)
        return sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
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
    else if (++net->modules > SW_PT_MAX_MODULES)
        sw_net_fail(net, SW_E_LIMIT, NULL, "the model has more than %d modules", SW_PT_MAX_MODULES);
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
