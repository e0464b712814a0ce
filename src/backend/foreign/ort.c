/* ONNX Runtime, through its C API: a table of functions whose order its header (onnxruntime_c_api.h) promises to keep.
 * Settings: providers (in order, each optional but the last), optimization (0 to 99, as GraphOptimizationLevel),
 * free.DIM (a size for an open dim), with CUDA also device (cuda:N), graph (0: no CUDA graph), transfers (1: maps are the
 * host's, copied in each run); every other key is an entry of the session's configuration.
 *
 * With CUDA inputs and outputs stay on the GPU, and a run is one CUDA graph where all of the model is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/foreign/engine.h"
#include "base/os.h"
#include "base/str.h"
#include "ops/op.h"

/* The oldest version that has all we call; newer libraries give the table of any older version. */
enum { API_VERSION = 17 };

/* Places of functions in the table. */
enum {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_LOG_SEVERITY = 22,
    SET_OPTIMIZATION = 23,
    SET_INTRA_THREADS = 24,
    SET_INTER_THREADS = 25,
    INPUT_COUNT = 30,
    OUTPUT_COUNT = 31,
    INPUT_TYPE = 33,
    OUTPUT_TYPE = 34,
    INPUT_NAME = 36,
    OUTPUT_NAME = 37,
    CREATE_TENSOR = 48,
    CREATE_TENSOR_WITH_DATA = 49,
    TENSOR_DATA = 51,
    CAST_TYPE_TO_TENSOR = 55,
    ELEMENT_TYPE = 60,
    DIMENSIONS_COUNT = 61,
    DIMENSIONS = 62,
    TENSOR_TYPE_AND_SHAPE = 65,
    CREATE_MEMORY_INFO = 68,
    CREATE_CPU_MEMORY_INFO = 69,
    DEFAULT_ALLOCATOR = 78,
    FREE_DIMENSION_BY_NAME = 124,
    RELEASE_VALUE = 96,
    RELEASE_TENSOR_TYPE = 99,
    ADD_CONFIG_ENTRY = 130,
    CREATE_ALLOCATOR = 131,
    RUN_WITH_BINDING = 133,
    CREATE_BINDING = 134,
    BIND_INPUT = 136,
    BIND_OUTPUT = 137,
    CLEAR_INPUTS = 141,
    CLEAR_OUTPUTS = 142,
    APPEND_CUDA = 204,
    CREATE_CUDA_OPTIONS = 205,
    UPDATE_CUDA_OPTIONS = 206,
    APPEND_PROVIDER = 216
};

typedef void (*function)(void);
typedef struct api_base {
    const function *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
} api_base;

typedef struct ort {
    const function *api;
    sw_library *library;
    void *env, *options, *session, *memory, *allocator;
    bool cuda, graph;       /* CUDA runs it, in a graph */
    void *binding, *on_gpu; /* NULL: maps are the host's; an allocator */
    unsigned (*to_gpu)(uint64_t to, const void *from, size_t bytes);
    unsigned (*to_host)(void *to, uint64_t from, size_t bytes);
    void *in[SW_WIRE_MOST_PORTS], *out[SW_WIRE_MOST_PORTS];
    const char *in_names[SW_WIRE_MOST_PORTS], *out_names[SW_WIRE_MOST_PORTS];
} ort;

/* Calls a function of the table by its place; all of them return NULL or an error. */
#define CALL(o, place, types, ...)                ((void *(*)types)(o)->api[place])(__VA_ARGS__)
#define TRY_ORT(o, diag, what, place, types, ...) SW_TRY(check(o, CALL(o, place, types, __VA_ARGS__), what, diag))

static sw_status check(const ort *o, void *error, const char *what, const sw_diag *diag) {
    if (!error) return SW_OK;
    const char *text = ((const char *(*)(const void *))o->api[GET_ERROR_MESSAGE])(error);
    return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL, "%s: %s", what, text);
}

static sw_status open_library(sw_engine_model *m, ort *o, const sw_diag *diag) {
    const api_base *(*get_base)(void) = NULL;
    o->library = sw_library_open(m->library);
    if (!o->library) return sw_fail(diag, SW_E_IO, NULL, NULL, "cannot be loaded: %s", sw_library_error());
    *(void **)&get_base = sw_library_symbol(o->library, "OrtGetApiBase");
    const api_base *base = get_base ? get_base() : NULL;
    if (!base)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL, "is no library of ONNX Runtime: it has no OrtGetApiBase");
    m->version = sw_arena_strdup(m->arena, base->get_version());
    o->api = base->get_api(API_VERSION);
    if (!m->version) return SW_E_NOMEM;
    if (!o->api)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "pip install --upgrade onnxruntime",
                       "version %s is too old: API %d is wanted, which 1.%d has", m->version, API_VERSION, API_VERSION);
    return SW_OK;
}

