// Convolution as a matrix product on tensor cores: rows are output pixels, columns output channels, the depth is kernel_h *
// kernel_w * in_channels. A block makes BM x BN of them with WM x WN x WK warps, of which WK share the depth; operands come
// through STAGES buffers of depth BK by asynchronous copies. With WGMMA the products are those of warp groups of four warps, with
// OVERLAP those of two stages at a time: copies go into the buffer of the stage before the last then.
//
// Every 16-byte chunk of the depth lies within one tap of the kernel, so that padding is a mask of taps for each row and a
// copy of size zero. Weight rows are permuted while loading (`channel_of_row`), so that a thread ends up with 2 NT
// neighbouring channels and stores them with wide writes.
#include "args.h"
#include "ptx.cuh"
#ifdef WGMMA
#include "wgmma.cuh"
#endif

enum {
    THREADS = 32 * WM * WN * WK,
    CHUNKS = BK / 8, // of 16 bytes in a row of a buffer: BK counts halves
    DEPTH = CHUNKS * CHUNK,
    ROWS = THREADS / CHUNKS, // that all threads load at a time
    A_LOADS = (BM + ROWS - 1) / ROWS,
    B_LOADS = (BN + ROWS - 1) / ROWS,
    MT = BM / WM / 16, // tiles of 16 rows and of 8 columns of a warp
    NT = BN / WN / 8,
    STAGE = (BM + BN) * BK * 2, // bytes
#ifdef OVERLAP
    AHEAD = STAGES - 2, // stages that are under way
#else
    AHEAD = STAGES - 1,
#endif
};

#ifdef OF_ROWS
#define EARLY_TILES 0 // rows.cuh has its own end
#endif
#include "tile.cuh"
#ifdef OF_ROWS
#include "rows.cuh"
#endif
enum { SUMS = (WK - 1) * BM * BN * 4, ENDS_AT = STAGES * STAGE > SUMS ? STAGES * STAGE : SUMS };

// Bias and residual of small tiles come to shared memory with the first stage, not a round trip to L2 after the last one: floats
// of BN channels, then BN halves of each pixel. In registers the loop would wait for them.
DEV void copy_ends(const sw_cuda_conv *p, u32 to, int m0, int n0) {
    int thread = thread_id();
    bool biased = thread < BN / 4 && n0 + thread * 4 < p->out_channels;
    if (thread < BN / 4) copy16(to + thread * 16, (const float *)p->bias + (biased ? n0 + thread * 4 : 0), biased);
    if (!p->residual) return;
    for (int i = thread; i < BM * BN / 8; i += THREADS) {
        int m = m0 + i / (BN / 8), channel = n0 + i % (BN / 8) * 8;
        bool good = m < p->pixels && channel < p->out_channels;
        size_t at = good ? (size_t)residual_pixel(p, m) * p->residual_pitch + channel : 0;
        copy16(to + BN * 4 + i * 16, (const f16 *)p->residual + at, good);
    }
}

// Adds the bias; a thread's first row and column of the tile.
DEV void read_ends(const sw_cuda_conv *p, u32 from, float *acc, u32 *more, int row, int column) {
    float bias[2 * NT];
    UNROLL for (int i = 0; i < 2 * NT; i++) bias[i] = as_float(shared_load4(from + (column + i) * 4));
    UNROLL for (int i = 0; i < MT * NT * 4; i++) acc[i] += bias[i / 4 % NT * 2 + (i & 1)];
    if (!p->residual) return;
    UNROLL for (int i = 0; i < MORE; i++) {
        int at = (row + (i / NT >> 1) * 16 + (i / NT & 1) * 8) * BN + column + i % NT * 2;
        more[i] = shared_load4(from + BN * 4 + at * 2);
    }
}

// Spreads the chunks of a column over all banks; for BK 64 this is the 128-byte swizzle of wgmma.
DEV int swizzle(int row, int chunk) {
    return BK == 16 ? chunk ^ (row >> 2 & 1) : BK == 32 ? chunk ^ (row >> 1 & 3) : chunk ^ (row & 7);
}

// Tensor cores cut off what they add to: float32 is summed up by stages, so that this does not add up over the depth.
#if defined(FLOATS) && !defined(TF32)
#define SUMS_OF_STAGES
#endif

