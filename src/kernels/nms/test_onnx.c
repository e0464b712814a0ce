#include <math.h>

#include "kernels/test_run.h"

/* Boxes 0 and 1 overlap by a half, 2 lies apart; 3 is 0 with its corners swapped. */
static const float boxes[] = {0, 0, 1, 3, 0, 1, 1, 4, 5, 5, 6, 6, 1, 3, 0, 0};
static const float scores[] = {0.5f, 0.9f, 0.7f, 0.5f};

static void start(test_call *t, const int64_t *most, const float *iou, const float *score) {
    test_call_init(t, SW_OP_NonMaxSuppression, 1);
    test_call_input(t, TEST_F32(boxes, 1, 4, 4));
    test_call_input(t, TEST_F32(scores, 1, 1, 4));
    test_call_input(t, TEST_I64(most, 1));
    test_call_input(t, TEST_F32(iou, 1));
    test_call_input(t, TEST_F32(score, 1));
}

SW_TEST(non_max_suppression_by_hand) {
    static const int64_t most[] = {9}, two[] = {2};
    static const float loose[] = {0.6f}, tight[] = {0.4f}, low[] = {0}, high[] = {0.7f};
    test_call t;
    start(&t, most, loose, low); /* the overlap of 0 and 1 is exactly one half of the union */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(3, 3)));
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1, 0, 0, 2, 0, 0, 0), 0));
    test_call_free(&t);
    start(&t, most, tight, low);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1, 0, 0, 2), 0));
    test_call_free(&t);
    start(&t, two, loose, low);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1, 0, 0, 2), 0));
    test_call_free(&t);
    start(&t, most, loose, high); /* above, not at, the threshold */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1), 0));
    test_call_free(&t);
    t.call.n_in = 2; /* no count: none */
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_gives(&t, 0, SW_I64, TEST_DIMS(0, 3)));
    test_call_free(&t);
}

/* The text of the standard, one pair at a time. */
static bool overlap(const float *a, const float *b, float iou) {
    float height = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), width = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    float both = height * width, area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
    return height > 0 && width > 0 && both / (area_a + area_b - both) > iou;
}

SW_TEST(non_max_suppression_of_many_boxes) {
    enum { N = 300 };
    static const int64_t most[] = {N};
    static const float iou[] = {0.2f};
    static float many[N][4], falling[N];
    int64_t want[N], n = 0;
    uint32_t state = 1;
    for (int i = 0; i < N; i++) {
        float v[4];
        for (int k = 0; k < 4; k++) v[k] = (float)((state = state * 1664525u + 1013904223u) >> 8 & 1023) / 64;
        for (int k = 0; k < 4; k++) many[i][k] = k < 2 ? v[k] : v[k - 2] + v[k] / 4;
        if (i % 97 == 5) many[i][i % 4] = NAN;
        falling[i] = (float)(N - i);
        bool keep = true;
        for (int64_t k = 0; k < n && keep; k++) keep = !overlap(many[i], many[want[k]], iou[0]);
        if (keep) want[n++] = i;
    }
    test_call t;
    test_call_init(&t, SW_OP_NonMaxSuppression, 1);
    test_call_input(&t, TEST_F32(many[0], 1, N, 4));
    test_call_input(&t, TEST_F32(falling, 1, 1, N));
    test_call_input(&t, TEST_I64(most, 1));
    test_call_input(&t, TEST_F32(iou, 1));
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(n > 64 && n < N && test_call_gives(&t, 0, SW_I64, TEST_DIMS(n, 3)));
    for (int64_t i = 0; i < n; i++) CHECK_INT(((const int64_t *)t.y[0].data)[3 * i + 2], want[i]);
    test_call_free(&t);
}

SW_TEST(non_max_suppression_of_centers) {
    static const float centers[] = {1, 1, 2, 2, 1.5f, 1, 2, 2}, both[] = {1, 2, 3, 1};
    static const int64_t most[] = {1};
    test_call t;
    test_call_init(&t, SW_OP_NonMaxSuppression, 1);
    test_call_input(&t, TEST_F32(centers, 1, 2, 4));
    test_call_input(&t, TEST_F32(both, 1, 2, 2));
    test_call_input(&t, TEST_I64(most, 1));
    test_call_int(&t, "center_point_box", 1);
    CHECK_INT(test_call_run(&t), SW_OK); /* one a class */
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, 1, 0, 1, 0), 0));
    test_call_free(&t);
    t.x[1].dims[2] = 3;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
