#include "base/cpu.h"
#include "kernels/conv/tactics.h"

const sw_conv_tactic *const sw_conv_tactics[] = {
#define SW_CONV_TACTIC(id) &sw__conv_##id,
#include "kernels/conv/tactics.inc"
#undef SW_CONV_TACTIC
    0,
};

const sw_conv_tactic *sw_conv_choose(const sw_conv *c) {
    const sw_conv_tactic *best = &sw__conv_plain;
    double least = best->cost(c);
    uint32_t features = sw_cpu_features();
    for (int i = 0; sw_conv_tactics[i]; i++) {
        const sw_conv_tactic *tactic = sw_conv_tactics[i];
        if ((tactic->features & ~features) || tactic->refuse(c)) continue;
        double cost = tactic->cost(c);
        if (cost >= least) continue;
        best = tactic;
        least = cost;
    }
    return best;
}
