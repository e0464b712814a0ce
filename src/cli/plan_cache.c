#include "cli/plan_cache.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/cpu.h"
#include "base/hash.h"
#include "base/os.h"
#include "base/process.h"
#include "cli/child.h"
#include "engine/plan_file.h"

enum { SEARCH_DEPTH = 3, MOST_STEM = 64 };
static const int64_t most_bytes = (int64_t)16 << 30, stale_ns = (int64_t)3600 * 1000000000;

/* -- Names --------------------------------------------------------------------------------------------------------- */

/* Whether a model says that tensors of its lie in other files: OpenVINO's text always, ONNX by the key `location`. */
static bool has_other_files(const sw_map *map) {
    static const char key[] = "\x0a\x08location";
    return map->data[0] == '<' || memmem(map->data, map->size, key, sizeof key - 1) != NULL;
}

/* `but`: a folder that is left out. */
static uint64_t hash_folder(uint64_t hash, const char *folder, const char *but, int depth, sw_arena *arena) {
    sw_names names;
    if (depth == SEARCH_DEPTH || sw_path_same(folder, but) || sw_dir_list(folder, arena, NULL, &names) != SW_OK)
        return hash;
    for (size_t i = 0; i < names.n; i++) {
        const char *path = sw_arena_printf(arena, "%s/%s", folder, names.names[i]);
        if (!path) continue;
        int64_t facts[2] = {sw_file_size(path), sw_file_changed_ns(path)};
        hash = facts[0] < 0 ? hash_folder(sw_hash_text(hash, names.names[i]), path, but, depth + 1, arena)
                            : sw_hash(sw_hash_text(hash, names.names[i]), facts, sizeof facts);
    }
    return hash;
}

static uint64_t key_of(const sw_plan_cache *cache, const sw_serve_wish *wish, const sw_map *map, sw_arena *arena) {
    int numbers[] = {SW_PLAN_FORMAT, wish->threads};
    uint64_t hash = sw_hash_text(0, SLIPWAY_VERSION);
    hash = sw_hash_text(hash, sw_cpu_kernels_version());
    hash = sw_hash_text(hash, sw_cpu_model());
    hash = sw_hash_text(hash, sw_cpu_signature());
    hash = sw_hash(hash, numbers, sizeof numbers);
    hash = sw_hash(hash, map->data, map->size);
    if (!has_other_files(map)) return hash;
    const char *name = sw_path_name(wish->path);
    const char *folder = name == wish->path ? "." : sw_arena_strndup(arena, wish->path, (size_t)(name - wish->path));
    return folder ? hash_folder(hash, folder, cache->folder, 0, arena) : hash;
}

/* "yolo11n-<16 hexadecimal digits>-", the beginning of the names of its plans; NULL: its plans are not kept. */
static const char *name_of(const sw_plan_cache *cache, const sw_serve_wish *wish, sw_arena *arena) {
    sw_map map;
    bool cpu = !wish->device || !strcmp(wish->device, "cpu");
    if (!cache->folder || !cpu || sw_path_kind_of(wish->path) != SW_PATH_FILE) return NULL;
    if (sw_map_open(wish->path, NULL, &map) != SW_OK) return NULL;
    const char *name = sw_path_name(wish->path), *dot = strrchr(name, '.'), *full = NULL;
    size_t size = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    char *stem = sw_arena_strndup(arena, name, size < MOST_STEM ? size : MOST_STEM);
    for (char *c = stem; c && *c; c++)
        if ((unsigned char)*c <= ' ' || *c == '.') *c = '_';
    if (stem && !sw_plan_sniff(map.data, map.size))
        full = sw_arena_printf(arena, "%s-%016llx-", stem, (unsigned long long)key_of(cache, wish, &map, arena));
    sw_map_close(&map);
    return full;
}

/* -- Loading ------------------------------------------------------------------------------------------------------- */

/* Whether the content of a plan is what its name says. */
static bool is_whole(const char *path) {
    sw_map map;
    if (sw_map_open(path, NULL, &map) != SW_OK) return false;
    const char *end = strrchr(path, '-');
    bool whole = end && strtoull(end + 1, NULL, 16) == sw_hash(0, map.data, map.size);
    sw_map_close(&map);
    return whole;
}

static sw_status load_kept(const char *path, const sw_diag *diag, sw_plan **plan) {
    sw_last_text why;
    sw_diag soft = sw_last_text_diag(&why);
    bool whole = is_whole(path);
    if (whole && sw_plan_load(path, NULL, &soft, plan) == SW_OK) return SW_OK;
    sw_warn(diag, path, "this kept plan is not used: %s", whole ? why.text : "its content is damaged");
    return SW_E_MODEL;
}

