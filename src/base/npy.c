#include "base/npy.h"

#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "base/minifloat.h"
#include "base/os.h"
#include "base/str.h"

/* Layout (numpy/lib/format.py): magic, major, minor, header length (2 bytes in version 1, else 4), header, data.
 * The header is a Python dictionary of 'descr', 'fortran_order' and 'shape', padded with spaces and a line feed
 * to a multiple of 64. */
enum { MAGIC_BYTES = 6, MAX_HEADER = 1 << 16, HEADER_ALIGN = 64 };
static const char magic[MAGIC_BYTES + 1] = "\x93NUMPY";

typedef struct parser {
    const char *at, *end;
    const char *where;
    const sw_diag *diag;
    sw_tensor *tensor;
    bool fortran, has_type, has_order, has_shape;
} parser;

static const struct {
    sw_dtype dtype;
    const char *code;
} codes[] = {
    {SW_F32, "f4"}, {SW_F64, "f8"}, {SW_F16, "f2"}, {SW_BOOL, "b1"}, {SW_U8, "u1"},  {SW_I8, "i1"},
    {SW_U16, "u2"}, {SW_I16, "i2"}, {SW_U32, "u4"}, {SW_I32, "i4"},  {SW_U64, "u8"}, {SW_I64, "i8"},
};

enum { N_CODES = sizeof codes / sizeof codes[0] };

static sw_status broken(const parser *p, const char *what) {
    return sw_fail(p->diag, SW_E_INPUT, p->where, NULL, "this .npy header is broken: %s", what);
}

static void skip_space(parser *p) {
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t')) p->at++;
}

static bool take(parser *p, char c) {
    skip_space(p);
    if (p->at == p->end || *p->at != c) return false;
    p->at++;
    return true;
}

static bool take_word(parser *p, const char *word) {
    skip_space(p);
    size_t length = strlen(word);
    if ((size_t)(p->end - p->at) < length || memcmp(p->at, word, length)) return false;
    p->at += length;
    return true;
}

static sw_status read_quoted(parser *p, char *text, size_t size) {
    skip_space(p);
    if (p->at == p->end || (*p->at != '\'' && *p->at != '"')) return broken(p, "expected a word in quotes");
    char quote = *p->at++;
    const char *close = memchr(p->at, quote, (size_t)(p->end - p->at));
    if (!close) return broken(p, "a quote is not closed");
    size_t length = (size_t)(close - p->at);
    if (length >= size) return broken(p, "a word in it is too long");
    memcpy(text, p->at, length);
    text[length] = 0;
    p->at = close + 1;
    return SW_OK;
}

static sw_status read_type(parser *p) {
    char text[32];
    skip_space(p);
    if (p->at < p->end && *p->at == '[')
        return sw_fail(p->diag, SW_E_UNSUPPORTED, p->where, "save a plain array",
                       "arrays of structures are not supported");
    SW_TRY(read_quoted(p, text, sizeof text));
    const char *code = text[0] && strchr("<>|=", text[0]) ? text + 1 : text;
    if (text[0] == '>' && strcmp(code, "b1") && strcmp(code, "u1") && strcmp(code, "i1"))
        return sw_fail(p->diag, SW_E_UNSUPPORTED, p->where, "save it with a.astype(a.dtype.newbyteorder('<'))",
                       "big-endian array of type '%s' is not supported", text);
    for (int i = 0; i < N_CODES; i++)
        if (!strcmp(code, codes[i].code)) p->tensor->dtype = codes[i].dtype;
    if (p->tensor->dtype == SW_DTYPE_NONE)
        return sw_fail(p->diag, SW_E_UNSUPPORTED, p->where, "numbers (integers, floats, bool) are",
                       "array of type '%s' is not supported", text);
    p->has_type = true;
    return SW_OK;
}

