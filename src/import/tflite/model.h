/* The model as it is written, and the state of an import.
 *
 * The first error sticks in `status`; from then on functions return NULL or do nothing, and NULL values are passed through, so
 * that translations read as straight code and only the loop over operators looks. */
#ifndef SLIPWAY_IMPORT_TFLITE_MODEL_H
#define SLIPWAY_IMPORT_TFLITE_MODEL_H

#include "base/fb.h"
#include "import/tflite/tflite.h"
#include "ir/axes.h"
#include "ir/tflite_schema.h"

enum { SW_TFL_MAX_TENSORS = 1 << 20, SW_TFL_MAX_OPERATORS = 1 << 20, SW_TFL_FORMS = 4, SW_TFL_SMALL = 1024 };

/* A value of the graph that holds a tensor, and the order of axes in which it does. */
typedef struct sw_tfl_form {
    sw_value *value;
    sw_axes axes;
} sw_tfl_form;

typedef struct sw_tfl_tensor sw_tfl_tensor;
struct sw_tfl_tensor {
    const char *name;
    int type;       /* number in the file */
    sw_tensor like; /* type, dims and, of constants, data, all as in the file */
    bool variable, sparse;
    sw_fb_vector scales, zeros;
    int scale_axis;
    sw_tfl_form forms[SW_TFL_FORMS]; /* what was made of it so far; the first is how it came into being */
    int n_forms;
    sw_tfl_tensor *real;      /* the same dequantised, once somebody wanted it */
    sw_tfl_tensor *quantised; /* of such a one: where it comes from */
    /* Made by PAD with zeros: of which tensor, and how much on each side of its axes. */
    sw_tfl_tensor *unpadded;
    int64_t pads[SW_MAX_RANK][2];
};

typedef struct sw_tfl {
    sw_graph *graph;
    sw_arena *scratch; /* lives while the file is read */
    const sw_diag *diag;
    const char *label;
    sw_evaluate evaluate;
    sw_status status;
    const uint8_t *bytes;
    size_t size;
    sw_fb fb;
    uint64_t bytes_left; /* that may be copied or read */
    sw_fb_vector buffers, codes;
    sw_tfl_tensor *tensors;
    uint32_t n_tensors;
    sw_fb_table subgraph;
} sw_tfl;

/* One operator that is being translated. */
typedef struct sw_tfl_node {
    sw_tfl *m;
    const char *kind; /* "CONV_2D" */
    int code, number; /* of the operator in the file */
    int arg;          /* of the row of the table */
    sw_fb_table options;
    sw_tfl_tensor **in, **out; /* in[i] NULL: absent */
    int n_in, n_out;
} sw_tfl_node;

/* read.c: the tables of the file; the builtin code of an operator, or SW_TFL_CUSTOM with its name. */
SW_MUST_USE sw_status sw__tfl_read(sw_tfl *m);
/* Fills kind, code, in, out; the arrays lie in scratch. */
SW_MUST_USE sw_status sw__tfl_read_node(sw_tfl *m, const sw_fb_table *op, sw_tfl_node *n);
const char *sw__tfl_type_name(int type);
/* metadata.c: entries of the appended zip archive. Broken ones are warned of. */
SW_MUST_USE sw_status sw__tfl_metadata(sw_tfl *m);
/* build.c: ports, operators. */
SW_MUST_USE sw_status sw__tfl_build(sw_tfl *m);

/* ---- Errors -------------------------------------------------------------------------------------------------------- */

/* Sets the status, once; both return NULL for `return ...`. The second names the operator. */
void *sw__tfl_fail(sw_tfl *m, sw_status status, const char *fmt, ...) SW_PRINTF(3, 4);
void *sw__tfl_refuse(sw_tfl_node *n, sw_status status, const char *fmt, ...) SW_PRINTF(3, 4);
void *sw__tfl_nomem(sw_tfl *m);
/* Takes bytes off what may be copied; false (and an error) when too much. */
bool sw__tfl_charge(sw_tfl *m, uint64_t bytes);

/* ---- Values (layout.c) --------------------------------------------------------------------------------------------- */

