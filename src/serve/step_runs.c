/* What the built-in steps do. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "serve/internal.h"
#include "serve/steps.h"

static void set_output(sw_serve_tensor *out, int dtype, int rank, const int64_t *dims, const void *data) {
    const char *name = out->name;
    *out = (sw_serve_tensor){.name = name, .dtype = dtype, .rank = rank, .data = data};
    memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
    out->bytes = (size_t)sw__serve_count(rank, dims) * sw_serve_dtype_size(dtype);
}

/* A detector for the network that the step belongs to, as it is loaded now. */
static sw__kept *take_detector(const sw__step *s, sw__step_memory *memory, sw_serve_error *error) {
    sw_serve_model *model = NULL;
    sw__wish wish = s->wish;
    if (sw_serve_find(s->core, s->network, s->version, NULL, &model, error) != SW_SERVE_OK) return NULL;
    sw_serve_code code = sw_serve_model_take_plan(model, &wish.plan, error);
    sw_serve_drop(model);
    if (code != SW_SERVE_OK) return NULL;
    if (!wish.plan) {
        (void)sw_serve_fail(error, SW_SERVE_INVALID_ARG, "%s: model '%s' is no network that takes pictures",
                            s->backend->name, s->network);
        return NULL;
    }
    memory->kept = sw__detectors_take(memory->detectors, &wish, error);
    sw_plan_unref(wish.plan); /* the detector holds it */
    return memory->kept;
}

static void keep_why(void *ctx, const sw_message *message) {
    sw__step_memory *memory = ctx;
    if (message->severity == SW_ERROR && !memory->why[0]) snprintf(memory->why, sizeof memory->why, "%s", message->text);
}

static sw_serve_code fail_status(const sw__step *s, const sw__step_memory *memory, sw_status status,
                                 sw_serve_error *error) {
    const char *why = memory->kept && *memory->kept->text ? memory->kept->text : memory->why;
    return sw_serve_fail(error, status == SW_E_NOMEM ? SW_SERVE_UNAVAILABLE : SW_SERVE_INVALID_ARG, "%s: %s",
                         s->backend->name, *why ? why : sw_status_text(status));
}

/* -- Decode ---------------------------------------------------------------------------------------------------------- */

/* Small files may be large pictures: those under way have a limit together, though one alone may be above it. */
static bool reserve_picture(const sw__step *s, const void *bytes, size_t size, sw__step_memory *memory) {
    int width, height;
    if (!sw_image_measure(bytes, size, &width, &height)) return true; /* decoding tells what is wrong */
    memory->picture_bytes = 3 * (int64_t)width * height;
    int64_t others = atomic_fetch_add(&s->core->picture_bytes, memory->picture_bytes);
    return !others || others + memory->picture_bytes <= (int64_t)SW__PICTURE_BYTES;
}

sw_serve_code sw__step_decode(const sw__step *s, const sw_serve_tensor *in, sw_serve_tensor *out,
                              sw__step_memory *memory, sw_serve_error *error) {
    const uint8_t *text = in[0].data;
    const uint8_t *file = text + sizeof(uint32_t);
    const size_t size = in[0].bytes - sizeof(uint32_t);
    memory->diag = (sw_diag){keep_why, memory};
    if (!reserve_picture(s, file, size, memory))
        return sw_serve_fail(error, SW_SERVE_UNAVAILABLE, "too many large pictures are under way");
    sw_status status = sw_image_decode_as(file, size, "IMAGE", SW_PIXELS_RGB, NULL, &memory->diag, &memory->image);
    if (status != SW_OK) return fail_status(s, memory, status, error);
    const sw_picture *p = &memory->image.picture;
    set_output(&out[0], SW_U8, 3, (int64_t[]){p->height, p->width, 3}, p->data);
    return SW_SERVE_OK;
}

/* -- Letterbox ------------------------------------------------------------------------------------------------------- */

static sw_serve_code view_picture(const sw_serve_tensor *t, sw_picture *picture, sw_serve_error *error) {
    if (t->dims[0] < 1 || t->dims[1] < 1 || t->dims[0] > SW_PICTURE_MAX_SIDE || t->dims[1] > SW_PICTURE_MAX_SIDE)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "a picture of %lld x %lld pixels cannot be taken; 1 to %d a side can",
                             (long long)t->dims[1], (long long)t->dims[0], SW_PICTURE_MAX_SIDE);
    *picture = (sw_picture){.data = (uint8_t *)(uintptr_t)t->data,
                            .width = (int)t->dims[1],
                            .height = (int)t->dims[0],
                            .pitch = 3 * (size_t)t->dims[1],
                            .order = SW_PIXELS_RGB};
    return SW_SERVE_OK;
}

