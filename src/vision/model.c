#include "vision/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const char *meta(const sw__model *m, const char *key) {
    return sw_plan_meta(m->plan, key);
}

/* Metadata as a literal. None when there is no such key, or its text is broken (which is worth a warning, not more). */
static sw_status meta_literal(const sw__model *m, const char *key, sw_arena *arena, const sw_diag *diag, sw_py *value) {
    const char *text = meta(m, key);
    sw_status status = text ? sw_py_parse(arena, text, value) : SW_E_INPUT;
    if (status == SW_OK || status == SW_E_NOMEM) return status;
    if (text) sw_warn(diag, NULL, "the model's metadata '%s' cannot be read and is ignored", key);
    *value = (sw_py){.type = SW_PY_NONE};
    return SW_OK;
}

/* The class id that names[i] names, -1 for none: keys of a dict are numbers or, in JSON, texts of numbers. */
static int64_t name_id(const sw_py *names, size_t i) {
    bool dict = names->type == SW_PY_DICT;
    const sw_py *name = dict ? &names->items[2 * i + 1] : &names->items[i];
    const sw_py *key = dict ? &names->items[2 * i] : NULL;
    int64_t id = (int64_t)i;
    if (name->type != SW_PY_STRING) return -1;
    if (key && key->type == SW_PY_INT)
        id = key->i;
    else if (key && (key->type != SW_PY_STRING || !sw_str_to_i64(key->s, strlen(key->s), &id)))
        return -1;
    return id < SW__MAX_CLASSES ? id : -1;
}

/* Class names from {0: 'person', ...}, {"0": "person"} or ['person', ...]. */
static sw_status read_names(sw__model *m, sw_arena *arena, const sw_diag *diag) {
    sw_py names;
    SW_TRY(meta_literal(m, "names", arena, diag, &names));
    if (names.type != SW_PY_DICT && names.type != SW_PY_LIST) return SW_OK;
    for (size_t i = 0; i < names.n; i++)
        if (name_id(&names, i) >= m->n_names) m->n_names = (int)name_id(&names, i) + 1;
    if (m->n_names == 0) return SW_OK;
    const char **table = SW_ARENA_ARRAY(arena, const char *, m->n_names);
    if (!table) return SW_E_NOMEM;
    for (size_t i = 0; i < names.n; i++) {
        int64_t id = name_id(&names, i);
        if (id >= 0) table[id] = names.type == SW_PY_DICT ? names.items[2 * i + 1].s : names.items[i].s;
    }
    m->names = table;
    return SW_OK;
}

static bool says_true(const sw_py *value) {
    return value && (value->type == SW_PY_BOOL ? value->b : value->type == SW_PY_INT && value->i != 0);
}

static sw_status read_task(sw__model *m, const sw_diag *diag) {
    const char *task = meta(m, "task");
    if (!task) return SW_OK;
    for (int i = 0; i < SW_TASK_COUNT; i++)
        if (strcmp(task, sw_task_name((sw_task)i)) == 0) {
            m->task = (sw_task)i;
            m->has_task = true;
            return SW_OK;
        }
    return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "Known are detect, segment, pose, obb and classify.",
                   "the model was made for the task '%.40s', which is not known", task);
}

/* The points of an object: kpt_shape is [17, 3]. */
static sw_status read_points(sw__model *m, sw_arena *arena, const sw_diag *diag) {
    enum { MOST_POINTS = 4096 };
    sw_py value;
    SW_TRY(meta_literal(m, "kpt_shape", arena, diag, &value));
    if (value.type != SW_PY_LIST || value.n != 2) return SW_OK;
    const sw_py *points = &value.items[0], *values = &value.items[1];
    if (points->type != SW_PY_INT || values->type != SW_PY_INT || points->i < 1 || points->i > MOST_POINTS ||
        values->i < 2 || values->i > 3)
        return SW_OK;
    m->n_points = (int)points->i;
    m->point_values = (int)values->i;
    return SW_OK;
}

