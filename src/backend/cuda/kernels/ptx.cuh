// What the kernel text needs of the machine, wrapped: inline PTX here, or C functions of an emulator (SW_EMULATE). The text
// itself is in the common part of C and CUDA, includes nothing, and gets its shapes as macros.
//
// Shared memory is addressed by u32; halves lie in u32 pairs, the lower channel in the lower half.
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short f16;

#ifndef SW_EMULATE
typedef struct __align__(16) {
    u32 x, y, z, w;
}
vec4;
#define DEV                static __device__ __forceinline__
#define UNROLL             _Pragma("unroll")
#define ROLLED             _Pragma("unroll 1")
#if defined(BLOCKS_OF_SM_90) && __CUDA_ARCH__ == 900 // chosen there; other SMs would spill
#define BLOCKS_OF_SM BLOCKS_OF_SM_90
#endif
#ifndef BLOCKS_OF_SM // that an SM must hold at a time
#define BLOCKS_OF_SM 1
#endif
#define KERNEL(name, args)                                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_OF_SM) name(const __grid_constant__ args a_)
#define ARGS               (&a_)
#define SM                 __CUDA_ARCH__
#ifdef BF16
#define HALF "bf16"
#else
#define HALF "f16"
#endif

extern __shared__ __align__(1024) unsigned char sw_shared[];

DEV int thread_id(void) {
    return threadIdx.x;
}
DEV int block_id(void) {
    return blockIdx.x;
}
DEV int block_row(void) {
    return blockIdx.y;
}
DEV u32 mul_high(u32 a, u32 b) {
    return __umulhi(a, b);
}
DEV float as_float(u32 v) {
    return __uint_as_float(v);
}
DEV u32 as_bits(float v) {
    return __float_as_uint(v);
}
DEV float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DEV float tanh_fast(float x) {
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DEV float reciprocal(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#ifndef BF16
DEV float unpack_low(u32 v) {
    float f;
    asm("{.reg .f16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, l;}" : "=f"(f) : "r"(v));
    return f;
}
DEV float unpack_high(u32 v) {
    float f;
    asm("{.reg .f16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, h;}" : "=f"(f) : "r"(v));
    return f;
}
#endif
DEV u32 pack(float low, float high) {
    u32 v;
#if SM >= 800
    asm("cvt.rn." HALF "x2.f32 %0, %1, %2;" : "=r"(v) : "f"(high), "f"(low));
#else
    asm("{.reg .f16 l, h; cvt.rn.f16.f32 l, %1; cvt.rn.f16.f32 h, %2; mov.b32 %0, {l, h};}"
        : "=r"(v)
        : "f"(low), "f"(high));
#endif
    return v;
}
// Of rows: float16 whatever the type of maps is.
DEV float from_f16(u32 v) {
    float f;
    asm("{.reg .f16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, l;}" : "=f"(f) : "r"(v));
    return f;
}
DEV u32 to_f16(float v) {
    u32 r;
    asm("{.reg .f16 l, h; cvt.rn.f16.f32 l, %1; mov.b16 h, 0; mov.b32 %0, {l, h};}" : "=r"(r) : "f"(v));
    return r;
}
DEV vec4 load16(const void *p) {
    return *(const vec4 *)p;
}
// Of what no kernel writes, or, behind wait_for_predecessor, of what none writes any more (pictures of stems, masks): nothing
// in the language holds such a load (ld.global.nc) behind the wait. NVRTC 13.0 does: in SASS for SM 9.0, 9.0a, 10.0 and 12.0,
// with all types, LDG.CONSTANT of stem, stem_conv, attention_rows, conv_rows and letterbox stand behind ACQBULK; those before
// it, in decode and lstm, are of the plan or the network's inputs. To be looked at again with other compilers.
// Not by asm: the compiler takes that for arithmetic, and may do it where the address is none.
DEV vec4 load16_const(const void *p) {
    uint4 v = __ldg((const uint4 *)p);
    vec4 r = {v.x, v.y, v.z, v.w};
    return r;
}
DEV u32 load4(const void *p) {
    return *(const u32 *)p;
}
DEV float load_float(const void *p) {
    return *(const float *)p;
}
DEV float load_float_const(const void *p) {
    return __ldg((const float *)p);
}
DEV u32 load_byte(const void *p) {
    return *(const unsigned char *)p;
}
DEV long long load_long(const void *p) {
    return *(const long long *)p;
}
DEV f16 load_half(const void *p) {
    return *(const f16 *)p;
}
DEV void store16(void *p, vec4 v) {
    *(vec4 *)p = v;
}
DEV void store8(void *p, u32 x, u32 y) {
    *(uint2 *)p = make_uint2(x, y);
}
DEV void store4(void *p, u32 x) {
    *(u32 *)p = x;
}
DEV void store_float(void *p, float f) {
    *(float *)p = f;
}
DEV void store_long(void *p, long long v) {
    *(long long *)p = v;
}
DEV void store_byte(void *p, u32 v) {
    *(unsigned char *)p = (unsigned char)v;
}
DEV void store_half(void *p, u32 v) {
    *(f16 *)p = (f16)v;
}

DEV u32 shared_base(void) {
    u32 address;
    asm("{.reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t;}" : "=r"(address) : "l"(sw_shared));
    return address;
}
DEV vec4 shared_load16(u32 s) {
    vec4 v;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(s)
                 : "memory");
    return v;
}
DEV u32 shared_load4(u32 s) {
    u32 v;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(s) : "memory");
    return v;
}
DEV void shared_load8(u32 s, u32 *v) {
    asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(v[0]), "=r"(v[1]) : "r"(s) : "memory");
}
DEV void shared_store8(u32 s, u32 x, u32 y) {
    asm volatile("st.shared.v2.u32 [%0], {%1, %2};" ::"r"(s), "r"(x), "r"(y) : "memory");
}
DEV void shared_store16(u32 s, vec4 v) {
    asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(s), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
}
DEV void shared_store4(u32 s, u32 v) {
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(s), "r"(v) : "memory");
}
// Returns what was there.
DEV u32 atomic_add(u32 *p, u32 v) {
    return atomicAdd(p, v);
}
// A product that is rounded by itself, whatever is added to it.
DEV float product(float a, float b) {
    return __fmul_rn(a, b);
}
DEV void barrier(void) {
    __syncthreads();
}
// Of `threads` threads that name it alike, 1 to 15.
DEV void barrier_of(int name, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(name), "r"(threads) : "memory");
}
#if SM >= 800
// The larger ones of two pairs of halves.
DEV u32 maximum2(u32 a, u32 b) {
    u32 v;
    asm("max." HALF "x2 %0, %1, %2;" : "=r"(v) : "r"(a), "r"(b));
    return v;
}
#endif
// The same number, of which the compiler keeps nothing from one use to the next.
DEV u32 fresh(u32 v) {
    asm volatile("" : "+r"(v));
    return v;
}
// A number that all lanes have in common, known to be so.
DEV u32 uniform(u32 v) {
    return __shfl_sync(0xffffffffu, v, 0);
}
DEV float shuffle_xor(float v, int mask) {
    return __shfl_xor_sync(0xffffffffu, v, mask);
}

