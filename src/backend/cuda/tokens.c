/* Rows of halves: token tensors [batch, tokens, channels]. What a step does with them, and its launches. */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cuda/lower.h"
#include "kernels/conv/act.h"

static bool is_half(const sw_tensor *t) {
    return t->layout != SW_CHANNELS_LAST && (t->dtype == SW_F16 || t->dtype == SW_BF16);
}
static bool is_map(const sw_tensor *t) {
    return t->layout == SW_CHANNELS_LAST;
}
static bool is_float(const sw_tensor *t) {
    return !is_map(t) && t->dtype == SW_F32;
}

/* ---- What steps do with rows --------------------------------------------------------------------------------------- */

static bool is_element_wise(const sw_call *c) {
    sw__activation act;
    return sw__cuda_binary_op(c->op) >= 0 || sw__cuda_find_activation(c, &act);
}

/* Whole rows by their number. */
static bool gathers_rows(const sw_call *c) {
    const sw_tensor *x = c->in[0], *places = c->in[1];
    return c->op == SW_OP_Gather && x->rank == 2 && sw_call_int(c, "axis") == 0 && x->dims[1] % 8 == 0 &&
           places->dtype == SW_I64 && !is_map(x) && sw_tensor_count(c->out[0]) > 0 && (is_float(x) || is_half(x));
}

sw_cuda_rows sw_cuda_rows_of(const sw_call *c, bool out, int i) {
    const sw_tensor *t = out ? c->out[i] : c->in[i];
    if (is_map(t) || (t->dtype != SW_F32 && !is_half(t))) return SW_CUDA_ROWS_FLOAT;
    switch (c->op) {
    case SW_OP_Transpose:
    case SW_OP_Relayout:
    case SW_OP_Concat:
        return SW_CUDA_ROWS_ANY;
    case SW_OP_Slice:
    case SW_OP_Split:
    case SW_OP_LayerNormalization:
        return i == 0 || c->op == SW_OP_Split ? SW_CUDA_ROWS_ANY : SW_CUDA_ROWS_FLOAT;
    case SW_OP_FusedAttention:
        return !out && i == 3 ? SW_CUDA_ROWS_FLOAT : SW_CUDA_ROWS_HALF;
    case SW_OP_Gather:
        return gathers_rows(c) && (out || i == 0) ? SW_CUDA_ROWS_ANY : SW_CUDA_ROWS_FLOAT;
    case SW_OP_FusedProduct:
        if (sw_cuda_is_few(c)) return SW_CUDA_ROWS_FLOAT;
        return out || i == 0 || i == 3 ? SW_CUDA_ROWS_ANY : SW_CUDA_ROWS_FLOAT;
    default:
        break;
    }
    bool limits = !out && i > 0 && c->op == SW_OP_Clip;
    return is_element_wise(c) && !limits ? SW_CUDA_ROWS_ANY : SW_CUDA_ROWS_FLOAT;
}

bool sw_cuda_rows_pass(const sw_call *c) {
    return c->op != SW_OP_LayerNormalization && c->op != SW_OP_FusedProduct && c->op != SW_OP_FusedAttention;
}

/* ---- Products with weights ----------------------------------------------------------------------------------------- */

bool sw_cuda_is_product(const sw_call *c) {
    const sw_tensor *x = c->in[0], *w = c->n_in > 1 ? c->in[1] : NULL, *bias = sw_call_in(c, 2);
    if (!sw_call_is_product(c) || is_map(x) || is_map(c->out[0]) || x->rank < 2 || w->rank != 2 || !is_float(w))
        return false;
    bool gemm = c->op == SW_OP_Gemm;
    if (gemm && (sw_call_int(c, "transA") || sw_call_float(c, "alpha") != 1 || sw_call_float(c, "beta") != 1))
        return false;
    int64_t n = c->out[0]->dims[c->out[0]->rank - 1];
    return !bias || (is_float(bias) && sw_tensor_count(bias) == n && bias->dims[bias->rank - 1] == n);
}

