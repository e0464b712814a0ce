/* Weights, constants and memory of the host: what a program needs beside its kernels before it can be launched. */
#include "base/half.h"
#include "base/pool.h"
#include "engine/gpu_program.h"

/* ---- What stays on the GPU ----------------------------------------------------------------------------------------- */

static sw_status upload(sw_gpu *gpu, const void *data, size_t bytes, const sw_diag *diag, sw_cu_pointer *at) {
    SW_TRY(sw_cuda_alloc(gpu->cuda, bytes, diag, at));
    unsigned result = gpu->cuda->driver->copy_in(*at, data, bytes, gpu->cuda->stream);
    if (result == 0) result = gpu->cuda->driver->stream_wait(gpu->cuda->stream);
    if (result == 0) return SW_OK;
    sw_cuda_free(gpu->cuda, *at);
    *at = 0;
    return sw_cuda_check(gpu->cuda, result, "copy_in", diag);
}

/* Fills a place of the store. */
static sw_status upload_shared(sw_gpu *gpu, const void *data, size_t bytes, const sw_diag *diag,
                               _Atomic sw_cu_pointer *place) {
    sw_cu_pointer at;
    sw_status status = upload(gpu, data, bytes, diag, &at);
    if (status != SW_OK) return status;
    *place = at;
    gpu->store->bytes += (long long)bytes;
    return SW_OK;
}

/* A float32 tensor in the type of halves; the caller frees it. NULL: out of memory. */
static uint16_t *halves_of(const sw_gpu *gpu, const sw_tensor *t) {
    int64_t n = sw_tensor_count(t);
    uint16_t *halves = sw_alloc(gpu->allocator, (size_t)n * sizeof *halves);
    for (int64_t i = 0; halves && i < n; i++) {
        float v = ((const float *)t->data)[i];
        halves[i] = sw__gpu_half(gpu) == SW_BF16 ? sw_f32_to_bf16(v) : sw_f32_to_f16(v);
    }
    return halves;
}

sw_status sw__gpu_upload_constant(sw_gpu *gpu, const sw_gpu_program *p, int32_t value, int form, const sw_diag *diag) {
    const sw_tensor *t = &p->instance->values[value];
    size_t at = sw__gpu_constant(value, form), bytes = (size_t)sw_tensor_bytes(t);
    bool bound = p->instance->places[value] == SW_PLACE_BOUND, half = form == SW_GPU_HALF;
    sw_gpu_store *store = gpu->store;
    if (bound ? p->bound[at] : store->constants[at]) return SW_OK;
    uint16_t *halves = half ? halves_of(gpu, t) : NULL;
    if (half && !halves) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    const void *data = half ? halves : t->data;
    if (half) bytes /= 2;
    sw_status status = SW_OK;
    pthread_mutex_lock(&store->lock);
    if (bound)
        status = upload(gpu, data, bytes, diag, &p->bound[at]);
    else if (!store->constants[at]) /* another session's, by now */
        status = upload_shared(gpu, data, bytes, diag, &store->constants[at]);
    pthread_mutex_unlock(&store->lock);
    sw_free(gpu->allocator, halves);
    return status;
}

sw_status sw__gpu_cpu_only(const sw_diag *diag) {
    return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "give the model itself, or a plan that was built with --portable",
                   "this plan holds its weights for the CPU only");
}

_Atomic sw_cu_pointer *sw__gpu_weights_of(const sw_gpu *gpu, int32_t step, sw_cuda_form form) {
    return &gpu->store->weights[(size_t)step * SW_CUDA_FORMS + form];
}

/* Weights of a product, depth by depth, as convolutions have them. */
static float *turn_weights(sw_gpu *gpu, const float *weights, int64_t depth, int64_t columns) {
    float *turned = sw_alloc(gpu->allocator, (size_t)(depth * columns) * sizeof *turned);
    for (int64_t k = 0; turned && k < depth; k++)
        for (int64_t n = 0; n < columns; n++) turned[n * depth + k] = weights[k * columns + n];
    return turned;
}

/* Packs them, and fills their place in the store unless another session was faster. */
static sw_status pack_weights(sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_packing *w, const sw_diag *diag) {
    const sw_step *s = &gpu->plan->steps[w->step];
    const float *bias = s->n_in > 2 && s->in[2] >= 0 ? p->instance->values[s->in[2]].data : NULL;
    const float *weights = p->instance->values[s->in[1]].data;
    if (!weights) return sw__gpu_cpu_only(diag);
    size_t bias_at, bytes = sw_cuda_packed_bytes(&w->conv, w->form, gpu->cuda->info.cell, &bias_at);
    void *packed = sw_alloc(gpu->allocator, bytes);
    float *turned = w->turn ? turn_weights(gpu, weights, w->conv.in_channels, w->conv.out_channels) : NULL;
    sw_status status = packed && (turned || !w->turn) ? SW_OK : SW_E_NOMEM;
    if (status == SW_OK) {
        sw_cuda_pack(&w->conv, w->form, gpu->cuda->info.cell, w->turn ? turned : weights, bias, packed);
        pthread_mutex_lock(&gpu->store->lock);
        _Atomic sw_cu_pointer *place = sw__gpu_weights_of(gpu, w->step, w->form);
        if (!*place) status = upload_shared(gpu, packed, bytes, diag, place);
        pthread_mutex_unlock(&gpu->store->lock);
    }
    sw_free(gpu->allocator, turned);
    sw_free(gpu->allocator, packed);
    return status;
}

