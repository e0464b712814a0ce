/* RNN, GRU, LSTM, in double: one sequence of one direction after the other.
 *
 * Order of the gates in the weights: LSTM input, output, forget, cell; GRU update, reset, hidden. */
#include <math.h>
#include <string.h>

#include "kernels/index.h"
#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/recurrent.h"

typedef struct recurrent_run {
    const sw_call *call;
    sw_recurrent r;
    double clip; /* infinite: none */
    bool coupled, linear_before_reset;
    const double *w, *rec; /* widened: direction, gate * hidden, input; direction, gate * hidden, hidden */
    double *scratch;       /* of a thread: see `cell` */
    int64_t scratch_size;
} recurrent_run;

/* What one sequence works on. */
typedef struct cell {
    const recurrent_run *run;
    int d;
    double *x, *h, *c, *from_x, *from_h, *reset; /* input; states; W x + Wb and R h + Rb of all gates; GRU: reset * h */
} cell;

static double activate(const cell *s, int k, double v) {
    const sw_recurrent *r = &s->run->r;
    double a = (double)r->alpha[s->d][k], b = (double)r->beta[s->d][k];
    if (v > s->run->clip) v = s->run->clip;
    if (v < -s->run->clip) v = -s->run->clip;
    switch (r->act[s->d][k]) {
    case SW_GATE_AFFINE:
        return a * v + b;
    case SW_GATE_ELU:
        return v < 0 ? a * expm1(v) : v;
    case SW_GATE_HARD_SIGMOID:
        return fmax(0, fmin(1, a * v + b));
    case SW_GATE_LEAKY_RELU:
        return v < 0 ? a * v : v;
    case SW_GATE_RELU:
        return v < 0 ? 0 : v;
    case SW_GATE_SCALED_TANH:
        return a * tanh(b * v);
    case SW_GATE_SIGMOID:
        return 1 / (1 + exp(-v));
    case SW_GATE_SOFTPLUS:
        return v > 0 ? v + log1p(exp(-v)) : log1p(exp(v));
    case SW_GATE_SOFTSIGN:
        return v / (1 + fabs(v));
    case SW_GATE_TANH:
        return tanh(v);
    default:
        return v > a ? v : 0;
    }
}

/* out[i] = matrix[i] * v + bias[i]. */
static void multiply(const double *matrix, int64_t rows, int64_t columns, const double *v, const sw_tensor *bias,
                     int64_t first_bias, double *out) {
    for (int64_t i = 0; i < rows; i++) {
        double sum = bias ? sw_tensor_float_at(bias, first_bias + i) : 0;
        for (int64_t k = 0; k < columns; k++) sum += matrix[i * columns + k] * v[k];
        out[i] = sum;
    }
}

static double peephole(const cell *s, int gate, int64_t i, double state) {
    const sw_tensor *p = sw_call_in(s->run->call, 7);
    int64_t hidden = s->run->r.hidden;
    return p ? sw_tensor_float_at(p, (s->d * 3 + gate) * hidden + i) * state : 0;
}

static void step_lstm(const cell *s) {
    int64_t n = s->run->r.hidden;
    for (int64_t i = 0; i < n; i++) {
        double in = activate(s, 0, s->from_x[i] + s->from_h[i] + peephole(s, 0, i, s->c[i]));
        double forget = activate(s, 0, s->from_x[2 * n + i] + s->from_h[2 * n + i] + peephole(s, 2, i, s->c[i]));
        if (s->run->coupled) forget = 1 - in;
        double fresh = activate(s, 1, s->from_x[3 * n + i] + s->from_h[3 * n + i]);
        double state = forget * s->c[i] + in * fresh;
        double out = activate(s, 0, s->from_x[n + i] + s->from_h[n + i] + peephole(s, 1, i, state));
        s->c[i] = state;
        s->h[i] = out * activate(s, 2, state);
    }
}

static void step_gru(const cell *s) {
    const recurrent_run *run = s->run;
    const sw_tensor *bias = sw_call_in(run->call, 3);
    int64_t n = run->r.hidden;
    if (!run->linear_before_reset) { /* the hidden gate sees the state after the reset */
        for (int64_t i = 0; i < n; i++) s->reset[i] = activate(s, 0, s->from_x[n + i] + s->from_h[n + i]) * s->h[i];
        multiply(run->rec + (s->d * 3 + 2) * n * n, n, n, s->reset, bias, (s->d * 6 + 5) * n, s->from_h + 2 * n);
    }
    for (int64_t i = 0; i < n; i++) {
        double update = activate(s, 0, s->from_x[i] + s->from_h[i]), hidden = s->from_h[2 * n + i];
        if (run->linear_before_reset) hidden *= activate(s, 0, s->from_x[n + i] + s->from_h[n + i]);
        s->h[i] = (1 - update) * activate(s, 1, s->from_x[2 * n + i] + hidden) + update * s->h[i];
    }
}

static void step_rnn(const cell *s) {
    for (int64_t i = 0; i < s->run->r.hidden; i++) s->h[i] = activate(s, 0, s->from_x[i] + s->from_h[i]);
}

/* Element where the vector of a step, direction and batch begins in Y; of a direction and batch in a state. */
static int64_t output_at(const sw_recurrent *r, int64_t step, int64_t d, int64_t b) {
    int64_t at = r->batch_first ? (b * r->steps + step) * r->directions + d : (step * r->directions + d) * r->batch + b;
    return at * r->hidden;
}

static int64_t state_at(const sw_recurrent *r, int64_t d, int64_t b) {
    return (r->batch_first ? b * r->directions + d : d * r->batch + b) * r->hidden;
}

