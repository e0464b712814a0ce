#include "cli/sources.h"

#include <string.h>

#include "base/os.h"

enum { STDIN = 0, STDIN_MOST = 512 << 20 };

static bool is_stdin(const char *word) {
    return !strcmp(word, "-");
}

static bool is_pattern(const char *word) {
    return strpbrk(word, "*?[") && sw_path_kind_of(word) == SW_PATH_NONE; /* a file may have such a name, too */
}

/* Ultralytics' models for OpenVINO are folders of such names. */
static bool is_model_folder(const char *word) {
    static const char ending[] = "_openvino_model";
    size_t length = strlen(word), n = sizeof ending - 1;
    while (length && word[length - 1] == '/') length--;
    return length >= n && !memcmp(word + length - n, ending, n);
}

bool sw_source_is_pictures(const char *word) {
    sw_map map;
    if (is_stdin(word) || is_pattern(word)) return true;
    sw_path_kind kind = sw_path_kind_of(word);
    if (kind == SW_PATH_FOLDER) return !is_model_folder(word);
    if (kind == SW_PATH_NONE) return sw_image_format_of_name(word) != SW_IMAGE_NONE;
    if (sw_map_open(word, NULL, &map) != SW_OK) return false;
    bool picture = sw_image_sniff(map.data, map.size) != NULL;
    sw_map_close(&map);
    return picture;
}

typedef struct collector {
    void *paths;
    size_t n, cap;
    sw_arena *arena;
    const sw_diag *diag;
    sw_status failed; /* of a word */
} collector;

static sw_status add(collector *c, const char *path) {
    sw_status status = sw_grow(NULL, &c->paths, &c->cap, c->n + 1, sizeof(char *), SW_MAX_NAMES);
    if (status == SW_E_LIMIT) return sw_fail(c->diag, status, NULL, NULL, "more than %d pictures", SW_MAX_NAMES);
    SW_TRY(status);
    ((const char **)c->paths)[c->n++] = path;
    return SW_OK;
}

/* A word that leads to nothing does not stop the others; running out of memory does. */
static sw_status let_pass(collector *c, sw_status status) {
    if (status == SW_E_NOMEM) return status;
    if (c->failed == SW_OK) c->failed = status;
    return SW_OK;
}

static sw_status add_folder(collector *c, const char *folder) {
    sw_names names;
    sw_status status = sw_dir_list(folder, c->arena, c->diag, &names);
    if (status != SW_OK) return let_pass(c, status);
    size_t before = c->n;
    bool slash = folder[strlen(folder) - 1] == '/';
    for (size_t i = 0; i < names.n; i++) {
        if (sw_image_format_of_name(names.names[i]) == SW_IMAGE_NONE) continue;
        const char *path = sw_arena_printf(c->arena, "%s%s%s", folder, slash ? "" : "/", names.names[i]);
        if (!path) return SW_E_NOMEM;
        if (sw_path_kind_of(path) != SW_PATH_FOLDER) SW_TRY(add(c, path));
    }
    if (c->n > before) return SW_OK;
    return let_pass(c, sw_fail(c->diag, SW_E_INPUT, folder, NULL, "holds no pictures (.jpg, .jpeg, .png)"));
}

static sw_status add_pattern(collector *c, const char *pattern) {
    sw_names names;
    sw_status status = sw_path_glob(pattern, c->arena, c->diag, &names);
    if (status != SW_OK) return let_pass(c, status);
    if (!names.n) return let_pass(c, sw_fail(c->diag, SW_E_IO, pattern, NULL, "matches no file"));
    for (size_t i = 0; i < names.n; i++) {
        bool folder = sw_path_kind_of(names.names[i]) == SW_PATH_FOLDER;
        SW_TRY(folder ? add_folder(c, names.names[i]) : add(c, names.names[i]));
    }
    return SW_OK;
}

static sw_status collect(collector *c, const char *const *words, int n) {
    for (int i = 0; i < n; i++) {
        if (!words[i][0]) {
            SW_TRY(let_pass(c, sw_fail(c->diag, SW_E_INPUT, NULL, NULL, "a source is the empty word")));
        } else if (is_pattern(words[i]))
            SW_TRY(add_pattern(c, words[i]));
        else if (sw_path_kind_of(words[i]) == SW_PATH_FOLDER)
            SW_TRY(add_folder(c, words[i]));
        else
            SW_TRY(add(c, words[i]));
    }
    return SW_OK;
}

sw_status sw_sources_collect(const char *const *words, int n, sw_arena *arena, const sw_diag *diag,
                             sw_sources *sources) {
    collector c = {.arena = arena, .diag = diag};
    sw_status status = collect(&c, words, n);
    *sources = (sw_sources){.n = c.n, .status = c.failed};
    if (status == SW_OK && c.n) {
        sources->paths = sw_arena_copy(arena, c.paths, c.n * sizeof(char *));
        if (!sources->paths) status = SW_E_NOMEM;
    }
    sw_free(NULL, c.paths);
    return status;
}

sw_status sw_source_load(const char *path, const sw_diag *diag, sw_image *image) {
    if (!is_stdin(path)) return sw_image_load(path, NULL, diag, image);
    sw_buf buf = sw_buf_make(NULL, STDIN_MOST);
    sw_status status = sw_fd_read(STDIN, "standard input", diag, &buf);
    if (status == SW_OK) status = sw_image_decode(buf.data, buf.size, "standard input", NULL, diag, image);
    sw_buf_free(&buf);
    return status;
}
