// What attention kernels share: warps that hold 16 queries, sums and maxima of their own share of the keys. The includer sets
// NV, the tiles of 8 channels of the values, and STATE, the words that a lane hands over in the merge.
DEV u32 word_of(vec4 v, int i) {
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}
DEV u32 half_at(const vec4 *v, int i) { // of the NV halves that a lane loaded
    u32 w = word_of(v[i / 8], i / 2 % 4);
    return i & 1 ? w >> 16 : w & 0xffff;
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
        barrier();
    }
}
