#include "kernels/test_run.h"

/* 1 x 1 x 3 x 3 picture 1 .. 9. */
static const float nine[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

SW_TEST(conv_by_hand) {
    static const float kernel[] = {1, 0, 0, -1}, bias[] = {10};
    test_call t;
    test_call_init(&t, SW_OP_Conv, 1);
    test_call_input(&t, TEST_F32(nine, 1, 1, 3, 3));
    test_call_input(&t, TEST_F32(kernel, 1, 1, 2, 2));
    test_call_input(&t, TEST_F32(bias, 1));
    CHECK_INT(test_call_run(&t), SW_OK); /* in[y][x] - in[y + 1][x + 1] is -4 everywhere */
    CHECK(test_call_values(&t, 0, TEST_VALUES(6, 6, 6, 6), 0));
    test_call_free(&t);
    test_call_ints(&t, "pads", TEST_DIMS(1, 0, 0, 1));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(8, 7, 10, 6, 6, 13, 6, 6, 16), 0));
    test_call_free(&t);
    test_call_ints(&t, "pads", TEST_DIMS(0, 0, 0, 0));
    test_call_ints(&t, "dilations", TEST_DIMS(2, 2));
    test_call_ints(&t, "strides", TEST_DIMS(7, 7)); /* larger than the picture */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2), 0));
    test_call_free(&t);
}

SW_TEST(conv_groups_and_types) {
    static const double x[] = {1, 2, 3, 4}, w[] = {10, 100};
    test_call t;
    test_call_init(&t, SW_OP_Conv, 1);
    test_call_input(&t, test_tensor(SW_F64, TEST_DIMS(1, 2, 2), x));
    test_call_input(&t, test_tensor(SW_F64, TEST_DIMS(2, 1, 1), w));
    test_call_int(&t, "group", 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(10, 20, 300, 400), 0));
    test_call_free(&t);
    static const uint16_t half_x[] = {0x3c00, 0x4000, 0x4200, 0x4400}, half_w[] = {0x4900, 0x5640};
    t.x[0] = test_tensor(SW_F16, TEST_DIMS(1, 2, 2), half_x);
    t.x[1] = test_tensor(SW_F16, TEST_DIMS(2, 1, 1), half_w);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK_INT(t.y[0].dtype, SW_F16);
    CHECK(test_call_values(&t, 0, TEST_VALUES(10, 20, 300, 400), 0));
    test_call_free(&t);
    t.x[0].dtype = t.x[1].dtype = SW_I16;
    CHECK_INT(test_call_run(&t), SW_E_UNSUPPORTED);
    CHECK_STR(sw_test_message(), "node 'n' (Conv): Conv does not take elements of type int16");
    test_call_free(&t);
}

/* Against the definition, over strides, dilations, pads, three axes and rows longer than one piece. */
static void check_against_definition(int64_t width, int64_t stride, int64_t dilation, int64_t pad) {
    enum { C = 6, M = 2, D = 2, H = 3, K = 2 };
    uint64_t seed = 11;
    int64_t count = C * D * H * width;
    float *x = malloc((size_t)count * sizeof *x), w[M * C * K * K * K];
    for (int64_t i = 0; i < count; i++) x[i] = sw_test_uniform(&seed, -1, 1);
    for (int i = 0; i < M * C * K * K * K; i++) w[i] = sw_test_uniform(&seed, -1, 1);
    test_call t;
    test_call_init(&t, SW_OP_Conv, 1);
    test_call_input(&t, TEST_F32(x, 1, C, D, H, width));
    test_call_input(&t, TEST_F32(w, M, C, K, K, K));
    test_call_ints(&t, "pads", TEST_DIMS(1, 0, pad, 0, 1, pad));
    test_call_ints(&t, "strides", TEST_DIMS(1, 2, stride));
    test_call_ints(&t, "dilations", TEST_DIMS(2, 1, dilation));
    CHECK_INT(test_call_run(&t), SW_OK);
    const int64_t *out = t.y[0].dims;
    double worst = 0;
    for (int64_t i = 0; i < sw_tensor_count(&t.y[0]); i++) {
        int64_t ox = i % out[4], oy = i / out[4] % out[3], oz = i / out[4] / out[3] % out[2];
        int64_t m = i / out[4] / out[3] / out[2];
        double sum = 0;
        for (int64_t k = 0; k < C * K * K * K; k++) {
            int64_t ix = ox * stride + k % K * dilation - pad, iy = oy * 2 + k / K % K, iz = oz + k / K / K % K * 2 - 1;
            int64_t c = k / K / K / K;
            if (ix < 0 || ix >= width || iy >= H || iz < 0 || iz >= D) continue;
            sum += (double)x[((c * D + iz) * H + iy) * width + ix] * (double)w[m * C * K * K * K + k];
        }
        double error = sum - sw_tensor_float_at(&t.y[0], i);
        if (error < 0) error = -error;
        if (!(error <= worst)) worst = error;
    }
    CHECK_NEAR(worst, 0, 1e-5);
    test_call_free(&t);
    free(x);
}

