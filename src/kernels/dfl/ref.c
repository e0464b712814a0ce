/* Distribution focal loss, decoded: for each side, sum of i * softmax(bins)[i]. The inner loops run along the
 * anchors. */
#include <math.h>

#include "kernels/kernel.h"

sw_status sw__dfl_ref(const sw_call *c);

enum { PIECE = 256 };

typedef struct work {
    const float *in;
    float *out;
    int64_t bins, anchors, pieces;
} work;

static void piece(const work *w, int64_t side, int64_t first, int64_t n) {
    const float *in = w->in + side * w->bins * w->anchors + first;
    float most[PIECE], sum[PIECE], mean[PIECE];
    for (int64_t i = 0; i < n; i++) most[i] = in[i], sum[i] = mean[i] = 0;
    for (int64_t b = 1; b < w->bins; b++)
        for (int64_t i = 0; i < n; i++) most[i] = in[b * w->anchors + i] > most[i] ? in[b * w->anchors + i] : most[i];
    for (int64_t b = 0; b < w->bins; b++)
        for (int64_t i = 0; i < n; i++) {
            float e = expf(in[b * w->anchors + i] - most[i]);
            sum[i] += e;
            mean[i] += e * (float)b;
        }
    for (int64_t i = 0; i < n; i++) w->out[side * w->anchors + first + i] = mean[i] / sum[i];
}

static void pieces(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t first = i % w->pieces * PIECE, left = w->anchors - first;
        piece(w, i / w->pieces, first, left < PIECE ? left : PIECE);
    }
}

sw_status sw__dfl_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    if (x->dtype != SW_F32) return sw_call_unsupported(c, "type %s is not supported", sw_dtype_name(x->dtype));
    if (sw_tensor_count(x) == 0) return SW_OK;
    work w = {.in = x->data, .out = c->out[0]->data, .bins = sw_call_int(c, "bins"), .anchors = x->dims[2]};
    w.pieces = (w.anchors + PIECE - 1) / PIECE;
    sw_pool_for(c->pool, x->dims[0] * 4 * w.pieces, 1, pieces, &w);
    return SW_OK;
}
