/* Models on disk: versions, policies, control modes, what is ready while something else is not. */
#include <sched.h>
#include <stdatomic.h>

#include "serve/test_serve.h"

static fake f;
static sw_serve *core;

static const char ports[] = "backend: 'fake' input { name: 'x' data_type: TYPE_FP32 dims: 1 }\n"
                            "output { name: 'y' data_type: TYPE_FP32 dims: 1 label_filename: 'labels.txt' }\n";

static void write_model(const char *name, const char *versions, const char *config) {
    char path[100], text[1000];
    snprintf(path, sizeof path, "%s/labels.txt", name);
    test_write(path, "cat\r\ndog\n");
    for (; *versions; versions++) {
        snprintf(path, sizeof path, "%s/%c/note.txt", name, *versions);
        test_write(path, "a version");
    }
    snprintf(path, sizeof path, "%s/config.pbtxt", name);
    snprintf(text, sizeof text, "%s%s", ports, config);
    test_write(path, text);
}

static void begin(void) {
    fake_init(&f);
}

static void start(const char *folder, sw_serve_control control, const char *load, int64_t budget) {
    const sw_serve_backend *backend = &f.backend;
    sw_serve_options options = {.repositories = &folder,
                                .n_repositories = 1,
                                .control = control,
                                .load_models = &load,
                                .n_load_models = load != NULL,
                                .backends = &backend,
                                .n_backends = 1,
                                .load_threads = 2,
                                .memory_budget = budget,
                                .clock = {fake_now, &f},
                                .diag = &sw_test_diag};
    CHECK_INT(sw_serve_create(&options, &core), SW_OK);
}

static int serve(const char *folder, sw_serve_control control, const char *load, int64_t budget) {
    start(folder, control, load, budget);
    return sw_serve_wait_loaded(core);
}

static void end(void) {
    sw_serve_destroy(core);
    CHECK_INT(f.n_opened, f.n_closed);
    test_folder_remove();
}

