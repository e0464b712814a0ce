/* Max pool of channels-last maps on AVX2: the maxima of 32 channels stay in registers over the window. */
#include "kernels/fast.h"
#include "kernels/nhwc/nhwc.h"
#include "kernels/vec_avx2.h"
#include "ops/shape.h"

typedef struct work {
    sw_nhwc x, y;
    sw_window w;
} work;

/* The part of the window over one output that lies in the map: `in` is its first pixel. */
typedef struct window {
    const float *in;
    int64_t rows, cols, row_step, col_step;
} window;

/* NaN wins. */
SW_INLINE vf larger(vf x, vf best) {
    return _mm256_or_ps(vf_max(x, best), _mm256_cmp_ps(x, best, _CMP_UNORD_Q));
}

SW_INLINE void channels(const window *w, int64_t c, float *out, int vectors, int64_t n) {
    vf best[4];
    SW_UNROLL
    for (int v = 0; v < vectors; v++) best[v] = vf_all(-__builtin_inff());
    for (int64_t y = 0; y < w->rows; y++)
        for (int64_t x = 0; x < w->cols; x++) {
            const float *in = w->in + y * w->row_step + x * w->col_step + c;
            SW_UNROLL
            for (int v = 0; v < vectors; v++)
                best[v] = larger(n == 8 ? vf_load(in + 8 * v) : vf_load_n(in, n), best[v]);
        }
    SW_UNROLL
    for (int v = 0; v < vectors; v++) {
        if (n == 8)
            vf_store(out + c + 8 * v, best[v]);
        else
            vf_store_n(out + c, best[v], n);
    }
}

/* Clips one dimension: sets the first tap that lies in the map, returns how many do. */
static int64_t clip(int64_t begin, int64_t extent, int64_t kernel, int64_t dilation, int64_t *first) {
    *first = begin < 0 ? (-begin + dilation - 1) / dilation : 0;
    int64_t end = begin >= extent ? 0 : (extent - 1 - begin) / dilation + 1;
    if (end > kernel) end = kernel;
    return end > *first ? end - *first : 0;
}

static void rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *p = ctx;
    const sw_window *k = &p->w;
    (void)thread;
    for (int64_t row = begin; row < end; row++) {
        int64_t n = row / p->y.height, y = row % p->y.height, y0 = y * k->stride[0] - k->pad_begin[0], ky, kx, c;
        window w = {.row_step = k->dilation[0] * p->x.width * p->x.pitch, .col_step = k->dilation[1] * p->x.pitch};
        w.rows = clip(y0, p->x.height, k->kernel[0], k->dilation[0], &ky);
        for (int64_t x = 0; x < p->y.width; x++) {
            int64_t x0 = x * k->stride[1] - k->pad_begin[1];
            float *out = sw_nhwc_pixel(&p->y, n, y, x);
            w.cols = clip(x0, p->x.width, k->kernel[1], k->dilation[1], &kx);
            if (w.rows && w.cols) w.in = sw_nhwc_pixel(&p->x, n, y0 + ky * k->dilation[0], x0 + kx * k->dilation[1]);
            for (c = 0; c + 32 <= p->y.channels; c += 32) channels(&w, c, out, 4, 8);
            for (; c + 8 <= p->y.channels; c += 8) channels(&w, c, out, 1, 8);
            if (c < p->y.channels) channels(&w, c, out, 1, p->y.channels - c);
        }
    }
}

bool sw__nhwc_max_pool_avx2(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    work p;
    if (!y || sw_call_out(c, 1) || x->dtype != SW_F32 || x->rank != 4) return false;
    if (x->layout != SW_CHANNELS_LAST || y->layout != SW_CHANNELS_LAST) return false;
    if (sw_call_window(c, x, NULL, &p.w) != SW_OK) return false;
    p.x = sw_nhwc_of(x);
    p.y = sw_nhwc_of(y);
    sw_pool_for(c->pool, p.y.batch * p.y.height, 1, rows, &p);
    return true;
}
