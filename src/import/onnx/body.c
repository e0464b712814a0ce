/* Graphs that stay graphs: branches of an If that data decides, bodies of Loop and Scan. Each becomes a graph of its
 * own; what it reads of outer scopes becomes inputs of it, and of the node. */
#include <string.h>

#include "import/onnx/model.h"

struct sw__capture {
    sw_graph *graph;           /* of the body */
    sw_value **outer, **inner; /* what is captured, and the input that stands for it */
    int n, cap;
    sw_arena *arena;
    bool failed; /* out of memory, or more than a node may have */
};

/* Dims of another graph mean nothing here, unless they are numbers. */
static void foreign_type(const sw_tensor *from, sw_tensor *to) {
    *to = *from;
    to->data = NULL;
    for (int i = 0; i < to->rank; i++)
        if (to->dims[i] < 0) to->dims[i] = SW_DIM_UNKNOWN;
}

static bool grow(sw__capture *c) {
    if (c->n < c->cap) return true;
    int cap = c->cap ? 2 * c->cap : 8;
    sw_value **outer = SW_ARENA_ARRAY(c->arena, sw_value *, cap), **inner = SW_ARENA_ARRAY(c->arena, sw_value *, cap);
    if (!outer || !inner || cap > SW__ONNX_MAX_PORTS) return false;
    if (c->n)
        memcpy(outer, c->outer, (size_t)c->n * sizeof *outer), memcpy(inner, c->inner, (size_t)c->n * sizeof *inner);
    c->outer = outer, c->inner = inner, c->cap = cap;
    return true;
}

/* The same sequence of what stands for its tensors within. */
static sw_value *capture_items(sw__capture *c, const sw_value *outer) {
    sw_value **from, **items;
    int n = sw__onnx_items(outer, &from);
    sw_value *inner = sw__onnx_new_sequence(c->arena, n, &items);
    for (int i = 0; inner && i < n; i++)
        if (!(items[i] = sw__onnx_capture(c, from[i]))) inner = NULL;
    c->failed |= !inner;
    return inner;
}

sw_value *sw__onnx_capture(sw__capture *c, sw_value *outer) {
    if (sw__onnx_is_sequence(outer)) return capture_items(c, outer);
    for (int i = 0; i < c->n; i++)
        if (c->outer[i] == outer) return c->inner[i];
    sw_tensor type;
    foreign_type(&outer->type, &type);
    sw_value *inner = sw_value_is_const(outer)
                          ? sw_graph_add_const(c->graph, outer->name, &outer->type)
                          : sw_graph_add_value(c->graph, outer->name, type.dtype, type.rank, type.dims);
    if (!inner || !grow(c)) {
        c->failed = true;
        return NULL;
    }
    c->outer[c->n] = outer, c->inner[c->n++] = inner; /* constants, too, so that each is there once */
    return inner;
}

/* A body on its way. */
typedef struct builder {
    sw__draft *d;
    sw__onnx_graph *proto;
    sw__scope scope;
    sw__capture capture;
    sw_value **formals, **outputs; /* its own inputs; results */
    int n_formals, n_outputs;
} builder;

static sw_status open_body(builder *b, sw_graph *graph) {
    sw__draft *d = b->d;
    b->capture = (sw__capture){.graph = graph, .arena = d->im->arena};
    b->scope = (sw__scope){.parent = d->scope,
                           .capture = &b->capture,
                           .opsets = d->scope->opsets,
                           .n_opsets = d->scope->n_opsets,
                           .in_function = d->scope->in_function,
                           .attrs = d->scope->attrs,
                           .n_attrs = d->scope->n_attrs,
                           .prefix = d->scope->prefix,
                           .depth = d->scope->depth + 1};
    if (b->scope.depth > SW__ONNX_MAX_DEPTH)
        return sw__draft_fail(d, SW_E_LIMIT, "calls and branches are nested more than %d deep", SW__ONNX_MAX_DEPTH);
    b->formals = SW_ARENA_ARRAY(d->im->arena, sw_value *, b->proto->n_inputs + 1);
    b->outputs = SW_ARENA_ARRAY(d->im->arena, sw_value *, b->proto->n_outputs + 1);
    return b->formals && b->outputs ? SW_OK : sw__onnx_nomem(d->im);
}

