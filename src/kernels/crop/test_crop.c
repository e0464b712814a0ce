#include "kernels/test_run.h"

SW_TEST(resize_crop) {
    /* 4 x 2 pixels to a short side of 1: two columns, each the mean under a triangle of four; the first of both is cut out */
    static const uint8_t picture[2 * 4 * 3] = {
        [0] = 80, [3] = 40, [6] = 200, [9] = 0, [12] = 80, [15] = 40, [18] = 200};
    test_call t;
    test_call_init(&t, SW_OP_ResizeCrop, 1);
    test_call_input(&t, (sw_tensor){.dtype = SW_U8, .rank = 3, .dims = {2, 4, 3}, .data = (void *)(uintptr_t)picture});
    test_call_int(&t, "height", 1);
    test_call_int(&t, "width", 1);
    test_call_int(&t, "resize", 1);
    test_call_float(&t, "divisor", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    /* weights 0.75 0.75 0.25 of 1.75: (60 + 30 + 50) / 1.75 = 80 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(80, 0, 0), 0));
    test_call_free(&t);
    test_call_int(&t, "resize", 0); /* all of it */
    CHECK_INT(test_call_run(&t), SW_OK);
    /* weights 0.625 0.875 0.875 0.625 of 3: (50 + 35 + 175) / 3 = 86.7 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(87, 0, 0), 0));
    test_call_free(&t);
    test_call_int(&t, "width", 2);
    test_call_int(&t, "resize", 1);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
