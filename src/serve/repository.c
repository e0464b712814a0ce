/* What lies in the repositories: <repository>/<model>/<version>/<model file>, as Triton has it; or bare model files. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/sort.h"
#include "base/str.h"
#include "serve/internal.h"

enum { MAX_MODELS = 65536, STAMP_DEPTH = 4 };

static sw_status out_of_memory(const sw_diag *diag) {
    return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
}

/* A version's number; 0 for names that are none: not all digits, or zero in front. */
static int64_t version_of(const char *name) {
    int64_t number;
    return *name >= '1' && *name <= '9' && sw_str_to_i64(name, strlen(name), &number) ? number : 0;
}

static const char *stem(const char *path, sw_arena *arena) {
    const char *name = sw_path_name(path), *dot = strrchr(name, '.');
    return sw_arena_strndup(arena, name, dot && dot != name ? (size_t)(dot - name) : strlen(name));
}

bool sw__repository_find(const sw_serve *core, const char *name, sw_arena *arena, sw__found *found) {
    if (!*name || *name == '.' || strchr(name, '/')) return false;
    for (int i = 0; i < core->options.n_repositories; i++) {
        const char *repository = core->options.repositories[i];
        *found = (sw__found){.name = sw_arena_strdup(arena, name)};
        if (sw_path_kind_of(repository) == SW_PATH_FOLDER) {
            found->folder = sw_arena_printf(arena, "%s/%s", repository, name);
            if (found->name && found->folder && sw_path_kind_of(found->folder) == SW_PATH_FOLDER) return true;
        } else {
            const char *bare = stem(repository, arena);
            found->path = repository;
            if (found->name && bare && strcmp(bare, name) == 0) return true;
        }
    }
    return false;
}

sw_status sw__repository_list(const sw_serve *core, sw_arena *arena, const sw_diag *diag, sw__found **result, int *n) {
    sw__found *found = NULL, *all = SW_ARENA_ARRAY(arena, sw__found, MAX_MODELS);
    *n = 0;
    if (!all) return out_of_memory(diag);
    for (int i = 0; i < core->options.n_repositories; i++) {
        const char *repository = core->options.repositories[i];
        sw_names names = {0};
        const char *bare = stem(repository, arena);
        bool folder = sw_path_kind_of(repository) == SW_PATH_FOLDER;
        if (folder)
            SW_TRY(sw_dir_list(repository, arena, diag, &names));
        else
            names = (sw_names){&bare, 1};
        for (size_t k = 0; k < names.n; k++) {
            bool known = false;
            for (found = all; found < all + *n; found++) known |= strcmp(found->name, names.names[k]) == 0;
            if (known) continue;
            if (*n == MAX_MODELS) return sw_fail(diag, SW_E_LIMIT, repository, NULL, "more than %d models", MAX_MODELS);
            if (sw__repository_find(core, names.names[k], arena, &all[*n])) ++*n;
        }
    }
    *result = all;
    return SW_OK;
}

/* A bare file must not have the name of another. */
static sw_status check_file(const sw_serve *core, int i, sw_arena *arena, const sw_diag *diag) {
    const char *repository = core->options.repositories[i], *bare = stem(repository, arena);
    sw__found first;
    if (!bare || !sw__repository_find(core, bare, arena, &first)) return SW_OK;
    const char *where = first.folder ? first.folder : first.path;
    if (!where || strcmp(where, repository) == 0) return SW_OK;
    return sw_fail(diag, SW_E_USAGE, repository, "name one of them otherwise, or put both into a model repository",
                   "the model would have the name '%s', as %s has", bare, where);
}

static sw_status check_folder(const sw_serve *core, const char *repository, sw_arena *arena, const sw_diag *diag) {
    sw_names names;
    int n = 0;
    SW_TRY(sw_dir_list(repository, arena, diag, &names));
    for (size_t i = 0; i < names.n; i++) {
        const char *name = names.names[i], *here = sw_arena_printf(arena, "%s/%s", repository, name);
        sw__found first;
        if (!here) return out_of_memory(diag);
        if (sw_path_kind_of(here) == SW_PATH_FOLDER && sw__repository_find(core, name, arena, &first)) {
            n++;
            const char *where = first.folder ? first.folder : first.path;
            if (where && strcmp(where, here) != 0)
                sw_warn(diag, here, "is not served: %s has the same name, and comes first", where);
        } else if (sw__is_model_name(name)) {
            sw_warn(diag, here, "is not served: a model of a repository lies in %s/%s/1/", repository,
                    stem(name, arena));
        }
    }
    if (!n) sw_warn(diag, repository, "there is no model: expected %s/MODEL/1/model.onnx", repository);
    return SW_OK;
}