static sw_status add_formals(builder *b, const sw_tensor *types, int n) {
    if (b->proto->n_inputs != (size_t)n)
        return sw__draft_fail(b->d, SW_E_MODEL, "its body has %zu inputs; expected: %d", b->proto->n_inputs, n);
    for (int i = 0; i < n; i++) {
        const char *name = b->proto->inputs[i].name;
        sw_tensor type;
        foreign_type(&types[i], &type);
        b->formals[i] = sw_graph_add_value(b->capture.graph, name, type.dtype, type.rank, type.dims);
        if (!b->formals[i]) return sw__onnx_nomem(b->d->im);
        SW_TRY(sw__onnx_bind(b->d->im, &b->scope, name, b->formals[i]));
    }
    b->n_formals = n;
    return SW_OK;
}

static bool is_taken(const builder *b, const sw_value *value) {
    for (int i = 0; i < b->n_outputs; i++)
        if (b->outputs[i] == value) return true;
    return false;
}

/* Results are values of the graph's own, each once: others go through an Identity. */
static sw_status add_outputs(builder *b) {
    for (size_t i = 0; i < b->proto->n_outputs; i++) {
        const char *name = b->proto->outputs[i].name;
        sw_value *value;
        if (!sw__onnx_find(&b->scope, name, &value) || !value || value == &b->d->im->dropped)
            return sw__draft_fail(b->d, SW_E_MODEL, "its result %zu is '%.160s' inside, which nothing makes", i + 1,
                                  name);
        if (sw__onnx_is_sequence(value))
            return sw__draft_fail(b->d, SW_E_UNSUPPORTED,
                                  "its result %zu is a sequence, which only branches known beforehand may have", i + 1);
        if (!value->producer || is_taken(b, value)) {
            sw_value *copy = sw_graph_apply(b->capture.graph, NULL, SW_OP_Identity, "", 1, &value);
            if (!copy) return sw__onnx_nomem(b->d->im);
            if (sw_node_infer(b->capture.graph, copy->producer, NULL) == SW_E_NOMEM) return sw__onnx_nomem(b->d->im);
            value = copy;
        }
        b->outputs[b->n_outputs++] = value;
    }
    return SW_OK;
}

/* The body's inputs: formal ones, then what was captured and is no constant. */
static sw_status set_ports(builder *b) {
    const sw__capture *c = &b->capture;
    sw_value **inputs = SW_ARENA_ARRAY(b->d->im->arena, sw_value *, b->n_formals + c->n + 1);
    if (!inputs) return sw__onnx_nomem(b->d->im);
    int n = 0;
    for (int i = 0; i < b->n_formals; i++) inputs[n++] = b->formals[i];
    for (int i = 0; i < c->n; i++)
        if (!sw_value_is_const(c->inner[i])) inputs[n++] = c->inner[i];
    bool good = sw_graph_set_inputs(c->graph, inputs, n) == SW_OK &&
                sw_graph_set_outputs(c->graph, b->outputs, b->n_outputs) == SW_OK;
    return good ? SW_OK : sw__onnx_nomem(b->d->im);
}

static sw_status fill_body(builder *b, const sw_tensor *types, int n, const char *what) {
    sw__onnx *im = b->d->im;
    SW_TRY(sw__onnx_constants(im, &b->scope, b->proto));
    SW_TRY(add_formals(b, types, n));
    for (size_t i = 0; i < b->proto->n_outputs; i++) { /* no constant may take a result's place */
        const char *name = b->proto->outputs[i].name;
        bool fresh;
        if (sw__names_add(&b->scope.renamed, im->arena, name, (void *)(uintptr_t)name, &fresh) != SW_OK)
            return sw__onnx_nomem(im);
    }
    sw_status status = sw__onnx_nodes(im, &b->scope, &b->proto->body, what);
    if (b->capture.failed) return sw__onnx_nomem(im);
    SW_TRY(status);
    SW_TRY(add_outputs(b));
    return set_ports(b);
}

