#include <math.h>
#include <stdlib.h>

#include "kernels/kernel.h"
#include "pass/pass.h"
#include "unit.h"

static sw_value *input(sw_graph *g, int rank, const int64_t *dims) {
    sw_value *value = sw_graph_add_value(g, "x", SW_F32, rank, dims);
    CHECK_INT(sw_graph_set_inputs(g, &value, 1), SW_OK);
    return value;
}

static sw_value *floats(sw_graph *g, const char *name, int rank, const int64_t *dims, const float *v) {
    sw_value *value = sw_graph_new_const(g, name, SW_F32, rank, dims);
    memcpy(value->type.data, v, (size_t)sw_tensor_bytes(&value->type));
    return value;
}

static sw_value *apply(sw_graph *g, sw_op op, const char *name, int n, sw_value *const *in) {
    return sw_graph_apply(g, NULL, op, name, n, in);
}

static int count(const sw_graph *g, sw_op op) {
    int n = 0;
    for (const sw_node *node = g->first; node; node = node->next) n += node->op == op;
    return n;
}

static void run_all(sw_graph *g, sw_value *out) {
    CHECK_INT(sw_graph_set_outputs(g, &out, 1), SW_OK);
    sw_status status = sw_passes_run(g, NULL, &sw_test_diag);
    CHECK_INT(status, SW_OK);
    if (status != SW_OK) printf("    %s\n", sw_test_message());
}

SW_TEST(fold_computes_shape_arithmetic) {
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, 4, (int64_t[]){1, 8, 4, 6});
    sw_value *shape = apply(g, SW_OP_Shape, "shape", 1, &x);
    sw_value *two = sw_graph_const_ints(g, "two", (int64_t[]){1}, 1);
    sw_value *channels = apply(g, SW_OP_Gather, "channels", 2, (sw_value *[]){shape, two});
    sw_value *rest = sw_graph_const_ints(g, "rest", (int64_t[]){-1}, 1);
    sw_value *dims = apply(g, SW_OP_Concat, "dims", 2, (sw_value *[]){channels, rest});
    sw_node_set_int(dims->producer, "axis", 0);
    sw_value *y = apply(g, SW_OP_Reshape, "y", 2, (sw_value *[]){x, dims});
    run_all(g, y);
    CHECK_INT(g->n_nodes, 1);
    CHECK_INT(y->type.dims[0], 8);
    CHECK_INT(y->type.dims[1], 24);
    sw_graph_destroy(g);
}

SW_TEST(fold_keeps_names_of_outputs) {
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, 1, (int64_t[]){3});
    sw_value *a = apply(g, SW_OP_Relu, "a", 1, &x);
    sw_value *b = apply(g, SW_OP_Identity, "scores", 1, &a);
    run_all(g, b);
    CHECK_INT(g->n_nodes, 1);
    CHECK_STR(g->outputs[0]->name, "scores");
    sw_graph_destroy(g);

    g = sw_graph_create(NULL); /* from input to output: the node must stay */
    x = input(g, 1, (int64_t[]){3});
    run_all(g, apply(g, SW_OP_Identity, "same", 1, &x));
    CHECK_INT(g->n_nodes, 1);
    CHECK_STR(g->outputs[0]->name, "same");
    sw_graph_destroy(g);
}

SW_TEST(fold_does_not_blow_up_constants) {
    sw_graph *g = sw_graph_create(NULL);
    sw_value *huge = sw_graph_const_ints(g, "huge", (int64_t[]){1 << 30}, 1);
    run_all(g, apply(g, SW_OP_ConstantOfShape, "fill", 1, &huge));
    CHECK_INT(count(g, SW_OP_ConstantOfShape), 1);
    sw_graph_destroy(g);
}

SW_TEST(activations_become_one_node) {
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, 1, (int64_t[]){3});
    sw_value *gate = apply(g, SW_OP_Sigmoid, "gate", 1, &x);
    sw_value *silu = apply(g, SW_OP_Mul, "silu", 2, (sw_value *[]){gate, x});
    sw_value *hard = apply(g, SW_OP_HardSigmoid, "hard", 1, &silu);
    sw_node_set_float(hard->producer, "alpha", 1.0f / 6);
    sw_value *hswish = apply(g, SW_OP_Mul, "hswish", 2, (sw_value *[]){silu, hard});
    sw_value *other = apply(g, SW_OP_HardSigmoid, "other", 1, &hswish); /* alpha 0.2: not HardSwish */
    run_all(g, apply(g, SW_OP_Mul, "plain", 2, (sw_value *[]){hswish, other}));
    CHECK_INT(count(g, SW_OP_Swish), 1);
    CHECK_INT(count(g, SW_OP_HardSwish), 1);
    CHECK_INT(count(g, SW_OP_Mul), 1);
    CHECK_INT(count(g, SW_OP_Sigmoid), 0);
    sw_graph_destroy(g);
}

