#include "kernels/vec_avx512.h"

#include "kernels/nhwc/pool.inc"

bool sw__nhwc_pool_avx512(const sw_call *c) {
    return pool(c);
}

bool sw__nhwc_average_avx512(const sw_call *c) {
    return global_average(c);
}
