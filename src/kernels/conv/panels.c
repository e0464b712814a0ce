#include "kernels/conv/panels.h"

size_t sw__panels_bytes(const sw_conv *c, sw__panels p) {
    return (size_t)(c->groups * sw__panels_width(c, p) * (sw__panel_taps(c) + 1)) * sizeof(float);
}

void sw__panels_pack(const sw_conv *c, sw__panels p, const float *weights, const float *bias, void *packed) {
    int64_t depth = c->in_channels / c->groups, per_group = c->out_channels / c->groups,
            area = c->kernel_h * c->kernel_w;
    float *out = packed;
    for (int64_t g = 0; g < c->groups; g++)
        for (int64_t m0 = 0; m0 < per_group; m0 += p.most)
            for (int64_t tap = -1; tap < area * depth; tap++)
                for (int64_t lane = 0; lane < sw__panel_width(c, p, m0); lane++, out++) {
                    int64_t m = m0 + lane, channel = g * per_group + m;
                    if (m >= per_group)
                        *out = 0;
                    else if (tap < 0)
                        *out = bias ? bias[channel] : 0;
                    else
                        *out = weights[(channel * depth + tap % depth) * area + tap / depth];
                }
}
