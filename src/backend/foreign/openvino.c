/* OpenVINO, through its C API (openvino/c/openvino.h). Settings: device (standard CPU); precision (fp32, bf16, fp16;
 * standard fp32, which on CPUs with bfloat16 is not OpenVINO's own); every other key is a property of the device:
 * PERFORMANCE_HINT, NUM_STREAMS, ... */
#include <stdio.h>
#include <string.h>

#include "backend/foreign/engine.h"
#include "base/os.h"
#include "base/str.h"

typedef struct dimension {
    int64_t min, max; /* max -1: open */
} dimension;
typedef struct partial_shape {
    dimension rank;
    dimension *dims;
} partial_shape;
typedef struct shape {
    int64_t rank;
    int64_t *dims;
} shape;
typedef struct version {
    const char *number, *description;
} version;

/* X(function, types): each returns 0 or an error, but for the four below. */
#define FUNCTIONS(X)                                                                                                   \
    X(ov_get_openvino_version, (version *))                                                                            \
    X(ov_core_create, (void **))                                                                                       \
    X(ov_core_set_property, (const void *, const char *, ...))                                                         \
    X(ov_core_read_model, (const void *, const char *, const char *, void **))                                         \
    X(ov_core_compile_model, (const void *, const void *, const char *, size_t, void **, ...))                         \
    X(ov_model_inputs_size, (const void *, size_t *))                                                                  \
    X(ov_model_const_input_by_index, (const void *, size_t, void **))                                                  \
    X(ov_model_reshape_by_port_indexes, (const void *, const size_t *, const partial_shape *, size_t))                 \
    X(ov_partial_shape_create_static, (int64_t, const int64_t *, partial_shape *))                                     \
    X(ov_compiled_model_inputs_size, (const void *, size_t *))                                                         \
    X(ov_compiled_model_outputs_size, (const void *, size_t *))                                                        \
    X(ov_compiled_model_input_by_index, (const void *, size_t, void **))                                               \
    X(ov_compiled_model_output_by_index, (const void *, size_t, void **))                                              \
    X(ov_compiled_model_get_property, (const void *, const char *, char **))                                           \
    X(ov_compiled_model_create_infer_request, (const void *, void **))                                                 \
    X(ov_port_get_any_name, (const void *, char **))                                                                   \
    X(ov_port_get_element_type, (const void *, int *))                                                                 \
    X(ov_port_get_partial_shape, (const void *, partial_shape *))                                                      \
    X(ov_tensor_create_from_host_ptr, (int, shape, void *, void **))                                                   \
    X(ov_infer_request_set_input_tensor_by_index, (void *, size_t, const void *))                                      \
    X(ov_infer_request_infer, (void *))                                                                                \
    X(ov_infer_request_get_output_tensor_by_index, (const void *, size_t, void **))                                    \
    X(ov_tensor_get_shape, (const void *, shape *))                                                                    \
    X(ov_tensor_get_element_type, (const void *, int *))                                                               \
    X(ov_tensor_get_byte_size, (const void *, size_t *))                                                               \
    X(ov_tensor_data, (const void *, void **))                                                                         \
    X(ov_shape_free, (shape *))

typedef struct openvino {
#define POINTER(name, types) int(*name) types;
    FUNCTIONS(POINTER)
#undef POINTER
    const char *(*last_error)(void);
    const char *(*error_info)(int status);
    void (*free_tensor)(void *tensor);
    void (*free_text)(const char *text);
    int types[16]; /* numbers, in the order of type_order */
    sw_library *library;
    void *core, *model, *compiled, *request;
    void *in[SW_WIRE_MOST_PORTS], *out[SW_WIRE_MOST_PORTS];
} openvino;

/* The order in which OpenVINO numbers element types. Others stand between them, and their number changes with versions
 * (2026 has dropped one, 2024 added three); so the numbers are found by the sizes of tensors. */
static const sw_dtype type_order[] = {SW_BOOL, SW_BF16, SW_F16, SW_F32, SW_F64, SW_I8, SW_I16,
                                      SW_I32,  SW_I64,  SW_U8,  SW_U16, SW_U32, SW_U64};
