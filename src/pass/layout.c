/* Layout: maps (rank 4, float32) are channels-last where fast kernels want them so, row-major elsewhere; a
 * Relayout stands at each border, one for all readers of a value. Convolutions, pools and resizing decide; joins,
 * splits and element-wise nodes follow their inputs. */
#include <string.h>

#include "kernels/nhwc/nhwc.h"
#include "pass/pass.h"

typedef struct layouter {
    sw_graph *graph;
    sw_value **twins; /* by value id: the same value in the other layout, once somebody wanted it */
} layouter;

static bool is_map(const sw_value *v) {
    return v && v->type.rank == 4 && v->type.dtype == SW_F32;
}
static bool is_last(const sw_value *v) {
    return v->type.layout == SW_CHANNELS_LAST;
}

/* ---- Who can work on channels-last maps ---------------------------------------------------------------------------- */

static bool spatial_2d(const sw_node *node) {
    return is_map(node->in[0]) && is_map(node->out[0]);
}

static bool plain_nearest(const sw_node *node) {
    return node->n_in < 4 && strcmp(sw_node_string(node, "mode"), "nearest") == 0 &&
           strcmp(sw_node_string(node, "nearest_mode"), "floor") == 0 &&
           strcmp(sw_node_string(node, "coordinate_transformation_mode"), "asymmetric") == 0 &&
           !sw_node_attr(node, "axes", SW_ATTR_INTS)->set && node->n_in == 3 && sw_value_is_const(node->in[2]) &&
           sw_tensor_count(&node->in[2]->type) == 4 && node->in[2]->type.dtype == SW_F32 &&
           ((float *)node->in[2]->type.data)[0] == 1 && ((float *)node->in[2]->type.data)[1] == 1 &&
           ((float *)node->in[2]->type.data)[2] > 0 && ((float *)node->in[2]->type.data)[3] > 0;
}

/* Nodes that are worth a change of layout. */
static bool decides(const sw_node *node) {
    switch (node->op) {
    case SW_OP_FusedConv:
        return spatial_2d(node) && sw_value_is_const(node->in[1]) &&
               (node->n_in < 3 || !node->in[2] || sw_value_is_const(node->in[2]));
    case SW_OP_MaxPool:
        return spatial_2d(node) && node->n_out == 1;
    case SW_OP_AveragePool:
    case SW_OP_GlobalAveragePool:
        return spatial_2d(node);
    case SW_OP_Resize:
        return spatial_2d(node) && plain_nearest(node);
    default:
        return false;
    }
}

static bool on_channels(const sw_node *node) {
    int64_t axis = sw_node_int(node, "axis");
    return axis == 1 || axis == -3;
}

/* A constant of one element is broadcast whatever the layout; one with a value per channel reads alike in both. */
static bool fits_as_operand(const sw_value *v) {
    if (!v || v->type.dtype != SW_F32) return false;
    if (is_map(v)) return !v->type.data || (v->type.dims[2] == 1 && v->type.dims[3] == 1);
    return sw_value_is_const(v) && sw_tensor_count(&v->type) == 1;
}

/* Nodes that work in either layout. */
static bool follows(const sw_node *node) {
    if (!node->in[0] || !node->out[0] || !is_map(node->out[0])) return false;
    switch (node->op) {
    case SW_OP_DepthToSpace:
        return is_map(node->in[0]) && strcmp(sw_node_string(node, "mode"), "DCR") == 0;
    case SW_OP_PixelShuffle:
    case SW_OP_ChannelShuffle:
        return is_map(node->in[0]);
    case SW_OP_Relu:
    case SW_OP_LeakyRelu:
    case SW_OP_Sigmoid:
    case SW_OP_HardSwish:
    case SW_OP_HardSigmoid:
        return true;
    case SW_OP_Swish:
        return sw_node_float(node, "alpha") == 1;
    case SW_OP_Add:
    case SW_OP_Sub:
    case SW_OP_Mul:
    case SW_OP_Div:
        return fits_as_operand(node->in[0]) && fits_as_operand(node->in[1]);
    case SW_OP_Concat:
        for (int i = 0; i < node->n_in; i++)
            if (!is_map(node->in[i]) || node->in[i]->type.data || node->in[i]->type.dims[1] < 0) return false;
        return on_channels(node);
    case SW_OP_Split:
        for (int i = 0; i < node->n_out; i++)
            if (!node->out[i] || !is_map(node->out[i]) || node->out[i]->type.dims[1] < 0) return false;
        return on_channels(node);
    default:
        return false;
    }
}

