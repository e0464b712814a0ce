/* Configurations: text format and JSON in, JSON and wire format out; what is completed, what is refused. */
#include <stdlib.h>

#include "serve/config/config.h"
#include "unit.h"

static sw_arena *arena;

static const sw__source *source(void) {
    static sw__source s;
    sw_arena_destroy(arena);
    arena = sw_arena_create(NULL, 0);
    s = (sw__source){"config.pbtxt", &sw_test_diag, arena};
    return &s;
}

static sw_status parse(const char *text, const sw__source *from, sw__message **message) {
    return sw__pbtxt_parse(text, strlen(text), &sw__model_config, from, message);
}

/* Parses and reads `text`, which must fail with `message`. */
static void refuse(const char *text, const char *expected) {
    const sw__source *from = source();
    sw__message *message;
    sw__config config;
    sw_status status = parse(text, from, &message);
    if (status == SW_OK) status = sw__message_check_use(message, from);
    if (status == SW_OK) status = sw__config_read(message, from, &config);
    CHECK(status != SW_OK);
    CHECK_STR(sw_test_message(), expected);
}

static const char full[] =
    "# a comment\n"
    "name: 'm' \"odel\"  # two texts are one\n"
    "platform: \"onnxruntime_onnx\"\n"
    "max_batch_size: 0x10\n"
    "input [ { name: \"x\", data_type: TYPE_FP32, dims: [ 3, -1 ] },\n"
    "        { name: \"y\" data_type: TYPE_STRING dims: 1 reshape: { shape: [ ] } } ]\n"
    "output < name: \"z\\n\\x41\\102\\u00e9\" data_type: 11 dims: 2; dims: 3 label_filename: 'l.txt' >\n"
    "dynamic_batching {\n"
    "  preferred_batch_size: [ 8, 4 ]\n"
    "  max_queue_delay_microseconds: 100 priority_levels: 2 default_priority_level: 2\n"
    "  default_queue_policy { timeout_action: DELAY max_queue_size: 5 }\n"
    "  priority_queue_policy { key: 1 value: { default_timeout_microseconds: 7 } } }\n"
    "version_policy: { specific { versions: [1, 3] } }\n"
    "instance_group [ { count: 2 kind: KIND_CPU } ]\n"
    "parameters { key: \"slo_p99_ms\" value { string_value: \"12.5\" } }\n"
    "model_warmup { name: 'w' batch_size: 1 inputs { key: 'x' value { data_type: TYPE_FP32 dims: [3, 5]"
    " zero_data: true } } }\n";

SW_TEST(serve_config_reads_what_triton_writes) {
    const sw__source *from = source();
    sw__message *message;
    sw__config c;
    CHECK_INT(parse(full, from, &message), SW_OK);
    CHECK_INT(sw__config_read(message, from, &c), SW_OK);
    CHECK_STR(c.name, "model");
    CHECK_INT(c.max_batch, 16);
    CHECK_INT(c.n_inputs, 2);
    CHECK_INT(c.inputs[0].dims[1], -1);
    CHECK_INT(c.inputs[1].dtype, SW_SERVE_BYTES);
    CHECK(c.inputs[1].reshaped && c.inputs[1].inner_rank == 0);
    CHECK_STR(c.outputs[0].name, "z\nAB\xc3\xa9");
    CHECK_INT(c.outputs[0].rank, 2);
    CHECK_STR(c.outputs[0].label_filename, "l.txt");
    CHECK(c.batching.on && c.batching.n_preferred == 2 && c.batching.preferred[0] == 4 && c.batching.delay_us == 100);
    CHECK_INT(c.batching.slo_p99_us, 12500);
    CHECK_INT(c.batching.levels, 2);
    CHECK_INT(c.batching.policies[1].timeout_us, 7);
    CHECK(!c.batching.policies[1].delay && c.batching.policies[2].delay);
    CHECK_INT(c.batching.policies[2].max_size, 5);
    CHECK_INT(c.versions.kind, SW__SPECIFIC);
    CHECK_INT(c.versions.versions[1], 3);
    CHECK_INT(c.instances, 2);
    CHECK_INT(c.n_warmups, 1);
    CHECK_INT(c.warmups[0].inputs[0].dims[1], 5);
}

static const char *json_of(const sw__message *message, sw_buf *buf) {
    sw_json_writer w = sw_json_writer_make(buf, 0);
    sw__message_json(message, &w);
    return sw_buf_text(buf);
}

