#include "serve/config/tree.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/pb.h"
#include "base/str.h"

sw__message *sw__message_create(sw_arena *arena, const sw__type *type) {
    sw__message *message = SW_ARENA_NEW(arena, sw__message);
    if (message) message->type = type;
    return message;
}

const sw__field *sw__type_field(const sw__type *type, const char *name) {
    for (size_t i = 0; i < type->n; i++)
        if (strcmp(type->fields[i].name, name) == 0) return &type->fields[i];
    return NULL;
}

static sw__node *append(sw_arena *arena, sw__message *message, const sw__field *field) {
    sw__node *node = SW_ARENA_NEW(arena, sw__node);
    if (!node) return NULL;
    node->field = field;
    if (field->kind == SW__STRING) node->text = "";
    if (message->last)
        message->last->next = node;
    else
        message->first = node;
    return message->last = node;
}

sw__node *sw__message_add(sw_arena *arena, sw__message *message, const char *name) {
    const sw__field *field = sw__type_field(message->type, name);
    sw__node *node = append(arena, message, field);
    if (node && field->kind == SW__MESSAGE && !(node->message = sw__message_create(arena, field->message))) return NULL;
    return node;
}

static const sw__node *first_of(const sw__node *node, const sw__field *field) {
    while (node && node->field != field) node = node->next;
    return node;
}

const sw__node *sw__message_get(const sw__message *message, const char *name) {
    return message ? first_of(message->first, sw__type_field(message->type, name)) : NULL;
}

const sw__node *sw__node_next(const sw__node *node) {
    return first_of(node->next, node->field);
}

void sw__message_clear(sw__message *message, const char *name) {
    const sw__field *field = sw__type_field(message->type, name);
    sw__node *node = message->first;
    message->first = message->last = NULL;
    for (; node; node = node->next) {
        if (node->field == field) continue;
        if (message->last)
            message->last->next = node;
        else
            message->first = node;
        message->last = node;
    }
    if (message->last) message->last->next = NULL;
}

int64_t sw__message_int(const sw__message *message, const char *name) {
    const sw__node *node = sw__message_get(message, name);
    if (!node) return 0;
    return (node->field->kind == SW__UINT32 || node->field->kind == SW__UINT64) && node->u > INT64_MAX ? INT64_MAX
                                                                                                       : node->i;
}

bool sw__message_bool(const sw__message *message, const char *name) {
    const sw__node *node = sw__message_get(message, name);
    return node && node->boolean;
}

const char *sw__message_text(const sw__message *message, const char *name) {
    const sw__node *node = sw__message_get(message, name);
    return node ? node->text : "";
}

const sw__message *sw__message_of(const sw__message *message, const char *name) {
    const sw__node *node = sw__message_get(message, name);
    return node ? node->message : NULL;
}

static const char *enum_name(const sw__enum *values, int64_t number) {
    for (; values->name; values++)
        if (values->number == number) return values->name;
    return NULL;
}

/* -- For the readers ------------------------------------------------------------------------------------------------- */

sw_status sw__source_fail(const sw__source *source, int line, int column, const char *hint, const char *fmt, ...) {
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return sw_fail(source->diag, SW_E_MODEL, source->where, hint, "line %d, column %d: %s", line, column, text);
}

sw_status sw__source_field(const sw__source *source, const sw__type *type, const char *name, int line, int column,
                           const sw__field **field) {
    if ((*field = sw__type_field(type, name))) return SW_OK;
    enum { MOST = 32 };
    const char *names[MOST], *nearest;
    size_t n = 0;
    for (; n < type->n && n < MOST; n++) names[n] = type->fields[n].name;
    nearest = sw_str_nearest(name, names, n);
    char hint[100];
    snprintf(hint, sizeof hint, "did you mean %s?", nearest ? nearest : "");
    return sw__source_fail(source, line, column,
                           nearest ? hint : "remove it: a model configuration has no such key here",
                           "unknown key \"%.100s\"", name);
}

