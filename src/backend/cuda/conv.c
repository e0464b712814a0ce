#include <math.h>
#include <string.h>

#include "backend/cuda/lower.h"
#include "base/half.h"

enum { STEM_CHANNELS = 4, STEM_COLUMNS = 16, STEM_HEIGHT = 7, STEM_WIDTH = 8, MOST_TAPS = 32, OPERAND = 64 * 16 * 2 };

static int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}
static int64_t pixels_of(const sw_conv *c) {
    return c->batch * c->out_height * c->out_width;
}

/* ---- Forms --------------------------------------------------------------------------------------------------------- */

static bool is_depthwise(const sw_conv *c) {
    int64_t chunks = c->out_channels / 8;
    return c->groups > 1 && c->groups == c->in_channels && c->in_channels == c->out_channels &&
           c->out_channels % 8 == 0 && c->groups <= INT32_MAX / 64 && pixels_of(c) * chunks < UINT32_MAX / (chunks + 1);
}

/* Windows that kernels are made for. */
static bool is_usual_window(const sw_conv *c) {
    return (c->kernel_h == 3 || c->kernel_h == 5 || (c->kernel_h == 7 && c->stride_h == 1)) &&
           c->kernel_w == c->kernel_h && c->stride_h == c->stride_w && c->stride_h <= 2 && c->dilation_h == 1 &&
           c->dilation_w == 1;
}

/* Kernels compute with int32 offsets into maps and with fast_div. */
static bool is_small(const sw_conv *c) {
    int64_t in = c->batch * c->height * c->width, longest = c->out_width > c->out_height ? c->out_width : c->out_height;
    return in < INT32_MAX / (c->in_pitch + 1) && pixels_of(c) < INT32_MAX / 16 &&
           pixels_of(c) < UINT32_MAX / (longest + 1);
}

static bool is_stem(const sw_conv *c) {
    return c->in_planar && c->groups == 1 && c->in_channels <= STEM_CHANNELS && c->kernel_h <= STEM_HEIGHT &&
           c->kernel_w <= STEM_WIDTH && c->dilation_h == 1 && c->dilation_w == 1;
}

/* The GPU kernel is made for 3 x 4 taps of 3 channels, or for 7 x 8 of 4. */
static bool is_small_stem(const sw_conv *c) {
    return c->kernel_h <= 3 && c->kernel_w <= 4 && c->in_channels == 3;
}

sw_cuda_form sw_cuda_conv_form(const sw_conv *c) {
    if (!is_small(c)) return SW_CUDA_FORM_PLAIN;
    if (is_stem(c)) return SW_CUDA_FORM_STEM;
    if (c->in_planar) return SW_CUDA_FORM_PLAIN;
    if (is_depthwise(c)) return SW_CUDA_FORM_DEPTHWISE;
    bool tiles =
        c->groups == 1 && c->kernel_h * c->kernel_w <= MOST_TAPS && c->in_channels < 65536 && c->out_channels < 65536;
    return tiles ? SW_CUDA_FORM_TILES : SW_CUDA_FORM_PLAIN;
}

/* ---- Weights ------------------------------------------------------------------------------------------------------- */

/* Halves of all weights: rows of output channels (padded), taps, input channels (padded). */
typedef struct weight_shape {
    int64_t rows, taps, channels;
} weight_shape;

static weight_shape shape_of(const sw_conv *c, sw_cuda_form form) {
    int64_t taps = c->kernel_h * c->kernel_w;
    switch (form) {
    case SW_CUDA_FORM_DEPTHWISE:
        return (weight_shape){1, taps, c->out_channels};
    case SW_CUDA_FORM_STEM:
        return (weight_shape){round_up(c->out_channels, STEM_COLUMNS),
                              is_small_stem(c) ? 3 * 4 : STEM_HEIGHT * STEM_WIDTH, STEM_CHANNELS};
    case SW_CUDA_FORM_PLAIN:
        return (weight_shape){round_up(c->out_channels, 8), taps, c->in_channels / c->groups};
    default:
        return (weight_shape){round_up(c->out_channels, 8), taps, round_up(c->in_channels, 8)};
    }
}

