#include <math.h>

#include "kernels/test_run.h"

static const float nine[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static const int64_t two_by_two[] = {2, 2};

/* A window of 2 x 2 over the nine. */
static void pool_of(test_call *t, sw_op op, int n_out) {
    test_call_init(t, op, n_out);
    test_call_input(t, TEST_F32(nine, 1, 1, 3, 3));
    test_call_ints(t, "kernel_shape", 2, two_by_two);
}

SW_TEST(max_pool_indices) {
    static const int64_t pads[] = {1, 0, 0, 0}, strides[] = {2, 1};
    test_call t;
    pool_of(&t, SW_OP_MaxPool, 2);
    test_call_ints(&t, "pads", 4, pads);
    test_call_ints(&t, "strides", 2, strides);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 3, 8, 9), 0));
    CHECK(test_call_values(&t, 1, TEST_VALUES(1, 2, 7, 8), 0));
    test_call_free(&t);
    test_call_int(&t, "storage_order", 1); /* numbered down the columns */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 1, TEST_VALUES(3, 6, 5, 8), 0));
    test_call_free(&t);
}

SW_TEST(max_pool_types) {
    static const int8_t low[] = {-128, -5, -7, -100};
    static const uint8_t high[] = {200, 3, 0, 255};
    test_call t;
    test_call_init(&t, SW_OP_MaxPool, 1);
    test_call_input(&t, test_tensor(SW_I8, TEST_DIMS(1, 1, 4), low));
    test_call_ints(&t, "kernel_shape", TEST_DIMS(2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-5, -5, -7), 0));
    test_call_free(&t);
    t.x[0] = test_tensor(SW_U8, TEST_DIMS(1, 1, 4), high);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(200, 3, 255), 0));
    test_call_free(&t);
    t.x[0].dtype = SW_BOOL;
    CHECK_INT(test_call_run(&t), SW_E_UNSUPPORTED);
    test_call_free(&t);
}

SW_TEST(max_pool_nan_spreads) {
    const float x[] = {1, NAN, 3, -HUGE_VALF};
    test_call t;
    test_call_init(&t, SW_OP_MaxPool, 2);
    test_call_input(&t, TEST_F32(x, 1, 1, 4));
    test_call_ints(&t, "kernel_shape", TEST_DIMS(1));
    CHECK_INT(test_call_run(&t), SW_OK); /* minus infinity is found, too */
    CHECK(isnan(sw_tensor_float_at(&t.y[0], 1)));
    CHECK_INT(sw_tensor_int_at(&t.y[1], 3), 3);
    test_call_free(&t);
    test_call_ints(&t, "kernel_shape", TEST_DIMS(3));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(isnan(sw_tensor_float_at(&t.y[0], 0)) && isnan(sw_tensor_float_at(&t.y[0], 1)));
    test_call_free(&t);
}

SW_TEST(average_pool_padding) {
    static const int64_t pads[] = {1, 1, 0, 0}, strides[] = {2, 2};
    test_call t;
    pool_of(&t, SW_OP_AveragePool, 1);
    test_call_ints(&t, "pads", 4, pads);
    test_call_ints(&t, "strides", 2, strides);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2.5, 5.5, 7), 0));
    test_call_free(&t);
    test_call_int(&t, "count_include_pad", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0.25, 1.25, 2.75, 7), 0));
    test_call_free(&t);
}

SW_TEST(average_pool_ceil_counts_no_overhang) {
    static const int64_t strides[] = {2, 2};
    test_call t;
    pool_of(&t, SW_OP_AveragePool, 1);
    test_call_ints(&t, "strides", 2, strides);
    test_call_int(&t, "ceil_mode", 1);
    test_call_int(&t, "count_include_pad", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 4.5, 7.5, 9), 0));
    test_call_free(&t);
}

SW_TEST(lp_pool_by_hand) {
    static const float x[] = {3, -4, 12};
    test_call t;
    test_call_init(&t, SW_OP_LpPool, 1);
    test_call_input(&t, TEST_F32(x, 1, 1, 3));
    test_call_ints(&t, "kernel_shape", TEST_DIMS(2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(5, sqrt(160)), 1e-5));
    test_call_free(&t);
    test_call_int(&t, "p", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(7, 16), 1e-5));
    test_call_free(&t);
    test_call_int(&t, "p", 0);
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
}

SW_TEST(global_pools) {
    test_call t;
    test_call_init(&t, SW_OP_GlobalAveragePool, 1);
    test_call_input(&t, TEST_F32(nine, 1, 3, 3));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 5, 8), 0));
    test_call_free(&t);
    test_call_init(&t, SW_OP_GlobalMaxPool, 1);
    test_call_input(&t, TEST_F32(nine, 3, 1, 3, 1));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 6, 9), 0));
    test_call_free(&t);
}

SW_TEST(global_lp_pool_by_hand) {
    static const float x[] = {3, -4, 1, 2};
    test_call t;
    test_call_init(&t, SW_OP_GlobalLpPool, 1);
    test_call_input(&t, TEST_F32(x, 1, 2, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 2, 1)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(5, 2.2360680), 1e-6));
    test_call_free(&t);
    test_call_int(&t, "p", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(7, 3), 1e-6));
    test_call_free(&t);
}
