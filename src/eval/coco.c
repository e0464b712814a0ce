/* COCO's JSON: annotations and results. */
#include "eval/coco.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "eval/predictions.h"

enum { MAX_ITEMS = 1 << 26, MAX_NUMBERS = 1 << 24 };

/* A growing list outside the arena. */
typedef struct list {
    void *items;
    size_t n, cap;
} list;

/* An annotation before it is known whose it is. */
typedef struct annotation {
    int64_t image_id, category_id;
    double score;
    bool has_score;
    size_t order;
    sw_truth shape;
} annotation;

typedef struct reader {
    sw_json_reader json;
    const char *where;
    sw_arena *arena;
    const sw_diag *diag;
    list numbers, ends; /* double, int: of the value that is being read */
    list images, categories, annotations;
} reader;

static sw_status fail(const reader *r, const sw_json_event *e, const char *what) {
    return sw_fail(r->diag, SW_E_INPUT, r->where, NULL, "line %d, column %d: %s", e->line, e->column, what);
}

static sw_status grow(list *l, size_t size, size_t most) {
    return sw_grow(NULL, &l->items, &l->cap, l->n + 1, size, most);
}

static bool is_key(const sw_json_event *e, const char *name) {
    return e->length == strlen(name) && !memcmp(e->text, name, e->length);
}

static sw_status next_number(reader *r, double *value) {
    sw_json_event e;
    SW_TRY(sw_json_next(&r->json, &e));
    if (e.type != SW_JSON_NUMBER) return fail(r, &e, "expected a number");
    *value = e.number;
    return SW_OK;
}

static sw_status next_integer(reader *r, const char *what, int64_t *value) {
    sw_json_event e;
    SW_TRY(sw_json_next(&r->json, &e));
    if (e.type == SW_JSON_BOOL) {
        *value = e.boolean;
        return SW_OK;
    }
    if (e.type != SW_JSON_NUMBER || !e.is_integer) return fail(r, &e, what);
    *value = e.integer;
    return SW_OK;
}

/* The numbers of an array that has begun, appended to r->numbers. */
static sw_status rest_of_numbers(reader *r) {
    for (;;) {
        sw_json_event e;
        SW_TRY(sw_json_next(&r->json, &e));
        if (e.type == SW_JSON_ARRAY_END) return SW_OK;
        if (e.type != SW_JSON_NUMBER) return fail(r, &e, "expected a number");
        SW_TRY(grow(&r->numbers, sizeof(double), MAX_NUMBERS));
        ((double *)r->numbers.items)[r->numbers.n++] = e.number;
    }
}

static sw_status next_numbers(reader *r, const sw_json_event *key) {
    sw_json_event e;
    SW_TRY(sw_json_next(&r->json, &e));
    if (e.type != SW_JSON_ARRAY) return fail(r, key, "expected an array of numbers");
    r->numbers.n = 0;
    return rest_of_numbers(r);
}

static sw_status keep(const reader *r, const void *data, size_t bytes, const void *copy) {
    *(void **)copy = sw_arena_copy(r->arena, data, bytes ? bytes : 1);
    return *(void **)copy ? SW_OK : SW_E_NOMEM;
}

/* ---- Segmentations
 * -------------------------------------------------------------------------------------------------- */

/* [[x y x y ...], ...]: the first array has begun. */
static sw_status read_outlines(reader *r, const sw_json_event *key, sw_truth *t) {
    r->numbers.n = r->ends.n = 0;
    for (;;) {
        sw_json_event e;
        SW_TRY(sw_json_next(&r->json, &e));
        if (e.type == SW_JSON_ARRAY_END) break;
        if (e.type != SW_JSON_ARRAY) return fail(r, key, "expected outlines: an array of arrays of numbers");
        SW_TRY(rest_of_numbers(r));
        if (r->numbers.n % 2) return fail(r, &e, "an outline has an odd number of coordinates");
        SW_TRY(grow(&r->ends, sizeof(int), MAX_NUMBERS));
        ((int *)r->ends.items)[r->ends.n++] = (int)(r->numbers.n / 2);
    }
    t->n_outlines = (int)r->ends.n;
    SW_TRY(keep(r, r->ends.items, r->ends.n * sizeof(int), &t->ends));
    return keep(r, r->numbers.items, r->numbers.n * sizeof(double), &t->outlines);
}

