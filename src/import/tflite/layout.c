/* Tensors as values of the graph, in whatever order of axes an operator wants them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "import/tflite/model.h"

/* ---- Errors -------------------------------------------------------------------------------------------------------- */

static void *fail(sw_tfl *m, sw_status status, const char *where, const char *fmt, va_list args) {
    if (m->status != SW_OK) return NULL;
    char text[512];
    vsnprintf(text, sizeof text, fmt, args);
    m->status = sw_fail(m->diag, status, where, NULL, "%s", text);
    return NULL;
}

void *sw__tfl_fail(sw_tfl *m, sw_status status, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fail(m, status, m->label, fmt, args);
    va_end(args);
    return NULL;
}

void *sw__tfl_refuse(sw_tfl_node *n, sw_status status, const char *fmt, ...) {
    char where[600];
    va_list args;
    snprintf(where, sizeof where, "%.300s: operator %d (%.60s)", n->m->label, n->number, n->kind);
    va_start(args, fmt);
    fail(n->m, status, where, fmt, args);
    va_end(args);
    return NULL;
}

void *sw__tfl_nomem(sw_tfl *m) {
    return sw__tfl_fail(m, SW_E_NOMEM, "out of memory");
}

bool sw__tfl_charge(sw_tfl *m, uint64_t bytes) {
    if (bytes <= m->bytes_left) {
        m->bytes_left -= bytes;
        return true;
    }
    return sw__tfl_fail(m, SW_E_LIMIT, "the model unfolds to far more than its file holds");
}

/* ---- Nodes --------------------------------------------------------------------------------------------------------- */

/* A small result of constants only, computed. */
static sw_value *compute(sw_tfl *m, sw_value *value) {
    sw_node *node = value->producer;
    const sw_tensor *in[8];
    sw_tensor out = value->type, *outs[1];
    if (!m->evaluate || node->n_out != 1 || node->n_in > 8 || !sw_tensor_is_concrete(&out) || !out.dtype) return value;
    if (sw_tensor_count(&out) > SW_TFL_SMALL) return value;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] && (!node->in[i]->type.data || sw_tensor_count(&node->in[i]->type) > SW_TFL_SMALL))
            return value;
    sw_value *made = sw_graph_new_const(m->graph, node->name, out.dtype, out.rank, out.dims);
    if (!made) return sw__tfl_nomem(m);
    sw_call call = sw_node_call(node, in, outs, m->diag);
    out.data = made->type.data;
    outs[0] = &out;
    call.allocator = m->graph->allocator;
    m->status = m->evaluate(&call);
    sw_graph_remove_node(m->graph, node);
    return m->status == SW_OK ? made : NULL;
}

sw_value *sw__tfl_settle(sw_tfl *m, sw_value *value) {
    if (m->status != SW_OK || !value) return NULL;
    if (!value->producer || value->type.rank != SW_RANK_UNKNOWN) return value;
    m->status = sw_node_infer(m->graph, value->producer, m->diag);
    return m->status == SW_OK ? compute(m, value) : NULL;
}

sw_value *sw__tfl_apply(sw_tfl *m, sw_op op, const char *name, int n, sw_value *const *in) {
    sw_value **settled = SW_ARENA_ARRAY(m->scratch, sw_value *, n);
    if (!settled) return sw__tfl_nomem(m);
    if (m->status != SW_OK) return NULL;
    for (int i = 0; i < n; i++) {
        settled[i] = sw__tfl_settle(m, in[i]);
        if (in[i] && !settled[i]) return NULL;
    }
    sw_value *out = sw_graph_apply(m->graph, NULL, op, name, n, settled);
    return out ? out : sw__tfl_nomem(m);
}

void sw__tfl_set_int(sw_value *value, const char *name, int64_t v) {
    if (value) sw_node_set_int(value->producer, name, v);
}
void sw__tfl_set_float(sw_value *value, const char *name, float v) {
    if (value) sw_node_set_float(value->producer, name, v);
}
void sw__tfl_set_string(sw_tfl *m, sw_value *value, const char *name, const char *v) {
    if (value && sw_node_set_string(m->graph, value->producer, name, v) != SW_OK) sw__tfl_nomem(m);
}
void sw__tfl_set_ints(sw_tfl *m, sw_value *value, const char *name, const int64_t *v, int n) {
    if (value && sw_node_set_ints(m->graph, value->producer, name, v, n) != SW_OK) sw__tfl_nomem(m);
}

