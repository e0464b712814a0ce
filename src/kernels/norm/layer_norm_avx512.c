#include "kernels/vec_avx512.h"

#include "kernels/norm/layer_norm.inc"

bool sw__layer_norm_avx512(const sw_call *c) {
    return layer_norm(c);
}

bool sw__instance_norm_avx512(const sw_call *c) {
    return instance_norm(c);
}
