#include "serve/server/detect.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "media/draw.h"
#include "media/image.h"
#include "serve/server/jobs.h"
#include "serve/server/multipart.h"
#include "vision/result.h"

enum { MAX_KEPT = 16, MAX_PICTURES = 64 };
static const int64_t keep_ns = 30000000000;

/* What a detector was made for. */
typedef struct wish {
    sw_plan *plan;
    double conf, iou;
    int max_det, imgsz;
} wish;

/* A detector with the words of its complaint. */
typedef struct kept {
    wish wish;
    sw_detector *detector;
    int64_t used_ns;
    sw_diag diag;
    char text[400];
    struct kept *next;
} kept;

struct sw__detectors {
    pthread_mutex_t lock;
    kept *list;
    int n;
};

typedef struct work {
    wish wish;
    bool annotate;
    sw_image_format format;
} work;

/* -- Detectors ----------------------------------------------------------------------------------------------------- */

static void note(void *ctx, const sw_message *m) {
    kept *k = ctx;
    if (m->severity == SW_ERROR)
        snprintf(k->text, sizeof k->text, "%s%s%s", m->text, m->hint ? "; " : "", m->hint ? m->hint : "");
}

sw__detectors *sw__detectors_create(void) {
    sw__detectors *d = sw_calloc(NULL, 1, sizeof *d);
    if (d) pthread_mutex_init(&d->lock, NULL);
    return d;
}

static void end_detector(kept *k) {
    if (!k) return;
    sw_detector_destroy(k->detector);
    sw_free(NULL, k);
}

void sw__detectors_destroy(sw__detectors *d) {
    if (!d) return;
    for (kept *k = d->list, *next; k; k = next) {
        next = k->next;
        end_detector(k);
    }
    pthread_mutex_destroy(&d->lock);
    sw_free(NULL, d);
}

