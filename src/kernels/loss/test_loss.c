#include "kernels/test_run.h"

static const float logs[] = {-1, -2, -3, -4, -5, -6};
static const int64_t classes[] = {2, 0};

SW_TEST(negative_log_likelihood_by_hand) {
    static const float weights[] = {1, 0, 3};
    test_call t;
    test_call_init(&t, SW_OP_NegativeLogLikelihoodLoss, 1);
    test_call_input(&t, TEST_F32(logs, 2, 3));
    test_call_input(&t, TEST_I64(classes, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, 0, NULL));
    CHECK(test_call_values(&t, 0, TEST_VALUES(3.5), 1e-6));
    test_call_free(&t);
    test_call_string(&t, "reduction", "none");
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 4), 0));
    test_call_free(&t);
    test_call_input(&t, TEST_F32(weights, 3));
    test_call_string(&t, "reduction", "mean");
    CHECK_INT(test_call_run(&t), SW_OK); /* (9 + 4) / 4 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(3.25), 1e-6));
    test_call_free(&t);
    test_call_int(&t, "ignore_index", 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(4), 1e-6));
    test_call_free(&t);
    static const int64_t beyond[] = {0, 3};
    t.x[1].data = (void *)(uintptr_t)beyond;
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
    test_call_string(&t, "reduction", "max");
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(softmax_cross_entropy_by_hand) {
    static const float scores[] = {0, 1.0986123f, 0, 1.0986123f}; /* 1 x 2 classes x 2 places: 1/2 1/2, 3/4 ... */
    static const int32_t target[] = {0, 1};
    test_call t;
    test_call_init(&t, SW_OP_SoftmaxCrossEntropyLoss, 2);
    test_call_input(&t, TEST_F32(scores, 1, 2, 2));
    test_call_input(&t, test_tensor(SW_I32, TEST_DIMS(1, 2), target));
    test_call_string(&t, "reduction", "sum");
    CHECK_INT(test_call_run(&t), SW_OK); /* both places hold equal scores: log 2 each */
    CHECK(test_call_values(&t, 0, TEST_VALUES(1.3862944), 1e-6));
    CHECK(test_call_values(&t, 1, TEST_VALUES(-0.6931472, -0.6931472, -0.6931472, -0.6931472), 1e-6));
    test_call_free(&t);
}
