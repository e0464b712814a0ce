/* The JSON of inference requests, and of those to the repository. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "serve/kserve/json_data.h"

/* What went wrong in a JSON text, kept from the reader's messages. */
typedef struct complaint {
    char text[256];
    sw_diag diag;
} complaint;

static void keep(void *ctx, const sw_message *message) {
    complaint *c = ctx;
    snprintf(c->text, sizeof c->text, "%s", message->text);
}

typedef struct body {
    sw_json_reader r;
    complaint complaint;
    sw_kserve_request *k;
    const uint8_t *binary; /* the tensors behind the JSON that are not yet taken */
    size_t left;
    sw_serve_error *error;
} body;

static void begin(body *b, const void *json, size_t size, sw_serve_error *error) {
    b->error = error;
    b->complaint.diag = (sw_diag){keep, &b->complaint};
    sw_json_reader_init(&b->r, json, size, NULL, NULL, &b->complaint.diag);
}

static sw_serve_code fail_json(body *b, sw_status status) {
    if (status == SW_E_NOMEM) return sw_kserve_no_memory(b->error);
    if (status == SW_E_LIMIT && strstr(b->complaint.text, "nested"))
        return sw_serve_fail(
            b->error, SW_SERVE_INVALID_ARG,
            "failed to parse the request JSON buffer: JSON nesting depth exceeds maximum allowed limit (%d)",
            SW_JSON_MAX_DEPTH);
    return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG, "failed to parse the request JSON buffer: %s",
                         b->complaint.text);
}

static sw_serve_code fail_type(body *b, const char *what, const char *type) {
    return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG, "Unable to parse '%s': it must be %s", what, type);
}

/* Next event, into `e`; leaves the calling function on failure. */
#define NEXT(b, e)                                                                                                     \
    do {                                                                                                               \
        sw_status status_ = sw_json_next(&(b)->r, (e));                                                                \
        if (status_ != SW_OK) return fail_json((b), status_);                                                          \
    } while (0)
#define DO(call)                                                                                                       \
    do {                                                                                                               \
        sw_serve_code code_ = (call);                                                                                  \
        if (code_ != SW_SERVE_OK) return code_;                                                                        \
    } while (0)

static sw_serve_code expect(body *b, sw_json_type type, const char *what, const char *name) {
    sw_json_event e;
    NEXT(b, &e);
    return e.type == type ? SW_SERVE_OK : fail_type(b, what, name);
}

static bool is_key(const sw_json_event *e, const char *key) {
    return e->length == strlen(key) && !memcmp(e->text, key, e->length);
}

static sw_serve_code skip(body *b, const sw_json_event *key) {
    sw_status status = sw_json_skip(&b->r, key);
    return status == SW_OK ? SW_SERVE_OK : fail_json(b, status);
}

static sw_serve_code read_text(body *b, const char *what, const char **text) {
    sw_json_event e;
    NEXT(b, &e);
    if (e.type != SW_JSON_STRING) return fail_type(b, what, "a string");
    if (memchr(e.text, 0, e.length)) return fail_type(b, what, "a string without zeros");
    *text = sw_kserve_text(b->k, e.text, e.length);
    return *text ? SW_SERVE_OK : sw_kserve_no_memory(b->error);
}

static sw_serve_code read_whole(body *b, const char *what, int64_t *value) {
    sw_json_event e;
    NEXT(b, &e);
    if (e.type != SW_JSON_NUMBER || !e.is_integer || e.integer < 0)
        return fail_type(b, what, "a whole number of at least 0");
    *value = e.integer;
    return SW_SERVE_OK;
}

static sw_serve_code read_bool(body *b, const char *what, bool *value) {
    sw_json_event e;
    NEXT(b, &e);
    if (e.type != SW_JSON_BOOL) return fail_type(b, what, "true or false");
    *value = e.boolean;
    return SW_SERVE_OK;
}

