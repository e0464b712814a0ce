// Products of float32 without tensor cores: a block of 256 threads makes 32 x 32 of the result, depth 32 at a time through shared
// memory, where rows are 33 words apart; a thread has column x of rows y, y + 8, y + 16, y + 24.
enum { SQUARE = 32, SQUARE_BYTES = SQUARE * (SQUARE + 1) * 4 };

DEV u32 square_at(int row, int column) {
    return (row * (SQUARE + 1) + column) * 4;
}

// acc += a b of what lies in shared memory.
DEV void multiply_square(float *acc, u32 a, u32 b, int x, int y) {
    for (int k = 0; k < SQUARE; k++) {
        float v = as_float(shared_load4(b + square_at(k, x)));
        UNROLL for (int i = 0; i < 4; i++) acc[i] += as_float(shared_load4(a + square_at(y + i * 8, k))) * v;
    }
}
