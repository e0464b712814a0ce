#include "vision/detector.h"

#include <math.h>

#include "base/test_memory.h"
#include "engine/plan.h"
#include "unit.h"

/* A model that answers every picture of 64 x 64 (or any size: `dynamic`) with the same tensor. */
typedef struct fake {
    sw_dtype input;
    bool channels_last, dynamic;
    int64_t batch, dims[2]; /* of the output, after the batch */
    const float *answer;
    const char *const *meta; /* key, value ..., NULL */
} fake;

static sw_plan *make_model(const fake *f) {
    int64_t batch = f->batch ? f->batch : 1, side = f->dynamic ? SW_DIM_UNKNOWN : 64;
    sw_tensor in = {.dtype = f->input ? f->input : SW_F32, .rank = 4, .dims = {batch, 3, side, side}};
    if (f->channels_last) memcpy(in.dims, (int64_t[]){batch, side, side, 3}, 4 * sizeof *in.dims);
    sw_tensor out = {.dtype = SW_F32, .rank = 3, .dims = {batch, f->dims[0], f->dims[1]}};
    sw_plan *plan = sw_plan_create(NULL);
    sw_tensor answer = out;
    answer.data = sw_arena_alloc(plan->arena, (size_t)sw_tensor_bytes(&out), 1);
    for (int64_t n = 0; n < batch; n++) /* the other pictures of a batch get zeros */
        if (n == 0) memcpy(answer.data, f->answer, (size_t)(sw_tensor_bytes(&out) / batch));
    int32_t input, constant, output;
    CHECK_INT(sw_plan_add_value(plan, "images", &in, &input), SW_OK);
    CHECK_INT(sw_plan_add_value(plan, "answer", &answer, &constant), SW_OK);
    CHECK_INT(sw_plan_add_value(plan, "output0", &out, &output), SW_OK);
    CHECK_INT(sw_plan_add_step(plan, SW_OP_Identity, "answer", NULL, 1, &constant, 1, &output), SW_OK);
    CHECK_INT(sw_plan_set_ports(plan, &input, 1, &output, 1), SW_OK);
    for (int i = 0; f->meta && f->meta[i]; i += 2) CHECK_INT(sw_plan_add_meta(plan, f->meta[i], f->meta[i + 1]), SW_OK);
    return plan;
}

/* Options of one thread, so that tests stay quick. */
static sw_detector_options quick(void) {
    sw_detector_options o;
    sw_detector_defaults(&o);
    o.threads = 1;
    return o;
}

/* The detector of a fake model; NULL when it was refused with `status`. */
static sw_detector *detector_of(const fake *f, const sw_detector_options *options, sw_status *status) {
    sw_detector *d = NULL;
    sw_plan *plan = make_model(f);
    *status = sw_detector_create(plan, options, &sw_test_diag, &d);
    sw_plan_unref(plan);
    return d;
}

static uint8_t pixels[128 * 3 * 128 + 64];

/* Runs a detector of `f` on a picture and checks its only box. */
static void check_one(const fake *f, const char *head, int width, int height, sw_detection want, const char *name) {
    sw_status status;
    sw_detector_options options = quick();
    sw_detector *d = detector_of(f, &options, &status);
    CHECK_INT(status, SW_OK);
    if (!d) return;
    CHECK_STR(sw_detector_head(d), head);
    sw_picture picture = {pixels, width, height, 3 * (size_t)width, SW_PIXELS_RGB};
    sw_detections found = {0};
    CHECK_INT(sw_detector_run(d, &picture, &found), SW_OK);
    CHECK_INT(found.count, 1);
    if (found.count == 1) {
        const sw_detection *got = &found.items[0];
        CHECK_NEAR(got->x1, want.x1, 1e-4);
        CHECK_NEAR(got->y1, want.y1, 1e-4);
        CHECK_NEAR(got->x2, want.x2, 1e-4);
        CHECK_NEAR(got->y2, want.y2, 1e-4);
        CHECK_NEAR(got->confidence, want.confidence, 1e-6);
        CHECK_INT(got->class_id, want.class_id);
        CHECK_STR(sw_detector_class_name(d, got->class_id), name);
    }
    sw_detector_destroy(d);
}

enum { CELLS = 64 + 16 + 4 };

/* One box in the middle, 32 x 16 pixels of the tensor, of class 1 with 0.75. */
static const float *v8_answer(void) {
    static float v[6 * CELLS];
    const float column[] = {32, 32, 32, 16, 0.1f, 0.75f};
    for (int i = 0; i < 6; i++) v[i * CELLS + 7] = column[i];
    return v;
}

SW_TEST(detector_yolov8) {
    const char *const meta[] = {"names", "{0: 'cat', 1: \"dog's\"}", "stride", "32", "task", "detect", NULL};
    fake f = {.dims = {6, CELLS}, .answer = v8_answer()};
    check_one(&f, "yolov8", 64, 64, (sw_detection){16, 24, 48, 40, 0.75f, 1}, "class 1");
    f.meta = meta;
    /* 128 x 64: scaled by one half, 16 rows of padding above */
    check_one(&f, "yolov8", 128, 64, (sw_detection){32, 16, 96, 48, 0.75f, 1}, "dog's");
    /* 20 x 128: scaled by one half, 27 columns of padding; clipped to the picture */
    check_one(&f, "yolov8", 20, 128, (sw_detection){0, 48, 20, 80, 0.75f, 1}, "dog's");
}

