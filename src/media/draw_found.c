#include "media/draw.h"

static sw_draw_box box_of(const sw_detector *detector, const sw_detections *f, size_t i) {
    const sw_detection *d = &f->items[i];
    sw_draw_box box = {.x1 = d->x1,
                       .y1 = d->y1,
                       .x2 = d->x2,
                       .y2 = d->y2,
                       .confidence = d->confidence,
                       .class_id = d->class_id,
                       .name = sw_detector_class_name(detector, d->class_id)};
    if (f->task == SW_TASK_SEGMENT) box.mask = &f->masks[i];
    if (f->task == SW_TASK_OBB) box.rotated = &f->rotated[i];
    if (f->task == SW_TASK_POSE) {
        box.n_keypoints = f->n_keypoints;
        box.keypoints = f->keypoints + 3 * i * (size_t)f->n_keypoints;
    }
    return box;
}

sw_status sw_draw_found(const sw_picture *picture, const sw_detector *detector, const sw_detections *found,
                        const sw_diag *diag) {
    size_t n = (size_t)found->count;
    sw_draw_box *boxes = sw_calloc(NULL, n + 1, sizeof *boxes);
    if (!boxes) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "no memory to draw %zu boxes", n);
    for (size_t i = 0; i < n; i++) boxes[i] = box_of(detector, found, i);
    sw_status status = SW_OK;
    if (found->task == SW_TASK_CLASSIFY)
        sw_draw_list(picture, boxes, n, NULL);
    else
        status = sw_draw_boxes(picture, boxes, n, NULL, diag);
    sw_free(NULL, boxes);
    return status;
}
