// What moves elements of rows by their order, or by places that the data gives, and arithmetic of other types than float32.
// KERNEL_* chooses one.
#include "args.h"
#include "ptx.cuh"

#ifdef KERNEL_SELECT
enum { THREADS = 1024 };
#else
enum { THREADS = 256 };
#endif

#if defined KERNEL_TOPK || defined KERNEL_SELECT
// Unsigned numbers in the order of floats; NaN is above all, both zeros are one.
DEV u32 order_of(float v) {
    u32 bits = as_bits(v == 0.f ? 0.f : v);
    return v != v ? 0xffffffffu : bits >> 31 ? ~bits : bits | 0x80000000u;
}
#endif

#ifdef KERNEL_TOPK
enum { TILE = 1024 };

// A thread an element: its rank is how many come before it, by value, then by place.
KERNEL(topk, sw_cuda_topk) {
    const sw_cuda_topk *p = ARGS;
    wait_for_predecessor();
    int i = block_id() * THREADS + thread_id(), lane = block_row(), outer = lane / p->inner, inner = lane % p->inner;
    const float *in = (const float *)p->in + (size_t)outer * p->length * p->inner + inner;
    u32 flip = p->smallest ? 0xffffffffu : 0u, shared = shared_base();
    u32 own = i < p->length ? order_of(load_float(in + (size_t)i * p->inner)) ^ flip : 0u;
    int rank = 0;
    for (int first = 0; first < p->length; first += TILE) {
        int n = p->length - first < TILE ? p->length - first : TILE;
        for (int k = thread_id(); k < n; k += THREADS)
            shared_store4(shared + k * 4, order_of(load_float(in + (size_t)(first + k) * p->inner)) ^ flip);
        barrier();
        for (int k = 0; k < n; k++) {
            u32 other = shared_load4(shared + k * 4);
            rank += other > own || (other == own && first + k < i);
        }
        barrier();
    }
    if (i >= p->length || rank >= p->k) return;
    size_t to = ((size_t)outer * p->k + rank) * p->inner + inner;
    if (p->values) store_float((float *)p->values + to, load_float(in + (size_t)i * p->inner));
    if (p->places) store_long((long long *)p->places + to, i);
}
#endif

#ifdef KERNEL_SELECT
// A block a lane. The last key that counts is found bit by bit, then (where several are equal) the last place; those that count
// are gathered, and ranked among themselves.
enum { HELD = 32, MOST = THREADS };

// The sum over the block; `sums` has 2 x 32 numbers, taken in turn.
DEV int block_sum(int n, u32 sums, int *turn) {
    u32 at = sums + *turn * 128, sum = warp_sum((u32)n);
    *turn ^= 1;
    if ((thread_id() & 31) == 0) shared_store4(at + (thread_id() >> 5) * 4, sum);
    barrier();
    return (int)warp_sum(shared_load4(at + (thread_id() & 31) * 4));
}

// The bits in which numbers of the block differ from `first`.
DEV u32 block_differences(u32 bits, u32 sums, int *turn) {
    u32 at = sums + *turn * 128, all = warp_or(bits);
    *turn ^= 1;
    if ((thread_id() & 31) == 0) shared_store4(at + (thread_id() >> 5) * 4, all);
    barrier();
    return warp_or(shared_load4(at + (thread_id() & 31) * 4));
}

// `action` for each element of the thread: its `key` and its place `at`; keys behind the lane are 0.
#define EACH(action)                                                                                                   \
    {                                                                                                                  \
        UNROLL for (int j = 0; j < HELD; j++) {                                                                        \
            if (j * THREADS < p->length) {                                                                             \
                u32 key = held[j];                                                                                     \
                int at = thread_id() + j * THREADS;                                                                    \
                action;                                                                                                \
            }                                                                                                          \
        }                                                                                                              \
        for (int at = thread_id() + HELD * THREADS; at < p->length; at += THREADS) {                                   \
            u32 key = order_of(load_float(in + (size_t)at * p->inner)) ^ flip;                                         \
            action;                                                                                                    \
        }                                                                                                              \
    }

