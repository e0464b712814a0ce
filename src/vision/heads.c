#include "vision/head.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { YUNET_LEVELS = 3, YUNET_KINDS = 4, YUNET_POINTS = 5, COCO_POINTS = 17, MOST_QUERIES = 1000 };

/* Strides of the levels of YOLO models, from the usual to the rare. */
static const int64_t levels[][5] = {{8, 16, 32}, {8, 16, 32, 64}, {4, 8, 16, 32}, {16, 32}};

/* Does the number of anchors equal `per_cell` for each cell of the levels, for any of the first `n_levels`
 * rows above? */
static bool on_grids(const sw__model *m, int64_t anchors, int per_cell, int n_levels) {
    for (int i = 0; i < n_levels; i++) {
        int64_t cells = 0;
        for (int k = 0; k < 5 && levels[i][k]; k++) cells += (m->height / levels[i][k]) * (m->width / levels[i][k]);
        if (anchors == per_cell * cells) return true;
    }
    return false;
}

static bool is_float(sw_dtype dtype) {
    return dtype == SW_F32 || dtype == SW_F16 || dtype == SW_BF16 || dtype == SW_F64;
}

/* One output N a b of which the values of an anchor are known, if any. */
static bool is_table(const sw__model *m, int64_t least, bool by_anchor) {
    const sw_tensor *t = &m->outputs[0];
    if (!is_float(t->dtype) || t->rank != 3) return false;
    int64_t values = t->dims[by_anchor ? 2 : 1];
    return values < 0 || (values >= least && values <= SW__MAX_CLASSES + 5);
}

static bool names_agree(const sw__model *m, int64_t classes) {
    return m->n_names == 0 || m->n_names == classes;
}

/* -- Tasks -- */

int sw__head_mask_axis(const sw__model *m) {
    return m->channels_last ? 3 : 1;
}

/* The channels of the prototypes of masks after the first output; 0: there are none, -1: not known yet. */
static int64_t prototypes(const sw__model *m) {
    enum { MOST = 4096 };
    if (m->n_outputs < 2 || m->outputs[1].rank != 4 || !is_float(m->outputs[1].dtype)) return 0;
    int64_t k = m->outputs[1].dims[sw__head_mask_axis(m)];
    return k > MOST ? 0 : k;
}

int sw__head_points(const sw__head *h, const sw__model *m, int *values) {
    if (h->form == SW__LEVELS) { /* of faces */
        *values = 2;
        return YUNET_POINTS;
    }
    *values = m->n_points ? m->point_values : 3;
    if (m->n_points || h->form == SW__FINAL) return m->n_points ? m->n_points : COCO_POINTS;
    /* Not told: what a single class, or those that have names, leave over. */
    int64_t left = m->outputs[0].dims[h->by_anchor ? 2 : 1] - h->values - (m->n_names ? m->n_names : 1);
    if (left >= 2 && left % 3) *values = 2;
    return left >= 2 && left % *values == 0 ? (int)(left / *values) : COCO_POINTS;
}

int sw__head_extra(const sw__head *h, const sw__model *m) {
    int values;
    switch (h->task) {
    case SW_TASK_SEGMENT:
        return (int)prototypes(m);
    case SW_TASK_POSE:
        return sw__head_points(h, m, &values) * values;
    case SW_TASK_OBB:
        return 1;
    default:
        return 0;
    }
}

/* What tasks ask for apart from the first output. Only metadata tells keypoints and angles from classes. */
static sw__fit fits_task(const sw__head *h, const sw__model *m, bool asked) {
    if (m->has_task && m->task != h->task) return SW__NO;
    int64_t k = prototypes(m);
    if (h->task == SW_TASK_SEGMENT) return k == 0 || m->n_outputs != 2 ? SW__NO : k < 0 ? SW__TRIAL : SW__YES;
    if (h->task != SW_TASK_DETECT && !m->has_task && !asked) return SW__NO;
    return SW__YES;
}

/* -- Raw candidates -- */

/* YOLOv8 to YOLO12: N 4+classes+extra anchors. There are more anchors than values, or the metadata names the
 * classes. */
