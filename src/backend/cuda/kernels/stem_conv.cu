// The first two convolutions of a network in one kernel: the first (up to 3 x 3 taps, stride 2, over float32 planes of 3
// channels, to 16) makes the patch that the second (3 x 3, stride 2) works on, so that the largest map of the network never
// leaves the SM. A block takes every `step`-th tile; the part of the picture under the next one is on its way to registers
// meanwhile. It becomes pixels of 4 halves in shared memory, of which 4 in a row are the depth of 16 of a product: rows are a
// multiple of 4 floats, and begin at one, so that a window begins at its first pixel or one to three before (`shift`; the
// weights there are zeros). Pixels of the patch beside the map between both are zeros.
#include "args.h"
#include "ptx.cuh"
#include "wgmma.cuh"

#include "patch.cuh"

enum {
    ROWS = 3,
    PICTURE_H = 2 * (PATCH_H - 1) + ROWS,
    QUADS = (2 * (PATCH_W - 1) + 4) / 4, // of a row of the picture
    ITEMS = PICTURE_H * QUADS,
    LOADS = (ITEMS + THREADS - 1) / THREADS,
    ROUNDS = (PATCH + THREADS / 2 - 1) / (THREADS / 2), // 16 pixels of the patch at a time for each warp
};

typedef struct quad {
    vec4 channel[3];
} quad;

DEV int shift_of(const sw_cuda_conv *s, const sw_cuda_conv *p) {
    return (-2 * p->pad_left - s->pad_left) & 3;
}

DEV void load_picture(const sw_cuda_conv *s, const sw_cuda_conv *p, int tile, quad *quads) {
    place at = place_of(p, tile);
    int top = (at.y * STRIDE - p->pad_top) * 2 - s->pad_top, left = (at.x * STRIDE - p->pad_left) * 2 - s->pad_left;
    const float *picture = (const float *)s->in + (size_t)at.n * 3 * s->in_plane;
    UNROLL for (int i = 0; i < LOADS; i++) {
        int item = i * THREADS + thread_id(), row = item / QUADS, y = top + row, x = (left & ~3) + (item - row * QUADS) * 4;
        bool good = item < ITEMS && y >= 0 && y < s->height && x >= 0 && x < s->width;
        const float *from = picture + (good ? (long long)y * s->width + x : 0);
        UNROLL for (int c = 0; c < 3; c++) {
            vec4 zero = {0, 0, 0, 0};
            quads[i].channel[c] = zero;
            if (good) quads[i].channel[c] = load16_const(from + c * s->in_plane);
        }
    }
}

DEV void store_picture(const quad *quads, u32 picture) {
    UNROLL for (int i = 0; i < LOADS; i++) {
        int item = i * THREADS + thread_id();
        vec4 a = quads[i].channel[0], b = quads[i].channel[1], c = quads[i].channel[2];
        vec4 first = {pack(as_float(a.x), as_float(b.x)), pack(as_float(c.x), 0.f), pack(as_float(a.y), as_float(b.y)),
                      pack(as_float(c.y), 0.f)};
        vec4 second = {pack(as_float(a.z), as_float(b.z)), pack(as_float(c.z), 0.f), pack(as_float(a.w), as_float(b.w)),
                       pack(as_float(c.w), 0.f)};
        if (item < ITEMS) shared_store16(picture + item * 32, first), shared_store16(picture + item * 32 + 16, second);
    }
}

// Of two output channels the weights of pixels t / 2 and 2 more of a window, two channels each.
DEV void load_stem_weights(const sw_cuda_conv *s, int shift, u32 (*weights)[2][2]) {
    int lane = thread_id() & 31, g = lane >> 2, t = lane & 3;
    UNROLL for (int r = 0; r < ROWS; r++) {
        UNROLL for (int j = 0; j < 2; j++) {
            UNROLL for (int h = 0; h < 2; h++) {
                int tap = (t >> 1) + 2 * h - shift;
                weights[r][j][h] = tap < 0 ? 0 : load4((const f16 *)s->weights + ((j * 8 + g) * 12 + r * 4 + tap) * 4 + (t & 1) * 2);
            }
        }
    }
}

