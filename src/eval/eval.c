/* Objects of an evaluation, and who matches whom. */
#include "eval/eval.h"
#include "base/sort.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/shape.h"
#include "eval/state.h"

enum { MAX_DET = 100, MAX_DET_POINTS = 20 };

/* COCO's 17 keypoints of a person: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles. */
static const double coco_sigmas[17] = {0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
                                       0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089};

/* Smallest and largest area of each range, both within it. */
static const double area_ranges[SW_EVAL_AREAS][2] = {{0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}};

sw_eval *sw_eval_create(const sw_eval_options *options) {
    const sw_allocator *a = options->allocator;
    sw_eval *eval = sw_calloc(a, 1, sizeof *eval);
    if (!eval) return NULL;
    eval->options = *options;
    if (!options->max_det) eval->options.max_det = options->kind == SW_EVAL_POINTS ? MAX_DET_POINTS : MAX_DET;
    for (int i = 0; i < options->n_points && i < SW_EVAL_MAX_POINTS; i++)
        eval->sigmas[i] = options->sigmas           ? options->sigmas[i]
                          : options->n_points == 17 ? coco_sigmas[i]
                                                    : 1.0 / options->n_points;
    eval->truths.arena = sw_arena_create(a, 0);
    eval->guesses.arena = sw_arena_create(a, 0);
    eval->categories = sw_calloc(a, (size_t)options->n_classes + 1, sizeof *eval->categories);
    eval->classes = sw_calloc(a, (size_t)options->n_classes + 1, sizeof *eval->classes);
    if (eval->truths.arena && eval->guesses.arena && eval->categories && eval->classes) return eval;
    sw_eval_destroy(eval);
    return NULL;
}

void sw_eval_destroy(sw_eval *eval) {
    if (!eval) return;
    const sw_allocator *a = eval->options.allocator;
    sw_arena_destroy(eval->truths.arena);
    sw_arena_destroy(eval->guesses.arena);
    sw_free(a, eval->truths.items);
    sw_free(a, eval->guesses.items);
    sw_free(a, eval->images);
    sw_free(a, eval->categories);
    sw_free(a, eval->records);
    sw_free(a, eval->counts);
    sw_free(a, eval->classes);
    sw_free(a, eval);
}

/* ---- Objects
 * -------------------------------------------------------------------------------------------------------- */

static int visible_points(const double *points, int n) {
    int visible = 0;
    for (int i = 0; i < n; i++) visible += points[3 * i + 2] > 0;
    return visible;
}

/* Of a guess, or of a truth that does not tell it. Keypoints: the box around them. */
static double area_of(const sw_eval *eval, const sw_eval_object *o) {
    switch (eval->options.kind) {
    case SW_EVAL_MASKS:
        return sw_mask_area(o->runs, o->n_runs);
    case SW_EVAL_ROTATED:
        return o->rotated[2] * o->rotated[3];
    case SW_EVAL_BOXES:
        break;
    case SW_EVAL_POINTS: {
        double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
        for (int i = 0; i < eval->options.n_points; i++) {
            x0 = fmin(x0, o->points[3 * i]), x1 = fmax(x1, o->points[3 * i]);
            y0 = fmin(y0, o->points[3 * i + 1]), y1 = fmax(y1, o->points[3 * i + 1]);
        }
        return (x1 - x0) * (y1 - y0);
    }
    }
    return o->box[2] * o->box[3];
}

sw_status sw_eval_add_image(sw_eval *eval, int64_t image) {
    SW_TRY(sw_grow(eval->options.allocator, &eval->images, &eval->cap_images, eval->n_images + 1, sizeof(int64_t),
                   SW_EVAL_MAX_OBJECTS));
    ((int64_t *)eval->images)[eval->n_images++] = image;
    return SW_OK;
}

