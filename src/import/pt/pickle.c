#include "import/pt/pickle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_STACK = 1 << 18,
    MAX_MEMO = 1 << 20,
    MAX_DEPTH_MARKS = 4096,
    MAX_STRING = 1 << 24,
};

/* Each byte of a pickle may make one record, no more. */
enum { MAX_PICKLE_BYTES = 32 << 20 };

typedef struct machine {
    const uint8_t *bytes;
    size_t size, at;
    size_t op_at; /* offset of the opcode being run */
    const char *label;
    sw_arena *arena;
    const sw_diag *diag;
    sw_pickle **stack;
    size_t depth, cap_stack;
    size_t *marks;
    size_t n_marks, cap_marks;
    sw_pickle **memo;
    size_t n_memo, cap_memo;
    sw_pickle *constants[3]; /* None, False, True: shared, for they never change */
    const sw_pickle *result; /* set by STOP */
} machine;

static sw_status broken(const machine *m, const char *what) {
    return sw_fail(m->diag, SW_E_MODEL, m->label, NULL, "the pickle is damaged at byte %zu: %s", m->op_at, what);
}

static sw_status out_of_memory(const machine *m) {
    return sw_fail(m->diag, SW_E_NOMEM, m->label, NULL, "out of memory while reading the pickle");
}

/* ---- What may be named --------------------------------------------------------------------------------------------- */

/* Modules whose classes are records of a checkpoint. A name below one of them never runs: it is only compared. */
static const char *const harmless_modules[] = {
    "torch.nn.", "torch._utils.", "torch.",    "ultralytics.", "models.", "utils.",
    "yolov5.",   "torchvision.",  "timm.",     "collections.", "numpy.",  "pathlib.",
    "datetime.", "argparse.",     "easydict.", "omegaconf.",   "thop.",   "__main__.",
};
static const char *const harmless_builtins[] = {"set",   "frozenset", "dict",      "list",  "tuple",
                                                "slice", "complex",   "bytearray", "int",   "float",
                                                "str",   "bool",      "object",    "bytes", "range"};
/* Ways to run code below a module that is harmless otherwise. */
static const char *const harmful[] = {
    "torch.load",
    "torch.hub.",
    "torch.jit.",
    "torch.utils.cpp_extension",
    "torch.classes",
    "torch.ops",
    "torch._C.",
    "torch._inductor",
    "torch._dynamo",
    "torch.fx.",
    "torch.distributed",
    "torch.multiprocessing",
    "torch.utils.data",
    "torch.utils.bottleneck",
    "torch.utils.collect_env",
    "torch.serialization",
    "torch.storage._load_from_bytes",
    "torch.package",
    "torch.testing",
    "torch.compile",
    "numpy.load",
    "numpy.testing",
    "numpy.distutils",
    "numpy.f2py",
    "numpy.core.numeric.load",
    "numpy.lib.npyio",
};

