/* metadata.yaml of Ultralytics: each entry of its map becomes one of the graph, the value as a Python literal, as in ONNX. */
#include <string.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/str.h"
#include "import/openvino/model.h"

enum { MAX_DEPTH = 16, MAX_EVENTS = 1 << 20 };

typedef struct reader {
    yaml_parser_t parser;
    int depth, events;
    sw_status status; /* of the reading */
} reader;

/* The next event; the caller deletes it. False: the text is broken, or too large. */
static bool next(reader *r, yaml_event_t *event) {
    if (r->status != SW_OK) return false;
    if (++r->events > MAX_EVENTS)
        r->status = SW_E_LIMIT;
    else if (!yaml_parser_parse(&r->parser, event))
        r->status = SW_E_INPUT;
    return r->status == SW_OK;
}

static void put_quoted(sw_buf *buf, const char *text) {
    sw_buf_append_byte(buf, '\'');
    for (const char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '\'' || c == '\\')
            sw_buf_printf(buf, "\\%c", c);
        else if (c < 0x20)
            sw_buf_printf(buf, "\\x%02x", c);
        else
            sw_buf_append_byte(buf, c);
    }
    sw_buf_append_byte(buf, '\'');
}

/* Plain scalars are numbers, truth values or null where they look so. `raw`: a text stands without quotes. */
static void put_scalar(sw_buf *buf, const yaml_event_t *event, bool raw) {
    static const char *const words[][2] = {
        {"true", "True"}, {"false", "False"}, {"null", "None"}, {"~", "None"}, {"", "None"}};
    const char *text = (const char *)event->data.scalar.value;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    double number;
    for (size_t i = 0; plain && i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i][0])) {
            sw_buf_append_text(buf, words[i][1]);
            return;
        }
    if (raw || (plain && sw_str_to_f64(text, strlen(text), &number)))
        sw_buf_append_text(buf, text);
    else
        put_quoted(buf, text);
}

static void put_value(reader *r, sw_buf *buf, const yaml_event_t *first, bool raw);

/* Items up to the end event; of a map, keys and values in turn. */
static void put_items(reader *r, sw_buf *buf, bool map) {
    yaml_event_t event;
    if (++r->depth > MAX_DEPTH) r->status = SW_E_LIMIT;
    sw_buf_append_byte(buf, map ? '{' : '[');
    for (int n = 0; next(r, &event); n++) {
        bool over = event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        if (!over && n) sw_buf_append_text(buf, map && n % 2 ? ": " : ", ");
        if (!over) put_value(r, buf, &event, false);
        yaml_event_delete(&event);
        if (over) break;
    }
    sw_buf_append_byte(buf, map ? '}' : ']');
    r->depth--;
}

static void put_value(reader *r, sw_buf *buf, const yaml_event_t *first, bool raw) {
    if (first->type == YAML_SCALAR_EVENT)
        put_scalar(buf, first, raw);
    else if (first->type == YAML_SEQUENCE_START_EVENT || first->type == YAML_MAPPING_START_EVENT)
        put_items(r, buf, first->type == YAML_MAPPING_START_EVENT);
    else
        r->status = SW_E_INPUT; /* aliases, and what else may stand in YAML */
}

/* Skips to the first event of the map; false when the text is something else. */
static bool open_map(reader *r) {
    yaml_event_t event;
    while (next(r, &event)) {
        yaml_event_type_t type = event.type;
        yaml_event_delete(&event);
        if (type == YAML_MAPPING_START_EVENT) return true;
        if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT) return false;
    }
    return false;
}

static sw_status read_entries(reader *r, sw_graph *graph) {
    yaml_event_t key, value;
    while (next(r, &key)) {
        if (key.type != YAML_SCALAR_EVENT) {
            bool over = key.type == YAML_MAPPING_END_EVENT;
            yaml_event_delete(&key);
            return over ? SW_OK : SW_E_INPUT;
        }
        sw_buf buf = sw_buf_make(graph->allocator, 16u << 20);
        if (next(r, &value)) {
            put_value(r, &buf, &value, true);
            yaml_event_delete(&value);
        }
        sw_status status = r->status != SW_OK ? r->status : buf.status;
        if (status == SW_OK) status = sw_graph_set_meta(graph, (const char *)key.data.scalar.value, sw_buf_text(&buf));
        sw_buf_free(&buf);
        yaml_event_delete(&key);
        SW_TRY(status);
    }
    return r->status;
}

sw_status sw__ovin_read_metadata(sw_graph *graph, const void *yaml, size_t size, const char *where,
                                 const sw_diag *diag) {
    reader r = {0};
    if (!yaml_parser_initialize(&r.parser)) return sw_fail(diag, SW_E_NOMEM, where, NULL, "out of memory");
    yaml_parser_set_input_string(&r.parser, yaml ? yaml : (const void *)"", size);
    sw_status status = open_map(&r) ? read_entries(&r, graph) : SW_E_INPUT;
    size_t line = r.parser.problem_mark.line;
    yaml_parser_delete(&r.parser);
    if (status == SW_OK) return SW_OK;
    if (status == SW_E_NOMEM) return sw_fail(diag, status, where, NULL, "out of memory");
    return sw_fail(diag, status == SW_E_INPUT ? SW_E_MODEL : status, where, NULL,
                   "line %zu: no map of plain values, as Ultralytics writes it", line + 1);
}
