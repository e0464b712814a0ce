#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"

sw_json_writer sw_json_writer_make(sw_buf *buf, int indent) {
    return (sw_json_writer){.buf = buf, .indent = indent, .first = true};
}

static bool is_flat(const sw_json_writer *w) {
    return !w->indent || (w->flat_depth && w->depth >= w->flat_depth);
}

static void new_line(sw_json_writer *w) {
    sw_buf_append_byte(w->buf, '\n');
    sw_buf_fill(w->buf, ' ', (size_t)(w->depth * w->indent));
}

/* What stands between the item before and the next one. */
static void separate(sw_json_writer *w) {
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (!w->first) sw_buf_append_text(w->buf, is_flat(w) && w->indent ? ", " : ",");
    if (w->depth && !is_flat(w)) new_line(w);
    w->first = false;
}

static void begin(sw_json_writer *w, char c) {
    separate(w);
    sw_buf_append_byte(w->buf, (uint8_t)c);
    w->depth++;
    w->first = true;
    assert(w->depth <= SW_JSON_MAX_DEPTH);
}

static void end(sw_json_writer *w, char c) {
    assert(w->depth > 0 && !w->after_key);
    bool flat = is_flat(w);
    if (w->depth == w->flat_depth) w->flat_depth = 0;
    w->depth--;
    if (!w->first && !flat) new_line(w);
    sw_buf_append_byte(w->buf, (uint8_t)c);
    w->first = false;
}

void sw_json_object(sw_json_writer *w) {
    begin(w, '{');
}
void sw_json_object_end(sw_json_writer *w) {
    end(w, '}');
}
void sw_json_array(sw_json_writer *w) {
    begin(w, '[');
}
void sw_json_array_end(sw_json_writer *w) {
    end(w, ']');
}

void sw_json_flat(sw_json_writer *w) {
    if (!w->flat_depth) w->flat_depth = w->depth + 1;
}

static void put_string(sw_json_writer *w, const char *text, size_t length) {
    sw_buf_append_byte(w->buf, '"');
    for (size_t at = 0; at < length;) {
        int step = sw_utf8_step(text + at, length - at);
        unsigned char c = (unsigned char)text[at];
        if (!step)
            sw_buf_append_text(w->buf, "\xef\xbf\xbd");
        else if (c == '"' || c == '\\')
            sw_buf_printf(w->buf, "\\%c", c);
        else if (c == '\n')
            sw_buf_append_text(w->buf, "\\n");
        else if (c == '\t')
            sw_buf_append_text(w->buf, "\\t");
        else if (c == '\r')
            sw_buf_append_text(w->buf, "\\r");
        else if (c < 0x20 || c == 0x7f)
            sw_buf_printf(w->buf, "\\u%04x", c);
        else
            sw_buf_append(w->buf, text + at, (size_t)step);
        at += step ? (size_t)step : 1;
    }
    sw_buf_append_byte(w->buf, '"');
}

void sw_json_key(sw_json_writer *w, const char *key) {
    assert(w->depth > 0 && !w->after_key);
    separate(w);
    put_string(w, key, strlen(key));
    sw_buf_append_text(w->buf, w->indent ? ": " : ":");
    w->after_key = true;
}

void sw_json_string_n(sw_json_writer *w, const char *text, size_t length) {
    separate(w);
    put_string(w, text, length);
}

void sw_json_string(sw_json_writer *w, const char *text) {
    if (text)
        sw_json_string_n(w, text, strlen(text));
    else
        sw_json_null(w);
}

void sw_json_int(sw_json_writer *w, int64_t value) {
    separate(w);
    sw_buf_printf(w->buf, "%lld", (long long)value);
}

void sw_json_f32(sw_json_writer *w, float value) {
    char text[SW_FLOAT_TEXT];
    separate(w);
    if (isfinite(value))
        sw_buf_append(w->buf, text, (size_t)sw_str_from_f32(text, value));
    else
        sw_buf_append_text(w->buf, "null");
}

void sw_json_f64(sw_json_writer *w, double value) {
    char text[SW_FLOAT_TEXT];
    separate(w);
    if (isfinite(value))
        sw_buf_append(w->buf, text, (size_t)sw_str_from_f64(text, value));
    else
        sw_buf_append_text(w->buf, "null");
}

void sw_json_fixed(sw_json_writer *w, double value, int decimals) {
    double scale = 1;
    for (int i = 0; i < decimals; i++) scale *= 10;
    double rounded = round(value * scale) / scale;
    sw_json_f64(w, isfinite(rounded) ? rounded : value);
}

void sw_json_bool(sw_json_writer *w, bool value) {
    separate(w);
    sw_buf_append_text(w->buf, value ? "true" : "false");
}

void sw_json_null(sw_json_writer *w) {
    separate(w);
    sw_buf_append_text(w->buf, "null");
}
