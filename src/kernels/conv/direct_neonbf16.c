#include "kernels/vec_neon.h"

#define PRODUCTS_BF16
#include "base/cpu.h"
#include "kernels/conv/direct.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_direct_neonbf16 = {
    "direct-neonbf16", SW_CPU_BF16, refuse, packed_bytes, pack, scratch_bytes, run, cost, 0.5,
};
