/* Sizes of the inputs and metadata, before the passes run. */
#include <string.h>

#include "base/pyliteral.h"
#include "base/str.h"
#include "export/export.h"

/* ---- Sizes --------------------------------------------------------------------------------------------------------- */

enum { USUAL_STRIDE = 32, MAX_SIDE = 16384 };

static int64_t meta_int(const sw_graph *graph, const char *key, int64_t missing) {
    const char *text = sw_graph_meta(graph, key);
    int64_t value;
    return text && sw_str_to_i64(text, strlen(text), &value) ? value : missing;
}

/* "[640, 480]", "640"; false when the metadata does not say. */
static bool meta_size(const sw_graph *graph, int64_t size[2]) {
    const char *text = sw_graph_meta(graph, "imgsz");
    sw_arena *arena = text ? sw_arena_create(graph->allocator, 0) : NULL;
    sw_py py;
    bool good = arena && sw_py_parse(arena, text, &py) == SW_OK;
    if (good && py.type == SW_PY_INT)
        size[0] = size[1] = py.i;
    else if (good && py.type == SW_PY_LIST && py.n == 2 && py.items[0].type == SW_PY_INT)
        size[0] = py.items[0].i, size[1] = py.items[1].i;
    else
        good = false;
    sw_arena_destroy(arena);
    return good && size[0] > 0 && size[1] > 0 && size[0] <= MAX_SIDE && size[1] <= MAX_SIDE;
}

/* Sides that the network can halve as often as it does. Classifiers take any. */
static int64_t whole_strides(const sw_graph *graph, int64_t side, const sw_diag *diag) {
    const char *task = sw_graph_meta(graph, "task");
    int64_t stride = task && strcmp(task, "classify") ? meta_int(graph, "stride", USUAL_STRIDE) : 1;
    if (stride < 1 || stride > MAX_SIDE || side % stride == 0) return side;
    int64_t up = (side + stride - 1) / stride * stride;
    sw_warn(diag, NULL, "--imgsz %lld is no multiple of the model's stride %lld: taken as %lld", (long long)side,
            (long long)stride, (long long)up);
    return up;
}

typedef struct wanted {
    const char *option, *what;
    int64_t given, standard; /* 0: none */
} wanted;

static sw_status set_dim(sw_graph *graph, const sw_value *input, int axis, const wanted *w, bool dynamic,
                         const sw_diag *diag) {
    int64_t *dim = &((sw_value *)(uintptr_t)input)->type.dims[axis];
    if (*dim >= 0) {
        if (!w->given || w->given == *dim) return SW_OK;
        return sw_fail(diag, SW_E_USAGE, NULL, "export from the checkpoint, or from a model whose sizes are open",
                       "%s %lld: the model's %s is fixed at %lld", w->option, (long long)w->given, w->what,
                       (long long)*dim);
    }
    int64_t size = w->given ? w->given : w->standard;
    int64_t open = *dim;
    if (dynamic || !size) return SW_OK;
    /* The name stands for the same size wherever else it is an input's. */
    for (int i = 0; i < graph->n_inputs; i++)
        for (int k = 0; k < graph->inputs[i]->type.rank; k++)
            if (open <= SW_DIM_SYMBOL && graph->inputs[i]->type.dims[k] == open) graph->inputs[i]->type.dims[k] = size;
    *dim = size;
    return SW_OK;
}

static bool is_open(const sw_graph *graph) {
    for (int i = 0; i < graph->n_inputs; i++)
        for (int k = 0; k < graph->inputs[i]->type.rank; k++)
            if (graph->inputs[i]->type.dims[k] < 0) return true;
    return false;
}

/* Dims of pictures: N C H W. Other inputs have a batch at most. */
static sw_status set_sizes(sw_graph *graph, const sw_export_options *o, const sw_diag *diag) {
    int64_t size[2] = {0, 0};
    bool known = meta_size(graph, size);
    if (o->dynamic && !is_open(graph))
        return sw_fail(diag, SW_E_USAGE, NULL, "export from the checkpoint, or from a model whose sizes are open",
                       "--dynamic: all sizes of the model are fixed");
    int64_t height = o->height ? whole_strides(graph, o->height, diag) : 0;
    int64_t width = o->width == o->height ? height : whole_strides(graph, o->width, diag);
    const wanted batch = {"--batch", "batch", o->batch, known ? 1 : 0}, h = {"--imgsz", "height", height, size[0]},
                 w = {"--imgsz", "width", width, size[1]};
    for (int i = 0; i < graph->n_inputs; i++) {
        const sw_value *input = graph->inputs[i];
        if (input->type.rank < 1) continue;
        SW_TRY(set_dim(graph, input, 0, &batch, o->dynamic, diag));
        if (input->type.rank != 4) continue;
        SW_TRY(set_dim(graph, input, 2, &h, o->dynamic, diag));
        SW_TRY(set_dim(graph, input, 3, &w, o->dynamic, diag));
    }
    return SW_OK;
}

