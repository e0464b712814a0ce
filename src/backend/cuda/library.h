/* NVIDIA's libraries as tactics for convolutions: cuDNN 9 (its graph API) and cuBLASLt, found at run time as the driver is,
 * with own prototypes that a test compares with the headers where those are installed. One that is not there is not tried.
 *
 * cuDNN is libcudnn.so.9, or what SLIPWAY_CUDNN names; cuBLASLt is libcublasLt.so.13 or .12, or what SLIPWAY_CUBLASLT names.
 *
 * A tactic has a name, such as CUDNN_91900_58:2=3,13=0 (version, engine, knobs) or CUBLASLT_130100_66:20,1,0,0,0,36,0,0
 * (version, algorithm, its settings), by which it can be made anew: names stand in timing caches and plans. */
#ifndef SLIPWAY_BACKEND_CUDA_LIBRARY_H
#define SLIPWAY_BACKEND_CUDA_LIBRARY_H

#include "backend/cuda/cuda.h"
#include "backend/cuda/kernels/args.h"
#include "kernels/conv/conv.h"

typedef struct cudnnContext *sw_cudnn_handle;
typedef void *sw_cudnn_descriptor;

/* X(field, symbol, result, arguments); enums are unsigned. */
#define SW_CUDNN_LIST(X)                                                                                               \
    X(version, cudnnGetVersion, size_t, (void))                                                                        \
    X(create, cudnnCreate, unsigned, (sw_cudnn_handle * handle))                                                       \
    X(destroy, cudnnDestroy, unsigned, (sw_cudnn_handle handle))                                                       \
    X(set_stream, cudnnSetStream, unsigned, (sw_cudnn_handle handle, sw_cu_stream stream))                             \
    X(error_string, cudnnGetErrorString, const char *, (unsigned status))                                              \
    X(make, cudnnBackendCreateDescriptor, unsigned, (unsigned kind, sw_cudnn_descriptor *descriptor))                  \
    X(drop, cudnnBackendDestroyDescriptor, unsigned, (sw_cudnn_descriptor descriptor))                                 \
    X(set, cudnnBackendSetAttribute, unsigned,                                                                         \
      (sw_cudnn_descriptor descriptor, unsigned attribute, unsigned type, int64_t n, const void *values))              \
    X(get, cudnnBackendGetAttribute, unsigned,                                                                         \
      (sw_cudnn_descriptor descriptor, unsigned attribute, unsigned type, int64_t room, int64_t *n, void *values))     \
    X(finalize, cudnnBackendFinalize, unsigned, (sw_cudnn_descriptor descriptor))                                      \
    X(execute, cudnnBackendExecute, unsigned,                                                                          \
      (sw_cudnn_handle handle, sw_cudnn_descriptor plan, sw_cudnn_descriptor pack))

typedef struct sw_cudnn {
#define SW_CUDNN_FIELD(field, symbol, result, arguments) result(*field) arguments;
    SW_CUDNN_LIST(SW_CUDNN_FIELD)
#undef SW_CUDNN_FIELD
} sw_cudnn;

