// What kernels of two convolutions have in common: tiles of a picture, and products of operands that lie in shared memory, rows
// of them an odd number of 16 bytes apart.
typedef struct place {
    int n, y, x; // the picture, and the first output pixel
} place;

DEV place place_of(const sw_cuda_pair *p, int tile) {
    int q = fast_div(tile, p->by_tiles_across), n = fast_div(q, p->by_tiles_down);
    place at = {n, (q - n * p->tiles_down) * p->tile_height, (tile - q * p->tiles_across) * p->tile_width};
    return at;
}

// This lane's row of weights for the tiles of a warp along the channels.
DEV u32 row_of_weights(u32 weights, int warp, int nt, int line) {
    int lane = thread_id() & 31;
    return weights + ((warp * nt * 8 + (lane >> 4) * 8 + (lane & 7)) * line + (lane >> 3 & 1)) * 16;
}

// A product of depth 16 of mt x nt tiles: `at` has this lane's pixel of each, weights its row of the first channels; `line`
// chunks from a row of weights to the next.
DEV void multiply_step(float *acc, const u32 *at, u32 offset, u32 weights, int mt, int nt, int line) {
    u32 a[4], b[16];
    UNROLL for (int j = 0; j + 1 < nt; j += 2) load_matrix4(b + j * 2, weights + j * 8 * line * 16);
    if (nt % 2) load_matrix2(b + (nt - 1) * 2, weights + (nt - 1) * 8 * line * 16);
    UNROLL for (int i = 0; i < mt; i++) {
        load_matrix4(a, at[i] + offset);
        UNROLL for (int j = 0; j < nt; j++) multiply(acc + (i * nt + j) * 4, a, b + 2 * j);
    }
}
