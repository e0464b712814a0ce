#include "base/pb.h"

#include <stdlib.h>

#include "unit.h"

SW_TEST(pb_reads_what_it_writes) {
    sw_buf inner = sw_buf_make(NULL, 0), buf = sw_buf_make(NULL, 0);
    sw_pb_put_varint(&inner, 7, 300);
    sw_pb_put_varint(&buf, 1, 150);
    sw_pb_put_varint(&buf, 2, (uint64_t)-1);
    sw_pb_put_fixed32(&buf, 3, 0xdeadbeef);
    sw_pb_put_fixed64(&buf, 4, 0x0123456789abcdef);
    sw_pb_put_float(&buf, 5, -1.5f);
    sw_pb_put_bytes(&buf, 6, inner.data, inner.size);
    sw_pb_put_text(&buf, 536870911, "h\xc3\xa9");
    CHECK(!memcmp(buf.data, "\x08\x96\x01", 3)); /* the example of the encoding guide */

    sw_pb r = sw_pb_make(buf.data, buf.size, "m", &sw_test_diag);
    sw_pb_field f, g;
    CHECK(sw_pb_next(&r, &f) && f.number == 1 && f.wire == SW_PB_VARINT && f.value == 150 && f.offset == 0);
    CHECK(sw_pb_next(&r, &f) && f.number == 2 && sw_pb_int(&f) == -1 && f.offset == 3);
    CHECK(sw_pb_next(&r, &f) && f.number == 3 && f.wire == SW_PB_FIXED32 && f.value == 0xdeadbeef);
    CHECK(sw_pb_next(&r, &f) && f.number == 4 && f.wire == SW_PB_FIXED64 && f.value == 0x0123456789abcdef);
    CHECK(sw_pb_next(&r, &f) && f.number == 5 && sw_pb_float(&f) == -1.5f);
    CHECK(sw_pb_next(&r, &f) && f.number == 6 && f.size == inner.size);
    sw_pb sub = sw_pb_sub(&r, &f);
    CHECK(sw_pb_next(&sub, &g) && g.number == 7 && g.value == 300 && g.offset == f.offset + 2);
    CHECK(!sw_pb_next(&sub, &g) && sub.status == SW_OK);
    CHECK(sw_pb_next(&r, &f) && f.number == 536870911 && f.size == 3 && sw_pb_text(&r, &f));
    CHECK(!sw_pb_next(&r, &f) && r.status == SW_OK);
    sw_buf_free(&inner);
    sw_buf_free(&buf);
}

static uint64_t sum(sw_pb *r, sw_pb_wire element, int *count) {
    sw_pb_field f, v;
    uint64_t total = 0;
    while (sw_pb_next(r, &f)) {
        sw_pb_values values = sw_pb_repeated(r, &f, element);
        while (sw_pb_value(&values, &v)) {
            total += v.value;
            ++*count;
        }
    }
    return total;
}

SW_TEST(pb_repeated_packed_or_not) {
    int count = 0;
    sw_pb r = sw_pb_make("\x0a\x04\x01\x02\xac\x02\x08\x05", 8, "m", &sw_test_diag); /* packed 1, 2, 300, then 5 */
    CHECK_INT(sum(&r, SW_PB_VARINT, &count), 308);
    CHECK_INT(count, 4);
    CHECK_INT(r.status, SW_OK);

    count = 0;
    r = sw_pb_make("\x0a\x08\x01\0\0\0\x02\0\0\0\x0d\x07\0\0\0", 15, "m", &sw_test_diag);
    CHECK_INT(sum(&r, SW_PB_FIXED32, &count), 10);
    CHECK_INT(count, 3);

    count = 0;
    r = sw_pb_make("\x0a\x08\x01\0\0\0\0\0\0\x01\x09\x07\0\0\0\0\0\0\0", 19, "m", &sw_test_diag);
    CHECK(sum(&r, SW_PB_FIXED64, &count) == 0x0100000000000008u);

    count = 0;
    r = sw_pb_make("\x0a\x00", 2, "m", &sw_test_diag);
    CHECK_INT(sum(&r, SW_PB_VARINT, &count), 0);
    CHECK_INT(r.status, SW_OK);

    r = sw_pb_make("\x0a\x03\x01\0\0", 5, "m", &sw_test_diag);
    sum(&r, SW_PB_FIXED32, &count);
    CHECK_STR(sw_test_message(), "m: byte 0: packed field 1 has 3 bytes, no multiple of 4");
    r = sw_pb_make("\x0a\x02\x01\x80", 4, "m", &sw_test_diag);
    sum(&r, SW_PB_VARINT, &count);
    CHECK_STR(sw_test_message(), "m: byte 0: the file ends inside a value; is it cut?");
    r = sw_pb_make("\x08\x01", 2, "m", &sw_test_diag);
    sum(&r, SW_PB_FIXED64, &count);
    CHECK_STR(sw_test_message(), "m: byte 0: field 1 holds a varint, expected 64 bits");
    CHECK_INT(r.status, SW_E_MODEL);
}

