/* Values of the graph as tensors of the file, in whatever order of axes an operator wants them. */
#include <math.h>
#include <string.h>

#include "export/tflite/model.h"

/* ---- Errors -------------------------------------------------------------------------------------------------------- */

int32_t sw__tfw_refuse(sw_tfw *w, const char *why) {
    if (w->status == SW_OK) w->status = sw_export_refuse(w->node, "tflite", why, w->diag);
    return -1;
}

int32_t sw__tfw_nomem(sw_tfw *w) {
    if (w->status == SW_OK) w->status = sw_fail(w->diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    return -1;
}

/* ---- Tensors ------------------------------------------------------------------------------------------------------- */

int32_t sw__tfw_tensor(sw_tfw *w, const char *name, const sw_tensor *type) {
    if (w->status != SW_OK) return -1;
    if (sw_grow(w->graph->allocator, (void **)&w->tensors, &w->cap_tensors, w->n_tensors + 1, sizeof *w->tensors,
                SW_TFW_MAX) != SW_OK)
        return sw__tfw_nomem(w);
    w->tensors[w->n_tensors] = (sw_tfw_tensor){.name = name, .type = *type};
    return (int32_t)w->n_tensors++;
}

static const char *own_name(const sw_tfw *w) {
    return w->node && w->node->n_out && w->node->out[0] ? w->node->out[0]->name : "x";
}

int32_t sw__tfw_temp(sw_tfw *w, sw_dtype dtype, int rank, const int64_t *dims) {
    sw_tensor type = {.dtype = dtype, .rank = rank};
    memcpy(type.dims, dims, (size_t)rank * sizeof *dims);
    const char *name = sw_arena_printf(w->scratch, "%s/%zu", own_name(w), w->n_tensors);
    return name ? sw__tfw_tensor(w, name, &type) : sw__tfw_nomem(w);
}

int32_t sw__tfw_like(sw_tfw *w, int32_t tensor) {
    if (tensor < 0) return -1;
    sw_tensor type = w->tensors[tensor].type;
    return sw__tfw_temp(w, type.dtype, type.rank, type.dims);
}

int32_t sw__tfw_const(sw_tfw *w, const char *name, const sw_tensor *type) {
    return sw__tfw_tensor(w, name, type);
}

int32_t sw__tfw_ints(sw_tfw *w, const int64_t *v, int n) {
    int32_t *data = SW_ARENA_ARRAY(w->scratch, int32_t, n + 1);
    const char *name = sw_arena_printf(w->scratch, "%s/%zu", own_name(w), w->n_tensors);
    if (!data || !name) return sw__tfw_nomem(w);
    for (int i = 0; i < n; i++) data[i] = (int32_t)(v[i] > INT32_MAX ? INT32_MAX : v[i] < INT32_MIN ? INT32_MIN : v[i]);
    return sw__tfw_tensor(w, name, &(sw_tensor){.dtype = SW_I32, .rank = 1, .dims = {n}, .data = data});
}

int32_t sw__tfw_int(sw_tfw *w, int64_t v) {
    int32_t tensor = sw__tfw_ints(w, &v, 1);
    if (tensor >= 0) w->tensors[tensor].type.rank = 0;
    return tensor;
}

int32_t sw__tfw_float(sw_tfw *w, double v) {
    float *data = SW_ARENA_NEW(w->scratch, float);
    const char *name = sw_arena_printf(w->scratch, "%s/%zu", own_name(w), w->n_tensors);
    if (!data || !name) return sw__tfw_nomem(w);
    *data = (float)v;
    return sw__tfw_tensor(w, name, &(sw_tensor){.dtype = SW_F32, .data = data});
}

/* ---- Operators ----------------------------------------------------------------------------------------------------- */

sw_tfw_operator *sw__tfw_add(sw_tfw *w, int code, int version, int n_in, const int32_t *in, int n_out,
                             const int32_t *out) {
    if (w->status != SW_OK) return NULL;
    int32_t *ports = SW_ARENA_ARRAY(w->scratch, int32_t, n_in + n_out);
    if (!ports || sw_grow(w->graph->allocator, (void **)&w->operators, &w->cap_operators, w->n_operators + 1,
                          sizeof *w->operators, SW_TFW_MAX) != SW_OK) {
        sw__tfw_nomem(w);
        return NULL;
    }
    for (int i = 0; i < n_in + n_out; i++) {
        int32_t port = i < n_in ? in[i] : out[i - n_in];
        ports[i] = port < 0 ? -1 : port;
        if (port >= 0) w->tensors[port].referenced = true;
    }
    sw_tfw_operator *op = &w->operators[w->n_operators++];
    *op = (sw_tfw_operator){.code = code, .version = version, .n_in = n_in, .n_out = n_out, .ports = ports};
    return op;
}

void sw__tfw_options(sw_tfw_operator *op, int kind, int n, const sw_fb_field *fields) {
    if (!op) return;
    op->options = kind;
    op->n_fields = n;
    if (n) memcpy(op->fields, fields, (size_t)n * sizeof *fields);
}

int32_t sw__tfw_reshape(sw_tfw *w, int32_t x, int32_t out) {
    if (x < 0 || out < 0) return -1;
    int32_t dims = sw__tfw_ints(w, w->tensors[out].type.dims, w->tensors[out].type.rank);
    sw__tfw_options(SW_TFW_ADD(w, RESHAPE, 1, out, x, dims), 17, 0, NULL);
    return out;
}

int32_t sw__tfw_permute(sw_tfw *w, int32_t x, const int64_t *perm, int32_t out) {
    if (x < 0 || out < 0) return -1;
    int rank = w->tensors[out].type.rank;
    SW_TFW_ADD(w, TRANSPOSE, rank > 5 ? 6 : rank > 4 ? 4 : 1, out, x, sw__tfw_ints(w, perm, rank));
    w->transposes++;
    return out;
}

/* ---- Constants ----------------------------------------------------------------------------------------------------- */

/* Copies elements in the order of `axes`; int64 becomes int32, which is what the format indexes with. */
static void permute_data(const sw_tensor *from, const sw_axes *axes, sw_tensor *to) {
    int64_t strides[SW_MAX_RANK], step[SW_MAX_RANK], at[SW_MAX_RANK] = {0}, n = 1, source = 0;
    size_t size = sw_dtype_size(from->dtype);
    for (int i = from->rank - 1; i >= 0; i--) {
        strides[i] = n;
        n *= from->dims[i];
    }
    for (int i = 0; i < axes->n; i++) step[i] = strides[axes->at[i]];
    for (int64_t i = 0; i < n; i++) {
        if (from->dtype == SW_I64) {
            int64_t v = ((const int64_t *)from->data)[source];
            ((int32_t *)to->data)[i] = (int32_t)(v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v);
        } else {
            memcpy((uint8_t *)to->data + (size_t)i * size, (const uint8_t *)from->data + (size_t)source * size, size);
        }
        for (int k = axes->n - 1; k >= 0; k--) {
            source += step[k];
            if (++at[k] < to->dims[k]) break;
            source -= at[k] * step[k];
            at[k] = 0;
        }
    }
}

static void to_half(sw_tensor *t, int64_t n) {
    float *from = t->data;
    uint16_t *to = t->data; /* in place: each is written behind where it was read */
    for (int64_t i = 0; i < n; i++) to[i] = sw_f32_to_f16(from[i]);
    t->dtype = SW_F16;
}

/* Weights of float16: with a DEQUANTIZE, which runtimes do once. */
static int32_t halved(sw_tfw *w, const sw_value *v, sw_tensor type, int64_t n) {
    const char *name = sw_arena_printf(w->scratch, "%s/%zu/float16", v->name, w->n_tensors);
    sw_tensor full = type;
    if (!name) return sw__tfw_nomem(w);
    to_half(&type, n);
    full.data = NULL;
    int32_t half = sw__tfw_tensor(w, name, &type), out = sw__tfw_temp(w, full.dtype, full.rank, full.dims);
    SW_TFW_ADD(w, DEQUANTIZE, 3, out, half);
    return out;
}

static int32_t constant(sw_tfw *w, const sw_value *v, const sw_axes *axes) {
    enum { LEAST_HALVED = 64 };
    sw_tensor type = v->type;
    sw_axes_apply(axes, v->type.dims, type.dims);
    int64_t n = sw_tensor_count(&v->type);
    bool half = w->options->precision == SW_F16 && type.dtype == SW_F32 && n >= LEAST_HALVED;
    if (type.dtype == SW_I64) type.dtype = SW_I32;
    if (!sw_axes_is_plain(axes) || v->type.dtype == SW_I64 || half) {
        type.data = sw_arena_alloc(w->scratch, (size_t)n + 1, sw_dtype_size(type.dtype));
        if (!type.data) return sw__tfw_nomem(w);
        if (n) permute_data(&v->type, axes, &type);
    }
    if (half) return halved(w, v, type, n);
    const char *name = sw_axes_is_plain(axes) ? v->name : sw_arena_printf(w->scratch, "%s/%zu", v->name, w->n_tensors);
    return name ? sw__tfw_tensor(w, name, &type) : sw__tfw_nomem(w);
}

/* ---- Forms --------------------------------------------------------------------------------------------------------- */

void sw__tfw_holds(sw_tfw *w, const sw_value *v, int32_t tensor, const sw_axes *axes) {
    sw_tfw_forms *f = &w->forms[v->id];
    if (tensor < 0 || f->n == SW_TFW_FORMS) return;
    f->at[f->n].tensor = tensor;
    f->at[f->n++].axes = *axes;
}

int32_t sw__tfw_as(sw_tfw *w, const sw_value *v, sw_axes axes) {
    if (w->status != SW_OK || !v) return -1;
    const sw_tfw_forms *f = &w->forms[v->id];
    for (int i = 0; i < f->n; i++)
        if (sw_axes_equal(&f->at[i].axes, &axes)) return f->at[i].tensor;
    if (v->type.data) {
        int32_t tensor = constant(w, v, &axes);
        sw__tfw_holds(w, v, tensor, &axes);
        return tensor;
    }
    if (!f->n) return sw__tfw_refuse(w, "an input is missing");
    int64_t stored[SW_MAX_RANK], perm[SW_MAX_RANK];
    sw_axes from = f->at[0].axes;
    int32_t source = f->at[0].tensor;
    sw_axes_apply(&axes, v->type.dims, stored);
    int32_t out = sw__tfw_temp(w, w->tensors[source].type.dtype, axes.n, stored);
    sw_axes_between(&from, &axes, perm);
    if (sw_axes_same_order(&from, &axes, v->type.dims))
        sw__tfw_reshape(w, source, out);
    else
        sw__tfw_permute(w, source, perm, out);
    sw__tfw_holds(w, v, out, &axes);
    return out;
}

int32_t sw__tfw_plain(sw_tfw *w, const sw_value *v) {
    return sw__tfw_as(w, v, sw_axes_plain(v->type.rank));
}

int32_t sw__tfw_any(sw_tfw *w, const sw_value *v, sw_axes *axes) {
    const sw_tfw_forms *f = &w->forms[v->id];
    *axes = f->n ? f->at[0].axes : sw_axes_plain(v->type.rank);
    return sw__tfw_as(w, v, *axes);
}

static bool has_form(const sw_tfw *w, const sw_value *v, const sw_axes *axes) {
    const sw_tfw_forms *f = &w->forms[v->id];
    for (int i = 0; i < f->n; i++)
        if (sw_axes_equal(&f->at[i].axes, axes)) return true;
    return false;
}

sw_axes sw__tfw_common(sw_tfw *w) {
    const sw_node *node = w->node;
    int rank = node->out[0]->type.rank, most = 0;
    sw_axes best = sw_axes_plain(rank);
    for (int i = 0; i < node->n_in; i++) {
        const sw_value *v = node->in[i];
        if (!v || v->type.data || v->type.rank != rank) continue;
        for (int k = 0; k < w->forms[v->id].n; k++) {
            const sw_axes *axes = &w->forms[v->id].at[k].axes;
            int64_t votes = 0; /* large inputs count most: theirs would be the dear transposes */
            for (int j = 0; j < node->n_in; j++)
                if (node->in[j] && !node->in[j]->type.data && has_form(w, node->in[j], axes))
                    votes += 1 + sw_tensor_count(&node->in[j]->type) / 1024;
            if (votes > most) {
                most = (int)(votes > INT32_MAX ? INT32_MAX : votes);
                best = *axes;
            }
        }
    }
    return best;
}

int32_t sw__tfw_operand(sw_tfw *w, const sw_value *v, const sw_axes *axes) {
    if (!v) return sw__tfw_refuse(w, "an input is missing");
    int more = axes->n - v->type.rank;
    if (more == 0) return sw__tfw_as(w, v, *axes);
    if (sw_axes_is_plain(axes) || sw_tensor_count(&v->type) == 1) return sw__tfw_plain(w, v);
    int64_t wide[SW_MAX_RANK], stored[SW_MAX_RANK];
    for (int i = 0; i < axes->n; i++) wide[i] = i < more ? 1 : v->type.dims[i - more];
    sw_axes_apply(axes, wide, stored);
    /* Axes in front have extent 1: the order of the others is what must be right. */
    sw_axes inner = {.n = v->type.rank};
    int k = 0;
    for (int i = 0; i < axes->n; i++)
        if (axes->at[i] >= more) inner.at[k++] = (uint8_t)(axes->at[i] - more);
    int32_t x = sw__tfw_as(w, v, inner);
    if (x < 0) return -1;
    if (v->type.data && w->tensors[x].type.data) { /* another view of the constant */
        sw_tensor type = w->tensors[x].type;
        type.rank = axes->n;
        memcpy(type.dims, stored, sizeof stored);
        const char *name = sw_arena_printf(w->scratch, "%s/%zu", v->name, w->n_tensors);
        return name ? sw__tfw_tensor(w, name, &type) : sw__tfw_nomem(w);
    }
    return sw__tfw_reshape(w, x, sw__tfw_temp(w, w->tensors[x].type.dtype, axes->n, stored));
}

int32_t sw__tfw_out(sw_tfw *w, const sw_value *v, sw_axes axes) {
    sw_tensor type = {.dtype = v->type.dtype == SW_I64 ? SW_I32 : v->type.dtype, .rank = axes.n};
    sw_axes_apply(&axes, v->type.dims, type.dims);
    int32_t tensor = sw__tfw_tensor(w, v->name, &type);
    sw__tfw_holds(w, v, tensor, &axes);
    return tensor;
}

/* ---- Fused activations --------------------------------------------------------------------------------------------- */

static bool bound(const sw_node *node, int i, double standard, double *v) {
    *v = standard;
    if (i >= node->n_in || !node->in[i]) return true;
    if (!sw_value_is_const(node->in[i]) || sw_tensor_count(&node->in[i]->type) != 1) return false;
    *v = sw_tensor_float_at(&node->in[i]->type, 0);
    return true;
}

static int activation_of(const sw_node *node) {
    double low, high;
    if (node->op == SW_OP_Relu) return SW_TFL_ACT_RELU;
    if (node->op != SW_OP_Clip || !bound(node, 1, -INFINITY, &low) || !bound(node, 2, INFINITY, &high))
        return SW_TFL_ACT_NONE;
    if (low == 0 && high >= 3e38) return SW_TFL_ACT_RELU;
    if (low == 0 && high == 6) return SW_TFL_ACT_RELU6;
    return low == -1 && high == 1 ? SW_TFL_ACT_RELU_N1_TO_1 : SW_TFL_ACT_NONE;
}

int sw__tfw_fuse(sw_tfw *w, const sw_value **v) {
    const sw_node *reader = w->readers[(*v)->id];
    if (!reader || reader->in[0] != *v || (*v)->type.dtype != SW_F32) return SW_TFL_ACT_NONE;
    int activation = activation_of(reader);
    if (activation == SW_TFL_ACT_NONE) return activation;
    *v = reader->out[0];
    w->fused[reader->out[0]->id] = true;
    return activation;
}
