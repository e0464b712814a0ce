#include "base/pb.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { MAX_FIELD_NUMBER = (1 << 29) - 1 };

sw_pb sw_pb_make(const void *data, size_t size, const char *where, const sw_diag *diag) {
    return (sw_pb){.data = data, .size = size, .where = where, .diag = diag};
}

sw_status sw_pb_fail(sw_pb *r, uint64_t offset, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    r->status = sw_fail(r->diag, SW_E_MODEL, r->where, NULL, "byte %llu: %s", (unsigned long long)offset, text);
    return r->status;
}

typedef enum scan { SCAN_GOOD, SCAN_CUT, SCAN_LONG } scan;

static scan scan_varint(const uint8_t *data, size_t size, size_t *at, uint64_t *value) {
    uint64_t result = 0;
    for (int i = 0; i < 10; i++) {
        if (*at == size) return SCAN_CUT;
        uint8_t byte = data[(*at)++];
        if (i == 9 && byte > 1) return SCAN_LONG; /* 64 bits are full */
        result |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = result;
            return SCAN_GOOD;
        }
    }
    return SCAN_LONG;
}

static scan scan_fixed(const uint8_t *data, size_t size, size_t *at, size_t bytes, uint64_t *value) {
    if (size - *at < bytes) return SCAN_CUT;
    uint64_t result = 0;
    for (size_t i = 0; i < bytes; i++) result |= (uint64_t)data[*at + i] << (8 * i);
    *at += bytes;
    *value = result;
    return SCAN_GOOD;
}

static scan scan_scalar(sw_pb_wire wire, const uint8_t *data, size_t size, size_t *at, uint64_t *value) {
    if (wire == SW_PB_VARINT) return scan_varint(data, size, at, value);
    return scan_fixed(data, size, at, wire == SW_PB_FIXED64 ? 8 : 4, value);
}

static void fail_scan(sw_pb *r, scan result, uint64_t offset) {
    if (result == SCAN_CUT)
        sw_pb_fail(r, offset, "the file ends inside a value; is it cut?");
    else if (result == SCAN_LONG)
        sw_pb_fail(r, offset, "a number is longer than 64 bits");
}

bool sw_pb_next(sw_pb *r, sw_pb_field *field) {
    if (r->status != SW_OK || r->at == r->size) return false;
    *field = (sw_pb_field){.offset = r->offset + r->at};
    uint64_t tag = 0;
    scan result = scan_varint(r->data, r->size, &r->at, &tag);
    unsigned wire = tag & 7;
    if (result != SCAN_GOOD)
        fail_scan(r, result, field->offset);
    else if (tag >> 3 == 0 || tag >> 3 > MAX_FIELD_NUMBER)
        sw_pb_fail(r, field->offset, "field number %llu is not allowed; is this a protobuf file?",
                   (unsigned long long)(tag >> 3));
    else if (wire == 3 || wire == 4)
        sw_pb_fail(r, field->offset, "groups are not supported");
    else if (wire > 5)
        sw_pb_fail(r, field->offset, "wire type %u is not known; is this a protobuf file?", wire);
    if (r->status != SW_OK) return false;

    field->number = (uint32_t)(tag >> 3);
    field->wire = (sw_pb_wire)wire;
    sw_pb_wire scalar = wire == SW_PB_BYTES ? SW_PB_VARINT : field->wire;
    result = scan_scalar(scalar, r->data, r->size, &r->at, &field->value);
    if (result != SCAN_GOOD) {
        fail_scan(r, result, field->offset);
        return false;
    }
    if (wire != SW_PB_BYTES) return true;
    size_t left = r->size - r->at;
    if (field->value > left) {
        sw_pb_fail(r, field->offset, "field %u wants %llu bytes, but only %zu are left; is the file cut?",
                   field->number, (unsigned long long)field->value, left);
        return false;
    }
    field->data = r->data + r->at;
    field->size = (size_t)field->value;
    r->at += field->size;
    return true;
}

static const char *wire_name(sw_pb_wire wire) {
    return wire == SW_PB_VARINT    ? "a varint"
           : wire == SW_PB_BYTES   ? "bytes"
           : wire == SW_PB_FIXED64 ? "64 bits"
                                   : "32 bits";
}

bool sw_pb_expect(sw_pb *r, const sw_pb_field *field, sw_pb_wire wire) {
    if (r->status != SW_OK) return false;
    if (field->wire == wire) return true;
    sw_pb_fail(r, field->offset, "field %u holds %s, expected %s", field->number, wire_name(field->wire),
               wire_name(wire));
    return false;
}

