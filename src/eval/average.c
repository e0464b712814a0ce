/* Averages over matched guesses: precision, recall, their uncertainty, confusion. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/sort.h"
#include "eval/eval.h"
#include "eval/state.h"

/* Smallest step above 1, which pycocotools adds so that it never divides by 0. */
static const double spacing = 2.220446049250313e-16;

/* What is averaged over. */
typedef struct cut {
    int range, threshold;
    uint32_t limit;          /* guesses of a class and picture */
    const uint32_t *weights; /* by picture; NULL: all 1 */
} cut;

/* Precision at each recall level, made falling, of one class with `truths` true objects. Returns the average
 * precision; *recall is the best. `points`: room for the class's records, recall and precision in turn. */
static double average(const sw__record *records, size_t n, const cut *c, double truths, double *points, float *curve,
                      double *recall) {
    double right = 0, wrong = 0, sum = 0;
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        const sw__fate *fate = &records[i].fates[c->range];
        if (records[i].rank >= c->limit || fate->ignored >> c->threshold & 1) continue;
        double weight = c->weights ? c->weights[records[i].image] : 1;
        if (fate->hit >> c->threshold & 1)
            right += weight;
        else
            wrong += weight;
        points[2 * m] = right / truths;
        points[2 * m++ + 1] = right / (right + wrong + spacing);
    }
    for (size_t i = m; i-- > 1;)
        if (points[2 * i + 1] > points[2 * i - 1]) points[2 * i - 1] = points[2 * i + 1];
    *recall = m ? right / truths : 0;
    size_t at = 0;
    for (int r = 0; r < SW_EVAL_RECALLS; r++) {
        while (at < m && points[2 * at] < r * 0.01) at++;
        double precision = at < m ? points[2 * at + 1] : 0;
        sum += precision;
        if (curve) curve[r] = (float)precision;
    }
    return sum / SW_EVAL_RECALLS;
}

static void judge_class(const sw_eval *eval, int class_id, double *points) {
    const sw__category *category = &eval->categories[class_id];
    const sw__record *records = (const sw__record *)eval->records + category->first;
    sw_eval_class *out = &eval->classes[class_id];
    memset(out, 0, sizeof *out);
    out->images = (int64_t)category->n_counts;
    out->truths = category->truths[0];
    const uint32_t limits[SW_EVAL_LIMITS] = {1, 10, (uint32_t)eval->options.max_det};
    for (int range = 0; range < SW_EVAL_AREAS; range++) {
        double truths = (double)category->truths[range];
        for (int t = 0; t < SW_EVAL_IOUS; t++) {
            for (int l = 0; l < SW_EVAL_LIMITS; l++) {
                double *recall = &out->recall[l][range][t];
                out->ap[range][t] = *recall = -1;
                if (truths == 0) continue;
                cut c = {.range = range, .threshold = t, .limit = limits[l]};
                bool last = l + 1 == SW_EVAL_LIMITS;
                out->ap[range][t] =
                    average(records, category->n, &c, truths, points, last && !range && !t ? out->curve : NULL, recall);
            }
        }
    }
}

/* ---- The best score to cut at
 * --------------------------------------------------------------------------------------- */

enum { CUTS = 1000 };

/* Right guesses and all guesses of a class at IoU 0.5 whose score is at least k / CUTS. */
static void count_scores(const sw_eval *eval, int class_id, double right[CUTS + 1], double all[CUTS + 1]) {
    const sw__category *category = &eval->categories[class_id];
    const sw__record *records = (const sw__record *)eval->records + category->first;
    memset(right, 0, (CUTS + 1) * sizeof *right);
    memset(all, 0, (CUTS + 1) * sizeof *all);
    for (size_t i = 0; i < category->n; i++) {
        if (records[i].fates[0].ignored & 1) continue;
        double score = records[i].score;
        int k = score > 0 ? (score < 1 ? (int)(score * CUTS) : CUTS) : 0;
        all[k]++;
        right[k] += records[i].fates[0].hit & 1;
    }
    for (int k = CUTS; k-- > 0;) {
        all[k] += all[k + 1];
        right[k] += right[k + 1];
    }
}

