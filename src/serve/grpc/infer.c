/* ModelInferRequest and ModelInferResponse. */
#include <stdio.h>
#include <string.h>

#include "base/pb.h"
#include "base/str.h"
#include "serve/grpc/messages.h"

#define DO(call)                                                                                                       \
    do {                                                                                                               \
        sw_serve_code code_ = (call);                                                                                  \
        if (code_ != SW_SERVE_OK) return code_;                                                                        \
    } while (0)

typedef struct span {
    const uint8_t *data; /* NULL: there is none */
    size_t size;
} span;

typedef struct input {
    sw_serve_tensor tensor;
    span contents; /* InferTensorContents */
    sw_kserve_shared shared;
} input;

typedef struct reader {
    sw_kserve_request *k;
    sw_serve_error *error;
    input *inputs;
    span *raw;
    int n_inputs, n_raw;
} reader;

static sw_serve_code broken(sw_serve_error *error) { /* the code is that of gRPC's libraries */
    return sw_serve_fail(error, SW_SERVE_INTERNAL, "Unable to parse request: it is no message of this kind");
}

static sw_serve_code take_text(reader *r, sw_pb *pb, const sw_pb_field *f, const char **text) {
    if (!sw_pb_text(pb, f)) return broken(r->error);
    *text = sw_kserve_text(r->k, (const char *)f->data, f->size);
    return *text ? SW_SERVE_OK : sw_kserve_no_memory(r->error);
}

/* -- Parameters ---------------------------------------------------------------------------------------------------- */

/* InferParameter as text. */
static sw_serve_code take_parameter_value(reader *r, sw_pb *pb, const char **value) {
    sw_pb_field f;
    char number[40] = "";
    *value = "";
    while (sw_pb_next(pb, &f)) {
        if (f.number == 3) {
            DO(take_text(r, pb, &f, value));
            continue;
        }
        if (f.number == 1) snprintf(number, sizeof number, "%s", f.value ? "true" : "false");
        if (f.number == 2) snprintf(number, sizeof number, "%lld", (long long)sw_pb_int(&f));
        if (f.number == 4 && f.wire == SW_PB_FIXED64) snprintf(number, sizeof number, "%.17g", sw_pb_double(&f));
        if (f.number == 5) snprintf(number, sizeof number, "%llu", (unsigned long long)f.value);
        *value = sw_kserve_text(r->k, number, strlen(number));
        if (!*value) return sw_kserve_no_memory(r->error);
    }
    return pb->status == SW_OK ? SW_SERVE_OK : broken(r->error);
}

/* An entry of map<string, InferParameter>. */
static sw_serve_code take_parameter(reader *r, sw_pb *pb, const sw_pb_field *field, const char **name,
                                    const char **value) {
    sw_pb entry = sw_pb_sub(pb, field);
    sw_pb_field f;
    *name = *value = "";
    while (sw_pb_next(&entry, &f)) {
        if (f.number == 1) DO(take_text(r, &entry, &f, name));
        if (f.number == 2) {
            sw_pb sub = sw_pb_sub(&entry, &f);
            DO(take_parameter_value(r, &sub, value));
        }
    }
    return entry.status == SW_OK ? SW_SERVE_OK : broken(r->error);
}

/* -- Inputs -------------------------------------------------------------------------------------------------------- */

static sw_serve_code take_shape(reader *r, sw_pb *pb, const sw_pb_field *field, sw_serve_tensor *t) {
    sw_pb_values values = sw_pb_repeated(pb, field, SW_PB_VARINT);
    sw_pb_field f;
    while (sw_pb_value(&values, &f)) {
        if (t->rank == SW_MAX_RANK)
            return sw_serve_fail(r->error, SW_SERVE_INVALID_ARG, "the shape of an input has more than %d dimensions",
                                 SW_MAX_RANK);
        t->dims[t->rank++] = sw_pb_int(&f);
    }
    return SW_SERVE_OK;
}

static sw_serve_code take_datatype(reader *r, sw_pb *pb, const sw_pb_field *f, sw_serve_tensor *t) {
    if (!sw_pb_text(pb, f)) return broken(r->error);
    t->dtype = sw_serve_dtype_parse((const char *)f->data, f->size);
    if (t->dtype != SW_DTYPE_NONE) return SW_SERVE_OK;
    return sw_serve_fail(r->error, SW_SERVE_INVALID_ARG, "unknown datatype '%.*s' of an input",
                         f->size < 40 ? (int)f->size : 40, (const char *)f->data);
}

