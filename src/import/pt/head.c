/* Heads: from feature maps to the outputs that Ultralytics' ONNX export has. */
#include <stdio.h>
#include <string.h>

#include "import/pt/net.h"

enum { MAX_LEVELS = 8 };

static void set_output(sw_net *net, int n, sw_value **outputs) {
    for (int i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "output%d", i);
        /* An Identity carries the name; the passes drop it. */
        sw_value *named = sw_net_ok(net) && outputs[i]
                              ? sw_graph_add_value(net->graph, name, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL)
                              : NULL;
        if (!named || !sw_graph_add_node(net->graph, NULL, SW_OP_Identity, name, 1, &outputs[i], 1, &named)) {
            sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
            return;
        }
        outputs[i] = named;
    }
    if (sw_graph_set_outputs(net->graph, outputs, n) != SW_OK) sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
}

/* One item of a list of branches, over one level. */
static sw_value *branch(sw_net *net, const sw_pickle *module, const char *list, int level, sw_value *x) {
    const sw_pickle *item = sw_net_item(sw_net_child(module, list), (size_t)level);
    char name[48];
    snprintf(name, sizeof name, "%s.%d", list, level);
    if (!item) return sw_net_fail(net, SW_E_MODEL, NULL, "the head has no '%s'", name);
    return sw_net_module(net, item, name, x);
}

static bool read_strides(sw_net *net, const sw_pickle *module, int n, float *strides) {
    sw_value *value = sw_net_tensor(net, sw_pickle_get(module, "stride"), "stride");
    if (!value || value->type.dtype != SW_F32 || sw_tensor_count(&value->type) != n)
        return sw_net_fail(net, SW_E_MODEL, NULL, "the head has no strides for its %d levels", n);
    memcpy(strides, value->type.data, (size_t)n * sizeof *strides);
    return true;
}

/* ---- Anchors ------------------------------------------------------------------------------------------------------- */

/* Extent of an axis as a tensor of one int64. */
static sw_value *extent(sw_net *net, sw_value *x, int axis) {
    sw_value *out = SW_NET_APPLY(net, SW_OP_Shape, x);
    if (!out) return NULL;
    sw_node_set_int(out->producer, "start", axis);
    sw_node_set_int(out->producer, "end", axis + 1);
    return out;
}

/* offset, offset + 1, ... along an axis of x, as float32. */
static sw_value *steps(sw_net *net, sw_value *x, int axis, float offset) {
    sw_value *limit = SW_NET_APPLY(net, SW_OP_Squeeze, extent(net, x, axis));
    limit = SW_NET_APPLY(net, SW_OP_Cast, limit);
    if (limit) sw_node_set_int(limit->producer, "to", 1);
    sw_value *range = SW_NET_APPLY(net, SW_OP_Range, sw_net_scalar(net, 0), limit, sw_net_scalar(net, 1));
    return sw_net_add(net, range, sw_net_scalar(net, offset));
}

/* Centres of the cells of a map (batch, channels, height, width) in row-major order, in cells: 2, height * width. */
static sw_value *centres(sw_net *net, sw_value *x, float offset) {
    sw_value *size = sw_net_concat(net, 0, 2, (sw_value *[]){extent(net, x, 2), extent(net, x, 3)});
    sw_value *columns = sw_net_reshape(net, steps(net, x, 3, offset), (int64_t[]){1, -1}, 2);
    sw_value *rows = sw_net_reshape(net, steps(net, x, 2, offset), (int64_t[]){-1, 1}, 2);
    sw_value *pair[2] = {SW_NET_APPLY(net, SW_OP_Expand, columns, size), SW_NET_APPLY(net, SW_OP_Expand, rows, size)};
    for (int i = 0; i < 2; i++) pair[i] = sw_net_reshape(net, pair[i], (int64_t[]){1, -1}, 2);
    return sw_net_concat(net, 0, 2, pair);
}

