/* Attention: what shape rule and kernel need to know. */
#ifndef SLIPWAY_OPS_ATTENTION_H
#define SLIPWAY_OPS_ATTENTION_H

#include "ops/op.h"

/* Extents; in shape rules they may be unknown. Query head h reads key head h / (heads / kv_heads). */
typedef struct sw_attention {
    bool flat; /* inputs of rank 3 hold the heads side by side in their last axis: batch, sequence, heads * size */
    int64_t batch, heads, kv_heads, queries, keys /* of the input K */, past, size, value_size;
    int64_t total; /* past + keys */
} sw_attention;

/* From inputs and attributes; *known is false (and the rest empty) when a rank is not known. */
SW_MUST_USE sw_status sw_call_attention(const sw_call *c, sw_attention *a, bool *known);

#endif