/* The score at which the mean F1 of the classes is best, and precision and recall there. */
static sw_status choose_score(sw_eval *eval, sw_eval_result *result) {
    double *room = sw_calloc(eval->options.allocator, 3 * (CUTS + 1), sizeof *room);
    if (!room) return SW_E_NOMEM;
    double *right = room, *all = room + CUTS + 1, *f1 = room + 2 * (CUTS + 1);
    int n = 0, best = 0;
    for (int c = 0; c < eval->options.n_classes; c++) {
        if (!eval->classes[c].truths) continue;
        n++;
        count_scores(eval, c, right, all);
        for (int k = 0; k <= CUTS; k++) f1[k] += 2 * right[k] / (all[k] + (double)eval->classes[c].truths);
    }
    for (int k = 1; k <= CUTS; k++)
        if (f1[k] >= f1[best]) best = k; /* of equals the surest */
    result->conf = (double)best / CUTS;
    result->precision50 = result->recall50 = n ? 0 : -1;
    for (int c = 0; c < eval->options.n_classes; c++) {
        sw_eval_class *class = &eval->classes[c];
        class->precision50 = class->recall50 = -1;
        if (!class->truths) continue;
        count_scores(eval, c, right, all);
        class->precision50 = all[best] > 0 ? right[best] / all[best] : 0;
        class->recall50 = right[best] / (double)class->truths;
        result->precision50 += class->precision50 / n;
        result->recall50 += class->recall50 / n;
    }
    sw_free(eval->options.allocator, room);
    return SW_OK;
}

/* ---- Means over classes
 * --------------------------------------------------------------------------------------------- */

/* A running mean of what is not -1. */
typedef struct mean {
    double sum;
    int n;
} mean;

static void mean_add(mean *m, double value) {
    if (value < 0) return;
    m->sum += value;
    m->n++;
}
static double mean_of(const mean *m) {
    return m->n ? m->sum / m->n : -1;
}

static void average_classes(const sw_eval *eval, sw_eval_result *result) {
    mean map50 = {0}, map75 = {0}, by_area[SW_EVAL_AREAS] = {0}, recall_area[SW_EVAL_AREAS] = {0},
         recall_limit[SW_EVAL_LIMITS] = {0};
    for (int k = 0; k < eval->options.n_classes; k++) {
        const sw_eval_class *c = &eval->classes[k];
        mean_add(&map50, c->ap[0][0]);
        mean_add(&map75, c->ap[0][SW_EVAL_IOUS / 2]);
        for (int t = 0; t < SW_EVAL_IOUS; t++) {
            for (int a = 0; a < SW_EVAL_AREAS; a++) {
                mean_add(&by_area[a], c->ap[a][t]);
                mean_add(&recall_area[a], c->recall[SW_EVAL_LIMITS - 1][a][t]);
            }
            for (int l = 0; l < SW_EVAL_LIMITS; l++) mean_add(&recall_limit[l], c->recall[l][0][t]);
        }
        result->truths += c->truths;
    }
    result->map50 = mean_of(&map50);
    result->map75 = mean_of(&map75);
    for (int a = 0; a < SW_EVAL_AREAS; a++) {
        result->map_area[a] = mean_of(&by_area[a]);
        result->recall_area[a] = mean_of(&recall_area[a]);
    }
    for (int l = 0; l < SW_EVAL_LIMITS; l++) result->recall_limit[l] = mean_of(&recall_limit[l]);
    result->map = result->map_area[0];
}

static size_t most_records(const sw_eval *eval) {
    size_t most = 0;
    for (int c = 0; c < eval->options.n_classes; c++)
        if (eval->categories[c].n > most) most = eval->categories[c].n;
    return most;
}

static sw_status count_images(const sw_eval *eval, int64_t *images) {
    bool *seen = sw_calloc(eval->options.allocator, eval->n_images + 1, sizeof *seen);
    if (!seen) return SW_E_NOMEM;
    const sw__count *counts = eval->counts;
    *images = 0;
    for (size_t i = 0; i < eval->n_counts; i++) {
        *images += !seen[counts[i].image];
        seen[counts[i].image] = true;
    }
    sw_free(eval->options.allocator, seen);
    return SW_OK;
}

sw_status sw_eval_run(sw_eval *eval, sw_eval_result *result) {
    *result = (sw_eval_result){.n_classes = eval->options.n_classes, .classes = eval->classes};
    SW_TRY(sw__eval_match(eval));
    double *points = sw_calloc(eval->options.allocator, 2 * most_records(eval) + 1, sizeof *points);
    if (!points) return SW_E_NOMEM;
    for (int c = 0; c < eval->options.n_classes; c++) judge_class(eval, c, points);
    sw_free(eval->options.allocator, points);
    average_classes(eval, result);
    SW_TRY(count_images(eval, &result->images));
    return choose_score(eval, result);
}

