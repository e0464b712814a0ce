/* What was found, as text: a table for people, CSV, and YOLO's label files. */
#ifndef SLIPWAY_CLI_RESULTS_H
#define SLIPWAY_CLI_RESULTS_H

#include "cli/console.h"
#include "vision/result.h"

/* "bus.jpg  810 x 1080 ..." and a row for each box. */
void sw_result_table(const sw_result *result, sw_console *console);
/* Rows of RFC 4180 without the heading, and the heading. */
void sw_result_csv(const sw_result *result, sw_buf *buf);
void sw_result_csv_heading(const sw_detector *detector, sw_buf *buf);
/* Lines as Ultralytics writes them, in fractions of the picture: "class cx cy w h [x y v ...] confidence"; of masks
 * "class x y x y ... confidence", without those that are no polygon; of rotated boxes "class" and four corners; of classes
 * "confidence name". */
void sw_result_txt(const sw_result *result, sw_buf *buf);

#endif
