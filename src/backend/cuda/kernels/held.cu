// Convolution of a small map, KS x KS of stride STRIDE: a block makes one tile of at most BM pixels and BN
// channels, all of whose depth lies in shared memory at once. The weights are there before the kernel before ends; then comes
// the patch of the map under the tile, so that the block waits for one round trip to L2 and not for one a stage. WK warps share
// the depth; all threads add up what these leave, two channels at a time.
//
// A tile is tile_width pixels wide (KS 1: pixels in a row). The depth is counted in chunks of 8 channels, taps outside, channels
// inside, two a product: p->depth of them in a row of weights, the last one zeros when their number is odd. In shared memory a row
// of weights, and a pixel, has an odd number of chunks, so that 8 in a row lie in different banks; with STRIDE 2 the even columns
// of the patch come before the odd ones.
#include "args.h"
#include "ptx.cuh"

enum {
    THREADS = 32 * WM * WN * WK,
    TAPS = KS * KS,
    MT = BM / WM / 16,
    NT = BN / WN / 8,
    PAIRS = (BM * BN / 2 + THREADS - 1) / THREADS, // of channels that a thread finishes
    FIRST = 8, // copies of a patch by a thread whose places are known before it waits
    UNROLLED = MT * NT <= 4 ? 4 : 2, // products whose operands are under way at a time
};
#include "tile.cuh"

DEV void load_weights(const sw_cuda_conv *p, u32 shared, int n0) {
    int row = fast_div(thread_id(), p->by_depth), k = thread_id() - row * p->depth;
    int rows = fast_div(THREADS, p->by_depth), rest = THREADS - rows * p->depth, real = TAPS * p->chunks;
    while (row < BN) {
        int n = n0 + channel_of_row(row);
        bool good = n < p->out_channels && k < real;
        copy16(shared + (row * (p->depth + 1) + k) * 16, (const f16 *)p->weights + (good ? ((size_t)n * real + k) * 8 : 0),
               good);
        row += rows, k += rest;
        if (k >= p->depth) k -= p->depth, row++;
    }
}

typedef struct place {
    int n, y, x; // the picture, and the first output pixel; KS 1: x is the pixel, of the map, too
} place;

DEV place place_of(const sw_cuda_conv *p, int tile) {
    place at = {0, 0, tile * BM};
    if (KS == 1) return at;
    int q = fast_div(tile, p->by_tiles_across);
    at.n = fast_div(q, p->by_tiles_down);
    at.y = (q - at.n * p->tiles_down) * p->tile_height, at.x = (tile - q * p->tiles_across) * p->tile_width;
    return at;
}

DEV int output_pixel(const sw_cuda_conv *p, place at, int m) {
    if (KS == 1) return at.x + m;
    int row = fast_div(m, p->by_tile_width), y = at.y + row, x = at.x + m - row * p->tile_width;
    bool inside = row < p->tile_height && y < p->out_height && x < p->out_width;
    return inside ? (at.n * p->out_height + y) * p->out_width + x : p->pixels;
}

// Where a pixel of the patch lies, in pixels.
DEV int slot_of(const sw_cuda_conv *p, int row, int column) {
    return row * p->patch_width + (STRIDE == 2 ? (column & 1) * ((p->patch_width + 1) >> 1) + (column >> 1) : column);
}

// Where pixel i of the patch comes from, in elements (below 0: zeros), and its slot.
DEV int find_pixel(const sw_cuda_conv *p, place at, int i, int *slot) {
    *slot = i;
    if (KS == 1) return at.x + i < p->pixels ? (at.x + i) * p->in_pitch : -1;
    int row = fast_div(i, p->by_patch_width), column = i - row * p->patch_width;
    int y = at.y * STRIDE - p->pad_top + row, x = at.x * STRIDE - p->pad_left + column;
    *slot = slot_of(p, row, column);
    return y >= 0 && y < p->height && x >= 0 && x < p->width ? ((at.n * p->height + y) * p->width + x) * p->in_pitch : -1;
}

