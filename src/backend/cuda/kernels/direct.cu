// Convolution on tensor cores without shared memory: operands come from L2 straight into registers, 16 bytes a lane. The depth is
// permuted alike on both sides: of each 32, lane t of four has 8 in a row. For few channels and small maps, where the latency
// of stages costs more than reading weights several times. Blocks of the depth are dealt out to WK warps, BLOCKS at a time.
#include "args.h"
#include "ptx.cuh"

enum {
    THREADS = 32 * WM * WN * WK,
    BLOCKS = BK / 32,
    DEPTH = 4 * CHUNK, // of a block
    MT = BM / WM / 16,
    NT = BN / WN / 8,
};
#include "tile.cuh"

KERNEL(conv, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    int thread = thread_id(), lane = thread & 31, warp = thread >> 5, g = lane >> 2, t = lane & 3;
    int wk = warp / (WM * WN), tile = warp % (WM * WN), wm = tile / WN, wn = tile % WN;
    int block_m = fast_div(block_id(), p->by_column_tiles), block_n = block_id() - block_m * p->column_tiles;
    int m0 = block_m * BM + wm * MT * 16, n0 = block_n * BN, depth = p->kernel_h * p->kernel_w * p->in_channels;
    const vec4 zero = {0, 0, 0, 0};
    const cell *weights[NT];
    UNROLL for (int j = 0; j < NT; j++) {
        int n = n0 + channel_of_row(wn * NT * 8 + j * 8 + g);
        weights[j] = n < p->out_channels ? (const cell *)p->weights + (size_t)n * depth : NULL;
    }
    int offset[MT * 2];
    u32 mask[MT * 2];
    UNROLL for (int i = 0; i < MT * 2; i++) find_window(p, m0 + (i >> 1) * 16 + (i & 1) * 8 + g, &offset[i], &mask[i]);
    float acc[MT * NT * 4];
    int channel = n0 + wn * NT * 8 + t * GROUP;
    start_sums(p, acc, channel, wk == 0);
    bool first = true;
    for (int k0 = wk * DEPTH; k0 < depth; k0 += WK * BLOCKS * DEPTH) {
        vec4 a[BLOCKS][MT * 2], b[BLOCKS][NT];
        UNROLL for (int u = 0; u < BLOCKS; u++) {
            int k = k0 + u * WK * DEPTH + t * CHUNK;
            UNROLL for (int j = 0; j < NT; j++) b[u][j] = k < depth && weights[j] ? load16_const(weights[j] + k) : zero;
        }
        if (first) wait_for_predecessor();
        first = false;
        UNROLL for (int u = 0; u < BLOCKS; u++) {
            int k = k0 + u * WK * DEPTH + t * CHUNK, tap = fast_div(k, p->by_in_channels), c = k - tap * p->in_channels;
            int tap_y = fast_div(tap, p->by_kernel_w), tap_x = tap - tap_y * p->kernel_w;
            int tap_at = (tap_y * p->dilation_h * p->width + tap_x * p->dilation_w) * p->in_pitch + c;
            UNROLL for (int i = 0; i < MT * 2; i++) {
                bool good = k < depth && (mask[i] >> (tap & 31) & 1);
                a[u][i] = good ? load16((const cell *)p->in + offset[i] + tap_at) : zero;
            }
        }
        UNROLL for (int u = 0; u < BLOCKS; u++) {
            UNROLL for (int i = 0; i < MT; i++) {
                vec4 low = a[u][2 * i], high = a[u][2 * i + 1];
                u32 a0[4] = {low.x, high.x, low.y, high.y}, a1[4] = {low.z, high.z, low.w, high.w};
                UNROLL for (int j = 0; j < NT; j++) {
                    u32 b0[2] = {b[u][j].x, b[u][j].y}, b1[2] = {b[u][j].z, b[u][j].w};
                    multiply(acc + (i * NT + j) * 4, a0, b0);
                    multiply(acc + (i * NT + j) * 4, a1, b1);
                }
            }
        }
    }
    if (first) wait_for_predecessor();
    int pixel[MT * 2];
    pixels_from(m0 + g, pixel);
    u32 more[MORE];
    if (!add_slices(acc, shared_base(), tile, wk, lane)) return;
    load_residual(p, more, pixel, channel);
    finish(p, acc, pixel, channel, more);
}