sw_value *sw__tfl_const_ints(sw_tfl *m, const int64_t *v, int n) {
    if (m->status != SW_OK) return NULL;
    sw_value *value = sw_graph_const_ints(m->graph, "ints", v, n);
    return value ? value : sw__tfl_nomem(m);
}

sw_value *sw__tfl_number(sw_tfl *m, sw_dtype dtype, double v) {
    if (m->status != SW_OK) return NULL;
    sw_value *value = sw_graph_new_const(m->graph, "number", dtype, 0, NULL);
    if (!value) return sw__tfl_nomem(m);
    int64_t whole = dtype == SW_F32 || dtype == SW_F64 ? 0 : (int64_t)v;
    float single = (float)v;
    const void *from = dtype == SW_F32 ? (const void *)&single : dtype == SW_F64 ? (const void *)&v : &whole;
    memcpy(value->type.data, from, sw_dtype_size(dtype)); /* integers: the low bytes of a little-endian number */
    return value;
}

sw_value *sw__tfl_reshape(sw_tfl *m, const char *name, sw_value *x, const int64_t *dims, int n) {
    sw_value *out = sw__tfl_apply(m, SW_OP_Reshape, name, 2, (sw_value *[]){x, sw__tfl_const_ints(m, dims, n)});
    sw__tfl_set_int(out, "allowzero", 1);
    return out;
}

sw_value *sw__tfl_transpose(sw_tfl *m, const char *name, sw_value *x, const int64_t *perm, int n) {
    sw_value *out = sw__tfl_apply(m, SW_OP_Transpose, name, 1, &x);
    sw__tfl_set_ints(m, out, "perm", perm, n);
    return out;
}

sw_value *sw__tfl_cast(sw_tfl *m, const char *name, sw_value *x, sw_dtype to) {
    static const int numbers[] = {
#define NUMBER(dtype, bytes, text, onnx) [dtype] = onnx,
        SW_DTYPE_LIST(NUMBER)
#undef NUMBER
    };
    sw_value *out = sw__tfl_apply(m, SW_OP_Cast, name, 1, &x);
    sw__tfl_set_int(out, "to", numbers[to]);
    return out;
}

/* ---- Forms --------------------------------------------------------------------------------------------------------- */

static sw_value *keep(sw_tfl_tensor *t, sw_value *value, const sw_axes *axes) {
    if (value && t->n_forms < SW_TFL_FORMS) t->forms[t->n_forms++] = (sw_tfl_form){value, *axes};
    return value;
}

/* Copies elements of `size` bytes in the order of `axes`. */
static void permute(uint8_t *to, const uint8_t *from, const sw_tensor *like, const sw_axes *axes) {
    size_t size = sw_dtype_size(like->dtype);
    int64_t strides[SW_MAX_RANK], step[SW_MAX_RANK], dims[SW_MAX_RANK], at[SW_MAX_RANK] = {0}, stride = 1;
    for (int i = like->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= like->dims[i];
    }
    sw_axes_apply(axes, like->dims, dims);
    for (int i = 0; i < axes->n; i++) step[i] = strides[axes->at[i]];
    int64_t source = 0;
    for (int64_t i = 0; i < stride; i++) {
        memcpy(to + (size_t)i * size, from + (size_t)source * size, size);
        for (int k = axes->n - 1; k >= 0; k--) {
            source += step[k];
            if (++at[k] < dims[k]) break;
            source -= at[k] * step[k];
            at[k] = 0;
        }
    }
}

/* A constant, in any order; where it lies in the file if that is aligned. */
static sw_value *constant(sw_tfl *m, sw_tfl_tensor *t, const sw_axes *axes) {
    size_t size = sw_dtype_size(t->like.dtype);
    sw_value *value;
    if (sw_axes_is_plain(axes) && (uintptr_t)t->like.data % size == 0) {
        value = sw_graph_add_const(m->graph, t->name, &t->like);
        return value ? value : sw__tfl_nomem(m);
    }
    int64_t dims[SW_MAX_RANK];
    sw_axes_apply(axes, t->like.dims, dims);
    if (!sw__tfl_charge(m, (uint64_t)sw_tensor_bytes(&t->like))) return NULL;
    value = sw_graph_new_const(m->graph, t->name, t->like.dtype, t->like.rank, dims);
    if (!value) return sw__tfl_nomem(m);
    if (sw_tensor_count(&t->like) > 0) permute(value->type.data, t->like.data, &t->like, axes);
    return value;
}