static void put_cell(void *to, int64_t at, sw_cuda_cell cell, float v) {
    uint16_t *halves = to;
    uint32_t bits = sw__f32_to_bits(v);
    if (cell == SW_CUDA_TF32) bits = (bits + 0x1000) & ~0x1fffu; /* to 10 bits of mantissa, halves away from zero */
    if (sw_cuda_is_float(cell))
        memcpy((char *)to + at * 4, &bits, 4);
    else
        halves[at] = cell == SW_CUDA_BF16 ? sw_f32_to_bf16(v) : sw_f32_to_f16(v);
}

size_t sw_cuda_packed_bytes(const sw_conv *c, sw_cuda_form form, sw_cuda_cell cell, size_t *bias_at) {
    weight_shape s = shape_of(c, form);
    *bias_at = (size_t)round_up(s.rows * s.taps * s.channels * sw_cuda_cell_bytes(cell), 16);
    return *bias_at + (size_t)round_up(c->out_channels, STEM_COLUMNS) * (sizeof(float) + sizeof(uint16_t));
}

const void *sw_cuda_half_bias(const sw_cuda_conv *c) {
    return (const float *)c->bias + round_up(c->out_channels, STEM_COLUMNS);
}

void sw_cuda_pack(const sw_conv *c, sw_cuda_form form, sw_cuda_cell cell, const float *weights, const float *bias,
                  void *packed) {
    weight_shape s = shape_of(c, form);
    size_t bias_at, bytes = sw_cuda_packed_bytes(c, form, cell, &bias_at);
    memset(packed, 0, bytes);
    int64_t depth = c->in_channels / c->groups, taps = c->kernel_h * c->kernel_w,
            width = is_small_stem(c) ? 4 : STEM_WIDTH;
    for (int64_t n = 0; n < c->out_channels; n++)
        for (int64_t k = 0; k < depth; k++)
            for (int64_t t = 0; t < taps; t++) {
                int64_t at = form == SW_CUDA_FORM_DEPTHWISE ? t * s.channels + n : (n * s.taps + t) * s.channels + k;
                if (form == SW_CUDA_FORM_STEM)
                    at = (n * s.taps + t / c->kernel_w * width + t % c->kernel_w) * s.channels + k;
                put_cell(packed, at, cell, weights[(n * depth + k) * taps + t]);
            }
    float *sums = (float *)((char *)packed + bias_at);
    uint16_t *halves = (uint16_t *)(sums + round_up(c->out_channels, STEM_COLUMNS));
    for (int64_t n = 0; n < c->out_channels && bias; n++) {
        sums[n] = bias[n];
        halves[n] = cell == SW_CUDA_BF16 ? sw_f32_to_bf16(bias[n]) : sw_f32_to_f16(bias[n]);
    }
}

/* ---- Choosing a tile ----------------------------------------------------------------------------------------------- */

/* How a kernel that holds patches works on a convolution. */
typedef struct patch_shape {
    int64_t chunks, row, plane, depth; /* 16 bytes of channels, of a row and a patch of it, of the depth */
    int64_t tiles, across, down;       /* of the output; across and down of one picture */
    int64_t bytes;                     /* of shared memory */
} patch_shape;

