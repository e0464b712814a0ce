/* Reading plan files. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/options.h"
#include "base/os.h"
#include "base/pb.h"
#include "base/zip.h"
#include "engine/plan_fields.h"
#include "engine/plan_file.h"

enum { MAX_PORTS = 65535, MAX_PROFILES = 64, MAX_DEPTH = 16 };

/* Numbers of one field that are there several times. */
typedef struct numbers {
    void *items; /* int64_t */
    size_t n, cap;
} numbers;

typedef struct reader {
    sw_plan *plan;
    const char *where;
    const sw_diag *diag;
    const uint8_t *weights;
    uint64_t weights_bytes;
    bool *missing; /* by value: constants without data */
    size_t cap_missing;
    int depth; /* of graphs within graphs */
    bool trust_code;
    const char *unknown_tactic; /* of packed weights; NULL: none */
    numbers in, out, inputs, outputs, extents, ints;
    void *floats;
    size_t n_floats, cap_floats;
} reader;

bool sw_plan_sniff(const void *bytes, size_t size) {
    return size >= SW__PLAN_MAGIC_BYTES && !memcmp(bytes, SW__PLAN_MAGIC, SW__PLAN_MAGIC_BYTES);
}

bool sw_plan_sniff_file(const char *path) {
    sw_map map;
    if (sw_map_open(path, NULL, &map) != SW_OK) return false;
    bool plan = sw_plan_sniff(map.data, map.size);
    sw_map_close(&map);
    return plan;
}

static sw_status broken(const reader *r, const char *fmt, ...) SW_PRINTF(2, 3);
static sw_status broken(const reader *r, const char *fmt, ...) {
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return sw_fail(r->diag, SW_E_MODEL, r->where, "build it again with 'slipway build'", "the plan is broken: %s",
                   text);
}

static sw_status add_number(const reader *r, numbers *list, int64_t value, size_t most) {
    sw_status status = sw_grow(r->plan->allocator, &list->items, &list->cap, list->n + 1, sizeof value, most);
    if (status == SW_E_LIMIT) return broken(r, "a list is longer than %zu", most);
    SW_TRY(status);
    ((int64_t *)list->items)[list->n++] = value;
    return SW_OK;
}

static const char *text_of(reader *r, sw_pb *m, const sw_pb_field *f) {
    return sw_pb_text(m, f) ? sw_arena_strndup(r->plan->arena, (const char *)f->data, f->size) : NULL;
}

/* A text that was read; its absence is a broken message or no memory. */
static sw_status need_text(sw_pb *m, const char *text) {
    return text ? SW_OK : m->status != SW_OK ? m->status : SW_E_NOMEM;
}

static sw_dtype dtype_of(uint64_t onnx) {
    static const struct {
        sw_dtype dtype;
        uint64_t onnx;
    } rows[] = {
#define SW_DTYPE_NUMBER(name, bytes, text, number) {name, number},
        SW_DTYPE_LIST(SW_DTYPE_NUMBER)
#undef SW_DTYPE_NUMBER
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].onnx == onnx) return rows[i].dtype;
    return SW_DTYPE_NONE;
}

/* ---- Values ------------------------------------------------------------------------------------------------------- */

static sw_status check_data(const reader *r, const char *name, sw_tensor *t, uint64_t data, bool missing) {
    int64_t bytes = sw_tensor_bytes(t);
    if (bytes < 0 || t->layout != SW_ROW_MAJOR) return broken(r, "constant '%.60s' has no fixed type", name);
    if (missing) return SW_OK;
    if (data - 1 > r->weights_bytes || (uint64_t)bytes > r->weights_bytes - (data - 1) || (data - 1) % SW__PLAN_ALIGN)
        return broken(r, "the data of constant '%.60s' lies outside the file", name);
    t->data = (void *)(uintptr_t)(r->weights + (data - 1));
    return SW_OK;
}

