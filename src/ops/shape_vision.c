/* Shape rules of the operators before and after a vision model, and the geometry of letterboxing. */
#include <math.h>
#include <string.h>

#include "ops/letterbox.h"
#include "ops/shape.h"

/* Ratios, products and halves are doubles and rint rounds halves to even: Python's arithmetic, step by step.
 */
static int64_t scaled_side(const sw_letterbox_rule *rule, int64_t side, double ratio) {
    double scaled = (double)side * ratio;
    int64_t rounded = (int64_t)(rule->truncate ? floor(scaled) : rint(scaled));
    return rounded < 1 ? 1 : rounded;
}

/* Splits what a side lacks; the odd pixel goes behind the picture. */
static void place_side(const sw_letterbox_rule *rule, int64_t canvas, int64_t least, int64_t scaled, int64_t *begin,
                       int64_t *side) {
    int64_t most = canvas - scaled, missing = rule->stride > 0 ? most % rule->stride : most;
    while (missing < most && scaled + missing < least) missing += rule->stride;
    *begin = rule->center ? (int64_t)rint((double)missing / 2 - 0.1) : 0;
    *side = scaled + missing;
}

sw_letterbox_fit sw_letterbox_place(const sw_letterbox_rule *rule, int64_t height, int64_t width) {
    if (rule->stretch) return (sw_letterbox_fit){rule->height, rule->width, 0, 0, rule->height, rule->width};
    double ratio = fmin((double)rule->height / (double)height, (double)rule->width / (double)width);
    if (!rule->scale_up) ratio = fmin(ratio, 1.0);
    sw_letterbox_fit fit = {.scaled_height = scaled_side(rule, height, ratio),
                            .scaled_width = scaled_side(rule, width, ratio)};
    place_side(rule, rule->height, rule->least_height, fit.scaled_height, &fit.top, &fit.height);
    place_side(rule, rule->width, rule->least_width, fit.scaled_width, &fit.left, &fit.width);
    return fit;
}

static bool is_side(int64_t side) {
    return side >= 1 && side <= SW_LETTERBOX_MAX_SIDE;
}

sw_status sw_call_letterbox(const sw_call *c, sw_letterbox_rule *rule) {
    *rule = (sw_letterbox_rule){
        .height = sw_call_int(c, "height"),
        .width = sw_call_int(c, "width"),
        .stride = sw_call_int(c, "stride"),
        .least_height = sw_call_int(c, "least_height"),
        .least_width = sw_call_int(c, "least_width"),
        .center = sw_call_int(c, "center") != 0,
        .scale_up = sw_call_int(c, "scale_up") != 0,
        .truncate = sw_call_int(c, "truncate") != 0,
        .stretch = sw_call_int(c, "stretch") != 0,
    };
    if (!is_side(rule->height) || !is_side(rule->width))
        return sw_call_fail(c, "height and width must be 1 to %d, they are %lld and %lld", SW_LETTERBOX_MAX_SIDE,
                            (long long)rule->height, (long long)rule->width);
    if (rule->stride < 0) return sw_call_fail(c, "stride must not be negative, it is %lld", (long long)rule->stride);
    int64_t pad = sw_call_int(c, "pad_value");
    if (pad < 0 || pad > 255) return sw_call_fail(c, "pad_value must be 0 to 255, it is %lld", (long long)pad);
    int means = sw_call_attr(c, "mean", SW_ATTR_FLOATS)->floats.n,
        stds = sw_call_attr(c, "std", SW_ATTR_FLOATS)->floats.n;
    if ((means != 0 && means != 3) || (stds != 0 && stds != 3))
        return sw_call_fail(c, "mean and std need 3 values each, they have %d and %d", means, stds);
    return SW_OK;
}