/* "cuda:N", or N of it. */
static const char *cuda_index(const sw_engine_model *m) {
    const char *device = sw_engine_wanted(m, "device");
    return device && sw_str_starts_with(device, "cuda:") ? device + 5 : "0";
}

static sw_status append_cuda(sw_engine_model *m, ort *o, const sw_diag *diag) {
    void *options = NULL;
    const char *const keys[] = {"device_id", "enable_cuda_graph"}, *const values[] = {cuda_index(m),
                                                                                      o->graph ? "1" : "0"};
    TRY_ORT(o, diag, "CUDA", CREATE_CUDA_OPTIONS, (void **), &options);
    TRY_ORT(o, diag, "CUDA", UPDATE_CUDA_OPTIONS, (void *, const char *const *, const char *const *, size_t), options,
            keys, values, 2);
    TRY_ORT(o, diag, "CUDA", APPEND_CUDA, (void *, const void *), o->options, options);
    o->cuda = true;
    return SW_OK;
}

/* Names of providers are as ONNX Runtime prints them (CUDAExecutionProvider), or short (CUDA). */
static sw_status append_provider(sw_engine_model *m, ort *o, const char *name, const sw_diag *diag) {
    char symbol[128];
    if (!strcmp(name, "CUDA")) return append_cuda(m, o, diag);
    snprintf(symbol, sizeof symbol, "OrtSessionOptionsAppendExecutionProvider_%s", name);
    void *(*append)(void *options, int device) = NULL;
    *(void **)&append = sw_library_symbol(o->library, symbol);
    if (append) return check(o, append(o->options, 0), name, diag);
    TRY_ORT(o, diag, name, APPEND_PROVIDER, (void *, const char *, const char *const *, const char *const *, size_t),
            o->options, name, NULL, NULL, 0);
    return SW_OK;
}

typedef struct first_text {
    char text[256];
} first_text;

static void keep_first(void *ctx, const sw_message *message) {
    first_text *first = ctx;
    if (!first->text[0]) snprintf(first->text, sizeof first->text, "%s", message->text);
}

/* Providers in the wanted order; one that cannot be had falls back to the next, and the settings say why. */
static sw_status add_providers(sw_engine_model *m, ort *o) {
    const char *wanted = sw_engine_wanted(m, "providers");
    char used[512] = "", refused[512] = "";
    for (const char *at = wanted ? wanted : ""; *at;) {
        size_t length = strcspn(at, ",");
        const char *ending = "ExecutionProvider";
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        if (sw_str_ends_with(name, ending)) name[strlen(name) - strlen(ending)] = 0;
        first_text why = {0};
        bool cpu = !strcmp(name, "CPU");
        bool good = cpu || append_provider(m, o, name, &(sw_diag){keep_first, &why}) == SW_OK;
        size_t n = strlen(good ? used : refused);
        char *list = good ? used : refused;
        snprintf(list + n, sizeof used - n, "%s%s%s%s", n ? good ? "," : "; " : "", name, good ? "" : ": ",
                 good ? "" : why.text);
        if (cpu) break; /* it takes everything: none behind it would be asked */
        at += length + (at[length] == ',');
    }
    size_t n = strlen(used);
    if (!sw_str_ends_with(used, "CPU")) snprintf(used + n, sizeof used - n, "%sCPU", n ? "," : "");
    sw_engine_used(m, "providers", "%s", used);
    if (refused[0]) sw_engine_used(m, "providers_refused", "%s", refused);
    return SW_OK;
}

static sw_status set_option(sw_engine_model *m, ort *o, const sw_setting *s, const sw_diag *diag) {
    int64_t number = 0;
    bool whole = sw_str_to_i64(s->value, strlen(s->value), &number);
    static const char *const own[] = {"providers", "precision", "device", "graph", "transfers"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) /* its precision is the model's */
        if (!strcmp(s->key, own[i])) return SW_OK;
    if (!strcmp(s->key, "optimization") || sw_str_starts_with(s->key, "free.")) {
        if (!whole || number < 0 || number > INT32_MAX)
            return sw_fail(diag, SW_E_USAGE, NULL, NULL, "%s wants a whole number, found '%s'", s->key, s->value);
        if (s->key[0] == 'o')
            TRY_ORT(o, diag, s->key, SET_OPTIMIZATION, (void *, int), o->options, (int)number);
        else
            TRY_ORT(o, diag, s->key, FREE_DIMENSION_BY_NAME, (void *, const char *, int64_t), o->options, s->key + 5,
                    number);
    } else
        TRY_ORT(o, diag, s->key, ADD_CONFIG_ENTRY, (void *, const char *, const char *), o->options, s->key, s->value);
    sw_engine_used(m, s->key, "%s", s->value);
    return SW_OK;
}