static sw_status read_value(reader *r, sw_pb m) {
    sw_tensor type = {.rank = -1};
    const char *name = "";
    uint64_t dtype = 0, rank = 0, layout = 0, data = 0, root = 0;
    int64_t channel = 0;
    bool missing = false;
    int dims = 0;
    for (sw_pb_field f; sw_pb_next(&m, &f);) {
        switch (f.number) {
        case SW__VALUE_NAME:
            SW_TRY(need_text(&m, name = text_of(r, &m, &f)));
            break;
        case SW__VALUE_DTYPE:
            dtype = f.value;
            break;
        case SW__VALUE_RANK:
            rank = f.value;
            break;
        case SW__VALUE_DIM:
            if (dims >= SW_MAX_RANK) return broken(r, "value '%.60s' has more than %d dims", name, SW_MAX_RANK);
            type.dims[dims++] = sw_pb_int(&f);
            break;
        case SW__VALUE_LAYOUT:
            layout = f.value;
            break;
        case SW__VALUE_DATA:
            data = f.value;
            break;
        case SW__VALUE_MISSING:
            missing = f.value != 0;
            break;
        case SW__VALUE_ROOT:
            root = f.value;
            break;
        case SW__VALUE_CHANNEL:
            channel = sw_pb_int(&f);
            break;
        default:
            break;
        }
    }
    SW_TRY(m.status);
    type.dtype = dtype_of(dtype);
    type.rank = (int)(rank > SW_MAX_RANK + 1 ? 0 : rank) - 1;
    type.layout = layout == 1 ? SW_CHANNELS_LAST : SW_ROW_MAJOR;
    bool maps = type.layout == SW_ROW_MAJOR || ((type.rank == 4 || type.rank < 0) && type.dtype != SW_DTYPE_NONE);
    if ((dtype && !type.dtype) || rank > SW_MAX_RANK + 1 || layout > 1 || (type.rank >= 0 && dims != type.rank) ||
        !maps)
        return broken(r, "value '%.60s' has a type that makes no sense", name);
    if (data || missing) SW_TRY(check_data(r, name, &type, data, missing));
    int32_t id;
    size_t v = r->plan->n_values;
    SW_TRY(sw_grow(r->plan->allocator, (void **)&r->missing, &r->cap_missing, v + 1, sizeof *r->missing, SIZE_MAX));
    r->missing[v] = missing;
    SW_TRY(sw_plan_add_value(r->plan, name, &type, &id));
    if (root > INT32_MAX || channel < 0) return broken(r, "value '%.60s' is part of a value that is not there", name);
    if (root) sw_plan_set_view(r->plan, id, (int32_t)root - 1, channel);
    return SW_OK;
}

/* ---- Steps -------------------------------------------------------------------------------------------------------- */

static sw_status read_attr_tensor(reader *r, uint64_t dtype, const numbers *dims, const sw_pb_field *data, sw_attr *a) {
    sw_tensor t = {.dtype = dtype_of(dtype), .rank = (int)dims->n};
    if (!t.dtype || dims->n > SW_MAX_RANK) return broken(r, "an attribute holds a tensor of an unknown type");
    for (size_t i = 0; i < dims->n; i++) t.dims[i] = ((const int64_t *)dims->items)[i];
    int64_t bytes = sw_tensor_bytes(&t);
    if (bytes < 0 || (uint64_t)bytes != data->size) return broken(r, "an attribute's tensor has not its size");
    sw_tensor *copy = sw_arena_copy(r->plan->arena, &t, sizeof t);
    if (!copy) return SW_E_NOMEM;
    copy->data = sw_arena_alloc(r->plan->arena, data->size + 1, 1);
    if (!copy->data) return SW_E_NOMEM;
    if (data->size) memcpy(copy->data, data->data, data->size);
    a->t = copy;
    return SW_OK;
}

static sw_status read_control(reader *r, sw_pb m, const char **features);
static sw_status check_whole(reader *r);
static void free_lists(reader *r);

/* A graph within, from its control part. */
static sw_status read_body(reader *r, sw_pb m, int64_t n_in, int64_t n_captured, sw_attr *a) {
    const char *features = "";
    if (r->depth == MAX_DEPTH) return broken(r, "graphs are nested more than %d deep", MAX_DEPTH);
    reader inner = {.plan = sw_plan_create(r->plan->allocator), .where = r->where, .diag = r->diag};
    if (!inner.plan) return SW_E_NOMEM;
    inner.weights = r->weights, inner.weights_bytes = r->weights_bytes, inner.depth = r->depth + 1;
    sw_status status = read_control(&inner, m, &features);
    if (status == SW_OK) status = check_whole(&inner);
    free_lists(&inner);
    bool ports = n_in >= 0 && n_captured >= 0 && n_in <= MAX_PORTS && n_captured <= MAX_PORTS;
    if (status == SW_OK && (!ports || n_in + n_captured != inner.plan->n_inputs))
        status = broken(r, "a graph within has another number of inputs than its operator gives");
    if (status == SW_OK) return sw_plan_hold(r->plan, inner.plan, (int)n_in, (int)n_captured, &a->body);
    sw_plan_unref(inner.plan);
    return status;
}

