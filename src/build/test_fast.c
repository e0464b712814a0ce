/* Fast plans against reference plans, on graphs that are traps for layouts and views. */
#include <math.h>
#include <stdlib.h>

#include "base/test_memory.h"
#include "build/test_net.h"
#include "engine/session.h"
#include "pass/pass.h"

enum { SIDE = 8, MAX_OUT = 4, MAX_BATCH = 4, PICTURE = 8 * SIDE * SIDE };

/* Pictures of a run, and the groups of steps that took them a few at a time. */
static int64_t batch = 1;
static int groups;

typedef struct net {
    sw_graph *g;
    uint64_t seed;
} net;

#define APPLY(n, op, ...) SW_TEST_APPLY((n)->g, op, __VA_ARGS__)

static sw_value *weights(net *n, int rank, const int64_t *dims) {
    return sw_test_weights(n->g, &n->seed, 0.5f, rank, dims);
}

/* A 3x3 convolution that keeps the size, with bias. */
static sw_value *conv(net *n, sw_value *x, int64_t in, int64_t out, int64_t group) {
    sw_value *w = weights(n, 4, (int64_t[]){out, in / group, 3, 3}), *b = weights(n, 1, &out);
    sw_value *y = APPLY(n, SW_OP_Conv, x, w, b);
    sw_node_set_int(y->producer, "group", group);
    CHECK_INT(sw_node_set_ints(n->g, y->producer, "pads", (int64_t[]){1, 1, 1, 1}, 4), SW_OK);
    return y;
}

static sw_value *silu(net *n, sw_value *x) {
    return APPLY(n, SW_OP_Mul, x, APPLY(n, SW_OP_Sigmoid, x));
}

static sw_value *concat(net *n, int count, sw_value *const *in) {
    sw_value *y = sw_test_apply(n->g, SW_OP_Concat, count, in);
    sw_node_set_int(y->producer, "axis", 1);
    return y;
}

