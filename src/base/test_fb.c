#include "base/fb.h"

#include "unit.h"

/* A table with a number, a text, a list of two tables and a list of int64. */
static sw_fb_writer sample(void) {
    sw_fb_writer w = sw_fb_writer_make(NULL);
    const int64_t longs[2] = {-1, INT64_C(0x0102030405060708)};
    size_t root = sw_fb_begin(&w, "TST1"), hole[6], item[2];
    const sw_fb_field fields[] = {SW_FB_I8(0, -3), SW_FB_I32(1, -70000), SW_FB_OFFSET(2),
                                  SW_FB_OFFSET(4), SW_FB_OFFSET(5),      {6, 8, UINT64_MAX - 1}};
    sw_fb_link(&w, root, sw_fb_put_table(&w, fields, 6, hole));
    sw_fb_link(&w, hole[2], sw_fb_put_text(&w, "hello"));
    size_t list = sw_fb_put_vector(&w, NULL, 2, 4, 4);
    sw_fb_link(&w, hole[3], list);
    for (size_t i = 0; i < 2; i++) {
        const sw_fb_field inner[] = {sw_fb_field_f32(0, 1.5f + (float)i), SW_FB_I8(3, 200)};
        sw_fb_link(&w, list + 4 + 4 * i, sw_fb_put_table(&w, inner, 2, item));
    }
    sw_fb_link(&w, hole[4], sw_fb_put_vector(&w, longs, 2, 8, 16));
    return w;
}

SW_TEST(fb_reads_what_it_writes) {
    sw_fb_writer w = sample();
    size_t length;
    CHECK_INT(w.buf.status, SW_OK);
    CHECK(sw_fb_sniff(w.buf.data, w.buf.size, "TST1"));
    CHECK(!sw_fb_sniff(w.buf.data, w.buf.size, "TFL3"));
    sw_fb fb = sw_fb_make(w.buf.data, w.buf.size, "m", &sw_test_diag);
    sw_fb_table root = sw_fb_root(&fb);
    CHECK_INT(sw_fb_i8(&root, 0, 9), -3);
    CHECK_INT(sw_fb_i32(&root, 1, 9), -70000);
    CHECK_STR(sw_fb_text(&root, 2, &length), "hello");
    CHECK_INT((int64_t)length, 5);
    CHECK_INT(sw_fb_i32(&root, 3, 9), 9);
    CHECK(sw_fb_u64(&root, 6, 0) == UINT64_MAX - 1);
    CHECK_INT(sw_fb_i32(&root, 7, 5), 5); /* behind the vtable */
    sw_fb_vector list = sw_fb_vec(&root, 4, 4), longs = sw_fb_vec(&root, 5, 8);
    CHECK_INT(list.n, 2);
    sw_fb_table first = sw_fb_vec_table(&list, 0), second = sw_fb_vec_table(&list, 1);
    CHECK(sw_fb_f32(&first, 0, 0) == 1.5f && sw_fb_f32(&second, 0, 0) == 2.5f);
    CHECK_INT(sw_fb_u8(&second, 3, 0), 200);
    CHECK(first.vtable == second.vtable); /* shared */
    CHECK_INT(longs.n, 2);
    CHECK((longs.data - w.buf.data) % 16 == 0);
    CHECK(sw_fb_vec_i64(&longs, 0) == -1 && sw_fb_vec_i64(&longs, 1) == INT64_C(0x0102030405060708));
    CHECK_INT(fb.status, SW_OK);
    sw_fb_writer_free(&w);
}

SW_TEST(fb_absent_things_read_as_defaults) {
    sw_fb_writer w = sample();
    size_t length;
    sw_fb fb = sw_fb_make(w.buf.data, w.buf.size, "m", &sw_test_diag);
    sw_fb_table root = sw_fb_root(&fb), none = sw_fb_sub(&root, 8), deeper = sw_fb_sub(&none, 0);
    CHECK(!sw_fb_has(&none) && !sw_fb_has(&deeper));
    CHECK_INT(sw_fb_i32(&deeper, 0, 7), 7);
    CHECK_INT(sw_fb_vec(&none, 0, 4).n, 0);
    CHECK(sw_fb_text(&none, 0, &length) == NULL);
    CHECK_INT(fb.status, SW_OK);
    sw_fb_writer_free(&w);
}

static const char *broken(const uint8_t *bytes, size_t size) {
    sw_fb fb = sw_fb_make(bytes, size, "m", &sw_test_diag);
    size_t length;
    sw_fb_table root = sw_fb_root(&fb);
    sw_fb_i32(&root, 1, 0);
    sw_fb_text(&root, 2, &length);
    CHECK_INT(fb.status, SW_E_MODEL);
    CHECK(!sw_fb_has(&root) || sw_fb_i32(&root, 1, 5) == 5); /* after a failure everything is absent */
    return sw_test_message();
}

SW_TEST(fb_refuses_what_leads_outside) {
    /* root at 16: vtable at 8 of 8 bytes, table of 12, fields 0 and 1 at 4 and 8 */
    uint8_t good[40] = {16, 0, 0, 0, 'T', 'S', 'T', '1', 10, 0, 12, 0, 0, 0, 4, 0, 8, 0};
    uint8_t bytes[40];
    memcpy(bytes, good, sizeof bytes);
    CHECK_STR(broken(bytes, 7), "m: offset 0: the file is too short");
    bytes[0] = 38;
    CHECK_STR(broken(bytes, sizeof bytes), "m: offset 38: a table begins outside the file; is it cut?");
    bytes[0] = 20; /* the table; its vtable 12 before it */
    bytes[20] = 13;
    CHECK_STR(broken(bytes, sizeof bytes), "m: offset 20: a table is broken");
    bytes[20] = 12;
    bytes[14] = 9; /* field 1 reaches behind the table of 12 bytes */
    CHECK_STR(broken(bytes, sizeof bytes), "m: offset 20: field 1 lies outside its table");
    bytes[14] = 4;
    bytes[28] = 200; /* the text is far away */
    CHECK_STR(broken(bytes, sizeof bytes), "m: offset 228: a list reaches behind the end of the file; is it cut?");
    bytes[28] = 4;
    bytes[32] = 4; /* four bytes, then the end */
    CHECK_STR(broken(bytes, sizeof bytes), "m: offset 40: a text has no end");
}
