#include "kernels/vec_neon.h"

#include "kernels/softmax/softmax.inc"

bool sw__softmax_neon(const sw_call *c) {
    return softmax(c);
}