/* The tensor in a given order of axes: made by a Transpose or Reshape where it is not there. */
sw_value *sw__tfl_in_form(sw_tfl *m, sw_tfl_tensor *t, const sw_axes *axes);
/* Input `i` in the file's order; in the order that it came in (*axes). NULL with an error when it is absent. */
sw_value *sw__tfl_plain(sw_tfl_node *n, int i);
sw_value *sw__tfl_any(sw_tfl_node *n, int i, sw_axes *axes);
sw_value *sw__tfl_as(sw_tfl_node *n, int i, sw_axes axes);
/* The tensor in floating point: itself, or a tensor of its own that dequantises it. */
sw_tfl_tensor *sw__tfl_real(sw_tfl *m, sw_tfl_tensor *t);
/* Makes all inputs real. */
void sw__tfl_all_real(sw_tfl_node *n);
bool sw__tfl_quantised(const sw_tfl_tensor *t); /* int8, uint8 or int16 with scales */
/* Equal scale and zero point: one for the whole tensor. */
bool sw__tfl_same_scale(const sw_tfl_tensor *a, const sw_tfl_tensor *b);
/* Scales and zero points as constants: of rank 0 for a single one, else of rank 1. */
void sw__tfl_scales(sw_tfl *m, const sw_tfl_tensor *t, sw_value **scale, sw_value **zero);
float sw__tfl_scale(const sw_tfl_tensor *t);
int64_t sw__tfl_zero(const sw_tfl_tensor *t);

/* Output `i` is this value, stored so. The second quantises it where the tensor is. */
void sw__tfl_out(sw_tfl_node *n, int i, sw_value *value, sw_axes axes);
void sw__tfl_out_real(sw_tfl_node *n, int i, sw_value *value, sw_axes axes);
/* With the fused activation first: on floats, or on integers as a Clip. */
void sw__tfl_out_act(sw_tfl_node *n, sw_value *value, sw_axes axes, int64_t activation, bool real);

/* ---- Building (layout.c) ------------------------------------------------------------------------------------------- */

sw_value *sw__tfl_apply(sw_tfl *m, sw_op op, const char *name, int n, sw_value *const *in);
/* Of a node that is being translated, named after its output. */
#define SW_TFL_APPLY(n, op, ...)                                                                                       \
    sw__tfl_apply((n)->m, (op), (n)->out[0]->name, (int)(sizeof((sw_value *[]){__VA_ARGS__}) / sizeof(sw_value *)),    \
                  (sw_value *[]){__VA_ARGS__})
/* Attributes of the node that made a value, which may be NULL; before the value is used. */
void sw__tfl_set_int(sw_value *value, const char *name, int64_t v);
void sw__tfl_set_float(sw_value *value, const char *name, float v);
void sw__tfl_set_string(sw_tfl *m, sw_value *value, const char *name, const char *v);
void sw__tfl_set_ints(sw_tfl *m, sw_value *value, const char *name, const int64_t *v, int n);
/* Runs the shape rule of the node that made a value, if it has not run; a small constant result is computed. Returns the
 * value to use from then on. Whatever uses a value does this first. */
sw_value *sw__tfl_settle(sw_tfl *m, sw_value *value);

sw_value *sw__tfl_const_ints(sw_tfl *m, const int64_t *v, int n);
/* A number in the type of a value or tensor. */
sw_value *sw__tfl_number(sw_tfl *m, sw_dtype dtype, double v);
sw_value *sw__tfl_reshape(sw_tfl *m, const char *name, sw_value *x, const int64_t *dims, int n);
sw_value *sw__tfl_transpose(sw_tfl *m, const char *name, sw_value *x, const int64_t *perm, int n);
sw_value *sw__tfl_cast(sw_tfl *m, const char *name, sw_value *x, sw_dtype to);

/* Reads a constant list of integers that input `i` holds, at most SW_MAX_RANK of them. False when it is absent or no
 * constant (no error), or unfit (an error). */
bool sw__tfl_ints(sw_tfl_node *n, int i, int64_t *v, int *count);
/* Input `i` as int64 of rank 1, for operators that take lists. */
sw_value *sw__tfl_list(sw_tfl_node *n, int i);
/* Dims of what a tensor holds now, in the file's order. False, with an error, when they are not known. */
bool sw__tfl_dims(sw_tfl_node *n, const sw_tfl_tensor *t, int64_t *dims, int *rank);

/* Inputs of element-wise operators: the order of axes that fits most, and input `i` in it, broadcast from lower rank. */
sw_axes sw__tfl_common(sw_tfl_node *n);
sw_value *sw__tfl_operand(sw_tfl_node *n, int i, const sw_axes *axes);
/* A value stored in the order *axes is reshaped to `dims` of the file's order; *axes becomes the result's. */
sw_value *sw__tfl_reshaped(sw_tfl_node *n, sw_value *value, sw_axes *axes, const int64_t *dims, int rank);

/* ---- Translations -------------------------------------------------------------------------------------------------- */

typedef void (*sw_tfl_translation)(sw_tfl_node *n);
typedef struct sw_tfl_row {
    int code;
    sw_tfl_translation translate;
    int arg; /* what the function makes of it: mostly an sw_op */
} sw_tfl_row;
/* The tables; each ends with a NULL function. */
extern const sw_tfl_row sw__tfl_spatial[], sw__tfl_element[], sw__tfl_move[], sw__tfl_reduce[], sw__tfl_recurrent[];

#endif