enum { OLDEST_YEAR = 2024, N_TYPES = sizeof type_order / sizeof *type_order, MOST_NUMBERS = 40 };

static sw_status find_types(openvino *o, const sw_diag *diag) {
    enum { PROBE = 8 };
    int next = 0;
    for (int number = 0; number < MOST_NUMBERS && next < N_TYPES; number++) {
        int64_t dims[1] = {PROBE};
        double block[PROBE] = {0};
        void *tensor = NULL;
        size_t bytes = 0;
        if (o->ov_tensor_create_from_host_ptr(number, (shape){1, dims}, block, &tensor) != 0)
            continue; /* has no size */
        o->ov_tensor_get_byte_size(tensor, &bytes);
        o->free_tensor(tensor);
        if (bytes < PROBE) continue; /* of less than a byte */
        if (bytes != PROBE * sw_dtype_size(type_order[next])) break;
        o->types[next++] = number;
    }
    return next == N_TYPES ? SW_OK
                           : sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL, "numbers its element types in an unknown way");
}

static sw_dtype type_of(const openvino *o, int number) {
    for (int i = 0; i < N_TYPES; i++)
        if (o->types[i] == number) return type_order[i];
    return SW_DTYPE_NONE;
}

static int number_of(const openvino *o, sw_dtype dtype) {
    for (int i = 0; i < N_TYPES; i++)
        if (type_order[i] == dtype) return o->types[i];
    return -1;
}

/* OpenVINO puts places of its source before what it says, and ends with a line break. */
static sw_status check(const openvino *o, int status, const char *what, const sw_diag *diag) {
    if (status == 0) return SW_OK;
    const char *text = o->last_error(), *line = text ? text : "";
    for (const char *at = line; (at = strchr(at, '\n'));)
        if (*++at && !sw_str_starts_with(at, "Exception from") && !sw_str_starts_with(at, "Check '")) {
            line = at;
            break;
        }
    if (!line[0]) line = o->error_info(status);
    return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL, "%s: %.*s", what, (int)strcspn(line, "\n"), line);
}

#define TRY_OV(what, call) SW_TRY(check(o, (call), (what), diag))

static sw_status open_library(sw_engine_model *m, openvino *o, const sw_diag *diag) {
    const char *missing = NULL;
    o->library = sw_library_open(m->library);
    if (!o->library) return sw_fail(diag, SW_E_IO, NULL, NULL, "cannot be loaded: %s", sw_library_error());
#define FIND(pointer, name)                                                                                            \
    if (!(*(void **)&o->pointer = sw_library_symbol(o->library, name)) && !missing) missing = name;
#define FIND_SAME(name, types) FIND(name, #name)
    FUNCTIONS(FIND_SAME)
    FIND(last_error, "ov_get_last_err_msg")
    FIND(error_info, "ov_get_error_info")
    FIND(free_tensor, "ov_tensor_free")
    FIND(free_text, "ov_free")
#undef FIND_SAME
#undef FIND
    if (missing)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "pip install --upgrade openvino",
                       "is no C library of OpenVINO, or an old one: it has no %s", missing);
    version v = {0};
    if (o->ov_get_openvino_version(&v) != 0 || !v.number)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL, "tells no version");
    /* "2026.4.1-22982-..." */
    m->version = sw_arena_strndup(m->arena, v.number, strcspn(v.number, "-"));
    if (!m->version) return SW_E_NOMEM;
    int64_t year = 0;
    if (!sw_str_to_i64(m->version, strcspn(m->version, "."), &year) || year < OLDEST_YEAR)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "pip install --upgrade openvino",
                       "version %s is too old: %d or later is wanted", m->version, OLDEST_YEAR);
    return find_types(o, diag);
}

