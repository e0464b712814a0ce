/* Winograd convolutions of 3x3 kernels on AVX2 and FMA: fewer products, for some additions before and after.
 *
 * Stride 1 is F(4x4, 3x3): 36 products for 16 outputs instead of 144. Stride 2 is polyphase F(4x4, 2x2) (as in
 * Huang et al., DWM, arXiv 2002.00552): per dimension y[i] = w0 x[2i] + w2 x[2i + 2] + w1 x[2i + 1]; the even
 * samples are a 2-tap convolution of stride 1 with 5 products for 4 outputs, the odd ones take 4 plain products: 81
 * instead of 144, and as the odd products share their weights, only 36 matrices of weights.
 *
 * Pipeline: a block of tiles is transformed into points[point][tile][channel]; for each panel of 16 output channels
 * and every 12 tiles of the block, one small matrix product a point gives sums[point][tile][16]; these are
 * transformed back, finished, stored. */
#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "kernels/conv/epilogue_avx2.h"
#include "kernels/conv/panels.h"
#include "kernels/conv/tactics.h"
#include "kernels/wide.h"

enum {
    LANES = SW_PANEL_LANES,
    OUT = 4,       /* outputs of a tile, per dimension */
    MATRICES = 36, /* of weights, 6 x 6 */
    GROUP = 12,    /* tiles that are multiplied at a time */
    MOST_SIDE = 9, /* input samples of a tile, per dimension, and points */
    POINTS_BYTES = 192 * 1024,
};

/* Input samples of a tile per dimension, which are as many as its points. */
static int64_t side_of(const sw_conv *c) {
    return c->stride_h == 1 ? 6 : 9;
}

/* ---- Transforms of one dimension --------------------------------------------------------------------------------- */

/* F(4, 3) with points 0, +-A, +-B, infinity: nearer to the balance of rounding errors than 0, +-1, +-2 (half their
 * error). All constants are exact in binary. */
#define A  0.625f
#define B  1.5f
#define A2 (A * A)
#define B2 (B * B)

SW_INLINE void forward_s1(const v8 *d, v8 *t) {
    v8 even_a = v8_fnma(v8_all(B2), d[2], d[4]), odd_a = v8_fnma(v8_all(B2), d[1], d[3]);
    v8 even_b = v8_fnma(v8_all(A2), d[2], d[4]), odd_b = v8_fnma(v8_all(A2), d[1], d[3]);
    t[0] = v8_fma(v8_all(A2 * B2), d[0], v8_fnma(v8_all(A2 + B2), d[2], d[4]));
    t[1] = v8_fma(v8_all(A), odd_a, even_a);
    t[2] = v8_fnma(v8_all(A), odd_a, even_a);
    t[3] = v8_fma(v8_all(B), odd_b, even_b);
    t[4] = v8_fnma(v8_all(B), odd_b, even_b);
    t[5] = v8_fma(v8_all(A2 * B2), d[1], v8_fnma(v8_all(A2 + B2), d[3], d[5]));
}

SW_INLINE void back_s1(const v8 *m, v8 *y) {
    v8 sum_a = v8_add(m[1], m[2]), dif_a = v8_sub(m[1], m[2]), sum_b = v8_add(m[3], m[4]), dif_b = v8_sub(m[3], m[4]);
    y[0] = v8_add(v8_add(m[0], sum_a), sum_b);
    y[1] = v8_fma(v8_all(A), dif_a, v8_mul(v8_all(B), dif_b));
    y[2] = v8_fma(v8_all(A2), sum_a, v8_mul(v8_all(B2), sum_b));
    y[3] = v8_fma(v8_all(A2 * A), dif_a, v8_fma(v8_all(B2 * B), dif_b, m[5]));
}

