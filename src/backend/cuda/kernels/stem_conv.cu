// The first two convolutions of a network in one kernel: the first (up to 3 x 3 taps, stride 2, over float32 planes of 3
// channels, to 16) makes the patch that the second (3 x 3, stride 2) works on, so that the largest map of the network never
// leaves the SM. A block takes every `step`-th tile; the part of the picture under the next one is on its way to registers
// meanwhile. It becomes pixels of 4 halves in shared memory, of which 4 in a row are the depth of 16 of a product: rows are a
// multiple of 4 floats, and begin at one, so that a window begins at its first pixel or one to three before (`shift_of`; the
// weights there are zeros). Pixels of the patch beside the map between both are zeros.
//
// The second convolution takes the patch through registers (ldmatrix): what wgmma reads of shared memory itself needs a fence,
// which would wait for the picture, too.
#include "args.h"
#include "ptx.cuh"
#include "wgmma.cuh"

#include "patch.cuh"

enum {
    ROWS = 3,
    PICTURE_H = 2 * (PATCH_H - 1) + ROWS,
    QUADS = (2 * (PATCH_W - 1) + 4) / 4, // of a row of the picture
    ROW = 24 * 16, // bytes of a row of the picture in shared memory: at each other 128 of them neighbouring 16 change places
    ITEMS = PICTURE_H * QUADS,
    LOADS = (ITEMS + THREADS - 1) / THREADS,
    // A row of the patch: even columns, then odd ones, so far apart that ldmatrix and stmatrix meet all banks.
    ODD = 12,
    LINE = 2 * ODD * 32, // bytes
    STRIPE = (PATCH_H - 1) / (THREADS / 32), // rows of the patch that a warp makes
    SPARE = PATCH_H * LINE, // behind the patch: what is made too much
};

typedef struct quad {
    vec4 channel[3];
} quad;

DEV int shift_of(const sw_cuda_conv *s, const sw_cuda_conv *p) {
    return (-2 * p->pad_left - s->pad_left) & 3;
}

// What a thread loads of a tile's part of the picture: four pixels each, where they begin from the tile's first float on, and
// where they go.
typedef struct items {
    u32 from[LOADS], to[LOADS]; // bytes
} items;

DEV void find_items(const sw_cuda_conv *s, u32 picture, items *t) {
    UNROLL for (int i = 0; i < LOADS; i++) {
        int item = i * THREADS + thread_id(), row = item / QUADS, x = item - row * QUADS;
        t->from[i] = item < ITEMS ? (row * s->width + x * 4) * 4 : 0;
        t->to[i] = picture + row * ROW + x * 32 + ((row ^ x >> 2) & 1) * 16;
    }
}

DEV void load_picture(const sw_cuda_conv *s, const sw_cuda_conv *p, int tile, const items *t, quad *quads) {
    place at = place_of(p, tile);
    int top = (at.y * STRIDE - p->pad_top) * 2 - s->pad_top;
    int left = ((at.x * STRIDE - p->pad_left) * 2 - s->pad_left) & ~3;
    const float *from = (const float *)s->in + (size_t)at.n * 3 * s->in_plane + (long long)top * s->width + left;
    if (top >= 0 && left >= 0 && top + PICTURE_H <= s->height && left + QUADS * 4 <= s->width) {
        UNROLL for (int c = 0; c < 3; c++) {
            UNROLL for (int i = 0; i < LOADS; i++) quads[i].channel[c] = load16_const((const char *)from + t->from[i]);
            from += s->in_plane;
        }
        return;
    }
    UNROLL for (int i = 0; i < LOADS; i++) {
        int item = i * THREADS + thread_id(), row = item / QUADS, y = top + row, x = left + (item - row * QUADS) * 4;
        bool good = item < ITEMS && y >= 0 && y < s->height && x >= 0 && x < s->width;
        UNROLL for (int c = 0; c < 3; c++) {
            vec4 zero = {0, 0, 0, 0};
            quads[i].channel[c] = zero;
            if (good) quads[i].channel[c] = load16_const((const char *)(from + c * s->in_plane) + t->from[i]);
        }
    }
}

DEV void store_picture(const items *t, const quad *quads) {
    UNROLL for (int i = 0; i < LOADS; i++) {
        vec4 a = quads[i].channel[0], b = quads[i].channel[1], c = quads[i].channel[2];
        vec4 first = {pack(as_float(a.x), as_float(b.x)), pack(as_float(c.x), 0.f), pack(as_float(a.y), as_float(b.y)),
                      pack(as_float(c.y), 0.f)};
        vec4 second = {pack(as_float(a.z), as_float(b.z)), pack(as_float(c.z), 0.f), pack(as_float(a.w), as_float(b.w)),
                       pack(as_float(c.w), 0.f)};
        if (i * THREADS + thread_id() < ITEMS) shared_store16(t->to[i], first), shared_store16(t->to[i] ^ 16, second);
    }
}

