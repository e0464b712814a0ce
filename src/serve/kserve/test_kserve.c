#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/os.h"
#include "serve/kserve/kserve.h"
#include "unit.h"

static const sw_serve_info info = {.name = "m", .version = 3};

/* Reads a body and gives the inputs back as results, as JSON; or the error. */
static const char *round_trip(const char *body) {
    static char text[2048];
    sw_kserve_request k = {.max_bytes = 1 << 20};
    sw_serve_error error = {0};
    sw_buf out = sw_buf_make(NULL, 0);
    int64_t json;
    if (sw_kserve_read(&k, "m", (const uint8_t *)body, strlen(body), -1, &error) == SW_SERVE_OK) {
        k.request.results = k.request.inputs;
        k.request.n_results = k.request.n_inputs;
        if (sw_kserve_write(&k, &info, &out, &json, &error) == SW_SERVE_OK) CHECK_INT(json, -1);
    }
    snprintf(text, sizeof text, "%s", error.code ? error.text : sw_buf_text(&out));
    sw_buf_free(&out);
    sw_kserve_free(&k);
    return text;
}

static void check_type(const char *type, const char *data, const char *back) {
    char body[512], want[512];
    snprintf(body, sizeof body, "{\"inputs\":[{\"data\":%s,\"name\":\"a\",\"shape\":[2,2],\"datatype\":\"%s\"}]}", data,
             type);
    snprintf(
        want, sizeof want,
        "{\"model_name\":\"m\",\"model_version\":\"3\",\"outputs\":[{\"name\":\"a\",\"datatype\":\"%s\",\"shape\":[2,2],"
        "\"data\":%s}]}",
        type, back);
    CHECK_STR(round_trip(body), want);
}

SW_TEST(kserve_json_of_every_type) {
    check_type("BOOL", "[[true,false],[false,true]]", "[true,false,false,true]");
    check_type("INT8", "[-128, 127,\n0,1]", "[-128,127,0,1]");
    check_type("INT16", "[-32768,32767,0,1]", "[-32768,32767,0,1]");
    check_type("INT32", "[-2147483648,2147483647,0,1]", "[-2147483648,2147483647,0,1]");
    check_type("INT64", "[-9223372036854775808,9223372036854775807,0,1]",
               "[-9223372036854775808,9223372036854775807,0,1]");
    check_type("UINT8", "[0,255,1,2]", "[0,255,1,2]");
    check_type("UINT16", "[0,65535,1,2]", "[0,65535,1,2]");
    check_type("UINT32", "[0,4294967295,1,2]", "[0,4294967295,1,2]");
    check_type("UINT64", "[0,18446744073709551615,1,2]", "[0,18446744073709551615,1,2]");
    check_type("FP32", "[0.1,-2.5e-3,NaN,Infinity]", "[0.1,-0.0025,NaN,Infinity]");
    check_type("FP64", "[0.1,1e300,NaN,-Infinity]", "[0.1,1e+300,NaN,-Infinity]");
    check_type("BYTES", "[\"a\",\"\",\"\\u00e9\\n\",\"]\"]", "[\"a\",\"\",\"\xc3\xa9\\n\",\"]\"]");
}

SW_TEST(kserve_json_that_is_no_tensor) {
    static const char *const rows[][3] = {
        {"INT8", "[1,2,3,128]", "no INT8: '128]'"},     {"UINT8", "[1,2,3,-1]", "no UINT8: '-1]'"},
        {"INT32", "[1,2,3,4.0]", "no INT32: '4.0]'"},   {"BOOL", "[true,true,true,1]", "no BOOL: '1]'"},
        {"FP32", "[1,2,3]", "Shape does not match"},    {"FP32", "[1,2,3,4,5]", "Shape does not match"},
        {"FP32", "[1,2,3,+4]", "no FP32: '+4]'"},       {"FP32", "[1 2,3,4]", "no FP32: '2,3,4]'"},
        {"FP32", "[1,2,3,4,]", "no FP32: ']'"},         {"FP32", "[[1,2],[3,4]", "failed to parse"},
        {"FP32", "{\"a\":1}", "no FP32: '{\"a\":1}'"},  {"UINT64", "[0,1,2,18446744073709551616]", "no UINT64"},
        {"BYTES", "[\"a\",\"b\",\"c\",1]", "no BYTES"}, {"BYTES", "[\"a\",\"b\",\"c\"]", "Shape does not match"},
        {"BF16", "[1,2,3,4]", "BF16 data via JSON"},    {"FP32", "[1,2,3,null]", "no FP32: 'null]'"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"inputs\":[{\"name\":\"a\",\"shape\":[2,2],\"datatype\":\"%s\",\"data\":%s}]}",
                 rows[i][0], rows[i][1]);
        if (!strstr(round_trip(body), rows[i][2]))
            sw_test_fail(__FILE__, __LINE__, "%s %s gives %s", rows[i][0], rows[i][1], round_trip(body));
    }
}

