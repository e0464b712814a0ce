#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "base/stage.h"
#include "unit.h"

static char folder[64];

static const char *in(const char *name) {
    static char path[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void enter(void) {
    snprintf(folder, sizeof folder, "%s", "/tmp/slipway-stage-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
}

static void put(const char *path, const char *text) {
    CHECK_INT(sw_file_write(path, text, strlen(text), &sw_test_diag), SW_OK);
}

static void check_file(const char *path, const char *want) {
    sw_buf buf = sw_buf_make(NULL, 0);
    CHECK_INT(sw_file_read(path, &sw_test_diag, &buf), SW_OK);
    CHECK_STR(sw_buf_text(&buf), want);
    sw_buf_free(&buf);
}

static sw_stage *open_stage(const char *name) {
    sw_stage *stage = NULL;
    CHECK_INT(sw_stage_open(in(name), &sw_test_diag, &stage), SW_OK);
    return stage;
}

SW_TEST(stage_moves_files_into_place) {
    enter();
    put(in("m.onnx"), "old");
    sw_stage *stage = open_stage("m.onnx");
    char beside[300];
    put(sw_stage_path(stage), "model");
    snprintf(beside, sizeof beside, "%s.data", sw_stage_path(stage));
    put(beside, "weights");
    check_file(in("m.onnx"), "old");
    CHECK_INT(sw_stage_bytes(stage) >= 12, 1);
    CHECK_INT(sw_stage_commit(stage), SW_OK);
    check_file(in("m.onnx"), "model");
    check_file(in("m.onnx.data"), "weights");
    unlink(in("m.onnx"));
    unlink(in("m.onnx.data"));
    CHECK_INT(rmdir(folder), 0); /* nothing else is left */
}

SW_TEST(stage_replaces_a_folder) {
    enter();
    CHECK_INT(mkdir(in("m"), 0777), 0);
    put(in("m/old"), "old");
    sw_stage *stage = open_stage("m");
    char inside[300];
    CHECK_INT(sw_dir_make(sw_stage_path(stage), &sw_test_diag), SW_OK);
    snprintf(inside, sizeof inside, "%s/new", sw_stage_path(stage));
    put(inside, "new");
    CHECK_INT(sw_stage_commit(stage), SW_OK);
    check_file(in("m/new"), "new");
    CHECK_INT(sw_path_kind_of(in("m/old")), SW_PATH_NONE);
    unlink(in("m/new"));
    rmdir(in("m"));
    CHECK_INT(rmdir(folder), 0);
}

SW_TEST(stage_abort_leaves_nothing_and_names_the_target) {
    enter();
    sw_stage *stage = open_stage("m");
    put(sw_stage_path(stage), "part");
    sw_fail(sw_stage_diag(stage), SW_E_IO, sw_stage_path(stage), NULL, "cannot be written");
    char want[128];
    snprintf(want, sizeof want, "%s/m: cannot be written", folder);
    CHECK_STR(sw_test_message(), want);
    sw_stage_abort(stage);
    sw_stage_abort(NULL);
    CHECK_INT(rmdir(folder), 0);
    CHECK_INT(sw_stage_open(in("m"), &sw_test_diag, &stage), SW_E_IO);
}
