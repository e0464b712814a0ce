/* What was found in a picture, as JSON. */
#ifndef SLIPWAY_VISION_RESULT_H
#define SLIPWAY_VISION_RESULT_H

#include "base/json.h"
#include "vision/detector.h"

/* What was found in one picture. */
typedef struct sw_result {
    const char *source;
    int width, height;
    const sw_detector *detector; /* for names of classes */
    const sw_detections *found;
    double decode_ms;
} sw_result;

/* An object: source, size, detections (or classes), times. */
void sw_result_json(const sw_result *result, sw_json_writer *w);
/* {"size": [height, width], "counts": "..."}: a mask as COCO's tools read it. */
void sw_result_json_runs(const sw_mask *mask, int width, int height, sw_json_writer *w);

#endif
