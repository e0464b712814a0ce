#include "ir/graph.h"

#include <assert.h>
#include <string.h>

/* ---- Life ---------------------------------------------------------------------------------------------------------- */

sw_graph *sw_graph_create(const sw_allocator *allocator) {
    sw_graph *graph = sw_calloc(allocator, 1, sizeof *graph);
    if (!graph) return NULL;
    graph->allocator = allocator;
    graph->arena = sw_arena_create(allocator, 0);
    if (!graph->arena) {
        sw_free(allocator, graph);
        return NULL;
    }
    graph->name = graph->producer = graph->format = "";
    return graph;
}

void sw_graph_destroy(sw_graph *graph) {
    if (!graph) return;
    sw_free(graph->allocator, graph->values);
    sw_free(graph->allocator, graph->name_table);
    sw_free(graph->allocator, graph->symbols);
    sw_free(graph->allocator, graph->meta);
    sw_arena_destroy(graph->arena);
    sw_free(graph->allocator, graph);
}

/* ---- Names --------------------------------------------------------------------------------------------------------- */

static uint64_t hash_name(const char *name) { /* FNV-1a */
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

/* The slot that holds `name`, or the free one where it belongs. */
static size_t name_slot(const sw_graph *graph, const char *name) {
    size_t mask = graph->cap_table - 1, slot = hash_name(name) & mask;
    while (graph->name_table[slot] && strcmp(graph->values[graph->name_table[slot] - 1]->name, name) != 0)
        slot = (slot + 1) & mask;
    return slot;
}

static bool grow_names(sw_graph *graph) {
    if (graph->cap_table > graph->n_values * 2 + 2) return true;
    size_t cap = graph->cap_table ? graph->cap_table * 2 : 64;
    uint32_t *table = sw_calloc(graph->allocator, cap, sizeof *table);
    if (!table) return false;
    sw_free(graph->allocator, graph->name_table);
    graph->name_table = table;
    graph->cap_table = cap;
    for (size_t i = 0; i < graph->n_values; i++) table[name_slot(graph, graph->values[i]->name)] = (uint32_t)i + 1;
    return true;
}

sw_value *sw_graph_find_value(const sw_graph *graph, const char *name) {
    if (!graph->cap_table) return NULL;
    uint32_t id = graph->name_table[name_slot(graph, name)];
    return id ? graph->values[id - 1] : NULL;
}

/* A name that nobody has: `name` itself where it is free, else with a number behind it. */
static const char *free_name(sw_graph *graph, const char *name) {
    if (name && *name && !sw_graph_find_value(graph, name)) return sw_arena_strdup(graph->arena, name);
    const char *stem = name && *name ? name : "v";
    for (size_t n = graph->n_values;; n++) {
        char *made = sw_arena_printf(graph->arena, "%s_%zu", stem, n);
        if (!made || !sw_graph_find_value(graph, made)) return made;
    }
}

/* Exchanges the names of two values; both stay in the table. */
static void swap_names(sw_graph *graph, sw_value *a, sw_value *b) {
    size_t slot_a = name_slot(graph, a->name), slot_b = name_slot(graph, b->name);
    const char *name = a->name;
    a->name = b->name;
    b->name = name;
    graph->name_table[slot_a] = b->id + 1;
    graph->name_table[slot_b] = a->id + 1;
}

/* ---- Values -------------------------------------------------------------------------------------------------------- */

sw_value *sw_graph_add_value(sw_graph *graph, const char *name, sw_dtype dtype, int rank, const int64_t *dims) {
    assert(rank <= SW_MAX_RANK);
    if (!grow_names(graph)) return NULL;
    if (sw_grow(graph->allocator, (void **)&graph->values, &graph->cap_values, graph->n_values + 1,
                sizeof *graph->values, SW_MAX_VALUES) != SW_OK)
        return NULL;
    sw_value *value = SW_ARENA_NEW(graph->arena, sw_value);
    const char *own_name = free_name(graph, name);
    if (!value || !own_name) return NULL;
    value->name = own_name;
    value->id = (uint32_t)graph->n_values;
    value->type.dtype = dtype;
    value->type.rank = rank;
    for (int i = 0; i < rank; i++) value->type.dims[i] = dims[i];
    graph->name_table[name_slot(graph, own_name)] = value->id + 1;
    graph->values[graph->n_values++] = value;
    return value;
}

sw_value *sw_graph_add_const(sw_graph *graph, const char *name, const sw_tensor *tensor) {
    assert(tensor->data && sw_tensor_is_concrete(tensor));
    sw_value *value = sw_graph_add_value(graph, name, tensor->dtype, tensor->rank, tensor->dims);
    if (value) value->type.data = tensor->data;
    return value;
}

sw_value *sw_graph_new_const(sw_graph *graph, const char *name, sw_dtype dtype, int rank, const int64_t *dims) {
    sw_tensor type = {.dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++) type.dims[i] = dims[i];
    int64_t bytes = sw_tensor_bytes(&type);
    if (bytes < 0) return NULL;
    type.data = sw_arena_alloc(graph->arena, (size_t)bytes, 1);
    return type.data ? sw_graph_add_const(graph, name, &type) : NULL;
}

sw_value *sw_graph_const_ints(sw_graph *graph, const char *name, const int64_t *v, int n) {
    int64_t dim = n;
    sw_value *value = sw_graph_new_const(graph, name, SW_I64, 1, &dim);
    if (value && n) memcpy(value->type.data, v, (size_t)n * sizeof *v);
    return value;
}

static bool is_input(const sw_graph *graph, const sw_value *value) {
    for (int i = 0; i < graph->n_inputs; i++)
        if (graph->inputs[i] == value) return true;
    return false;
}

void sw_graph_forget_unused(sw_graph *graph) {
    size_t n = 0;
    for (size_t i = 0; i < graph->n_values; i++) {
        sw_value *value = graph->values[i];
        if (!value->producer && !value->uses && !is_input(graph, value)) continue;
        value->id = (uint32_t)n;
        graph->values[n++] = value;
    }
    graph->n_values = n;
    if (graph->cap_table) memset(graph->name_table, 0, graph->cap_table * sizeof *graph->name_table);
    for (size_t i = 0; i < n; i++) graph->name_table[name_slot(graph, graph->values[i]->name)] = (uint32_t)i + 1;
}

static sw_status set_ports(sw_graph *graph, sw_value *const *values, int n, sw_value ***ports, int *n_ports) {
    sw_value **copy = sw_arena_copy(graph->arena, values, (size_t)n * sizeof *values);
    if (!copy) return SW_E_NOMEM;
    *ports = copy;
    *n_ports = n;
    return SW_OK;
}

sw_status sw_graph_set_inputs(sw_graph *graph, sw_value *const *values, int n) {
    return set_ports(graph, values, n, &graph->inputs, &graph->n_inputs);
}

sw_status sw_graph_set_outputs(sw_graph *graph, sw_value *const *values, int n) {
    for (int i = 0; i < n; i++) values[i]->uses++;
    for (int i = 0; i < graph->n_outputs; i++) graph->outputs[i]->uses--;
    return set_ports(graph, values, n, &graph->outputs, &graph->n_outputs);
}

bool sw_graph_is_output(const sw_graph *graph, const sw_value *value) {
    for (int i = 0; i < graph->n_outputs; i++)
        if (graph->outputs[i] == value) return true;
    return false;
}

/* ---- Nodes --------------------------------------------------------------------------------------------------------- */

bool sw_node_is_read(const sw_node *node) {
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] && node->out[i]->uses > 0) return true;
    return false;
}

