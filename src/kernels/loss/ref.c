/* NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss, in double. */
#include <math.h>
#include <string.h>

#include "kernels/index.h"
#include "kernels/kernel.h"
#include "kernels/wide.h"

/* Logarithm of the sum of exponentials of `n` elements. */
static double log_sum_exp(const sw_tensor *x, int64_t first, int64_t step, int64_t n) {
    double top = -HUGE_VAL, sum = 0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, sw_tensor_float_at(x, first + i * step));
    if (isinf(top)) return top;
    for (int64_t i = 0; i < n; i++) sum += exp(sw_tensor_float_at(x, first + i * step) - top);
    return top + log(sum);
}

sw_status sw__loss_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *target = c->in[1], *weight = sw_call_in(c, 2);
    sw_tensor *loss = sw_call_out(c, 0), *log_prob = sw_call_out(c, 1);
    const sw_attr *ignore = sw_call_attr(c, "ignore_index", SW_ATTR_INT);
    const char *reduction = sw_call_string(c, "reduction");
    bool none = strcmp(reduction, "none") == 0, softmax = c->op == SW_OP_SoftmaxCrossEntropyLoss;
    if (!sw__dtype_is_float(x->dtype)) return sw__refuse_dtype(c, x->dtype);
    sw_lanes lanes = sw__lanes(x, 1, 2);
    double sum = 0, weights = 0;
    for (int64_t i = 0, n = sw_tensor_count(target); i < n; i++) {
        int64_t first = i / lanes.inner * lanes.length * lanes.inner + i % lanes.inner, label = sw__index_at(target, i);
        bool ignored = ignore->set && label == ignore->i;
        if (!ignored && (label < 0 || label >= lanes.length))
            return sw_call_fail(c, "the class %lld lies outside of %lld classes", (long long)label,
                                (long long)lanes.length);
        double norm = softmax ? log_sum_exp(x, first, lanes.inner, lanes.length) : 0;
        for (int64_t k = 0; log_prob && k < lanes.length; k++)
            sw__put(log_prob, first + k * lanes.inner, sw_tensor_float_at(x, first + k * lanes.inner) - norm);
        double w = ignored ? 0 : weight ? sw_tensor_float_at(weight, label) : 1;
        double v = ignored ? 0 : w * (norm - sw_tensor_float_at(x, first + label * lanes.inner));
        if (loss && none) sw__put(loss, i, v);
        sum += v;
        weights += w;
    }
    if (loss && !none) sw__put(loss, 0, strcmp(reduction, "mean") == 0 ? sum / weights : sum);
    return SW_OK;
}
