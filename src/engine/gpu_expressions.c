#include "engine/gpu_expressions.h"

#include <string.h>

#include "engine/gpu_program.h"
#include "ops/shape.h"

enum { AXES = CUDA_BOX_AXES, MOST_BOXES = 24, MOST_TERMS = 24, MOST_STACK = 4, MOST_SHARED = 8, LEAST_STEPS = 3 };

typedef struct composer {
    const sw_plan *plan;
    const sw_instance *instance;
    sw_arena *arena;
    const bool *taken;
    sw_gpu_node *nodes;
    sw_gpu_expression **made; /* by value; NULL: it is loaded */
    bool *wanted;             /* by value */
    int *readers;
    bool full; /* out of memory */
} composer;

static const sw_tensor *value_of(const composer *c, int32_t value) {
    return &c->instance->values[value];
}

static bool is_rows(const composer *c, int32_t value) {
    if (value < 0) return false;
    const sw_tensor *t = value_of(c, value);
    sw_place place = c->instance->places[value];
    return t->dtype == SW_F32 && t->layout == SW_ROW_MAJOR && t->rank >= 0 && t->rank <= AXES &&
           place != SW_PLACE_DYNAMIC && place != SW_PLACE_NONE && sw_tensor_count(t) > 0 &&
           sw_tensor_count(t) < INT32_MAX / 4;
}

/* ---- Making -------------------------------------------------------------------------------------------------------- */

static sw_gpu_expression *new_expression(composer *c, int rank, int most) {
    sw_gpu_expression *e = SW_ARENA_ARRAY(c->arena, sw_gpu_expression, 1);
    if (e) e->boxes = SW_ARENA_ARRAY(c->arena, sw_gpu_box, (size_t)most);
    if (e && e->boxes) return e->rank = rank, e;
    c->full = true;
    return NULL;
}

/* Room for `more` terms behind those of `from`; NULL: too many. */
static sw_gpu_box *add_box(composer *c, sw_gpu_expression *e, const sw_gpu_box *from, int more) {
    if (e->n == MOST_BOXES || from->n + more > MOST_TERMS) return NULL;
    sw_gpu_box *box = &e->boxes[e->n];
    *box = *from;
    box->terms = SW_ARENA_ARRAY(c->arena, sw_gpu_term, (size_t)(from->n + more));
    if (!box->terms) return c->full = true, NULL;
    if (from->n) memcpy(box->terms, from->terms, (size_t)from->n * sizeof *from->terms);
    e->n++;
    return box;
}

/* A value as it lies, or (map) the same as rows. */
static sw_gpu_expression *load(composer *c, int32_t value) {
    const sw_tensor *t = value_of(c, value);
    sw_gpu_term term = {.code = CUDA_TERM_FLOAT, .value = value};
    sw_gpu_box box = {.depth = 1};
    for (int64_t i = t->rank - 1, step = 1; i >= 0; i--) {
        term.step[i] = step;
        box.size[i] = t->dims[i];
        step *= t->dims[i];
    }
    if (t->layout == SW_CHANNELS_LAST) {
        term.code = CUDA_TERM_HALF;
        memset(term.step, 0, sizeof term.step);
        term.step[1] = 1;
        term.pixel[0] = t->dims[2] * t->dims[3], term.pixel[2] = t->dims[3], term.pixel[3] = 1;
    }
    sw_gpu_expression *e = new_expression(c, t->rank, 1);
    sw_gpu_box *made = e ? add_box(c, e, &box, 1) : NULL;
    if (!made) return NULL;
    made->terms[made->n++] = term;
    return e;
}

/* What is wanted as such is loaded. */
static bool is_inlined(const composer *c, int32_t value) {
    return value >= 0 && c->made[value] && !c->wanted[value];
}
static sw_gpu_expression *expression_of(composer *c, int32_t value) {
    return is_inlined(c, value) ? c->made[value] : load(c, value);
}

/* Begins `by` elements later along an axis. */
static void shift(sw_gpu_box *box, int axis, int64_t by) {
    for (int i = 0; i < box->n; i++) {
        box->terms[i].at += by * box->terms[i].step[axis];
        box->terms[i].pixel_at += by * box->terms[i].pixel[axis];
    }
}

