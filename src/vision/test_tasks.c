/* Tasks beside detection and heads with several outputs: models that answer every picture of 64 x 64 by heart. */
#include <math.h>

#include "base/test_memory.h"
#include "engine/plan.h"
#include "unit.h"
#include "vision/mask.h"

enum { SIDE = 64, CELLS = 64 + 16 + 4, MOST_ANSWERS = 12 };

/* Outputs with their data, up to the first of rank 0. */
typedef struct fake {
    sw_tensor answers[MOST_ANSWERS];
    const char *const *meta; /* key, value ..., NULL */
    bool last;               /* pictures are channels-last */
} fake;

#define ANSWER(values, ...)                                                                                            \
    {                                                                                                                  \
        .dtype = SW_F32, .rank = sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), .dims = {__VA_ARGS__},            \
        .data = (void *)(uintptr_t)(values)                                                                            \
    }

static sw_plan *make_model(const fake *f) {
    sw_tensor in = {.dtype = SW_F32, .rank = 4, .dims = {1, f->last ? SIDE : 3, SIDE, f->last ? 3 : SIDE}};
    int32_t input, outputs[MOST_ANSWERS];
    int n = 0;
    sw_plan *plan = sw_plan_create(NULL);
    CHECK_INT(sw_plan_add_value(plan, "images", &in, &input), SW_OK);
    for (; n < MOST_ANSWERS && f->answers[n].rank; n++) {
        int32_t constant;
        sw_tensor type = f->answers[n];
        type.data = NULL;
        CHECK_INT(sw_plan_add_value(plan, "answer", &f->answers[n], &constant), SW_OK);
        CHECK_INT(sw_plan_add_value(plan, "output", &type, &outputs[n]), SW_OK);
        CHECK_INT(sw_plan_add_step(plan, SW_OP_Identity, "answer", NULL, 1, &constant, 1, &outputs[n]), SW_OK);
    }
    CHECK_INT(sw_plan_set_ports(plan, &input, 1, outputs, n), SW_OK);
    for (int i = 0; f->meta && f->meta[i]; i += 2) CHECK_INT(sw_plan_add_meta(plan, f->meta[i], f->meta[i + 1]), SW_OK);
    return plan;
}

static sw_detector *make(const fake *f, const char *head, const sw_allocator *allocator, sw_status *status) {
    sw_detector_options options;
    sw_detector_defaults(&options);
    options.threads = 1;
    options.polygons = true;
    options.head = head;
    options.allocator = allocator;
    sw_detector *d = NULL;
    sw_plan *plan = make_model(f);
    *status = sw_detector_create(plan, &options, &sw_test_diag, &d);
    sw_plan_unref(plan);
    return d;
}

static uint8_t pixels[128 * 3 * 128];

/* The detector of a model that must be recognised as `head`, after a run on a picture of 128 x 128: all is twice as
 * large there. */
static sw_detector *look(const fake *f, const char *head, sw_detections *found) {
    sw_status status;
    sw_detector *d = make(f, NULL, NULL, &status);
    sw_picture picture = {pixels, 2 * SIDE, 2 * SIDE, 6 * SIDE, SW_PIXELS_RGB};
    *found = (sw_detections){0};
    CHECK_INT(status, SW_OK);
    if (!d) return NULL;
    CHECK_STR(sw_detector_head(d), head);
    CHECK(strstr(sw_detector_reason(d), head) != NULL);
    CHECK_INT(sw_detector_run(d, &picture, found), SW_OK);
    CHECK_INT(found->task, sw_detector_task(d));
    return d;
}

static void check_box(const sw_detection *d, float x1, float y1, float x2, float y2, float score, int class_id) {
    CHECK_NEAR(d->x1, x1, 1e-3);
    CHECK_NEAR(d->y1, y1, 1e-3);
    CHECK_NEAR(d->x2, x2, 1e-3);
    CHECK_NEAR(d->y2, y2, 1e-3);
    CHECK_NEAR(d->confidence, score, 1e-5);
    CHECK_INT(d->class_id, class_id);
}

/* Writes a column of an output N values anchors. */
static void put_column(float *to, int anchors, int at, const float *values, int n) {
    for (int i = 0; i < n; i++) to[i * anchors + at] = values[i];
}

