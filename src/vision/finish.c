/* From the outputs of a run to results in the picture. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "engine/demand.h"
#include "vision/mask.h"

/* Rows x1 y1 x2 y2 score class extra. */
typedef struct rows {
    const float *data;
    int64_t n, pitch; /* of rows; floats from one to the next */
} rows;

static sw_status out_of_memory(const sw_detector *d) {
    return sw_fail(d->diag, SW_E_NOMEM, NULL, NULL, "out of memory");
}

/* The first picture's part of an output; its dims must be what the head was recognised by, but for anchors. */
static sw_status first_of(const sw_detector *d, const sw_tensor *output, int i, sw_tensor *first) {
    const sw_tensor *want = &d->model.outputs[i];
    bool same = output->dtype == want->dtype && output->rank == want->rank, lists = d->head->form == SW__LISTS;
    bool anchors = want->rank == 3 && d->head->form != SW__CLASSES;
    int open = lists ? 0 : anchors ? (d->head->by_anchor ? 1 : 2) : -1;
    for (int k = lists ? 1 : 0; same && k < want->rank; k++) {
        bool map = i > 0 && want->rank == 4 && k > 0; /* prototypes grow with the picture */
        bool any = k == open || (map && k != sw__head_mask_axis(&d->model));
        same = any || output->dims[k] == (k == 0 ? d->model.batch : want->dims[k]);
    }
    *first = *output;
    if (!lists) first->dims[0] = 1;
    if (same) return SW_OK;
    return sw_fail(d->diag, SW_E_MODEL, NULL, NULL, "the model's output has another shape than it declares");
}

/* What is not a number becomes 0. */
static float clip(float value, float most) {
    return value > 0 ? fminf(value, most) : 0;
}

static float in_x(const sw__scaling *s, float x) {
    return (x - s->pad_x) / s->gain_x;
}
static float in_y(const sw__scaling *s, float y) {
    return (y - s->pad_y) / s->gain_y;
}

static bool wanted(const sw_detector *d, float class_id) {
    if (d->n_classes == 0) return true;
    for (int i = 0; i < d->n_classes; i++)
        if ((float)d->classes[i] == class_id) return true;
    return false;
}

/* -- What comes with a box -- */

void sw_rotated_corners(const sw_rotated *b, float corners[8]) {
    float cosine = cosf(b->angle), sine = sinf(b->angle);
    float ax = b->width / 2 * cosine, ay = b->width / 2 * sine, bx = -b->height / 2 * sine, by = b->height / 2 * cosine;
    const float points[8] = {b->x + ax + bx, b->y + ay + by, b->x + ax - bx, b->y + ay - by,
                             b->x - ax - bx, b->y - ay - by, b->x - ax + bx, b->y - ay + by};
    memcpy(corners, points, sizeof points);
}

/* Ultralytics scales centre and sides, and takes the angle as it is. The upright box is the one around the corners. */
static void take_rotated(const sw_detector *d, const sw__scaling *s, const float *row, int at) {
    sw_rotated *r = &d->rotated[at];
    float corners[8], low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    *r = (sw_rotated){in_x(s, row[0]), in_y(s, row[1]), row[2] / s->gain_x, row[3] / s->gain_y, row[6]};
    sw_rotated_corners(r, corners);
    for (int i = 0; i < 8; i++) {
        low[i % 2] = fminf(low[i % 2], corners[i]);
        high[i % 2] = fmaxf(high[i % 2], corners[i]);
    }
    sw_detection *item = &d->items[at];
    item->x1 = clip(low[0], s->width), item->y1 = clip(low[1], s->height);
    item->x2 = clip(high[0], s->width), item->y2 = clip(high[1], s->height);
}

static void take_keypoints(const sw_detector *d, const sw__scaling *s, const float *values, int at) {
    float *to = d->keypoints + (size_t)at * 3 * (size_t)d->n_points;
    for (int i = 0; i < d->n_points; i++, values += d->point_values, to += 3) {
        to[0] = clip(in_x(s, values[0]), s->width);
        to[1] = clip(in_y(s, values[1]), s->height);
        to[2] = d->point_values == 3 ? values[2] : 1;
    }
}

/* The session that makes masks of prototypes enlarged by `scale`. */
static sw_status mask_session(sw_detector *d, int64_t scale) {
    sw_plan *plan;
    if (d->masks && d->mask_scale == scale) return SW_OK;
    sw_session_destroy(d->masks);
    d->masks = NULL;
    if (sw__plan_masks(&d->model, d->head, scale, d->allocator, &plan) != SW_OK) return out_of_memory(d);
    d->mask_scale = scale;
    return sw__detector_session(d, plan, 1, &d->masks);
}