/* The value of an attribute that the operator has. */
static sw_status read_attr(reader *r, sw_pb m, sw_op op, sw_attr *attrs) {
    const sw_op_info *info = sw_op_get(op);
    const char *name = "";
    sw_attr a = {.set = true};
    sw_pb_field data = {0};
    uint64_t dtype = 0;
    int64_t n_in = 0, n_captured = 0;
    int at = 0;
    bool is_tensor = false, is_body = false;
    r->ints.n = r->n_floats = 0;
    sw_attr_type type = SW_ATTR_INT;
    sw_attr *target = NULL;
    for (sw_pb_field f; sw_pb_next(&m, &f);) {
        if (f.number == SW__ATTR_NAME) { /* the first field: the values are read by its type */
            SW_TRY(need_text(&m, name = text_of(r, &m, &f)));
            for (at = 0; at < info->n_attrs && strcmp(info->attrs[at].name, name) != 0;) at++;
            if (at == info->n_attrs) return broken(r, "operator %s has no attribute '%.60s'", info->name, name);
            target = &attrs[at];
            type = info->attrs[at].type;
            continue;
        }
        if (!target) return broken(r, "an attribute has no name");
        bool fits = true;
        switch (f.number) {
        case SW__ATTR_INT:
            a.i = sw_pb_int(&f), fits = type == SW_ATTR_INT;
            break;
        case SW__ATTR_FLOAT:
            fits = type == SW_ATTR_FLOAT, a.f = fits ? sw_pb_float(&f) : 0;
            break;
        case SW__ATTR_STRING:
            if ((fits = type == SW_ATTR_STRING)) SW_TRY(need_text(&m, a.s = text_of(r, &m, &f)));
            break;
        case SW__ATTR_INTS:
            if ((fits = type == SW_ATTR_INTS)) SW_TRY(add_number(r, &r->ints, sw_pb_int(&f), MAX_PORTS));
            break;
        case SW__ATTR_FLOATS:
            if (!(fits = type == SW_ATTR_FLOATS)) break;
            SW_TRY(sw_grow(r->plan->allocator, &r->floats, &r->cap_floats, r->n_floats + 1, sizeof(float), MAX_PORTS));
            ((float *)r->floats)[r->n_floats++] = sw_pb_float(&f);
            break;
        case SW__ATTR_DTYPE:
            dtype = f.value, fits = type == SW_ATTR_TENSOR;
            break;
        case SW__ATTR_DIM:
            if ((fits = type == SW_ATTR_TENSOR)) SW_TRY(add_number(r, &r->ints, sw_pb_int(&f), SW_MAX_RANK));
            break;
        case SW__ATTR_DATA:
            data = f, is_tensor = fits = type == SW_ATTR_TENSOR && f.wire == SW_PB_BYTES;
            break;
        case SW__ATTR_BODY_IN:
            n_in = sw_pb_int(&f), fits = type == SW_ATTR_BODY;
            break;
        case SW__ATTR_BODY_CAPTURED:
            n_captured = sw_pb_int(&f), fits = type == SW_ATTR_BODY;
            break;
        case SW__ATTR_BODY:
            data = f, is_body = fits = type == SW_ATTR_BODY && f.wire == SW_PB_BYTES;
            break;
        default:
            break;
        }
        if (!fits) return broken(r, "attribute '%.60s' of %s has another type", name, info->name);
    }
    SW_TRY(m.status);
    if (!target) return broken(r, "an attribute has no name");
    if (type == SW_ATTR_STRING && !a.s) return broken(r, "attribute '%.60s' of %s has no value", name, info->name);
    if (type == SW_ATTR_TENSOR) {
        if (!is_tensor) return broken(r, "attribute '%.60s' of %s has no value", name, info->name);
        SW_TRY(read_attr_tensor(r, dtype, &r->ints, &data, &a));
    }
    if (type == SW_ATTR_BODY) {
        if (!is_body) return broken(r, "attribute '%.60s' of %s has no value", name, info->name);
        SW_TRY(read_body(r, sw_pb_sub(&m, &data), n_in, n_captured, &a));
    }
    const void *list = "";
    if (type == SW_ATTR_INTS) {
        a.ints.v = list = sw_arena_copy(r->plan->arena, r->ints.items, r->ints.n * sizeof(int64_t));
        a.ints.n = (int)r->ints.n;
    }
    if (type == SW_ATTR_FLOATS) {
        a.floats.v = list = sw_arena_copy(r->plan->arena, r->floats, r->n_floats * sizeof(float));
        a.floats.n = (int)r->n_floats;
    }
    *target = a;
    return list ? SW_OK : SW_E_NOMEM;
}

