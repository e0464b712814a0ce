#include "kernels/test_run.h"

SW_TEST(shape_and_size_of_a_tensor) {
    test_call t;
    test_call_init(&t, SW_OP_Shape, 1);
    test_call_input(&t, TEST_F32(NULL, 4, 0, 6)); /* needs no data */
    test_call_int(&t, "start", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 6), 0));
    test_call_free(&t);
    test_call_init(&t, SW_OP_Size, 1);
    test_call_input(&t, TEST_F32(NULL, 4, 5));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(20), 0));
    test_call_free(&t);
}

SW_TEST(constant_of_shape_fills) {
    const int64_t dims[2] = {2, 2};
    const int8_t v[1] = {-7};
    sw_tensor value = test_tensor(SW_I8, TEST_DIMS(1), v);
    test_call t;
    test_call_init(&t, SW_OP_ConstantOfShape, 1);
    test_call_input(&t, TEST_I64(dims, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 0, 0), 0));
    test_call_free(&t);
    test_call_attr(&t, "value", SW_ATTR_TENSOR)->t = &value;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK_INT(t.y[0].dtype, SW_I8);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-7, -7, -7, -7), 0));
    test_call_free(&t);
}

SW_TEST(range_of_integers_and_floats) {
    const int32_t start = 10, limit = 3, delta = -3;
    const float from = 0.5f, to = 2, by = 0.5f;
    test_call t;
    test_call_init(&t, SW_OP_Range, 1);
    test_call_input(&t, test_tensor(SW_I32, 0, NULL, &start));
    test_call_input(&t, test_tensor(SW_I32, 0, NULL, &limit));
    test_call_input(&t, test_tensor(SW_I32, 0, NULL, &delta));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(10, 7, 4), 0));
    test_call_free(&t);
    t.x[0] = test_tensor(SW_F32, 0, NULL, &from);
    t.x[1] = test_tensor(SW_F32, 0, NULL, &to);
    t.x[2] = test_tensor(SW_F32, 0, NULL, &by);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0.5, 1, 1.5), 0));
    test_call_free(&t);
}

SW_TEST(eye_like_diagonals) {
    test_call t;
    test_call_init(&t, SW_OP_EyeLike, 1);
    test_call_input(&t, TEST_F32(NULL, 2, 3));
    test_call_int(&t, "dtype", 10);
    test_call_int(&t, "k", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 0, 0, 0, 1), 0));
    test_call_free(&t);
    test_call_int(&t, "k", -1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 0, 1, 0, 0), 0));
    test_call_free(&t);
    test_call_int(&t, "k", INT64_MIN);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 0, 0, 0, 0), 0));
    test_call_free(&t);
}

SW_TEST(one_hot_positions) {
    const int64_t i[3] = {1, -1, 3}, depth = 3;
    const float values[2] = {-1, 5};
    test_call t;
    test_call_init(&t, SW_OP_OneHot, 1);
    test_call_input(&t, TEST_I64(i, 3));
    test_call_input(&t, test_tensor(SW_I64, 0, NULL, &depth));
    test_call_input(&t, TEST_F32(values, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-1, 5, -1, -1, -1, 5, -1, -1, -1), 0));
    test_call_free(&t);
    test_call_int(&t, "axis", 0);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-1, -1, -1, 5, -1, -1, -1, 5, -1), 0));
    test_call_free(&t);
}

SW_TEST(non_zero_tells_its_size) {
    const float x[6] = {0, 3, -0.0f, -1, 0, 2};
    test_call t;
    test_call_init(&t, SW_OP_NonZero, 1);
    test_call_input(&t, TEST_F32(x, 2, 3));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(2, 3)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 1, 1, 0, 2), 0));
    test_call_free(&t);
}
