/* Copied traffic: a share of a model's requests is computed again by another model, after the client has its answer, and what
 * both gave is compared. What would wait too long or take too much memory is dropped, and counted. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "serve/internal.h"

enum { MOST_COPIES = 16 };
static const int64_t most_bytes = (int64_t)256 << 20;

/* A request of which a copy is on its way. In its own arena. */
struct sw__copy {
    sw_arena *arena;
    sw_serve *core;
    sw__rules *rules; /* a reference: the shadow is theirs */
    sw__shadow *shadow;
    sw_serve_request request;
    int n_results;
    const sw_serve_tensor *results; /* of the primary */
    int64_t primary_ns, bytes;
    bool submitted;
    struct sw__copy *next, *before; /* of those that are to be sent, then of core->copies */
};

/* -- Comparing ------------------------------------------------------------------------------------------------------- */

typedef struct difference {
    double abs, rel;
    bool comparable, different;
} difference;

static double value_at(const sw_serve_tensor *t, int64_t i) {
    switch (t->dtype) {
    case SW_F32:
        return (double)((const float *)t->data)[i];
    case SW_F64:
        return ((const double *)t->data)[i];
    case SW_F16:
        return (double)sw_f16_to_f32(((const uint16_t *)t->data)[i]);
    case SW_BF16:
        return (double)sw_bf16_to_f32(((const uint16_t *)t->data)[i]);
    case SW_I8:
        return ((const int8_t *)t->data)[i];
    case SW_I16:
        return ((const int16_t *)t->data)[i];
    case SW_I32:
        return ((const int32_t *)t->data)[i];
    case SW_I64:
        return (double)((const int64_t *)t->data)[i];
    case SW_U16:
        return ((const uint16_t *)t->data)[i];
    case SW_U32:
        return ((const uint32_t *)t->data)[i];
    case SW_U64:
        return (double)((const uint64_t *)t->data)[i];
    default: /* uint8, bool */
        return ((const uint8_t *)t->data)[i];
    }
}

static void compare_values(const sw_serve_tensor *a, const sw_serve_tensor *b, double tolerance, difference *d) {
    int64_t n = sw__serve_count(a->rank, a->dims);
    for (int64_t i = 0; i < n; i++) {
        double x = value_at(a, i), y = value_at(b, i), gap = fabs(x - y), most = fmax(fabs(x), fabs(y));
        if (x == y || (isnan(x) && isnan(y))) continue;
        if (!isfinite(gap)) gap = INFINITY;
        d->abs = fmax(d->abs, gap);
        d->rel = fmax(d->rel, isfinite(gap) && most > 0 ? gap / most : INFINITY);
        d->different |= gap > tolerance + tolerance * fabs(x);
    }
}

static const sw_serve_tensor *named(const sw_serve_tensor *tensors, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(tensors[i].name, name)) return &tensors[i];
    return NULL;
}

static bool same_form(const sw_serve_tensor *a, const sw_serve_tensor *b) {
    return a->dtype == b->dtype && a->rank == b->rank &&
           !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims);
}

/* All outputs that have the same name. */
static difference compare(const sw__copy *copy) {
    difference d = {0};
    const sw_serve_request *r = &copy->request;
    for (int i = 0; i < copy->n_results; i++) {
        const sw_serve_tensor *a = &copy->results[i], *b = named(r->results, r->n_results, a->name);
        if (!b || !same_form(a, b)) {
            d.different |= b != NULL;
            continue;
        }
        d.comparable = true;
        if (a->dtype == SW_SERVE_BYTES)
            d.different |= a->bytes != b->bytes || memcmp(a->data, b->data, a->bytes) != 0;
        else
            compare_values(a, b, copy->shadow->tolerance, &d);
    }
    return d;
}

static double overlap(const float *a, const float *b) {
    double width = fmin((double)a[2], (double)b[2]) - fmax((double)a[0], (double)b[0]),
           height = fmin((double)a[3], (double)b[3]) - fmax((double)a[1], (double)b[1]);
    if (!(width > 0) || !(height > 0)) return 0;
    double both = width * height, first = (double)(a[2] - a[0]) * (double)(a[3] - a[1]),
           second = (double)(b[2] - b[0]) * (double)(b[3] - b[1]);
    return both / (first + second - both);
}

/* The boxes and classes of detections; false when these are none. */
static bool detections_of(const sw_serve_tensor *tensors, int n, const float **boxes, const int32_t **classes,
                          int64_t *count) {
    const sw_serve_tensor *b = named(tensors, n, "BOXES"), *c = named(tensors, n, "CLASSES");
    if (!b || !c || b->dtype != SW_F32 || b->rank != 2 || b->dims[1] != 4 || c->dtype != SW_I32 || c->rank != 1 ||
        c->dims[0] != b->dims[0] || b->dims[0] > 1000)
        return false;
    *boxes = b->data, *classes = c->data, *count = b->dims[0];
    return true;
}