static sw_status read_shape(parser *p) {
    if (!take(p, '(')) return broken(p, "expected the shape in parentheses");
    sw_tensor *t = p->tensor;
    while (!take(p, ')')) {
        const char *start = p->at;
        while (p->at < p->end && *p->at >= '0' && *p->at <= '9') p->at++;
        int64_t dim;
        if (!sw_str_to_i64(start, (size_t)(p->at - start), &dim)) return broken(p, "expected a dimension of the shape");
        if (t->rank == SW_MAX_RANK)
            return sw_fail(p->diag, SW_E_LIMIT, p->where, NULL, "the array has more than %d dimensions", SW_MAX_RANK);
        t->dims[t->rank++] = dim;
        if (!take(p, ',') && !(skip_space(p), p->at < p->end && *p->at == ')'))
            return broken(p, "expected , or ) in the shape");
    }
    p->has_shape = true;
    return SW_OK;
}

static sw_status read_header(parser *p) {
    if (!take(p, '{')) return broken(p, "expected {");
    while (!take(p, '}')) {
        char key[32];
        SW_TRY(read_quoted(p, key, sizeof key));
        if (!take(p, ':')) return broken(p, "expected : after a key");
        if (!strcmp(key, "descr") && !p->has_type)
            SW_TRY(read_type(p));
        else if (!strcmp(key, "shape") && !p->has_shape)
            SW_TRY(read_shape(p));
        else if (!strcmp(key, "fortran_order") && !p->has_order) {
            p->fortran = take_word(p, "True");
            if (!p->fortran && !take_word(p, "False")) return broken(p, "fortran_order is neither True nor False");
            p->has_order = true;
        } else
            return broken(p, "a key is unknown or there twice");
        if (!take(p, ',') && !(skip_space(p), p->at < p->end && *p->at == '}')) return broken(p, "expected , or }");
    }
    if (!p->has_type || !p->has_order || !p->has_shape) return broken(p, "descr, fortran_order or shape is missing");
    skip_space(p);
    return p->at == p->end ? SW_OK : broken(p, "there is more after the closing }");
}

/* Copies column-major to row-major order: an odometer over the output's index. */
static void from_fortran(const sw_tensor *t, const char *from, char *to, int64_t count) {
    size_t size = sw_dtype_size(t->dtype);
    int64_t stride[SW_MAX_RANK] = {0}, index[SW_MAX_RANK] = {0}, step = 1, at = 0;
    for (int i = 0; i < t->rank; step *= t->dims[i++]) stride[i] = step;
    for (int64_t done = 0; done < count; done++) {
        memcpy(to + (size_t)done * size, from + (size_t)at * size, size);
        for (int axis = t->rank - 1; axis >= 0; axis--) {
            at += stride[axis];
            if (++index[axis] < t->dims[axis]) break;
            at -= stride[axis] * t->dims[axis];
            index[axis] = 0;
        }
    }
}

static sw_status read_data(const parser *p, const char *data, size_t left, const sw_allocator *allocator) {
    sw_tensor *t = p->tensor;
    int64_t bytes = sw_tensor_bytes(t);
    if (bytes < 0) return broken(p, "its shape is too large to be true");
    if ((uint64_t)bytes > left)
        return sw_fail(p->diag, SW_E_INPUT, p->where, NULL,
                       "the array needs %lld bytes, but the file holds only %zu of them", (long long)bytes, left);
    t->data = sw_alloc(allocator, (size_t)bytes);
    if (!t->data) return sw_fail(p->diag, SW_E_NOMEM, p->where, NULL, "no memory for %lld bytes", (long long)bytes);
    if (p->fortran && t->rank > 1)
        from_fortran(t, data, t->data, sw_tensor_count(t));
    else
        memcpy(t->data, data, (size_t)bytes);
    if (t->dtype == SW_BOOL) /* C allows only 0 and 1 in a bool */
        for (int64_t i = 0; i < bytes; i++) ((uint8_t *)t->data)[i] = ((uint8_t *)t->data)[i] != 0;
    return SW_OK;
}