SW_TEST(serve_config_json_reads_back) {
    const sw__source *from = source();
    sw__message *message, *again;
    sw_buf once = sw_buf_make(NULL, 0), twice = sw_buf_make(NULL, 0);
    CHECK_INT(parse(full, from, &message), SW_OK);
    const char *json = json_of(message, &once);
    CHECK(strstr(json, "\"version_policy\":{\"specific\":{\"versions\":[1,3]}},\"max_batch_size\":16,"));
    CHECK(strstr(json, "\"dims\":[3,-1],\"is_shape_tensor\":false"));
    CHECK(strstr(
        json, "\"priority_queue_policy\":{\"1\":{\"timeout_action\":\"REJECT\",\"default_timeout_microseconds\":7,"));
    CHECK(strstr(json, "\"parameters\":{\"slo_p99_ms\":{\"string_value\":\"12.5\"}}"));
    CHECK(strstr(json, "\"inputs\":{\"x\":{\"data_type\":\"TYPE_FP32\",\"dims\":[3,5],\"zero_data\":true}}"));
    CHECK_INT(sw__proto_json_parse(json, once.size, &sw__model_config, from, &again), SW_OK);
    CHECK_STR(json_of(again, &twice), json);
    sw_buf_free(&once);
    sw_buf_free(&twice);
}