/* The share of detections that both have, of the same class and overlapping by half: F1. Negative: there are none. */
static double agreement(const sw__copy *copy) {
    const float *a, *b;
    const int32_t *a_class, *b_class;
    int64_t n, m, matches = 0;
    bool taken[1000] = {false};
    if (!detections_of(copy->results, copy->n_results, &a, &a_class, &n) ||
        !detections_of(copy->request.results, copy->request.n_results, &b, &b_class, &m))
        return -1;
    for (int64_t i = 0; i < n; i++) {
        double most = 0.5;
        int64_t best = -1;
        for (int64_t k = 0; k < m; k++) {
            double share = taken[k] || a_class[i] != b_class[k] ? 0 : overlap(a + 4 * i, b + 4 * k);
            if (share >= most) most = share, best = k;
        }
        if (best < 0) continue;
        taken[best] = true;
        matches++;
    }
    return n + m ? 2.0 * (double)matches / (double)(n + m) : 1;
}

/* -- A copy's way ---------------------------------------------------------------------------------------------------- */

static void end_copy(sw__copy *copy) {
    sw_serve *core = copy->core;
    sw_serve_drop(copy->request.model);
    sw_serve_request_free(&copy->request);
    sw__rules_drop(copy->rules);
    atomic_fetch_sub(&core->copied_bytes, copy->bytes);
    sw_arena_destroy(copy->arena);
    atomic_fetch_sub(&core->n_copies, 1);
}

/* Submits it, unless the server is stopping: then all that were submitted before have been cancelled. */
static bool submit(sw__copy *copy) {
    sw_serve *core = copy->core;
    pthread_mutex_lock(&core->copies_lock);
    if (atomic_load(&core->draining)) {
        pthread_mutex_unlock(&core->copies_lock);
        return false;
    }
    copy->submitted = true;
    copy->before = NULL;
    copy->next = core->copies;
    if (copy->next) copy->next->before = copy;
    core->copies = copy;
    sw__serve_submit(core, &copy->request, true);
    pthread_mutex_unlock(&core->copies_lock);
    return true;
}

static void unlink_copy(sw__copy *copy) {
    sw_serve *core = copy->core;
    if (!copy->submitted) return;
    pthread_mutex_lock(&core->copies_lock);
    if (copy->before)
        copy->before->next = copy->next;
    else
        core->copies = copy->next;
    if (copy->next) copy->next->before = copy->before;
    pthread_mutex_unlock(&core->copies_lock);
}

void sw__shadow_cancel(sw_serve *core) {
    pthread_mutex_lock(&core->copies_lock);
    for (sw__copy *copy = core->copies, *next; copy; copy = next) {
        next = copy->next; /* done() may come at once, and frees it */
        sw_serve_cancel(core, &copy->request);
    }
    pthread_mutex_unlock(&core->copies_lock);
}

static void on_done(sw_serve_request *request) {
    sw__copy *copy = request->user;
    unlink_copy(copy);
    sw__shadow *s = copy->shadow;
    bool good = request->error.code == SW_SERVE_OK;
    difference d = good ? compare(copy) : (difference){0};
    double agreed = good ? agreement(copy) : -1;
    pthread_mutex_lock(s->lock);
    s->primary.count++;
    s->primary.ns += (uint64_t)copy->primary_ns;
    s->copy.count++;
    if (good) s->copy.ns += (uint64_t)(request->times.done - request->times.queued);
    s->copy.failed += !good;
    s->compared += d.comparable;
    s->incomparable += good && !d.comparable;
    s->different += d.different;
    s->max_abs = fmax(s->max_abs, d.abs);
    s->max_rel = fmax(s->max_rel, d.rel);
    if (agreed >= 0) {
        s->agreement += agreed;
        s->agreements++;
    }
    pthread_mutex_unlock(s->lock);
    end_copy(copy);
}

static bool copy_tensors(sw_arena *arena, const sw_serve_tensor *from, int n, const sw_serve_tensor **to) {
    sw_serve_tensor *copies = sw_arena_copy(arena, from, (size_t)n * sizeof *copies);
    for (int i = 0; i < n && copies; i++) {
        copies[i].name = sw_arena_strdup(arena, from[i].name);
        copies[i].data = from[i].bytes ? sw_arena_copy(arena, from[i].data, from[i].bytes) : "";
        if (!copies[i].name || !copies[i].data) return false;
    }
    *to = copies;
    return copies || !n;
}

