/* RT-DETR's decoder: queries picked from the encoder's features look at points of the maps around their boxes, layer by layer.
 * Output as Ultralytics exports it: batch, queries, 6: centre and size of the box, 0 to 1; score; class; by falling score. */
#include <stdio.h>
#include <string.h>

#include "import/pt/net.h"

enum { MAX_LEVELS = 8, MAX_STEPS = 32 };

/* What the layers share. */
typedef struct decoder {
    int n;                      /* levels */
    sw_value *maps[MAX_LEVELS]; /* batch, channels, height, width */
    sw_value *memory;           /* batch, positions, channels */
    int64_t channels, queries;
} decoder;

static sw_value *item(sw_net *net, const sw_pickle *module, const char *list, int i, sw_value *x) {
    const sw_pickle *m = sw_net_item(sw_net_child(module, list), (size_t)i);
    char name[48];
    snprintf(name, sizeof name, "%s.%d", list, i);
    return m ? sw_net_module(net, m, name, x) : sw_net_fail(net, SW_E_MODEL, NULL, "the head has no '%s'", name);
}

/* Linear layers with ReLU between them. */
static sw_value *perceptron(sw_net *net, const sw_pickle *module, sw_value *x) {
    const sw_pickle *layers = sw_net_child(module, "layers");
    size_t n = sw_net_count(layers);
    if (n < 1 || n > MAX_STEPS) return sw_net_fail(net, SW_E_MODEL, NULL, "the perceptron has %zu layers", n);
    for (size_t i = 0; i < n; i++) {
        x = item(net, module, "layers", (int)i, x);
        if (i + 1 == n) break;
        x = sw_net_child(module, "act") ? sw_net_sub(net, module, "act", x) : SW_NET_APPLY(net, SW_OP_Relu, x);
    }
    return x;
}

static sw_value *perceptron_at(sw_net *net, const sw_pickle *module, const char *name, int i, sw_value *x) {
    const sw_pickle *m = sw_net_child(module, name);
    if (i >= 0) m = sw_net_item(m, (size_t)i);
    return m ? perceptron(net, m, x) : sw_net_fail(net, SW_E_MODEL, NULL, "the head has no '%s'", name);
}

/* ---- Anchors ------------------------------------------------------------------------------------------------------- */

/* Centres of the cells of a map, and a size that doubles with the level: 1, positions, 4. */
static sw_value *anchors_of(sw_net *net, sw_value *map, int level) {
    sw_value *size = sw_net_concat(net, 0, 2, (sw_value *[]){sw_net_extent(net, map, 2), sw_net_extent(net, map, 3)});
    sw_value *parts[4];
    for (int i = 0; i < 2; i++) {
        sw_value *extent = SW_NET_APPLY(net, SW_OP_Cast, sw_net_extent(net, map, 3 - i));
        if (extent) sw_node_set_int(extent->producer, "to", 1);
        sw_value *at = SW_NET_APPLY(net, SW_OP_Div, sw_net_steps(net, map, 3 - i, 0.5f), extent);
        at = sw_net_reshape(net, at, i == 0 ? (int64_t[]){1, -1} : (int64_t[]){-1, 1}, 2);
        parts[i] = sw_net_reshape(net, SW_NET_APPLY(net, SW_OP_Expand, at, size), (int64_t[]){1, -1, 1}, 3);
    }
    sw_value *side = SW_NET_APPLY(net, SW_OP_Expand, sw_net_scalar(net, 0.05f * (float)(1 << level)), size);
    parts[2] = parts[3] = sw_net_reshape(net, side, (int64_t[]){1, -1, 1}, 3);
    return sw_net_concat(net, 2, 4, parts);
}

static sw_value *logit(sw_net *net, sw_value *x) {
    sw_value *rest = SW_NET_APPLY(net, SW_OP_Sub, sw_net_scalar(net, 1), x);
    return SW_NET_APPLY(net, SW_OP_Log, SW_NET_APPLY(net, SW_OP_Div, x, rest));
}