static sw__fit fits_v8(const sw__head *h, const sw__model *m, bool asked) {
    const sw_tensor *t = &m->outputs[0];
    int64_t values = t->dims[1], anchors = t->dims[2];
    sw__fit task = fits_task(h, m, asked);
    if (task == SW__NO || (h->task != SW_TASK_SEGMENT && m->n_outputs != 1) || !is_table(m, 5, false)) return SW__NO;
    if (task == SW__TRIAL || values < 0) return SW__TRIAL;
    int64_t classes = values - 4 - sw__head_extra(h, m);
    if (classes < 1) return SW__NO;
    if (asked || m->n_names) return asked || m->n_names == classes ? SW__YES : SW__NO;
    if (anchors < 0) return SW__TRIAL;
    return anchors > values || on_grids(m, anchors, 1, 4) ? SW__YES : SW__NO;
}

/* Models that calculate three anchors a cell, with objectness: YOLOv3, v5, v7. Old exports have the maps as
 * further outputs. */
static sw__fit fits_v5(const sw__head *h, const sw__model *m, bool asked) {
    const sw_tensor *t = &m->outputs[0];
    sw__fit task = fits_task(h, m, asked);
    if (task == SW__NO || !is_table(m, 6, true)) return SW__NO;
    for (int i = 1; h->task != SW_TASK_SEGMENT && i < m->n_outputs; i++)
        if (m->outputs[i].rank != 5) return SW__NO;
    if (task == SW__TRIAL || t->dims[2] < 0) return SW__TRIAL;
    int64_t classes = t->dims[2] - 5 - sw__head_extra(h, m);
    if (classes < 1) return SW__NO;
    if (asked) return SW__YES;
    if (!names_agree(m, classes)) return SW__NO;
    if (t->dims[1] < 0) return SW__TRIAL;
    return on_grids(m, t->dims[1], 3, 4) ? SW__YES : SW__NO;
}

/* One anchor a cell, with objectness: the shape of YOLOX and YOLOv6, which only values can tell apart.
 * Centres of raw outputs count cells from their own cell; decoded ones are pixels and reach across the
 * picture. */
typedef struct evidence {
    bool decoded;
    bool all_objects; /* objectness is 1 everywhere: YOLOv6 has none, and its exporter writes ones */
} evidence;

static evidence look_at(const sw__model *m) {
    const sw_tensor *t = &m->outputs[0];
    evidence e = {.all_objects = true};
    for (int64_t a = 0; a < t->dims[1]; a++) {
        if (sw_tensor_float_at(t, a * t->dims[2]) > (double)m->width / 2) e.decoded = true;
        if (sw_tensor_float_at(t, a * t->dims[2] + 4) != 1) e.all_objects = false;
    }
    return e;
}

static sw__fit fits_cells(const sw__head *h, const sw__model *m, bool asked, bool decoded, bool all_objects) {
    const sw_tensor *t = &m->outputs[0];
    if (fits_task(h, m, asked) == SW__NO || m->n_outputs != 1 || !is_table(m, 6, true)) return SW__NO;
    if (t->dims[2] < 0) return SW__TRIAL;
    if (asked) return SW__YES;
    if (!names_agree(m, t->dims[2] - 5)) return SW__NO;
    if (t->dims[1] >= 0 && !on_grids(m, t->dims[1], 1, 1)) return SW__NO;
    if (!t->data) return SW__TRIAL;
    evidence e = look_at(m);
    return e.decoded == decoded && (!decoded || e.all_objects == all_objects) ? SW__YES : SW__NO;
}

static sw__fit fits_yolox(const sw__head *h, const sw__model *m, bool asked) {
    return fits_cells(h, m, asked, false, false);
}
static sw__fit fits_yolox_decoded(const sw__head *h, const sw__model *m, bool asked) {
    return fits_cells(h, m, asked, true, false);
}
static sw__fit fits_v6(const sw__head *h, const sw__model *m, bool asked) {
    return fits_cells(h, m, asked, true, true);
}

/* -- Transformers and final boxes -- */

/* Rows cx cy w h of fractions of the picture, then scores of 0 to 1: what a DETR says whatever it sees. */
static bool are_queries(const sw_tensor *t, int64_t scores) {
    if (t->dims[1] < 1) return false;
    for (int64_t i = 0; i < t->dims[1]; i++)
        for (int64_t k = 0; k < 4 + scores; k++) {
            double value = sw_tensor_float_at(t, i * t->dims[2] + k);
            if (!(value >= 0 && value <= 1) || ((k == 2 || k == 3) && value == 0)) return false;
        }
    return true;
}

