/* Two convolutions at once: of 3 x 3 both (pair.cu), or a depthwise and a 1 x 1 (depthwise_point.cu): which kernels take them,
 * the shape of a tile, launches. */
#include <math.h>

#include "backend/cuda/lower.h"

enum { CHUNK = 16 }; /* bytes of 8 channels */

/* How a kernel works on two convolutions. */
typedef struct pair_shape {
    int64_t height, width, down, across, tiles; /* of a tile; tiles of a picture, of all */
    int64_t columns;                            /* blocks along the channels */
    int64_t weights, middle, patch, bytes;      /* of shared memory; bytes: with one patch */
    int64_t line;                               /* depthwise_point: chunks of a pixel between the two */
} pair_shape;

static bool is_same_3x3(const sw_conv *c) {
    return sw_cuda_conv_form(c) == SW_CUDA_FORM_TILES && c->kernel_h == 3 && c->kernel_w == 3 && c->stride_h == 1 &&
           c->stride_w == 1 && c->dilation_h == 1 && c->dilation_w == 1 && c->pad_top == 1 && c->pad_left == 1 &&
           c->out_height == c->height && c->out_width == c->width;
}

/* Eights of channels that a kernel has room for: 1, or an even number. */
static int64_t chunks_of(int64_t channels) {
    return channels <= 8 ? 1 : (channels + 15) / 16 * 2;
}

/* No kernel with half as many would do. */
static bool is_room(int64_t channels, int64_t chunks) {
    int64_t c = chunks_of(channels);
    return c <= chunks && (c * 2 > chunks || chunks <= 2);
}

static bool is_point(const sw_conv *c) {
    return sw_cuda_conv_form(c) == SW_CUDA_FORM_TILES && c->kernel_h == 1 && c->kernel_w == 1 && c->stride_h == 1 &&
           c->stride_w == 1 && c->pad_top == 0 && c->pad_left == 0 && c->out_height == c->height &&
           c->out_width == c->width;
}

static bool fits(const sw_conv *a, const sw_conv *b, const sw_cuda_kernel_info *k) {
    int64_t most = a->in_channels > b->out_channels ? a->in_channels : b->out_channels;
    return k->in_chunks && is_room(most, k->in_chunks) && is_room(a->out_channels, k->middle_chunks);
}

static bool fits_point(const sw_conv *a, const sw_conv *b, const sw_cuda_kernel_info *k) {
    return k->depthwise && sw_cuda_conv_form(a) == SW_CUDA_FORM_DEPTHWISE && a->kernel_h == k->depthwise &&
           a->kernel_w == a->kernel_h && a->stride_w == a->stride_h && a->dilation_h == 1 && a->dilation_w == 1 &&
           a->stride_h == k->stride && is_point(b) && k->points_n < b->out_channels + 48;
}

static int64_t depth_of(int64_t chunks) {
    return chunks == 1 ? 10 : 9 * chunks;
}

static int64_t patch_width(const sw_cuda_kernel_info *k, int64_t width) {
    return (width - 1) * k->stride + k->depthwise;
}

static pair_shape shape_of_points(const sw_conv *a, const sw_conv *b, const sw_cuda_kernel_info *k, int64_t height,
                                  int64_t width) {
    int64_t line = (a->out_channels + 15) / 16 * 2 + 1, channels = (b->out_channels + 7) / 8 * 8;
    pair_shape s = {.height = height,
                    .width = width,
                    .down = (b->out_height + height - 1) / height,
                    .across = (b->out_width + width - 1) / width,
                    .columns = (channels + k->points_n - 1) / k->points_n,
                    .weights = k->points_n * line * CHUNK + (k->depthwise * k->depthwise * 2 + 4) * a->out_channels,
                    .middle = (k->wk - 1) * k->points_m * k->points_n * 4,
                    .patch = patch_width(k, width) * patch_width(k, height) * line * CHUNK,
                    .line = line};
    s.tiles = b->batch * s.down * s.across;
    s.bytes = s.weights + s.middle + s.patch;
    return s;
}

static pair_shape shape_of(const sw_conv *b, const sw_cuda_kernel_info *k, int64_t height, int64_t width) {
    int64_t ci = k->in_chunks, cm = k->middle_chunks;
    pair_shape s = {.height = height,
                    .width = width,
                    .down = (b->out_height + height - 1) / height,
                    .across = (b->out_width + width - 1) / width,
                    .columns = 1,
                    .weights = (cm * 8 * (depth_of(ci) | 1) + ci * 8 * (depth_of(cm) | 1)) * CHUNK,
                    .middle = (height + 2) * (width + 2) * (cm | 1) * CHUNK,
                    .patch = (height + 4) * (width + 4) * (ci | 1) * CHUNK};
    s.tiles = b->batch * s.down * s.across;
    s.bytes = s.weights + s.middle + s.patch;
    return s;
}

/* Bytes of shared memory: a second patch where a block takes several tiles. */
static int64_t shared_of(const pair_shape *s, int64_t blocks) {
    return s->bytes + (s->tiles > blocks ? s->patch : 0);
}

