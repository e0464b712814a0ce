/* TensorProto: raw or typed data, packed or not, here or in another file. */
#include <string.h>

#include "base/minifloat.h"
#include "base/str.h"
#include "import/onnx/model.h"

/* TensorProto.DataType by number. */
static const char *const type_names[] = {
    "UNDEFINED", "FLOAT",      "UINT8",      "INT8",         "UINT16",         "INT16",      "INT32",
    "INT64",     "STRING",     "BOOL",       "FLOAT16",      "DOUBLE",         "UINT32",     "UINT64",
    "COMPLEX64", "COMPLEX128", "BFLOAT16",   "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ",
    "UINT4",     "INT4",       "FLOAT4E2M1", "FLOAT8E8M0",   "UINT2",          "INT2"};

sw_status sw__onnx_dtype(sw__onnx *im, int64_t number, const char *what, sw_dtype *dtype) {
    switch (number) {
#define CASE(name, bytes, text, onnx)                                                                                  \
    case onnx:                                                                                                         \
        *dtype = name;                                                                                                 \
        return SW_OK;
        SW_DTYPE_LIST(CASE)
#undef CASE
    default:
        break;
    }
    if (number <= 0 || number >= (int64_t)(sizeof type_names / sizeof *type_names))
        return sw__onnx_fail(im, SW_E_MODEL, "%s has the unknown type %lld", what, (long long)number);
    return sw__onnx_fail(im, SW_E_UNSUPPORTED, "%s has type %s, which Slipway does not support", what,
                         type_names[number]);
}

/* What a TensorProto says, data still unread. */
typedef struct header {
    const char *name, *location;
    int64_t type, data_location, offset, length;
    int rank; /* may be above SW_MAX_RANK: only the first dims are kept */
    int64_t dims[SW_MAX_RANK];
    sw__bytes raw;
    bool segment;
    uint32_t typed; /* number of the typed field that holds values; 0: none */
    size_t bound;   /* values in it, at most */
    char what[200]; /* "tensor 'w'" */
} header;

static sw_status read_dims(sw_pb *r, const sw_pb_field *f, header *h) {
    sw_pb_values values = sw_pb_repeated(r, f, SW_PB_VARINT);
    sw_pb_field value;
    while (sw_pb_value(&values, &value)) {
        if (h->rank < SW_MAX_RANK) h->dims[h->rank] = sw_pb_int(&value);
        h->rank++;
    }
    return r->status;
}

static sw_status read_entry(sw__onnx *im, sw_pb r, header *h) {
    sw__bytes key = {0}, value = {0};
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        if (f.number != 1 && f.number != 2) continue;
        if (!sw_pb_text(&r, &f)) break;
        *(f.number == 1 ? &key : &value) = (sw__bytes){f.data, f.size, f.offset};
    }
    if (r.status != SW_OK) return r.status;
    const char *text = value.size ? (const char *)value.data : "";
    if (key.size == 8 && memcmp(key.data, "location", 8) == 0) {
        h->location = sw_arena_strndup(im->arena, text, value.size);
        return h->location ? SW_OK : sw__onnx_nomem(im);
    }
    bool is_offset = key.size == 6 && memcmp(key.data, "offset", 6) == 0;
    bool is_length = key.size == 6 && memcmp(key.data, "length", 6) == 0;
    if (!is_offset && !is_length) return SW_OK;
    int64_t *number = is_offset ? &h->offset : &h->length;
    if (sw_str_to_i64(text, value.size, number) && *number >= 0) return SW_OK;
    return sw__onnx_fail(im, SW_E_MODEL, "tensor '%.160s' has external data with the %s '%.*s', which is no byte count",
                         h->name, is_offset ? "offset" : "length", value.size > 40 ? 40 : (int)value.size, text);
}

static sw_pb_wire typed_wire(uint32_t number) {
    return number == 4 ? SW_PB_FIXED32 : number == 10 ? SW_PB_FIXED64 : SW_PB_VARINT;
}

static sw_status count_values(sw_pb *r, const sw_pb_field *f, header *h) {
    sw_pb_values values = sw_pb_repeated(r, f, typed_wire(f->number));
    if (r->status != SW_OK || !values.left) return r->status;
    h->typed = f->number;
    h->bound += values.left;
    return SW_OK;
}

