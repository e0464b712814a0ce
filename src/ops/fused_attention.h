/* What FusedAttention tells of the shapes that it works on: heads that lie anywhere in their tensors. */
#ifndef SLIPWAY_OPS_FUSED_ATTENTION_H
#define SLIPWAY_OPS_FUSED_ATTENTION_H

#include "ops/op.h"

enum { SW_ATTENTION_BATCH = 6 };

/* Vectors of a head in a tensor, in elements: vector i, element j of a head b lies at offset + i along + j across + b batch. */
typedef struct sw_heads {
    int64_t offset, along, across, batch[SW_ATTENTION_BATCH];
} sw_heads;

typedef struct sw_fused_attention {
    int n_batch;
    int64_t batch[SW_ATTENTION_BATCH];       /* heads; all that is there but for the two axes of a head */
    int64_t heads;                           /* their number */
    int64_t queries, keys, size, value_size; /* vectors, and elements of them */
    sw_heads q, k, v, y;
    int64_t masks; /* of queries x keys, one for each of the last so many heads, again and again; 0: there are none */
    float scale;
} sw_fused_attention;

/* Reads and checks the attributes; where shapes are concrete, that everything lies within its tensor. SW_E_MODEL. */
SW_MUST_USE sw_status sw_call_fused_attention(const sw_call *c, sw_fused_attention *a);

/* Where a head begins. */
static inline int64_t sw_head_at(const sw_fused_attention *a, const sw_heads *h, int64_t head) {
    int64_t at = h->offset;
    for (int i = a->n_batch - 1; i >= 0; i--) {
        at += head % a->batch[i] * h->batch[i];
        head /= a->batch[i];
    }
    return at;
}

#endif