/* ---- Moving -------------------------------------------------------------------------------------------------------- */

/* `length` elements of an axis from `start` on, each `step`-th. */
static sw_gpu_expression *cut(composer *c, const sw_gpu_expression *x, int axis, int64_t start, int64_t length,
                              int64_t step) {
    sw_gpu_expression *e = new_expression(c, x->rank, x->n);
    for (int i = 0; e && i < x->n; i++) {
        const sw_gpu_box *from = &x->boxes[i];
        int64_t begin = from->from[axis] > start ? from->from[axis] : start, end = from->from[axis] + from->size[axis];
        int64_t last = start + (length - 1) * step + 1;
        if (end > last) end = last;
        if (begin >= end) continue;
        if (step > 1 && x->n > 1) return NULL;
        sw_gpu_box *box = add_box(c, e, from, 0);
        if (!box) return NULL;
        shift(box, axis, begin - from->from[axis]);
        box->from[axis] = begin - start;
        box->size[axis] = step > 1 ? length : end - begin;
        for (int k = 0; k < box->n; k++) box->terms[k].step[axis] *= step, box->terms[k].pixel[axis] *= step;
    }
    return e;
}

static int axis_of(const sw_call *call, const sw_gpu_expression *x) {
    int64_t axis = sw_call_int(call, "axis");
    return (int)(axis < 0 ? axis + x->rank : axis);
}

static sw_gpu_expression *compose_slice(composer *c, const sw_call *call, sw_gpu_expression *x) {
    const sw_tensor *in = call->in[0], *out = call->out[0], *starts = call->in[1], *axes = sw_call_in(call, 3),
                    *steps = sw_call_in(call, 4);
    if (!starts->data || (axes && !axes->data) || (steps && !steps->data)) return NULL;
    for (int64_t i = 0; x && i < sw_tensor_count(starts); i++) {
        int64_t axis = axes ? sw_tensor_int_at(axes, i) : i, step = steps ? sw_tensor_int_at(steps, i) : 1;
        int64_t start = sw_tensor_int_at(starts, i);
        if (axis < 0) axis += in->rank;
        if (step < 1) return NULL;
        if (start < 0) start += in->dims[axis];
        start = start < 0 ? 0 : start;
        x = cut(c, x, (int)axis, start, out->dims[axis], step);
    }
    return x;
}

static sw_gpu_expression *compose_split(composer *c, const sw_call *call, int output, sw_gpu_expression *x) {
    int64_t start = 0;
    int axis = axis_of(call, x);
    for (int i = 0; i < output; i++) {
        if (!call->out[i]) return NULL;
        start += call->out[i]->dims[axis];
    }
    return cut(c, x, axis, start, call->out[output]->dims[axis], 1);
}

static sw_gpu_expression *compose_join(composer *c, const sw_step *step, const sw_call *call) {
    sw_gpu_expression *e = new_expression(c, call->out[0]->rank, MOST_BOXES);
    int64_t first = 0;
    for (int i = 0; e && i < step->n_in; i++) {
        sw_gpu_expression *x = expression_of(c, step->in[i]);
        if (!x) return NULL;
        int axis = axis_of(call, x);
        for (int k = 0; k < x->n; k++) {
            sw_gpu_box *box = add_box(c, e, &x->boxes[k], 0);
            if (!box) return NULL;
            box->from[axis] += first;
        }
        first += call->in[i]->dims[axis];
    }
    return e;
}

static sw_gpu_expression *compose_turn(composer *c, const sw_call *call, const sw_gpu_expression *x) {
    const sw_attr *perm = sw_call_attr(call, "perm", SW_ATTR_INTS);
    sw_gpu_expression *e = new_expression(c, x->rank, x->n);
    for (int i = 0; e && i < x->n; i++) {
        const sw_gpu_box *from = &x->boxes[i];
        sw_gpu_box *box = add_box(c, e, from, 0);
        if (!box) return NULL;
        for (int k = 0; k < x->rank; k++) {
            int64_t axis = perm->set ? perm->ints.v[k] : x->rank - 1 - k;
            box->from[k] = from->from[axis], box->size[k] = from->size[axis];
            for (int t = 0; t < box->n; t++) {
                box->terms[t].step[k] = from->terms[t].step[axis];
                box->terms[t].pixel[k] = from->terms[t].pixel[axis];
            }
        }
    }
    return e;
}