KERNEL(select_top, sw_cuda_topk) {
    const sw_cuda_topk *p = ARGS;
    wait_for_predecessor();
    int t = thread_id(), lane = block_row(), outer = lane / p->inner, inner = lane % p->inner, turn = 0;
    const float *in = (const float *)p->in + (size_t)outer * p->length * p->inner + inner;
    u32 flip = p->smallest ? 0xffffffffu : 0u, sums = shared_base(), keys = sums + 256, places = keys + MOST * 4;
    u32 held[HELD], last = 0;
    UNROLL for (int j = 0; j < HELD; j++) {
        int at = t + j * THREADS;
        held[j] = at < p->length ? order_of(load_float(in + (size_t)at * p->inner)) ^ flip : 0u;
    }
    int n = 0, limit = p->length, top = 31;
    u32 first = order_of(load_float(in)) ^ flip, differ = 0;
    EACH(differ |= at < p->length ? key ^ first : 0)
    differ = block_differences(differ, sums, &turn);
    while (top >= 0 && !(differ >> top & 1)) top--;
    last = top < 31 ? first >> (top + 1) << (top + 1) : 0; // what all have in common
    for (int bit = top; bit >= 0 && n != p->k; bit--) {
        u32 from = last | 1u << bit;
        int count = 0;
        EACH(count += key >= from)
        n = block_sum(count, sums, &turn);
        if (n >= p->k) last = from;
    }
    if (n != p->k) {
        int above = 0, bit = 23;
        while (bit > 0 && !(p->length >> bit)) bit--;
        EACH(above += key > last)
        above = block_sum(above, sums, &turn);
        for (limit = 0; bit >= 0; bit--) {
            int to = limit | 1 << bit, count = 0;
            EACH(count += key == last && at < to && at < p->length)
            if (block_sum(count, sums, &turn) <= p->k - above) limit = to;
        }
    }
    int own = 0, before = 0;
    EACH(own += key > last || (key == last && at < limit && at < p->length))
    float all = (float)own;
    for (int d = 1; d < 32; d *= 2) {
        float other = shuffle_xor(all, d);
        before += t & d ? (int)other : 0;
        all += other;
    }
    if ((t & 31) == 0) shared_store4(sums + turn * 128 + (t >> 5) * 4, as_bits(all));
    barrier();
    for (int w = 0; w < t >> 5; w++) before += (int)as_float(shared_load4(sums + turn * 128 + w * 4));
    EACH(if (key > last || (key == last && at < limit && at < p->length)) {
        shared_store4(keys + before * 4, key);
        shared_store4(places + before * 4, (u32)at);
        before++;
    })
    barrier();
    if (t >= p->k) return;
    u32 key = shared_load4(keys + t * 4), at = shared_load4(places + t * 4);
    int rank = 0;
    for (int k = 0; k < p->k; k++) {
        u32 other = shared_load4(keys + k * 4);
        rank += other > key || (other == key && shared_load4(places + k * 4) < at);
    }
    size_t to = ((size_t)outer * p->k + rank) * p->inner + inner;
    if (p->values) store_float((float *)p->values + to, load_float(in + (size_t)at * p->inner));
    if (p->places) store_long((long long *)p->places + to, at);
}
#endif

#ifdef KERNEL_PICK
// Places outside of the axis are its ends: what ONNX leaves open must stay within memory.
KERNEL(pick, sw_cuda_pick) {
    const sw_cuda_pick *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), rest = i, from = 0, at_place = 0;
    if (i >= p->count) return;
    for (int k = p->rank - 1; k >= 0; k--) {
        long long q = rest / p->dims[k], at = rest - q * p->dims[k];
        from += at * p->in_stride[k], at_place += at * p->place_stride[k];
        rest = q;
    }
    long long place = p->narrow ? (long long)(int)load4((const u32 *)p->places + at_place)
                                : load_long((const long long *)p->places + at_place);
    if (place < 0) place += p->extent;
    place = place < 0 ? 0 : place >= p->extent ? p->extent - 1 : place;
    from += place * p->axis_stride;
#if BYTES == 8
    store_long((long long *)p->out + i, load_long((const long long *)p->in + from));
#elif BYTES == 1
    store_byte((unsigned char *)p->out + i, load_byte((const unsigned char *)p->in + from));
#else
    store4((u32 *)p->out + i, load4((const u32 *)p->in + from));
#endif
}
#endif

#ifdef KERNEL_ARGMAX
// A thread a lane; the first of equal ones, or the last.
KERNEL(arg_most, sw_cuda_topk) {
    const sw_cuda_topk *p = ARGS;
    wait_for_predecessor();
    long long lane = (long long)block_id() * THREADS + thread_id(), outer = lane / p->inner;
    if (outer >= p->outer) return;
    const float *in = (const float *)p->in + outer * p->length * p->inner + lane % p->inner;
    float best = load_float(in);
    int at = 0;
    for (int i = 1; i < p->length; i++) {
        float v = load_float(in + (size_t)i * p->inner);
        bool better = p->smallest ? v < best : v > best;
        if (better || (p->last && v == best)) best = v, at = i;
    }
    store_long((long long *)p->places + lane, at);
}
#endif

#ifdef KERNEL_TYPED
typedef struct number {
    long long whole; // of integers and bools
    float real;
} number;

DEV number load_number(const void *data, int type, long long at) {
    number v = {0, 0.f};
    if (type == CUDA_F32)
        v.real = load_float((const float *)data + at);
    else if (type == CUDA_F16)
        v.real = from_f16(load_half((const f16 *)data + at));
    else if (type == CUDA_I64)
        v.whole = load_long((const long long *)data + at);
    else if (type == CUDA_I32)
        v.whole = (int)load4((const u32 *)data + at);
    else
        v.whole = load_byte((const unsigned char *)data + at);
    if (type == CUDA_BOOL) v.whole = v.whole != 0;
    return v;
}

