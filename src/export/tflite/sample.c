/* Elements picked by computed places, or by places that are known: GridSample; resizing to the nearest pixel and paddings in
 * forms that the format's own operators do not have. */
#include <math.h>
#include <string.h>

#include "export/tflite/compose.h"
#include "ops/resize.h"
#include "ops/shape.h"

/* ---- GridSample ------------------------------------------------------------------------------------------------------ */

/* How grids of one mode become places in the map, which is padded so that every neighbour exists. */
typedef struct sampling {
    bool nearest, border;
    int64_t n, channels, side[2], before, padded[2]; /* height, width */
} sampling;

/* x, y of each point in the padded map, within it. */
static sw_value *places(sw_tfc *c, const sampling *s) {
    float factor[2], shift[2], low[2], high[2];
    bool corners = sw_node_int(c->node, "align_corners") != 0;
    for (int i = 0; i < 2; i++) {
        double side = (double)s->side[1 - i], extent = corners ? side - 1 : side;
        factor[i] = (float)(extent / 2);
        shift[i] = (float)((side - 1) / 2 + (double)s->before);
        low[i] = (float)(s->before - (s->border ? 0 : 1));
        high[i] = (float)(side - 1 + (double)s->before + (s->border ? 0 : 1));
    }
    sw_value *at =
        SW_TFC_APPLY(Add, SW_TFC_APPLY(Mul, c->node->in[1], sw__tfc_floats(c, 2, factor)), sw__tfc_floats(c, 2, shift));
    return SW_TFC_APPLY(Min, SW_TFC_APPLY(Max, at, sw__tfc_floats(c, 2, low)), sw__tfc_floats(c, 2, high));
}

/* The map as rows of channels, one a pixel. */
static sw_value *pixels(sw_tfc *c, const sampling *s) {
    const int64_t after = s->nearest || s->border ? 1 : 2, pads[] = {0, 0, s->before, s->before, 0, 0, after, after};
    sw_value *map = SW_TFC_APPLY(Pad, c->node->in[0], sw__tfc_ints(c, pads, 8));
    map = sw__tfc_transposed(c, map, (int64_t[]){0, 2, 3, 1}, 4);
    return SW_TFC_APPLY(Reshape, map, sw__tfc_ints(c, (int64_t[]){s->n * s->padded[0] * s->padded[1], s->channels}, 2));
}

/* Rows of the pixels left and above of the points, pictures one after the other: n x height x width x 1. */
static sw_value *row_numbers(sw_tfc *c, const sampling *s, sw_value *corner) {
    sw_value *steps = sw__tfc_constant(c, SW_I32, 1, (int64_t[]){2});
    sw_value *first = sw__tfc_constant(c, SW_I32, 4, (int64_t[]){s->n, 1, 1, 1});
    if (!steps || !first) return NULL;
    ((int32_t *)steps->type.data)[0] = 1;
    ((int32_t *)steps->type.data)[1] = (int32_t)s->padded[1];
    for (int64_t i = 0; i < s->n; i++) ((int32_t *)first->type.data)[i] = (int32_t)(i * s->padded[0] * s->padded[1]);
    sw_value *whole = sw__tfc_with_int(SW_TFC_APPLY(Cast, corner), "to", sw_dtype_onnx(SW_I32));
    return SW_TFC_APPLY(
        Add, SW_TFC_APPLY(ReduceSum, SW_TFC_APPLY(Mul, whole, steps), sw__tfc_ints(c, (int64_t[]){3}, 1)), first);
}

