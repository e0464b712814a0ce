/* The truths of a picture: YOLO's label lines, and those of COCO as they are. */
#include <math.h>
#include <string.h>

#include "base/os.h"
#include "base/str.h"
#include "eval/dataset.h"

/* A label file being read. */
typedef struct reader {
    const char *at, *end, *where;
    int line;
    sw_label_form form;
    int width, height, n_points, point_values;
    sw_arena *arena;
    const sw_diag *diag;
    void *numbers; /* double: of the line */
    size_t n, cap;
} reader;

static sw_status fail(const reader *r, const char *what) {
    return sw_fail(r->diag, SW_E_INPUT, r->where, NULL, "line %d: %s", r->line, what);
}

/* The numbers of a line. */
static sw_status read_line(reader *r) {
    const char *line_end = memchr(r->at, '\n', (size_t)(r->end - r->at)), *stop = line_end ? line_end : r->end;
    r->line++;
    r->n = 0;
    for (const char *at = r->at; at < stop;) {
        if (*at == ' ' || *at == '\t' || *at == '\r') {
            at++;
            continue;
        }
        const char *word = at;
        while (at < stop && *at != ' ' && *at != '\t' && *at != '\r') at++;
        double value;
        if (!sw_str_to_f64(word, (size_t)(at - word), &value))
            return fail(r, "expected numbers: class and fractions of the picture");
        SW_TRY(sw_grow(NULL, &r->numbers, &r->cap, r->n + 1, sizeof(double), SW_LABEL_MAX_BYTES));
        ((double *)r->numbers)[r->n++] = value;
    }
    r->at = line_end ? line_end + 1 : r->end;
    return SW_OK;
}

/* The outline x y ... in pixels, and the box around it. */
static sw_status set_outline(reader *r, const double *v, size_t n, sw_truth *t) {
    double *points = SW_ARENA_ARRAY(r->arena, double, n);
    int *ends = SW_ARENA_ARRAY(r->arena, int, 1);
    if (!points || !ends) return SW_E_NOMEM;
    double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
    for (size_t i = 0; i < n; i += 2) {
        double x = points[i] = v[i] * r->width, y = points[i + 1] = v[i + 1] * r->height;
        x0 = fmin(x0, x), x1 = fmax(x1, x), y0 = fmin(y0, y), y1 = fmax(y1, y);
    }
    ends[0] = (int)(n / 2);
    t->outlines = points;
    t->ends = ends;
    t->n_outlines = 1;
    memcpy(t->box, (double[]){x0, y0, x1 - x0, y1 - y0}, sizeof t->box);
    t->has_box = true;
    return SW_OK;
}

static void set_box(const reader *r, const double *v, sw_truth *t) {
    double w = v[2] * r->width, h = v[3] * r->height;
    memcpy(t->box, (double[]){v[0] * r->width - w / 2, v[1] * r->height - h / 2, w, h}, sizeof t->box);
    t->has_box = true;
}

static sw_status set_points(reader *r, const double *v, size_t n, sw_truth *t) {
    int values = r->point_values ? r->point_values : 3;
    size_t count = n / (size_t)values;
    if (n % (size_t)values || !count || count > SW_EVAL_MAX_POINTS || (r->n_points && count != (size_t)r->n_points))
        return fail(r, "another number of keypoints than the dataset tells");
    double *points = SW_ARENA_ARRAY(r->arena, double, 3 * count);
    if (!points) return SW_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const double *p = v + i * (size_t)values;
        points[3 * i] = p[0] * r->width;
        points[3 * i + 1] = p[1] * r->height;
        points[3 * i + 2] = values == 3 ? p[2] : (p[0] != 0 || p[1] != 0) ? 2 : 0;
    }
    t->points = points;
    t->n_points = (int)count;
    return SW_OK;
}

/* What the numbers of a line stand for. */
static sw_status make_truth(reader *r, sw_truth *t) {
    const double *v = r->numbers;
    *t = (sw_truth){.area = -1};
    if (r->n < 5) return fail(r, "expected a class and at least four fractions of the picture");
    if (!(v[0] >= 0 && v[0] < SW_DATASET_MAX_CATEGORIES) || v[0] != floor(v[0]))
        return fail(r, "the class must be a whole number");
    t->category = (int)v[0];
    bool outline = r->n > 5 && r->n % 2 == 1;
    switch (r->form) {
    case SW_LABELS_POINTS:
        if (r->n == 5) return fail(r, "a box without keypoints");
        set_box(r, v + 1, t);
        return set_points(r, v + 5, r->n - 5, t);
    case SW_LABELS_CORNERS:
        if (r->n != 9) return fail(r, "expected a class and four corners");
        return set_outline(r, v + 1, 8, t);
    case SW_LABELS_OUTLINES:
        if (!outline || r->n < 7) return fail(r, "expected a class and an outline of at least three points");
        return set_outline(r, v + 1, r->n - 1, t);
    case SW_LABELS_BOXES:
        break;
    }
    if (r->n == 5) {
        set_box(r, v + 1, t);
        return SW_OK;
    }
    if (!outline) return fail(r, "expected a class and a box of four numbers, or an outline");
    SW_TRY(set_outline(r, v + 1, r->n - 1, t));
    t->n_outlines = 0; /* only its box is wanted */
    return SW_OK;
}

static sw_status read_labels(reader *r, const sw_truth **truths, size_t *n) {
    void *items = NULL;
    size_t cap = 0;
    sw_status status = SW_OK;
    *n = 0;
    while (r->at < r->end && status == SW_OK) {
        status = read_line(r);
        if (status != SW_OK || !r->n) continue;
        status = sw_grow(NULL, &items, &cap, *n + 1, sizeof(sw_truth), SW_EVAL_MAX_OBJECTS);
        if (status == SW_OK) status = make_truth(r, &((sw_truth *)items)[*n]);
        if (status == SW_OK) ++*n;
    }
    if (status == SW_OK) {
        *truths = sw_arena_copy(r->arena, items, *n * sizeof(sw_truth));
        if (*n && !*truths) status = SW_E_NOMEM;
    }
    sw_free(NULL, items);
    sw_free(NULL, r->numbers);
    return status;
}

sw_status sw_dataset_truths(const sw_dataset *dataset, const sw_dataset_image *image, sw_label_form form, int width,
                            int height, sw_arena *arena, const sw_diag *diag, const sw_truth **truths, size_t *n) {
    *truths = image->truths;
    *n = image->n_truths;
    if (!image->label_path || sw_path_kind_of(image->label_path) != SW_PATH_FILE) return SW_OK;
    sw_buf text = sw_buf_make(NULL, SW_LABEL_MAX_BYTES);
    sw_status status = sw_file_read(image->label_path, diag, &text);
    reader r = {.at = (const char *)text.data,
                .end = (const char *)text.data + text.size,
                .where = image->label_path,
                .form = form,
                .width = width,
                .height = height,
                .n_points = dataset->n_points,
                .point_values = dataset->point_values,
                .arena = arena,
                .diag = diag};
    if (status == SW_OK && text.size) status = read_labels(&r, truths, n);
    sw_buf_free(&text);
    return status;
}