static sw_status add(sw_eval *eval, sw__objects *list, const sw_eval_object *object, bool truth) {
    if (object->class_id < 0 || object->class_id >= eval->options.n_classes) return SW_E_INPUT;
    SW_TRY(sw_eval_add_image(eval, object->image));
    SW_TRY(
        sw_grow(eval->options.allocator, &list->items, &list->cap, list->n + 1, sizeof *object, SW_EVAL_MAX_OBJECTS));
    sw_eval_object copy = *object;
    sw_eval_kind kind = eval->options.kind;
    if (kind == SW_EVAL_MASKS) {
        copy.runs = sw_arena_copy(list->arena, object->runs, object->n_runs * sizeof *object->runs);
        if (!copy.runs) return SW_E_NOMEM;
    }
    if (kind == SW_EVAL_POINTS) {
        copy.points = sw_arena_copy(list->arena, object->points, 3 * (size_t)eval->options.n_points * sizeof(double));
        if (!copy.points) return SW_E_NOMEM;
    }
    if (!truth || object->area < 0) copy.area = area_of(eval, &copy);
    if (isnan(copy.score)) copy.score = -INFINITY;
    ((sw_eval_object *)list->items)[list->n++] = copy;
    return SW_OK;
}

sw_status sw_eval_add_truth(sw_eval *eval, const sw_eval_object *object) {
    return add(eval, &eval->truths, object, true);
}
sw_status sw_eval_add_guess(sw_eval *eval, const sw_eval_object *object) {
    return add(eval, &eval->guesses, object, false);
}

double sw__likeness(const sw_eval *eval, const sw_eval_object *guess, const sw_eval_object *truth) {
    switch (eval->options.kind) {
    case SW_EVAL_MASKS:
        return sw_iou_masks(guess->runs, guess->n_runs, truth->runs, truth->n_runs, truth->crowd);
    case SW_EVAL_POINTS:
        return sw_oks(guess, truth, eval->options.n_points, eval->sigmas);
    case SW_EVAL_ROTATED:
        return sw_iou_rotated(guess->rotated, truth->rotated);
    case SW_EVAL_BOXES:
        break;
    }
    return sw_iou_boxes(guess->box, truth->box, truth->crowd);
}

/* ---- Order
 * ---------------------------------------------------------------------------------------------------------- */

/* By class, picture, falling score (truths: all 0), order of adding: pointers into one array. */
static int compare_objects(const void *a, const void *b) {
    const sw_eval_object *x = *(sw_eval_object *const *)a, *y = *(sw_eval_object *const *)b;
    if (x->class_id != y->class_id) return x->class_id < y->class_id ? -1 : 1;
    if (x->image != y->image) return x->image < y->image ? -1 : 1;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x > y) - (x < y);
}

static int compare_records(const void *a, const void *b) {
    const sw__record *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->image != y->image) return x->image < y->image ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static void sort_images(sw_eval *eval) {
    int64_t *images = eval->images;
    size_t n = 0;
    if (eval->n_images) qsort(images, eval->n_images, sizeof *images, sw_by_i64);
    for (size_t i = 0; i < eval->n_images; i++)
        if (!i || images[i] != images[n - 1]) images[n++] = images[i];
    eval->n_images = n;
}

static const sw_eval_object **sorted(const sw_eval *eval, const sw__objects *list) {
    const sw_eval_object **order = sw_calloc(eval->options.allocator, list->n + 1, sizeof *order);
    if (!order) return NULL;
    for (size_t i = 0; i < list->n; i++) order[i] = (const sw_eval_object *)list->items + i;
    if (list->n) qsort(order, list->n, sizeof *order, compare_objects);
    return order;
}

/* ---- Matching
 * ------------------------------------------------------------------------------------------------------- */

/* All objects of one class in one picture. */
typedef struct group {
    sw_eval *eval;
    const sw_eval_object **truths, **guesses; /* by falling score */
    size_t n_truths, n_guesses;
    uint32_t image;
} group;

/* Room for one group. */
typedef struct bench {
    void *likeness; /* n_guesses x n_truths */
    void *order;    /* size_t: truths, those that count first */
    void *ignored;  /* bool, by truth */
    void *taken;    /* bool, by truth */
    size_t cap[4];
} bench;