static sw_status set_properties(sw_engine_model *m, openvino *o, const char *device, const sw_diag *diag) {
    char threads[16];
    snprintf(threads, sizeof threads, "%d", m->threads);
    if (!sw_engine_wanted(m, "PERFORMANCE_HINT"))
        TRY_OV("PERFORMANCE_HINT", o->ov_core_set_property(o->core, device, "PERFORMANCE_HINT", "LATENCY"));
    if (m->threads && !strcmp(device, "CPU"))
        TRY_OV("threads", o->ov_core_set_property(o->core, device, "INFERENCE_NUM_THREADS", threads));
    const char *precision = sw_engine_wanted(m, "precision");
    if (precision || !strcmp(device, "CPU"))
        TRY_OV("precision", o->ov_core_set_property(o->core, device, "INFERENCE_PRECISION_HINT",
                                                    !precision || !strcmp(precision, "fp32") ? "f32"
                                                    : !strcmp(precision, "fp16")             ? "f16"
                                                                                             : precision));
    for (int i = 0; i < m->wanted.n; i++) {
        const sw_setting *s = &m->wanted.items[i];
        if (strcmp(s->key, "device") != 0 && strcmp(s->key, "precision") != 0)
            TRY_OV(s->key, o->ov_core_set_property(o->core, device, s->key, s->value));
    }
    return SW_OK;
}

/* Fixes the shapes that are asked for. */
static sw_status reshape(sw_engine_model *m, openvino *o, const sw_diag *diag) {
    size_t n, indexes[SW_WIRE_MOST_PORTS];
    partial_shape shapes[SW_WIRE_MOST_PORTS];
    TRY_OV("inputs", o->ov_model_inputs_size(o->model, &n));
    size_t changed = 0;
    for (size_t i = 0; i < n && i < SW_WIRE_MOST_PORTS && m->n_shapes; i++) {
        void *port;
        char *name = NULL;
        TRY_OV("inputs", o->ov_model_const_input_by_index(o->model, i, &port));
        o->ov_port_get_any_name(port, &name);
        const sw_tensor *wanted = sw_engine_shape(m, name, (int)i);
        if (!wanted || !sw_tensor_is_concrete(wanted)) continue;
        TRY_OV("shape", o->ov_partial_shape_create_static(wanted->rank, wanted->dims, &shapes[changed]));
        indexes[changed++] = i;
    }
    if (changed)
        TRY_OV("the shape was refused", o->ov_model_reshape_by_port_indexes(o->model, indexes, shapes, changed));
    return SW_OK;
}

static sw_status read_port(sw_engine_model *m, openvino *o, const void *port, sw_named *named, const sw_diag *diag) {
    char *name = NULL;
    int type;
    partial_shape s;
    o->ov_port_get_any_name(port, &name); /* ports need have none */
    named->name = sw_arena_strdup(m->arena, name ? name : "");
    TRY_OV("type", o->ov_port_get_element_type(port, &type));
    TRY_OV("shape", o->ov_port_get_partial_shape(port, &s));
    if (!named->name) return SW_E_NOMEM;
    bool known = s.rank.min == s.rank.max;
    if (known && s.rank.max > SW_MAX_RANK)
        return sw_fail(diag, SW_E_LIMIT, NULL, NULL, "'%s' has more than %d axes", named->name, SW_MAX_RANK);
    named->type = (sw_tensor){.dtype = type_of(o, type), .rank = known ? (int)s.rank.max : SW_RANK_UNKNOWN};
    for (int i = 0; i < named->type.rank; i++)
        named->type.dims[i] = s.dims[i].min == s.dims[i].max ? s.dims[i].max : SW_DIM_UNKNOWN;
    return SW_OK;
}

static sw_status read_ports(sw_engine_model *m, openvino *o, bool output, const sw_diag *diag) {
    size_t n;
    TRY_OV("ports", output ? o->ov_compiled_model_outputs_size(o->compiled, &n)
                           : o->ov_compiled_model_inputs_size(o->compiled, &n));
    if (n > SW_WIRE_MOST_PORTS) return sw_fail(diag, SW_E_LIMIT, NULL, NULL, "more than %d ports", SW_WIRE_MOST_PORTS);
    sw_named *ports = SW_ARENA_ARRAY(m->arena, sw_named, n + 1);
    if (!ports) return SW_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        void *port;
        TRY_OV("ports", output ? o->ov_compiled_model_output_by_index(o->compiled, i, &port)
                               : o->ov_compiled_model_input_by_index(o->compiled, i, &port));
        SW_TRY(read_port(m, o, port, &ports[i], diag));
    }
    *(output ? &m->outputs : &m->inputs) = ports;
    *(output ? &m->n_outputs : &m->n_inputs) = (int)n;
    return SW_OK;
}