sw_status sw__shape_letterbox(const sw_call *c) {
    sw_letterbox_rule rule;
    SW_TRY(sw_call_letterbox(c, &rule));
    const sw_tensor *x = c->in[0];
    if (x->dtype != SW_U8 && x->dtype != SW_DTYPE_NONE)
        return sw_call_fail(c, "the picture must be uint8, it is %s", sw_dtype_name(x->dtype));
    if (x->rank != SW_RANK_UNKNOWN && (x->rank != 3 || (sw_dim_known(x->dims[2]) && x->dims[2] != 3)))
        return sw_call_fail(c, "the picture must have the dims height, width, 3");
    sw_tensor *y = sw_call_out(c, 0);
    if (!y) return SW_OK;
    bool bytes = sw_call_int(c, "bytes") != 0;
    int64_t *sides = y->dims + (bytes ? 1 : 2);
    sw__set_unknown(y, bytes ? SW_U8 : SW_F32, 4);
    y->dims[0] = 1;
    y->dims[bytes ? 3 : 1] = 3;
    if (rule.stride == 0 || rule.stretch) {
        sides[0] = rule.height;
        sides[1] = rule.width;
    }
    if (x->rank == SW_RANK_UNKNOWN) return SW_OK;
    for (int i = 0; i < 2; i++) {
        if (!sw_dim_known(x->dims[i])) return SW_OK;
        if (!is_side(x->dims[i]))
            return sw_call_fail(c, "the sides of a picture must be 1 to %d pixels, one is %lld", SW_LETTERBOX_MAX_SIDE,
                                (long long)x->dims[i]);
    }
    sw_letterbox_fit fit = sw_letterbox_place(&rule, x->dims[0], x->dims[1]);
    sides[0] = fit.height;
    sides[1] = fit.width;
    return SW_OK;
}

/* Input of YoloDecode and Nms: float N a b. */
static sw_status check_candidates(const sw_call *c, const sw_tensor *x) {
    if (x->dtype != SW_F32 && x->dtype != SW_DTYPE_NONE)
        return sw_call_unsupported(c, "the input must be float32, it is %s", sw_dtype_name(x->dtype));
    if (x->rank != 3 && x->rank != SW_RANK_UNKNOWN)
        return sw_call_fail(c, "the input must have rank 3, it has %d", x->rank);
    return SW_OK;
}

/* Anchors of YOLOX: one a cell of each grid; -1 when the attributes make no sense. */
static int64_t grid_cells(const sw_call *c) {
    const sw_attr *strides = sw_call_attr(c, "strides", SW_ATTR_INTS);
    int64_t height = sw_call_int(c, "height"), width = sw_call_int(c, "width"), cells = 0;
    if (!is_side(height) || !is_side(width) || strides->ints.n < 1 || strides->ints.n > 16) return -1;
    for (int i = 0; i < strides->ints.n; i++) {
        if (strides->ints.v[i] < 1) return -1;
        cells += (height / strides->ints.v[i]) * (width / strides->ints.v[i]);
    }
    return cells;
}

enum { MOST_EXTRA = 1 << 20 }; /* values beside box and scores */

sw_status sw__shape_yolo_decode(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    SW_TRY(check_candidates(c, x));
    const char *layout = sw_call_string(c, "layout");
    bool columns = strcmp(layout, "v8") == 0 || strcmp(layout, "xywh") == 0; /* anchors are columns */
    bool grids = strcmp(layout, "yolox") == 0, objectness = grids || strcmp(layout, "v5") == 0;
    if (!columns && !objectness && strcmp(layout, "detr") != 0)
        return sw_call_fail(c, "layout must be v8, xywh, v5, yolox or detr, it is '%.40s'", layout);
    int64_t cells = grids ? grid_cells(c) : SW_DIM_UNKNOWN, extra = sw_call_int(c, "extra");
    if (grids && cells < 0) return sw_call_fail(c, "layout yolox needs height, width and 1 to 16 positive strides");
    if (extra < 0 || extra > MOST_EXTRA)
        return sw_call_fail(c, "extra must be 0 to %d, it is %lld", MOST_EXTRA, (long long)extra);
    sw_tensor *y = sw_call_out(c, 0);
    if (y) sw__set_unknown(y, SW_F32, 3);
    if (x->rank == SW_RANK_UNKNOWN) return SW_OK;
    int64_t rows = x->dims[columns ? 1 : 2], anchors = x->dims[columns ? 2 : 1];
    int64_t least = (objectness ? 6 : 5) + extra; /* a box, objectness, one class */
    if (sw_dim_known(rows) && rows < least)
        return sw_call_fail(c, "layout %s needs at least %lld values an anchor, there are %lld", layout,
                            (long long)least, (long long)rows);
    if (grids && sw_dim_known(anchors) && anchors != cells)
        return sw_call_fail(c, "the grids have %lld cells, the input has %lld anchors", (long long)cells,
                            (long long)anchors);
    if (!y) return SW_OK;
    y->dims[0] = x->dims[0];
    y->dims[1] = anchors;
    if (sw_dim_known(rows)) y->dims[2] = objectness ? rows - 1 : rows;
    return SW_OK;
}

