/* GridSample of float32 pictures, bilinear, beyond the map zeros or its border: where points lie is worked out once for all
 * channels, and a channel is read as a whole. */
#include <math.h>
#include <string.h>

#include "kernels/fast.h"
#include "kernels/wide.h"
#include "ops/shape.h"

/* The four pixels that a point mixes, and their shares. */
typedef struct mix {
    int32_t at[4];
    float share[4];
} mix;

typedef struct work {
    const float *x, *grid;
    float *y;
    int64_t channels, height, width, points;
    bool corners, border;
    mix *mixes; /* mixes[thread][points] */
} work;

/* The pixel before a point of an axis, and the point's share of the next one. */
static float pixel_of(const work *w, float at, int64_t extent, int64_t *first) {
    float n = (float)extent, x = w->corners ? (at + 1) / 2 * (n - 1) : ((at + 1) * n - 1) / 2;
    x = w->border ? fminf(fmaxf(x, 0), n - 1) : fminf(fmaxf(x, -2), n + 1); /* NaN becomes the lower bound */
    *first = (int64_t)floorf(x);
    return x - floorf(x);
}

static void find_mixes(const work *w, int64_t picture, mix *to) {
    const float *grid = w->grid + picture * w->points * 2;
    for (int64_t p = 0; p < w->points; p++, to++) {
        int64_t x0, y0;
        float sx = pixel_of(w, grid[2 * p], w->width, &x0), sy = pixel_of(w, grid[2 * p + 1], w->height, &y0);
        for (int k = 0; k < 4; k++) {
            int64_t x = x0 + k % 2, y = y0 + k / 2;
            bool inside = x >= 0 && x < w->width && y >= 0 && y < w->height;
            to->at[k] = inside ? (int32_t)(y * w->width + x) : 0;
            to->share[k] = inside ? (k % 2 ? sx : 1 - sx) * (k / 2 ? sy : 1 - sy) : 0;
        }
    }
}

static void planes(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    mix *mixes = w->mixes + thread * w->points;
    int64_t held = -1;
    for (int64_t plane = begin; plane < end; plane++) {
        const float *x = w->x + plane * w->height * w->width;
        float *y = w->y + plane * w->points;
        if (plane / w->channels != held) find_mixes(w, held = plane / w->channels, mixes);
        for (int64_t p = 0; p < w->points; p++) {
            const mix *m = &mixes[p];
            float sum = 0;
            for (int k = 0; k < 4; k++) /* not 0 * infinity */
                if (m->share[k] != 0) sum += m->share[k] * x[m->at[k]];
            y[p] = sum;
        }
    }
}

bool sw__grid_linear(const sw_call *c) {
    const sw_tensor *x = c->in[0], *grid = c->in[1], *y = c->out[0];
    const char *mode = sw_call_string(c, "mode"), *padding = sw_call_string(c, "padding_mode");
    if (!sw__is_plain_f32(c) || !y || x->rank != 4) return false;
    if (strcmp(mode, "linear") != 0 && strcmp(mode, "bilinear") != 0) return false;
    if (strcmp(padding, "zeros") != 0 && strcmp(padding, "border") != 0) return false;
    work w = {.x = x->data, .grid = grid->data, .y = y->data, .channels = x->dims[1]};
    w.height = x->dims[2];
    w.width = x->dims[3];
    w.points = y->dims[2] * y->dims[3];
    w.corners = sw_call_int(c, "align_corners") != 0;
    w.border = strcmp(padding, "border") == 0;
    int64_t threads = sw_pool_threads(c->pool);
    if (sw_tensor_count(x) == 0 || sw_tensor_count(y) == 0 || w.height * w.width > INT32_MAX) return false;
    w.mixes = sw_alloc(c->allocator, (size_t)(threads * w.points) * sizeof *w.mixes);
    if (!w.mixes) return false;
    sw_pool_for(c->pool, y->dims[0] * w.channels, sw__ceil_div(w.channels, threads), planes, &w);
    sw_free(c->allocator, w.mixes);
    return true;
}
