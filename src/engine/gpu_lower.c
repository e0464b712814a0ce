/* From nodes to launches. */
#include <stddef.h>
#include <string.h>

#include "engine/gpu_expressions.h"
#include "engine/gpu_program.h"

static int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

sw_tensor sw__gpu_tensor(const sw_gpu *gpu, const sw_gpu_program *p, int32_t value) {
    return sw__gpu_form(gpu, p, value, p->native[p->roots[value]]);
}

sw_tensor sw__gpu_form(const sw_gpu *gpu, const sw_gpu_program *p, int32_t value, int form) {
    const sw_instance *instance = p->instance;
    sw_tensor t = instance->values[value];
    int32_t root = p->roots[value];
    if (instance->places[value] == SW_PLACE_CONST || instance->places[value] == SW_PLACE_BOUND) {
        size_t at = sw__gpu_constant(value, form);
        bool bound = instance->places[value] == SW_PLACE_BOUND;
        t.data = (void *)(uintptr_t)(bound ? p->bound[at] : gpu->store->constants[at]);
        if (form == SW_GPU_HALF) t.dtype = sw__gpu_half(gpu);
        return t;
    }
    bool map = t.layout == SW_CHANNELS_LAST, rows = !map && t.dtype == SW_F32;
    int64_t at = p->channels[value] * sw_cuda_cell_bytes(gpu->cuda->info.cell) +
                 (rows && form == SW_GPU_FLOAT ? sw__gpu_float_at(p, root) : 0);
    if (map) t.pitch = round_up(instance->values[p->homes[value]].dims[1], 8);
    if (rows && form == SW_GPU_HALF) t.dtype = sw__gpu_half(gpu);
    if (p->memory)
        t.data = (char *)(uintptr_t)p->memory + p->offsets[root] + at;
    else
        t.data = (void *)(((uintptr_t)root + 1) << 40 | (uintptr_t)at); /* to compare places */
    return t;
}

/* ---- Nodes --------------------------------------------------------------------------------------------------------- */

static bool stays_on_host(const sw_step *step, int i, const sw_tensor *t) {
    return !sw_cuda_is_operand(step->op, i, t);
}

/* The call of a step of a node, with its ports on the GPU. */
static sw_call step_call(sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node, int32_t index) {
    const sw_step *step = &gpu->plan->steps[index];
    sw_call call = sw_step_call(step, p->instance->values, gpu->in, gpu->out, NULL);
    for (int i = 0; i < step->n_in; i++) {
        if (!gpu->in[i] || stays_on_host(step, i, gpu->in[i])) continue;
        sw_cuda_rows rows = sw__gpu_rows_of(p, node, &call, false, i);
        gpu->ports[i] = rows == SW_CUDA_ROWS_ANY
                            ? sw__gpu_tensor(gpu, p, step->in[i])
                            : sw__gpu_form(gpu, p, step->in[i], rows == SW_CUDA_ROWS_HALF ? SW_GPU_HALF : SW_GPU_FLOAT);
        gpu->in[i] = &gpu->ports[i];
    }
    for (int i = 0; i < step->n_out; i++) {
        if (!gpu->out[i]) continue;
        gpu->ports[step->n_in + i] = sw__gpu_tensor(gpu, p, step->out[i]);
        gpu->out[i] = &gpu->ports[step->n_in + i];
    }
    return call;
}

static sw_call node_call(sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node) {
    return step_call(gpu, p, node, node->step);
}

static sw_status describe(const sw_gpu *gpu, const sw_gpu_node *node, const sw_call *call, sw_conv *conv) {
    if (node->kind != SW_GPU_PRODUCT) return sw_call_conv(call, conv);
    return sw_cuda_describe_product(call, sw__gpu_half(gpu), conv);
}