/* Checks input `kind` of level `level`: float N cells values, like all others. */
static sw_status check_level(const sw_call *c, int input, int64_t cells, int64_t *values) {
    const sw_tensor *x = c->in[input];
    if (!x) return sw_call_fail(c, "input %d is missing", input);
    SW_TRY(check_candidates(c, x));
    if (x->rank == SW_RANK_UNKNOWN) return SW_OK;
    if (sw_dim_known(x->dims[1]) && x->dims[1] != cells)
        return sw_call_fail(c, "input %d has %lld cells, its grid has %lld", input, (long long)x->dims[1],
                            (long long)cells);
    if (sw_dim_known(x->dims[0]) && c->in[0]->rank == 3 && x->dims[0] != c->in[0]->dims[0])
        return sw_call_fail(c, "input %d has a batch of %lld, the first one %lld", input, (long long)x->dims[0],
                            (long long)c->in[0]->dims[0]);
    if (!sw_dim_known(x->dims[2])) return SW_OK;
    if (*values < 0) *values = x->dims[2];
    if (*values == x->dims[2]) return SW_OK;
    return sw_call_fail(c, "input %d has %lld values a cell, expected %lld", input, (long long)x->dims[2],
                        (long long)*values);
}

sw_status sw__shape_level_decode(const sw_call *c) {
    const char *layout = sw_call_string(c, "layout");
    bool gfl = strcmp(layout, "gfl") == 0;
    if (!gfl && strcmp(layout, "yunet") != 0)
        return sw_call_fail(c, "layout must be gfl or yunet, it is '%.40s'", layout);
    const sw_attr *strides = sw_call_attr(c, "strides", SW_ATTR_INTS);
    int64_t height = sw_call_int(c, "height"), width = sw_call_int(c, "width"), anchors = 0;
    int levels = strides->ints.n, kinds = gfl ? 2 : 4;
    if (!is_side(height) || !is_side(width)) return sw_call_fail(c, "height and width must be 1 to 65535");
    if (levels < 1 || levels > 16 || c->n_in != kinds * levels)
        return sw_call_fail(c, "layout %s needs %d inputs for each stride, there are %d for %d", layout, kinds, c->n_in,
                            levels);
    int64_t values[4] = {gfl ? SW_DIM_UNKNOWN : 1, gfl ? SW_DIM_UNKNOWN : 1, 4, 10};
    for (int level = 0; level < levels; level++) {
        int64_t stride = strides->ints.v[level];
        if (stride < 1) return sw_call_fail(c, "strides must be positive, one is %lld", (long long)stride);
        int64_t cells = ((height + stride - 1) / stride) * ((width + stride - 1) / stride);
        for (int kind = 0; kind < kinds; kind++) SW_TRY(check_level(c, kind * levels + level, cells, &values[kind]));
        anchors += cells;
    }
    if (gfl && values[1] >= 0 && (values[1] < 8 || values[1] % 4))
        return sw_call_fail(c, "distributions need four times at least two bins, they have %lld values",
                            (long long)values[1]);
    sw_tensor *y = sw_call_out(c, 0);
    if (!y) return SW_OK;
    sw__set_unknown(y, SW_F32, 3);
    if (c->in[0]->rank == 3) y->dims[0] = c->in[0]->dims[0];
    y->dims[1] = anchors;
    if (!gfl)
        y->dims[2] = 4 + 1 + 10;
    else if (values[0] >= 0)
        y->dims[2] = 4 + values[0];
    return SW_OK;
}

sw_status sw__shape_nms(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    SW_TRY(check_candidates(c, x));
    int64_t extra = sw_call_int(c, "extra");
    bool rotated = sw_call_int(c, "rotated") != 0;
    if (extra < rotated || extra > MOST_EXTRA)
        return sw_call_fail(c, "extra must be %d to %d, it is %lld", rotated, MOST_EXTRA, (long long)extra);
    if (x->rank == 3 && sw_dim_known(x->dims[2]) && x->dims[2] < 5 + extra)
        return sw_call_fail(c, "candidates need a box, at least one score and %lld values more, they have %lld values",
                            (long long)extra, (long long)x->dims[2]);
    int64_t max_det = sw_call_int(c, "max_det"), max_nms = sw_call_int(c, "max_nms");
    if (max_det < 1 || max_det > 1000000)
        return sw_call_fail(c, "max_det must be 1 to 1000000, it is %lld", (long long)max_det);
    if (max_nms < 1) return sw_call_fail(c, "max_nms must be at least 1, it is %lld", (long long)max_nms);
    int64_t batch = x->rank == 3 ? x->dims[0] : SW_DIM_UNKNOWN;
    sw_tensor *boxes = sw_call_out(c, 0), *counts = sw_call_out(c, 1);
    if (boxes) {
        sw__set_unknown(boxes, SW_F32, 3);
        boxes->dims[0] = batch;
        boxes->dims[1] = max_det;
        boxes->dims[2] = 6 + extra;
    }
    if (counts) {
        sw__set_unknown(counts, SW_I32, 1);
        counts->dims[0] = batch;
    }
    return SW_OK;
}

