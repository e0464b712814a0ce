/* Float16 models compute in float32: their constants are widened, their inputs and outputs stay float16, with a Cast behind
 * the former and before the latter. Sums are then rounded once, and the fast kernels, which are float32, apply. Graphs in
 * which an attribute asks for float16, other than Cast's, stay as they are; so do those without a convolution or product,
 * which gain nothing. */
#include <string.h>

#include "base/half.h"
#include "pass/pass.h"

static bool is_half(const sw_value *v) {
    return v && v->type.dtype == SW_F16;
}

static int64_t onnx_type(sw_dtype dtype) {
    return dtype == SW_F16 ? 10 : 1;
}

static bool asks_for_half(const sw_node *node) {
    const sw_op_info *info = sw_op_get(node->op);
    for (int i = 0; i < info->n_attrs; i++) {
        const sw_attr *a = &node->attrs[i];
        const char *name = info->attrs[i].name;
        if (!a->set) continue;
        if (info->attrs[i].type == SW_ATTR_TENSOR && a->t->dtype == SW_F16) return true;
        bool names_type = strcmp(name, "to") == 0 || strstr(name, "dtype") || strcmp(name, "stash_type") == 0;
        if (info->attrs[i].type == SW_ATTR_INT && names_type && node->op != SW_OP_Cast && a->i == onnx_type(SW_F16))
            return true;
    }
    return false;
}

/* Whether there is something to gain, and nothing in the way. */
static bool is_wanted(const sw_graph *graph) {
    bool heavy = false;
    for (const sw_node *node = graph->first; node; node = node->next) {
        if (asks_for_half(node)) return false;
        bool product = node->op == SW_OP_Conv || node->op == SW_OP_ConvTranspose || node->op == SW_OP_MatMul ||
                       node->op == SW_OP_Gemm;
        heavy |= product && is_half(node->in[0]) && is_half(node->out[0]);
    }
    return heavy;
}

static sw_status widen_constant(sw_graph *graph, sw_value *v) {
    int64_t n = sw_tensor_count(&v->type);
    const uint16_t *from = v->type.data;
    float *to = sw_arena_alloc(graph->arena, (size_t)(n > 0 ? n : 1), sizeof *to);
    if (!to) return SW_E_NOMEM;
    for (int64_t i = 0; i < n; i++) to[i] = sw_f16_to_f32(from[i]);
    v->type.data = to;
    return SW_OK;
}

static sw_value *cast(sw_graph *graph, sw_node *before, sw_value *value, sw_dtype to) {
    sw_value *result = sw_graph_apply(graph, before, SW_OP_Cast, value->name, 1, &value);
    if (!result) return NULL;
    sw_node_set_int(result->producer, "to", onnx_type(to));
    result->type = value->type;
    result->type.dtype = to;
    return result;
}

static sw_status widen_input(sw_graph *graph, sw_value *input) {
    sw_value *wide = cast(graph, graph->first, input, SW_F32);
    if (!wide) return SW_E_NOMEM;
    for (sw_node *node = wide->producer->next; node; node = node->next)
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] == input) sw_node_set_input(node, i, wide);
    return SW_OK;
}

static bool is_input(const sw_graph *graph, const sw_value *v) {
    for (int i = 0; i < graph->n_inputs; i++)
        if (graph->inputs[i] == v) return true;
    return false;
}

static sw_status narrow_outputs(sw_graph *graph, size_t n_values) {
    for (int i = 0; i < graph->n_outputs; i++) {
        sw_value *output = graph->outputs[i];
        if (!is_half(output) || output->id >= n_values || is_input(graph, output)) continue;
        sw_value *narrow = cast(graph, NULL, output, SW_F16);
        if (!narrow) return SW_E_NOMEM;
        sw_graph_replace_output(graph, output, narrow);
    }
    return SW_OK;
}

/* Casts to float16 inside become casts to float32; those that change nothing then lose their readers. */
static void widen_casts(sw_graph *graph) {
    for (sw_node *node = graph->first; node; node = node->next) {
        if (node->op != SW_OP_Cast || sw_node_int(node, "to") != onnx_type(SW_F16) || !is_half(node->out[0])) continue;
        sw_node_set_int(node, "to", onnx_type(SW_F32));
    }
}

static void drop_casts(sw_graph *graph) {
    for (sw_node *node = graph->first; node; node = node->next)
        if (node->op == SW_OP_Cast && node->in[0]->type.dtype == SW_F32 && node->out[0]->type.dtype == SW_F32)
            (void)sw_graph_replace(graph, node->out[0], node->in[0]);
}

static sw_status widen(sw_graph *graph) {
    size_t n_values = graph->n_values;
    widen_casts(graph);
    SW_TRY(narrow_outputs(graph, n_values));
    for (size_t i = 0; i < n_values; i++) {
        sw_value *v = graph->values[i];
        if (!is_half(v) || is_input(graph, v)) continue;
        if (v->type.data) SW_TRY(widen_constant(graph, v));
        v->type.dtype = SW_F32;
    }
    for (int i = 0; i < graph->n_inputs; i++)
        if (is_half(graph->inputs[i])) SW_TRY(widen_input(graph, graph->inputs[i]));
    drop_casts(graph);
    return SW_OK;
}

sw_status sw__pass_half(sw_graph *graph, const sw_diag *diag) {
    if (!is_wanted(graph)) return SW_OK;
    SW_TRY(widen(graph));
    return sw__pass_dfl(graph, diag); /* which float16 was in the way of */
}

/* Ports lose the Cast that `widen` left there. */
static void widen_ports(sw_graph *graph) {
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        sw_value *from = node->in[0], *to = node->out[0];
        if (node->op != SW_OP_Cast) continue;
        if (is_half(from) && is_input(graph, from) && to->type.dtype == SW_F32 && from->uses == 1) {
            sw_graph_remove_node(graph, node);
            from->type.dtype = SW_F32;
            (void)sw_graph_replace(graph, to, from);
        } else if (from->type.dtype == SW_F32 && is_half(to) && sw_graph_is_output(graph, to) && from->producer &&
                   !sw_graph_is_output(graph, from)) {
            sw_graph_replace_output(graph, to, from);
        }
    }
}

sw_status sw_pass_float32(sw_graph *graph, bool *was_half) {
    *was_half = is_wanted(graph);
    if (!*was_half) return SW_OK;
    SW_TRY(widen(graph));
    widen_ports(graph);
    return SW_OK;
}
