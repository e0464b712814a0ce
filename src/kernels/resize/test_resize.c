#include "base/test_memory.h"
#include "kernels/test_run.h"

/* One row of `n` numbers, resized along the last axis by scale, or to a size where scale is 0. */
static sw_status resize_row(test_call *t, const float *x, int64_t n, const float *scale, const int64_t *size) {
    test_call_input(t, TEST_F32(x, n));
    if (t->call.n_in == 1) test_call_absent(t);
    if (scale)
        test_call_input(t, TEST_F32(scale, 1));
    else
        test_call_absent(t);
    if (size) test_call_input(t, TEST_I64(size, 1));
    return test_call_run(t);
}

static const float four[] = {1, 2, 3, 4}, twice = 2, half = 0.5f;

SW_TEST(resize_nearest) {
    test_call t;
    test_call_init(&t, SW_OP_Resize, 1);
    CHECK_INT(resize_row(&t, four, 2, &twice, NULL), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, 2, 2), 0));
    test_call_free(&t);
    static const struct {
        const char *mode;
        double want[4];
    } modes[] = {
        {"round_prefer_floor", {1, 1, 2, 2}},
        {"round_prefer_ceil", {1, 2, 2, 2}},
        {"floor", {1, 1, 2, 2}},
        {"ceil", {1, 2, 2, 2}},
    };
    for (int i = 0; i < 4; i++) { /* coordinates 0, 0.5, 1, 1.5 */
        test_call_init(&t, SW_OP_Resize, 1);
        test_call_string(&t, "coordinate_transformation_mode", "asymmetric");
        test_call_string(&t, "nearest_mode", modes[i].mode);
        CHECK_INT(resize_row(&t, four, 2, &twice, NULL), SW_OK);
        CHECK(test_call_values(&t, 0, 4, modes[i].want, 0));
        test_call_free(&t);
    }
}

SW_TEST(resize_nearest_of_any_type) {
    static const int64_t x[] = {INT64_MIN, 7};
    static const uint8_t flags[] = {1, 0};
    test_call t;
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_input(&t, TEST_I64(x, 2));
    test_call_absent(&t);
    test_call_input(&t, TEST_F32(&twice, 1));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK_INT(sw_tensor_int_at(&t.y[0], 1), INT64_MIN);
    CHECK_INT(sw_tensor_int_at(&t.y[0], 2), 7);
    test_call_free(&t);
    t.x[0] = test_tensor(SW_BOOL, TEST_DIMS(2), flags);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, 0, 0), 0));
    test_call_free(&t);
    test_call_string(&t, "mode", "linear");
    CHECK_INT(test_call_run(&t), SW_E_UNSUPPORTED);
    test_call_free(&t);
}

SW_TEST(resize_linear_coordinates) {
    static const int64_t seven = 7, one = 1;
    test_call t;
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_string(&t, "mode", "linear");
    CHECK_INT(resize_row(&t, four, 2, &twice, NULL), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1.25, 1.75, 2), 1e-6));
    test_call_free(&t);
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_string(&t, "mode", "linear");
    test_call_string(&t, "coordinate_transformation_mode", "align_corners");
    CHECK_INT(resize_row(&t, four, 4, NULL, &seven), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1.5, 2, 2.5, 3, 3.5, 4), 1e-6));
    test_call_free(&t);
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_string(&t, "mode", "linear");
    test_call_string(&t, "coordinate_transformation_mode", "pytorch_half_pixel");
    CHECK_INT(resize_row(&t, four, 4, NULL, &one), SW_OK); /* one pixel: the first, not the middle */
    CHECK(test_call_values(&t, 0, TEST_VALUES(1), 0));
    test_call_free(&t);
}

