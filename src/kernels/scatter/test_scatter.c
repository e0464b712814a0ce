#include "kernels/test_run.h"

static const float data[6] = {0, 1, 2, 10, 11, 12};

static sw_status scatter(test_call *t, sw_op op, sw_tensor indices, sw_tensor updates, const char *reduction) {
    test_call_init(t, op, 1);
    test_call_input(t, TEST_F32(data, 2, 3));
    test_call_input(t, indices);
    test_call_input(t, updates);
    test_call_string(t, "reduction", reduction);
    return test_call_run(t);
}

SW_TEST(scatter_nd_slices_and_elements) {
    const int64_t rows[2] = {1, 1}, pairs[4] = {0, -1, 1, 0}, outside[2] = {0, 3};
    const float u[6] = {1, 2, 3, 4, 5, 6};
    test_call t;
    CHECK_INT(scatter(&t, SW_OP_ScatterND, TEST_I64(rows, 2, 1), TEST_F32(u, 2, 3), "none"), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 2, 4, 5, 6), 0));
    test_call_free(&t);
    CHECK_INT(scatter(&t, SW_OP_ScatterND, TEST_I64(rows, 2, 1), TEST_F32(u, 2, 3), "add"), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 2, 15, 18, 21), 0));
    test_call_free(&t);
    CHECK_INT(scatter(&t, SW_OP_ScatterND, TEST_I64(pairs, 2, 2), TEST_F32(u, 2), "max"), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 2, 10, 11, 12), 0));
    test_call_free(&t);
    CHECK_INT(scatter(&t, SW_OP_ScatterND, TEST_I64(outside, 1, 2), TEST_F32(u, 1), "none"), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (ScatterND): the index 3 lies outside of an extent of 3");
    test_call_free(&t);
    CHECK_INT(scatter(&t, SW_OP_ScatterND, TEST_I64(rows, 2, 1), TEST_F32(u, 2, 2), "none"), SW_E_MODEL);
    test_call_free(&t);
    CHECK_INT(scatter(&t, SW_OP_ScatterND, TEST_I64(rows, 2, 1), TEST_F32(u, 2, 3), "xor"), SW_E_MODEL);
    test_call_free(&t);
}

SW_TEST(scatter_elements_along_an_axis) {
    const int64_t i[4] = {2, 0, -3, 0};
    const float u[4] = {5, 6, 7, 8};
    test_call t;
    test_call_init(&t, SW_OP_ScatterElements, 1);
    test_call_input(&t, TEST_F32(data, 2, 3));
    test_call_input(&t, TEST_I64(i, 2, 2));
    test_call_input(&t, TEST_F32(u, 2, 2));
    test_call_int(&t, "axis", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(6, 1, 5, 8, 11, 12), 0));
    test_call_free(&t);
    test_call_string(&t, "reduction", "mul");
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 10, 560, 11, 12), 0));
    test_call_free(&t);
    t.x[1] = TEST_I64(i, 4, 1);
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
}