/* What is used of cuDNN's enums: X(name here, name there, value). */
#define SW_CUDNN_NUMBERS(X)                                                                                            \
    X(DNN_NOT_SUPPORTED, CUDNN_STATUS_NOT_SUPPORTED, 3000)                                                             \
    X(DNN_FLOAT, CUDNN_DATA_FLOAT, 0)                                                                                  \
    X(DNN_HALF, CUDNN_DATA_HALF, 2)                                                                                    \
    X(DNN_BFLOAT16, CUDNN_DATA_BFLOAT16, 9)                                                                            \
    X(DNN_CROSS_CORRELATION, CUDNN_CROSS_CORRELATION, 1)                                                               \
    X(DNN_ADD, CUDNN_POINTWISE_ADD, 0)                                                                                 \
    X(DNN_RELU, CUDNN_POINTWISE_RELU_FWD, 100)                                                                         \
    X(DNN_SIGMOID, CUDNN_POINTWISE_SIGMOID_FWD, 102)                                                                   \
    X(DNN_GELU, CUDNN_POINTWISE_GELU_FWD, 104)                                                                         \
    X(DNN_SWISH, CUDNN_POINTWISE_SWISH_FWD, 106)                                                                       \
    X(DNN_MODE_A, CUDNN_HEUR_MODE_A, 3)                                                                                \
    X(DNN_T_HANDLE, CUDNN_TYPE_HANDLE, 0)                                                                              \
    X(DNN_T_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1)                                                                        \
    X(DNN_T_BOOLEAN, CUDNN_TYPE_BOOLEAN, 2)                                                                            \
    X(DNN_T_INT64, CUDNN_TYPE_INT64, 3)                                                                                \
    X(DNN_T_FLOAT, CUDNN_TYPE_FLOAT, 4)                                                                                \
    X(DNN_T_DOUBLE, CUDNN_TYPE_DOUBLE, 5)                                                                              \
    X(DNN_T_POINTER, CUDNN_TYPE_VOID_PTR, 6)                                                                           \
    X(DNN_T_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 7)                                                                 \
    X(DNN_T_HEUR_MODE, CUDNN_TYPE_HEUR_MODE, 8)                                                                        \
    X(DNN_T_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 9)                                                                        \
    X(DNN_T_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 14)                                                             \
    X(DNN_T_CHAR, CUDNN_TYPE_CHAR, 24)                                                                                 \
    X(DNN_T_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 15)                                                             \
    X(DNN_POINTWISE, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, 0)                                                            \
    X(DNN_CONVOLUTION, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, 1)                                                        \
    X(DNN_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 2)                                                                  \
    X(DNN_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, 3)                                                               \
    X(DNN_HEURISTIC, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, 4)                                                           \
    X(DNN_PLAN, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, 5)                                                            \
    X(DNN_KNOB, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, 7)                                                               \
    X(DNN_CONV_FORWARD, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, 10)                                    \
    X(DNN_OP_POINTWISE, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, 13)                                              \
    X(DNN_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, 15)                                                          \
    X(DNN_PACK, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, 16)                                                             \
    X(DNN_TENSOR, CUDNN_BACKEND_TENSOR_DESCRIPTOR, 17)                                                                 \
    X(DNN_POINTWISE_MODE, CUDNN_ATTR_POINTWISE_MODE, 0)                                                                \
    X(DNN_POINTWISE_PRECISION, CUDNN_ATTR_POINTWISE_MATH_PREC, 1)                                                      \
    X(DNN_RELU_LOWER, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, 3)                                                         \
    X(DNN_RELU_UPPER, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, 4)                                                         \
    X(DNN_RELU_SLOPE, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 5)                                                   \
    X(DNN_CONV_TYPE, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, 100)                                                            \
    X(DNN_CONV_MODE, CUDNN_ATTR_CONVOLUTION_CONV_MODE, 101)                                                            \
    X(DNN_CONV_DILATIONS, CUDNN_ATTR_CONVOLUTION_DILATIONS, 102)                                                       \
    X(DNN_CONV_STRIDES, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 103)                                                    \
    X(DNN_CONV_PAD_END, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, 104)                                                     \
    X(DNN_CONV_PAD_BEGIN, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, 105)                                                    \
    X(DNN_CONV_DIMS, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 106)                                                         \
    X(DNN_HEUR_MODE, CUDNN_ATTR_ENGINEHEUR_MODE, 200)                                                                  \
    X(DNN_HEUR_GRAPH, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, 201)                                                      \
    X(DNN_HEUR_RESULTS, CUDNN_ATTR_ENGINEHEUR_RESULTS, 202)                                                            \
    X(DNN_CONFIG_ENGINE, CUDNN_ATTR_ENGINECFG_ENGINE, 300)                                                             \
    X(DNN_CONFIG_KNOBS, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, 302)                                                        \
    X(DNN_PLAN_HANDLE, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, 400)                                                          \
    X(DNN_PLAN_CONFIG, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 401)                                                   \
    X(DNN_PLAN_WORKSPACE, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 402)                                               \
    X(DNN_PLAN_JSON, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, 405)                                               \
    X(DNN_KNOB_TYPE, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, 600)                                                            \
    X(DNN_KNOB_VALUE, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 601)                                                          \
    X(DNN_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 700)                                          \
    X(DNN_FORWARD_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 701)                                            \
    X(DNN_FORWARD_CONV, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, 702)                                       \
    X(DNN_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, 703)                                                  \
    X(DNN_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, 704)                                                  \
    X(DNN_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, 705)                                                  \
    X(DNN_OP_POINTWISE_DESC, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, 750)                                        \
    X(DNN_OP_POINTWISE_X, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, 751)                                                   \
    X(DNN_OP_POINTWISE_B, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, 752)                                                   \
    X(DNN_OP_POINTWISE_Y, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, 753)                                                   \
    X(DNN_GRAPH_HANDLE, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, 800)                                                         \
    X(DNN_GRAPH_OPS, CUDNN_ATTR_OPERATIONGRAPH_OPS, 801)                                                               \
    X(DNN_TENSOR_ALIGNMENT, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 900)                                                     \
    X(DNN_TENSOR_TYPE, CUDNN_ATTR_TENSOR_DATA_TYPE, 901)                                                               \
    X(DNN_TENSOR_DIMS, CUDNN_ATTR_TENSOR_DIMENSIONS, 902)                                                              \
    X(DNN_TENSOR_STRIDES, CUDNN_ATTR_TENSOR_STRIDES, 903)                                                              \
    X(DNN_TENSOR_ID, CUDNN_ATTR_TENSOR_UNIQUE_ID, 906)                                                                 \
    X(DNN_TENSOR_VIRTUAL, CUDNN_ATTR_TENSOR_IS_VIRTUAL, 907)                                                           \
    X(DNN_PACK_IDS, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, 1000)                                                          \
    X(DNN_PACK_POINTERS, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, 1001)                                                  \
    X(DNN_PACK_WORKSPACE, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, 1003)                                                     \
    X(DNN_ENGINE_GRAPH, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, 1300)                                                       \
    X(DNN_ENGINE_INDEX, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 1301)

