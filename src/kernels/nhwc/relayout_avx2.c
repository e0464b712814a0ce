/* Relayout of float32 maps on AVX2: squares of 8 pixels x 8 channels, and pictures of three channels. */
#include "kernels/fast.h"
#include "kernels/vec_avx2.h"

enum { BLOCK = 64 }; /* pixels at a time */

typedef struct work {
    const float *from;
    float *to;
    int64_t pixels, channels, pitch, blocks;
} work;

/* At most 8 x 8: `rows` rows of `cols` floats become columns. */
SW_INLINE void square(const float *from, int64_t from_step, float *to, int64_t to_step, int64_t rows, int64_t cols) {
    vf r[8];
    SW_UNROLL
    for (int64_t i = 0; i < 8; i++)
        r[i] = i >= rows   ? _mm256_setzero_ps()
               : cols == 8 ? vf_load(from + i * from_step)
                           : vf_load_n(from + i * from_step, cols);
    vf_transpose(r);
    SW_UNROLL
    for (int64_t i = 0; i < 8; i++) {
        if (i >= cols) break;
        if (rows == 8)
            vf_store(to + i * to_step, r[i]);
        else
            vf_store_n(to + i * to_step, r[i], rows);
    }
}

/* A matrix of rows x cols. */
static void transpose(const float *from, int64_t from_step, float *to, int64_t to_step, int64_t rows, int64_t cols) {
    for (int64_t y = 0; y < rows; y += 8)
        for (int64_t x = 0; x < cols; x += 8) {
            const float *f = from + y * from_step + x;
            float *t = to + x * to_step + y;
            if (rows - y >= 8 && cols - x >= 8)
                square(f, from_step, t, to_step, 8, 8);
            else
                square(f, from_step, t, to_step, rows - y < 8 ? rows - y : 8, cols - x < 8 ? cols - x : 8);
        }
}

static void interleave_3(const float *a, const float *b, const float *c, float *to, int64_t n) {
    int64_t i = 0;
    for (; i + VF <= n; i += VF, to += 3 * VF) vf_interleave_3(a + i, b + i, c + i, to);
    for (; i < n; i++, to += 3) to[0] = a[i], to[1] = b[i], to[2] = c[i];
}

static void to_pixels(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t n = i / w->blocks, first = i % w->blocks * BLOCK,
                count = w->pixels - first < BLOCK ? w->pixels - first : BLOCK;
        const float *from = w->from + n * w->channels * w->pixels + first;
        float *to = w->to + (n * w->pixels + first) * w->pitch;
        if (w->channels == 3 && w->pitch == 3)
            interleave_3(from, from + w->pixels, from + 2 * w->pixels, to, count);
        else
            transpose(from, w->pixels, to, w->pitch, w->channels, count);
    }
}

static void to_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t n = i / w->blocks, first = i % w->blocks * BLOCK,
                count = w->pixels - first < BLOCK ? w->pixels - first : BLOCK;
        transpose(w->from + (n * w->pixels + first) * w->pitch, w->pitch, w->to + n * w->channels * w->pixels + first,
                  w->pixels, count, w->channels);
    }
}

bool sw__relayout_avx2(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    if (x->dtype != SW_F32 || y->dtype != SW_F32 || x->rank != 4 || x->layout == y->layout) return false;
    work w = {.from = x->data, .to = y->data, .channels = x->dims[1], .pixels = x->dims[2] * x->dims[3]};
    w.blocks = (w.pixels + BLOCK - 1) / BLOCK;
    w.pitch = y->layout == SW_ROW_MAJOR ? x->pitch : y->pitch;
    sw_pool_for(c->pool, x->dims[0] * w.blocks, 1 + 4096 / (BLOCK * (w.channels + 1)),
                y->layout == SW_ROW_MAJOR ? to_rows : to_pixels, &w);
    return true;
}