static bool has_prefix(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Names that reach through a class into what lies behind it: `Module.forward.__globals__`. */
static bool is_chain(const char *module, const char *name) {
    return strchr(name, '.') || strstr(name, "__") ||
           (strstr(module, "__") && strcmp(module, "__main__") != 0 && strcmp(module, "__builtin__") != 0);
}

static bool is_harmless(const char *name) {
    for (size_t i = 0; i < sizeof harmful / sizeof harmful[0]; i++)
        if (has_prefix(name, harmful[i])) return false;
    for (size_t i = 0; i < sizeof harmless_modules / sizeof harmless_modules[0]; i++)
        if (has_prefix(name, harmless_modules[i])) return true;
    const char *builtin = has_prefix(name, "__builtin__.") ? name + 12
                          : has_prefix(name, "builtins.")  ? name + 9
                                                           : NULL;
    for (size_t i = 0; builtin && i < sizeof harmless_builtins / sizeof harmless_builtins[0]; i++)
        if (strcmp(builtin, harmless_builtins[i]) == 0) return true;
    return strcmp(name, "_codecs.encode") == 0; /* how numpy and Python 2 write bytes */
}

static sw_status refuse_code(const machine *m, const char *name) {
    return sw_fail(m->diag, SW_E_MODEL, m->label, "do not load it with Python either: it would run",
                   "the pickle tries to run code: it names '%.128s', which no checkpoint needs", name);
}

static bool is_getattr(const char *name) {
    return strcmp(name, "__builtin__.getattr") == 0 || strcmp(name, "builtins.getattr") == 0;
}

/* Called, a class of a user's own is only unknown; a function of the system is an attack. */
static sw_status refuse_name(const machine *m, const char *name) {
    static const char *const system[] = {"os.",        "posix.",       "nt.",       "subprocess.",
                                         "builtins.",  "__builtin__.", "sys.",      "shutil.",
                                         "socket.",    "runpy.",       "pty.",      "importlib.",
                                         "ctypes.",    "commands.",    "platform.", "webbrowser.",
                                         "code.",      "pickle.",      "_pickle.",  "marshal.",
                                         "types.",     "functools.",   "operator.", "asyncio.",
                                         "bdb.",       "pdb.",         "timeit.",   "tempfile.",
                                         "urllib.",    "requests.",    "http.",     "multiprocessing.",
                                         "pip.",       "pydoc.",       "doctest.",  "profile.",
                                         "cProfile.",  "imaplib.",     "smtplib.",  "ftplib.",
                                         "codeop.",    "linecache.",   "io.",       "_io.",
                                         "threading.", "itertools.",   "signal.",   "inspect.",
                                         "getattr",    "torch.",       "numpy."};
    if (has_prefix(name, "dill."))
        return sw_fail(m->diag, SW_E_UNSUPPORTED, m->label,
                       "save the model again with torch.save and its default pickle module",
                       "the file was written with dill ('%.128s'), which stores code", name);
    for (size_t i = 0; i < sizeof system / sizeof system[0]; i++)
        if (has_prefix(name, system[i])) return refuse_code(m, name);
    return sw_fail(m->diag, SW_E_UNSUPPORTED, m->label,
                   "Slipway reads checkpoints of Ultralytics and YOLOv5; export others to ONNX",
                   "the pickle contains '%.128s', a class that Slipway does not know", name);
}

/* ---- Stack, memo, records ------------------------------------------------------------------------------------------ */

static sw_pickle *record(machine *m, sw_pickle_type type) {
    sw_pickle *p = SW_ARENA_NEW(m->arena, sw_pickle);
    if (p) p->type = type;
    return p;
}

static sw_status push(machine *m, sw_pickle *p) {
    if (!p) return out_of_memory(m);
    if (sw_grow(NULL, (void **)&m->stack, &m->cap_stack, m->depth + 1, sizeof *m->stack, MAX_STACK) != SW_OK)
        return broken(m, "its stack grows too deep");
    m->stack[m->depth++] = p;
    return SW_OK;
}

/* Things above the last mark, or all when there is none. */
static size_t above_mark(const machine *m) {
    return m->depth - (m->n_marks ? m->marks[m->n_marks - 1] : 0);
}

static sw_status pop(machine *m, sw_pickle **p) {
    if (above_mark(m) == 0) return broken(m, "it takes more from the stack than there is");
    *p = m->stack[--m->depth];
    return SW_OK;
}

static sw_status top(machine *m, sw_pickle **p) {
    if (above_mark(m) == 0) return broken(m, "it takes more from the stack than there is");
    *p = m->stack[m->depth - 1];
    return SW_OK;
}

/* Removes the last mark: *items are the *n values above it, which stay in place until the next push. */
static sw_status pop_mark(machine *m, sw_pickle ***items, size_t *n) {
    if (m->n_marks == 0) return broken(m, "it refers to a mark that is not there");
    size_t mark = m->marks[--m->n_marks];
    *items = m->stack + mark;
    *n = m->depth - mark;
    m->depth = mark;
    return SW_OK;
}

static sw_status append(machine *m, sw_pickle ***list, size_t *n, size_t *cap, sw_pickle *const *more, size_t count) {
    if (*n + count > *cap) { /* in the arena: what is outgrown stays there, at most as much again */
        size_t fresh_cap = *n + count < 4 ? 4 : (*n + count) * 2;
        sw_pickle **fresh = SW_ARENA_ARRAY(m->arena, sw_pickle *, fresh_cap);
        if (!fresh) return out_of_memory(m);
        if (*n) memcpy(fresh, *list, *n * sizeof *fresh);
        *list = fresh;
        *cap = fresh_cap;
    }
    if (count) memcpy(*list + *n, more, count * sizeof *more);
    *n += count;
    return SW_OK;
}

static sw_status add_items(machine *m, sw_pickle *p, sw_pickle *const *items, size_t n) {
    if (p->type != SW_PICKLE_LIST && p->type != SW_PICKLE_OBJECT && p->type != SW_PICKLE_TUPLE &&
        p->type != SW_PICKLE_SET)
        return broken(m, "it appends to what is no list");
    return append(m, &p->items, &p->n_items, &p->cap_items, items, n);
}

static sw_status add_pairs(machine *m, sw_pickle *p, sw_pickle *const *pairs, size_t n) {
    if (p->type != SW_PICKLE_DICT && p->type != SW_PICKLE_OBJECT)
        return broken(m, "it sets keys of what is no dictionary");
    if (n % 2) return broken(m, "it sets a key without a value");
    return append(m, &p->pairs, &p->n_pairs, &p->cap_pairs, pairs, n);
}

static sw_status memo_put(machine *m, uint32_t index) {
    sw_pickle *p;
    SW_TRY(top(m, &p));
    if (index >= MAX_MEMO || index > m->n_memo + 4096)
        return broken(m, "it remembers under a number that is out of range");
    size_t old = m->cap_memo;
    if (sw_grow(NULL, (void **)&m->memo, &m->cap_memo, (size_t)index + 1, sizeof *m->memo, MAX_MEMO) != SW_OK)
        return out_of_memory(m);
    if (m->cap_memo > old) memset(m->memo + old, 0, (m->cap_memo - old) * sizeof *m->memo);
    m->memo[index] = p;
    if (index >= m->n_memo) m->n_memo = (size_t)index + 1;
    return SW_OK;
}

static sw_status memo_get(machine *m, uint32_t index) {
    if (index >= m->n_memo || !m->memo[index]) return broken(m, "it recalls what it never remembered");
    return push(m, m->memo[index]);
}

/* ---- Reading arguments --------------------------------------------------------------------------------------------- */

static bool take(machine *m, size_t n, const uint8_t **p) {
    if (m->size - m->at < n) return false;
    *p = m->bytes + m->at;
    m->at += n;
    return true;
}

static bool take_u32(machine *m, int bytes, uint32_t *value) {
    const uint8_t *p;
    if (!take(m, (size_t)bytes, &p)) return false;
    *value = 0;
    for (int i = 0; i < bytes; i++) *value |= (uint32_t)p[i] << (8 * i);
    return true;
}

/* Bytes up to a line feed, which is taken too. */
static bool take_line(machine *m, const char **text, size_t *length) {
    const uint8_t *start = m->bytes + m->at, *end = memchr(start, '\n', m->size - m->at);
    if (!end || end - start > 256) return false;
    *text = (const char *)start;
    *length = (size_t)(end - start);
    m->at += *length + 1;
    return true;
}

enum { NONE, FALSE, TRUE };

static sw_status push_constant(machine *m, int which) {
    sw_pickle *p = m->constants[which];
    if (!p) p = m->constants[which] = record(m, which == NONE ? SW_PICKLE_NONE : SW_PICKLE_BOOL);
    if (p && which == TRUE) {
        p->truth = true;
        p->number = 1;
    }
    return push(m, p);
}

static sw_status push_number(machine *m, sw_pickle_type type, int64_t number) {
    sw_pickle *p = record(m, type);
    if (p) {
        p->number = number;
        p->truth = number != 0;
    }
    return push(m, p);
}

static sw_status push_string(machine *m, int length_bytes) {
    uint32_t length;
    const uint8_t *text;
    if (!take_u32(m, length_bytes, &length) || length > MAX_STRING || !take(m, length, &text))
        return broken(m, "a string reaches past the end");
    sw_pickle *p = record(m, SW_PICKLE_STRING);
    if (p) {
        p->text = sw_arena_strndup(m->arena, (const char *)text, length);
        p->length = length;
        if (!p->text) p = NULL;
    }
    return push(m, p);
}

static sw_status push_float(machine *m) {
    const uint8_t *bytes;
    if (!take(m, 8, &bytes)) return broken(m, "a number reaches past the end");
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) bits = bits << 8 | bytes[i]; /* big endian, unlike the rest */
    sw_pickle *p = record(m, SW_PICKLE_FLOAT);
    if (p) memcpy(&p->real, &bits, sizeof p->real);
    return push(m, p);
}

