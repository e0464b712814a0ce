/* Convolutions by cuDNN's graph API: convolution, bias, residual and activation as one graph of operations, which its
 * engines compile into one kernel or refuse. Layouts are ours: channels-last maps with a pitch, weights
 * [out][kernel_h][kernel_w][in]. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/cuda/library_tactic.h"
#include "base/hash.h"

enum { MOST_KNOBS = 24, MOST_POINTS = 4, ALIGNMENT = 16 };

/* ---- Descriptors --------------------------------------------------------------------------------------------------- */

static sw_cudnn_descriptor make(sw_cudnn_objects *o, unsigned kind) {
    sw_cudnn_descriptor d = NULL;
    if (o->n == SW_CUDNN_MOST_OBJECTS) o->bad = DNN_NOT_SUPPORTED;
    if (!o->bad) o->bad = o->api->make(kind, &d);
    if (d) o->made[o->n++] = d;
    return d;
}
static void set(sw_cudnn_objects *o, sw_cudnn_descriptor d, unsigned attribute, unsigned type, int64_t n,
                const void *values) {
    if (!o->bad) o->bad = o->api->set(d, attribute, type, n, values);
}
static void set_enum(sw_cudnn_objects *o, sw_cudnn_descriptor d, unsigned attribute, unsigned type, unsigned value) {
    set(o, d, attribute, type, 1, &value);
}
static void set_int(sw_cudnn_objects *o, sw_cudnn_descriptor d, unsigned attribute, int64_t value) {
    set(o, d, attribute, DNN_T_INT64, 1, &value);
}
static void set_object(sw_cudnn_objects *o, sw_cudnn_descriptor d, unsigned attribute, sw_cudnn_descriptor value) {
    set(o, d, attribute, DNN_T_DESCRIPTOR, 1, &value);
}
static sw_cudnn_descriptor finish(sw_cudnn_objects *o, sw_cudnn_descriptor d) {
    if (!o->bad) o->bad = o->api->finalize(d);
    return d;
}

void sw__cudnn_drop(sw_cudnn_objects *o) {
    for (int i = o->n - 1; i >= 0; i--) o->api->drop(o->made[i]);
    o->n = 0;
}

static const char *reason(const sw_cudnn_objects *o) {
    return o->bad ? o->api->error_string(o->bad) : NULL;
}

/* ---- A convolution as a graph -------------------------------------------------------------------------------------- */

static int64_t eights(int64_t channels) {
    return (channels + 7) / 8 * 8;
}

static sw_cudnn_descriptor make_tensor(sw_cudnn_objects *o, int64_t id, unsigned type, const int64_t dims[4],
                                       int64_t pitch) {
    const int64_t strides[4] = {dims[2] * dims[3] * pitch, 1, dims[3] * pitch, pitch};
    const char is_virtual = 1;
    sw_cudnn_descriptor d = make(o, DNN_TENSOR);
    set_int(o, d, DNN_TENSOR_ID, id);
    set_int(o, d, DNN_TENSOR_ALIGNMENT, ALIGNMENT);
    set_enum(o, d, DNN_TENSOR_TYPE, DNN_T_DATA_TYPE, type);
    set(o, d, DNN_TENSOR_DIMS, DNN_T_INT64, 4, dims);
    set(o, d, DNN_TENSOR_STRIDES, DNN_T_INT64, 4, strides);
    if (id >= DNN_ID_VIRTUAL) set(o, d, DNN_TENSOR_VIRTUAL, DNN_T_BOOLEAN, 1, &is_virtual);
    return finish(o, d);
}

/* Padding behind the end of an axis of the input: as much as before it where that gives the same output, since some engines
 * take even padding only; else what is needed. */
static int64_t pad_end(int64_t out, int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t begin) {
    int64_t span = (kernel - 1) * dilation + 1, needed = (out - 1) * stride + span - in - begin;
    if ((in + 2 * begin - span) / stride + 1 == out) return begin;
    return needed > 0 ? needed : 0;
}