/* Two prototypes of 16 x 16: the right half, and everywhere; one after the other, and pixel by pixel. */
static float prototypes[2 * 16 * 16], pixel_prototypes[16 * 16 * 2];

static void fill_prototypes(void) {
    for (int i = 0; i < 256; i++) {
        prototypes[i] = pixel_prototypes[2 * i] = i % 16 < 8 ? -1 : 1;
        prototypes[256 + i] = pixel_prototypes[2 * i + 1] = 1;
    }
}

SW_TEST(tasks_segment) {
    static float v[8 * CELLS];
    const float box[] = {32, 32, 32, 16, 0.1f, 0.75f, 1, 0}, none[] = {8, 8, 8, 8, 0.5f, 0, 0, -1};
    const char *const meta[] = {"task", "segment", "names", "['a', 'b']", NULL};
    sw_detections found;
    fill_prototypes();
    put_column(v, CELLS, 7, box, 8);
    put_column(v, CELLS, 9, none, 8); /* without a pixel: dropped */
    fake f = {.answers = {ANSWER(v, 1, 8, CELLS), ANSWER(prototypes, 1, 2, 16, 16)}};
    for (int i = 0; i < 4; i++) {
        f.meta = i % 2 ? meta : NULL;
        f.last = i >= 2;
        if (f.last) f.answers[1] = (sw_tensor)ANSWER(pixel_prototypes, 1, 16, 16, 2);
        sw_detector *d = look(&f, "yolov8-seg", &found);
        CHECK_INT(found.count, 1);
        if (found.count == 1) {
            /* the right half of the box, which is 64 x 32 at 32, 48; the middle column of the tensor is 32 */
            const sw_mask *m = &found.masks[0];
            check_box(&found.items[0], 32, 48, 96, 80, 0.75f, 1);
            CHECK_INT(m->n_runs, 2 * 32 + 1);
            CHECK_INT(m->runs[0], 64 * 128 + 48);
            for (size_t k = 1; k + 1 < m->n_runs; k++) CHECK_INT(m->runs[k], k % 2 ? 32 : 96);
            CHECK_INT(m->n_rings, 1);
            CHECK_INT(m->outline.n, 4);
            const float corners[] = {64, 48, 64, 78, 94, 78, 94, 48};
            for (int k = 0; k < 8; k++) CHECK_NEAR(m->outline.points[k], corners[k], 0);
        }
        sw_detector_destroy(d);
    }
}

SW_TEST(tasks_pose) {
    static float v[11 * CELLS], final[300 * 12];
    const float column[] = {32, 32, 32, 16, 0.75f, 20, 30, 0.9f, 40, 99, 0.1f};
    const float row[] = {16, 24, 48, 40, 0.75f, 0, 20, 30, 0.9f, 40, 99, 0.1f};
    const char *const meta[] = {"task", "pose", "kpt_shape", "[2, 3]", "names", "['a']", NULL};
    put_column(v, CELLS, 7, column, 11);
    memcpy(final, row, sizeof row);
    fake raw = {.answers = {ANSWER(v, 1, 11, CELLS)}, .meta = meta};
    fake done = {.answers = {ANSWER(final, 1, 300, 12)}, .meta = meta};
    for (int i = 0; i < 2; i++) {
        sw_detections found;
        sw_detector *d = look(i ? &done : &raw, i ? "end2end-pose" : "yolov8-pose", &found);
        CHECK_INT(found.count, 1);
        CHECK_INT(found.n_keypoints, 2);
        CHECK(found.has_visibility);
        const float points[] = {40, 60, 0.9f, 80, 128, 0.1f}; /* the second is clipped */
        for (int k = 0; found.count == 1 && k < 6; k++) CHECK_NEAR(found.keypoints[k], points[k], 1e-5);
        if (found.count == 1) check_box(&found.items[0], 32, 48, 96, 80, 0.75f, 0);
        sw_detector_destroy(d);
    }
}

