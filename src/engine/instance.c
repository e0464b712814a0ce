#include "engine/instance.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "engine/chains.h"
#include "engine/groups.h"
#include "engine/memory.h"
#include "engine/pictures.h"
#include "engine/row_views.h"

/* Values up to this many bytes are computed while binding when nothing but shapes decides them. */
enum { BOUND_BYTES = 1024 * 1024 };

static void print_type(const sw_tensor *type, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "%s[", sw_dtype_name(type->dtype));
    for (int i = 0; i < type->rank && used < size; i++)
        used +=
            (size_t)(type->dims[i] < 0 ? snprintf(text + used, size - used, "%s?", i ? "," : "")
                                       : snprintf(text + used, size - used, "%s%" PRId64, i ? "," : "", type->dims[i]));
    if (used < size) snprintf(text + used, size - used, "]");
}

/* What dim `k` of input `i` must be: a number, that of the first dim with the same symbol, or negative: anything. */
static int64_t wanted_dim(const sw_plan *plan, const sw_tensor *inputs, int i, int k) {
    int64_t symbol = sw_plan_input(plan, i)->type.dims[k];
    for (int j = 0; j <= i && symbol <= SW_DIM_SYMBOL; j++) {
        const sw_tensor *want = &sw_plan_input(plan, j)->type;
        for (int m = 0; m < want->rank && (j < i || m < k); m++)
            if (want->dims[m] == symbol) return inputs[j].dims[m];
    }
    return symbol;
}

/* "1 to 8 x 3 x 640 x 640". */
static void print_profile(const sw_extent *extents, int rank, char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < rank && used < size; i++) {
        const sw_extent *e = &extents[i];
        used += (size_t)(e->min == e->max ? snprintf(text + used, size - used, "%s%" PRId64, i ? " x " : "", e->min)
                                          : snprintf(text + used, size - used, "%s%" PRId64 " to %" PRId64,
                                                     i ? " x " : "", e->min, e->max));
    }
}

static bool is_within(const sw_extent *extents, const sw_tensor *input) {
    for (int k = 0; k < input->rank; k++)
        if (input->dims[k] < extents[k].min || input->dims[k] > extents[k].max) return false;
    return true;
}

/* All inputs must be within the same profile. */
static sw_status check_profiles(const sw_plan *plan, const sw_tensor *inputs, const sw_diag *diag) {
    int outside = 0; /* the first input that the last profile does not take */
    for (int p = 0; p < plan->n_profiles; p++) {
        int i = 0;
        while (i < plan->n_inputs && is_within(plan->profiles + (p * plan->n_inputs + i) * SW_MAX_RANK, &inputs[i]))
            i++;
        if (i == plan->n_inputs) return SW_OK;
        outside = i;
    }
    if (!plan->n_profiles) return SW_OK;
    char want[256], got[160];
    const sw_extent *last = plan->profiles + ((plan->n_profiles - 1) * plan->n_inputs + outside) * SW_MAX_RANK;
    print_profile(last, inputs[outside].rank, want, sizeof want);
    print_type(&inputs[outside], got, sizeof got);
    return sw_fail(diag, SW_E_INPUT, NULL, "build a plan for this shape with --shapes",
                   "input '%s' is %s, outside %s of the plan: %s", sw_plan_input(plan, outside)->name, got,
                   plan->n_profiles > 1 ? "every profile" : "the profile", want);
}

static sw_status check_inputs(const sw_plan *plan, const sw_tensor *inputs, const sw_diag *diag) {
    for (int i = 0; i < plan->n_inputs; i++) {
        const sw_port *port = sw_plan_input(plan, i);
        const sw_tensor *want = &port->type, *got = &inputs[i];
        bool fits = got->data && sw_tensor_bytes(got) >= 0 && (!want->dtype || got->dtype == want->dtype) &&
                    (want->rank < 0 || got->rank == want->rank);
        for (int k = 0; fits && k < want->rank; k++) {
            int64_t dim = wanted_dim(plan, inputs, i, k);
            fits = dim < 0 || got->dims[k] == dim;
        }
        if (fits) continue;
        sw_tensor exact = *want;
        for (int k = 0; k < want->rank; k++) exact.dims[k] = wanted_dim(plan, inputs, i, k);
        char want_text[160], got_text[160];
        print_type(&exact, want_text, sizeof want_text);
        print_type(got, got_text, sizeof got_text);
        return sw_fail(diag, SW_E_INPUT, NULL, NULL, "input '%s' should be %s, but is %s", port->name, want_text,
                       got_text);
    }
    return check_profiles(plan, inputs, diag);
}