sw_status sw__gpu_conv(sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node, sw_conv *conv) {
    sw_call call = node_call(gpu, p, node);
    SW_TRY(describe(gpu, node, &call, conv));
    if (node->kind == SW_GPU_PRODUCT) return SW_OK;
    if (node->in_shift) {
        sw_conv end;
        call = step_call(gpu, p, node, node->end);
        SW_TRY(sw_call_conv(&call, &end));
        conv->in_shift = node->in_shift;
        conv->out_height = end.out_height, conv->out_width = end.out_width, conv->out_pitch = end.out_pitch;
        conv->act = end.act, conv->act_a = end.act_a, conv->act_b = end.act_b;
        conv->residual = conv->residual_before_act = true;
    }
    if (node->bare) {
        conv->act = SW_ACT_NONE, conv->residual = conv->residual_before_act = false, conv->residual_pitch = 0;
        conv->out_pitch = sw__gpu_tensor(gpu, p, node->out[0]).pitch;
    }
    conv->residual_shift = node->residual_shift;
    if (conv->residual) conv->residual_pitch = sw__gpu_tensor(gpu, p, node->in[3]).pitch;
    return SW_OK;
}

bool sw__gpu_same_conv(const sw_conv *a, const sw_conv *b) {
    /* Field by field from where padding begins. */
    return memcmp(a, b, offsetof(sw_conv, in_planar)) == 0 && a->in_planar == b->in_planar && a->act == b->act &&
           a->residual == b->residual && a->in_type == b->in_type && a->out_type == b->out_type;
}

static sw_status find_tile(sw_gpu *gpu, const sw_conv *conv, const sw_diag *diag, sw_cuda_kernel *tile) {
    for (size_t i = 0; i < gpu->n_tuned; i++)
        if (!gpu->tuned[i].pair && sw__gpu_same_conv(&gpu->tuned[i].conv, conv)) {
            *tile = gpu->tuned[i].tile;
            if (!sw__gpu_is_library(*tile) || sw__gpu_has_tactic(gpu, conv, tile)) return SW_OK;
        }
    char key[SW_CPU_KEY];
    sw_cuda_kernel tiles[SW_CUDA_KERNELS];
    if (gpu->plan->n_gpu_tiles) sw_cpu_conv_key(conv, key, sizeof key);
    const char *name = gpu->plan->n_gpu_tiles ? sw_plan_gpu_tile(gpu->plan, key) : NULL;
    *tile = sw_cuda_conv_choose(conv, &gpu->cuda->info);
    if (name && sw_cuda_tactic_is(name)) return sw__gpu_library_tile(gpu, conv, name, diag, tile);
    for (int i = 0, n = name ? sw_cuda_conv_candidates(conv, &gpu->cuda->info, tiles) : 0; i < n; i++)
        if (!strcmp(sw_cuda_kernel_get(tiles[i])->name, name)) *tile = tiles[i];
    return SW_OK;
}

static sw_status lower_conv(sw_gpu *gpu, sw_gpu_program *p, sw_gpu_node *node, sw_cuda_launch *l, const sw_diag *diag) {
    sw_conv conv;
    SW_TRY(sw__gpu_conv(gpu, p, node, &conv));
    sw_call call = node_call(gpu, p, node);
    void *out = node->bare || node->in_shift ? sw__gpu_tensor(gpu, p, node->out[0]).data : call.out[0]->data;
    sw_cuda_form form = sw_cuda_conv_form(&conv);
    bool turn = node->kind == SW_GPU_PRODUCT && !sw_call_is_transposed(&call);
    if (form == SW_CUDA_FORM_TILES) SW_TRY(find_tile(gpu, &conv, diag, &node->tile));
    SW_TRY(sw__gpu_upload_weights(gpu, p, node->step, &conv, form, turn, diag));
    sw_tensor residual = {0}; /* the node's, which may be another than the step's */
    if (conv.residual) residual = sw__gpu_tensor(gpu, p, node->in[3]);
    bool residual_float = node->kind == SW_GPU_PRODUCT && residual.dtype == SW_F32;
    if (residual_float) node->tile = sw__gpu_kernel_for(gpu, node->tile); /* libraries add halves only */
    sw__gpu_launch_conv(gpu, &conv, form, node->tile, call.in[0]->data,
                        (void *)(uintptr_t)*sw__gpu_weights_of(gpu, node->step, form), residual.data, out, l);
    l->args.conv.residual_float = residual_float;
    node->tile = l->kernel;
    node->library = sw__gpu_is_library(node->tile) ? sw__gpu_tile_name(gpu, node->tile) : NULL;
    return SW_OK;
}