static void link_node(sw_graph *graph, sw_node *node, sw_node *before) {
    node->next = before;
    node->prev = before ? before->prev : graph->last;
    if (node->prev)
        node->prev->next = node;
    else
        graph->first = node;
    if (before)
        before->prev = node;
    else
        graph->last = node;
    graph->n_nodes++;
}

sw_node *sw_graph_add_node(sw_graph *graph, sw_node *before, sw_op op, const char *name, int n_in, sw_value *const *in,
                           int n_out, sw_value *const *out) {
    if (graph->n_nodes >= SW_MAX_NODES) return NULL;
    sw_node *node = SW_ARENA_NEW(graph->arena, sw_node);
    if (!node) return NULL;
    node->op = op;
    node->name = name ? sw_arena_strdup(graph->arena, name) : "";
    node->n_in = n_in;
    node->n_out = n_out;
    node->in = sw_arena_copy(graph->arena, in, (size_t)n_in * sizeof *in);
    node->out = sw_arena_copy(graph->arena, out, (size_t)n_out * sizeof *out);
    node->attrs = SW_ARENA_ARRAY(graph->arena, sw_attr, sw_op_get(op)->n_attrs);
    if (!node->name || !node->in || !node->out || !node->attrs) return NULL;
    sw_op_default_attrs(op, node->attrs);
    for (int i = 0; i < n_in; i++)
        if (in[i]) in[i]->uses++;
    for (int i = 0; i < n_out; i++) {
        if (!out[i]) continue;
        assert(!out[i]->producer && !out[i]->type.data);
        out[i]->producer = node;
    }
    link_node(graph, node, before);
    return node;
}

