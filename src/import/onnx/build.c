/* From the model as written to the graph: names, nodes, the model's inputs and outputs. */
#include <string.h>

#include "import/onnx/model.h"

/* ---- Names ----------------------------------------------------------------------------------------------- */

bool sw__onnx_find(const sw__scope *scope, const char *name, sw_value **value) {
    void *found;
    if (sw__names_get(&scope->values, name, &found)) {
        *value = found;
        return true;
    }
    if (!scope->parent || !sw__onnx_find(scope->parent, name, value)) return false;
    /* A body reads values of outer graphs through inputs of its own. Stand-ins (absent, dropped) are no values. */
    if (scope->capture && *value && ((*value)->name || sw__onnx_is_sequence(*value)))
        *value = sw__onnx_capture(scope->capture, *value);
    return true;
}

sw_status sw__onnx_bind(sw__onnx *im, sw__scope *scope, const char *name, sw_value *value) {
    bool fresh;
    if (sw__names_add(&scope->values, im->arena, name, value, &fresh) != SW_OK) return sw__onnx_nomem(im);
    if (!fresh) return sw__onnx_fail(im, SW_E_MODEL, "the value '%.160s' is made twice", name);
    return SW_OK;
}

const char *sw__onnx_free_name(sw__onnx *im, const char *stem, const char *name) {
    enum { LONG = 200 }; /* nested calls must not make names longer and longer */
    if (strlen(stem) > LONG) stem = "inlined";
    if (strlen(name) > LONG) name = "value";
    const char *made = sw_arena_printf(im->arena, "%s/%s", stem, name);
    const sw__names *reserved = &im->model.graph->body.made;
    while (made && (sw__names_get(reserved, made, NULL) || sw_graph_find_value(im->graph, made)))
        made = sw_arena_printf(im->arena, "%s/%s#%zu", stem, name, ++im->n_names);
    return made;
}

const char *sw__onnx_name(sw__onnx *im, const sw__scope *scope, const char *name) {
    void *renamed;
    if (sw__names_get(&scope->renamed, name, &renamed)) return renamed;
    return *scope->prefix ? sw__onnx_free_name(im, scope->prefix, name) : name;
}

sw_status sw__onnx_output(sw__draft *d, int i, sw_value **value) {
    *value = NULL;
    if (i >= d->proto->n_out || !*d->proto->out[i]) return SW_OK;
    const char *name = sw__onnx_name(d->im, d->scope, d->proto->out[i]);
    *value = name ? sw_graph_add_value(d->im->graph, name, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL) : NULL;
    return *value ? sw__onnx_bind(d->im, d->scope, d->proto->out[i], *value) : sw__onnx_nomem(d->im);
}

/* ---- Drafts ---------------------------------------------------------------------------------------------- */

sw_status sw__onnx_settle(sw__onnx *im, sw_node *node) {
    sw_status status = sw_node_infer(im->graph, node, NULL);
    if (status == SW_OK) status = sw_compute_known(&im->computer, im->graph, node);
    return status == SW_E_NOMEM ? sw__onnx_nomem(im)
                                : SW_OK; /* what else is wrong is told when the model is verified */
}

static sw_status resolve_attr(sw__draft *d, const sw__onnx_attr *attr) {
    if (!*attr->ref) {
        d->attrs[d->n_attrs++] = *attr;
        return SW_OK;
    }
    if (!d->scope->in_function)
        return sw__draft_fail(d, SW_E_MODEL, "the attribute '%.80s' refers to '%.80s' of a function, but is in none",
                              attr->name, attr->ref);
    for (int i = 0; i < d->scope->n_attrs; i++) {
        const sw__onnx_attr *given = &d->scope->attrs[i];
        if (strcmp(given->name, attr->ref) != 0) continue;
        if (attr->kind && attr->kind != given->kind)
            return sw__draft_fail(
                d, SW_E_MODEL, "the attribute '%.80s' is of type %s, but '%.80s' of the function is of type %s",
                attr->name, sw__onnx_attr_kind_name(attr->kind), attr->ref, sw__onnx_attr_kind_name(given->kind));
        if (given->g) return sw__draft_fail(d, SW_E_UNSUPPORTED, "a graph as attribute of a function is not supported");
        d->attrs[d->n_attrs] = *given;
        d->attrs[d->n_attrs++].name = attr->name;
        return SW_OK;
    }
    return SW_OK; /* not given and without default: absent */
}

