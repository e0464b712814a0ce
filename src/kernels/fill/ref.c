/* Operators that make their output out of shapes, patterns and positions. */
#include "kernels/dtype.h"
#include "kernels/index.h"
#include "kernels/kernel.h"
#include "kernels/nd.h"
#include "kernels/wide.h"
#include "ops/shape.h"

sw_status sw__shape_ref(const sw_call *c) {
    int64_t start, end, *to = c->out[0]->data;
    sw__shape_range_axes(c, &start, &end);
    for (int64_t i = start; i < end; i++) *to++ = c->in[0]->dims[i];
    return SW_OK;
}

sw_status sw__size_ref(const sw_call *c) {
    *(int64_t *)c->out[0]->data = sw_tensor_count(c->in[0]);
    return SW_OK;
}

sw_status sw__constant_of_shape_ref(const sw_call *c) {
    const sw_tensor *value = sw_call_attr(c, "value", SW_ATTR_TENSOR)->t, *out = c->out[0];
    static const uint64_t zero;
    sw__fill(c->pool, sw_dtype_size(out->dtype), out->data, value ? value->data : &zero, sw_tensor_count(out));
    return SW_OK;
}

/* Floats are start + i * delta in double, rounded once. */
sw_status sw__range_ref(const sw_call *c) {
    const sw_tensor *start = c->in[0], *delta = c->in[2], *out = c->out[0];
    int64_t n = out->dims[0];
    switch (out->dtype) {
#define RANGE(id, s, T, C)                                                                                             \
    case id: {                                                                                                         \
        double from = sw_tensor_float_at(start, 0), by = sw_tensor_float_at(delta, 0);                                 \
        for (int64_t i = 0; i < n; i++) ((T *)out->data)[i] = sw__store_##s((C)(from + (double)i * by));               \
        return SW_OK;                                                                                                  \
    }
        SW_FLOAT_TYPES(RANGE)
#undef RANGE
#define RANGE(id, s, T, C)                                                                                             \
    case id: {                                                                                                         \
        uint64_t from = (uint64_t)sw_tensor_int_at(start, 0), by = (uint64_t)sw_tensor_int_at(delta, 0);               \
        for (int64_t i = 0; i < n; i++) ((T *)out->data)[i] = (T)(from + (uint64_t)i * by);                            \
        return SW_OK;                                                                                                  \
    }
        SW_INTEGER_TYPES(RANGE)
#undef RANGE
    default:
        return sw__refuse_dtype(c, out->dtype);
    }
}

static void store_one(sw_dtype dtype, void *to) {
    switch (dtype) {
#define ONE(id, s, T, C)                                                                                               \
    case id:                                                                                                           \
        *(T *)to = sw__store_##s((C)1);                                                                                \
        break;
        SW_ALL_TYPES(ONE)
#undef ONE
    default:
        break;
    }
}

sw_status sw__eye_like_ref(const sw_call *c) {
    const sw_tensor *out = c->out[0];
    static const uint64_t zero;
    uint64_t one; /* room for any type */
    size_t size = sw_dtype_size(out->dtype);
    int64_t rows = out->dims[0], columns = out->dims[1], k = sw_call_int(c, "k");
    sw__fill(c->pool, size, out->data, &zero, sw_tensor_count(out));
    if (sw_tensor_count(out) == 0 || k <= -rows || k >= columns) return SW_OK;
    store_one(out->dtype, &one);
    int64_t row = k < 0 ? -k : 0, column = k < 0 ? 0 : k;
    int64_t n = rows - row < columns - column ? rows - row : columns - column;
    sw__copy_strided(size, (char *)out->data + (row * columns + column) * (int64_t)size, columns + 1,
                     (const char *)&one, 0, n);
    return SW_OK;
}

/* The position that an index asks for, -1 for none: indices outside leave all of their row off. */
static int64_t hot_position(const sw_tensor *indices, int64_t i, int64_t depth) {
    int64_t index = sw__dtype_is_float(indices->dtype) ? sw__f64_to_i64(sw_tensor_float_at(indices, i))
                                                       : sw_tensor_int_at(indices, i);
    if (index < -depth || index >= depth) return -1;
    return sw__index_wrap(index, depth);
}

sw_status sw__one_hot_ref(const sw_call *c) {
    const sw_tensor *indices = c->in[0], *values = c->in[2], *out = c->out[0];
    size_t size = sw_dtype_size(out->dtype);
    int axis = sw_axis(sw_call_int(c, "axis"), out->rank);
    if (sw_tensor_count(values) != 2) return sw_call_fail(c, "'values' must hold the off and the on value");
    if (sw_tensor_count(out) == 0) return SW_OK;
    const char *off = values->data, *on = off + size;
    int64_t depth = out->dims[axis], inner = sw__extent(out, axis + 1, out->rank), n = sw_tensor_count(indices);
    sw__fill(c->pool, size, out->data, off, sw_tensor_count(out));
    for (int64_t i = 0; i < n; i++) {
        int64_t hot = hot_position(indices, i, depth);
        if (hot < 0) continue;
        int64_t at = (i / inner * depth + hot) * inner + i % inner;
        sw__copy_strided(size, (char *)out->data + at * (int64_t)size, 1, on, 1, 1);
    }
    return SW_OK;
}

/* ---- NonZero ------------------------------------------------------------------------------------------------------- */

static bool is_set(const sw_tensor *t, int64_t i) {
    return sw__dtype_is_float(t->dtype) ? sw_tensor_float_at(t, i) != 0 : sw_tensor_int_at(t, i) != 0;
}

sw_status sw__non_zero_ref(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    int64_t n = sw_tensor_count(in), found = 0, at[SW_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++) found += is_set(in, i);
    SW_TRY(c->resize(c, 0, 2, (const int64_t[]){in->rank, found}));
    int64_t *to = c->out[0]->data;
    for (int64_t i = 0, k = 0; i < n; i++) {
        if (is_set(in, i)) {
            for (int a = 0; a < in->rank; a++) to[a * found + k] = at[a];
            k++;
        }
        for (int a = in->rank - 1; a >= 0 && ++at[a] == in->dims[a]; a--) at[a] = 0;
    }
    return SW_OK;
}
