/* Steps to nodes: what one kernel does together. All patterns are checked step by step, and only values that nobody else reads
 * disappear. */
#include <string.h>

#include "engine/gpu_expressions.h"
#include "ops/resize.h"
#include "ops/shape.h"

enum { SW_CONV_PORTS = 4 };

typedef struct finder {
    const sw_plan *plan;
    const sw_instance *instance;
    int32_t *producer; /* step by value; -1: none */
    int32_t *readers;  /* number of reading steps (and graph outputs) by value */
    int32_t *reader;   /* the last reading step */
    bool *taken;       /* by step: part of a node that stands elsewhere */
    sw_gpu_node *node; /* by step: the node that stands there; kind STEP when nothing was found */
} finder;

static const sw_step *step_of(const finder *f, int32_t value, sw_op op, int32_t *index) {
    int32_t s = value < 0 ? -1 : f->producer[value];
    if (s < 0 || f->taken[s] || f->instance->skip[s] || f->node[s].kind == SW_GPU_CPU || f->plan->steps[s].op != op)
        return NULL;
    if (index) *index = s;
    return &f->plan->steps[s];
}
static const sw_tensor *value_of(const finder *f, int32_t value) {
    return &f->instance->values[value];
}
static bool only_here(const finder *f, int32_t value) {
    return f->readers[value] == 1;
}
static sw_call call_of(const finder *f, int32_t s, const sw_tensor **in, sw_tensor **out) {
    return sw_step_call(&f->plan->steps[s], f->instance->values, in, out, NULL);
}
static bool set_ports(finder *f, sw_gpu_node *node, const int32_t *in, int n_in, const int32_t *out, int n_out) {
    node->in = sw_arena_copy(f->instance->arena, in, (size_t)n_in * sizeof *in);
    node->out = sw_arena_copy(f->instance->arena, out, (size_t)n_out * sizeof *out);
    node->n_in = n_in;
    node->n_out = n_out;
    return node->in && node->out;
}

/* ---- Pools in a row ------------------------------------------------------------------------------------------------ */

enum { MOST_SHARED = 200 * 1024 };

/* A window of stride 1 that keeps the extents, odd and in the middle. */
static bool is_same_pool(const finder *f, int32_t s, sw_window *w) {
    const sw_tensor *in[1];
    sw_tensor *out[2] = {0};
    const sw_step *step = &f->plan->steps[s];
    if (step->op != SW_OP_MaxPool || (step->n_out > 1 && step->out[1] >= 0)) return false;
    sw_call call = call_of(f, s, in, out);
    if (call.out[0]->layout != SW_CHANNELS_LAST || sw_call_window(&call, call.in[0], NULL, w) != SW_OK) return false;
    for (int i = 0; i < 2; i++)
        if (w->stride[i] != 1 || w->dilation[i] != 1 || w->kernel[i] % 2 == 0 || w->pad_begin[i] != w->kernel[i] / 2 ||
            call.out[0]->dims[2 + i] != call.in[0]->dims[2 + i])
            return false;
    return call.in[0]->dims[2] * call.in[0]->dims[3] * 32 <= MOST_SHARED;
}

static bool find_pools(finder *f, int32_t s) {
    sw_window first, w;
    int32_t last = s, outs[CUDA_MAX_ROUNDS];
    int n = 0;
    if (!is_same_pool(f, s, &first)) return false;
    while (n < CUDA_MAX_ROUNDS) {
        outs[n++] = f->plan->steps[last].out[0];
        int32_t next = -1;
        for (size_t k = (size_t)last + 1; k < f->plan->n_steps && next < 0; k++)
            if (f->plan->steps[k].op == SW_OP_MaxPool && f->plan->steps[k].in[0] == outs[n - 1]) next = (int32_t)k;
        if (next < 0 || !is_same_pool(f, next, &w) || memcmp(w.kernel, first.kernel, 2 * sizeof *w.kernel) != 0) break;
        if (n < CUDA_MAX_ROUNDS) f->taken[next] = true;
        last = next;
    }
    f->node[s].kind = SW_GPU_POOLS;
    return set_ports(f, &f->node[s], f->plan->steps[s].in, 1, outs, n);
}

/* ---- Attention ----------------------------------------------------------------------------------------------------- */

static bool swaps_last_two(const finder *f, int32_t s) {
    const sw_attr *perm = &f->plan->steps[s].attrs[0];
    return perm->set && perm->ints.n == 4 && perm->ints.v[0] == 0 && perm->ints.v[1] == 1 && perm->ints.v[2] == 3 &&
           perm->ints.v[3] == 2;
}

