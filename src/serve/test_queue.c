/* Scheduling: what shares a batch, who goes first, who is turned away; by a clock that stands still. */
#include "serve/test_serve.h"

static fake f;
static sw_serve *core;
static sw_serve_model *model;
static asked a[40];

static const char ports[] = "backend: 'fake' input { name: 'x' data_type: TYPE_FP32 dims: 1 }\n"
                            "output { name: 'y' data_type: TYPE_FP32 dims: 1 }\n";

/* Serves a model "m" of that configuration. */
static void serve_text(const char *text) {
    const char *folder = test_folder_make();
    test_write("m/config.pbtxt", text);
    fake_init(&f);
    const sw_serve_backend *backend = &f.backend;
    sw_serve_options options = {.repositories = &folder,
                                .n_repositories = 1,
                                .backends = &backend,
                                .n_backends = 1,
                                .load_threads = 1,
                                .clock = {fake_now, &f},
                                .diag = &sw_test_diag};
    sw_serve_error error = {0};
    CHECK_INT(sw_serve_create(&options, &core), SW_OK);
    CHECK_INT(sw_serve_wait_loaded(core), 0);
    CHECK_INT(sw_serve_find(core, "m", -1, NULL, &model, &error), SW_SERVE_OK);
    CHECK_STR(error.text, "");
    ask_reset_order();
    fake_hold(&f);
}

static void serve(const char *config) {
    char text[2000];
    snprintf(text, sizeof text, "%s%s", ports, config);
    serve_text(text);
}

static void stop(int n) {
    for (int i = 0; i < n; i++) ask_free(&a[i]);
    sw_serve_drop(model);
    sw_serve_destroy(core);
    test_folder_remove();
}

static const sw_serve_stats *stats(sw_arena *arena) {
    const sw_serve_stats *s;
    sw_serve_error error;
    int n;
    CHECK_INT(sw_serve_statistics(core, "m", -1, arena, &s, &n, &error), SW_SERVE_OK);
    CHECK_INT(n, 1);
    return s;
}

SW_TEST(serve_queue_batches_what_waits) {
    serve("max_batch_size: 8 dynamic_batching { }");
    ask(&a[0], core, model, 1, 100);
    fake_wait_running(&f, 1);
    for (int i = 1; i < 5; i++) ask(&a[i], core, model, i, 10.0f * (float)i); /* 1 + 2 + 3 rows, then 4 do not fit */
    fake_release(&f);
    for (int i = 0; i < 5; i++) CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
    CHECK_INT(f.n_runs, 3);
    CHECK_INT(f.rows[1], 6);
    CHECK_INT(f.rows[2], 4);
    for (int i = 0; i < 5; i++) { /* each has its own rows back */
        const sw_serve_tensor *y = &a[i].request.results[0];
        CHECK_STR(y->name, "y");
        CHECK_INT(y->dims[0], a[i].input.dims[0]);
        CHECK_INT(y->bytes, a[i].input.bytes);
        CHECK(memcmp(y->data, a[i].data, y->bytes) == 0);
    }
    sw_arena *arena = sw_arena_create(NULL, 0);
    const sw_serve_stats *s = stats(arena);
    CHECK_INT(s->inference_count, 11);
    CHECK_INT(s->execution_count, 3);
    CHECK_INT(s->success.count, 5);
    CHECK_INT(s->n_batches, 3);
    CHECK_INT(s->batches[2].batch_size, 6);
    CHECK_INT(s->batches[2].compute_infer.count, 1);
    sw_arena_destroy(arena);
    stop(5);
}

SW_TEST(serve_queue_without_batching_runs_one_by_one) {
    serve("max_batch_size: 8");
    for (int i = 0; i < 4; i++) ask(&a[i], core, model, 1, (float)i);
    fake_release(&f);
    for (int i = 0; i < 4; i++) CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
    CHECK_INT(f.n_runs, 4);
    for (int i = 0; i < 4; i++) CHECK_NEAR(f.first[i], i, 0);
    stop(4);
}

