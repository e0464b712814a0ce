#include <math.h>

#include "kernels/test_run.h"

/* Four boxes of two classes: the second overlaps the first by 0.6, the third equals the first in another class. */
static const float boxes[] = {
    0, 0, 10, 10, 0.9f, 0,    /* kept */
    0, 0, 10, 6,  0.8f, 0.1f, /* overlaps by 60 / 100 */
    0, 0, 10, 10, 0,    0.7f, /* class 1 */
    0, 0, 20, 20, 0.9f, 0.3f, /* overlaps by 100 / 400; as good as the first, but later */
};

static void init(test_call *t, const float *rows, int64_t n) {
    test_call_init(t, SW_OP_Nms, 2);
    test_call_input(t, TEST_F32(rows, 1, n, 6));
    test_call_int(t, "max_det", 4);
}

/* Runs, and checks the scores and classes of what is kept. */
static void expect(test_call *t, int count, const float *scores, const float *classes) {
    CHECK_INT(test_call_run(t), SW_OK);
    CHECK_INT(((const int32_t *)t->y[1].data)[0], count);
    const float *row = t->y[0].data;
    int64_t room = t->y[0].dims[1];
    for (int64_t i = 0; i < room; i++, row += 6) {
        CHECK_NEAR(row[4], i < count ? scores[i] : 0, 0);
        CHECK_NEAR(row[5], i < count ? classes[i] : 0, 0);
    }
    test_call_free(t);
}

SW_TEST(nms_by_hand) {
    test_call t;
    init(&t, boxes, 4);
    test_call_float(&t, "iou", 0.5f);
    expect(&t, 3, (const float[]){0.9f, 0.9f, 0.7f}, (const float[]){0, 0, 1});
    test_call_int(&t, "agnostic", 1);
    expect(&t, 2, (const float[]){0.9f, 0.9f}, (const float[]){0, 0});
    test_call_int(&t, "agnostic", 0);
    test_call_float(&t, "iou", 0.6f); /* overlaps must be larger */
    expect(&t, 4, (const float[]){0.9f, 0.9f, 0.8f, 0.7f}, (const float[]){0, 0, 0, 1});
    test_call_int(&t, "max_det", 2);
    expect(&t, 2, (const float[]){0.9f, 0.9f}, (const float[]){0, 0});
    test_call_int(&t, "max_nms", 1);
    expect(&t, 1, (const float[]){0.9f}, (const float[]){0});
}

SW_TEST(nms_labels_and_classes) {
    test_call t;
    init(&t, boxes, 4);
    test_call_float(&t, "iou", 0.5f);
    test_call_int(&t, "multi_label", 1);
    expect(&t, 4, (const float[]){0.9f, 0.9f, 0.7f, 0.3f}, (const float[]){0, 0, 1, 1});
    test_call_ints(&t, "classes", TEST_DIMS(1, 7));
    expect(&t, 2, (const float[]){0.7f, 0.3f}, (const float[]){1, 1});
    test_call_float(&t, "conf", 0.7f); /* scores must be larger */
    expect(&t, 0, NULL, NULL);
}

SW_TEST(nms_odd_numbers) {
    static float odd[] = {0, 0, 10, 10, 0.9f, 0, 0, 0, 0, 0, 0.8f, 0, 0, 0, 0, 0, 0.7f, 0, 0, 0, 9, 9, 0.6f, 0};
    odd[5] = NAN;  /* takes the whole anchor out */
    odd[18] = NAN; /* a box that overlaps nothing */
    test_call t;
    init(&t, odd, 4);
    expect(&t, 3, (const float[]){0.8f, 0.7f, 0.6f}, (const float[]){0, 0, 0});
    t.x[0].dims[1] = 0;
    expect(&t, 0, NULL, NULL);
}

/* Rotated boxes: x y w h, two scores, angle. The third is the first seen otherwise; the fourth overlaps only the third, which
 * is dropped, and goes all the same. */
SW_TEST(nms_rotated) {
    static const float rows[] = {
        50, 50, 40, 10, 0.9f, 0,    0,          /* kept */
        50, 50, 40, 10, 0.8f, 0,    1.5707963f, /* across it: kept */
        50, 50, 10, 40, 0.7f, 0,    1.5707963f, /* dropped */
        54, 50, 40, 10, 0.6f, 0,    0,          /* overlaps by 0.71 */
        50, 50, 40, 10, 0,    0.5f, 0,          /* another class */
    };
    test_call t;
    test_call_init(&t, SW_OP_Nms, 2);
    test_call_input(&t, TEST_F32(rows, 1, 5, 7));
    test_call_int(&t, "max_det", 4);
    test_call_int(&t, "extra", 1);
    test_call_int(&t, "rotated", 1);
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK_INT(((const int32_t *)t.y[1].data)[0], 3);
    CHECK(test_call_values(&t, 0,
                           TEST_VALUES(50, 50, 40, 10, 0.9, 0, 0, 50, 50, 40, 10, 0.8, 0, 1.5707963, 50, 50, 40, 10,
                                       0.5, 1, 0, 0, 0, 0, 0, 0, 0, 0),
                           1e-6));
    test_call_free(&t);
    test_call_int(&t, "extra", 0);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
