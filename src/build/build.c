#include "build/build.h"

#include "backend/cpu/cpu.h"
#include "base/cpu.h"
#include "base/os.h"
#include "import/onnx/onnx.h"
#include "import/pt/pt.h"
#include "pass/pass.h"

/* What importers compute while they build the graph. */
static sw_status evaluate(const sw_call *call) {
    return sw_cpu_run(call, NULL, NULL);
}

sw_status sw_graph_load(const char *path, const sw_diag *diag, sw_graph **graph) {
    sw_map map;
    sw_status status = sw_map_open(path, diag, &map);
    if (status != SW_OK) return status == SW_E_IO ? SW_E_MODEL : status; /* a model that is not there is a bad model */
    bool is_pt = sw_pt_sniff(map.data, map.size);
    sw_map_close(&map);
    return is_pt ? sw_pt_load(path, NULL, diag, graph) : sw_onnx_load(path, evaluate, NULL, diag, graph);
}

static sw_status build(const char *path, bool reference, const sw_diag *diag, sw_plan **plan) {
    sw_graph *graph;
    SW_TRY(sw_graph_load(path, diag, &graph));
    /* Without vector kernels for channels-last maps, the reference kernels are the faster ones. */
    bool fast = !reference && (sw_cpu_features() & SW_CPU_AVX2);
    sw_status status = sw_passes_run(graph, fast ? NULL : "dead-code", diag);
    if (status == SW_OK) status = sw_plan_lower(graph, diag, plan);
    if (status == SW_OK)
        (*plan)->reference = reference;
    else
        sw_graph_destroy(graph);
    return status;
}

sw_status sw_plan_build(const char *path, const sw_diag *diag, sw_plan **plan) {
    return build(path, false, diag, plan);
}

sw_status sw_plan_build_reference(const char *path, const sw_diag *diag, sw_plan **plan) {
    return build(path, true, diag, plan);
}
