#include "slipway/tensor.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[SW_DTYPE_COUNT] = {
    [SW_DTYPE_NONE] = {"unknown", 0},
#define SW_DTYPE_ROW(id, bytes, text, onnx) [id] = {text, bytes},
    SW_DTYPE_LIST(SW_DTYPE_ROW)
#undef SW_DTYPE_ROW
};

const char *sw_dtype_name(sw_dtype dtype) { return dtypes[(unsigned)dtype < SW_DTYPE_COUNT ? dtype : 0].name; }
size_t sw_dtype_size(sw_dtype dtype) { return dtypes[(unsigned)dtype < SW_DTYPE_COUNT ? dtype : 0].size; }

bool sw_tensor_is_concrete(const sw_tensor *tensor) {
    if (tensor->rank < 0) return false;
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->dims[i] < 0) return false;
    return true;
}

int64_t sw_tensor_count(const sw_tensor *tensor) {
    if (!sw_tensor_is_concrete(tensor)) return -1;
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->dims[i] == 0) return 0;
    for (int i = 0; i < tensor->rank; i++)
        if (__builtin_mul_overflow(count, tensor->dims[i], &count)) return -1;
    return count;
}

int64_t sw_tensor_bytes(const sw_tensor *tensor) {
    int64_t count = sw_tensor_count(tensor), bytes;
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)sw_dtype_size(tensor->dtype), &bytes)) return -1;
    return bytes;
}
