/* A map from names to pointers, in an arena. Names are not copied and must live as long. */
#ifndef SLIPWAY_IMPORT_ONNX_NAMES_H
#define SLIPWAY_IMPORT_ONNX_NAMES_H

#include <stdbool.h>

#include "base/arena.h"

typedef struct sw__names {
    struct sw__name *slots;
    size_t cap, n;
} sw__names;

/* Adds a name; false in `fresh` (and nothing changed) when it is there. SW_E_NOMEM. */
SW_MUST_USE sw_status sw__names_add(sw__names *names, sw_arena *arena, const char *name, void *value, bool *fresh);
/* Is the name there? `value`, if not NULL, gets what it stands for. */
bool sw__names_get(const sw__names *names, const char *name, void **value);

#endif
