#include "kernels/vec_neon.h"

#include "kernels/recurrent/lstm.inc"

bool sw__lstm_neon(const sw_call *c) {
    return lstm(c);
}