static sw_status read_counts(reader *r, const sw_json_event *key, sw_truth *t) {
    sw_json_event e;
    SW_TRY(sw_json_next(&r->json, &e));
    t->n_runs = e.length;
    if (e.type == SW_JSON_STRING) return keep(r, e.text, e.length, &t->runs);
    if (e.type != SW_JSON_ARRAY) return fail(r, key, "expected run lengths: a text or an array of numbers");
    r->numbers.n = 0;
    SW_TRY(rest_of_numbers(r));
    t->n_runs = r->numbers.n;
    uint32_t *runs = SW_ARENA_ARRAY(r->arena, uint32_t, t->n_runs + 1);
    if (!runs) return SW_E_NOMEM;
    for (size_t i = 0; i < t->n_runs; i++) {
        double value = ((double *)r->numbers.items)[i];
        if (!(value >= 0 && value <= UINT32_MAX && value == floor(value)))
            return fail(r, key, "a run length is no count");
        runs[i] = (uint32_t)value;
    }
    t->plain_runs = runs;
    return SW_OK;
}

/* {"counts", "size": [height, width]}: the object has begun. */
static sw_status read_runs(reader *r, const sw_json_event *key, sw_truth *t) {
    for (;;) {
        sw_json_event e;
        SW_TRY(sw_json_next(&r->json, &e));
        if (e.type == SW_JSON_OBJECT_END) break;
        if (is_key(&e, "counts")) {
            SW_TRY(read_counts(r, &e, t));
        } else if (is_key(&e, "size")) {
            SW_TRY(next_numbers(r, &e));
            const double *size = r->numbers.items;
            if (r->numbers.n != 2 || !(size[0] >= 1 && size[0] <= 65535 && size[1] >= 1 && size[1] <= 65535))
                return fail(r, &e, "\"size\" must be [height, width] of 1 to 65535 pixels");
            t->runs_height = (int)size[0];
            t->runs_width = (int)size[1];
        } else
            SW_TRY(sw_json_skip(&r->json, &e));
    }
    if (!t->runs_height || (!t->runs && !t->plain_runs))
        return fail(r, key, "run lengths need both \"size\" and \"counts\"");
    return SW_OK;
}

static sw_status read_segmentation(reader *r, const sw_json_event *key, sw_truth *t) {
    sw_json_event e;
    SW_TRY(sw_json_next(&r->json, &e));
    if (e.type == SW_JSON_ARRAY) return read_outlines(r, key, t);
    if (e.type == SW_JSON_OBJECT) return read_runs(r, key, t);
    return fail(r, key, "\"segmentation\" must be outlines or run lengths");
}

/* ---- Objects
 * -------------------------------------------------------------------------------------------------------- */

static sw_status read_box(reader *r, const sw_json_event *key, sw_truth *t) {
    SW_TRY(next_numbers(r, key));
    if (r->numbers.n != 4) return fail(r, key, "\"bbox\" must have four numbers: x, y, width, height");
    memcpy(t->box, r->numbers.items, sizeof t->box);
    t->has_box = true;
    return SW_OK;
}

static sw_status read_keypoints(reader *r, const sw_json_event *key, sw_truth *t) {
    SW_TRY(next_numbers(r, key));
    if (r->numbers.n % 3 || r->numbers.n / 3 > SW_EVAL_MAX_POINTS)
        return fail(r, key, "\"keypoints\" must be x, y, visibility of each point");
    t->n_points = (int)(r->numbers.n / 3);
    return keep(r, r->numbers.items, r->numbers.n * sizeof(double), &t->points);
}

