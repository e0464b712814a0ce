/* What each opset has: one row where an operator, attribute or input is younger than opset 13 (onnx/defs, since_version). */
#include <string.h>

#include "base/minifloat.h"
#include "base/pb.h"
#include "export/onnx/onnx.h"

/* ---- Tables -------------------------------------------------------------------------------------------------------- */

static const struct {
    sw_op op;
    int since;
} young_ops[] = {
    {SW_OP_AffineGrid, 20},
    {SW_OP_Attention, 23},
    {SW_OP_BitCast, 26},
    {SW_OP_BitwiseAnd, 18},
    {SW_OP_BitwiseNot, 18},
    {SW_OP_BitwiseOr, 18},
    {SW_OP_BitwiseXor, 18},
    {SW_OP_BlackmanWindow, 17},
    {SW_OP_CastLike, 15},
    {SW_OP_CenterCropPad, 18},
    {SW_OP_Col2Im, 18},
    {SW_OP_CumProd, 26},
    {SW_OP_DFT, 17},
    {SW_OP_DeformConv, 19},
    {SW_OP_Gelu, 20},
    {SW_OP_GridSample, 16},
    {SW_OP_HammingWindow, 17},
    {SW_OP_HannWindow, 17},
    {SW_OP_HardSwish, 14},
    {SW_OP_LayerNormalization, 17},
    {SW_OP_MelWeightMatrix, 17},
    {SW_OP_Mish, 18},
    {SW_OP_RMSNormalization, 23},
    {SW_OP_RotaryEmbedding, 23},
    {SW_OP_STFT, 17},
    {SW_OP_Swish, 24},
    {SW_OP_TensorScatter, 24},
    {SW_OP_Trilu, 14},
};

/* `op` SW_OP_COUNT: of every operator that has it. */
static const struct {
    sw_op op;
    const char *attr;
    int since;
} young_attrs[] = {
    {SW_OP_AveragePool, "dilations", 19},
    {SW_OP_LpPool, "dilations", 18},
    {SW_OP_LpPool, "ceil_mode", 18},
    {SW_OP_Resize, "axes", 18},
    {SW_OP_Resize, "antialias", 18},
    {SW_OP_Resize, "keep_aspect_ratio_policy", 18},
    {SW_OP_RoiAlign, "coordinate_transformation_mode", 16},
    {SW_OP_QuantizeLinear, "output_dtype", 21},
    {SW_OP_DequantizeLinear, "output_dtype", 23},
    {SW_OP_BatchNormalization, "training_mode", 14},
    {SW_OP_Split, "num_outputs", 18},
    {SW_OP_COUNT, "reduction", 16}, /* of ScatterND, ScatterElements: the losses are older */
    {SW_OP_COUNT, "saturate", 19},
    {SW_OP_COUNT, "round_mode", 24},
    {SW_OP_COUNT, "block_size", 21},
    {SW_OP_COUNT, "precision", 23},
    {SW_OP_COUNT, "layout", 14},
    {SW_OP_COUNT, "allowzero", 14},
    {SW_OP_COUNT, "noop_with_empty_axes", 18},
    {SW_OP_COUNT, "start", 15},
    {SW_OP_COUNT, "end", 15},
};

static bool is_loss(sw_op op) {
    return op == SW_OP_NegativeLogLikelihoodLoss || op == SW_OP_SoftmaxCrossEntropyLoss;
}

static int attr_since(sw_op op, const char *name) {
    if (is_loss(op) || (op == SW_OP_ReduceSum && !strcmp(name, "noop_with_empty_axes"))) return 0;
    for (size_t i = 0; i < sizeof young_attrs / sizeof *young_attrs; i++)
        if ((young_attrs[i].op == op || young_attrs[i].op == SW_OP_COUNT) && !strcmp(young_attrs[i].attr, name))
            return young_attrs[i].since;
    return 0;
}

bool sw_onnx_knows(sw_op op) {
    const sw_op_info *info = sw_op_get(op);
    return !*info->domain || op == SW_OP_Dfl;
}

/* ---- Inputs that were attributes ----------------------------------------------------------------------------------- */

