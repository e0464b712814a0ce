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

/* What divides the bytes of a picture in a model's input that is nothing else than them; 0: it is something else. */
float sw__picture_divisor(const sw__model *model, const sw__head *head);
/* Picture to these bytes, uint8 1 height width 3. */
SW_MUST_USE sw_status sw__plan_bytes(const sw__model *model, const sw__head *head, sw_pixel_order order,
                                     const sw_allocator *allocator, sw_plan **plan);

typedef struct sw__nms_options {
    double conf, iou;
    int max_det;
    const int *classes;
    int n_classes;
    bool agnostic, multi_label;
} sw__nms_options;

/* The outputs of sw__head_inputs, for a batch of one, to boxes and counts of Nms; heads that need none get their outputs back
 * in float. */
SW_MUST_USE sw_status sw__plan_boxes(const sw__model *model, const sw__head *head, const sw__nms_options *options,
                                     const sw_allocator *allocator, sw_plan **plan);

/* The model's outputs as they are to the same with quantised ones in float. */
SW_MUST_USE sw_status sw__plan_reals(const sw__model *model, const sw_allocator *allocator, sw_plan **plan);

/* One detection, float 1 6+k, and the prototypes of its picture to the mask, uint8 1 scale*h scale*w. The prototypes are those
 * of one picture; in float already where the model gives them so. */
SW_MUST_USE sw_status sw__plan_masks(const sw__model *model, const sw__head *head, int64_t scale,
                                     const sw_allocator *allocator, sw_plan **plan);

#endif
