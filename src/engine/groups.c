#include "engine/groups.h"
#include "engine/pictures.h"

#include <string.h>

#include "kernels/nhwc/nhwc.h"
#include "ops/shape.h"

/* Weights that are read again for every round should come from the second level cache; below so much of all pictures, maps of
 * a whole batch stay in the third level, and weights are better read once. Measured: docs/perf/cpu.md. */
enum { MOST_WEIGHTS = 512 << 10, FEW_WEIGHTS = 64 << 10, LEAST_BATCH = 4 << 20, LEAST_PIXELS = 196 };

/* Whether reading a step's weights for every round is worth it: `bytes` of maps, `pixels` of a picture. */
static bool is_worth(int64_t weights, int64_t bytes, int64_t pixels) {
    return weights <= FEW_WEIGHTS || (weights <= MOST_WEIGHTS && bytes >= LEAST_BATCH && pixels >= LEAST_PIXELS);
}

/* ---- Which steps --------------------------------------------------------------------------------------------------- */

/* Has the batch as its first axis, in memory that can be cut there. */
static bool is_batch(const sw_instance *instance, int32_t value, int64_t batch) {
    const sw_tensor *t = &instance->values[value];
    sw_place place = instance->places[value];
    return (place == SW_PLACE_PLANNED || place == SW_PLACE_INPUT) && t->rank >= 3 && t->dims[0] == batch;
}

/* A constant that is broadcast along the batch. */
static bool is_shared(const sw_tensor *constant, int rank) {
    return constant->rank < rank || (constant->rank == rank && constant->dims[0] == 1);
}

static bool on_inner_axis(const sw_call *c, int rank) {
    return sw_axis(sw_call_int(c, "axis"), rank) > 0;
}

/* Whether an operator treats pictures apart, given that its inputs and outputs have them in their first axis. */
static bool is_apart(const sw_call *c) {
    int rank = c->out[0]->rank;
    switch (c->op) {
    case SW_OP_FusedConv:
    case SW_OP_MaxPool:
    case SW_OP_AveragePool:
    case SW_OP_GlobalAveragePool:
    case SW_OP_PixelShuffle:
    case SW_OP_ChannelShuffle:
    case SW_OP_DepthToSpace:
        return c->out[0]->layout == SW_CHANNELS_LAST;
    case SW_OP_Resize:
        return c->out[0]->layout == SW_CHANNELS_LAST && c->in[0]->dims[1] == c->out[0]->dims[1];
    case SW_OP_Relayout:
    case SW_OP_FusedProduct:
    case SW_OP_Add:
    case SW_OP_Sub:
    case SW_OP_Mul:
    case SW_OP_Div:
    case SW_OP_Relu:
    case SW_OP_LeakyRelu:
    case SW_OP_Sigmoid:
    case SW_OP_Swish:
    case SW_OP_HardSwish:
    case SW_OP_HardSigmoid:
    case SW_OP_Gelu:
        return true;
    case SW_OP_Concat:
    case SW_OP_Split:
    case SW_OP_LayerNormalization:
        return on_inner_axis(c, rank);
    case SW_OP_Transpose: {
        const sw_attr *perm = sw_call_attr(c, "perm", SW_ATTR_INTS);
        return perm->set && perm->ints.n > 0 && perm->ints.v[0] == 0;
    }
    default:
        return false;
    }
}

typedef struct finder {
    const sw_plan *plan;
    sw_instance *instance;
    int64_t batch;
    const sw_tensor **in;
    sw_tensor **out;
} finder;

static bool fits(const finder *f, size_t s) {
    const sw_step *step = &f->plan->steps[s];
    const sw_instance *instance = f->instance;
    if (instance->skip[s]) return true;
    if (step->n_in < 1 || step->in[0] < 0 || step->n_out < 1) return false;
    for (int i = 0; i < step->n_out; i++)
        if (step->out[i] < 0 || !is_batch(instance, step->out[i], f->batch)) return false;
    int64_t bytes = 0, weights = 0, rank = instance->values[step->out[0]].rank;
    for (int i = 0; i < step->n_in; i++) {
        if (step->in[i] < 0) continue;
        const sw_tensor *t = &instance->values[step->in[i]];
        bool heavy = (step->op == SW_OP_FusedConv || step->op == SW_OP_FusedProduct) && (i == 1 || i == 2);
        bool parameter = heavy || (step->op == SW_OP_Resize && i > 0) ||
                         (step->op == SW_OP_LayerNormalization && i > 0) || (step->op == SW_OP_Split && i > 0);
        if (sw_instance_is_const(instance, step->in[i])
                ? !parameter && !is_shared(t, (int)rank)
                : parameter || t->rank != rank || !is_batch(instance, step->in[i], f->batch))
            return false;
        if (heavy)
            weights += sw_tensor_bytes(t);
        else
            bytes += sw_tensor_bytes(t);
    }
    const sw_tensor *y = &instance->values[step->out[0]];
    bytes += sw_tensor_bytes(y);
    int64_t channels = y->dims[y->layout == SW_CHANNELS_LAST ? 1 : y->rank - 1];
    if (channels == 0 || !is_worth(weights, bytes, sw_tensor_count(y) / channels / f->batch)) return false;
    sw_call call = sw_step_call(step, instance->values, f->in, f->out, NULL);
    return is_apart(&call);
}