static sw_value *scalar(sw_graph *g, float v) {
    return floats(g, "c", 0, NULL, &v);
}

static sw_value *apply2(sw_graph *g, sw_op op, sw_value *a, sw_value *b) {
    return apply(g, op, "", 2, (sw_value *[]){a, b});
}

/* x * clip(x + 3, 0, 6) / 6, and Gelu with its factors in each of some orders. */
SW_TEST(activations_written_out_become_one_node) {
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, 1, (int64_t[]){3});
    sw_value *clip =
        apply(g, SW_OP_Clip, "", 3, (sw_value *[]){apply2(g, SW_OP_Add, x, scalar(g, 3)), scalar(g, 0), scalar(g, 6)});
    sw_value *hswish = apply2(g, SW_OP_Div, apply2(g, SW_OP_Mul, x, clip), scalar(g, 6));
    sw_value *last = hswish;
    for (int order = 0; order < 3; order++) {
        sw_value *erf = apply(g, SW_OP_Erf, "", 1, (sw_value *[]){apply2(g, SW_OP_Div, last, scalar(g, 1.41421354f))});
        sw_value *f[3] = {last, apply2(g, SW_OP_Add, erf, scalar(g, 1)), scalar(g, 0.5f)};
        last = apply2(g, SW_OP_Mul, apply2(g, SW_OP_Mul, f[order], f[(order + 1) % 3]), f[(order + 2) % 3]);
    }
    CHECK_INT(sw_graph_set_outputs(g, &last, 1), SW_OK);
    CHECK_INT(sw_passes_run(g, "dead-code", &sw_test_diag), SW_OK);
    CHECK_INT(count(g, SW_OP_HardSwish), 1);
    CHECK_INT(count(g, SW_OP_Gelu), 3);
    CHECK_INT(g->n_nodes, 4);
    sw_graph_destroy(g);
}

/* Runs a graph of one chain of nodes from a given input with the reference kernels. */
static void evaluate(const sw_graph *g, float *x, float *result, int64_t n) {
    g->inputs[0]->type.data = x;
    for (const sw_node *node = g->first; node; node = node->next) {
        const sw_tensor *in[8];
        sw_tensor *out[8];
        sw_call call = sw_node_call(node, in, out, &sw_test_diag);
        CHECK_INT(sw_op_infer(&call), SW_OK);
        out[0]->data = calloc(1, (size_t)sw_tensor_bytes(out[0]) + 1);
        CHECK_INT(sw_kernel_ref(node->op)(&call), SW_OK);
    }
    CHECK_INT(sw_tensor_count(&g->outputs[0]->type), n);
    memcpy(result, g->outputs[0]->type.data, (size_t)n * sizeof *result);
    for (const sw_node *node = g->first; node; node = node->next) {
        free(node->out[0]->type.data);
        node->out[0]->type.data = NULL;
    }
    g->inputs[0]->type.data = NULL;
}

/* x (1, 4, 3, 3) through a grouped (transposed) convolution and a normalisation. */
static sw_graph *conv_bn(sw_op op, bool with_bias) {
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, 4, (int64_t[]){1, 4, 3, 3});
    float w[64], params[4][6];
    uint64_t seed = 3;
    for (int i = 0; i < 64; i++) w[i] = sw_test_uniform(&seed, -1, 1);
    for (int i = 0; i < 24; i++) params[i / 6][i % 6] = sw_test_uniform(&seed, 0.5f, 2);
    int64_t out_channels = op == SW_OP_Conv ? 4 : 6;
    sw_value *weights = floats(g, "w", 4, op == SW_OP_Conv ? (int64_t[]){4, 2, 2, 2} : (int64_t[]){4, 3, 2, 2}, w);
    sw_value *bias = floats(g, "b", 1, &out_channels, w);
    sw_value *y = apply(g, op, "conv", with_bias ? 3 : 2, (sw_value *[]){x, weights, bias});
    sw_node_set_int(y->producer, "group", 2);
    sw_value *in[5] = {y};
    for (int i = 0; i < 4; i++) in[i + 1] = floats(g, "p", 1, &out_channels, params[i]);
    sw_value *out = apply(g, SW_OP_BatchNormalization, "bn", 5, in);
    CHECK_INT(sw_graph_set_outputs(g, &out, 1), SW_OK);
    return g;
}

