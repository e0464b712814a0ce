/* Chains of steps that only move whole vectors of the last axis, such as those that cut a map of tokens into shifted
 * windows, become one Gather. For GPUs, where each step is a kernel. Float32, shapes known. */
#include <string.h>

#include "pass/pass.h"

enum { MOST_UNITS = 1 << 18, MOST_STEPS = 256 };

/* Where the units of a value lie in another one: the last axis in pieces of `unit` elements. */
typedef struct units {
    sw_value *base;
    int32_t *at;
    int64_t n;
} units;

typedef struct finder {
    sw_graph *graph;
    int64_t unit;
    int moves, steps; /* steps that move, all that were looked at */
} finder;

static bool is_known(const sw_value *v) {
    return v && v->type.dtype == SW_F32 && v->type.layout == SW_ROW_MAJOR && v->type.rank > 0 &&
           sw_tensor_is_concrete(&v->type) && sw_tensor_count(&v->type) > 0;
}
static int64_t last_dim(const sw_value *v) {
    return v->type.dims[v->type.rank - 1];
}
static bool is_reshape(sw_op op) {
    return op == SW_OP_Reshape || op == SW_OP_Flatten || op == SW_OP_Squeeze || op == SW_OP_Unsqueeze;
}
static bool is_move(sw_op op) {
    return op == SW_OP_Transpose || op == SW_OP_Slice || op == SW_OP_Concat || op == SW_OP_Split;
}

/* A box of units: those at `start` + sum of i stride of `from`, written to `to` from `out` on with the strides of a value. */
static void copy_box(const int32_t *from, int64_t start, const int64_t *stride, int32_t *to, int64_t out,
                     const int64_t *out_stride, const int64_t *dims, int rank) {
    if (rank == 0) {
        to[out] = from[start];
        return;
    }
    for (int64_t i = 0; i < dims[0]; i++)
        copy_box(from, start + i * stride[0], stride + 1, to, out + i * out_stride[0], out_stride + 1, dims + 1,
                 rank - 1);
}

/* Dims in units, and their strides. */
static void measure(const sw_value *v, int64_t unit, int64_t *dims, int64_t *strides) {
    int64_t stride = 1;
    for (int i = v->type.rank - 1; i >= 0; stride *= dims[i--]) {
        dims[i] = i == v->type.rank - 1 ? v->type.dims[i] / unit : v->type.dims[i];
        strides[i] = stride;
    }
}

static units find_units(finder *f, sw_value *v);

static units room_for(finder *f, sw_value *v) {
    units u = {.base = v, .n = sw_tensor_count(&v->type) / f->unit};
    u.at = SW_ARENA_ARRAY(f->graph->arena, int32_t, (size_t)u.n);
    return u;
}

static units whole(finder *f, sw_value *v) {
    units u = room_for(f, v);
    for (int64_t i = 0; u.at && i < u.n; i++) u.at[i] = (int32_t)i;
    return u;
}

/* Where a slice begins, in units of its input, and its strides. */
static bool find_slice(const sw_node *node, int64_t *start, int64_t *strides) {
    const sw_tensor *x = &node->in[0]->type;
    for (int i = 1; i < node->n_in; i++)
        if (node->in[i] && !sw_value_is_const(node->in[i])) return false;
    const sw_value *axes = node->n_in > 3 ? node->in[3] : NULL, *steps = node->n_in > 4 ? node->in[4] : NULL;
    for (int64_t i = 0; i < sw_tensor_count(&node->in[1]->type); i++) {
        int64_t axis = axes ? sw_tensor_int_at(&axes->type, i) : i, from = sw_tensor_int_at(&node->in[1]->type, i),
                step = steps ? sw_tensor_int_at(&steps->type, i) : 1;
        if (axis < 0) axis += x->rank;
        if (axis < 0 || axis >= x->rank - 1 || step < 1) return false;
        if (from < 0) from += x->dims[axis];
        from = from < 0 ? 0 : from > x->dims[axis] ? x->dims[axis] : from;
        *start += from * strides[axis];
        strides[axis] *= step;
    }
    return true;
}

/* Steps with one input that choose or reorder. */
static bool find_choice(finder *f, sw_node *node, const sw_value *v, units *u) {
    int64_t dims[SW_MAX_RANK], in[SW_MAX_RANK], out_dims[SW_MAX_RANK], out[SW_MAX_RANK], start = 0;
    int rank = v->type.rank;
    measure(node->in[0], f->unit, dims, in);
    measure(v, f->unit, out_dims, out);
    if (node->op == SW_OP_Transpose) {
        const sw_attr *perm = sw_node_attr(node, "perm", SW_ATTR_INTS);
        int64_t turned[SW_MAX_RANK];
        if (!perm->set || perm->ints.n != rank || perm->ints.v[rank - 1] != rank - 1) return false;
        for (int i = 0; i < rank; i++) turned[i] = in[perm->ints.v[i]];
        memcpy(in, turned, sizeof in);
    } else if (node->op == SW_OP_Slice) {
        if (!find_slice(node, &start, in)) return false;
    } else {
        int64_t axis = sw_node_int(node, "axis");
        if (axis < 0) axis += rank;
        if (axis < 0 || axis >= rank - 1) return false;
        for (int i = 0; i < node->n_out && node->out[i] != v; i++) {
            if (!node->out[i] || !is_known(node->out[i])) return false;
            start += node->out[i]->type.dims[axis] * in[axis];
        }
    }
    units from = find_units(f, node->in[0]);
    if (!from.at || !u->at) return false;
    u->base = from.base;
    copy_box(from.at, start, in, u->at, 0, out, out_dims, rank);
    return true;
}

