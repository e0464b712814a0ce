#include "engine/pictures.h"

#include "ops/fused_attention.h"
#include "ops/shape.h"

/* ---- Operators ------------------------------------------------------------------------------------------------------- */

/* How an operator treats pictures. Inputs that are the same for all pictures go with any. */
typedef enum way {
    OTHER,   /* it may mix them */
    ORDER,   /* elements keep their order */
    EACH,    /* element by element, shapes broadcast */
    LEADING, /* axis 0 goes item by item */
    ALONG,   /* all axes but the attribute `axis` go item by item */
    BEHIND,  /* the same of axes before `axis` */
    PLACES,  /* along axes whose extents stay, items stay where they are */
    PRODUCT, /* rows go one by one, matrices before them, too */
    GATHER,
    REDUCE,
    TRANSPOSE,
    ATTENTION,
} way;

#define OP(id, way) [SW_OP_##id] = way,
/* clang-format off */
static const uint8_t ways[SW_OP_COUNT] = {
    OP(Identity, ORDER) OP(Reshape, ORDER) OP(Flatten, ORDER) OP(Squeeze, ORDER) OP(Unsqueeze, ORDER)
    OP(Relayout, ORDER) OP(Cast, ORDER)
    OP(Abs, EACH) OP(Neg, EACH) OP(Sign, EACH) OP(Exp, EACH) OP(Log, EACH) OP(Sqrt, EACH) OP(Reciprocal, EACH)
    OP(Floor, EACH) OP(Ceil, EACH) OP(Round, EACH) OP(Sin, EACH) OP(Cos, EACH) OP(Tanh, EACH) OP(Erf, EACH)
    OP(Sigmoid, EACH) OP(Relu, EACH) OP(Softplus, EACH) OP(Softsign, EACH) OP(HardSwish, EACH) OP(Mish, EACH)
    OP(Not, EACH) OP(LeakyRelu, EACH) OP(Elu, EACH) OP(Celu, EACH) OP(Selu, EACH) OP(HardSigmoid, EACH) OP(Gelu, EACH)
    OP(Swish, EACH) OP(Clip, EACH) OP(Add, EACH) OP(Sub, EACH) OP(Mul, EACH) OP(Div, EACH) OP(PRelu, EACH)
    OP(Pow, EACH) OP(Mod, EACH) OP(And, EACH) OP(Or, EACH) OP(Xor, EACH) OP(Equal, EACH) OP(Less, EACH)
    OP(LessOrEqual, EACH) OP(Greater, EACH) OP(GreaterOrEqual, EACH) OP(Min, EACH) OP(Max, EACH) OP(Sum, EACH)
    OP(Mean, EACH) OP(Where, EACH)
    OP(Conv, LEADING) OP(FusedConv, LEADING) OP(ConvTranspose, LEADING) OP(MaxPool, LEADING) OP(AveragePool, LEADING)
    OP(GlobalAveragePool, LEADING) OP(GlobalMaxPool, LEADING) OP(BatchNormalization, LEADING)
    OP(InstanceNormalization, LEADING) OP(LRN, LEADING) OP(DepthToSpace, LEADING) OP(SpaceToDepth, LEADING)
    OP(PixelShuffle, LEADING) OP(ChannelShuffle, LEADING) OP(Dfl, LEADING) OP(GridSample, LEADING) OP(Resize, LEADING)
    OP(Softmax, ALONG) OP(LogSoftmax, ALONG) OP(LpNormalization, ALONG) OP(Concat, ALONG) OP(Split, ALONG)
    OP(TopK, ALONG) OP(GatherElements, ALONG)
    OP(LayerNormalization, BEHIND) OP(RMSNormalization, BEHIND)
    OP(Slice, PLACES) OP(Expand, PLACES) OP(Tile, PLACES) OP(Pad, PLACES)
    OP(MatMul, PRODUCT) OP(Gemm, PRODUCT) OP(FusedProduct, PRODUCT)
    OP(Gather, GATHER)
    OP(Transpose, TRANSPOSE)
    OP(FusedAttention, ATTENTION)
    OP(ReduceSum, REDUCE) OP(ReduceMean, REDUCE) OP(ReduceMax, REDUCE) OP(ReduceMin, REDUCE) OP(ReduceProd, REDUCE)
    OP(ReduceL1, REDUCE) OP(ReduceL2, REDUCE) OP(ReduceSumSquare, REDUCE)
};
/* clang-format on */
#undef OP