static patch_shape patch_of(const sw_conv *c, const sw_cuda_kernel_info *k, sw_cuda_cell cell) {
    int64_t chunk = 16 / sw_cuda_cell_bytes(cell), width = 7 * k->stride + k->patch,
            height = (k->bm / 8 - 1) * k->stride + k->patch;
    patch_shape s = {.chunks = k->pairs ? 1 : round_up(c->in_channels, 2 * chunk) / chunk,
                     .across = (c->out_width + 7) / 8,
                     .down = (c->out_height + k->bm / 8 - 1) / (k->bm / 8)};
    s.row = s.chunks <= 2 ? s.chunks : s.chunks == 4 ? 4 : 8; /* as wgmma has swizzles for */
    s.plane = round_up((k->patch == 1 ? k->bm : width * height) * s.row, 64);
    s.depth = k->pairs ? 10 : k->patch * k->patch * s.chunks; /* the tenth: zeros */
    s.tiles = k->patch == 1 ? (pixels_of(c) + k->bm - 1) / k->bm : c->batch * s.across * s.down;
    /* compute-sanitizer takes an operand of wgmma for bytes in a row, and finds the last ones outside without the OPERAND. */
    s.bytes = (s.depth + 7) / 8 * k->bn * 128 + k->teams * k->buffers * ((s.chunks + 7) / 8) * s.plane * 16 + OPERAND;
    return s;
}

static bool patch_fits(const sw_conv *c, const sw_cuda_kernel_info *k, sw_cuda_cell cell) {
    bool linear =
        k->patch > 1 || (c->pad_top == 0 && c->pad_left == 0 && c->out_height == c->height && c->out_width == c->width);
    return linear && c->kernel_h == k->patch && c->kernel_w == k->patch && c->stride_h == k->stride &&
           c->stride_w == k->stride && c->dilation_h == 1 && c->dilation_w == 1 &&
           k->pairs == (c->in_channels <= 8 && !sw_cuda_is_float(cell));
}

/* How a kernel that holds all of a tile's depth works on a convolution. */
typedef struct held_shape {
    int64_t chunks, line, row; /* eights of channels; of a row of weights, of a pixel in shared memory */
    int64_t width, height, patch_width, patch; /* pixels of a tile across and down, of its patch across and in all */
    int64_t tiles, across, down;               /* of the output; across and down of one picture */
    int64_t bytes;                             /* of shared memory */
} held_shape;

/* The tile with the fewest of them, then with the smallest patch. */
static void choose_held_tile(const sw_conv *c, const sw_cuda_kernel_info *k, held_shape *s) {
    for (int64_t width = 1; width <= k->bm; width++) {
        int64_t height = k->bm / width, patch_width = (width - 1) * k->stride + k->held,
                patch = patch_width * ((height - 1) * k->stride + k->held);
        int64_t across = (c->out_width + width - 1) / width, down = (c->out_height + height - 1) / height;
        if (s->tiles &&
            (across * down > s->across * s->down || (across * down == s->across * s->down && patch >= s->patch)))
            continue;
        s->width = width, s->height = height, s->patch_width = patch_width, s->patch = patch;
        s->across = across, s->down = down, s->tiles = c->batch * across * down;
    }
}

static held_shape held_of(const sw_conv *c, const sw_cuda_kernel_info *k) {
    held_shape s = {.chunks = round_up(c->in_channels, 8) / 8};
    s.line = round_up(k->held * k->held * s.chunks, 2), s.row = s.chunks | 1;
    if (k->held > 1)
        choose_held_tile(c, k, &s);
    else
        s.patch = k->bm, s.tiles = (pixels_of(c) + k->bm - 1) / k->bm;
    s.bytes = (k->bn * (s.line + 1) + s.patch * s.row) * 16 + k->wk * k->bm * k->bn * 4 + s.line * 4;
    return s;
}

/* Of halves. */
static bool held_fits(const sw_conv *c, const sw_cuda_kernel_info *k, sw_cuda_cell cell) {
    bool linear = c->pad_top == 0 && c->pad_left == 0 && c->out_height == c->height && c->out_width == c->width;
    return c->kernel_h == k->held && c->kernel_w == k->held && c->stride_h == k->stride && c->stride_w == k->stride &&
           c->dilation_h == 1 && c->dilation_w == 1 && c->in_shift == 0 && (k->held > 1 || linear) &&
           !sw_cuda_is_float(cell);
}