sw_pb sw_pb_sub(sw_pb *r, const sw_pb_field *field) {
    sw_pb sub = {.where = r->where, .diag = r->diag};
    if (sw_pb_expect(r, field, SW_PB_BYTES)) {
        sub.data = field->data;
        sub.size = field->size;
        sub.offset = r->offset + (uint64_t)(field->data - r->data);
    }
    sub.status = r->status;
    return sub;
}

bool sw_pb_text(sw_pb *r, const sw_pb_field *field) {
    if (!sw_pb_expect(r, field, SW_PB_BYTES)) return false;
    if (field->size && memchr(field->data, 0, field->size))
        sw_pb_fail(r, field->offset, "the text of field %u has a zero byte in it", field->number);
    else if (!sw_str_is_utf8((const char *)field->data, field->size))
        sw_pb_fail(r, field->offset, "the text of field %u is no UTF-8", field->number);
    return r->status == SW_OK;
}

float sw_pb_float(const sw_pb_field *field) {
    uint32_t bits = (uint32_t)field->value;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double sw_pb_double(const sw_pb_field *field) {
    double value;
    memcpy(&value, &field->value, sizeof value);
    return value;
}

sw_pb_values sw_pb_repeated(sw_pb *r, const sw_pb_field *field, sw_pb_wire element) {
    sw_pb_values values = {.r = r, .element = element, .offset = field->offset};
    if (field->wire != SW_PB_BYTES) {
        if (!sw_pb_expect(r, field, element)) return values;
        values.single = field->value;
        values.left = 1;
        return values;
    }
    values.packed = true;
    values.data = field->data;
    values.size = field->size;
    size_t bytes = element == SW_PB_FIXED64 ? 8 : element == SW_PB_FIXED32 ? 4 : 1;
    if (field->size % bytes)
        sw_pb_fail(r, field->offset, "packed field %u has %zu bytes, no multiple of %zu", field->number, field->size,
                   bytes);
    else
        values.left = field->size / bytes;
    return values;
}

bool sw_pb_value(sw_pb_values *values, sw_pb_field *value) {
    if (!values->left || values->r->status != SW_OK) return false;
    value->wire = values->element;
    if (!values->packed) {
        value->value = values->single;
        values->left = 0;
        return true;
    }
    scan result = scan_scalar(values->element, values->data, values->size, &values->at, &value->value);
    if (result != SCAN_GOOD) {
        fail_scan(values->r, result, values->offset);
        return false;
    }
    size_t rest = values->size - values->at;
    values->left = values->element == SW_PB_VARINT ? rest : values->left - 1;
    return true;
}

/* -- Writer ------------------------------------------------------------------------------------------------------ */

static void put_varint(sw_buf *buf, uint64_t value) {
    for (; value >= 0x80; value >>= 7) sw_buf_append_byte(buf, (uint8_t)(value | 0x80));
    sw_buf_append_byte(buf, (uint8_t)value);
}

static void put_tag(sw_buf *buf, uint32_t number, sw_pb_wire wire) {
    put_varint(buf, (uint64_t)number << 3 | wire);
}

static void put_fixed(sw_buf *buf, uint64_t value, int bytes) {
    for (; bytes > 0; bytes--, value >>= 8) sw_buf_append_byte(buf, (uint8_t)value);
}

void sw_pb_put_varint(sw_buf *buf, uint32_t number, uint64_t value) {
    put_tag(buf, number, SW_PB_VARINT);
    put_varint(buf, value);
}

void sw_pb_put_fixed32(sw_buf *buf, uint32_t number, uint32_t value) {
    put_tag(buf, number, SW_PB_FIXED32);
    put_fixed(buf, value, 4);
}

void sw_pb_put_fixed64(sw_buf *buf, uint32_t number, uint64_t value) {
    put_tag(buf, number, SW_PB_FIXED64);
    put_fixed(buf, value, 8);
}

void sw_pb_put_float(sw_buf *buf, uint32_t number, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    sw_pb_put_fixed32(buf, number, bits);
}

void sw_pb_put_bytes_head(sw_buf *buf, uint32_t number, size_t size) {
    put_tag(buf, number, SW_PB_BYTES);
    put_varint(buf, size);
}

void sw_pb_put_bytes(sw_buf *buf, uint32_t number, const void *data, size_t size) {
    sw_pb_put_bytes_head(buf, number, size);
    sw_buf_append(buf, data, size);
}

void sw_pb_put_text(sw_buf *buf, uint32_t number, const char *text) {
    sw_pb_put_bytes(buf, number, text, strlen(text));
}
