#include "ops/resize.h"

#include <math.h>
#include <string.h>

#include "ops/shape.h"

static long long ll(int64_t v) {
    return (long long)v;
}

/* Which of `names` (closed by NULL) an attribute says. */
static sw_status read_choice(const sw_call *c, const char *attr, const char *const *names, int *choice) {
    const char *text = sw_call_string(c, attr);
    for (*choice = 0; names[*choice]; ++*choice)
        if (strcmp(text, names[*choice]) == 0) return SW_OK;
    return sw_call_fail(c, "attribute %s is '%s', which is none of its values", attr, text);
}

static sw_status read_modes(const sw_call *c, sw_resize *r) {
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const coords[] = {
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize",
        NULL};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    int mode, coord, round;
    SW_TRY(read_choice(c, "mode", modes, &mode));
    SW_TRY(read_choice(c, "coordinate_transformation_mode", coords, &coord));
    SW_TRY(read_choice(c, "nearest_mode", nearest, &round));
    r->mode = (sw_resize_mode)mode;
    r->coords = (sw_resize_coords)coord;
    r->nearest = (sw_resize_nearest)round;
    return SW_OK;
}

/* The axes that scales, sizes and roi speak of, in their order. */
static sw_status read_axes(const sw_call *c, int rank, int *axes, int *n) {
    const sw_attr *a = sw_call_attr(c, "axes", SW_ATTR_INTS);
    bool seen[SW_MAX_RANK] = {false};
    *n = a->set ? a->ints.n : rank;
    if (*n > rank) return sw_call_fail(c, "attribute axes names %d axes, but the input has %d", *n, rank);
    for (int i = 0; i < *n; i++) {
        axes[i] = i;
        if (a->set) SW_TRY(sw__require_axis(c, a->ints.v[i], rank, &axes[i]));
        if (seen[axes[i]]) return sw_call_fail(c, "axis %d is named twice", axes[i]);
        seen[axes[i]] = true;
    }
    return SW_OK;
}

/* A float input of `n` elements. *t is NULL when it is absent or empty, which ONNX takes as the same. */
static sw_status read_vector(const sw_call *c, int input, const char *what, int n, const sw_tensor **t) {
    *t = sw_call_in(c, input);
    if (!*t || ((*t)->rank == 1 && (*t)->dims[0] == 0)) {
        *t = NULL;
        return SW_OK;
    }
    if ((*t)->rank < 0 || ((*t)->rank == 1 && (!sw_dim_known((*t)->dims[0]) || (*t)->dims[0] == n))) return SW_OK;
    return sw_call_fail(c, "'%s' (input %d) has rank %d and %lld entries, expected rank 1 and %d", what, input + 1,
                        (*t)->rank, (*t)->rank > 0 ? ll((*t)->dims[0]) : 1, n);
}

/* True when values of a vector may be read. */
static bool has_values(const sw_tensor *t) {
    return t && t->data && t->rank == 1;
}

static sw_status apply_scales(const sw_call *c, const sw_tensor *scales, const int *axes, int n, sw_resize *r) {
    if (sw__dtype_is_integer(scales->dtype))
        return sw_call_fail(c, "'scales' (input 3) has type %s, expected a floating one", sw_dtype_name(scales->dtype));
    for (int i = 0; i < n; i++) {
        int64_t in = c->in[0]->dims[axes[i]];
        float scale = (float)sw_tensor_float_at(scales, i), extent = (float)in * scale; /* in float, as peers do */
        if (!(scale > 0) || scale > 1e9f)
            return sw_call_fail(c, "the scale of axis %d is %g, expected above 0 and at most 1e9", axes[i],
                                (double)scale);
        if (sw_dim_known(in) && !(extent < 0x1p62f))
            return sw_call_fail(c, "axis %d of extent %lld grows too large by %g", axes[i], ll(in), (double)scale);
        r->scale[axes[i]] = scale;
        if (sw_dim_known(in))
            r->out[axes[i]] = (int64_t)extent;
        else if (scale != 1)
            r->out[axes[i]] = SW_DIM_UNKNOWN;
    }
    return SW_OK;
}

/* Sizes as given, or, with a policy, the largest (smallest) picture of the old proportions that does (not) fit in. */
static sw_status apply_sizes(const sw_call *c, const sw_tensor *sizes, const int *axes, int n, sw_resize *r) {
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};
    int policy;
    float common = 0;
    bool known = true;
    SW_TRY(read_choice(c, "keep_aspect_ratio_policy", policies, &policy));
    if (!sw__dtype_is_integer(sizes->dtype))
        return sw_call_fail(c, "'sizes' (input 4) has type %s, expected an integer one", sw_dtype_name(sizes->dtype));
    for (int i = 0; i < n; i++) {
        int64_t in = c->in[0]->dims[axes[i]], out = sw_tensor_int_at(sizes, i);
        if (out < 0) return sw_call_fail(c, "the size of axis %d is %lld, expected at least 0", axes[i], ll(out));
        r->out[axes[i]] = out;
        r->scale[axes[i]] = in > 0 ? (float)out / (float)in : 0;
        known = known && in > 0;
        float scale = r->scale[axes[i]];
        if (i == 0 || (policy == 1 && scale < common) || (policy == 2 && scale > common)) common = scale;
    }
    for (int i = 0; policy != 0 && i < n; i++) {
        float extent = roundf(common * (float)c->in[0]->dims[axes[i]]);
        if (known && !(extent < 0x1p62f)) return sw_call_fail(c, "axis %d grows too large", axes[i]);
        r->out[axes[i]] = known ? (int64_t)extent : SW_DIM_UNKNOWN;
        r->scale[axes[i]] = known ? common : 0;
    }
    return SW_OK;
}