static int64_t shared_of(const sw_conv *c, const sw_cuda_kernel_info *k, sw_cuda_cell cell) {
    if (k->held) return held_of(c, k).bytes;
    if (k->patch) return patch_of(c, k, cell).bytes;
    int stages = k->stages * (k->bm + k->bn) * k->bk * 2;
    int sums = (k->wk - 1) * k->bm * k->bn * 4, most = stages > sums ? stages : sums;
    bool early =
        k->stages && !k->rows && k->bm * k->bn <= 4 * 128 * k->wm * k->wn; /* EARLY of tile.cuh: bias, residual */
    return most + (early ? k->bn * 4 + k->bm * k->bn * 2 : 0);
}

int sw_cuda_most_shared(const sw_cuda_info *gpu) {
    return gpu->sm == 75                    ? 64 * 1024
           : gpu->sm == 80 || gpu->sm == 87 ? 163 * 1024
           : gpu->sm >= 90 && gpu->sm < 120 ? 227 * 1024
                                            : 99 * 1024;
}

/* A product of rows; maps are float32 in descriptions. */
static bool is_product(const sw_conv *c) {
    return c->in_type == SW_F16 || c->in_type == SW_BF16;
}

static bool fits(const sw_conv *c, const sw_cuda_kernel_info *k, const sw_cuda_info *gpu) {
    int most = sw_cuda_most_shared(gpu);
    bool groups = gpu->sm == 90 && gpu->cell != SW_CUDA_FLOAT; /* warp groups multiply what lies in shared memory */
    return k->bm > 0 && k->rows == is_product(c) && (!k->wgmma || groups) &&
           (!k->patch || patch_fits(c, k, gpu->cell)) && (!k->held || held_fits(c, k, gpu->cell)) &&
           shared_of(c, k, gpu->cell) <= most;
}

/* How many blocks an SM holds at a time. */
static double blocks_at_a_time(const sw_conv *c, const sw_cuda_kernel_info *k, sw_cuda_cell cell) {
    double by_shared = floor(227.0 * 1024 / (double)(shared_of(c, k, cell) + 1024)),
           by_threads = floor(1536.0 / k->threads);
    double by_registers = k->patch ? floor(65536.0 / (k->threads * (32 + k->bn / 2))) : 12;
    return fmin(fmin(by_shared, by_threads), by_registers);
}

/* Workers that take tiles in turn: at most `room`, each with equally many tiles. */
static int64_t share_tiles(int64_t tiles, int64_t room) {
    int64_t rounds = room > 0 ? (tiles + room - 1) / room : tiles;
    return (tiles + rounds - 1) / rounds;
}

/* Blocks that take the tiles of a column in turn: as many as run at a time. */
static int64_t patch_blocks(const sw_conv *c, const sw_cuda_kernel_info *k, const sw_cuda_info *gpu) {
    int64_t columns = (round_up(c->out_channels, 8) + k->bn - 1) / k->bn, tiles = patch_of(c, k, gpu->cell).tiles;
    int64_t room = (int64_t)blocks_at_a_time(c, k, gpu->cell) * gpu->multiprocessors / columns;
    if (k->teams == 1) return share_tiles(tiles, room);
    int64_t most = (tiles + k->teams - 1) / k->teams;
    return room < 1 ? 1 : room < most ? room : most;
}

/* Estimated nanoseconds of a kernel that holds patches: the tiles of an SM pass one after the other through its way to L2, its
 * tensor cores and its epilogue; a block alone is bound by the latency of a tile. */
static double estimate_patch(const sw_conv *c, const sw_cuda_kernel_info *k, const sw_cuda_info *gpu) {
    patch_shape s = patch_of(c, k, gpu->cell);
    double columns = ceil((double)c->out_channels / k->bn), blocks = (double)patch_blocks(c, k, gpu);
    double rounds = ceil((double)s.tiles / (blocks * k->teams));
    double per_sm = ceil(blocks * columns / gpu->multiprocessors);
    double load = (double)((s.chunks + 7) / 8 * s.plane) * 16 / 75, weights = (double)s.depth * k->bn * 16 / 130;
    double products = (double)s.depth / 2 * k->bm / 64 * fmax(k->bn / 2, 16) / 0.82, end = k->bm * k->bn / 16.0;
    double tile = k->teams * per_sm * fmax(fmax(load, products), end);
    return 1500 + per_sm * weights + rounds * fmax(tile, 1050 + products);
}

