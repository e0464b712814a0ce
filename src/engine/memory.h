/* Memory planner: offsets for buffers that live during a span of steps. Pure; design 2. */
#ifndef SLIPWAY_ENGINE_MEMORY_H
#define SLIPWAY_ENGINE_MEMORY_H

#include "base/alloc.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct sw_span {
    int64_t bytes;       /* 0: needs no place */
    int32_t first, last; /* steps during which it must keep its content, both included */
    int64_t offset;      /* result: a multiple of SW_ALIGN */
} sw_span;

/* Gives each span an offset such that no two spans alive at the same step overlap, and *total, the bytes needed.
 * Greedy: largest first, each at the lowest offset that is free. SW_E_NOMEM; SW_E_LIMIT when the total overflows. */
SW_MUST_USE sw_status sw_memory_plan(const sw_allocator *allocator, sw_span *spans, int n, int64_t *total);
/* The same where `overlap` says which two spans may not share memory, instead of their steps. */
SW_MUST_USE sw_status sw_memory_plan_by(const sw_allocator *allocator, sw_span *spans, int n,
                                        bool (*overlap)(const void *ctx, int a, int b), const void *ctx,
                                        int64_t *total);

#endif