/* Follows a multiplication by a constant number upwards, if there is one. */
static int32_t through_scale(finder *f, int32_t value, float *scale, int32_t *steps, int *n) {
    int32_t at;
    const sw_step *mul = step_of(f, value, SW_OP_Mul, &at);
    if (!mul || !only_here(f, value)) return value;
    for (int i = 0; i < 2; i++) {
        const sw_tensor *factor = value_of(f, mul->in[i]);
        if (!factor->data || factor->dtype != SW_F32 || sw_tensor_count(factor) != 1) continue;
        *scale *= *(const float *)factor->data;
        steps[(*n)++] = at;
        return mul->in[1 - i];
    }
    return value;
}

typedef struct attention {
    int32_t steps[16], qkv, out, values;
    int n;
    float scale;
    int64_t heads, dq, dv;
} attention;

/* From the softmax up to the split: scores = softmax(scale * transpose(q) k). */
static bool match_scores(finder *f, int32_t softmax, attention *a, int32_t *split) {
    int32_t at;
    int32_t scores = through_scale(f, f->plan->steps[softmax].in[0], &a->scale, a->steps, &a->n);
    const sw_step *product = step_of(f, scores, SW_OP_MatMul, &at);
    if (!product || !only_here(f, scores)) return false;
    a->steps[a->n++] = at;
    int32_t left = through_scale(f, product->in[0], &a->scale, a->steps, &a->n);
    const sw_step *turn = step_of(f, left, SW_OP_Transpose, &at);
    if (!turn || !only_here(f, left) || !swaps_last_two(f, at)) return false;
    a->steps[a->n++] = at;
    int32_t query = through_scale(f, turn->in[0], &a->scale, a->steps, &a->n), key = product->in[1];
    const sw_step *parts = step_of(f, query, SW_OP_Split, split);
    return parts && parts->n_out == 3 && parts->out[0] == query && parts->out[1] == key && only_here(f, query) &&
           only_here(f, key);
}

/* From the split up to the map. */
static bool match_source(finder *f, int32_t split, attention *a) {
    const sw_step *parts = &f->plan->steps[split];
    const sw_tensor *q = value_of(f, parts->out[0]), *k = value_of(f, parts->out[1]), *v = value_of(f, parts->out[2]);
    int32_t reshape, relayout;
    const sw_step *r = step_of(f, parts->in[0], SW_OP_Reshape, &reshape);
    const sw_step *rows = r ? step_of(f, r->in[0], SW_OP_Relayout, &relayout) : NULL;
    if (!rows || !only_here(f, parts->in[0]) || !only_here(f, r->in[0])) return false;
    const sw_tensor *whole = value_of(f, parts->in[0]), *map = value_of(f, rows->in[0]);
    if (q->rank != 4 || map->layout != SW_CHANNELS_LAST || map->rank != 4) return false;
    a->heads = q->dims[1], a->dq = q->dims[2], a->dv = v->dims[2];
    bool fits = k->dims[2] == a->dq && whole->dims[0] == map->dims[0] && whole->dims[1] == a->heads &&
                whole->dims[2] == 2 * a->dq + a->dv && whole->dims[1] * whole->dims[2] == map->dims[1] &&
                whole->dims[3] == map->dims[2] * map->dims[3] && sw_cuda_has_attention(a->dq, a->dv);
    a->qkv = rows->in[0];
    a->steps[a->n++] = split;
    a->steps[a->n++] = reshape;
    a->steps[a->n++] = relayout;
    return fits;
}

/* Reshape and Relayout behind rows [batch, heads, depth, pixels], to a map of all heads; -1 when it is something else. */
static int32_t match_map(finder *f, int32_t rows, attention *a) {
    const sw_plan *plan = f->plan;
    for (size_t s = 0; s < plan->n_steps; s++) {
        const sw_step *reshape = &plan->steps[s];
        if (reshape->op != SW_OP_Reshape || reshape->in[0] != rows || !only_here(f, reshape->out[0])) continue;
        int32_t next = f->reader[reshape->out[0]];
        const sw_tensor *r = value_of(f, rows), *flat = value_of(f, reshape->out[0]);
        if (next < 0 || plan->steps[next].op != SW_OP_Relayout || flat->rank != 4 || flat->dims[0] != r->dims[0] ||
            flat->dims[1] != r->dims[1] * r->dims[2])
            continue;
        a->steps[a->n++] = (int32_t)s;
        a->steps[a->n++] = next;
        return plan->steps[next].out[0];
    }
    return -1;
}