static sw_status check_arity(const reader *r, sw_op op, const sw_attr *attrs) {
    const sw_op_info *info = sw_op_get(op);
    const int64_t *in = r->in.items;
    bool good = r->in.n >= info->min_in && (info->max_in == SW_VARIADIC || r->in.n <= info->max_in) &&
                r->out.n >= info->min_out && (info->max_out == SW_VARIADIC || r->out.n <= info->max_out);
    for (size_t i = 0; good && i < info->min_in; i++) good = in[i] > 0;
    if (!good) return broken(r, "a step of %s has another number of inputs or outputs", info->name);
    const int64_t *out = r->out.items;
    bool makes = false;
    for (size_t i = 0; i < r->out.n; i++) makes |= out[i] > 0;
    if (!makes) return broken(r, "a step of %s makes nothing", info->name);
    for (int i = 0; i < info->n_attrs; i++)
        if (info->attrs[i].required && !attrs[i].set)
            return broken(r, "a step of %s lacks the attribute '%s'", info->name, info->attrs[i].name);
    return SW_OK;
}

/* Numbers of values, each and one more, to ids. */
static sw_status ids_of(const reader *r, numbers *list, int32_t **ids) {
    *ids = SW_ARENA_ARRAY(r->plan->arena, int32_t, list->n + 1);
    if (!*ids) return SW_E_NOMEM;
    for (size_t i = 0; i < list->n; i++) {
        int64_t id = ((const int64_t *)list->items)[i] - 1;
        if (id < -1 || id >= (int64_t)r->plan->n_values)
            return broken(r, "a step reads or writes value %" PRId64 ", which is not there", id);
        (*ids)[i] = (int32_t)id;
    }
    return SW_OK;
}

static sw_status read_step(reader *r, sw_pb m) {
    const char *domain = "", *name = "", *tactic = NULL, *op_name = "";
    sw_op op = SW_OP_COUNT;
    sw_attr *attrs = NULL;
    r->in.n = r->out.n = 0;
    for (sw_pb_field f; sw_pb_next(&m, &f);) {
        switch (f.number) {
        case SW__STEP_DOMAIN:
            SW_TRY(need_text(&m, domain = text_of(r, &m, &f)));
            break;
        case SW__STEP_OP:
            SW_TRY(need_text(&m, op_name = text_of(r, &m, &f)));
            op = sw_op_find(domain, op_name);
            if (op == SW_OP_COUNT || attrs) return broken(r, "there is no operator '%.60s'", op_name);
            attrs = SW_ARENA_ARRAY(r->plan->arena, sw_attr, sw_op_get(op)->n_attrs + 1);
            if (!attrs) return SW_E_NOMEM;
            sw_op_default_attrs(op, attrs);
            break;
        case SW__STEP_NAME:
            SW_TRY(need_text(&m, name = text_of(r, &m, &f)));
            break;
        case SW__STEP_TACTIC:
            SW_TRY(need_text(&m, tactic = text_of(r, &m, &f)));
            break;
        case SW__STEP_IN:
            SW_TRY(add_number(r, &r->in, sw_pb_int(&f), MAX_PORTS));
            break;
        case SW__STEP_OUT:
            SW_TRY(add_number(r, &r->out, sw_pb_int(&f), MAX_PORTS));
            break;
        case SW__STEP_ATTR:
            if (!attrs) return broken(r, "an attribute comes before its operator");
            SW_TRY(read_attr(r, sw_pb_sub(&m, &f), op, attrs));
            break;
        default:
            break;
        }
    }
    SW_TRY(m.status);
    if (op == SW_OP_COUNT) return broken(r, "a step has no operator");
    SW_TRY(check_arity(r, op, attrs));
    int32_t *in, *out;
    SW_TRY(ids_of(r, &r->in, &in));
    SW_TRY(ids_of(r, &r->out, &out));
    SW_TRY(sw_plan_add_step(r->plan, op, name, attrs, (int)r->in.n, in, (int)r->out.n, out));
    return tactic ? sw_plan_set_tactic(r->plan, r->plan->n_steps - 1, tactic) : SW_OK;
}

/* ---- The rest ----------------------------------------------------------------------------------------------------- */

static sw_status read_pair(reader *r, sw_pb m, sw_status (*add)(sw_plan *, const char *, const char *)) {
    const char *key = "", *value = "";
    for (sw_pb_field f; sw_pb_next(&m, &f);) {
        if (f.number == SW__PAIR_KEY) SW_TRY(need_text(&m, key = text_of(r, &m, &f)));
        if (f.number == SW__PAIR_VALUE) SW_TRY(need_text(&m, value = text_of(r, &m, &f)));
    }
    SW_TRY(m.status);
    return add(r->plan, key, value);
}

