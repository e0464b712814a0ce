#include "base/zip.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOCAL_SIGNATURE = 0x04034b50,
    CENTRAL_SIGNATURE = 0x02014b50,
    END_SIGNATURE = 0x06054b50,
    END64_SIGNATURE = 0x06064b50,
    LOCATOR64_SIGNATURE = 0x07064b50,
    LOCAL_BYTES = 30,
    CENTRAL_BYTES = 46,
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR64_BYTES = 20,
    EXTRA64_ID = 1,
    FLAG_ENCRYPTED = 1,
};

static uint16_t u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}
static uint32_t u32(const uint8_t *p) {
    return u16(p) | (uint32_t)u16(p + 2) << 16;
}
static uint64_t u64(const uint8_t *p) {
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

typedef struct reader {
    const uint8_t *bytes;
    size_t size;
    const char *label;
    sw_arena *arena;
    const sw_diag *diag;
} reader;

static sw_status broken(const reader *r, const char *what, const char *name) {
    return sw_fail(r->diag, SW_E_MODEL, r->label, "the file is damaged, or made to mislead: fetch it again",
                   "the zip archive %s%s%s%s", what, name ? " ('" : "", name ? name : "", name ? "')" : "");
}

bool sw_zip_sniff(const void *bytes, size_t size) {
    return size >= 4 && u32(bytes) == LOCAL_SIGNATURE;
}

/* ---- The end record ------------------------------------------------------------------------------------------------ */

typedef struct directory {
    uint64_t offset, size, entries;
    size_t end; /* where the end records begin: the directory lies before it */
} directory;

static sw_status read_end64(const reader *r, size_t end, directory *d) {
    if (end < LOCATOR64_BYTES || u32(r->bytes + end - LOCATOR64_BYTES) != LOCATOR64_SIGNATURE) return SW_OK;
    uint64_t at = u64(r->bytes + end - LOCATOR64_BYTES + 8);
    if (end - LOCATOR64_BYTES < END64_BYTES || at > end - LOCATOR64_BYTES - END64_BYTES ||
        u32(r->bytes + at) != END64_SIGNATURE)
        return broken(r, "has no ZIP64 record where it says", NULL);
    const uint8_t *p = r->bytes + at;
    if (u32(p + 16) != 0 || u32(p + 20) != 0 || u64(p + 24) != u64(p + 32))
        return broken(r, "is spread over several disks", NULL);
    *d = (directory){.entries = u64(p + 32), .size = u64(p + 40), .offset = u64(p + 48), .end = (size_t)at};
    return SW_OK;
}

static sw_status find_directory(const reader *r, directory *d) {
    const size_t furthest = END_BYTES + 65535; /* a comment may follow the record */
    size_t end = SIZE_MAX;
    for (size_t back = END_BYTES; back <= r->size && back <= furthest && end == SIZE_MAX; back++)
        if (u32(r->bytes + r->size - back) == END_SIGNATURE && u16(r->bytes + r->size - back + 20) == back - END_BYTES)
            end = r->size - back;
    if (end == SIZE_MAX) return broken(r, "has no directory at its end: it is cut short", NULL);
    const uint8_t *p = r->bytes + end;
    if (u16(p + 4) != u16(p + 6) || u16(p + 8) != u16(p + 10)) return broken(r, "is spread over several disks", NULL);
    *d = (directory){.entries = u16(p + 10), .size = u32(p + 12), .offset = u32(p + 16), .end = end};
    SW_TRY(read_end64(r, end, d));
    if (d->offset > d->end || d->size > d->end - d->offset)
        return broken(r, "has a directory that lies outside the file", NULL);
    if (d->entries > SW_ZIP_MAX_ENTRIES || d->entries > d->size / CENTRAL_BYTES)
        return broken(r, "says that it has more entries than it can hold", NULL);
    return SW_OK;
}

/* ---- Entries ------------------------------------------------------------------------------------------------------- */

static bool is_safe_name(const char *name, size_t length) {
    if (length == 0 || name[0] == '/' || memchr(name, 0, length) || memchr(name, '\\', length)) return false;
    if (length > 1 && name[1] == ':') return false;
    for (size_t i = 0; i < length; i++) {
        bool starts = i == 0 || name[i - 1] == '/';
        if (starts && length - i >= 2 && name[i] == '.' && name[i + 1] == '.' &&
            (length - i == 2 || name[i + 2] == '/'))
            return false;
    }
    return true;
}

/* Sizes and offset of 32 bits that are full stand in the ZIP64 extra field instead, in this order. */
static bool read_extra64(const uint8_t *extra, size_t size, uint64_t *raw, uint64_t *packed, uint64_t *offset) {
    uint64_t *fields[] = {raw, packed, offset};
    bool full = *raw == UINT32_MAX || *packed == UINT32_MAX || *offset == UINT32_MAX;
    while (full && size >= 4) {
        size_t length = u16(extra + 2);
        if (length > size - 4) return false;
        if (u16(extra) == EXTRA64_ID) {
            const uint8_t *p = extra + 4, *stop = p + length;
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != UINT32_MAX) continue;
                if (stop - p < 8) return false;
                *fields[i] = u64(p);
                p += 8;
            }
            return true;
        }
        extra += 4 + length;
        size -= 4 + length;
    }
    return !full;
}

