/* Pools and nearest resizing. */
#include <math.h>
#include <string.h>

#include "kernels/dtype.h"
#include "kernels/nhwc/nhwc.h"
#include "ops/shape.h"

sw_status sw__nhwc_max_pool(const sw_call *c);
sw_status sw__nhwc_average_pool(const sw_call *c);
sw_status sw__nhwc_global_average(const sw_call *c);
sw_status sw__nhwc_resize(const sw_call *c);

/* ---- Max pool ------------------------------------------------------------------------------------------------------ */

typedef struct pool_work {
    sw_nhwc x, y;
    sw_window w;
    bool count_pads; /* AveragePool: taps on padding count */
} pool_work;

static float channel_at(const sw_nhwc *m, int64_t pixel, int64_t channel) {
    return sw__map_get(m->type, m->data, pixel * m->pitch + channel);
}

static float largest(const pool_work *p, int64_t n, int64_t y, int64_t x, int64_t channel) {
    const sw_window *w = &p->w;
    sw_taps rows = sw_taps_of(w, 0, y), cols = sw_taps_of(w, 1, x);
    float best = -INFINITY;
    for (int64_t ky = rows.first; ky < rows.end; ky++)
        for (int64_t kx = cols.first; kx < cols.end; kx++) {
            int64_t iy = rows.begin + ky * w->dilation[0], ix = cols.begin + kx * w->dilation[1];
            float v = channel_at(&p->x, (n * p->x.height + iy) * p->x.width + ix, channel);
            if (v > best || v != v) best = v; /* NaN stays: nothing is above it */
            if (best != best) return best;
        }
    return best;
}

static void pool_pixel(const pool_work *p, int64_t n, int64_t y, int64_t x) {
    for (int64_t c = 0; c < p->y.channels; c++) {
        int64_t pixel = (n * p->y.height + y) * p->y.width + x;
        sw__map_set(p->y.type, p->y.data, pixel * p->y.pitch + c, largest(p, n, y, x, c));
    }
}

static void pool_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const pool_work *p = ctx;
    (void)thread;
    for (int64_t row = begin; row < end; row++)
        for (int64_t x = 0; x < p->y.width; x++) pool_pixel(p, row / p->y.height, row % p->y.height, x);
}

sw_status sw__nhwc_max_pool(const sw_call *c) {
    pool_work p = {.x = sw_nhwc_of(c->in[0]), .y = sw_nhwc_of(c->out[0])};
    SW_TRY(sw_call_window(c, c->in[0], NULL, &p.w));
    sw_pool_for(c->pool, p.y.batch * p.y.height, 1, pool_rows, &p);
    return SW_OK;
}

/* ---- Average pool -------------------------------------------------------------------------------------------------- */

/* Of a channel under a window: by the number of taps on pixels, or on padding, too. */
static double mean_of(const pool_work *p, int64_t n, int64_t y, int64_t x, int64_t channel) {
    const sw_window *w = &p->w;
    sw_taps rows = sw_taps_of(w, 0, y), cols = sw_taps_of(w, 1, x);
    double sum = 0;
    for (int64_t ky = rows.first; ky < rows.end; ky++)
        for (int64_t kx = cols.first; kx < cols.end; kx++)
            sum += (double)sw_nhwc_pixel(&p->x, n, rows.begin + ky * w->dilation[0],
                                         cols.begin + kx * w->dilation[1])[channel];
    double count = p->count_pads ? (double)rows.padded * (double)cols.padded
                                 : (double)(rows.end - rows.first) * (double)(cols.end - cols.first);
    return count > 0 ? sum / count : 0;
}

static void average_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const pool_work *p = ctx;
    (void)thread;
    for (int64_t row = begin; row < end; row++)
        for (int64_t x = 0; x < p->y.width; x++)
            for (int64_t c = 0; c < p->y.channels; c++)
                sw_nhwc_pixel(&p->y, row / p->y.height, row % p->y.height, x)[c] =
                    (float)mean_of(p, row / p->y.height, row % p->y.height, x, c);
}

sw_status sw__nhwc_average_pool(const sw_call *c) {
    pool_work p = {.x = sw_nhwc_of(c->in[0]), .y = sw_nhwc_of(c->out[0])};
    SW_TRY(sw_call_window(c, c->in[0], NULL, &p.w));
    p.count_pads = sw_call_int(c, "count_include_pad") != 0;
    sw_pool_for(c->pool, p.y.batch * p.y.height, 1, average_rows, &p);
    return SW_OK;
}

/* ---- Global mean --------------------------------------------------------------------------------------------------- */

static void mean_picture(void *ctx, int64_t begin, int64_t end, int thread) {
    const pool_work *p = ctx;
    int64_t pixels = p->x.height * p->x.width;
    (void)thread;
    for (int64_t n = begin; n < end; n++) {
        float *out = sw_nhwc_pixel(&p->y, n, 0, 0);
        for (int64_t c = 0; c < p->y.channels; c += 8) { /* sums in double, as the reference */
            int64_t some = p->y.channels - c < 8 ? p->y.channels - c : 8;
            double sum[8] = {0};
            const float *in = sw_nhwc_pixel(&p->x, n, 0, 0) + c;
            for (int64_t i = 0; i < pixels; i++, in += p->x.pitch)
                for (int64_t k = 0; k < some; k++) sum[k] += (double)in[k];
            for (int64_t k = 0; k < some; k++) out[c + k] = (float)(sum[k] / (double)pixels);
        }
    }
}

sw_status sw__nhwc_global_average(const sw_call *c) {
    pool_work p = {.x = sw_nhwc_of(c->in[0]), .y = sw_nhwc_of(c->out[0])};
    sw_pool_for(c->pool, p.y.batch, 1, mean_picture, &p);
    return SW_OK;
}

/* ---- Resize: nearest, asymmetric, floor ---------------------------------------------------------------------------- */

typedef struct resize_work {
    sw_nhwc x, y;
    float scale_h, scale_w;
} resize_work;

static int64_t source(int64_t out, float scale, int64_t extent) {
    int64_t in = (int64_t)floorf((float)out / scale);
    return in < extent ? in : extent - 1;
}

static void resize_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const resize_work *r = ctx;
    (void)thread;
    for (int64_t row = begin; row < end; row++) {
        int64_t n = row / r->y.height, y = row % r->y.height, iy = source(y, r->scale_h, r->x.height);
        for (int64_t x = 0; x < r->y.width; x++)
            memcpy(sw_nhwc_at(&r->y, row * r->y.width + x, 0),
                   sw_nhwc_at(&r->x, (n * r->x.height + iy) * r->x.width + source(x, r->scale_w, r->x.width), 0),
                   (size_t)(r->y.channels * r->y.bytes));
    }
}

sw_status sw__nhwc_resize(const sw_call *c) {
    resize_work r = {.x = sw_nhwc_of(c->in[0]), .y = sw_nhwc_of(c->out[0])};
    const sw_tensor *scales = sw_call_in(c, 2);
    bool given = scales && sw_tensor_count(scales) == 4;
    r.scale_h = given ? ((float *)scales->data)[2] : (float)r.y.height / (float)r.x.height;
    r.scale_w = given ? ((float *)scales->data)[3] : (float)r.y.width / (float)r.x.width;
    sw_pool_for(c->pool, r.y.batch * r.y.height, 1, resize_rows, &r);
    return SW_OK;
}