SW_TEST(batch_norm_folds_without_changing_results) {
    for (int i = 0; i < 4; i++) {
        sw_op op = i < 2 ? SW_OP_Conv : SW_OP_ConvTranspose;
        int64_t n = op == SW_OP_Conv ? 4 * 2 * 2 : 6 * 4 * 4;
        float x[36], want[96], got[96];
        uint64_t seed = 9;
        for (int k = 0; k < 36; k++) x[k] = sw_test_uniform(&seed, -1, 1);
        sw_graph *g = conv_bn(op, i % 2);
        evaluate(g, x, want, n);
        CHECK_INT(sw_passes_run(g, "dead-code", &sw_test_diag), SW_OK);
        CHECK_INT(g->n_nodes, 1);
        evaluate(g, x, got, n);
        for (int64_t k = 0; k < n; k++) CHECK_NEAR(got[k], want[k], 2e-6);
        sw_graph_destroy(g);
    }
}

/* x (1, 4, 5, 6) through 3x3 with paddings and through a smaller window, added; then `stride` of the smaller is another. */
static sw_graph *conv_pair(int64_t small, bool swapped, int64_t stride) {
    static const int64_t ones[] = {1, 1, 1, 1};
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, 4, (int64_t[]){1, 4, 5, 6}), *y[2];
    float w[64];
    uint64_t seed = 5;
    for (int i = 0; i < 64; i++) w[i] = sw_test_uniform(&seed, -1, 1);
    sw_value *bias = floats(g, "b", 1, (int64_t[]){4}, w + 7);
    for (int i = 0; i < 2; i++) {
        int64_t side = i ? small : 3, strides[] = {i ? stride : 1, 1};
        sw_value *weights = floats(g, "w", 4, (int64_t[]){4, 1, side, side}, w + 20 * i);
        y[i] = apply(g, SW_OP_Conv, i ? "small" : "large", i ? 3 : 2, (sw_value *[]){x, weights, bias});
        sw_node_set_int(y[i]->producer, "group", 4);
        CHECK_INT(sw_node_set_ints(g, y[i]->producer, "strides", strides, 2), SW_OK);
        if (i == 0) CHECK_INT(sw_node_set_ints(g, y[i]->producer, "pads", ones, 4), SW_OK);
        if (i == 1 && small == 2) CHECK_INT(sw_node_set_string(g, y[i]->producer, "auto_pad", "SAME_LOWER"), SW_OK);
    }
    sw_value *sum = apply2(g, SW_OP_Add, y[swapped], y[!swapped]);
    CHECK_INT(sw_graph_set_outputs(g, &sum, 1), SW_OK);
    return g;
}

SW_TEST(parallel_convolutions_become_one) {
    for (int i = 0; i < 4; i++) {
        float x[120], want[120], got[120];
        uint64_t seed = 9;
        for (int k = 0; k < 120; k++) x[k] = sw_test_uniform(&seed, -1, 1);
        sw_graph *g = conv_pair(1 + i / 2, i % 2, 1);
        evaluate(g, x, want, 120);
        CHECK_INT(sw_passes_run(g, "parallel", &sw_test_diag), SW_OK);
        CHECK_INT(g->n_nodes, 1);
        evaluate(g, x, got, 120);
        for (int k = 0; k < 120; k++) CHECK_NEAR(got[k], want[k], 2e-6);
        sw_graph_destroy(g);
    }
}

SW_TEST(unlike_convolutions_stay_apart) {
    sw_graph *g = conv_pair(1, false, 1);
    sw_value *both[2] = {g->outputs[0], g->first->out[0]}; /* somebody else reads one of them */
    CHECK_INT(sw_graph_set_outputs(g, both, 2), SW_OK);
    CHECK_INT(sw_passes_run(g, "parallel", &sw_test_diag), SW_OK);
    CHECK_INT(count(g, SW_OP_Conv), 2);
    sw_graph_destroy(g);
    g = conv_pair(1, false, 5); /* one row, which the addition repeats */
    CHECK_INT(sw_passes_run(g, "parallel", &sw_test_diag), SW_OK);
    CHECK_INT(count(g, SW_OP_Conv), 2);
    sw_graph_destroy(g);
}