static sw_status read_header(sw__onnx *im, sw_pb r, header *h) {
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) switch (f.number) {
        case 1:
            SW_TRY(read_dims(&r, &f, h));
            break;
        case 2:
        case 14:
            if (!sw_pb_expect(&r, &f, SW_PB_VARINT)) return r.status;
            *(f.number == 2 ? &h->type : &h->data_location) = sw_pb_int(&f);
            break;
        case 3:
            h->segment = true;
            break;
        case 4:
        case 5:
        case 7:
        case 10:
        case 11:
            SW_TRY(count_values(&r, &f, h));
            break;
        case 8:
            if (!sw_pb_text(&r, &f)) return r.status;
            h->name = f.size ? sw_arena_strndup(im->arena, (const char *)f.data, f.size) : h->name;
            if (!h->name) return sw__onnx_nomem(im);
            break;
        case 9:
            if (!sw_pb_expect(&r, &f, SW_PB_BYTES)) return r.status;
            h->raw = (sw__bytes){f.size ? f.data : (const uint8_t *)"", f.size, f.offset};
            break;
        case 13:
            SW_TRY(read_entry(im, sw_pb_sub(&r, &f), h));
            break;
        default:
            break;
        }
    return r.status;
}

/* ---- Typed fields ---------------------------------------------------------------------------------------- */

/* The field that holds values of a type: float_data 4, int32_data 5, int64_data 7, double_data 10, uint64_data 11. */
static uint32_t field_of(sw_dtype dtype) {
    switch (dtype) {
    case SW_F32:
        return 4;
    case SW_F64:
        return 10;
    case SW_I64:
        return 7;
    case SW_U32:
    case SW_U64:
        return 11;
    default:
        return 5;
    }
}

/* Stores an integer of the file; false when the type cannot hold it. Floats of 16 and fewer bits come as their bits. */
static bool store_int(sw_dtype dtype, int64_t v, void *to) {
#define STORE(type, lo, hi)                                                                                            \
    do {                                                                                                               \
        if (v < (lo) || v > (hi)) return false;                                                                        \
        type x = (type)v;                                                                                              \
        memcpy(to, &x, sizeof x);                                                                                      \
        return true;                                                                                                   \
    } while (0)
    if (sw_dtype_is_minifloat(dtype)) dtype = SW_U8;
    switch (dtype) {
    case SW_U8:
        STORE(uint8_t, 0, UINT8_MAX);
    case SW_I8:
        STORE(int8_t, INT8_MIN, INT8_MAX);
    case SW_U16:
    case SW_F16:
    case SW_BF16:
        STORE(uint16_t, 0, UINT16_MAX);
    case SW_I16:
        STORE(int16_t, INT16_MIN, INT16_MAX);
    case SW_I32:
        STORE(int32_t, INT32_MIN, INT32_MAX);
    case SW_U32:
        STORE(uint32_t, 0, UINT32_MAX);
    case SW_BOOL:
        STORE(uint8_t, 0, 1);
    default:
        memcpy(to, &v, sizeof v);
        return true;
    }
#undef STORE
}

static bool store(sw_dtype dtype, const sw_pb_field *value, void *to) {
    if (dtype == SW_F32) {
        float x = sw_pb_float(value);
        memcpy(to, &x, sizeof x);
        return true;
    }
    if (dtype == SW_F64) {
        double x = sw_pb_double(value);
        memcpy(to, &x, sizeof x);
        return true;
    }
    return store_int(dtype, sw_pb_int(value), to);
}

static sw_status count_misfit(sw__onnx *im, const header *h, size_t got, size_t want) {
    return sw__onnx_fail(im, SW_E_MODEL, "%s holds %zu%s elements, its shape asks for %zu", h->what, got,
                         got > want ? " or more" : "", want);
}

/* Two elements a byte, the first in its low half, become one a byte; signed ones with their sign. */
static sw_status unpack(sw__onnx *im, sw_tensor *t, const uint8_t *data, size_t count) {
    SW_TRY(sw__onnx_charge(im, count));
    uint8_t *elements = sw_arena_alloc(im->graph->arena, count, 1);
    if (!elements) return sw__onnx_nomem(im);
    for (size_t i = 0; i < count; i++) {
        uint8_t half = data[i / 2] >> (i % 2 ? 4 : 0) & 15;
        elements[i] = t->dtype == SW_I4 && half > 7 ? (uint8_t)(half | 0xf0) : half;
    }
    t->data = elements;
    return SW_OK;
}

static sw_status read_typed(sw__onnx *im, sw_pb r, const header *h, sw_tensor *t, size_t count) {
    size_t size = sw_dtype_size(t->dtype), n = 0;
    uint32_t number = field_of(t->dtype);
    if (h->typed && h->typed != number)
        return sw__onnx_fail(im, SW_E_MODEL, "%s is %s, but its data is in a field of another type", h->what,
                             sw_dtype_name(t->dtype));
    if (h->bound < count) return count_misfit(im, h, h->bound, count);
    SW_TRY(sw__onnx_charge(im, count * size));
    uint8_t *data = sw_arena_alloc(im->graph->arena, count, size);
    if (!data) return sw__onnx_nomem(im);
    sw_pb_field f, value;
    while (sw_pb_next(&r, &f)) {
        if (f.number != number) continue;
        sw_pb_values values = sw_pb_repeated(&r, &f, typed_wire(number));
        for (; sw_pb_value(&values, &value); n++) {
            if (n == count) return count_misfit(im, h, n + 1, count);
            if (!store(t->dtype, &value, data + n * size))
                return sw__onnx_fail(im, SW_E_MODEL, "%s: element %zu is %lld, which is no %s", h->what, n,
                                     (long long)sw_pb_int(&value), sw_dtype_name(t->dtype));
        }
    }
    if (r.status != SW_OK) return r.status;
    t->data = data;
    return n == count ? SW_OK : count_misfit(im, h, n, count);
}

