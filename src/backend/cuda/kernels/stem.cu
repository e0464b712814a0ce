// The first convolution of a network: over a picture of up to 4 channels in float32 planes, on tensor cores. The depth is rows of
// taps, each of WIDTH pixels (4 at a time, one a lane) of 4 channels: weights are [out_channels rounded up to 16][HEIGHT][WIDTH]
// [4]. Kernels may be smaller than HEIGHT x WIDTH; CHANNELS is 3, or 4 for any number up to that.
#include "args.h"
#include "ptx.cuh"

enum { THREADS = 128, NT = 2, COLUMNS = 16, WM = 4, WN = 1, WK = 1, STEPS = HEIGHT * WIDTH / 4 };
#include "tile.cuh"

// The taps of lane `t` under output pixel m: pixel[step][half].
DEV void gather(const sw_cuda_conv *p, int m, int t, int half, u32 (*pixel)[2][2]) {
    int q = fast_div(m, p->by_out_width), x = (m - q * p->out_width) * p->stride_w - p->pad_left + t;
    int n = fast_div(q, p->by_out_height), y = (q - n * p->out_height) * p->stride_h - p->pad_top;
    bool inside = m < p->pixels;
    const float *row = (const float *)p->in + (size_t)n * p->in_channels * p->in_plane + (long long)y * p->width + x;
    UNROLL for (int r = 0; r < HEIGHT; r++) {
        bool row_good = inside && r < p->kernel_h && y + r >= 0 && y + r < p->height;
        UNROLL for (int w = 0; w < WIDTH / 4; w++) {
            bool good = row_good && 4 * w + t < p->kernel_w && x + 4 * w >= 0 && x + 4 * w < p->width;
            float v[4] = {0, 0, 0, 0};
            UNROLL for (int c = 0; c < CHANNELS; c++) if (good && (CHANNELS == 3 || c < p->in_channels)) v[c] =
                load_float_const(row + c * p->in_plane + 4 * w);
            pixel[r * (WIDTH / 4) + w][half][0] = pack(v[0], v[1]);
            pixel[r * (WIDTH / 4) + w][half][1] = pack(v[2], v[3]);
        }
        row += p->width;
    }
}

KERNEL(stem, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    int lane = thread_id() & 31, warp = thread_id() >> 5, g = lane >> 2, t = lane & 3, n0 = block_row() * COLUMNS;
    u32 weights[STEPS][NT][2];
    UNROLL for (int r = 0; r < STEPS; r++) {
        UNROLL for (int j = 0; j < NT; j++) {
            const f16 *w = (const f16 *)p->weights + (n0 + channel_of_row(j * 8 + g)) * STEPS * 16 + r * 16 + t * 4;
            weights[r][j][0] = load4(w), weights[r][j][1] = load4(w + 2);
        }
    }
    wait_for_predecessor();
    for (int round = 0; round < p->rounds; round++) {
        int row0 = ((block_id() * p->rounds + round) * (THREADS / 32) + warp) * MT * 16;
        if (row0 >= p->pixels) return;
        float acc[MT * NT * 4];
        UNROLL for (int i = 0; i < MT * NT * 4; i++) acc[i] = 0;
        UNROLL for (int i = 0; i < MT; i++) {
            u32 pixel[STEPS][2][2];
            UNROLL for (int h = 0; h < 2; h++) gather(p, row0 + i * 16 + h * 8 + g, t, h, pixel);
            UNROLL for (int r = 0; r < STEPS; r++) {
                u32 a[4] = {pixel[r][0][0], pixel[r][1][0], pixel[r][0][1], pixel[r][1][1]};
                UNROLL for (int j = 0; j < NT; j++) multiply(acc + (i * NT + j) * 4, a, weights[r][j]);
            }
        }
        int pixel[MT * 2];
        pixels_from(row0 + g, pixel);
        finish(p, acc, pixel, n0 + t * 2 * NT);
    }
}