enum { LOG_ERRORS = 3 };

static sw_status make_options(sw_engine_model *m, ort *o, const sw_diag *diag) {
    m->used.n = 0;
    o->cuda = false;
    TRY_ORT(o, diag, "options", CREATE_SESSION_OPTIONS, (void **), &o->options);
    TRY_ORT(o, diag, "options", SET_LOG_SEVERITY, (void *, int), o->options, LOG_ERRORS);
    TRY_ORT(o, diag, "threads", SET_INTRA_THREADS, (void *, int), o->options, m->threads);
    TRY_ORT(o, diag, "threads", SET_INTER_THREADS, (void *, int), o->options, 1);
    sw_engine_used(m, "intra_op_num_threads", "%d", m->threads);
    for (int i = 0; i < m->wanted.n; i++) SW_TRY(set_option(m, o, &m->wanted.items[i], diag));
    return add_providers(m, o);
}

static bool is_zero(const char *text) {
    return text && !strcmp(text, "0");
}

static sw_status create_session(sw_engine_model *m, ort *o, const sw_diag *diag) {
    SW_TRY(make_options(m, o, diag));
    TRY_ORT(o, diag, "the model was refused", CREATE_SESSION, (void *, const char *, void *, void **), o->env, m->path,
            o->options, &o->session);
    if (o->cuda) sw_engine_used(m, "graph", "%d", o->graph);
    return SW_OK;
}

static sw_status make_session(sw_engine_model *m, ort *o, const sw_diag *diag) {
    const char *transfers = sw_engine_wanted(m, "transfers");
    TRY_ORT(o, diag, "environment", CREATE_ENV, (int, const char *, void **), LOG_ERRORS, "slipway", &o->env);
    o->graph = !is_zero(sw_engine_wanted(m, "graph")) && (!transfers || is_zero(transfers));
    first_text why = {0};
    sw_status status = create_session(m, o, &(sw_diag){keep_first, &why});
    if (status != SW_OK && o->cuda && o->graph) { /* it takes no model of which a part runs on the CPU */
        o->graph = false;
        status = create_session(m, o, &(sw_diag){keep_first, &why});
    }
    if (status != SW_OK) return sw_fail(diag, status, NULL, NULL, "%s", why.text);
    TRY_ORT(o, diag, "memory", CREATE_CPU_MEMORY_INFO, (int, int, void **), 0, 0, &o->memory);
    TRY_ORT(o, diag, "memory", DEFAULT_ALLOCATOR, (void **), &o->allocator);
    return SW_OK;
}

/* Type and shape out of an OrtTensorTypeAndShapeInfo. */
static sw_status read_type(const ort *o, const void *info, sw_tensor *type, const sw_diag *diag) {
    int element;
    size_t rank;
    TRY_ORT(o, diag, "type", ELEMENT_TYPE, (const void *, int *), info, &element);
    TRY_ORT(o, diag, "shape", DIMENSIONS_COUNT, (const void *, size_t *), info, &rank);
    if (rank > SW_MAX_RANK)
        return sw_fail(diag, SW_E_LIMIT, NULL, NULL, "a tensor has %zu axes, at most %d", rank, SW_MAX_RANK);
    *type = (sw_tensor){.dtype = sw_dtype_from_onnx(element), .rank = (int)rank};
    TRY_ORT(o, diag, "shape", DIMENSIONS, (const void *, int64_t *, size_t), info, type->dims, rank);
    return SW_OK;
}

static sw_status read_port(sw_engine_model *m, const ort *o, bool output, size_t i, sw_named *port,
                           const sw_diag *diag) {
    void *type;
    const void *info = NULL;
    char *name;
    TRY_ORT(o, diag, "name", output ? OUTPUT_NAME : INPUT_NAME, (void *, size_t, void *, char **), o->session, i,
            o->allocator, &name);
    TRY_ORT(o, diag, "type", output ? OUTPUT_TYPE : INPUT_TYPE, (void *, size_t, void **), o->session, i, &type);
    TRY_ORT(o, diag, "type", CAST_TYPE_TO_TENSOR, (const void *, const void **), type, &info);
    port->name = sw_arena_strdup(m->arena, name);
    if (!port->name) return SW_E_NOMEM;
    if (!info) return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL, "'%s' is no tensor", name);
    return read_type(o, info, &port->type, diag);
}

