#include "ops/test_call.h"

static const int64_t symbol = SW_DIM_SYMBOL - 3;

SW_TEST(shape_matmul) {
    test_call t;
    test_call_init(&t, SW_OP_MatMul, 1);
    test_call_input(&t, TEST_F32(NULL, symbol, 1, 5, 3));
    test_call_input(&t, TEST_F32(NULL, 7, 3, 2));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 7, 5, 2)));
    t.x[1] = TEST_F32(NULL, 3);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 1, 5)));
    t.x[0] = TEST_F32(NULL, SW_DIM_UNKNOWN);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK_INT(t.y[0].rank, 0);
    t.x[1] = TEST_F32(NULL, 6, 4, 2);
    t.x[0] = TEST_F32(NULL, 4);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(6, 2)));
    t.x[0] = TEST_F32(NULL, 3);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(),
              "node 'n' (MatMul): the left matrix has 3 columns, the right one 4 rows; expected equal");
    t.x[0].rank = 0;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    t.x[0].rank = SW_RANK_UNKNOWN;
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK_INT(t.y[0].rank, SW_RANK_UNKNOWN);
}

SW_TEST(shape_gemm) {
    test_call t;
    test_call_init(&t, SW_OP_Gemm, 1);
    test_call_input(&t, TEST_F32(NULL, 3, symbol));
    test_call_input(&t, TEST_F32(NULL, 5, 3));
    test_call_input(&t, TEST_F32(NULL, 1, 5));
    test_call_int(&t, "transA", 1);
    test_call_int(&t, "transB", 1);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 5)));
    t.x[2] = TEST_F32(NULL, 4);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Gemm): input C has extent 4 where the product has 5; expected that or 1");
    test_call_int(&t, "transA", 0);
    t.x[0].dims[1] = 4;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    t.x[0].rank = 3;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
