// Kernels over rows of halves, and between them and float32. KERNEL_* chooses one; EIGHT: for eight elements of a row a thread.
#include "args.h"
#include "ptx.cuh"
#include "square.cuh"

#ifdef FLOATS
enum { ALL_FLOAT = 1 }; // maps, too
#else
enum { ALL_FLOAT = 0 };
#endif
DEV float load_number(const void *p, size_t at, bool is_float) {
    return is_float || ALL_FLOAT ? load_float((const float *)p + at) : unpack_low(load_half((const f16 *)p + at));
}
DEV void store_number(void *p, size_t at, bool is_float, float v) {
    if (is_float || ALL_FLOAT)
        store_float((float *)p + at, v);
    else
        store_half((f16 *)p + at, pack(v, 0.f) & 0xffff);
}
DEV void load_eight(float *f, const void *p, size_t at, bool is_float) {
    if (is_float || ALL_FLOAT) {
        vec4 a = load16((const float *)p + at), b = load16((const float *)p + at + 4);
        f[0] = as_float(a.x), f[1] = as_float(a.y), f[2] = as_float(a.z), f[3] = as_float(a.w);
        f[4] = as_float(b.x), f[5] = as_float(b.y), f[6] = as_float(b.z), f[7] = as_float(b.w);
    } else {
        vec4 v = load16((const f16 *)p + at);
        f[0] = unpack_low(v.x), f[1] = unpack_high(v.x), f[2] = unpack_low(v.y), f[3] = unpack_high(v.y);
        f[4] = unpack_low(v.z), f[5] = unpack_high(v.z), f[6] = unpack_low(v.w), f[7] = unpack_high(v.w);
    }
}
DEV void store_eight(void *p, size_t at, bool is_float, const float *f) {
    if (is_float || ALL_FLOAT) {
        vec4 a = {as_bits(f[0]), as_bits(f[1]), as_bits(f[2]), as_bits(f[3])};
        vec4 b = {as_bits(f[4]), as_bits(f[5]), as_bits(f[6]), as_bits(f[7])};
        store16((float *)p + at, a);
        store16((float *)p + at + 4, b);
    } else {
        vec4 v = {pack(f[0], f[1]), pack(f[2], f[3]), pack(f[4], f[5]), pack(f[6], f[7])};
        store16((f16 *)p + at, v);
    }
}

#ifdef KERNEL_TOKENS
enum { THREADS = 256 };
#ifdef EIGHT
enum { N = 8 };
#else
enum { N = 1 };
#endif

// N elements from `at` on, or one of them N times.
DEV void load_operand(float *f, const void *p, long long at, long long step, bool is_float) {
    if (N == 8 && step) {
        load_eight(f, p, at, is_float);
    } else {
        float v = load_number(p, at, is_float);
        UNROLL for (int e = 0; e < N; e++) f[e] = v;
    }
}

KERNEL(tokens, sw_cuda_tokens) {
    const sw_cuda_tokens *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), at_a = 0, at_b = 0, at_out = 0;
    if (i >= p->count) return;
    u32 rest = (u32)i;
    for (int k = p->rank - 1; k >= 0; k--) {
        u32 q = rest / (u32)p->dims[k], at = rest - q * (u32)p->dims[k];
        at_a += at * p->a_stride[k], at_b += at * p->b_stride[k], at_out += at * p->out_stride[k];
        rest = q;
    }
    float a[8], b[8];
    load_operand(a, p->a, at_a, p->a_stride[p->rank - 1], p->a_float);
    if (p->b) {
        load_operand(b, p->b, at_b, p->b_stride[p->rank - 1], p->b_float);
        UNROLL for (int e = 0; e < N; e++) {
            a[e] = p->op == CUDA_ADD   ? a[e] + b[e]
                   : p->op == CUDA_SUB ? a[e] - b[e]
                   : p->op == CUDA_MUL ? a[e] * b[e]
                                       : a[e] / b[e];
        }
    }
    if (p->act != CUDA_ACT_NONE) {
#ifdef EIGHT
        UNROLL for (int e = 0; e < N; e++) a[e] = activate(p->act, p->act_a, p->act_b, a[e]);
#else
        a[0] = function_of(p->act, p->act_a, p->act_b, a[0]);
#endif
    }
    if (N == 8)
        store_eight(p->out, at_out, p->out_float, a);
    else
        store_number(p->out, at_out, p->out_float, a[0]);
}
#endif

#ifdef KERNEL_GATHER
enum { THREADS = 256 };

KERNEL(gather_tokens, sw_cuda_gather) {
    const sw_cuda_gather *p = ARGS;
    u32 i = block_id() * THREADS + thread_id(), chunks = p->length / 8, row = i / chunks, c = (i - row * chunks) * 8;
    wait_for_predecessor();
    if (i >= p->count) return;
    long long place = load_long((const long long *)p->places + row);
    float f[8];
    load_eight(f, p->in, (place < 0 ? place + p->extent : place) * p->length + c, p->in_float);
    store_eight(p->out, (size_t)row * p->length + c, p->out_float, f);
}
#endif

