#include "kernels/vec_neon.h"

#include "base/cpu.h"
#include "kernels/probe/probe.inc"

const sw__probe_isa sw__probe_neon = {SW_CPU_NEON, fma_chains, read_all};
