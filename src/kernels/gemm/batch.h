/* What the kernels of MatMul share. */
#ifndef SLIPWAY_KERNELS_GEMM_BATCH_H
#define SLIPWAY_KERNELS_GEMM_BATCH_H

#include "slipway/tensor.h"

/* Strides of a factor's batch axes against the `batch_rank` ones of the output; 0 where it broadcasts. `matrix`: elements of
 * one matrix. */
static inline void sw__batch_strides(int batch_rank, const sw_tensor *t, int64_t matrix, int64_t *strides) {
    int rank = t->rank < 2 ? 0 : t->rank - 2;
    int64_t step = matrix;
    for (int i = batch_rank - 1; i >= 0; i--) {
        int j = i - (batch_rank - rank);
        strides[i] = j < 0 || t->dims[j] == 1 ? 0 : step;
        if (j >= 0) step *= t->dims[j];
    }
}

#endif
