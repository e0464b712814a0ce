#include "kernels/vec_avx2.h"

#include "kernels/attention/attention.inc"

bool sw__attention_avx2(const sw_call *c) {
    return attention(c);
}
