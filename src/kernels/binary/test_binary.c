#include <math.h>

#include "kernels/test_run.h"

static sw_status two(test_call *t, sw_op op, sw_tensor a, sw_tensor b) {
    test_call_init(t, op, 1);
    test_call_input(t, a);
    test_call_input(t, b);
    return test_call_run(t);
}

SW_TEST(binary_broadcasts) {
    const float a[6] = {1, 2, 3, 4, 5, 6}, row[3] = {10, 20, 30}, column[2] = {100, 200}, one[1] = {2};
    test_call t;
    CHECK_INT(two(&t, SW_OP_Add, TEST_F32(a, 2, 3), TEST_F32(row, 3)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(11, 22, 33, 14, 25, 36), 0));
    test_call_free(&t);
    CHECK_INT(two(&t, SW_OP_Sub, TEST_F32(column, 2, 1), TEST_F32(a, 2, 3)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(99, 98, 97, 196, 195, 194), 0));
    test_call_free(&t);
    CHECK_INT(two(&t, SW_OP_Mul, TEST_F32(one, 1), TEST_F32(a, 6)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 4, 6, 8, 10, 12), 0));
    test_call_free(&t);
    CHECK_INT(two(&t, SW_OP_Div, TEST_F32(row, 3), TEST_F32(column, 2, 1)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0.1, 0.2, 0.3, 0.05, 0.1, 0.15), 1e-7));
    test_call_free(&t);
    CHECK_INT(two(&t, SW_OP_Add, TEST_F32(a, 0, 3), TEST_F32(row, 3)), SW_OK);
    CHECK_INT(sw_tensor_count(&t.y[0]), 0);
    test_call_free(&t);
}

SW_TEST(binary_middle_axis_over_a_pool) {
    enum { N = 3, C = 5, W = 2000 };
    static float a[N * C * W];
    float b[C];
    for (int i = 0; i < N * C * W; i++) a[i] = (float)i;
    for (int i = 0; i < C; i++) b[i] = (float)(1000 * i);
    test_call t;
    test_call_init(&t, SW_OP_Add, 1);
    test_call_input(&t, TEST_F32(a, N, C, W));
    test_call_input(&t, TEST_F32(b, C, 1));
    t.call.pool = sw_pool_create(NULL, 3);
    CHECK_INT(test_call_run(&t), SW_OK);
    for (int i = 0; i < N * C * W; i++) CHECK_INT(((const float *)t.y[0].data)[i], i + 1000 * (i / W % C));
    test_call_free(&t);
    sw_pool_destroy(t.call.pool);
}

SW_TEST(binary_integers_are_defined_everywhere) {
    const int32_t a[6] = {7, -7, INT32_MIN, 5, INT32_MAX, -7}, b[6] = {2, 2, -1, 0, 1, -3};
    test_call t;
    sw_tensor x = test_tensor(SW_I32, TEST_DIMS(6), a), y = test_tensor(SW_I32, TEST_DIMS(6), b);
    CHECK_INT(two(&t, SW_OP_Div, x, y), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, -3, INT32_MIN, 0, INT32_MAX, 2), 0));
    test_call_free(&t);
    CHECK_INT(two(&t, SW_OP_Add, x, y), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(9, -5, INT32_MAX, 5, INT32_MIN, -10), 0));
    test_call_free(&t);
    CHECK_INT(two(&t, SW_OP_Mod, x, y), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, 0, 0, 0, -1), 0));
    test_call_free(&t);
    test_call_int(&t, "fmod", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, -1, 0, 0, 0, -1), 0));
    test_call_free(&t);
    const uint16_t u[2] = {65535, 3};
    x = test_tensor(SW_U16, TEST_DIMS(2), u);
    CHECK_INT(two(&t, SW_OP_Mul, x, x), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 9), 0));
    test_call_free(&t);
}

SW_TEST(binary_bits) {
    const uint8_t a[4] = {1, 0x81, 255, 3}, b[4] = {7, 1, 8, 255};
    test_call t;
    sw_tensor x = test_tensor(SW_U8, TEST_DIMS(4), a), y = test_tensor(SW_U8, TEST_DIMS(4), b);
    CHECK_INT(two(&t, SW_OP_BitShift, x, y), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(128, 2, 0, 0), 0));
    test_call_free(&t);
    test_call_string(&t, "direction", "RIGHT");
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 64, 0, 0), 0));
    test_call_free(&t);
    CHECK_INT(two(&t, SW_OP_BitwiseXor, x, y), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(6, 128, 247, 252), 0));
    test_call_free(&t);
    const float f[1] = {1};
    CHECK_INT(two(&t, SW_OP_BitwiseAnd, TEST_F32(f, 1), TEST_F32(f, 1)), SW_E_UNSUPPORTED);
    test_call_free(&t);
}

SW_TEST(binary_float_mod_and_prelu) {
    const float a[3] = {-5.5f, 5.5f, -4}, b[3] = {3, -3, 0.25f};
    test_call t;
    CHECK_INT(two(&t, SW_OP_Mod, TEST_F32(a, 3), TEST_F32(b, 3)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0.5, -0.5, 0), 0));
    test_call_free(&t);
    CHECK_INT(two(&t, SW_OP_PRelu, TEST_F32(a, 3), TEST_F32(b, 3)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-16.5, 5.5, -1), 0));
    test_call_free(&t);
}

static sw_status four(test_call *t, sw_op op) {
    static const float a[2] = {1, 8}, b[3][1] = {{2}, {4}, {6}}, c[1] = {3}, d[2] = {5, -1};
    test_call_init(t, op, 1);
    test_call_input(t, TEST_F32(a, 2));
    test_call_input(t, TEST_F32(b, 3, 1));
    test_call_input(t, TEST_F32(c, 1));
    test_call_input(t, TEST_F32(d, 2));
    return test_call_run(t);
}

SW_TEST(variadic_over_four_inputs) {
    test_call t;
    CHECK_INT(four(&t, SW_OP_Max), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(5, 8, 5, 8, 6, 8), 0));
    test_call_free(&t);
    CHECK_INT(four(&t, SW_OP_Min), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, -1, 1, -1, 1, -1), 0));
    test_call_free(&t);
    CHECK_INT(four(&t, SW_OP_Sum), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(11, 12, 13, 14, 15, 16), 0));
    test_call_free(&t);
    CHECK_INT(four(&t, SW_OP_Mean), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2.75, 3, 3.25, 3.5, 3.75, 4), 0));
    test_call_free(&t);
    t.call.n_in = 1;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 8), 0));
    test_call_free(&t);
}

SW_TEST(minimum_hands_on_nan) {
    const float a[2] = {NAN, 1}, b[2] = {1, NAN};
    test_call t;
    CHECK_INT(two(&t, SW_OP_Min, TEST_F32(a, 2), TEST_F32(b, 2)), SW_OK);
    CHECK(isnan(((const float *)t.y[0].data)[0]) && isnan(((const float *)t.y[0].data)[1]));
    test_call_free(&t);
}
