/* Memory: an allocator that is a parameter, so that tests can make it fail. */
#ifndef SLIPWAY_BASE_ALLOC_H
#define SLIPWAY_BASE_ALLOC_H

#include <stddef.h>

#include "slipway/status.h"

/* Alignment of every block: a cache line, and enough for the widest vector. */
enum { SW_ALIGN = 64 };

/* `alloc` returns `size` bytes aligned to SW_ALIGN, or NULL; `free` takes NULL. Both must be callable from any
 * thread. A NULL sw_allocator pointer means the process heap, everywhere. */
typedef struct sw_allocator {
    void *(*alloc)(void *ctx, size_t size);
    void (*free)(void *ctx, void *block);
    void *ctx;
} sw_allocator;

void *sw_alloc(const sw_allocator *allocator, size_t size);             /* uninitialised; size 0 gives a block */
void *sw_calloc(const sw_allocator *allocator, size_t n, size_t size); /* zeroed; NULL when n * size overflows */
void sw_free(const sw_allocator *allocator, void *block);

/* Grow `*items` (elements of `size` bytes, capacity `*cap`) so that it holds `need` elements; never above `max`.
 * On failure everything stays as it was: SW_E_LIMIT above `max`, else SW_E_NOMEM. */
SW_MUST_USE sw_status sw_grow(const sw_allocator *allocator, void **items, size_t *cap, size_t need, size_t size,
                              size_t max);

#endif