SW_TEST(detector_input_forms) {
    const sw_dtype types[] = {SW_F32, SW_F16, SW_U8, SW_F64};
    for (int i = 0; i < 4; i++)
        for (int last = 0; last < 2; last++)
            for (int batch = 1; batch <= 2; batch++) {
                fake f = {types[i], last, false, batch, {6, CELLS}, v8_answer(), NULL};
                check_one(&f, "yolov8", 64, 64, (sw_detection){16, 24, 48, 40, 0.75f, 1}, "class 1");
            }
}

SW_TEST(detector_yolov5) {
    static float v[3 * CELLS * 7];
    const float row[] = {32, 32, 32, 16, 0.9f, 0.1f, 0.5f};
    memcpy(v + 7 * 100, row, sizeof row);
    fake f = {.dims = {3 * CELLS, 7}, .answer = v};
    check_one(&f, "yolov5", 64, 64, (sw_detection){16, 24, 48, 40, 0.45f, 1}, "class 1");
}

SW_TEST(detector_one_anchor_a_cell) {
    static float v[CELLS * 7];
    fake f = {.dims = {CELLS, 7}, .answer = v};
    /* YOLOX: cell 1 of row 2 of the grid of 16, half a cell further; the picture lies at the top left */
    const float raw[] = {0.5f, 0.5f, logf(2), logf(1), 0.9f, 0.1f, 0.5f};
    memcpy(v + 7 * (64 + 2 * 4 + 1), raw, sizeof raw);
    check_one(&f, "yolox", 128, 100, (sw_detection){16, 64, 80, 96, 0.45f, 1}, "class 1");
    /* the same in pixels */
    memset(v, 0, sizeof v);
    const float pixel[] = {40, 40, 32, 16, 0.9f, 0.1f, 0.5f};
    memcpy(v + 7 * 70, pixel, sizeof pixel);
    check_one(&f, "yolox-decoded", 128, 128, (sw_detection){48, 64, 112, 96, 0.45f, 1}, "class 1");
    for (int i = 0; i < CELLS; i++) v[7 * i + 4] = 1;
    check_one(&f, "yolov6", 128, 128, (sw_detection){48, 64, 112, 96, 0.5f, 1}, "class 1");
}

SW_TEST(detector_end_to_end) {
    static float v[300 * 6];
    const float rows[][6] = {{1, 2, 30, 40, 0.8f, 3}, {1, 2, 30, 40, 0.2f, 3}};
    memcpy(v, rows, sizeof rows);
    fake f = {.dims = {300, 6}, .answer = v};
    check_one(&f, "end2end", 64, 64, (sw_detection){1, 2, 30, 40, 0.8f, 3}, "class 3");
    sw_status status;
    sw_detector_options options = quick();
    options.conf = 0.1;
    options.classes = (int[]){3, 5};
    options.n_classes = 2;
    sw_detector *d = detector_of(&f, &options, &status);
    CHECK_INT(status, SW_OK);
    sw_picture picture = {pixels, 64, 64, 192, SW_PIXELS_BGR};
    sw_detections found;
    CHECK_INT(sw_detector_run(d, &picture, &found), SW_OK);
    CHECK_INT(found.count, 2);
    sw_detector_destroy(d);
    v[5] = -1; /* no class */
    options.n_classes = 0;
    d = detector_of(&f, &options, &status);
    CHECK_INT(sw_detector_run(d, &picture, &found), SW_E_MODEL);
    sw_detector_destroy(d);
}

SW_TEST(detector_dynamic_size) {
    const char *const meta[] = {"names", "['a', 'b']", "imgsz", "[100, 100]", "conf", "0.5", NULL};
    fake f = {.dynamic = true, .dims = {6, CELLS}, .answer = v8_answer(), .meta = meta};
    sw_status status;
    sw_detector_options options = quick();
    sw_detector *d = detector_of(&f, &options, &status);
    CHECK_INT(status, SW_OK);
    CHECK_NEAR(sw_detector_conf(d), 0.5, 0);
    CHECK_INT(sw_detector_classes(d), 2);
    sw_picture picture = {pixels, 100, 40, 320, SW_PIXELS_BGR}; /* with a gap behind each row */
    sw_detections found;
    CHECK_INT(sw_detector_run(d, &picture, &found), SW_OK);
    CHECK_INT(found.input_width, 128);
    CHECK_INT(found.input_height, 64);
    picture = (sw_picture){pixels, 10, 128, 30, SW_PIXELS_BGR};
    CHECK_INT(sw_detector_run(d, &picture, &found), SW_OK);
    CHECK_INT(found.input_width, 32);
    CHECK_INT(found.input_height, 128);
    picture.width = 0;
    CHECK_INT(sw_detector_run(d, &picture, &found), SW_E_INPUT);
    sw_detector_destroy(d);
}

