/* Heads: from feature maps to the outputs that Ultralytics' ONNX export has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/pt/net.h"

enum { MAX_LEVELS = 8, MAX_ANCHORS = 32 };

void sw__pt_outputs(sw_net *net, int n, sw_value **outputs) {
    for (int i = 0; i < n; i++) {
        char name[24];
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

/* Centres of the cells of a map (batch, channels, height, width) in row-major order, in cells: 2, height * width. */
static sw_value *centres(sw_net *net, sw_value *x, float offset) {
    sw_value *size = sw_net_concat(net, 0, 2, (sw_value *[]){sw_net_extent(net, x, 2), sw_net_extent(net, x, 3)});
    sw_value *columns = sw_net_reshape(net, sw_net_steps(net, x, 3, offset), (int64_t[]){1, -1}, 2);
    sw_value *rows = sw_net_reshape(net, sw_net_steps(net, x, 2, offset), (int64_t[]){-1, 1}, 2);
    sw_value *pair[2] = {SW_NET_APPLY(net, SW_OP_Expand, columns, size), SW_NET_APPLY(net, SW_OP_Expand, rows, size)};
    for (int i = 0; i < 2; i++) pair[i] = sw_net_reshape(net, pair[i], (int64_t[]){1, -1}, 2);
    return sw_net_concat(net, 0, 2, pair);
}

/* The stride of every anchor: 1, anchors. */
static sw_value *stride_row(sw_net *net, sw_value *x, float stride) {
    sw_value *cells = sw_net_mul(net, sw_net_extent(net, x, 2), sw_net_extent(net, x, 3));
    sw_value *size = sw_net_concat(net, 0, 2, (sw_value *[]){SW_NET_DIMS(net, 1), cells});
    return SW_NET_APPLY(net, SW_OP_Expand, sw_net_scalar(net, stride), size);
}

/* ---- Detect of v8 and later ---------------------------------------------------------------------------------------- */

/* What the heads of a family share. `prefix`: "one2one_" for the branches that need no suppression behind them. */
typedef struct detector {
    const sw_pickle *module;
    const char *prefix;
    int n; /* levels */
    sw_value *const *x;
    int64_t classes, bins, most;
    sw_value *anchors, *strides; /* 1, 2, positions in cells; 1, positions */
    sw_value *sides, *scores;    /* batch, 4, positions; batch, classes, positions */
} detector;

/* A list of branches over all levels, joined: batch, channels, positions. `x` NULL: over the head's inputs. */
static sw_value *branches(sw_net *net, const detector *d, const char *list, int64_t channels, sw_value *const *x) {
    sw_value *parts[MAX_LEVELS];
    char name[32];
    snprintf(name, sizeof name, "%s%s", d->prefix, list);
    for (int i = 0; i < d->n; i++)
        parts[i] =
            sw_net_reshape(net, branch(net, d->module, name, i, x ? x[i] : d->x[i]), (int64_t[]){0, channels, -1}, 3);
    return sw_net_concat(net, 2, d->n, parts);
}

/* Distances to the four sides: the mean of a distribution over reg_max bins (DFL). box: batch, 4 * bins, positions. */
static sw_value *distances(sw_net *net, const detector *d, sw_value *box) {
    if (d->bins == 1) return box;
    box = sw_net_reshape(net, box, (int64_t[]){0, 4, d->bins, -1}, 4);
    box = sw_net_softmax(net, sw_net_transpose(net, box, (int64_t[]){0, 2, 1, 3}, 4), 1);
    return sw_net_reshape(net, sw_net_sub(net, d->module, "dfl", box), (int64_t[]){0, 4, -1}, 3);
}

/* Whether the branches that need no suppression are used. As Ultralytics' predict has it since 8.4: only where a model was
 * fused for them and has lost the others, or, as its `nms=False` does there, where SLIPWAY_END2END=1 asks for them. */
static bool self_suppressing(const sw_pickle *module) {
    const char *wanted = getenv("SLIPWAY_END2END");
    return sw_net_child(module, "one2one_cv2") && (!sw_net_child(module, "cv2") || (wanted && !strcmp(wanted, "1")));
}

