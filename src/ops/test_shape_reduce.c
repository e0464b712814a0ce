#include "ops/test_call.h"

static const int64_t symbol = SW_DIM_SYMBOL - 3;

SW_TEST(shape_reduce) {
    test_call t;
    int64_t axes[] = {-1, 1};
    test_call_init(&t, SW_OP_ReduceSum, 1);
    test_call_input(&t, TEST_F32(NULL, symbol, 3, 4));
    test_call_input(&t, TEST_I64(axes, 2));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 1, 1)));
    test_call_int(&t, "keepdims", 0);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol)));
    t.x[1].data = NULL; /* two axes, who knows which */
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(SW_DIM_UNKNOWN)));
    t.x[1].dims[0] = SW_DIM_UNKNOWN;
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK_INT(t.y[0].rank, SW_RANK_UNKNOWN);
    t.x[1].dims[0] = 0;
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK_INT(t.y[0].rank, 0);
    test_call_int(&t, "noop_with_empty_axes", 1);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 3, 4)));
    axes[0] = 1;
    t.x[1] = TEST_I64(axes, 2);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (ReduceSum): axis 1 is named twice");
    axes[0] = 3;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(shape_arg_reduce) {
    test_call t;
    test_call_init(&t, SW_OP_ArgMax, 1);
    test_call_input(&t, TEST_F32(NULL, 2, symbol, 4));
    test_call_int(&t, "axis", -2);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(2, 1, 4)));
    test_call_int(&t, "keepdims", 0);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(2, 4)));
    t.x[0].dims[1] = 0;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_int(&t, "axis", 3);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(shape_topk) {
    test_call t;
    int64_t k = 3;
    test_call_init(&t, SW_OP_TopK, 2);
    test_call_input(&t, TEST_F32(NULL, 2, 5));
    test_call_input(&t, TEST_I64(&k, 1));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 3)));
    CHECK(test_call_gives(&t, 1, SW_I64, TEST_DIMS(2, 3)));
    t.x[1].data = NULL;
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, SW_DIM_UNKNOWN)));
    t.x[1].data = &k;
    k = 6;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (TopK): k is 6, but axis 1 has only 5 elements");
    k = -1;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(shape_softmax) {
    test_call t;
    test_call_init(&t, SW_OP_Softmax, 1);
    test_call_input(&t, TEST_F32(NULL, 2, symbol));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, symbol)));
    test_call_int(&t, "axis", 2);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(shape_batch_norm) {
    test_call t;
    test_call_init(&t, SW_OP_BatchNormalization, 1);
    test_call_input(&t, TEST_F32(NULL, symbol, 3, SW_DIM_UNKNOWN));
    for (int i = 0; i < 4; i++) test_call_input(&t, TEST_F32(NULL, 3));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 3, SW_DIM_UNKNOWN)));
    t.x[3].dims[0] = 4;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(),
              "node 'n' (BatchNormalization): input mean has 4 entries, but the input has 3 channels");
    test_call_int(&t, "training_mode", 1);
    CHECK_INT(test_call_rule(&t), SW_E_UNSUPPORTED);
}

SW_TEST(shape_layer_norm) {
    test_call t;
    test_call_init(&t, SW_OP_LayerNormalization, 3);
    test_call_input(&t, TEST_F32(NULL, 2, symbol, 4));
    test_call_input(&t, TEST_F32(NULL, 4));
    t.x[0].dtype = t.x[1].dtype = SW_F16;
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F16, TEST_DIMS(2, symbol, 4)));
    CHECK(test_call_gives(&t, 1, SW_F32, TEST_DIMS(2, symbol, 1)));
    CHECK(test_call_gives(&t, 2, SW_F32, TEST_DIMS(2, symbol, 1)));
    t.x[1].dims[0] = 3;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