// One stage of depth BK: acc += A B.
#ifdef WGMMA
DEV void multiply_stage(float *acc, u32 a, u32 b, int wm, int wn, int wk, int lane) {
    const u64 form =
        (u64)1 << 62 | (u64)64 << 32 | (u64)1 << 16; // 128-byte swizzle, 1,024 bytes from 8 rows to the next
    a += (wm >> 2) * 64 * BK * 2;
    warpgroup_fence();
    UNROLL for (int k = 0; k < BK / 16; k++)
        warpgroup_multiply(acc, form | (a + k * 32) >> 4, form | (b + k * 32) >> 4);
    warpgroup_commit();
}
#elif defined(BY_ADDING)
// Without tensor cores: a thread has the sums that `multiply` would leave it.
DEV void multiply_stage(float *acc, u32 a, u32 b, int wm, int wn, int wk, int lane) {
    UNROLL for (int q = 0; q < CHUNKS / WK; q++) {
        int chunk = q * WK + wk;
        vec4 fa[2 * MT], fb[2 * NT];
        UNROLL for (int i = 0; i < 2 * MT; i++) {
            int row = wm * MT * 16 + i * 8 + (lane >> 2);
            fa[i] = shared_load16(a + (row * CHUNKS + swizzle(row, chunk)) * 16);
        }
        UNROLL for (int j = 0; j < 2 * NT; j++) {
            int row = wn * NT * 8 + (j >> 1) * 8 + (lane & 3) * 2 + (j & 1);
            fb[j] = shared_load16(b + (row * CHUNKS + swizzle(row, chunk)) * 16);
        }
        UNROLL for (int i = 0; i < 2 * MT; i++) {
            UNROLL for (int j = 0; j < 2 * NT; j++) {
                float *s = acc + ((i >> 1) * NT + (j >> 1)) * 4 + (i & 1) * 2 + (j & 1);
                *s += as_float(fa[i].x) * as_float(fb[j].x);
                *s += as_float(fa[i].y) * as_float(fb[j].y);
                *s += as_float(fa[i].z) * as_float(fb[j].z);
                *s += as_float(fa[i].w) * as_float(fb[j].w);
            }
        }
    }
}
#else
DEV void multiply_stage(float *acc, u32 a, u32 b, int wm, int wn, int wk, int lane) {
#ifdef SUMS_OF_STAGES
    float sums[MT * NT * 4];
    UNROLL for (int i = 0; i < MT * NT * 4; i++) sums[i] = 0;
#else
    float *sums = acc;
#endif
    UNROLL for (int q = 0; q < BK / 16 / WK; q++) {
        int chunk = (q * WK + wk) * 2;
        u32 fa[MT][4], fb[NT + 1][2];
        UNROLL for (int i = 0; i < MT; i++) {
            int row = wm * MT * 16 + i * 16 + (lane & 15);
            load_matrix4(fa[i], a + (row * CHUNKS + swizzle(row, chunk + (lane >> 4))) * 16);
        }
        UNROLL for (int j = 0; j + 1 < NT; j += 2) {
            int row = wn * NT * 8 + j * 8 + (lane >> 4) * 8 + (lane & 7);
            load_matrix4(fb[j], b + (row * CHUNKS + swizzle(row, chunk + (lane >> 3 & 1))) * 16);
        }
        if (NT % 2) {
            int row = wn * NT * 8 + (NT - 1) * 8 + (lane & 7);
            load_matrix2(fb[NT - 1], b + (row * CHUNKS + swizzle(row, chunk + (lane >> 3 & 1))) * 16);
        }
        UNROLL for (int i = 0; i < MT; i++) {
            UNROLL for (int j = 0; j < NT; j++) multiply(sums + (i * NT + j) * 4, fa[i], fb[j]);
        }
    }
#ifdef SUMS_OF_STAGES
    UNROLL for (int i = 0; i < MT * NT * 4; i++) acc[i] += sums[i];
#endif
}
#endif