static bool read_detector(sw_net *net, const sw_pickle *module, int n, sw_value *const *x, detector *d) {
    float strides[MAX_LEVELS];
    sw_value *anchors[MAX_LEVELS], *rows[MAX_LEVELS];
    bool single = self_suppressing(module);
    *d = (detector){.module = module, .prefix = single ? "one2one_" : "", .n = n, .x = x};
    d->classes = sw_net_int(module, "nc", 0);
    d->bins = sw_net_int(module, "reg_max", 16);
    d->most = sw_net_int(module, "max_det", 300);
    if (d->classes < 1 || d->bins < 1 || d->most < 1 || d->classes > INT32_MAX || d->bins > 4096 || d->most > 1 << 20)
        return sw_net_fail(net, SW_E_MODEL, NULL, "the head has no classes");
    if (!read_strides(net, module, n, strides)) return false;
    for (int i = 0; i < n; i++) {
        anchors[i] = centres(net, x[i], 0.5f);
        rows[i] = stride_row(net, x[i], strides[i]);
    }
    d->anchors = sw_net_unsqueeze(net, sw_net_concat(net, 1, n, anchors), 0);
    d->strides = sw_net_concat(net, 1, n, rows);
    d->sides = distances(net, d, branches(net, d, "cv2", 4 * d->bins, NULL));
    d->scores = SW_NET_APPLY(net, SW_OP_Sigmoid, branches(net, d, "cv3", d->classes, NULL));
    net->end2end = single;
    return sw_net_ok(net);
}

/* Distances to boxes in pixels, batch, 4, positions: corners for heads that suppress themselves, else centre and size. */
static sw_value *boxes(sw_net *net, const detector *d) {
    sw_value *parts[2];
    sw_net_split(net, d->sides, 1, 2, NULL, parts);
    sw_value *near = SW_NET_APPLY(net, SW_OP_Sub, d->anchors, parts[0]), *far = sw_net_add(net, d->anchors, parts[1]);
    if (!net->end2end) {
        sw_value *sum = sw_net_add(net, near, far), *size = SW_NET_APPLY(net, SW_OP_Sub, far, near);
        near = SW_NET_APPLY(net, SW_OP_Div, sum, sw_net_scalar(net, 2));
        far = size;
    }
    return sw_net_mul(net, sw_net_concat(net, 1, 2, (sw_value *[]){near, far}), d->strides);
}

void sw__pt_best_pairs(sw_net *net, sw_value *scores, int64_t classes, sw_value *k, sw_value **values, sw_value **class,
                       sw_value **row) {
    sw_value *pairs, *divisor = SW_NET_DIMS(net, classes);
    sw_net_top_k(net, SW_NET_APPLY(net, SW_OP_Flatten, scores), k, values, &pairs);
    *class = SW_NET_APPLY(net, SW_OP_Cast, SW_NET_APPLY(net, SW_OP_Mod, pairs, divisor));
    if (*class) sw_node_set_int((*class)->producer, "to", 1);
    *row = SW_NET_APPLY(net, SW_OP_Div, pairs, divisor);
}

/* The best `most` pairs of position and class: first the positions of the best classes, then the pairs among these.
 * Returns batch, k, 4 + score + class + extras. */
static sw_value *best(sw_net *net, const detector *d, sw_value *box, sw_value *extra, int64_t extras) {
    const int64_t swap[] = {0, 2, 1};
    sw_value *scores = sw_net_transpose(net, d->scores, swap, 3), *values, *index, *class, *row, *positions;
    sw_value *k = SW_NET_APPLY(net, SW_OP_Min, SW_NET_DIMS(net, d->most), sw_net_extent(net, scores, 1));
    sw_value *peak = SW_NET_APPLY(net, SW_OP_ReduceMax, scores, SW_NET_DIMS(net, -1));
    if (peak) sw_node_set_int(peak->producer, "keepdims", 0);
    sw_net_top_k(net, peak, k, &values, &positions);
    sw__pt_best_pairs(net, sw_net_pick(net, scores, positions, d->classes), d->classes, k, &values, &class, &row);
    index = SW_NET_APPLY(net, SW_OP_GatherElements, positions, row);
    if (index) sw_node_set_int(index->producer, "axis", 1);
    sw_value *parts[4] = {sw_net_pick(net, sw_net_transpose(net, box, swap, 3), index, 4),
                          sw_net_unsqueeze(net, values, 2), sw_net_unsqueeze(net, class, 2),
                          extra ? sw_net_pick(net, sw_net_transpose(net, extra, swap, 3), index, extras) : NULL};
    return sw_net_concat(net, 2, extra ? 4 : 3, parts);
}

