/* Lines of Prometheus' text format. Private to serve/. */
#ifndef SLIPWAY_SERVE_METRICS_H
#define SLIPWAY_SERVE_METRICS_H

#include "base/buf.h"

/* The two lines before a metric. */
void sw__metrics_head(sw_buf *buf, const char *name, const char *kind, const char *help);
/* A label's value with what must be escaped. */
void sw__metrics_label(sw_buf *buf, const char *text);

#endif