static sw_serve_code read_shape(body *b, sw_serve_tensor *t) {
    sw_json_event e;
    DO(expect(b, SW_JSON_ARRAY, "shape", "an array"));
    for (t->rank = 0;; t->rank++) {
        NEXT(b, &e);
        if (e.type == SW_JSON_ARRAY_END) return SW_SERVE_OK;
        if (e.type != SW_JSON_NUMBER || !e.is_integer) return fail_type(b, "shape", "an array of whole numbers");
        if (t->rank == SW_MAX_RANK)
            return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG, "'shape' has more than %d dimensions", SW_MAX_RANK);
        t->dims[t->rank] = e.integer;
    }
}

/* Reads the members of an object that has begun: `read` takes the value of those it knows, or leaves it. */
typedef sw_serve_code (*read_key)(body *b, const sw_json_event *key, void *ctx, bool *taken);
static sw_serve_code read_members(body *b, read_key read, void *ctx) {
    sw_json_event e;
    for (;;) {
        bool taken = false;
        NEXT(b, &e);
        if (e.type == SW_JSON_OBJECT_END) return SW_SERVE_OK;
        DO(read(b, &e, ctx, &taken));
        if (!taken) DO(skip(b, &e));
    }
}

static sw_serve_code read_object(body *b, const char *what, read_key read, void *ctx) {
    DO(expect(b, SW_JSON_OBJECT, what, "an object"));
    return read_members(b, read, ctx);
}

/* -- Parameters ---------------------------------------------------------------------------------------------------- */

/* The text of a parameter's value. */
static sw_serve_code read_value(body *b, const char *name, const char **value) {
    sw_json_event e;
    char number[SW_FLOAT_TEXT];
    NEXT(b, &e);
    switch (e.type) {
    case SW_JSON_STRING:
        *value = sw_kserve_text(b->k, e.text, strlen(e.text));
        break;
    case SW_JSON_BOOL:
        *value = e.boolean ? "true" : "false";
        break;
    case SW_JSON_NUMBER:
        if (e.is_integer)
            snprintf(number, sizeof number, "%lld", (long long)e.integer);
        else
            sw_str_from_f64(number, e.number);
        *value = sw_kserve_text(b->k, number, strlen(number));
        break;
    default:
        return fail_type(b, name, "a string, number or boolean, as all parameters");
    }
    return *value ? SW_SERVE_OK : sw_kserve_no_memory(b->error);
}

static sw_serve_code read_shared(body *b, const sw_json_event *key, sw_kserve_shared *shared, bool *taken) {
    const char *name = sw_kserve_text(b->k, key->text, strlen(key->text)), *value;
    if (!name) return sw_kserve_no_memory(b->error);
    *taken = sw_str_starts_with(name, "shared_memory_");
    if (!*taken) return SW_SERVE_OK;
    DO(read_value(b, name, &value));
    *taken = sw_kserve_shared_parameter(name, value, shared);
    return SW_SERVE_OK;
}

/* -- Inputs -------------------------------------------------------------------------------------------------------- */

typedef struct input {
    sw_serve_tensor tensor;
    const char *data; /* JSON text; NULL: none */
    size_t size;
    int64_t binary; /* bytes behind the JSON; -1: none */
    bool has_shape;
    sw_kserve_shared shared;
} input;

static sw_serve_code read_tensor_parameter(body *b, const sw_json_event *key, void *ctx, bool *taken) {
    input *in = ctx;
    *taken = true;
    if (is_key(key, "binary_data_size")) return read_whole(b, "binary_data_size", &in->binary);
    return read_shared(b, key, &in->shared, taken);
}

static sw_serve_code read_input_key(body *b, const sw_json_event *key, void *ctx, bool *taken) {
    input *in = ctx;
    *taken = true;
    if (is_key(key, "name")) return read_text(b, "name", &in->tensor.name);
    if (is_key(key, "datatype")) {
        sw_json_event e;
        NEXT(b, &e);
        if (e.type != SW_JSON_STRING) return fail_type(b, "datatype", "a string");
        in->tensor.dtype = sw_serve_dtype_parse(e.text, e.length);
        if (in->tensor.dtype == SW_DTYPE_NONE)
            return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG, "unknown datatype '%.40s' of an input", e.text);
        return SW_SERVE_OK;
    }
    if (is_key(key, "shape")) {
        in->has_shape = true;
        return read_shape(b, &in->tensor);
    }
    if (is_key(key, "data")) {
        sw_status status = sw_json_raw(&b->r, &in->data, &in->size);
        return status == SW_OK ? SW_SERVE_OK : fail_json(b, status);
    }
    if (is_key(key, "parameters")) return read_object(b, "parameters", read_tensor_parameter, in);
    *taken = false;
    return SW_SERVE_OK;
}