#if SM >= 800
// 16 bytes from global to shared memory, zeros unless `good`; complete after copy_wait.
DEV void copy16(u32 s, const void *p, bool good) {
    int n = good ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(s), "l"(p), "r"(n) : "memory");
}
DEV void copy_commit(void) {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
#define copy_wait(pending) asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory")
#endif

// Programmatic dependent launch: those before have finished, and the next kernel may start. It may not sooner: then kernels
// far ahead would hold shared memory and registers while they wait, and those beside would find none.
DEV void wait_for_predecessor(void) {
#if SM >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Lane i (of 8 for each matrix) gives the address of a row of 8 halves; lane l gets halves 2 (l % 4) and the next of row l / 4.
DEV void load_matrix4(u32 *r, u32 s) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(s)
                 : "memory");
}
// The same with lane l getting halves l / 4 of rows 2 (l % 4) and the next.
DEV void load_matrix4_across(u32 *r, u32 s) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(s)
                 : "memory");
}
DEV void load_matrix2(u32 *r, u32 s) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(s)
                 : "memory");
}
#if SM >= 900
// As load_matrix4, the other way.
DEV void store_matrix4(u32 s, const u32 *r) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(s), "r"(r[0]), "r"(r[1]),
                 "r"(r[2]), "r"(r[3])
                 : "memory");
}
#endif
// c[16 x 8] += a[16 x 16] b[16 x 8]. With g = lane / 4, t = lane % 4: c = rows g, g + 8, columns 2t, 2t + 1; a = rows g, g + 8
// of depth 2t, then of 2t + 8; b = column g, depth 2t, then 2t + 8. Before SM 8.0 in two steps of depth 8: the halves of a, b.
#ifndef FLOATS
#if SM >= 800
DEV void multiply(float *c, const u32 *a, const u32 *b) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." HALF "." HALF
                 ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#else
