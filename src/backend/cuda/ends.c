/* Both ends of a detector: letterbox before, boxes behind. */
#include <string.h>

#include "backend/cuda/ops.h"
#include "kernels/letterbox/values.h"
#include "kernels/nms/far.h"

enum { MOST_CANDIDATES = 1 << 20 };

/* ---- The picture --------------------------------------------------------------------------------------------------- */

size_t sw_cuda_picture_bytes(int64_t height, int64_t width) {
    return offsetof(sw_cuda_picture, columns) + (size_t)(height + width) * sizeof(sw_cuda_tap);
}

void sw_cuda_place_picture(const sw_letterbox_fit *fit, int64_t height, int64_t width, bool swap, int pad,
                           sw_cuda_picture *picture) {
    *picture = (sw_cuda_picture){
        .width = (int)width,
        .top = (int)fit->top,
        .left = (int)fit->left,
        .scaled_height = (int)fit->scaled_height,
        .scaled_width = (int)fit->scaled_width,
        .halve = height == 2 * fit->scaled_height && width == 2 * fit->scaled_width,
        .swap = swap,
        .pad = pad,
    };
    _Static_assert(sizeof(sw__tap) == sizeof(sw_cuda_tap), "taps are copied as they are");
    sw_cuda_tap *rows = picture->columns + fit->width;
    for (int64_t i = 0; i < fit->scaled_width + fit->scaled_height; i++) {
        bool column = i < fit->scaled_width;
        int64_t at = column ? i : i - fit->scaled_width;
        sw__tap t = column ? sw__letterbox_tap(at, fit->scaled_width, width, true)
                           : sw__letterbox_tap(at, fit->scaled_height, height, false);
        if (picture->halve) t = (sw__tap){(int32_t)(2 * at), (int32_t)(2 * at + 1), 0, 0};
        int step = column ? 3 : 1;
        (column ? picture->columns : rows)[at] = (sw_cuda_tap){t.at * step, t.next * step, t.weight_at, t.weight_next};
    }
}

void sw_cuda_launch_letterbox(sw_cuda_launch *l) {
    const sw_cuda_letterbox *p = &l->args.letterbox;
    l->kernel = SW_CUDA_LETTERBOX;
    l->grid_x = (p->height * p->width + 255) / 256;
    l->grid_y = 1;
    l->shared_bytes = 0;
}

/* ---- Boxes --------------------------------------------------------------------------------------------------------- */

const char *sw_cuda_describe_boxes(const sw_call *decode, const sw_call *nms, const sw_tensor *table,
                                   const sw_cuda_info *gpu, sw_cuda_boxes *b) {
    const char *layout = sw_call_string(decode, "layout");
    bool rotated = sw_call_int(nms, "rotated"), multi = sw_call_int(nms, "multi_label");
    bool by_value = !strcmp(layout, rotated ? "xywh" : "v8"), objectness = !strcmp(layout, "v5");
    if (!by_value && (rotated || (!objectness && strcmp(layout, "detr") != 0))) return "its boxes lie on grids";
    int64_t values = table->dims[by_value ? 1 : 2], anchors = table->dims[by_value ? 2 : 1],
            extra = sw_call_int(nms, "extra"), classes = values - (objectness ? 5 : 4) - extra;
    if (table->rank != 3 || table->dims[0] != 1 || table->layout != SW_ROW_MAJOR || table->dtype != SW_F32)
        return "its boxes are not one table";
    if (classes < 1 || classes > CUDA_MAX_CLASSES || anchors < 1) return "it has too many classes";
    int64_t room = anchors * (multi ? classes : 1), most = sw_call_int(nms, "max_nms");
    if (room < most) most = room;
    if (room > MOST_CANDIDATES || (!rotated && most * 4 > sw_cuda_most_shared(gpu))) return "it has too many boxes";
    if (rotated && extra < 1) return "its boxes have no angle";
    *b = (sw_cuda_boxes){.anchors = (int)anchors,
                         .anchor_step = by_value ? 1 : (int)values,
                         .value_step = by_value ? (int)anchors : 1,
                         .classes = (int)classes,
                         .objectness = objectness,
                         .extra = (int)extra,
                         .agnostic = sw_call_int(nms, "agnostic") != 0,
                         .max_det = (int)sw_call_int(nms, "max_det"),
                         .max_nms = (int)most,
                         .multi = multi,
                         .rotated = rotated,
                         .room = (int)room,
                         .far = rotated ? sw__nms_far(sw_call_float(nms, "iou")) : 0,
                         .conf = sw_call_float(nms, "conf"),
                         .iou = sw_call_float(nms, "iou"),
                         .max_wh = sw_call_float(nms, "max_wh")};
    const sw_attr *wanted = sw_call_attr(nms, "classes", SW_ATTR_INTS);
    for (int64_t c = 0; c < classes && wanted->ints.n == 0; c++) b->wanted[c / 32] |= 1u << c % 32;
    for (int i = 0; i < wanted->ints.n; i++) {
        int64_t c = wanted->ints.v[i];
        if (c >= 0 && c < classes) b->wanted[c / 32] |= 1u << c % 32;
    }
    return b->conf >= 0 ? NULL : "its threshold is below 0";
}

size_t sw_cuda_boxes_bytes(sw_cuda_boxes *b, char *at) {
    size_t room = (size_t)b->room, size = 16;
    void **lists[] = {&b->keys, &b->boxes, &b->moved, &b->spreads}, **words[] = {&b->order, &b->beaten};
    b->count = at;
    for (int i = 0; i < (b->rotated ? 4 : 3); i++, size += room * 16) *lists[i] = at ? at + size : NULL;
    for (int i = 0; i < (b->rotated ? 2 : 1); i++, size += room * 4) *words[i] = at ? at + size : NULL;
    b->kept = at ? at + size : NULL;
    return size + (size_t)b->max_det * 4;
}

int sw_cuda_launch_boxes(const sw_cuda_boxes *boxes, sw_cuda_launch launches[SW_CUDA_BOXES_LAUNCHES]) {
    bool any = boxes->multi || boxes->rotated;
    int n = 0, by_anchor = (boxes->anchors + 255) / 256, by_candidate = (boxes->room + 255) / 256;
    launches[n++] = (sw_cuda_launch){.kernel = any ? SW_CUDA_CANDIDATES_ANY : SW_CUDA_CANDIDATES, .grid_x = by_anchor};
    launches[n++] = (sw_cuda_launch){.kernel = any ? SW_CUDA_RANK_ANY : SW_CUDA_RANK, .grid_x = by_candidate};
    if (boxes->rotated)
        launches[n++] = (sw_cuda_launch){.kernel = SW_CUDA_BEATEN, .grid_x = (boxes->max_nms + 255) / 256};
    launches[n++] = (sw_cuda_launch){.kernel = boxes->rotated ? SW_CUDA_KEEP : SW_CUDA_NMS,
                                     .grid_x = 1,
                                     .shared_bytes = (boxes->rotated ? 1024 : boxes->max_nms) * 4};
    for (int i = 0; i < n; i++) launches[i].grid_y = 1, launches[i].args.boxes = *boxes;
    return n;
}
