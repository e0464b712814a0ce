#include "kernels/conv/panels.h"

#include <string.h>

#include "base/half.h"

size_t sw__panels_bytes(const sw_conv *c, sw__panels p) {
    return (size_t)(c->groups * sw__panels_width(c, p) * (sw__panel_units(c, p) + 1)) * sizeof(float);
}

/* One unit: channels from k on, of `depth`, of one place of the kernel (weights of channels lie `area` apart). */
static float unit_of(const float *weights, int64_t area, int64_t k, int64_t depth, int64_t per_unit) {
    if (per_unit == 1) return weights[k * area];
    uint16_t pair[2] = {sw_f32_to_bf16(weights[k * area]), 0};
    if (k + 1 < depth) pair[1] = sw_f32_to_bf16(weights[(k + 1) * area]);
    float unit;
    memcpy(&unit, pair, sizeof unit);
    return unit;
}

void sw__panels_pack(const sw_conv *c, sw__panels p, const float *weights, const float *bias, void *packed) {
    int64_t depth = c->in_channels / c->groups, per_group = c->out_channels / c->groups,
            area = c->kernel_h * c->kernel_w, units = sw__ceil_div(depth, p.per_unit);
    float *out = packed;
    for (int64_t g = 0; g < c->groups; g++)
        for (int64_t m0 = 0; m0 < per_group; m0 += p.most)
            for (int64_t tap = -1; tap < area * units; tap++)
                for (int64_t lane = 0; lane < sw__panel_width(c, p, m0); lane++, out++) {
                    int64_t m = m0 + lane, channel = g * per_group + m;
                    if (m >= per_group)
                        *out = 0;
                    else if (tap < 0)
                        *out = bias ? bias[channel] : 0;
                    else
                        *out = unit_of(weights + channel * depth * area + tap / units, area, tap % units * p.per_unit,
                                       depth, p.per_unit);
                }
}
