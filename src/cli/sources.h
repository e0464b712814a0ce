/* Pictures to look at: files, folders, patterns, "-". */
#ifndef SLIPWAY_CLI_SOURCES_H
#define SLIPWAY_CLI_SOURCES_H

#include <stdbool.h>

#include "base/arena.h"
#include "media/image.h"

typedef struct sw_sources {
    const char **paths; /* in the arena; "-" is standard input */
    size_t n;
    sw_status status; /* of the first word that led to nothing; it was reported, and the others go on */
} sw_sources;

/* Expands words of the command line: a folder gives its pictures (by ending, sorted, not those in folders within), a
 * pattern that is no file what it matches. SW_E_NOMEM, SW_E_LIMIT. */
SW_MUST_USE sw_status sw_sources_collect(const char *const *words, int n, sw_arena *arena, const sw_diag *diag,
                                         sw_sources *sources);

/* Whether a word must mean pictures, not a model: "-", a folder (but one named as Ultralytics names OpenVINO's), a
 * pattern, a picture by its content, or one by its name that is not there. */
bool sw_source_is_pictures(const char *word);

/* Loads a picture of the list. */
SW_MUST_USE sw_status sw_source_load(const char *path, const sw_diag *diag, sw_image *image);

#endif
