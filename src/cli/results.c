#include "cli/results.h"

#include <string.h>

#include "base/str.h"

enum { CLASS_COLUMN = 14, MOST_CLASSES = 8 };

static const char *class_of(const sw_result *r, int i) {
    return sw_detector_class_name(r->detector, r->found->items[i].class_id);
}

/* "4 person, 1 bus": how often each class was found, in the order of its surest box. */
static void print_counts(const sw_result *r, sw_console *c) {
    int seen[MOST_CLASSES], printed = 0;
    for (int i = 0; i < r->found->count; i++) {
        int class_id = r->found->items[i].class_id, same = 0;
        bool earlier = false;
        for (int k = 0; k < printed; k++) earlier |= seen[k] == class_id;
        if (earlier) continue;
        if (printed == MOST_CLASSES) {
            sw_print(c, ", ...");
            return;
        }
        for (int j = i; j < r->found->count; j++) same += r->found->items[j].class_id == class_id;
        sw_print(c, "%s%d %s", printed ? ", " : "", same, class_of(r, i));
        seen[printed++] = class_id;
    }
    if (!printed) sw_print(c, "nothing found");
}

void sw_result_table(const sw_result *r, sw_console *c) {
    sw_print(c, "%s  %d x %d: ", r->source, r->width, r->height);
    print_counts(r, c);
    sw_print(c, "\n");
    if (!r->found->count) return;
    int width = CLASS_COLUMN;
    for (int i = 0; i < r->found->count; i++) {
        int length = (int)strlen(class_of(r, i));
        if (length > width) width = length;
    }
    sw_print(c, "  %-*s  confidence      x1      y1      x2      y2\n", width, "class");
    for (int i = 0; i < r->found->count; i++) {
        const sw_detection *d = &r->found->items[i];
        sw_print(c, "  %-*s       %.3f  %6.1f  %6.1f  %6.1f  %6.1f\n", width, class_of(r, i), (double)d->confidence,
                 (double)d->x1, (double)d->y1, (double)d->x2, (double)d->y2);
    }
}

static void json_detection(const sw_result *r, int i, sw_json_writer *w) {
    const sw_detection *d = &r->found->items[i];
    const float corners[4] = {d->x1, d->y1, d->x2, d->y2};
    sw_json_flat(w);
    sw_json_object(w);
    sw_json_key(w, "class_id"), sw_json_int(w, d->class_id);
    sw_json_key(w, "class"), sw_json_string(w, class_of(r, i));
    sw_json_key(w, "confidence"), sw_json_f32(w, d->confidence);
    sw_json_key(w, "box"), sw_json_array(w);
    for (int k = 0; k < 4; k++) sw_json_f32(w, corners[k]);
    sw_json_array_end(w);
    sw_json_object_end(w);
}

void sw_result_json(const sw_result *r, sw_json_writer *w) {
    const sw_detector_times *t = &r->found->times_ms;
    const struct {
        const char *name;
        double ms;
    } times[] = {{"decode", r->decode_ms},
                 {"preprocess", t->preprocess},
                 {"inference", t->inference},
                 {"postprocess", t->postprocess}};
    sw_json_object(w);
    sw_json_key(w, "source"), sw_json_string(w, r->source);
    sw_json_key(w, "width"), sw_json_int(w, r->width);
    sw_json_key(w, "height"), sw_json_int(w, r->height);
    sw_json_key(w, "detections"), sw_json_array(w);
    for (int i = 0; i < r->found->count; i++) json_detection(r, i, w);
    sw_json_array_end(w);
    sw_json_key(w, "times_ms"), sw_json_flat(w), sw_json_object(w);
    for (int i = 0; i < 4; i++) sw_json_key(w, times[i].name), sw_json_fixed(w, times[i].ms, 3);
    sw_json_object_end(w);
    sw_json_object_end(w);
}

/* Quoted only where it must be. */
static void csv_text(sw_buf *b, const char *text) {
    if (!strpbrk(text, ",\"\r\n")) {
        sw_buf_append_text(b, text);
        return;
    }
    sw_buf_append_byte(b, '"');
    for (; *text; text++) {
        if (*text == '"') sw_buf_append_byte(b, '"');
        sw_buf_append_byte(b, (uint8_t)*text);
    }
    sw_buf_append_byte(b, '"');
}

void sw_result_csv_heading(sw_buf *b) {
    sw_buf_append_text(b, "source,class_id,class,confidence,x1,y1,x2,y2\n");
}

static void append_numbers(sw_buf *b, const float *values, int n, char before) {
    for (int i = 0; i < n; i++) {
        char text[SW_FLOAT_TEXT];
        sw_buf_append_byte(b, (uint8_t)before);
        sw_buf_append(b, text, (size_t)sw_str_from_f32(text, values[i]));
    }
}

void sw_result_csv(const sw_result *r, sw_buf *b) {
    for (int i = 0; i < r->found->count; i++) {
        const sw_detection *d = &r->found->items[i];
        csv_text(b, r->source);
        sw_buf_printf(b, ",%d,", d->class_id);
        csv_text(b, class_of(r, i));
        append_numbers(b, (const float[]){d->confidence, d->x1, d->y1, d->x2, d->y2}, 5, ',');
        sw_buf_append_byte(b, '\n');
    }
}

void sw_result_txt(const sw_result *r, sw_buf *b) {
    float w = (float)r->width, h = (float)r->height;
    for (int i = 0; i < r->found->count; i++) {
        const sw_detection *d = &r->found->items[i];
        const float row[5] = {(d->x1 + d->x2) / 2 / w, (d->y1 + d->y2) / 2 / h, (d->x2 - d->x1) / w,
                              (d->y2 - d->y1) / h, d->confidence};
        sw_buf_printf(b, "%d", d->class_id);
        append_numbers(b, row, 5, ' ');
        sw_buf_append_byte(b, '\n');
    }
}
