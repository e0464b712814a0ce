/* cuDNN's graph API for one kind of graph, a convolution and what follows on each element, in plain C: the library stands in
 * for libcudnn.so.9 (SLIPWAY_CUDNN). Descriptors keep what is set; two engines take any graph. EMU_CUDA chooses what goes
 * wrong: "dnn-8", "dnn-other" (another version), "dnn-none" (it does not start), "dnn-graph", "dnn-plan", "dnn-json", "dnn-run"
 * (they are refused), "dnn-big" (workspace). */
#include <stdio.h>
#include <stdlib.h>

#include "backend/cuda/library.h"
#include "cuda_emu/emu.h"

enum { MAX_VALUES = 8, MAX_ATTRIBUTES = 16, REFUSED = DNN_NOT_SUPPORTED, WORKSPACE = 256, ENGINES = 2, MOST_POINTS = 4 };

#define EXPORT(result, symbol, arguments)                                                                              \
    __attribute__((visibility("default"))) result symbol arguments;                                                    \
    result symbol arguments

typedef struct attribute {
    unsigned name, type;
    int64_t n;
    union {
        int64_t ints[MAX_VALUES];
        void *objects[MAX_VALUES];
        double doubles[MAX_VALUES];
        float floats[MAX_VALUES];
        int enums[MAX_VALUES];
        char flags[MAX_VALUES];
    } v;
} attribute;

typedef struct tensor {
    int64_t dims[4], strides[4];
    int64_t id;
    void *data; /* while it runs */
    bool bf16;
} tensor;

typedef struct work {
    tensor x, w, y, bias, residual;
    int64_t begin[2], stride[2], dilation[2];
    struct {
        int mode;
        bool other_is_bias;
        double lower, upper, slope;
    } points[MOST_POINTS];
    int n;
    char *workspace;
} work;

typedef struct descriptor {
    unsigned kind;
    bool finished;
    int n;
    attribute attributes[MAX_ATTRIBUTES];
    work *work; /* of a plan; its JSON are these bytes */
} descriptor;

struct cudnnContext {
    sw_cu_stream stream;
};

static size_t size_of(unsigned type) {
    return type == DNN_T_BOOLEAN ? 1
           : type == DNN_T_INT64 || type == DNN_T_DOUBLE || type == DNN_T_POINTER || type == DNN_T_DESCRIPTOR ||
                   type == DNN_T_HANDLE
               ? 8
               : 4;
}

static const attribute *find(const descriptor *d, unsigned name) {
    for (int i = 0; i < d->n; i++)
        if (d->attributes[i].name == name) return &d->attributes[i];
    return NULL;
}
static const attribute *need(const descriptor *d, unsigned name) {
    const attribute *a = find(d, name);
    if (!a) exit(73); /* cuDNN would refuse it before */
    return a;
}
static const descriptor *child(const descriptor *d, unsigned name) {
    return need(d, name)->v.objects[0];
}
static int64_t number(const descriptor *d, unsigned name) {
    return need(d, name)->v.ints[0];
}

/* ---- From a graph to what is to be done ---------------------------------------------------------------------------- */

static tensor read_tensor(const descriptor *t) {
    tensor r = {.bf16 = need(t, DNN_TENSOR_TYPE)->v.enums[0] == DNN_BFLOAT16, .id = number(t, DNN_TENSOR_ID)};
    memcpy(r.dims, need(t, DNN_TENSOR_DIMS)->v.ints, sizeof r.dims);
    memcpy(r.strides, need(t, DNN_TENSOR_STRIDES)->v.ints, sizeof r.strides);
    return r;
}

static double clip(const descriptor *what, unsigned name, double standard) {
    return find(what, name) ? find(what, name)->v.doubles[0] : standard;
}

