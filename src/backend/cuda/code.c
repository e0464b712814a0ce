/* Kernels from text to functions: NVRTC, and a cache of what it made. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda.h"
#include "base/hash.h"
#include "base/os.h"
#include "base/pool.h"
#include "base/str.h"

static const sw_cuda_kernel_info kernels[] = {
#define DEFINE(name, value) " -D" #name "=" #value
#define WGMMA_0             ""
#define WGMMA_1             " -DWGMMA"
#define WGMMA_2             ""
#define WGMMA_3             " -DWGMMA -DOVERLAP"
#define WGMMA_10            " -DOF_ROWS"
#define WGMMA_11            " -DWGMMA -DOF_ROWS"
#define WGMMA_13            " -DWGMMA -DOVERLAP -DOF_ROWS"
#define SW_CUDA_TILE(id, bm_, bn_, bk_, wm_, wn_, wk_, stages_, kind_)                                                 \
    {#id,                                                                                                              \
     kind_ == 2 ? "direct.cu" : "conv.cu",                                                                             \
     "conv",                                                                                                           \
     DEFINE(BM, bm_) DEFINE(BN, bn_) DEFINE(BK, bk_) DEFINE(WM, wm_) DEFINE(WN, wn_) DEFINE(WK, wk_)                   \
         DEFINE(STAGES, stages_) WGMMA_##kind_,                                                                        \
     32 * wm_ * wn_ * wk_,                                                                                             \
     bm_,                                                                                                              \
     bn_,                                                                                                              \
     bk_,                                                                                                              \
     wm_,                                                                                                              \
     wn_,                                                                                                              \
     wk_,                                                                                                              \
     stages_,                                                                                                          \
     kind_ % 2 == 1,                                                                                                   \
     kind_ >= 10},
#define SW_CUDA_HELD(id, kernel_, stride_, bm_, bn_, wm_, wn_, wk_)                                                    \
    {.name = #id,                                                                                                      \
     .file = "held.cu",                                                                                                \
     .entry = "conv",                                                                                                  \
     .defines = DEFINE(KS, kernel_) DEFINE(STRIDE, stride_) DEFINE(BM, bm_) DEFINE(BN, bn_) DEFINE(WM, wm_)            \
         DEFINE(WN, wn_) DEFINE(WK, wk_),                                                                              \
     .threads = 32 * wm_ * wn_ * wk_,                                                                                  \
     .bm = bm_,                                                                                                        \
     .bn = bn_,                                                                                                        \
     .wm = wm_,                                                                                                        \
     .wn = wn_,                                                                                                        \
     .wk = wk_,                                                                                                        \
     .held = kernel_,                                                                                                  \
     .stride = stride_},
#define PAIRS_0             ""
#define PAIRS_1             " -DPAIRS"
#define SW_CUDA_PATCH(id, kernel_, stride_, bm_, bn_, pairs_, teams_, buffers_)                                        \
    {.name = #id,                                                                                                      \
     .file = "patch.cu",                                                                                               \
     .entry = "conv",                                                                                                  \
     .defines = DEFINE(KS, kernel_) DEFINE(STRIDE, stride_) DEFINE(BM, bm_) DEFINE(BN, bn_) DEFINE(TEAMS, teams_)      \
         DEFINE(BUFFERS, buffers_) " -DWGMMA" PAIRS_##pairs_,                                                          \
     .threads = 2 * bm_ * teams_,                                                                                      \
     .bm = bm_,                                                                                                        \
     .bn = bn_,                                                                                                        \
     .wgmma = true,                                                                                                    \
     .patch = kernel_,                                                                                                 \
     .stride = stride_,                                                                                                \
     .pairs = pairs_,                                                                                                  \
     .teams = teams_,                                                                                                  \
     .buffers = buffers_},
#define SW_CUDA_PAIR(id, ci, cm, warps, wn1_, mt1_, wn2_, mt2_, blocks_)                                               \
    {.name = #id,                                                                                                      \
     .file = "pair.cu",                                                                                                \
     .entry = "pair",                                                                                                  \
     .defines = DEFINE(CI, ci) DEFINE(CM, cm) DEFINE(WARPS, warps) DEFINE(WN1, wn1_) DEFINE(MT1, mt1_)                 \
         DEFINE(WN2, wn2_) DEFINE(MT2, mt2_) DEFINE(BLOCKS_OF_SM_90, blocks_),                                         \
     .threads = 32 * warps,                                                                                            \
     .blocks = blocks_,                                                                                                \
     .in_chunks = ci,                                                                                                  \
     .middle_chunks = cm,                                                                                              \
     .wn1 = wn1_,                                                                                                      \
     .mt1 = mt1_,                                                                                                      \
     .wn2 = wn2_,                                                                                                      \
     .mt2 = mt2_},
#define SW_CUDA_POINT(id, kernel_, stride_, wm_, wk_, mt, nt, blocks_)                                                 \
    {.name = #id,                                                                                                      \
     .file = "depthwise_point.cu",                                                                                     \
     .entry = "depthwise_point",                                                                                       \
     .defines = DEFINE(K, kernel_) DEFINE(STRIDE, stride_) DEFINE(WM, wm_) DEFINE(WK, wk_) DEFINE(MT, mt)              \
         DEFINE(NT, nt) DEFINE(BLOCKS_OF_SM_90, blocks_),                                                              \
     .threads = 32 * wm_ * wk_,                                                                                        \
     .blocks = blocks_,                                                                                                \
     .points_m = 16 * wm_ * mt,                                                                                        \
     .points_n = 8 * nt,                                                                                               \
     .wk = wk_,                                                                                                        \
     .depthwise = kernel_,                                                                                             \
     .stride = stride_},
#define SW_CUDA_KERNEL(id, file_, entry_, threads_, defines_) {#id, file_, entry_, defines_, threads_},
#include "backend/cuda/kernels.inc"
};

const sw_cuda_kernel_info *sw_cuda_kernel_get(sw_cuda_kernel kernel) {
    return &kernels[kernel];
}

/* ---- NVRTC --------------------------------------------------------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sw_nvrtc nvrtc;
static bool have_nvrtc;
static int compiler_version;

static bool find_nvrtc(const char *path) {
    sw_library *library = sw_library_open(path);
    if (!library) return false;
#define FIND(field, name, arguments)                                                                                   \
    {                                                                                                                  \
        union {                                                                                                        \
            void *object;                                                                                              \
            unsigned(*function) arguments;                                                                             \
        } found = {sw_library_symbol(library, #name)};                                                                 \
        if (!found.object) return false;                                                                               \
        nvrtc.field = found.function;                                                                                  \
    }
    SW_NVRTC_LIST(FIND)
#undef FIND
    int major = 0, minor = 0;
    nvrtc.version(&major, &minor);
    compiler_version = major * 1000 + minor * 10;
    return true;
}

static void open_nvrtc(void) {
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so",
                                        "/usr/local/cuda/lib64/libnvrtc.so"};
    const char *path = getenv("SLIPWAY_NVRTC");
    if (path) have_nvrtc = find_nvrtc(path);
    for (size_t i = 0; !path && !have_nvrtc && i < sizeof names / sizeof names[0]; i++)
        have_nvrtc = find_nvrtc(names[i]);
}

static bool is_header(const sw_cuda_text *text) {
    return !sw_str_ends_with(text->name, ".cu");
}

bool sw__cuda_options(const char *arch, const char *defines, const char *more, sw_cuda_options *o) {
    o->n = 0;
    o->words[o->n++] = arch;
    o->words[o->n++] = "--std=c++17";
    o->words[o->n++] = "-default-device";
    if ((size_t)snprintf(o->text, sizeof o->text, "%s%s", defines, more) >= sizeof o->text) return false;
    char *rest;
    for (char *word = strtok_r(o->text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (o->n == SW_CUDA_MOST_OPTIONS) return false;
        o->words[o->n++] = word;
    }
    return true;
}

static sw_status compile_failed(const sw_cuda *gpu, sw_nvrtc_program program, const char *name, const sw_diag *diag) {
    size_t size = 0;
    nvrtc.log_size(program, &size);
    char *log = size > 1 ? sw_alloc(gpu->allocator, size) : NULL;
    if (log && nvrtc.log(program, log) != 0) log[0] = 0;
    if (log) log[strcspn(log, "\n")] = 0;
    sw_status status = sw_fail(diag, SW_E_UNSUPPORTED, NULL, "install the CUDA version that the driver supports",
                               "NVRTC %d.%d does not compile kernel %s for SM %d.%d: %.200s", compiler_version / 1000,
                               compiler_version % 1000 / 10, name, gpu->info.sm / 10, gpu->info.sm % 10,
                               log ? log : "no reason given");
    sw_free(gpu->allocator, log);
    return status;
}

static const char *text_of(const char *file) {
    for (int i = 0; i < sw_cuda_n_texts; i++)
        if (!strcmp(sw_cuda_texts[i].name, file)) return sw_cuda_texts[i].text;
    return "";
}

/* The define that chooses the type of maps. */
static const char *type_of(const sw_cuda *gpu) {
    static const char *const defines[] = {"", " -DBF16", " -DFLOATS", " -DFLOATS -DTF32"}; /* by sw_cuda_cell */
    return defines[gpu->info.cell];
}