static sw_serve_code take_input(reader *r, sw_pb *pb, const sw_pb_field *field) {
    sw_pb in = sw_pb_sub(pb, field);
    sw_pb_field f;
    input *made = &r->inputs[r->n_inputs++];
    sw_serve_tensor *t = &made->tensor;
    *made = (input){0};
    while (sw_pb_next(&in, &f)) {
        if (f.number == 1) DO(take_text(r, &in, &f, &t->name));
        if (f.number == 2) DO(take_datatype(r, &in, &f, t));
        if (f.number == 3) DO(take_shape(r, &in, &f, t));
        if (f.number == 4) {
            const char *name, *value;
            DO(take_parameter(r, &in, &f, &name, &value));
            sw_kserve_shared_parameter(name, value, &made->shared);
        }
        if (f.number == 5 && sw_pb_expect(&in, &f, SW_PB_BYTES)) made->contents = (span){f.data, f.size};
    }
    if (in.status != SW_OK) return broken(r->error);
    if (t->name && t->dtype) return SW_SERVE_OK;
    return sw_serve_fail(r->error, SW_SERVE_INVALID_ARG, "input '%s' has no %s", t->name ? t->name : "",
                         t->name ? "datatype" : "name");
}

static sw_serve_code take_output(reader *r, sw_pb *pb, const sw_pb_field *field) {
    sw_pb out = sw_pb_sub(pb, field);
    sw_pb_field f;
    sw_kserve_output wanted = {.binary = true};
    sw_kserve_shared shared = {0};
    while (sw_pb_next(&out, &f)) {
        if (f.number == 1) DO(take_text(r, &out, &f, &wanted.name));
        if (f.number != 2) continue;
        const char *name, *value;
        DO(take_parameter(r, &out, &f, &name, &value));
        if (!sw_kserve_shared_parameter(name, value, &shared) && !strcmp(name, "classification") &&
            (!sw_str_to_i64(value, strlen(value), &wanted.classes) || wanted.classes < 1))
            return sw_serve_fail(r->error, SW_SERVE_INVALID_ARG,
                                 "invalid value '%.40s' for 'classification' parameter, expected a whole number > 0",
                                 value);
    }
    if (out.status != SW_OK) return broken(r->error);
    if (!wanted.name) return sw_serve_fail(r->error, SW_SERVE_INVALID_ARG, "an output has no name");
    if (shared.given) DO(sw_kserve_share_output(r->k, &shared, &wanted, r->error));
    return sw_kserve_add_output(r->k, wanted, r->error);
}

/* -- Typed contents ------------------------------------------------------------------------------------------------ */

/* The field of InferTensorContents that elements of a type come in, and how they are encoded. */
static uint32_t contents_field(int dtype, sw_pb_wire *wire) {
    *wire = dtype == SW_F32 ? SW_PB_FIXED32 : dtype == SW_F64 ? SW_PB_FIXED64 : SW_PB_VARINT;
    switch (dtype) {
    case SW_BOOL:
        return 1;
    case SW_I8:
    case SW_I16:
    case SW_I32:
        return 2;
    case SW_I64:
        return 3;
    case SW_U8:
    case SW_U16:
    case SW_U32:
        return 4;
    case SW_U64:
        return 5;
    case SW_F32:
        return 6;
    case SW_F64:
        return 7;
    case SW_SERVE_BYTES:
        return 8;
    default:
        return 0; /* half floats come raw only */
    }
}

/* False when the value does not fit the type. */
static bool store(int dtype, uint8_t *data, int64_t i, uint64_t value) {
    size_t size = sw_serve_dtype_size(dtype);
    int64_t number = (int64_t)value, bits = (int64_t)(8 * size);
    if (dtype == SW_BOOL) value = value != 0;
    if ((dtype == SW_I8 || dtype == SW_I16) && (number < -(1LL << (bits - 1)) || number >= 1LL << (bits - 1)))
        return false;
    if ((dtype == SW_U8 || dtype == SW_U16) && value >> bits) return false;
    memcpy(data + (size_t)i * size, &value, size);
    return true;
}

static sw_serve_code wrong_count(reader *r, const sw_serve_tensor *t) {
    return sw_serve_fail(r->error, SW_SERVE_INVALID_ARG,
                         "the contents of input '%s' are not as many elements as its shape says", t->name);
}

static sw_serve_code take_numbers(reader *r, const input *in, uint8_t *data, int64_t count) {
    sw_pb pb = sw_pb_make(in->contents.data, in->contents.size, NULL, NULL);
    sw_pb_field f, value;
    sw_pb_wire wire;
    uint32_t wanted = contents_field(in->tensor.dtype, &wire);
    int64_t i = 0;
    while (sw_pb_next(&pb, &f)) {
        if (f.number != wanted) return wrong_count(r, &in->tensor);
        sw_pb_values values = sw_pb_repeated(&pb, &f, wire);
        while (sw_pb_value(&values, &value)) {
            if (i == count) return wrong_count(r, &in->tensor);
            if (!store(in->tensor.dtype, data, i++, value.value))
                return sw_serve_fail(r->error, SW_SERVE_INVALID_ARG, "element %lld of input '%s' does not fit %s",
                                     (long long)i - 1, in->tensor.name, sw_serve_dtype_name(in->tensor.dtype));
        }
    }
    if (pb.status != SW_OK) return broken(r->error);
    return i == count ? SW_SERVE_OK : wrong_count(r, &in->tensor);
}

