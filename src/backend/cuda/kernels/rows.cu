// Kernels over rows of float32. KERNEL_* chooses one.
#include "args.h"
#include "ptx.cuh"
#include "square.cuh"

enum { THREADS = 256 };

#ifdef KERNEL_COPY
KERNEL(copy_rows, sw_cuda_copy) {
    const sw_cuda_copy *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), in = 0, out = 0;
    if (i >= p->count) return;
    for (int k = p->rank - 1; k >= 0; k--) {
        long long q = i / p->dims[k], at = i - q * p->dims[k];
        in += at * p->in_stride[k], out += at * p->out_stride[k];
        i = q;
    }
#if BYTES == 8
    store_long((long long *)p->out + out, load_long((const long long *)p->in + in));
#elif BYTES == 1
    store_byte((unsigned char *)p->out + out, load_byte((const unsigned char *)p->in + in));
#else
    store4((u32 *)p->out + out, load4((const u32 *)p->in + in));
#endif
}
#endif

#ifdef KERNEL_REDUCE
DEV float gather_up(int op, float a, float b) {
    return op == CUDA_REDUCE_MAX ? maximum(a, b) : op == CUDA_REDUCE_MIN ? minimum(a, b) : a + b;
}

KERNEL(reduce_rows, sw_cuda_reduce) {
    const sw_cuda_reduce *p = ARGS;
    wait_for_predecessor();
    bool is_short = p->length <= CUDA_SHORT_LANE;
    int step = is_short ? 1 : 32, lane = is_short ? 0 : thread_id() & 31;
    long long row = ((long long)block_id() * THREADS + thread_id()) / step, outer = row / p->inner;
    if (outer >= p->outer) return;
    const float *in = (const float *)p->in + outer * p->length * p->inner + row % p->inner;
    float v = p->op == CUDA_REDUCE_MAX || p->op == CUDA_REDUCE_MIN ? load_float(in) : 0.f;
    for (int i = lane; i < p->length; i += step) v = gather_up(p->op, v, load_float(in + (long long)i * p->inner));
    for (int d = is_short ? 0 : 16; d; d /= 2) v = gather_up(p->op, v, shuffle_xor(v, d));
    if (lane == 0) store_float((float *)p->out + row, p->op == CUDA_REDUCE_MEAN ? v / p->length : v);
}
#endif

#ifdef KERNEL_AFFINE
KERNEL(affine_rows, sw_cuda_affine) {
    const sw_cuda_affine *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id();
    if (i >= p->count) return;
    int c = (int)(i / p->inner % p->channels);
    float by = load_float((const float *)p->scale + c) / sqrtf(load_float((const float *)p->variance + c) + p->epsilon);
    float x = load_float((const float *)p->in + i) - load_float((const float *)p->mean + c);
    store_float((float *)p->out + i, x * by + load_float((const float *)p->bias + c));
}
#endif

#ifdef KERNEL_PAD
KERNEL(pad_rows, sw_cuda_pad) {
    const sw_cuda_pad *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), rest = i, from = 0, stride = 1;
    if (i >= p->count) return;
    bool inside = true;
    for (int k = p->rank - 1; k >= 0; k--) {
        long long q = rest / p->dims[k], at = rest - q * p->dims[k] - p->before[k];
        inside = inside && at >= 0 && at < p->in_dims[k];
        from += at * stride, stride *= p->in_dims[k];
        rest = q;
    }
    store_float((float *)p->out + i, inside ? load_float((const float *)p->in + from) : p->value);
}
#endif

#ifdef KERNEL_SOFTMAX
// A warp takes one row of the axis.
KERNEL(softmax, sw_cuda_softmax) {
    const sw_cuda_softmax *p = ARGS;
    wait_for_predecessor();
    int lane = thread_id() & 31;
    long long row = (long long)block_id() * (THREADS / 32) + (thread_id() >> 5), outer = row / p->inner;
    if (outer >= p->outer) return;
    long long base = outer * p->axis * p->inner + row % p->inner;
    const float *in = (const float *)p->in + base;
    float *out = (float *)p->out + base;
    float most = -3.0e38f, sum = 0;
    for (int i = lane; i < p->axis; i += 32) most = maximum(most, load_float(in + (long long)i * p->inner));
    for (int d = 16; d; d /= 2) most = maximum(most, shuffle_xor(most, d));
    for (int i = lane; i < p->axis; i += 32)
        sum += exp2_fast((load_float(in + (long long)i * p->inner) - most) * 1.44269504f);
    for (int d = 16; d; d /= 2) sum += shuffle_xor(sum, d);
    for (int i = lane; i < p->axis; i += 32) {
        float e = exp2_fast((load_float(in + (long long)i * p->inner) - most) * 1.44269504f);
        store_float(out + (long long)i * p->inner, e / sum);
    }
}
#endif

