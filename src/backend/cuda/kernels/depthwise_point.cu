// A depthwise convolution, K x K of stride STRIDE, and the 1 x 1 behind it in one kernel. A block makes tiles of up to
// BM = 16 WM MT pixels in rows of tile_width, and BN = 8 NT of the channels (blocks for other channels make the depthwise result
// anew), from the patch of the map under the tile, which lies in shared memory; that of the next tile is under way meanwhile.
//
// Both are products on tensor cores. The depthwise: 16 pixels x 8 channels are the sum, over pairs of taps, of the pixels under
// them (8 channels of one tap, 8 of the other) times two diagonal matrices. Its result is left in registers just as the 1 x 1
// wants its operand. WK warps share the depth of that. In shared memory a pixel, and a row of weights, has p->line chunks of 8
// channels: an odd number, so that 8 rows lie in different banks; with STRIDE 2 the even columns come before the odd ones.
#include "args.h"
#include "ptx.cuh"

enum {
    THREADS = 32 * WM * WK,
    WN = 1,
    BN = 8 * NT,
    TAPS = K * K,
    PAIRS = (TAPS + 1) / 2,
};
#include "tile.cuh"

#include "steps.cuh"

// Taps of the depthwise, as they are; then its bias.
DEV void load_taps(const sw_cuda_conv *c, u32 shared) {
    int taps = TAPS * c->out_channels / 8, all = taps + c->out_channels / 4;
    for (int i = thread_id(); i < all; i += THREADS) {
        const char *from = i < taps ? (const char *)c->weights + i * 16 : (const char *)c->bias + (i - taps) * 16;
        copy16(shared + i * 16, from, true);
    }
}

// Tiles of 8 channels come in groups of up to four, over which the channels of a thread's columns are neighbours.
DEV int size_of_group(int tile) {
    return NT - (tile & ~3) < 4 ? NT & 3 : 4;
}
DEV int channel_of(int row) {
    int j = row >> 3, i = row & 7, size = size_of_group(j);
    return (j & ~3) * 8 + (i >> 1) * 2 * size + (j & 3) * 2 + (i & 1);
}

DEV void load_rows(const sw_cuda_pair *p, u32 shared, int n0) {
    const sw_cuda_conv *c = &p->second;
    int depth = p->line - 1;
    for (int i = thread_id(); i < BN * depth; i += THREADS) {
        int row = fast_div(i, p->by_depth), k = i - row * depth, n = n0 + channel_of(row);
        bool good = n < c->out_channels && k * 8 < c->in_channels;
        copy16(shared + (row * p->line + k) * 16, (const f16 *)c->weights + (good ? n * c->in_channels + k * 8 : 0),
               good);
    }
}

// Where a pixel of the patch lies.
DEV int slot_of(const sw_cuda_pair *p, int row, int column) {
    return row * p->patch_width + (STRIDE == 2 ? (column & 1) * (p->patch_width + 1) / 2 + (column >> 1) : column);
}

DEV void load_patch(const sw_cuda_pair *p, u32 shared, int tile) {
    const sw_cuda_conv *c = &p->first;
    place at = place_of(p, tile);
    int height = (p->tile_height - 1) * STRIDE + K, chunks = c->out_channels >> 3, corner = at.n * c->height * c->width;
    for (int i = thread_id(); i < height * p->patch_width * chunks; i += THREADS) {
        int pixel = fast_div(i, p->by_chunks), chunk = i - pixel * chunks, row = fast_div(pixel, p->by_patch_width);
        int column = pixel - row * p->patch_width;
        int y = at.y * STRIDE - c->pad_top + row, x = at.x * STRIDE - c->pad_left + column;
        bool good = y >= 0 && y < c->height && x >= 0 && x < c->width;
        int from = good ? (corner + y * c->width + x) * c->in_pitch + chunk * 8 : 0;
        copy16(shared + (slot_of(p, row, column) * p->line + chunk) * 16, (const f16 *)c->in + from, good);
    }
}

