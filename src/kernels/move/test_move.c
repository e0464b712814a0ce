#include "kernels/test_run.h"

static const float six[6] = {0, 1, 2, 3, 4, 5};

/* Runs an operator on a tensor and a list of integers. */
static sw_status with_ints(test_call *t, sw_op op, sw_tensor x, int n, const int64_t *v) {
    test_call_init(t, op, 1);
    test_call_input(t, x);
    test_call_input(t, TEST_I64(v, n));
    return test_call_run(t);
}

SW_TEST(move_copies_under_new_dims) {
    test_call t;
    CHECK_INT(with_ints(&t, SW_OP_Reshape, TEST_F32(six, 2, 3), TEST_DIMS(3, -1)), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(3, 2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 2, 3, 4, 5), 0));
    test_call_free(&t);
    CHECK_INT(with_ints(&t, SW_OP_Unsqueeze, TEST_F32(six, 6), TEST_DIMS(0)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 2, 3, 4, 5), 0));
    test_call_free(&t);
}

SW_TEST(transpose_of_every_element_size) {
    static const sw_dtype types[4] = {SW_U8, SW_I16, SW_I32, SW_I64};
    for (int k = 0; k < 4; k++) {
        int64_t data[24], size = (int64_t)sw_dtype_size(types[k]);
        for (int64_t i = 0; i < 24; i++) memcpy((char *)data + i * size, &i, (size_t)size); /* little endian */
        test_call t;
        test_call_init(&t, SW_OP_Transpose, 1);
        test_call_input(&t, test_tensor(types[k], TEST_DIMS(2, 3, 4), data));
        test_call_ints(&t, "perm", TEST_DIMS(2, 0, 1));
        CHECK_INT(test_call_run(&t), SW_OK);
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 6; j++) CHECK_INT(sw_tensor_int_at(&t.y[0], i * 6 + j), j * 4 + i);
        test_call_free(&t);
    }
}

SW_TEST(concat_and_split_along_an_inner_axis) {
    const float a[4] = {1, 2, 3, 4}, b[2] = {8, 9};
    test_call t;
    test_call_init(&t, SW_OP_Concat, 1);
    test_call_input(&t, TEST_F32(a, 2, 2));
    test_call_input(&t, TEST_F32(b, 2, 1));
    test_call_input(&t, TEST_F32(b, 2, 0));
    test_call_int(&t, "axis", -1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, 8, 3, 4, 9), 0));
    test_call_free(&t);
    test_call_init(&t, SW_OP_Split, 2);
    test_call_input(&t, TEST_F32(six, 2, 3));
    test_call_int(&t, "axis", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 3, 4), 0));
    CHECK(test_call_values(&t, 1, TEST_VALUES(2, 5), 0));
    test_call_free(&t);
    t.y[0].data = NULL;
    t.out[0] = NULL; /* nobody wants the first */
    const int64_t lengths[2] = {1, 2};
    test_call_input(&t, TEST_I64(lengths, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 1, TEST_VALUES(1, 2, 4, 5), 0));
    test_call_free(&t);
}

/* Pieces of 4, 8, 16, 32 and 12 bytes of many rows, on some threads. */
SW_TEST(concat_of_many_short_rows) {
    enum { ROWS = 3000, PIECES = 5, WIDTH = 18 };
    static const int64_t widths[PIECES] = {1, 2, 4, 8, 3};
    static float pieces[PIECES][ROWS * 8];
    test_call t;
    test_call_init(&t, SW_OP_Concat, 1);
    for (int64_t p = 0, start = 0; p < PIECES; start += widths[p++]) {
        for (int64_t i = 0; i < ROWS * widths[p]; i++)
            pieces[p][i] = (float)(i / widths[p] * WIDTH + start + i % widths[p]);
        test_call_input(&t, TEST_F32(pieces[p], 3, ROWS / 3, widths[p]));
    }
    test_call_int(&t, "axis", 2);
    t.call.pool = sw_pool_create(NULL, 3);
    CHECK_INT(test_call_run(&t), SW_OK);
    const float *y = t.y[0].data;
    for (int64_t i = 0; i < ROWS * WIDTH; i++)
        if (y[i] != (float)i) CHECK_INT(i, -1);
    sw_pool_destroy(t.call.pool);
    test_call_free(&t);
}

