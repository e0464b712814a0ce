#include "backend/cuda/cuda.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/library.h"
#include "base/os.h"

enum { OLDEST_SM = 75 };

/* ---- The driver ---------------------------------------------------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sw_cu_driver driver;
static int driver_version, n_devices;
static char trouble[256], advice[128]; /* why there is no GPU to use; "" when there is */

typedef unsigned (*find_fn)(const char *symbol, void **function, int version, unsigned long long flags, void *status);

static const char *find_functions(sw_library *library) {
    union {
        void *object;
        find_fn find;
    } get = {sw_library_symbol(library, "cuGetProcAddress_v2")};
    if (!get.object) return "cuGetProcAddress";
#define FIND(field, name, wanted, arguments)                                                                           \
    FIND_IF_THERE(field, name, wanted, arguments)                                                                      \
    if (!driver.field) return #name;
#define FIND_IF_THERE(field, name, wanted, arguments)                                                                  \
    {                                                                                                                  \
        union {                                                                                                        \
            void *object;                                                                                              \
            unsigned(*function) arguments;                                                                             \
        } found = {NULL};                                                                                              \
        char symbol[] = #name;                                                                                         \
        char *suffix = strstr(symbol, "_v2");                                                                          \
        if (suffix) *suffix = 0;                                                                                       \
        if (get.find(symbol, &found.object, wanted, 0, NULL) == 0) driver.field = found.function;                      \
    }
    SW_CU_LIST(FIND)
    SW_CU_NEWER_LIST(FIND_IF_THERE)
#undef FIND
#undef FIND_IF_THERE
    return NULL;
}

static void blame(const char *hint, const char *fmt, ...) SW_PRINTF(2, 3);
static void blame(const char *hint, const char *fmt, ...) {
    va_list list;
    va_start(list, fmt);
    vsnprintf(trouble, sizeof trouble, fmt, list);
    va_end(list);
    snprintf(advice, sizeof advice, "%s", hint);
}

static void open_driver(void) {
    const char *path = getenv("SLIPWAY_CUDA_DRIVER"), *missing;
    if (!path) path = "libcuda.so.1";
    sw_library *library = sw_library_open(path);
    if (!library) {
        blame("install NVIDIA's driver, or use --device cpu", "there is no NVIDIA driver (%s cannot be opened)", path);
    } else if ((missing = find_functions(library))) {
        blame("update the driver", "the NVIDIA driver is too old: it has no %s, CUDA 12.0 is needed", missing);
    } else {
        unsigned result = driver.init(0);
        if (result == 0) result = driver.driver_version(&driver_version);
        if (result == 0) result = driver.device_count(&n_devices);
        const char *text = NULL;
        if (result == SW_CU_NO_DEVICE || (result == 0 && n_devices == 0))
            blame("use --device cpu", "the NVIDIA driver finds no GPU");
        else if (result != 0)
            blame("see nvidia-smi", "the NVIDIA driver does not start: %s",
                  driver.error_string(result, &text) == 0 && text ? text : "unknown error");
        else if (driver_version < SW_CU_OLDEST)
            blame("update the driver", "the NVIDIA driver is too old: it supports CUDA %d.%d, 12.0 is needed",
                  driver_version / 1000, driver_version % 1000 / 10);
    }
}

sw_status sw_cuda_count(const sw_diag *diag, int *n) {
    pthread_once(&once, open_driver);
    *n = 0;
    if (trouble[0]) return sw_fail(diag, SW_E_UNSUPPORTED, NULL, advice, "%s", trouble);
    *n = n_devices;
    return SW_OK;
}

static unsigned describe(int index, int *device, sw_cuda_info *info) {
    int major = 0, minor = 0, l2 = 0;
    size_t memory = 0;
    *info = (sw_cuda_info){.driver = driver_version};
    unsigned bad = driver.device_get(device, index);
    if (!bad) bad = driver.device_name(info->name, sizeof info->name, *device);
    if (!bad) bad = driver.device_memory(&memory, *device);
    if (!bad) bad = driver.device_attribute(&major, SW_CU_SM_MAJOR, *device);
    if (!bad) bad = driver.device_attribute(&minor, SW_CU_SM_MINOR, *device);
    if (!bad) bad = driver.device_attribute(&l2, SW_CU_L2_BYTES, *device);
    if (!bad) bad = driver.device_attribute(&info->multiprocessors, SW_CU_MULTIPROCESSORS, *device);
    info->sm = major * 10 + minor;
    info->memory = (int64_t)memory;
    info->l2 = l2;
    return bad;
}

static sw_status find_device(int index, const sw_diag *diag, int *device, sw_cuda_info *info) {
    int n;
    SW_TRY(sw_cuda_count(diag, &n));
    if (index < 0 || index >= n)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "'slipway devices' lists them",
                       "there is no GPU %d: this machine has %d", index, n);
    unsigned bad = describe(index, device, info);
    return bad ? sw_fail(diag, SW_E_UNSUPPORTED, NULL, "see nvidia-smi", "GPU %d does not answer (error %u)", index,
                         bad)
               : SW_OK;
}

