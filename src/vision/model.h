/* What a detector knows of its model before it knows what the outputs mean. Private to vision/. */
#ifndef SLIPWAY_VISION_MODEL_H
#define SLIPWAY_VISION_MODEL_H

#include "base/arena.h"
#include "base/pyliteral.h"
#include "slipway/plan.h"
#include "vision/detector.h"

enum { SW__MAX_CLASSES = 65536, SW__MAX_OUTPUTS = 64, SW__MAX_STRIDE = 1024 };

typedef struct sw__model {
    const sw_plan *plan;
    /* The input: one tensor N 3 H W, or N H W 3 when channels_last; 3 H W when it has no batch. */
    sw_dtype dtype; /* floating; uint8 and int8, which hold the picture's bytes (those minus 128) */
    bool channels_last, no_batch;
    int64_t batch;         /* 1 where the model leaves it open */
    int64_t height, width; /* what is asked for, or fixed */
    bool dynamic;          /* height and width are open */
    int64_t stride;        /* sizes are multiples of it */
    /* The outputs: types as declared, or tensors of a trial run. */
    int n_outputs;
    sw_tensor outputs[SW__MAX_OUTPUTS];
    /* Outputs that are quantised integers are float32 above, and dequantised after each run: (value - zero) * scale. */
    bool quantised;
    float scale[SW__MAX_OUTPUTS]; /* 0: is no such output */
    uint8_t zero[SW__MAX_OUTPUTS]; /* of int8: its bits */
    /* Metadata. */
    const char *const *names; /* by class id; NULL where the model names none */
    int n_names;              /* the highest id that is named, and one more; 0: no names */
    bool end_to_end;          /* the model says that its outputs are final boxes */
    double conf;              /* negative: not given */
    bool has_task;            /* the model says its task */
    sw_task task;
    bool normalized;             /* boxes and points of tables are fractions of the picture's sides */
    bool rtdetr;                 /* the model says that it is an RT-DETR */
    int n_points, point_values; /* keypoints of an object, and values of one: 2 or 3; 0: not given */
} sw__model;

/* Reads ports and metadata. `imgsz`: height and width that the user wants, 0 for none. Texts go to the arena.
 * SW_E_UNSUPPORTED when the model does not take one picture, or was made for a task that is not known. */
SW_MUST_USE sw_status sw__model_describe(const sw_plan *plan, const int imgsz[2], sw_arena *arena, const sw_diag *diag,
                                         sw__model *model);

/* The outputs as a list for messages: "output0 float32 1x84x8400, ...". */
void sw__model_list_outputs(const sw__model *model, char *text, size_t size);

#endif
