#include "base/os.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/os_cpu.h"
#include "unit.h"

/* A folder of our own; the last one made is removed with everything in it by leave(). */
static char folder[64];

static const char *in_folder(const char *name) {
    static char path[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void enter(void) {
    snprintf(folder, sizeof folder, "%s", "/tmp/slipway-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
}

static void put(const char *name, const char *text) {
    CHECK_INT(sw_file_write(in_folder(name), text, strlen(text), &sw_test_diag), SW_OK);
}

static size_t names_in(const char *path, sw_names *names, sw_arena *arena) {
    CHECK_INT(sw_dir_list(path, arena, &sw_test_diag, names), SW_OK);
    return names->n;
}

static void remove_all(const char *path) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_names names;
    if (sw_dir_list(path, arena, NULL, &names) == SW_OK)
        for (size_t i = 0; i < names.n; i++) {
            char child[512];
            snprintf(child, sizeof child, "%s/%s", path, names.names[i]);
            if (unlink(child) != 0) remove_all(child);
        }
    sw_arena_destroy(arena);
    rmdir(path);
}

static void leave(void) {
    remove_all(folder);
}

SW_TEST(os_clock_rises) {
    int64_t a = sw_clock_ns(), b = sw_clock_ns();
    CHECK(a > 0 && b >= a);
}

SW_TEST(os_maps_files_and_says_what_is_wrong) {
    enter();
    sw_map map;
    put("a", "hello");
    CHECK_INT(sw_map_open(in_folder("a"), &sw_test_diag, &map), SW_OK);
    CHECK(map.size == 5 && !memcmp(map.data, "hello", 5));
    sw_map_close(&map);
    sw_map_close(&map);
    CHECK_INT(sw_map_open(in_folder("none"), &sw_test_diag, &map), SW_E_IO);
    CHECK(strstr(sw_test_message(), "/none: cannot be opened: No such file or directory (check the spelling") !=
          NULL);
    CHECK_INT(sw_map_open(folder, &sw_test_diag, &map), SW_E_IO);
    CHECK(strstr(sw_test_message(), "is a folder, expected a file") != NULL);
    put("empty", "");
    CHECK_INT(sw_map_open(in_folder("empty"), &sw_test_diag, &map), SW_E_IO);
    CHECK(strstr(sw_test_message(), "is empty") != NULL);
    CHECK_INT(sw_map_open("/dev/zero", &sw_test_diag, &map), SW_E_IO);
    CHECK(strstr(sw_test_message(), "is no regular file") != NULL);
    CHECK_INT(mkfifo(in_folder("pipe"), 0600), 0);
    CHECK_INT(sw_map_open(in_folder("pipe"), &sw_test_diag, &map), SW_E_IO);
    CHECK(map.data == NULL);
    CHECK(sw_path_same(in_folder("a"), in_folder("./a")) && !sw_path_same(in_folder("a"), in_folder("empty")));
    CHECK(!sw_path_same(in_folder("none"), in_folder("none")));
    CHECK_INT(sw_path_kind_of(folder), SW_PATH_FOLDER);
    CHECK_INT(sw_path_kind_of(in_folder("a")), SW_PATH_FILE);
    CHECK_INT(sw_path_kind_of(in_folder("none")), SW_PATH_NONE);
    CHECK_INT(sw_path_kind_of("/dev/null"), SW_PATH_OTHER);
    leave();
}

SW_TEST(os_reads_descriptors_up_to_a_maximum) {
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    CHECK_INT(write(ends[1], "0123456789", 10), 10);
    close(ends[1]);
    sw_buf buf = sw_buf_make(NULL, 10);
    CHECK_INT(sw_fd_read(ends[0], "pipe", &sw_test_diag, &buf), SW_OK);
    CHECK_STR(sw_buf_text(&buf), "0123456789");
    close(ends[0]);
    CHECK_INT(pipe(ends), 0);
    CHECK_INT(write(ends[1], "0123456789", 10), 10);
    close(ends[1]);
    sw_buf_free(&buf);
    buf = sw_buf_make(NULL, 9);
    CHECK_INT(sw_fd_read(ends[0], "pipe", &sw_test_diag, &buf), SW_E_LIMIT);
    CHECK_STR(sw_test_message(), "pipe: holds more than 9 bytes");
    close(ends[0]);
    sw_buf_free(&buf);
}

SW_TEST(os_output_files_appear_whole_or_not_at_all) {
    enter();
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_names names;
    sw_outfile *file;
    put("x", "old");
    CHECK_INT(sw_outfile_open(in_folder("x"), &sw_test_diag, &file), SW_OK);
    CHECK_INT(sw_outfile_write(file, "new", 3), SW_OK);
    CHECK_INT(names_in(folder, &names, arena), 2);
    sw_outfile_abort(file);
    CHECK_INT(names_in(folder, &names, arena), 1);
    sw_map map;
    CHECK_INT(sw_map_open(in_folder("x"), &sw_test_diag, &map), SW_OK);
    CHECK(map.size == 3 && !memcmp(map.data, "old", 3));
    sw_map_close(&map);

    CHECK_INT(chmod(in_folder("x"), 0640), 0);
    CHECK_INT(symlink("x", in_folder("link")), 0);
    put("link", "through");
    struct stat info;
    CHECK(lstat(in_folder("link"), &info) == 0 && S_ISLNK(info.st_mode));
    CHECK(stat(in_folder("x"), &info) == 0 && info.st_size == 7 && (info.st_mode & 0777) == 0640);

    CHECK_INT(sw_outfile_open(folder, &sw_test_diag, &file), SW_E_IO);
    CHECK(strstr(sw_test_message(), "is a folder") != NULL && file == NULL);
    CHECK_INT(sw_outfile_open(in_folder("no/such/y"), &sw_test_diag, &file), SW_E_IO);
    CHECK(strstr(sw_test_message(), "no/such/y: cannot be created") != NULL);
    CHECK_INT(sw_file_write("/dev/null", "x", 1, &sw_test_diag), SW_OK);
    CHECK_INT(sw_file_write("/dev/full", "x", 1, &sw_test_diag), SW_E_IO);
    CHECK(strstr(sw_test_message(), "/dev/full: cannot be written: No space left") != NULL);
    sw_outfile_abort(NULL);
    sw_arena_destroy(arena);
    leave();
}

SW_TEST(os_lists_and_makes_folders) {
    enter();
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_names names;
    CHECK_INT(names_in(folder, &names, arena), 0);
    put("b.png", "x");
    put("a.jpg", "x");
    put("B.png", "x");
    CHECK_INT(names_in(folder, &names, arena), 3);
    CHECK_STR(names.names[0], "B.png");
    CHECK_STR(names.names[1], "a.jpg");
    CHECK_STR(names.names[2], "b.png");
    CHECK_INT(sw_path_glob(in_folder("*.png"), arena, &sw_test_diag, &names), SW_OK);
    CHECK_INT(names.n, 2);
    CHECK_STR(sw_path_name(names.names[1]), "b.png");
    CHECK_INT(sw_path_glob(in_folder("*.gif"), arena, &sw_test_diag, &names), SW_OK);
    CHECK_INT(names.n, 0);
    CHECK_INT(sw_dir_list(in_folder("no"), arena, &sw_test_diag, &names), SW_E_IO);
    CHECK_INT(sw_dir_make(in_folder("p/q//r"), &sw_test_diag), SW_OK);
    CHECK_INT(sw_dir_make(in_folder("p/q//r"), &sw_test_diag), SW_OK);
    CHECK_INT(sw_path_kind_of(in_folder("p/q/r")), SW_PATH_FOLDER);
    CHECK_INT(sw_dir_make(in_folder("a.jpg/x"), &sw_test_diag), SW_E_IO);
    CHECK(strstr(sw_test_message(), "a.jpg: is a file, expected a folder") != NULL);
    CHECK_STR(sw_path_name("a/b/c.d"), "c.d");
    CHECK_STR(sw_path_name("c.d"), "c.d");
    char self[512];
    CHECK(sw_os_executable(self, sizeof self) && self[0] == '/');
    CHECK(!sw_os_executable(self, 4));
    sw_arena_destroy(arena);
    leave();
}

SW_TEST(cpu_features_follow_the_mask) {
    uint32_t before = sw_cpu_mask(), found = sw_cpu_features_found(), mask = 0;
    sw_cpu_set_mask(0);
    CHECK_INT(sw_cpu_features(), 0);
    sw_cpu_set_mask(UINT32_MAX);
    CHECK_INT(sw_cpu_features(), found);
    sw_cpu_set_mask(SW_CPU_SSE2);
    CHECK_INT(sw_cpu_features(), found & SW_CPU_SSE2);
    sw_cpu_set_mask(before);
#ifdef __x86_64__
    CHECK(found & SW_CPU_SSE2);
    CHECK_INT((found & SW_CPU_AVX2) != 0, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    CHECK_INT((found & SW_CPU_AVX512) != 0, __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"));
#endif
    CHECK(sw_cpu_parse("sse2,avx2", &mask) && mask == (SW_CPU_SSE2 | SW_CPU_AVX2));
    CHECK(sw_cpu_parse("0x3", &mask) && mask == 3);
    CHECK(sw_cpu_parse("0xFFffFFff", &mask) && mask == UINT32_MAX);
    CHECK(sw_cpu_parse("all", &mask) && mask == UINT32_MAX);
    CHECK(sw_cpu_parse("none", &mask) && mask == 0);
    CHECK(!sw_cpu_parse("", &mask) && !sw_cpu_parse("avx", &mask) && !sw_cpu_parse("0x", &mask));
    CHECK(!sw_cpu_parse("0x1ffffffff", &mask) && !sw_cpu_parse("sse2 avx3", &mask));
    char text[64], little[8];
    sw_cpu_text(SW_CPU_SSE2 | SW_CPU_AVX512VNNI, text, sizeof text);
    CHECK_STR(text, "sse2 avx512vnni");
    sw_cpu_text(0, text, sizeof text);
    CHECK_STR(text, "none");
    sw_cpu_text(SW_CPU_SSE2 | SW_CPU_AVX512VNNI, little, sizeof little);
    CHECK_STR(little, "sse2 av");
    CHECK(sw_cpu_allowed() >= 1);
    CHECK(strlen(sw_cpu_model()) > 0);
}

SW_TEST(cpu_quota_of_cgroups) {
    enter();
    CHECK_INT(sw_dir_make(in_folder("fs/a/b"), &sw_test_diag), SW_OK);
    CHECK_INT(sw_dir_make(in_folder("fs/cpu/x"), &sw_test_diag), SW_OK);
    char root[128];
    snprintf(root, sizeof root, "%s", in_folder("fs"));
    put("v2", "0::/a/b\n");
    CHECK_INT(sw__os_cgroup_cpus(in_folder("v2"), root), 0);
    put("fs/a/b/cpu.max", "max 100000\n");
    CHECK_INT(sw__os_cgroup_cpus(in_folder("v2"), root), 0);
    put("fs/a/b/cpu.max", "350000 100000\n");
    CHECK_INT(sw__os_cgroup_cpus(in_folder("v2"), root), 4);
    put("fs/a/cpu.max", "200000 100000\n");
    CHECK_INT(sw__os_cgroup_cpus(in_folder("v2"), root), 2);
    put("fs/cpu.max", "50000 100000\n");
    CHECK_INT(sw__os_cgroup_cpus(in_folder("v2"), root), 1);
    put("container", "0::/not/there\n"); /* seen from inside, the folder has another name */
    CHECK_INT(sw__os_cgroup_cpus(in_folder("container"), root), 1);
    put("v1", "5:cpuset:/x\n4:cpu,cpuacct:/x\n3:memory:/x\n");
    put("fs/cpu/x/cpu.cfs_quota_us", "-1\n");
    put("fs/cpu/x/cpu.cfs_period_us", "100000\n");
    CHECK_INT(sw__os_cgroup_cpus(in_folder("v1"), root), 0);
    put("fs/cpu/x/cpu.cfs_quota_us", "300000\n");
    CHECK_INT(sw__os_cgroup_cpus(in_folder("v1"), root), 3);
    put("odd", "rubbish\n::\n0::");
    CHECK_INT(sw__os_cgroup_cpus(in_folder("odd"), root), 1);
    CHECK_INT(sw__os_cgroup_cpus(in_folder("none"), root), 0);
    leave();
}

SW_TEST(os_wall_time_as_text) {
    char text[SW_WALL_TEXT];
    sw_wall_text(1709210096007, text); /* a leap day */
    CHECK_STR(text, "2024-02-29T12:34:56.007Z");
    sw_wall_text(0, text);
    CHECK_STR(text, "1970-01-01T00:00:00.000Z");
}
