/* Regions of system shared memory that clients have registered: tensors are read from them and written to them.
 *
 * Any thread. A region that is unregistered while requests use it stays until they are done, and is listed so long. */
#ifndef SLIPWAY_SERVE_KSERVE_REGIONS_H
#define SLIPWAY_SERVE_KSERVE_REGIONS_H

#include "serve/core.h"

enum { SW_MAX_REGIONS = 4096 };

typedef struct sw_regions sw_regions;
typedef struct sw_region sw_region;

sw_regions *sw_regions_create(void);          /* NULL without memory */
void sw_regions_destroy(sw_regions *regions); /* all regions must have been dropped; takes NULL */

/* `bytes` from `offset` on of the shared memory `key`. All is copied. */
SW_MUST_USE sw_serve_code sw_regions_add(sw_regions *regions, const char *name, const char *key, uint64_t offset,
                                         uint64_t bytes, sw_serve_error *error);
/* NULL: all of them. What is not there is no error. */
void sw_regions_remove(sw_regions *regions, const char *name);

typedef struct sw_region_row {
    const char *name, *key;
    uint64_t offset, bytes;
} sw_region_row;
/* All (`name` NULL) or one; rows and texts live in `arena`. */
SW_MUST_USE sw_serve_code sw_regions_list(sw_regions *regions, const char *name, sw_arena *arena,
                                          const sw_region_row **rows, int *n, sw_serve_error *error);

/* Finds a region to use `bytes` from `offset` on of it, and holds it. */
SW_MUST_USE sw_serve_code sw_regions_take(sw_regions *regions, const char *name, uint64_t offset, uint64_t bytes,
                                          sw_region **region, sw_serve_error *error);
void sw_region_drop(sw_region *region);
const char *sw_region_name(const sw_region *region);
/* Copies from and to what was taken. False when the memory has become smaller. */
SW_MUST_USE bool sw_region_read(const sw_region *region, uint64_t offset, void *data, size_t bytes);
SW_MUST_USE bool sw_region_write(const sw_region *region, uint64_t offset, const void *data, size_t bytes);

#endif