sw_status sw__message_place(const sw__source *source, sw__message *message, const sw__field *field, int line,
                            int column, sw__node **node) {
    bool many = field->repeated || field->map;
    for (const sw__node *other = message->first; other && !many; other = other->next) {
        if (other->field == field)
            return sw__source_fail(source, line, column, NULL, "%s is given twice; first in line %d", field->name,
                                   other->line);
        if (field->choice && other->field->choice == field->choice)
            return sw__source_fail(source, line, column, "keep one of them", "%s excludes %s of line %d", field->name,
                                   other->field->name, other->line);
    }
    if (!(*node = append(source->arena, message, field)))
        return sw_fail(source->diag, SW_E_NOMEM, source->where, NULL, "out of memory");
    (*node)->line = line;
    (*node)->column = column;
    return SW_OK;
}

sw_status sw__source_integer(const sw__source *source, sw__node *node, bool negative, uint64_t magnitude) {
    uint64_t least = 0, most = UINT64_MAX; /* magnitudes, below and above zero */
    switch (node->field->kind) {
    case SW__INT32:
    case SW__ENUM:
        least = (uint64_t)INT32_MAX + 1;
        most = INT32_MAX;
        break;
    case SW__INT64:
        least = (uint64_t)INT64_MAX + 1;
        most = INT64_MAX;
        break;
    case SW__UINT32:
        most = UINT32_MAX;
        break;
    default:
        break;
    }
    if (magnitude > (negative ? least : most))
        return sw__source_fail(source, node->line, node->column, NULL, "%s%" PRIu64 " does not fit %s",
                               negative ? "-" : "", magnitude, node->field->name);
    node->u = negative ? -magnitude : magnitude;
    return SW_OK;
}

sw_status sw__source_enum(const sw__source *source, sw__node *node, const char *name) {
    enum { MOST = 32 };
    const char *names[MOST];
    size_t n = 0;
    for (const sw__enum *value = node->field->values; value->name; value++) {
        if (strcmp(value->name, name) == 0) {
            node->i = value->number;
            return SW_OK;
        }
        if (n < MOST) names[n++] = value->name;
    }
    char list[300];
    size_t at = 0;
    for (size_t i = 0; i < n && at < sizeof list - 1; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? " " : "it is one of: ", names[i]);
    return sw__source_fail(source, node->line, node->column, list, "%s cannot be \"%.100s\"", node->field->name, name);
}

static bool is_default(const sw__node *node) {
    switch (node->field->kind) {
    case SW__STRING:
        return !*node->text;
    case SW__FLOAT:
    case SW__DOUBLE:
        return node->f == 0;
    case SW__BOOL:
        return !node->boolean;
    case SW__MESSAGE:
        for (const sw__node *inner = node->message->first; inner; inner = inner->next)
            if (!is_default(inner)) return false;
        return true;
    default:
        return node->u == 0;
    }
}

sw_status sw__message_check_use(const sw__message *message, const sw__source *source) {
    for (const sw__node *node = message->first; node; node = node->next) {
        const sw__field *field = node->field;
        if (field->use != SW__USED && is_default(node)) continue;
        if (field->use == SW__REFUSED)
            return sw_fail(source->diag, SW_E_UNSUPPORTED, source->where, field->advice,
                           "line %d, column %d: %s is not supported", node->line, node->column, field->name);
        if (field->use == SW__IGNORED && first_of(message->first, field) == node)
            sw_warn(source->diag, source->where, "line %d, column %d: %s has no effect: %s", node->line, node->column,
                    field->name, field->advice);
        if (field->kind == SW__MESSAGE && field->use == SW__USED) SW_TRY(sw__message_check_use(node->message, source));
    }
    return SW_OK;
}

/* -- Writing --------------------------------------------------------------------------------------------------------- */

