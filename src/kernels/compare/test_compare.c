#include <math.h>

#include "kernels/test_run.h"

static bool gives(sw_op op, sw_tensor a, sw_tensor b, const double want[4]) {
    test_call t;
    test_call_init(&t, op, 1);
    test_call_input(&t, a);
    test_call_input(&t, b);
    bool good = test_call_run(&t) == SW_OK && test_call_values(&t, 0, 4, want, 0);
    test_call_free(&t);
    return good;
}
#define GIVES(op, ...) CHECK(gives(op, a, b, (const double[4]){__VA_ARGS__}))

SW_TEST(compare_floats) {
    const float x[4] = {1, 2, NAN, -0.0f}, y[4] = {2, 2, NAN, 0};
    sw_tensor a = TEST_F32(x, 4), b = TEST_F32(y, 4);
    GIVES(SW_OP_Equal, 0, 1, 0, 1);
    GIVES(SW_OP_Less, 1, 0, 0, 0);
    GIVES(SW_OP_LessOrEqual, 1, 1, 0, 1);
    GIVES(SW_OP_Greater, 0, 0, 0, 0);
    GIVES(SW_OP_GreaterOrEqual, 0, 1, 0, 1);
}

SW_TEST(compare_unsigned_above_the_signed_range) {
    const uint64_t x[4] = {UINT64_MAX, 1, 0, 5}, y[1] = {5};
    sw_tensor a = test_tensor(SW_U64, TEST_DIMS(4), x), b = test_tensor(SW_U64, TEST_DIMS(1), y);
    GIVES(SW_OP_Greater, 1, 0, 0, 0);
    GIVES(SW_OP_Equal, 0, 0, 0, 1);
}

SW_TEST(compare_logic) {
    const uint8_t x[4] = {0, 0, 1, 2}, y[4] = {0, 1, 0, 1}; /* 2 is true as well */
    sw_tensor a = test_tensor(SW_BOOL, TEST_DIMS(4), x), b = test_tensor(SW_BOOL, TEST_DIMS(4), y);
    GIVES(SW_OP_And, 0, 0, 0, 1);
    GIVES(SW_OP_Or, 0, 1, 1, 1);
    GIVES(SW_OP_Xor, 0, 1, 1, 0);
    GIVES(SW_OP_Equal, 1, 0, 0, 1);
}
