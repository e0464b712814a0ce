#include "base/fb.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- Reader -------------------------------------------------------------------------------------------------------- */

static uint16_t u16_at(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}
static uint32_t u32_at(const uint8_t *p) {
    return (uint32_t)u16_at(p) | (uint32_t)u16_at(p + 2) << 16;
}

bool sw_fb_sniff(const void *bytes, size_t size, const char identifier[4]) {
    return size >= 8 && memcmp((const uint8_t *)bytes + 4, identifier, 4) == 0;
}

sw_fb sw_fb_make(const void *bytes, size_t size, const char *where, const sw_diag *diag) {
    return (sw_fb){.data = bytes, .size = size > INT32_MAX ? INT32_MAX : size, .where = where, .diag = diag};
}

sw_status sw_fb_fail(sw_fb *fb, size_t offset, const char *fmt, ...) {
    if (fb->status != SW_OK) return fb->status;
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return fb->status = sw_fail(fb->diag, SW_E_MODEL, fb->where, NULL, "offset %zu: %s", offset, text);
}

static bool fits(const sw_fb *fb, size_t at, size_t bytes) {
    return at <= fb->size && bytes <= fb->size - at;
}

static sw_fb_table table_at(sw_fb *fb, uint64_t at) {
    sw_fb_table t = {.fb = fb};
    if (fb->status != SW_OK) return t;
    if (!fits(fb, at, 4)) {
        sw_fb_fail(fb, at, "a table begins outside the file; is it cut?");
        return t;
    }
    int64_t vtable = (int64_t)at - (int32_t)u32_at(fb->data + at);
    uint16_t vtable_size = vtable > 0 && fits(fb, (size_t)vtable, 4) ? u16_at(fb->data + vtable) : 0;
    uint16_t size = vtable_size ? u16_at(fb->data + vtable + 2) : 0;
    if (vtable_size < 4 || vtable_size % 2 || size < 4 || !fits(fb, (size_t)vtable, vtable_size) ||
        !fits(fb, at, size)) {
        sw_fb_fail(fb, at, "a table is broken");
        return t;
    }
    return (sw_fb_table){fb, (uint32_t)at, (uint32_t)vtable, vtable_size, size};
}

sw_fb_table sw_fb_root(sw_fb *fb) {
    if (fb->size < 8) {
        sw_fb_fail(fb, 0, "the file is too short");
        return (sw_fb_table){.fb = fb};
    }
    return table_at(fb, u32_at(fb->data));
}

/* Where a field stands in the file; 0: absent, or the file has failed. */
static size_t field_at(const sw_fb_table *t, int slot, size_t width) {
    size_t entry = 4 + 2 * (size_t)slot;
    if (!t->vtable || t->fb->status != SW_OK || entry + 2 > t->vtable_size) return 0;
    size_t offset = u16_at(t->fb->data + t->vtable + entry);
    if (offset == 0) return 0;
    if (offset < 4 || offset + width > t->size) {
        sw_fb_fail(t->fb, t->at, "field %d lies outside its table", slot);
        return 0;
    }
    return t->at + offset;
}

int64_t sw_fb_i8(const sw_fb_table *t, int slot, int64_t standard) {
    size_t at = field_at(t, slot, 1);
    return at ? (int8_t)t->fb->data[at] : standard;
}
int64_t sw_fb_u8(const sw_fb_table *t, int slot, int64_t standard) {
    size_t at = field_at(t, slot, 1);
    return at ? t->fb->data[at] : standard;
}
int64_t sw_fb_i32(const sw_fb_table *t, int slot, int64_t standard) {
    size_t at = field_at(t, slot, 4);
    return at ? (int32_t)u32_at(t->fb->data + at) : standard;
}
int64_t sw_fb_u32(const sw_fb_table *t, int slot, int64_t standard) {
    size_t at = field_at(t, slot, 4);
    return at ? u32_at(t->fb->data + at) : standard;
}

uint64_t sw_fb_u64(const sw_fb_table *t, int slot, uint64_t standard) {
    size_t at = field_at(t, slot, 8);
    return at ? u32_at(t->fb->data + at) | (uint64_t)u32_at(t->fb->data + at + 4) << 32 : standard;
}