/* The same of a kernel that holds all of a tile's depth. */
static double estimate_held(const sw_conv *c, const sw_cuda_kernel_info *k, const sw_cuda_info *gpu) {
    held_shape s = held_of(c, k);
    double blocks = (double)s.tiles * ceil((double)c->out_channels / k->bn),
           per_sm = ceil(blocks / gpu->multiprocessors);
    double load = (double)(k->bn * s.line + s.patch * s.chunks) * 16 / 55,
           products = (double)s.line * 8 * k->bm * k->bn * 2 / 1000;
    return 1400 * ceil(per_sm / blocks_at_a_time(c, k, gpu->cell)) + per_sm * fmax(load, products);
}

/* Estimated nanoseconds. The blocks of an SM share its way to L2 and its tensor cores; a block alone is bound by the latency of
 * its stages. Constants fitted to what an H100 measured (docs/perf/cuda.md). */
static double estimate(const sw_conv *c, const sw_cuda_kernel_info *k, const sw_cuda_info *gpu) {
    if (k->patch) return estimate_patch(c, k, gpu);
    if (k->held) return estimate_held(c, k, gpu);
    double depth = (double)(c->kernel_h * c->kernel_w * round_up(c->in_channels, 8));
    double halves = depth * sw_cuda_cell_bytes(gpu->cell) / 2, steps = ceil(halves / k->bk); /* what bk counts */
    double blocks = ceil((double)pixels_of(c) / k->bm) * ceil((double)c->out_channels / k->bn);
    double per_sm = ceil(blocks / gpu->multiprocessors), at_a_time = fmin(per_sm, blocks_at_a_time(c, k, gpu->cell));
    if (k->stages == 0) steps = ceil(halves / (k->bk * k->wk)); /* each warp along the depth has its own blocks */
    double bytes = (k->bm + k->bn) * k->bk * 2.0 * (k->stages ? 1 : k->wk), flops = 2.0 * k->bm * k->bn * k->bk;
    double rate = k->wgmma ? 3870 : 2140; /* flops a nanosecond of an SM */
    double latency = k->stages == 0 ? 1400 : k->wgmma ? 85 : 190;
    double stage = fmax(fmax(latency, at_a_time * bytes / 96), at_a_time * flops / rate);
    double end = 270 + at_a_time * k->bm * k->bn * 2.0 / 49;
    return 2160 + ceil(per_sm / at_a_time) * (steps * stage + end);
}

int sw_cuda_conv_candidates(const sw_conv *c, const sw_cuda_info *gpu, sw_cuda_kernel *tiles) {
    int n = 0;
    for (int i = 0; i < SW_CUDA_KERNELS; i++) {
        const sw_cuda_kernel_info *k = sw_cuda_kernel_get((sw_cuda_kernel)i);
        bool wasteful = k->bn > 16 && k->bn >= 2 * round_up(c->out_channels, 16);
        if (fits(c, k, gpu) && !wasteful) tiles[n++] = (sw_cuda_kernel)i;
    }
    return n;
}

sw_cuda_kernel sw_cuda_conv_choose(const sw_conv *c, const sw_cuda_info *gpu) {
    sw_cuda_kernel tiles[SW_CUDA_KERNELS], best = SW_CUDA_CONV_64X16;
    double least = INFINITY;
    if (is_product(c)) best = SW_CUDA_ROWS_64X64;
    int n = sw_cuda_conv_candidates(c, gpu, tiles);
    for (int i = 0; i < n; i++) {
        double cost = estimate(c, sw_cuda_kernel_get(tiles[i]), gpu);
        if (cost < least) least = cost, best = tiles[i];
    }
    return best;
}

