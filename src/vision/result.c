#include "vision/result.h"

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
    sw_json_key(w, "class"), sw_json_string(w, sw_detector_class_name(r->detector, d->class_id));
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
