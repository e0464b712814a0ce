#include <math.h>

#include "kernels/test_run.h"
#include "kernels/yolo/columns.h"

SW_TEST(yolo_decode_v8) {
    static const float x[] = {10, 20, 30, 40, 4, 8, 2, 6, 0.5f, 0.25f}; /* two anchors, one class */
    test_call t;
    test_call_init(&t, SW_OP_YoloDecode, 1);
    test_call_input(&t, TEST_F32(x, 1, 5, 2));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(8, 29, 12, 31, 0.5, 16, 37, 24, 43, 0.25), 0));
    test_call_free(&t);
}

SW_TEST(yolo_decode_objectness) {
    static const float x[] = {10, 30, 4, 2, 0.5f, 0.5f, 0.25f};
    test_call t;
    test_call_init(&t, SW_OP_YoloDecode, 1);
    test_call_input(&t, TEST_F32(x, 1, 1, 7));
    test_call_string(&t, "layout", "v5");
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(8, 29, 12, 31, 0.25, 0.125), 0));
    test_call_free(&t);
}

SW_TEST(yolo_decode_grids) {
    static const float x[5 * 6] = {[3 * 6] = 0.5f, [3 * 6 + 4] = 1, [3 * 6 + 5] = 1, [4 * 6] = 0.25f};
    test_call t;
    test_call_init(&t, SW_OP_YoloDecode, 1);
    test_call_input(&t, TEST_F32(x, 1, 5, 6));
    test_call_string(&t, "layout", "yolox");
    test_call_ints(&t, "strides", TEST_DIMS(8, 16));
    test_call_int(&t, "height", 16);
    test_call_int(&t, "width", 16);
    CHECK_INT(test_call_run(&t), SW_OK);
    const double corner[] = {8, 4, 16, 12, 1},
                 coarse[] = {-4, -8, 12, 8, 0}; /* cell 1 1 of the fine grid; the coarse one */
    for (int i = 0; i < 5; i++) {
        CHECK_NEAR(sw_tensor_float_at(&t.y[0], 3 * 5 + i), corner[i], 0);
        CHECK_NEAR(sw_tensor_float_at(&t.y[0], 4 * 5 + i), coarse[i], 0);
    }
    test_call_free(&t);
    t.x[0].dims[1] = 6;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL); /* another number of cells */
}

/* Against one score after the other; what is not a number passes nothing. */
SW_TEST(yolo_columns_above) {
    enum { ROWS = 3, MOST = 200 };
    uint64_t state = 1;
    for (int64_t columns = 1; columns <= MOST; columns++) {
        float scores[ROWS * MOST];
        uint8_t wanted[MOST + 1] = {0};
        int rare = columns % 3 ? 100 : 2;
        wanted[columns] = 7; /* nothing is written behind the last one */
        for (int64_t i = 0; i < ROWS * columns; i++)
            scores[i] = sw_test_random(&state) % (uint64_t)rare ? 0.25f : i % 5 ? 0.26f : NAN;
        sw__columns_above(scores, ROWS, columns, 0.25f, wanted);
        for (int64_t i = 0; i < columns; i++) {
            bool want = false;
            for (int row = 0; row < ROWS; row++) want |= scores[row * columns + i] > 0.25f;
            CHECK_INT(wanted[i], want);
        }
        CHECK_INT(wanted[columns], 7);
    }
}
