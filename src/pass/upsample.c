/* A 1x1 convolution of a join with an enlarged map (the way down a feature pyramid) is linear: the enlarged part is convolved
 * before it is enlarged, on a quarter of the pixels, and added.
 *
 *     Conv(Concat(Resize(u), rest)) = Conv(rest) + Resize(Conv(u))
 *
 * Only where shapes are known: there `fuse` takes the addition into the convolution. */
#include <string.h>

#include "pass/pass.h"

/* Below so many channels the products saved do not pay for the map added. */
enum { LEAST_CHANNELS = 32 };

static bool is_known_map(const sw_value *v) {
    return v && v->type.rank == 4 && v->type.dtype == SW_F32 && !v->type.data && sw_tensor_is_concrete(&v->type);
}

/* Takes each pixel from one, and at least two from each: sizes or scales are constant. */
static bool enlarges(const sw_node *resize) {
    if (resize->op != SW_OP_Resize || strcmp(sw_node_string(resize, "mode"), "nearest") != 0) return false;
    if (!is_known_map(resize->in[0]) || !is_known_map(resize->out[0]) || resize->out[0]->uses != 1) return false;
    if (sw_node_attr(resize, "axes", SW_ATTR_INTS)->set || resize->n_in != 3) return false;
    const int64_t *from = resize->in[0]->type.dims, *to = resize->out[0]->type.dims;
    return sw_value_is_const(resize->in[2]) && from[0] == to[0] && from[1] == to[1] &&
           to[2] * to[3] >= 2 * from[2] * from[3];
}

static bool is_one(const sw_attr *a) {
    for (int i = 0; a->set && i < a->ints.n; i++)
        if (a->ints.v[i] != 1) return false;
    return true;
}

static bool is_plain_1x1(const sw_node *conv) {
    const sw_value *w = conv->in[1];
    const sw_attr *pads = sw_node_attr(conv, "pads", SW_ATTR_INTS);
    for (int i = 0; pads->set && i < pads->ints.n; i++)
        if (pads->ints.v[i] != 0) return false;
    return sw_value_is_const(w) && w->type.dtype == SW_F32 && w->type.rank == 4 && w->type.dims[2] == 1 &&
           w->type.dims[3] == 1 && sw_node_int(conv, "group") == 1 &&
           is_one(sw_node_attr(conv, "strides", SW_ATTR_INTS)) && is_known_map(conv->out[0]);
}

/* The join that the convolution alone reads, of known maps along the channels; else NULL. */
static sw_node *join_of(const sw_node *conv) {
    sw_node *join = conv->in[0]->producer;
    if (!join || join->op != SW_OP_Concat || join->n_in < 2 || join->out[0]->uses != 1) return NULL;
    int64_t axis = sw_node_int(join, "axis");
    for (int i = 0; i < join->n_in; i++)
        if (!is_known_map(join->in[i])) return NULL;
    return axis == 1 || axis == -3 ? join : NULL;
}

/* Weights of channels first .. first + n (kept: those; else all others). NULL when out of memory. */
static sw_value *weights_of(sw_graph *graph, const sw_value *w, int64_t first, int64_t n, bool kept) {
    int64_t rows = w->type.dims[0], all = w->type.dims[1], dims[4] = {rows, kept ? n : all - n, 1, 1};
    sw_value *part = sw_graph_new_const(graph, w->name, SW_F32, 4, dims);
    if (!part) return NULL;
    const float *from = w->type.data;
    float *to = part->type.data;
    for (int64_t m = 0; m < rows; m++)
        for (int64_t k = 0; k < all; k++)
            if ((k >= first && k < first + n) == kept) *to++ = from[m * all + k];
    return part;
}

/* All inputs of the join but number `left_out`, joined where they are several. */
static sw_value *rest_of(sw_graph *graph, sw_node *join, int left_out, sw_node *before) {
    if (join->n_in == 2) return join->in[1 - left_out];
    sw_value **in = sw_calloc(graph->allocator, (size_t)join->n_in, sizeof(sw_value *)), *rest = NULL;
    if (!in) return NULL;
    for (int i = 0, n = 0; i < join->n_in; i++)
        if (i != left_out) in[n++] = join->in[i];
    rest = sw_graph_apply(graph, before, SW_OP_Concat, join->name, join->n_in - 1, in);
    if (rest) sw_node_set_int(rest->producer, "axis", 1);
    sw_free(graph->allocator, in);
    return rest;
}

/* Rewrites the convolution, whose join's input `number` is enlarged. */
static sw_status split(sw_graph *graph, sw_node *conv, sw_node *join, int number, const sw_diag *diag) {
    sw_node *resize = join->in[number]->producer;
    int64_t first = 0, n = join->in[number]->type.dims[1];
    for (int i = 0; i < number; i++) first += join->in[i]->type.dims[1];
    sw_value *small = weights_of(graph, conv->in[1], first, n, true),
             *others = weights_of(graph, conv->in[1], first, n, false), *rest = rest_of(graph, join, number, conv),
             *bias = conv->n_in > 2 ? conv->in[2] : NULL;
    if (!small || !others || !rest) return SW_E_NOMEM;
    sw_value *low = sw_graph_apply(graph, conv, SW_OP_Conv, conv->name, 2, (sw_value *[]){resize->in[0], small});
    if (!low) return SW_E_NOMEM;
    sw_value *large =
        sw_graph_apply(graph, conv, SW_OP_Resize, resize->name, 3, (sw_value *[]){low, resize->in[1], resize->in[2]});
    if (!large) return SW_E_NOMEM;
    memcpy(large->producer->attrs, resize->attrs, (size_t)sw_op_get(SW_OP_Resize)->n_attrs * sizeof *resize->attrs);
    sw_value *high =
        sw_graph_apply(graph, conv, SW_OP_Conv, conv->name, bias ? 3 : 2, (sw_value *[]){rest, others, bias});
    if (!high) return SW_E_NOMEM;
    sw_value *out = conv->out[0], *parts[2] = {high, large};
    sw_node *after = conv->next, *nodes[] = {rest->producer, low->producer, large->producer, high->producer};
    const char *name = conv->name;
    sw_graph_remove_node(graph, conv);
    if (!sw_graph_add_node(graph, after, SW_OP_Add, name, 2, parts, 1, &out)) return SW_E_NOMEM;
    for (int i = 0; i < 4; i++)
        if (nodes[i] && !sw_tensor_is_concrete(&nodes[i]->out[0]->type)) SW_TRY(sw_node_infer(graph, nodes[i], diag));
    return SW_OK;
}

sw_status sw__pass_upsample(sw_graph *graph, const sw_diag *diag) {
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        sw_node *join = node->op == SW_OP_Conv && is_plain_1x1(node) ? join_of(node) : NULL;
        for (int i = 0; join && i < join->n_in; i++) {
            sw_node *resize = join->in[i]->producer;
            if (!resize || !enlarges(resize) || join->in[i]->type.dims[1] < LEAST_CHANNELS) continue;
            SW_TRY(split(graph, node, join, i, diag));
            break;
        }
    }
    return sw__pass_dead_code(graph, diag);
}