static sw_status no_compiler(const sw_cuda *gpu, const sw_cuda_kernel_info *k, const sw_diag *diag) {
    static const char install[] = "install the CUDA toolkit, or PyPI's nvidia-cuda-nvrtc and name its libnvrtc "
                                  "in SLIPWAY_NVRTC";
    if (gpu->n_lent && !gpu->lent[0].data)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "give --trust-code if you trust whoever built the plan",
                       "there is no NVRTC to compile kernels for the GPU, and the code in the plan was not trusted");
    if (gpu->n_lent)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, install,
                       "there is no NVRTC, and the plan holds no code of kernel %s as this Slipway has it for SM %d.%d",
                       k->name, gpu->info.sm / 10, gpu->info.sm % 10);
    return sw_fail(diag, SW_E_UNSUPPORTED, NULL, install,
                   "kernels for the GPU must be compiled, but there is no NVRTC");
}

static sw_status compile(const sw_cuda *gpu, const sw_cuda_kernel_info *k, const char *arch, const sw_diag *diag,
                         sw_buf *cubin) {
    pthread_once(&once, open_nvrtc);
    if (!have_nvrtc) return no_compiler(gpu, k, diag);
    const char *texts[SW_CUDA_MAX_HEADERS], *names[SW_CUDA_MAX_HEADERS];
    sw_cuda_options options;
    int n = 0;
    for (int i = 0; i < sw_cuda_n_texts; i++) {
        if (!is_header(&sw_cuda_texts[i])) continue;
        if (n == SW_CUDA_MAX_HEADERS)
            return sw_fail(diag, SW_E_INTERNAL, NULL, NULL, "more headers of kernels than %d", n);
        texts[n] = sw_cuda_texts[i].text;
        names[n++] = sw_cuda_texts[i].name;
    }
    if (!sw__cuda_options(arch, k->defines, type_of(gpu), &options))
        return sw_fail(diag, SW_E_INTERNAL, NULL, NULL, "kernel %s has more macros than a compilation takes", k->name);
    sw_nvrtc_program program;
    if (nvrtc.create(&program, text_of(k->file), k->name, n, texts, names) != 0)
        return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "NVRTC does not take kernel %s", k->name);
    sw_status status = SW_OK;
    size_t size = 0;
    if (nvrtc.compile(program, options.n, options.words) != 0 || nvrtc.cubin_size(program, &size) != 0 || size == 0)
        status = compile_failed(gpu, program, k->name, diag);
    uint8_t *room = status == SW_OK ? sw_buf_extend(cubin, size) : NULL;
    if (status == SW_OK && !room) status = SW_E_NOMEM;
    if (status == SW_OK) nvrtc.cubin(program, (char *)room);
    nvrtc.destroy(&program);
    return status;
}

