#include <math.h>

#include "kernels/test_run.h"

static const float picture[] = {1, 2, 3, 4, 5, 6}; /* 2 x 3 */

/* Samples the picture at one point (x, y). */
static sw_status sample(test_call *t, const char *mode, const char *padding, bool corners, const float *point) {
    test_call_init(t, SW_OP_GridSample, 1);
    test_call_string(t, "mode", mode);
    test_call_string(t, "padding_mode", padding);
    test_call_int(t, "align_corners", corners);
    test_call_input(t, TEST_F32(picture, 1, 1, 2, 3));
    test_call_input(t, TEST_F32(point, 1, 1, 1, 2));
    return test_call_run(t);
}

SW_TEST(grid_sample_points) {
    static const struct {
        const char *mode, *padding;
        bool corners;
        float point[2];
        double want;
    } cases[] = {
        {"linear", "zeros", true, {0, 0}, 3.5},     /* the middle of all */
        {"linear", "zeros", true, {-1, -1}, 1},     /* the first pixel */
        {"linear", "zeros", false, {-1, -1}, 0.25}, /* its corner: three of four pixels are outside */
        {"bilinear", "border", false, {-1, -1}, 1}, /* the old name */
        {"linear", "zeros", true, {1, 0}, 4.5},     /* x is the last axis */
        {"linear", "border", true, {9, 0}, 4.5},    /* beyond the right edge */
        {"linear", "reflection", true, {2, -1}, 2}, /* 3 mirrored at 2 is 1 */
        {"linear",
         "reflection",
         false,
         {5.0f / 3, -1},
         2.5},                                       /* 3.5 mirrored at 2.5 is 1.5; row -0.5 mirrored is row 0 */
        {"nearest", "zeros", true, {0.9f, 0.9f}, 6}, /* 1.9, 0.95 */
        {"nearest", "zeros", true, {0.5f, 0}, 3},    /* halves go to even: (2, 0) */
        {"nearest", "zeros", true, {4, 0}, 0},
        {"cubic", "zeros", true, {0, -1}, 2}, /* on a pixel: itself */
        {"cubic", "border", true, {0, 0}, 3.5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_call t;
        CHECK_INT(sample(&t, cases[i].mode, cases[i].padding, cases[i].corners, cases[i].point), SW_OK);

        CHECK(test_call_values(&t, 0, 1, &cases[i].want, 1e-6));
        test_call_free(&t);
    }
}

SW_TEST(grid_sample_hostile_points) {
    static const float points[][2] = {{NAN, 0}, {INFINITY, 0}, {-1e38f, 1e38f}};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    for (int i = 0; i < 9; i++) {
        test_call t;
        CHECK_INT(sample(&t, i < 5 ? "cubic" : "nearest", paddings[i % 3], false, points[i / 3]), SW_OK);
        test_call_free(&t);
    }
}

SW_TEST(grid_sample_types_and_axes) {
    static const int64_t x[] = {7, INT64_MIN};
    static const uint16_t half[] = {0x3c00, 0x4000}; /* 1, 2 */
    static const float middle[] = {0}, deep[] = {1, -1, 0};
    test_call t;
    test_call_init(&t, SW_OP_GridSample, 1);
    test_call_input(&t, TEST_I64(x, 1, 1, 2));
    test_call_input(&t, TEST_F32(middle, 1, 1, 1));
    CHECK_INT(test_call_run(&t), SW_E_UNSUPPORTED); /* integers are only moved */
    test_call_free(&t);
    test_call_string(&t, "mode", "nearest");
    test_call_int(&t, "align_corners", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK_INT(sw_tensor_int_at(&t.y[0], 0), 7);
    test_call_free(&t);
    t.x[0] = test_tensor(SW_F16, TEST_DIMS(1, 1, 2), half);
    test_call_string(&t, "mode", "linear");
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1.5), 0));
    test_call_free(&t);
    float cube[8];
    for (int i = 0; i < 8; i++) cube[i] = (float)i;
    t.x[0] = TEST_F32(cube, 1, 1, 2, 2, 2);
    t.x[1] = TEST_F32(deep, 1, 1, 1, 1, 3);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3), 0)); /* x 1, y 0, half of z */
    test_call_free(&t);
}

SW_TEST(shape_grid_sample) {
    test_call t;
    test_call_init(&t, SW_OP_GridSample, 1);
    test_call_input(&t, TEST_F32(NULL, -1, 3, 4, 5));
    test_call_input(&t, TEST_F32(NULL, 2, 6, 7, 2));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 3, 6, 7)));
    t.x[1].dims[3] = 3;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    t.x[1].rank = SW_RANK_UNKNOWN;
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(-1, 3, -1, -1)));
    test_call_string(&t, "padding_mode", "wrap");
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (GridSample): unknown padding_mode 'wrap'");
}
