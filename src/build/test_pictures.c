/* Pictures of a batch stay apart: what is next to one, and where it stands, does not change a bit of its results. */
#include <math.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "build/test_net.h"
#include "engine/pictures.h"
#include "engine/plan_file.h"
#include "engine/session.h"
#include "kernels/conv/conv.h"
#include "pass/pass.h"

enum { CHANNELS = 32, HEADS = 4, MOST_BATCH = 3, MOST_TOKENS = 197, MOST_OUT = 24 };

/* From x (batch, tokens, 32): what comes out, and of how many, the first ones, it is known where pictures lie. */
typedef struct net {
    sw_graph *g;
    uint64_t seed;
    int64_t batch, tokens;
    sw_value *out[MOST_OUT];
    int n_out, n_known;
} net;

#define APPLY(n, op, ...) SW_TEST_APPLY((n)->g, op, __VA_ARGS__)

static sw_value *keep(net *n, sw_value *y) {
    CHECK(n->n_out < MOST_OUT);
    n->out[n->n_out++] = y;
    return y;
}

static sw_value *weights(net *n, int rank, const int64_t *dims) {
    return sw_test_weights(n->g, &n->seed, 0.3f, rank, dims);
}

static sw_value *ints(net *n, int count, const int64_t *v) {
    return sw_graph_const_ints(n->g, "ints", v, count);
}

static sw_value *index_of(net *n, int64_t i) {
    sw_value *c = sw_graph_new_const(n->g, "index", SW_I64, 0, NULL);
    *(int64_t *)c->type.data = i;
    return c;
}

static sw_value *with_axis(sw_value *y, int64_t axis) {
    sw_node_set_int(y->producer, "axis", axis);
    return y;
}

static sw_value *reshape(net *n, sw_value *x, int rank, const int64_t *dims) {
    return APPLY(n, SW_OP_Reshape, x, ints(n, rank, dims));
}

static sw_value *transpose(net *n, sw_value *x, int rank, const int64_t *perm) {
    sw_value *y = APPLY(n, SW_OP_Transpose, x);
    CHECK_INT(sw_node_set_ints(n->g, y->producer, "perm", perm, rank), SW_OK);
    return y;
}

static sw_value *linear(net *n, sw_value *x, int64_t in, int64_t out) {
    return APPLY(n, SW_OP_Add, APPLY(n, SW_OP_MatMul, x, weights(n, 2, (int64_t[]){in, out})), weights(n, 1, &out));
}

/* As torch's nn.MultiheadAttention: tokens first, heads beside the pictures. */
static sw_value *attention(net *n, sw_value *x) {
    const int64_t b = n->batch, t = n->tokens, size = CHANNELS / HEADS;
    sw_value *rows = keep(n, linear(n, transpose(n, x, 3, (int64_t[]){1, 0, 2}), CHANNELS, 3 * CHANNELS)), *parts[3];
    sw_value *all =
        APPLY(n, SW_OP_Unsqueeze, reshape(n, rows, 4, (int64_t[]){t, b, 3, CHANNELS}), ints(n, 1, (int64_t[]){0}));
    all = APPLY(n, SW_OP_Squeeze, transpose(n, all, 5, (int64_t[]){3, 1, 2, 0, 4}), ints(n, 1, (int64_t[]){3}));
    for (int i = 0; i < 3; i++) {
        parts[i] = reshape(n, keep(n, APPLY(n, SW_OP_Gather, all, index_of(n, i))), 3, (int64_t[]){t, b * HEADS, size});
        parts[i] = transpose(n, parts[i], 3, (int64_t[]){1, 0, 2});
    }
    sw_value *scores = APPLY(n, SW_OP_MatMul, parts[0], transpose(n, parts[1], 3, (int64_t[]){0, 2, 1}));
    sw_value *y = APPLY(n, SW_OP_MatMul, APPLY(n, SW_OP_Softmax, scores), parts[2]);
    y = reshape(n, transpose(n, y, 3, (int64_t[]){1, 0, 2}), 2, (int64_t[]){t * b, CHANNELS});
    y = APPLY(n, SW_OP_Gemm, y, weights(n, 2, (int64_t[]){CHANNELS, CHANNELS}), weights(n, 1, (int64_t[]){CHANNELS}));
    y = reshape(n, keep(n, y), 3, (int64_t[]){t, b, CHANNELS});
    return keep(n, APPLY(n, SW_OP_Add, transpose(n, y, 3, (int64_t[]){1, 0, 2}), x));
}