/* Texts get their lengths in front. */
static sw_serve_code take_texts(reader *r, input *in, uint8_t *data, int64_t count) {
    sw_pb pb = sw_pb_make(in->contents.data, in->contents.size, NULL, NULL);
    sw_pb_field f;
    int64_t i = 0;
    size_t at = 0;
    for (; sw_pb_next(&pb, &f); i++) {
        if (f.number != 8 || !sw_pb_expect(&pb, &f, SW_PB_BYTES) || i == count) return wrong_count(r, &in->tensor);
        uint32_t length = (uint32_t)f.size;
        memcpy(data + at, &length, sizeof length);
        if (length) memcpy(data + at + sizeof length, f.data, length);
        at += sizeof length + length;
    }
    in->tensor.bytes = at;
    if (pb.status != SW_OK) return broken(r->error);
    return i == count ? SW_SERVE_OK : wrong_count(r, &in->tensor);
}

static sw_serve_code take_contents(reader *r, input *in) {
    sw_serve_tensor *t = &in->tensor;
    int64_t count, bytes;
    sw_pb_wire wire;
    DO(sw_kserve_measure(t, &count, &bytes, r->error));
    if (!contents_field(t->dtype, &wire))
        return sw_serve_fail(r->error, SW_SERVE_INVALID_ARG, "input '%s' of type %s must come as raw_input_contents",
                             t->name, sw_serve_dtype_name(t->dtype));
    if (count > (int64_t)in->contents.size) return wrong_count(r, t); /* an element takes a byte at least */
    if (t->dtype == SW_SERVE_BYTES) bytes = 4 * count + (int64_t)in->contents.size;
    uint8_t *data = sw_kserve_take(r->k, (size_t)bytes + 1);
    if (!data) return sw_kserve_no_memory(r->error);
    t->data = data;
    t->bytes = (size_t)bytes;
    return t->dtype == SW_SERVE_BYTES ? take_texts(r, in, data, count) : take_numbers(r, in, data, count);
}

/* -- The request --------------------------------------------------------------------------------------------------- */

static sw_serve_code take_field(reader *r, sw_pb *pb, const sw_pb_field *f, const char **model, const char **version) {
    const char *name, *value;
    switch (f->number) {
    case 1:
        return take_text(r, pb, f, model);
    case 2:
        return take_text(r, pb, f, version);
    case 3:
        return take_text(r, pb, f, &r->k->request.id);
    case 4:
        DO(take_parameter(r, pb, f, &name, &value));
        if (!strcmp(name, "triton_enable_empty_final_response")) return SW_SERVE_OK; /* each request has one answer */
        return sw_kserve_add_parameter(r->k, name, value, r->error);
    case 5:
        return take_input(r, pb, f);
    case 6:
        return take_output(r, pb, f);
    case 7:
        if (!sw_pb_expect(pb, f, SW_PB_BYTES)) return broken(r->error);
        r->raw[r->n_raw++] = (span){f->data, f->size};
        return SW_SERVE_OK;
    default:
        return SW_SERVE_OK;
    }
}

/* Makes room for what the message has. */
static sw_serve_code count_inputs(reader *r, const uint8_t *data, size_t size) {
    sw_pb pb = sw_pb_make(data, size, NULL, NULL);
    sw_pb_field f;
    size_t inputs = 0, raw = 0;
    while (sw_pb_next(&pb, &f)) {
        inputs += f.number == 5;
        raw += f.number == 7;
    }
    if (pb.status != SW_OK) return broken(r->error);
    if (inputs > SW_KSERVE_MAX_TENSORS || raw > SW_KSERVE_MAX_TENSORS)
        return sw_serve_fail(r->error, SW_SERVE_INVALID_ARG, "the request has too many inputs");
    r->inputs = sw_kserve_take(r->k, inputs * sizeof *r->inputs);
    r->raw = sw_kserve_take(r->k, raw * sizeof *r->raw);
    return r->inputs && r->raw ? SW_SERVE_OK : sw_kserve_no_memory(r->error);
}

