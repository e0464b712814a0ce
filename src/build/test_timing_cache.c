#include "build/timing_cache.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/os.h"
#include "base/str.h"
#include "base/test_memory.h"
#include "base/zip.h"
#include "unit.h"

static const char *const device = "x86_64 test threads 2";

static sw_timings *make(void) {
    sw_timings *t = sw_timings_create(NULL, "k1");
    CHECK(t);
    return t;
}

static void add(sw_timings *t, const char *step, const char *tactic, int64_t first, int64_t second) {
    CHECK_INT(sw_timings_add(t, device, step, tactic, (sw_timing){{first, second}}), SW_OK);
}

/* The first time; -1 where there is none. */
static int64_t first_of(const sw_timings *t, const char *step, const char *tactic) {
    sw_timing timing;
    return sw_timings_find(t, device, step, tactic, &timing) ? timing.ns[0] : -1;
}

static sw_status parse(sw_timings *t, const char *text) {
    return sw_timings_parse(t, text, strlen(text));
}

SW_TEST(timing_cache_text_is_sorted_and_reads_back) {
    sw_timings *t = make(), *again = make();
    add(t, "step b", "winograd", 20, 21);
    add(t, "step a", "direct", 30, 31);
    add(t, "step a", "direct", 99, 99); /* what is there stays */
    CHECK_INT(sw_timings_add(t, "a device", "step a", "direct", (sw_timing){{5, 6}}), SW_OK);
    sw_buf one = sw_buf_make(NULL, 0), two = sw_buf_make(NULL, 0);
    sw_timings_format(t, &one);
    CHECK(sw_str_starts_with(sw_buf_text(&one), "slipway timing cache 1\nkernels k1\n"
                                                "device a device\nstep a\tdirect\t5 6\n"
                                                "device x86_64 test threads 2\nstep a\tdirect\t30 31\n"
                                                "step b\twinograd\t20 21\nend 3 "));
    CHECK_INT(sw_timings_parse(again, one.data, one.size), SW_OK);
    sw_timings_format(again, &two);
    CHECK_STR(sw_buf_text(&two), sw_buf_text(&one));
    CHECK_INT(first_of(again, "step b", "winograd"), 20);
    CHECK_INT(first_of(again, "step b", "direct"), -1);
    sw_buf_free(&one);
    sw_buf_free(&two);
    sw_timings_destroy(t);
    sw_timings_destroy(again);
}

SW_TEST(timing_cache_refuses_texts_that_would_break_lines) {
    sw_timings *t = make();
    char long_text[1200];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    const char *const bad[] = {"", "a\tb", "a\nb", "caf\xc3\xa9", long_text};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_INT(sw_timings_add(t, bad[i], "s", "t", (sw_timing){{1, 1}}), SW_E_LIMIT);
        CHECK_INT(sw_timings_add(t, "d", bad[i], "t", (sw_timing){{1, 1}}), SW_E_LIMIT);
        CHECK_INT(sw_timings_add(t, "d", "s", bad[i], (sw_timing){{1, 1}}), SW_E_LIMIT);
    }
    CHECK_INT(sw_timings_count(t), 0);
    sw_timings_destroy(t);
}

/* Every cut and every changed byte of a good file is noticed, and nothing of it is taken. */
SW_TEST(timing_cache_takes_no_part_of_a_damaged_file) {
    sw_timings *t = make(), *other = make();
    add(t, "step", "direct", 123456, 123460);
    add(t, "step", "winograd", 100, 110);
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_timings_format(t, &buf);
    for (size_t cut = 0; cut < buf.size; cut++) CHECK(sw_timings_parse(other, buf.data, cut) != SW_OK);
    for (size_t i = 0; i < buf.size; i++)
        for (int bit = 0; bit < 8; bit++) {
            buf.data[i] ^= (uint8_t)(1 << bit);
            CHECK(sw_timings_parse(other, buf.data, buf.size) != SW_OK);
            buf.data[i] ^= (uint8_t)(1 << bit);
        }
    CHECK_INT(sw_timings_count(other), 0);
    CHECK_INT(sw_timings_parse(other, buf.data, buf.size), SW_OK);
    CHECK_INT(sw_timings_count(other), 2);
    sw_buf_free(&buf);
    sw_timings_destroy(t);
    sw_timings_destroy(other);
}

