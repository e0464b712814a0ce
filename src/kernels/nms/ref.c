/* Nms: the greedy suppression of Ultralytics and torchvision. Candidates above the threshold are taken by
 * falling score (equal scores in order of anchor, then class); one is kept unless a kept box overlaps it by
 * more than `iou`. Classes are held apart by moving their boxes by class * max_wh, and overlap is
 * calculated on the moved boxes in float, so that rounding, too, is theirs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernel.h"

typedef struct candidate {
    float score;
    int32_t class_id;
    int64_t anchor;
} candidate;

typedef struct box {
    float x1, y1, x2, y2, area;
} box;

typedef struct rules {
    float conf, iou, max_wh;
    bool agnostic, multi_label;
    int64_t max_det, max_nms;
    const sw_attr *classes;
} rules;

static bool wanted(const rules *r, int64_t class_id) {
    if (r->classes->ints.n == 0) return true;
    for (int i = 0; i < r->classes->ints.n; i++)
        if (r->classes->ints.v[i] == class_id) return true;
    return false;
}

/* The first of the best classes; -1 when a score is not a number, as torch's maximum then is not one. */
static int64_t best_class(const float *scores, int64_t classes) {
    int64_t best = 0;
    for (int64_t i = 0; i < classes; i++) {
        if (isnan(scores[i])) return -1;
        if (scores[i] > scores[best]) best = i;
    }
    return best;
}

/* Writes the candidates of all anchors to `to` (NULL: only counts them). */
static int64_t collect(const rules *r, const float *rows, int64_t anchors, int64_t values, candidate *to) {
    int64_t n = 0, classes = values - 4;
    for (int64_t a = 0; a < anchors; a++) {
        const float *scores = rows + a * values + 4;
        int64_t best = best_class(scores, classes);
        if (best < 0) continue;
        int64_t first = r->multi_label ? 0 : best, last = r->multi_label ? classes - 1 : best;
        for (int64_t k = first; k <= last; k++) {
            if (!(scores[k] > r->conf) || !wanted(r, k)) continue;
            if (to) to[n] = (candidate){scores[k], (int32_t)k, a};
            n++;
        }
    }
    return n;
}

/* A total order: no two candidates have both anchor and class in common. */
static int by_falling_score(const void *left, const void *right) {
    const candidate *a = left, *b = right;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    if (a->anchor != b->anchor) return a->anchor < b->anchor ? -1 : 1;
    return (a->class_id > b->class_id) - (a->class_id < b->class_id);
}

static box move_box(const rules *r, const float *row, int32_t class_id) {
    float offset = r->agnostic ? 0 : (float)class_id * r->max_wh;
    box b = {row[0] + offset, row[1] + offset, row[2] + offset, row[3] + offset, 0};
    b.area = (b.x2 - b.x1) * (b.y2 - b.y1);
    return b;
}

static bool overlaps(const box *a, const box *b, float iou) {
    float x1 = a->x1 < b->x1 ? b->x1 : a->x1, y1 = a->y1 < b->y1 ? b->y1 : a->y1;
    float x2 = b->x2 < a->x2 ? b->x2 : a->x2, y2 = b->y2 < a->y2 ? b->y2 : a->y2;
    float width = x2 - x1 > 0 ? x2 - x1 : 0, height = y2 - y1 > 0 ? y2 - y1 : 0;
    float inter = width * height;
    return inter / (a->area + b->area - inter) > iou;
}

/* `kept`: room for max_det boxes. Returns how many there are; `out` (may be NULL) gets a row for each. */
static int64_t suppress(const rules *r, const float *rows, int64_t values, const candidate *items, int64_t n,
                        box *kept, float *out) {
    int64_t count = 0;
    for (int64_t i = 0; i < n && count < r->max_det; i++) {
        const float *row = rows + items[i].anchor * values;
        box b = move_box(r, row, items[i].class_id);
        bool keep = true;
        for (int64_t k = 0; k < count && keep; k++) keep = !overlaps(&kept[k], &b, r->iou);
        if (!keep) continue;
        if (out) {
            memcpy(out + 6 * count, row, 4 * sizeof *out);
            out[6 * count + 4] = items[i].score;
            out[6 * count + 5] = (float)items[i].class_id;
        }
        kept[count++] = b;
    }
    return count;
}

static sw_status nms_picture(const sw_call *c, const rules *r, const float *rows, int64_t anchors, int64_t values,
                             float *out, int64_t *count) {
    sw_status status = SW_E_NOMEM;
    *count = 0;
    int64_t n = collect(r, rows, anchors, values, NULL);
    candidate *items = sw_calloc(c->allocator, (size_t)n, sizeof *items);
    box *kept = sw_calloc(c->allocator, (size_t)(n < r->max_det ? n : r->max_det), sizeof *kept);
    if (!items || !kept) goto out;
    collect(r, rows, anchors, values, items);
    qsort(items, (size_t)n, sizeof *items, by_falling_score);
    *count = suppress(r, rows, values, items, n < r->max_nms ? n : r->max_nms, kept, out);
    status = SW_OK;
out:
    sw_free(c->allocator, items);
    sw_free(c->allocator, kept);
    return status;
}

sw_status sw__nms_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0), *counts = sw_call_out(c, 1);
    int64_t anchors = x->dims[1], values = x->dims[2];
    rules r = {
        .conf = sw_call_float(c, "conf"),
        .iou = sw_call_float(c, "iou"),
        .max_wh = sw_call_float(c, "max_wh"),
        .agnostic = sw_call_int(c, "agnostic") != 0,
        .multi_label = sw_call_int(c, "multi_label") != 0,
        .max_det = sw_call_int(c, "max_det"),
        .max_nms = sw_call_int(c, "max_nms"),
        .classes = sw_call_attr(c, "classes", SW_ATTR_INTS),
    };
    if (y) memset(y->data, 0, (size_t)sw_tensor_bytes(y));
    for (int64_t n = 0; n < x->dims[0]; n++) {
        int64_t count;
        float *out = y ? (float *)y->data + n * r.max_det * 6 : NULL;
        SW_TRY(nms_picture(c, &r, (const float *)x->data + n * anchors * values, anchors, values, out, &count));
        if (counts) ((int32_t *)counts->data)[n] = (int32_t)count;
    }
    return SW_OK;
}
