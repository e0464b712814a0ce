#include <math.h>

#include "kernels/test_run.h"

/* An operator over four floats against values computed by hand. */
static bool gives(sw_op op, const float x[4], const double want[4]) {
    test_call t;
    test_call_init(&t, op, 1);
    test_call_input(&t, TEST_F32(x, 4));
    bool good = test_call_run(&t) == SW_OK && test_call_values(&t, 0, 4, want, 1e-6);
    test_call_free(&t);
    return good;
}
#define GIVES(op, ...) CHECK(gives(op, x, (const double[4]){__VA_ARGS__}))

SW_TEST(unary_functions_of_floats) {
    const float x[4] = {-2, -0.5f, 0, 1.5f};
    GIVES(SW_OP_Abs, 2, 0.5, 0, 1.5);
    GIVES(SW_OP_Neg, 2, 0.5, 0, -1.5);
    GIVES(SW_OP_Sign, -1, -1, 0, 1);
    GIVES(SW_OP_Floor, -2, -1, 0, 1);
    GIVES(SW_OP_Ceil, -2, 0, 0, 2);
    GIVES(SW_OP_Round, -2, 0, 0, 2);
    GIVES(SW_OP_Relu, 0, 0, 0, 1.5);
    GIVES(SW_OP_Exp, 0.1353352832, 0.6065306597, 1, 4.4816890703);
    GIVES(SW_OP_Erf, -0.9953222650, -0.5204998778, 0, 0.9661051465);
    GIVES(SW_OP_Sigmoid, 0.1192029220, 0.3775406688, 0.5, 0.8175744762);
    GIVES(SW_OP_Softplus, 0.1269280110, 0.4740769842, 0.6931471806, 1.7014132779);
    GIVES(SW_OP_Softsign, -2.0 / 3, -1.0 / 3, 0, 0.6);
    GIVES(SW_OP_HardSwish, -1.0 / 3, -0.2083333333, 0, 1.125);
    GIVES(SW_OP_Mish, -0.2525014826, -0.2207437673, 0, 1.4033782664);
    GIVES(SW_OP_LeakyRelu, -0.02, -0.005, 0, 1.5);
    GIVES(SW_OP_Elu, -0.8646647168, -0.3934693403, 0, 1.5);
    GIVES(SW_OP_Celu, -0.8646647168, -0.3934693403, 0, 1.5);
    GIVES(SW_OP_Selu, -1.5201664686, -0.6917581878, 0, 1.5760515532);
    GIVES(SW_OP_ThresholdedRelu, 0, 0, 0, 1.5);
    GIVES(SW_OP_HardSigmoid, 0.1, 0.4, 0.5, 0.8);
    GIVES(SW_OP_Shrink, -2, 0, 0, 1.5);
    GIVES(SW_OP_Gelu, -0.0455002639, -0.1542687694, 0, 1.3997891981);
    GIVES(SW_OP_Swish, -0.2384058440, -0.1887703344, 0, 1.2263617143);
}

SW_TEST(unary_rounds_halves_to_even) {
    const float x[4] = {0.5f, 1.5f, 2.5f, -2.5f};
    GIVES(SW_OP_Round, 0, 2, 2, -2);
    GIVES(SW_OP_Reciprocal, 2, 2.0 / 3, 0.4, -0.4);
}

SW_TEST(unary_parameters) {
    const float x[3] = {-2, 0.25f, 3};
    test_call t;
    test_call_init(&t, SW_OP_Shrink, 1);
    test_call_input(&t, TEST_F32(x, 3));
    test_call_float(&t, "bias", 0.5f);
    test_call_float(&t, "lambd", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-1.5, 0, 2.5), 0));
    test_call_free(&t);
    test_call_init(&t, SW_OP_Gelu, 1);
    test_call_input(&t, TEST_F32(x, 3));
    test_call_string(&t, "approximate", "tanh");
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-0.0454023057, 0.1496753507, 2.9963627071), 1e-6));
    test_call_free(&t);
    test_call_string(&t, "approximate", "guess");
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
}

SW_TEST(unary_integers_wrap_around) {
    const int8_t x[4] = {-128, -3, 0, 127};
    test_call t;
    test_call_init(&t, SW_OP_Abs, 1);
    test_call_input(&t, test_tensor(SW_I8, TEST_DIMS(4), x));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-128, 3, 0, 127), 0));
    test_call_free(&t);
    t.call.op = SW_OP_Neg;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(-128, 3, 0, -127), 0));
    test_call_free(&t);
    t.call.op = SW_OP_BitwiseNot;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(127, 2, -1, -128), 0));
    test_call_free(&t);
    t.call.op = SW_OP_Exp;
    CHECK_INT(test_call_run(&t), SW_E_UNSUPPORTED);
    CHECK_STR(sw_test_message(), "node 'n' (Exp): Exp does not take elements of type int8");
    test_call_free(&t);
}

SW_TEST(unary_tests_of_infinity_and_nan) {
    const float x[4] = {INFINITY, -INFINITY, NAN, 1};
    test_call t;
    test_call_init(&t, SW_OP_IsInf, 1);
    test_call_input(&t, TEST_F32(x, 4));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, 0, 0), 0));
    test_call_free(&t);
    test_call_int(&t, "detect_positive", 0);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 0, 0), 0));
    test_call_free(&t);
    test_call_init(&t, SW_OP_IsNaN, 1);
    test_call_input(&t, TEST_F32(x, 4));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1, 0), 0));
    test_call_free(&t);
}

SW_TEST(unary_halves_and_a_pool) {
    enum { N = 20000 };
    static uint16_t x[N];
    for (int i = 0; i < N; i++) x[i] = sw_f32_to_f16((float)(i % 64));
    test_call t;
    test_call_init(&t, SW_OP_Sqrt, 1);
    test_call_input(&t, test_tensor(SW_F16, TEST_DIMS(N), x));
    t.call.pool = sw_pool_create(NULL, 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    for (int i = 0; i < N; i++) CHECK_INT(((const uint16_t *)t.y[0].data)[i], sw_f32_to_f16(sqrtf((float)(i % 64))));
    test_call_free(&t);
    sw_pool_destroy(t.call.pool);
}
