#include "kernels/test_run.h"

static sw_status pad(test_call *t, const char *mode, sw_tensor x, int n, const int64_t *pads) {
    test_call_init(t, SW_OP_Pad, 1);
    test_call_input(t, x);
    test_call_input(t, TEST_I64(pads, n));
    test_call_string(t, "mode", mode);
    return test_call_run(t);
}

SW_TEST(pad_modes_in_one_dimension) {
    const float x[3] = {1, 2, 3};
    test_call t;
    CHECK_INT(pad(&t, "constant", TEST_F32(x, 3), TEST_DIMS(2, 1)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1, 2, 3, 0), 0));
    test_call_free(&t);
    CHECK_INT(pad(&t, "edge", TEST_F32(x, 3), TEST_DIMS(2, 1)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, 1, 2, 3, 3), 0));
    test_call_free(&t);
    CHECK_INT(pad(&t, "reflect", TEST_F32(x, 3), TEST_DIMS(5, 2)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 1, 2, 3, 2, 1, 2, 3, 2, 1), 0));
    test_call_free(&t);
    CHECK_INT(pad(&t, "wrap", TEST_F32(x, 3), TEST_DIMS(4, 2)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 1, 2, 3, 1, 2, 3, 1, 2), 0));
    test_call_free(&t);
    CHECK_INT(pad(&t, "constant", TEST_F32(x, 3), TEST_DIMS(-1, 2)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 3, 0, 0), 0));
    test_call_free(&t);
    CHECK_INT(pad(&t, "wrap", TEST_F32(x, 3), TEST_DIMS(-1, 2)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 3, 2, 3), 0));
    test_call_free(&t);
    CHECK_INT(pad(&t, "constant", TEST_F32(x, 3), TEST_DIMS(-4, 3)), SW_OK); /* cuts more than there is */
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0), 0));
    test_call_free(&t);
    CHECK_INT(pad(&t, "constant", TEST_F32(x, 3), TEST_DIMS(INT64_MIN, INT64_MAX)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0), 0));
    test_call_free(&t);
    CHECK_INT(pad(&t, "edge", TEST_F32(x, 3), TEST_DIMS(-4, 3)), SW_E_MODEL);
    test_call_free(&t);
}

SW_TEST(pad_axes_and_value) {
    const uint8_t x[4] = {1, 2, 3, 4}, value = 114;
    const int64_t pads[2] = {1, 0}, axis[1] = {-1};
    test_call t;
    test_call_init(&t, SW_OP_Pad, 1);
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(2, 2), x));
    test_call_input(&t, TEST_I64(pads, 2));
    test_call_input(&t, test_tensor(SW_U8, 0, NULL, &value));
    test_call_input(&t, TEST_I64(axis, 1));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(114, 1, 2, 114, 3, 4), 0));
    test_call_free(&t);
    test_call_string(&t, "mode", "reflect");
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 1, 2, 4, 3, 4), 0));
    test_call_free(&t);
}