SW_TEST(tasks_rotated) {
    static float v[6 * CELLS];
    const float turned[] = {32, 32, 20, 10, 0.75f, (float)M_PI / 2}, same[] = {32, 32, 10, 20, 0.5f, 0},
                other[] = {32, 32, 20, 10, 0.6f, 0};
    const char *const meta[] = {"task", "obb", "names", "['a']", NULL};
    put_column(v, CELLS, 7, turned, 6);
    put_column(v, CELLS, 8, same, 6);
    put_column(v, CELLS, 9, other, 6);
    fake f = {.answers = {ANSWER(v, 1, 6, CELLS)}, .meta = meta};
    sw_detections found;
    sw_detector *d = look(&f, "yolov8-obb", &found);
    CHECK_INT(found.count, 2); /* the second is the first, seen otherwise */
    if (found.count == 2) {
        check_box(&found.items[0], 54, 44, 74, 84, 0.75f, 0);
        CHECK_NEAR(found.rotated[0].width, 40, 1e-4);
        CHECK_NEAR(found.rotated[0].angle, M_PI / 2, 1e-6);
        check_box(&found.items[1], 44, 54, 84, 74, 0.6f, 0);
    }
    sw_detector_destroy(d);
}

/* Quantised scores, with what they stand for: 0.25, 0, 0.75. */
SW_TEST(tasks_quantised) {
    static const uint8_t scores[] = {74, 10, 202};
    static const int8_t low[] = {-64, -128, 64};
    const char *const u8[] = {"quantization", "{'output': [0.00390625, 10]}", NULL};
    const char *const i8[] = {"quantization", "{'output': [0.00390625, -128]}", NULL};
    sw_detections found;
    fake f = {.answers = {ANSWER(scores, 1, 3)}, .meta = u8};
    for (int i = 0; i < 2; i++) {
        f.meta = i ? i8 : u8;
        f.answers[0].dtype = i ? SW_I8 : SW_U8;
        if (i) f.answers[0].data = (void *)(uintptr_t)low;
        sw_detector *d = look(&f, "imagenet", &found);
        CHECK_INT(found.count, 3);
        CHECK_INT(found.items[0].class_id, 2);
        CHECK_NEAR(found.items[0].confidence, 0.75f, 1e-6);
        CHECK_NEAR(found.items[1].confidence, 0.25f, 1e-6);
        CHECK_NEAR(found.items[2].confidence, 0, 1e-6);
        sw_detector_destroy(d);
    }
    f.meta = (const char *const[]){"quantization", "{'output': [0.00390625, 300]}", NULL}; /* no int8 */
    sw_status status;
    CHECK(!make(&f, NULL, NULL, &status));
    CHECK_INT(status, SW_E_UNSUPPORTED);
}

SW_TEST(tasks_classify) {
    static const float scores[] = {0.1f, 0.2f, 0.05f, 0.3f, 0.15f, 0.2f}, logits[] = {0, 1, 2};
    const char *const meta[] = {"task", "classify", "names", "['a', 'b', 'c', 'd', 'e', 'f']", NULL};
    sw_detections found;
    fake f = {.answers = {ANSWER(scores, 1, 6)}, .meta = meta};
    sw_detector *d = look(&f, "classify", &found);
    const int order[] = {3, 1, 5, 4, 0};
    CHECK_INT(found.count, 5);
    for (int i = 0; i < 5 && i < found.count; i++) {
        CHECK_INT(found.items[i].class_id, order[i]);
        CHECK_NEAR(found.items[i].confidence, scores[order[i]], 0);
    }
    sw_detector_destroy(d);
    f = (fake){.answers = {ANSWER(logits, 1, 3)}};
    d = look(&f, "imagenet", &found);
    CHECK_INT(found.count, 3);
    if (found.count == 3) CHECK_NEAR(found.items[0].confidence, exp(2) / (1 + exp(1) + exp(2)), 1e-6);
    sw_detector_destroy(d);
}