int sw_plan_max_ports(const sw_plan *plan) {
    int most = 1;
    for (size_t s = 0; s < plan->n_steps; s++) {
        if (plan->steps[s].n_in > most) most = plan->steps[s].n_in;
        if (plan->steps[s].n_out > most) most = plan->steps[s].n_out;
    }
    return most;
}

sw_call sw_step_call(const sw_step *step, sw_tensor *values, const sw_tensor **in, sw_tensor **out,
                     const sw_diag *diag) {
    for (int i = 0; i < step->n_in; i++) in[i] = step->in[i] < 0 ? NULL : &values[step->in[i]];
    for (int i = 0; i < step->n_out; i++) out[i] = step->out[i] < 0 ? NULL : &values[step->out[i]];
    return (sw_call){.op = step->op,
                     .attrs = step->attrs,
                     .n_in = step->n_in,
                     .n_out = step->n_out,
                     .in = in,
                     .out = out,
                     .name = step->name,
                     .diag = diag};
}

/* What binding works on. */
typedef struct binder {
    const sw_plan *plan;
    sw_instance *instance;
    const sw_diag *diag;
    const sw_allocator *allocator;
    int threads;
    bool no_alias; /* for bug hunts: every value in memory of its own */
    bool within;   /* another plan */
    const sw_tensor **in;
    sw_tensor **out;
} binder;

/* True when a step's outputs follow from shapes and constants alone and are small. */
static bool is_bindable(const sw_call *c) {
    bool shape_only = c->op == SW_OP_Shape || c->op == SW_OP_Size;
    for (int i = 0; i < c->n_in; i++) {
        if (!c->in[i]) continue;
        if (shape_only ? !sw_tensor_is_concrete(c->in[i]) : !c->in[i]->data) return false;
    }
    for (int i = 0; i < c->n_out; i++) {
        if (!c->out[i]) continue;
        int64_t bytes = sw_tensor_bytes(c->out[i]);
        if (bytes < 0 || bytes > BOUND_BYTES || c->out[i]->layout != SW_ROW_MAJOR) return false;
    }
    return true;
}

static sw_status bind_now(binder *b, const sw_step *step, sw_call *call) {
    for (int i = 0; i < step->n_out; i++) {
        if (step->out[i] < 0) continue;
        sw_tensor *out = call->out[i];
        out->data = sw_arena_alloc(b->instance->arena, (size_t)sw_tensor_bytes(out), 1);
        if (!out->data) return SW_E_NOMEM;
        b->instance->places[step->out[i]] = SW_PLACE_BOUND;
    }
    call->allocator = b->allocator;
    return sw_cpu_run(call, NULL, NULL);
}

static sw_status bind_step(binder *b, size_t index) {
    const sw_step *step = &b->plan->steps[index];
    sw_instance *instance = b->instance;
    bool dynamic = false, control = sw_op_is_control(step->op);
    for (int i = 0; i < step->n_in; i++)
        dynamic |= step->in[i] >= 0 && instance->places[step->in[i]] == SW_PLACE_DYNAMIC;
    sw_call call = sw_step_call(step, instance->values, b->in, b->out, b->diag);
    SW_TRY(sw_op_infer(&call));
    if (!dynamic && !control && is_bindable(&call)) {
        instance->skip[index] = true;
        return bind_now(b, step, &call);
    }
    for (int i = 0; i < step->n_out; i++) {
        if (step->out[i] < 0) continue;
        const sw_tensor *out = call.out[i];
        if (sw_tensor_is_concrete(out) && sw_tensor_bytes(out) < 0)
            return sw_call_fail(&call, "its output has more elements than can be addressed");
        bool planned = !dynamic && sw_tensor_is_concrete(out);
        instance->places[step->out[i]] = planned ? SW_PLACE_PLANNED : SW_PLACE_DYNAMIC;
    }
    return SW_OK;
}

