/* How good found objects are: COCO's average precision and recall for boxes, masks, keypoints and rotated boxes.
 * The numbers are those of pycocotools on the same objects: ten IoU thresholds (0.50 to 0.95), 101 recall levels,
 * greedy matching by falling score, crowds and objects outside a range of areas neither help nor harm. (T.-Y. Lin and
 * others, Microsoft COCO, 2014, and the detection evaluation page of cocodataset.org.) */
#ifndef SLIPWAY_EVAL_EVAL_H
#define SLIPWAY_EVAL_EVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"

enum {
    SW_EVAL_IOUS = 10,             /* thresholds 0.50, 0.55 ... 0.95 */
    SW_EVAL_RECALLS = 101,         /* 0, 0.01 ... 1 */
    SW_EVAL_AREAS = 4,             /* all, small (< 32 x 32 pixels), medium, large (> 96 x 96) */
    SW_EVAL_LIMITS = 3,            /* at most 1, 10, all (options.max_det) guesses of a class and picture */
    SW_EVAL_MAX_OBJECTS = 1 << 26, /* truths, guesses, pictures */
    SW_EVAL_MAX_POINTS = 1024
};

typedef enum sw_eval_kind { SW_EVAL_BOXES, SW_EVAL_MASKS, SW_EVAL_POINTS, SW_EVAL_ROTATED } sw_eval_kind;

/* A true object (truth) or a found one (guess). Lengths are pixels of the picture. */
typedef struct sw_eval_object {
    int64_t image; /* any number that stands for the picture; ties of score go by rising number */
    int class_id;
    double score;         /* of guesses */
    double box[4];        /* x, y of the top left corner, width, height */
    double area;          /* of truths, for the ranges of area; negative: that of the shape */
    bool crowd;           /* a truth that stands for many: what lies in it is neither right nor wrong */
    const uint32_t *runs; /* of masks: COCO's run lengths, down the columns, first those outside */
    size_t n_runs;
    const double *points; /* of keypoints: x, y, visibility of options.n_points */
    double rotated[5];    /* of rotated boxes: centre x, y, width, height, angle in radians */
} sw_eval_object;

typedef struct sw_eval_options {
    sw_eval_kind kind;
    int n_classes;
    int max_det; /* guesses of a class and picture that count; 0: 100, of keypoints 20 */
    int n_points;
    const double *sigmas; /* of keypoints, n_points; NULL: COCO's for 17, else 1 / n_points each */
    const sw_allocator *allocator;
} sw_eval_options;

/* One thread at a time. */
typedef struct sw_eval sw_eval;

sw_eval *sw_eval_create(const sw_eval_options *options); /* NULL when out of memory */
void sw_eval_destroy(sw_eval *eval);                     /* takes NULL */

/* Tells of a picture, for those without any object: they count in the bootstrap. SW_E_LIMIT, SW_E_NOMEM. */
SW_MUST_USE sw_status sw_eval_add_image(sw_eval *eval, int64_t image);
/* Copies the object with its runs and points. Class ids outside 0 .. n_classes - 1 are SW_E_INPUT; SW_E_LIMIT,
 * SW_E_NOMEM. No messages. */
SW_MUST_USE sw_status sw_eval_add_truth(sw_eval *eval, const sw_eval_object *object);
SW_MUST_USE sw_status sw_eval_add_guess(sw_eval *eval, const sw_eval_object *object);

/* Of one class. Averages are -1 where it has no truths (of that range of areas). */
typedef struct sw_eval_class {
    int64_t images, truths;                 /* pictures with a truth that is no crowd, and those truths */
    double ap[SW_EVAL_AREAS][SW_EVAL_IOUS]; /* average precision */
    double recall[SW_EVAL_LIMITS][SW_EVAL_AREAS][SW_EVAL_IOUS]; /* best recall */
    float curve[SW_EVAL_RECALLS]; /* precision over recall at IoU 0.5; zeros without truths */
    double precision50, recall50; /* at IoU 0.5 and result->conf */
} sw_eval_class;

typedef struct sw_eval_result {
    int n_classes;
    sw_eval_class *classes; /* owned by the eval, valid until it runs again or ends */
    /* Means over the classes that have truths; -1 when none has. */
    double map, map50, map75;            /* over all thresholds, at 0.50, at 0.75 */
    double map_area[SW_EVAL_AREAS];      /* over all thresholds, by range of areas */
    double recall_limit[SW_EVAL_LIMITS]; /* over all thresholds, all areas */
    double recall_area[SW_EVAL_AREAS];   /* over all thresholds, max_det guesses */
    double conf, precision50, recall50; /* the score at which the classes' mean F1 is best (IoU 0.5), and means there */
    int64_t images, truths;             /* with truths that are no crowds, and those truths */
} sw_eval_result;

/* Matches all guesses with all truths. May be called again after more were added. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_eval_run(sw_eval *eval, sw_eval_result *result);

/* The difference in mAP (all areas, all thresholds) of two evaluations over the same pictures: `samples` times, as
 * many pictures as there are are drawn with repetition, the same for both;  the 2.5 and 97.5 % quantiles of map(b) -
 * map(a) tell how much the choice of pictures matters (paired bootstrap, B. Efron, 1979). Both must have run.
 * SW_E_NOMEM. */
SW_MUST_USE sw_status sw_eval_bootstrap(const sw_eval *a, const sw_eval *b, int samples, uint64_t seed,
                                        double interval[2]);

/* Counts of (n_classes + 1)^2: row the guessed class, column the true one; the last row are truths that nothing found,
 * the last column guesses where nothing is. Guesses below `conf` are left out; pairs are formed by falling IoU above
 * `iou`, whatever their classes (as Ultralytics does). `counts` is zeroed first. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_eval_confusion(const sw_eval *eval, double conf, double iou, int64_t *counts);

#endif
