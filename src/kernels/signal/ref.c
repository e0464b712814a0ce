/* Windows, DFT, STFT, MelWeightMatrix. Transforms are sums as written, with one table of sines a call: angles stay
 * exact. */
#include <math.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

static void put_number(const sw_tensor *y, int64_t i, double v) {
    if (sw__dtype_is_float(y->dtype)) {
        sw__put(y, i, v);
        return;
    }
    uint64_t whole = (uint64_t)(int64_t)v;
    sw__narrow_integer(y->dtype, &whole, 1, y->data, i, 1);
}

/* a0 - a1 cos(x) + a2 cos(2 x), x from 0 to 2 pi (periodic: without the end). */
sw_status sw__window_ref(const sw_call *c) {
    const sw_tensor *y = sw_call_out(c, 0);
    double a0 = 0.5, a1 = 0.5, a2 = 0;
    if (!y) return SW_OK;
    if (c->op == SW_OP_HammingWindow) {
        a0 = 25.0 / 46;
        a1 = 1 - a0;
    } else if (c->op == SW_OP_BlackmanWindow) {
        a0 = 0.42;
        a2 = 0.08;
    }
    int64_t n = y->dims[0], span = sw_call_int(c, "periodic") ? n : n - 1;
    for (int64_t i = 0; i < n; i++) {
        double x = span > 0 ? 2 * M_PI * (double)i / (double)span : 0;
        put_number(y, i, a0 - a1 * cos(x) + a2 * cos(2 * x));
    }
    return SW_OK;
}

/* ---- Transforms ---------------------------------------------------------------------------------------------------- */

typedef struct transform {
    const sw_call *call;
    const sw_tensor *x;
    int64_t parts, step;           /* of a number of x: 1 or 2; numbers from one sample to the next */
    int64_t samples, length, bins; /* given; of the transform; of the output */
    bool inverse, half;            /* half: only bins 0 .. length / 2 are given, the others are their conjugates */
    const sw_tensor *window;
    double *turn; /* cosines, then sines, of 2 pi k / length */
} transform;

/* Above this many products of a sample and a sine per lane a transform would take minutes. */
static const int64_t max_products = (int64_t)1 << 36;

static sw_status make_table(transform *t) {
    const sw_call *c = t->call;
    if (t->bins > max_products / sw__max64(sw__min64(t->length, t->samples), 1))
        return sw_call_unsupported(c, "a transform of %lld samples is longer than this plain kernel takes",
                                   (long long)t->length);
    t->turn = sw_calloc(c->allocator, (size_t)t->length, 2 * sizeof *t->turn);
    if (!t->turn) return SW_E_NOMEM;
    for (int64_t k = 0; k < t->length; k++) {
        double angle = 2 * M_PI * (double)k / (double)t->length;
        t->turn[k] = cos(angle);
        t->turn[t->length + k] = t->inverse ? sin(angle) : -sin(angle);
    }
    return SW_OK;
}

/* Sample `i` of the signal that starts at number `first`; beyond what is given it is 0. */
static void read_sample(const transform *t, int64_t first, int64_t i, double *re, double *im) {
    bool mirrored = t->half && i > t->length / 2;
    int64_t from = mirrored ? t->length - i : i;
    *re = *im = 0;
    if (from >= t->samples) return; /* half a spectrum that is too short */
    int64_t at = (first + from * t->step) * t->parts;
    double factor = t->window ? sw_tensor_float_at(t->window, i) : 1;
    *re = factor * sw_tensor_float_at(t->x, at);
    if (t->parts == 2) *im = factor * sw_tensor_float_at(t->x, at + 1);
    if (mirrored) *im = -*im;
}

static void bin_of(const transform *t, int64_t first, int64_t k, double *re, double *im) {
    int64_t turn = 0, given = t->half ? t->length : sw__min64(t->length, t->samples);
    *re = *im = 0;
    for (int64_t i = 0; i < given; i++) {
        double a, b, cosine = t->turn[turn], sine = t->turn[t->length + turn];
        read_sample(t, first, i, &a, &b);
        *re += a * cosine - b * sine;
        *im += a * sine + b * cosine;
        turn += k; /* both below the length */
        if (turn >= t->length) turn -= t->length;
    }
    if (!t->inverse) return;
    *re /= (double)t->length;
    *im /= (double)t->length;
}

typedef struct dft_run {
    transform t;
    int64_t inner; /* numbers from one bin to the next */
} dft_run;

static void run_bins(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const dft_run *r = ctx;
    const sw_tensor *y = r->t.call->out[0];
    int64_t parts = y->dims[y->rank - 1];
    for (int64_t i = begin; i < end; i++) {
        double v[2];
        int64_t first = i / r->inner / r->t.bins * r->t.samples * r->inner + i % r->inner;
        bin_of(&r->t, first, i / r->inner % r->t.bins, &v[0], &v[1]);
        for (int64_t k = 0; k < parts; k++) sw__put(y, i * parts + k, v[k]);
    }
}