sw_gpu_node sw__gpu_conv_node(const sw_gpu *gpu, int32_t index) {
    const sw_step *step = &gpu->plan->steps[index];
    return (sw_gpu_node){
        .kind = SW_GPU_CONV, .step = index, .in = step->in, .n_in = step->n_in, .out = step->out, .n_out = step->n_out};
}

sw_status sw__gpu_pair(sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node, sw_conv *first, sw_conv *second) {
    const sw_gpu_node a = sw__gpu_conv_node(gpu, node->first), b = sw__gpu_conv_node(gpu, node->step);
    SW_TRY(sw__gpu_conv(gpu, p, &a, first));
    return sw__gpu_conv(gpu, p, &b, second);
}

sw_status sw__gpu_lower_pair(sw_gpu *gpu, sw_gpu_program *p, const sw_gpu_node *node, sw_cuda_kernel kernel,
                             sw_cuda_launch *l, int *n, const sw_diag *diag) {
    sw_conv a, b;
    *n = kernel == SW_GPU_APART ? 2 : 1;
    if (*n == 2) {
        sw_gpu_node first = sw__gpu_conv_node(gpu, node->first), second = sw__gpu_conv_node(gpu, node->step);
        SW_TRY(lower_conv(gpu, p, &first, l, diag));
        return lower_conv(gpu, p, &second, l + 1, diag);
    }
    SW_TRY(sw__gpu_pair(gpu, p, node, &a, &b));
    SW_TRY(sw__gpu_upload_weights(gpu, p, node->first, &a, sw_cuda_conv_form(&a), false, diag));
    SW_TRY(sw__gpu_upload_weights(gpu, p, node->step, &b, SW_CUDA_FORM_TILES, false, diag));
    sw_cuda_launch_pair(&a, &b, kernel, &gpu->cuda->info, sw__gpu_tensor(gpu, p, node->in[0]).data,
                        (void *)(uintptr_t)*sw__gpu_weights_of(gpu, node->first, sw_cuda_conv_form(&a)),
                        (void *)(uintptr_t)*sw__gpu_weights_of(gpu, node->step, SW_CUDA_FORM_TILES),
                        b.residual ? sw__gpu_tensor(gpu, p, node->in[1]).data : NULL,
                        sw__gpu_tensor(gpu, p, node->out[0]).data, l);
    return SW_OK;
}

static sw_status lower_pair(sw_gpu *gpu, sw_gpu_program *p, sw_gpu_node *node, sw_cuda_launch *l, int *n,
                            const sw_diag *diag) {
    sw_conv a, b;
    SW_TRY(sw__gpu_pair(gpu, p, node, &a, &b));
    node->tile = sw__gpu_choose_pair(gpu, &a, &b);
    return sw__gpu_lower_pair(gpu, p, node, node->tile, l, n, diag);
}

static sw_status lower_stem_conv(sw_gpu *gpu, sw_gpu_program *p, const sw_gpu_node *node, sw_cuda_launch *l,
                                 const sw_diag *diag) {
    sw_conv stem, conv;
    sw_call call = step_call(gpu, p, node, node->first);
    SW_TRY(sw_call_conv(&call, &stem));
    call = node_call(gpu, p, node);
    SW_TRY(sw_call_conv(&call, &conv));
    SW_TRY(sw__gpu_upload_weights(gpu, p, node->first, &stem, SW_CUDA_FORM_STEM, false, diag));
    SW_TRY(sw__gpu_upload_weights(gpu, p, node->step, &conv, SW_CUDA_FORM_TILES, false, diag));
    sw_cuda_launch_stem_conv(&stem, &conv, &gpu->cuda->info, sw__gpu_tensor(gpu, p, node->in[0]).data,
                             (void *)(uintptr_t)*sw__gpu_weights_of(gpu, node->first, SW_CUDA_FORM_STEM),
                             (void *)(uintptr_t)*sw__gpu_weights_of(gpu, node->step, SW_CUDA_FORM_TILES),
                             sw__gpu_tensor(gpu, p, node->out[0]).data, l);
    return SW_OK;
}

