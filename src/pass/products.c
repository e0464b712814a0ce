/* Products with constant weights take what stands behind them: bias, activation and residual addition, which then need no way
 * to memory and back. Float32; for CPUs, whose kernels compute them (FusedProduct). */
#include "pass/pass.h"

/* A product and what is taken from behind it. */
typedef struct chain {
    sw_node *nodes[4]; /* the product first */
    int n;
    sw_value *weights, *bias;
    bool transposed;
    sw_activation act;
    sw_value *residual;
    bool before; /* the residual comes before the activation */
} chain;

static bool is_f32_const(const sw_value *value) {
    return value && sw_value_is_const(value) && value->type.dtype == SW_F32;
}

/* A constant with a number for each column: as a vector; NULL when it is another one. */
static sw_value *as_vector(sw_graph *graph, sw_value *value, int64_t columns, int rank) {
    if (!is_f32_const(value) || value->type.rank < 1 || value->type.rank > rank) return NULL;
    if (value->type.dims[value->type.rank - 1] != columns || sw_tensor_count(&value->type) != columns) return NULL;
    if (value->type.rank == 1) return value;
    sw_tensor vector = value->type;
    vector.rank = 1;
    vector.dims[0] = columns;
    return sw_graph_add_const(graph, value->name, &vector);
}

static int64_t columns_of(const chain *c) {
    return c->weights->type.dims[!c->transposed];
}

/* A product that a FusedProduct can be. */
static bool start(sw_graph *graph, sw_node *node, chain *c) {
    bool gemm = node->op == SW_OP_Gemm;
    if ((!gemm && node->op != SW_OP_MatMul) || !is_f32_const(node->in[1]) || node->in[1]->type.rank != 2) return false;
    if (node->in[0]->type.dtype != SW_F32 || node->in[0]->type.rank < 2) return false;
    if (gemm && (sw_node_int(node, "transA") || sw_node_float(node, "alpha") != 1)) return false;
    *c = (chain){.nodes = {node}, .n = 1, .weights = node->in[1], .act = {"none", 0, 0}};
    c->transposed = gemm && sw_node_int(node, "transB");
    if (node->n_in < 3 || !node->in[2]) return true;
    c->bias = as_vector(graph, node->in[2], columns_of(c), 2);
    return c->bias && sw_node_float(node, "beta") == 1;
}

static bool take_bias(sw_graph *graph, chain *c, const sw_node *add) {
    const sw_value *sum = c->nodes[c->n - 1]->out[0];
    if (c->bias || c->residual || c->act.name[0] != 'n' || add->op != SW_OP_Add) return false;
    c->bias = as_vector(graph, add->in[add->in[0] == sum ? 1 : 0], columns_of(c), sum->type.rank);
    return c->bias != NULL;
}

static bool take_activation(chain *c, const sw_node *node) {
    sw_activation found;
    if (c->act.name[0] != 'n') return false;
    if (node->op == SW_OP_Gelu && sw_node_string(node, "approximate")[0] == 'n')
        found = (sw_activation){"gelu", 0, 0};
    else if (!sw__match_activation(node, &found))
        return false;
    c->act = found;
    c->before = c->residual != NULL;
    return true;
}

static bool take_residual(chain *c, const sw_node *add) {
    if (c->residual) return false;
    c->residual = sw__match_residual(add, c->nodes[c->n - 1]->out[0]);
    return c->residual != NULL;
}

static void collect(sw_graph *graph, chain *c) {
    while (c->n < 4) {
        sw_node *reader = sw__only_reader(graph, c->nodes[c->n - 1]);
        if (!reader || (!take_bias(graph, c, reader) && !take_activation(c, reader) && !take_residual(c, reader)))
            break;
        c->nodes[c->n++] = reader;
    }
}

/* The node stands where the last of the chain stood: the residual is made by then. */
static sw_status fuse(sw_graph *graph, const chain *c, bool rough) {
    sw_node *product = c->nodes[0], *last = c->nodes[c->n - 1], *before = last->next;
    sw_value *in[4] = {product->in[0], c->weights, c->bias, c->residual}, *out = last->out[0];
    int n_in = c->residual ? 4 : c->bias ? 3 : 2;
    for (int i = 0; i < c->n; i++) sw_graph_remove_node(graph, c->nodes[i]);
    sw_node *fused = sw_graph_add_node(graph, before, SW_OP_FusedProduct, product->name, n_in, in, 1, &out);
    if (!fused) return SW_E_NOMEM;
    SW_TRY(sw_node_set_string(graph, fused, "activation", c->act.name));
    sw_node_set_int(fused, "transposed", c->transposed);
    sw_node_set_float(fused, "act_a", c->act.a);
    sw_node_set_float(fused, "act_b", c->act.b);
    sw_node_set_int(fused, "residual_before_act", c->before);
    sw_node_set_int(fused, "rough", rough && !sw_graph_is_output(graph, out));
    return SW_OK;
}

