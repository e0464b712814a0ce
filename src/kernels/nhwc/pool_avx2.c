/* Max pool of channels-last maps on AVX2: the maxima of 32 channels stay in registers over the window. */
#include "kernels/fast.h"
#include "kernels/nhwc/nhwc.h"
#include "kernels/vec_avx2.h"
#include "ops/shape.h"

typedef struct work {
    sw_nhwc x, y;
    sw_window w;
} work;

/* The part of the window over one output that lies in the map: `in` is its first pixel; steps in bytes. */
typedef struct window {
    const char *in;
    int64_t rows, cols, row_step, col_step;
} window;

/* NaN wins. */
SW_INLINE vf larger(vf x, vf best) {
    return _mm256_or_ps(vf_max(x, best), _mm256_cmp_ps(x, best, _CMP_UNORD_Q));
}

SW_INLINE void channels(sw_dtype type, const window *w, int64_t c, char *out, int vectors, int64_t n) {
    int64_t bytes = type == SW_BF16 ? 2 : 4;
    vf best[4];
    SW_UNROLL
    for (int v = 0; v < vectors; v++) best[v] = vf_all(-__builtin_inff());
    for (int64_t y = 0; y < w->rows; y++)
        for (int64_t x = 0; x < w->cols; x++) {
            const char *in = w->in + y * w->row_step + x * w->col_step + c * bytes;
            SW_UNROLL
            for (int v = 0; v < vectors; v++) best[v] = larger(vf_read(type, in + VF * v * bytes, n), best[v]);
        }
    SW_UNROLL
    for (int v = 0; v < vectors; v++) vf_write(type, out + (c + VF * v) * bytes, best[v], n);
}

SW_INLINE void all_channels(sw_dtype type, const window *w, char *out, int64_t count) {
    int64_t c = 0;
    for (; c + 4 * VF <= count; c += 4 * VF) channels(type, w, c, out, 4, VF);
    for (; c + VF <= count; c += VF) channels(type, w, c, out, 1, VF);
    if (c < count) channels(type, w, c, out, 1, count - c);
}
static void pixel_f32(const window *w, char *out, int64_t count) {
    all_channels(SW_F32, w, out, count);
}
static void pixel_bf16(const window *w, char *out, int64_t count) {
    all_channels(SW_BF16, w, out, count);
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
        int64_t n = row / p->y.height, y = row % p->y.height, y0 = y * k->stride[0] - k->pad_begin[0], ky, kx;
        int64_t pixel = p->x.pitch * p->x.bytes;
        window w = {.row_step = k->dilation[0] * p->x.width * pixel, .col_step = k->dilation[1] * pixel};
        w.rows = clip(y0, p->x.height, k->kernel[0], k->dilation[0], &ky);
        for (int64_t x = 0; x < p->y.width; x++) {
            int64_t x0 = x * k->stride[1] - k->pad_begin[1];
            w.cols = clip(x0, p->x.width, k->kernel[1], k->dilation[1], &kx);
            int64_t first = (n * p->x.height + y0 + ky * k->dilation[0]) * p->x.width + x0 + kx * k->dilation[1];
            if (w.rows && w.cols) w.in = sw_nhwc_at(&p->x, first, 0);
            (p->x.bytes == 2 ? pixel_bf16 : pixel_f32)(&w, sw_nhwc_at(&p->y, row * p->y.width + x, 0), p->y.channels);
        }
    }
}

bool sw__nhwc_max_pool_avx2(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    work p;
    if (!y || sw_call_out(c, 1) || x->rank != 4 || y->dtype != x->dtype) return false;
    if (x->dtype != SW_F32 && x->dtype != SW_BF16) return false;
    if (x->layout != SW_CHANNELS_LAST || y->layout != SW_CHANNELS_LAST) return false;
    if (sw_call_window(c, x, NULL, &p.w) != SW_OK) return false;
    p.x = sw_nhwc_of(x);
    p.y = sw_nhwc_of(y);
    sw_pool_for(c->pool, p.y.batch * p.y.height, 1, rows, &p);
    return true;
}
