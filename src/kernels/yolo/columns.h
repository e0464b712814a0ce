/* Which anchors have a score that passes. */
#ifndef SLIPWAY_KERNELS_YOLO_COLUMNS_H
#define SLIPWAY_KERNELS_YOLO_COLUMNS_H

#include <stdint.h>

/* Sets the byte of each column to 1 where one of its scores (rows of `columns` floats) is above `above`, else to 0. */
void sw__columns_above(const float *scores, int64_t rows, int64_t columns, float above, uint8_t *wanted);

#endif
