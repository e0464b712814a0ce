/* The machine of the GPU kernel text, emulated in C: a thread is a fiber, collective operations wait for all of their lanes
 * and compute with the layouts of the PTX manual. Every access to shared and global memory is checked for bounds, shared
 * memory for races between barriers, asynchronous copies for use before they are waited for. A breach ends the process with a
 * message. One block runs at a time, of one thread of the host. */
#ifndef SLIPWAY_TESTS_CUDA_EMU_H
#define SLIPWAY_TESTS_CUDA_EMU_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/half.h"

typedef struct vec4 {
    unsigned x, y, z, w;
} __attribute__((aligned(16))) vec4;

typedef struct emu_kernel {
    const char *id;
    void (*run)(const void *arguments);
    int threads;
    size_t arguments;
    int allowed; /* bytes of dynamic shared memory, when more than usual */
} emu_kernel;

/* All kernels, also with bfloat16 ("NAME_BF16") and as SM 7.5 has them ("NAME_SM75"); NULL when there is none of that name. */
emu_kernel *emu_find(const char *id);
void emu_launch(const emu_kernel *kernel, int grid_x, int grid_y, unsigned shared_bytes, const void *arguments);

/* The machine is one thread's at a time; may be locked again by who has it. */
void emu_lock(void);
void emu_unlock(void);

/* Global memory that kernels may touch. */
void emu_allow(const void *from, size_t bytes);
void emu_forbid(const void *from);

/* For libraries: calls `run` with a copy of the arguments now, or when the graph is launched that is being captured. */
struct CUstream_st;
unsigned emu_submit(void (*run)(const void *arguments), const void *arguments, size_t size, struct CUstream_st *stream);
bool emu_goes_wrong(const char *how); /* EMU_CUDA holds this word */

/* -- For the kernel text ----------------------------------------------------------------------------------------- */

int emu_thread(void);
int emu_block(void);
int emu_block_row(void);
void emu_check_global(const void *p, size_t bytes);
void emu_shared_read(unsigned at, void *to, unsigned bytes);
void emu_shared_write(unsigned at, const void *from, unsigned bytes);
void emu_barrier(void);
void emu_barrier_of(int name, int threads);
void emu_copy16(unsigned at, const void *p, bool good);
void emu_copy_commit(void);
void emu_copy_wait(int pending);
float emu_shuffle_xor(float v, int mask);
void emu_load_matrix(unsigned *r, unsigned at, int count, bool across);
void emu_store_matrix(const unsigned *r, unsigned at, int count);
/* mma.sync of depth 16 or 8; rough: halves are bfloat16; of warp groups, EMU_WORDS: no halves, but TF32. */
enum { EMU_WORDS = 2 };
void emu_multiply(float *c, const unsigned *a, const unsigned *b, int depth, int rough);
/* Of float32, 8 deep, whose factors are cut off behind so many bits; tf32: are rounded to 10. */
void emu_multiply_floats(float *c, const unsigned *a, const unsigned *b, int bits);
void emu_multiply_tf32(float *c, const unsigned *a, const unsigned *b);
void emu_warpgroup_multiply(float *c, unsigned long long a, unsigned long long b, int columns, int rough);
void emu_warpgroup_multiply_registers(float *c, const unsigned *a, unsigned long long b, int columns, int rough);

#ifdef SW_EMULATE
#define DEV static inline __attribute__((unused))
#define UNROLL
#define ROLLED
#ifndef SM
#define SM 900
#endif
#define ARGS             a_
#define EMU_PASTE_(a, b) a##b
#define EMU_PASTE(a, b)  EMU_PASTE_(a, b)
#define EMU_TEXT_(a)     #a
#define EMU_TEXT(a)      EMU_TEXT_(a)
#define KERNEL(name, args)                                                                                             \
    static void emu_body(const args *a_);                                                                              \
    static void emu_run(const void *arguments) {                                                                       \
        emu_body(arguments);                                                                                           \
    }                                                                                                                  \
    extern emu_kernel EMU_PASTE(emu_kernel_, KERNEL_ID);                                                               \
    emu_kernel EMU_PASTE(emu_kernel_, KERNEL_ID) = {EMU_TEXT(KERNEL_ID), emu_run, THREADS, sizeof(args)};        \
    static void emu_body(const args *a_)