/* ---- Bootstrap
 * ------------------------------------------------------------------------------------------------------ */

/* mAP when each picture counts `weights` times. */
static double weighted_map(const sw_eval *eval, const uint32_t *weights, double *points) {
    mean m = {0};
    for (int k = 0; k < eval->options.n_classes; k++) {
        const sw__category *category = &eval->categories[k];
        const sw__count *counts = (const sw__count *)eval->counts + category->first_count;
        double truths = 0, recall;
        for (size_t i = 0; i < category->n_counts; i++) truths += (double)counts[i].truths * weights[counts[i].image];
        if (truths == 0) continue;
        for (int t = 0; t < SW_EVAL_IOUS; t++) {
            cut c = {.threshold = t, .limit = (uint32_t)eval->options.max_det, .weights = weights};
            mean_add(&m, average((const sw__record *)eval->records + category->first, category->n, &c, truths, points,
                                 NULL, &recall));
        }
    }
    return mean_of(&m);
}

/* SplitMix64 (S. Vigna). */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Where each picture of `eval` stands in the union of both lists. */
static size_t merge_images(const sw_eval *a, const sw_eval *b, uint32_t *at_a, uint32_t *at_b) {
    const int64_t *x = a->images, *y = b->images;
    size_t i = 0, k = 0, n = 0;
    for (; i < a->n_images || k < b->n_images; n++) {
        bool left = k >= b->n_images || (i < a->n_images && x[i] <= y[k]);
        bool right = i >= a->n_images || (k < b->n_images && y[k] <= x[i]);
        if (left) at_a[i++] = (uint32_t)n;
        if (right) at_b[k++] = (uint32_t)n;
    }
    return n;
}

sw_status sw_eval_bootstrap(const sw_eval *a, const sw_eval *b, int samples, uint64_t seed, double interval[2]) {
    const sw_allocator *allocator = a->options.allocator;
    size_t room = a->n_images + b->n_images + 1, most_a = most_records(a), most_b = most_records(b);
    uint32_t *numbers = sw_calloc(allocator, 4 * room, sizeof *numbers);
    double *points = sw_calloc(allocator, 2 * (most_a > most_b ? most_a : most_b) + 1, sizeof *points);
    double *differences = sw_calloc(allocator, (size_t)samples + 1, sizeof *differences);
    sw_status status = numbers && points && differences ? SW_OK : SW_E_NOMEM;
    if (status == SW_OK) {
        uint32_t *at_a = numbers, *at_b = at_a + a->n_images, *drawn = at_b + b->n_images + 1, *weights = drawn + room;
        size_t n = merge_images(a, b, at_a, at_b);
        for (int s = 0; s < samples; s++) {
            memset(drawn, 0, n * sizeof *drawn);
            for (size_t i = 0; i < n; i++) drawn[next_random(&seed) % n]++;
            for (size_t i = 0; i < b->n_images; i++) weights[i] = drawn[at_b[i]];
            differences[s] = weighted_map(b, weights, points);
            for (size_t i = 0; i < a->n_images; i++) weights[i] = drawn[at_a[i]];
            differences[s] -= weighted_map(a, weights, points);
        }
        qsort(differences, (size_t)samples, sizeof *differences, sw_by_f64);
        interval[0] = samples ? differences[(size_t)(0.025 * (samples - 1) + 0.5)] : 0;
        interval[1] = samples ? differences[(size_t)(0.975 * (samples - 1) + 0.5)] : 0;
    }
    sw_free(allocator, numbers);
    sw_free(allocator, points);
    sw_free(allocator, differences);
    return status;
}

/* ---- Confusion
 * ------------------------------------------------------------------------------------------------------ */

typedef struct pair {
    double likeness;
    size_t guess, truth;
} pair;

/* By falling likeness; ties by order. */
static int compare_pairs(const void *a, const void *b) {
    const pair *x = a, *y = b;
    if (x->likeness != y->likeness) return x->likeness > y->likeness ? -1 : 1;
    if (x->guess != y->guess) return x->guess < y->guess ? -1 : 1;
    return (x->truth > y->truth) - (x->truth < y->truth);
}

static int compare_by_image(const void *a, const void *b) {
    const sw_eval_object *x = *(sw_eval_object *const *)a, *y = *(sw_eval_object *const *)b;
    if (x->image != y->image) return x->image < y->image ? -1 : 1;
    return (x > y) - (x < y);
}

