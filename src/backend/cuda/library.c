/* Opening NVIDIA's libraries, and tactics of either of them by name. */
#include "backend/cuda/library.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/library_tactic.h"
#include "base/os.h"
#include "base/pool.h"

static sw_cudnn cudnn;
static sw_blas blas;
static struct {
    int64_t version; /* 0: not there */
    char why[320];
} found[SW_CUDA_LIBRARIES];
static pthread_once_t once[SW_CUDA_LIBRARIES] = {PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT};

#define FIND(field, symbol, result, arguments)                                                                         \
    {                                                                                                                  \
        union {                                                                                                        \
            void *object;                                                                                              \
            result(*function) arguments;                                                                               \
        } place = {sw_library_symbol(library, #symbol)};                                                               \
        if (!place.object) return #symbol;                                                                             \
        api->field = place.function;                                                                                   \
    }

/* The symbol that is missing, or NULL. */
static const char *find_cudnn(sw_library *library, sw_cudnn *api) {
    SW_CUDNN_LIST(FIND)
    return NULL;
}
static const char *find_blas(sw_library *library, sw_blas *api) {
    SW_BLAS_LIST(FIND)
    return NULL;
}

/* libcudnn.so.9 opens its parts at their first use, and ends the process when one is missing: so they are opened here. */
static bool has_parts(const char *path, char *why, size_t size) {
    static const char *const parts[] = {"graph", "ops", "cnn", "engines_precompiled", "engines_runtime_compiled",
                                        "heuristic"};
    const char *name = sw_path_name(path);
    if (strncmp(name, "libcudnn.so", 11) != 0) return true;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char part[512];
        int n = snprintf(part, sizeof part, "%.*slibcudnn_%s.so.9", (int)(name - path), path, parts[i]);
        if ((size_t)n < sizeof part && sw_library_open(part)) continue;
        snprintf(why, size, "there is no cuDNN: of its parts, %.200s cannot be opened", part);
        return false;
    }
    return true;
}

const char *sw_cuda_library_name(sw_cuda_library library) {
    return library == SW_CUDA_CUDNN ? "cuDNN" : "cuBLASLt";
}

/* Keeps its version, or why it is not there: it has no symbol `missing`, or is not one of `versions`, from `least` to `end`. */
static void settle(sw_cuda_library which, const char *path, const char *missing, int64_t version, int64_t least,
                   int64_t end, const char *versions) {
    const char *name = sw_cuda_library_name(which);
    char *why = found[which].why;
    const size_t size = sizeof found[which].why;
    if (missing)
        snprintf(why, size, "%s %.200s is no version %s: it has no %s", name, path, versions, missing);
    else if (version < least || version >= end)
        snprintf(why, size, "%s %lld is no version %s", name, (long long)version, versions);
    else
        found[which].version = version;
}

/* The first of these that is there; NULL, and a sentence, when none is. */
static sw_library *open_first(sw_cuda_library which, const char *const *paths, int n) {
    for (int i = 0; i < n; i++) {
        sw_library *library = sw_library_open(paths[i]);
        if (library) return library;
    }
    snprintf(found[which].why, sizeof found[which].why, "there is no %s (%.200s cannot be opened)",
             sw_cuda_library_name(which), paths[0]);
    return NULL;
}

static void open_cudnn(void) {
    const char *path = getenv("SLIPWAY_CUDNN");
    if (!path) path = "libcudnn.so.9";
    sw_library *library = open_first(SW_CUDA_CUDNN, &path, 1);
    if (!library || !has_parts(path, found[SW_CUDA_CUDNN].why, sizeof found[SW_CUDA_CUDNN].why)) return;
    const char *missing = find_cudnn(library, &cudnn);
    settle(SW_CUDA_CUDNN, path, missing, missing ? 0 : (int64_t)cudnn.version(), 90000, 100000, "9");
}

static void open_blas(void) {
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12",
                                        "/usr/local/cuda/lib64/libcublasLt.so"};
    const char *path = getenv("SLIPWAY_CUBLASLT");
    sw_library *library = path ? open_first(SW_CUDA_CUBLASLT, &path, 1)
                               : open_first(SW_CUDA_CUBLASLT, names, sizeof names / sizeof names[0]);
    if (!library) return;
    const char *missing = find_blas(library, &blas);
    settle(SW_CUDA_CUBLASLT, path ? path : names[0], missing, missing ? 0 : (int64_t)blas.version(), 120000, 140000,
           "12 or 13");
}

