/* slipway val: how good a model is on pictures whose objects are known. */
#include "cli/val.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/options.h"
#include "cli/results.h"
#include "cli/shapes.h"
#include "cli/sources.h"
#include "eval/shape.h"
#include "slipway/build.h"

enum { TOP = 5, BOOTSTRAP_SAMPLES = 1000, BOOTSTRAP_SEED = 1, MAX_PREDICTION_BYTES = 1 << 30 };

/* As Ultralytics counts confusions. */
static const double confusion_conf = 0.25, confusion_iou = 0.45;

static double ms_since(int64_t start) {
    return (double)(sw_clock_ns() - start) / 1e6;
}

static sw_status out_of_memory(const sw_val *v) {
    return sw_fail(v->diag, SW_E_NOMEM, NULL, NULL, "out of memory");
}

const char *sw_val_shapes(const sw_val *v) {
    return v->task == SW_TASK_SEGMENT ? "masks" : v->task == SW_TASK_POSE ? "keypoints" : "rotated boxes";
}

const sw_eval_result *sw_val_main(const sw_val *v) {
    return v->shapes ? &v->shapes_result : &v->boxes_result;
}

/* ---- Model and classes
 * ---------------------------------------------------------------------------------------------- */

static sw_status load_model(sw_val *v) {
    sw_detector_options o;
    sw_detector_defaults(&o);
    o.conf = sw_args_number(v->args, "conf");
    o.iou = sw_args_number(v->args, "iou");
    o.max_det = (int)sw_args_int(v->args, "max-det");
    SW_TRY(sw_sides_parse(sw_args_text(v->args, "imgsz"), v->args->verb->name, v->diag, o.imgsz));
    o.head = sw_args_text(v->args, "head");
    o.threads = (int)sw_args_int(v->args, "threads");
    o.device = sw_args_text(v->args, "device");
    o.multi_label = true;
    sw_plan *plan;
    v->console->subject = v->model;
    const sw_build_options build = {.device = o.device,
                                    .strict = sw_args_flag(v->args, "strict"),
                                    .trust_code = sw_args_flag(v->args, "trust-code")};
    SW_TRY(sw_plan_build_with(v->model, &build, v->diag, &plan));
    sw_status status = sw_backend_network(v->args, plan, v->model, v->diag, &v->network, &o.network);
    if (status == SW_OK) status = sw_detector_create(plan, &o, v->diag, &v->detector);
    sw_plan_unref(plan);
    v->console->subject = NULL;
    if (status == SW_OK) v->task = sw_detector_task(v->detector);
    return status;
}

static int find_category(const sw_dataset *d, const char *name) {
    for (size_t i = 0; i < d->n_categories; i++)
        if (d->categories[i].name && !strcmp(d->categories[i].name, name)) return (int)i;
    return -1;
}

/* Categories are those of the dataset; classes of the model meet them by name, or by number where no name fits but
 * there are as many (or the dataset names none). */
static sw_status map_classes(sw_val *v) {
    const sw_dataset *d = &v->dataset;
    int n_model = v->detector ? sw_detector_classes(v->detector) : 0, by_name = 0;
    bool named = d->n_categories > 0;
    v->n_classes = named ? (int)d->n_categories : n_model;
    if (!v->n_classes) return sw_fail(v->diag, SW_E_INPUT, v->data, NULL, "the dataset names no classes");
    v->class_names = SW_ARENA_ARRAY(v->args->arena, const char *, v->n_classes);
    v->known = SW_ARENA_ARRAY(v->args->arena, bool, v->n_classes);
    v->category_of = SW_ARENA_ARRAY(v->args->arena, int, n_model + 1);
    if (!v->class_names || !v->known || !v->category_of) return out_of_memory(v);
    for (int i = 0; i < n_model; i++) {
        v->category_of[i] = named ? find_category(d, sw_detector_class_name(v->detector, i)) : i;
        by_name += v->category_of[i] >= 0;
    }
    bool by_number = named && !by_name && (size_t)n_model == d->n_categories;
    for (int i = 0; i < n_model; i++) {
        if (by_number) v->category_of[i] = i;
        if (v->category_of[i] >= 0) v->known[v->category_of[i]] = true;
    }
    for (int i = 0; i < v->n_classes; i++) {
        const char *name = named ? d->categories[i].name : sw_detector_class_name(v->detector, i);
        v->class_names[i] = name ? name : sw_arena_printf(v->args->arena, "class %d", i);
        if (!v->class_names[i]) return out_of_memory(v);
        if (!v->detector) v->known[i] = true;
        v->n_known += v->known[i];
    }
    if (!v->n_known)
        return sw_fail(v->diag, SW_E_INPUT, v->data, "check that the dataset belongs to the model",
                       "none of its %d classes (%s ...) is one of the model's %d (%s ...)", v->n_classes,
                       v->class_names[0], n_model, sw_detector_class_name(v->detector, 0));
    if (v->n_known < v->n_classes)
        sw_info(v->diag, v->data, "%d of its %d classes are unknown to the model and left out",
                v->n_classes - v->n_known, v->n_classes);
    return SW_OK;
}