SW_TEST(tasks_transformer) {
    static float v[20 * 6];
    for (int i = 0; i < 20; i++) memcpy(v + 6 * i, (float[]){0.5f, 0.5f, 0.5f, 0.25f, 0.1f, 0}, 6 * sizeof *v);
    memcpy(v + 6 * 3, (float[]){0.5f, 0.5f, 0.5f, 0.25f, 0.75f, 1}, 6 * sizeof *v);
    sw_detections found;
    fake f = {.answers = {ANSWER(v, 1, 20, 6)}}; /* final boxes, by their values */
    sw_detector *d = look(&f, "rtdetr-top", &found);
    CHECK_INT(found.count, 1);
    if (found.count) check_box(&found.items[0], 32, 48, 96, 80, 0.75f, 1);
    sw_detector_destroy(d);
    const char *const meta[] = {"description", "Ultralytics rtdetr-l model", "names", "['a', 'b', 'c', 'd']", NULL};
    static float w[20 * 8];
    for (int i = 0; i < 20; i++) memcpy(w + 8 * i, (float[]){0.5f, 0.5f, 0.5f, 0.25f}, 4 * sizeof *w);
    w[8 * 3 + 5] = 0.75f;
    w[8 * 4 + 5] = 0.5f; /* equal boxes do not suppress each other */
    f = (fake){.answers = {ANSWER(w, 1, 20, 8)}, .meta = meta};
    d = look(&f, "rtdetr", &found);
    CHECK_INT(found.count, 2);
    if (found.count) check_box(&found.items[0], 32, 48, 96, 80, 0.75f, 1);
    sw_detector_destroy(d);
}

/* Cell 1 1 of the grid of 16 (its centre is 24 24) with all distances at the second of eight bins: 16 pixels. */
SW_TEST(tasks_levels) {
    static float scores[4][64 * 3], sides[4][64 * 32];
    const int64_t cells[] = {64, 16, 4, 1};
    scores[1][5 * 3 + 2] = 0.5f;
    for (int side = 0; side < 4; side++) sides[1][5 * 32 + 8 * side + 1] = 100;
    fake f = {0};
    for (int n = 3; n <= 4; n++) {
        for (int i = 0; i < n; i++) {
            f.answers[i] = (sw_tensor)ANSWER(scores[i], 1, cells[i], 3);
            f.answers[n + i] = (sw_tensor)ANSWER(sides[i], 1, cells[i], 32);
        }
        sw_detections found;
        sw_detector *d = look(&f, n == 3 ? "nanodet" : "picodet", &found);
        CHECK_INT(found.count, 1);
        if (found.count) check_box(&found.items[0], 16, 16, 80, 80, 0.5f, 2);
        sw_detector_destroy(d);
    }
}

SW_TEST(tasks_faces) {
    static float v[3][64 * 16];
    const int64_t cells[] = {64, 16, 4}, values[] = {1, 1, 4, 10};
    static float score[2][64], box[64 * 4], points[64 * 10];
    score[0][9] = 1, score[1][9] = 0.25f; /* cell 1 1 of the finest grid */
    memcpy(box + 4 * 9, (float[]){0.5f, 0.5f, 0, logf(2)}, 4 * sizeof *box);
    points[10 * 9 + 3] = 1;
    fake f = {0};
    for (int i = 0; i < 12; i++) {
        const float *data[] = {score[0], score[1], box, points};
        f.answers[i] = (sw_tensor)ANSWER(i % 3 ? v[i % 3] : data[i / 3], 1, cells[i % 3], values[i / 3]);
    }
    sw_detections found;
    sw_detector *d = look(&f, "yunet", &found);
    CHECK_INT(found.count, 1);
    CHECK_INT(found.n_keypoints, 5);
    if (found.count) {
        check_box(&found.items[0], 16, 8, 32, 40, 0.5f, 0);
        CHECK_NEAR(found.keypoints[0], 16, 1e-4);
        CHECK_NEAR(found.keypoints[3 + 1], 32, 1e-4);
    }
    sw_detector_destroy(d);
}

SW_TEST(tasks_lists) {
    static const float boxes[] = {1, 2, 30, 40, 0, 0, 9, 9}, scores[] = {0.8f, 0.1f};
    static const int64_t labels[] = {7, 3};
    fake f = {.answers = {ANSWER(boxes, 2, 4),
                          ANSWER(scores, 2),
                          {.dtype = SW_I64, .rank = 1, .dims = {2}, .data = (void *)(uintptr_t)labels}}};
    sw_detections found;
    sw_detector *d = look(&f, "ssd", &found);
    CHECK_INT(found.count, 1);
    if (found.count) check_box(&found.items[0], 2, 4, 60, 80, 0.8f, 7);
    sw_detector_destroy(d);
}