/* The stride of every anchor: 1, anchors. */
static sw_value *stride_row(sw_net *net, sw_value *x, float stride) {
    sw_value *cells = sw_net_mul(net, extent(net, x, 2), extent(net, x, 3));
    sw_value *size = sw_net_concat(net, 0, 2, (sw_value *[]){SW_NET_DIMS(net, 1), cells});
    return SW_NET_APPLY(net, SW_OP_Expand, sw_net_scalar(net, stride), size);
}

/* ---- Detect of v8 and later ---------------------------------------------------------------------------------------- */

/* Distances to the four sides: the mean of a distribution over reg_max bins (DFL). box: batch, 4 * bins, anchors. */
static sw_value *distances(sw_net *net, const sw_pickle *module, int64_t bins, sw_value *box) {
    if (bins <= 1) return box;
    box = sw_net_transpose(net, sw_net_reshape(net, box, (int64_t[]){0, 4, bins, -1}, 4), (int64_t[]){0, 2, 1, 3}, 4);
    return sw_net_reshape(net, sw_net_sub(net, module, "dfl", sw_net_softmax(net, box, 1)), (int64_t[]){0, 4, -1}, 3);
}

/* Corners around the anchors to centre and size, in pixels: batch, 4, anchors. */
static sw_value *boxes(sw_net *net, sw_value *sides, sw_value *anchors, sw_value *strides) {
    sw_value *parts[2];
    sw_net_split(net, sides, 1, 2, NULL, parts);
    sw_value *near = SW_NET_APPLY(net, SW_OP_Sub, anchors, parts[0]), *far = sw_net_add(net, anchors, parts[1]);
    sw_value *centre = SW_NET_APPLY(net, SW_OP_Div, sw_net_add(net, near, far), sw_net_scalar(net, 2));
    sw_value *size = SW_NET_APPLY(net, SW_OP_Sub, far, near);
    return sw_net_mul(net, sw_net_concat(net, 1, 2, (sw_value *[]){centre, size}), strides);
}

/* Boxes and scores, batch 4 + classes anchors. */
static sw_value *decode(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    int64_t classes = sw_net_int(module, "nc", 0), bins = sw_net_int(module, "reg_max", 16);
    float strides[MAX_LEVELS];
    sw_value *maps[MAX_LEVELS], *anchors[MAX_LEVELS], *stride_rows[MAX_LEVELS], *parts[2];
    if (classes < 1 || bins < 1 || !read_strides(net, module, n, strides))
        return sw_net_fail(net, SW_E_MODEL, NULL, "the head has no classes");
    for (int i = 0; i < n; i++) {
        sw_value *pair[2] = {branch(net, module, "cv2", i, x[i]), branch(net, module, "cv3", i, x[i])};
        sw_value *map = sw_net_concat(net, 1, 2, pair);
        anchors[i] = centres(net, map, 0.5f);
        stride_rows[i] = stride_row(net, map, strides[i]);
        maps[i] = sw_net_reshape(net, map, (int64_t[]){0, classes + 4 * bins, -1}, 3);
    }
    sw_net_split(net, sw_net_concat(net, 2, n, maps), 1, 2, (int64_t[]){4 * bins, classes}, parts);
    sw_value *sides = distances(net, module, bins, parts[0]);
    sw_value *box = boxes(net, sides, sw_net_concat(net, 1, n, anchors), sw_net_concat(net, 1, n, stride_rows));
    sw_value *scores = SW_NET_APPLY(net, SW_OP_Sigmoid, parts[1]);
    return sw_net_concat(net, 1, 2, (sw_value *[]){box, scores});
}

static void detect(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    sw_value *out = decode(net, module, n, x);
    set_output(net, 1, &out);
}

/* ---- Detect of v5: anchors of given sizes -------------------------------------------------------------------------- */