DEV int thread_id(void) {
    return emu_thread();
}
DEV int block_id(void) {
    return emu_block();
}
DEV int block_row(void) {
    return emu_block_row();
}
DEV unsigned mul_high(unsigned a, unsigned b) {
    return (unsigned)((unsigned long long)a * b >> 32);
}
DEV float as_float(unsigned v) {
    return sw__bits_to_f32(v);
}
DEV unsigned as_bits(float v) {
    return sw__f32_to_bits(v);
}
DEV float exp2_fast(float x) {
    return exp2f(x);
}
/* Off by as much as the instruction may be. */
DEV float tanh_fast(float x) {
    return tanhf(x) * (as_bits(x) & 1 ? 1 + 0x1p-11f : 1 - 0x1p-11f);
}
DEV float reciprocal(float x) {
    return 1 / x;
}
#ifdef BF16
enum { EMU_ROUGH = 1 };
DEV unsigned pack(float low, float high) {
    return sw_f32_to_bf16(low) | (unsigned)sw_f32_to_bf16(high) << 16;
}
DEV float unpack_low(unsigned v);
DEV float unpack_high(unsigned v);
#else
#ifdef TF32
enum { EMU_ROUGH = EMU_WORDS };
#else
enum { EMU_ROUGH = 0 };
#endif
DEV float unpack_low(unsigned v) {
    return sw_f16_to_f32((unsigned short)v);
}
DEV float unpack_high(unsigned v) {
    return sw_f16_to_f32((unsigned short)(v >> 16));
}
DEV unsigned pack(float low, float high) {
    return sw_f32_to_f16(low) | (unsigned)sw_f32_to_f16(high) << 16;
}
#endif
DEV float from_f16(unsigned v) {
    return sw_f16_to_f32((unsigned short)v);
}
DEV unsigned to_f16(float v) {
    return sw_f32_to_f16(v);
}
#if SM >= 800
DEV unsigned maximum2(unsigned a, unsigned b) {
    return pack(fmaxf(unpack_low(a), unpack_low(b)), fmaxf(unpack_high(a), unpack_high(b)));
}
#endif
DEV unsigned fresh(unsigned v) {
    return v;
}
DEV unsigned uniform(unsigned v) {
    return v;
}
DEV unsigned shared_base(void) {
    return 0;
}

#define EMU_LOAD(name, type)                                                                                           \
    DEV type name(const void *p) {                                                                                     \
        type v;                                                                                                        \
        emu_check_global(p, sizeof v);                                                                                 \
        memcpy(&v, p, sizeof v);                                                                                       \
        return v;                                                                                                      \
    }
EMU_LOAD(load16, vec4)
EMU_LOAD(load16_const, vec4)
EMU_LOAD(load4, unsigned)
EMU_LOAD(load_float, float)
EMU_LOAD(load_float_const, float)
EMU_LOAD(load_half, unsigned short)
EMU_LOAD(load_byte, unsigned char)
EMU_LOAD(load_long, long long)
#define EMU_STORE(name, type)                                                                                          \
    DEV void name(void *p, type v) {                                                                                   \
        emu_check_global(p, sizeof v);                                                                                 \
        memcpy(p, &v, sizeof v);                                                                                       \
    }