static sw_cudnn_descriptor make_convolution(sw_cudnn_objects *o, const sw_conv *c) {
    const int64_t strides[2] = {c->stride_h, c->stride_w}, dilations[2] = {c->dilation_h, c->dilation_w};
    const int64_t begin[2] = {c->pad_top, c->pad_left};
    const int64_t end[2] = {pad_end(c->out_height, c->height, c->kernel_h, c->stride_h, c->dilation_h, c->pad_top),
                            pad_end(c->out_width, c->width, c->kernel_w, c->stride_w, c->dilation_w, c->pad_left)};
    sw_cudnn_descriptor d = make(o, DNN_CONVOLUTION);
    set_enum(o, d, DNN_CONV_TYPE, DNN_T_DATA_TYPE, DNN_FLOAT);
    set_enum(o, d, DNN_CONV_MODE, DNN_T_CONV_MODE, DNN_CROSS_CORRELATION);
    set(o, d, DNN_CONV_DILATIONS, DNN_T_INT64, 2, dilations);
    set(o, d, DNN_CONV_STRIDES, DNN_T_INT64, 2, strides);
    set(o, d, DNN_CONV_PAD_BEGIN, DNN_T_INT64, 2, begin);
    set(o, d, DNN_CONV_PAD_END, DNN_T_INT64, 2, end);
    set_int(o, d, DNN_CONV_DIMS, 2);
    return finish(o, d);
}

static sw_cudnn_descriptor make_forward(sw_cudnn_objects *o, const sw_conv *c, sw_cudnn_descriptor x,
                                        sw_cudnn_descriptor w, sw_cudnn_descriptor y) {
    const float one = 1, zero = 0;
    sw_cudnn_descriptor convolution = make_convolution(o, c), d = make(o, DNN_CONV_FORWARD);
    set(o, d, DNN_FORWARD_ALPHA, DNN_T_FLOAT, 1, &one);
    set(o, d, DNN_FORWARD_BETA, DNN_T_FLOAT, 1, &zero);
    set_object(o, d, DNN_FORWARD_CONV, convolution);
    set_object(o, d, DNN_FORWARD_X, x);
    set_object(o, d, DNN_FORWARD_W, w);
    set_object(o, d, DNN_FORWARD_Y, y);
    return finish(o, d);
}

/* An operation on each element: another tensor is added, or an activation. */
typedef struct point {
    unsigned mode;
    sw_cudnn_descriptor other; /* NULL: an activation */
} point;

static void set_clips(sw_cudnn_objects *o, sw_cudnn_descriptor d, const sw_conv *c) {
    const double a = c->act_a, b = c->act_b;
    if (c->act == SW_ACT_LEAKY) set(o, d, DNN_RELU_SLOPE, DNN_T_DOUBLE, 1, &a);
    if (c->act == SW_ACT_CLIP) {
        set(o, d, DNN_RELU_LOWER, DNN_T_DOUBLE, 1, &a);
        set(o, d, DNN_RELU_UPPER, DNN_T_DOUBLE, 1, &b);
    }
}

static sw_cudnn_descriptor make_point(sw_cudnn_objects *o, const sw_conv *c, const point *p, sw_cudnn_descriptor x,
                                      sw_cudnn_descriptor y) {
    sw_cudnn_descriptor what = make(o, DNN_POINTWISE);
    set_enum(o, what, DNN_POINTWISE_MODE, DNN_T_POINTWISE_MODE, p->mode);
    set_enum(o, what, DNN_POINTWISE_PRECISION, DNN_T_DATA_TYPE, DNN_FLOAT);
    if (!p->other) set_clips(o, what, c);
    finish(o, what);
    sw_cudnn_descriptor d = make(o, DNN_OP_POINTWISE);
    set_object(o, d, DNN_OP_POINTWISE_DESC, what);
    set_object(o, d, DNN_OP_POINTWISE_X, x);
    if (p->other) set_object(o, d, DNN_OP_POINTWISE_B, p->other);
    set_object(o, d, DNN_OP_POINTWISE_Y, y);
    return finish(o, d);
}

/* The mode of an activation; -1: there is none. */
static int mode_of(sw_act act) {
    switch (act) {
    case SW_ACT_RELU:
    case SW_ACT_LEAKY:
    case SW_ACT_CLIP:
        return DNN_RELU;
    case SW_ACT_SILU:
        return DNN_SWISH;
    case SW_ACT_SIGMOID:
        return DNN_SIGMOID;
    case SW_ACT_GELU:
        return DNN_GELU;
    default:
        return -1;
    }
}