/* RT-DETR: N queries 4+classes. */
static sw__fit fits_rtdetr(const sw__head *h, const sw__model *m, bool asked) {
    const sw_tensor *t = &m->outputs[0];
    if (fits_task(h, m, asked) == SW__NO || m->n_outputs != 1 || !is_table(m, 5, true)) return SW__NO;
    if (t->dims[2] < 0 || (t->dims[1] < 0 && !asked)) return SW__TRIAL;
    if (asked || (m->rtdetr && (t->dims[2] != 6 || m->n_names == 2))) return SW__YES;
    if (m->has_task || t->dims[1] > MOST_QUERIES || !names_agree(m, t->dims[2] - 4)) return SW__NO;
    if (!t->data) return SW__TRIAL;
    return are_queries(t, t->dims[2] - 4) ? SW__YES : SW__NO;
}

/* The same of newer exports, which choose the best classes themselves: N queries 6. */
static sw__fit fits_rtdetr_top(const sw__head *h, const sw__model *m, bool asked) {
    const sw_tensor *t = &m->outputs[0];
    if (fits_task(h, m, asked) == SW__NO || m->n_outputs != 1 || !is_table(m, 6, true)) return SW__NO;
    if (t->dims[2] < 0) return SW__TRIAL;
    if (t->dims[2] != 6) return SW__NO;
    if (asked || m->rtdetr) return SW__YES;
    if (m->has_task || m->end_to_end || t->dims[1] > MOST_QUERIES) return SW__NO;
    if (!t->data) return SW__TRIAL;
    return are_queries(t, 1) ? SW__YES : SW__NO;
}

/* Final boxes: YOLOv10, YOLO26, and exports that contain their own suppression. */
static sw__fit fits_end_to_end(const sw__head *h, const sw__model *m, bool asked) {
    const sw_tensor *t = &m->outputs[0];
    sw__fit task = fits_task(h, m, asked);
    if (task == SW__NO || !is_float(t->dtype) || t->rank != 3) return SW__NO;
    if ((h->task != SW_TASK_SEGMENT && m->n_outputs != 1) || (m->rtdetr && !asked)) return SW__NO;
    if (task == SW__TRIAL || t->dims[2] < 0) return SW__TRIAL;
    if (t->dims[2] != 6 + sw__head_extra(h, m)) return SW__NO;
    if (asked || m->end_to_end) return SW__YES;
    if (t->dims[1] < 0) return SW__TRIAL;
    bool anchors = on_grids(m, t->dims[1], 3, 4) || on_grids(m, t->dims[1], 1, 1); /* of a single class */
    return !anchors && t->dims[1] <= MOST_QUERIES ? SW__YES : SW__NO;
}

/* -- Several outputs -- */

/* Pairs of outputs, scores N cells classes and distributions N cells 4*bins, for each of `n` levels; the pair of a level has
 * the same cells. Fills in the scores first, then the distributions. */
static bool find_pairs(const sw__model *m, int n, int order[SW__MAX_OUTPUTS], int64_t *strides) {
    enum { USUAL_BINS = 32 }; /* four sides of eight */
    int64_t last[2] = {-1, -1};
    if (m->n_outputs != 2 * n) return false;
    for (int level = 0; level < n; level++) {
        int64_t stride = 8 << level, cells = ((m->height + stride - 1) / stride) * ((m->width + stride - 1) / stride);
        int found[2], count = 0;
        for (int i = 0; i < m->n_outputs; i++) {
            const sw_tensor *t = &m->outputs[i];
            if (!is_float(t->dtype) || t->rank != 3 || t->dims[1] != cells || t->dims[2] < 1) continue;
            if (count < 2) found[count] = i;
            count++;
        }
        if (count != 2) return false;
        int64_t first = m->outputs[found[0]].dims[2], second = m->outputs[found[1]].dims[2];
        bool swapped = second != USUAL_BINS && (first == USUAL_BINS || (first % 4 == 0 && second % 4 != 0));
        for (int k = 0; k < 2; k++) {
            int output = found[k ^ swapped];
            int64_t values = m->outputs[output].dims[2];
            if (last[k] >= 0 && last[k] != values) return false;
            last[k] = values;
            order[k * n + level] = output;
        }
        if (strides) strides[level] = stride;
    }
    return last[1] % 4 == 0 && last[1] >= 8;
}

