/* Tensors: element types and plain row-major arrays. */
#ifndef SLIPWAY_TENSOR_H
#define SLIPWAY_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slipway/status.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* X(name, bytes, text, ONNX TensorProto.DataType). int4, uint4 and float4 take a byte
 * an element, as float8 does: few operators know these types (those that move elements, Cast, QuantizeLinear and
 * DequantizeLinear). Strings, sequences and complex numbers are no tensors of Slipway; readers refuse them by name. */
#define SW_DTYPE_LIST(X)                                                                                               \
    X(SW_F32, 4, "float32", 1)                                                                                         \
    X(SW_U8, 1, "uint8", 2)                                                                                            \
    X(SW_I8, 1, "int8", 3)                                                                                             \
    X(SW_U16, 2, "uint16", 4)                                                                                          \
    X(SW_I16, 2, "int16", 5)                                                                                           \
    X(SW_I32, 4, "int32", 6)                                                                                           \
    X(SW_I64, 8, "int64", 7)                                                                                           \
    X(SW_BOOL, 1, "bool", 9)                                                                                           \
    X(SW_F16, 2, "float16", 10)                                                                                        \
    X(SW_F64, 8, "float64", 11)                                                                                        \
    X(SW_U32, 4, "uint32", 12)                                                                                         \
    X(SW_U64, 8, "uint64", 13)                                                                                         \
    X(SW_BF16, 2, "bfloat16", 16)                                                                                      \
    X(SW_F8_E4M3FN, 1, "float8e4m3fn", 17)                                                                             \
    X(SW_F8_E4M3FNUZ, 1, "float8e4m3fnuz", 18)                                                                         \
    X(SW_F8_E5M2, 1, "float8e5m2", 19)                                                                                 \
    X(SW_F8_E5M2FNUZ, 1, "float8e5m2fnuz", 20)                                                                         \
    X(SW_U4, 1, "uint4", 21)                                                                                           \
    X(SW_I4, 1, "int4", 22)                                                                                            \
    X(SW_F4_E2M1, 1, "float4e2m1", 23)                                                                                 \
    X(SW_F8_E8M0, 1, "float8e8m0", 24)

/* SW_DTYPE_NONE: not known (yet). */
typedef enum sw_dtype {
    SW_DTYPE_NONE,
#define SW_DTYPE_ENUM(name, bytes, text, onnx) name,
    SW_DTYPE_LIST(SW_DTYPE_ENUM)
#undef SW_DTYPE_ENUM
        SW_DTYPE_COUNT
} sw_dtype;

enum { SW_MAX_RANK = 8 };

/* A dimension that is not known. Values at or below SW_DIM_SYMBOL are named dimensions of a graph ("batch"): equal
 * values mean the same name. */
#define SW_DIM_UNKNOWN ((int64_t)-1)
#define SW_DIM_SYMBOL  ((int64_t)-2)
/* The rank of a value of unknown rank. */
#define SW_RANK_UNKNOWN (-1)

/* How elements lie in memory. Tensors of the API are row-major; inside a plan, maps (rank 4: N C H W) may be
 * channels-last: element (n, c, y, x) at data[((n * H + y) * W + x) * pitch + c]. */
typedef enum sw_layout { SW_ROW_MAJOR, SW_CHANNELS_LAST } sw_layout;

/* A view of elements. It does not own `data`, which is NULL where only type and shape are known. Dims are logical,
 * whatever the layout. */
typedef struct sw_tensor {
    sw_dtype dtype;
    int rank;
    int64_t dims[SW_MAX_RANK];
    void *data;
    sw_layout layout;
    int64_t pitch; /* of channels-last: elements from one pixel to the next */
} sw_tensor;

const char *sw_dtype_name(sw_dtype dtype); /* "float32"; "unknown" */
size_t sw_dtype_size(sw_dtype dtype);      /* bytes of an element; 0 for SW_DTYPE_NONE */

/* True when rank and all dims are known numbers. */
bool sw_tensor_is_concrete(const sw_tensor *tensor);
/* Elements and bytes of a concrete tensor; -1 when it is not concrete or the product overflows int64. */
int64_t sw_tensor_count(const sw_tensor *tensor);
int64_t sw_tensor_bytes(const sw_tensor *tensor);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
