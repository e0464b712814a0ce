#include "engine/gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gpu_program.h"
#include "engine/memory.h"

/* ---- The GPU of a session ------------------------------------------------------------------------------------------ */

/* Tiles were chosen by timing: on another GPU of the same kind of code they run, but may be bad ones. */
static sw_status check_gpu(const sw_gpu *gpu, int index, const sw_diag *diag) {
    const sw_plan *plan = gpu->plan;
    const sw_cuda_info *here = &gpu->cuda->info;
    if (!plan->gpu || (plan->gpu_sm == here->sm && (plan->any_of_sm || !strcmp(plan->gpu, here->name)))) return SW_OK;
    bool same = plan->gpu_sm == here->sm;
    return sw_fail(
        diag, SW_E_UNSUPPORTED, NULL,
        same ? "build it for this one with 'slipway build --device cuda', or for all of its SM with --compat sm"
             : "build it for this one with 'slipway build --device cuda'",
        "the plan was built for another GPU, %.80s (SM %d.%d); GPU %d is %s (SM %d.%d)", plan->gpu, plan->gpu_sm / 10,
        plan->gpu_sm % 10, index, here->name, here->sm / 10, here->sm % 10);
}

static sw_cuda_cell cell_of(const sw_plan *plan) {
    return plan->gpu_type == SW_BF16  ? SW_CUDA_BF16
           : plan->gpu_type != SW_F32 ? SW_CUDA_F16
           : plan->gpu_tf32           ? SW_CUDA_TF32
                                      : SW_CUDA_FLOAT;
}

static sw_status set_type(sw_gpu *gpu, const sw_diag *diag) {
    const sw_cuda_info *here = &gpu->cuda->info;
    sw_cuda_cell *cell = &gpu->cuda->info.cell;
    *cell = cell_of(gpu->plan);
    if ((*cell != SW_CUDA_BF16 && *cell != SW_CUDA_TF32) || here->sm >= 80) return SW_OK;
    return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "build it with --precision fp16 or fp32",
                   "%s needs SM 8.0; GPU %d (%s) has SM %d.%d", *cell == SW_CUDA_BF16 ? "bfloat16" : "TF32",
                   gpu->cuda->index, here->name, here->sm / 10, here->sm % 10);
}

sw_status sw_gpu_create(sw_plan *plan, int index, const sw_diag *diag, sw_gpu **result) {
    sw_gpu *gpu = sw_calloc(plan->allocator, 1, sizeof *gpu);
    if (!gpu) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    gpu->plan = plan;
    gpu->allocator = plan->allocator;
    size_t ports = (size_t)sw_plan_max_ports(plan);
    gpu->in = sw_calloc(gpu->allocator, ports, sizeof *gpu->in);
    gpu->out = sw_calloc(gpu->allocator, ports, sizeof *gpu->out);
    gpu->ports = sw_calloc(gpu->allocator, 2 * ports, sizeof *gpu->ports);
    bool room = gpu->in && gpu->out && gpu->ports;
    sw_status status = room ? sw_cuda_open(index, gpu->allocator, diag, &gpu->cuda)
                            : sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    if (status == SW_OK) status = check_gpu(gpu, index, diag);
    if (status == SW_OK) status = set_type(gpu, diag);
    if (status == SW_OK) gpu->cuda->lent = plan->gpu_codes, gpu->cuda->n_lent = plan->n_gpu_codes;
    if (status == SW_OK && sw__gpu_store_open(gpu, &gpu->store) != SW_OK)
        status = sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    if (status == SW_OK)
        *result = gpu;
    else
        sw_gpu_destroy(gpu);
    return status;
}

void sw_gpu_destroy(sw_gpu *gpu) {
    if (!gpu) return;
    if (gpu->store) gpu->cuda->driver->context_set(gpu->cuda->context);
    sw__gpu_store_close(gpu, gpu->store);
    for (size_t i = 0; i < gpu->n_tactics; i++) {
        sw_cuda_tactic_destroy(gpu->tactics[i]->made);
        sw_free(gpu->allocator, gpu->tactics[i]);
    }
    sw_free(gpu->allocator, gpu->tactics);
    sw_cuda_close(gpu->cuda);
    sw_free(gpu->allocator, gpu->tuned);
    sw_free(gpu->allocator, gpu->in);
    sw_free(gpu->allocator, gpu->out);
    sw_free(gpu->allocator, gpu->ports);
    sw_free(gpu->allocator, gpu);
}