/* Axes a .. a_end of the old shape are axes b .. b_end of the new one: a box must have all of them, or there is one of each. */
static bool reshape_group(const sw_gpu_box *from, const sw_tensor *x, int a, int a_end, const sw_tensor *y, int b, int b_end,
                          sw_gpu_box *box) {
    bool alone = a_end - a == 1 && b_end - b == 1;
    for (int i = a; i < a_end && !alone; i++)
        if (from->size[i] != x->dims[i]) return false;
    for (int t = 0; t < box->n; t++) {
        const sw_gpu_term *old = &from->terms[t];
        int inner = -1;
        int64_t step = 0, pixel = 0;
        for (int i = a_end - 1; i >= a; i--) {
            if (x->dims[i] == 1) continue;
            if (inner < 0) step = old->step[i], pixel = old->pixel[i];
            else if (old->step[i] != old->step[inner] * x->dims[inner] || old->pixel[i] != old->pixel[inner] * x->dims[inner])
                return false;
            inner = i;
        }
        for (int i = b_end - 1; i >= b; i--) {
            box->terms[t].step[i] = step, box->terms[t].pixel[i] = pixel;
            step *= y->dims[i], pixel *= y->dims[i];
        }
    }
    for (int i = b; i < b_end; i++) {
        box->from[i] = alone ? from->from[a] : 0;
        box->size[i] = alone ? from->size[a] : y->dims[i];
    }
    return true;
}

static sw_gpu_expression *compose_reshape(composer *c, const sw_call *call, const sw_gpu_expression *x) {
    const sw_tensor *in = call->in[0], *out = call->out[0];
    sw_gpu_expression *e = new_expression(c, out->rank, x->n);
    for (int i = 0; e && i < x->n; i++) {
        sw_gpu_box *box = add_box(c, e, &x->boxes[i], 0);
        if (!box) return NULL;
        for (int a = 0, b = 0; a < in->rank || b < out->rank;) {
            int a_end = a, b_end = b;
            int64_t n = a < in->rank ? in->dims[a_end++] : 1, m = b < out->rank ? out->dims[b_end++] : 1;
            while (n != m) {
                if (n < m ? a_end == in->rank : b_end == out->rank) return NULL;
                if (n < m)
                    n *= in->dims[a_end++];
                else
                    m *= out->dims[b_end++];
            }
            if (!reshape_group(&x->boxes[i], in, a, a_end, out, b, b_end, box)) return NULL;
            a = a_end, b = b_end;
        }
    }
    return e;
}

/* ---- Computing ----------------------------------------------------------------------------------------------------- */

static sw_gpu_expression *compose_act(composer *c, const sw_gpu_expression *x, const sw_gpu_term *act) {
    sw_gpu_expression *e = new_expression(c, x->rank, x->n);
    for (int i = 0; e && i < x->n; i++) {
        sw_gpu_box *box = add_box(c, e, &x->boxes[i], 1);
        if (!box) return NULL;
        box->terms[box->n++] = *act;
    }
    return e;
}

/* The operand's box as one of the result, whose shape may be larger. */
static void spread(const sw_gpu_box *from, const sw_tensor *x, const sw_tensor *y, sw_gpu_box *box) {
    int lead = y->rank - x->rank;
    for (int i = y->rank - 1; i >= 0; i--) {
        int k = i - lead;
        bool one = k < 0 || (x->dims[k] == 1 && y->dims[i] != 1);
        box->from[i] = one ? 0 : from->from[k];
        box->size[i] = one ? y->dims[i] : from->size[k];
        for (int t = 0; t < box->n; t++) {
            box->terms[t].step[i] = one ? 0 : from->terms[t].step[k];
            box->terms[t].pixel[i] = one ? 0 : from->terms[t].pixel[k];
        }
    }
}

