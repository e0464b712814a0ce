/* Shape rules of operators that sample maps at computed places. */
#include <string.h>

#include "ops/shape.h"

sw_status sw__shape_grid_sample(const sw_call *c) {
    const sw_tensor *x = c->in[0], *grid = c->in[1];
    sw_tensor *y = sw_call_out(c, 0);
    static const char *const modes[] = {"linear", "bilinear", "nearest", "cubic", "bicubic"};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    const char *mode = sw_call_string(c, "mode"), *padding = sw_call_string(c, "padding_mode");
    bool known = false;
    for (int i = 0; i < 5; i++) known = known || strcmp(mode, modes[i]) == 0;
    if (!known) return sw_call_fail(c, "unknown mode '%.32s'", mode);
    known = false;
    for (int i = 0; i < 3; i++) known = known || strcmp(padding, paddings[i]) == 0;
    if (!known) return sw_call_fail(c, "unknown padding_mode '%.32s'", padding);
    int rank = x->rank >= 0 ? x->rank : grid->rank;
    if (rank >= 0 && rank < 3) return sw_call_fail(c, "the input has %d axes, expected at least 3", rank);
    if (x->rank >= 0 && grid->rank >= 0) {
        if (x->rank != grid->rank)
            return sw_call_fail(c, "the input has %d axes, the grid has %d", x->rank, grid->rank);
        int64_t tuple = grid->dims[rank - 1];
        if (sw_dim_known(tuple) && tuple != rank - 2)
            return sw_call_fail(c, "the grid holds tuples of %lld, expected %d", (long long)tuple, rank - 2);
        if (sw_dim_known(x->dims[0]) && sw_dim_known(grid->dims[0]) && x->dims[0] != grid->dims[0])
            return sw_call_fail(c, "the batch is %lld in the input and %lld in the grid", (long long)x->dims[0],
                                (long long)grid->dims[0]);
    }
    if (!y) return SW_OK;
    sw__set_unknown(y, x->dtype, rank);
    if (x->rank >= 0) memcpy(y->dims, x->dims, 2 * sizeof y->dims[0]);
    if (grid->rank >= 0) {
        if (!sw_dim_known(y->dims[0])) y->dims[0] = grid->dims[0];
        memcpy(y->dims + 2, grid->dims + 1, (size_t)(rank - 2) * sizeof y->dims[0]);
    }
    return SW_OK;
}

sw_status sw__shape_affine_grid(const sw_call *c) {
    const sw_tensor *theta = c->in[0];
    sw_tensor *y = sw_call_out(c, 0);
    int64_t size[5], length, same;
    int n;
    SW_TRY(sw__input_ints(c, 1, "size", size, 5, &n, &length));
    if (length >= 0 && length != 4 && length != 5)
        return sw_call_fail(c, "'size' has %lld entries, expected 4 or 5", (long long)length);
    if (theta->rank >= 0 && theta->rank != 3) return sw_call_fail(c, "theta has %d axes, expected 3", theta->rank);
    for (int i = 0; i < n; i++)
        if (size[i] < 0 || size[i] > INT32_MAX)
            return sw_call_fail(c, "the size %lld makes no sense", (long long)size[i]);
    if (theta->rank == 3 && length >= 0) {
        SW_TRY(sw__agree(c, "the number of rows of theta", theta->dims[1], length - 2, &same));
        SW_TRY(sw__agree(c, "the number of columns of theta", theta->dims[2], length - 1, &same));
    }
    if (theta->rank == 3 && n > 0) SW_TRY(sw__agree(c, "the batch", theta->dims[0], size[0], &same));
    if (!y) return SW_OK;
    sw__set_unknown(y, theta->dtype, length < 0 ? SW_RANK_UNKNOWN : (int)length);
    if (length < 0) return SW_OK;
    if (theta->rank == 3) y->dims[0] = theta->dims[0];
    y->dims[length - 1] = length - 2;
    if (n > 0) y->dims[0] = size[0];
    for (int i = 2; i < n; i++) y->dims[i - 1] = size[i];
    return SW_OK;
}

/* Input of rank 4, regions of rank 2 with `columns`; output: regions, channels, height, width. */
static sw_status regions_output(const sw_call *c, int64_t columns, int64_t height, int64_t width) {
    const sw_tensor *x = c->in[0], *rois = c->in[1];
    sw_tensor *y = sw_call_out(c, 0);
    int64_t same;
    sw_dtype dtype;
    SW_TRY(sw__same_dtype(c, x, rois, &dtype));
    if (x->rank >= 0 && x->rank != 4) return sw_call_fail(c, "the input has %d axes, expected 4", x->rank);
    if (rois->rank >= 0 && rois->rank != 2) return sw_call_fail(c, "the regions have %d axes, expected 2", rois->rank);
    if (rois->rank == 2) SW_TRY(sw__agree(c, "the number of values of a region", rois->dims[1], columns, &same));
    if (height < 1 || width < 1 || height > INT32_MAX || width > INT32_MAX)
        return sw_call_fail(c, "an output of %lld x %lld makes no sense", (long long)height, (long long)width);
    if (!y) return SW_OK;
    sw__set_unknown(y, dtype, 4);
    if (rois->rank == 2) y->dims[0] = rois->dims[0];
    if (x->rank == 4) y->dims[1] = x->dims[1];
    y->dims[2] = height;
    y->dims[3] = width;
    return SW_OK;
}

sw_status sw__shape_roi_align(const sw_call *c) {
    const sw_tensor *rois = c->in[1], *batches = c->in[2];
    int64_t same;
    SW_TRY(sw__require_index_type(c, batches));
    if (batches->rank >= 0 && batches->rank != 1)
        return sw_call_fail(c, "batch_indices have %d axes, expected 1", batches->rank);
    if (batches->rank == 1 && rois->rank == 2)
        SW_TRY(sw__agree(c, "the number of regions", rois->dims[0], batches->dims[0], &same));
    return regions_output(c, 4, sw_call_int(c, "output_height"), sw_call_int(c, "output_width"));
}

