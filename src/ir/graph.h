/* The graph: typed SSA in ONNX semantics (design 2).
 *
 * A graph owns everything in it through one arena: values, nodes, names, attributes, constant data. Nodes stand in
 * an order in which every value is made before it is used. One thread at a time. Constant data may lie in a mapped
 * file that the graph keeps mapped (sw_graph_arena + sw_arena_cleanup). */
#ifndef SLIPWAY_IR_GRAPH_H
#define SLIPWAY_IR_GRAPH_H

#include <stdio.h>

#include "base/arena.h"
#include "ops/op.h"

typedef struct sw_graph sw_graph;
typedef struct sw_node sw_node;

/* A value. `type.data` is not NULL exactly for constants. Without producer it is a graph input or a constant. */
typedef struct sw_value {
    const char *name; /* unique and never empty; the adders make one up for NULL or "", and vary one that is taken */
    sw_tensor type;
    sw_node *producer;
    int uses; /* inputs of nodes and graph outputs that name it; kept by the functions below */
    uint32_t id;
} sw_value;

struct sw_node {
    sw_op op;
    const char *name; /* as the model gives it; "" when it gives none */
    sw_attr *attrs;   /* in the order of the operator's table */
    int n_in, n_out;
    sw_value **in;  /* NULL: absent optional input */
    sw_value **out; /* NULL: output that the model does not name */
    sw_node *prev, *next;
};

typedef struct sw_meta {
    const char *key, *value;
} sw_meta;

struct sw_graph {
    sw_arena *arena;
    const sw_allocator *allocator;
    const char *name;
    const char *producer; /* "pytorch 2.1", may be "" */
    const char *format;   /* where it came from: "ONNX, opset 20" */
    sw_node *first, *last;
    int n_nodes;
    sw_value **inputs, **outputs; /* inputs hold no constants */
    int n_inputs, n_outputs;
    sw_value **values; /* all of them, by id */
    size_t n_values, cap_values;
    uint32_t *name_table; /* open addressing: value id + 1, 0 for free */
    size_t cap_table;
    const char **symbols; /* names of symbolic dims: dim == SW_DIM_SYMBOL - index */
    size_t n_symbols, cap_symbols;
    sw_meta *meta;
    size_t n_meta, cap_meta;
    bool keep_integers; /* for the passes: weights behind DequantizeLinear are not folded into floats */
};

/* What a graph may hold at most; importers report SW_E_LIMIT above. */
enum { SW_MAX_VALUES = 1 << 20, SW_MAX_NODES = 1 << 20, SW_MAX_META = 4096, SW_MAX_SYMBOLS = 4096 };

sw_graph *sw_graph_create(const sw_allocator *allocator); /* NULL when out of memory */
void sw_graph_destroy(sw_graph *graph);                   /* takes NULL */

/* All adders return NULL when out of memory or above a limit. Names are copied. */
sw_value *sw_graph_add_value(sw_graph *graph, const char *name, sw_dtype dtype, int rank, const int64_t *dims);
/* `data` is not copied and must live as long as the graph. */
sw_value *sw_graph_add_const(sw_graph *graph, const char *name, const sw_tensor *tensor);
/* New constant of given type with zeroed memory of the graph to fill in (value->type.data). */
sw_value *sw_graph_new_const(sw_graph *graph, const char *name, sw_dtype dtype, int rank, const int64_t *dims);
sw_value *sw_graph_const_ints(sw_graph *graph, const char *name, const int64_t *v, int n); /* int64, rank 1 */
SW_MUST_USE sw_status sw_graph_set_inputs(sw_graph *graph, sw_value *const *values, int n);
SW_MUST_USE sw_status sw_graph_set_outputs(sw_graph *graph, sw_value *const *values, int n);
/* A node before `before` (NULL: at the end), with default attributes. Outputs must have no producer yet. */
sw_node *sw_graph_add_node(sw_graph *graph, sw_node *before, sw_op op, const char *name, int n_in,
                           sw_value *const *in, int n_out, sw_value *const *out);