/* `extra`: batch, extras, positions, or NULL. */
static sw_value *finish(sw_net *net, const detector *d, sw_value *box, sw_value *extra, int64_t extras) {
    if (net->end2end) return best(net, d, box, extra, extras);
    return sw_net_concat(net, 1, extra ? 3 : 2, (sw_value *[]){box, d->scores, extra});
}

static void detect(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    detector d;
    if (!read_detector(net, module, n, x, &d)) return;
    sw_value *out = finish(net, &d, boxes(net, &d), NULL, 0);
    sw__pt_outputs(net, 1, &out);
}

/* ---- Segment, Pose, OBB -------------------------------------------------------------------------------------------- */

/* YOLO26's prototypes: the levels above the first, scaled to it, are added before the masks are made. */
static sw_value *proto26(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    sw_value *y = x[0];
    for (int i = 1; i < n; i++) {
        sw_value *size = sw_net_concat(net, 0, 4,
                                       (sw_value *[]){sw_net_extent(net, y, 0), sw_net_extent(net, y, 1),
                                                      sw_net_extent(net, y, 2), sw_net_extent(net, y, 3)});
        y = sw_net_add(net, y, sw_net_resize_to(net, branch(net, module, "feat_refine", i - 1, x[i]), size));
    }
    static const char *const parts[] = {"feat_fuse", "cv1", "upsample", "cv2", "cv3"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) y = sw_net_sub(net, module, parts[i], y);
    return y;
}

static void segment(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    detector d;
    int64_t masks = sw_net_int(module, "nm", 32);
    const sw_pickle *proto = sw_net_child(module, "proto");
    if (!read_detector(net, module, n, x, &d)) return;
    sw_value *coefficients = branches(net, &d, "cv4", masks, NULL);
    sw_value *out[2] = {finish(net, &d, boxes(net, &d), coefficients, masks)};
    if (sw_net_child(proto, "feat_fuse"))
        out[1] = proto26(net, proto, n, x);
    else
        out[1] = sw_net_sub(net, module, "proto", x[0]);
    sw__pt_outputs(net, 2, out);
}

/* Key points: batch, points * values, positions, as offsets from the cells; the third value is a score. YOLO26 counts from the
 * cell's centre in single steps, the others from its corner in steps of two. */
static sw_value *key_points(sw_net *net, const detector *d, sw_value *raw, int64_t points, int64_t values, bool plain) {
    sw_value *parts[2], *anchors = d->anchors;
    raw = sw_net_reshape(net, raw, (int64_t[]){0, points, values, -1}, 4);
    if (values > 2)
        sw_net_split(net, raw, 2, 2, (int64_t[]){2, values - 2}, parts);
    else
        parts[0] = raw;
    if (!plain) {
        parts[0] = sw_net_mul(net, parts[0], sw_net_scalar(net, 2));
        anchors = SW_NET_APPLY(net, SW_OP_Sub, anchors, sw_net_scalar(net, 0.5f));
    }
    sw_value *y = sw_net_mul(net, sw_net_add(net, parts[0], anchors), d->strides);
    if (values > 2) y = sw_net_concat(net, 2, 2, (sw_value *[]){y, SW_NET_APPLY(net, SW_OP_Sigmoid, parts[1])});
    return sw_net_reshape(net, y, (int64_t[]){0, points * values, -1}, 3);
}

static void pose(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    detector d;
    int64_t shape[2];
    if (!sw_net_ints(module, "kpt_shape", shape, 2) || shape[0] < 1 || shape[0] > 4096 || shape[1] < 2 ||
        shape[1] > 3) {
        sw_net_fail(net, SW_E_MODEL, NULL, "the head has no shape of key points");
        return;
    }
    if (!read_detector(net, module, n, x, &d)) return;
    char name[32];
    snprintf(name, sizeof name, "%scv4_kpts", d.prefix);
    bool plain = sw_net_child(module, name);
    sw_value *raw, *features[MAX_LEVELS];
    snprintf(name, sizeof name, "%scv4", d.prefix);
    for (int i = 0; plain && i < n; i++) features[i] = branch(net, module, name, i, x[i]);
    if (plain)
        raw = branches(net, &d, "cv4_kpts", shape[0] * shape[1], features);
    else
        raw = branches(net, &d, "cv4", shape[0] * shape[1], NULL);
    sw_value *points = key_points(net, &d, raw, shape[0], shape[1], plain);
    sw_value *out = finish(net, &d, boxes(net, &d), points, shape[0] * shape[1]);
    memcpy(net->key_points, shape, sizeof shape);
    sw__pt_outputs(net, 1, &out);
}

