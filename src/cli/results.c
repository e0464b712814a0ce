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

/* "cat": of classes the best. */
static void print_best(const sw_result *r, sw_console *c) {
    sw_print(c, "%s", r->found->count ? class_of(r, 0) : "no class");
}

void sw_result_table(const sw_result *r, sw_console *c) {
    sw_print(c, "%s  %d x %d: ", r->source, r->width, r->height);
    if (r->found->task == SW_TASK_CLASSIFY)
        print_best(r, c);
    else
        print_counts(r, c);
    sw_print(c, "\n");
    if (!r->found->count) return;
    bool boxes = r->found->task != SW_TASK_CLASSIFY;
    int width = CLASS_COLUMN;
    for (int i = 0; i < r->found->count; i++) {
        int length = (int)strlen(class_of(r, i));
        if (length > width) width = length;
    }
    sw_print(c, "  %-*s  confidence%s\n", width, "class", boxes ? "      x1      y1      x2      y2" : "");
    for (int i = 0; i < r->found->count; i++) {
        const sw_detection *d = &r->found->items[i];
        sw_print(c, "  %-*s       %.3f", width, class_of(r, i), (double)d->confidence);
        if (boxes)
            sw_print(c, "  %6.1f  %6.1f  %6.1f  %6.1f", (double)d->x1, (double)d->y1, (double)d->x2, (double)d->y2);
        sw_print(c, "\n");
    }
}

static void json_floats(sw_json_writer *w, const float *values, size_t n) {
    sw_json_array(w);
    for (size_t i = 0; i < n; i++) sw_json_f32(w, values[i]);
    sw_json_array_end(w);
}

/* COCO's compressed run lengths (pycocotools' rleToString): from the fourth on as differences from the one before the last;
 * six bits a character above '0', low bits first, five of the number and one that more follow. */
static void json_runs(sw_json_writer *w, const sw_mask *m) {
    enum { MOST_DIGITS = 8 };
    sw_buf text = sw_buf_make(NULL, 0);
    for (size_t i = 0; i < m->n_runs; i++) {
        int64_t left = m->runs[i];
        if (i > 2) left -= m->runs[i - 2];
        for (bool more = true; more;) {
            int digit = left & 0x1f;
            left >>= 5;
            more = digit & 0x10 ? left != -1 : left != 0;
            sw_buf_append_byte(&text, (uint8_t)((digit | (more ? 0x20 : 0)) + '0'));
        }
    }
    if (text.status == SW_OK)
        sw_json_string_n(w, (const char *)text.data, text.size);
    else
        sw_json_null(w);
    sw_buf_free(&text);
}

void sw_result_json_runs(const sw_mask *m, int width, int height, sw_json_writer *w) {
    sw_json_object(w);
    sw_json_key(w, "size"), sw_json_array(w);
    sw_json_int(w, height), sw_json_int(w, width);
    sw_json_array_end(w);
    sw_json_key(w, "counts"), json_runs(w, m);
    sw_json_object_end(w);
}

static void json_mask(const sw_result *r, const sw_mask *m, sw_json_writer *w) {
    sw_json_key(w, "mask"), sw_result_json_runs(m, r->width, r->height, w);
    if (!m->rings) return;
    sw_json_key(w, "polygon"), sw_json_array(w);
    for (size_t i = 0; i < m->n_rings; i++)
        if (m->rings[i].n >= 3) json_floats(w, m->rings[i].points, 2 * m->rings[i].n);
    sw_json_array_end(w);
}

static void json_keypoints(const sw_result *r, int i, sw_json_writer *w) {
    size_t n = (size_t)r->found->n_keypoints;
    const float *points = r->found->keypoints + 3 * n * (size_t)i;
    sw_json_key(w, "keypoints"), sw_json_array(w);
    for (size_t k = 0; k < n; k++) json_floats(w, points + 3 * k, r->found->has_visibility ? 3 : 2);
    sw_json_array_end(w);
}

static void json_rotated(const sw_rotated *b, sw_json_writer *w) {
    const struct {
        const char *name;
        float value;
    } members[] = {{"x", b->x}, {"y", b->y}, {"w", b->width}, {"h", b->height}, {"r", b->angle}};
    float corners[8];
    sw_rotated_corners(b, corners);
    sw_json_key(w, "obb"), sw_json_object(w);
    for (int i = 0; i < 5; i++) sw_json_key(w, members[i].name), sw_json_f32(w, members[i].value);
    sw_json_key(w, "points"), sw_json_array(w);
    for (int i = 0; i < 4; i++) json_floats(w, corners + 2 * i, 2);
    sw_json_array_end(w);
    sw_json_object_end(w);
}

