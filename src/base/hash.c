#include "base/hash.h"

#include <string.h>

/* MurmurHash64A's mixing: words of 8 bytes, little endian; the size of each part is part of it. */
static const uint64_t factor = 0xc6a4a7935bd1e995u;

static uint64_t mix(uint64_t hash, uint64_t word) {
    word *= factor;
    word ^= word >> 47;
    word *= factor;
    return (hash ^ word) * factor;
}

uint64_t sw_hash(uint64_t hash, const void *data, size_t size) {
    const uint8_t *bytes = data;
    hash = mix(hash, size);
    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = mix(hash, word);
    }
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) word |= (uint64_t)bytes[i] << (8 * i);
    if (size) hash = mix(hash, word);
    hash ^= hash >> 47;
    hash *= factor;
    return hash ^ hash >> 47;
}

uint64_t sw_hash_text(uint64_t hash, const char *text) {
    return sw_hash(hash, text, strlen(text) + 1);
}