KERNEL(conv, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    int thread = thread_id(), lane = thread & 31, warp = uniform(thread >> 5);
    int wk = warp / (WM * WN), tile = warp % (WM * WN), wm = tile / WN, wn = tile % WN;
    int block_m = fast_div(block_id(), p->by_column_tiles), block_n = block_id() - block_m * p->column_tiles;
    int m0 = block_m * BM, n0 = block_n * BN, depth = p->kernel_h * p->kernel_w * p->in_channels;
    int stages = (depth + DEPTH - 1) / DEPTH, chunk = thread % CHUNKS, row0 = thread / CHUNKS;
    u32 shared = shared_base();

    // Weights do not depend on the kernel before: their first stages are on the way before it ends.
    const cell *weights[B_LOADS];
    bool weights_good[B_LOADS];
    u32 a_at[A_LOADS], b_at[B_LOADS];
    UNROLL for (int i = 0; i < B_LOADS; i++) {
        int row = row0 + i * ROWS, n = n0 + channel_of_row(row);
        weights_good[i] = row < BN && n < p->out_channels;
        weights[i] = (const cell *)p->weights + (weights_good[i] ? (size_t)n * depth : 0);
        b_at[i] = shared + BM * BK * 2 + (row * CHUNKS + swizzle(row, chunk)) * 16;
    }
    int k_b = chunk * CHUNK;
#define LOAD_B(stage)                                                                                                  \
    {                                                                                                                  \
        UNROLL for (int i = 0; i < B_LOADS; i++) {                                                                     \
            if (BN % ROWS == 0 || row0 + i * ROWS < BN) {                                                              \
                bool good = weights_good[i] && k_b < depth;                                                            \
                copy16(b_at[i] + (stage)*STAGE, weights[i] + (good ? k_b : 0), good);                                  \
            }                                                                                                          \
        }                                                                                                              \
        k_b += DEPTH;                                                                                                  \
    }
    UNROLL for (int s = 0; s < AHEAD; s++) {
        if (s < stages) LOAD_B(s)
    }
    int offset[A_LOADS];
    u32 mask[A_LOADS];
    UNROLL for (int i = 0; i < A_LOADS; i++) {
        int row = row0 + i * ROWS;
        find_window(p, row < BM ? m0 + row : p->pixels, &offset[i], &mask[i]);
        a_at[i] = shared + (row * CHUNKS + swizzle(row, chunk)) * 16;
    }
    wait_for_predecessor();

    int tap = fast_div(chunk * CHUNK, p->by_in_channels), c = chunk * CHUNK - tap * p->in_channels;
    const cell *in = (const cell *)p->in;
#define LOAD_A(stage)                                                                                                  \
    {                                                                                                                  \
        int tap_y = fast_div(tap, p->by_kernel_w), tap_x = tap - tap_y * p->kernel_w;                                  \
        int tap_at = (tap_y * p->dilation_h * p->width + tap_x * p->dilation_w) * p->in_pitch + c;                     \
        UNROLL for (int i = 0; i < A_LOADS; i++) {                                                                     \
            if (BM % ROWS == 0 || row0 + i * ROWS < BM) {                                                              \
                bool good = tap < 32 && (mask[i] >> (tap & 31) & 1);                                                   \
                copy16(a_at[i] + (stage)*STAGE, in + (good ? offset[i] + tap_at : 0), good);                           \
            }                                                                                                          \
        }                                                                                                              \
        for (c += DEPTH; c >= p->in_channels; tap++) c -= p->in_channels;                                              \
    }
    UNROLL for (int s = 0; s < AHEAD; s++) {
        if (s < stages) LOAD_A(s)
        if (EARLY && s == 0) copy_ends(p, shared + ENDS_AT, m0, n0);
        copy_commit();
    }
    float acc[MT * NT * 4];
    UNROLL for (int i = 0; i < MT * NT * 4; i++) acc[i] = 0;
    int now = 0, next = AHEAD;
    for (int k = 0; k < stages; k++) {
        copy_wait(AHEAD - 1);
#ifdef WGMMA
        async_proxy_fence();
#endif
        barrier();
#ifdef WGMMA
        multiply_stage(acc, shared + now * STAGE, shared + now * STAGE + BM * BK * 2, wm, wn, wk, lane);
#endif
        if (k + AHEAD < stages) {
            LOAD_B(next)
            LOAD_A(next)
        }
        copy_commit();
#ifdef WGMMA
#ifdef OVERLAP
        warpgroup_wait(1);
#else
        warpgroup_wait(0);
#endif
#else
        multiply_stage(acc, shared + now * STAGE, shared + now * STAGE + BM * BK * 2, wm, wn, wk, lane);
#endif
        now = now + 1 == STAGES ? 0 : now + 1;
        next = next + 1 == STAGES ? 0 : next + 1;
    }
#ifdef OVERLAP
    warpgroup_wait(0);
#endif
    copy_wait(0);
    if (!add_slices(acc, shared, tile, wk, lane)) return;
    int row = wm * MT * 16 + (lane >> 2), column = wn * NT * 8 + (lane & 3) * GROUP, pixel[MT * 2];
    u32 more[MORE];
    pixels_from(m0 + row, pixel);
    if (EARLY)
        read_ends(p, shared + ENDS_AT, acc, more, row, column);
    else
        add_bias(p, acc, n0 + column);
    finish(p, acc, pixel, n0 + column, more);
}