/* What the device made of the wishes. */
static void tell_used(sw_engine_model *m, openvino *o, const char *device) {
    static const char *const keys[] = {"EXECUTION_DEVICES", "INFERENCE_NUM_THREADS", "INFERENCE_PRECISION_HINT",
                                       "NUM_STREAMS", "PERFORMANCE_HINT"};
    sw_engine_used(m, "device", "%s", device);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char *value = NULL;
        if (o->ov_compiled_model_get_property(o->compiled, keys[i], &value) == 0 && value)
            sw_engine_used(m, keys[i], "%s", value);
    }
}

static sw_status openvino_open(sw_engine_model *m, const sw_diag *diag) {
    openvino *o = SW_ARENA_NEW(m->arena, openvino);
    if (!o) return SW_E_NOMEM;
    SW_TRY(open_library(m, o, diag));
    if (!m->path[0]) return SW_OK;
    const char *device = sw_engine_wanted(m, "device");
    if (!device) device = "CPU";
    TRY_OV("core", o->ov_core_create(&o->core));
    SW_TRY(set_properties(m, o, device, diag));
    TRY_OV("the model was refused", o->ov_core_read_model(o->core, m->path, NULL, &o->model));
    SW_TRY(reshape(m, o, diag));
    TRY_OV("the model was refused", o->ov_core_compile_model(o->core, o->model, device, 0, &o->compiled));
    TRY_OV("request", o->ov_compiled_model_create_infer_request(o->compiled, &o->request));
    SW_TRY(read_ports(m, o, false, diag));
    SW_TRY(read_ports(m, o, true, diag));
    tell_used(m, o, device);
    m->state = o;
    return SW_OK;
}

static sw_status openvino_bind(sw_engine_model *m, const sw_named *inputs, const sw_diag *diag) {
    openvino *o = m->state;
    for (int i = 0; i < m->n_inputs; i++) {
        const sw_tensor *t = &inputs[i].type;
        shape s = {t->rank, (int64_t *)(uintptr_t)t->dims};
        if (o->in[i]) o->free_tensor(o->in[i]);
        o->in[i] = NULL;
        TRY_OV(inputs[i].name, o->ov_tensor_create_from_host_ptr(number_of(o, t->dtype), s, t->data, &o->in[i]));
        TRY_OV(inputs[i].name, o->ov_infer_request_set_input_tensor_by_index(o->request, (size_t)i, o->in[i]));
    }
    return SW_OK;
}

static sw_status openvino_run(sw_engine_model *m, const sw_diag *diag) {
    openvino *o = m->state;
    TRY_OV("the run failed", o->ov_infer_request_infer(o->request));
    return SW_OK;
}

static sw_status openvino_outputs(sw_engine_model *m, sw_named *outputs, const sw_diag *diag) {
    openvino *o = m->state;
    for (int i = 0; i < m->n_outputs; i++) {
        sw_tensor *t = &outputs[i].type;
        shape s = {0};
        int type;
        if (o->out[i]) o->free_tensor(o->out[i]);
        o->out[i] = NULL;
        TRY_OV("output", o->ov_infer_request_get_output_tensor_by_index(o->request, (size_t)i, &o->out[i]));
        TRY_OV("output", o->ov_tensor_get_element_type(o->out[i], &type));
        TRY_OV("output", o->ov_tensor_get_shape(o->out[i], &s));
        if (s.rank < 0 || s.rank > SW_MAX_RANK)
            return sw_fail(diag, SW_E_LIMIT, NULL, NULL, "'%s' has more than %d axes", outputs[i].name, SW_MAX_RANK);
        *t = (sw_tensor){.dtype = type_of(o, type), .rank = (int)s.rank};
        for (int k = 0; k < t->rank; k++) t->dims[k] = s.dims[k];
        o->ov_shape_free(&s);
        TRY_OV("output", o->ov_tensor_data(o->out[i], &t->data));
    }
    return SW_OK;
}

const sw_engine sw_engine_openvino = {"openvino", openvino_open, openvino_bind, openvino_run, openvino_outputs};
