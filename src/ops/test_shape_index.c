#include "ops/test_call.h"

enum { BATCH = -2, COUNT = -3 }; /* symbols */

static sw_status two(test_call *t, sw_op op, sw_tensor a, sw_tensor b) {
    test_call_init(t, op, 1);
    test_call_input(t, a);
    test_call_input(t, b);
    return test_call_rule(t);
}

SW_TEST(gather_joins_dims) {
    test_call t;
    CHECK_INT(two(&t, SW_OP_Gather, TEST_F32(NULL, 4, 5), TEST_I64(NULL, BATCH, 3)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 3, 5)));
    test_call_int(&t, "axis", -1);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(4, BATCH, 3)));
    test_call_int(&t, "axis", 2);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_INT(two(&t, SW_OP_Gather, TEST_F32(NULL, 4), TEST_F32(NULL, 3)), SW_E_MODEL);
    CHECK_INT(two(&t, SW_OP_Gather, TEST_F32(NULL, 1, 1, 1, 1, 1), TEST_I64(NULL, 1, 1, 1, 1, 1)), SW_E_UNSUPPORTED);
}

SW_TEST(gather_elements_and_nd) {
    test_call t;
    CHECK_INT(two(&t, SW_OP_GatherElements, TEST_F32(NULL, 4, 5), TEST_I64(NULL, 9, 5)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(9, 5)));
    CHECK_INT(two(&t, SW_OP_GatherElements, TEST_F32(NULL, 4, 5), TEST_I64(NULL, 4, 6)), SW_E_MODEL);
    CHECK_INT(two(&t, SW_OP_GatherND, TEST_F32(NULL, 4, 5, 6), TEST_I64(NULL, COUNT, 2)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(COUNT, 6)));
    CHECK_INT(two(&t, SW_OP_GatherND, TEST_F32(NULL, 4), TEST_I64(NULL, COUNT, 2)), SW_E_MODEL);
    CHECK_INT(two(&t, SW_OP_GatherND, TEST_F32(NULL, 4), TEST_I64(NULL, COUNT, BATCH)), SW_OK);
    CHECK_INT(t.y[0].rank, SW_RANK_UNKNOWN);
    test_call_int(&t, "batch_dims", INT64_MAX);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

static sw_status range(test_call *t, sw_dtype dtype, const void *start, const void *limit, const void *delta) {
    test_call_init(t, SW_OP_Range, 1);
    test_call_input(t, test_tensor(dtype, 0, NULL, start));
    test_call_input(t, test_tensor(dtype, 0, NULL, limit));
    test_call_input(t, test_tensor(dtype, 0, NULL, delta));
    return test_call_rule(t);
}

SW_TEST(range_counts) {
    test_call t;
    int64_t zero = 0, one = 1, ten = 10, three = 3, back = -3, most = INT64_MAX, least = INT64_MIN;
    CHECK_INT(range(&t, SW_I64, &zero, &ten, &three), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(4)));
    CHECK_INT(range(&t, SW_I64, &ten, &zero, &back), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(4)));
    CHECK_INT(range(&t, SW_I64, &ten, &zero, &three), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(0)));
    CHECK_INT(range(&t, SW_I64, &zero, &ten, &zero), SW_E_MODEL);
    CHECK_INT(range(&t, SW_I64, &least, &most, &one), SW_E_MODEL);
    CHECK_INT(range(&t, SW_I64, &most, &least, &least), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(2)));
    CHECK_INT(range(&t, SW_I64, &zero, NULL, &one), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(-1)));
    float a = 0, b = 1, tenth = 0.25f, none = 0;
    CHECK_INT(range(&t, SW_F32, &a, &b, &tenth), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(4)));
    CHECK_INT(range(&t, SW_F32, &a, &b, &none), SW_E_MODEL);
    CHECK_INT(range(&t, SW_F32, &a, &a, &none), SW_E_MODEL);
}

SW_TEST(constant_of_shape_and_one_hot) {
    test_call t;
    const int64_t dims[2] = {3, 0}, negative[1] = {-1}, depth = 6;
    test_call_init(&t, SW_OP_ConstantOfShape, 1);
    test_call_input(&t, TEST_I64(dims, 2));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(3, 0)));
    t.x[0] = TEST_I64(negative, 1);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    t.x[0] = TEST_I64(NULL, 4);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(-1, -1, -1, -1)));
    test_call_init(&t, SW_OP_OneHot, 1);
    test_call_input(&t, TEST_I64(NULL, BATCH, 2));
    test_call_input(&t, test_tensor(SW_I64, 0, NULL, &depth));
    test_call_input(&t, TEST_F32(NULL, 2));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 2, 6)));
    test_call_int(&t, "axis", 1);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 6, 2)));
    t.x[1].data = (void *)(uintptr_t)&negative[0];
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(blocks_and_eyes) {
    test_call t;
    test_call_init(&t, SW_OP_DepthToSpace, 1);
    test_call_input(&t, TEST_F32(NULL, BATCH, 12, 3, COUNT));
    test_call_int(&t, "blocksize", 2);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 3, 6, -1)));
    test_call_int(&t, "blocksize", 5);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_int(&t, "blocksize", INT64_MAX);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_init(&t, SW_OP_SpaceToDepth, 1);
    test_call_input(&t, TEST_F32(NULL, 1, 3, 4, 6));
    test_call_int(&t, "blocksize", 2);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 12, 2, 3)));
    test_call_init(&t, SW_OP_EyeLike, 1);
    test_call_input(&t, TEST_F32(NULL, 2, COUNT));
    test_call_int(&t, "dtype", 9);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_BOOL, TEST_DIMS(2, COUNT)));
    test_call_init(&t, SW_OP_NonZero, 1);
    test_call_input(&t, TEST_F32(NULL, 2, 3));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(2, -1)));
}
