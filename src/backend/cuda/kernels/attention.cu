// Self-attention over the pixels of a map, scores never leaving the registers. A block takes 16 queries of one head; its
// WARPS share the keys, 16 at a time, each with running maxima and sums. In the end half of them hand theirs over to the others,
// and then all warps add up some channels of all that are left.
//
// Operands are loaded straight from global memory: the depth of query and key is permuted alike, so that a lane's share of 32 is
// 16 bytes in a row; column g of value tile j is channel NV g + j, so that a lane's share of a key is NV halves in a row.
#include "args.h"
#include "ptx.cuh"

enum { THREADS = 32 * WARPS, KEYS = 16, NV = DV / 8, STATE = NV * 4 + 4, HALF_OF_WARPS = WARPS / 2 }; // STATE: words of a lane

#include "attention.cuh"

// Rows `row` and `row + 8` of the keys or queries: SHARE chunks each.
DEV void load_rows(vec4 *v, const cell *base, int pitch, int row, int tokens, int t) {
    UNROLL for (int h = 0; h < 2; h++) {
        UNROLL for (int d = 0; d < SHARE; d++) {
            vec4 zero = {0, 0, 0, 0};
            v[h * SHARE + d] =
                row + h * 8 < tokens ? load16(base + (size_t)(row + h * 8) * pitch + (d * 4 + t) * CHUNK) : zero;
        }
    }
}

// Channels j, j + 1 of the tiles, column 2t + e, of row g + 8 h, from all states.
DEV void add_up(u32 states, int h, int e, int j, int lane, float *two) {
    float m[HALF_OF_WARPS], most = LOWEST, sum = 0, low = 0, high = 0;
    UNROLL for (int s = 0; s < HALF_OF_WARPS; s++) {
        m[s] = as_float(shared_load4(states + ((s * STATE + h) * 32 + lane) * 4));
        most = maximum(most, m[s]);
    }
    UNROLL for (int s = 0; s < HALF_OF_WARPS; s++) {
        u32 state = states + (s * STATE * 32 + lane) * 4;
        float scale = exp2_fast(m[s] - most);
        sum += as_float(shared_load4(state + (2 + h) * 128)) * scale;
        low += as_float(shared_load4(state + (4 + j * 4 + h * 2 + e) * 128)) * scale;
        high += as_float(shared_load4(state + (8 + j * 4 + h * 2 + e) * 128)) * scale;
    }
    float by = reciprocal(sum);
    two[0] = low * by, two[1] = high * by;
}

KERNEL(attention, sw_cuda_attention) {
    const sw_cuda_attention *p = ARGS;
    int lane = thread_id() & 31, warp = thread_id() >> 5, g = lane >> 2, t = lane & 3;
    int head = block_row() % p->heads, n = block_row() / p->heads, query = block_id() * 16;
    const cell *base = (const cell *)p->qkv + (size_t)n * p->tokens * p->qkv_pitch + head * p->head;
    wait_for_predecessor();

    int own = query + thread_id() / (DV / CHUNK), channel = thread_id() % (DV / CHUNK) * CHUNK; // of 16 x DV values
    bool copies = p->values && own < query + 16 && own < p->tokens;
    vec4 q[2 * SHARE], k0[2 * SHARE], value;
    if (copies) value = load16(base + 2 * DQ + (size_t)own * p->qkv_pitch + channel);
    load_rows(q, base, p->qkv_pitch, query + g, p->tokens, t);
    float o[NV * 4], m[2] = {-60000.f, -60000.f}, l[2] = {0, 0};
    UNROLL for (int i = 0; i < NV * 4; i++) o[i] = 0;
    const float scale = p->scale * 1.44269504f; // powers of 2 are taken below
    for (int key = warp * KEYS; key < p->tokens; key += WARPS * KEYS) {
        load_rows(k0, base + DQ, p->qkv_pitch, key + g, p->tokens, t);
        vec4 v[4][VALUES];
        UNROLL for (int i = 0; i < 4; i++) { // keys 2t, 2t + 1, 2t + 8, 2t + 9
            int row = key + 2 * t + (i & 1) + (i >> 1) * 8;
            const cell *from = base + 2 * DQ + (size_t)row * p->qkv_pitch + NV * g;
            UNROLL for (int c = 0; c < VALUES; c++) {
                vec4 zero = {0, 0, 0, 0};
                v[i][c] = zero;
                if (row >= p->tokens) continue;
                if (NV >= CHUNK) {
                    v[i][c] = load16(from + c * CHUNK);
                } else {
                    v[i][c].x = load4(from), v[i][c].y = NV > 2 ? load4(from + 2) : 0;
                }
            }
        }
        float s[2][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
        multiply_rows(s, q, k0);
        UNROLL for (int h = 0; h < 2; h++) {
            float most = m[h];
            UNROLL for (int i = 0; i < 4; i++) {
                float *x = &s[i >> 1][h * 2 + (i & 1)];
                *x = key + (i >> 1) * 8 + 2 * t + (i & 1) < p->tokens ? *x * scale : -60000.f;
                most = maximum(most, *x);
            }
            soften(s, 4, h, most, m, l, o);
        }
        add_weighted(o, s, v);
    }
    sum_weights(l);
    if (copies)
        store16((cell *)p->values + ((size_t)n * p->tokens + own) * p->values_pitch + head * DV + channel, value);
    u32 states = shared_base(), state = states + warp % HALF_OF_WARPS * STATE * 128;
    if (warp >= HALF_OF_WARPS) hand_over(o, m, l, state, lane);
    barrier();
    if (warp < HALF_OF_WARPS) {
        merge(o, m, l, state, lane);
        hand_over(o, m, l, state, lane);
    }
    barrier();
    for (int i = warp; i < NV * 2; i += WARPS) {
        int h = i & 1, e = i >> 1 & 1, j = i >> 2 << 1, row = query + g + h * 8;
        cell *to = (cell *)p->out + ((size_t)n * p->tokens + row) * p->out_pitch + head * DV + (2 * t + e) * NV + j;
        float two[2];
        add_up(states, h, e, j, lane, two);
        if (row < p->tokens) store_pair(to, two[0], two[1]);
    }
}
