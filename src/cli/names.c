#include "cli/names.h"

#include <stdbool.h>
#include <string.h>

enum { MOST_NAMES = 1 << 22 };

static uint64_t hash(const char *text) { /* FNV-1a */
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text; text++) h = (h ^ (uint8_t)*text) * 0x100000001b3u;
    return h;
}

/* The slot of a name, or the free one where it belongs. `cap` is a power of two and never full. */
static size_t slot_of(const char *const *slots, size_t cap, const char *name) {
    size_t i = (size_t)hash(name) & (cap - 1);
    while (slots[i] && strcmp(slots[i], name) != 0) i = (i + 1) & (cap - 1);
    return i;
}

static bool grow(sw_taken *t) {
    size_t cap = t->cap ? 2 * t->cap : 64;
    const char **slots = cap <= MOST_NAMES ? sw_calloc(NULL, cap, sizeof *slots) : NULL;
    if (!slots) return false;
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i]) slots[slot_of(slots, cap, t->slots[i])] = t->slots[i];
    sw_free(NULL, t->slots);
    t->slots = slots;
    t->cap = cap;
    return true;
}

const char *sw_taken_add(sw_taken *t, const char *stem, const char *ending) {
    if (2 * t->n >= t->cap && !grow(t)) return NULL;
    for (size_t copy = 1;; copy++) {
        char *name = copy == 1 ? sw_arena_printf(t->arena, "%s%s", stem, ending)
                               : sw_arena_printf(t->arena, "%s_%zu%s", stem, copy, ending);
        if (!name) return NULL;
        for (char *at = name; *at; at++)
            if (*at == '/') *at = '_';
        size_t i = slot_of(t->slots, t->cap, name);
        if (t->slots[i]) continue;
        t->slots[i] = name;
        t->n++;
        return name;
    }
}

void sw_taken_free(sw_taken *t) {
    sw_free(NULL, t->slots);
    *t = (sw_taken){.arena = t->arena};
}