SW_TEST(resize_antialias) {
    test_call t;
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_string(&t, "mode", "linear");
    test_call_int(&t, "antialias", 1);
    CHECK_INT(resize_row(&t, four, 4, &half, NULL), SW_OK); /* around 0.5: weights 1 3 3 1 of 8, the border twice */
    CHECK(test_call_values(&t, 0, TEST_VALUES((1 + 3 + 6 + 3) / 8.0, (2 + 9 + 12 + 4) / 8.0), 1e-6));
    test_call_free(&t);
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_string(&t, "mode", "linear");
    test_call_int(&t, "antialias", 1);
    test_call_int(&t, "exclude_outside", 1);
    CHECK_INT(resize_row(&t, four, 4, &half, NULL), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES((3 + 6 + 3) / 7.0, (2 + 9 + 12) / 7.0), 1e-6));
    test_call_free(&t);
}

SW_TEST(resize_cubic) {
    static const float x[] = {0, 0, 1, 0, 0};
    static const float scale = 2;
    test_call t;
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_string(&t, "mode", "cubic");
    test_call_string(&t, "coordinate_transformation_mode", "asymmetric");
    test_call_float(&t, "cubic_coeff_a", -0.5f);
    CHECK_INT(resize_row(&t, x, 5, &scale, NULL), SW_OK); /* Keys' kernel at distances 2, 1.5, 1, 0.5, 0 ... */
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, -0.0625, 0, 0.5625, 1, 0.5625, 0, -0.0625, 0, 0), 1e-6));
    test_call_free(&t);
}

SW_TEST(resize_crop) {
    static const float roi[] = {0.5f, 1.5f};
    static const int64_t three = 3;
    test_call t;
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_string(&t, "mode", "linear");
    test_call_string(&t, "coordinate_transformation_mode", "tf_crop_and_resize");
    test_call_float(&t, "extrapolation_value", -9);
    test_call_input(&t, TEST_F32(four, 3));
    test_call_input(&t, TEST_F32(roi, 2));
    test_call_absent(&t);
    test_call_input(&t, TEST_I64(&three, 1));
    CHECK_INT(test_call_run(&t), SW_OK); /* coordinates 1, 2, 3 of three elements */
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 3, -9), 0));
    test_call_free(&t);
    test_call_string(&t, "mode", "nearest");
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 3, -9), 0));
    test_call_free(&t);
}

SW_TEST(resize_two_axes) {
    static const float scales[] = {1, 2, 2};
    static const uint8_t x[] = {0, 100, 200, 255};
    test_call t;
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_string(&t, "mode", "linear");
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(1, 2, 2), x));
    test_call_absent(&t);
    test_call_input(&t, TEST_F32(scales, 3));
    CHECK_INT(test_call_run(&t), SW_OK); /* integers are cut off: 213.75 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 25, 75, 100, 50, 72, 116, 138, 150, 166, 199, 216, 200, 213, 241, 255),
                           0));
    test_call_free(&t);
}

SW_TEST(resize_out_of_memory) {
    static const float scales[] = {2, 2};
    for (int fail_at = 1; fail_at <= 5; fail_at++) { /* two tables of two blocks each; the last round does not fail */
        test_memory memory = {.fail_at = fail_at};
        sw_allocator allocator = test_memory_allocator(&memory);
        test_call t;
        test_call_init(&t, SW_OP_Resize, 1);
        test_call_string(&t, "mode", "linear");
        test_call_input(&t, TEST_F32(four, 2, 2));
        test_call_absent(&t);
        test_call_input(&t, TEST_F32(scales, 2));
        t.call.allocator = &allocator;
        CHECK_INT(test_call_run(&t), fail_at == 5 ? SW_OK : SW_E_NOMEM);
        CHECK_INT(memory.held, 0);
        test_call_free(&t);
    }
}

SW_TEST(resize_limits_weights) {
    static const float scales[] = {1, 1e9f};
    test_call t;
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_string(&t, "mode", "linear");
    test_call_input(&t, TEST_F32(four, 1, 4));
    test_call_absent(&t);
    test_call_input(&t, TEST_F32(scales, 2));
    CHECK_INT(test_call_rule(&t), SW_OK);
    t.y[0].data = &t; /* never written */
    CHECK_INT(sw_kernel_ref(SW_OP_Resize)(&t.call), SW_E_LIMIT);
    CHECK(strstr(sw_test_message(), "axis 1 needs more than") != NULL);
}
