/* slipway bench: models in the formats that backends like. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/process.h"
#include "base/str.h"
#include "build/build.h"
#include "cli/bench.h"
#include "cli/verify.h"
#include "engine/inputs.h"
#include "engine/plan_file.h"
#include "import/openvino/openvino.h"
#include "import/pt/pt.h"
#include "import/tflite/tflite.h"
#include "pass/pass.h"

enum { PNNX_SECONDS = 300 };

static const char *format_of(const char *path) {
    sw_map map;
    if (sw_path_kind_of(path) == SW_PATH_FOLDER) return "openvino";
    if (sw_map_open(path, NULL, &map) != SW_OK) return "onnx"; /* whoever reads it says why */
    const char *format = sw_plan_sniff(map.data, map.size)          ? "plan"
                         : sw_pt_is_torchscript(map.data, map.size) ? "torchscript"
                         : sw_pt_sniff(map.data, map.size)          ? "pt"
                         : sw_tflite_sniff(map.data, map.size)      ? "tflite"
                         : sw_openvino_sniff(map.data, map.size)    ? "openvino"
                                                                    : "onnx";
    sw_map_close(&map);
    return format;
}

/* -- Inputs -------------------------------------------------------------------------------------------------------- */

static sw_status set_inputs(sw_bench_model *m, sw_tensor *types, const char *const *names, int n, sw_arena *arena,
                            const sw_diag *diag) {
    m->inputs = SW_ARENA_ARRAY(arena, sw_named, n + 1);
    if (!m->inputs) return SW_E_NOMEM;
    for (int i = 0; i < n; i++) {
        if (!sw_tensor_is_concrete(&types[i]))
            return sw_fail(diag, SW_E_USAGE, m->path, "give --imgsz, or export it with fixed sizes",
                           "the size of the input '%s' is open", names[i]);
        SW_TRY(sw_tensor_fill(arena, &types[i]));
        m->inputs[i] = (sw_named){sw_arena_strdup(arena, names[i]), types[i]};
        if (!m->inputs[i].name) return SW_E_NOMEM;
    }
    m->n_inputs = n;
    return SW_OK;
}

static sw_status read_plan(sw_bench_model *m, const sw_bench_want *want, sw_arena *arena, const sw_diag *diag) {
    sw_plan *plan;
    SW_TRY(sw_plan_load(m->path, &(sw_load_options){.strict = want->strict}, diag, &plan));
    int n = sw_plan_inputs(plan);
    sw_tensor *types = SW_ARENA_ARRAY(arena, sw_tensor, n + 1);
    const char **names = SW_ARENA_ARRAY(arena, const char *, n + 1);
    sw_status status = types && names ? SW_OK : SW_E_NOMEM;
    if (status == SW_OK) sw_plan_usual_inputs(plan, types);
    for (int i = 0; i < n && status == SW_OK; i++) {
        names[i] = sw_plan_input(plan, i)->name;
        int64_t *dims = types[i].dims, declared = sw_plan_input(plan, i)->type.dims[0];
        if (types[i].rank > 0 && want->batch && declared < 0) dims[0] = want->batch;
        if (types[i].rank > 0 && want->batch && dims[0] != want->batch)
            status = sw_fail(diag, SW_E_USAGE, m->path, "build it with --shapes",
                             "the plan is for batches of %lld, not %lld", (long long)dims[0], (long long)want->batch);
    }
    if (status == SW_OK) sw_plan_assume_inputs(plan, types);
    if (status == SW_OK) status = set_inputs(m, types, names, n, arena, diag);
    sw_plan_unref(plan);
    return status;
}

static sw_status read_graph(sw_bench_model *m, sw_arena *arena, const sw_diag *diag) {
    sw_graph *graph;
    SW_TRY(sw_graph_load(m->path, diag, &graph));
    sw_status status = sw_export_prepare(graph, &m->options, diag);
    sw_tensor *types = SW_ARENA_ARRAY(arena, sw_tensor, graph->n_inputs + 1);
    const char **names = SW_ARENA_ARRAY(arena, const char *, graph->n_inputs + 1);
    if (status == SW_OK && (!types || !names)) status = SW_E_NOMEM;
    for (int i = 0; i < graph->n_inputs && status == SW_OK; i++) {
        types[i] = graph->inputs[i]->type;
        names[i] = graph->inputs[i]->name;
    }
    for (const sw_node *node = graph->first; node; node = node->next)
        m->quantised |= strstr(sw_op_get(node->op)->name, "Linear") != NULL;
    if (status == SW_OK) status = set_inputs(m, types, names, graph->n_inputs, arena, diag);
    sw_graph_destroy(graph);
    return status;
}

