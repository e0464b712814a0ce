#include "serve/detectors.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"

enum { MAX_KEPT = 64 }; /* no fewer than pictures that are under way at once */
static const int64_t keep_ns = 30000000000;

struct sw__detectors {
    pthread_mutex_t lock;
    sw__kept *list;
    int n;
};

static void note(void *ctx, const sw_message *m) {
    sw__kept *k = ctx;
    if (m->severity == SW_ERROR)
        snprintf(k->text, sizeof k->text, "%s%s%s", m->text, m->hint ? "; " : "", m->hint ? m->hint : "");
}

sw__detectors *sw__detectors_create(void) {
    sw__detectors *d = sw_calloc(NULL, 1, sizeof *d);
    if (d) pthread_mutex_init(&d->lock, NULL);
    return d;
}

static void end_detector(sw__kept *k) {
    sw_detector_destroy(k->detector);
    sw_free(NULL, k);
}

static void end_all(sw__kept *list) {
    for (sw__kept *next; list; list = next) {
        next = list->next;
        end_detector(list);
    }
}

void sw__detectors_destroy(sw__detectors *d) {
    if (!d) return;
    end_all(d->list);
    pthread_mutex_destroy(&d->lock);
    sw_free(NULL, d);
}

void sw__detectors_sweep(sw__detectors *d, int64_t now_ns) {
    sw__kept *old = NULL;
    pthread_mutex_lock(&d->lock);
    for (sw__kept **at = &d->list; *at;) {
        sw__kept *k = *at;
        if (now_ns - k->used_ns < keep_ns) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        k->next = old;
        old = k;
        d->n--;
    }
    pthread_mutex_unlock(&d->lock);
    end_all(old);
}

static bool same_wish(const sw__wish *a, const sw__wish *b) {
    return a->plan == b->plan && a->conf == b->conf && a->iou == b->iou && a->max_det == b->max_det &&
           a->imgsz == b->imgsz;
}

static sw__kept *find_kept(sw__detectors *d, const sw__wish *w) {
    sw__kept *found = NULL;
    pthread_mutex_lock(&d->lock);
    for (sw__kept **at = &d->list; *at && !found; at = &(*at)->next)
        if (same_wish(&(*at)->wish, w)) {
            found = *at;
            *at = found->next;
            d->n--;
            break;
        }
    pthread_mutex_unlock(&d->lock);
    return found;
}

void sw__detectors_give(sw__detectors *d, sw__kept *k) {
    if (!k) return;
    k->used_ns = sw_clock_ns();
    pthread_mutex_lock(&d->lock);
    bool room = d->n < MAX_KEPT;
    if (room) {
        k->next = d->list;
        d->list = k;
        d->n++;
    }
    pthread_mutex_unlock(&d->lock);
    if (!room) end_detector(k);
}

static sw_serve_code code_of(sw_status status) {
    switch (status) {
    case SW_OK:
        return SW_SERVE_OK;
    case SW_E_NOMEM:
        return SW_SERVE_UNAVAILABLE;
    case SW_E_INTERNAL:
    case SW_E_MODEL:
        return SW_SERVE_INTERNAL;
    default:
        return SW_SERVE_INVALID_ARG;
    }
}

sw_serve_code sw__detectors_fail(const sw__kept *k, sw_status status, const char *label, sw_serve_error *error) {
    return sw_serve_fail(error, code_of(status), "%s%s%s", label ? label : "", label ? ": " : "",
                         *k->text ? k->text : sw_status_text(status));
}

sw__kept *sw__detectors_take(sw__detectors *d, const sw__wish *w, sw_serve_error *error) {
    sw__kept *k = find_kept(d, w);
    if (!k) k = sw_calloc(NULL, 1, sizeof *k);
    if (!k) {
        (void)sw_serve_fail(error, SW_SERVE_UNAVAILABLE, "out of memory");
        return NULL;
    }
    k->text[0] = 0;
    if (k->detector) return k;
    sw_detector_options o;
    sw_detector_defaults(&o);
    if (w->conf >= 0) o.conf = w->conf;
    if (w->iou >= 0) o.iou = w->iou;
    if (w->max_det) o.max_det = w->max_det;
    if (w->imgsz) o.imgsz[0] = o.imgsz[1] = w->imgsz;
    o.threads = 1; /* other pictures have the other CPUs */
    o.halves = true;
    k->wish = *w;
    k->diag = (sw_diag){note, k};
    sw_status status = sw_detector_create(w->plan, &o, &k->diag, &k->detector);
    if (status == SW_OK) return k;
    (void)sw__detectors_fail(k, status, NULL, error);
    sw_free(NULL, k);
    return NULL;
}

/* A server may show a port without a leading 1 that the model has, or with one: by `reshape` in its configuration. */
static sw_tensor as_declared(const sw_serve_tensor *t, const sw_tensor *declared) {
    sw_tensor to = {.dtype = (sw_dtype)t->dtype, .rank = t->rank, .data = (void *)(uintptr_t)t->data};
    int more = declared->rank - t->rank;
    memcpy(to.dims, t->dims, sizeof to.dims);
    if (more != 1 || t->rank >= SW_MAX_RANK) return to;
    memcpy(to.dims + 1, t->dims, (size_t)t->rank * sizeof *to.dims);
    to.dims[0] = 1;
    to.rank++;
    return to;
}

sw_serve_code sw__detectors_finish(sw__kept *k, const sw_fitting *fitting, const sw_serve_tensor *outputs, int n,
                                   sw_detections *found, sw_serve_error *error) {
    sw_tensor tensors[SW__DETECTOR_OUTPUTS];
    if (n != sw_plan_outputs(k->wish.plan) || n > SW__DETECTOR_OUTPUTS)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "%d outputs of the network are there, expected %d", n,
                             sw_plan_outputs(k->wish.plan));
    for (int i = 0; i < n; i++) {
        const sw_tensor *declared = &sw_plan_output(k->wish.plan, i)->type;
        tensors[i] = as_declared(&outputs[i], declared);
        if (outputs[i].dtype != (int)declared->dtype)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "output %d of the network is %s, expected %s", i,
                                 sw_serve_dtype_name(outputs[i].dtype), sw_serve_dtype_name((int)declared->dtype));
    }
    k->text[0] = 0;
    sw_status status = sw_detector_finish(k->detector, fitting, tensors, found);
    return status == SW_OK ? SW_SERVE_OK : sw__detectors_fail(k, status, NULL, error);
}
