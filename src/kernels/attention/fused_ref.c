/* FusedAttention, one query after the other, in double. */
#include <math.h>
#include <string.h>

#include "kernels/kernel.h"
#include "ops/fused_attention.h"

typedef struct run_of {
    const sw_call *call;
    const sw_fused_attention *a;
    double *scratch; /* for each thread: scores, a result */
} run_of;

static void run_query(const run_of *r, int64_t head, int64_t query, double *score, double *sum) {
    const sw_fused_attention *a = r->a;
    const float *q = (const float *)r->call->in[0]->data + sw_head_at(a, &a->q, head) + query * a->q.along;
    const float *k = (const float *)r->call->in[1]->data + sw_head_at(a, &a->k, head);
    const float *v = (const float *)r->call->in[2]->data + sw_head_at(a, &a->v, head);
    const float *mask =
        a->masks ? (const float *)r->call->in[3]->data + (head % a->masks * a->queries + query) * a->keys : NULL;
    float *y = (float *)r->call->out[0]->data + sw_head_at(a, &a->y, head) + query * a->y.along;
    double most = -HUGE_VAL, total = 0;
    for (int64_t key = 0; key < a->keys; key++) {
        double dot = 0;
        for (int64_t i = 0; i < a->size; i++)
            dot += (double)q[i * a->q.across] * (double)k[key * a->k.along + i * a->k.across];
        score[key] = dot * (double)a->scale + (mask ? (double)mask[key] : 0);
        if (!(score[key] <= most)) most = score[key]; /* NaN stays */
    }
    memset(sum, 0, (size_t)a->value_size * sizeof *sum);
    for (int64_t key = 0; key < a->keys; key++) {
        double weight = exp(score[key] - most);
        total += weight;
        for (int64_t i = 0; i < a->value_size; i++) sum[i] += weight * (double)v[key * a->v.along + i * a->v.across];
    }
    for (int64_t i = 0; i < a->value_size; i++) y[i * a->y.across] = (float)(sum[i] / total);
}

static void run_queries(void *ctx, int64_t begin, int64_t end, int thread) {
    const run_of *r = ctx;
    double *score = r->scratch + thread * (r->a->keys + r->a->value_size);
    for (int64_t i = begin; i < end; i++) run_query(r, i / r->a->queries, i % r->a->queries, score, score + r->a->keys);
}

sw_status sw__fused_attention_ref(const sw_call *c) {
    sw_fused_attention a;
    SW_TRY(sw_call_fused_attention(c, &a));
    run_of r = {.call = c, .a = &a};
    size_t threads = (size_t)sw_pool_threads(c->pool);
    r.scratch = sw_calloc(c->allocator, threads * (size_t)(a.keys + a.value_size), sizeof *r.scratch);
    if (!r.scratch) return SW_E_NOMEM;
    sw_pool_for(c->pool, a.heads * a.queries, 1, run_queries, &r);
    sw_free(c->allocator, r.scratch);
    return SW_OK;
}
