#include "kernels/test_run.h"

static const float a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8};

static sw_status contract(test_call *t, const char *equation, int n_in) {
    test_call_init(t, SW_OP_Einsum, 1);
    test_call_string(t, "equation", equation);
    test_call_input(t, TEST_F32(a, 2, 2));
    if (n_in > 1) test_call_input(t, TEST_F32(b, 2, 2));
    return test_call_run(t);
}

SW_TEST(einsum_by_hand) {
    static const struct {
        const char *equation;
        int n_in, n_out;
        double want[4];
    } cases[] = {
        {"ij,jk->ik", 2, 4, {19, 22, 43, 50}},
        {"ij,jk", 2, 4, {19, 22, 43, 50}},
        {" i j , i j -> ", 2, 1, {70}},
        {"ij->ji", 1, 4, {1, 3, 2, 4}},
        {"ii->i", 1, 2, {1, 4}},
        {"ii", 1, 1, {5}},
        {"ij->j", 1, 2, {4, 6}},
        {"...j->...", 1, 2, {3, 7}},
        {"ba", 1, 4, {1, 3, 2, 4}},
        {"...,...->...", 2, 4, {5, 12, 21, 32}},
        {"iJ,kJ->ki", 2, 4, {17, 39, 23, 53}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_call t;
        CHECK_INT(contract(&t, cases[i].equation, cases[i].n_in), SW_OK);
        CHECK(test_call_values(&t, 0, cases[i].n_out, cases[i].want, 1e-6));
        test_call_free(&t);
    }
}

SW_TEST(einsum_broken_equations) {
    static const char *const broken[] = {"",       "ij",      "ij,jk,kl->il", "ij,jk->iz", "ij,jk->ii", "i1,jk->i",
                                         "ijk,jk", "ij,jk-i", "i,jk->i",      "ij,jk->..", "ij.jk"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        test_call t;
        CHECK(contract(&t, broken[i], 2) != SW_OK);
        test_call_free(&t);
    }
}

SW_TEST(einsum_integers_and_extents) {
    static const int64_t x[] = {INT64_MAX, 1}, y[] = {2, 3};
    test_call t;
    test_call_init(&t, SW_OP_Einsum, 1);
    test_call_string(&t, "equation", "i,i->");
    test_call_input(&t, TEST_I64(x, 2));
    test_call_input(&t, TEST_I64(y, 2));
    CHECK_INT(test_call_run(&t), SW_OK); /* wraps around: -2 + 3 */
    CHECK_INT(sw_tensor_int_at(&t.y[0], 0), 1);
    test_call_free(&t);
    t.x[1].dims[0] = 3;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_string(&t, "equation", "...ij,...jk->...ik");
    t.x[0] = TEST_F32(NULL, 7, -1, 2, 3);
    t.x[1] = TEST_F32(NULL, 4, 3, 5);
    CHECK_INT(test_call_rule(&t), SW_OK); /* leading axes broadcast */
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(7, 4, 2, 5)));
}