enum {
#define SW_CUDNN_NUMBER(name, theirs, value) name = value,
    SW_CUDNN_NUMBERS(SW_CUDNN_NUMBER)
#undef SW_CUDNN_NUMBER
};

/* How tensors are numbered in graphs and packs; virtual ones follow. */
enum { DNN_ID_X = 1, DNN_ID_W, DNN_ID_Y, DNN_ID_BIAS, DNN_ID_RESIDUAL, DNN_ID_VIRTUAL };

typedef void *sw_blas_object; /* a handle, or one of the opaque descriptors */
typedef struct sw_blas_algo { /* cublasLtMatmulAlgo_t */
    uint64_t data[8];
} sw_blas_algo;
typedef struct sw_blas_choice { /* cublasLtMatmulHeuristicResult_t */
    sw_blas_algo algo;
    size_t workspace;
    unsigned state;
    float waves;
    int reserved[4];
} sw_blas_choice;

#define SW_BLAS_LIST(X)                                                                                                \
    X(version, cublasLtGetVersion, size_t, (void))                                                                     \
    X(create, cublasLtCreate, unsigned, (sw_blas_object * handle))                                                     \
    X(destroy, cublasLtDestroy, unsigned, (sw_blas_object handle))                                                     \
    X(make_product, cublasLtMatmulDescCreate, unsigned, (sw_blas_object * product, unsigned compute, unsigned scale))  \
    X(drop_product, cublasLtMatmulDescDestroy, unsigned, (sw_blas_object product))                                     \
    X(set_product, cublasLtMatmulDescSetAttribute, unsigned,                                                           \
      (sw_blas_object product, unsigned attribute, const void *value, size_t size))                                    \
    X(make_layout, cublasLtMatrixLayoutCreate, unsigned,                                                               \
      (sw_blas_object * layout, unsigned type, uint64_t rows, uint64_t columns, int64_t pitch))                        \
    X(drop_layout, cublasLtMatrixLayoutDestroy, unsigned, (sw_blas_object layout))                                     \
    X(make_preference, cublasLtMatmulPreferenceCreate, unsigned, (sw_blas_object * preference))                        \
    X(drop_preference, cublasLtMatmulPreferenceDestroy, unsigned, (sw_blas_object preference))                         \
    X(set_preference, cublasLtMatmulPreferenceSetAttribute, unsigned,                                                  \
      (sw_blas_object preference, unsigned attribute, const void *value, size_t size))                                 \
    X(choices, cublasLtMatmulAlgoGetHeuristic, unsigned,                                                               \
      (sw_blas_object handle, sw_blas_object product, sw_blas_object a, sw_blas_object b, sw_blas_object c,            \
       sw_blas_object d, sw_blas_object preference, int room, void *choices, int *n))                                  \
    X(make_algo, cublasLtMatmulAlgoInit, unsigned,                                                                     \
      (sw_blas_object handle, unsigned compute, unsigned scale, unsigned a, unsigned b, unsigned c, unsigned d,        \
       int id, void *algo))                                                                                            \
    X(set_algo, cublasLtMatmulAlgoConfigSetAttribute, unsigned,                                                        \
      (void *algo, unsigned attribute, const void *value, size_t size))                                                \
    X(get_algo, cublasLtMatmulAlgoConfigGetAttribute, unsigned,                                                        \
      (const void *algo, unsigned attribute, void *value, size_t size, size_t *written))                               \
    X(check_algo, cublasLtMatmulAlgoCheck, unsigned,                                                                   \
      (sw_blas_object handle, sw_blas_object product, sw_blas_object a, sw_blas_object b, sw_blas_object c,            \
       sw_blas_object d, const void *algo, void *choice))                                                              \
    X(run, cublasLtMatmul, unsigned,                                                                                   \
      (sw_blas_object handle, sw_blas_object product, const void *alpha, const void *a, sw_blas_object a_layout,       \
       const void *b, sw_blas_object b_layout, const void *beta, const void *c, sw_blas_object c_layout, void *d,      \
       sw_blas_object d_layout, const void *algo, void *workspace, size_t bytes, sw_cu_stream stream))