/* Whether channels of a map can be those of another: they must lie in it (a plan file may tell anything). */
static bool is_part(const sw_tensor *part, const sw_tensor *whole, int64_t channel) {
    bool maps = part->layout == SW_CHANNELS_LAST && whole->layout == SW_CHANNELS_LAST && part->rank == 4 &&
                whole->rank == 4 && part->dtype == whole->dtype;
    if (!maps || channel < 0 || channel > whole->dims[1] || part->dims[1] > whole->dims[1] - channel) return false;
    return part->dims[0] == whole->dims[0] && part->dims[2] == whole->dims[2] && part->dims[3] == whole->dims[3];
}

/* Where each map lies. A view holds when the memory it is part of is planned; where that depends on data, the map
 * gets its own and the join copies. */
static void settle_views(binder *b) {
    const sw_plan *plan = b->plan;
    sw_instance *instance = b->instance;
    for (size_t v = 0; v < plan->n_values; v++) {
        sw_view view = plan->views[v];
        bool holds =
            !b->no_alias && instance->places[v] == SW_PLACE_PLANNED &&
            instance->places[view.root] == SW_PLACE_PLANNED && plan->views[view.root].root == view.root &&
            (view.root == (int32_t)v || is_part(&instance->values[v], &instance->values[view.root], view.channel));
        instance->roots[v] = holds ? view.root : (int32_t)v;
        instance->channels[v] = holds ? view.channel : 0;
        instance->inner[v] = instance->channels[v] * (int64_t)sw_dtype_size(instance->values[v].dtype);
    }
    for (size_t v = 0; v < plan->n_values; v++) {
        sw_tensor *t = &instance->values[v];
        if (t->layout == SW_CHANNELS_LAST && t->rank == 4) t->pitch = instance->values[instance->roots[v]].dims[1];
    }
}

/* Lets the memory of a value live during a step. */
static void keep(binder *b, sw_span *spans, int32_t value, int32_t step) {
    if (value < 0 || b->instance->places[value] != SW_PLACE_PLANNED) return;
    sw_span *span = &spans[b->instance->roots[value]];
    if (span->bytes == 0) {
        int64_t bytes = sw_tensor_bytes(&b->instance->values[b->instance->roots[value]]);
        *span = (sw_span){.bytes = bytes > 0 ? bytes : 1, .first = step, .last = step};
    }
    if (step < span->first) span->first = step;
    if (step > span->last) span->last = step;
}

/* Values that others than a group or a chain touch live as long as that runs. */
static void keep_for_step(binder *b, sw_span *spans, int32_t value, size_t step) {
    const sw_chain *chain = sw_chain_of(b->instance, (size_t)b->instance->order[step]);
    if (chain) keep(b, spans, value, (int32_t)chain->first), keep(b, spans, value, (int32_t)chain->last);
    const sw_group *group = value >= 0 && b->instance->groups_of[value] < 0 ? sw_group_of(b->instance, step) : NULL;
    keep(b, spans, value, (int32_t)(group ? group->first : step));
    if (group) keep(b, spans, value, (int32_t)group->end - 1);
}

/* Spans of all memory, in the order in which steps run: from the one that first writes into it to the last that reads it;
 * outputs stay to the end. */
static sw_status plan_memory(binder *b) {
    const sw_plan *plan = b->plan;
    sw_instance *instance = b->instance;
    sw_span *spans = sw_calloc(b->allocator, plan->n_values + 1, sizeof *spans);
    if (!spans) return SW_E_NOMEM;
    for (size_t s = 0; s < plan->n_steps; s++) {
        const sw_step *step = &plan->steps[instance->order[s]];
        if (instance->skip[instance->order[s]]) continue;
        for (int i = 0; i < step->n_in; i++) keep_for_step(b, spans, step->in[i], s);
        for (int i = 0; i < step->n_out; i++) keep_for_step(b, spans, step->out[i], s);
    }
    for (int i = 0; i < plan->n_outputs; i++) keep(b, spans, plan->outputs[i], (int32_t)plan->n_steps);
    for (size_t v = 0; b->no_alias && v < plan->n_values; v++)
        spans[v].first = 0, spans[v].last = (int32_t)plan->n_steps;
    sw_status status = sw_memory_plan(b->allocator, spans, (int)plan->n_values, &instance->block_bytes);
    for (size_t v = 0; v < plan->n_values; v++) {
        instance->offsets[v] = spans[instance->roots[v]].offset + instance->inner[v];
    }
    sw_free(b->allocator, spans);
    return status;
}

