#include "base/pb.h"
#include "serve/grpc/messages.h"
#include "unit.h"

/* A request with one input "a" of four elements in typed contents, all in field `number` of the contents. */
static void make_request(const char *type, uint32_t number, const void *packed, size_t size, sw_buf *out) {
    sw_buf input = sw_buf_make(NULL, 0), contents = sw_buf_make(NULL, 0);
    sw_pb_put_bytes(&contents, number, packed, size);
    sw_pb_put_text(&input, 1, "a");
    sw_pb_put_text(&input, 2, type);
    sw_pb_put_varint(&input, 3, 4);
    sw_pb_put_bytes(&input, 5, contents.data, contents.size);
    sw_pb_put_text(out, 1, "m");
    sw_pb_put_text(out, 2, "7");
    sw_pb_put_bytes(out, 5, input.data, input.size);
    sw_buf_free(&input);
    sw_buf_free(&contents);
}

static void check_contents(const char *type, uint32_t number, const void *packed, size_t size, const void *want,
                           size_t n) {
    sw_buf message = sw_buf_make(NULL, 0);
    sw_kserve_request k = {.max_bytes = 1 << 20};
    sw_serve_error error = {0};
    const char *model, *version;
    make_request(type, number, packed, size, &message);
    CHECK_INT(sw_grpc_read_infer(&k, message.data, message.size, &model, &version, &error),
              want ? SW_SERVE_OK : SW_SERVE_INVALID_ARG);
    if (want && error.code == SW_SERVE_OK) {
        CHECK_STR(model, "m");
        CHECK_STR(version, "7");
        CHECK_INT(k.request.inputs[0].bytes, n);
        CHECK(!memcmp(k.request.inputs[0].data, want, n));
    }
    sw_kserve_free(&k);
    sw_buf_free(&message);
}

SW_TEST(grpc_typed_contents) {
    static const uint8_t small[] = {0, 1, 2, 127};
    static const uint8_t minus[] = {0, 1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}; /* -1 as int32 */
    static const uint8_t big[] = {0, 1, 2, 0x80, 2};                                                   /* 256 */
    static const float f[] = {0, 1, 2, -0.5f};
    static const double d[] = {0, 1, 2, -0.5};
    check_contents("BOOL", 1, small, 4, "\0\1\1\1", 4);
    check_contents("INT8", 2, small, 4, small, 4);
    check_contents("INT8", 2, minus, sizeof minus, "\0\1\2\xff", 4);
    check_contents("INT8", 2, big, sizeof big, NULL, 0);
    check_contents("INT16", 2, big, sizeof big, (const int16_t[]){0, 1, 2, 256}, 8);
    check_contents("INT32", 2, minus, sizeof minus, (const int32_t[]){0, 1, 2, -1}, 16);
    check_contents("INT64", 3, minus, sizeof minus, (const int64_t[]){0, 1, 2, -1}, 32);
    check_contents("UINT8", 4, small, 4, small, 4);
    check_contents("UINT8", 4, big, sizeof big, NULL, 0);
    check_contents("UINT32", 4, big, sizeof big, (const uint32_t[]){0, 1, 2, 256}, 16);
    check_contents("UINT64", 5, big, sizeof big, (const uint64_t[]){0, 1, 2, 256}, 32);
    check_contents("FP32", 6, f, sizeof f, f, sizeof f);
    check_contents("FP64", 7, d, sizeof d, d, sizeof d);
    check_contents("FP32", 7, d, sizeof d, NULL, 0); /* the field of another type */
    check_contents("FP16", 6, f, sizeof f, NULL, 0);
    check_contents("FP32", 6, f, sizeof f - 4, NULL, 0);
    check_contents("FP99", 6, f, sizeof f, NULL, 0);
}

SW_TEST(grpc_raw_contents_must_match_the_inputs) {
    static const float f[4] = {1, 2, 3, 4};
    for (int raws = 0; raws < 3; raws++) {
        sw_buf message = sw_buf_make(NULL, 0), input = sw_buf_make(NULL, 0);
        sw_kserve_request k = {.max_bytes = 1 << 20};
        sw_serve_error error = {0};
        const char *model, *version;
        sw_pb_put_text(&input, 1, "a");
        sw_pb_put_text(&input, 2, "FP32");
        sw_pb_put_varint(&input, 3, 4);
        for (int i = 0; i < raws; i++)
            sw_pb_put_bytes(&message, 7, f, sizeof f); /* before the input, which is allowed */
        sw_pb_put_bytes(&message, 5, input.data, input.size);
        sw_serve_code code = sw_grpc_read_infer(&k, message.data, message.size, &model, &version, &error);
        CHECK_INT(code, raws == 1 ? SW_SERVE_OK : SW_SERVE_INVALID_ARG);
        if (raws == 1) CHECK(!memcmp(k.request.inputs[0].data, f, sizeof f));
        sw_kserve_free(&k);
        sw_buf_free(&message);
        sw_buf_free(&input);
    }
}

SW_TEST(grpc_broken_messages) {
    sw_buf message = sw_buf_make(NULL, 0);
    static const float f[4] = {1, 2, 3, 4};
    make_request("FP32", 6, f, sizeof f, &message);
    for (size_t n = 0; n < message.size; n++) { /* every truncation is an answer, or another request */
        sw_kserve_request k = {.max_bytes = 1 << 20};
        sw_serve_error error = {0};
        const char *model, *version;
        uint8_t *copy = sw_alloc(NULL, n ? n : 1);
        memcpy(copy, message.data, n);
        sw_serve_code code = sw_grpc_read_infer(&k, copy, n, &model, &version, &error);
        CHECK(code == SW_SERVE_OK || ((code == SW_SERVE_INVALID_ARG || code == SW_SERVE_INTERNAL) && *error.text));
        sw_kserve_free(&k);
        sw_free(NULL, copy);
    }
    sw_buf_free(&message);
}
