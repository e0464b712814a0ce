#include <pthread.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "kernels/conv/act.h"
#include "kernels/fast.h"
#include "kernels/kernel.h"
#include "kernels/nhwc/nhwc.h"
#include "ops/shape.h"

/* ---- Packed weights ------------------------------------------------------------------------------------------------ */

struct sw_packs {
    const sw_allocator *allocator;
    pthread_mutex_t lock;
    sw_pack *items;
    size_t n, cap;
};

sw_packs *sw_packs_create(const sw_allocator *allocator) {
    sw_packs *packs = sw_calloc(allocator, 1, sizeof *packs);
    if (!packs) return NULL;
    packs->allocator = allocator;
    pthread_mutex_init(&packs->lock, NULL);
    return packs;
}

void sw_packs_destroy(sw_packs *packs) {
    if (!packs) return;
    for (size_t i = 0; i < packs->n; i++)
        if (!packs->items[i].lent) sw_free(packs->allocator, (void *)(uintptr_t)packs->items[i].data);
    sw_free(packs->allocator, packs->items);
    pthread_mutex_destroy(&packs->lock);
    sw_free(packs->allocator, packs);
}

size_t sw_packs_count(const sw_packs *packs) {
    return packs->n;
}
const sw_pack *sw_packs_get(const sw_packs *packs, size_t i) {
    return &packs->items[i];
}

size_t sw_packs_bytes(sw_packs *packs) {
    size_t bytes = 0;
    pthread_mutex_lock(&packs->lock);
    for (size_t i = 0; i < packs->n; i++) bytes += packs->items[i].bytes;
    pthread_mutex_unlock(&packs->lock);
    return bytes;
}

static const sw_pack *find_pack(const sw_packs *packs, int32_t step, const sw_conv_tactic *tactic) {
    for (size_t i = 0; i < packs->n; i++)
        if (packs->items[i].step == step && packs->items[i].tactic == tactic) return &packs->items[i];
    return NULL;
}

static sw_status add_pack(sw_packs *packs, sw_pack pack) {
    SW_TRY(sw_grow(packs->allocator, (void **)&packs->items, &packs->cap, packs->n + 1, sizeof pack, SIZE_MAX));
    packs->items[packs->n++] = pack;
    return SW_OK;
}

sw_status sw_packs_lend(sw_packs *packs, int32_t step, const sw_conv_tactic *tactic, const void *data, size_t bytes) {
    return add_pack(packs, (sw_pack){step, tactic, data, bytes, true});
}

static sw_status no_weights(const sw_call *call) {
    return sw_call_fail(call,
                        "its weights are missing: the plan holds them for another tactic or shape, or was stripped");
}

/* Whether a product's weights lie with one row for each output. */
bool sw_call_is_transposed(const sw_call *call) {
    return (call->op == SW_OP_Gemm && sw_call_int(call, "transB")) ||
           (call->op == SW_OP_FusedProduct && sw_call_int(call, "transposed"));
}

/* Weights as convolutions have them, outputs first: a copy where a product has them the other way round. NULL when out of
 * memory; the caller frees what is not the call's. */
static float *weights_of(const sw_call *call, const sw_allocator *allocator) {
    const sw_tensor *w = call->in[1];
    float *from = w->data;
    if (call->op == SW_OP_FusedConv || sw_call_is_transposed(call)) return from;
    int64_t rows = w->dims[0], columns = w->dims[1];
    float *to = sw_alloc(allocator, (size_t)(rows * columns) * sizeof *to);
    for (int64_t block = 0; to && block < columns; block += 16) /* as many columns as a cache line of a row holds */
        for (int64_t row = 0; row < rows; row++)
            for (int64_t column = block; column < columns && column < block + 16; column++)
                to[column * rows + row] = from[row * columns + column];
    return to;
}