static sw_status read_annotation(reader *r, const sw_json_event *begin) {
    annotation a = {.shape = {.area = -1}, .image_id = -1, .category_id = -1, .order = r->annotations.n};
    bool has_image = false, has_category = false;
    for (;;) {
        sw_json_event e;
        SW_TRY(sw_json_next(&r->json, &e));
        if (e.type == SW_JSON_OBJECT_END) break;
        if (is_key(&e, "image_id")) {
            has_image = true;
            SW_TRY(next_integer(r, "\"image_id\" must be a whole number", &a.image_id));
        } else if (is_key(&e, "category_id")) {
            has_category = true;
            SW_TRY(next_integer(r, "\"category_id\" must be a whole number", &a.category_id));
        } else if (is_key(&e, "iscrowd")) {
            int64_t crowd;
            SW_TRY(next_integer(r, "\"iscrowd\" must be 0 or 1", &crowd));
            a.shape.crowd = crowd != 0;
        } else if (is_key(&e, "area")) {
            SW_TRY(next_number(r, &a.shape.area));
        } else if (is_key(&e, "score")) {
            a.has_score = true;
            SW_TRY(next_number(r, &a.score));
        } else if (is_key(&e, "bbox")) {
            SW_TRY(read_box(r, &e, &a.shape));
        } else if (is_key(&e, "segmentation")) {
            SW_TRY(read_segmentation(r, &e, &a.shape));
        } else if (is_key(&e, "keypoints")) {
            SW_TRY(read_keypoints(r, &e, &a.shape));
        } else
            SW_TRY(sw_json_skip(&r->json, &e));
    }
    if (!has_image || !has_category) return fail(r, begin, "an object needs \"image_id\" and \"category_id\"");
    SW_TRY(grow(&r->annotations, sizeof a, MAX_ITEMS));
    ((annotation *)r->annotations.items)[r->annotations.n++] = a;
    return SW_OK;
}

static sw_status read_image(reader *r, const sw_json_event *begin) {
    sw_dataset_image image = {.category = -1};
    int64_t id = -1, width = 0, height = 0;
    bool has_id = false;
    for (;;) {
        sw_json_event e;
        SW_TRY(sw_json_next(&r->json, &e));
        if (e.type == SW_JSON_OBJECT_END) break;
        if (is_key(&e, "id")) {
            has_id = true;
            SW_TRY(next_integer(r, "\"id\" must be a whole number", &id));
        } else if (is_key(&e, "width")) {
            SW_TRY(next_integer(r, "\"width\" must be a whole number", &width));
        } else if (is_key(&e, "height")) {
            SW_TRY(next_integer(r, "\"height\" must be a whole number", &height));
        } else if (is_key(&e, "file_name")) {
            sw_json_event name;
            SW_TRY(sw_json_next(&r->json, &name));
            if (name.type != SW_JSON_STRING) return fail(r, &e, "\"file_name\" must be a text");
            image.path = sw_arena_strndup(r->arena, name.text, name.length);
            if (!image.path) return SW_E_NOMEM;
        } else
            SW_TRY(sw_json_skip(&r->json, &e));
    }
    if (!has_id || !image.path) return fail(r, begin, "an image needs \"id\" and \"file_name\"");
    if (width < 0 || width > INT32_MAX || height < 0 || height > INT32_MAX)
        return fail(r, begin, "an image has an impossible size");
    image.id = id;
    image.width = (int)width;
    image.height = (int)height;
    SW_TRY(grow(&r->images, sizeof image, SW_DATASET_MAX_IMAGES));
    ((sw_dataset_image *)r->images.items)[r->images.n++] = image;
    return SW_OK;
}

