/* Orders of axes: how the axes of a value lie in another form of it. Formats that are channels-last read and write
 * the graph's channels-first maps so: a transposition is then a change of view, and data is moved only where an
 * operator needs a certain order. */
#ifndef SLIPWAY_IR_AXES_H
#define SLIPWAY_IR_AXES_H

#include "slipway/tensor.h"

/* Axis `i` of the stored form is axis at[i] of the value. */
typedef struct sw_axes {
    int n;
    uint8_t at[SW_MAX_RANK];
} sw_axes;

sw_axes sw_axes_plain(int n); /* 0, 1, 2 ... */
/* Channels last: 0, 2, ..., n - 1, 1; and its inverse, 0, n - 1, 1, ... */
sw_axes sw_axes_channels_last(int n);
sw_axes sw_axes_channels_first(int n);
bool sw_axes_equal(const sw_axes *a, const sw_axes *b);
bool sw_axes_is_plain(const sw_axes *a);
/* Where axis `axis` of the value is stored. */
int sw_axes_find(const sw_axes *a, int axis);
/* The stored dims. */
void sw_axes_apply(const sw_axes *a, const int64_t *dims, int64_t *stored);
/* `perm` with which numpy.transpose makes the form `to` from the form `from`. */
void sw_axes_between(const sw_axes *from, const sw_axes *to, int64_t *perm);
/* True when from and to differ in the places of axes of extent 1 only: then a reshape does it. */
bool sw_axes_same_order(const sw_axes *from, const sw_axes *to, const int64_t *dims);
/* The value is transposed: axis i of the result is axis perm[i] of the value. How the unmoved data stores the result. */
sw_axes sw_axes_transposed(const sw_axes *a, const int64_t *perm);
/* The value is reshaped from `dims` to n_out `out` dims (all known). If the stored form can be reshaped without moving data:
 * true, and how it then stores the result. */
bool sw_axes_reshaped(const sw_axes *a, const int64_t *dims, int n_out, const int64_t *out, sw_axes *result);

#endif
