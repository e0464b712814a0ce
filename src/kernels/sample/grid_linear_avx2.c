#include "kernels/vec_avx2.h"

#include "kernels/sample/grid_linear.inc"

bool sw__grid_linear_avx2(const sw_call *c) {
    return grid_linear(c);
}
