#include "kernels/vec_avx2.h"

#include "kernels/softmax/softmax.inc"

bool sw__softmax_avx2(const sw_call *c) {
    return softmax(c);
}