static bool make_work(descriptor *plan) {
    work *o = plan->work = calloc(1, sizeof *o);
    if (!o || !find(plan, DNN_PLAN_CONFIG)) return false;
    const descriptor *graph = child(child(child(plan, DNN_PLAN_CONFIG), DNN_CONFIG_ENGINE), DNN_ENGINE_GRAPH);
    const attribute *ops = need(graph, DNN_GRAPH_OPS);
    const descriptor *forward = ops->v.objects[0], *convolution = child(forward, DNN_FORWARD_CONV);
    o->n = (int)ops->n - 1;
    o->x = read_tensor(child(forward, DNN_FORWARD_X));
    o->w = read_tensor(child(forward, DNN_FORWARD_W));
    memcpy(o->begin, need(convolution, DNN_CONV_PAD_BEGIN)->v.ints, sizeof o->begin);
    memcpy(o->stride, need(convolution, DNN_CONV_STRIDES)->v.ints, sizeof o->stride);
    memcpy(o->dilation, need(convolution, DNN_CONV_DILATIONS)->v.ints, sizeof o->dilation);
    for (int i = 0; i < o->n; i++) {
        const descriptor *op = ops->v.objects[1 + i], *what = child(op, DNN_OP_POINTWISE_DESC);
        o->points[i].mode = need(what, DNN_POINTWISE_MODE)->v.enums[0];
        o->points[i].lower = clip(what, DNN_RELU_LOWER, 0);
        o->points[i].upper = clip(what, DNN_RELU_UPPER, HUGE_VAL);
        o->points[i].slope = clip(what, DNN_RELU_SLOPE, 0);
        if (find(op, DNN_OP_POINTWISE_B)) {
            tensor other = read_tensor(child(op, DNN_OP_POINTWISE_B));
            o->points[i].other_is_bias = other.id == DNN_ID_BIAS;
            *(o->points[i].other_is_bias ? &o->bias : &o->residual) = other;
        }
        o->y = read_tensor(child(op, DNN_OP_POINTWISE_Y)); /* of the last one */
    }
    return true;
}

/* ---- Descriptors --------------------------------------------------------------------------------------------------- */

EXPORT(unsigned, cudnnBackendSetAttribute,
       (sw_cudnn_descriptor descriptor_, unsigned name, unsigned type, int64_t n, const void *values)) {
    descriptor *d = descriptor_;
    if (name == DNN_PLAN_JSON) {
        d->work = n == sizeof *d->work && !emu_goes_wrong("dnn-json") ? malloc(sizeof *d->work) : NULL;
        return d->work ? (memcpy(d->work, values, sizeof *d->work), 0) : REFUSED;
    }
    if (d->finished || d->n == MAX_ATTRIBUTES || n > MAX_VALUES || !values || find(d, name)) return REFUSED;
    attribute *a = &d->attributes[d->n++];
    *a = (attribute){.name = name, .type = type, .n = n};
    memcpy(&a->v, values, (size_t)n * size_of(type));
    for (int i = 0; type == DNN_T_DESCRIPTOR && i < n; i++)
        if (!a->v.objects[i] || !((descriptor *)a->v.objects[i])->finished) return REFUSED;
    return 0;
}

EXPORT(unsigned, cudnnBackendCreateDescriptor,
       (unsigned kind, sw_cudnn_descriptor *made)) {
    descriptor *d = calloc(1, sizeof *d);
    *made = d;
    if (d) d->kind = kind;
    return d ? 0 : REFUSED;
}
EXPORT(unsigned, cudnnBackendDestroyDescriptor,
       (sw_cudnn_descriptor d)) {
    return free(((descriptor *)d)->work), free(d), 0;
}

