#include "kernels/vec_avx2.h"

#include "kernels/dfl/dfl.inc"

bool sw__dfl_avx2(const sw_call *c) {
    return dfl(c);
}