/* What the node holds of the body, in the outer graph's arena. */
static sw_status describe(builder *b, sw_body *body) {
    sw_tensor *types = SW_ARENA_ARRAY(b->d->im->graph->arena, sw_tensor, b->n_outputs + 1);
    if (!types) return sw__onnx_nomem(b->d->im);
    for (int i = 0; i < b->n_outputs; i++) foreign_type(&b->outputs[i]->type, &types[i]);
    *body = (sw_body){.n_in = b->n_formals, .n_out = b->n_outputs, .out_types = types, .code = b->capture.graph};
    for (int i = 0; i < b->capture.n; i++) body->n_captured += !sw_value_is_const(b->capture.inner[i]);
    return SW_OK;
}

static void destroy_graph(void *graph) {
    sw_graph_destroy(graph);
}

/* Builds the body in a graph that the outer one owns. */
static sw_status build_body(builder *b, const sw_tensor *types, int n, const char *what, sw_body *body) {
    sw__onnx *im = b->d->im;
    sw_graph *outer = im->graph, *graph = sw_graph_create(outer->allocator);
    if (!graph || sw_arena_cleanup(outer->arena, destroy_graph, graph) != SW_OK) {
        sw_graph_destroy(graph);
        return sw__onnx_nomem(im);
    }
    graph->name = sw_arena_strdup(graph->arena, what);
    graph->producer = graph->format = "";
    if (!graph->name) return sw__onnx_nomem(im);
    SW_TRY(open_body(b, graph));
    im->graph = graph;
    sw_status status = fill_body(b, types, n, what);
    im->graph = outer;
    return status == SW_OK ? describe(b, body) : status;
}

/* ---- Nodes ---------------------------------------------------------------------------------------------------------- */

sw_status sw__onnx_find_graph(sw__draft *d, const char *name, sw__onnx_graph **graph) {
    for (int i = 0; i < d->n_attrs; i++) {
        if (strcmp(d->attrs[i].name, name) != 0 || d->attrs[i].kind != SW__ATTR_GRAPH || !d->attrs[i].g) continue;
        *graph = d->attrs[i].g;
        return SW_OK;
    }
    return sw__draft_fail(d, SW_E_MODEL, "the attribute '%s' is missing or no graph", name);
}

/* The node: its own inputs, then what the bodies captured. */
static sw_status emit(sw__draft *d, sw_op op, const builder *builders, const sw_body *bodies, int n) {
    int n_in = d->n_in, n_out = d->proto->n_out;
    for (int i = 0; i < n; i++) n_in += bodies[i].n_captured;
    sw_value **in = SW_ARENA_ARRAY(d->im->arena, sw_value *, n_in + 1),
             **out = SW_ARENA_ARRAY(d->im->arena, sw_value *, n_out + 1);
    if (!in || !out) return sw__onnx_nomem(d->im);
    memcpy(in, d->in, (size_t)d->n_in * sizeof *in);
    int at = d->n_in;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < builders[i].capture.n; k++)
            if (!sw_value_is_const(builders[i].capture.inner[k])) in[at++] = builders[i].capture.outer[k];
    for (int i = 0; i < n_out; i++) SW_TRY(sw__onnx_output(d, i, &out[i]));
    sw_node *node = sw_graph_add_node(d->im->graph, NULL, op, d->proto->name, n_in, in, n_out, out);
    if (!node) return sw__onnx_nomem(d->im);
    for (int i = 0; i < n; i++) {
        sw_body *copy = sw_arena_copy(d->im->graph->arena, &bodies[i], sizeof *bodies);
        if (!copy) return sw__onnx_nomem(d->im);
        sw_attr *attr = &node->attrs[i];
        attr->set = true;
        attr->body = copy;
    }
    SW_TRY(sw__onnx_set_attrs(d, node));
    return sw__onnx_settle(d->im, node);
}

sw_status sw__onnx_if_node(sw__draft *d) {
    static const char *const names[] = {"then_branch", "else_branch"};
    builder builders[2] = {{.d = d}, {.d = d}};
    sw_body bodies[2];
    for (int i = 0; i < 2; i++) {
        SW_TRY(sw__onnx_find_branch(d, names[i], &builders[i].proto));
        SW_TRY(build_body(&builders[i], NULL, 0, names[i], &bodies[i]));
    }
    return emit(d, SW_OP_If, builders, bodies, 2);
}