/* Code that only PyTorch runs, and that does not say its inputs: those of --shapes, else pictures of the size of --imgsz. */
static sw_status assume_inputs(sw_bench_model *m, const sw_bench_want *want, sw_arena *arena, const sw_diag *diag) {
    const sw_shape_range picture = {.rank = 4, .opt = {want->batch ? want->batch : 1, 3, want->height, want->width}};
    const sw_shape_range *shapes = want->n_shapes ? want->shapes : &picture;
    int n = want->n_shapes ? want->n_shapes : 1;
    if (!want->n_shapes && !want->height)
        return sw_fail(diag, SW_E_USAGE, m->path, "give --imgsz or --shapes",
                       "a TorchScript archive does not say how large its inputs are");
    sw_tensor *types = SW_ARENA_ARRAY(arena, sw_tensor, n);
    const char **names = SW_ARENA_ARRAY(arena, const char *, n);
    if (!types || !names) return SW_E_NOMEM;
    for (int i = 0; i < n; i++) {
        types[i] = (sw_tensor){.dtype = SW_F32, .rank = shapes[i].rank};
        memcpy(types[i].dims, shapes[i].opt, sizeof shapes[i].opt);
        names[i] = shapes[i].input ? shapes[i].input : i ? sw_arena_printf(arena, "input%d", i) : "images";
        if (!names[i]) return SW_E_NOMEM;
    }
    return set_inputs(m, types, names, n, arena, diag);
}

sw_status sw_bench_model_open(const char *path, const sw_bench_want *want, sw_arena *arena, const sw_diag *diag,
                              sw_bench_model *model) {
    const char *temporary = getenv("TMPDIR");
    *model = (sw_bench_model){.path = path, .format = format_of(path)};
    model->options =
        (sw_export_options){.stem = "model", .batch = want->batch, .height = want->height, .width = want->width};
    const char *base = sw_arena_printf(arena, "%s/slipway-bench", temporary && temporary[0] ? temporary : "/tmp");
    if (!base) return SW_E_NOMEM;
    SW_TRY(sw_stage_open(base, diag, &model->folder));
    if (!strcmp(model->format, "torchscript")) return assume_inputs(model, want, arena, diag);
    return !strcmp(model->format, "plan") ? read_plan(model, want, arena, diag) : read_graph(model, arena, diag);
}

void sw_bench_model_close(sw_bench_model *model) {
    sw_stage_abort(model->folder);
}

/* -- Files --------------------------------------------------------------------------------------------------------- */

static const char *new_path(sw_bench_model *m, const char *ending, sw_arena *arena) {
    const char *path = sw_stage_path(m->folder);
    return sw_arena_printf(arena, "%.*smodel%d%s", (int)(sw_path_name(path) - path), path, m->n_made++, ending);
}

static sw_status make_export(sw_bench_model *m, const char *format, sw_arena *arena, const sw_diag *diag,
                             const char **path) {
    const sw_exporter *exporter = sw_exporter_find(format, strlen(format));
    sw_graph *graph;
    *path = new_path(m, exporter->ending, arena);
    if (!*path) return SW_E_NOMEM;
    SW_TRY(sw_graph_load(m->path, diag, &graph));
    sw_status status = sw_export_prepare(graph, &m->options, diag);
    graph->keep_integers = true;
    if (status == SW_OK) status = sw_passes_run(graph, SW_EXPORT_LAST_PASS, diag);
    if (status == SW_OK) status = exporter->write(graph, &m->options, *path, diag);
    sw_graph_destroy(graph);
    return status;
}

static sw_status make_plan(sw_bench_model *m, const sw_bench_build *build, sw_arena *arena, const sw_diag *diag,
                           const char **path) {
    sw_shape_range *ranges = SW_ARENA_ARRAY(arena, sw_shape_range, m->n_inputs + 1);
    *path = new_path(m, ".slip", arena);
    if (!ranges || !*path) return SW_E_NOMEM;
    for (int i = 0; i < m->n_inputs; i++) {
        const sw_tensor *t = &m->inputs[i].type;
        ranges[i] = (sw_shape_range){.input = m->inputs[i].name, .rank = t->rank};
        for (int k = 0; k < t->rank; k++) ranges[i].min[k] = ranges[i].opt[k] = ranges[i].max[k] = t->dims[k];
    }
    sw_tuning tuning = {.level = build->level, .threads = build->threads, .seconds = 30};
    sw_build_options options = {
        .shapes = ranges,
        .n_shapes = m->n_inputs,
        .precision = build->precision,
        .tf32 = build->tf32,
        .device = build->device,
    };
    sw_plan_save_options save = {.portable =
                                     build->device && strcmp(build->device, "cpu") != 0}; /* GPUs want raw weights */
    if (build->level) options.tuning = &tuning;
    sw_plan *plan;
    SW_TRY(sw_plan_build_with(m->path, &options, diag, &plan));
    sw_status status = sw_plan_save(plan, *path, &save, diag);
    sw_plan_unref(plan);
    return status;
}