static sw_status read_metadata(sw__model *m, sw_arena *arena, const sw_diag *diag) {
    sw_py value;
    SW_TRY(read_task(m, diag));
    SW_TRY(read_points(m, arena, diag));
    const char *head = meta(m, "head"), *description = meta(m, "description");
    m->rtdetr = (head && strcmp(head, "RTDETRDecoder") == 0) ||
                (description && (strstr(description, "rtdetr") || strstr(description, "RT-DETR")));
    const char *coordinates = meta(m, "coordinates"); /* what Ultralytics writes to TensorFlow Lite files only */
    m->normalized = coordinates && strcmp(coordinates, "normalized") == 0 && !m->rtdetr;
    m->stride = 32;
    SW_TRY(meta_literal(m, "stride", arena, diag, &value));
    if (value.type == SW_PY_INT && value.i >= 1 && value.i <= SW__MAX_STRIDE) m->stride = value.i;
    m->conf = -1;
    SW_TRY(meta_literal(m, "conf", arena, diag, &value));
    if ((value.type == SW_PY_FLOAT || value.type == SW_PY_INT) && value.f >= 0 && value.f <= 1) m->conf = value.f;
    SW_TRY(meta_literal(m, "end2end", arena, diag, &value));
    m->end_to_end = says_true(&value);
    SW_TRY(meta_literal(m, "args", arena, diag, &value));
    if (says_true(sw_py_get(&value, "nms"))) m->end_to_end = true;
    return read_names(m, arena, diag);
}

/* Integers of outputs, where the metadata tells what they stand for. */
static sw_status read_scales(sw__model *m, sw_arena *arena, const sw_diag *diag) {
    sw_py value;
    SW_TRY(meta_literal(m, "quantization", arena, diag, &value));
    for (int i = 0; value.type == SW_PY_DICT && i < m->n_outputs; i++) {
        const sw_py *pair = sw_py_get(&value, sw_plan_output(m->plan, i)->name);
        sw_dtype dtype = m->outputs[i].dtype;
        int least = dtype == SW_I8 ? INT8_MIN : 0, most = dtype == SW_I8 ? INT8_MAX : UINT8_MAX;
        if ((dtype != SW_U8 && dtype != SW_I8) || !pair || pair->type != SW_PY_LIST || pair->n != 2 ||
            pair->items[0].type != SW_PY_FLOAT || !(pair->items[0].f > 0) || pair->items[1].type != SW_PY_INT ||
            pair->items[1].i < least || pair->items[1].i > most)
            continue;
        m->scale[i] = (float)pair->items[0].f;
        m->zero[i] = (uint8_t)pair->items[1].i;
        m->quantised = true;
        m->outputs[i].dtype = SW_F32;
    }
    return SW_OK;
}

static bool is_picture_type(sw_dtype dtype) {
    return dtype == SW_F32 || dtype == SW_F16 || dtype == SW_BF16 || dtype == SW_F64 || dtype == SW_U8 ||
           dtype == SW_I8;
}

static int print_tensor(char *text, size_t size, const char *name, const sw_tensor *t) {
    int n = snprintf(text, size, "%.60s %s", name, sw_dtype_name(t->dtype));
    if (t->rank == SW_RANK_UNKNOWN) return n + snprintf(text + n, size - (size_t)n, " of unknown rank");
    for (int i = 0; i < t->rank; i++) {
        const char *before = i ? "x" : " ";
        n += t->dims[i] < 0 ? snprintf(text + n, size - (size_t)n, "%s?", before)
                            : snprintf(text + n, size - (size_t)n, "%s%" PRId64, before, t->dims[i]);
    }
    return n;
}

static sw_status read_input(sw__model *m, const sw_diag *diag) {
    static const char hint[] =
        "pictures fit into one input of 1x3xHEIGHTxWIDTH or 1xHEIGHTxWIDTHx3, floating, uint8 or int8 (slipway run takes "
        "arrays for any input)";
    int n = sw_plan_inputs(m->plan);
    if (n != 1) return sw_fail(diag, SW_E_UNSUPPORTED, NULL, hint, "the model has %d inputs", n);
    const sw_port *port = sw_plan_input(m->plan, 0);
    sw_tensor type = port->type, *t = &type;
    m->no_batch = t->rank == 3 && t->dims[0] == 3;
    if (m->no_batch) type = (sw_tensor){t->dtype, 4, {1, 3, t->dims[1], t->dims[2]}, NULL};
    bool first = t->rank == 4 && t->dims[1] == 3, last = t->rank == 4 && !first && t->dims[3] == 3;
    if (!is_picture_type(t->dtype) || (!first && !last)) {
        char text[256];
        print_tensor(text, sizeof text, port->name, &port->type);
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, hint, "the model's input is no picture: %s", text);
    }
    m->dtype = t->dtype;
    m->channels_last = last;
    m->batch = t->dims[0] < 0 ? 1 : t->dims[0];
    m->height = t->dims[first ? 2 : 1];
    m->width = t->dims[first ? 3 : 2];
    return SW_OK;
}

