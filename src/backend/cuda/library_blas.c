/* Convolutions of one tap by cuBLASLt: out[pixels][out] = in[pixels][in] * weights[out][in], with bias and ReLU as its
 * epilogue. cuBLASLt counts rows first, so that the product is the transposed one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/cuda/library_tactic.h"
#include "backend/cuda/ops.h"

enum { ALIGNMENT = 16, SETTINGS = BLAS_ALGO_LAST, FIRST_SHORT = 7 }; /* settings from 7 on are of 16 bits */

static unsigned half_of(const sw_cuda *gpu) {
    return gpu->info.cell == SW_CUDA_BF16 ? BLAS_BFLOAT16 : BLAS_HALF;
}

/* NULL: cuBLASLt may be asked. Its GELU is another function than ours. */
static const char *refuse(sw_cuda *gpu, const sw_conv *c) {
    bool one_tap = c->kernel_h == 1 && c->kernel_w == 1 && c->stride_h == 1 && c->stride_w == 1 && c->pad_top == 0 &&
                   c->pad_left == 0 && c->out_height == c->height && c->out_width == c->width && c->groups == 1;
    if (!one_tap) return "it is no product";
    if (c->act != SW_ACT_NONE && c->act != SW_ACT_RELU) return "its activation is none of cuBLASLt's";
    if (c->residual && c->act != SW_ACT_NONE && !c->residual_before_act) return "its residual comes after the activation";
    if (gpu->blas) return NULL;
    return sw__cuda_blas()->create(&gpu->blas) == 0 ? NULL : "cuBLASLt does not start";
}

/* The descriptors of a product; false when they cannot be had. */
static bool make_product(const sw_cuda *gpu, const sw_conv *c, sw_blas_product *p) {
    const sw_blas *api = p->api = sw__cuda_blas();
    const unsigned half = half_of(gpu), transposed = BLAS_TRANSPOSED;
    const unsigned epilogue = c->act == SW_ACT_RELU ? BLAS_ADD_BIAS_RELU : BLAS_ADD_BIAS;
    const uint64_t pixels = (uint64_t)(c->batch * c->height * c->width), in = (uint64_t)(c->in_channels + 7) / 8 * 8,
                   out = (uint64_t)(c->out_channels + 7) / 8 * 8;
    const int64_t added_pitch = c->residual ? c->residual_pitch : c->out_pitch;
    const void *some = p; /* a place: its alignment is what counts until a run sets it */
    unsigned bad = api->make_product(&p->product, BLAS_COMPUTE_FLOAT, BLAS_FLOAT);
    if (!bad) bad = api->set_product(p->product, BLAS_TRANSPOSE_A, &transposed, sizeof transposed);
    if (!bad) bad = api->set_product(p->product, BLAS_EPILOGUE, &epilogue, sizeof epilogue);
    if (!bad) bad = api->set_product(p->product, BLAS_BIAS, &some, sizeof some);
    if (!bad) bad = api->make_layout(&p->weights, half, in, out, (int64_t)in);
    if (!bad) bad = api->make_layout(&p->in, half, in, pixels, c->in_pitch);
    if (!bad) bad = api->make_layout(&p->residual, half, out, pixels, added_pitch);
    if (!bad) bad = api->make_layout(&p->out, half, out, pixels, c->out_pitch);
    return !bad;
}

void sw__blas_drop(sw_blas_product *p) {
    if (p->product) p->api->drop_product(p->product);
    sw_blas_object layouts[] = {p->weights, p->in, p->residual, p->out};
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
        if (layouts[i]) p->api->drop_layout(layouts[i]);
}

/* Reads, or (write) sets a setting of an algorithm. */
static unsigned setting(const sw_blas *api, sw_blas_algo *algo, unsigned which, bool write, uint32_t *value) {
    uint16_t few = (uint16_t)*value;
    size_t written, size = which >= FIRST_SHORT ? sizeof few : sizeof *value;
    void *place = which >= FIRST_SHORT ? (void *)&few : (void *)value;
    unsigned bad = write ? api->set_algo(algo, which, place, size) : api->get_algo(algo, which, place, size, &written);
    if (which >= FIRST_SHORT) *value = few;
    return bad;
}