sw_status sw_npy_parse(const void *bytes, size_t size, const char *where, const sw_allocator *allocator,
                       const sw_diag *diag, sw_tensor *tensor) {
    const uint8_t *b = bytes;
    sw_tensor result = {0};
    parser p = {.where = where, .diag = diag, .tensor = &result};
    *tensor = result;
    if (size < MAGIC_BYTES + 2 || memcmp(b, magic, MAGIC_BYTES))
        return sw_fail(diag, SW_E_INPUT, where, "write one with numpy.save", "this is no .npy file");
    if (b[6] < 1 || b[6] > 3)
        return sw_fail(diag, SW_E_UNSUPPORTED, where, NULL, ".npy version %d is not known, 1 to 3 are", b[6]);
    size_t at = MAGIC_BYTES + 2, length_bytes = b[6] == 1 ? 2 : 4, length = 0;
    if (size - at < length_bytes) return broken(&p, "the file is cut");
    for (size_t i = 0; i < length_bytes; i++) length |= (size_t)b[at + i] << (8 * i);
    at += length_bytes;
    if (length > MAX_HEADER) return broken(&p, "it is longer than 64 KiB");
    if (length > size - at) return broken(&p, "the file is cut");
    p.at = (const char *)b + at;
    p.end = p.at + length;
    at += length;
    SW_TRY(read_header(&p));
    SW_TRY(read_data(&p, (const char *)b + at, size - at, allocator));
    *tensor = result;
    return SW_OK;
}

sw_status sw_npy_read(const char *path, const sw_allocator *allocator, const sw_diag *diag, sw_tensor *tensor) {
    sw_map map;
    *tensor = (sw_tensor){0};
    SW_TRY(sw_map_open(path, diag, &map));
    sw_status status = sw_npy_parse(map.data, map.size, path, allocator, diag, tensor);
    sw_map_close(&map);
    return status;
}

/* -- Writing ----------------------------------------------------------------------------------------------------- */

static void format_header(const sw_tensor *t, sw_buf *buf) {
    char header[512];
    const char *code = "f4"; /* bfloat16 and smaller floats, too */
    for (int i = 0; i < N_CODES; i++)
        if (codes[i].dtype == t->dtype) code = codes[i].code;
    if (t->dtype == SW_U4 || t->dtype == SW_I4) code = t->dtype == SW_U4 ? "u1" : "i1";
    int n = snprintf(header, sizeof header, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                     code[1] == '1' ? '|' : '<', code);
    for (int i = 0; i < t->rank; i++)
        n += snprintf(header + n, sizeof header - (size_t)n, "%s%lld", i ? ", " : "", (long long)t->dims[i]);
    n += snprintf(header + n, sizeof header - (size_t)n, "%s), }", t->rank == 1 ? "," : "");
    size_t used = MAGIC_BYTES + 4 + (size_t)n + 1, pad = (HEADER_ALIGN - used % HEADER_ALIGN) % HEADER_ALIGN;
    size_t length = (size_t)n + pad + 1;
    sw_buf_append(buf, magic, MAGIC_BYTES);
    sw_buf_append(buf, (uint8_t[]){1, 0, (uint8_t)length, (uint8_t)(length >> 8)}, 4);
    sw_buf_append(buf, header, (size_t)n);
    sw_buf_fill(buf, ' ', pad);
    sw_buf_append_byte(buf, '\n');
}

void sw_npy_format(const sw_tensor *tensor, sw_buf *buf) {
    format_header(tensor, buf);
    bool mini = sw_dtype_is_minifloat(tensor->dtype);
    if (tensor->dtype != SW_BF16 && !mini) {
        sw_buf_append(buf, tensor->data, (size_t)sw_tensor_bytes(tensor));
        return;
    }
    int64_t count = sw_tensor_count(tensor);
    uint8_t *to = sw_buf_extend(buf, (size_t)count * sizeof(float));
    for (int64_t i = 0; to && i < count; i++) {
        float value = mini ? (float)sw_minifloat_to_f64(tensor->dtype, ((const uint8_t *)tensor->data)[i])
                           : sw_bf16_to_f32(((const uint16_t *)tensor->data)[i]);
        memcpy(to + (size_t)i * sizeof value, &value, sizeof value);
    }
}

sw_status sw_npy_write(const char *path, const sw_tensor *tensor, const sw_diag *diag) {
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_npy_format(tensor, &buf);
    sw_status status = buf.status == SW_OK ? sw_file_write(path, buf.data, buf.size, diag)
                                           : sw_fail(diag, buf.status, path, NULL, "no memory to write the array");
    sw_buf_free(&buf);
    return status;
}
