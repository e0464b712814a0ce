/* An allocator for tests: fails when told, and counts blocks that are still held. */
#ifndef SLIPWAY_BASE_TEST_MEMORY_H
#define SLIPWAY_BASE_TEST_MEMORY_H

#include <stdlib.h>

#include "base/alloc.h"

typedef struct test_memory {
    int calls, fail_at; /* call number `fail_at` fails (from 1); 0: none */
    int held;
} test_memory;

static inline void *test_memory_alloc(void *ctx, size_t size) {
    test_memory *m = ctx;
    if (++m->calls == m->fail_at) return NULL;
    void *block = aligned_alloc(SW_ALIGN, size);
    m->held += block != NULL;
    return block;
}

static inline void test_memory_free(void *ctx, void *block) {
    test_memory *m = ctx;
    m->held -= block != NULL;
    free(block);
}

static inline sw_allocator test_memory_allocator(test_memory *m) {
    return (sw_allocator){.alloc = test_memory_alloc, .free = test_memory_free, .ctx = m};
}

#endif
