#include "kernels/test_run.h"

SW_TEST(gemm_by_hand) {
    static const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, 2, -1}, c[] = {10, 20};
    test_call t;
    test_call_init(&t, SW_OP_Gemm, 1);
    test_call_input(&t, TEST_F32(a, 3, 2));
    test_call_input(&t, TEST_F32(b, 2, 2));
    test_call_input(&t, TEST_F32(c, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(15, 18, 21, 16, 27, 14), 0));
    test_call_free(&t);
    test_call_float(&t, "alpha", 2);
    test_call_float(&t, "beta", 0.5f);
    test_call_int(&t, "transA", 1);
    test_call_int(&t, "transB", 1);
    t.x[0] = TEST_F32(a, 2, 3); /* as 3 x 2: 1 4, 2 5, 3 6; b as 1 2, 0 -1 */
    t.x[2] = TEST_F32(c, 1, 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(7, 6, 9, 8, 11, 10), 0));
    test_call_free(&t);
    t.x[2] = TEST_F32(a, 3, 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2.5, -3.5, 5, -1, 7.5, 1.5), 0));
    test_call_free(&t);
}

SW_TEST(matmul_batches) {
    static const int32_t a[] = {1, 2, 3, 4}, b[] = {1, 0, 0, 1, 0, 1, 1, 0};
    test_call t;
    test_call_init(&t, SW_OP_MatMul, 1);
    test_call_input(&t, test_tensor(SW_I32, TEST_DIMS(1, 2, 2), a));
    test_call_input(&t, test_tensor(SW_I32, TEST_DIMS(2, 2, 2), b));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, 3, 4, 2, 1, 4, 3), 0));
    test_call_free(&t);
    t.x[0] = test_tensor(SW_I32, TEST_DIMS(2), a);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, 2, 1), 0));
    test_call_free(&t);
    t.x[1] = test_tensor(SW_I32, TEST_DIMS(2), a + 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(11), 0));
    CHECK_INT(t.y[0].rank, 0);
    test_call_free(&t);
}

SW_TEST(matmul_integers_wrap) {
    static const int8_t a[] = {100, 100}, b[] = {2, 1};
    test_call t;
    test_call_init(&t, SW_OP_MatMul, 1);
    test_call_input(&t, test_tensor(SW_I8, TEST_DIMS(1, 2), a));
    test_call_input(&t, test_tensor(SW_I8, TEST_DIMS(2, 1), b));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(300 - 256), 0));
    test_call_free(&t);
    t.x[0].dtype = t.x[1].dtype = SW_BOOL;
    CHECK_INT(test_call_run(&t), SW_E_UNSUPPORTED);
    test_call_free(&t);
}

SW_TEST(matmul_empty_inner_axis) {
    test_call t;
    test_call_init(&t, SW_OP_MatMul, 1);
    test_call_input(&t, TEST_F32(NULL, 2, 0));
    test_call_input(&t, TEST_F32(NULL, 0, 1));
    float none = 0;
    t.x[0].data = t.x[1].data = &none;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0), 0));
    test_call_free(&t);
}

SW_TEST(det_by_hand) {
    static const float x[] = {0, 2, 3, 4, 1, 2, 2, 4};
    test_call t;
    test_call_init(&t, SW_OP_Det, 1);
    test_call_input(&t, TEST_F32(x, 2, 2, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(-6, 0), 1e-6));
    test_call_free(&t);
    t.x[0] = TEST_F32(x, 2, 4);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
