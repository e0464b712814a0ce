/* Chains of convolutions that run strip by strip, against the same steps one after the other. */
#include <stdlib.h>

#include "build/build.h"
#include "engine/chains.h"
#include "engine/session.h"
#include "pass/pass.h"
#include "unit.h"

enum { NETWORKS = 150, MOST_SIDE = 40, MOST_CHANNELS = 48, MOST_BATCH = 3 };

static int64_t pick(uint64_t *s, int64_t lo, int64_t hi) {
    return lo + (int64_t)(sw_test_random(s) % (uint64_t)(hi - lo + 1));
}

static sw_value *weights(sw_graph *g, uint64_t *s, int rank, const int64_t *dims) {
    sw_value *w = sw_graph_new_const(g, "w", SW_F32, rank, dims);
    for (int64_t i = 0; i < sw_tensor_count(&w->type); i++)
        ((float *)w->type.data)[i] = sw_test_uniform(s, -0.4f, 0.4f);
    return w;
}

/* A convolution of any kind, perhaps with an activation, and with a map that another step made added to it. */
static sw_value *layer(sw_graph *g, uint64_t *s, sw_value *x, int64_t *channels, int64_t *side) {
    static const int64_t kernels[] = {1, 1, 3, 3, 3, 5};
    int64_t kernel = kernels[pick(s, 0, 5)], stride = *side > 12 ? 1 + (pick(s, 0, 4) == 0) : 1, pad = kernel / 2;
    int64_t dilation = kernel == 3 && pick(s, 0, 4) == 0 ? 2 : 1, in = *channels;
    bool depthwise = pick(s, 0, 2) == 0, residual = pick(s, 0, 3) == 0;
    if (pick(s, 0, 5) == 0 && kernel > 1) pad = 0;
    *channels = depthwise ? in : pick(s, 1, MOST_CHANNELS);
    int64_t dims[4] = {*channels, depthwise ? 1 : in, kernel, kernel};
    sw_value *y = sw_graph_apply(g, NULL, SW_OP_Conv, "", 3,
                                 (sw_value *[]){x, weights(g, s, 4, dims), weights(g, s, 1, channels)});
    sw_node_set_int(y->producer, "group", depthwise ? in : 1);
    CHECK_INT(sw_node_set_ints(g, y->producer, "pads", (int64_t[]){pad, pad, pad, pad}, 4), SW_OK);
    CHECK_INT(sw_node_set_ints(g, y->producer, "strides", (int64_t[]){stride, stride}, 2), SW_OK);
    CHECK_INT(sw_node_set_ints(g, y->producer, "dilations", (int64_t[]){dilation, dilation}, 2), SW_OK);
    *side = (*side + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
    if (pick(s, 0, 1)) y = sw_graph_apply(g, NULL, SW_OP_Relu, "", 1, &y);
    if (residual && *channels == in && stride == 1 && 2 * pad == (kernel - 1) * dilation)
        y = sw_graph_apply(g, NULL, SW_OP_Add, "", 2, (sw_value *[]){y, x});
    return y;
}

typedef struct network {
    sw_plan *plan;
    sw_tensor in;
} network;

/* A product with weights, perhaps with an activation and its input added. */
static sw_value *product(sw_graph *g, uint64_t *s, sw_value *x, int64_t *columns) {
    int64_t dims[2] = {*columns, pick(s, 0, 2) ? pick(s, 1, MOST_CHANNELS) : *columns};
    *columns = dims[1];
    sw_value *y = sw_graph_apply(g, NULL, SW_OP_MatMul, "", 2, (sw_value *[]){x, weights(g, s, 2, dims)});
    if (pick(s, 0, 1)) y = sw_graph_apply(g, NULL, SW_OP_Add, "", 2, (sw_value *[]){y, weights(g, s, 1, columns)});
    if (pick(s, 0, 1)) y = sw_graph_apply(g, NULL, SW_OP_Relu, "", 1, &y);
    if (dims[0] == dims[1]) y = sw_graph_apply(g, NULL, SW_OP_Add, "", 2, (sw_value *[]){y, x});
    return y;
}

/* Layers, or products; at most `batch` pictures of so many channels (0: of any number). */
static network random_network(uint64_t *s, sw_dtype half, bool products, int64_t batch, int64_t channels) {
    network n = {0};
    sw_graph *g = sw_graph_create(NULL);
    int64_t any = pick(s, 1, 16), side = pick(s, 17, MOST_SIDE), layers = pick(s, 2, 12);
    if (!channels) channels = any;
    n.in = (sw_tensor){.dtype = SW_F32, .rank = 4, .dims = {pick(s, 1, batch), channels, side, side}};
    if (products) n.in.rank = 3, n.in.dims[1] = pick(s, 1, 1500), n.in.dims[2] = channels;
    float *data = malloc((size_t)sw_tensor_bytes(&n.in));
    n.in.data = data;
    for (int64_t i = 0; i < sw_tensor_count(&n.in); i++) data[i] = sw_test_uniform(s, -1, 1);
    sw_value *x = sw_graph_add_value(g, "x", SW_F32, n.in.rank, n.in.dims), *y = x;
    CHECK_INT(sw_graph_set_inputs(g, &x, 1), SW_OK);
    while (layers-- > 0 && side > 6) y = products ? product(g, s, y, &channels) : layer(g, s, y, &channels, &side);
    CHECK_INT(sw_graph_set_outputs(g, &y, 1), SW_OK);
    CHECK_INT(sw_passes_run(g, NULL, &sw_test_diag), SW_OK);
    CHECK_INT(sw_passes_for_cpu(g, half == SW_BF16), SW_OK);
    if (half) CHECK_INT(sw_pass_halves(g, half), SW_OK);
    CHECK_INT(sw_plan_lower(g, &sw_test_diag, &n.plan), SW_OK);
    return n;
}

static void count_step(void *ctx, size_t step, int64_t begin_ns, int64_t end_ns) {
    (void)step;
    *(int *)ctx += end_ns >= begin_ns;
}

/* Threads get as many parts of a picture each, and parts differ by a tile at most. */
static void check_parts(const sw_instance *instance, const sw_chain *chain, int threads) {
    const sw_conv *last = &instance->prepared[chain->steps[chain->n - 1]].conv;
    if (last->batch > 1 || last->height == 1) return;
    int64_t even = last->out_height / chain->segments, begin = 0;
    CHECK_INT(chain->segments % threads, 0);
    for (int64_t i = 0; i < chain->segments; i++) {
        int64_t end = sw_chain_begin(chain, last, i + 1);
        CHECK(end - begin <= even + SW_CONV_TILE && end - begin >= even - SW_CONV_TILE);
        begin = end;
    }
    CHECK_INT(begin, last->out_height);
}

/* The output, which the caller frees. *chains: how many there were; each step must be told of once. */
static void *run(const network *n, int threads, int *chains, int64_t *bytes) {
    sw_session *session = NULL;
    sw_tensor out;
    int told = 0, steps = 0;
    CHECK_INT(sw_session_create(n->plan, &(sw_session_options){.threads = threads}, &sw_test_diag, &session), SW_OK);
    CHECK_INT(sw_session_run(session, &n->in, &out), SW_OK);
    sw_session_watch(session, (sw_watch){count_step, &told});
    CHECK_INT(sw_session_run(session, &n->in, &out), SW_OK);
    const sw_instance *instance = sw_session_instance(session);
    for (size_t i = 0; i < n->plan->n_steps; i++) steps += !instance->skip[i];
    CHECK_INT(told, steps);
    *chains += instance->n_chains;
    for (int i = 0; i < instance->n_chains; i++) check_parts(instance, &instance->chains[i], threads);
    *bytes = sw_tensor_bytes(&out);
    void *copy = malloc((size_t)*bytes);
    memcpy(copy, out.data, (size_t)*bytes);
    sw_session_destroy(session);
    return copy;
}

/* The same to the bit, whatever the cache and the threads. */
SW_TEST(chains_give_what_their_steps_give) {
    uint64_t state = 31;
    static const sw_dtype halves[4] = {SW_DTYPE_NONE, SW_DTYPE_NONE, SW_BF16, SW_F16};
    int chains = 0;
    for (int i = 0; i < NETWORKS; i++) {
        network n = random_network(&state, halves[i % 4], i % 5 == 4, MOST_BATCH, 0);
        int none = 0;
        int64_t bytes, same;
        CHECK_INT(setenv("SLIPWAY_NO_ALIAS", "1", 1), 0);
        void *want = run(&n, 1, &none, &bytes);
        CHECK_INT(unsetenv("SLIPWAY_NO_ALIAS"), 0);
        CHECK_INT(none, 0);
        for (int threads = 1; threads < 4; threads++) {
            sw_chains_assume_cache(pick(&state, 8, 200) << 10);
            void *got = run(&n, threads, &chains, &same);
            CHECK_INT(same, bytes);
            CHECK(memcmp(got, want, (size_t)bytes) == 0);
            free(got);
        }
        free(want);
        free((void *)(uintptr_t)n.in.data);
        sw_plan_unref(n.plan);
    }
    sw_chains_assume_cache(0);
    CHECK(chains > 100);
}

/* A picture as bytes gives what it gives in floats, to the bit, in chains, too. */
SW_TEST(chains_of_bytes) {
    uint64_t state = 3;
    int took = 0, chains = 0;
    for (int i = 0; i < NETWORKS / 2; i++) {
        network n = random_network(&state, i % 3 ? SW_DTYPE_NONE : SW_BF16, false, 1, 3);
        sw_session *session = NULL;
        int64_t side = n.in.dims[2], bytes;
        sw_tensor picture = {SW_U8, 4, {1, side, side, 3}, malloc((size_t)(3 * side * side))}, out;
        for (int64_t k = 0; k < 3 * side * side; k++) {
            uint8_t byte = (uint8_t)pick(&state, 0, 255);
            ((uint8_t *)picture.data)[k] = byte;
            ((float *)n.in.data)[k % 3 * side * side + k / 3] = (float)byte / 255;
        }
        sw_chains_assume_cache(pick(&state, 8, 200) << 10);
        void *want = run(&n, 1 + i % 2, &chains, &bytes);
        CHECK_INT(sw_session_create(n.plan, &(sw_session_options){.threads = 1 + i % 2}, &sw_test_diag, &session),
                  SW_OK);
        if (sw_session_takes_bytes(session)) {
            CHECK_INT(sw_session_run_bytes(session, &picture, 255, &out), SW_OK);
            CHECK(memcmp(out.data, want, (size_t)bytes) == 0);
            CHECK_INT(sw_session_run(session, &n.in, &out), SW_OK); /* floats still are floats */
            CHECK(memcmp(out.data, want, (size_t)bytes) == 0);
            took++;
        }
        sw_session_destroy(session);
        free(want);
        free(picture.data);
        free((void *)(uintptr_t)n.in.data);
        sw_plan_unref(n.plan);
    }
    sw_chains_assume_cache(0);
    CHECK(took > 10 && chains > 10);
}

/* Maps between need memory for some rows only. */
SW_TEST(chains_take_less_memory) {
    uint64_t state = 7;
    int64_t bytes[2];
    sw_graph *g = sw_graph_create(NULL);
    const int64_t dims[4] = {1, 16, 64, 64};
    sw_value *x = sw_graph_add_value(g, "x", SW_F32, 4, dims), *y = x;
    CHECK_INT(sw_graph_set_inputs(g, &x, 1), SW_OK);
    for (int i = 0; i < 3; i++) {
        const int64_t kernel[4] = {i < 2 ? 64 : 16, i > 0 ? 64 : 16, 1, 1};
        y = sw_graph_apply(g, NULL, SW_OP_Conv, "", 2, (sw_value *[]){y, weights(g, &state, 4, kernel)});
    }
    CHECK_INT(sw_graph_set_outputs(g, &y, 1), SW_OK);
    sw_plan *plan = NULL;
    CHECK_INT(sw_passes_run(g, NULL, &sw_test_diag), SW_OK);
    CHECK_INT(sw_passes_for_cpu(g, false), SW_OK);
    CHECK_INT(sw_plan_lower(g, &sw_test_diag, &plan), SW_OK);
    sw_tensor in = {.dtype = SW_F32, .rank = 4, .dims = {1, 16, 64, 64}, .data = calloc(16 * 64 * 64, 4)}, out;
    for (int small = 0; small < 2; small++) {
        sw_session *session = NULL;
        sw_chains_assume_cache(small ? 384 << 10 : 64 << 20);
        CHECK_INT(sw_session_create(plan, &(sw_session_options){.threads = 1}, &sw_test_diag, &session), SW_OK);
        CHECK_INT(sw_session_run(session, &in, &out), SW_OK);
        CHECK_INT(sw_session_instance(session)->n_chains, small);
        bytes[small] = sw_session_instance(session)->block_bytes;
        sw_session_destroy(session);
    }
    sw_chains_assume_cache(0);
    CHECK(bytes[0] >= 2 * 64 * 64 * 64 * 4 && bytes[1] < bytes[0] / 3);
    free(in.data);
    sw_plan_unref(plan);
}