static sw_serve_code take_binary(body *b, input *in) {
    sw_serve_tensor *t = &in->tensor;
    int64_t count, bytes;
    DO(sw_kserve_measure(t, &count, &bytes, b->error));
    if ((uint64_t)in->binary > b->left)
        return sw_serve_fail(
            b->error, SW_SERVE_INVALID_ARG,
            "unexpected end of the request body: input '%s' has 'binary_data_size' %lld, but %zu bytes follow", t->name,
            (long long)in->binary, b->left);
    t->data = b->binary;
    t->bytes = (size_t)in->binary;
    b->binary += in->binary;
    b->left -= (size_t)in->binary;
    return SW_SERVE_OK;
}

static sw_serve_code read_input(body *b) {
    input in = {.binary = -1};
    sw_serve_tensor *t = &in.tensor;
    DO(read_members(b, read_input_key, &in));
    if (!t->name) return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG, "an input has no 'name'");
    if (!in.has_shape) return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG, "input '%s' has no 'shape'", t->name);
    if (!t->dtype) return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG, "input '%s' has no 'datatype'", t->name);
    if (in.shared.given + (in.binary >= 0) + (in.data != NULL) > 1)
        return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG,
                             "input '%s' must have only one of 'data', the parameter 'binary_data_size' and the "
                             "parameter 'shared_memory_region'",
                             t->name);
    if (in.shared.given)
        DO(sw_kserve_share_input(b->k, &in.shared, t, b->error));
    else if (in.binary >= 0)
        DO(take_binary(b, &in));
    else if (in.data)
        DO(sw__kserve_read_array(b->k, t, in.data, in.size, b->error));
    else
        return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG,
                             "input '%s' has neither 'data' nor the parameter 'binary_data_size'", t->name);
    return sw_kserve_add_input(b->k, t, b->error);
}

/* -- Outputs ------------------------------------------------------------------------------------------------------- */

typedef struct output {
    sw_kserve_output wanted;
    sw_kserve_shared shared;
} output;

static sw_serve_code read_output_parameter(body *b, const sw_json_event *key, void *ctx, bool *taken) {
    output *out = ctx;
    *taken = true;
    if (is_key(key, "binary_data")) return read_bool(b, "binary_data", &out->wanted.binary);
    if (is_key(key, "classification")) return read_whole(b, "classification", &out->wanted.classes);
    return read_shared(b, key, &out->shared, taken);
}

static sw_serve_code read_output_key(body *b, const sw_json_event *key, void *ctx, bool *taken) {
    output *out = ctx;
    *taken = true;
    if (is_key(key, "name")) return read_text(b, "name", &out->wanted.name);
    if (is_key(key, "parameters")) return read_object(b, "parameters", read_output_parameter, out);
    *taken = false;
    return SW_SERVE_OK;
}

static sw_serve_code read_output(body *b) {
    output out = {0};
    DO(read_members(b, read_output_key, &out));
    if (!out.wanted.name) return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG, "an output has no 'name'");
    if (out.shared.given) DO(sw_kserve_share_output(b->k, &out.shared, &out.wanted, b->error));
    return sw_kserve_add_output(b->k, out.wanted, b->error);
}

/* -- The request --------------------------------------------------------------------------------------------------- */

static sw_serve_code read_parameter(body *b, const sw_json_event *key, void *ctx, bool *taken) {
    const char *name = sw_kserve_text(b->k, key->text, strlen(key->text)), *value;
    bool is_flag = is_key(key, "binary_data_output"), flag;
    if (!name) return sw_kserve_no_memory(b->error);
    *taken = true;
    if (is_flag) {
        DO(read_bool(b, name, &flag));
        return sw_kserve_add_parameter(b->k, name, flag ? "true" : "false", b->error);
    }
    DO(read_value(b, name, &value));
    return sw_kserve_add_parameter(b->k, name, value, b->error);
}

