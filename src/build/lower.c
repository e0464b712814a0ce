#include "build/build.h"

/* What is known while lowering: where each value of the graph is in the plan (-1: nowhere). */
typedef struct lowering {
    sw_graph *graph;
    sw_plan *plan;
    int32_t *ids;      /* by value id */
    int32_t *in, *out; /* room for the ports of a node */
} lowering;

static sw_status place(lowering *l, const sw_value *value) {
    return l->ids[value->id] >= 0 ? SW_OK : sw_plan_add_value(l->plan, value->name, &value->type, &l->ids[value->id]);
}

static sw_status lower_graph(sw_graph *graph, sw_plan **plan);

/* The attributes of a node whose graphs became plans. */
static sw_status lower_bodies(const lowering *l, const sw_node *node, const sw_attr **result) {
    const sw_op_info *info = sw_op_get(node->op);
    sw_attr *attrs = sw_arena_copy(l->plan->arena, node->attrs, (size_t)info->n_attrs * sizeof *attrs);
    if (!attrs) return SW_E_NOMEM;
    for (int i = 0; i < sw_op_bodies(node->op); i++) {
        sw_plan *child;
        const sw_body *body = attrs[i].body;
        SW_TRY(lower_graph(body->code, &child));
        SW_TRY(sw_plan_hold(l->plan, child, body->n_in, body->n_captured, &attrs[i].body));
    }
    *result = attrs;
    return SW_OK;
}

static sw_status lower_node(lowering *l, const sw_node *node) {
    if (!sw_node_is_read(node)) return SW_OK; /* kernels need somewhere to write */
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i]) SW_TRY(place(l, node->in[i]));
        l->in[i] = node->in[i] ? l->ids[node->in[i]->id] : -1;
    }
    for (int i = 0; i < node->n_out; i++) {
        bool wanted = node->out[i] && node->out[i]->uses > 0;
        if (wanted) SW_TRY(place(l, node->out[i]));
        l->out[i] = wanted ? l->ids[node->out[i]->id] : -1;
    }
    const sw_attr *attrs = node->attrs;
    if (sw_op_is_control(node->op)) SW_TRY(lower_bodies(l, node, &attrs));
    return sw_plan_add_step(l->plan, node->op, node->name, attrs, node->n_in, l->in, node->n_out, l->out);
}

/* Carries the homes over: values that are in the plan lie in the root's memory, which is in it too. */
static sw_status lower_homes(lowering *l) {
    const sw_graph *graph = l->graph;
    sw_home *homes = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *homes);
    if (!homes) return SW_E_NOMEM;
    sw_homes_find(graph, homes);
    for (size_t i = 0; i < graph->n_values; i++) {
        if (l->ids[i] < 0 || !homes[i].parent) continue;
        int64_t channel;
        const sw_value *root = sw_home_root(homes, graph->values[i], &channel);
        if (l->ids[root->id] >= 0) sw_plan_set_view(l->plan, l->ids[i], l->ids[root->id], channel);
    }
    sw_free(graph->allocator, homes);
    return SW_OK;
}

static sw_status lower_all(lowering *l) {
    const sw_graph *graph = l->graph;
    size_t ports = (size_t)(graph->n_inputs > graph->n_outputs ? graph->n_inputs : graph->n_outputs) + 1;
    for (const sw_node *node = graph->first; node; node = node->next) {
        if ((size_t)node->n_in > ports) ports = (size_t)node->n_in;
        if ((size_t)node->n_out > ports) ports = (size_t)node->n_out;
    }
    l->in = sw_calloc(graph->allocator, ports, sizeof *l->in);
    l->out = sw_calloc(graph->allocator, ports, sizeof *l->out);
    if (!l->in || !l->out) return SW_E_NOMEM;
    for (int i = 0; i < graph->n_inputs; i++) SW_TRY(place(l, graph->inputs[i]));
    for (const sw_node *node = graph->first; node; node = node->next) SW_TRY(lower_node(l, node));
    for (int i = 0; i < graph->n_inputs; i++) l->in[i] = l->ids[graph->inputs[i]->id];
    for (int i = 0; i < graph->n_outputs; i++) {
        SW_TRY(place(l, graph->outputs[i]));
        l->out[i] = l->ids[graph->outputs[i]->id];
    }
    SW_TRY(sw_plan_set_ports(l->plan, l->in, graph->n_inputs, l->out, graph->n_outputs));
    SW_TRY(lower_homes(l));
    for (size_t i = 0; i < graph->n_meta; i++)
        SW_TRY(sw_plan_add_meta(l->plan, graph->meta[i].key, graph->meta[i].value));
    return SW_OK;
}

static void destroy_graph(void *graph) {
    sw_graph_destroy(graph);
}

/* The plan still reads constants of the graph. */
static sw_status lower_graph(sw_graph *graph, sw_plan **result) {
    lowering l = {.graph = graph, .plan = sw_plan_create(graph->allocator)};
    l.ids = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *l.ids);
    sw_status status = SW_E_NOMEM;
    if (l.plan && l.ids) {
        for (size_t i = 0; i < graph->n_values; i++) l.ids[i] = -1;
        status = lower_all(&l);
    }
    sw_free(graph->allocator, l.ids);
    sw_free(graph->allocator, l.in);
    sw_free(graph->allocator, l.out);
    if (status == SW_OK)
        *result = l.plan;
    else
        sw_plan_unref(l.plan);
    return status;
}

sw_status sw_plan_lower(sw_graph *graph, const sw_diag *diag, sw_plan **result) {
    sw_plan *plan;
    sw_status status = lower_graph(graph, &plan);
    if (status == SW_OK && (status = sw_arena_cleanup(plan->arena, destroy_graph, graph)) != SW_OK) sw_plan_unref(plan);
    if (status == SW_OK) {
        *result = plan;
        return SW_OK;
    }
    return sw_fail(diag, status, NULL, NULL, "the model could not be lowered: %s", sw_status_text(status));
}
