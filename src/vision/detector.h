/* Detectors: a plan that finds things in pictures, with everything around it. Picture in; boxes, masks, keypoints, rotated
 * boxes or classes out.
 *
 * A detector recognises from the plan's ports and metadata how the model wants its picture and what its
 * outputs mean; both ends run as small plans of their own (Letterbox; YoloDecode, Nms). Results are those
 * of Ultralytics' predict. */
#ifndef SLIPWAY_VISION_DETECTOR_H
#define SLIPWAY_VISION_DETECTOR_H

#include "base/alloc.h"
#include "slipway/plan.h"
#include "vision/picture.h"

typedef struct sw_detector sw_detector;

/* What is found: boxes; boxes with masks; boxes with keypoints; rotated boxes; classes of the whole picture. */
typedef enum sw_task {
    SW_TASK_DETECT,
    SW_TASK_SEGMENT,
    SW_TASK_POSE,
    SW_TASK_OBB,
    SW_TASK_CLASSIFY,
    SW_TASK_COUNT
} sw_task;

const char *sw_task_name(sw_task task); /* "detect", "segment" ..., as Ultralytics calls them */

/* Another runtime in the place of Slipway's session: runs the model on its inputs; outputs stay valid until the next run. */
typedef struct sw_network {
    sw_status (*run)(void *ctx, const sw_tensor *inputs, sw_tensor *outputs);
    void *ctx;
} sw_network;

/* Get the defaults from sw_detector_defaults and change what matters. */
typedef struct sw_detector_options {
    /* Boxes must score above it; negative: the model's own `conf` metadata, else 0.25. */
    double conf;
    double iou;  /* boxes that overlap a better one of their class by more are dropped: 0.7 */
    int max_det; /* at most so many boxes a picture: 300 */
    /* Height and width, in pixels, that pictures are fitted into; 0: what the model says, else what is usual. They are
     * rounded up to multiples of the model's stride. Models of a fixed size keep that, with a warning. */
    int imgsz[2];
    const int *classes; /* only these class ids; NULL: all. Read during creation only */
    int n_classes;
    bool agnostic;    /* boxes of different classes suppress each other */
    bool multi_label; /* a box may have several classes */
    bool polygons;    /* outlines of masks, too */
    const char *head; /* the meaning of the outputs by name, see sw_detector_head; NULL: recognise it */
    int threads;      /* 0: all CPUs that the process may use */
    const char *device; /* where the network runs, as in sw_session_options */
    bool no_fallback;
    sw_network network; /* zeroed: Slipway */
    bool halves;        /* only sw_detector_prepare and _finish will be called: no session of the network is kept */
    const sw_allocator *allocator;
} sw_detector_options;

void sw_detector_defaults(sw_detector_options *options);

/* `options` may be NULL. `diag` must live as long as the detector. The detector keeps a reference to the
 * plan. A model whose outputs cannot be understood with certainty is SW_E_UNSUPPORTED, and the message
 * lists the outputs; options out of range are SW_E_USAGE. */
SW_MUST_USE sw_status sw_detector_create(sw_plan *model, const sw_detector_options *options, const sw_diag *diag,
                                         sw_detector **detector);
void sw_detector_destroy(sw_detector *detector); /* takes NULL */

/* Number of classes, and the name of one: from the model's metadata `names`, else "class 7". Never NULL;
 * valid for as long as the detector lives. */
int sw_detector_classes(const sw_detector *detector);
const char *sw_detector_class_name(const sw_detector *detector, int class_id);
/* The kind of outputs: "yolov8", "yolov5", "yolox" ...; and the confidence threshold in use. */
const char *sw_detector_head(const sw_detector *detector);
float sw_detector_conf(const sw_detector *detector);
sw_task sw_detector_task(const sw_detector *detector);
/* Sentences for people: what the outputs are taken for and why, and how pictures are prepared. */
const char *sw_detector_reason(const sw_detector *detector);
const char *sw_detector_preparation(const sw_detector *detector);

typedef struct sw_detection {
    float x1, y1, x2, y2; /* pixels of the picture, clipped to it: 0 <= x <= width, 0 <= y <= height */
    float confidence;
    int class_id;
} sw_detection;

/* A rotated box: its centre, sides and the angle of the first, in radians, clockwise as one sees the picture. */
typedef struct sw_rotated {
    float x, y, width, height, angle;
} sw_rotated;

/* The corners x y of a rotated box, around it, starting at (+width, +height). */
void sw_rotated_corners(const sw_rotated *box, float corners[8]);

/* A closed line x y x y ... in pixels of the picture. */
typedef struct sw_ring {
    const float *points; /* 2 * n */
    size_t n;
} sw_ring;

/* The pixels of an object as COCO's run lengths: down the columns, from the left; first how many are outside, then how many
 * inside, and so on. They add up to all pixels of the picture. */
typedef struct sw_mask {
    const uint32_t *runs;
    size_t n_runs;
    const sw_ring
        *rings; /* its outer borders, when options ask for them; holes are not told. Those of Ultralytics' masks.xy */
    size_t n_rings;
    sw_ring outline; /* one line through all of them, as Ultralytics writes it into label files */
} sw_mask;

/* Milliseconds of wall time. */
typedef struct sw_detector_times {
    double preprocess, inference, postprocess;
} sw_detector_times;

typedef struct sw_detections {
    /* By falling confidence (final boxes in the order of the model). Memory of the detector, valid until its next run or
     * end. */
    const sw_detection *items; /* of classify: the best five classes; their boxes are the picture */
    int count;
    sw_task task;
    const sw_mask *masks; /* of segment: of each item */
    const float
        *keypoints;      /* of pose: x, y in the picture, and visibility (1 where the model tells none): 3 * n_keypoints
                               * values of each item */
    int n_keypoints;     /* of an object */
    bool has_visibility; /* the model tells it */
    const sw_rotated *rotated;     /* of obb: of each item; not clipped to the picture, as `items` are */
    int input_width, input_height; /* pixels of the tensor that the model got */
    sw_detector_times times_ms;
} sw_detections;

/* Finds the objects in a picture. A detector belongs to one thread at a time. SW_E_INPUT for a picture
 * without pixels or above SW_PICTURE_MAX_SIDE; SW_E_MODEL when the model gives what it should not (outputs
 * of another shape). */
SW_MUST_USE sw_status sw_detector_run(sw_detector *detector, const sw_picture *picture, sw_detections *detections);

/* -- In two halves, for a network that runs elsewhere ---------------------------------------------------------------- */

/* How a picture became the model's input: x in the picture is (x as the outputs count it - pad_x) / gain_x. */
typedef struct sw_fitting {
    int width, height, input_width, input_height; /* of the picture, of the tensor */
    float gain_x, gain_y, pad_x, pad_y;
} sw_fitting;

/* The first half: the model's input, valid until the next one or the detector's end. Errors as of sw_detector_run. */
SW_MUST_USE sw_status sw_detector_prepare(sw_detector *detector, const sw_picture *picture, sw_tensor *input,
                                          sw_fitting *fitting);
/* What the second half reads of the outputs, for the session of the network; NULL: all. Lives as long as the detector. */
const struct sw_demand *sw_detector_demand(const sw_detector *detector);
/* The second: from all outputs of the model, in its order. Of `fitting` only the sizes are read. Times but that of
 * postprocessing are 0. */
SW_MUST_USE sw_status sw_detector_finish(sw_detector *detector, const sw_fitting *fitting, const sw_tensor *outputs,
                                         sw_detections *detections);

#endif
