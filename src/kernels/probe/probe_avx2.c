#include "kernels/vec_avx2.h"

#include "base/cpu.h"
#include "kernels/probe/probe.inc"

const sw__probe_isa sw__probe_avx2 = {SW_CPU_AVX2, fma_chains, read_all};
