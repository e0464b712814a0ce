#include "engine/plan.h"

#include <assert.h>
#include <string.h>

enum { MAX_ITEMS = 1 << 20 };

sw_plan *sw_plan_create(const sw_allocator *allocator) {
    sw_plan *plan = sw_calloc(allocator, 1, sizeof *plan);
    if (!plan) return NULL;
    plan->allocator = allocator;
    atomic_init(&plan->refs, 1);
    plan->arena = sw_arena_create(allocator, 0);
    plan->packs = sw_packs_create(allocator);
    if (plan->arena && plan->packs) return plan;
    sw_plan_unref(plan);
    return NULL;
}

sw_plan *sw_plan_ref(sw_plan *plan) {
    atomic_fetch_add_explicit(&plan->refs, 1, memory_order_relaxed);
    return plan;
}

void sw_plan_unref(sw_plan *plan) {
    if (!plan || atomic_fetch_sub_explicit(&plan->refs, 1, memory_order_acq_rel) != 1) return;
    sw_packs_destroy(plan->packs);
    sw_free(plan->allocator, plan->values);
    sw_free(plan->allocator, plan->views);
    sw_free(plan->allocator, plan->steps);
    sw_free(plan->allocator, plan->meta);
    sw_free(plan->allocator, plan->receipt);
    sw_free(plan->allocator, plan->gpu_tiles);
    sw_free(plan->allocator, plan->gpu_codes);
    sw_free(plan->allocator, plan->times);
    sw_arena_destroy(plan->arena);
    sw_free(plan->allocator, plan);
}

int64_t sw_plan_bytes(const sw_plan *plan) {
    size_t bytes = sw_arena_used(plan->arena) + sw_packs_bytes(plan->packs);
    for (size_t i = 0; i < plan->n_values; i++) {
        int64_t n = plan->values[i].type.data ? sw_tensor_bytes(&plan->values[i].type) : 0;
        if (n > 0) bytes += (size_t)n;
    }
    return (int64_t)bytes;
}

sw_status sw_plan_add_value(sw_plan *plan, const char *name, const sw_tensor *type, int32_t *id) {
    SW_TRY(sw_grow(plan->allocator, (void **)&plan->values, &plan->cap_values, plan->n_values + 1, sizeof *plan->values,
                   MAX_ITEMS));
    SW_TRY(sw_grow(plan->allocator, (void **)&plan->views, &plan->cap_views, plan->n_values + 1, sizeof *plan->views,
                   MAX_ITEMS));
    char *copy = sw_arena_strdup(plan->arena, name);
    if (!copy) return SW_E_NOMEM;
    plan->views[plan->n_values] = (sw_view){.root = (int32_t)plan->n_values};
    *id = (int32_t)plan->n_values;
    plan->values[plan->n_values++] = (sw_port){.name = copy, .type = *type};
    return SW_OK;
}

void sw_plan_set_view(sw_plan *plan, int32_t value, int32_t root, int64_t channel) {
    plan->views[value] = (sw_view){.root = root, .channel = channel};
}

static sw_status copy_attr(sw_arena *arena, const sw_attr_def *def, sw_attr *attr) {
    const void *copy = attr; /* anything but NULL */
    if (!attr->set) return SW_OK;
    if (def->type == SW_ATTR_STRING) copy = attr->s = sw_arena_strdup(arena, attr->s);
    if (def->type == SW_ATTR_INTS)
        copy = attr->ints.v = sw_arena_copy(arena, attr->ints.v, (size_t)attr->ints.n * sizeof *attr->ints.v);
    if (def->type == SW_ATTR_FLOATS)
        copy = attr->floats.v = sw_arena_copy(arena, attr->floats.v, (size_t)attr->floats.n * sizeof *attr->floats.v);
    if (def->type == SW_ATTR_TENSOR) {
        sw_tensor *tensor = sw_arena_copy(arena, attr->t, sizeof *attr->t);
        if (!tensor) return SW_E_NOMEM;
        copy = tensor->data = sw_arena_copy(arena, tensor->data, (size_t)sw_tensor_bytes(tensor));
        attr->t = tensor;
    }
    return copy ? SW_OK : SW_E_NOMEM;
}

static void release(void *plan) {
    sw_plan_unref(plan);
}

