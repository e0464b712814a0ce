#include "ops/test_call.h"

enum { BATCH = -2, WIDTH = -3 }; /* symbols */

/* The rule of an operator with a tensor and a list of integers, which may be unknown (v NULL). */
static sw_status with_ints(test_call *t, sw_op op, sw_tensor x, int n, const int64_t *v) {
    static int64_t kept[16]; /* tests run the rule again after their literals are gone */
    if (v) memcpy(kept, v, sizeof kept[0] * (size_t)n);
    test_call_init(t, op, 1);
    test_call_input(t, x);
    test_call_input(t, TEST_I64(v ? kept : NULL, n));
    return test_call_rule(t);
}
#define INTS(...) TEST_DIMS(__VA_ARGS__)

SW_TEST(reshape_computes_the_hole) {
    test_call t;
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 2, 3, 4), INTS(0, -1)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 12)));
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 2, 3, 4), INTS(4, 6, -1)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(4, 6, 1)));
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 0, 3), INTS(5, -1)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(5, 0)));
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 0, 3), INTS(0, 5)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(0, 5)));
}

SW_TEST(reshape_keeps_symbols) {
    test_call t;
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, BATCH, 64, 20, 20), INTS(0, 64, -1)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 64, 400)));
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, BATCH, 4, 5), INTS(-1, 20)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 20)));
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, BATCH, 4, WIDTH), INTS(0, 2, -1)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 2, SW_DIM_UNKNOWN)));
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, SW_DIM_UNKNOWN, 6), INTS(0, 2, -1)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(SW_DIM_UNKNOWN, 2, 3)));
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, BATCH, 6), 3, NULL), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(-1, -1, -1)));
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 5, 6), 1, NULL), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(30)));
}

SW_TEST(reshape_refuses_misfits) {
    test_call t;
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 2, 3), INTS(4, -1)), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Reshape): 6 elements do not divide by the 4 of the other axes");
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 2, 3), INTS(5)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 2, 3), INTS(-1, -1)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 2, 3), INTS(2, 3, 0)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 2, 3), INTS(-2, 3)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 2), INTS(INT64_MAX, INT64_MAX)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 1), INTS(1, 1, 1, 1, 1, 1, 1, 1, 1)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(NULL, 0), INTS(0, -1)), SW_OK); /* copies the 0 */
    test_call_int(&t, "allowzero", 1);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(squeeze_and_unsqueeze) {
    test_call t;
    CHECK_INT(with_ints(&t, SW_OP_Squeeze, TEST_F32(NULL, 1, BATCH, 1), INTS(0, -1)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH)));
    CHECK_INT(with_ints(&t, SW_OP_Squeeze, TEST_F32(NULL, 1, 2), INTS(1)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Squeeze, TEST_F32(NULL, 1, 2), INTS(0, -2)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Squeeze, TEST_F32(NULL, 1, 2), 1, NULL), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(-1)));
    test_call_init(&t, SW_OP_Squeeze, 1);
    test_call_input(&t, TEST_F32(NULL, 1, BATCH));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK_INT(t.y[0].rank, SW_RANK_UNKNOWN); /* BATCH may be 1 */
    CHECK_INT(with_ints(&t, SW_OP_Unsqueeze, TEST_F32(NULL, BATCH, 5), INTS(0, -1)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, BATCH, 5, 1)));
    CHECK_INT(with_ints(&t, SW_OP_Unsqueeze, TEST_F32(NULL, 5), INTS(2)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Unsqueeze, TEST_F32(NULL, 1, 1, 1, 1, 1, 1, 1, 1), INTS(0)), SW_E_UNSUPPORTED);
}

SW_TEST(transpose_needs_a_permutation) {
    test_call t;
    test_call_init(&t, SW_OP_Transpose, 1);
    test_call_input(&t, TEST_F32(NULL, BATCH, 3, 4));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(4, 3, BATCH)));
    test_call_ints(&t, "perm", TEST_DIMS(1, 0, 2));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(3, BATCH, 4)));
    test_call_ints(&t, "perm", TEST_DIMS(1, 1, 2));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_ints(&t, "perm", TEST_DIMS(0, 1));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(concat_merges_what_is_known) {
    test_call t;
    test_call_init(&t, SW_OP_Concat, 1);
    test_call_input(&t, TEST_F32(NULL, BATCH, 3, -1));
    test_call_input(&t, TEST_F32(NULL, -1, 5, 8));
    test_call_int(&t, "axis", 1);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 8, 8)));
    test_call_int(&t, "axis", -4);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_int(&t, "axis", 0);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Concat): extents 3 and 5 of axis 1 must be equal");
    test_call_init(&t, SW_OP_Concat, 1);
    test_call_input(&t, TEST_F32(NULL, 2, 3));
    test_call_input(&t, (sw_tensor){.dtype = SW_F32, .rank = SW_RANK_UNKNOWN});
    test_call_int(&t, "axis", 1);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, -1)));
}

