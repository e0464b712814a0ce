#include "kernels/vec_avx512.h"

#include "base/cpu.h"
#include "kernels/probe/probe.inc"

const sw__probe_isa sw__probe_avx512 = {SW_CPU_AVX512, fma_chains, read_all};