/* The same with one new output of unknown type, which is returned. */
sw_value *sw_graph_apply(sw_graph *graph, sw_node *before, sw_op op, const char *name, int n_in, sw_value *const *in);
/* Takes a node out; its outputs lose their producer (they must have no uses left, or be redefined next). */
void sw_graph_remove_node(sw_graph *graph, sw_node *node);
void sw_node_set_input(sw_node *node, int i, sw_value *value);
/* Everything that reads `old` (graph outputs too) reads `fresh`. The name of a graph output moves to `fresh`,
 * unless that is a graph input, a constant or another output: then returns false and graph outputs stay with
 * `old`. */
bool sw_graph_replace(sw_graph *graph, sw_value *old, sw_value *fresh);

sw_value *sw_graph_find_value(const sw_graph *graph, const char *name); /* NULL: no such value */
/* Forgets values that nothing makes or reads, so that their names are free; ids change. */
void sw_graph_forget_unused(sw_graph *graph);

/* Outputs of the graph that are `old` become `fresh`, which takes the name; readers inside the graph stay with
 * `old`. `fresh` must be neither input, constant nor output. */
void sw_graph_replace_output(sw_graph *graph, sw_value *old, sw_value *fresh);

/* The dim that stands for a name; same name, same dim. SW_DIM_UNKNOWN when out of memory. */
int64_t sw_graph_symbol(sw_graph *graph, const char *name);
/* A dim that equals itself and nothing else; its name is "?". SW_DIM_UNKNOWN when there are too many. */
int64_t sw_graph_fresh_dim(sw_graph *graph);
const char *sw_graph_dim_name(const sw_graph *graph, int64_t dim); /* "batch"; "?" for unknown; NULL for numbers */
SW_MUST_USE sw_status sw_graph_set_meta(sw_graph *graph, const char *key, const char *value); /* copies; replaces */
const char *sw_graph_meta(const sw_graph *graph, const char *key);                            /* NULL: no such key */

/* Attributes by name; assert that the operator has them with that type. Setters copy into the arena. */
const sw_attr *sw_node_attr(const sw_node *node, const char *name, sw_attr_type type);
static inline int64_t sw_node_int(const sw_node *n, const char *name) {
    return sw_node_attr(n, name, SW_ATTR_INT)->i;
}
static inline float sw_node_float(const sw_node *n, const char *name) {
    return sw_node_attr(n, name, SW_ATTR_FLOAT)->f;
}
static inline const char *sw_node_string(const sw_node *n, const char *name) {
    return sw_node_attr(n, name, SW_ATTR_STRING)->s;
}
void sw_node_set_int(sw_node *node, const char *name, int64_t value);
void sw_node_set_float(sw_node *node, const char *name, float value);
SW_MUST_USE sw_status sw_node_set_string(sw_graph *graph, sw_node *node, const char *name, const char *value);
SW_MUST_USE sw_status sw_node_set_ints(sw_graph *graph, sw_node *node, const char *name, const int64_t *v, int n);
SW_MUST_USE sw_status sw_node_set_tensor(sw_graph *graph, sw_node *node, const char *name, const sw_tensor *tensor);

static inline bool sw_value_is_const(const sw_value *v) {
    return v && v->type.data;
}
bool sw_graph_is_output(const sw_graph *graph, const sw_value *value);
/* Whether anybody reads some output of it: a node, or the caller. */
bool sw_node_is_read(const sw_node *node);

/* Checks the whole graph: arity, order, one producer a value, required attributes, types of constants, unique
 * names. */
SW_MUST_USE sw_status sw_graph_verify(const sw_graph *graph, const sw_diag *diag);
/* Runs the shape rules over all nodes. Types that the rules cannot tell stay unknown. */
SW_MUST_USE sw_status sw_graph_infer(sw_graph *graph, const sw_diag *diag);
/* The shape rule of one node. */
SW_MUST_USE sw_status sw_node_infer(const sw_graph *graph, const sw_node *node, const sw_diag *diag);
/* The call that shape rules and kernels get for a node. `in` and `out` hold room for n_in and n_out pointers. */
sw_call sw_node_call(const sw_node *node, const sw_tensor **in, sw_tensor **out, const sw_diag *diag);
/* Text form, one node a line: `%y:float32[1,16,8,8] = Conv(%x, %w, %b) strides=[2,2] "node name"`. */
void sw_graph_dump(const sw_graph *graph, FILE *file);

#endif
