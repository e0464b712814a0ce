#include "kernels/vec_neon.h"

#include "kernels/sample/grid_linear.inc"

bool sw__grid_linear_neon(const sw_call *c) {
    return grid_linear(c);
}
