#include "kernels/test_run.h"

/* Boxes 0 and 1 overlap by a half, 2 lies apart; 3 is 0 with its corners swapped. */
static const float boxes[] = {0, 0, 1, 3, 0, 1, 1, 4, 5, 5, 6, 6, 1, 3, 0, 0};
static const float scores[] = {0.5f, 0.9f, 0.7f, 0.5f};

static void start(test_call *t, const int64_t *most, const float *iou, const float *score) {
    test_call_init(t, SW_OP_NonMaxSuppression, 1);
    test_call_input(t, TEST_F32(boxes, 1, 4, 4));
    test_call_input(t, TEST_F32(scores, 1, 1, 4));
    test_call_input(t, TEST_I64(most, 1));
    test_call_input(t, TEST_F32(iou, 1));
    test_call_input(t, TEST_F32(score, 1));
}

SW_TEST(non_max_suppression_by_hand) {
    static const int64_t most[] = {9}, two[] = {2};
    static const float loose[] = {0.6f}, tight[] = {0.4f}, low[] = {0}, high[] = {0.7f};
    test_call t;
    start(&t, most, loose, low); /* the overlap of 0 and 1 is exactly one half of the union */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(3, 3)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1, 0, 0, 2, 0, 0, 0), 0));
    test_call_free(&t);
    start(&t, most, tight, low);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1, 0, 0, 2), 0));
    test_call_free(&t);
    start(&t, two, loose, low);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1, 0, 0, 2), 0));
    test_call_free(&t);
    start(&t, most, loose, high); /* above, not at, the threshold */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1), 0));
    test_call_free(&t);
    t.call.n_in = 2; /* no count: none */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(0, 3)));
    test_call_free(&t);
}

SW_TEST(non_max_suppression_of_centers) {
    static const float centers[] = {1, 1, 2, 2, 1.5f, 1, 2, 2}, both[] = {1, 2, 3, 1};
    static const int64_t most[] = {1};
    test_call t;
    test_call_init(&t, SW_OP_NonMaxSuppression, 1);
    test_call_input(&t, TEST_F32(centers, 1, 2, 4));
    test_call_input(&t, TEST_F32(both, 1, 2, 2));
    test_call_input(&t, TEST_I64(most, 1));
    test_call_int(&t, "center_point_box", 1);
    CHECK_INT(test_call_run(&t), SW_OK); /* one a class */
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1, 0, 1, 0), 0));
    test_call_free(&t);
    t.x[1].dims[2] = 3;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