SW_TEST(passes_are_named) {
    sw_graph *g = sw_graph_create(NULL);
    CHECK_INT(sw_passes_run(g, "flod", &sw_test_diag), SW_E_USAGE);
    CHECK_STR(sw_test_message(),
              "there is no pass 'flod'; the passes are none, fold, activations, batch-norm, scale, parallel, dfl, "
              "dead-code, half, rephrase, taps, upsample, transposed, channels, fuse, layout");
    CHECK_INT(sw_passes_run(g, "none", &sw_test_diag), SW_OK);
    sw_graph_destroy(g);
}

static sw_value *conv_of(sw_graph *g, sw_value *x, const char *name) {
    static const float w[16];
    sw_value *weights = floats(g, "w", 4, (int64_t[]){4, 4, 1, 1}, w);
    return apply(g, SW_OP_Conv, name, 2, (sw_value *[]){x, weights});
}

/* Maps between convolutions change their type; what a node of float32 touches, a graph output or what is joined to one does
 * not. */
/* ConvNeXt's block behind its first convolution: products over pixels, a factor per channel, a residual that is a map. */
SW_TEST(products_take_what_is_behind_them) {
    static const int64_t perms[2][4] = {{0, 2, 3, 1}, {0, 3, 1, 2}};
    const float ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, factors[4] = {1, 2, 3, 4};
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, 4, (int64_t[]){1, 4, 6, 5});
    sw_value *map = apply(g, SW_OP_Conv, "map", 2, (sw_value *[]){x, floats(g, "k", 4, (int64_t[]){4, 4, 1, 1}, ones)});
    sw_value *w = floats(g, "w", 2, (int64_t[]){4, 4}, ones), *b = floats(g, "b", 1, (int64_t[]){4}, ones);
    sw_value *rows = apply(g, SW_OP_Transpose, "rows", 1, &map);
    CHECK_INT(sw_node_set_ints(g, rows->producer, "perm", perms[0], 4), SW_OK);
    sw_value *wide =
        apply(g, SW_OP_Gelu, "wide", 1, (sw_value *[]){apply(g, SW_OP_MatMul, "p", 2, (sw_value *[]){rows, w})});
    sw_value *sum =
        apply(g, SW_OP_Add, "sum", 2, (sw_value *[]){apply(g, SW_OP_MatMul, "q", 2, (sw_value *[]){wide, w}), b});
    sw_value *back = apply(g, SW_OP_Transpose, "back", 1, &sum);
    CHECK_INT(sw_node_set_ints(g, back->producer, "perm", perms[1], 4), SW_OK);
    sw_value *scaled =
        apply(g, SW_OP_Mul, "scaled", 2, (sw_value *[]){back, floats(g, "f", 3, (int64_t[]){4, 1, 1}, factors)});
    sw_value *y = apply(g, SW_OP_Add, "y", 2, (sw_value *[]){scaled, map});
    run_all(g, y);
    CHECK_INT(count(g, SW_OP_Mul), 0);
    CHECK_INT(sw_passes_for_cpu(g, false), SW_OK);
    CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_OK);
    CHECK_INT(count(g, SW_OP_FusedProduct), 2);
    CHECK_INT(count(g, SW_OP_Add) + count(g, SW_OP_Gelu) + count(g, SW_OP_MatMul), 0);
    const sw_node *last = NULL;
    for (const sw_node *node = g->first; node; node = node->next)
        if (node->op == SW_OP_FusedProduct) last = node;
    CHECK_INT(last->n_in, 4);
    for (int i = 0; i < 4; i++) {
        CHECK_NEAR(((const float *)last->in[1]->type.data)[4 + i], factors[i], 0);
        CHECK_NEAR(((const float *)last->in[2]->type.data)[i], factors[i], 0);
    }
    CHECK_INT(count(g, SW_OP_Relayout), 2); /* of input and output: all turns read and write maps */
    sw_graph_destroy(g);
}