static sw_status read_pack(reader *r, sw_pb m) {
    uint64_t step = UINT64_MAX, offset = 0, bytes = 0;
    const char *name = "";
    for (sw_pb_field f; sw_pb_next(&m, &f);) {
        switch (f.number) {
        case SW__PACK_STEP:
            step = f.value;
            break;
        case SW__PACK_TACTIC:
            SW_TRY(need_text(&m, name = text_of(r, &m, &f)));
            break;
        case SW__PACK_OFFSET:
            offset = f.value;
            break;
        case SW__PACK_BYTES:
            bytes = f.value;
            break;
        default:
            break;
        }
    }
    SW_TRY(m.status);
    const sw_conv_tactic *tactic = sw_conv_find(name);
    if (step >= r->plan->n_steps) return broken(r, "packed weights are of step %" PRIu64 ", which is not there", step);
    if (!tactic) { /* perhaps of another machine's: what it lacks says more, and is read later */
        r->unknown_tactic = name;
        return SW_OK;
    }
    if (offset > r->weights_bytes || bytes > r->weights_bytes - offset || offset % SW__PLAN_ALIGN)
        return broken(r, "the packed weights of step %" PRIu64 " lie outside the file", step);
    return sw_packs_lend(r->plan->packs, (int32_t)step, tactic, r->weights + offset, bytes);
}

static sw_status read_time(reader *r, sw_pb m) {
    sw_tactic_time time = {.tactic = "", .ns = -1};
    uint64_t step = UINT64_MAX;
    for (sw_pb_field f; sw_pb_next(&m, &f);) {
        switch (f.number) {
        case SW__TIME_STEP:
            step = f.value;
            break;
        case SW__TIME_TACTIC:
            SW_TRY(need_text(&m, time.tactic = text_of(r, &m, &f)));
            break;
        case SW__TIME_NS:
            time.ns = sw_pb_int(&f);
            break;
        case SW__TIME_REASON:
            SW_TRY(need_text(&m, time.reason = text_of(r, &m, &f)));
            break;
        default:
            break;
        }
    }
    SW_TRY(m.status);
    if (step >= r->plan->n_steps) return broken(r, "a time is of a step that is not there");
    time.step = (int32_t)step;
    return sw_plan_add_time(r->plan, &time);
}

static sw_status read_features(reader *r, const char *text, bool *known) {
    uint32_t features = 0;
    char list[256];
    snprintf(list, sizeof list, "%s", text);
    for (char *at = list; *at; at++)
        if (*at == ' ') *at = ',';
    *known = !list[0] || sw_cpu_parse(list, &features);
    r->plan->features = features;
    return SW_OK;
}

static sw_status read_gpu(reader *r, sw_pb m) {
    const char *name = NULL;
    uint64_t sm = 0, any = 0;
    for (sw_pb_field f; sw_pb_next(&m, &f);) {
        if (f.number == SW__GPU_NAME) SW_TRY(need_text(&m, name = text_of(r, &m, &f)));
        if (f.number == SW__GPU_SM) sm = f.value;
        if (f.number == SW__GPU_ANY) any = f.value;
    }
    SW_TRY(m.status);
    if (!name || sm == 0 || sm > 9999) return broken(r, "the GPU that it was built for makes no sense");
    return sw_plan_set_gpu(r->plan, name, (int)sm, any != 0);
}

/* Code is copied before it is compared with its checksum; without trust it is only known to be there. */
static sw_status add_code(reader *r, sw_cuda_code code, uint64_t offset, uint64_t crc) {
    if (offset > r->weights_bytes || code.bytes > r->weights_bytes - offset || offset % SW__PLAN_ALIGN || !code.bytes)
        return broken(r, "the code of GPU kernel '%.40s' lies outside the file", code.kernel);
    if (r->trust_code) code.data = r->weights + offset;
    SW_TRY(sw_plan_add_gpu_code(r->plan, &code));
    const sw_cuda_code *kept = &r->plan->gpu_codes[r->plan->n_gpu_codes - 1];
    if (kept->data && sw_crc32(kept->data, kept->bytes) != crc)
        return broken(r, "the code of GPU kernel '%.40s' was changed", kept->kernel);
    return SW_OK;
}