/* Distances seen along the turned axes of a box to its centre and size, in pixels: batch, 4, positions. */
static sw_value *turned_boxes(sw_net *net, const detector *d, sw_value *angle) {
    sw_value *parts[2], *offset[2];
    sw_net_split(net, d->sides, 1, 2, NULL, parts);
    sw_value *half =
        SW_NET_APPLY(net, SW_OP_Div, SW_NET_APPLY(net, SW_OP_Sub, parts[1], parts[0]), sw_net_scalar(net, 2));
    sw_net_split(net, half, 1, 2, NULL, offset);
    sw_value *c = SW_NET_APPLY(net, SW_OP_Cos, angle), *s = SW_NET_APPLY(net, SW_OP_Sin, angle);
    sw_value *x = SW_NET_APPLY(net, SW_OP_Sub, sw_net_mul(net, offset[0], c), sw_net_mul(net, offset[1], s));
    sw_value *y = sw_net_add(net, sw_net_mul(net, offset[0], s), sw_net_mul(net, offset[1], c));
    sw_value *centre = sw_net_add(net, sw_net_concat(net, 1, 2, (sw_value *[]){x, y}), d->anchors);
    sw_value *size = sw_net_add(net, parts[0], parts[1]);
    return sw_net_mul(net, sw_net_concat(net, 1, 2, (sw_value *[]){centre, size}), d->strides);
}

/* Angles are -pi/4 ... 3 pi/4 behind a sigmoid; YOLO26 gives radians as they are. */
static void oriented(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    detector d;
    int64_t extras = sw_net_int(module, "ne", 1);
    if (!read_detector(net, module, n, x, &d)) return;
    sw_value *angle = branches(net, &d, "cv4", extras, NULL);
    if (strcmp(sw_net_class(module), "OBB") == 0) {
        angle = SW_NET_APPLY(net, SW_OP_Sub, SW_NET_APPLY(net, SW_OP_Sigmoid, angle), sw_net_scalar(net, 0.25f));
        angle = sw_net_mul(net, angle, sw_net_scalar(net, 3.14159274f));
    }
    sw_value *out = finish(net, &d, turned_boxes(net, &d, angle), angle, extras);
    sw__pt_outputs(net, 1, &out);
}

/* ---- Detect of v5: anchors of given sizes -------------------------------------------------------------------------- */

/* One level: batch, anchors * height * width, 5 + classes + masks. `sizes`: anchors in pixels, per_level x 2. */
static sw_value *decode_v5_level(sw_net *net, sw_value *map, int64_t per_level, int64_t scores, int64_t masks,
                                 const float *sizes, float stride) {
    int64_t outputs = 4 + scores + masks;
    sw_value *shape = sw_net_concat(net, 0, 3,
                                    (sw_value *[]){SW_NET_DIMS(net, 0, per_level, outputs), sw_net_extent(net, map, 2),
                                                   sw_net_extent(net, map, 3)});
    sw_value *y = sw_net_transpose(net, SW_NET_APPLY(net, SW_OP_Reshape, map, shape), (int64_t[]){0, 1, 3, 4, 2}, 5);
    sw_value *parts[4] = {NULL};
    sw_net_split(net, y, 4, masks ? 4 : 3, (int64_t[]){2, 2, scores, masks}, parts);
    for (int i = 0; i < 3; i++) parts[i] = SW_NET_APPLY(net, SW_OP_Sigmoid, parts[i]);
    sw_value *grid = sw_net_transpose(net, centres(net, map, -0.5f), (int64_t[]){1, 0}, 2);
    sw_value *grid_shape = sw_net_concat(net, 0, 4,
                                         (sw_value *[]){SW_NET_DIMS(net, 1, 1), sw_net_extent(net, map, 2),
                                                        sw_net_extent(net, map, 3), SW_NET_DIMS(net, 2)});
    grid = SW_NET_APPLY(net, SW_OP_Reshape, grid, grid_shape);
    sw_value *two = sw_net_scalar(net, 2);
    sw_value *xy = sw_net_mul(net, sw_net_add(net, sw_net_mul(net, parts[0], two), grid), sw_net_scalar(net, stride));
    sw_value *twice = sw_net_mul(net, parts[1], two);
    sw_value *wh = sw_net_mul(net, sw_net_mul(net, twice, twice),
                              sw_net_floats(net, "anchors", sizes, 5, (int64_t[]){1, per_level, 1, 1, 2}));
    y = sw_net_concat(net, 4, masks ? 4 : 3, (sw_value *[]){xy, wh, parts[2], parts[3]});
    return sw_net_reshape(net, y, (int64_t[]){0, -1, outputs}, 3);
}