/* Tokens as a map, through convolutions and a pool, and back. */
static sw_value *maps(net *n, sw_value *x) {
    sw_value *map = APPLY(n, SW_OP_Unsqueeze, transpose(n, x, 3, (int64_t[]){0, 2, 1}), ints(n, 1, (int64_t[]){3}));
    map = APPLY(n, SW_OP_Conv, map, weights(n, 4, (int64_t[]){CHANNELS, CHANNELS, 3, 3}));
    CHECK_INT(sw_node_set_ints(n->g, map->producer, "pads", (int64_t[]){1, 1, 1, 1}, 4), SW_OK);
    map = APPLY(n, SW_OP_Conv, APPLY(n, SW_OP_Relu, map), weights(n, 4, (int64_t[]){CHANNELS, CHANNELS, 1, 1}));
    map = APPLY(n, SW_OP_Mul, map, APPLY(n, SW_OP_GlobalAveragePool, map));
    map = APPLY(n, SW_OP_Squeeze, keep(n, map), ints(n, 1, (int64_t[]){3}));
    return keep(n, transpose(n, map, 3, (int64_t[]){0, 2, 1}));
}

static void make(net *n, sw_value *x) {
    const int64_t b = n->batch, t = n->tokens;
    sw_value *y = attention(n, keep(n, APPLY(n, SW_OP_LayerNormalization, x, weights(n, 1, (int64_t[]){CHANNELS}))));
    y = APPLY(n, SW_OP_Add, linear(n, APPLY(n, SW_OP_Gelu, linear(n, y, CHANNELS, 48)), 48, CHANNELS), y);
    y = maps(n, keep(n, y));
    sw_value *token =
        APPLY(n, SW_OP_Expand, weights(n, 3, (int64_t[]){1, 1, CHANNELS}), ints(n, 3, (int64_t[]){b, 1, 1}));
    sw_value *longer = with_axis(APPLY(n, SW_OP_Concat, token, y), 1);
    keep(n, linear(n, longer, CHANNELS, 24));
    sw_value *first = with_axis(APPLY(n, SW_OP_Gather, longer, index_of(n, 0)), 1);
    keep(n, linear(n, first, CHANNELS, 16));
    sw_value *part = APPLY(n, SW_OP_Slice, longer, ints(n, 1, (int64_t[]){1}), ints(n, 1, (int64_t[]){t + 1}),
                           ints(n, 1, (int64_t[]){1}));
    keep(n, linear(n, reshape(n, part, 3, (int64_t[]){b * t, 4, 8}), 8, 8));
    keep(n, linear(n, APPLY(n, SW_OP_ReduceMax, part, ints(n, 1, (int64_t[]){1})), CHANNELS, 8));
    sw_value *scores = with_axis(APPLY(n, SW_OP_Softmax, part), 1);
    keep(n, APPLY(n, SW_OP_MatMul, transpose(n, scores, 3, (int64_t[]){0, 2, 1}), y));
    n->n_known = n->n_out;
    /* Rows by computed indices may be of any picture, as may those behind sums of all. */
    sw_value *at = with_axis(APPLY(n, SW_OP_ArgMax, reshape(n, x, 2, (int64_t[]){b, t * CHANNELS})), 1);
    sw_value *any = APPLY(n, SW_OP_Gather, reshape(n, x, 2, (int64_t[]){b * t * CHANNELS, 1}), at);
    keep(n, linear(n, reshape(n, any, 2, (int64_t[]){b, 1}), 1, 8));
    keep(n, linear(n, with_axis(APPLY(n, SW_OP_Softmax, x), 0), CHANNELS, 8));
}

