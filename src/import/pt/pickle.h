/* Pickles as inert records.
 *
 * A pickle is a program for a stack machine; Python's reader lets it import and call anything. This one only builds records:
 * a GLOBAL is a name and never a call, an object is its class's name, arguments and state. Classes and functions outside a
 * list of what checkpoints contain are refused, so that a hostile file is told apart from a checkpoint.
 * Opcodes: those of protocol 2 that torch.save writes (facts: pickletools of real checkpoints); all others are refused.
 * Values live in an arena. They may be shared and even contain themselves: walkers must bound their depth. */
#ifndef SLIPWAY_IMPORT_PT_PICKLE_H
#define SLIPWAY_IMPORT_PT_PICKLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef enum sw_pickle_type {
    SW_PICKLE_NONE,
    SW_PICKLE_BOOL,
    SW_PICKLE_INT,
    SW_PICKLE_FLOAT,
    SW_PICKLE_STRING,
    SW_PICKLE_LIST,
    SW_PICKLE_TUPLE,
    SW_PICKLE_SET,
    SW_PICKLE_DICT,
    SW_PICKLE_GLOBAL,     /* a class or function: `text` is "module.name" */
    SW_PICKLE_OBJECT,     /* result of a constructor call: `text` is the class or function */
    SW_PICKLE_PERSISTENT, /* reference to something outside: `args` is its identifier */
} sw_pickle_type;

typedef struct sw_pickle sw_pickle;
struct sw_pickle {
    sw_pickle_type type;
    bool truth;
    int64_t number;
    double real;
    const char *text; /* with terminating zero; UTF-8 */
    size_t length;    /* bytes of text */
    /* Items of a list, tuple or set; of an object: what was appended to it. */
    sw_pickle **items;
    size_t n_items, cap_items;
    /* Keys and values of a dict in order, key at 2 * i; of an object: what was set in it (OrderedDict). */
    sw_pickle **pairs;
    size_t n_pairs, cap_pairs; /* counts keys and values: even */
    const sw_pickle *args;     /* of an object: the tuple it was called with */
    const sw_pickle *state;    /* of an object: what BUILD gave it; else NULL */
};

/* SW_E_MODEL for what is broken or hostile, with a sentence that names the offset or the call. The records point into
 * `arena` only. */
SW_MUST_USE sw_status sw_pickle_read(const void *bytes, size_t size, const char *label, sw_arena *arena,
                                     const sw_diag *diag, const sw_pickle **root);

enum { SW_PICKLE_MAX_KEYS = 1024 };

/* Looks a string key up in a dict, an OrderedDict or an object's state; NULL when it is not there (or `p` is NULL).
 * Only the first SW_PICKLE_MAX_KEYS keys are seen: attributes of a module are fewer, and a hostile file costs no
 * time. */
const sw_pickle *sw_pickle_get(const sw_pickle *p, const char *key);
/* True for an object or global of that name ("torch.nn.modules.conv.Conv2d"). */
bool sw_pickle_is(const sw_pickle *p, const char *name);

#endif
