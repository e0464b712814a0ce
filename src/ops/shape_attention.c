/* Shape rules of attention and of what feeds it. */
#include "ops/attention.h"
#include "ops/shape.h"

static long long ll(int64_t v) {
    return (long long)v;
}

/* Heads of an input: given by the attribute, or the second of four axes. */
static sw_status read_heads(const sw_call *c, const sw_tensor *t, const char *name, bool flat, int64_t *heads) {
    const sw_attr *given = sw_call_attr(c, name, SW_ATTR_INT);
    if (given->set && given->i < 1) return sw_call_fail(c, "%s is %lld, expected at least 1", name, ll(given->i));
    if (flat && !given->set) return sw_call_fail(c, "inputs of rank 3 need the attribute %s", name);
    *heads = given->set ? given->i : SW_DIM_UNKNOWN;
    if (!flat) SW_TRY(sw__agree(c, name, *heads, t->dims[1], heads));
    return SW_OK;
}

/* Elements of one head along the last axis. */
static sw_status read_size(const sw_call *c, const sw_tensor *t, bool flat, int64_t heads, int64_t *size) {
    int64_t last = t->dims[t->rank - 1];
    *size = !flat ? last : SW_DIM_UNKNOWN;
    if (!flat || !sw_dim_known(last)) return SW_OK;
    if (last % heads != 0) return sw_call_fail(c, "%lld elements do not divide into %lld heads", ll(last), ll(heads));
    *size = last / heads;
    return SW_OK;
}

static sw_status check_past(const sw_call *c, sw_attention *a) {
    a->past = 0;
    if (!sw_call_in(c, 4) != !sw_call_in(c, 5))
        return sw_call_fail(c, "past_key and past_value are given together or not at all");
    for (int i = 4; i < 6; i++) {
        const sw_tensor *t = sw_call_in(c, i);
        if (!t) continue;
        if (t->rank < 0) {
            a->past = SW_DIM_UNKNOWN;
            continue;
        }
        if (t->rank != 4) return sw_call_fail(c, "input %d has %d axes, expected 4", i + 1, t->rank);
        SW_TRY(sw__agree(c, "the batch", a->batch, t->dims[0], &a->batch));
        SW_TRY(sw__agree(c, "the number of key heads", a->kv_heads, t->dims[1], &a->kv_heads));
        SW_TRY(sw__agree(c, "the past", i == 4 ? t->dims[2] : a->past, t->dims[2], &a->past));
        int64_t *size = i == 4 ? &a->size : &a->value_size;
        SW_TRY(sw__agree(c, "the size of a head", *size, t->dims[3], size));
    }
    return sw__dim_add(c, a->past, a->keys, &a->total);
}

/* The mask broadcasts to batch, heads, queries, total; its last axis may be shorter. */
static sw_status check_mask(const sw_call *c, const sw_attention *a) {
    const sw_tensor *mask = sw_call_in(c, 3), *lengths = sw_call_in(c, 6);
    const int64_t full[4] = {a->batch, a->heads, a->queries, a->total};
    if (mask && mask->rank >= 0) {
        if (mask->rank < 1 || mask->rank > 4)
            return sw_call_fail(c, "the mask has %d axes, expected 1 to 4", mask->rank);
        for (int i = 0; i < mask->rank; i++) {
            int64_t has = mask->dims[i], want = full[4 - mask->rank + i];
            bool last = i == mask->rank - 1;
            if (sw_dim_known(has) && sw_dim_known(want) && has != 1 && (last ? has > want : has != want))
                return sw_call_fail(c, "axis %d of the mask is %lld, expected 1 or %s%lld", i, ll(has),
                                    last ? "at most " : "", ll(want));
        }
    }
    if (!lengths) return SW_OK;
    if (lengths->rank >= 0 && lengths->rank != 1)
        return sw_call_fail(c, "nonpad_kv_seqlen has %d axes, expected 1", lengths->rank);
    SW_TRY(sw__require_index_type(c, lengths));
    int64_t batch;
    return lengths->rank < 0 ? SW_OK : sw__agree(c, "the batch", a->batch, lengths->dims[0], &batch);
}