/* A plan that is kept, with one reference; NULL: there is none. Those that cannot be used are removed. */
static sw_plan *find(const sw_plan_cache *cache, const char *name, sw_arena *arena, const sw_diag *diag) {
    sw_names names;
    sw_plan *plan = NULL;
    if (sw_dir_list(cache->folder, arena, NULL, &names) != SW_OK) return NULL;
    for (size_t i = 0; i < names.n && !plan; i++) {
        if (strncmp(names.names[i], name, strlen(name)) != 0) continue;
        const char *path = sw_arena_printf(arena, "%s/%s", cache->folder, names.names[i]);
        if (path && load_kept(path, diag, &plan) != SW_OK) sw_file_remove(path);
    }
    return plan;
}

static sw_status load(void *ctx, const sw_serve_wish *wish, const sw_diag *diag, sw_plan **plan,
                      sw_serve_plan_kind *kind) {
    sw_plan_cache *cache = ctx;
    sw_arena *arena = sw_arena_create(NULL, 0);
    if (!arena) return SW_E_NOMEM;
    const char *name = name_of(cache, wish, arena);
    *plan = name ? find(cache, name, arena, diag) : NULL;
    bool by_estimate = name || (!cache->folder && !sw_plan_sniff_file(wish->path));
    *kind = *plan ? SW_SERVE_PLAN_TUNED : by_estimate ? SW_SERVE_PLAN_DEFAULT : SW_SERVE_PLAN_GIVEN;
    sw_arena_destroy(arena);
    if (*plan) return SW_OK;
    const sw_build_options options = {.device = wish->device, .strict = cache->strict, .trust_code = cache->trust_code};
    return sw_plan_build_with(wish->path, &options, diag, plan);
}

/* -- Making, in a child: at low priority, and nothing of it stays in this process ----------------------------------- */

/* What died while it wrote leaves its file; the oldest plans make room when there are too many. */
static void tidy(const sw_plan_cache *cache, sw_arena *arena) {
    for (int64_t bytes = most_bytes + 1; bytes > most_bytes;) {
        sw_names names;
        const char *oldest = NULL;
        int64_t oldest_ns = 0;
        if (sw_dir_list(cache->folder, arena, NULL, &names) != SW_OK) return;
        bytes = 0;
        for (size_t i = 0; i < names.n; i++) {
            const char *path = sw_arena_printf(arena, "%s/%s", cache->folder, names.names[i]);
            if (!path || !strstr(path, ".slip")) continue;
            int64_t size = sw_file_size(path), changed = sw_file_changed_ns(path);
            bool temporary = names.names[i][0] == '.';
            if (temporary && changed < sw_wall_ms() * 1000000 - stale_ns) sw_file_remove(path);
            if (temporary || size < 0) continue;
            bytes += size;
            if (!oldest || changed < oldest_ns) oldest = path, oldest_ns = changed;
        }
        if (bytes > most_bytes) sw_file_remove(oldest);
    }
}

/* Waits for the child; kills it when it must not go on. */
static sw_status await(sw_process *child, double seconds, const atomic_bool *stop, const sw_diag *diag) {
    enum { LOOK_NS = 100000000, GRACE_NS = 1000000000 };
    char byte, words[256];
    int64_t end = sw_clock_ns() + (int64_t)(seconds * 1e9);
    sw_transfer way = SW_TRANSFER_LATE;
    while (way != SW_TRANSFER_CLOSED && !atomic_load(stop) && sw_clock_ns() < end)
        way = sw_process_read(child, &byte, 1, sw_clock_ns() + LOOK_NS);
    int code = sw_process_end(child, way == SW_TRANSFER_CLOSED ? GRACE_NS : 0);
    if (code == 0) return SW_OK;
    if (way != SW_TRANSFER_CLOSED) return sw_fail(diag, SW_E_LIMIT, NULL, NULL, "it took more than %.0f s", seconds);
    sw_process_last_words(child, words, sizeof words);
    return sw_fail(diag, SW_E_IO, NULL, NULL, "%s", *words ? words : "the process that made it died");
}

static sw_status make(const sw_plan_cache *cache, const sw_serve_wish *wish, const char *name, sw_arena *arena,
                      const atomic_bool *stop, const sw_diag *diag) {
    enum { LOAD_SECONDS = 300 };
    char self[4096];
    const char *seconds = sw_arena_printf(arena, "%.9g", cache->seconds);
    const char *threads = sw_arena_printf(arena, "%d", wish->threads);
    if (!seconds || !threads) return SW_E_NOMEM;
    if (!sw_os_executable(self, sizeof self)) return sw_fail(diag, SW_E_IO, NULL, NULL, "the program is not found");
    sw_process child;
    SW_TRY(sw_process_start(
        (const char *const[]){self, SW_FOREIGN_VERB, "plan", wish->path, cache->folder, name, threads, seconds, NULL},
        wish->path, diag, &child));
    return await(&child, cache->seconds * 2 + LOAD_SECONDS, stop, diag);
}

