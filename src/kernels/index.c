#include "kernels/index.h"

static sw_status refuse(const sw_call *c, int64_t index, int64_t extent) {
    return sw_call_fail(c, "the index %lld lies outside of an extent of %lld", (long long)index, (long long)extent);
}

sw_status sw__index_check(const sw_call *c, const sw_tensor *indices, int64_t extent) {
    return sw__index_check_tuples(c, indices, 1, &extent);
}

sw_status sw__index_check_tuples(const sw_call *c, const sw_tensor *indices, int n, const int64_t *extents) {
    int64_t count = sw_tensor_count(indices);
    for (int64_t i = 0; i < count; i++) {
        int64_t index = sw__index_at(indices, i), extent = extents[i % n];
        if (index < -extent || index >= extent) return refuse(c, index, extent);
    }
    return SW_OK;
}

int64_t sw__extent(const sw_tensor *t, int begin, int end) {
    int64_t n = 1;
    for (int i = begin; i < end; i++) (void)__builtin_mul_overflow(n, t->dims[i], &n);
    return n;
}