/* From the softmax down: out = v transpose(scores), and both to maps. */
static bool match_result(finder *f, int32_t softmax, int32_t v, attention *a) {
    const sw_plan *plan = f->plan;
    int32_t scores = plan->steps[softmax].out[0], turn = f->reader[scores];
    if (!only_here(f, scores) || turn < 0 || plan->steps[turn].op != SW_OP_Transpose || !swaps_last_two(f, turn))
        return false;
    int32_t turned = plan->steps[turn].out[0], product = f->reader[turned];
    if (!only_here(f, turned) || product < 0 || plan->steps[product].op != SW_OP_MatMul ||
        plan->steps[product].in[0] != v || plan->steps[product].in[1] != turned)
        return false;
    a->steps[a->n++] = turn;
    a->steps[a->n++] = product;
    int32_t result = plan->steps[product].out[0];
    a->values = -1;
    if (f->readers[v] == 2 && (a->values = match_map(f, v, a)) < 0) return false;
    if (f->readers[v] > 2 || !only_here(f, result)) return false;
    a->out = match_map(f, result, a);
    return a->out >= 0;
}

static bool find_attention(finder *f, int32_t s) {
    attention a = {.scale = 1};
    int32_t split;
    const sw_step *softmax = &f->plan->steps[s];
    if (softmax->op != SW_OP_Softmax || value_of(f, softmax->in[0])->rank != 4) return false;
    const sw_tensor *in[1];
    sw_tensor *out[1];
    sw_call call = call_of(f, s, in, out);
    int64_t axis = sw_call_int(&call, "axis");
    if ((axis != -1 && axis != 3) || !match_scores(f, s, &a, &split)) return false;
    if (!match_source(f, split, &a) || !match_result(f, s, f->plan->steps[split].out[2], &a)) return false;
    a.steps[a.n++] = s;
    int32_t last = s, outs[2] = {a.out, a.values};
    for (int i = 0; i < a.n; i++) {
        f->taken[a.steps[i]] = true;
        bool makes = f->plan->steps[a.steps[i]].out[0] == a.out || f->plan->steps[a.steps[i]].out[0] == a.values;
        if (makes && (last == s || a.steps[i] < last)) last = a.steps[i];
    }
    f->taken[last] = false; /* the node stands where its first result is made; all of its input is there by then */
    sw_gpu_node *node = &f->node[last];
    node->kind = SW_GPU_ATTENTION;
    node->heads = (int)a.heads, node->dq = (int)a.dq, node->dv = (int)a.dv;
    node->scale = a.scale;
    return set_ports(f, node, &a.qkv, 1, outs, a.values < 0 ? 1 : 2);
}

/* ---- The head of YOLO 8 and 11 ------------------------------------------------------------------------------------- */

typedef struct decode {
    int32_t steps[64];
    int n;
    int32_t boxes[CUDA_MAX_LEVELS], scores[CUDA_MAX_LEVELS], minus, plus, stride;
    int levels;
} decode;

static const sw_step *up(finder *f, decode *d, int32_t value, sw_op op) {
    int32_t at;
    const sw_step *step = step_of(f, value, op, &at);
    if (!step || !only_here(f, value) || d->n >= 60) return NULL;
    d->steps[d->n++] = at;
    return step;
}

/* Concat over the last axis of Reshape(Relayout(map)): the maps of all levels. */
static int match_levels(finder *f, decode *d, int32_t value, int64_t channels, int32_t *maps) {
    const sw_step *join = up(f, d, value, SW_OP_Concat);
    if (!join || join->n_in > CUDA_MAX_LEVELS || value_of(f, value)->rank != 3) return 0;
    for (int i = 0; i < join->n_in; i++) {
        const sw_step *reshape = up(f, d, join->in[i], SW_OP_Reshape);
        const sw_step *relayout = reshape ? up(f, d, reshape->in[0], SW_OP_Relayout) : NULL;
        if (!relayout) return 0;
        const sw_tensor *rows = value_of(f, join->in[i]), *map = value_of(f, relayout->in[0]);
        if (map->layout != SW_CHANNELS_LAST || rows->rank != 3 || rows->dims[0] != map->dims[0] ||
            rows->dims[1] != channels || map->dims[1] != channels || rows->dims[2] != map->dims[2] * map->dims[3])
            return 0;
        maps[i] = relayout->in[0];
    }
    const sw_tensor *all = value_of(f, value);
    return all->dims[1] == channels ? join->n_in : 0;
}

static bool is_rows(const finder *f, int32_t v, int64_t rows, int64_t anchors) {
    const sw_tensor *t = value_of(f, v);
    return t->data && t->dtype == SW_F32 && sw_tensor_count(t) == rows * anchors && t->dims[t->rank - 1] == anchors;
}