static sw_serve_code read_list(body *b, const char *what, sw_serve_code (*read)(body *b)) {
    sw_json_event e;
    DO(expect(b, SW_JSON_ARRAY, what, "an array"));
    for (;;) {
        NEXT(b, &e);
        if (e.type == SW_JSON_ARRAY_END) return SW_SERVE_OK;
        if (e.type != SW_JSON_OBJECT) return fail_type(b, what, "an array of objects");
        DO(read(b));
    }
}

static sw_serve_code read_request_key(body *b, const sw_json_event *key, void *ctx, bool *taken) {
    bool *has_inputs = ctx;
    *taken = true;
    if (is_key(key, "id")) return read_text(b, "id", &b->k->request.id);
    if (is_key(key, "parameters")) return read_object(b, "parameters", read_parameter, NULL);
    if (is_key(key, "inputs")) {
        *has_inputs = true;
        return read_list(b, "inputs", read_input);
    }
    if (is_key(key, "outputs")) return read_list(b, "outputs", read_output);
    *taken = false;
    return SW_SERVE_OK;
}

static sw_serve_code read_json(body *b, const char *model) {
    bool has_inputs = false;
    DO(read_object(b, "request", read_request_key, &has_inputs));
    DO(expect(b, SW_JSON_END, "request", "one object"));
    if (!has_inputs) return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG, "the request has no 'inputs'");
    if (b->left)
        return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG,
                             "unexpected additional input data for model '%s': %zu bytes", model, b->left);
    return sw_kserve_finish(b->k, b->error);
}

/* -- Raw bytes ----------------------------------------------------------------------------------------------------- */

/* The shape of the only input, whose one unknown dim follows from the bytes. */
static sw_serve_code deduce_shape(const sw_serve_info *info, sw_serve_tensor *t, sw_serve_error *error) {
    const sw_serve_port *port = &info->inputs[0];
    size_t size = sw_serve_dtype_size(port->dtype);
    int64_t known = 1, open = -1;
    int from = info->max_batch_size > 0; /* the batch is 1 */
    t->rank = port->rank;
    for (int i = 0; i < port->rank; i++) {
        t->dims[i] = i < from ? 1 : port->dims[i];
        if (t->dims[i] >= 0) {
            known *= t->dims[i];
            continue;
        }
        if (open >= 0)
            return sw_serve_fail(
                error, SW_SERVE_INVALID_ARG,
                "The shape of the raw input '%s' can not be deduced because there are more than one variable-sized "
                "dimension",
                port->name);
        open = i;
    }
    if (port->dtype == SW_SERVE_BYTES && (known != 1 || port->rank - from > 1 || open >= 0))
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "For BYTE datatype raw input '%s', the model must have input shape [1]", port->name);
    if (open >= 0) t->dims[open] = size && known ? (int64_t)(t->bytes / size) / known : 1;
    return SW_SERVE_OK;
}

sw_serve_code sw_kserve_read_raw(sw_kserve_request *k, const sw_serve_info *info, const uint8_t *data, size_t size,
                                 sw_serve_error *error) {
    if (info->n_inputs != 1)
        return sw_serve_fail(
            error, SW_SERVE_INVALID_ARG,
            "Raw request must only have 1 input (found 1) to be deduced but got %d inputs in '%s' model "
            "configuration",
            info->n_inputs, info->name);
    sw_serve_tensor t = {.name = info->inputs[0].name, .dtype = info->inputs[0].dtype, .data = data, .bytes = size};
    if (t.dtype == SW_SERVE_BYTES) { /* one element, which comes without its length */
        uint32_t length = (uint32_t)size;
        uint8_t *text = sw_kserve_take(k, size + sizeof length);
        if (!text) return sw_kserve_no_memory(error);
        memcpy(text, &length, sizeof length);
        if (size) memcpy(text + sizeof length, data, size);
        t.data = text;
        t.bytes += sizeof length;
    }
    DO(deduce_shape(info, &t, error));
    k->binary_output = true;
    DO(sw_kserve_add_input(k, &t, error));
    return sw_kserve_finish(k, error);
}

