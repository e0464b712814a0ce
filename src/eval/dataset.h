/* Pictures with their true objects: COCO's JSON, YOLO's label files, folders of classes.
 *
 * What is given decides the kind:
 *   a .json file in COCO's format, or a folder that holds one (instances*.json ...; also in annotations/);
 *   a .yaml file of Ultralytics (path, train, val, test, names, kpt_shape), or a folder that holds one;
 *   a folder with images/ and labels/;
 *   for classes: a folder with a folder of pictures for each class, also within val/, test/ or train/.
 * Pictures are not opened. */
#ifndef SLIPWAY_EVAL_DATASET_H
#define SLIPWAY_EVAL_DATASET_H

#include "base/arena.h"
#include "eval/eval.h"

/* A true object as its file tells it. */
typedef struct sw_truth {
    int category; /* number of its class in the dataset */
    bool crowd;
    double area;   /* pixels; negative: not told */
    double box[4]; /* x y w h */
    bool has_box;
    const double *outlines; /* x y of all outlines, one after another */
    const int *ends;        /* points up to the end of each outline */
    int n_outlines;
    const char *runs;           /* COCO's compressed run lengths, n_runs characters; NULL: outlines */
    const uint32_t *plain_runs; /* run lengths as numbers, n_runs of them; NULL: none */
    size_t n_runs;
    int runs_height, runs_width; /* of the picture that the run lengths are of */
    const double *points;        /* x y visibility, n_points; NULL: none */
    int n_points;
} sw_truth;

typedef struct sw_dataset_image {
    int64_t id;
    const char *path;
    int width, height;      /* 0: not told */
    int category;           /* of folders of classes; else -1 */
    const char *label_path; /* of YOLO's label files, read by sw_dataset_truths; else NULL */
    const sw_truth *truths; /* of COCO */
    size_t n_truths;
} sw_dataset_image;

typedef struct sw_category_name {
    int64_t id;       /* as in the file */
    const char *name; /* NULL: none is told */
} sw_category_name;

typedef struct sw_dataset {
    const char *kind; /* "COCO", "YOLO", "folders of classes" */
    sw_dataset_image *images;
    size_t n_images;
    sw_category_name *categories; /* by number; YOLO's without names: none */
    size_t n_categories;
    int n_points, point_values; /* of keypoints; 0: not told. Values of a point: 2 or 3 */
} sw_dataset;

enum { SW_DATASET_MAX_IMAGES = 1 << 22, SW_DATASET_MAX_CATEGORIES = 65536, SW_LABEL_MAX_BYTES = 64 << 20 };

typedef struct sw_dataset_options {
    const char *split;  /* of a .yaml, or of folders of classes: "val"; NULL: val, else test, else train */
    const char *images; /* the folder of COCO's pictures; NULL: looked for beside the file */
    bool classes;       /* the pictures have one class each */
} sw_dataset_options;

/* Everything lies in the arena. SW_E_INPUT, SW_E_IO, SW_E_LIMIT with a sentence. */
SW_MUST_USE sw_status sw_dataset_load(const char *path, const sw_dataset_options *options, sw_arena *arena,
                                      const sw_diag *diag, sw_dataset *dataset);

/* How YOLO's label lines are to be read. */
typedef enum sw_label_form { SW_LABELS_BOXES, SW_LABELS_OUTLINES, SW_LABELS_POINTS, SW_LABELS_CORNERS } sw_label_form;

/* The truths of a picture of that size, in its pixels: those of the dataset, or of its label file (one that is not
 * there: none). Boxes in label files may be given by outlines, too. SW_E_INPUT with the line that is broken. */
SW_MUST_USE sw_status sw_dataset_truths(const sw_dataset *dataset, const sw_dataset_image *image, sw_label_form form,
                                        int width, int height, sw_arena *arena, const sw_diag *diag,
                                        const sw_truth **truths, size_t *n);

#endif
