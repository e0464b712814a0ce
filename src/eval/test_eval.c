/* Averages, likeness and datasets, with values computed by hand; tests/py/test_val.py compares with pycocotools. */
#include <math.h>
#include <string.h>

#include "base/os.h"
#include "eval/coco.h"
#include "eval/dataset.h"
#include "eval/eval.h"
#include "eval/predictions.h"
#include "eval/shape.h"
#include "eval/yaml.h"
#include "unit.h"

static sw_eval_object box(int64_t image, int class_id, double score, double x, double y, double w, double h) {
    return (sw_eval_object){.image = image, .class_id = class_id, .score = score, .box = {x, y, w, h}, .area = -1};
}

static void truth(sw_eval *e, sw_eval_object o) {
    CHECK_INT(sw_eval_add_truth(e, &o), SW_OK);
}
static void guess(sw_eval *e, sw_eval_object o) {
    CHECK_INT(sw_eval_add_guess(e, &o), SW_OK);
}

SW_TEST(eval_likeness_of_boxes) {
    double a[4] = {0, 0, 10, 10}, b[4] = {5, 0, 10, 10}, far[4] = {20, 20, 5, 5};
    CHECK_NEAR(sw_iou_boxes(a, b, false), 50.0 / 150, 1e-12);
    CHECK_NEAR(sw_iou_boxes(a, b, true), 0.5, 1e-12);
    CHECK_NEAR(sw_iou_boxes(a, far, false), 0, 0);
}

SW_TEST(eval_likeness_of_rotated_boxes) {
    const double pi = 3.14159265358979323846;
    double a[5] = {0, 0, 2, 2, 0}, turned[5] = {0, 0, 2, 2, pi / 4}, half[5] = {1, 0, 2, 2, pi / 2},
           none[5] = {9, 9, 1, 1, 1};
    CHECK_NEAR(sw_iou_rotated(a, a), 1, 1e-12);
    /* The cut is a regular octagon: 8 (sqrt 2 - 1). */
    double octagon = 8 * (sqrt(2) - 1);
    CHECK_NEAR(sw_iou_rotated(a, turned), octagon / (8 - octagon), 1e-12);
    CHECK_NEAR(sw_iou_rotated(a, half), 2.0 / 6, 1e-12);
    CHECK_NEAR(sw_iou_rotated(a, none), 0, 0);
}

SW_TEST(eval_masks) {
    uint32_t a[] = {1, 2, 3}, b[] = {0, 2, 4}; /* pixels 1 2, and 0 1, of 6 */
    CHECK_NEAR(sw_iou_masks(a, 3, b, 3, false), 1.0 / 3, 1e-12);
    CHECK_NEAR(sw_mask_area(a, 3), 2, 0);
    double around[4];
    sw_mask_box(a, 3, 3, around); /* two columns of three: pixels (0,1) and (0,2) */
    CHECK_NEAR(around[0], 0, 0);
    CHECK_NEAR(around[1], 1, 0);
    CHECK_NEAR(around[2], 1, 0);
    CHECK_NEAR(around[3], 2, 0);
    sw_arena *arena = sw_arena_create(NULL, 0);
    uint8_t pixels[36] = {0};
    sw_canvas canvas = {pixels, 6, 6};
    sw_fill_room room = {0};
    double square[] = {1, 1, 4, 1, 4, 4, 1, 4};
    CHECK_INT(sw_canvas_fill(&canvas, square, 4, &room), SW_OK);
    sw_runs runs;
    CHECK_INT(sw_canvas_runs(&canvas, arena, &runs), SW_OK);
    CHECK_NEAR(sw_mask_area(runs.runs, runs.n), 9, 0);
    CHECK_INT(runs.runs[0], 7); /* the first column, and a pixel */
    CHECK_INT(sw_runs_parse("0", 1, 0, arena, &runs), SW_OK);
    CHECK_INT(sw_runs_parse("123", 3, 6, arena, &runs), SW_OK); /* 1, 2, 3 */
    CHECK_INT(runs.runs[2], 3);
    CHECK_INT(sw_runs_parse("12", 2, 6, arena, &runs), SW_E_INPUT);       /* does not add up */
    CHECK_INT(sw_runs_parse("\x7f\x7f", 2, 6, arena, &runs), SW_E_INPUT); /* no such character */
    CHECK_INT(sw_runs_parse("P", 1, 6, arena, &runs), SW_E_INPUT);        /* more would follow */
    sw_free(NULL, room.crossings);
    sw_arena_destroy(arena);
}

