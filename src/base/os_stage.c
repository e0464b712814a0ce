#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/os.h"
#include "base/stage.h"
#include "base/temporary.h"

struct sw_stage {
    const sw_diag *diag;
    sw_diag inner;
    char *target, *folder, *path; /* where it goes; the hidden folder; what is written there */
    sw_temporary temporary;       /* the hidden folder */
};

/* Says `path` where the message says something inside the hidden folder. */
static void emit_renamed(void *ctx, const sw_message *message) {
    sw_stage *stage = ctx;
    sw_message m = *message;
    size_t length = strlen(stage->folder);
    char *renamed = NULL;
    if (m.where && !strncmp(m.where, stage->folder, length)) {
        size_t folder = (size_t)(sw_path_name(stage->target) - stage->target);
        const char *rest = m.where + length + (m.where[length] == '/');
        if (asprintf(&renamed, "%.*s%s", (int)folder, stage->target, rest) < 0) renamed = NULL;
        m.where = renamed ? renamed : stage->target;
    }
    if (stage->diag && stage->diag->emit) stage->diag->emit(stage->diag->ctx, &m);
    free(renamed);
}

static void stage_free(sw_stage *stage) {
    sw_temporary_drop(&stage->temporary);
    free(stage->target);
    free(stage->folder);
    free(stage->path);
    free(stage);
}

static sw_status fail(const sw_stage *stage, const char *what) {
    char text[128];
    int error = errno;
    return sw_fail(stage->diag, error == ENOMEM ? SW_E_NOMEM : SW_E_IO, stage->target, NULL, "%s: %s", what,
                   strerror_r(error, text, sizeof text));
}

static sw_status begin(sw_stage *stage) {
    const char *name = sw_path_name(stage->target);
    int folder = (int)(name - stage->target);
    if (asprintf(&stage->folder, "%.*s.%.200s.XXXXXX", folder, stage->target, name) < 0) {
        stage->folder = NULL;
        return SW_E_NOMEM;
    }
    if (!mkdtemp(stage->folder)) return fail(stage, "cannot be created");
    if (asprintf(&stage->path, "%s/%s", stage->folder, name) >= 0) {
        sw_temporary_add(&stage->temporary, stage->folder);
        return SW_OK;
    }
    stage->path = NULL;
    rmdir(stage->folder);
    return SW_E_NOMEM;
}

sw_status sw_stage_open(const char *path, const sw_diag *diag, sw_stage **out) {
    *out = NULL;
    sw_stage *stage = calloc(1, sizeof *stage);
    if (!stage) return SW_E_NOMEM;
    stage->diag = diag;
    stage->inner = (sw_diag){.emit = emit_renamed, .ctx = stage};
    stage->target = strdup(path);
    sw_status status = stage->target ? begin(stage) : SW_E_NOMEM;
    if (status == SW_OK)
        *out = stage;
    else
        stage_free(stage);
    return status;
}

const char *sw_stage_path(const sw_stage *stage) {
    return stage->path;
}
const sw_diag *sw_stage_diag(const sw_stage *stage) {
    return &stage->inner;
}

enum { MAX_DEPTH = 16 };

static int64_t tree_bytes(const char *path, int depth) {
    struct stat info;
    if (lstat(path, &info) != 0 || depth > MAX_DEPTH) return 0;
    if (!S_ISDIR(info.st_mode)) return (int64_t)info.st_size;
    DIR *folder = opendir(path);
    struct dirent *entry;
    int64_t bytes = 0;
    while (folder && (entry = readdir(folder)) != NULL) {
        char *inside;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (asprintf(&inside, "%s/%s", path, entry->d_name) < 0) continue;
        bytes += tree_bytes(inside, depth + 1);
        free(inside);
    }
    if (folder) closedir(folder);
    return bytes;
}

int64_t sw_stage_bytes(const sw_stage *stage) {
    return tree_bytes(stage->folder, 0);
}

/* One thing out of the hidden folder to its place. A folder in the way moves into the hidden one, which dies. */
static sw_status move(sw_stage *stage, const char *name) {
    char *from = NULL, *to = NULL, *old = NULL;
    int folder = (int)(sw_path_name(stage->target) - stage->target);
    sw_status status = SW_E_NOMEM;
    if (asprintf(&from, "%s/%s", stage->folder, name) < 0) from = NULL;
    if (asprintf(&to, "%.*s%s", folder, stage->target, name) < 0) to = NULL;
    if (asprintf(&old, "%s/.old.%s", stage->folder, name) < 0) old = NULL;
    if (from && to && old) {
        struct stat info;
        bool in_the_way = lstat(to, &info) == 0 && (S_ISDIR(info.st_mode) || sw_path_kind_of(from) == SW_PATH_FOLDER);
        status = in_the_way && rename(to, old) != 0 ? fail(stage, "cannot be replaced") : SW_OK;
        if (status == SW_OK && rename(from, to) != 0) {
            status = fail(stage, "cannot be put in place");
            if (in_the_way && rename(old, to) != 0) status = fail(stage, "cannot be put back");
        }
    }
    free(from);
    free(to);
    free(old);
    return status;
}

sw_status sw_stage_commit(sw_stage *stage) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    const char *last = sw_path_name(stage->path);
    sw_names names = {0};
    sw_status status = arena ? sw_dir_list(stage->folder, arena, &stage->inner, &names) : SW_E_NOMEM;
    for (size_t i = 0; status == SW_OK && i < names.n; i++)
        if (strcmp(names.names[i], last) != 0) status = move(stage, names.names[i]);
    if (status == SW_OK) status = move(stage, last);
    sw_arena_destroy(arena);
    sw_stage_abort(stage);
    return status;
}

void sw_stage_abort(sw_stage *stage) {
    if (!stage) return;
    sw_tree_remove(stage->folder);
    stage_free(stage);
}
