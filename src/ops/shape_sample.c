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