static sw_status read_code(reader *r, sw_pb m) {
    sw_cuda_code code = {.kernel = ""};
    uint64_t offset = UINT64_MAX, crc = 0;
    for (sw_pb_field f; sw_pb_next(&m, &f);) {
        switch (f.number) {
        case SW__CODE_KERNEL:
            SW_TRY(need_text(&m, code.kernel = text_of(r, &m, &f)));
            break;
        case SW__CODE_TEXT:
            code.text = f.value;
            break;
        case SW__CODE_OFFSET:
            offset = f.value;
            break;
        case SW__CODE_BYTES:
            code.bytes = f.value;
            break;
        case SW__CODE_CRC:
            crc = f.value;
            break;
        default:
            break;
        }
    }
    SW_TRY(m.status);
    return add_code(r, code, offset, crc);
}

static sw_status read_control(reader *r, sw_pb m, const char **features) {
    for (sw_pb_field f; sw_pb_next(&m, &f);) {
        switch (f.number) {
        case SW__CONTROL_FLAGS:
            r->plan->stripped = f.value & SW__FLAG_STRIPPED;
            r->plan->portable = f.value & SW__FLAG_PORTABLE;
            r->plan->gpu_tf32 = f.value & SW__FLAG_TF32;
            r->plan->whole_maps = f.value & SW__FLAG_WHOLE_MAPS;
            break;
        case SW__CONTROL_FEATURES:
            SW_TRY(need_text(&m, *features = text_of(r, &m, &f)));
            break;
        case SW__CONTROL_VALUE:
            SW_TRY(read_value(r, sw_pb_sub(&m, &f)));
            break;
        case SW__CONTROL_STEP:
            SW_TRY(read_step(r, sw_pb_sub(&m, &f)));
            break;
        case SW__CONTROL_INPUT:
            SW_TRY(add_number(r, &r->inputs, sw_pb_int(&f), MAX_PORTS));
            break;
        case SW__CONTROL_OUTPUT:
            SW_TRY(add_number(r, &r->outputs, sw_pb_int(&f), MAX_PORTS));
            break;
        case SW__CONTROL_META:
            SW_TRY(read_pair(r, sw_pb_sub(&m, &f), sw_plan_add_meta));
            break;
        case SW__CONTROL_RECEIPT:
            SW_TRY(read_pair(r, sw_pb_sub(&m, &f), sw_plan_add_receipt));
            break;
        case SW__CONTROL_PACK:
            SW_TRY(read_pack(r, sw_pb_sub(&m, &f)));
            break;
        case SW__CONTROL_EXTENT:
            SW_TRY(add_number(r, &r->extents, sw_pb_int(&f), 1 << 20));
            break;
        case SW__CONTROL_TIME:
            SW_TRY(read_time(r, sw_pb_sub(&m, &f)));
            break;
        case SW__CONTROL_GPU:
            SW_TRY(read_gpu(r, sw_pb_sub(&m, &f)));
            break;
        case SW__CONTROL_GPU_TILE:
            SW_TRY(read_pair(r, sw_pb_sub(&m, &f), sw_plan_add_gpu_tile));
            break;
        case SW__CONTROL_GPU_TYPE:
            r->plan->gpu_type = dtype_of(f.value);
            if (r->plan->gpu_type != SW_BF16 && r->plan->gpu_type != SW_F32)
                return broken(r, "it computes in a type that GPUs do not");
            break;
        case SW__CONTROL_GPU_CODE:
            SW_TRY(read_code(r, sw_pb_sub(&m, &f)));
            break;
        default:
            break; /* of a later version of the same format */
        }
    }
    return m.status;
}

/* ---- The whole ---------------------------------------------------------------------------------------------------- */

/* Constants without data may only be weights of a convolution or a product that has packed ones. */
static sw_status check_missing(const reader *r, const sw_step *step, int k) {
    if (!r->missing[step->in[k]] || r->plan->stripped) return SW_OK;
    const sw_tensor *out = step->n_out && step->out[0] >= 0 ? &r->plan->values[step->out[0]].type : NULL;
    bool conv = step->op == SW_OP_FusedConv && out && out->layout == SW_CHANNELS_LAST;
    bool packed = step->tactic && (k == 1 || k == 2) && (conv || sw_call_is_product(&(sw_call){.op = step->op}));
    return packed ? SW_OK : broken(r, "step '%.60s' needs a constant that is not there", step->name);
}