/* Prototypes of the first picture, and the session for them. Ultralytics enlarges to the tensor's size. */
static sw_status prepare_masks(sw_detector *d, const sw_tensor *outputs, const sw__scaling *s, sw_tensor *prototypes) {
    SW_TRY(first_of(d, &outputs[1], 1, prototypes));
    const int64_t *sides = prototypes->dims + (sw__head_mask_axis(&d->model) == 1 ? 2 : 1);
    int64_t height = sides[0], width = sides[1];
    int64_t scale = height > 0 ? s->fit.height / height : 0;
    if (scale < 1 || scale > 64 || scale * height != s->fit.height || scale * width != s->fit.width)
        return sw_fail(d->diag, SW_E_MODEL, NULL, NULL,
                       "prototypes of %" PRId64 " x %" PRId64 " do not fit a picture of %" PRId64 " x %" PRId64, width,
                       height, s->fit.width, s->fit.height);
    sw_arena_destroy(d->results);
    d->results = sw_arena_create(d->allocator, 0);
    if (!d->results) return out_of_memory(d);
    return mask_session(d, scale);
}

/* The rows or columns of a side that a box may reach. */
static void within(float from, float to, int64_t side, int64_t *begin, int64_t *end) {
    *begin = (int64_t)floorf(clip(from, (float)side));
    *end = (int64_t)ceilf(clip(to, (float)side));
    if (*end < *begin) *end = *begin;
}

/* *empty: the mask has no pixel; Ultralytics drops the box. */
static sw_status take_mask(sw_detector *d, const sw__scaling *s, const float *row, const sw_tensor *prototypes, int at,
                           bool *empty) {
    sw_tensor mask,
        inputs[2] = {{.dtype = SW_F32, .rank = 2, .dims = {1, 6 + d->extra}, .data = (void *)(uintptr_t)row},
                     *prototypes};
    SW_TRY(sw_session_run(d->masks, inputs, &mask));
    sw__bitmap bitmap = {.data = mask.data, .height = mask.dims[1], .width = mask.dims[2]};
    within(row[0], row[2], bitmap.width, &bitmap.left, &bitmap.right);
    within(row[1], row[3], bitmap.height, &bitmap.top, &bitmap.bottom);
    *empty = sw__bitmap_is_empty(&bitmap);
    if (*empty) return SW_OK;
    sw_mask *to = &d->mask_items[at];
    *to = (sw_mask){0};
    sw_status status = sw__mask_runs(&bitmap, s, d->results, to);
    if (status == SW_OK && d->polygons) status = sw__mask_rings(&bitmap, s, d->results, to);
    return status == SW_OK ? SW_OK : out_of_memory(d);
}

/* -- Rows -- */

static sw_detection detection(const sw__scaling *s, const float *row) {
    return (sw_detection){
        .x1 = clip(in_x(s, row[0]), s->width),
        .y1 = clip(in_y(s, row[1]), s->height),
        .x2 = clip(in_x(s, row[2]), s->width),
        .y2 = clip(in_y(s, row[3]), s->height),
        .confidence = row[4],
        .class_id = (int)row[5],
    };
}

/* Whether a row is a result; one that has no class is the model's fault. */
static sw_status judge(sw_detector *d, const float *row, bool *good) {
    *good = row[4] > d->conf && wanted(d, row[5]);
    if (!*good) return SW_OK;
    if (!(row[5] >= 0 && row[5] < SW__MAX_CLASSES))
        return sw_fail(d->diag, SW_E_MODEL, NULL, NULL, "the model gave a box of class %g", (double)row[5]);
    return sw__detector_name(d, (int)row[5] + 1) == SW_OK ? SW_OK : out_of_memory(d);
}

static sw_status take_rows(sw_detector *d, const rows *r, const sw_tensor *outputs, const sw__scaling *s, int *count) {
    sw_tensor prototypes = {0};
    for (int64_t i = 0; i < r->n && *count < d->max_det; i++) {
        const float *row = r->data + i * r->pitch;
        bool good, empty = false;
        SW_TRY(judge(d, row, &good));
        if (!good) continue;
        float corners[6];
        memcpy(corners, row, sizeof corners);
        if (d->head->centers)
            for (int k = 0; k < 2; k++) {
                corners[k] = row[k] - row[2 + k] / 2;
                corners[2 + k] = row[k] + row[2 + k] / 2;
            }
        d->items[*count] = detection(s, corners);
        if (d->head->task == SW_TASK_OBB) take_rotated(d, s, row, *count);
        if (d->head->task == SW_TASK_POSE) take_keypoints(d, s, row + 6, *count);
        if (d->head->task == SW_TASK_SEGMENT) {
            if (!prototypes.data) SW_TRY(prepare_masks(d, outputs, s, &prototypes));
            SW_TRY(take_mask(d, s, row, &prototypes, *count, &empty));
        }
        if (!empty) ++*count;
    }
    return SW_OK;
}

