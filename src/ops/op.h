/* Operators: what a node is, for graph, plan and kernels alike.
 *
 * ops.def is the one table. It gives each operator its name, arity, typed attributes with defaults, shape rule,
 * tolerance and a line of documentation. Semantics are those of the newest ONNX opset; importers translate older
 * ones. The room sits below ir/ and kernels/, because the runtime library binds shapes without the graph
 * (docs/decisions/001). */
#ifndef SLIPWAY_OPS_OP_H
#define SLIPWAY_OPS_OP_H

#include "base/alloc.h"
#include "base/half.h"
#include "base/pool.h"
#include "slipway/tensor.h"

typedef enum sw_op {
#define SW_OP(id, name, domain, min_in, max_in, min_out, max_out, rule, tolerance, doc, attrs) SW_OP_##id,
#include "ops/ops.def"
#undef SW_OP
    SW_OP_COUNT
} sw_op;

enum { SW_VARIADIC = 255 }; /* max_in or max_out without a bound (importers stop at 65,535) */

typedef enum sw_attr_type {
    SW_ATTR_INT,
    SW_ATTR_FLOAT,
    SW_ATTR_STRING,
    SW_ATTR_INTS,
    SW_ATTR_FLOATS,
    SW_ATTR_TENSOR,
    SW_ATTR_BODY
} sw_attr_type;

/* A graph within an operator (If, Loop, Scan). It takes n_in values by the operator's rules, then n_captured values of the
 * outer graph, which are the operator's last inputs (those of its bodies one after the other), and gives n_out. */
typedef struct sw_body {
    int n_in, n_captured, n_out;
    const sw_tensor *out_types; /* what is known of the results; data NULL */
    void *code;                 /* an sw_graph in graphs, an sw_plan in plans: theirs */
} sw_body;

/* The value of an attribute. `set` is false where the model does not give it and it has no default. Pointers
 * belong to the graph or plan that holds the node. */
typedef struct sw_attr {
    bool set;
    union {
        int64_t i;
        float f;
        const char *s;
        struct { const int64_t *v; int n; } ints;
        struct { const float *v; int n; } floats;
        const sw_tensor *t;
        const sw_body *body;
    };
} sw_attr;

typedef struct sw_attr_def {
    const char *name;
    sw_attr_type type;
    bool has_default, required;
    int64_t i;     /* defaults */
    float f;
    const char *s;
} sw_attr_def;

typedef struct sw_call sw_call;
/* Shape rule: sets dtype, rank and dims of every c->out[] that is not NULL, from dtypes, shapes and, where an input's
 * `data` is known, values of c->in[]. Dims may be unknown or symbolic; so may be outputs'. Reports misfits through
 * sw_call_fail. Pure: same input, same output, no allocation, any thread. */
typedef sw_status (*sw_shape_rule)(const sw_call *c);

typedef struct sw_op_info {
    const char *name;   /* as ONNX spells it: "Conv" */
    const char *domain; /* "" for ONNX, "slipway" for ours */
    uint8_t min_in, max_in, min_out, max_out;
    sw_shape_rule rule;
    float tolerance; /* largest error of a fast kernel against the reference, in units of the output's scale; 0: exact */
    const char *doc;
    const sw_attr_def *attrs;
    int n_attrs;
} sw_op_info;

const sw_op_info *sw_op_get(sw_op op);
/* SW_OP_COUNT when there is none. `domain` "ai.onnx" equals "". */
sw_op sw_op_find(const char *domain, const char *name);

/* One application of an operator: what shape rules and kernels get. */
struct sw_call {
    sw_op op;
    const sw_attr *attrs; /* op_info->n_attrs of them, in the order of the table */
    int n_in, n_out;
    const sw_tensor *const *in; /* NULL for an optional input that is absent */
    sw_tensor *const *out;      /* NULL for an output that nobody wants */
    const char *name;           /* of the node, for messages; may be NULL */
    const sw_diag *diag;
    bool reference;                /* the plain kernel is wanted, whatever faster ones there are */
    sw_pool *pool;                 /* kernels may spread work over it; NULL: run alone */
    const sw_allocator *allocator; /* for scratch memory of reference kernels */
    /* A byte for each place of the result's last axis (for each pixel of a map that becomes rows); where it is 0, kernels may
     * leave anything. NULL: all is wanted. */
    const uint8_t *columns;
    /* Of products: elements of the first input are of so many pictures in turn, `picture` elements each; 1: all are of one;
     * 0: not known. */
    int64_t pictures, picture;
    /* Kernels whose output shape depends on data: gives out[index] its dims and memory. NULL in shape rules. */
    sw_status (*resize)(const sw_call *c, int index, int rank, const int64_t *dims);
    void *resize_ctx;
};

/* Attributes by name; asserts that the operator has it with that type. Unset ones give 0, NULL or n = 0. */
const sw_attr *sw_call_attr(const sw_call *c, const char *name, sw_attr_type type);
static inline int64_t sw_call_int(const sw_call *c, const char *name) { return sw_call_attr(c, name, SW_ATTR_INT)->i; }
static inline float sw_call_float(const sw_call *c, const char *name) {
    return sw_call_attr(c, name, SW_ATTR_FLOAT)->f;
}
static inline const char *sw_call_string(const sw_call *c, const char *name) {
    return sw_call_attr(c, name, SW_ATTR_STRING)->s;
}

/* How many graphs the operator holds: so many of its attributes, the first ones, are bodies. */
static inline int sw_op_bodies(sw_op op) {
    return op == SW_OP_If ? 2 : op == SW_OP_Loop || op == SW_OP_Scan;
}
/* Whether it runs graphs: the session does that, not a kernel. */
static inline bool sw_op_is_control(sw_op op) {
    return sw_op_bodies(op) > 0;
}
/* Entry `i` of Scan's lists of axes and directions; 0 where the list ends before. */
int64_t sw_scan_entry(const sw_call *c, const char *list, int i);

/* Input `i`, or NULL when the call has fewer or it is absent. */
static inline const sw_tensor *sw_call_in(const sw_call *c, int i) { return i < c->n_in ? c->in[i] : NULL; }
static inline sw_tensor *sw_call_out(const sw_call *c, int i) { return i < c->n_out ? c->out[i] : NULL; }

/* Reports "node 'name' (Conv): ..." and returns SW_E_MODEL. */
sw_status sw_call_fail(const sw_call *c, const char *fmt, ...) SW_PRINTF(2, 3);
/* The same with SW_E_UNSUPPORTED. */
sw_status sw_call_unsupported(const sw_call *c, const char *fmt, ...) SW_PRINTF(2, 3);

/* Element `i` of an integer tensor (any integer type or bool) whose data is known, and of a floating one. */
int64_t sw_tensor_int_at(const sw_tensor *t, int64_t i);
double sw_tensor_float_at(const sw_tensor *t, int64_t i);

/* The number of a type in TensorProto.DataType, as attributes of ONNX name types; 0 for none. And back. */
int sw_dtype_onnx(sw_dtype dtype);
sw_dtype sw_dtype_from_onnx(int64_t number);

/* Runs the shape rule, after checking that the required inputs are there. */
SW_MUST_USE sw_status sw_op_infer(const sw_call *c);

/* Attributes start as the defaults of the table: fills `attrs` (n_attrs entries). */
void sw_op_default_attrs(sw_op op, sw_attr *attrs);

#endif