EXPORT(unsigned, cudnnBackendFinalize,
       (sw_cudnn_descriptor descriptor_)) {
    descriptor *d = descriptor_;
    static const struct {
        unsigned kind, needs[5];
    } needs[] = {
        {DNN_TENSOR, {DNN_TENSOR_ID, DNN_TENSOR_ALIGNMENT, DNN_TENSOR_TYPE, DNN_TENSOR_DIMS, DNN_TENSOR_STRIDES}},
        {DNN_CONVOLUTION, {DNN_CONV_TYPE, DNN_CONV_MODE, DNN_CONV_STRIDES, DNN_CONV_PAD_BEGIN, DNN_CONV_PAD_END}},
        {DNN_CONV_FORWARD, {DNN_FORWARD_ALPHA, DNN_FORWARD_BETA, DNN_FORWARD_X, DNN_FORWARD_W, DNN_FORWARD_Y}},
        {DNN_OP_POINTWISE, {DNN_OP_POINTWISE_DESC, DNN_OP_POINTWISE_X, DNN_OP_POINTWISE_Y}},
        {DNN_GRAPH, {DNN_GRAPH_HANDLE, DNN_GRAPH_OPS}},
        {DNN_PLAN, {DNN_PLAN_HANDLE}},
        {DNN_PACK, {DNN_PACK_IDS, DNN_PACK_POINTERS, DNN_PACK_WORKSPACE}},
    };
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++)
        for (int k = 0; k < 5 && needs[i].kind == d->kind; k++)
            if ((k == 0 || needs[i].needs[k]) && !find(d, needs[i].needs[k])) return REFUSED;
    bool bad_engine = d->kind == DNN_ENGINE && (number(d, DNN_ENGINE_INDEX) < 0 || number(d, DNN_ENGINE_INDEX) >= ENGINES);
    if (bad_engine || (d->kind == DNN_GRAPH && emu_goes_wrong("dnn-graph")) ||
        (d->kind == DNN_PLAN && !d->work && (emu_goes_wrong("dnn-plan") || !make_work(d))))
        return REFUSED;
    d->finished = true;
    return 0;
}

/* A configuration of the heuristic: engine 0 with two knobs, engine 1 without. */
static void fill_config(descriptor *config, int64_t index) {
    config->finished = true;
    config->attributes[config->n++] = (attribute){.name = DNN_ENGINE_INDEX, .n = 1, .v.ints = {index}};
}

EXPORT(unsigned, cudnnBackendGetAttribute,
       (sw_cudnn_descriptor descriptor_, unsigned name, unsigned type, int64_t room, int64_t *n,
                         void *values)) {
    const descriptor *d = descriptor_;
    void **objects = values;
    *n = 1;
    if (name == DNN_HEUR_RESULTS) {
        *n = ENGINES;
        for (int i = 0; i < ENGINES && i < room; i++) fill_config(objects[i], i);
    } else if (name == DNN_CONFIG_ENGINE) {
        fill_config(objects[0], number(d, DNN_ENGINE_INDEX));
    } else if (name == DNN_CONFIG_KNOBS) {
        *n = number(d, DNN_ENGINE_INDEX) == 0 ? 2 : 0;
        for (unsigned i = 0; i < *n; i++) {
            descriptor *knob = objects[i];
            knob->attributes[knob->n++] = (attribute){.name = DNN_KNOB_TYPE, .n = 1, .v.enums = {(int)(2 + 11 * i)}};
            knob->attributes[knob->n++] = (attribute){.name = DNN_KNOB_VALUE, .n = 1, .v.ints = {3 - i}};
        }
    } else if (name == DNN_PLAN_JSON) {
        *n = sizeof *d->work;
        memcpy(values, d->work, sizeof *d->work);
    } else if (name == DNN_PLAN_WORKSPACE) {
        *(int64_t *)values = emu_goes_wrong("dnn-big") ? (int64_t)1 << 30 : WORKSPACE;
    } else if (find(d, name)) {
        memcpy(values, &find(d, name)->v, size_of(type));
    } else {
        return REFUSED;
    }
    return 0;
}

/* ---- Running ------------------------------------------------------------------------------------------------------- */

static int64_t place(const tensor *t, int64_t n, int64_t c, int64_t h, int64_t w) {
    int64_t at = n * t->strides[0] + c * t->strides[1] + h * t->strides[2] + w * t->strides[3];
    return at;
}
static float half_at(const tensor *t, int64_t n, int64_t c, int64_t h, int64_t w) {
    const uint16_t *p = (const uint16_t *)t->data + place(t, n, c, h, w);
    emu_check_global(p, sizeof *p);
    return t->bf16 ? sw_bf16_to_f32(*p) : sw_f16_to_f32(*p);
}

