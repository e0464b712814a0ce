/* Results drawn on a picture: boxes, masks, skeletons, and readable labels. */
#ifndef SLIPWAY_MEDIA_DRAW_H
#define SLIPWAY_MEDIA_DRAW_H

#include "vision/detector.h"

/* One thing to draw. The corners are in pixels of the picture, (0, 0) the top left corner of the top left pixel;
 * they may lie outside the picture (the visible part is drawn). Boxes with a corner that is not finite are left
 * out. */
typedef struct sw_draw_box {
    float x1, y1, x2, y2;
    float confidence;          /* shown with two digits; not shown when negative or NaN */
    int class_id;              /* chooses the colour */
    const char *name;          /* UTF-8; NULL or "": only the confidence, and no label when that is absent too */
    const sw_mask *mask;       /* of this picture, laid over it half transparent; may be NULL */
    const sw_rotated *rotated; /* drawn in the place of the upright frame; may be NULL */
    /* x, y, visibility of each; those below 0.25, or at 0 0, are left out. Seventeen are joined to a person as COCO has it. */
    const float *keypoints;
    int n_keypoints;
} sw_draw_box;

/* The largest text and line, in pixels; larger wishes are cut to it, smaller than 1 to 1. */
enum { SW_DRAW_MAX_TEXT = 400 };

/* Zero means: chosen by the picture's size. */
typedef struct sw_draw_style {
    int line_width; /* pixels */
    int text_size;  /* pixels from line to line; capitals are 5/8 of it high */
} sw_draw_style;

/* Draws n boxes: first masks, then frames and keypoints, those with the lowest confidence first, so that the surest
 * lie on top, then all labels. A label stands on its box's top edge or, where it would leave the picture or cover
 * another label, inside or below it; it never leaves the picture. `style` may be NULL. SW_E_NOMEM: nothing was drawn.
 * */
SW_MUST_USE sw_status sw_draw_boxes(const sw_picture *picture, const sw_draw_box *boxes, size_t n,
                                    const sw_draw_style *style, const sw_diag *diag);

/* Names and confidences of n classes as a list at the top left, in the given order. `style` may be NULL. */
void sw_draw_list(const sw_picture *picture, const sw_draw_box *classes, size_t n, const sw_draw_style *style);

/* Draws what a detector found in this picture: boxes with all that belongs to them, or the list of classes. SW_E_NOMEM:
 * nothing was drawn. */
SW_MUST_USE sw_status sw_draw_found(const sw_picture *picture, const sw_detector *detector, const sw_detections *found,
                                    const sw_diag *diag);

/* The colour of a class as 0xRRGGBB: twenty that tell apart well, then around again; any int. */
uint32_t sw_draw_color(int class_id);

/* Text with its line's top left corner at (x, y), anti-aliased and clipped to the picture. Latin-1 is drawn, other
 * characters and bytes that are not UTF-8 as an empty box. `color` is 0xRRGGBB. */
void sw_draw_text(const sw_picture *picture, int x, int y, int text_size, uint32_t color, const char *text);
/* Its width in pixels, without drawing. */
int sw_draw_text_width(int text_size, const char *text);

#endif