static sw_status resolve_input(sw__draft *d, int i) {
    const char *name = d->proto->in[i];
    if (!*name) return SW_OK;
    if (!sw__onnx_find(d->scope, name, &d->in[i]))
        return sw__draft_fail(d, SW_E_MODEL, "input %d is '%.160s', which nothing makes", i + 1, name);
    if (d->in[i] == &d->im->dropped)
        return sw__draft_fail(d, SW_E_UNSUPPORTED, "input %d is '%.160s', which is only made in training", i + 1, name);
    return SW_OK;
}

/* Whether an operator of opset 1 is still the same in the first opset that we read. */
static bool is_unchanged(const char *op) {
    static const char *const ops[] = {
        "ArgMax",       "ArgMin",     "Constant",  "Conv",     "DepthToSpace", "GlobalAveragePool", "GlobalMaxPool",
        "LRN",          "LogSoftmax", "MaxPool",   "Not",      "ReduceMax",    "ReduceMean",        "ReduceMin",
        "ReduceSum",    "Shape",      "Size",      "Slice",    "Softmax",      "Softplus",          "Softsign",
        "SpaceToDepth", "Squeeze",    "Transpose", "Unsqueeze"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(ops[i], op) == 0) return true;
    return false;
}

static sw_status find_opset(sw__draft *d) {
    sw__onnx *im = d->im;
    for (size_t i = 0; i < d->scope->n_opsets; i++)
        if (strcmp(d->scope->opsets[i].domain, d->proto->domain) == 0) d->opset = d->scope->opsets[i].version;
    if (*d->proto->domain) return SW_OK;
    if (!d->opset) return sw__draft_fail(d, SW_E_MODEL, "the model does not say which opset it uses");
    if (d->opset >= 1 && d->opset < SW__ONNX_OPSET_MIN && is_unchanged(d->proto->op)) d->opset = SW__ONNX_OPSET_MIN;
    if (d->opset < SW__ONNX_OPSET_MIN)
        return sw__draft_fail(d, SW_E_UNSUPPORTED,
                              "the model uses opset %lld; Slipway reads %d to %d (onnx.version_converter can raise it)",
                              (long long)d->opset, SW__ONNX_OPSET_MIN, SW__ONNX_OPSET_MAX);
    if (d->opset > SW__ONNX_OPSET_MAX && !im->warned)
        sw_warn(im->diag, im->label, "the model uses opset %lld; Slipway knows up to %d and reads it as that",
                (long long)d->opset, SW__ONNX_OPSET_MAX);
    im->warned = im->warned || d->opset > SW__ONNX_OPSET_MAX;
    return SW_OK;
}

static sw_status fill_draft(sw__draft *d) {
    sw_arena *arena = d->im->arena;
    const sw__onnx_node *proto = d->proto;
    d->attrs = SW_ARENA_ARRAY(arena, sw__onnx_attr, proto->n_attrs);
    d->taken = SW_ARENA_ARRAY(arena, bool, proto->n_attrs);
    d->in = SW_ARENA_ARRAY(arena, sw_value *, proto->n_in + SW__DRAFT_EXTRA);
    if (!d->attrs || !d->taken || !d->in) return sw__onnx_nomem(d->im);
    for (int i = 0; i < proto->n_attrs; i++) SW_TRY(resolve_attr(d, &proto->attrs[i]));
    for (int i = 0; i < proto->n_in; i++) SW_TRY(resolve_input(d, i));
    d->n_in = proto->n_in;
    while (d->n_in && !d->in[d->n_in - 1]) d->n_in--;
    return SW_OK;
}