sw_serve_code sw_kserve_read(sw_kserve_request *k, const char *model, const uint8_t *data, size_t size,
                             int64_t json_size, sw_serve_error *error) {
    if (json_size > 0 && (uint64_t)json_size > size)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "Inference-Header-Content-Length is %lld, but the request body has %zu bytes",
                             (long long)json_size, size);
    size_t json = json_size < 0 ? size : (size_t)json_size;
    body b = {.k = k, .binary = data + json, .left = size - json};
    begin(&b, data, json, error);
    sw_serve_code code = read_json(&b, model);
    sw_json_reader_free(&b.r);
    return code;
}

/* -- Repository ---------------------------------------------------------------------------------------------------- */

static sw_serve_code read_index_key(body *b, const sw_json_event *key, void *ctx, bool *taken) {
    if (!is_key(key, "ready")) return SW_SERVE_OK;
    *taken = true;
    return read_bool(b, "ready", ctx);
}

sw_serve_code sw_kserve_read_index(const uint8_t *data, size_t size, bool *ready, sw_serve_error *error) {
    *ready = false;
    if (!size) return SW_SERVE_OK;
    body b = {0};
    begin(&b, data, size, error);
    sw_serve_code code = read_object(&b, "request", read_index_key, ready);
    if (code == SW_SERVE_OK) code = expect(&b, SW_JSON_END, "request", "one object");
    sw_json_reader_free(&b.r);
    return code;
}

/* -- Shared memory ------------------------------------------------------------------------------------------------- */

typedef struct region {
    sw_region_row row;
    sw_arena *arena;
    bool has_size;
} region;

static sw_serve_code read_size(body *b, const char *what, uint64_t *value) {
    sw_json_event e;
    NEXT(b, &e);
    if (e.type != SW_JSON_NUMBER || e.number < 0 || (!e.is_integer && e.number < 0x1p63))
        return fail_type(b, what, "a whole number of at least 0");
    *value = e.is_integer ? (uint64_t)e.integer : UINT64_MAX; /* too large for every memory */
    return SW_SERVE_OK;
}

static sw_serve_code read_region_key(body *b, const sw_json_event *key, void *ctx, bool *taken) {
    region *r = ctx;
    sw_json_event e;
    *taken = true;
    if (is_key(key, "offset")) return read_size(b, "offset", &r->row.offset);
    if (is_key(key, "byte_size")) {
        r->has_size = true;
        return read_size(b, "byte_size", &r->row.bytes);
    }
    *taken = is_key(key, "key");
    if (!*taken) return SW_SERVE_OK;
    NEXT(b, &e);
    if (e.type != SW_JSON_STRING || memchr(e.text, 0, e.length)) return fail_type(b, "key", "a string without zeros");
    r->row.key = sw_arena_strdup(r->arena, e.text);
    return r->row.key ? SW_SERVE_OK : sw_kserve_no_memory(b->error);
}

sw_serve_code sw_kserve_read_region(const uint8_t *data, size_t size, sw_arena *arena, sw_region_row *row,
                                    sw_serve_error *error) {
    region r = {.arena = arena};
    body b = {0};
    begin(&b, data, size, error);
    sw_serve_code code = read_object(&b, "request", read_region_key, &r);
    if (code == SW_SERVE_OK) code = expect(&b, SW_JSON_END, "request", "one object");
    sw_json_reader_free(&b.r);
    if (code != SW_SERVE_OK) return code;
    if (!r.row.key || !r.has_size)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "the request has no '%s'", r.row.key ? "byte_size" : "key");
    *row = r.row;
    return SW_SERVE_OK;
}

/* -- Settings ------------------------------------------------------------------------------------------------------ */

typedef struct setting_list {
    sw_settings *settings;
    sw_arena *arena;
} setting_list;

static sw_serve_code read_setting_text(body *b, const setting_list *list, sw_setting *s, const sw_json_event *e) {
    if (e->type != SW_JSON_STRING || memchr(e->text, 0, e->length) || s->n_values == SW_MAX_SETTING_VALUES)
        return fail_type(b, s->name, "a string, or a list of a few");
    s->values[s->n_values] = sw_arena_strdup(list->arena, e->text);
    return s->values[s->n_values++] ? SW_SERVE_OK : sw_kserve_no_memory(b->error);
}

