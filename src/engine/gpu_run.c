/* Recording, running and timing of programs. */
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "engine/gpu_program.h"

sw_status sw__gpu_launch(sw_gpu *gpu, const sw_cuda_launch *l, sw_cu_stream stream, bool programmatic,
                         const sw_diag *diag) {
    if (sw__gpu_is_library(l->kernel)) {
        const sw_cuda_library_conv *c = &l->args.library;
        return sw_cuda_tactic_run(gpu->cuda, c->tactic, &c->conv, c->workspace, stream, diag);
    }
    sw_cu_attribute attribute = {.id = SW_CU_PROGRAMMATIC, .value.flag = 1};
    sw_cu_launch launch = {.grid_x = (unsigned)l->grid_x,
                           .grid_y = (unsigned)l->grid_y,
                           .grid_z = 1,
                           .block_x = (unsigned)sw_cuda_kernel_get(l->kernel)->threads,
                           .block_y = 1,
                           .block_z = 1,
                           .shared_bytes = (unsigned)l->shared_bytes,
                           .stream = stream,
                           .attributes = &attribute,
                           .n_attributes = programmatic && gpu->cuda->info.sm >= 90};
    void *arguments[] = {(void *)&l->args};
    SW_CUDA_TRY(gpu->cuda, diag, launch(&launch, gpu->cuda->functions[l->kernel], arguments, NULL));
    return SW_OK;
}

/* ---- Recording ----------------------------------------------------------------------------------------------------- */

typedef struct recorder {
    sw_gpu *gpu;
    sw_gpu_program *p;
    const sw_diag *diag;
    bool started[SW_GPU_MAX_STREAMS];  /* it is part of the capture */
    bool launched[SW_GPU_MAX_STREAMS]; /* its last operation is a launch */
} recorder;

static bool waited_for(const sw_gpu_program *p, int node, int end) {
    for (int i = node + 1; i < end; i++)
        for (int k = 0; k < p->n_nodes && p->waits[(size_t)i * p->n_nodes + k] >= 0; k++)
            if (p->waits[(size_t)i * p->n_nodes + k] == node) return true;
    return false;
}

static sw_status record_node(recorder *r, int i, int first, int end) {
    sw_gpu_program *p = r->p;
    sw_gpu_node *node = &p->nodes[i];
    sw_cu_stream stream = p->streams[node->stream];
    const int32_t *waits = p->waits + (size_t)i * p->n_nodes;
    for (int k = 0; k < p->n_nodes && waits[k] >= 0; k++) {
        if (waits[k] < first) continue;
        SW_CUDA_TRY(r->gpu->cuda, r->diag, stream_wait_event(stream, p->events[waits[k]], 0));
        r->launched[node->stream] = false;
    }
    r->started[node->stream] = true;
    for (int k = 0; k < node->n_launches; k++) {
        const sw_cuda_launch *l = &p->launches[node->first_launch + k];
        SW_TRY(sw__gpu_launch(r->gpu, l, stream, r->launched[node->stream], r->diag));
        r->launched[node->stream] = !sw__gpu_is_library(l->kernel); /* a library's last operation may be no kernel */
    }
    if (waited_for(p, i, end)) SW_CUDA_TRY(r->gpu->cuda, r->diag, event_record(p->events[i], stream));
    return SW_OK;
}

sw_status sw__gpu_record(sw_gpu *gpu, sw_gpu_program *p, int first, int end, const sw_diag *diag) {
    recorder r = {.gpu = gpu, .p = p, .diag = diag, .started = {true}};
    sw_cu_event begin = p->events[p->n_nodes];
    SW_CUDA_TRY(gpu->cuda, diag, event_record(begin, p->streams[0]));
    for (int i = first; i < end; i++) {
        const sw_gpu_node *node = &p->nodes[i];
        if (node->n_launches == 0) continue;
        bool forks = !r.started[node->stream];
        if (forks) SW_CUDA_TRY(gpu->cuda, diag, stream_wait_event(p->streams[node->stream], begin, 0));
        SW_TRY(record_node(&r, i, first, end));
    }
    for (int s = 1; s < p->n_streams; s++) {
        if (!r.started[s]) continue;
        SW_CUDA_TRY(gpu->cuda, diag, event_record(p->events[p->n_nodes + s], p->streams[s]));
        SW_CUDA_TRY(gpu->cuda, diag, stream_wait_event(p->streams[0], p->events[p->n_nodes + s], 0));
    }
    return SW_OK;
}