static sw_status make_pack(sw_packs *packs, int32_t step, const sw_prepared *p, const sw_call *call, size_t bytes) {
    const sw_tensor *bias = sw_call_in(call, 2);
    if (!call->in[1]->data || (bias && !bias->data)) return no_weights(call);
    void *data = sw_alloc(packs->allocator, bytes);
    float *weights = weights_of(call, packs->allocator);
    sw_status status = data && weights ? add_pack(packs, (sw_pack){step, p->tactic, data, bytes, false}) : SW_E_NOMEM;
    if (status == SW_OK)
        p->tactic->pack(&p->conv, weights, bias ? bias->data : NULL, data);
    else
        sw_free(packs->allocator, data);
    if (weights != call->in[1]->data) sw_free(packs->allocator, weights);
    return status;
}

/* Finds or makes the packed weights. */
static sw_status pack_weights(sw_packs *packs, int32_t step, sw_prepared *p, const sw_call *call) {
    size_t bytes = p->tactic->packed_bytes(&p->conv);
    const sw_pack *found = find_pack(packs, step, p->tactic);
    if (!found) {
        SW_TRY(make_pack(packs, step, p, call, bytes));
        found = &packs->items[packs->n - 1];
    }
    if (found->bytes != bytes) return sw_call_fail(call, "the plan's weights have another size than the tactic's");
    p->packed = found->data;
    return SW_OK;
}

/* ---- Convolutions -------------------------------------------------------------------------------------------------- */

/* Of those that read maps some write rows, where the engine saves a relayout. */
static bool writes_rows(const sw_call *c) {
    return c->in[0]->layout == SW_CHANNELS_LAST && c->out[0]->layout == SW_ROW_MAJOR;
}

static bool is_fast_conv(const sw_call *c) {
    return c->op == SW_OP_FusedConv && c->out[0] && (c->out[0]->layout == SW_CHANNELS_LAST || writes_rows(c));
}

static bool is_map_type(sw_dtype type) {
    return type == SW_F32 || type == SW_BF16 || type == SW_F16;
}

sw_status sw_call_conv(const sw_call *c, sw_conv *conv) {
    const sw_tensor *x = c->in[0], *w = c->in[1], *y = c->out[0], *residual = sw_call_in(c, 3);
    sw_window window;
    bool typed = is_map_type(x->dtype) && is_map_type(y->dtype) && w->dtype == SW_F32 &&
                 (!residual || residual->dtype == y->dtype) && (x->layout == SW_CHANNELS_LAST || x->dtype == SW_F32) &&
                 (!writes_rows(c) || y->dtype == SW_F32);
    if (!typed) return sw_call_unsupported(c, "these types are not supported");
    SW_TRY(sw_call_window(c, x, w->dims + 2, &window));
    *conv = (sw_conv){
        .batch = x->dims[0],
        .height = x->dims[2],
        .width = x->dims[3],
        .in_channels = x->dims[1],
        .out_height = y->dims[2],
        .out_width = y->dims[3],
        .out_channels = y->dims[1],
        .kernel_h = window.kernel[0],
        .kernel_w = window.kernel[1],
        .stride_h = window.stride[0],
        .stride_w = window.stride[1],
        .dilation_h = window.dilation[0],
        .dilation_w = window.dilation[1],
        .pad_top = window.pad_begin[0],
        .pad_left = window.pad_begin[1],
        .groups = sw_call_int(c, "group"),
        .in_pitch = x->layout == SW_CHANNELS_LAST ? x->pitch : x->dims[1],
        .out_pitch = writes_rows(c) ? sw_nhwc_plane(y) : y->pitch,
        .residual_pitch = residual ? residual->pitch : 0,
        .out_planar = writes_rows(c),
        .in_planar = x->layout == SW_ROW_MAJOR,
        .in_type = x->dtype,
        .out_type = y->dtype,
    };
    return sw_call_epilogue(c, conv);
}

/* ---- Products ------------------------------------------------------------------------------------------------------ */

