#include <string.h>

#include "base/cpu.h"
#include "kernels/conv/tactics.h"

const sw_conv_tactic *const sw_conv_tactics[] = {
#define SW_CONV_TACTIC(id) &sw__conv_##id,
#include "kernels/conv/tactics.inc"
#undef SW_CONV_TACTIC
    0,
};

/* Extents of real networks. A model may name others; with them, sizes of scratch memory could overflow. */
static bool is_usual(const sw_conv *c) {
    const int64_t extents[] = {c->batch,        c->height,   c->width,    c->in_channels, c->out_height, c->out_width,
                               c->out_channels, c->kernel_h, c->kernel_w, c->stride_h,    c->stride_w,   c->dilation_h,
                               c->dilation_w,   c->pad_top,  c->pad_left, c->groups,      c->in_pitch,   c->out_pitch};
    for (size_t i = 0; i < sizeof extents / sizeof extents[0]; i++)
        if (extents[i] > 1 << 20) return false;
    double reach =
        (double)(c->kernel_h * c->dilation_h) * (double)(c->kernel_w * c->dilation_w) * (double)c->in_channels;
    return reach < 0x1p30 && (double)c->width * (double)c->in_pitch < 0x1p32;
}

const sw_conv_tactic *sw_conv_find(const char *name) {
    for (int i = 0; sw_conv_tactics[i]; i++)
        if (!strcmp(sw_conv_tactics[i]->name, name)) return sw_conv_tactics[i];
    return NULL;
}

bool sw_conv_accepts(const sw_conv_tactic *tactic, const sw_conv *c) {
    bool able = !(tactic->features & ~sw_cpu_features()) && (is_usual(c) || tactic == &sw__conv_plain);
    return able && !tactic->refuse(c);
}

sw_conv sw_conv_of_rows(int64_t rows, int64_t depth, int64_t columns) {
    return (sw_conv){.batch = 1,
                     .height = 1,
                     .width = rows,
                     .in_channels = depth,
                     .out_height = 1,
                     .out_width = rows,
                     .out_channels = columns,
                     .kernel_h = 1,
                     .kernel_w = 1,
                     .stride_h = 1,
                     .stride_w = 1,
                     .dilation_h = 1,
                     .dilation_w = 1,
                     .groups = 1,
                     .in_pitch = depth,
                     .out_pitch = columns,
                     .in_type = SW_F32,
                     .out_type = SW_F32};
}

const sw_conv_tactic *sw_conv_choose(const sw_conv *c) {
    const sw_conv_tactic *best = &sw__conv_plain;
    if (!is_usual(c)) return best;
    double least = best->cost(c);
    for (int i = 0; sw_conv_tactics[i]; i++) {
        const sw_conv_tactic *tactic = sw_conv_tactics[i];
        if (!sw_conv_accepts(tactic, c)) continue;
        double cost = tactic->cost(c);
        if (cost >= least) continue;
        best = tactic;
        least = cost;
    }
    return best;
}
