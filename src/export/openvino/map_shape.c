/* Shapes and movement, reductions, rankings. */
#include <string.h>

#include "export/openvino/map.h"

static sw_tensor list_type(int64_t n) {
    return (sw_tensor){.dtype = SW_I64, .rank = 1, .dims = {n}};
}

static const char *flag(bool on) {
    return on ? "true" : "false";
}

/* A list of one number, or a scalar, as a scalar. */
static sw_ov_ref scalar(sw_ov_node *n, int i) {
    sw_ov_ref x = sw__ov_in(n, i);
    if (x.type.rank == 0) return x;
    return sw__ov_step(n, "Squeeze", 1, "", 1, &x, (sw_tensor){.dtype = x.type.dtype});
}

/* ---- Shapes -------------------------------------------------------------------------------------------------------- */

sw_status sw__ov_shape(sw_ov_node *n) {
    const sw_attr *end = sw_node_attr(n->node, "end", SW_ATTR_INT);
    const int64_t from = sw_node_int(n->node, "start"), to = end->set ? end->i : INT32_MAX, one = 1;
    sw_ov_ref x = sw__ov_in(n, 0);
    if (!from && !end->set) return sw__ov_finish(n, "ShapeOf", 3, "output_type=\"i64\"", 1, &x);
    sw_ov_ref all = sw__ov_step(n, "ShapeOf", 3, "output_type=\"i64\"", 1, &x, list_type(x.type.rank));
    sw_ov_ref in[] = {all, sw__ov_list(n, &from, 1), sw__ov_list(n, &to, 1), sw__ov_list(n, &one, 1)};
    return sw__ov_finish(n, "Slice", 8, "", 4, in);
}

/* Reshape, too. Flatten: the first `axis` dims in one, the others in one. */
sw_status sw__ov_flatten(sw_ov_node *n) {
    const sw_tensor *x = &n->node->in[0]->type;
    if (n->node->op == SW_OP_Reshape) {
        bool copies = !sw_node_int(n->node, "allowzero");
        return sw__ov_finish(n, "Reshape", 1, copies ? "special_zero=\"true\"" : "special_zero=\"false\"", 2,
                             (sw_ov_ref[]){sw__ov_in(n, 0), sw__ov_in(n, 1)});
    }
    int64_t axis = sw_node_int(n->node, "axis"), dims[2] = {1, -1};
    if (x->rank == SW_RANK_UNKNOWN) return sw__ov_refuse(n, "its rank is not known");
    axis += axis < 0 ? x->rank : 0;
    bool known = true, rest_known = true;
    for (int64_t k = 0; k < axis; k++) known &= x->dims[k] >= 0, dims[0] *= x->dims[k];
    if (axis == 1) dims[0] = 0, known = true; /* copied */
    if (!known) {
        dims[0] = -1, dims[1] = 1;
        for (int64_t k = axis; k < x->rank; k++) rest_known &= x->dims[k] >= 0, dims[1] *= x->dims[k];
    }
    if (!rest_known) return sw__ov_refuse(n, "its dims on both sides of the axis are open");
    sw_ov_ref in[] = {sw__ov_in(n, 0), sw__ov_list(n, dims, 2)};
    return sw__ov_finish(n, "Reshape", 1, axis == 1 ? "special_zero=\"true\"" : "special_zero=\"false\"", 2, in);
}

sw_status sw__ov_transpose(sw_ov_node *n) {
    const sw_attr *perm = sw_node_attr(n->node, "perm", SW_ATTR_INTS);
    int64_t reversed[SW_MAX_RANK];
    int rank = perm->set ? perm->ints.n : n->node->in[0]->type.rank;
    if (rank == SW_RANK_UNKNOWN) return sw__ov_refuse(n, "its rank is not known");
    for (int k = 0; k < rank; k++) reversed[k] = rank - 1 - k;
    sw_ov_ref in[] = {sw__ov_in(n, 0), sw__ov_list(n, perm->set ? perm->ints.v : reversed, rank)};
    return sw__ov_finish(n, "Transpose", 1, "", 2, in);
}