void sw_gpu_set_tuning(sw_gpu *gpu) {
    gpu->tunes = true;
}

/* ---- Places -------------------------------------------------------------------------------------------------------- */

/* Views of the plan hold where channels come in eights; reshaped rows are their input. */
static void settle_places(const sw_gpu *gpu, sw_gpu_program *p) {
    const sw_instance *instance = p->instance;
    for (size_t v = 0; v < gpu->plan->n_values; v++) {
        int32_t root = instance->roots[v];
        bool holds = instance->channels[v] % 8 == 0 &&
                     (instance->values[v].layout != SW_CHANNELS_LAST || instance->values[v].dims[1] % 8 == 0);
        p->roots[v] = holds ? root : (int32_t)v;
        p->channels[v] = holds ? instance->channels[v] : 0;
        p->homes[v] = p->roots[v];
    }
    for (int i = 0; i < p->n_nodes; i++)
        if (p->nodes[i].kind == SW_GPU_ALIAS) p->roots[p->nodes[i].out[0]] = p->roots[p->nodes[i].in[0]];
}

/* The first and the last nodes that touch a root, as lists of all. */
typedef struct touch {
    int32_t node, next; /* -1 ends */
} touch;

typedef struct planner {
    const sw_gpu_program *p;
    const int32_t *heads; /* by root */
    const touch *touches;
    const bool *keeps; /* by root: to the end */
} planner;

static bool ends_before(const planner *m, int a, int b) {
    for (int32_t i = m->heads[a]; i >= 0; i = m->touches[i].next)
        for (int32_t k = m->heads[b]; k >= 0; k = m->touches[k].next)
            if (!sw__gpu_is_before(m->p, m->touches[i].node, m->touches[k].node)) return false;
    return true;
}

static bool overlap(const void *ctx, int a, int b) {
    const planner *m = ctx;
    if (m->keeps[a] || m->keeps[b]) return true;
    return !ends_before(m, a, b) && !ends_before(m, b, a);
}

static sw_status plan_memory(sw_gpu *gpu, sw_gpu_program *p) {
    const sw_plan *plan = gpu->plan;
    sw_arena *arena = p->instance->arena;
    size_t ports = 0, n = 0;
    for (int i = 0; i < p->n_nodes; i++) ports += (size_t)(p->nodes[i].n_in + p->nodes[i].n_out);
    touch *touches = SW_ARENA_ARRAY(arena, touch, ports);
    int32_t *heads = SW_ARENA_ARRAY(arena, int32_t, plan->n_values);
    bool *keeps = SW_ARENA_ARRAY(arena, bool, plan->n_values);
    sw_span *spans = SW_ARENA_ARRAY(arena, sw_span, plan->n_values);
    if (!touches || !heads || !keeps || !spans) return SW_E_NOMEM;
    for (size_t v = 0; v < plan->n_values; v++) heads[v] = -1, p->offsets[v] = -1;
    for (int i = 0; i < p->n_nodes; i++) {
        const sw_gpu_node *node = &p->nodes[i];
        for (int k = 0; k < node->n_in + node->n_out; k++) {
            int32_t v = k < node->n_in ? node->in[k] : node->out[k - node->n_in];
            if (v < 0 || !sw_cuda_has_type(p->instance->values[v].dtype)) continue;
            sw_place place = p->instance->places[v];
            if (place != SW_PLACE_PLANNED && place != SW_PLACE_INPUT) continue;
            int32_t root = p->roots[v];
            bool works = node->n_launches > 0 || node->kind == SW_GPU_CPU;
            keeps[root] |= place == SW_PLACE_INPUT || getenv("SLIPWAY_NO_ALIAS");
            if (spans[root].bytes == 0) spans[root].bytes = sw__gpu_bytes(p, root);
            if (!works) continue;
            touches[n] = (touch){i, heads[root]};
            heads[root] = (int32_t)n++;
        }
    }
    for (int i = 0; i < plan->n_outputs; i++) keeps[p->roots[plan->outputs[i]]] = true;
    planner m = {p, heads, touches, keeps};
    SW_TRY(sw_memory_plan_by(gpu->allocator, spans, (int)plan->n_values, overlap, &m, &p->memory_bytes));
    for (size_t v = 0; v < plan->n_values; v++)
        if (spans[v].bytes > 0) p->offsets[v] = spans[v].offset;
    return SW_OK;
}

