/* Bytes shared between threads by reference count: pictures, packets, responses. */
#ifndef SLIPWAY_BASE_REF_H
#define SLIPWAY_BASE_REF_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/alloc.h"

typedef struct sw_ref {
    uint8_t *data;
    size_t size;
    atomic_int count;
    const sw_allocator *allocator;
    void (*release)(void *ctx, uint8_t *data); /* NULL: data lies in the block itself */
    void *ctx;
} sw_ref;

/* One reference to `size` uninitialised bytes aligned to SW_ALIGN; NULL when out of memory. */
sw_ref *sw_ref_create(const sw_allocator *allocator, size_t size);
/* One reference to foreign bytes; `release` runs when the last one is dropped, on that thread. NULL when out
 * of memory: then the caller still owns the bytes. */
sw_ref *sw_ref_wrap(const sw_allocator *allocator, uint8_t *data, size_t size,
                    void (*release)(void *, uint8_t *), void *ctx);
sw_ref *sw_ref_keep(sw_ref *ref);
void sw_ref_drop(sw_ref *ref); /* takes NULL */

#endif