/* Blocks of a column that are at work at a time, each with equally many tiles. */
static int64_t blocks_of(const pair_shape *s, const sw_cuda_kernel_info *k, const sw_cuda_info *gpu) {
    int64_t all = s->tiles;
    for (int64_t an_sm = k->blocks; an_sm > 0; an_sm--) {
        int64_t room = an_sm * gpu->multiprocessors / s->columns;
        if (room < 1) room = 1;
        int64_t rounds = (s->tiles + room - 1) / room, blocks = (s->tiles + rounds - 1) / rounds;
        if (an_sm * (shared_of(s, blocks) + 1024) <= sw_cuda_most_shared(gpu) + 1024) return blocks;
        all = blocks;
    }
    return all;
}

/* Estimated nanoseconds: blocks of an SM share its shared memory, which the operands pass through, and its tensor cores; a
 * block alone is bound by the latency of its steps. */
static double estimate(const pair_shape *s, const sw_cuda_kernel_info *k, const sw_cuda_info *gpu) {
    const double clock = 1.7;
    double blocks = (double)blocks_of(s, k, gpu), per_sm = ceil(blocks / gpu->multiprocessors);
    double rounds = ceil((double)s->tiles / blocks), warps = k->threads / 32.0;
    double steps1 = (double)depth_of(k->in_chunks) / 2, steps2 = (double)depth_of(k->middle_chunks) / 2;
    double nt1 = (double)k->middle_chunks / k->wn1, nt2 = (double)k->in_chunks / k->wn2;
    double reads = warps * 4 * (steps1 * (k->mt1 + nt1 / 2) + steps2 * (k->mt2 + nt2 / 2));
    double products = warps * 1.6 * (steps1 * k->mt1 * nt1 + steps2 * k->mt2 * nt2);
    double ends = warps * 32 * (k->mt1 * nt1 + k->mt2 * nt2) * 4 / 8;
    double work = fmax(reads, products) + ends / 2 + (double)s->patch / 64;
    double alone = 1800 + steps1 * (20 + 2 * k->mt1 * nt1) + steps2 * (20 + 2 * k->mt2 * nt2);
    return 2800 + 1.33 * (per_sm * (double)s->weights / 64 + rounds * fmax(per_sm * work, alone)) / clock;
}

static double estimate_points(const sw_conv *a, const pair_shape *s, const sw_cuda_kernel_info *k,
                              const sw_cuda_info *gpu) {
    const double clock = 1.7;
    double blocks = (double)blocks_of(s, k, gpu), per_sm = ceil(blocks * (double)s->columns / gpu->multiprocessors);
    double rounds = ceil((double)s->tiles / blocks), warps = k->threads / 32.0, taps = k->depthwise * k->depthwise;
    double steps = ceil((double)s->line / 2 / k->wk), nt = k->points_n / 8.0, mt = k->points_m * k->wk / (warps * 16);
    double reads = warps * steps * (taps * (mt * 4 + 2) + nt * 2),
           ends = k->points_m * (double)(a->out_channels + k->points_n) / 6;
    double alone = 1500 + steps * (taps * 20 + 100 + mt * nt * 4);
    return 2900 + per_sm * (double)s->weights / 64 / clock +
           rounds * fmax(per_sm * (reads + ends + (double)s->patch / 64), alone) / clock;
}

static bool choose_points(const sw_conv *a, const sw_conv *b, const sw_cuda_kernel_info *k, const sw_cuda_info *gpu,
                          pair_shape *best, double *ns) {
    *ns = INFINITY;
    for (int64_t height = 1; height <= k->points_m && height <= b->out_height; height++) {
        int64_t across = (b->out_width + k->points_m / height - 1) / (k->points_m / height);
        pair_shape s = shape_of_points(a, b, k, height, (b->out_width + across - 1) / across);
        if (shared_of(&s, blocks_of(&s, k, gpu)) > sw_cuda_most_shared(gpu)) continue;
        double time =
            estimate_points(a, &s, k, gpu) + (double)s.patch / 1e4; /* of equals, that with the least to load */
        if (time < *ns) *ns = time, *best = s;
    }
    return *ns < INFINITY;
}

/* The best shape of a tile; false when none fits into shared memory. */
static bool choose_patches(const sw_conv *b, const sw_cuda_kernel_info *k, const sw_cuda_info *gpu, pair_shape *best,
                           double *ns) {
    int64_t warps = k->threads / 32, most_middle = warps / k->wn1 * k->mt1 * 16, most = warps / k->wn2 * k->mt2 * 16;
    *ns = INFINITY;
    for (int64_t down = 1; down <= b->out_height; down++) {
        int64_t height = (b->out_height + down - 1) / down, width = most_middle / (height + 2) - 2;
        if (width > most / height) width = most / height;
        if (width < 1) continue;
        int64_t across = (b->out_width + width - 1) / width;
        pair_shape s = shape_of(b, k, height, (b->out_width + across - 1) / across);
        if (shared_of(&s, blocks_of(&s, k, gpu)) > sw_cuda_most_shared(gpu)) continue;
        double time = estimate(&s, k, gpu) + (double)s.patch / 1e4; /* of equals, that with the least to load */
        if (time < *ns) *ns = time, *best = s;
        if (height <= 2) break;
    }
    return *ns < INFINITY;
}

