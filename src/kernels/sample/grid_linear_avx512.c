#include "kernels/vec_avx512.h"

#include "kernels/sample/grid_linear.inc"

bool sw__grid_linear_avx512(const sw_call *c) {
    return grid_linear(c);
}