typedef struct sw_blas {
#define SW_BLAS_FIELD(field, symbol, result, arguments) result(*field) arguments;
    SW_BLAS_LIST(SW_BLAS_FIELD)
#undef SW_BLAS_FIELD
} sw_blas;

#define SW_BLAS_NUMBERS(X)                                                                                             \
    X(BLAS_FLOAT, CUDA_R_32F, 0)                                                                                       \
    X(BLAS_HALF, CUDA_R_16F, 2)                                                                                        \
    X(BLAS_BFLOAT16, CUDA_R_16BF, 14)                                                                                  \
    X(BLAS_COMPUTE_FLOAT, CUBLAS_COMPUTE_32F, 68)                                                                      \
    X(BLAS_TRANSPOSED, CUBLAS_OP_T, 1)                                                                                 \
    X(BLAS_TRANSPOSE_A, CUBLASLT_MATMUL_DESC_TRANSA, 3)                                                                \
    X(BLAS_EPILOGUE, CUBLASLT_MATMUL_DESC_EPILOGUE, 7)                                                                 \
    X(BLAS_BIAS, CUBLASLT_MATMUL_DESC_BIAS_POINTER, 8)                                                                 \
    X(BLAS_ADD_BIAS, CUBLASLT_EPILOGUE_BIAS, 4)                                                                        \
    X(BLAS_ADD_BIAS_RELU, CUBLASLT_EPILOGUE_RELU_BIAS, 6)                                                              \
    X(BLAS_MOST_WORKSPACE, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 1)                                                \
    X(BLAS_ALIGN_A, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 5)                                                     \
    X(BLAS_ALIGN_B, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 6)                                                     \
    X(BLAS_ALIGN_C, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 7)                                                     \
    X(BLAS_ALIGN_D, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 8)                                                     \
    X(BLAS_ALGO_ID, CUBLASLT_ALGO_CONFIG_ID, 0)                                                                        \
    X(BLAS_ALGO_LAST, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 8)

