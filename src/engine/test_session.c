#include "engine/gpu_program.h"
#include "engine/session.h"
#include "unit.h"

static int32_t add_value(sw_plan *plan, const char *name, sw_dtype dtype, int rank, const int64_t *dims) {
    sw_tensor type = {.dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++) type.dims[i] = dims[i];
    int32_t id = -1;
    CHECK_INT(sw_plan_add_value(plan, name, &type, &id), SW_OK);
    return id;
}

static int32_t add_unknown(sw_plan *plan, const char *name) {
    return add_value(plan, name, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
}

static void add_step(sw_plan *plan, sw_op op, int n_in, const int32_t *in, int32_t out) {
    CHECK_INT(sw_plan_add_step(plan, op, "", NULL, n_in, in, 1, &out), SW_OK);
}

/* y = relu(-x) + x, over any rows of three; z = the shape of x. */
static sw_plan *small_plan(void) {
    sw_plan *plan = sw_plan_create(NULL);
    int32_t x = add_value(plan, "x", SW_F32, 2, (int64_t[]){SW_DIM_SYMBOL, 3});
    int32_t n = add_unknown(plan, "n"), r = add_unknown(plan, "r"), y = add_unknown(plan, "y"),
            z = add_unknown(plan, "z");
    add_step(plan, SW_OP_Neg, 1, &x, n);
    add_step(plan, SW_OP_Relu, 1, &n, r);
    add_step(plan, SW_OP_Add, 2, (int32_t[]){r, x}, y);
    add_step(plan, SW_OP_Shape, 1, &x, z);
    CHECK_INT(sw_plan_set_ports(plan, &x, 1, (int32_t[]){y, z, x}, 3), SW_OK);
    return plan;
}

static void run_rows(sw_session *session, int64_t rows) {
    float data[60];
    for (int i = 0; i < 60; i++) data[i] = (float)i - 20;
    sw_tensor in = {.dtype = SW_F32, .rank = 2, .dims = {rows, 3}, .data = data}, out[3];
    CHECK_INT(sw_session_run(session, &in, out), SW_OK);
    CHECK_INT(out[0].dims[0], rows);
    for (int64_t i = 0; i < rows * 3; i++) CHECK_NEAR(((float *)out[0].data)[i], data[i] > 0 ? data[i] : 0, 0);
    CHECK_INT(((int64_t *)out[1].data)[0], rows);
    CHECK(out[2].data != data); /* an input that is an output is copied */
    if (rows) CHECK_NEAR(((float *)out[2].data)[2], -18, 0);
}

SW_TEST(session_binds_each_shape) {
    sw_plan *plan = small_plan();
    sw_session *session;
    CHECK_INT(sw_session_create(plan, &(sw_session_options){.threads = 2}, &sw_test_diag, &session), SW_OK);
    for (int round = 0; round < 2; round++)
        for (int64_t rows = 1; rows <= 20; rows++) run_rows(session, rows); /* more shapes than are cached */
    run_rows(session, 0);
    sw_session_destroy(session);
    sw_plan_unref(plan);
}

/* Whether what was made for a shape is there after 19 others: one that is made again lacks the mark, which stands where an
 * input, value 0, has no offset. */
static bool is_kept(sw_session *session, int64_t rows) {
    enum { MARK = 4711 };
    run_rows(session, rows);
    sw_session_instance(session)->offsets[0] = MARK;
    for (int64_t other = 1; other <= 20; other++)
        if (other != rows) run_rows(session, other);
    run_rows(session, rows);
    return sw_session_instance(session)->offsets[0] == MARK;
}

SW_TEST(session_keeps_as_many_shapes_as_it_is_told) {
    sw_plan *plan = small_plan();
    sw_session *session;
    CHECK_INT(sw_session_create(plan, &(sw_session_options){.threads = 1}, &sw_test_diag, &session), SW_OK);
    CHECK(!is_kept(session, 3));
    CHECK_INT(sw_session_keep_shapes(session, 20), SW_OK); /* what is there stays */
    CHECK_INT(sw_session_keep_shapes(session, 4), SW_OK);  /* it only grows */
    for (int64_t rows = 1; rows <= 20; rows++) CHECK(is_kept(session, rows));
    sw_session_destroy(session);
    sw_plan_unref(plan);
}

/* y = x + the dims of x, over any rows of two: constants that follow from the shape. */
static sw_plan *shaped_plan(void) {
    sw_attr attrs[8];
    sw_plan *plan = sw_plan_create(NULL);
    int32_t x = add_value(plan, "x", SW_F32, 2, (int64_t[]){SW_DIM_SYMBOL, 2});
    int32_t z = add_unknown(plan, "z"), c = add_unknown(plan, "c"), y = add_unknown(plan, "y");
    add_step(plan, SW_OP_Shape, 1, &x, z);
    sw_op_default_attrs(SW_OP_Cast, attrs);
    *sw_attrs_find(SW_OP_Cast, attrs, "to") = (sw_attr){.set = true, .i = 1};
    CHECK_INT(sw_plan_add_step(plan, SW_OP_Cast, "", attrs, 1, &z, 1, &c), SW_OK);
    add_step(plan, SW_OP_Add, 2, (int32_t[]){x, c}, y);
    CHECK_INT(sw_plan_set_ports(plan, &x, 1, &y, 1), SW_OK);
    return plan;
}

SW_TEST(session_binds_each_shape_on_a_gpu) {
    static const int64_t rows[] = {3, 5, 3, 1};
    float data[10] = {0.5f, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    sw_plan *plan = shaped_plan();
    sw_session *session = NULL;
    sw_test_emulate_gpu();
    sw_session_options options = {.device = "cuda", .no_fallback = true};
    if (sw_session_create(plan, &options, &sw_test_diag, &session) != SW_OK) sw_test_skip(sw_test_message());
    for (size_t k = 0; session && k < sizeof rows / sizeof rows[0]; k++) {
        sw_tensor in = {.dtype = SW_F32, .rank = 2, .dims = {rows[k], 2}, .data = data}, out;
        CHECK_INT(sw_session_run(session, &in, &out), SW_OK);
        for (int64_t i = 0; i < rows[k] * 2; i++)
            CHECK_NEAR(((float *)out.data)[i], data[i] + (float)(i % 2 ? 2 : rows[k]), 0);
    }
    sw_session_destroy(session);
    sw_plan_unref(plan);
}

SW_TEST(sessions_share_constants_on_a_gpu) {
    float data[3] = {1, 2, 3}, added[3] = {10, 20, 30};
    sw_plan *plan = sw_plan_create(NULL);
    sw_tensor type = {.dtype = SW_F32, .rank = 1, .dims = {3}, .data = added}, in = type, out;
    int32_t x = add_value(plan, "x", SW_F32, 1, (int64_t[]){3}), y = add_unknown(plan, "y"), c;
    CHECK_INT(sw_plan_add_value(plan, "c", &type, &c), SW_OK);
    add_step(plan, SW_OP_Add, 2, (int32_t[]){x, c}, y);
    CHECK_INT(sw_plan_set_ports(plan, &x, 1, &y, 1), SW_OK);
    sw_test_emulate_gpu();
    sw_session *sessions[2] = {NULL};
    sw_session_options options = {.device = "cuda", .no_fallback = true};
    in.data = data;
    for (int round = 0; round < 5; round++) { /* both, one after the other's end, and again after the end of both */
        int k = round % 2;
        if (round == 3) sw_session_destroy(sessions[0]), sw_session_destroy(sessions[1]), sessions[0] = NULL;
        if (round == 3) sessions[1] = NULL;
        if (round == 2) sw_session_destroy(sessions[0]);
        if (sw_session_create(plan, &options, &sw_test_diag, &sessions[k]) != SW_OK) {
            sw_test_skip(sw_test_message());
            break;
        }
        CHECK_INT(sw_session_run(sessions[k], &in, &out), SW_OK);
        CHECK_NEAR(((float *)out.data)[2], 33, 0);
        sw_gpu_program *program;
        sw_gpu *gpu = sw_session_gpu(sessions[k], &program);
        CHECK_INT(sw_gpu_summarize(gpu, program).weights, 12);
        CHECK_INT(gpu->store->sessions, 1 + (sessions[1 - k] != NULL));
        if (sessions[1 - k]) CHECK(gpu->store == sw_session_gpu(sessions[1 - k], &program)->store);
    }
    sw_session_destroy(sessions[0]);
    sw_session_destroy(sessions[1]);
    sw_plan_unref(plan);
}

SW_TEST(session_refuses_what_does_not_fit) {
    sw_plan *plan = small_plan();
    sw_session *session;
    CHECK_INT(sw_session_create(plan, &(sw_session_options){.threads = 1}, &sw_test_diag, &session), SW_OK);
    float data[4] = {0};
    sw_tensor in = {.dtype = SW_F32, .rank = 2, .dims = {1, 4}, .data = data}, out[3];
    CHECK_INT(sw_session_run(session, &in, out), SW_E_INPUT);
    CHECK_STR(sw_test_message(), "input 'x' should be float32[?,3], but is float32[1,4]");
    in = (sw_tensor){.dtype = SW_I32, .rank = 2, .dims = {1, 3}, .data = data};
    CHECK_INT(sw_session_run(session, &in, out), SW_E_INPUT);
    CHECK(strstr(sw_test_message(), "is int32[1,3]"));
    run_rows(session, 2); /* still good */
    sw_session_destroy(session);
    sw_plan_unref(plan);
}

SW_TEST(session_says_what_a_dim_of_the_same_name_must_be) {
    sw_plan *plan = sw_plan_create(NULL);
    int64_t dims[] = {SW_DIM_SYMBOL, SW_DIM_SYMBOL - 1};
    int32_t in[2] = {add_value(plan, "a", SW_F32, 2, dims), add_value(plan, "b", SW_F32, 2, dims)};
    int32_t sum = add_unknown(plan, "sum");
    add_step(plan, SW_OP_Add, 2, in, sum);
    CHECK_INT(sw_plan_set_ports(plan, in, 2, &sum, 1), SW_OK);
    sw_session *session;
    CHECK_INT(sw_session_create(plan, &(sw_session_options){.threads = 1}, &sw_test_diag, &session), SW_OK);
    float data[6] = {0};
    sw_tensor out, x[2] = {{.dtype = SW_F32, .rank = 2, .dims = {2, 3}, .data = data}};
    x[1] = x[0];
    CHECK_INT(sw_session_run(session, x, &out), SW_OK);
    x[1].dims[1] = 1;
    CHECK_INT(sw_session_run(session, x, &out), SW_E_INPUT);
    CHECK_STR(sw_test_message(), "input 'b' should be float32[2,3], but is float32[2,1]");
    sw_session_destroy(session);
    sw_plan_unref(plan);
}

SW_TEST(session_refuses_options_of_a_newer_version) {
    sw_plan *plan = small_plan();
    sw_session *session;
    sw_session_options options = {.struct_size = sizeof options, .threads = 1};
    CHECK_INT(sw_session_create(plan, &options, &sw_test_diag, &session), SW_OK);
    sw_session_destroy(session);
    options.struct_size = sizeof options + 8;
    CHECK_INT(sw_session_create(plan, &options, &sw_test_diag, &session), SW_E_USAGE);
    CHECK(strstr(sw_test_message(), "this version of the library knows"));
    sw_plan_unref(plan);
}

SW_TEST(session_stops_at_its_memory_limit) {
    sw_plan *plan = small_plan();
    sw_session *session;
    sw_session_options options = {.threads = 1, .memory_limit = 1000};
    CHECK_INT(sw_session_create(plan, &options, &sw_test_diag, &session), SW_OK);
    static float data[3000];
    sw_tensor in = {.dtype = SW_F32, .rank = 2, .dims = {1000, 3}, .data = data}, out[3];
    CHECK_INT(sw_session_run(session, &in, out), SW_E_LIMIT);
    CHECK(strstr(sw_test_message(), "may be used"));
    sw_session_destroy(session);
    sw_plan_unref(plan);
}

/* Shapes that depend on data: the number of elements that are not zero. */
SW_TEST(session_runs_data_dependent_shapes) {
    sw_plan *plan = sw_plan_create(NULL);
    int32_t x = add_value(plan, "x", SW_F32, 1, (int64_t[]){5});
    int32_t where = add_unknown(plan, "where"), shape = add_unknown(plan, "shape");
    add_step(plan, SW_OP_NonZero, 1, &x, where);
    add_step(plan, SW_OP_Shape, 1, &where, shape);
    CHECK_INT(sw_plan_set_ports(plan, &x, 1, (int32_t[]){where, shape}, 2), SW_OK);
    sw_session *session;
    CHECK_INT(sw_session_create(plan, NULL, &sw_test_diag, &session), SW_OK);
    float few[5] = {0, 3, 0, 0, 4}, many[5] = {1, 2, 0, 3, 4};
    sw_tensor in = {.dtype = SW_F32, .rank = 1, .dims = {5}, .data = few}, out[2];
    CHECK_INT(sw_session_run(session, &in, out), SW_OK);
    CHECK_INT(out[0].dims[1], 2);
    CHECK_INT(((int64_t *)out[0].data)[1], 4);
    CHECK_INT(((int64_t *)out[1].data)[1], 2);
    in.data = many;
    CHECK_INT(sw_session_run(session, &in, out), SW_OK);
    CHECK_INT(out[0].dims[1], 4);
    CHECK_INT(((int64_t *)out[1].data)[1], 4);
    sw_session_destroy(session);
    sw_plan_unref(plan);
}

static int32_t add_constant(sw_plan *plan, int rank, const int64_t *dims, float *data) {
    sw_tensor type = {.dtype = SW_F32, .rank = rank, .data = data};
    int32_t id = -1;
    memcpy(type.dims, dims, (size_t)rank * sizeof *dims);
    CHECK_INT(sw_plan_add_value(plan, "c", &type, &id), SW_OK);
    return id;
}

/* w plus 0, which a NonZero of [1] finds, so that binding knows nothing of it. */
static int32_t add_zero(sw_plan *plan, int32_t w, const int64_t *dims) {
    static float one[1] = {1};
    sw_attr attrs[8];
    int32_t v = add_constant(plan, 1, (int64_t[]){1}, one), where = add_unknown(plan, "where"),
            zero = add_unknown(plan, "zero"), sum = add_value(plan, "sum", SW_F32, 4, dims);
    add_step(plan, SW_OP_NonZero, 1, &v, where);
    sw_op_default_attrs(SW_OP_Cast, attrs);
    *sw_attrs_find(SW_OP_Cast, attrs, "to") = (sw_attr){.set = true, .i = 1};
    CHECK_INT(sw_plan_add_step(plan, SW_OP_Cast, "", attrs, 1, &where, 1, &zero), SW_OK);
    add_step(plan, SW_OP_Add, 2, (int32_t[]){w, zero}, sum);
    return sum;
}

/* A convolution of a picture of 8 x 8, by weights that are constant or computed. */
static sw_plan *picture_plan(float *weights, bool computed) {
    static const int64_t dims[4] = {4, 3, 3, 3};
    sw_plan *plan = sw_plan_create(NULL);
    int32_t x = add_value(plan, "x", SW_F32, 4, (int64_t[]){1, 3, 8, 8}), w = add_constant(plan, 4, dims, weights), map;
    sw_tensor type = {.dtype = SW_F32, .rank = 4, .dims = {1, 4, 6, 6}, .layout = SW_CHANNELS_LAST};
    if (computed) w = add_zero(plan, w, dims);
    CHECK_INT(sw_plan_add_value(plan, "map", &type, &map), SW_OK);
    int32_t rows = add_value(plan, "rows", SW_F32, 4, (int64_t[]){1, 4, 6, 6});
    add_step(plan, SW_OP_FusedConv, 2, (int32_t[]){x, w}, map);
    add_step(plan, SW_OP_Relayout, 1, &map, rows);
    CHECK_INT(sw_plan_set_ports(plan, &x, 1, &rows, 1), SW_OK);
    return plan;
}

SW_TEST(session_takes_bytes_for_constant_weights_only) {
    float weights[108], data[192], want[144];
    uint8_t pixels[192];
    for (int i = 0; i < 108; i++) weights[i] = (float)(i % 7) - 3;
    for (int i = 0; i < 192; i++) pixels[i] = (uint8_t)(i * 37), data[i % 3 * 64 + i / 3] = (float)pixels[i] / 255;
    sw_tensor in = {.dtype = SW_F32, .rank = 4, .dims = {1, 3, 8, 8}, .data = data}, out;
    sw_tensor bytes = {.dtype = SW_U8, .rank = 4, .dims = {1, 8, 8, 3}, .data = pixels};
    for (int computed = 0; computed < 2; computed++) {
        sw_plan *plan = picture_plan(weights, computed);
        sw_session *session = NULL;
        CHECK_INT(sw_session_create(plan, &(sw_session_options){.threads = 1}, &sw_test_diag, &session), SW_OK);
        CHECK_INT(sw_session_takes_bytes(session), !computed);
        CHECK_INT(sw_session_run(session, &in, &out), SW_OK);
        if (!computed) memcpy(want, out.data, sizeof want);
        for (int i = 0; i < 144; i++) CHECK_NEAR(((float *)out.data)[i], want[i], 1e-5);
        sw_status status = sw_session_run_bytes(session, &bytes, 255, &out);
        CHECK_INT(status, computed ? SW_E_MODEL : SW_OK);
        for (int i = 0; status == SW_OK && i < 144; i++) CHECK_NEAR(((float *)out.data)[i], want[i], 1e-5);
        sw_session_destroy(session);
        sw_plan_unref(plan);
    }
    CHECK_NEAR(want[0], -1.1921569, 1e-5);
}

typedef struct seen {
    int count;
    bool in_order;
    size_t last;
    int64_t last_end;
} seen;

static void see(void *ctx, size_t step, int64_t begin_ns, int64_t end_ns) {
    seen *s = ctx;
    s->in_order &= begin_ns >= s->last_end && end_ns >= begin_ns && (s->count == 0 || step > s->last);
    s->count++;
    s->last = step;
    s->last_end = end_ns;
}

SW_TEST(session_tells_a_watch_of_every_step) {
    sw_plan *plan = small_plan();
    sw_session *session;
    CHECK_INT(sw_session_create(plan, &(sw_session_options){.threads = 1}, &sw_test_diag, &session), SW_OK);
    CHECK(!sw_session_instance(session));
    seen s = {.in_order = true};
    sw_session_watch(session, (sw_watch){see, &s});
    run_rows(session, 3);
    CHECK_INT(s.count, 3); /* the shape was computed while binding */
    CHECK(s.in_order);
    CHECK_INT(sw_session_instance(session)->values[plan->inputs[0]].dims[0], 3);
    sw_session_watch(session, (sw_watch){0});
    run_rows(session, 3);
    CHECK_INT(s.count, 3);
    sw_session_destroy(session);
    sw_plan_unref(plan);
}
