#include <stdio.h>
#include <string.h>

#include "serve/internal.h"

sw_serve_code sw_serve_fail(sw_serve_error *error, sw_serve_code code, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(error->text, sizeof error->text, fmt, args);
    va_end(args);
    error->code = code;
    return code;
}

sw_serve_code sw__serve_no_memory(sw_serve_error *error) {
    return sw_serve_fail(error, SW_SERVE_UNAVAILABLE, "out of memory");
}

/* Names as in the protocol, which has none for floats of 8 and types of 4 bits. */
static const char *const names[SW_SERVE_BYTES + 1] = {
    [SW_DTYPE_NONE] = "", [SW_F32] = "FP32",   [SW_U8] = "UINT8",   [SW_I8] = "INT8",   [SW_U16] = "UINT16",
    [SW_I16] = "INT16",   [SW_I32] = "INT32",  [SW_I64] = "INT64",  [SW_BOOL] = "BOOL", [SW_F16] = "FP16",
    [SW_F64] = "FP64",    [SW_U32] = "UINT32", [SW_U64] = "UINT64", [SW_BF16] = "BF16", [SW_SERVE_BYTES] = "BYTES"};

const char *sw_serve_dtype_name(int dtype) {
    return dtype >= 0 && dtype <= SW_SERVE_BYTES && names[dtype] ? names[dtype] : "";
}

int sw_serve_dtype_parse(const char *text, size_t size) {
    for (int dtype = 1; dtype <= SW_SERVE_BYTES; dtype++)
        if (names[dtype] && strlen(names[dtype]) == size && memcmp(names[dtype], text, size) == 0) return dtype;
    return SW_DTYPE_NONE;
}

size_t sw_serve_dtype_size(int dtype) {
    return dtype == SW_SERVE_BYTES ? 0 : sw_dtype_size((sw_dtype)dtype);
}

int64_t sw__serve_count(int rank, const int64_t *dims) {
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0 || __builtin_mul_overflow(count, dims[i], &count)) return -1;
    return count;
}

int64_t sw__serve_texts_bytes(const void *data, size_t bytes, int64_t count) {
    const uint8_t *at = data;
    size_t left = bytes;
    for (; count > 0; count--) {
        uint32_t length;
        if (left < sizeof length) return -1;
        memcpy(&length, at, sizeof length);
        if (length > left - sizeof length) return -1;
        at += sizeof length + length;
        left -= sizeof length + length;
    }
    return (int64_t)(bytes - left);
}

static void keep_error(void *ctx, const sw_message *message) {
    const sw__sink *sink = ctx;
    sw_serve_error *error = sink->error;
    if (message->severity != SW_ERROR) {
        if (sink->others && sink->others->emit) sink->others->emit(sink->others->ctx, message);
    } else if (!error->text[0]) {
        snprintf(error->text, sizeof error->text, "%s%s%s%s%s", message->where ? message->where : "",
                 message->where ? ": " : "", message->text, message->hint ? "; " : "",
                 message->hint ? message->hint : "");
    }
}

sw_serve_code sw__serve_code_of(sw_status status) {
    switch (status) {
    case SW_OK:
        return SW_SERVE_OK;
    case SW_E_INPUT:
    case SW_E_USAGE:
    case SW_E_MODEL:
        return SW_SERVE_INVALID_ARG;
    case SW_E_UNSUPPORTED:
        return SW_SERVE_UNSUPPORTED;
    case SW_E_NOMEM:
    case SW_E_LIMIT:
        return SW_SERVE_UNAVAILABLE;
    case SW_E_IO:
    case SW_E_INTERNAL:
        return SW_SERVE_INTERNAL;
    }
    return SW_SERVE_UNKNOWN;
}

sw_diag sw__serve_sink(sw__sink *sink) {
    *sink->error = (sw_serve_error){0};
    return (sw_diag){keep_error, sink};
}