static float sum_at(const work *o, const int64_t at[4]) {
    float sum = 0;
    for (int64_t r = 0; r < o->w.dims[2]; r++)
        for (int64_t s = 0; s < o->w.dims[3]; s++) {
            int64_t y = at[2] * o->stride[0] - o->begin[0] + r * o->dilation[0];
            int64_t x = at[3] * o->stride[1] - o->begin[1] + s * o->dilation[1];
            if (y < 0 || x < 0 || y >= o->x.dims[2] || x >= o->x.dims[3]) continue;
            for (int64_t c = 0; c < o->w.dims[1]; c++)
                sum += half_at(&o->x, at[0], c, y, x) * half_at(&o->w, at[1], c, r, s);
        }
    return sum;
}

static float point_at(const work *o, int i, float v, const int64_t at[4]) {
    double lower = o->points[i].lower;
    switch (o->points[i].mode) {
    case DNN_ADD:
        return v + (o->points[i].other_is_bias ? ((const float *)o->bias.data)[at[1]]
                                               : half_at(&o->residual, at[0], at[1], at[2], at[3]));
    case DNN_RELU:
        if (v > o->points[i].upper) return (float)o->points[i].upper;
        return v > lower ? v : (float)(lower + o->points[i].slope * (v - lower));
    case DNN_SIGMOID:
        return 1 / (1 + expf(-v));
    case DNN_GELU:
        return v / 2 * (1 + erff(v / sqrtf(2)));
    default:
        return v / (1 + expf(-v));
    }
}

static void run(const void *arguments) {
    const work *o = arguments;
    const int64_t *dims = o->y.dims;
    emu_lock();
    if (o->workspace) emu_check_global(o->workspace, WORKSPACE), memset(o->workspace, 0x5a, WORKSPACE);
    for (int64_t i = 0; i < dims[0] * dims[1] * dims[2] * dims[3]; i++) {
        int64_t at[4] = {i / (dims[1] * dims[2] * dims[3]), i / (dims[2] * dims[3]) % dims[1], i / dims[3] % dims[2],
                         i % dims[3]};
        float v = sum_at(o, at);
        for (int k = 0; k < o->n; k++) v = point_at(o, k, v, at);
        uint16_t *to = (uint16_t *)o->y.data + place(&o->y, at[0], at[1], at[2], at[3]);
        emu_check_global(to, sizeof *to);
        *to = o->y.bf16 ? sw_f32_to_bf16(v) : sw_f32_to_f16(v);
    }
    emu_unlock();
}

EXPORT(unsigned, cudnnBackendExecute,
       (sw_cudnn_handle handle, sw_cudnn_descriptor plan, sw_cudnn_descriptor pack)) {
    const attribute *ids = need(pack, DNN_PACK_IDS), *places = need(pack, DNN_PACK_POINTERS);
    if (emu_goes_wrong("dnn-run")) return REFUSED;
    work o = *((descriptor *)plan)->work;
    tensor *tensors[] = {&o.x, &o.w, &o.y, &o.bias, &o.residual};
    for (size_t k = 0; k < sizeof tensors / sizeof tensors[0]; k++) {
        for (int i = 0; i < ids->n; i++)
            if (ids->v.ints[i] == tensors[k]->id) tensors[k]->data = places->v.objects[i];
        if (tensors[k]->id && !tensors[k]->data) return REFUSED;
    }
    o.workspace = need(pack, DNN_PACK_WORKSPACE)->v.objects[0];
    return emu_submit(run, &o, sizeof o, handle->stream);
}

EXPORT(unsigned, cudnnCreate,
       (sw_cudnn_handle *handle)) {
    *handle = emu_goes_wrong("dnn-none") ? NULL : calloc(1, sizeof **handle);
    return *handle ? 0 : 1;
}
EXPORT(unsigned, cudnnDestroy,
       (sw_cudnn_handle handle)) {
    return free(handle), 0;
}
EXPORT(unsigned, cudnnSetStream,
       (sw_cudnn_handle handle, sw_cu_stream stream)) {
    return handle->stream = stream, 0;
}
EXPORT(const char *, cudnnGetErrorString,
       (unsigned status)) {
    return status ? "not supported" : "success";
}
EXPORT(size_t, cudnnGetVersion,
       (void)) {
    return emu_goes_wrong("dnn-8") ? 8907 : emu_goes_wrong("dnn-other") ? 91901 : 91900;
}
