/* Which row-major float32 values of the plan are halves on the GPU, the type of maps: those of products with weights, norms and
 * attention, and of what only moves or combines them element by element. float32 stay: what the network, the CPU and kernels of
 * float32 read or give; what reaches an output, or a kernel that ranks or decodes, by such steps alone; and what comes
 * from such values only. A value that is wanted as both lies there twice: behind the launches of its node, or behind the copy
 * from the CPU, stands a conversion. */
#include <string.h>

#include "engine/gpu_program.h"

static bool is_rows(const sw_gpu_program *p, int32_t v) {
    const sw_tensor *t = &p->instance->values[v];
    return t->layout != SW_CHANNELS_LAST && t->dtype == SW_F32;
}

/* A value that a node on the GPU makes, or the input of the network; constants are there in the form that is wanted. */
static bool is_made(const sw_gpu_program *p, int32_t v) {
    return v >= 0 && (p->instance->places[v] == SW_PLACE_PLANNED || p->instance->places[v] == SW_PLACE_INPUT);
}

sw_cuda_rows sw__gpu_rows_of(const sw_gpu_program *p, const sw_gpu_node *node, const sw_call *call, bool out, int i) {
    if (p->floats) return SW_CUDA_ROWS_FLOAT;
    if (node->kind == SW_GPU_ALIAS)
        return p->turned[(out ? node->out : node->in)[i]] ? SW_CUDA_ROWS_HALF : SW_CUDA_ROWS_ANY;
    if (node->kind == SW_GPU_PRODUCT) return !out && i == 0 ? SW_CUDA_ROWS_HALF : sw_cuda_rows_of(call, out, i);
    return node->kind == SW_GPU_STEP ? sw_cuda_rows_of(call, out, i) : SW_CUDA_ROWS_FLOAT;
}

/* ---- Places that maps and rows share ------------------------------------------------------------------------------- */

static bool has_perm(const sw_step *step, const int64_t *perm) {
    const sw_attr *a = &step->attrs[0];
    return step->op == SW_OP_Transpose && a->set && a->ints.n == 4 && !memcmp(a->ints.v, perm, 4 * sizeof *perm);
}

/* A map that has its memory for itself, or shares it with rows only: these are its pixels then, too. */
static bool is_whole(const sw_gpu_program *p, size_t n_values, int32_t map) {
    if (p->homes[map] != map || p->instance->values[map].dims[1] % 8) return false;
    for (size_t k = 0; k < n_values; k++)
        if (p->homes[k] == map && k != (size_t)map) return false;
    return true;
}

/* N C H W and N H W C: channels-last maps without channels beside them are their pixels as rows of halves. */
static void find_turns(sw_gpu *gpu, sw_gpu_program *p) {
    static const int64_t to_rows[4] = {0, 2, 3, 1}, to_map[4] = {0, 3, 1, 2};
    for (int i = 0; i < p->n_nodes; i++) {
        sw_gpu_node *node = &p->nodes[i];
        const sw_step *step = &gpu->plan->steps[node->step];
        bool down = has_perm(step, to_rows), up = has_perm(step, to_map);
        if (node->kind != SW_GPU_STEP || (!down && !up) || !is_made(p, step->in[0]) || !is_made(p, step->out[0]))
            continue;
        int32_t map = down ? step->in[0] : step->out[0], rows = down ? step->out[0] : step->in[0];
        const sw_tensor *m = &p->instance->values[map];
        if (m->layout != SW_CHANNELS_LAST || !is_rows(p, rows) || !is_whole(p, gpu->plan->n_values, map) ||
            (up && p->roots[map] != map) || p->instance->places[map] != SW_PLACE_PLANNED ||
            p->instance->places[rows] != SW_PLACE_PLANNED)
            continue;
        node->kind = SW_GPU_ALIAS;
        p->turned[rows] = true;
        int32_t old = p->roots[step->out[0]];
        for (size_t v = 0; v < gpu->plan->n_values; v++) /* reshaped ones, too */
            if (p->roots[v] == old) p->roots[v] = p->roots[step->in[0]];
    }
}