static sw_gpu_expression *spread_all(composer *c, const sw_gpu_expression *x, const sw_tensor *in, const sw_tensor *y) {
    sw_gpu_expression *e = new_expression(c, y->rank, x->n);
    for (int i = 0; e && i < x->n; i++) {
        sw_gpu_box *box = add_box(c, e, &x->boxes[i], 0);
        if (!box) return NULL;
        spread(&x->boxes[i], in, y, box);
    }
    return e;
}

/* Where both overlap, if they do: the terms of a, those of b, `op`. False: too many. */
static bool meet(composer *c, sw_gpu_expression *e, const sw_gpu_box *a, const sw_gpu_box *b, int op) {
    sw_gpu_box overlap = *a;
    for (int i = 0; i < e->rank; i++) {
        int64_t end_a = a->from[i] + a->size[i], end_b = b->from[i] + b->size[i], end = end_a < end_b ? end_a : end_b;
        overlap.from[i] = a->from[i] > b->from[i] ? a->from[i] : b->from[i];
        overlap.size[i] = end - overlap.from[i];
        if (overlap.size[i] <= 0) return true;
    }
    if (b->depth + 1 > MOST_STACK) return false;
    sw_gpu_box *box = add_box(c, e, &overlap, b->n + 1);
    if (!box) return false;
    for (int i = 0; i < e->rank; i++) shift(box, i, overlap.from[i] - a->from[i]);
    sw_gpu_box rest = {.n = b->n, .terms = box->terms + box->n};
    if (b->n) memcpy(rest.terms, b->terms, (size_t)b->n * sizeof *b->terms);
    for (int i = 0; i < e->rank; i++) shift(&rest, i, overlap.from[i] - b->from[i]);
    box->n += b->n;
    box->terms[box->n++] = (sw_gpu_term){.code = CUDA_TERM_OP, .more = op};
    if (b->depth + 1 > box->depth) box->depth = b->depth + 1;
    return true;
}

static sw_gpu_expression *compose_binary(composer *c, const sw_step *step, const sw_call *call, int op) {
    const sw_tensor *y = call->out[0];
    sw_gpu_expression *a = expression_of(c, step->in[0]), *b = expression_of(c, step->in[1]);
    a = a ? spread_all(c, a, call->in[0], y) : NULL;
    b = b ? spread_all(c, b, call->in[1], y) : NULL;
    sw_gpu_expression *e = a && b ? new_expression(c, y->rank, MOST_BOXES) : NULL;
    for (int i = 0; e && i < a->n; i++)
        for (int k = 0; k < b->n; k++)
            if (!meet(c, e, &a->boxes[i], &b->boxes[k], op)) return NULL;
    return e;
}

/* Distributions that are loaded as such. */
static sw_gpu_expression *compose_dfl(composer *c, const sw_call *call, const sw_gpu_expression *x) {
    int64_t bins = sw_call_int(call, "bins");
    sw_gpu_expression *e = new_expression(c, x->rank, x->n);
    for (int i = 0; e && i < x->n; i++) {
        const sw_gpu_box *from = &x->boxes[i];
        sw_gpu_box *box = add_box(c, e, from, 0);
        if (!box || box->n != 1 || from->size[1] != call->in[0]->dims[1] || bins > INT16_MAX) return NULL;
        sw_gpu_term *term = box->terms;
        if (term->code != CUDA_TERM_FLOAT && (term->code != CUDA_TERM_HALF || term->pixel[1])) return NULL;
        term->code = term->code == CUDA_TERM_HALF ? CUDA_TERM_DFL_HALF : CUDA_TERM_DFL_FLOAT;
        term->more = (int)bins;
        term->bin = term->step[1];
        term->step[1] *= bins;
        box->size[1] = call->out[0]->dims[1];
    }
    return e;
}

/* ---- Steps --------------------------------------------------------------------------------------------------------- */

static bool is_reshape(sw_op op) {
    return op == SW_OP_Reshape || op == SW_OP_Flatten || op == SW_OP_Squeeze || op == SW_OP_Unsqueeze ||
           op == SW_OP_Identity;
}