/* Boxes n 4, labels n, scores n, all in float, in the order of the model. */
static sw_status take_lists(sw_detector *d, const sw_tensor lists[3], const sw__scaling *s, int *count) {
    int64_t n = lists[0].dims[0];
    if (lists[1].dims[0] != n || lists[2].dims[0] != n)
        return sw_fail(d->diag, SW_E_MODEL, NULL, NULL,
                       "the model gave %" PRId64 " boxes, %" PRId64 " labels and %" PRId64 " scores", n,
                       lists[1].dims[0], lists[2].dims[0]);
    for (int64_t i = 0; i < n; i++) {
        float row[6];
        memcpy(row, (const float *)lists[0].data + 4 * i, 4 * sizeof *row);
        row[4] = ((const float *)lists[2].data)[i];
        row[5] = ((const float *)lists[1].data)[i];
        SW_TRY(take_rows(d, &(rows){row, 1, 6}, NULL, s, count));
    }
    return SW_OK;
}

/* The best five of the wanted classes; of equal ones the first. */
static void take_classes(sw_detector *d, const float *scores, int n, const sw__scaling *s, int *count) {
    enum { BEST = 5 };
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++) most = fmax(most, (double)scores[i]);
    for (int i = 0; i < n; i++) sum += d->logits ? exp((double)scores[i] - most) : 0;
    for (int i = 0; i < n; i++) {
        if (!wanted(d, (float)i) || isnan(scores[i])) continue;
        float score = d->logits ? (float)(exp((double)scores[i] - most) / sum) : scores[i];
        int least = BEST < d->max_det ? BEST : d->max_det, at = *count;
        while (at > 0 && score > d->items[at - 1].confidence) at--;
        if (at == least) continue;
        if (*count < least) ++*count;
        memmove(&d->items[at + 1], &d->items[at], (size_t)(*count - 1 - at) * sizeof *d->items);
        d->items[at] = (sw_detection){0, 0, s->width, s->height, score, i};
    }
}

/* A table of those anchors only in which a score passes, in their order; filled up to a multiple of so many with anchors of
 * zeros, which do not, so that few shapes are bound. */
static sw_status keep_candidates(sw_detector *d, sw_tensor *table) {
    enum { MULTIPLE = 64 };
    int64_t values = table->dims[1], anchors = table->dims[2], n = 0, width;
    const float *from = table->data;
    if (table->dtype != SW_F32 || anchors <= MULTIPLE) return SW_OK;
    SW_TRY(sw__detector_reserve(d->allocator, d->diag, (void **)&d->hot, &d->hot_size, (size_t)anchors));
    sw_demand_columns(from + d->head->values * anchors, sw__head_classes(d->head, &d->model), anchors, d->conf, d->hot);
    for (int64_t a = 0; a < anchors; a++) n += d->hot[a];
    width = (n / MULTIPLE + 1) * MULTIPLE;
    if (width >= anchors) return SW_OK;
    SW_TRY(sw__detector_reserve(d->allocator, d->diag, (void **)&d->candidates, &d->candidates_size,
                                (size_t)(values * width) * sizeof *d->candidates));
    memset(d->candidates, 0, (size_t)(values * width) * sizeof *d->candidates);
    float *to = d->candidates;
    for (int64_t a = 0; a < anchors; a++) {
        if (!d->hot[a]) continue;
        for (int64_t v = 0; v < values; v++) to[v * width] = from[v * anchors + a];
        to++;
    }
    table->data = d->candidates;
    table->dims[2] = width;
    return SW_OK;
}

sw_status sw__detector_finish(sw_detector *d, const sw_tensor *outputs, const sw_tensor *boxes, const sw__scaling *s,
                              int *count) {
    sw_tensor inputs[SW__MAX_OUTPUTS], results[SW__MAX_OUTPUTS];
    *count = 0;
    if (boxes) return take_rows(d, &(rows){boxes->data, boxes->dims[0], boxes->dims[1]}, outputs, s, count);
    for (int i = 0; i < d->n_boxes_inputs; i++) SW_TRY(first_of(d, &outputs[d->order[i]], d->order[i], &inputs[i]));
    if (d->sparse) SW_TRY(keep_candidates(d, &inputs[0]));
    SW_TRY(sw_session_run(d->boxes, inputs, results));
    switch (d->head->form) {
    case SW__LISTS:
        return take_lists(d, results, s, count);
    case SW__CLASSES:
        take_classes(d, results[0].data, (int)results[0].dims[1], s, count);
        return SW_OK;
    case SW__FINAL:
        return take_rows(d, &(rows){results[0].data, results[0].dims[1], results[0].dims[2]}, outputs, s, count);
    default:
        return take_rows(d, &(rows){results[0].data, ((const int32_t *)results[1].data)[0], results[0].dims[2]},
                         outputs, s, count);
    }
}
