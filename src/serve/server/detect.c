#include "serve/server/detect.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "media/draw.h"
#include "media/image.h"
#include "serve/detectors.h"
#include "serve/server/jobs.h"
#include "serve/server/multipart.h"
#include "vision/result.h"

/* Larger pictures are decoded again to be drawn on, not kept while they wait for the network. */
enum { MAX_PICTURES = 64, MAX_KEPT_BYTES = 32 << 20 };

/* A picture on its way: decoded and fitted by a job, computed by the core, its boxes read where the results are. */
typedef struct item {
    sw__job job; /* first: a job is its item */
    struct work *work;
    sw__part part;
    sw__kept *kept;
    sw_image image;
    int width, height;
    sw_fitting fitting;
    sw_serve_tensor input;
    const char *wanted[SW__DETECTOR_OUTPUTS];
    sw_serve_request request;
    sw_detections found;
    sw_buf answer; /* its JSON, or the picture with boxes */
    sw_serve_error error;
    double decode_ms, preprocess_ms;
    bool at_core, skipped; /* submitted and not done, under the loop's lock; another one's error is the answer */
} item;

typedef struct work {
    sw__call *call;
    sw__wish wish; /* holds a reference to the plan, once a job took it */
    bool annotate, several;
    sw_image_format format;
    uint64_t priority;
    int64_t deadline_ns;
    item *items;
    int n, left;     /* left: under the loop's lock, as: */
    bool over;       /* the client has gone, or a picture failed: the rest is skipped */
    char value[256]; /* of a query parameter that was asked for */
} work;

/* -- One picture --------------------------------------------------------------------------------------------------- */

/* The item has its answer, or its error; with the last one the call goes back to its loop. */
static void end_item(item *it) {
    work *w = it->work;
    sw__call *call = w->call;
    sw__loop *loop = call->loop;
    sw__detectors_give(loop->server->detectors, it->kept);
    it->kept = NULL;
    sw_image_destroy(&it->image);
    sw__jobs_leave(loop->server->jobs, it->job.model);
    pthread_mutex_lock(&loop->lock);
    if (it->error.code != SW_SERVE_OK) w->over = true;
    bool last = --w->left == 0;
    pthread_mutex_unlock(&loop->lock);
    if (last) sw__call_return(call);
}

static void draw(sw__job *job) {
    item *it = (item *)job;
    it->kept->text[0] = 0;
    sw_status status = SW_OK;
    if (!it->image.picture.data)
        status = sw_image_decode(it->part.data, it->part.size, it->part.name, NULL, &it->kept->diag, &it->image);
    if (status == SW_OK) status = sw_draw_found(&it->image.picture, it->kept->detector, &it->found, &it->kept->diag);
    if (status == SW_OK)
        status = sw_image_encode(&it->image.picture, it->work->format, SW_IMAGE_QUALITY, &it->kept->diag, &it->answer);
    if (status != SW_OK) (void)sw__detectors_fail(it->kept, status, NULL, &it->error);
    end_item(it);
}

static void write_json(item *it) {
    const sw_serve_times *t = &it->request.times;
    sw_json_writer json = sw_json_writer_make(&it->answer, 0);
    it->found.times_ms.preprocess = it->preprocess_ms;
    it->found.times_ms.inference = (double)(t->computed - t->computing) / 1e6;
    sw_result_json(&(sw_result){.source = it->part.name,
                                .width = it->width,
                                .height = it->height,
                                .detector = it->kept->detector,
                                .found = &it->found,
                                .decode_ms = it->decode_ms},
                   &json);
    if (it->answer.status != SW_OK) (void)sw_serve_fail(&it->error, SW_SERVE_UNAVAILABLE, "out of memory");
}

static void on_done(sw_serve_request *request) {
    item *it = request->user;
    sw__loop *loop = it->work->call->loop;
    pthread_mutex_lock(&loop->lock);
    it->at_core = false;
    pthread_mutex_unlock(&loop->lock);
    it->error = request->error;
    bool good = it->error.code == SW_SERVE_OK &&
                sw__detectors_finish(it->kept, &it->fitting, request->results, request->n_results, &it->found,
                                     &it->error) == SW_SERVE_OK;
    if (good && it->work->annotate) {
        it->job.run = draw;
        sw__jobs_add_more(loop->server->jobs, &it->job);
        return;
    }
    if (good) write_json(it);
    end_item(it);
}

