/* Zip archives in memory: the directory, with every entry checked, for files whose members are stored (PyTorch
 * checkpoints). Nothing is copied: entries point into the caller's bytes.
 * Format: PKWARE APPNOTE 6.3, sections 4.3 to 4.5; ZIP64 is read. */
#ifndef SLIPWAY_BASE_ZIP_H
#define SLIPWAY_BASE_ZIP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef struct sw_zip_entry {
    const char *name; /* with terminating zero; UTF-8 is not checked */
    const uint8_t *data;
    size_t size;
    uint32_t crc;
    bool stored; /* false: compressed; `data` and `size` are then those of the compressed bytes */
} sw_zip_entry;

typedef struct sw_zip {
    const sw_zip_entry *entries; /* in the order of the directory */
    size_t n;
    const sw_zip_entry *const *by_name; /* the same, sorted */
} sw_zip;

enum { SW_ZIP_MAX_ENTRIES = 1 << 16, SW_ZIP_MAX_NAME = 1024 };

/* True when the bytes begin like a zip archive. */
bool sw_zip_sniff(const void *bytes, size_t size);

/* Reads the directory. SW_E_MODEL with a sentence when it is damaged or lies: an entry outside the file, two that
 * overlap, a name that is absolute, climbs ("..") or comes twice, a local header that disagrees, encryption,
 * several disks. `label` names the file in messages. Entries live in `arena` and point into `bytes`. */
SW_MUST_USE sw_status sw_zip_read(const void *bytes, size_t size, const char *label, sw_arena *arena,
                                  const sw_diag *diag, sw_zip *zip);

/* NULL when there is none. Takes the logarithm of the number of entries. */
const sw_zip_entry *sw_zip_find(const sw_zip *zip, const char *name);
/* True when the CRC-32 of a stored entry's data is what the directory says. */
bool sw_zip_entry_intact(const sw_zip_entry *entry);

uint32_t sw_crc32(const void *data, size_t size); /* ISO 3309, as zip, PNG and gzip use it */

#endif