/* What makes tensors of pictures: the network's detector, or a fitter by parameters. */
static sw_serve_code begin_fitting(const sw__step *s, sw__step_memory *memory, sw_serve_error *error) {
    if (!s->fit.height) return take_detector(s, memory, error) ? SW_SERVE_OK : error->code;
    memory->diag = (sw_diag){keep_why, memory};
    sw_status status = sw_fitter_create(&s->fit, &memory->diag, &memory->fitter);
    return status == SW_OK ? SW_SERVE_OK : fail_status(s, memory, status, error);
}

static sw_serve_code fit_picture(const sw__step *s, const sw_picture *picture, sw_tensor *tensor, sw_fitting *fitting,
                                 sw__step_memory *memory, sw_serve_error *error) {
    sw_status status = memory->fitter ? sw_fitter_run(memory->fitter, picture, tensor, fitting)
                                      : sw_detector_prepare(memory->kept->detector, picture, tensor, fitting);
    return status == SW_OK ? SW_SERVE_OK : fail_status(s, memory, status, error);
}

sw_serve_code sw__step_letterbox(const sw__step *s, const sw_serve_tensor *in, sw_serve_tensor *out,
                                 sw__step_memory *memory, sw_serve_error *error) {
    sw_picture picture;
    sw_tensor input;
    sw_fitting f;
    sw_serve_code code = view_picture(&in[0], &picture, error);
    if (code == SW_SERVE_OK) code = begin_fitting(s, memory, error);
    if (code == SW_SERVE_OK) code = fit_picture(s, &picture, &input, &f, memory, error);
    if (code != SW_SERVE_OK) return code;
    const float meta[SW__META] = {(float)f.height,      (float)f.width, (float)f.input_height,
                                  (float)f.input_width, f.gain_y,       f.gain_x,
                                  f.pad_y,              f.pad_x};
    memcpy(memory->meta, meta, sizeof meta);
    set_output(&out[0], (int)input.dtype, input.rank, input.dims, input.data);
    set_output(&out[1], SW_F32, 1, (int64_t[]){SW__META}, memory->meta);
    return SW_SERVE_OK;
}

/* -- Yolo ------------------------------------------------------------------------------------------------------------ */

static sw_serve_code read_meta(const sw_serve_tensor *t, sw_fitting *f, sw_serve_error *error) {
    const float *meta = t->data;
    for (int i = 0; i < 4; i++)
        if (!(meta[i] >= 1 && meta[i] <= (float)SW_PICTURE_MAX_SIDE))
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                                 "META begins with the heights and widths of picture and tensor; its value %d is %g", i,
                                 (double)meta[i]);
    *f = (sw_fitting){.height = (int)meta[0],
                      .width = (int)meta[1],
                      .input_height = (int)meta[2],
                      .input_width = (int)meta[3]};
    return SW_SERVE_OK;
}

/* The outputs of the network in its order: RAW, RAW_1 ... */
static int collect_raw(const sw_serve_tensor *in, sw_serve_tensor *raw) {
    int n = 0;
    raw[n++] = in[0];
    for (int i = 2; i < SW__STEP_PORTS && in[i].data; i++) raw[n++] = in[i];
    return n;
}

/* Boxes, scores, classes, and names as texts, in one block. */
static sw_serve_code write_detections(const sw__kept *k, const sw_detections *found, sw_serve_tensor *out,
                                      sw__step_memory *memory, sw_serve_error *error) {
    size_t n = (size_t)found->count, texts = 0;
    for (size_t i = 0; i < n; i++)
        texts += sizeof(uint32_t) + strlen(sw_detector_class_name(k->detector, found->items[i].class_id));
    float *boxes = memory->block = sw_alloc(NULL, n * 6 * sizeof(float) + texts + 1);
    if (!boxes) return sw__serve_no_memory(error);
    float *scores = boxes + 4 * n;
    int32_t *classes = (int32_t *)(scores + n);
    char *text = (char *)(classes + n), *at = text;
    for (size_t i = 0; i < n; i++) {
        const sw_detection *d = &found->items[i];
        memcpy(boxes + 4 * i, (float[]){d->x1, d->y1, d->x2, d->y2}, 4 * sizeof(float));
        scores[i] = d->confidence;
        classes[i] = d->class_id;
        const char *name = sw_detector_class_name(k->detector, d->class_id);
        uint32_t size = (uint32_t)strlen(name);
        memcpy(at, &size, sizeof size);
        memcpy(at + sizeof size, name, size);
        at += sizeof size + size;
    }
    int64_t count = (int64_t)n;
    set_output(&out[0], SW_F32, 2, (int64_t[]){count, 4}, boxes);
    set_output(&out[1], SW_F32, 1, &count, scores);
    set_output(&out[2], SW_I32, 1, &count, classes);
    set_output(&out[3], SW_SERVE_BYTES, 1, &count, text);
    out[3].bytes = texts;
    return SW_SERVE_OK;
}

