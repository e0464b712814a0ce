#include "serve/kserve/json_data.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "serve/http/http.h"

/* -- Reading ------------------------------------------------------------------------------------------------------- */

static bool read_float(const char *text, size_t size, double *value) {
    if (size == 3 && !memcmp(text, "NaN", 3))
        *value = NAN;
    else if (size == 8 && !memcmp(text, "Infinity", 8))
        *value = INFINITY;
    else if (size == 9 && !memcmp(text, "-Infinity", 9))
        *value = -INFINITY;
    else
        return *text != '+' && sw_str_to_f64(text, size, value);
    return true;
}

static bool read_u64(const char *text, size_t size, uint64_t *value) {
    *value = 0;
    for (size_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(text[i] - '0'), value))
            return false;
    return size > 0;
}

static bool read_i64(const char *text, size_t size, int64_t least, int64_t most, int64_t *value) {
    return *text != '+' && sw_str_to_i64(text, size, value) && *value >= least && *value <= most;
}

/* Stores element `i` of a type; false when the text is none of that type, or does not fit. */
static bool store(int dtype, void *data, int64_t i, const char *text, size_t size) {
    double f;
    int64_t n;
    uint64_t u;
    switch (dtype) {
#define SIGNED(name, type, least, most)                                                                                \
    case name:                                                                                                         \
        if (!read_i64(text, size, least, most, &n)) return false;                                                      \
        ((type *)data)[i] = (type)n;                                                                                   \
        return true;
        SIGNED(SW_I8, int8_t, INT8_MIN, INT8_MAX)
        SIGNED(SW_I16, int16_t, INT16_MIN, INT16_MAX)
        SIGNED(SW_I32, int32_t, INT32_MIN, INT32_MAX)
        SIGNED(SW_I64, int64_t, INT64_MIN, INT64_MAX)
        SIGNED(SW_U8, uint8_t, 0, UINT8_MAX)
        SIGNED(SW_U16, uint16_t, 0, UINT16_MAX)
        SIGNED(SW_U32, uint32_t, 0, UINT32_MAX)
#undef SIGNED
    case SW_U64:
        if (!read_u64(text, size, &u)) return false;
        ((uint64_t *)data)[i] = u;
        return true;
    case SW_F32:
        if (!read_float(text, size, &f)) return false;
        ((float *)data)[i] = (float)f;
        return true;
    case SW_F64:
        if (!read_float(text, size, &f)) return false;
        ((double *)data)[i] = f;
        return true;
    case SW_BOOL: {
        bool yes = size == 4 && !memcmp(text, "true", 4), no = size == 5 && !memcmp(text, "false", 5);
        ((uint8_t *)data)[i] = yes;
        return yes || no;
    }
    default:
        return false;
    }
}

static size_t scalar_length(const char *text, const char *end) {
    const char *at = text;
    while (at < end && ((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                        *at == '-' || *at == '+' || *at == '.'))
        at++;
    return (size_t)(at - text);
}

static sw_serve_code fail_data(const sw_serve_tensor *t, const char *at, const char *end, sw_serve_error *error) {
    int n = end - at < 20 ? (int)(end - at) : 20;
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "Unable to parse 'data' of input '%s': no %s: '%.*s'", t->name,
                         sw_serve_dtype_name(t->dtype), n, at);
}

static sw_serve_code fail_shape(const sw_serve_tensor *t, sw_serve_error *error) {
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "Shape does not match true shape of 'data' field of input '%s'",
                         t->name);
}

/* Brackets are matched already (sw_json_raw); commas and elements are checked here. */
static sw_serve_code read_numbers(sw_serve_tensor *t, void *data, int64_t count, const char *text, size_t size,
                                  sw_serve_error *error) {
    const char *at = text, *end = text + size;
    int64_t i = 0;
    enum { FIRST, VALUE, AFTER } expect = VALUE;
    for (;; at++) {
        while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) at++;
        if (at == end) break;
        if (*at == ',' && expect == AFTER)
            expect = VALUE;
        else if (*at == '[' && expect != AFTER)
            expect = FIRST;
        else if (*at == ']' && expect != VALUE)
            expect = AFTER;
        else {
            size_t n = scalar_length(at, end);
            if (expect == AFTER || !n) return fail_data(t, at, end, error);
            if (i == count) return fail_shape(t, error);
            if (!store(t->dtype, data, i++, at, n)) return fail_data(t, at, end, error);
            at += n - 1;
            expect = AFTER;
        }
    }
    return i == count ? SW_SERVE_OK : fail_shape(t, error);
}

static sw_serve_code read_texts(sw_serve_tensor *t, uint8_t *data, int64_t count, const char *text, size_t size,
                                sw_serve_error *error) {
    sw_json_reader r;
    sw_json_event e = {0};
    sw_json_reader_init(&r, text, size, NULL, NULL, NULL);
    int64_t i = 0;
    size_t at = 0;
    sw_status status;
    while ((status = sw_json_next(&r, &e)) == SW_OK && e.type != SW_JSON_END) {
        if (e.type == SW_JSON_ARRAY || e.type == SW_JSON_ARRAY_END) continue;
        if (e.type != SW_JSON_STRING || i == count) break;
        uint32_t length = (uint32_t)e.length; /* at most the body's */
        memcpy(data + at, &length, sizeof length);
        if (length) memcpy(data + at + sizeof length, e.text, length);
        at += sizeof length + length;
        i++;
    }
    sw_json_reader_free(&r);
    if (status != SW_OK || (e.type != SW_JSON_END && i < count)) return fail_data(t, text, text + size, error);
    t->bytes = at;
    return e.type == SW_JSON_END && i == count ? SW_SERVE_OK : fail_shape(t, error);
}

