#include "kernels/vec_avx512.h"

#include "kernels/dfl/dfl.inc"

bool sw__dfl_avx512(const sw_call *c) {
    return dfl(c);
}