bool sw_cuda_is_few(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    int64_t n = y->dims[y->rank - 1], k = x->dims[x->rank - 1];
    return (c->op == SW_OP_Gemm || c->op == SW_OP_FusedProduct) && !sw_call_in(c, 3) && n > 0 &&
           sw_tensor_count(y) <= SW_CUDA_MOST_FEW * n && (k % 4 == 0 || !sw_call_is_transposed(c));
}

sw_status sw_cuda_describe_product(const sw_call *c, sw_dtype halves, sw_conv *conv) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    int64_t k = x->dims[x->rank - 1], n = y->dims[y->rank - 1], rows = sw_tensor_count(y) / (n ? n : 1);
    *conv = sw_conv_of_rows(rows, k, n);
    conv->in_type = halves;
    if (is_half(y)) conv->out_type = halves;
    if (c->op == SW_OP_FusedProduct) SW_TRY(sw_call_epilogue(c, conv));
    conv->residual_pitch = conv->residual ? n : 0;
    return SW_OK;
}

static const char *few_rows(const sw_call *c, const sw_conv *conv, sw_cuda_launch *l) {
    const sw_tensor *bias = sw_call_in(c, 2);
    bool columns = sw_call_is_transposed(c);
    l->kernel = columns ? SW_CUDA_FEW_ROWS_COLUMNS : SW_CUDA_FEW_ROWS;
    l->args.few_rows = (sw_cuda_few_rows){.a = c->in[0]->data,
                                          .b = c->in[1]->data,
                                          .bias = bias ? bias->data : NULL,
                                          .out = c->out[0]->data,
                                          .m = (int)conv->width,
                                          .n = (int)conv->out_channels,
                                          .k = (int)conv->in_channels,
                                          .act = (int)conv->act,
                                          .bias_column = 1,
                                          .alpha = 1,
                                          .act_a = conv->act_a,
                                          .act_b = conv->act_b};
    l->grid_x = (l->args.few_rows.n + 7) / 8, l->grid_y = (l->args.few_rows.m + 3) / 4;
    l->shared_bytes = columns ? 0 : SW__CUDA_THREADS * 4;
    return NULL;
}

/* What tensor cores do not take: rows of float32, or of a depth that is no multiple of 8. */
static const char *product(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0], *bias = sw_call_in(c, 2), *residual = sw_call_in(c, 3);
    sw_conv conv;
    if (!sw_cuda_is_product(c) || sw_cuda_describe_product(c, SW_F16, &conv) != SW_OK)
        return "its weights are no matrix";
    if (residual && sw_tensor_count(residual) != sw_tensor_count(y)) return "its residual broadcasts";
    if (sw_cuda_is_few(c)) return few_rows(c, &conv, l);
    bool turned = sw_call_is_transposed(c);
    l->kernel = SW_CUDA_PRODUCT;
    l->args.product = (sw_cuda_product){.a = x->data,
                                        .weights = c->in[1]->data,
                                        .bias = bias ? bias->data : NULL,
                                        .residual = residual ? residual->data : NULL,
                                        .out = y->data,
                                        .rows = (int)conv.width,
                                        .columns = (int)conv.out_channels,
                                        .depth = (int)conv.in_channels,
                                        .weight_row = turned ? 1 : (int)conv.out_channels,
                                        .weight_column = turned ? (int)conv.in_channels : 1,
                                        .a_float = !is_half(x),
                                        .residual_float = residual && !is_half(residual),
                                        .out_float = !is_half(y),
                                        .act = (int)conv.act,
                                        .residual_before_act = conv.residual_before_act,
                                        .act_a = conv.act_a,
                                        .act_b = conv.act_b};
    l->grid_x = (int)((conv.width + 31) / 32 * ((conv.out_channels + 31) / 32));
    l->shared_bytes = 2 * 32 * 33 * 4;
    return NULL;
}

/* ---- Element by element -------------------------------------------------------------------------------------------- */

