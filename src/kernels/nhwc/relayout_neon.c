#include "kernels/vec_neon.h"

#include "kernels/nhwc/relayout.inc"

bool sw__relayout_neon(const sw_call *c) {
    return relayout(c);
}

bool sw__transpose_neon(const sw_call *c) {
    return turned(c);
}
