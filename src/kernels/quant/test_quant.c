#include <math.h>

#include "kernels/test_run.h"

SW_TEST(quantize_rounds_and_saturates) {
    static const float x[] = {0, 1, 3, 5, -600, 600, NAN}, scale[] = {2};
    static const int8_t zero[] = {1};
    test_call t;
    test_call_init(&t, SW_OP_QuantizeLinear, 1);
    test_call_input(&t, TEST_F32(x, 7));
    test_call_input(&t, test_tensor(SW_F32, 0, NULL, scale));
    test_call_input(&t, test_tensor(SW_I8, 0, NULL, zero));
    CHECK_INT(test_call_run(&t), SW_OK); /* halves to even */
    CHECK(test_call_gives(&t, 0, SW_I8, TEST_DIMS(7)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, 3, 3, -128, 127, -128), 0));
    test_call_free(&t);
    t.call.n_in = 2;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 2, 2, 0, 255, 0), 0)); /* uint8, zero point 0 */
    test_call_free(&t);
    test_call_int(&t, "output_dtype", 4); /* uint16 */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 2, 2, 0, 300, 0), 0));
    test_call_free(&t);
}

SW_TEST(quantize_by_axis_and_block) {
    static const float x[] = {10, 10, 10, 10, 10, 10}, scale[] = {1, 2, 5, 10};
    test_call t;
    test_call_init(&t, SW_OP_QuantizeLinear, 1);
    test_call_input(&t, TEST_F32(x, 2, 3));
    test_call_input(&t, TEST_F32(scale, 3));
    CHECK_INT(test_call_run(&t), SW_OK); /* axis 1 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(10, 5, 2, 10, 5, 2), 0));
    test_call_free(&t);
    t.x[1] = TEST_F32(scale, 2);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_int(&t, "axis", -2);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(10, 10, 10, 5, 5, 5), 0));
    test_call_free(&t);
    t.x[1] = TEST_F32(scale, 2, 2); /* blocks of two along axis 1, the last one cut off */
    test_call_int(&t, "axis", 1);
    test_call_int(&t, "block_size", 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(10, 10, 5, 2, 2, 1), 0));
    test_call_free(&t);
    test_call_int(&t, "block_size", 3);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(dequantize_by_hand) {
    static const uint8_t x[] = {0, 128, 255}, zero[] = {128};
    static const int32_t sums[] = {-7, 0, 1 << 20};
    static const uint16_t half[] = {0x3800}; /* 0.5 */
    test_call t;
    test_call_init(&t, SW_OP_DequantizeLinear, 1);
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(3), x));
    test_call_input(&t, test_tensor(SW_F16, 0, NULL, half));
    test_call_input(&t, test_tensor(SW_U8, 0, NULL, zero));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F16, TEST_DIMS(3)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(-64, 0, 63.5), 0));
    test_call_free(&t);
    t.x[0] = test_tensor(SW_I32, TEST_DIMS(3), sums);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL); /* another type than the zero point */
    t.call.n_in = 2;
    test_call_int(&t, "output_dtype", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-3.5, 0, 524288), 0));
    test_call_free(&t);
}

SW_TEST(dynamic_quantize_by_hand) {
    static const float x[] = {-1, 0, 1.55f}, zeros[] = {0, 0};
    test_call t;
    test_call_init(&t, SW_OP_DynamicQuantizeLinear, 3);
    test_call_input(&t, TEST_F32(x, 3)); /* range 2.55: scale 0.01, zero point 100 */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 100, 255), 0));
    CHECK(test_call_values(&t, 1, TEST_VALUES(0.01), 1e-6));
    CHECK(test_call_values(&t, 2, TEST_VALUES(100), 0));
    test_call_free(&t);
    t.x[0] = TEST_F32(zeros, 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0), 0));
    test_call_free(&t);
}