/* ---- Nodes ----------------------------------------------------------------------------------------------- */

static sw_status check_ports(const sw__draft *d, const sw_op_info *info, int n_out) {
    if (d->n_in < info->min_in || (info->max_in != SW_VARIADIC && d->n_in > info->max_in))
        return sw__draft_fail(d, SW_E_MODEL, "it has %d inputs; %s takes %d%s", d->n_in, info->name, info->min_in,
                              info->max_in > info->min_in ? " or more" : "");
    if (n_out > info->max_out && info->max_out != SW_VARIADIC)
        return sw__draft_fail(d, SW_E_MODEL, "it has %d outputs; %s gives %d", n_out, info->name, info->max_out);
    int needed = info->max_in == SW_VARIADIC ? d->n_in : info->min_in;
    for (int i = 0; i < needed; i++)
        if (!d->in[i]) return sw__draft_fail(d, SW_E_MODEL, "input %d is absent; %s needs it", i + 1, info->name);
    return SW_OK;
}

sw_status sw__onnx_emit(sw__draft *d) {
    const sw_op_info *info = sw_op_get(d->op);
    sw__onnx *im = d->im;
    int n_out = d->n_out, used = 0;
    while (n_out > info->min_out && !*d->proto->out[n_out - 1]) n_out--;
    SW_TRY(check_ports(d, info, n_out));
    sw_value **out = SW_ARENA_ARRAY(im->arena, sw_value *, n_out + 1);
    if (!out) return sw__onnx_nomem(im);
    for (int i = 0; i < n_out; i++) {
        SW_TRY(sw__onnx_output(d, i, &out[i]));
        used += out[i] != NULL;
    }
    for (int i = d->n_out; i < d->proto->n_out; i++)
        if (*d->proto->out[i]) SW_TRY(sw__onnx_bind(im, d->scope, d->proto->out[i], &im->dropped));
    if (!used) return SW_OK; /* nobody can read what it makes */
    const char *name = d->proto->name;
    if (*name && *d->scope->prefix) name = sw_arena_printf(im->arena, "%s/%.200s", d->scope->prefix, name);
    if (!name) return sw__onnx_nomem(im);
    sw_node *node = sw_graph_add_node(im->graph, NULL, d->op, name, d->n_in, d->in, n_out, out);
    if (!node) return sw__onnx_nomem(im);
    SW_TRY(sw__onnx_set_attrs(d, node));
    return sw__onnx_settle(im, node);
}

/* Identity of a constant is that constant, except where the graph needs a value of its own (outputs). */
static sw_status alias_constant(sw__draft *d, bool *done) {
    const sw__onnx_node *proto = d->proto;
    *done = *proto->domain == 0 && strcmp(proto->op, "Identity") == 0 && d->n_in == 1 && proto->n_out == 1 &&
            *proto->out[0] && sw_value_is_const(d->in[0]) && !sw__names_get(&d->scope->renamed, proto->out[0], NULL);
    return *done ? sw__onnx_bind(d->im, d->scope, proto->out[0], d->in[0]) : SW_OK;
}

static sw_status build_operator(sw__draft *d) {
    bool done;
    SW_TRY(sw__onnx_sequence_node(d, &done));
    if (done) return SW_OK;
    if (!*d->proto->domain && strcmp(d->proto->op, "Constant") == 0) return sw__onnx_constant(d);
    if (!*d->proto->domain && strcmp(d->proto->op, "If") == 0) return sw__onnx_if(d);
    if (!*d->proto->domain && strcmp(d->proto->op, "Loop") == 0) return sw__onnx_loop(d);
    if (!*d->proto->domain && strcmp(d->proto->op, "Scan") == 0) return sw__onnx_scan(d);
    SW_TRY(alias_constant(d, &done));
    if (done) return SW_OK;
    SW_TRY(sw__onnx_translate(d));
    if (d->op != SW_OP_COUNT) return d->done ? SW_OK : sw__onnx_emit(d);
    return sw__onnx_unknown(d, "");
}

