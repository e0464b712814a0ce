/* Growing byte buffer with a maximum.
 *
 * Failure sticks: after an append that found no memory or hit the maximum, the buffer takes nothing more and
 * `status` says why. So a writer appends without looking and checks `status` once at the end. Not
 * thread-safe. */
#ifndef SLIPWAY_BASE_BUF_H
#define SLIPWAY_BASE_BUF_H

#include <stdint.h>

#include "base/alloc.h"

typedef struct sw_buf {
    uint8_t *data; /* NULL while empty; otherwise a zero byte follows the last one */
    size_t size;
    sw_status status; /* SW_OK, SW_E_NOMEM or SW_E_LIMIT */
    size_t cap, max;
    const sw_allocator *allocator;
} sw_buf;

/* An empty buffer; `max`: the most bytes it may hold, 0 for no bound but the memory. */
sw_buf sw_buf_make(const sw_allocator *allocator, size_t max);
void sw_buf_free(sw_buf *buf);  /* empty and usable again; takes a zeroed buffer */
void sw_buf_clear(sw_buf *buf); /* size 0 and SW_OK; keeps the memory */

void sw_buf_append(sw_buf *buf, const void *data, size_t size);
void sw_buf_append_byte(sw_buf *buf, uint8_t byte);
void sw_buf_append_text(sw_buf *buf, const char *text);
void sw_buf_fill(sw_buf *buf, uint8_t byte, size_t count);
void sw_buf_printf(sw_buf *buf, const char *fmt, ...) SW_PRINTF(2, 3);
/* A text as Python's repr writes it: quoted, with escapes. */
void sw_buf_append_repr(sw_buf *buf, const char *text);
/* `size` uninitialised bytes at the end, to write into at once; NULL (and a status) when there is no room. */
uint8_t *sw_buf_extend(sw_buf *buf, size_t size);
/* The bytes as a C string; never NULL. */
const char *sw_buf_text(const sw_buf *buf);

#endif
