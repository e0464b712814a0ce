/* What moves elements and changes shapes. Numbers stay as they are, quantised or not. */
#include <string.h>

#include "import/tflite/model.h"

static bool missing(sw_tfl_node *n, int count) {
    for (int i = 0; i < count && n->m->status == SW_OK; i++)
        if (i >= n->n_in || !n->in[i]) sw__tfl_refuse(n, SW_E_MODEL, "input %d is missing", i + 1);
    return n->m->status != SW_OK;
}

/* Lists that decide about shapes must be known now. */
static bool known(sw_tfl_node *n, int i, int64_t *v, int *count) {
    if (missing(n, i + 1)) return false;
    if (sw__tfl_ints(n, i, v, count)) return true;
    return sw__tfl_refuse(n, SW_E_UNSUPPORTED, "input %d must be a constant", i + 1);
}

static bool good_axis(sw_tfl_node *n, int64_t axis, int rank, int *out) {
    *out = (int)(axis < 0 ? axis + rank : axis);
    if (axis >= -rank && axis < rank) return true;
    return sw__tfl_refuse(n, SW_E_MODEL, "axis %lld of %d axes", (long long)axis, rank);
}

/* ---- Shapes -------------------------------------------------------------------------------------------------------- */

sw_value *sw__tfl_reshaped(sw_tfl_node *n, sw_value *value, sw_axes *axes, const int64_t *dims, int rank) {
    int64_t from[SW_MAX_RANK], stored[SW_MAX_RANK];
    sw_axes result;
    value = sw__tfl_settle(n->m, value);
    if (!value) return NULL;
    for (int i = 0; i < axes->n; i++) from[axes->at[i]] = value->type.dims[i];
    if (!sw_axes_reshaped(axes, from, rank, dims, &result)) {
        int64_t perm[SW_MAX_RANK];
        sw_axes plain = sw_axes_plain(axes->n);
        sw_axes_between(axes, &plain, perm);
        value = sw__tfl_transpose(n->m, n->out[0]->name, value, perm, axes->n);
        result = sw_axes_plain(rank);
    }
    *axes = result;
    sw_axes_apply(&result, dims, stored);
    return sw__tfl_reshape(n->m, n->out[0]->name, value, stored, rank);
}

/* Output 0 is input `i` with other dims, which hold as many elements. */
static void reshape_to(sw_tfl_node *n, int i, const int64_t *dims, int rank) {
    int64_t from[SW_MAX_RANK], had = 1, has = 1;
    int from_rank;
    sw_axes axes;
    if (!sw__tfl_any(n, i, &axes) || !sw__tfl_dims(n, n->in[i], from, &from_rank)) return;
    for (int k = 0; k < from_rank; k++) had *= from[k];
    for (int k = 0; k < rank; k++)
        if (dims[k] < 0 || __builtin_mul_overflow(has, dims[k], &has)) has = INT64_MIN;
    if (had != has) {
        sw__tfl_refuse(n, SW_E_MODEL, "%lld elements do not fit the new shape", (long long)had);
        return;
    }
    sw_value *value = sw__tfl_any(n, i, &axes);
    sw__tfl_out(n, 0, sw__tfl_reshaped(n, value, &axes, dims, rank), axes);
}

static void reshape(sw_tfl_node *n) {
    int64_t dims[2 * SW_MAX_RANK], from[SW_MAX_RANK], count = 1, rest = 1;
    int rank = 0, from_rank, open = -1;
    if (missing(n, 1) || !sw__tfl_dims(n, n->in[0], from, &from_rank)) return;
    sw_fb_vector option = sw_fb_vec(&n->options, 0, 4);
    if (!sw__tfl_ints(n, 1, dims, &rank)) {
        bool by_option = n->n_in < 2 && option.n && option.n <= SW_MAX_RANK;
        rank = by_option ? (int)option.n : n->out[0]->like.rank;
        for (int i = 0; i < rank; i++)
            dims[i] = by_option ? sw_fb_vec_i32(&option, (uint32_t)i) : n->out[0]->like.dims[i];
    }
    if (n->m->status != SW_OK) return;
    if (rank > SW_MAX_RANK) {
        sw__tfl_refuse(n, SW_E_UNSUPPORTED, "the new shape has %d axes; at most %d are possible", rank, SW_MAX_RANK);
        return;
    }
    for (int i = 0; i < from_rank; i++) count *= from[i];
    for (int i = 0; i < rank; i++)
        if (dims[i] == -1)
            open = i;
        else if (__builtin_mul_overflow(rest, dims[i], &rest))
            rest = 0;
    if (open >= 0) dims[open] = rest > 0 ? count / rest : 0;
    reshape_to(n, 0, dims, rank);
}

