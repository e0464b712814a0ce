/* Attention (scaled dot product), one query after the other, in double.
 *
 * Where early texts of the standard were corrected later, this is the corrected form: scores are capped before the mask is
 * added (onnx/onnx#7867; else capping would show what the mask hides), neighbouring query heads share a key head
 * (onnx/onnx#7274), and with a past the first query is the one right after it. */
#include <math.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/attention.h"
#include "ops/shape.h"

typedef struct attention_run {
    const sw_call *call;
    sw_attention a;
    double scale, softcap;
    bool causal;
    int64_t mode;    /* what the fourth output shows: products, capped, with the mask, probabilities */
    double *scratch; /* for each thread: `total` scores, a query, a key or value, an output */
    int64_t scratch_size;
} attention_run;

/* Element where vector `s` of head `h` begins, in a tensor of `sequence` vectors of `size`. */
static int64_t vector_at(bool flat, int64_t heads, int64_t sequence, int64_t size, int64_t b, int64_t h, int64_t s) {
    return flat ? ((b * sequence + s) * heads + h) * size : ((b * heads + h) * sequence + s) * size;
}

/* Key (input 1) or value (input 2) number `s`, which may come from the past (inputs 4 and 5). */
static void read_vector(const attention_run *r, int input, int64_t b, int64_t h, int64_t s, double *to) {
    const sw_attention *a = &r->a;
    int64_t size = input == 1 ? a->size : a->value_size;
    bool old = s < a->past;
    const sw_tensor *t = r->call->in[old ? input + 3 : input];
    int64_t at = old ? vector_at(false, a->kv_heads, a->past, size, b, h, s)
                     : vector_at(a->flat, a->kv_heads, a->keys, size, b, h, s - a->past);
    sw__widen(t->dtype, t->data, at, 1, size, to);
}

/* What is added to the score of a query and a key; -infinity hides the key. */
static double mask_at(const attention_run *r, int64_t b, int64_t h, int64_t q, int64_t k) {
    const sw_tensor *mask = sw_call_in(r->call, 3), *lengths = sw_call_in(r->call, 6);
    if (r->causal && k > q + r->a.past) return -HUGE_VAL;
    if (lengths && k >= sw_tensor_int_at(lengths, b)) return -HUGE_VAL;
    if (!mask) return 0;
    const int64_t index[4] = {b, h, q, k};
    int64_t at = 0, last = mask->dims[mask->rank - 1];
    if (last != 1 && k >= last) return -HUGE_VAL; /* a mask that is too short hides the rest */
    for (int i = 0; i < mask->rank; i++) at = at * mask->dims[i] + (mask->dims[i] == 1 ? 0 : index[4 - mask->rank + i]);
    if (mask->dtype == SW_BOOL) return sw_tensor_int_at(mask, at) ? 0 : -HUGE_VAL;
    return sw_tensor_float_at(mask, at);
}

