/* A graph in float16: weights, and what is computed from them. Inputs and outputs stay float32 behind casts, unless asked
 * for; so do operators that have no float16 form (or where it would spoil the result), between casts. */
#include <math.h>
#include <string.h>

#include "export/onnx/onnx.h"

enum { ONNX_F32 = 1, ONNX_F16 = 10 };
static const float f16_most = 65504;

typedef struct halver {
    sw_graph *graph;
    sw_value **half, **full; /* by id of the value as it was: its form in the other precision, once it is asked for */
    size_t n;
} halver;

/* Operators that stay in float32. */
static bool is_blocked(sw_op op) {
    switch (op) {
    case SW_OP_QuantizeLinear:
    case SW_OP_DequantizeLinear:
    case SW_OP_DynamicQuantizeLinear:
    case SW_OP_QLinearMatMul:
    case SW_OP_QLinearConv:
    case SW_OP_MatMulInteger:
    case SW_OP_ConvInteger:
    case SW_OP_NonMaxSuppression:
    case SW_OP_RoiAlign:
    case SW_OP_MaxRoiPool:
    case SW_OP_MaxUnpool:
    case SW_OP_Range:
    case SW_OP_Unique:
    case SW_OP_CumSum:
    case SW_OP_CumProd:
    case SW_OP_IsInf:
    case SW_OP_Mod:
    case SW_OP_EyeLike:
    case SW_OP_BitCast:
    case SW_OP_DFT:
    case SW_OP_STFT:
    case SW_OP_MelWeightMatrix:
    case SW_OP_HannWindow:
    case SW_OP_HammingWindow:
    case SW_OP_BlackmanWindow:
        return true;
    default:
        return false;
    }
}

/* Inputs that are float32 in every precision: scales of Resize. */
static bool is_exempt(const sw_node *node, int i) {
    return node->op == SW_OP_Resize && i > 0;
}

static sw_value *cast(halver *h, sw_node *before, sw_value *value, int to, const char *suffix) {
    const char *name = sw_arena_printf(h->graph->arena, "%s_%s", value->name, suffix);
    sw_dtype dtype = to == ONNX_F16 ? SW_F16 : SW_F32;
    sw_value *out = name ? sw_graph_add_value(h->graph, name, dtype, value->type.rank, value->type.dims) : NULL;
    sw_node *node = out ? sw_graph_add_node(h->graph, before, SW_OP_Cast, name, 1, &value, 1, &out) : NULL;
    if (!node) return NULL;
    sw_node_set_int(node, "to", to);
    return out;
}

/* Numbers beyond float16 become its largest, so that masks of -1e9 stay finite. */
static sw_value *half_const(halver *h, const sw_value *value) {
    const char *name = sw_arena_printf(h->graph->arena, "%s_fp16", value->name);
    sw_value *half = name ? sw_graph_new_const(h->graph, name, SW_F16, value->type.rank, value->type.dims) : NULL;
    const float *from = value->type.data;
    for (int64_t i = 0, n = half ? sw_tensor_count(&value->type) : 0; i < n; i++) {
        float v = isfinite(from[i]) && fabsf(from[i]) > f16_most ? copysignf(f16_most, from[i]) : from[i];
        ((uint16_t *)half->type.data)[i] = sw_f32_to_f16(v);
    }
    return half;
}

/* The input in the precision that its reader wants; NULL: no memory. */
static sw_value *in_precision(halver *h, sw_node *reader, sw_value *value, sw_dtype want) {
    if (value->type.dtype == want || value->id >= h->n) return value;
    sw_value **form = want == SW_F16 ? &h->half[value->id] : &h->full[value->id];
    if (!*form && value->type.data) *form = half_const(h, value);
    if (!*form) *form = cast(h, reader, value, want == SW_F16 ? ONNX_F16 : ONNX_F32, want == SW_F16 ? "fp16" : "fp32");
    return *form;
}

static sw_status convert(halver *h, sw_node *node) {
    bool blocked = is_blocked(node->op), touched = false;
    for (int i = 0; i < node->n_in; i++) {
        sw_value *in = node->in[i];
        if (!in || (in->type.dtype != SW_F32 && in->type.dtype != SW_F16)) continue;
        bool full = blocked || is_exempt(node, i);
        sw_value *form = in_precision(h, node, in, full ? SW_F32 : SW_F16);
        if (!form) return SW_E_NOMEM;
        sw_node_set_input(node, i, form);
        touched |= !full;
    }
    if (node->op == SW_OP_Cast) {
        if (sw_node_int(node, "to") == ONNX_F32) sw_node_set_int(node, "to", ONNX_F16);
        touched = true;
    }
    for (int i = 0; touched && i < node->n_out; i++)
        if (node->out[i] && node->out[i]->type.dtype == SW_F32) node->out[i]->type.dtype = SW_F16;
    return SW_OK;
}

static sw_status convert_ports(halver *h, bool half_io) {
    sw_graph *graph = h->graph;
    sw_dtype want = half_io ? SW_F16 : SW_F32;
    for (int i = 0; i < graph->n_outputs; i++) {
        sw_value *out = graph->outputs[i];
        if ((out->type.dtype != SW_F32 && out->type.dtype != SW_F16) || out->type.dtype == want || !out->producer)
            continue;
        sw_value *fresh = cast(h, NULL, out, half_io ? ONNX_F16 : ONNX_F32, half_io ? "fp16" : "fp32");
        if (!fresh) return SW_E_NOMEM;
        sw_graph_replace_output(graph, out, fresh);
    }
    return SW_OK;
}

static sw_status convert_all(halver *h, bool half_io) {
    sw_graph *graph = h->graph;
    for (int i = 0; half_io && i < graph->n_inputs; i++)
        if (graph->inputs[i]->type.dtype == SW_F32) graph->inputs[i]->type.dtype = SW_F16;
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        SW_TRY(convert(h, node));
    }
    return convert_ports(h, half_io);
}

sw_status sw__onnx_to_half(sw_graph *graph, bool half_io, const sw_diag *diag) {
    for (const sw_node *node = graph->first; node; node = node->next)
        if (sw_op_is_control(node->op))
            return sw_export_refuse(node, "onnx", "graphs within are written in float32 only: leave out --half", diag);
    halver h = {.graph = graph, .n = graph->n_values};
    h.half = sw_calloc(graph->allocator, h.n + 1, sizeof *h.half);
    h.full = sw_calloc(graph->allocator, h.n + 1, sizeof *h.full);
    sw_status status = h.half && h.full ? convert_all(&h, half_io) : SW_E_NOMEM;
    if (status == SW_E_NOMEM) sw_fail(diag, status, NULL, NULL, "out of memory");
    sw_free(graph->allocator, h.half);
    sw_free(graph->allocator, h.full);
    return status;
}