/* ---- The cache ----------------------------------------------------------------------------------------------------- */

/* A file of the cache: this, then the cubin. */
typedef struct cache_head {
    char magic[8];
    uint64_t size, sum;
} cache_head;
static const char MAGIC[8] = "SWCUBIN";

static uint64_t sum_texts(const sw_cuda_kernel_info *k, const char *arch, const char *type) {
    uint64_t sum = sw_hash_text(sw_hash_text(0, arch), type);
    sum = sw_hash_text(sw_hash_text(sum, k->defines), text_of(k->file));
    for (int i = 0; i < sw_cuda_n_texts; i++)
        if (is_header(&sw_cuda_texts[i])) sum = sw_hash_text(sum, sw_cuda_texts[i].text);
    return sum;
}

uint32_t sw_cuda_text_version(void) {
    uint64_t sum = 0;
    for (int i = 0; i < SW_CUDA_KERNELS; i++) {
        uint64_t one = sum_texts(&kernels[i], "", "");
        sum = sw_hash(sum, &one, sizeof one);
    }
    return (uint32_t)(sum ^ sum >> 32);
}

/* The folder of the cache; false when there is none to be had. */
static bool cache_folder(char *path, size_t size) {
    const char *own = getenv("SLIPWAY_CACHE"), *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = own    ? snprintf(path, size, "%s/cuda", own)
            : base ? snprintf(path, size, "%s/slipway/cuda", base)
            : home ? snprintf(path, size, "%s/.cache/slipway/cuda", home)
                   : -1;
    return n > 0 && (size_t)n < size;
}