static void squeeze(sw_tfl_node *n) {
    int64_t dims[SW_MAX_RANK], kept[SW_MAX_RANK];
    int rank, left = 0;
    bool gone[SW_MAX_RANK] = {false};
    sw_fb_vector list = sw_fb_vec(&n->options, 0, 4);
    if (missing(n, 1) || !sw__tfl_dims(n, n->in[0], dims, &rank)) return;
    for (int i = 0; i < rank && !list.n; i++) gone[i] = dims[i] == 1;
    for (uint32_t i = 0; i < list.n; i++) {
        int axis;
        if (!good_axis(n, sw_fb_vec_i32(&list, i), rank, &axis)) return;
        gone[axis] = true;
    }
    for (int i = 0; i < rank; i++)
        if (!gone[i]) kept[left++] = dims[i];
    reshape_to(n, 0, kept, left);
}

static void expand_dims(sw_tfl_node *n) {
    int64_t dims[SW_MAX_RANK], v[2 * SW_MAX_RANK];
    int rank, count, axis;
    if (!known(n, 1, v, &count) || !sw__tfl_dims(n, n->in[0], dims, &rank)) return;
    if (rank == SW_MAX_RANK || count != 1) {
        sw__tfl_refuse(n, SW_E_UNSUPPORTED, "there would be more than %d axes", SW_MAX_RANK);
        return;
    }
    if (!good_axis(n, v[0], rank + 1, &axis)) return;
    memmove(dims + axis + 1, dims + axis, (size_t)(rank - axis) * sizeof *dims);
    dims[axis] = 1;
    reshape_to(n, 0, dims, rank + 1);
}

static void transpose(sw_tfl_node *n) {
    int64_t perm[2 * SW_MAX_RANK];
    int count;
    unsigned seen = 0;
    sw_axes axes;
    if (!known(n, 1, perm, &count)) return;
    sw_value *x = sw__tfl_any(n, 0, &axes);
    if (!x) return;
    for (int i = 0; i < count; i++)
        if (perm[i] >= 0 && perm[i] < axes.n) seen |= 1u << perm[i];
    if (count != axes.n || seen != (1u << axes.n) - 1) {
        sw__tfl_refuse(n, SW_E_MODEL, "input 2 is no permutation of %d axes", axes.n);
        return;
    }
    sw__tfl_out(n, 0, x, sw_axes_transposed(&axes, perm));
}

/* ---- Parts --------------------------------------------------------------------------------------------------------- */

/* Elements begin, begin + step, ... before end, of each axis of the file; only axes that lose something are named. */
static sw_value *slice_value(sw_tfl_node *n, sw_value *x, const sw_axes *axes, const int64_t *dims,
                             const int64_t *begin, const int64_t *end, const int64_t *step) {
    int64_t from[SW_MAX_RANK], to[SW_MAX_RANK], which[SW_MAX_RANK], by[SW_MAX_RANK];
    int count = 0;
    for (int i = 0; i < axes->n; i++) {
        int axis = axes->at[i];
        if (begin[axis] == 0 && end[axis] == dims[axis] && step[axis] == 1) continue;
        from[count] = begin[axis];
        to[count] = end[axis];
        by[count] = step[axis];
        which[count++] = i;
    }
    if (!count) return x;
    return SW_TFL_APPLY(n, SW_OP_Slice, x, sw__tfl_const_ints(n->m, from, count), sw__tfl_const_ints(n->m, to, count),
                        sw__tfl_const_ints(n->m, which, count), sw__tfl_const_ints(n->m, by, count));
}

static void slice(sw_tfl_node *n) {
    int64_t begin[2 * SW_MAX_RANK], size[2 * SW_MAX_RANK], dims[SW_MAX_RANK], step[SW_MAX_RANK];
    int rank, n_begin, n_size;
    sw_axes axes;
    if (!known(n, 1, begin, &n_begin) || !known(n, 2, size, &n_size)) return;
    sw_value *x = sw__tfl_any(n, 0, &axes);
    if (!x || !sw__tfl_dims(n, n->in[0], dims, &rank)) return;
    for (int i = 0; i < rank; i++) {
        if (n_begin != rank || n_size != rank || begin[i] < 0 || begin[i] > dims[i] || size[i] < -1 ||
            size[i] > dims[i] - begin[i]) {
            sw__tfl_refuse(n, SW_E_MODEL, "it reaches outside axis %d", i);
            return;
        }
        size[i] = size[i] == -1 ? dims[i] : begin[i] + size[i];
        step[i] = 1;
    }
    sw__tfl_out(n, 0, slice_value(n, x, &axes, dims, begin, size, step), axes);
}

