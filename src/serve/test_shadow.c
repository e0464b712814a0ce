/* Rules, copies of traffic and built-in steps, by many threads at once. */
#include <pthread.h>
#include <string.h>

#include "base/os.h"
#include "media/image.h"
#include "serve/internal.h"
#include "serve/test_serve.h"

enum { THREADS = 3, TURNS = 40 };

static fake f;
static sw_serve *core;

static const char member[] = "backend: 'fake' max_batch_size: 8 input { name: 'x' data_type: TYPE_FP32 dims: 1 }\n"
                             "output { name: 'y' data_type: TYPE_FP32 dims: 1 }\n";
/* A picture to a tensor of 8 x 8. */
static const char steps[] =
    "platform: 'ensemble' input { name: 'IMAGE' data_type: TYPE_STRING dims: 1 }\n"
    "output [ { name: 'TENSOR' data_type: TYPE_FP32 dims: [ 1, 3, 8, 8 ] },\n"
    "         { name: 'META' data_type: TYPE_FP32 dims: 8 } ]\n"
    "parameters { key: 'slipway_letterbox.size' value { string_value: '8' } }\n"
    "ensemble_scheduling { step [\n"
    "{ model_name: 'slipway_letterbox' model_version: -1 input_map { key: 'PICTURE' value: 'p' }\n"
    "  output_map { key: 'TENSOR' value: 'TENSOR' } output_map { key: 'META' value: 'META' } },\n"
    "{ model_name: 'slipway_decode' model_version: -1 input_map { key: 'IMAGE' value: 'IMAGE' }\n"
    "  output_map { key: 'PICTURE' value: 'p' } } ] }";

static void begin(void) {
    const char *folder = test_folder_make();
    fake_init(&f);
    test_write("m/config.pbtxt", member);
    test_write("n/config.pbtxt", member);
    test_write("e/config.pbtxt", steps);
    const sw_serve_backend *backend = &f.backend;
    sw_serve_options options = {.repositories = &folder,
                                .n_repositories = 1,
                                .control = SW_SERVE_CONTROL_EXPLICIT,
                                .load_models = (const char *const[]){"*"},
                                .n_load_models = 1,
                                .backends = &backend,
                                .n_backends = 1,
                                .diag = &sw_test_diag};
    CHECK_INT(sw_serve_create(&options, &core), SW_OK);
    CHECK_INT(sw_serve_wait_loaded(core), 0);
}

static void end(void) {
    sw_serve_destroy(core);
    test_folder_remove();
}

static void set_routes(const char *text) {
    sw_serve_error error;
    CHECK_INT(sw_serve_set_routes(core, text, strlen(text), "routes", &error), SW_SERVE_OK);
}

static void on_loaded(void *ctx, const sw_serve_error *error) {
    CHECK_INT(error->code, SW_SERVE_OK);
}

static const char *const documents[] = {
    "{\"rules\": [{\"to\": {\"model\": \"m\"}}], \"shadows\": [{\"of\": {\"model\": \"m\"}, \"to\": {\"model\": \"n\"}}]}",
    "{\"rules\": [{\"to\": [{\"model\": \"m\"}, {\"model\": \"n\"}]}]}"};

static void *ask_by_rules(void *ctx) {
    for (int i = 0; i < TURNS; i++) {
        sw_serve_model *model = NULL;
        sw_serve_error error;
        asked a = {0};
        CHECK_INT(sw_serve_find(core, SW_SERVE_ROUTE, -1, NULL, &model, &error), SW_SERVE_OK);
        if (!model) break;
        ask(&a, core, model, 1, (float)i);
        CHECK_INT(ask_wait(&a), SW_SERVE_OK);
        ask_free(&a);
        sw_serve_drop(model);
        if (ctx) set_routes(documents[i % 2]);
    }
    return NULL;
}

SW_TEST(serve_rules_and_copies_of_threads) {
    begin();
    set_routes(documents[0]);
    sw_thread threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(sw_thread_start(&threads[i], ask_by_rules, i ? NULL : core), SW_OK);
    for (int i = 0; i < THREADS; i++) sw_thread_join(&threads[i]);
    end(); /* with copies on their way, perhaps */
}