static void lower_pools(const sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node, int kernel_h, int kernel_w,
                        sw_cuda_launch *l) {
    sw_tensor in = sw__gpu_tensor(gpu, p, node->in[0]);
    l->args.pool = (sw_cuda_pool){.in = in.data,
                                  .in_pitch = (int)in.pitch,
                                  .batch = (int)in.dims[0],
                                  .height = (int)in.dims[2],
                                  .width = (int)in.dims[3],
                                  .channels = (int)round_up(in.dims[1], 8),
                                  .kernel_h = kernel_h,
                                  .kernel_w = kernel_w,
                                  .rounds = node->n_out};
    for (int i = 0; i < node->n_out; i++) {
        sw_tensor out = sw__gpu_tensor(gpu, p, node->out[i]);
        l->args.pool.out[i] = out.data;
        l->args.pool.out_pitch[i] = (int)out.pitch;
    }
    sw_cuda_launch_pool_chain(l, gpu->cuda->info.cell);
}

static void lower_attention(const sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node, sw_cuda_launch *l) {
    sw_tensor qkv = sw__gpu_tensor(gpu, p, node->in[0]), out = sw__gpu_tensor(gpu, p, node->out[0]);
    l->args.attention = (sw_cuda_attention){.qkv = qkv.data,
                                            .out = out.data,
                                            .qkv_pitch = (int)qkv.pitch,
                                            .out_pitch = (int)out.pitch,
                                            .tokens = (int)(qkv.dims[2] * qkv.dims[3]),
                                            .heads = node->heads,
                                            .head = 2 * node->dq + node->dv,
                                            .scale = node->scale};
    if (node->n_out > 1) {
        sw_tensor values = sw__gpu_tensor(gpu, p, node->out[1]);
        l->args.attention.values = values.data;
        l->args.attention.values_pitch = (int)values.pitch;
    }
    sw_cuda_launch_attention(l, node->dq, node->dv, (int)qkv.dims[0], &gpu->cuda->info);
}

static void lower_decode(const sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node, sw_cuda_launch *l) {
    sw_tensor out = sw__gpu_tensor(gpu, p, node->out[0]);
    sw_cuda_decode *d = &l->args.decode;
    const int32_t *constants = node->in + 2 * node->levels;
    *d = (sw_cuda_decode){.out = out.data,
                          .levels = node->levels,
                          .anchors = (int)out.dims[2],
                          .classes = node->classes,
                          .minus = sw__gpu_tensor(gpu, p, constants[0]).data,
                          .plus = sw__gpu_tensor(gpu, p, constants[1]).data,
                          .stride = sw__gpu_tensor(gpu, p, constants[2]).data};
    for (int i = 0; i < node->levels; i++) {
        sw_tensor boxes = sw__gpu_tensor(gpu, p, node->in[i]),
                  scores = sw__gpu_tensor(gpu, p, node->in[node->levels + i]);
        int anchors = (int)(boxes.dims[2] * boxes.dims[3]);
        d->boxes[i] = boxes.data, d->scores[i] = scores.data;
        d->box_pitch[i] = (int)boxes.pitch, d->score_pitch[i] = (int)scores.pitch;
        d->first[i + 1] = d->first[i] + anchors;
        d->first_block[i + 1] = d->first_block[i] + (anchors + CUDA_DECODE_ANCHORS - 1) / CUDA_DECODE_ANCHORS;
    }
    sw_cuda_launch_decode(l, (int)out.dims[0], gpu->cuda->info.cell);
}

