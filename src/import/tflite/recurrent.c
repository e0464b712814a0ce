/* Recurrent cells over sequences. Their states are variables that keep what they have from run to run; here every run begins
 * with zeros, as the first one does there. */
#include "import/tflite/model.h"

/* Where the inputs of a direction begin in the operator's list: weights of the input, of the state, biases; and what must be
 * absent: factors of the cell (peepholes), of the output (projection). */
typedef struct direction {
    int weights, recurrent, peepholes, biases, projection;
    const char *name;
} direction;

static bool has(const sw_tfl_node *n, int i) {
    return i < n->n_in && n->in[i];
}

static bool has_any(const sw_tfl_node *n, int from, int count) {
    for (int i = from; i < from + count; i++)
        if (has(n, i)) return true;
    return false;
}

static sw_value *zeros(sw_tfl_node *n, int64_t count, int times) {
    const uint64_t most = UINT64_MAX / 64;
    if (!sw__tfl_charge(n->m, (uint64_t)count > most ? most : (uint64_t)count * 4 * (uint64_t)times)) return NULL;
    sw_value *v = sw_graph_new_const(n->m->graph, NULL, SW_F32, 1, (int64_t[]){count * times});
    return v ? v : sw__tfl_nomem(n->m);
}

/* The file orders gates input, forget, cell, output; the graph input, output, forget, cell: joined, behind an axis for the
 * direction. Biases of the state are zeros. */
static sw_value *gates(sw_tfl_node *n, int first, bool biases) {
    static const int order[] = {0, 3, 1, 2};
    sw_value *parts[5];
    int64_t dims[SW_MAX_RANK];
    int rank;
    for (int i = 0; i < 4; i++) {
        if (!has(n, first + order[i]))
            return sw__tfl_refuse(n, SW_E_UNSUPPORTED, "cells whose gates share weights are not supported");
        parts[i] = sw__tfl_plain(n, first + order[i]);
    }
    if (!parts[0] || !sw__tfl_dims(n, n->in[first], dims, &rank)) return NULL;
    if (rank != (biases ? 1 : 2)) return sw__tfl_refuse(n, SW_E_MODEL, "weights have %d axes", rank);
    if (biases) parts[4] = zeros(n, dims[0], 4);
    if (biases && !parts[4]) return NULL;
    sw_value *all = sw__tfl_apply(n->m, SW_OP_Concat, n->out[0]->name, biases ? 5 : 4, parts);
    sw__tfl_set_int(all, "axis", 0);
    return SW_TFL_APPLY(n, SW_OP_Unsqueeze, all, sw__tfl_const_ints(n->m, (int64_t[]){0}, 1));
}

/* The states of one direction, in the file's order of axes. */
static sw_value *run_lstm(sw_tfl_node *n, const direction *d, sw_value *x) {
    int64_t dims[SW_MAX_RANK];
    int rank;
    if (has_any(n, d->peepholes, 3) || has_any(n, d->projection, 2))
        return sw__tfl_refuse(n, SW_E_UNSUPPORTED, "peepholes and projections are not supported");
    sw_value *w = gates(n, d->weights, false), *r = gates(n, d->recurrent, false), *b = gates(n, d->biases, true);
    if (!w || !r || !b || !sw__tfl_dims(n, n->in[d->recurrent], dims, &rank)) return NULL;
    sw_value *y = SW_TFL_APPLY(n, SW_OP_LSTM, x, w, r, b);
    sw__tfl_set_int(y, "hidden_size", dims[1]);
    sw__tfl_set_string(n->m, y, "direction", d->name);
    return SW_TFL_APPLY(n, SW_OP_Squeeze, y, sw__tfl_const_ints(n->m, (int64_t[]){1}, 1));
}

/* Steps first: the order in which the file has the input's axes. */
static sw_axes steps_first(bool time_major) {
    return time_major ? sw_axes_plain(3) : (sw_axes){3, {1, 0, 2}};
}

static bool check(sw_tfl_node *n, int activation, bool clipped) {
    if (has(n, 0) && n->in[0]->like.rank != 3)
        return sw__tfl_refuse(n, SW_E_MODEL, "its input has %d axes, expected 3", n->in[0]->like.rank);
    if (activation != SW_TFL_ACT_TANH || clipped)
        return sw__tfl_refuse(n, SW_E_UNSUPPORTED, "clipping, and other activations than tanh, are not supported");
    return true;
}