static int64_t bytes_of(const sw_serve_request *r) {
    size_t bytes = 0;
    for (int i = 0; i < r->n_inputs; i++) bytes += r->inputs[i].bytes;
    for (int i = 0; i < r->n_results; i++) bytes += r->results[i].bytes;
    return (int64_t)bytes;
}

/* Fills a copy; false when out of memory. */
static bool fill(sw__copy *copy, const sw_serve_request *from) {
    sw_serve_request *r = &copy->request;
    const sw_serve_tensor *inputs;
    if (!copy_tensors(copy->arena, from->inputs, from->n_inputs, &inputs) ||
        !copy_tensors(copy->arena, from->results, from->n_results, &copy->results))
        return false;
    copy->n_results = from->n_results;
    copy->primary_ns = from->times.done - from->times.queued;
    *r = (sw_serve_request){.id = sw_arena_strdup(copy->arena, from->id),
                            .n_inputs = from->n_inputs,
                            .inputs = inputs,
                            .at_once = true,
                            .off_thread = true,
                            .done = on_done,
                            .user = copy};
    sw__held *held = sw__serve_hold(r, 0);
    if (held) held->copy = true;
    return held != NULL;
}

static sw__copy *make_copy(sw_serve *core, sw__rules *rules, sw__shadow *shadow, const sw_serve_request *from) {
    int64_t bytes = bytes_of(from);
    bool room = atomic_fetch_add(&core->n_copies, 1) < MOST_COPIES;
    room &= atomic_fetch_add(&core->copied_bytes, bytes) + bytes <= most_bytes;
    sw_arena *arena = room ? sw_arena_create(NULL, 0) : NULL;
    sw__copy *copy = arena ? SW_ARENA_NEW(arena, sw__copy) : NULL;
    if (copy) {
        *copy = (sw__copy){.arena = arena, .core = core, .rules = rules, .shadow = shadow, .bytes = bytes};
        atomic_fetch_add(&rules->refs, 1);
        if (fill(copy, from)) return copy;
        end_copy(copy);
    } else {
        sw_arena_destroy(arena);
        atomic_fetch_sub(&core->copied_bytes, bytes);
        atomic_fetch_sub(&core->n_copies, 1);
    }
    pthread_mutex_lock(shadow->lock);
    shadow->dropped++;
    pthread_mutex_unlock(shadow->lock);
    return NULL;
}

/* Whether it is this request's turn: shares are kept over short stretches, too. */
static bool takes(sw__shadow *s, const sw_serve_info *info) {
    if (strcmp(s->model, info->name) != 0 || (s->version >= 0 && s->version != info->version)) return false;
    pthread_mutex_lock(s->lock);
    s->debt += s->share;
    bool turn = s->debt >= 1 - 1e-9;
    if (turn) s->debt -= 1;
    pthread_mutex_unlock(s->lock);
    return turn;
}

sw__copy *sw__shadow_take(sw_serve *core, const sw_serve_request *request) {
    const sw__held *held = request->held;
    if (request->error.code != SW_SERVE_OK || held->depth || held->copy || held->partial ||
        atomic_load(&core->draining))
        return NULL;
    sw__rules *rules = sw__route_rules(core);
    sw__copy *copies = NULL;
    for (int i = 0; rules && i < rules->n_shadows; i++) {
        if (!takes(&rules->shadows[i], &request->model->info)) continue;
        sw__copy *copy = make_copy(core, rules, &rules->shadows[i], request);
        if (!copy) continue;
        copy->next = copies;
        copies = copy;
    }
    sw__rules_drop(rules);
    return copies;
}

void sw__shadow_send(sw__copy *copies) {
    for (sw__copy *copy = copies, *next; copy; copy = next) {
        next = copy->next;
        sw_serve_request *r = &copy->request;
        if (sw_serve_find(copy->core, copy->shadow->to_model, copy->shadow->to_version, NULL, &r->model, &r->error) !=
            SW_SERVE_OK) {
            on_done(r);
            continue;
        }
        r->priority = (uint64_t)r->model->config.batching.levels; /* the last */
        if (submit(copy)) continue;
        (void)sw_serve_fail(&r->error, SW_SERVE_CANCELLED, "the server is stopping");
        on_done(r);
    }
}

/* -- Telling --------------------------------------------------------------------------------------------------------- */

