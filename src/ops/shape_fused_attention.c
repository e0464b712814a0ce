#include "ops/fused_attention.h"
#include "ops/shape.h"

/* Sizes are at least 1, so that products of them are easily bounded. */
static sw_status read_sizes(const sw_call *c, sw_fused_attention *a) {
    const sw_attr *batch = sw_call_attr(c, "batch", SW_ATTR_INTS), *sizes = sw_call_attr(c, "sizes", SW_ATTR_INTS);
    if (batch->ints.n > SW_ATTENTION_BATCH || sizes->ints.n != 4)
        return sw_call_fail(c, "it has %d batch axes and %d sizes, expected at most 6 and 4", batch->ints.n,
                            sizes->ints.n);
    a->n_batch = batch->ints.n;
    a->heads = 1;
    for (int i = 0; i < a->n_batch; i++) {
        a->batch[i] = batch->ints.v[i];
        if (a->batch[i] < 1 || a->batch[i] > INT32_MAX / a->heads)
            return sw_call_fail(c, "it has no heads, or too many");
        a->heads *= a->batch[i];
    }
    int64_t *to[4] = {&a->queries, &a->keys, &a->size, &a->value_size};
    for (int i = 0; i < 4; i++) {
        if (sizes->ints.v[i] < 1 || sizes->ints.v[i] > INT32_MAX / 8)
            return sw_call_fail(c, "its sizes are below 1, or too large");
        *to[i] = sizes->ints.v[i];
    }
    return SW_OK;
}

/* Adds the reach of an axis: the last element that it comes to. */
static bool reach(int64_t *last, int64_t stride, int64_t extent) {
    int64_t span;
    return stride >= 0 && !__builtin_mul_overflow(stride, extent - 1, &span) &&
           !__builtin_add_overflow(*last, span, last);
}

static sw_status read_heads(const sw_call *c, const sw_fused_attention *a, const char *name, const sw_tensor *t,
                            int64_t along, int64_t across, sw_heads *h) {
    const sw_attr *v = sw_call_attr(c, name, SW_ATTR_INTS);
    if (v->ints.n != 3 + a->n_batch)
        return sw_call_fail(c, "attribute %s has %d numbers, expected %d", name, v->ints.n, 3 + a->n_batch);
    *h = (sw_heads){.offset = v->ints.v[0], .along = v->ints.v[1], .across = v->ints.v[2]};
    int64_t last = h->offset;
    bool fits = last >= 0 && reach(&last, h->along, along) && reach(&last, h->across, across);
    for (int i = 0; i < a->n_batch; i++) {
        h->batch[i] = v->ints.v[3 + i];
        fits = fits && reach(&last, h->batch[i], a->batch[i]);
    }
    if (fits && (!t || !sw_tensor_is_concrete(t) || last < sw_tensor_count(t))) return SW_OK;
    return sw_call_fail(c, "attribute %s leads out of its tensor", name);
}

static sw_status read_mask(const sw_call *c, sw_fused_attention *a) {
    const sw_tensor *mask = sw_call_in(c, 3);
    if (!mask || !sw_tensor_is_concrete(mask)) return SW_OK;
    if (mask->dtype != SW_F32 || mask->rank != 3 || mask->dims[1] != a->queries || mask->dims[2] != a->keys ||
        mask->dims[0] < 1 || a->heads % mask->dims[0] != 0)
        return sw_call_fail(c, "its mask does not fit its heads");
    a->masks = mask->dims[0];
    return SW_OK;
}

sw_status sw_call_fused_attention(const sw_call *c, sw_fused_attention *a) {
    *a = (sw_fused_attention){.scale = sw_call_float(c, "scale")};
    SW_TRY(read_sizes(c, a));
    SW_TRY(read_heads(c, a, "query", c->in[0], a->queries, a->size, &a->q));
    SW_TRY(read_heads(c, a, "key", c->in[1], a->keys, a->size, &a->k));
    SW_TRY(read_heads(c, a, "value", c->in[2], a->keys, a->value_size, &a->v));
    SW_TRY(read_heads(c, a, "result", sw_call_out(c, 0), a->queries, a->value_size, &a->y));
    return read_mask(c, a);
}

/* The result is as large as what its heads hold. */
sw_status sw__shape_fused_attention(const sw_call *c) {
    const sw_attr *shape = sw_call_attr(c, "shape", SW_ATTR_INTS);
    sw_tensor *y = sw_call_out(c, 0);
    sw_fused_attention a;
    int64_t left;
    for (int i = 0; i < 3; i++)
        if (c->in[i]->dtype != SW_F32) return sw_call_unsupported(c, "types other than float32 are not supported");
    if (shape->ints.n > SW_MAX_RANK) return sw_call_fail(c, "its result has too many axes");
    if (y) {
        y->dtype = SW_F32;
        y->rank = shape->ints.n;
        for (int i = 0; i < shape->ints.n; i++) {
            if (shape->ints.v[i] < 1) return sw_call_fail(c, "axis %d of its result is below 1", i);
            y->dims[i] = shape->ints.v[i];
        }
    }
    SW_TRY(sw_call_fused_attention(c, &a));
    if (!y) return SW_OK;
    bool whole = !__builtin_mul_overflow(a.heads * a.queries, a.value_size, &left) && left == sw_tensor_count(y);
    return whole ? SW_OK : sw_call_fail(c, "its heads do not fill its result");
}