/* ---- Building ------------------------------------------------------------------------------------------------------ */

static void want_kernel(const sw_cuda_launch *l, int *shared) {
    if (!sw__gpu_is_library(l->kernel) && l->shared_bytes > shared[l->kernel]) shared[l->kernel] = l->shared_bytes;
}

/* `shared`: by kernel, the dynamic shared memory that it is to be loaded for; -1: it is not wanted. */
static sw_status place_nodes(sw_gpu *gpu, sw_gpu_program *p, bool fallback, const sw_diag *diag, int *shared,
                             bool *again) {
    sw_cuda_launch launches[SW_CUDA_MAX_LAUNCHES];
    *again = false;
    sw__gpu_choose_types(gpu, p);
    for (int i = 0; i < p->n_nodes; i++) {
        sw_gpu_node *node = &p->nodes[i];
        int n;
        if (node->kind == SW_GPU_CPU) continue;
        SW_TRY(sw__gpu_lower_node(gpu, p, node, launches, &n, &node->why, diag));
        if (!node->why) {
            node->n_launches = n;
            for (int k = 0; k < n; k++) want_kernel(&launches[k], shared);
            continue;
        }
        const sw_step *step = &gpu->plan->steps[node->step];
        if (!fallback)
            return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "without --no-fallback it runs on the CPU",
                           "node '%s' (%s) cannot run on the GPU: %s", step->name, sw_op_get(step->op)->name,
                           node->why);
        node->kind = SW_GPU_CPU;
        *again = true; /* what it reads and gives is float32 then */
        node->n_launches = 0;
        node->in = step->in, node->n_in = step->n_in;
        node->out = step->out, node->n_out = step->n_out;
    }
    return SW_OK;
}

/* Which values cross between CPU and GPU. Graph inputs are the caller's, outputs go back to it. */
static void find_crossings(sw_gpu *gpu, sw_gpu_program *p) {
    const sw_plan *plan = gpu->plan;
    const sw_instance *instance = p->instance;
    for (int i = 0; i < plan->n_inputs; i++) p->from_cpu[plan->inputs[i]] = true;
    for (int i = 0; i < p->n_nodes; i++) {
        const sw_gpu_node *node = &p->nodes[i];
        if (node->kind != SW_GPU_CPU) continue;
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k] >= 0) p->from_cpu[node->out[k]] = true;
    }
    for (int i = 0; i < p->n_nodes; i++) {
        const sw_gpu_node *node = &p->nodes[i];
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0 && node->kind == SW_GPU_CPU && instance->places[node->in[k]] == SW_PLACE_PLANNED &&
                sw_cuda_has_type(instance->values[node->in[k]].dtype) && !p->from_cpu[node->in[k]])
                p->to_cpu[node->in[k]] = true;
    }
}

static bool is_output(const sw_plan *plan, int32_t value) {
    for (int i = 0; i < plan->n_outputs; i++)
        if (plan->outputs[i] == value) return true;
    return false;
}

static sw_status allocate(sw_gpu *gpu, sw_gpu_program *p, const sw_diag *diag) {
    const sw_plan *plan = gpu->plan;
    for (size_t v = 0; v < plan->n_values; v++) {
        const sw_tensor *t = &p->instance->values[v];
        bool map = p->offsets[p->roots[v]] >= 0 && t->layout == SW_CHANNELS_LAST;
        bool crosses = p->from_cpu[v] || p->to_cpu[v] || is_output(plan, (int32_t)v);
        if (map && crosses && sw_tensor_bytes(t) > p->staging_bytes) p->staging_bytes = sw_tensor_bytes(t);
    }
    SW_TRY(sw_cuda_alloc(gpu->cuda, (size_t)p->memory_bytes, diag, &p->memory));
    SW_TRY(sw_cuda_alloc(gpu->cuda, (size_t)p->staging_bytes, diag, &p->staging));
    SW_CUDA_TRY(gpu->cuda, diag, host_alloc(&p->host_staging, (size_t)p->staging_bytes + 1));
    SW_CUDA_TRY(gpu->cuda, diag, memory_set(p->memory, 0, (size_t)p->memory_bytes, gpu->cuda->stream));
    return sw__gpu_upload_all(gpu, p, diag);
}

