#include "kernels/vec_avx512.h"

#include "kernels/recurrent/lstm.inc"

bool sw__lstm_avx512(const sw_call *c) {
    return lstm(c);
}
