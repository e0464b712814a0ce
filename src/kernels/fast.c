#include "kernels/fast.h"

#include "base/cpu.h"

static const struct {
    sw_op op;
    sw_fast_fn run;
    uint32_t features;
} kernels[] = {
#define SW_FAST(op_id, function, needed) {SW_OP_##op_id, function, needed},
#include "kernels/fast.inc"
#undef SW_FAST
    {SW_OP_COUNT, NULL, 0},
};

bool sw_kernel_fast(const sw_call *c) {
    if (c->reference) return false;
    uint32_t features = sw_cpu_features();
    for (int i = 0; kernels[i].run; i++)
        if (kernels[i].op == c->op && !(kernels[i].features & ~features) && kernels[i].run(c)) return true;
    return false;
}
