/* Modules of torch.nn, and the convolution wrappers that all families share. */
#include <string.h>

#include "import/pt/net.h"

/* ---- Convolution, linear, normalisation ---------------------------------------------------------------------------- */

static void set_ints(sw_net *net, sw_value *out, const char *name, const int64_t *v, int n) {
    if (out && sw_node_set_ints(net->graph, out->producer, name, v, n) != SW_OK)
        sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
}

/* A node with two inputs and an optional third. */
static sw_value *with_bias(sw_net *net, sw_op op, sw_value *x, sw_value *weight, sw_value *bias) {
    sw_value *in[3] = {x, weight, bias};
    return sw_net_apply(net, op, bias ? 3 : 2, in);
}

/* Attributes that convolutions and their transposes share. Paddings given as 'same' or 'valid' are auto_pad. */
static bool set_window(sw_net *net, const sw_pickle *module, sw_value *out) {
    int64_t stride[2], padding[2], dilation[2];
    if (!out) return false;
    if (!sw_net_ints(module, "stride", stride, 2) || !sw_net_ints(module, "dilation", dilation, 2))
        return sw_net_fail(net, SW_E_MODEL, NULL, "the convolution has no stride or dilation");
    set_ints(net, out, "strides", stride, 2);
    set_ints(net, out, "dilations", dilation, 2);
    sw_node_set_int(out->producer, "group", sw_net_int(module, "groups", 1));
    if (sw_net_ints(module, "padding", padding, 2)) {
        set_ints(net, out, "pads", (int64_t[]){padding[0], padding[1], padding[0], padding[1]}, 4);
        return sw_net_ok(net);
    }
    const sw_pickle *name = sw_pickle_get(module, "padding");
    if (!name || name->type != SW_PICKLE_STRING)
        return sw_net_fail(net, SW_E_MODEL, NULL, "the convolution has no padding");
    bool same = strcmp(name->text, "same") == 0;
    if (sw_node_set_string(net->graph, out->producer, "auto_pad", same ? "SAME_UPPER" : "VALID") != SW_OK)
        return sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
    return true;
}

static sw_value *conv2d(sw_net *net, const sw_pickle *module, sw_value *x) {
    const sw_pickle *mode = sw_pickle_get(module, "padding_mode");
    if (mode && mode->type == SW_PICKLE_STRING && strcmp(mode->text, "zeros") != 0)
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "the convolution pads with '%.32s'; only zeros are supported",
                           mode->text);
    sw_value *out =
        with_bias(net, SW_OP_Conv, x, sw_net_param(net, module, "weight"), sw_net_param(net, module, "bias"));
    return set_window(net, module, out) ? out : NULL;
}

static sw_value *conv_transpose2d(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *out =
        with_bias(net, SW_OP_ConvTranspose, x, sw_net_param(net, module, "weight"), sw_net_param(net, module, "bias"));
    int64_t extra[2];
    if (!set_window(net, module, out)) return NULL;
    if (sw_net_ints(module, "output_padding", extra, 2)) set_ints(net, out, "output_padding", extra, 2);
    return out;
}

/* y = x * weight^T + bias over the last axis, for any rank. */
static sw_value *linear(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *weight = sw_net_param(net, module, "weight"), *bias = sw_net_param(net, module, "bias");
    sw_value *out = SW_NET_APPLY(net, SW_OP_MatMul, x, sw_net_transpose(net, weight, (int64_t[]){1, 0}, 2));
    return bias ? sw_net_add(net, out, bias) : out;
}

static sw_value *batch_norm(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *out = SW_NET_APPLY(net, SW_OP_BatchNormalization, x, sw_net_param(net, module, "weight"),
                                 sw_net_param(net, module, "bias"), sw_net_param(net, module, "running_mean"),
                                 sw_net_param(net, module, "running_var"));
    if (out) sw_node_set_float(out->producer, "epsilon", (float)sw_net_float(module, "eps", 1e-5));
    return out;
}

static sw_value *layer_norm(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *weight = sw_net_param(net, module, "weight");
    if (!weight) return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "the layer normalisation has no weight");
    sw_value *in[3] = {x, weight, sw_net_param(net, module, "bias")};
    sw_value *out = sw_net_apply(net, SW_OP_LayerNormalization, in[2] ? 3 : 2, in);
    if (!out) return NULL;
    sw_node_set_int(out->producer, "axis", -weight->type.rank);
    sw_node_set_float(out->producer, "epsilon", (float)sw_net_float(module, "eps", 1e-5));
    return out;
}

/* ---- Pools, resampling, padding ------------------------------------------------------------------------------------ */

