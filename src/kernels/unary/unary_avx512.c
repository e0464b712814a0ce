#include "kernels/vec_avx512.h"

#include "kernels/unary/unary.inc"

bool sw__unary_avx512(const sw_call *c) {
    return unary(c);
}