static bool is_ignored(const sw_eval *eval, const sw_eval_object *truth, int range) {
    if (truth->crowd || truth->area < area_ranges[range][0] || truth->area > area_ranges[range][1]) return true;
    return eval->options.kind == SW_EVAL_POINTS && !visible_points(truth->points, eval->options.n_points);
}

static double threshold_of(int t) {
    double iou = 0.5 + t * ((0.95 - 0.5) / (SW_EVAL_IOUS - 1));
    return iou < 1 - 1e-10 ? iou : 1 - 1e-10;
}

/* The truth that a guess takes: the most alike that is free (crowds always are); one that is ignored only when no
 * other fits. -1: none. */
static int64_t best_truth(const group *g, const bench *b, size_t guess, double iou) {
    const double *likeness = (const double *)b->likeness + guess * g->n_truths;
    const bool *ignored = b->ignored, *taken = b->taken;
    int64_t best = -1;
    for (size_t i = 0; i < g->n_truths; i++) {
        size_t k = ((const size_t *)b->order)[i];
        if (taken[k] && !g->truths[k]->crowd) continue;
        if (best >= 0 && !ignored[best] && ignored[k]) break;
        if (likeness[k] < iou) continue;
        iou = likeness[k];
        best = (int64_t)k;
    }
    return best;
}

static void match_range(const group *g, const bench *b, int range, sw__record *records) {
    bool *ignored = b->ignored, *taken = b->taken;
    size_t *order = b->order, n = 0;
    for (size_t k = 0; k < g->n_truths; k++) ignored[k] = is_ignored(g->eval, g->truths[k], range);
    for (int pass = 0; pass < 2; pass++)
        for (size_t k = 0; k < g->n_truths; k++)
            if (ignored[k] == (pass == 1)) order[n++] = k;
    for (int t = 0; t < SW_EVAL_IOUS; t++) {
        memset(taken, 0, g->n_truths * sizeof *taken);
        for (size_t i = 0; i < g->n_guesses; i++) {
            int64_t truth = best_truth(g, b, i, threshold_of(t));
            double area = g->guesses[i]->area;
            bool outside = area < area_ranges[range][0] || area > area_ranges[range][1];
            if (truth >= 0 ? ignored[truth] : outside) records[i].fates[range].ignored |= (uint16_t)(1u << t);
            if (truth < 0) continue;
            taken[truth] = true;
            records[i].fates[range].hit |= (uint16_t)(1u << t);
        }
    }
}

static sw_status make_room(const group *g, bench *b) {
    const sw_allocator *a = g->eval->options.allocator;
    size_t most = SIZE_MAX / sizeof(double);
    SW_TRY(sw_grow(a, &b->likeness, &b->cap[0], g->n_guesses * g->n_truths + 1, sizeof(double), most));
    SW_TRY(sw_grow(a, &b->order, &b->cap[1], g->n_truths + 1, sizeof(size_t), most));
    SW_TRY(sw_grow(a, &b->ignored, &b->cap[2], g->n_truths + 1, sizeof(bool), most));
    return sw_grow(a, &b->taken, &b->cap[3], g->n_truths + 1, sizeof(bool), most);
}

