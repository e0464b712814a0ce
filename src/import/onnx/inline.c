/* Calls of the model's own functions and branches of `If`, put in place of the node. */
#include <string.h>

#include "import/onnx/model.h"

/* A scope for what node `d` contains. */
static sw_status open_scope(sw__draft *d, const sw__scope *parent, sw__scope *scope) {
    enum { LONG = 200 }; /* nested calls must not make names longer and longer */
    const char *name = *d->proto->name ? d->proto->name : d->proto->op, *outer = d->scope->prefix;
    *scope = (sw__scope){.parent = parent, .depth = d->scope->depth + 1};
    if (scope->depth > SW__ONNX_MAX_DEPTH)
        return sw__draft_fail(d, SW_E_LIMIT, "calls and branches are nested more than %d deep", SW__ONNX_MAX_DEPTH);
    if (!*name || strlen(outer) + strlen(name) > LONG)
        scope->prefix = "inlined";
    else
        scope->prefix = *outer ? sw_arena_printf(d->im->arena, "%s/%s", outer, name) : name;
    scope->outer = SW_ARENA_ARRAY(d->im->arena, const char *, d->proto->n_out);
    return scope->prefix && scope->outer ? SW_OK : sw__onnx_nomem(d->im);
}

/* Inner values that are outputs get the names of the node's outputs at once. */
static sw_status rename_output(sw__draft *d, sw__scope *scope, int i, const char *inner) {
    if (!*d->proto->out[i]) return SW_OK;
    bool fresh;
    scope->outer[i] = sw__onnx_name(d->im, d->scope, d->proto->out[i]);
    if (!scope->outer[i] ||
        sw__names_add(&scope->renamed, d->im->arena, inner, (void *)(uintptr_t)scope->outer[i], &fresh) != SW_OK)
        return sw__onnx_nomem(d->im);
    return SW_OK;
}

/* Hands an output to the outer scope. One that was not made under the outer name (an input or outer value passed
 * through, one value given twice) goes through an Identity. */
static sw_status hand_out(sw__draft *d, const sw__scope *scope, int i, const char *inner) {
    if (!*d->proto->out[i]) return SW_OK;
    sw_value *value, *out;
    void *name;
    if (!sw__onnx_find(scope, inner, &value) || !value || value == &d->im->dropped)
        return sw__draft_fail(d, SW_E_MODEL, "its output %d is '%.160s' inside, which nothing makes", i + 1, inner);
    if (sw__onnx_is_sequence(value)) return sw__onnx_bind(d->im, d->scope, d->proto->out[i], value);
    bool first = sw__names_get(&scope->renamed, inner, &name) && name == scope->outer[i];
    if (first && sw__names_get(&scope->values, inner, NULL) && strcmp(value->name, scope->outer[i]) == 0)
        return sw__onnx_bind(d->im, d->scope, d->proto->out[i], value);
    SW_TRY(sw__onnx_output(d, i, &out));
    sw_node *node = sw_graph_add_node(d->im->graph, NULL, SW_OP_Identity, "", 1, &value, 1, &out);
    return node ? sw__onnx_settle(d->im, node) : sw__onnx_nomem(d->im);
}

/* ---- Functions ------------------------------------------------------------------------------------------- */

static bool has_attr(const sw__onnx_attr *attrs, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(attrs[i].name, name) == 0) return true;
    return false;
}

/* What the call gives, then defaults. An attribute with neither is absent in the nodes that refer to it. */
static sw_status give_attrs(sw__draft *d, const sw__onnx_function *fn, sw__scope *scope) {
    sw__onnx_attr *attrs = SW_ARENA_ARRAY(d->im->arena, sw__onnx_attr, d->n_attrs + fn->n_defaults);
    if (!attrs) return sw__onnx_nomem(d->im);
    int n = 0;
    for (int i = 0; i < d->n_attrs; i++) attrs[n++] = d->attrs[i];
    for (int i = 0; i < fn->n_defaults; i++)
        if (!has_attr(d->attrs, d->n_attrs, fn->defaults[i].name)) attrs[n++] = fn->defaults[i];
    scope->attrs = attrs;
    scope->n_attrs = n;
    return SW_OK;
}

