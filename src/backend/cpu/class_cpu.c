#include <inttypes.h>
#include <kernels_version.h> /* made by the build: tools/kernels-version */
#include <stdio.h>

#include "backend/cpu/cpu.h"
#include "base/cpu.h"
#include "kernels/conv/act.h"
#include "kernels/probe/probe.h"

void sw_cpu_class(char *text, size_t size) {
    char features[160];
    sw_cpu_text(sw_cpu_features(), features, sizeof features);
    snprintf(text, size, "%s, %s, %d flop a cycle, caches %zu %zu %zu", sw_cpu_signature(), features,
             sw_probe_flops_per_cycle(), sw_cpu_cache(1), sw_cpu_cache(2), sw_cpu_cache(3));
    for (char *c = text; *c; c++)
        if (*c < 0x20 || *c > 0x7e) *c = '?';
}

const char *sw_cpu_kernels_version(void) {
    return SW_KERNELS_VERSION;
}

void sw_cpu_conv_key(const sw_conv *c, char *text, size_t size) {
    char act[48], enlarged[24] = "", turns[32] = "";
    bool params = c->act == SW_ACT_LEAKY || c->act == SW_ACT_HARDSIGMOID || c->act == SW_ACT_CLIP;
    snprintf(act, sizeof act, params ? "%s(%g,%g)" : "%s", sw_act_name(c->act), (double)c->act_a, (double)c->act_b);
    if (c->residual_shift) snprintf(enlarged, sizeof enlarged, " enlarged %d", (int)c->residual_shift);
    if (c->turns) snprintf(turns, sizeof turns, " turns %" PRId64, c->turns);
    snprintf(text, size,
             "conv %s %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 " to %s %" PRId64 "x%" PRId64 "x%" PRId64
             " kernel %" PRId64 "x%" PRId64 " stride %" PRId64 "x%" PRId64 " dilation %" PRId64 "x%" PRId64
             " pad %" PRId64 ",%" PRId64 " groups %" PRId64 "%s%s pitches %" PRId64 " %" PRId64 " %" PRId64 " %s%s%s%s",
             sw_dtype_name(c->in_type), c->batch, c->in_channels, c->height, c->width, sw_dtype_name(c->out_type),
             c->out_channels, c->out_height, c->out_width, c->kernel_h, c->kernel_w, c->stride_h, c->stride_w,
             c->dilation_h, c->dilation_w, c->pad_top, c->pad_left, c->groups,
             c->in_planar    ? " planar"
             : c->out_planar ? " to planes"
                             : "",
             turns, c->in_pitch, c->out_pitch, c->residual_pitch, c->rough ? "rough " : "", act,
             !c->residual             ? ""
             : c->residual_before_act ? " residual inside"
                                      : " residual",
             enlarged);
}
