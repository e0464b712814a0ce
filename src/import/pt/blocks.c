/* Convolutional blocks of the YOLO families. Graphs were learned from exported traces; names are those of the modules'
 * parts. */
#include <stdio.h>

#include "import/pt/net.h"

enum { MAX_PARTS = 64 };

/* cv1, cv2 with a shortcut where the module says `add`. */
static sw_value *bottleneck(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *y = sw_net_sub(net, module, "cv2", sw_net_sub(net, module, "cv1", x));
    return sw_net_int(module, "add", 0) ? sw_net_add(net, x, y) : y;
}

/* cv3 over both branches: m behind cv1, and cv2. */
static sw_value *c3(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *a = sw_net_sub(net, module, "m", sw_net_sub(net, module, "cv1", x));
    sw_value *b = sw_net_sub(net, module, "cv2", x);
    return sw_net_sub(net, module, "cv3", sw_net_concat(net, 1, 2, (sw_value *[]){a, b}));
}

/* cv1 cut in two; each item of m works on the part before it; cv2 over all parts. */
static sw_value *c2f(sw_net *net, const sw_pickle *module, sw_value *x) {
    const sw_pickle *m = sw_net_child(module, "m");
    size_t n = sw_net_count(m);
    sw_value *parts[MAX_PARTS];
    if (n + 2 > MAX_PARTS)
        return sw_net_fail(net, SW_E_LIMIT, NULL, "the block has %zu parts, at most %d are read", n, MAX_PARTS - 2);
    sw_net_split(net, sw_net_sub(net, module, "cv1", x), 1, 2, NULL, parts);
    for (size_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "m.%zu", i);
        parts[i + 2] = sw_net_module(net, sw_net_item(m, i), name, parts[i + 1]);
    }
    return sw_net_sub(net, module, "cv2", sw_net_concat(net, 1, (int)n + 2, parts));
}

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

/* The mean of a distribution: a 1x1 convolution with the weights 0, 1, 2 ... */
static sw_value *dfl(sw_net *net, const sw_pickle *module, sw_value *x) {
    return sw_net_sub(net, module, "conv", x);
}

const sw_net_class_row sw__pt_blocks[] = {
    {"Bottleneck", bottleneck},
    {"C3", c3},
    {"C3k", c3},
    {"C2f", c2f},
    {"C3k2", c2f},
    {"SPPF", sppf},
    {"SPP", spp},
    {"DFL", dfl},
    {NULL, NULL},
};
