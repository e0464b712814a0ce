#include "kernels/vec_avx2.h"

#include "kernels/gemm/gemm.inc"

bool sw__gemm_avx2(const sw_call *c) {
    return gemm(c);
}

bool sw__matmul_avx2(const sw_call *c) {
    return matmul(c);
}
