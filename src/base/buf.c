#include "base/buf.h"

#include <stdio.h>
#include <string.h>

sw_buf sw_buf_make(const sw_allocator *allocator, size_t max) {
    return (sw_buf){.max = max && max < PTRDIFF_MAX ? max : PTRDIFF_MAX, .allocator = allocator};
}

void sw_buf_free(sw_buf *buf) {
    sw_free(buf->allocator, buf->data);
    *buf = (sw_buf){.max = buf->max, .allocator = buf->allocator};
}

void sw_buf_clear(sw_buf *buf) {
    buf->size = 0;
    buf->status = SW_OK;
    if (buf->data) buf->data[0] = 0;
}

uint8_t *sw_buf_extend(sw_buf *buf, size_t size) {
    if (buf->status != SW_OK) return NULL;
    if (size > buf->max - buf->size) {
        buf->status = SW_E_LIMIT;
        return NULL;
    }
    void *data = buf->data; /* one byte more than the maximum, for the closing zero */
    buf->status = sw_grow(buf->allocator, &data, &buf->cap, buf->size + size + 1, 1, buf->max + 1);
    if (buf->status != SW_OK) return NULL;
    buf->data = data;
    uint8_t *fresh = buf->data + buf->size;
    buf->size += size;
    buf->data[buf->size] = 0;
    return fresh;
}

void sw_buf_append(sw_buf *buf, const void *data, size_t size) {
    uint8_t *to = sw_buf_extend(buf, size);
    if (to && size) memcpy(to, data, size);
}

void sw_buf_append_byte(sw_buf *buf, uint8_t byte) {
    sw_buf_append(buf, &byte, 1);
}
void sw_buf_append_text(sw_buf *buf, const char *text) {
    sw_buf_append(buf, text, strlen(text));
}

void sw_buf_fill(sw_buf *buf, uint8_t byte, size_t count) {
    uint8_t *to = sw_buf_extend(buf, count);
    if (to && count) memset(to, byte, count);
}

void sw_buf_printf(sw_buf *buf, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    uint8_t *to = length < 0 ? NULL : sw_buf_extend(buf, (size_t)length);
    if (to) vsnprintf((char *)to, (size_t)length + 1, fmt, again);
    va_end(again);
}

const char *sw_buf_text(const sw_buf *buf) {
    return buf->data ? (const char *)buf->data : "";
}

void sw_buf_append_repr(sw_buf *buf, const char *text) {
    char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
    sw_buf_printf(buf, "%c", quote);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == (unsigned char)quote || c == '\\')
            sw_buf_printf(buf, "\\%c", c);
        else if (c == '\n')
            sw_buf_printf(buf, "\\n");
        else if (c < 0x20 || c == 0x7f)
            sw_buf_printf(buf, "\\x%02x", c);
        else
            sw_buf_append(buf, text, 1);
    }
    sw_buf_printf(buf, "%c", quote);
}
