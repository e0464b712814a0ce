/* Tuned plans take the place of default ones, and nothing is lost. */
#include <sched.h>
#include <stdatomic.h>

#include "engine/plan.h"
#include "serve/test_serve.h"

/* A loader whose default plan gives x + x, and the tuned one x * x, so that they can be told apart. */
typedef struct maker {
    atomic_bool may_tune, tuned, ended;
    atomic_int loads, tunes;
    bool fails;
} maker;

static sw_status load(void *ctx, const sw_serve_wish *wish, const sw_diag *diag, sw_plan **result,
                      sw_serve_plan_kind *kind) {
    maker *m = ctx;
    atomic_fetch_add(&m->loads, 1);
    *kind = atomic_load(&m->tuned) ? SW_SERVE_PLAN_TUNED : SW_SERVE_PLAN_DEFAULT;
    sw_plan *plan = sw_plan_create(NULL);
    sw_tensor type = {.dtype = SW_F32, .rank = 2, .dims = {SW_DIM_UNKNOWN, 1}};
    int op = *kind == SW_SERVE_PLAN_TUNED ? SW_OP_Mul : SW_OP_Add;
    int32_t in, out;
    if (!plan || sw_plan_add_value(plan, "x", &type, &in) != SW_OK ||
        sw_plan_add_value(plan, "y", &type, &out) != SW_OK ||
        sw_plan_add_step(plan, op, "step", NULL, 2, (int32_t[]){in, in}, 1, &out) != SW_OK ||
        sw_plan_set_ports(plan, &in, 1, &out, 1) != SW_OK) {
        sw_plan_unref(plan);
        return SW_E_NOMEM;
    }
    *result = plan;
    return SW_OK;
}

static sw_status tune(void *ctx, const sw_serve_wish *wish, const atomic_bool *stop, const sw_diag *diag) {
    maker *m = ctx;
    CHECK(wish->threads > 0 && strstr(wish->path, "square.onnx"));
    atomic_fetch_add(&m->tunes, 1);
    while (!atomic_load(&m->may_tune) && !atomic_load(stop)) sched_yield();
    atomic_store(&m->ended, true);
    if (atomic_load(stop)) return SW_E_LIMIT;
    if (m->fails) return sw_fail(diag, SW_E_IO, NULL, NULL, "the disk is full");
    atomic_store(&m->tuned, true);
    return SW_OK;
}

static sw_serve *begin(maker *m) {
    char path[100];
    snprintf(path, sizeof path, "%s/square.onnx", test_folder_make());
    test_write("square.onnx", "a file");
    sw_serve_options options = {.repositories = (const char *const[]){path},
                                .n_repositories = 1,
                                .loader = {load, tune, m},
                                .diag = &sw_test_diag};
    sw_serve *core;
    CHECK_INT(sw_serve_create(&options, &core), SW_OK);
    CHECK_INT(sw_serve_wait_loaded(core), 0);
    return core;
}

static void end(sw_serve *core) {
    sw_serve_destroy(core);
    test_folder_remove();
}

static void count_done(sw_serve_request *request) {
    atomic_fetch_add((atomic_int *)request->user, 1);
}

/* The answer to 3, found and asked for anew. */
static float answer(sw_serve *core) {
    sw_serve_error error;
    sw_serve_model *model;
    if (sw_serve_find(core, "square", -1, NULL, &model, &error) != SW_SERVE_OK) return -1;
    float data = 3;
    atomic_int done = 0;
    sw_serve_tensor input = {
        .name = "x", .dtype = SW_F32, .rank = 2, .dims = {1, 1}, .data = &data, .bytes = sizeof data};
    sw_serve_request request = {.model = model, .n_inputs = 1, .inputs = &input, .done = count_done, .user = &done};
    sw_serve_submit(core, &request);
    while (!atomic_load(&done)) sched_yield();
    float got = request.error.code == SW_SERVE_OK ? ((const float *)request.results[0].data)[0] : -1;
    sw_serve_request_free(&request);
    sw_serve_drop(model);
    return got;
}

static uint64_t successes(sw_serve *core) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    const sw_serve_stats *stats;
    sw_serve_error error;
    int n;
    CHECK_INT(sw_serve_statistics(core, "square", -1, arena, &stats, &n, &error), SW_SERVE_OK);
    CHECK_INT(n, 1);
    uint64_t count = n ? stats[0].success.count : 0;
    sw_arena_destroy(arena);
    return count;
}

static bool metrics_tell(sw_serve *core, const char *kind) {
    sw_buf buf = sw_buf_make(NULL, 1 << 20);
    char line[100];
    snprintf(line, sizeof line, "slipway_plan{model=\"square\",version=\"1\",kind=\"%s\"} 1\n", kind);
    sw_serve_metrics(core, &buf);
    bool found = strstr(sw_buf_text(&buf), line) != NULL;
    sw_buf_free(&buf);
    return found;
}

SW_TEST(serve_tuning_takes_the_place_of_a_default_plan) {
    maker m = {0};
    sw_serve *core = begin(&m);
    int n_asked = 1;
    CHECK_NEAR(answer(core), 6, 0); /* while the tuned one is not there */
    CHECK(metrics_tell(core, "default"));
    sw_serve_error error;
    sw_serve_model *old;
    CHECK_INT(sw_serve_find(core, "square", -1, NULL, &old, &error), SW_SERVE_OK);
    atomic_store(&m.may_tune, true);
    float got;
    for (; (got = answer(core)) == 6; n_asked++) sched_yield();
    CHECK_NEAR(got, 9, 0); /* and never anything else */
    n_asked++;
    CHECK(metrics_tell(core, "tuned"));
    CHECK_INT(successes(core), n_asked);                 /* statistics go on */
    CHECK_STR(sw_serve_model_info(old)->name, "square"); /* who held the old one still has it */
    sw_serve_drop(old);
    CHECK_NEAR(answer(core), 9, 0);
    CHECK_INT(atomic_load(&m.tunes), 1);
    CHECK_INT(atomic_load(&m.loads), 2);
    end(core);
}

SW_TEST(serve_tuning_that_fails_leaves_the_default_plan) {
    maker m = {.fails = true, .may_tune = true};
    sw_serve *core = begin(&m);
    while (!atomic_load(&m.ended)) sched_yield();
    CHECK_NEAR(answer(core), 6, 0);
    CHECK(metrics_tell(core, "default"));
    end(core);
    CHECK_INT(atomic_load(&m.loads), 1);
}

SW_TEST(serve_tuning_ends_with_the_server) {
    maker m = {0};
    sw_serve *core = begin(&m);
    while (!atomic_load(&m.tunes)) sched_yield();
    end(core);
    CHECK(atomic_load(&m.ended) && !atomic_load(&m.tuned));
}

SW_TEST(serve_tuning_is_not_for_plans_that_are_tuned) {
    maker m = {.tuned = true};
    sw_serve *core = begin(&m);
    CHECK_NEAR(answer(core), 9, 0);
    end(core);
    CHECK_INT(atomic_load(&m.tunes), 0);
}
