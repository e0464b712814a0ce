/* Protocol Buffers wire format: reader over bytes in memory, small writer.
 *
 *     sw_pb_field f;
 *     while (sw_pb_next(&r, &f)) switch (f.number) { ... }
 *     return r.status;
 *
 * Failure sticks: sw_pb_next gives false at the end and after an error; `status` tells which. Fields that
 * nobody asks for are skipped by asking for the next. */
#ifndef SLIPWAY_BASE_PB_H
#define SLIPWAY_BASE_PB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

typedef enum sw_pb_wire {
    SW_PB_VARINT = 0,
    SW_PB_FIXED64 = 1,
    SW_PB_BYTES = 2,
    SW_PB_FIXED32 = 5
} sw_pb_wire;

typedef struct sw_pb {
    const uint8_t *data;
    size_t size, at;
    uint64_t offset; /* of data[0] in the file, for messages */
    sw_status status;
    const char *where;
    const sw_diag *diag;
} sw_pb;

typedef struct sw_pb_field {
    uint32_t number;
    sw_pb_wire wire;
    uint64_t value;      /* varints and fixed ones, little endian */
    const uint8_t *data; /* bytes: points into the reader's data */
    size_t size;
    uint64_t offset; /* of the field's tag in the file */
} sw_pb_field;

sw_pb sw_pb_make(const void *data, size_t size, const char *where, const sw_diag *diag);
/* The next field. Reports truncation, overlong varints, field number 0, groups and unknown wire types
 * (SW_E_MODEL). */
bool sw_pb_next(sw_pb *r, sw_pb_field *field);

/* Checks that a field has the wire type; otherwise fails the reader. */
bool sw_pb_expect(sw_pb *r, const sw_pb_field *field, sw_pb_wire wire);
/* Reader over a bytes field (an embedded message); a field of another wire type gives a failed reader and
 * fails `r`. Hand the status of the sub-reader up yourself. */
sw_pb sw_pb_sub(sw_pb *r, const sw_pb_field *field);
/* Checks that a field is bytes, UTF-8 and without zeros: then data, size are text (not zero-terminated). */
bool sw_pb_text(sw_pb *r, const sw_pb_field *field);
/* "byte 123: ..." through diag, and the reader fails with SW_E_MODEL, which is returned. */
sw_status sw_pb_fail(sw_pb *r, uint64_t offset, const char *fmt, ...) SW_PRINTF(3, 4);

static inline int64_t sw_pb_int(const sw_pb_field *field) {
    return (int64_t)field->value;
}
float sw_pb_float(const sw_pb_field *field);   /* of fixed32 */
double sw_pb_double(const sw_pb_field *field); /* of fixed64 */

/* Values of a repeated scalar field, packed or not:
 *     sw_pb_values v = sw_pb_repeated(&r, &f, SW_PB_VARINT);
 *     while (sw_pb_value(&v, &x)) ...
 * Errors fail `r`. `left` is a bound on how many values are still to come, to reserve memory. */
typedef struct sw_pb_values {
    sw_pb *r;
    const uint8_t *data;
    size_t size, at, left;
    uint64_t single, offset;
    sw_pb_wire element;
    bool packed;
} sw_pb_values;
sw_pb_values sw_pb_repeated(sw_pb *r, const sw_pb_field *field, sw_pb_wire element);
bool sw_pb_value(sw_pb_values *values, sw_pb_field *value); /* fills value->value and wire */

/* Writer: appends fields to a buffer. An embedded message is written into a buffer of its own first. */
void sw_pb_put_varint(sw_buf *buf, uint32_t number, uint64_t value);
void sw_pb_put_fixed32(sw_buf *buf, uint32_t number, uint32_t value);
void sw_pb_put_fixed64(sw_buf *buf, uint32_t number, uint64_t value);
void sw_pb_put_float(sw_buf *buf, uint32_t number, float value);
void sw_pb_put_bytes(sw_buf *buf, uint32_t number, const void *data, size_t size);
/* What stands before the `size` bytes of such a field, for data that are not copied into a buffer. */
void sw_pb_put_bytes_head(sw_buf *buf, uint32_t number, size_t size);
void sw_pb_put_text(sw_buf *buf, uint32_t number, const char *text);

#endif