SW_TEST(serve_queue_waits_for_its_delay_and_no_longer) {
    serve("max_batch_size: 4 dynamic_batching { max_queue_delay_microseconds: 100 }");
    fake_release(&f);
    ask(&a[0], core, model, 1, 0);
    fake_advance(&f, core, 99000);
    ask(&a[1], core, model, 1, 1);
    CHECK(!ask_is_done(&a[0]));
    fake_advance(&f, core, 1000); /* the oldest has waited 100 us */
    CHECK_INT(ask_wait(&a[0]), SW_SERVE_OK);
    CHECK_INT(ask_wait(&a[1]), SW_SERVE_OK);
    CHECK_INT(f.n_runs, 1);
    for (int i = 2; i < 6; i++) ask(&a[i], core, model, 1, (float)i); /* a full batch waits for nothing */
    for (int i = 2; i < 6; i++) CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
    CHECK_INT(f.n_runs, 2);
    CHECK_INT(f.rows[1], 4);
    stop(6);
}

SW_TEST(serve_queue_prefers_sizes) {
    serve("max_batch_size: 8 dynamic_batching { preferred_batch_size: [ 2, 6 ] max_queue_delay_microseconds: 1000 }");
    ask(&a[0], core, model, 2, 0);
    fake_wait_running(&f, 1);
    for (int i = 1; i < 9; i++) ask(&a[i], core, model, 1, (float)i); /* 8 wait: 6 go, then 2 */
    fake_release(&f);
    for (int i = 0; i < 9; i++) CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
    CHECK_INT(f.n_runs, 3);
    CHECK_INT(f.rows[1], 6);
    CHECK_INT(f.rows[2], 2);
    ask(&a[9], core, model, 1, 9); /* no preferred size: it waits for its delay */
    CHECK(!ask_is_done(&a[9]));
    fake_advance(&f, core, 1000000);
    CHECK_INT(ask_wait(&a[9]), SW_SERVE_OK);
    stop(10);
}

SW_TEST(serve_queue_keeps_shapes_apart) {
    serve_text(
        "backend: 'fake' max_batch_size: 8 dynamic_batching { } input { name: 'x' data_type: TYPE_FP32 dims: -1 } output { "
        "name: 'y' data_type: TYPE_FP32 dims: -1 }");
    ask(&a[0], core, model, 1, 0);
    fake_wait_running(&f, 1);
    for (int i = 1; i < 5; i++) {
        ask_prepare(&a[i], model, 4, (float)i);
        if (i == 3) a[i].input.dims[0] = a[i].input.dims[1] = 2;
        ask_send(&a[i], core);
    }
    fake_release(&f);
    for (int i = 0; i < 5; i++) CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
    CHECK_INT(f.n_runs, 4);
    CHECK_INT(f.rows[1], 8);
    CHECK_INT(f.rows[2], 2);
    CHECK_INT(a[3].request.results[0].dims[1], 2);
    stop(5);
}

SW_TEST(serve_queue_full_is_said_at_once) {
    serve("max_batch_size: 8 dynamic_batching { default_queue_policy { max_queue_size: 8 } }");
    ask(&a[0], core, model, 1, 0);
    fake_wait_running(&f, 1);
    for (int i = 1; i < 11; i++) ask(&a[i], core, model, 1, (float)i);
    for (int i = 9; i < 11; i++) {
        CHECK_INT(ask_wait(&a[i]), SW_SERVE_UNAVAILABLE);
        CHECK_STR(a[i].request.error.text, "[request id: <id_unknown>] Exceeds maximum queue size");
    }
    fake_release(&f);
    for (int i = 0; i < 9; i++) CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_serve_metrics(core, &buf);
    CHECK(strstr(sw_buf_text(&buf), "nv_inference_request_failure{model=\"m\",version=\"1\",reason=\"REJECTED\"} 2\n"));
    CHECK(strstr(sw_buf_text(&buf), "nv_inference_request_success{model=\"m\",version=\"1\"} 9\n"));
    CHECK(strstr(sw_buf_text(&buf), "slipway_batch_size_bucket{model=\"m\",version=\"1\",le=\"8\"} 2\n"));
    sw_buf_free(&buf);
    stop(11);
}