static const sw_tfl_form *main_form(sw_tfl *m, sw_tfl_tensor *t) {
    if (m->status != SW_OK) return NULL;
    if (t->n_forms) return &t->forms[0];
    if (t->like.dtype == SW_DTYPE_NONE)
        return sw__tfl_fail(m, SW_E_UNSUPPORTED, "tensor '%s' is of type %s, which is not supported", t->name,
                            sw__tfl_type_name(t->type));
    if (t->sparse) return sw__tfl_fail(m, SW_E_UNSUPPORTED, "tensor '%s' is sparse, which is not supported", t->name);
    if (t->variable)
        return sw__tfl_fail(m, SW_E_UNSUPPORTED, "tensor '%s' is a state that outlives a run; such are not supported",
                            t->name);
    if (!t->like.data) return sw__tfl_fail(m, SW_E_MODEL, "tensor '%s' is read before it is made", t->name);
    sw_axes plain = sw_axes_plain(t->like.rank);
    return keep(t, constant(m, t, &plain), &plain) ? &t->forms[0] : NULL;
}

static sw_value *dequantise(sw_tfl *m, sw_tfl_tensor *q, sw_value *value, const sw_axes *axes);

sw_value *sw__tfl_in_form(sw_tfl *m, sw_tfl_tensor *t, const sw_axes *axes) {
    for (int i = 0; i < t->n_forms; i++)
        if (sw_axes_equal(&t->forms[i].axes, axes)) return t->forms[i].value;
    if (m->status != SW_OK) return NULL;
    if (t->like.data && t->like.dtype && !t->sparse) return keep(t, constant(m, t, axes), axes);
    if (t->quantised && t->quantised->like.data)
        return keep(t, dequantise(m, t->quantised, sw__tfl_in_form(m, t->quantised, axes), axes), axes);
    const sw_tfl_form *form = main_form(m, t);
    sw_value *value = form ? sw__tfl_settle(m, form->value) : NULL;
    if (!value) return NULL;
    if (form->axes.n != axes->n)
        return sw__tfl_fail(m, SW_E_MODEL, "tensor '%s' has %d axes where %d are needed", t->name, form->axes.n,
                            axes->n);
    int64_t perm[SW_MAX_RANK], file[SW_MAX_RANK], stored[SW_MAX_RANK];
    sw_axes_between(&form->axes, axes, perm);
    for (int i = 0; i < axes->n; i++) file[form->axes.at[i]] = value->type.dims[i];
    sw_axes_apply(axes, file, stored);
    sw_value *made = sw_axes_same_order(&form->axes, axes, file) ? sw__tfl_reshape(m, t->name, value, stored, axes->n)
                                                                 : sw__tfl_transpose(m, t->name, value, perm, axes->n);
    return keep(t, sw__tfl_settle(m, made), axes);
}

static sw_tfl_tensor *input(sw_tfl_node *n, int i) {
    if (n->m->status != SW_OK) return NULL;
    if (i < n->n_in && n->in[i]) return n->in[i];
    return sw__tfl_refuse(n, SW_E_MODEL, "input %d is missing", i + 1);
}

sw_value *sw__tfl_any(sw_tfl_node *n, int i, sw_axes *axes) {
    sw_tfl_tensor *t = input(n, i);
    sw_axes plain = sw_axes_plain(t ? t->like.rank : 0);
    *axes = plain;
    if (!t) return NULL;
    if (t->quantised && t->quantised->like.data) return sw__tfl_in_form(n->m, t, axes);
    const sw_tfl_form *form = main_form(n->m, t);
    if (!form) return NULL;
    *axes = form->axes;
    return form->value;
}

sw_value *sw__tfl_as(sw_tfl_node *n, int i, sw_axes axes) {
    sw_tfl_tensor *t = input(n, i);
    return t ? sw__tfl_in_form(n->m, t, &axes) : NULL;
}

