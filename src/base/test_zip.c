#include "base/test_zip.h"

#include <stdlib.h>

#include "unit.h"

static sw_arena *arena;
static sw_buf file;

/* Writes and reads an archive; the caller drops it. */
static sw_status read_members(const test_member *members, int n, sw_zip *zip) {
    arena = sw_arena_create(NULL, 0);
    file = sw_buf_make(NULL, 0);
    test_zip_write(&file, members, n);
    return sw_zip_read(file.data, file.size, "a.zip", arena, &sw_test_diag, zip);
}

static void drop(void) {
    sw_arena_destroy(arena);
    sw_buf_free(&file);
}

static void check_refused(const test_member *members, int n, const char *message) {
    sw_zip zip;
    CHECK_INT(read_members(members, n, &zip), SW_E_MODEL);
    if (!strstr(sw_test_message(), message)) sw_test_fail(__FILE__, __LINE__, "message: %s", sw_test_message());
    CHECK_INT(zip.n, 0);
    drop();
}

SW_TEST(zip_reads_stored_members) {
    const test_member members[] = {{.name = "m/data.pkl", .data = "abc", .size = 3},
                                   {.name = "m/data/0", .data = "", .size = 0},
                                   {.name = "m/b", .data = "123456789", .size = 9}};
    sw_zip zip;
    CHECK_INT(read_members(members, 3, &zip), SW_OK);
    CHECK_INT(zip.n, 3);
    CHECK_STR(zip.entries[0].name, "m/data.pkl");
    const sw_zip_entry *b = sw_zip_find(&zip, "m/b");
    CHECK(b && b->size == 9 && b->stored && memcmp(b->data, "123456789", 9) == 0);
    CHECK(b && b->crc == 0xcbf43926 && sw_zip_entry_intact(b)); /* the check value of CRC-32 */
    CHECK(sw_zip_find(&zip, "m/data.pkl") == &zip.entries[0]);
    CHECK(sw_zip_find(&zip, "m/data/0") == &zip.entries[1]);
    CHECK(!sw_zip_find(&zip, "m/c") && !sw_zip_find(&zip, "") && !sw_zip_find(&zip, "z"));
    drop();
}

SW_TEST(zip_tells_wrong_checksums) {
    const test_member member = {.name = "a", .data = "abc", .size = 3, .crc = 1};
    sw_zip zip;
    CHECK_INT(read_members(&member, 1, &zip), SW_OK);
    CHECK(!sw_zip_entry_intact(sw_zip_find(&zip, "a")));
    drop();
}

SW_TEST(zip_refuses_names_that_climb) {
    static const char *const names[] = {"../a", "a/../b", "a/..", "/etc/passwd", "a\\b", "c:x", ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        check_refused(&(test_member){.name = names[i], .data = "x", .size = 1}, 1, "a name that no checkpoint has");
    const test_member fine[] = {{.name = "..a/b..", .data = "x", .size = 1}};
    sw_zip zip;
    CHECK_INT(read_members(fine, 1, &zip), SW_OK);
    drop();
}

SW_TEST(zip_refuses_archives_that_lie) {
    const test_member a = {.name = "a", .data = "abcdefgh", .size = 8};
    test_member b = a;
    check_refused((test_member[]){a, b}, 2, "two entries of one name");
    b.name = "b";
    b.offset = -39; /* the entry before: 30 + 1 + 8 */
    check_refused((test_member[]){a, b}, 2, "disagrees with the directory");
    b.local_name = "a";
    b.offset = 0;
    check_refused((test_member[]){a, b}, 2, "disagrees with the directory");
    b = (test_member){.name = "b", .data = "x", .size = 1, .packed = 1 << 20};
    check_refused(&b, 1, "reaches outside the file");
    b.packed = 0;
    b.flags = 1;
    check_refused(&b, 1, "encrypted");
    b.flags = 0;
    b.offset = 1 << 20;
    check_refused(&b, 1, "outside the file");
}

/* A second header inside the first entry's data. */
SW_TEST(zip_refuses_entries_that_overlap) {
    sw_buf inner = sw_buf_make(NULL, 0);
    const test_member hidden = {.name = "b", .data = "yyyy", .size = 4};
    test_zip_write(&inner, &hidden, 1);
    const test_member members[] = {{.name = "a", .data = inner.data, .size = inner.size},
                                   {.name = "b", .data = "yyyy", .size = 4, .offset = -(int)(inner.size)}};
    check_refused(members, 2, "overlap");
    sw_buf_free(&inner);
}

SW_TEST(zip_every_cut_is_refused) {
    const test_member members[] = {{.name = "a", .data = "abc", .size = 3}, {.name = "b", .data = "d", .size = 1}};
    sw_zip zip;
    CHECK_INT(read_members(members, 2, &zip), SW_OK);
    for (size_t size = 0; size < file.size; size++) {
        uint8_t *cut = malloc(size ? size : 1);
        if (!cut) break;
        memcpy(cut, file.data, size);
        CHECK_INT(sw_zip_read(cut, size, "cut.zip", arena, &sw_test_diag, &zip), SW_E_MODEL);
        free(cut);
    }
    CHECK(sw_zip_sniff(file.data, file.size) && !sw_zip_sniff(file.data, 3) && !sw_zip_sniff("PKxx", 4));
    drop();
}
