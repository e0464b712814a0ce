/* Inside import/onnx: the model as it is written (parse.c) and the state of an import (build.c, translate.c). */
#ifndef SLIPWAY_IMPORT_ONNX_MODEL_H
#define SLIPWAY_IMPORT_ONNX_MODEL_H

#include "base/pb.h"
#include "import/onnx/names.h"
#include "import/onnx/onnx.h"

enum {
    SW__ONNX_OPSET_MIN = 7,
    SW__ONNX_OPSET_MAX = 26,
    SW__ONNX_IR_MIN = 3,
    SW__ONNX_IR_MAX = 12,
    SW__ONNX_MAX_PORTS = 65535,     /* inputs or outputs of a node */
    SW__ONNX_MAX_ATTRS = 256,       /* of a node or function; also opsets of a model */
    SW__ONNX_MAX_IO = 1024,         /* inputs or outputs of the model, constants not counted */
    SW__ONNX_MAX_NODES = 1 << 18,   /* of a graph; also initializers */
    SW__ONNX_MAX_ITEMS = 1 << 22,   /* nodes, ports, attributes, values as written */
    SW__ONNX_MAX_DEPTH = 24,        /* graphs in graphs, calls in calls */
    SW__ONNX_MAX_INLINED = 1 << 18, /* nodes and calls that come out of functions and branches */
    SW__ONNX_MAX_LIST = 1 << 24,    /* elements of an attribute */
    SW__ONNX_MAX_FILES = 16384      /* of external data */
};

/* ---- The model as it is written. Everything lies in the arena of the import or in the bytes of the model. --- */

typedef struct sw__bytes {
    const uint8_t *data; /* NULL: absent */
    size_t size;
    uint64_t offset; /* in the file, for messages */
} sw__bytes;

typedef struct sw__opset {
    const char *domain; /* "" for ai.onnx */
    int64_t version;
} sw__opset;

/* AttributeProto.AttributeType */
typedef enum sw__attr_kind {
    SW__ATTR_NONE,
    SW__ATTR_FLOAT,
    SW__ATTR_INT,
    SW__ATTR_STRING,
    SW__ATTR_TENSOR,
    SW__ATTR_GRAPH,
    SW__ATTR_FLOATS,
    SW__ATTR_INTS,
    SW__ATTR_STRINGS,
    SW__ATTR_TENSORS,
    SW__ATTR_GRAPHS,
    SW__ATTR_SPARSE,
    SW__ATTR_SPARSES,
    SW__ATTR_TYPE,
    SW__ATTR_TYPES,
    SW__ATTR_KINDS
} sw__attr_kind;

typedef struct sw__onnx_graph sw__onnx_graph;

typedef struct sw__onnx_attr {
    const char *name;
    const char *ref; /* attribute of the enclosing function that gives the value; "" for none */
    sw__attr_kind kind;
    int64_t i;
    float f;
    sw__bytes s, t;
    sw__onnx_graph *g;
    sw__bytes message; /* the whole attribute, for lists */
} sw__onnx_attr;

typedef struct sw__onnx_node {
    const char *name, *op, *domain, *overload;
    const char **in, **out;
    int n_in, n_out;
    sw__onnx_attr *attrs;
    int n_attrs;
    size_t text; /* bytes of all names: what it costs to look them up */
} sw__onnx_node;

/* Nodes of a graph or function. `order` (sort.c) is an order in which values are made before they are used. */
typedef struct sw__onnx_body {
    sw__onnx_node *nodes;
    size_t n;
    uint32_t *order; /* NULL: as written */
    sw__names made;  /* name of an output -> its sw__onnx_node */
    bool sorted;
} sw__onnx_body;

typedef struct sw__onnx_port {
    const char *name;
    sw__bytes type; /* TypeProto */
} sw__onnx_port;

struct sw__onnx_graph {
    const char *name;
    sw__onnx_body body;
    sw__bytes *constants; /* TensorProto */
    size_t n_constants;
    sw__onnx_port *inputs, *outputs;
    size_t n_inputs, n_outputs;
};

