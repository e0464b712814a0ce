/* YoloDecode: the raw outputs of YOLO heads as corners and scores, one row an anchor. */
#include <math.h>
#include <string.h>

#include "kernels/kernel.h"

static void write_box(float *to, float cx, float cy, float width, float height) {
    width /= 2;
    height /= 2;
    to[0] = cx - width;
    to[1] = cy - height;
    to[2] = cx + width;
    to[3] = cy + height;
}

/* Rows of the input are values, columns are anchors. `corners`: boxes become corners. */
static void decode_v8(const float *x, int64_t rows, int64_t anchors, bool corners, float *y) {
    for (int64_t a = 0; a < anchors; a++, y += rows) {
        if (corners) write_box(y, x[a], x[anchors + a], x[2 * anchors + a], x[3 * anchors + a]);
        for (int64_t row = corners ? 4 : 0; row < rows; row++) y[row] = x[row * anchors + a];
    }
}

static void decode_detr(const float *x, int64_t values, int64_t anchors, float *y) {
    for (int64_t a = 0; a < anchors; a++, x += values, y += values) {
        write_box(y, x[0], x[1], x[2], x[3]);
        memcpy(y + 4, x + 4, (size_t)(values - 4) * sizeof *y);
    }
}

/* Box, objectness, scores, and `extra` values that stay as they are. */
static void decode_v5(const float *x, int64_t values, int64_t extra, int64_t anchors, float *y) {
    for (int64_t a = 0; a < anchors; a++, x += values, y += values - 1) {
        write_box(y, x[0], x[1], x[2], x[3]);
        for (int64_t i = 5; i < values; i++) y[i - 1] = i < values - extra ? x[i] * x[4] : x[i];
    }
}

/* As v5, but centres count cells from the anchor's own cell, and sizes are logarithms of cells. */
static void decode_yolox(const sw_call *c, const float *x, int64_t values, float *y) {
    const sw_attr *strides = sw_call_attr(c, "strides", SW_ATTR_INTS);
    int64_t height = sw_call_int(c, "height"), width = sw_call_int(c, "width");
    int64_t extra = sw_call_int(c, "extra");
    for (int level = 0; level < strides->ints.n; level++) {
        int64_t stride = strides->ints.v[level];
        float cell = (float)stride;
        for (int64_t row = 0; row < height / stride; row++)
            for (int64_t column = 0; column < width / stride; column++, x += values, y += values - 1) {
                write_box(y, (x[0] + (float)column) * cell, (x[1] + (float)row) * cell, expf(x[2]) * cell,
                          expf(x[3]) * cell);
                for (int64_t i = 5; i < values; i++) y[i - 1] = i < values - extra ? x[i] * x[4] : x[i];
            }
    }
}

sw_status sw__yolo_decode_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0);
    if (!y) return SW_OK;
    const char *layout = sw_call_string(c, "layout");
    int64_t in_size = x->dims[1] * x->dims[2], out_size = y->dims[1] * y->dims[2];
    for (int64_t n = 0; n < x->dims[0]; n++) {
        const float *from = (const float *)x->data + n * in_size;
        float *to = (float *)y->data + n * out_size;
        if (strcmp(layout, "v8") == 0 || strcmp(layout, "xywh") == 0)
            decode_v8(from, x->dims[1], x->dims[2], layout[0] == 'v', to);
        else if (strcmp(layout, "v5") == 0)
            decode_v5(from, x->dims[2], sw_call_int(c, "extra"), x->dims[1], to);
        else if (strcmp(layout, "detr") == 0)
            decode_detr(from, x->dims[2], x->dims[1], to);
        else
            decode_yolox(c, from, x->dims[2], to);
    }
    return SW_OK;
}
