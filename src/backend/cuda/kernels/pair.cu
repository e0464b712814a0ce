// Two 3 x 3 convolutions of stride 1 in one kernel: a block makes TH x TW pixels of the second one's result, for which it needs
// (TH + 2) x (TW + 2) of the first one's, which stay in shared memory, and of those (TH + 4) x (TW + 4) of the map. Pixels
// between the two that lie beside the map are zeros. A block takes every `step`-th tile; the patch of the next one is under way
// meanwhile.
//
// CI and CM: eights of channels that there is room for, of map and result, and between the two: 1 or an even number. A phase has
// WM1 x WN1 (WM x WN) warps along pixels and channels, MT1 (MT) times 16 pixels each. In shared memory a pixel has an odd number
// of chunks of 8 channels, and so has a row of weights: 8 of them in a row lie in different banks. Depth: taps, then channels;
// with 8 channels two taps make the 16 of a product.
#include "args.h"
#include "ptx.cuh"

enum {
    THREADS = 32 * WARPS,
    WM1 = WARPS / WN1,
    NT1 = CM / WN1,
    WN = WN2,
    WM = WARPS / WN2,
    MT = MT2,
    NT = CI / WN2,
    WK = 1,
    ROW1 = CI | 1, // chunks of a pixel of the map
    ROW2 = CM | 1, // and between the two
    DEPTH1 = CI == 1 ? 10 : 9 * CI,
    DEPTH2 = CM == 1 ? 10 : 9 * CM,
    LINE1 = DEPTH1 | 1, // chunks of a row of weights
    LINE2 = DEPTH2 | 1,
};
#define EARLY_TILES 0 // there are no registers left
#include "tile.cuh"

#include "steps.cuh"

// One row of weights for each channel that there is room for; permuted: as `finish` wants them.
DEV void load_weights(const sw_cuda_conv *p, u32 shared, int rows, int chunks, int depth, bool permuted) {
    for (int i = thread_id(); i < rows * depth; i += THREADS) {
        int row = i / depth, k = i - row * depth, n = permuted ? channel_of_row(row) : row, tap = k / chunks;
        int c = (k - tap * chunks) * 8;
        bool good = n < p->out_channels && tap < 9 && c < p->in_channels;
        size_t from = good ? ((size_t)n * 9 + tap) * p->in_channels + c : 0;
        copy16(shared + (row * (depth | 1) + k) * 16, (const f16 *)p->weights + from, good);
    }
}

DEV void load_patch(const sw_cuda_pair *p, u32 shared, int tile) {
    const sw_cuda_conv *c = &p->first;
    place at = place_of(p, tile);
    int width = p->tile_width + 4, pixels = width * (p->tile_height + 4), corner = at.n * c->height * c->width;
    for (int i = thread_id(); i < pixels * CI; i += THREADS) {
        int pixel = i / CI, chunk = i - pixel * CI, row = fast_div(pixel, p->by_patch_width);
        int y = at.y - 2 + row, x = at.x - 2 + pixel - row * width;
        bool good = chunk * 8 < c->in_channels && y >= 0 && y < c->height && x >= 0 && x < c->width;
        int from = good ? (corner + y * c->width + x) * c->in_pitch + chunk * 8 : 0;
        copy16(shared + (pixel * ROW1 + chunk) * 16, (const f16 *)c->in + from, good);
    }
}

// All taps; `down`: bytes from a row of the patch to the next.
DEV void multiply_taps(float *acc, const u32 *at, u32 weights, int down, int mt, int nt, int chunks, int line) {
    const int pixel = (chunks | 1) * 16, half = (thread_id() & 31) >> 4;
    UNROLL for (int i = 0; i < mt * nt * 4; i++) acc[i] = 0;
    if (chunks == 1) {
        UNROLL for (int tap = 0; tap < 9; tap += 2) { // of the last pair: any other, its weights are zeros
            int other = tap < 8 ? tap + 1 : tap, left = tap / 3 * down + tap % 3 * pixel,
                right = other / 3 * down + other % 3 * pixel;
            multiply_step(acc, at, half ? right : left, weights + tap * 16, mt, nt, line);
        }
        return;
    }
    for (int y = 0; y < 3; y++) {
        UNROLL for (int x = 0; x < 3; x++) {
            UNROLL for (int c = 0; c < chunks; c += 2)
                multiply_step(acc, at, y * down + x * pixel + c * 16, weights + (x * chunks + c) * 16, mt, nt, line);
        }
        weights += 3 * chunks * 16;
    }
}

// This lane's half of a pixel.
DEV int half_of_pixel(int chunks) {
    return chunks > 1 ? ((thread_id() & 31) >> 4) * 16 : 0;
}