static sw_status find_function(sw__onnx *im, const sw__onnx_node *node, sw__onnx_function **function) {
    *function = NULL;
    if (!im->model.n_functions) return SW_OK;
    const char *key = sw_arena_printf(im->arena, "%s\n%s\n%s", node->domain, node->op, node->overload);
    if (!key) return sw__onnx_nomem(im);
    void *found;
    if (sw__names_get(&im->functions, key, &found)) *function = found;
    return SW_OK;
}

static sw_status build_node(sw__onnx *im, sw__scope *scope, const sw__onnx_node *proto) {
    if (*scope->prefix) { /* what is inlined can be far more than what is written */
        SW_TRY(sw__onnx_count_inlined(im, proto->n_in + proto->n_out + proto->n_attrs));
        SW_TRY(sw__onnx_charge(im, proto->text));
    }
    sw__draft d = {.im = im, .scope = scope, .proto = proto, .op = SW_OP_COUNT, .n_out = proto->n_out};
    sw__onnx_function *function;
    SW_TRY(find_function(im, proto, &function));
    SW_TRY(fill_draft(&d));
    if (function) return sw__onnx_call(&d, function);
    SW_TRY(find_opset(&d));
    return build_operator(&d);
}

sw_status sw__onnx_nodes(sw__onnx *im, sw__scope *scope, sw__onnx_body *body, const char *what) {
    SW_TRY(sw__onnx_sort(im, body, what));
    for (size_t i = 0; i < body->n; i++) SW_TRY(build_node(im, scope, &body->nodes[body->order ? body->order[i] : i]));
    return SW_OK;
}

sw_status sw__onnx_constants(sw__onnx *im, sw__scope *scope, const sw__onnx_graph *graph) {
    for (size_t i = 0; i < graph->n_constants; i++) {
        sw_tensor tensor;
        const char *name;
        SW_TRY(sw__onnx_tensor(im, graph->constants[i], "", &tensor, &name));
        if (!*name) return sw__onnx_fail(im, SW_E_MODEL, "initializer %zu has no name", i + 1);
        const char *unique = *scope->prefix ? sw__onnx_free_name(im, scope->prefix, name) : name;
        sw_value *value = unique ? sw_graph_add_const(im->graph, unique, &tensor) : NULL;
        if (!value) return sw__onnx_nomem(im);
        SW_TRY(sw__onnx_bind(im, scope, name, value));
    }
    return SW_OK;
}

/* ---- Inputs and outputs of the model --------------------------------------------------------------------- */

static sw_status read_dim(sw__onnx *im, sw_pb r, int64_t *dim) {
    *dim = SW_DIM_UNKNOWN;
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        if (f.number == 1) {
            if (!sw_pb_expect(&r, &f, SW_PB_VARINT)) return r.status;
            *dim = sw_pb_int(&f) < 0 ? SW_DIM_UNKNOWN : sw_pb_int(&f);
        } else if (f.number == 2) {
            if (!sw_pb_text(&r, &f)) return r.status;
            const char *name = sw_arena_strndup(im->arena, f.size ? (const char *)f.data : "", f.size);
            if (!name) return sw__onnx_nomem(im);
            *dim = *name ? sw_graph_symbol(im->graph, name) : SW_DIM_UNKNOWN;
        }
    }
    return r.status;
}

static sw_status read_shape(sw__onnx *im, sw_pb r, const char *name, sw_tensor *type) {
    sw_pb_field f;
    type->rank = 0;
    while (sw_pb_next(&r, &f)) {
        if (f.number != 1) continue;
        if (type->rank == SW_MAX_RANK)
            return sw__onnx_fail(im, SW_E_UNSUPPORTED, "input '%.160s' has more than %d dimensions", name, SW_MAX_RANK);
        SW_TRY(read_dim(im, sw_pb_sub(&r, &f), &type->dims[type->rank++]));
    }
    return r.status;
}