sw_status sw_plan_hold(sw_plan *owner, sw_plan *child, int n_in, int n_captured, const sw_body **result) {
    sw_status status = sw_arena_cleanup(owner->arena, release, child);
    if (status != SW_OK) {
        sw_plan_unref(child);
        return status;
    }
    sw_body *body = SW_ARENA_NEW(owner->arena, sw_body);
    sw_tensor *types = SW_ARENA_ARRAY(owner->arena, sw_tensor, child->n_outputs + 1);
    if (!body || !types) return SW_E_NOMEM;
    for (int i = 0; i < child->n_outputs; i++) {
        types[i] = sw_plan_output(child, i)->type;
        types[i].data = NULL;
        for (int k = 0; k < types[i].rank; k++)
            if (types[i].dims[k] < 0) types[i].dims[k] = SW_DIM_UNKNOWN; /* its symbols mean nothing elsewhere */
    }
    *body =
        (sw_body){.n_in = n_in, .n_captured = n_captured, .n_out = child->n_outputs, .out_types = types, .code = child};
    *result = body;
    return SW_OK;
}

/* Deep copy of attribute values into an arena, but for bodies. */
static sw_status copy_attrs(sw_arena *arena, sw_op op, const sw_attr *from, sw_attr **to) {
    const sw_op_info *info = sw_op_get(op);
    sw_attr *attrs = SW_ARENA_ARRAY(arena, sw_attr, info->n_attrs);
    if (!attrs) return SW_E_NOMEM;
    if (from)
        memcpy(attrs, from, (size_t)info->n_attrs * sizeof *attrs);
    else
        sw_op_default_attrs(op, attrs);
    for (int i = 0; i < info->n_attrs; i++) SW_TRY(copy_attr(arena, &info->attrs[i], &attrs[i]));
    *to = attrs;
    return SW_OK;
}

sw_attr *sw_attrs_find(sw_op op, sw_attr *attrs, const char *name) {
    const sw_op_info *info = sw_op_get(op);
    for (int i = 0; i < info->n_attrs; i++)
        if (strcmp(info->attrs[i].name, name) == 0) return &attrs[i];
    assert(!"the operator has no such attribute");
    return NULL;
}

sw_status sw_plan_add_step(sw_plan *plan, sw_op op, const char *name, const sw_attr *attrs, int n_in, const int32_t *in,
                           int n_out, const int32_t *out) {
    for (int i = 0; i < n_in; i++) assert(in[i] >= -1 && in[i] < (int32_t)plan->n_values);
    SW_TRY(sw_grow(plan->allocator, (void **)&plan->steps, &plan->cap_steps, plan->n_steps + 1, sizeof *plan->steps,
                   MAX_ITEMS));
    sw_attr *own_attrs;
    SW_TRY(copy_attrs(plan->arena, op, attrs, &own_attrs));
    sw_step step = {.op = op, .attrs = own_attrs, .n_in = n_in, .n_out = n_out};
    step.name = sw_arena_strdup(plan->arena, name ? name : "");
    step.in = sw_arena_copy(plan->arena, in, (size_t)n_in * sizeof *in);
    step.out = sw_arena_copy(plan->arena, out, (size_t)n_out * sizeof *out);
    if (!step.name || !step.in || !step.out) return SW_E_NOMEM;
    plan->steps[plan->n_steps++] = step;
    return SW_OK;
}

sw_status sw_plan_set_tactic(sw_plan *plan, size_t step, const char *name) {
    plan->steps[step].tactic = sw_arena_strdup(plan->arena, name);
    return plan->steps[step].tactic ? SW_OK : SW_E_NOMEM;
}

void sw_plan_readers(const sw_plan *plan, int32_t *uses, int32_t *makers) {
    for (size_t v = 0; v < plan->n_values; v++) makers[v] = -1;
    for (size_t s = 0; s < plan->n_steps; s++) {
        const sw_step *step = &plan->steps[s];
        for (int i = 0; i < step->n_in; i++)
            if (step->in[i] >= 0) uses[step->in[i]]++;
        for (int i = 0; i < step->n_out; i++)
            if (step->out[i] >= 0) makers[step->out[i]] = (int32_t)s;
    }
    for (int i = 0; i < plan->n_outputs; i++) uses[plan->outputs[i]]++;
}

sw_status sw_plan_set_ports(sw_plan *plan, const int32_t *inputs, int n_in, const int32_t *outputs, int n_out) {
    plan->inputs = sw_arena_copy(plan->arena, inputs, (size_t)n_in * sizeof *inputs);
    plan->outputs = sw_arena_copy(plan->arena, outputs, (size_t)n_out * sizeof *outputs);
    if (!plan->inputs || !plan->outputs) return SW_E_NOMEM;
    plan->n_inputs = n_in;
    plan->n_outputs = n_out;
    return SW_OK;
}

static sw_status add_pair(sw_plan *plan, const char ***list, size_t *n, size_t *cap, const char *key,
                          const char *value) {
    SW_TRY(sw_grow(plan->allocator, (void **)list, cap, *n + 2, sizeof **list, MAX_ITEMS));
    char *key_copy = sw_arena_strdup(plan->arena, key), *value_copy = sw_arena_strdup(plan->arena, value);
    if (!key_copy || !value_copy) return SW_E_NOMEM;
    (*list)[(*n)++] = key_copy;
    (*list)[(*n)++] = value_copy;
    return SW_OK;
}