static sw_value *max_pool(sw_net *net, const sw_pickle *module, sw_value *x) {
    int64_t kernel[2], stride[2], padding[2] = {0}, dilation[2] = {1, 1};
    if (!sw_net_ints(module, "kernel_size", kernel, 2))
        return sw_net_fail(net, SW_E_MODEL, NULL, "the pool has no size");
    if (!sw_net_ints(module, "stride", stride, 2)) memcpy(stride, kernel, sizeof stride);
    sw_net_ints(module, "padding", padding, 2);
    sw_net_ints(module, "dilation", dilation, 2);
    sw_value *out = SW_NET_APPLY(net, SW_OP_MaxPool, x);
    set_ints(net, out, "kernel_shape", kernel, 2);
    set_ints(net, out, "strides", stride, 2);
    set_ints(net, out, "dilations", dilation, 2);
    set_ints(net, out, "pads", (int64_t[]){padding[0], padding[1], padding[0], padding[1]}, 4);
    if (out) sw_node_set_int(out->producer, "ceil_mode", sw_net_int(module, "ceil_mode", 0));
    return out;
}

static sw_value *avg_pool(sw_net *net, const sw_pickle *module, sw_value *x) {
    int64_t kernel[2], stride[2], padding[2] = {0};
    if (!sw_net_ints(module, "kernel_size", kernel, 2))
        return sw_net_fail(net, SW_E_MODEL, NULL, "the pool has no size");
    if (!sw_net_ints(module, "stride", stride, 2)) memcpy(stride, kernel, sizeof stride);
    sw_net_ints(module, "padding", padding, 2);
    sw_value *out = SW_NET_APPLY(net, SW_OP_AveragePool, x);
    set_ints(net, out, "kernel_shape", kernel, 2);
    set_ints(net, out, "strides", stride, 2);
    set_ints(net, out, "pads", (int64_t[]){padding[0], padding[1], padding[0], padding[1]}, 4);
    if (!out) return NULL;
    sw_node_set_int(out->producer, "ceil_mode", sw_net_int(module, "ceil_mode", 0));
    sw_node_set_int(out->producer, "count_include_pad", sw_net_int(module, "count_include_pad", 1));
    return out;
}

static sw_value *adaptive_avg_pool(sw_net *net, const sw_pickle *module, sw_value *x) {
    int64_t size[2];
    if (!sw_net_ints(module, "output_size", size, 2) || size[0] != 1 || size[1] != 1)
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "the adaptive pool has an output size other than 1");
    return SW_NET_APPLY(net, SW_OP_GlobalAveragePool, x);
}

static sw_value *upsample(sw_net *net, const sw_pickle *module, sw_value *x) {
    int64_t whole[2];
    float scales[4] = {1, 1, (float)sw_net_float(module, "scale_factor", 0), 0};
    scales[3] = scales[2];
    if (sw_net_ints(module, "scale_factor", whole, 2)) scales[2] = (float)whole[0], scales[3] = (float)whole[1];
    if (!(scales[2] > 0 && scales[3] > 0))
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "the upsampling has no scale");
    const sw_pickle *mode = sw_pickle_get(module, "mode");
    bool nearest = !mode || mode->type != SW_PICKLE_STRING || strcmp(mode->text, "nearest") == 0;
    if (!nearest && strcmp(mode->text, "bilinear") != 0)
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "upsampling of mode '%.32s' is not supported", mode->text);
    bool corners = sw_net_int(module, "align_corners", 0);
    sw_value *in[3] = {x, NULL, sw_net_floats(net, "scales", scales, 1, (int64_t[]){4})};
    if (!sw_net_ok(net)) return NULL;
    sw_value *out = sw_graph_apply(net->graph, NULL, SW_OP_Resize, net->scope, 3, in);
    if (!out || sw_node_set_string(net->graph, out->producer, "mode", nearest ? "nearest" : "linear") != SW_OK ||
        sw_node_set_string(net->graph, out->producer, "nearest_mode", "floor") != SW_OK ||
        sw_node_set_string(net->graph, out->producer, "coordinate_transformation_mode",
                           nearest   ? "asymmetric"
                           : corners ? "align_corners"
                                     : "pytorch_half_pixel") != SW_OK)
        return sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
    return out;
}

/* ZeroPad2d: padding is left, right, top, bottom. */
static sw_value *zero_pad(sw_net *net, const sw_pickle *module, sw_value *x) {
    int64_t p[4];
    if (!sw_net_ints(module, "padding", p, 4)) return sw_net_fail(net, SW_E_MODEL, NULL, "the padding has no size");
    return SW_NET_APPLY(net, SW_OP_Pad, x, SW_NET_DIMS(net, 0, 0, p[2], p[0], 0, 0, p[3], p[1]));
}

static sw_value *flatten(sw_net *net, const sw_pickle *module, sw_value *x) {
    if (sw_net_int(module, "start_dim", 1) != 1 || sw_net_int(module, "end_dim", -1) != -1)
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "a flattening of some axes only is not supported");
    return SW_NET_APPLY(net, SW_OP_Flatten, x);
}

/* ---- Activations --------------------------------------------------------------------------------------------------- */

static sw_value *identity(sw_net *net, const sw_pickle *module, sw_value *x) {
    (void)net;
    (void)module;
    return x;
}

