#include "kernels/test_run.h"

static const float data[6] = {0, 1, 2, 10, 11, 12};

static sw_status gather(test_call *t, sw_op op, sw_tensor x, sw_tensor indices, const char *attr, int64_t value) {
    test_call_init(t, op, 1);
    test_call_input(t, x);
    test_call_input(t, indices);
    test_call_int(t, attr, value);
    return test_call_run(t);
}

SW_TEST(gather_slices_and_columns) {
    const int64_t i[2] = {1, -2};
    const int32_t j[2] = {2, 0};
    test_call t;
    CHECK_INT(gather(&t, SW_OP_Gather, TEST_F32(data, 2, 3), TEST_I64(i, 2), "axis", 0), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(10, 11, 12, 0, 1, 2), 0));
    test_call_free(&t);
    CHECK_INT(gather(&t, SW_OP_Gather, TEST_F32(data, 2, 3), test_tensor(SW_I32, TEST_DIMS(1, 2), j), "axis", 1),
              SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 1, 2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 0, 12, 10), 0));
    test_call_free(&t);
}

SW_TEST(gather_refuses_indices_outside) {
    const int64_t i[2] = {0, 2}, j[1] = {INT64_MIN};
    test_call t;
    CHECK_INT(gather(&t, SW_OP_Gather, TEST_F32(data, 2, 3), TEST_I64(i, 2), "axis", 0), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Gather): the index 2 lies outside of an extent of 2");
    test_call_free(&t);
    CHECK_INT(gather(&t, SW_OP_Gather, TEST_F32(data, 2, 3), TEST_I64(j, 1), "axis", 0), SW_E_MODEL);
    test_call_free(&t);
    CHECK_INT(gather(&t, SW_OP_GatherND, TEST_F32(data, 2, 3), TEST_I64(i, 2), "batch_dims", 0), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2), 0));
    test_call_free(&t);
    CHECK_INT(gather(&t, SW_OP_GatherND, TEST_F32(data, 3, 2), TEST_I64(i, 2), "batch_dims", 0), SW_E_MODEL);
    test_call_free(&t);
}

SW_TEST(gather_elements_by_row) {
    const int64_t i[4] = {2, 0, -1, 1};
    test_call t;
    CHECK_INT(gather(&t, SW_OP_GatherElements, TEST_F32(data, 2, 3), TEST_I64(i, 2, 2), "axis", 1), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 0, 12, 11), 0));
    test_call_free(&t);
    const int64_t j[3] = {1, 0, 1};
    CHECK_INT(gather(&t, SW_OP_GatherElements, TEST_F32(data, 2, 3), TEST_I64(j, 1, 3), "axis", 0), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(10, 1, 12), 0));
    test_call_free(&t);
}

SW_TEST(gather_nd_in_batches) {
    const int64_t i[4] = {1, -1, 0, 2};
    test_call t;
    CHECK_INT(gather(&t, SW_OP_GatherND, TEST_F32(data, 2, 3), TEST_I64(i, 2, 2, 1), "batch_dims", 1), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, 10, 12), 0));
    test_call_free(&t);
    CHECK_INT(gather(&t, SW_OP_GatherND, TEST_F32(data, 2, 3), TEST_I64(i, 2, 1), "batch_dims", 0), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 3)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(10, 11, 12, 10, 11, 12), 0));
    test_call_free(&t);
}