/* Axes of one element go, axes that lie as one for all operands become one. */
static void join_axes(sw_cuda_tokens *p) {
    int n = 0;
    long long *strides[3] = {p->a_stride, p->b_stride, p->out_stride};
    for (int i = 0; i < p->rank; i++) {
        if (p->dims[i] == 1) continue;
        bool joins = n > 0;
        for (int k = 0; k < 3; k++) joins = joins && strides[k][n - 1] == strides[k][i] * p->dims[i];
        if (joins) n--;
        p->dims[n] = joins ? p->dims[n] * p->dims[i] : p->dims[i];
        for (int k = 0; k < 3; k++) strides[k][n] = strides[k][i];
        n++;
    }
    if (n == 0) p->dims[n++] = 1;
    p->rank = n;
}

/* Whether eights of the last axis lie in a row, and begin at multiples of 16 bytes. */
static bool in_eights(const sw_cuda_tokens *p, const void *data, const long long *strides, bool written) {
    if (strides[p->rank - 1] == 0 && !written) return true;
    if (strides[p->rank - 1] != 1 || (uintptr_t)data % 16) return false;
    for (int i = 0; i < p->rank - 1; i++)
        if (strides[i] % 8) return false;
    return true;
}

static void launch_tokens(sw_cuda_launch *l) {
    sw_cuda_tokens *p = &l->args.tokens;
    join_axes(p);
    int last = p->rank - 1;
    bool eights = p->dims[last] % 8 == 0 && p->act <= CUDA_ACT_CLIP && in_eights(p, p->a, p->a_stride, false) &&
                  in_eights(p, p->b, p->b_stride, false) && in_eights(p, p->out, p->out_stride, true);
    l->kernel = eights ? SW_CUDA_TOKENS_8 : SW_CUDA_TOKENS;
    if (eights) p->dims[last] /= 8, p->a_stride[last] *= 8, p->b_stride[last] *= 8, p->out_stride[last] *= 8;
    p->count = 1;
    for (int i = 0; i < p->rank; i++) p->count *= p->dims[i];
    l->grid_x = sw__cuda_blocks(p->count);
}

static const void *moved(const sw_tensor *t, long long at) {
    return t->data ? (const char *)t->data + at * (is_float(t) ? 4 : 2) : NULL;
}

void sw__cuda_copy_tokens(const sw_tensor *in, long long in_at, const long long *in_stride, const sw_tensor *out,
                          long long out_at, const long long *out_stride, const int64_t *dims, int rank,
                          sw_cuda_launch *l) {
    *l = (sw_cuda_launch){0};
    l->args.tokens = (sw_cuda_tokens){.a = moved(in, in_at),
                                      .out = (void *)(uintptr_t)moved(out, out_at),
                                      .rank = rank,
                                      .a_float = is_float(in),
                                      .out_float = is_float(out)};
    for (int i = 0; i < rank; i++) {
        l->args.tokens.dims[i] = (int)dims[i];
        l->args.tokens.a_stride[i] = in_stride[i], l->args.tokens.out_stride[i] = out_stride[i];
    }
    launch_tokens(l);
}

void sw_cuda_convert_rows(const sw_tensor *in, const sw_tensor *out, sw_cuda_launch *l) {
    int64_t count = sw_tensor_count(in);
    long long one = 1;
    sw__cuda_copy_tokens(in, 0, &one, out, 0, &one, &count, 1, l);
    l->grid_y = 1;
}