sw_value *sw__tfl_plain(sw_tfl_node *n, int i) {
    sw_axes axes;
    return sw__tfl_any(n, i, &axes) ? sw__tfl_as(n, i, sw_axes_plain(axes.n)) : NULL;
}

bool sw__tfl_dims(sw_tfl_node *n, const sw_tfl_tensor *t, int64_t *dims, int *rank) {
    if (n->m->status != SW_OK) return false;
    const sw_tensor *now = t->n_forms ? &t->forms[0].value->type : &t->like;
    sw_axes axes = t->n_forms ? t->forms[0].axes : sw_axes_plain(t->like.rank);
    *rank = now->rank;
    if (!sw_tensor_is_concrete(now))
        return sw__tfl_refuse(n, SW_E_UNSUPPORTED, "the shape of tensor '%s' depends on data", t->name);
    const int64_t most = (int64_t)1 << 40; /* far above what memory holds, and products with blocks and strides fit */
    int64_t count = 1;
    for (int i = 0; i < axes.n; i++) {
        int64_t side = now->dims[i];
        if (side > 1 && count > most / side)
            return sw__tfl_refuse(n, SW_E_LIMIT, "tensor '%s' has too many elements", t->name);
        if (side > 1) count *= side;
        dims[axes.at[i]] = side;
    }
    return true;
}

/* ---- Lists --------------------------------------------------------------------------------------------------------- */

bool sw__tfl_ints(sw_tfl_node *n, int i, int64_t *v, int *count) {
    sw_axes axes;
    if (i >= n->n_in || !n->in[i]) return false;
    sw_value *value = sw__tfl_any(n, i, &axes);
    if (!value || !value->type.data) return false;
    const sw_tensor *t = &value->type;
    int64_t many = sw_tensor_count(t);
    bool whole = t->dtype == SW_I32 || t->dtype == SW_I64 || t->dtype == SW_I8 || t->dtype == SW_I16;
    if (!whole || t->rank > 2 || many > 2 * SW_MAX_RANK)
        return sw__tfl_refuse(n, SW_E_MODEL, "input %d holds no short list of integers", i + 1);
    for (int64_t k = 0; k < many; k++) v[k] = sw_tensor_int_at(t, k);
    *count = (int)many;
    return true;
}

sw_value *sw__tfl_list(sw_tfl_node *n, int i) {
    int64_t minus_one = -1;
    sw_value *value = sw__tfl_plain(n, i);
    if (value && value->type.rank != 1) value = sw__tfl_reshape(n->m, "list", value, &minus_one, 1);
    value = sw__tfl_settle(n->m, value);
    return value && value->type.dtype != SW_I64 ? sw__tfl_cast(n->m, "list", value, SW_I64) : value;
}

/* ---- Quantised tensors --------------------------------------------------------------------------------------------- */

bool sw__tfl_quantised(const sw_tfl_tensor *t) {
    return t->scales.n && (t->like.dtype == SW_I8 || t->like.dtype == SW_U8 || t->like.dtype == SW_I16);
}
float sw__tfl_scale(const sw_tfl_tensor *t) {
    return t->scales.n ? sw_fb_vec_f32(&t->scales, 0) : 1;
}
int64_t sw__tfl_zero(const sw_tfl_tensor *t) {
    return t->zeros.n ? sw_fb_vec_i64(&t->zeros, 0) : 0;
}
bool sw__tfl_same_scale(const sw_tfl_tensor *a, const sw_tfl_tensor *b) {
    return a->like.dtype == b->like.dtype && a->scales.n < 2 && b->scales.n < 2 && a->scales.n == b->scales.n &&
           sw__tfl_scale(a) == sw__tfl_scale(b) && sw__tfl_zero(a) == sw__tfl_zero(b);
}

