/* Squeeze and excite: the two convolutions of a mean, and the product of the map with what they give, in one kernel. */
#include "backend/cuda/lower.h"

/* Bytes of the first weights that each block may read, and all of them; pixels of a block at least. */
enum { MOST_OF_BLOCK = 120 << 10, MOST_BYTES = 6 << 20, PIXELS = 512, BLOCKS = 132 };

static int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

static int64_t shared_of(int64_t channels, int64_t hidden, bool both) {
    int64_t own = hidden * 4 + CUDA_EXCITE_CHANNELS * (4 + hidden * 2);
    return own + (both ? channels * (4 + hidden * 2) : 0);
}

/* Parts of the channels, and of the pixels of a picture. */
static int64_t parts_of(int64_t channels) {
    return (channels + CUDA_EXCITE_CHANNELS - 1) / CUDA_EXCITE_CHANNELS;
}
static int64_t splits_of(const sw_tensor *map, int64_t channels) {
    int64_t most = (map->dims[2] * map->dims[3] + PIXELS - 1) / PIXELS, room = BLOCKS / (parts_of(channels) * map->dims[0]);
    return room < 1 ? 1 : room < most ? room : most;
}

static bool is_plain(const sw_conv *c) {
    return c->kernel_h == 1 && c->kernel_w == 1 && c->height == 1 && c->width == 1 && c->out_height == 1 &&
           c->out_width == 1 && !c->residual && !c->in_planar && sw_cuda_conv_form(c) == SW_CUDA_FORM_TILES;
}

int sw_cuda_excite_begin(const sw_conv convs[2], const sw_tensor *map, const sw_cuda_info *gpu) {
    int64_t channels = round_up(convs[0].in_channels, 8), hidden = round_up(convs[0].out_channels, 8);
    if (sw_cuda_is_float(gpu->cell)) return -1; /* its weights would be too many */
    if (!is_plain(&convs[0]) || !is_plain(&convs[1]) || map->dims[0] > 65535) return -1;
    int64_t blocks = parts_of(channels) * splits_of(map, channels) * map->dims[0];
    bool both = channels * hidden * 2 <= MOST_OF_BLOCK && channels * hidden * 2 * blocks <= MOST_BYTES &&
                shared_of(channels, hidden, true) <= sw_cuda_most_shared(gpu);
    return both ? 0 : shared_of(channels, hidden, false) <= sw_cuda_most_shared(gpu) ? 1 : -1;
}

static const void *bias_of(const sw_conv *conv, const void *packed) {
    size_t at;
    sw_cuda_packed_bytes(conv, SW_CUDA_FORM_TILES, SW_CUDA_F16, &at); /* or bfloat16 */
    return packed ? (const char *)packed + at : NULL;
}

void sw_cuda_launch_excite(const sw_conv convs[2], int begin, const sw_tensor *map, const sw_tensor *squeezed,
                           const void *const packed[2], const sw_tensor *out, sw_cuda_launch *l) {
    int64_t channels = round_up(convs[0].in_channels, 8), hidden = round_up(convs[0].out_channels, 8),
            pixels = map->dims[2] * map->dims[3], splits = splits_of(map, channels);
    *l = (sw_cuda_launch){.kernel = SW_CUDA_EXCITE};
    l->args.excite = (sw_cuda_excite){.in = map->data,
                                      .mean = begin == 0 ? squeezed->data : NULL,
                                      .squeezed = squeezed->data,
                                      .weights1 = packed[0],
                                      .bias1 = bias_of(&convs[0], packed[0]),
                                      .weights2 = packed[1],
                                      .bias2 = bias_of(&convs[1], packed[1]),
                                      .out = out->data,
                                      .in_pitch = (int)map->pitch,
                                      .out_pitch = (int)out->pitch,
                                      .mean_pitch = (int)squeezed->pitch,
                                      .pixels = (int)pixels,
                                      .step = (int)((pixels + splits - 1) / splits),
                                      .channels = (int)channels,
                                      .hidden = (int)hidden,
                                      .act1 = (int)convs[0].act,
                                      .act2 = (int)convs[1].act,
                                      .act1_a = convs[0].act_a,
                                      .act1_b = convs[0].act_b,
                                      .act2_a = convs[1].act_a,
                                      .act2_b = convs[1].act_b};
    l->grid_x = (int)(parts_of(channels) * splits);
    l->grid_y = (int)map->dims[0];
    l->shared_bytes = (int)shared_of(channels, hidden, begin == 0);
}
