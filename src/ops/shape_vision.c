/* Shape rules of Letterbox, YoloDecode and Nms, and the geometry of letterboxing. */
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
static void place_side(const sw_letterbox_rule *rule, int64_t canvas, int64_t scaled, int64_t *begin, int64_t *side) {
    int64_t missing = canvas - scaled;
    if (rule->stride > 0) missing %= rule->stride;
    *begin = rule->center ? (int64_t)rint((double)missing / 2 - 0.1) : 0;
    *side = scaled + missing;
}

sw_letterbox_fit sw_letterbox_place(const sw_letterbox_rule *rule, int64_t height, int64_t width) {
    double ratio = fmin((double)rule->height / (double)height, (double)rule->width / (double)width);
    if (!rule->scale_up) ratio = fmin(ratio, 1.0);
    sw_letterbox_fit fit = {.scaled_height = scaled_side(rule, height, ratio),
                            .scaled_width = scaled_side(rule, width, ratio)};
    place_side(rule, rule->height, fit.scaled_height, &fit.top, &fit.height);
    place_side(rule, rule->width, fit.scaled_width, &fit.left, &fit.width);
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
        .center = sw_call_int(c, "center") != 0,
        .scale_up = sw_call_int(c, "scale_up") != 0,
        .truncate = sw_call_int(c, "truncate") != 0,
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
    sw__set_unknown(y, SW_F32, 4);
    y->dims[0] = 1;
    y->dims[1] = 3;
    if (rule.stride == 0) {
        y->dims[2] = rule.height;
        y->dims[3] = rule.width;
    }
    if (x->rank == SW_RANK_UNKNOWN) return SW_OK;
    for (int i = 0; i < 2; i++) {
        if (!sw_dim_known(x->dims[i])) return SW_OK;
        if (!is_side(x->dims[i]))
            return sw_call_fail(c, "the sides of a picture must be 1 to %d pixels, one is %lld",
                                SW_LETTERBOX_MAX_SIDE, (long long)x->dims[i]);
    }
    sw_letterbox_fit fit = sw_letterbox_place(&rule, x->dims[0], x->dims[1]);
    y->dims[2] = fit.height;
    y->dims[3] = fit.width;
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

sw_status sw__shape_yolo_decode(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    SW_TRY(check_candidates(c, x));
    const char *layout = sw_call_string(c, "layout");
    bool v8 = strcmp(layout, "v8") == 0, grids = strcmp(layout, "yolox") == 0;
    if (!v8 && !grids && strcmp(layout, "v5") != 0)
        return sw_call_fail(c, "layout must be v8, v5 or yolox, it is '%.40s'", layout);
    int64_t cells = grids ? grid_cells(c) : SW_DIM_UNKNOWN;
    if (grids && cells < 0) return sw_call_fail(c, "layout yolox needs height, width and 1 to 16 positive strides");
    sw_tensor *y = sw_call_out(c, 0);
    if (y) sw__set_unknown(y, SW_F32, 3);
    if (x->rank == SW_RANK_UNKNOWN) return SW_OK;
    int64_t rows = x->dims[v8 ? 1 : 2], anchors = x->dims[v8 ? 2 : 1];
    int64_t least = v8 ? 5 : 6; /* a box, objectness, one class */
    if (sw_dim_known(rows) && rows < least)
        return sw_call_fail(c, "layout %s needs at least %lld values an anchor, there are %lld", layout,
                            (long long)least, (long long)rows);
    if (grids && sw_dim_known(anchors) && anchors != cells)
        return sw_call_fail(c, "the grids have %lld cells, the input has %lld anchors", (long long)cells,
                            (long long)anchors);
    if (!y) return SW_OK;
    y->dims[0] = x->dims[0];
    y->dims[1] = anchors;
    if (sw_dim_known(rows)) y->dims[2] = v8 ? rows : rows - 1;
    return SW_OK;
}

sw_status sw__shape_nms(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    SW_TRY(check_candidates(c, x));
    if (x->rank == 3 && sw_dim_known(x->dims[2]) && x->dims[2] < 5)
        return sw_call_fail(c, "candidates need a box and at least one score, they have %lld values",
                            (long long)x->dims[2]);
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
        boxes->dims[2] = 6;
    }
    if (counts) {
        sw__set_unknown(counts, SW_I32, 1);
        counts->dims[0] = batch;
    }
    return SW_OK;
}