typedef struct sw__onnx_function {
    const char *name, *domain, *overload;
    const char **in, **out;
    int n_in, n_out;
    sw__onnx_attr *defaults;
    int n_defaults;
    sw__opset *opsets;
    size_t n_opsets;
    sw__onnx_body body;
    bool active; /* being inlined: meeting it again is recursion */
} sw__onnx_function;

typedef struct sw__onnx_model {
    int64_t ir_version;
    sw__opset *opsets;
    size_t n_opsets;
    const char *producer_name, *producer_version;
    sw__onnx_graph *graph;
    sw__onnx_function *functions;
    size_t n_functions;
    sw_meta *meta;
    size_t n_meta;
} sw__onnx_model;

/* ---- An import ------------------------------------------------------------------------------------------- */

typedef struct sw__onnx sw__onnx;
struct sw__onnx {
    const sw_diag *diag;
    const char *label, *base_dir;
    sw_arena *arena; /* dies with the import */
    sw_graph *graph; /* being made */
    sw_computer computer;
    sw__onnx_model model;
    sw__names functions; /* "domain\nname\noverload" -> sw__onnx_function */
    sw__names files;     /* location -> mapping of external data */
    size_t n_files;
    size_t items;                /* seen by the parser */
    size_t inlined;              /* nodes and calls so far */
    uint64_t bytes_left;         /* that may still be read and copied: bounds what functions can blow up */
    size_t n_names;              /* tried as free names */
    sw_value dropped;            /* stands for outputs that only training makes */
    bool warned;                 /* of an opset newer than those known */
    struct sw__unknown *unknown; /* operators without an entry in the table */
    size_t n_unknown;
};

/* What a body reads of outer scopes (body.c). */
typedef struct sw__capture sw__capture;

/* A graph or function being built: which value a name means. */
typedef struct sw__scope {
    const struct sw__scope *parent; /* outer scope of a branch; NULL for the model's graph and functions */
    sw__capture *capture;           /* of a body with a graph of its own; else NULL */
    sw__names values;               /* name -> sw_value, NULL for absent inputs of a function */
    sw__names renamed;              /* name of an output -> what it is called in the graph */
    const sw__opset *opsets;
    size_t n_opsets;
    const sw__onnx_attr *attrs; /* of the call that is being inlined */
    int n_attrs;
    bool in_function;
    const char *prefix; /* of names; "" for the model's graph */
    const char **outer; /* of a function or branch: names in the graph of the outputs, in order */
    int depth;
} sw__scope;

/* A node on its way into the graph: translations (translate.c) change it, then sw__onnx_emit adds it. */
enum { SW__DRAFT_EXTRA = 4 };
typedef struct sw__draft {
    sw__onnx *im;
    sw__scope *scope;
    const sw__onnx_node *proto;
    int64_t opset; /* version of the node's domain */
    sw_op op;
    sw_value **in;
    int n_in;             /* room for SW__DRAFT_EXTRA more */
    sw__onnx_attr *attrs; /* references resolved */
    bool *taken;          /* attributes that a translation has dealt with */
    int n_attrs;
    int n_out; /* of proto->out: later ones are dropped */
    struct {
        const char *name, *s;
        int64_t i;
    } set[SW__DRAFT_EXTRA]; /* strings (s) or ints to set */
    int n_set;
    bool done; /* the translation has made all outputs itself */
} sw__draft;

/* parse.c */
SW_MUST_USE sw_status sw__onnx_parse_model(sw__onnx *im, const void *bytes, size_t size);
/* sort.c: finds `made` and `order`. `what` names the body in messages. */
SW_MUST_USE sw_status sw__onnx_sort(sw__onnx *im, sw__onnx_body *body, const char *what);
/* tensor.c. A TensorProto with its data: where it is, or copied into the graph. `name` gets its name; may be NULL. */
SW_MUST_USE sw_status sw__onnx_tensor(sw__onnx *im, sw__bytes message, const char *fallback, sw_tensor *tensor,
                                      const char **name);
/* Type of TensorProto.DataType `number`; refuses what Slipway does not have: "<what> has type FLOAT8E4M3FN". */
SW_MUST_USE sw_status sw__onnx_dtype(sw__onnx *im, int64_t number, const char *what, sw_dtype *dtype);
/* external.c: `bytes` bytes of a file beside the model. `length` is -1 where the model gives none. */
SW_MUST_USE sw_status sw__onnx_external(sw__onnx *im, const char *tensor, const char *location, int64_t offset,
                                        int64_t length, size_t bytes, const uint8_t **data);
