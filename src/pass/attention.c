/* Attention written out, softmax(Q K^T * scale + mask) V, becomes one FusedAttention, which needs no memory for the scores. It
 * reads its heads where they lie: what only reorders elements between a product and the heads, and behind them, is left
 * out. Float32, shapes known; for CPUs, whose kernels compute it, and for GPUs where heads lie in eights.
 *
 * Seen: factors before and behind the first product, constant masks of several terms, either order of the second product (V
 * times the transposed weights, as in YOLO's C2PSA). */
#include <string.h>

#include "ops/fused_attention.h"
#include "pass/pass.h"

enum { MAX_AHEAD = 24, MAX_MASK = 1 << 22 };

static bool is_known(const sw_value *v) {
    return v && v->type.dtype == SW_F32 && v->type.rank >= 2 && sw_tensor_is_concrete(&v->type) &&
           sw_tensor_count(&v->type) > 0 && v->type.layout == SW_ROW_MAJOR;
}

/* ---- Where elements lie -------------------------------------------------------------------------------------------- */

/* A value whose elements lie in another one's: element i of it at offset + sum of i stride. */
typedef struct view {
    sw_value *base;
    int64_t offset;
    int rank;
    int64_t dims[SW_MAX_RANK], strides[SW_MAX_RANK];
} view;

static view whole(sw_value *value) {
    view v = {.base = value, .rank = value->type.rank};
    int64_t stride = 1;
    for (int i = v.rank - 1; i >= 0; stride *= v.dims[i--]) {
        v.dims[i] = value->type.dims[i];
        v.strides[i] = stride;
    }
    return v;
}

/* The same elements with other dims: each run of old axes that lies as one axis would is cut anew. False: they do not. */
static bool reshape(view *v, const sw_tensor *to) {
    view n = {.base = v->base, .offset = v->offset, .rank = to->rank};
    int from = v->rank - 1, i = to->rank - 1;
    while (i >= 0) {
        if (to->dims[i] == 1) {
            n.dims[i] = 1, n.strides[i--] = 0;
            continue;
        }
        while (from >= 0 && v->dims[from] == 1) from--;
        if (from < 0) return false;
        int64_t have = v->dims[from], stride = v->strides[from], used = 1; /* old axes joined so far */
        for (from--; i >= 0; i--) {
            int64_t want = to->dims[i];
            while (have % (used * want) != 0) {
                while (from >= 0 && v->dims[from] == 1) from--;
                if (from < 0 || v->strides[from] != stride * have) return false;
                have *= v->dims[from--];
            }
            n.dims[i] = want;
            n.strides[i] = want == 1 ? 0 : stride * used;
            used *= want;
            if (used == have) {
                i--;
                break;
            }
        }
        if (used != have) return false;
    }
    *v = n;
    return true;
}

static bool permute(view *v, const sw_node *node) {
    const sw_attr *perm = sw_node_attr(node, "perm", SW_ATTR_INTS);
    view n = *v;
    if (!perm->set || perm->ints.n != v->rank) return false;
    for (int i = 0; i < v->rank; i++) {
        n.dims[i] = v->dims[perm->ints.v[i]];
        n.strides[i] = v->strides[perm->ints.v[i]];
    }
    *v = n;
    return true;
}

/* One index of an axis, which goes. */
static bool pick(view *v, const sw_node *node) {
    const sw_value *index = node->in[1];
    int64_t axis = sw_node_int(node, "axis");
    if (!sw_value_is_const(index) || index->type.rank != 0) return false;
    if (axis < 0) axis += v->rank;
    int64_t at = sw_tensor_int_at(&index->type, 0);
    if (axis < 0 || axis >= v->rank) return false;
    if (at < 0) at += v->dims[axis];
    if (at < 0 || at >= v->dims[axis]) return false;
    v->offset += at * v->strides[axis];
    v->rank--;
    for (int i = (int)axis; i < v->rank; i++) v->dims[i] = v->dims[i + 1], v->strides[i] = v->strides[i + 1];
    return true;
}