static sw_serve_code decode(item *it) {
    int64_t start = sw_clock_ns();
    sw__kept *k = it->kept;
    sw_tensor input;
    sw_status status = sw_image_decode(it->part.data, it->part.size, it->part.name, NULL, &k->diag, &it->image);
    int64_t decoded = sw_clock_ns();
    if (status == SW_OK) status = sw_detector_prepare(k->detector, &it->image.picture, &input, &it->fitting);
    if (status != SW_OK) return sw__detectors_fail(k, status, it->part.name, &it->error);
    it->decode_ms = (double)(decoded - start) / 1e6;
    it->preprocess_ms = (double)(sw_clock_ns() - decoded) / 1e6;
    it->width = it->image.picture.width;
    it->height = it->image.picture.height;
    if (!it->work->annotate || it->image.picture.pitch * (size_t)it->height > MAX_KEPT_BYTES)
        sw_image_destroy(&it->image);
    const sw_plan *plan = it->work->wish.plan;
    const sw_serve_info *info = sw_serve_model_info(it->work->call->k.request.model);
    int less = info->n_inputs == 1 && info->inputs[0].rank == input.rank - 1 && input.dims[0] == 1; /* by `reshape` */
    it->input = (sw_serve_tensor){.name = sw_plan_input(plan, 0)->name,
                                  .dtype = (int)input.dtype,
                                  .rank = input.rank - less,
                                  .data = input.data,
                                  .bytes = (size_t)sw_tensor_bytes(&input)};
    memcpy(it->input.dims, input.dims + less, (size_t)it->input.rank * sizeof *input.dims);
    return SW_SERVE_OK;
}

static void submit(item *it) {
    work *w = it->work;
    sw__call *call = w->call;
    int n = sw_plan_outputs(w->wish.plan);
    for (int i = 0; i < n; i++) it->wanted[i] = sw_plan_output(w->wish.plan, i)->name;
    it->request = (sw_serve_request){.model = call->k.request.model,
                                     .id = call->k.request.id,
                                     .priority = w->priority,
                                     .deadline_ns = w->deadline_ns,
                                     .n_inputs = 1,
                                     .inputs = &it->input,
                                     .n_wanted = n,
                                     .wanted = it->wanted,
                                     .at_once = true,
                                     .demand = sw_detector_demand(it->kept->detector),
                                     .done = on_done,
                                     .user = it};
    pthread_mutex_lock(&call->loop->lock);
    bool over = w->over;
    it->at_core = !over;
    pthread_mutex_unlock(&call->loop->lock);
    if (!over) {
        sw_serve_submit(call->loop->server->core, &it->request);
        return;
    }
    it->skipped = true;
    end_item(it);
}

/* The plan that the first job finds is that of all pictures of the request. */
static sw_serve_code take_plan(work *w, sw_serve_error *error) {
    sw_plan *plan = NULL;
    sw_serve_model *model = w->call->k.request.model;
    sw_serve_code code = sw_serve_model_take_plan(model, &plan, error);
    pthread_mutex_lock(&w->call->loop->lock);
    if (w->wish.plan)
        sw_plan_unref(plan);
    else
        w->wish.plan = plan;
    pthread_mutex_unlock(&w->call->loop->lock);
    if (code == SW_SERVE_OK && !w->wish.plan)
        code = sw_serve_fail(error, SW_SERVE_INVALID_ARG, "model '%.200s' does not take pictures",
                             sw_serve_model_info(model)->name);
    if (code == SW_SERVE_OK && sw_plan_outputs(w->wish.plan) > SW__DETECTOR_OUTPUTS)
        code = sw_serve_fail(error, SW_SERVE_INVALID_ARG, "the model has more than %d outputs", SW__DETECTOR_OUTPUTS);
    return code;
}

/* On a thread for slow work. The request's head and body stay where they are until it is answered. */
static void run(sw__job *job) {
    item *it = (item *)job;
    work *w = it->work;
    pthread_mutex_lock(&w->call->loop->lock);
    it->skipped = w->over;
    pthread_mutex_unlock(&w->call->loop->lock);
    sw_serve_code code = SW_SERVE_OK;
    if (!it->skipped && w->deadline_ns && sw_clock_ns() >= w->deadline_ns)
        code =
            sw_serve_fail(&it->error, SW_SERVE_UNAVAILABLE, "Request timeout expired before the picture was decoded");
    if (!it->skipped && code == SW_SERVE_OK) code = take_plan(w, &it->error);
    if (!it->skipped && code == SW_SERVE_OK)
        it->kept = sw__detectors_take(w->call->loop->server->detectors, &w->wish, &it->error);
    if (it->kept && decode(it) == SW_SERVE_OK)
        submit(it);
    else
        end_item(it);
}

