// Attention over rows of halves, scores never leaving the registers: softmax(scale Q K^T + mask) V, heads anywhere in their
// tensors, vectors of up to DQ and DV elements. As attention.cu: a block takes 16 queries of one head; its WARPS share the keys, 16
// at a time. Operands come straight from global memory, their depth permuted alike, so that a lane's share of 32 is 16 bytes
// in a row; column g of value tile j is channel NV g + j.
#include "args.h"
#include "ptx.cuh"

enum {
    THREADS = 32 * WARPS,
    KEYS = 16,
    NV = DV / 8,
    STATE = NV * 4 + 4,
    LATE = DV * (int)sizeof(cell) >= 512, // values come when keys have gone: there are too few registers for both
};

#include "attention.cuh"

DEV const cell *head_at(const sw_cuda_attention_rows *p, const void *data, const sw_cuda_heads *h, int head) {
    long long at = h->offset;
    for (int i = p->n_batch - 1; i >= 0; i--) {
        int q = head / p->batch[i];
        at += (head - q * p->batch[i]) * h->batch[i];
        head = q;
    }
    return (const cell *)data + at;
}

// Rows `row` and `row + 8` of the keys or queries, SHARE chunks each; zeros where there are none.
DEV void load_rows(vec4 *v, const cell *base, long long along, int row, int rows, int size, int t) {
    UNROLL for (int h = 0; h < 2; h++) {
        UNROLL for (int d = 0; d < SHARE; d++) {
            vec4 zero = {0, 0, 0, 0};
            bool good = row + h * 8 < rows && (d * 4 + t) * CHUNK < size;
            v[h * SHARE + d] = good ? load16(base + (row + h * 8) * along + (d * 4 + t) * CHUNK) : zero;
        }
    }
}

// Keys 2t, 2t + 1, 2t + 8, 2t + 9 from `key` on: NV channels each from NV g on.
DEV void load_values(vec4 (*v)[VALUES], const sw_cuda_attention_rows *p, const cell *base, int key, int g, int t) {
    UNROLL for (int i = 0; i < 4; i++) {
        int row = key + 2 * t + (i & 1) + (i >> 1) * 8;
        const cell *from = base + row * p->value.along + NV * g;
        UNROLL for (int c = 0; c < VALUES; c++) {
            vec4 zero = {0, 0, 0, 0};
            v[i][c] = zero;
            if (row >= p->keys || NV * g + c * CHUNK >= p->value_size) continue;
            if (NV >= CHUNK) {
                v[i][c] = load16(from + c * CHUNK);
            } else {
                v[i][c].x = load4(from), v[i][c].y = load4(from + 2);
            }
        }
    }
}

// One step of the softmax over 16 keys: s becomes their weights relative to the maxima m.
DEV void weigh(const sw_cuda_attention_rows *p, const float *mask, float (*s)[4], float *m, float *l, float *o,
               int query, int key, int t) {
    const float scale = p->scale * 1.44269504f; // powers of 2 are taken below
    UNROLL for (int h = 0; h < 2; h++) {
        float most = m[h];
        UNROLL for (int i = 0; i < 4; i++) {
            float *x = &s[i >> 1][h * 2 + (i & 1)];
            int k = key + (i >> 1) * 8 + 2 * t + (i & 1);
            *x *= scale;
            if (mask && k < p->keys && query + h * 8 < p->queries)
                *x += 1.44269504f * load_float_const(mask + (size_t)(query + h * 8) * p->keys + k);
            *x = k < p->keys ? *x : -3.0e38f;
            most = maximum(most, *x);
        }
        soften(s, 4, h, most, m, l, o);
    }
}

// All states at once: a warp takes column 2t + e of half of the rows (h), of one of PARTS shares of the tiles.
DEV void finish(const sw_cuda_attention_rows *p, u32 states, cell *results, int query, int warp, int lane) {
    enum { PARTS = WARPS / 4, TILES = NV / PARTS };
    int h = warp >> 1 & 1, e = warp & 1, j0 = (warp >> 2) * TILES, channel = (2 * (lane & 3) + e) * NV + j0;
    float scale[WARPS], most = -3.0e38f, sum = 0, out[TILES];
    UNROLL for (int w = 0; w < WARPS; w++) {
        scale[w] = as_float(shared_load4(states + ((w * STATE + h) * 32 + lane) * 4));
        most = maximum(most, scale[w]);
    }
    UNROLL for (int w = 0; w < WARPS; w++) {
        scale[w] = exp2_fast(scale[w] - most);
        sum += scale[w] * as_float(shared_load4(states + ((w * STATE + 2 + h) * 32 + lane) * 4));
    }
    UNROLL for (int j = 0; j < TILES; j++) {
        out[j] = 0;
        UNROLL for (int w = 0; w < WARPS; w++) {
            u32 word = w * STATE + 4 + (j0 + j) * 4 + h * 2 + e;
            out[j] += scale[w] * as_float(shared_load4(states + (word * 32 + lane) * 4));
        }
    }
    if (query + h * 8 >= p->queries) return;
    cell *to = results + (query + h * 8) * p->result.along + channel;
    float by = 1.f / sum;
    UNROLL for (int j = 0; j < TILES; j += 2) {
        if (channel + j < p->value_size) store_pair(to + j, out[j] * by, out[j + 1] * by);
    }
}

KERNEL(attention_rows, sw_cuda_attention_rows) {
    const sw_cuda_attention_rows *p = ARGS;
    int lane = thread_id() & 31, warp = thread_id() >> 5, g = lane >> 2, t = lane & 3;
    int head = block_row(), query = block_id() * 16 + g;
    const cell *queries = head_at(p, p->q, &p->query, head), *keys = head_at(p, p->k, &p->key, head),
               *values = head_at(p, p->v, &p->value, head);
    const float *mask =
        p->mask ? (const float *)p->mask + (size_t)(head % p->masks) * p->queries * p->keys : (const float *)0;
    wait_for_predecessor();

    vec4 q[2 * SHARE], k0[2 * SHARE];
    load_rows(q, queries, p->query.along, query, p->queries, p->size, t);
    float o[NV * 4], m[2] = {-3.0e38f, -3.0e38f}, l[2] = {0, 0};
    UNROLL for (int i = 0; i < NV * 4; i++) o[i] = 0;
    for (int key = warp * KEYS; key < p->keys; key += WARPS * KEYS) {
        vec4 v[4][VALUES];
        load_rows(k0, keys, p->key.along, key + g, p->keys, p->size, t);
        if (!LATE) load_values(v, p, values, key, g, t);
        float s[2][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
        multiply_rows(s, q, k0);
        weigh(p, mask, s, m, l, o, query, key, t);
        if (LATE) load_values(v, p, values, key, g, t);
        add_weighted(o, s, v);
    }
    sum_weights(l);
    u32 states = shared_base();
    hand_over(o, m, l, states + warp * STATE * 128, lane);
    barrier();
    finish(p, states, (cell *)head_at(p, p->out, &p->result, head), query, warp, lane);
}