double sw_cuda_conv_ns(const sw_conv *c, const sw_cuda_info *gpu) {
    int64_t out = pixels_of(c) * c->out_channels * (c->residual ? 2 : 1);
    double memory = sw__cuda_through_memory(c->batch * c->height * c->width * c->in_channels + out, gpu);
    if (sw_cuda_conv_form(c) != SW_CUDA_FORM_TILES) return memory;
    return fmax(estimate(c, sw_cuda_kernel_get(sw_cuda_conv_choose(c, gpu)), gpu), memory);
}

/* ---- Launches ------------------------------------------------------------------------------------------------------ */

static sw_cuda_kernel depthwise_kernel(const sw_conv *c) {
    if (!is_usual_window(c))
        return c->kernel_w == 3   ? SW_CUDA_DEPTHWISE_ANY_3
               : c->kernel_w == 5 ? SW_CUDA_DEPTHWISE_ANY_5
                                  : SW_CUDA_DEPTHWISE_ANY;
    if (c->kernel_h == 7) return SW_CUDA_DEPTHWISE_7;
    if (c->kernel_h == 5) return c->stride_h == 2 ? SW_CUDA_DEPTHWISE_5_S2 : SW_CUDA_DEPTHWISE_5;
    if (c->stride_h == 2) return SW_CUDA_DEPTHWISE_3_S2;
    return pixels_of(c) * c->out_channels >= (int64_t)1 << 21 ? SW_CUDA_DEPTHWISE_3_WIDE : SW_CUDA_DEPTHWISE_3;
}

static void launch_depthwise(const sw_conv *c, sw_cuda_launch *l) {
    static const int across[] = {
        [SW_CUDA_DEPTHWISE_3] = 1,   [SW_CUDA_DEPTHWISE_3_WIDE] = 4, [SW_CUDA_DEPTHWISE_3_S2] = 2,
        [SW_CUDA_DEPTHWISE_5] = 2,   [SW_CUDA_DEPTHWISE_5_S2] = 1,   [SW_CUDA_DEPTHWISE_7] = 2,
        [SW_CUDA_DEPTHWISE_ANY] = 1, [SW_CUDA_DEPTHWISE_ANY_3] = 1,  [SW_CUDA_DEPTHWISE_ANY_5] = 1};
    l->kernel = depthwise_kernel(c);
    int64_t columns = (c->out_width + across[l->kernel] - 1) / across[l->kernel];
    l->args.conv.by_out_width = sw__cuda_magic(columns);
    l->args.conv.by_chunks = sw__cuda_magic(c->out_channels / 8);
    int64_t threads = c->batch * c->out_height * columns * (c->out_channels / 8);
    l->grid_x = (int)((threads + 127) / 128);
}

static void launch_tile(const sw_conv *c, const sw_cuda_kernel_info *k, const sw_cuda_info *gpu, sw_cuda_launch *l) {
    sw_cuda_conv *p = &l->args.conv;
    int64_t columns = (p->out_channels + k->bn - 1) / k->bn, rows = (pixels_of(c) + k->bm - 1) / k->bm;
    if (k->patch) {
        patch_shape s = patch_of(c, k, gpu->cell);
        rows = patch_blocks(c, k, gpu);
        p->chunks = (int)s.chunks, p->row = (int)s.row, p->plane = (int)s.plane, p->depth = (int)s.depth;
        p->tiles = (int)s.tiles, p->tiles_across = (int)s.across, p->tiles_down = (int)s.down,
        p->step = (int)rows * k->teams;
        p->by_chunks = sw__cuda_magic(s.chunks), p->by_depth = sw__cuda_magic(s.depth);
        p->by_tiles_across = sw__cuda_magic(s.across), p->by_tiles_down = sw__cuda_magic(s.down);
    }
    if (k->held) {
        held_shape s = held_of(c, k);
        rows = s.tiles;
        p->chunks = (int)s.chunks, p->depth = (int)s.line, p->row = (int)s.row, p->plane = (int)s.patch;
        p->tile_width = (int)s.width, p->tile_height = (int)s.height, p->patch_width = (int)s.patch_width;
        p->tiles_across = (int)s.across, p->tiles_down = (int)s.down;
        p->by_chunks = sw__cuda_magic(s.chunks), p->by_depth = sw__cuda_magic(s.line);
        p->by_tiles_across = sw__cuda_magic(s.across), p->by_tiles_down = sw__cuda_magic(s.down);
        p->by_tile_width = sw__cuda_magic(s.width), p->by_patch_width = sw__cuda_magic(s.patch_width);
    }
    p->column_tiles = (int)columns;
    p->by_column_tiles = sw__cuda_magic(columns);
    l->grid_x = (int)(rows * columns);
    l->shared_bytes = (int)shared_of(c, k, gpu->cell);
}

