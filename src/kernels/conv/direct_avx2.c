/* Direct convolution on AVX2 and FMA: products of 6 pixels x 16 output channels in registers.
 *
 * A block of output pixels is taken through all panels of weights. A kernel of 1x1 without pads reads the map where
 * it lies. For others, the input rows under the block are copied to scratch first, with their zero border and only
 * the group's channels: there each kernel row is one run of kernel_w * depth contiguous floats (or kernel_w runs of
 * `depth` floats where it is dilated). */
#include <string.h>

#include "base/cpu.h"
#include "kernels/conv/epilogue_avx2.h"
#include "kernels/conv/panels.h"
#include "kernels/conv/tactics.h"
#include "kernels/wide.h"

enum { ROWS = 6, LANES = SW_PANEL_LANES, MOST_PIXELS = 192, BLOCK_BYTES = 192 * 1024, STRIP_BYTES = 256 * 1024 };

/* How a call is cut. */
typedef struct plan {
    bool strips;
    int64_t depth, per_group, panels, panel_floats;
    int64_t block_w, block_h, blocks_x,
        blocks_y;                 /* of output pixels; without strips the whole map is one row of them */
    int64_t splits, split_panels; /* panels of a group are dealt out to so many items */
    int64_t strip_w;              /* pixels of a row of a strip */
    int64_t runs_y, runs_x, run, step_y,
        step_x;            /* runs of contiguous floats under a pixel, and between their beginnings */
    int64_t thread_floats; /* of scratch */
} plan;

/* The strip under `count` output pixels in a row. */
static int64_t span(int64_t count, int64_t stride, int64_t kernel, int64_t dilation) {
    return (count - 1) * stride + (kernel - 1) * dilation + 1;
}

static int64_t strip_bytes(const sw_conv *c, const plan *p, int64_t w, int64_t h) {
    return span(h, c->stride_h, c->kernel_h, c->dilation_h) * span(w, c->stride_w, c->kernel_w, c->dilation_w) *
           p->depth * 4;
}

static bool is_pointwise(const sw_conv *c) {
    return c->kernel_h == 1 && c->kernel_w == 1 && c->pad_top == 0 && c->pad_left == 0 &&
           (c->out_height - 1) * c->stride_h < c->height && (c->out_width - 1) * c->stride_w < c->width;
}

static void plan_pointwise(const sw_conv *c, plan *p, int64_t items) {
    int64_t pixels = c->batch * c->out_height * c->out_width;
    int64_t most = sw__max64(24, sw__min64(MOST_PIXELS, BLOCK_BYTES / 4 / p->depth));
    p->blocks_y = 1;
    p->blocks_x = sw__max64(sw__ceil_div(pixels, most), sw__min64(items, pixels / 48));
    p->block_w = sw__ceil_div(sw__ceil_div(pixels, sw__max64(p->blocks_x, 1)), ROWS) * ROWS;
    p->blocks_x = sw__ceil_div(pixels, p->block_w);
    p->block_h = 1;
    p->runs_y = p->runs_x = 1;
    p->run = p->depth;
}

static void plan_strips(const sw_conv *c, plan *p, int64_t items) {
    p->blocks_x = sw__ceil_div(c->out_width, MOST_PIXELS);
    p->block_w = sw__ceil_div(c->out_width, p->blocks_x);
    while (p->block_w > 12 && strip_bytes(c, p, p->block_w, 1) > STRIP_BYTES) p->block_w = sw__ceil_div(p->block_w, 2);
    p->blocks_x = sw__ceil_div(c->out_width, p->block_w);
    int64_t h = sw__max64(1, sw__min64(c->out_height, MOST_PIXELS / p->block_w));
    while (h > 1 && strip_bytes(c, p, p->block_w, h) > STRIP_BYTES) h--;
    int64_t wanted =
        sw__min64(sw__ceil_div(items, c->batch * p->blocks_x), sw__max64(1, c->out_height * p->block_w / 48));
    p->block_h = sw__ceil_div(c->out_height, sw__max64(sw__ceil_div(c->out_height, h), wanted));
    p->blocks_y = sw__ceil_div(c->out_height, p->block_h);
    p->strip_w = span(p->block_w, c->stride_w, c->kernel_w, c->dilation_w);
    p->runs_y = c->kernel_h;
    p->runs_x = c->dilation_w == 1 ? 1 : c->kernel_w;
    p->run = (c->dilation_w == 1 ? c->kernel_w : 1) * p->depth;
    p->step_x = c->dilation_w * p->depth;
    p->step_y = c->dilation_h * p->strip_w * p->depth;
    p->thread_floats = sw__ceil_div(strip_bytes(c, p, p->block_w, p->block_h), 64) * 16;
}