static sw_eval *new_eval(const sw_val *v, sw_eval_kind kind) {
    return sw_eval_create(&(sw_eval_options){.kind = kind, .n_classes = v->n_classes, .n_points = v->n_points});
}

static sw_eval_kind kind_of(const sw_val *v) {
    return v->task == SW_TASK_SEGMENT ? SW_EVAL_MASKS
           : v->task == SW_TASK_POSE  ? SW_EVAL_POINTS
           : v->task == SW_TASK_OBB   ? SW_EVAL_ROTATED
                                      : SW_EVAL_BOXES;
}

static sw_status make_evals(sw_val *v) {
    size_t side = (size_t)v->n_classes + 1;
    v->confusion = sw_calloc(NULL, side * side, sizeof *v->confusion);
    v->classes = SW_ARENA_ARRAY(v->args->arena, sw_val_class, v->n_classes);
    if (!v->confusion || !v->classes) return out_of_memory(v);
    if (v->task == SW_TASK_CLASSIFY) return SW_OK;
    if (v->task != SW_TASK_OBB) v->boxes = new_eval(v, SW_EVAL_BOXES);
    if (v->task != SW_TASK_DETECT) v->shapes = new_eval(v, kind_of(v));
    bool good = (v->task == SW_TASK_OBB || v->boxes) && (v->task == SW_TASK_DETECT || v->shapes);
    return good ? SW_OK : out_of_memory(v);
}

/* ---- Truths
 * --------------------------------------------------------------------------------------------------------- */

/* A picture that is being judged. */
typedef struct scene {
    sw_val *v;
    const sw_dataset_image *image;
    int width, height;
    sw_arena *arena;
    sw_canvas canvas;
    sw_fill_room room;
} scene;

static sw_status bad_truth(const scene *s, const char *what) {
    return sw_fail(s->v->diag, SW_E_INPUT, s->image->label_path ? s->image->label_path : s->v->data, NULL, "%s: %s",
                   s->image->path, what);
}

/* The run lengths of a truth or prediction. */
static sw_status runs_of(scene *s, const sw_truth *t, sw_runs *runs) {
    uint64_t pixels = (uint64_t)s->width * (uint64_t)s->height, total = 0;
    if ((t->runs || t->plain_runs) && (t->runs_width != s->width || t->runs_height != s->height))
        return bad_truth(s, "run lengths are of a picture of another size");
    if (t->runs) {
        sw_status status = sw_runs_parse(t->runs, t->n_runs, pixels, s->arena, runs);
        return status == SW_E_INPUT ? bad_truth(s, "run lengths cannot be read, or do not add up to the picture")
                                    : status;
    }
    if (t->plain_runs) {
        for (size_t i = 0; i < t->n_runs; i++) total += t->plain_runs[i];
        *runs = (sw_runs){t->plain_runs, t->n_runs};
        return total == pixels ? SW_OK : bad_truth(s, "run lengths do not add up to the picture");
    }
    if (!t->n_outlines) return bad_truth(s, "an object has no outline, but the model finds masks");
    if (!s->canvas.pixels) s->canvas = (sw_canvas){SW_ARENA_ARRAY(s->arena, uint8_t, pixels), s->width, s->height};
    if (!s->canvas.pixels) return SW_E_NOMEM;
    memset(s->canvas.pixels, 0, pixels);
    for (int i = 0, begin = 0; i < t->n_outlines; begin = t->ends[i++])
        SW_TRY(sw_canvas_fill(&s->canvas, t->outlines + 2 * begin, (size_t)(t->ends[i] - begin), &s->room));
    return sw_canvas_runs(&s->canvas, s->arena, runs);
}