static sw_status give_inputs(sw__draft *d, const sw__onnx_function *fn, sw__scope *scope) {
    if (d->n_in > fn->n_in || d->proto->n_out > fn->n_out)
        return sw__draft_fail(d, SW_E_MODEL, "it has %d inputs and %d outputs, the function has %d and %d", d->n_in,
                              d->proto->n_out, fn->n_in, fn->n_out);
    for (int i = 0; i < fn->n_in; i++) SW_TRY(sw__onnx_bind(d->im, scope, fn->in[i], i < d->n_in ? d->in[i] : NULL));
    for (int i = 0; i < d->proto->n_out; i++) SW_TRY(rename_output(d, scope, i, fn->out[i]));
    return SW_OK;
}

sw_status sw__onnx_call(sw__draft *d, sw__onnx_function *fn) {
    sw__scope scope;
    char what[200];
    if (fn->active) return sw__draft_fail(d, SW_E_MODEL, "the function '%.160s' calls itself", fn->name);
    SW_TRY(sw__onnx_count_inlined(d->im, fn->n_in + fn->n_out + fn->n_defaults));
    SW_TRY(open_scope(d, NULL, &scope));
    scope.opsets = fn->opsets;
    scope.n_opsets = fn->n_opsets;
    scope.in_function = true;
    SW_TRY(give_attrs(d, fn, &scope));
    SW_TRY(give_inputs(d, fn, &scope));
    snprintf(what, sizeof what, "the function '%.160s'", fn->name);
    fn->active = true;
    SW_TRY(sw__onnx_nodes(d->im, &scope, &fn->body, what));
    fn->active = false;
    for (int i = 0; i < d->proto->n_out; i++) SW_TRY(hand_out(d, &scope, i, fn->out[i]));
    return SW_OK;
}

/* ---- If -------------------------------------------------------------------------------------------------- */

sw_status sw__onnx_find_branch(sw__draft *d, const char *name, sw__onnx_graph **branch) {
    SW_TRY(sw__onnx_find_graph(d, name, branch));
    if ((*branch)->n_outputs == (size_t)d->proto->n_out) return SW_OK;
    return sw__draft_fail(d, SW_E_MODEL, "its %s has %zu outputs, the node has %d", name, (*branch)->n_outputs,
                          d->proto->n_out);
}

static sw_status build_branch(sw__draft *d, sw__onnx_graph *branch) {
    sw__scope scope;
    SW_TRY(open_scope(d, d->scope, &scope));
    scope.opsets = d->scope->opsets;
    scope.n_opsets = d->scope->n_opsets;
    scope.in_function = d->scope->in_function;
    scope.attrs = d->scope->attrs;
    scope.n_attrs = d->scope->n_attrs;
    SW_TRY(sw__onnx_constants(d->im, &scope, branch));
    for (int i = 0; i < d->proto->n_out; i++) SW_TRY(rename_output(d, &scope, i, branch->outputs[i].name));
    SW_TRY(sw__onnx_nodes(d->im, &scope, &branch->body, "a branch"));
    for (int i = 0; i < d->proto->n_out; i++) SW_TRY(hand_out(d, &scope, i, branch->outputs[i].name));
    return SW_OK;
}

sw_status sw__onnx_if(sw__draft *d) {
    const sw_value *condition = d->n_in == 1 ? d->in[0] : NULL;
    if (!condition) return sw__draft_fail(d, SW_E_MODEL, "an If has one input; found: %d", d->n_in);
    if (!sw_value_is_const(condition)) return sw__onnx_if_node(d);
    if (condition->type.dtype != SW_BOOL || sw_tensor_count(&condition->type) != 1)
        return sw__draft_fail(d, SW_E_MODEL, "the condition is no single truth value");
    sw__onnx_graph *branch;
    SW_TRY(sw__onnx_find_branch(d, sw_tensor_int_at(&condition->type, 0) ? "then_branch" : "else_branch", &branch));
    return build_branch(d, branch);
}