static sw_status apply_roi(const sw_call *c, const sw_tensor *roi, const int *axes, int n, sw_resize *r) {
    if (!roi) return sw_call_fail(c, "'roi' (input 2) is missing; tf_crop_and_resize needs it");
    if (sw__dtype_is_integer(roi->dtype))
        return sw_call_fail(c, "'roi' (input 2) has type %s, expected a floating one", sw_dtype_name(roi->dtype));
    for (int i = 0; has_values(roi) && i < n; i++) {
        r->roi_begin[axes[i]] = (float)sw_tensor_float_at(roi, i);
        r->roi_end[axes[i]] = (float)sw_tensor_float_at(roi, n + i);
    }
    return SW_OK;
}

sw_status sw_call_resize(const sw_call *c, sw_resize *r) {
    const sw_tensor *x = c->in[0], *roi, *scales, *sizes;
    int axes[SW_MAX_RANK], n;
    *r = (sw_resize){0};
    SW_TRY(read_modes(c, r));
    SW_TRY(read_axes(c, x->rank, axes, &n));
    SW_TRY(read_vector(c, 1, "roi", 2 * n, &roi));
    SW_TRY(read_vector(c, 2, "scales", n, &scales));
    SW_TRY(read_vector(c, 3, "sizes", n, &sizes));
    for (int i = 0; i < x->rank; i++) {
        r->out[i] = x->dims[i];
        r->scale[i] = r->roi_end[i] = 1;
    }
    if (!scales && !sizes && n > 0) return sw_call_fail(c, "neither 'scales' (input 3) nor 'sizes' (input 4) is given");
    if (scales && sizes) return sw_call_fail(c, "both 'scales' (input 3) and 'sizes' (input 4) are given");
    if (has_values(scales)) {
        SW_TRY(apply_scales(c, scales, axes, n, r));
    } else if (has_values(sizes)) {
        SW_TRY(apply_sizes(c, sizes, axes, n, r));
    } else {
        for (int i = 0; i < n; i++) {
            r->out[axes[i]] = SW_DIM_UNKNOWN;
            r->scale[axes[i]] = 0;
        }
    }
    for (int i = 0; i < x->rank; i++)
        if (x->dims[i] == 0 && r->out[i] > 0)
            return sw_call_fail(c, "axis %d is empty and cannot be resized to %lld", i, ll(r->out[i]));
    return r->coords == SW_COORDS_TF_CROP_AND_RESIZE ? apply_roi(c, roi, axes, n, r) : SW_OK;
}

sw_status sw__shape_resize(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0);
    sw_resize r;
    if (x->rank >= 0) SW_TRY(sw_call_resize(c, &r));
    if (!y) return SW_OK;
    sw__set_like(y, x);
    if (x->rank > 0) memcpy(y->dims, r.out, sizeof y->dims[0] * (size_t)x->rank);
    return SW_OK;
}

/* ---- Places ----------------------------------------------------------------------------------------------------------- */

float sw_resize_source(const sw_resize *r, int axis, int64_t extent_in, int64_t extent_out, int64_t o) {
    float x = (float)o, scale = r->scale[axis], in = (float)extent_in, out = (float)extent_out;
    switch (r->coords) {
    case SW_COORDS_HALF_PIXEL:
        return (x + 0.5f) / scale - 0.5f;
    case SW_COORDS_HALF_PIXEL_SYMMETRIC:
        return in / 2 * (1 - out / (scale * in)) + (x + 0.5f) / scale - 0.5f;
    case SW_COORDS_PYTORCH_HALF_PIXEL:
        return out > 1 ? (x + 0.5f) / scale - 0.5f : 0;
    case SW_COORDS_ALIGN_CORNERS:
        return out > 1 ? x * (in - 1) / (out - 1) : 0;
    case SW_COORDS_ASYMMETRIC:
        return x / scale;
    default:
        break;
    }
    float begin = r->roi_begin[axis], end = r->roi_end[axis];
    return out > 1 ? begin * (in - 1) + x * (end - begin) * (in - 1) / (out - 1) : 0.5f * (begin + end) * (in - 1);
}

int64_t sw_resize_round(sw_resize_nearest mode, float x) {
    switch (mode) {
    case SW_ROUND_PREFER_FLOOR:
        return (int64_t)ceilf(x - 0.5f);
    case SW_ROUND_PREFER_CEIL:
        return (int64_t)floorf(x + 0.5f);
    case SW_ROUND_FLOOR:
        return (int64_t)floorf(x);
    default:
        return (int64_t)ceilf(x);
    }
}
