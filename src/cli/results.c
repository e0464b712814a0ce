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