static bool find_join(finder *f, sw_node *node, const sw_value *v, units *u) {
    int64_t dims[SW_MAX_RANK], in[SW_MAX_RANK], all[SW_MAX_RANK], out[SW_MAX_RANK], at = 0,
                                                                                    axis = sw_node_int(node, "axis");
    sw_value *base = NULL;
    if (axis < 0) axis += v->type.rank;
    measure(v, f->unit, all, out);
    for (int i = 0; i < node->n_in; i++) {
        if (!is_known(node->in[i]) || last_dim(node->in[i]) % f->unit) return false;
        units part = find_units(f, node->in[i]);
        if (!part.at || !u->at || (base && part.base != base)) return false;
        base = part.base;
        measure(node->in[i], f->unit, dims, in);
        copy_box(part.at, 0, in, u->at, at, out, dims, v->type.rank);
        at += dims[axis] * out[axis];
    }
    u->base = base;
    return base != NULL;
}

static units find_units(finder *f, sw_value *v) {
    sw_node *node = v->producer;
    bool known = node && f->steps++ < MOST_STEPS && node->n_in > 0 && is_known(node->in[0]) &&
                 last_dim(node->in[0]) % f->unit == 0;
    if (known && is_reshape(node->op)) return find_units(f, node->in[0]);
    if (!known || !is_move(node->op)) return whole(f, v);
    units u = room_for(f, v);
    bool found = node->op == SW_OP_Concat ? find_join(f, node, v, &u) : find_choice(f, node, v, &u);
    f->moves += found;
    return found ? u : whole(f, v);
}

/* The last axis of what a chain begins with. */
static int64_t unit_of(const sw_node *node) {
    const sw_value *v = node->out[0];
    for (int i = 0; i < MOST_STEPS && v->producer && (is_move(v->producer->op) || is_reshape(v->producer->op)); i++) {
        if (!is_known(v->producer->in[0])) return 0;
        v = v->producer->in[0];
    }
    return last_dim(v);
}

static sw_value *reshape(sw_graph *graph, sw_node *before, sw_value *v, const int64_t *dims, int n) {
    sw_value *in[2] = {v, sw_graph_const_ints(graph, "dims", dims, n)};
    sw_value *out = v && in[1] ? sw_graph_apply(graph, before, SW_OP_Reshape, before->name, 2, in) : NULL;
    if (!out) return NULL;
    out->type = (sw_tensor){.dtype = SW_F32, .rank = n};
    memcpy(out->type.dims, dims, (size_t)n * sizeof *dims);
    return out;
}

static sw_status replace(finder *f, sw_node *node, const units *u) {
    sw_graph *graph = f->graph;
    int64_t rows[2] = {sw_tensor_count(&u->base->type) / f->unit, f->unit};
    sw_value *places = sw_graph_new_const(graph, "places", SW_I64, 1, &u->n), *out = node->out[0];
    if (!places) return SW_E_NOMEM;
    for (int64_t i = 0; i < u->n; i++) ((int64_t *)places->type.data)[i] = u->at[i];
    sw_value *in[2] = {reshape(graph, node, u->base, rows, 2), places};
    sw_value *moved = in[0] ? sw_graph_apply(graph, node, SW_OP_Gather, node->name, 2, in) : NULL;
    if (!moved) return SW_E_NOMEM;
    moved->type = (sw_tensor){.dtype = SW_F32, .rank = 2, .dims = {u->n, f->unit}};
    in[0] = moved;
    in[1] = sw_graph_const_ints(graph, "dims", out->type.dims, out->type.rank);
    sw_node *next = node->next;
    const char *name = node->name;
    sw_graph_remove_node(graph, node);
    return in[1] && sw_graph_add_node(graph, next, SW_OP_Reshape, name, 2, in, 1, &out) ? SW_OK : SW_E_NOMEM;
}

/* From the end on: the last of a chain takes all of it, and what nobody reads then goes. */
sw_status sw__pass_moves(sw_graph *graph) {
    for (sw_node *node = graph->last, *before; node; node = before) {
        before = node->prev;
        if (!is_move(node->op) && !is_reshape(node->op)) continue;
        if (!sw_node_is_read(node)) {
            sw_graph_remove_node(graph, node);
            continue;
        }
        finder f = {.graph = graph, .unit = 0};
        if (!is_move(node->op) || node->n_out != 1 || !is_known(node->out[0])) continue;
        f.unit = unit_of(node);
        if (f.unit % 8 || f.unit == 0 || last_dim(node->out[0]) % f.unit ||
            sw_tensor_count(&node->out[0]->type) / f.unit > MOST_UNITS)
            continue;
        units u = find_units(&f, node->out[0]);
        if (u.at && u.base != node->out[0] && f.moves > 1 && is_known(u.base)) SW_TRY(replace(&f, node, &u));
    }
    return SW_OK;
}
