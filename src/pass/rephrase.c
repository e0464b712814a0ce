/* Operators without fast kernels in terms of those that have some: Einsum of two factors is a product of matrices, attention
 * several nodes (which passes for CPUs recognise), a mean over the pixels of maps a pool, batch normalisation that stands
 * alone a convolution of one tap for each channel, a convolution over three axes one over two of several slices; zeros
 * around a map are the convolution's own padding. */
#include <math.h>
#include <string.h>

#include "ops/attention.h"
#include "pass/pass.h"

/* A new node whose attributes are set; its output's type is inferred. */
static sw_status settle(sw_graph *graph, sw_value *value) {
    return value ? sw_node_infer(graph, value->producer, NULL) : SW_E_NOMEM;
}

/* The value takes the place of the node's output. */
static void put_in_place(sw_graph *graph, sw_node *node, sw_value *value) {
    value->type = node->out[0]->type;
    if (sw_graph_replace(graph, node->out[0], value)) sw_graph_remove_node(graph, node);
}

/* ---- Einsum ---------------------------------------------------------------------------------------------- */

/* Labels of one term by axis. */
typedef struct term {
    char labels[SW_MAX_RANK + 1];
    int n;
} term;

typedef struct product {
    term in[2], out;
    int64_t extent[128]; /* by label */
    term batch, rows, columns, inner;
} product;

static bool has(const term *t, char label) {
    return memchr(t->labels, label, (size_t)t->n) != NULL;
}

static void append(term *t, char label) {
    t->labels[t->n++] = label;
}

/* Letters up to `end`, none twice. */
static const char *read_term(const char *text, const char *end, term *t) {
    size_t length = strlen(end);
    for (t->n = 0; text && *text && (!length || strncmp(text, end, length) != 0); text++) {
        if (*text == ' ') continue;
        bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
        if (!letter || t->n == SW_MAX_RANK || has(t, *text)) return NULL;
        append(t, *text);
    }
    return text && strncmp(text, end, length) == 0 ? text + length : NULL;
}

static bool read_equation(const sw_node *node, product *p) {
    const char *text = read_term(sw_node_string(node, "equation"), ",", &p->in[0]);
    text = read_term(text, "->", &p->in[1]);
    if (!read_term(text, "", &p->out)) return false;
    for (int i = 0; i < 2; i++) {
        const sw_tensor *x = &node->in[i]->type;
        if (x->dtype != SW_F32 || x->rank != p->in[i].n) return false;
        for (int k = 0; k < x->rank; k++) {
            int64_t *extent = &p->extent[(int)p->in[i].labels[k]];
            if (*extent && *extent != x->dims[k]) return false; /* one of them is broadcast */
            if (x->dims[k] == 0 || x->dims[k] == SW_DIM_UNKNOWN) return false;
            *extent = x->dims[k];
        }
    }
    return true;
}

/* Which labels are the batch, rows of the first factor, columns of the second, and summed over. */
static bool sort_labels(product *p) {
    for (int i = 0; i < p->out.n; i++) {
        char label = p->out.labels[i];
        bool first = has(&p->in[0], label), second = has(&p->in[1], label);
        append(first && second ? &p->batch : first ? &p->rows : &p->columns, label);
    }
    for (int i = 0; i < p->in[0].n; i++) {
        char label = p->in[0].labels[i];
        if (has(&p->out, label)) continue;
        if (!has(&p->in[1], label)) return false; /* a sum of one factor alone */
        append(&p->inner, label);
    }
    for (int i = 0; i < p->in[1].n; i++)
        if (!has(&p->in[0], p->in[1].labels[i]) && !has(&p->out, p->in[1].labels[i])) return false;
    return p->inner.n > 0 && p->batch.n + 2 <= SW_MAX_RANK;
}

static void join(term *to, const term *a, const term *b, const term *c) {
    to->n = 0;
    for (int i = 0; i < a->n; i++) append(to, a->labels[i]);
    for (int i = 0; i < b->n; i++) append(to, b->labels[i]);
    for (int i = 0; i < c->n; i++) append(to, c->labels[i]);
}