SW_TEST(rephrase_leaves_what_has_fast_kernels) {
    const float ones[6] = {1, 1, 1, 1, 1, 1};
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, 4, (int64_t[]){2, 3, 4, 5}), *c = floats(g, "c", 1, (int64_t[]){3}, ones);
    sw_value *normal = apply(g, SW_OP_BatchNormalization, "n", 5, (sw_value *[]){x, c, c, c, c});
    sw_value *mean = apply(g, SW_OP_ReduceMean, "m", 2,
                           (sw_value *[]){normal, sw_graph_const_ints(g, "axes", (int64_t[]){2, 3}, 2)});
    sw_value *sum = apply(g, SW_OP_Add, "a", 2, (sw_value *[]){normal, mean});
    sw_value *y = apply(g, SW_OP_Einsum, "e", 2, (sw_value *[]){sum, x});
    CHECK_INT(sw_node_set_string(g, y->producer, "equation", "bchw,bchk->bcwk"), SW_OK);
    CHECK_INT(sw_graph_set_outputs(g, &y, 1), SW_OK);
    CHECK_INT(sw_passes_run(g, "rephrase", &sw_test_diag), SW_OK);
    CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_OK);
    CHECK_INT(count(g, SW_OP_Conv), 1);
    CHECK_INT(count(g, SW_OP_GlobalAveragePool), 1);
    CHECK_INT(count(g, SW_OP_MatMul), 1);
    CHECK_INT(count(g, SW_OP_Transpose), 1);
    CHECK_INT(count(g, SW_OP_Reshape), 0);
    CHECK_INT(g->n_nodes, 5);
    sw_graph_destroy(g);
}

SW_TEST(rephrase_takes_attention_apart) {
    for (int i = 0; i < 4; i++) { /* plain; with two heads side by side; causal and with a short mask: left alone */
        sw_graph *g = sw_graph_create(NULL);
        sw_value *x = i == 1 ? input(g, 3, (int64_t[]){2, 5, 8}) : input(g, 4, (int64_t[]){2, 2, 5, 4});
        float zeros[25] = {0};
        sw_value *in[] = {x, x, x, floats(g, "mask", 2, (int64_t[]){5, i == 3 ? 4 : 5}, zeros)};
        sw_value *y = apply(g, SW_OP_Attention, "y", i == 0 || i == 3 ? 4 : 3, in);
        if (i == 1) sw_node_set_int(y->producer, "q_num_heads", 2), sw_node_set_int(y->producer, "kv_num_heads", 2);
        sw_node_set_int(y->producer, "is_causal", i == 2);
        CHECK_INT(sw_graph_set_outputs(g, &y, 1), SW_OK);
        CHECK_INT(sw_passes_run(g, NULL, &sw_test_diag), SW_OK);
        CHECK_INT(sw_passes_for_cpu(g, false), SW_OK);
        CHECK_INT(sw_graph_verify(g, &sw_test_diag), SW_OK);
        CHECK_INT(count(g, SW_OP_Attention), i > 1);
        CHECK_INT(count(g, SW_OP_FusedAttention), i < 2);
        sw_graph_destroy(g);
    }
}

/* Slices of everything and pads of nothing go; those that turn a row around or cut it stay. */
SW_TEST(fold_drops_slices_and_pads_of_nothing) {
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, 2, (int64_t[]){3, 4}), *zero = sw_graph_const_ints(g, "zero", (int64_t[]){0}, 1);
    sw_value *far = sw_graph_const_ints(g, "far", (int64_t[]){9}, 1),
             *one = sw_graph_const_ints(g, "one", (int64_t[]){1}, 1);
    sw_value *back = sw_graph_const_ints(g, "back", (int64_t[]){-1}, 1),
             *low = sw_graph_const_ints(g, "low", (int64_t[]){-9}, 1);
    sw_value *pads = sw_graph_const_ints(g, "pads", (int64_t[]){0, 0, 0, 0}, 4);
    sw_value *y = apply(g, SW_OP_Slice, "all", 4, (sw_value *[]){x, zero, far, one});
    y = apply(g, SW_OP_Pad, "none", 2, (sw_value *[]){y, pads});
    y = apply(g, SW_OP_Slice, "reversed", 5, (sw_value *[]){y, back, low, one, back});
    y = apply(g, SW_OP_Slice, "cut", 4, (sw_value *[]){y, one, far, one});
    run_all(g, y);
    CHECK_INT(count(g, SW_OP_Slice), 2);
    CHECK_INT(count(g, SW_OP_Pad), 0);
    sw_graph_destroy(g);
}