/* Each value is made once, before it is read. */
static sw_status check_order(const reader *r, bool *made) {
    const sw_plan *plan = r->plan;
    for (size_t v = 0; v < plan->n_values; v++) {
        made[v] = plan->values[v].type.data || r->missing[v];
        if (plan->views[v].root < 0 || plan->views[v].root >= (int32_t)plan->n_values)
            return broken(r, "value '%.60s' is part of a value that is not there", plan->values[v].name);
    }
    for (int i = 0; i < plan->n_inputs; i++) {
        if (made[plan->inputs[i]]) return broken(r, "input %d is made elsewhere, too", i);
        made[plan->inputs[i]] = true;
    }
    for (size_t s = 0; s < plan->n_steps; s++) {
        const sw_step *step = &plan->steps[s];
        for (int i = 0; i < step->n_in; i++) {
            if (step->in[i] < 0) continue;
            if (!made[step->in[i]]) return broken(r, "step %zu reads a value before it is made", s);
            SW_TRY(check_missing(r, step, i));
        }
        for (int i = 0; i < step->n_out; i++) {
            if (step->out[i] < 0) continue;
            if (made[step->out[i]]) return broken(r, "step %zu makes a value that is there already", s);
            made[step->out[i]] = true;
        }
    }
    for (int i = 0; i < plan->n_outputs; i++)
        if (!made[plan->outputs[i]] || (r->missing[plan->outputs[i]] && !plan->stripped))
            return broken(r, "output %d is never made", i);
    return SW_OK;
}

static sw_status set_ports(reader *r) {
    numbers *lists[] = {&r->inputs, &r->outputs};
    int32_t *ids[2];
    for (int i = 0; i < 2; i++) {
        ids[i] = SW_ARENA_ARRAY(r->plan->arena, int32_t, lists[i]->n + 1);
        if (!ids[i]) return SW_E_NOMEM;
        for (size_t k = 0; k < lists[i]->n; k++) {
            int64_t id = ((const int64_t *)lists[i]->items)[k];
            if (id < 0 || id >= (int64_t)r->plan->n_values)
                return broken(r, "an input or output is a value that is not there");
            ids[i][k] = (int32_t)id;
        }
    }
    return sw_plan_set_ports(r->plan, ids[0], (int)r->inputs.n, ids[1], (int)r->outputs.n);
}

static sw_status set_profiles(reader *r) {
    size_t one = 3 * SW_MAX_RANK * r->inputs.n, n = one ? r->extents.n / one : 0;
    if (!r->extents.n) return SW_OK;
    if (!one || n * one != r->extents.n || n > MAX_PROFILES) return broken(r, "its profiles are incomplete");
    sw_extent *extents = SW_ARENA_ARRAY(r->plan->arena, sw_extent, r->extents.n / 3);
    if (!extents) return SW_E_NOMEM;
    const int64_t *v = r->extents.items;
    for (size_t i = 0; i < r->extents.n / 3; i++) extents[i] = (sw_extent){v[3 * i], v[3 * i + 1], v[3 * i + 2]};
    return sw_plan_set_profiles(r->plan, extents, (int)n);
}

static sw_status check_machine(const reader *r, const char *features, bool known, bool strict) {
    const sw_plan *plan = r->plan;
    char have[256];
    uint32_t lacking = plan->features & ~sw_cpu_features();
    sw_cpu_text(sw_cpu_features(), have, sizeof have);
    if (!known || lacking)
        return sw_fail(r->diag, SW_E_UNSUPPORTED, r->where,
                       "build one here with 'slipway build', or there with --portable",
                       "the plan needs %s, but this CPU has %s", features, have);
    const char *theirs = sw_plan_receipt(plan, "cpu signature"), *model = sw_plan_receipt(plan, "cpu");
    if (!theirs || plan->portable || !strcmp(theirs, sw_cpu_signature())) return SW_OK;
    if (strict)
        return sw_fail(r->diag, SW_E_UNSUPPORTED, r->where, "build one here with 'slipway build'",
                       "the plan was tuned on another CPU: %s (%s), this is %s (%s)", model ? model : "unknown", theirs,
                       sw_cpu_model(), sw_cpu_signature());
    sw_warn(r->diag, r->where,
            "tuned on another CPU (%s, %s; this is %s, %s): it runs, but another choice of kernels may be faster",
            model ? model : "unknown", theirs, sw_cpu_model(), sw_cpu_signature());
    return SW_OK;
}

static sw_status check_whole(reader *r) {
    SW_TRY(set_ports(r));
    SW_TRY(set_profiles(r));
    bool *made = sw_calloc(r->plan->allocator, r->plan->n_values + 1, sizeof *made);
    sw_status status = made ? check_order(r, made) : SW_E_NOMEM;
    sw_free(r->plan->allocator, made);
    return status;
}