/* What a strided slice does to an axis of the file. */
typedef struct cut {
    int64_t begin[SW_MAX_RANK], end[SW_MAX_RANK], step[SW_MAX_RANK];
    int64_t dims[SW_MAX_RANK]; /* of the result, with new axes and without those that are shrunk */
    int rank;
} cut;

/* One entry of the lists, number k, on axis `axis` of extent `extent`. */
static bool cut_axis(sw_tfl_node *n, cut *c, int axis, int64_t extent, const int64_t *lists[3], int k) {
    int64_t begin_mask = sw_fb_i32(&n->options, 0, 0), end_mask = sw_fb_i32(&n->options, 1, 0);
    int64_t begin = lists[0][k], end = lists[1][k], step = lists[2][k];
    bool shrink = sw_fb_i32(&n->options, 4, 0) >> k & 1, back = step < 0;
    if (step == 0 || step <= -INT32_MAX) return sw__tfl_refuse(n, SW_E_MODEL, "a step is %lld", (long long)step);
    if (sw_fb_u8(&n->options, 5, 0)) end += begin;
    if (begin < 0) begin += extent;
    if (end < 0) end += extent;
    int64_t low = back ? -1 : 0, high = back ? extent - 1 : extent;
    begin = begin_mask >> k & 1 ? (back ? high : 0) : begin < low ? low : begin > high ? high : begin;
    end = end_mask >> k & 1 ? (back ? -1 : extent) : end < low ? low : end > high ? high : end;
    if (shrink) {
        if (begin < 0 || begin >= extent) return sw__tfl_refuse(n, SW_E_MODEL, "it reaches outside axis %d", axis);
        end = begin + 1;
        step = 1;
    }
    int64_t span = back && !shrink ? begin - end : end - begin, by = step < 0 ? -step : step;
    c->begin[axis] = begin;
    c->end[axis] = end < 0 ? -extent - 1 : end; /* before the first element */
    c->step[axis] = step;
    if (!shrink) c->dims[c->rank++] = span > 0 ? (span + by - 1) / by : 0;
    return true;
}

static void keep_axis(cut *c, int axis, int64_t extent) {
    c->begin[axis] = 0;
    c->end[axis] = c->dims[c->rank++] = extent;
    c->step[axis] = 1;
}

static void strided_slice(sw_tfl_node *n) {
    int64_t lists[3][2 * SW_MAX_RANK], dims[SW_MAX_RANK];
    const int64_t *pointers[3] = {lists[0], lists[1], lists[2]};
    int counts[3], rank, axis = 0, news = 0;
    int64_t ellipsis = sw_fb_i32(&n->options, 2, 0), fresh = sw_fb_i32(&n->options, 3, 0);
    cut c = {.rank = 0};
    sw_axes axes;
    for (int i = 0; i < 3; i++)
        if (!known(n, i + 1, lists[i], &counts[i])) return;
    sw_value *x = sw__tfl_any(n, 0, &axes);
    if (!x || !sw__tfl_dims(n, n->in[0], dims, &rank)) return;
    for (int k = 0; k < counts[0]; k++) news += (int)(fresh >> k & 1);
    if (counts[1] != counts[0] || counts[2] != counts[0] || counts[0] - news > rank + (ellipsis != 0) ||
        rank + news > SW_MAX_RANK) {
        sw__tfl_refuse(n, SW_E_MODEL, "its lists do not fit %d axes", rank);
        return;
    }
    int hidden = rank - (counts[0] - news - 1); /* axes that the ellipsis stands for */
    for (int k = 0; k < counts[0]; k++) {
        if (ellipsis >> k & 1)
            for (int i = 0; i < hidden && axis < rank; i++, axis++) keep_axis(&c, axis, dims[axis]);
        else if (fresh >> k & 1)
            c.dims[c.rank++] = 1;
        else if (axis >= rank || !cut_axis(n, &c, axis, dims[axis], pointers, k))
            return;
        else
            axis++;
    }
    for (; axis < rank; axis++) keep_axis(&c, axis, dims[axis]);
    sw_value *y = slice_value(n, x, &axes, dims, c.begin, c.end, c.step);
    if (news || c.rank != rank) y = sw__tfl_reshaped(n, y, &axes, c.dims, c.rank);
    sw__tfl_out(n, 0, y, axes);
}