/* Whether a value is half of the distances from row `first` on: by Slice, or a part of a Split; `dfl` becomes the whole. */
static bool is_half(finder *f, decode *d, int32_t value, int64_t first, int32_t *dfl) {
    int32_t at;
    const sw_tensor *out = value_of(f, value);
    const sw_step *split = step_of(f, value, SW_OP_Split, &at);
    if (!only_here(f, value) || out->rank != 3 || out->dims[1] != 2) return false;
    if (split) {
        *dfl = split->in[0];
        if (first == 0) d->steps[d->n++] = at; /* both halves are its parts */
        return split->n_out == 2 && split->out[first / 2] == value;
    }
    const sw_step *slice = up(f, d, value, SW_OP_Slice);
    if (!slice || slice->n_in < 4 || slice->in[3] < 0) return false;
    const sw_tensor *start = value_of(f, slice->in[1]), *axis = value_of(f, slice->in[3]);
    *dfl = slice->in[0];
    return start->data && axis->data && sw_tensor_count(start) == 1 && sw_tensor_int_at(start, 0) == first &&
           (sw_tensor_int_at(axis, 0) == 1 || sw_tensor_int_at(axis, 0) == -2) && (slice->n_in < 5 || slice->in[4] < 0);
}

/* boxes = concat((low + high) / 2, high - low) * stride, with low = minus - the first half of the distances and high = plus +
 * the second. */
static bool match_boxes(finder *f, decode *d, int32_t value, int64_t anchors) {
    const sw_step *mul = up(f, d, value, SW_OP_Mul);
    if (!mul || !is_rows(f, mul->in[1], 1, anchors)) return false;
    const sw_step *join = up(f, d, mul->in[0], SW_OP_Concat);
    if (!join || join->n_in != 2) return false;
    const sw_step *half = up(f, d, join->in[0], SW_OP_Div), *size = up(f, d, join->in[1], SW_OP_Sub);
    if (!half || !size) return false;
    const sw_tensor *two = value_of(f, half->in[1]);
    if (!two->data || two->dtype != SW_F32 || sw_tensor_count(two) != 1 || *(const float *)two->data != 2) return false;
    const sw_step *sum = up(f, d, half->in[0], SW_OP_Add);
    if (!sum || sum->in[0] != size->in[1] || sum->in[1] != size->in[0]) return false;
    int32_t low_at, high_at;
    const sw_step *low = step_of(f, sum->in[0], SW_OP_Sub, &low_at),
                  *high = step_of(f, sum->in[1], SW_OP_Add, &high_at);
    if (!low || !high || f->readers[sum->in[0]] != 2 || f->readers[sum->in[1]] != 2 ||
        !is_rows(f, low->in[0], 2, anchors) || !is_rows(f, high->in[0], 2, anchors))
        return false;
    d->steps[d->n++] = low_at;
    d->steps[d->n++] = high_at;
    int32_t dfl_at, dfl, other;
    if (!is_half(f, d, low->in[1], 0, &dfl) || !is_half(f, d, high->in[1], 2, &other) || dfl != other) return false;
    const sw_step *distances = step_of(f, dfl, SW_OP_Dfl, &dfl_at);
    if (!distances || f->readers[dfl] > 2 || value_of(f, dfl)->dims[1] != 4) return false;
    d->steps[d->n++] = dfl_at;
    d->minus = low->in[0], d->plus = high->in[0], d->stride = mul->in[1];
    d->levels = match_levels(f, d, distances->in[0], 64, d->boxes);
    return d->levels > 0;
}

static bool find_decode(finder *f, int32_t s) {
    const sw_step *join = &f->plan->steps[s];
    if (join->op != SW_OP_Concat || join->n_in != 2 || value_of(f, join->out[0])->rank != 3) return false;
    const sw_tensor *out = value_of(f, join->out[0]), *box = value_of(f, join->in[0]),
                    *class = value_of(f, join->in[1]);
    if (box->rank != 3 || class->rank != 3 || box->dims[1] != 4 || out->dims[1] != 4 + class->dims[1]) return false;
    decode d = {0};
    int32_t ports[2 * CUDA_MAX_LEVELS + 3];
    const sw_step *sigmoid = up(f, &d, join->in[1], SW_OP_Sigmoid);
    if (!sigmoid || class->dims[1] > 1024 || !match_boxes(f, &d, join->in[0], out->dims[2])) return false;
    if (match_levels(f, &d, sigmoid->in[0], class->dims[1], d.scores) != d.levels) return false;
    for (int i = 0; i < d.levels; i++) {
        const sw_tensor *a = value_of(f, d.boxes[i]), *b = value_of(f, d.scores[i]);
        if (a->dims[2] != b->dims[2] || a->dims[3] != b->dims[3]) return false;
        ports[i] = d.boxes[i], ports[d.levels + i] = d.scores[i];
    }
    for (int i = 0; i < d.n; i++) f->taken[d.steps[i]] = true;
    ports[2 * d.levels] = d.minus, ports[2 * d.levels + 1] = d.plus, ports[2 * d.levels + 2] = d.stride;
    f->node[s].kind = SW_GPU_DECODE;
    f->node[s].levels = d.levels;
    f->node[s].classes = (int)class->dims[1];
    return set_ports(f, &f->node[s], ports, 2 * d.levels + 3, join->out, 1);
}