SW_TEST(detector_refuses) {
    sw_status status;
    sw_detector_options options = quick();
    const char *const segments[] = {"task", "segment", NULL};
    static float v[90 * 300];
    fake f = {.dims = {6, CELLS}, .answer = v, .meta = segments};
    CHECK(!detector_of(&f, NULL, &status) && status == SW_E_UNSUPPORTED);
    CHECK(strstr(sw_test_message(), "segment"));
    f = (fake){.dims = {300, 90}, .answer = v}; /* DETR */
    CHECK(!detector_of(&f, &options, &status) && status == SW_E_UNSUPPORTED);
    CHECK(strstr(sw_test_message(), "output0 float32 1x300x90"));
    f = (fake){.dims = {6, CELLS}, .answer = v};
    options.head = "yolov9000";
    CHECK(!detector_of(&f, &options, &status) && status == SW_E_USAGE);
    options.head = "yolov5";
    f.dims[1] = 5;
    CHECK(!detector_of(&f, &options, &status) && status == SW_E_UNSUPPORTED);
    options = quick();
    options.conf = NAN;
    CHECK(!detector_of(&f, &options, &status) && status == SW_E_USAGE);
    options = quick();
    options.classes = (int[]){2};
    options.n_classes = 1;
    f.dims[1] = CELLS;
    CHECK(!detector_of(&f, &options, &status) && status == SW_E_USAGE);
    CHECK(strstr(sw_test_message(), "no class 2"));
}

SW_TEST(detector_in_halves) {
    sw_status status;
    sw_detector_options options = quick();
    fake f = {.dims = {6, CELLS}, .answer = v8_answer()};
    options.halves = true;
    sw_detector *d = detector_of(&f, &options, &status);
    CHECK_INT(status, SW_OK);
    sw_picture picture = {pixels, 128, 64, 384, SW_PIXELS_RGB};
    sw_tensor input, output = {.dtype = SW_F32, .rank = 3, .dims = {1, 6, CELLS}, .data = (void *)(uintptr_t)f.answer};
    sw_fitting fitting = {0};
    sw_detections found = {0};
    CHECK_INT(sw_detector_prepare(d, &picture, &input, &fitting), SW_OK);
    CHECK(input.rank == 4 && input.dims[2] == 64 && input.dims[3] == 64);
    CHECK(fitting.width == 128 && fitting.height == 64 && fitting.input_width == 64 && fitting.input_height == 64);
    CHECK(fitting.gain_x == 0.5f && fitting.gain_y == 0.5f && fitting.pad_x == 0 && fitting.pad_y == 16);
    CHECK_INT(sw_detector_finish(d, &fitting, &output, &found), SW_OK);
    CHECK_INT(found.count, 1);
    CHECK(found.items[0].x1 == 32 && found.items[0].y1 == 16 && found.items[0].x2 == 96 && found.items[0].y2 == 48);
    fitting.width = fitting.height = 64;
    CHECK_INT(sw_detector_finish(d, &fitting, &output, &found), SW_OK);
    CHECK(found.items[0].x1 == 16 && found.items[0].y1 == 24);
    output.dims[1] = 5;
    CHECK_INT(sw_detector_finish(d, &fitting, &output, &found), SW_E_MODEL);
    sw_detector_destroy(d);
}

SW_TEST(detector_broken_metadata) {
    const char *const meta[] = {"names", "{0: 'cat', 1", "stride", "-3", "conf", "'x'", "imgsz", "[0]", NULL};
    fake f = {.dims = {6, CELLS}, .answer = v8_answer(), .meta = meta};
    check_one(&f, "yolov8", 64, 64, (sw_detection){16, 24, 48, 40, 0.75f, 1}, "class 1");
}

/* Creation and a run, with the picture's rows apart; the status of whichever failed. */
static sw_status create_and_run(const fake *f, const sw_allocator *allocator) {
    sw_status status;
    sw_detector_options options = quick();
    options.allocator = allocator;
    sw_detector *d = detector_of(f, &options, &status);
    sw_picture picture = {pixels, 100, 40, 320, SW_PIXELS_BGR};
    sw_detections found;
    if (status == SW_OK) status = sw_detector_run(d, &picture, &found);
    sw_detector_destroy(d);
    return status;
}

SW_TEST(detector_survives_each_failing_allocation) {
    const char *const meta[] = {"names", "{0: 'cat', 1: 'dog'}", NULL};
    fake f = {SW_F16, true, false, 2, {6, CELLS}, v8_answer(), meta};
    int total = 1, refused = 0;
    for (int fail = 0; fail <= total; fail++) {
        test_memory m = {.fail_at = fail};
        sw_allocator a = test_memory_allocator(&m);
        sw_status status = create_and_run(&f, &a);
        CHECK(status == SW_OK || (fail && status == SW_E_NOMEM));
        refused += status == SW_E_NOMEM;
        CHECK_INT(m.held, 0);
        if (!fail) total = m.calls;
    }
    CHECK(total > 20 && refused >= total - 3); /* a fast letterbox without scratch leaves its work to the reference */
}
