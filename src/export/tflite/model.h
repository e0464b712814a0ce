/* A TensorFlow Lite model in the making: tensors and operators in order, and in which orders of axes each value of the graph
 * is there already.
 *
 * Maps are channels-last in the file. A value has forms: a tensor, and the order in which it holds the value's axes
 * (ir/axes.h). Convolutions ask for channels last; everything else takes what is there, and renames axes; a Transpose of
 * the graph is a change of order that costs nothing. TRANSPOSE is written only for a form that nobody has made yet.
 *
 * The first error sticks in `status`; tensors are then -1, which all functions pass through. */
#ifndef SLIPWAY_EXPORT_TFLITE_MODEL_H
#define SLIPWAY_EXPORT_TFLITE_MODEL_H

#include "base/fb.h"
#include "export/export.h"
#include "ir/axes.h"
#include "ir/tflite_schema.h"
#include "ops/shape.h"

enum { SW_TFW_FORMS = 6, SW_TFW_FIELDS = 7, SW_TFW_MAX = 1 << 22 };

typedef struct sw_tfw_tensor {
    const char *name;
    sw_tensor type;  /* data: of constants */
    bool referenced; /* by an operator or a port: others are not written */
} sw_tfw_tensor;

typedef struct sw_tfw_operator {
    int code, version, options; /* number in the union; 0: none */
    sw_fb_field fields[SW_TFW_FIELDS];
    int n_fields, n_in, n_out;
    int32_t *ports; /* inputs, then outputs */
} sw_tfw_operator;

typedef struct sw_tfw_forms {
    int n;
    struct {
        int32_t tensor;
        sw_axes axes;
    } at[SW_TFW_FORMS];
} sw_tfw_forms;

typedef struct sw_tfw {
    sw_graph *graph;
    const sw_export_options *options;
    const sw_diag *diag;
    sw_status status;
    sw_arena *scratch;
    sw_tfw_tensor *tensors;
    size_t n_tensors, cap_tensors;
    sw_tfw_operator *operators;
    size_t n_operators, cap_operators;
    sw_tfw_forms *forms; /* by value id */
    sw_node **readers;   /* by value id: the one node that reads it, NULL where there are more or none */
    bool *fused;         /* by value id of a node's first output: the node was written with another */
    const sw_node *node; /* that is being written */
    int32_t transposes;  /* written so far */
} sw_tfw;

/* Sets the status. `why` NULL: the format has no such operator. */
int32_t sw__tfw_refuse(sw_tfw *w, const char *why);
int32_t sw__tfw_nomem(sw_tfw *w);

/* ---- Tensors (layout.c) -------------------------------------------------------------------------------------------- */

int32_t sw__tfw_tensor(sw_tfw *w, const char *name, const sw_tensor *type);
/* A value in any order (*axes), in a given one, in its own. */
int32_t sw__tfw_any(sw_tfw *w, const sw_value *v, sw_axes *axes);
int32_t sw__tfw_as(sw_tfw *w, const sw_value *v, sw_axes axes);
int32_t sw__tfw_plain(sw_tfw *w, const sw_value *v);
/* The order that most of the node's inputs of the highest rank have; and an input in it, broadcast from lower rank. */
sw_axes sw__tfw_common(sw_tfw *w);
int32_t sw__tfw_operand(sw_tfw *w, const sw_value *v, const sw_axes *axes);
/* A tensor that will hold output `i` of the node (of a fused one, its result) in this order. */
int32_t sw__tfw_out(sw_tfw *w, const sw_value *v, sw_axes axes);
/* Notes that a tensor holds a value. */
void sw__tfw_holds(sw_tfw *w, const sw_value *v, int32_t tensor, const sw_axes *axes);
/* A tensor between operators, named after the node's output; dims as stored. */
int32_t sw__tfw_temp(sw_tfw *w, sw_dtype dtype, int rank, const int64_t *dims);
int32_t sw__tfw_like(sw_tfw *w, int32_t tensor); /* of the same type and dims */

int32_t sw__tfw_ints(sw_tfw *w, const int64_t *v, int n);                  /* int32, rank 1 */
int32_t sw__tfw_int(sw_tfw *w, int64_t v);                                 /* int32, rank 0 */
int32_t sw__tfw_float(sw_tfw *w, double v);                                /* float32, rank 0 */
int32_t sw__tfw_const(sw_tfw *w, const char *name, const sw_tensor *type); /* data is not copied */

/* ---- Operators ----------------------------------------------------------------------------------------------------- */

/* Adds one; returns it for its options, NULL after a failure. Any port that is -2 (absent) becomes -1 in the file. */
enum { SW_TFW_ABSENT = -2 };
sw_tfw_operator *sw__tfw_add(sw_tfw *w, int code, int version, int n_in, const int32_t *in, int n_out,
                             const int32_t *out);
#define SW_TFW_ADD(w, code, version, out, ...)                                                                         \
    sw__tfw_add((w), SW_TFL_##code, (version), (int)(sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)),              \
                (int32_t[]){__VA_ARGS__}, 1, (int32_t[]){(out)})
/* Sets the union's kind and its fields, in the order of slots. Takes NULL. */
void sw__tfw_options(sw_tfw_operator *op, int kind, int n, const sw_fb_field *fields);
#define SW_TFW_OPTIONS(op, kind, ...)                                                                                  \
    sw__tfw_options((op), (kind), (int)(sizeof((sw_fb_field[]){__VA_ARGS__}) / sizeof(sw_fb_field)),                   \
                    (sw_fb_field[]){__VA_ARGS__})
int32_t sw__tfw_reshape(sw_tfw *w, int32_t x, int32_t out); /* to the dims of `out`; returns it */
int32_t sw__tfw_permute(sw_tfw *w, int32_t x, const int64_t *perm, int32_t out);
/* The activation that may be fused behind the node: its number; *v becomes the value that results, *node is noted as fused. */
int sw__tfw_fuse(sw_tfw *w, const sw_value **v);

/* ---- Table --------------------------------------------------------------------------------------------------------- */

typedef void (*sw_tfw_function)(sw_tfw *w, const sw_node *node, int arg);
typedef struct sw_tfw_row {
    sw_op op;
    sw_tfw_function write; /* NULL ends a table */
    int arg;
} sw_tfw_row;
extern const sw_tfw_row sw__tfw_spatial[], sw__tfw_element[], sw__tfw_move[], sw__tfw_index[];

/* spatial.c: whether the paddings are those that TensorFlow's SAME would choose. */
bool sw__tfw_is_same(const sw_window *win);

/* compose.c: operators that the format lacks, as several that it has. Types must be known, and are known afterwards. */
bool sw__tfw_composes(sw_op op);
SW_MUST_USE sw_status sw__tfw_compose(sw_graph *graph, const sw_diag *diag);

/* write.c: the FlatBuffer of what was gathered. */
SW_MUST_USE sw_status sw__tfw_serialise(sw_tfw *w, const int32_t *inputs, const int32_t *outputs, sw_fb_writer *fb);

#endif