/* The same for values that may be 0 or 1. */
static sw_value *safe_logit(sw_net *net, sw_value *x) {
    sw_value *zero = sw_net_scalar(net, 0), *one = sw_net_scalar(net, 1), *least = sw_net_scalar(net, 1e-5f);
    x = SW_NET_APPLY(net, SW_OP_Clip, x, zero, one);
    sw_value *a = SW_NET_APPLY(net, SW_OP_Max, x, least);
    sw_value *b = SW_NET_APPLY(net, SW_OP_Max, SW_NET_APPLY(net, SW_OP_Sub, one, x), least);
    return SW_NET_APPLY(net, SW_OP_Log, SW_NET_APPLY(net, SW_OP_Div, a, b));
}

/* 1 where all four numbers of an anchor keep away from 0 and 1, else 0: 1, positions, 1. */
static sw_value *usable(sw_net *net, sw_value *anchors) {
    sw_value *low = SW_NET_APPLY(net, SW_OP_Greater, anchors, sw_net_scalar(net, 0.01f));
    sw_value *high = SW_NET_APPLY(net, SW_OP_Less, anchors, sw_net_scalar(net, 0.99f));
    sw_value *both = SW_NET_APPLY(net, SW_OP_Cast, SW_NET_APPLY(net, SW_OP_And, low, high));
    if (both) sw_node_set_int(both->producer, "to", 1);
    return SW_NET_APPLY(net, SW_OP_ReduceMin, both, SW_NET_DIMS(net, 2));
}

/* ---- Attention at points of the maps ------------------------------------------------------------------------------- */

/* Samples one level. values: batch * heads, channels, height, width; places: batch * heads, queries, points, 2 in 0 ... 1. */
static sw_value *sample(sw_net *net, sw_value *values, sw_value *places) {
    sw_value *grid = sw_net_mul(net, places, sw_net_scalar(net, 2));
    grid = SW_NET_APPLY(net, SW_OP_Sub, grid, sw_net_scalar(net, 1));
    return SW_NET_APPLY(net, SW_OP_GridSample, values, grid);
}

/* Where each head looks: batch, queries, heads, levels * points, 2. `boxes`: batch, queries, 4. */
static sw_value *places_of(sw_net *net, sw_value *offsets, sw_value *boxes, const int64_t *dims, int64_t points) {
    sw_value *parts[2];
    boxes = SW_NET_APPLY(net, SW_OP_Unsqueeze, boxes, SW_NET_DIMS(net, 2, 3));
    sw_net_split(net, boxes, 4, 2, NULL, parts);
    offsets = sw_net_reshape(net, offsets, dims, 5);
    offsets = sw_net_mul(net, offsets, sw_net_scalar(net, 0.5f / (float)points));
    return sw_net_add(net, parts[0], sw_net_mul(net, offsets, parts[1]));
}