/* LONG1: a two's complement number of up to 255 bytes; more than 8 do not occur in what we read. */
static sw_status push_long(machine *m) {
    uint32_t length;
    const uint8_t *bytes;
    if (!take_u32(m, 1, &length) || !take(m, length, &bytes)) return broken(m, "a number reaches past the end");
    uint64_t value = 0;
    for (uint32_t i = 0; i < length && i < 8; i++) value |= (uint64_t)bytes[i] << (8 * i);
    if (length && length < 8 && bytes[length - 1] & 0x80) value |= UINT64_MAX << (8 * length);
    return push_number(m, SW_PICKLE_INT, (int64_t)value);
}

static sw_status push_global(machine *m) {
    const char *module, *name;
    size_t module_length, name_length;
    if (!take_line(m, &module, &module_length) || !take_line(m, &name, &name_length))
        return broken(m, "a name has no end");
    sw_pickle *p = record(m, SW_PICKLE_GLOBAL);
    if (!p) return out_of_memory(m);
    p->text = sw_arena_printf(m->arena, "%.*s.%.*s", (int)module_length, module, (int)name_length, name);
    if (!p->text) return out_of_memory(m);
    p->length = strlen(p->text);
    const char *split = sw_arena_strndup(m->arena, module, module_length);
    if (!split) return out_of_memory(m);
    if (is_chain(split, p->text + module_length + 1)) return refuse_code(m, p->text);
    return is_harmless(p->text) || is_getattr(p->text) ? push(m, p) : refuse_name(m, p->text);
}