static sw_status read_category(reader *r, const sw_json_event *begin) {
    sw_category_name category = {.id = -1};
    bool has_id = false;
    for (;;) {
        sw_json_event e;
        SW_TRY(sw_json_next(&r->json, &e));
        if (e.type == SW_JSON_OBJECT_END) break;
        if (is_key(&e, "id")) {
            has_id = true;
            SW_TRY(next_integer(r, "\"id\" must be a whole number", &category.id));
        } else if (is_key(&e, "name")) {
            sw_json_event name;
            SW_TRY(sw_json_next(&r->json, &name));
            if (name.type != SW_JSON_STRING) return fail(r, &e, "\"name\" must be a text");
            category.name = sw_arena_strndup(r->arena, name.text, name.length);
            if (!category.name) return SW_E_NOMEM;
        } else
            SW_TRY(sw_json_skip(&r->json, &e));
    }
    if (!has_id) return fail(r, begin, "a category needs \"id\"");
    SW_TRY(grow(&r->categories, sizeof category, SW_DATASET_MAX_CATEGORIES));
    ((sw_category_name *)r->categories.items)[r->categories.n++] = category;
    return SW_OK;
}

static sw_status read_array(reader *r, const char *of, sw_status (*read)(reader *, const sw_json_event *)) {
    sw_json_event e;
    SW_TRY(sw_json_next(&r->json, &e));
    if (e.type != SW_JSON_ARRAY) return fail(r, &e, "expected an array of objects");
    for (;;) {
        SW_TRY(sw_json_next(&r->json, &e));
        if (e.type == SW_JSON_ARRAY_END) return SW_OK;
        if (e.type != SW_JSON_OBJECT) return fail(r, &e, "expected an object");
        sw_status status = read(r, &e);
        if (status == SW_E_LIMIT) return sw_fail(r->diag, status, r->where, NULL, "too many %s", of);
        if (status != SW_OK) return status;
    }
}

/* ---- Annotation files
 * ----------------------------------------------------------------------------------------------- */

static int compare_images(const void *a, const void *b) {
    const sw_dataset_image *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}
static int compare_categories(const void *a, const void *b) {
    const sw_category_name *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}