SW_TEST(slice_backwards_and_by_steps) {
    const int64_t start[2] = {-1, 0}, end[2] = {INT64_MIN, 3}, axes[2] = {0, -1}, step[2] = {-1, 2};
    test_call t;
    test_call_init(&t, SW_OP_Slice, 1);
    test_call_input(&t, TEST_F32(six, 2, 3));
    test_call_input(&t, TEST_I64(start, 2));
    test_call_input(&t, TEST_I64(end, 2));
    test_call_input(&t, TEST_I64(axes, 2));
    test_call_input(&t, TEST_I64(step, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_F32, TEST_DIMS(2, 2)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(3, 5, 0, 2), 0));
    test_call_free(&t);
}

SW_TEST(expand_and_tile_repeat) {
    const float column[2] = {7, 8};
    test_call t;
    CHECK_INT(with_ints(&t, SW_OP_Expand, TEST_F32(column, 2, 1), TEST_DIMS(2, 1, 3)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(7, 7, 7, 8, 8, 8, 7, 7, 7, 8, 8, 8), 0));
    test_call_free(&t);
    CHECK_INT(with_ints(&t, SW_OP_Tile, TEST_F32(six, 2, 3), TEST_DIMS(2, 2)), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5, 0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5),
                           0));
    test_call_free(&t);
    CHECK_INT(with_ints(&t, SW_OP_Tile, TEST_F32(six, 2, 3), TEST_DIMS(0, 2)), SW_OK);
    CHECK_INT(sw_tensor_count(&t.y[0]), 0);
    test_call_free(&t);
}

SW_TEST(depth_to_space_in_both_orders) {
    float x[8];
    for (int i = 0; i < 8; i++) x[i] = (float)i;
    test_call t;
    test_call_init(&t, SW_OP_DepthToSpace, 1);
    test_call_input(&t, TEST_F32(x, 1, 8, 1, 1));
    test_call_int(&t, "blocksize", 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 2, 4, 6, 1, 3, 5, 7), 0));
    test_call_free(&t);
    test_call_string(&t, "mode", "CRD");
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 2, 3, 4, 5, 6, 7), 0));
    test_call_free(&t);
    test_call_init(&t, SW_OP_SpaceToDepth, 1);
    test_call_input(&t, TEST_F32(x, 1, 2, 2, 2));
    test_call_int(&t, "blocksize", 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 4, 1, 5, 2, 6, 3, 7), 0));
    test_call_free(&t);
}

SW_TEST(pixel_shuffle_cuts) {
    float x[8];
    for (int i = 0; i < 8; i++) x[i] = (float)i;
    test_call t;
    test_call_init(&t, SW_OP_PixelShuffle, 1);
    test_call_input(&t, TEST_F32(x, 1, 4, 1, 2));
    test_call_ints(&t, "strides", 2, (int64_t[]){2, 1});
    test_call_ints(&t, "crops", 4, (int64_t[]){1, 0, 0, 1});
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(4, 6), 0)); /* channels 2 and 3 are the second row of the two maps */
    test_call_free(&t);
    t.x[0].layout = SW_CHANNELS_LAST;
    t.x[0].pitch = 4; /* now x holds the channels of the left pixel first */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(2, 3), 0));
    test_call_free(&t);
    test_call_ints(&t, "crops", 4, (int64_t[]){2, 0, 1, 0});
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
}

SW_TEST(channel_shuffle_in_either_layout) {
    float x[12];
    for (int i = 0; i < 12; i++) x[i] = (float)i;
    test_call t;
    test_call_init(&t, SW_OP_ChannelShuffle, 1);
    test_call_input(&t, TEST_F32(x, 1, 6, 1, 2));
    test_call_int(&t, "groups", 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11), 0));
    test_call_free(&t);
    t.x[0].layout = SW_CHANNELS_LAST;
    t.x[0].pitch = 6;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11), 0));
    test_call_free(&t);
    test_call_int(&t, "groups", 4);
    CHECK_INT(test_call_run(&t), SW_E_MODEL);
}

SW_TEST(trilu_with_any_diagonal) {
    const float x[6] = {1, 2, 3, 4, 5, 6};
    int64_t k = 1;
    test_call t;
    test_call_init(&t, SW_OP_Trilu, 1);
    test_call_input(&t, TEST_F32(x, 2, 3));
    test_call_input(&t, test_tensor(SW_I64, 0, NULL, &k));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 2, 3, 0, 0, 6), 0));
    test_call_free(&t);
    k = INT64_MIN;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 2, 3, 4, 5, 6), 0));
    test_call_free(&t);
    test_call_int(&t, "upper", 0);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 0, 0, 0, 0), 0));
    test_call_free(&t);
    k = 0;
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 0, 0, 4, 5, 0), 0));
    test_call_free(&t);
}