static bool is_reduction(sw_op op) {
    return op >= SW_OP_ReduceSum && op <= SW_OP_ReduceSumSquare;
}

/* The input that is an attribute in `opset`, and its name there; -1: none. */
static int attr_input(const sw_node *node, int opset, const char **name) {
    *name = "axes";
    if (is_reduction(node->op) && node->op != SW_OP_ReduceSum && opset < 18) return 1;
    *name = "axis";
    return node->op == SW_OP_DFT && opset < 20 ? 2 : -1;
}

int sw__onnx_inputs(const sw_node *node, int opset) {
    const char *name;
    int i = attr_input(node, opset, &name);
    return i >= 0 && i < node->n_in ? i : node->n_in;
}

/* ---- Attributes out ------------------------------------------------------------------------------------------------ */

enum {
    TYPE_FLOAT = 1,
    TYPE_INT = 2,
    TYPE_STRING = 3,
    TYPE_TENSOR = 4,
    TYPE_FLOATS = 6,
    TYPE_INTS = 7,
    TYPE_STRINGS = 8
};

static bool is_default(const sw_attr_def *def, const sw_attr *attr) {
    if (!attr->set) return true;
    if (!def->has_default) return false;
    switch (def->type) {
    case SW_ATTR_INT:
        return attr->i == def->i;
    case SW_ATTR_FLOAT:
        return attr->f == def->f;
    case SW_ATTR_STRING:
        return !strcmp(attr->s, def->s);
    default:
        return false;
    }
}

/* Names of modes that opsets 16 to 19 spell otherwise. */
static const char *spelling(const sw_node *node, int opset, const char *text) {
    static const char *const names[][2] = {{"bilinear", "linear"}, {"bicubic", "cubic"}};
    for (int i = 0; node->op == SW_OP_GridSample && i < 2; i++)
        if (!strcmp(text, names[i][0]) || !strcmp(text, names[i][1])) return names[i][opset >= 20];
    return text;
}

static void put_tensor(sw_buf *a, const sw_tensor *t) {
    sw_buf m = sw_buf_make(a->allocator, 0);
    for (int i = 0; i < t->rank; i++) sw_pb_put_varint(&m, 1, (uint64_t)t->dims[i]);
    sw_pb_put_varint(&m, 2, (uint64_t)sw_dtype_onnx(t->dtype));
    sw_pb_put_bytes(&m, 9, t->data, (size_t)sw_tensor_bytes(t));
    sw_pb_put_bytes(a, 5, m.data, m.size);
    if (m.status != SW_OK) a->status = m.status;
    sw_buf_free(&m);
}

/* "Sigmoid,Tanh" as a list. */
static void put_words(sw_buf *a, const char *words) {
    for (const char *at = words; *at;) {
        size_t n = strcspn(at, ",");
        sw_pb_put_bytes(a, 9, at, n);
        at += n + (at[n] == ',');
    }
}

static int put_value(sw_buf *a, const sw_node *node, int opset, const sw_attr_def *def, const sw_attr *attr) {
    switch (def->type) {
    case SW_ATTR_INT:
        sw_pb_put_varint(a, 3, (uint64_t)attr->i);
        return TYPE_INT;
    case SW_ATTR_FLOAT:
        sw_pb_put_float(a, 2, attr->f);
        return TYPE_FLOAT;
    case SW_ATTR_STRING:
        if (!strcmp(def->name, "activations")) {
            put_words(a, attr->s);
            return TYPE_STRINGS;
        }
        sw_pb_put_text(a, 4, spelling(node, opset, attr->s));
        return TYPE_STRING;
    case SW_ATTR_INTS:
        for (int i = 0; i < attr->ints.n; i++) sw_pb_put_varint(a, 8, (uint64_t)attr->ints.v[i]);
        return TYPE_INTS;
    case SW_ATTR_FLOATS:
        for (int i = 0; i < attr->floats.n; i++) sw_pb_put_float(a, 7, attr->floats.v[i]);
        return TYPE_FLOATS;
    default:
        put_tensor(a, attr->t);
        return TYPE_TENSOR;
    }
}