static void load_state(const sw_tensor *t, int64_t at, int64_t n, double *to) {
    if (t)
        sw__widen(t->dtype, t->data, at, 1, n, to);
    else
        memset(to, 0, (size_t)n * sizeof *to);
}

static void run_sequence(const cell *s, int64_t b) {
    const recurrent_run *run = s->run;
    const sw_recurrent *r = &run->r;
    const sw_call *c = run->call;
    const sw_tensor *x = c->in[0], *bias = sw_call_in(c, 3), *lengths = sw_call_in(c, 4), *y = sw_call_out(c, 0);
    int64_t rows = r->gates * r->hidden, length = lengths ? sw__index_at(lengths, b) : r->steps;
    bool backwards = s->d == 1 || r->reverse;
    load_state(sw_call_in(c, 5), state_at(r, s->d, b), r->hidden, s->h);
    load_state(sw_call_in(c, 6), state_at(r, s->d, b), r->hidden, s->c);
    for (int64_t i = 0; i < length; i++) {
        int64_t step = backwards ? length - 1 - i : i;
        int64_t at = (r->batch_first ? b * r->steps + step : step * r->batch + b) * r->input;
        sw__widen(x->dtype, x->data, at, 1, r->input, s->x);
        multiply(run->w + s->d * rows * r->input, rows, r->input, s->x, bias, 2 * s->d * rows, s->from_x);
        multiply(run->rec + s->d * rows * r->hidden, rows, r->hidden, s->h, bias, (2 * s->d + 1) * rows, s->from_h);
        (c->op == SW_OP_LSTM ? step_lstm : c->op == SW_OP_GRU ? step_gru : step_rnn)(s);
        if (y) sw__narrow(y->dtype, s->h, r->hidden, y->data, output_at(r, step, s->d, b), 1);
    }
    for (int64_t step = length; y && step < r->steps; step++)
        for (int64_t i = 0; i < r->hidden; i++) sw__put(y, output_at(r, step, s->d, b) + i, 0);
    const sw_tensor *last_h = sw_call_out(c, 1), *last_c = sw_call_out(c, 2);
    if (last_h) sw__narrow(last_h->dtype, s->h, r->hidden, last_h->data, state_at(r, s->d, b), 1);
    if (last_c) sw__narrow(last_c->dtype, s->c, r->hidden, last_c->data, state_at(r, s->d, b), 1);
}

static void run_sequences(void *ctx, int64_t begin, int64_t end, int thread) {
    const recurrent_run *run = ctx;
    const sw_recurrent *r = &run->r;
    double *room = run->scratch + thread * run->scratch_size;
    cell s = {.run = run, .x = room, .h = room + r->input};
    s.c = s.h + r->hidden;
    s.reset = s.c + r->hidden;
    s.from_x = s.reset + r->hidden;
    s.from_h = s.from_x + r->gates * r->hidden;
    for (int64_t i = begin; i < end; i++) {
        s.d = (int)(i / r->batch);
        run_sequence(&s, i % r->batch);
    }
}

static sw_status check_lengths(const sw_call *c, const sw_recurrent *r) {
    const sw_tensor *lengths = sw_call_in(c, 4);
    for (int64_t b = 0; lengths && b < r->batch; b++) {
        int64_t length = sw__index_at(lengths, b);
        if (length < 0 || length > r->steps)
            return sw_call_fail(c, "a sequence of %lld steps does not fit %lld steps", (long long)length,
                                (long long)r->steps);
    }
    return SW_OK;
}

sw_status sw__recurrent_ref(const sw_call *c) {
    recurrent_run run = {.call = c, .clip = HUGE_VAL};
    const sw_recurrent *r = &run.r;
    SW_TRY(sw_call_recurrent(c, &run.r));
    SW_TRY(check_lengths(c, r));
    if (!sw__dtype_is_float(c->in[0]->dtype)) return sw__refuse_dtype(c, c->in[0]->dtype);
    const sw_attr *clip = sw_call_attr(c, "clip", SW_ATTR_FLOAT);
    if (clip->set) run.clip = fabs((double)clip->f);
    run.coupled = c->op == SW_OP_LSTM && sw_call_int(c, "input_forget") != 0;
    run.linear_before_reset = c->op == SW_OP_GRU && sw_call_int(c, "linear_before_reset") != 0;
    int64_t n_w = sw_tensor_count(c->in[1]), n_r = sw_tensor_count(c->in[2]);
    if (r->batch == 0 || r->hidden == 0) return SW_OK;
    run.scratch_size = r->input + (3 + 2 * r->gates) * r->hidden;
    double *w = sw_calloc(c->allocator, (size_t)n_w + 1, sizeof *w);
    double *rec = sw_calloc(c->allocator, (size_t)n_r + 1, sizeof *rec);
    run.scratch = sw_calloc(c->allocator, (size_t)run.scratch_size * (size_t)sw_pool_threads(c->pool), sizeof *w);
    sw_status status = w && rec && run.scratch ? SW_OK : SW_E_NOMEM;
    if (status == SW_OK) {
        sw__widen(c->in[1]->dtype, c->in[1]->data, 0, 1, n_w, w);
        sw__widen(c->in[2]->dtype, c->in[2]->data, 0, 1, n_r, rec);
        run.w = w;
        run.rec = rec;
        sw_pool_for(c->pool, r->directions * r->batch, 1, run_sequences, &run);
    }
    sw_free(c->allocator, w);
    sw_free(c->allocator, rec);
    sw_free(c->allocator, run.scratch);
    return status;
}