static sw_status read_tensor_type(sw__onnx *im, sw_pb r, const char *name, sw_tensor *type) {
    int64_t number = 0;
    char what[200];
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        if (f.number == 1) {
            if (!sw_pb_expect(&r, &f, SW_PB_VARINT)) return r.status;
            number = sw_pb_int(&f);
        }
        if (f.number == 2) SW_TRY(read_shape(im, sw_pb_sub(&r, &f), name, type));
    }
    if (r.status != SW_OK) return r.status;
    snprintf(what, sizeof what, "input '%.160s'", name);
    return sw__onnx_dtype(im, number, what, &type->dtype);
}

sw_status sw__onnx_read_type(sw__onnx *im, const sw__onnx_port *port, sw_tensor *type) {
    static const char *const others[] = {
        [4] = "a sequence", [5] = "a map", [8] = "a sparse tensor", [9] = "an optional"};
    *type = (sw_tensor){.rank = SW_RANK_UNKNOWN};
    sw_pb r = sw_pb_make(port->type.data, port->type.size, im->label, im->diag);
    r.offset = port->type.offset;
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        if (f.number == 1)
            SW_TRY(read_tensor_type(im, sw_pb_sub(&r, &f), port->name, type));
        else if (f.number < sizeof others / sizeof *others && others[f.number])
            return sw__onnx_fail(im, SW_E_UNSUPPORTED, "input '%.160s' is %s, which Slipway does not support",
                                 port->name, others[f.number]);
    }
    if (r.status == SW_OK && type->dtype == SW_DTYPE_NONE)
        return sw__onnx_fail(im, SW_E_MODEL, "input '%.160s' has no type", port->name);
    return r.status;
}

/* Inputs that an initializer gives a value are constants, no inputs (IR version 3, and writers with its habits). */
static sw_status build_inputs(sw__onnx *im, sw__scope *scope) {
    const sw__onnx_graph *graph = im->model.graph;
    sw_value **inputs = SW_ARENA_ARRAY(im->arena, sw_value *, graph->n_inputs);
    if (!inputs) return sw__onnx_nomem(im);
    int n = 0;
    for (size_t i = 0; i < graph->n_inputs; i++) {
        const sw__onnx_port *port = &graph->inputs[i];
        sw_value *known;
        sw_tensor type;
        if (!*port->name) return sw__onnx_fail(im, SW_E_MODEL, "input %zu has no name", i + 1);
        if (sw__onnx_find(scope, port->name, &known) && known->type.data) continue;
        SW_TRY(sw__onnx_read_type(im, port, &type));
        if (n == SW__ONNX_MAX_IO)
            return sw__onnx_fail(im, SW_E_LIMIT, "the model has more than %d inputs", SW__ONNX_MAX_IO);
        sw_value *value = sw_graph_add_value(im->graph, port->name, type.dtype, type.rank, type.dims);
        if (!value) return sw__onnx_nomem(im);
        SW_TRY(sw__onnx_bind(im, scope, port->name, value));
        inputs[n++] = value;
    }
    return sw_graph_set_inputs(im->graph, inputs, n) == SW_OK ? SW_OK : sw__onnx_nomem(im);
}

/* Values that are outputs keep their names, and no constant takes their place. */
static sw_status reserve_outputs(sw__onnx *im, sw__scope *scope) {
    const sw__onnx_graph *graph = im->model.graph;
    for (size_t i = 0; i < graph->n_outputs; i++) {
        const char *name = graph->outputs[i].name;
        bool fresh;
        if (sw__names_add(&scope->renamed, im->arena, name, (void *)(uintptr_t)name, &fresh) != SW_OK)
            return sw__onnx_nomem(im);
        if (!fresh) return sw__onnx_fail(im, SW_E_MODEL, "the output '%.160s' is listed twice", name);
    }
    return SW_OK;
}