// The depthwise result of 16 MT pixels and 8 channels; `mask` leaves of two neighbouring channels the one on the diagonal.
DEV void multiply_depthwise(const sw_cuda_conv *c, float *acc, const u32 *pixels, const u32 *taps_at, u32 taps,
                            int chunk, u32 mask) {
    int t = thread_id() & 3;
    u32 own = taps + (chunk * 8 + 2 * t) * 2, bias = taps + TAPS * c->out_channels * 2 + (chunk * 8 + 2 * t) * 4;
    float low = as_float(shared_load4(bias)), high = as_float(shared_load4(bias + 4));
    UNROLL for (int i = 0; i < MT * 4; i++) acc[i] = i & 1 ? high : low;
    UNROLL for (int pair = 0; pair < PAIRS; pair++) {
        u32 a[4], b[2];
        b[0] = shared_load4(own + pair * 2 * c->out_channels * 2) & mask;
        b[1] = pair * 2 + 1 < TAPS ? shared_load4(own + (pair * 2 + 1) * c->out_channels * 2) & mask : 0;
        UNROLL for (int i = 0; i < MT; i++) {
            load_matrix4(a, pixels[i] + taps_at[pair] + chunk * 16);
            multiply(acc + i * 4, a, b);
        }
    }
    activate_sums(c, acc, MT * 4);
}

// As start_sums, for columns in groups.
DEV void start_columns(const sw_cuda_conv *c, float *acc, int n0, bool biased) {
    UNROLL for (int j = 0; j < NT; j++) {
        int size = size_of_group(j), channel = n0 + (j & ~3) * 8 + (thread_id() & 3) * 2 * size + (j & 3) * 2;
        UNROLL for (int e = 0; e < 2; e++) {
            float bias =
                biased && channel < c->out_channels ? load_float_const((const float *)c->bias + channel + e) : 0.f;
            UNROLL for (int i = 0; i < MT; i++) acc[(i * NT + j) * 4 + e] = acc[(i * NT + j) * 4 + 2 + e] = bias;
        }
    }
}

// Both for a tile: the sums of the 1 x 1 over the channels of a slice.
DEV void multiply_both(const sw_cuda_pair *p, float *acc, u32 weights, u32 taps, u32 patch, int wm, int slice, int n0) {
    int lane = thread_id() & 31, g = lane >> 2, t = lane & 3, chunks = p->first.out_channels >> 3;
    u32 pixels[MT], taps_at[PAIRS], mask = g >> 1 != t ? 0 : g & 1 ? 0xffff0000u : 0xffffu;
    u32 rows = row_of_weights(weights, 0, NT, p->line);
    UNROLL for (int i = 0; i < MT; i++) {
        int m = (wm * MT + i) * 16 + (lane & 15), row = fast_div(m, p->by_tile_width), column = m - row * p->tile_width;
        pixels[i] = patch + (row < p->tile_height ? slot_of(p, row * STRIDE, column * STRIDE) * p->line * 16 : 0);
    }
    UNROLL for (int pair = 0; pair < PAIRS;
                pair++) { // upper lanes: the second tap; of the last pair: any, its weights are zeros
        int tap = pair * 2 + (lane >> 4);
        if (tap >= TAPS) tap = 0;
        taps_at[pair] = slot_of(p, tap / K, tap % K) * p->line * 16;
    }
    start_columns(&p->second, acc, n0, slice == 0);
    for (int k = slice; k < p->line / 2; k += WK) {
        u32 a[MT * 4], b[NT * 2 + 2];
        UNROLL for (int h = 0; h < 2; h++) {
            float sums[MT * 4];
            UNROLL for (int i = 0; i < MT * 4; i++) sums[i] = 0;
            if (2 * k + h < chunks) multiply_depthwise(&p->first, sums, pixels, taps_at, taps, 2 * k + h, mask);
            UNROLL for (int i = 0; i < MT; i++) {
                a[i * 4 + h * 2] = pack(sums[i * 4], sums[i * 4 + 1]);
                a[i * 4 + h * 2 + 1] = pack(sums[i * 4 + 2], sums[i * 4 + 3]);
            }
        }
        UNROLL for (int j = 0; j + 1 < NT; j += 2) load_matrix4(b + j * 2, rows + k * 32 + j * 8 * p->line * 16);
        if (NT % 2) load_matrix2(b + (NT - 1) * 2, rows + k * 32 + (NT - 1) * 8 * p->line * 16);
        UNROLL for (int i = 0; i < MT; i++) {
            UNROLL for (int j = 0; j < NT; j++) multiply(acc + (i * NT + j) * 4, a + i * 4, b + j * 2);
        }
    }
}

