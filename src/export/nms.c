/* Suppression of overlapping boxes as the last nodes of a detector: output0 N 4+classes+extra anchors (centre, size,
 * scores, what goes with the box) becomes N max_det 6+extra (x1 y1 x2 y2 score class, extra; by falling score, zeros
 * behind), as Ultralytics' nms=True. Boxes of different classes are moved apart, so that one class is suppressed at a time. */
#include <string.h>

#include "base/pyliteral.h"
#include "export/export.h"

static const float max_wh = 7680; /* Ultralytics': wider than pictures are */

typedef struct tail {
    sw_graph *graph;
    const sw_export_nms *nms;
    int64_t classes, rows; /* rows: of the output */
    bool memory;           /* false: there was not enough */
} tail;

static sw_value *ints(tail *t, const int64_t *v, int n) {
    sw_value *value = sw_graph_const_ints(t->graph, "nms", v, n);
    if (!value) t->memory = false;
    return value;
}

static sw_value *number(tail *t, float v) {
    const int64_t one = 1;
    sw_value *value = sw_graph_new_const(t->graph, "nms", SW_F32, 1, &one);
    if (value)
        *(float *)value->type.data = v;
    else
        t->memory = false;
    return value;
}

static sw_value *step(tail *t, sw_op op, int n_in, sw_value *const *in) {
    for (int i = 0; i < n_in; i++)
        if (!in[i]) t->memory = false;
    sw_value *out = t->memory ? sw_graph_apply(t->graph, NULL, op, "nms", n_in, in) : NULL;
    if (!out) t->memory = false;
    return out;
}

#define STEP(op, ...)                                                                                                  \
    step(t, SW_OP_##op, sizeof((sw_value *[]){__VA_ARGS__}) / sizeof(sw_value *), (sw_value *[]){__VA_ARGS__})

static sw_value *with_axis(sw_value *value, int64_t axis) {
    if (value) sw_node_set_int(value->producer, "axis", axis);
    return value;
}

static sw_value *slice(tail *t, sw_value *x, int64_t axis, int64_t from, int64_t to) {
    return STEP(Slice, x, ints(t, &from, 1), ints(t, &to, 1), ints(t, &axis, 1));
}

static sw_value *turned(tail *t, sw_value *x) {
    static const int64_t perm[] = {0, 2, 1};
    sw_value *out = STEP(Transpose, x);
    if (out && sw_node_set_ints(t->graph, out->producer, "perm", perm, 3) != SW_OK) t->memory = false;
    return out;
}

/* Rows with zeros behind, as many as detections there may be. */
static sw_value *padded(tail *t, sw_value *rows) {
    const int64_t dims[] = {1, t->nms->max_det, t->rows - t->classes + 2};
    sw_value *zeros = sw_graph_new_const(t->graph, "nms", SW_F32, 2, dims + 1);
    sw_value *first = slice(t, with_axis(STEP(Concat, rows, zeros), 0), 0, 0, dims[1]);
    return STEP(Reshape, first, ints(t, dims, 3)); /* the shape rule cannot see that there are always as many */
}

/* One picture: 1 rows anchors. */
static sw_value *suppress(tail *t, sw_value *x) {
    const int64_t one = 1, last = 2, zero = 0, most = t->nms->max_det;
    sw_value *centre = slice(t, x, 1, 0, 2), *half = STEP(Mul, slice(t, x, 1, 2, 4), number(t, 0.5f));
    sw_value *boxes = with_axis(STEP(Concat, STEP(Sub, centre, half), STEP(Add, centre, half)), 1);
    sw_value *scores = slice(t, x, 1, 4, 4 + t->classes), *best = STEP(ReduceMax, scores, ints(t, &one, 1));
    sw_value *class = STEP(ArgMax, scores);
    sw_value *number_of_class = STEP(Cast, with_axis(class, 1));
    if (number_of_class) sw_node_set_int(number_of_class->producer, "to", 1);
    sw_value *apart = boxes;
    if (!t->nms->agnostic) apart = STEP(Add, boxes, STEP(Mul, number_of_class, number(t, max_wh)));
    sw_value *chosen = STEP(NonMaxSuppression, turned(t, apart), best, ints(t, &most, 1), number(t, t->nms->iou),
                            number(t, t->nms->conf));
    sw_value *places = STEP(Squeeze, slice(t, chosen, 1, last, 3), ints(t, &one, 1));
    sw_value *parts[] = {boxes, best, number_of_class,
                         t->rows > 4 + t->classes ? slice(t, x, 1, 4 + t->classes, t->rows) : NULL};
    sw_value *all = with_axis(step(t, SW_OP_Concat, parts[3] ? 4 : 3, parts), 1);
    sw_value *rows = STEP(Squeeze, turned(t, all), ints(t, &zero, 1));
    return padded(t, with_axis(STEP(Gather, rows, places), 0));
}

static int64_t count_classes(sw_graph *graph) {
    const char *names = sw_graph_meta(graph, "names");
    sw_py dict;
    bool good = names && sw_py_parse(graph->arena, names, &dict) == SW_OK && dict.type == SW_PY_DICT;
    return good ? (int64_t)dict.n : 0;
}

static sw_status check(const sw_graph *graph, const sw_export_options *o, int64_t classes, const sw_diag *diag) {
    const char *task = sw_graph_meta(graph, "task"), *end2end = sw_graph_meta(graph, "end2end"), *why = NULL;
    const sw_tensor *y = graph->n_outputs ? &graph->outputs[0]->type : NULL;
    if (!task || !classes || (strcmp(task, "detect") && strcmp(task, "segment") && strcmp(task, "pose")))
        why = "the model is no detector of upright boxes with class names in its metadata";
    else if ((end2end && !strcmp(end2end, "True")) || !y || y->rank != 3 || (y->dims[2] == 6 && y->dims[1] <= 1000))
        why = "the model gives detections already";
    else if (y->dtype != SW_F32 || y->dims[1] < 4 + classes || !graph->outputs[0]->producer)
        why = "its output is no float32 pictures x 4+classes x anchors";
    else if (y->dims[0] < 1 || y->dims[0] > 64)
        why = "the number of pictures must be fixed, at most 64; without --dynamic it is";
    else if (o->nms.max_det < 1)
        why = "max-det must be 1 or more";
    return why ? sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL, "--nms: %s", why) : SW_OK;
}

sw_status sw_export_add_nms(sw_graph *graph, const sw_export_options *options, const sw_diag *diag) {
    if (!options->nms.on) return SW_OK;
    int64_t classes = count_classes(graph);
    SW_TRY(check(graph, options, classes, diag));
    sw_value *output = graph->outputs[0], *pictures[64], *whole;
    tail t = {.graph = graph, .nms = &options->nms, .classes = classes, .rows = output->type.dims[1], .memory = true};
    int n = (int)output->type.dims[0];
    for (int b = 0; b < n; b++) pictures[b] = suppress(&t, n == 1 ? output : slice(&t, output, 0, b, b + 1));
    whole = n == 1 ? pictures[0] : with_axis(step(&t, SW_OP_Concat, n, pictures), 0);
    if (!t.memory) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    sw_graph_replace_output(graph, output, whole);
    return sw_graph_infer(graph, diag);
}