SW_TEST(timing_cache_tells_kinds_of_bad_files_apart) {
    sw_timings *t = make();
    CHECK_INT(parse(t, ""), SW_E_INPUT);
    CHECK_INT(parse(t, "{\"json\": 1}"), SW_E_INPUT);
    CHECK_INT(parse(t, "slipway timing cache 2\n"), SW_E_UNSUPPORTED);
    CHECK_INT(parse(t, "slipway timing cache 1\nkernels k2\nend 0 0\n"), SW_E_UNSUPPORTED);
    CHECK_INT(parse(t, "slipway timing cache 1\nkernels k1\nend 0 00000000\n"), SW_E_MODEL);
    sw_timings_destroy(t);
}

/* A file of one line between a right head and a right end. */
static sw_status parse_line(const char *line) {
    sw_timings *t = make();
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_buf_printf(&buf, "slipway timing cache 1\nkernels k1\n%s\n", line);
    sw_buf_printf(&buf, "end 1 %08x\n", (unsigned)sw_crc32(buf.data, buf.size));
    sw_status status = sw_timings_parse(t, buf.data, buf.size);
    sw_buf_free(&buf);
    sw_timings_destroy(t);
    return status;
}

SW_TEST(timing_cache_refuses_lines_by_what_they_say) {
    CHECK_INT(parse_line("device d\nstep\ttactic\t1 1"), SW_OK);
    CHECK_INT(parse_line("device d\nstep\ttactic\t1 2305843009213693951"), SW_OK);
    static const char *const bad[] = {
        "step\ttactic\t1 1", /* of no device */
        "device d\nstep\ttactic\t-1 1",
        "device d\nstep\ttactic\t1 99999999999999999999",
        "device d\nstep\ttactic\t1 2305843009213693952", /* sums of some would overflow */
        "device d\nstep\ttactic\t1",
        "device d\nstep\ttactic\t1 1 1",
        "device d\nstep\t1 1",
        "device d\n\ttactic\t1 1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) CHECK_INT(parse_line(bad[i]), SW_E_MODEL);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static char folder[64];

static const char *in_folder(const char *name) {
    static char path[2][160];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void enter(void) {
    snprintf(folder, sizeof folder, "%s", "/tmp/slipway-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
}

static void leave(void) {
    const char *const names[] = {"sub/cache.txt", "sub/cache.txt.lock", "cache.txt", "cache.txt.lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) unlink(in_folder(names[i]));
    rmdir(in_folder("sub"));
    CHECK_INT(rmdir(folder), 0); /* no temporary file is left */
}

SW_TEST(timing_cache_merges_what_others_wrote) {
    enter();
    const char *path = in_folder("sub/cache.txt"); /* the folder is made */
    sw_timings *a = make(), *b = make(), *c = make();
    CHECK_INT(sw_timings_load(a, path, &sw_test_diag), SW_OK);
    CHECK_INT(sw_timings_load(b, path, &sw_test_diag), SW_OK);
    add(a, "both", "direct", 1, 1);
    add(a, "only a", "direct", 2, 2);
    add(b, "both", "direct", 7, 7);
    add(b, "only b", "direct", 3, 3);
    CHECK_INT(sw_timings_save(a, path, &sw_test_diag), SW_OK);
    CHECK_INT(sw_timings_save(b, path, &sw_test_diag), SW_OK);
    CHECK_STR(sw_test_message(), "");
    CHECK_INT(sw_timings_load(c, path, &sw_test_diag), SW_OK);
    CHECK_INT(sw_timings_count(c), 3);
    CHECK_INT(first_of(c, "both", "direct"), 1); /* the first to write it stands */
    CHECK_INT(first_of(c, "only b", "direct"), 3);
    sw_timings_destroy(a);
    sw_timings_destroy(b);
    sw_timings_destroy(c);
    leave();
}

typedef struct writer {
    const char *path;
    int number;
} writer;

static void *write_many(void *ctx) {
    const writer *w = ctx;
    for (int i = 0; i < 20; i++) {
        sw_timings *t = sw_timings_create(NULL, "k1");
        char step[32];
        snprintf(step, sizeof step, "writer %d, %d", w->number, i);
        if (t && sw_timings_add(t, device, step, "direct", (sw_timing){{i, i}}) == SW_OK &&
            sw_timings_save(t, w->path, NULL) != SW_OK)
            return "failed";
        sw_timings_destroy(t);
    }
    return NULL;
}

SW_TEST(timing_cache_of_many_writers_loses_nothing) {
    enter();
    char path[160];
    snprintf(path, sizeof path, "%s", in_folder("cache.txt"));
    sw_thread threads[3];
    writer writers[3];
    for (int i = 0; i < 3; i++) {
        writers[i] = (writer){path, i};
        CHECK_INT(sw_thread_start(&threads[i], write_many, &writers[i]), SW_OK);
    }
    for (int i = 0; i < 3; i++) sw_thread_join(&threads[i]);
    sw_timings *t = make();
    CHECK_INT(sw_timings_load(t, path, &sw_test_diag), SW_OK);
    CHECK_INT(sw_timings_count(t), 60);
    sw_timings_destroy(t);
    leave();
}

static void check_file(const char *text, const char *message, size_t count_after) {
    char path[160], full[300];
    snprintf(path, sizeof path, "%s", in_folder("cache.txt"));
    CHECK_INT(sw_file_write(path, text, strlen(text), NULL), SW_OK);
    sw_timings *t = make();
    CHECK_INT(sw_timings_load(t, path, &sw_test_diag), SW_OK);
    snprintf(full, sizeof full, "%s: %s", path, message);
    CHECK_STR(sw_test_message(), message[0] ? full : "");
    CHECK_INT(sw_timings_count(t), 0);
    add(t, "step", "direct", 1, 1);
    CHECK_INT(sw_timings_save(t, path, &sw_test_diag), SW_OK);
    sw_timings *again = make();
    CHECK_INT(sw_timings_load(again, path, NULL), SW_OK);
    CHECK_INT(sw_timings_count(again), count_after);
    sw_timings_destroy(t);
    sw_timings_destroy(again);
}

SW_TEST(timing_cache_replaces_bad_caches_but_no_other_files) {
    enter();
    check_file("", "", 1);
    check_file("slipway timing cache 1\nkernels k1\ndevice d\nhalf",
               "the timing cache is damaged and not used; it will be replaced", 1);
    check_file("slipway timing cache 1\nkernels old\nend 0 00000000\n",
               "the timing cache is of another version of Slipway and not used; it will be replaced", 1);
    check_file("my thesis", "is no timing cache; it is neither used nor changed", 0);
    CHECK_INT(sw_file_size(in_folder("cache.txt")), 9);
    leave();
}

SW_TEST(timing_cache_that_cannot_be_written_is_a_warning) {
    enter();
    sw_timings *t = make();
    add(t, "step", "direct", 1, 1);
    CHECK_INT(sw_timings_save(t, "/dev/null/cache.txt", &sw_test_diag), SW_OK);
    CHECK_STR(sw_test_message(), "/dev/null: is a file, expected a folder; timings are measured anew and not kept");
    sw_warn(&sw_test_diag, NULL, "another");
    CHECK_INT(sw_timings_save(t, "/dev/null/cache.txt", &sw_test_diag), SW_OK);
    CHECK_STR(sw_test_message(), "another"); /* it was told already */
    sw_timings_destroy(t);
    leave();
}

SW_TEST(timing_cache_survives_every_failed_allocation) {
    sw_timings *full = make();
    for (int i = 0; i < 20; i++) {
        char step[16];
        snprintf(step, sizeof step, "step %d", i);
        add(full, step, "direct", i, i);
    }
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_timings_format(full, &buf);
    sw_status status = SW_E_NOMEM;
    for (int fail = 1; status != SW_OK && fail < 100; fail++) {
        test_memory memory = {.fail_at = fail};
        sw_allocator allocator = test_memory_allocator(&memory);
        sw_timings *t = sw_timings_create(&allocator, "k1");
        status = t ? sw_timings_parse(t, buf.data, buf.size) : SW_E_NOMEM;
        CHECK(status == SW_OK || status == SW_E_NOMEM);
        sw_timings_destroy(t);
        CHECK_INT(memory.held, 0);
    }
    CHECK_INT(status, SW_OK);
    sw_buf_free(&buf);
    sw_timings_destroy(full);
}

SW_TEST(timing_cache_lies_where_xdg_says) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    const char *path, *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    cache = cache ? sw_arena_strdup(arena, cache) : NULL;
    home = home ? sw_arena_strdup(arena, home) : NULL;
    setenv("XDG_CACHE_HOME", "/c", 1);
    CHECK_INT(sw_timings_default_path(arena, "k1", &path), SW_OK);
    CHECK_STR(path, "/c/slipway/timings-k1.txt");
    setenv("XDG_CACHE_HOME", "relative", 1);
    setenv("HOME", "/h", 1);
    CHECK_INT(sw_timings_default_path(arena, "k1", &path), SW_OK);
    CHECK_STR(path, "/h/.cache/slipway/timings-k1.txt");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    CHECK_INT(sw_timings_default_path(arena, "k1", &path), SW_OK);
    CHECK(!path);
    if (cache) setenv("XDG_CACHE_HOME", cache, 1);
    if (home) setenv("HOME", home, 1);
    sw_arena_destroy(arena);
}