/* ---- Channels in turn ---------------------------------------------------------------------------------------------- */

/* A join of two maps that is shuffled in two groups needs no place of its own. */
static bool find_turns(finder *f, int32_t s) {
    const sw_tensor *in[1];
    sw_tensor *out[1];
    const sw_step *step = &f->plan->steps[s];
    if (step->op != SW_OP_ChannelShuffle || value_of(f, step->out[0])->layout != SW_CHANNELS_LAST) return true;
    sw_call call = call_of(f, s, in, out);
    int32_t at;
    const sw_step *join = step_of(f, step->in[0], SW_OP_Concat, &at);
    if (!join || join->n_in != 2 || !only_here(f, step->in[0]) || sw_call_int(&call, "groups") != 2 ||
        value_of(f, join->in[0])->dims[1] != value_of(f, join->in[1])->dims[1])
        return true;
    f->node[s].kind = SW_GPU_TURNS;
    f->taken[at] = true;
    return set_ports(f, &f->node[s], join->in, 2, step->out, 1);
}

/* ---- Squeeze and excite -------------------------------------------------------------------------------------------- */

/* The convolution that makes a value for one reader alone. */
static bool find_conv(const finder *f, int32_t value, int32_t *at, sw_conv *conv) {
    const sw_tensor *in[SW_CONV_PORTS];
    sw_tensor *out[1];
    const sw_step *step = step_of(f, value, SW_OP_FusedConv, at);
    if (!step || !only_here(f, value) || step->n_in > SW_CONV_PORTS || f->node[*at].kind != SW_GPU_CONV) return false;
    sw_call call = call_of(f, *at, in, out);
    return sw_call_conv(&call, conv) == SW_OK;
}

/* map * gate, gate = conv(conv(mean of the map)). */
static bool find_excite(finder *f, int32_t s, const sw_cuda_info *gpu) {
    const sw_step *mul = &f->plan->steps[s];
    if (mul->op != SW_OP_Mul || value_of(f, mul->out[0])->layout != SW_CHANNELS_LAST) return true;
    for (int i = 0; i < 2; i++) {
        sw_conv convs[2];
        int32_t at[2], mean, map = mul->in[1 - i];
        if (!find_conv(f, mul->in[i], &at[1], &convs[1])) continue;
        int32_t hidden = f->plan->steps[at[1]].in[0];
        if (!find_conv(f, hidden, &at[0], &convs[0])) continue;
        int32_t squeezed = f->plan->steps[at[0]].in[0];
        const sw_step *pool = step_of(f, squeezed, SW_OP_GlobalAveragePool, &mean);
        if (!pool || pool->in[0] != map || convs[1].out_channels != value_of(f, map)->dims[1]) continue;
        int begin = sw_cuda_excite_begin(convs, value_of(f, map), gpu);
        if (begin < 0) continue;
        sw_gpu_node *node = &f->node[s];
        node->kind = SW_GPU_EXCITE;
        node->begin = begin;
        for (int k = 0; k < 2; k++) node->convs[k] = at[k];
        for (int k = begin; k < 2; k++) f->taken[at[k]] = true;
        return set_ports(f, node, (int32_t[]){map, begin ? hidden : squeezed}, 2, mul->out, 1);
    }
    return true;
}

/* ---- Classifiers --------------------------------------------------------------------------------------------------- */

/* The step that alone reads the result of step s; -1: none, or the result is not planned. */
static int32_t only_reader(const finder *f, int32_t s) {
    int32_t value = f->plan->steps[s].out[0], next = f->reader[value];
    bool here = only_here(f, value) && next >= 0 && !f->taken[next] && f->plan->steps[next].out[0] >= 0 &&
                f->instance->places[value] == SW_PLACE_PLANNED &&
                f->instance->places[f->plan->steps[next].out[0]] == SW_PLACE_PLANNED;
    return here ? next : -1;
}

