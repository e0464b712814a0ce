#include "engine/row_views.h"

#include "kernels/kernel.h"
#include "ops/shape.h"

/* What the search works on, by value. */
typedef struct finder {
    const sw_plan *plan;
    sw_instance *instance;
    int32_t *uses;   /* inputs of steps and outputs of the plan that read it */
    int32_t *makers; /* the step that writes it; -1 */
} finder;

static const sw_tensor *type_of(const finder *f, int32_t value) {
    return &f->instance->values[value];
}

/* Row-major, and in the block. */
static bool is_row(const finder *f, int32_t value) {
    return value >= 0 && f->instance->places[value] == SW_PLACE_PLANNED && type_of(f, value)->layout == SW_ROW_MAJOR;
}

static bool is_root(const finder *f, int32_t value) {
    return f->instance->roots[value] == value;
}

/* Lets a root lie in another value's memory, unless one of them has fewer pictures. Roots of roots are followed in the end. */
static bool place(finder *f, int32_t value, int32_t in, int64_t bytes) {
    if (f->instance->groups_of[value] != f->instance->groups_of[in]) return false;
    f->instance->roots[value] = in;
    f->instance->inner[value] = bytes;
    return true;
}

/* The root of a value so far, and where in it the value begins. */
static int32_t root_of(const finder *f, int32_t value, int64_t *inner) {
    for (*inner = 0; !is_root(f, value); value = f->instance->roots[value]) *inner += f->instance->inner[value];
    return value;
}

static void view_same(finder *f, const sw_step *step) {
    int32_t in = step->in[0], out = step->out[0];
    if (!is_row(f, in) || !is_row(f, out) || !is_root(f, out)) return;
    const sw_tensor *a = type_of(f, in), *b = type_of(f, out);
    if (a->dtype == b->dtype && sw_tensor_count(a) == sw_tensor_count(b)) place(f, out, in, 0);
}

/* A map whose pixels have no gaps, and its pixels as rows, N H W C: the same memory. The kernel takes no other order of
 * axes. */
static void view_turn(finder *f, const sw_step *step) {
    int32_t in = step->in[0], out = step->out[0];
    const sw_instance *instance = f->instance;
    if (instance->places[in] != SW_PLACE_PLANNED || instance->places[out] != SW_PLACE_PLANNED || !is_root(f, out))
        return;
    const sw_tensor *a = type_of(f, in), *b = type_of(f, out), *map = a->layout == SW_CHANNELS_LAST ? a : b;
    if (a->layout == b->layout || map->pitch != map->dims[1] || a->dtype != b->dtype) return;
    place(f, out, in, 0);
}

/* Whether cuts along the axis are whole runs of memory. */
static bool is_outermost(const sw_tensor *t, int axis) {
    for (int i = 0; i < axis; i++)
        if (t->dims[i] != 1) return false;
    return true;
}

static void view_parts(finder *f, const sw_step *step, int axis) {
    int32_t whole = step->in[0];
    int64_t at = 0, end = sw_tensor_bytes(type_of(f, whole));
    if (!is_row(f, whole) || !is_outermost(type_of(f, whole), axis)) return;
    for (int i = 0; i < step->n_out; i++) {
        if (step->out[i] < 0) return; /* how long it is, is not known here */
        int64_t bytes = sw_tensor_bytes(type_of(f, step->out[i]));
        if (bytes > end - at) return;
        if (is_row(f, step->out[i]) && is_root(f, step->out[i])) place(f, step->out[i], whole, at);
        at += bytes;
    }
}

/* The relayout whose rows a flattened map holds, where nothing else reads either; -1. */
static int32_t flattened_map(const finder *f, int32_t value) {
    int32_t maker = f->uses[value] == 1 ? f->makers[value] : -1;
    const sw_step *reshape = maker >= 0 ? &f->plan->steps[maker] : NULL;
    if (!reshape || reshape->op != SW_OP_Reshape || !is_row(f, reshape->in[0])) return -1;
    int32_t rows = reshape->in[0];
    maker = f->uses[rows] == 1 ? f->makers[rows] : -1;
    const sw_step *relayout = maker >= 0 ? &f->plan->steps[maker] : NULL;
    if (!relayout || relayout->op != SW_OP_Relayout || !is_root(f, rows)) return -1;
    const sw_tensor *flat = type_of(f, value), *map = type_of(f, rows), *from = type_of(f, relayout->in[0]);
    bool fits = from->layout == SW_CHANNELS_LAST && map->rank == 4 && flat->rank == 3 &&
                flat->dims[0] == map->dims[0] && flat->dims[1] == map->dims[1];
    return fits ? rows : -1;
}

/* Levels of N C H W, flattened and joined along the last axis: each relayout writes rows into the join. */
static void view_levels(finder *f, const sw_step *step) {
    int32_t join = step->out[0];
    int64_t length = type_of(f, join)->dims[2], size = (int64_t)sw_dtype_size(type_of(f, join)->dtype), at = 0;
    for (int i = 0; i < step->n_in; i++) {
        int32_t part = step->in[i], rows = part >= 0 ? flattened_map(f, part) : -1;
        if (rows >= 0 && is_row(f, part) && place(f, rows, join, at * size))
            f->instance->values[rows].pitch = f->instance->values[part].pitch = length;
        at += part >= 0 ? type_of(f, part)->dims[2] : 0;
    }
}

