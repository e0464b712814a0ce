#include "kernels/vec_neon.h"

#include "kernels/norm/layer_norm.inc"

bool sw__layer_norm_neon(const sw_call *c) {
    return layer_norm(c);
}

bool sw__instance_norm_neon(const sw_call *c) {
    return instance_norm(c);
}
