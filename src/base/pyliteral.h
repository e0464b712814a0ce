/* Python literals: what ast.literal_eval reads, as Ultralytics writes metadata (`{0: 'person', 1:
 * "it's"}`). JSON texts are understood as well, because exporters differ. */
#ifndef SLIPWAY_BASE_PYLITERAL_H
#define SLIPWAY_BASE_PYLITERAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

enum { SW_PY_MAX_DEPTH = 32, SW_PY_MAX_ITEMS = 1 << 20 };

typedef enum sw_py_type {
    SW_PY_NONE,
    SW_PY_BOOL,
    SW_PY_INT,
    SW_PY_FLOAT,
    SW_PY_STRING,
    SW_PY_LIST,
    SW_PY_DICT
} sw_py_type;

/* A value in an arena. Tuples are lists. */
typedef struct sw_py sw_py;
struct sw_py {
    sw_py_type type;
    bool b;
    int64_t i;
    double f;           /* of ints, too */
    const char *s;      /* UTF-8, ends at its first zero */
    const sw_py *items; /* of a list; keys and values in turn of a dict, in the order of the text */
    size_t n;           /* items of a list, pairs of a dict */
};

/* Reads a whole text. SW_E_INPUT when it is no literal, SW_E_LIMIT when it is nested too deep or has too
 * many items, SW_E_NOMEM; there is no message: callers know how much the text matters. */
SW_MUST_USE sw_status sw_py_parse(sw_arena *arena, const char *text, sw_py *value);

/* Writes a value as Python's repr does. */
void sw_py_write(sw_buf *buf, const sw_py *value);

/* The value of a string key in a dict; NULL when there is none or `dict` is something else. */
const sw_py *sw_py_get(const sw_py *dict, const char *key);

#endif
