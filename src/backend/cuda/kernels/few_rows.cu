// Products with few rows, such as the classifier behind a mean, and the activation behind them: a block makes ROWS rows of 8
// columns. KERNEL_COLUMNS: the factors of a column lie side by side, and a warp takes it; else those of 8 columns do, and 8 threads
// take every 32nd of the depth.
#include "args.h"
#include "ptx.cuh"

enum { THREADS = 256, ROWS = 4, WARPS = THREADS / 32 };

DEV void finish(const sw_cuda_few_rows *p, int m, int n, float sum) {
    if (m >= p->m || n >= p->n) return;
    float bias = p->bias ? load_float((const float *)p->bias + m * p->bias_row + n * p->bias_column) : 0.f;
    store_float((float *)p->out + (size_t)m * p->n + n, function_of(p->act, p->act_a, p->act_b, p->alpha * sum + bias));
}

#ifdef KERNEL_COLUMNS
DEV float dot4(vec4 a, vec4 b) {
    return as_float(a.x) * as_float(b.x) + as_float(a.y) * as_float(b.y) + as_float(a.z) * as_float(b.z) +
           as_float(a.w) * as_float(b.w);
}

KERNEL(few_rows, sw_cuda_few_rows) {
    const sw_cuda_few_rows *p = ARGS;
    wait_for_predecessor();
    int lane = thread_id() & 31, n = block_id() * WARPS + (thread_id() >> 5), m0 = block_row() * ROWS;
    const float *a = (const float *)p->a + (size_t)m0 * p->k;
    const float *b = (const float *)p->b + (size_t)(n < p->n ? n : 0) * p->k;
    float sum[ROWS] = {0, 0, 0, 0};
    for (int k0 = lane * 4; k0 < p->k; k0 += 4 * 128) {
        vec4 v[4];
        UNROLL for (int i = 0; i < 4; i++) {
            vec4 zero = {0, 0, 0, 0};
            v[i] = k0 + i * 128 < p->k ? load16(b + k0 + i * 128) : zero;
        }
        UNROLL for (int r = 0; r < ROWS; r++) {
            if (m0 + r >= p->m) continue;
            UNROLL for (int i = 0; i < 4; i++) if (k0 + i * 128 < p->k)
                sum[r] += dot4(load16(a + (size_t)r * p->k + k0 + i * 128), v[i]);
        }
    }
    UNROLL for (int r = 0; r < ROWS; r++) {
        for (int d = 16; d; d /= 2) sum[r] += shuffle_xor(sum[r], d);
        if (lane == r) finish(p, m0 + r, n, sum[r]);
    }
}
#else
KERNEL(few_rows, sw_cuda_few_rows) {
    const sw_cuda_few_rows *p = ARGS;
    wait_for_predecessor();
    int thread = thread_id(), column = thread & 7, n = block_id() * 8 + column, m0 = block_row() * ROWS;
    const float *a = (const float *)p->a + (size_t)m0 * p->k, *b = (const float *)p->b + (n < p->n ? n : 0);
    float sum[ROWS] = {0, 0, 0, 0};
    for (int k0 = thread >> 3; k0 < p->k; k0 += 4 * 32) {
        float v[4];
        UNROLL for (int i = 0; i < 4; i++)
            v[i] = k0 + i * 32 < p->k ? load_float(b + (size_t)(k0 + i * 32) * p->n) : 0.f;
        UNROLL for (int r = 0; r < ROWS; r++) {
            if (m0 + r >= p->m) continue;
            UNROLL for (int i = 0; i < 4; i++) if (k0 + i * 32 < p->k)
                sum[r] += load_float(a + (size_t)r * p->k + k0 + i * 32) * v[i];
        }
    }
    u32 shared = shared_base();
    UNROLL for (int r = 0; r < ROWS; r++) {
        sum[r] += shuffle_xor(sum[r], 8);
        sum[r] += shuffle_xor(sum[r], 16);
        if ((thread & 31) < 8) shared_store4(shared + ((thread >> 5) * 32 + r * 8 + column) * 4, as_bits(sum[r]));
    }
    barrier();
    if (thread >= 32) return;
    float all = 0;
    for (int w = 0; w < WARPS; w++) all += as_float(shared_load4(shared + (w * 32 + thread) * 4));
    finish(p, m0 + (thread >> 3), n, all);
}
#endif