sw_status sw__shape_proto_masks(const sw_call *c) {
    const sw_tensor *rows = c->in[0], *protos = c->in[1];
    for (int i = 0; i < 2; i++)
        if (c->in[i]->dtype != SW_F32 && c->in[i]->dtype != SW_DTYPE_NONE)
            return sw_call_unsupported(c, "the inputs must be float32, one is %s", sw_dtype_name(c->in[i]->dtype));
    int64_t scale = sw_call_int(c, "scale");
    if (scale < 1 || scale > 64) return sw_call_fail(c, "scale must be 1 to 64, it is %lld", (long long)scale);
    if ((rows->rank != 2 && rows->rank >= 0) || (protos->rank != 4 && protos->rank >= 0))
        return sw_call_fail(c, "the inputs must be n 6+k and 1 k h w");
    sw_tensor *y = sw_call_out(c, 0);
    if (y) sw__set_unknown(y, SW_U8, 3);
    if (rows->rank < 0 || protos->rank < 0) return SW_OK;
    if (sw_dim_known(protos->dims[0]) && protos->dims[0] != 1)
        return sw_call_fail(c, "the prototypes must be those of one picture, they are of %lld",
                            (long long)protos->dims[0]);
    if (sw_dim_known(rows->dims[1]) && sw_dim_known(protos->dims[1]) && rows->dims[1] != 6 + protos->dims[1])
        return sw_call_fail(c, "%lld prototypes need detections of %lld values, they have %lld",
                            (long long)protos->dims[1], 6 + (long long)protos->dims[1], (long long)rows->dims[1]);
    for (int i = 2; i < 4; i++)
        if (sw_dim_known(protos->dims[i]) && !is_side(protos->dims[i]))
            return sw_call_fail(c, "prototypes must have 1 to 65535 pixels a side, they have %lld",
                                (long long)protos->dims[i]);
    if (!y) return SW_OK;
    y->dims[0] = rows->dims[0];
    for (int i = 1; i < 3; i++)
        if (sw_dim_known(protos->dims[i + 1])) y->dims[i] = scale * protos->dims[i + 1];
    return SW_OK;
}

sw_status sw__shape_resize_crop(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    int64_t height = sw_call_int(c, "height"), width = sw_call_int(c, "width"), resize = sw_call_int(c, "resize");
    if (!is_side(height) || !is_side(width))
        return sw_call_fail(c, "height and width must be 1 to %d, they are %lld and %lld", SW_LETTERBOX_MAX_SIDE,
                            (long long)height, (long long)width);
    if (resize != 0 && (!is_side(resize) || resize < height || resize < width))
        return sw_call_fail(c, "resize must be 0, or at least height and width; it is %lld", (long long)resize);
    int means = sw_call_attr(c, "mean", SW_ATTR_FLOATS)->floats.n,
        stds = sw_call_attr(c, "std", SW_ATTR_FLOATS)->floats.n;
    if ((means != 0 && means != 3) || (stds != 0 && stds != 3))
        return sw_call_fail(c, "mean and std need 3 values each, they have %d and %d", means, stds);
    if (x->dtype != SW_U8 && x->dtype != SW_DTYPE_NONE)
        return sw_call_fail(c, "the picture must be uint8, it is %s", sw_dtype_name(x->dtype));
    if (x->rank != SW_RANK_UNKNOWN && (x->rank != 3 || (sw_dim_known(x->dims[2]) && x->dims[2] != 3)))
        return sw_call_fail(c, "the picture must have the dims height, width, 3");
    for (int i = 0; x->rank == 3 && i < 2; i++)
        if (sw_dim_known(x->dims[i]) && !is_side(x->dims[i]))
            return sw_call_fail(c, "the sides of a picture must be 1 to %d pixels, one is %lld", SW_LETTERBOX_MAX_SIDE,
                                (long long)x->dims[i]);
    sw_tensor *y = sw_call_out(c, 0);
    if (!y) return SW_OK;
    sw__set_unknown(y, SW_F32, 4);
    memcpy(y->dims, (int64_t[]){1, 3, height, width}, 4 * sizeof *y->dims);
    return SW_OK;
}
