/* Shape rules and what they share. Each rule is documented by ONNX; see sw_shape_rule for the contract. */
#ifndef SLIPWAY_OPS_SHAPE_H
#define SLIPWAY_OPS_SHAPE_H

#include "ops/op.h"

/* Prototypes of all rules. Rules named twice in the table declare the same function twice, which C allows. */
#define SW_OP(id, name, domain, min_in, max_in, min_out, max_out, rule, tolerance, doc, attrs)                     \
    sw_status sw__shape_##rule(const sw_call *c);
#include "ops/ops.def"
#undef SW_OP

static inline bool sw_dim_known(int64_t dim) { return dim >= 0; }

/* Axis from -rank..rank-1 to 0..rank-1; -1 when outside. */
static inline int sw_axis(int64_t axis, int rank) {
    if (axis < 0) axis += rank;
    return axis >= 0 && axis < rank ? (int)axis : -1;
}

/* Sets type and rank of a tensor with all dims unknown; and a copy of another's type and shape (not data). */
void sw__set_unknown(sw_tensor *t, sw_dtype dtype, int rank);
void sw__set_like(sw_tensor *t, const sw_tensor *like);

/* numpy broadcasting of two dims and of whole shapes (in `out`, type untouched). Unknown against known > 1 gives
 * the known one. SW_E_MODEL through sw_call_fail when they do not fit. */
SW_MUST_USE sw_status sw__broadcast_dim(const sw_call *c, int64_t a, int64_t b, int64_t *out);
SW_MUST_USE sw_status sw__broadcast(const sw_call *c, const sw_tensor *a, const sw_tensor *b, sw_tensor *out);

bool sw__dtype_is_integer(sw_dtype dtype); /* bool counts as one */

/* Reads a rank 0 or 1 integer input whose data is known: fills v (at most `max`), returns the count; -1 when the
 * input is absent or its data is not known (then *known_len, if not NULL, is its length when that is known, else
 * -1); -2 when it is of another type, of rank > 1 or longer than `max`. */
int sw__read_ints(const sw_tensor *t, int64_t *v, int max, int64_t *known_len);
/* The same for input `i` of a call, but reports the misfit: *n >= -1. `what`: its name for the message. */
SW_MUST_USE sw_status sw__input_ints(const sw_call *c, int i, const char *what, int64_t *v, int max, int *n,
                                     int64_t *known_len);
/* One integer, of rank 0 or 1; *known is false when the input is absent or its data is not known. */
SW_MUST_USE sw_status sw__input_int(const sw_call *c, int i, const char *what, int64_t *v, bool *known);

/* sw_axis that reports; `rank` is known. */
SW_MUST_USE sw_status sw__require_axis(const sw_call *c, int64_t axis, int rank, int *out);
/* The type that both have; an unknown one fits all. */
SW_MUST_USE sw_status sw__same_dtype(const sw_call *c, const sw_tensor *a, const sw_tensor *b, sw_dtype *out);
/* Product and sum of dims: not known where an operand is not (unless 0, or 1 in a product, tells); reports
 * overflow. */
SW_MUST_USE sw_status sw__dim_mul(const sw_call *c, int64_t a, int64_t b, int64_t *out);
SW_MUST_USE sw_status sw__dim_add(const sw_call *c, int64_t a, int64_t b, int64_t *out);

/* The extent that two tensors share; reports two known ones that differ. `what` names it: "the batch". */
SW_MUST_USE sw_status sw__agree(const sw_call *c, const char *what, int64_t a, int64_t b, int64_t *out);

/* Reports an output of more than SW_MAX_RANK axes. */
SW_MUST_USE sw_status sw__require_rank(const sw_call *c, int64_t rank);
/* Indices must be int32 or int64. */
SW_MUST_USE sw_status sw__require_index_type(const sw_call *c, const sw_tensor *indices);
/* An attribute that holds the number of an ONNX element type. */
SW_MUST_USE sw_status sw__attr_dtype(const sw_call *c, const char *name, sw_dtype *out);