static sw_status lower_excite(sw_gpu *gpu, sw_gpu_program *p, const sw_gpu_node *node, sw_cuda_launch *l,
                              const sw_diag *diag) {
    sw_conv convs[2];
    const void *packed[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        sw_call call = step_call(gpu, p, node, node->convs[i]);
        SW_TRY(sw_call_conv(&call, &convs[i]));
        if (i < node->begin) continue;
        SW_TRY(sw__gpu_upload_weights(gpu, p, node->convs[i], &convs[i], SW_CUDA_FORM_TILES, false, diag));
        packed[i] = (void *)(uintptr_t)*sw__gpu_weights_of(gpu, node->convs[i], SW_CUDA_FORM_TILES);
    }
    sw_tensor map = sw__gpu_tensor(gpu, p, node->in[0]), squeezed = sw__gpu_tensor(gpu, p, node->in[1]),
              out = sw__gpu_tensor(gpu, p, node->out[0]);
    sw_cuda_launch_excite(convs, node->begin, &map, &squeezed, packed, &out, l);
    return SW_OK;
}

static void lower_mean(const sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node, sw_cuda_launch *l) {
    sw_tensor in = sw__gpu_tensor(gpu, p, node->in[0]), out = sw__gpu_tensor(gpu, p, node->out[0]);
    sw_cuda_launch_mean(&in, out.data, 0, in.dims[1], l);
}

static void lower_gemm(sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node, sw_cuda_launch *l) {
    const sw_tensor *in[SW_GPU_MAX_PORTS];
    sw_tensor *out[1], result = sw__gpu_tensor(gpu, p, node->out[0]);
    sw_call act = sw_step_call(&gpu->plan->steps[node->act], p->instance->values, in, out, NULL), call;
    out[0] = &result;
    call = node_call(gpu, p, node);
    sw_cuda_lower_few_rows(&call, &act, l);
}

/* Places that are known must lie within the axis: kernels cannot complain. */
static bool has_bad_places(const sw_gpu *gpu, const sw_gpu_program *p, const sw_step *step) {
    if (step->op != SW_OP_Gather && step->op != SW_OP_GatherElements) return false;
    const sw_tensor *x = &p->instance->values[step->in[0]], *at = &p->instance->values[step->in[1]];
    sw_call call = sw_step_call(step, p->instance->values, gpu->in, gpu->out, NULL);
    int64_t axis = sw_call_int(&call, "axis"), n = at->data ? sw_tensor_count(at) : 0;
    int64_t extent = x->dims[axis < 0 ? axis + x->rank : axis];
    for (int64_t i = 0; i < n; i++) {
        int64_t place = sw_tensor_int_at(at, i);
        if (place < -extent || place >= extent) return true;
    }
    return false;
}

/* Values that a node on the GPU may read or write. */
static const char *refuse_ports(const sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node) {
    const sw_instance *instance = p->instance;
    const sw_step *step = &gpu->plan->steps[node->step];
    bool own = node->in == step->in;
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] < 0) continue;
        const sw_tensor *t = &instance->values[node->in[i]];
        if (instance->places[node->in[i]] == SW_PLACE_DYNAMIC) return "its shape depends on data";
        if (own && stays_on_host(step, i, t) && !t->data) return "an input is neither float32 nor known";
    }
    if (own && has_bad_places(gpu, p, step)) return "a place is outside of its axis";
    /* A kernel of it reads them before those before it have ended. */
    if (step->op == SW_OP_LSTM && instance->places[step->in[2]] == SW_PLACE_PLANNED) return "its weights are computed";
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] < 0) continue;
        if (instance->places[node->out[i]] != SW_PLACE_PLANNED) return "its shape depends on data";
        if (!sw_cuda_has_type(instance->values[node->out[i]].dtype)) return "no kernel gives its type";
    }
    return NULL;
}

/* Weights must be constants, others are taken to the GPU in the form that the node wants. */
static sw_status upload_constants(sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node, const sw_diag *diag) {
    const sw_step *step = &gpu->plan->steps[node->step];
    bool conv = node->kind == SW_GPU_CONV || node->kind == SW_GPU_STEM || node->kind == SW_GPU_PRODUCT;
    sw_call call = sw_step_call(step, p->instance->values, gpu->in, gpu->out, NULL);
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] < 0 || (conv && (i == 1 || i == 2))) continue;
        sw_place place = p->instance->places[node->in[i]];
        const sw_tensor *t = &p->instance->values[node->in[i]];
        bool host = node->in == step->in && stays_on_host(step, i, t);
        if (place == SW_PLACE_NONE) return sw__gpu_cpu_only(diag); /* a factor that is there packed only */
        if ((place != SW_PLACE_CONST && place != SW_PLACE_BOUND) || host) continue;
        bool half = sw__gpu_rows_of(p, node, &call, false, i) == SW_CUDA_ROWS_HALF;
        SW_TRY(sw__gpu_upload_constant(gpu, p, node->in[i], half ? SW_GPU_HALF : SW_GPU_FLOAT, diag));
    }
    return SW_OK;
}

