// The first convolution of a network: over a picture of up to 4 channels in float32 planes, on tensor cores. The depth is rows of
// taps, each of WIDTH pixels (4 at a time, one a lane) of 4 channels: weights are [out_channels rounded up to 16][HEIGHT][WIDTH]
// [4]. Kernels may be smaller than HEIGHT x WIDTH; CHANNELS is 3, or 4 for any number up to that.
#include "args.h"
#include "ptx.cuh"

enum {
    THREADS = 128,
    NT = 2,
    COLUMNS = 16,
    WM = 4,
    WN = 1,
    WK = 1,
    STEPS = HEIGHT * WIDTH / 4,
    WORDS_OF_TAP = 16 / CHUNK,
    HOLDS = STEPS * WORDS_OF_TAP <= 28, // weights, and all rows at a time: else there are too few registers
    ROWS = HOLDS ? HEIGHT : 1,          // of taps at a time
    TAPS = ROWS * (WIDTH / 4),          // steps of these
};
#include "tile.cuh"

// The taps of lane `t` under output pixel m, ROWS of them: pixel[step][half].
DEV void gather(const sw_cuda_conv *p, int m, int t, int first, int half, u32 (*pixel)[2][WORDS_OF_TAP]) {
    int q = fast_div(m, p->by_out_width), x = (m - q * p->out_width) * p->stride_w - p->pad_left + t;
    int n = fast_div(q, p->by_out_height), y = (q - n * p->out_height) * p->stride_h - p->pad_top;
    bool inside = m < p->pixels;
    const float *row =
        (const float *)p->in + (size_t)n * p->in_channels * p->in_plane + (long long)(y + first) * p->width + x;
    UNROLL for (int r = 0; r < ROWS; r++) {
        int at = y + first + r;
        bool row_good = inside && first + r < p->kernel_h && at >= 0 && at < p->height;
        UNROLL for (int w = 0; w < WIDTH / 4; w++) {
            bool good = row_good && 4 * w + t < p->kernel_w && x + 4 * w >= 0 && x + 4 * w < p->width;
            float v[4] = {0, 0, 0, 0};
            UNROLL for (int c = 0; c < CHANNELS; c++) if (good && (CHANNELS == 3 || c < p->in_channels)) v[c] =
                load_float_const(row + c * p->in_plane + 4 * w);
            u32 *to = pixel[r * (WIDTH / 4) + w][half];
#ifdef FLOATS
            UNROLL for (int c = 0; c < 4; c++) to[c] = rounded(v[c]);
#else
            to[0] = pack(v[0], v[1]), to[1] = pack(v[2], v[3]);
#endif
        }
        row += p->width;
    }
}

DEV void load_weights(const sw_cuda_conv *p, int n0, int g, int t, int first, u32 (*weights)[NT][WORDS_OF_TAP]) {
    UNROLL for (int r = 0; r < TAPS; r++) {
        UNROLL for (int j = 0; j < NT; j++) {
            const cell *w = (const cell *)p->weights + (n0 + channel_of_row(j * 8 + g)) * STEPS * 16 +
                            (first * (WIDTH / 4) + r) * 16 + t * 4;
            UNROLL for (int i = 0; i < WORDS_OF_TAP; i++) weights[r][j][i] = load4((const u32 *)w + i);
        }
    }
}

DEV void multiply_taps(float *acc, u32 (*pixel)[2][WORDS_OF_TAP], u32 (*weights)[NT][WORDS_OF_TAP]) {
    UNROLL for (int r = 0; r < TAPS; r++) {
        UNROLL for (int k = 0; k < WORDS_OF_TAP; k += 2) {
            u32 a[4] = {pixel[r][0][k], pixel[r][1][k], pixel[r][0][k + 1], pixel[r][1][k + 1]};
            UNROLL for (int j = 0; j < NT; j++) multiply(acc + j * 4, a, weights[r][j] + k);
        }
    }
}

KERNEL(stem, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    int lane = thread_id() & 31, warp = thread_id() >> 5, g = lane >> 2, t = lane & 3, n0 = block_row() * COLUMNS;
    u32 weights[TAPS][NT][WORDS_OF_TAP];
    if (HOLDS) load_weights(p, n0, g, t, 0, weights);
    wait_for_predecessor();
    for (int round = 0; round < p->rounds; round++) {
        int row0 = ((block_id() * p->rounds + round) * (THREADS / 32) + warp) * MT * 16;
        if (row0 >= p->pixels) return;
        float acc[MT * NT * 4];
        start_sums(p, acc, n0 + t * GROUP, true);
        UNROLL for (int i = 0; i < MT; i++) {
            ROLLED for (int first = 0; first < HEIGHT; first += ROWS) {
                u32 pixel[TAPS][2][WORDS_OF_TAP];
                UNROLL for (int h = 0; h < 2; h++) gather(p, row0 + i * 16 + h * 8 + g, t, first, h, pixel);
                if (!HOLDS) load_weights(p, n0, g, t, first, weights);
                multiply_taps(acc + i * NT * 4, pixel, weights);
            }
        }
        int pixel[MT * 2];
        pixels_from(row0 + g, pixel);
        u32 more[MORE];
        load_residual(p, more, pixel, n0 + t * GROUP);
        finish(p, acc, pixel, n0 + t * GROUP, more);
    }
}