static sw_gpu_expression *compose(composer *c, const sw_step *step, const sw_call *call, int output) {
    sw_gpu_term act = {.code = CUDA_TERM_ACT};
    sw_gpu_expression *x = NULL;
    if (step->op == SW_OP_Relayout) return load(c, step->in[0]);
    if (step->op == SW_OP_Concat) return compose_join(c, step, call);
    int op = sw_cuda_binary(step->op);
    if (op >= 0) return compose_binary(c, step, call, op);
    x = expression_of(c, step->in[0]);
    if (!x) return NULL;
    if (is_reshape(step->op)) return compose_reshape(c, call, x);
    if (step->op == SW_OP_Transpose) return compose_turn(c, call, x);
    if (step->op == SW_OP_Slice) return compose_slice(c, call, x);
    if (step->op == SW_OP_Split) return compose_split(c, call, output, x);
    if (step->op == SW_OP_Dfl) return compose_dfl(c, call, x);
    return sw_cuda_activation(call, &act.more, &act.a, &act.b) ? compose_act(c, x, &act) : NULL;
}

/* Whether the step's operands are all rows (or a map that becomes rows), and its results, too. */
static bool is_candidate(const composer *c, size_t s) {
    const sw_step *step = &c->plan->steps[s];
    const sw_gpu_node *node = &c->nodes[s];
    if (c->instance->skip[s] || c->taken[s] || (node->kind != SW_GPU_STEP && node->kind != SW_GPU_ALIAS)) return false;
    for (int i = 0; i < step->n_out; i++)
        if (!is_rows(c, step->out[i]) || c->instance->places[step->out[i]] != SW_PLACE_PLANNED) return false;
    if (step->n_in < 1 || step->n_out < 1 || step->in[0] < 0) return false;
    if (step->op == SW_OP_Relayout) return value_of(c, step->in[0])->layout == SW_CHANNELS_LAST;
    for (int i = 0; i < step->n_in; i++) {
        bool operand = step->in[i] >= 0 && sw_cuda_is_operand(step->op, i, value_of(c, step->in[i]));
        if ((i == 0 || operand || step->op == SW_OP_Concat) && !is_rows(c, step->in[i])) return false;
    }
    return true;
}

static void compose_step(composer *c, size_t s, const sw_tensor **in, sw_tensor **out) {
    const sw_step *step = &c->plan->steps[s];
    sw_call call = sw_step_call(step, c->instance->values, in, out, NULL);
    int steps = c->nodes[s].kind != SW_GPU_ALIAS;
    for (int i = 0; i < step->n_in; i++)
        if (is_inlined(c, step->in[i])) steps += c->made[step->in[i]]->steps;
    for (int i = 0; i < step->n_out; i++) {
        int32_t value = step->out[i];
        sw_gpu_expression *e = compose(c, step, &call, i);
        if (!e || e->n == 0) continue;
        e->steps = steps;
        int terms = 0;
        for (int k = 0; k < e->n; k++) terms = e->boxes[k].n > terms ? e->boxes[k].n : terms;
        c->made[value] = e;
        c->wanted[value] |= c->readers[value] > 1 && terms > MOST_SHARED;
    }
}

/* ---- Nodes --------------------------------------------------------------------------------------------------------- */

static void want_loads(composer *c, const sw_gpu_expression *e, int32_t *loads, int *n) {
    for (int i = 0; i < e->n; i++)
        for (int t = 0; t < e->boxes[i].n; t++) {
            const sw_gpu_term *term = &e->boxes[i].terms[t];
            bool known = term->code == CUDA_TERM_ACT || term->code == CUDA_TERM_OP;
            for (int k = 0; k < *n && !known; k++) known = loads[k] == term->value;
            if (known) continue;
            c->wanted[term->value] = true;
            loads[(*n)++] = term->value;
        }
}

