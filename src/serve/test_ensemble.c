/* Ensembles: data flow, what shares memory, errors, cancellation, members. */
#include <sched.h>
#include <stdatomic.h>

#include "serve/test_serve.h"

static fake f;
static sw_serve *core;
static asked a[3];

static const char member[] = "backend: 'fake' max_batch_size: 8 input { name: 'x' data_type: TYPE_FP32 dims: 1 }\n"
                             "output { name: 'y' data_type: TYPE_FP32 dims: 1 }\n";
static const char ensemble[] =
    "platform: 'ensemble' max_batch_size: 8 input { name: 'x' data_type: TYPE_FP32 dims: 1 }\n"
    "output [ { name: 'p' data_type: TYPE_FP32 dims: 1 },\n"
    "         { name: 'q' data_type: TYPE_FP32 dims: 1 } ]\n"
    "ensemble_scheduling { step [\n";

static const char *step_text(const char *model, const char *in, const char *out) {
    static char text[4][300];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(
        text[turn], sizeof text[turn],
        "{ model_name: '%s' model_version: -1 input_map { key: 'x' value: '%s' } output_map { key: 'y' value: '%s' } }",
        model, in, out);
    return text[turn];
}

static int serve(const char *steps, sw_serve_control control) {
    const char *folder = test_folder_make();
    char text[2000];
    fake_init(&f);
    test_write("m/config.pbtxt", member);
    test_write("n/config.pbtxt", member);
    snprintf(text, sizeof text, "%s%s ] }", ensemble, steps);
    test_write("e/config.pbtxt", text);
    const sw_serve_backend *backend = &f.backend;
    sw_serve_options options = {.repositories = &folder,
                                .n_repositories = 1,
                                .control = control,
                                .backends = &backend,
                                .n_backends = 1,
                                .diag = &sw_test_diag};
    CHECK_INT(sw_serve_create(&options, &core), SW_OK);
    return sw_serve_wait_loaded(core);
}

static void end(void) {
    sw_serve_destroy(core);
    test_folder_remove();
}

static sw_serve_model *find(const char *name) {
    sw_serve_model *model = NULL;
    sw_serve_error error;
    return sw_serve_find(core, name, -1, NULL, &model, &error) == SW_SERVE_OK ? model : NULL;
}

static const char *chain(void) {
    static char text[1000];
    snprintf(text, sizeof text, "%s, %s, %s", step_text("n", "between", "p"), step_text("m", "x", "between"),
             step_text("n", "x", "q"));
    return text;
}

SW_TEST(serve_ensemble_runs_its_steps) {
    CHECK_INT(serve(chain(), SW_SERVE_CONTROL_NONE), 0);
    sw_serve_model *e = find("e");
    for (int turn = 0; turn < 3; turn++) { /* the request's memory is used again */
        ask(&a[0], core, e, 2, 5);
        CHECK_INT(ask_wait(&a[0]), SW_SERVE_OK);
        CHECK_INT(a[0].request.n_results, 2);
        CHECK_STR(a[0].request.results[0].name, "p");
        CHECK_STR(a[0].request.results[1].name, "q");
        for (int i = 0; i < 2; i++) CHECK(memcmp(a[0].request.results[i].data, a[0].data, 8) == 0);
        ask_free(&a[0]);
    }
    sw_arena *arena = sw_arena_create(NULL, 0);
    const sw_serve_stats *s;
    sw_serve_error error;
    int n;
    CHECK_INT(sw_serve_statistics(core, "n", -1, arena, &s, &n, &error), SW_SERVE_OK);
    CHECK_INT(s->success.count, 6);
    CHECK_INT(sw_serve_statistics(core, "e", -1, arena, &s, &n, &error), SW_SERVE_OK);
    CHECK_INT(s->success.count, 3);
    CHECK_INT(s->inference_count, 6);
    sw_arena_destroy(arena);
    CHECK_STR(sw_serve_model_info(e)->platform, "ensemble");
    sw_serve_drop(e);
    end();
}

