/* LevelDecode: heads that give each level and each kind of value as an output of its own. */
#include <math.h>
#include <string.h>

#include "kernels/kernel.h"

/* One cell of a level. `at`: its place in each kind of input. */
typedef struct cell {
    int64_t at;
    float column, row, stride;
} cell;

/* The mean of a distribution over 0 .. bins - 1 given as logits. */
static float expectation(const float *logits, int64_t bins) {
    float most = logits[0], sum = 0, mean = 0;
    for (int64_t i = 1; i < bins; i++) most = fmaxf(most, logits[i]);
    for (int64_t i = 0; i < bins; i++) {
        float weight = expf(logits[i] - most);
        sum += weight;
        mean += weight * (float)i;
    }
    return mean / sum;
}

/* Generalised focal loss (arXiv 2006.04388): distances of the four sides from the cell's centre. */
static void decode_gfl(const sw_tensor *const *in, int levels, const cell *c, float *to) {
    const sw_tensor *scores = in[0], *sides = in[levels];
    int64_t classes = scores->dims[2], bins = sides->dims[2] / 4;
    const float *logits = (const float *)sides->data + c->at * sides->dims[2];
    float x = (c->column + 0.5f) * c->stride, y = (c->row + 0.5f) * c->stride;
    to[0] = x - expectation(logits, bins) * c->stride;
    to[1] = y - expectation(logits + bins, bins) * c->stride;
    to[2] = x + expectation(logits + 2 * bins, bins) * c->stride;
    to[3] = y + expectation(logits + 3 * bins, bins) * c->stride;
    memcpy(to + 4, (const float *)scores->data + c->at * classes, (size_t)classes * sizeof *to);
}

static float unit(float value) {
    return value > 0 ? fminf(value, 1) : 0;
}

/* YuNet: centre and points count cells from the cell's corner; the score is the mean of class and objectness. */
static void decode_yunet(const sw_tensor *const *in, int levels, const cell *c, float *to) {
    const float *box = (const float *)in[2 * levels]->data + c->at * 4;
    const float *points = (const float *)in[3 * levels]->data + c->at * 10;
    float class_score = ((const float *)in[0]->data)[c->at], objectness = ((const float *)in[levels]->data)[c->at];
    float x = (c->column + box[0]) * c->stride, y = (c->row + box[1]) * c->stride;
    float width = expf(box[2]) * c->stride / 2, height = expf(box[3]) * c->stride / 2;
    to[0] = x - width;
    to[1] = y - height;
    to[2] = x + width;
    to[3] = y + height;
    to[4] = sqrtf(unit(class_score) * unit(objectness));
    for (int i = 0; i < 10; i++) to[5 + i] = (points[i] + (i % 2 ? c->row : c->column)) * c->stride;
}

sw_status sw__level_decode_ref(const sw_call *c) {
    sw_tensor *y = sw_call_out(c, 0);
    if (!y) return SW_OK;
    const sw_attr *strides = sw_call_attr(c, "strides", SW_ATTR_INTS);
    int64_t height = sw_call_int(c, "height"), width = sw_call_int(c, "width");
    bool gfl = strcmp(sw_call_string(c, "layout"), "gfl") == 0;
    float *to = y->data;
    for (int64_t n = 0; n < y->dims[0]; n++)
        for (int level = 0; level < strides->ints.n; level++) {
            int64_t stride = strides->ints.v[level];
            int64_t rows = (height + stride - 1) / stride, columns = (width + stride - 1) / stride;
            for (int64_t i = 0; i < rows * columns; i++, to += y->dims[2]) {
                cell at = {n * rows * columns + i, (float)(i % columns), (float)(i / columns), (float)stride};
                (gfl ? decode_gfl : decode_yunet)(c->in + level, strides->ints.n, &at, to);
            }
        }
    return SW_OK;
}