static sw_status read_ports(sw_engine_model *m, ort *o, bool output, const sw_diag *diag) {
    size_t n;
    TRY_ORT(o, diag, "ports", output ? OUTPUT_COUNT : INPUT_COUNT, (void *, size_t *), o->session, &n);
    if (n > SW_WIRE_MOST_PORTS) return sw_fail(diag, SW_E_LIMIT, NULL, NULL, "more than %d ports", SW_WIRE_MOST_PORTS);
    sw_named *ports = SW_ARENA_ARRAY(m->arena, sw_named, n + 1);
    if (!ports) return SW_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        SW_TRY(read_port(m, o, output, i, &ports[i], diag));
        (output ? o->out_names : o->in_names)[i] = ports[i].name;
    }
    *(output ? &m->outputs : &m->inputs) = ports;
    *(output ? &m->n_outputs : &m->n_inputs) = (int)n;
    return SW_OK;
}

/* ---- Maps on the GPU ----------------------------------------------------------------------------------------------- */

/* Whether the driver's copies are there, and all shapes are known: else maps are the host's. */
static bool stays_on_gpu(const sw_engine_model *m, ort *o) {
    const char *transfers = sw_engine_wanted(m, "transfers");
    if (!o->cuda || (transfers && !is_zero(transfers))) return false;
    for (int i = 0; i < m->n_outputs; i++)
        if (!sw_tensor_is_concrete(&m->outputs[i].type)) return false;
    sw_library *driver = sw_library_open("libcuda.so.1");
    if (!driver) return false;
    *(void **)&o->to_gpu = sw_library_symbol(driver, "cuMemcpyHtoD_v2");
    *(void **)&o->to_host = sw_library_symbol(driver, "cuMemcpyDtoH_v2");
    return o->to_gpu && o->to_host;
}

static sw_status prepare_gpu(const sw_engine_model *m, ort *o, const sw_diag *diag) {
    void *memory = NULL;
    if (!stays_on_gpu(m, o)) return SW_OK;
    enum { DEVICE_ALLOCATOR = 0, DEFAULT_MEMORY = 0 };
    TRY_ORT(o, diag, "memory", CREATE_MEMORY_INFO, (const char *, int, int, int, void **), "Cuda", DEVICE_ALLOCATOR,
            (int)strtol(cuda_index(m), NULL, 10), DEFAULT_MEMORY, &memory);
    TRY_ORT(o, diag, "memory", CREATE_ALLOCATOR, (const void *, const void *, void **), o->session, memory, &o->on_gpu);
    TRY_ORT(o, diag, "binding", CREATE_BINDING, (void *, void **), o->session, &o->binding);
    return SW_OK;
}

/* A tensor on the GPU, and where it is. */
static sw_status make_on_gpu(const ort *o, const sw_tensor *t, void **value, uint64_t *place, const sw_diag *diag) {
    void *data = NULL;
    TRY_ORT(o, diag, "memory", CREATE_TENSOR, (void *, const int64_t *, size_t, int, void **), o->on_gpu, t->dims,
            (size_t)t->rank, sw_dtype_onnx(t->dtype), value);
    TRY_ORT(o, diag, "memory", TENSOR_DATA, (void *, void **), *value, &data);
    *place = (uint64_t)(uintptr_t)data;
    return SW_OK;
}

static sw_status bind_on_gpu(sw_engine_model *m, ort *o, const sw_named *inputs, const sw_diag *diag) {
    uint64_t place;
    ((void (*)(void *))o->api[CLEAR_INPUTS])(o->binding);
    ((void (*)(void *))o->api[CLEAR_OUTPUTS])(o->binding);
    for (int i = 0; i < m->n_inputs; i++) {
        const sw_tensor *t = &inputs[i].type;
        SW_TRY(make_on_gpu(o, t, &o->in[i], &place, diag));
        if (o->to_gpu(place, t->data, (size_t)sw_tensor_bytes(t)) != 0)
            return sw_fail(diag, SW_E_INTERNAL, NULL, NULL, "%s cannot be copied to the GPU", o->in_names[i]);
        TRY_ORT(o, diag, o->in_names[i], BIND_INPUT, (void *, const char *, const void *), o->binding, o->in_names[i],
                o->in[i]);
    }
    for (int i = 0; i < m->n_outputs; i++) {
        SW_TRY(make_on_gpu(o, &m->outputs[i].type, &o->out[i], &place, diag));
        TRY_ORT(o, diag, o->out_names[i], BIND_OUTPUT, (void *, const char *, const void *), o->binding,
                o->out_names[i], o->out[i]);
    }
    return SW_OK;
}