int64_t sw_cuda_library_version(sw_cuda_library library, const char **why) {
    pthread_once(&once[library], library == SW_CUDA_CUDNN ? open_cudnn : open_blas);
    if (why) *why = found[library].why;
    return found[library].version;
}

const sw_cudnn *sw__cuda_cudnn(void) {
    return sw_cuda_library_version(SW_CUDA_CUDNN, NULL) ? &cudnn : NULL;
}
const sw_blas *sw__cuda_blas(void) {
    return sw_cuda_library_version(SW_CUDA_CUBLASLT, NULL) ? &blas : NULL;
}

/* ---- Tactics ------------------------------------------------------------------------------------------------------- */

static const char *const prefixes[SW_CUDA_LIBRARIES] = {"CUDNN_", "CUBLASLT_"};

int sw_cuda_tactic_library(const char *name) {
    for (int i = 0; i < SW_CUDA_LIBRARIES; i++)
        if (!strncmp(name, prefixes[i], strlen(prefixes[i]))) return i;
    return -1;
}

/* What stands behind the version; NULL: it is none of this version of this library. */
static const char *choice_of(const char *name, sw_cuda_library library) {
    char *rest;
    if (sw_cuda_tactic_library(name) != (int)library) return NULL;
    int64_t wanted = strtoll(name + strlen(prefixes[library]), &rest, 10);
    return wanted == found[library].version && *rest == '_' ? rest + 1 : NULL;
}

static const char *refuse(const sw_conv *c) {
    if (c->residual_shift) return "its residual is an enlarged map";
    if (c->in_shift) return "its input is an enlarged map";
    return c->in_type != c->out_type ? "its results are float32" : NULL;
}

int sw_cuda_tactics_find(sw_cuda *gpu, const sw_conv *conv, char (*names)[SW_CUDA_TACTIC_NAME]) {
    if (refuse(conv) || sw_cuda_is_float(gpu->info.cell)) return 0;
    int n = sw__cudnn_find(gpu, conv, names);
    return n + sw__blas_find(gpu, conv, names + n);
}

/* Why it cannot be made, or NULL. */
static const char *make_tactic(sw_cuda *gpu, int handle, sw_cuda_library library, const sw_conv *conv,
                               const char *choice, sw_cuda_tactic **tactic) {
    sw_cuda_tactic *t = sw_calloc(gpu->allocator, 1, sizeof *t);
    if (!t) return "out of memory";
    t->library = library;
    t->allocator = gpu->allocator;
    const char *refused = refuse(conv);
    if (!refused && library == SW_CUDA_CUDNN) refused = sw__cudnn_make(gpu, handle, conv, choice, t);
    if (!refused && library == SW_CUDA_CUBLASLT) refused = sw__blas_make(gpu, conv, choice, t);
    if (!refused && t->workspace > SW_CUDA_MOST_WORKSPACE) refused = "it wants too much memory";
    if (!refused)
        *tactic = t;
    else
        sw_cuda_tactic_destroy(t);
    return refused;
}

