// What attention kernels share: warps that hold 16 queries, sums and maxima of their own share of the keys. The includer sets
// NV, the tiles of 8 channels of the values, and STATE, the words that a lane hands over in the merge.
DEV u32 word_of(vec4 v, int i) {
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}
enum {
    SHARE = DQ / (4 * CHUNK),          // a lane's chunks of a query or key
    VALUES = (NV + CHUNK - 1) / CHUNK, // and of a value
};
#ifndef FLOATS
DEV u32 half_at(const vec4 *v, int i) { // of the NV halves that a lane loaded
    u32 w = word_of(v[i / 8], i / 2 % 4);
    return i & 1 ? w >> 16 : w & 0xffff;
}
#endif
DEV void store_pair(cell *to, float a, float b) {
#ifdef FLOATS
    store8(to, rounded(a), rounded(b));
#else
    store4(to, pack(a, b));
#endif
}

// Scores of 16 keys, of operands as load_rows of the kernels has them: rows g and g + 8 of queries, 8 and 8 of the keys.
DEV void multiply_rows(float (*s)[4], const vec4 *q, const vec4 *k) {
    UNROLL for (int d = 0; d < SHARE; d++) {
        vec4 low = q[d], high = q[SHARE + d];
        u32 a0[4] = {low.x, high.x, low.y, high.y}, a1[4] = {low.z, high.z, low.w, high.w};
#ifdef FLOATS // what multiply makes of queries would be kept: there are no registers for that
        UNROLL for (int i = 0; i < 4; i++) a0[i] = fresh(a0[i]), a1[i] = fresh(a1[i]);
#endif
        UNROLL for (int j = 0; j < 2; j++) {
            vec4 b = k[j * SHARE + d];
            u32 b0[2] = {b.x, b.y}, b1[2] = {b.z, b.w};
            multiply(s[j], a0, b0);
            multiply(s[j], a1, b1);
        }
    }
}

// One half (h) of the rows: N / 2 scores a lane, `most` the largest of these and of m, become weights relative to the largest of
// the row; what was summed before fades.
DEV void soften(float (*s)[4], int n, int h, float most, float *m, float *l, float *o) {
    most = maximum(most, shuffle_xor(most, 1));
    most = maximum(most, shuffle_xor(most, 2));
    float fade = exp2_fast(m[h] - most);
    m[h] = most, l[h] *= fade;
    UNROLL for (int i = 0; i < NV * 2; i++) o[(i >> 1) * 4 + h * 2 + (i & 1)] *= fade;
    UNROLL for (int i = 0; i < n; i++) {
        float *x = &s[i >> 1][h * 2 + (i & 1)];
        *x = exp2_fast(*x - most);
        l[h] += *x;
    }
}

// o += weights of 16 keys times their values, of which a lane has NV channels of keys 2t, 2t + 1, 2t + 8, 2t + 9.
DEV void add_weighted(float *o, const float (*s)[4], const vec4 (*v)[VALUES]) {
#ifdef FLOATS
    UNROLL for (int i = 0; i < 2; i++) { // depth t is key 2t, and t + 4 the next
        u32 weights[4] = {rounded(s[i][0]), rounded(s[i][2]), rounded(s[i][1]), rounded(s[i][3])};
        UNROLL for (int j = 0; j < NV; j++) {
            u32 b[2] = {word_of(v[2 * i][j / 4], j % 4), word_of(v[2 * i + 1][j / 4], j % 4)};
            multiply(o + j * 4, weights, b);
        }
    }
#else
    u32 weights[4] = {pack(s[0][0], s[0][1]), pack(s[0][2], s[0][3]), pack(s[1][0], s[1][1]), pack(s[1][2], s[1][3])};
    UNROLL for (int j = 0; j < NV; j++) {
        u32 b[2] = {half_at(v[0], j) | half_at(v[1], j) << 16, half_at(v[2], j) | half_at(v[3], j) << 16};
        multiply(o + j * 4, weights, b);
    }
#endif
}

// The sums of a row's weights over the lanes that share it.
DEV void sum_weights(float *l) {
    UNROLL for (int h = 0; h < 2; h++) {
        l[h] += shuffle_xor(l[h], 1);
        l[h] += shuffle_xor(l[h], 2);
    }
}

// Leaves a warp's state in shared memory: o and l are sums relative to the maxima m.
DEV void hand_over(const float *o, const float *m, const float *l, u32 state, int lane) {
    UNROLL for (int h = 0; h < 2; h++) {
        shared_store4(state + (h * 32 + lane) * 4, as_bits(m[h]));
        shared_store4(state + ((2 + h) * 32 + lane) * 4, as_bits(l[h]));
    }
    UNROLL for (int i = 0; i < NV * 4; i++) shared_store4(state + ((4 + i) * 32 + lane) * 4, as_bits(o[i]));
}

// Merges another warp's state into this one's.
DEV void merge(float *o, float *m, float *l, u32 state, int lane) {
    float scale[2][2];
    UNROLL for (int h = 0; h < 2; h++) {
        float om = as_float(shared_load4(state + (h * 32 + lane) * 4));
        float ol = as_float(shared_load4(state + ((2 + h) * 32 + lane) * 4));
        float most = maximum(m[h], om);
        scale[h][0] = exp2_fast(m[h] - most), scale[h][1] = exp2_fast(om - most);
        m[h] = most, l[h] = l[h] * scale[h][0] + ol * scale[h][1];
    }
    UNROLL for (int i = 0; i < NV * 4; i++) {
        int h = i >> 1 & 1;
        o[i] = o[i] * scale[h][0] + as_float(shared_load4(state + ((4 + i) * 32 + lane) * 4)) * scale[h][1];
    }
}

// Pair by pair, until the first warp holds the result; or with QUERIES, that many warps each those of their own queries. WARPS
// of the block.
#ifndef QUERIES
#define QUERIES 1
#endif
DEV void merge_warps(float *o, float *m, float *l, u32 shared, int warp, int lane) {
    for (int half = WARPS / 2; half >= QUERIES; half /= 2) {
        u32 state = shared + warp % half * STATE * 128;
        if (warp >= half && warp < 2 * half) hand_over(o, m, l, state, lane);
        barrier();
        if (warp < half) merge(o, m, l, state, lane);
        if (half / 2 >= QUERIES) barrier();
    }
}