static sw_status match_group(const group *g, bench *b) {
    sw_eval *eval = g->eval;
    SW_TRY(make_room(g, b));
    SW_TRY(sw_grow(eval->options.allocator, &eval->records, &eval->cap_records, eval->n_records + g->n_guesses + 1,
                   sizeof(sw__record), SW_EVAL_MAX_OBJECTS));
    SW_TRY(sw_grow(eval->options.allocator, &eval->counts, &eval->cap_counts, eval->n_counts + 1, sizeof(sw__count),
                   SW_EVAL_MAX_OBJECTS));
    sw__record *records = (sw__record *)eval->records + eval->n_records;
    double *likeness = b->likeness;
    for (size_t i = 0; i < g->n_guesses; i++) {
        records[i] = (sw__record){.score = g->guesses[i]->score, .image = g->image, .rank = (uint32_t)i};
        for (size_t k = 0; k < g->n_truths; k++)
            likeness[i * g->n_truths + k] = sw__likeness(eval, g->guesses[i], g->truths[k]);
    }
    int class_id = g->n_truths ? g->truths[0]->class_id : g->guesses[0]->class_id;
    sw__category *category = &eval->categories[class_id];
    sw__count count = {.image = g->image};
    for (int range = 0; range < SW_EVAL_AREAS; range++) {
        match_range(g, b, range, records);
        for (size_t k = 0; k < g->n_truths; k++) {
            bool counts = !((const bool *)b->ignored)[k];
            category->truths[range] += counts;
            if (range == 0) count.truths += counts;
        }
    }
    category->n += g->n_guesses;
    eval->n_records += g->n_guesses;
    if (!count.truths) return SW_OK;
    ((sw__count *)eval->counts)[eval->n_counts++] = count;
    category->n_counts++;
    return SW_OK;
}

/* The number of objects from `at` on that are of one class and picture. */
static size_t run_of(const sw_eval_object **list, size_t at, size_t n, const sw_eval_object *like) {
    size_t end = at;
    while (end < n && list[end]->class_id == like->class_id && list[end]->image == like->image) end++;
    return end - at;
}

static sw_status match_all(sw_eval *eval, const sw_eval_object **truths, const sw_eval_object **guesses, bench *b) {
    size_t n_truths = eval->truths.n, n_guesses = eval->guesses.n, t = 0, d = 0;
    int last_class = -1;
    while (t < n_truths || d < n_guesses) {
        const sw_eval_object *first = t < n_truths ? truths[t] : guesses[d];
        if (t < n_truths && d < n_guesses) {
            const sw_eval_object *x = truths[t], *y = guesses[d];
            bool guess_first = x->class_id != y->class_id ? y->class_id < x->class_id : y->image < x->image;
            if (guess_first) first = y;
        }
        if (first->class_id != last_class) {
            last_class = first->class_id;
            eval->categories[last_class].first = eval->n_records;
            eval->categories[last_class].first_count = eval->n_counts;
        }
        const int64_t *image = bsearch(&first->image, eval->images, eval->n_images, sizeof *image, sw_by_i64);
        group g = {.eval = eval,
                   .truths = truths + t,
                   .guesses = guesses + d,
                   .n_truths = run_of(truths, t, n_truths, first),
                   .n_guesses = run_of(guesses, d, n_guesses, first),
                   .image = (uint32_t)(image - (const int64_t *)eval->images)};
        t += g.n_truths;
        d += g.n_guesses;
        if (g.n_guesses > (size_t)eval->options.max_det) g.n_guesses = (size_t)eval->options.max_det;
        SW_TRY(match_group(&g, b));
    }
    return SW_OK;
}

sw_status sw__eval_match(sw_eval *eval) {
    const sw_allocator *a = eval->options.allocator;
    sort_images(eval);
    memset(eval->categories, 0, (size_t)eval->options.n_classes * sizeof *eval->categories);
    eval->n_records = eval->n_counts = 0;
    const sw_eval_object **truths = sorted(eval, &eval->truths), **guesses = sorted(eval, &eval->guesses);
    bench b = {0};
    sw_status status = truths && guesses ? match_all(eval, truths, guesses, &b) : SW_E_NOMEM;
    sw__record *records = eval->records;
    for (int c = 0; status == SW_OK && c < eval->options.n_classes; c++)
        if (eval->categories[c].n)
            qsort(records + eval->categories[c].first, eval->categories[c].n, sizeof *records, compare_records);
    sw_free(a, b.likeness);
    sw_free(a, b.order);
    sw_free(a, b.ignored);
    sw_free(a, b.taken);
    sw_free(a, truths);
    sw_free(a, guesses);
    return status;
}