sw_value *sw_graph_apply(sw_graph *graph, sw_node *before, sw_op op, const char *name, int n_in, sw_value *const *in) {
    sw_value *out = sw_graph_add_value(graph, name, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
    if (!out || !sw_graph_add_node(graph, before, op, name, n_in, in, 1, &out)) return NULL;
    return out;
}

void sw_graph_remove_node(sw_graph *graph, sw_node *node) {
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i]) node->in[i]->uses--;
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i]) node->out[i]->producer = NULL;
    if (node->prev)
        node->prev->next = node->next;
    else
        graph->first = node->next;
    if (node->next)
        node->next->prev = node->prev;
    else
        graph->last = node->prev;
    graph->n_nodes--;
}

void sw_node_set_input(sw_node *node, int i, sw_value *value) {
    if (value) value->uses++;
    if (node->in[i]) node->in[i]->uses--;
    node->in[i] = value;
}

bool sw_graph_replace(sw_graph *graph, sw_value *old, sw_value *fresh) {
    for (sw_node *node = graph->first; node; node = node->next)
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] == old) sw_node_set_input(node, i, fresh);
    if (!sw_graph_is_output(graph, old)) return true;
    if (is_input(graph, fresh) || fresh->type.data || sw_graph_is_output(graph, fresh)) return false;
    sw_graph_replace_output(graph, old, fresh);
    return true;
}

void sw_graph_replace_output(sw_graph *graph, sw_value *old, sw_value *fresh) {
    for (int i = 0; i < graph->n_outputs; i++) {
        if (graph->outputs[i] != old) continue;
        graph->outputs[i] = fresh;
        old->uses--;
        fresh->uses++;
    }
    swap_names(graph, old, fresh);
}

/* ---- Symbols and metadata ------------------------------------------------------------------------------------------ */

static int64_t add_symbol(sw_graph *graph, const char *name) {
    if (sw_grow(graph->allocator, (void **)&graph->symbols, &graph->cap_symbols, graph->n_symbols + 1,
                sizeof *graph->symbols, SW_MAX_SYMBOLS) != SW_OK)
        return SW_DIM_UNKNOWN;
    graph->symbols[graph->n_symbols++] = name;
    return SW_DIM_SYMBOL - (int64_t)(graph->n_symbols - 1);
}