/* ---- Opcodes ------------------------------------------------------------------------------------------------------- */

static sw_status push_tuple(machine *m, sw_pickle *const *items, size_t n) {
    sw_pickle *p = record(m, SW_PICKLE_TUPLE);
    if (!p) return out_of_memory(m);
    SW_TRY(add_items(m, p, items, n));
    return push(m, p);
}

static sw_status tuple_of(machine *m, size_t n) {
    if (above_mark(m) < n) return broken(m, "it takes more from the stack than there is");
    m->depth -= n;
    sw_pickle *items[3];
    memcpy(items, m->stack + m->depth, n * sizeof *items);
    return push_tuple(m, items, n);
}

/* The arguments by which a fused module names its own `forward_fuse`; no other use of getattr is a checkpoint's. */
static bool is_forward(const sw_pickle *args) {
    return args->n_items == 2 && args->items[0]->type == SW_PICKLE_OBJECT && args->items[1]->type == SW_PICKLE_STRING &&
           has_prefix(args->items[1]->text, "forward");
}

/* REDUCE and NEWOBJ: class and arguments become a record. `set((...))` becomes a set. */
static sw_status construct(machine *m) {
    sw_pickle *args, *callee;
    SW_TRY(pop(m, &args));
    SW_TRY(pop(m, &callee));
    if (callee->type != SW_PICKLE_GLOBAL || args->type != SW_PICKLE_TUPLE)
        return broken(m, "it calls what is no class");
    if (is_getattr(callee->text) && !is_forward(args)) return refuse_code(m, callee->text);
    sw_pickle *p = record(m, SW_PICKLE_OBJECT);
    if (!p) return out_of_memory(m);
    p->text = callee->text;
    p->length = callee->length;
    p->args = args;
    return push(m, p);
}

