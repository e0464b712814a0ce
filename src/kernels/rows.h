/* Row functions of binary operators, shared by the kernels that combine two arrays element by element. */
#ifndef SLIPWAY_KERNELS_ROWS_H
#define SLIPWAY_KERNELS_ROWS_H

#include "ops/op.h"

/* out[i] = a[i * sa] op b[i * sb] for i < n. `out` overlaps neither input. */
typedef void (*sw_row2)(const void *a, int64_t sa, const void *b, int64_t sb, void *out, int64_t n);

/* Runs a row function over two inputs that broadcast to `out`, spread over `pool`. */
void sw__row2_run(sw_pool *pool, sw_row2 row, const sw_tensor *a, const sw_tensor *b, const sw_tensor *out);
/* acc[i] = acc[i] op b[i * sb], elements of `size` bytes. */
void sw__row2_accumulate(sw_row2 row, size_t size, void *acc, const void *b, int64_t sb, int64_t n);

/* Add, Sub, Mul, Div, Min, Max and the other arithmetic of elements of one type; NULL where the operator has no such
 * type. Sum and Mean add. Integers wrap around. */
sw_row2 sw__arithmetic_row(sw_op op, sw_dtype dtype);

/* Defines a row function `name` from elements of `T`, loaded as `C`, to results of `R`: `expr` of x and y, stored by
 * `store`. The common strides get loops of their own, which compilers turn into vector code. */
#define SW_ROW2_LOOP(C, load, store, first, second, expr)                                                              \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        C x = load(first), y = load(second);                                                                           \
        o[i] = store(expr);                                                                                            \
    }
#define SW_ROW2(name, T, C, R, load, store, expr)                                                                      \
    static void name(const void *pa, int64_t sa, const void *pb, int64_t sb, void *po, int64_t n) {                    \
        const T *restrict a = pa, *restrict b = pb;                                                                    \
        R *restrict o = po;                                                                                            \
        if (sa == 1 && sb == 1)                                                                                        \
            SW_ROW2_LOOP(C, load, store, a[i], b[i], expr)                                                             \
        else if (sa == 1 && sb == 0)                                                                                   \
            SW_ROW2_LOOP(C, load, store, a[i], b[0], expr)                                                             \
        else if (sa == 0 && sb == 1)                                                                                   \
            SW_ROW2_LOOP(C, load, store, a[0], b[i], expr)                                                             \
        else                                                                                                           \
            SW_ROW2_LOOP(C, load, store, a[i * sa], b[i * sb], expr)                                                   \
    }

#endif