// This thread's copies of the patch from the first on: where from and where to.
DEV void find_copies(const sw_cuda_conv *p, place at, u32 patch, int first, int n, int *from, u32 *to) {
    int all = p->plane * p->chunks;
    UNROLL for (int j = 0; j < n; j++) {
        int i = thread_id() + (first + j) * THREADS, pixel = fast_div(i, p->by_chunks), c = i - pixel * p->chunks, slot;
        to[j] = 0;
        if ((first + j) * THREADS >= all) continue; // so it is for all threads
        int place = find_pixel(p, at, pixel, &slot);
        from[j] = place < 0 ? -1 : place + c * 8;
        to[j] = i < all ? patch + (slot * p->row + c) * 16 : 0;
    }
}
DEV void copy_patch(const sw_cuda_conv *p, int n, const int *from, const u32 *to) {
    UNROLL for (int j = 0; j < n; j++) {
        if (to[j]) copy16(to[j], (const f16 *)p->in + (from[j] < 0 ? 0 : from[j]), from[j] >= 0);
    }
}

// Where each chunk of the depth lies, from the pixel of its first tap on: looked up, since to compute it takes longer than the
// products. The odd one at the end is any: its weights are zeros.
DEV void find_chunks(const sw_cuda_conv *p, u32 table) {
    for (int q = thread_id(); q < p->depth; q += THREADS) {
        int tap = fast_div(q, p->by_chunks), c = q - tap * p->chunks, row = tap * 11 >> 5; // a third, of 0 to 8
        int slot = KS == 1 ? 0 : slot_of(p, row, tap - 3 * row);
        shared_store4(table + q * 4, tap < TAPS ? (slot * p->row + c) * 16 : 0);
    }
}

// Operands of a product, the pixels and rows of weights being this lane's; `table` is that of its half of the depth.
DEV void load_operands(const sw_cuda_conv *p, const u32 *pixels, u32 weights, u32 table, int step, u32 (*a)[4], u32 (*b)[2]) {
    u32 at = shared_load4(table + step * 8);
    UNROLL for (int i = 0; i < MT; i++) load_matrix4(a[i], pixels[i] + at);
    UNROLL for (int j = 0; j + 1 < NT; j += 2) load_matrix4(b[j], weights + step * 32 + j * 8 * (p->depth + 1) * 16);
    if (NT % 2) load_matrix2(b[NT - 1], weights + step * 32 + (NT - 1) * 8 * (p->depth + 1) * 16);
}

DEV void multiply_tiles(float *acc, const u32 (*a)[4], const u32 (*b)[2]) {
    UNROLL for (int i = 0; i < MT; i++) {
        UNROLL for (int j = 0; j < NT; j++) multiply(acc + (i * NT + j) * 4, a[i], b[j]);
    }
}

// A warp's share of the depth: every WK-th step.
DEV void multiply_all(const sw_cuda_conv *p, float *acc, const u32 *pixels, u32 weights, u32 table, int slice) {
    int steps = p->depth >> 1, step = slice;
    for (; step + (UNROLLED - 1) * WK < steps; step += UNROLLED * WK) {
        u32 a[UNROLLED][MT][4], b[UNROLLED][NT + 1][2];
        UNROLL for (int u = 0; u < UNROLLED; u++) load_operands(p, pixels, weights, table, step + u * WK, a[u], b[u]);
        UNROLL for (int u = 0; u < UNROLLED; u++) multiply_tiles(acc, a[u], b[u]);
    }
    for (; step < steps; step += WK) {
        u32 a[MT][4], b[NT + 1][2];
        load_operands(p, pixels, weights, table, step, a, b);
        multiply_tiles(acc, a, b);
    }
}

// Sums as [slice][pixel][channel] floats.
DEV void store_slice(const float *acc, u32 sums, int slice, int row, int column) {
    UNROLL for (int i = 0; i < MT * 2; i++) {
        u32 to = sums + ((slice * BM + row + (i >> 1) * 16 + (i & 1) * 8) * BN + column) * 4;
        UNROLL for (int j = 0; j < NT; j++) {
            const float *s = acc + ((i >> 1) * NT + j) * 4 + (i & 1) * 2;
            shared_store8(to + j * 8, as_bits(s[0]), as_bits(s[1]));
        }
    }
}

