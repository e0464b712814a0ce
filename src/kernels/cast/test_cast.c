#include <math.h>

#include "kernels/test_run.h"

static sw_status cast(test_call *t, sw_tensor x, int64_t onnx_type) {
    test_call_init(t, SW_OP_Cast, 1);
    test_call_input(t, x);
    test_call_int(t, "to", onnx_type);
    return test_call_run(t);
}

SW_TEST(cast_floats_to_integers) {
    const float x[7] = {-1.9f, 2.9f, 300, 3e9f, -3e9f, NAN, INFINITY};
    test_call t;
    CHECK_INT(cast(&t, TEST_F32(x, 7), 6), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-1, 2, 300, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN), 0));
    test_call_free(&t);
    CHECK_INT(cast(&t, TEST_F32(x, 7), 2), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(255, 2, 44, 0, 0, 0, 0), 0));
    test_call_free(&t);
    CHECK_INT(cast(&t, TEST_F32(x, 7), 12), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(4294967295, 2, 300, 3e9, 1294967296, 0, 0), 0));
    test_call_free(&t);
    CHECK_INT(cast(&t, TEST_F32(x, 7), 9), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, 1, 1, 1, 1, 1), 0));
    test_call_free(&t);
    const double big[3] = {0x1p63, 18446744073709549568.0, 0x1p64};
    CHECK_INT(cast(&t, test_tensor(SW_F64, TEST_DIMS(3), big), 13), SW_OK);
    const uint64_t *y = t.y[0].data;
    CHECK(y[0] == (uint64_t)1 << 63 && y[1] == 18446744073709549568u && y[2] == 0);
    test_call_free(&t);
}

SW_TEST(cast_to_floats) {
    const double x[5] = {65504, 65520, -1e300, 0.1, 5.9604644775390625e-8};
    test_call t;
    CHECK_INT(cast(&t, test_tensor(SW_F64, TEST_DIMS(5), x), 10), SW_OK);
    const uint16_t *half = t.y[0].data;
    CHECK(half[0] == 0x7bff && half[1] == 0x7c00 && half[2] == 0xfc00 && half[3] == 0x2e66 && half[4] == 1);
    test_call_free(&t);
    const uint64_t most[1] = {UINT64_MAX};
    CHECK_INT(cast(&t, test_tensor(SW_U64, TEST_DIMS(1), most), 1), SW_OK);
    CHECK(((const float *)t.y[0].data)[0] == 0x1p64f);
    test_call_free(&t);
    const int64_t odd[1] = {16777219}; /* needs 25 bits */
    CHECK_INT(cast(&t, TEST_I64(odd, 1), 1), SW_OK);
    CHECK(((const float *)t.y[0].data)[0] == 16777220);
    test_call_free(&t);
}

SW_TEST(cast_between_integers_and_bool) {
    const int32_t x[4] = {-1, 256, 0, 70000};
    const uint8_t flags[2] = {0, 7}; /* any set byte is true */
    test_call t;
    CHECK_INT(cast(&t, test_tensor(SW_I32, TEST_DIMS(4), x), 2), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(255, 0, 0, 112), 0));
    test_call_free(&t);
    CHECK_INT(cast(&t, test_tensor(SW_I32, TEST_DIMS(4), x), 9), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, 0, 1), 0));
    test_call_free(&t);
    CHECK_INT(cast(&t, test_tensor(SW_BOOL, TEST_DIMS(2), flags), 16), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1), 0));
    test_call_free(&t);
}

SW_TEST(cast_to_types_of_four_bits) {
    const float x[6] = {-9.6f, -0.7f, 2.5f, 7.5f, 15.5f, NAN};
    const int8_t whole[3] = {-9, 100, 8};
    test_call t;
    CHECK_INT(cast(&t, TEST_F32(x, 6), 22), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(6, -1, 3, -8, 0, 0), 0)); /* as ONNX Runtime 1.32 */
    test_call_free(&t);
    CHECK_INT(cast(&t, TEST_F32(x, 6), 21), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(6, 15, 3, 8, 0, 0), 0));
    test_call_free(&t);
    CHECK_INT(cast(&t, test_tensor(SW_I8, TEST_DIMS(3), whole), 22), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(7, 4, -8), 0));
    test_call_free(&t);
    CHECK_INT(cast(&t, TEST_F32(x, 6), 23), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-6, -0.5, 2, 6, 6, 0), 0));
    test_call_free(&t);
}

SW_TEST(cast_like_takes_the_second_type) {
    const float x[2] = {1.5f, -2};
    test_call t;
    test_call_init(&t, SW_OP_CastLike, 1);
    test_call_input(&t, TEST_F32(x, 2));
    test_call_input(&t, TEST_I64(NULL, 5));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, -2), 0));
    test_call_free(&t);
}

SW_TEST(bit_cast_by_hand) {
    static const float x[] = {1, -0.0f};
    test_call t;
    test_call_init(&t, SW_OP_BitCast, 1);
    test_call_input(&t, TEST_F32(x, 2));
    test_call_int(&t, "to", 6); /* int32 */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0x3f800000, INT32_MIN), 0));
    test_call_free(&t);
    test_call_int(&t, "to", 7); /* of another size */
    CHECK_INT(test_call_rule(&t), SW_E_UNSUPPORTED);
}