sw_status sw__ov_split(sw_ov_node *n) {
    const sw_node *node = n->node;
    int64_t axis = sw_node_int(node, "axis"), lengths[SW_OV_MAX_PORTS];
    sw_ov_ref in[3] = {sw__ov_in(n, 0), sw__ov_list(n, &axis, -1)};
    if (node->n_out > SW_OV_MAX_PORTS) return sw__ov_refuse(n, "too many outputs");
    if (sw__ov_has(n, 1)) {
        in[2] = sw__ov_in(n, 1);
        return sw__ov_finish(n, "VariadicSplit", 1, "", 3, in);
    }
    bool known = true, even = true;
    for (int i = 0; i < node->n_out; i++) {
        const sw_tensor *t = node->out[i] ? &node->out[i]->type : NULL;
        lengths[i] = t && t->rank > 0 ? t->dims[axis < 0 ? axis + t->rank : axis] : SW_DIM_UNKNOWN;
        known &= lengths[i] >= 0;
        even &= lengths[i] == lengths[0];
    }
    if (even || !known) return sw__ov_finish(n, "Split", 1, sw__ov_text(n, "num_splits=\"%d\"", node->n_out), 2, in);
    in[2] = sw__ov_list(n, lengths, node->n_out);
    return sw__ov_finish(n, "VariadicSplit", 1, "", 3, in);
}

sw_status sw__ov_slice(sw_ov_node *n) {
    const sw_tensor *starts = &n->node->in[1]->type;
    int64_t ones[SW_MAX_RANK], count = starts->rank == 1 ? starts->dims[0] : SW_DIM_UNKNOWN;
    sw_ov_ref in[5] = {sw__ov_in(n, 0), sw__ov_in(n, 1), sw__ov_in(n, 2)};
    if (!sw__ov_has(n, 4) && (count < 0 || count > SW_MAX_RANK))
        return sw__ov_refuse(n, "the number of its axes is not known");
    for (int64_t i = 0; i < count && i < SW_MAX_RANK; i++) ones[i] = 1;
    in[3] = sw__ov_has(n, 4) ? sw__ov_in(n, 4) : sw__ov_list(n, ones, (int)count);
    if (sw__ov_has(n, 3)) in[4] = sw__ov_in(n, 3);
    return sw__ov_finish(n, "Slice", 8, "", sw__ov_has(n, 3) ? 5 : 4, in);
}

sw_status sw__ov_pad(sw_ov_node *n) {
    const sw_tensor *pads = sw__ov_known(n, 1), *axes = sw__ov_known(n, 3), *x = &n->node->in[0]->type;
    const char *mode = sw_node_string(n->node, "mode");
    if (!pads || (sw__ov_has(n, 3) && !axes) || x->rank == SW_RANK_UNKNOWN || !strcmp(mode, "wrap"))
        return sw__ov_refuse(n, "pads that are computed, and mode wrap, are not supported in OpenVINO files");
    int64_t before[SW_MAX_RANK] = {0}, after[SW_MAX_RANK] = {0};
    int64_t half = sw_tensor_count(pads) / 2;
    for (int64_t i = 0; i < half; i++) {
        int64_t axis = axes ? sw_tensor_int_at(axes, i) : i;
        axis += axis < 0 ? x->rank : 0;
        before[axis] = sw_tensor_int_at(pads, i);
        after[axis] = sw_tensor_int_at(pads, i + half);
    }
    sw_ov_ref in[4] = {sw__ov_in(n, 0), sw__ov_list(n, before, x->rank), sw__ov_list(n, after, x->rank)};
    bool value = sw__ov_has(n, 2) && !strcmp(mode, "constant");
    if (value) in[3] = scalar(n, 2);
    return sw__ov_finish(n, "Pad", 12, sw__ov_text(n, "pad_mode=\"%s\"", mode), value ? 4 : 3, in);
}

sw_status sw__ov_depth_space(sw_ov_node *n) {
    bool to_space = n->node->op == SW_OP_DepthToSpace;
    bool columns = to_space && !strcmp(sw_node_string(n->node, "mode"), "CRD");
    const char *data = sw__ov_text(n, "mode=\"%s\" block_size=\"%lld\"", columns ? "depth_first" : "blocks_first",
                                   (long long)sw_node_int(n->node, "blocksize"));
    sw_ov_ref x = sw__ov_in(n, 0);
    return sw__ov_finish(n, to_space ? "DepthToSpace" : "SpaceToDepth", 1, data, 1, &x);
}