static sw_status build(machine *m) {
    sw_pickle *state, *object;
    SW_TRY(pop(m, &state));
    SW_TRY(top(m, &object));
    if (object->type != SW_PICKLE_OBJECT) return broken(m, "it gives a state to what is no object");
    object->state = state;
    return SW_OK;
}

static sw_status persistent(machine *m) {
    sw_pickle *id, *p = record(m, SW_PICKLE_PERSISTENT);
    SW_TRY(pop(m, &id));
    if (p) p->args = id;
    return push(m, p);
}

/* SETITEM and APPEND: n values on the stack go into the thing below them. */
static sw_status add_last(machine *m, size_t n) {
    if (above_mark(m) < n + 1) return broken(m, "it takes more from the stack than there is");
    m->depth -= n;
    sw_pickle **values = m->stack + m->depth;
    return n == 2 ? add_pairs(m, values[-1], values, n) : add_items(m, values[-1], values, n);
}

static sw_status add_marked(machine *m, bool pairs) {
    sw_pickle **values, *target;
    size_t n;
    SW_TRY(pop_mark(m, &values, &n));
    SW_TRY(top(m, &target));
    return pairs ? add_pairs(m, target, values, n) : add_items(m, target, values, n);
}

static sw_status mark(machine *m) {
    if (sw_grow(NULL, (void **)&m->marks, &m->cap_marks, m->n_marks + 1, sizeof *m->marks, MAX_DEPTH_MARKS) != SW_OK)
        return broken(m, "it nests too deep");
    m->marks[m->n_marks++] = m->depth;
    return SW_OK;
}

static sw_status protocol(machine *m) {
    uint32_t version;
    if (!take_u32(m, 1, &version)) return broken(m, "it ends too early");
    if (version <= 5) return SW_OK;
    return sw_fail(m->diag, SW_E_UNSUPPORTED, m->label, NULL, "the pickle has protocol %u, which does not exist yet",
                   version);
}

static sw_status refuse_opcode(const machine *m, uint8_t op) {
    return sw_fail(m->diag, SW_E_UNSUPPORTED, m->label, "save the model with torch.save and its default protocol",
                   "the pickle has opcode 0x%02x at byte %zu, which torch.save does not write", op, m->op_at);
}

static sw_status memo_index(machine *m, int bytes, bool get) {
    uint32_t index;
    if (!take_u32(m, bytes, &index)) return broken(m, "it ends too early");
    return get ? memo_get(m, index) : memo_put(m, index);
}

static sw_status push_int(machine *m, int bytes) {
    uint32_t value;
    if (!take_u32(m, bytes, &value)) return broken(m, "a number reaches past the end");
    return push_number(m, SW_PICKLE_INT, bytes == 4 ? (int32_t)value : (int64_t)value);
}

static sw_status tuple_of_marked(machine *m) {
    sw_pickle **items;
    size_t n;
    SW_TRY(pop_mark(m, &items, &n));
    return push_tuple(m, items, n);
}

static sw_status stop(machine *m) {
    sw_pickle *p;
    SW_TRY(pop(m, &p));
    if (m->depth || m->n_marks) return broken(m, "it ends with values left on the stack");
    m->result = p;
    return SW_OK;
}