/* SPLIT (axis first, equal parts), SPLIT_V (lengths), UNPACK (parts of one, their axis dropped). */
static void split(sw_tfl_node *n) {
    int64_t v[2 * SW_MAX_RANK], dims[SW_MAX_RANK], extent, *lengths = SW_ARENA_ARRAY(n->m->scratch, int64_t, n->n_out);
    int rank, count, axis, at = n->code == SW_TFL_SPLIT ? 1 : 0;
    sw_axes axes;
    if (n->code == SW_TFL_UNPACK)
        v[0] = sw_fb_i32(&n->options, 1, 0);
    else if (!known(n, n->code == SW_TFL_SPLIT ? 0 : 2, v, &count))
        return;
    if (missing(n, at + 1)) return;
    sw_value *x = sw__tfl_settle(n->m, sw__tfl_any(n, at, &axes));
    if (!x || !sw__tfl_dims(n, n->in[at], dims, &rank) || !good_axis(n, v[0], rank, &axis)) return;
    extent = dims[axis];
    sw_value **out = SW_ARENA_ARRAY(n->m->scratch, sw_value *, n->n_out);
    if (!out || !lengths) {
        sw__tfl_nomem(n->m);
        return;
    }
    sw_value *sizes = n->code == SW_TFL_SPLIT_V ? sw__tfl_list(n, 1) : NULL;
    for (int i = 0; i < n->n_out; i++) lengths[i] = extent / n->n_out;
    if (!sizes) sizes = sw__tfl_const_ints(n->m, lengths, n->n_out);
    sizes = sw__tfl_settle(n->m, sizes);
    for (int i = 0; i < n->n_out && sizes; i++)
        if (!(out[i] = sw_graph_add_value(n->m->graph, n->out[0]->name, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL)))
            sizes = sw__tfl_nomem(n->m);
    if (!sizes) return;
    sw_node *node =
        sw_graph_add_node(n->m->graph, NULL, SW_OP_Split, n->out[0]->name, 2, (sw_value *[]){x, sizes}, n->n_out, out);
    if (!node) {
        sw__tfl_nomem(n->m);
        return;
    }
    sw_node_set_int(node, "axis", sw_axes_find(&axes, axis));
    memmove(dims + axis, dims + axis + 1, (size_t)(rank - axis - 1) * sizeof *dims);
    for (int i = 0; i < n->n_out; i++) {
        sw_axes each = axes;
        if (n->code == SW_TFL_UNPACK) out[i] = sw__tfl_reshaped(n, out[i], &each, dims, rank - 1);
        sw__tfl_out(n, i, out[i], each);
    }
}

/* ---- Joins --------------------------------------------------------------------------------------------------------- */

static bool all_same_scale(const sw_tfl_node *n) {
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && !sw__tfl_same_scale(n->in[i], n->out[0])) return false;
    return true;
}

static void concat(sw_tfl_node *n) {
    bool raw = all_same_scale(n);
    int axis;
    if (missing(n, n->n_in > 0 ? n->n_in : 1)) return;
    if (!raw) sw__tfl_all_real(n);
    sw_axes axes = sw__tfl_common(n);
    if (!good_axis(n, sw_fb_i32(&n->options, 0, 0), axes.n, &axis)) return;
    sw_value **in = SW_ARENA_ARRAY(n->m->scratch, sw_value *, n->n_in);
    if (!in) {
        sw__tfl_nomem(n->m);
        return;
    }
    for (int i = 0; i < n->n_in; i++) in[i] = sw__tfl_in_form(n->m, n->in[i], &axes);
    sw_value *y = sw__tfl_apply(n->m, SW_OP_Concat, n->out[0]->name, n->n_in, in);
    sw__tfl_set_int(y, "axis", sw_axes_find(&axes, axis));
    sw__tfl_out_act(n, y, axes, sw_fb_i8(&n->options, 1, 0), !raw || !sw__tfl_quantised(n->out[0]));
}