/* A mean of maps that becomes rows. */
static bool find_mean(finder *f, int32_t s) {
    const sw_step *step = &f->plan->steps[s];
    int32_t next = step->op == SW_OP_GlobalAveragePool ? only_reader(f, s) : -1;
    if (next < 0 || f->plan->steps[next].op != SW_OP_Relayout || value_of(f, step->in[0])->layout != SW_CHANNELS_LAST ||
        value_of(f, f->plan->steps[next].out[0])->layout != SW_ROW_MAJOR)
        return true;
    f->node[s].kind = SW_GPU_MEAN;
    f->taken[next] = true;
    return set_ports(f, &f->node[s], step->in, 1, f->plan->steps[next].out, 1);
}

/* A product of few rows whose result only an activation reads. */
static bool find_gemm(finder *f, int32_t s) {
    const sw_step *step = &f->plan->steps[s];
    int32_t next = step->op == SW_OP_Gemm ? only_reader(f, s) : -1;
    const sw_tensor *in[SW_CONV_PORTS], *next_in[SW_CONV_PORTS];
    sw_tensor *out[1], *next_out[1];
    sw_cuda_launch launch;
    if (next < 0 || step->n_in > SW_CONV_PORTS || f->plan->steps[next].n_in > SW_CONV_PORTS ||
        value_of(f, step->out[0])->dtype != SW_F32)
        return true;
    sw_call call = call_of(f, s, in, out), act = call_of(f, next, next_in, next_out);
    if (!sw_cuda_lower_few_rows(&call, &act, &launch)) return true;
    f->node[s].kind = SW_GPU_GEMM;
    f->node[s].act = next;
    f->taken[next] = true;
    return set_ports(f, &f->node[s], step->in, step->n_in, f->plan->steps[next].out, 1);
}

/* ---- All ----------------------------------------------------------------------------------------------------------- */

/* Empty batches: kernels have nothing to launch for, and their numbers would be divided by. */
static bool makes_nothing(const finder *f, const sw_step *step) {
    bool nothing = step->n_out > 0;
    for (int i = 0; i < step->n_out; i++)
        nothing = nothing && (step->out[i] < 0 || sw_tensor_count(value_of(f, step->out[i])) == 0);
    return nothing;
}

static void find_uses(finder *f) {
    const sw_plan *plan = f->plan;
    for (size_t v = 0; v < plan->n_values; v++) f->producer[v] = f->reader[v] = -1;
    for (size_t s = 0; s < plan->n_steps; s++) {
        const sw_step *step = &plan->steps[s];
        f->node[s] = (sw_gpu_node){.step = (int32_t)s,
                                   .n_in = step->n_in,
                                   .n_out = step->n_out,
                                   .in = step->in,
                                   .out = step->out,
                                   .stream = -1};
        if (makes_nothing(f, step)) f->node[s].kind = SW_GPU_CPU, f->node[s].why = "its result is empty";
        for (int i = 0; i < step->n_out; i++)
            if (step->out[i] >= 0) f->producer[step->out[i]] = (int32_t)s;
        if (f->instance->skip[s]) continue;
        for (int i = 0; i < step->n_in; i++)
            if (step->in[i] >= 0) f->readers[step->in[i]]++, f->reader[step->in[i]] = (int32_t)s;
    }
    for (int i = 0; i < plan->n_outputs; i++) f->readers[plan->outputs[i]]++;
}

static bool is_reshape(const finder *f, int32_t s) {
    sw_op op = f->plan->steps[s].op;
    if (op != SW_OP_Reshape && op != SW_OP_Flatten && op != SW_OP_Squeeze && op != SW_OP_Unsqueeze &&
        op != SW_OP_Identity)
        return false;
    const sw_tensor *x = value_of(f, f->plan->steps[s].in[0]), *y = value_of(f, f->plan->steps[s].out[0]);
    sw_place place = f->instance->places[f->plan->steps[s].in[0]];
    return x->layout == SW_ROW_MAJOR && y->layout == SW_ROW_MAJOR && sw_cuda_has_type(x->dtype) &&
           (place == SW_PLACE_PLANNED || place == SW_PLACE_INPUT);
}

/* By how many bits the places of an axis are shifted when it is enlarged; -1: it is done in another way. */
static int shift_of(const sw_resize *r, int axis, int64_t in, int64_t out) {
    int shift = 0;
    while (in << shift < out) shift++;
    for (int64_t o = 0; o < out; o++) {
        int64_t at = sw_resize_round(r->nearest, sw_resize_source(r, axis, in, out, o));
        if ((at < 0 ? 0 : at >= in ? in - 1 : at) != o >> shift) return -1;
    }
    return in << shift == out ? shift : -1;
}

