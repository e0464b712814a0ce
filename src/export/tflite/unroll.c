/* Recurrent cells, unrolled. The format has sequence operators, but theirs keep the state from one picture to the next in
 * variables, which callers would have to reset. */
#include "export/tflite/compose.h"
#include "ops/recurrent.h"

/* Along the last of three. */
static void split(sw_tfc *c, sw_value *x, int n, const int64_t *lengths, sw_value **out) {
    sw__tfc_split(c, x, 2, n, lengths, out);
}

enum { MOST_STEPS = 2048 }; /* unrolled ones of a node: about a dozen operators each */

/* A direction of a cell: its weights, and the state that the steps hand on. */
typedef struct direction {
    sw_recurrent r;
    sw_value *w, *rec, *w_bias, *rec_bias; /* factors on the right: input x gates, hidden x gates; rec_bias: of a GRU */
    sw_value *h, *state;                   /* 1 x batch x hidden */
} direction;

/* A direction's matrix, turned. */
static sw_value *turned(sw_tfc *c, const sw_value *matrix, int which, int64_t rows, int64_t columns) {
    sw_value *v = sw__tfc_constant(c, SW_F32, 2, (int64_t[]){columns, rows});
    float *to = v ? v->type.data : NULL;
    for (int64_t i = 0; to && i < rows; i++)
        for (int64_t k = 0; k < columns; k++)
            to[k * rows + i] = (float)sw_tensor_float_at(&matrix->type, (which * rows + i) * columns + k);
    return v;
}

/* Biases of input and state add up, but for a GRU's hidden gate, which resets the product with the state first. */
static void read_biases(sw_tfc *c, direction *d, int which) {
    const sw_value *bias = c->node->n_in > 3 ? c->node->in[3] : NULL;
    bool apart = c->node->op == SW_OP_GRU;
    int64_t rows = d->r.gates * d->r.hidden, from = apart ? 2 * d->r.hidden : rows;
    d->w_bias = sw__tfc_constant(c, SW_F32, 1, &rows);
    d->rec_bias = apart ? sw__tfc_constant(c, SW_F32, 1, &rows) : NULL;
    if (c->status != SW_OK || !bias) return;
    for (int64_t i = 0; i < rows; i++) {
        double of_x = sw_tensor_float_at(&bias->type, 2 * which * rows + i);
        double of_h = sw_tensor_float_at(&bias->type, (2 * which + 1) * rows + i);
        ((float *)d->w_bias->type.data)[i] = (float)(i < from ? of_x + of_h : of_x);
        if (i >= from) ((float *)d->rec_bias->type.data)[i] = (float)of_h;
    }
}

static void step_rnn(sw_tfc *c, direction *d, sw_value *x) {
    d->h = SW_TFC_APPLY(Tanh, SW_TFC_APPLY(Add, x, SW_TFC_APPLY(MatMul, d->h, d->rec)));
}

/* Gates: input, output, forget; then the new content. */
static void step_lstm(sw_tfc *c, direction *d, sw_value *x) {
    const int64_t n = d->r.hidden;
    sw_value *parts[2], *gates[3];
    split(c, SW_TFC_APPLY(Add, x, SW_TFC_APPLY(MatMul, d->h, d->rec)), 2, (int64_t[]){3 * n, n}, parts);
    split(c, SW_TFC_APPLY(Sigmoid, parts[0]), 3, (int64_t[]){n, n, n}, gates);
    sw_value *fresh = SW_TFC_APPLY(Mul, gates[0], SW_TFC_APPLY(Tanh, parts[1]));
    d->state = SW_TFC_APPLY(Add, SW_TFC_APPLY(Mul, gates[2], d->state), fresh);
    d->h = SW_TFC_APPLY(Mul, gates[1], SW_TFC_APPLY(Tanh, d->state));
}

/* Gates: update, reset; then the new content, of which the state takes 1 - update. */
static void step_gru(sw_tfc *c, direction *d, sw_value *x) {
    const int64_t n = d->r.hidden;
    sw_value *of_x[2], *of_h[2], *gates[2];
    split(c, x, 2, (int64_t[]){2 * n, n}, of_x);
    split(c, SW_TFC_APPLY(Add, SW_TFC_APPLY(MatMul, d->h, d->rec), d->rec_bias), 2, (int64_t[]){2 * n, n}, of_h);
    split(c, SW_TFC_APPLY(Sigmoid, SW_TFC_APPLY(Add, of_x[0], of_h[0])), 2, (int64_t[]){n, n}, gates);
    sw_value *fresh = SW_TFC_APPLY(Tanh, SW_TFC_APPLY(Add, of_x[1], SW_TFC_APPLY(Mul, gates[1], of_h[1])));
    d->h = SW_TFC_APPLY(Add, fresh, SW_TFC_APPLY(Mul, gates[0], SW_TFC_APPLY(Sub, d->h, fresh)));
}

