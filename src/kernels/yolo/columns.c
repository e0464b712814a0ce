#include "kernels/yolo/columns.h"

#include <string.h>

enum { TOGETHER = 64 };

/* Scores that pass are few: most groups of neighbours are seen to have none, in vectors. */
void sw__columns_above(const float *scores, int64_t rows, int64_t columns, float above, uint8_t *wanted) {
    memset(wanted, 0, (size_t)columns);
    for (int64_t row = 0; row < rows; row++, scores += columns) {
        int64_t i = 0;
        for (; i + TOGETHER <= columns; i += TOGETHER) {
            int any = 0;
            for (int k = 0; k < TOGETHER; k++) any |= scores[i + k] > above;
            for (int k = 0; any && k < TOGETHER; k++) wanted[i + k] |= scores[i + k] > above;
        }
        for (; i < columns; i++) wanted[i] |= scores[i] > above;
    }
}