/* ---- Places ---------------------------------------------------------------------------------------------------------- */

/* The axis along which the picture changes, counted from the last one (0) since shapes are broadcast so, and after how many of
 * its items. */
typedef struct place {
    bool known, none; /* none: the same for all pictures */
    int from_last;
    int64_t items, extent; /* extent: of the axis */
} place;

typedef struct finder {
    sw_instance *instance;
    int64_t batch;
    const sw_tensor **in;
    sw_tensor **out;
} finder;

static place place_in(const finder *f, const sw_tensor *t, int64_t turn) {
    place p = {.known = turn != SW_PICTURES_UNKNOWN, .none = turn == SW_PICTURES_NONE};
    int64_t stride = 1;
    if (turn <= 0 || !sw_tensor_is_concrete(t)) return p;
    for (p.from_last = 0; p.from_last < t->rank; p.from_last++) {
        p.extent = t->dims[t->rank - 1 - p.from_last];
        p.items = turn / stride;
        if (turn % stride == 0 && p.extent % (p.items * f->batch) == 0) return p;
        if (p.extent == 0 || turn % stride != 0) break;
        stride *= p.extent;
    }
    return (place){0};
}

static place place_of(const finder *f, const sw_step *step, int port) {
    int32_t value = port < step->n_in ? step->in[port] : -1;
    if (value < 0) return (place){.known = true, .none = true};
    return place_in(f, &f->instance->values[value], f->instance->turns[value]);
}

/* So that an output changes pictures along that axis, which must be as in the inputs. */
static int64_t turn_of(const sw_tensor *out, const place *p) {
    int axis = out->rank - 1 - p->from_last;
    if (p->none || !p->known) return p->none ? SW_PICTURES_NONE : SW_PICTURES_UNKNOWN;
    if (!sw_tensor_is_concrete(out) || axis < 0 || out->dims[axis] != p->extent) return SW_PICTURES_UNKNOWN;
    int64_t turn = p->items;
    for (int i = axis + 1; i < out->rank; i++) turn *= out->dims[i];
    return turn;
}

/* What two inputs have in common. */
static place meet(place a, place b) {
    if (!a.known || !b.known) return (place){0};
    if (a.none || b.none) return a.none ? b : a;
    return a.from_last == b.from_last && a.items == b.items && a.extent == b.extent ? a : (place){0};
}

static place meet_all(const finder *f, const sw_step *step) {
    place all = {.known = true, .none = true};
    for (int i = 0; i < step->n_in; i++) all = meet(all, place_of(f, step, i));
    return all;
}

/* Whether its axis lies before (or is another than) `axis` of an input of that rank. */
static bool is_before(const place *p, int rank, int axis) {
    return p->none || rank - 1 - p->from_last < axis;
}
static bool is_other(const place *p, int rank, int axis) {
    return p->none || rank - 1 - p->from_last != axis;
}

/* ---- Single operators ------------------------------------------------------------------------------------------------ */

/* Rows of the first factor, and matrices of both; a fused one's last input is added to the result. */
static place of_product(const finder *f, const sw_step *step, const sw_call *c) {
    place x = place_of(f, step, 0), w = place_of(f, step, 1), bias = place_of(f, step, 2);
    if (!x.known || !w.known || (c->op == SW_OP_Gemm && sw_call_int(c, "transA"))) return (place){0};
    if (!x.none && (x.from_last == 0 || (x.from_last == 1 && !w.none))) return (place){0};
    if (!w.none && w.from_last < 2) return (place){0};
    return meet(meet(x, w), meet(bias, place_of(f, step, 3)));
}

