#include "kernels/test_run.h"

static const float picture[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; /* 4 x 4 */

static void align(test_call *t, const float *roi) {
    static const int64_t batch[] = {0};
    test_call_init(t, SW_OP_RoiAlign, 1);
    test_call_input(t, TEST_F32(picture, 1, 1, 4, 4));
    test_call_input(t, TEST_F32(roi, 1, 4));
    test_call_input(t, TEST_I64(batch, 1));
}

SW_TEST(roi_align_by_hand) {
    static const float roi[] = {0.5f, 0.5f, 2.5f, 2.5f}, outside[] = {90, 90, 95, 95};
    test_call t;
    align(&t, roi);
    test_call_int(&t, "output_height", 2);
    test_call_int(&t, "output_width", 1);
    CHECK_INT(test_call_run(&t), SW_OK); /* pixels 0 .. 2: rows 0.5 and 1.5, columns 0.5 and 1.5 */
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 1, 2, 1)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 7), 1e-6));
    test_call_free(&t);
    test_call_int(&t, "output_height", 1);
    test_call_string(&t, "coordinate_transformation_mode", "output_half_pixel");
    test_call_int(&t, "sampling_ratio", 1);
    CHECK_INT(test_call_run(&t), SW_OK); /* its middle, at (1.5, 1.5) */
    CHECK(test_call_values(&t, 0, TEST_VALUES(7.5), 1e-6));
    test_call_free(&t);
    test_call_string(&t, "mode", "max"); /* the largest of the four quarters: a quarter of 10 */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2.5), 1e-6));
    test_call_free(&t);
    align(&t, outside);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0), 0));
    test_call_free(&t);
    static const int64_t beyond[] = {1};
    t.x[2] = TEST_I64(beyond, 1);
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
    t.x[1].dims[1] = 5;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(roi_align_of_many_channels_and_points) {
    enum { CHANNELS = 19, SIDE = 12 };
    static float planes[CHANNELS][SIDE][SIDE];
    static const float roi[] = {0, 0, 10, 10};
    static const int64_t batch[] = {0};
    for (int c = 0; c < CHANNELS; c++)
        for (int i = 0; i < SIDE * SIDE; i++) planes[c][i / SIDE][i % SIDE] = (float)(c + i / SIDE * 2 + i % SIDE);
    test_call t;
    test_call_init(&t, SW_OP_RoiAlign, 1);
    test_call_input(&t, TEST_F32(planes[0][0], 1, CHANNELS, SIDE, SIDE));
    test_call_input(&t, TEST_F32(roi, 1, 4));
    test_call_input(&t, TEST_I64(batch, 1));
    CHECK_INT(test_call_run(&t), SW_OK); /* one bin of 100 points; a plane that rises evenly: its value in the middle */
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, CHANNELS, 1, 1)));
    for (int c = 0; c < CHANNELS; c++) CHECK_NEAR(((const float *)t.y[0].data)[c], c + 3 * 4.5, 0.1);
    test_call_free(&t);
}

SW_TEST(max_roi_pool_by_hand) {
    static const float rois[] = {0, 0, 0, 3, 3, 0, 1, 1, 2, 2}, wrong[] = {2, 0, 0, 3, 3};
    test_call t;
    test_call_init(&t, SW_OP_MaxRoiPool, 1);
    test_call_input(&t, TEST_F32(picture, 1, 1, 4, 4));
    test_call_input(&t, TEST_F32(rois, 2, 5));
    test_call_ints(&t, "pooled_shape", TEST_DIMS(2, 1));
    CHECK_INT(test_call_run(&t), SW_OK); /* rows 0-1, 2-3; then rows 1, 2 of columns 1-2 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(7, 15, 6, 10), 0));
    test_call_free(&t);
    t.x[1] = TEST_F32(wrong, 1, 5);
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
}

SW_TEST(affine_grid_by_hand) {
    static const float theta[] = {1, 0, 0.5f, 0, 2, 0};
    static const int64_t size[] = {1, 3, 1, 2};
    test_call t;
    test_call_init(&t, SW_OP_AffineGrid, 1);
    test_call_input(&t, TEST_F32(theta, 1, 2, 3));
    test_call_input(&t, TEST_I64(size, 4));
    CHECK_INT(test_call_run(&t), SW_OK); /* x is -0.5, 0.5; y is 0 */
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 1, 2, 2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1, 0), 1e-6));
    test_call_free(&t);
    test_call_int(&t, "align_corners", 1); /* x is -1, 1; y, alone, is 0 */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-0.5, 0, 1.5, 0), 1e-6));
    test_call_free(&t);
    t.x[0].dims[1] = 3;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(max_unpool_by_hand) {
    static const float x[] = {1, 2, 3, 4};
    static const int64_t at[] = {0, 3, 13, 10}, shape[] = {1, 1, 4, 5}, beyond[] = {0, 3, 13, 16};
    test_call t;
    test_call_init(&t, SW_OP_MaxUnpool, 1);
    test_call_input(&t, TEST_F32(x, 1, 1, 2, 2));
    test_call_input(&t, TEST_I64(at, 1, 1, 2, 2));
    test_call_ints(&t, "kernel_shape", TEST_DIMS(2, 2));
    test_call_ints(&t, "strides", TEST_DIMS(2, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 4, 0, 0, 3, 0, 0), 0));
    test_call_free(&t);
    test_call_input(&t, TEST_I64(shape, 4)); /* a column more: places keep their coordinates */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0), 0));
    test_call_free(&t);
    t.x[1].data = (void *)(uintptr_t)beyond;
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
}
