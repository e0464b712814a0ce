#include "kernels/vec_neon.h"

#include "kernels/dfl/dfl.inc"

bool sw__dfl_neon(const sw_call *c) {
    return dfl(c);
}