/* What is added to the enlarged result of a 1 x 1 convolution is often there long before it: then that is summed up first,
 * where the enlarged map would lie, and the 1 x 1 convolution reads its input as an enlarged one and makes the end. So one
 * kernel less lies behind its input; for small maps only, since it computes 4^shift times as much. Returns false when it is not
 * done. */
static bool turn_around(finder *f, int32_t resize, int32_t next, const sw_conv *conv, int shift,
                        const sw_cuda_info *gpu) {
    const sw_step *first = &f->plan->steps[next];
    const sw_tensor *in[SW_CONV_PORTS];
    sw_tensor *out[1];
    sw_conv small;
    int32_t at, there = f->producer[first->in[0]], enlarged = f->plan->steps[resize].out[0];
    const sw_step *step = step_of(f, f->plan->steps[resize].in[0], SW_OP_FusedConv, &at);
    if (!step || !only_here(f, step->out[0]) || f->node[at].kind != SW_GPU_CONV || step->n_in > SW_CONV_PORTS ||
        there < 0 || there >= at || f->instance->places[enlarged] != SW_PLACE_PLANNED || !conv->residual_before_act ||
        conv->batch * conv->out_height * conv->out_width > 64 * gpu->multiprocessors)
        return false;
    sw_call call = call_of(f, at, in, out);
    if (sw_call_conv(&call, &small) != SW_OK || small.kernel_h != 1 || small.kernel_w != 1 || small.stride_h != 1 ||
        small.stride_w != 1 || small.height != small.out_height || small.width != small.out_width || small.residual ||
        small.act != SW_ACT_NONE || sw_cuda_conv_form(&small) != SW_CUDA_FORM_TILES)
        return false;
    sw_gpu_node *before = &f->node[at], *end = &f->node[next];
    const int32_t sums[] = {first->in[0], first->in[1], first->in[2]};
    const int32_t ends[] = {step->in[0], step->in[1], step->n_in > 2 ? step->in[2] : -1, enlarged};
    before->bare = true, before->step = next;
    end->in_shift = shift, end->step = at, end->end = next;
    return set_ports(f, before, sums, 3, &enlarged, 1) && set_ports(f, end, ends, SW_CONV_PORTS, first->out, 1);
}

/* An enlarged map that is nothing but the residual of a convolution on tensor cores: that reads the small one. */
static bool find_enlarged(finder *f, int32_t s, const sw_cuda_info *gpu) {
    const sw_step *step = &f->plan->steps[s];
    const sw_tensor *in[SW_CONV_PORTS];
    sw_tensor *out[1];
    sw_conv conv;
    sw_resize r;
    int32_t next = step->op == SW_OP_Resize && f->node[s].kind == SW_GPU_STEP ? f->reader[step->out[0]] : -1;
    if (next < 0 || !only_here(f, step->out[0]) || f->node[next].kind != SW_GPU_CONV || step->n_in > SW_CONV_PORTS ||
        f->plan->steps[next].n_in != SW_CONV_PORTS || f->plan->steps[next].in[3] != step->out[0])
        return true;
    sw_call call = call_of(f, s, in, out);
    const sw_tensor *x = in[0], *y = out[0];
    if (f->instance->places[step->in[0]] != SW_PLACE_PLANNED || x->layout != SW_CHANNELS_LAST ||
        sw_call_resize(&call, &r) != SW_OK || r.mode != SW_RESIZE_NEAREST)
        return true;
    int shift = shift_of(&r, 2, x->dims[2], y->dims[2]);
    call = call_of(f, next, in, out);
    if (shift < 0 || shift_of(&r, 3, x->dims[3], y->dims[3]) != shift || sw_call_conv(&call, &conv) != SW_OK ||
        sw_cuda_conv_form(&conv) != SW_CUDA_FORM_TILES)
        return true;
    const int32_t *ports = f->plan->steps[next].in;
    f->taken[s] = true;
    if (turn_around(f, s, next, &conv, shift, gpu)) return true;
    f->node[next].residual_shift = shift;
    return set_ports(f, &f->node[next], (int32_t[]){ports[0], ports[1], ports[2], step->in[0]}, SW_CONV_PORTS,
                     f->plan->steps[next].out, 1);
}