static sw_serve_code read_setting(body *b, const sw_json_event *key, void *ctx, bool *taken) {
    const setting_list *list = ctx;
    sw_json_event e;
    *taken = true;
    if (list->settings->n == SW_MAX_SETTINGS) return fail_type(b, "request", "an object of fewer settings");
    sw_setting *s = &list->settings->all[list->settings->n++];
    *s = (sw_setting){.name = sw_arena_strdup(list->arena, key->text)};
    if (!s->name) return sw_kserve_no_memory(b->error);
    NEXT(b, &e);
    switch (e.type) {
    case SW_JSON_NULL:
        return SW_SERVE_OK;
    case SW_JSON_BOOL:
        s->kind = SW_SETTING_BOOL;
        s->number = e.boolean;
        return SW_SERVE_OK;
    case SW_JSON_NUMBER:
        s->kind = SW_SETTING_NUMBER;
        s->number = e.integer;
        return e.is_integer ? SW_SERVE_OK : fail_type(b, s->name, "a whole number");
    case SW_JSON_ARRAY:
        s->kind = SW_SETTING_LIST;
        for (;;) {
            NEXT(b, &e);
            if (e.type == SW_JSON_ARRAY_END) return SW_SERVE_OK;
            DO(read_setting_text(b, list, s, &e));
        }
    default:
        s->kind = SW_SETTING_TEXT;
        return read_setting_text(b, list, s, &e);
    }
}

sw_serve_code sw_kserve_read_settings(const uint8_t *data, size_t size, sw_arena *arena, sw_settings *settings,
                                      sw_serve_error *error) {
    setting_list list = {settings, arena};
    settings->n = 0;
    if (!size) return SW_SERVE_OK;
    body b = {0};
    begin(&b, data, size, error);
    sw_serve_code code = read_object(&b, "request", read_setting, &list);
    if (code == SW_SERVE_OK) code = expect(&b, SW_JSON_END, "request", "one object");
    sw_json_reader_free(&b.r);
    return code;
}

/* -- Loading ------------------------------------------------------------------------------------------------------- */

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* In place; false when it is none. */
static bool decode_base64(char *text, size_t *size) {
    size_t n = *size, at = 0;
    uint32_t bits = 0;
    while (n && text[n - 1] == '=' && *size - n < 2) n--;
    for (size_t i = 0; i < n; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0) return false;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4) text[at++] = (char)(bits >> (6 - i % 4 * 2));
    }
    *size = at;
    return n % 4 != 1;
}

static sw_serve_code read_load_parameter(body *b, const sw_json_event *key, void *ctx, bool *taken) {
    sw_kserve_load *load = ctx;
    sw_json_event e;
    const char *name = sw_arena_strdup(load->arena, key->text);
    if (!name) return sw_kserve_no_memory(b->error);
    *taken = true;
    NEXT(b, &e);
    if (e.type == SW_JSON_BOOL) return sw_kserve_add_load(load, name, NULL, 0, e.boolean, b->error);
    if (e.type != SW_JSON_STRING) return fail_type(b, "parameters", "strings and booleans");
    size_t size = e.length;
    if (sw_str_starts_with(name, "file:") && !decode_base64((char *)b->r.scratch.data, &size))
        return sw_serve_fail(b->error, SW_SERVE_INVALID_ARG, "parameter '%s' is no base64", name);
    return sw_kserve_add_load(load, name, e.text, size, false, b->error);
}

static sw_serve_code read_load_key(body *b, const sw_json_event *key, void *ctx, bool *taken) {
    if (!is_key(key, "parameters")) return SW_SERVE_OK;
    *taken = true;
    return read_object(b, "parameters", read_load_parameter, ctx);
}

sw_serve_code sw_kserve_read_load(const uint8_t *data, size_t size, sw_kserve_load *load, sw_serve_error *error) {
    if (!size) return SW_SERVE_OK;
    body b = {0};
    begin(&b, data, size, error);
    sw_serve_code code = read_object(&b, "request", read_load_key, load);
    if (code == SW_SERVE_OK) code = expect(&b, SW_JSON_END, "request", "one object");
    sw_json_reader_free(&b.r);
    return code;
}