/* The part of a split that `value` is. */
static bool part(view *v, const sw_node *node, const sw_value *value) {
    int64_t axis = sw_node_int(node, "axis"), at = 0;
    if (axis < 0) axis += v->rank;
    if (axis < 0 || axis >= v->rank) return false;
    for (int i = 0; i < node->n_out && node->out[i] != value; i++) {
        if (!node->out[i] || !is_known(node->out[i])) return false;
        at += node->out[i]->type.dims[axis];
    }
    v->offset += at * v->strides[axis];
    v->dims[axis] = value->type.dims[axis];
    return true;
}

/* Where the elements of a value come from, through up to `depth` steps that only reorder or choose. */
static view locate(sw_value *value, int depth) {
    const sw_node *node = value->producer;
    view v = whole(value);
    if (!node || depth == 0 || node->n_in < 1 || !is_known(node->in[0])) return v;
    view from = locate(node->in[0], depth - 1);
    bool found = false;
    switch (node->op) {
    case SW_OP_Reshape:
    case SW_OP_Squeeze:
    case SW_OP_Unsqueeze:
    case SW_OP_Flatten:
        found = reshape(&from, &value->type);
        break;
    case SW_OP_Transpose:
        found = permute(&from, node);
        break;
    case SW_OP_Gather:
        found = pick(&from, node);
        break;
    case SW_OP_Split:
        found = part(&from, node, value);
        break;
    default:
        break;
    }
    return found ? from : v;
}

/* ---- The pattern --------------------------------------------------------------------------------------------------- */

typedef struct match {
    sw_node *last;       /* makes the result */
    sw_value *q, *k, *v; /* as the products read them: .. queries size, .. size keys, and below */
    bool v_turned;       /* .. value_size keys, and the result likewise; else .. keys value_size */
    double scale;
    float *mask; /* of mask_count elements, again and again along the scores; NULL: none */
    int64_t mask_count;
} match;

static sw_node *maker(const sw_value *value, sw_op op) {
    return value && value->producer && value->producer->op == op ? value->producer : NULL;
}

/* The value that `value` is a constant multiple of. */
static sw_value *without_factor(sw_value *value, double *factor) {
    for (int i = 0; i < MAX_AHEAD; i++) {
        double k;
        sw_node *mul = maker(value, SW_OP_Mul), *div = maker(value, SW_OP_Div);
        if (mul && sw__const_scalar(mul->in[1], &k))
            value = mul->in[0], *factor *= k;
        else if (mul && sw__const_scalar(mul->in[0], &k))
            value = mul->in[1], *factor *= k;
        else if (div && sw__const_scalar(div->in[1], &k) && k != 0)
            value = div->in[0], *factor /= k;
        else
            break;
    }
    return value;
}

static bool swaps_last(const sw_node *node) {
    const sw_attr *perm = sw_node_attr(node, "perm", SW_ATTR_INTS);
    int n = perm->ints.n;
    if (!perm->set || n < 2) return false;
    for (int i = 0; i < n - 2; i++)
        if (perm->ints.v[i] != i) return false;
    return perm->ints.v[n - 2] == n - 1 && perm->ints.v[n - 1] == n - 2;
}

/* Adds a constant, broadcast to the scores as they are shaped here, to the mask. */
static bool add_mask(const sw_graph *graph, match *m, const sw_tensor *scores, const sw_tensor *c) {
    if (c->dtype != SW_F32 || c->rank > scores->rank || sw_tensor_count(c) == 0) return false;
    int64_t strides[SW_MAX_RANK] = {0}, stride = 1, count = 1;
    for (int i = c->rank - 1; i >= 0; stride *= c->dims[i--]) {
        int at = scores->rank - c->rank + i;
        if (c->dims[i] != 1 && c->dims[i] != scores->dims[at]) return false;
        strides[at] = c->dims[i] == 1 ? 0 : stride;
    }
    for (int i = scores->rank - 1; i >= 0; i--) {
        bool more = false; /* axes from here on that the constant is not the same along */
        for (int k = 0; k <= i; k++) more |= strides[k] != 0;
        if (more || i >= scores->rank - 2) count *= scores->dims[i];
    }
    if (count > MAX_MASK || (m->mask && count % m->mask_count != 0 && m->mask_count % count != 0)) return false;
    int64_t all = m->mask && m->mask_count > count ? m->mask_count : count;
    float *mask = sw_arena_alloc(graph->arena, (size_t)all * sizeof *mask, 64);
    if (!mask) return false;
    for (int64_t i = 0; i < all; i++) {
        int64_t at = 0, rest = i % count;
        for (int k = scores->rank - 1; k >= 0 && rest; rest /= scores->dims[k--])
            at += rest % scores->dims[k] * strides[k];
        mask[i] = ((const float *)c->data)[at] + (m->mask ? m->mask[i % m->mask_count] : 0);
    }
    m->mask = mask;
    m->mask_count = all;
    return true;
}

