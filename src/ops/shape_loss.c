/* Shape rules of losses. */
#include <string.h>

#include "ops/shape.h"

static sw_status check_targets(const sw_call *c) {
    const sw_tensor *x = c->in[0], *target = c->in[1], *weight = sw_call_in(c, 2);
    int64_t same;
    SW_TRY(sw__require_index_type(c, target));
    if (x->rank >= 0 && x->rank < 2) return sw_call_fail(c, "the input has %d axes, expected at least 2", x->rank);
    if (x->rank >= 0 && target->rank >= 0) {
        if (target->rank != x->rank - 1)
            return sw_call_fail(c, "the target has %d axes, expected %d", target->rank, x->rank - 1);
        for (int i = 0; i < target->rank; i++)
            SW_TRY(sw__agree(c, "an extent", x->dims[i ? i + 1 : 0], target->dims[i], &same));
    }
    if (!weight) return SW_OK;
    sw_dtype dtype;
    SW_TRY(sw__same_dtype(c, x, weight, &dtype));
    if (weight->rank >= 0 && weight->rank != 1) return sw_call_fail(c, "weights have %d axes", weight->rank);
    if (weight->rank == 1 && x->rank >= 0)
        SW_TRY(sw__agree(c, "the number of classes", x->dims[1], weight->dims[0], &same));
    return SW_OK;
}

sw_status sw__shape_loss(const sw_call *c) {
    const char *reduction = sw_call_string(c, "reduction");
    bool none = strcmp(reduction, "none") == 0;
    sw_tensor *loss = sw_call_out(c, 0), *log_prob = sw_call_out(c, 1);
    if (!none && strcmp(reduction, "mean") != 0 && strcmp(reduction, "sum") != 0)
        return sw_call_fail(c, "unknown reduction '%.32s'", reduction);
    SW_TRY(check_targets(c));
    if (loss && none) sw__set_like(loss, c->in[1]);
    if (loss && !none) sw__set_unknown(loss, SW_DTYPE_NONE, 0);
    if (loss) loss->dtype = c->in[0]->dtype;
    if (log_prob) sw__set_like(log_prob, c->in[0]);
    return SW_OK;
}
