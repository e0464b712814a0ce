#include "vision/detector.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "engine/session.h"
#include "vision/state.h"

void sw_detector_defaults(sw_detector_options *options) {
    *options = (sw_detector_options){.conf = -1, .iou = 0.7, .max_det = 300};
}

static sw_status out_of_memory(const sw_detector *d) {
    return sw_fail(d->diag, SW_E_NOMEM, NULL, NULL, "out of memory");
}

static sw_status check_options(const sw_detector_options *o, const sw_diag *diag) {
    if (!(o->conf <= 1)) /* negative: default */
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "the confidence threshold must be 0 to 1, it is %g", o->conf);
    if (!(o->iou >= 0 && o->iou <= 1))
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "the overlap threshold must be 0 to 1, it is %g", o->iou);
    if (o->max_det < 1 || o->max_det > 100000)
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "the number of boxes must be 1 to 100000, it is %d", o->max_det);
    for (int i = 0; i < 2; i++)
        if (o->imgsz[i] < 0 || o->imgsz[i] > 16384 || (o->imgsz[i] == 0) != (o->imgsz[0] == 0))
            return sw_fail(diag, SW_E_USAGE, NULL, NULL, "the size must be 1 to 16384 pixels a side, it is %d x %d",
                           o->imgsz[0], o->imgsz[1]);
    if (o->n_classes < 0 || (o->n_classes > 0 && !o->classes))
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "a list of %d classes cannot be read", o->n_classes);
    return SW_OK;
}

sw_status sw__detector_reserve(const sw_allocator *allocator, const sw_diag *diag, void **buffer, size_t *have,
                               size_t size) {
    if (*buffer && *have >= size) return SW_OK;
    void *fresh = sw_calloc(allocator, size, 1);
    if (!fresh) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    sw_free(allocator, *buffer);
    *buffer = fresh;
    *have = size;
    return SW_OK;
}

sw_status sw__detector_name(sw_detector *d, int n) {
    if (n <= d->n_names) return SW_OK;
    size_t cap = (size_t)d->cap_names;
    SW_TRY(sw_grow(d->allocator, (void **)&d->names, &cap, (size_t)n, sizeof *d->names, SW__MAX_CLASSES));
    d->cap_names = (int)cap;
    for (int i = d->n_names; i < n; i++) {
        const char *given = i < d->model.n_names ? d->model.names[i] : NULL;
        d->names[i] = given ? given : sw_arena_printf(d->arena, "class %d", i);
        if (!d->names[i]) return SW_E_NOMEM;
        d->n_names = i + 1;
    }
    return SW_OK;
}

/* -- Creation
 * ---------------------------------------------------------------------------------------------------- */

static sw_status run_model(sw_detector *d, const sw_tensor *input, sw_tensor *outputs) {
    sw_tensor integers[SW__MAX_OUTPUTS];
    sw_tensor *raw = d->reals ? integers : outputs;
    SW_TRY(d->network.run ? d->network.run(d->network.ctx, input, raw) : sw_session_run(d->session, input, raw));
    return d->reals ? sw_session_run(d->reals, integers, outputs) : SW_OK;
}

/* Runs the model once on a grey picture. The outputs stay in the model's session. */
static sw_status try_model(sw_detector *d) {
    sw__model *m = &d->model;
    sw_tensor in = {.dtype = m->dtype, .rank = 4, .dims = {m->batch, 3, m->height, m->width}};
    if (m->no_batch) in = (sw_tensor){m->dtype, 3, {3, m->height, m->width}, NULL};
    if (m->channels_last) memcpy(in.dims, (int64_t[]){m->batch, m->height, m->width, 3}, 4 * sizeof *in.dims);
    int64_t bytes = sw_tensor_bytes(&in), count = sw_tensor_count(&in);
    in.data = bytes < 0 ? NULL : sw_alloc(d->allocator, (size_t)bytes);
    if (!in.data) return out_of_memory(d);
    switch (m->dtype) {
    case SW_F32:
        for (int64_t i = 0; i < count; i++) ((float *)in.data)[i] = 0.5f;
        break;
    case SW_F64:
        for (int64_t i = 0; i < count; i++) ((double *)in.data)[i] = 0.5;
        break;
    case SW_F16:
        for (int64_t i = 0; i < count; i++) ((uint16_t *)in.data)[i] = sw_f32_to_f16(0.5f);
        break;
    case SW_BF16:
        for (int64_t i = 0; i < count; i++) ((uint16_t *)in.data)[i] = sw_f32_to_bf16(0.5f);
        break;
    default:
        memset(in.data, m->dtype == SW_I8 ? 0 : 128, (size_t)bytes);
        break;
    }
    sw_status status = run_model(d, &in, m->outputs);
    sw_free(d->allocator, in.data);
    return status;
}