static void json_item(const sw_result *r, int i, sw_json_writer *w) {
    const sw_detection *d = &r->found->items[i];
    sw_task task = r->found->task;
    sw_json_flat(w);
    sw_json_object(w);
    sw_json_key(w, "class_id"), sw_json_int(w, d->class_id);
    sw_json_key(w, "class"), sw_json_string(w, class_of(r, i));
    sw_json_key(w, "confidence"), sw_json_f32(w, d->confidence);
    if (task != SW_TASK_CLASSIFY) sw_json_key(w, "box"), json_floats(w, (float[]){d->x1, d->y1, d->x2, d->y2}, 4);
    if (task == SW_TASK_SEGMENT) json_mask(r, &r->found->masks[i], w);
    if (task == SW_TASK_POSE) json_keypoints(r, i, w);
    if (task == SW_TASK_OBB) json_rotated(&r->found->rotated[i], w);
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
    sw_json_key(w, r->found->task == SW_TASK_CLASSIFY ? "classes" : "detections"), sw_json_array(w);
    for (int i = 0; i < r->found->count; i++) json_item(r, i, w);
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

void sw_result_csv_heading(const sw_detector *d, sw_buf *b) {
    static const char *const more[] = {"", ",mask_pixels", ",keypoints", ",x,y,w,h,r", ""};
    sw_task task = sw_detector_task(d);
    sw_buf_append_text(b, "source,class_id,class,confidence");
    if (task != SW_TASK_CLASSIFY) sw_buf_append_text(b, ",x1,y1,x2,y2");
    sw_buf_printf(b, "%s\n", more[task]);
}

static void append_numbers(sw_buf *b, const float *values, size_t n, char before) {
    for (size_t i = 0; i < n; i++) {
        char text[SW_FLOAT_TEXT];
        sw_buf_append_byte(b, (uint8_t)before);
        sw_buf_append(b, text, (size_t)sw_str_from_f32(text, values[i]));
    }
}

static int64_t pixels_of(const sw_mask *m) {
    int64_t pixels = 0;
    for (size_t i = 1; i < m->n_runs; i += 2) pixels += m->runs[i];
    return pixels;
}

static const float *points_of(const sw_result *r, int i) {
    return r->found->keypoints + (size_t)i * 3 * (size_t)r->found->n_keypoints;
}

/* What a task has beside boxes: pixels of a mask; keypoints "x y v x y v ..." in one column; a rotated box. */
static void csv_more(const sw_result *r, int i, sw_buf *b) {
    switch (r->found->task) {
    case SW_TASK_SEGMENT:
        sw_buf_printf(b, ",%lld", (long long)pixels_of(&r->found->masks[i]));
        break;
    case SW_TASK_POSE:
        for (int k = 0; k < r->found->n_keypoints; k++)
            append_numbers(b, points_of(r, i) + 3 * k, 1, k ? ' ' : ','),
                append_numbers(b, points_of(r, i) + 3 * k + 1, r->found->has_visibility ? 2 : 1, ' ');
        break;
    case SW_TASK_OBB: {
        const sw_rotated *o = &r->found->rotated[i];
        append_numbers(b, (float[]){o->x, o->y, o->width, o->height, o->angle}, 5, ',');
        break;
    }
    default:
        break;
    }
}

void sw_result_csv(const sw_result *r, sw_buf *b) {
    for (int i = 0; i < r->found->count; i++) {
        const sw_detection *d = &r->found->items[i];
        csv_text(b, r->source);
        sw_buf_printf(b, ",%d,", d->class_id);
        csv_text(b, class_of(r, i));
        append_numbers(b, (const float[]){d->confidence, d->x1, d->y1, d->x2, d->y2},
                       r->found->task == SW_TASK_CLASSIFY ? 1 : 5, ',');
        csv_more(r, i, b);
        sw_buf_append_byte(b, '\n');
    }
}

/* Points x y, or x y v, as fractions of the picture. `pitch`: floats from one to the next. */
static void txt_points(const sw_result *r, const float *points, size_t n, size_t pitch, bool visibility, sw_buf *b) {
    for (size_t i = 0; i < n; i++, points += pitch)
        append_numbers(b, (float[]){points[0] / (float)r->width, points[1] / (float)r->height, points[pitch - 1]},
                       visibility ? 3 : 2, ' ');
}

static void txt_place(const sw_result *r, int i, sw_buf *b) {
    float w = (float)r->width, h = (float)r->height, corners[8];
    const sw_detection *d = &r->found->items[i];
    if (r->found->task == SW_TASK_SEGMENT) {
        txt_points(r, r->found->masks[i].outline.points, r->found->masks[i].outline.n, 2, false, b);
        return;
    }
    if (r->found->task == SW_TASK_OBB) {
        sw_rotated_corners(&r->found->rotated[i], corners);
        txt_points(r, corners, 4, 2, false, b);
        return;
    }
    append_numbers(
        b, (float[]){(d->x1 + d->x2) / 2 / w, (d->y1 + d->y2) / 2 / h, (d->x2 - d->x1) / w, (d->y2 - d->y1) / h}, 4,
        ' ');
    if (r->found->task == SW_TASK_POSE)
        txt_points(r, points_of(r, i), (size_t)r->found->n_keypoints, 3, r->found->has_visibility, b);
}

void sw_result_txt(const sw_result *r, sw_buf *b) {
    for (int i = 0; i < r->found->count; i++) {
        const sw_detection *d = &r->found->items[i];
        if (r->found->task == SW_TASK_CLASSIFY) {
            int hundredths = (int)(d->confidence * 100 + 0.5f);
            sw_buf_printf(b, "%d.%02d %s\n", hundredths / 100, hundredths % 100, class_of(r, i));
            continue;
        }
        if (r->found->task == SW_TASK_SEGMENT && r->found->masks[i].outline.n < 3) continue;
        sw_buf_printf(b, "%d", d->class_id);
        txt_place(r, i, b);
        append_numbers(b, &d->confidence, 1, ' ');
        sw_buf_append_byte(b, '\n');
    }
}
