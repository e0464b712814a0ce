#include <math.h>

#include "kernels/test_run.h"

SW_TEST(clip_bounds) {
    const float x[4] = {-3, 0.5f, 9, NAN}, lo = -1, hi = 6;
    test_call t;
    test_call_init(&t, SW_OP_Clip, 1);
    test_call_input(&t, TEST_F32(x, 4));
    test_call_input(&t, test_tensor(SW_F32, 0, NULL, &lo));
    test_call_input(&t, test_tensor(SW_F32, 0, NULL, &hi));
    CHECK_INT(test_call_run(&t), SW_OK);
    const float *y = t.y[0].data;
    CHECK(y[0] == -1 && y[1] == 0.5f && y[2] == 6 && isnan(y[3]));
    test_call_free(&t);
    t.in[1] = NULL;
    CHECK_INT(test_call_run(&t), SW_OK);
    y = t.y[0].data;
    CHECK(y[0] == -3 && y[1] == 0.5f && y[2] == 6 && isnan(y[3]));
    test_call_free(&t);
    t.x[2] = TEST_F32(x, 4);
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Clip): input 3 must be one number of type float32");
    test_call_free(&t);
}

SW_TEST(clip_crossed_bounds_give_the_upper) {
    const uint8_t x[3] = {0, 100, 255}, lo = 200, hi = 50;
    test_call t;
    test_call_init(&t, SW_OP_Clip, 1);
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(3), x));
    test_call_input(&t, test_tensor(SW_U8, 0, NULL, &lo));
    test_call_input(&t, test_tensor(SW_U8, 0, NULL, &hi));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(50, 50, 50), 0));
    test_call_free(&t);
}
