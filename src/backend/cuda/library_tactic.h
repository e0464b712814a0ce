/* Inside of tactics of libraries: shared by the files library*.c only. */
#ifndef SLIPWAY_BACKEND_CUDA_LIBRARY_TACTIC_H
#define SLIPWAY_BACKEND_CUDA_LIBRARY_TACTIC_H

#include "backend/cuda/library.h"

enum { SW_CUDNN_MOST_OBJECTS = 64 };
/* Descriptors that are dropped together; `bad` is the status of the first call that failed, after which nothing is called. */
typedef struct sw_cudnn_objects {
    const sw_cudnn *api;
    unsigned bad;
    int n;
    sw_cudnn_descriptor made[SW_CUDNN_MOST_OBJECTS];
} sw_cudnn_objects;

typedef struct sw_blas_product {
    const sw_blas *api;
    sw_blas_object product, weights, in, residual, out; /* layouts; NULL when not made */
    sw_blas_algo algo;
} sw_blas_product;

struct sw_cuda_tactic {
    sw_cuda_library library;
    const sw_allocator *allocator;
    int64_t workspace;
    bool residual;
    sw_cudnn_objects dnn;
    sw_cudnn_descriptor plan; /* of `dnn` */
    sw_blas_product blas;
};

/* As those of library.h, with what stands behind the version in a name; they return why not, or NULL. */
int sw__cudnn_find(sw_cuda *gpu, const sw_conv *conv, char (*names)[SW_CUDA_TACTIC_NAME]);
/* With one of the GPU's handles, by number, which is the thread's; any thread that has the GPU's context. */
const char *sw__cudnn_make(sw_cuda *gpu, int handle, const sw_conv *conv, const char *choice, sw_cuda_tactic *tactic);
const char *sw__cudnn_run(sw_cuda *gpu, const sw_cuda_tactic *tactic, const sw_cuda_conv *conv, void *workspace,
                          sw_cu_stream stream);
void sw__cudnn_drop(sw_cudnn_objects *objects);
int sw__blas_find(sw_cuda *gpu, const sw_conv *conv, char (*names)[SW_CUDA_TACTIC_NAME]);
const char *sw__blas_make(sw_cuda *gpu, const sw_conv *conv, const char *choice, sw_cuda_tactic *tactic);
const char *sw__blas_run(sw_cuda *gpu, const sw_cuda_tactic *tactic, const sw_cuda_conv *conv, void *workspace,
                         sw_cu_stream stream);
void sw__blas_drop(sw_blas_product *product);

#endif