bool sw_call_is_product(const sw_call *c) {
    return c->op == SW_OP_MatMul || c->op == SW_OP_Gemm || c->op == SW_OP_FusedProduct;
}

static bool is_row_f32(const sw_tensor *t) {
    return t->dtype == SW_F32 && t->layout == SW_ROW_MAJOR;
}

/* What a fused product does with its sums. */
static bool add_epilogue(const sw_call *c, sw_conv *conv) {
    if (sw_call_epilogue(c, conv) != SW_OK) return false;
    conv->residual_pitch = conv->out_pitch;
    conv->rough = sw_call_int(c, "rough");
    return !conv->residual || is_row_f32(c->in[3]);
}

/* Tells rows of different pictures apart; where pictures are not known, all of them. */
static void cut_pictures(const sw_call *c, sw_conv *conv) {
    int64_t rows = conv->width, run = c->picture % conv->in_channels == 0 ? c->picture / conv->in_channels : 0;
    if (c->pictures == 1) return;
    if (c->pictures > 1 && run > 1 && rows % run == 0) {
        conv->batch = rows / run;
        conv->width = conv->out_width = run;
    } else {
        conv->turns = run == 1 && rows % c->pictures == 0 ? c->pictures : rows;
    }
}

static bool as_conv(const sw_call *c, sw_conv *conv) {
    const sw_tensor *x = c->in[0], *w = c->in[1], *y = c->out[0], *bias = sw_call_in(c, 2);
    bool gemm = c->op == SW_OP_Gemm, transposed = sw_call_is_transposed(c);
    if (!y || w->rank != 2 || x->rank < 2 || !is_row_f32(x) || !is_row_f32(w) || !is_row_f32(y)) return false;
    if (gemm && (sw_call_int(c, "transA") || sw_call_float(c, "alpha") != 1)) return false;
    int64_t k = x->dims[x->rank - 1], n = w->dims[!transposed];
    if (bias && (!is_row_f32(bias) || (gemm && sw_call_float(c, "beta") != 1) || sw_tensor_count(bias) != n ||
                 bias->rank < 1 || bias->dims[bias->rank - 1] != n))
        return false;
    if (k == 0 || sw_tensor_count(y) == 0) return false;
    *conv = sw_conv_of_rows(sw_tensor_count(y) / n, k, n);
    cut_pictures(c, conv);
    return c->op != SW_OP_FusedProduct || add_epilogue(c, conv);
}

static bool choose_tactic(const char *tactic, sw_prepared *prepared) {
    prepared->tactic = tactic ? sw_conv_find(tactic) : NULL;
    if (!prepared->tactic || !sw_conv_accepts(prepared->tactic, &prepared->conv))
        prepared->tactic = sw_conv_choose(&prepared->conv);
    return prepared->tactic->features != 0;
}

/* False: the fast kernels of its operator are to run it, which for a fused product there are not. */
static bool prepare_product(const sw_call *call, const char *tactic, sw_prepared *p) {
    if (!as_conv(call, &p->conv)) return false;
    return choose_tactic(tactic, p) || call->op == SW_OP_FusedProduct; /* in plain C packing gains nothing */
}

bool sw_cpu_packs_product(const sw_call *call, const char *tactic, sw_conv *conv) {
    sw_prepared prepared = {0};
    bool packs = prepare_product(call, tactic, &prepared);
    *conv = prepared.conv;
    return packs;
}

