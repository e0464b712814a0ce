// What convolutions over patches in shared memory have in common (patch.cu tells of them): where pixels lie, weights, products.
// The includer has args.h, ptx.cuh and wgmma.cuh.
#ifndef TEAMS
#define TEAMS 1
#endif
enum {
    TEAM = 2 * BM, // threads that share a tile
    THREADS = TEAM * TEAMS,
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

DEV int member_id(void) {
    return TEAMS == 1 ? thread_id() : thread_id() % TEAM;
}
DEV void team_barrier(int team) {
    if (TEAMS == 1)
        barrier();
    else
        barrier_of(team + 1, TEAM);
}

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

// Spreads the chunks of a row over all banks: the swizzle of wgmma.
DEV int swizzle(int slot, int row) {
    return slot * row / 8 & (row - 1);
}

// Rows of 64 of the depth, in blocks of BN: a chunk of the depth is (tap, chunk of channels).
DEV void load_weights(const sw_cuda_conv *p, u32 shared, int n0) {
    for (int i = thread_id(); i < BN * p->depth; i += THREADS) {
        int row = fast_div(i, p->by_depth), k = i - row * p->depth, n = n0 + channel_of_row(row);
        int tap = fast_div(k, p->by_chunks), c = (k - tap * p->chunks) * CHUNK;
        bool good = n < p->out_channels && tap < TAPS && c < p->in_channels;
        size_t from = good ? ((size_t)n * TAPS + tap) * p->in_channels + c : 0;
        int to = (k >> 3) * BN * 8 + row * 8 + ((k & 7) ^ swizzle(row, 8));
        copy16(shared + to * 16, (const cell *)p->weights + from, good);
    }
}

// An operand from `at` on: rows of `row` chunks, the ninth `down` chunks after the first. Rows of one chunk have no swizzle: their
// halves of the depth are `across` chunks apart.
DEV u64 describe(u32 at, int row, int across, int down) {
    u64 form = row == 8 ? 1 : row == 4 ? 2 : row == 2 ? 3 : 0;
    return form << 62 | (u64)down << 32 | (u64)across << 16 | at >> 4;
}

// Adds to what the sums are.
DEV void start_products(const sw_cuda_conv *p, float *acc, u32 weights, u32 patch) {
    patch = uniform(patch + (member_id() >> 7) * 8 * DOWN * p->row * 16);
    const u64 b = describe(weights, 8, 1, 64);
#ifdef PAIRS
    warpgroup_fence();
    UNROLL for (int tap = 0; tap < TAPS; tap += 2) {
        int other = tap + 1 < TAPS ? tap + 1 : tap; // of the last pair: any, its weights are zeros
        int first = slot_of(tap / KS, tap % KS), second = slot_of(other / KS, other % KS);
        warpgroup_multiply(acc, describe(patch + first * 16, 1, second - first, DOWN), b + (tap >> 3) * BN * 8 + (tap & 7));
    }
    warpgroup_commit();
#else
    const u64 a = describe(patch, p->row, 1, DOWN * p->row);
    for (int c = 0; c < p->chunks; c += 2) {
        int from = (c >> 3) * p->plane + (c & 7);
        warpgroup_fence();
        UNROLL for (int tap = 0; tap < TAPS; tap++) {
            int k = tap * p->chunks + c;
            warpgroup_multiply(acc, a + from + slot_of(tap / KS, tap % KS) * p->row, b + (k >> 3) * BN * 8 + (k & 7));
        }
        warpgroup_commit();
    }
#endif
}

DEV void find_pixels(const sw_cuda_conv *p, int tile, int *pixel) {
    int warp = member_id() >> 5, g = (thread_id() & 31) >> 2;
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