SW_TEST(kserve_binary_tensors_stay_where_they_are) {
    static const char json[] =
        "{\"id\":\"q\",\"parameters\":{\"priority\":2,\"timeout\":500,\"x\":1.5,\"binary_data_output\":true},"
        "\"inputs\":[{\"name\":\"a\",\"shape\":[2],\"datatype\":\"INT32\",\"parameters\":{\"binary_data_size\":8}},"
        "{\"name\":\"b\",\"shape\":[1],\"datatype\":\"BYTES\",\"parameters\":{\"binary_data_size\":5}}]}";
    _Alignas(64) uint8_t body[512] = {0};
    size_t n = sizeof json - 1, at = (64 - n % 64) % 64;
    memcpy(body + at, json, n);
    memcpy(body + at + n, (const int32_t[]){7, -7}, 8);
    memcpy(body + at + n + 8, "\1\0\0\0z", 5);
    sw_kserve_request k = {.max_bytes = 1 << 20};
    sw_serve_error error = {0};
    CHECK_INT(sw_kserve_read(&k, "m", body + at, n + 13, (int64_t)n, &error), SW_SERVE_OK);
    const sw_serve_request *r = &k.request;
    CHECK_STR(r->id, "q");
    CHECK(r->priority == 2 && r->timeout_us == 500 && r->n_inputs == 2);
    CHECK(r->inputs[0].data == body + at + n && r->inputs[0].bytes == 8 && r->inputs[1].bytes == 5);
    CHECK_STR(sw_kserve_parameter_of(&k, "x"), "1.5");
    k.request.results = r->inputs;
    k.request.n_results = 2;
    sw_buf out = sw_buf_make(NULL, 0);
    int64_t json_size = 0;
    CHECK_INT(sw_kserve_write(&k, &info, &out, &json_size, &error), SW_SERVE_OK);
    CHECK_INT(out.size, json_size + 13);
    CHECK(!memcmp(out.data + json_size, body + at + n, 13));
    sw_buf_free(&out);
    sw_kserve_clear(&k);
    CHECK_INT(sw_kserve_read(&k, "m", body + at, n + 12, (int64_t)n, &error), SW_SERVE_INVALID_ARG);
    sw_kserve_free(&k);
}

SW_TEST(kserve_load_parameters) {
    static const char body[] =
        "{\"parameters\":{\"config\":\"{}\",\"file:1/m.onnx\":\"AQID/w==\",\"file:1/e\":\"\",\"unload_dependents\":true}}";
    sw_kserve_load load = {.arena = sw_arena_create(NULL, 0)};
    sw_serve_error error = {0};
    CHECK_INT(sw_kserve_read_load((const uint8_t *)body, sizeof body - 1, &load, &error), SW_SERVE_OK);
    CHECK_STR(load.config, "{}");
    CHECK(load.unload_dependents && load.n_files == 2);
    CHECK_STR(load.files[0].path, "1/m.onnx");
    CHECK(load.files[0].size == 4 && !memcmp(load.files[0].data, "\1\2\3\xff", 4) && load.files[1].size == 0);
    sw_kserve_load_free(&load);
    static const char *const bad[] = {"{\"parameters\":{\"file:1/m\":\"A\"}}",
                                      "{\"parameters\":{\"file:1/m\":\"A*==\"}}", "{\"parameters\":{\"config\":1}}",
                                      "{\"parameters\":{\"config\":true}}", "[]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        load = (sw_kserve_load){.arena = sw_arena_create(NULL, 0)};
        CHECK_INT(sw_kserve_read_load((const uint8_t *)bad[i], strlen(bad[i]), &load, &error), SW_SERVE_INVALID_ARG);
        sw_kserve_load_free(&load);
    }
}

/* -- Shared memory ------------------------------------------------------------------------------------------------- */

enum { REGION_BYTES = 4096, ROUNDS = 300 };

static void *use_region(void *ctx) {
    char data[16];
    for (int i = 0; i < ROUNDS; i++) {
        sw_serve_error error = {0};
        sw_region *region;
        if (sw_regions_take(ctx, "r", 16, sizeof data, &region, &error) != SW_SERVE_OK) continue;
        CHECK(sw_region_read(region, 16, data, sizeof data) && sw_region_write(region, 16, data, sizeof data));
        sw_region_drop(region);
    }
    return NULL;
}

/* Regions come and go while others use them. */
SW_TEST(serve_regions_of_threads) {
    char key[64];
    snprintf(key, sizeof key, "/slipway-unit-%d", (int)getpid());
    int fd = shm_open(key, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && ftruncate(fd, REGION_BYTES) == 0);
    sw_regions *regions = sw_regions_create();
    sw_thread threads[3];
    for (int i = 0; i < 3; i++) CHECK_INT(sw_thread_start(&threads[i], use_region, regions), SW_OK);
    for (int i = 0; i < ROUNDS; i++) {
        sw_serve_error error = {0};
        sw_serve_code code = sw_regions_add(regions, "r", key, 0, REGION_BYTES, &error);
        CHECK(code == SW_SERVE_OK || code == SW_SERVE_ALREADY_EXISTS); /* the last one is still in use */
        sw_regions_remove(regions, i % 2 ? "r" : NULL);
    }
    for (int i = 0; i < 3; i++) sw_thread_join(&threads[i]);
    sw_regions_destroy(regions);
    close(fd);
    shm_unlink(key);
}
