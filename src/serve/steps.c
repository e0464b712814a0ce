/* Built-in steps as backends: parameters, ports, memory. What they do is in step_runs.c. */
#include "serve/steps.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "serve/internal.h"

/* -- The table ------------------------------------------------------------------------------------------------------- */

typedef struct port {
    const char *name;
    int dtype, rank;
    int64_t dims[4];
    bool optional, loose;
} port;

#define FIT "size", "fit", "pad", "type", "layout", "order", "range", "mean", "std"
#define RAW(n)                                                                                                         \
    { .name = "RAW_" #n, .dtype = SW_F32, .rank = 3, .dims = {-1, -1, -1}, .optional = true, .loose = true }

static const struct kind {
    const char *name;
    sw__step_fn *run;
    const char *parameters[14];
    port inputs[SW__STEP_PORTS + 1], outputs[5];
} kinds[SW__STEPS] = {
    {"slipway_decode",
     sw__step_decode,
     {NULL},
     {{"IMAGE", SW_SERVE_BYTES, 1, {1}}},
     {{"PICTURE", SW_U8, 3, {-1, -1, 3}}}},
    {"slipway_letterbox",
     sw__step_letterbox,
     {"model", "version", "imgsz", FIT},
     {{"PICTURE", SW_U8, 3, {-1, -1, 3}}},
     {{"TENSOR", SW_F32, 4, {-1, -1, -1, -1}, .loose = true}, {"META", SW_F32, 1, {SW__META}}}},
    {"slipway_yolo",
     sw__step_yolo,
     {"model", "version", "conf", "iou", "max_det", "imgsz"},
     {{"RAW", SW_F32, 3, {-1, -1, -1}, .loose = true},
      {"META", SW_F32, 1, {SW__META}},
      RAW(1),
      RAW(2),
      RAW(3),
      RAW(4),
      RAW(5),
      RAW(6),
      RAW(7),
      RAW(8),
      RAW(9),
      RAW(10),
      RAW(11),
      RAW(12),
      RAW(13),
      RAW(14),
      RAW(15)},
     {{"BOXES", SW_F32, 2, {-1, 4}},
      {"SCORES", SW_F32, 1, {-1}},
      {"CLASSES", SW_I32, 1, {-1}},
      {"LABELS", SW_SERVE_BYTES, 1, {-1}}}},
    {"slipway_crop",
     sw__step_crop,
     {"model", "version", "max_crops", FIT},
     {{"PICTURE", SW_U8, 3, {-1, -1, 3}}, {"BOXES", SW_F32, 2, {-1, 4}}},
     {{"CROPS", SW_F32, 4, {-1, -1, -1, -1}, .loose = true}}},
};

static const struct kind *kind_of(const sw_serve_backend *backend) {
    return &kinds[backend - sw__step_backends];
}

const sw_serve_backend *sw__step_named(const char *name) {
    for (int i = 0; i < SW__STEPS; i++)
        if (!strcmp(kinds[i].name, name)) return &sw__step_backends[i];
    return NULL;
}

const char *const *sw__step_parameters(const sw_serve_backend *step) {
    return kind_of(step)->parameters;
}

/* -- Opening --------------------------------------------------------------------------------------------------------- */

static int make_ports(const port *from, sw_serve_port *to) {
    int n = 0;
    for (; from[n].name; n++) {
        to[n] = (sw_serve_port){.name = from[n].name,
                                .dtype = from[n].dtype,
                                .rank = from[n].rank,
                                .optional = from[n].optional,
                                .loose = from[n].loose};
        memcpy(to[n].dims, from[n].dims, sizeof from[n].dims);
    }
    return n;
}

static sw_serve_code read_number(const sw_serve_opening *o, const char *key, double least, double most, double *value,
                                 sw_serve_error *error) {
    const char *text = o->parameter(o->parameter_ctx, key);
    if (!text || (sw_str_to_f64(text, strlen(text), value) && *value >= least && *value <= most)) return SW_SERVE_OK;
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "model '%s': parameter %s is \"%.40s\", expected %g to %g",
                         o->name, key, text, least, most);
}

static sw_serve_code refuse(const sw_serve_opening *o, const char *key, const char *expected, sw_serve_error *error) {
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "model '%s': parameter %s is \"%.40s\", expected %s", o->name, key,
                         o->parameter(o->parameter_ctx, key), expected);
}

