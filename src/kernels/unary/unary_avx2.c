#include "kernels/vec_avx2.h"

#include "kernels/unary/unary.inc"

bool sw__unary_avx2(const sw_call *c) {
    return unary(c);
}