/* Two truths; the surest guess is right, the second wrong, the third right: precision 1 up to recall 0.5, then 2/3. */
SW_TEST(eval_average_precision) {
    sw_eval *e = sw_eval_create(&(sw_eval_options){.n_classes = 2});
    truth(e, box(1, 0, 0, 0, 0, 10, 10));
    truth(e, box(2, 0, 0, 0, 0, 10, 10));
    guess(e, box(1, 0, 0.9, 0, 0, 10, 10));
    guess(e, box(1, 0, 0.8, 50, 50, 10, 10));
    guess(e, box(2, 0, 0.7, 0, 0, 10, 10));
    guess(e, box(2, 1, 0.99, 0, 0, 10, 10)); /* of a class without truths: no average, no harm */
    sw_eval_result r;
    CHECK_INT(sw_eval_run(e, &r), SW_OK);
    double want = (51 + 50 * 2.0 / 3) / 101;
    CHECK_NEAR(r.map, want, 1e-9);
    CHECK_NEAR(r.map50, want, 1e-9);
    CHECK_NEAR(r.classes[1].ap[0][0], -1, 0);
    CHECK_NEAR(r.map_area[1], want, 1e-9); /* 10 x 10 is small */
    CHECK_NEAR(r.map_area[3], -1, 0);
    CHECK_INT(r.truths, 2);
    CHECK_NEAR(r.recall_limit[0], 1, 1e-12);
    CHECK_NEAR(r.conf, 0.7, 1e-9); /* F1 is 0.8 there, 0.67 above */
    CHECK_NEAR(r.precision50, 2.0 / 3, 1e-9);
    sw_eval_destroy(e);
}

SW_TEST(eval_crowds_neither_help_nor_harm) {
    sw_eval *e = sw_eval_create(&(sw_eval_options){.n_classes = 1});
    sw_eval_object crowd = box(1, 0, 0, 0, 0, 100, 100);
    crowd.crowd = true;
    truth(e, crowd);
    truth(e, box(1, 0, 0, 200, 0, 10, 10));
    guess(e, box(1, 0, 0.9, 5, 5, 10, 10)); /* in the crowd, twice */
    guess(e, box(1, 0, 0.8, 30, 30, 10, 10));
    guess(e, box(1, 0, 0.7, 200, 0, 10, 10));
    sw_eval_result r;
    CHECK_INT(sw_eval_run(e, &r), SW_OK);
    CHECK_NEAR(r.map, 1, 1e-9);
    CHECK_INT(r.truths, 1);
    sw_eval_destroy(e);
}

SW_TEST(eval_confusion_counts) {
    sw_eval *e = sw_eval_create(&(sw_eval_options){.n_classes = 2});
    truth(e, box(1, 0, 0, 0, 0, 10, 10));
    truth(e, box(1, 1, 0, 50, 0, 10, 10));
    truth(e, box(2, 1, 0, 50, 0, 10, 10));
    guess(e, box(1, 0, 0.9, 0, 0, 10, 10));
    guess(e, box(1, 0, 0.9, 50, 0, 10, 10));
    guess(e, box(3, 1, 0.9, 0, 0, 10, 10));
    guess(e, box(2, 1, 0.1, 50, 0, 10, 10)); /* not sure enough */
    int64_t counts[9], want[9] = {1, 1, 0, 0, 0, 1, 0, 1, 0};
    CHECK_INT(sw_eval_confusion(e, 0.25, 0.45, counts), SW_OK);
    for (int i = 0; i < 9; i++) CHECK_INT(counts[i], want[i]);
    sw_eval_destroy(e);
}

