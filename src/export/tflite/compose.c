/* Operators that the format lacks as several that it has, in the graph, before anything is written.
 *
 * Recurrent cells are unrolled. The format has sequence operators, but theirs keep the state from one picture to the next in
 * variables, which callers would have to reset. */
#include <string.h>

#include "export/tflite/model.h"
#include "ops/recurrent.h"
#include "ops/shape.h"

/* The nodes that take the place of one; the first failure sticks: values are then NULL, which all functions pass through. */
typedef struct composition {
    sw_graph *graph;
    sw_node *node, *next; /* the one that goes; what stands behind it */
    const sw_diag *diag;
    sw_status status;
} composition;

static sw_value *nomem(composition *c) {
    if (c->status == SW_OK) c->status = sw_fail(c->diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    return NULL;
}

static void refuse(composition *c, const char *why) {
    if (c->status == SW_OK) c->status = sw_export_refuse(c->node, "tflite", why, c->diag);
}

static sw_value *apply(composition *c, sw_op op, int n, sw_value *const *in) {
    for (int i = 0; i < n; i++)
        if (!in[i]) return NULL;
    sw_value *out = sw_graph_apply(c->graph, c->next, op, c->node->name, n, in);
    return out ? out : nomem(c);
}
#define APPLY(op, ...)                                                                                                 \
    apply(c, SW_OP_##op, (int)(sizeof((sw_value *[]){__VA_ARGS__}) / sizeof(sw_value *)), (sw_value *[]){__VA_ARGS__})

static sw_value *with_int(sw_value *v, const char *name, int64_t to) {
    if (v) sw_node_set_int(v->producer, name, to);
    return v;
}

static sw_value *constant(composition *c, sw_dtype dtype, int rank, const int64_t *dims) {
    sw_value *v = sw_graph_new_const(c->graph, NULL, dtype, rank, dims);
    return v ? v : nomem(c);
}

static sw_value *ints(composition *c, const int64_t *v, int n) {
    sw_value *value = sw_graph_const_ints(c->graph, NULL, v, n);
    return value ? value : nomem(c);
}

static sw_value *floats(composition *c, int n, const float *v) {
    sw_value *value = constant(c, SW_F32, 1, (int64_t[]){n});
    if (value) memcpy(value->type.data, v, (size_t)n * sizeof *v);
    return value;
}

static sw_value *joined(composition *c, int n, sw_value *const *x, int axis) {
    return n == 1 ? x[0] : with_int(apply(c, SW_OP_Concat, n, x), "axis", axis);
}

/* Output `i` of the node that goes is this value. */
static void hand_over(composition *c, int i, sw_value *fresh) {
    sw_value *old = i < c->node->n_out ? c->node->out[i] : NULL;
    if (old && fresh && c->status == SW_OK) sw_graph_replace(c->graph, old, fresh);
}

static sw_value *transposed(composition *c, sw_value *x, const int64_t *perm, int n) {
    sw_value *out = APPLY(Transpose, x);
    return out && sw_node_set_ints(c->graph, out->producer, "perm", perm, n) == SW_OK ? out : nomem(c);
}

/* Pieces of these lengths along an axis; all NULL after a failure. */
static void split_along(composition *c, sw_value *x, int axis, int n, const int64_t *lengths, sw_value **out) {
    sw_value *sizes = ints(c, lengths, n);
    bool good = x && sizes;
    for (int i = 0; i < n; i++) {
        out[i] = good ? sw_graph_add_value(c->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL) : NULL;
        good = good && out[i];
    }
    sw_node *node = NULL;
    if (good)
        node = sw_graph_add_node(c->graph, c->next, SW_OP_Split, c->node->name, 2, (sw_value *[]){x, sizes}, n, out);
    if (node)
        sw_node_set_int(node, "axis", axis);
    else if (x)
        nomem(c);
    for (int i = 0; i < n && !node; i++) out[i] = NULL;
}

/* Along the last of three. */
static void split(composition *c, sw_value *x, int n, const int64_t *lengths, sw_value **out) {
    split_along(c, x, 2, n, lengths, out);
}

/* ---- Recurrent cells ------------------------------------------------------------------------------------------------- */

enum { MOST_STEPS = 2048 }; /* unrolled ones of a node: about a dozen operators each */

/* A direction of a cell: its weights, and the state that the steps hand on. */
typedef struct direction {
    sw_recurrent r;
    sw_value *w, *rec, *w_bias, *rec_bias; /* factors on the right: input x gates, hidden x gates; rec_bias: of a GRU */
    sw_value *h, *state;                   /* 1 x batch x hidden */
} direction;

/* A direction's matrix, turned. */
static sw_value *turned(composition *c, const sw_value *matrix, int which, int64_t rows, int64_t columns) {
    sw_value *v = constant(c, SW_F32, 2, (int64_t[]){columns, rows});
    float *to = v ? v->type.data : NULL;
    for (int64_t i = 0; to && i < rows; i++)
        for (int64_t k = 0; k < columns; k++)
            to[k * rows + i] = (float)sw_tensor_float_at(&matrix->type, (which * rows + i) * columns + k);
    return v;
}

/* Biases of input and state add up, but for a GRU's hidden gate, which resets the product with the state first. */
static void read_biases(composition *c, direction *d, int which) {
    const sw_value *bias = c->node->n_in > 3 ? c->node->in[3] : NULL;
    bool apart = c->node->op == SW_OP_GRU;
    int64_t rows = d->r.gates * d->r.hidden, from = apart ? 2 * d->r.hidden : rows;
    d->w_bias = constant(c, SW_F32, 1, &rows);
    d->rec_bias = apart ? constant(c, SW_F32, 1, &rows) : NULL;
    if (c->status != SW_OK || !bias) return;
    for (int64_t i = 0; i < rows; i++) {
        double of_x = sw_tensor_float_at(&bias->type, 2 * which * rows + i);
        double of_h = sw_tensor_float_at(&bias->type, (2 * which + 1) * rows + i);
        ((float *)d->w_bias->type.data)[i] = (float)(i < from ? of_x + of_h : of_x);
        if (i >= from) ((float *)d->rec_bias->type.data)[i] = (float)of_h;
    }
}

static void step_rnn(composition *c, direction *d, sw_value *x) {
    d->h = APPLY(Tanh, APPLY(Add, x, APPLY(MatMul, d->h, d->rec)));
}

/* Gates: input, output, forget; then the new content. */
static void step_lstm(composition *c, direction *d, sw_value *x) {
    const int64_t n = d->r.hidden;
    sw_value *parts[2], *gates[3];
    split(c, APPLY(Add, x, APPLY(MatMul, d->h, d->rec)), 2, (int64_t[]){3 * n, n}, parts);
    split(c, APPLY(Sigmoid, parts[0]), 3, (int64_t[]){n, n, n}, gates);
    sw_value *fresh = APPLY(Mul, gates[0], APPLY(Tanh, parts[1]));
    d->state = APPLY(Add, APPLY(Mul, gates[2], d->state), fresh);
    d->h = APPLY(Mul, gates[1], APPLY(Tanh, d->state));
}

/* Gates: update, reset; then the new content, of which the state takes 1 - update. */
static void step_gru(composition *c, direction *d, sw_value *x) {
    const int64_t n = d->r.hidden;
    sw_value *of_x[2], *of_h[2], *gates[2];
    split(c, x, 2, (int64_t[]){2 * n, n}, of_x);
    split(c, APPLY(Add, APPLY(MatMul, d->h, d->rec), d->rec_bias), 2, (int64_t[]){2 * n, n}, of_h);
    split(c, APPLY(Sigmoid, APPLY(Add, of_x[0], of_h[0])), 2, (int64_t[]){n, n}, gates);
    sw_value *fresh = APPLY(Tanh, APPLY(Add, of_x[1], APPLY(Mul, gates[1], of_h[1])));
    d->h = APPLY(Add, fresh, APPLY(Mul, gates[0], APPLY(Sub, d->h, fresh)));
}

/* Plane `which` of an initial state, zeros where there is none. */
static sw_value *first_state(composition *c, const sw_recurrent *r, int i, int which) {
    sw_value *given = c->node->n_in > i ? c->node->in[i] : NULL, *parts[2];
    if (!given) return constant(c, SW_F32, 3, (int64_t[]){1, r->batch, r->hidden});
    if (r->directions == 1) return given;
    split_along(c, given, 0, 2, (int64_t[]){1, 1}, parts);
    return parts[which];
}

/* All steps of a direction; the states that come out of them, by step, joined: steps x batch x hidden. */
static sw_value *run_direction(composition *c, direction *d, int which) {
    sw_op op = c->node->op;
    int64_t rows = d->r.gates * d->r.hidden, steps = d->r.steps,
            *ones = SW_ARENA_ARRAY(c->graph->arena, int64_t, steps);
    sw_value **x = SW_ARENA_ARRAY(c->graph->arena, sw_value *, 2 * steps), **y = x + steps;
    if (!ones || !x) return nomem(c);
    for (int64_t i = 0; i < steps; i++) ones[i] = 1;
    d->w = turned(c, c->node->in[1], which, rows, d->r.input);
    d->rec = turned(c, c->node->in[2], which, rows, d->r.hidden);
    read_biases(c, d, which);
    d->h = first_state(c, &d->r, 5, which);
    d->state = op == SW_OP_LSTM ? first_state(c, &d->r, 6, which) : NULL;
    split_along(c, APPLY(Add, APPLY(MatMul, c->node->in[0], d->w), d->w_bias), 0, (int)steps, ones, x);
    for (int64_t i = 0; i < steps && c->status == SW_OK; i++) {
        int64_t at = which == 1 || d->r.reverse ? steps - 1 - i : i;
        (op == SW_OP_LSTM ? step_lstm : op == SW_OP_GRU ? step_gru : step_rnn)(c, d, x[at]);
        y[at] = d->h;
    }
    return c->status == SW_OK ? joined(c, (int)steps, y, 0) : NULL;
}

static bool is_usual(const sw_node *node, const sw_recurrent *r) {
    for (int d = 0; d < r->directions; d++)
        for (int k = 0; k < r->acts; k++)
            if (r->act[d][k] != (k == 0 && r->acts > 1 ? SW_GATE_SIGMOID : SW_GATE_TANH)) return false;
    bool coupled = node->op == SW_OP_LSTM && sw_node_int(node, "input_forget");
    bool before = node->op == SW_OP_GRU && !sw_node_int(node, "linear_before_reset");
    return !coupled && !before && !sw_node_attr(node, "clip", SW_ATTR_FLOAT)->set && !r->batch_first;
}

static void unroll(composition *c) {
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
        if (node->in[i] && !sw_value_is_const(node->in[i])) refuse(c, "its weights must be constant");
    for (int i = 4; i < node->n_in; i++)
        if (node->in[i] && (i == 4 || i == 7)) refuse(c, "lengths of sequences and peepholes cannot be written");
    if (!is_usual(node, r)) refuse(c, "only sigmoid and tanh, without clipping, time first, reset behind the product");
    if (!sw_tensor_is_concrete(in[0]) || r->steps < 1 || r->steps > MOST_STEPS)
        refuse(c, "it is unrolled, and its steps are not known, or more than 2048");
    d[1].r = *r;
    for (int i = 0; i < r->directions; i++) {
        y[i] = c->status == SW_OK ? run_direction(c, &d[i], i) : NULL;
        y[i] = y[i] ? APPLY(Unsqueeze, y[i], ints(c, (int64_t[]){1}, 1)) : NULL;
    }
    hand_over(c, 0, joined(c, r->directions, y, 1));
    hand_over(c, 1, joined(c, r->directions, (sw_value *[]){d[0].h, d[1].h}, 0));
    hand_over(c, 2, joined(c, r->directions, (sw_value *[]){d[0].state, d[1].state}, 0));
}

/* ---- GridSample ------------------------------------------------------------------------------------------------------ */

/* How grids of one mode become places in the map, which is padded so that every neighbour exists. */
typedef struct sampling {
    bool nearest, border;
    int64_t n, channels, side[2], before, padded[2]; /* height, width */
} sampling;

/* x, y of each point in the padded map, within it. */
static sw_value *places(composition *c, const sampling *s) {
    float factor[2], shift[2], low[2], high[2];
    bool corners = sw_node_int(c->node, "align_corners") != 0;
    for (int i = 0; i < 2; i++) {
        double side = (double)s->side[1 - i], extent = corners ? side - 1 : side;
        factor[i] = (float)(extent / 2);
        shift[i] = (float)((side - 1) / 2 + (double)s->before);
        low[i] = (float)(s->before - (s->border ? 0 : 1));
        high[i] = (float)(side - 1 + (double)s->before + (s->border ? 0 : 1));
    }
    sw_value *at = APPLY(Add, APPLY(Mul, c->node->in[1], floats(c, 2, factor)), floats(c, 2, shift));
    return APPLY(Min, APPLY(Max, at, floats(c, 2, low)), floats(c, 2, high));
}

/* The map as rows of channels, one a pixel. */
static sw_value *pixels(composition *c, const sampling *s) {
    const int64_t after = s->nearest || s->border ? 1 : 2, pads[] = {0, 0, s->before, s->before, 0, 0, after, after};
    sw_value *map = APPLY(Pad, c->node->in[0], ints(c, pads, 8));
    map = transposed(c, map, (int64_t[]){0, 2, 3, 1}, 4);
    return APPLY(Reshape, map, ints(c, (int64_t[]){s->n * s->padded[0] * s->padded[1], s->channels}, 2));
}

/* Rows of the pixels left and above of the points, pictures one after the other: n x height x width x 1. */
static sw_value *row_numbers(composition *c, const sampling *s, sw_value *corner) {
    sw_value *steps = constant(c, SW_I32, 1, (int64_t[]){2});
    sw_value *first = constant(c, SW_I32, 4, (int64_t[]){s->n, 1, 1, 1});
    if (!steps || !first) return NULL;
    ((int32_t *)steps->type.data)[0] = 1;
    ((int32_t *)steps->type.data)[1] = (int32_t)s->padded[1];
    for (int64_t i = 0; i < s->n; i++) ((int32_t *)first->type.data)[i] = (int32_t)(i * s->padded[0] * s->padded[1]);
    sw_value *whole = with_int(APPLY(Cast, corner), "to", sw_dtype_onnx(SW_I32));
    return APPLY(Add, APPLY(ReduceSum, APPLY(Mul, whole, steps), ints(c, (int64_t[]){3}, 1)), first);
}

/* Weights of the four neighbours by the point's distances from the first, all between 0 and 1: n x height x width x 4 x 1. */
static sw_value *weights(composition *c, const sampling *s, sw_value *distance) {
    const sw_tensor *grid = &c->node->in[1]->type;
    sw_value *d[2];
    split_along(c, distance, 3, 2, (int64_t[]){1, 1}, d);
    sw_value *x = APPLY(Mul, d[0], floats(c, 4, (float[]){-1, 1, -1, 1}));
    sw_value *y = APPLY(Mul, d[1], floats(c, 4, (float[]){-1, -1, 1, 1}));
    x = APPLY(Add, x, floats(c, 4, (float[]){1, 0, 1, 0}));
    y = APPLY(Add, y, floats(c, 4, (float[]){1, 1, 0, 0}));
    const int64_t dims[] = {s->n, grid->dims[1], grid->dims[2], 4, 1};
    return APPLY(Reshape, APPLY(Mul, x, y), ints(c, dims, 5));
}

/* The four pixels around each point, gathered at once and weighted. */
static void sample(composition *c) {
    const sw_node *node = c->node;
    const sw_tensor *x = &node->in[0]->type, *grid = &node->in[1]->type;
    const char *mode = sw_node_string(node, "mode"), *padding = sw_node_string(node, "padding_mode");
    sampling s = {.nearest = !strcmp(mode, "nearest"), .border = !strcmp(padding, "border"), .before = 0};
    if (x->rank != 4 || !sw_tensor_is_concrete(x) || !sw_tensor_is_concrete(grid) || x->dtype != SW_F32 ||
        (!s.nearest && strcmp(mode, "linear") && strcmp(mode, "bilinear")) || !strcmp(padding, "reflection")) {
        refuse(c, "only maps of known size, linear or nearest, without reflection, can be written");
        return;
    }
    s.before = s.border ? 0 : s.nearest ? 2 : 1; /* an even shift: halves are rounded to even places */
    s.n = x->dims[0];
    s.channels = x->dims[1];
    for (int i = 0; i < 2; i++) {
        s.side[i] = x->dims[2 + i];
        s.padded[i] = s.side[i] + s.before + (s.nearest || s.border ? 1 : 2);
    }
    if (sw_tensor_count(x) / s.channels > INT32_MAX / 16) refuse(c, "its map is too large");
    if (c->status != SW_OK) return;
    sw_value *at = places(c, &s), *out;
    if (s.nearest) {
        sw_value *rows = row_numbers(c, &s, APPLY(Round, at));
        const int64_t dims[] = {s.n, grid->dims[1], grid->dims[2]};
        out = with_int(APPLY(Gather, pixels(c, &s), APPLY(Reshape, rows, ints(c, dims, 3))), "axis", 0);
    } else {
        sw_value *corner = APPLY(Floor, at), *steps = constant(c, SW_I32, 1, (int64_t[]){4});
        for (int i = 0; steps && i < 4; i++) ((int32_t *)steps->type.data)[i] = (int32_t)(i % 2 + i / 2 * s.padded[1]);
        sw_value *rows = APPLY(Add, row_numbers(c, &s, corner), steps);
        sw_value *around = with_int(APPLY(Gather, pixels(c, &s), rows), "axis", 0);
        sw_value *weighted = APPLY(Mul, around, weights(c, &s, APPLY(Sub, at, corner)));
        out = with_int(APPLY(ReduceSum, weighted, ints(c, (int64_t[]){3}, 1)), "keepdims", 0);
    }
    hand_over(c, 0, transposed(c, out, (int64_t[]){0, 3, 1, 2}, 4));
}

/* ---- The table ------------------------------------------------------------------------------------------------------- */

static const struct {
    sw_op op;
    void (*compose)(composition *c);
} rows[] = {
    {SW_OP_RNN, unroll},
    {SW_OP_GRU, unroll},
    {SW_OP_LSTM, unroll},
    {SW_OP_GridSample, sample},
};

bool sw__tfw_composes(sw_op op) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].op == op) return true;
    return false;
}

sw_status sw__tfw_compose(sw_graph *graph, const sw_diag *diag) {
    for (sw_node *node = graph->first, *next; node; node = next) {
        composition c = {.graph = graph, .node = node, .next = node->next, .diag = diag};
        next = node->next;
        if (!sw__tfw_composes(node->op)) continue;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (rows[i].op == node->op) rows[i].compose(&c);
        SW_TRY(c.status);
        sw_graph_remove_node(graph, node);
    }
    return sw_graph_infer(graph, diag);
}