/* Of a cached file; false when it is not there, or damaged. */
static bool read_cached(const char *path, sw_buf *data) {
    sw_map map;
    cache_head head;
    if (sw_file_size(path) < (int64_t)sizeof head || sw_map_open(path, NULL, &map) != SW_OK) return false;
    bool whole = map.size >= sizeof head; /* still */
    if (whole) memcpy(&head, map.data, sizeof head);
    const uint8_t *body = map.data + sizeof head;
    bool good = whole && !memcmp(head.magic, MAGIC, sizeof MAGIC) && head.size == map.size - sizeof head &&
                head.sum == sw_hash(0, body, head.size);
    if (good) sw_buf_append(data, body, head.size);
    sw_map_close(&map);
    return good && data->status == SW_OK;
}

/* Failing to write costs the next start time, nothing else. */
static void write_cached(const char *folder, const char *path, const sw_buf *cubin, const sw_allocator *allocator) {
    cache_head head = {.size = cubin->size, .sum = sw_hash(0, cubin->data, cubin->size)};
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    sw_buf whole = sw_buf_make(allocator, cubin->size + sizeof head);
    sw_buf_append(&whole, &head, sizeof head);
    sw_buf_append(&whole, cubin->data, cubin->size);
    sw_status status = sw_dir_make(folder, NULL);
    if (status == SW_OK) status = whole.status;
    if (status == SW_OK) status = sw_file_write(path, whole.data, whole.size, NULL);
    (void)status;
    sw_buf_free(&whole);
}