SW_TEST(matmul_integer_by_hand) {
    static const uint8_t a[] = {1, 2, 3, 255}, a_zero[] = {1, 3};
    static const int8_t b[] = {-128, 2, 1, 0}, b_zero[] = {1, 0};
    test_call t;
    test_call_init(&t, SW_OP_MatMulInteger, 1);
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(2, 2), a));
    test_call_input(&t, test_tensor(SW_I8, TEST_DIMS(2, 2), b));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I32, TEST_DIMS(2, 2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(-126, 2, -129, 6), 0));
    test_call_free(&t);
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(2), a_zero)); /* one a row */
    test_call_input(&t, test_tensor(SW_I8, TEST_DIMS(2), b_zero)); /* one a column */
    CHECK_INT(test_call_run(&t), SW_OK);                           /* rows 0 1 and 0 252; columns -129 0 and 2 0 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 0, 0), 0));
    test_call_free(&t);
    t.x[3] = test_tensor(SW_I8, TEST_DIMS(3), b_zero);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

static const float one[] = {1}, half[] = {0.5f}, quarter[] = {0.25f};
static const uint8_t none[] = {0}, ten[] = {10};

SW_TEST(qlinear_matmul_by_hand) {
    static const uint8_t a[] = {10, 20}, b[] = {3, 200};
    test_call t;
    test_call_init(&t, SW_OP_QLinearMatMul, 1);
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(1, 2), a));
    test_call_input(&t, TEST_F32(half, 1));
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(1), ten));
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(2, 1), b));
    test_call_input(&t, TEST_F32(quarter, 1));
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(1), none));
    test_call_input(&t, TEST_F32(one, 1));
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(1), ten));
    CHECK_INT(test_call_run(&t), SW_OK); /* 10 * 200 / 8 + 10 is above 255 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(255), 0));
    test_call_free(&t);
    static const uint8_t small[] = {3, 100};
    t.x[3].data = (void *)(uintptr_t)small;
    CHECK_INT(test_call_run(&t), SW_OK); /* 10 * 100 / 8 + 10 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(135), 0));
    test_call_free(&t);
}

SW_TEST(conv_integer_by_hand) {
    static const uint8_t x[] = {2, 3, 4, 5}, w[] = {1, 2, 0, 3}, x_zero[] = {1}, w_zero[] = {0, 1};
    test_call t;
    test_call_init(&t, SW_OP_ConvInteger, 1);
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(1, 1, 4), x));
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(2, 1, 2), w));
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(1), x_zero));
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(2), w_zero)); /* kernels 1 2 and -1 2 */
    test_call_ints(&t, "pads", TEST_DIMS(1, 0));
    test_call_ints(&t, "strides", TEST_DIMS(2));
    CHECK_INT(test_call_run(&t), SW_OK); /* windows (pad, 1), (2, 3) */
    CHECK(test_call_gives(&t, 0, SW_I32, TEST_DIMS(1, 2, 2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 8, 2, 4), 0));
    test_call_free(&t);
    test_call_int(&t, "group", 2);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(qlinear_conv_by_hand) {
    static const uint8_t x[] = {12, 14, 16};
    static const int8_t w[] = {1, 2}, w_zero[] = {0, 0};
    static const float scales[] = {1, 0.5f};
    static const int32_t bias[] = {4, -100};
    test_call t;
    test_call_init(&t, SW_OP_QLinearConv, 1);
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(1, 1, 3), x));
    test_call_input(&t, test_tensor(SW_F32, 0, NULL, half));
    test_call_input(&t, test_tensor(SW_U8, 0, NULL, ten));
    test_call_input(&t, test_tensor(SW_I8, TEST_DIMS(2, 1, 1), w));
    test_call_input(&t, TEST_F32(scales, 2)); /* one a channel */
    test_call_input(&t, test_tensor(SW_I8, TEST_DIMS(2), w_zero));
    test_call_input(&t, test_tensor(SW_F32, 0, NULL, quarter));
    test_call_input(&t, test_tensor(SW_U8, 0, NULL, ten));
    test_call_input(&t, test_tensor(SW_I32, TEST_DIMS(2), bias));
    CHECK_INT(test_call_run(&t), SW_OK); /* (2 4 6 + 4) * 2 + 10; (4 8 12 - 100) * 1 + 10 */
    CHECK(test_call_gives(&t, 0, SW_U8, TEST_DIMS(1, 2, 3)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(22, 26, 30, 0, 0, 0), 0));
    test_call_free(&t);
}