/* Sums and results between operations are float32 and never stored. */
static sw_cudnn_descriptor make_graph(sw_cudnn_objects *o, sw_cudnn_handle handle, const sw_conv *c, bool bf16) {
    const unsigned half = bf16 ? DNN_BFLOAT16 : DNN_HALF;
    const int64_t in = eights(c->in_channels), out = eights(c->out_channels);
    const int64_t x_dims[4] = {c->batch, in, c->height, c->width}, w_dims[4] = {out, in, c->kernel_h, c->kernel_w};
    const int64_t y_dims[4] = {c->batch, out, c->out_height, c->out_width}, bias_dims[4] = {1, out, 1, 1};
    sw_cudnn_descriptor x = make_tensor(o, DNN_ID_X, half, x_dims, c->in_pitch);
    sw_cudnn_descriptor w = make_tensor(o, DNN_ID_W, half, w_dims, in);
    sw_cudnn_descriptor y = make_tensor(o, DNN_ID_Y, half, y_dims, c->out_pitch);
    sw_cudnn_descriptor bias = make_tensor(o, DNN_ID_BIAS, DNN_FLOAT, bias_dims, out);
    sw_cudnn_descriptor residual =
        c->residual ? make_tensor(o, DNN_ID_RESIDUAL, half, y_dims, c->residual_pitch) : NULL;
    point points[MOST_POINTS] = {{DNN_ADD, bias}};
    int n = 1;
    if (residual && c->residual_before_act) points[n++] = (point){DNN_ADD, residual};
    if (c->act != SW_ACT_NONE) points[n++] = (point){(unsigned)mode_of(c->act), NULL};
    if (residual && !c->residual_before_act) points[n++] = (point){DNN_ADD, residual};
    sw_cudnn_descriptor ops[MOST_POINTS + 1], at = make_tensor(o, DNN_ID_VIRTUAL, DNN_FLOAT, y_dims, out);
    ops[0] = make_forward(o, c, x, w, at);
    for (int i = 0; i < n; i++) {
        sw_cudnn_descriptor to = i + 1 < n ? make_tensor(o, DNN_ID_VIRTUAL + 1 + i, DNN_FLOAT, y_dims, out) : y;
        ops[1 + i] = make_point(o, c, &points[i], at, to);
        at = to;
    }
    sw_cudnn_descriptor graph = make(o, DNN_GRAPH);
    set(o, graph, DNN_GRAPH_HANDLE, DNN_T_HANDLE, 1, &handle);
    set(o, graph, DNN_GRAPH_OPS, DNN_T_DESCRIPTOR, n + 1, ops);
    return finish(o, graph);
}

/* NULL: cuDNN may be asked, and has the handle. */
static const char *refuse(sw_cudnn_handle *handle, const sw_conv *c) {
    if (c->groups != 1) return "it has groups";
    if (c->act != SW_ACT_NONE && mode_of(c->act) < 0) return "its activation is none of cuDNN's";
    if (*handle) return NULL;
    return sw__cuda_cudnn()->create(handle) == 0 ? NULL : "cuDNN does not start";
}

/* ---- Choices ------------------------------------------------------------------------------------------------------- */

/* A configuration in words: engine:knob=value,... */
static bool name_config(const sw_cudnn *api, sw_cudnn_descriptor config, char *name, size_t size) {
    sw_cudnn_objects o = {.api = api};
    sw_cudnn_descriptor engine = make(&o, DNN_ENGINE), knobs[MOST_KNOBS];
    int64_t index = -1, got = 0, n = 0;
    for (int i = 0; i < MOST_KNOBS; i++) knobs[i] = make(&o, DNN_KNOB);
    if (!o.bad) o.bad = api->get(config, DNN_CONFIG_ENGINE, DNN_T_DESCRIPTOR, 1, &got, &engine);
    if (!o.bad) o.bad = api->get(engine, DNN_ENGINE_INDEX, DNN_T_INT64, 1, &got, &index);
    if (!o.bad) o.bad = api->get(config, DNN_CONFIG_KNOBS, DNN_T_DESCRIPTOR, MOST_KNOBS, &n, knobs);
    size_t used = (size_t)snprintf(name, size, "CUDNN_%zu_%" PRId64, api->version(), index);
    for (int i = 0; i < n && i < MOST_KNOBS && used < size; i++) {
        unsigned type = 0;
        int64_t value = 0;
        if (!o.bad) o.bad = api->get(knobs[i], DNN_KNOB_TYPE, DNN_T_KNOB_TYPE, 1, &got, &type);
        if (!o.bad) o.bad = api->get(knobs[i], DNN_KNOB_VALUE, DNN_T_INT64, 1, &got, &value);
        used += (size_t)snprintf(name + used, size - used, "%c%u=%" PRId64, i ? ',' : ':', type, value);
    }
    bool good = !o.bad && index >= 0 && n <= MOST_KNOBS && used < size;
    sw__cudnn_drop(&o);
    return good;
}