#define ACTIVATION(function, op)                                                                                       \
    static sw_value *function(sw_net *net, const sw_pickle *module, sw_value *x) {                                     \
        (void)module;                                                                                                  \
        return SW_NET_APPLY(net, op, x);                                                                               \
    }
ACTIVATION(silu, SW_OP_Swish)
ACTIVATION(relu, SW_OP_Relu)
ACTIVATION(sigmoid, SW_OP_Sigmoid)
ACTIVATION(tanh_, SW_OP_Tanh)
ACTIVATION(hard_swish, SW_OP_HardSwish)
ACTIVATION(mish, SW_OP_Mish)
ACTIVATION(softplus, SW_OP_Softplus)
ACTIVATION(selu, SW_OP_Selu)
#undef ACTIVATION

static sw_value *hard_sigmoid(sw_net *net, const sw_pickle *module, sw_value *x) {
    (void)module;
    sw_value *out = SW_NET_APPLY(net, SW_OP_HardSigmoid, x);
    if (out) sw_node_set_float(out->producer, "alpha", 1.0f / 6);
    return out;
}

static sw_value *leaky_relu(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *out = SW_NET_APPLY(net, SW_OP_LeakyRelu, x);
    if (out) sw_node_set_float(out->producer, "alpha", (float)sw_net_float(module, "negative_slope", 0.01));
    return out;
}

/* One slope for all channels, or one for each. */
static sw_value *prelu(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *slope = sw_net_reshape(net, sw_net_param(net, module, "weight"), (int64_t[]){-1, 1, 1}, 3);
    if (!slope) return sw_net_fail(net, SW_E_MODEL, NULL, "it has no weight");
    return SW_NET_APPLY(net, SW_OP_PRelu, x, slope);
}

static sw_value *elu(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *out = SW_NET_APPLY(net, SW_OP_Elu, x);
    if (out) sw_node_set_float(out->producer, "alpha", (float)sw_net_float(module, "alpha", 1));
    return out;
}

static sw_value *relu6(sw_net *net, const sw_pickle *module, sw_value *x) {
    (void)module;
    return SW_NET_APPLY(net, SW_OP_Clip, x, sw_net_scalar(net, 0), sw_net_scalar(net, 6));
}

static sw_value *gelu(sw_net *net, const sw_pickle *module, sw_value *x) {
    const sw_pickle *approximate = sw_pickle_get(module, "approximate");
    sw_value *out = SW_NET_APPLY(net, SW_OP_Gelu, x);
    if (out && approximate && approximate->type == SW_PICKLE_STRING &&
        sw_node_set_string(net->graph, out->producer, "approximate", approximate->text) != SW_OK)
        return sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
    return out;
}

static sw_value *softmax(sw_net *net, const sw_pickle *module, sw_value *x) {
    return sw_net_softmax(net, x, (int)sw_net_int(module, "dim", -1));
}

static sw_value *sequential(sw_net *net, const sw_pickle *module, sw_value *x) {
    return sw_net_sequence(net, module, x);
}

/* ---- Convolution with normalisation and activation ----------------------------------------------------------------- */

/* Conv, DWConv ...: conv, bn, act. A fused model has no bn any more; older releases may lack act. */
static sw_value *conv_bn_act(sw_net *net, const sw_pickle *module, sw_value *x) {
    x = sw_net_sub(net, module, "conv", x);
    if (sw_net_child(module, "bn")) x = sw_net_sub(net, module, "bn", x);
    return sw_net_child(module, "act") ? sw_net_sub(net, module, "act", x) : x;
}

const sw_net_class_row sw__pt_layers[] = {
    {"Conv2d", conv2d},
    {"ConvTranspose2d", conv_transpose2d},
    {"Linear", linear},
    {"NonDynamicallyQuantizableLinear", linear},
    {"BatchNorm2d", batch_norm},
    {"LayerNorm", layer_norm},
    {"MaxPool2d", max_pool},
    {"AvgPool2d", avg_pool},
    {"AdaptiveAvgPool2d", adaptive_avg_pool},
    {"Upsample", upsample},
    {"ZeroPad2d", zero_pad},
    {"Flatten", flatten},
    {"Identity", identity},
    {"Dropout", identity},
    {"DropPath", identity},
    {"SiLU", silu},
    {"ReLU", relu},
    {"ReLU6", relu6},
    {"LeakyReLU", leaky_relu},
    {"PReLU", prelu},
    {"ELU", elu},
    {"SELU", selu},
    {"Sigmoid", sigmoid},
    {"Tanh", tanh_},
    {"Softplus", softplus},
    {"Hardswish", hard_swish},
    {"Hardsigmoid", hard_sigmoid},
    {"Mish", mish},
    {"GELU", gelu},
    {"Softmax", softmax},
    {"Sequential", sequential},
    {"Conv", conv_bn_act},
    {"DWConv", conv_bn_act},
    {"DWConvTranspose2d", conv_transpose2d},
    {"ConvTranspose", conv_bn_act},
    {NULL, NULL},
};