static sw_status find_segments(sw_gpu_program *p) {
    p->segments = SW_ARENA_ARRAY(p->instance->arena, sw_gpu_segment, (size_t)p->n_nodes * 2 + 1);
    if (!p->segments) return SW_E_NOMEM;
    for (int i = 0; i < p->n_nodes; i++) {
        bool cpu = p->nodes[i].kind == SW_GPU_CPU;
        bool joins = p->n_segments && !cpu && p->nodes[p->segments[p->n_segments - 1].first].kind != SW_GPU_CPU;
        if (joins)
            p->segments[p->n_segments - 1].end = i + 1;
        else
            p->segments[p->n_segments++] = (sw_gpu_segment){.first = i, .end = i + 1};
    }
    return SW_OK;
}

static sw_status make_launches(sw_gpu *gpu, sw_gpu_program *p, const sw_diag *diag) {
    sw_cuda_launch launches[SW_CUDA_MAX_LAUNCHES];
    p->n_launches = 0;
    for (int i = 0; i < p->n_nodes; i++) {
        sw_gpu_node *node = &p->nodes[i];
        const char *why;
        int n = 0;
        if (node->kind == SW_GPU_CPU) continue;
        SW_TRY(sw__gpu_lower_node(gpu, p, node, launches, &n, &why, diag));
        node->first_launch = (int)p->n_launches;
        node->n_launches = n;
        SW_TRY(sw__gpu_add_launches(gpu, p, launches, n));
        for (int k = 0; k < n; k++) SW_TRY(sw__gpu_load(gpu, &launches[k], diag));
    }
    return sw__gpu_lend_workspaces(gpu, p, diag);
}

sw_status sw__gpu_capture(sw_gpu *gpu, sw_gpu_program *p, const sw_diag *diag) {
    SW_TRY(make_launches(gpu, p, diag));
    for (int i = 0; i < p->n_segments; i++) {
        sw_gpu_segment *s = &p->segments[i];
        if (p->nodes[s->first].kind == SW_GPU_CPU) continue;
        if (s->graph) gpu->cuda->driver->graph_exec_destroy(s->graph);
        s->graph = NULL;
        SW_TRY(sw__gpu_begin_graph(gpu, p, diag));
        sw_status status = sw__gpu_record(gpu, p, s->first, s->end, diag);
        SW_TRY(sw__gpu_end_graph(gpu, p, status, diag, &s->graph));
    }
    return SW_OK;
}

static sw_status build(sw_gpu *gpu, sw_gpu_program *p, bool fallback, const sw_diag *diag) {
    int shared[SW_CUDA_KERNELS];
    memset(shared, -1, sizeof shared);
    SW_TRY(sw_cuda_enter(gpu->cuda, diag));
    SW_TRY(sw_gpu_find_nodes(gpu->plan, p->instance, &gpu->cuda->info, &p->nodes, &p->n_nodes));
    settle_places(gpu, p);
    SW_TRY(sw__gpu_find_pairs(gpu, p, gpu->tunes));
    sw__gpu_choose_types(gpu, p);
    SW_TRY(sw__gpu_make_planned_tactics(gpu, p));
    for (bool again = true; again;) SW_TRY(place_nodes(gpu, p, fallback, diag, shared, &again));
    sw_cuda_load_all(gpu->cuda, shared, INT64_MAX);
    find_crossings(gpu, p);
    SW_TRY(sw__gpu_schedule(gpu, p));
    SW_TRY(plan_memory(gpu, p));
    SW_TRY(allocate(gpu, p, diag));
    SW_TRY(find_segments(p));
    p->events = SW_ARENA_ARRAY(p->instance->arena, sw_cu_event, (size_t)p->n_nodes + SW_GPU_MAX_STREAMS);
    if (!p->events) return SW_E_NOMEM;
    for (int i = 0; i < p->n_streams; i++)
        SW_CUDA_TRY(gpu->cuda, diag, stream_create(&p->streams[i], SW_CU_NON_BLOCKING));
    for (int i = 0; i < p->n_nodes + SW_GPU_MAX_STREAMS; i++)
        SW_CUDA_TRY(gpu->cuda, diag, event_create(&p->events[i], SW_CU_NO_TIMING));
    SW_CUDA_TRY(gpu->cuda, diag, stream_wait(gpu->cuda->stream));
    return sw__gpu_capture(gpu, p, diag);
}