/* Weights of the four neighbours by the point's distances from the first, all between 0 and 1: n x height x width x 4 x 1. */
static sw_value *weights(sw_tfc *c, const sampling *s, sw_value *distance) {
    const sw_tensor *grid = &c->node->in[1]->type;
    sw_value *d[2];
    sw__tfc_split(c, distance, 3, 2, (int64_t[]){1, 1}, d);
    sw_value *x = SW_TFC_APPLY(Mul, d[0], sw__tfc_floats(c, 4, (float[]){-1, 1, -1, 1}));
    sw_value *y = SW_TFC_APPLY(Mul, d[1], sw__tfc_floats(c, 4, (float[]){-1, -1, 1, 1}));
    x = SW_TFC_APPLY(Add, x, sw__tfc_floats(c, 4, (float[]){1, 0, 1, 0}));
    y = SW_TFC_APPLY(Add, y, sw__tfc_floats(c, 4, (float[]){1, 1, 0, 0}));
    const int64_t dims[] = {s->n, grid->dims[1], grid->dims[2], 4, 1};
    return SW_TFC_APPLY(Reshape, SW_TFC_APPLY(Mul, x, y), sw__tfc_ints(c, dims, 5));
}

/* The four pixels around each point, gathered at once and weighted. */
static void sample(sw_tfc *c) {
    const sw_node *node = c->node;
    const sw_tensor *x = &node->in[0]->type, *grid = &node->in[1]->type;
    const char *mode = sw_node_string(node, "mode"), *padding = sw_node_string(node, "padding_mode");
    sampling s = {.nearest = !strcmp(mode, "nearest"), .border = !strcmp(padding, "border"), .before = 0};
    if (x->rank != 4 || !sw_tensor_is_concrete(x) || !sw_tensor_is_concrete(grid) || x->dtype != SW_F32 ||
        (!s.nearest && strcmp(mode, "linear") && strcmp(mode, "bilinear")) || !strcmp(padding, "reflection")) {
        sw__tfc_refuse(c, "only maps of known size, linear or nearest, without reflection, can be written");
        return;
    }
    s.before = s.border ? 0 : s.nearest ? 2 : 1; /* an even shift: halves are rounded to even places */
    s.n = x->dims[0];
    s.channels = x->dims[1];
    for (int i = 0; i < 2; i++) {
        s.side[i] = x->dims[2 + i];
        s.padded[i] = s.side[i] + s.before + (s.nearest || s.border ? 1 : 2);
    }
    if (sw_tensor_count(x) / s.channels > INT32_MAX / 16) sw__tfc_refuse(c, "its map is too large");
    if (c->status != SW_OK) return;
    sw_value *at = places(c, &s), *out;
    if (s.nearest) {
        sw_value *rows = row_numbers(c, &s, SW_TFC_APPLY(Round, at));
        const int64_t dims[] = {s.n, grid->dims[1], grid->dims[2]};
        out = sw__tfc_with_int(
            SW_TFC_APPLY(Gather, pixels(c, &s), SW_TFC_APPLY(Reshape, rows, sw__tfc_ints(c, dims, 3))), "axis", 0);
    } else {
        sw_value *corner = SW_TFC_APPLY(Floor, at), *steps = sw__tfc_constant(c, SW_I32, 1, (int64_t[]){4});
        for (int i = 0; steps && i < 4; i++) ((int32_t *)steps->type.data)[i] = (int32_t)(i % 2 + i / 2 * s.padded[1]);
        sw_value *rows = SW_TFC_APPLY(Add, row_numbers(c, &s, corner), steps);
        sw_value *around = sw__tfc_with_int(SW_TFC_APPLY(Gather, pixels(c, &s), rows), "axis", 0);
        sw_value *weighted = SW_TFC_APPLY(Mul, around, weights(c, &s, SW_TFC_APPLY(Sub, at, corner)));
        out = sw__tfc_with_int(SW_TFC_APPLY(ReduceSum, weighted, sw__tfc_ints(c, (int64_t[]){3}, 1)), "keepdims", 0);
    }
    sw__tfc_hand_over(c, 0, sw__tfc_transposed(c, out, (int64_t[]){0, 3, 1, 2}, 4));
}

/* ---- Known places ---------------------------------------------------------------------------------------------------- */

/* Elements `at` along an axis, which must not be freed before the graph. */
static sw_value *picked(sw_tfc *c, sw_value *x, int axis, int64_t *at, int64_t n) {
    return sw__tfc_with_int(SW_TFC_APPLY(Gather, x, sw__tfc_ints(c, at, (int)n)), "axis", axis);
}

