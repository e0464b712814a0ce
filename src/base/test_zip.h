/* A small writer of zip archives whose members are stored, for tests; every field can be made to lie. */
#ifndef SLIPWAY_BASE_TEST_ZIP_H
#define SLIPWAY_BASE_TEST_ZIP_H

#include <string.h>

#include "base/buf.h"
#include "base/zip.h"

typedef struct test_member {
    const char *name;
    const void *data;
    size_t size;
    /* Lies: added to what is true. */
    int crc, packed, offset, method, flags;
    const char *local_name; /* in the local header, instead of `name` */
} test_member;

static inline void test_zip_number(sw_buf *buf, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) sw_buf_append_byte(buf, i < 8 ? (uint8_t)(value >> (8 * i)) : 0);
}

/* The fields that local and central headers share, from the version on. */
static inline void test_zip_fields(sw_buf *buf, const test_member *m, const char *name) {
    test_zip_number(buf, 20, 2);
    test_zip_number(buf, (uint64_t)m->flags, 2);
    test_zip_number(buf, (uint64_t)m->method, 2);
    test_zip_number(buf, 0, 4);
    test_zip_number(buf, sw_crc32(m->data, m->size) + (uint32_t)m->crc, 4);
    test_zip_number(buf, m->size + (uint64_t)m->packed, 4);
    test_zip_number(buf, m->size + (uint64_t)m->packed, 4);
    test_zip_number(buf, strlen(name), 2);
    test_zip_number(buf, 0, 2);
}

static inline void test_zip_write(sw_buf *buf, const test_member *members, int n) {
    uint64_t offsets[64];
    for (int i = 0; i < n; i++) {
        const char *name = members[i].local_name ? members[i].local_name : members[i].name;
        offsets[i] = buf->size + (uint64_t)members[i].offset;
        sw_buf_append(buf, "PK\3\4", 4);
        test_zip_fields(buf, &members[i], name);
        sw_buf_append_text(buf, name);
        if (members[i].size) sw_buf_append(buf, members[i].data, members[i].size);
    }
    uint64_t start = buf->size;
    for (int i = 0; i < n; i++) {
        sw_buf_append(buf, "PK\1\2", 4);
        test_zip_number(buf, 20, 2);
        test_zip_fields(buf, &members[i], members[i].name);
        test_zip_number(buf, 0, 2 + 2 + 2 + 4);
        test_zip_number(buf, offsets[i], 4);
        sw_buf_append_text(buf, members[i].name);
    }
    uint64_t size = buf->size - start;
    sw_buf_append(buf, "PK\5\6", 4);
    test_zip_number(buf, 0, 4);
    test_zip_number(buf, (uint64_t)n, 2);
    test_zip_number(buf, (uint64_t)n, 2);
    test_zip_number(buf, size, 4);
    test_zip_number(buf, start, 4);
    test_zip_number(buf, 0, 2);
}

#endif