/* "224" or "256x128": height and width. */
static sw_serve_code read_size(const sw_serve_opening *o, sw_fitter_options *fit, sw_serve_error *error) {
    const char *text = o->parameter(o->parameter_ctx, "size");
    int64_t sides[2];
    if (!text) return SW_SERVE_OK;
    size_t n = strcspn(text, "x");
    const char *width = text[n] ? text + n + 1 : text;
    bool good = sw_str_to_i64(text, n, &sides[0]) && sw_str_to_i64(width, text[n] ? strlen(width) : n, &sides[1]);
    for (int i = 0; i < 2 && good; i++) good = sides[i] >= 1 && sides[i] <= 4096;
    if (!good) return refuse(o, "size", "HEIGHTxWIDTH of 1 to 4096 pixels each", error);
    fit->height = (int)sides[0], fit->width = (int)sides[1];
    return SW_SERVE_OK;
}

/* The number of one of the words; the first where the parameter is not set. */
static sw_serve_code read_word(const sw_serve_opening *o, const char *key, const char *const *words, int n,
                               const char *expected, int *value, sw_serve_error *error) {
    const char *text = o->parameter(o->parameter_ctx, key);
    for (*value = 0; text && *value < n; ++*value)
        if (!strcmp(words[*value], text)) return SW_SERVE_OK;
    return text ? refuse(o, key, expected, error) : SW_SERVE_OK;
}

/* Three numbers with commas between them. */
static sw_serve_code read_three(const sw_serve_opening *o, const char *key, bool positive, float values[3],
                                sw_serve_error *error) {
    const char *at = o->parameter(o->parameter_ctx, key);
    for (int i = 0; at && i < 3; i++) {
        double value;
        size_t n = strcspn(at, ",");
        bool good = sw_str_to_f64(at, n, &value) && value >= (positive ? 1e-9 : -1e9) && value <= 1e9 &&
                    (at[n] == ',') == (i < 2);
        if (!good) return refuse(o, key, "three numbers with commas between them", error);
        values[i] = (float)value;
        at += n + 1;
    }
    return SW_SERVE_OK;
}

static sw_serve_code read_fit(const sw_serve_opening *o, sw_fitter_options *fit, sw_serve_error *error) {
    static const char *const fits[] = {"letterbox", "stretch", "crop"}, *const layouts[] = {"NCHW", "NHWC"},
                             *const orders[] = {"RGB", "BGR"}, *const ranges[] = {"1", "255"},
                             *const types[] = {"FP32", "FP16", "BF16", "UINT8", "INT8"};
    static const sw_dtype dtypes[] = {SW_F32, SW_F16, SW_BF16, SW_U8, SW_I8};
    int how = 0, layout = 0, order = 0, range = 0, type = 0;
    double pad = 114;
    sw_serve_code code = read_size(o, fit, error);
    if (code == SW_SERVE_OK) code = read_word(o, "fit", fits, 3, "letterbox, stretch or crop", &how, error);
    if (code == SW_SERVE_OK) code = read_word(o, "layout", layouts, 2, "NCHW or NHWC", &layout, error);
    if (code == SW_SERVE_OK) code = read_word(o, "order", orders, 2, "RGB or BGR", &order, error);
    if (code == SW_SERVE_OK) code = read_word(o, "range", ranges, 2, "1 or 255", &range, error);
    if (code == SW_SERVE_OK) code = read_word(o, "type", types, 5, "FP32, FP16, BF16, UINT8 or INT8", &type, error);
    if (code == SW_SERVE_OK) code = read_number(o, "pad", 0, 255, &pad, error);
    if (code == SW_SERVE_OK) code = read_three(o, "mean", false, fit->mean, error);
    if (code == SW_SERVE_OK) code = read_three(o, "std", true, fit->std, error);
    if (fit->std[0] == 0 && o->parameter(o->parameter_ctx, "mean")) fit->std[0] = fit->std[1] = fit->std[2] = 1;
    fit->fit = (sw_fit)how;
    fit->channels_last = layout == 1;
    fit->bgr = order == 1;
    fit->raw = range == 1;
    fit->dtype = dtypes[type];
    fit->pad = (int)pad;
    return code;
}

