/* Shapes that the user asks for: fixed dims go into the graph, ranges become profiles of the plan. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "build/build.h"
#include "engine/inputs.h"

enum { MAX_PROFILES = 64, TEXT = 160 };

static sw_status wrong(const sw_diag *diag, const char *input, const char *what) {
    return sw_fail(diag, SW_E_USAGE, NULL, NULL, "--shapes: input '%s': %s", input, what);
}

/* The input that a range means; -1 when there is none. */
static int input_of(const sw_graph *graph, const sw_shape_range *range) {
    if (!range->input) return graph->n_inputs == 1 ? 0 : -1;
    for (int i = 0; i < graph->n_inputs; i++)
        if (!strcmp(graph->inputs[i]->name, range->input)) return i;
    return -1;
}

static sw_status no_input(const sw_graph *graph, const sw_shape_range *range, const sw_diag *diag) {
    char names[TEXT] = "";
    for (int i = 0; i < graph->n_inputs; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%.60s", i ? ", " : "", graph->inputs[i]->name);
    }
    if (!range->input)
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "--shapes must name the input; the model's inputs: %s", names);
    return sw_fail(diag, SW_E_USAGE, NULL, NULL, "--shapes: the model has no input '%s'; its inputs: %s", range->input,
                   names);
}

static sw_status check_range(const sw_value *input, const sw_shape_range *r, const sw_diag *diag) {
    if (input->type.rank >= 0 && r->rank != input->type.rank) {
        char text[TEXT];
        snprintf(text, sizeof text, "it has %d dims, the shape %d", input->type.rank, r->rank);
        return wrong(diag, input->name, text);
    }
    for (int k = 0; k < r->rank; k++) {
        if (r->min[k] < 1 || r->min[k] > r->opt[k] || r->opt[k] > r->max[k])
            return wrong(diag, input->name, "dims must be at least 1, those of a range min:opt:max in this order");
        int64_t fixed = input->type.rank >= 0 ? input->type.dims[k] : -1;
        if (fixed >= 0 && (r->min[k] != fixed || r->max[k] != fixed)) {
            char text[TEXT];
            snprintf(text, sizeof text, "dim %d is fixed at %" PRId64 " in the model; export it with open dims", k,
                     fixed);
            return wrong(diag, input->name, text);
        }
    }
    return SW_OK;
}

/* Extents by profile, input and dim. */
static sw_extent *extent_at(const sw_graph *graph, const sw_shapes *shapes, int profile, int input) {
    return shapes->extents + (profile * graph->n_inputs + input) * SW_MAX_RANK;
}

/* Checks all ranges; the number of profiles is that of an input's ranges, which must be the same for all that have
 * some. */
static sw_status count_profiles(const sw_graph *graph, const sw_build_options *o, const sw_diag *diag, int *profiles) {
    *profiles = 0;
    for (int s = 0; s < o->n_shapes; s++) {
        int i = input_of(graph, &o->shapes[s]);
        if (i < 0) return no_input(graph, &o->shapes[s], diag);
        SW_TRY(check_range(graph->inputs[i], &o->shapes[s], diag));
        *profiles += i == input_of(graph, &o->shapes[0]);
    }
    if (*profiles > MAX_PROFILES)
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "--shapes: more than %d profiles", MAX_PROFILES);
    for (int i = 0; i < graph->n_inputs; i++) {
        int n = 0;
        for (int s = 0; s < o->n_shapes; s++) n += input_of(graph, &o->shapes[s]) == i;
        if (n && n != *profiles)
            return wrong(diag, graph->inputs[i]->name, "it has another number of ranges than other inputs");
        if (!n && !sw_tensor_is_concrete(&graph->inputs[i]->type))
            return wrong(diag, graph->inputs[i]->name, "its shape is open: give a range for it, too");
    }
    return SW_OK;
}

/* Writes the extents of one input in all profiles: its ranges in turn, else the model's dims. Sets its rank. */
static void fill_input(sw_graph *graph, const sw_build_options *o, const sw_shapes *shapes, int input) {
    sw_tensor *t = &graph->inputs[input]->type;
    int profile = 0;
    for (int s = 0; s < o->n_shapes; s++) {
        const sw_shape_range *r = &o->shapes[s];
        if (input_of(graph, r) != input) continue;
        t->rank = r->rank;
        sw_extent *e = extent_at(graph, shapes, profile++, input);
        for (int k = 0; k < r->rank; k++) e[k] = (sw_extent){r->min[k], r->opt[k], r->max[k]};
    }
    for (; profile < shapes->n_profiles; profile++)
        for (int k = 0; k < t->rank; k++)
            extent_at(graph, shapes, profile, input)[k] = (sw_extent){t->dims[k], t->dims[k], t->dims[k]};
}

