// Convolution with wgmma whose operands stay in shared memory: the weights of BN output channels as long as the block lives, and
// for each tile of BM output pixels the patch of the map under it, loaded once for all KS x KS taps. A block takes every
// `step`-th tile; the patch of the next one is under way meanwhile.
//
// A tile is BM / 8 rows of 8 pixels; with KS 1 it is BM pixels in a row. A patch lies in planes of 8 channels: 16 bytes a pixel,
// so that the 8 pixels of a row of the tile are 128 bytes in a row under every tap: what wgmma takes without swizzle. With
// STRIDE 2 the even columns of a patch row come before the odd ones. `plane` (pixels from plane to plane) lets the chunks of a
// pixel fall into different banks. With PAIRS the map has 8 channels, and two taps make the depth of 16 of a product.
#include "args.h"
#include "ptx.cuh"
#include "wgmma.cuh"

enum {
    THREADS = 2 * BM,
    TAPS = KS * KS,
    TH = BM / 8,
    PATCH_W = STRIDE * 7 + KS,
    PATCH_H = STRIDE * (TH - 1) + KS,
    PATCH = KS == 1 ? BM : PATCH_W * PATCH_H, // pixels
    EVEN = (PATCH_W + 1) / 2,
    DOWN = KS == 1 ? 8 : STRIDE * PATCH_W, // pixels from 8 rows of a product to the next
    MT = 1,
    NT = BN / 8,
    WM = BM / 16,
    WN = 1,
    WK = 1,
};
#include "tile.cuh"

typedef struct place {
    int n, y, x; // the picture, and the first output pixel
} place;

DEV place place_of(const sw_cuda_conv *p, int tile) {
    int q = fast_div(tile, p->by_tiles_across), n = fast_div(q, p->by_tiles_down);
    place at = {n, (q - n * p->tiles_down) * TH, (tile - q * p->tiles_across) * 8};
    return at;
}

// Where a pixel of the patch, or a tap of its first output pixel, lies in a plane.
DEV int slot_of(int row, int column) {
    return row * PATCH_W + (STRIDE == 2 ? (column & 1) * EVEN + (column >> 1) : column);
}

DEV void load_weights(const sw_cuda_conv *p, u32 shared, int n0) {
    for (int i = thread_id(); i < BN * p->depth; i += THREADS) {
        int row = fast_div(i, p->by_depth), k = i - row * p->depth, n = n0 + channel_of_row(row);
#ifdef PAIRS
        int tap = k, c = 0;
#else
        int tap = k / 2 % TAPS, c = (k / (2 * TAPS) * 2 + k % 2) * 8; // in the order of the products
#endif
        bool good = n < p->out_channels && tap < TAPS && c < p->in_channels;
        size_t from = good ? ((size_t)n * TAPS + tap) * p->in_channels + c : 0;
        copy16(shared + (k * BN + row) * 16, (const f16 *)p->weights + from, good);
    }
}

DEV void load_patch(const sw_cuda_conv *p, u32 shared, int tile) {
    place at = place_of(p, tile);
    int top = at.y * STRIDE - p->pad_top, left = at.x * STRIDE - p->pad_left, corner = at.n * p->height * p->width;
    int pixel = fast_div(thread_id(), p->by_chunks), c = thread_id() - pixel * p->chunks;
    int pixels = fast_div(THREADS, p->by_chunks), rest = THREADS - pixels * p->chunks;
    while (pixel < PATCH) {
        bool good = c * 8 < p->in_channels;
        int from = tile * BM + pixel, slot = pixel;
        if (KS == 1) {
            good = good && from < p->pixels;
        } else {
            int row = pixel / PATCH_W, column = pixel - row * PATCH_W, y = top + row, x = left + column;
            good = good && y >= 0 && y < p->height && x >= 0 && x < p->width;
            from = corner + y * p->width + x;
            slot = slot_of(row, column);
        }
        copy16(shared + (c * p->plane + slot) * 16, (const f16 *)p->in + (good ? from * p->in_pitch + c * 8 : 0), good);
        pixel += pixels, c += rest;
        if (c >= p->chunks) c -= p->chunks, pixel++;
    }
}

// An operand from `at` on: `across` and `down` are what its two halves of the depth, and its rows 0 and 8 are apart, in 16 bytes.
DEV u64 describe(u32 at, int across, int down) {
    return (u64)down << 32 | (u64)across << 16 | at >> 4;
}

DEV void start_products(const sw_cuda_conv *p, float *acc, u32 weights, u32 patch) {
    UNROLL for (int i = 0; i < NT * 4; i++) acc[i] = 0;
    patch = uniform(patch + (thread_id() >> 7) * 8 * DOWN * 16);
#ifdef PAIRS
    warpgroup_fence();
    UNROLL for (int tap = 0; tap < TAPS; tap += 2) {
        int other = tap + 1 < TAPS ? tap + 1 : tap; // of the last pair: any, its weights are zeros
        int first = slot_of(tap / KS, tap % KS), second = slot_of(other / KS, other % KS);
        warpgroup_multiply(acc, describe(patch + first * 16, second - first, DOWN), describe(weights, BN, 8));
        weights += 2 * BN * 16;
    }
    warpgroup_commit();
#else
    u64 a = describe(patch, p->plane, DOWN), b = describe(weights, BN, 8);
    for (int c = 0; c < p->chunks; c += 2) {
        warpgroup_fence();
        UNROLL for (int tap = 0; tap < TAPS; tap++)
            warpgroup_multiply(acc, a + slot_of(tap / KS, tap % KS), b + tap * 2 * BN);
        warpgroup_commit();
        a += 2 * p->plane;
        b += TAPS * 2 * BN;
    }
#endif
}

DEV void find_pixels(const sw_cuda_conv *p, int tile, int *pixel) {
    int warp = thread_id() >> 5, g = (thread_id() & 31) >> 2;
    if (KS == 1) {
        pixels_from(tile * BM + warp * 16 + g, pixel);
        return;
    }
    place at = place_of(p, tile);
    UNROLL for (int h = 0; h < 2; h++) {
        int y = at.y + warp * 2 + h, x = at.x + g;
        bool inside = y < p->out_height && x < p->out_width;
        pixel[h] = inside ? (at.n * p->out_height + y) * p->out_width + x : p->pixels;
    }
}

KERNEL(conv, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    int tile = fast_div(block_id(), p->by_column_tiles), n0 = (block_id() - tile * p->column_tiles) * BN;
    u32 weights = shared_base(), patch = weights + BN * p->depth * 16, other = patch + p->chunks * p->plane * 16;
    load_weights(p, weights, n0);
    launch_dependents();
    wait_for_predecessor();
    load_patch(p, patch, tile);
    copy_commit();
    for (; tile < p->tiles; tile += p->step) {
        float acc[NT * 4];
        int pixel[2];
        copy_wait(0); // and nothing else is under way: the fence would wait for it
        async_proxy_fence();
        barrier();
        start_products(p, acc, weights, patch);
        if (tile + p->step < p->tiles) load_patch(p, other, tile + p->step);
        copy_commit();
        find_pixels(p, tile, pixel);
        warpgroup_wait(0);
        finish(p, acc, pixel, n0 + (thread_id() & 3) * 2 * NT);
        u32 next = other;
        other = patch, patch = next;
    }
    copy_wait(0);
}