/* Plane `which` of an initial state, zeros where there is none. */
static sw_value *first_state(sw_tfc *c, const sw_recurrent *r, int i, int which) {
    sw_value *given = c->node->n_in > i ? c->node->in[i] : NULL, *parts[2];
    if (!given) return sw__tfc_constant(c, SW_F32, 3, (int64_t[]){1, r->batch, r->hidden});
    if (r->directions == 1) return given;
    sw__tfc_split(c, given, 0, 2, (int64_t[]){1, 1}, parts);
    return parts[which];
}

/* All steps of a direction; the states that come out of them, by step, joined: steps x batch x hidden. */
static sw_value *run_direction(sw_tfc *c, direction *d, int which) {
    sw_op op = c->node->op;
    int64_t rows = d->r.gates * d->r.hidden, steps = d->r.steps,
            *ones = SW_ARENA_ARRAY(c->graph->arena, int64_t, steps);
    sw_value **x = SW_ARENA_ARRAY(c->graph->arena, sw_value *, 2 * steps), **y = x + steps;
    if (!ones || !x) return sw__tfc_nomem(c);
    for (int64_t i = 0; i < steps; i++) ones[i] = 1;
    d->w = turned(c, c->node->in[1], which, rows, d->r.input);
    d->rec = turned(c, c->node->in[2], which, rows, d->r.hidden);
    read_biases(c, d, which);
    d->h = first_state(c, &d->r, 5, which);
    d->state = op == SW_OP_LSTM ? first_state(c, &d->r, 6, which) : NULL;
    sw__tfc_split(c, SW_TFC_APPLY(Add, SW_TFC_APPLY(MatMul, c->node->in[0], d->w), d->w_bias), 0, (int)steps, ones, x);
    for (int64_t i = 0; i < steps && c->status == SW_OK; i++) {
        int64_t at = which == 1 || d->r.reverse ? steps - 1 - i : i;
        (op == SW_OP_LSTM ? step_lstm : op == SW_OP_GRU ? step_gru : step_rnn)(c, d, x[at]);
        y[at] = d->h;
    }
    return c->status == SW_OK ? sw__tfc_joined(c, (int)steps, y, 0) : NULL;
}

static bool is_usual(const sw_node *node, const sw_recurrent *r) {
    for (int d = 0; d < r->directions; d++)
        for (int k = 0; k < r->acts; k++)
            if (r->act[d][k] != (k == 0 && r->acts > 1 ? SW_GATE_SIGMOID : SW_GATE_TANH)) return false;
    bool coupled = node->op == SW_OP_LSTM && sw_node_int(node, "input_forget");
    bool before = node->op == SW_OP_GRU && !sw_node_int(node, "linear_before_reset");
    return !coupled && !before && !sw_node_attr(node, "clip", SW_ATTR_FLOAT)->set && !r->batch_first;
}

static void unroll(sw_tfc *c) {
    const sw_node *node = c->node;
    const sw_tensor *in[8];
    sw_tensor *out[3];
    direction d[2] = {0};
    sw_value *y[2] = {NULL, NULL};
    sw_call call = sw_node_call(node, in, out, c->diag);
    c->status = sw_call_recurrent(&call, &d[0].r);
    if (c->status != SW_OK) return;
    const sw_recurrent *r = &d[0].r;
    for (int i = 1; i < 4 && i < node->n_in; i++)
        if (node->in[i] && !sw_value_is_const(node->in[i])) sw__tfc_refuse(c, "its weights must be constant");
    for (int i = 4; i < node->n_in; i++)
        if (node->in[i] && (i == 4 || i == 7))
            sw__tfc_refuse(c, "lengths of sequences and peepholes cannot be written");
    if (!is_usual(node, r))
        sw__tfc_refuse(c, "only sigmoid and tanh, without clipping, time first, reset behind the product");
    if (!sw_tensor_is_concrete(in[0]) || r->steps < 1 || r->steps > MOST_STEPS)
        sw__tfc_refuse(c, "it is unrolled, and its steps are not known, or more than 2048");
    d[1].r = *r;
    for (int i = 0; i < r->directions; i++) {
        y[i] = c->status == SW_OK ? run_direction(c, &d[i], i) : NULL;
        y[i] = y[i] ? SW_TFC_APPLY(Unsqueeze, y[i], sw__tfc_ints(c, (int64_t[]){1}, 1)) : NULL;
    }
    sw__tfc_hand_over(c, 0, sw__tfc_joined(c, r->directions, y, 1));
    sw__tfc_hand_over(c, 1, sw__tfc_joined(c, r->directions, (sw_value *[]){d[0].h, d[1].h}, 0));
    sw__tfc_hand_over(c, 2, sw__tfc_joined(c, r->directions, (sw_value *[]){d[0].state, d[1].state}, 0));
}

const sw_tfc_row sw__tfc_unroll[] = {
    {SW_OP_RNN, NULL, unroll},
    {SW_OP_GRU, NULL, unroll},
    {SW_OP_LSTM, NULL, unroll},
    {0, NULL, NULL},
};
