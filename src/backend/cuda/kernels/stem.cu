// The first convolution of a network: over a picture of up to 4 channels in float32 planes, on tensor cores. The depth is rows of
// taps, each of WIDTH pixels (4 at a time, one a lane) of 4 channels: weights are [out_channels rounded up to 16][HEIGHT][WIDTH]
// [4]. Kernels may be smaller than HEIGHT x WIDTH.
#include "args.h"
#include "ptx.cuh"

enum { THREADS = 128, NT = 2, COLUMNS = 16, WM = 4, WN = 1, WK = 1, STEPS = HEIGHT * WIDTH / 4 };
#include "tile.cuh"

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
    launch_dependents();
    wait_for_predecessor();
    int row0 = (block_id() * (THREADS / 32) + warp) * MT * 16;
    u32 pixel[MT][STEPS][2][2];
    UNROLL for (int i = 0; i < MT * 2; i++) {
        int m = row0 + (i >> 1) * 16 + (i & 1) * 8 + g;
        int q = fast_div(m, p->by_out_width), x = (m - q * p->out_width) * p->stride_w - p->pad_left + t;
        int n = fast_div(q, p->by_out_height), top = (q - n * p->out_height) * p->stride_h - p->pad_top;
        const float *in = (const float *)p->in + (size_t)n * p->in_channels * p->in_plane + x;
        UNROLL for (int r = 0; r < STEPS; r++) {
            int y = top + r / (WIDTH / 4), right = r % (WIDTH / 4) * 4;
            bool good = m < p->pixels && r / (WIDTH / 4) < p->kernel_h && right + t < p->kernel_w && y >= 0 &&
                        y < p->height && x + right >= 0 && x + right < p->width;
            float v[4];
            UNROLL for (int c = 0; c < 4; c++) v[c] =
                good && c < p->in_channels ? load_float_const(in + c * p->in_plane + y * p->width + right) : 0.f;
            pixel[i >> 1][r][i & 1][0] = pack(v[0], v[1]);
            pixel[i >> 1][r][i & 1][1] = pack(v[2], v[3]);
        }
    }
    float acc[MT * NT * 4];
    UNROLL for (int i = 0; i < MT * NT * 4; i++) acc[i] = 0;
    UNROLL for (int i = 0; i < MT; i++) {
        UNROLL for (int r = 0; r < STEPS; r++) {
            u32 a[4] = {pixel[i][r][0][0], pixel[i][r][1][0], pixel[i][r][0][1], pixel[i][r][1][1]};
            UNROLL for (int j = 0; j < NT; j++) multiply(acc + (i * NT + j) * 4, a, weights[r][j]);
        }
    }
    finish(p, acc, row0 + g, n0 + t * 2 * NT);
}