static sw_plan *build(net *n, int64_t batch, int64_t tokens, bool fused) {
    *n = (net){.g = sw_graph_create(NULL), .seed = 3, .batch = batch, .tokens = tokens};
    sw_value *x = sw_graph_add_value(n->g, "x", SW_F32, 3, (int64_t[]){batch, tokens, CHANNELS});
    sw_plan *plan = NULL;
    CHECK_INT(sw_graph_set_inputs(n->g, &x, 1), SW_OK);
    make(n, x);
    CHECK_INT(sw_graph_set_outputs(n->g, n->out, n->n_out), SW_OK);
    CHECK_INT(sw_passes_run(n->g, fused ? NULL : "dead-code", &sw_test_diag), SW_OK);
    if (fused) CHECK_INT(sw_passes_for_cpu(n->g, false), SW_OK);
    CHECK_INT(sw_plan_lower(n->g, &sw_test_diag, &plan), SW_OK);
    return plan;
}

typedef struct result {
    int64_t count[MOST_OUT], turn[MOST_OUT];
    float *data[MOST_OUT];
} result;

/* Runs the plan; what the session knows of its outputs goes with them. */
static result run(const net *n, sw_plan *plan, int threads, float *data) {
    sw_session *session = NULL;
    sw_tensor in = {.dtype = SW_F32, .rank = 3, .dims = {n->batch, n->tokens, CHANNELS}, .data = data}, out[MOST_OUT];
    result r = {{0}};
    CHECK_INT(sw_session_create(plan, &(sw_session_options){.threads = threads}, &sw_test_diag, &session), SW_OK);
    CHECK_INT(sw_session_run(session, &in, out), SW_OK);
    const sw_instance *instance = sw_session_instance(session);
    CHECK_INT(instance->batch, n->batch);
    for (int i = 0; i < n->n_out; i++) {
        r.count[i] = sw_tensor_count(&out[i]);
        r.turn[i] = instance->turns[plan->outputs[i]];
        r.data[i] = malloc((size_t)sw_tensor_bytes(&out[i]));
        memcpy(r.data[i], out[i].data, (size_t)sw_tensor_bytes(&out[i]));
    }
    sw_session_destroy(session);
    return r;
}

static void drop(result *r) {
    for (int i = 0; i < MOST_OUT; i++) free(r->data[i]);
}

/* Whether every picture of `a` has the same bits in `b`, one place further back. */
static bool is_moved(const net *n, const result *a, const result *b, int output) {
    int64_t turn = a->turn[output];
    for (int64_t i = 0; i < a->count[output]; i++) {
        if (i / turn % n->batch + 1 == n->batch) continue;
        if (memcmp(&a->data[output][i], &b->data[output][i + turn], sizeof(float)) != 0) return false;
    }
    return true;
}

/* The same pictures behind one that is spoilt. */
static void check_spoilt(const net *n, sw_plan *plan, int threads, const float *data, const result *want, float with) {
    int64_t picture = n->tokens * CHANNELS;
    float *moved = malloc((size_t)(n->batch * picture) * sizeof *moved);
    for (int64_t i = 0; i < n->batch * picture; i++) moved[i] = i < picture ? with : data[i - picture];
    result got = run(n, plan, threads, moved);
    for (int i = 0; i < n->n_known; i++)
        if (!is_moved(n, want, &got, i))
            sw_test_fail(__FILE__, __LINE__, "output %d of %d pictures of %d tokens: %g beside it changes a picture", i,
                         (int)n->batch, (int)n->tokens, (double)with);
    drop(&got);
    free(moved);
}

/* Products by that tactic wherever it takes them; NULL: by the cheapest. How many it takes. */
static int set_tactic(sw_plan *plan, const char *name) {
    int n = 0;
    for (size_t s = 0; s < plan->n_steps; s++) {
        sw_op op = plan->steps[s].op;
        if (op != SW_OP_MatMul && op != SW_OP_Gemm && op != SW_OP_FusedProduct && op != SW_OP_FusedConv) continue;
        if (name) CHECK_INT(sw_plan_set_tactic(plan, s, name), SW_OK);
        n++;
    }
    return n;
}