// Of two output channels the weights of pixels t / 2 and 2 more of a window, two channels each; times `by`.
DEV void load_stem_weights(const sw_cuda_conv *s, int shift, float by, u32 (*weights)[2][2], float *bias) {
    int lane = thread_id() & 31, g = lane >> 2, t = lane & 3;
    UNROLL for (int r = 0; r < ROWS; r++) {
        UNROLL for (int j = 0; j < 2; j++) {
            UNROLL for (int h = 0; h < 2; h++) {
                int tap = (t >> 1) + 2 * h - shift;
                const f16 *from = (const f16 *)s->weights + ((j * 8 + g) * 12 + r * 4 + tap) * 4 + (t & 1) * 2;
                u32 w = tap < 0 ? 0 : load4(from);
                weights[r][j][h] = pack(unpack_low(w) * by, unpack_high(w) * by);
            }
        }
    }
    UNROLL for (int e = 0; e < 4; e++)
        bias[e] = load_float_const((const float *)s->bias + (e >> 1) * 8 + t * 2 + (e & 1)) * by;
}

// Sixteen pixels of the patch from their windows' rows. Lane l gives the address of pixel l % 16; rows and columns of its sums,
// `y` and `x` of pixels l / 4 and 8 more, are of use where not all are `inside`.
DEV void make_pixels(const sw_cuda_conv *s, const u32 (*a)[4], u32 to, const u32 (*weights)[2][2], const float *bias,
                     bool silu, bool inside, const int *y, const int *x) {
    float acc[8];
    UNROLL for (int e = 0; e < 8; e++) acc[e] = bias[(e >> 2) * 2 + (e & 1)];
    UNROLL for (int r = 0; r < ROWS; r++) {
        multiply(acc, a[r], weights[r][0]);
        multiply(acc + 4, a[r], weights[r][1]);
    }
    UNROLL for (int e = 0; e < 8; e++)
        acc[e] = silu ? silu_of_half(acc[e]) : activate(s->act, s->act_a, s->act_b, acc[e]);
    if (!inside) {
        UNROLL for (int h = 0; h < 2; h++) {
            if (y[h] >= 0 && y[h] < s->out_height && x[h] >= 0 && x[h] < s->out_width) continue;
            acc[h * 2] = acc[h * 2 + 1] = acc[4 + h * 2] = acc[5 + h * 2] = 0;
        }
    }
    u32 out[4] = {pack(acc[0], acc[1]), pack(acc[2], acc[3]), pack(acc[4], acc[5]), pack(acc[6], acc[7])};
    store_matrix4(to, out);
}

// Where the windows of pixels of column `column` of the patch begin in even rows of the picture, and two pixels on; in odd rows
// 16 bytes beside.
DEV u32 window_at(int column, int half) {
    int chunk = column + half;
    return (chunk ^ (chunk >> 3 & 1)) * 16;
}

// Where the half of the channels of a pixel lies in its row.
DEV u32 chunk_at(int column, int half) {
    int slot = (column & 1) * ODD + (column >> 1);
    return (slot * 2 + (half ^ (slot >> 2 & 1))) * 16;
}