int64_t sw_graph_symbol(sw_graph *graph, const char *name) {
    for (size_t i = 0; i < graph->n_symbols; i++)
        if (strcmp(graph->symbols[i], name) == 0) return SW_DIM_SYMBOL - (int64_t)i;
    char *copy = sw_arena_strdup(graph->arena, name);
    return copy ? add_symbol(graph, copy) : SW_DIM_UNKNOWN;
}

int64_t sw_graph_fresh_dim(sw_graph *graph) {
    return add_symbol(graph, "?");
}

const char *sw_graph_dim_name(const sw_graph *graph, int64_t dim) {
    if (dim >= 0) return NULL;
    uint64_t index = (uint64_t)SW_DIM_SYMBOL - (uint64_t)dim;
    return dim <= SW_DIM_SYMBOL && index < graph->n_symbols ? graph->symbols[index] : "?";
}

sw_status sw_graph_set_meta(sw_graph *graph, const char *key, const char *value) {
    char *value_copy = sw_arena_strdup(graph->arena, value);
    if (!value_copy) return SW_E_NOMEM;
    for (size_t i = 0; i < graph->n_meta; i++) {
        if (strcmp(graph->meta[i].key, key) != 0) continue;
        graph->meta[i].value = value_copy;
        return SW_OK;
    }
    char *key_copy = sw_arena_strdup(graph->arena, key);
    if (!key_copy) return SW_E_NOMEM;
    SW_TRY(sw_grow(graph->allocator, (void **)&graph->meta, &graph->cap_meta, graph->n_meta + 1, sizeof *graph->meta,
                   SW_MAX_META));
    graph->meta[graph->n_meta++] = (sw_meta){key_copy, value_copy};
    return SW_OK;
}

const char *sw_graph_meta(const sw_graph *graph, const char *key) {
    for (size_t i = 0; i < graph->n_meta; i++)
        if (strcmp(graph->meta[i].key, key) == 0) return graph->meta[i].value;
    return NULL;
}

/* ---- Attributes ---------------------------------------------------------------------------------------------------- */

const sw_attr *sw_node_attr(const sw_node *node, const char *name, sw_attr_type type) {
    sw_call call = {.op = node->op, .attrs = node->attrs};
    return sw_call_attr(&call, name, type);
}

/* The attribute for writing, marked as set. */
static sw_attr *writable(sw_node *node, const char *name, sw_attr_type type) {
    sw_attr *attr = node->attrs + (sw_node_attr(node, name, type) - node->attrs);
    attr->set = true;
    return attr;
}

void sw_node_set_int(sw_node *node, const char *name, int64_t value) {
    writable(node, name, SW_ATTR_INT)->i = value;
}
void sw_node_set_float(sw_node *node, const char *name, float value) {
    writable(node, name, SW_ATTR_FLOAT)->f = value;
}

sw_status sw_node_set_string(sw_graph *graph, sw_node *node, const char *name, const char *value) {
    char *copy = sw_arena_strdup(graph->arena, value);
    if (!copy) return SW_E_NOMEM;
    writable(node, name, SW_ATTR_STRING)->s = copy;
    return SW_OK;
}

sw_status sw_node_set_ints(sw_graph *graph, sw_node *node, const char *name, const int64_t *v, int n) {
    int64_t *copy = sw_arena_copy(graph->arena, v, (size_t)n * sizeof *v);
    if (!copy) return SW_E_NOMEM;
    sw_attr *attr = writable(node, name, SW_ATTR_INTS);
    attr->ints.v = copy;
    attr->ints.n = n;
    return SW_OK;
}

sw_status sw_node_set_tensor(sw_graph *graph, sw_node *node, const char *name, const sw_tensor *tensor) {
    sw_tensor *copy = sw_arena_copy(graph->arena, tensor, sizeof *tensor);
    if (!copy) return SW_E_NOMEM;
    writable(node, name, SW_ATTR_TENSOR)->t = copy;
    return SW_OK;
}