static sw__fit fits_pairs(const sw__head *h, const sw__model *m, bool asked, int n) {
    int order[SW__MAX_OUTPUTS];
    if (fits_task(h, m, asked) == SW__NO || m->n_outputs != 2 * n) return SW__NO;
    for (int i = 0; i < m->n_outputs; i++)
        if (m->outputs[i].rank == 3 && (m->outputs[i].dims[1] < 0 || m->outputs[i].dims[2] < 0)) return SW__TRIAL;
    if (!find_pairs(m, n, order, NULL)) return SW__NO;
    return asked || names_agree(m, m->outputs[order[0]].dims[2]) ? SW__YES : SW__NO;
}

static sw__fit fits_nanodet(const sw__head *h, const sw__model *m, bool asked) {
    return fits_pairs(h, m, asked, 3);
}
static sw__fit fits_picodet(const sw__head *h, const sw__model *m, bool asked) {
    return fits_pairs(h, m, asked, 4);
}

/* Score, objectness, box and five points for each of three levels, kind by kind. */
static sw__fit fits_yunet(const sw__head *h, const sw__model *m, bool asked) {
    static const int64_t values[YUNET_KINDS] = {1, 1, 4, 2 * YUNET_POINTS};
    if ((m->has_task && !asked) || m->n_outputs != YUNET_KINDS * YUNET_LEVELS) return SW__NO;
    for (int i = 0; i < m->n_outputs; i++) {
        const sw_tensor *t = &m->outputs[i];
        int64_t stride = levels[0][i % YUNET_LEVELS];
        if (!is_float(t->dtype) || t->rank != 3) return SW__NO;
        if (t->dims[1] < 0 || t->dims[2] < 0) return SW__TRIAL;
        if (t->dims[2] != values[i / YUNET_LEVELS]) return SW__NO;
        if (t->dims[1] != ((m->height + stride - 1) / stride) * ((m->width + stride - 1) / stride)) return SW__NO;
    }
    (void)h;
    return SW__YES;
}

/* Boxes n 4, integer labels n, scores n: the first output of each kind. */
static bool find_lists(const sw__model *m, int order[3]) {
    int found[3] = {-1, -1, -1};
    for (int i = 0; i < m->n_outputs; i++) {
        const sw_tensor *t = &m->outputs[i];
        int kind = t->rank == 2 && t->dims[1] == 4 && is_float(t->dtype)        ? 0
                   : t->rank == 1 && (t->dtype == SW_I64 || t->dtype == SW_I32) ? 1
                   : t->rank == 1 && is_float(t->dtype)                         ? 2
                                                                                : -1;
        if (kind >= 0 && found[kind] < 0) found[kind] = i;
    }
    memcpy(order, found, sizeof found);
    return found[0] >= 0 && found[1] >= 0 && found[2] >= 0;
}

static sw__fit fits_lists(const sw__head *h, const sw__model *m, bool asked) {
    int order[3];
    return fits_task(h, m, asked) != SW__NO && find_lists(m, order) ? SW__YES : SW__NO;
}

/* -- Classes of the whole picture -- */

/* Scores N classes; further dims of 1 may follow. */
static sw__fit fits_classes(const sw__head *h, const sw__model *m, bool asked) {
    const sw_tensor *t = &m->outputs[0];
    if (m->has_task && m->task != SW_TASK_CLASSIFY) return SW__NO;
    if (m->n_outputs != 1 || !is_float(t->dtype) || t->rank < 2) return SW__NO;
    for (int i = 2; i < t->rank; i++)
        if (t->dims[i] != 1) return SW__NO;
    if (!asked && !m->has_task && h->look->std[0] == 0)
        return SW__NO; /* without metadata, ImageNet's customs are likelier */
    if (t->dims[1] < 0 || !t->data) return SW__TRIAL;
    if (t->dims[1] < 2 || t->dims[1] > SW__MAX_CLASSES) return SW__NO;
    return asked || names_agree(m, t->dims[1]) ? SW__YES : SW__NO;
}

