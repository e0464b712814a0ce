#include "backend/foreign/wire.h"

#include <string.h>

#include "ops/op.h"

static const char magic[4] = {'S', 'W', 'F', 'C'};

/* The machine is little endian: the only kind that Slipway runs on. */
void sw_frame_format(const sw_frame *frame, uint8_t header[SW_FRAME_HEADER]) {
    memcpy(header, magic, sizeof magic);
    memcpy(header + 4, &frame->kind, 4);
    memcpy(header + 8, &frame->size, 8);
}

bool sw_frame_parse(const uint8_t header[SW_FRAME_HEADER], sw_frame *frame) {
    memcpy(&frame->kind, header + 4, 4);
    memcpy(&frame->size, header + 8, 8);
    return !memcmp(header, magic, sizeof magic) && frame->size <= SW_FRAME_MOST;
}

/* -- Writing ------------------------------------------------------------------------------------------------------- */

void sw_wire_put_i32(sw_buf *buf, int32_t value) {
    sw_buf_append(buf, &value, sizeof value);
}

void sw_wire_put_i64(sw_buf *buf, int64_t value) {
    sw_buf_append(buf, &value, sizeof value);
}

void sw_wire_put_text(sw_buf *buf, const char *text) {
    size_t length = text ? strlen(text) : 0;
    if (length > SW_WIRE_MOST_TEXT) length = SW_WIRE_MOST_TEXT;
    sw_wire_put_i32(buf, (int32_t)length);
    if (length) sw_buf_append(buf, text, length);
}

void sw_wire_put_settings(sw_buf *buf, const sw_settings *settings) {
    sw_wire_put_i32(buf, settings->n);
    for (int i = 0; i < settings->n; i++) {
        sw_wire_put_text(buf, settings->items[i].key);
        sw_wire_put_text(buf, settings->items[i].value);
    }
}

static void put_port(sw_buf *buf, const sw_named *port) {
    sw_wire_put_text(buf, port->name);
    sw_wire_put_i32(buf, sw_dtype_onnx(port->type.dtype));
    sw_wire_put_i32(buf, port->type.rank);
    for (int i = 0; i < port->type.rank; i++) sw_wire_put_i64(buf, port->type.dims[i]);
}

void sw_wire_put_ports(sw_buf *buf, const sw_named *ports, int n) {
    sw_wire_put_i32(buf, n);
    for (int i = 0; i < n; i++) put_port(buf, &ports[i]);
}

void sw_wire_put_tensors(sw_buf *buf, const sw_named *tensors, int n) {
    sw_wire_put_i32(buf, n);
    for (int i = 0; i < n; i++) {
        int64_t bytes = sw_tensor_bytes(&tensors[i].type);
        put_port(buf, &tensors[i]);
        sw_wire_put_i64(buf, bytes);
        if (bytes > 0) sw_buf_append(buf, tensors[i].type.data, (size_t)bytes);
    }
}

/* -- Reading ------------------------------------------------------------------------------------------------------- */

/* The next `size` bytes, or NULL. */
static const uint8_t *take(sw_wire *wire, uint64_t size) {
    if (wire->bad || (uint64_t)(wire->end - wire->at) < size) {
        wire->bad = true;
        return NULL;
    }
    const uint8_t *bytes = wire->at;
    wire->at += size;
    return bytes;
}

int32_t sw_wire_i32(sw_wire *wire) {
    int32_t value = 0;
    const uint8_t *bytes = take(wire, sizeof value);
    if (bytes) memcpy(&value, bytes, sizeof value);
    return value;
}

int64_t sw_wire_i64(sw_wire *wire) {
    int64_t value = 0;
    const uint8_t *bytes = take(wire, sizeof value);
    if (bytes) memcpy(&value, bytes, sizeof value);
    return value;
}

/* A count from 0 to `most`. */
static int take_count(sw_wire *wire, int most) {
    int32_t n = sw_wire_i32(wire);
    if (n < 0 || n > most) wire->bad = true;
    return wire->bad ? 0 : n;
}

static void *room(sw_wire *wire, size_t n, size_t size) {
    void *block = wire->bad ? NULL : sw_arena_alloc(wire->arena, n + 1, size);
    if (!block) wire->bad = true;
    return block;
}

const char *sw_wire_text(sw_wire *wire) {
    int length = take_count(wire, SW_WIRE_MOST_TEXT);
    const uint8_t *bytes = take(wire, (uint64_t)length);
    char *text = bytes && !memchr(bytes, 0, (size_t)length) ? room(wire, (size_t)length, 1) : NULL;
    if (!text) wire->bad = true;
    if (text) memcpy(text, bytes, (size_t)length);
    return text ? text : "";
}

void sw_wire_settings(sw_wire *wire, sw_settings *settings) {
    int n = take_count(wire, SW_WIRE_MOST_SETTINGS);
    *settings = (sw_settings){.items = room(wire, (size_t)n, sizeof *settings->items)};
    for (int i = 0; i < n && !wire->bad; i++) {
        settings->items[i].key = sw_wire_text(wire);
        settings->items[i].value = sw_wire_text(wire);
        settings->n = i + 1;
    }
}

static void take_port(sw_wire *wire, sw_named *port) {
    port->name = sw_wire_text(wire);
    port->type.dtype = sw_dtype_from_onnx(sw_wire_i32(wire));
    int32_t rank = sw_wire_i32(wire);
    if (rank < SW_RANK_UNKNOWN || rank > SW_MAX_RANK) wire->bad = true;
    port->type.rank = wire->bad ? 0 : rank; /* whoever looks at it later stays within its dims */
    for (int i = 0; i < port->type.rank && !wire->bad; i++) port->type.dims[i] = sw_wire_i64(wire);
}

void sw_wire_ports(sw_wire *wire, sw_named **ports, int *n) {
    int count = take_count(wire, SW_WIRE_MOST_PORTS);
    *ports = room(wire, (size_t)count, sizeof **ports);
    for (int i = 0; i < count && !wire->bad; i++) take_port(wire, &(*ports)[i]);
    *n = wire->bad ? 0 : count;
}

void sw_wire_tensors(sw_wire *wire, sw_named **tensors, int *n) {
    int count = take_count(wire, SW_WIRE_MOST_PORTS);
    *tensors = room(wire, (size_t)count, sizeof **tensors);
    for (int i = 0; i < count && !wire->bad; i++) {
        sw_named *t = &(*tensors)[i];
        take_port(wire, t);
        int64_t bytes = sw_wire_i64(wire);
        if (!sw_tensor_is_concrete(&t->type) || bytes < 0 || bytes != sw_tensor_bytes(&t->type)) wire->bad = true;
        const uint8_t *data = take(wire, (uint64_t)bytes);
        t->type.data =
            room(wire, (size_t)bytes / SW_ALIGN + 1, SW_ALIGN); /* aligned: blocks of the arena from 4 KiB on */
        if (!wire->bad && bytes) memcpy(t->type.data, data, (size_t)bytes);
    }
    *n = wire->bad ? 0 : count;
}

bool sw_wire_done(const sw_wire *wire) {
    return !wire->bad && wire->at == wire->end;
}