/* ---- Raw and external data ------------------------------------------------------------------------------- */

/* Uses the bytes where they are when they lie aligned, else copies them. Booleans become 0 or 1. */
static sw_status adopt(sw__onnx *im, sw_tensor *t, const uint8_t *data, size_t bytes) {
    bool clean = (uintptr_t)data % sw_dtype_size(t->dtype) == 0;
    for (size_t i = 0; t->dtype == SW_BOOL && clean && i < bytes; i++) clean = data[i] <= 1;
    t->data = (void *)(uintptr_t)data;
    if (clean && bytes) return SW_OK;
    SW_TRY(sw__onnx_charge(im, bytes));
    uint8_t *copy = sw_arena_alloc(im->graph->arena, bytes, 1);
    if (!copy) return sw__onnx_nomem(im);
    if (t->dtype == SW_BOOL)
        for (size_t i = 0; i < bytes; i++) copy[i] = data[i] != 0;
    else if (bytes)
        memcpy(copy, data, bytes);
    t->data = copy;
    return SW_OK;
}

/* Uses or unpacks `bytes` of data. */
static sw_status take(sw__onnx *im, sw_tensor *t, const uint8_t *data, size_t bytes) {
    return sw_dtype_is_packed(t->dtype) ? unpack(im, t, data, (size_t)sw_tensor_count(t)) : adopt(im, t, data, bytes);
}

/* Typed fields hold packed elements as bytes. */
static sw_status take_typed(sw__onnx *im, sw_pb r, const header *h, sw_tensor *t, size_t count) {
    if (!sw_dtype_is_packed(t->dtype)) return read_typed(im, r, h, t, count);
    sw_tensor bytes = {.dtype = SW_U8};
    SW_TRY(read_typed(im, r, h, &bytes, (count + 1) / 2));
    return unpack(im, t, bytes.data, count);
}

static sw_status read_data(sw__onnx *im, sw_pb r, const header *h, sw_tensor *t) {
    int64_t count = sw_tensor_count(t), bytes = sw_tensor_bytes(t);
    if (count < 0 || bytes < 0)
        return sw__onnx_fail(im, SW_E_MODEL, "%s has a shape with a negative or overflowing size", h->what);
    if (sw_dtype_is_packed(t->dtype)) bytes = count / 2 + count % 2;
    if (h->data_location == 1) {
        const uint8_t *data;
        if (!h->location) return sw__onnx_fail(im, SW_E_MODEL, "%s has external data without a location", h->what);
        SW_TRY(sw__onnx_external(im, h->what, h->location, h->offset, h->length, (size_t)bytes, &data));
        return take(im, t, data, (size_t)bytes);
    }
    if (!h->raw.data) return take_typed(im, r, h, t, (size_t)count);
    if (h->raw.size != (size_t)bytes)
        return sw__onnx_fail(im, SW_E_MODEL, "%s has %zu bytes of data, its type and shape ask for %lld", h->what,
                             h->raw.size, (long long)bytes);
    return take(im, t, h->raw.data, (size_t)bytes);
}

sw_status sw__onnx_tensor(sw__onnx *im, sw__bytes message, const char *fallback, sw_tensor *tensor, const char **name) {
    SW_TRY(sw__onnx_charge(im, message.size));
    header h = {.name = "", .length = -1};
    sw_pb r = sw_pb_make(message.data, message.size, im->label, im->diag);
    r.offset = message.offset;
    SW_TRY(read_header(im, r, &h));
    snprintf(h.what, sizeof h.what, "tensor '%.160s'", *h.name ? h.name : fallback);
    if (h.rank > SW_MAX_RANK)
        return sw__onnx_fail(im, SW_E_UNSUPPORTED, "%s has %d dimensions; Slipway supports %d", h.what, h.rank,
                             SW_MAX_RANK);
    *tensor = (sw_tensor){.rank = h.rank};
    SW_TRY(sw__onnx_dtype(im, h.type, h.what, &tensor->dtype));
    memcpy(tensor->dims, h.dims, sizeof h.dims);
    if (h.segment)
        return sw__onnx_fail(im, SW_E_UNSUPPORTED, "%s is a segment, which Slipway does not support", h.what);
    if (name) *name = h.name;
    return read_data(im, r, &h, tensor);
}
