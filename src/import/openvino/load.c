/* Entry points: files, folders, bytes in memory. */
#include <string.h>

#include "base/os.h"
#include "base/str.h"
#include "import/openvino/model.h"
#include "import/openvino/openvino.h"

bool sw_openvino_sniff(const void *bytes, size_t size) {
    const char *at = bytes, *end = at + (size < 4096 ? size : 4096);
    if (size >= 3 && !memcmp(at, "\xef\xbb\xbf", 3)) at += 3;
    while (at < end && strchr(" \t\r\n", *at) && *at) at++;
    if (end - at < 5 || (memcmp(at, "<?xml", 5) != 0 && memcmp(at, "<net", 4) != 0)) return false;
    for (; end - at >= 4; at++)
        if (!memcmp(at, "<net", 4)) return true;
    return false;
}

static sw_status fill(sw_graph *graph, const void *xml, size_t xml_size, const void *bin, size_t bin_size,
                      const char *label, sw_evaluate evaluate, const sw_diag *diag) {
    sw_ovin_import im = {.diag = diag, .label = label, .graph = graph, .bin = bin, .bin_size = bin_size};
    im.computer = (sw_computer){.evaluate = evaluate, .left = SW_MAX_COMPUTED};
    im.arena = sw_arena_create(graph->allocator, 0);
    sw_status status = im.arena ? sw__ovin_read_xml(&im, xml, xml_size) : sw__ovin_nomem(&im);
    if (status == SW_OK) status = sw__ovin_build(&im);
    sw_free(graph->allocator, im.layers);
    sw_free(graph->allocator, im.edges);
    sw_arena_destroy(im.arena);
    graph->format = "OpenVINO IR";
    return status == SW_OK ? sw_graph_verify(graph, diag) : status;
}

sw_status sw_openvino_parse(const void *xml, size_t xml_size, const void *bin, size_t bin_size, const char *label,
                            sw_evaluate evaluate, const sw_allocator *allocator, const sw_diag *diag,
                            sw_graph **graph) {
    *graph = NULL;
    sw_graph *made = sw_graph_create(allocator);
    if (!made) return sw_fail(diag, SW_E_NOMEM, label, NULL, "out of memory");
    sw_status status = fill(made, xml, xml_size, bin, bin_size, label, evaluate, diag);
    if (status == SW_OK)
        *graph = made;
    else
        sw_graph_destroy(made);
    return status;
}

/* ---- Files --------------------------------------------------------------------------------------------------------- */

/* The one .xml in a folder. */
static sw_status find_xml(sw_arena *arena, const char *folder, const sw_diag *diag, const char **path) {
    sw_names names;
    int n = 0;
    SW_TRY(sw_dir_list(folder, arena, diag, &names));
    for (size_t i = 0; i < names.n; i++) {
        if (!sw_str_ends_with(names.names[i], ".xml")) continue;
        *path = sw_arena_printf(arena, "%s/%s", folder, names.names[i]);
        if (!*path) return SW_E_NOMEM;
        n++;
    }
    if (n == 1) return SW_OK;
    return sw_fail(diag, SW_E_MODEL, folder, n ? "name the one that you want" : NULL,
                   "the folder holds %s .xml of OpenVINO", n ? "more than one" : "no");
}

static void close_map(void *map) {
    sw_map_close(map);
}

/* The .bin beside the .xml, if there is one; the graph keeps it. */
static sw_status map_bin(sw_graph *graph, const char *xml, const sw_diag *diag, sw_map **map) {
    size_t stem = strlen(xml) - (sw_str_ends_with(xml, ".xml") ? 4 : 0);
    const char *path = sw_arena_printf(graph->arena, "%.*s.bin", (int)stem, xml);
    *map = SW_ARENA_NEW(graph->arena, sw_map);
    if (!path || !*map) return SW_E_NOMEM;
    if (sw_path_kind_of(path) == SW_PATH_NONE)
        return sw_fail(diag, SW_E_MODEL, xml, NULL, "its weights, %s, are missing", sw_path_name(path));
    if (sw_file_size(path) == 0) return SW_OK; /* a model without constants */
    SW_TRY(sw_map_open(path, diag, *map));
    if (sw_arena_cleanup(graph->arena, close_map, *map) == SW_OK) return SW_OK;
    sw_map_close(*map);
    return SW_E_NOMEM;
}

static sw_status read_metadata(sw_graph *graph, const char *xml, const sw_diag *diag) {
    int folder = (int)(sw_path_name(xml) - xml);
    const char *path = sw_arena_printf(graph->arena, "%.*smetadata.yaml", folder, xml);
    if (!path) return SW_E_NOMEM;
    if (sw_path_kind_of(path) != SW_PATH_FILE) return SW_OK;
    sw_buf buf = sw_buf_make(graph->allocator, 4u << 20);
    sw_status status = sw_file_read(path, diag, &buf);
    if (status == SW_OK) status = sw__ovin_read_metadata(graph, buf.data, buf.size, path, diag);
    sw_buf_free(&buf);
    return status;
}

static sw_status load_into(sw_graph *graph, const char *path, sw_evaluate evaluate, const sw_diag *diag) {
    sw_map *bin, xml;
    if (sw_path_kind_of(path) == SW_PATH_FOLDER) SW_TRY(find_xml(graph->arena, path, diag, &path));
    SW_TRY(map_bin(graph, path, diag, &bin));
    SW_TRY(sw_map_open(path, diag, &xml));
    sw_status status = fill(graph, xml.data, xml.size, bin->data, bin->size, path, evaluate, diag);
    sw_map_close(&xml);
    return status == SW_OK ? read_metadata(graph, path, diag) : status;
}

sw_status sw_openvino_load(const char *path, sw_evaluate evaluate, const sw_allocator *allocator, const sw_diag *diag,
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