static void view_join(finder *f, const sw_step *step, int axis) {
    int32_t join = step->out[0];
    int64_t at = 0;
    if (!is_row(f, join)) return;
    if (axis == 2 && type_of(f, join)->rank == 3 && !is_outermost(type_of(f, join), axis)) view_levels(f, step);
    if (!is_outermost(type_of(f, join), axis)) return;
    for (int i = 0; i < step->n_in; i++) {
        int32_t part = step->in[i];
        int64_t inner, bytes = sw_tensor_bytes(type_of(f, part));
        if (is_row(f, part)) {
            int32_t root = root_of(f, part, &inner);
            bool whole = inner == 0 && root != join && is_row(f, root) && sw_tensor_bytes(type_of(f, root)) == bytes;
            if (whole) place(f, root, join, at);
        }
        at += bytes;
    }
}

static void look(finder *f, const sw_step *step) {
    if (step->n_out < 1 || step->out[0] < 0 || step->n_in < 1 || step->in[0] < 0) return;
    switch (step->op) {
    case SW_OP_Reshape:
    case SW_OP_Flatten:
    case SW_OP_Squeeze:
    case SW_OP_Unsqueeze:
    case SW_OP_Identity:
        view_same(f, step);
        break;
    case SW_OP_Transpose:
        view_turn(f, step);
        break;
    case SW_OP_Split:
    case SW_OP_Concat: {
        const sw_call call = {.op = step->op, .attrs = step->attrs};
        int axis = sw_axis(sw_call_int(&call, "axis"), type_of(f, step->in[0])->rank);
        if (axis >= 0) (step->op == SW_OP_Split ? view_parts : view_join)(f, step, axis);
        break;
    }
    default:
        break;
    }
}

sw_status sw_row_views_find(const sw_plan *plan, sw_instance *instance, const sw_allocator *allocator) {
    finder f = {.plan = plan, .instance = instance};
    f.uses = sw_calloc(allocator, 2 * plan->n_values + 1, sizeof *f.uses);
    if (!f.uses) return SW_E_NOMEM;
    f.makers = f.uses + plan->n_values;
    sw_plan_readers(plan, f.uses, f.makers);
    for (size_t s = 0; s < plan->n_steps; s++)
        if (!instance->skip[s]) look(&f, &plan->steps[s]);
    for (size_t v = 0; v < plan->n_values; v++) {
        if (instance->places[v] != SW_PLACE_PLANNED) continue;
        int64_t inner;
        int32_t root = root_of(&f, (int32_t)v, &inner);
        instance->roots[v] = root;
        instance->inner[v] = inner;
    }
    sw_free(allocator, f.uses);
    return SW_OK;
}

/* Whether a relayout's map is made by a convolution of 1x1 with nothing to add, lies alone in its memory, and has no other
 * reader. */
static bool is_written(const finder *f, const bool *shared, const sw_step *relayout) {
    const sw_instance *instance = f->instance;
    int32_t map = relayout->in[0], rows = relayout->out[0], maker = map >= 0 ? f->makers[map] : -1;
    if (maker < 0 || rows < 0 || f->uses[map] != 1 || instance->roots[map] != map || shared[map]) return false;
    const sw_step *conv = &f->plan->steps[maker];
    const sw_tensor *t = type_of(f, map), *w = conv->n_in > 1 ? type_of(f, conv->in[1]) : NULL;
    if (conv->op != SW_OP_FusedConv || !w || (conv->n_in > 3 && conv->in[3] >= 0) || w->dims[2] * w->dims[3] != 1)
        return false;
    return instance->places[map] == SW_PLACE_PLANNED && t->layout == SW_CHANNELS_LAST && t->dtype == SW_F32 &&
           type_of(f, conv->in[0])->layout == SW_CHANNELS_LAST && is_row(f, rows);
}

/* Makes a map rows, unless the tactic that the plan names for its maker, and may hold weights for only, cannot write them. */
static bool write_rows(const finder *f, int32_t map, int32_t rows) {
    const sw_step *maker = &f->plan->steps[f->makers[map]];
    const sw_conv_tactic *tactic = maker->tactic ? sw_conv_find(maker->tactic) : NULL;
    const sw_tensor *in[4];
    sw_tensor *out, *values = f->instance->values, before = values[map];
    sw_conv conv;
    values[map].layout = SW_ROW_MAJOR;
    values[map].pitch = values[rows].pitch;
    sw_call call = sw_step_call(maker, values, in, &out, NULL);
    if (!tactic || (sw_call_conv(&call, &conv) == SW_OK && !tactic->refuse(&conv))) return true;
    values[map] = before;
    return false;
}

sw_status sw_row_views_write(const sw_plan *plan, sw_instance *instance, const sw_allocator *allocator) {
    if (instance->n_groups || plan->reference) return SW_OK; /* groups move through maps by pictures */
    finder f = {.plan = plan, .instance = instance};
    f.uses = sw_calloc(allocator, 2 * plan->n_values + 1, sizeof *f.uses);
    bool *shared = sw_calloc(allocator, plan->n_values + 1, sizeof *shared);
    if (f.uses && shared) {
        f.makers = f.uses + plan->n_values;
        sw_plan_readers(plan, f.uses, f.makers);
        for (size_t v = 0; v < plan->n_values; v++)
            if (instance->roots[v] != (int32_t)v) shared[instance->roots[v]] = true;
        for (size_t s = 0; s < plan->n_steps; s++) {
            const sw_step *step = &plan->steps[s];
            if (instance->skip[s] || step->op != SW_OP_Relayout || !is_written(&f, shared, step)) continue;
            int32_t map = step->in[0], rows = step->out[0];
            if (!write_rows(&f, map, rows)) continue;
            instance->skip[s] = true;
            instance->roots[map] = instance->roots[rows];
            instance->inner[map] = instance->inner[rows];
        }
    }
    sw_status status = f.uses && shared ? SW_OK : SW_E_NOMEM;
    sw_free(allocator, shared);
    sw_free(allocator, f.uses);
    return status;
}