/* By pnnx, of PyPI's wheel of that name, from ONNX. */
static sw_status make_ncnn(sw_bench_model *m, sw_arena *arena, const sw_diag *diag, const char **path) {
    const char *onnx, *pnnx = NULL, *text;
    sw_python python;
    SW_TRY(sw_python_find(arena, &python));
    for (int i = 0; i < python.n && !pnnx; i++) {
        pnnx = sw_arena_printf(arena, "%s/pnnx/pnnx", python.folders[i]);
        if (!pnnx) return SW_E_NOMEM;
        if (sw_path_kind_of(pnnx) != SW_PATH_FILE) pnnx = NULL;
    }
    if (!pnnx)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "pip install pnnx",
                       "there is no pnnx, which makes models for ncnn");
    SW_TRY(make_export(m, "onnx", arena, diag, &onnx));
    /* Where it writes, word for word: by itself it cuts names at dots. */
    static const char *const outputs[][2] = {
        {"ncnnparam", ".param"},  {"ncnnbin", ".bin"},    {"ncnnpy", "_ncnn.py"},    {"pnnxparam", ".pnnx"},
        {"pnnxbin", ".pnnx.bin"}, {"pnnxpy", "_pnnx.py"}, {"pnnxonnx", ".pnnx.onnx"}};
    enum { N_OUTPUTS = sizeof outputs / sizeof *outputs };
    const char *argv[N_OUTPUTS + 4] = {pnnx, onnx, "fp16=0"};
    int stem = (int)(strlen(onnx) - strlen(".onnx"));
    for (int i = 0; i < N_OUTPUTS; i++) {
        argv[3 + i] = sw_arena_printf(arena, "%s=%.*s%s", outputs[i][0], stem, onnx, outputs[i][1]);
        if (!argv[3 + i]) return SW_E_NOMEM;
    }
    sw_status status = sw_process_capture(argv, PNNX_SECONDS, arena, &text);
    if (status == SW_E_NOMEM) return status;
    if (status != SW_OK) return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL, "pnnx refused the model: %s", text);
    *path = sw_arena_printf(arena, "%.*s.param", stem, onnx);
    return *path ? SW_OK : SW_E_NOMEM;
}

static sw_status make_file(sw_bench_model *m, const char *format, const sw_bench_build *build, sw_arena *arena,
                           const sw_diag *diag, const char **path) {
    if (!strcmp(m->format, "plan"))
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL,
                       "a plan runs in Slipway only; give the model that it was built from");
    if (!strcmp(format, "plan")) return make_plan(m, build, arena, diag, path);
    if (!strcmp(format, "pt"))
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL, "PyTorch takes checkpoints (.pt) only, this is %s",
                       m->format);
    return !strcmp(format, "ncnn") ? make_ncnn(m, arena, diag, path) : make_export(m, format, arena, diag, path);
}

sw_status sw_bench_file(sw_bench_model *model, const sw_foreign_runtime *runtime, const sw_bench_build *build,
                        sw_arena *arena, const sw_diag *diag, const char **path) {
    enum { MOST_MADE = sizeof model->made / sizeof model->made[0] };
    size_t first = strcspn(runtime->reads, ",");
    for (const char *at = runtime->reads; *at;) {
        size_t length = strcspn(at, ",");
        if (strlen(model->format) == length && !memcmp(model->format, at, length)) {
            *path = sw_model_file(model->path, arena);
            return *path ? SW_OK : SW_E_NOMEM;
        }
        at += length + (at[length] == ',');
    }
    const char *format = sw_arena_strndup(arena, runtime->reads, first);
    if (!format) return SW_E_NOMEM;
    int n = 0;
    for (; n < MOST_MADE && model->made[n].format; n++)
        if (!strcmp(model->made[n].format, format) && strcmp(format, "plan") != 0) {
            *path = model->made[n].path;
            return SW_OK;
        }
    SW_TRY(make_file(model, format, build, arena, diag, path));
    *path = sw_model_file(*path, arena);
    if (!*path) return SW_E_NOMEM;
    if (n < MOST_MADE) {
        model->made[n].format = format;
        model->made[n].path = *path;
    }
    return SW_OK;
}