/* The axes of `*x`, labelled `from`, in the order of `to`. */
static sw_status turn(sw_graph *graph, sw_node *before, const term *from, const term *to, sw_value **x) {
    int64_t perm[SW_MAX_RANK];
    bool same = true;
    for (int i = 0; i < to->n; i++) {
        perm[i] = (const char *)memchr(from->labels, to->labels[i], (size_t)from->n) - from->labels;
        same = same && perm[i] == i;
    }
    if (same) return SW_OK;
    *x = sw_graph_apply(graph, before, SW_OP_Transpose, before->name, 1, x);
    if (!*x) return SW_E_NOMEM;
    SW_TRY(sw_node_set_ints(graph, (*x)->producer, "perm", perm, to->n));
    return settle(graph, *x);
}

/* Dims for Reshape: 0 for those of the batch, which stay; the product of a group, or all of its dims. At most one may be
 * open. */
typedef struct shape {
    int64_t dims[SW_MAX_RANK];
    int n, open;
} shape;

static void add_dim(shape *s, int64_t dim) {
    s->open += dim < 0;
    s->dims[s->n++] = dim < 0 ? -1 : dim;
}

static void add_group(shape *s, const product *p, const term *group, bool together) {
    int64_t all = 1;
    for (int i = 0; i < group->n; i++) {
        int64_t dim = p->extent[(int)group->labels[i]];
        if (!together) add_dim(s, dim);
        if (all > 0) all = dim < 0 || dim > INT32_MAX / all ? -1 : all * dim;
    }
    if (together) add_dim(s, all);
}

static shape shape_of(const product *p, const term *rows, const term *columns, bool together) {
    shape s = {.n = p->batch.n};
    add_group(&s, p, rows, together);
    add_group(&s, p, columns, together);
    return s;
}

static sw_status reshape(sw_graph *graph, sw_node *before, const shape *s, sw_value **x) {
    sw_value *dims = sw_graph_const_ints(graph, before->name, s->dims, s->n);
    if (!dims) return SW_E_NOMEM;
    *x = sw_graph_apply(graph, before, SW_OP_Reshape, before->name, 2, (sw_value *[]){*x, dims});
    return settle(graph, *x);
}

/* Both factors as batches of matrices, their product, and its axes where the equation wants them. */
static sw_status multiply(sw_graph *graph, sw_node *node, const product *p) {
    const term *groups[2][2] = {{&p->rows, &p->inner}, {&p->inner, &p->columns}};
    sw_value *factors[2] = {node->in[0], node->in[1]};
    shape whole = shape_of(p, &p->rows, &p->columns, false), parts[2];
    for (int i = 0; i < 2; i++) {
        parts[i] = shape_of(p, groups[i][0], groups[i][1], true);
        if (parts[i].open > 1 || whole.open > 1) return SW_OK;
    }
    term order;
    for (int i = 0; i < 2; i++) {
        join(&order, &p->batch, groups[i][0], groups[i][1]);
        SW_TRY(turn(graph, node, &p->in[i], &order, &factors[i]));
        if (groups[i][0]->n != 1 || groups[i][1]->n != 1) SW_TRY(reshape(graph, node, &parts[i], &factors[i]));
    }
    sw_value *made = sw_graph_apply(graph, node, SW_OP_MatMul, node->name, 2, factors);
    SW_TRY(settle(graph, made));
    if (p->rows.n != 1 || p->columns.n != 1) SW_TRY(reshape(graph, node, &whole, &made));
    join(&order, &p->batch, &p->rows, &p->columns);
    SW_TRY(turn(graph, node, &order, &p->out, &made));
    put_in_place(graph, node, made);
    return SW_OK;
}

static sw_status rephrase_einsum(sw_graph *graph, sw_node *node) {
    product p = {0};
    return node->n_in == 2 && read_equation(node, &p) && sort_labels(&p) ? multiply(graph, node, &p) : SW_OK;
}

/* ---- Attention ------------------------------------------------------------------------------------------- */

/* Whether a constant mask leaves something of each row: else its result is 0, which Softmax does not give. */
static bool spares_each_row(const sw_tensor *mask) {
    int64_t length = mask->dims[mask->rank - 1], n = mask->data ? sw_tensor_count(mask) : 0, seen = 0;
    if (mask->dtype != SW_F32 && mask->dtype != SW_BOOL) return false;
    for (int64_t i = 0; i < n; i++) {
        bool sees =
            mask->dtype == SW_BOOL ? ((const uint8_t *)mask->data)[i] : ((const float *)mask->data)[i] > -INFINITY;
        if (i % length == 0) seen = 0;
        seen += sees;
        if (i % length == length - 1 && !seen) return false;
    }
    return n > 0;
}

