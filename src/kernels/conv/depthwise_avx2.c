/* Depthwise convolution on AVX2 and FMA: four output columns x 16 channels at a time, so that weights are loaded
 * once for four. */
#include <string.h>

#include "base/cpu.h"
#include "kernels/conv/epilogue_avx2.h"
#include "kernels/conv/tactics.h"
#include "kernels/wide.h"

enum { COLUMNS = 4, MOST_TAPS = 121 };

static int64_t channels8(const sw_conv *c) {
    return (c->out_channels + 7) / 8 * 8;
}

typedef struct job {
    const sw_conv *c;
    const float *packed, *in, *residual;
    float *out, *scratch;
} job;

/* Where the samples of COLUMNS output columns lie: taps[t] of the first, the others `step` floats on; or, at the
 * borders, each of its own in border[t][column], with zeros where there is no input. */
typedef struct samples {
    int64_t taps, step;
    const float *tap[MOST_TAPS];
    const float *border[MOST_TAPS][COLUMNS];
    const float *weights[MOST_TAPS];
} samples;

/* Columns of a row of the output: `count` of them from one of the map; `unused` takes the place of the others. */
typedef struct target {
    float *to[COLUMNS];
    const float *residual[COLUMNS];
} target;

/* 8 * vectors channels from `channel`; n < 8 where there are no more (one vector). */
SW_INLINE void columns(const job *j, const samples *s, const target *t, int64_t channel, int vectors, int64_t n,
                       bool border) {
    v8 acc[2][COLUMNS];
    SW_UNROLL
    for (int v = 0; v < vectors; v++) {
        SW_UNROLL
        for (int i = 0; i < COLUMNS; i++) acc[v][i] = v8_load(j->packed + channel + 8 * v);
    }
    for (int64_t tap = 0; tap < s->taps; tap++) {
        const float *w = s->weights[tap] + channel;
        SW_UNROLL
        for (int v = 0; v < vectors; v++) {
            v8 weight = v8_load(w + 8 * v);
            SW_UNROLL
            for (int i = 0; i < COLUMNS; i++) {
                const float *x = (border ? s->border[tap][i] : s->tap[tap] + i * s->step) + channel + 8 * v;
                acc[v][i] = v8_fma(n == 8 ? v8_load(x) : v8_load_n(x, n), weight, acc[v][i]);
            }
        }
    }
    SW_UNROLL
    for (int v = 0; v < vectors; v++) {
        float *to[COLUMNS];
        const float *residual[COLUMNS];
        SW_UNROLL
        for (int i = 0; i < COLUMNS; i++) {
            to[i] = t->to[i] + channel + 8 * v;
            residual[i] = t->residual[i] + channel + 8 * v;
        }
        sw__finish_v8(j->c, acc[v], to, residual, COLUMNS, n);
    }
}

SW_INLINE void all_channels(const job *j, const samples *s, const target *t, bool border) {
    int64_t channel = 0, n = j->c->out_channels;
    for (; channel + 16 <= n; channel += 16) columns(j, s, t, channel, 2, 8, border);
    for (; channel + 8 <= n; channel += 8) columns(j, s, t, channel, 1, 8, border);
    if (channel < n) columns(j, s, t, channel, 1, n - channel, border);
}

static void inside(const job *j, const samples *s, const target *t) {
    all_channels(j, s, t, false);
}
static void at_border(const job *j, const samples *s, const target *t) {
    all_channels(j, s, t, true);
}

