#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/top.h"

/* -- Rows ---------------------------------------------------------------------------------------------------------- */

const sw_top_row *sw_top_find(const sw_top_sample *sample, const char *model, const char *version) {
    for (int i = 0; i < sample->n; i++)
        if (!strcmp(sample->rows[i].model, model) && !strcmp(sample->rows[i].version, version)) return &sample->rows[i];
    return NULL;
}

/* The row of a version, made when there is none. Lines come in the order of rows, mostly. */
static sw_status row_of(sw_top_sample *s, const char *model, const char *version, sw_top_row **row) {
    for (int i = s->last; i < s->n && i < s->last + 2; i++)
        if (!strcmp(s->rows[i].model, model) && !strcmp(s->rows[i].version, version)) {
            *row = &s->rows[s->last = i];
            return SW_OK;
        }
    *row = (sw_top_row *)sw_top_find(s, model, version);
    if (*row) {
        s->last = (int)(*row - s->rows);
        return SW_OK;
    }
    if (s->n == SW_TOP_ROWS) return SW_E_LIMIT;
    if ((s->n & (s->n - 1)) == 0) { /* the room doubles */
        sw_top_row *rows = SW_ARENA_ARRAY(s->arena, sw_top_row, s->n ? 2 * s->n : 1);
        if (!rows) return SW_E_NOMEM;
        if (s->n) memcpy(rows, s->rows, (size_t)s->n * sizeof *rows);
        s->rows = rows;
    }
    s->last = s->n;
    *row = &s->rows[s->n++];
    **row = (sw_top_row){sw_arena_strdup(s->arena, model), sw_arena_strdup(s->arena, version), "", "", 0};
    return (*row)->model && (*row)->version ? SW_OK : SW_E_NOMEM;
}

static int by_name(const void *a, const void *b) {
    const sw_top_row *x = a, *y = b;
    int order = strcmp(x->model, y->model);
    if (order) return order;
    size_t n = strlen(x->version), m = strlen(y->version); /* numbers without zeros in front */
    return n != m ? (n > m) - (n < m) : strcmp(x->version, y->version);
}

void sw_top_sort(sw_top_sample *sample) {
    if (sample->n) qsort(sample->rows, (size_t)sample->n, sizeof *sample->rows, by_name);
}

/* -- Metrics ------------------------------------------------------------------------------------------------------- */

enum { MOST_TEXT = 1024 };

typedef struct line {
    const char *name;
    size_t n_name;
    char model[MOST_TEXT], version[64], le[64], kind[64];
    double value;
} line;

/* name="text with \" and \\" into the label's place. False when it is none. */
static bool read_label(const char **at, const char *end, line *l) {
    const char *name = *at, *equals = memchr(name, '=', (size_t)(end - name));
    if (!equals || end - equals < 3 || equals[1] != '"') return false;
    static const struct {
        const char *name;
        size_t at, size;
    } places[] = {{"model", offsetof(line, model), MOST_TEXT},
                  {"version", offsetof(line, version), 64},
                  {"le", offsetof(line, le), 64},
                  {"kind", offsetof(line, kind), 64}};
    char *to = NULL;
    size_t room = 0, n = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strlen(places[i].name) == (size_t)(equals - name) && !memcmp(places[i].name, name, (size_t)(equals - name)))
            to = (char *)l + places[i].at, room = places[i].size;
    const char *c = equals + 2;
    for (; c < end && *c != '"'; c++) {
        if (*c == '\\' && ++c == end) return false;
        if (to && n + 1 < room) to[n++] = c[-1] == '\\' && *c == 'n' ? '\n' : *c;
    }
    if (c == end) return false;
    if (to) to[n] = 0;
    *at = c + 1;
    return true;
}

/* name{label="text",...} value; false for what is none, or has no model. */
static bool read_line(const char *text, size_t size, line *l) {
    const char *end = text + size, *at = memchr(text, '{', size);
    *l = (line){.name = text};
    if (!at || *text == '#') return false;
    l->n_name = (size_t)(at++ - text);
    while (at < end && *at != '}') {
        if (!read_label(&at, end, l)) return false;
        if (at < end && *at == ',') at++;
    }
    if (end - at < 3 || at[1] != ' ') return false;
    const char *number = at + 2, *stop = number; /* a time may follow */
    while (stop < end && *stop != ' ' && *stop != '\r') stop++;
    return *l->model && sw_str_to_f64(number, (size_t)(stop - number), &l->value) && l->value >= 0;
}

static bool is_named(const line *l, const char *name) {
    return l->n_name == strlen(name) && !memcmp(l->name, name, l->n_name);
}

static void add_bucket(sw_top_row *row, const line *l) {
    double bound = INFINITY;
    if (strcmp(l->le, "+Inf") && !sw_str_to_f64(l->le, strlen(l->le), &bound)) return;
    if (row->n_bounds == SW_TOP_BOUNDS || (row->n_bounds && bound <= row->bounds[row->n_bounds - 1])) return;
    row->bounds[row->n_bounds] = bound;
    row->counts[row->n_bounds++] = l->value;
}