/* Even samples: F(4, 2) with points 0, 1, -1, 2, infinity; odd samples as they are. */
SW_INLINE void forward_s2(const v8 *d, v8 *t) {
    const v8 two = v8_all(2.0f);
    v8 d62 = v8_sub(d[6], d[2]), d64 = v8_sub(d[6], d[4]), d04 = v8_sub(d[0], d[4]);
    t[0] = v8_fma(two, d04, d62);
    t[1] = v8_fnma(two, d[2], d64);
    t[2] = v8_fma(two, d[2], v8_fnma(v8_all(3.0f), d[4], d[6]));
    t[3] = d62;
    t[4] = v8_fnma(two, d62, v8_sub(d[8], d[4]));
    t[5] = d[1];
    t[6] = d[3];
    t[7] = d[5];
    t[8] = d[7];
}

SW_INLINE void back_s2(const v8 *m, v8 *y) {
    v8 sum = v8_add(m[1], m[2]), dif = v8_sub(m[1], m[2]);
    y[0] = v8_add(v8_add(v8_add(m[0], sum), m[3]), m[5]);
    y[1] = v8_add(v8_fma(v8_all(2.0f), m[3], dif), m[6]);
    y[2] = v8_add(v8_fma(v8_all(4.0f), m[3], sum), m[7]);
    y[3] = v8_add(v8_fma(v8_all(8.0f), m[3], dif), v8_add(m[4], m[8]));
}

/* Weights, in double: six values of three. */
static void weights_s1(const double *w, int64_t step, double *out) {
    const double a = A, b = B, a2 = A2, b2 = B2, fa = 1 / (2 * a2 * (a2 - b2)), fb = 1 / (2 * b2 * (b2 - a2));
    double w0 = w[0], w1 = w[step], w2 = w[2 * step];
    out[0] = w0 / (a2 * b2);
    out[1] = (w0 + a * w1 + a2 * w2) * fa;
    out[2] = (w0 - a * w1 + a2 * w2) * fa;
    out[3] = (w0 + b * w1 + b2 * w2) * fb;
    out[4] = (w0 - b * w1 + b2 * w2) * fb;
    out[5] = w2;
}

static void weights_s2(const double *w, int64_t step, double *out) {
    double w0 = w[0], w1 = w[step], w2 = w[2 * step];
    out[0] = w0 / 2;
    out[1] = -(w0 + w2) / 2;
    out[2] = (w2 - w0) / 6;
    out[3] = (w0 + 2 * w2) / 6;
    out[4] = w2;
    out[5] = w1;
}

/* ---- Packing ----------------------------------------------------------------------------------------------------- */

static int64_t panel_floats(const sw_conv *c) {
    return (MATRICES * c->in_channels + 1) * LANES;
}

static size_t packed_bytes(const sw_conv *c) {
    return (size_t)(sw__panels_of(c) * panel_floats(c)) * sizeof(float);
}

/* By panel: 16 biases, then 36 matrices of in_channels x 16. */
static void pack(const sw_conv *c, const float *weights, const float *bias, void *packed) {
    memset(packed, 0, packed_bytes(c));
    void (*transform)(const double *, int64_t, double *) = c->stride_h == 1 ? weights_s1 : weights_s2;
    for (int64_t m = 0; m < c->out_channels; m++) {
        float *panel = (float *)packed + m / LANES * panel_floats(c) + m % LANES;
        panel[0] = bias ? bias[m] : 0;
        panel += LANES;
        for (int64_t k = 0; k < c->in_channels; k++) {
            double w[9], rows[18], row[6]; /* rows[3][6]: each kernel row transformed */
            for (int i = 0; i < 9; i++) w[i] = (double)weights[(m * c->in_channels + k) * 9 + i];
            for (int y = 0; y < 3; y++) transform(w + 3 * y, 1, rows + 6 * y);
            for (int x = 0; x < 6; x++) {
                transform(rows + x, 6, row);
                for (int y = 0; y < 6; y++) panel[((y * 6 + x) * c->in_channels + k) * LANES] = (float)row[y];
            }
        }
    }
}

/* ---- Cutting ----------------------------------------------------------------------------------------------------- */

