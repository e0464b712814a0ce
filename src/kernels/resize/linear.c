/* Bilinear resizing of row-major float32 planes: along the rows first, of which each is made once, then between two of them. */
#include <math.h>

#include "kernels/fast.h"
#include "ops/resize.h"
#include "kernels/wide.h"

/* Output coordinate o is element first[o] and its share `weight[o]` of element second[o]. */
typedef struct axis {
    int64_t in, out;
    int64_t *first, *second;
    float *weight;
} axis;

typedef struct work {
    axis y, x;
    const float *from;
    float *to, *rows; /* rows[thread][2][x.out] */
} work;

/* (1 - w) a + w b, but a alone where w is 0: b may be infinite. */
static float mix(float a, float b, float w) {
    return w != 0 ? (1 - w) * a + w * b : a;
}

static void stretch(const axis *x, const float *from, float *to) {
    for (int64_t o = 0; o < x->out; o++) to[o] = mix(from[x->first[o]], from[x->second[o]], x->weight[o]);
}

static void planes(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    for (int64_t plane = begin; plane < end; plane++) {
        const float *from = w->from + plane * w->y.in * w->x.in;
        float *to = w->to + plane * w->y.out * w->x.out, *row[2];
        int64_t held[2] = {-1, -1}; /* which rows of the input these are */
        for (int k = 0; k < 2; k++) row[k] = w->rows + (2 * thread + k) * w->x.out;
        for (int64_t o = 0; o < w->y.out; o++, to += w->x.out) {
            int64_t wanted[2] = {w->y.first[o], w->y.second[o]};
            if (held[1] == wanted[0]) { /* one further down */
                float *swap = row[0];
                row[0] = row[1], row[1] = swap;
                held[1] = held[0], held[0] = wanted[0];
            }
            for (int k = 0; k < 2; k++)
                if (held[k] != wanted[k]) stretch(&w->x, from + (held[k] = wanted[k]) * w->x.in, row[k]);
            const float *restrict a = row[0], *restrict b = row[1];
            float share = w->y.weight[o];
            for (int64_t i = 0; i < w->x.out; i++) to[i] = mix(a[i], b[i], share);
        }
    }
}

static void fill(const sw_resize *r, int number, axis *a) {
    for (int64_t o = 0; o < a->out; o++) {
        float at = fminf(fmaxf(sw_resize_source(r, number, a->in, a->out, o), 0), (float)(a->in - 1));
        a->first[o] = (int64_t)at;
        a->second[o] = sw__min64(a->first[o] + 1, a->in - 1);
        a->weight[o] = at - (float)a->first[o];
    }
}

bool sw__resize_linear(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    sw_resize r;
    if (!y || x->rank != 4 || x->dtype != SW_F32 || x->layout != SW_ROW_MAJOR || y->layout != SW_ROW_MAJOR) return false;
    if (sw_call_resize(c, &r) != SW_OK || r.mode != SW_RESIZE_LINEAR || r.coords == SW_COORDS_TF_CROP_AND_RESIZE)
        return false;
    if (sw_call_int(c, "antialias") || sw_call_int(c, "exclude_outside") || sw_tensor_count(y) == 0) return false;
    for (int i = 0; i < 4; i++)
        if (x->dims[i] < 1 || x->dims[i] > 1 << 24 || (i < 2 && (x->dims[i] != y->dims[i] || r.scale[i] != 1))) return false;
    int64_t height = y->dims[2], width = y->dims[3], extents = height + width;
    if (extents > 1 << 24) return false;
    size_t threads = (size_t)sw_pool_threads(c->pool), n = (size_t)extents;
    int64_t *places = sw_alloc(c->allocator, n * 2 * sizeof *places);
    float *floats = sw_alloc(c->allocator, (n + threads * 2 * (size_t)width) * sizeof *floats);
    if (places && floats) {
        work w = {.from = x->data, .to = y->data, .rows = floats + n};
        w.y = (axis){x->dims[2], height, places, places + height, floats};
        w.x = (axis){x->dims[3], width, places + 2 * height, places + 2 * height + width, floats + height};
        fill(&r, 2, &w.y);
        fill(&r, 3, &w.x);
        sw_pool_for(c->pool, x->dims[0] * x->dims[1], 1, planes, &w);
    }
    bool done = places && floats;
    sw_free(c->allocator, places);
    sw_free(c->allocator, floats);
    return done;
}
