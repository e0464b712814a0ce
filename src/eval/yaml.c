#include "eval/yaml.h"

#include <string.h>
#include <yaml.h>

#include "base/os.h"
#include "base/str.h"

enum { MAX_DEPTH = 64, MAX_ITEMS = 65536 };

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool held; /* the event has to be deleted */
    const char *where;
    sw_arena *arena;
    const sw_diag *diag;
} reader;

static sw_status fail(const reader *r, const char *what) {
    return sw_fail(r->diag, SW_E_INPUT, r->where, NULL, "line %zu, column %zu: %s", r->event.start_mark.line + 1,
                   r->event.start_mark.column + 1, what);
}

static sw_status next(reader *r) {
    if (r->held) yaml_event_delete(&r->event);
    r->held = yaml_parser_parse(&r->parser, &r->event);
    if (r->held) return SW_OK;
    if (r->parser.error == YAML_MEMORY_ERROR) return SW_E_NOMEM;
    return sw_fail(r->diag, SW_E_INPUT, r->where, NULL, "line %zu, column %zu: this is no YAML: %s",
                   r->parser.problem_mark.line + 1, r->parser.problem_mark.column + 1,
                   r->parser.problem ? r->parser.problem : "broken");
}

/* Skips the rest of the value whose first event is at hand. */
static sw_status skip(reader *r) {
    int depth = 0;
    for (;;) {
        yaml_event_type_t type = r->event.type;
        if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT) depth++;
        if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT) depth--;
        if (depth > MAX_DEPTH) return fail(r, "nested too deep");
        if (depth <= 0) return SW_OK;
        SW_TRY(next(r));
    }
}

static bool is_scalar(const reader *r) {
    return r->event.type == YAML_SCALAR_EVENT;
}
static const char *text_of(const reader *r) {
    return (const char *)r->event.data.scalar.value;
}

static sw_status copy_text(reader *r, const char **text) {
    *text = sw_arena_strdup(r->arena, text_of(r));
    return *text ? SW_OK : SW_E_NOMEM;
}

/* A text, or a sequence of texts; empty and null are none. */
static sw_status read_list(reader *r, sw__yaml_list *list) {
    if (is_scalar(r)) {
        const char *text = text_of(r);
        if (!*text || !strcmp(text, "null") || !strcmp(text, "~")) return SW_OK;
        list->items = SW_ARENA_ARRAY(r->arena, const char *, 1);
        list->n = 1;
        return list->items ? copy_text(r, &list->items[0]) : SW_E_NOMEM;
    }
    if (r->event.type != YAML_SEQUENCE_START_EVENT) return fail(r, "expected a path or a list of paths");
    list->items = SW_ARENA_ARRAY(r->arena, const char *, MAX_ITEMS);
    if (!list->items) return SW_E_NOMEM;
    for (;;) {
        SW_TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return SW_OK;
        if (!is_scalar(r)) return fail(r, "expected a path");
        if (list->n == MAX_ITEMS) return fail(r, "too many paths");
        SW_TRY(copy_text(r, &list->items[list->n++]));
    }
}

/* names: a sequence, or a mapping of numbers to names. */
static sw_status read_names(reader *r, sw__data_yaml *yaml) {
    bool mapping = r->event.type == YAML_MAPPING_START_EVENT;
    if (!mapping && r->event.type != YAML_SEQUENCE_START_EVENT)
        return fail(r, "names: expected a list, or numbers with names");
    yaml->names = SW_ARENA_ARRAY(r->arena, sw_category_name, SW_DATASET_MAX_CATEGORIES);
    if (!yaml->names) return SW_E_NOMEM;
    for (;;) {
        int64_t id = (int64_t)yaml->n_names;
        SW_TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT || r->event.type == YAML_MAPPING_END_EVENT) break;
        if (mapping) {
            if (!is_scalar(r) || !sw_str_to_i64(text_of(r), strlen(text_of(r)), &id))
                return fail(r, "names: expected a number");
            SW_TRY(next(r));
        }
        if (!is_scalar(r)) return fail(r, "names: expected a name");
        if (id < 0 || id >= SW_DATASET_MAX_CATEGORIES) return fail(r, "names: a number out of range");
        SW_TRY(copy_text(r, &yaml->names[id].name));
        if ((size_t)id >= yaml->n_names) yaml->n_names = (size_t)id + 1;
    }
    for (size_t i = 0; i < yaml->n_names; i++) yaml->names[i].id = (int64_t)i;
    return SW_OK;
}

/* kpt_shape: [points, values]. */
static sw_status read_points(reader *r, sw__data_yaml *yaml) {
    int64_t values[2];
    for (int i = 0; i < 2; i++) {
        if (!i && r->event.type != YAML_SEQUENCE_START_EVENT) return fail(r, "kpt_shape: expected [points, 2 or 3]");
        SW_TRY(next(r));
        if (!is_scalar(r) || !sw_str_to_i64(text_of(r), strlen(text_of(r)), &values[i]))
            return fail(r, "kpt_shape: expected [points, 2 or 3]");
    }
    SW_TRY(next(r));
    if (r->event.type != YAML_SEQUENCE_END_EVENT || values[0] < 1 || values[0] > SW_EVAL_MAX_POINTS ||
        (values[1] != 2 && values[1] != 3))
        return fail(r, "kpt_shape: expected [points, 2 or 3]");
    yaml->n_points = (int)values[0];
    yaml->point_values = (int)values[1];
    return SW_OK;
}

static sw_status read_key(reader *r, sw__data_yaml *yaml) {
    static const char *const keys[] = {"val", "test", "train"};
    if (!is_scalar(r)) return fail(r, "expected a key");
    int split = -1;
    for (int i = 0; i < 3; i++)
        if (!strcmp(text_of(r), keys[i])) split = i;
    bool is_path = !strcmp(text_of(r), "path"), is_names = !strcmp(text_of(r), "names"),
         is_points = !strcmp(text_of(r), "kpt_shape");
    SW_TRY(next(r));
    if (split >= 0) return read_list(r, &yaml->splits[split]);
    if (is_names) return read_names(r, yaml);
    if (is_points) return read_points(r, yaml);
    if (is_path && is_scalar(r)) return *text_of(r) ? copy_text(r, &yaml->path) : SW_OK;
    return skip(r);
}

static sw_status read_document(reader *r, sw__data_yaml *yaml) {
    do SW_TRY(next(r));
    while (r->event.type == YAML_STREAM_START_EVENT || r->event.type == YAML_DOCUMENT_START_EVENT);
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return fail(r, "this is no dataset: expected keys such as path, val, names");
    for (;;) {
        SW_TRY(next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return SW_OK;
        SW_TRY(read_key(r, yaml));
    }
}

sw_status sw__yaml_parse(const void *text, size_t size, const char *where, sw_arena *arena, const sw_diag *diag,
                         sw__data_yaml *yaml) {
    reader r = {.where = where, .arena = arena, .diag = diag};
    *yaml = (sw__data_yaml){0};
    if (!yaml_parser_initialize(&r.parser)) return SW_E_NOMEM;
    yaml_parser_set_input_string(&r.parser, text, size);
    sw_status status = read_document(&r, yaml);
    if (r.held) yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    return status;
}

sw_status sw__yaml_read(const char *path, sw_arena *arena, const sw_diag *diag, sw__data_yaml *yaml) {
    sw_map map;
    SW_TRY(sw_map_open(path, diag, &map));
    sw_status status = sw__yaml_parse(map.data, map.size, path, arena, diag, yaml);
    sw_map_close(&map);
    return status;
}
