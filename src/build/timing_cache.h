/* Timing cache: how long each tactic took for each step on each device, kept between builds.
 *
 * A text file, so that it can be read, compared and sent by mail. Its lines are sorted, so that equal contents are equal
 * bytes; the last one holds the number of timings and the CRC of all before it, so that a part of a file is no file:
 *
 *     slipway timing cache 1
 *     kernels 5d0cf1e2
 *     device x86_64 AuthenticAMD 25.97.2 avx2 ... threads 2
 *     <step> TAB <tactic> TAB <nanoseconds> <nanoseconds>
 *     end 214 9a3c01ff
 *
 * The two times are those of two measurements apart from each other (tune.h says what is made of them). "kernels" names
 * the version of the kernels; times of another version say nothing. A file may hold several devices, so that caches of
 * several machines can be merged; a device's text has no tabs. Not thread-safe; two processes on one file lose nothing. */
#ifndef SLIPWAY_BUILD_TIMING_CACHE_H
#define SLIPWAY_BUILD_TIMING_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

typedef struct sw_timings sw_timings;

typedef struct sw_timing {
    int64_t ns[2]; /* >= 0, and so small that sums do not overflow */
} sw_timing;

/* An empty cache for this version of the kernels (copied); NULL when out of memory. */
sw_timings *sw_timings_create(const sw_allocator *allocator, const char *kernels);
void sw_timings_destroy(sw_timings *timings); /* takes NULL */
size_t sw_timings_count(const sw_timings *timings);

bool sw_timings_find(const sw_timings *timings, const char *device, const char *step, const char *tactic,
                     sw_timing *timing);
/* Tells all timings of a device, by step. */
void sw_timings_each(const sw_timings *timings, const char *device,
                     void (*tell)(void *ctx, const char *step, const char *tactic, const sw_timing *timing), void *ctx);
/* Keeps a timing; one that is there already stays as it is, so that choices made from it stay. Texts are printable
 * ASCII of 1 to 1,000 bytes in all, else SW_E_LIMIT; that also for too many timings. */
SW_MUST_USE sw_status sw_timings_add(sw_timings *timings, const char *device, const char *step, const char *tactic,
                                     sw_timing timing);

/* Adds what a file's bytes hold, or nothing: SW_E_INPUT for bytes that are no timing cache at all, SW_E_MODEL for a
 * damaged one, SW_E_UNSUPPORTED for one of other kernels or a newer format; SW_E_NOMEM, SW_E_LIMIT. */
SW_MUST_USE sw_status sw_timings_parse(sw_timings *timings, const void *bytes, size_t size);
void sw_timings_format(const sw_timings *timings, sw_buf *buf);

/* Adds what a file holds. One that is missing, or cannot be used (then with one warning), adds nothing: only
 * SW_E_NOMEM. */
SW_MUST_USE sw_status sw_timings_load(sw_timings *timings, const char *path, const sw_diag *diag);
/* Merges with what the file holds by now and writes both; afterwards `timings` has both, too. What other builds wrote
 * first stays. A file that is no timing cache is left alone. When it cannot be written: a warning, as times are kept
 * for speed only; SW_E_NOMEM. Makes the folder. */
SW_MUST_USE sw_status sw_timings_save(sw_timings *timings, const char *path, const sw_diag *diag);

/* $XDG_CACHE_HOME/slipway/timings-<kernels>.txt, or under ~/.cache; *path NULL when there is no home. */
SW_MUST_USE sw_status sw_timings_default_path(sw_arena *arena, const char *kernels, const char **path);

#endif
