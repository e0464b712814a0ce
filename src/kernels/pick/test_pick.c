#include "kernels/test_run.h"

SW_TEST(unique_elements) {
    static const float x[] = {2, 1, 1, 3, 4, 3};
    test_call t;
    test_call_init(&t, SW_OP_Unique, 4);
    test_call_input(&t, TEST_F32(x, 2, 3));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, 3, 4), 0));
    CHECK(test_call_values(&t, 1, TEST_VALUES(1, 0, 3, 4), 0));
    CHECK(test_call_values(&t, 2, TEST_VALUES(1, 0, 0, 2, 3, 2), 0));
    CHECK(test_call_values(&t, 3, TEST_VALUES(2, 1, 2, 1), 0));
    test_call_free(&t);
    test_call_int(&t, "sorted", 0); /* as they occur */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 1, 3, 4), 0));
    CHECK(test_call_values(&t, 2, TEST_VALUES(0, 1, 1, 2, 3, 2), 0));
    test_call_free(&t);
}

SW_TEST(unique_slices) {
    static const int64_t x[] = {1, 9, 1, 0, 5, 0};
    test_call t;
    test_call_init(&t, SW_OP_Unique, 4);
    test_call_input(&t, TEST_I64(x, 2, 3));
    test_call_int(&t, "axis", -1);
    CHECK_INT(test_call_run(&t), SW_OK); /* columns (1 0) and (9 5) */
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(2, 2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 9, 0, 5), 0));
    CHECK(test_call_values(&t, 2, TEST_VALUES(0, 1, 0), 0));
    test_call_free(&t);
    t.x[0] = TEST_I64(x, 0, 3);
    CHECK_INT(test_call_run(&t), SW_OK); /* three empty columns are one */
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(0, 1)));
    test_call_free(&t);
}

SW_TEST(compress_by_hand) {
    static const float x[] = {1, 2, 3, 4, 5, 6};
    static const uint8_t flags[] = {0, 1, 1, 1, 1, 1, 1};
    test_call t;
    test_call_init(&t, SW_OP_Compress, 1);
    test_call_input(&t, TEST_F32(x, 2, 3));
    test_call_input(&t, test_tensor(SW_BOOL, TEST_DIMS(3), flags));
    CHECK_INT(test_call_run(&t), SW_OK); /* flags may be fewer than elements */
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 3), 0));
    test_call_free(&t);
    test_call_int(&t, "axis", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 3, 5, 6), 0));
    test_call_free(&t);
    t.x[1].dims[0] = 4;
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
}

SW_TEST(reverse_sequence_by_hand) {
    static const int16_t x[] = {1, 2, 3, 4, 5, 6};
    static const int64_t lengths[] = {2, 3}, longer[] = {4, 0};
    test_call t;
    test_call_init(&t, SW_OP_ReverseSequence, 1);
    test_call_input(&t, test_tensor(SW_I16, TEST_DIMS(3, 2), x)); /* steps, batch */
    test_call_input(&t, TEST_I64(lengths, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 6, 1, 4, 5, 2), 0));
    test_call_free(&t);
    t.x[0] = test_tensor(SW_I16, TEST_DIMS(2, 3), x);
    test_call_int(&t, "batch_axis", 0);
    test_call_int(&t, "time_axis", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 1, 3, 6, 5, 4), 0));
    test_call_free(&t);
    t.x[1].data = (void *)(uintptr_t)longer;
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
    test_call_int(&t, "time_axis", 0);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(center_crop_pad_by_hand) {
    static const float x[] = {1, 2, 3, 4, 5, 6};
    static const int64_t shape[] = {3, 2}, columns[] = {6};
    test_call t;
    test_call_init(&t, SW_OP_CenterCropPad, 1);
    test_call_input(&t, TEST_F32(x, 2, 3));
    test_call_input(&t, TEST_I64(shape, 2));
    CHECK_INT(test_call_run(&t), SW_OK); /* a row more (behind), a column less (the last) */
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, 4, 5, 0, 0), 0));
    test_call_free(&t);
    t.x[1] = TEST_I64(columns, 1);
    test_call_ints(&t, "axes", TEST_DIMS(-1));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 2, 3, 0, 0, 0, 4, 5, 6, 0, 0), 0));
    test_call_free(&t);
    test_call_ints(&t, "axes", TEST_DIMS(2));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
