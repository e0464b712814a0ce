// A long short-term memory: a block takes one sequence of one direction through all of its steps. A warp takes a row of the
// weights at a time; the states stay in shared memory: hidden, cell, then the four gates (input, output, forget, cell).
#include "args.h"
#include "ptx.cuh"

enum { THREADS = 1024, WARPS = THREADS / 32 };

// Of a row of weights with what lies in global memory, or in shared: the same sum in all lanes.
DEV float weigh(const float *weights, const float *global, u32 shared, int n, int lane) {
    float sum = 0.f;
    for (int k = lane; k < n; k += 32)
        sum += load_float_const(weights + k) * (global ? load_float(global + k) : as_float(shared_load4(shared + k * 4)));
    for (int d = 16; d; d /= 2) sum += shuffle_xor(sum, d);
    return sum;
}

DEV void load_state(const void *from, long long at, u32 to, int n) {
    for (int i = thread_id(); i < n; i += THREADS)
        shared_store4(to + i * 4, from ? load4((const u32 *)from + at + i) : 0u);
}

DEV void save_state(void *to, long long at, u32 from, int n) {
    for (int i = thread_id(); to && i < n; i += THREADS) store4((u32 *)to + at + i, shared_load4(from + i * 4));
}

KERNEL(lstm, sw_cuda_lstm) {
    const sw_cuda_lstm *p = ARGS;
    launch_dependents();
    wait_for_predecessor();
    int b = block_id(), d = block_row(), t = thread_id(), lane = t & 31, n = p->hidden;
    u32 h = shared_base(), c = h + n * 4, gates = c + n * 4;
    long long state = d * p->state_direction + b * p->state_batch;
    const float *w = (const float *)p->w + (size_t)d * 4 * n * p->input, *r = (const float *)p->r + (size_t)d * 4 * n * n;
    const float *bias = p->bias ? (const float *)p->bias + (size_t)d * 8 * n : 0;
    load_state(p->first_h, state, h, n);
    load_state(p->first_c, state, c, n);
    for (int i = 0; i < p->steps; i++) {
        int step = p->reverse || d == 1 ? p->steps - 1 - i : i;
        const float *x = (const float *)p->x + step * p->x_step + b * p->x_batch;
        barrier();
        for (int row = t / 32; row < 4 * n; row += WARPS) {
            float sum = weigh(w + (size_t)row * p->input, x, 0, p->input, lane);
            sum += weigh(r + (size_t)row * n, 0, h, n, lane);
            if (bias) sum += load_float_const(bias + row) + load_float_const(bias + 4 * n + row);
            if (lane == 0) shared_store4(gates + row * 4, as_bits(sum));
        }
        barrier();
        for (int k = t; k < n; k += THREADS) {
            float in = sigmoid(as_float(shared_load4(gates + k * 4)));
            float out = sigmoid(as_float(shared_load4(gates + (n + k) * 4)));
            float forget = sigmoid(as_float(shared_load4(gates + (2 * n + k) * 4)));
            float fresh = tanhf(as_float(shared_load4(gates + (3 * n + k) * 4)));
            float cell = forget * as_float(shared_load4(c + k * 4)) + in * fresh, now = out * tanhf(cell);
            shared_store4(c + k * 4, as_bits(cell));
            shared_store4(h + k * 4, as_bits(now));
            if (p->y) store_float((float *)p->y + step * p->y_step + d * p->y_direction + b * p->y_batch + k, now);
        }
    }
    barrier();
    save_state(p->last_h, state, h, n);
    save_state(p->last_c, state, c, n);
}