/* Four corners around a box to its centre, sides and angle. */
static void rotated_of(const double *corners, double rotated[5]) {
    double x = 0, y = 0;
    for (int i = 0; i < 4; i++) x += corners[2 * i] / 4, y += corners[2 * i + 1] / 4;
    double ux = corners[2] - corners[0], uy = corners[3] - corners[1], vx = corners[4] - corners[2],
           vy = corners[5] - corners[3];
    memcpy(rotated, (double[]){x, y, hypot(ux, uy), hypot(vx, vy), atan2(uy, ux)}, 5 * sizeof *rotated);
}

/* A truth, or a prediction, as the evaluation of that kind wants it. */
static sw_status object_of(scene *s, const sw_truth *t, sw_eval_kind kind, sw_eval_object *o) {
    *o = (sw_eval_object){.image = s->image->id, .class_id = t->category, .crowd = t->crowd, .area = t->area};
    memcpy(o->box, t->box, sizeof o->box);
    sw_runs runs;
    switch (kind) {
    case SW_EVAL_MASKS:
        SW_TRY(runs_of(s, t, &runs));
        o->runs = runs.runs;
        o->n_runs = runs.n;
        if (!t->has_box) sw_mask_box(runs.runs, runs.n, s->height, o->box);
        return SW_OK;
    case SW_EVAL_POINTS:
        if (t->n_points != s->v->n_points)
            return bad_truth(s, "an object has another number of keypoints than the model");
        o->points = t->points;
        if (o->area < 0) o->area = t->box[2] * t->box[3] * 0.53; /* that share of a box is a person (Ultralytics) */
        return SW_OK;
    case SW_EVAL_ROTATED:
        if (t->n_outlines != 1 || t->ends[0] != 4) return bad_truth(s, "an object has no four corners");
        rotated_of(t->outlines, o->rotated);
        return SW_OK;
    case SW_EVAL_BOXES:
        break;
    }
    return t->has_box ? SW_OK : bad_truth(s, "an object has no box");
}

static sw_label_form form_of(const sw_val *v) {
    switch (v->task) {
    case SW_TASK_SEGMENT:
        return SW_LABELS_OUTLINES;
    case SW_TASK_POSE:
        return SW_LABELS_POINTS;
    case SW_TASK_OBB:
        return SW_LABELS_CORNERS;
    default:
        return SW_LABELS_BOXES;
    }
}

static sw_status add_truth(scene *s, const sw_truth *t) {
    sw_val *v = s->v;
    sw_eval_object o;
    if (t->category >= v->n_classes) return bad_truth(s, "an object is of a class that is not there");
    if (!v->known[t->category]) return SW_OK;
    /* Crowds without a shape of their own cannot be judged against. */
    bool shapeless =
        t->crowd && (v->task == SW_TASK_SEGMENT ? !t->n_outlines && !t->runs && !t->plain_runs : !t->points);
    if (v->shapes && !shapeless) {
        SW_TRY(object_of(s, t, kind_of(v), &o));
        SW_TRY(sw_eval_add_truth(v->shapes, &o));
        if (v->other) SW_TRY(sw_eval_add_truth(v->other, &o));
    }
    if (!v->boxes) return SW_OK;
    SW_TRY(object_of(s, t, SW_EVAL_BOXES, &o));
    SW_TRY(sw_eval_add_truth(v->boxes, &o));
    return v->other && !v->shapes ? sw_eval_add_truth(v->other, &o) : SW_OK;
}