static place of_gather(const finder *f, const sw_step *step, const sw_call *c) {
    place x = place_of(f, step, 0), index = place_of(f, step, 1);
    int rank = c->in[0]->rank, axis = sw_axis(sw_call_int(c, "axis"), rank);
    if (!x.known || !index.none || axis < 0 || !is_other(&x, rank, axis)) return (place){0};
    if (!x.none && is_before(&x, rank, axis)) x.from_last += c->in[1]->rank - 1;
    return x;
}

static place of_reduce(const finder *f, const sw_step *step, const sw_call *c) {
    place x = place_of(f, step, 0);
    bool reduced[SW_MAX_RANK];
    int rank = c->in[0]->rank, axis = rank - 1 - x.from_last;
    if (!x.known || x.none) return x;
    if (sw_call_reduced_axes(c, reduced) != SW_OK || reduced[axis]) return (place){0};
    for (int i = axis + 1; i < rank && !sw_call_int(c, "keepdims"); i++) x.from_last -= reduced[i];
    return x;
}

static place of_transpose(const finder *f, const sw_step *step, const sw_call *c) {
    place x = place_of(f, step, 0);
    int perm[SW_MAX_RANK], rank = c->in[0]->rank, axis = rank - 1 - x.from_last, to = 0;
    if (!x.known || x.none) return x;
    if (sw__permutation(c, rank, perm) != SW_OK) return (place){0};
    while (perm[to] != axis) to++;
    x.from_last = rank - 1 - to;
    return x;
}

/* Whether vectors of heads that lie so belong to one picture each, which is that of item i / items % batch of the batch's axis
 * `axis`, where pictures change with every `turn` elements. */
static bool follows(const finder *f, const sw_fused_attention *a, const sw_heads *h, int64_t vectors, int64_t size,
                    int axis, int64_t items, int64_t turn) {
    int64_t reach = h->offset % (turn * f->batch); /* within a picture's turn */
    if (h->batch[axis] * items != turn) return false;
    for (int i = -2; i < a->n_batch; i++) {
        int64_t stride = i == -2 ? h->along : i == -1 ? h->across : h->batch[i];
        int64_t extent = i == -2 ? vectors : i == -1 ? size : i == axis ? items : a->batch[i];
        if (extent > 1 && stride % (turn * f->batch) != 0) reach += (extent - 1) * stride;
    }
    return reach < turn;
}

static int64_t of_attention(const finder *f, const sw_step *step, const sw_call *c) {
    const int64_t *turns = f->instance->turns, turn = turns[step->in[0]];
    sw_fused_attention a;
    bool known = turn > 0 && turns[step->in[1]] > 0 && turns[step->in[2]] > 0;
    if (!known || (step->n_in > 3 && step->in[3] >= 0 && turns[step->in[3]] != SW_PICTURES_NONE) ||
        sw_call_fused_attention(c, &a) != SW_OK)
        return SW_PICTURES_UNKNOWN;
    for (int axis = 0; axis < a.n_batch; axis++) {
        int64_t stride = a.q.batch[axis];
        if (stride < 1 || turn % stride != 0 || a.batch[axis] % (turn / stride * f->batch) != 0) continue;
        int64_t items = turn / stride, result = a.y.batch[axis] * items;
        if (result > 0 && follows(f, &a, &a.q, a.queries, a.size, axis, items, turn) &&
            follows(f, &a, &a.k, a.keys, a.size, axis, items, turns[step->in[1]]) &&
            follows(f, &a, &a.v, a.keys, a.value_size, axis, items, turns[step->in[2]]) &&
            follows(f, &a, &a.y, a.queries, a.value_size, axis, items, result))
            return result;
    }
    return SW_PICTURES_UNKNOWN;
}

/* ---- All of them ----------------------------------------------------------------------------------------------------- */