static bool make_node(composer *c, size_t s) {
    const sw_step *step = &c->plan->steps[s];
    sw_gpu_node *node = &c->nodes[s];
    int most = 0, n_in = 0, n_out = 0;
    for (int i = 0; i < step->n_out; i++)
        for (int k = 0; c->made[step->out[i]] && k < c->made[step->out[i]]->n; k++)
            most += c->made[step->out[i]]->boxes[k].n;
    int32_t *in = SW_ARENA_ARRAY(c->arena, int32_t, (size_t)most + 1),
            *out = SW_ARENA_ARRAY(c->arena, int32_t, (size_t)step->n_out);
    const sw_gpu_expression **made = SW_ARENA_ARRAY(c->arena, const sw_gpu_expression *, (size_t)step->n_out);
    if (!in || !out || !made) return false;
    for (int i = 0; i < step->n_out; i++) {
        if (!c->wanted[step->out[i]]) continue;
        want_loads(c, c->made[step->out[i]], in, &n_in);
        made[n_out] = c->made[step->out[i]];
        out[n_out++] = step->out[i];
    }
    node->kind = SW_GPU_EXPRESSION;
    node->in = in, node->n_in = n_in, node->out = out, node->n_out = n_out;
    node->made = made;
    return true;
}

/* Whether a group is worth a kernel of its own. Between values that are halves as rows its float32 would cost conversions. */
static bool is_worth(const composer *c, const sw_gpu_expression *e) {
    bool maps = c->plan->gpu_type == SW_F32;
    for (int i = 0; i < e->n; i++)
        for (int t = 0; t < e->boxes[i].n; t++)
            maps |= e->boxes[i].terms[t].code == CUDA_TERM_HALF || e->boxes[i].terms[t].code == CUDA_TERM_DFL_HALF;
    return maps && e->steps >= LEAST_STEPS;
}

/* What runs, from the end: groups whose results are wanted; what nobody wants is part of one. */
static sw_status choose(composer *c, bool *taken) {
    for (size_t s = c->plan->n_steps; s-- > 0;) {
        const sw_step *step = &c->plan->steps[s];
        const sw_gpu_node *node = &c->nodes[s];
        if (c->instance->skip[s] || taken[s]) continue;
        bool composed = step->n_out > 0, wanted = false, few = false;
        for (int i = 0; i < step->n_out; i++) {
            sw_gpu_expression *e = step->out[i] < 0 ? NULL : c->made[step->out[i]];
            composed &= e != NULL;
            wanted |= step->out[i] >= 0 && c->wanted[step->out[i]];
            few |= e && !is_worth(c, e);
        }
        if (composed && !wanted) {
            taken[s] = true;
        } else if (composed && !few) {
            if (!make_node(c, s)) return SW_E_NOMEM;
        } else {
            for (int i = 0; i < node->n_in; i++)
                if (node->in[i] >= 0) c->wanted[node->in[i]] = true;
        }
    }
    return SW_OK;
}

sw_status sw__gpu_find_expressions(const sw_plan *plan, const sw_instance *instance, bool *taken, sw_gpu_node *nodes) {
    composer c = {.plan = plan, .instance = instance, .arena = instance->arena, .taken = taken, .nodes = nodes};
    size_t ports = (size_t)sw_plan_max_ports(plan);
    c.made = SW_ARENA_ARRAY(c.arena, sw_gpu_expression *, plan->n_values);
    c.wanted = SW_ARENA_ARRAY(c.arena, bool, plan->n_values);
    c.readers = SW_ARENA_ARRAY(c.arena, int, plan->n_values);
    bool *candidate = SW_ARENA_ARRAY(c.arena, bool, plan->n_steps);
    const sw_tensor **in = SW_ARENA_ARRAY(c.arena, const sw_tensor *, ports);
    sw_tensor **out = SW_ARENA_ARRAY(c.arena, sw_tensor *, ports);
    if (!c.made || !c.wanted || !c.readers || !candidate || !in || !out) return SW_E_NOMEM;
    for (int i = 0; i < plan->n_outputs; i++) c.wanted[plan->outputs[i]] = true;
    for (size_t s = 0; s < plan->n_steps; s++) {
        candidate[s] = is_candidate(&c, s);
        if (instance->skip[s] || taken[s]) continue;
        for (int i = 0; i < nodes[s].n_in; i++) {
            if (nodes[s].in[i] < 0) continue;
            c.readers[nodes[s].in[i]]++;
            c.wanted[nodes[s].in[i]] |= !candidate[s];
        }
    }
    for (size_t s = 0; s < plan->n_steps && !c.full; s++)
        if (candidate[s]) compose_step(&c, s, in, out);
    return c.full ? SW_E_NOMEM : choose(&c, taken);
}