static void pack(sw_tfl_node *n) {
    int64_t dims[SW_MAX_RANK];
    int rank, axis;
    if (missing(n, n->n_in > 0 ? n->n_in : 1) || !sw__tfl_dims(n, n->in[0], dims, &rank)) return;
    if (rank == SW_MAX_RANK || !good_axis(n, sw_fb_i32(&n->options, 1, 0), rank + 1, &axis)) return;
    memmove(dims + axis + 1, dims + axis, (size_t)(rank - axis) * sizeof *dims);
    dims[axis] = 1;
    sw_value **in = SW_ARENA_ARRAY(n->m->scratch, sw_value *, n->n_in);
    for (int i = 0; i < n->n_in && in; i++)
        in[i] = sw__tfl_reshape(n->m, n->out[0]->name, sw__tfl_plain(n, i), dims, rank + 1);
    sw_value *y = in ? sw__tfl_apply(n->m, SW_OP_Concat, n->out[0]->name, n->n_in, in) : sw__tfl_nomem(n->m);
    sw__tfl_set_int(y, "axis", axis);
    sw__tfl_out(n, 0, y, sw_axes_plain(rank + 1));
}

/* ---- Paddings ------------------------------------------------------------------------------------------------------ */

/* What PAD with zeros leaves behind, so that a convolution may take it over. */
static void note_padding(sw_tfl_node *n, const int64_t *v, int rank) {
    sw_tfl_tensor *t = n->out[0];
    if (rank != 4 || (sw__tfl_quantised(t) && !sw__tfl_same_scale(t, n->in[0]))) return;
    for (int i = 0; i < 2 * rank; i++)
        if (v[i] < 0) return;
    t->unpadded = n->in[0];
    memcpy(t->pads, v, (size_t)rank * sizeof t->pads[0]);
}

/* SYMMETRIC: the last elements once more, backwards; each axis by the numbers of its elements. pads: in front, then behind. */
static sw_value *mirrored(sw_tfl_node *n, sw_value *x, const int64_t *pads) {
    sw_tensor type = x->type;
    for (int i = 0; i < type.rank && x; i++) {
        int64_t side = type.dims[i], before = pads[i], count = before + side + pads[i + type.rank];
        if (count == side) continue;
        if (side < 0 || before < 0 || before > side || count < before + side || count > 2 * side + before)
            return sw__tfl_refuse(n, SW_E_MODEL, "SYMMETRIC padding reaches beyond the map");
        if (!sw__tfl_charge(n->m, (uint64_t)count * sizeof(int64_t))) return NULL;
        sw_value *at = sw_graph_new_const(n->m->graph, NULL, SW_I64, 1, &count);
        if (!at) return sw__tfl_nomem(n->m);
        for (int64_t k = 0; k < count; k++) {
            int64_t from = k - before;
            ((int64_t *)at->type.data)[k] = from < 0 ? -1 - from : from < side ? from : 2 * side - 1 - from;
        }
        x = SW_TFL_APPLY(n, SW_OP_Gather, x, at);
        sw__tfl_set_int(x, "axis", i);
    }
    return x;
}

static void pad(sw_tfl_node *n) {
    int64_t v[2 * SW_MAX_RANK], pads[2 * SW_MAX_RANK];
    int count;
    bool mirror = n->code == SW_TFL_MIRROR_PAD, symmetric = mirror && sw_fb_i8(&n->options, 0, 0) == 1;
    sw_axes axes;
    if (!known(n, 1, v, &count)) return;
    sw_value *x = sw__tfl_any(n, 0, &axes), *value = NULL;
    if (!x) return;
    if (count != 2 * axes.n) {
        sw__tfl_refuse(n, SW_E_MODEL, "there are %d paddings for %d axes", count, axes.n);
        return;
    }
    for (int i = 0; i < axes.n; i++) {
        pads[i] = v[2 * axes.at[i]];
        pads[i + axes.n] = v[2 * axes.at[i] + 1];
    }
    if (symmetric) {
        x = sw__tfl_settle(n->m, x);
        sw__tfl_out(n, 0, x ? mirrored(n, x, pads) : NULL, axes);
        return;
    }
    if (n->code == SW_TFL_PADV2)
        value = sw__tfl_plain(n, 2);
    else if (!mirror && sw__tfl_quantised(n->in[0]))
        value = sw__tfl_number(n->m, n->in[0]->like.dtype, (double)sw__tfl_zero(n->in[0]));
    if (value && value->type.rank != 0) value = sw__tfl_reshape(n->m, n->out[0]->name, value, NULL, 0);
    sw_value *in[3] = {x, sw__tfl_const_ints(n->m, pads, count), value};
    sw_value *y = sw__tfl_apply(n->m, SW_OP_Pad, n->out[0]->name, value ? 3 : 2, in);
    if (mirror) sw__tfl_set_string(n->m, y, "mode", "reflect");
    if (n->code == SW_TFL_PAD) note_padding(n, v, axes.n);
    sw__tfl_out(n, 0, y, axes);
}

