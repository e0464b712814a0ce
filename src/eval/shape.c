#include "eval/shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double larger(double a, double b) {
    return a > b ? a : b;
}
static double smaller(double a, double b) {
    return a < b ? a : b;
}

static double over(double inter, double area_a, double area_b, bool crowd) {
    double whole = crowd ? area_a : area_a + area_b - inter;
    return whole > 0 ? inter / whole : 0;
}

double sw_iou_boxes(const double a[4], const double b[4], bool crowd) {
    double w = smaller(a[0] + a[2], b[0] + b[2]) - larger(a[0], b[0]);
    double h = smaller(a[1] + a[3], b[1] + b[3]) - larger(a[1], b[1]);
    if (!(w > 0) || !(h > 0)) return 0;
    return over(w * h, a[2] * a[3], b[2] * b[3], crowd);
}

double sw_mask_area(const uint32_t *runs, size_t n_runs) {
    double area = 0;
    for (size_t i = 1; i < n_runs; i += 2) area += runs[i];
    return area;
}

double sw_iou_masks(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b, bool crowd) {
    double inter = 0;
    size_t i = 0, k = 0;
    uint64_t left_a = n_a ? a[0] : 0, left_b = n_b ? b[0] : 0;
    while (i < n_a && k < n_b) {
        uint64_t step = left_a < left_b ? left_a : left_b;
        if (i & k & 1) inter += (double)step;
        left_a -= step;
        left_b -= step;
        if (!left_a && ++i < n_a) left_a = a[i];
        if (!left_b && ++k < n_b) left_b = b[k];
    }
    return over(inter, sw_mask_area(a, n_a), sw_mask_area(b, n_b), crowd);
}

void sw_mask_box(const uint32_t *runs, size_t n_runs, int height, double box[4]) {
    int64_t at = 0, left = INT64_MAX, right = -1, top = INT64_MAX, bottom = -1;
    for (size_t i = 0; i < n_runs; at += runs[i], i++) {
        if (!(i & 1) || !runs[i] || height <= 0) continue;
        int64_t last = at + runs[i] - 1, column = at / height, last_column = last / height;
        bool wraps = last_column > column; /* then it touches the lowest row of one column, the highest of the next */
        int64_t y0 = wraps ? 0 : at % height, y1 = wraps ? height - 1 : last % height;
        if (column < left) left = column;
        if (last_column > right) right = last_column;
        if (y0 < top) top = y0;
        if (y1 > bottom) bottom = y1;
    }
    bool empty = right < 0;
    box[0] = empty ? 0 : (double)left;
    box[1] = empty ? 0 : (double)top;
    box[2] = empty ? 0 : (double)(right - left + 1);
    box[3] = empty ? 0 : (double)(bottom - top + 1);
}

/* ---- Rotated boxes
 * -------------------------------------------------------------------------------------------------- */

typedef struct point {
    double x, y;
} point;

enum { MAX_CORNERS = 16 }; /* two rectangles meet in at most 8 */

static void corners_of(const double box[5], point corners[4]) {
    double c = cos(box[4]), s = sin(box[4]), w = box[2] / 2, h = box[3] / 2;
    const double sx[4] = {-w, w, w, -w}, sy[4] = {-h, -h, h, h};
    for (int i = 0; i < 4; i++) corners[i] = (point){box[0] + sx[i] * c - sy[i] * s, box[1] + sx[i] * s + sy[i] * c};
}

