/* Metadata out of Python literals. YAML as Ultralytics' (PyYAML, block style, wide lines), JSON in one object. */
#include <string.h>

#include "base/json.h"
#include "base/pyliteral.h"
#include "base/str.h"
#include "export/export.h"

/* ---- YAML ---------------------------------------------------------------------------------------------------------- */

/* Whether a text may stand without quotes, and is no other type then: careful rather than pretty. */
static bool is_plain(const char *text) {
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "~", ""};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(text) == strlen(words[i]) && sw_str_ends_like(text, words[i])) return false;
    size_t length = strlen(text);
    if (length && (text[0] == ' ' || text[length - 1] == ' ')) return false;
    if (strchr("0123456789.+-", text[0]))
        return strspn(text, "0123456789.") == length && strchr(text, '.') != strrchr(text, '.'); /* 8.4.190 */
    for (const char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80 ||
                    (at > text && strchr(" _-./()", c));
        bool colon = c == ':' && at > text && at[1] && at[1] != ' ';
        if (!good && !colon) return false;
    }
    return true;
}

static void yaml_text(sw_buf *buf, const char *text) {
    if (is_plain(text)) {
        sw_buf_append_text(buf, text);
        return;
    }
    sw_buf_append_byte(buf, '"');
    for (const char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"' || c == '\\')
            sw_buf_printf(buf, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            sw_buf_printf(buf, "\\x%02x", c);
        else
            sw_buf_append_byte(buf, c);
    }
    sw_buf_append_byte(buf, '"');
}

static void yaml_number(sw_buf *buf, double value) {
    char text[SW_FLOAT_TEXT];
    int length = sw_str_from_f64(text, value);
    if (strspn(text, "-0123456789") == (size_t)length)
        sw_buf_printf(buf, "%s.0", text);
    else
        sw_buf_printf(buf, "%s%s", strpbrk(text, "naif") ? "." : "", text);
}

/* A value behind "key:"; what has items goes to the next lines. */
static void yaml_value(sw_buf *buf, const sw_py *v, int indent) {
    bool nested = (v->type == SW_PY_LIST || v->type == SW_PY_DICT) && v->n;
    if (!nested) sw_buf_append_byte(buf, ' ');
    switch (v->type) {
    case SW_PY_NONE:
        sw_buf_append_text(buf, "null");
        break;
    case SW_PY_BOOL:
        sw_buf_append_text(buf, v->b ? "true" : "false");
        break;
    case SW_PY_INT:
        sw_buf_printf(buf, "%lld", (long long)v->i);
        break;
    case SW_PY_FLOAT:
        yaml_number(buf, v->f);
        break;
    case SW_PY_STRING:
        yaml_text(buf, v->s);
        break;
    case SW_PY_LIST:
        if (!v->n) sw_buf_append_text(buf, "[]");
        for (size_t i = 0; i < v->n; i++) {
            sw_buf_append_byte(buf, '\n');
            sw_buf_fill(buf, ' ', (size_t)indent);
            sw_buf_append_byte(buf, '-');
            yaml_value(buf, &v->items[i], indent + 2);
        }
        break;
    case SW_PY_DICT:
        if (!v->n) sw_buf_append_text(buf, "{}");
        for (size_t i = 0; i < v->n; i++) {
            sw_buf_append_byte(buf, '\n');
            sw_buf_fill(buf, ' ', (size_t)indent + 2);
            const sw_py *key = &v->items[2 * i];
            if (key->type == SW_PY_STRING)
                yaml_text(buf, key->s);
            else
                sw_buf_printf(buf, "%lld", (long long)key->i);
            sw_buf_append_byte(buf, ':');
            yaml_value(buf, &v->items[2 * i + 1], indent + 2);
        }
    }
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------- */

static void json_value(sw_json_writer *w, const sw_py *v) {
    switch (v->type) {
    case SW_PY_NONE:
        sw_json_null(w);
        break;
    case SW_PY_BOOL:
        sw_json_bool(w, v->b);
        break;
    case SW_PY_INT:
        sw_json_int(w, v->i);
        break;
    case SW_PY_FLOAT:
        sw_json_f64(w, v->f);
        break;
    case SW_PY_STRING:
        sw_json_string(w, v->s);
        break;
    case SW_PY_LIST:
        sw_json_array(w);
        for (size_t i = 0; i < v->n; i++) json_value(w, &v->items[i]);
        sw_json_array_end(w);
        break;
    case SW_PY_DICT:
        sw_json_object(w);
        for (size_t i = 0; i < v->n; i++) {
            char number[24];
            const sw_py *key = &v->items[2 * i];
            snprintf(number, sizeof number, "%lld", (long long)key->i);
            sw_json_key(w, key->type == SW_PY_STRING ? key->s : number);
            json_value(w, &v->items[2 * i + 1]);
        }
        sw_json_object_end(w);
    }
}

/* ---- Both ---------------------------------------------------------------------------------------------------------- */

/* The value of an entry. Texts that are no literals ("detect", "8.4.190") are themselves. */
static sw_py literal(sw_arena *arena, const char *text) {
    sw_py value;
    if (sw_py_parse(arena, text, &value) == SW_OK) return value;
    return (sw_py){.type = SW_PY_STRING, .s = text};
}

void sw_export_meta_yaml(const sw_graph *graph, sw_buf *buf) {
    sw_arena *arena = sw_arena_create(graph->allocator, 0);
    if (!arena) buf->status = SW_E_NOMEM;
    for (size_t i = 0; arena && i < graph->n_meta; i++) {
        sw_py value = literal(arena, graph->meta[i].value);
        yaml_text(buf, graph->meta[i].key);
        sw_buf_append_byte(buf, ':');
        yaml_value(buf, &value, 0);
        sw_buf_append_byte(buf, '\n');
    }
    sw_arena_destroy(arena);
}

void sw_export_meta_json(const sw_graph *graph, sw_buf *buf) {
    sw_arena *arena = sw_arena_create(graph->allocator, 0);
    if (!arena) buf->status = SW_E_NOMEM;
    sw_json_writer w = sw_json_writer_make(buf, 0);
    sw_json_object(&w);
    for (size_t i = 0; arena && i < graph->n_meta; i++) {
        sw_py value = literal(arena, graph->meta[i].value);
        sw_json_key(&w, graph->meta[i].key);
        json_value(&w, &value);
    }
    sw_json_object_end(&w);
    sw_arena_destroy(arena);
}