sw_status sw__shape_max_roi_pool(const sw_call *c) {
    const sw_attr *shape = sw_call_attr(c, "pooled_shape", SW_ATTR_INTS);
    if (!shape->set || shape->ints.n != 2) return sw_call_fail(c, "pooled_shape must have 2 entries");
    return regions_output(c, 5, shape->ints.v[0], shape->ints.v[1]);
}

/* Three or fewer spatial axes are unpooled as the pool with the same attributes would have made them. */
sw_status sw__shape_max_unpool(const sw_call *c) {
    const sw_tensor *x = c->in[0], *indices = c->in[1];
    sw_tensor *y = sw_call_out(c, 0);
    int64_t natural[SW_MAX_RANK], wanted[SW_MAX_RANK], length = -1, same;
    int n = -1;
    if (indices->dtype != SW_I64 && indices->dtype != SW_DTYPE_NONE)
        return sw_call_fail(c, "indices must be int64, found %s", sw_dtype_name(indices->dtype));
    if (sw_call_in(c, 2)) SW_TRY(sw__input_ints(c, 2, "output_shape", wanted, SW_MAX_RANK, &n, &length));
    if (x->rank < 0) {
        if (y) sw__set_unknown(y, x->dtype, (int)length);
        return SW_OK;
    }
    if (length >= 0) SW_TRY(sw__agree(c, "the number of axes", x->rank, length, &same));
    if (indices->rank >= 0 && indices->rank != x->rank)
        return sw_call_fail(c, "indices have %d axes, the input %d", indices->rank, x->rank);
    for (int i = 0; i < indices->rank; i++) SW_TRY(sw__agree(c, "an extent", x->dims[i], indices->dims[i], &same));
    SW_TRY(sw_call_unpooled(c, natural));
    if (y) sw__set_unknown(y, x->dtype, x->rank);
    for (int i = 0; i < x->rank; i++) {
        if (n >= 0 && sw_dim_known(natural[i]) && wanted[i] < natural[i])
            return sw_call_fail(c, "output_shape asks for %lld along axis %d, but there are %lld", (long long)wanted[i],
                                i, (long long)natural[i]);
        if (y) y->dims[i] = n >= 0 ? wanted[i] : sw_call_in(c, 2) ? SW_DIM_UNKNOWN : natural[i];
    }
    return SW_OK;
}

sw_status sw_call_unpooled(const sw_call *c, int64_t *dims) {
    const sw_tensor *x = c->in[0];
    const sw_attr *kernel = sw_call_attr(c, "kernel_shape", SW_ATTR_INTS),
                  *pads = sw_call_attr(c, "pads", SW_ATTR_INTS), *strides = sw_call_attr(c, "strides", SW_ATTR_INTS);
    int n = x->rank - 2;
    if (n < 1) return sw_call_fail(c, "the input has %d axes, expected at least 3", x->rank);
    if (kernel->ints.n != n || (pads->set && pads->ints.n != 2 * n) || (strides->set && strides->ints.n != n))
        return sw_call_fail(c, "kernel_shape, pads and strides must fit %d spatial axes", n);
    for (int i = 0; i < n; i++) {
        int64_t k = kernel->ints.v[i], stride = strides->set ? strides->ints.v[i] : 1, in = x->dims[2 + i];
        int64_t begin = pads->set ? pads->ints.v[i] : 0, end = pads->set ? pads->ints.v[n + i] : 0;
        if (k < 1 || k > INT32_MAX || stride < 1 || stride > INT32_MAX || begin < 0 || begin > INT32_MAX || end < 0 ||
            end > INT32_MAX || in > INT32_MAX)
            return sw_call_fail(c, "kernel_shape, pads or strides make no sense");
        int64_t out = (in - 1) * stride + k - begin - end;
        dims[2 + i] = !sw_dim_known(in) ? SW_DIM_UNKNOWN : in == 0 || out < 0 ? 0 : out;
    }
    dims[0] = x->dims[0];
    dims[1] = x->dims[1];
    return SW_OK;
}

sw_status sw__shape_non_max_suppression(const sw_call *c) {
    const sw_tensor *boxes = c->in[0], *scores = c->in[1];
    sw_tensor *y = sw_call_out(c, 0);
    int64_t center = sw_call_int(c, "center_point_box"), same;
    if (center != 0 && center != 1) return sw_call_fail(c, "center_point_box is %lld", (long long)center);
    if ((boxes->rank >= 0 && boxes->rank != 3) || (scores->rank >= 0 && scores->rank != 3))
        return sw_call_fail(c, "boxes and scores have %d and %d axes, expected 3 and 3", boxes->rank, scores->rank);
    if (boxes->rank == 3) SW_TRY(sw__agree(c, "the number of values of a box", boxes->dims[2], 4, &same));
    if (boxes->rank == 3 && scores->rank == 3) {
        SW_TRY(sw__agree(c, "the batch", boxes->dims[0], scores->dims[0], &same));
        SW_TRY(sw__agree(c, "the number of boxes", boxes->dims[1], scores->dims[2], &same));
    }
    for (int i = 2; i < 5; i++) {
        const sw_tensor *t = sw_call_in(c, i);
        if (t && sw_tensor_is_concrete(t) && sw_tensor_count(t) != 1)
            return sw_call_fail(c, "input %d must be one value", i + 1);
    }
    if (!y) return SW_OK;
    sw__set_unknown(y, SW_I64, 2); /* how many are selected depends on the data */
    y->dims[1] = 3;
    return SW_OK;
}
