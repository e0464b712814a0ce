#include "kernels/vec_avx512.h"

#include "kernels/attention/attention.inc"

bool sw__attention_avx512(const sw_call *c) {
    return attention(c);
}