/* Fills in the samples of the columns from ox on; false where all taps of kernel rows that count have their input. */
static bool gather(const job *j, samples *s, int64_t n, int64_t oy, int64_t ox, const float *zeros) {
    const sw_conv *c = j->c;
    int64_t x0 = ox * c->stride_w - c->pad_left,
            last = x0 + (COLUMNS - 1) * c->stride_w + (c->kernel_w - 1) * c->dilation_w;
    bool border = x0 < 0 || last >= c->width;
    s->taps = 0;
    s->step = c->stride_w * c->in_pitch;
    for (int64_t ky = 0; ky < c->kernel_h; ky++) {
        int64_t y = oy * c->stride_h - c->pad_top + ky * c->dilation_h;
        if (y < 0 || y >= c->height) continue;
        const float *row = j->in + (n * c->height + y) * c->width * c->in_pitch;
        for (int64_t kx = 0; kx < c->kernel_w; kx++, s->taps++) {
            int64_t x = x0 + kx * c->dilation_w;
            s->weights[s->taps] = j->packed + (ky * c->kernel_w + kx + 1) * channels8(c);
            if (!border)
                s->tap[s->taps] = row + x * c->in_pitch;
            else
                for (int64_t i = 0; i < COLUMNS; i++, x += c->stride_w)
                    s->border[s->taps][i] = x >= 0 && x < c->width ? row + x * c->in_pitch : zeros;
        }
    }
    return border;
}

static void rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const job *j = ctx;
    const sw_conv *c = j->c;
    float *zeros = j->scratch + thread * 2 * channels8(c), *unused = zeros + channels8(c);
    samples s;
    memset(zeros, 0, (size_t)channels8(c) * 2 * sizeof *zeros);
    for (int64_t row = begin; row < end; row++)
        for (int64_t ox = 0; ox < c->out_width; ox += COLUMNS) {
            target t;
            for (int64_t i = 0; i < COLUMNS; i++) {
                int64_t pixel = row * c->out_width + ox + i;
                bool there = ox + i < c->out_width;
                t.to[i] = there ? j->out + pixel * c->out_pitch : unused;
                t.residual[i] = there && c->residual ? j->residual + pixel * c->residual_pitch : unused;
            }
            bool border = gather(j, &s, row / c->out_height, row % c->out_height, ox, zeros);
            (border ? at_border : inside)(j, &s, &t);
        }
}

/* ---- Tactic ------------------------------------------------------------------------------------------------------ */

static const char *refuse(const sw_conv *c) {
    if (c->groups != c->in_channels || c->groups != c->out_channels) return "it is not depthwise";
    return c->kernel_h * c->kernel_w > MOST_TAPS ? "its kernel is too large" : NULL;
}

static size_t packed_bytes(const sw_conv *c) {
    return (size_t)((c->kernel_h * c->kernel_w + 1) * channels8(c)) * sizeof(float);
}

/* Biases, then the weights of each tap; channels rounded up to vectors. */
static void pack(const sw_conv *c, const float *weights, const float *bias, void *packed) {
    float *out = packed;
    int64_t taps = c->kernel_h * c->kernel_w;
    memset(out, 0, packed_bytes(c));
    for (int64_t m = 0; m < c->out_channels; m++) {
        out[m] = bias ? bias[m] : 0;
        for (int64_t tap = 0; tap < taps; tap++) out[(tap + 1) * channels8(c) + m] = weights[m * taps + tap];
    }
}

static size_t scratch_bytes(const sw_conv *c, int threads) {
    return (size_t)(threads * 2 * channels8(c)) * sizeof(float);
}

static void run(const sw_conv *c, const void *packed, const float *in, const float *residual, float *out, void *scratch,
                sw_pool *pool) {
    job j = {.c = c, .packed = packed, .in = in, .residual = residual, .out = out, .scratch = scratch};
    int64_t row = c->out_width * c->out_channels * c->kernel_h * c->kernel_w;
    sw_pool_for(pool, c->batch * c->out_height, sw__max64(1, sw__min64(1 << 20, 20000 / sw__max64(1, row))), rows, &j);
}

static double cost(const sw_conv *c) {
    double groups = (double)(c->batch * c->out_height * ((c->out_width + COLUMNS - 1) / COLUMNS)),
           taps = (double)(c->kernel_h * c->kernel_w);
    return groups * (taps * 6 + (double)(channels8(c) / 8) * (taps * 2.5 + 30));
}

const sw_conv_tactic sw__conv_depthwise_avx2 = {
    "depthwise-avx2", SW_CPU_AVX2, refuse, packed_bytes, pack, scratch_bytes, run, cost,
};
