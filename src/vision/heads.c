#include "vision/head.h"

#include <stdio.h>
#include <string.h>

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

/* All heads so far have one output N a b of which the values of an anchor are known. */
static bool is_table(const sw__model *m, int64_t least, bool by_anchor) {
    const sw_tensor *t = &m->outputs[0];
    if (!is_float(t->dtype) || t->rank != 3) return false;
    int64_t values = t->dims[by_anchor ? 2 : 1];
    return values < 0 || (values >= least && values <= SW__MAX_CLASSES + 5);
}

static bool names_agree(const sw__model *m, int64_t classes) {
    return m->n_names == 0 || m->n_names == classes;
}

/* YOLOv8 to YOLO12: N 4+classes anchors. There are more anchors than values, or the metadata names the
 * classes. */
static sw__fit fits_v8(const sw__model *m, bool asked) {
    const sw_tensor *t = &m->outputs[0];
    int64_t values = t->dims[1], anchors = t->dims[2];
    if (m->n_outputs != 1 || !is_table(m, 5, false)) return SW__NO;
    if (values < 0) return SW__TRIAL;
    if (asked || m->n_names) return asked || m->n_names == values - 4 ? SW__YES : SW__NO;
    if (anchors < 0) return SW__TRIAL;
    return anchors > values || on_grids(m, anchors, 1, 4) ? SW__YES : SW__NO;
}

/* Models that calculate three anchors a cell, with objectness: YOLOv3, v5, v7. Old exports have the maps as
 * further outputs. */
static sw__fit fits_v5(const sw__model *m, bool asked) {
    const sw_tensor *t = &m->outputs[0];
    if (!is_table(m, 6, true)) return SW__NO;
    for (int i = 1; i < m->n_outputs; i++)
        if (m->outputs[i].rank != 5) return SW__NO;
    if (t->dims[2] < 0) return SW__TRIAL;
    if (asked) return SW__YES;
    if (!names_agree(m, t->dims[2] - 5)) return SW__NO;
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

static sw__fit fits_cells(const sw__model *m, bool asked, bool decoded, bool all_objects) {
    const sw_tensor *t = &m->outputs[0];
    if (m->n_outputs != 1 || !is_table(m, 6, true)) return SW__NO;
    if (t->dims[2] < 0) return SW__TRIAL;
    if (asked) return SW__YES;
    if (!names_agree(m, t->dims[2] - 5)) return SW__NO;
    if (t->dims[1] >= 0 && !on_grids(m, t->dims[1], 1, 1)) return SW__NO;
    if (!t->data) return SW__TRIAL;
    evidence e = look_at(m);
    return e.decoded == decoded && (!decoded || e.all_objects == all_objects) ? SW__YES : SW__NO;
}

static sw__fit fits_yolox(const sw__model *m, bool asked) {
    return fits_cells(m, asked, false, false);
}
static sw__fit fits_yolox_decoded(const sw__model *m, bool asked) {
    return fits_cells(m, asked, true, false);
}
static sw__fit fits_v6(const sw__model *m, bool asked) {
    return fits_cells(m, asked, true, true);
}

/* Final boxes: YOLOv10, YOLO26, and exports that contain their own suppression. */
static sw__fit fits_end_to_end(const sw__model *m, bool asked) {
    const sw_tensor *t = &m->outputs[0];
    enum { MOST_BOXES = 1000 };
    if (m->n_outputs != 1 || !is_float(t->dtype) || t->rank != 3) return SW__NO;
    if (t->dims[2] < 0) return SW__TRIAL;
    if (t->dims[2] != 6) return SW__NO;
    if (asked || m->end_to_end) return SW__YES;
    if (t->dims[1] < 0) return SW__TRIAL;
    bool anchors = on_grids(m, t->dims[1], 3, 4) || on_grids(m, t->dims[1], 1, 1); /* of a single class */
    return !anchors && t->dims[1] <= MOST_BOXES ? SW__YES : SW__NO;
}

static const sw__head heads[] = {
    {"end2end", "N x boxes x 6 (x1 y1 x2 y2 score class)", fits_end_to_end, 6, true, NULL, false, false, false},
    {"yolov8", "N x 4+classes x anchors", fits_v8, 4, false, "v8", false, false, false},
    {"yolov5", "N x anchors x 5+classes, three anchors a cell", fits_v5, 5, true, "v5", false, false, false},
    {"yolox", "N x anchors x 5+classes, one anchor a cell", fits_yolox, 5, true, "yolox", true, true, true},
    {"yolox-decoded", "the same in pixels", fits_yolox_decoded, 5, true, "v5", true, true, true},
    {"yolov6", "the same in pixels, objectness 1", fits_v6, 5, true, "v5", false, false, false},
};
enum { N_HEADS = sizeof heads / sizeof heads[0] };

static sw_status refuse(const sw__model *m, const char *asked, const sw_diag *diag) {
    char hint[768] = "Understood are:", outputs[512];
    size_t n = strlen(hint);
    for (int i = 0; i < N_HEADS; i++)
        n += (size_t)snprintf(hint + n, sizeof hint - n, "%s %s: %s", i ? ";" : "", heads[i].name, heads[i].shape);
    snprintf(hint + n, sizeof hint - n, ".");
    sw__model_list_outputs(m, outputs, sizeof outputs);
    if (asked)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, hint, "the model's outputs cannot be those of a %s: %s", asked,
                       outputs);
    return sw_fail(diag, SW_E_UNSUPPORTED, NULL, hint, "the model's outputs are not understood for certain: %s",
                   outputs);
}

sw_status sw__head_find(const sw__model *m, const char *asked, const sw_diag *diag, const sw__head **head) {
    bool known = !asked, trial = false;
    *head = NULL;
    for (int i = 0; i < N_HEADS; i++) {
        if (asked && strcmp(asked, heads[i].name) != 0) continue;
        known = true;
        sw__fit fit = heads[i].fits(m, asked != NULL);
        if (fit == SW__YES) {
            *head = &heads[i];
            return SW_OK;
        }
        trial = trial || fit == SW__TRIAL;
    }
    if (!known)
        return sw_fail(diag, SW_E_USAGE, NULL, "end2end, yolov8, yolov5, yolox, yolox-decoded and yolov6 are known.",
                       "there is no head '%.40s'", asked);
    return trial ? SW_OK : refuse(m, asked, diag);
}

int sw__head_classes(const sw__head *head, const sw__model *m) {
    if (!head->layout) return m->n_names;
    return (int)m->outputs[0].dims[head->by_anchor ? 2 : 1] - head->values;
}
