/* What was found, as text: a table for people, JSON, CSV, and YOLO's label files. */
#ifndef SLIPWAY_CLI_RESULTS_H
#define SLIPWAY_CLI_RESULTS_H

#include "base/json.h"
#include "cli/console.h"
#include "vision/detector.h"

/* What was found in one picture. */
typedef struct sw_result {
    const char *source;
    int width, height;
    const sw_detector *detector; /* for names of classes */
    const sw_detections *found;
    double decode_ms;
} sw_result;

/* "bus.jpg  810 x 1080 ..." and a row for each box. */
void sw_result_table(const sw_result *result, sw_console *console);
/* An object of the array that `w` is within. */
void sw_result_json(const sw_result *result, sw_json_writer *w);
/* {"size": [height, width], "counts": "..."}: a mask as COCO's tools read it. */
void sw_result_json_runs(const sw_mask *mask, int width, int height, sw_json_writer *w);
/* Rows of RFC 4180 without the heading, and the heading. */
void sw_result_csv(const sw_result *result, sw_buf *buf);
void sw_result_csv_heading(const sw_detector *detector, sw_buf *buf);
/* Lines as Ultralytics writes them, in fractions of the picture: "class cx cy w h [x y v ...] confidence"; of masks
 * "class x y x y ... confidence", without those that are no polygon; of rotated boxes "class" and four corners; of classes
 * "confidence name". */
void sw_result_txt(const sw_result *result, sw_buf *buf);

#endif
