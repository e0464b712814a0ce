/* TensorScatter: new vectors into a cache of keys or values, each batch at a place of its own. */
#include <string.h>

#include "kernels/index.h"
#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

sw_status sw__tensor_scatter_ref(const sw_call *c) {
    const sw_tensor *cache = c->in[0], *update = c->in[1], *places = sw_call_in(c, 2), *y = sw_call_out(c, 0);
    const char *mode = sw_call_string(c, "mode");
    bool circular = strcmp(mode, "circular") == 0;
    if (!circular && strcmp(mode, "linear") != 0) return sw_call_fail(c, "unknown mode '%.32s'", mode);
    if (!y || sw_tensor_count(cache) == 0) return SW_OK;
    memcpy(y->data, cache->data, (size_t)sw_tensor_bytes(cache));
    if (sw_tensor_count(update) == 0) return SW_OK;
    int axis = sw_axis(sw_call_int(c, "axis"), cache->rank);
    sw_lanes lanes = sw__lanes(cache, axis, axis + 1);
    int64_t n = update->dims[axis], bytes = lanes.inner * (int64_t)sw_dtype_size(cache->dtype);
    int64_t rows = lanes.outer / cache->dims[0]; /* of one batch */
    for (int64_t outer = 0; outer < lanes.outer; outer++) {
        int64_t first = places ? sw__index_at(places, outer / rows) : 0;
        if (first < 0 || first > lanes.length - (circular ? 1 : n))
            return sw_call_fail(c, "%lld entries at %lld do not fit into a cache of %lld", (long long)n,
                                (long long)first, (long long)lanes.length);
        for (int64_t i = 0; i < n; i++) {
            int64_t to = (first + i) % lanes.length;
            memcpy((char *)y->data + (outer * lanes.length + to) * bytes,
                   (const char *)update->data + (outer * n + i) * bytes, (size_t)bytes);
        }
    }
    return SW_OK;
}