int sw__cudnn_find(sw_cuda *gpu, const sw_conv *c, char (*names)[SW_CUDA_TACTIC_NAME]) {
    const sw_cudnn *api = sw__cuda_cudnn();
    if (!api || refuse(&gpu->cudnn[0], c)) return 0;
    sw_cudnn_objects o = {.api = api};
    sw_cudnn_descriptor configs[SW_CUDA_MOST_TACTICS], heuristic,
        graph = make_graph(&o, gpu->cudnn[0], c, gpu->info.cell == SW_CUDA_BF16);
    int64_t n = 0;
    heuristic = make(&o, DNN_HEURISTIC);
    set_object(&o, heuristic, DNN_HEUR_GRAPH, graph);
    set_enum(&o, heuristic, DNN_HEUR_MODE, DNN_T_HEUR_MODE, DNN_MODE_A);
    finish(&o, heuristic);
    for (int i = 0; i < SW_CUDA_MOST_TACTICS; i++) configs[i] = make(&o, DNN_CONFIG);
    if (!o.bad)
        o.bad = api->get(heuristic, DNN_HEUR_RESULTS, DNN_T_DESCRIPTOR, SW_CUDA_MOST_TACTICS, &n, configs);
    int named = 0;
    for (int i = 0; i < n && i < SW_CUDA_MOST_TACTICS && !o.bad; i++)
        named += name_config(api, configs[i], names[named], SW_CUDA_TACTIC_NAME);
    sw__cudnn_drop(&o);
    return named;
}

/* The engine and the knobs of a choice; NULL (and `bad`) when it is none. */
static sw_cudnn_descriptor make_config(sw_cudnn_objects *o, sw_cudnn_descriptor graph, const char *choice) {
    sw_cudnn_descriptor engine = make(o, DNN_ENGINE), config, knobs[MOST_KNOBS];
    int n = 0;
    char *at;
    set_object(o, engine, DNN_ENGINE_GRAPH, graph);
    set_int(o, engine, DNN_ENGINE_INDEX, strtoll(choice, &at, 10));
    finish(o, engine);
    for (; (*at == ':' || *at == ',') && n < MOST_KNOBS; n++) {
        unsigned type = (unsigned)strtoul(at + 1, &at, 10);
        if (*at != '=') break;
        knobs[n] = make(o, DNN_KNOB);
        set_enum(o, knobs[n], DNN_KNOB_TYPE, DNN_T_KNOB_TYPE, type);
        set_int(o, knobs[n], DNN_KNOB_VALUE, strtoll(at + 1, &at, 10));
        finish(o, knobs[n]);
    }
    if (*at) o->bad = DNN_NOT_SUPPORTED;
    config = make(o, DNN_CONFIG);
    set_object(o, config, DNN_CONFIG_ENGINE, engine);
    if (n) set(o, config, DNN_CONFIG_KNOBS, DNN_T_DESCRIPTOR, n, knobs);
    return finish(o, config);
}

/* ---- Plans, which the code cache keeps in cuDNN's JSON -------------------------------------------------------------- */

enum { MOST_JSON = 1 << 20, CACHE_NAME = 64 };

/* Of all that a plan depends on: field by field, as structs have gaps. */
static void name_plan(const sw_cuda *gpu, const sw_conv *c, const char *choice, char name[CACHE_NAME]) {
    uint64_t hash = sw_hash(sw__cuda_cudnn()->version(), c, offsetof(sw_conv, out_planar)); /* extents and pitches */
    const int flags[] = {(int)c->act, c->residual, c->residual_before_act, gpu->info.cell == SW_CUDA_BF16,
                         gpu->info.multiprocessors};
    const float values[] = {c->act_a, c->act_b};
    hash = sw_hash(hash, flags, sizeof flags);
    hash = sw_hash(hash, values, sizeof values);
    hash = sw_hash_text(sw_hash_text(hash, gpu->info.name), choice);
    snprintf(name, CACHE_NAME, "cudnn-sm%d-%016" PRIx64, gpu->info.sm, hash);
}