static place place_out(const finder *f, const sw_step *step, const sw_call *c, const sw_tensor *out) {
    place p = meet_all(f, step);
    int rank = c->n_in && c->in[0] ? c->in[0]->rank : 0;
    if (p.known && p.none) return p;
    switch (ways[c->op]) {
    case EACH:
    case PLACES:
        return p;
    case LEADING: /* the output may be of another rank */
        if (!p.known || p.from_last != rank - 1) return (place){0};
        p.from_last = out->rank - 1;
        return p;
    case ALONG:
        return is_other(&p, rank, sw_axis(sw_call_int(c, "axis"), rank)) ? p : (place){0};
    case BEHIND:
        return is_before(&p, rank, sw_axis(sw_call_int(c, "axis"), rank)) ? p : (place){0};
    case PRODUCT:
        return of_product(f, step, c);
    case GATHER:
        return of_gather(f, step, c);
    case REDUCE:
        return of_reduce(f, step, c);
    case TRANSPOSE:
        return of_transpose(f, step, c);
    default:
        return (place){0};
    }
}

static void follow(const finder *f, const sw_step *step) {
    sw_instance *instance = f->instance;
    sw_call c = sw_step_call(step, instance->values, f->in, f->out, NULL);
    for (int i = 0; i < step->n_out; i++) {
        int32_t value = step->out[i];
        if (value < 0) continue;
        const sw_tensor *out = &instance->values[value];
        place p = place_out(f, step, &c, out);
        int64_t *turn = &instance->turns[value];
        if (ways[c.op] == ORDER && step->in[0] >= 0)
            *turn = instance->turns[step->in[0]];
        else if (ways[c.op] == ATTENTION && !p.none)
            *turn = of_attention(f, step, &c);
        else
            *turn = turn_of(out, &p);
    }
}

/* The first extent of all inputs; 1 where they differ, and so do not come in batches. */
static int64_t batch_of(const sw_plan *plan, const sw_instance *instance) {
    int64_t batch = -1;
    for (int i = 0; i < plan->n_inputs; i++) {
        const sw_tensor *input = &instance->values[plan->inputs[i]];
        if (input->rank < 1) continue;
        if (batch >= 0 && input->dims[0] != batch) return 1;
        batch = input->dims[0];
    }
    return batch > 0 ? batch : 1;
}

sw_status sw_pictures_find(const sw_plan *plan, sw_instance *instance, bool within) {
    int ports = sw_plan_max_ports(plan);
    instance->turns = SW_ARENA_ARRAY(instance->arena, int64_t, plan->n_values + 1);
    finder f = {.instance = instance};
    f.in = SW_ARENA_ARRAY(instance->arena, const sw_tensor *, ports);
    f.out = SW_ARENA_ARRAY(instance->arena, sw_tensor *, ports);
    if (!instance->turns || !f.in || !f.out) return SW_E_NOMEM;
    instance->batch = f.batch = within ? 0 : batch_of(plan, instance);
    if (f.batch <= 1) return SW_OK;
    for (size_t v = 0; v < plan->n_values; v++)
        if (sw_instance_is_const(instance, (int32_t)v)) instance->turns[v] = SW_PICTURES_NONE;
    for (int i = 0; i < plan->n_inputs; i++) {
        const sw_tensor *input = &instance->values[plan->inputs[i]];
        instance->turns[plan->inputs[i]] = input->rank < 1 ? SW_PICTURES_NONE : sw_tensor_count(input) / f.batch;
    }
    for (size_t s = 0; s < plan->n_steps; s++)
        if (!instance->skip[s]) follow(&f, &plan->steps[s]);
    return SW_OK;
}

void sw_pictures_tell(const sw_instance *instance, int32_t value, int64_t pictures, sw_call *call) {
    int64_t turn = instance->turns[value];
    call->pictures = instance->batch == 1 || turn == SW_PICTURES_NONE ? 1 : turn > 0 ? pictures : 0;
    call->picture = call->pictures > 1 ? turn : 0;
}
