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
    default:
        return s;
    }
}

sw_status sw__fused_conv_ref(const sw_call *c) {
    sw_act act = sw_act_find(sw_call_string(c, "activation"));
    if (act == SW_ACT_COUNT) return sw_call_fail(c, "activation '%.32s' is not known", sw_call_string(c, "activation"));
    float a = sw_call_float(c, "act_a"), b = sw_call_float(c, "act_b");
    bool before = sw_call_int(c, "residual_before_act");
    if (c->in[0]->dtype != SW_F32)
        return sw_call_unsupported(c, "type %s is not supported", sw_dtype_name(c->in[0]->dtype));
    sw_call conv = *c; /* the attributes of Conv come first */
    conv.op = SW_OP_Conv;
    conv.n_in = c->n_in < 3 ? c->n_in : 3;
    SW_TRY(sw__conv_ref(&conv));
    float *y = c->out[0]->data;
    const float *residual = sw_call_in(c, 3) ? c->in[3]->data : NULL;
    int64_t n = sw_tensor_count(c->out[0]);
    for (int64_t i = 0; i < n; i++) {
        float s = y[i] + (residual && before ? residual[i] : 0);
        y[i] = sw_act_apply(act, a, b, s) + (residual && !before ? residual[i] : 0);
    }
    return SW_OK;
}