static bool choose_shape(const sw_conv *a, const sw_conv *b, const sw_cuda_kernel_info *k, const sw_cuda_info *gpu,
                         pair_shape *best, double *ns) {
    return k->depthwise ? choose_points(a, b, k, gpu, best, ns) : choose_patches(b, k, gpu, best, ns);
}

int sw_cuda_pair_candidates(const sw_conv *a, const sw_conv *b, const sw_cuda_info *gpu, sw_cuda_kernel *kernels) {
    int n = 0;
    bool good = !sw_cuda_is_float(gpu->cell) && !a->residual && a->out_channels == b->in_channels && a->batch == b->batch &&
                a->out_height == b->height && a->out_width == b->width,
         both = is_same_3x3(a) && is_same_3x3(b);
    for (int i = 0; good && i < SW_CUDA_KERNELS; i++) {
        const sw_cuda_kernel_info *k = sw_cuda_kernel_get((sw_cuda_kernel)i);
        pair_shape s;
        double ns;
        if (((both && fits(a, b, k)) || fits_point(a, b, k)) && choose_shape(a, b, k, gpu, &s, &ns))
            kernels[n++] = (sw_cuda_kernel)i;
    }
    return n;
}

/* That go through memory. */
static int64_t halves_of(const sw_conv *a, const sw_conv *b) {
    return a->batch * a->height * a->width * a->in_channels +
           b->batch * b->out_height * b->out_width * b->out_channels * (b->residual ? 2 : 1);
}

double sw_cuda_pair_ns(const sw_conv *a, const sw_conv *b, sw_cuda_kernel kernel, const sw_cuda_info *gpu) {
    pair_shape s;
    double ns;
    choose_shape(a, b, sw_cuda_kernel_get(kernel), gpu, &s, &ns);
    return fmax(ns, sw__cuda_through_memory(halves_of(a, b), gpu));
}

void sw_cuda_launch_pair(const sw_conv *a, const sw_conv *b, sw_cuda_kernel kernel, const sw_cuda_info *gpu,
                         const void *in, const void *first_packed, const void *second_packed, const void *residual,
                         void *out, sw_cuda_launch *l) {
    const sw_cuda_kernel_info *k = sw_cuda_kernel_get(kernel);
    bool own = residual && !k->depthwise && residual == in && b->residual_pitch == a->in_pitch &&
               a->in_channels == b->out_channels;
    sw_cuda_launch first, second;
    pair_shape s = {0};
    double ns;
    choose_shape(a, b, k, gpu, &s, &ns);
    int64_t blocks = blocks_of(&s, k, gpu), patch_w = k->depthwise ? patch_width(k, s.width) : s.width + 4;
    sw_cuda_form form = k->depthwise ? SW_CUDA_FORM_DEPTHWISE : SW_CUDA_FORM_TILES;
    sw_cuda_launch_conv(a, form, SW_CUDA_CONV_64X16, gpu, in, first_packed, NULL, NULL, &first);
    sw_cuda_launch_conv(b, SW_CUDA_FORM_TILES, SW_CUDA_CONV_64X16, gpu, NULL, second_packed, own ? NULL : residual, out,
                        &second);
    *l = (sw_cuda_launch){.kernel = kernel,
                          .grid_x = (int)(blocks * s.columns),
                          .grid_y = 1,
                          .shared_bytes = (int)shared_of(&s, blocks),
                          .args.pair = {.first = first.args.conv,
                                        .second = second.args.conv,
                                        .adds_map = own,
                                        .tile_height = (int)s.height,
                                        .tile_width = (int)s.width,
                                        .tiles = (int)s.tiles,
                                        .tiles_across = (int)s.across,
                                        .tiles_down = (int)s.down,
                                        .step = (int)blocks,
                                        .middle_bytes = (int)s.middle,
                                        .patch_bytes = (int)s.patch,
                                        .line = (int)s.line,
                                        .by_depth = sw__cuda_magic(s.line > 1 ? s.line - 1 : 1),
                                        .by_chunks = sw__cuda_magic(a->out_channels / 8),
                                        .patch_width = (int)patch_w,
                                        .by_tiles_across = sw__cuda_magic(s.across),
                                        .by_tiles_down = sw__cuda_magic(s.down),
                                        .by_tile_width = sw__cuda_magic(s.width),
                                        .by_middle_width = sw__cuda_magic(s.width + 2),
                                        .by_patch_width = sw__cuda_magic(patch_w)}};
    l->args.pair.second.column_tiles = (int)s.columns;
    l->args.pair.second.by_column_tiles = sw__cuda_magic(s.columns);
}
