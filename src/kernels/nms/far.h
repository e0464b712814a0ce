/* What suppression on GPUs shares with the kernels here. */
#ifndef SLIPWAY_KERNELS_NMS_FAR_H
#define SLIPWAY_KERNELS_NMS_FAR_H

/* Rotated boxes this far apart, in squares of distance over the sum of their larger variances, cannot overlap by `iou`. */
float sw__nms_far(float iou);

#endif
