#include "build/build.h"

#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/cpu.h"
#include "base/options.h"
#include "base/os.h"
#include "build/tune.h"
#include "build/tune_gpu.h"
#include "build/tune_plan.h"
#include "engine/plan_file.h"
#include "import/onnx/onnx.h"
#include "import/openvino/openvino.h"
#include "import/pt/pt.h"
#include "import/tflite/tflite.h"
#include "pass/pass.h"

/* What importers compute while they build the graph. */
static sw_status evaluate(const sw_call *call) {
    return sw_cpu_run(call, NULL, NULL);
}

sw_status sw_graph_load(const char *path, const sw_diag *diag, sw_graph **graph) {
    sw_map map;
    if (sw_path_kind_of(path) == SW_PATH_FOLDER) return sw_openvino_load(path, evaluate, NULL, diag, graph);
    sw_status status = sw_map_open(path, diag, &map);
    if (status != SW_OK) return status == SW_E_IO ? SW_E_MODEL : status; /* a model that is not there is a bad model */
    bool is_pt = sw_pt_sniff(map.data, map.size), is_tflite = sw_tflite_sniff(map.data, map.size);
    bool is_openvino = sw_openvino_sniff(map.data, map.size);
    sw_map_close(&map);
    if (is_pt) return sw_pt_load(path, NULL, diag, graph);
    if (is_tflite) return sw_tflite_load(path, evaluate, NULL, diag, graph);
    return is_openvino ? sw_openvino_load(path, evaluate, NULL, diag, graph)
                       : sw_onnx_load(path, evaluate, NULL, diag, graph);
}

static bool may_be_for_gpu(const sw_build_options *options) {
    return options->device && strcmp(options->device, "cpu") != 0;
}

bool sw_build_is_for_gpu(const sw_build_options *options) {
    int n;
    return may_be_for_gpu(options) && (strcmp(options->device, "auto") != 0 || sw_cuda_count(NULL, &n) == SW_OK);
}

/* Notes in the receipt of a plan what it was built by, from and on. */
static sw_status sign(sw_plan *plan, const char *path) {
    SW_TRY(sw_plan_add_receipt(plan, "built by", "slipway " SLIPWAY_VERSION));
    SW_TRY(sw_plan_add_receipt(plan, "model", sw_path_name(path)));
    SW_TRY(sw_plan_set_source(plan, path));
    SW_TRY(sw_plan_add_receipt(plan, "cpu", sw_cpu_model()));
    return sw_plan_add_receipt(plan, "cpu signature", sw_cpu_signature());
}

/* Hands messages on, and remembers whether one was of an error. */
typedef struct listener {
    const sw_diag *to; /* may be NULL */
    bool told;
} listener;

static void listen(void *ctx, const sw_message *message) {
    listener *l = ctx;
    l->told |= message->severity == SW_ERROR;
    if (l->to && l->to->emit) l->to->emit(l->to->ctx, message);
}

static sw_status build(const char *path, bool reference, const sw_build_options *options, const sw_diag *diag,
                       sw_plan **plan) {
    sw_graph *graph;
    sw_shapes shapes;
    if (options->precision && options->precision != SW_F32 && options->precision != SW_F16 &&
        options->precision != SW_BF16)
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "precision %s is not supported; float32, float16 and bfloat16 are",
                       sw_dtype_name(options->precision));
    SW_TRY(sw_graph_load(path, diag, &graph));
    /* Without vector kernels for channels-last maps, the reference kernels are the faster ones on the CPU. */
    bool gpu = sw_build_is_for_gpu(options);
    bool fast = !reference && (gpu || (sw_cpu_features() & SW_CPU_VECTORS));
    sw_status status = sw_shapes_apply(graph, options, diag, &shapes);
    if (status == SW_OK) status = sw_passes_run(graph, fast ? NULL : "dead-code", diag);
    if (status == SW_OK && fast && gpu) status = sw_passes_for_gpu(graph);
    if (status == SW_OK && fast && !gpu) status = sw_passes_for_cpu(graph, options->precision == SW_BF16);
    bool halves = fast && !gpu && (options->precision == SW_BF16 || options->precision == SW_F16);
    if (status == SW_OK && halves) status = sw_pass_halves(graph, options->precision);
    if (status == SW_OK) status = sw_plan_lower(graph, diag, plan);
    if (status != SW_OK) {
        sw_graph_destroy(graph);
        return status;
    }
    (*plan)->reference = reference;
    if (gpu && options->precision != SW_F16) (*plan)->gpu_type = options->precision;
    (*plan)->gpu_tf32 = gpu && options->precision == SW_F32 && options->tf32;
    if (shapes.n_profiles) status = sw_plan_set_profiles(*plan, shapes.extents, shapes.n_profiles);
    if (status == SW_OK) status = sign(*plan, path);
    listener heard = {.to = diag};
    const sw_diag ear = {listen, &heard};
    if (status == SW_OK && may_be_for_gpu(options)) status = sw_plan_tune_gpu(*plan, options, &ear);
    if (status == SW_OK && options->tuning && !(*plan)->gpu) status = sw_plan_tune(*plan, options->tuning, diag);
    if (status == SW_OK) return SW_OK;
    sw_plan_unref(*plan);
    if (status == SW_E_UNSUPPORTED || heard.told) return status;
    return sw_fail(diag, status, path, NULL, "the plan could not be made: %s", sw_status_text(status));
}

sw_status sw_plan_build_with(const char *path, const sw_build_options *options, const sw_diag *diag, sw_plan **plan) {
    const sw_tuning *tuning = options->tuning;
    SW_TRY(SW_OPTIONS_CHECK(options, diag));
    SW_TRY(SW_OPTIONS_CHECK(tuning, diag));
    if (tuning && (tuning->level < 0 || tuning->level >= SW_TUNE_LEVELS))
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "the level of tuning is %d; it should be from 0 to %d",
                       tuning->level, SW_TUNE_LEVELS - 1);
    if (!options->n_shapes && !options->batch_max && sw_plan_sniff_file(path))
        return sw_plan_load(path, &(sw_load_options){.strict = options->strict, .trust_code = options->trust_code},
                            diag, plan);
    if (options->best_precision) return sw_plan_build_best(path, options, diag, plan);
    return build(path, false, options, diag, plan);
}

sw_status sw_plan_build(const char *path, const sw_diag *diag, sw_plan **plan) {
    return sw_plan_build_with(path, &(sw_build_options){0}, diag, plan);
}

sw_status sw_plan_build_reference(const char *path, const sw_diag *diag, sw_plan **plan) {
    return build(path, true, &(sw_build_options){0}, diag, plan);
}