/* ---- Launches ------------------------------------------------------------------------------------------------------ */

/* An address and strides of a load; false: too far apart for the kernel. */
static bool place_term(const sw_tensor *t, const sw_gpu_term *term, int rank, sw_cuda_term *out) {
    bool half = out->code == CUDA_TERM_HALF || out->code == CUDA_TERM_DFL_HALF;
    int64_t at = term->at + term->pixel_at * t->pitch, bytes = half ? 2 : 4;
    out->data = t->data ? (const char *)t->data + at * bytes : NULL;
    for (int i = 0; i < rank; i++) {
        int64_t stride = term->step[i] + term->pixel[i] * t->pitch;
        if (stride > INT32_MAX) return false;
        out->stride[i] = (int)stride;
    }
    out->bin = (int)term->bin;
    return true;
}

/* Maps are halves, but in programs that have none. */
static int code_of(const sw_gpu_program *p, const sw_gpu_term *term) {
    if (p->floats && term->code == CUDA_TERM_HALF) return CUDA_TERM_FLOAT;
    return p->floats && term->code == CUDA_TERM_DFL_HALF ? CUDA_TERM_DFL_FLOAT : term->code;
}

static bool place_box(const sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_box *box, int rank, sw_cuda_expression *e) {
    sw_cuda_box *to = &e->boxes[e->n_boxes++];
    int64_t count = 1;
    *to = (sw_cuda_box){.first_term = e->n_terms, .n_terms = box->n, .first_block = e->blocks};
    for (int i = 0; i < AXES; i++) {
        to->dims[i] = i < rank ? (int)box->size[i] : 1;
        count *= to->dims[i];
        if (i < rank) to->out += (int)box->from[i] * e->out_stride[i];
    }
    for (int i = 0; i < box->n; i++) {
        const sw_gpu_term *term = &box->terms[i];
        sw_cuda_term *out = &e->terms[e->n_terms++];
        *out = (sw_cuda_term){.code = (short)code_of(p, term), .more = (short)term->more};
        if (term->code == CUDA_TERM_ACT) {
            memcpy(&out->stride[0], &term->a, sizeof term->a);
            memcpy(&out->stride[1], &term->b, sizeof term->b);
        } else if (term->code != CUDA_TERM_OP) {
            bool map = p->instance->values[term->value].layout == SW_CHANNELS_LAST;
            sw_tensor t = map ? sw__gpu_tensor(gpu, p, term->value) : sw__gpu_form(gpu, p, term->value, SW_GPU_FLOAT);
            if (!place_term(&t, term, rank, out)) return false;
        }
    }
    e->blocks += sw_cuda_expression_blocks(count);
    return true;
}

const char *sw__gpu_lower_expression(const sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_node *node,
                                     sw_cuda_launch *l, int *n) {
    *n = 0;
    for (int k = 0; k < node->n_out; k++) {
        const sw_gpu_expression *made = node->made[k];
        sw_tensor y = sw__gpu_tensor(gpu, p, node->out[k]);
        sw_cuda_expression *e = NULL;
        for (int i = 0; i < made->n; i++) {
            bool room = e && e->n_boxes < CUDA_MAX_BOXES && e->n_terms + made->boxes[i].n <= CUDA_MAX_TERMS;
            if (!room) {
                if (*n == SW_CUDA_MAX_LAUNCHES) return "it has too many parts";
                l[*n] = (sw_cuda_launch){.kernel = SW_CUDA_EXPRESSION, .grid_y = 1};
                e = &l[(*n)++].args.expression;
                e->out = y.data;
                for (int64_t axis = y.rank - 1, step = 1; axis >= 0; step *= y.dims[axis--]) e->out_stride[axis] = (int)step;
            }
            if (!place_box(gpu, p, &made->boxes[i], made->rank, e)) return "its elements lie too far apart";
            l[*n - 1].grid_x = e->blocks;
        }
    }
    return NULL;
}