static void put_attr(sw_buf *buf, sw_buf *a, const char *name, int type) {
    sw_buf whole = sw_buf_make(buf->allocator, 0);
    sw_pb_put_text(&whole, 1, name);
    sw_buf_append(&whole, a->data, a->size);
    sw_pb_put_varint(&whole, 20, (uint64_t)type);
    sw_pb_put_bytes(buf, 5, whole.data, whole.size);
    if (whole.status != SW_OK || a->status != SW_OK) buf->status = SW_E_NOMEM;
    sw_buf_free(&whole);
    sw_buf_clear(a);
}

void sw__onnx_put_attrs(sw_buf *buf, const sw_node *node, int opset) {
    const sw_op_info *info = sw_op_get(node->op);
    sw_buf a = sw_buf_make(buf->allocator, 0);
    for (int i = sw_op_bodies(node->op); i < info->n_attrs; i++) { /* graphs are the writer's */
        const sw_attr_def *def = &info->attrs[i];
        const sw_attr *attr = &node->attrs[i];
        bool said = def->required || (node->op == SW_OP_Resize && !strcmp(def->name, "mode")); /* pnnx looks for it */
        if (is_default(def, attr) && !(said && attr->set)) continue;
        if (attr_since(node->op, def->name) > opset) continue; /* checked: of no consequence */
        int type = put_value(&a, node, opset, def, attr);
        put_attr(buf, &a, def->name, type);
    }
    const char *name;
    int at = attr_input(node, opset, &name);
    if (at >= 0 && at < node->n_in && node->in[at]) {
        const sw_tensor *t = &node->in[at]->type;
        bool list = !strcmp(name, "axes");
        for (int64_t i = 0; i < sw_tensor_count(t); i++)
            sw_pb_put_varint(&a, list ? 8 : 3, (uint64_t)sw_tensor_int_at(t, i));
        put_attr(buf, &a, name, list ? TYPE_INTS : TYPE_INT);
    }
    sw_buf_free(&a);
}

/* ---- Forms that changed -------------------------------------------------------------------------------------------- */

static sw_status nomem(const sw_diag *diag) {
    return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
}

static sw_status refuse(const sw_node *node, int opset, int since, const char *what, const sw_diag *diag) {
    char hint[64];
    snprintf(hint, sizeof hint, "--opset %d or above", since);
    return sw_fail(diag, SW_E_UNSUPPORTED, NULL, hint, "node '%s' (%s): opset %d has no %s", node->name,
                   sw_op_get(node->op)->name, opset, what);
}

/* Split into even parts, where `num_outputs` does not exist yet: by lengths. */
static sw_status split_lengths(sw_graph *graph, sw_node *node, const sw_diag *diag) {
    int64_t axis = sw_node_int(node, "axis"), lengths[256];
    if (node->n_in > 1 && node->in[1]) return SW_OK;
    if (node->n_out > 256) return SW_OK;
    for (int i = 0; i < node->n_out; i++) {
        const sw_tensor *t = node->out[i] ? &node->out[i]->type : NULL;
        if (!t || t->rank == SW_RANK_UNKNOWN) return SW_OK;
        lengths[i] = t->dims[axis < 0 ? axis + t->rank : axis];
        if (lengths[i] < 0) return SW_OK; /* even parts, as old opsets understand it */
    }
    const char *name = sw_arena_printf(graph->arena, "%s_split", node->out[0]->name);
    sw_value *value = name ? sw_graph_const_ints(graph, name, lengths, node->n_out) : NULL;
    sw_value **in = SW_ARENA_ARRAY(graph->arena, sw_value *, 2);
    if (!value || !in) return nomem(diag);
    in[0] = node->in[0];
    node->in = in;
    node->n_in = 2;
    sw_node_set_input(node, 1, value);
    return SW_OK;
}

