#include "kernels/test_run.h"

static sw_status power(test_call *t, sw_tensor base, sw_tensor exponent) {
    test_call_init(t, SW_OP_Pow, 1);
    test_call_input(t, base);
    test_call_input(t, exponent);
    return test_call_run(t);
}

SW_TEST(pow_of_mixed_types) {
    const float x[3] = {2, 3, -2}, half[1] = {0.5f};
    const int64_t e[3] = {3, -1, 2};
    const int32_t i[4] = {3, -1, 0, 1}, n[4] = {4, -3, -1, -9}, nine[2] = {9, 2};
    test_call t;
    CHECK_INT(power(&t, TEST_F32(x, 3), TEST_I64(e, 3)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(8, 1.0 / 3, 4), 1e-6));
    test_call_free(&t);
    CHECK_INT(power(&t, test_tensor(SW_I32, TEST_DIMS(4), i), test_tensor(SW_I32, TEST_DIMS(4), n)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(81, -1, 0, 1), 0));
    test_call_free(&t);
    CHECK_INT(power(&t, test_tensor(SW_I32, TEST_DIMS(2), nine), TEST_F32(half, 1)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 1), 0));
    test_call_free(&t);
}

SW_TEST(pow_of_integers_wraps_around) {
    const int8_t x[2] = {2, -128}, e[2] = {7, 2};
    const uint64_t most[1] = {UINT64_MAX};
    const int64_t minus[1] = {-1};
    test_call t;
    CHECK_INT(power(&t, test_tensor(SW_I8, TEST_DIMS(2), x), test_tensor(SW_I8, TEST_DIMS(2), e)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-128, 0), 0));
    test_call_free(&t);
    CHECK_INT(power(&t, test_tensor(SW_U64, TEST_DIMS(1), most), TEST_I64(minus, 1)), SW_OK);
    CHECK_INT(((const uint64_t *)t.y[0].data)[0], 0);
    test_call_free(&t);
}