static void check_batch(int64_t batch, int64_t tokens, const char *tactic) {
    static float data[MOST_BATCH * MOST_TOKENS * CHANNELS];
    uint64_t seed = 7;
    for (int64_t i = 0; i < batch * tokens * CHANNELS; i++) data[i] = sw_test_uniform(&seed, -1, 1);
    for (int fused = 0; fused < 2; fused++) {
        net n;
        sw_plan *plan = build(&n, batch, tokens, fused);
        CHECK(set_tactic(plan, tactic) > 0);
        result want = run(&n, plan, 1 + fused, data);
        for (int i = 0; i < n.n_out && batch > 1; i++) CHECK((want.turn[i] > 0) == (i < n.n_known));
        if (batch > 1) {
            check_spoilt(&n, plan, 1, data, &want, NAN);
            check_spoilt(&n, plan, 2, data, &want, INFINITY);
            check_spoilt(&n, plan, 2, data, &want, 1e30f);
        }
        drop(&want);
        sw_plan_unref(plan);
    }
}

SW_TEST(pictures_stay_apart) {
    static const int64_t tokens[] = {1, 2, 3, MOST_TOKENS};
    static const char *const tactics[] = {NULL, "strassen-avx2", "strassen-avx512"};
    for (int t = 0; t < 3; t++) {
        const sw_conv_tactic *tactic = tactics[t] ? sw_conv_find(tactics[t]) : NULL;
        if (tactics[t] && (!tactic || (tactic->features & ~sw_cpu_features()))) continue;
        for (int i = 0; i < 4; i++)
            for (int64_t batch = 1; batch <= MOST_BATCH; batch++) check_batch(batch, tokens[i], tactics[t]);
    }
}

/* The convolutions that products became, by columns of their outputs, which are unlike. */
static const sw_conv *product_of(sw_session *session, const sw_plan *plan, int64_t depth, int64_t columns) {
    const sw_instance *instance = sw_session_instance(session);
    for (size_t s = 0; s < plan->n_steps; s++) {
        const sw_conv *c = &instance->prepared[s].conv;
        if (instance->prepared[s].tactic && c->in_channels == depth && c->out_channels == columns) return c;
    }
    return NULL;
}

/* How rows of products are cut: by runs of tokens, by turns, and one by one where pictures are not known. */
static void check_products(sw_plan *plan) {
    static const struct {
        int64_t depth, columns, batch, width, turns;
    } want[] = {{CHANNELS, 3 * CHANNELS, 1, 15, 3}, /* tokens first */
                {CHANNELS, 48, 3, 5, 0},
                {CHANNELS, 24, 3, 6, 0},
                {CHANNELS, 16, 1, 3, 3}, /* one row of each */
                {8, 8, 3, 20, 0},
                {1, 8, 1, 3, 3}};
    static float data[3 * 5 * CHANNELS];
    sw_session *session = NULL;
    sw_tensor in = {.dtype = SW_F32, .rank = 3, .dims = {3, 5, CHANNELS}, .data = data}, out[MOST_OUT];
    sw_session_options options = {.threads = 3}; /* as many as pictures: no groups of them */
    CHECK_INT(sw_session_create(plan, &options, &sw_test_diag, &session), SW_OK);
    CHECK_INT(sw_session_run(session, &in, out), SW_OK);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const sw_conv *c = product_of(session, plan, want[i].depth, want[i].columns);
        CHECK(c);
        if (!c) continue;
        CHECK_INT(c->batch, want[i].batch);
        CHECK_INT(c->width, want[i].width);
        CHECK_INT(c->turns, want[i].turns);
    }
    sw_session_destroy(session);
}

SW_TEST(products_know_pictures) {
    if (!(sw_cpu_features() & SW_CPU_VECTORS)) return;
    static const char path[] = "test-pictures.slip";
    net n;
    sw_plan *plan = build(&n, 3, 5, true), *loaded = NULL;
    check_products(plan);
    CHECK_INT(sw_plan_save(plan, path, NULL, &sw_test_diag), SW_OK);
    CHECK_INT(sw_plan_load(path, NULL, &sw_test_diag, &loaded), SW_OK);
    check_products(loaded); /* whose weights are there packed only */
    sw_plan_unref(loaded);
    sw_plan_unref(plan);
    remove(path);
}
