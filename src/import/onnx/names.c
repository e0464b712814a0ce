#include "import/onnx/names.h"

#include <string.h>

struct sw__name {
    const char *name; /* NULL: free */
    uint64_t hash;
    void *value;
};

/* FNV-1a from a start that differs from run to run with the address space, then mixed: a file cannot be made so that
 * its names collide. Nothing depends on the order of slots. */
static uint64_t hash_name(const char *name) {
    static const char start;
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)(uintptr_t)&start * 0x9e3779b97f4a7c15u;
    for (; *name; name++) {
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    return hash * 0x9e3779b97f4a7c15u >> 7;
}

static struct sw__name *slot_of(const sw__names *names, const char *name, uint64_t hash) {
    size_t mask = names->cap - 1, at = hash & mask;
    while (names->slots[at].name && (names->slots[at].hash != hash || strcmp(names->slots[at].name, name) != 0))
        at = (at + 1) & mask;
    return &names->slots[at];
}

static sw_status grow(sw__names *names, sw_arena *arena) {
    sw__names wider = {.cap = names->cap ? names->cap * 2 : 16, .n = names->n};
    wider.slots = SW_ARENA_ARRAY(arena, struct sw__name, wider.cap);
    if (!wider.slots) return SW_E_NOMEM;
    for (size_t i = 0; i < names->cap; i++) {
        const struct sw__name *old = &names->slots[i];
        if (old->name) *slot_of(&wider, old->name, old->hash) = *old;
    }
    *names = wider;
    return SW_OK;
}

sw_status sw__names_add(sw__names *names, sw_arena *arena, const char *name, void *value, bool *fresh) {
    if (names->n * 2 >= names->cap) SW_TRY(grow(names, arena));
    uint64_t hash = hash_name(name);
    struct sw__name *slot = slot_of(names, name, hash);
    *fresh = !slot->name;
    if (!*fresh) return SW_OK;
    *slot = (struct sw__name){name, hash, value};
    names->n++;
    return SW_OK;
}

bool sw__names_get(const sw__names *names, const char *name, void **value) {
    if (!names->n) return false;
    const struct sw__name *slot = slot_of(names, name, hash_name(name));
    if (!slot->name) return false;
    if (value) *value = slot->value;
    return true;
}