/* To memory that is as long there as the model. */
static sw_status fetch(sw_engine_model *m, const ort *o, int i, sw_tensor *t, const sw_diag *diag) {
    void *data = NULL;
    TRY_ORT(o, diag, m->outputs[i].name, TENSOR_DATA, (void *, void **), o->out[i], &data);
    *t = m->outputs[i].type;
    if (!m->outputs[i].type.data) m->outputs[i].type.data = sw_arena_alloc(m->arena, (size_t)sw_tensor_bytes(t) + 1, 1);
    t->data = m->outputs[i].type.data;
    if (!t->data) return SW_E_NOMEM;
    return o->to_host(t->data, (uint64_t)(uintptr_t)data, (size_t)sw_tensor_bytes(t)) == 0
               ? SW_OK
               : sw_fail(diag, SW_E_INTERNAL, NULL, NULL, "%s cannot be copied from the GPU", m->outputs[i].name);
}

/* ---- The engine ----------------------------------------------------------------------------------------------------- */

static sw_status ort_open(sw_engine_model *m, const sw_diag *diag) {
    ort *o = SW_ARENA_NEW(m->arena, ort);
    if (!o) return SW_E_NOMEM;
    SW_TRY(open_library(m, o, diag));
    if (!m->path[0]) return SW_OK;
    SW_TRY(make_session(m, o, diag));
    SW_TRY(read_ports(m, o, false, diag));
    SW_TRY(read_ports(m, o, true, diag));
    SW_TRY(prepare_gpu(m, o, diag));
    m->state = o;
    return SW_OK;
}

static void release(ort *o, void **values, int n) {
    for (int i = 0; i < n; i++) {
        if (values[i]) ((void (*)(void *))o->api[RELEASE_VALUE])(values[i]);
        values[i] = NULL;
    }
}

static sw_status ort_bind(sw_engine_model *m, const sw_named *inputs, const sw_diag *diag) {
    ort *o = m->state;
    release(o, o->in, m->n_inputs);
    release(o, o->out, m->n_outputs);
    if (o->binding) return bind_on_gpu(m, o, inputs, diag);
    for (int i = 0; i < m->n_inputs; i++) {
        const sw_tensor *t = &inputs[i].type;
        TRY_ORT(o, diag, inputs[i].name, CREATE_TENSOR_WITH_DATA,
                (const void *, void *, size_t, const int64_t *, size_t, int, void **), o->memory, t->data,
                (size_t)sw_tensor_bytes(t), t->dims, (size_t)t->rank, sw_dtype_onnx(t->dtype), &o->in[i]);
    }
    return SW_OK;
}

/* Outputs of the first run are written to again in later ones; not where their shape may change. */
static sw_status ort_run(sw_engine_model *m, const sw_diag *diag) {
    ort *o = m->state;
    if (o->binding) {
        TRY_ORT(o, diag, "the run failed", RUN_WITH_BINDING, (void *, const void *, const void *), o->session, NULL,
                o->binding);
        return SW_OK;
    }
    for (int i = 0; i < m->n_outputs; i++)
        if (!sw_tensor_is_concrete(&m->outputs[i].type)) release(o, &o->out[i], 1);
    TRY_ORT(o, diag, "the run failed", RUN,
            (void *, const void *, const char *const *, void *const *, size_t, const char *const *, size_t, void **),
            o->session, NULL, o->in_names, o->in, (size_t)m->n_inputs, o->out_names, (size_t)m->n_outputs, o->out);
    return SW_OK;
}

static sw_status ort_outputs(sw_engine_model *m, sw_named *outputs, const sw_diag *diag) {
    ort *o = m->state;
    for (int i = 0; i < m->n_outputs; i++) {
        void *info;
        if (o->binding) {
            SW_TRY(fetch(m, o, i, &outputs[i].type, diag));
            continue;
        }
        TRY_ORT(o, diag, outputs[i].name, TENSOR_TYPE_AND_SHAPE, (const void *, void **), o->out[i], &info);
        SW_TRY(read_type(o, info, &outputs[i].type, diag));
        ((void (*)(void *))o->api[RELEASE_TENSOR_TYPE])(info);
        TRY_ORT(o, diag, outputs[i].name, TENSOR_DATA, (void *, void **), o->out[i], &outputs[i].type.data);
    }
    return SW_OK;
}

const sw_engine sw_engine_onnxruntime = {"onnxruntime", ort_open, ort_bind, ort_run, ort_outputs};
