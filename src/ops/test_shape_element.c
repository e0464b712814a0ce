#include "ops/shape.h"
#include "ops/test_call.h"

enum { BATCH = -2, OTHER = -3 }; /* symbols */

static sw_status broadcast(sw_op op, sw_tensor a, sw_tensor b, test_call *t) {
    test_call_init(t, op, 1);
    test_call_input(t, a);
    test_call_input(t, b);
    return test_call_rule(t);
}

SW_TEST(broadcast_known_and_symbolic_dims) {
    test_call t;
    CHECK_INT(broadcast(SW_OP_Add, TEST_F32(NULL, 2, 1, 4), TEST_F32(NULL, 3, 1), &t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 3, 4)));
    CHECK_INT(broadcast(SW_OP_Mul, TEST_F32(NULL, BATCH, 1), TEST_F32(NULL, BATCH, 7), &t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(BATCH, 7)));
    CHECK_INT(broadcast(SW_OP_Mul, TEST_F32(NULL, BATCH, -1), TEST_F32(NULL, OTHER, 7), &t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(SW_DIM_UNKNOWN, 7)));
    CHECK_INT(broadcast(SW_OP_Sub, TEST_F32(NULL, 0), TEST_F32(NULL, 1), &t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(0)));
    sw_tensor anything = {.dtype = SW_F32, .rank = SW_RANK_UNKNOWN};
    CHECK_INT(broadcast(SW_OP_Add, anything, TEST_F32(NULL, 3), &t), SW_OK);
    CHECK_INT(t.y[0].rank, SW_RANK_UNKNOWN);
}

SW_TEST(broadcast_refuses_misfits) {
    test_call t;
    CHECK_INT(broadcast(SW_OP_Add, TEST_F32(NULL, 2, 3), TEST_F32(NULL, 2), &t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Add): extents 3 and 2 do not broadcast");
    CHECK_INT(broadcast(SW_OP_Add, TEST_F32(NULL, 2), TEST_I64(NULL, 2), &t), SW_E_MODEL);
    CHECK_STR(sw_test_message(), "node 'n' (Add): inputs must have one type, found float32 and int64");
    CHECK_INT(broadcast(SW_OP_And, TEST_F32(NULL, 2), TEST_F32(NULL, 2), &t), SW_E_MODEL);
}

SW_TEST(comparisons_give_bool_and_pow_the_base) {
    test_call t;
    CHECK_INT(broadcast(SW_OP_Less, TEST_I64(NULL, 2), TEST_I64(NULL, 5, 1), &t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_BOOL, TEST_DIMS(5, 2)));
    CHECK_INT(broadcast(SW_OP_Pow, TEST_F32(NULL, 2), TEST_I64(NULL, 1), &t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2)));
}

SW_TEST(cast_knows_its_types) {
    test_call t;
    test_call_init(&t, SW_OP_Cast, 1);
    test_call_input(&t, TEST_F32(NULL, BATCH, 3));
    test_call_int(&t, "to", 10);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F16, TEST_DIMS(BATCH, 3)));
    test_call_int(&t, "to", 19);
    CHECK_INT(test_call_rule(&t), SW_OK);
    test_call_int(&t, "to", 14);
    CHECK_INT(test_call_rule(&t), SW_E_UNSUPPORTED);
    CHECK_STR(sw_test_message(),
              "node 'n' (Cast): 'to' asks for the ONNX element type 14 (complex64), which Slipway does not have");
    test_call_int(&t, "to", INT64_MAX);
    CHECK_INT(test_call_rule(&t), SW_E_UNSUPPORTED);
}

SW_TEST(narrow_types_are_cast_before_they_are_computed_with) {
    static const sw_dtype types[] = {SW_F8_E5M2, SW_F4_E2M1, SW_F8_E8M0, SW_I4, SW_U4};
    test_call t;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int moves = 0; moves < 2; moves++) {
            test_call_init(&t, moves ? SW_OP_Identity : SW_OP_Neg, 1);
            test_call_input(&t, test_tensor(types[i], TEST_DIMS(3), NULL));
            CHECK_INT(sw_op_infer(&t.call), moves ? SW_OK : SW_E_UNSUPPORTED);
        }
    CHECK_STR(sw_test_message(), "node 'n' (Neg): uint4; cast it before");
}

SW_TEST(where_broadcasts_three) {
    test_call t;
    test_call_init(&t, SW_OP_Where, 1);
    test_call_input(&t, test_tensor(SW_BOOL, TEST_DIMS(4, 1), NULL));
    test_call_input(&t, TEST_F32(NULL, 3));
    test_call_input(&t, TEST_F32(NULL, 1));
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(4, 3)));
    t.x[0].dtype = SW_F32;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}

SW_TEST(integer_inputs_are_checked) {
    const int64_t data[3] = {4, 5, 6};
    int64_t v[3], length;
    sw_tensor t = TEST_I64(data, 3), unknown = TEST_I64(NULL, 3), floats = TEST_F32(NULL, 2);
    CHECK_INT(sw__read_ints(&t, v, 3, &length), 3);
    CHECK_INT(length, 3);
    CHECK_INT(v[2], 6);
    CHECK_INT(sw__read_ints(&t, v, 2, &length), -2);
    CHECK_INT(sw__read_ints(&unknown, v, 3, &length), -1);
    CHECK_INT(length, 3);
    CHECK_INT(sw__read_ints(NULL, v, 3, &length), -1);
    CHECK_INT(length, -1);
    CHECK_INT(sw__read_ints(&floats, v, 3, NULL), -2);
}

SW_TEST(products_and_sums_of_dims) {
    test_call t;
    int64_t dim;
    test_call_init(&t, SW_OP_Tile, 1);
    CHECK_INT(sw__dim_mul(&t.call, BATCH, 1, &dim), SW_OK);
    CHECK_INT(dim, BATCH);
    CHECK_INT(sw__dim_mul(&t.call, BATCH, 2, &dim), SW_OK);
    CHECK_INT(dim, SW_DIM_UNKNOWN);
    CHECK_INT(sw__dim_mul(&t.call, BATCH, 0, &dim), SW_OK);
    CHECK_INT(dim, 0);
    CHECK_INT(sw__dim_mul(&t.call, INT64_MAX, 2, &dim), SW_E_MODEL);
    CHECK_INT(sw__dim_add(&t.call, 0, BATCH, &dim), SW_OK);
    CHECK_INT(dim, BATCH);
    CHECK_INT(sw__dim_add(&t.call, INT64_MAX, 1, &dim), SW_E_MODEL);
}