sw_status sw_call_attention(const sw_call *c, sw_attention *a, bool *known) {
    const sw_tensor *q = c->in[0], *k = c->in[1], *v = c->in[2];
    *known = q->rank >= 0 && k->rank >= 0 && v->rank >= 0;
    *a = (sw_attention){.flat = q->rank == 3};
    if (!*known) return SW_OK;
    if (q->rank != k->rank || q->rank != v->rank || q->rank < 3 || q->rank > 4)
        return sw_call_fail(c, "Q, K and V have %d, %d and %d axes, expected 3 or 4 of each", q->rank, k->rank,
                            v->rank);
    SW_TRY(read_heads(c, q, "q_num_heads", a->flat, &a->heads));
    SW_TRY(read_heads(c, k, "kv_num_heads", a->flat, &a->kv_heads));
    if (!a->flat) SW_TRY(sw__agree(c, "the number of key heads", a->kv_heads, v->dims[1], &a->kv_heads));
    if (a->kv_heads == 0 || (sw_dim_known(a->heads) && sw_dim_known(a->kv_heads) && a->heads % a->kv_heads != 0))
        return sw_call_fail(c, "%lld query heads cannot share %lld key heads", ll(a->heads), ll(a->kv_heads));
    int sequence = a->flat ? 1 : 2;
    a->queries = q->dims[sequence];
    SW_TRY(sw__agree(c, "the batch", q->dims[0], k->dims[0], &a->batch));
    SW_TRY(sw__agree(c, "the batch", a->batch, v->dims[0], &a->batch));
    SW_TRY(sw__agree(c, "the number of keys", k->dims[sequence], v->dims[sequence], &a->keys));
    int64_t key_size;
    SW_TRY(read_size(c, q, a->flat, a->heads, &a->size));
    SW_TRY(read_size(c, k, a->flat, a->kv_heads, &key_size));
    SW_TRY(read_size(c, v, a->flat, a->kv_heads, &a->value_size));
    SW_TRY(sw__agree(c, "the size of a head", a->size, key_size, &a->size));
    SW_TRY(check_past(c, a));
    return check_mask(c, a);
}

static void set_4(sw_tensor *t, sw_dtype dtype, const int64_t *dims) {
    if (!t) return;
    sw__set_unknown(t, dtype, 4);
    for (int i = 0; i < 4; i++) t->dims[i] = dims[i];
}

sw_status sw__shape_attention(const sw_call *c) {
    sw_attention a;
    bool known;
    int64_t mode = sw_call_int(c, "qk_matmul_output_mode");
    sw_tensor *y = sw_call_out(c, 0);
    if (mode < 0 || mode > 3) return sw_call_fail(c, "qk_matmul_output_mode is %lld, expected 0 to 3", ll(mode));
    SW_TRY(sw_call_attention(c, &a, &known));
    if (!known) {
        for (int i = 0; i < 4; i++)
            if (sw_call_out(c, i)) sw__set_unknown(c->out[i], c->in[i == 2 ? 2 : 0]->dtype, i ? 4 : SW_RANK_UNKNOWN);
        return SW_OK;
    }
    set_4(sw_call_out(c, 1), c->in[1]->dtype, (int64_t[]){a.batch, a.kv_heads, a.total, a.size});
    set_4(sw_call_out(c, 2), c->in[2]->dtype, (int64_t[]){a.batch, a.kv_heads, a.total, a.value_size});
    set_4(sw_call_out(c, 3), c->in[0]->dtype, (int64_t[]){a.batch, a.heads, a.queries, a.total});
    if (!y) return SW_OK;
    if (!a.flat) {
        set_4(y, c->in[0]->dtype, (int64_t[]){a.batch, a.heads, a.queries, a.value_size});
        return SW_OK;
    }
    sw__set_unknown(y, c->in[0]->dtype, 3);
    y->dims[0] = a.batch;
    y->dims[1] = a.queries;
    return sw__dim_mul(c, a.heads, a.value_size, &y->dims[2]);
}