static double side_of(point a, point b, point p) {
    return (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
}

/* What of a convex polygon lies on the inner side of the line a b (Sutherland and Hodgman, 1974). */
static int clip(const point *in, int n, point a, point b, point *out) {
    int m = 0;
    for (int i = 0; i < n; i++) {
        point p = in[i], q = in[(i + 1) % n];
        double sp = side_of(a, b, p), sq = side_of(a, b, q);
        if (sp >= 0) out[m++] = p;
        if ((sp > 0 && sq < 0) || (sp < 0 && sq > 0)) {
            double t = sp / (sp - sq);
            out[m++] = (point){p.x + t * (q.x - p.x), p.y + t * (q.y - p.y)};
        }
    }
    return m;
}

double sw_iou_rotated(const double a[5], const double b[5]) {
    point pa[MAX_CORNERS], pb[4], next[MAX_CORNERS];
    if (!(a[2] > 0 && a[3] > 0 && b[2] > 0 && b[3] > 0)) return 0;
    corners_of(a, pa);
    corners_of(b, pb);
    int n = 4;
    for (int i = 0; i < 4 && n; i++) {
        n = clip(pa, n, pb[i], pb[(i + 1) % 4], next);
        memcpy(pa, next, (size_t)n * sizeof *pa);
    }
    double inter = 0;
    for (int i = 1; i + 1 < n; i++) inter += side_of(pa[0], pa[i], pa[i + 1]) / 2;
    return over(larger(inter, 0), a[2] * a[3], b[2] * b[3], false);
}

/* ---- Keypoints
 * ------------------------------------------------------------------------------------------------------ */

/* Smallest step above 1, which COCO adds to areas so that it never divides by 0. */
static const double spacing = 2.220446049250313e-16;

double sw_oks(const sw_eval_object *guess, const sw_eval_object *truth, int n_points, const double *sigmas) {
    int visible = 0;
    for (int i = 0; i < n_points; i++) visible += truth->points[3 * i + 2] > 0;
    /* A truth without visible points: distance from its box, doubled on every side. */
    const double *box = truth->box;
    double x0 = box[0] - box[2], x1 = box[0] + box[2] * 2, y0 = box[1] - box[3], y1 = box[1] + box[3] * 2, sum = 0;
    for (int i = 0; i < n_points; i++) {
        const double *g = guess->points + 3 * i, *t = truth->points + 3 * i;
        double dx, dy, variance = 4 * sigmas[i] * sigmas[i];
        if (visible) {
            if (t[2] <= 0) continue;
            dx = g[0] - t[0];
            dy = g[1] - t[1];
        } else {
            dx = larger(0, x0 - g[0]) + larger(0, g[0] - x1);
            dy = larger(0, y0 - g[1]) + larger(0, g[1] - y1);
        }
        sum += exp(-(dx * dx + dy * dy) / variance / (truth->area + spacing) / 2);
    }
    return sum / (visible ? visible : n_points);
}

/* ---- Masks
 * ---------------------------------------------------------------------------------------------------------- */

sw_status sw_runs_parse(const char *text, size_t length, uint64_t pixels, sw_arena *arena, sw_runs *runs) {
    uint32_t *out = SW_ARENA_ARRAY(arena, uint32_t, length + 1); /* a run takes a character at least */
    if (!out) return SW_E_NOMEM;
    size_t n = 0;
    uint64_t total = 0;
    for (size_t at = 0; at < length;) {
        int64_t value = 0;
        int shift = 0;
        for (bool more = true; more;
             shift += 5) { /* five bits a character, low ones first, 0x20: more follow, 0x10: sign */
            int c = at < length ? (unsigned char)text[at++] - 48 : -1;
            if (c < 0 || c > 63 || shift > 35) return SW_E_INPUT;
            value |= (int64_t)(c & 0x1f) << shift;
            more = c & 0x20;
            if (!more && (c & 0x10)) value -= (int64_t)1 << (shift + 5);
        }
        if (n > 2) value += out[n - 2]; /* from the fourth on, the difference from the last of its kind */
        if (value < 0 || (uint64_t)value > pixels) return SW_E_INPUT;
        total += (uint64_t)value;
        out[n++] = (uint32_t)value;
    }
    if (total != pixels) return SW_E_INPUT;
    *runs = (sw_runs){out, n};
    return SW_OK;
}

static int compare_u32(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The state of a walk along a border. */
typedef struct border {
    sw_canvas *canvas;
    sw_fill_room *room;
    size_t n;
    bool begun;
    int64_t u, v; /* the last point, at five times the resolution */
} border;

enum { FINER = 5, MAX_CROSSINGS = 1 << 28 };

/* The next point of the border; where it steps to another column, a crossing may be noted: the first pixel below it. */
static sw_status step_to(border *b, int64_t u, int64_t v) {
    int64_t last_u = b->u, last_v = b->v;
    bool first = !b->begun;
    b->begun = true;
    b->u = u;
    b->v = v;
    if (first || u == last_u) return SW_OK;
    double x = ((double)(u < last_u ? u : u - 1) + 0.5) / FINER - 0.5;
    if (floor(x) != x || x < 0 || x > b->canvas->width - 1) return SW_OK;
    double y = ((double)(v < last_v ? v : last_v) + 0.5) / FINER - 0.5;
    y = ceil(y < 0 ? 0 : y > b->canvas->height ? b->canvas->height : y);
    SW_TRY(sw_grow(b->room->allocator, &b->room->crossings, &b->room->cap, b->n + 1, sizeof(uint32_t), MAX_CROSSINGS));
    ((uint32_t *)b->room->crossings)[b->n++] = (uint32_t)((int64_t)x * b->canvas->height + (int64_t)y);
    return SW_OK;
}

static sw_status walk_edge(border *b, int64_t xs, int64_t ys, int64_t xe, int64_t ye) {
    int64_t dx = llabs(xe - xs), dy = llabs(ye - ys);
    bool flip = (dx >= dy && xs > xe) || (dx < dy && ys > ye);
    if (flip) {
        int64_t t = xs;
        xs = xe, xe = t;
        t = ys, ys = ye, ye = t;
    }
    bool flat = dx >= dy;
    int64_t length = flat ? dx : dy;
    double slope = length ? (flat ? (double)(ye - ys) : (double)(xe - xs)) / (double)length : 0;
    for (int64_t d = 0; d <= length; d++) {
        int64_t t = flip ? length - d : d;
        if (flat)
            SW_TRY(step_to(b, t + xs, (int64_t)((double)ys + slope * (double)t + 0.5)));
        else
            SW_TRY(step_to(b, (int64_t)((double)xs + slope * (double)t + 0.5), t + ys));
    }
    return SW_OK;
}

static int64_t finer(double x, int side) {
    double most =
        (double)side + 4096; /* what lies far outside is cut, so that hostile files cannot make walks endless */
    if (!(x > -4096)) x = -4096;
    return (int64_t)(FINER * (x < most ? x : most) + 0.5);
}

sw_status sw_canvas_fill(sw_canvas *canvas, const double *points, size_t n, sw_fill_room *room) {
    border b = {.canvas = canvas, .room = room};
    for (size_t i = 0; i < n; i++) {
        const double *p = points + 2 * i, *q = points + 2 * (i + 1 < n ? i + 1 : 0);
        SW_TRY(walk_edge(&b, finer(p[0], canvas->width), finer(p[1], canvas->height), finer(q[0], canvas->width),
                         finer(q[1], canvas->height)));
    }
    uint32_t *at = room->crossings, pixels = (uint32_t)canvas->width * (uint32_t)canvas->height;
    if (b.n) qsort(at, b.n, sizeof *at, compare_u32);
    for (size_t i = 0; i < b.n; i += 2) { /* inside between the first and second, third and fourth ... */
        uint32_t end = i + 1 < b.n ? at[i + 1] : pixels;
        if (end > pixels) end = pixels;
        if (at[i] < end) memset(canvas->pixels + at[i], 1, end - at[i]);
    }
    return SW_OK;
}

sw_status sw_canvas_runs(const sw_canvas *canvas, sw_arena *arena, sw_runs *runs) {
    size_t pixels = (size_t)canvas->width * (size_t)canvas->height, n = 1;
    for (size_t i = 0; i < pixels; i++) n += canvas->pixels[i] != (i ? canvas->pixels[i - 1] : 0);
    uint32_t *out = SW_ARENA_ARRAY(arena, uint32_t, n);
    if (!out) return SW_E_NOMEM;
    size_t k = 0;
    for (size_t i = 0; i < pixels; i++) {
        if (canvas->pixels[i] != (i ? canvas->pixels[i - 1] : 0)) k++;
        out[k]++;
    }
    *runs = (sw_runs){out, n};
    return SW_OK;
}