EMU_STORE(store16, vec4)
EMU_STORE(store4, unsigned)
EMU_STORE(store_float, float)
EMU_STORE(store_long, long long)
EMU_STORE(emu_store1, unsigned char)
EMU_STORE(emu_store2, unsigned short)
EMU_STORE(emu_store8, unsigned long long)
DEV void store_byte(void *p, unsigned v) {
    emu_store1(p, (unsigned char)v);
}
DEV void store_half(void *p, unsigned v) {
    emu_store2(p, (unsigned short)v);
}
DEV void store8(void *p, unsigned x, unsigned y) {
    emu_store8(p, x | (unsigned long long)y << 32);
}

DEV unsigned atomic_add(unsigned *p, unsigned v) {
    unsigned before = load4(p);
    store4(p, before + v);
    return before;
}
DEV float product(float a, float b) {
    return a * b;
}

DEV vec4 shared_load16(unsigned s) {
    vec4 v;
    emu_shared_read(s, &v, 16);
    return v;
}
DEV unsigned shared_load4(unsigned s) {
    unsigned v;
    emu_shared_read(s, &v, 4);
    return v;
}
DEV void shared_load8(unsigned s, unsigned *v) {
    emu_shared_read(s, v, 8);
}
DEV void shared_store8(unsigned s, unsigned x, unsigned y) {
    unsigned v[2] = {x, y};
    emu_shared_write(s, v, 8);
}
DEV void shared_store16(unsigned s, vec4 v) {
    emu_shared_write(s, &v, 16);
}
DEV void shared_store4(unsigned s, unsigned v) {
    emu_shared_write(s, &v, 4);
}
DEV void barrier(void) {
    emu_barrier();
}
DEV void barrier_of(int name, int threads) {
    emu_barrier_of(name, threads);
}
DEV float shuffle_xor(float v, int mask) {
    return emu_shuffle_xor(v, mask);
}
#if SM >= 800
DEV void copy16(unsigned s, const void *p, bool good) {
    emu_copy16(s, p, good);
}
DEV void copy_commit(void) {
    emu_copy_commit();
}
#define copy_wait(pending) emu_copy_wait(pending)
#endif
DEV void wait_for_predecessor(void) {}
DEV void load_matrix4(unsigned *r, unsigned s) {
    emu_load_matrix(r, s, 4, false);
}
DEV void load_matrix4_across(unsigned *r, unsigned s) {
    emu_load_matrix(r, s, 4, true);
}
DEV void load_matrix2(unsigned *r, unsigned s) {
    emu_load_matrix(r, s, 2, false);
}
DEV void store_matrix4(unsigned s, const unsigned *r) {
    emu_store_matrix(r, s, 4);
}
#ifdef FLOATS
DEV void multiply(float *c, const unsigned *a, const unsigned *b) {
#ifdef TF32
    emu_multiply_floats(c, a, b, 10);
#else
    emu_multiply_floats(c, a, b, 23);
#endif
}
#elif SM >= 800
DEV void multiply(float *c, const unsigned *a, const unsigned *b) {
    emu_multiply(c, a, b, 16, EMU_ROUGH);
}
#else
DEV void multiply_8(float *c, const unsigned *a, unsigned b) {
    emu_multiply(c, a, &b, 8, EMU_ROUGH);
}
#endif
#ifdef TF32
DEV unsigned round_tf32(unsigned v) {
    return (v + 0x1000u) & ~0x1fffu; /* halves away from zero; what overflows is an infinity */
}
DEV void multiply_tf32(float *c, const unsigned *a, const unsigned *b) {
    emu_multiply_tf32(c, a, b);
}
#endif
#ifdef WGMMA
DEV void warpgroup_fence(void) {}
DEV void warpgroup_commit(void) {}
#define warpgroup_wait(pending)
DEV void async_proxy_fence(void) {}
DEV void warpgroup_multiply(float *c, unsigned long long a, unsigned long long b) {
    emu_warpgroup_multiply(c, a, b, BN, EMU_ROUGH);
}
DEV void warpgroup_multiply_registers(float *c, const unsigned *a, unsigned long long b) {
    emu_warpgroup_multiply_registers(c, a, b, BN, EMU_ROUGH);
}
#endif
#endif

#endif