static int64_t *places_of(sw_tfc *c, int64_t n) {
    int64_t *at = n > 0 && n <= INT32_MAX ? SW_ARENA_ARRAY(c->graph->arena, int64_t, n) : NULL;
    if (!at) sw__tfc_nomem(c);
    return at;
}

/* Maps enlarged by whole factors, or by floor of asymmetric places, have an operator. */
static bool is_uneven_nearest(const sw_node *node) {
    const sw_tensor *x = &node->in[0]->type, *y = &node->out[0]->type;
    const char *at = sw_node_string(node, "coordinate_transformation_mode");
    bool whole = x->rank == 4 && x->dims[0] == y->dims[0] && x->dims[1] == y->dims[1];
    if (strcmp(sw_node_string(node, "mode"), "nearest") || !strcmp(at, "tf_crop_and_resize") ||
        !sw_tensor_is_concrete(x) || !sw_tensor_is_concrete(y))
        return false;
    bool floor = whole && !strcmp(at, "asymmetric") && !strcmp(sw_node_string(node, "nearest_mode"), "floor");
    for (int i = 2; i < x->rank; i++) whole = whole && y->dims[i] % x->dims[i] == 0;
    return !floor && (!whole || !strcmp(at, "align_corners"));
}

static void nearest(sw_tfc *c) {
    const sw_tensor *in[4];
    sw_tensor *out[1];
    sw_resize r;
    sw_call call = sw_node_call(c->node, in, out, c->diag);
    c->status = sw_call_resize(&call, &r);
    sw_value *x = c->node->in[0];
    const int64_t *from = x->type.dims, *to = c->node->out[0]->type.dims;
    for (int i = 0; i < call.in[0]->rank && c->status == SW_OK; i++) {
        if (from[i] == to[i] && r.scale[i] == 1) continue;
        int64_t *at = places_of(c, to[i]);
        for (int64_t o = 0; at && o < to[i]; o++) {
            int64_t place = sw_resize_round(r.nearest, sw_resize_source(&r, i, from[i], to[i], o));
            at[o] = place < 0 ? 0 : place < from[i] ? place : from[i] - 1;
        }
        x = at ? picked(c, x, i, at, to[i]) : NULL;
    }
    sw__tfc_hand_over(c, 0, x == c->node->in[0] && x ? SW_TFC_APPLY(Identity, x) : x);
}

static bool repeats_elements(const sw_node *node) {
    const char *mode = sw_node_string(node, "mode");
    return !strcmp(mode, "edge") || !strcmp(mode, "wrap");
}

static void pad(sw_tfc *c) {
    const sw_tensor *in[4];
    sw_tensor *out[1];
    sw_pads p;
    bool wrap = !strcmp(sw_node_string(c->node, "mode"), "wrap");
    sw_value *x = c->node->in[0];
    sw_call call = sw_node_call(c->node, in, out, c->diag);
    if (!sw_tensor_is_concrete(in[0]) || !sw_tensor_is_concrete(out[0])) {
        sw__tfc_refuse(c, "only constant paddings can be written");
        return;
    }
    c->status = sw__pad_resolve(&call, &p);
    for (int i = 0; i < in[0]->rank && c->status == SW_OK; i++) {
        int64_t side = in[0]->dims[i], n = out[0]->dims[i];
        if (!p.begin[i] && n == side) continue;
        int64_t *at = side ? places_of(c, n) : NULL;
        for (int64_t o = 0; at && o < n; o++) {
            int64_t place = o - p.begin[i];
            at[o] = wrap ? (place % side + side) % side : place < 0 ? 0 : place < side ? place : side - 1;
        }
        x = at ? picked(c, x, i, at, n) : NULL;
    }
    sw__tfc_hand_over(c, 0, x == c->node->in[0] && x ? SW_TFC_APPLY(Identity, x) : x);
}

const sw_tfc_row sw__tfc_sample[] = {
    {SW_OP_GridSample, NULL, sample},
    {SW_OP_Resize, is_uneven_nearest, nearest},
    {SW_OP_Pad, repeats_elements, pad},
    {0, NULL, NULL},
};