/* -- Requests ------------------------------------------------------------------------------------------------------ */

/* On the loop's thread: nobody waits any more. */
static void cancel(sw__call *call) {
    work *w = call->owner;
    pthread_mutex_lock(&call->loop->lock);
    w->over = true;
    for (int i = 0; i < w->n; i++)
        if (w->items[i].at_core) sw_serve_cancel(call->loop->server->core, &w->items[i].request);
    pthread_mutex_unlock(&call->loop->lock);
}

/* All answers in one body, or the error of the first picture that has one. */
static void collect(sw__call *call, work *w) {
    for (int i = 0; i < w->n && call->error.code == SW_SERVE_OK; i++) call->error = w->items[i].error;
    if (call->error.code == SW_SERVE_OK) {
        if (w->several) sw_buf_append_byte(&call->body, '[');
        for (int i = 0; i < w->n; i++) {
            if (i) sw_buf_append_byte(&call->body, ',');
            sw_buf_append(&call->body, w->items[i].answer.data, w->items[i].answer.size);
        }
        if (w->several) sw_buf_append_byte(&call->body, ']');
        if (call->body.status != SW_OK) (void)sw_serve_fail(&call->error, SW_SERVE_UNAVAILABLE, "out of memory");
    }
    for (int i = 0; i < w->n; i++) {
        sw_serve_request_free(&w->items[i].request);
        sw_buf_free(&w->items[i].answer);
    }
    sw_plan_unref(w->wish.plan);
}

static void finish(sw__call *call) {
    sw__conn *c = call->conn;
    work *w = call->owner;
    const char *type = !w || !w->annotate ? "application/json" : w->format == SW_IMAGE_PNG ? "image/png" : "image/jpeg";
    if (w) collect(call, w);
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

static sw_serve_code read_whole(const char *query, const char *name, int64_t least, int64_t most, int64_t *value,
                                sw_serve_error *error) {
    char text[32];
    if (!sw_http_query(query, name, text, sizeof text)) return SW_SERVE_OK;
    if (sw_str_to_i64(text, strlen(text), value) && *value >= least && *value <= most) return SW_SERVE_OK;
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                         "query parameter '%s' is '%s', expected a whole number from %" PRId64 " to %" PRId64, name,
                         text, least, most);
}

/* One of some words; `value` becomes its place. */
static sw_serve_code read_word(const char *query, const char *name, const char *const *words, int *value,
                               sw_serve_error *error) {
    char text[16];
    if (!sw_http_query(query, name, text, sizeof text)) return SW_SERVE_OK;
    for (*value = 0; words[*value]; ++*value)
        if (!strcmp(text, words[*value])) return SW_SERVE_OK;
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "query parameter '%s' is '%s', expected %s or %s", name, text,
                         words[0], words[1]);
}

static sw_serve_code read_query(const char *query, work *w, sw_serve_error *error) {
    static const char *const flags[] = {"0", "1", "false", "true", "no", "yes", "off", "", NULL}; /* odd: yes */
    static const char *const formats[] = {"jpeg", "png", "jpg", NULL};
    int annotate = 0, format = 0;
    int64_t max_det = 0, imgsz = 0, priority = 0, timeout_us = 0; /* 0: as the model or its queue has it */
    w->wish = (sw__wish){.conf = -1, .iou = -1};
    sw_serve_code code = read_number(query, "conf", 1, &w->wish.conf, error);
    if (code == SW_SERVE_OK) code = read_number(query, "iou", 1, &w->wish.iou, error);
    if (code == SW_SERVE_OK) code = read_whole(query, "max_det", 1, 100000, &max_det, error);
    if (code == SW_SERVE_OK) code = read_whole(query, "imgsz", 1, 8192, &imgsz, error);
    if (code == SW_SERVE_OK) code = read_whole(query, "priority", 0, UINT32_MAX, &priority, error);
    if (code == SW_SERVE_OK) code = read_whole(query, "timeout", 0, INT64_C(1000000000000), &timeout_us, error);
    if (code == SW_SERVE_OK) code = read_word(query, "annotate", flags, &annotate, error);
    if (code == SW_SERVE_OK) code = read_word(query, "format", formats, &format, error);
    if (code != SW_SERVE_OK) return code;
    w->annotate = annotate % 2;
    w->format = format == 1 ? SW_IMAGE_PNG : SW_IMAGE_JPEG;
    w->wish.max_det = (int)max_det;
    w->wish.imgsz = (int)imgsz;
    w->priority = (uint64_t)priority;
    if (timeout_us > 0) w->deadline_ns = sw_clock_ns() + timeout_us * 1000;
    return SW_SERVE_OK;
}

