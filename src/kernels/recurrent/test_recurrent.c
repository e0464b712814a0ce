#include <math.h>

#include "kernels/test_run.h"

static double sigmoid(double v) {
    return 1 / (1 + exp(-v));
}

/* Two steps of one number, batch and hidden size 1. */
static const float steps[] = {1, 2};

static void start(test_call *t, sw_op op, int gates, const float *w, const float *r, const float *b, int n_out) {
    test_call_init(t, op, n_out);
    test_call_input(t, TEST_F32(steps, 2, 1, 1));
    test_call_input(t, TEST_F32(w, 1, gates, 1));
    test_call_input(t, TEST_F32(r, 1, gates, 1));
    if (b) test_call_input(t, TEST_F32(b, 1, 2 * gates));
    test_call_int(t, "hidden_size", 1);
}

SW_TEST(rnn_by_hand) {
    static const float w[] = {2}, r[] = {3}, b[] = {0.5f, 0.25f};
    test_call t;
    start(&t, SW_OP_RNN, 1, w, r, b, 2);
    test_call_string(&t, "activations", "Relu");
    CHECK_INT(test_call_run(&t), SW_OK); /* 2 + 0.75; 4 + 3 * 2.75 + 0.75 */
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 1, 1, 1)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(2.75, 13), 1e-6));
    CHECK(test_call_values(&t, 1, TEST_VALUES(13), 1e-6));
    test_call_free(&t);
    test_call_string(&t, "direction", "reverse"); /* 4 + 0.75; 2 + 3 * 4.75 + 0.75 */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(17, 4.75), 1e-6));
    CHECK(test_call_values(&t, 1, TEST_VALUES(17), 1e-6));
    test_call_free(&t);
    test_call_float(&t, "clip", 3); /* before the activation */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 3), 1e-6));
    test_call_free(&t);
}

SW_TEST(rnn_both_ways_with_lengths_and_states) {
    static const float w[] = {1, 1}, r[] = {1, 1}, x[] = {1, 2, 3}, state[] = {10, 20};
    static const int32_t lengths[] = {2};
    static const float alpha[] = {2, 3}, beta[] = {0, 0};
    test_call t;
    test_call_init(&t, SW_OP_RNN, 2);
    test_call_input(&t, TEST_F32(x, 1, 3, 1)); /* batch first */
    test_call_input(&t, TEST_F32(w, 2, 1, 1));
    test_call_input(&t, TEST_F32(r, 2, 1, 1));
    test_call_absent(&t);
    test_call_input(&t, test_tensor(SW_I32, TEST_DIMS(1), lengths));
    test_call_input(&t, TEST_F32(state, 1, 2, 1));
    test_call_int(&t, "layout", 1);
    test_call_string(&t, "direction", "bidirectional");
    test_call_string(&t, "activations", "Affine,affine");
    test_call_floats(&t, "activation_alpha", 2, alpha);
    test_call_floats(&t, "activation_beta", 2, beta);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 3, 2, 1)));
    /* forward 2 * (1 + 10) = 22, 2 * (2 + 22) = 48; backward 3 * (2 + 20) = 66, 3 * (1 + 66) = 201 */
    CHECK(test_call_values(&t, 0, TEST_VALUES(22, 201, 48, 66, 0, 0), 1e-6));
    CHECK(test_call_values(&t, 1, TEST_VALUES(48, 201), 1e-6));
    test_call_free(&t);
    static const int32_t longer[] = {4};
    t.x[4].data = (void *)(uintptr_t)longer;
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
    test_call_string(&t, "activations", "Affine");
    CHECK_INT(test_call_rule(&t), SW_E_UNSUPPORTED);
}

SW_TEST(gru_by_hand) {
    static const float w[] = {0.1f, 0.2f, 0.3f}, r[] = {0.4f, 0.5f, 0.6f}, b[] = {0, 0, 0, 0, 0, 1};
    test_call t;
    for (int linear = 0; linear < 2; linear++) {
        double h = 0, want[2];
        for (int i = 0; i < 2; i++) {
            double x = (double)steps[i], z = sigmoid(0.1 * x + 0.4 * h), reset = sigmoid(0.2 * x + 0.5 * h);
            double inner = linear ? reset * (0.6 * h + 1) : 0.6 * reset * h + 1;
            h = want[i] = (1 - z) * tanh(0.3 * x + inner) + z * h;
        }
        start(&t, SW_OP_GRU, 3, w, r, b, 1);
        test_call_int(&t, "linear_before_reset", linear);
        CHECK_INT(test_call_run(&t), SW_OK);
        CHECK(test_call_values(&t, 0, 2, want, 1e-6));
        test_call_free(&t);
    }
}

SW_TEST(lstm_by_hand) {
    static const float w[] = {0.1f, 0.2f, 0.3f, 0.4f}, r[] = {0.5f, 0.6f, 0.7f, 0.8f}; /* i o f c */
    static const float first_h[] = {0.5f}, first_c[] = {2}, peep[] = {0.25f, 0.5f, 0.75f};
    for (int coupled = 0; coupled < 2; coupled++) {
        double h = 0.5, c = 2, want[2];
        for (int k = 0; k < 2; k++) {
            double x = (double)steps[k], i = sigmoid(0.1 * x + 0.5 * h + 0.25 * c);
            double f = coupled ? 1 - i : sigmoid(0.3 * x + 0.7 * h + 0.75 * c);
            c = f * c + i * tanh(0.4 * x + 0.8 * h);
            h = want[k] = sigmoid(0.2 * x + 0.6 * h + 0.5 * c) * tanh(c);
        }
        test_call t;
        start(&t, SW_OP_LSTM, 4, w, r, NULL, 3);
        test_call_absent(&t);
        test_call_absent(&t);
        test_call_input(&t, TEST_F32(first_h, 1, 1, 1));
        test_call_input(&t, TEST_F32(first_c, 1, 1, 1));
        test_call_input(&t, TEST_F32(peep, 1, 3));
        test_call_int(&t, "input_forget", coupled);
        CHECK_INT(test_call_run(&t), SW_OK);
        CHECK(test_call_values(&t, 0, 2, want, 1e-6));
        CHECK(test_call_values(&t, 1, 1, &want[1], 1e-6));
        CHECK(test_call_values(&t, 2, 1, &c, 1e-6));
        test_call_free(&t);
    }
}

SW_TEST(shape_recurrent) {
    test_call t;
    test_call_init(&t, SW_OP_LSTM, 3);
    test_call_input(&t, TEST_F32(NULL, -1, 2, 5));
    test_call_input(&t, TEST_F32(NULL, 2, 12, 5));
    test_call_input(&t, TEST_F32(NULL, 2, 12, 3)); /* tells the hidden size */
    test_call_string(&t, "direction", "bidirectional");
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(-1, 2, 2, 3)));
    CHECK(test_call_gives(&t, 2, SW_F32, TEST_DIMS(2, 2, 3)));
    t.x[1].dims[1] = 9;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (LSTM): axis 1 of W is 9, expected 12");
    test_call_string(&t, "direction", "sideways");
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
