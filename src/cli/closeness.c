#include "cli/closeness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sort.h"
#include "ops/op.h"

/* Values that are tiny throughout (scores of noise) may be zero elsewhere: approximations of sigmoids end there. */
static const double least_scale = 1e-3;

enum { MOST_LIST = 1024, LEAST_COLUMNS = 6, MOST_COLUMNS = 256, OUTLIERS = 50 /* one in so many */ };

static double *to_doubles(const sw_tensor *t, int64_t n) {
    double *v = sw_calloc(NULL, (size_t)n + 1, sizeof *v);
    for (int64_t i = 0; v && i < n; i++) v[i] = sw_tensor_float_at(t, i);
    return v;
}

static double largest(const double *v, int64_t n, int64_t step) {
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i * step]) && fabs(v[i * step]) > most) most = fabs(v[i * step]);
    return most;
}

/* A tensor as rows that have a scale each: element (i, row, k) at (i * rows + row) * inner + k. */
typedef struct table {
    int64_t outer, rows, inner;
    double *scales; /* by row; 0 where everything is 0 */
} table;

static bool make_table(const sw_tensor *t, const double *v, int64_t n, table *b) {
    *b = (table){.outer = 1, .rows = 1, .inner = n};
    if (t->rank == 3 && n) {
        bool across = t->dims[1] <= t->dims[2];
        *b = across ? (table){t->dims[0], t->dims[1], t->dims[2], NULL}
                    : (table){t->dims[0] * t->dims[1], t->dims[2], 1, NULL};
    }
    b->scales = sw_calloc(NULL, (size_t)b->rows, sizeof *b->scales);
    double whole = fmin(largest(v, n, 1), 1);
    for (int64_t r = 0; b->scales && r < b->rows; r++) {
        double most = 0;
        for (int64_t i = 0; i < b->outer; i++)
            most = fmax(most, largest(v + (i * b->rows + r) * b->inner, b->inner, 1));
        b->scales[r] = fmax(fmax(most, whole), least_scale);
    }
    return b->scales;
}

/* Error of one element; odd ones (not finite here and there alike) have none or count apart. */
static double error_of(double want, double got, double scale, int64_t *odd) {
    if (want == got || (isnan(want) && isnan(got))) return 0;
    if (!isfinite(want) || !isfinite(got)) return (*odd)++, 0;
    return scale > 0 ? fabs(want - got) / scale : INFINITY;
}

static void compare_in_place(const table *b, const double *want, const double *got, sw_closeness *c) {
    double sum = 0, ab = 0, aa = 0, bb = 0;
    int64_t i = 0;
    for (int64_t o = 0; o < b->outer; o++)
        for (int64_t r = 0; r < b->rows; r++)
            for (int64_t k = 0; k < b->inner; k++, i++) {
                double error = error_of(want[i], got[i], b->scales[r], &c->odd);
                c->max_error = fmax(c->max_error, error);
                sum += error;
                if (!isfinite(want[i]) || !isfinite(got[i])) continue;
                ab += want[i] * got[i];
                aa += want[i] * want[i];
                bb += got[i] * got[i];
            }
    c->mean_error = i ? sum / (double)i : 0;
    c->cosine = aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : aa == bb;
}

/* -- Lists --------------------------------------------------------------------------------------------------------- */

static bool is_list(const sw_tensor *t) {
    return t->rank == 3 && t->dims[1] <= MOST_LIST && t->dims[1] > t->dims[2] && t->dims[2] >= LEAST_COLUMNS &&
           t->dims[2] <= MOST_COLUMNS;
}

static double row_error(const table *b, const double *want, const double *got, double bound) {
    int64_t odd = 0;
    double most = 0;
    for (int64_t c = 0; c < b->rows && most < bound; c++)
        most = fmax(most, error_of(want[c], got[c], b->scales[c], &odd));
    return odd ? INFINITY : most;
}

