/* Which runtimes there are, and where. Python's folders are found by how environments are laid out; Python itself runs only
 * where that does not tell (launchers that stand for it). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/foreign/foreign.h"
#include "base/os.h"
#include "base/process.h"
#include "base/str.h"

const sw_foreign_runtime sw_foreign_runtimes[] = {
    {.name = "slipway", .kind = SW_FOREIGN_SELF, .title = "Slipway", .reads = "plan"},
    {.name = "onnxruntime",
     .kind = SW_FOREIGN_LIBRARY,
     .title = "ONNX Runtime",
     .variable = "SLIPWAY_ONNXRUNTIME",
     .in_packages = "onnxruntime/capi/libonnxruntime.so.*",
     .distribution = "onnxruntime*-*.dist-info",
     .in_system = "libonnxruntime.so*",
     .reads = "onnx",
     .install = "pip install onnxruntime"},
    {.name = "openvino",
     .kind = SW_FOREIGN_LIBRARY,
     .title = "OpenVINO",
     .variable = "SLIPWAY_OPENVINO",
     .in_packages = "openvino/libs/libopenvino_c.so.*",
     .distribution = "openvino-*.dist-info",
     .in_system = "libopenvino_c.so*",
     .reads = "openvino,onnx",
     .install = "pip install openvino"},
    {.name = "litert",
     .kind = SW_FOREIGN_PYTHON,
     .title = "LiteRT",
     .in_packages = "ai_edge_litert",
     .distribution = "ai_edge_litert-*.dist-info",
     .reads = "tflite",
     .install = "pip install ai-edge-litert"},
    {.name = "ncnn",
     .kind = SW_FOREIGN_PYTHON,
     .title = "ncnn",
     .in_packages = "ncnn",
     .distribution = "ncnn-*.dist-info",
     .reads = "ncnn",
     .install = "pip install ncnn pnnx"},
    {.name = "torch",
     .kind = SW_FOREIGN_PYTHON,
     .title = "PyTorch",
     .in_packages = "torch",
     .distribution = "torch-*.dist-info",
     .reads = "pt,torchscript",
     .install = "pip install torch ultralytics"},
    {0},
};

const sw_foreign_runtime *sw_foreign_find(const char *name, size_t length) {
    for (const sw_foreign_runtime *r = sw_foreign_runtimes; r->name; r++)
        if (strlen(r->name) == length && !memcmp(r->name, name, length)) return r;
    return NULL;
}

void sw_foreign_list(char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (const sw_foreign_runtime *r = sw_foreign_runtimes; r->name && used < size; r++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", r->name);
}

/* -- Python -------------------------------------------------------------------------------------------------------- */

static bool is_file(const char *path) {
    return path && sw_path_kind_of(path) == SW_PATH_FILE;
}

/* python3 as a shell would find it. */
static const char *search_path(sw_arena *arena) {
    const char *path = getenv("PATH");
    for (const char *at = path ? path : ""; *at;) {
        size_t length = strcspn(at, ":");
        const char *name = sw_arena_printf(arena, "%.*s/python3", (int)length, at);
        if (length && is_file(name)) return name;
        at += length + (at[length] == ':');
    }
    return NULL;
}

static const char *find_python(sw_arena *arena) {
    const char *own = getenv("SLIPWAY_PYTHON"), *active = getenv("VIRTUAL_ENV");
    if (own && own[0]) return own;
    const char *python = active && active[0] ? sw_arena_printf(arena, "%s/bin/python", active) : NULL;
    return is_file(python) ? python : search_path(arena);
}

/* Adds what a pattern matches; the last matches are the newest versions. */
static sw_status add_folders(sw_python *e, sw_arena *arena, const char *pattern) {
    sw_names found;
    if (!pattern) return SW_E_NOMEM;
    SW_TRY(sw_path_glob(pattern, arena, NULL, &found));
    for (size_t i = found.n; i-- > 0 && e->n < SW_PYTHON_FOLDERS;)
        if (sw_path_kind_of(found.names[i]) == SW_PATH_FOLDER) e->folders[e->n++] = found.names[i];
    return SW_OK;
}

/* A line of folders from the interpreter itself. */
static sw_status ask_python(sw_python *e, sw_arena *arena) {
    static const char script[] = "import site, sys; print('\\n'.join(p for p in sys.path if p.endswith('-packages')))";
    const char *text;
    if (sw_process_capture((const char *const[]){e->path, "-c", script, NULL}, 10, arena, &text) != SW_OK) return SW_OK;
    for (const char *at = text; *at && e->n < SW_PYTHON_FOLDERS;) {
        size_t length = strcspn(at, "\n");
        const char *folder = sw_arena_strndup(arena, at, length);
        if (!folder) return SW_E_NOMEM;
        if (length) e->folders[e->n++] = folder;
        at += length + (at[length] == '\n');
    }
    return SW_OK;
}