/* `node` NULL: the default. */
static void write_value(const sw__field *field, const sw__node *node, sw_json_writer *w) {
    switch (field->kind) {
    case SW__BOOL:
        sw_json_bool(w, node && node->boolean);
        break;
    case SW__FLOAT:
    case SW__DOUBLE:
        if (node && !isfinite(node->f))
            sw_json_string(w, isnan(node->f) ? "NaN" : node->f > 0 ? "Infinity" : "-Infinity");
        else
            sw_json_f64(w, node ? node->f : 0);
        break;
    case SW__STRING:
        sw_json_string(w, node ? node->text : "");
        break;
    case SW__ENUM: {
        const char *name = enum_name(field->values, node ? node->i : 0);
        if (name)
            sw_json_string(w, name);
        else
            sw_json_int(w, node->i);
        break;
    }
    case SW__MESSAGE:
        sw__message_json(node->message, w);
        break;
    case SW__UINT32:
    case SW__UINT64:
        sw_json_int(w, node && node->u <= INT64_MAX ? node->i : node ? INT64_MAX : 0);
        break;
    case SW__INT32:
    case SW__INT64:
        sw_json_int(w, node ? node->i : 0);
        break;
    }
}

static void write_map(const sw__node *node, sw_json_writer *w) {
    sw_json_object(w);
    for (; node; node = sw__node_next(node)) {
        const sw__field *key = sw__type_field(node->message->type, "key"),
                        *value = sw__type_field(node->message->type, "value");
        const sw__node *held = sw__message_get(node->message, "value");
        char number[24];
        snprintf(number, sizeof number, "%" PRId64, sw__message_int(node->message, "key"));
        sw_json_key(w, key->kind == SW__STRING ? sw__message_text(node->message, "key") : number);
        if (!held && value->kind == SW__MESSAGE)
            sw__message_json(&(sw__message){.type = value->message}, w);
        else
            write_value(value, held, w);
    }
    sw_json_object_end(w);
}

void sw__message_json(const sw__message *message, sw_json_writer *w) {
    sw_json_object(w);
    for (size_t i = 0; i < message->type->n; i++) {
        const sw__field *field = &message->type->fields[i];
        const sw__node *node = first_of(message->first, field);
        bool many = field->repeated || field->map;
        if (!node && !many && (field->kind == SW__MESSAGE || field->choice)) continue;
        sw_json_key(w, field->name);
        if (field->map) {
            write_map(node, w);
        } else if (field->repeated) {
            sw_json_array(w);
            for (; node; node = sw__node_next(node)) write_value(field, node, w);
            sw_json_array_end(w);
        } else {
            write_value(field, node, w);
        }
    }
    sw_json_object_end(w);
}

void sw__message_wire(const sw__message *message, sw_buf *buf) {
    for (const sw__node *node = message->first; node; node = node->next) {
        uint32_t number = (uint32_t)node->field->number;
        switch (node->field->kind) {
        case SW__MESSAGE: {
            sw_buf inner = sw_buf_make(buf->allocator, SW__MAX_CONFIG);
            sw__message_wire(node->message, &inner);
            sw_pb_put_bytes(buf, number, inner.data, inner.size);
            if (inner.status != SW_OK && buf->status == SW_OK) buf->status = inner.status;
            sw_buf_free(&inner);
            break;
        }
        case SW__STRING:
            sw_pb_put_text(buf, number, node->text);
            break;
        case SW__FLOAT:
            sw_pb_put_float(buf, number, (float)node->f);
            break;
        case SW__DOUBLE: {
            uint64_t bits;
            memcpy(&bits, &node->f, sizeof bits);
            sw_pb_put_fixed64(buf, number, bits);
            break;
        }
        case SW__BOOL:
            sw_pb_put_varint(buf, number, node->boolean);
            break;
        default: /* negative numbers are sign-extended to 64 bits, as the format asks for */
            sw_pb_put_varint(buf, number, node->u);
        }
    }
}
