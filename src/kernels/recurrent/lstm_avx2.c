#include "kernels/vec_avx2.h"

#include "kernels/recurrent/lstm.inc"

bool sw__lstm_avx2(const sw_call *c) {
    return lstm(c);
}
