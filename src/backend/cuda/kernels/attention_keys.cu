// Self-attention over the pixels of a map, scores never leaving the registers. A block takes 16 queries of one head for each of
// its QUERIES warps; KEYS such teams share the keys, 64 at a time, each with running maxima and sums, and merge in the end,
// pair by pair. Keys and values come through two buffers of each team by asynchronous copies.
#include "args.h"
#include "ptx.cuh"

enum {
    TEAM = 32 * QUERIES,
    THREADS = TEAM * KEYS,
    STEP = 64, // keys
    NV = DV / 8,
    BUFFER = STEP * (DQ + DV) * 2,
    STATE = NV * 4 + 4, // words that a lane hands over in the merge
    WARPS = QUERIES * KEYS,
};

#include "attention.cuh"

// Where a chunk of row `row` lies in rows of `chunks`: spread over all banks.
DEV u32 chunk_at(int row, int chunk, int chunks) {
    return (row * chunks + (chunk ^ (chunks == 8 ? row & 7 : row >> 1 & 3))) * 16;
}

// `chunks` of each of 64 rows from `from` on, of which `left` are there.
DEV void load_rows(const f16 *from, int pitch, u32 to, int left, int member, int chunks) {
    int chunk = member % chunks, first = member / chunks;
    UNROLL for (int i = 0; i < STEP; i += TEAM / chunks) {
        int row = first + i;
        copy16(to + chunk_at(row, chunk, chunks), from + (size_t)row * pitch + chunk * 8, row < left);
    }
}

DEV void load_keys(const sw_cuda_attention *p, const f16 *base, u32 buffer, int key, int member) {
    const f16 *from = base + (size_t)key * p->qkv_pitch + DQ;
    load_rows(from, p->qkv_pitch, buffer, p->tokens - key, member, DQ / 8);
    load_rows(from + DQ, p->qkv_pitch, buffer + STEP * DQ * 2, p->tokens - key, member, NV);
}

// The scores of 64 keys, as powers of 2.
DEV void multiply_keys(const u32 (*q)[4], u32 buffer, int lane, float (*s)[4]) {
    UNROLL for (int j = 0; j < STEP / 8; j++) {
        UNROLL for (int e = 0; e < 4; e++) s[j][e] = 0;
        UNROLL for (int d = 0; d < DQ / 32; d++) {
            u32 k[4];
            load_matrix4(k, buffer + chunk_at(j * 8 + (lane & 7), d * 4 + (lane >> 3), DQ / 8));
            multiply(s[j], q[d * 2], k);
            multiply(s[j], q[d * 2 + 1], k + 2);
        }
    }
}

// Turns scores into weights relative to the largest so far; fades what was summed before.
DEV void weigh(float (*s)[4], float scale, int left, int t, float *m, float *l, float *o) {
    UNROLL for (int i = 0; i < STEP / 2; i++) s[i >> 2][i & 3] *= scale;
    if (left < STEP) {
        UNROLL for (int i = 0; i < STEP / 2; i++) if ((i >> 2) * 8 + 2 * t + (i & 1) >= left) s[i >> 2][i & 3] = -60000.f;
    }
    UNROLL for (int h = 0; h < 2; h++) {
        float most = m[h];
        UNROLL for (int i = 0; i < STEP / 4; i++) most = maximum(most, s[i >> 1][h * 2 + (i & 1)]);
        soften(s, STEP / 4, h, most, m, l, o);
    }
}

DEV void add_values(const float (*s)[4], u32 values, int left, int lane, float *o) {
    UNROLL for (int k = 0; k < STEP / 16; k++) {
        if (k * 16 >= left) return;
        const float *x = s[k * 2], *y = s[k * 2 + 1];
        u32 weights[4] = {pack(x[0], x[1]), pack(x[2], x[3]), pack(y[0], y[1]), pack(y[2], y[3])};
        UNROLL for (int j = 0; j < NV; j += 2) {
            u32 v[4];
            load_matrix4_across(v, values + chunk_at(k * 16 + (lane & 15), j + (lane >> 4), NV));
            multiply(o + j * 4, weights, v);
            multiply(o + j * 4 + 4, weights, v + 2);
        }
    }
}

DEV void copy_values(const sw_cuda_attention *p, const f16 *base, int n, int head, int query) {
    for (int i = thread_id(); i < 16 * QUERIES * NV; i += THREADS) {
        int row = query + i / NV, c = i % NV * 8;
        if (row < p->tokens)
            store16((f16 *)p->values + ((size_t)n * p->tokens + row) * p->values_pitch + head * DV + c,
                    load16(base + 2 * DQ + (size_t)row * p->qkv_pitch + c));
    }
}

KERNEL(attention, sw_cuda_attention) {
    const sw_cuda_attention *p = ARGS;
    int lane = thread_id() & 31, warp = thread_id() >> 5, g = lane >> 2, t = lane & 3;
    int team = warp / QUERIES, member = thread_id() - team * TEAM;
    int head = block_row() % p->heads, n = block_row() / p->heads, query = block_id() * 16 * QUERIES;
    const f16 *base = (const f16 *)p->qkv + (size_t)n * p->tokens * p->qkv_pitch + head * p->head;
    u32 buffer = shared_base() + team * 2 * BUFFER, other = buffer + BUFFER;
    wait_for_predecessor();

    int key = team * STEP;
    if (key < p->tokens) load_keys(p, base, buffer, key, member);
    copy_commit();
    u32 q[DQ / 16][4];
    UNROLL for (int h = 0; h < 2; h++) {
        int row = query + (warp - team * QUERIES) * 16 + h * 8 + g;
        const f16 *from = base + (size_t)(row < p->tokens ? row : 0) * p->qkv_pitch + 2 * t;
        UNROLL for (int d = 0; d < DQ / 16; d++) q[d][h] = load4(from + d * 16), q[d][2 + h] = load4(from + d * 16 + 8);
    }
    float o[NV * 4], m[2] = {-60000.f, -60000.f}, l[2] = {0, 0};
    UNROLL for (int i = 0; i < NV * 4; i++) o[i] = 0;
    const float scale = p->scale * 1.44269504f; // powers of 2 are taken
    for (; key < p->tokens; key += KEYS * STEP) {
        float s[STEP / 8][4];
        copy_wait(0);
        barrier_of(team + 1, TEAM);
        if (key + KEYS * STEP < p->tokens) load_keys(p, base, other, key + KEYS * STEP, member);
        copy_commit();
        multiply_keys(q, buffer, lane, s);
        weigh(s, scale, p->tokens - key, t, m, l, o);
        add_values(s, buffer + STEP * DQ * 2, p->tokens - key, lane, o);
        u32 next = other;
        other = buffer, buffer = next;
    }
    copy_wait(0);
    sum_weights(l);
    if (p->values) copy_values(p, base, n, head, query);
    barrier(); // states lie where keys did
    barrier(); // for compute-sanitizer's racecheck, which believes one only where all teams went as often through the loop
    merge_warps(o, m, l, shared_base(), warp, lane);
    if (team > 0) return;
    UNROLL for (int h = 0; h < 2; h++) {
        int row = query + warp * 16 + h * 8 + g;
        if (row >= p->tokens) continue;
        float by = reciprocal(l[h]);
        f16 *out = (f16 *)p->out + ((size_t)n * p->tokens + row) * p->out_pitch + head * DV + 2 * t;
        UNROLL for (int j = 0; j < NV; j++) store4(out + j * 8, pack(o[j * 4 + h * 2] * by, o[j * 4 + h * 2 + 1] * by));
    }
}