SW_TEST(split_by_lengths_or_evenly) {
    test_call t;
    test_call_init(&t, SW_OP_Split, 2);
    test_call_input(&t, TEST_F32(NULL, BATCH, 7));
    test_call_int(&t, "axis", 1);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 4)));
    CHECK(test_call_gives(&t, 1, SW_F32, TEST_DIMS(BATCH, 3)));
    const int64_t good[2] = {1, 6}, bad[2] = {1, 5};
    test_call_input(&t, TEST_I64(good, 2));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 1)));
    CHECK(test_call_gives(&t, 1, SW_F32, TEST_DIMS(BATCH, 6)));
    t.x[1] = TEST_I64(bad, 2);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Split): the lengths sum up to 6, the axis has 7");
    t.x[1] = TEST_I64(NULL, 3);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    t.x[1] = TEST_I64(NULL, 2);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 1, SW_F32, TEST_DIMS(BATCH, -1)));
}

static sw_status slice(test_call *t, sw_tensor x, int64_t start, int64_t end, int64_t axis, int64_t step) {
    static int64_t v[4]; /* outlives the call, too */
    v[0] = start, v[1] = end, v[2] = axis, v[3] = step;
    test_call_init(t, SW_OP_Slice, 1);
    test_call_input(t, x);
    for (int i = 0; i < 4; i++) test_call_input(t, TEST_I64(&v[i], 1));
    return test_call_rule(t);
}

SW_TEST(slice_clamps_as_numpy) {
    test_call t;
    static const int64_t cases[][4] = {
        /* start, end, step, count of 10 */
        {2, 5, 1, 3},
        {0, INT64_MAX, 3, 4},
        {-3, 100, 1, 3},
        {9, 0, -1, 9},
        {-1, INT64_MIN, -1, 10},
        {-1, INT64_MIN, INT64_MIN, 1},
        {5, 2, 1, 0},
        {100, 200, 1, 0},
        {0, 10, INT64_MAX, 1},
        {INT64_MIN, INT64_MAX, 2, 5},
        {3, 3, -1, 0},
        {INT64_MAX, 4, -2, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_INT(slice(&t, TEST_F32(NULL, 10), cases[i][0], cases[i][1], 0, cases[i][2]), SW_OK);
        CHECK_INT(t.y[0].dims[0], cases[i][3]);
    }
    CHECK_INT(slice(&t, TEST_F32(NULL, 10), 0, 1, 0, 0), SW_E_MODEL);
    CHECK_INT(slice(&t, TEST_F32(NULL, 10), 0, 1, 1, 1), SW_E_MODEL);
}

SW_TEST(slice_of_unknown_dims) {
    test_call t;
    CHECK_INT(slice(&t, TEST_F32(NULL, BATCH, 10), 0, INT64_MAX, 0, 1), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 10)));
    CHECK_INT(slice(&t, TEST_F32(NULL, BATCH, 10), 1, INT64_MAX, 0, 1), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(-1, 10)));
    t.x[1].data = NULL; /* unknown start, known axes */
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(-1, 10)));
    t.x[3].data = NULL; /* unknown axes */
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(-1, -1)));
}

SW_TEST(expand_and_tile) {
    test_call t;
    CHECK_INT(with_ints(&t, SW_OP_Expand, TEST_F32(NULL, BATCH, 1), INTS(2, 1, 4)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, BATCH, 4)));
    CHECK_INT(with_ints(&t, SW_OP_Expand, TEST_F32(NULL, 3), INTS(2)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Expand, TEST_F32(NULL, 3), INTS(-3)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Expand, TEST_F32(NULL, 3, 1), 3, NULL), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(-1, 3, -1)));
    CHECK_INT(with_ints(&t, SW_OP_Tile, TEST_F32(NULL, BATCH, 3), INTS(1, 4)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 12)));
    CHECK_INT(with_ints(&t, SW_OP_Tile, TEST_F32(NULL, 3), INTS(INT64_MAX)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Tile, TEST_F32(NULL, 3), INTS(1, 1)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Tile, TEST_F32(NULL, 3), INTS(-1)), SW_E_MODEL);
}

SW_TEST(pad_checks_its_pads) {
    test_call t;
    CHECK_INT(with_ints(&t, SW_OP_Pad, TEST_F32(NULL, BATCH, 5), INTS(0, 1, 0, -3)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 3)));
    CHECK_INT(with_ints(&t, SW_OP_Pad, TEST_F32(NULL, 5), INTS(-3, -3)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Pad, TEST_F32(NULL, 5), INTS(INT64_MAX, 1)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Pad, TEST_F32(NULL, 5), INTS(1, 1, 1)), SW_E_MODEL);
    CHECK_INT(with_ints(&t, SW_OP_Pad, TEST_F32(NULL, 0), INTS(1, 1)), SW_OK);
    test_call_string(&t, "mode", "reflect");
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_string(&t, "mode", "mirror");
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Pad): unknown mode 'mirror'");
}

SW_TEST(shape_and_flatten) {
    test_call t;
    test_call_init(&t, SW_OP_Shape, 1);
    test_call_input(&t, TEST_F32(NULL, BATCH, 3, 4));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(3)));
    test_call_int(&t, "start", -2);
    test_call_int(&t, "end", -1);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(1)));
    test_call_int(&t, "start", INT64_MAX);
    test_call_int(&t, "end", INT64_MIN);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(0)));
    test_call_init(&t, SW_OP_Flatten, 1);
    test_call_input(&t, TEST_F32(NULL, BATCH, 3, 4));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 12)));
    test_call_int(&t, "axis", 3);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(-1, 1)));
    test_call_int(&t, "axis", 4);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