/* Whether it is softmax(scale Q K^T + mask) V and nothing more: no cache, no mask by rule, none that is computed, one
 * head of keys for each of queries. */
static bool is_plain_attention(const sw_node *node, sw_attention *a) {
    const sw_tensor *in[7];
    sw_tensor *out[4];
    bool known;
    sw_call call = sw_node_call(node, in, out, NULL);
    for (int i = 0; i < node->n_in; i++)
        if (i > 3 ? node->in[i] != NULL : i < 3 && node->in[i]->type.dtype != SW_F32) return false;
    for (int i = 1; i < node->n_out; i++)
        if (node->out[i]) return false;
    if (sw_node_int(node, "is_causal") || sw_node_float(node, "softcap") != 0) return false;
    if (sw_call_attention(&call, a, &known) != SW_OK || !known || a->heads < 1 || a->heads != a->kv_heads) return false;
    const sw_tensor *mask = node->n_in > 3 && node->in[3] ? &node->in[3]->type : NULL;
    bool good = !mask || (mask->rank > 0 && mask->dims[mask->rank - 1] == a->total && spares_each_row(mask));
    return good && a->size > 0 && a->value_size > 0;
}

/* What is added to the scores: a mask of numbers; minus infinity where one of truth values is false; NULL: nothing. */
static sw_status find_addend(sw_graph *graph, const sw_node *node, sw_value **addend) {
    sw_value *mask = *addend = node->n_in > 3 ? node->in[3] : NULL;
    if (!mask || mask->type.dtype == SW_F32) return SW_OK;
    const uint8_t *from = mask->type.data;
    int64_t n = sw_tensor_count(&mask->type);
    *addend = NULL;
    if (!memchr(from, 0, (size_t)n)) return SW_OK;
    *addend = sw_graph_new_const(graph, mask->name, SW_F32, mask->type.rank, mask->type.dims);
    if (!*addend) return SW_E_NOMEM;
    for (int64_t i = 0; i < n; i++) ((float *)(*addend)->type.data)[i] = from[i] ? 0 : -INFINITY;
    return SW_OK;
}

/* Heads side by side in the last axis, one behind the other in the second; or back. */
static sw_status turn_heads(sw_graph *graph, sw_node *before, const shape *parted, sw_value **x) {
    static const int64_t perm[] = {0, 2, 1, 3}, flat[] = {0, 0, -1};
    if (parted) SW_TRY(reshape(graph, before, parted, x));
    *x = sw_graph_apply(graph, before, SW_OP_Transpose, before->name, 1, x);
    if (!*x) return SW_E_NOMEM;
    SW_TRY(sw_node_set_ints(graph, (*x)->producer, "perm", perm, 4));
    SW_TRY(settle(graph, *x));
    return parted ? SW_OK : reshape(graph, before, &(shape){.dims = {flat[0], flat[1], flat[2]}, .n = 3}, x);
}

static sw_status apply_two(sw_graph *graph, sw_node *before, sw_op op, sw_value *a, sw_value *b, sw_value **y) {
    *y = sw_graph_apply(graph, before, op, before->name, 2, (sw_value *[]){a, b});
    return settle(graph, *y);
}

static sw_status rephrase_attention(sw_graph *graph, sw_node *node) {
    static const int64_t perm[] = {0, 1, 3, 2};
    sw_attention a;
    if (!is_plain_attention(node, &a)) return SW_OK;
    sw_value *parts[3] = {node->in[0], node->in[1], node->in[2]}, *addend, *y;
    SW_TRY(find_addend(graph, node, &addend));
    const int64_t sizes[3] = {a.size, a.size, a.value_size};
    for (int i = 0; a.flat && i < 3; i++)
        SW_TRY(turn_heads(graph, node, &(shape){.dims = {0, 0, a.heads, sizes[i]}, .n = 4}, &parts[i]));
    sw_value *keys = sw_graph_apply(graph, node, SW_OP_Transpose, node->name, 1, &parts[1]);
    sw_value *scale = sw_graph_new_const(graph, node->name, SW_F32, 0, NULL);
    if (!keys || !scale) return SW_E_NOMEM;
    const sw_attr *given = sw_node_attr(node, "scale", SW_ATTR_FLOAT);
    *(float *)scale->type.data = given->set ? given->f : (float)(1 / sqrt((double)a.size));
    SW_TRY(sw_node_set_ints(graph, keys->producer, "perm", perm, 4));
    SW_TRY(settle(graph, keys));
    SW_TRY(apply_two(graph, node, SW_OP_MatMul, parts[0], keys, &y));
    SW_TRY(apply_two(graph, node, SW_OP_Mul, y, scale, &y));
    if (addend) SW_TRY(apply_two(graph, node, SW_OP_Add, y, addend, &y));
    y = sw_graph_apply(graph, node, SW_OP_Softmax, node->name, 1, &y);
    SW_TRY(settle(graph, y));
    SW_TRY(apply_two(graph, node, SW_OP_MatMul, y, parts[2], &y));
    if (a.flat) SW_TRY(turn_heads(graph, node, NULL, &y));
    put_in_place(graph, node, y);
    return SW_OK;
}