// Of each warp sixteen pixels of four rows; then, one warp each, those of the last row, of the last column, and the corner.
DEV void make_patch(const sw_cuda_conv *s, const sw_cuda_conv *p, u32 picture, u32 patch, int tile,
                    const u32 (*weights)[2][2], const float *bias, bool silu) {
    int warp = thread_id() >> 5, lane = thread_id() & 31, i = lane & 15, half = lane >> 4, g = lane >> 2;
    place at = place_of(p, tile);
    int top = at.y * STRIDE - p->pad_top, left = at.x * STRIDE - p->pad_left;
    bool inside = top >= 0 && left >= 0 && top + PATCH_H <= s->out_height && left + PATCH_W <= s->out_width;
    u32 even = picture + warp * STRIPE * 2 * ROW + window_at(i, half), odd = even ^ 16;
    u32 a[ROWS][4], to = patch + warp * STRIPE * LINE + chunk_at(i, half);
    load_matrix4(a[0], even);
    UNROLL for (int r = 0; r < STRIPE; r++) {
        int row = top + warp * STRIPE + r, y[2] = {row, row}, x[2] = {left + g, left + g + 8};
        load_matrix4(a[1], odd + (2 * r + 1) * ROW);
        load_matrix4(a[2], even + (2 * r + 2) * ROW);
        make_pixels(s, a, to + r * LINE, weights, bias, silu, inside, y, x);
        UNROLL for (int e = 0; e < 4; e++) a[0][e] = a[2][e];
    }
    if (warp > 2) return;
    const int last_y = PATCH_H - 1, last_x = PATCH_W - 1;
    int row = warp == 1 ? i : last_y, column = warp == 0 ? i : last_x;
    int y[2] = {top + (warp == 1 ? g : last_y), top + (warp == 1 ? g + 8 : last_y)};
    int x[2] = {left + (warp == 0 ? g : last_x), left + (warp == 0 ? g + 8 : last_x)};
    even = picture + row * 2 * ROW + window_at(column, half), odd = even ^ 16;
    to = patch + (warp == 2 && i > 0 ? SPARE + i * 32 + half * 16 : row * LINE + chunk_at(column, half));
    load_matrix4(a[0], even);
    load_matrix4(a[1], odd + ROW);
    load_matrix4(a[2], even + 2 * ROW);
    make_pixels(s, a, to, weights, bias, silu, inside, y, x);
}

// Of a warp two rows of eight output pixels.
DEV void multiply_patch(float *acc, u32 weights, u32 patch) {
    int warp = thread_id() >> 5, lane = thread_id() & 31;
    u32 from = patch + (warp * 2 + (lane >> 3 & 1)) * STRIDE * LINE, a[TAPS][4];
    const u64 b = describe(weights, 8, 1, 64);
    UNROLL for (int tap = 0; tap < TAPS; tap++)
        load_matrix4(a[tap], from + tap / KS * LINE + chunk_at((lane & 7) * STRIDE + tap % KS, lane >> 4));
    warpgroup_fence();
    UNROLL for (int tap = 0; tap < TAPS; tap++)
        warpgroup_multiply_registers(acc, a[tap], b + (tap * 2 >> 3) * BN * 8 + (tap * 2 & 7));
    warpgroup_commit();
    warpgroup_wait(0);
}

DEV void store_tile(const sw_cuda_conv *p, float *acc, int tile, int channel) {
    int pixel[2];
    find_pixels(p, tile, pixel);
    if (p->act == CUDA_ACT_SILU) {
        UNROLL for (int i = 0; i < NT * 4; i++) acc[i] = silu_of_half(.5f * acc[i]);
    } else {
        activate_all(p, acc);
    }
    UNROLL for (int h = 0; h < 2; h++) {
        if (pixel[h] >= p->pixels) continue;
        f16 *to = (f16 *)p->out + (size_t)pixel[h] * p->out_pitch + channel;
        UNROLL for (int c = 0; c < 2 * NT; c += 8) {
            const float *v = acc + c * 2 + h * 2;
            vec4 w = {pack(v[0], v[1]), pack(v[4], v[5]), pack(v[8], v[9]), pack(v[12], v[13])};
            if (channel + c < p->out_channels) store16(to + c, w);
        }
    }
}

KERNEL(stem_conv, sw_cuda_stem_conv) {
    const sw_cuda_conv *s = &ARGS->stem, *p = &ARGS->conv;
    int tile = block_id(), channel = (thread_id() & 3) * 2 * NT;
    u32 second = shared_base(), patch = second + (p->depth + 7) / 8 * BN * 128, picture = patch + SPARE + 16 * 32;
    u32 weights[ROWS][2][2];
    float bias[4];
    bool silu = s->act == CUDA_ACT_SILU;
    load_weights(p, second, 0);
    copy_commit();
    load_stem_weights(s, shift_of(s, p), silu ? .5f : 1.f, weights, bias);
    wait_for_predecessor();
    quad quads[LOADS];
    items mine;
    find_items(s, picture, &mine);
    load_picture(s, p, tile, &mine, quads);
    copy_wait(0);
    async_proxy_fence();
    while (tile < p->tiles) {
        float acc[NT * 4];
        int next = tile + p->step;
        store_picture(&mine, quads);
        barrier();
        if (next < p->tiles) load_picture(s, p, next, &mine, quads);
        if (silu)
            make_patch(s, p, picture, patch, tile, weights, bias, true);
        else
            make_patch(s, p, picture, patch, tile, weights, bias, false);
        barrier();
        start_sums(p, acc, channel, true);
        multiply_patch(acc, second, patch);
        store_tile(p, acc, tile, channel);
        tile = next;
    }
}