typedef struct plan {
    int64_t side, depth8;            /* samples of a tile per dimension; channels rounded up to vectors */
    int64_t tiles_x, tiles_y, tiles; /* tiles: of the whole batch */
    int64_t block, blocks;           /* tiles of a block */
    int64_t panels, splits, split_panels;
    int64_t point_step; /* floats from point to point */
    int64_t points_floats, sums_floats, thread_floats;
} plan;

static plan plan_of(const sw_conv *c, int threads) {
    plan p = {.side = side_of(c), .depth8 = sw__ceil_div(c->in_channels, 8) * 8, .panels = sw__panels_of(c)};
    int64_t items = threads == 1 ? 1 : 4 * (int64_t)threads, points = p.side * p.side;
    p.tiles_x = sw__ceil_div(c->out_width, OUT);
    p.tiles_y = sw__ceil_div(c->out_height, OUT);
    p.tiles = c->batch * p.tiles_x * p.tiles_y;
    int64_t most = POINTS_BYTES / 4 / points / p.depth8 / GROUP * GROUP;
    /* Weights that the cache does not hold are better read for more tiles at a time. */
    most = sw__max64(packed_bytes(c) > 1 << 20 ? 2 * GROUP : GROUP, sw__min64(most, 8 * GROUP));
    p.blocks = sw__max64(sw__ceil_div(p.tiles, most), sw__min64(items, sw__ceil_div(p.tiles, GROUP)));
    p.block = sw__ceil_div(sw__ceil_div(p.tiles, p.blocks), 6) * 6;
    p.blocks = sw__ceil_div(p.tiles, p.block);
    /* Each split transforms the block again: worth it where a panel's products outweigh that. */
    p.split_panels = sw__ceil_div(p.panels, sw__min64(p.panels, sw__ceil_div(items, 2 * p.blocks)));
    p.splits = sw__ceil_div(p.panels, p.split_panels);
    p.point_step =
        (sw__ceil_div(p.block * p.depth8, 16) | 1) * 16; /* an odd number of cache lines: points spread over all sets */
    p.points_floats = points * p.point_step;
    p.sums_floats = points * GROUP * LANES;
    p.thread_floats = p.points_floats + p.sums_floats + p.depth8 + OUT * LANES;
    p.thread_floats = sw__ceil_div(p.thread_floats, 16) * 16;
    return p;
}

typedef struct job {
    const sw_conv *c;
    const plan *p;
    const float *packed, *in, *residual;
    float *out, *scratch;
} job;

/* ---- Input ------------------------------------------------------------------------------------------------------- */

/* One vector of channels of a tile: points[(y * side + x) * step] from samples that lie at from[y * side + x]
 * (borders), or at base + y * row + x * pixel; n < 8 channels where the map has no more. */
SW_INLINE void transform_tile(int side, const float *const *from, const float *base, int64_t row, int64_t pixel,
                              int64_t channel, int64_t n, float *points, int64_t step) {
    v8 half[MOST_SIDE][MOST_SIDE];
    SW_UNROLL
    for (int x = 0; x < side; x++) {
        v8 d[MOST_SIDE], t[MOST_SIDE];
        SW_UNROLL
        for (int y = 0; y < side; y++) {
            const float *at = (from ? from[y * side + x] : base + y * row + x * pixel) + channel;
            d[y] = n == 8 ? v8_load(at) : v8_load_n(at, n);
        }
        if (side == 6)
            forward_s1(d, t);
        else
            forward_s2(d, t);
        SW_UNROLL
        for (int y = 0; y < side; y++) half[y][x] = t[y];
    }
    SW_UNROLL
    for (int y = 0; y < side; y++) {
        v8 t[MOST_SIDE];
        if (side == 6)
            forward_s1(half[y], t);
        else
            forward_s2(half[y], t);
        SW_UNROLL
        for (int x = 0; x < side; x++) v8_store(points + (y * side + x) * step, t[x]);
    }
}