/* Each wanted row takes the nearest one that is left, if that is near enough. `errors` gets one a row. */
static void match_rows(const table *b, int64_t n, const double *want, const double *got, double tolerance, bool *taken,
                       double *errors) {
    for (int64_t i = 0; i < n; i++) {
        int64_t best = -1;
        errors[i] = INFINITY;
        for (int64_t k = 0; k < n; k++) {
            double error = taken[k] ? INFINITY : row_error(b, want + i * b->rows, got + k * b->rows, errors[i]);
            if (error >= errors[i]) continue;
            errors[i] = error;
            best = k;
        }
        if (errors[i] <= tolerance) taken[best] = true;
    }
}

static sw_status compare_lists(const sw_tensor *t, const table *b, const double *want, const double *got,
                               double tolerance, sw_closeness *c) {
    int64_t n = t->dims[1], all = t->dims[0] * n, left_out = all / OUTLIERS;
    bool *taken = sw_calloc(NULL, (size_t)all, sizeof *taken);
    double *errors = sw_calloc(NULL, (size_t)all, sizeof *errors), sum = 0;
    bool good = taken && errors;
    for (int64_t i = 0; good && i < t->dims[0]; i++)
        match_rows(b, n, want + i * n * b->rows, got + i * n * b->rows, tolerance, taken + i * n, errors + i * n);
    if (good) {
        qsort(errors, (size_t)all, sizeof *errors, sw_by_f64);
        for (int64_t i = 0; i < all - left_out; i++) sum += errors[i];
        c->max_error = errors[all - left_out - 1];
        c->mean_error = sum / (double)(all - left_out);
    }
    sw_free(NULL, errors);
    sw_free(NULL, taken);
    return good ? SW_OK : SW_E_NOMEM;
}

sw_status sw_closeness_of(const sw_tensor *want, const sw_tensor *got, double tolerance, sw_closeness *closeness) {
    int64_t n = sw_tensor_count(want);
    *closeness = (sw_closeness){.comparable = want->rank == got->rank};
    for (int i = 0; i < want->rank && closeness->comparable; i++) closeness->comparable = want->dims[i] == got->dims[i];
    if (!closeness->comparable) return SW_OK;
    double *a = to_doubles(want, n), *b = to_doubles(got, n);
    table rows = {0};
    sw_status status = a && b && make_table(want, a, n, &rows) ? SW_OK : SW_E_NOMEM;
    if (status == SW_OK) compare_in_place(&rows, a, b, closeness);
    if (status == SW_OK && n && closeness->max_error > tolerance && is_list(want) && rows.inner == 1)
        status = compare_lists(want, &rows, a, b, tolerance, closeness);
    sw_free(NULL, rows.scales);
    sw_free(NULL, a);
    sw_free(NULL, b);
    return status;
}

sw_status sw_tensor_channels_last(const sw_tensor *source, bool back, sw_arena *arena, sw_tensor *to) {
    const sw_tensor copy = *source, *from = &copy; /* `to` may be the source */
    size_t size = sw_dtype_size(from->dtype);
    int64_t bytes = sw_tensor_bytes(from);
    *to = *from;
    to->data = sw_arena_alloc(arena, (size_t)bytes + 1, 1);
    if (!to->data) return SW_E_NOMEM;
    int64_t c = from->dims[back ? 3 : 1], h = from->dims[back ? 1 : 2], w = from->dims[back ? 2 : 3];
    memcpy(to->dims + 1, back ? (int64_t[]){c, h, w} : (int64_t[]){h, w, c}, 3 * sizeof *to->dims);
    const char *in = from->data;
    char *out = to->data;
    for (int64_t i = 0; i < from->dims[0]; i++)
        for (int64_t p = 0; p < h * w; p++)
            for (int64_t k = 0; k < c; k++) {
                int64_t first = (i * c + k) * h * w + p, last = (i * h * w + p) * c + k;
                memcpy(out + (size_t)(back ? first : last) * size, in + (size_t)(back ? last : first) * size, size);
            }
    return SW_OK;
}
