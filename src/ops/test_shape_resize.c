#include "ops/test_call.h"

static const int64_t symbol = SW_DIM_SYMBOL - 3;

SW_TEST(shape_resize_scales) {
    test_call t;
    float scales[] = {1, 1, 2, 0.6f};
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_input(&t, TEST_F32(NULL, symbol, 3, 4, 9));
    test_call_absent(&t);
    test_call_input(&t, TEST_F32(scales, 4));
    CHECK_INT(test_call_rule(&t), SW_OK); /* 5.4 is cut off */
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 3, 8, 5)));
    t.x[2].data = NULL;
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(SW_DIM_UNKNOWN, SW_DIM_UNKNOWN, SW_DIM_UNKNOWN, SW_DIM_UNKNOWN)));
    t.x[2] = TEST_F32(scales, 3);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(),
              "node 'n' (Resize): 'scales' (input 3) has rank 1 and 3 entries, expected rank 1 and 4");
    t.x[2] = TEST_F32(scales, 4);
    scales[2] = 0;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    scales[2] = 1e30f;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    scales[2] = 1e9f;
    t.x[0].dims[2] = (int64_t)1 << 40;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    t.x[2].dims[0] = 0; /* empty counts as absent */
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Resize): neither 'scales' (input 3) nor 'sizes' (input 4) is given");
}

SW_TEST(shape_resize_sizes) {
    test_call t;
    int64_t sizes[] = {8, 30};
    test_call_init(&t, SW_OP_Resize, 1);
    test_call_input(&t, TEST_F32(NULL, symbol, 3, 4, 10));
    test_call_absent(&t);
    test_call_absent(&t);
    test_call_input(&t, TEST_I64(sizes, 2));
    test_call_ints(&t, "axes", TEST_DIMS(2, -1));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 3, 8, 30)));
    test_call_string(&t, "keep_aspect_ratio_policy", "not_larger"); /* twice */
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 3, 8, 20)));
    test_call_string(&t, "keep_aspect_ratio_policy", "not_smaller"); /* three times */
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 3, 12, 30)));
    test_call_ints(&t, "axes", TEST_DIMS(3, -1));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_ints(&t, "axes", TEST_DIMS(2, 3));
    sizes[0] = -1;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_string(&t, "mode", "magic");
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Resize): attribute mode is 'magic', which is none of its values");
}