/* From the input of the softmax up to the product. */
static sw_node *find_scores(const sw_graph *graph, match *m, sw_value *value) {
    for (int i = 0; i < MAX_AHEAD; i++) {
        if (!is_known(value) || value->uses != 1 || !value->producer) return NULL;
        sw_node *node = value->producer;
        if (node->op == SW_OP_Reshape) { /* the last two axes stay */
            const sw_tensor *a = &node->in[0]->type, *b = &value->type;
            if (!is_known(node->in[0]) ||
                memcmp(a->dims + a->rank - 2, b->dims + b->rank - 2, 2 * sizeof a->dims[0]) != 0)
                return NULL;
            value = node->in[0];
        } else if (node->op == SW_OP_Add && sw_value_is_const(node->in[1]) &&
                   add_mask(graph, m, &value->type, &node->in[1]->type)) {
            value = node->in[0];
        } else if (node->op == SW_OP_Add && sw_value_is_const(node->in[0]) &&
                   add_mask(graph, m, &value->type, &node->in[0]->type)) {
            value = node->in[1];
        } else {
            break;
        }
    }
    value = value->uses == 1 ? without_factor(value, &m->scale) : NULL;
    sw_node *product = is_known(value) && value->uses == 1 ? maker(value, SW_OP_MatMul) : NULL;
    if (!product) return NULL;
    m->q = without_factor(product->in[0], &m->scale);
    m->k = without_factor(product->in[1], &m->scale);
    return product;
}

/* From the softmax down to the result. */
static bool find_result(const sw_graph *graph, match *m, const sw_node *softmax) {
    const sw_value *weights = softmax->out[0];
    sw_node *reader = sw__only_reader(graph, softmax);
    bool turned = reader && reader->op == SW_OP_Transpose && swaps_last(reader);
    if (turned) {
        weights = reader->out[0];
        reader = sw__only_reader(graph, reader);
    }
    if (!reader || reader->op != SW_OP_MatMul || reader->in[turned] != weights || reader->in[!turned] == weights)
        return false;
    m->last = reader;
    m->v = reader->in[!turned];
    m->v_turned = turned;
    return true;
}

/* Equal batch axes in front of the last two, as matrices of heads want them. */
static bool same_batch(const sw_value *a, const sw_value *b) {
    return a->type.rank == b->type.rank &&
           memcmp(a->type.dims, b->type.dims, (size_t)(a->type.rank - 2) * sizeof a->type.dims[0]) == 0;
}

static bool find(const sw_graph *graph, const sw_node *softmax, match *m) {
    *m = (match){.scale = 1};
    int rank = softmax->in[0]->type.rank;
    int64_t axis = sw_node_int(softmax, "axis");
    if (!is_known(softmax->in[0]) || (axis != -1 && axis != rank - 1) || !find_result(graph, m, softmax)) return false;
    if (!find_scores(graph, m, softmax->in[0]) || !is_known(m->q) || !is_known(m->k) || !is_known(m->v)) return false;
    const sw_tensor *q = &m->q->type, *k = &m->k->type, *v = &m->v->type;
    int n = q->rank;
    int64_t keys = k->dims[n - 1];
    return is_known(m->last->out[0]) && same_batch(m->q, m->k) && same_batch(m->q, m->v) &&
           same_batch(m->q, m->last->out[0]) && n - 2 <= SW_ATTENTION_BATCH && q->dims[n - 1] == k->dims[n - 2] &&
           v->dims[n - 1 - !m->v_turned] == keys;
}

/* ---- The node ------------------------------------------------------------------------------------------------------ */

/* Where the vectors of all heads lie, as the attribute `name` tells. `vectors`, `elements`: axes of the view. */
static sw_status set_heads(sw_graph *graph, sw_node *node, const char *name, const view *v, int vectors, int elements) {
    int64_t numbers[3 + SW_ATTENTION_BATCH] = {v->offset, v->strides[vectors], v->strides[elements]};
    for (int i = 0; i < v->rank - 2; i++) numbers[3 + i] = v->strides[i];
    return sw_node_set_ints(graph, node, name, numbers, v->rank + 1);
}

