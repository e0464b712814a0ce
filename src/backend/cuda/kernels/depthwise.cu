// Depthwise convolution, K x K of stride STRIDE: a thread makes PX neighbouring pixels of 8 channels. by_out_width is of the
// number of threads for a row, by_chunks of channels / 8. With ANY of any window, and a pixel a thread; with ANY and K of K columns,
// a row of them under way at once. Weights of large windows do not fit into registers: they come row by row.
#include "args.h"
#include "ptx.cuh"

#include "eights.cuh"

enum { THREADS = 128 };

DEV void store_pixel(const sw_cuda_conv *p, float *s, size_t pixel, int c) {
    eight r = {{{0, 0, 0, 0}}};
    if (p->residual) r = load_eight((const cell *)p->residual + pixel * p->residual_pitch + c);
    if (p->residual && p->residual_before_act) {
        UNROLL for (int e = 0; e < 8; e++) s[e] += part_of(r, e);
    }
    if (p->act == CUDA_ACT_SILU) {
        UNROLL for (int e = 0; e < 8; e++) s[e] = silu(s[e]);
    } else if (p->act != CUDA_ACT_NONE) {
        UNROLL for (int e = 0; e < 8; e++) s[e] = activate(p->act, p->act_a, p->act_b, s[e]);
    }
    if (p->residual && !p->residual_before_act) {
        UNROLL for (int e = 0; e < 8; e++) s[e] += part_of(r, e);
    }
    store_eight((cell *)p->out + pixel * p->out_pitch + c, pack8(s));
}

#ifdef ANY
KERNEL(depthwise_any, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    int i = block_id() * THREADS + thread_id(), m = fast_div(i, p->by_chunks), c = (i - m * (p->out_channels >> 3)) * 8;
    int row = fast_div(m, p->by_out_width), n = fast_div(row, p->by_out_height);
    int left = (m - row * p->out_width) * p->stride_w - p->pad_left,
        top = (row - n * p->out_height) * p->stride_h - p->pad_top;
    bool inside = m < p->pixels;
    float acc[8];
    UNROLL for (int e = 0; e < 8; e++) acc[e] = inside ? load_float_const((const float *)p->bias + c + e) : 0.f;
    wait_for_predecessor();
    if (!inside) return;
    for (int r = 0; r < p->kernel_h; r++) {
        int y = top + r * p->dilation_h;
        if (y < 0 || y >= p->height) continue;
#ifdef K
        eight v[K], w[K];
        UNROLL for (int s = 0; s < K; s++) {
            int x = left + s * p->dilation_w;
            eight zero = {{{0, 0, 0, 0}}};
            bool good = x >= 0 && x < p->width;
            v[s] =
                good ? load_eight((const cell *)p->in + ((size_t)(n * p->height + y) * p->width + x) * p->in_pitch + c)
                     : zero;
            w[s] = load_eight_const((const cell *)p->weights + (r * K + s) * p->out_channels + c);
        }
        UNROLL for (int s = 0; s < K; s++) {
            UNROLL for (int e = 0; e < 8; e++) acc[e] += part_of(v[s], e) * part_of(w[s], e);
        }
#else
        for (int s = 0; s < p->kernel_w; s++) {
            int x = left + s * p->dilation_w;
            if (x < 0 || x >= p->width) continue;
            eight v = load_eight((const cell *)p->in + ((size_t)(n * p->height + y) * p->width + x) * p->in_pitch + c);
            eight w = load_eight_const((const cell *)p->weights + (r * p->kernel_w + s) * p->out_channels + c);
            UNROLL for (int e = 0; e < 8; e++) acc[e] += part_of(v, e) * part_of(w, e);
        }
#endif
    }
    store_pixel(p, acc, m, c);
}
#else
enum { SPAN = (PX - 1) * STRIDE + K, HELD = K > (CHUNK == 8 ? 5 : 3) ? 1 : K }; // rows of weights that a thread holds

KERNEL(depthwise, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    int i = block_id() * THREADS + thread_id(), across = (p->out_width + PX - 1) / PX;
    int q = fast_div(i, p->by_chunks), c = (i - q * (p->out_channels >> 3)) * 8;
    int row = fast_div(q, p->by_out_width), x0 = (q - row * across) * PX;
    int n = fast_div(row, p->by_out_height), y0 = row - n * p->out_height;
    bool inside = row * p->out_width + x0 < p->pixels;
    eight w[HELD * K];
    float acc[PX][8];
    UNROLL for (int k = 0; k < (HELD == K ? K * K : 0); k++) {
        eight zero = {{{0, 0, 0, 0}}};
        w[k] = inside ? load_eight_const((const cell *)p->weights + k * p->out_channels + c) : zero;
    }
    UNROLL for (int e = 0; e < 8; e++) {
        float bias = inside ? load_float_const((const float *)p->bias + c + e) : 0.f;
        UNROLL for (int o = 0; o < PX; o++) acc[o][e] = bias;
    }
    wait_for_predecessor();
    if (!inside) return;
    UNROLL for (int r = 0; r < K; r++) {
        int y = y0 * STRIDE - p->pad_top + r;
        if (y < 0 || y >= p->height) continue;
        UNROLL for (int k = 0; k < (HELD == K ? 0 : K); k++) w[k] =
            load_eight_const((const cell *)p->weights + (r * K + k) * p->out_channels + c);
        eight v[SPAN];
        UNROLL for (int s = 0; s < SPAN; s++) {
            int x = x0 * STRIDE - p->pad_left + s;
            eight zero = {{{0, 0, 0, 0}}};
            v[s] =
                x >= 0 && x < p->width
                    ? load_eight((const cell *)p->in + ((size_t)(n * p->height + y) * p->width + x) * p->in_pitch + c)
                    : zero;
        }
        UNROLL for (int e = 0; e < 8; e++) {
            UNROLL for (int s = 0; s < SPAN; s++) {
                float a = part_of(v[s], e);
                UNROLL for (int o = 0; o < PX; o++) {
                    int k = s - o * STRIDE;
                    if (k >= 0 && k < K) acc[o][e] += a * part_of(w[(HELD == K ? r * K : 0) + k], e);
                }
            }
        }
    }
    UNROLL for (int o = 0; o < PX; o++) if (x0 + o < p->out_width)
        store_pixel(p, acc[o], (size_t)row * p->out_width + x0 + o, c);
}
#endif
