#include <math.h>

#include "kernels/test_run.h"

SW_TEST(softmax_lanes) {
    static const float x[] = {0, 1000, 0, 1000, 0, 1000};
    test_call t;
    test_call_init(&t, SW_OP_Softmax, 1);
    test_call_input(&t, TEST_F32(x, 1, 3, 2));
    test_call_int(&t, "axis", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    double third = 1.0 / 3;
    CHECK(test_call_values(&t, 0, TEST_VALUES(third, third, third, third, third, third), 1e-7));
    test_call_free(&t);
    test_call_int(&t, "axis", -1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 0, 1, 0, 1), 1e-7));
    test_call_free(&t);
    test_call_int(&t, "axis", 1);
    test_call_int(&t, "to_end", 1); /* all six together */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, third, 0, third, 0, third), 1e-7));
    test_call_free(&t);
}

SW_TEST(softmax_log_and_hard) {
    static const float x[] = {1, 3, 3, 1};
    test_call t;
    test_call_init(&t, SW_OP_LogSoftmax, 1);
    test_call_input(&t, TEST_F32(x, 2, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    double small = -log(1 + exp(2)), large = -log(1 + exp(-2));
    CHECK(test_call_values(&t, 0, TEST_VALUES(small, large, large, small), 1e-6));
    test_call_free(&t);
    test_call_init(&t, SW_OP_Hardmax, 1);
    test_call_input(&t, TEST_F32(x, 1, 4));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 0, 0), 0));
    test_call_free(&t);
    t.x[0] = TEST_F32(x, 0, 4);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK_INT(sw_tensor_count(&t.y[0]), 0);
    test_call_free(&t);
    t.x[0].dtype = SW_I32;
    CHECK_INT(test_call_run(&t), SW_E_UNSUPPORTED);
    test_call_free(&t);
}
