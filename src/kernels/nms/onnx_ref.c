/* NonMaxSuppression: for each picture and class the boxes by falling score, less those that overlap a selected one. Places of
 * equal scores keep their order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"

typedef struct scored {
    float score;
    int64_t box;
} scored;

/* AREA: of the five numbers of a kept box, after its corners. TOGETHER: boxes between two looks at the result. */
enum { AREA = 4, TOGETHER = 64 };

typedef struct suppression {
    const sw_call *call;
    bool centers;
    int64_t most;
    float iou, threshold;
    bool has_threshold;
    scored *items;
    float *kept[AREA + 1]; /* of the selected boxes of a class */
    int64_t *found;        /* triples: batch, class, box */
    int64_t n_found;
    size_t cap_found;
} suppression;

static int by_falling_score(const void *left, const void *right) {
    const scored *a = left, *b = right;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return (a->box > b->box) - (a->box < b->box);
}

/* Corners of a box: lower ones first, whatever diagonal is given. */
static void read_box(const suppression *s, int64_t at, float *corner) {
    const float *v = (const float *)s->call->in[0]->data + at * 4;
    if (s->centers) { /* x, y, width, height */
        corner[0] = v[0] - v[2] / 2;
        corner[1] = v[1] - v[3] / 2;
        corner[2] = v[0] + v[2] / 2;
        corner[3] = v[1] + v[3] / 2;
        return;
    }
    for (int i = 0; i < 2; i++) {
        corner[i] = fminf(v[i], v[i + 2]);
        corner[i + 2] = fmaxf(v[i], v[i + 2]);
    }
}

/* Keeps a selected box: number `at` of its class. */
static void keep_box(suppression *s, int64_t at, const float *corner) {
    for (int i = 0; i < 4; i++) s->kept[i][at] = corner[i];
    s->kept[AREA][at] = (corner[2] - corner[0]) * (corner[3] - corner[1]);
}

/* Does it overlap any of the `n` boxes kept? Sides that are no numbers make areas that are none, and such boxes overlap
 * nothing; so plain comparisons may stand for fminf and fmaxf, and compilers can take several boxes at once. */
static bool overlaps_any(const suppression *s, int64_t n, const float *restrict box) {
    const float area = (box[2] - box[0]) * (box[3] - box[1]), iou = s->iou;
    const float *restrict top = s->kept[0], *restrict left = s->kept[1], *restrict bottom = s->kept[2],
                          *restrict right = s->kept[3], *restrict areas = s->kept[AREA];
    for (int64_t from = 0; from < n; from += TOGETHER) {
        int any = 0;
        for (int64_t k = from; k < sw__min64(from + TOGETHER, n); k++) {
            float height = (box[2] < bottom[k] ? box[2] : bottom[k]) - (box[0] > top[k] ? box[0] : top[k]);
            float width = (box[3] < right[k] ? box[3] : right[k]) - (box[1] > left[k] ? box[1] : left[k]);
            float both = height * width;
            any |= (height > 0) & (width > 0) & (area > 0) & (areas[k] > 0) & (both / (area + areas[k] - both) > iou);
        }
        if (any) return true;
    }
    return false;
}

static sw_status add(suppression *s, int64_t batch, int64_t class_id, int64_t box) {
    SW_TRY(sw_grow(s->call->allocator, (void **)&s->found, &s->cap_found, (size_t)s->n_found + 1, 3 * sizeof *s->found,
                   SIZE_MAX / 64));
    memcpy(s->found + 3 * s->n_found++, (int64_t[]){batch, class_id, box}, 3 * sizeof *s->found);
    return SW_OK;
}

static sw_status run_class(suppression *s, int64_t batch, int64_t class_id, int64_t boxes, int64_t classes) {
    const float *scores = (const float *)s->call->in[1]->data + (batch * classes + class_id) * boxes;
    int64_t n = 0, first = s->n_found;
    for (int64_t i = 0; i < boxes; i++)
        if (!isnan(scores[i]) && (!s->has_threshold || scores[i] > s->threshold))
            s->items[n++] = (scored){scores[i], i};
    qsort(s->items, (size_t)n, sizeof *s->items, by_falling_score);
    for (int64_t i = 0; i < n && s->n_found - first < s->most; i++) {
        float box[4];
        read_box(s, batch * boxes + s->items[i].box, box);
        if (overlaps_any(s, s->n_found - first, box)) continue;
        keep_box(s, s->n_found - first, box);
        SW_TRY(add(s, batch, class_id, s->items[i].box));
    }
    return SW_OK;
}

sw_status sw__non_max_suppression_ref(const sw_call *c) {
    const sw_tensor *boxes = c->in[0], *scores = c->in[1], *most = sw_call_in(c, 2), *iou = sw_call_in(c, 3),
                    *threshold = sw_call_in(c, 4);
    suppression s = {.call = c, .centers = sw_call_int(c, "center_point_box") != 0, .has_threshold = threshold != NULL};
    if (!sw_call_out(c, 0)) return SW_OK;
    if (boxes->dtype != SW_F32) return sw__refuse_dtype(c, boxes->dtype);
    if (scores->dtype != SW_F32) return sw__refuse_dtype(c, scores->dtype);
    s.most = most ? sw_tensor_int_at(most, 0) : 0;
    s.iou = iou ? (float)sw_tensor_float_at(iou, 0) : 0;
    s.threshold = threshold ? (float)sw_tensor_float_at(threshold, 0) : 0;
    int64_t n = boxes->dims[1], classes = scores->dims[1];
    s.items = sw_calloc(c->allocator, (size_t)n + 1, sizeof *s.items);
    float *kept = sw_calloc(c->allocator, (size_t)n + 1, (AREA + 1) * sizeof *kept);
    for (int i = 0; kept && i <= AREA; i++) s.kept[i] = kept + i * n;
    sw_status status = s.items && kept ? SW_OK : SW_E_NOMEM;
    for (int64_t b = 0; status == SW_OK && n > 0 && s.most > 0 && b < boxes->dims[0]; b++)
        for (int64_t k = 0; status == SW_OK && k < classes; k++) status = run_class(&s, b, k, n, classes);
    if (status == SW_OK) status = c->resize(c, 0, 2, (int64_t[]){s.n_found, 3});
    if (status == SW_OK && s.n_found) memcpy(c->out[0]->data, s.found, (size_t)s.n_found * 3 * sizeof *s.found);
    sw_free(c->allocator, s.items);
    sw_free(c->allocator, kept);
    sw_free(c->allocator, s.found);
    return status;
}