DEV void activate_stem(const sw_cuda_conv *s, float *acc) {
    switch (s->act) {
    case CUDA_ACT_SILU:
        UNROLL for (int e = 0; e < 8; e++) acc[e] = silu(acc[e]);
        break;
    default:
        UNROLL for (int e = 0; e < 8; e++) acc[e] = activate(s->act, s->act_a, s->act_b, acc[e]);
    }
}

// Zeros where the patch lies beside the map.
DEV void clear_outside(const sw_cuda_conv *s, int top, int left, int pixel, float *acc) {
    UNROLL for (int h = 0; h < 2; h++) {
        int i = pixel + h * 8, row = i / PATCH_W, y = top + row, x = left + i - row * PATCH_W;
        if (y >= 0 && y < s->out_height && x >= 0 && x < s->out_width) continue;
        acc[h * 2] = acc[h * 2 + 1] = acc[4 + h * 2] = acc[5 + h * 2] = 0;
    }
}

DEV void make_patch(const sw_cuda_conv *s, const sw_cuda_conv *p, u32 picture, u32 patch, int tile, u32 (*weights)[2][2],
                    const float *bias) {
    int warp = thread_id() >> 5, lane = thread_id() & 31;
    place at = place_of(p, tile);
    int top = at.y * STRIDE - p->pad_top, left = at.x * STRIDE - p->pad_left;
    bool inside = top >= 0 && left >= 0 && top + PATCH_H <= s->out_height && left + PATCH_W <= s->out_width;
    UNROLL for (int round = 0; round < ROUNDS; round++) {
        int group = (round * (THREADS / 32) + warp) * 16;
        if (group >= PATCH) break;
        int pixel = group + (lane & 15), half = lane >> 4; // whose address this lane gives
        int row = pixel / PATCH_W, column = pixel - row * PATCH_W, slot = pixel < PATCH ? slot_of(row, column) : pixel;
        u32 from = picture + (pixel < PATCH ? row * 2 * QUADS * 32 + column * 16 : 0) + half * 16;
        float acc[8];
        UNROLL for (int e = 0; e < 8; e++) acc[e] = bias[(e >> 2) * 2 + (e & 1)];
        UNROLL for (int r = 0; r < ROWS; r++) {
            u32 a[4];
            load_matrix4(a, from + r * QUADS * 32);
            multiply(acc, a, weights[r][0]);
            multiply(acc + 4, a, weights[r][1]);
        }
        activate_stem(s, acc);
        if (!inside) clear_outside(s, top, left, group + (lane >> 2), acc);
        u32 out[4] = {pack(acc[0], acc[1]), pack(acc[2], acc[3]), pack(acc[4], acc[5]), pack(acc[6], acc[7])};
        store_matrix4(patch + (slot * 2 + (half ^ swizzle(slot, 2))) * 16, out);
    }
}

KERNEL(stem_conv, sw_cuda_stem_conv) {
    const sw_cuda_conv *s = &ARGS->stem, *p = &ARGS->conv;
    int lane = thread_id() & 31, t = lane & 3;
    int tile = fast_div(block_id(), p->by_column_tiles), n0 = (block_id() - tile * p->column_tiles) * BN;
    u32 second = shared_base(), patch = second + (p->depth + 7) / 8 * BN * 128, picture = patch + p->plane * 16;
    u32 weights[ROWS][2][2];
    float bias[4];
    load_weights(p, second, n0);
    copy_commit();
    load_stem_weights(s, shift_of(s, p), weights);
    UNROLL for (int e = 0; e < 4; e++) bias[e] = load_float_const((const float *)s->bias + (e >> 1) * 8 + t * 2 + (e & 1));
    launch_dependents();
    wait_for_predecessor();
    quad quads[LOADS];
    load_picture(s, p, tile, quads);
    copy_wait(0);
    while (tile < p->tiles) {
        float acc[NT * 4];
        int pixel[2], next = tile + p->step;
        store_picture(quads, picture);
        barrier();
        if (next < p->tiles) load_picture(s, p, next, quads);
        make_patch(s, p, picture, patch, tile, weights, bias);
        async_proxy_fence();
        barrier();
        start_products(p, acc, second, patch);
        find_pixels(p, tile, pixel);
        warpgroup_wait(0);
        finish(p, acc, pixel, n0 + t * 2 * NT);
        tile = next;
    }
}