static sw_value *look(sw_net *net, const sw_pickle *module, const decoder *d, sw_value *query, sw_value *boxes) {
    int64_t heads = sw_net_int(module, "n_heads", 0), levels = sw_net_int(module, "n_levels", 0),
            points = sw_net_int(module, "n_points", 0);
    if (heads < 1 || heads > 1024 || points < 1 || points > 1024 || levels != d->n || d->channels % heads)
        return sw_net_fail(net, SW_E_MODEL, NULL, "the attention has no heads, points or levels");
    int64_t width = d->channels / heads, all = levels * points;
    sw_value *places = places_of(net, sw_net_sub(net, module, "sampling_offsets", query), boxes,
                                 (int64_t[]){0, 0, heads, all, 2}, points);
    places = sw_net_transpose(net, places, (int64_t[]){0, 2, 1, 3, 4}, 5);
    places = sw_net_reshape(net, places, (int64_t[]){-1, d->queries, all, 2}, 4);
    sw_value *weights =
        sw_net_reshape(net, sw_net_sub(net, module, "attention_weights", query), (int64_t[]){0, 0, heads, all}, 4);
    weights = sw_net_transpose(net, sw_net_softmax(net, weights, -1), (int64_t[]){0, 2, 1, 3}, 4);
    weights = sw_net_reshape(net, weights, (int64_t[]){-1, 1, d->queries, all}, 4);
    sw_value *values = sw_net_transpose(net, sw_net_sub(net, module, "value_proj", d->memory), (int64_t[]){0, 2, 1}, 3);
    sw_value *of_level[MAX_LEVELS], *lengths[MAX_LEVELS], *seen[MAX_LEVELS];
    for (int i = 0; i < d->n; i++)
        lengths[i] = sw_net_mul(net, sw_net_extent(net, d->maps[i], 2), sw_net_extent(net, d->maps[i], 3));
    sw_net_split_at(net, values, 2, d->n, sw_net_concat(net, 0, d->n, lengths), of_level);
    for (int i = 0; i < d->n; i++) {
        sw_value *shape = sw_net_concat(net, 0, 3,
                                        (sw_value *[]){SW_NET_DIMS(net, -1, width), sw_net_extent(net, d->maps[i], 2),
                                                       sw_net_extent(net, d->maps[i], 3)});
        seen[i] = sample(net, SW_NET_APPLY(net, SW_OP_Reshape, of_level[i], shape),
                         sw_net_slice(net, places, 2, i * points, (i + 1) * points, 1));
    }
    sw_value *y = sw_net_mul(net, sw_net_concat(net, 3, d->n, seen), weights);
    y = SW_NET_APPLY(net, SW_OP_ReduceSum, y, SW_NET_DIMS(net, 3));
    y = sw_net_reshape(net, y, (int64_t[]){-1, d->channels, d->queries}, 3);
    return sw_net_sub(net, module, "output_proj", sw_net_transpose(net, y, (int64_t[]){0, 2, 1}, 3));
}

static sw_value *decoder_layer(sw_net *net, const sw_pickle *module, const decoder *d, sw_value *x, sw_value *boxes,
                               sw_value *place) {
    const sw_pickle *attn = sw_net_child(module, "self_attn"), *cross = sw_net_child(module, "cross_attn");
    if (!attn || !cross) return sw_net_fail(net, SW_E_MODEL, NULL, "a layer of the decoder has no attention");
    sw_value *at = sw_net_add(net, x, place);
    x = sw_net_sub(net, module, "norm1", sw_net_add(net, x, sw__pt_multihead(net, attn, at, at, x)));
    sw_value *seen = look(net, cross, d, sw_net_add(net, x, place), boxes);
    x = sw_net_sub(net, module, "norm2", sw_net_add(net, x, seen));
    sw_value *y = sw_net_sub(net, module, "act", sw_net_sub(net, module, "linear1", x));
    return sw_net_sub(net, module, "norm3", sw_net_add(net, x, sw_net_sub(net, module, "linear2", y)));
}

/* ---- The head ------------------------------------------------------------------------------------------------------ */

/* Maps of all levels at one width, and their positions one behind the other. Returns the anchors as logits, 1, positions, 4;
 * *mask: 1, positions, 1. */
static sw_value *gather_memory(sw_net *net, const sw_pickle *module, decoder *d, sw_value *const *x, sw_value **mask) {
    sw_value *tokens[MAX_LEVELS], *anchors[MAX_LEVELS];
    for (int i = 0; i < d->n; i++) {
        d->maps[i] = item(net, module, "input_proj", i, x[i]);
        tokens[i] = sw_net_tokens(net, d->maps[i]);
        anchors[i] = anchors_of(net, d->maps[i], i);
    }
    d->memory = sw_net_concat(net, 1, d->n, tokens);
    sw_value *all = sw_net_concat(net, 1, d->n, anchors);
    *mask = usable(net, all);
    float large = 3.402823466e38f; /* the sigmoid of an unusable anchor is 1 */
    sw_value *is_usable = SW_NET_APPLY(net, SW_OP_Cast, *mask);
    if (is_usable) sw_node_set_int(is_usable->producer, "to", 9); /* ONNX's number of bool */
    return SW_NET_APPLY(net, SW_OP_Where, is_usable, logit(net, all), sw_net_scalar(net, large));
}