// Adds what lies at `from` to 2 size neighbouring channels of row i, from tile j on.
DEV void add_row(float *acc, const f16 *from, int i, int j, int size) {
    UNROLL for (int e = 0; e < size; e++) {
        u32 v = load4(from + 2 * e);
        float *s = acc + ((i >> 1) * NT + j + e) * 4 + (i & 1) * 2;
        s[0] += unpack_low(v), s[1] += unpack_high(v);
    }
}

DEV void store_row(const float *acc, f16 *to, int i, int j, int size) {
    u32 v[4];
    UNROLL for (int e = 0; e < size; e++) {
        const float *s = acc + ((i >> 1) * NT + j + e) * 4 + (i & 1) * 2;
        v[e] = pack(s[0], s[1]);
    }
    if (size == 4) {
        vec4 w = {v[0], v[1], v[2], v[3]};
        store16(to, w);
    } else {
        UNROLL for (int e = 0; e < size; e++) store4(to + 2 * e, v[e]);
    }
}

DEV void add_rows(const sw_cuda_conv *c, float *acc, const int *pixel, int n0) {
    UNROLL for (int j = 0; j < NT; j += 4) {
        int size = size_of_group(j), channel = n0 + j * 8 + (thread_id() & 3) * 2 * size;
        UNROLL for (int i = 0; i < MT * 2; i++) {
            const f16 *from = (const f16 *)c->residual + (size_t)pixel[i] * c->residual_pitch + channel;
            if (pixel[i] < c->pixels && channel < c->out_channels) add_row(acc, from, i, j, size);
        }
    }
}

DEV void end_tile(const sw_cuda_conv *c, float *acc, const int *pixel, int n0) {
    if (c->residual && c->residual_before_act) add_rows(c, acc, pixel, n0);
    activate_sums(c, acc, MT * NT * 4);
    if (c->residual && !c->residual_before_act) add_rows(c, acc, pixel, n0);
    UNROLL for (int j = 0; j < NT; j += 4) {
        int size = size_of_group(j), channel = n0 + j * 8 + (thread_id() & 3) * 2 * size;
        UNROLL for (int i = 0; i < MT * 2; i++) {
            f16 *to = (f16 *)c->out + (size_t)pixel[i] * c->out_pitch + channel;
            if (pixel[i] < c->pixels && channel < c->out_channels) store_row(acc, to, i, j, size);
        }
    }
}

KERNEL(depthwise_point, sw_cuda_pair) {
    const sw_cuda_pair *p = ARGS;
    const sw_cuda_conv *c = &p->second;
    int tile = fast_div(block_id(), c->by_column_tiles), n0 = (block_id() - tile * c->column_tiles) * BN;
    int warp = thread_id() >> 5, lane = thread_id() & 31, slice = warp / WM, wm = warp - slice * WM;
    u32 weights = shared_base(), taps = weights + BN * p->line * 16,
        sums = taps + (TAPS * 2 + 4) * p->first.out_channels;
    u32 patch = sums + (WK - 1) * WM * MT * NT * 512, other = patch + p->patch_bytes;
    load_rows(p, weights, n0);
    load_taps(&p->first, taps);
    wait_for_predecessor();
    load_patch(p, patch, tile);
    copy_commit();
    for (; tile < p->tiles; tile += p->step) {
        place at = place_of(p, tile);
        float acc[MT * NT * 4];
        int pixel[MT * 2];
        copy_wait(0);
        barrier();
        if (tile + p->step < p->tiles) load_patch(p, other, tile + p->step);
        copy_commit();
        multiply_both(p, acc, weights, taps, patch, wm, slice, n0);
        UNROLL for (int i = 0; i < MT * 2; i++) {
            int m = (wm * MT + (i >> 1)) * 16 + (lane >> 2) + (i & 1) * 8, row = fast_div(m, p->by_tile_width);
            int y = at.y + row, x = at.x + m - row * p->tile_width;
            bool inside = row < p->tile_height && y < c->out_height && x < c->out_width;
            pixel[i] = inside ? (at.n * c->out_height + y) * c->out_width + x : c->pixels;
        }
        if (add_slices(acc, sums, wm, slice, lane)) end_tile(c, acc, pixel, n0);
        u32 next = other;
        other = patch, patch = next;
    }
    copy_wait(0);
}
