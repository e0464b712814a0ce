/* Pictures in, detections out. Private to server/. */
#ifndef SLIPWAY_SERVE_SERVER_DETECT_H
#define SLIPWAY_SERVE_SERVER_DETECT_H

#include "serve/server/internal.h"

/* Detectors that are kept for the next picture, by model and thresholds. Any thread. */
sw__detectors *sw__detectors_create(void); /* NULL without memory */
void sw__detectors_destroy(sw__detectors *detectors);
/* Lets go of those that nobody used for a while, so that unloaded models leave memory. */
void sw__detectors_sweep(sw__detectors *detectors, int64_t now_ns);

/* POST or PUT of a picture, or of several as multipart/form-data, to /v2/models/MODEL/detect. */
void sw__http_detect(sw__conn *conn, const char *model, const char *version);

#endif