SW_TEST(serve_config_wire_format) {
    const sw__source *from = source();
    sw__message *message;
    sw_buf buf = sw_buf_make(NULL, 0);
    CHECK_INT(parse("name: 'a' max_batch_size: 8 input { name: 'x' data_type: TYPE_FP32 dims: -1 }", from, &message),
              SW_OK);
    sw__message_wire(message, &buf);
    static const uint8_t expected[] = {0x0a, 1,    'a',  0x20, 8,    0x2a, 16,   0x0a, 1,    'x',  0x10, 11,
                                       0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
    CHECK_INT(buf.size, sizeof expected);
    CHECK(buf.size == sizeof expected && memcmp(buf.data, expected, buf.size) == 0);
    sw_buf_free(&buf);
}

SW_TEST(serve_config_errors_name_line_and_column) {
    refuse("name: 'x'\nmax_batchsize: 4", "config.pbtxt: line 2, column 1: unknown key \"max_batchsize\" (did you mean "
                                          "max_batch_size?)");
    refuse("name: 'x' name: 'y'", "config.pbtxt: line 1, column 17: name is given twice; first in line 1");
    refuse("max_batch_size: 'x'", "config.pbtxt: line 1, column 17: expected a whole number, found \"'x'\"");
    refuse("max_batch_size: 3000000000", "config.pbtxt: line 1, column 17: 3000000000 does not fit max_batch_size");
    refuse("input {", "config.pbtxt: line 1, column 8: the file ends where \"}\" is expected");
    refuse("input { name: 'x }", "config.pbtxt: line 1, column 15: a text does not end (close the quote)");
    refuse("name 'x'", "config.pbtxt: line 1, column 6: expected \":\", found \"'x'\"");
    refuse("name: [ 'x' ]", "config.pbtxt: line 1, column 7: name is a single value (write it without brackets)");
    refuse("\n\n @", "config.pbtxt: line 3, column 2: unexpected byte 0x40");
    refuse("version_policy { all { } latest { } }",
           "config.pbtxt: line 1, column 26: latest excludes all of line 1 (keep one of "
           "them)");
    refuse("instance_group { kind: KIND_TPU }",
           "config.pbtxt: line 1, column 24: kind cannot be \"KIND_TPU\" (it is one of: KIND_AUTO KIND_GPU "
           "KIND_CPU KIND_MODEL)");
    refuse(
        "sequence_batching { max_sequence_idle_microseconds: 5 }",
        "config.pbtxt: line 1, column 1: sequence_batching is not supported (sequences are not served; remove it, or keep the "
        "state in the client)");
    refuse("input { name: 'x' data_type: TYPE_FP32 }",
           "config.pbtxt: line 1, column 1: 'x' has no dims (add dims: [ ... ]; for a scalar "
           "dims: [ 1 ] and reshape: { shape: [ ] })");
    refuse(
        "max_batch_size: 4 dynamic_batching { preferred_batch_size: 5 }",
        "config.pbtxt: line 1, column 60: dynamic batching preferred size must be from 1 to max_batch_size 4, not 5");
    refuse("input { name: 'x' data_type: TYPE_FP32 dims: 4 reshape { shape: [3] } }",
           "config.pbtxt: line 1, column 1: 'x' cannot be reshaped (dims and reshape need the same number of elements, "
           "and of -1)");
}

static const sw_serve_backend backend = {.name = "slipway", .platform = "onnxruntime_onnx"};

SW_TEST(serve_config_is_completed_from_the_model) {
    const sw__source *from = source();
    sw__message *message = sw__message_create(arena, &sw__model_config);
    sw_serve_port in = {.name = "images", .dtype = SW_F32, .rank = 4, .dims = {-1, 3, -1, -1}};
    sw_serve_port out = {.name = "score", .dtype = SW_F32, .rank = 1, .dims = {-1}};
    sw_serve_nature nature = {.n_inputs = 1, .n_outputs = 1, .inputs = &in, .outputs = &out, .batchable = true};
    sw__config c;
    CHECK_INT(sw__config_complete(message, from, "net", &backend, &nature, 4, true), SW_OK);
    CHECK_INT(sw__config_read(message, from, &c), SW_OK);
    CHECK_INT(sw__config_match(&c, from, &nature), SW_OK);
    CHECK_STR(c.name, "net");
    CHECK_STR(c.platform, "onnxruntime_onnx");
    CHECK_INT(c.max_batch, 4);
    CHECK(c.batching.on);
    CHECK_INT(c.inputs[0].rank, 3);
    CHECK(c.outputs[0].reshaped && c.outputs[0].rank == 1 && c.outputs[0].inner_rank == 0);
    CHECK_INT(c.versions.latest, 1);

    nature.batchable = false;
    in.dims[0] = 1;
    message = sw__message_create(arena, &sw__model_config);
    CHECK_INT(sw__config_complete(message, from, "net", &backend, &nature, 4, true), SW_OK);
    CHECK_INT(sw__config_read(message, from, &c), SW_OK);
    CHECK_INT(c.max_batch, 0);
    CHECK_INT(c.inputs[0].rank, 4);
    CHECK(!c.batching.on);
    CHECK_INT(parse("dynamic_batching { default_queue_policy { max_queue_size: 3 } }", from, &message), SW_OK);
    CHECK_INT(sw__config_read(message, from, &c), SW_OK); /* no batches, but a queue */
    CHECK(!c.batching.on && c.batching.policies[1].max_size == 3);
}

/* The configuration `text` must not fit a model with input images [1,3,8,8] and output y [1,2]. */
static void mismatch(const char *text, const char *expected) {
    const sw__source *from = source();
    sw_serve_port in = {.name = "images", .dtype = SW_F32, .rank = 4, .dims = {1, 3, 8, 8}};
    sw_serve_port out = {.name = "y", .dtype = SW_F32, .rank = 2, .dims = {1, 2}};
    sw_serve_nature nature = {.n_inputs = 1, .n_outputs = 1, .inputs = &in, .outputs = &out};
    sw__message *message;
    sw__config c;
    CHECK_INT(parse(text, from, &message), SW_OK);
    CHECK_INT(sw__config_complete(message, from, "net", &backend, &nature, 4, true), SW_OK);
    CHECK_INT(sw__config_read(message, from, &c), SW_OK);
    CHECK_INT(sw__config_match(&c, from, &nature), SW_E_MODEL);
    CHECK_STR(sw_test_message(), expected);
}

SW_TEST(serve_config_must_fit_the_model) {
    mismatch("input { name: 'image' data_type: TYPE_FP32 dims: [1, 3, 8, 8] }",
             "config.pbtxt: unexpected inference input 'image', allowed inputs are: images");
    mismatch(
        "input { name: 'images' data_type: TYPE_FP16 dims: [1, 3, 8, 8] }",
        "config.pbtxt: model 'net': input 'images' is of data type FP16 in the configuration, but FP32 in the model");
    mismatch("input { name: 'images' data_type: TYPE_FP32 dims: [3, 8, 8] }",
             "config.pbtxt: model 'net': input 'images' is [1,3,8,8] in the model, but [3,8,8] in the configuration "
             "(max_batch_size is 0: dims are all dims)");
    mismatch("max_batch_size: 8",
             "config.pbtxt: model 'net': max_batch_size is 8, but the first dim of input 'images' is fixed at 1 (set "
             "max_batch_size: 0 and give all dims, or export the model with an open batch)");
}