/* One level: batch, anchors * height * width, 5 + classes. `sizes`: anchors in cells, per_level x 2. */
static sw_value *decode_v5_level(sw_net *net, sw_value *map, int64_t per_level, int64_t outputs, const float *sizes,
                                 float stride) {
    sw_value *shape = sw_net_concat(
        net, 0, 3, (sw_value *[]){SW_NET_DIMS(net, 0, per_level, outputs), extent(net, map, 2), extent(net, map, 3)});
    sw_value *y = SW_NET_APPLY(
        net, SW_OP_Sigmoid,
        sw_net_transpose(net, SW_NET_APPLY(net, SW_OP_Reshape, map, shape), (int64_t[]){0, 1, 3, 4, 2}, 5));
    sw_value *parts[3];
    sw_net_split(net, y, 4, 3, (int64_t[]){2, 2, outputs - 4}, parts);
    sw_value *grid = sw_net_transpose(net, centres(net, map, -0.5f), (int64_t[]){1, 0}, 2);
    sw_value *grid_shape = sw_net_concat(
        net, 0, 4,
        (sw_value *[]){SW_NET_DIMS(net, 1, 1), extent(net, map, 2), extent(net, map, 3), SW_NET_DIMS(net, 2)});
    grid = SW_NET_APPLY(net, SW_OP_Reshape, grid, grid_shape);
    sw_value *two = sw_net_scalar(net, 2);
    sw_value *xy = sw_net_mul(net, sw_net_add(net, sw_net_mul(net, parts[0], two), grid), sw_net_scalar(net, stride));
    sw_value *twice = sw_net_mul(net, parts[1], two);
    sw_value *wh = sw_net_mul(net, sw_net_mul(net, twice, twice),
                              sw_net_floats(net, "anchors", sizes, 5, (int64_t[]){1, per_level, 1, 1, 2}));
    return sw_net_reshape(net, sw_net_concat(net, 4, 3, (sw_value *[]){xy, wh, parts[2]}),
                          (int64_t[]){0, -1, outputs}, 3);
}

static void detect_v5(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    int64_t outputs = sw_net_int(module, "nc", 0) + 5, per_level = sw_net_int(module, "na", 0);
    sw_value *anchors = sw_net_param(net, module, "anchors"), *levels[MAX_LEVELS];
    float strides[MAX_LEVELS], sizes[64];
    if (!read_strides(net, module, n, strides)) return;
    if (outputs < 6 || per_level < 1 || per_level > 32 || !anchors ||
        sw_tensor_count(&anchors->type) != 2 * per_level * n) {
        sw_net_fail(net, SW_E_MODEL, NULL, "the head has no anchors");
        return;
    }
    for (int i = 0; i < n; i++) {
        for (int64_t k = 0; k < 2 * per_level; k++)
            sizes[k] = ((float *)anchors->type.data)[i * 2 * per_level + k] * strides[i];
        levels[i] = decode_v5_level(net, branch(net, module, "m", i, x[i]), per_level, outputs, sizes, strides[i]);
    }
    sw_value *out = sw_net_concat(net, 1, n, levels);
    set_output(net, 1, &out);
}

/* ---- Classify ------------------------------------------------------------------------------------------------------ */

static void classify(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    sw_value *y = n > 1 ? sw_net_concat(net, 1, n, x) : x[0];
    y = sw_net_sub(net, module, "pool", sw_net_sub(net, module, "conv", y));
    y = sw_net_sub(net, module, "linear", SW_NET_APPLY(net, SW_OP_Flatten, y));
    y = sw_net_softmax(net, y, 1);
    set_output(net, 1, &y);
}

/* ---- The table ----------------------------------------------------------------------------------------------------- */

static void detect_any(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    bool anchors = sw_pickle_get(sw_pickle_get(module, "_buffers"), "anchors") != NULL;
    (anchors ? detect_v5 : detect)(net, module, n, x);
}

static const struct {
    const char *name, *task;
    void (*build)(sw_net *net, const sw_pickle *module, int n, sw_value *const *x);
} heads[] = {
    {"Detect", "detect", detect_any},
    {"Classify", "classify", classify},
};

bool sw__pt_head(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        if (strcmp(heads[i].name, sw_net_class(module)) != 0) continue;
        net->task = heads[i].task;
        if (n < 1 || n > MAX_LEVELS)
            sw_net_fail(net, SW_E_MODEL, NULL, "the head has %d inputs", n);
        else
            heads[i].build(net, module, n, x);
        return true;
    }
    return false;
}
