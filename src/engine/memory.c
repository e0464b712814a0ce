#include "engine/memory.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b) {
    const sw_span *x = *(sw_span *const *)a, *y = *(sw_span *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y; /* qsort is not stable; plans must be the same every time */
}

typedef bool (*overlap_fn)(const void *ctx, int a, int b);

static bool steps_overlap(const void *ctx, int a, int b) {
    const sw_span *spans = ctx;
    return spans[a].last >= spans[b].first && spans[a].first <= spans[b].last;
}

/* The lowest offset at which `span` fits among the `n` placed ones, which are sorted by offset. */
static int64_t lowest_gap(const sw_span *spans, const sw_span *span, sw_span *const *placed, int n, overlap_fn overlap,
                          const void *ctx) {
    int64_t offset = 0;
    for (int i = 0; i < n; i++) {
        const sw_span *other = placed[i];
        if (!overlap(ctx, (int)(other - spans), (int)(span - spans))) continue;
        if (other->offset - offset >= span->bytes) return offset;
        if (other->offset + other->bytes > offset) offset = other->offset + other->bytes;
    }
    return offset;
}

static void insert_by_offset(sw_span **placed, int n, sw_span *span) {
    int i = n;
    for (; i > 0 && placed[i - 1]->offset > span->offset; i--) placed[i] = placed[i - 1];
    placed[i] = span;
}

sw_status sw_memory_plan(const sw_allocator *allocator, sw_span *spans, int n, int64_t *total) {
    return sw_memory_plan_by(allocator, spans, n, steps_overlap, spans, total);
}

sw_status sw_memory_plan_by(const sw_allocator *allocator, sw_span *spans, int n, overlap_fn overlap, const void *ctx,
                            int64_t *total) {
    *total = 0;
    sw_span **order = sw_calloc(allocator, (size_t)n * 2 + 1, sizeof *order);
    if (!order) return SW_E_NOMEM;
    sw_span **placed = order + n;
    sw_status status = SW_OK;
    int count = 0, done = 0;
    int64_t sum = 0; /* bounds every offset, so that none can overflow */
    for (int i = 0; i < n && status == SW_OK; i++) {
        if (spans[i].bytes <= 0) continue;
        if (spans[i].bytes > INT64_MAX - SW_ALIGN)
            status = SW_E_LIMIT;
        else
            spans[i].bytes = (spans[i].bytes + SW_ALIGN - 1) / SW_ALIGN * SW_ALIGN;
        if (__builtin_add_overflow(sum, spans[i].bytes, &sum)) status = SW_E_LIMIT;
        order[count++] = &spans[i];
    }
    if (status == SW_OK) {
        qsort(order, (size_t)count, sizeof *order, by_size);
        for (; done < count; done++) {
            order[done]->offset = lowest_gap(spans, order[done], placed, done, overlap, ctx);
            int64_t end = order[done]->offset + order[done]->bytes;
            if (end > *total) *total = end;
            insert_by_offset(placed, done, order[done]);
        }
    }
    sw_free(allocator, order);
    return status;
}