SW_TEST(serve_ensemble_errors_and_cancellation) {
    CHECK_INT(serve(chain(), SW_SERVE_CONTROL_NONE), 0);
    sw_serve_model *e = find("e");
    f.fail = "it is broken";
    ask(&a[0], core, e, 1, 1);
    CHECK_INT(ask_wait(&a[0]), SW_SERVE_INTERNAL);
    CHECK_STR(a[0].request.error.text, "in ensemble 'e', it is broken");
    CHECK_INT(a[0].request.n_results, 0);
    ask_free(&a[0]);
    f.fail = NULL;
    fake_hold(&f);
    ask(&a[1], core, e, 1, 1);
    fake_wait_running(&f, 2); /* two steps need nothing but the input */
    sw_serve_cancel(core, &a[1].request);
    CHECK_INT(sw_serve_drain(core, 0) > 0, 1);
    fake_release(&f);
    CHECK_INT(ask_wait(&a[1]), SW_SERVE_CANCELLED);
    ask_free(&a[1]);
    CHECK_INT(f.n_runs <= 4, 1); /* the third step was not begun */
    sw_serve_drop(e);
    end();
}

SW_TEST(serve_ensemble_finishes_while_draining) {
    CHECK_INT(serve(chain(), SW_SERVE_CONTROL_NONE), 0);
    sw_serve_model *e = find("e");
    fake_hold(&f);
    ask(&a[0], core, e, 1, 1);
    fake_wait_running(&f, 2);
    CHECK(sw_serve_drain(core, 0) > 0);
    fake_release(&f);
    CHECK_INT(ask_wait(&a[0]), SW_SERVE_OK);
    CHECK_INT(sw_serve_drain(core, INT64_C(60000000000)), 0);
    ask_free(&a[0]);
    sw_serve_drop(e);
    end();
}

static void refuse(const char *steps, const char *why) {
    CHECK_INT(serve(steps, SW_SERVE_CONTROL_NONE), 1);
    sw_arena *arena = sw_arena_create(NULL, 0);
    const sw_serve_index_row *rows;
    sw_serve_error error;
    int n, seen = 0;
    CHECK_INT(sw_serve_index(core, false, arena, &rows, &n, &error), SW_SERVE_OK);
    for (int i = 0; i < n; i++) {
        if (strcmp(rows[i].name, "e") != 0) continue;
        CHECK_STR(rows[i].reason, why);
        seen++;
    }
    CHECK_INT(seen, 1);
    sw_arena_destroy(arena);
    end();
}

SW_TEST(serve_ensemble_refuses_what_cannot_run) {
    char text[1000];
    snprintf(text, sizeof text, "%s, %s", step_text("m", "x", "p"), step_text("n", "r", "q"));
    refuse(text, "ensemble 'e': tensor 'r', which step 'n' reads, is no input and no step before writes it");
    snprintf(text, sizeof text, "%s, %s", step_text("m", "x", "p"), step_text("n", "x", "p"));
    refuse(text, "ensemble 'e': tensor 'p' is written twice");
    refuse(step_text("m", "x", "p"), "ensemble 'e': no step writes output 'q'");
    refuse(step_text("e", "x", "p"), "ensemble 'e' is a step of itself");
}

static void note(void *ctx, const sw_serve_error *error) {
    CHECK_STR(error->text, "");
    atomic_store((atomic_bool *)ctx, true);
}

SW_TEST(serve_ensemble_brings_its_members) {
    CHECK_INT(serve(chain(), SW_SERVE_CONTROL_EXPLICIT), 0);
    atomic_bool done = false;
    CHECK(!sw_serve_model_ready(core, "m", -1));
    sw_serve_load(core, "e", NULL, NULL, 0, note, &done);
    while (!atomic_load(&done)) sched_yield();
    CHECK(sw_serve_model_ready(core, "e", -1) && sw_serve_model_ready(core, "m", -1) &&
          sw_serve_model_ready(core, "n", -1));
    atomic_store(&done, false);
    sw_serve_unload(core, "e", true, note, &done);
    while (!atomic_load(&done)) sched_yield();
    CHECK(!sw_serve_model_ready(core, "e", -1) && !sw_serve_model_ready(core, "m", -1));
    end();
}