bool sw_cuda_cache_read(const char *name, sw_buf *data) {
    char folder[512], path[640];
    return cache_folder(folder, sizeof folder) &&
           (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path && read_cached(path, data);
}

void sw_cuda_cache_write(const char *name, const sw_buf *data, const sw_allocator *allocator) {
    char folder[512], path[640];
    if (cache_folder(folder, sizeof folder) && (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path)
        write_cached(folder, path, data, allocator);
}

/* Of the plan; false when it holds none of this kernel that may be run. */
static bool read_lent(const sw_cuda *gpu, const sw_cuda_kernel_info *k, uint64_t text, sw_buf *cubin) {
    for (size_t i = 0; i < gpu->n_lent; i++) {
        const sw_cuda_code *code = &gpu->lent[i];
        if (!code->data || code->text != text || strcmp(code->kernel, k->name) != 0) continue;
        sw_buf_append(cubin, code->data, code->bytes);
        return cubin->status == SW_OK;
    }
    return false;
}

sw_status sw_cuda_get_code(sw_cuda *gpu, sw_cuda_kernel kernel, const sw_diag *diag, sw_buf *cubin, uint64_t *text) {
    const sw_cuda_kernel_info *k = &kernels[kernel];
    char arch[40], folder[512], path[640] = "";
    snprintf(arch, sizeof arch, "--gpu-architecture=sm_%d%s", gpu->info.sm, gpu->info.sm == 90 ? "a" : "");
    *text = sum_texts(k, arch, type_of(gpu));
    if (cache_folder(folder, sizeof folder)) {
        snprintf(path, sizeof path, "%s/%s-sm%d-%016" PRIx64, folder, k->name, gpu->info.sm, *text);
        if (read_cached(path, cubin)) return SW_OK;
        sw_buf_clear(cubin);
    }
    if (read_lent(gpu, k, *text, cubin)) return SW_OK;
    SW_TRY(compile(gpu, k, arch, diag, cubin));
    gpu->compiled++;
    if (path[0]) write_cached(folder, path, cubin, gpu->allocator);
    return SW_OK;
}

enum { MAX_CUBIN = 16 << 20, PLAIN_SHARED = 48 * 1024 };

sw_status sw_cuda_load(sw_cuda *gpu, sw_cuda_kernel kernel, int shared_bytes, const sw_diag *diag) {
    const sw_cuda_kernel_info *k = &kernels[kernel];
    if (!gpu->functions[kernel]) {
        sw_buf cubin = sw_buf_make(gpu->allocator, MAX_CUBIN);
        uint64_t text;
        sw_status status = sw_cuda_get_code(gpu, kernel, diag, &cubin, &text);
        if (status == SW_OK) {
            unsigned result = gpu->driver->module_load(&gpu->modules[kernel], cubin.data);
            if (result == SW_CU_NO_BINARY)
                status = sw_fail(diag, SW_E_UNSUPPORTED, NULL, "update the driver",
                                 "GPU %d (%s) does not take code of NVRTC %d.%d; its driver supports CUDA %d.%d",
                                 gpu->index, gpu->info.name, compiler_version / 1000, compiler_version % 1000 / 10,
                                 gpu->info.driver / 1000, gpu->info.driver % 1000 / 10);
            else
                status = sw_cuda_check(gpu, result, "module_load", diag);
        }
        sw_buf_free(&cubin);
        SW_TRY(status);
        SW_CUDA_TRY(gpu, diag, module_function(&gpu->functions[kernel], gpu->modules[kernel], k->entry));
    }
    if (shared_bytes > PLAIN_SHARED && shared_bytes > gpu->shared[kernel]) {
        SW_CUDA_TRY(gpu, diag, function_set(gpu->functions[kernel], SW_CU_SHARED_BYTES, shared_bytes));
        gpu->shared[kernel] = shared_bytes;
    }
    return SW_OK;
}

/* ---- Side by side -------------------------------------------------------------------------------------------------- */

typedef struct loading {
    sw_cuda *gpu;
    int kernels[SW_CUDA_KERNELS];
    const int *shared;
    int64_t deadline;
} loading;

static void load_some(void *ctx, int64_t begin, int64_t end, int thread) {
    const loading *l = ctx;
    (void)thread;
    l->gpu->driver->context_set(l->gpu->context);
    for (int64_t i = begin; i < end && sw_clock_ns() < l->deadline; i++) {
        int kernel = l->kernels[i];
        sw_status status = sw_cuda_load(l->gpu, (sw_cuda_kernel)kernel, l->shared[kernel], NULL);
        (void)status; /* the next one who wants it is told */
    }
}

void sw_cuda_load_all(sw_cuda *gpu, const int shared[SW_CUDA_KERNELS], int64_t deadline) {
    loading l = {.gpu = gpu, .shared = shared, .deadline = deadline};
    int n = 0;
    for (int i = 0; i < SW_CUDA_KERNELS; i++)
        if (shared[i] >= 0 && !gpu->functions[i]) l.kernels[n++] = i;
    sw_pool *pool = sw_pool_create_small(gpu->allocator, n);
    if (n) sw_pool_for(pool, n, 1, load_some, &l);
    sw_pool_destroy(pool);
}