void sw_cuda_launch_conv(const sw_conv *c, sw_cuda_form form, sw_cuda_kernel tile, const sw_cuda_info *gpu,
                         const void *in, const void *packed, const void *residual, void *out, sw_cuda_launch *l) {
    size_t bias_at;
    sw_cuda_packed_bytes(c, form, gpu->cell, &bias_at);
    bool planes = c->in_planar;
    int64_t in_channels = planes ? c->in_channels : round_up(c->in_channels, 8),
            out_channels = round_up(c->out_channels, 8);
    *l = (sw_cuda_launch){.grid_y = 1};
    l->args.conv = (sw_cuda_conv){
        .in = in,
        .weights = packed,
        .bias = packed ? (const char *)packed + bias_at : NULL,
        .residual = residual,
        .out = out,
        .in_pitch = (int)c->in_pitch,
        .out_pitch = (int)c->out_pitch,
        .residual_pitch = (int)c->residual_pitch,
        .residual_shift = (int)c->residual_shift,
        .in_shift = (int)c->in_shift,
        .height = (int)c->height,
        .width = (int)c->width,
        .in_channels = (int)in_channels,
        .out_height = (int)c->out_height,
        .out_width = (int)c->out_width,
        .out_channels = (int)out_channels,
        .kernel_h = (int)c->kernel_h,
        .kernel_w = (int)c->kernel_w,
        .stride_h = (int)c->stride_h,
        .stride_w = (int)c->stride_w,
        .dilation_h = (int)c->dilation_h,
        .dilation_w = (int)c->dilation_w,
        .pad_top = (int)c->pad_top,
        .pad_left = (int)c->pad_left,
        .pixels = (int)pixels_of(c),
        .act = (int)c->act,
        .act_a = c->act_a,
        .act_b = c->act_b,
        .residual_before_act = c->residual_before_act,
        .in_group = (int)(c->in_channels / c->groups),
        .out_group = (int)(c->out_channels / c->groups),
        .real_channels = (int)c->out_channels,
        .by_out_width = sw__cuda_magic(c->out_width),
        .by_out_height = sw__cuda_magic(c->out_height),
        .by_in_channels = sw__cuda_magic(in_channels),
        .by_kernel_w = sw__cuda_magic(c->kernel_w),
        .in_plane = planes ? c->height * c->width : 0,
        .out_float = is_product(c) && c->out_type == SW_F32,
    };
    if (form == SW_CUDA_FORM_DEPTHWISE) {
        launch_depthwise(c, l);
    } else if (form == SW_CUDA_FORM_STEM) {
        bool many = is_small_stem(c) && pixels_of(c) >= 1 << 18;
        l->kernel = !is_small_stem(c) ? SW_CUDA_STEM_7 : many ? SW_CUDA_STEM_2 : SW_CUDA_STEM_1;
        int64_t rounds = many ? 4 : 1, group = rounds * (many ? 128 : 64);
        l->args.conv.rounds = (int)rounds;
        l->grid_x = (int)((pixels_of(c) + group - 1) / group);
        l->grid_y = (int)(round_up(c->out_channels, STEM_COLUMNS) / STEM_COLUMNS);
    } else if (form == SW_CUDA_FORM_PLAIN) {
        l->kernel = SW_CUDA_CONV_PLAIN;
        l->grid_x = (int)((pixels_of(c) * out_channels + 127) / 128);
    } else {
        l->kernel = tile;
        launch_tile(c, sw_cuda_kernel_get(tile), gpu, l);
    }
}