DEV void multiply_8(float *c, const u32 *a, u32 b) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b));
}
#endif
#endif
#if SM >= 800
// Rounds to 10 bits of mantissa.
DEV u32 round_tf32(u32 v) {
    u32 r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(as_float(v)));
    return r;
}
// c[16 x 8] += a[16 x 8] b[8 x 8]: c as in multiply; a = rows g, g + 8 of depth t, then of t + 4; b = column g, depth t, t + 4.
DEV void multiply_tf32(float *c, const u32 *a, const u32 *b) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif
#ifdef FLOATS
// As multiply_tf32, the same bytes as the product of halves has. Without TF32 each factor is the sum of two that are
// rounded (their rest is below 2^-22), and what the small ones give each other is left out; infinite ones become NaN.
// Before SM 8.0 lanes hand each other theirs.
DEV void multiply(float *c, const u32 *a, const u32 *b) {
#ifdef TF32
    multiply_tf32(c, a, b);
#elif SM >= 800
    u32 high_a[4], low_a[4], high_b[2], low_b[2];
    UNROLL for (int i = 0; i < 4; i++) {
        high_a[i] = round_tf32(a[i]), low_a[i] = as_bits(as_float(a[i]) - as_float(high_a[i]));
    }
    UNROLL for (int i = 0; i < 2; i++) {
        high_b[i] = round_tf32(b[i]), low_b[i] = as_bits(as_float(b[i]) - as_float(high_b[i]));
    }
    multiply_tf32(c, low_a, high_b);
    multiply_tf32(c, high_a, low_b);
    multiply_tf32(c, high_a, high_b);
#else
    int lane = thread_id() & 31;
    UNROLL for (int k = 0; k < 8; k++) {
        int row = (lane & ~3) + (k & 3), column = (lane & 3) * 8 + (k & 3), i = k >> 2;
        float low = as_float(__shfl_sync(0xffffffffu, a[2 * i], row));
        float high = as_float(__shfl_sync(0xffffffffu, a[2 * i + 1], row));
        float left = as_float(__shfl_sync(0xffffffffu, b[i], column));
        float right = as_float(__shfl_sync(0xffffffffu, b[i], column + 4));
        c[0] += low * left, c[1] += low * right, c[2] += high * left, c[3] += high * right;
    }
#endif
}
#endif
#ifdef WGMMA
DEV void warpgroup_fence(void) {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
DEV void warpgroup_commit(void) {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
#define warpgroup_wait(pending) asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory")
DEV void async_proxy_fence(void) {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
#endif
#else
#include "cuda_emu/emu.h"
#endif

// What maps hold: halves, float16 or, with BF16 (from SM 8.0 on), bfloat16; with FLOATS float32, which products may round
// with TF32 (from SM 8.0 on). 16 bytes are a CHUNK of them.
#ifdef FLOATS
typedef float cell;
// Without TF32 three products on tensor cores take less time than multiplying and adding on GPUs of data centres only.
#if !defined(TF32) && SM != 800 && SM != 900 && SM != 1000
#define BY_ADDING
#endif
#else
typedef f16 cell;
#endif
enum { CHUNK = 16 / (int)sizeof(cell) };
// As a map takes it that convolutions read.
DEV u32 rounded(float v) {
#ifdef TF32
    return round_tf32(as_bits(v));
#else
    return as_bits(v);
#endif
}

#ifdef BF16
#define LOWEST -3.38e38f
DEV float unpack_low(u32 v) {
    return as_float(v << 16);
}
DEV float unpack_high(u32 v) {
    return as_float(v & 0xffff0000u);
}
#else
#define LOWEST -65504.f
#endif

// Over the lanes of a warp.
#if SM >= 800 && !defined SW_EMULATE
DEV u32 warp_sum(u32 v) {
    return __reduce_add_sync(0xffffffffu, v);
}
DEV u32 warp_or(u32 v) {
    return __reduce_or_sync(0xffffffffu, v);
}
#else
DEV u32 warp_sum(u32 v) {
    for (int d = 16; d; d /= 2) v += as_bits(shuffle_xor(as_float(v), d));
    return v;
}
DEV u32 warp_or(u32 v) {
    for (int d = 16; d; d /= 2) v |= as_bits(shuffle_xor(as_float(v), d));
    return v;
}
#endif

#if SM < 800 && !defined(FLOATS)
DEV void multiply(float *c, const u32 *a, const u32 *b) {
    multiply_8(c, a, b[0]);
    multiply_8(c, a + 2, b[1]);
}
#endif
#if SM < 800
DEV u32 maximum2(u32 a, u32 b) {
    float low = unpack_low(a), high = unpack_high(a), l = unpack_low(b), h = unpack_high(b);
    return pack(low > l ? low : l, high > h ? high : h);
}
DEV void copy16(u32 s, const void *p, bool good) {
    vec4 v = {0, 0, 0, 0};
    if (good) v = load16(p);
    shared_store16(s, v);
}
DEV void copy_commit(void) {}
#define copy_wait(pending)
#endif

DEV u32 fast_div(u32 n, u32 magic) {
    return magic ? mul_high(n, magic) : n;
}
DEV float minimum(float a, float b) {
    return a < b ? a : b;
}
DEV float maximum(float a, float b) {
    return a > b ? a : b;
}
DEV float sigmoid(float x) {
    return reciprocal(1.f + exp2_fast(-1.44269504f * x));
}

// x sigmoid(x) of what becomes a half, from x / 2, in half the time that an exponential and a reciprocal take; tanh.approx is
// off by up to 2^-11 of itself, which makes this off by up to |x| / 4096: as much as rounding to float16.
DEV float silu_of_half(float h) {
    return h * tanh_fast(h) + h;
}
DEV float silu(float x) {
#ifdef FLOATS
    return x * sigmoid(x);
#else
    return silu_of_half(.5f * x);
#endif
}

// Activation of one number where speed does not matter; hot loops choose it outside.
DEV float activate(int act, float a, float b, float x) {
    switch (act) {
    case CUDA_ACT_RELU:
        return maximum(x, 0.f);
    case CUDA_ACT_LEAKY:
        return x < 0.f ? a * x : x;
    case CUDA_ACT_SILU:
        return x * sigmoid(x);
    case CUDA_ACT_SIGMOID:
        return sigmoid(x);
    case CUDA_ACT_HARDSWISH:
        return x * minimum(maximum(x * (1.f / 6) + .5f, 0.f), 1.f);
    case CUDA_ACT_HARDSIGMOID:
        return minimum(maximum(a * x + b, 0.f), 1.f);
    case CUDA_ACT_CLIP:
        return minimum(maximum(x, a), b);
    default:
        return x;
    }
}

// The same of steps of their own, with what costs too much code elsewhere.
DEV float function_of(int act, float a, float b, float x) {
    switch (act) {
    case CUDA_ACT_GELU:
        return .5f * x * (1.f + erff(x * .70710678f));
    case CUDA_ACT_GELU_TANH:
        return .5f * x * (1.f + tanhf(.79788456f * (x + .044715f * x * x * x)));
    case CUDA_ACT_EXP:
        return expf(x);
    case CUDA_ACT_LOG:
        return logf(x);
    case CUDA_ACT_SQRT:
        return sqrtf(x);
    case CUDA_ACT_RECIPROCAL:
        return 1.f / x;
    case CUDA_ACT_SIN:
        return sinf(x);
    case CUDA_ACT_COS:
        return cosf(x);
    case CUDA_ACT_TANH:
        return tanhf(x);
    case CUDA_ACT_ERF:
        return erff(x);
    case CUDA_ACT_NEG:
        return -x;
    case CUDA_ACT_ABS:
        return fabsf(x);
    case CUDA_ACT_FLOOR:
        return floorf(x);
    case CUDA_ACT_CEIL:
        return ceilf(x);
    case CUDA_ACT_ROUND:
        return rintf(x);
    case CUDA_ACT_SIGN:
        return x > 0.f ? 1.f : x < 0.f ? -1.f : x;
    case CUDA_ACT_SOFTPLUS:
        return maximum(x, 0.f) + log1pf(expf(-fabsf(x)));
    case CUDA_ACT_SOFTSIGN:
        return x / (1.f + fabsf(x));
    case CUDA_ACT_MISH:
        return x * tanhf(maximum(x, 0.f) + log1pf(expf(-fabsf(x))));
    case CUDA_ACT_ELU:
        return x < 0.f ? a * expm1f(x) : x;
    case CUDA_ACT_TAN:
        return tanf(x);
    case CUDA_ACT_ATAN:
        return atanf(x);
    default:
        return activate(act, a, b, x);
    }
}
