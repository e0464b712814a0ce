#include "kernels/vec_neon.h"

#include "kernels/unary/unary.inc"

bool sw__unary_neon(const sw_call *c) {
    return unary(c);
}