static const char *element_wise(const sw_call *c, sw_cuda_launch *l) {
    sw__activation act = {CUDA_ACT_NONE, 0, 0};
    int op = sw__cuda_binary_op(c->op);
    if (op < 0 && !sw__cuda_find_activation(c, &act)) return "there is no GPU kernel for it";
    const sw_tensor *a = c->in[0], *b = op < 0 ? NULL : c->in[1], *y = c->out[0];
    sw_cuda_tokens *p = &l->args.tokens;
    *p = (sw_cuda_tokens){.a = a->data,
                          .b = b ? b->data ? b->data : a : NULL,
                          .out = y->data,
                          .rank = y->rank,
                          .op = op,
                          .act = act.act,
                          .a_float = is_float(a),
                          .b_float = b && is_float(b),
                          .out_float = is_float(y),
                          .act_a = act.a,
                          .act_b = act.b};
    for (int i = 0; i < y->rank; i++) p->dims[i] = (int)y->dims[i];
    sw__cuda_broadcast(a, y, p->a_stride);
    if (b) sw__cuda_broadcast(b, y, p->b_stride);
    sw__cuda_row_strides(y, p->out_stride);
    launch_tokens(l);
    return NULL;
}

static const char *gather(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    l->kernel = SW_CUDA_GATHER_TOKENS;
    l->args.gather = (sw_cuda_gather){.in = x->data,
                                      .places = c->in[1]->data,
                                      .out = y->data,
                                      .count = sw_tensor_count(y) / 8,
                                      .length = (int)x->dims[1],
                                      .extent = (int)x->dims[0],
                                      .in_float = is_float(x),
                                      .out_float = is_float(y)};
    l->grid_x = sw__cuda_blocks(l->args.gather.count);
    return NULL;
}

/* ---- Between rows and maps ----------------------------------------------------------------------------------------- */

static void strides_of(const sw_tensor *t, long long *strides) {
    if (!is_map(t)) {
        sw__cuda_row_strides(t, strides);
        return;
    }
    strides[0] = t->dims[2] * t->dims[3] * t->pitch, strides[1] = 1;
    strides[2] = t->dims[3] * t->pitch, strides[3] = t->pitch;
}

/* Transpose or Relayout where one side is a map. The channels behind the last of a map must be finite: what was there is. */
static const char *turn(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    const sw_attr *perm = c->op == SW_OP_Transpose ? sw_call_attr(c, "perm", SW_ATTR_INTS) : NULL;
    long long in[SW_MAX_RANK], from[SW_MAX_RANK], out[SW_MAX_RANK];
    if (x->rank != 4 || y->rank != 4 || (perm && !perm->set)) return "its order is not known";
    strides_of(x, in);
    strides_of(y, out);
    for (int i = 0; i < 4; i++) from[i] = in[perm ? perm->ints.v[i] : i];
    sw__cuda_copy_tokens(x, 0, from, y, 0, out, y->dims, 4, l);
    return NULL;
}

/* ---- Norms --------------------------------------------------------------------------------------------------------- */

static const char *norm(const sw_call *c, sw_cuda_launch *l) {
    enum { ROWS = 4, HELD = 1024 }; /* rows of a block, and the longest that stays in registers */
    const char *why = sw__cuda_describe_norm(c, l);
    if (why) return why;
    sw_cuda_norm *p = &l->args.norm;
    p->in_float = is_float(c->in[0]), p->out_float = is_float(c->out[0]);
    bool eights =
        p->length % 8 == 0 && p->length <= HELD && (uintptr_t)p->scale % 16 == 0 && (uintptr_t)p->bias % 16 == 0;
    l->kernel = eights ? SW_CUDA_NORM_TOKENS_8 : SW_CUDA_NORM_TOKENS;
    l->grid_x = (p->rows + ROWS - 1) / ROWS;
    return NULL;
}

/* ---- Attention ----------------------------------------------------------------------------------------------------- */

/* Vectors must lie in a row, in eights. */
static bool are_eights(const sw_fused_attention *a, const sw_heads *h) {
    if (h->across != 1 || h->offset % 8 || h->along % 8) return false;
    for (int i = 0; i < a->n_batch; i++)
        if (h->batch[i] % 8) return false;
    return true;
}

