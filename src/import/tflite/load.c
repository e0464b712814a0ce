/* Entry points of import/tflite. */
#include "import/tflite/tflite.h"

#include "base/os.h"
#include "import/tflite/model.h"

bool sw_tflite_sniff(const void *bytes, size_t size) {
    return sw_fb_sniff(bytes, size, SW_TFL_IDENTIFIER);
}

static sw_status fill(sw_graph *graph, const void *bytes, size_t size, const char *label, sw_evaluate evaluate,
                      const sw_diag *diag) {
    sw_tfl m = {.graph = graph, .diag = diag, .label = label, .evaluate = evaluate, .bytes = bytes, .size = size};
    if (!sw_tflite_sniff(bytes, size))
        return sw_fail(diag, SW_E_MODEL, label, NULL, "this is no TensorFlow Lite model");
    m.fb = sw_fb_make(bytes, size, label, diag);
    /* Constants are copied a few times at most, in other orders and types. */
    m.bytes_left = (uint64_t)size * 10 + ((uint64_t)64 << 20);
    m.scratch = sw_arena_create(graph->allocator, 0);
    graph->format = "TensorFlow Lite, schema 3";
    sw_status status = m.scratch ? sw__tfl_read(&m) : sw_fail(diag, SW_E_NOMEM, label, NULL, "out of memory");
    if (status == SW_OK) status = sw__tfl_metadata(&m);
    if (status == SW_OK) status = sw__tfl_build(&m);
    sw_arena_destroy(m.scratch);
    return status;
}

sw_status sw_tflite_parse(const void *bytes, size_t size, const char *label, sw_evaluate evaluate,
                          const sw_allocator *allocator, const sw_diag *diag, sw_graph **graph) {
    *graph = NULL;
    sw_graph *made = sw_graph_create(allocator);
    if (!made) return sw_fail(diag, SW_E_NOMEM, label, NULL, "out of memory");
    sw_status status = fill(made, bytes, size, label, evaluate, diag);
    if (status == SW_OK)
        *graph = made;
    else
        sw_graph_destroy(made);
    return status;
}

static void close_map(void *map) {
    sw_map_close(map);
}

sw_status sw_tflite_load(const char *path, sw_evaluate evaluate, const sw_allocator *allocator, const sw_diag *diag,
                         sw_graph **graph) {
    sw_map map;
    *graph = NULL;
    SW_TRY(sw_map_open(path, diag, &map));
    sw_graph *made = sw_graph_create(allocator);
    sw_map *kept = made ? sw_arena_copy(made->arena, &map, sizeof map) : NULL;
    sw_status status = kept ? sw_arena_cleanup(made->arena, close_map, kept) : SW_E_NOMEM;
    if (status != SW_OK) {
        sw_map_close(&map);
        sw_graph_destroy(made);
        return sw_fail(diag, SW_E_NOMEM, path, NULL, "out of memory");
    }
    status = fill(made, kept->data, kept->size, path, evaluate, diag);
    if (status == SW_OK)
        *graph = made;
    else
        sw_graph_destroy(made);
    return status;
}