SW_TEST(conv_definition) {
    check_against_definition(7, 1, 1, 0);
    check_against_definition(7, 3, 2, 4);
    check_against_definition(1100, 1, 3, 2);
    check_against_definition(1600, 2, 1, 1);
}

SW_TEST(conv_empty) {
    test_call t; /* no pictures; then no input channels, which leaves the bias */
    static const float bias[] = {1, 2};
    test_call_init(&t, SW_OP_Conv, 1);
    test_call_input(&t, TEST_F32(nine, 0, 1, 3, 3));
    test_call_input(&t, TEST_F32(nine, 2, 1, 3, 3));
    test_call_input(&t, TEST_F32(bias, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK_INT(sw_tensor_count(&t.y[0]), 0);
    test_call_free(&t);
    t.x[0] = TEST_F32(nine, 1, 0, 2, 2);
    t.x[1] = TEST_F32(nine, 2, 0, 2, 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, 2, 2), 0));
    test_call_free(&t);
}

SW_TEST(conv_transpose_by_hand) {
    static const float x[] = {1, 2, 3}, w[] = {1, 10, 100}, bias[] = {0.5f};
    test_call t;
    test_call_init(&t, SW_OP_ConvTranspose, 1);
    test_call_input(&t, TEST_F32(x, 1, 1, 3));
    test_call_input(&t, TEST_F32(w, 1, 1, 3));
    test_call_ints(&t, "strides", TEST_DIMS(2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 10, 102, 20, 203, 30, 300), 0));
    test_call_free(&t);
    test_call_input(&t, TEST_F32(bias, 1));
    test_call_ints(&t, "pads", TEST_DIMS(1, 2));
    test_call_ints(&t, "output_padding", TEST_DIMS(1));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(10.5, 102.5, 20.5, 203.5, 30.5), 0));
    test_call_free(&t);
}

SW_TEST(conv_transpose_groups_two_axes) {
    static const float x[] = {1, 2, 3, 4}, w[] = {1, 2, 3, 4, 5, 6, 7, 8};
    test_call t; /* two groups of one channel to two, kernel 1 x 2, dilation 2 */
    test_call_init(&t, SW_OP_ConvTranspose, 1);
    test_call_input(&t, TEST_F32(x, 1, 2, 1, 2));
    test_call_input(&t, TEST_F32(w, 2, 2, 1, 2));
    test_call_int(&t, "group", 2);
    test_call_ints(&t, "dilations", TEST_DIMS(1, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, 2, 4, 3, 6, 4, 8, 15, 20, 18, 24, 21, 28, 24, 32), 0));
    test_call_free(&t);
}

SW_TEST(deform_conv_by_hand) {
    static const float x[] = {1, 2, 3, 4}, w[] = {2}, bias[] = {1};
    static const float offset[] = {0, 0, 0, 0.5f, 0, 1, 0, 9}; /* down, then right, for four pixels */
    static const float mask[] = {1, 0.5f, 1, 1};
    test_call t;
    test_call_init(&t, SW_OP_DeformConv, 1);
    test_call_input(&t, TEST_F32(x, 1, 1, 2, 2));
    test_call_input(&t, TEST_F32(w, 1, 1, 1, 1));
    test_call_input(&t, TEST_F32(offset, 1, 2, 2, 2));
    test_call_input(&t, TEST_F32(bias, 1));
    CHECK_INT(test_call_run(&t), SW_OK); /* 1, beyond the border, 3, and (half of 0 and 4), beyond it to the right */
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 1, 7, 1), 1e-6));
    test_call_free(&t);
    static const float still[8] = {0};
    t.x[2].data = (void *)(uintptr_t)still;
    test_call_input(&t, TEST_F32(mask, 1, 1, 2, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 3, 7, 9), 1e-6));
    test_call_free(&t);
    t.x[2].dims[1] = 4;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(col2im_by_hand) {
    static const float x[] = {1, 2, 3, 4, 5, 6};
    static const int64_t image[] = {4}, block[] = {2};
    test_call t;
    test_call_init(&t, SW_OP_Col2Im, 1);
    test_call_input(&t, TEST_F32(x, 1, 2, 3));
    test_call_input(&t, TEST_I64(image, 1));
    test_call_input(&t, TEST_I64(block, 1));
    CHECK_INT(test_call_run(&t), SW_OK); /* blocks 1 4, 2 5, 3 6, one apart */
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 1, 4)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 6, 8, 6), 0));
    test_call_free(&t);
    test_call_ints(&t, "strides", TEST_DIMS(2));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);   /* two blocks then */
    test_call_ints(&t, "pads", TEST_DIMS(1, 1)); /* three: 1 | 4 2 5 3 | 6 */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(4, 2, 5, 3), 0));
    test_call_free(&t);
}