/* The data behind the local header at `offset`, which must name the same entry. */
static sw_status locate(const reader *r, const directory *d, uint64_t offset, uint64_t packed, sw_zip_entry *entry) {
    if (offset > d->offset || d->offset - offset < LOCAL_BYTES)
        return broken(r, "has an entry outside the file", entry->name);
    const uint8_t *p = r->bytes + offset;
    if (u32(p) != LOCAL_SIGNATURE) return broken(r, "has no entry where the directory says", entry->name);
    uint64_t head = (uint64_t)LOCAL_BYTES + u16(p + 26) + u16(p + 28), room = d->offset - offset;
    size_t length = strlen(entry->name);
    if (head > room || packed > room - head)
        return broken(r, "has an entry that reaches outside the file", entry->name);
    if (u16(p + 26) != length || memcmp(p + LOCAL_BYTES, entry->name, length) != 0 || (u16(p + 6) & FLAG_ENCRYPTED))
        return broken(r, "has an entry whose header disagrees with the directory", entry->name);
    entry->data = p + head;
    entry->size = (size_t)packed;
    return SW_OK;
}

/* Reads the entry at *at of the directory and moves on. */
static sw_status read_entry(const reader *r, const directory *d, uint64_t *at, sw_zip_entry *entry) {
    uint64_t room = d->offset + d->size - *at;
    const uint8_t *p = r->bytes + *at;
    if (room < CENTRAL_BYTES || u32(p) != CENTRAL_SIGNATURE) return broken(r, "has a damaged directory", NULL);
    size_t name = u16(p + 28), extra = u16(p + 30), comment = u16(p + 32);
    if (room - CENTRAL_BYTES < name + extra + comment) return broken(r, "has a damaged directory", NULL);
    if (name > SW_ZIP_MAX_NAME || !is_safe_name((const char *)p + CENTRAL_BYTES, name))
        return broken(r, "has an entry with a name that no checkpoint has", NULL);
    entry->name = sw_arena_strndup(r->arena, (const char *)p + CENTRAL_BYTES, name);
    if (!entry->name) return sw_fail(r->diag, SW_E_NOMEM, r->label, NULL, "out of memory");
    uint64_t packed = u32(p + 20), raw = u32(p + 24), offset = u32(p + 42);
    if (!read_extra64(p + CENTRAL_BYTES + name, extra, &raw, &packed, &offset))
        return broken(r, "has a damaged ZIP64 entry", entry->name);
    if (u16(p + 8) & FLAG_ENCRYPTED) return broken(r, "has an encrypted entry", entry->name);
    entry->crc = u32(p + 16);
    entry->stored = u16(p + 10) == 0;
    if (entry->stored && raw != packed) return broken(r, "has a stored entry of two sizes", entry->name);
    *at += CENTRAL_BYTES + name + extra + comment;
    return locate(r, d, offset, packed, entry);
}