/* ---- Copies -------------------------------------------------------------------------------------------------------- */

static void tile(sw_tfl_node *n) {
    int64_t v[2 * SW_MAX_RANK], repeats[SW_MAX_RANK];
    int count;
    sw_axes axes;
    if (!known(n, 1, v, &count)) return;
    sw_value *x = sw__tfl_any(n, 0, &axes);
    if (!x) return;
    if (count != axes.n) {
        sw__tfl_refuse(n, SW_E_MODEL, "there are %d repeats for %d axes", count, axes.n);
        return;
    }
    sw_axes_apply(&axes, v, repeats);
    sw__tfl_out(n, 0, SW_TFL_APPLY(n, SW_OP_Tile, x, sw__tfl_const_ints(n->m, repeats, count)), axes);
}

/* BROADCAST_TO (value, dims) and FILL (dims, value). */
static void expand(sw_tfl_node *n) {
    int64_t dims[2 * SW_MAX_RANK];
    int count, list = n->code == SW_TFL_FILL ? 0 : 1;
    if (missing(n, 2)) return;
    if (!sw__tfl_ints(n, list, dims, &count)) {
        count = n->out[0]->like.rank;
        memcpy(dims, n->out[0]->like.dims, sizeof n->out[0]->like.dims);
    }
    if (n->m->status != SW_OK || count > SW_MAX_RANK) return;
    sw_value *y = SW_TFL_APPLY(n, SW_OP_Expand, sw__tfl_plain(n, 1 - list), sw__tfl_const_ints(n->m, dims, count));
    sw__tfl_out(n, 0, y, sw_axes_plain(count));
}

static void reverse(sw_tfl_node *n) {
    int64_t v[2 * SW_MAX_RANK], dims[SW_MAX_RANK], begin[SW_MAX_RANK] = {0}, end[SW_MAX_RANK], step[SW_MAX_RANK];
    int count, rank;
    sw_axes axes;
    if (!known(n, 1, v, &count)) return;
    sw_value *x = sw__tfl_any(n, 0, &axes);
    if (!x || !sw__tfl_dims(n, n->in[0], dims, &rank)) return;
    for (int i = 0; i < rank; i++) end[i] = dims[i], step[i] = 1;
    for (int i = 0; i < count; i++) {
        int axis;
        if (!good_axis(n, v[i], rank, &axis)) return;
        begin[axis] = dims[axis] - 1;
        end[axis] = -dims[axis] - 1;
        step[axis] = -1;
    }
    sw__tfl_out(n, 0, slice_value(n, x, &axes, dims, begin, end, step), axes);
}

/* ---- By index ------------------------------------------------------------------------------------------------------ */

static sw_value *indices_of(sw_tfl_node *n, int i) {
    sw_value *index = sw__tfl_settle(n->m, sw__tfl_plain(n, i));
    if (!index || index->type.dtype == SW_I32 || index->type.dtype == SW_I64) return index;
    return sw__tfl_settle(n->m, sw__tfl_cast(n->m, n->out[0]->name, index, SW_I64));
}

static void gather(sw_tfl_node *n) {
    int64_t batch = sw_fb_i32(&n->options, 1, 0);
    int axis;
    if (missing(n, 2)) return;
    sw_value *x = sw__tfl_plain(n, 0), *index = indices_of(n, 1), *y;
    if (!x || !index || !good_axis(n, sw_fb_i32(&n->options, 0, 0), x->type.rank, &axis)) return;
    int rank = x->type.rank + index->type.rank - 1 - (int)(batch > 0 ? batch : 0);
    if (batch == 0) {
        y = SW_TFL_APPLY(n, SW_OP_Gather, x, index);
        sw__tfl_set_int(y, "axis", axis);
    } else if (batch == axis && index->type.rank >= batch && index->type.rank < SW_MAX_RANK) {
        int64_t dims[SW_MAX_RANK];
        memcpy(dims, index->type.dims, sizeof dims);
        dims[index->type.rank] = 1; /* each index picks one slice */
        index = sw__tfl_cast(n->m, n->out[0]->name, index, SW_I64);
        index = sw__tfl_reshape(n->m, n->out[0]->name, index, dims, n->in[1]->like.rank + 1);
        y = SW_TFL_APPLY(n, SW_OP_GatherND, x, index);
        sw__tfl_set_int(y, "batch_dims", batch);
    } else {
        sw__tfl_refuse(n, SW_E_UNSUPPORTED, "%lld batch axes with axis %d are not supported", (long long)batch, axis);
        return;
    }
    sw__tfl_out(n, 0, y, sw_axes_plain(rank));
}