sw_status sw_python_find(sw_arena *arena, sw_python *python) {
    *python = (sw_python){.path = find_python(arena)};
    if (!python->path) return SW_OK;
    /* ENVIRONMENT/bin/python */
    const char *bin = sw_arena_strndup(arena, python->path, (size_t)(sw_path_name(python->path) - python->path));
    if (!bin) return SW_E_NOMEM;
    const char *prefix =
        sw_str_ends_with(bin, "/bin/") ? sw_arena_strndup(arena, bin, strlen(bin) - strlen("/bin/")) : bin;
    const char *config = prefix ? sw_arena_printf(arena, "%s/pyvenv.cfg", prefix) : NULL;
    if (!config) return SW_E_NOMEM;
    if (is_file(config))
        return add_folders(python, arena, sw_arena_printf(arena, "%s/lib/python3.*/site-packages", prefix));
    return ask_python(python, arena);
}

/* The version in ".../onnxruntime_gpu-1.31.1.dist-info". */
static const char *version_of(const char *folder, const char *distribution, sw_arena *arena) {
    sw_names found;
    const char *pattern = sw_arena_printf(arena, "%s/%s", folder, distribution);
    if (!pattern || sw_path_glob(pattern, arena, NULL, &found) != SW_OK || !found.n) return "";
    const char *name = sw_path_name(found.names[found.n - 1]), *dash = strrchr(name, '-');
    /* "...-1.31.1.dist-info": the dash before the last one */
    for (const char *at = dash; at && at > name; at--)
        if (at != dash && *at == '-') return sw_arena_strndup(arena, at + 1, (size_t)(dash - at - 1) - strlen(".dist"));
    return "";
}

static sw_status look_in_packages(const sw_foreign_runtime *r, const sw_python *e, sw_arena *arena,
                                  sw_foreign_place *place) {
    for (int i = 0; i < e->n && !place->path; i++) {
        sw_names found;
        const char *pattern = sw_arena_printf(arena, "%s/%s", e->folders[i], r->in_packages);
        if (!pattern) return SW_E_NOMEM;
        SW_TRY(sw_path_glob(pattern, arena, NULL, &found));
        if (!found.n) continue;
        place->path = found.names[found.n - 1];
        place->python = e->path;
        place->version = version_of(e->folders[i], r->distribution, arena);
        if (!place->version) return SW_E_NOMEM;
    }
    return SW_OK;
}

/* -- The system ---------------------------------------------------------------------------------------------------- */

static sw_status look_in_system(const sw_foreign_runtime *r, sw_arena *arena, sw_foreign_place *place) {
    static const char *const folders[] = {"/usr/local/lib", "/usr/lib/*-linux-gnu", "/usr/lib", "/usr/lib64"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !place->path; i++) {
        sw_names found;
        const char *pattern = sw_arena_printf(arena, "%s/%s", folders[i], r->in_system);
        if (!pattern) return SW_E_NOMEM;
        SW_TRY(sw_path_glob(pattern, arena, NULL, &found));
        if (found.n) place->path = found.names[found.n - 1];
    }
    return SW_OK;
}

sw_status sw_foreign_locate(const sw_foreign_runtime *runtime, const sw_python *python, sw_arena *arena,
                            sw_foreign_place *place) {
    *place = (sw_foreign_place){.version = ""};
    if (runtime->kind == SW_FOREIGN_SELF) {
        char path[4096];
        if (sw_os_executable(path, sizeof path)) place->path = sw_arena_strdup(arena, path);
        place->version = SLIPWAY_VERSION;
        return place->path ? SW_OK : SW_E_NOMEM;
    }
    const char *named = runtime->variable ? getenv(runtime->variable) : NULL;
    if (named && named[0]) {
        place->path = named;
        return SW_OK;
    }
    SW_TRY(look_in_packages(runtime, python, arena, place));
    if (!place->path && runtime->in_system) SW_TRY(look_in_system(runtime, arena, place));
    if (place->path) return SW_OK;
    place->why_not =
        python->path
            ? sw_arena_printf(arena, "%s has no %s, nor has the system", python->path, runtime->title)
            : sw_arena_printf(arena, "there is no Python environment, and no %s in the system", runtime->title);
    return place->why_not ? SW_OK : SW_E_NOMEM;
}
