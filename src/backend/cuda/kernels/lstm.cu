// A long short-term memory: a block takes one sequence of one direction through all of its steps. A warp takes a row of the
// weights at a time; the states stay in shared memory: hidden, cell, then the four gates (input, output, forget, cell).
#include "args.h"
#include "ptx.cuh"

enum { THREADS = 1024, WARPS = THREADS / 32 };

#ifdef SMALL
// Up to 64 states: what comes from the input is computed for AHEAD steps at once, and weights of the states stay in registers.
// Of a warp, lane (unit, gate, part) has a quarter of the row of a gate of one of two units: states pass through shared memory
// once a step.
enum { SLOTS = 256, DEPTH = 32, GROUPS = THREADS / SLOTS, EACH = 6, AHEAD = GROUPS * EACH, MOST = 64 };

// gates[s][row] = w x + bias of the steps first + s, by a row and EACH steps a thread; DEPTH of the inputs at a time.
DEV void weigh_inputs(const sw_cuda_lstm *p, const float *w, const float *bias, const float *x, int first, bool reverse, u32 gates,
                      u32 rows, u32 inputs) {
    int t = thread_id(), slot = t % SLOTS, group = t / SLOTS, n = 4 * p->hidden;
    float sum[EACH];
    UNROLL for (int s = 0; s < EACH; s++) sum[s] = 0.f;
    for (int k0 = 0; k0 < p->input; k0 += DEPTH) {
        int k = k0 + t % DEPTH;
        float held[SLOTS * DEPTH / THREADS]; // all under way at once
        UNROLL for (int j = 0; j < SLOTS * DEPTH / THREADS; j++) {
            int row = t / DEPTH + j * (THREADS / DEPTH);
            held[j] = row < n && k < p->input ? load_float_const(w + (size_t)row * p->input + k) : 0.f;
        }
        UNROLL for (int j = 0; j < SLOTS * DEPTH / THREADS; j++)
            shared_store4(rows + ((t / DEPTH + j * (THREADS / DEPTH)) * (DEPTH + 1) + t % DEPTH) * 4, as_bits(held[j]));
        for (int s = t / DEPTH; s < AHEAD; s += THREADS / DEPTH) {
            int i = first + s, step = reverse ? p->steps - 1 - i : i;
            float v = k < p->input && i < p->steps ? load_float(x + step * p->x_step + k) : 0.f;
            shared_store4(inputs + (s * DEPTH + t % DEPTH) * 4, as_bits(v));
        }
        barrier();
        for (int k = 0; slot < n && k < DEPTH; k += 4) {
            float v[4];
            UNROLL for (int e = 0; e < 4; e++) v[e] = as_float(shared_load4(rows + (slot * (DEPTH + 1) + k + e) * 4));
            UNROLL for (int s = 0; s < EACH; s++) {
                vec4 a = shared_load16(inputs + ((group * EACH + s) * DEPTH + k) * 4);
                sum[s] += v[0] * as_float(a.x) + v[1] * as_float(a.y) + v[2] * as_float(a.z) + v[3] * as_float(a.w);
            }
        }
        barrier();
    }
    float both = bias && slot < n ? load_float_const(bias + slot) + load_float_const(bias + n + slot) : 0.f;
    UNROLL for (int s = 0; s < EACH; s++)
        shared_store4(gates + ((group * EACH + s) * SLOTS + slot) * 4, as_bits(sum[s] + both));
    barrier();
}

KERNEL(lstm, sw_cuda_lstm) {
    const sw_cuda_lstm *p = ARGS;
    int b = block_id(), d = block_row(), t = thread_id(), n = p->hidden;
    int unit = t / 16, gate = t / 4 % 4, part = t % 4, row = gate * n + unit;
    u32 h = shared_base(), gates = h + 2 * MOST * 4, inputs = gates + AHEAD * SLOTS * 4, rows = inputs + AHEAD * DEPTH * 4;
    long long state = d * p->state_direction + b * p->state_batch + unit;
    const float *w = (const float *)p->w + (size_t)d * 4 * n * p->input, *r = (const float *)p->r + (size_t)d * 4 * n * n;
    const float *bias = p->bias ? (const float *)p->bias + (size_t)d * 8 * n : 0;
    bool reverse = p->reverse || d == 1, here = unit < n, owns = here && t % 16 == 0;
    float held[MOST / 4];
    UNROLL for (int j = 0; j < MOST / 4; j++) {
        int k = part + 4 * j;
        held[j] = here && k < n ? load_float_const(r + (size_t)row * n + k) : 0.f;
    }
    wait_for_predecessor();
    float now = owns && p->first_h ? load_float((const float *)p->first_h + state) : 0.f;
    float cell = owns && p->first_c ? load_float((const float *)p->first_c + state) : 0.f;
    if (t % 16 == 0) shared_store4(h + unit * 4, as_bits(now)), shared_store4(h + (MOST + unit) * 4, 0);
    for (int i = 0; i < p->steps; i++) {
        if (i % AHEAD == 0)
            weigh_inputs(p, w, bias, (const float *)p->x + b * p->x_batch, i, reverse, gates, rows, inputs);
        float sum = here && part == 0 ? as_float(shared_load4(gates + (i % AHEAD * SLOTS + row) * 4)) : 0.f;
        u32 from = h + i % 2 * MOST * 4, to = h + (i + 1) % 2 * MOST * 4;
        UNROLL for (int j = 0; j < MOST / 4; j++) sum += held[j] * as_float(shared_load4(from + (part + 4 * j) * 4));
        sum += shuffle_xor(sum, 1);
        sum += shuffle_xor(sum, 2);
        float out = shuffle_xor(sum, 4), forget = shuffle_xor(sum, 8), fresh = shuffle_xor(sum, 12);
        if (owns) {
            cell = sigmoid(forget) * cell + sigmoid(sum) * tanhf(fresh);
            now = sigmoid(out) * tanhf(cell);
            shared_store4(to + unit * 4, as_bits(now));
            int step = reverse ? p->steps - 1 - i : i;
            if (p->y) store_float((float *)p->y + step * p->y_step + d * p->y_direction + b * p->y_batch + unit, now);
        }
        barrier();
    }
    if (owns && p->last_h) store_float((float *)p->last_h + state, now);
    if (owns && p->last_c) store_float((float *)p->last_c + state, cell);
}
#else
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
#endif
