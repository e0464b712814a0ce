/* Products of bfloat16 where no instruction has them: their pairs are taken apart. Half the bytes of weights, but slower
 * where these are in the cache; and the check of what the instruction computes, on machines that lack it. */
#include "kernels/vec_neon.h"

#define PRODUCTS_BF16
#include "base/cpu.h"
#include "kernels/conv/direct.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_direct_bf16_neon = {
    "direct-bf16-neon", SW_CPU_NEON, refuse, packed_bytes, pack, scratch_bytes, run, cost,
};
