#include "ops/shape.h"
#include "ops/test_call.h"

static const int64_t symbol = SW_DIM_SYMBOL - 3;

/* A convolution of x with 8 x 4 x 3 x 3 weights. */
static void conv_of(test_call *t, sw_tensor x) {
    test_call_init(t, SW_OP_Conv, 1);
    test_call_input(t, x);
    test_call_input(t, TEST_F32(NULL, 8, 4, 3, 3));
}

SW_TEST(shape_conv_extents) {
    test_call t;
    conv_of(&t, TEST_F32(NULL, 2, 4, 10, 7));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 8, 8, 5)));
    test_call_ints(&t, "pads", TEST_DIMS(1, 0, 2, 1));
    test_call_ints(&t, "strides", TEST_DIMS(2, 3));
    test_call_ints(&t, "dilations", TEST_DIMS(2, 1));
    CHECK_INT(test_call_rule(&t), SW_OK); /* (10 + 3 - 5) / 2 + 1, (7 + 1 - 3) / 3 + 1 */
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 8, 5, 2)));
    test_call_string(&t, "auto_pad", "SAME_UPPER");
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 8, 5, 3)));
    test_call_string(&t, "auto_pad", "VALID");
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 8, 3, 2)));
}

SW_TEST(shape_conv_unknown_dims) {
    test_call t;
    conv_of(&t, TEST_F32(NULL, symbol, 4, symbol - 1, SW_DIM_UNKNOWN));
    test_call_ints(&t, "pads", TEST_DIMS(1, 1, 1, 1));
    CHECK_INT(test_call_rule(&t), SW_OK); /* a 3 x 3 kernel with padding 1 keeps the extent, and so the symbol */
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 8, symbol - 1, SW_DIM_UNKNOWN)));
    test_call_ints(&t, "strides", TEST_DIMS(2, 2));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 8, SW_DIM_UNKNOWN, SW_DIM_UNKNOWN)));
    t.x[0].rank = SW_RANK_UNKNOWN;
    t.x[0].dtype = SW_DTYPE_NONE;
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK_INT(t.y[0].dtype, SW_F32);
    CHECK_INT(t.y[0].rank, 4);
    CHECK_INT(t.y[0].dims[1], 8);
    t.x[1].rank = SW_RANK_UNKNOWN;
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK_INT(t.y[0].rank, SW_RANK_UNKNOWN);
}

SW_TEST(shape_conv_misfits) {
    test_call t;
    conv_of(&t, TEST_F32(NULL, 1, 3, 8, 8));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Conv): the input has 3 channels; weights for 4 channels in 1 groups expect "
                                 "another number");
    t.x[0].dims[1] = 4;
    test_call_ints(&t, "kernel_shape", TEST_DIMS(3, 5));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(),
              "node 'n' (Conv): attribute kernel_shape says 5 on spatial axis 1, but the weights have 3");
    test_call_ints(&t, "kernel_shape", TEST_DIMS(3, 3));
    test_call_ints(&t, "pads", TEST_DIMS(-1, 0, 0, 0));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK(strstr(sw_test_message(), "attribute pads is -1 at entry 0") != NULL);
    test_call_ints(&t, "pads", TEST_DIMS(0, 0, 0));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_ints(&t, "pads", TEST_DIMS(0, 0, 0, 0));
    test_call_ints(&t, "strides", TEST_DIMS(0, 1));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_ints(&t, "strides", TEST_DIMS(1, 1));
    test_call_int(&t, "group", 3);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_int(&t, "group", 0);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_int(&t, "group", 1);
    t.x[0].dims[2] = 2;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(),
              "node 'n' (Conv): the kernel covers 3 pixels on spatial axis 0, but the padded input has 2");
    test_call_string(&t, "auto_pad", "SAME");
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(shape_conv_hostile_extents) {
    test_call t;
    conv_of(&t, TEST_F32(NULL, 1, 4, INT64_MAX, 8));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    t.x[0].dims[2] = 8;
    test_call_ints(&t, "dilations", TEST_DIMS(INT64_MAX, INT64_MAX));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_ints(&t, "dilations", TEST_DIMS(1, 1));
    test_call_ints(&t, "pads", TEST_DIMS(INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_ints(&t, "pads", TEST_DIMS(0, 0, 0, 0));
    t.x[1].dims[2] = 0;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    t.x[1].dims[2] = 3;
    t.x[0].dims[2] = 0; /* an empty picture gives an empty one */
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 8, 0, 6)));
}

SW_TEST(shape_conv_transpose) {
    test_call t;
    test_call_init(&t, SW_OP_ConvTranspose, 1);
    test_call_input(&t, TEST_F32(NULL, 1, 6, 5, symbol));
    test_call_input(&t, TEST_F32(NULL, 6, 4, 3, 3));
    test_call_int(&t, "group", 2);
    test_call_ints(&t, "strides", TEST_DIMS(2, 2));
    test_call_ints(&t, "pads", TEST_DIMS(1, 1, 0, 0));
    CHECK_INT(test_call_rule(&t), SW_OK); /* 2 * 4 + 3 - 1 */
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 8, 10, SW_DIM_UNKNOWN)));
    test_call_ints(&t, "output_padding", TEST_DIMS(1, 1));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 8, 11, SW_DIM_UNKNOWN)));
    test_call_ints(&t, "output_shape", TEST_DIMS(9, 9));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 8, 9, 9)));
    sw_window w; /* natural extent 12: three pixels too many, the odd one at the begin */
    CHECK_INT(sw_call_window_transposed(&t.call, t.in[0], t.x[1].dims + 2, &w), SW_OK);
    CHECK_INT(w.pad_begin[0], 2);
    CHECK_INT(w.pad_end[0], 1);
    test_call_ints(&t, "output_shape", TEST_DIMS(14, 9));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    t.x[0].dims[2] = (int64_t)1 << 61;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(shape_pool_ceil_mode) {
    test_call t;
    test_call_init(&t, SW_OP_MaxPool, 2);
    test_call_input(&t, TEST_F32(NULL, 1, 2, 6, 5));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (MaxPool): attribute kernel_shape is missing");
    test_call_ints(&t, "kernel_shape", TEST_DIMS(3, 3));
    test_call_ints(&t, "strides", TEST_DIMS(2, 2));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 2, 2, 2)));
    CHECK(test_call_gives(&t, 1, SW_I64, TEST_DIMS(1, 2, 2, 2)));
    test_call_int(&t, "ceil_mode", 1);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 2, 3, 2)));
    /* The last window of axis 0 would start in the padding at the end: it is dropped. */
    test_call_ints(&t, "kernel_shape", TEST_DIMS(2, 3));
    test_call_ints(&t, "strides", TEST_DIMS(6, 2));
    test_call_ints(&t, "pads", TEST_DIMS(0, 0, 1, 0));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 2, 1, 2)));
}

SW_TEST(shape_global_pool) {
    test_call t;
    test_call_init(&t, SW_OP_GlobalAveragePool, 1);
    test_call_input(&t, TEST_F32(NULL, symbol, 2, 6, SW_DIM_UNKNOWN));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(symbol, 2, 1, 1)));
    t.x[0].rank = 1;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
