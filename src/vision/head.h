/* Heads: what the outputs of models mean. Private to vision/.
 *
 * heads.c holds the one table. A head tells whether a model's outputs are its own, how its family wants its
 * picture, and how sw__plan_boxes decodes them. To add a family, write `fits`, add a row, and give YoloDecode or
 * LevelDecode its layout. */
#ifndef SLIPWAY_VISION_HEAD_H
#define SLIPWAY_VISION_HEAD_H

#include "engine/plan.h"
#include "vision/model.h"

/* SW__TRIAL: only the values of a trial run can tell (model->outputs[].data is NULL so far). */
typedef enum sw__fit { SW__NO, SW__YES, SW__TRIAL } sw__fit;

/* How outputs become rows x1 y1 x2 y2 score class extra. */
typedef enum sw__form {
    SW__TABLE,   /* candidates of the first output: YoloDecode, Nms */
    SW__LEVELS,  /* an output a level and kind: LevelDecode, Nms */
    SW__FINAL,   /* the first output holds the rows */
    SW__LISTS,   /* boxes, labels and scores are outputs of their own */
    SW__CLASSES, /* scores of classes of the whole picture */
} sw__form;

/* How a family wants its picture. */
typedef struct sw__look {
    bool bgr, raw;         /* BGR; values 0 to 255 */
    bool corner;           /* top left of the canvas, with sizes rounded down; else in the middle */
    bool stretch;          /* fills the canvas */
    bool cut;              /* its short side resized, its middle cut out */
    float margin;          /* of `cut`: the resized short side over the canvas */
    uint8_t pad;           /* of what is not picture */
    float mean[3], std[3]; /* of the values above; std 0: none */
} sw__look;

typedef struct sw__head sw__head;
struct sw__head {
    const char *name;
    sw_task task;
    const char *shape; /* for messages */
    /* With `asked`, the user named this head: only what is impossible is SW__NO. */
    sw__fit (*fits)(const sw__head *head, const sw__model *model, bool asked);
    sw__form form;
    int values;         /* of an anchor that are neither classes nor extra */
    bool by_anchor;     /* anchors before values: N anchors values */
    const char *layout; /* of YoloDecode or LevelDecode */
    bool centers;       /* boxes of SW__FINAL are cx cy w h as fractions of the picture */
    bool fractions;     /* boxes are fractions of the picture */
    const sw__look *look;
};

/* The head of a model; `asked`: its name, NULL to recognise it. *head stays NULL, with SW_OK, when a trial
 * run must tell. SW_E_UNSUPPORTED when no head fits, or SW_E_USAGE when there is none of that name. */
SW_MUST_USE sw_status sw__head_find(const sw__model *model, const char *asked, const sw_diag *diag,
                                    const sw__head **head);

/* Classes by the dims of the outputs; for final boxes and lists those that have names. */
int sw__head_classes(const sw__head *head, const sw__model *model);
/* Values beside box and scores: mask coefficients, keypoints, an angle. */
int sw__head_extra(const sw__head *head, const sw__model *model);
/* Which axis of the prototypes of masks counts them: they are N k h w, or N h w k where pictures are channels-last, too. */
int sw__head_mask_axis(const sw__model *model);
/* Keypoints of an object, and values of one. */
int sw__head_points(const sw__head *head, const sw__model *model, int *values);

/* The outputs of the model that sw__plan_boxes reads, in its order; returns their number. `strides` (may be NULL; room for
 * SW__MAX_OUTPUTS) gets those of the levels of SW__LEVELS. */
int sw__head_inputs(const sw__head *head, const sw__model *model, int order[SW__MAX_OUTPUTS], int64_t *strides);

/* The levels of SW__LEVELS with `n` outputs. */
int sw__head_levels(const sw__head *head, int n);

/* Whether scores of classes are logits: told by a trial run. */
bool sw__head_is_logits(const sw__model *model);

#endif
