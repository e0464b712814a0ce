/* NVIDIA GPUs: what is there, contexts, memory, and the compiled kernels.
 *
 * The driver is opened at the first call and stays open (libcuda.so.1, or what SLIPWAY_CUDA_DRIVER names); NVRTC when the
 * first kernel must be compiled (libnvrtc, or SLIPWAY_NVRTC). Compiled kernels are kept in SLIPWAY_CACHE, else in the user's
 * cache folder. A GPU object belongs to one thread at a time. */
#ifndef SLIPWAY_BACKEND_CUDA_CUDA_H
#define SLIPWAY_BACKEND_CUDA_CUDA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/cuda/driver.h"
#include "base/buf.h"

/* What maps on it hold: halves, or float32, whose products may round their factors to TF32. */
typedef enum sw_cuda_cell { SW_CUDA_F16, SW_CUDA_BF16, SW_CUDA_FLOAT, SW_CUDA_TF32 } sw_cuda_cell;
static inline bool sw_cuda_is_float(sw_cuda_cell cell) {
    return cell >= SW_CUDA_FLOAT;
}
static inline int sw_cuda_cell_bytes(sw_cuda_cell cell) {
    return sw_cuda_is_float(cell) ? 4 : 2;
}

typedef struct sw_cuda_info {
    char name[96];
    int sm; /* 90 for 9.0 */
    int multiprocessors;
    int64_t memory, l2; /* bytes */
    int driver;         /* 13000 for CUDA 13.0 */
    sw_cuda_cell cell;  /* of an opened one; to be set before kernels are loaded, BF16 and TF32 from SM 8.0 on */
} sw_cuda_info;

/* Number of GPUs. SW_E_UNSUPPORTED with a sentence when there is no usable driver or no GPU. Any thread. */
SW_MUST_USE sw_status sw_cuda_count(const sw_diag *diag, int *n);
SW_MUST_USE sw_status sw_cuda_describe(int index, const sw_diag *diag, sw_cuda_info *info);

typedef enum sw_cuda_kernel {
#define SW_CUDA_TILE(id, ...)   SW_CUDA_##id,
#define SW_CUDA_HELD(id, ...)   SW_CUDA_##id,
#define SW_CUDA_PATCH(id, ...)  SW_CUDA_##id,
#define SW_CUDA_PAIR(id, ...)   SW_CUDA_##id,
#define SW_CUDA_POINT(id, ...)  SW_CUDA_##id,
#define SW_CUDA_KERNEL(id, ...) SW_CUDA_##id,
#include "backend/cuda/kernels.inc"
#undef SW_CUDA_TILE
#undef SW_CUDA_HELD
#undef SW_CUDA_PATCH
#undef SW_CUDA_PAIR
#undef SW_CUDA_POINT
#undef SW_CUDA_KERNEL
    SW_CUDA_KERNELS
} sw_cuda_kernel;

typedef struct sw_cuda_kernel_info {
    const char *name, *file, *entry, *defines;
    int threads;
    int bm, bn, bk, wm, wn, wk, stages; /* of tiles; bm 0 for others */
    bool wgmma, rows;                   /* rows: of a product of rows */
    int patch, stride; /* of those that hold patches: the size of the kernel (else 0), and its stride */
    int held;          /* of those that hold all of a tile's depth: the size of the kernel, else 0 */
    bool pairs;
    int teams, buffers; /* warp groups (or pairs of them) that have tiles of their own; patches of each */
    int blocks;         /* of pairs of convolutions: how many an SM holds */
    int depthwise, points_m,
        points_n; /* of depthwise and 1 x 1: the size of the kernel, pixels and channels of a block */
    int in_chunks, middle_chunks, wn1, mt1, wn2, mt2; /* of pairs of convolutions, as pair.cu has them; else 0 */
} sw_cuda_kernel_info;
const sw_cuda_kernel_info *sw_cuda_kernel_get(sw_cuda_kernel kernel);

/* Compiled code of a kernel that came with a plan. */
typedef struct sw_cuda_code {
    const char *kernel;
    uint64_t text;    /* what it was compiled from, and for what SM: another text is another kernel */
    const void *data; /* NULL: it is there, but nobody said that it may be trusted */
    size_t bytes;
} sw_cuda_code;

enum { SW_CUDA_HANDLES = 8 }; /* of cuDNN: one for each thread that makes its plans */