/* ---- By index ------------------------------------------------------------------------------------------------------ */

sw_status sw__ov_gather(sw_ov_node *n) {
    const sw_node *node = n->node;
    sw_ov_ref in[3] = {sw__ov_in(n, 0), sw__ov_in(n, 1)};
    if (node->op == SW_OP_Gather) {
        const int64_t axis = sw_node_int(node, "axis");
        in[2] = sw__ov_list(n, &axis, -1);
        return sw__ov_finish(n, "Gather", 8, "batch_dims=\"0\"", 3, in);
    }
    if (node->op == SW_OP_GatherElements)
        return sw__ov_finish(n, "GatherElements", 6,
                             sw__ov_text(n, "axis=\"%lld\"", (long long)sw_node_int(node, "axis")), 2, in);
    if (node->op == SW_OP_GatherND)
        return sw__ov_finish(n, "GatherND", 8,
                             sw__ov_text(n, "batch_dims=\"%lld\"", (long long)sw_node_int(node, "batch_dims")), 2, in);
    if (node->op == SW_OP_CumSum)
        return sw__ov_finish(n, "CumSum", 3,
                             sw__ov_text(n, "exclusive=\"%s\" reverse=\"%s\"", flag(sw_node_int(node, "exclusive")),
                                         flag(sw_node_int(node, "reverse"))),
                             2, (sw_ov_ref[]){in[0], scalar(n, 1)});
    const char *reduction = sw_node_string(node, "reduction");
    const char *ours = !strcmp(reduction, "add") ? "sum" : !strcmp(reduction, "mul") ? "prod" : reduction;
    in[2] = sw__ov_in(n, 2);
    return sw__ov_finish(n, "ScatterNDUpdate", 15, sw__ov_text(n, "reduction=\"%s\"", ours), 3, in);
}

sw_status sw__ov_scatter_elements(sw_ov_node *n) {
    const char *reduction = sw_node_string(n->node, "reduction");
    const char *ours = !strcmp(reduction, "add") ? "sum" : !strcmp(reduction, "mul") ? "prod" : reduction;
    const int64_t axis = sw_node_int(n->node, "axis");
    sw_ov_ref in[] = {sw__ov_in(n, 0), sw__ov_in(n, 1), sw__ov_in(n, 2), sw__ov_list(n, &axis, -1)};
    return sw__ov_finish(n, "ScatterElementsUpdate", 12, sw__ov_text(n, "reduction=\"%s\" use_init_val=\"true\"", ours),
                         4, in);
}

/* ---- Made values --------------------------------------------------------------------------------------------------- */

sw_status sw__ov_constant_of_shape(sw_ov_node *n) {
    const sw_attr *value = sw_node_attr(n->node, "value", SW_ATTR_TENSOR);
    static const float zero = 0;
    sw_tensor t = {.dtype = SW_F32, .data = (void *)(uintptr_t)&zero};
    if (value->set && value->t) t = *value->t;
    t.rank = 0;
    sw_ov_ref in[] = {sw__ov_const(n->ov, sw__ov_text(n, "%.400s/value", n->node->out[0]->name), &t), sw__ov_in(n, 0)};
    return sw__ov_finish(n, "Broadcast", 3, "mode=\"numpy\"", 2, in);
}

sw_status sw__ov_range(sw_ov_node *n) {
    static const char *const names[SW_DTYPE_COUNT] = {
        [SW_F32] = "f32", [SW_F64] = "f64", [SW_I16] = "i16", [SW_I32] = "i32", [SW_I64] = "i64", [SW_F16] = "f16"};
    const char *name = names[n->node->in[0]->type.dtype];
    if (!name) return sw__ov_refuse(n, "its type is not supported in OpenVINO files");
    sw_ov_ref in[] = {scalar(n, 0), scalar(n, 1), scalar(n, 2)};
    return sw__ov_finish(n, "Range", 4, sw__ov_text(n, "output_type=\"%s\"", name), 3, in);
}