/* ---- Means of maps --------------------------------------------------------------------------------------- */

static bool is_over_pixels(const sw_node *node) {
    const sw_value *x = node->in[0], *axes = node->n_in > 1 ? node->in[1] : NULL;
    if (x->type.rank != 4 || x->type.dtype != SW_F32 || !sw_value_is_const(axes) || sw_tensor_count(&axes->type) != 2)
        return false;
    int64_t a = sw_tensor_int_at(&axes->type, 0), b = sw_tensor_int_at(&axes->type, 1);
    if (a < 0) a += 4;
    if (b < 0) b += 4;
    return (a == 2 && b == 3) || (a == 3 && b == 2);
}

static sw_status rephrase_mean(sw_graph *graph, sw_node *node) {
    static const shape flat = {.dims = {0, -1}, .n = 2};
    if (!is_over_pixels(node)) return SW_OK;
    sw_value *mean = sw_graph_apply(graph, node, SW_OP_GlobalAveragePool, node->name, 1, node->in);
    SW_TRY(settle(graph, mean));
    if (!sw_node_int(node, "keepdims")) SW_TRY(reshape(graph, node, &flat, &mean));
    put_in_place(graph, node, mean);
    return SW_OK;
}

/* ---- Batch normalisation --------------------------------------------------------------------------------- */

static sw_status rephrase_batch_norm(sw_graph *graph, sw_node *node) {
    const sw_tensor *x = &node->in[0]->type;
    if (x->rank != 4 || x->dtype != SW_F32 || x->dims[1] < 1) return SW_OK;
    const float *in[5];
    for (int i = 1; i < 5; i++) {
        const sw_tensor *t = &node->in[i]->type;
        if (!sw_value_is_const(node->in[i]) || t->dtype != SW_F32 || sw_tensor_count(t) != x->dims[1]) return SW_OK;
        in[i] = t->data;
    }
    sw_value *weights = sw_graph_new_const(graph, node->in[1]->name, SW_F32, 4, (int64_t[]){x->dims[1], 1, 1, 1});
    sw_value *bias = sw_graph_new_const(graph, node->in[2]->name, SW_F32, 1, &x->dims[1]);
    if (!weights || !bias) return SW_E_NOMEM;
    for (int64_t c = 0; c < x->dims[1]; c++) {
        double factor = (double)in[1][c] / sqrt((double)in[4][c] + (double)sw_node_float(node, "epsilon"));
        ((float *)weights->type.data)[c] = (float)factor;
        ((float *)bias->type.data)[c] = (float)((double)in[2][c] - (double)in[3][c] * factor);
    }
    sw_value *made = sw_graph_apply(graph, node, SW_OP_Conv, node->name, 3, (sw_value *[]){node->in[0], weights, bias});
    if (!made) return SW_E_NOMEM;
    sw_node_set_int(made->producer, "group", x->dims[1]);
    put_in_place(graph, node, made);
    return SW_OK;
}

/* ---- Convolutions ---------------------------------------------------------------------------------------- */

/* The pads of Pad where it puts zeros, not less than none, around the pixels only. */
static const int64_t *zeros_around(const sw_node *pad) {
    const sw_value *pads = pad->n_in > 1 ? pad->in[1] : NULL, *value = pad->n_in > 2 ? pad->in[2] : NULL;
    double number = 0;
    if (pad->in[0]->type.rank != 4 || (pad->n_in > 3 && pad->in[3]) || !sw_value_is_const(pads) ||
        pads->type.dtype != SW_I64 || sw_tensor_count(&pads->type) != 8 ||
        strcmp(sw_node_string(pad, "mode"), "constant") != 0 || (value && !sw__const_scalar(value, &number)) ||
        number != 0)
        return NULL;
    const int64_t *v = pads->type.data;
    bool good = !v[0] && !v[1] && !v[4] && !v[5];
    for (int i = 0; i < 8; i++) good = good && v[i] >= 0 && v[i] < INT16_MAX;
    return good ? v : NULL;
}