static sw_value *cut(sw_graph *g, sw_value *x, int64_t from, int64_t to) {
    const int64_t axis = 1;
    return apply(g, SW_OP_Slice, "", 4,
                 (sw_value *[]){x, sw_graph_const_ints(g, "", &from, 1), sw_graph_const_ints(g, "", &to, 1),
                                sw_graph_const_ints(g, "", &axis, 1)});
}

/* Slices that share out all channels are one Split, in whatever order; those that leave some, or overlap, stay. */
SW_TEST(slices_of_channels_become_a_split) {
    static const int64_t cases[][5] = {{0, 3, 3, 8, 1}, {3, 99, 0, -5, 1}, {0, 3, 4, 8, 0}, {0, 5, 3, 8, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int64_t *v = cases[i];
        sw_graph *g = sw_graph_create(NULL);
        sw_value *x = input(g, 4, (int64_t[]){2, 8, 4, 4}), *a = cut(g, x, v[0], v[1]), *b = cut(g, x, v[2], v[3]);
        sw_value *outs[] = {apply(g, SW_OP_Exp, "", 1, &a), apply(g, SW_OP_Exp, "", 1, &b)};
        CHECK_INT(sw_graph_set_outputs(g, outs, 2), SW_OK);
        CHECK_INT(sw_passes_run(g, NULL, &sw_test_diag), SW_OK);
        CHECK_INT(count(g, SW_OP_Split), v[4]);
        CHECK_INT(count(g, SW_OP_Slice), v[4] ? 0 : 2);
        CHECK_INT(outs[0]->type.dims[1], v[1] < 8 ? v[1] - v[0] : 5);
        sw_graph_destroy(g);
    }
}

SW_TEST(shuffled_channels_are_one_node) {
    for (int other = 0; other < 2; other++) { /* another turn is left alone */
        sw_graph *g = sw_graph_create(NULL);
        sw_value *x = input(g, 4, (int64_t[]){1, 6, 2, 2});
        const int64_t split[] = {1, 2, 3, 2, 2}, whole[] = {1, 6, 2, 2}, perm[] = {0, 2, 1, 3 + other, 4 - other};
        sw_value *y = apply2(g, SW_OP_Reshape, x, sw_graph_const_ints(g, "split", split, 5));
        y = apply(g, SW_OP_Transpose, "", 1, &y);
        CHECK_INT(sw_node_set_ints(g, y->producer, "perm", perm, 5), SW_OK);
        run_all(g, apply2(g, SW_OP_Reshape, y, sw_graph_const_ints(g, "whole", whole, 4)));
        CHECK_INT(count(g, SW_OP_ChannelShuffle), !other);
        CHECK_INT(g->n_nodes, other ? 3 : 1);
        sw_graph_destroy(g);
    }
}

SW_TEST(bfloat16_stays_inside) {
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, 4, (int64_t[]){1, 4, 8, 8});
    sw_value *a = conv_of(g, x, "a"), *b = apply(g, SW_OP_MaxPool, "b", 1, &a);
    CHECK_INT(sw_node_set_ints(g, b->producer, "kernel_shape", (int64_t[]){1, 1}, 2), SW_OK);
    sw_value *c = conv_of(g, b, "c"), *d = apply(g, SW_OP_GlobalAveragePool, "d", 1, &c), *e = conv_of(g, d, "e");
    run_all(g, e);
    CHECK_INT(sw_pass_halves(g, SW_BF16), SW_OK);
    CHECK_INT(a->type.dtype, SW_BF16);
    CHECK_INT(b->type.dtype, SW_BF16);
    CHECK_INT(c->type.dtype, SW_F32);
    CHECK_INT(d->type.dtype, SW_F32);
    CHECK_INT(g->outputs[0]->type.dtype, SW_F32);
    CHECK_STR(sw_node_string(a->producer, "out_type"), "bfloat16");
    CHECK_STR(sw_node_string(c->producer, "out_type"), "float32");
    CHECK_INT(sw_graph_infer(g, &sw_test_diag), SW_OK); /* the shape rules say the same */
    CHECK_INT(a->type.dtype, SW_BF16);
    CHECK_INT(c->type.dtype, SW_F32);
    sw_graph_destroy(g);
}