static sw_status run_opcode(machine *m, uint8_t op) {
    switch (op) {
    case 0x80:
        return protocol(m);
    case '(':
        return mark(m);
    case '.':
        return stop(m);
    case 'N':
        return push_constant(m, NONE);
    case 0x88:
        return push_constant(m, TRUE);
    case 0x89:
        return push_constant(m, FALSE);
    case 'J':
        return push_int(m, 4);
    case 'K':
        return push_int(m, 1);
    case 'M':
        return push_int(m, 2);
    case 0x8a:
        return push_long(m);
    case 'G':
        return push_float(m);
    case 'X':
        return push_string(m, 4);
    case 'U':
        return push_string(m, 1);
    case ']':
        return push(m, record(m, SW_PICKLE_LIST));
    case '}':
        return push(m, record(m, SW_PICKLE_DICT));
    case 0x8f:
        return push(m, record(m, SW_PICKLE_SET));
    case ')':
        return push(m, record(m, SW_PICKLE_TUPLE));
    case 0x85:
        return tuple_of(m, 1);
    case 0x86:
        return tuple_of(m, 2);
    case 0x87:
        return tuple_of(m, 3);
    case 't':
        return tuple_of_marked(m);
    case 'a':
        return add_last(m, 1);
    case 's':
        return add_last(m, 2);
    case 'e':
        return add_marked(m, false);
    case 'u':
        return add_marked(m, true);
    case 'q':
        return memo_index(m, 1, false);
    case 'r':
        return memo_index(m, 4, false);
    case 'h':
        return memo_index(m, 1, true);
    case 'j':
        return memo_index(m, 4, true);
    case 'c':
        return push_global(m);
    case 'R':
    case 0x81:
        return construct(m);
    case 'b':
        return build(m);
    case 'Q':
        return persistent(m);
    default:
        return refuse_opcode(m, op);
    }
}

sw_status sw_pickle_read(const void *bytes, size_t size, const char *label, sw_arena *arena, const sw_diag *diag,
                         const sw_pickle **root) {
    machine m = {.bytes = bytes, .size = size, .label = label, .arena = arena, .diag = diag};
    if (size > MAX_PICKLE_BYTES)
        return sw_fail(diag, SW_E_LIMIT, label, NULL, "the pickle has %zu bytes; at most %d are read", size,
                       MAX_PICKLE_BYTES);
    /* From the start, so that no position on an empty stack is a sum with a null pointer. */
    if (sw_grow(NULL, (void **)&m.stack, &m.cap_stack, 1, sizeof *m.stack, MAX_STACK) != SW_OK) return out_of_memory(&m);
    sw_status status = SW_OK;
    while (status == SW_OK && !m.result) {
        m.op_at = m.at;
        status = m.at < size ? run_opcode(&m, m.bytes[m.at++]) : broken(&m, "it ends too early");
    }
    *root = m.result;
    sw_free(NULL, m.stack);
    sw_free(NULL, m.marks);
    sw_free(NULL, m.memo);
    return status;
}

/* ---- Looking things up --------------------------------------------------------------------------------------------- */

static const sw_pickle *find_pair(const sw_pickle *p, const char *key) {
    size_t n = p->n_pairs < 2 * SW_PICKLE_MAX_KEYS ? p->n_pairs : 2 * SW_PICKLE_MAX_KEYS;
    for (size_t i = 0; i + 1 < n; i += 2)
        if (p->pairs[i]->type == SW_PICKLE_STRING && strcmp(p->pairs[i]->text, key) == 0) return p->pairs[i + 1];
    return NULL;
}

const sw_pickle *sw_pickle_get(const sw_pickle *p, const char *key) {
    if (!p) return NULL;
    const sw_pickle *found = find_pair(p, key);
    if (!found && p->type == SW_PICKLE_OBJECT && p->state) found = find_pair(p->state, key);
    return found;
}

bool sw_pickle_is(const sw_pickle *p, const char *name) {
    return p && (p->type == SW_PICKLE_OBJECT || p->type == SW_PICKLE_GLOBAL) && strcmp(p->text, name) == 0;
}