/* The pictures of the body: it itself, or the parts of multipart/form-data. */
static sw_serve_code find_pictures(sw__call *call, work *w) {
    const sw_http_request *r = &call->conn->http->request;
    const char *type = sw_http_header_of(r, "content-type");
    sw__part parts[MAX_PICTURES] = {{.name = "picture", .data = r->body, .size = r->body_size}};
    sw__multipart m;
    if (!r->body_size)
        return sw_serve_fail(&call->error, SW_SERVE_INVALID_ARG, "the body is empty: send a JPEG or PNG picture");
    int n = 1, more = 0, most = w->annotate ? 1 : MAX_PICTURES;
    w->several = type && !strncmp(type, "multipart/form-data", 19);
    if (w->several) {
        more = sw__multipart_begin(&m, type, r->body, r->body_size) ? 1 : -1;
        for (n = 0; more > 0 && n < most && (more = sw__multipart_next(&m, &parts[n])) > 0;) n++;
        sw__part extra;
        if (n == most && more > 0 && (more = sw__multipart_next(&m, &extra)) > 0)
            return sw_serve_fail(&call->error, SW_SERVE_INVALID_ARG, "more than %d picture%s in one request", most,
                                 most == 1 ? "" : "s");
    }
    if (more < 0 || !n)
        return sw_serve_fail(&call->error, SW_SERVE_INVALID_ARG, "the body is no multipart/form-data with pictures");
    item *items = sw_kserve_take(&call->k, (size_t)n * sizeof *items);
    if (!items) return sw_kserve_no_memory(&call->error);
    memset(items, 0, (size_t)n * sizeof *items);
    for (int i = 0; i < n; i++) {
        items[i] = (item){.job = {.run = run, .next = i + 1 < n ? &items[i + 1].job : NULL}, .work = w};
        items[i].part = parts[i];
        items[i].answer = sw_buf_make(NULL, 0);
    }
    w->items = items;
    w->n = w->left = n;
    w->several &= !w->annotate;
    return SW_SERVE_OK;
}

static const char *header_of(void *ctx, const char *name) {
    const work *w = ctx;
    return sw_http_header_of(&w->call->conn->http->request, name);
}

static const char *parameter_of(void *ctx, const char *name) {
    work *w = ctx;
    return sw_http_query(w->call->conn->http->request.query, name, w->value, sizeof w->value) ? w->value : NULL;
}

static sw_serve_code prepare(sw__call *call, const char *model, const char *version) {
    const sw_http_request *r = &call->conn->http->request;
    work *w = sw_kserve_take(&call->k, sizeof *w);
    if (!w) return sw_kserve_no_memory(&call->error);
    *w = (work){.call = call};
    call->owner = w;
    sw_serve_hint hint = {.path = r->path,
                          .content_type = sw_http_header_of(r, "content-type"),
                          .header = header_of,
                          .parameter = parameter_of,
                          .ctx = w};
    sw_serve_code code = read_query(r->query, w, &call->error);
    if (code == SW_SERVE_OK) code = find_pictures(call, w);
    if (code == SW_SERVE_OK)
        sw__hint_measure(&hint, call->loop->server, model, w->items[0].part.data, w->items[0].part.size);
    if (code == SW_SERVE_OK) code = sw__call_find(call, model, version, &hint);
    if (code != SW_SERVE_OK) return code;
    call->cancel = cancel;
    for (int i = 0; i < w->n; i++) w->items[i].job.model = call->k.request.model;
    if (!sw__jobs_add(call->loop->server->jobs, &w->items[0].job, w->n))
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
