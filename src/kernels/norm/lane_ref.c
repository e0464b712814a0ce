/* LpNormalization and LRN: along lanes, across channels; in double. */
#include <math.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

/* A lane of zeros stays one. */
sw_status sw__lp_norm_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = sw_call_out(c, 0);
    int64_t p = sw_call_int(c, "p");
    if (p != 1 && p != 2) return sw_call_fail(c, "p is %lld, expected 1 or 2", (long long)p);
    if (!sw__dtype_is_float(x->dtype)) return sw__refuse_dtype(c, x->dtype);
    if (!y || sw_tensor_count(x) == 0) return SW_OK;
    int axis = sw_axis(sw_call_int(c, "axis"), x->rank);
    sw_lanes lanes = x->rank ? sw__lanes(x, axis, axis + 1) : (sw_lanes){1, 1, 1};
    for (int64_t lane = 0; lane < lanes.outer * lanes.inner; lane++) {
        int64_t first = lane / lanes.inner * lanes.length * lanes.inner + lane % lanes.inner;
        double sum = 0;
        for (int64_t i = 0; i < lanes.length; i++) {
            double v = sw_tensor_float_at(x, first + i * lanes.inner);
            sum += p == 1 ? fabs(v) : v * v;
        }
        double norm = p == 1 ? sum : sqrt(sum);
        for (int64_t i = 0; i < lanes.length; i++) {
            double v = sw_tensor_float_at(x, first + i * lanes.inner);
            sw__put(y, first + i * lanes.inner, norm == 0 ? 0 : v / norm);
        }
    }
    return SW_OK;
}

static void lrn_elements(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const sw_call *c = ctx;
    const sw_tensor *x = c->in[0];
    int64_t size = sw_call_int(c, "size");
    double alpha = (double)sw_call_float(c, "alpha"), beta = (double)sw_call_float(c, "beta");
    double bias = (double)sw_call_float(c, "bias");
    sw_lanes lanes = sw__lanes(x, 1, 2);
    for (int64_t i = begin; i < end; i++) {
        int64_t ch = i / lanes.inner % lanes.length, base = i - ch * lanes.inner;
        int64_t first = sw__max64(0, ch - (size - 1) / 2), last = sw__min64(lanes.length - 1, ch + size / 2);
        double sum = 0;
        for (int64_t k = first; k <= last; k++) {
            double v = sw_tensor_float_at(x, base + k * lanes.inner);
            sum += v * v;
        }
        sw__put(c->out[0], i, sw_tensor_float_at(x, i) / pow(bias + alpha / (double)size * sum, beta));
    }
}

sw_status sw__lrn_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    int64_t size = sw_call_int(c, "size");
    if (size < 1 || size > INT32_MAX) return sw_call_fail(c, "size is %lld", (long long)size);
    if (x->rank < 2) return sw_call_fail(c, "the input has %d axes, expected at least 2", x->rank);
    if (!sw__dtype_is_float(x->dtype)) return sw__refuse_dtype(c, x->dtype);
    if (sw_call_out(c, 0) && sw_tensor_count(x) > 0)
        sw_pool_for(c->pool, sw_tensor_count(x), 1024, lrn_elements, (void *)c);
    return SW_OK;
}
