/* Reductions and rankings. */
#include <string.h>

#include "import/tflite/model.h"

/* Axes that are gone are dropped from the order; those behind move up. */
static sw_axes without(const sw_axes *axes, const bool *gone) {
    sw_axes left = {0};
    for (int i = 0; i < axes->n; i++) {
        if (gone[axes->at[i]]) continue;
        int before = 0;
        for (int k = 0; k < axes->at[i]; k++) before += gone[k];
        left.at[left.n++] = (uint8_t)(axes->at[i] - before);
    }
    return left;
}

/* The axes of input 1, of a tensor of `rank` axes; false with an error when they are not known. */
static bool read_axes(sw_tfl_node *n, int rank, bool *reduced) {
    int64_t v[2 * SW_MAX_RANK];
    int count;
    memset(reduced, 0, SW_MAX_RANK * sizeof *reduced);
    if (!sw__tfl_ints(n, 1, v, &count))
        return sw__tfl_refuse(n, SW_E_UNSUPPORTED, "axes that are no constant are not supported");
    for (int i = 0; i < count; i++) {
        int64_t axis = v[i] < 0 ? v[i] + rank : v[i];
        if (axis < 0 || axis >= rank)
            return sw__tfl_refuse(n, SW_E_MODEL, "axis %lld of %d axes", (long long)v[i], rank);
        reduced[axis] = true;
    }
    return true;
}

static bool over_the_map(const sw_axes *axes, const bool *reduced) {
    sw_axes first = sw_axes_channels_first(4);
    return sw_axes_equal(axes, &first) && !reduced[0] && reduced[1] && reduced[2] && !reduced[3];
}

static sw_value *reduced_value(sw_tfl_node *n, sw_value *x, const sw_axes *axes, const bool *reduced, bool keep) {
    int64_t list[SW_MAX_RANK];
    int count = 0;
    for (int i = 0; i < axes->n; i++)
        if (reduced[axes->at[i]]) list[count++] = i;
    if (n->arg == SW_OP_ReduceMean && keep && over_the_map(axes, reduced))
        return SW_TFL_APPLY(n, SW_OP_GlobalAveragePool, x); /* the form with fast kernels */
    sw_value *y = SW_TFL_APPLY(n, (sw_op)n->arg, x, sw__tfl_const_ints(n->m, list, count));
    sw__tfl_set_int(y, "keepdims", keep);
    sw__tfl_set_int(y, "noop_with_empty_axes", 1);
    return y;
}

static void reduction(sw_tfl_node *n) {
    sw_axes axes;
    bool reduced[SW_MAX_RANK], keep = sw_fb_u8(&n->options, 0, 0) != 0;
    sw__tfl_all_real(n);
    sw_value *x = sw__tfl_any(n, 0, &axes);
    if (!x || !read_axes(n, axes.n, reduced)) return;
    bool logic = n->code == SW_TFL_REDUCE_ANY || n->code == SW_TFL_REDUCE_ALL;
    if (logic) x = sw__tfl_cast(n->m, n->out[0]->name, x, SW_I32);
    bool global = n->arg == SW_OP_ReduceMean && over_the_map(&axes, reduced);
    sw_value *y = sw__tfl_settle(n->m, reduced_value(n, x, &axes, reduced, keep || global));
    if (!keep && global && y) y = sw__tfl_reshape(n->m, n->out[0]->name, y, y->type.dims, 2);
    sw__tfl_out_real(n, 0, y, keep ? axes : without(&axes, reduced)); /* the type of the output brings bool back */
}

static void arg_reduction(sw_tfl_node *n) {
    sw_axes axes;
    bool chosen[SW_MAX_RANK];
    sw__tfl_all_real(n);
    sw_value *x = sw__tfl_any(n, 0, &axes);
    if (!x || !read_axes(n, axes.n, chosen)) return;
    int axis = 0, count = 0;
    for (int i = 0; i < axes.n; i++)
        if (chosen[axes.at[i]]) axis = i, count++;
    if (count != 1) {
        sw__tfl_refuse(n, SW_E_MODEL, "it takes one axis, not %d", count);
        return;
    }
    sw_value *y = SW_TFL_APPLY(n, (sw_op)n->arg, x);
    sw__tfl_set_int(y, "axis", axis);
    sw__tfl_set_int(y, "keepdims", 0);
    sw__tfl_out(n, 0, y, without(&axes, chosen));
}

static void top_k(sw_tfl_node *n) {
    sw__tfl_all_real(n);
    sw_value *in[2] = {sw__tfl_settle(n->m, sw__tfl_plain(n, 0)), sw__tfl_settle(n->m, sw__tfl_list(n, 1))}, *out[2];
    if (!in[0] || !in[1]) return;
    for (int i = 0; i < 2; i++) {
        out[i] = sw_graph_add_value(n->m->graph, n->out[0]->name, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
        if (!out[i]) {
            sw__tfl_nomem(n->m);
            return;
        }
    }
    if (!sw_graph_add_node(n->m->graph, NULL, SW_OP_TopK, n->out[0]->name, 2, in, 2, out)) {
        sw__tfl_nomem(n->m);
        return;
    }
    sw__tfl_out_real(n, 0, out[0], sw_axes_plain(in[0]->type.rank));
    sw__tfl_out(n, 1, out[1], sw_axes_plain(in[0]->type.rank));
}

static void running_sum(sw_tfl_node *n) {
    sw__tfl_all_real(n);
    sw_value *x = sw__tfl_plain(n, 0), *axis = sw__tfl_plain(n, 1);
    sw_value *y = SW_TFL_APPLY(n, SW_OP_CumSum, x, axis);
    sw__tfl_set_int(y, "exclusive", sw_fb_u8(&n->options, 0, 0));
    sw__tfl_set_int(y, "reverse", sw_fb_u8(&n->options, 1, 0));
    if (x) sw__tfl_out_real(n, 0, y, sw_axes_plain(x->type.rank));
}

const sw_tfl_row sw__tfl_reduce[] = {
    {SW_TFL_MEAN, reduction, SW_OP_ReduceMean},
    {SW_TFL_SUM, reduction, SW_OP_ReduceSum},
    {SW_TFL_REDUCE_MAX, reduction, SW_OP_ReduceMax},
    {SW_TFL_REDUCE_MIN, reduction, SW_OP_ReduceMin},
    {SW_TFL_REDUCE_PROD, reduction, SW_OP_ReduceProd},
    {SW_TFL_REDUCE_ANY, reduction, SW_OP_ReduceMax},
    {SW_TFL_REDUCE_ALL, reduction, SW_OP_ReduceMin},
    {SW_TFL_ARG_MAX, arg_reduction, SW_OP_ArgMax},
    {SW_TFL_ARG_MIN, arg_reduction, SW_OP_ArgMin},
    {SW_TFL_TOPK_V2, top_k, 0},
    {SW_TFL_CUMSUM, running_sum, 0},
    {0, NULL, 0},
};