/* attr.c */
const char *sw__onnx_attr_kind_name(sw__attr_kind kind);
SW_MUST_USE sw_status sw__onnx_ints(sw__onnx *im, const sw__onnx_attr *attr, const int64_t **v, int *n);
SW_MUST_USE sw_status sw__onnx_floats(sw__onnx *im, const sw__onnx_attr *attr, const float **v, int *n);
/* The text of a string attribute, in the graph's arena. */
SW_MUST_USE sw_status sw__onnx_string(sw__onnx *im, const sw__onnx_attr *attr, const char *where, const char **text);
/* A list of texts (STRINGS) as one text with commas, in the graph's arena. */
SW_MUST_USE sw_status sw__onnx_joined(sw__onnx *im, const sw__onnx_attr *attr, const char **text);
/* The attribute of that name and kind, which is then dealt with; NULL when the node has none. */
SW_MUST_USE sw_status sw__onnx_take(sw__draft *d, const char *name, sw__attr_kind kind, const sw__onnx_attr **attr);
/* Refuses attributes that nothing has dealt with. */
SW_MUST_USE sw_status sw__onnx_check_taken(sw__draft *d);
/* Gives `node` the attributes that no translation took. */
SW_MUST_USE sw_status sw__onnx_set_attrs(sw__draft *d, sw_node *node);
/* build.c */
/* The type of an input as declared; refuses what is no tensor. */
SW_MUST_USE sw_status sw__onnx_read_type(sw__onnx *im, const sw__onnx_port *port, sw_tensor *type);
SW_MUST_USE sw_status sw__onnx_build(sw__onnx *im);
SW_MUST_USE sw_status sw__onnx_nodes(sw__onnx *im, sw__scope *scope, sw__onnx_body *body, const char *what);
SW_MUST_USE sw_status sw__onnx_constants(sw__onnx *im, sw__scope *scope, const sw__onnx_graph *graph);
/* What a name means here or in outer scopes; false when it means nothing. */
bool sw__onnx_find(const sw__scope *scope, const char *name, sw_value **value);
SW_MUST_USE sw_status sw__onnx_bind(sw__onnx *im, sw__scope *scope, const char *name, sw_value *value);
/* Name in the graph of what the scope calls `name`; a free name "stem/name". NULL: out of memory. */
const char *sw__onnx_name(sw__onnx *im, const sw__scope *scope, const char *name);
const char *sw__onnx_free_name(sw__onnx *im, const char *stem, const char *name);
/* New value for output `i` of the node, bound in the scope; NULL in `value` where the model names none. */
SW_MUST_USE sw_status sw__onnx_output(sw__draft *d, int i, sw_value **value);
SW_MUST_USE sw_status sw__onnx_emit(sw__draft *d);
/* A new node of a translation, with default attributes and a new output "<node>/<suffix>"; its shape rule has run.
 * `suffix` NULL: the output is the first of the draft's node. */
SW_MUST_USE sw_status sw__onnx_step(sw__draft *d, sw_op op, const char *suffix, int n_in, sw_value *const *in,
                                    sw_value **out);
/* The same whose attributes are still to be set, and its shape rule to run (sw__onnx_settle); a value without a node. */
SW_MUST_USE sw_status sw__onnx_start(sw__draft *d, sw_op op, const char *suffix, int n_in, sw_value *const *in,
                                     sw_node **node);
SW_MUST_USE sw_status sw__onnx_new_value(sw__draft *d, const char *suffix, sw_value **value);
/* New constant "<node>/<suffix>": a list of integers; a number in the type of `like`. */
SW_MUST_USE sw_status sw__onnx_new_ints(sw__draft *d, const char *suffix, const int64_t *v, int n, sw_value **value);
SW_MUST_USE sw_status sw__onnx_new_float(sw__draft *d, const char *suffix, float v, sw_value *like, sw_value **value);
/* Splits `x` along an axis into n new values, of these lengths or (NULL) evenly. */
SW_MUST_USE sw_status sw__onnx_split(sw__draft *d, const char *suffix, sw_value *x, int64_t axis,
                                     const int64_t *lengths, int n, sw_value **parts);