#ifdef KERNEL_LOG_SOFTMAX
// The same for its logarithm.
KERNEL(log_softmax, sw_cuda_softmax) {
    const sw_cuda_softmax *p = ARGS;
    wait_for_predecessor();
    int lane = thread_id() & 31;
    long long row = (long long)block_id() * (THREADS / 32) + (thread_id() >> 5), outer = row / p->inner;
    if (outer >= p->outer) return;
    long long base = outer * p->axis * p->inner + row % p->inner;
    const float *in = (const float *)p->in + base;
    float most = -3.0e38f, sum = 0;
    for (int i = lane; i < p->axis; i += 32) most = maximum(most, load_float(in + (long long)i * p->inner));
    for (int d = 16; d; d /= 2) most = maximum(most, shuffle_xor(most, d));
    for (int i = lane; i < p->axis; i += 32) sum += expf(load_float(in + (long long)i * p->inner) - most);
    for (int d = 16; d; d /= 2) sum += shuffle_xor(sum, d);
    for (int i = lane; i < p->axis; i += 32)
        store_float((float *)p->out + base + (long long)i * p->inner,
                    load_float(in + (long long)i * p->inner) - most - logf(sum));
}
#endif

#ifdef KERNEL_MATMUL
KERNEL(matmul, sw_cuda_matmul) {
    const sw_cuda_matmul *p = ARGS;
    wait_for_predecessor();
    int across = (p->n + 31) / 32, x = thread_id() & 31, y = thread_id() >> 5, batch = block_row();
    int m0 = block_id() / across * 32, n0 = block_id() % across * 32;
    const float *a = (const float *)p->a + batch * p->a_batch, *b = (const float *)p->b + batch * p->b_batch;
    u32 sa = shared_base(), sb = sa + SQUARE_BYTES;
    float acc[4] = {0, 0, 0, 0};
    for (int k0 = 0; k0 < p->k; k0 += 32) {
        UNROLL for (int i = 0; i < 4; i++) {
            int m = m0 + y + i * 8, k = k0 + x;
            float v = m < p->m && k < p->k ? load_float(a + m * p->a_row + k * p->a_column) : 0.f;
            shared_store4(sa + square_at(y + i * 8, x), as_bits(v));
            k = k0 + y + i * 8;
            v = k < p->k && n0 + x < p->n ? load_float(b + k * p->b_row + (n0 + x) * p->b_column) : 0.f;
            shared_store4(sb + square_at(y + i * 8, x), as_bits(v));
        }
        barrier();
        multiply_square(acc, sa, sb, x, y);
        barrier();
    }
    UNROLL for (int i = 0; i < 4; i++) {
        int m = m0 + y + i * 8, n = n0 + x;
        if (m >= p->m || n >= p->n) continue;
        float bias = p->bias ? load_float((const float *)p->bias + m * p->bias_row + n * p->bias_column) : 0.f;
        store_float((float *)p->out + ((size_t)batch * p->m + m) * p->n + n, p->alpha * acc[i] + bias);
    }
}
#endif

#ifdef KERNEL_DFL
KERNEL(dfl, sw_cuda_dfl) {
    const sw_cuda_dfl *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), row = i / p->anchors;
    if (row >= (long long)p->batch * p->sides) return;
    const float *in = (const float *)p->in + row * p->bins * p->anchors + i % p->anchors;
    float most = -3.0e38f, sum = 0, weighted = 0;
    for (int b = 0; b < p->bins; b++) most = maximum(most, load_float(in + (size_t)b * p->anchors));
    for (int b = 0; b < p->bins; b++) {
        float e = exp2_fast((load_float(in + (size_t)b * p->anchors) - most) * 1.44269504f);
        sum += e, weighted += e * b;
    }
    store_float((float *)p->out + i, weighted / sum);
}
#endif