static float f32_at(const uint8_t *p) {
    uint32_t bits = u32_at(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float sw_fb_f32(const sw_fb_table *t, int slot, float standard) {
    size_t at = field_at(t, slot, 4);
    return at ? f32_at(t->fb->data + at) : standard;
}

/* Where the offset in a field leads; 0: absent. */
static uint64_t target_of(const sw_fb_table *t, int slot) {
    size_t at = field_at(t, slot, 4);
    return at ? (uint64_t)at + u32_at(t->fb->data + at) : 0;
}

sw_fb_table sw_fb_sub(const sw_fb_table *t, int slot) {
    uint64_t at = target_of(t, slot);
    return at ? table_at(t->fb, at) : (sw_fb_table){.fb = t->fb};
}

sw_fb_vector sw_fb_vec(const sw_fb_table *t, int slot, size_t width) {
    sw_fb *fb = t->fb;
    uint64_t at = target_of(t, slot);
    if (!at) return (sw_fb_vector){.fb = fb};
    uint64_t n = fits(fb, at, 4) ? u32_at(fb->data + at) : UINT64_MAX;
    if (n > UINT32_MAX || n * width > fb->size - at - 4) {
        sw_fb_fail(fb, at, "a list reaches behind the end of the file; is it cut?");
        return (sw_fb_vector){.fb = fb};
    }
    return (sw_fb_vector){fb, n ? fb->data + at + 4 : NULL, (uint32_t)n};
}

const char *sw_fb_text(const sw_fb_table *t, int slot, size_t *length) {
    sw_fb_vector v = sw_fb_vec(t, slot, 1);
    *length = v.n;
    if (v.data) {
        size_t end = (size_t)(v.data - t->fb->data) + v.n;
        if (end < t->fb->size && t->fb->data[end] == 0) return (const char *)v.data;
        sw_fb_fail(t->fb, end, "a text has no end");
        *length = 0;
    }
    return field_at(t, slot, 4) && t->fb->status == SW_OK ? "" : NULL;
}

sw_fb_table sw_fb_vec_table(const sw_fb_vector *v, uint32_t i) {
    assert(i < v->n);
    const uint8_t *at = v->data + 4 * (size_t)i;
    return table_at(v->fb, (uint64_t)(at - v->fb->data) + u32_at(at));
}
int32_t sw_fb_vec_i32(const sw_fb_vector *v, uint32_t i) {
    assert(i < v->n);
    return (int32_t)u32_at(v->data + 4 * (size_t)i);
}
int64_t sw_fb_vec_i64(const sw_fb_vector *v, uint32_t i) {
    assert(i < v->n);
    const uint8_t *at = v->data + 8 * (size_t)i;
    return (int64_t)(u32_at(at) | (uint64_t)u32_at(at + 4) << 32);
}
float sw_fb_vec_f32(const sw_fb_vector *v, uint32_t i) {
    assert(i < v->n);
    return f32_at(v->data + 4 * (size_t)i);
}

/* ---- Writer -------------------------------------------------------------------------------------------------------- */

sw_fb_field sw_fb_field_f32(int slot, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (sw_fb_field){(uint8_t)slot, 4, bits};
}

sw_fb_writer sw_fb_writer_make(const sw_allocator *allocator) {
    return (sw_fb_writer){.buf = sw_buf_make(allocator, INT32_MAX)};
}
void sw_fb_writer_free(sw_fb_writer *w) {
    sw_buf_free(&w->buf);
}

static void put_bits(sw_buf *buf, uint64_t bits, size_t width) {
    for (size_t i = 0; i < width; i++) sw_buf_append_byte(buf, (uint8_t)(bits >> (8 * i)));
}

/* Zeros until the next byte, plus `ahead`, stands at a multiple of `align`. */
static void align_to(sw_buf *buf, size_t align, size_t ahead) {
    sw_buf_fill(buf, 0, (align - (buf->size + ahead) % align) % align);
}

size_t sw_fb_begin(sw_fb_writer *w, const char *identifier) {
    put_bits(&w->buf, 0, 4);
    sw_buf_append(&w->buf, identifier, 4);
    return 0;
}

/* Where a vtable with these bytes stands: an earlier one, or a new one. */
static size_t share_vtable(sw_fb_writer *w, const uint8_t *vtable, size_t size) {
    for (int i = 0; i < w->n_vtables; i++)
        if (w->vtables[i] + size <= w->buf.size && memcmp(w->buf.data + w->vtables[i], vtable, size) == 0)
            return w->vtables[i];
    align_to(&w->buf, 2, 0);
    size_t at = w->buf.size;
    sw_buf_append(&w->buf, vtable, size);
    if (w->n_vtables < SW_FB_SHARED) w->vtables[w->n_vtables++] = (uint32_t)at;
    return at;
}

size_t sw_fb_put_table(sw_fb_writer *w, const sw_fb_field *fields, int n, size_t *at) {
    uint8_t vtable[4 + 2 * SW_FB_MAX_FIELDS] = {0};
    size_t offsets[SW_FB_MAX_FIELDS], size = 4, vtable_size = n ? 6 + 2 * (size_t)fields[n - 1].slot : 4, align = 4;
    assert(n <= SW_FB_MAX_FIELDS && vtable_size <= sizeof vtable);
    /* Wide fields first, so that no gaps are needed. */
    for (uint8_t width = 8; width; width /= 2)
        for (int i = 0; i < n; i++) {
            if (fields[i].width != width) continue;
            if (width == 8) align = 8;
            size = (size + width - 1) / width * width;
            offsets[i] = size;
            vtable[4 + 2 * fields[i].slot] = (uint8_t)size;
            size += width;
        }
    vtable[0] = (uint8_t)vtable_size;
    vtable[2] = (uint8_t)size;
    size_t shared = share_vtable(w, vtable, vtable_size);
    align_to(&w->buf, align, 0);
    size_t table = w->buf.size;
    put_bits(&w->buf, table - shared, 4);
    sw_buf_fill(&w->buf, 0, size - 4);
    for (int i = 0; i < n && w->buf.status == SW_OK; i++)
        for (size_t k = 0; k < fields[i].width; k++)
            w->buf.data[table + offsets[i] + k] = (uint8_t)(fields[i].bits >> (8 * k));
    for (int i = 0; at && i < n; i++) at[i] = table + offsets[i];
    return table;
}

size_t sw_fb_put_vector(sw_fb_writer *w, const void *data, size_t n, size_t width, size_t align) {
    align_to(&w->buf, align > 4 ? align : 4, 4);
    size_t at = w->buf.size;
    put_bits(&w->buf, n, 4);
    if (data)
        sw_buf_append(&w->buf, data, n * width);
    else
        sw_buf_fill(&w->buf, 0, n * width);
    return at;
}

size_t sw_fb_put_text(sw_fb_writer *w, const char *text) {
    size_t at = sw_fb_put_vector(w, text, strlen(text), 1, 1);
    sw_buf_append_byte(&w->buf, 0);
    return at;
}

void sw_fb_link(sw_fb_writer *w, size_t hole, size_t target) {
    if (w->buf.status != SW_OK) return;
    assert(target > hole && hole + 4 <= w->buf.size);
    for (size_t k = 0; k < 4; k++) w->buf.data[hole + k] = (uint8_t)((target - hole) >> (8 * k));
}