SW_TEST(serve_copies_that_wait_are_limited) {
    begin();
    set_routes(documents[0]);
    sw_serve_model *model = NULL;
    sw_serve_error error;
    CHECK_INT(sw_serve_find(core, "m", -1, NULL, &model, &error), SW_SERVE_OK);
    fake_hold(&f);
    static asked a[20];
    for (int i = 0; i < 20; i++) {
        a[i] = (asked){0};
        ask(&a[i], core, model, 1, 1);
        fake_let(&f, 1); /* for this one or a copy: in the end there are more runs than requests */
    }
    fake_release(&f);
    for (int i = 0; i < 20; i++) {
        CHECK_INT(ask_wait(&a[i]), SW_SERVE_OK);
        ask_free(&a[i]);
    }
    while (atomic_load(&core->n_copies)) sw_sleep_ms(1);
    sw_buf text = sw_buf_make(NULL, 0);
    sw_serve_metrics(core, &text);
    sw_buf_append_byte(&text, 0);
    long long compared = 0, dropped = 0;
    const char *at = strstr((const char *)text.data, "slipway_shadow_compared_total{shadow=\"1\"} ");
    CHECK(at && sscanf(at + 42, "%lld", &compared) == 1);
    at = strstr((const char *)text.data, "slipway_shadow_dropped_total{shadow=\"1\"} ");
    CHECK(at && sscanf(at + 41, "%lld", &dropped) == 1);
    CHECK_INT(compared + dropped, 20);
    sw_buf_free(&text);
    CHECK_INT(atomic_load(&core->copied_bytes), 0);
    sw_serve_drop(model);
    end();
}

SW_TEST(serve_copies_do_not_hold_up_the_end) {
    static const char patient[] =
        "dynamic_batching { preferred_batch_size: 8 max_queue_delay_microseconds: 600000000 }";
    begin();
    char text[400];
    snprintf(text, sizeof text, "%s%s", member, patient);
    test_write("w/config.pbtxt", text);
    sw_serve_error error;
    sw_serve_model *model = NULL;
    sw_serve_load(core, "w", NULL, NULL, 0, on_loaded, NULL);
    while (!sw_serve_model_ready(core, "w", -1)) sw_sleep_ms(1);
    set_routes("{\"shadows\": [{\"of\": {\"model\": \"m\"}, \"to\": {\"model\": \"w\"}}]}");
    CHECK_INT(sw_serve_find(core, "m", -1, NULL, &model, &error), SW_SERVE_OK);
    asked a = {0};
    ask(&a, core, model, 1, 1);
    CHECK_INT(ask_wait(&a), SW_SERVE_OK);
    ask_free(&a);
    sw_serve_drop(model);
    CHECK_INT(sw_serve_drain(core, 60000000000), 0);
    end();
}

/* -- Steps ----------------------------------------------------------------------------------------------------------- */

typedef struct picture_file {
    sw_buf bytes; /* its length, then the file */
} picture_file;

static picture_file make_file(void) {
    picture_file file = {sw_buf_make(NULL, 0)};
    sw_image image;
    uint32_t size = 0;
    CHECK_INT(sw_image_create(16, 12, NULL, &image), SW_OK);
    memset(image.picture.data, 255, image.picture.pitch * 12);
    sw_buf_append(&file.bytes, &size, sizeof size);
    CHECK_INT(sw_image_encode(&image.picture, SW_IMAGE_PNG, 0, &sw_test_diag, &file.bytes), SW_OK);
    size = (uint32_t)(file.bytes.size - sizeof size);
    memcpy(file.bytes.data, &size, sizeof size);
    sw_image_destroy(&image);
    return file;
}

static void *ask_steps(void *ctx) {
    const picture_file *file = ctx;
    asked a;
    sw_serve_error error;
    ask_prepare(&a, NULL, 1, 0);
    for (int i = 0; i < TURNS; i++) {
        sw_serve_model *model = NULL;
        CHECK_INT(sw_serve_find(core, "e", -1, NULL, &model, &error), SW_SERVE_OK);
        a.request.model = model;
        a.input = (sw_serve_tensor){.name = "IMAGE",
                                    .dtype = SW_SERVE_BYTES,
                                    .rank = 1,
                                    .dims = {1},
                                    .data = file->bytes.data,
                                    .bytes = file->bytes.size};
        ask_send(&a, core);
        CHECK_INT(ask_wait(&a), SW_SERVE_OK);
        const sw_serve_tensor *t = a.request.results;
        CHECK(a.request.n_results == 2 && t[0].dims[3] == 8 && t[1].dims[0] == 8);
        CHECK(((const float *)t[0].data)[3 * 8] == 1 && ((const float *)t[1].data)[5] == 0.5f);
        sw_serve_drop(model);
    }
    ask_free(&a);
    return NULL;
}

SW_TEST(serve_steps_of_threads_while_they_are_loaded_again) {
    begin();
    picture_file file = make_file();
    sw_thread threads[THREADS];
    for (int i = 0; i < THREADS; i++) CHECK_INT(sw_thread_start(&threads[i], ask_steps, &file), SW_OK);
    for (int i = 0; i < 3; i++) sw_serve_load(core, "e", NULL, NULL, 0, on_loaded, NULL);
    for (int i = 0; i < THREADS; i++) sw_thread_join(&threads[i]);
    while (atomic_load(&core->picture_bytes)) sw_sleep_ms(1); /* given back after the answer */
    sw_buf_free(&file.bytes);
    end();
}