#ifdef KERNEL_NORM
// A warp takes a row, which stays in its registers up to 32 * 8 * HELD elements.
enum { THREADS = 128, HELD = 4 };

DEV float sum_of_warp(float v) {
    for (int d = 16; d; d /= 2) v += shuffle_xor(v, d);
    return v;
}

KERNEL(norm_tokens, sw_cuda_norm) {
    const sw_cuda_norm *p = ARGS;
    int lane = thread_id() & 31, row = block_id() * (THREADS / 32) + (thread_id() >> 5);
    wait_for_predecessor();
    if (row >= p->rows) return;
    size_t base = (size_t)row * p->length;
#ifdef EIGHT
    float x[HELD][8], scale[HELD][8], bias[HELD][8], mean = 0, spread = 0;
    UNROLL for (int h = 0; h < HELD; h++) { // all loads are under way before the first sum
        int at = (h * 32 + lane) * 8;
        if (at >= p->length) continue;
        load_eight(x[h], p->in, base + at, p->in_float);
        load_eight(scale[h], p->scale, at, true);
        UNROLL for (int e = 0; e < 8; e++) bias[h][e] = 0;
        if (p->bias) load_eight(bias[h], p->bias, at, true);
    }
    UNROLL for (int h = 0; h < HELD; h++) {
        if ((h * 32 + lane) * 8 >= p->length) continue;
        UNROLL for (int e = 0; e < 8; e++) mean += x[h][e];
    }
    mean = sum_of_warp(mean) / p->length;
    UNROLL for (int h = 0; h < HELD; h++) {
        if ((h * 32 + lane) * 8 >= p->length) continue;
        UNROLL for (int e = 0; e < 8; e++) {
            x[h][e] -= mean;
            spread += x[h][e] * x[h][e];
        }
    }
    float by = 1.f / sqrtf(sum_of_warp(spread) / p->length + p->epsilon);
    UNROLL for (int h = 0; h < HELD; h++) {
        int at = (h * 32 + lane) * 8;
        if (at >= p->length) continue;
        UNROLL for (int e = 0; e < 8; e++) x[h][e] = x[h][e] * by * scale[h][e] + bias[h][e];
        store_eight(p->out, base + at, p->out_float, x[h]);
    }
#else
    float mean = 0, spread = 0;
    for (int i = lane; i < p->length; i += 32) mean += load_number(p->in, base + i, p->in_float);
    mean = sum_of_warp(mean) / p->length;
    for (int i = lane; i < p->length; i += 32) {
        float v = load_number(p->in, base + i, p->in_float) - mean;
        spread += v * v;
    }
    float by = 1.f / sqrtf(sum_of_warp(spread) / p->length + p->epsilon);
    for (int i = lane; i < p->length; i += 32) {
        float v = (load_number(p->in, base + i, p->in_float) - mean) * by * load_float((const float *)p->scale + i);
        store_number(p->out, base + i, p->out_float, p->bias ? v + load_float((const float *)p->bias + i) : v);
    }
#endif
}
#endif

#ifdef KERNEL_PRODUCT
enum { THREADS = 256 };

KERNEL(product, sw_cuda_product) {
    const sw_cuda_product *p = ARGS;
    wait_for_predecessor();
    int across = (p->columns + 31) / 32, x = thread_id() & 31, y = thread_id() >> 5;
    int m0 = block_id() / across * 32, n0 = block_id() % across * 32;
    u32 sa = shared_base(), sb = sa + SQUARE_BYTES;
    float acc[4] = {0, 0, 0, 0};
    for (int k0 = 0; k0 < p->depth; k0 += 32) {
        UNROLL for (int i = 0; i < 4; i++) {
            int m = m0 + y + i * 8, k = k0 + x;
            float v = m < p->rows && k < p->depth ? load_number(p->a, (size_t)m * p->depth + k, p->a_float) : 0.f;
            shared_store4(sa + square_at(y + i * 8, x), as_bits(v));
            k = k0 + y + i * 8;
            bool good = k < p->depth && n0 + x < p->columns;
            v = good ? load_float((const float *)p->weights + (size_t)k * p->weight_row +
                                  (size_t)(n0 + x) * p->weight_column)
                     : 0.f;
            shared_store4(sb + square_at(y + i * 8, x), as_bits(v));
        }
        barrier();
        multiply_square(acc, sa, sb, x, y);
        barrier();
    }
    UNROLL for (int i = 0; i < 4; i++) {
        int m = m0 + y + i * 8, n = n0 + x;
        if (m >= p->rows || n >= p->columns) continue;
        size_t at = (size_t)m * p->columns + n;
        float v = acc[i] + (p->bias ? load_float((const float *)p->bias + n) : 0.f);
        float other = p->residual ? load_number(p->residual, at, p->residual_float) : 0.f;
        if (p->residual_before_act) v += other;
        v = function_of(p->act, p->act_a, p->act_b, v);
        store_number(p->out, at, p->out_float, p->residual_before_act ? v : v + other);
    }
}
#endif