static sw_status take(sw_top_sample *s, const line *l) {
    static const struct {
        const char *name;
        size_t at;
    } numbers[] = {{"nv_inference_request_success", offsetof(sw_top_row, successes)},
                   {"nv_inference_request_failure", offsetof(sw_top_row, failures)},
                   {"nv_inference_count", offsetof(sw_top_row, inferences)},
                   {"nv_inference_exec_count", offsetof(sw_top_row, executions)},
                   {"nv_inference_pending_request_count", offsetof(sw_top_row, pending)}};
    static const char *const kinds[] = {"default", "tuned", "given"};
    sw_top_row *row;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (is_named(l, numbers[i].name)) {
            SW_TRY(row_of(s, l->model, l->version, &row));
            *(double *)((char *)row + numbers[i].at) += l->value; /* failures come by reason */
            return SW_OK;
        }
    if (is_named(l, "slipway_request_duration_seconds_bucket")) {
        SW_TRY(row_of(s, l->model, l->version, &row));
        add_bucket(row, l);
    }
    if (is_named(l, "slipway_plan") && l->value > 0) {
        SW_TRY(row_of(s, l->model, l->version, &row));
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (!strcmp(kinds[i], l->kind)) row->plan = kinds[i];
    }
    return SW_OK;
}

sw_status sw_top_metrics(sw_top_sample *sample, const char *text, size_t size) {
    for (const char *end = text + size, *next; text < end; text = next) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        line l;
        if (!stop) stop = end;
        next = stop < end ? stop + 1 : end;
        if (read_line(text, (size_t)(stop - text), &l)) SW_TRY(take(sample, &l));
    }
    return SW_OK;
}

/* -- The index ----------------------------------------------------------------------------------------------------- */

/* An object of the index; its opening brace is read. */
static sw_status read_model(sw_top_sample *s, sw_json_reader *r) {
    const char *texts[3] = {"", "", ""};
    static const char *const keys[] = {"name", "version", "state"};
    sw_json_event e;
    for (;;) {
        SW_TRY(sw_json_next(r, &e));
        if (e.type != SW_JSON_KEY) break;
        int which = 0;
        while (which < 3 && strcmp(keys[which], e.text)) which++;
        SW_TRY(sw_json_next(r, &e));
        if (which < 3 && e.type == SW_JSON_STRING) {
            if (!(texts[which] = sw_arena_strdup(s->arena, e.text))) return SW_E_NOMEM;
        } else {
            SW_TRY(sw_json_skip(r, &e));
        }
    }
    sw_top_row *row;
    if (!*texts[0]) return SW_OK;
    SW_TRY(row_of(s, texts[0], texts[1], &row));
    row->state = texts[2];
    return SW_OK;
}

sw_status sw_top_index(sw_top_sample *sample, const void *text, size_t size, const sw_diag *diag) {
    sw_json_reader r;
    sw_json_event e;
    sw_json_reader_init(&r, text, size, NULL, "the server's index", diag);
    sw_status status = sw_json_next(&r, &e);
    if (status == SW_OK && e.type != SW_JSON_ARRAY)
        status = sw_fail(diag, SW_E_INPUT, "the server's index", NULL, "is no list of models");
    while (status == SW_OK && (status = sw_json_next(&r, &e)) == SW_OK && e.type == SW_JSON_OBJECT)
        status = read_model(sample, &r);
    sw_json_reader_free(&r);
    return status;
}

/* -- Rates --------------------------------------------------------------------------------------------------------- */

/* What was counted at one place between two looks; a server that was started again counts from zero. */
static double more(double now, const double *before) {
    return before && now >= *before ? now - *before : now;
}

/* As Prometheus' histogram_quantile: linear within the bucket, the last finite bound beyond it. In ms. */
static double quantile(const sw_top_row *now, const sw_top_row *before, double part) {
    double counts[SW_TOP_BOUNDS], total = 0;
    bool same = before && before->n_bounds == now->n_bounds;
    for (int i = 0; i < now->n_bounds; i++) {
        counts[i] = more(now->counts[i], same ? &before->counts[i] : NULL);
        total = counts[i];
    }
    if (total <= 0) return -1;
    int i = 0;
    while (i + 1 < now->n_bounds && counts[i] < part * total) i++;
    double low = i ? now->bounds[i - 1] : 0, under = i ? counts[i - 1] : 0;
    if (isinf(now->bounds[i]) || counts[i] <= under) return 1000 * low;
    return 1000 * (low + (now->bounds[i] - low) * (part * total - under) / (counts[i] - under));
}

sw_top_rates sw_top_compare(const sw_top_row *now, const sw_top_row *before, double seconds) {
    double inferences = more(now->inferences, before ? &before->inferences : NULL);
    double executions = more(now->executions, before ? &before->executions : NULL);
    return (sw_top_rates){.requests = more(now->successes, before ? &before->successes : NULL) / seconds,
                          .failures = more(now->failures, before ? &before->failures : NULL) / seconds,
                          .inferences = inferences / seconds,
                          .batch = executions > 0 ? inferences / executions : 0,
                          .p50_ms = quantile(now, before, 0.5),
                          .p99_ms = quantile(now, before, 0.99)};
}
