/* Convolutional blocks of the YOLO families and of RT-DETR's backbones. Graphs were learned from exported traces;
 * names are those of the modules' parts. */
#include <stdio.h>
#include <string.h>

#include "import/pt/net.h"

enum { MAX_PARTS = 64 };

/* ---- Building bricks ----------------------------------------------------------------------------------------------- */

/* One part behind the other. NULL ends the list. */
static sw_value *chain(sw_net *net, const sw_pickle *module, sw_value *x, const char *const *parts) {
    for (; *parts; parts++) x = sw_net_sub(net, module, *parts, x);
    return x;
}
#define CHAIN(net, module, x, ...) chain((net), (module), (x), (const char *const[]){__VA_ARGS__, NULL})

static sw_value *concat2(sw_net *net, sw_value *a, sw_value *b) {
    return sw_net_concat(net, 1, 2, (sw_value *[]){a, b});
}

static sw_value *activate(sw_net *net, const sw_pickle *module, sw_value *x) {
    return sw_net_child(module, "act") ? sw_net_sub(net, module, "act", x) : x;
}

/* Items of the list `m` one behind the other, each kept behind the `n` parts that there are; returns how many there are then,
 * 0 on error. */
static int grow_parts(sw_net *net, const sw_pickle *module, int n, sw_value **parts) {
    const sw_pickle *m = sw_net_child(module, "m");
    size_t count = sw_net_count(m);
    if (count + (size_t)n > MAX_PARTS) {
        sw_net_fail(net, SW_E_LIMIT, NULL, "the block has %zu parts, at most %d are read", count, MAX_PARTS - n);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "m.%zu", i);
        parts[n] = sw_net_module(net, sw_net_item(m, i), name, parts[n - 1]);
        n++;
    }
    return n;
}

static void halves(sw_net *net, sw_value *x, sw_value **parts) {
    sw_net_split(net, x, 1, 2, NULL, parts);
}

/* ---- Bottlenecks and cross-stage blocks ---------------------------------------------------------------------------- */

/* A block of torchvision's ResNets, with two or three convolutions. */
static sw_value *residual_block(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *y = CHAIN(net, module, x, "conv1", "bn1", "relu", "conv2", "bn2");
    if (sw_net_child(module, "conv3")) y = CHAIN(net, module, y, "relu", "conv3", "bn3");
    if (sw_net_child(module, "downsample")) x = sw_net_sub(net, module, "downsample", x);
    return sw_net_sub(net, module, "relu", sw_net_add(net, y, x));
}

/* cv1, cv2 with a shortcut where the module says `add`. torchvision has a class of the same name. */
static sw_value *bottleneck(sw_net *net, const sw_pickle *module, sw_value *x) {
    if (sw_net_child(module, "conv1")) return residual_block(net, module, x);
    sw_value *y = CHAIN(net, module, x, "cv1", "cv2");
    return sw_net_int(module, "add", 0) ? sw_net_add(net, x, y) : y;
}

/* The same with all of it in cv1. */
static sw_value *cib(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *y = sw_net_sub(net, module, "cv1", x);
    return sw_net_int(module, "add", 0) ? sw_net_add(net, x, y) : y;
}

static sw_value *c1(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *y = sw_net_sub(net, module, "cv1", x);
    return sw_net_add(net, sw_net_sub(net, module, "m", y), y);
}

/* cv1 cut in two, the first half through m. */
static sw_value *c2(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *parts[2];
    halves(net, sw_net_sub(net, module, "cv1", x), parts);
    return sw_net_sub(net, module, "cv2", concat2(net, sw_net_sub(net, module, "m", parts[0]), parts[1]));
}

/* cv3 over both branches: m behind cv1, and cv2. */
static sw_value *c3(sw_net *net, const sw_pickle *module, sw_value *x) {
    return sw_net_sub(net, module, "cv3",
                      concat2(net, CHAIN(net, module, x, "cv1", "m"), sw_net_sub(net, module, "cv2", x)));
}

/* The sum of both branches. */
static sw_value *rep_c3(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *sum = sw_net_add(net, CHAIN(net, module, x, "cv1", "m"), sw_net_sub(net, module, "cv2", x));
    return sw_net_sub(net, module, "cv3", sum);
}

