/* For tests of kernels: the GPU that they run on, and data there. */
#ifndef SLIPWAY_CUDA_TEST_GPU_H
#define SLIPWAY_CUDA_TEST_GPU_H

#include <stdlib.h>

#include "backend/cuda/ops.h"
#include "base/half.h"
#include "unit.h"

static sw_cuda_cell cell; /* of what maps hold */
static bool old;          /* the text as SM 7.5 has it */

/* One GPU for the tests of each type of cells and text; NULL (and the test is skipped) where there is none. */
static inline sw_cuda *open_gpu(void) {
    static sw_cuda *gpus[2][SW_CUDA_TF32 + 1];
    sw_cuda **gpu = &gpus[old][cell];
    if (*gpu) return *gpu;
    sw_test_emulate_gpu();
    if (sw_cuda_open(0, NULL, &sw_test_diag, gpu) != SW_OK) sw_test_skip(sw_test_message());
    if (*gpu) (*gpu)->info.cell = cell;
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
    return cell == SW_CUDA_BF16 ? sw_f32_to_bf16(v) : sw_f32_to_f16(v);
}
static inline float number(uint16_t half) {
    return cell == SW_CUDA_BF16 ? sw_bf16_to_f32(half) : sw_f16_to_f32(half);
}

/* Arrays of what maps hold. */
static inline size_t cell_bytes(void) {
    return (size_t)sw_cuda_cell_bytes(cell);
}
static inline void *new_cells(int64_t n) {
    return sw_calloc(NULL, (size_t)n + 1, cell_bytes());
}
static inline float get(const void *cells, int64_t i) {
    return sw_cuda_is_float(cell) ? ((const float *)cells)[i] : number(((const uint16_t *)cells)[i]);
}
static inline void put(void *cells, int64_t i, float v) {
    if (cell == SW_CUDA_TF32) v = sw__bits_to_f32((sw__f32_to_bits(v) + 0x1000) & ~0x1fffu);
    if (sw_cuda_is_float(cell))
        ((float *)cells)[i] = v;
    else
        ((uint16_t *)cells)[i] = half(v);
}
static inline float rounded(float v) { /* as a map holds it */
    float held[1];
    put(held, 0, v);
    return get(held, 0);
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

static inline void *random_cells(int64_t n, uint64_t *state) {
    void *cells = new_cells(n);
    for (int64_t i = 0; i < n; i++) put(cells, i, sw_test_uniform(state, -2, 2));
    return cells;
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