static void lstm(sw_tfl_node *n) {
    static const direction forward = {1, 5, 9, 12, 16, "forward"};
    sw_axes axes = steps_first(sw_fb_u8(&n->options, 3, 0) != 0);
    bool clipped = sw_fb_f32(&n->options, 1, 0) != 0 || sw_fb_f32(&n->options, 2, 0) != 0;
    if (!check(n, (int)sw_fb_i8(&n->options, 0, 0), clipped)) return;
    if (has_any(n, 20, 4)) {
        sw__tfl_refuse(n, SW_E_UNSUPPORTED, "normalised cells are not supported");
        return;
    }
    sw__tfl_all_real(n);
    sw__tfl_out_real(n, 0, run_lstm(n, &forward, sw__tfl_as(n, 0, axes)), axes);
}

static void both_lstm(sw_tfl_node *n) {
    static const direction ways[] = {{1, 5, 9, 12, 16, "forward"}, {18, 22, 26, 29, 33, "reverse"}};
    sw_axes axes = steps_first(sw_fb_u8(&n->options, 4, 1) != 0);
    bool clipped = sw_fb_f32(&n->options, 1, 0) != 0 || sw_fb_f32(&n->options, 2, 0) != 0;
    if (!check(n, (int)sw_fb_i8(&n->options, 0, 0), clipped)) return;
    if (has_any(n, 39, 9)) {
        sw__tfl_refuse(n, SW_E_UNSUPPORTED, "a second input is not supported");
        return;
    }
    sw__tfl_all_real(n);
    sw_value *x = sw__tfl_as(n, 0, axes), *y[2];
    for (int i = 0; i < 2; i++) y[i] = run_lstm(n, &ways[i], x);
    if (sw_fb_u8(&n->options, 3, 0)) {
        sw_value *both = y[0] && y[1] ? SW_TFL_APPLY(n, SW_OP_Concat, y[0], y[1]) : NULL;
        sw__tfl_set_int(both, "axis", 2);
        sw__tfl_out_real(n, 0, both, axes);
        return;
    }
    for (int i = 0; i < 2; i++) sw__tfl_out_real(n, i, y[i], axes);
}

static void rnn(sw_tfl_node *n) {
    int64_t dims[SW_MAX_RANK];
    int rank, activation = (int)sw_fb_i8(&n->options, 1, 0);
    sw_axes axes = steps_first(sw_fb_u8(&n->options, 0, 0) != 0);
    if (!check(n, activation == SW_TFL_ACT_RELU ? SW_TFL_ACT_TANH : activation, false)) return;
    sw__tfl_all_real(n);
    sw_value *weights[3];
    for (int i = 0; i < 3; i++) {
        weights[i] = sw__tfl_plain(n, 1 + i);
        if (!weights[i]) return;
    }
    if (!sw__tfl_dims(n, n->in[3], dims, &rank)) return;
    if (rank != 1) {
        sw__tfl_refuse(n, SW_E_MODEL, "its bias has %d axes", rank);
        return;
    }
    sw_value *of_state = zeros(n, dims[0], 1);
    weights[2] = of_state ? SW_TFL_APPLY(n, SW_OP_Concat, weights[2], of_state) : NULL;
    sw__tfl_set_int(weights[2], "axis", 0);
    for (int i = 0; i < 3; i++) {
        sw_value *front = sw__tfl_const_ints(n->m, (int64_t[]){0}, 1);
        weights[i] = weights[i] ? SW_TFL_APPLY(n, SW_OP_Unsqueeze, weights[i], front) : NULL;
        if (!weights[i]) return;
    }
    sw_value *y = SW_TFL_APPLY(n, SW_OP_RNN, sw__tfl_as(n, 0, axes), weights[0], weights[1], weights[2]);
    sw__tfl_set_int(y, "hidden_size", dims[0]);
    if (activation == SW_TFL_ACT_RELU) sw__tfl_set_string(n->m, y, "activations", "Relu");
    y = SW_TFL_APPLY(n, SW_OP_Squeeze, y, sw__tfl_const_ints(n->m, (int64_t[]){1}, 1));
    sw__tfl_out_real(n, 0, y, axes);
}

const sw_tfl_row sw__tfl_recurrent[] = {
    {SW_TFL_UNIDIRECTIONAL_SEQUENCE_LSTM, lstm, 0},
    {SW_TFL_BIDIRECTIONAL_SEQUENCE_LSTM, both_lstm, 0},
    {SW_TFL_UNIDIRECTIONAL_SEQUENCE_RNN, rnn, 0},
    {0, NULL, 0},
};