// What does not fit wraps around.
DEV void store_number(void *data, int type, long long at, number v) {
    if (type == CUDA_F32)
        store_float((float *)data + at, v.real);
    else if (type == CUDA_F16)
        store_half((f16 *)data + at, to_f16(v.real));
    else if (type == CUDA_I64)
        store_long((long long *)data + at, v.whole);
    else if (type == CUDA_I32)
        store4((u32 *)data + at, (u32)v.whole);
    else
        store_byte((unsigned char *)data + at, type == CUDA_BOOL ? v.whole != 0 : (u32)v.whole & 255u);
}

DEV bool is_real(int type) {
    return type == CUDA_F32 || type == CUDA_F16;
}

DEV float real_result(int op, float a, float b) {
    float rest = 0.f;
    switch (op) {
    case CUDA_ADD:
        return a + b;
    case CUDA_SUB:
        return a - b;
    case CUDA_MUL:
        return a * b;
    case CUDA_DIV:
        return a / b;
    case CUDA_MIN:
        return a < b || a != a ? a : b;
    case CUDA_MAX:
        return a > b || a != a ? a : b;
    case CUDA_POW:
        return powf(a, b);
    case CUDA_PRELU:
        return a < 0.f ? a * b : a;
    case CUDA_MOD:
        rest = fmodf(a, b);
        return rest != 0.f && (rest < 0.f) != (b < 0.f) ? rest + b : rest;
    default:
        return fmodf(a, b);
    }
}

// Wraps around; x / 0 and x mod 0 are 0, as on the CPU.
DEV long long whole_result(int op, long long a, long long b) {
    long long rest = b == 0 || b == -1 ? 0 : a % b;
    switch (op) {
    case CUDA_ADD:
        return (long long)((u64)a + (u64)b);
    case CUDA_SUB:
        return (long long)((u64)a - (u64)b);
    case CUDA_MUL:
        return (long long)((u64)a * (u64)b);
    case CUDA_DIV:
        return b == 0 ? 0 : b == -1 ? (long long)(0 - (u64)a) : a / b;
    case CUDA_MIN:
        return a < b ? a : b;
    case CUDA_MAX:
        return a > b ? a : b;
    case CUDA_MOD:
        return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    default:
        return rest;
    }
}

DEV bool holds(int op, int type, number a, number b) {
    bool real = type == CUDA_F32, less = real ? a.real < b.real : a.whole < b.whole;
    bool same = real ? a.real == b.real : a.whole == b.whole, more = real ? a.real > b.real : a.whole > b.whole;
    switch (op) {
    case CUDA_EQUAL:
        return same;
    case CUDA_LESS:
        return less;
    case CUDA_LESS_EQUAL:
        return less || same;
    case CUDA_GREATER:
        return more;
    case CUDA_GREATER_EQUAL:
        return more || same;
    case CUDA_AND:
        return a.whole && b.whole;
    case CUDA_OR:
        return a.whole || b.whole;
    case CUDA_XOR:
        return a.whole != b.whole;
    case CUDA_IS_NAN:
        return a.real != a.real;
    default:
        return !a.whole; // CUDA_NOT
    }
}

// To what type a number is turned: floats towards zero, by way of int64 or int32, whose lowest stands for what does not fit.
DEV number cast(number v, int from, int to) {
    number r = v;
    if (is_real(to) && !is_real(from)) r.real = (float)v.whole;
    if (to == CUDA_BOOL) r.whole = is_real(from) ? v.real != 0.f : v.whole != 0;
    if (is_real(to) || !is_real(from) || to == CUDA_BOOL) return r;
    float end = to == CUDA_I64 ? 9223372036854775808.f : 2147483648.f;
    bool fits = v.real < end && (to == CUDA_I64 ? v.real > -end : v.real >= -end);
    r.whole = fits ? (long long)v.real : to == CUDA_I64 ? (long long)(1ull << 63) : -2147483648ll;
    return r;
}

DEV number result_of(const sw_cuda_typed *p, const number *v) {
    number r = {0, 0.f};
    int type = p->types[0];
    if (p->op == CUDA_WHERE) return v[0].whole ? v[1] : v[2];
    if (p->op == CUDA_CAST) return cast(v[0], type, p->out_type);
    if (p->op >= CUDA_EQUAL)
        r.whole = holds(p->op, type, v[0], v[1]);
    else if (type == CUDA_F32)
        r.real = real_result(p->op, v[0].real, v[1].real);
    else
        r.whole = whole_result(p->op, v[0].whole, v[1].whole);
    return r;
}

KERNEL(typed_rows, sw_cuda_typed) {
    const sw_cuda_typed *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), rest = i, at[3] = {0, 0, 0};
    if (i >= p->count) return;
    for (int k = p->rank - 1; k >= 0; k--) {
        long long q = rest / p->dims[k], here = rest - q * p->dims[k];
        UNROLL for (int n = 0; n < 3; n++) at[n] += here * p->stride[n][k];
        rest = q;
    }
    number v[3] = {{0, 0.f}, {0, 0.f}, {0, 0.f}};
    UNROLL for (int n = 0; n < 3; n++)
        if (n < p->n_in) v[n] = load_number(p->in[n], p->types[n], at[n]);
    number r = result_of(p, v);
    store_number(p->out, p->out_type, i, r);
}
#endif