/* ---- Types --------------------------------------------------------------------------------------------------------- */

/* Marks what nodes read of the same memory; the aliases of a value are the value. */
static void add_wish(sw_gpu_program *p, int32_t v, sw_cuda_rows rows) {
    if (rows == SW_CUDA_ROWS_FLOAT) p->forms[p->roots[v]] |= SW_GPU_FLOAT | SW_GPU_PLAIN;
    if (rows == SW_CUDA_ROWS_HALF) p->forms[p->roots[v]] |= SW_GPU_HALF;
}

/* Outputs first, then upwards: what passes elements on to something plain is plain. */
static void find_wishes(sw_gpu *gpu, sw_gpu_program *p) {
    for (int i = 0; i < gpu->plan->n_outputs; i++)
        if (is_rows(p, gpu->plan->outputs[i])) add_wish(p, gpu->plan->outputs[i], SW_CUDA_ROWS_FLOAT);
    for (int i = p->n_nodes - 1; i >= 0; i--) {
        const sw_gpu_node *node = &p->nodes[i];
        sw_call call = sw_step_call(&gpu->plan->steps[node->step], p->instance->values, gpu->in, gpu->out, NULL);
        bool plain = false;
        for (int k = 0; k < node->n_out; k++)
            plain |= node->out[k] >= 0 && (p->forms[p->roots[node->out[k]]] & SW_GPU_PLAIN);
        for (int k = 0; k < node->n_in; k++) {
            if (!is_made(p, node->in[k]) || !is_rows(p, node->in[k])) continue;
            sw_cuda_rows rows = sw__gpu_rows_of(p, node, &call, false, k);
            bool passes = node->kind == SW_GPU_STEP && rows == SW_CUDA_ROWS_ANY && sw_cuda_rows_pass(&call);
            add_wish(p, node->in[k], rows);
            if (plain && passes) p->forms[p->roots[node->in[k]]] |= SW_GPU_PLAIN;
        }
    }
}

/* What a node writes: halves where it has to, or where it may and is given some, or makes them itself. */
static void choose_native(sw_gpu *gpu, sw_gpu_program *p, const sw_gpu_node *node) {
    sw_call call = sw_step_call(&gpu->plan->steps[node->step], p->instance->values, gpu->in, gpu->out, NULL);
    bool given = node->kind == SW_GPU_PRODUCT;
    for (int k = 0; k < node->n_in; k++) {
        if (!is_made(p, node->in[k])) continue;
        bool map = p->instance->values[node->in[k]].layout == SW_CHANNELS_LAST;
        given |= map || (is_rows(p, node->in[k]) && p->native[p->roots[node->in[k]]] == SW_GPU_HALF);
    }
    for (int k = 0; k < node->n_out; k++) {
        int32_t v = node->out[k];
        if (!is_made(p, v) || !is_rows(p, v) || node->kind == SW_GPU_ALIAS) continue;
        sw_cuda_rows rows = sw__gpu_rows_of(p, node, &call, true, k);
        uint8_t *forms = &p->forms[p->roots[v]];
        bool half = rows == SW_CUDA_ROWS_HALF || (rows == SW_CUDA_ROWS_ANY && given && !(*forms & SW_GPU_PLAIN));
        p->native[p->roots[v]] = half ? SW_GPU_HALF : SW_GPU_FLOAT;
        *forms |= p->native[p->roots[v]];
    }
}

static bool is_product(const sw_gpu_program *p, const sw_step *step, const sw_call *call) {
    const sw_instance *instance = p->instance;
    sw_conv conv;
    if (!sw_call_is_product(call)) return false;
    for (int i = 1; i < step->n_in && i < 3; i++)
        if (step->in[i] >= 0 &&
            (instance->places[step->in[i]] != SW_PLACE_CONST || !instance->values[step->in[i]].data))
            return false;
    return is_made(p, step->in[0]) && sw_cuda_is_product(call) && !sw_cuda_is_few(call) &&
           sw_tensor_count(call->out[0]) > 0 && sw_cuda_describe_product(call, SW_F16, &conv) == SW_OK &&
           conv.in_channels % 8 == 0 && sw_cuda_conv_form(&conv) == SW_CUDA_FORM_TILES;
}

