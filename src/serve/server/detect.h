/* Pictures in, detections out. Private to server/. */
#ifndef SLIPWAY_SERVE_SERVER_DETECT_H
#define SLIPWAY_SERVE_SERVER_DETECT_H

#include "serve/server/internal.h"

/* POST or PUT of a picture, or of several as multipart/form-data, to /v2/models/MODEL/detect: each is a request of the core's,
 * so that pictures of one request and of many share batches, priorities and statistics with all others. */
void sw__http_detect(sw__conn *conn, const char *model, const char *version);

#endif