/* An algorithm in words: id:setting,setting,... in the order of cublasLtMatmulAlgoConfigAttributes_t. */
static bool name_algo(const sw_blas *api, sw_blas_algo *algo, char *name, size_t size) {
    uint32_t value = 0;
    if (setting(api, algo, BLAS_ALGO_ID, false, &value)) return false;
    size_t used = (size_t)snprintf(name, size, "CUBLASLT_%zu_%" PRIu32, api->version(), value);
    for (unsigned i = 1; i <= SETTINGS && used < size; i++) {
        value = 0;
        if (setting(api, algo, i, false, &value)) return false;
        used += (size_t)snprintf(name + used, size - used, "%c%" PRIu32, i == 1 ? ':' : ',', value);
    }
    return used < size;
}

int sw__blas_find(sw_cuda *gpu, const sw_conv *c, char (*names)[SW_CUDA_TACTIC_NAME]) {
    const sw_blas *api = sw__cuda_blas();
    if (!api || refuse(gpu, c)) return 0;
    sw_blas_product p = {0};
    sw_blas_choice choices[SW_CUDA_MOST_TACTICS];
    sw_blas_object preference = NULL;
    const uint64_t room = SW_CUDA_MOST_WORKSPACE;
    const uint32_t alignment = ALIGNMENT;
    int n = 0, named = 0;
    bool good = make_product(gpu, c, &p) && api->make_preference(&preference) == 0 &&
                api->set_preference(preference, BLAS_MOST_WORKSPACE, &room, sizeof room) == 0;
    for (unsigned i = BLAS_ALIGN_A; i <= BLAS_ALIGN_D && good; i++)
        good = api->set_preference(preference, i, &alignment, sizeof alignment) == 0;
    if (good && api->choices(gpu->blas, p.product, p.weights, p.in, p.residual, p.out, preference, SW_CUDA_MOST_TACTICS,
                             choices, &n) != 0)
        n = 0;
    for (int i = 0; i < n && i < SW_CUDA_MOST_TACTICS; i++)
        if (choices[i].state == 0) named += name_algo(api, &choices[i].algo, names[named], SW_CUDA_TACTIC_NAME);
    if (preference) api->drop_preference(preference);
    sw__blas_drop(&p);
    return named;
}

/* The algorithm of a choice; false when it is none. */
static bool make_algo(const sw_cuda *gpu, const char *choice, sw_blas_product *p) {
    char *at;
    const unsigned half = half_of(gpu);
    int id = (int)strtol(choice, &at, 10);
    if (p->api->make_algo(gpu->blas, BLAS_COMPUTE_FLOAT, BLAS_FLOAT, half, half, half, half, id, &p->algo)) return false;
    for (unsigned i = 1; i <= SETTINGS; i++) {
        if (*at != (i == 1 ? ':' : ',')) return false;
        uint32_t value = (uint32_t)strtoul(at + 1, &at, 10);
        if (setting(p->api, &p->algo, i, true, &value)) return false;
    }
    return *at == 0;
}

const char *sw__blas_make(sw_cuda *gpu, const sw_conv *c, const char *choice, sw_cuda_tactic *t) {
    const char *why = refuse(gpu, c);
    if (why) return why;
    sw_blas_product *p = &t->blas;
    sw_blas_choice checked = {0};
    t->residual = c->residual;
    if (!make_product(gpu, c, p)) return "its descriptors were refused";
    if (!make_algo(gpu, choice, p)) return "there is no such algorithm";
    if (p->api->check_algo(gpu->blas, p->product, p->weights, p->in, p->residual, p->out, &p->algo, &checked) != 0)
        return "the algorithm is not for it";
    t->workspace = (int64_t)checked.workspace;
    return NULL;
}

const char *sw__blas_run(sw_cuda *gpu, const sw_cuda_tactic *t, const sw_cuda_conv *c, void *workspace,
                         sw_cu_stream stream) {
    const sw_blas_product *p = &t->blas;
    const float one = 1, beta = t->residual ? 1 : 0;
    const void *bias = sw_cuda_half_bias(c);
    if (p->api->set_product(p->product, BLAS_BIAS, &bias, sizeof bias)) return "the bias was refused";
    unsigned bad = p->api->run(gpu->blas, p->product, &one, c->weights, p->weights, c->in, p->in, &beta,
                               t->residual ? c->residual : c->out, p->residual, c->out, p->out, &p->algo, workspace,
                               (size_t)t->workspace, stream);
    return bad ? "the product was refused" : NULL;
}