static const char *find_pair(const char *const *list, size_t n, const char *key) {
    for (size_t i = 0; i < n; i += 2)
        if (strcmp(list[i], key) == 0) return list[i + 1];
    return NULL;
}

sw_status sw_plan_add_meta(sw_plan *plan, const char *key, const char *value) {
    return add_pair(plan, &plan->meta, &plan->n_meta, &plan->cap_meta, key, value);
}
sw_status sw_plan_add_receipt(sw_plan *plan, const char *key, const char *value) {
    return add_pair(plan, &plan->receipt, &plan->n_receipt, &plan->cap_receipt, key, value);
}
const char *sw_plan_receipt(const sw_plan *plan, const char *key) {
    return find_pair(plan->receipt, plan->n_receipt, key);
}

sw_status sw_plan_set_gpu(sw_plan *plan, const char *name, int sm, bool any_of_sm) {
    plan->gpu = sw_arena_strdup(plan->arena, name);
    plan->gpu_sm = sm;
    plan->any_of_sm = any_of_sm;
    return plan->gpu ? SW_OK : SW_E_NOMEM;
}
sw_status sw_plan_add_gpu_tile(sw_plan *plan, const char *conv, const char *tile) {
    return add_pair(plan, &plan->gpu_tiles, &plan->n_gpu_tiles, &plan->cap_gpu_tiles, conv, tile);
}
const char *sw_plan_gpu_tile(const sw_plan *plan, const char *conv) {
    return find_pair(plan->gpu_tiles, plan->n_gpu_tiles, conv);
}

sw_status sw_plan_add_gpu_code(sw_plan *plan, const sw_cuda_code *code) {
    SW_TRY(sw_grow(plan->allocator, (void **)&plan->gpu_codes, &plan->cap_gpu_codes, plan->n_gpu_codes + 1,
                   sizeof *code, MAX_ITEMS));
    sw_cuda_code copy = *code;
    copy.kernel = sw_arena_strdup(plan->arena, code->kernel);
    copy.data = code->data ? sw_arena_copy(plan->arena, code->data, code->bytes) : NULL;
    if (!copy.kernel || (code->data && !copy.data)) return SW_E_NOMEM;
    plan->gpu_codes[plan->n_gpu_codes++] = copy;
    return SW_OK;
}

size_t sw_plan_gpu_code_bytes(const sw_plan *plan) {
    size_t bytes = 0;
    for (size_t i = 0; i < plan->n_gpu_codes; i++) bytes += plan->gpu_codes[i].bytes;
    return bytes;
}

sw_status sw_plan_set_profiles(sw_plan *plan, const sw_extent *extents, int n_profiles) {
    size_t n = (size_t)n_profiles * (size_t)plan->n_inputs * SW_MAX_RANK;
    plan->profiles = sw_arena_copy(plan->arena, extents, n * sizeof *extents);
    plan->n_profiles = n_profiles;
    return plan->profiles ? SW_OK : SW_E_NOMEM;
}

sw_status sw_plan_add_time(sw_plan *plan, const sw_tactic_time *time) {
    SW_TRY(
        sw_grow(plan->allocator, (void **)&plan->times, &plan->cap_times, plan->n_times + 1, sizeof *time, MAX_ITEMS));
    sw_tactic_time copy = *time;
    copy.tactic = sw_arena_strdup(plan->arena, time->tactic);
    copy.reason = time->reason ? sw_arena_strdup(plan->arena, time->reason) : NULL;
    if (!copy.tactic || (time->reason && !copy.reason)) return SW_E_NOMEM;
    plan->times[plan->n_times++] = copy;
    return SW_OK;
}

int sw_plan_inputs(const sw_plan *plan) {
    return plan->n_inputs;
}
int sw_plan_outputs(const sw_plan *plan) {
    return plan->n_outputs;
}
const sw_port *sw_plan_input(const sw_plan *plan, int i) {
    return &plan->values[plan->inputs[i]];
}
const sw_port *sw_plan_output(const sw_plan *plan, int i) {
    return &plan->values[plan->outputs[i]];
}

const char *sw_plan_meta(const sw_plan *plan, const char *key) {
    return find_pair(plan->meta, plan->n_meta, key);
}

sw_status sw_plan_set_source(sw_plan *plan, const char *path) {
    plan->source = sw_arena_strdup(plan->arena, path);
    return plan->source ? SW_OK : SW_E_NOMEM;
}
