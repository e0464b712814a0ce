/* A hash of bytes, fast and the same on every machine; no protection against whoever makes collisions on purpose. */
#ifndef SLIPWAY_BASE_HASH_H
#define SLIPWAY_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `hash` (at first: any seed), so that parts hash one after the other. */
uint64_t sw_hash(uint64_t hash, const void *data, size_t size);
/* The same of a text and its end. */
uint64_t sw_hash_text(uint64_t hash, const char *text);

#endif
