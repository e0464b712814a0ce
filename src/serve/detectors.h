/* Detectors kept for the next picture, by model and options. Private to serve/. Any thread. */
#ifndef SLIPWAY_SERVE_DETECTORS_H
#define SLIPWAY_SERVE_DETECTORS_H

#include "serve/core.h"
#include "vision/detector.h"

typedef struct sw__detectors sw__detectors;

/* What a detector is made for. Zeroed options mean the defaults, but for conf and iou: those when negative. */
typedef struct sw__wish {
    sw_plan *plan;
    double conf, iou;
    int max_det, imgsz;
} sw__wish;

/* A detector in two halves (sw_detector_prepare, _finish), with the words of its complaint. One thread at a time. */
typedef struct sw__kept {
    sw__wish wish;
    sw_detector *detector; /* holds the plan */
    char text[400];        /* of the last error, also of what else is given: */
    sw_diag diag;
    /* private: */
    int64_t used_ns;
    struct sw__kept *next;
} sw__kept;

/* Those of a core, for its protocols. */
sw__detectors *sw_serve_detectors(sw_serve *core);
sw__detectors *sw__detectors_create(void); /* NULL without memory */
void sw__detectors_destroy(sw__detectors *detectors);
/* NULL with an error: SW_SERVE_INVALID_ARG for models that are no detectors. */
sw__kept *sw__detectors_take(sw__detectors *detectors, const sw__wish *wish, sw_serve_error *error);
void sw__detectors_give(sw__detectors *detectors, sw__kept *kept); /* takes NULL */
/* Lets go of those that nobody used for a while, so that unloaded models leave memory. */
void sw__detectors_sweep(sw__detectors *detectors, int64_t now_ns);

/* What a detector's status is for a client; the error gets the detector's words after `label: ` (NULL: without). */
sw_serve_code sw__detectors_fail(const sw__kept *kept, sw_status status, const char *label, sw_serve_error *error);
/* The model's outputs, by the order of its plan, for sw_detector_finish. */
enum { SW__DETECTOR_OUTPUTS = 64 };
SW_MUST_USE sw_serve_code sw__detectors_finish(sw__kept *kept, const sw_fitting *fitting,
                                               const sw_serve_tensor *outputs, int n, sw_detections *found,
                                               sw_serve_error *error);

#endif
