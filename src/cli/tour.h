/* slipway tour: what its files share. */
#ifndef SLIPWAY_CLI_TOUR_H
#define SLIPWAY_CLI_TOUR_H

#include "base/json.h"
#include "cli/child.h"

/* One way to run the model; numbers below 0 are not known. */
typedef struct sw_tour_step {
    const char *name, *format, *where; /* where: on which machines the file runs */
    const char *skipped;               /* why it could not run here, and what it needs; NULL: it ran */
    double fps, latency_ms, map;
    int64_t bytes;
} sw_tour_step;

enum { SW_TOUR_STEPS = 5 };

/* The table as text and Markdown, the steps as JSON, latency against mAP as SVG. */
void sw_tour_text(const sw_tour_step *steps, int n, sw_buf *buf);
void sw_tour_markdown(const sw_tour_step *steps, int n, const char *model, sw_buf *buf);
void sw_tour_json(const sw_tour_step *steps, int n, const char *model, sw_buf *buf);
void sw_tour_svg(const sw_tour_step *steps, int n, sw_buf *buf);

#endif
