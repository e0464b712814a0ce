#include "kernels/vec_avx2.h"

#include "kernels/nhwc/pool.inc"

bool sw__nhwc_pool_avx2(const sw_call *c) {
    return pool(c);
}

bool sw__nhwc_average_avx2(const sw_call *c) {
    return global_average(c);
}
