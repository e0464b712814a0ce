/* Nms: the suppression of Ultralytics and torchvision. Candidates above the threshold are taken by
 * falling score (equal scores in order of anchor, then class); one is kept unless a kept box overlaps it by
 * more than `iou`. Classes are held apart by moving their boxes by class * max_wh, and overlap is
 * calculated on the moved boxes in float, so that rounding, too, is theirs.
 *
 * Rotated boxes go by another rule, as there: one is dropped when any better candidate, kept or not, overlaps it. Their overlap
 * is that of Gaussians: 1 minus the Hellinger distance, from Bhattacharyya's (ProbIoU, arXiv 2106.06072). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/nms/far.h"

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
    bool agnostic, multi_label, rotated;
    int64_t max_det, max_nms;
    int64_t values, extra; /* of a candidate */
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

/* No score passes the threshold, and all are numbers: so with most anchors, and quickly told. */
static bool is_cold(const rules *r, const float *scores, int64_t classes) {
    int hot = 0;
    for (int64_t i = 0; i < classes; i++) hot |= !(scores[i] <= r->conf);
    return !hot;
}

/* Writes the candidates of all anchors to `to` (NULL: only counts them). */
static int64_t collect(const rules *r, const float *rows, int64_t anchors, candidate *to) {
    int64_t n = 0, classes = r->values - 4 - r->extra;
    for (int64_t a = 0; a < anchors; a++) {
        const float *scores = rows + a * r->values + 4;
        int64_t best = is_cold(r, scores, classes) ? -1 : best_class(scores, classes);
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

/* A rotated box as a Gaussian: its centre and covariance [[a, c], [c, b]]. */
typedef struct gauss {
    float x, y, a, b, c;
    float spread; /* the larger variance */
} gauss;

static gauss gauss_of(const rules *r, const float *row, int32_t class_id) {
    float offset = r->agnostic ? 0 : (float)class_id * r->max_wh, angle = row[r->values - 1];
    float along = row[2] * row[2] / 12, across = row[3] * row[3] / 12, cosine = cosf(angle), sine = sinf(angle);
    return (gauss){.x = row[0] + offset,
                   .y = row[1] + offset,
                   .a = along * cosine * cosine + across * sine * sine,
                   .b = along * sine * sine + across * cosine * cosine,
                   .c = (along - across) * cosine * sine,
                   .spread = fmaxf(along, across)};
}

static float prob_iou(const gauss *p, const gauss *q) {
    const float tiny = 1e-7f;
    float a = p->a + q->a, b = p->b + q->b, c = p->c + q->c, dx = q->x - p->x, dy = p->y - q->y;
    float det = a * b - c * c;
    float shift = (a * dy * dy + b * dx * dx) / (det + tiny) * 0.25f + c * dx * dy / (det + tiny) * 0.5f;
    float own = fmaxf(p->a * p->b - p->c * p->c, 0) * fmaxf(q->a * q->b - q->c * q->c, 0);
    float shape = logf(det / (4 * sqrtf(own) + tiny) + tiny) * 0.5f;
    float distance = fminf(fmaxf(shift + shape, tiny), 100);
    return 1 - sqrtf(1 - expf(-distance) + tiny);
}

/* From the term of the distance alone, which is at least a quarter of that. The margin covers rounding. */
float sw__nms_far(float iou) {
    float left = 1 - (1 - iou) * (1 - iou);
    return left > 0 ? 4.1f * (0.01f - logf(left)) : INFINITY;
}

static bool is_beaten(const gauss *items, int64_t n, float iou, float far) {
    const gauss *b = &items[n];
    for (int64_t i = 0; i < n; i++) {
        float dx = items[i].x - b->x, dy = items[i].y - b->y;
        if (dx * dx + dy * dy > far * (items[i].spread + b->spread)) continue;
        if (prob_iou(&items[i], b) > iou) return true;
    }
    return false;
}

static void write_detection(const rules *r, const float *row, const candidate *item, float *to) {
    memcpy(to, row, 4 * sizeof *to);
    to[4] = item->score;
    to[5] = (float)item->class_id;
    memcpy(to + 6, row + r->values - r->extra, (size_t)r->extra * sizeof *to);
}

/* `kept`: room for max_det boxes, and for n Gaussians when they are rotated. Returns how many there are; `out` (may be NULL)
 * gets a row for each. */
static int64_t suppress(const rules *r, const float *rows, const candidate *items, int64_t n, void *kept, float *out) {
    int64_t count = 0;
    box *boxes = kept;
    gauss *gausses = kept;
    float far = sw__nms_far(r->iou);
    for (int64_t i = 0; i < n && count < r->max_det; i++) {
        const float *row = rows + items[i].anchor * r->values;
        if (r->rotated) {
            gausses[i] = gauss_of(r, row, items[i].class_id);
            if (is_beaten(gausses, i, r->iou, far)) continue;
        } else {
            boxes[count] = move_box(r, row, items[i].class_id);
            bool keep = true;
            for (int64_t k = 0; k < count && keep; k++) keep = !overlaps(&boxes[k], &boxes[count], r->iou);
            if (!keep) continue;
        }
        if (out) write_detection(r, row, &items[i], out + (6 + r->extra) * count);
        count++;
    }
    return count;
}

static sw_status nms_picture(const sw_call *c, const rules *r, const float *rows, int64_t anchors, float *out,
                             int64_t *count) {
    sw_status status = SW_E_NOMEM;
    *count = 0;
    int64_t n = collect(r, rows, anchors, NULL), most = n < r->max_nms ? n : r->max_nms;
    candidate *items = sw_calloc(c->allocator, (size_t)n, sizeof *items);
    void *kept = r->rotated ? sw_calloc(c->allocator, (size_t)most, sizeof(gauss))
                            : sw_calloc(c->allocator, (size_t)(most < r->max_det ? most : r->max_det) + 1, sizeof(box));
    if (!items || !kept) goto out;
    collect(r, rows, anchors, items);
    qsort(items, (size_t)n, sizeof *items, by_falling_score);
    *count = suppress(r, rows, items, most, kept, out);
    status = SW_OK;
out:
    sw_free(c->allocator, items);
    sw_free(c->allocator, kept);
    return status;
}

sw_status sw__nms_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0), *counts = sw_call_out(c, 1);
    int64_t anchors = x->dims[1];
    rules r = {
        .conf = sw_call_float(c, "conf"),
        .iou = sw_call_float(c, "iou"),
        .max_wh = sw_call_float(c, "max_wh"),
        .agnostic = sw_call_int(c, "agnostic") != 0,
        .multi_label = sw_call_int(c, "multi_label") != 0,
        .rotated = sw_call_int(c, "rotated") != 0,
        .values = x->dims[2],
        .extra = sw_call_int(c, "extra"),
        .max_det = sw_call_int(c, "max_det"),
        .max_nms = sw_call_int(c, "max_nms"),
        .classes = sw_call_attr(c, "classes", SW_ATTR_INTS),
    };
    if (y) memset(y->data, 0, (size_t)sw_tensor_bytes(y));
    for (int64_t n = 0; n < x->dims[0]; n++) {
        int64_t count;
        float *out = y ? (float *)y->data + n * r.max_det * (6 + r.extra) : NULL;
        SW_TRY(nms_picture(c, &r, (const float *)x->data + n * anchors * r.values, anchors, out, &count));
        if (counts) ((int32_t *)counts->data)[n] = (int32_t)count;
    }
    return SW_OK;
}