static void split(net *n, sw_value *x, sw_value **parts) {
    for (int i = 0; i < 2; i++) parts[i] = sw_graph_add_value(n->g, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
    sw_node *node = sw_graph_add_node(n->g, NULL, SW_OP_Split, "", 1, &x, 2, parts);
    sw_node_set_int(node, "axis", 1);
    sw_node_set_int(node, "num_outputs", 2);
}

/* ---- Graphs: from x (1, 8, 8, 8), where channels, height and width could be mixed up unseen ------------------------- */

typedef int (*make_fn)(net *n, sw_value *x, sw_value **out);

static int residuals(net *n, sw_value *x, sw_value **out) {
    sw_value *a = silu(n, conv(n, x, 8, 8, 1));
    sw_value *b = APPLY(n, SW_OP_Add, a, silu(n, conv(n, a, 8, 8, 1)));              /* behind the activation */
    sw_value *c = APPLY(n, SW_OP_Relu, APPLY(n, SW_OP_Add, conv(n, b, 8, 8, 1), b)); /* before it */
    out[0] = APPLY(n, SW_OP_Add, c, c);                                              /* the same value twice */
    out[1] = b;
    return 2;
}

/* As C2f: both halves and what is made of one are joined. */
static int halves(net *n, sw_value *x, sw_value **out) {
    sw_value *parts[3];
    split(n, silu(n, conv(n, x, 8, 16, 1)), parts);
    parts[2] = APPLY(n, SW_OP_Add, parts[1], silu(n, conv(n, parts[1], 8, 8, 1)));
    out[0] = conv(n, concat(n, 3, parts), 24, 8, 1);
    return 1;
}

/* One value in two joins, twice in one, and in a join of joins. */
static int joins(net *n, sw_value *x, sw_value **out) {
    sw_value *a = conv(n, x, 8, 8, 1), *b = conv(n, x, 8, 4, 1);
    sw_value *first = concat(n, 2, (sw_value *[]){a, b}), *second = concat(n, 3, (sw_value *[]){b, a, b});
    sw_value *both = concat(n, 2, (sw_value *[]){second, first});
    out[0] = conv(n, both, 28, 4, 1);
    out[1] = APPLY(n, SW_OP_Relu, first);
    out[2] = second;
    return 3;
}

/* Only one half of a split is joined: the other must survive beside it. */
static int odd_half(net *n, sw_value *x, sw_value **out) {
    sw_value *parts[2];
    split(n, conv(n, x, 8, 8, 1), parts);
    sw_value *changed = silu(n, conv(n, parts[1], 4, 4, 1));
    out[0] = concat(n, 2, (sw_value *[]){changed, parts[0]});
    out[1] = APPLY(n, SW_OP_Add, parts[1], changed);
    return 2;
}

/* ShuffleNet's exchange of channels leaves channels-last and comes back. */
static int shuffle(net *n, sw_value *x, sw_value **out) {
    sw_value *y = conv(n, x, 8, 8, 2);
    sw_value *five = sw_graph_const_ints(n->g, "d5", (int64_t[]){1, 2, 4, SIDE, SIDE}, 5);
    sw_value *four = sw_graph_const_ints(n->g, "d4", (int64_t[]){1, 8, SIDE, SIDE}, 4);
    y = APPLY(n, SW_OP_Transpose, APPLY(n, SW_OP_Reshape, y, five));
    CHECK_INT(sw_node_set_ints(n->g, y->producer, "perm", (int64_t[]){0, 2, 1, 3, 4}, 5), SW_OK);
    out[0] = conv(n, APPLY(n, SW_OP_Reshape, y, four), 8, 8, 8);
    return 1;
}

/* Squeeze and excitation: a factor per channel; a row-major reader of a channels-last map; a constant per channel. */
static int excitation(net *n, sw_value *x, sw_value **out) {
    sw_value *y = silu(n, conv(n, x, 8, 8, 1));
    sw_value *gate = APPLY(n, SW_OP_Sigmoid, conv(n, APPLY(n, SW_OP_GlobalAveragePool, y), 8, 8, 1));
    y = APPLY(n, SW_OP_Mul, y, gate);
    y = APPLY(n, SW_OP_Mul, y, weights(n, 4, (int64_t[]){1, 8, 1, 1}));
    sw_value *swap = APPLY(n, SW_OP_Transpose, y);
    CHECK_INT(sw_node_set_ints(n->g, swap->producer, "perm", (int64_t[]){0, 2, 3, 1}, 4), SW_OK);
    out[0] = swap;
    out[1] = y;
    return 2;
}

/* Pools one behind the other, joined (SPPF); enlarged by the nearest pixel; a strided convolution of odd channels. */
static int pyramid(net *n, sw_value *x, sw_value **out) {
    sw_value *parts[3] = {silu(n, conv(n, x, 8, 6, 1))};
    for (int i = 1; i < 3; i++) {
        parts[i] = APPLY(n, SW_OP_MaxPool, parts[i - 1]);
        CHECK_INT(sw_node_set_ints(n->g, parts[i]->producer, "kernel_shape", (int64_t[]){5, 5}, 2), SW_OK);
        CHECK_INT(sw_node_set_ints(n->g, parts[i]->producer, "pads", (int64_t[]){2, 2, 2, 2}, 4), SW_OK);
    }
    sw_value *y = conv(n, concat(n, 3, parts), 18, 7, 1);
    CHECK_INT(sw_node_set_ints(n->g, y->producer, "strides", (int64_t[]){2, 2}, 2), SW_OK);
    sw_value *scales = sw_graph_new_const(n->g, "scales", SW_F32, 1, (int64_t[]){4});
    memcpy(scales->type.data, (float[]){1, 1, 2, 2}, 4 * sizeof(float));
    sw_value *large = sw_graph_apply(n->g, NULL, SW_OP_Resize, "", 3, (sw_value *[]){y, NULL, scales});
    CHECK_INT(sw_node_set_string(n->g, large->producer, "coordinate_transformation_mode", "asymmetric"), SW_OK);
    CHECK_INT(sw_node_set_string(n->g, large->producer, "nearest_mode", "floor"), SW_OK);
    out[0] = conv(n, concat(n, 2, (sw_value *[]){large, parts[0]}), 13, 3, 1);
    return 1;
}

static sw_value *flat(net *n, sw_value *x, int64_t channels) {
    return APPLY(n, SW_OP_Reshape, x, sw_graph_const_ints(n->g, "flat", (int64_t[]){1, channels, -1}, 3));
}

static sw_value *pool(net *n, sw_op op, sw_value *x) {
    sw_value *y = APPLY(n, op, x);
    CHECK_INT(sw_node_set_ints(n->g, y->producer, "kernel_shape", (int64_t[]){3, 3}, 2), SW_OK);
    CHECK_INT(sw_node_set_ints(n->g, y->producer, "strides", (int64_t[]){2, 2}, 2), SW_OK);
    return y;
}

/* Levels of a head, flattened and joined along their pixels, split, joined again with one part twice; flat rows that are an
 * output, too. */
static int levels(net *n, sw_value *x, sw_value **out) {
    sw_value *maps[3] = {conv(n, x, 8, 6, 1)}, *rows[3], *parts[2];
    maps[1] = conv(n, pool(n, SW_OP_AveragePool, maps[0]), 6, 6, 1);
    maps[2] = pool(n, SW_OP_MaxPool, maps[0]);
    for (int i = 0; i < 3; i++) rows[i] = flat(n, maps[i], 6);
    sw_value *all = sw_test_apply(n->g, SW_OP_Concat, 3, rows);
    sw_node_set_int(all->producer, "axis", 2);
    split(n, all, parts);
    sw_value *scores = APPLY(n, SW_OP_Sigmoid, parts[1]);
    out[0] = concat(n, 3, (sw_value *[]){parts[0], scores, scores});
    out[1] = rows[2];
    out[2] = APPLY(n, SW_OP_Exp, flat(n, flat(n, scores, 1), 3));
    return 3;
}

static sw_value *transposed(net *n, sw_value *x, int64_t in, int64_t out) {
    sw_value *y = APPLY(n, SW_OP_ConvTranspose, x, weights(n, 4, (int64_t[]){in, out, 2, 2}), weights(n, 1, &out));
    CHECK_INT(sw_node_set_ints(n->g, y->producer, "strides", (int64_t[]){2, 2}, 2), SW_OK);
    return y;
}

/* Dilated kernels that reach beyond the map on all sides, and on one; transposed ones that tile. */
static int rare_convs(net *n, sw_value *x, sw_value **out) {
    sw_value *parts[2] = {conv(n, x, 8, 8, 1), conv(n, x, 8, 8, 2)};
    for (int i = 0; i < 2; i++) {
        int64_t far = i ? 6 : 9, pads[4] = {far, i ? 0 : far, far, i ? 12 : far};
        CHECK_INT(sw_node_set_ints(n->g, parts[i]->producer, "dilations", (int64_t[]){far, far}, 2), SW_OK);
        CHECK_INT(sw_node_set_ints(n->g, parts[i]->producer, "pads", pads, 4), SW_OK);
    }
    sw_value *large = transposed(n, silu(n, concat(n, 2, parts)), 16, 5);
    out[0] = conv(n, large, 5, 6, 1);
    out[1] = parts[1];
    return 2;
}

static sw_value *transpose(net *n, sw_value *x, const int64_t *perm) {
    sw_value *y = APPLY(n, SW_OP_Transpose, x);
    CHECK_INT(sw_node_set_ints(n->g, y->producer, "perm", perm, 4), SW_OK);
    return y;
}

static sw_value *linear(net *n, sw_value *x, int64_t in, int64_t out) {
    sw_value *y = APPLY(n, SW_OP_MatMul, x, weights(n, 2, (int64_t[]){in, out}));
    return APPLY(n, SW_OP_Add, weights(n, 1, &out), y);
}

static const int64_t to_rows[4] = {0, 2, 3, 1}, to_map[4] = {0, 3, 1, 2};

/* As ConvNeXt: products over the pixels of a map, a factor per channel behind them, a residual that is a map; a part of a
 * join; a turn that is none of these; an output that is one. */
static int pixel_rows(net *n, sw_value *x, sw_value **out) {
    sw_value *map = conv(n, x, 8, 8, 8), *rows = transpose(n, map, to_rows);
    rows = linear(n, APPLY(n, SW_OP_Gelu, linear(n, rows, 8, 24)), 24, 8);
    sw_value *back = APPLY(n, SW_OP_Mul, transpose(n, rows, to_map), weights(n, 3, (int64_t[]){8, 1, 1}));
    sw_value *sum = APPLY(n, SW_OP_Add, back, map);
    sw_value *other = transpose(n, linear(n, transpose(n, conv(n, sum, 8, 8, 1), to_rows), 8, 8), to_map);
    out[0] = conv(n, concat(n, 2, (sw_value *[]){sum, other}), 16, 4, 1);
    out[1] = transpose(n, sum, to_rows);
    out[2] = transpose(n, sum, (int64_t[]){0, 3, 2, 1});
    return 3;
}

/* Products with all that may stand behind them: residuals on either side of the activation, an activation without a bias, a
 * result that is read twice, Gemm with its weights either way; biases and factors that are none. */
static int perceptrons(net *n, sw_value *x, sw_value **out) {
    sw_value *a = APPLY(n, SW_OP_Relu, APPLY(n, SW_OP_Add, linear(n, x, 8, 8), x)),
             *w = weights(n, 2, (int64_t[]){8, 8});
    sw_value *b = APPLY(n, SW_OP_Add, silu(n, linear(n, a, 8, 8)), a);
    sw_value *c = APPLY(n, SW_OP_Tanh, APPLY(n, SW_OP_Sigmoid, APPLY(n, SW_OP_MatMul, b, w)));
    c = APPLY(n, SW_OP_Mul, linear(n, c, 8, 8), weights(n, 2, (int64_t[]){8, 1}));
    c = APPLY(n, SW_OP_Mul, linear(n, c, 8, 8), weights(n, 1, (int64_t[]){8}));
    sw_value *rows = APPLY(n, SW_OP_Reshape, c, sw_graph_const_ints(n->g, "rows", (int64_t[]){-1, 8}, 2));
    sw_value *d = APPLY(n, SW_OP_Gemm, rows, w, weights(n, 2, (int64_t[]){1, 8}));
    sw_node_set_int(d->producer, "transB", 1);
    d = APPLY(n, SW_OP_Gelu, d);
    out[0] = APPLY(n, SW_OP_Clip, APPLY(n, SW_OP_Gemm, d, w));
    out[1] = APPLY(n, SW_OP_Add, APPLY(n, SW_OP_MatMul, c, w), weights(n, 2, (int64_t[]){8, 8}));
    out[2] = APPLY(n, SW_OP_Gelu, d);
    return 3;
}

static sw_value *reshape(net *n, sw_value *x, int rank, const int64_t *dims) {
    return APPLY(n, SW_OP_Reshape, x, sw_graph_const_ints(n->g, "dims", dims, rank));
}

static sw_value *turn(net *n, sw_value *x, int rank, const int64_t *perm) {
    sw_value *y = APPLY(n, SW_OP_Transpose, x);
    CHECK_INT(sw_node_set_ints(n->g, y->producer, "perm", perm, rank), SW_OK);
    return y;
}

static sw_value *number(net *n, float v) {
    sw_value *c = sw_graph_new_const(n->g, "number", SW_F32, 0, NULL);
    *(float *)c->type.data = v;
    return c;
}

static sw_value *gathered(net *n, sw_value *x, int64_t index) {
    sw_value *i = sw_graph_new_const(n->g, "index", SW_I64, 0, NULL);
    *(int64_t *)i->type.data = index;
    return APPLY(n, SW_OP_Gather, x, i);
}

/* As torchvision's ViT: queries, keys and values from one product, factors before the product of them. */
static int heads(net *n, sw_value *x, sw_value **out) {
    sw_value *rows = linear(n, reshape(n, x, 3, (int64_t[]){64, 1, 8}), 8, 24);
    sw_value *all = turn(n, reshape(n, rows, 5, (int64_t[]){1, 64, 3, 2, 4}), 5, (int64_t[]){2, 0, 3, 1, 4});
    sw_value *q = APPLY(n, SW_OP_Mul, gathered(n, all, 0), number(n, 0.75f)), *v = gathered(n, all, 2);
    sw_value *k = APPLY(n, SW_OP_Mul, turn(n, gathered(n, all, 1), 4, (int64_t[]){0, 1, 3, 2}), number(n, 0.75f));
    sw_value *y = APPLY(n, SW_OP_MatMul, APPLY(n, SW_OP_Softmax, APPLY(n, SW_OP_MatMul, q, k)), v);
    y = reshape(n, turn(n, y, 4, (int64_t[]){0, 2, 1, 3}), 3, (int64_t[]){1, 64, 8});
    out[0] = linear(n, y, 8, 8);
    out[1] = v;
    return 2;
}

/* As Swin: windows with a bias for each head and a mask for each window, added to other shapes of the scores. */
static int windows(net *n, sw_value *x, sw_value **out) {
    sw_value *rows = turn(n, reshape(n, x, 6, (int64_t[]){1, 8, 2, 4, 2, 4}), 6, (int64_t[]){0, 2, 4, 3, 5, 1});
    rows = linear(n, reshape(n, rows, 3, (int64_t[]){4, 16, 8}), 8, 24);
    sw_value *all = turn(n, reshape(n, rows, 5, (int64_t[]){4, 16, 3, 2, 4}), 5, (int64_t[]){2, 0, 3, 1, 4});
    sw_value *q = gathered(n, all, 0), *k = turn(n, gathered(n, all, 1), 4, (int64_t[]){0, 1, 3, 2});
    sw_value *scores = APPLY(n, SW_OP_Div, APPLY(n, SW_OP_MatMul, q, k), number(n, 2));
    scores = APPLY(n, SW_OP_Add, scores, weights(n, 4, (int64_t[]){1, 2, 16, 16}));
    scores = reshape(n, scores, 5, (int64_t[]){1, 4, 2, 16, 16});
    scores = APPLY(n, SW_OP_Add, weights(n, 5, (int64_t[]){1, 4, 1, 16, 16}), scores);
    scores = APPLY(n, SW_OP_Softmax, reshape(n, scores, 4, (int64_t[]){4, 2, 16, 16}));
    out[0] = APPLY(n, SW_OP_MatMul, scores, gathered(n, all, 2));
    return 1;
}

/* As C2PSA: heads in the channels of a map, the weights transposed. One head's keys are hidden by a short mask. */
static int area(net *n, sw_value *x, sw_value **out) {
    sw_value *parts[3], *all = reshape(n, conv(n, x, 8, 16, 1), 4, (int64_t[]){1, 2, 8, 64});
    for (int i = 0; i < 3; i++) parts[i] = sw_graph_add_value(n->g, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
    sw_value *lengths = sw_graph_const_ints(n->g, "lengths", (int64_t[]){2, 2, 4}, 3);
    sw_node *node = sw_graph_add_node(n->g, NULL, SW_OP_Split, "", 2, (sw_value *[]){all, lengths}, 3, parts);
    sw_node_set_int(node, "axis", 2);
    static const int64_t swap[4] = {0, 1, 3, 2};
    sw_value *scores = APPLY(n, SW_OP_MatMul, turn(n, parts[0], 4, swap), parts[1]);
    scores = APPLY(n, SW_OP_Add, APPLY(n, SW_OP_Mul, scores, number(n, 0.7f)), weights(n, 1, (int64_t[]){64}));
    sw_value *y = APPLY(n, SW_OP_MatMul, parts[2], turn(n, APPLY(n, SW_OP_Softmax, scores), 4, swap));
    y = APPLY(n, SW_OP_Add, reshape(n, y, 4, (int64_t[]){1, 8, 8, 8}),
              conv(n, reshape(n, parts[2], 4, (int64_t[]){1, 8, 8, 8}), 8, 8, 8));
    out[0] = conv(n, y, 8, 8, 1);
    return 1;
}

/* Attention that is written like the others but is not: scores that somebody else reads, too; a mask behind a factor. */
static int not_attention(net *n, sw_value *x, sw_value **out) {
    sw_value *rows = reshape(n, x, 3, (int64_t[]){2, 64, 4}), *k = turn(n, rows, 3, (int64_t[]){0, 2, 1});
    out[0] = APPLY(n, SW_OP_Softmax, APPLY(n, SW_OP_MatMul, rows, k));
    out[1] = APPLY(n, SW_OP_MatMul, out[0], rows);
    sw_value *scores = APPLY(n, SW_OP_Add, APPLY(n, SW_OP_MatMul, rows, k), weights(n, 1, (int64_t[]){64}));
    scores = APPLY(n, SW_OP_Softmax, APPLY(n, SW_OP_Mul, scores, number(n, 3)));
    out[2] = APPLY(n, SW_OP_MatMul, scores, rows);
    return 3;
}

/* ---- Running ------------------------------------------------------------------------------------------------------- */

typedef struct result {
    int n;
    int64_t count[MAX_OUT];
    float *data[MAX_OUT];
} result;

static result run(make_fn make, const char *last_pass, bool open_size, sw_dtype half) {
    net n = {.g = sw_graph_create(NULL), .seed = 11};
    int64_t side = open_size ? SW_DIM_UNKNOWN : SIDE, dims[4] = {batch, 8, side, side};
    sw_value *x = sw_graph_add_value(n.g, "x", SW_F32, 4, dims), *outputs[MAX_OUT];
    CHECK_INT(sw_graph_set_inputs(n.g, &x, 1), SW_OK);
    result r = {.n = make(&n, x, outputs)};
    CHECK_INT(sw_graph_set_outputs(n.g, outputs, r.n), SW_OK);
    sw_plan *plan = NULL;
    CHECK_INT(sw_passes_run(n.g, last_pass, &sw_test_diag), SW_OK);
    if (!last_pass) CHECK_INT(sw_passes_for_cpu(n.g, half == SW_BF16), SW_OK);
    if (half) CHECK_INT(sw_pass_halves(n.g, half), SW_OK);
    CHECK_INT(sw_plan_lower(n.g, &sw_test_diag, &plan), SW_OK);
    sw_session *session = NULL;
    CHECK_INT(sw_session_create(plan, &(sw_session_options){.threads = 2}, &sw_test_diag, &session), SW_OK);
    float data[MAX_BATCH * PICTURE];
    uint64_t seed = 5;
    for (int i = 0; i < MAX_BATCH * PICTURE; i++) data[i] = sw_test_uniform(&seed, -1, 1);
    sw_tensor in = {.dtype = SW_F32, .rank = 4, .dims = {batch, 8, SIDE, SIDE}, .data = data}, out[MAX_OUT];
    for (int round = 0; round < 2; round++) CHECK_INT(sw_session_run(session, &in, out), SW_OK);
    for (int i = 0; i < r.n; i++) {
        r.count[i] = sw_tensor_count(&out[i]);
        r.data[i] = malloc((size_t)sw_tensor_bytes(&out[i]));
        memcpy(r.data[i], out[i].data, (size_t)sw_tensor_bytes(&out[i]));
    }
    groups += sw_session_instance(session)->n_groups;
    sw_session_destroy(session);
    sw_plan_unref(plan);
    return r;
}

/* Everything from the passes to the first run, with the given allocation failing (0: none); the status of the last step. */
static sw_status try_all(make_fn make, test_memory *memory, int fail_at) {
    const sw_allocator allocator = test_memory_allocator(memory);
    net n = {.g = sw_graph_create(&allocator), .seed = 11};
    sw_value *x = sw_graph_add_value(n.g, "x", SW_F32, 4, (int64_t[]){1, 8, SIDE, SIDE}), *outputs[MAX_OUT];
    sw_status status = sw_graph_set_inputs(n.g, &x, 1);
    CHECK_INT(sw_graph_set_outputs(n.g, outputs, make(&n, x, outputs)), SW_OK);
    sw_plan *plan = NULL;
    sw_session *session = NULL;
    static float data[8 * SIDE * SIDE];
    sw_tensor in = {.dtype = SW_F32, .rank = 4, .dims = {1, 8, SIDE, SIDE}, .data = data}, out[MAX_OUT];
    memory->calls = 0;
    memory->fail_at = fail_at;
    if (status == SW_OK) status = sw_passes_run(n.g, NULL, NULL);
    if (status == SW_OK) status = sw_passes_for_cpu(n.g, false);
    if (status == SW_OK) status = sw_plan_lower(n.g, NULL, &plan);
    if (!plan) sw_graph_destroy(n.g);
    if (status == SW_OK) status = sw_session_create(plan, &(sw_session_options){.threads = 1}, NULL, &session);
    if (status == SW_OK) status = sw_session_run(session, &in, out);
    memory->fail_at = 0;
    sw_session_destroy(session);
    sw_plan_unref(plan);
    return status;
}

static void drop(result *r) {
    for (int i = 0; i < r->n; i++) free(r->data[i]);
}

static double largest(const result *r, int output) {
    double most = 0;
    for (int64_t k = 0; k < r->count[output]; k++) most = fmax(most, fabs((double)r->data[output][k]));
    return most;
}

/* `tolerance` of the largest value of each output, of 1 at least. */
static void compare(const result *got, const result *want, double tolerance) {
    for (int i = 0; i < want->n; i++) {
        double most = tolerance * fmax(1, largest(want, i));
        CHECK_INT(got->count[i], want->count[i]);
        for (int64_t k = 0; k < want->count[i]; k++) CHECK_NEAR(got->data[i][k], want->data[i][k], most);
    }
}

/* Each layer rounds its output, and where the CPU multiplies halves, its weights, to 8 or 11 bits. */
static void check_halves(make_fn make, const result *want, sw_dtype half) {
    result got = run(make, NULL, false, half);
    for (int i = 0; i < want->n; i++) {
        double scale = largest(want, i);
        CHECK_INT(got.count[i], want->count[i]);
        for (int64_t k = 0; k < want->count[i]; k++)
            CHECK_NEAR(got.data[i][k], want->data[i][k], (half == SW_BF16 ? 0.02 : 0.003) * scale);
    }
    CHECK_INT(setenv("SLIPWAY_NO_ALIAS", "1", 1), 0);
    result apart = run(make, NULL, false, half);
    CHECK_INT(unsetenv("SLIPWAY_NO_ALIAS"), 0);
    compare(&apart, &got, 0);
    drop(&got);
    drop(&apart);
}

static void check_graph(make_fn make) {
    result want = run(make, "dead-code", false, SW_DTYPE_NONE);
    for (int open_size = 0; open_size < 2; open_size++) {
        result fast = run(make, NULL, open_size, SW_DTYPE_NONE);
        compare(&fast, &want, 2e-5);
        CHECK_INT(setenv("SLIPWAY_NO_ALIAS", "1", 1), 0);
        result apart = run(make, NULL, open_size, SW_DTYPE_NONE);
        CHECK_INT(unsetenv("SLIPWAY_NO_ALIAS"), 0);
        compare(&apart, &fast, 0); /* identical bits */
        drop(&fast);
        drop(&apart);
    }
    check_halves(make, &want, SW_BF16);
    check_halves(make, &want, SW_F16);
    drop(&want);
}

SW_TEST(fast_residuals) {
    check_graph(residuals);
}
SW_TEST(fast_halves) {
    check_graph(halves);
}
SW_TEST(fast_joins) {
    check_graph(joins);
}
SW_TEST(fast_odd_half) {
    check_graph(odd_half);
}
SW_TEST(fast_shuffle) {
    check_graph(shuffle);
}
SW_TEST(fast_pyramid) {
    check_graph(pyramid);
}
SW_TEST(fast_excitation) {
    check_graph(excitation);
}

SW_TEST(fast_pixel_rows) {
    check_graph(pixel_rows);
}
SW_TEST(fast_perceptrons) {
    check_graph(perceptrons);
}

static int count_attention(make_fn make) {
    net n = {.g = sw_graph_create(NULL), .seed = 11};
    sw_value *x = sw_graph_add_value(n.g, "x", SW_F32, 4, (int64_t[]){1, 8, SIDE, SIDE}), *outputs[MAX_OUT];
    CHECK_INT(sw_graph_set_inputs(n.g, &x, 1), SW_OK);
    CHECK_INT(sw_graph_set_outputs(n.g, outputs, make(&n, x, outputs)), SW_OK);
    CHECK_INT(sw_passes_run(n.g, NULL, &sw_test_diag), SW_OK);
    CHECK_INT(sw_passes_for_cpu(n.g, false), SW_OK);
    CHECK_INT(sw_graph_verify(n.g, &sw_test_diag), SW_OK);
    int found = 0;
    for (const sw_node *node = n.g->first; node; node = node->next) found += node->op == SW_OP_FusedAttention;
    sw_graph_destroy(n.g);
    return found;
}

SW_TEST(fast_attention_of_networks) {
    static const make_fn makes[] = {heads, windows, area};
    for (int i = 0; i < 3; i++) {
        check_graph(makes[i]);
        CHECK_INT(count_attention(makes[i]), 1);
    }
    check_graph(not_attention);
    CHECK_INT(count_attention(not_attention), 0);
}

/* Channels that are as many as pictures: one picture's are added to those of all, which is no batch of its own. */
static int first_picture(net *n, sw_value *x, sw_value **out) {
    sw_value *map = conv(n, x, 8, 4, 1), *other = conv(n, map, 4, 4, 1);
    sw_value *sum = APPLY(n, SW_OP_Relu, APPLY(n, SW_OP_Add, map, gathered(n, other, 0)));
    out[0] = conv(n, APPLY(n, SW_OP_Mul, sum, map), 4, 4, 1);
    return 1;
}

/* A join of levels that only a group reads, so that it holds fewer pictures than the rows that are joined. */
static int levels_in_group(net *n, sw_value *x, sw_value **out) {
    sw_value *maps[2] = {conv(n, x, 8, 6, 1), NULL}, *rows[2];
    maps[1] = conv(n, pool(n, SW_OP_AveragePool, maps[0]), 6, 6, 1);
    for (int i = 0; i < 2; i++)
        rows[i] = APPLY(n, SW_OP_Reshape, maps[i], sw_graph_const_ints(n->g, "flat", (int64_t[]){0, 6, -1}, 3));
    sw_value *all = sw_test_apply(n->g, SW_OP_Concat, 2, rows);
    sw_node_set_int(all->producer, "axis", 2);
    out[0] = APPLY(n, SW_OP_Relu, APPLY(n, SW_OP_Sigmoid, all));
    return 1;
}

/* Four pictures on two threads: groups of steps take two at a time. In `levels` the flattened rows mix pictures. */
SW_TEST(fast_batches) {
    static const make_fn makes[] = {residuals,  halves,     joins,  odd_half,      excitation,     pyramid,
                                    pixel_rows, rare_convs, levels, first_picture, levels_in_group};
    batch = 4;
    for (size_t i = 0; i < sizeof makes / sizeof makes[0]; i++) {
        groups = 0;
        check_graph(makes[i]);
        CHECK(groups > 0);
    }
    batch = 1;
}

SW_TEST(fast_rare_convs) {
    check_graph(rare_convs);
}

/* Without memory there is a status, and nothing leaks. (A fast kernel without scratch leaves its work to others.) */
SW_TEST(building_survives_each_failing_allocation) {
    static const make_fn makes[] = {halves, levels, rare_convs, pixel_rows, windows};
    for (size_t i = 0; i < sizeof makes / sizeof makes[0]; i++) {
        test_memory memory = {0};
        CHECK_INT(try_all(makes[i], &memory, 0), SW_OK);
        int calls = memory.calls, refused = 0;
        CHECK_INT(memory.held, 0);
        for (int at = 1; at <= calls; at++) {
            sw_status status = try_all(makes[i], &memory, at);
            CHECK(status == SW_OK || status == SW_E_NOMEM);
            CHECK_INT(memory.held, 0);
            refused += status == SW_E_NOMEM;
        }
        CHECK(refused > calls / 2);
    }
}

SW_TEST(fast_levels) {
    check_graph(levels);
}

/* ---- What is demanded ------------------------------------------------------------------------------------------------ */

enum { LARGE = 26, CLASSES = 3, COLUMNS = LARGE * LARGE + 12 * 12 };

/* Two levels of a head: boxes by three convolutions each, scores by one; boxes, scores and more of the boxes are joined.
 * `trap`: 1: a box depends on all columns; 2: a map of boxes is an output, too. */
static int head(net *n, sw_value *x, int trap, sw_value **out) {
    sw_value *maps[2] = {conv(n, x, 8, 24, 1)}, *boxes[2], *scores[2], *map = NULL;
    maps[1] = pool(n, SW_OP_MaxPool, maps[0]);
    for (int i = 0; i < 2; i++) {
        map = silu(n, conv(n, silu(n, conv(n, maps[i], 24, 20, 1)), 20, 17, 1));
        boxes[i] = flat(n, APPLY(n, SW_OP_Conv, map, weights(n, 4, (int64_t[]){8, 17, 1, 1})), 8);
        scores[i] = flat(n, conv(n, maps[i], 24, CLASSES, 1), CLASSES);
    }
    sw_value *box = sw_test_apply(n->g, SW_OP_Concat, 2, boxes), *score = sw_test_apply(n->g, SW_OP_Concat, 2, scores),
             *parts[2];
    sw_node_set_int(box->producer, "axis", 2);
    sw_node_set_int(score->producer, "axis", 2);
    if (trap == 1) box = APPLY(n, SW_OP_Softmax, box);
    box = APPLY(n, SW_OP_Dfl, box);
    sw_node_set_int(box->producer, "bins", 2);
    split(n, box, parts);
    out[0] = concat(n, 3, (sw_value *[]){parts[0], APPLY(n, SW_OP_Sigmoid, score), APPLY(n, SW_OP_Exp, parts[1])});
    out[1] = trap == 2 ? map : score;
    return 2;
}

static sw_plan *head_plan(int trap, bool bfloat16) {
    net n = {.g = sw_graph_create(NULL), .seed = 3};
    sw_value *x = sw_graph_add_value(n.g, "x", SW_F32, 4, (int64_t[]){1, 8, LARGE, LARGE}), *outputs[2];
    CHECK_INT(sw_graph_set_inputs(n.g, &x, 1), SW_OK);
    CHECK_INT(sw_graph_set_outputs(n.g, outputs, head(&n, x, trap, outputs)), SW_OK);
    sw_plan *plan = NULL;
    CHECK_INT(sw_passes_run(n.g, NULL, &sw_test_diag), SW_OK);
    if (bfloat16) CHECK_INT(sw_pass_halves(n.g, SW_BF16), SW_OK);
    CHECK_INT(sw_plan_lower(n.g, &sw_test_diag, &plan), SW_OK);
    return plan;
}

static sw_session *head_session(int trap, bool bfloat16) {
    sw_plan *plan = head_plan(trap, bfloat16);
    sw_session *session = NULL;
    CHECK_INT(sw_session_create(plan, &(sw_session_options){.threads = 2}, &sw_test_diag, &session), SW_OK);
    sw_plan_unref(plan);
    return session;
}

static const float *run_head(sw_session *session, int round) {
    static float data[8 * LARGE * LARGE];
    uint64_t seed = 5 + (uint64_t)round;
    for (int i = 0; i < 8 * LARGE * LARGE; i++) data[i] = sw_test_uniform(&seed, -1, 1);
    sw_tensor in = {.dtype = SW_F32, .rank = 4, .dims = {1, 8, LARGE, LARGE}, .data = data}, out[2];
    CHECK_INT(sw_session_run(session, &in, out), SW_OK);
    CHECK_INT(out[0].dims[2], COLUMNS);
    return out[0].data;
}

/* Both levels of boxes end in convolutions of 1x1, which write rows; those of scores, of 3x3, leave that to a relayout. */
SW_TEST(head_writes_rows) {
    sw_plan *plan = head_plan(0, false);
    sw_session *session = NULL;
    int kept = 0, skipped = 0;
    CHECK_INT(sw_session_create(plan, &(sw_session_options){.threads = 2}, &sw_test_diag, &session), SW_OK);
    run_head(session, 0);
    for (size_t s = 0; s < plan->n_steps; s++)
        if (plan->steps[s].op == SW_OP_Relayout) (*(sw_session_instance(session)->skip[s] ? &skipped : &kept))++;
    CHECK_INT(skipped, 2);
    CHECK(kept >= 2);
    sw_session_destroy(session);
    sw_plan_unref(plan);
}

/* The scores and the columns above the threshold are the same to the bit; returns how many those are. */
static int check_demanded(const float *got, const float *want, float above) {
    enum { FIRST = 2, ROWS = 2 + CLASSES + 2 };
    int n = 0;
    for (int64_t i = 0; i < COLUMNS; i++) {
        bool read = false;
        for (int row = FIRST; row < FIRST + CLASSES; row++) {
            CHECK(memcmp(got + row * COLUMNS + i, want + row * COLUMNS + i, sizeof *got) == 0);
            read |= want[row * COLUMNS + i] > above;
        }
        n += read;
        for (int row = 0; read && row < ROWS; row++)
            CHECK(memcmp(got + row * COLUMNS + i, want + row * COLUMNS + i, sizeof *got) == 0);
    }
    return n;
}

static void check_demand(bool bfloat16) {
    static const float thresholds[] = {-1, 0.5f, 0.9f, 0.97f, 2};
    int last = COLUMNS + 1;
    for (int i = 0; i < 5; i++) {
        sw_session *all = head_session(0, bfloat16), *some = head_session(0, bfloat16);
        run_head(some, 0); /* bound without a demand before */
        sw_session_demand(some, &(sw_demand){.first = 2, .rows = CLASSES, .above = thresholds[i]});
        for (int round = 0; round < 3; round++) {
            int n = check_demanded(run_head(some, round), run_head(all, round), thresholds[i]);
            CHECK(n < last);
            if (round == 2) last = n ? n : last;
            CHECK(i == 0 ? n == COLUMNS : i < 4 ? n > 0 : n == 0);
        }
        CHECK(sw_session_instance(some)->demanded != NULL && sw_session_instance(all)->demanded == NULL);
        sw_session_demand(some, &(sw_demand){.first = 2, .rows = CLASSES, .above = 0.6f}); /* another threshold */
        check_demanded(run_head(some, 1), run_head(all, 1), 0.6f);
        sw_session_demand(some, NULL); /* and all again */
        CHECK_INT(check_demanded(run_head(some, 1), run_head(all, 1), -1), COLUMNS);
        sw_session_destroy(all);
        sw_session_destroy(some);
    }
}

SW_TEST(demand_gives_what_is_read) {
    for (int bfloat16 = 0; bfloat16 < 2; bfloat16++) {
        check_demand(bfloat16);
        CHECK_INT(setenv("SLIPWAY_NO_ALIAS", "1", 1), 0);
        check_demand(bfloat16);
        CHECK_INT(unsetenv("SLIPWAY_NO_ALIAS"), 0);
    }
}

/* Where boxes depend on other columns, all is computed; where an output needs a map of boxes, that is. */
SW_TEST(demand_knows_traps) {
    for (int trap = 1; trap < 3; trap++) {
        sw_session *all = head_session(trap, false), *some = head_session(trap, false);
        sw_session_demand(some, &(sw_demand){.first = 2, .rows = CLASSES, .above = 0.9f});
        check_demanded(run_head(some, 0), run_head(all, 0), 0.9f);
        CHECK((sw_session_instance(some)->demanded == NULL) == (trap == 1));
        sw_session_destroy(all);
        sw_session_destroy(some);
    }
}

/* Joins whose inputs all moved in copy nothing: the views say so. */
SW_TEST(homes_of_a_c2f_block) {
    net n = {.g = sw_graph_create(NULL), .seed = 1};
    sw_value *x = sw_graph_add_value(n.g, "x", SW_F32, 4, (int64_t[]){1, 8, SIDE, SIDE}), *outputs[MAX_OUT];
    CHECK_INT(sw_graph_set_inputs(n.g, &x, 1), SW_OK);
    int count = halves(&n, x, outputs);
    CHECK_INT(sw_graph_set_outputs(n.g, outputs, count), SW_OK);
    CHECK_INT(sw_passes_run(n.g, NULL, &sw_test_diag), SW_OK);
    sw_home *homes = calloc(n.g->n_values, sizeof *homes);
    sw_homes_find(n.g, homes);
    for (const sw_node *node = n.g->first; node; node = node->next) {
        if (node->op != SW_OP_Concat) continue;
        int64_t at = 0, channel;
        for (int i = 0; i < node->n_in; i++, at += 8) {
            CHECK(sw_home_root(homes, node->in[i], &channel) == node->out[0]);
            CHECK_INT(channel, at);
        }
    }
    free(homes);
    sw_graph_destroy(n.g);
}
