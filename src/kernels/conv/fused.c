#include <math.h>
#include <string.h>

#include "kernels/conv/act.h"
#include "kernels/kernel.h"

sw_status sw__conv_ref(const sw_call *c);
sw_status sw__fused_conv_ref(const sw_call *c);

static const char *const act_names[SW_ACT_COUNT] = {
#define SW_ACT_NAME(id, text) [SW_ACT_##id] = text,
    SW_ACT_LIST(SW_ACT_NAME)
#undef SW_ACT_NAME
};

const char *sw_act_name(sw_act act) {
    return act_names[act];
}

sw_act sw_act_find(const char *name) {
    for (int i = 0; i < SW_ACT_COUNT; i++)
        if (strcmp(act_names[i], name) == 0) return (sw_act)i;
    return SW_ACT_COUNT;
}

static float clamp(float x, float lo, float hi) {
    return x < lo ? lo : x > hi ? hi : x;
}

float sw_act_apply(sw_act act, float a, float b, float s) {
    switch (act) {
    case SW_ACT_RELU:
        return s > 0 ? s : 0;
    case SW_ACT_LEAKY:
        return s < 0 ? a * s : s;
    case SW_ACT_SILU:
        return s / (1 + expf(-s));
    case SW_ACT_SIGMOID:
        return 1 / (1 + expf(-s));
    case SW_ACT_HARDSWISH:
        return s * clamp(s / 6 + 0.5f, 0, 1);
    case SW_ACT_HARDSIGMOID:
        return clamp(a * s + b, 0, 1);
    case SW_ACT_CLIP:
        return clamp(s, a, b);
    case SW_ACT_GELU:
        return s / 2 * (1 + erff(s * 0.70710678118f));
    default:
        return s;
    }
}

static sw_status find_act(const sw_call *c, sw_act *act) {
    *act = sw_act_find(sw_call_string(c, "activation"));
    if (*act != SW_ACT_COUNT) return SW_OK;
    return sw_call_fail(c, "activation '%.32s' is not known", sw_call_string(c, "activation"));
}

sw_status sw_call_epilogue(const sw_call *c, sw_conv *conv) {
    conv->act_a = sw_call_float(c, "act_a");
    conv->act_b = sw_call_float(c, "act_b");
    conv->residual = sw_call_in(c, 3) != NULL;
    conv->residual_before_act = sw_call_int(c, "residual_before_act");
    return find_act(c, &conv->act);
}

/* Residual and activation of what stands in the output. */
static sw_status finish(const sw_call *c) {
    sw_conv conv;
    SW_TRY(sw_call_epilogue(c, &conv));
    float *y = c->out[0]->data;
    const float *residual = sw_call_in(c, 3) ? c->in[3]->data : NULL;
    int64_t n = sw_tensor_count(c->out[0]);
    for (int64_t i = 0; i < n; i++) {
        float s = y[i] + (residual && conv.residual_before_act ? residual[i] : 0);
        y[i] = sw_act_apply(conv.act, conv.act_a, conv.act_b, s) +
               (residual && !conv.residual_before_act ? residual[i] : 0);
    }
    return SW_OK;
}

sw_status sw__fused_conv_ref(const sw_call *c) {
    if (c->in[0]->dtype != SW_F32)
        return sw_call_unsupported(c, "type %s is not supported", sw_dtype_name(c->in[0]->dtype));
    sw_call conv = *c; /* the attributes of Conv come first */
    conv.op = SW_OP_Conv;
    conv.n_in = c->n_in < 3 ? c->n_in : 3;
    SW_TRY(sw__conv_ref(&conv));
    return finish(c);
}

sw_status sw__fused_product_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *w = c->in[1], *bias = sw_call_in(c, 2);
    bool transposed = sw_call_int(c, "transposed");
    int64_t depth = w->dims[transposed], n = w->dims[!transposed], rows = n ? sw_tensor_count(c->out[0]) / n : 0;
    const float *weights = w->data, *from = x->data;
    float *y = c->out[0]->data;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < n; column++) {
            float sum = bias ? ((const float *)bias->data)[column] : 0;
            for (int64_t k = 0; k < depth; k++)
                sum += from[row * depth + k] * weights[transposed ? column * depth + k : k * n + column];
            y[row * n + column] = sum;
        }
    return finish(c);
}