static sw_serve_code read_parameters(sw__step *s, const sw_serve_opening *o, sw_serve_error *error) {
    const char *network = o->parameter(o->parameter_ctx, "model");
    double max_det = 0, imgsz = 0, max_crops = 32, version = -1;
    s->wish = (sw__wish){.conf = -1, .iou = -1};
    if (network && *network && !(s->network = sw_alloc(NULL, strlen(network) + 1))) return sw__serve_no_memory(error);
    if (s->network) memcpy(s->network, network, strlen(network) + 1);
    sw_serve_code code = read_number(o, "conf", 0, 1, &s->wish.conf, error);
    if (code == SW_SERVE_OK) code = read_number(o, "iou", 0, 1, &s->wish.iou, error);
    if (code == SW_SERVE_OK) code = read_number(o, "max_det", 1, 100000, &max_det, error);
    if (code == SW_SERVE_OK) code = read_number(o, "imgsz", 1, 8192, &imgsz, error);
    if (code == SW_SERVE_OK) code = read_number(o, "max_crops", 1, SW__MAX_CROPS, &max_crops, error);
    if (code == SW_SERVE_OK) code = read_number(o, "version", 1, 1e15, &version, error);
    if (code == SW_SERVE_OK) code = read_fit(o, &s->fit, error);
    if (code != SW_SERVE_OK) return code;
    s->wish.max_det = (int)max_det;
    s->wish.imgsz = (int)imgsz;
    s->max_crops = (int)max_crops;
    s->version = (int64_t)version;
    const char *const *known = kind_of(s->backend)->parameters;
    if (!*known || s->network || (s->fit.height && strcmp(s->backend->name, "slipway_yolo") != 0)) return SW_SERVE_OK;
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                         "model '%s': %s needs the parameter model, the name of the network that it is for%s", o->name,
                         s->backend->name, strcmp(s->backend->name, "slipway_yolo") ? ", or size" : "");
}

static void step_close(void *model) {
    sw__step *s = model;
    sw_free(NULL, s->network);
    sw_free(NULL, s);
}

static sw_serve_code step_open(const sw_serve_backend *backend, const sw_serve_opening *opening, void **model,
                               sw_serve_error *error) {
    if (opening->max_batch_size > 0)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "model '%s': %s takes one picture a request; leave max_batch_size out (pictures of many "
                             "requests share the batches of the networks)",
                             opening->name, backend->name);
    sw__step *s = sw_calloc(NULL, 1, sizeof *s);
    if (!s) return sw__serve_no_memory(error);
    s->backend = backend;
    s->core = opening->core;
    sw_serve_code code = read_parameters(s, opening, error);
    if (code != SW_SERVE_OK) {
        step_close(s);
        return code;
    }
    s->nature = (sw_serve_nature){.n_inputs = make_ports(kind_of(backend)->inputs, s->inputs),
                                  .n_outputs = make_ports(kind_of(backend)->outputs, s->outputs),
                                  .inputs = s->inputs,
                                  .outputs = s->outputs};
    *model = s;
    return SW_SERVE_OK;
}

static void step_describe(void *model, sw_serve_nature *nature) {
    *nature = ((sw__step *)model)->nature;
}

/* -- Running --------------------------------------------------------------------------------------------------------- */

static sw_serve_code step_start(void *model, const sw_serve_start *how, void **instance, sw_serve_error *error) {
    sw__step_run *run = sw_calloc(NULL, 1, sizeof *run);
    if (!run) return sw__serve_no_memory(error);
    run->step = model;
    *instance = run;
    return SW_SERVE_OK;
}

static void release(void *memory) {
    sw__step_memory *m = memory;
    if (!m) return;
    sw__detectors_give(m->detectors, m->kept);
    if (m->picture_bytes) atomic_fetch_sub(&m->core->picture_bytes, m->picture_bytes);
    sw_fitter_destroy(m->fitter);
    sw_image_destroy(&m->image);
    sw_free(NULL, m->block);
    sw_free(NULL, m);
}

static void step_stop(void *instance) {
    sw__step_run *run = instance;
    release(run->memory);
    sw_free(NULL, run);
}

static void *take_memory(void *instance) {
    sw__step_run *run = instance;
    void *memory = run->memory;
    run->memory = NULL;
    return memory;
}

static sw_serve_code step_run(void *instance, const sw_serve_tensor *in, sw_serve_tensor *out, sw_serve_error *error) {
    sw__step_run *run = instance;
    release(run->memory);
    run->memory = sw_calloc(NULL, 1, sizeof *run->memory);
    if (!run->memory) return sw__serve_no_memory(error);
    run->memory->core = run->step->core;
    run->memory->detectors = run->step->core->detectors;
    return kind_of(run->step->backend)->run(run->step, in, out, run->memory, error);
}

#define STEP(text)                                                                                                     \
    .name = text, .platform = text, .open = step_open, .close = step_close, .describe = step_describe,                 \
    .start = step_start, .stop = step_stop, .run = step_run, .take_memory = take_memory, .release = release,           \
    .fileless = true

const sw_serve_backend sw__step_backends[SW__STEPS] = {
    {STEP("slipway_decode"), .computes = true, .waits = true},
    {STEP("slipway_letterbox"), .computes = true, .waits = true},
    {STEP("slipway_yolo"), .light = true, .waits = true},
    {STEP("slipway_crop"), .computes = true, .waits = true},
};
