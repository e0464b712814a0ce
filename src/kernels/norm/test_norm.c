#include "kernels/test_run.h"

SW_TEST(batch_norm_by_hand) {
    static const float x[] = {1, 2, 3, 4}, scale[] = {2, 1}, shift[] = {0, 10}, mean[] = {1, 3}, var[] = {3, 0};
    test_call t;
    test_call_init(&t, SW_OP_BatchNormalization, 1);
    test_call_input(&t, TEST_F32(x, 1, 2, 2));
    test_call_input(&t, TEST_F32(scale, 2));
    test_call_input(&t, TEST_F32(shift, 2));
    test_call_input(&t, TEST_F32(mean, 2));
    test_call_input(&t, TEST_F32(var, 2));
    test_call_float(&t, "epsilon", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 10, 11), 1e-6));
    test_call_free(&t);
}

SW_TEST(instance_norm_by_hand) {
    static const float x[] = {1, 3, 5, 5}, scale[] = {2, 1}, shift[] = {0, 10};
    test_call t;
    test_call_init(&t, SW_OP_InstanceNormalization, 1);
    test_call_input(&t, TEST_F32(x, 1, 2, 2));
    test_call_input(&t, TEST_F32(scale, 2));
    test_call_input(&t, TEST_F32(shift, 2));
    test_call_float(&t, "epsilon", 3);
    CHECK_INT(test_call_run(&t), SW_OK); /* variance 1, and 1 + 3 has the root 2 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(-1, 1, 10, 10), 1e-6));
    test_call_free(&t);
    t.x[1].dims[0] = 1;
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
}

SW_TEST(layer_norm_by_hand) {
    static const float x[] = {1, 3, 3, 5, 2, 2, 2, 2}, scale[] = {1, 2}, shift[] = {1};
    test_call t;
    test_call_init(&t, SW_OP_LayerNormalization, 3);
    test_call_input(&t, TEST_F32(x, 2, 2, 2));
    test_call_input(&t, TEST_F32(scale, 2)); /* broadcasts over axis 1 */
    test_call_input(&t, TEST_F32(shift, 1));
    test_call_int(&t, "axis", 1);
    test_call_float(&t, "epsilon", 2);
    CHECK_INT(test_call_run(&t), SW_OK); /* mean 3, variance 2 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 1, 3, 1, 1, 1, 1), 1e-6));
    CHECK(test_call_values(&t, 1, TEST_VALUES(3, 2), 1e-6));
    CHECK(test_call_values(&t, 2, TEST_VALUES(0.5, 0.70710678), 1e-6));
    CHECK_INT(t.y[1].rank, 3);
    test_call_free(&t);
}

SW_TEST(rms_norm_by_hand) {
    static const float x[] = {3, 4, 0, 0}, scale[] = {1, 2};
    test_call t;
    test_call_init(&t, SW_OP_RMSNormalization, 1);
    test_call_input(&t, TEST_F32(x, 2, 2));
    test_call_input(&t, TEST_F32(scale, 2));
    test_call_float(&t, "epsilon", 0.14f); /* 12.5 + 0.14 is the square of 3.5552778 */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0.8438148, 2.2501728, 0, 0), 1e-5));
    test_call_free(&t);
}

SW_TEST(lp_norm_by_hand) {
    static const float x[] = {3, -4, 0, 0};
    test_call t;
    test_call_init(&t, SW_OP_LpNormalization, 1);
    test_call_input(&t, TEST_F32(x, 2, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0.6, -0.8, 0, 0), 1e-6));
    test_call_free(&t);
    test_call_int(&t, "p", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3.0 / 7, -4.0 / 7, 0, 0), 1e-6));
    test_call_free(&t);
    test_call_int(&t, "axis", 0);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, -1, 0, 0), 0));
    test_call_free(&t);
    test_call_int(&t, "p", 3);
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
}

SW_TEST(lrn_by_hand) {
    static const float x[] = {1, 2, 3};
    test_call t;
    test_call_init(&t, SW_OP_LRN, 1);
    test_call_input(&t, TEST_F32(x, 1, 3, 1));
    test_call_int(&t, "size", 2); /* a channel and the one behind it */
    test_call_float(&t, "alpha", 2);
    test_call_float(&t, "beta", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1.0 / 6, 2.0 / 14, 3.0 / 10), 1e-6));
    test_call_free(&t);
    test_call_int(&t, "size", 0);
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
}
