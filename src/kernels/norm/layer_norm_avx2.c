#include "kernels/vec_avx2.h"

#include "kernels/norm/layer_norm.inc"

bool sw__layer_norm_avx2(const sw_call *c) {
    return layer_norm(c);
}

bool sw__instance_norm_avx2(const sw_call *c) {
    return instance_norm(c);
}
