/* Entry points of import/onnx. */
#include "import/onnx/onnx.h"

#include <string.h>

#include "base/os.h"
#include "import/onnx/model.h"
#include "import/onnx/sniff.h"

static sw_status refuse(const void *bytes, size_t size, const char *label, const sw_diag *diag) {
    const char *what = sw__looks_like(bytes, size);
    return sw_fail(diag, SW_E_MODEL, label, NULL,
                   "this is no model that Slipway reads (ONNX, PyTorch, TensorFlow Lite, OpenVINO, plans)%s%s",
                   what ? "; it looks like " : "", what ? what : "");
}

/* Fills a graph that is there. What the import needs only now lies in an arena that goes before it returns. */
static sw_status fill(sw_graph *graph, const void *bytes, size_t size, const char *base_dir, const char *label,
                      sw_evaluate evaluate, const sw_diag *diag) {
    sw__onnx im = {.diag = diag, .label = label, .base_dir = base_dir, .graph = graph};
    im.computer = (sw_computer){.evaluate = evaluate, .left = SW_MAX_COMPUTED};
    /* Everything is read once, numbers grow eightfold at most when they are unpacked; the rest is for functions. */
    im.bytes_left = (uint64_t)size * 10 + ((uint64_t)128 << 20);
    im.arena = sw_arena_create(graph->allocator, 0);
    sw_status status = im.arena ? sw__onnx_parse_model(&im, bytes, size) : sw__onnx_nomem(&im);
    if (status == SW_OK) status = sw__onnx_build(&im);
    sw_arena_destroy(im.arena);
    return status;
}

sw_status sw_onnx_parse(const void *bytes, size_t size, const char *base_dir, const char *label, sw_evaluate evaluate,
                        const sw_allocator *allocator, const sw_diag *diag, sw_graph **graph) {
    *graph = NULL;
    if (!sw_onnx_sniff(bytes, size)) return refuse(bytes, size, label, diag);
    sw_graph *made = sw_graph_create(allocator);
    if (!made) return sw_fail(diag, SW_E_NOMEM, label, NULL, "out of memory");
    sw_status status = fill(made, bytes, size, base_dir, label, evaluate, diag);
    if (status == SW_OK)
        *graph = made;
    else
        sw_graph_destroy(made);
    return status;
}

/* ---- Files ----------------------------------------------------------------------------------------------- */

static void close_map(void *map) {
    sw_map_close(map);
}

/* The graph keeps `map` from here on, also when it fails. */
static sw_status keep_map(sw_graph *graph, const sw_map *map, const char *path, const sw_diag *diag,
                          const sw_map **kept) {
    sw_map *copy = sw_arena_copy(graph->arena, map, sizeof *map);
    if (copy && sw_arena_cleanup(graph->arena, close_map, copy) == SW_OK) {
        *kept = copy;
        return SW_OK;
    }
    sw_map mine = *map;
    sw_map_close(&mine);
    return sw_fail(diag, SW_E_NOMEM, path, NULL, "out of memory");
}

static sw_status load_into(sw_graph *graph, const char *path, sw_evaluate evaluate, const sw_diag *diag) {
    sw_map map;
    const sw_map *kept;
    SW_TRY(sw_map_open(path, diag, &map));
    SW_TRY(keep_map(graph, &map, path, diag, &kept));
    if (!sw_onnx_sniff(kept->data, kept->size)) return refuse(kept->data, kept->size, path, diag);
    const char *slash = strrchr(path, '/');
    const char *folder = slash ? sw_arena_strndup(graph->arena, path, (size_t)(slash - path) + 1) : "";
    if (!folder) return sw_fail(diag, SW_E_NOMEM, path, NULL, "out of memory");
    return fill(graph, kept->data, kept->size, folder, path, evaluate, diag);
}

sw_status sw_onnx_load(const char *path, sw_evaluate evaluate, const sw_allocator *allocator, const sw_diag *diag,
                       sw_graph **graph) {
    *graph = NULL;
    sw_graph *made = sw_graph_create(allocator);
    if (!made) return sw_fail(diag, SW_E_NOMEM, path, NULL, "out of memory");
    sw_status status = load_into(made, path, evaluate, diag);
    if (status == SW_OK)
        *graph = made;
    else
        sw_graph_destroy(made);
    return status;
}
