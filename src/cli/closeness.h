/* How near two tensors are that should be the same. */
#ifndef SLIPWAY_CLI_CLOSENESS_H
#define SLIPWAY_CLI_CLOSENESS_H

#include "base/arena.h"
#include "slipway/tensor.h"

/* Errors are shares of a scale: of tables (rank 3) that of each row, so that scores are not measured against boxes:
 * the largest value of the row, but at least the largest of the whole tensor or 1, whichever is less; never below
 * 1e-3. Rows lie along the shorter of the last two axes. Of other tensors the scale is that of the whole. */
typedef struct sw_closeness {
    bool comparable;                      /* same number of elements and dims */
    double max_error, mean_error, cosine; /* cosine 1: same direction; NaN never */
    int64_t odd;                          /* places where one is finite and the other not, or both differ otherwise */
} sw_closeness;

/* Compares two concrete tensors with data, of any types. A list of chosen things (N x K x C, K at most 1,024: boxes
 * after top-k or suppression) may come in another order where scores are nearly equal, and differ at its end: where
 * its max_error is above `tolerance`, rows are matched by nearness and the worst 2 % of them left out. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_closeness_of(const sw_tensor *want, const sw_tensor *got, double tolerance,
                                      sw_closeness *closeness);

/* Elements of a rank 4 tensor in another order of axes: N H W C from N C H W, or back; data in the
 * arena. `to` may be the source. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_tensor_channels_last(const sw_tensor *source, bool back, sw_arena *arena, sw_tensor *to);

#endif