/* Products are made ready where their weights are the plan's own, raw or packed only. */
bool sw_instance_has_weights(const sw_instance *instance, const sw_plan *plan, const sw_step *step) {
    if (!sw_call_is_product(&(sw_call){.op = step->op})) return true;
    bool constant = !plan->reference;
    for (int i = 1; i < step->n_in && i < 3; i++)
        constant &= step->in[i] < 0 || instance->places[step->in[i]] <= SW_PLACE_CONST;
    return constant;
}

sw_status sw_instance_prepare(sw_instance *instance, const sw_plan *plan, int threads,
                              bool (*wanted)(const void *ctx, size_t step), const void *ctx, const sw_diag *diag) {
    size_t scratch = 0;
    int ports = sw_plan_max_ports(plan);
    const sw_tensor **in = SW_ARENA_ARRAY(instance->arena, const sw_tensor *, ports);
    sw_tensor **out = SW_ARENA_ARRAY(instance->arena, sw_tensor *, ports);
    sw_tensor *slices = SW_ARENA_ARRAY(instance->arena, sw_tensor, 2 * ports);
    if (!in || !out || !slices) return SW_E_NOMEM;
    for (size_t s = 0; s < plan->n_steps; s++) {
        const sw_step *step = &plan->steps[s];
        bool ready = !instance->skip[s] && (!wanted || wanted(ctx, s));
        for (int i = 0; i < step->n_out; i++)
            ready &= step->out[i] < 0 || instance->places[step->out[i]] == SW_PLACE_PLANNED || sw_chain_of(instance, s);
        if (!ready || !sw_instance_has_weights(instance, plan, step)) continue;
        sw_call call = sw_instance_call(instance, plan, s, 0, in, out, slices, diag);
        SW_TRY(sw_cpu_prepare(&call, (int32_t)s, step->tactic, plan->packs, threads, &instance->prepared[s]));
        sw_chain_prepare(instance, s, threads, &instance->prepared[s]);
        if (instance->prepared[s].scratch_bytes > scratch) scratch = instance->prepared[s].scratch_bytes;
    }
    instance->scratch_offset = instance->block_bytes;
    if (scratch > INT64_MAX / 2 ||
        __builtin_add_overflow(instance->block_bytes, (int64_t)scratch, &instance->block_bytes))
        return SW_E_LIMIT;
    return SW_OK;
}

static sw_status bind_all(binder *b, const sw_tensor *inputs) {
    const sw_plan *plan = b->plan;
    sw_instance *instance = b->instance;
    for (size_t v = 0; v < plan->n_values; v++) {
        instance->values[v] = plan->values[v].type;
        instance->places[v] = plan->values[v].type.data ? SW_PLACE_CONST : SW_PLACE_NONE;
    }
    for (int i = 0; i < plan->n_inputs; i++) {
        sw_tensor *value = &instance->values[plan->inputs[i]];
        *value = inputs[i];
        value->data = NULL; /* the next run may bring other data */
        instance->places[plan->inputs[i]] = SW_PLACE_INPUT;
    }
    for (size_t s = 0; s < plan->n_steps; s++) SW_TRY(bind_step(b, s));
    SW_TRY(sw_pictures_find(plan, instance, b->within));
    SW_TRY(sw_groups_find(plan, instance, b->threads));
    settle_views(b);
    /* A GPU's program finds its own. */
    if (b->threads && !b->no_alias) SW_TRY(sw_row_views_find(plan, instance, b->allocator));
    if (instance->demand.rows && !instance->n_groups) /* which keep the order of steps */
        SW_TRY(sw_demand_find(plan, instance, &instance->demand, b->allocator));
    if (!b->no_alias) SW_TRY(sw_chains_find(plan, instance, b->threads, b->allocator));
    if (b->threads && !b->no_alias) SW_TRY(sw_row_views_write(plan, instance, b->allocator));
    SW_TRY(plan_memory(b));
    if (b->threads) SW_TRY(sw_instance_prepare(instance, plan, b->threads, NULL, NULL, b->diag));
    sw_demand_connect(instance);
    return SW_OK;
}

