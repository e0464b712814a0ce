/* Likeness of two objects, and masks as run lengths. Pure functions. */
#ifndef SLIPWAY_EVAL_SHAPE_H
#define SLIPWAY_EVAL_SHAPE_H

#include "base/arena.h"
#include "eval/eval.h"

/* Intersection over union of boxes x y w h. With `crowd` (b stands for many): over the area of a. */
double sw_iou_boxes(const double a[4], const double b[4], bool crowd);
/* Of masks of pictures of the same size. */
double sw_iou_masks(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b, bool crowd);
/* Of rotated boxes: centre x, y, width, height, angle. Exact, by clipping one with the sides of the other. */
double sw_iou_rotated(const double a[5], const double b[5]);
/* Object keypoint similarity of a guess's points with a truth's (COCO, keypoint evaluation). */
double sw_oks(const sw_eval_object *guess, const sw_eval_object *truth, int n_points, const double *sigmas);

double sw_mask_area(const uint32_t *runs, size_t n_runs);
/* The box x y w h around a mask of a picture of that height; zeros when it is empty. */
void sw_mask_box(const uint32_t *runs, size_t n_runs, int height, double box[4]);

/* Run lengths in an arena. */
typedef struct sw_runs {
    const uint32_t *runs;
    size_t n;
} sw_runs;

/* COCO's compressed text of run lengths. SW_E_INPUT when it is none, or does not add up to `pixels`. No message. */
SW_MUST_USE sw_status sw_runs_parse(const char *text, size_t length, uint64_t pixels, sw_arena *arena, sw_runs *runs);

/* A mask that outlines are filled into. Pixels 0 or 1, down the columns. */
typedef struct sw_canvas {
    uint8_t *pixels; /* width * height */
    int width, height;
} sw_canvas;

/* Fills a polygon x y x y ... (n points) as COCO's tools do: its border is followed at five times the resolution and
 * cut where it crosses columns of pixel centres. `work`: room, kept between calls (sw_free with the same allocator at
 * the end). SW_E_NOMEM. */
typedef struct sw_fill_room {
    const sw_allocator *allocator;
    void *crossings;
    size_t cap;
} sw_fill_room;
SW_MUST_USE sw_status sw_canvas_fill(sw_canvas *canvas, const double *points, size_t n, sw_fill_room *room);
SW_MUST_USE sw_status sw_canvas_runs(const sw_canvas *canvas, sw_arena *arena, sw_runs *runs);

#endif