static sw_cudnn_descriptor begin_plan(sw_cudnn_objects *o, sw_cudnn_handle handle) {
    sw_cudnn_descriptor plan = make(o, DNN_PLAN);
    set(o, plan, DNN_PLAN_HANDLE, DNN_T_HANDLE, 1, &handle);
    return plan;
}

static sw_cudnn_descriptor compile_plan(sw_cudnn_objects *o, sw_cudnn_handle handle, const sw_conv *c, bool bf16,
                                        const char *choice) {
    sw_cudnn_descriptor config = make_config(o, make_graph(o, handle, c, bf16), choice), plan = begin_plan(o, handle);
    set_object(o, plan, DNN_PLAN_CONFIG, config);
    return finish(o, plan);
}

static void keep_plan(const sw_cuda *gpu, const sw_cudnn_objects *o, sw_cudnn_descriptor plan, const char *name) {
    sw_buf json = sw_buf_make(gpu->allocator, MOST_JSON);
    int64_t size = 0;
    uint8_t *room = o->bad ? NULL : sw_buf_extend(&json, MOST_JSON);
    if (room && o->api->get(plan, DNN_PLAN_JSON, DNN_T_CHAR, MOST_JSON, &size, room) == 0 && size > 0 &&
        size < MOST_JSON) {
        json.size = (size_t)size;
        sw_cuda_cache_write(name, &json, gpu->allocator);
    }
    sw_buf_free(&json);
}

/* NULL when the cache has none, or cuDNN does not take it. */
static sw_cudnn_descriptor read_plan(const sw_cuda *gpu, sw_cudnn_handle handle, sw_cudnn_objects *o,
                                     const char *name) {
    sw_buf json = sw_buf_make(gpu->allocator, MOST_JSON);
    sw_cudnn_descriptor plan = NULL;
    if (sw_cuda_cache_read(name, &json)) {
        plan = begin_plan(o, handle);
        set(o, plan, DNN_PLAN_JSON, DNN_T_CHAR, (int64_t)json.size, json.data);
        finish(o, plan);
    }
    sw_buf_free(&json);
    if (!o->bad) return plan;
    sw__cudnn_drop(o);
    o->bad = 0;
    return NULL;
}

const char *sw__cudnn_make(sw_cuda *gpu, int handle, const sw_conv *c, const char *choice, sw_cuda_tactic *t) {
    const char *why = refuse(&gpu->cudnn[handle], c);
    if (why) return why;
    sw_cudnn_objects *o = &t->dnn;
    char name[CACHE_NAME];
    int64_t n = 0;
    o->api = sw__cuda_cudnn();
    name_plan(gpu, c, choice, name);
    t->plan = read_plan(gpu, gpu->cudnn[handle], o, name);
    if (!t->plan) {
        t->plan = compile_plan(o, gpu->cudnn[handle], c, gpu->info.cell == SW_CUDA_BF16, choice);
        keep_plan(gpu, o, t->plan, name);
    }
    if (!o->bad) o->bad = o->api->get(t->plan, DNN_PLAN_WORKSPACE, DNN_T_INT64, 1, &n, &t->workspace);
    t->residual = c->residual;
    return reason(o);
}

const char *sw__cudnn_run(sw_cuda *gpu, const sw_cuda_tactic *t, const sw_cuda_conv *c, void *workspace,
                          sw_cu_stream stream) {
    const int64_t ids[] = {DNN_ID_X, DNN_ID_W, DNN_ID_Y, DNN_ID_BIAS, DNN_ID_RESIDUAL};
    const void *places[] = {c->in, c->weights, c->out, c->bias, c->residual};
    sw_cudnn_objects o = {.api = t->dnn.api};
    sw_cudnn_descriptor pack = make(&o, DNN_PACK);
    set(&o, pack, DNN_PACK_IDS, DNN_T_INT64, 4 + t->residual, ids);
    set(&o, pack, DNN_PACK_POINTERS, DNN_T_POINTER, 4 + t->residual, places);
    set(&o, pack, DNN_PACK_WORKSPACE, DNN_T_POINTER, 1, &workspace);
    finish(&o, pack);
    if (!o.bad) o.bad = o.api->set_stream(gpu->cudnn[0], stream);
    if (!o.bad) o.bad = o.api->execute(gpu->cudnn[0], t->plan, pack);
    const char *why = reason(&o);
    sw__cudnn_drop(&o);
    return why;
}