// The first convolution: from the patch to `middle`.
DEV void make_middle(const sw_cuda_pair *p, u32 weights, u32 patch, u32 middle, const float *bias, place at) {
    const sw_cuda_conv *c = &p->first;
    int warp = thread_id() >> 5, lane = thread_id() & 31, wm = warp % WM1, wn = warp / WM1;
    int width = p->tile_width + 2, pixels = width * (p->tile_height + 2), pitch = (p->tile_width + 4) * ROW1 * 16;
    float acc[MT1 * NT1 * 4];
    u32 rows[MT1];
    UNROLL for (int i = 0; i < MT1; i++) {
        int m = (wm + i * WM1) * 16 + (lane & 15), row = fast_div(m, p->by_middle_width);
        rows[i] = patch + half_of_pixel(CI) + (m < pixels ? row * pitch + (m - row * width) * ROW1 * 16 : 0);
    }
    multiply_taps(acc, rows, row_of_weights(weights, wn, NT1, LINE1), pitch, MT1, NT1, CI, LINE1);
    UNROLL for (int i = 0; i < MT1 * NT1 * 4; i++) acc[i] += bias[i / 4 % NT1 * 2 + (i & 1)];
    activate_sums(c, acc, MT1 * NT1 * 4);
    UNROLL for (int i = 0; i < MT1 * 2; i++) {
        int m = (wm + (i >> 1) * WM1) * 16 + (lane >> 2) + (i & 1) * 8, row = fast_div(m, p->by_middle_width);
        int y = at.y - 1 + row, x = at.x - 1 + m - row * width;
        bool inside = y >= 0 && y < c->height && x >= 0 && x < c->width;
        u32 to = middle + m * ROW2 * 16 + (wn * NT1 * 8 + (lane & 3) * 2) * 2;
        if (m >= pixels) continue;
        UNROLL for (int j = 0; j < NT1; j++) {
            const float *s = acc + ((i >> 1) * NT1 + j) * 4 + (i & 1) * 2;
            shared_store4(to + j * 16, inside ? pack(s[0], s[1]) : 0);
        }
    }
}

// Of the map itself, from its patch.
DEV void add_map(float *acc, const u32 *slots, int channel) {
    UNROLL for (int i = 0; i < MT * 2; i++) {
        UNROLL for (int j = 0; j < NT; j++) {
            float *s = acc + ((i >> 1) * NT + j) * 4 + (i & 1) * 2;
            u32 v = shared_load4(slots[i] + (channel + 2 * j) * 2);
            s[0] += unpack_low(v), s[1] += unpack_high(v);
        }
    }
}

// The second convolution: from `middle` to the result.
DEV void make_result(const sw_cuda_pair *p, u32 weights, u32 patch, u32 middle, place at) {
    const sw_cuda_conv *c = &p->second;
    int warp = thread_id() >> 5, lane = thread_id() & 31, wm = warp % WM, wn = warp / WM;
    int channel = (wn * 4 + (lane & 3)) * 2 * NT, pixels = p->tile_width * p->tile_height, pixel[MT * 2];
    int pitch = (p->tile_width + 2) * ROW2 * 16;
    float acc[MT * NT * 4];
    u32 rows[MT], slots[MT * 2];
    UNROLL for (int i = 0; i < MT; i++) {
        int m = (wm + i * WM) * 16 + (lane & 15), row = fast_div(m, p->by_tile_width);
        rows[i] = middle + half_of_pixel(CM) + (m < pixels ? row * pitch + (m - row * p->tile_width) * ROW2 * 16 : 0);
    }
    multiply_taps(acc, rows, row_of_weights(weights, wn, NT, LINE2), pitch, MT, NT, CM, LINE2);
    UNROLL for (int i = 0; i < MT * 2; i++) {
        int m = (wm + (i >> 1) * WM) * 16 + (lane >> 2) + (i & 1) * 8, row = fast_div(m, p->by_tile_width);
        int column = m - row * p->tile_width, y = at.y + row, x = at.x + column;
        bool inside = m < pixels && y < c->out_height && x < c->out_width;
        pixel[i] = inside ? (at.n * c->out_height + y) * c->out_width + x : c->pixels;
        slots[i] = patch + (inside ? ((row + 2) * (p->tile_width + 4) + column + 2) * ROW1 * 16 : 0);
    }
    add_bias(c, acc, channel);
    if (p->adds_map && c->residual_before_act) add_map(acc, slots, channel);
    if (c->residual && c->residual_before_act) add_residual(c, acc, pixel, channel, NULL);
    activate_sums(c, acc, MT * NT * 4);
    if (p->adds_map && !c->residual_before_act) add_map(acc, slots, channel);
    if (c->residual && !c->residual_before_act) add_residual(c, acc, pixel, channel, NULL);
    store_sums(c, acc, pixel, channel);
}

KERNEL(pair, sw_cuda_pair) {
    const sw_cuda_pair *p = ARGS;
    u32 first = shared_base(), second = first + CM * 8 * LINE1 * 16, middle = second + CI * 8 * LINE2 * 16;
    u32 patch = middle + p->middle_bytes, other = patch + p->patch_bytes;
    float bias[NT1 * 2];
    load_weights(&p->first, first, CM * 8, CI, DEPTH1, false);
    load_weights(&p->second, second, CI * 8, CM, DEPTH2, true);
    UNROLL for (int i = 0; i < NT1 * 2; i++) {
        int channel = (thread_id() >> 5) / WM1 * NT1 * 8 + (i >> 1) * 8 + (thread_id() & 3) * 2 + (i & 1);
        bias[i] = channel < p->first.out_channels ? load_float_const((const float *)p->first.bias + channel) : 0.f;
    }
    wait_for_predecessor();
    int tile = block_id();
    load_patch(p, patch, tile);
    copy_commit();
    for (; tile < p->tiles; tile += p->step) {
        place at = place_of(p, tile);
        copy_wait(0);
        barrier();
        if (tile + p->step < p->tiles) load_patch(p, other, tile + p->step);
        copy_commit();
        make_middle(p, first, patch, middle, bias, at);
        barrier();
        make_result(p, second, patch, middle, at);
        u32 next = other;
        other = patch, patch = next;
    }
    copy_wait(0);
}
