#include "kernels/vec_avx512.h"

#include "base/cpu.h"
#include "kernels/conv/panels.h"
#define STRASSEN_ROWS 12 /* VF_ROWS, for the preprocessor */
#include "kernels/conv/strassen.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_strassen_avx512 = {
    "strassen-avx512", SW_CPU_AVX512, refuse, packed_bytes, pack, scratch_bytes, run, cost, 7.0 / 8,
};