static sw_status add_truths(scene *s) {
    const sw_truth *truths;
    size_t n;
    SW_TRY(sw_dataset_truths(&s->v->dataset, s->image, form_of(s->v), s->width, s->height, s->arena, s->v->diag,
                             &truths, &n));
    for (size_t i = 0; i < n; i++) SW_TRY(add_truth(s, &truths[i]));
    sw_val *v = s->v;
    if (v->boxes) SW_TRY(sw_eval_add_image(v->boxes, s->image->id));
    if (v->shapes) SW_TRY(sw_eval_add_image(v->shapes, s->image->id));
    return v->other ? sw_eval_add_image(v->other, s->image->id) : SW_OK;
}

/* ---- Found by the model
 * --------------------------------------------------------------------------------------------- */

static int64_t category_id(const sw_val *v, int category) {
    return v->dataset.n_categories ? v->dataset.categories[category].id : category;
}

/* A line of COCO's results. */
static void save_found(const scene *s, const sw_detections *found, int i, const sw_eval_object *o) {
    sw_json_writer *w = &s->v->found;
    sw_json_flat(w);
    sw_json_object(w);
    sw_json_key(w, "image_id"), sw_json_int(w, s->image->id);
    sw_json_key(w, "category_id"), sw_json_int(w, category_id(s->v, o->class_id));
    sw_json_key(w, "bbox"), sw_json_array(w);
    for (int k = 0; k < 4; k++) sw_json_f64(w, o->box[k]);
    sw_json_array_end(w);
    if (found->masks) sw_json_key(w, "segmentation"), sw_result_json_runs(&found->masks[i], s->width, s->height, w);
    if (o->points) {
        sw_json_key(w, "keypoints"), sw_json_array(w);
        for (int k = 0; k < 3 * found->n_keypoints; k++) sw_json_f64(w, o->points[k]);
        sw_json_array_end(w);
    }
    sw_json_key(w, "score"), sw_json_f32(w, (float)o->score);
    sw_json_object_end(w);
}

static sw_status add_found(scene *s, const sw_detections *found, int i) {
    sw_val *v = s->v;
    const sw_detection *d = &found->items[i];
    int category = v->category_of[d->class_id];
    if (category < 0) return SW_OK;
    sw_eval_object o = {.image = s->image->id, .class_id = category, .score = d->confidence};
    memcpy(o.box, (double[]){d->x1, d->y1, (double)d->x2 - d->x1, (double)d->y2 - d->y1}, sizeof o.box);
    if (found->masks) {
        o.runs = found->masks[i].runs;
        o.n_runs = found->masks[i].n_runs;
    }
    double points[3 * SW_EVAL_MAX_POINTS];
    if (v->task == SW_TASK_POSE) {
        for (int k = 0; k < 3 * found->n_keypoints; k++)
            points[k] = (double)found->keypoints[3 * found->n_keypoints * i + k];
        o.points = points;
    }
    if (found->rotated) {
        const sw_rotated *r = &found->rotated[i];
        memcpy(o.rotated, (double[]){r->x, r->y, r->width, r->height, r->angle}, sizeof o.rotated);
    }
    if (v->found.buf) save_found(s, found, i, &o);
    if (v->boxes) SW_TRY(sw_eval_add_guess(v->boxes, &o));
    return v->shapes ? sw_eval_add_guess(v->shapes, &o) : SW_OK;
}

static sw_status judge_class(scene *s, const sw_detections *found) {
    sw_val *v = s->v;
    int truth = s->image->category;
    if (truth < 0)
        return sw_fail(v->diag, SW_E_INPUT, v->data, "a folder of pictures for each class",
                       "the model tells classes, but the dataset does not");
    if (!v->known[truth]) return SW_OK;
    sw_val_class *c = &v->classes[truth];
    c->images++;
    for (int i = 0; i < found->count && i < TOP; i++) {
        int category = v->category_of[found->items[i].class_id];
        if (!i && category >= 0) v->confusion[(size_t)category * ((size_t)v->n_classes + 1) + (size_t)truth]++;
        c->top1 += !i && category == truth;
        c->top5 += category == truth;
    }
    return SW_OK;
}

