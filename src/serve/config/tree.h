/* A protobuf message as a tree, by a table of its fields: read from text format or JSON, written as JSON or wire format.
 * All memory is an arena's. Private to serve/. */
#ifndef SLIPWAY_SERVE_CONFIG_TREE_H
#define SLIPWAY_SERVE_CONFIG_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/json.h"

typedef enum sw__kind {
    SW__BOOL,
    SW__INT32,
    SW__INT64,
    SW__UINT32,
    SW__UINT64,
    SW__FLOAT,
    SW__DOUBLE,
    SW__STRING,
    SW__ENUM,
    SW__MESSAGE
} sw__kind;

typedef struct sw__enum {
    const char *name; /* NULL ends the list */
    int number;
} sw__enum;

typedef struct sw__type {
    const struct sw__field *fields;
    size_t n;
} sw__type;

typedef struct sw__field {
    const char *name;
    int number;
    sw__kind kind;
    bool repeated, map;      /* a map is repeated, too; its message has the fields key and value */
    const sw__type *message; /* of SW__MESSAGE */
    const sw__enum *values;  /* of SW__ENUM */
    int choice;              /* fields of one message with the same number exclude each other; 0: none */
    enum { SW__USED, SW__IGNORED, SW__REFUSED } use; /* what becomes of it when it is set */
    const char *advice;                              /* why, and what to do */
} sw__field;

typedef struct sw__node { /* one value of a field */
    const sw__field *field;
    struct sw__node *next; /* of the message */
    int line, column;      /* where it was read; 0: nowhere */
    union {
        bool boolean;
        int64_t i; /* enums, too */
        uint64_t u;
        double f;
        const char *text; /* UTF-8 without zeros */
        struct sw__message *message;
    };
} sw__node;

typedef struct sw__message {
    const sw__type *type;
    sw__node *first, *last; /* in the order of reading */
} sw__message;

/* Where errors of a text come from. */
typedef struct sw__source {
    const char *where; /* the file */
    const sw_diag *diag;
    sw_arena *arena;
} sw__source;

enum { SW__MAX_CONFIG = 1 << 20, SW__MAX_CONFIG_DEPTH = 32 };

sw__message *sw__message_create(sw_arena *arena, const sw__type *type); /* NULL: out of memory */
const sw__field *sw__type_field(const sw__type *type, const char *name);
/* A value at the end of the message; zeroed. NULL: out of memory. `name` must be a field. */
sw__node *sw__message_add(sw_arena *arena, sw__message *message, const char *name);
/* The first value of a field; NULL when it is not set. */
const sw__node *sw__message_get(const sw__message *message, const char *name);
/* The next value of the same field. */
const sw__node *sw__node_next(const sw__node *node);
/* Takes all values of a field away. */
void sw__message_clear(sw__message *message, const char *name);
/* The value, or the default (0, "", NULL) where the field is not set; `message` may be NULL. */
int64_t sw__message_int(const sw__message *message, const char *name);
bool sw__message_bool(const sw__message *message, const char *name);
const char *sw__message_text(const sw__message *message, const char *name);
const sw__message *sw__message_of(const sw__message *message, const char *name);

/* Text format (protobuf.dev/reference/protobuf/textformat-spec) and JSON (ProtoJSON, names as in the .proto). SW_E_MODEL with
 * "line 3, column 7: ..."; SW_E_NOMEM. Text is at most SW__MAX_CONFIG bytes. */
SW_MUST_USE sw_status sw__pbtxt_parse(const char *text, size_t size, const sw__type *type, const sw__source *source,
                                      sw__message **message);
SW_MUST_USE sw_status sw__proto_json_parse(const char *text, size_t size, const sw__type *type,
                                           const sw__source *source, sw__message **message);
/* Warns of values that are ignored; SW_E_UNSUPPORTED for one that is refused. Values that equal the default count as not
 * set. */
SW_MUST_USE sw_status sw__message_check_use(const sw__message *message, const sw__source *source);

/* As Triton shows configurations: every scalar, also those that are not set; 64-bit numbers as numbers. */
void sw__message_json(const sw__message *message, sw_json_writer *w);
void sw__message_wire(const sw__message *message, sw_buf *buf);

/* For the readers: a place for a value of `field`, which must not be set twice unless repeated. */
SW_MUST_USE sw_status sw__message_place(const sw__source *source, sw__message *message, const sw__field *field,
                                        int line, int column, sw__node **node);
/* "line 3, column 7: ..." and SW_E_MODEL. */
sw_status sw__source_fail(const sw__source *source, int line, int column, const char *hint, const char *fmt, ...)
    SW_PRINTF(5, 6);
/* The field of that name, or a failure that names the nearest one. */
SW_MUST_USE sw_status sw__source_field(const sw__source *source, const sw__type *type, const char *name, int line,
                                       int column, const sw__field **field);
/* Numbers checked against the field's kind. */
SW_MUST_USE sw_status sw__source_integer(const sw__source *source, sw__node *node, bool negative, uint64_t magnitude);
SW_MUST_USE sw_status sw__source_enum(const sw__source *source, sw__node *node, const char *name);

extern const sw__type sw__model_config; /* inference.ModelConfig */

#endif