void sw__detectors_sweep(sw__detectors *d, int64_t now_ns) {
    kept *old = NULL;
    pthread_mutex_lock(&d->lock);
    for (kept **at = &d->list; *at;) {
        kept *k = *at;
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
    for (kept *next; old; old = next) {
        next = old->next;
        end_detector(old);
    }
}

static bool same_wish(const wish *a, const wish *b) {
    return a->plan == b->plan && a->conf == b->conf && a->iou == b->iou && a->max_det == b->max_det &&
           a->imgsz == b->imgsz;
}

static kept *find_kept(sw__detectors *d, const wish *w) {
    kept *found = NULL;
    pthread_mutex_lock(&d->lock);
    for (kept **at = &d->list; *at && !found; at = &(*at)->next)
        if (same_wish(&(*at)->wish, w)) {
            found = *at;
            *at = found->next;
            d->n--;
            break;
        }
    pthread_mutex_unlock(&d->lock);
    return found;
}

static void keep(sw__detectors *d, kept *k) {
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

static kept *get_detector(sw__detectors *d, const wish *w, sw_serve_error *error) {
    kept *k = find_kept(d, w);
    if (k) return k;
    k = sw_calloc(NULL, 1, sizeof *k);
    if (!k) {
        sw_serve_fail(error, SW_SERVE_UNAVAILABLE, "out of memory");
        return NULL;
    }
    sw_detector_options o;
    sw_detector_defaults(&o);
    if (w->conf >= 0) o.conf = w->conf;
    if (w->iou >= 0) o.iou = w->iou;
    if (w->max_det) o.max_det = w->max_det;
    if (w->imgsz) o.imgsz[0] = o.imgsz[1] = w->imgsz;
    k->wish = *w;
    k->diag = (sw_diag){note, k};
    sw_status status = sw_detector_create(w->plan, &o, &k->diag, &k->detector);
    if (status == SW_OK) return k;
    sw_serve_fail(error, code_of(status), "%s", *k->text ? k->text : sw_status_text(status));
    end_detector(k);
    return NULL;
}

/* -- One picture --------------------------------------------------------------------------------------------------- */

static sw_serve_code annotate(sw__call *call, const work *w, kept *k, const sw_picture *picture,
                              const sw_detections *found) {
    sw_status status = sw_draw_found(picture, k->detector, found, &k->diag);
    if (status == SW_OK) status = sw_image_encode(picture, w->format, SW_IMAGE_QUALITY, &k->diag, &call->body);
    return status == SW_OK ? SW_SERVE_OK : sw_serve_fail(&call->error, code_of(status), "%s", k->text);
}

/* Decodes, detects, and writes JSON (an item of `json`) or the picture with boxes. */
static sw_serve_code detect(sw__call *call, const work *w, kept *k, const sw__part *part, sw_json_writer *json) {
    sw_image image;
    sw_detections found;
    int64_t start = sw_clock_ns();
    k->text[0] = 0;
    sw_status status = sw_image_decode(part->data, part->size, part->name, NULL, &k->diag, &image);
    if (status != SW_OK) return sw_serve_fail(&call->error, code_of(status), "%s: %s", part->name, k->text);
    double decode_ms = (double)(sw_clock_ns() - start) / 1e6;
    status = sw_detector_run(k->detector, &image.picture, &found);
    sw_serve_code code = SW_SERVE_OK;
    if (status != SW_OK)
        code = sw_serve_fail(&call->error, code_of(status), "%s: %s", part->name, k->text);
    else if (w->annotate)
        code = annotate(call, w, k, &image.picture, &found);
    else
        sw_result_json(&(sw_result){.source = part->name,
                                    .width = image.picture.width,
                                    .height = image.picture.height,
                                    .detector = k->detector,
                                    .found = &found,
                                    .decode_ms = decode_ms},
                       json);
    sw_image_destroy(&image);
    return code;
}

static sw_serve_code detect_all(sw__call *call, const work *w, kept *k, const char *type) {
    const sw_http_request *r = &call->conn->http->request;
    sw_json_writer json = sw_json_writer_make(&call->body, 0);
    sw__part part = {.name = "picture", .data = r->body, .size = r->body_size};
    sw__multipart m;
    if (!type || strncmp(type, "multipart/form-data", 19) != 0) return detect(call, w, k, &part, &json);
    int pictures = 0, more = sw__multipart_begin(&m, type, r->body, r->body_size) ? 1 : -1;
    sw_json_array(&json);
    while (more > 0 && (more = sw__multipart_next(&m, &part)) > 0) {
        if (++pictures > MAX_PICTURES || (w->annotate && pictures > 1))
            return sw_serve_fail(&call->error, SW_SERVE_INVALID_ARG, "more than %d pictures in one request",
                                 w->annotate ? 1 : MAX_PICTURES);
        sw_serve_code code = detect(call, w, k, &part, &json);
        if (code != SW_SERVE_OK) return code;
    }
    if (more < 0 || !pictures)
        return sw_serve_fail(&call->error, SW_SERVE_INVALID_ARG, "the body is no multipart/form-data with pictures");
    if (!w->annotate) sw_json_array_end(&json);
    return SW_SERVE_OK;
}

/* -- Requests ------------------------------------------------------------------------------------------------------ */

/* On a thread for slow work. The request's head and body stay where they are until it is answered. */
static void run(sw__call *call) {
    work *w = call->owner;
    sw__detectors *detectors = call->loop->server->detectors;
    kept *k = get_detector(detectors, &w->wish, &call->error);
    if (!k) return;
    sw_serve_code code = detect_all(call, w, k, sw_http_header_of(&call->conn->http->request, "content-type"));
    if (code == SW_SERVE_OK && call->body.status != SW_OK)
        sw_serve_fail(&call->error, SW_SERVE_UNAVAILABLE, "out of memory");
    keep(detectors, k);
}

static void finish(sw__call *call) {
    sw__conn *c = call->conn;
    const work *w = call->owner;
    const char *type = !w || !w->annotate ? "application/json" : w->format == SW_IMAGE_PNG ? "image/png" : "image/jpeg";
    if (c->closed)
        c->busy = false;
    else if (call->error.code != SW_SERVE_OK)
        sw__http_error(c, &call->error);
    else
        sw__http_answer(c, &(sw_http_answer){.status = 200, .type = type, .json_size = -1}, call->body.data,
                        call->body.size);
    sw__call_end(call);
}

/* A number of the query; `value` stays when it is missing. */
static sw_serve_code read_number(const char *query, const char *name, double most, double *value,
                                 sw_serve_error *error) {
    char text[32];
    if (!sw_http_query(query, name, text, sizeof text)) return SW_SERVE_OK;
    if (sw_str_to_f64(text, strlen(text), value) && *value >= 0 && *value <= most) return SW_SERVE_OK;
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "query parameter '%s' is '%s', expected a number from 0 to %g",
                         name, text, most);
}

static sw_serve_code read_query(const char *query, work *w, sw_serve_error *error) {
    char text[16];
    double max_det = 0, imgsz = 0;
    *w = (work){.wish = {.conf = -1, .iou = -1}, .format = SW_IMAGE_JPEG};
    w->annotate = sw_http_query(query, "annotate", text, sizeof text) && strcmp(text, "0") != 0;
    if (sw_http_query(query, "format", text, sizeof text) && !strcmp(text, "png")) w->format = SW_IMAGE_PNG;
    sw_serve_code code = read_number(query, "conf", 1, &w->wish.conf, error);
    if (code == SW_SERVE_OK) code = read_number(query, "iou", 1, &w->wish.iou, error);
    if (code == SW_SERVE_OK) code = read_number(query, "max_det", 100000, &max_det, error);
    if (code == SW_SERVE_OK) code = read_number(query, "imgsz", 8192, &imgsz, error);
    w->wish.max_det = (int)max_det;
    w->wish.imgsz = (int)imgsz;
    return code;
}

static sw_serve_code prepare(sw__call *call, const char *model, const char *version) {
    const sw_http_request *r = &call->conn->http->request;
    work *w = call->owner = sw_kserve_take(&call->k, sizeof *w);
    if (!w) return sw_kserve_no_memory(&call->error);
    sw_serve_code code = read_query(r->query, w, &call->error);
    if (code == SW_SERVE_OK) code = sw__call_find(call, model, version, NULL);
    if (code != SW_SERVE_OK) return code;
    w->wish.plan = sw_serve_model_plan(call->k.request.model);
    if (!w->wish.plan)
        return sw_serve_fail(&call->error, SW_SERVE_INVALID_ARG, "model '%s' does not take pictures", model);
    if (!r->body_size)
        return sw_serve_fail(&call->error, SW_SERVE_INVALID_ARG, "the body is empty: send a JPEG or PNG picture");
    if (!sw__jobs_add(call->loop->server->jobs, call, run))
        return sw_serve_fail(&call->error, SW_SERVE_UNAVAILABLE, "too many pictures wait");
    return SW_SERVE_OK;
}

void sw__http_detect(sw__conn *c, const char *model, const char *version) {
    sw__call *call = sw__call_begin(c);
    if (!call) {
        sw__http_error(c, &(sw_serve_error){SW_SERVE_UNAVAILABLE, "out of memory"});
        return;
    }
    call->finish = finish;
    if (prepare(call, model, version) != SW_SERVE_OK) finish(call);
}