sw_status sw_cpu_prepare(const sw_call *call, int32_t step, const char *tactic, sw_packs *packs, int threads,
                         sw_prepared *prepared) {
    *prepared = (sw_prepared){0};
    if (sw_call_is_product(call)) {
        if (!prepare_product(call, tactic, prepared)) {
            *prepared = (sw_prepared){0};
            return SW_OK;
        }
    } else {
        if (!is_fast_conv(call) || sw_tensor_count(call->out[0]) == 0) return SW_OK;
        SW_TRY(sw_call_conv(call, &prepared->conv));
        choose_tactic(tactic, prepared);
    }
    prepared->scratch_bytes = prepared->tactic->scratch_bytes(&prepared->conv, threads);
    pthread_mutex_lock(&packs->lock);
    sw_status status = pack_weights(packs, step, prepared, call);
    pthread_mutex_unlock(&packs->lock);
    if (status == SW_E_NOMEM) sw_fail(call->diag, status, NULL, NULL, "out of memory for packed weights");
    return status;
}

/* A convolution whose shape was known too late to prepare it. */
static sw_status run_unprepared(const sw_call *call) {
    sw_prepared prepared;
    sw_packs *packs = sw_packs_create(call->allocator);
    if (!packs) return SW_E_NOMEM;
    sw_status status = sw_cpu_prepare(call, 0, NULL, packs, sw_pool_threads(call->pool), &prepared);
    void *scratch = status == SW_OK ? sw_alloc(call->allocator, prepared.scratch_bytes) : NULL;
    if (status == SW_OK && !scratch) status = SW_E_NOMEM;
    if (status == SW_OK && prepared.tactic) status = sw_cpu_run(call, &prepared, scratch);
    sw_free(call->allocator, scratch);
    sw_packs_destroy(packs);
    return status;
}

/* ---- All steps ----------------------------------------------------------------------------------------------------- */

/* Kernels of channels-last maps take float32; those that only move elements, halves too. */
static bool has_map_types(const sw_call *c) {
    int first = 0;
    while (first + 1 < c->n_out && !c->out[first]) first++;
    sw_dtype type = c->out[first] ? c->out[first]->dtype : SW_DTYPE_NONE;
    if (type != SW_F32 && !(sw_nhwc_moves(c->op) && is_map_type(type))) return false;
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i] && c->in[i]->layout == SW_CHANNELS_LAST && c->in[i]->dtype != type) return false;
    for (int i = 0; i < c->n_out; i++)
        if (c->out[i] && c->out[i]->layout == SW_CHANNELS_LAST && c->out[i]->dtype != type) return false;
    return true;
}

static bool has_channels_last(const sw_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i] && c->in[i]->layout == SW_CHANNELS_LAST) return true;
    for (int i = 0; i < c->n_out; i++)
        if (c->out[i] && c->out[i]->layout == SW_CHANNELS_LAST) return true;
    return false;
}

sw_status sw_cpu_run(const sw_call *call, const sw_prepared *prepared, void *scratch) {
    if (prepared && prepared->tactic) {
        const sw_tensor *residual = sw_call_in(call, 3);
        prepared->tactic->run(&prepared->conv, prepared->packed, call->in[0]->data, residual ? residual->data : NULL,
                              call->out[0]->data, scratch, call->pool);
        return SW_OK;
    }
    if (is_fast_conv(call)) return sw_tensor_count(call->out[0]) ? run_unprepared(call) : SW_OK;
    sw_conv conv;
    if (call->op == SW_OP_FusedProduct && !call->reference && call->in[1]->data && as_conv(call, &conv))
        return run_unprepared(call);
    /* Packed weights only, for a shape or machine that does not take them. */
    for (int i = 1; sw_call_is_product(call) && i < call->n_in && i < 3; i++)
        if (call->in[i] && !call->in[i]->data && sw_tensor_count(call->in[i])) return no_weights(call);
    if (sw_kernel_fast(call)) return SW_OK;
    bool maps = has_channels_last(call);
    if (maps && !has_map_types(call)) return sw_call_unsupported(call, "maps of this type are not supported");
    sw_kernel_fn kernel = maps ? sw_kernel_nhwc(call->op) : sw_kernel_ref(call->op);
    return kernel ? kernel(call) : sw_call_unsupported(call, "there is no CPU kernel for this operator");
}