/* What rules and kernels both need to know; in kernels everything is known. */
/* Shape: the axes from `start` to before `end` (which may lie before `start`); the input's rank is known. */
void sw__shape_range_axes(const sw_call *c, int64_t *start, int64_t *end);
/* Transpose: output axis i is input axis perm[i]. */
SW_MUST_USE sw_status sw__permutation(const sw_call *c, int rank, int *perm);
/* Slice: along each axis `count` elements from `first` on, `step` apart; count may be unknown or symbolic. */
typedef struct sw_slice {
    int64_t first[SW_MAX_RANK], step[SW_MAX_RANK], count[SW_MAX_RANK];
} sw_slice;
SW_MUST_USE sw_status sw__slice_resolve(const sw_call *c, sw_slice *s);
/* Pad: elements added (or, negative, cut) on each side, and the extents that come out. */
typedef struct sw_pads {
    int64_t begin[SW_MAX_RANK], end[SW_MAX_RANK], out[SW_MAX_RANK];
} sw_pads;
SW_MUST_USE sw_status sw__pad_resolve(const sw_call *c, sw_pads *p);

/* For Reduce kernels: which axes of input 1 (rank known, axes' data known) are reduced. */
SW_MUST_USE sw_status sw_call_reduced_axes(const sw_call *c, bool reduced[SW_MAX_RANK]);

/* QuantizeLinear, DequantizeLinear: which scale belongs to an element. block 0: the one scale; else element x[..,
 * i, ..] of `axis` has scale number i / block along that axis (blocks of 1: scales of rank 1). */
typedef struct sw_scales {
    int axis;
    int64_t block;
} sw_scales;
SW_MUST_USE sw_status sw_call_scales(const sw_call *c, sw_scales *s);

/* Geometry of convolutions and pools along the spatial axes, from the attributes auto_pad, dilations, kernel_shape
 * (or the weight's dims), pads, strides, ceil_mode. Sizes are checked: strides, dilations, kernel >= 1, pads >= 0. */
typedef struct sw_window {
    int n; /* spatial axes, at most SW_MAX_RANK - 2 */
    int64_t kernel[SW_MAX_RANK], stride[SW_MAX_RANK], dilation[SW_MAX_RANK], pad_begin[SW_MAX_RANK], pad_end[SW_MAX_RANK];
    int64_t in[SW_MAX_RANK], out[SW_MAX_RANK]; /* extents; may be unknown in shape rules */
} sw_window;
/* `kernel`: dims of the kernel when the attribute kernel_shape is not set (weights), else NULL. */
SW_MUST_USE sw_status sw_call_window(const sw_call *c, const sw_tensor *x, const int64_t *kernel, sw_window *w);
SW_MUST_USE sw_status sw_call_window_transposed(const sw_call *c, const sw_tensor *x, const int64_t *kernel, sw_window *w);
/* For kernels: makes it three spatial axes, with trivial ones in front. SW_E_UNSUPPORTED when there are more. */
SW_MUST_USE sw_status sw_call_window_3d(const sw_call *c, sw_window *w);

/* MaxUnpool: the extents that kernel_shape, pads and strides imply; the rank of the input is known. */
SW_MUST_USE sw_status sw_call_unpooled(const sw_call *c, int64_t *dims);

/* DFT: the axis that is transformed; *known is false when only the run tells. The input's rank is known. */
SW_MUST_USE sw_status sw_call_dft_axis(const sw_call *c, int *axis, bool *known);

/* Col2Im: blocks (kernel) of a picture (in), `out` of them along each axis. *known is false, and all but `n` (or -1)
 * empty, when image or block shape are not known. */
SW_MUST_USE sw_status sw_call_columns(const sw_call *c, sw_window *w, bool *known);

#endif