sw_serve_code sw__kserve_read_array(sw_kserve_request *k, sw_serve_tensor *t, const char *text, size_t size,
                                    sw_serve_error *error) {
    int64_t count, bytes;
    if (t->dtype == SW_F16 || t->dtype == SW_BF16)
        return sw_serve_fail(
            error, SW_SERVE_INVALID_ARG,
            "sending %s data via JSON is not supported. Please use the binary data format for input '%s'",
            sw_serve_dtype_name(t->dtype), t->name);
    sw_serve_code code = sw_kserve_measure(t, &count, &bytes, error);
    if (code != SW_SERVE_OK) return code;
    if (count > (int64_t)size) return fail_shape(t, error); /* an element takes a character at least */
    if (t->dtype == SW_SERVE_BYTES) bytes = 4 * count + (int64_t)size;
    if ((uint64_t)bytes > k->max_bytes)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "input '%s' of %lld bytes exceeds the maximum allowed value of %zu bytes" SW_HTTP_RAISE,
                             t->name, (long long)bytes, k->max_bytes);
    void *data = sw_kserve_take(k, (size_t)bytes + 1);
    if (!data) return sw_kserve_no_memory(error);
    t->data = data;
    t->bytes = (size_t)bytes;
    return t->dtype == SW_SERVE_BYTES ? read_texts(t, data, count, text, size, error)
                                      : read_numbers(t, data, count, text, size, error);
}

/* -- Writing ------------------------------------------------------------------------------------------------------- */

static size_t write_i64(char *text, int64_t value) {
    if (value < 0) *text = '-';
    return (size_t)sw_str_from_u64(text + (value < 0), value < 0 ? 0 - (uint64_t)value : (uint64_t)value) + (value < 0);
}

static size_t write_special(char *text, double value) {
    const char *word = isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
    memcpy(text, word, strlen(word));
    return strlen(word);
}

static size_t write_element(char *text, int dtype, const void *data, int64_t i) {
    switch (dtype) {
    case SW_F32: {
        float f = ((const float *)data)[i];
        return isfinite(f) ? (size_t)sw_str_from_f32(text, f) : write_special(text, (double)f);
    }
    case SW_F64: {
        double f = ((const double *)data)[i];
        return isfinite(f) ? (size_t)sw_str_from_f64(text, f) : write_special(text, f);
    }
    case SW_I8:
        return write_i64(text, ((const int8_t *)data)[i]);
    case SW_I16:
        return write_i64(text, ((const int16_t *)data)[i]);
    case SW_I32:
        return write_i64(text, ((const int32_t *)data)[i]);
    case SW_I64:
        return write_i64(text, ((const int64_t *)data)[i]);
    case SW_U8:
        return (size_t)sw_str_from_u64(text, ((const uint8_t *)data)[i]);
    case SW_U16:
        return (size_t)sw_str_from_u64(text, ((const uint16_t *)data)[i]);
    case SW_U32:
        return (size_t)sw_str_from_u64(text, ((const uint32_t *)data)[i]);
    case SW_U64:
        return (size_t)sw_str_from_u64(text, ((const uint64_t *)data)[i]);
    default:; /* SW_BOOL */
        bool yes = ((const uint8_t *)data)[i];
        memcpy(text, yes ? "true" : "false", yes ? 4 : 5);
        return yes ? 4 : 5;
    }
}

static void write_texts(const sw_serve_tensor *t, sw_buf *body) {
    sw_json_writer w = sw_json_writer_make(body, 0);
    const uint8_t *data = t->data;
    sw_json_array(&w);
    for (size_t at = 0; t->bytes - at >= sizeof(uint32_t);) {
        uint32_t length;
        memcpy(&length, data + at, sizeof length);
        at += sizeof length;
        if (length > t->bytes - at) break;
        sw_json_string_n(&w, (const char *)data + at, length);
        at += length;
    }
    sw_json_array_end(&w);
}

sw_serve_code sw__kserve_write_array(const sw_serve_tensor *t, sw_buf *body, sw_serve_error *error) {
    char text[SW_FLOAT_TEXT];
    size_t size = sw_serve_dtype_size(t->dtype);
    if (t->dtype == SW_F16 || t->dtype == SW_BF16)
        return sw_serve_fail(
            error, SW_SERVE_INVALID_ARG,
            "sending %s data via JSON is not supported. Please use the binary data format for output '%s'",
            sw_serve_dtype_name(t->dtype), t->name);
    if (t->dtype == SW_SERVE_BYTES) {
        write_texts(t, body);
        return SW_SERVE_OK;
    }
    sw_buf_append_byte(body, '[');
    for (int64_t i = 0, count = (int64_t)(t->bytes / size); i < count; i++) {
        size_t n = write_element(text, t->dtype, t->data, i);
        uint8_t *to = sw_buf_extend(body, n + (i > 0));
        if (!to) break;
        if (i) *to++ = ',';
        memcpy(to, text, n);
    }
    sw_buf_append_byte(body, ']');
    return SW_SERVE_OK;
}