sw_status sw_gpu_build(sw_gpu *gpu, sw_instance *instance, bool fallback, const sw_diag *diag,
                       sw_gpu_program **result) {
    sw_arena *arena = instance->arena;
    const sw_plan *plan = gpu->plan;
    sw_gpu_program *p = SW_ARENA_NEW(arena, sw_gpu_program);
    if (!p) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    p->instance = instance;
    p->roots = SW_ARENA_ARRAY(arena, int32_t, plan->n_values);
    p->channels = SW_ARENA_ARRAY(arena, int64_t, plan->n_values);
    p->homes = SW_ARENA_ARRAY(arena, int32_t, plan->n_values);
    p->forms = SW_ARENA_ARRAY(arena, uint8_t, plan->n_values);
    p->native = SW_ARENA_ARRAY(arena, uint8_t, plan->n_values);
    p->turned = SW_ARENA_ARRAY(arena, bool, plan->n_values);
    p->bound = SW_ARENA_ARRAY(arena, sw_cu_pointer, 2 * plan->n_values);
    p->offsets = SW_ARENA_ARRAY(arena, int64_t, plan->n_values);
    p->from_cpu = SW_ARENA_ARRAY(arena, bool, plan->n_values);
    p->to_cpu = SW_ARENA_ARRAY(arena, bool, plan->n_values);
    p->outputs = SW_ARENA_ARRAY(arena, float *, plan->n_outputs + 1);
    bool room = p->roots && p->channels && p->homes && p->forms && p->native && p->turned && p->bound && p->offsets &&
                p->from_cpu && p->to_cpu && p->outputs;
    sw_status status = room ? build(gpu, p, fallback, diag) : SW_E_NOMEM;
    if (status == SW_OK)
        *result = p;
    else
        sw_gpu_program_destroy(gpu, p);
    if (status == SW_E_NOMEM && !room) sw_fail(diag, status, NULL, NULL, "out of memory");
    return status;
}

void sw_gpu_program_destroy(sw_gpu *gpu, sw_gpu_program *p) {
    if (!p) return;
    const sw_cu_driver *driver = gpu->cuda->driver;
    driver->context_set(gpu->cuda->context);
    sw__gpu_program_ends_destroy(gpu, p->ends);
    for (int i = 0; i < p->n_segments; i++)
        if (p->segments[i].graph) driver->graph_exec_destroy(p->segments[i].graph);
    for (int i = 0; p->events && i < p->n_nodes + SW_GPU_MAX_STREAMS; i++)
        if (p->events[i]) driver->event_destroy(p->events[i]);
    for (int i = 0; i < SW_GPU_MAX_STREAMS; i++) {
        if (p->streams[i]) driver->stream_destroy(p->streams[i]);
        sw_cuda_free(gpu->cuda, p->workspaces[i]);
    }
    for (size_t i = 0; i < p->n_old_workspaces; i++) sw_cuda_free(gpu->cuda, p->old_workspaces[i]);
    sw_free(gpu->allocator, p->old_workspaces);
    for (int i = 0; p->outputs && i < gpu->plan->n_outputs; i++) sw__gpu_free_output(gpu, p, i);
    for (size_t i = 0; p->bound && i < 2 * gpu->plan->n_values; i++) sw_cuda_free(gpu->cuda, p->bound[i]);
    if (p->host_staging) driver->host_free(p->host_staging);
    sw_cuda_free(gpu->cuda, p->memory);
    sw_cuda_free(gpu->cuda, p->staging);
    sw_free(gpu->allocator, p->launches);
    sw_free(gpu->allocator, p->packings);
}

bool sw_gpu_uses_cpu(const sw_gpu_program *p) {
    for (int i = 0; i < p->n_nodes; i++)
        if (p->nodes[i].kind == SW_GPU_CPU) return true;
    return false;
}

bool sw_gpu_step_on_cpu(const sw_gpu_program *p, size_t step) {
    for (int i = 0; i < p->n_nodes; i++)
        if (p->nodes[i].step == (int32_t)step) return p->nodes[i].kind == SW_GPU_CPU;
    return false;
}

