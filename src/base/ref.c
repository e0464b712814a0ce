#include "base/ref.h"

sw_ref *sw_ref_create(const sw_allocator *allocator, size_t size) {
    _Static_assert(sizeof(sw_ref) <= SW_ALIGN, "the header takes one alignment unit, the data the next ones");
    if (size > PTRDIFF_MAX - 2 * SW_ALIGN) return NULL;
    sw_ref *ref = sw_alloc(allocator, SW_ALIGN + size);
    if (!ref) return NULL;
    *ref = (sw_ref){.data = (uint8_t *)ref + SW_ALIGN, .size = size, .allocator = allocator};
    atomic_init(&ref->count, 1);
    return ref;
}

sw_ref *sw_ref_wrap(const sw_allocator *allocator, uint8_t *data, size_t size, void (*release)(void *, uint8_t *),
                    void *ctx) {
    sw_ref *ref = sw_alloc(allocator, sizeof *ref);
    if (!ref) return NULL;
    *ref = (sw_ref){.data = data, .size = size, .allocator = allocator, .release = release, .ctx = ctx};
    atomic_init(&ref->count, 1);
    return ref;
}

sw_ref *sw_ref_keep(sw_ref *ref) {
    atomic_fetch_add_explicit(&ref->count, 1, memory_order_relaxed);
    return ref;
}

void sw_ref_drop(sw_ref *ref) {
    /* Release: what we wrote is done before; acquire: what all the others wrote is seen by who frees. */
    if (!ref || atomic_fetch_sub_explicit(&ref->count, 1, memory_order_acq_rel) != 1) return;
    if (ref->release) ref->release(ref->ctx, ref->data);
    sw_free(ref->allocator, ref);
}
