#include "kernels/vec_avx512.h"

#include "kernels/softmax/softmax.inc"

bool sw__softmax_avx512(const sw_call *c) {
    return softmax(c);
}