SW_TEST(tasks_head_by_name) {
    static float v[6 * CELLS];
    put_column(v, CELLS, 7, (const float[]){32, 32, 32, 16, 0.75f, 0}, 6);
    fake f = {.answers = {ANSWER(v, 1, 6, CELLS)}};
    sw_status status;
    sw_detector *d = make(&f, "yolov8-obb", NULL, &status);
    CHECK_INT(status, SW_OK);
    if (d) CHECK_INT(sw_detector_classes(d), 1);
    sw_detector_destroy(d);
    CHECK(!make(&f, "yolov8-seg", NULL, &status) && status == SW_E_UNSUPPORTED);
    CHECK(!make(&f, "yolov0", NULL, &status) && status == SW_E_USAGE);
    const char *const meta[] = {"task", "depth", NULL};
    f.meta = meta;
    CHECK(!make(&f, NULL, NULL, &status) && status == SW_E_UNSUPPORTED);
    CHECK(strstr(sw_test_message(), "depth"));
}

SW_TEST(tasks_survive_each_failing_allocation) {
    static float v[8 * CELLS];
    fill_prototypes();
    put_column(v, CELLS, 7, (const float[]){32, 32, 32, 16, 0.1f, 0.75f, 1, 0}, 8);
    fake f = {.answers = {ANSWER(v, 1, 8, CELLS), ANSWER(prototypes, 1, 2, 16, 16)}};
    int total = 1, refused = 0;
    for (int fail = 0; fail <= total; fail++) {
        test_memory m = {.fail_at = fail};
        sw_allocator a = test_memory_allocator(&m);
        sw_status status;
        sw_detector *d = make(&f, NULL, &a, &status);
        sw_picture picture = {pixels, 2 * SIDE, 2 * SIDE, 6 * SIDE, SW_PIXELS_RGB};
        sw_detections found;
        if (status == SW_OK) status = sw_detector_run(d, &picture, &found);
        sw_detector_destroy(d);
        CHECK(status == SW_OK || (fail && status == SW_E_NOMEM));
        refused += status == SW_E_NOMEM;
        CHECK_INT(m.held, 0);
        if (!fail) total = m.calls;
    }
    CHECK(total > 20 && refused >= total - 3); /* a fast letterbox without scratch leaves its work to the reference */
}

/* A bitmap from text, '#' for 1. */
static sw__bitmap bitmap_of(const char *text, int width, int height, uint8_t *data) {
    for (int i = 0; i < width * height; i++) data[i] = text[i] == '#';
    return (sw__bitmap){data, height, width, 0, height, 0, width};
}

SW_TEST(mask_outlines) {
    uint8_t data[64];
    sw_mask mask = {0};
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw__scaling s = {.gain_x = 1, .gain_y = 1, .width = 8, .height = 8};
    /* a ring around a pixel, which is not told; a pixel alone; a line that goes there and back */
    sw__bitmap b = bitmap_of("#####..."
                             "#...#..#"
                             "#.#.#..."
                             "#...#..."
                             "#####..."
                             "........"
                             "....###."
                             "........",
                             8, 8, data);
    CHECK_INT(sw__mask_rings(&b, &s, arena, &mask), SW_OK);
    CHECK_INT(mask.n_rings, 3);
    const float line[] = {4, 6, 6, 6}, alone[] = {7, 1}, ring[] = {0, 0, 0, 4, 4, 4, 4, 0};
    const float *const want[] = {line, alone, ring};
    const size_t points[] = {2, 1, 4};
    for (size_t i = 0; i < 3 && mask.n_rings == 3; i++) {
        CHECK_INT(mask.rings[i].n, points[i]);
        for (size_t k = 0; k < 2 * points[i] && mask.rings[i].n == points[i]; k++)
            CHECK_NEAR(mask.rings[i].points[k], want[i][k], 0);
    }
    /* line, there and back; the pixel; the ring from the corner that is nearest to the pixel, and closed; the pixel again */
    const float joined[] = {6, 6, 4, 6, 6, 6, 7, 1, 4, 0, 0, 0, 0, 4, 4, 4, 4, 0, 7, 1, 7, 1};
    CHECK_INT(mask.outline.n, 11);
    for (size_t i = 0; i < 22 && mask.outline.n == 11; i++) CHECK_NEAR(mask.outline.points[i], joined[i], 0);
    sw_arena_destroy(arena);
}