static sw_status find_head(sw_detector *d, const char *asked) {
    bool tried = false;
    SW_TRY(sw__head_find(&d->model, asked, d->diag, &d->head));
    if (!d->head) {
        tried = true;
        SW_TRY(try_model(d));
        SW_TRY(sw__head_find(&d->model, asked, d->diag, &d->head));
    }
    if (!d->head) return sw_fail(d->diag, SW_E_INTERNAL, NULL, NULL, "a trial run did not tell what the outputs mean");
    d->logits = d->head->form == SW__CLASSES && tried && sw__head_is_logits(&d->model);
    for (int i = 0; i < d->model.n_outputs; i++) d->model.outputs[i].data = NULL; /* gone with the next run */
    d->reason = sw_arena_printf(d->arena, "%s: %s (by %s%s%s)", d->head->name, d->head->shape,
                                asked ? "the user's word" : "the shapes of the outputs",
                                !asked && d->model.has_task ? " and metadata" : "", tried ? " and a trial run" : "");
    return d->reason ? SW_OK : out_of_memory(d);
}

/* "RGB, 0 to 1, letterboxed ...": for people. */
static sw_status describe_preparation(sw_detector *d) {
    const sw__look *look = d->head->look;
    const sw__model *m = &d->model;
    const char *how = look->cut       ? "its short side resized, its middle cut out, to"
                      : look->stretch ? "stretched to"
                      : look->corner  ? "at the top left of"
                                      : "in the middle of";
    bool smallest = sw__letterbox_rule(m, d->head).stride > 0 && !look->cut;
    d->preparation = sw_arena_printf(
        d->arena, "%s, 0 to %d%s, %s %s%" PRId64 " x %" PRId64 " pixels%s", look->bgr ? "BGR" : "RGB",
        look->raw || m->dtype == SW_U8 || m->dtype == SW_I8 ? 255 : 1, look->std[0] > 0 ? ", normalised" : "", how,
        smallest ? "the smallest part of " : "", m->width, m->height, smallest ? " that holds it" : "");
    return d->preparation ? SW_OK : out_of_memory(d);
}

sw_status sw__detector_session(sw_detector *d, sw_plan *plan, int threads, sw_session **session) {
    sw_session_options options = {.threads = threads};
    sw_status status = sw_session_create(plan, &options, d->diag, session);
    sw_plan_unref(plan);
    return status;
}

static sw_status keep_classes(sw_detector *d, const sw_detector_options *o) {
    d->classes = sw_calloc(d->allocator, (size_t)o->n_classes, sizeof *d->classes);
    if (!d->classes) return out_of_memory(d);
    int known = sw__head_classes(d->head, &d->model);
    for (int i = 0; i < o->n_classes; i++) {
        if (o->classes[i] < 0 || (known > 0 && o->classes[i] >= known))
            return sw_fail(d->diag, SW_E_USAGE, NULL, NULL, "there is no class %d: the model has classes 0 to %d",
                           o->classes[i], known > 0 ? known - 1 : SW__MAX_CLASSES);
        d->classes[d->n_classes++] = o->classes[i];
    }
    return SW_OK;
}

/* For results. */
static sw_status make_room(sw_detector *d) {
    size_t n = (size_t)d->max_det;
    d->items = sw_calloc(d->allocator, n, sizeof *d->items);
    if (!d->items) return out_of_memory(d);
    switch (d->head->task) {
    case SW_TASK_SEGMENT:
        d->mask_items = sw_calloc(d->allocator, n, sizeof *d->mask_items);
        return d->mask_items ? SW_OK : out_of_memory(d);
    case SW_TASK_POSE:
        d->n_points = sw__head_points(d->head, &d->model, &d->point_values);
        d->keypoints = sw_calloc(d->allocator, n * (size_t)d->n_points, 3 * sizeof *d->keypoints);
        return d->keypoints ? SW_OK : out_of_memory(d);
    case SW_TASK_OBB:
        d->rotated = sw_calloc(d->allocator, n, sizeof *d->rotated);
        return d->rotated ? SW_OK : out_of_memory(d);
    default:
        return SW_OK;
    }
}