static int by_place(const void *a, const void *b) {
    const sw_zip_entry *x = *(sw_zip_entry *const *)a, *y = *(sw_zip_entry *const *)b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(sw_zip_entry *const *)a)->name, (*(sw_zip_entry *const *)b)->name);
}

/* No two entries may share bytes (a small file could pretend to be a huge one) or a name (readers would differ).
 * *by_name gets the entries sorted. */
static sw_status check_entries(const reader *r, sw_zip_entry *entries, size_t n, sw_zip_entry ***result) {
    sw_zip_entry **sorted = SW_ARENA_ARRAY(r->arena, sw_zip_entry *, n);
    if (!sorted) return sw_fail(r->diag, SW_E_NOMEM, r->label, NULL, "out of memory");
    for (size_t i = 0; i < n; i++) sorted[i] = &entries[i];
    qsort(sorted, n, sizeof *sorted, by_place);
    for (size_t i = 1; i < n; i++) /* a header lies between two entries */
        if (sorted[i - 1]->data + sorted[i - 1]->size + LOCAL_BYTES > sorted[i]->data)
            return broken(r, "has entries that overlap", sorted[i]->name);
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 1; i < n; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            return broken(r, "has two entries of one name", sorted[i]->name);
    *result = sorted;
    return SW_OK;
}

sw_status sw_zip_read(const void *bytes, size_t size, const char *label, sw_arena *arena, const sw_diag *diag,
                      sw_zip *zip) {
    reader r = {.bytes = bytes, .size = size, .label = label, .arena = arena, .diag = diag};
    directory d;
    *zip = (sw_zip){0};
    SW_TRY(find_directory(&r, &d));
    sw_zip_entry *entries = SW_ARENA_ARRAY(arena, sw_zip_entry, d.entries);
    if (!entries) return sw_fail(diag, SW_E_NOMEM, label, NULL, "out of memory");
    uint64_t at = d.offset;
    for (uint64_t i = 0; i < d.entries; i++) SW_TRY(read_entry(&r, &d, &at, &entries[i]));
    sw_zip_entry **by_name;
    SW_TRY(check_entries(&r, entries, (size_t)d.entries, &by_name));
    *zip = (sw_zip){.entries = entries, .n = (size_t)d.entries, .by_name = (const sw_zip_entry *const *)by_name};
    return SW_OK;
}

const sw_zip_entry *sw_zip_find(const sw_zip *zip, const char *name) {
    size_t low = 0, high = zip->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(zip->by_name[middle]->name, name);
        if (order == 0) return zip->by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool sw_zip_entry_intact(const sw_zip_entry *entry) {
    return entry->stored && sw_crc32(entry->data, entry->size) == entry->crc;
}

/* ---- CRC ----------------------------------------------------------------------------------------------------------- */

/* Four bytes a step with four tables, which are made at each call: 1,024 cheap steps against megabytes of data. */
uint32_t sw_crc32(const void *data, size_t size) {
    uint32_t table[4][256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 4; t++) table[t][i] = table[0][table[t - 1][i] & 255] ^ table[t - 1][i] >> 8;
    const uint8_t *p = data;
    uint32_t crc = UINT32_MAX;
    for (; size >= 4; size -= 4, p += 4) {
        crc ^= u32(p);
        crc = table[3][crc & 255] ^ table[2][crc >> 8 & 255] ^ table[1][crc >> 16 & 255] ^ table[0][crc >> 24];
    }
    for (; size; size--) crc = table[0][(crc ^ *p++) & 255] ^ crc >> 8;
    return ~crc;
}