SW_TEST(serve_queue_rejects_what_is_late) {
    serve("max_batch_size: 8 dynamic_batching { default_queue_policy { default_timeout_microseconds: 100 "
          "allow_timeout_override: true } }");
    ask(&a[0], core, model, 1, 0);
    fake_wait_running(&f, 1);
    ask(&a[1], core, model, 1, 1);
    ask_prepare(&a[2], model, 1, 2);
    a[2].request.timeout_us = 500; /* longer than the default: counts for nothing */
    ask_send(&a[2], core);
    ask_prepare(&a[3], model, 1, 3);
    a[3].request.timeout_us = 50;
    a[3].request.id = "three";
    ask_send(&a[3], core);
    fake_advance(&f, core, 60000);
    ask(&a[4], core, model, 1, 4);
    fake_let(&f, 1); /* now the queue is looked at: three is late */
    CHECK_INT(ask_wait(&a[3]), SW_SERVE_UNAVAILABLE);
    CHECK_STR(a[3].request.error.text, "[request id: three] Request timeout expired");
    fake_release(&f);
    CHECK_INT(ask_wait(&a[1]), SW_SERVE_OK);
    CHECK_INT(ask_wait(&a[2]), SW_SERVE_OK);
    CHECK_INT(ask_wait(&a[4]), SW_SERVE_OK);
    CHECK_INT(f.rows[1], 3);
    stop(5);
}

SW_TEST(serve_queue_delays_what_is_late) {
    serve(
        "max_batch_size: 2 dynamic_batching { default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 100 } "
        "}");
    ask(&a[0], core, model, 1, 0);
    fake_wait_running(&f, 1);
    ask(&a[1], core, model, 2, 1);
    fake_advance(&f, core, 200000);
    ask(&a[2], core, model, 2, 2);
    fake_release(&f);
    for (int i = 0; i < 3; i++) CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
    CHECK_NEAR(f.first[1], 2, 0);
    CHECK_NEAR(f.first[2], 1, 0);
    stop(3);
}

SW_TEST(serve_queue_keeps_deadlines) {
    serve("max_batch_size: 2");
    ask(&a[0], core, model, 1, 0);
    fake_wait_running(&f, 1);
    for (int i = 1; i < 3; i++) {
        ask_prepare(&a[i], model, 1, (float)i);
        a[i].request.deadline_ns = fake_now(&f) + i * 1000;
        ask_send(&a[i], core);
    }
    fake_advance(&f, core, 1500);
    fake_release(&f);
    CHECK_INT(ask_wait(&a[1]), SW_SERVE_UNAVAILABLE);
    CHECK_STR(a[1].request.error.text, "[request id: <id_unknown>] Deadline exceeded before the request was computed");
    CHECK_INT(ask_wait(&a[2]), SW_SERVE_OK);
    CHECK_INT(ask_wait(&a[0]), SW_SERVE_OK);
    CHECK_INT(f.n_runs, 2); /* what is late is not computed */
    stop(3);
}

SW_TEST(serve_queue_serves_priorities_first) {
    serve("max_batch_size: 2 dynamic_batching { priority_levels: 3 default_priority_level: 2 }");
    ask(&a[0], core, model, 1, 0);
    fake_wait_running(&f, 1);
    static const int priorities[] = {3, 0, 2, 1, 99, 1}; /* 0 and 99: the default */
    for (int i = 0; i < 6; i++) {
        ask_prepare(&a[i + 1], model, 1, (float)i);
        a[i + 1].request.priority = (uint64_t)priorities[i];
        ask_send(&a[i + 1], core);
    }
    fake_release(&f);
    for (int i = 0; i < 7; i++) CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
    CHECK_INT(f.n_runs, 4);
    CHECK_NEAR(f.first[1], 3, 0); /* with 5 */
    CHECK_NEAR(f.first[2], 1, 0); /* with 2 */
    CHECK_NEAR(f.first[3], 4, 0); /* with 0 */
    stop(7);
}

SW_TEST(serve_queue_cancels) {
    serve("max_batch_size: 2");
    ask(&a[0], core, model, 1, 0);
    fake_wait_running(&f, 1);
    ask(&a[1], core, model, 1, 1);
    sw_serve_cancel(core, &a[1].request); /* waits: leaves at once */
    CHECK_INT(ask_wait(&a[1]), SW_SERVE_CANCELLED);
    CHECK_STR(a[1].request.error.text, "[request id: <id_unknown>] Request cancelled");
    sw_serve_cancel(core, &a[0].request); /* runs: its results are dropped */
    CHECK(!ask_is_done(&a[0]));
    fake_release(&f);
    CHECK_INT(ask_wait(&a[0]), SW_SERVE_CANCELLED);
    CHECK_INT(a[0].request.n_results, 0);
    CHECK_INT(f.n_runs, 1);
    ask_send(&a[1], core); /* and can be used again */
    CHECK_INT(ask_wait(&a[1]), SW_SERVE_OK);
    stop(2);
}