sw_status sw__repository_check(const sw_serve *core, const sw_diag *diag) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_status status = arena ? SW_OK : out_of_memory(diag);
    for (int i = 0; i < core->options.n_repositories && status == SW_OK; i++) {
        const char *repository = core->options.repositories[i];
        sw_path_kind kind = sw_path_kind_of(repository);
        if (kind == SW_PATH_NONE)
            status = sw_fail(diag, SW_E_IO, repository, "check the spelling and the current folder",
                             "there is no such model repository or model file");
        else if (kind == SW_PATH_FOLDER)
            status = check_folder(core, repository, arena, diag);
        else
            status = check_file(core, i, arena, diag);
    }
    sw_arena_destroy(arena);
    return status;
}

static uint64_t stamp_folder(const char *folder, bool versions, int depth, uint64_t hash, sw_arena *arena) {
    sw_names names;
    if (depth > STAMP_DEPTH || sw_dir_list(folder, arena, NULL, &names) != SW_OK) return hash;
    for (size_t i = 0; i < names.n; i++) {
        const char *path = sw_arena_printf(arena, "%s/%s", folder, names.names[i]);
        if (!path || (!versions && depth == 0 && version_of(names.names[i]))) continue;
        int64_t size = sw_file_size(path), changed = sw_file_changed_ns(path);
        hash = sw_hash_text(hash, names.names[i]);
        hash = sw_hash(hash, &size, sizeof size);
        if (size >= 0)
            hash = sw_hash(hash, &changed, sizeof changed);
        else
            hash = stamp_folder(path, versions, depth + 1, hash, arena);
    }
    return hash;
}

uint64_t sw__repository_stamp(const char *folder, bool versions, sw_arena *arena) {
    return stamp_folder(folder, versions, 0, 0, arena);
}

sw_status sw__repository_config(const sw_serve *core, const sw__found *found, sw_arena *arena, const sw_diag *diag,
                                const char **text, size_t *size, const char **where) {
    *text = NULL;
    *size = 0;
    *where = found->path;
    if (!found->folder) return SW_OK;
    const char *path = NULL;
    if (core->options.config_name) {
        path = sw_arena_printf(arena, "%s/configs/%s.pbtxt", found->folder, core->options.config_name);
        if (!path) return out_of_memory(diag);
        if (sw_path_kind_of(path) == SW_PATH_NONE) path = NULL;
    }
    if (!path && !(path = sw_arena_printf(arena, "%s/config.pbtxt", found->folder))) return out_of_memory(diag);
    *where = path;
    if (sw_path_kind_of(path) == SW_PATH_NONE) return SW_OK;
    sw_buf buf = sw_buf_make(NULL, SW__MAX_CONFIG);
    sw_status status = sw_file_read(path, diag, &buf);
    if (status == SW_OK && !(*text = sw_arena_strndup(arena, sw_buf_text(&buf), buf.size)))
        status = out_of_memory(diag);
    *size = buf.size;
    sw_buf_free(&buf);
    return status;
}

static bool wants(const sw__version_policy *policy, int64_t version) {
    if (policy->kind != SW__SPECIFIC) return true;
    for (int i = 0; i < policy->n; i++)
        if (policy->versions[i] == version) return true;
    return false;
}

sw_status sw__repository_versions(const sw__found *found, const sw__version_policy *policy, sw_arena *arena,
                                  const sw_diag *diag, int64_t **versions, int *n) {
    sw_names names = {0};
    *n = 0;
    if (found->folder) SW_TRY(sw_dir_list(found->folder, arena, diag, &names));
    if (!(*versions = SW_ARENA_ARRAY(arena, int64_t, names.n + 1))) return out_of_memory(diag);
    bool none = true;
    for (size_t i = 0; i < names.n; i++) {
        int64_t number = version_of(names.names[i]);
        const char *path = number ? sw_arena_printf(arena, "%s/%s", found->folder, names.names[i]) : NULL;
        if (!path || sw_path_kind_of(path) != SW_PATH_FOLDER) continue;
        none = false;
        if (wants(policy, number)) (*versions)[(*n)++] = number;
    }
    if (none && wants(policy, 1)) (*versions)[(*n)++] = 1; /* a bare file, or a model without files */
    qsort(*versions, (size_t)*n, sizeof **versions, sw_by_i64);
    if (policy->kind == SW__LATEST && *n > policy->latest) {
        *versions += *n - policy->latest;
        *n = (int)policy->latest;
    }
    return SW_OK;
}