static plan plan_of(const sw_conv *c, int threads) {
    plan p = {
        .depth = c->in_channels / c->groups, .per_group = c->out_channels / c->groups, .panels = sw__panels_of(c)};
    int64_t items = threads == 1 ? 1 : 4 * (int64_t)threads;
    p.panel_floats = (sw__panel_taps(c) + 1) * LANES;
    p.strips = !is_pointwise(c);
    if (p.strips)
        plan_strips(c, &p, items);
    else
        plan_pointwise(c, &p, items);
    int64_t blocks = p.blocks_x * p.blocks_y * (p.strips ? c->batch : 1) * c->groups;
    p.split_panels = sw__ceil_div(p.panels, sw__min64(p.panels, sw__ceil_div(items, blocks)));
    p.splits = sw__ceil_div(p.panels, p.split_panels);
    return p;
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

/* acc[rows][vectors] = bias + products of `rows` pixels with a panel. */
SW_INLINE void multiply(const plan *p, const float *const *a, const float *w, v8 acc[ROWS][2], int rows, int vectors) {
    SW_UNROLL
    for (int i = 0; i < rows; i++) {
        SW_UNROLL
        for (int v = 0; v < vectors; v++) acc[i][v] = v8_load(w + 8 * v);
    }
    w += LANES;
    for (int64_t y = 0; y < p->runs_y; y++)
        for (int64_t x = 0; x < p->runs_x; x++) {
            int64_t at = y * p->step_y + x * p->step_x;
            const float *from[ROWS];
            SW_UNROLL
            for (int i = 0; i < rows; i++) from[i] = a[i] + at;
            for (int64_t k = 0; k < p->run; k++, w += LANES) {
                v8 b[2];
                SW_UNROLL
                for (int v = 0; v < vectors; v++) b[v] = v8_load(w + 8 * v);
                SW_UNROLL
                for (int i = 0; i < rows; i++) {
                    v8 x8 = _mm256_broadcast_ss(from[i] + k);
                    SW_UNROLL
                    for (int v = 0; v < vectors; v++) acc[i][v] = v8_fma(x8, b[v], acc[i][v]);
                }
            }
        }
}

/* sum[rows][LANES]: unrolled like all loops over `acc`, which else would not stay in registers. */
SW_INLINE void store_sums(v8 acc[ROWS][2], float *sum, int rows, int vectors) {
    SW_UNROLL
    for (int i = 0; i < rows; i++) {
        SW_UNROLL
        for (int v = 0; v < vectors; v++) v8_store(sum + i * LANES + 8 * v, acc[i][v]);
    }
}

/* A whole tile without residual. Activations need registers: the sums go through memory. */
SW_INLINE void whole(const sw_conv *c, const plan *p, const float *const *a, const float *w, float *const *to,
                     int64_t channel, sw_act act) {
    v8 acc[ROWS][2];
    multiply(p, a, w, acc, ROWS, 2);
    if (act == SW_ACT_NONE) {
        SW_UNROLL
        for (int i = 0; i < ROWS; i++) {
            v8_store(to[i] + channel, acc[i][0]);
            v8_store(to[i] + channel + 8, acc[i][1]);
        }
        return;
    }
    _Alignas(32) float sum[ROWS * LANES];
    store_sums(acc, sum, ROWS, 2);
    SW_SPILL;
    for (int i = 0; i < ROWS; i++) {
        v8 x[2] = {v8_load(sum + i * LANES), v8_load(sum + i * LANES + 8)};
        sw__act_v8(c, act, x, 2);
        v8_store(to[i] + channel, x[0]);
        v8_store(to[i] + channel + 8, x[1]);
    }
}

typedef void (*whole_fn)(const sw_conv *c, const plan *p, const float *const *a, const float *w, float *const *to,
                         int64_t channel);

#define WHOLE(name, act)                                                                                               \
    static void name(const sw_conv *c, const plan *p, const float *const *a, const float *w, float *const *to,         \
                     int64_t channel) {                                                                                \
        whole(c, p, a, w, to, channel, act);                                                                           \
    }
WHOLE(whole_none, SW_ACT_NONE)
WHOLE(whole_relu, SW_ACT_RELU)
WHOLE(whole_silu, SW_ACT_SILU)
WHOLE(whole_other, c->act)

/* NULL where tiles need more than that. */
static whole_fn whole_of(const sw_conv *c) {
    if (c->residual) return NULL;
    switch (c->act) {
    case SW_ACT_NONE:
        return whole_none;
    case SW_ACT_RELU:
        return whole_relu;
    case SW_ACT_SILU:
        return whole_silu;
    default:
        return whole_other;
    }
}

#define MULTIPLY(name, rows, vectors)                                                                                  \
    static void name(const plan *p, const float *const *a, const float *w, float *sum) {                               \
        v8 acc[ROWS][2];                                                                                               \
        multiply(p, a, w, acc, rows, vectors);                                                                         \
        store_sums(acc, sum, rows, vectors);                                                                           \
    }
MULTIPLY(multiply_6x16, 6, 2)
MULTIPLY(multiply_3x16, 3, 2)
MULTIPLY(multiply_1x16, 1, 2)
MULTIPLY(multiply_6x8, 6, 1)
MULTIPLY(multiply_3x8, 3, 1)
MULTIPLY(multiply_1x8, 1, 1)

/* sum[rows][LANES]; pixels that are missing in a tile of 6 or 3 repeat the first. */
static void multiply_part(const plan *p, const float *const *a, const float *w, float *sum, int64_t rows,
                          int64_t lanes) {
    if (lanes > 8)
        (rows > 3 ? multiply_6x16 : rows > 1 ? multiply_3x16 : multiply_1x16)(p, a, w, sum);
    else
        (rows > 3 ? multiply_6x8 : rows > 1 ? multiply_3x8 : multiply_1x8)(p, a, w, sum);
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------ */

typedef struct job {
    const sw_conv *c;
    const plan *p;
    const float *packed, *in, *residual;
    float *out, *scratch;
} job;

/* A block's pixels: where their input and output begin, and their residual. */
typedef struct block {
    int64_t count;
    const float *from[MOST_PIXELS + ROWS], *residual[MOST_PIXELS];
    float *to[MOST_PIXELS];
} block;

static void add_pixel(const job *j, block *px, const float *from, int64_t number) {
    px->from[px->count] = from;
    px->to[px->count] = j->out + number * j->c->out_pitch;
    px->residual[px->count++] = j->c->residual ? j->residual + number * j->c->residual_pitch : NULL;
}

static void finish_tile(const job *j, const block *px, int64_t first, int64_t rows, int64_t channel, int64_t lanes,
                        float *sum) {
    const sw_conv *c = j->c;
    float unused[8] = {0}; /* stands for pixels that are not there */
    for (int64_t lane = 0; lane < lanes; lane += 8) {
        float *to[ROWS];
        const float *residual[ROWS];
        for (int64_t i = 0; i < ROWS; i++) {
            to[i] = i < rows ? px->to[first + i] + channel + lane : unused;
            residual[i] = i < rows && c->residual ? px->residual[first + i] + channel + lane : unused;
        }
        for (int64_t i = 0; i < rows; i += 3) {
            v8 x[3];
            SW_UNROLL
            for (int64_t k = 0; k < 3; k++) x[k] = v8_load(sum + (i + k) * LANES + lane);
            sw__finish_v8(c, x, to + i, residual + i, 3, sw__min64(8, lanes - lane));
        }
    }
}

static void run_panels(const job *j, const block *px, int64_t group, int64_t first_panel, int64_t end_panel) {
    const plan *p = j->p;
    _Alignas(32) float sum[ROWS * LANES] = {0};
    whole_fn take_whole = whole_of(j->c);
    for (int64_t panel = first_panel; panel < end_panel; panel++) {
        const float *w = j->packed + (group * p->panels + panel) * p->panel_floats;
        int64_t channel = group * p->per_group + panel * LANES, lanes = sw__min64(LANES, p->per_group - panel * LANES),
                i = 0;
        if (lanes == LANES && take_whole)
            for (; i + ROWS <= px->count; i += ROWS) take_whole(j->c, p, px->from + i, w, px->to + i, channel);
        for (; i < px->count; i += ROWS) {
            int64_t rows = sw__min64(ROWS, px->count - i);
            multiply_part(p, px->from + i, w, sum, rows, lanes);
            finish_tile(j, px, i, rows, channel, lanes, sum);
        }
    }
}

/* Copies the input under a block, with zeros where there is none. */
static void fill_strip(const job *j, int64_t n, int64_t group, int64_t oy, int64_t ox, int64_t rows, int64_t cols,
                       float *strip) {
    const sw_conv *c = j->c;
    int64_t depth = j->p->depth, height = span(rows, c->stride_h, c->kernel_h, c->dilation_h);
    int64_t width = span(cols, c->stride_w, c->kernel_w, c->dilation_w), x0 = ox * c->stride_w - c->pad_left;
    int64_t first = sw__min64(sw__max64(0, -x0), width), end = sw__max64(first, sw__min64(width, c->width - x0));
    for (int64_t row = 0; row < height; row++) {
        int64_t y = oy * c->stride_h - c->pad_top + row;
        float *to = strip + row * j->p->strip_w * depth;
        if (y < 0 || y >= c->height) {
            memset(to, 0, (size_t)(width * depth) * sizeof *to);
            continue;
        }
        memset(to, 0, (size_t)(first * depth) * sizeof *to);
        memset(to + end * depth, 0, (size_t)((width - end) * depth) * sizeof *to);
        if (first == end) continue;
        const float *from = j->in + ((n * c->height + y) * c->width + x0 + first) * c->in_pitch + group * depth;
        if (c->in_pitch == depth)
            memcpy(to + first * depth, from, (size_t)((end - first) * depth) * sizeof *to);
        else
            for (int64_t x = first; x < end; x++, from += c->in_pitch) v8_copy(to + x * depth, from, depth);
    }
}

static void take_strip(const job *j, int64_t number, int64_t group, float *strip, block *px) {
    const sw_conv *c = j->c;
    const plan *p = j->p;
    int64_t ox = number % p->blocks_x * p->block_w, row = number / p->blocks_x, oy = row % p->blocks_y * p->block_h;
    int64_t n = row / p->blocks_y, cols = sw__min64(p->block_w, c->out_width - ox),
            rows = sw__min64(p->block_h, c->out_height - oy);
    fill_strip(j, n, group, oy, ox, rows, cols, strip);
    px->count = 0;
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < cols; x++)
            add_pixel(j, px, strip + (y * c->stride_h * p->strip_w + x * c->stride_w) * p->depth,
                      (n * c->out_height + oy + y) * c->out_width + ox + x);
}

static void take_map(const job *j, int64_t number, int64_t group, block *px) {
    const sw_conv *c = j->c;
    int64_t first = number * j->p->block_w, x = first % c->out_width, y = first / c->out_width % c->out_height;
    int64_t n = first / c->out_width / c->out_height;
    int64_t end = sw__min64(first + j->p->block_w, c->batch * c->out_height * c->out_width);
    px->count = 0;
    for (int64_t i = first; i < end; i++) {
        int64_t at = (n * c->height + y * c->stride_h) * c->width + x * c->stride_w;
        add_pixel(j, px, j->in + at * c->in_pitch + group * j->p->depth, i);
        if (++x < c->out_width) continue;
        x = 0;
        if (++y < c->out_height) continue;
        y = 0;
        n++;
    }
}

static void run_items(void *ctx, int64_t begin, int64_t end, int thread) {
    const job *j = ctx;
    const plan *p = j->p;
    block px;
    int64_t taken = -1; /* block and group that px holds */
    for (int64_t item = begin; item < end; item++) {
        int64_t split = item % p->splits, place = item / p->splits, group = place % j->c->groups;
        if (place != taken) {
            if (p->strips)
                take_strip(j, place / j->c->groups, group, j->scratch + thread * p->thread_floats, &px);
            else
                take_map(j, place / j->c->groups, group, &px);
            for (int64_t i = 0; i < ROWS; i++) px.from[px.count + i] = px.from[px.count / ROWS * ROWS];
            taken = place;
        }
        int64_t panel = split * p->split_panels;
        run_panels(j, &px, group, panel, sw__min64(p->panels, panel + p->split_panels));
    }
}

/* ---- Tactic ------------------------------------------------------------------------------------------------------ */

static const char *refuse(const sw_conv *c) {
    plan p = {.depth = c->in_channels / c->groups};
    return !is_pointwise(c) && strip_bytes(c, &p, 12, 1) > 64 << 20 ? "its kernel covers too much of the input" : NULL;
}

static size_t scratch_bytes(const sw_conv *c, int threads) {
    return (size_t)(plan_of(c, threads).thread_floats * threads) * sizeof(float);
}

static void run(const sw_conv *c, const void *packed, const float *in, const float *residual, float *out, void *scratch,
                sw_pool *pool) {
    plan p = plan_of(c, sw_pool_threads(pool));
    job j = {.c = c, .p = &p, .packed = packed, .in = in, .residual = residual, .out = out, .scratch = scratch};
    int64_t blocks = p.blocks_x * p.blocks_y * (p.strips ? c->batch : 1);
    sw_pool_for(pool, blocks * c->groups * p.splits, 1, run_items, &j);
}

/* Measured on Zen 3: 6.3 cycles for a step of a tile, which has 6 at best; 60 to begin and end one. */
static double cost(const sw_conv *c) {
    plan p = plan_of(c, 1);
    double pixels = (double)(c->batch * c->out_height * c->out_width);
    double tiles = pixels / ROWS * (double)(c->groups * sw__panels_of(c));
    double strips = p.strips ? pixels * (double)(c->in_channels * c->kernel_h * c->stride_w) / 8 : 0;
    int64_t blocks = p.blocks_x * p.blocks_y * (p.strips ? c->batch : 1);
    return tiles * (6.3 * (double)sw__panel_taps(c) + 60) + strips + sw__weight_cycles(sw__panels_bytes(c), blocks);
}

const sw_conv_tactic sw__conv_direct_avx2 = {
    "direct-avx2", SW_CPU_AVX2, refuse, sw__panels_bytes, sw__panels_pack, scratch_bytes, run, cost,
};