static bool has_kernel(const sw_fused_attention *a) {
    bool sizes = a->size % 8 == 0 && a->value_size % 8 == 0 && a->size <= 128 && a->value_size <= 128;
    return sizes && a->heads <= 65535 && are_eights(a, &a->q) && are_eights(a, &a->k) && are_eights(a, &a->v) &&
           are_eights(a, &a->y);
}

static sw_cuda_heads heads_of(const sw_heads *h) {
    sw_cuda_heads to = {.offset = h->offset, .along = h->along};
    for (int i = 0; i < CUDA_ATTENTION_BATCH; i++) to.batch[i] = h->batch[i];
    return to;
}

static const char *attention(const sw_call *c, sw_cuda_launch *l) {
    enum { FEW = 264 }; /* blocks: two for each multiprocessor of most GPUs */
    sw_fused_attention a;
    if (sw_call_fused_attention(c, &a) != SW_OK || !has_kernel(&a)) return "its heads do not lie in eights";
    const sw_tensor *mask = sw_call_in(c, 3);
    l->args.attention_rows = (sw_cuda_attention_rows){.q = c->in[0]->data,
                                                      .k = c->in[1]->data,
                                                      .v = c->in[2]->data,
                                                      .mask = mask ? mask->data : NULL,
                                                      .out = c->out[0]->data,
                                                      .query = heads_of(&a.q),
                                                      .key = heads_of(&a.k),
                                                      .value = heads_of(&a.v),
                                                      .result = heads_of(&a.y),
                                                      .n_batch = a.n_batch,
                                                      .queries = (int)a.queries,
                                                      .keys = (int)a.keys,
                                                      .size = (int)a.size,
                                                      .value_size = (int)a.value_size,
                                                      .masks = (int)a.masks,
                                                      .scale = a.scale};
    for (int i = 0; i < a.n_batch; i++) l->args.attention_rows.batch[i] = (int)a.batch[i];
    int64_t size = a.size > a.value_size ? a.size : a.value_size, tiles = (a.queries + 15) / 16;
    bool few = tiles * a.heads <= FEW && a.keys > 64;
    int tops = size <= 32 ? 32 : size <= 64 ? 64 : 128, warps = few && tops < 128 ? 8 : 4;
    l->kernel = tops == 32   ? few ? SW_CUDA_ATTENTION_ROWS_32_FEW : SW_CUDA_ATTENTION_ROWS_32
                : tops == 64 ? few ? SW_CUDA_ATTENTION_ROWS_64_FEW : SW_CUDA_ATTENTION_ROWS_64
                             : SW_CUDA_ATTENTION_ROWS_128;
    l->grid_x = (int)tiles;
    l->grid_y = (int)a.heads;
    l->shared_bytes = warps * (tops / 8 * 4 + 4) * 128;
    return NULL;
}

/* ---- All ----------------------------------------------------------------------------------------------------------- */

const char *sw__cuda_lower_tokens(const sw_call *c, sw_cuda_launch *l, bool *taken) {
    bool halves = false, maps = false, others = false;
    for (int i = 0; i < c->n_in + c->n_out; i++) {
        const sw_tensor *t = i < c->n_in ? c->in[i] : c->out[i - c->n_in];
        if (t) halves |= is_half(t), maps |= is_map(t);
        others |= t && !is_half(t) && !is_float(t) && (i >= c->n_in || sw_cuda_is_operand(c->op, i, t));
    }
    bool turns = c->op == SW_OP_Transpose || c->op == SW_OP_Relayout;
    *taken = true;
    if (maps && turns && (halves || c->op == SW_OP_Transpose)) return turn(c, l);
    if (sw_call_is_product(c) && !maps && (halves || c->op == SW_OP_FusedProduct)) return product(c, l);
    if (c->op == SW_OP_FusedAttention) return attention(c, l);
    if (c->op == SW_OP_Gather && gathers_rows(c)) return gather(c, l);
    if (!maps && !others && c->op == SW_OP_LayerNormalization) return norm(c, l);
    if (!maps && !others && is_element_wise(c)) return element_wise(c, l);
    *taken = false;
    return NULL;
}