/* ---- Copies between CPU and GPU ------------------------------------------------------------------------------------ */

/* Rows of channels between a map of the host with its pitch and dense pixels. */
static void gather(const sw_tensor *t, float *dense, bool back) {
    int64_t pixels = t->dims[0] * t->dims[2] * t->dims[3], channels = t->dims[1];
    for (int64_t i = 0; i < pixels; i++) {
        float *row = (float *)t->data + i * t->pitch;
        memcpy(back ? row : dense + i * channels, back ? dense + i * channels : row, (size_t)channels * sizeof *row);
    }
}

static void convert(const sw_gpu_program *p, const sw_tensor *map, bool to_map, sw_cuda_launch *l) {
    *l = (sw_cuda_launch){0};
    void *dense = (void *)(uintptr_t)p->staging;
    l->args.convert = (sw_cuda_convert){.in = to_map ? dense : map->data,
                                        .out = to_map ? map->data : dense,
                                        .pitch = (int)map->pitch,
                                        .channels = (int)map->dims[1],
                                        .pixels = map->dims[0] * map->dims[2] * map->dims[3]};
    sw_cuda_launch_convert(l, to_map);
}

/* The other form of rows, where it is wanted. */
static sw_status convert_form(sw_gpu *gpu, sw_gpu_program *p, int32_t value, const sw_diag *diag) {
    sw_cuda_launch l;
    if (!sw__gpu_convert(gpu, p, value, &l)) return SW_OK;
    SW_TRY(sw_cuda_load(gpu->cuda, l.kernel, 0, diag));
    return sw__gpu_launch(gpu, &l, p->streams[0], false, diag);
}

static sw_status copy_in(sw_gpu *gpu, sw_gpu_program *p, int32_t value, const sw_diag *diag) {
    sw_tensor on_gpu = sw__gpu_tensor(gpu, p, value);
    const sw_tensor *t = &p->instance->values[value];
    size_t bytes = (size_t)sw_tensor_bytes(t);
    sw_cu_pointer at = (sw_cu_pointer)(uintptr_t)on_gpu.data;
    sw_cuda_launch l;
    if (t->layout != SW_CHANNELS_LAST) {
        SW_CUDA_TRY(gpu->cuda, diag, copy_in(at, t->data, bytes, p->streams[0]));
        return convert_form(gpu, p, value, diag);
    }
    gather(t, p->host_staging, false);
    convert(p, &on_gpu, true, &l);
    SW_CUDA_TRY(gpu->cuda, diag, copy_in(p->staging, p->host_staging, bytes, p->streams[0]));
    SW_TRY(sw_cuda_load(gpu->cuda, l.kernel, 0, diag));
    SW_TRY(sw__gpu_launch(gpu, &l, p->streams[0], false, diag));
    SW_TRY(convert_form(gpu, p, value, diag));
    SW_CUDA_TRY(gpu->cuda, diag, stream_wait(p->streams[0]));
    return SW_OK;
}

static sw_status copy_out(sw_gpu *gpu, sw_gpu_program *p, int32_t value, const sw_diag *diag) {
    sw_tensor on_gpu = sw__gpu_form(gpu, p, value, SW_GPU_FLOAT);
    const sw_tensor *t = &p->instance->values[value];
    size_t bytes = (size_t)sw_tensor_bytes(t);
    bool map = t->layout == SW_CHANNELS_LAST;
    sw_cu_pointer at = map ? p->staging : (sw_cu_pointer)(uintptr_t)on_gpu.data;
    if (map) {
        sw_cuda_launch l;
        convert(p, &on_gpu, false, &l);
        SW_TRY(sw_cuda_load(gpu->cuda, l.kernel, 0, diag));
        SW_TRY(sw__gpu_launch(gpu, &l, p->streams[0], false, diag));
    }
    SW_CUDA_TRY(gpu->cuda, diag, copy_out(map ? p->host_staging : t->data, at, bytes, p->streams[0]));
    SW_CUDA_TRY(gpu->cuda, diag, stream_wait(p->streams[0]));
    if (map) gather(t, p->host_staging, true);
    return SW_OK;
}