/* The queries with the best class: features batch, queries, channels, and logits of their boxes. */
static sw_value *first_queries(sw_net *net, const sw_pickle *module, const decoder *d, sw_value *anchors,
                               sw_value *mask, sw_value **boxes) {
    sw_value *features = sw_net_sub(net, module, "enc_output", sw_net_mul(net, d->memory, mask));
    sw_value *peak =
        SW_NET_APPLY(net, SW_OP_ReduceMax, sw_net_sub(net, module, "enc_score_head", features), SW_NET_DIMS(net, 2));
    if (peak) sw_node_set_int(peak->producer, "keepdims", 0);
    sw_value *values, *index;
    sw_net_top_k(net, peak, SW_NET_DIMS(net, d->queries), &values, &index);
    features = sw_net_pick(net, features, index, d->channels);
    sw_value *batch =
        sw_net_concat(net, 0, 2, (sw_value *[]){sw_net_extent(net, d->memory, 0), SW_NET_DIMS(net, 1, 1)});
    anchors = SW_NET_APPLY(net, SW_OP_Expand, anchors, batch);
    *boxes =
        sw_net_add(net, perceptron_at(net, module, "enc_bbox_head", -1, features), sw_net_pick(net, anchors, index, 4));
    if (!sw_net_int(module, "learnt_init_query", 0)) return features;
    sw_value *learnt = sw_net_param(net, sw_net_child(module, "tgt_embed"), "weight");
    return SW_NET_APPLY(net, SW_OP_Expand, sw_net_unsqueeze(net, learnt, 0), batch);
}

void sw__pt_rtdetr(sw_net *net, const sw_pickle *module, int n, sw_value *const *x) {
    decoder d = {
        .n = n, .channels = sw_net_int(module, "hidden_dim", 256), .queries = sw_net_int(module, "num_queries", 300)};
    const sw_pickle *stack = sw_net_child(module, "decoder"), *layers = sw_net_child(stack, "layers");
    size_t steps = sw_net_count(layers);
    int64_t classes = sw_net_int(module, "nc", 0), last = sw_net_int(stack, "eval_idx", (int64_t)steps - 1);
    if (n > MAX_LEVELS || d.channels < 1 || d.channels > 1 << 16 || d.queries < 1 || d.queries > 1 << 16 ||
        classes < 1 || classes > 1 << 24 || last < 0 || last >= (int64_t)steps || steps > MAX_STEPS) {
        sw_net_fail(net, SW_E_MODEL, NULL, "the decoder has no layers, queries or channels");
        return;
    }
    sw_value *mask, *boxes, *anchors = gather_memory(net, module, &d, x, &mask);
    sw_value *y = first_queries(net, module, &d, anchors, mask, &boxes);
    boxes = SW_NET_APPLY(net, SW_OP_Sigmoid, boxes);
    for (int i = 0; i <= last; i++) {
        sw_value *place = perceptron_at(net, module, "query_pos_head", -1, boxes);
        y = decoder_layer(net, sw_net_item(layers, (size_t)i), &d, y, boxes, place);
        sw_value *shift = perceptron_at(net, module, "dec_bbox_head", i, y);
        boxes = SW_NET_APPLY(net, SW_OP_Sigmoid, sw_net_add(net, shift, safe_logit(net, boxes)));
    }
    sw_value *scores = SW_NET_APPLY(net, SW_OP_Sigmoid, item(net, module, "dec_score_head", (int)last, y));
    sw_value *values, *class, *row;
    sw__pt_best_pairs(net, scores, classes, SW_NET_DIMS(net, d.queries), &values, &class, &row);
    sw_value *out = sw_net_concat(net, 2, 3,
                                  (sw_value *[]){sw_net_pick(net, boxes, row, 4), sw_net_unsqueeze(net, values, 2),
                                                 sw_net_unsqueeze(net, class, 2)});
    sw__pt_outputs(net, 1, &out);
}