SW_INLINE void transform_channels(const sw_conv *c, int side, const float *const *from, const float *base,
                                  float *points, int64_t step) {
    int64_t row = c->width * c->in_pitch, k = 0;
    for (; k + 8 <= c->in_channels; k += 8) transform_tile(side, from, base, row, c->in_pitch, k, 8, points + k, step);
    if (k < c->in_channels) transform_tile(side, from, base, row, c->in_pitch, k, c->in_channels - k, points + k, step);
}

#define TRANSFORM(name, side, from_, base_)                                                                            \
    static void name(const sw_conv *c, const float *const *from, const float *base, float *points, int64_t step) {     \
        transform_channels(c, side, from_, base_, points, step);                                                       \
    }
TRANSFORM(transform_inside_s1, 6, NULL, base)
TRANSFORM(transform_border_s1, 6, from, NULL)
TRANSFORM(transform_inside_s2, 9, NULL, base)
TRANSFORM(transform_border_s2, 9, from, NULL)

/* Where a tile lies: its picture, and its first output. */
typedef struct place {
    int64_t n, oy, ox;
} place;

static place place_of(const plan *p, int64_t tile) {
    return (place){tile / p->tiles_x / p->tiles_y, tile / p->tiles_x % p->tiles_y * OUT, tile % p->tiles_x * OUT};
}

