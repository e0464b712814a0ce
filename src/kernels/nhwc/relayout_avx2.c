#include "kernels/vec_avx2.h"

#include "kernels/nhwc/relayout.inc"

bool sw__relayout_avx2(const sw_call *c) {
    return relayout(c);
}

bool sw__transpose_avx2(const sw_call *c) {
    return turned(c);
}
