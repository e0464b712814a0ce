/* The order of nodes: ONNX asks for one in which values are made before they are used; some writers do not keep it. */
#include <string.h>

#include "import/onnx/model.h"

typedef struct deps {
    sw__onnx *im;
    sw__onnx_body *body;
    size_t *start;  /* n + 1: node i needs need[start[i]] to need[start[i + 1]] */
    uint32_t *need; /* NULL while they are being counted */
    size_t n;
} deps;

static sw_status find_makers(sw__onnx *im, sw__onnx_body *body, const char *what) {
    for (size_t i = 0; i < body->n; i++) {
        sw__onnx_node *node = &body->nodes[i];
        for (int k = 0; k < node->n_out; k++) {
            if (!*node->out[k]) continue;
            bool fresh;
            if (sw__names_add(&body->made, im->arena, node->out[k], node, &fresh) != SW_OK) return sw__onnx_nomem(im);
            if (fresh) continue;
            void *first;
            sw__names_get(&body->made, node->out[k], &first);
            return sw__onnx_fail(
                im, SW_E_MODEL,
                "%s: the value '%.160s' is made twice, by node '%.80s' (%.80s) and by node '%.80s' (%.80s)", what,
                node->out[k], ((sw__onnx_node *)first)->name, ((sw__onnx_node *)first)->op, node->name, node->op);
        }
    }
    return SW_OK;
}

static void add_need(deps *d, const char *name) {
    void *maker;
    if (!*name || !sw__names_get(&d->body->made, name, &maker)) return;
    if (d->need) d->need[d->n] = (uint32_t)((sw__onnx_node *)maker - d->body->nodes);
    d->n++;
}

/* What a node reads: its inputs and all that its graphs read from outside. Names of inner values cannot be the same as
 * those of outer ones, so every name that this body makes is meant. */
static void add_needs(deps *d, const sw__onnx_node *node) {
    for (int i = 0; i < node->n_in; i++) add_need(d, node->in[i]);
    for (int i = 0; i < node->n_attrs; i++) {
        const sw__onnx_graph *inner = node->attrs[i].g;
        if (!inner) continue;
        for (size_t k = 0; k < inner->body.n; k++) add_needs(d, &inner->body.nodes[k]);
        for (size_t k = 0; k < inner->n_outputs; k++) add_need(d, inner->outputs[k].name);
    }
}

static sw_status find_needs(sw__onnx *im, deps *d) {
    sw__onnx_body *body = d->body;
    d->start = SW_ARENA_ARRAY(im->arena, size_t, body->n + 1);
    if (!d->start) return sw__onnx_nomem(im);
    for (size_t i = 0; i < body->n; i++) add_needs(d, &body->nodes[i]);
    uint32_t *need = SW_ARENA_ARRAY(im->arena, uint32_t, d->n);
    if (!need) return sw__onnx_nomem(im);
    d->need = need;
    d->n = 0;
    for (size_t i = 0; i < body->n; i++) {
        d->start[i] = d->n;
        add_needs(d, &body->nodes[i]);
    }
    d->start[body->n] = d->n;
    return SW_OK;
}

static bool in_order(const deps *d) {
    for (size_t i = 0; i < d->body->n; i++)
        for (size_t k = d->start[i]; k < d->start[i + 1]; k++)
            if (d->need[k] >= i) return false;
    return true;
}

/* Depth first from each node in turn, needs before the node: nodes that stand right keep their order. */
static sw_status order_nodes(sw__onnx *im, deps *d, const char *what) {
    enum { NEW, OPEN, DONE };
    size_t n = d->body->n, n_order = 0;
    uint8_t *state = SW_ARENA_ARRAY(im->arena, uint8_t, n);
    size_t *next = SW_ARENA_ARRAY(im->arena, size_t, n);
    uint32_t *stack = SW_ARENA_ARRAY(im->arena, uint32_t, n);
    uint32_t *order = SW_ARENA_ARRAY(im->arena, uint32_t, n);
    if (!state || !next || !stack || !order) return sw__onnx_nomem(im);
    memcpy(next, d->start, n * sizeof *next);
    for (size_t root = 0; root < n; root++) {
        if (state[root] != NEW) continue;
        size_t depth = 0;
        stack[depth++] = (uint32_t)root;
        state[root] = OPEN;
        while (depth) {
            uint32_t i = stack[depth - 1];
            if (next[i] == d->start[i + 1]) {
                state[i] = DONE;
                order[n_order++] = i;
                depth--;
                continue;
            }
            uint32_t needed = d->need[next[i]++];
            if (state[needed] == DONE) continue;
            const sw__onnx_node *node = &d->body->nodes[needed];
            if (state[needed] == OPEN)
                return sw__onnx_fail(im, SW_E_MODEL,
                                     "%s: nodes wait for each other in a circle, through node '%.80s' (%.80s)", what,
                                     *node->name ? node->name : node->out[0], node->op);
            state[needed] = OPEN;
            stack[depth++] = needed;
        }
    }
    d->body->order = order;
    return SW_OK;
}

sw_status sw__onnx_sort(sw__onnx *im, sw__onnx_body *body, const char *what) {
    if (body->sorted) return SW_OK;
    SW_TRY(find_makers(im, body, what));
    deps d = {.im = im, .body = body};
    SW_TRY(find_needs(im, &d));
    if (!in_order(&d)) SW_TRY(order_nodes(im, &d, what));
    body->sorted = true;
    return SW_OK;
}
