/* Fast kernels: variants of operators for instruction sets, tried before the reference kernels.
 *
 * fast.inc is the list: SW_FAST(op id, function, features). A function returns true when it has computed the
 * outputs of the call, and false, with outputs untouched, when it does not handle it (types, layouts, shapes, no
 * memory for scratch). Results differ from the reference's by no more than the operator's tolerance, and do not
 * depend on the number of threads. */
#ifndef SLIPWAY_KERNELS_FAST_H
#define SLIPWAY_KERNELS_FAST_H

#include "kernels/kernel.h"

typedef bool (*sw_fast_fn)(const sw_call *c);

/* Runs the call on the first fast kernel that this CPU can run and that accepts it. False: the reference kernel is
 * due, which it always is where the call asks for it. */
bool sw_kernel_fast(const sw_call *c);

#define SW_FAST(op, function, features) bool function(const sw_call *c);
#include "kernels/fast.inc"
#undef SW_FAST

/* For such functions: every input and output that is there is float32 and lies row by row. */
static inline bool sw__is_plain_f32(const sw_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i] && (c->in[i]->dtype != SW_F32 || c->in[i]->layout != SW_ROW_MAJOR)) return false;
    for (int i = 0; i < c->n_out; i++)
        if (c->out[i] && (c->out[i]->dtype != SW_F32 || c->out[i]->layout != SW_ROW_MAJOR)) return false;
    return true;
}

/* Whether any of n columns from `first` on is wanted (sw_call.columns). */
static inline bool sw__any_wanted(const uint8_t *columns, int64_t first, int64_t n) {
    bool any = !columns;
    for (int64_t i = first; !any && i < first + n; i++) any = columns[i] != 0;
    return any;
}

#endif
