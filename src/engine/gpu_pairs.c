/* Two convolutions that one kernel may do, their map between them never leaving the GPU's multiprocessors: where they are,
 * whether it does, and launches. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/gpu_program.h"

/* ---- Choosing ------------------------------------------------------------------------------------------------------ */

void sw__gpu_pair_key(const sw_conv *first, const sw_conv *second, char key[SW_GPU_PAIR_KEY]) {
    sw_cpu_conv_key(first, key, SW_CPU_KEY);
    size_t length = strlen(key);
    snprintf(key + length, SW_GPU_PAIR_KEY - length, " then ");
    length = strlen(key);
    sw_cpu_conv_key(second, key + length, SW_CPU_KEY);
}

const char *sw__gpu_pair_name(sw_cuda_kernel kernel) {
    return kernel == SW_GPU_APART ? "apart" : sw_cuda_kernel_get(kernel)->name;
}

/* Those that are estimated to take half as much again as the best, or more, are not worth compiling. */
int sw__gpu_pair_candidates(const sw_gpu *gpu, const sw_conv *first, const sw_conv *second, sw_cuda_kernel *kernels) {
    double ns[SW_CUDA_KERNELS], least = INFINITY;
    int n = sw_cuda_pair_candidates(first, second, &gpu->cuda->info, kernels), kept = 0;
    for (int i = 0; i < n; i++) {
        ns[i] = sw_cuda_pair_ns(first, second, kernels[i], &gpu->cuda->info);
        least = fmin(least, ns[i]);
    }
    for (int i = 0; i < n; i++)
        if (ns[i] < 1.5 * least) kernels[kept++] = kernels[i];
    if (kept) kernels[kept++] = SW_GPU_APART;
    return kept;
}

/* Small kernels gain nothing in a graph: two of them leave more to others beside them (docs/perf/cuda.md). */
enum { LEAST_NS = 8000 };

static sw_cuda_kernel choose_by_estimate(const sw_gpu *gpu, const sw_conv *first, const sw_conv *second) {
    sw_cuda_kernel kernels[SW_CUDA_KERNELS], best = SW_GPU_APART;
    double least = sw_cuda_conv_ns(first, &gpu->cuda->info) + sw_cuda_conv_ns(second, &gpu->cuda->info);
    int n = sw_cuda_pair_candidates(first, second, &gpu->cuda->info, kernels);
    for (int i = 0; i < n; i++) {
        double ns = sw_cuda_pair_ns(first, second, kernels[i], &gpu->cuda->info);
        if (ns >= LEAST_NS && ns < least) least = ns, best = kernels[i];
    }
    return best;
}

sw_cuda_kernel sw__gpu_choose_pair(const sw_gpu *gpu, const sw_conv *first, const sw_conv *second) {
    for (size_t i = 0; i < gpu->n_tuned; i++)
        if (gpu->tuned[i].pair && sw__gpu_same_conv(&gpu->tuned[i].conv, first) &&
            sw__gpu_same_conv(&gpu->tuned[i].second, second))
            return gpu->tuned[i].tile;
    char key[SW_GPU_PAIR_KEY];
    sw_cuda_kernel kernels[SW_CUDA_KERNELS + 1];
    sw__gpu_pair_key(first, second, key);
    const char *name = sw_plan_gpu_tile(gpu->plan, key);
    for (int i = 0, n = name ? sw__gpu_pair_candidates(gpu, first, second, kernels) : 0; i < n; i++)
        if (!strcmp(sw__gpu_pair_name(kernels[i]), name)) return kernels[i];
    return choose_by_estimate(gpu, first, second);
}

/* ---- Finding ------------------------------------------------------------------------------------------------------- */

static bool is_plain(const sw_gpu_program *p, const sw_gpu_node *node) {
    return node->kind == SW_GPU_CONV && !node->residual_shift && p->instance->places[node->in[0]] != SW_PLACE_DYNAMIC;
}

/* The convolution that alone reads the result of node i, as its map; -1: none. */
static int only_reader(const sw_gpu *gpu, const sw_gpu_program *p, const int32_t *readers, int i) {
    const sw_instance *instance = p->instance;
    int32_t value = p->nodes[i].out[0];
    if (readers[value] != 1 || instance->roots[value] != value || instance->places[value] != SW_PLACE_PLANNED)
        return -1;
    for (size_t v = 0; v < gpu->plan->n_values; v++)
        if (instance->roots[v] == value && v != (size_t)value) return -1; /* a part of it goes elsewhere */
    for (int k = i + 1; k < p->n_nodes; k++)
        if (is_plain(p, &p->nodes[k]) && p->nodes[k].in[0] == value)
            return instance->places[p->nodes[k].out[0]] == SW_PLACE_PLANNED ? k : -1;
    return -1;
}

/* Makes node k both, or leaves it: `open`: it may become either later. */
static sw_status fuse(sw_gpu *gpu, sw_gpu_program *p, int i, int k, bool open, bool *fused) {
    sw_gpu_node *first = &p->nodes[i], *second = &p->nodes[k];
    sw_conv a, b;
    sw_cuda_kernel kernels[SW_CUDA_KERNELS + 1];
    *fused = false;
    SW_TRY(sw__gpu_conv(gpu, p, first, &a));
    SW_TRY(sw__gpu_conv(gpu, p, second, &b));
    if (sw__gpu_pair_candidates(gpu, &a, &b, kernels) == 0) return SW_OK;
    if (!open && sw__gpu_choose_pair(gpu, &a, &b) == SW_GPU_APART) return SW_OK;
    int32_t *ports = SW_ARENA_ARRAY(p->instance->arena, int32_t, 4);
    if (!ports) return SW_E_NOMEM;
    ports[0] = first->in[0];
    ports[1] = b.residual ? second->in[3] : -1;
    ports[2] = second->out[0];
    ports[3] = first->out[0];
    second->kind = SW_GPU_PAIR;
    second->first = first->step;
    second->in = ports, second->n_in = 2;
    second->out = ports + 2, second->n_out = open ? 2 : 1;
    *fused = true;
    return SW_OK;
}

sw_status sw__gpu_find_pairs(sw_gpu *gpu, sw_gpu_program *p, bool open) {
    int32_t *readers = SW_ARENA_ARRAY(p->instance->arena, int32_t, gpu->plan->n_values);
    bool *gone = SW_ARENA_ARRAY(p->instance->arena, bool, p->n_nodes + 1);
    if (!readers || !gone) return SW_E_NOMEM;
    for (int i = 0; i < p->n_nodes; i++)
        for (int k = 0; k < p->nodes[i].n_in; k++)
            if (p->nodes[i].in[k] >= 0) readers[p->nodes[i].in[k]]++;
    for (int i = 0; i < gpu->plan->n_outputs; i++) readers[gpu->plan->outputs[i]]++;
    for (int i = 0; i < p->n_nodes; i++) {
        int k = is_plain(p, &p->nodes[i]) ? only_reader(gpu, p, readers, i) : -1;
        if (k >= 0) SW_TRY(fuse(gpu, p, i, k, open, &gone[i]));
    }
    int n = 0;
    for (int i = 0; i < p->n_nodes; i++)
        if (!gone[i]) p->nodes[n++] = p->nodes[i];
    p->n_nodes = n;
    return SW_OK;
}
