/* Graphs of captured launches. Each of our kernels lets those that depend on it begin early, and waits itself
 * (griddepcontrol.wait) for the end of all that it depends on, which have waited likewise: so every edge between them may be a
 * programmatic one, and memory is free for others as with plain edges. Capturing makes such edges along a stream, not where
 * streams fork and join; these are exchanged, where the driver can (CUDA 12.3). Libraries' kernels do not wait. */
#include "engine/gpu_program.h"

typedef struct edge_list {
    sw_cu_graph_node *from, *to;
    sw_cu_edge *edges;
    size_t n;
} edge_list;

static sw_status get_edges(sw_gpu *gpu, sw_cu_graph graph, const sw_diag *diag, edge_list *l) {
    SW_CUDA_TRY(gpu->cuda, diag, graph_edges(graph, NULL, NULL, NULL, &l->n));
    if (l->n == 0) return SW_OK; /* a graph of one kernel: drivers refuse to list none */
    l->from = sw_calloc(gpu->allocator, l->n + 1, sizeof(*l->from));
    l->to = sw_calloc(gpu->allocator, l->n + 1, sizeof(*l->to));
    l->edges = sw_calloc(gpu->allocator, l->n + 1, sizeof *l->edges);
    if (!l->from || !l->to || !l->edges) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    SW_CUDA_TRY(gpu->cuda, diag, graph_edges(graph, l->from, l->to, l->edges, &l->n));
    return SW_OK;
}

static bool is_ours(const sw_gpu *gpu, sw_cu_graph_node node) {
    sw_cu_node params = {NULL};
    if (gpu->cuda->driver->graph_node(node, &params) != 0 || !params.function) return false;
    for (int i = 0; i < SW_CUDA_KERNELS; i++)
        if (gpu->cuda->functions[i] == params.function) return true;
    return false;
}

/* Those that may become programmatic. */
static void keep_plain(const sw_gpu *gpu, edge_list *l) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (l->edges[i].type == SW_CU_EDGE_PROGRAMMATIC || !is_ours(gpu, l->from[i]) || !is_ours(gpu, l->to[i])) continue;
        l->from[n] = l->from[i], l->to[n] = l->to[i], l->edges[n] = l->edges[i];
        n++;
    }
    l->n = n;
}

static sw_status exchange(sw_gpu *gpu, sw_cu_graph graph, const sw_diag *diag, edge_list *l) {
    SW_TRY(get_edges(gpu, graph, diag, l));
    keep_plain(gpu, l);
    if (l->n == 0) return SW_OK;
    SW_CUDA_TRY(gpu->cuda, diag, graph_remove_edges(graph, l->from, l->to, l->edges, l->n));
    for (size_t i = 0; i < l->n; i++)
        l->edges[i] = (sw_cu_edge){.from_port = SW_CU_PORT_PROGRAMMATIC, .type = SW_CU_EDGE_PROGRAMMATIC};
    SW_CUDA_TRY(gpu->cuda, diag, graph_add_edges(graph, l->from, l->to, l->edges, l->n));
    return SW_OK;
}

static sw_status make_programmatic(sw_gpu *gpu, sw_cu_graph graph, const sw_diag *diag) {
    edge_list l = {NULL, NULL, NULL, 0};
    const sw_cu_driver *driver = gpu->cuda->driver;
    if (gpu->cuda->info.sm < 90 || !driver->graph_node || !driver->graph_edges || !driver->graph_add_edges ||
        !driver->graph_remove_edges)
        return SW_OK;
    sw_status status = exchange(gpu, graph, diag, &l);
    sw_free(gpu->allocator, (void *)l.from);
    sw_free(gpu->allocator, (void *)l.to);
    sw_free(gpu->allocator, l.edges);
    return status;
}

sw_status sw__gpu_begin_graph(sw_gpu *gpu, sw_gpu_program *p, const sw_diag *diag) {
    SW_CUDA_TRY(gpu->cuda, diag, capture_begin(p->streams[0], SW_CU_CAPTURE_THREAD));
    return SW_OK;
}

sw_status sw__gpu_end_graph(sw_gpu *gpu, sw_gpu_program *p, sw_status status, const sw_diag *diag,
                            sw_cu_graph_exec *exec) {
    const sw_cu_driver *driver = gpu->cuda->driver;
    sw_cu_graph graph = NULL;
    unsigned ended = driver->capture_end(p->streams[0], &graph);
    if (status == SW_OK) status = sw_cuda_check(gpu->cuda, ended, "capture_end", diag);
    if (status == SW_OK) status = make_programmatic(gpu, graph, diag);
    if (status == SW_OK) status = sw_cuda_check(gpu->cuda, driver->graph_create(exec, graph, 0), "graph_create", diag);
    if (graph) driver->graph_destroy(graph);
    return status;
}