/* Where all profiles agree on one number, the dim is fixed. */
static void fix_dims(sw_graph *graph, const sw_shapes *shapes, int input) {
    sw_tensor *t = &graph->inputs[input]->type;
    for (int k = 0; k < t->rank; k++) {
        int64_t min = INT64_MAX, max = 0;
        for (int p = 0; p < shapes->n_profiles; p++) {
            const sw_extent *e = &extent_at(graph, shapes, p, input)[k];
            min = e->min < min ? e->min : min;
            max = e->max > max ? e->max : max;
        }
        if (min == max) t->dims[k] = min;
    }
}

static sw_status no_batch(const sw_diag *diag, const sw_value *input, const char *what) {
    return sw_fail(diag, SW_E_USAGE, NULL, NULL, "--batch: input '%s': %s", input->name, what);
}

/* The range of an input that `batch` asks for. */
static sw_status batch_range(const sw_graph *graph, const sw_build_options *o, const sw_value *input,
                             const sw_diag *diag, sw_shape_range *r) {
    const sw_tensor *t = &input->type;
    int64_t size[2];
    bool sized = sw_meta_size(sw_graph_meta(graph, "imgsz"), size);
    if (t->rank < 1) return no_batch(diag, input, "it has no dims");
    *r = (sw_shape_range){.input = input->name, .rank = t->rank, .min = {o->batch_min}, .opt = {o->batch_opt}};
    r->max[0] = o->batch_max;
    if (t->dims[0] >= 0 && (o->batch_min != t->dims[0] || o->batch_max != t->dims[0])) {
        char text[TEXT];
        snprintf(text, sizeof text, "the batch is fixed at %" PRId64 " in the model; export it with an open batch",
                 t->dims[0]);
        return no_batch(diag, input, text);
    }
    for (int k = 1; k < t->rank; k++) {
        int64_t dim = t->dims[k] >= 0 ? t->dims[k] : sized && t->rank == 4 && k >= 2 ? size[k - 2] : -1;
        if (dim < 0) return no_batch(diag, input, "more than its batch is open: give its shape by --shapes");
        r->min[k] = r->opt[k] = r->max[k] = dim;
    }
    return SW_OK;
}

/* Options with the shapes that the batch asks for, in the graph's arena. */
static sw_status batch_shapes(sw_graph *graph, sw_build_options *o, const sw_diag *diag) {
    if (o->n_shapes) return sw_fail(diag, SW_E_USAGE, NULL, NULL, "--batch and --shapes exclude one another");
    if (o->batch_min < 1 || o->batch_min > o->batch_opt || o->batch_opt > o->batch_max)
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "--batch must be min:opt:max with 1 <= min <= opt <= max");
    sw_shape_range *ranges = SW_ARENA_ARRAY(graph->arena, sw_shape_range, graph->n_inputs + 1);
    if (!ranges) return SW_E_NOMEM;
    for (int i = 0; i < graph->n_inputs; i++) SW_TRY(batch_range(graph, o, graph->inputs[i], diag, &ranges[i]));
    o->shapes = ranges;
    o->n_shapes = graph->n_inputs;
    return SW_OK;
}

sw_status sw_shapes_apply(sw_graph *graph, const sw_build_options *given, const sw_diag *diag, sw_shapes *shapes) {
    sw_build_options all = *given, *options = &all;
    *shapes = (sw_shapes){0};
    if (given->batch_max || given->batch_min || given->batch_opt) SW_TRY(batch_shapes(graph, options, diag));
    if (!options->n_shapes) return SW_OK;
    SW_TRY(count_profiles(graph, options, diag, &shapes->n_profiles));
    shapes->extents = SW_ARENA_ARRAY(graph->arena, sw_extent, shapes->n_profiles * graph->n_inputs * SW_MAX_RANK);
    if (!shapes->extents) return SW_E_NOMEM;
    for (int i = 0; i < graph->n_inputs; i++) {
        fill_input(graph, options, shapes, i);
        fix_dims(graph, shapes, i);
    }
    return SW_OK;
}

sw_status sw_plan_shapes(const sw_plan *plan, sw_arena *arena, sw_build_options *options) {
    sw_shape_range *ranges = SW_ARENA_ARRAY(arena, sw_shape_range, plan->n_profiles * plan->n_inputs + 1);
    if (!ranges) return SW_E_NOMEM;
    options->shapes = ranges;
    options->n_shapes = plan->n_profiles * plan->n_inputs;
    for (size_t v = 0; v < plan->n_values; v++) {
        const sw_tensor *type = &plan->values[v].type;
        bool half = type->dtype == SW_BF16 || type->dtype == SW_F16;
        if (type->layout == SW_CHANNELS_LAST && half) options->precision = type->dtype;
    }
    for (int i = 0; i < options->n_shapes; i++) {
        const sw_port *port = sw_plan_input(plan, i % plan->n_inputs);
        sw_shape_range *r = &ranges[i];
        r->input = port->name;
        r->rank = port->type.rank > 0 ? port->type.rank : 0;
        for (int k = 0; k < r->rank; k++) {
            const sw_extent *e = &plan->profiles[i * SW_MAX_RANK + k];
            r->min[k] = e->min, r->opt[k] = e->opt, r->max[k] = e->max;
        }
    }
    return SW_OK;
}