static bool is_side(int64_t side) {
    return side >= 1 && side <= UINT16_MAX;
}

/* The size for open dims: the user's, the one that the model was exported with, or what is usual. */
static sw_status wanted_size(const sw__model *m, const int imgsz[2], sw_arena *arena, const sw_diag *diag,
                             int64_t size[2]) {
    sw_py value;
    bool classes = m->has_task ? m->task == SW_TASK_CLASSIFY : sw_plan_output(m->plan, 0)->type.rank == 2;
    for (int i = 0; i < 2; i++) size[i] = imgsz[i] ? imgsz[i] : classes ? 224 : 640;
    if (imgsz[0]) return SW_OK;
    SW_TRY(meta_literal(m, "imgsz", arena, diag, &value));
    const sw_py *height = &value, *width = &value;
    if (value.type == SW_PY_LIST && value.n == 2) {
        height = &value.items[0];
        width = &value.items[1];
    }
    if (height->type == SW_PY_INT && width->type == SW_PY_INT && is_side(height->i) && is_side(width->i)) {
        size[0] = height->i;
        size[1] = width->i;
    }
    return SW_OK;
}

static sw_status choose_size(sw__model *m, const int imgsz[2], sw_arena *arena, const sw_diag *diag) {
    int64_t size[2], *side[2] = {&m->height, &m->width};
    m->dynamic = m->height < 0 && m->width < 0;
    SW_TRY(wanted_size(m, imgsz, arena, diag, size));
    for (int i = 0; i < 2; i++) {
        bool open = *side[i] < 0;
        const char *name = i ? "wide" : "high";
        if (open) *side[i] = (size[i] + m->stride - 1) / m->stride * m->stride;
        if (!is_side(*side[i]))
            return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL,
                           "the model takes pictures of %" PRId64 "x%" PRId64 " pixels; 1 to 65535 a side are possible",
                           m->width, m->height);
        if (imgsz[i] && !open && *side[i] != imgsz[i])
            sw_warn(diag, NULL, "the model takes pictures %" PRId64 " pixels %s only; the size %d is ignored", *side[i],
                    name, imgsz[i]);
        if (imgsz[i] && open && *side[i] != imgsz[i])
            sw_warn(diag, NULL, "the size %d is no multiple of the model's stride %" PRId64 "; %" PRId64 " is used",
                    imgsz[i], m->stride, *side[i]);
    }
    return SW_OK;
}

sw_status sw__model_describe(const sw_plan *plan, const int imgsz[2], sw_arena *arena, const sw_diag *diag,
                             sw__model *m) {
    *m = (sw__model){.plan = plan, .n_outputs = sw_plan_outputs(plan)};
    SW_TRY(read_metadata(m, arena, diag));
    SW_TRY(read_input(m, diag));
    if (m->batch < 1 || m->batch > 1024)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL,
                       "the model takes %" PRId64 " pictures at a time; 1 to 1024 are "
                       "possible",
                       m->batch);
    if (m->n_outputs < 1 || m->n_outputs > SW__MAX_OUTPUTS)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL, "the model has %d outputs; 1 to %d are possible",
                       m->n_outputs, SW__MAX_OUTPUTS);
    SW_TRY(choose_size(m, imgsz, arena, diag));
    for (int i = 0; i < m->n_outputs; i++) m->outputs[i] = sw_plan_output(plan, i)->type;
    return read_scales(m, arena, diag);
}

void sw__model_list_outputs(const sw__model *m, char *text, size_t size) {
    enum { REST = 24 }; /* room for ", and 64 more" */
    size_t n = 0;
    text[0] = 0;
    for (int i = 0; i < m->n_outputs; i++) {
        char item[256];
        print_tensor(item, sizeof item, sw_plan_output(m->plan, i)->name, &m->outputs[i]);
        if (n + strlen(item) + REST > size) {
            snprintf(text + n, size - n, "%sand %d more", i ? ", " : "", m->n_outputs - i);
            return;
        }
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : "", item);
    }
}