/* ---- Running ------------------------------------------------------------------------------------------------------- */

/* Whether a value is on the GPU at all. */
static bool lives_there(const sw_gpu_program *p, int32_t value) {
    return value >= 0 && p->offsets[p->roots[value]] >= 0 && sw_cuda_has_type(p->instance->values[value].dtype);
}

static sw_status run_on_cpu(sw_gpu *gpu, sw_gpu_program *p, const sw_gpu_node *node,
                            sw_status (*run_step)(void *ctx, size_t step), void *ctx, const sw_diag *diag) {
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0 && p->to_cpu[node->in[i]]) SW_TRY(copy_out(gpu, p, node->in[i], diag));
    SW_TRY(run_step(ctx, (size_t)node->step));
    for (int i = 0; i < node->n_out; i++)
        if (lives_there(p, node->out[i])) SW_TRY(copy_in(gpu, p, node->out[i], diag));
    return SW_OK;
}

static sw_status copy_inputs(sw_gpu *gpu, sw_gpu_program *p, const sw_diag *diag) {
    const sw_plan *plan = gpu->plan;
    for (int i = 0; i < plan->n_inputs; i++)
        if (lives_there(p, plan->inputs[i])) SW_TRY(copy_in(gpu, p, plan->inputs[i], diag));
    return SW_OK;
}

sw_status sw__gpu_copy_outputs(sw_gpu *gpu, sw_gpu_program *p, int except, const sw_diag *diag) {
    const sw_plan *plan = gpu->plan;
    for (int i = 0; i < plan->n_outputs; i++) {
        if (!p->outputs[i] || i == except) continue;
        p->instance->values[plan->outputs[i]].data = p->outputs[i];
        SW_TRY(copy_out(gpu, p, plan->outputs[i], diag));
    }
    return SW_OK;
}

static sw_status copy_outputs(sw_gpu *gpu, sw_gpu_program *p, const sw_diag *diag) {
    return sw__gpu_copy_outputs(gpu, p, -1, diag);
}

sw_status sw_gpu_run(sw_gpu *gpu, sw_gpu_program *p, sw_status (*run_step)(void *ctx, size_t step), void *ctx,
                     const sw_diag *diag) {
    SW_TRY(sw_cuda_enter(gpu->cuda, diag));
    SW_TRY(copy_inputs(gpu, p, diag));
    for (int i = 0; i < p->n_segments; i++) {
        const sw_gpu_node *node = &p->nodes[p->segments[i].first];
        if (node->kind == SW_GPU_CPU)
            SW_TRY(run_on_cpu(gpu, p, node, run_step, ctx, diag));
        else
            SW_CUDA_TRY(gpu->cuda, diag, graph_launch(p->segments[i].graph, p->streams[0]));
    }
    SW_TRY(copy_outputs(gpu, p, diag));
    SW_CUDA_TRY(gpu->cuda, diag, stream_wait(p->streams[0]));
    return SW_OK;
}

/* Median milliseconds of a copy with the wait for its end. */
static sw_status time_copy(sw_gpu *gpu, sw_gpu_program *p, int rounds, const sw_diag *diag,
                           sw_status (*copy)(sw_gpu *gpu, sw_gpu_program *p, const sw_diag *diag), double *ms) {
    double times[SW_GPU_MAX_ROUNDS];
    if (rounds > SW_GPU_MAX_ROUNDS) rounds = SW_GPU_MAX_ROUNDS;
    for (int i = 0; i < rounds; i++) {
        int64_t begin = sw_clock_ns();
        SW_TRY(copy(gpu, p, diag));
        SW_CUDA_TRY(gpu->cuda, diag, stream_wait(p->streams[0]));
        times[i] = (double)(sw_clock_ns() - begin) / 1e6;
    }
    *ms = sw__gpu_median(times, rounds);
    return SW_OK;
}

sw_status sw_gpu_time_copies(sw_gpu *gpu, sw_gpu_program *p, int rounds, const sw_diag *diag, double *in_ms,
                             double *out_ms) {
    SW_TRY(sw_cuda_enter(gpu->cuda, diag));
    SW_TRY(time_copy(gpu, p, rounds, diag, copy_inputs, in_ms));
    return time_copy(gpu, p, rounds, diag, copy_outputs, out_ms);
}