/* v5's older block: normalisation and activation behind the joint. */
static sw_value *bottleneck_csp(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *y = concat2(net, CHAIN(net, module, x, "cv1", "m", "cv3"), sw_net_sub(net, module, "cv2", x));
    if (sw_net_child(module, "bn")) y = sw_net_sub(net, module, "bn", y);
    return sw_net_sub(net, module, "cv4", activate(net, module, y));
}

/* cv1 cut in two; each item of m works on the part before it; cv2 over all parts. */
static sw_value *c2f(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *parts[MAX_PARTS];
    halves(net, sw_net_sub(net, module, "cv1", x), parts);
    int n = grow_parts(net, module, 2, parts);
    return n ? sw_net_sub(net, module, "cv2", sw_net_concat(net, 1, n, parts)) : NULL;
}

/* As c2f without the cut; where the block has `gamma`, x plus the result times it, channel by channel. */
static sw_value *a2c2f(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *parts[MAX_PARTS] = {sw_net_sub(net, module, "cv1", x)}, *gamma = sw_net_param(net, module, "gamma");
    int n = grow_parts(net, module, 1, parts);
    sw_value *y = n ? sw_net_sub(net, module, "cv2", sw_net_concat(net, 1, n, parts)) : NULL;
    if (!gamma) return y;
    return sw_net_add(net, x, sw_net_mul(net, y, sw_net_reshape(net, gamma, (int64_t[]){1, -1, 1, 1}, 4)));
}

/* cv1 cut in two, cv2 behind it, cv3 behind that, cv4 over all four. */
static sw_value *elan(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *parts[4];
    halves(net, sw_net_sub(net, module, "cv1", x), parts);
    parts[2] = sw_net_sub(net, module, "cv2", parts[1]);
    parts[3] = sw_net_sub(net, module, "cv3", parts[2]);
    return sw_net_sub(net, module, "cv4", sw_net_concat(net, 1, 4, parts));
}

/* ---- Pools --------------------------------------------------------------------------------------------------------- */

/* Max pools one behind the other (`m`, three times unless the module says `n`), all concatenated. */
static sw_value *sppf(sw_net *net, const sw_pickle *module, sw_value *x) {
    int64_t n = sw_net_int(module, "n", 3);
    sw_value *parts[MAX_PARTS];
    if (n < 0 || n + 1 > MAX_PARTS)
        return sw_net_fail(net, SW_E_MODEL, NULL, "the block has an impossible number of pools");
    parts[0] = sw_net_sub(net, module, "cv1", x);
    for (int64_t i = 0; i < n; i++) parts[i + 1] = sw_net_sub(net, module, "m", parts[i]);
    sw_value *y = sw_net_sub(net, module, "cv2", sw_net_concat(net, 1, (int)n + 1, parts));
    return sw_net_int(module, "add", 0) ? sw_net_add(net, y, x) : y;
}

/* Max pools of several sizes side by side. */
static sw_value *spp(sw_net *net, const sw_pickle *module, sw_value *x) {
    const sw_pickle *m = sw_net_child(module, "m");
    size_t n = sw_net_count(m);
    sw_value *parts[MAX_PARTS];
    if (n + 1 > MAX_PARTS) return sw_net_fail(net, SW_E_LIMIT, NULL, "the block has too many pools");
    parts[0] = sw_net_sub(net, module, "cv1", x);
    for (size_t i = 0; i < n; i++) parts[i + 1] = sw_net_module(net, sw_net_item(m, i), "m", parts[0]);
    return sw_net_sub(net, module, "cv2", sw_net_concat(net, 1, (int)n + 1, parts));
}

/* Pools cv2, cv3, cv4 one behind the other, cv5 over all. */
static sw_value *spp_elan(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *parts[4] = {sw_net_sub(net, module, "cv1", x)};
    for (int i = 1; i < 4; i++) {
        char name[8];
        snprintf(name, sizeof name, "cv%d", i + 1);
        parts[i] = sw_net_sub(net, module, name, parts[i - 1]);
    }
    return sw_net_sub(net, module, "cv5", sw_net_concat(net, 1, 4, parts));
}

static void set_window(sw_net *net, sw_value *pool, int64_t kernel, int64_t stride, int64_t pad) {
    if (!pool) return;
    if (sw_node_set_ints(net->graph, pool->producer, "kernel_shape", (int64_t[]){kernel, kernel}, 2) != SW_OK ||
        sw_node_set_ints(net->graph, pool->producer, "strides", (int64_t[]){stride, stride}, 2) != SW_OK ||
        sw_node_set_ints(net->graph, pool->producer, "pads", (int64_t[]){pad, pad, pad, pad}, 4) != SW_OK)
        sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
}