static void find_products(sw_gpu *gpu, sw_gpu_program *p) {
    for (int i = 0; i < p->n_nodes; i++) {
        sw_gpu_node *node = &p->nodes[i];
        const sw_step *step = &gpu->plan->steps[node->step];
        if (node->kind != SW_GPU_STEP) continue;
        sw_call call = sw_step_call(step, p->instance->values, gpu->in, gpu->out, NULL);
        if (is_product(p, step, &call)) node->kind = SW_GPU_PRODUCT;
    }
}

void sw__gpu_choose_types(sw_gpu *gpu, sw_gpu_program *p) {
    size_t n = gpu->plan->n_values;
    p->floats = sw_cuda_is_float(gpu->cuda->info.cell);
    for (size_t v = 0; v < n; v++) {
        bool half = p->instance->values[v].layout == SW_CHANNELS_LAST && !p->floats;
        p->native[v] = half ? SW_GPU_HALF : SW_GPU_FLOAT;
        p->forms[v] = half ? SW_GPU_HALF : 0;
    }
    find_turns(gpu, p);
    find_products(gpu, p);
    for (int i = 0; i < gpu->plan->n_inputs; i++) /* they come as they are, whatever is made of them */
        if (is_rows(p, gpu->plan->inputs[i])) p->forms[p->roots[gpu->plan->inputs[i]]] |= SW_GPU_FLOAT;
    if (!p->floats) {
        find_wishes(gpu, p);
        for (int i = 0; i < p->n_nodes; i++) choose_native(gpu, p, &p->nodes[i]);
    }
    for (size_t v = 0; v < n; v++)
        if (!(p->forms[v] & (SW_GPU_FLOAT | SW_GPU_HALF))) p->forms[v] |= SW_GPU_FLOAT;
}

/* ---- Places of both forms ------------------------------------------------------------------------------------------ */

static int64_t count_of(const sw_gpu_program *p, int32_t root) {
    const sw_tensor *t = &p->instance->values[root];
    if (t->layout != SW_CHANNELS_LAST) return sw_tensor_count(t);
    return t->dims[0] * t->dims[2] * t->dims[3] * ((t->dims[1] + 7) / 8 * 8);
}

/* Halves come first. */
int64_t sw__gpu_float_at(const sw_gpu_program *p, int32_t root) {
    return p->forms[root] & SW_GPU_HALF ? (count_of(p, root) * 2 + 255) / 256 * 256 : 0;
}

int64_t sw__gpu_bytes(const sw_gpu_program *p, int32_t root) {
    const sw_tensor *t = &p->instance->values[root];
    if (t->layout != SW_CHANNELS_LAST && t->dtype != SW_F32) return sw_tensor_bytes(t);
    return p->forms[root] & SW_GPU_FLOAT ? sw__gpu_float_at(p, root) + count_of(p, root) * 4 : count_of(p, root) * 2;
}

bool sw__gpu_convert(const sw_gpu *gpu, const sw_gpu_program *p, int32_t value, sw_cuda_launch *l) {
    if (value < 0 || p->roots[value] != value || (~p->forms[value] & (SW_GPU_HALF | SW_GPU_FLOAT))) return false;
    int64_t count = count_of(p, value);
    sw_tensor whole = {.rank = 1, .dims = {count}, .dtype = SW_F32}, half = whole;
    half.dtype = sw__gpu_half(gpu);
    char *at = sw__gpu_tensor(gpu, p, value).data;
    if (p->native[value] == SW_GPU_FLOAT) at -= sw__gpu_float_at(p, value);
    half.data = at, whole.data = at + sw__gpu_float_at(p, value);
    bool back = p->native[value] == SW_GPU_HALF;
    sw_cuda_convert_rows(back ? &half : &whole, back ? &whole : &half, l);
    return true;
}
