// The first two convolutions of a network in one kernel: the first (3 x 3 over float32 planes of 3 channels, to 16) makes the
// patch that the second (3 x 3, stride 2) works on, so that the largest map of the network never leaves the SM. As stem.cu and
// patch.cu; pixels of the patch beside the map between them are zeros.
#include "args.h"
#include "ptx.cuh"
#include "wgmma.cuh"

#include "patch.cuh"

enum { ROWS = 3, ROUNDS = (PATCH + 15) / 16 };

// What a lane needs of one output pixel of the first convolution: of each row of taps tap `t`, three channels.
DEV void gather(const sw_cuda_conv *s, int n, int y, int x, int t, int half, u32 (*pixel)[2][2]) {
    int top = y * s->stride_h - s->pad_top, left = x * s->stride_w - s->pad_left + t;
    bool inside = y >= 0 && y < s->out_height && x >= 0 && x < s->out_width;
    bool column = inside && t < s->kernel_w && left >= 0 && left < s->width;
    const float *row = (const float *)s->in + (size_t)n * 3 * s->in_plane + (long long)top * s->width + left;
    UNROLL for (int r = 0; r < ROWS; r++) {
        bool good = column && r < s->kernel_h && top + r >= 0 && top + r < s->height;
        float v[3] = {0, 0, 0};
        UNROLL for (int c = 0; c < 3; c++) if (good) v[c] = load_float_const(row + c * s->in_plane);
        pixel[r][half][0] = pack(v[0], v[1]), pixel[r][half][1] = pack(v[2], 0.f);
        row += s->width;
    }
}

DEV float first_activation(const sw_cuda_conv *s, float x) {
    return s->act == CUDA_ACT_SILU ? x * sigmoid(x) : activate(s->act, s->act_a, s->act_b, x);
}

// Sixteen pixels of the patch at a time for each warp; a lane gets four channels of two of them.
DEV void make_patch(const sw_cuda_conv *s, const sw_cuda_conv *p, u32 patch, int tile, u32 (*weights)[2][2],
                    const float *bias) {
    int warp = thread_id() >> 5, lane = thread_id() & 31, g = lane >> 2, t = lane & 3;
    place at = place_of(p, tile);
    int top = at.y * STRIDE - p->pad_top, left = at.x * STRIDE - p->pad_left;
    for (int round = warp; round < ROUNDS; round += THREADS / 32) {
        u32 pixel[ROWS][2][2];
        float acc[2][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
        UNROLL for (int h = 0; h < 2; h++) {
            int i = round * 16 + h * 8 + g, row = i / PATCH_W;
            gather(s, at.n, top + row, left + i - row * PATCH_W, t, h, pixel);
        }
        UNROLL for (int r = 0; r < ROWS; r++) {
            u32 a[4] = {pixel[r][0][0], pixel[r][1][0], pixel[r][0][1], pixel[r][1][1]};
            multiply(acc[0], a, weights[r][0]);
            multiply(acc[1], a, weights[r][1]);
        }
        UNROLL for (int h = 0; h < 2; h++) {
            int i = round * 16 + h * 8 + g, row = i / PATCH_W, column = i - row * PATCH_W;
            int y = top + row, x = left + column, slot = slot_of(row, column);
            if (i >= PATCH) continue;
            float v[4];
            UNROLL for (int e = 0; e < 4; e++) {
                v[e] = first_activation(s, acc[e >> 1][h * 2 + (e & 1)] + bias[e]);
                if (y < 0 || y >= s->out_height || x < 0 || x >= s->out_width) v[e] = 0;
            }
            u32 to = patch + (slot * 2 + ((t >> 1) ^ swizzle(slot, 2))) * 16 + (t & 1) * 8;
            shared_store4(to, pack(v[0], v[1])), shared_store4(to + 4, pack(v[2], v[3]));
        }
    }
}

KERNEL(stem_conv, sw_cuda_stem_conv) {
    const sw_cuda_conv *s = &ARGS->stem, *p = &ARGS->conv;
    int lane = thread_id() & 31, g = lane >> 2, t = lane & 3;
    int tile = fast_div(block_id(), p->by_column_tiles), n0 = (block_id() - tile * p->column_tiles) * BN;
    u32 second = shared_base(), patch = second + (p->depth + 7) / 8 * BN * 128;
    u32 weights[ROWS][2][2];
    float bias[4];
    load_weights(p, second, n0);
    copy_commit();
    UNROLL for (int r = 0; r < ROWS; r++) {
        UNROLL for (int j = 0; j < 2; j++) { // column g of both tiles: a lane gets channels 4t to 4t + 3
            const f16 *w = (const f16 *)s->weights + ((g >> 1) * 4 + j * 2 + (g & 1)) * 48 + r * 16 + t * 4;
            weights[r][j][0] = load4(w), weights[r][j][1] = load4(w + 2);
        }
    }
    UNROLL for (int e = 0; e < 4; e++) bias[e] = load_float_const((const float *)s->bias + t * 4 + e);
    launch_dependents();
    wait_for_predecessor();
    copy_wait(0);
    for (; tile < p->tiles; tile += p->step) {
        float acc[NT * 4];
        int pixel[2];
        make_patch(s, p, patch, tile, weights, bias);
        async_proxy_fence();
        barrier();
        start_products(p, acc, second, patch);
        find_pixels(p, tile, pixel);
        warpgroup_wait(0);
        finish(p, acc, pixel, n0 + t * 2 * NT);
        barrier();
    }
}