/* The anchors' sizes in pixels, and the strides; returns how many anchors a cell has, 0 on error. */
static int64_t read_anchors(sw_net *net, const sw_pickle *module, int n, float *sizes, float *strides) {
    int64_t per_level = sw_net_int(module, "na", 0);
    sw_value *anchors = sw_net_param(net, module, "anchors");
    if (!read_strides(net, module, n, strides)) return 0;
    if (per_level < 1 || per_level > MAX_ANCHORS || !anchors || anchors->type.dtype != SW_F32 ||
        sw_tensor_count(&anchors->type) != 2 * per_level * n) {
        sw_net_fail(net, SW_E_MODEL, NULL, "the head has no anchors");
        return 0;
    }
    for (int64_t k = 0; k < 2 * per_level * n; k++)
        sizes[k] = ((float *)anchors->type.data)[k] * strides[k / (2 * per_level)];
    return per_level;
}

static void detect_v5(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    bool is_segment = sw_net_child(module, "proto");
    int64_t classes = sw_net_int(module, "nc", 0), masks = is_segment ? sw_net_int(module, "nm", 32) : 0;
    float strides[MAX_LEVELS], sizes[MAX_LEVELS * MAX_ANCHORS * 2];
    int64_t per_level = read_anchors(net, module, n, sizes, strides);
    sw_value *levels[MAX_LEVELS];
    if (!per_level) return;
    if (classes < 1 || classes > INT32_MAX || masks < 0 || masks > INT32_MAX) {
        sw_net_fail(net, SW_E_MODEL, NULL, "the head has no classes");
        return;
    }
    for (int i = 0; i < n; i++)
        levels[i] = decode_v5_level(net, branch(net, module, "m", i, x[i]), per_level, classes + 1, masks,
                                    sizes + 2 * per_level * i, strides[i]);
    sw_value *out[2] = {sw_net_concat(net, 1, n, levels)};
    if (is_segment) out[1] = sw_net_sub(net, module, "proto", x[0]);
    sw__pt_outputs(net, is_segment ? 2 : 1, out);
}

/* ---- Classify ------------------------------------------------------------------------------------------------------ */

/* Probabilities, for YOLOv5 too (whose own export stops at the logits): what reads a classifier need not ask which it is. */
static void classify(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    sw_value *y = n > 1 ? sw_net_concat(net, 1, n, x) : x[0];
    y = sw_net_sub(net, module, "pool", sw_net_sub(net, module, "conv", y));
    y = sw_net_sub(net, module, "linear", SW_NET_APPLY(net, SW_OP_Flatten, y));
    y = sw_net_softmax(net, y, 1);
    sw__pt_outputs(net, 1, &y);
}

/* ---- The table ----------------------------------------------------------------------------------------------------- */

static bool has_anchors(const sw_pickle *module) {
    return sw_pickle_get(sw_pickle_get(module, "_buffers"), "anchors");
}

static void detect_any(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    (has_anchors(module) ? detect_v5 : detect)(net, module, n, x);
}

static void segment_any(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    (has_anchors(module) ? detect_v5 : segment)(net, module, n, x);
}

static const struct {
    const char *name, *task;
    void (*build)(sw_net *net, const sw_pickle *module, int n, sw_value *const *x);
} heads[] = {
    {"Detect", "detect", detect_any},
    {"v10Detect", "detect", detect},
    {"Segment", "segment", segment_any},
    {"Segment26", "segment", segment},
    {"Pose", "pose", pose},
    {"Pose26", "pose", pose},
    {"OBB", "obb", oriented},
    {"OBB26", "obb", oriented},
    {"Classify", "classify", classify},
    {"RTDETRDecoder", "detect", sw__pt_rtdetr},
};

bool sw__pt_head(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        if (strcmp(heads[i].name, sw_net_class(module)) != 0) continue;
        net->task = heads[i].task;
        net->head = heads[i].name;
        if (n < 1 || n > MAX_LEVELS)
            sw_net_fail(net, SW_E_MODEL, NULL, "the head has %d inputs", n);
        else
            heads[i].build(net, module, n, x);
        return true;
    }
    return false;
}