/* The mean of each 2x2 window, one apart. */
static sw_value *blur(sw_net *net, sw_value *x) {
    sw_value *y = SW_NET_APPLY(net, SW_OP_AveragePool, x);
    set_window(net, y, 2, 1, 0);
    return y;
}

static sw_value *aconv(sw_net *net, const sw_pickle *module, sw_value *x) {
    return sw_net_sub(net, module, "cv1", blur(net, x));
}

/* Half of the channels through cv1, the other half through a max pool and cv2. */
static sw_value *adown(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *parts[2];
    halves(net, blur(net, x), parts);
    sw_value *pooled = SW_NET_APPLY(net, SW_OP_MaxPool, parts[1]);
    set_window(net, pooled, 3, 2, 1);
    return concat2(net, sw_net_sub(net, module, "cv1", parts[0]), sw_net_sub(net, module, "cv2", pooled));
}

/* ---- Re-parametrised convolutions ---------------------------------------------------------------------------------- */

/* Branches conv1, conv2 and the normalised input, summed; or one `conv` once they are fused. */
static sw_value *rep_conv(sw_net *net, const sw_pickle *module, sw_value *x) {
    if (sw_net_child(module, "conv")) return activate(net, module, sw_net_sub(net, module, "conv", x));
    sw_value *y = sw_net_add(net, sw_net_sub(net, module, "conv1", x), sw_net_sub(net, module, "conv2", x));
    if (sw_net_child(module, "bn")) y = sw_net_add(net, y, sw_net_sub(net, module, "bn", x));
    return activate(net, module, y);
}

/* Two depthwise convolutions summed; or one `conv` once they are fused. */
static sw_value *rep_vgg(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *y = sw_net_sub(net, module, "conv", x);
    if (sw_net_child(module, "conv1")) y = sw_net_add(net, y, sw_net_sub(net, module, "conv1", x));
    return activate(net, module, y);
}

static sw_value *cv1_cv2(sw_net *net, const sw_pickle *module, sw_value *x) {
    return CHAIN(net, module, x, "cv1", "cv2");
}

static sw_value *light_conv(sw_net *net, const sw_pickle *module, sw_value *x) {
    return CHAIN(net, module, x, "conv1", "conv2");
}

/* ---- Ghost modules, crossed convolutions --------------------------------------------------------------------------- */

static sw_value *ghost_conv(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *y = sw_net_sub(net, module, "cv1", x);
    return concat2(net, y, sw_net_sub(net, module, "cv2", y));
}

static sw_value *ghost_bottleneck(sw_net *net, const sw_pickle *module, sw_value *x) {
    return sw_net_add(net, sw_net_sub(net, module, "conv", x), sw_net_sub(net, module, "shortcut", x));
}

/* ---- Residual networks, HGNet -------------------------------------------------------------------------------------- */

static sw_value *resnet_block(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *y = CHAIN(net, module, x, "cv1", "cv2", "cv3");
    return SW_NET_APPLY(net, SW_OP_Relu, sw_net_add(net, y, sw_net_sub(net, module, "shortcut", x)));
}

static sw_value *resnet_layer(sw_net *net, const sw_pickle *module, sw_value *x) {
    return sw_net_sub(net, module, "layer", x);
}

/* The layers of a network of torchvision, one behind the other. */
static sw_value *torchvision(sw_net *net, const sw_pickle *module, sw_value *x) {
    if (sw_net_int(module, "split", 0) || strcmp(sw_net_class(sw_net_child(module, "m")), "Sequential") != 0)
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "only chains of torchvision's layers are supported");
    return sw_net_sub(net, module, "m", x);
}

/* A row below and a column to the right, of zeros. */
static sw_value *pad_end(sw_net *net, sw_value *x) {
    return SW_NET_APPLY(net, SW_OP_Pad, x, SW_NET_DIMS(net, 0, 0, 0, 0, 0, 0, 1, 1));
}

static sw_value *hg_stem(sw_net *net, const sw_pickle *module, sw_value *x) {
    x = pad_end(net, sw_net_sub(net, module, "stem1", x));
    sw_value *y = pad_end(net, sw_net_sub(net, module, "stem2a", x));
    x = concat2(net, sw_net_sub(net, module, "pool", x), sw_net_sub(net, module, "stem2b", y));
    return CHAIN(net, module, x, "stem3", "stem4");
}