static sw_status take_padding(sw_graph *graph, sw_node *conv) {
    sw_node *pad = conv->in[0]->producer;
    const int64_t *v = pad && pad->op == SW_OP_Pad && conv->in[0]->uses == 1 ? zeros_around(pad) : NULL;
    if (!v || strcmp(sw_node_string(conv, "auto_pad"), "NOTSET") != 0) return SW_OK;
    int64_t pads[4];
    for (int i = 0; i < 4; i++) pads[i] = sw__node_ints_or(conv, "pads", i, 0) + v[i < 2 ? 2 + i : 4 + i];
    SW_TRY(sw_node_set_ints(graph, conv, "pads", pads, 4));
    sw_node_set_input(conv, 0, pad->in[0]);
    sw_graph_remove_node(graph, pad);
    return SW_OK;
}

enum { MOST_TAPS = 64 }; /* of the depth */

/* A convolution over depth, height and width. */
typedef struct deep {
    int64_t taps, stride, dilation, pads[2]; /* of the depth */
    int64_t channels, depth, made;           /* input channels; depth and channels of the result */
} deep;

static bool match_deep(const sw_node *node, deep *d) {
    const sw_tensor *x = &node->in[0]->type, *w = &node->in[1]->type, *y = &node->out[0]->type;
    if (x->rank != 5 || w->rank != 5 || y->rank != 5 || x->dtype != SW_F32 || !sw_value_is_const(node->in[1]) ||
        w->dtype != SW_F32 || sw_node_int(node, "group") != 1 ||
        strcmp(sw_node_string(node, "auto_pad"), "NOTSET") != 0)
        return false;
    for (int i = 1; i < 5; i++)
        if (x->dims[i] < 1 || y->dims[i] < 1 || w->dims[i] < 1) return false;
    *d = (deep){.taps = w->dims[2],
                .stride = sw__node_ints_or(node, "strides", 0, 1),
                .dilation = sw__node_ints_or(node, "dilations", 0, 1),
                .pads = {sw__node_ints_or(node, "pads", 0, 0), sw__node_ints_or(node, "pads", 3, 0)},
                .channels = w->dims[1],
                .depth = y->dims[2],
                .made = w->dims[0]};
    return d->pads[0] >= 0 && d->pads[1] >= 0;
}

/* Weights M C depth height width as M (depth C) height width. */
static sw_value *flat_weights(sw_graph *graph, const sw_value *from, const deep *d) {
    const int64_t *dims = from->type.dims, plane = dims[3] * dims[4];
    sw_value *to =
        sw_graph_new_const(graph, from->name, SW_F32, 4, (int64_t[]){d->made, d->taps * d->channels, dims[3], dims[4]});
    for (int64_t i = 0; to && i < d->made * d->channels * d->taps; i++) {
        int64_t m = i / (d->channels * d->taps), c = i / d->taps % d->channels, t = i % d->taps;
        memcpy((float *)to->type.data + ((m * d->taps + t) * d->channels + c) * plane,
               (const float *)from->type.data + i * plane, (size_t)plane * sizeof(float));
    }
    return to;
}

