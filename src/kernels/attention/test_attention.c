#include "kernels/test_run.h"

/* One head of size 1: softmax of 0 and log 3 is 1/4 and 3/4. */
static const float query[] = {1}, keys[] = {0, 1.0986123f}, values[] = {4, 8};

static void start(test_call *t, int n_out) {
    test_call_init(t, SW_OP_Attention, n_out);
    test_call_input(t, TEST_F32(query, 1, 1, 1, 1));
    test_call_input(t, TEST_F32(keys, 1, 1, 2, 1));
    test_call_input(t, TEST_F32(values, 1, 1, 2, 1));
}

SW_TEST(attention_by_hand) {
    test_call t;
    start(&t, 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(7), 1e-5));
    test_call_free(&t);
    test_call_int(&t, "is_causal", 1); /* the only query sees the first key */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(4), 0));
    test_call_free(&t);
    test_call_int(&t, "is_causal", 0);
    test_call_float(&t, "scale", 2); /* log 9: 1/10 and 9/10 */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(7.6), 1e-5));
    test_call_free(&t);
}

SW_TEST(attention_masks) {
    static const uint8_t second[] = {0, 1}, first[] = {1};
    static const float bias[] = {1.0986123f, 0};
    test_call t;
    start(&t, 1);
    test_call_input(&t, test_tensor(SW_BOOL, TEST_DIMS(1, 2), second));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(8), 0));
    test_call_free(&t);
    t.x[3] = TEST_F32(bias, 1, 2); /* both scores are log 3 */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(6), 1e-5));
    test_call_free(&t);
    t.x[3] = TEST_F32(bias, 1, 3);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    static const int64_t length[] = {1};
    t.x[3] = test_tensor(SW_BOOL, TEST_DIMS(1), first);
    test_call_absent(&t);
    test_call_absent(&t);
    test_call_input(&t, TEST_I64(length, 1)); /* one key is no padding */
    t.in[3] = NULL;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(4), 0));
    test_call_free(&t);
}

SW_TEST(attention_caps_before_the_mask) {
    static const uint8_t second[] = {0, 1};
    test_call t;
    start(&t, 4);
    test_call_input(&t, test_tensor(SW_BOOL, TEST_DIMS(1, 2), second));
    test_call_float(&t, "softcap", 1);
    test_call_int(&t, "qk_matmul_output_mode", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(8), 0));         /* hidden keys stay hidden */
    CHECK(test_call_values(&t, 3, TEST_VALUES(0, 0.8), 1e-6)); /* tanh(log 3) */
    test_call_free(&t);
    test_call_int(&t, "qk_matmul_output_mode", 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(sw_tensor_float_at(&t.y[3], 0) < -1e300);
    test_call_free(&t);
}

SW_TEST(attention_keeps_the_past) {
    static const float past_key[] = {1.0986123f}, past_value[] = {16};
    test_call t;
    test_call_init(&t, SW_OP_Attention, 4);
    test_call_input(&t, TEST_F32(query, 1, 1, 1, 1));
    test_call_input(&t, TEST_F32(keys, 1, 1, 1, 1));
    test_call_input(&t, TEST_F32(values, 1, 1, 1, 1));
    test_call_absent(&t);
    test_call_input(&t, TEST_F32(past_key, 1, 1, 1, 1));
    test_call_input(&t, TEST_F32(past_value, 1, 1, 1, 1));
    test_call_int(&t, "qk_matmul_output_mode", 3);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(13), 1e-5)); /* 3/4 of 16, 1/4 of 4 */
    CHECK(test_call_values(&t, 1, TEST_VALUES(1.0986123, 0), 1e-6));
    CHECK(test_call_values(&t, 2, TEST_VALUES(16, 4), 0));
    CHECK(test_call_values(&t, 3, TEST_VALUES(0.75, 0.25), 1e-6));
    test_call_free(&t);
    test_call_int(&t, "is_causal", 1); /* the query is the second of the sequence */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(13), 1e-5));
    test_call_free(&t);
    t.in[5] = NULL;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

/* Rank 3: two query heads side by side share one key head. */
SW_TEST(attention_flat_heads) {
    static const float queries[] = {1, 0};
    test_call t;
    test_call_init(&t, SW_OP_Attention, 1);
    test_call_input(&t, TEST_F32(queries, 1, 1, 2));
    test_call_input(&t, TEST_F32(keys, 1, 2, 1));
    test_call_input(&t, TEST_F32(values, 1, 2, 1));
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Attention): inputs of rank 3 need the attribute q_num_heads");
    test_call_int(&t, "q_num_heads", 2);
    test_call_int(&t, "kv_num_heads", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(1, 1, 2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(7, 6), 1e-5));
    test_call_free(&t);
    test_call_int(&t, "q_num_heads", 3);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

/* Four query heads, two key heads: neighbours share. */
SW_TEST(attention_groups_neighbours) {
    static const float q[4] = {0}, k[2] = {0}, v[] = {1, 2};
    test_call t;
    test_call_init(&t, SW_OP_Attention, 1);
    test_call_input(&t, TEST_F32(q, 1, 4, 1, 1));
    test_call_input(&t, TEST_F32(k, 1, 2, 1, 1));
    test_call_input(&t, TEST_F32(v, 1, 2, 1, 1));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, 2, 2), 0));
    test_call_free(&t);
}

SW_TEST(rotary_embedding_turns_pairs) {
    static const float x[] = {1, 2, 3, 4, 5}, cosine[] = {1, 0}, sine[] = {0, 1};
    static const int64_t position[] = {0};
    test_call t;
    test_call_init(&t, SW_OP_RotaryEmbedding, 1);
    test_call_input(&t, TEST_F32(x, 1, 1, 1, 5));
    test_call_input(&t, TEST_F32(cosine, 1, 2)); /* pair 0 stays, pair 1 turns by a right angle */
    test_call_input(&t, TEST_F32(sine, 1, 2));
    test_call_input(&t, TEST_I64(position, 1, 1));
    test_call_int(&t, "rotary_embedding_dim", 4);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, -4, 3, 2, 5), 0));
    test_call_free(&t);
    test_call_int(&t, "interleaved", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, -4, 3, 5), 0));
    test_call_free(&t);
    static const int64_t beyond[] = {7};
    t.x[3].data = (void *)(uintptr_t)beyond;
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
    test_call_free(&t);
    test_call_int(&t, "rotary_embedding_dim", 6);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(tensor_scatter_writes_caches) {
    static const float cache[] = {1, 2, 3, 4, 5, 6}, update[] = {7, 8};
    static const int64_t at[] = {2, 0};
    test_call t;
    test_call_init(&t, SW_OP_TensorScatter, 1);
    test_call_input(&t, TEST_F32(cache, 2, 3, 1));
    test_call_input(&t, TEST_F32(update, 2, 1, 1));
    test_call_input(&t, TEST_I64(at, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, 7, 8, 5, 6), 0));
    test_call_free(&t);
    t.x[0] = TEST_F32(cache, 1, 3, 1);
    t.x[1] = TEST_F32(update, 1, 2, 1);
    t.x[2] = TEST_I64(at, 1);
    CHECK_INT(test_call_run(&t), SW_E_MODEL); /* two entries from 2 on */
    test_call_free(&t);
    test_call_string(&t, "mode", "circular");
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(8, 2, 7), 0));
    test_call_free(&t);
}