static sw_status lower_kind(sw_gpu *gpu, sw_gpu_program *p, sw_gpu_node *node, sw_cuda_launch *l, int *n,
                            const char **why, const sw_diag *diag) {
    *n = 1;
    memset(l, 0, sizeof *l);
    if ((*why = refuse_ports(gpu, p, node))) return SW_OK;
    if (p->memory) SW_TRY(upload_constants(gpu, p, node, diag));
    switch (node->kind) {
    case SW_GPU_CONV:
    case SW_GPU_PRODUCT:
    case SW_GPU_STEM:
        return lower_conv(gpu, p, node, l, diag);
    case SW_GPU_STEM_CONV:
        return lower_stem_conv(gpu, p, node, l, diag);
    case SW_GPU_PAIR:
        return lower_pair(gpu, p, node, l, n, diag);
    case SW_GPU_ATTENTION:
        lower_attention(gpu, p, node, l);
        return SW_OK;
    case SW_GPU_DECODE:
        lower_decode(gpu, p, node, l);
        return SW_OK;
    case SW_GPU_TURNS: {
        sw_tensor a = sw__gpu_tensor(gpu, p, node->in[0]), b = sw__gpu_tensor(gpu, p, node->in[1]),
                  out = sw__gpu_tensor(gpu, p, node->out[0]);
        sw_cuda_launch_interleave(&a, &b, &out, l);
        return SW_OK;
    }
    case SW_GPU_EXPRESSION:
        *why = sw__gpu_lower_expression(gpu, p, node, l, n);
        return SW_OK;
    case SW_GPU_EXCITE:
        return lower_excite(gpu, p, node, l, diag);
    case SW_GPU_MEAN:
        lower_mean(gpu, p, node, l);
        return SW_OK;
    case SW_GPU_GEMM:
        lower_gemm(gpu, p, node, l);
        return SW_OK;
    case SW_GPU_ALIAS:
        *n = 0;
        return SW_OK;
    default:
        break;
    }
    sw_call call = node_call(gpu, p, node);
    *why = sw_cuda_lower(&call, gpu->cuda->info.cell, l, n);
    if (node->kind == SW_GPU_POOLS && !*why) lower_pools(gpu, p, node, l->args.pool.kernel_h, l->args.pool.kernel_w, l);
    return SW_OK;
}

sw_status sw__gpu_lower_node(sw_gpu *gpu, sw_gpu_program *p, sw_gpu_node *node, sw_cuda_launch *l, int *n,
                             const char **why, const sw_diag *diag) {
    SW_TRY(lower_kind(gpu, p, node, l, n, why, diag));
    if (*why || *n == 0) return SW_OK;
    for (int i = 0; i < node->n_out; i++) {
        if (*n == SW_CUDA_MAX_LAUNCHES) {
            *why = "it has too many parts";
            return SW_OK;
        }
        *n += sw__gpu_convert(gpu, p, node->out[i], &l[*n]);
    }
    return SW_OK;
}

sw_status sw__gpu_add_launches(sw_gpu *gpu, sw_gpu_program *p, const sw_cuda_launch *l, int n) {
    SW_TRY(sw_grow(gpu->allocator, (void **)&p->launches, &p->cap_launches, p->n_launches + (size_t)n, sizeof *l,
                   SIZE_MAX));
    if (n) memcpy(p->launches + p->n_launches, l, (size_t)n * sizeof *l);
    p->n_launches += (size_t)n;
    return SW_OK;
}
