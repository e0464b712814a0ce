/* The door: a plan served. */
#include <sched.h>
#include <stdatomic.h>

#include "engine/plan.h"
#include "serve/test_serve.h"

/* A loader whose plan adds its input to itself, whatever the path. */
static sw_status load_double(void *ctx, const sw_serve_wish *wish, const sw_diag *diag, sw_plan **result,
                             sw_serve_plan_kind *kind) {
    sw_plan *plan = sw_plan_create(NULL);
    sw_tensor type = {.dtype = SW_F32, .rank = 2, .dims = {SW_DIM_UNKNOWN, 3}};
    int32_t in, out;
    if (!plan || sw_plan_add_value(plan, "x", &type, &in) != SW_OK ||
        sw_plan_add_value(plan, "y", &type, &out) != SW_OK ||
        sw_plan_add_step(plan, SW_OP_Add, "add", NULL, 2, (int32_t[]){in, in}, 1, &out) != SW_OK ||
        sw_plan_set_ports(plan, &in, 1, &out, 1) != SW_OK) {
        sw_plan_unref(plan);
        return SW_E_NOMEM;
    }
    *result = plan;
    return SW_OK;
}

static void count_done(sw_serve_request *request) {
    atomic_fetch_add((atomic_int *)request->user, 1);
}

SW_TEST(serve_core_answers_with_a_plan) {
    char path[100];
    snprintf(path, sizeof path, "%s/double.onnx", test_folder_make());
    test_write("double.onnx", "a file");
    sw_serve_options options = {.repositories = (const char *const[]){path},
                                .n_repositories = 1,
                                .loader = {load_double},
                                .diag = &sw_test_diag};
    sw_serve *core;
    CHECK_INT(sw_serve_create(&options, &core), SW_OK);
    CHECK_INT(sw_serve_wait_loaded(core), 0);
    CHECK(sw_serve_ready(core));
    sw_serve_error error;
    sw_serve_model *model;
    CHECK_INT(sw_serve_find(core, "single", -1, NULL, &model, &error), SW_SERVE_NOT_FOUND);
    CHECK_STR(error.text, "Request for unknown model: 'single' is not found");
    CHECK_INT(sw_serve_find(core, "double", -1, NULL, &model, &error), SW_SERVE_OK);
    float data[6] = {1, 2, 3, 4, 5, 6};
    atomic_int done = 0;
    sw_serve_tensor input = {
        .name = "x", .dtype = SW_F32, .rank = 2, .dims = {2, 3}, .data = data, .bytes = sizeof data};
    sw_serve_request request = {.model = model, .n_inputs = 1, .inputs = &input, .done = count_done, .user = &done};
    sw_serve_submit(core, &request);
    while (!atomic_load(&done)) sched_yield();
    CHECK_INT(request.error.code, SW_SERVE_OK);
    CHECK_INT(request.n_results, 1);
    CHECK_STR(request.results[0].name, "y");
    CHECK_INT(request.results[0].dims[0], 2);
    CHECK_NEAR(((const float *)request.results[0].data)[5], 12, 0);
    input.bytes = 20;
    sw_serve_submit(core, &request);
    CHECK_INT(atomic_load(&done), 2);
    CHECK_INT(request.error.code, SW_SERVE_INVALID_ARG);
    CHECK_STR(request.error.text,
              "[request id: <id_unknown>] input byte size mismatch for input 'x' for model 'double'. "
              "Expected 24, got 20");
    sw_serve_request_free(&request);
    sw_serve_drop(model);
    CHECK_INT(sw_serve_drain(core, 60000000000), 0); /* it is told of before it is out */
    sw_serve_destroy(core);
    test_folder_remove();
}
