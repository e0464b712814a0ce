/* Boxes and points in pixels, or in fractions of the picture's sides: Ultralytics' runtimes read fractions from TensorFlow Lite
 * files, and pixels from all others. */
#include <string.h>

#include "base/pyliteral.h"
#include "export/export.h"
#include "ir/tflite_schema.h"

/* Values of a keypoint in the metadata ([17, 3]), and of all together; 0: none. */
static int64_t point_values(const sw_graph *graph, int64_t *total) {
    const char *text = sw_graph_meta(graph, "kpt_shape");
    sw_py shape;
    if (!text || sw_py_parse(graph->arena, text, &shape) != SW_OK || shape.type != SW_PY_LIST || shape.n != 2) return 0;
    *total = shape.items[0].i * shape.items[1].i;
    return shape.items[1].i >= 2 ? shape.items[1].i : 0;
}

/* What the values of a row are multiplied with: the sides x and y, in turn, where they are coordinates. */
static void fill_factors(const sw_graph *graph, float *v, int64_t n, const float sides[2]) {
    int64_t total = 0, step = point_values(graph, &total);
    bool points = !strcmp(sw_graph_meta(graph, "task"), "pose") && step && total <= n - 4;
    for (int64_t i = 0; i < n; i++) v[i] = i < 4 ? sides[i % 2] : 1;
    for (int64_t i = n - total; points && i + 1 < n; i += step) {
        v[i] = sides[0];
        v[i + 1] = sides[1];
    }
}

sw_status sw_export_coordinates(sw_graph *graph, bool fractions) {
    const char *task = sw_graph_meta(graph, "task"), *head = sw_graph_meta(graph, "head");
    const char *end2end = sw_graph_meta(graph, "end2end"), *is = sw_graph_meta(graph, SW_META_COORDINATES);
    sw_value *y = graph->n_outputs ? graph->outputs[0] : NULL;
    if ((is && !strcmp(is, "normalized")) == fractions) return SW_OK;
    if (!task || !strcmp(task, "classify") || !sw_graph_meta(graph, "stride") || graph->n_inputs != 1 || !y ||
        y->type.rank != 3 || graph->inputs[0]->type.rank != 4)
        return SW_OK;
    SW_TRY(sw_graph_set_meta(graph, SW_META_COORDINATES, fractions ? "normalized" : "pixels"));
    const int64_t *dims = graph->inputs[0]->type.dims;
    bool rows = end2end && !strcmp(end2end, "True"), last = dims[1] != 3 && dims[3] == 3;
    /* Such rows are pixels in files of channels-first pictures, too: Ultralytics has two writers. */
    if ((head && !strcmp(head, "RTDETRDecoder")) || (rows && !fractions && !last)) return SW_OK;
    int axis = rows ? 2 : 1;
    int64_t n = y->type.dims[axis], shape[3] = {1, 1, 1};
    float sides[2] = {(float)dims[last ? 2 : 3], (float)dims[last ? 1 : 2]};
    for (int i = 0; fractions && i < 2; i++) sides[i] = 1 / sides[i];
    shape[axis] = n;
    sw_value *factors = sw_graph_new_const(graph, "normalize", SW_F32, 3, shape);
    if (!factors) return SW_E_NOMEM;
    fill_factors(graph, factors->type.data, n, sides);
    sw_value *out = sw_graph_apply(graph, NULL, SW_OP_Mul, "normalize", 2, (sw_value *[]){y, factors});
    if (!out) return SW_E_NOMEM;
    out->type = y->type;
    sw_graph_replace_output(graph, y, out);
    return SW_OK;
}