static sw_serve_code add_inputs(reader *r) {
    int n_plain = 0, raw = 0;
    for (int i = 0; i < r->n_inputs; i++) n_plain += !r->inputs[i].shared.given;
    if (r->n_raw && r->n_raw != n_plain)
        return sw_serve_fail(
            r->error, SW_SERVE_INVALID_ARG,
            "expected number of raw input contents to be %d, the number of inputs not in shared memory, but got %d",
            n_plain, r->n_raw);
    for (int i = 0; i < r->n_inputs; i++) {
        input *in = &r->inputs[i];
        if (in->shared.given) {
            DO(sw_kserve_share_input(r->k, &in->shared, &in->tensor, r->error));
        } else if (!r->n_raw) {
            DO(take_contents(r, in));
        } else if (in->contents.size) {
            return sw_serve_fail(r->error, SW_SERVE_INVALID_ARG,
                                 "contents field must not be specified when using raw_input_contents for '%s'",
                                 in->tensor.name);
        } else {
            int64_t count, bytes;
            DO(sw_kserve_measure(&in->tensor, &count, &bytes, r->error));
            in->tensor.data = r->raw[raw].data;
            in->tensor.bytes = r->raw[raw++].size;
        }
        DO(sw_kserve_add_input(r->k, &in->tensor, r->error));
    }
    return SW_SERVE_OK;
}

sw_serve_code sw_grpc_read_infer(sw_kserve_request *k, const uint8_t *data, size_t size, const char **model,
                                 const char **version, sw_serve_error *error) {
    reader r = {.k = k, .error = error};
    *model = *version = "";
    DO(count_inputs(&r, data, size));
    sw_pb pb = sw_pb_make(data, size, NULL, NULL);
    sw_pb_field f;
    while (sw_pb_next(&pb, &f)) DO(take_field(&r, &pb, &f, model, version));
    if (pb.status != SW_OK) return broken(error);
    DO(add_inputs(&r));
    return sw_kserve_finish(k, error);
}

/* -- The answer ---------------------------------------------------------------------------------------------------- */

static void put_output(const sw_serve_tensor *t, sw_buf *scratch, sw_buf *out) {
    sw_buf_clear(scratch);
    sw_pb_put_text(scratch, 1, t->name);
    sw_pb_put_text(scratch, 2, sw_serve_dtype_name(t->dtype));
    uint8_t *head = t->rank ? sw_buf_extend(scratch, 2) : NULL; /* packed dims: the tag, then one byte of length */
    size_t start = scratch->size;
    for (int i = 0; i < t->rank; i++) {
        uint64_t value = (uint64_t)t->dims[i];
        for (; value >= 0x80; value >>= 7) sw_buf_append_byte(scratch, (uint8_t)(value | 0x80));
        sw_buf_append_byte(scratch, (uint8_t)value);
    }
    if (head && scratch->status == SW_OK) {
        scratch->data[start - 2] = 3 << 3 | SW_PB_BYTES;
        scratch->data[start - 1] = (uint8_t)(scratch->size - start); /* at most 8 * 10 */
    }
    sw_pb_put_bytes(out, 5, scratch->data, scratch->size);
}

sw_serve_code sw_grpc_write_infer(sw_kserve_request *k, const sw_serve_info *info, sw_buf *out, sw_serve_error *error) {
    char version[24];
    sw_serve_code code = sw_kserve_classify_all(k, error);
    if (code == SW_SERVE_OK) code = sw_kserve_write_shared(k, error);
    if (code != SW_SERVE_OK) return code;
    const sw_serve_request *r = &k->request;
    sw_buf scratch = sw_buf_make(NULL, 0);
    snprintf(version, sizeof version, "%lld", (long long)info->version);
    sw_pb_put_text(out, 1, info->name);
    sw_pb_put_text(out, 2, version);
    if (r->id && *r->id) sw_pb_put_text(out, 3, r->id);
    for (int i = 0; i < r->n_results; i++) put_output(&r->results[i], &scratch, out);
    for (int i = 0; i < r->n_results; i++) { /* empty if in shared memory: so the others keep their places */
        bool shared = sw_kserve_output_of(k, i).region != NULL;
        sw_pb_put_bytes(out, 6, r->results[i].data, shared ? 0 : r->results[i].bytes);
    }
    bool good = out->status == SW_OK && scratch.status == SW_OK;
    sw_buf_free(&scratch);
    return good ? SW_SERVE_OK : sw_kserve_no_memory(error);
}

void sw_grpc_write_final(sw_buf *out) {
    static const uint8_t yes[] = {1 << 3, 1}; /* InferParameter.bool_param */
    sw_buf entry = sw_buf_make(NULL, 0);
    sw_pb_put_text(&entry, 1, "triton_final_response");
    sw_pb_put_bytes(&entry, 2, yes, sizeof yes);
    sw_grpc_write_message(4, &entry, out);
    sw_buf_free(&entry);
}
