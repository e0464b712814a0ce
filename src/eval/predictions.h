/* Found objects in COCO's results format: a JSON array of {"image_id", "category_id", "bbox" and/or "segmentation" or
 * "keypoints", "score"}. */
#ifndef SLIPWAY_EVAL_PREDICTIONS_H
#define SLIPWAY_EVAL_PREDICTIONS_H

#include "eval/dataset.h"

typedef struct sw_prediction {
    int64_t image_id, category_id;
    double score;
    sw_truth shape; /* its category is not set */
} sw_prediction;

typedef struct sw_predictions {
    sw_prediction *items;
    size_t n;
} sw_predictions;

/* Everything lies in the arena. SW_E_INPUT, SW_E_LIMIT with a sentence. `where` names the text. */
SW_MUST_USE sw_status sw_predictions_parse(const void *text, size_t size, const char *where, sw_arena *arena,
                                           const sw_diag *diag, sw_predictions *predictions);

#endif