/* Pad of some axes: of all, those with zeros. */
static sw_status pad_all_axes(sw_graph *graph, sw_node *node, int opset, const sw_diag *diag) {
    if (node->n_in < 4 || !node->in[3]) return SW_OK;
    const sw_value *pads = node->in[1], *axes = node->in[3];
    int rank = node->in[0]->type.rank;
    if (!sw_value_is_const(pads) || !sw_value_is_const(axes) || rank == SW_RANK_UNKNOWN)
        return refuse(node, opset, 18, "axes that are computed", diag);
    int64_t all[2 * SW_MAX_RANK] = {0}, n = sw_tensor_count(&axes->type);
    for (int64_t i = 0; i < n; i++) {
        int64_t axis = sw_tensor_int_at(&axes->type, i);
        axis += axis < 0 ? rank : 0;
        all[axis] = sw_tensor_int_at(&pads->type, i);
        all[axis + rank] = sw_tensor_int_at(&pads->type, i + n);
    }
    const char *name = sw_arena_printf(graph->arena, "%s_pads", node->out[0]->name);
    sw_value *value = name ? sw_graph_const_ints(graph, name, all, 2 * rank) : NULL;
    if (!value) return nomem(diag);
    sw_node_set_input(node, 1, value);
    sw_node_set_input(node, 3, NULL);
    return SW_OK;
}

/* RoiAlign before 16 is the mode that had no name yet. */
static bool is_old_roi_align(const sw_node *node, const char *attr) {
    return node->op == SW_OP_RoiAlign && !strcmp(attr, "coordinate_transformation_mode") &&
           !strcmp(sw_node_string(node, attr), "output_half_pixel");
}

/* The opset in which ONNX's operators began to take a type. */
static int type_since(sw_dtype dtype) {
    if (dtype == SW_F8_E8M0) return 24;
    if (dtype == SW_F4_E2M1) return 23;
    if (dtype == SW_I4 || dtype == SW_U4) return 21;
    return sw_dtype_is_minifloat(dtype) ? 19 : 0;
}

static sw_status check_type(const sw_node *node, const sw_value *value, int opset, const sw_diag *diag) {
    int since = value ? type_since(value->type.dtype) : 0;
    return since <= opset ? SW_OK : refuse(node, opset, since, sw_dtype_name(value->type.dtype), diag);
}

static sw_status check_node(sw_graph *graph, sw_node *node, int opset, const sw_diag *diag) {
    const sw_op_info *info = sw_op_get(node->op);
    for (int i = 0; i < node->n_in; i++) SW_TRY(check_type(node, node->in[i], opset, diag));
    for (int i = 0; i < node->n_out; i++) SW_TRY(check_type(node, node->out[i], opset, diag));
    for (int i = 0; i < sw_op_bodies(node->op); i++) SW_TRY(sw__onnx_check(node->attrs[i].body->code, opset, diag));
    if (*info->domain)
        return sw_export_refuse(node, "onnx", "it is an operator of Slipway, of which ONNX has none", diag);
    for (size_t i = 0; i < sizeof young_ops / sizeof *young_ops; i++)
        if (young_ops[i].op == node->op && young_ops[i].since > opset)
            return refuse(node, opset, young_ops[i].since, "such operator", diag);
    for (int i = 0; i < info->n_attrs; i++) {
        int since = attr_since(node->op, info->attrs[i].name);
        bool roi = is_old_roi_align(node, info->attrs[i].name);
        bool plain = is_default(&info->attrs[i], &node->attrs[i]) && node->op != SW_OP_RoiAlign;
        if (since <= opset || plain || roi || !strcmp(info->attrs[i].name, "num_outputs")) continue;
        char what[96];
        snprintf(what, sizeof what, "attribute '%s' of it", info->attrs[i].name);
        return refuse(node, opset, since, what, diag);
    }
    const char *name;
    int at = attr_input(node, opset, &name);
    if (at >= 0 && at < node->n_in && node->in[at] && !sw_value_is_const(node->in[at]))
        return refuse(node, opset, at == 1 ? 18 : 20, "axes that are computed", diag);
    if (node->op == SW_OP_Split && opset < 18) return split_lengths(graph, node, diag);
    return node->op == SW_OP_Pad && opset < 18 ? pad_all_axes(graph, node, opset, diag) : SW_OK;
}

sw_status sw__onnx_check(sw_graph *graph, int opset, const sw_diag *diag) {
    for (sw_node *node = graph->first; node; node = node->next) SW_TRY(check_node(graph, node, opset, diag));
    return SW_OK;
}