/* 1x1 behind a join with an enlarged map: the enlarged part moves to the small map, and the sum into the convolution. */
SW_TEST(upsample_convolves_the_small_map) {
    enum { SMALL = 32, REST = 2 };
    sw_graph *g = sw_graph_create(NULL);
    sw_value *x = input(g, 4, (int64_t[]){1, SMALL, 8, 8});
    sw_value *w = sw_graph_new_const(g, "w", SW_F32, 4, (int64_t[]){3, SMALL + REST, 1, 1});
    for (int i = 0; i < 3 * (SMALL + REST); i++) ((float *)w->type.data)[i] = (float)i;
    sw_value *rest_w = sw_graph_new_const(g, "rest_w", SW_F32, 4, (int64_t[]){REST, SMALL, 1, 1});
    sw_value *scales = floats(g, "scales", 1, (int64_t[]){4}, (float[]){1, 1, 2, 2});
    sw_value *rest = apply(g, SW_OP_Conv, "rest", 2, (sw_value *[]){x, rest_w});
    sw_value *pool = apply(g, SW_OP_MaxPool, "pool", 1, &x);
    CHECK_INT(sw_node_set_ints(g, pool->producer, "kernel_shape", (int64_t[]){2, 2}, 2), SW_OK);
    CHECK_INT(sw_node_set_ints(g, pool->producer, "strides", (int64_t[]){2, 2}, 2), SW_OK);
    sw_value *large = apply(g, SW_OP_Resize, "large", 3, (sw_value *[]){pool, NULL, scales});
    CHECK_INT(sw_node_set_string(g, large->producer, "nearest_mode", "floor"), SW_OK);
    CHECK_INT(sw_node_set_string(g, large->producer, "coordinate_transformation_mode", "asymmetric"), SW_OK);
    sw_value *join = apply(g, SW_OP_Concat, "join", 2, (sw_value *[]){rest, large});
    sw_node_set_int(join->producer, "axis", 1);
    sw_value *y =
        apply(g, SW_OP_Relu, "y", 1, (sw_value *[]){apply(g, SW_OP_Conv, "conv", 2, (sw_value *[]){join, w})});
    run_all(g, y);
    CHECK_INT(count(g, SW_OP_Concat), 0);
    CHECK_INT(count(g, SW_OP_Add), 0);
    CHECK_INT(count(g, SW_OP_FusedConv), 3);
    for (const sw_node *node = g->first; node; node = node->next) {
        if (node->op != SW_OP_Resize) continue;
        const sw_node *low = node->in[0]->producer;
        CHECK_INT(low->op, SW_OP_FusedConv);
        CHECK_INT(low->in[1]->type.dims[1], SMALL);
        CHECK_NEAR(((float *)low->in[1]->type.data)[0], REST, 0); /* its channels come behind the others */
        CHECK_NEAR(((float *)low->in[1]->type.data)[SMALL], SMALL + 2 * REST, 0);
    }
    sw_graph_destroy(g);
}

/* float16 with a convolution computes in float32 between its input and its output; without one it stays. */
SW_TEST(half_widens_what_has_convolutions) {
    for (int with_conv = 0; with_conv < 2; with_conv++) {
        sw_graph *g = sw_graph_create(NULL);
        sw_value *x = sw_graph_add_value(g, "x", SW_F16, 4, (int64_t[]){1, 2, 4, 4}), *y = x;
        CHECK_INT(sw_graph_set_inputs(g, &x, 1), SW_OK);
        sw_value *w = sw_graph_new_const(g, "w", SW_F16, 4, (int64_t[]){2, 2, 1, 1});
        for (int i = 0; i < 4; i++) ((uint16_t *)w->type.data)[i] = sw_f32_to_f16((float)i);
        if (with_conv) y = apply(g, SW_OP_Conv, "conv", 2, (sw_value *[]){x, w});
        y = apply(g, SW_OP_Relu, "y", 1, &y);
        run_all(g, y);
        CHECK_INT(g->inputs[0]->type.dtype, SW_F16);
        CHECK_INT(g->outputs[0]->type.dtype, SW_F16);
        CHECK_INT(count(g, SW_OP_Cast), with_conv ? 2 : 0);
        CHECK_INT(count(g, SW_OP_FusedConv), with_conv);
        for (const sw_node *node = g->first; with_conv && node; node = node->next) {
            if (node->op != SW_OP_FusedConv) continue;
            CHECK_INT(node->in[1]->type.dtype, SW_F32);
            for (int i = 0; i < 4; i++) CHECK_NEAR(((float *)node->in[1]->type.data)[i], i, 0);
        }
        sw_graph_destroy(g);
    }
}