/* What takes part, by picture. */
static size_t select_objects(const sw__objects *list, bool truths, double conf, const sw_eval_object **order) {
    size_t n = 0;
    const sw_eval_object *items = list->items;
    for (size_t i = 0; i < list->n; i++)
        if (truths ? !items[i].crowd : items[i].score >= conf) order[n++] = &items[i];
    if (n) qsort(order, n, sizeof *order, compare_by_image);
    return n;
}

/* Room for the pictures of a confusion. */
typedef struct confusion {
    const sw_eval *eval;
    double iou;
    int64_t *counts;
    void *pairs;
    size_t cap_pairs;
    bool *guess_taken, *truth_taken; /* by place in the lists */
} confusion;

static sw_status confuse_picture(confusion *c, const sw_eval_object **guesses, size_t n_guesses,
                                 const sw_eval_object **truths, size_t n_truths, bool *guess_taken, bool *truth_taken) {
    size_t side = (size_t)c->eval->options.n_classes + 1, n = 0;
    for (size_t i = 0; i < n_guesses; i++) {
        for (size_t k = 0; k < n_truths; k++) {
            double likeness = sw__likeness(c->eval, guesses[i], truths[k]);
            if (!(likeness > c->iou)) continue;
            SW_TRY(sw_grow(c->eval->options.allocator, &c->pairs, &c->cap_pairs, n + 1, sizeof(pair),
                           SIZE_MAX / sizeof(pair)));
            ((pair *)c->pairs)[n++] = (pair){likeness, i, k};
        }
    }
    if (n) qsort(c->pairs, n, sizeof(pair), compare_pairs);
    for (size_t i = 0; i < n; i++) {
        const pair *p = (const pair *)c->pairs + i;
        if (guess_taken[p->guess] || truth_taken[p->truth]) continue;
        guess_taken[p->guess] = truth_taken[p->truth] = true;
        c->counts[(size_t)guesses[p->guess]->class_id * side + (size_t)truths[p->truth]->class_id]++;
    }
    for (size_t i = 0; i < n_guesses; i++)
        if (!guess_taken[i]) c->counts[(size_t)guesses[i]->class_id * side + side - 1]++;
    for (size_t k = 0; k < n_truths; k++)
        if (!truth_taken[k]) c->counts[(side - 1) * side + (size_t)truths[k]->class_id]++;
    return SW_OK;
}

static size_t same_picture(const sw_eval_object **list, size_t at, size_t n, int64_t image) {
    size_t end = at;
    while (end < n && list[end]->image == image) end++;
    return end - at;
}

sw_status sw_eval_confusion(const sw_eval *eval, double conf, double iou, int64_t *counts) {
    const sw_allocator *a = eval->options.allocator;
    size_t side = (size_t)eval->options.n_classes + 1;
    memset(counts, 0, side * side * sizeof *counts);
    const sw_eval_object **guesses = sw_calloc(a, eval->guesses.n + 1, sizeof *guesses),
                         **truths = sw_calloc(a, eval->truths.n + 1, sizeof *truths);
    confusion c = {.eval = eval, .iou = iou, .counts = counts};
    c.guess_taken = sw_calloc(a, eval->guesses.n + 1, sizeof(bool));
    c.truth_taken = sw_calloc(a, eval->truths.n + 1, sizeof(bool));
    sw_status status = guesses && truths && c.guess_taken && c.truth_taken ? SW_OK : SW_E_NOMEM;
    size_t n_guesses = 0, n_truths = 0;
    if (status == SW_OK) {
        n_guesses = select_objects(&eval->guesses, false, conf, guesses);
        n_truths = select_objects(&eval->truths, true, 0, truths);
    }
    for (size_t i = 0, k = 0; status == SW_OK && (i < n_guesses || k < n_truths);) {
        bool guess_first = k >= n_truths || (i < n_guesses && guesses[i]->image < truths[k]->image);
        int64_t image = guess_first ? guesses[i]->image : truths[k]->image;
        size_t n = same_picture(guesses, i, n_guesses, image), m = same_picture(truths, k, n_truths, image);
        status = confuse_picture(&c, guesses + i, n, truths + k, m, c.guess_taken + i, c.truth_taken + k);
        i += n;
        k += m;
    }
    sw_free(a, guesses);
    sw_free(a, truths);
    sw_free(a, c.pairs);
    sw_free(a, c.guess_taken);
    sw_free(a, c.truth_taken);
    return status;
}