static const char *versions_of(const char *name) {
    static char text[100];
    int64_t versions[8];
    int n = sw_serve_versions(core, name, versions, 8);
    text[0] = 0;
    for (int i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%lld ", (long long)versions[i]);
    return text;
}

static sw_serve_error error;

static sw_serve_model *find(const char *name, int64_t version) {
    sw_serve_model *model = NULL;
    error = (sw_serve_error){0};
    (void)!sw_serve_find(core, name, version, NULL, &model, &error);
    return model;
}

typedef struct waiting {
    atomic_bool done;
    sw_serve_error error;
} waiting;

static void note(void *ctx, const sw_serve_error *e) {
    waiting *w = ctx;
    w->error = *e;
    atomic_store(&w->done, true);
}

static sw_serve_code load(const char *name, const char *config, const sw_serve_file *files, int n) {
    waiting w = {0};
    sw_serve_load(core, name, config, files, n, note, &w);
    while (!atomic_load(&w.done)) sched_yield();
    error = w.error;
    return error.code;
}

static sw_serve_code unload(const char *name) {
    waiting w = {0};
    sw_serve_unload(core, name, false, note, &w);
    while (!atomic_load(&w.done)) sched_yield();
    error = w.error;
    return error.code;
}

static bool works(sw_serve_model *model) {
    static asked a;
    ask_prepare(&a, model, 1, 3);
    if (!sw_serve_model_info(model)->max_batch_size) a.input.rank = 1;
    ask_send(&a, core);
    bool good = ask_wait(&a) == SW_SERVE_OK;
    ask_free(&a);
    return good;
}

SW_TEST(serve_repository_versions_by_policy) {
    begin();
    const char *folder = test_folder_make();
    write_model("latest", "123", "");
    write_model("two", "123", "version_policy { latest { num_versions: 2 } }");
    write_model("all", "123", "version_policy { all { } }");
    write_model("some", "123", "version_policy { specific { versions: [ 1, 3, 7 ] } }");
    write_model("none", "", "");
    test_write("latest/04/x", "no version: a zero in front");
    test_write("latest/4a/x", "no version: a letter");
    CHECK_INT(serve(folder, SW_SERVE_CONTROL_NONE, NULL, 0), 0);
    CHECK(sw_serve_ready(core));
    CHECK_STR(versions_of("latest"), "3 ");
    CHECK_STR(versions_of("two"), "2 3 ");
    CHECK_STR(versions_of("all"), "1 2 3 ");
    CHECK_STR(versions_of("some"), "1 3 ");
    CHECK_STR(versions_of("none"), "1 ");
    CHECK(!find("latest", 1));
    CHECK_STR(error.text, "Request for unknown model: 'latest' version 1 is not found");
    CHECK(!find("lates", -1));
    CHECK_STR(error.text, "Request for unknown model: 'lates' is not found");
    sw_serve_model *model = find("all", 2);
    CHECK_INT(sw_serve_model_info(model)->version, 2);
    CHECK_STR(sw_serve_model_label(model, "y", 0), "cat");
    CHECK_STR(sw_serve_model_label(model, "y", 1), "dog");
    CHECK(!sw_serve_model_label(model, "y", 2) && !sw_serve_model_label(model, "z", 0));
    sw_buf json = sw_buf_make(NULL, 0);
    sw_serve_model_config_json(model, &json);
    CHECK(strstr(sw_buf_text(&json), "\"name\":\"all\",\"platform\":\"\",\"backend\":\"fake\""));
    CHECK(strstr(sw_buf_text(&json), "\"instance_group\":[{\"name\":\"all\",\"kind\":\"KIND_CPU\",\"count\":1"));
    sw_buf_free(&json);
    CHECK(works(model));
    sw_serve_drop(model);
    waiting w = {0};
    sw_serve_load(core, "all", NULL, NULL, 0, note, &w);
    CHECK_STR(w.error.text, "explicit model load / unload is not allowed if polling is enabled");
    end();
}

SW_TEST(serve_repository_loads_and_unloads) {
    begin();
    const char *folder = test_folder_make();
    write_model("a", "1", "");
    write_model("b", "1", "");
    CHECK_INT(serve(folder, SW_SERVE_CONTROL_EXPLICIT, "b", 0), 0);
    CHECK(!find("a", -1));
    CHECK_STR(error.text, "Request for unknown model: 'a' is not found");
    CHECK_INT(load("a", NULL, NULL, 0), SW_SERVE_OK);
    sw_serve_model *old = find("a", -1);
    write_model("a", "12", "");
    CHECK_INT(load("a", NULL, NULL, 0), SW_SERVE_OK);
    CHECK_STR(versions_of("a"), "2 ");
    CHECK(works(old)); /* who holds it can go on */
    sw_serve_drop(old);
    write_model("a", "12", "parameters { key: 'broken' value { string_value: 'it does not start' } }");
    CHECK_INT(load("a", NULL, NULL, 0), SW_SERVE_INTERNAL);
    CHECK_STR(error.text, "failed to load 'a', version 2 is at UNAVAILABLE state: it does not start");
    CHECK_STR(versions_of("a"), "2 "); /* the old one answers on */
    sw_serve_model *model = find("a", -1);
    CHECK(model && works(model));
    sw_serve_drop(model);
    CHECK_INT(unload("a"), SW_SERVE_OK);
    CHECK(!find("a", -1));
    CHECK_STR(error.text, "Request for unknown model: 'a' has no available versions");
    CHECK(!find("a", 2));
    CHECK_STR(error.text, "Request for unknown model: 'a' version 2 is not at ready state");
    CHECK_INT(unload("nobody"), SW_SERVE_OK);
    CHECK_INT(load("nobody", NULL, NULL, 0), SW_SERVE_INTERNAL);
    CHECK_STR(error.text, "failed to load 'nobody', failed to poll from model repository: no folder has this name");
    CHECK_INT(load("../b", NULL, NULL, 0), SW_SERVE_INVALID_ARG);
    CHECK(strstr(error.text, "model name must not contain path traversal characters"));
    sw_arena *arena = sw_arena_create(NULL, 0);
    const sw_serve_index_row *rows;
    int n, seen = 0;
    CHECK_INT(sw_serve_index(core, false, arena, &rows, &n, &error), SW_SERVE_OK);
    for (int i = 0; i < n; i++) {
        if (strcmp(rows[i].name, "a") == 0 && strcmp(rows[i].version, "2") == 0) {
            CHECK_STR(rows[i].state, "UNAVAILABLE");
            CHECK_STR(rows[i].reason, "unloaded");
            seen++;
        }
        if (strcmp(rows[i].name, "b") == 0) CHECK_STR(rows[i].state, "READY");
    }
    CHECK_INT(seen, 1);
    CHECK_INT(sw_serve_index(core, true, arena, &rows, &n, &error), SW_SERVE_OK);
    CHECK_INT(n, 1);
    sw_arena_destroy(arena);
    end();
}

SW_TEST(serve_repository_config_and_files_from_the_request) {
    begin();
    const char *folder = test_folder_make();
    write_model("a", "1", "");
    CHECK_INT(serve(folder, SW_SERVE_CONTROL_EXPLICIT, NULL, 0), 0);
    static const char config[] = "{\"backend\": \"fake\", \"max_batch_size\": 5, \"version_policy\": {\"all\": {}}, "
                                 "\"input\": [{\"name\": \"x\", \"data_type\": \"TYPE_FP32\", \"dims\": [1]}], "
                                 "\"output\": [{\"name\": \"y\", \"data_type\": \"TYPE_FP32\", \"dims\": [\"1\"]}]}";
    CHECK_INT(load("a", config, NULL, 0), SW_SERVE_OK);
    sw_serve_model *model = find("a", -1);
    CHECK_INT(sw_serve_model_info(model)->max_batch_size, 5);
    sw_serve_drop(model);
    sw_serve_file files[] = {{"3/model.bin", "abc", 3}, {"4/model.bin", "", 0}};
    CHECK_INT(load("new", config, files, 2), SW_SERVE_OK);
    CHECK_STR(versions_of("new"), "3 4 ");
    files[0].path = "../3/model.bin";
    CHECK_INT(load("new", config, files, 2), SW_SERVE_INVALID_ARG);
    CHECK_INT(load("a", "{\"bakend\": 1}", NULL, 0), SW_SERVE_INVALID_ARG);
    CHECK_STR(error.text,
              "failed to load 'a': config of the load request: line 1, column 2: unknown key \"bakend\"; did you mean "
              "backend?");
    end();
}

SW_TEST(serve_repository_polls) {
    begin();
    const char *folder = test_folder_make();
    write_model("a", "1", "version_policy { all { } }");
    CHECK_INT(serve(folder, SW_SERVE_CONTROL_POLL, NULL, 0), 0);
    int opened = f.n_opened;
    sw_serve_model *first = find("a", 1);
    write_model("b", "1", "");
    test_write("a/2/note.txt", "a version");
    fake_advance(&f, core, INT64_C(16000000000));
    while (strcmp(versions_of("a"), "1 2 ") != 0 || strcmp(versions_of("b"), "1 ") != 0) sched_yield();
    sw_serve_model *still = find("a", 1);
    CHECK(still == first); /* what has not changed is not loaded again */
    sw_serve_drop(still);
    sw_serve_drop(first);
    test_remove("a/1");
    test_remove("b");
    fake_advance(&f, core, INT64_C(16000000000));
    while (strcmp(versions_of("a"), "2 ") != 0 || strcmp(versions_of("b"), "") != 0) sched_yield();
    CHECK_INT(f.n_opened, opened + 2);
    end();
}

/* Models a and b, each of 1,000 bytes, where 1,500 are allowed: a leaves. */
static void begin_over_budget(void) {
    begin();
    const char *folder = test_folder_make();
    write_model("a", "1", "");
    write_model("b", "1", "");
    CHECK_INT(serve(folder, SW_SERVE_CONTROL_EXPLICIT, NULL, 1500), 0);
    CHECK_INT(load("a", NULL, NULL, 0), SW_SERVE_OK);
    fake_advance(&f, core, 1000);
    CHECK_INT(load("b", NULL, NULL, 0), SW_SERVE_OK);
}

SW_TEST(serve_repository_memory_budget) {
    begin_over_budget();
    while (f.n_closed < 1) sw_serve_tick(core); /* a has left */
    sw_serve_model *a = find("a", -1);
    CHECK(a != NULL); /* but can be asked */
    fake_advance(&f, core, 1000);
    CHECK(works(a));
    CHECK_INT(f.n_opened, 3);
    sw_serve_drop(a);
    sw_serve_model *b = find("b", -1);
    CHECK(works(b) && works(b));
    sw_serve_drop(b);
    end();
}

SW_TEST(serve_repository_memory_budget_waits_for_who_holds) {
    begin_over_budget();
    while (f.n_closed < 1) sched_yield(); /* a has left */
    sw_serve_model *b = find("b", -1), *a = find("a", -1);
    CHECK(works(a)); /* comes back, and b is held */
    CHECK_INT(f.n_closed, 1);
    sw_serve_drop(b);
    while (f.n_closed < 2) sched_yield(); /* b has left */
    CHECK(works(a));
    CHECK_INT(f.n_opened, 3);
    sw_serve_drop(a);
    end();
}

SW_TEST(serve_repository_warms_up) {
    begin();
    const char *folder = test_folder_make();
    write_model(
        "a", "1",
        "max_batch_size: 4 model_warmup { name: 'w' batch_size: 3 count: 2 inputs { key: 'x' value { data_type: "
        "TYPE_FP32 dims: 1 random_data: true } } }");
    write_model(
        "b", "1",
        "model_warmup { name: 'w' inputs { key: 'z' value { data_type: TYPE_FP32 dims: 1 zero_data: true } } }");
    CHECK_INT(serve(folder, SW_SERVE_CONTROL_NONE, NULL, 0), 1);
    CHECK(!sw_serve_ready(core));
    CHECK_INT(f.n_runs, 2);
    CHECK_INT(f.rows[0], 3);
    CHECK(!sw_serve_model_ready(core, "b", -1));
    CHECK(sw_serve_model_ready(core, "a", 1));
    end();
}

SW_TEST(serve_repository_asks_for_patience_at_the_start) {
    begin();
    const char *folder = test_folder_make();
    write_model(
        "a", "1",
        "model_warmup { name: 'w' inputs { key: 'x' value { data_type: TYPE_FP32 dims: 1 zero_data: true } } }");
    fake_hold(&f);
    start(folder, SW_SERVE_CONTROL_NONE, NULL, 0);
    fake_wait_running(&f, 1);
    for (int k = 0; k < 2; k++) {
        CHECK(!find(k ? "b" : "a", -1));
        CHECK_INT(error.code, SW_SERVE_UNAVAILABLE);
    }
    CHECK_STR(error.text, "model 'b' is not there yet: models are being loaded");
    fake_release(&f);
    CHECK_INT(sw_serve_wait_loaded(core), 0);
    CHECK(!find("b", -1));
    CHECK_INT(error.code, SW_SERVE_NOT_FOUND);
    sw_serve_drop(find("a", -1));
    CHECK_INT(error.code, SW_SERVE_OK);
    end();
}

SW_TEST(serve_repository_tells_of_a_model_that_is_not_there_at_the_start) {
    begin();
    CHECK_INT(serve(test_folder_make(), SW_SERVE_CONTROL_EXPLICIT, "typo", 0), 1);
    CHECK_STR(sw_test_message(),
              "failed to load 'typo', failed to poll from model repository: no folder has this name");
    CHECK(!sw_serve_ready(core));
    end();
}

SW_TEST(serve_repository_refuses_with_a_sentence) {
    begin();
    const char *folder = test_folder_make();
    test_write("python/config.pbtxt", "backend: 'python'");
    test_write("engine/1/model.plan", "ftrt and so on");
    test_write("empty/1/readme.txt", "no model");
    CHECK_INT(serve(folder, SW_SERVE_CONTROL_EXPLICIT, NULL, 0), 0);
    CHECK_INT(load("python", NULL, NULL, 0), SW_SERVE_INTERNAL);
    CHECK(strstr(error.text, "there is no backend 'python'; models are ONNX"));
    CHECK_INT(load("engine", NULL, NULL, 0), SW_SERVE_INTERNAL);
    CHECK(strstr(error.text, "is a TensorRT engine, which runs only in the TensorRT"));
    CHECK_INT(load("empty", NULL, NULL, 0), SW_SERVE_INTERNAL);
    CHECK(strstr(error.text, "there is no model file in"));
    end();
}

static int64_t routed(const char *name, const char *sticky) {
    sw_serve_model *model;
    CHECK_INT(sw_serve_find(core, name, -1, &(sw_serve_hint){.sticky = sticky}, &model, &error), SW_SERVE_OK);
    int64_t version = sw_serve_model_info(model)->version;
    sw_serve_drop(model);
    return version;
}

SW_TEST(serve_repository_shares_traffic_by_weight) {
    begin();
    const char *folder = test_folder_make();
    write_model(
        "a", "123",
        "version_policy { all { } } parameters { key: 'route_weights' value { string_value: '1=90, 2=10 7=50' } }");
    write_model("b", "12", "parameters { key: 'route_weights' value { string_value: '1=90% 2' } }");
    CHECK_INT(serve(folder, SW_SERVE_CONTROL_NONE, NULL, 0), 1);
    int hits[4] = {0}, moved = 0, second = 0;
    for (int i = 0; i < 1000; i++) hits[routed("a", NULL)]++;
    CHECK(hits[1] >= 895 && hits[1] <= 905);
    CHECK_INT(hits[1] + hits[2], 1000);
    for (int i = 0; i < 1000; i++) {
        char key[20];
        snprintf(key, sizeof key, "user %d", i);
        int64_t version = routed("a", key);
        moved += routed("a", key) != version;
        second += version == 2;
    }
    CHECK_INT(moved, 0);
    CHECK(second > 50 && second < 160);
    sw_serve_model *third = find("a", 3);
    CHECK(third != NULL); /* by name, the one without a weight answers, too */
    sw_serve_drop(third);
    CHECK(!find("b", -1));
    end();
}
