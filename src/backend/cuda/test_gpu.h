/* For tests of kernels: the GPU that they run on, and data there. */
#ifndef SLIPWAY_CUDA_TEST_GPU_H
#define SLIPWAY_CUDA_TEST_GPU_H

#include <stdlib.h>

#include "backend/cuda/ops.h"
#include "base/half.h"
#include "unit.h"

static bool rough, old; /* halves are bfloat16; the text as SM 7.5 has it */

/* One GPU for all tests, one for those with bfloat16, one of SM 7.5; NULL (and the test is skipped) where there is none. */
static inline sw_cuda *open_gpu(void) {
    static sw_cuda *gpus[3];
    sw_cuda **gpu = &gpus[rough ? 1 : old ? 2 : 0];
    if (*gpu) return *gpu;
    sw_test_emulate_gpu();
    if (sw_cuda_open(0, NULL, &sw_test_diag, gpu) != SW_OK) sw_test_skip(sw_test_message());
    if (*gpu) (*gpu)->bf16 = rough;
    if (*gpu && old) (*gpu)->info.sm = 75;
    return *gpu;
}

/* The text as SM 7.5 has it: products of depth 8, no asynchronous copies. In the emulator only. */
static inline void check_sm_75(void (*check)(sw_cuda *gpu)) {
    if (getenv("SLIPWAY_TEST_GPU")) {
        sw_test_skip("in the emulator only");
        return;
    }
    old = true;
    sw_cuda *gpu = open_gpu();
    if (gpu) check(gpu);
    old = false;
}

static inline uint16_t half(float v) {
    return rough ? sw_f32_to_bf16(v) : sw_f32_to_f16(v);
}
static inline float number(uint16_t half) {
    return rough ? sw_bf16_to_f32(half) : sw_f16_to_f32(half);
}

static inline void *upload(sw_cuda *gpu, const void *data, size_t bytes) {
    sw_cu_pointer at = 0;
    CHECK_INT(sw_cuda_alloc(gpu, bytes, &sw_test_diag, &at), SW_OK);
    CHECK_INT(gpu->driver->copy_in(at, data, bytes, gpu->stream), 0);
    return (void *)(uintptr_t)at;
}

static inline void launch(sw_cuda *gpu, const sw_cuda_launch *l) {
    sw_cu_launch launch = {.grid_x = (unsigned)l->grid_x,
                           .grid_y = (unsigned)l->grid_y,
                           .grid_z = 1,
                           .block_y = 1,
                           .block_z = 1,
                           .block_x = (unsigned)sw_cuda_kernel_get(l->kernel)->threads,
                           .shared_bytes = (unsigned)l->shared_bytes,
                           .stream = gpu->stream};
    void *arguments[] = {(void *)&l->args};
    CHECK_INT(sw_cuda_load(gpu, l->kernel, l->shared_bytes, &sw_test_diag), SW_OK);
    CHECK_INT(gpu->driver->launch(&launch, gpu->functions[l->kernel], arguments, NULL), 0);
}

static inline uint16_t *random_halves(size_t n, uint64_t *state) {
    uint16_t *data = sw_calloc(NULL, n, sizeof *data);
    for (size_t i = 0; i < n; i++) data[i] = half(sw_test_uniform(state, -2, 2));
    return data;
}

/* Runs, and copies `bytes` from `out` back. */
static inline void run_and_fetch(sw_cuda *gpu, const sw_cuda_launch *l, void *to, const void *out, size_t bytes) {
    launch(gpu, l);
    CHECK_INT(gpu->driver->copy_out(to, (sw_cu_pointer)(uintptr_t)out, bytes, gpu->stream), 0);
    CHECK_INT(gpu->driver->stream_wait(gpu->stream), 0);
}

#endif