static void gather_nd(sw_tfl_node *n) {
    if (missing(n, 2)) return;
    sw_value *x = sw__tfl_plain(n, 0), *index = sw__tfl_cast(n->m, n->out[0]->name, sw__tfl_plain(n, 1), SW_I64);
    sw_value *y = sw__tfl_settle(n->m, SW_TFL_APPLY(n, SW_OP_GatherND, x, index));
    if (y) sw__tfl_out(n, 0, y, sw_axes_plain(y->type.rank));
}

/* Updates added to zeros. */
static void scatter_nd(sw_tfl_node *n) {
    if (missing(n, 3)) return;
    sw_value *index = sw__tfl_cast(n->m, n->out[0]->name, sw__tfl_plain(n, 0), SW_I64), *updates = sw__tfl_plain(n, 1);
    if (!updates) return;
    sw_value *zeros = SW_TFL_APPLY(n, SW_OP_Expand, sw__tfl_number(n->m, updates->type.dtype, 0), sw__tfl_list(n, 2));
    sw_value *y = SW_TFL_APPLY(n, SW_OP_ScatterND, zeros, index, updates);
    sw__tfl_set_string(n->m, y, "reduction", "add");
    y = sw__tfl_settle(n->m, y);
    if (y) sw__tfl_out(n, 0, y, sw_axes_plain(y->type.rank));
}

static void one_hot(sw_tfl_node *n) {
    int64_t one = 1;
    if (missing(n, 4)) return;
    sw_value *on = sw__tfl_reshape(n->m, n->out[0]->name, sw__tfl_plain(n, 2), &one, 1);
    sw_value *off = sw__tfl_reshape(n->m, n->out[0]->name, sw__tfl_plain(n, 3), &one, 1);
    sw_value *values = SW_TFL_APPLY(n, SW_OP_Concat, off, on);
    sw__tfl_set_int(values, "axis", 0);
    sw_value *y = SW_TFL_APPLY(n, SW_OP_OneHot, sw__tfl_plain(n, 0), sw__tfl_plain(n, 1), values);
    sw__tfl_set_int(y, "axis", sw_fb_i32(&n->options, 0, 0));
    y = sw__tfl_settle(n->m, y);
    if (y) sw__tfl_out(n, 0, y, sw_axes_plain(y->type.rank));
}

/* ---- Facts about shapes -------------------------------------------------------------------------------------------- */

static void shape(sw_tfl_node *n) {
    int64_t dims[SW_MAX_RANK];
    int rank;
    if (missing(n, 1) || !sw__tfl_dims(n, n->in[0], dims, &rank)) return;
    if (n->code == SW_TFL_RANK)
        sw__tfl_out(n, 0, sw__tfl_number(n->m, SW_I32, rank), sw_axes_plain(0));
    else
        sw__tfl_out(n, 0, sw__tfl_const_ints(n->m, dims, rank), sw_axes_plain(1));
}

static void range(sw_tfl_node *n) {
    if (missing(n, 3)) return;
    sw_value *y = SW_TFL_APPLY(n, SW_OP_Range, sw__tfl_plain(n, 0), sw__tfl_plain(n, 1), sw__tfl_plain(n, 2));
    sw__tfl_out(n, 0, y, sw_axes_plain(1));
}

/* ---- Blocks of space in the batch, around dilated convolutions ------------------------------------------------------- */

