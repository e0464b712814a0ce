/* Heads: what the outputs of detectors mean. Private to vision/.
 *
 * heads.c holds the one table. A head tells whether a model's outputs are its own, how its family wants its
 * picture, and how sw__plan_boxes decodes them. To add a family, write `fits`, add a row, and give YoloDecode its
 * layout (or sw__plan_boxes another operator, where there are several outputs). */
#ifndef SLIPWAY_VISION_HEAD_H
#define SLIPWAY_VISION_HEAD_H

#include "engine/plan.h"
#include "vision/model.h"

/* SW__TRIAL: only the values of a trial run can tell (model->outputs[].data is NULL so far). */
typedef enum sw__fit { SW__NO, SW__YES, SW__TRIAL } sw__fit;

typedef struct sw__head {
    const char *name;
    const char *shape; /* for messages */
    /* With `asked`, the user named this head: only what is impossible is SW__NO. */
    sw__fit (*fits)(const sw__model *model, bool asked);
    int values;     /* values of an anchor that are no classes */
    bool by_anchor; /* anchors before values: N anchors values */
    /* The layout of YoloDecode; NULL: the outputs are final boxes, N boxes x1 y1 x2 y2 score class. */
    const char *layout;
    /* How the family wants its picture. */
    bool bgr, raw, corner; /* BGR; values 0 to 255; top left of the canvas, with sizes rounded down */
} sw__head;

/* The head of a model; `asked`: its name, NULL to recognise it. *head stays NULL, with SW_OK, when a trial
 * run must tell. SW_E_UNSUPPORTED when no head fits, or SW_E_USAGE when there is none of that name. */
SW_MUST_USE sw_status sw__head_find(const sw__model *model, const char *asked, const sw_diag *diag,
                                    const sw__head **head);

/* Classes of the model's first output; for final boxes those that have names. */
int sw__head_classes(const sw__head *head, const sw__model *model);

#endif