static sw_status judge(scene *s, const sw_picture *picture, double decode_ms) {
    sw_val *v = s->v;
    sw_detections found;
    SW_TRY(sw_detector_run(v->detector, picture, &found));
    v->decode_ms += decode_ms;
    v->times.preprocess += found.times_ms.preprocess;
    v->times.inference += found.times_ms.inference;
    v->times.postprocess += found.times_ms.postprocess;
    if (v->task == SW_TASK_CLASSIFY) return judge_class(s, &found);
    if (v->task == SW_TASK_POSE && found.n_keypoints > SW_EVAL_MAX_POINTS)
        return sw_fail(v->diag, SW_E_LIMIT, NULL, NULL, "more than %d keypoints", SW_EVAL_MAX_POINTS);
    for (int i = 0; i < found.count; i++) SW_TRY(add_found(s, &found, i));
    return add_truths(s);
}

/* The number of keypoints is known when the model has found something, or from the dataset. */
static sw_status begin_points(sw_val *v, const sw_picture *picture) {
    if (v->task != SW_TASK_POSE || v->n_points) return SW_OK;
    sw_detections found;
    SW_TRY(sw_detector_run(v->detector, picture, &found));
    v->n_points = found.n_keypoints;
    return SW_OK;
}

static sw_status do_picture(sw_val *v, const sw_dataset_image *image) {
    sw_image picture = {0};
    int64_t start = sw_clock_ns();
    SW_TRY(sw_image_load(image->path, NULL, v->diag, &picture));
    double decode_ms = ms_since(start);
    scene s = {.v = v, .image = image, .width = picture.picture.width, .height = picture.picture.height};
    s.arena = sw_arena_create(NULL, 0);
    sw_status status = s.arena ? SW_OK : SW_E_NOMEM;
    if (status == SW_OK) status = begin_points(v, &picture.picture);
    if (status == SW_OK && !v->confusion) status = make_evals(v);
    if (status == SW_OK) status = judge(&s, &picture.picture, decode_ms);
    if (status == SW_E_NOMEM) out_of_memory(v);
    sw_arena_destroy(s.arena);
    sw_free(NULL, s.room.crossings);
    sw_image_destroy(&picture);
    v->done++;
    return status;
}

static sw_status do_pictures(sw_val *v) {
    for (size_t i = 0; i < v->limit; i++) {
        v->console->subject = v->dataset.images[i].path;
        sw_console_progress(v->console, i, v->limit, sw_path_name(v->dataset.images[i].path));
        SW_TRY(do_picture(v, &v->dataset.images[i]));
    }
    v->console->subject = NULL;
    sw_console_progress_end(v->console);
    return SW_OK;
}

/* ---- Found by others
 * ------------------------------------------------------------------------------------------------ */

