#include <math.h>

#include "base/test_memory.h"
#include "kernels/test_run.h"

static const float six[] = {1, -2, 3, -4, 5, -6};

/* The operator on 2 x 3 numbers over one axis. */
static void check_reduce(sw_op op, int64_t axis, int64_t n, const double *want) {
    test_call t;
    test_call_init(&t, op, 1);
    test_call_input(&t, TEST_F32(six, 2, 3));
    test_call_input(&t, TEST_I64(&axis, 1));
    CHECK_INT(test_call_run(&t), SW_OK);
    if (!test_call_values(&t, 0, n, want, 1e-5)) sw_test_fail(__FILE__, __LINE__, "%s", sw_op_get(op)->name);
    test_call_free(&t);
}

SW_TEST(reduce_each) {
    check_reduce(SW_OP_ReduceSum, 1, TEST_VALUES(2, -5));
    check_reduce(SW_OP_ReduceSum, 0, TEST_VALUES(-3, 3, -3));
    check_reduce(SW_OP_ReduceMean, -1, TEST_VALUES(2.0 / 3, -5.0 / 3));
    check_reduce(SW_OP_ReduceMax, 1, TEST_VALUES(3, 5));
    check_reduce(SW_OP_ReduceMin, 0, TEST_VALUES(-4, -2, -6));
    check_reduce(SW_OP_ReduceProd, 1, TEST_VALUES(-6, 120));
    check_reduce(SW_OP_ReduceL1, 1, TEST_VALUES(6, 15));
    check_reduce(SW_OP_ReduceL2, 0, TEST_VALUES(sqrt(17), sqrt(29), sqrt(45)));
    check_reduce(SW_OP_ReduceSumSquare, 1, TEST_VALUES(14, 77));
    check_reduce(SW_OP_ReduceLogSumExp, 0,
                 TEST_VALUES(log(exp(1) + exp(-4)), log(exp(-2) + exp(5)), log(exp(3) + exp(-6))));
    static const float large[] = {1000, 1000};
    test_call t;
    test_call_init(&t, SW_OP_ReduceLogSumExp, 1);
    test_call_input(&t, TEST_F32(large, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1000 + log(2)), 1e-4));
    test_call_free(&t);
    test_call_init(&t, SW_OP_ReduceLogSum, 1);
    test_call_input(&t, TEST_F32(large, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(log(2000)), 1e-5));
    test_call_free(&t);
}

SW_TEST(reduce_outer_and_inner_axes) {
    static const float x[] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const int64_t axes[] = {0, 2};
    test_call t;
    test_call_init(&t, SW_OP_ReduceSum, 1);
    test_call_input(&t, TEST_F32(x, 2, 2, 2));
    test_call_input(&t, TEST_I64(axes, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(14, 22), 0));
    test_call_free(&t);
}

SW_TEST(reduce_integers) {
    static const int8_t x[] = {-128, 100, 100, 100};
    static const uint8_t flags[] = {0, 1};
    test_call t;
    test_call_init(&t, SW_OP_ReduceSum, 1);
    test_call_input(&t, test_tensor(SW_I8, TEST_DIMS(4), x));
    CHECK_INT(test_call_run(&t), SW_OK); /* 172 wraps around */
    CHECK(test_call_values(&t, 0, TEST_VALUES(172 - 256), 0));
    test_call_free(&t);
    test_call_init(&t, SW_OP_ReduceMin, 1);
    test_call_input(&t, test_tensor(SW_I8, TEST_DIMS(4), x));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-128), 0));
    test_call_free(&t);
    t.x[0] = test_tensor(SW_BOOL, TEST_DIMS(2), flags);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0), 0));
    test_call_free(&t);
    static const int32_t thirds[] = {-7, 0};
    test_call_init(&t, SW_OP_ReduceMean, 1);
    test_call_input(&t, test_tensor(SW_I32, TEST_DIMS(2), thirds));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-3), 0));
    test_call_free(&t);
}