/* Pixels apart by the block become pictures of their own (to_batch), or the other way round. */
static void space_batch(sw_tfl_node *n) {
    bool to_batch = n->code == SW_TFL_SPACE_TO_BATCH_ND;
    int64_t block[2 * SW_MAX_RANK], edge[2 * SW_MAX_RANK], d[SW_MAX_RANK];
    int n_block, n_edge, rank;
    if (!known(n, 1, block, &n_block) || !known(n, 2, edge, &n_edge)) return;
    sw_value *x = sw__tfl_plain(n, 0);
    if (!x || !sw__tfl_dims(n, n->in[0], d, &rank)) return;
    bool fits = rank == 4 && n_block == 2 && n_edge == 4;
    for (int i = 0; i < 2 && fits; i++) fits = block[i] > 0 && block[i] <= 1024;
    for (int i = 0; i < 4 && fits; i++) fits = edge[i] >= 0 && edge[i] < INT32_MAX;
    int64_t area = fits ? block[0] * block[1] : 1;
    if (fits && to_batch) fits = !((d[1] + edge[0] + edge[1]) % block[0]) && !((d[2] + edge[2] + edge[3]) % block[1]);
    if (fits && !to_batch)
        fits = d[0] % area == 0 && edge[0] + edge[1] <= d[1] * block[0] && edge[2] + edge[3] <= d[2] * block[1];
    if (!fits) {
        sw__tfl_refuse(n, SW_E_UNSUPPORTED, "blocks that do not fit a map of four axes");
        return;
    }
    const char *name = n->out[0]->name;
    if (to_batch) {
        const int64_t pads[8] = {0, edge[0], edge[2], 0, 0, edge[1], edge[3], 0}, perm[6] = {2, 4, 0, 1, 3, 5};
        int64_t h = (d[1] + edge[0] + edge[1]) / block[0], w = (d[2] + edge[2] + edge[3]) / block[1];
        bool padded = edge[0] || edge[1] || edge[2] || edge[3];
        sw_value *zero = sw__tfl_number(n->m, n->in[0]->like.dtype, (double)sw__tfl_zero(n->in[0]));
        if (padded) x = SW_TFL_APPLY(n, SW_OP_Pad, x, sw__tfl_const_ints(n->m, pads, 8), zero);
        x = sw__tfl_reshape(n->m, name, x, (int64_t[]){d[0], h, block[0], w, block[1], d[3]}, 6);
        x = sw__tfl_transpose(n->m, name, x, perm, 6);
        x = sw__tfl_reshape(n->m, name, x, (int64_t[]){d[0] * area, h, w, d[3]}, 4);
        sw__tfl_out(n, 0, x, sw_axes_plain(4));
        return;
    }
    const int64_t perm[6] = {2, 3, 0, 4, 1, 5};
    x = sw__tfl_reshape(n->m, name, x, (int64_t[]){block[0], block[1], d[0] / area, d[1], d[2], d[3]}, 6);
    x = sw__tfl_transpose(n->m, name, x, perm, 6);
    d[0] /= area;
    d[1] *= block[0];
    d[2] *= block[1];
    x = sw__tfl_reshape(n->m, name, x, d, 4);
    const int64_t begin[4] = {0, edge[0], edge[2], 0}, step[4] = {1, 1, 1, 1};
    const int64_t end[4] = {d[0], d[1] - edge[1], d[2] - edge[3], d[3]};
    sw_axes plain = sw_axes_plain(4);
    sw__tfl_out(n, 0, slice_value(n, x, &plain, d, begin, end, step), plain);
}

const sw_tfl_row sw__tfl_move[] = {
    {SW_TFL_RESHAPE, reshape, 0},
    {SW_TFL_SQUEEZE, squeeze, 0},
    {SW_TFL_EXPAND_DIMS, expand_dims, 0},
    {SW_TFL_TRANSPOSE, transpose, 0},
    {SW_TFL_SLICE, slice, 0},
    {SW_TFL_STRIDED_SLICE, strided_slice, 0},
    {SW_TFL_SPLIT, split, 0},
    {SW_TFL_SPLIT_V, split, 0},
    {SW_TFL_UNPACK, split, 0},
    {SW_TFL_CONCATENATION, concat, 0},
    {SW_TFL_PACK, pack, 0},
    {SW_TFL_PAD, pad, 0},
    {SW_TFL_PADV2, pad, 0},
    {SW_TFL_MIRROR_PAD, pad, 0},
    {SW_TFL_TILE, tile, 0},
    {SW_TFL_BROADCAST_TO, expand, 0},
    {SW_TFL_FILL, expand, 0},
    {SW_TFL_REVERSE_V2, reverse, 0},
    {SW_TFL_GATHER, gather, 0},
    {SW_TFL_GATHER_ND, gather_nd, 0},
    {SW_TFL_SCATTER_ND, scatter_nd, 0},
    {SW_TFL_ONE_HOT, one_hot, 0},
    {SW_TFL_SHAPE, shape, 0},
    {SW_TFL_RANK, shape, 0},
    {SW_TFL_RANGE, range, 0},
    {SW_TFL_SPACE_TO_BATCH_ND, space_batch, 0},
    {SW_TFL_BATCH_TO_SPACE_ND, space_batch, 0},
    {0, NULL, 0},
};
