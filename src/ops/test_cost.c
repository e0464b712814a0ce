#include "ops/cost.h"
#include "ops/test_call.h"

SW_TEST(cost_of_convolutions_and_products) {
    test_call t;
    test_call_init(&t, SW_OP_Conv, 1);
    test_call_input(&t, TEST_F32(NULL, 1, 4, 10, 10));
    test_call_input(&t, TEST_F32(NULL, 8, 2, 3, 3)); /* two groups */
    t.y[0] = TEST_F32(NULL, 1, 8, 8, 8);
    CHECK_NEAR(sw_call_macs(&t.call), 8 * 8 * 8 * 18, 0);
    CHECK_NEAR(sw_call_flops(&t.call), 2 * 8 * 8 * 8 * 18, 0);
    CHECK_NEAR(sw_call_bytes(&t.call), 4 * (400 + 144 + 512), 0);
    test_call_init(&t, SW_OP_MatMul, 1);
    test_call_input(&t, TEST_F32(NULL, 3, 5, 7));
    test_call_input(&t, TEST_F32(NULL, 7, 2));
    t.y[0] = TEST_F32(NULL, 3, 5, 2);
    CHECK_NEAR(sw_call_flops(&t.call), 2 * 3 * 5 * 7 * 2, 0);
}

SW_TEST(cost_counts_elements_as_the_table_says) {
    test_call t;
    test_call_init(&t, SW_OP_Softmax, 1);
    test_call_input(&t, TEST_F32(NULL, 2, 10));
    t.y[0] = TEST_F32(NULL, 2, 10);
    CHECK_NEAR(sw_call_flops(&t.call), 5 * 20, 0);
    test_call_init(&t, SW_OP_MaxPool, 1);
    test_call_input(&t, TEST_F32(NULL, 1, 2, 6, 6));
    test_call_ints(&t, "kernel_shape", TEST_DIMS(5, 5));
    t.y[0] = TEST_F32(NULL, 1, 2, 2, 2);
    CHECK_NEAR(sw_call_flops(&t.call), 25 * 8, 0);
    test_call_init(&t, SW_OP_Max, 1);
    for (int i = 0; i < 3; i++) test_call_input(&t, TEST_F32(NULL, 10));
    t.y[0] = TEST_F32(NULL, 10);
    CHECK_NEAR(sw_call_flops(&t.call), 20, 0);
}

SW_TEST(cost_of_moves_is_bytes) {
    test_call t;
    test_call_init(&t, SW_OP_Gather, 1);
    test_call_input(&t, TEST_F32(NULL, 1000, 8));
    test_call_input(&t, TEST_I64(NULL, 3));
    t.y[0] = TEST_F32(NULL, 3, 8);
    CHECK_NEAR(sw_call_flops(&t.call), 0, 0);
    CHECK_NEAR(sw_call_bytes(&t.call), 96 + 96 + 24, 0); /* three rows read and written, and the indices */
    test_call_init(&t, SW_OP_Add, 1);
    test_call_input(&t, TEST_F32(NULL, 10));
    t.call.n_in = 2;
    t.in[1] = t.in[0]; /* x + x reads x once */
    t.y[0] = TEST_F32(NULL, 10);
    CHECK_NEAR(sw_call_bytes(&t.call), 80, 0);
}

SW_TEST(cost_says_what_it_does_not_know) {
    test_call t;
    test_call_init(&t, SW_OP_NonZero, 1); /* no row */
    test_call_input(&t, TEST_F32(NULL, 10));
    t.y[0] = TEST_F32(NULL, 1, 4);
    CHECK_NEAR(sw_call_flops(&t.call), -1, 0);
    test_call_init(&t, SW_OP_Relu, 1);
    test_call_input(&t, TEST_F32(NULL, SW_DIM_UNKNOWN, 4, SW_DIM_UNKNOWN));
    t.y[0] = t.x[0];
    CHECK_NEAR(sw_call_flops(&t.call), -1, 0);
    CHECK_NEAR(sw_call_bytes(&t.call), -1, 0);
    t.y[0].dims[2] = 5; /* an open batch is one picture */
    CHECK_NEAR(sw_call_flops(&t.call), 20, 0);
}
