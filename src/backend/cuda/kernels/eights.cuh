// Eight channels of a pixel of a map, as they lie: 16 bytes, or 32 of float32.
typedef struct eight {
    vec4 v[8 / CHUNK];
} eight;

DEV eight load_eight(const void *p) {
    eight e;
    UNROLL for (int i = 0; i < 8 / CHUNK; i++) e.v[i] = load16((const char *)p + 16 * i);
    return e;
}
DEV eight load_eight_const(const void *p) {
    eight e;
    UNROLL for (int i = 0; i < 8 / CHUNK; i++) e.v[i] = load16_const((const char *)p + 16 * i);
    return e;
}
DEV void store_eight(void *p, eight e) {
    UNROLL for (int i = 0; i < 8 / CHUNK; i++) store16((char *)p + 16 * i, e.v[i]);
}
DEV float part_of(eight v, int i) {
    vec4 q = v.v[i / CHUNK];
#ifdef FLOATS
    return as_float(i % 4 == 0 ? q.x : i % 4 == 1 ? q.y : i % 4 == 2 ? q.z : q.w);
#else
    u32 w = i < 2 ? q.x : i < 4 ? q.y : i < 6 ? q.z : q.w;
    return i & 1 ? unpack_high(w) : unpack_low(w);
#endif
}
DEV void unpack8(eight v, float *f) {
    UNROLL for (int i = 0; i < 8; i++) f[i] = part_of(v, i);
}
DEV eight pack8(const float *f) {
    eight e;
#ifdef FLOATS
    UNROLL for (int i = 0; i < 2; i++) {
        vec4 v = {rounded(f[4 * i]), rounded(f[4 * i + 1]), rounded(f[4 * i + 2]), rounded(f[4 * i + 3])};
        e.v[i] = v;
    }
#else
    vec4 v = {pack(f[0], f[1]), pack(f[2], f[3]), pack(f[4], f[5]), pack(f[6], f[7])};
    e.v[0] = v;
#endif
    return e;
}
DEV float load_cell(const cell *p) {
#ifdef FLOATS
    return load_float(p);
#else
    return unpack_low(load_half(p));
#endif
}
DEV void store_cell(cell *p, float v) {
#ifdef FLOATS
    store4(p, rounded(v));
#else
    store_half(p, pack(v, 0.f));
#endif
}