sw_status sw_instance_create(const sw_plan *plan, const sw_tensor *inputs, int threads, const sw_demand *demand,
                             bool within, const sw_diag *diag, const sw_allocator *allocator, sw_instance **result) {
    SW_TRY(check_inputs(plan, inputs, diag));
    sw_status status = SW_E_NOMEM;
    sw_arena *arena = sw_arena_create(allocator, (size_t)1 << 30); /* bounds what is computed while binding */
    if (!arena) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    sw_instance *instance = SW_ARENA_NEW(arena, sw_instance);
    int ports = sw_plan_max_ports(plan);
    binder b = {.plan = plan, .instance = instance, .diag = diag, .allocator = allocator, .threads = threads};
    b.within = within;
    b.no_alias = getenv("SLIPWAY_NO_ALIAS") != NULL;
    b.in = SW_ARENA_ARRAY(arena, const sw_tensor *, ports);
    b.out = SW_ARENA_ARRAY(arena, sw_tensor *, ports);
    if (!instance || !b.in || !b.out) goto out;
    instance->arena = arena;
    if (demand) instance->demand = *demand;
    instance->values = SW_ARENA_ARRAY(arena, sw_tensor, plan->n_values);
    instance->places = SW_ARENA_ARRAY(arena, sw_place, plan->n_values);
    instance->offsets = SW_ARENA_ARRAY(arena, int64_t, plan->n_values);
    instance->skip = SW_ARENA_ARRAY(arena, bool, plan->n_steps);
    instance->roots = SW_ARENA_ARRAY(arena, int32_t, plan->n_values);
    instance->channels = SW_ARENA_ARRAY(arena, int64_t, plan->n_values);
    instance->inner = SW_ARENA_ARRAY(arena, int64_t, plan->n_values);
    instance->prepared = SW_ARENA_ARRAY(arena, sw_prepared, plan->n_steps);
    instance->order = SW_ARENA_ARRAY(arena, int32_t, plan->n_steps);
    instance->n_early = plan->n_steps;
    if (!instance->values || !instance->places || !instance->offsets || !instance->skip || !instance->roots ||
        !instance->channels || !instance->inner || !instance->prepared || !instance->order)
        goto out;
    for (size_t s = 0; s < plan->n_steps; s++) instance->order[s] = (int32_t)s;
    status = bind_all(&b, inputs);
out:
    if (status == SW_OK) {
        *result = instance;
        return SW_OK;
    }
    sw_arena_destroy(arena);
    if (status == SW_E_NOMEM) sw_fail(diag, status, NULL, NULL, "out of memory while binding shapes");
    return status;
}

void sw_instance_destroy(sw_instance *instance) {
    if (instance) sw_arena_destroy(instance->arena);
}

bool sw_instance_fits(const sw_instance *instance, const sw_plan *plan, const sw_tensor *inputs) {
    for (int i = 0; i < plan->n_inputs; i++) {
        const sw_tensor *bound = &instance->values[plan->inputs[i]];
        if (bound->dtype != inputs[i].dtype || bound->rank != inputs[i].rank || !inputs[i].data) return false;
        for (int k = 0; k < bound->rank; k++)
            if (bound->dims[k] != inputs[i].dims[k]) return false;
    }
    return true;
}

void sw_instance_place(sw_instance *instance, const sw_plan *plan, char *block) {
    instance->block = block;
    for (size_t v = 0; v < plan->n_values; v++)
        if (instance->places[v] == SW_PLACE_PLANNED) instance->values[v].data = block + instance->offsets[v];
}
