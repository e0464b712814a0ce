/* Softmax, LogSoftmax and Hardmax, in double, one lane after the other: the maximum, the sum, the output. */
#include <math.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

typedef struct softmax {
    const sw_call *call;
    sw_lanes lanes;
} softmax;

/* First maximum of a lane; NaN wins, so that it spreads over the lane. */
static double lane_max(const sw_tensor *x, int64_t first, int64_t step, int64_t length, int64_t *where) {
    double v[SW_WIDE], best = -HUGE_VAL;
    *where = 0;
    for (int64_t i = 0, n; i < length; i += n) {
        n = sw__min64(SW_WIDE, length - i);
        sw__widen(x->dtype, x->data, first + i * step, step, n, v);
        for (int64_t j = 0; j < n; j++) {
            if (!(v[j] > best) && v[j] == v[j]) continue;
            best = v[j];
            *where = i + j;
        }
    }
    return best;
}

static double lane_sum(const sw_tensor *x, int64_t first, int64_t step, int64_t length, double best) {
    double v[SW_WIDE], sum = 0;
    for (int64_t i = 0, n; i < length; i += n) {
        n = sw__min64(SW_WIDE, length - i);
        sw__widen(x->dtype, x->data, first + i * step, step, n, v);
        for (int64_t j = 0; j < n; j++) sum += exp(v[j] - best);
    }
    return sum;
}

static void run_lanes(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const softmax *s = ctx;
    const sw_call *c = s->call;
    const sw_tensor *x = c->in[0];
    int64_t step = s->lanes.inner, length = s->lanes.length;
    for (int64_t lane = begin; lane < end; lane++) {
        int64_t first = lane / step * length * step + lane % step, top;
        double best = lane_max(x, first, step, length, &top), v[SW_WIDE];
        double sum = c->op == SW_OP_Hardmax ? 1 : lane_sum(x, first, step, length, best), log_sum = log(sum);
        for (int64_t i = 0, n; i < length; i += n) {
            n = sw__min64(SW_WIDE, length - i);
            sw__widen(x->dtype, x->data, first + i * step, step, n, v);
            for (int64_t j = 0; j < n; j++) {
                if (c->op == SW_OP_Hardmax)
                    v[j] = i + j == top;
                else
                    v[j] = c->op == SW_OP_Softmax ? exp(v[j] - best) / sum : v[j] - best - log_sum;
            }
            sw__narrow(x->dtype, v, n, c->out[0]->data, first + i * step, step);
        }
    }
}

sw_status sw__softmax_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    if (!sw__dtype_is_float(x->dtype)) return sw__refuse_dtype(c, x->dtype);
    if (!sw_call_out(c, 0) || sw_tensor_count(x) == 0) return SW_OK;
    int axis = sw_axis(sw_call_int(c, "axis"), x->rank);
    bool to_end = sw_call_int(c, "to_end") != 0;
    softmax s = {c, {1, 1, 1}}; /* a scalar is a lane of one */
    if (x->rank > 0) s.lanes = sw__lanes(x, axis, to_end ? x->rank : axis + 1);
    sw_pool_for(c->pool, s.lanes.outer * s.lanes.inner, 1 + 4096 / s.lanes.length, run_lanes, &s);
    return SW_OK;
}
