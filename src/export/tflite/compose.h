/* Operators that the format lacks as several that it has: the graph is rewritten before anything is written.
 *
 * The first failure sticks in `status`; values are then NULL, which all functions pass through. */
#ifndef SLIPWAY_EXPORT_TFLITE_COMPOSE_H
#define SLIPWAY_EXPORT_TFLITE_COMPOSE_H

#include "export/tflite/model.h"

typedef struct sw_tfc {
    sw_graph *graph;
    sw_node *node, *next; /* the one that goes; what stands behind it */
    const sw_diag *diag;
    sw_status status;
} sw_tfc;

sw_value *sw__tfc_nomem(sw_tfc *c);
void sw__tfc_refuse(sw_tfc *c, const char *why);

sw_value *sw__tfc_apply(sw_tfc *c, sw_op op, int n, sw_value *const *in);
#define SW_TFC_APPLY(op, ...)                                                                                          \
    sw__tfc_apply(c, SW_OP_##op, (int)(sizeof((sw_value *[]){__VA_ARGS__}) / sizeof(sw_value *)),                      \
                  (sw_value *[]){__VA_ARGS__})
/* Sets an attribute of the node that made a value. */
sw_value *sw__tfc_with_int(sw_value *v, const char *name, int64_t to);
sw_value *sw__tfc_constant(sw_tfc *c, sw_dtype dtype, int rank, const int64_t *dims); /* zeros */
sw_value *sw__tfc_ints(sw_tfc *c, const int64_t *v, int n);
sw_value *sw__tfc_floats(sw_tfc *c, int n, const float *v);
sw_value *sw__tfc_number(sw_tfc *c, double v); /* float32, rank 0 */
sw_value *sw__tfc_joined(sw_tfc *c, int n, sw_value *const *x, int axis);
sw_value *sw__tfc_transposed(sw_tfc *c, sw_value *x, const int64_t *perm, int n);
/* Pieces of these lengths along an axis; all NULL after a failure. */
void sw__tfc_split(sw_tfc *c, sw_value *x, int axis, int n, const int64_t *lengths, sw_value **out);
/* Output `i` of the node that goes is this value. */
void sw__tfc_hand_over(sw_tfc *c, int i, sw_value *fresh);

typedef struct sw_tfc_row {
    sw_op op;
    bool (*applies)(const sw_node *node); /* NULL: to all */
    void (*compose)(sw_tfc *c);           /* NULL ends a table */
} sw_tfc_row;
extern const sw_tfc_row sw__tfc_unroll[], sw__tfc_sample[], sw__tfc_formula[], sw__tfc_einsum[];

#endif