SW_TEST(serve_queue_runs_instances_side_by_side) {
    serve("max_batch_size: 2 instance_group { count: 3 }");
    for (int i = 0; i < 5; i++) ask(&a[i], core, model, 1, (float)i);
    fake_wait_running(&f, 3);
    CHECK_INT(f.most_running, 3);
    fake_release(&f);
    for (int i = 0; i < 5; i++) CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
    CHECK_INT(f.most_running, 3);
    stop(5);
}

SW_TEST(serve_queue_preserves_order) {
    serve("max_batch_size: 2 dynamic_batching { preserve_ordering: true } instance_group { count: 4 }");
    for (int i = 0; i < 4; i++) {
        ask(&a[i], core, model, 2, (float)i);
        fake_wait_running(&f, i + 1);
    }
    fake_release(&f); /* they end in any order */
    for (int i = 0; i < 4; i++) CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
    for (int i = 0; i < 4; i++) CHECK_INT(a[i].order, i + 1);
    stop(4);
}

SW_TEST(serve_queue_tells_the_backends_errors) {
    serve("max_batch_size: 2 dynamic_batching { }");
    f.fail = "it is broken";
    fake_release(&f);
    ask(&a[0], core, model, 1, 0);
    CHECK_INT(ask_wait(&a[0]), SW_SERVE_INTERNAL);
    CHECK_STR(a[0].request.error.text, "it is broken");
    sw_arena *arena = sw_arena_create(NULL, 0);
    CHECK_INT(stats(arena)->fail.count, 1);
    CHECK_INT(stats(arena)->execution_count, 0);
    sw_arena_destroy(arena);
    stop(1);
}

SW_TEST(serve_queue_drains) {
    serve("max_batch_size: 2");
    ask(&a[0], core, model, 1, 0);
    fake_wait_running(&f, 1);
    CHECK_INT(sw_serve_drain(core, 0), 1);
    CHECK(!sw_serve_ready(core));
    ask(&a[1], core, model, 1, 1);
    CHECK_INT(ask_wait(&a[1]), SW_SERVE_UNAVAILABLE);
    fake_release(&f);
    CHECK_INT(sw_serve_drain(core, INT64_C(60000000000)), 0);
    CHECK_INT(ask_wait(&a[0]), SW_SERVE_OK);
    stop(2);
}

SW_TEST(serve_queue_batches_by_a_goal) {
    serve("max_batch_size: 8 dynamic_batching { } parameters { key: 'slo_p99_ms' value { string_value: '10' } }");
    ask(&a[0], core, model, 1, 0); /* nothing is known yet: it goes at once */
    fake_wait_running(&f, 1);
    fake_advance(&f, core, 1000000);
    fake_let(&f, 1); /* a row takes 1 ms */
    CHECK_INT(ask_wait(&a[0]), SW_SERVE_OK);
    fake_advance(&f, core, 500000);
    ask(&a[1], core, model, 1,
        1); /* the next is expected in 1.5 ms, and 8 ms less two rows leave room to wait for it */
    CHECK(!ask_is_done(&a[1]));
    fake_advance(&f, core, 5000000); /* now they do not */
    fake_wait_running(&f, 1);
    for (int i = 2; i < 10; i++) ask(&a[i], core, model, 1, (float)i);
    fake_advance(&f, core, 3000000);
    fake_let(&f, 1); /* a row takes 1.4 ms on average; the oldest has 5 ms left: three rows */
    CHECK_INT(ask_wait(&a[1]), SW_SERVE_OK);
    fake_wait_running(&f, 1);
    CHECK_INT(f.rows[2], 3);
    fake_release(&f);
    for (int i = 2; i < 10; i++) { /* the rest may wait for more to come */
        while (!ask_is_done(&a[i])) fake_advance(&f, core, 10000000);
        CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
    }
    stop(10);
}
