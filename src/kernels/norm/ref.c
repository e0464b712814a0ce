/* Batch, instance, layer and root-mean-square normalisation, in double. */
#include <math.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

/* y = (x - mean) * factor + shift over `length` elements from `first` on. */
static void normalise(const sw_tensor *x, sw_tensor *y, int64_t first, int64_t length, double mean, double factor,
                      double shift) {
    double v[SW_WIDE];
    for (int64_t i = 0, n; i < length; i += n) {
        n = sw__min64(SW_WIDE, length - i);
        sw__widen(x->dtype, x->data, first + i, 1, n, v);
        for (int64_t j = 0; j < n; j++) v[j] = (v[j] - mean) * factor + shift;
        sw__narrow(y->dtype, v, n, y->data, first + i, 1);
    }
}

/* Mean and variance (of the population) of `length` elements, in two passes. */
static void moments(const sw_tensor *x, int64_t first, int64_t length, double *mean, double *variance) {
    double v[SW_WIDE], sum = 0;
    for (int pass = 0; pass < 2; pass++) {
        sum = 0;
        for (int64_t i = 0, n; i < length; i += n) {
            n = sw__min64(SW_WIDE, length - i);
            sw__widen(x->dtype, x->data, first + i, 1, n, v);
            for (int64_t j = 0; j < n; j++) sum += pass == 0 ? v[j] : (v[j] - *mean) * (v[j] - *mean);
        }
        *(pass == 0 ? mean : variance) = sum / (double)length;
    }
}

static double mean_square(const sw_tensor *x, int64_t first, int64_t length) {
    double v[SW_WIDE], sum = 0;
    for (int64_t i = 0, n; i < length; i += n) {
        n = sw__min64(SW_WIDE, length - i);
        sw__widen(x->dtype, x->data, first + i, 1, n, v);
        for (int64_t j = 0; j < n; j++) sum += v[j] * v[j];
    }
    return sum / (double)length;
}

static sw_status check_types(const sw_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i] && !sw__dtype_is_float(c->in[i]->dtype)) return sw__refuse_dtype(c, c->in[i]->dtype);
    return SW_OK;
}

/* Inputs scale and bias, then mean and variance for BatchNormalization; InstanceNormalization computes them. */
static void channel_planes(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const sw_call *c = ctx;
    const sw_tensor *x = c->in[0];
    int64_t channels = x->rank > 1 ? x->dims[1] : 1, length = x->rank > 1 ? sw__lanes(x, 2, x->rank).length : 1;
    double epsilon = (double)sw_call_float(c, "epsilon");
    for (int64_t plane = begin; plane < end; plane++) {
        int64_t ch = plane % channels;
        double mean, variance;
        if (c->op == SW_OP_BatchNormalization) {
            mean = sw_tensor_float_at(c->in[3], ch);
            variance = sw_tensor_float_at(c->in[4], ch);
        } else {
            moments(x, plane * length, length, &mean, &variance);
        }
        double factor = sw_tensor_float_at(c->in[1], ch) / sqrt(variance + epsilon);
        normalise(x, c->out[0], plane * length, length, mean, factor, sw_tensor_float_at(c->in[2], ch));
    }
}

static sw_status run_channels(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    SW_TRY(check_types(c));
    if (!sw_call_out(c, 0) || sw_tensor_count(x) == 0) return SW_OK;
    int64_t planes = x->dims[0] * (x->rank > 1 ? x->dims[1] : 1);
    sw_pool_for(c->pool, planes, 1 + 4096 * planes / sw_tensor_count(x), channel_planes, (void *)c);
    return SW_OK;
}

sw_status sw__batch_norm_ref(const sw_call *c) {
    return run_channels(c);
}

sw_status sw__instance_norm_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    if (x->rank < 3)
        return sw_call_fail(c, "the input has rank %d, expected at least 3 (batch, channels, spatial axes)", x->rank);
    for (int i = 1; i < 3; i++)
        if (c->in[i]->rank != 1 || c->in[i]->dims[0] != x->dims[1])
            return sw_call_fail(c, "input %d must hold one number for each of %lld channels", i + 1,
                                (long long)x->dims[1]);
    return run_channels(c);
}

typedef struct layer_norm {
    const sw_call *call;
    int64_t length;
    int axis;
} layer_norm;

/* Element of a tensor that broadcasts to the shape of x (from the right), at flat position `i` of x. */
static double broadcast_at(const sw_tensor *t, const sw_tensor *x, int64_t i) {
    int64_t at = 0, step = 1;
    for (int axis = x->rank - 1, k = t->rank - 1; k >= 0; axis--, k--) {
        if (t->dims[k] != 1) at += i % x->dims[axis] * step;
        i /= x->dims[axis];
        step *= t->dims[k];
    }
    return sw_tensor_float_at(t, at);
}

static void layer_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const layer_norm *l = ctx;
    const sw_call *c = l->call;
    const sw_tensor *x = c->in[0], *scale = c->in[1], *bias = sw_call_in(c, 2);
    sw_tensor *y = sw_call_out(c, 0), *means = sw_call_out(c, 1), *factors = sw_call_out(c, 2);
    double epsilon = (double)sw_call_float(c, "epsilon"), v[SW_WIDE];
    for (int64_t row = begin; row < end; row++) {
        int64_t first = row * l->length;
        double mean, variance;
        if (c->op == SW_OP_RMSNormalization)
            mean = 0, variance = mean_square(x, first, l->length);
        else
            moments(x, first, l->length, &mean, &variance);
        double factor = 1 / sqrt(variance + epsilon);
        if (means) sw__narrow(means->dtype, &mean, 1, means->data, row, 1);
        if (factors) sw__narrow(factors->dtype, &factor, 1, factors->data, row, 1);
        if (!y) continue;
        for (int64_t i = 0, n; i < l->length; i += n) {
            n = sw__min64(SW_WIDE, l->length - i);
            sw__widen(x->dtype, x->data, first + i, 1, n, v);
            for (int64_t j = 0; j < n; j++) {
                v[j] = (v[j] - mean) * factor * broadcast_at(scale, x, first + i + j);
                if (bias) v[j] += broadcast_at(bias, x, first + i + j);
            }
            sw__narrow(y->dtype, v, n, y->data, first + i, 1);
        }
    }
}

sw_status sw__layer_norm_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    SW_TRY(check_types(c));
    if (sw_tensor_count(x) == 0) return SW_OK;
    layer_norm l = {.call = c, .axis = sw_axis(sw_call_int(c, "axis"), x->rank)};
    sw_lanes lanes = sw__lanes(x, l.axis, x->rank);
    l.length = lanes.length;
    sw_pool_for(c->pool, lanes.outer, 1 + 4096 / l.length, layer_rows, &l);
    return SW_OK;
}
