/* Shape rule of RNN, GRU and LSTM. */
#include <string.h>

#include "ops/recurrent.h"
#include "ops/shape.h"

/* Names of activations as ONNX spells them, in the order of sw_gate_act; how many parameters each has, and their
 * defaults. */
static const struct {
    const char *name;
    int params;
    float alpha, beta;
} acts[] = {
    {"Affine", 2, 1, 0},   {"Elu", 1, 1, 0},        {"HardSigmoid", 2, 0.2f, 0.5f}, {"LeakyRelu", 1, 0.01f, 0},
    {"Relu", 0, 0, 0},     {"ScaledTanh", 2, 1, 1}, {"Sigmoid", 0, 0, 0},           {"Softplus", 0, 0, 0},
    {"Softsign", 0, 0, 0}, {"Tanh", 0, 0, 0},       {"ThresholdedRelu", 1, 1, 0},
};

/* Case does not matter (older writers: "sigmoid"). */
static bool same_name(const char *name, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((name[i] | 0x20) != (text[i] | 0x20)) return false;
    return name[n] == 0;
}

/* The attribute is a list with commas; parameters are consumed in its order by the functions that have some. */
static sw_status read_acts(const sw_call *c, sw_recurrent *r) {
    static const sw_gate_act usual[3][3] = {
        {SW_GATE_TANH}, {SW_GATE_SIGMOID, SW_GATE_TANH}, {SW_GATE_SIGMOID, SW_GATE_TANH, SW_GATE_TANH}};
    const sw_attr *alphas = sw_call_attr(c, "activation_alpha", SW_ATTR_FLOATS);
    const sw_attr *betas = sw_call_attr(c, "activation_beta", SW_ATTR_FLOATS);
    const sw_attr *names = sw_call_attr(c, "activations", SW_ATTR_STRING);
    const char *text = names->set ? names->s : NULL;
    int n_alpha = 0, n_beta = 0;
    for (int i = 0; i < r->directions * r->acts; i++) {
        int d = i / r->acts, k = i % r->acts;
        sw_gate_act act = usual[r->acts - 1][k];
        if (text) {
            size_t length = strcspn(text, ","), found = 0, n = sizeof acts / sizeof *acts;
            while (found < n && !(length && same_name(acts[found].name, text, length))) found++;
            if (found == n)
                return sw_call_unsupported(c, "%d activations are expected; number %d is '%.32s'",
                                           r->directions * r->acts, i + 1, text);
            act = (sw_gate_act)found;
            text += length + (text[length] == ',');
        }
        r->act[d][k] = act;
        bool has_alpha = acts[act].params > 0 && n_alpha < alphas->floats.n;
        bool has_beta = acts[act].params > 1 && n_beta < betas->floats.n;
        r->alpha[d][k] = has_alpha ? alphas->floats.v[n_alpha++] : acts[act].alpha;
        r->beta[d][k] = has_beta ? betas->floats.v[n_beta++] : acts[act].beta;
    }
    return SW_OK;
}

/* Input `i` has these extents, as far as they are known. */
static sw_status expect(const sw_call *c, int i, const char *what, int rank, const int64_t *dims) {
    const sw_tensor *t = sw_call_in(c, i);
    if (!t || t->rank < 0) return SW_OK;
    if (t->rank != rank) return sw_call_fail(c, "%s has %d axes, expected %d", what, t->rank, rank);
    for (int k = 0; k < rank; k++)
        if (sw_dim_known(t->dims[k]) && sw_dim_known(dims[k]) && t->dims[k] != dims[k])
            return sw_call_fail(c, "axis %d of %s is %lld, expected %lld", k, what, (long long)t->dims[k],
                                (long long)dims[k]);
    return SW_OK;
}

