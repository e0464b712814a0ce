#include <math.h>
#include <string.h>

#include "cli/top.h"
#include "unit.h"

static sw_top_sample sample_of(const char *metrics) {
    sw_top_sample s = {.arena = sw_arena_create(NULL, 0)};
    CHECK_INT(sw_top_metrics(&s, metrics, strlen(metrics)), SW_OK);
    return s;
}

static const char first[] = "# HELP nv_inference_count x\n"
                            "nv_inference_request_success{model=\"b\",version=\"1\"} 10\n"
                            "nv_inference_request_success{model=\"a \\\"q\\\" \\\\ \\n}\",version=\"12\"} 1\n"
                            "nv_inference_request_success{model=\"b\",version=\"3\"} 7\n"
                            "nv_inference_request_failure{model=\"b\",version=\"1\",reason=\"OTHER\"} 2\n"
                            "nv_inference_request_failure{model=\"b\",version=\"1\",reason=\"BACKEND\"} 3\n"
                            "nv_inference_count{model=\"b\",version=\"1\"} 20\n"
                            "nv_inference_exec_count{model=\"b\",version=\"1\"} 10\n"
                            "nv_inference_pending_request_count{model=\"b\",version=\"1\"} 4\n"
                            "slipway_plan{model=\"b\",version=\"1\",kind=\"tuned\"} 1\n"
                            "slipway_request_duration_seconds_bucket{model=\"b\",version=\"1\",le=\"0.001\"} 0\n"
                            "slipway_request_duration_seconds_bucket{model=\"b\",version=\"1\",le=\"0.002\"} 10\n"
                            "slipway_request_duration_seconds_bucket{model=\"b\",version=\"1\",le=\"+Inf\"} 10\n"
                            "nv_cpu_memory_total_bytes 1000\n";

SW_TEST(top_reads_metrics) {
    sw_top_sample s = sample_of(first);
    sw_top_sort(&s);
    CHECK_INT(s.n, 3);
    CHECK_STR(s.rows[0].model, "a \"q\" \\ \n}");
    CHECK_STR(s.rows[0].version, "12");
    const sw_top_row *b = sw_top_find(&s, "b", "1");
    CHECK(b && b < sw_top_find(&s, "b", "3"));
    CHECK_NEAR(b->failures, 5, 0);
    CHECK_NEAR(b->pending, 4, 0);
    CHECK_STR(b->plan, "tuned");
    CHECK_INT(b->n_bounds, 3);
    CHECK(isinf(b->bounds[2]));
    sw_arena_destroy(s.arena);
}

SW_TEST(top_tells_what_went_on_between_two_looks) {
    sw_top_sample before = sample_of(first),
                  now =
                      sample_of("nv_inference_request_success{model=\"b\",version=\"1\"} 110\n"
                                "nv_inference_request_failure{model=\"b\",version=\"1\",reason=\"OTHER\"} 7\n"
                                "nv_inference_count{model=\"b\",version=\"1\"} 420\n"
                                "nv_inference_exec_count{model=\"b\",version=\"1\"} 60\n"
                                "slipway_request_duration_seconds_bucket{model=\"b\",version=\"1\",le=\"0.001\"} 50\n"
                                "slipway_request_duration_seconds_bucket{model=\"b\",version=\"1\",le=\"0.002\"} 108\n"
                                "slipway_request_duration_seconds_bucket{model=\"b\",version=\"1\",le=\"+Inf\"} 110\n");
    const sw_top_row *row = sw_top_find(&now, "b", "1"), *old = sw_top_find(&before, "b", "1");
    sw_top_rates r = sw_top_compare(row, old, 2);
    CHECK_NEAR(r.requests, 50, 1e-9);
    CHECK_NEAR(r.failures, 1, 1e-9);
    CHECK_NEAR(r.batch, 8, 1e-9);
    CHECK_NEAR(r.p50_ms, 1, 1e-9);   /* 50 of 100 are at most 1 ms */
    CHECK_NEAR(r.p99_ms, 2, 1e-9);   /* beyond the last finite bound */
    r = sw_top_compare(old, row, 2); /* the server was started again */
    CHECK_NEAR(r.requests, 5, 1e-9);
    CHECK_NEAR(r.p50_ms, 1.5, 1e-9);
    r = sw_top_compare(row, row, 2);
    CHECK_NEAR(r.requests, 0, 0);
    CHECK_NEAR(r.p99_ms, -1, 0);
    sw_arena_destroy(before.arena);
    sw_arena_destroy(now.arena);
}

SW_TEST(top_reads_no_further_than_the_end) {
    const char text[] = "nv_inference_count{model=\"m\",version=\"1\"} 123";
    sw_top_sample s = {.arena = sw_arena_create(NULL, 0)};
    CHECK_INT(sw_top_metrics(&s, text, sizeof text - 2), SW_OK);
    CHECK_NEAR(s.rows[0].inferences, 12, 0);
    sw_arena_destroy(s.arena);
}

SW_TEST(top_leaves_alone_what_is_no_metric) {
    static const char *const texts[] = {"",
                                        "\n\n",
                                        "{",
                                        "x{",
                                        "x{}",
                                        "x{} 1",
                                        "nv_inference_count{model=\"m} 1",
                                        "nv_inference_count{model=\"m\"}",
                                        "nv_inference_count{model=\"m\"} -1",
                                        "nv_inference_count{model=\"m\"} x",
                                        "nv_inference_count{model=\"m\\",
                                        "nv_inference_count{=\"m\"} 1",
                                        "nv_inference_count{model=\"m\" 1",
                                        "nv_inference_count{version=\"1\"} 1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        sw_top_sample s = sample_of(texts[i]);
        CHECK_INT(s.n, 0);
        sw_arena_destroy(s.arena);
    }
}

SW_TEST(top_reads_the_index) {
    sw_top_sample s = sample_of(first);
    static const char index[] =
        "[{\"name\":\"b\",\"version\":\"1\",\"state\":\"READY\",\"more\":[{}]},{\"name\":\"c\"},{}]";
    CHECK_INT(sw_top_index(&s, index, sizeof index - 1, NULL), SW_OK);
    CHECK_INT(s.n, 4);
    CHECK_STR(sw_top_find(&s, "b", "1")->state, "READY");
    CHECK_STR(sw_top_find(&s, "c", "")->state, "");
    CHECK_INT(sw_top_index(&s, "{}", 2, NULL), SW_E_INPUT);
    CHECK(sw_top_index(&s, "[{\"name\":", 9, NULL) != SW_OK);
    sw_arena_destroy(s.arena);
}

SW_TEST(top_has_a_limit) {
    sw_top_sample s = {.arena = sw_arena_create(NULL, 0)};
    sw_status status = SW_OK;
    char line[100];
    int n = 0;
    for (; status == SW_OK; n++) {
        int size = snprintf(line, sizeof line, "nv_inference_count{model=\"m\",version=\"%d\"} 1\n", n);
        status = sw_top_metrics(&s, line, (size_t)size);
    }
    CHECK_INT(status, SW_E_LIMIT);
    CHECK_INT(n, SW_TOP_ROWS + 1);
    sw_arena_destroy(s.arena);
}