SW_TEST(pb_refuses_by_place) {
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } rows[] = {
        {"\x08", 1, "m: byte 0: the file ends inside a value; is it cut?"},
        {"\x08\x01\x80", 3, "m: byte 2: the file ends inside a value; is it cut?"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "m: byte 0: a number is longer than 64 bits"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "m: byte 0: a number is longer than 64 bits"},
        {"\x0d\x01\x02\x03", 4, "m: byte 0: the file ends inside a value; is it cut?"},
        {"\x09\x01\x02\x03\x04\x05\x06\x07", 8, "m: byte 0: the file ends inside a value; is it cut?"},
        {"\x0a\x05"
         "abcd",
         6, "m: byte 0: field 1 wants 5 bytes, but only 4 are left; is the file cut?"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11,
         "m: byte 0: field 1 wants 18446744073709551615 bytes, but only 0 are left; is the file cut?"},
        {"\x00\x01", 2, "m: byte 0: field number 0 is not allowed; is this a protobuf file?"},
        {"\x80\x80\x80\x80\x10\x01", 6, "m: byte 0: field number 536870912 is not allowed; is this a protobuf file?"},
        {"\x0b", 1, "m: byte 0: groups are not supported"},
        {"\x0e", 1, "m: byte 0: wire type 6 is not known; is this a protobuf file?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sw_pb r = sw_pb_make(rows[i].bytes, rows[i].size, "m", &sw_test_diag);
        sw_pb_field f;
        while (sw_pb_next(&r, &f)) {
        }
        CHECK_INT(r.status, SW_E_MODEL);
        CHECK_STR(sw_test_message(), rows[i].message);
        CHECK(!sw_pb_next(&r, &f));
    }
}

SW_TEST(pb_checks_text_and_types) {
    sw_pb_field f;
    sw_pb r = sw_pb_make("\x0a\x02"
                         "a\0",
                         4, "m", &sw_test_diag);
    CHECK(sw_pb_next(&r, &f) && !sw_pb_text(&r, &f));
    CHECK_STR(sw_test_message(), "m: byte 0: the text of field 1 has a zero byte in it");
    r = sw_pb_make("\x0a\x01\xff", 3, "m", &sw_test_diag);
    CHECK(sw_pb_next(&r, &f) && !sw_pb_text(&r, &f));
    CHECK_STR(sw_test_message(), "m: byte 0: the text of field 1 is no UTF-8");
    r = sw_pb_make("\x08\x01", 2, "m", &sw_test_diag);
    CHECK(sw_pb_next(&r, &f));
    sw_pb sub = sw_pb_sub(&r, &f), empty = sw_pb_make(NULL, 0, "m", NULL);
    CHECK(sub.status == SW_E_MODEL && r.status == SW_E_MODEL && !sw_pb_next(&sub, &f));
    CHECK_STR(sw_test_message(), "m: byte 0: field 1 holds a varint, expected bytes");
    CHECK(!sw_pb_next(&empty, &f) && empty.status == SW_OK);
}

/* Random bytes: never a read outside (the sanitizer looks on), never without end. */
SW_TEST(pb_random_bytes) {
    uint64_t state = 7;
    for (int round = 0; round < 20000; round++) {
        size_t size = sw_test_random(&state) % 24;
        uint8_t *data = malloc(size ? size : 1);
        for (size_t i = 0; i < size; i++) data[i] = (uint8_t)sw_test_random(&state);
        sw_pb r = sw_pb_make(data, size, "m", NULL);
        sw_pb_field f, v;
        int steps = 0;
        while (sw_pb_next(&r, &f)) {
            sw_pb_values values = sw_pb_repeated(&r, &f, SW_PB_VARINT);
            while (sw_pb_value(&values, &v)) steps++;
            steps++;
        }
        CHECK(steps <= 24);
        free(data);
    }
}