sw_status sw__dft_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = sw_call_out(c, 0), *length = sw_call_in(c, 1);
    bool known;
    int axis;
    SW_TRY(sw_call_dft_axis(c, &axis, &known));
    if (!sw__dtype_is_float(x->dtype)) return sw__refuse_dtype(c, x->dtype);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    bool inverse = sw_call_int(c, "inverse") != 0, onesided = sw_call_int(c, "onesided") != 0;
    dft_run r = {.t = {.call = c, .x = x, .parts = x->dims[x->rank - 1], .samples = x->dims[axis], .inverse = inverse}};
    r.inner = sw__lanes(x, axis + 1, x->rank - 1).length;
    r.t.step = r.inner;
    r.t.bins = y->dims[axis];
    r.t.half = onesided && inverse;
    r.t.length = length ? sw_tensor_int_at(length, 0) : r.t.half ? y->dims[axis] : x->dims[axis];
    SW_TRY(make_table(&r.t));
    int64_t numbers = sw_tensor_count(y) / y->dims[y->rank - 1];
    sw_pool_for(c->pool, numbers, 1 + 4096 / r.t.length, run_bins, &r);
    sw_free(c->allocator, r.t.turn);
    return SW_OK;
}

typedef struct stft_run {
    transform t;
    int64_t frames, frame_step, signal;
} stft_run;

static void run_frames(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const stft_run *r = ctx;
    for (int64_t i = begin; i < end; i++) {
        double re, im;
        int64_t frame = i / r->t.bins % r->frames, batch = i / r->t.bins / r->frames;
        bin_of(&r->t, batch * r->signal + frame * r->frame_step, i % r->t.bins, &re, &im);
        sw__put(r->t.call->out[0], 2 * i, re);
        sw__put(r->t.call->out[0], 2 * i + 1, im);
    }
}

sw_status sw__stft_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = sw_call_out(c, 0), *window = sw_call_in(c, 2);
    if (!sw__dtype_is_float(x->dtype)) return sw__refuse_dtype(c, x->dtype);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    stft_run r = {.t = {.call = c, .x = x, .parts = x->rank == 3 ? x->dims[2] : 1, .step = 1, .window = window}};
    r.t.length = r.t.samples = window ? window->dims[0] : sw_tensor_int_at(c->in[3], 0);
    r.t.bins = y->dims[2];
    r.frames = y->dims[1];
    r.frame_step = sw_tensor_int_at(c->in[1], 0);
    r.signal = x->dims[1];
    SW_TRY(make_table(&r.t));
    sw_pool_for(c->pool, sw_tensor_count(y) / 2, 1 + 4096 / r.t.length, run_frames, &r);
    sw_free(c->allocator, r.t.turn);
    return SW_OK;
}

/* ---- MelWeightMatrix ----------------------------------------------------------------------------------------------- */

static double to_mel(double hertz) {
    return 2595 * log10(1 + hertz / 700);
}

/* Triangles between whole bins, as ONNX has it: edges at equal steps of mel, rounded down to bins. */
sw_status sw__mel_weights_ref(const sw_call *c) {
    const sw_tensor *y = sw_call_out(c, 0);
    if (!y) return SW_OK;
    for (int i = 2; i < 5; i++)
        if (sw_tensor_count(c->in[i]) != 1) return sw_call_fail(c, "input %d must be one value", i + 1);
    double rate = (double)sw_tensor_int_at(c->in[2], 0), length = (double)sw_tensor_int_at(c->in[1], 0);
    double low = to_mel(sw_tensor_float_at(c->in[3], 0)), high = to_mel(sw_tensor_float_at(c->in[4], 0));
    int64_t bins = y->dims[0], mels = y->dims[1];
    if (!(rate > 0) || isnan(low) || isnan(high)) return sw_call_fail(c, "sample rate or edges make no sense");
    for (int64_t m = 0; m < mels; m++) {
        double edge[3];
        for (int k = 0; k < 3; k++) {
            double mel = low + (double)(m + k) * (high - low) / (double)(mels + 2);
            edge[k] = floor((length + 1) * 700 * (pow(10, mel / 2595) - 1) / rate);
        }
        for (int64_t b = 0; b < bins; b++) {
            double x = (double)b, v = 0;
            if (edge[1] == edge[0] && x == edge[1])
                v = 1;
            else if (x >= edge[0] && x <= edge[1] && edge[1] > edge[0])
                v = (x - edge[0]) / (edge[1] - edge[0]);
            else if (x >= edge[1] && x < edge[2] && edge[2] > edge[1])
                v = (edge[2] - x) / (edge[2] - edge[1]);
            put_number(y, b * mels + m, v);
        }
    }
    return SW_OK;
}