// What a thread needs for its pairs of channels besides sums.
typedef struct ends {
    int pixel[PAIRS];
    float bias[2];
    u32 more[PAIRS];
} ends;

DEV int pair_of(int i) {
    return thread_id() + i * THREADS;
}
DEV void finish_pairs(const sw_cuda_conv *p, const ends *e, u32 sums, int channel) {
    UNROLL for (int i = 0; i < PAIRS; i++) {
        if (e->pixel[i] >= p->pixels || channel >= p->out_channels) continue;
        float sum[2] = {e->bias[0], e->bias[1]}, low = unpack_low(e->more[i]), high = unpack_high(e->more[i]);
        UNROLL for (int s = 0; s < WK; s++) {
            u32 v[2];
            shared_load8(sums + (s * BM * BN + pair_of(i) * 2) * 4, v);
            sum[0] += as_float(v[0]), sum[1] += as_float(v[1]);
        }
        if (p->residual_before_act) sum[0] += low, sum[1] += high;
        activate_sums(p, sum, 2);
        if (!p->residual_before_act) sum[0] += low, sum[1] += high;
        store4((f16 *)p->out + (size_t)e->pixel[i] * p->out_pitch + channel, pack(sum[0], sum[1]));
    }
}

KERNEL(conv, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    int lane = thread_id() & 31, warp = uniform(thread_id() >> 5), slice = warp / (WM * WN), part = warp % (WM * WN);
    int wm = part / WN, wn = part % WN, tile = fast_div(block_id(), p->by_column_tiles);
    int n0 = (block_id() - tile * p->column_tiles) * BN, channel = n0 + thread_id() * 2 % BN;
    u32 weights = shared_base(), patch = weights + BN * (p->depth + 1) * 16, sums = patch + p->plane * p->row * 16;
    u32 table = sums + WK * BM * BN * 4;
    load_weights(p, weights, n0);
    find_chunks(p, table);
    place at = place_of(p, tile);
    int from[FIRST];
    u32 to[FIRST], pixels[MT];
    find_copies(p, at, patch, 0, FIRST, from, to);
    ends e;
    int biased = channel < p->out_channels ? channel : 0;
    UNROLL for (int i = 0; i < 2; i++) e.bias[i] = load_float_const((const float *)p->bias + biased + i);
    UNROLL for (int i = 0; i < PAIRS; i++)
        e.pixel[i] = pair_of(i) < BM * BN / 2 ? output_pixel(p, at, pair_of(i) / (BN / 2)) : p->pixels;
    UNROLL for (int i = 0; i < MT; i++) {
        int m = (wm * MT + i) * 16 + (lane & 15), row = KS == 1 ? 0 : fast_div(m, p->by_tile_width);
        int column = m - row * p->tile_width;
        if (KS == 1 ? m >= p->plane : row >= p->tile_height) row = column = 0;
        pixels[i] = patch + slot_of(p, row * STRIDE, column * STRIDE) * p->row * 16;
    }
    wait_for_predecessor();
    copy_patch(p, FIRST, from, to);
    for (int first = FIRST; first * THREADS < p->plane * p->chunks; first++) {
        find_copies(p, at, patch, first, 1, from, to);
        copy_patch(p, 1, from, to);
    }
    copy_commit();
    UNROLL for (int i = 0; i < PAIRS; i++) {
        e.more[i] = 0;
        if (p->residual && e.pixel[i] < p->pixels && channel < p->out_channels)
            e.more[i] = load4((const f16 *)p->residual +
                              (size_t)residual_pixel(p, e.pixel[i]) * p->residual_pitch + channel);
    }
    float acc[MT * NT * 4];
    UNROLL for (int i = 0; i < MT * NT * 4; i++) acc[i] = 0;
    copy_wait(0);
    barrier();
    u32 rows = weights + ((wn * NT * 8 + (lane >> 4) * 8 + (lane & 7)) * (p->depth + 1) + (lane >> 3 & 1)) * 16;
    multiply_all(p, acc, pixels, rows, table + (lane >> 4) * 4, slice);
    store_slice(acc, sums, slice, wm * MT * 16 + (lane >> 2), wn * NT * 8 + (lane & 3) * 2 * NT);
    barrier();
    finish_pairs(p, &e, sums, channel);
}