sw_status sw_cuda_describe(int index, const sw_diag *diag, sw_cuda_info *info) {
    int device;
    return find_device(index, diag, &device, info);
}

/* ---- A GPU --------------------------------------------------------------------------------------------------------- */

sw_status sw_cuda_check(const sw_cuda *gpu, unsigned result, const char *what, const sw_diag *diag) {
    if (result == 0) return SW_OK;
    const char *text = NULL;
    if (gpu->driver->error_string(result, &text) != 0 || !text) text = "unknown error";
    if (result == SW_CU_NO_MEMORY)
        return sw_fail(diag, SW_E_NOMEM, NULL, "close other programs that use it, or take a smaller batch",
                       "GPU %d (%s) is out of memory", gpu->index, gpu->info.name);
    int length = (int)strcspn(what, "(");
    return sw_fail(diag, SW_E_INTERNAL, NULL, NULL, "GPU %d (%s): %.*s failed: %s", gpu->index, gpu->info.name, length,
                   what, text);
}

sw_status sw_cuda_open(int index, const sw_allocator *allocator, const sw_diag *diag, sw_cuda **result) {
    sw_cuda found = {.driver = &driver, .index = index, .allocator = allocator};
    int64_t begin = sw_clock_ns();
    SW_TRY(find_device(index, diag, &found.device, &found.info));
    if (found.info.sm < OLDEST_SM)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "use --device cpu",
                       "GPU %d (%s) is too old: it has SM %d.%d, 7.5 is needed", index, found.info.name,
                       found.info.sm / 10, found.info.sm % 10);
    SW_CUDA_TRY(&found, diag, context_retain(&found.context, found.device));
    sw_cuda *gpu = sw_alloc(allocator, sizeof *gpu);
    if (!gpu) {
        driver.context_release(found.device);
        return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    }
    *gpu = found;
    sw_status status = sw_cuda_enter(gpu, diag);
    if (status == SW_OK)
        status = sw_cuda_check(gpu, driver.stream_create(&gpu->stream, SW_CU_NON_BLOCKING), "stream_create", diag);
    gpu->context_ns = sw_clock_ns() - begin;
    if (status == SW_OK)
        *result = gpu;
    else
        sw_cuda_close(gpu);
    return status;
}

void sw_cuda_close(sw_cuda *gpu) {
    if (!gpu) return;
    driver.context_set(gpu->context);
    sw_cuda_libraries_close(gpu);
    for (int i = 0; i < SW_CUDA_KERNELS; i++)
        if (gpu->modules[i]) driver.module_unload(gpu->modules[i]);
    if (gpu->stream) driver.stream_destroy(gpu->stream);
    driver.context_release(gpu->device);
    sw_free(gpu->allocator, gpu);
}

sw_status sw_cuda_enter(sw_cuda *gpu, const sw_diag *diag) {
    SW_CUDA_TRY(gpu, diag, context_set(gpu->context));
    return SW_OK;
}

sw_status sw_cuda_alloc(sw_cuda *gpu, size_t bytes, const sw_diag *diag, sw_cu_pointer *at) {
    *at = 0;
    unsigned result = driver.memory_alloc(at, bytes ? bytes : 1);
    if (result != SW_CU_NO_MEMORY) return sw_cuda_check(gpu, result, "memory_alloc", diag);
    size_t free_bytes = 0, total = 0;
    driver.memory_info(&free_bytes, &total);
    return sw_fail(diag, SW_E_NOMEM, NULL, "close other programs that use it, or take a smaller batch",
                   "GPU %d (%s) is out of memory: %.1f MiB are needed, %.1f of %.1f MiB are free", gpu->index,
                   gpu->info.name, (double)bytes / 0x1p20, (double)free_bytes / 0x1p20, (double)total / 0x1p20);
}

void sw_cuda_free(sw_cuda *gpu, sw_cu_pointer at) {
    if (at) gpu->driver->memory_free(at);
}

/* ---- Names --------------------------------------------------------------------------------------------------------- */

sw_status sw_device_parse(const char *name, const sw_diag *diag, sw_device *device) {
    *device = (sw_device){SW_DEVICE_CPU, 0};
    if (!name || !strcmp(name, "cpu")) return SW_OK;
    device->kind = !strcmp(name, "auto") ? SW_DEVICE_AUTO : SW_DEVICE_CUDA;
    if (!strcmp(name, "auto") || !strcmp(name, "cuda")) return SW_OK;
    char *end = NULL;
    long index = strncmp(name, "cuda:", 5) ? -1 : strtol(name + 5, &end, 10);
    if (!end || end == name + 5 || *end || name[5] < '0' || name[5] > '9' || index > 1023)
        return sw_fail(diag, SW_E_USAGE, NULL, "devices are cpu, cuda, cuda:0, cuda:1 ..., auto",
                       "there is no device '%.64s'", name);
    device->index = (int)index;
    return SW_OK;
}