static sw_status check_inputs(const sw_call *c, const sw_recurrent *r) {
    int64_t rows, d = r->directions;
    SW_TRY(sw__dim_mul(c, r->gates, r->hidden, &rows));
    SW_TRY(expect(c, 1, "W", 3, (int64_t[]){d, rows, r->input}));
    SW_TRY(expect(c, 2, "R", 3, (int64_t[]){d, rows, r->hidden}));
    SW_TRY(expect(c, 3, "B", 2, (int64_t[]){d, sw_dim_known(rows) ? 2 * rows : rows}));
    SW_TRY(expect(c, 4, "sequence_lens", 1, (int64_t[]){r->batch}));
    const int64_t by_direction[3] = {d, r->batch, r->hidden}, by_batch[3] = {r->batch, d, r->hidden};
    const int64_t *state = r->batch_first ? by_batch : by_direction;
    SW_TRY(expect(c, 5, "initial_h", 3, state));
    SW_TRY(expect(c, 6, "initial_c", 3, state));
    if (sw_call_in(c, 4)) SW_TRY(sw__require_index_type(c, c->in[4]));
    return expect(c, 7, "P", 2, (int64_t[]){d, sw_dim_known(r->hidden) ? 3 * r->hidden : r->hidden});
}

sw_status sw_call_recurrent(const sw_call *c, sw_recurrent *r) {
    const sw_tensor *x = c->in[0];
    const sw_attr *hidden = sw_call_attr(c, "hidden_size", SW_ATTR_INT);
    const char *direction = sw_call_string(c, "direction");
    *r = (sw_recurrent){.directions = 1, .batch_first = sw_call_int(c, "layout") != 0};
    r->gates = c->op == SW_OP_RNN ? 1 : c->op == SW_OP_GRU ? 3 : 4;
    r->acts = c->op == SW_OP_RNN ? 1 : c->op == SW_OP_GRU ? 2 : 3;
    r->reverse = strcmp(direction, "reverse") == 0;
    if (strcmp(direction, "bidirectional") == 0)
        r->directions = 2;
    else if (!r->reverse && strcmp(direction, "forward") != 0)
        return sw_call_fail(c, "unknown direction '%.32s'", direction);
    if (x->rank >= 0 && x->rank != 3) return sw_call_fail(c, "the input has %d axes, expected 3", x->rank);
    r->steps = x->rank < 0 ? SW_DIM_UNKNOWN : x->dims[r->batch_first];
    r->batch = x->rank < 0 ? SW_DIM_UNKNOWN : x->dims[!r->batch_first];
    r->input = x->rank < 0 ? SW_DIM_UNKNOWN : x->dims[2];
    if (hidden->set && (hidden->i < 1 || hidden->i > INT32_MAX))
        return sw_call_fail(c, "hidden_size is %lld", (long long)hidden->i);
    r->hidden = hidden->set ? hidden->i : c->in[2]->rank == 3 ? c->in[2]->dims[2] : SW_DIM_UNKNOWN;
    if (r->hidden > INT32_MAX) return sw_call_fail(c, "hidden_size is %lld", (long long)r->hidden);
    SW_TRY(read_acts(c, r));
    return check_inputs(c, r);
}

static void set_output(const sw_call *c, int i, int rank, const int64_t *dims) {
    sw_tensor *y = sw_call_out(c, i);
    if (!y) return;
    sw__set_unknown(y, c->in[0]->dtype, rank);
    for (int k = 0; k < rank; k++) y->dims[k] = dims[k];
}

sw_status sw__shape_recurrent(const sw_call *c) {
    sw_recurrent r;
    sw_dtype dtype;
    for (int i = 1; i < c->n_in; i++)
        if (c->in[i] && i != 4) SW_TRY(sw__same_dtype(c, c->in[0], c->in[i], &dtype));
    SW_TRY(sw_call_recurrent(c, &r));
    const int64_t d = r.directions, steps_first[4] = {r.steps, d, r.batch, r.hidden},
                  batch_first[4] = {r.batch, r.steps, d, r.hidden}, state[3] = {d, r.batch, r.hidden},
                  batch_state[3] = {r.batch, d, r.hidden};
    set_output(c, 0, 4, r.batch_first ? batch_first : steps_first);
    for (int i = 1; i < c->n_out; i++) set_output(c, i, 3, r.batch_first ? batch_state : state);
    return SW_OK;
}