/* ---- Metadata ------------------------------------------------------------------------------------------------------ */

/* As Ultralytics orders them; others follow. */
static const char *const order[] = {"description", "author", "date", "version",  "license",
                                    "docs",        "stride", "task", "head",     "batch",
                                    "imgsz",       "names",  "args", "channels", "end2end"};

static sw_status sort_meta(sw_graph *graph) {
    sw_meta *sorted = SW_ARENA_ARRAY(graph->arena, sw_meta, graph->n_meta + 1);
    size_t n = 0;
    if (!sorted) return SW_E_NOMEM;
    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (size_t i = 0; i < graph->n_meta; i++)
            if (!strcmp(graph->meta[i].key, order[k])) sorted[n++] = graph->meta[i];
    for (size_t i = 0; i < graph->n_meta; i++) {
        bool done = false;
        for (size_t k = 0; k < n && !done; k++) done = !strcmp(sorted[k].key, graph->meta[i].key);
        if (!done) sorted[n++] = graph->meta[i];
    }
    memcpy(graph->meta, sorted, n * sizeof *sorted);
    return SW_OK;
}

/* "Ultralytics YOLO11n model" of "yolo11n". */
static sw_status describe(sw_graph *graph, const char *stem) {
    const char *author = sw_graph_meta(graph, "author");
    if (sw_graph_meta(graph, "description") || !author || strcmp(author, "Ultralytics") != 0) return SW_OK;
    bool yolo = sw_str_starts_with(stem, "yolo");
    char *text = sw_arena_printf(graph->arena, "Ultralytics %s%s model", yolo ? "YOLO" : "", stem + (yolo ? 4 : 0));
    return text ? sw_graph_set_meta(graph, "description", text) : SW_E_NOMEM;
}

/* What the exporter was asked for, which Ultralytics reads back: dynamic, nms. */
static sw_status set_args(sw_graph *graph, const sw_export_options *o, bool dynamic, int64_t batch) {
    const char *old = sw_graph_meta(graph, "args");
    sw_py py;
    bool nms = o->nms.on;
    int64_t bits = o->precision == SW_F16 ? 16 : 0;
    if (old && sw_py_parse(graph->arena, old, &py) == SW_OK) {
        const sw_py *had = sw_py_get(&py, "nms"), *quantize = sw_py_get(&py, "quantize");
        nms |= had && had->type == SW_PY_BOOL && had->b;
        if (!o->precision && quantize && quantize->type == SW_PY_INT) bits = quantize->i;
    }
    char quantized[24] = "None", opset[16] = "None";
    if (bits) snprintf(quantized, sizeof quantized, "%lld", (long long)bits);
    if (o->opset) snprintf(opset, sizeof opset, "%d", o->opset);
    char *text = sw_arena_printf(
        graph->arena, "{'batch': %lld, 'quantize': %s, 'nms': %s, 'dynamic': %s, 'simplify': True, 'opset': %s}",
        (long long)batch, quantized, nms ? "True" : "None", dynamic ? "True" : "False", opset);
    return text ? sw_graph_set_meta(graph, "args", text) : SW_E_NOMEM;
}

static sw_status set_metadata(sw_graph *graph, const sw_export_options *o) {
    const sw_tensor *type = graph->n_inputs == 1 ? &graph->inputs[0]->type : NULL;
    if (!sw_graph_meta(graph, "task") || !type || type->rank != 4) return SW_OK; /* not of that family */
    int64_t batch = type->dims[0] > 0 ? type->dims[0] : o->batch ? o->batch : 1;
    char *batch_text = sw_arena_printf(graph->arena, "%lld", (long long)batch);
    bool last = type->dims[1] != 3 && type->dims[3] == 3; /* channels-last, from TensorFlow Lite */
    int64_t size[2] = {type->dims[last ? 1 : 2], type->dims[last ? 2 : 3]};
    if (size[0] < 0 && o->height) size[0] = o->height;
    if (size[1] < 0 && o->width) size[1] = o->width;
    char *imgsz = sw_arena_printf(graph->arena, "[%lld, %lld]", (long long)size[0], (long long)size[1]);
    if (!batch_text || !imgsz) return SW_E_NOMEM;
    SW_TRY(describe(graph, o->stem));
    SW_TRY(sw_graph_set_meta(graph, "batch", batch_text));
    if (size[0] > 0 && size[1] > 0) SW_TRY(sw_graph_set_meta(graph, "imgsz", imgsz));
    SW_TRY(set_args(graph, o, is_open(graph), batch));
    return sort_meta(graph);
}

sw_status sw_export_prepare(sw_graph *graph, const sw_export_options *options, const sw_diag *diag) {
    SW_TRY(set_sizes(graph, options, diag));
    return set_metadata(graph, options);
}
