/* Arena: memory for what dies together. Not thread-safe; one owner. */
#ifndef SLIPWAY_BASE_ARENA_H
#define SLIPWAY_BASE_ARENA_H

#include <stdint.h>

#include "base/alloc.h"

typedef struct sw_arena sw_arena;

/* `limit`: the most bytes that it may hold, 0 for none. NULL when out of memory. */
sw_arena *sw_arena_create(const sw_allocator *allocator, size_t limit);
void sw_arena_destroy(sw_arena *arena); /* takes NULL */

/* Zeroed memory aligned to 16 bytes (64 for blocks of 4 KiB and more), valid until the arena is destroyed; NULL when
 * out of memory, above the limit, or when n * size overflows. */
void *sw_arena_alloc(sw_arena *arena, size_t n, size_t size);
#define SW_ARENA_NEW(arena, type)      ((type *)sw_arena_alloc((arena), 1, sizeof(type)))
#define SW_ARENA_ARRAY(arena, type, n) ((type *)sw_arena_alloc((arena), (size_t)(n), sizeof(type)))

/* Copies with a terminating zero; NULL when out of memory (or when `text` is NULL). */
char *sw_arena_strdup(sw_arena *arena, const char *text);
char *sw_arena_strndup(sw_arena *arena, const char *text, size_t length);
char *sw_arena_printf(sw_arena *arena, const char *fmt, ...) SW_PRINTF(2, 3);
void *sw_arena_copy(sw_arena *arena, const void *data, size_t bytes);

/* Run `fn(ctx)` when the arena is destroyed, last registered first. */
SW_MUST_USE sw_status sw_arena_cleanup(sw_arena *arena, void (*fn)(void *ctx), void *ctx);

/* Bytes handed out so far. */
size_t sw_arena_used(const sw_arena *arena);

#endif