static sw_value *hg_block(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *parts[MAX_PARTS] = {x};
    int n = grow_parts(net, module, 1, parts);
    if (!n) return NULL;
    sw_value *y = CHAIN(net, module, sw_net_concat(net, 1, n, parts), "sc", "ec");
    return sw_net_int(module, "add", 0) ? sw_net_add(net, y, x) : y;
}

/* ---- Pixels to channels and back ----------------------------------------------------------------------------------- */

/* The four pixels of each 2x2 square become channels, column by column. */
static sw_value *focus(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *parts[4];
    for (int i = 0; i < 4; i++)
        parts[i] = sw_net_slice(net, sw_net_slice(net, x, 2, i % 2, INT64_MAX, 2), 3, i / 2, INT64_MAX, 2);
    return sw_net_sub(net, module, "conv", sw_net_concat(net, 1, 4, parts));
}

static sw_value *move_blocks(sw_net *net, const sw_pickle *module, sw_op op, sw_value *x) {
    int64_t gain = sw_net_int(module, "gain", 2);
    if (gain < 1 || gain > 64) return sw_net_fail(net, SW_E_MODEL, NULL, "the block has an impossible gain");
    sw_value *y = SW_NET_APPLY(net, op, x);
    if (y) sw_node_set_int(y->producer, "blocksize", gain);
    return y;
}

static sw_value *contract(sw_net *net, const sw_pickle *module, sw_value *x) {
    return move_blocks(net, module, SW_OP_SpaceToDepth, x);
}

static sw_value *expand(sw_net *net, const sw_pickle *module, sw_value *x) {
    return move_blocks(net, module, SW_OP_DepthToSpace, x);
}

/* ---- Parts of heads ------------------------------------------------------------------------------------------------ */

/* The mean of a distribution: a 1x1 convolution with the weights 0, 1, 2 ... */
static sw_value *dfl(sw_net *net, const sw_pickle *module, sw_value *x) {
    return sw_net_sub(net, module, "conv", x);
}

/* Prototype masks. */
static sw_value *proto(sw_net *net, const sw_pickle *module, sw_value *x) {
    return CHAIN(net, module, x, "cv1", "upsample", "cv2", "cv3");
}

/* All parts of v9's auxiliary branch in one tensor; CBFuse, which has several inputs, takes its share. */
static sw_value *cb_linear(sw_net *net, const sw_pickle *module, sw_value *x) {
    return sw_net_sub(net, module, "conv", x);
}

const sw_net_class_row sw__pt_blocks[] = {
    {"Bottleneck", bottleneck},
    {"BasicBlock", residual_block},
    {"GhostBottleneck", ghost_bottleneck},
    {"CrossConv", bottleneck},
    {"CIB", cib},
    {"C1", c1},
    {"C2", c2},
    {"C3", c3},
    {"C3x", c3},
    {"C3k", c3},
    {"C3TR", c3},
    {"C3Ghost", c3},
    {"C3SPP", c3},
    {"RepC3", rep_c3},
    {"RepCSP", c3},
    {"RepBottleneck", bottleneck},
    {"BottleneckCSP", bottleneck_csp},
    {"C2f", c2f},
    {"C2fCIB", c2f},
    {"C2fPSA", c2f},
    {"C3k2", c2f},
    {"A2C2f", a2c2f},
    {"ELAN1", elan},
    {"RepNCSPELAN4", elan},
    {"SPPF", sppf},
    {"SPP", spp},
    {"SPPELAN", spp_elan},
    {"AConv", aconv},
    {"ADown", adown},
    {"SCDown", cv1_cv2},
    {"RepConv", rep_conv},
    {"RepVGGDW", rep_vgg},
    {"LightConv", light_conv},
    {"GhostConv", ghost_conv},
    {"ResNetBlock", resnet_block},
    {"ResNetLayer", resnet_layer},
    {"TorchVision", torchvision},
    {"HGStem", hg_stem},
    {"HGBlock", hg_block},
    {"Focus", focus},
    {"Contract", contract},
    {"Expand", expand},
    {"CBLinear", cb_linear},
    {"DFL", dfl},
    {"Proto", proto},
    {NULL, NULL},
};