/* The slices that each slice of the result sees, side by side among the channels. */
static sw_status gather_slices(sw_graph *graph, sw_node *node, const deep *d, sw_value **x) {
    const int64_t zeros[10] = {[2] = d->pads[0], [7] = d->pads[1]}, axis = 2;
    sw_value *parts[MOST_TAPS], *pads = sw_graph_const_ints(graph, node->name, zeros, 10);
    sw_value *axes = sw_graph_const_ints(graph, node->name, &axis, 1);
    sw_value *step = sw_graph_const_ints(graph, node->name, &d->stride, 1);
    if (!pads || !axes || !step) return SW_E_NOMEM;
    if (d->pads[0] || d->pads[1]) {
        *x = sw_graph_apply(graph, node, SW_OP_Pad, node->name, 2, (sw_value *[]){*x, pads});
        SW_TRY(settle(graph, *x));
    }
    for (int t = 0; t < d->taps; t++) {
        int64_t first = t * d->dilation, end = first + (d->depth - 1) * d->stride + 1;
        sw_value *from = sw_graph_const_ints(graph, node->name, &first, 1);
        sw_value *to = sw_graph_const_ints(graph, node->name, &end, 1);
        if (!from || !to) return SW_E_NOMEM;
        parts[t] = sw_graph_apply(graph, node, SW_OP_Slice, node->name, 5, (sw_value *[]){*x, from, to, axes, step});
        SW_TRY(settle(graph, parts[t]));
    }
    *x = sw_graph_apply(graph, node, SW_OP_Concat, node->name, (int)d->taps, parts);
    if (!*x) return SW_E_NOMEM;
    sw_node_set_int((*x)->producer, "axis", 1);
    return settle(graph, *x);
}

/* N C D H W to N D C H W, or back. */
static sw_status turn_depth(sw_graph *graph, sw_node *before, sw_value **x) {
    static const int64_t perm[] = {0, 2, 1, 3, 4};
    *x = sw_graph_apply(graph, before, SW_OP_Transpose, before->name, 1, x);
    if (!*x) return SW_E_NOMEM;
    SW_TRY(sw_node_set_ints(graph, (*x)->producer, "perm", perm, 5));
    return settle(graph, *x);
}

/* The attributes of the two last axes. */
static sw_status set_flat(sw_graph *graph, const sw_node *from, sw_node *to) {
    int64_t strides[2], dilations[2], pads[4];
    for (int i = 0; i < 2; i++) {
        strides[i] = sw__node_ints_or(from, "strides", 1 + i, 1),
        dilations[i] = sw__node_ints_or(from, "dilations", 1 + i, 1);
        pads[i] = sw__node_ints_or(from, "pads", 1 + i, 0), pads[2 + i] = sw__node_ints_or(from, "pads", 4 + i, 0);
    }
    SW_TRY(sw_node_set_ints(graph, to, "strides", strides, 2));
    SW_TRY(sw_node_set_ints(graph, to, "dilations", dilations, 2));
    return sw_node_set_ints(graph, to, "pads", pads, 4);
}

static sw_status rephrase_deep(sw_graph *graph, sw_node *node) {
    deep d;
    if (!match_deep(node, &d) || d.taps > MOST_TAPS) return SW_OK;
    const int64_t *in = node->in[0]->type.dims, *out = node->out[0]->type.dims;
    sw_value *made = node->in[0], *weights = flat_weights(graph, node->in[1], &d);
    if (!weights) return SW_E_NOMEM;
    if (d.taps > 1 || d.stride > 1 || d.pads[0] || d.pads[1]) SW_TRY(gather_slices(graph, node, &d, &made));
    SW_TRY(turn_depth(graph, node, &made));
    SW_TRY(reshape(graph, node, &(shape){.dims = {-1, d.taps * d.channels, in[3], in[4]}, .n = 4}, &made));
    sw_value *all[] = {made, weights, node->n_in > 2 ? node->in[2] : NULL};
    made = sw_graph_apply(graph, node, SW_OP_Conv, node->name, all[2] ? 3 : 2, all);
    if (!made) return SW_E_NOMEM;
    SW_TRY(set_flat(graph, node, made->producer));
    SW_TRY(settle(graph, made));
    SW_TRY(reshape(graph, node, &(shape){.dims = {-1, d.depth, d.made, out[3], out[4]}, .n = 5}, &made));
    SW_TRY(turn_depth(graph, node, &made));
    put_in_place(graph, node, made);
    return SW_OK;
}

sw_status sw__pass_rephrase(sw_graph *graph, const sw_diag *diag) {
    (void)diag;
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (node->op == SW_OP_Conv)
            SW_TRY(node->in[0]->type.rank == 5 ? rephrase_deep(graph, node) : take_padding(graph, node));
        if (node->op == SW_OP_Attention) SW_TRY(rephrase_attention(graph, node));
        if (node->op == SW_OP_Einsum) SW_TRY(rephrase_einsum(graph, node));
        if (node->op == SW_OP_ReduceMean) SW_TRY(rephrase_mean(graph, node));
        if (node->op == SW_OP_BatchNormalization) SW_TRY(rephrase_batch_norm(graph, node));
    }
    return SW_OK;
}
