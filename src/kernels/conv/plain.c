/* The convolution that accepts every shape: plain C over channels-last maps, output channels innermost. */
#include "kernels/conv/act.h"
#include "kernels/conv/panels.h"
#include "kernels/conv/tactics.h"
#include "kernels/dtype.h"

enum { LANES = 16 };

static const sw__panels panels = {LANES, LANES, 1, SW_F32};

static size_t packed_bytes(const sw_conv *c) {
    return sw__panels_bytes(c, panels);
}

static void pack(const sw_conv *c, const float *weights, const float *bias, void *packed) {
    sw__panels_pack(c, panels, weights, bias, packed);
}

static const char *refuse(const sw_conv *c) {
    (void)c;
    return NULL;
}

static size_t scratch_bytes(const sw_conv *c, int threads) {
    (void)c;
    (void)threads;
    return 0;
}

typedef struct job {
    const sw_conv *c;
    const float *packed;
    const void *in, *residual;
    void *out;
} job;

static void sum_block(const job *j, int64_t n, int64_t oy, int64_t ox, int64_t group, const float *w, float *sum) {
    const sw_conv *c = j->c;
    int64_t depth = c->in_channels / c->groups;
    for (int64_t lane = 0; lane < LANES; lane++) sum[lane] = w[lane];
    w += LANES;
    for (int64_t ky = 0; ky < c->kernel_h; ky++) {
        int64_t y = oy * c->stride_h - c->pad_top + ky * c->dilation_h;
        for (int64_t kx = 0; kx < c->kernel_w; kx++, w += depth * LANES) {
            int64_t x = ox * c->stride_w - c->pad_left + kx * c->dilation_w;
            if (y < 0 || y >= c->height || x < 0 || x >= c->width) continue;
            int64_t at = ((n * c->height + y) * c->width + x) * c->in_pitch + group * depth;
            for (int64_t k = 0; k < depth; k++) {
                int64_t plane = (n * c->in_channels + group * depth + k) * c->height;
                float in = c->in_divisor
                               ? (float)((const uint8_t *)j->in)[at + k] / c->in_divisor
                               : sw__map_get(c->in_type, j->in, c->in_planar ? (plane + y) * c->width + x : at + k);
                for (int64_t lane = 0; lane < LANES; lane++) sum[lane] += in * w[k * LANES + lane];
            }
        }
    }
}

/* Where a channel of a pixel, counted through the batch, lies in the output. */
static int64_t place_of(const sw_conv *c, int64_t pixel, int64_t channel) {
    int64_t area = c->out_height * c->out_width;
    if (!c->out_planar) return pixel * c->out_pitch + channel;
    return (pixel / area * c->out_channels + channel) * c->out_pitch + pixel % area;
}

static void finish_block(const job *j, int64_t pixel, int64_t channel, int64_t count, const float *sum) {
    const sw_conv *c = j->c;
    for (int64_t i = 0; i < count; i++) {
        float r = c->residual ? sw__map_get(c->out_type, j->residual, pixel * c->residual_pitch + channel + i) : 0;
        float y = sw_act_apply(c->act, c->act_a, c->act_b, sum[i] + (c->residual_before_act ? r : 0));
        sw__map_set(c->out_type, j->out, place_of(c, pixel, channel + i), y + (c->residual_before_act ? 0 : r));
    }
}

static void pixels(void *ctx, int64_t begin, int64_t end, int thread) {
    const job *j = ctx;
    const sw_conv *c = j->c;
    int64_t per_group = c->out_channels / c->groups, block_floats = (sw__panel_units(c, panels) + 1) * LANES;
    (void)thread;
    for (int64_t p = begin; p < end; p++) {
        int64_t ox = p % c->out_width, oy = p / c->out_width % c->out_height, n = p / c->out_width / c->out_height;
        const float *w = j->packed;
        for (int64_t g = 0; g < c->groups; g++)
            for (int64_t m = 0; m < per_group; m += LANES, w += block_floats) {
                float sum[LANES];
                sum_block(j, n, oy, ox, g, w, sum);
                finish_block(j, p, g * per_group + m, per_group - m < LANES ? per_group - m : LANES, sum);
            }
    }
}

static void run(const sw_conv *c, const void *packed, const void *in, const void *residual, void *out, void *scratch,
                sw_pool *pool) {
    job j = {.c = c, .packed = packed, .in = in, .residual = residual, .out = out};
    (void)scratch;
    sw_pool_for(pool, c->batch * c->out_height * c->out_width, 16, pixels, &j);
}

static double cost(const sw_conv *c) {
    double products = (double)(c->groups * sw__panels_width(c, panels)) * (double)sw__panel_units(c, panels);
    return 1.5 * (double)(c->batch * c->out_height * c->out_width) * products;
}

const sw_conv_tactic sw__conv_plain = {"plain", 0, refuse, packed_bytes, pack, scratch_bytes, run, cost};
