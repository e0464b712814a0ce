#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_memory.h"

/* Blocks that fill a huge page lie in some where the system has them: walks over maps miss the TLB less, and the first use
 * costs one fault for 512 small pages. */
enum { HUGE_PAGE = 2 << 20 };

void *sw_alloc(const sw_allocator *allocator, size_t size) {
    if (size > PTRDIFF_MAX - SW_ALIGN) return NULL;
    size = (size + SW_ALIGN - 1) / SW_ALIGN * SW_ALIGN;
    if (size == 0) size = SW_ALIGN;
    if (allocator) return allocator->alloc(allocator->ctx, size);
    size_t whole = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (whole - size <= size / 8) size = whole; /* else the end has small pages */
    if (size < HUGE_PAGE) return aligned_alloc(SW_ALIGN, size);
    void *block; /* posix_memalign takes any size; aligned_alloc wants multiples, and sanitizers insist on it */
    if (posix_memalign(&block, HUGE_PAGE, size) != 0) return NULL;
    sw__os_huge_pages(block, size);
    return block;
}

void *sw_calloc(const sw_allocator *allocator, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) return NULL;
    void *block = sw_alloc(allocator, bytes);
    if (block) memset(block, 0, bytes);
    return block;
}

void sw_free(const sw_allocator *allocator, void *block) {
    if (allocator)
        allocator->free(allocator->ctx, block);
    else
        free(block);
}

sw_status sw_grow(const sw_allocator *allocator, void **items, size_t *cap, size_t need, size_t size, size_t max) {
    if (need <= *cap) return SW_OK;
    if (need > max) return SW_E_LIMIT;
    size_t new_cap = *cap < 8 ? 8 : *cap + *cap / 2, bytes;
    if (new_cap < need) new_cap = need;
    if (new_cap > max) new_cap = max;
    if (__builtin_mul_overflow(new_cap, size, &bytes)) return SW_E_NOMEM;
    void *grown = sw_alloc(allocator, bytes);
    if (!grown) return SW_E_NOMEM;
    if (*items) memcpy(grown, *items, *cap * size);
    sw_free(allocator, *items);
    *items = grown;
    *cap = new_cap;
    return SW_OK;
}
