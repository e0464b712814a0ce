/* Whether two plans are of one architecture; weights put back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/plan_file.h"

enum { DIFFERENCE_BYTES = 256 };

static bool same_type(const sw_tensor *a, const sw_tensor *b) {
    if (a->dtype != b->dtype || a->rank != b->rank || a->layout != b->layout) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

static bool same_attr(const sw_attr_def *def, const sw_attr *a, const sw_attr *b) {
    if (a->set != b->set) return false;
    if (!a->set) return true;
    switch (def->type) {
    case SW_ATTR_INT:
        return a->i == b->i;
    case SW_ATTR_FLOAT:
        return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case SW_ATTR_STRING:
        return strcmp(a->s, b->s) == 0;
    case SW_ATTR_INTS:
        return a->ints.n == b->ints.n && memcmp(a->ints.v, b->ints.v, (size_t)a->ints.n * sizeof *a->ints.v) == 0;
    case SW_ATTR_FLOATS:
        return a->floats.n == b->floats.n &&
               memcmp(a->floats.v, b->floats.v, (size_t)a->floats.n * sizeof *a->floats.v) == 0;
    case SW_ATTR_TENSOR:
        return same_type(a->t, b->t) && memcmp(a->t->data, b->t->data, (size_t)sw_tensor_bytes(a->t)) == 0;
    case SW_ATTR_BODY:
        return a->body->n_in == b->body->n_in && a->body->n_captured == b->body->n_captured &&
               !sw_plan_differs(a->body->code, b->body->code, (char[DIFFERENCE_BYTES]){""}, DIFFERENCE_BYTES);
    }
    return false;
}

/* The first attribute in which two steps of one operator differ; NULL: none. */
static const char *other_attr(const sw_step *a, const sw_step *b) {
    const sw_op_info *info = sw_op_get(a->op);
    for (int i = 0; i < info->n_attrs; i++)
        if (!same_attr(&info->attrs[i], &a->attrs[i], &b->attrs[i])) return info->attrs[i].name;
    return NULL;
}

static bool steps_differ(const sw_plan *a, const sw_plan *b, size_t s, char *text, size_t size) {
    const sw_step *x = &a->steps[s], *y = &b->steps[s];
    const char *attr = NULL;
    if (x->op != y->op)
        snprintf(text, size, "step %zu is %s '%.60s' in one, %s '%.60s' in the other", s, sw_op_get(x->op)->name,
                 x->name, sw_op_get(y->op)->name, y->name);
    else if (x->n_in != y->n_in || x->n_out != y->n_out || memcmp(x->in, y->in, (size_t)x->n_in * sizeof *x->in) != 0 ||
             memcmp(x->out, y->out, (size_t)x->n_out * sizeof *x->out) != 0)
        snprintf(text, size, "step %zu, %s '%.60s', reads or writes other values", s, sw_op_get(x->op)->name, x->name);
    else if ((attr = other_attr(x, y)))
        snprintf(text, size, "step %zu, %s '%.60s', has another %s", s, sw_op_get(x->op)->name, x->name, attr);
    else
        return false;
    return true;
}

bool sw_plan_differs(const sw_plan *a, const sw_plan *b, char *text, size_t size) {
    for (size_t s = 0; s < a->n_steps && s < b->n_steps; s++)
        if (steps_differ(a, b, s, text, size)) return true;
    if (a->n_steps != b->n_steps || a->n_values != b->n_values) {
        snprintf(text, size, "one has %zu steps and %zu values, the other %zu and %zu", a->n_steps, a->n_values,
                 b->n_steps, b->n_values);
        return true;
    }
    for (size_t v = 0; v < a->n_values; v++) {
        if (same_type(&a->values[v].type, &b->values[v].type) && a->views[v].root == b->views[v].root &&
            a->views[v].channel == b->views[v].channel)
            continue;
        snprintf(text, size, "value '%.60s' has another type, shape or place", a->values[v].name);
        return true;
    }
    if (a->n_inputs == b->n_inputs && a->n_outputs == b->n_outputs &&
        !memcmp(a->inputs, b->inputs, (size_t)a->n_inputs * sizeof *a->inputs) &&
        !memcmp(a->outputs, b->outputs, (size_t)a->n_outputs * sizeof *a->outputs))
        return false;
    snprintf(text, size, "they have other inputs or outputs");
    return true;
}

sw_status sw_plan_refit(sw_plan *built, const sw_plan *stripped, const char *where, const sw_diag *diag) {
    char text[DIFFERENCE_BYTES];
    if (sw_plan_differs(stripped, built, text, sizeof text))
        return sw_fail(diag, SW_E_INPUT, where, "build a plan from it instead",
                       "the model is of another architecture than the plan: %s", text);
    for (size_t s = 0; s < stripped->n_steps; s++)
        if (stripped->steps[s].tactic) SW_TRY(sw_plan_set_tactic(built, s, stripped->steps[s].tactic));
    if (stripped->n_profiles) SW_TRY(sw_plan_set_profiles(built, stripped->profiles, stripped->n_profiles));
    for (size_t i = 0; i < stripped->n_times; i++) SW_TRY(sw_plan_add_time(built, &stripped->times[i]));
    for (size_t i = 0; i < stripped->n_receipt; i += 2)
        if (!sw_plan_receipt(built, stripped->receipt[i]))
            SW_TRY(sw_plan_add_receipt(built, stripped->receipt[i], stripped->receipt[i + 1]));
    built->gpu_type = stripped->gpu_type;
    built->gpu_tf32 = stripped->gpu_tf32;
    built->whole_maps = stripped->whole_maps;
    if (stripped->gpu) SW_TRY(sw_plan_set_gpu(built, stripped->gpu, stripped->gpu_sm, stripped->any_of_sm));
    for (size_t i = 0; i < stripped->n_gpu_tiles; i += 2)
        SW_TRY(sw_plan_add_gpu_tile(built, stripped->gpu_tiles[i], stripped->gpu_tiles[i + 1]));
    return SW_OK;
}