/* body.c. Nodes that hold graphs; the value that stands for an outer one within a body (NULL: out of memory). */
SW_MUST_USE sw_status sw__onnx_if_node(sw__draft *d);
SW_MUST_USE sw_status sw__onnx_loop(sw__draft *d);
SW_MUST_USE sw_status sw__onnx_scan(sw__draft *d);
sw_value *sw__onnx_capture(sw__capture *capture, sw_value *outer);
/* The graph that an attribute holds, and must. */
SW_MUST_USE sw_status sw__onnx_find_graph(sw__draft *d, const char *name, sw__onnx_graph **graph);
/* inline.c: calls of functions, branches of If. */
SW_MUST_USE sw_status sw__onnx_call(sw__draft *d, sw__onnx_function *function);
SW_MUST_USE sw_status sw__onnx_if(sw__draft *d);
/* A branch, with as many outputs as the node. */
SW_MUST_USE sw_status sw__onnx_find_branch(sw__draft *d, const char *name, sw__onnx_graph **branch);
/* build.c: runs the shape rule of a node that is complete; where all that it needs is known, the node becomes
 * constants. */
SW_MUST_USE sw_status sw__onnx_settle(sw__onnx *im, sw_node *node);
/* sequence.c. A sequence of tensors: a stand-in for a value, for the import only. */
bool sw__onnx_is_sequence(const sw_value *value); /* takes NULL */
/* Room for n tensors, to be filled in; NULL: out of memory. The tensors that it has. */
sw_value *sw__onnx_new_sequence(sw_arena *arena, int n, sw_value ***items);
int sw__onnx_items(const sw_value *value, sw_value ***items);
/* Does nodes of sequences and optionals, `done`; refuses sequences where other nodes read them. */
SW_MUST_USE sw_status sw__onnx_sequence_node(sw__draft *d, bool *done);
/* constant.c: Constant nodes. */
SW_MUST_USE sw_status sw__onnx_constant(sw__draft *d);
/* translate.c: turns a node of an older opset, or one that the table lacks, into newest semantics. Leaves d->op at
 * SW_OP_COUNT when there is no such operator. */
SW_MUST_USE sw_status sw__onnx_translate(sw__draft *d);
/* microsoft.c: a node of the domain com.microsoft becomes nodes of ONNX; as sw__onnx_translate. */
SW_MUST_USE sw_status sw__onnx_microsoft(sw__draft *d);
/* expand.c: operators that become several nodes. */
SW_MUST_USE sw_status sw__onnx_group_norm(sw__draft *d);
SW_MUST_USE sw_status sw__onnx_mean_variance_norm(sw__draft *d);
SW_MUST_USE sw_status sw__onnx_dropout(sw__draft *d);
/* With training_mode: statistics of the batch, and running ones as further outputs. */
SW_MUST_USE sw_status sw__onnx_batch_norm_training(sw__draft *d);

/* fail.c. Messages are placed at the model, or at "label, node 'name' (Conv)". */
sw_status sw__onnx_fail(sw__onnx *im, sw_status status, const char *fmt, ...) SW_PRINTF(3, 4);
sw_status sw__draft_fail(const sw__draft *d, sw_status status, const char *fmt, ...) SW_PRINTF(3, 4);
void sw__draft_warn(const sw__draft *d, const char *fmt, ...) SW_PRINTF(2, 3);
sw_status sw__onnx_nomem(sw__onnx *im);
/* Takes `bytes` off what may be read and copied. */
SW_MUST_USE sw_status sw__onnx_charge(sw__onnx *im, uint64_t bytes);
/* Counts something that is inlined: a node or call with so many ports. */
SW_MUST_USE sw_status sw__onnx_count_inlined(sw__onnx *im, int ports);
/* Notes an operator that Slipway does not have; its outputs become values of unknown type. */
SW_MUST_USE sw_status sw__onnx_unknown(sw__draft *d, const char *why);
SW_MUST_USE sw_status sw__onnx_report_unknown(sw__onnx *im);

#endif