/* The result as a view of what is made of it: where nothing but a transposition reads it, that is written at once. */
static view locate_result(const sw_graph *graph, match *m) {
    sw_node *turn = sw__only_reader(graph, m->last);
    const sw_attr *perm = turn && turn->op == SW_OP_Transpose ? sw_node_attr(turn, "perm", SW_ATTR_INTS) : NULL;
    view v = whole(m->last->out[0]);
    if (!perm || !perm->set || !is_known(turn->out[0])) return v;
    view to = whole(turn->out[0]);
    for (int i = 0; i < v.rank; i++) v.strides[perm->ints.v[i]] = to.strides[i];
    v.base = turn->out[0];
    m->last = turn;
    return v;
}

/* Vectors of heads as GPUs read them: elements in a row, all else in eights, made by a step. */
static bool are_eights(const view *v, int elements) {
    bool fits =
        v->strides[elements] == 1 && v->dims[elements] % 8 == 0 && v->dims[elements] <= 128 && v->offset % 8 == 0;
    for (int i = 0; i < v->rank; i++) fits = fits && (i == elements || v->strides[i] % 8 == 0);
    return fits;
}

static sw_status replace(sw_graph *graph, match *m, bool eights) {
    int n = m->q->type.rank;
    view q = locate(m->q, MAX_AHEAD), k = locate(m->k, MAX_AHEAD), v = locate(m->v, MAX_AHEAD);
    int64_t sizes[4] = {q.dims[n - 2], k.dims[n - 1], q.dims[n - 1], v.dims[n - 1 - m->v_turned]};
    int64_t heads = 1, per_head = sizes[0] * sizes[1];
    for (int i = 0; i < n - 2; i++) heads *= q.dims[i];
    if (m->mask && (m->mask_count % per_head != 0 || heads % (m->mask_count / per_head) != 0)) return SW_OK;
    if (eights &&
        (!are_eights(&q, n - 1) || !are_eights(&k, n - 2) || !are_eights(&v, n - 1 - m->v_turned) || m->v_turned))
        return SW_OK;
    match turned = *m;
    view y = locate_result(graph, &turned);
    if (eights && !are_eights(&y, n - 1))
        y = whole(m->last->out[0]);
    else
        *m = turned;
    sw_value *mask = NULL;
    if (m->mask) {
        sw_tensor type = {
            .dtype = SW_F32, .rank = 3, .dims = {m->mask_count / per_head, sizes[0], sizes[1]}, .data = m->mask};
        mask = sw_graph_add_const(graph, "mask", &type);
        if (!mask) return SW_E_NOMEM;
    }
    sw_value *in[4] = {q.base, k.base, v.base, mask}, *out = y.base;
    sw_node *before = m->last->next;
    const char *name = m->last->name;
    sw_graph_remove_node(graph, m->last);
    sw_node *node = sw_graph_add_node(graph, before, SW_OP_FusedAttention, name, mask ? 4 : 3, in, 1, &out);
    if (!node) return SW_E_NOMEM;
    SW_TRY(sw_node_set_ints(graph, node, "batch", q.dims, n - 2));
    SW_TRY(sw_node_set_ints(graph, node, "sizes", sizes, 4));
    SW_TRY(sw_node_set_ints(graph, node, "shape", out->type.dims, out->type.rank));
    sw_node_set_float(node, "scale", (float)m->scale);
    SW_TRY(set_heads(graph, node, "query", &q, n - 2, n - 1));
    SW_TRY(set_heads(graph, node, "key", &k, n - 1, n - 2));
    SW_TRY(set_heads(graph, node, "value", &v, n - 2 + m->v_turned, n - 1 - m->v_turned));
    return set_heads(graph, node, "result", &y, n - 2 + m->v_turned, n - 1 - m->v_turned);
}

sw_status sw__pass_attention(sw_graph *graph, bool eights) {
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        match m;
        if (node->op != SW_OP_Softmax || !find(graph, node, &m)) continue;
        SW_TRY(replace(graph, &m, eights));
        next = node->next; /* what followed may be gone */
    }
    return sw__pass_dead_code(graph, NULL);
}