enum {
#define SW_BLAS_NUMBER(name, theirs, value) name = value,
    SW_BLAS_NUMBERS(SW_BLAS_NUMBER)
#undef SW_BLAS_NUMBER
};

/* ---- What there is ------------------------------------------------------------------------------------------------- */

typedef enum sw_cuda_library { SW_CUDA_CUDNN, SW_CUDA_CUBLASLT, SW_CUDA_LIBRARIES } sw_cuda_library;
const char *sw_cuda_library_name(sw_cuda_library library);
/* Its version as it tells it, 91900 for 9.19.0; 0 when it is not there: *why is a sentence then. Any thread. */
int64_t sw_cuda_library_version(sw_cuda_library library, const char **why);
const sw_cudnn *sw__cuda_cudnn(void); /* NULL when it is not there */
const sw_blas *sw__cuda_blas(void);

/* ---- Tactics ------------------------------------------------------------------------------------------------------- */

enum {
    SW_CUDA_TACTIC_NAME = 192, /* room for a name */
    SW_CUDA_MOST_TACTICS = 3,  /* tried for a convolution, of a library: later ones were never better by a tenth */
    SW_CUDA_MOST_WORKSPACE = 1 << 26, /* bytes; what wants more is not tried */
};

/* A convolution made ready for a library. */
typedef struct sw_cuda_tactic sw_cuda_tactic;

/* Names of tactics for a convolution of maps, whose weights are in SW_CUDA_FORM_TILES, the most promising first; returns how
 * many there are: none where no library takes it. `names` has room for SW_CUDA_LIBRARIES * SW_CUDA_MOST_TACTICS. */
int sw_cuda_tactics_find(sw_cuda *gpu, const sw_conv *conv, char (*names)[SW_CUDA_TACTIC_NAME]);
/* Whether a name is one of a tactic of a library, whatever the version. */
int sw_cuda_tactic_library(const char *name); /* which one; -1: it is none */
static inline bool sw_cuda_tactic_is(const char *name) {
    return sw_cuda_tactic_library(name) >= 0;
}
/* SW_E_UNSUPPORTED with a sentence when the library is not there, has another version, or refuses. */
SW_MUST_USE sw_status sw_cuda_tactic_make(sw_cuda *gpu, const sw_conv *conv, const char *name, const sw_diag *diag,
                                          sw_cuda_tactic **tactic);
/* Makes those of cuDNN side by side: it takes some tenths of a second to compile each, and the code cache keeps it. Ends at a
 * time of sw_clock_ns. What fails, or is not reached, is left to sw_cuda_tactic_make. */
typedef struct sw_cuda_wanted {
    const sw_conv *conv;
    const char *name;
    sw_cuda_tactic *made; /* NULL: not made */
} sw_cuda_wanted;
void sw_cuda_tactics_make(sw_cuda *gpu, sw_cuda_wanted *wanted, int n, int64_t deadline);
void sw_cuda_tactic_destroy(sw_cuda_tactic *tactic); /* takes NULL */
int64_t sw_cuda_tactic_workspace(const sw_cuda_tactic *tactic); /* bytes of GPU memory that a run needs for itself */
/* Runs it once on a stream, which may be under capture; places are those of `conv`. */
SW_MUST_USE sw_status sw_cuda_tactic_run(sw_cuda *gpu, const sw_cuda_tactic *tactic, const sw_cuda_conv *conv,
                                         void *workspace, sw_cu_stream stream, const sw_diag *diag);
/* Ends what the libraries keep for a GPU; after all of its tactics. */
void sw_cuda_libraries_close(sw_cuda *gpu);

#endif