/* Boxes, and what comes with them, are read only where a score passes the threshold: of tables of scores by row, neither the
 * network nor the decoding need deal with others. SLIPWAY_WHOLE=1 lets them do so, for bug hunts. */
static void demand_boxes(sw_detector *d) {
    const sw__head *h = d->head;
    d->sparse = h->form == SW__TABLE && !h->by_anchor && !getenv("SLIPWAY_WHOLE");
    if (!d->sparse || d->reals || d->network.run) return;
    d->demand = (sw_demand){d->order[0], h->values, sw__head_classes(h, &d->model), d->conf};
    if (d->session) sw_session_demand(d->session, &d->demand);
}

/* Sessions that make bytes of pictures, where the network takes them. */
static sw_status make_bytes(sw_detector *d, int threads) {
    bool takes = d->session && !d->network.run && !d->reals && sw_session_takes_bytes(d->session);
    d->divisor = takes ? sw__picture_divisor(&d->model, d->head) : 0;
    for (int order = 0; order < 2 && d->divisor; order++) {
        sw_plan *plan;
        if (sw__plan_bytes(&d->model, d->head, (sw_pixel_order)order, d->allocator, &plan) != SW_OK)
            return out_of_memory(d);
        SW_TRY(sw__detector_session(d, plan, threads, &d->bytes[order]));
    }
    return SW_OK;
}

/* Sessions for both ends; on a GPU, where it has kernels for them, they become parts of the network's, too. */
static sw_status make_ends(sw_detector *d, const sw__nms_options *nms, int threads) {
    sw_plan *plans[3] = {0}, *const *pictures = plans;
    const sw__model *m = &d->model;
    const char *why = NULL;
    bool made = true;
    for (int order = 0; order < 2 && made; order++)
        made = sw__plan_picture(m, d->head, (sw_pixel_order)order, d->allocator, &plans[order]) == SW_OK;
    made = made && sw__plan_boxes(m, d->head, nms, d->allocator, &plans[2]) == SW_OK;
    sw_status status = made ? SW_OK : out_of_memory(d);
    bool simple = d->session && d->head->form == SW__TABLE && !d->network.run && !d->reals && m->batch == 1;
    if (status == SW_OK && simple) status = sw_session_set_ends(d->session, pictures, plans[2], d->order[0], &why);
    d->fused = status == SW_OK && simple && !why;
    for (int i = 0; i < 3; i++) {
        sw_session **session = i < 2 ? &d->picture[i] : &d->boxes;
        if (status == SW_OK)
            status = sw__detector_session(d, plans[i], i < 2 ? threads : 1, session);
        else if (plans[i])
            sw_plan_unref(plans[i]);
    }
    return status;
}

static sw_status prepare(sw_detector *d, const sw_detector_options *o) {
    sw_plan *plan;
    sw_status status = sw__model_describe(d->plan, o->imgsz, d->arena, d->diag, &d->model);
    if (status != SW_OK) return status == SW_E_NOMEM ? out_of_memory(d) : status;
    sw_session_options network = {.threads = o->threads, .device = o->device, .no_fallback = o->no_fallback};
    SW_TRY(sw_session_create(d->plan, &network, d->diag, &d->session));
    if (d->model.quantised) {
        if (sw__plan_reals(&d->model, d->allocator, &plan) != SW_OK) return out_of_memory(d);
        SW_TRY(sw__detector_session(d, plan, 1, &d->reals));
    }
    SW_TRY(find_head(d, o->head));
    if (sw__detector_name(d, sw__head_classes(d->head, &d->model)) != SW_OK) return out_of_memory(d);
    SW_TRY(keep_classes(d, o));
    double conf = o->conf >= 0 ? o->conf : d->model.conf >= 0 ? d->model.conf : 0.25;
    d->conf = (float)conf;
    if (o->halves) {
        sw_session_destroy(d->session);
        d->session = NULL;
    }
    d->network = o->network; /* from now on: what the outputs mean was found out by Slipway */
    d->max_det = o->max_det;
    d->polygons = o->polygons;
    d->n_boxes_inputs = sw__head_inputs(d->head, &d->model, d->order, NULL);
    d->extra = sw__head_extra(d->head, &d->model);
    SW_TRY(describe_preparation(d));
    demand_boxes(d);
    sw__nms_options nms = {conf, o->iou, o->max_det, d->classes, d->n_classes, o->agnostic, o->multi_label};
    SW_TRY(make_ends(d, &nms, o->threads));
    SW_TRY(make_bytes(d, o->threads));
    return make_room(d);
}

