/* Names of output files: each only once, so that none overwrites another of the same run. */
#ifndef SLIPWAY_CLI_NAMES_H
#define SLIPWAY_CLI_NAMES_H

#include "base/arena.h"

/* A set of names; zeroed and with the arena set it is empty. */
typedef struct sw_taken {
    sw_arena *arena; /* holds the names */
    const char **slots;
    size_t n, cap;
} sw_taken;

/* "stem.ending", or "stem_2.ending", "stem_3.ending" ... when that is taken; slashes in the stem become '_'. `ending` with its
 * dot. In the arena; NULL when out of memory. */
const char *sw_taken_add(sw_taken *taken, const char *stem, const char *ending);
/* Frees the table, not the names. */
void sw_taken_free(sw_taken *taken);

#endif
