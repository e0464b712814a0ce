#include "kernels/vec_neon.h"

#include "kernels/attention/attention.inc"

bool sw__attention_neon(const sw_call *c) {
    return attention(c);
}