sw_status sw_detector_create(sw_plan *plan, const sw_detector_options *options, const sw_diag *diag,
                             sw_detector **detector) {
    sw_detector_options defaults;
    sw_detector_defaults(&defaults);
    if (!options) options = &defaults;
    SW_TRY(check_options(options, diag));
    sw_detector *d = sw_calloc(options->allocator, 1, sizeof *d);
    if (!d) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    d->diag = diag;
    d->allocator = options->allocator;
    d->plan = sw_plan_ref(plan);
    d->arena = sw_arena_create(options->allocator, 0);
    sw_status status = d->arena ? prepare(d, options) : out_of_memory(d);
    if (status == SW_OK)
        *detector = d;
    else
        sw_detector_destroy(d);
    return status;
}

void sw_detector_destroy(sw_detector *d) {
    if (!d) return;
    sw_session_destroy(d->masks);
    sw_session_destroy(d->boxes);
    sw_session_destroy(d->picture[0]);
    sw_session_destroy(d->picture[1]);
    sw_session_destroy(d->bytes[0]);
    sw_session_destroy(d->bytes[1]);
    sw_session_destroy(d->reals);
    sw_session_destroy(d->session);
    sw_plan_unref(d->plan);
    sw_free(d->allocator, d->items);
    sw_free(d->allocator, d->mask_items);
    sw_free(d->allocator, d->keypoints);
    sw_free(d->allocator, d->rotated);
    sw_arena_destroy(d->results);
    sw_free(d->allocator, d->hot);
    sw_free(d->allocator, d->candidates);
    sw_free(d->allocator, d->input);
    sw_free(d->allocator, d->packing.bytes);
    sw_free(d->allocator, d->classes);
    sw_free(d->allocator, d->names);
    sw_arena_destroy(d->arena);
    sw_free(d->allocator, d);
}

int sw_detector_classes(const sw_detector *d) {
    return d->n_names;
}

const char *sw_detector_class_name(const sw_detector *d, int class_id) {
    return class_id >= 0 && class_id < d->n_names ? d->names[class_id] : "unknown class";
}

const char *sw_detector_head(const sw_detector *d) {
    return d->head->name;
}
const sw_demand *sw_detector_demand(const sw_detector *d) {
    return d->demand.rows ? &d->demand : NULL;
}
float sw_detector_conf(const sw_detector *d) {
    return d->conf;
}
sw_task sw_detector_task(const sw_detector *d) {
    return d->head->task;
}
const char *sw_detector_reason(const sw_detector *d) {
    return d->reason;
}
const char *sw_detector_preparation(const sw_detector *d) {
    return d->preparation;
}

const char *sw_task_name(sw_task task) {
    static const char *const names[] = {"detect", "segment", "pose", "obb", "classify"};
    return names[task];
}

/* -- Running
 * ----------------------------------------------------------------------------------------------------- */

sw_status sw__picture_check(const sw_picture *p, const sw_diag *diag) {
    if (!p->data || p->width < 1 || p->height < 1 || p->width > SW_PICTURE_MAX_SIDE || p->height > SW_PICTURE_MAX_SIDE)
        return sw_fail(diag, SW_E_INPUT, NULL, NULL, "a picture of %d x %d pixels cannot be taken; 1 to %d a side can",
                       p->width, p->height, SW_PICTURE_MAX_SIDE);
    if (p->pitch < 3 * (size_t)p->width)
        return sw_fail(diag, SW_E_INPUT, NULL, NULL, "rows of %d pixels need %zu bytes, they have %zu", p->width,
                       3 * (size_t)p->width, p->pitch);
    return SW_OK;
}