bool sw__head_is_logits(const sw__model *m) {
    const sw_tensor *t = &m->outputs[0];
    double sum = 0;
    for (int64_t i = 0; i < t->dims[1]; i++) {
        double value = sw_tensor_float_at(t, i);
        if (!(value >= 0)) return true;
        sum += value;
    }
    /* Steps of quantised outputs add up. */
    return fabs(sum - 1) > 1e-2 + (double)m->scale[0] / 2 * (double)t->dims[1];
}

/* -- The table -- */

static const sw__look
    yolo = {.pad = 114},
    yolox = {.bgr = true, .raw = true, .corner = true, .pad = 114}, stretched = {.stretch = true},
    cut = {.cut = true, .margin = 1},
    imagenet = {.cut = true, .margin = 256.0f / 224, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}},
    nanodet = {.bgr = true, .raw = true, .mean = {103.53f, 116.28f, 123.675f}, .std = {57.375f, 57.12f, 58.395f}},
    picodet = {.stretch = true, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}},
    yunet = {.bgr = true, .raw = true, .corner = true};

#define V8(name, task, extra, layout)                                                                                  \
    { name, task, "N x 4+classes" extra " x anchors", fits_v8, SW__TABLE, 4, false, layout, false, false, &yolo }
#define FINAL(name, task, shape)                                                                                       \
    { name, task, shape, fits_end_to_end, SW__FINAL, 6, true, NULL, false, false, &yolo }

static const sw__head heads[] = {
    {"rtdetr-top", SW_TASK_DETECT, "N x queries x 6 (cx cy w h as fractions, score class)", fits_rtdetr_top, SW__FINAL,
     6, true, NULL, true, true, &stretched},
    FINAL("end2end", SW_TASK_DETECT, "N x boxes x 6 (x1 y1 x2 y2 score class)"),
    FINAL("end2end-seg", SW_TASK_SEGMENT, "N x boxes x 6+k, and prototypes N x k x h x w"),
    FINAL("end2end-pose", SW_TASK_POSE, "N x boxes x 6+keypoints"),
    FINAL("end2end-obb", SW_TASK_OBB, "N x boxes x 7 (x y w h score class angle)"),
    V8("yolov8", SW_TASK_DETECT, "", "v8"),
    V8("yolov8-seg", SW_TASK_SEGMENT, "+k", "v8"),
    V8("yolov8-pose", SW_TASK_POSE, "+keypoints", "v8"),
    V8("yolov8-obb", SW_TASK_OBB, "+1", "xywh"),
    {"yolov5", SW_TASK_DETECT, "N x anchors x 5+classes, three anchors a cell", fits_v5, SW__TABLE, 5, true, "v5",
     false, false, &yolo},
    {"yolov5-seg", SW_TASK_SEGMENT, "the same with k more, and prototypes N x k x h x w", fits_v5, SW__TABLE, 5, true,
     "v5", false, false, &yolo},
    {"yolox", SW_TASK_DETECT, "N x anchors x 5+classes, one anchor a cell", fits_yolox, SW__TABLE, 5, true, "yolox",
     false, false, &yolox},
    {"yolox-decoded", SW_TASK_DETECT, "the same in pixels", fits_yolox_decoded, SW__TABLE, 5, true, "v5", false, false,
     &yolox},
    {"yolov6", SW_TASK_DETECT, "the same in pixels, objectness 1", fits_v6, SW__TABLE, 5, true, "v5", false, false,
     &yolo},
    {"rtdetr", SW_TASK_DETECT, "N x queries x 4+classes", fits_rtdetr, SW__TABLE, 4, true, "detr", false, true,
     &stretched},
    {"nanodet", SW_TASK_DETECT, "scores and distributions of three levels", fits_nanodet, SW__LEVELS, 0, true, "gfl",
     false, false, &nanodet},
    {"picodet", SW_TASK_DETECT, "scores and distributions of four levels", fits_picodet, SW__LEVELS, 0, true, "gfl",
     false, false, &picodet},
    {"yunet", SW_TASK_POSE, "scores, objectness, boxes and points of three levels", fits_yunet, SW__LEVELS, 0, true,
     "yunet", false, false, &yunet},
    {"ssd", SW_TASK_DETECT, "boxes n x 4, labels n, scores n", fits_lists, SW__LISTS, 0, true, NULL, false, false,
     &stretched},
    {"classify", SW_TASK_CLASSIFY, "N x classes", fits_classes, SW__CLASSES, 0, false, NULL, false, false, &cut},
    {"imagenet", SW_TASK_CLASSIFY, "N x classes", fits_classes, SW__CLASSES, 0, false, NULL, false, false, &imagenet},
};
enum { N_HEADS = sizeof heads / sizeof heads[0] };