void sw_gpu_tell_cuts(const sw_gpu *gpu, const sw_gpu_program *p, const sw_diag *diag) {
    char text[512] = "";
    int n = 0;
    uint8_t seen[SW_OP_COUNT] = {0};
    for (int i = 0; i < p->n_nodes; i++) {
        const sw_gpu_node *node = &p->nodes[i];
        if (node->kind != SW_GPU_CPU) continue;
        n++;
        sw_op op = gpu->plan->steps[node->step].op;
        size_t used = strlen(text);
        if (!seen[op])
            snprintf(text + used, sizeof text - used, "%s%s: %s", used ? "; " : "", sw_op_get(op)->name, node->why);
        seen[op] = 1;
    }
    if (n) sw_info(diag, NULL, "%d of %d steps run on the CPU (%s)", n, p->n_nodes, text);
}

sw_gpu_summary sw_gpu_summarize(const sw_gpu *gpu, const sw_gpu_program *p) {
    sw_gpu_summary s = {.nodes = p->n_nodes,
                        .launches = (int)p->n_launches,
                        .streams = p->n_streams,
                        .memory = p->memory_bytes,
                        .weights = gpu->store->bytes,
                        .compiled = gpu->cuda->compiled,
                        .context_ms = (double)gpu->cuda->context_ns / 1e6};
    for (int i = 0; i < p->n_nodes; i++) s.cpu_steps += p->nodes[i].kind == SW_GPU_CPU;
    for (int i = 0; i < p->n_segments; i++) s.graphs += p->segments[i].graph != NULL;
    return s;
}

const char *sw_gpu_kernel_name(const sw_gpu_node *node) {
    switch (node->kind) {
    case SW_GPU_CONV:
    case SW_GPU_PRODUCT:
        return node->library ? node->library : sw_cuda_kernel_get(node->tile)->name;
    case SW_GPU_STEM:
        return "stem";
    case SW_GPU_STEM_CONV:
        return "stem and conv";
    case SW_GPU_PAIR:
        return sw__gpu_pair_name(node->tile);
    case SW_GPU_POOLS:
        return "pools";
    case SW_GPU_ATTENTION:
        return "attention";
    case SW_GPU_DECODE:
        return "decode";
    case SW_GPU_EXPRESSION:
        return "expression";
    case SW_GPU_CPU:
        return "on the CPU";
    default:
        return "kernels";
    }
}

const sw_gpu_node *sw_gpu_nodes(const sw_gpu_program *p, int *n) {
    *n = p->n_nodes;
    return p->nodes;
}

/* Kernels that are launched beside a program: copies of maps, both ends of a detector. */
static const sw_cuda_kernel beside[] = {SW_CUDA_FROM_HOST, SW_CUDA_TO_HOST, SW_CUDA_LETTERBOX,      SW_CUDA_CANDIDATES,
                                        SW_CUDA_RANK,      SW_CUDA_NMS,     SW_CUDA_CANDIDATES_ANY, SW_CUDA_RANK_ANY,
                                        SW_CUDA_BEATEN,    SW_CUDA_KEEP};

sw_status sw_gpu_keep_code(sw_gpu *gpu, const sw_gpu_program *p, const sw_diag *diag) {
    bool wanted[SW_CUDA_KERNELS] = {false};
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) wanted[beside[i]] = true;
    for (size_t i = 0; i < p->n_launches; i++) wanted[sw__gpu_kernel_for(gpu, p->launches[i].kernel)] = true;
    for (int i = 0; i < SW_CUDA_KERNELS; i++) {
        if (!wanted[i]) continue;
        sw_buf code = sw_buf_make(gpu->allocator, 0);
        sw_cuda_code found = {.kernel = sw_cuda_kernel_get((sw_cuda_kernel)i)->name};
        sw_status status = sw_cuda_get_code(gpu->cuda, (sw_cuda_kernel)i, diag, &code, &found.text);
        found.data = code.data, found.bytes = code.size;
        if (status == SW_OK) status = sw_plan_add_gpu_code(gpu->plan, &found);
        sw_buf_free(&code);
        SW_TRY(status);
    }
    return SW_OK;
}