/* ---- Groups -------------------------------------------------------------------------------------------------------- */

/* Values that only steps first .. end touch belong to the group. */
static void claim(const finder *f, int32_t group, size_t first, size_t end) {
    const sw_plan *plan = f->plan;
    int32_t *owner = f->instance->groups_of;
    for (size_t s = first; s < end; s++)
        for (int i = 0; !f->instance->skip[s] && i < plan->steps[s].n_out; i++) owner[plan->steps[s].out[i]] = group;
    for (size_t s = 0; s < plan->n_steps; s++) /* what others read is theirs, too */
        for (int i = 0; (s < first || s >= end) && i < plan->steps[s].n_in; i++)
            if (plan->steps[s].in[i] >= 0 && owner[plan->steps[s].in[i]] == group) owner[plan->steps[s].in[i]] = -1;
    for (int i = 0; i < plan->n_outputs; i++)
        if (owner[plan->outputs[i]] == group) owner[plan->outputs[i]] = -1;
}

static sw_status add(finder *f, size_t first, size_t end, int64_t pictures) {
    sw_instance *instance = f->instance;
    size_t steps = 0;
    for (size_t s = first; s < end; s++) steps += !instance->skip[s];
    if (steps < 2) return SW_OK;
    instance->groups[instance->n_groups] = (sw_group){first, end, f->batch / pictures, pictures};
    claim(f, instance->n_groups++, first, end);
    return SW_OK;
}

sw_status sw_groups_find(const sw_plan *plan, sw_instance *instance, int threads) {
    int ports = sw_plan_max_ports(plan);
    instance->groups_of = SW_ARENA_ARRAY(instance->arena, int32_t, plan->n_values + 1);
    if (!instance->groups_of) return SW_E_NOMEM;
    for (size_t v = 0; v < plan->n_values; v++) instance->groups_of[v] = -1;
    const sw_tensor *input = plan->n_inputs ? &instance->values[plan->inputs[0]] : NULL;
    int64_t batch = input && input->rank >= 3 ? input->dims[0] : 1, pictures = batch < threads ? batch : threads;
    while (pictures > 1 && batch % pictures != 0) pictures--;
    if (plan->reference || threads == 0 || pictures == batch || batch < 2) return SW_OK;
    finder f = {.plan = plan, .instance = instance, .batch = batch};
    f.in = SW_ARENA_ARRAY(instance->arena, const sw_tensor *, ports);
    f.out = SW_ARENA_ARRAY(instance->arena, sw_tensor *, ports);
    instance->groups = SW_ARENA_ARRAY(instance->arena, sw_group, plan->n_steps / 2 + 1);
    if (!f.in || !f.out || !instance->groups) return SW_E_NOMEM;
    for (size_t s = 0, first = 0; s <= plan->n_steps; s++) {
        if (s < plan->n_steps && fits(&f, s)) continue;
        SW_TRY(add(&f, first, s, pictures));
        first = s + 1;
    }
    for (size_t v = 0; v < plan->n_values; v++)
        if (instance->groups_of[v] >= 0) instance->values[v].dims[0] = pictures;
    return SW_OK;
}

const sw_group *sw_group_of(const sw_instance *instance, size_t step) {
    for (int i = 0; i < instance->n_groups; i++)
        if (step >= instance->groups[i].first && step < instance->groups[i].end) return &instance->groups[i];
    return NULL;
}

/* ---- Calls --------------------------------------------------------------------------------------------------------- */

/* The pictures of a round: of a value of the whole batch, those of its turn. */
static sw_tensor *slice(sw_instance *instance, int32_t value, const sw_group *group, int64_t round, sw_tensor *to) {
    sw_tensor *t = &instance->values[value];
    if (instance->groups_of[value] >= 0 || sw_instance_is_const(instance, value)) return t;
    int64_t elements = t->layout == SW_CHANNELS_LAST ? t->pitch : t->dims[1]; /* of a picture */
    if (t->layout == SW_ROW_MAJOR && t->pitch)
        elements *= t->pitch; /* planes in a wider join */
    else
        for (int i = 2; i < t->rank; i++) elements *= t->dims[i];
    *to = *t;
    to->dims[0] = group->pictures;
    int64_t at = round * group->pictures * elements * (int64_t)sw_dtype_size(t->dtype);
    if (t->data) to->data = (char *)t->data + at;
    return to;
}

sw_call sw_instance_call(sw_instance *instance, const sw_plan *plan, size_t index, int64_t round, const sw_tensor **in,
                         sw_tensor **out, sw_tensor *slices, const sw_diag *diag) {
    const sw_step *step = &plan->steps[index];
    const sw_group *group = sw_group_of(instance, index);
    sw_call call = sw_step_call(step, instance->values, in, out, diag);
    if (step->n_in > 0 && step->in[0] >= 0)
        sw_pictures_tell(instance, step->in[0], group ? group->pictures : instance->batch, &call);
    for (int i = 0; group && i < step->n_in; i++)
        if (step->in[i] >= 0) in[i] = slice(instance, step->in[i], group, round, slices++);
    for (int i = 0; group && i < step->n_out; i++)
        if (step->out[i] >= 0) out[i] = slice(instance, step->out[i], group, round, slices++);
    return call;
}