static sw_status refuse(const sw__model *m, const char *asked, const sw_diag *diag) {
    char hint[1536] = "Understood are:", outputs[512];
    size_t n = strlen(hint);
    for (int i = 0; i < N_HEADS && n < sizeof hint; i++)
        if (!m->has_task || m->task == heads[i].task)
            n += (size_t)snprintf(hint + n, sizeof hint - n, "%s %s: %s", n > 16 ? ";" : "", heads[i].name,
                                  heads[i].shape);
    sw__model_list_outputs(m, outputs, sizeof outputs);
    if (asked)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, hint, "the model's outputs cannot be those of a %s: %s", asked,
                       outputs);
    return sw_fail(diag, SW_E_UNSUPPORTED, NULL, hint, "the model's outputs are not understood for certain%s%s: %s",
                   m->has_task ? " as those of the task " : "", m->has_task ? sw_task_name(m->task) : "", outputs);
}

static sw_status no_such_head(const char *asked, const sw_diag *diag) {
    char hint[512] = "";
    size_t n = 0;
    for (int i = 0; i < N_HEADS && n < sizeof hint; i++)
        n += (size_t)snprintf(hint + n, sizeof hint - n, "%s%s",
                              i == 0             ? ""
                              : i + 1 == N_HEADS ? " and "
                                                 : ", ",
                              heads[i].name);
    if (n < sizeof hint) snprintf(hint + n, sizeof hint - n, " are known.");
    return sw_fail(diag, SW_E_USAGE, NULL, hint, "there is no head '%.40s'", asked);
}

sw_status sw__head_find(const sw__model *m, const char *asked, const sw_diag *diag, const sw__head **head) {
    bool known = !asked, trial = false;
    *head = NULL;
    for (int i = 0; i < N_HEADS; i++) {
        if (asked && strcmp(asked, heads[i].name) != 0) continue;
        known = true;
        sw__fit fit = heads[i].fits(&heads[i], m, asked != NULL);
        if (fit == SW__YES && !trial) {
            *head = &heads[i];
            return SW_OK;
        }
        trial = trial || fit == SW__TRIAL;
    }
    if (!known) return no_such_head(asked, diag);
    return trial ? SW_OK : refuse(m, asked, diag);
}

int sw__head_inputs(const sw__head *h, const sw__model *m, int order[SW__MAX_OUTPUTS], int64_t *strides) {
    for (int i = 0; i < m->n_outputs; i++) order[i] = i;
    if (h->form == SW__LISTS) return find_lists(m, order) ? 3 : 0;
    if (h->form != SW__LEVELS) return 1;
    if (h->fits == fits_yunet) {
        for (int i = 0; strides && i < YUNET_LEVELS; i++) strides[i] = levels[0][i];
        return m->n_outputs;
    }
    return find_pairs(m, m->n_outputs / 2, order, strides) ? m->n_outputs : 0;
}

int sw__head_levels(const sw__head *h, int n) {
    return n / (h->fits == fits_yunet ? YUNET_KINDS : 2);
}

int sw__head_classes(const sw__head *h, const sw__model *m) {
    int order[SW__MAX_OUTPUTS];
    switch (h->form) {
    case SW__TABLE:
        return (int)m->outputs[0].dims[h->by_anchor ? 2 : 1] - h->values - sw__head_extra(h, m);
    case SW__LEVELS:
        return sw__head_inputs(h, m, order, NULL) ? (int)m->outputs[order[0]].dims[2] : 0;
    case SW__CLASSES:
        return (int)m->outputs[0].dims[1];
    default:
        return m->n_names;
    }
}
