#include "kernels/test_run.h"

SW_TEST(windows_by_hand) {
    static const int32_t size[] = {4}, odd[] = {5};
    test_call t;
    test_call_init(&t, SW_OP_HannWindow, 1);
    test_call_input(&t, test_tensor(SW_I32, 0, NULL, size));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0.5, 1, 0.5), 1e-6));
    test_call_free(&t);
    t.x[0].data = (void *)(uintptr_t)odd;
    test_call_int(&t, "periodic", 0);
    test_call_int(&t, "output_datatype", 11); /* double */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F64, TEST_DIMS(5)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0.5, 1, 0.5, 0), 1e-12));
    test_call_free(&t);
    t.call.op = SW_OP_HammingWindow;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(4.0 / 46, 25.0 / 46, 1, 25.0 / 46, 4.0 / 46), 1e-12));
    test_call_free(&t);
    t.call.op = SW_OP_BlackmanWindow;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0.34, 1, 0.34, 0), 1e-12));
    test_call_free(&t);
}

SW_TEST(dft_by_hand) {
    static const float x[] = {1, 2, 3, 4};
    static const int64_t length[] = {2}, axis[] = {1};
    test_call t;
    test_call_init(&t, SW_OP_DFT, 1);
    test_call_input(&t, TEST_F32(x, 1, 4, 1));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 4, 2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(10, 0, -2, 2, -2, 0, -2, -2), 1e-6));
    test_call_free(&t);
    test_call_int(&t, "onesided", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(10, 0, -2, 2, -2, 0), 1e-6));
    test_call_free(&t);
    test_call_input(&t, TEST_I64(length, 1)); /* the first two samples */
    test_call_input(&t, TEST_I64(axis, 1));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 0, -1, 0), 1e-6));
    test_call_free(&t);
}

SW_TEST(dft_back_again) {
    static const float bins[] = {10, 0, -2, 2, -2, 0, -2, -2};
    test_call t;
    test_call_init(&t, SW_OP_DFT, 1);
    test_call_input(&t, TEST_F32(bins, 1, 4, 2));
    test_call_int(&t, "inverse", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 0, 2, 0, 3, 0, 4, 0), 1e-6));
    test_call_free(&t);
    t.x[0] = TEST_F32(bins, 1, 3, 2); /* the fourth is the conjugate of the second */
    test_call_int(&t, "onesided", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 4, 1)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, 3, 4), 1e-6));
    test_call_free(&t);
    t.x[0] = TEST_F32(bins, 1, 2, 3);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(stft_by_hand) {
    static const float x[] = {1, 2, 3, 4, 5}, window[] = {1, 0.5f};
    static const int64_t step[] = {2}, length[] = {2}, none[] = {0};
    test_call t;
    test_call_init(&t, SW_OP_STFT, 1);
    test_call_input(&t, TEST_F32(x, 1, 5, 1));
    test_call_input(&t, TEST_I64(step, 1));
    test_call_input(&t, TEST_F32(window, 2));
    test_call_input(&t, TEST_I64(length, 1));
    CHECK_INT(test_call_run(&t), SW_OK); /* frames 1 1 and 3 2 */
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 2, 2, 2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 0, 0, 0, 5, 0, 1, 0), 1e-6));
    test_call_free(&t);
    t.x[1].data = (void *)(uintptr_t)none;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

/* Three mels up to 1000 Hz, which is 1000 mel: edges at 0, 200, 400, 600, 800 mel are 0, 136, 298, 492, 724 Hz,
 * which are bins 0, 2, 4, 7, 11 of 65 to 4000 Hz. */
SW_TEST(mel_weights_by_hand) {
    static const int64_t mels[] = {3}, length[] = {64}, rate[] = {4000};
    static const float low[] = {0}, high[] = {1000};
    static const double first[33] = {0, 0.5, 1, 0.5}, second[33] = {0, 0, 0, 0.5, 1, 2.0 / 3, 1.0 / 3},
                        third[33] = {0, 0, 0, 0, 0, 1.0 / 3, 2.0 / 3, 1, 0.75, 0.5, 0.25};
    double want[99];
    test_call t;
    test_call_init(&t, SW_OP_MelWeightMatrix, 1);
    test_call_input(&t, test_tensor(SW_I64, 0, NULL, mels));
    test_call_input(&t, test_tensor(SW_I64, 0, NULL, length));
    test_call_input(&t, test_tensor(SW_I64, 0, NULL, rate));
    test_call_input(&t, test_tensor(SW_F32, 0, NULL, low));
    test_call_input(&t, test_tensor(SW_F32, 0, NULL, high));
    for (int b = 0; b < 33; b++) {
        want[3 * b] = first[b];
        want[3 * b + 1] = second[b];
        want[3 * b + 2] = third[b];
    }
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(33, 3)));
    CHECK(test_call_values(&t, 0, 99, want, 1e-6));
    test_call_free(&t);
}