/* By picture, then by place in the file. */
static int compare_annotations(const void *a, const void *b) {
    const annotation *x = a, *y = b;
    if (x->image_id != y->image_id) return x->image_id < y->image_id ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static sw_status twice(const reader *r, const char *what, int64_t id) {
    return sw_fail(r->diag, SW_E_INPUT, r->where, NULL, "%s %lld is there twice", what, (long long)id);
}

static sw_status sort_all(reader *r) {
    sw_dataset_image *images = r->images.items;
    sw_category_name *categories = r->categories.items;
    if (r->images.n) qsort(images, r->images.n, sizeof *images, compare_images);
    if (r->categories.n) qsort(categories, r->categories.n, sizeof *categories, compare_categories);
    if (r->annotations.n) qsort(r->annotations.items, r->annotations.n, sizeof(annotation), compare_annotations);
    for (size_t i = 1; i < r->images.n; i++)
        if (images[i].id == images[i - 1].id) return twice(r, "image", images[i].id);
    for (size_t i = 1; i < r->categories.n; i++)
        if (categories[i].id == categories[i - 1].id) return twice(r, "category", categories[i].id);
    return SW_OK;
}

static sw_status hand_out(reader *r) {
    annotation *all = r->annotations.items;
    sw_truth *truths = SW_ARENA_ARRAY(r->arena, sw_truth, r->annotations.n + 1);
    if (!truths) return SW_E_NOMEM;
    for (size_t i = 0; i < r->annotations.n; i++) {
        sw_category_name key = {.id = all[i].category_id};
        const sw_category_name *first = r->categories.items,
                               *found = r->categories.n
                                            ? bsearch(&key, first, r->categories.n, sizeof key, compare_categories)
                                            : NULL;
        if (!found)
            return sw_fail(r->diag, SW_E_INPUT, r->where, NULL,
                           "an annotation is of category %lld, which is not in \"categories\"",
                           (long long)all[i].category_id);
        truths[i] = all[i].shape;
        truths[i].category = (int)(found - first);
        sw_dataset_image image_key = {.id = all[i].image_id};
        sw_dataset_image *image =
            r->images.n ? bsearch(&image_key, r->images.items, r->images.n, sizeof image_key, compare_images) : NULL;
        if (!image)
            return sw_fail(r->diag, SW_E_INPUT, r->where, NULL,
                           "an annotation is of image %lld, which is not in \"images\"", (long long)all[i].image_id);
        if (!image->n_truths++) image->truths = &truths[i];
        if (truths[i].n_points) r->numbers.n = (size_t)truths[i].n_points;
    }
    return SW_OK;
}

static sw_status parse_annotations(reader *r, sw_dataset *dataset) {
    sw_json_event e;
    SW_TRY(sw_json_next(&r->json, &e));
    if (e.type != SW_JSON_OBJECT) return fail(r, &e, "this is no annotation file of COCO: expected an object");
    for (;;) {
        SW_TRY(sw_json_next(&r->json, &e));
        if (e.type == SW_JSON_OBJECT_END) break;
        if (is_key(&e, "images"))
            SW_TRY(read_array(r, "images", read_image));
        else if (is_key(&e, "annotations"))
            SW_TRY(read_array(r, "annotations", read_annotation));
        else if (is_key(&e, "categories"))
            SW_TRY(read_array(r, "categories", read_category));
        else
            SW_TRY(sw_json_skip(&r->json, &e));
    }
    SW_TRY(sw_json_next(&r->json, &e));
    if (!r->images.n || !r->categories.n)
        return sw_fail(r->diag, SW_E_INPUT, r->where, NULL,
                       "this is no annotation file of COCO: \"images\" or \"categories\" is missing or empty");
    SW_TRY(sort_all(r));
    r->numbers.n = 0;
    SW_TRY(hand_out(r));
    dataset->kind = "COCO";
    dataset->n_images = r->images.n;
    dataset->n_categories = r->categories.n;
    dataset->n_points = (int)r->numbers.n;
    SW_TRY(keep(r, r->images.items, r->images.n * sizeof(sw_dataset_image), &dataset->images));
    return keep(r, r->categories.items, r->categories.n * sizeof(sw_category_name), &dataset->categories);
}

static sw_status parse_results(reader *r, sw_predictions *predictions) {
    sw_json_event e;
    SW_TRY(read_array(r, "predictions", read_annotation));
    SW_TRY(sw_json_next(&r->json, &e));
    predictions->n = r->annotations.n;
    predictions->items = SW_ARENA_ARRAY(r->arena, sw_prediction, r->annotations.n + 1);
    if (!predictions->items) return SW_E_NOMEM;
    for (size_t i = 0; i < r->annotations.n; i++) {
        const annotation *a = (const annotation *)r->annotations.items + i;
        if (!a->has_score)
            return sw_fail(r->diag, SW_E_INPUT, r->where, NULL, "prediction %zu has no \"score\"", i + 1);
        predictions->items[i] = (sw_prediction){a->image_id, a->category_id, a->score, a->shape};
    }
    return SW_OK;
}

static void begin(reader *r, const void *text, size_t size, const char *where, sw_arena *arena, const sw_diag *diag) {
    *r = (reader){.where = where, .arena = arena, .diag = diag};
    sw_json_reader_init(&r->json, text, size, NULL, where, diag);
}

static sw_status end(reader *r, sw_status status) {
    sw_json_reader_free(&r->json);
    sw_free(NULL, r->numbers.items);
    sw_free(NULL, r->ends.items);
    sw_free(NULL, r->images.items);
    sw_free(NULL, r->categories.items);
    sw_free(NULL, r->annotations.items);
    if (status == SW_E_NOMEM) sw_fail(r->diag, status, r->where, NULL, "out of memory");
    return status;
}

sw_status sw__coco_parse(const void *text, size_t size, const char *where, sw_arena *arena, const sw_diag *diag,
                         sw_dataset *dataset) {
    reader r;
    begin(&r, text, size, where, arena, diag);
    return end(&r, parse_annotations(&r, dataset));
}

sw_status sw_predictions_parse(const void *text, size_t size, const char *where, sw_arena *arena, const sw_diag *diag,
                               sw_predictions *predictions) {
    reader r;
    begin(&r, text, size, where, arena, diag);
    return end(&r, parse_results(&r, predictions));
}
