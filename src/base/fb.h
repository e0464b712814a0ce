/* FlatBuffers: bounded reader over bytes in memory, forward writer.
 * Format: https://flatbuffers.dev/internals (32-bit offsets, little endian).
 *
 * Reader. Failure sticks in the file (`sw_fb.status`): from then on everything reads as absent. Absent tables, vectors and
 * texts are not errors: they read as defaults, empty and NULL. Nothing is trusted: every offset is checked before
 * it is followed. Depth is that of the caller's code, as tables are followed by name; a file may name one table many times,
 * so the caller bounds how much it reads. */
#ifndef SLIPWAY_BASE_FB_H
#define SLIPWAY_BASE_FB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

typedef struct sw_fb {
    const uint8_t *data;
    size_t size; /* at most 2^31 - 1 bytes can be reached */
    sw_status status;
    const char *where;
    const sw_diag *diag;
} sw_fb;

typedef struct sw_fb_table {
    sw_fb *fb;
    uint32_t at, vtable; /* 0: absent */
    uint16_t vtable_size, size;
} sw_fb_table;

typedef struct sw_fb_vector {
    sw_fb *fb;
    const uint8_t *data; /* of the first element; NULL: absent or empty */
    uint32_t n;
} sw_fb_vector;

/* True when the four bytes behind the first offset are the identifier. */
bool sw_fb_sniff(const void *bytes, size_t size, const char identifier[4]);
sw_fb sw_fb_make(const void *bytes, size_t size, const char *where, const sw_diag *diag);
sw_fb_table sw_fb_root(sw_fb *fb);
/* "offset 123: ..." through diag, and the file fails with SW_E_MODEL, which is returned. Once only. */
sw_status sw_fb_fail(sw_fb *fb, size_t offset, const char *fmt, ...) SW_PRINTF(3, 4);

static inline bool sw_fb_has(const sw_fb_table *t) {
    return t->vtable != 0;
}
/* Scalars by slot: the value, or what the schema gives as default. */
int64_t sw_fb_i8(const sw_fb_table *t, int slot, int64_t standard);
int64_t sw_fb_u8(const sw_fb_table *t, int slot, int64_t standard);
int64_t sw_fb_i32(const sw_fb_table *t, int slot, int64_t standard);
int64_t sw_fb_u32(const sw_fb_table *t, int slot, int64_t standard);
uint64_t sw_fb_u64(const sw_fb_table *t, int slot, uint64_t standard);
float sw_fb_f32(const sw_fb_table *t, int slot, float standard);
sw_fb_table sw_fb_sub(const sw_fb_table *t, int slot);
/* A vector of scalars of `width` bytes, or (width 4) of offsets to tables and texts. */
sw_fb_vector sw_fb_vec(const sw_fb_table *t, int slot, size_t width);
/* Text of *length bytes, followed by a zero in the file; NULL when absent. */
const char *sw_fb_text(const sw_fb_table *t, int slot, size_t *length);

/* Elements; `i` must be below n. */
sw_fb_table sw_fb_vec_table(const sw_fb_vector *v, uint32_t i);
int32_t sw_fb_vec_i32(const sw_fb_vector *v, uint32_t i);
int64_t sw_fb_vec_i64(const sw_fb_vector *v, uint32_t i);
float sw_fb_vec_f32(const sw_fb_vector *v, uint32_t i);

/* Writer. Offsets point forward, so what holds an offset is written first, with a hole, and linked to what it
 * points to when that is written:
 *
 *     size_t root = sw_fb_begin(&w, "TFL3");
 *     size_t model[2];
 *     sw_fb_link(&w, root, sw_fb_put_table(&w, (sw_fb_field[]){SW_FB_I32(0, 3), SW_FB_OFFSET(1)}, 2, model));
 *     sw_fb_link(&w, model[1], sw_fb_put_text(&w, "hello"));
 *
 * Equal vtables are shared. Running out of memory, or growing above 2 GiB, sticks in buf.status. */
enum { SW_FB_MAX_FIELDS = 16, SW_FB_SHARED = 64 };

typedef struct sw_fb_writer {
    sw_buf buf;
    uint32_t vtables[SW_FB_SHARED]; /* where the first ones stand */
    int n_vtables;
} sw_fb_writer;

typedef struct sw_fb_field {
    uint8_t slot, width; /* of the scalar in bytes; offsets have 4 */
    uint64_t bits;
} sw_fb_field;

#define SW_FB_I8(slot, value)  ((sw_fb_field){(slot), 1, (uint8_t)(value)})
#define SW_FB_I32(slot, value) ((sw_fb_field){(slot), 4, (uint32_t)(value)})
#define SW_FB_OFFSET(slot)     ((sw_fb_field){(slot), 4, 0})
sw_fb_field sw_fb_field_f32(int slot, float value);

sw_fb_writer sw_fb_writer_make(const sw_allocator *allocator);
void sw_fb_writer_free(sw_fb_writer *w);
/* The head of the file; returns the hole for the root table. `identifier`: four bytes. */
size_t sw_fb_begin(sw_fb_writer *w, const char *identifier);
/* A table with fields in the order of slots. Returns where it stands; `at` (n entries, or NULL) receives where each field
 * stands. */
size_t sw_fb_put_table(sw_fb_writer *w, const sw_fb_field *fields, int n, size_t *at);
/* A vector of n elements of `width` bytes, the first aligned to `align` bytes. NULL data: zeros, holes for offsets (hole i
 * is at the returned place + 4 + 4 * i). */
size_t sw_fb_put_vector(sw_fb_writer *w, const void *data, size_t n, size_t width, size_t align);
size_t sw_fb_put_text(sw_fb_writer *w, const char *text);
void sw_fb_link(sw_fb_writer *w, size_t hole, size_t target);

#endif