sw_serve_code sw__step_yolo(const sw__step *s, const sw_serve_tensor *in, sw_serve_tensor *out, sw__step_memory *memory,
                            sw_serve_error *error) {
    sw_serve_tensor raw[SW__STEP_PORTS];
    sw_fitting fitting;
    sw_detections found;
    sw__kept *k = read_meta(&in[1], &fitting, error) == SW_SERVE_OK ? take_detector(s, memory, error) : NULL;
    if (!k) return error->code;
    sw_serve_code code = sw__detectors_finish(k, &fitting, raw, collect_raw(in, raw), &found, error);
    return code == SW_SERVE_OK ? write_detections(k, &found, out, memory, error) : code;
}

const sw_demand *sw__step_demand(const sw_serve_model *yolo, sw_serve_model *network, sw_demand *demand) {
    const sw__step *s = yolo->opened;
    sw__wish wish = s->wish;
    sw_serve_error error; /* the step itself will tell */
    const sw_demand *found = NULL;
    if (sw_serve_model_take_plan(network, &wish.plan, &error) != SW_SERVE_OK || !wish.plan) return NULL;
    sw__kept *kept = sw__detectors_take(s->core->detectors, &wish, &error);
    if (kept) found = sw_detector_demand(kept->detector);
    if (found) *demand = *found;
    sw__detectors_give(s->core->detectors, kept);
    sw_plan_unref(wish.plan);
    return found ? demand : NULL;
}

/* -- Crop ------------------------------------------------------------------------------------------------------------ */

/* The pixels that a box touches, at least one. */
static sw_picture crop_of(const sw_picture *p, const float *box) {
    int from[2], to[2], most[2] = {p->width, p->height};
    for (int i = 0; i < 2; i++) {
        float low = box[i] > 0 ? fminf(box[i], (float)(most[i] - 1)) : 0; /* what is no number is 0 */
        float high = box[i + 2] > 0 ? fminf(box[i + 2], (float)most[i]) : 0;
        from[i] = (int)floorf(low);
        to[i] = (int)ceilf(high);
        if (to[i] <= from[i]) to[i] = from[i] + 1;
    }
    sw_picture crop = *p;
    crop.data += (size_t)from[1] * p->pitch + 3 * (size_t)from[0];
    crop.width = to[0] - from[0];
    crop.height = to[1] - from[1];
    return crop;
}

/* A box that takes in everything. */
static const float everything[4] = {0, 0, INFINITY, INFINITY};

sw_serve_code sw__step_crop(const sw__step *s, const sw_serve_tensor *in, sw_serve_tensor *out, sw__step_memory *memory,
                            sw_serve_error *error) {
    sw_picture picture;
    sw_tensor first = {0};
    int64_t n = in[1].dims[0] < s->max_crops ? in[1].dims[0] : s->max_crops;
    sw_serve_code code = view_picture(&in[0], &picture, error);
    if (code == SW_SERVE_OK) code = begin_fitting(s, memory, error);
    for (int64_t i = 0; i < (n ? n : 1) && code == SW_SERVE_OK; i++) { /* without boxes: for the shape */
        sw_picture crop = crop_of(&picture, n ? (const float *)in[1].data + 4 * i : everything);
        sw_tensor input;
        sw_fitting fitting;
        code = fit_picture(s, &crop, &input, &fitting, memory, error);
        if (code != SW_SERVE_OK) break;
        size_t bytes = (size_t)sw_tensor_bytes(&input);
        if (i == 0) first = input;
        if (i == 0 && !(memory->block = sw_alloc(NULL, bytes * (size_t)n + 1))) return sw__serve_no_memory(error);
        if (input.rank < 4 || input.dims[0] != 1 || memcmp(input.dims, first.dims, sizeof input.dims) != 0)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                                 "slipway_crop: model '%s' takes crops of different shapes, or several at a time; give "
                                 "slipway_crop the parameter size",
                                 s->network);
        if (n) memcpy((char *)memory->block + (size_t)i * bytes, input.data, bytes);
    }
    if (code != SW_SERVE_OK) return code;
    first.dims[0] = n;
    set_output(&out[0], (int)first.dtype, first.rank, first.dims, memory->block);
    return SW_SERVE_OK;
}