/* Scales and zero points as constants: of rank 0 for a single one, else of rank 1. */
void sw__tfl_scales(sw_tfl *m, const sw_tfl_tensor *t, sw_value **scale, sw_value **zero) {
    int64_t n = t->scales.n;
    int rank = n > 1;
    *scale = *zero = NULL;
    if (m->status != SW_OK || !sw__tfl_charge(m, (uint64_t)n * 12)) return;
    *scale = sw_graph_new_const(m->graph, "scale", SW_F32, rank, &n);
    *zero = sw_graph_new_const(m->graph, "zero_point", t->like.dtype, rank, &n);
    if (!*scale || !*zero) {
        sw__tfl_nomem(m);
        return;
    }
    size_t size = sw_dtype_size(t->like.dtype);
    for (uint32_t i = 0; i < t->scales.n; i++) {
        float s = sw_fb_vec_f32(&t->scales, i);
        int64_t z = t->zeros.n ? sw_fb_vec_i64(&t->zeros, t->zeros.n > 1 ? i : 0) : 0;
        ((float *)(*scale)->type.data)[i] = s;
        memcpy((uint8_t *)(*zero)->type.data + i * size, &z, size); /* the low bytes of a little-endian number */
        if (!(s > 0) || s > 3e38f) sw__tfl_fail(m, SW_E_MODEL, "tensor '%s' has the scale %g", t->name, (double)s);
    }
}

static sw_value *dequantise(sw_tfl *m, sw_tfl_tensor *q, sw_value *value, const sw_axes *axes) {
    sw_value *in[3] = {value};
    if (q->like.dtype == SW_F16) return sw__tfl_settle(m, sw__tfl_cast(m, q->name, value, SW_F32));
    sw__tfl_scales(m, q, &in[1], &in[2]);
    sw_value *out = sw__tfl_apply(m, SW_OP_DequantizeLinear, q->name, 3, in);
    if (q->scales.n > 1) sw__tfl_set_int(out, "axis", sw_axes_find(axes, q->scale_axis));
    return sw__tfl_settle(m, out);
}

/* Constants that are small (biases) or of float16 are widened at once. */
static void widen(sw_tfl *m, sw_tfl_tensor *real, const sw_tfl_tensor *t) {
    int64_t n = sw_tensor_count(&t->like), inner = 1;
    for (int i = t->scale_axis + 1; i < t->like.rank; i++) inner *= t->like.dims[i];
    if (!sw__tfl_charge(m, (uint64_t)n * 4)) return;
    float *to = sw_arena_alloc(m->graph->arena, (size_t)n + 1, sizeof *to);
    if (!to) {
        sw__tfl_nomem(m);
        return;
    }
    sw_tensor aligned = t->like;
    uint64_t element;
    for (int64_t i = 0; i < n; i++) {
        size_t size = sw_dtype_size(t->like.dtype);
        memcpy(&element, (const uint8_t *)t->like.data + (size_t)i * size, size);
        aligned.data = &element;
        uint32_t s = t->scales.n > 1 ? (uint32_t)(i / inner % t->scales.n) : 0;
        to[i] = t->like.dtype == SW_F16
                    ? sw_f16_to_f32((uint16_t)element)
                    : (float)((double)sw_tensor_int_at(&aligned, 0) * (double)sw_fb_vec_f32(&t->scales, s));
    }
    real->like.data = to;
}

sw_tfl_tensor *sw__tfl_real(sw_tfl *m, sw_tfl_tensor *t) {
    bool wide = t->like.data && t->scales.n && (t->like.dtype == SW_I32 || t->like.dtype == SW_I64);
    if (m->status != SW_OK || t->real) return t->real;
    if (!sw__tfl_quantised(t) && !wide && t->like.dtype != SW_F16) return t;
    sw_tfl_tensor *real = SW_ARENA_NEW(m->scratch, sw_tfl_tensor);
    if (!real) return sw__tfl_nomem(m);
    *real = (sw_tfl_tensor){.name = t->name, .like = t->like, .quantised = t};
    real->like.dtype = SW_F32;
    real->like.data = NULL;
    t->real = real;
    if (wide || (t->like.dtype == SW_F16 && t->like.data && !t->sparse)) {
        widen(m, real, t);
    } else if (!t->like.data) {
        const sw_tfl_form *form = main_form(m, t);
        if (form) keep(real, dequantise(m, t, form->value, &form->axes), &form->axes);
    }
    return real;
}

void sw__tfl_all_real(sw_tfl_node *n) {
    for (int i = 0; i < n->n_in && n->m->status == SW_OK; i++)
        if (n->in[i]) n->in[i] = sw__tfl_real(n->m, n->in[i]);
}

/* ---- Outputs ------------------------------------------------------------------------------------------------------- */

