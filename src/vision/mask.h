/* Masks of objects: from the pixels of the model's tensor to run lengths and outlines in the picture. Private to vision/. */
#ifndef SLIPWAY_VISION_MASK_H
#define SLIPWAY_VISION_MASK_H

#include "vision/state.h"

/* A mask of the tensor's size, 0 or 1 a pixel, none outside the rows and columns begin <= i < end. */
typedef struct sw__bitmap {
    const uint8_t *data;
    int64_t height, width;
    int64_t top, bottom, left, right;
} sw__bitmap;

bool sw__bitmap_is_empty(const sw__bitmap *bitmap);

/* Run lengths in the picture: the part of the mask that is picture, enlarged bilinearly and cut at one half (Ultralytics'
 * scale_masks, as its drawings do). Into the arena. SW_E_NOMEM without a message. */
SW_MUST_USE sw_status sw__mask_runs(const sw__bitmap *bitmap, const sw__scaling *s, sw_arena *arena, sw_mask *mask);

/* Outer borders, in the order and with the points of OpenCV's findContours (RETR_EXTERNAL, CHAIN_APPROX_SIMPLE), moved into
 * the picture. Into the arena. SW_E_NOMEM without a message. */
SW_MUST_USE sw_status sw__mask_rings(const sw__bitmap *bitmap, const sw__scaling *s, sw_arena *arena, sw_mask *mask);

#endif