/* A stem whose only reader is a convolution that has a kernel with it. */
static bool find_stem_conv(finder *f, int32_t s, const sw_cuda_info *gpu) {
    const sw_step *step = &f->plan->steps[s];
    const sw_tensor *in[SW_CONV_PORTS], *next_in[SW_CONV_PORTS];
    sw_tensor *out[1], *next_out[1];
    sw_conv stem, conv;
    int32_t next = f->reader[step->out[0]];
    if (f->node[s].kind != SW_GPU_STEM || !only_here(f, step->out[0]) || next < 0 ||
        f->node[next].kind != SW_GPU_CONV || f->plan->steps[next].in[0] != step->out[0] || step->n_in > SW_CONV_PORTS ||
        f->plan->steps[next].n_in > SW_CONV_PORTS || f->instance->places[step->in[0]] == SW_PLACE_DYNAMIC ||
        value_of(f, step->in[0])->dtype != SW_F32)
        return true;
    sw_call call = call_of(f, s, in, out), next_call = call_of(f, next, next_in, next_out);
    if (sw_call_conv(&call, &stem) != SW_OK || sw_call_conv(&next_call, &conv) != SW_OK ||
        !sw_cuda_has_stem_conv(&stem, &conv, gpu))
        return true;
    f->node[next].kind = SW_GPU_STEM_CONV;
    f->node[next].first = s;
    f->taken[s] = true;
    return set_ports(f, &f->node[next], step->in, 1, f->plan->steps[next].out, 1);
}

sw_status sw_gpu_find_nodes(const sw_plan *plan, const sw_instance *instance, const sw_cuda_info *gpu,
                            sw_gpu_node **nodes, int *n) {
    finder f = {.plan = plan, .instance = instance};
    f.producer = SW_ARENA_ARRAY(instance->arena, int32_t, plan->n_values);
    f.readers = SW_ARENA_ARRAY(instance->arena, int32_t, plan->n_values);
    f.reader = SW_ARENA_ARRAY(instance->arena, int32_t, plan->n_values);
    f.taken = SW_ARENA_ARRAY(instance->arena, bool, plan->n_steps);
    f.node = SW_ARENA_ARRAY(instance->arena, sw_gpu_node, plan->n_steps);
    if (!f.producer || !f.readers || !f.reader || !f.taken || !f.node) return SW_E_NOMEM;
    find_uses(&f);
    for (size_t s = 0; s < plan->n_steps; s++) {
        int32_t at = (int32_t)s;
        if (instance->skip[s] || f.taken[s] || plan->steps[s].n_out < 1 || plan->steps[s].out[0] < 0) continue;
        if (f.node[s].kind == SW_GPU_CPU || instance->places[plan->steps[s].out[0]] != SW_PLACE_PLANNED) continue;
        if (find_attention(&f, at) || find_decode(&f, at)) continue;
    }
    *n = 0;
    for (size_t s = 0; s < plan->n_steps; s++) {
        int32_t at = (int32_t)s;
        if (instance->skip[s] || f.taken[s]) continue;
        bool planned = plan->steps[s].n_out > 0 && plan->steps[s].out[0] >= 0 &&
                       instance->places[plan->steps[s].out[0]] == SW_PLACE_PLANNED;
        if (planned && f.node[s].kind == SW_GPU_STEP && !find_pools(&f, at)) {
            bool conv =
                plan->steps[s].op == SW_OP_FusedConv && value_of(&f, plan->steps[s].out[0])->layout == SW_CHANNELS_LAST;
            bool planes = conv && value_of(&f, plan->steps[s].in[0])->layout == SW_ROW_MAJOR;
            if (conv) f.node[s].kind = planes ? SW_GPU_STEM : SW_GPU_CONV;
            if (is_reshape(&f, at)) f.node[s].kind = SW_GPU_ALIAS;
        }
    }
    for (size_t s = 0; s < plan->n_steps; s++)
        if ((f.node[s].kind == SW_GPU_STEM && !find_stem_conv(&f, (int32_t)s, gpu)) || !find_enlarged(&f, (int32_t)s, gpu))
            return SW_E_NOMEM;
    for (size_t s = 0; s < plan->n_steps; s++) {
        if (instance->skip[s] || f.taken[s] || f.node[s].kind != SW_GPU_STEP) continue;
        if (!find_turns(&f, (int32_t)s) || !find_excite(&f, (int32_t)s, gpu)) return SW_E_NOMEM;
        if (!find_mean(&f, (int32_t)s) || !find_gemm(&f, (int32_t)s)) return SW_E_NOMEM;
    }
    SW_TRY(sw__gpu_find_expressions(plan, instance, f.taken, f.node));
    for (size_t s = 0; s < plan->n_steps; s++)
        if (!instance->skip[s] && !f.taken[s]) f.node[(*n)++] = f.node[s];
    *nodes = f.node;
    return SW_OK;
}