/* ---- The first two at once ----------------------------------------------------------------------------------------- */

enum {
    STEM_CONV_PIXELS = 64,
    STEM_CONV_CHANNELS = 16,
    STEM_CONV_PATCH = 17 * 24 * 32 + 16 * 32, /* bytes, and of the picture below, in shared memory */
    STEM_CONV_PICTURE = 35 * 24 * 16
};

static sw_cuda_kernel_info stem_conv_info(const sw_conv *conv) {
    return (sw_cuda_kernel_info){.bm = STEM_CONV_PIXELS,
                                 .bn = conv->out_channels <= 32 ? 32 : 64,
                                 .threads = 2 * STEM_CONV_PIXELS,
                                 .wgmma = true,
                                 .patch = 3,
                                 .stride = 2,
                                 .teams = 1,
                                 .buffers = 1};
}

bool sw_cuda_has_stem_conv(const sw_conv *stem, const sw_conv *conv, const sw_cuda_info *gpu) {
    sw_cuda_kernel_info k = stem_conv_info(conv);
    return gpu->sm == 90 && !sw_cuda_is_float(gpu->cell) && sw_cuda_conv_form(stem) == SW_CUDA_FORM_STEM &&
           is_small_stem(stem) && stem->out_channels == STEM_CONV_CHANNELS && !stem->residual && stem->stride_h == 2 &&
           stem->stride_w == 2 && stem->width % 4 == 0 &&
           ((-2 * conv->pad_left - stem->pad_left) & 3) + stem->kernel_w <= 4 &&
           sw_cuda_conv_form(conv) == SW_CUDA_FORM_TILES && conv->out_channels <= 64 && !conv->residual &&
           patch_fits(conv, &k, gpu->cell);
}

void sw_cuda_launch_stem_conv(const sw_conv *stem, const sw_conv *conv, const sw_cuda_info *gpu, const void *in,
                              const void *stem_packed, const void *packed, void *out, sw_cuda_launch *l) {
    sw_cuda_launch first, second;
    sw_cuda_kernel_info k = stem_conv_info(conv);
    patch_shape s = patch_of(conv, &k, gpu->cell);
    sw_cuda_launch_conv(stem, SW_CUDA_FORM_STEM, SW_CUDA_STEM_1, gpu, in, stem_packed, NULL, NULL, &first);
    sw_cuda_launch_conv(conv, SW_CUDA_FORM_PLAIN, SW_CUDA_CONV_PLAIN, gpu, NULL, packed, NULL, out, &second);
    size_t bias_at;
    sw_cuda_packed_bytes(conv, SW_CUDA_FORM_TILES, gpu->cell, &bias_at);
    second.args.conv.bias = packed ? (const char *)packed + bias_at : NULL;
    launch_tile(conv, &k, gpu, &second);
    int64_t at_a_time = k.bn == 32 ? 4 : 3; /* BLOCKS_OF_SM */
    second.args.conv.step = (int)share_tiles(s.tiles, at_a_time * gpu->multiprocessors);
    *l = (sw_cuda_launch){.kernel = k.bn == 32 ? SW_CUDA_STEM_CONV_32 : SW_CUDA_STEM_CONV_64,
                          .grid_x = second.args.conv.step,
                          .grid_y = 1,
                          .shared_bytes = (int)((s.depth + 7) / 8 * k.bn * 128) + STEM_CONV_PATCH + STEM_CONV_PICTURE,
                          .args.stem_conv = {first.args.conv, second.args.conv}};
}