sw_status sw_cuda_tactic_make(sw_cuda *gpu, const sw_conv *conv, const char *name, const sw_diag *diag,
                              sw_cuda_tactic **tactic) {
    static const char again[] = "build the plan anew here";
    int library = sw_cuda_tactic_library(name);
    const char *why = "";
    *tactic = NULL;
    if (library < 0)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, again, "there is no tactic '%.*s'", SW_CUDA_TACTIC_NAME, name);
    int64_t version = sw_cuda_library_version((sw_cuda_library)library, &why);
    if (!version) return sw_fail(diag, SW_E_UNSUPPORTED, NULL, again, "%s", why);
    const char *choice = choice_of(name, (sw_cuda_library)library), *version_of = name + strlen(prefixes[library]);
    if (!choice)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, again, "%s %.*s was timed, %lld is here",
                       sw_cuda_library_name((sw_cuda_library)library), (int)strspn(version_of, "0123456789"),
                       version_of, (long long)version);
    const char *refused = make_tactic(gpu, 0, (sw_cuda_library)library, conv, choice, tactic);
    return refused ? sw_fail(diag, SW_E_UNSUPPORTED, NULL, again, "%s does not take a convolution: %s",
                             sw_cuda_library_name((sw_cuda_library)library), refused)
                   : SW_OK;
}

typedef struct making {
    sw_cuda *gpu;
    sw_cuda_wanted *wanted;
    int64_t deadline;
} making;

static void make_some(void *ctx, int64_t begin, int64_t end, int thread) {
    const making *m = ctx;
    m->gpu->driver->context_set(m->gpu->context);
    for (int64_t i = begin; i < end && sw_clock_ns() < m->deadline; i++) {
        sw_cuda_wanted *w = &m->wanted[i];
        const char *choice = choice_of(w->name, SW_CUDA_CUDNN);
        if (choice) make_tactic(m->gpu, thread, SW_CUDA_CUDNN, w->conv, choice, &w->made);
    }
}

void sw_cuda_tactics_make(sw_cuda *gpu, sw_cuda_wanted *wanted, int n, int64_t deadline) {
    making m = {gpu, wanted, deadline};
    bool any = false;
    for (int i = 0; i < n; i++) any |= sw_cuda_tactic_library(wanted[i].name) == SW_CUDA_CUDNN;
    if (!any || !sw__cuda_cudnn()) return;
    /* The first handle runs all; and NVIDIA wants one call of this before those of threads. */
    if (!gpu->cudnn[0] && cudnn.create(&gpu->cudnn[0]) != 0) return;
    sw_pool *pool = sw_pool_create_small(gpu->allocator, n < SW_CUDA_HANDLES ? n : SW_CUDA_HANDLES);
    sw_pool_for(pool, n, 1, make_some, &m);
    sw_pool_destroy(pool);
}

void sw_cuda_tactic_destroy(sw_cuda_tactic *t) {
    if (!t) return;
    if (t->library == SW_CUDA_CUDNN)
        sw__cudnn_drop(&t->dnn);
    else
        sw__blas_drop(&t->blas);
    sw_free(t->allocator, t);
}

int64_t sw_cuda_tactic_workspace(const sw_cuda_tactic *t) {
    return t->workspace;
}

sw_status sw_cuda_tactic_run(sw_cuda *gpu, const sw_cuda_tactic *t, const sw_cuda_conv *conv, void *workspace,
                             sw_cu_stream stream, const sw_diag *diag) {
    const char *bad = t->library == SW_CUDA_CUDNN ? sw__cudnn_run(gpu, t, conv, workspace, stream)
                                                  : sw__blas_run(gpu, t, conv, workspace, stream);
    return bad ? sw_fail(diag, SW_E_INTERNAL, NULL, "build with --no-libraries", "GPU %d (%s): %s failed: %s",
                         gpu->index, gpu->info.name, sw_cuda_library_name(t->library), bad)
               : SW_OK;
}

void sw_cuda_libraries_close(sw_cuda *gpu) {
    for (int i = 0; i < SW_CUDA_HANDLES; i++)
        if (gpu->cudnn[i]) cudnn.destroy(gpu->cudnn[i]);
    if (gpu->blas) blas.destroy(gpu->blas);
    memset(gpu->cudnn, 0, sizeof(gpu->cudnn));
    gpu->blas = NULL;
}