/* Product, turn to a map, and a map that is added: the sum is made before the turn, of the map's rows. */
static sw_status add_before_turn(sw_graph *graph, sw_node *product, bool *changed) {
    sw_node *turn = sw__only_reader(graph, product), *add = NULL;
    if (turn && sw__is_turn_to_map(turn) && turn->out[0]->type.layout == SW_CHANNELS_LAST)
        add = sw__only_reader(graph, turn);
    sw_value *map = add ? sw__match_residual(add, turn->out[0]) : NULL;
    if (!map || map->type.layout != SW_CHANNELS_LAST || add->out[0]->type.layout != SW_CHANNELS_LAST) return SW_OK;
    static const int64_t to_rows[4] = {0, 2, 3, 1};
    sw_value *rows = sw_graph_apply(graph, add, SW_OP_Transpose, turn->name, 1, &map);
    if (!rows) return SW_E_NOMEM;
    SW_TRY(sw_node_set_ints(graph, rows->producer, "perm", to_rows, 4));
    rows->type = product->out[0]->type;
    sw_value *sum = sw_graph_apply(graph, add, SW_OP_Add, add->name, 2, (sw_value *[]){product->out[0], rows});
    if (!sum) return SW_E_NOMEM;
    sum->type = rows->type;
    sw_value *out = add->out[0];
    sw_node *next = add->next;
    const sw_attr perm = *sw_node_attr(turn, "perm", SW_ATTR_INTS);
    const char *name = turn->name;
    sw_graph_remove_node(graph, add);
    sw_graph_remove_node(graph, turn);
    turn = sw_graph_add_node(graph, next, SW_OP_Transpose, name, 1, &sum, 1, &out);
    if (!turn) return SW_E_NOMEM;
    turn->attrs[0] = perm;
    *changed = true;
    return SW_OK;
}

/* Product, reshapes, and a value that is added: the sum is made before, of that value reshaped, which moves nothing. */
static sw_status add_before_reshape(sw_graph *graph, sw_node *product, bool *changed) {
    sw_node *reshape = sw__only_reader(graph, product), *add = reshape;
    while (add && (add->op == SW_OP_Reshape || add->op == SW_OP_Squeeze || add->op == SW_OP_Unsqueeze))
        add = add->out[0]->type.layout == SW_ROW_MAJOR ? sw__only_reader(graph, add) : NULL;
    if (!add || add == reshape || !sw_tensor_is_concrete(&product->out[0]->type)) return SW_OK;
    const sw_tensor *rows = &product->out[0]->type;
    sw_value *last = reshape->out[0];
    for (sw_node *next = sw__only_reader(graph, reshape); next != add; next = sw__only_reader(graph, next))
        last = next->out[0];
    sw_value *other = sw__match_residual(add, last);
    if (!other || other->type.layout != SW_ROW_MAJOR || rows->dtype != SW_F32) return SW_OK;
    sw_value *in[2] = {other, sw_graph_const_ints(graph, "dims", rows->dims, rows->rank)};
    in[1] = in[1] ? sw_graph_apply(graph, add, SW_OP_Reshape, add->name, 2, in) : NULL;
    if (!in[1]) return SW_E_NOMEM;
    in[1]->type = *rows;
    in[0] = product->out[0];
    sw_value *sum = sw_graph_apply(graph, add, SW_OP_Add, add->name, 2, in), *out = add->out[0];
    in[1] = sw_graph_const_ints(graph, "dims", out->type.dims, out->type.rank);
    if (!sum || !in[1]) return SW_E_NOMEM;
    in[0] = sum;
    sum->type = *rows;
    sw_node *next = add->next;
    const char *name = add->name;
    sw_graph_remove_node(graph, add);
    for (sw_node *node = last->producer; node != product;) {
        sw_node *before = node->in[0]->producer;
        sw_graph_remove_node(graph, node);
        node = before;
    }
    *changed = true;
    return sw_graph_add_node(graph, next, SW_OP_Reshape, name, 2, in, 1, &out) ? SW_OK : SW_E_NOMEM;
}

sw_status sw__pass_products(sw_graph *graph, bool rough) {
    for (sw_node *node = graph->first, *next; node; node = next) {
        sw_node *prev = node->prev;
        chain c;
        next = node->next;
        if (!start(graph, node, &c)) continue;
        collect(graph, &c);
        bool turned = false;
        if (!c.residual) SW_TRY(add_before_turn(graph, c.nodes[c.n - 1], &turned));
        if (!c.residual && !turned) SW_TRY(add_before_reshape(graph, c.nodes[c.n - 1], &turned));
        if (turned) collect(graph, &c);
        if (c.n == 1 && !rough) continue;
        SW_TRY(fuse(graph, &c, rough));
        next = prev ? prev->next : graph->first; /* what followed may be part of the chain */
        if (next && next->op == SW_OP_FusedProduct) next = next->next;
    }
    return SW_OK;
}
