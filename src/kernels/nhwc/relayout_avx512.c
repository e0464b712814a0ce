#include "kernels/vec_avx512.h"

#include "kernels/nhwc/relayout.inc"

bool sw__relayout_avx512(const sw_call *c) {
    return relayout(c);
}

bool sw__transpose_avx512(const sw_call *c) {
    return turned(c);
}