SW_TEST(eval_bootstrap_of_equals_is_nothing) {
    sw_eval *e[2];
    for (int k = 0; k < 2; k++) {
        e[k] = sw_eval_create(&(sw_eval_options){.n_classes = 1});
        for (int i = 0; i < 20; i++) {
            truth(e[k], box(i, 0, 0, 0, 0, 10, 10));
            guess(e[k], box(i, 0, 0.5 + i * 0.01, k && i % 4 == 0 ? 50 : 0, 0, 10, 10));
        }
        sw_eval_result r;
        CHECK_INT(sw_eval_run(e[k], &r), SW_OK);
    }
    double interval[2];
    CHECK_INT(sw_eval_bootstrap(e[0], e[0], 50, 7, interval), SW_OK);
    CHECK_NEAR(interval[0], 0, 0);
    CHECK_NEAR(interval[1], 0, 0);
    CHECK_INT(sw_eval_bootstrap(e[0], e[1], 200, 7, interval), SW_OK);
    CHECK(interval[0] < interval[1] && interval[1] < 0); /* a quarter wrong is worse whatever the pictures */
    sw_eval_destroy(e[0]);
    sw_eval_destroy(e[1]);
}

static sw_status parse(const char *text) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_dataset d = {0};
    sw_status status = sw__coco_parse(text, strlen(text), "t", arena, NULL, &d);
    sw_arena_destroy(arena);
    return status;
}

SW_TEST(eval_coco_files) {
    const char *good =
        "{\"images\":[{\"id\":7,\"file_name\":\"a.jpg\",\"width\":4,\"height\":3}],\"categories\":[{\"id\":3,"
        "\"name\":\"cat\"}],\"annotations\":[{\"image_id\":7,\"category_id\":3,\"bbox\":[1,1,2,2],\"segmentation\":"
        "[[0,0,2,0,2,2]],\"iscrowd\":0}]}";
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_dataset d = {0};
    CHECK_INT(sw__coco_parse(good, strlen(good), "t", arena, &sw_test_diag, &d), SW_OK);
    CHECK_INT(d.n_images, 1);
    CHECK_INT(d.images[0].n_truths, 1);
    CHECK_INT(d.images[0].truths[0].category, 0);
    CHECK_INT(d.images[0].truths[0].ends[0], 3);
    sw_arena_destroy(arena);
    CHECK_INT(parse("[]"), SW_E_INPUT);
    CHECK_INT(parse("{}"), SW_E_INPUT);
    CHECK_INT(
        parse(
            "{\"images\":[{\"id\":1,\"file_name\":\"a\"}],\"categories\":[{\"id\":1}],\"annotations\":[{\"image_id\":2,"
            "\"category_id\":1}]}"),
        SW_E_INPUT);
    CHECK_INT(
        parse(
            "{\"images\":[{\"id\":1,\"file_name\":\"a\"},{\"id\":1,\"file_name\":\"b\"}],\"categories\":[{\"id\":1}]}"),
        SW_E_INPUT);
}

SW_TEST(eval_yaml_files) {
    const char *text =
        "path: /data # root\ntrain: [a, b]\nval: images/val\nnc: 2\nnames:\n  0: cat\n  2: dog\nkpt_shape: [17, 3]\n"
        "other: {x: [1, {y: 2}]}\n";
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw__data_yaml y;
    CHECK_INT(sw__yaml_parse(text, strlen(text), "t", arena, &sw_test_diag, &y), SW_OK);
    CHECK_STR(y.path, "/data");
    CHECK_INT(y.splits[0].n, 1);
    CHECK_STR(y.splits[2].items[1], "b");
    CHECK_INT(y.n_names, 3);
    CHECK(!y.names[1].name);
    CHECK_STR(y.names[2].name, "dog");
    CHECK_INT(y.n_points, 17);
    const char *const bad[] = {
        "", "- a\n", "names: {0: [\n", "names: {x: cat}\n", "kpt_shape: [17]\n", "val: {a: b}\n", "\t: x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_INT(sw__yaml_parse(bad[i], strlen(bad[i]), "t", arena, NULL, &y), SW_E_INPUT);
    sw_arena_destroy(arena);
}