/* The type of a formal input: its own declaration's rank where it tells one, else that of what is given. */
static sw_status formal_type(sw__draft *d, const sw__onnx_port *port, const sw_tensor *given, sw_tensor *type) {
    *type = given ? *given : (sw_tensor){.rank = SW_RANK_UNKNOWN};
    sw_tensor declared = {.rank = SW_RANK_UNKNOWN};
    if (port->type.size) SW_TRY(sw__onnx_read_type(d->im, port, &declared));
    if (!type->dtype) type->dtype = declared.dtype;
    if (declared.rank >= 0) type->rank = declared.rank;
    for (int i = 0; i < type->rank; i++) type->dims[i] = SW_DIM_UNKNOWN; /* may change from turn to turn */
    return SW_OK;
}

sw_status sw__onnx_loop(sw__draft *d) {
    builder b = {.d = d};
    sw_body body;
    SW_TRY(sw__onnx_find_graph(d, "body", &b.proto));
    while (d->n_in < 2) d->in[d->n_in++] = NULL; /* no count, no condition */
    int n = d->n_in;
    sw_tensor *types = SW_ARENA_ARRAY(d->im->arena, sw_tensor, n);
    if (!types) return sw__onnx_nomem(d->im);
    if (b.proto->n_inputs != (size_t)n)
        return sw__draft_fail(d, SW_E_MODEL, "its body has %zu inputs; expected: %d", b.proto->n_inputs, n);
    types[0] = (sw_tensor){.dtype = SW_I64};
    types[1] = (sw_tensor){.dtype = SW_BOOL};
    for (int i = 2; i < n; i++) {
        if (!d->in[i]) return sw__draft_fail(d, SW_E_MODEL, "input %d is absent", i + 1);
        SW_TRY(formal_type(d, &b.proto->inputs[i], &d->in[i]->type, &types[i]));
    }
    if (b.proto->n_outputs != (size_t)d->proto->n_out + 1)
        return sw__draft_fail(d, SW_E_MODEL, "its body has %zu outputs; expected: %d", b.proto->n_outputs,
                              d->proto->n_out + 1);
    SW_TRY(build_body(&b, types, n, "body", &body));
    return emit(d, SW_OP_Loop, &b, &body, 1);
}

static int64_t int_attr(const sw__draft *d, const char *name) {
    for (int i = 0; i < d->n_attrs; i++)
        if (!strcmp(d->attrs[i].name, name) && d->attrs[i].kind == SW__ATTR_INT) return d->attrs[i].i;
    return 0;
}

sw_status sw__onnx_scan(sw__draft *d) {
    builder b = {.d = d};
    sw_body body;
    if (d->opset < 9) return sw__onnx_unknown(d, "of opset 8");
    SW_TRY(sw__onnx_find_graph(d, "body", &b.proto));
    int64_t scanned = int_attr(d, "num_scan_inputs");
    int n = d->n_in;
    if (scanned < 1 || scanned > n)
        return sw__draft_fail(d, SW_E_MODEL, "num_scan_inputs is %lld, but it has %d inputs", (long long)scanned, n);
    sw_tensor *types = SW_ARENA_ARRAY(d->im->arena, sw_tensor, n + 1);
    if (!types) return sw__onnx_nomem(d->im);
    if (b.proto->n_inputs != (size_t)n || b.proto->n_outputs != (size_t)d->proto->n_out)
        return sw__draft_fail(d, SW_E_MODEL, "its body has %zu inputs and %zu outputs; expected: %d and %d",
                              b.proto->n_inputs, b.proto->n_outputs, n, d->proto->n_out);
    for (int i = 0; i < n; i++) {
        if (!d->in[i]) return sw__draft_fail(d, SW_E_MODEL, "input %d is absent", i + 1);
        sw_tensor given = d->in[i]->type;
        if (i >= n - scanned && given.rank > 0) given.rank--; /* a slice */
        SW_TRY(formal_type(d, &b.proto->inputs[i], &given, &types[i]));
    }
    SW_TRY(build_body(&b, types, n, "body", &body));
    return emit(d, SW_OP_Scan, &b, &body, 1);
}