static double dot(const double *x, const double *y, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* A query that sees nothing gets zeros, as in PyTorch and ONNX Runtime. */
static void softmax(double *v, int64_t n) {
    double top = -HUGE_VAL, sum = 0;
    for (int64_t i = 0; i < n; i++) top = v[i] > top ? v[i] : top;
    for (int64_t i = 0; i < n && top == -HUGE_VAL; i++)
        if (v[i] == top) v[i] = 0; /* else it is no number, and stays none */
    if (top == -HUGE_VAL) return;
    for (int64_t i = 0; i < n; i++) sum += v[i] = exp(v[i] - top);
    for (int64_t i = 0; i < n; i++) v[i] /= sum;
}

static void run_queries(void *ctx, int64_t begin, int64_t end, int thread) {
    const attention_run *r = ctx;
    const sw_attention *a = &r->a;
    const sw_tensor *q = r->call->in[0], *y = sw_call_out(r->call, 0), *shown = sw_call_out(r->call, 3);
    double *score = r->scratch + thread * r->scratch_size, *query = score + a->total, *other = query + a->size;
    double *sum = other + sw__max64(a->size, a->value_size);
    for (int64_t item = begin; item < end; item++) {
        int64_t s = item % a->queries, h = item / a->queries % a->heads, b = item / a->queries / a->heads;
        int64_t kv = h / (a->heads / a->kv_heads), row = item * a->total;
        sw__widen(q->dtype, q->data, vector_at(a->flat, a->heads, a->queries, a->size, b, h, s), 1, a->size, query);
        for (int64_t k = 0; k < a->total; k++) {
            read_vector(r, 1, b, kv, k, other);
            score[k] = r->scale * dot(query, other, a->size);
            if (shown && r->mode == 0) sw__put(shown, row + k, score[k]);
            if (r->softcap > 0) score[k] = r->softcap * tanh(score[k] / r->softcap);
            if (shown && r->mode == 1) sw__put(shown, row + k, score[k]);
            score[k] += mask_at(r, b, h, s, k);
            if (shown && r->mode == 2) sw__put(shown, row + k, score[k]);
        }
        softmax(score, a->total);
        memset(sum, 0, (size_t)a->value_size * sizeof *sum);
        for (int64_t k = 0; k < a->total; k++) {
            if (shown && r->mode == 3) sw__put(shown, row + k, score[k]);
            if (!y || score[k] == 0) continue;
            read_vector(r, 2, b, kv, k, other);
            for (int64_t i = 0; i < a->value_size; i++) sum[i] += score[k] * other[i];
        }
        int64_t to = vector_at(a->flat, a->heads, a->queries, a->value_size, b, h, s);
        if (y) sw__narrow(y->dtype, sum, a->value_size, y->data, to, 1);
    }
}

/* Past and present vectors one after the other, by heads. */
static void join(const attention_run *r, int input) {
    const sw_attention *a = &r->a;
    const sw_tensor *out = sw_call_out(r->call, input);
    if (!out || sw_tensor_count(out) == 0) return;
    int64_t size = input == 1 ? a->size : a->value_size, bytes = size * (int64_t)sw_dtype_size(out->dtype);
    for (int64_t i = 0; i < a->batch * a->kv_heads * a->total; i++) {
        int64_t s = i % a->total, h = i / a->total % a->kv_heads, b = i / a->total / a->kv_heads;
        bool old = s < a->past;
        const sw_tensor *t = r->call->in[old ? input + 3 : input];
        int64_t at = old ? vector_at(false, a->kv_heads, a->past, 1, b, h, s)
                         : vector_at(a->flat, a->kv_heads, a->keys, 1, b, h, s - a->past);
        memcpy((char *)out->data + i * bytes, (const char *)t->data + at * bytes, (size_t)bytes);
    }
}

sw_status sw__attention_ref(const sw_call *c) {
    attention_run r = {.call = c, .causal = sw_call_int(c, "is_causal") != 0};
    bool known;
    SW_TRY(sw_call_attention(c, &r.a, &known));
    for (int i = 0; i < 6; i++) {
        const sw_tensor *t = sw_call_in(c, i);
        if (t && !sw__dtype_is_float(t->dtype) && !(i == 3 && t->dtype == SW_BOOL))
            return sw__refuse_dtype(c, t->dtype);
    }
    join(&r, 1);
    join(&r, 2);
    const sw_attr *scale = sw_call_attr(c, "scale", SW_ATTR_FLOAT);
    r.scale = scale->set ? (double)scale->f : 1 / sqrt((double)r.a.size);
    r.softcap = (double)sw_call_float(c, "softcap");
    r.mode = sw_call_int(c, "qk_matmul_output_mode");
    int64_t items = r.a.batch * r.a.heads * r.a.queries;
    sw_tensor *y = sw_call_out(c, 0), *shown = sw_call_out(c, 3);
    if ((!y || sw_tensor_count(y) == 0) && (!shown || sw_tensor_count(shown) == 0)) return SW_OK;
    r.scratch_size = r.a.total + r.a.size + r.a.value_size + sw__max64(r.a.size, r.a.value_size);
    r.scratch = sw_calloc(c->allocator, (size_t)r.scratch_size * (size_t)sw_pool_threads(c->pool), sizeof *r.scratch);
    if (!r.scratch) return SW_E_NOMEM;
    sw_pool_for(c->pool, items, 1 + 4096 / (r.a.total * r.a.size + 1), run_queries, &r);
    sw_free(c->allocator, r.scratch);
    return SW_OK;
}
