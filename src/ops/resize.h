/* Resize: what shape rule and kernels need to know of each axis. */
#ifndef SLIPWAY_OPS_RESIZE_H
#define SLIPWAY_OPS_RESIZE_H

#include "ops/op.h"

typedef enum sw_resize_coords {
    SW_COORDS_HALF_PIXEL,
    SW_COORDS_HALF_PIXEL_SYMMETRIC,
    SW_COORDS_PYTORCH_HALF_PIXEL,
    SW_COORDS_ALIGN_CORNERS,
    SW_COORDS_ASYMMETRIC,
    SW_COORDS_TF_CROP_AND_RESIZE
} sw_resize_coords;

typedef enum sw_resize_mode { SW_RESIZE_NEAREST, SW_RESIZE_LINEAR, SW_RESIZE_CUBIC } sw_resize_mode;

typedef enum sw_resize_nearest {
    SW_ROUND_PREFER_FLOOR,
    SW_ROUND_PREFER_CEIL,
    SW_ROUND_FLOOR,
    SW_ROUND_CEIL
} sw_resize_nearest;

/* Axes that the node does not name keep their extent (scale 1, roi 0 to 1). */
typedef struct sw_resize {
    sw_resize_mode mode;
    sw_resize_coords coords;
    sw_resize_nearest nearest;
    int64_t out[SW_MAX_RANK]; /* extents; may be unknown in shape rules */
    float scale[SW_MAX_RANK]; /* output / input as the node gives it or its sizes imply; 0 when not known */
    float roi_begin[SW_MAX_RANK], roi_end[SW_MAX_RANK];
} sw_resize;

/* From attributes and inputs; the rank of input 1 must be known. */
SW_MUST_USE sw_status sw_call_resize(const sw_call *c, sw_resize *r);
/* Where output coordinate `o` of an axis lies in the input (ONNX, Resize, coordinate_transformation_mode); which pixel that
 * is, by nearest_mode, not yet cut to the map. */
float sw_resize_source(const sw_resize *r, int axis, int64_t extent_in, int64_t extent_out, int64_t o);
int64_t sw_resize_round(sw_resize_nearest mode, float x);

#endif
