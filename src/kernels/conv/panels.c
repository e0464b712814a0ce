#include "kernels/conv/panels.h"

#include <string.h>

#include "base/half.h"

size_t sw__panels_bytes(const sw_conv *c, sw__panels p) {
    return (size_t)(c->groups * sw__panels_width(c, p) * (sw__panel_units(c, p) + 1)) * sizeof(float);
}

/* One unit: channels from k on, of `depth`, of one place of the kernel (weights of channels lie `area` apart). */
static float unit_of(const float *weights, int64_t area, int64_t k, int64_t depth, sw__panels p) {
    if (p.per_unit == 1) return weights[k * area];
    uint16_t (*narrow)(float) = p.type == SW_BF16 ? sw_f32_to_bf16 : sw_f32_to_f16;
    uint16_t pair[2] = {narrow(weights[k * area]), 0};
    if (k + 1 < depth) pair[1] = narrow(weights[(k + 1) * area]);
    float unit;
    memcpy(&unit, pair, sizeof unit);
    return unit;
}

/* A panel of `width` channels from m0 on of a group, whose weights begin at `weights`. */
static float *pack_panel(const sw_conv *c, sw__panels p, const float *weights, const float *bias, int64_t m0,
                         int64_t width, float *out) {
    int64_t depth = c->in_channels / c->groups, area = c->kernel_h * c->kernel_w;
    int64_t there = sw__min64(width, c->out_channels / c->groups - m0);
    memset(out, 0, (size_t)(width * (sw__panel_units(c, p) + 1)) * sizeof *out);
    for (int64_t lane = 0; bias && lane < there; lane++) out[lane] = bias[m0 + lane];
    out += width;
    for (int64_t place = 0; place < area; place++)
        for (int64_t k = 0; k < depth; k += p.per_unit, out += width)
            for (int64_t lane = 0; lane < there; lane++)
                out[lane] = unit_of(weights + (m0 + lane) * depth * area + place, area, k, depth, p);
    return out;
}

void sw__panels_pack(const sw_conv *c, sw__panels p, const float *weights, const float *bias, void *packed) {
    int64_t per_group = c->out_channels / c->groups, depth = c->in_channels / c->groups;
    float *out = packed;
    for (int64_t g = 0; g < c->groups; g++)
        for (int64_t m0 = 0; m0 < per_group; m0 += p.most)
            out = pack_panel(c, p, weights + g * per_group * depth * c->kernel_h * c->kernel_w,
                             bias ? bias + g * per_group : NULL, m0, sw__panel_width(c, p, m0), out);
}