static sw_status build_outputs(sw__onnx *im, const sw__scope *scope) {
    const sw__onnx_graph *graph = im->model.graph;
    if (!graph->n_outputs) return sw__onnx_fail(im, SW_E_MODEL, "the graph has no outputs");
    sw_value **outputs = SW_ARENA_ARRAY(im->arena, sw_value *, graph->n_outputs);
    if (!outputs) return sw__onnx_nomem(im);
    for (size_t i = 0; i < graph->n_outputs; i++) {
        const char *name = graph->outputs[i].name;
        if (!sw__onnx_find(scope, name, &outputs[i]) || !outputs[i] || outputs[i] == &im->dropped)
            return sw__onnx_fail(im, SW_E_MODEL, "output %zu is '%.160s', which nothing makes", i + 1, name);
        if (sw__onnx_is_sequence(outputs[i]))
            return sw__onnx_fail(im, SW_E_UNSUPPORTED,
                                 "the output '%.160s' is a sequence, which Slipway does not support", name);
    }
    return sw_graph_set_outputs(im->graph, outputs, (int)graph->n_outputs) == SW_OK ? SW_OK : sw__onnx_nomem(im);
}

/* ---- The model ------------------------------------------------------------------------------------------- */

static sw_status check_version(sw__onnx *im) {
    int64_t version = im->model.ir_version;
    if (version < SW__ONNX_IR_MIN)
        return sw__onnx_fail(im, SW_E_UNSUPPORTED, "the model has IR version %lld; Slipway reads %d to %d",
                             (long long)version, SW__ONNX_IR_MIN, SW__ONNX_IR_MAX);
    if (version > SW__ONNX_IR_MAX)
        sw_warn(im->diag, im->label, "the model has IR version %lld; Slipway knows up to %d and reads it as that",
                (long long)version, SW__ONNX_IR_MAX);
    return SW_OK;
}

static sw_status describe(sw__onnx *im) {
    const sw__onnx_model *model = &im->model;
    sw_graph *graph = im->graph;
    int64_t opset = 0;
    for (size_t i = 0; i < model->n_opsets; i++)
        if (!*model->opsets[i].domain) opset = model->opsets[i].version;
    graph->name = sw_arena_strdup(graph->arena, model->graph->name);
    graph->producer = sw_arena_printf(graph->arena, "%s%s%s", model->producer_name, *model->producer_version ? " " : "",
                                      model->producer_version);
    graph->format = sw_arena_printf(graph->arena, "ONNX, opset %lld", (long long)opset);
    if (!graph->name || !graph->producer || !graph->format) return sw__onnx_nomem(im);
    for (size_t i = 0; i < model->n_meta; i++) {
        if (!*model->meta[i].key) continue;
        if (sw_graph_set_meta(graph, model->meta[i].key, model->meta[i].value) != SW_OK) return sw__onnx_nomem(im);
    }
    return SW_OK;
}

static sw_status list_functions(sw__onnx *im) {
    for (size_t i = 0; i < im->model.n_functions; i++) {
        sw__onnx_function *fn = &im->model.functions[i];
        const char *key = sw_arena_printf(im->arena, "%s\n%s\n%s", fn->domain, fn->name, fn->overload);
        bool fresh;
        if (!key || sw__names_add(&im->functions, im->arena, key, fn, &fresh) != SW_OK) return sw__onnx_nomem(im);
        if (!fresh) return sw__onnx_fail(im, SW_E_MODEL, "the function '%.160s' is defined twice", fn->name);
    }
    return SW_OK;
}

sw_status sw__onnx_build(sw__onnx *im) {
    sw__onnx_graph *graph = im->model.graph;
    sw__scope scope = {.opsets = im->model.opsets, .n_opsets = im->model.n_opsets, .prefix = ""};
    SW_TRY(check_version(im));
    SW_TRY(describe(im));
    SW_TRY(list_functions(im));
    SW_TRY(sw__onnx_constants(im, &scope, graph));
    SW_TRY(build_inputs(im, &scope));
    SW_TRY(reserve_outputs(im, &scope));
    SW_TRY(sw__onnx_nodes(im, &scope, &graph->body, "the graph"));
    SW_TRY(sw__onnx_report_unknown(im));
    return build_outputs(im, &scope);
}
