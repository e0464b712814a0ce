#include "kernels/vec_neon.h"

#include "kernels/nhwc/pool.inc"

bool sw__nhwc_pool_neon(const sw_call *c) {
    return pool(c);
}

bool sw__nhwc_average_neon(const sw_call *c) {
    return global_average(c);
}
