/* What parent and child say to each other: frames of bounded size, numbers little endian.
 *
 * A frame is a header of 16 bytes (magic "SWFC", kind, bytes of what follows as uint64) and its body. The parent asks, the
 * child answers each question with one frame, SW_WIRE_ANSWER or SW_WIRE_ERROR. child.py speaks it, too.
 *
 *     question    body                                                    answer
 *     SW_WIRE_OPEN     library, model, threads i32, settings, shapes           version, load ns i64, settings, inputs, outputs
 *     SW_WIRE_BIND     tensors: the inputs of all later runs                   -
 *     SW_WIRE_RUN      -                                                       tensors: the outputs
 *     SW_WIRE_TIME     ns i64, least runs i32, most runs i32                   count i32, ns i64 of each run
 *     SW_WIRE_ERROR (an answer)                                                status i32, text
 *
 * A text is its length (u32) and its bytes; settings are a count (u32) and that many pairs of texts; ports and shapes a count
 * and that many of: name, type (i32, as ONNX numbers it), rank (i32; -1: not known), dims (i64; below 0: open); tensors are
 * the same with bytes (u64) and data. An empty model asks for the version only. */
#ifndef SLIPWAY_BACKEND_FOREIGN_WIRE_H
#define SLIPWAY_BACKEND_FOREIGN_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "slipway/tensor.h"

enum { SW_WIRE_OPEN = 1, SW_WIRE_BIND, SW_WIRE_RUN, SW_WIRE_TIME, SW_WIRE_ANSWER = 100, SW_WIRE_ERROR };

enum {
    SW_FRAME_HEADER = 16,
    SW_WIRE_MOST_PORTS = 256,
    SW_WIRE_MOST_SETTINGS = 64,
    SW_WIRE_MOST_TEXT = 64 * 1024,
    SW_WIRE_MOST_RUNS = 1 << 20
};
#define SW_FRAME_MOST ((uint64_t)4 << 30) /* bytes of a body */

typedef struct sw_setting {
    const char *key, *value;
} sw_setting;

typedef struct sw_settings {
    sw_setting *items;
    int n;
} sw_settings;

/* A named tensor: of a port (type.data NULL, dims may be open) or with data. */
typedef struct sw_named {
    const char *name;
    sw_tensor type;
} sw_named;

typedef struct sw_frame {
    uint32_t kind;
    uint64_t size;
} sw_frame;

void sw_frame_format(const sw_frame *frame, uint8_t header[SW_FRAME_HEADER]);
/* False for what is no frame, or one that is too large. */
bool sw_frame_parse(const uint8_t header[SW_FRAME_HEADER], sw_frame *frame);

void sw_wire_put_i32(sw_buf *buf, int32_t value);
void sw_wire_put_i64(sw_buf *buf, int64_t value);
void sw_wire_put_text(sw_buf *buf, const char *text); /* NULL as "" */
void sw_wire_put_settings(sw_buf *buf, const sw_settings *settings);
void sw_wire_put_ports(sw_buf *buf, const sw_named *ports, int n);
/* Concrete tensors with data. */
void sw_wire_put_tensors(sw_buf *buf, const sw_named *tensors, int n);

/* Reads a body. The first thing that does not fit sets `bad`, and everything after it reads as zero. */
typedef struct sw_wire {
    const uint8_t *at, *end;
    sw_arena *arena; /* for what is read; without memory `bad` is set */
    bool bad;
} sw_wire;

int32_t sw_wire_i32(sw_wire *wire);
int64_t sw_wire_i64(sw_wire *wire);
const char *sw_wire_text(sw_wire *wire); /* never NULL; without zeros inside */
void sw_wire_settings(sw_wire *wire, sw_settings *settings);
void sw_wire_ports(sw_wire *wire, sw_named **ports, int *n);
/* Data is copied into the arena, aligned as kernels like it. */
void sw_wire_tensors(sw_wire *wire, sw_named **tensors, int *n);
/* Whether all was read and nothing is left. */
bool sw_wire_done(const sw_wire *wire);

#endif