/* An opened GPU. `driver` is its table of functions; `stream` belongs to it. */
typedef struct sw_cuda {
    const sw_cu_driver *driver;
    sw_cuda_info info;
    int index, device;
    const sw_allocator *allocator;
    sw_cu_context context;
    sw_cu_stream stream;
    sw_cu_module modules[SW_CUDA_KERNELS];
    sw_cu_function functions[SW_CUDA_KERNELS];
    int shared[SW_CUDA_KERNELS]; /* dynamic shared memory that each may use */
    atomic_int compiled;         /* kernels that the cache did not have */
    const sw_cuda_code *lent;    /* of a plan, used for what the cache does not have; the plan's */
    size_t n_lent;
    /* Of libraries (library.h): NULL until one of their tactics is made. The first one runs what all of them have made. */
    struct cudnnContext *cudnn[SW_CUDA_HANDLES];
    void *blas;
    int64_t context_ns; /* that opening took: the driver's context above all */
} sw_cuda;

/* SW_E_UNSUPPORTED with a sentence: no such GPU, or older than SM 7.5. */
SW_MUST_USE sw_status sw_cuda_open(int index, const sw_allocator *allocator, const sw_diag *diag, sw_cuda **gpu);
void sw_cuda_close(sw_cuda *gpu); /* takes NULL */
/* Makes the GPU the calling thread's. */
SW_MUST_USE sw_status sw_cuda_enter(sw_cuda *gpu, const sw_diag *diag);

/* SW_OK for result 0, else a sentence: "GPU 0 (name): what failed: why". */
SW_MUST_USE sw_status sw_cuda_check(const sw_cuda *gpu, unsigned result, const char *what, const sw_diag *diag);
#define SW_CUDA_TRY(gpu, diag, call) SW_TRY(sw_cuda_check(gpu, (gpu)->driver->call, #call, diag))

/* Memory of the GPU; SW_E_NOMEM tells how much is free. */
SW_MUST_USE sw_status sw_cuda_alloc(sw_cuda *gpu, size_t bytes, const sw_diag *diag, sw_cu_pointer *at);
void sw_cuda_free(sw_cuda *gpu, sw_cu_pointer at); /* takes 0 */

/* Compiles the kernel, or finds it in the cache or in a plan, and loads it, once. `shared_bytes`: dynamic shared memory
 * that it may use. */
SW_MUST_USE sw_status sw_cuda_load(sw_cuda *gpu, sw_cuda_kernel kernel, int shared_bytes, const sw_diag *diag);

/* The same of many kernels, on all CPUs side by side: those whose `shared` is not below 0. Ends at a time of sw_clock_ns; what
 * fails, or is not reached, is left to sw_cuda_load. */
void sw_cuda_load_all(sw_cuda *gpu, const int shared[SW_CUDA_KERNELS], int64_t deadline);

/* What NVRTC is told: words that lie in `text`, or are the caller's. */
enum { SW_CUDA_MOST_OPTIONS = 24, SW_CUDA_MOST_DEFINES = 256 };
typedef struct sw_cuda_options {
    char text[SW_CUDA_MOST_DEFINES];
    const char *words[SW_CUDA_MOST_OPTIONS];
    int n;
} sw_cuda_options;
/* For an architecture, defines that are separated by spaces, and more of them; false: they are too many, or too long. */
bool sw__cuda_options(const char *arch, const char *defines, const char *more, sw_cuda_options *options);

/* The code of a kernel for plans: appended to `code`; `text` as in sw_cuda_code. */
SW_MUST_USE sw_status sw_cuda_get_code(sw_cuda *gpu, sw_cuda_kernel kernel, const sw_diag *diag, sw_buf *code,
                                       uint64_t *text);

/* What a library compiled, kept beside kernels: false when it is not there or damaged; failing to write only costs time. */
bool sw_cuda_cache_read(const char *name, sw_buf *data);
void sw_cuda_cache_write(const char *name, const sw_buf *data, const sw_allocator *allocator);

uint32_t sw_cuda_text_version(void); /* of the kernel text and the list of kernels: times of another one say nothing */

/* The kernel text by name (generated from kernels/); n of them. */
typedef struct sw_cuda_text {
    const char *name, *text;
} sw_cuda_text;
extern const sw_cuda_text sw_cuda_texts[];
extern const int sw_cuda_n_texts;
enum { SW_CUDA_MAX_HEADERS = 16 }; /* texts that do not end in .cu: NVRTC is handed all of them */

/* A device by name: "cpu", "cuda", "cuda:N", "auto". SW_E_USAGE for others. */
typedef enum sw_device_kind { SW_DEVICE_CPU, SW_DEVICE_CUDA, SW_DEVICE_AUTO } sw_device_kind;
typedef struct sw_device {
    sw_device_kind kind;
    int index;
} sw_device;
SW_MUST_USE sw_status sw_device_parse(const char *name, const sw_diag *diag, sw_device *device); /* NULL: CPU */

#endif