static void transform_in(const job *j, int64_t first, int64_t count, float *points, const float *zeros) {
    const sw_conv *c = j->c;
    const plan *p = j->p;
    int64_t side = p->side, step = p->point_step;
    for (int64_t t = 0; t < count; t++, points += p->depth8) {
        place at = place_of(p, first + t);
        int64_t y0 = at.oy * c->stride_h - c->pad_top, x0 = at.ox * c->stride_w - c->pad_left;
        const float *picture = j->in + at.n * c->height * c->width * c->in_pitch;
        if (y0 >= 0 && x0 >= 0 && y0 + side <= c->height && x0 + side <= c->width) {
            const float *base = picture + (y0 * c->width + x0) * c->in_pitch;
            (side == 6 ? transform_inside_s1 : transform_inside_s2)(c, NULL, base, points, step);
            continue;
        }
        const float *from[MOST_SIDE * MOST_SIDE];
        for (int64_t y = y0, i = 0; y < y0 + side; y++)
            for (int64_t x = x0; x < x0 + side; x++, i++)
                from[i] = y >= 0 && y < c->height && x >= 0 && x < c->width ? picture + (y * c->width + x) * c->in_pitch
                                                                            : zeros;
        (side == 6 ? transform_border_s1 : transform_border_s2)(c, from, NULL, points, step);
    }
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

/* sums[6][8 * vectors] = 6 tiles' channels x a matrix of depth x 16. */
SW_INLINE void multiply(const float *a, int64_t step, const float *w, int64_t depth, float *sums, int vectors) {
    v8 acc[6][2];
    SW_UNROLL
    for (int i = 0; i < 6; i++) {
        SW_UNROLL
        for (int v = 0; v < vectors; v++) acc[i][v] = _mm256_setzero_ps();
    }
    const float *a3 = a + 3 * step;
    const float *next = w + depth * LANES; /* the next point's matrix, most often */
    for (int64_t k = 0; k < depth; k++, w += LANES, next += LANES) {
        v8 b[2];
        _mm_prefetch((const char *)next, _MM_HINT_T0);
        SW_UNROLL
        for (int v = 0; v < vectors; v++) b[v] = v8_load(w + 8 * v);
        SW_UNROLL
        for (int i = 0; i < 6; i++) {
            v8 x = _mm256_broadcast_ss((i < 3 ? a + i * step : a3 + (i - 3) * step) + k);
            SW_UNROLL
            for (int v = 0; v < vectors; v++) acc[i][v] = v8_fma(x, b[v], acc[i][v]);
        }
    }
    SW_UNROLL
    for (int i = 0; i < 6; i++) {
        SW_UNROLL
        for (int v = 0; v < vectors; v++) v8_store(sums + i * LANES + 8 * v, acc[i][v]);
    }
}

/* All points of up to GROUP tiles. Points from the fifth on share their matrices (stride 2). */
SW_INLINE void multiply_points(const plan *p, const float *points, const float *w, int64_t depth, int64_t tiles,
                               float *sums, int vectors) {
    for (int64_t y = 0; y < p->side; y++)
        for (int64_t x = 0; x < p->side; x++) {
            const float *a = points + (y * p->side + x) * p->point_step;
            const float *matrix = w + (sw__min64(y, 5) * 6 + sw__min64(x, 5)) * depth * LANES;
            float *out = sums + (y * p->side + x) * GROUP * LANES;
            multiply(a, p->depth8, matrix, depth, out, vectors);
            if (tiles > 6) multiply(a + 6 * p->depth8, p->depth8, matrix, depth, out + 6 * LANES, vectors);
        }
}

static void multiply_16(const plan *p, const float *points, const float *w, int64_t depth, int64_t tiles, float *sums) {
    multiply_points(p, points, w, depth, tiles, sums, 2);
}
static void multiply_8(const plan *p, const float *points, const float *w, int64_t depth, int64_t tiles, float *sums) {
    multiply_points(p, points, w, depth, tiles, sums, 1);
}

/* ---- Output ------------------------------------------------------------------------------------------------------ */

/* The 4 x 4 outputs of a tile, n <= 8 channels. `unused` stands for those outside of the map. */
SW_INLINE void transform_out(const job *j, int side, place at, int64_t channel, int64_t n, const float *sums, v8 bias,
                             float *unused) {
    const sw_conv *c = j->c;
    v8 half[OUT][MOST_SIDE];
    SW_UNROLL
    for (int x = 0; x < side; x++) {
        v8 m[MOST_SIDE], y[OUT];
        SW_UNROLL
        for (int i = 0; i < side; i++) m[i] = v8_load(sums + (i * side + x) * GROUP * LANES);
        if (side == 6)
            back_s1(m, y);
        else
            back_s2(m, y);
        SW_UNROLL
        for (int i = 0; i < OUT; i++) half[i][x] = y[i];
    }
    int64_t rows = sw__min64(OUT, c->out_height - at.oy), cols = sw__min64(OUT, c->out_width - at.ox);
    int64_t pixel = (at.n * c->out_height + at.oy) * c->out_width + at.ox;
    bool simple = cols == OUT && n == 8 && !c->residual;
    for (int64_t i = 0; i < rows; i++, pixel += c->out_width) {
        v8 y[OUT];
        if (side == 6)
            back_s1(half[i], y);
        else
            back_s2(half[i], y);
        SW_UNROLL
        for (int k = 0; k < OUT; k++) y[k] = v8_add(y[k], bias);
        if (simple) {
            float *to = j->out + pixel * c->out_pitch + channel;
            sw__act_v8(c, c->act, y, OUT);
            SW_UNROLL
            for (int k = 0; k < OUT; k++) v8_store(to + k * c->out_pitch, y[k]);
            continue;
        }
        float *to[OUT];
        const float *residual[OUT];
        SW_UNROLL
        for (int k = 0; k < OUT; k++) {
            to[k] = k < cols ? j->out + (pixel + k) * c->out_pitch + channel : unused;
            residual[k] = k < cols && c->residual ? j->residual + (pixel + k) * c->residual_pitch + channel : unused;
        }
        sw__finish_v8(c, y, to, residual, OUT, n);
    }
}

static void finish_s1(const job *j, place at, int64_t channel, int64_t n, const float *sums, v8 bias, float *unused) {
    transform_out(j, 6, at, channel, n, sums, bias, unused);
}
static void finish_s2(const job *j, place at, int64_t channel, int64_t n, const float *sums, v8 bias, float *unused) {
    transform_out(j, 9, at, channel, n, sums, bias, unused);
}

static void run_panel(const job *j, int64_t panel, int64_t first, int64_t count, const float *points, float *sums,
                      float *unused) {
    const sw_conv *c = j->c;
    const plan *p = j->p;
    const float *w = j->packed + panel * panel_floats(c);
    int64_t channel = panel * LANES, lanes = sw__min64(LANES, c->out_channels - channel);
    for (int64_t t = 0; t < count; t += GROUP) {
        int64_t tiles = sw__min64(GROUP, count - t);
        (lanes > 8 ? multiply_16 : multiply_8)(p, points + t * p->depth8, w + LANES, c->in_channels, tiles, sums);
        for (int64_t i = 0; i < tiles; i++) {
            place at = place_of(p, first + t + i);
            for (int64_t lane = 0; lane < lanes; lane += 8)
                (p->side == 6 ? finish_s1 : finish_s2)(j, at, channel + lane, sw__min64(8, lanes - lane),
                                                       sums + i * LANES + lane, v8_load(w + lane), unused);
        }
    }
}

static void run_items(void *ctx, int64_t begin, int64_t end, int thread) {
    const job *j = ctx;
    const plan *p = j->p;
    float *points = j->scratch + thread * p->thread_floats, *sums = points + p->points_floats,
          *unused = sums + p->sums_floats;
    float *zeros = unused + OUT * LANES;
    int64_t taken = -1; /* the block that `points` holds */
    memset(zeros, 0, (size_t)p->depth8 * sizeof *zeros);
    for (int64_t item = begin; item < end; item++) {
        int64_t first = item / p->splits * p->block, count = sw__min64(p->block, p->tiles - first),
                panel = item % p->splits * p->split_panels;
        if (first != taken) transform_in(j, first, count, points, zeros);
        taken = first;
        for (int64_t end_panel = sw__min64(p->panels, panel + p->split_panels); panel < end_panel; panel++)
            run_panel(j, panel, first, count, points, sums, unused);
    }
}

/* ---- Tactics ----------------------------------------------------------------------------------------------------- */

static const char *refuse(const sw_conv *c, int64_t stride) {
    if (c->kernel_h != 3 || c->kernel_w != 3) return "its kernel is not 3x3";
    if (c->stride_h != stride || c->stride_w != stride) return "its stride is another";
    if (c->dilation_h != 1 || c->dilation_w != 1) return "it is dilated";
    if (c->groups != 1) return "it has groups";
    return NULL;
}

static const char *refuse_s1(const sw_conv *c) {
    return refuse(c, 1);
}
static const char *refuse_s2(const sw_conv *c) {
    return refuse(c, 2);
}

static size_t scratch_bytes(const sw_conv *c, int threads) {
    return (size_t)(plan_of(c, threads).thread_floats * threads) * sizeof(float);
}

static void run(const sw_conv *c, const void *packed, const float *in, const float *residual, float *out, void *scratch,
                sw_pool *pool) {
    plan p = plan_of(c, sw_pool_threads(pool));
    job j = {.c = c, .p = &p, .packed = packed, .in = in, .residual = residual, .out = out, .scratch = scratch};
    sw_pool_for(pool, p.blocks * p.splits, 1, run_items, &j);
}

static double cost(const sw_conv *c) {
    plan p = plan_of(c, 1);
    double tiles = (double)p.tiles, points = (double)(p.side * p.side), panels = (double)p.panels;
    double in = tiles * (double)(p.depth8 / 8) * (p.side == 6 ? 80 : 200);
    double product = ceil(tiles / 6) * panels * points * (6.3 * (double)c->in_channels + 20);
    double out = tiles * panels * 2 * (p.side == 6 ? 110 : 180);
    return in + product + out + sw__weight_cycles(packed_bytes(c), p.blocks);
}

const sw_conv_tactic sw__conv_winograd_f43_avx2 = {
    "winograd-f43-avx2", SW_CPU_AVX2, refuse_s1, packed_bytes, pack, scratch_bytes, run, cost,
};
const sw_conv_tactic sw__conv_winograd_s2_avx2 = {
    "winograd-s2-avx2", SW_CPU_AVX2, refuse_s2, packed_bytes, pack, scratch_bytes, run, cost,
};