sw_status sw__picture_tensor(const sw_picture *p, sw__packing *packing, const sw_allocator *allocator,
                             const sw_diag *diag, sw_tensor *t) {
    *t = (sw_tensor){.dtype = SW_U8, .rank = 3, .dims = {p->height, p->width, 3}, .data = p->data};
    size_t row = 3 * (size_t)p->width;
    if (p->pitch == row) return SW_OK;
    SW_TRY(sw__detector_reserve(allocator, diag, (void **)&packing->bytes, &packing->size, row * (size_t)p->height));
    for (int y = 0; y < p->height; y++) memcpy(packing->bytes + (size_t)y * row, p->data + (size_t)y * p->pitch, row);
    t->data = packing->bytes;
    return SW_OK;
}

/* One picture to the model's input; in models with a fixed larger batch it is the first of them. */
static sw_status preprocess(sw_detector *d, const sw_picture *p, sw_tensor *input) {
    sw_tensor picture;
    SW_TRY(sw__picture_tensor(p, &d->packing, d->allocator, d->diag, &picture));
    SW_TRY(sw_session_run(d->picture[p->order == SW_PIXELS_BGR], &picture, input));
    if (d->model.batch == 1) return SW_OK;
    size_t bytes = (size_t)sw_tensor_bytes(input);
    input->dims[0] = d->model.batch;
    int64_t whole = sw_tensor_bytes(input);
    if (whole < 0) return sw_fail(d->diag, SW_E_LIMIT, NULL, NULL, "the model's input is too large");
    SW_TRY(sw__detector_reserve(d->allocator, d->diag, &d->input, &d->input_size, (size_t)whole));
    memcpy(d->input, input->data, bytes);
    input->data = d->input;
    return SW_OK;
}

/* Ultralytics' scale_boxes, which recomputes where LetterBox put the picture from the tensor's size; and
 * YOLOX's, which divides by the ratio. Boxes may also be fractions of the picture, or of a stretched one. */
static sw__scaling scale_back(const sw__head *head, const sw_fitting *f) {
    const int height = f->input_height, width = f->input_width;
    sw__scaling s = {.width = (float)f->width, .height = (float)f->height, .gain_x = 1, .gain_y = 1};
    const sw__look *look = head->look;
    if (head->fractions) {
        s.gain_x = 1 / s.width;
        s.gain_y = 1 / s.height;
    } else if (look->stretch) {
        s.gain_x = (float)width / s.width;
        s.gain_y = (float)height / s.height;
    } else if (look->corner) {
        double ratio = fmin((double)height / f->height, (double)width / f->width);
        s.gain_x = s.gain_y = (float)ratio;
    } else if (!look->cut) {
        sw_letterbox_rule rule = {.height = height, .width = width, .center = true, .scale_up = true};
        s.fit = sw_letterbox_place(&rule, f->height, f->width);
        s.gain_x = (float)((double)s.fit.scaled_width / f->width);
        s.gain_y = (float)((double)s.fit.scaled_height / f->height);
        s.pad_x = (float)s.fit.left;
        s.pad_y = (float)s.fit.top;
    }
    return s;
}

static double milliseconds(int64_t begin, int64_t end) {
    return (double)(end - begin) / 1e6;
}

void sw__fitting_of(const sw__head *head, const sw_picture *picture, int64_t height, int64_t width,
                    sw_fitting *fitting) {
    *fitting = (sw_fitting){
        .width = picture->width, .height = picture->height, .input_width = (int)width, .input_height = (int)height};
    sw__scaling s = scale_back(head, fitting);
    fitting->gain_x = s.gain_x, fitting->gain_y = s.gain_y;
    fitting->pad_x = s.pad_x, fitting->pad_y = s.pad_y;
}

/* `input`: what the network is given. */
static void fit(const sw_detector *d, const sw_picture *picture, const sw_tensor *input, sw_fitting *fitting) {
    int rows = d->model.channels_last || d->model.no_batch || d->model.dtype != input->dtype ? 1 : 2;
    sw__fitting_of(d->head, picture, input->dims[rows], input->dims[rows + 1], fitting);
}

