#include "kernels/vec_neon.h"

#include "kernels/gemm/gemm.inc"

bool sw__gemm_neon(const sw_call *c) {
    return gemm(c);
}

bool sw__matmul_neon(const sw_call *c) {
    return matmul(c);
}
