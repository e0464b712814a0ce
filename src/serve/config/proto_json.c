/* ProtoJSON: configurations that come over the API. Names as in the .proto; 64-bit numbers also as texts. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "serve/config/tree.h"

typedef struct reader {
    sw_json_reader json;
    const sw__source *source;
} reader;

static sw_status read_message(reader *r, const sw__type *type, sw__message **message);

static sw_status out_of_memory(const reader *r) {
    return sw_fail(r->source->diag, SW_E_NOMEM, r->source->where, NULL, "out of memory");
}

static sw_status wrong(const reader *r, const sw_json_event *e, const sw__field *field, const char *expected) {
    return sw__source_fail(r->source, e->line, e->column, NULL, "%s must be %s", field->name, expected);
}

static sw_status read_integer(reader *r, const sw_json_event *e, sw__node *node) {
    int64_t value = e->integer;
    bool fits = e->type == SW_JSON_NUMBER && e->is_integer;
    if (e->type == SW_JSON_STRING) fits = sw_str_to_i64(e->text, e->length, &value);
    if (!fits) return wrong(r, e, node->field, "a whole number");
    return sw__source_integer(r->source, node, value < 0, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static sw_status read_float(reader *r, const sw_json_event *e, sw__node *node) {
    node->f = e->number;
    if (e->type == SW_JSON_NUMBER) return SW_OK;
    bool text = e->type == SW_JSON_STRING;
    if (text && strcmp(e->text, "NaN") == 0)
        node->f = NAN;
    else if (text && (strcmp(e->text, "Infinity") == 0 || strcmp(e->text, "-Infinity") == 0))
        node->f = *e->text == '-' ? -INFINITY : INFINITY;
    else
        return wrong(r, e, node->field, "a number");
    return SW_OK;
}

static sw_status read_value(reader *r, const sw_json_event *e, sw__node *node) {
    const sw__field *field = node->field;
    switch (field->kind) {
    case SW__BOOL:
        if (e->type != SW_JSON_BOOL) return wrong(r, e, field, "true or false");
        node->boolean = e->boolean;
        return SW_OK;
    case SW__FLOAT:
    case SW__DOUBLE:
        return read_float(r, e, node);
    case SW__STRING:
        if (e->type != SW_JSON_STRING || strlen(e->text) != e->length) return wrong(r, e, field, "a text");
        node->text = sw_arena_strndup(r->source->arena, e->text, e->length);
        return node->text ? SW_OK : out_of_memory(r);
    case SW__MESSAGE:
        if (e->type != SW_JSON_OBJECT) return wrong(r, e, field, "an object");
        return read_message(r, field->message, &node->message);
    case SW__ENUM:
        if (e->type == SW_JSON_STRING) return sw__source_enum(r->source, node, e->text);
        return read_integer(r, e, node);
    default:
        return read_integer(r, e, node);
    }
}

/* A value of a field, or the values of a list. */
static sw_status read_values(reader *r, sw__message *message, const sw__field *field) {
    sw_json_event e;
    sw__node *node;
    SW_TRY(sw_json_next(&r->json, &e));
    if (e.type == SW_JSON_NULL) return SW_OK;
    if (!field->repeated) {
        SW_TRY(sw__message_place(r->source, message, field, e.line, e.column, &node));
        return read_value(r, &e, node);
    }
    if (e.type != SW_JSON_ARRAY) return wrong(r, &e, field, "an array");
    for (;;) {
        SW_TRY(sw_json_next(&r->json, &e));
        if (e.type == SW_JSON_ARRAY_END) return SW_OK;
        SW_TRY(sw__message_place(r->source, message, field, e.line, e.column, &node));
        SW_TRY(read_value(r, &e, node));
    }
}

static sw_status read_key(reader *r, const sw_json_event *e, sw__message *entry) {
    sw__node *key;
    SW_TRY(sw__message_place(r->source, entry, sw__type_field(entry->type, "key"), e->line, e->column, &key));
    sw_json_event text = *e;
    text.type = SW_JSON_STRING;
    return read_value(r, &text, key);
}

static sw_status read_map(reader *r, sw__message *message, const sw__field *field) {
    sw_json_event e;
    SW_TRY(sw_json_next(&r->json, &e));
    if (e.type == SW_JSON_NULL) return SW_OK;
    if (e.type != SW_JSON_OBJECT) return wrong(r, &e, field, "an object");
    for (;;) {
        SW_TRY(sw_json_next(&r->json, &e));
        if (e.type == SW_JSON_OBJECT_END) return SW_OK;
        sw__node *node;
        SW_TRY(sw__message_place(r->source, message, field, e.line, e.column, &node));
        if (!(node->message = sw__message_create(r->source->arena, field->message))) return out_of_memory(r);
        SW_TRY(read_key(r, &e, node->message));
        SW_TRY(read_values(r, node->message, sw__type_field(field->message, "value")));
    }
}

/* After the opening brace, to the closing one. */
static sw_status read_message(reader *r, const sw__type *type, sw__message **result) {
    sw__message *message = *result = sw__message_create(r->source->arena, type);
    if (!message) return out_of_memory(r);
    sw_json_event e;
    for (;;) {
        SW_TRY(sw_json_next(&r->json, &e));
        if (e.type == SW_JSON_OBJECT_END) return SW_OK;
        const sw__field *field;
        SW_TRY(sw__source_field(r->source, type, e.text, e.line, e.column, &field));
        SW_TRY(field->map ? read_map(r, message, field) : read_values(r, message, field));
    }
}

sw_status sw__proto_json_parse(const char *text, size_t size, const sw__type *type, const sw__source *source,
                               sw__message **message) {
    if (size > SW__MAX_CONFIG)
        return sw_fail(source->diag, SW_E_LIMIT, source->where, NULL, "a configuration has at most %d bytes",
                       SW__MAX_CONFIG);
    reader r = {.source = source};
    sw_json_event e;
    sw_json_reader_init(&r.json, text, size, NULL, source->where, source->diag);
    sw_status status = sw_json_next(&r.json, &e);
    if (status == SW_OK && e.type != SW_JSON_OBJECT)
        status = sw__source_fail(source, e.line, e.column, NULL, "a configuration is an object");
    if (status == SW_OK) status = read_message(&r, type, message);
    if (status == SW_OK) status = sw_json_next(&r.json, &e); /* the end, or what stands behind it */
    sw_json_reader_free(&r.json);
    return status;
}