static int compare_ids(const void *a, const void *b) {
    const sw_dataset_image *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Adds the predictions of a file to an evaluation of that kind, and to a second one of boxes (may be NULL). */
static sw_status add_predictions(sw_val *v, const char *path, const sw_predictions *p, sw_eval *eval, sw_eval_kind kind,
                                 sw_eval *boxes) {
    for (size_t i = 0; i < p->n; i++) {
        const sw_prediction *x = &p->items[i];
        sw_dataset_image key = {.id = x->image_id};
        const sw_dataset_image *image = bsearch(&key, v->dataset.images, v->limit, sizeof key, compare_ids);
        if (!image) continue; /* of a picture that is not asked for */
        scene s = {.v = v, .image = image, .width = image->width, .height = image->height};
        if (!(s.arena = sw_arena_create(NULL, 0))) return SW_E_NOMEM;
        sw_truth shape = x->shape;
        shape.category = -1;
        for (int c = 0; c < v->n_classes; c++)
            if (category_id(v, c) == x->category_id) shape.category = c;
        sw_eval_object o;
        sw_status status = SW_OK;
        if (shape.category < 0)
            status = sw_fail(v->diag, SW_E_INPUT, path, NULL,
                             "prediction %zu is of category %lld, which the dataset does not have", i + 1,
                             (long long)x->category_id);
        if (status == SW_OK && v->known[shape.category]) {
            status = object_of(&s, &shape, kind, &o);
            o.score = x->score;
            if (status == SW_OK) status = sw_eval_add_guess(eval, &o);
            if (status == SW_OK && boxes && shape.has_box) status = sw_eval_add_guess(boxes, &o);
        }
        sw_arena_destroy(s.arena);
        sw_free(NULL, s.room.crossings);
        SW_TRY(status);
    }
    return SW_OK;
}

static sw_status read_predictions(const sw_val *v, const char *path, sw_predictions *p) {
    sw_buf text = sw_buf_make(NULL, MAX_PREDICTION_BYTES);
    sw_status status = sw_file_read(path, v->diag, &text);
    if (status == SW_OK) status = sw_predictions_parse(text.data, text.size, path, v->args->arena, v->diag, p);
    sw_buf_free(&text);
    return status;
}

/* Without a model: what a file says, judged by what it holds. */
static sw_status do_file(sw_val *v, const char *path) {
    sw_predictions p;
    if (strcmp(v->dataset.kind, "COCO") != 0)
        return sw_fail(v->diag, SW_E_INPUT, v->data, NULL,
                       "--predictions need a dataset in COCO's format: they name its pictures by number");
    SW_TRY(read_predictions(v, path, &p));
    const sw_truth *first = p.n ? &p.items[0].shape : NULL;
    v->task = !first || first->has_box ? SW_TASK_DETECT : first->points ? SW_TASK_POSE : SW_TASK_SEGMENT;
    if (first && first->points) v->task = SW_TASK_POSE;
    if (first && (first->runs || first->plain_runs || first->n_outlines)) v->task = SW_TASK_SEGMENT;
    if (v->task == SW_TASK_POSE) v->n_points = first->n_points;
    SW_TRY(make_evals(v));
    SW_TRY(add_predictions(v, path, &p, v->shapes ? v->shapes : v->boxes, kind_of(v), v->shapes ? v->boxes : NULL));
    for (size_t i = 0; i < v->limit; i++) {
        scene s = {.v = v, .image = &v->dataset.images[i]};
        s.width = s.image->width;
        s.height = s.image->height;
        if (!(s.arena = sw_arena_create(NULL, 0))) return SW_E_NOMEM;
        sw_status status = add_truths(&s);
        sw_arena_destroy(s.arena);
        sw_free(NULL, s.room.crossings);
        SW_TRY(status);
    }
    v->done = v->limit;
    return SW_OK;
}

/* ---- The run
 * -------------------------------------------------------------------------------------------------------- */

static sw_status compare(sw_val *v) {
    const char *path = sw_args_text(v->args, "against");
    if (!path) return SW_OK;
    sw_predictions p;
    SW_TRY(read_predictions(v, path, &p));
    SW_TRY(add_predictions(v, path, &p, v->other, kind_of(v), NULL));
    SW_TRY(sw_eval_run(v->other, &v->other_result));
    v->delta = v->other_result.map - sw_val_main(v)->map;
    return sw_eval_bootstrap(v->shapes ? v->shapes : v->boxes, v->other, BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED,
                             v->interval);
}

static sw_status evaluate(sw_val *v) {
    if (v->task == SW_TASK_CLASSIFY) return SW_OK;
    if (v->boxes) SW_TRY(sw_eval_run(v->boxes, &v->boxes_result));
    if (v->shapes) SW_TRY(sw_eval_run(v->shapes, &v->shapes_result));
    SW_TRY(sw_eval_confusion(v->boxes ? v->boxes : v->shapes, confusion_conf, confusion_iou, v->confusion));
    return compare(v);
}

static sw_status open_outputs(sw_val *v) {
    const char *json = sw_args_text(v->args, "json"), *saved = sw_args_text(v->args, "save-json"),
               *plots = sw_args_text(v->args, "plots");
    if (json && strcmp(json, "-") != 0) SW_TRY(sw_outfile_open(json, v->diag, &v->json_file));
    if (plots) SW_TRY(sw_dir_make(plots, v->diag));
    if (!saved) return SW_OK;
    v->found = sw_json_writer_make(&v->found_buf, 1);
    sw_json_array(&v->found);
    return sw_outfile_open(saved, v->diag, &v->found_file);
}

/* Ends a file; *file is NULL then. */
static sw_status close_output(sw_val *v, sw_outfile **file, sw_buf *buf) {
    sw_outfile *f = *file;
    sw_buf_append_byte(buf, '\n');
    if (buf->status != SW_OK) return out_of_memory(v);
    SW_TRY(sw_outfile_write(f, buf->data, buf->size));
    *file = NULL;
    return sw_outfile_commit(f);
}

static sw_status write_results(sw_val *v) {
    const char *json = sw_args_text(v->args, "json"), *plots = sw_args_text(v->args, "plots");
    if (v->found_file) {
        sw_json_array_end(&v->found);
        SW_TRY(close_output(v, &v->found_file, &v->found_buf));
    }
    if (plots) SW_TRY(sw_val_plots(v, plots));
    bool json_out = json && !v->json_file;
    if (!json_out && !v->console->quiet) sw_val_print(v);
    if (json_out) {
        sw_json_writer w = sw_json_writer_make(&v->console->out, 2);
        sw_val_json(v, &w);
        sw_buf_append_byte(w.buf, '\n');
    } else if (json) {
        sw_buf buf = sw_buf_make(NULL, 0);
        sw_json_writer w = sw_json_writer_make(&buf, 2);
        sw_val_json(v, &w);
        sw_status status = close_output(v, &v->json_file, &buf);
        sw_buf_free(&buf);
        SW_TRY(status);
    }
    return sw_console_flush(v->console);
}

static sw_status check_use(sw_val *v) {
    const char *predictions = sw_args_text(v->args, "predictions");
    v->data = sw_args_text(v->args, "data");
    v->model = v->args->n_operands ? v->args->operands[0] : NULL;
    if (!v->model == !predictions)
        return sw_fail(v->diag, SW_E_USAGE, v->args->verb->name, "see --help",
                       "give either a MODEL or --predictions FILE");
    if (!v->data)
        return sw_fail(v->diag, SW_E_USAGE, v->args->verb->name, "see --help",
                       "--data is missing: pictures with known objects");
    if (predictions && sw_args_given(v->args, "save-json"))
        return sw_fail(v->diag, SW_E_USAGE, v->args->verb->name, NULL,
                       "--save-json writes what a MODEL finds, but there is none");
    return SW_OK;
}

static sw_status run_val(sw_val *v) {
    SW_TRY(check_use(v));
    if (v->model) SW_TRY(load_model(v));
    sw_dataset_options options = {.split = sw_args_text(v->args, "split"),
                                  .images = sw_args_text(v->args, "images"),
                                  .classes = v->detector && v->task == SW_TASK_CLASSIFY};
    SW_TRY(sw_dataset_load(v->data, &options, v->args->arena, v->diag, &v->dataset));
    SW_TRY(map_classes(v));
    v->n_points = v->dataset.n_points;
    int64_t limit = sw_args_int(v->args, "limit");
    v->limit = limit && (size_t)limit < v->dataset.n_images ? (size_t)limit : v->dataset.n_images;
    const char *against = sw_args_text(v->args, "against");
    if (against && (v->task == SW_TASK_CLASSIFY || v->task == SW_TASK_OBB || strcmp(v->dataset.kind, "COCO") != 0))
        return sw_fail(v->diag, SW_E_USAGE, v->args->verb->name, NULL,
                       "--against compares boxes, masks or keypoints on a dataset in COCO's format only");
    if (against && !(v->other = new_eval(v, kind_of(v)))) return out_of_memory(v);
    SW_TRY(open_outputs(v));
    SW_TRY(v->detector ? do_pictures(v) : do_file(v, sw_args_text(v->args, "predictions")));
    SW_TRY(evaluate(v));
    return write_results(v);
}

static sw_status run(const sw_args *args, sw_console *console) {
    sw_val v = {.args = args, .console = console, .diag = &console->diag, .found_buf = sw_buf_make(NULL, 0)};
    sw_status status = run_val(&v);
    if (status == SW_E_NOMEM && !console->errors) out_of_memory(&v);
    sw_detector_destroy(v.detector);
    sw_backend_net_close(v.network);
    sw_eval_destroy(v.boxes);
    sw_eval_destroy(v.shapes);
    sw_eval_destroy(v.other);
    sw_free(NULL, v.confusion);
    sw_buf_free(&v.found_buf);
    sw_outfile_abort(v.json_file);
    sw_outfile_abort(v.found_file);
    return status;
}

static const sw_option options[] = {
    {.name = "data",
     .kind = SW_TEXT,
     .argument = "PATH",
     .help = "the dataset: a data.yaml of Ultralytics, a .json of COCO, a folder that holds one of them or images/ and "
             "labels/; for models of classes a folder of pictures for each class"},
    {.name = "split",
     .kind = SW_TEXT,
     .argument = "NAME",
     .help = "val, test or train (default: the first that is there)"},
    {.name = "images",
     .kind = SW_TEXT,
     .argument = "DIR",
     .help = "where the pictures of a COCO file are, when not beside it"},
    {.name = "limit",
     .kind = SW_INT,
     .argument = "N",
     .least = 1,
     .most = SW_DATASET_MAX_IMAGES,
     .help = "only the first N pictures"},
    SW_IMGSZ_OPTION(SW_FIT_PICTURES),
    {.name = "conf",
     .kind = SW_NUMBER,
     .argument = "X",
     .standard = "0.001",
     .most = 1,
     .help = "drop what is less sure"},
    {.name = "iou",
     .kind = SW_NUMBER,
     .argument = "X",
     .standard = "0.7",
     .most = 1,
     .help = "drop boxes that overlap a surer one of their class by more"},
    {.name = "max-det",
     .kind = SW_INT,
     .argument = "N",
     .standard = "300",
     .least = 1,
     .most = 100000,
     .help = "at most so many boxes a picture"},
    {.name = "head",
     .kind = SW_TEXT,
     .argument = "NAME",
     .help = "what the model's outputs mean, where it is not recognised"},
    SW_BACKEND_OPTIONS,
    SW_STRICT_OPTION,
    SW_TRUST_CODE_OPTION,
    {.name = "device",
     .kind = SW_TEXT,
     .argument = "NAME",
     .standard = "cpu",
     .help = "where Slipway runs it: cpu; cuda or cuda:N, in float16 on that GPU; auto"},
    SW_THREADS_OPTION,
    {.name = "predictions",
     .kind = SW_TEXT,
     .argument = "FILE",
     .help = "judge these instead of a model's: a JSON of COCO's results format"},
    {.name = "against",
     .kind = SW_TEXT,
     .argument = "FILE",
     .help = "also judge these predictions of another model or runtime, and tell the difference with its 95 % interval "
             "over the choice of pictures (paired bootstrap)"},
    {.name = "save-json", .kind = SW_TEXT, .argument = "FILE", .help = "write what was found in COCO's results format"},
    {.name = "json", .kind = SW_TEXT, .argument = "FILE|-", .help = "write the numbers as JSON; - is standard output"},
    {.name = "plots",
     .kind = SW_TEXT,
     .argument = "DIR",
     .help = "draw pr_curve.svg and confusion_matrix.svg into a folder"},
    {0},
};

const sw_verb sw_verb_val = {
    .name = "val",
    .operands = "[MODEL]",
    .most_operands = 1,
    .summary = "Measure how good a model is: mAP, precision, recall",
    .description =
        "Runs MODEL over pictures whose objects are known and compares. Boxes, masks and keypoints are judged as COCO "
        "does: mAP50-95 is the average precision over classes and IoU thresholds 0.50 to 0.95, mAP50 and mAP75 at one "
        "threshold; the numbers are those of pycocotools. Keypoints count by their similarity (OKS), rotated boxes by "
        "their exact overlap, classes by the best and the best five.\n\n"
        "Precision and recall stand at IoU 0.5 and the confidence at which the mean F1 of the classes is best. Classes "
        "of model and dataset meet by name; what the model does not know is left out. The confusion matrix counts boxes "
        "above confidence 0.25 and IoU 0.45, as Ultralytics does.",
    .options = options,
    .examples =
        (const sw_example[]){
            {"slipway val yolo11n.pt --data coco128.yaml", "A dataset of Ultralytics"},
            {"slipway val yolo11n.onnx --data coco/annotations/instances_val2017.json --json numbers.json", "COCO"},
            {"slipway val yolo11n-cls.pt --data imagenet/val --plots plots", "Classes, with the confusion matrix"},
            {"slipway val a.onnx --data coco/val --save-json a.json && slipway val b.onnx --data coco/val --against a.json",
             "Two models: is the difference more than chance?"},
            {0},
        },
    .run = run,
};
