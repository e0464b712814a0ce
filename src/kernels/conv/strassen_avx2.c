#include "kernels/vec_avx2.h"

#include "base/cpu.h"
#include "kernels/conv/panels.h"
#define STRASSEN_ROWS 6 /* VF_ROWS, for the preprocessor */
#include "kernels/conv/strassen.inc"
#include "kernels/conv/tactics.h"

const sw_conv_tactic sw__conv_strassen_avx2 = {
    "strassen-avx2", SW_CPU_AVX2, refuse, packed_bytes, pack, scratch_bytes, run, cost, 7.0 / 8,
};