sw_status sw__shape_rotary_embedding(const sw_call *c) {
    const sw_tensor *x = c->in[0], *positions = sw_call_in(c, 3);
    int64_t rotated = sw_call_int(c, "rotary_embedding_dim"), heads = sw_call_int(c, "num_heads");
    if (rotated < 0 || rotated % 2 != 0)
        return sw_call_fail(c, "rotary_embedding_dim is %lld, expected an even number", ll(rotated));
    if (x->rank >= 0 && x->rank != 3 && x->rank != 4)
        return sw_call_fail(c, "the input has %d axes, expected 3 or 4", x->rank);
    if (positions) SW_TRY(sw__require_index_type(c, positions));
    int64_t size = x->rank >= 0 ? x->dims[x->rank - 1] : SW_DIM_UNKNOWN;
    if (x->rank == 3) {
        if (heads < 1) return sw_call_fail(c, "an input of rank 3 needs the attribute num_heads");
        SW_TRY(read_size(c, x, true, heads, &size));
    }
    if (sw_dim_known(size) && (rotated > size || (rotated == 0 && size % 2 != 0)))
        return sw_call_fail(c, "heads of %lld elements cannot be rotated by pairs of %lld", ll(size), ll(rotated));
    int64_t pairs = rotated ? rotated / 2 : sw_dim_known(size) ? size / 2 : SW_DIM_UNKNOWN;
    for (int i = 1; i < 3; i++) {
        const sw_tensor *cache = c->in[i];
        int rank = positions ? 2 : 3;
        if (cache->rank < 0) continue;
        if (cache->rank != rank) return sw_call_fail(c, "input %d has %d axes, expected %d", i + 1, cache->rank, rank);
        int64_t has = cache->dims[rank - 1], same;
        if (sw_dim_known(has) && has < pairs)
            return sw_call_fail(c, "input %d has %lld values a position, expected %lld", i + 1, ll(has), ll(pairs));
        if (positions || x->rank < 0) continue;
        SW_TRY(sw__agree(c, "the batch", x->dims[0], cache->dims[0], &same));
        SW_TRY(sw__agree(c, "the sequence", x->dims[x->rank - 2], cache->dims[1], &same));
    }
    if (positions && positions->rank >= 0) {
        if (positions->rank != 2) return sw_call_fail(c, "position_ids have %d axes, expected 2", positions->rank);
        int64_t same;
        if (x->rank >= 0) SW_TRY(sw__agree(c, "the batch", x->dims[0], positions->dims[0], &same));
        if (x->rank == 3) SW_TRY(sw__agree(c, "the sequence", x->dims[1], positions->dims[1], &same));
        if (x->rank == 4) SW_TRY(sw__agree(c, "the sequence", x->dims[2], positions->dims[1], &same));
    }
    return sw__shape_like_first(c);
}

sw_status sw__shape_tensor_scatter(const sw_call *c) {
    const sw_tensor *cache = c->in[0], *update = c->in[1], *at = sw_call_in(c, 2);
    int axis;
    sw_dtype dtype;
    SW_TRY(sw__same_dtype(c, cache, update, &dtype));
    if (at) SW_TRY(sw__require_index_type(c, at));
    if (cache->rank >= 0) {
        SW_TRY(sw__require_axis(c, sw_call_int(c, "axis"), cache->rank, &axis));
        if (axis == 0) return sw_call_fail(c, "axis 0 is the batch");
        if (update->rank >= 0 && update->rank != cache->rank)
            return sw_call_fail(c, "the cache has %d axes, the update %d", cache->rank, update->rank);
        for (int i = 0; i < update->rank; i++) {
            int64_t has = update->dims[i], room = cache->dims[i];
            if (sw_dim_known(has) && sw_dim_known(room) && (i == axis ? has > room : has != room))
                return sw_call_fail(c, "axis %d is %lld in the update and %lld in the cache", i, ll(has), ll(room));
        }
        int64_t batch;
        if (at && at->rank >= 0 && at->rank != 1)
            return sw_call_fail(c, "write_indices have %d axes, expected 1", at->rank);
        if (at && at->rank == 1) SW_TRY(sw__agree(c, "the batch", cache->dims[0], at->dims[0], &batch));
    }
    return sw__shape_like_first(c);
}