static const struct number {
    const char *name, *kind, *help;
    size_t offset;
    bool real; /* a double, else a uint64_t */
} numbers[] = {
    {"slipway_shadow_failures_total", "counter", "Copied requests that failed", offsetof(sw__shadow, copy.failed), false},
    {"slipway_shadow_dropped_total", "counter", "Requests that were not copied for want of room",
     offsetof(sw__shadow, dropped), false},
    {"slipway_shadow_compared_total", "counter", "Pairs of answers that were compared", offsetof(sw__shadow, compared),
     false},
    {"slipway_shadow_incomparable_total", "counter", "Pairs of answers without outputs of the same name and shape",
     offsetof(sw__shadow, incomparable), false},
    {"slipway_shadow_different_total", "counter", "Pairs of answers that differ by more than the tolerance",
     offsetof(sw__shadow, different), false},
    {"slipway_shadow_max_abs_difference", "gauge", "Largest absolute difference since the routes were set",
     offsetof(sw__shadow, max_abs), true},
    {"slipway_shadow_max_rel_difference", "gauge", "Largest relative difference since the routes were set",
     offsetof(sw__shadow, max_rel), true},
    {"slipway_shadow_agreement_sum", "counter", "Sum over pairs of detections of the share that both have (F1)",
     offsetof(sw__shadow, agreement), true},
    {"slipway_shadow_agreement_count", "counter", "Pairs of detections", offsetof(sw__shadow, agreements), false},
};

static void write_number(const struct number *number, const char *snapshot, sw_buf *buf) {
    double real;
    uint64_t count;
    if (number->real) {
        memcpy(&real, snapshot + number->offset, sizeof real);
        if (isinf(real))
            sw_buf_append_text(buf, "+Inf\n");
        else
            sw_buf_printf(buf, "%.9g\n", real);
    } else {
        memcpy(&count, snapshot + number->offset, sizeof count);
        sw_buf_printf(buf, "%llu\n", (unsigned long long)count);
    }
}

static void write_arms(const char *name, const char *help, bool time, const sw__rules *rules, sw_buf *buf) {
    sw__metrics_head(buf, name, "counter", help);
    for (int i = 0; i < rules->n_shadows; i++) {
        sw__shadow *s = &rules->shadows[i];
        pthread_mutex_lock(s->lock);
        const sw__arm arms[] = {s->primary, s->copy};
        pthread_mutex_unlock(s->lock);
        for (int k = 0; k < 2; k++) {
            sw_buf_printf(buf, "%s{shadow=\"", name);
            sw__metrics_label(buf, s->name);
            sw_buf_printf(buf, "\",arm=\"%s\"} ", k ? "shadow" : "primary");
            if (time)
                sw_buf_printf(buf, "%.9g\n", (double)arms[k].ns * 1e-9);
            else
                sw_buf_printf(buf, "%llu\n", (unsigned long long)arms[k].count);
        }
    }
}

static void write_rules(const sw__rules *rules, sw_buf *buf) {
    const char *name = "slipway_route_requests_total";
    sw__metrics_head(buf, name, "counter", "Requests that a rule of routing took, by target");
    for (int i = 0; i < rules->n_rules; i++)
        for (int k = 0; k < rules->rules[i].n_targets; k++) {
            const sw__rule *rule = &rules->rules[i];
            sw_buf_printf(buf, "%s{rule=\"", name);
            sw__metrics_label(buf, rule->name);
            sw_buf_append_text(buf, "\",model=\"");
            sw__metrics_label(buf, rule->targets[k].model);
            sw_buf_append_text(buf, "\",version=\"");
            if (rule->targets[k].version >= 0) sw_buf_printf(buf, "%lld", (long long)rule->targets[k].version);
            sw_buf_printf(buf, "\"} %llu\n", (unsigned long long)atomic_load(&rule->taken[k]));
        }
}

void sw__shadow_metrics(sw_serve *core, sw_buf *buf) {
    sw__rules *rules = sw__route_rules(core);
    if (rules && rules->n_rules) write_rules(rules, buf);
    if (rules && rules->n_shadows) {
        write_arms("slipway_shadow_requests_total", "Requests that were copied, and their copies", false, rules, buf);
        write_arms("slipway_shadow_duration_seconds_total", "Time from arrival to answer of both", true, rules, buf);
    }
    for (size_t n = 0; rules && rules->n_shadows && n < sizeof numbers / sizeof *numbers; n++) {
        sw__metrics_head(buf, numbers[n].name, numbers[n].kind, numbers[n].help);
        for (int i = 0; i < rules->n_shadows; i++) {
            sw__shadow *s = &rules->shadows[i];
            pthread_mutex_lock(s->lock);
            sw__shadow snapshot = *s;
            pthread_mutex_unlock(s->lock);
            sw_buf_printf(buf, "%s{shadow=\"", numbers[n].name);
            sw__metrics_label(buf, s->name);
            sw_buf_append_text(buf, "\"} ");
            write_number(&numbers[n], (const char *)&snapshot, buf);
        }
    }
    sw__rules_drop(rules);
}
