#include "kernels/test_run.h"

SW_TEST(where_broadcasts_all_three) {
    const uint8_t condition[2] = {1, 0};
    const int16_t yes[3] = {1, 2, 3}, no[1] = {-9};
    test_call t;
    test_call_init(&t, SW_OP_Where, 1);
    test_call_input(&t, test_tensor(SW_BOOL, TEST_DIMS(2, 1), condition));
    test_call_input(&t, test_tensor(SW_I16, TEST_DIMS(3), yes));
    test_call_input(&t, test_tensor(SW_I16, TEST_DIMS(1), no));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, 3, -9, -9, -9), 0));
    test_call_free(&t);
}
