#include "base/arena.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK_BYTES = 64 * 1024, SMALL_ALIGN = 16, LARGE_BYTES = 4096 };

typedef struct block {
    struct block *next;
    size_t size, used; /* bytes after the header */
} block;

/* The header takes one alignment unit, so that what follows it is aligned too. */
_Static_assert(sizeof(block) <= SW_ALIGN, "block header fits its slot");

typedef struct cleanup {
    struct cleanup *next;
    void (*fn)(void *ctx);
    void *ctx;
} cleanup;

struct sw_arena {
    const sw_allocator *allocator;
    size_t limit, used;
    block *blocks; /* the first is the one being filled */
    cleanup *cleanups;
};

sw_arena *sw_arena_create(const sw_allocator *allocator, size_t limit) {
    sw_arena *arena = sw_calloc(allocator, 1, sizeof *arena);
    if (!arena) return NULL;
    arena->allocator = allocator;
    arena->limit = limit ? limit : SIZE_MAX;
    return arena;
}

void sw_arena_destroy(sw_arena *arena) {
    if (!arena) return;
    for (cleanup *c = arena->cleanups; c; c = c->next) c->fn(c->ctx);
    for (block *b = arena->blocks, *next; b; b = next) {
        next = b->next;
        sw_free(arena->allocator, b);
    }
    sw_free(arena->allocator, arena);
}

static void *take(block *b, size_t bytes) {
    void *memory = (char *)b + SW_ALIGN + b->used;
    b->used += bytes;
    return memset(memory, 0, bytes);
}

void *sw_arena_alloc(sw_arena *arena, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > PTRDIFF_MAX / 2) return NULL;
    size_t align = bytes >= LARGE_BYTES ? SW_ALIGN : SMALL_ALIGN;
    bytes = (bytes + align - 1) / align * align;
    if (bytes == 0) bytes = align;
    if (bytes > arena->limit - arena->used) return NULL;
    arena->used += bytes;

    block *b = arena->blocks;
    if (b) {
        b->used = (b->used + align - 1) / align * align;
        if (b->used <= b->size && bytes <= b->size - b->used) return take(b, bytes);
    }
    size_t block_size = bytes > BLOCK_BYTES / 2 ? bytes : BLOCK_BYTES;
    block *fresh = sw_alloc(arena->allocator, SW_ALIGN + block_size);
    if (!fresh) {
        arena->used -= bytes;
        return NULL;
    }
    *fresh = (block){.size = block_size};
    if (block_size == bytes && b) { /* a large block of its own: keep filling the current one */
        fresh->next = b->next;
        b->next = fresh;
    } else {
        fresh->next = b;
        arena->blocks = fresh;
    }
    return take(fresh, bytes);
}

char *sw_arena_strndup(sw_arena *arena, const char *text, size_t length) {
    if (!text || length == SIZE_MAX) return NULL;
    char *copy = sw_arena_alloc(arena, length + 1, 1);
    if (copy && length) memcpy(copy, text, length);
    return copy;
}

char *sw_arena_strdup(sw_arena *arena, const char *text) {
    return text ? sw_arena_strndup(arena, text, strlen(text)) : NULL;
}

char *sw_arena_printf(sw_arena *arena, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = length < 0 ? NULL : sw_arena_alloc(arena, (size_t)length + 1, 1);
    if (text) vsnprintf(text, (size_t)length + 1, fmt, again);
    va_end(again);
    return text;
}

void *sw_arena_copy(sw_arena *arena, const void *data, size_t bytes) {
    void *copy = sw_arena_alloc(arena, bytes, 1);
    if (copy && bytes) memcpy(copy, data, bytes);
    return copy;
}

sw_status sw_arena_cleanup(sw_arena *arena, void (*fn)(void *ctx), void *ctx) {
    cleanup *c = SW_ARENA_NEW(arena, cleanup);
    if (!c) return SW_E_NOMEM;
    *c = (cleanup){.next = arena->cleanups, .fn = fn, .ctx = ctx};
    arena->cleanups = c;
    return SW_OK;
}

size_t sw_arena_used(const sw_arena *arena) { return arena->used; }