sw_status sw_detector_prepare(sw_detector *d, const sw_picture *picture, sw_tensor *input, sw_fitting *fitting) {
    SW_TRY(sw__picture_check(picture, d->diag));
    SW_TRY(preprocess(d, picture, input));
    fit(d, picture, input, fitting);
    return SW_OK;
}

/* From outputs that are real to what was found; `boxes` (may be NULL): their detections, which the GPU made. */
static sw_status read_outputs(sw_detector *d, const sw_fitting *fitting, const sw_tensor *outputs,
                              const sw_tensor *boxes, sw_detections *detections) {
    int count = 0;
    int64_t begin = sw_clock_ns();
    sw__scaling s = scale_back(d->head, fitting);
    SW_TRY(sw__detector_finish(d, outputs, boxes, &s, &count));
    *detections = (sw_detections){
        .items = d->items,
        .count = count,
        .task = d->head->task,
        .masks = d->mask_items,
        .keypoints = d->keypoints,
        .n_keypoints = d->n_points,
        .has_visibility = d->point_values == 3,
        .rotated = d->rotated,
        .input_width = fitting->input_width,
        .input_height = fitting->input_height,
        .times_ms = {.postprocess = milliseconds(begin, sw_clock_ns())},
    };
    return SW_OK;
}

sw_status sw_detector_finish(sw_detector *d, const sw_fitting *fitting, const sw_tensor *outputs,
                             sw_detections *detections) {
    sw_tensor reals[SW__MAX_OUTPUTS];
    if (d->reals) SW_TRY(sw_session_run(d->reals, outputs, reals));
    return read_outputs(d, fitting, d->reals ? reals : outputs, NULL, detections);
}

/* From pixels to boxes on the GPU; *done: it can do that. */
static sw_status run_on_gpu(sw_detector *d, const sw_picture *picture, bool *done, sw_detections *detections) {
    sw_tensor pixels, input, boxes, outputs[SW__MAX_OUTPUTS];
    sw_fitting fitting;
    int64_t begin = sw_clock_ns();
    SW_TRY(sw__picture_check(picture, d->diag));
    SW_TRY(sw__picture_tensor(picture, &d->packing, d->allocator, d->diag, &pixels));
    SW_TRY(sw_session_run_picture(d->session, &pixels, picture->order == SW_PIXELS_BGR, &input, &boxes, outputs));
    *done = boxes.data != NULL;
    d->fused = *done;
    if (!*done) return SW_OK;
    int64_t end = sw_clock_ns();
    fit(d, picture, &input, &fitting);
    SW_TRY(read_outputs(d, &fitting, outputs, &boxes, detections));
    detections->times_ms.inference = milliseconds(begin, end);
    return SW_OK;
}

/* As sw_detector_prepare, but for bytes where the network takes them. */
static sw_status prepare_bytes(sw_detector *d, const sw_picture *picture, sw_tensor *input, sw_fitting *fitting) {
    sw_tensor pixels;
    if (!d->divisor) return sw_detector_prepare(d, picture, input, fitting);
    SW_TRY(sw__picture_check(picture, d->diag));
    SW_TRY(sw__picture_tensor(picture, &d->packing, d->allocator, d->diag, &pixels));
    SW_TRY(sw_session_run(d->bytes[picture->order == SW_PIXELS_BGR], &pixels, input));
    fit(d, picture, input, fitting);
    return SW_OK;
}

sw_status sw_detector_run(sw_detector *d, const sw_picture *picture, sw_detections *detections) {
    sw_tensor input, outputs[SW__MAX_OUTPUTS];
    sw_fitting fitting;
    bool ran = false;
    if (d->fused) SW_TRY(run_on_gpu(d, picture, &ran, detections));
    if (ran) return SW_OK;
    int64_t begin = sw_clock_ns();
    SW_TRY(prepare_bytes(d, picture, &input, &fitting));
    int64_t ready = sw_clock_ns();
    SW_TRY(d->divisor ? sw_session_run_bytes(d->session, &input, d->divisor, outputs) : run_model(d, &input, outputs));
    int64_t done = sw_clock_ns();
    SW_TRY(read_outputs(d, &fitting, outputs, NULL, detections));
    detections->times_ms.preprocess = milliseconds(begin, ready);
    detections->times_ms.inference = milliseconds(ready, done);
    return SW_OK;
}