static void free_lists(reader *r) {
    numbers *lists[] = {&r->in, &r->out, &r->inputs, &r->outputs, &r->extents, &r->ints};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) sw_free(r->plan->allocator, lists[i]->items);
    sw_free(r->plan->allocator, r->floats);
    sw_free(r->plan->allocator, r->missing);
}

static uint64_t number_at(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << 8 * i;
    return value;
}

/* The header's extents: control part and weights within the file, one after the other. */
static sw_status check_header(const reader *r, const sw_map *map, uint64_t *control) {
    const uint8_t *h = map->data;
    if (map->size < SW__PLAN_HEADER_BYTES || !sw_plan_sniff(h, map->size))
        return broken(r, "it is no plan, or cut off");
    uint64_t version = number_at(h + 8, 4), size = number_at(h + 16, 8), weights = number_at(h + 32, 8);
    *control = number_at(h + 24, 8);
    if (version != SW_PLAN_FORMAT)
        return sw_fail(r->diag, SW_E_UNSUPPORTED, r->where, "build it again with this Slipway ('slipway build')",
                       "the plan is of format %" PRIu64 ", this Slipway (" SLIPWAY_VERSION ") reads format %d", version,
                       SW_PLAN_FORMAT);
    if (size != map->size) return broken(r, "it has %zu bytes and should have %" PRIu64, map->size, size);
    if (*control > SW__PLAN_MAX_CONTROL || *control > size - SW__PLAN_HEADER_BYTES ||
        weights < SW__PLAN_HEADER_BYTES + *control || weights > size || weights % SW__PLAN_PAGE ||
        number_at(h + 40, 8) != size - weights)
        return broken(r, "its parts overlap or lie outside the file");
    return SW_OK;
}

static sw_status read_file(reader *r, const sw_map *map, bool strict) {
    uint64_t control;
    SW_TRY(check_header(r, map, &control));
    /* A copy, so that a file which changes while it is read cannot pass a check and mean something else. */
    uint8_t *copy = sw_arena_alloc(r->plan->arena, (size_t)control + 1, 1);
    if (!copy) return SW_E_NOMEM;
    memcpy(copy, map->data + SW__PLAN_HEADER_BYTES, (size_t)control);
    if (sw_crc32(copy, (size_t)control) != number_at(map->data + 12, 4)) return broken(r, "its checksum is wrong");
    uint64_t weights = number_at(map->data + 32, 8);
    r->weights = map->data + weights;
    r->weights_bytes = map->size - weights;
    const char *features = "";
    bool known;
    SW_TRY(read_control(r, sw_pb_make(copy, (size_t)control, r->where, r->diag), &features));
    SW_TRY(read_features(r, features, &known));
    SW_TRY(check_machine(r, features, known, strict));
    if (r->unknown_tactic)
        return broken(r, "packed weights are of tactic '%.60s', which is not there", r->unknown_tactic);
    return check_whole(r);
}

static void close_map(void *map) {
    sw_map_close(map);
}

/* Hands the mapping to the plan, whose weights lie there. */
static sw_status keep_map(sw_plan *plan, sw_map *map) {
    sw_map *kept = sw_arena_copy(plan->arena, map, sizeof *map);
    sw_status status = kept ? sw_arena_cleanup(plan->arena, close_map, kept) : SW_E_NOMEM;
    if (status != SW_OK) sw_map_close(map);
    return status;
}

sw_status sw_plan_load(const char *path, const sw_load_options *options, const sw_diag *diag, sw_plan **plan) {
    SW_TRY(SW_OPTIONS_CHECK(options, diag));
    sw_map map;
    sw_status status = sw_map_open(path, diag, &map);
    if (status != SW_OK) return status == SW_E_IO ? SW_E_MODEL : status;
    reader r = {
        .plan = sw_plan_create(NULL), .where = path, .diag = diag, .trust_code = options && options->trust_code};
    if (!r.plan) {
        sw_map_close(&map);
        return sw_fail(diag, SW_E_NOMEM, path, NULL, "out of memory");
    }
    status = keep_map(r.plan, &map);
    if (status == SW_OK) status = read_file(&r, &map, options && options->strict);
    free_lists(&r);
    if (status == SW_OK) {
        r.plan->loaded = true;
        *plan = r.plan;
        return SW_OK;
    }
    sw_plan_unref(r.plan);
    if (status == SW_E_NOMEM) sw_fail(diag, status, path, NULL, "out of memory");
    return status;
}
