/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear. Quotients are rounded to nearest, halves to even, in
 * float. */
#include <math.h>

#include "base/minifloat.h"
#include "kernels/kernel.h"
#include "kernels/quant/quant.h"
#include "kernels/wide.h"
#include "ops/shape.h"

void sw__quant_range(sw_dtype dtype, double *lowest, double *highest) {
    static const struct {
        int16_t lowest;
        uint16_t highest;
    } ranges[SW_DTYPE_COUNT] = {[SW_I4] = {-8, 7},
                                [SW_U4] = {0, 15},
                                [SW_I8] = {INT8_MIN, INT8_MAX},
                                [SW_U8] = {0, UINT8_MAX},
                                [SW_I16] = {INT16_MIN, INT16_MAX},
                                [SW_U16] = {0, UINT16_MAX}};
    *lowest = ranges[dtype].lowest;
    *highest = ranges[dtype].highest;
}

void sw__quant_store(const sw_tensor *y, int64_t i, double v, int64_t zero) {
    double lowest, highest;
    sw__quant_range(y->dtype, &lowest, &highest);
    v = rint(v) + (double)zero;
    int64_t whole = (int64_t)(v >= lowest ? v > highest ? highest : v : lowest); /* NaN becomes the lowest */
    uint64_t bits = (uint64_t)whole;
    sw__narrow_integer(y->dtype == SW_I4 || y->dtype == SW_U4 ? SW_U8 : y->dtype, &bits, 1, y->data, i, 1);
}

typedef struct quant_run {
    const sw_call *call;
    sw_scales scales;
    sw_lanes lanes; /* of the axis of the scales */
} quant_run;

/* Number of the scale of element `i`. */
static int64_t scale_of(const quant_run *r, int64_t i) {
    const sw_tensor *scales = r->call->in[1];
    int64_t block = r->scales.block, inner = i % r->lanes.inner, along = i / r->lanes.inner % r->lanes.length;
    if (!block) return 0;
    if (scales->rank == 1) return along / block;
    return (i / r->lanes.inner / r->lanes.length * scales->dims[r->scales.axis] + along / block) * r->lanes.inner +
           inner;
}

static void quantise(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const quant_run *r = ctx;
    const sw_tensor *x = r->call->in[0], *scales = r->call->in[1], *zeros = sw_call_in(r->call, 2);
    sw_tensor *y = r->call->out[0];
    bool saturate = sw_call_int(r->call, "saturate") != 0, mini = sw_dtype_is_minifloat(y->dtype);
    for (int64_t i = begin; i < end; i++) {
        int64_t s = scale_of(r, i);
        float quotient = (float)sw_tensor_float_at(x, i) / (float)sw_tensor_float_at(scales, s);
        if (mini)
            ((uint8_t *)y->data)[i] = sw_minifloat_from_f64(y->dtype, (double)quotient, saturate, "");
        else
            sw__quant_store(y, i, (double)quotient, zeros ? sw_tensor_int_at(zeros, s) : 0);
    }
}

static void dequantise(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const quant_run *r = ctx;
    const sw_tensor *x = r->call->in[0], *scales = r->call->in[1], *zeros = sw_call_in(r->call, 2);
    for (int64_t i = begin; i < end; i++) {
        int64_t s = scale_of(r, i);
        double centred = sw_tensor_float_at(x, i) - (zeros ? sw_tensor_float_at(zeros, s) : 0);
        sw__put(r->call->out[0], i, centred * sw_tensor_float_at(scales, s));
    }
}

static sw_status run(const sw_call *c, sw_pool_fn fn) {
    const sw_tensor *x = c->in[0];
    quant_run r = {.call = c, .lanes = {1, 1, 1}};
    SW_TRY(sw_call_scales(c, &r.scales));
    if (!sw_call_out(c, 0) || sw_tensor_count(x) == 0) return SW_OK;
    if (r.scales.block) r.lanes = sw__lanes(x, r.scales.axis, r.scales.axis + 1);
    sw_pool_for(c->pool, sw_tensor_count(x), 2048, fn, &r);
    return SW_OK;
}

sw_status sw__quantize_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *scale = c->in[1];
    if (!sw__dtype_is_float(x->dtype) && x->dtype != SW_I32) return sw__refuse_dtype(c, x->dtype);
    if (!sw__dtype_is_float(scale->dtype) && scale->dtype != SW_I32) return sw__refuse_dtype(c, scale->dtype);
    return run(c, quantise);
}

sw_status sw__dequantize_ref(const sw_call *c) {
    return run(c, dequantise);
}

sw_status sw__dynamic_quantize_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0), *out_scale = sw_call_out(c, 1), *out_zero = sw_call_out(c, 2);
    float low = 0, high = 0;
    int64_t n = sw_tensor_count(x);
    if (x->dtype != SW_F32) return sw__refuse_dtype(c, x->dtype);
    const float *v = x->data;
    for (int64_t i = 0; i < n; i++) {
        low = v[i] < low ? v[i] : low;
        high = v[i] > high ? v[i] : high;
    }
    float scale = high == low ? 1 : (high - low) / 255; /* all zero: any scale will do */
    uint8_t zero;
    sw_tensor one = {.dtype = SW_U8, .data = &zero};
    sw__quant_store(&one, 0, (double)(-low / scale), 0);
    for (int64_t i = 0; y && i < n; i++) sw__quant_store(y, i, (double)(v[i] / scale), zero);
    if (out_scale) *(float *)out_scale->data = scale;
    if (out_zero) *(uint8_t *)out_zero->data = zero;
    return SW_OK;
}
