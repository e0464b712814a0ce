/* The small plans around a model: pictures to tensors, outputs to boxes. Private to vision/. */
#ifndef SLIPWAY_VISION_PLANS_H
#define SLIPWAY_VISION_PLANS_H

#include "ops/letterbox.h"
#include "vision/head.h"
#include "vision/picture.h"

/* How pictures are fitted into the model's input. */
sw_letterbox_rule sw__letterbox_rule(const sw__model *model, const sw__head *head);

/* Picture (uint8 height width 3, in the given order) to the model's input, for a batch of one. */
SW_MUST_USE sw_status sw__plan_picture(const sw__model *model, const sw__head *head, sw_pixel_order order,
                                       const sw_allocator *allocator, sw_plan **plan);

typedef struct sw__nms_options {
    double conf, iou;
    int max_det;
    const int *classes;
    int n_classes;
    bool agnostic, multi_label;
} sw__nms_options;

/* First output of the model, for a batch of one, to boxes and counts of Nms; heads with final boxes give
 * them as float 1 boxes 6, without counts. */
SW_MUST_USE sw_status sw__plan_boxes(const sw__model *model, const sw__head *head, const sw__nms_options *options,
                                     const sw_allocator *allocator, sw_plan **plan);

#endif
