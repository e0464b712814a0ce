/* JSON (RFC 8259): pull reader and writer. */
#ifndef SLIPWAY_BASE_JSON_H
#define SLIPWAY_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { SW_JSON_MAX_DEPTH = 100 };

typedef enum sw_json_type {
    SW_JSON_END, /* the document is over */
    SW_JSON_NULL,
    SW_JSON_BOOL,
    SW_JSON_NUMBER,
    SW_JSON_STRING,
    SW_JSON_KEY, /* the next event is its value */
    SW_JSON_ARRAY,
    SW_JSON_ARRAY_END,
    SW_JSON_OBJECT,
    SW_JSON_OBJECT_END
} sw_json_type;

typedef struct sw_json_event {
    sw_json_type type;
    const char
        *text; /* of keys and strings: UTF-8, zero-terminated, may hold zeros; valid until the next event */
    size_t length;
    double number;
    int64_t integer; /* when is_integer: written without point and exponent, and fits */
    bool is_integer, boolean;
    int line, column; /* where it starts, from 1; columns in bytes */
} sw_json_event;

typedef struct sw_json_reader {
    const char *at, *end, *line_start;
    int line, depth;
    uint8_t open[SW_JSON_MAX_DEPTH]; /* '[' or '{' */
    uint8_t expect;                  /* state of the grammar, private */
    sw_buf scratch;
    const char *where;
    const sw_diag *diag;
} sw_json_reader;

/* Reads text[0..size), which must live as long as the reader. `where` names it in messages. Strict: UTF-8,
 * number grammar, no comments, no trailing commas, no byte order mark, nothing after the document. The same
 * key twice is the caller's business. */
void sw_json_reader_init(sw_json_reader *reader, const void *text, size_t size, const sw_allocator *allocator,
                         const char *where, const sw_diag *diag);
void sw_json_reader_free(sw_json_reader *reader);
/* SW_E_INPUT with "line 3, column 7: ..." for broken text (then read no further), SW_E_LIMIT for what is
 * nested too deep or a number that is too long. */
SW_MUST_USE sw_status sw_json_next(sw_json_reader *reader, sw_json_event *event);
/* Skips the rest of the value that `event` began: nothing for scalars; for a key its value. */
SW_MUST_USE sw_status sw_json_skip(sw_json_reader *reader, const sw_json_event *event);

/* The text of the value that comes next, unread: its brackets and quotes are matched, and nothing else is checked. After a
 * key, or at the start. */
SW_MUST_USE sw_status sw_json_raw(sw_json_reader *reader, const char **text, size_t *size);

/* Writer into a buffer, whose sticky status tells of failure. The caller keeps the order of calls right;
 * asserts see to it. */
typedef struct sw_json_writer {
    sw_buf *buf;
    int indent; /* spaces a level; 0: all on one line */
    int depth, flat_depth;
    bool first, after_key;
} sw_json_writer;

sw_json_writer sw_json_writer_make(sw_buf *buf, int indent);
void sw_json_object(sw_json_writer *w);
void sw_json_object_end(sw_json_writer *w);
void sw_json_array(sw_json_writer *w);
void sw_json_array_end(sw_json_writer *w);
/* Until the next array or object that begins is ended, write it on one line. */
void sw_json_flat(sw_json_writer *w);
void sw_json_key(sw_json_writer *w, const char *key);
/* NULL writes null. Bytes that are no UTF-8 become U+FFFD. */
void sw_json_string(sw_json_writer *w, const char *text);
void sw_json_string_n(sw_json_writer *w, const char *text, size_t length);
void sw_json_int(sw_json_writer *w, int64_t value);
/* Shortest text that reads back equal; null for infinities and NaN. */
void sw_json_f32(sw_json_writer *w, float value);
void sw_json_f64(sw_json_writer *w, double value);
/* A number rounded to `decimals` places, for times. */
void sw_json_fixed(sw_json_writer *w, double value, int decimals);
void sw_json_bool(sw_json_writer *w, bool value);
void sw_json_null(sw_json_writer *w);

#endif