SW_TEST(reduce_nothing) {
    static const struct {
        sw_op op;
        double want;
    } cases[] = {
        {SW_OP_ReduceSum, 0},        {SW_OP_ReduceProd, 1},           {SW_OP_ReduceMax, -HUGE_VAL},
        {SW_OP_ReduceMin, HUGE_VAL}, {SW_OP_ReduceLogSum, -HUGE_VAL}, {SW_OP_ReduceLogSumExp, -HUGE_VAL},
        {SW_OP_ReduceSumSquare, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_call t;
        test_call_init(&t, cases[i].op, 1);
        test_call_input(&t, TEST_F32(six, 0));
        CHECK_INT(test_call_run(&t), SW_OK);
        CHECK(sw_tensor_float_at(&t.y[0], 0) == cases[i].want);
        test_call_free(&t);
    }
}

SW_TEST(reduce_nan_spreads) {
    const float x[] = {1, NAN, 3};
    test_call t;
    test_call_init(&t, SW_OP_ReduceMax, 1);
    test_call_input(&t, TEST_F32(x, 3));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(isnan(sw_tensor_float_at(&t.y[0], 0)));
    test_call_free(&t);
}

SW_TEST(arg_reduce_ties) {
    static const float x[] = {2, 7, 7, -0.0f, 0, 0};
    test_call t;
    test_call_init(&t, SW_OP_ArgMax, 1);
    test_call_input(&t, TEST_F32(x, 2, 3));
    test_call_int(&t, "axis", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 0), 0));
    test_call_free(&t);
    test_call_int(&t, "select_last_index", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 2), 0));
    test_call_free(&t);
    test_call_init(&t, SW_OP_ArgMin, 1);
    test_call_input(&t, TEST_F32(x, 2, 3));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, 1), 0));
    test_call_free(&t);
}

SW_TEST(cum_sum_directions) {
    int32_t axis = 1;
    test_call t;
    test_call_init(&t, SW_OP_CumSum, 1);
    test_call_input(&t, TEST_F32(six, 2, 3));
    test_call_input(&t, (sw_tensor){.dtype = SW_I32, .rank = 0, .data = &axis});
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, -1, 2, -4, 1, -5), 0));
    test_call_free(&t);
    test_call_int(&t, "exclusive", 1);
    test_call_int(&t, "reverse", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 3, 0, -1, -6, 0), 0));
    test_call_free(&t);
    axis = 2;
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
}

SW_TEST(topk_orders) {
    static const float x[] = {3, 1, 3, 9, -2};
    int64_t k = 3;
    test_call t;
    test_call_init(&t, SW_OP_TopK, 2);
    test_call_input(&t, TEST_F32(x, 5));
    test_call_input(&t, TEST_I64(&k, 1));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(9, 3, 3), 0));
    CHECK(test_call_values(&t, 1, TEST_VALUES(3, 0, 2), 0));
    test_call_free(&t);
    test_call_int(&t, "largest", 0);
    k = 5;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-2, 1, 3, 3, 9), 0));
    CHECK(test_call_values(&t, 1, TEST_VALUES(4, 1, 0, 2, 3), 0));
    test_call_free(&t);
    k = 0;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK_INT(sw_tensor_count(&t.y[0]), 0);
    test_call_free(&t);
}

SW_TEST(topk_inner_axes) {
    static const int8_t x[] = {1, -128, 3, 127, 2, 0};
    int64_t k = 2;
    test_call t;
    test_call_init(&t, SW_OP_TopK, 2);
    test_call_input(&t, test_tensor(SW_I8, TEST_DIMS(3, 2), x));
    test_call_input(&t, TEST_I64(&k, 1));
    test_call_int(&t, "axis", 0);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 127, 2, 0), 0));
    CHECK(test_call_values(&t, 1, TEST_VALUES(1, 1, 2, 2), 0));
    test_call_free(&t);
}

SW_TEST(topk_out_of_memory) {
    int64_t k = 2;
    test_memory memory = {.fail_at = 1};
    sw_allocator allocator = test_memory_allocator(&memory);
    test_call t;
    test_call_init(&t, SW_OP_TopK, 2);
    test_call_input(&t, TEST_F32(six, 6));
    test_call_input(&t, TEST_I64(&k, 1));
    t.call.allocator = &allocator;
    CHECK_INT(test_call_run(&t), SW_E_NOMEM);
    CHECK_INT(memory.held, 0);
    test_call_free(&t);
}

SW_TEST(cum_prod_by_hand) {
    static const float x[] = {2, 3, 4};
    static const int64_t axis[] = {0};
    test_call t;
    test_call_init(&t, SW_OP_CumProd, 1);
    test_call_input(&t, TEST_F32(x, 3));
    test_call_input(&t, test_tensor(SW_I64, 0, NULL, axis));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 6, 24), 0));
    test_call_free(&t);
    test_call_int(&t, "exclusive", 1);
    test_call_int(&t, "reverse", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(12, 4, 1), 0));
    test_call_free(&t);
}