static sw_status tune(void *ctx, const sw_serve_wish *wish, const atomic_bool *stop, const sw_diag *diag) {
    sw_plan_cache *cache = ctx;
    sw_arena *arena = sw_arena_create(NULL, 0);
    const char *name = arena ? name_of(cache, wish, arena) : NULL;
    sw_plan *plan = name ? find(cache, name, arena, diag) : NULL; /* somebody else may have made it */
    sw_status status = plan ? SW_OK : name ? make(cache, wish, name, arena, stop, diag) : SW_E_IO;
    if (status == SW_OK) tidy(cache, arena);
    sw_plan_unref(plan);
    sw_arena_destroy(arena);
    return status;
}

enum { CHILD_MODEL = 3, CHILD_FOLDER, CHILD_NAME, CHILD_THREADS, CHILD_SECONDS, CHILD_WORDS };

bool sw_plan_child_is(int argc, char **argv) {
    return argc == CHILD_WORDS && !strcmp(argv[1], SW_FOREIGN_VERB) && !strcmp(argv[2], "plan");
}

/* Under a name of its own first, then under the one that tells its content. */
static sw_status save(sw_plan *plan, char **argv, sw_arena *arena, const sw_diag *diag) {
    const char *folder = argv[CHILD_FOLDER], *name = argv[CHILD_NAME];
    const char *first = sw_arena_printf(arena, "%s/.%s%llx.slip", folder, name, (unsigned long long)sw_clock_ns());
    if (!first) return SW_E_NOMEM;
    sw_map map;
    SW_TRY(sw_plan_save(plan, first, NULL, diag));
    sw_status status = sw_map_open(first, diag, &map);
    if (status == SW_OK) {
        const char *path = sw_arena_printf(arena, "%s/%s%016llx.slip", folder, name,
                                           (unsigned long long)sw_hash(0, map.data, map.size));
        sw_map_close(&map);
        status = path ? sw_file_rename(first, path, diag) : SW_E_NOMEM;
    }
    if (status != SW_OK) sw_file_remove(first);
    return status;
}

sw_status sw_plan_child_run(char **argv) {
    int in, out;
    sw_last_text why;
    sw_diag diag = sw_last_text_diag(&why);
    sw_tuning tuning = {.level = 3,
                        .threads = (int)strtol(argv[CHILD_THREADS], NULL, 10),
                        .seconds = strtod(argv[CHILD_SECONDS], NULL)};
    sw_plan *plan = NULL;
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_status status = arena ? sw_process_become_child(&in, &out) : SW_E_NOMEM;
    sw_os_stand_back();
    if (status == SW_OK)
        status = sw_plan_build_with(argv[CHILD_MODEL], &(sw_build_options){.tuning = &tuning}, &diag, &plan);
    if (status == SW_OK) status = save(plan, argv, arena, &diag);
    if (status != SW_OK) fprintf(stderr, "%s\n", *why.text ? why.text : sw_status_text(status));
    sw_plan_unref(plan);
    sw_arena_destroy(arena);
    return status;
}

/* -- The cache ----------------------------------------------------------------------------------------------------- */

static const char *usual_folder(sw_arena *arena) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/') return sw_arena_printf(arena, "%s/slipway/plans", cache);
    return home && home[0] == '/' ? sw_arena_printf(arena, "%s/.cache/slipway/plans", home) : NULL;
}

sw_status sw_plan_cache_open(const sw_args *args, const sw_diag *diag, sw_plan_cache *cache) {
    const char *given = sw_args_text(args, "plan-cache");
    *cache = (sw_plan_cache){given ? given : usual_folder(args->arena), sw_args_number(args, "tune-seconds"),
                             sw_args_flag(args, "strict"), sw_args_flag(args, "trust-code")};
    sw_last_text why;
    sw_diag soft = sw_last_text_diag(&why);
    if (given && !strcmp(given, "none")) cache->folder = NULL;
    if (!cache->folder || sw_dir_make(cache->folder, &soft) == SW_OK) return SW_OK;
    if (given)
        return sw_fail(diag, SW_E_IO, "--plan-cache", "name a folder that can be written, or 'none'", "%s", why.text);
    sw_warn(diag, cache->folder, "plans are not kept: %s", why.text);
    cache->folder = NULL;
    return SW_OK;
}

sw_serve_loader sw_plan_cache_loader(sw_plan_cache *cache) {
    return (sw_serve_loader){.load = load, .tune = cache->folder && cache->seconds > 0 ? tune : NULL, .ctx = cache};
}