sw_status sw__gpu_upload_weights(sw_gpu *gpu, sw_gpu_program *p, int32_t step, const sw_conv *conv, sw_cuda_form form,
                                 bool turn, const sw_diag *diag) {
    if (*sw__gpu_weights_of(gpu, step, form)) return SW_OK;
    const sw_gpu_packing packing = {step, *conv, form, turn};
    if (p->memory) return pack_weights(gpu, p, &packing, diag);
    for (size_t i = 0; i < p->n_packings; i++)
        if (p->packings[i].step == step && p->packings[i].form == form) return SW_OK;
    SW_TRY(
        sw_grow(gpu->allocator, (void **)&p->packings, &p->cap_packings, p->n_packings + 1, sizeof packing, SIZE_MAX));
    p->packings[p->n_packings++] = packing;
    return SW_OK;
}

/* ---- Side by side -------------------------------------------------------------------------------------------------- */

/* Outputs that the GPU makes lie in pinned memory. The driver takes half a second to pin a gigabyte of its own, on one CPU, and
 * holds up all other calls; most of that is the kernel's work of finding the pages. So all CPUs find them, by a touch of each,
 * and the driver pins what is there. */
enum { PIECE = 4 << 20, PAGE = 4096, SIDE_BY_SIDE = 8 /* threads: more of them cost more than they bring */ };

static size_t output_bytes(const sw_gpu *gpu, const sw_gpu_program *p, int output) {
    return (size_t)sw_tensor_bytes(&p->instance->values[gpu->plan->outputs[output]]) + 1;
}

static int64_t pieces_of(const sw_gpu *gpu, const sw_gpu_program *p, int output) {
    return p->outputs[output] ? (int64_t)((output_bytes(gpu, p, output) + PIECE - 1) / PIECE) : 0;
}

static void touch(const sw_gpu *gpu, const sw_gpu_program *p, int64_t piece) {
    int output = 0;
    while (piece >= pieces_of(gpu, p, output)) piece -= pieces_of(gpu, p, output++);
    size_t at = (size_t)piece * PIECE, end = at + PIECE, bytes = output_bytes(gpu, p, output);
    volatile char *room = (char *)p->outputs[output];
    for (; at < end && at < bytes; at += PAGE) room[at] = 0;
}

static sw_status make_outputs(sw_gpu *gpu, sw_gpu_program *p, const sw_diag *diag) {
    for (int i = 0; i < gpu->plan->n_outputs; i++) {
        int32_t value = gpu->plan->outputs[i];
        if (p->instance->places[value] != SW_PLACE_PLANNED || p->from_cpu[value]) continue;
        p->outputs[i] = sw_alloc(gpu->allocator, output_bytes(gpu, p, i));
        if (!p->outputs[i]) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    }
    return SW_OK;
}

/* Where the driver refuses, as for small ones that share a page, copies are only slower. */
static void pin_outputs(sw_gpu *gpu, sw_gpu_program *p) {
    for (int i = 0; i < gpu->plan->n_outputs; i++)
        if (p->outputs[i]) gpu->cuda->driver->host_register(p->outputs[i], output_bytes(gpu, p, i), 0);
}

void sw__gpu_free_output(const sw_gpu *gpu, sw_gpu_program *p, int output) {
    if (!p->outputs[output]) return;
    gpu->cuda->driver->host_unregister(p->outputs[output]); /* fails where it was not pinned */
    sw_free(gpu->allocator, p->outputs[output]);
}

typedef struct uploading {
    sw_gpu *gpu;
    sw_gpu_program *p;
    int64_t pieces; /* of outputs; weights follow */
} uploading;

static void upload_some(void *ctx, int64_t begin, int64_t end, int thread) {
    const uploading *u = ctx;
    (void)thread;
    u->gpu->cuda->driver->context_set(u->gpu->cuda->context);
    for (int64_t i = begin; i < end; i++) {
        if (i < u->pieces) {
            touch(u->gpu, u->p, i);
            continue;
        }
        sw_status status = pack_weights(u->gpu, u->p, &u->p->packings[i - u->pieces], NULL);
        (void)status; /* whoever wants them makes them, and is told */
    }
}

sw_status sw__gpu_upload_all(sw_gpu *gpu, sw_gpu_program *p, const sw_diag *diag) {
    SW_TRY(make_outputs(gpu, p, diag));
    uploading u = {gpu, p, 0};
    for (int i = 0; i < gpu->plan->n_outputs; i++) u.pieces += pieces_of(gpu, p, i);
    int64_t n = u.pieces + (int64_t)p->n_packings;
    sw_pool *pool = sw_pool_create_small(gpu->allocator, n < SIDE_BY_SIDE ? n : SIDE_BY_SIDE);
    sw_pool_for(pool, n, 1, upload_some, &u);
    sw_pool_destroy(pool);
    sw_free(gpu->allocator, p->packings);
    p->packings = NULL, p->n_packings = p->cap_packings = 0;
    pin_outputs(gpu, p);
    return SW_OK;
}