void sw__tfl_out(sw_tfl_node *n, int i, sw_value *value, sw_axes axes) {
    value = sw__tfl_settle(n->m, value);
    if (!value || i >= n->n_out || !n->out[i]) return;
    sw_tfl_tensor *t = n->out[i];
    if (t->n_forms || t->like.data || t->variable) {
        sw__tfl_refuse(n, SW_E_MODEL, "output %d, '%s', exists before the operator ran", i + 1, t->name);
        return;
    }
    if (value->type.rank != axes.n) {
        sw__tfl_refuse(n, SW_E_MODEL, "output '%s' would have %d axes, not %d", t->name, value->type.rank, axes.n);
        return;
    }
    if (t->like.dtype && value->type.dtype && value->type.dtype != t->like.dtype)
        value = sw__tfl_settle(n->m, sw__tfl_cast(n->m, t->name, value, t->like.dtype));
    keep(t, value, &axes);
}

void sw__tfl_out_real(sw_tfl_node *n, int i, sw_value *value, sw_axes axes) {
    if (i >= n->n_out || !n->out[i]) return;
    sw_tfl_tensor *t = n->out[i];
    value = sw__tfl_settle(n->m, value);
    if (value && sw__tfl_quantised(t)) {
        sw_value *in[3] = {value};
        sw__tfl_scales(n->m, t, &in[1], &in[2]);
        value = sw__tfl_apply(n->m, SW_OP_QuantizeLinear, t->name, 3, in);
        if (t->scales.n > 1) sw__tfl_set_int(value, "axis", sw_axes_find(&axes, t->scale_axis));
    }
    sw__tfl_out(n, i, value, axes);
}

/* Bounds of an activation; false when it is not one of bounds. */
static bool bounds_of(int64_t activation, double *low, double *high) {
    *low = activation == SW_TFL_ACT_RELU_N1_TO_1 ? -1 : 0;
    *high = activation == SW_TFL_ACT_RELU ? 3e38 : activation == SW_TFL_ACT_RELU6 ? 6 : 1;
    return activation == SW_TFL_ACT_RELU || activation == SW_TFL_ACT_RELU6 || activation == SW_TFL_ACT_RELU_N1_TO_1;
}

/* On quantised numbers: nothing where the type's range is no wider. */
static sw_value *clip_quantised(sw_tfl_node *n, sw_value *value, double low, double high) {
    const sw_tfl_tensor *t = n->out[0];
    double scale = sw__tfl_scale(t), zero = (double)sw__tfl_zero(t);
    double least = t->like.dtype == SW_I8 ? -128 : 0, most = least + 255;
    double from = low / scale + zero, to = high / scale + zero;
    from = from < least ? least : from > most ? most : from;
    to = to < least ? least : to > most ? most : to;
    from = (double)(int64_t)(from + (from < 0 ? -0.5 : 0.5));
    to = (double)(int64_t)(to + (to < 0 ? -0.5 : 0.5));
    if (from <= least && to >= most) return value;
    return SW_TFL_APPLY(n, SW_OP_Clip, value, sw__tfl_number(n->m, t->like.dtype, from),
                        sw__tfl_number(n->m, t->like.dtype, to));
}

void sw__tfl_out_act(sw_tfl_node *n, sw_value *value, sw_axes axes, int64_t activation, bool real) {
    double low, high;
    value = sw__tfl_settle(n->m, value);
    if (!value) return;
    if (bounds_of(activation, &low, &high)) {
        if (!real)
            value = clip_quantised(n, value, low, high);
        else if (activation == SW_TFL_ACT_RELU)
            value = SW_TFL_APPLY(n, SW_OP_Relu, value);
        else
            value = SW_TFL_APPLY(n, SW_OP_Clip, value, sw__tfl_number(n->m, value->type.dtype, low),
                                 sw__tfl_number(n->m, value->type.dtype, high));
    } else if (activation == SW_TFL_ACT_TANH && real) {
        value = SW_TFL_APPLY(n, SW_OP_Tanh, value);
    } else if (activation != SW_TFL_ACT_NONE) {
        sw__tfl_refuse(n, SW_E_UNSUPPORTED, "the activation %lld is not supported", (long long)activation);
        return;
    }
    if (real)
        sw__tfl_out_real(n, 0, value, axes);
    else
        sw__tfl_out(n, 0, value, axes);
}