sw_status sw__ov_one_hot(sw_ov_node *n) {
    const int64_t zero = 0;
    sw_ov_ref parts[2] = {{.type = {.dtype = n->node->out[0]->type.dtype, .rank = 1, .dims = {1}}},
                          {.type = {.dtype = n->node->out[0]->type.dtype, .rank = 1, .dims = {1}}}};
    sw_ov_ref in[] = {sw__ov_in(n, 2), sw__ov_list(n, &zero, -1)};
    sw__ov_layer(n->ov, sw__ov_text(n, "%.400s/values", n->node->out[0]->name), "Split", 1, "num_splits=\"2\"", 2, in,
                 2, parts);
    sw_tensor one = {.dtype = parts[0].type.dtype};
    for (int i = 0; i < 2; i++) parts[i] = sw__ov_step(n, "Squeeze", 1, "", 1, &parts[i], one);
    sw_ov_ref all[] = {sw__ov_in(n, 0), scalar(n, 1), parts[1], parts[0]};
    return sw__ov_finish(n, "OneHot", 1, sw__ov_text(n, "axis=\"%lld\"", (long long)sw_node_int(n->node, "axis")), 4,
                         all);
}

/* ---- Reductions, rankings ------------------------------------------------------------------------------------------ */

sw_status sw__ov_reduce(sw_ov_node *n) {
    const sw_op_info *info = sw_op_get(n->node->op);
    const sw_tensor *x = &n->node->in[0]->type;
    int64_t all[SW_MAX_RANK];
    bool given = sw__ov_has(n, 1) && !(sw__ov_known(n, 1) && sw_tensor_count(sw__ov_known(n, 1)) == 0);
    if (!given && sw_node_int(n->node, "noop_with_empty_axes")) return sw__ov_alias(n, sw__ov_in(n, 0));
    if (!given && x->rank == SW_RANK_UNKNOWN) return sw__ov_refuse(n, "its rank is not known");
    for (int k = 0; k < x->rank; k++) all[k] = k;
    sw_ov_ref in[] = {sw__ov_in(n, 0), given ? sw__ov_in(n, 1) : sw__ov_list(n, all, x->rank)};
    bool norm = n->node->op == SW_OP_ReduceL1 || n->node->op == SW_OP_ReduceL2;
    const char *data = sw__ov_text(n, "keep_dims=\"%s\"", flag(sw_node_int(n->node, "keepdims")));
    return sw__ov_finish(n, info->name, norm ? 4 : 1, data, 2, in);
}

sw_status sw__ov_topk(sw_ov_node *n) {
    const sw_node *node = n->node;
    const char *data = sw__ov_text(n, "axis=\"%lld\" mode=\"%s\" sort=\"%s\" index_element_type=\"i64\" stable=\"%s\"",
                                   (long long)sw_node_int(node, "axis"), sw_node_int(node, "largest") ? "max" : "min",
                                   sw_node_int(node, "sorted") ? "value" : "none", flag(sw_node_int(node, "sorted")));
    sw_ov_ref in[] = {sw__ov_in(n, 0), scalar(n, 1)};
    return sw__ov_finish(n, "TopK", 11, data, 2, in);
}

sw_status sw__ov_arg_reduce(sw_ov_node *n) {
    const sw_node *node = n->node;
    const int64_t one = 1, axis = sw_node_int(node, "axis");
    if (sw_node_int(node, "select_last_index"))
        return sw__ov_refuse(n, "select_last_index is not supported in OpenVINO files");
    const char *data =
        sw__ov_text(n, "axis=\"%lld\" mode=\"%s\" sort=\"value\" index_element_type=\"i64\" stable=\"true\"",
                    (long long)axis, node->op == SW_OP_ArgMax ? "max" : "min");
    sw_ov_ref in[] = {sw__ov_in(n, 0), sw__ov_list(n, &one, -1)};
    sw_ov_ref out[2] = {{.type = sw__ov_any(in[0].type.dtype)}, {.type = sw__ov_any(SW_I64)}};
    bool keep = sw_node_int(node, "keepdims") != 0;
    sw__ov_layer(n->ov, sw__ov_text(n, "%.400s/topk", node->out[0]->name), "TopK", 11, data, 2, in, 2, out);
    if (keep) return sw__ov_alias(n, out[1]);
    return sw__ov_finish(n, "Squeeze", 1, "", 2, (sw_ov_ref[]){out[1], sw__ov_list(n, &axis, 1)});
}