static bool reads_last(const sw_node *node) {
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] && is_last(node->in[i])) return true;
    return false;
}

/* ---- Borders ------------------------------------------------------------------------------------------------------- */

/* The value in the wanted layout: itself, or its twin, made before `before`. NULL when out of memory. */
static sw_value *in_layout(layouter *l, sw_value *value, sw_layout wanted, sw_node *before) {
    if (value->type.layout == wanted) return value;
    if (l->twins[value->id]) return l->twins[value->id];
    sw_value *twin = sw_graph_apply(l->graph, before, SW_OP_Relayout, value->name, 1, &value);
    if (!twin) return NULL;
    twin->type = value->type;
    twin->type.data = NULL;
    twin->type.layout = wanted;
    l->twins[value->id] = twin;
    return twin;
}

/* Convolutions read pictures as they come: few channels, and a kernel that gathers its input anyway. */
static bool reads_rows(const sw_node *node, int input) {
    if (node->op != SW_OP_FusedConv || input != 0 || !is_map(node->in[0])) return false;
    const int64_t *x = node->in[0]->type.dims, *w = node->in[1]->type.dims;
    return x[1] >= 1 && x[1] <= 4 && w[2] * w[3] > 1 && sw_node_int(node, "group") == 1;
}

/* Constants lie as kernels pack them, but for a map that a convolution adds to its result. */
static bool stays(const sw_node *node, int input) {
    return node->in[input]->type.data && !(node->op == SW_OP_FusedConv && input == 3);
}

static sw_status convert_inputs(layouter *l, sw_node *node, bool last) {
    for (int i = 0; i < node->n_in; i++) {
        sw_value *value = node->in[i];
        if (!value || !is_map(value) || stays(node, i) || (last && reads_rows(node, i) && !is_last(value))) continue;
        sw_value *fit = in_layout(l, value, last ? SW_CHANNELS_LAST : SW_ROW_MAJOR, node);
        if (!fit) return SW_E_NOMEM;
        if (fit != value) sw_node_set_input(node, i, fit);
    }
    return SW_OK;
}

static sw_status lay_out(layouter *l) {
    sw_graph *graph = l->graph;
    for (sw_node *node = graph->first; node; node = node->next) {
        bool last = decides(node) || (follows(node) && reads_last(node));
        if (last || reads_last(node)) SW_TRY(convert_inputs(l, node, last));
        for (int i = 0; last && i < node->n_out; i++)
            if (node->out[i]) node->out[i]->type.layout = SW_CHANNELS_LAST;
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        sw_value *output = graph->outputs[i];
        if (!is_last(output)) continue;
        sw_value *rows = in_layout(l, output, SW_ROW_MAJOR, NULL);
        if (!rows) return SW_E_NOMEM;
        if (!sw_graph_is_output(graph, rows)) sw_graph_replace_output(graph, output, rows);
    }
    return SW_OK;
}

sw_status sw__pass_layout(sw_graph *graph, const sw_diag *diag) {
    (void)diag;
    layouter l = {.graph = graph};
    l.twins = sw_calloc(graph->allocator, graph->n_values * 2 + 1, sizeof *l.twins);
    sw_status status = l.twins ? lay_out(&l) : SW_E_NOMEM;
    sw_free(graph->allocator, l.twins);
    return status;
}
